"""How does Alembic run here? On the connection it is handed, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from bot4_journal.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
