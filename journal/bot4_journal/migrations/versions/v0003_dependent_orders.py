"""Orders that wait, change and depend on each other, lists of them, and what holds trading back.

What the tables hold is projected again from the journal, from its first frame on: older orders have the new fields too,
and what was kept for the audit of kill switches belongs elsewhere now.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision: str | None = "0002"

PROJECTED = ("orders", "fills", "costs", "positions", "pnl", "stops", "audit", "early_events")
STOP_LOSS = "opening_order_has_stop_loss"


def upgrade() -> None:
    op.execute("TRUNCATE " + ", ".join(PROJECTED))
    op.execute("UPDATE progress SET epoch = epoch + 1, sequence = 0, origins = '{}', writers = '{}'")
    _extend_orders()
    op.create_table(
        "lists",
        sa.Column("list_id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("client_list_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("native", sa.Boolean, nullable=False),
        sa.Column("legs", JSONB, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.Column("over_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "controls",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", JSONB, nullable=False),
    )
    op.create_table(
        "prevented_matches",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("other_id", sa.Text, nullable=False),
        sa.Column("at_venue", sa.Boolean, nullable=False),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("other_quantity", sa.Numeric, nullable=False),
        sa.Column("price", sa.Numeric),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("lists_by_account", "lists", ["account", "received_at"])
    op.create_index("controls_by_kind", "controls", ["kind", "at"])
    op.create_index("prevented_matches_by_order", "prevented_matches", ["order_id"])


def _extend_orders() -> None:
    for column in (
        sa.Column("stop_price", sa.Numeric),
        sa.Column("activation_price", sa.Numeric),
        sa.Column("trail_bps", sa.Integer, nullable=False),
        sa.Column("display_quantity", sa.Numeric),
        sa.Column("expire_at", sa.BigInteger, nullable=False),
        sa.Column("self_trade_prevention", sa.Text, nullable=False),
        sa.Column("signal", sa.Text, nullable=False),
        sa.Column("list_id", sa.Text, nullable=False),
        sa.Column("prevented", sa.Numeric, nullable=False),
        sa.Column("triggered", sa.Boolean, nullable=False),
        sa.Column("resized", sa.Boolean, nullable=False),
        sa.Column("repriced", sa.Boolean, nullable=False),
    ):
        op.add_column("orders", column)
    op.create_index("orders_by_list", "orders", ["list_id"], postgresql_where=sa.text("list_id <> ''"))
    op.drop_constraint(STOP_LOSS, "orders")
    op.create_check_constraint(
        STOP_LOSS,
        "orders",
        "stop_loss IS NOT NULL OR (NOT opening AND (reduce_only OR decided_at = 0 OR status = 'refused'))",
    )
