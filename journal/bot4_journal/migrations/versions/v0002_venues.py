"""Where an order goes, and where a position, what it earned and its stop are.

What the tables hold is projected again from the journal, from its first frame on: it knows of every row which venue it
is of, and a migration would have to guess.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

PROJECTED = ("orders", "fills", "costs", "positions", "pnl", "stops", "audit", "early_events")


def upgrade() -> None:
    op.execute("TRUNCATE " + ", ".join(PROJECTED))
    op.execute("UPDATE progress SET epoch = epoch + 1, sequence = 0, origins = '{}', writers = '{}'")
    for table in ("orders", "positions", "pnl", "stops"):
        op.add_column(table, sa.Column("venue", sa.Text, nullable=False))
    for table, key in (
        ("positions", ["account", "venue", "symbol"]),
        ("pnl", ["account", "strategy", "venue", "symbol"]),
    ):
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, key)
