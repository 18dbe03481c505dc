"""How do the projections live in PostgreSQL? The only module that speaks SQL.

Rows travel as one JSON text per table and batch, in both directions: for the interpreter that is less work than
binding every value, and the server parses it about as fast. A batch and the cursor are one transaction, so
`synchronous_commit` can be off: what a crash of the server loses, it loses with the cursor, and it is written again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    JSON,
    Connection,
    Delete,
    Executable,
    Insert,
    Select,
    Table,
    TableValuedAlias,
    Text,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from bot4_journal import tables
from bot4_journal.continuity import Continuity
from bot4_journal.migrations import HEAD
from bot4_journal.projections import (
    ONCE,
    ROWS,
    Changes,
    Known,
    ListRow,
    OrderEvent,
    OrderRow,
    PnlRow,
    Row,
    StopRow,
    written,
)
from bot4_journal.store import Cursor, Moved, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
# Taken while migrating, so that of two services only one does. Any number would do, if it never changes.
MIGRATION_LOCK = 20261121
# A server that takes longer than this (s) to accept a connection, or to answer a statement, is taken as away.
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 10
# Classes of SQLSTATE that pass and say nothing against the batch: connection, missing database, rollback, resources,
# shutdown, I/O.
PASSING = ("08", "3D", "40", "53", "55", "57", "58")

# What no batch would bring back waits for the disk.
DURABLY = text("SET LOCAL synchronous_commit = on")

R = TypeVar("R", bound=Row)

_encoder = msgspec.json.Encoder()
_decoders = {kind: msgspec.json.Decoder(GenericAlias(list, (kind,))) for kind in ROWS}


class PostgresStore:
    """`url` as in `postgresql://user@host:port/database`. Connects when first used, and again whenever needed."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=1,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": STATEMENT_TIMEOUT_S,
                "server_settings": {
                    "application_name": "bot4-journal",
                    "synchronous_commit": "off",
                    # Tables grow from nothing to millions of rows; a plan made for the empty ones would stay.
                    "plan_cache_mode": "force_custom_plan",
                },
            },
        )

    async def prepare(self) -> None:
        async with self._transaction() as connection:
            await connection.execute(DURABLY)
            await connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)

    async def cursor(self) -> Cursor:
        async with self._transaction() as connection:
            row = (await connection.execute(select(tables.progress))).one()
        followed = {"sequence": row.sequence, "origins": row.origins, "writers": row.writers}
        return Cursor(epoch=row.epoch, followed=msgspec.convert(followed, Continuity))

    async def apply(self, changes: Changes, before: Cursor, after: Cursor) -> None:
        async with self._transaction() as connection:
            # First of all, so that whoever else would write waits here, and then finds the cursor moved.
            moved = await connection.execute(
                update(tables.progress)
                .where(tables.progress.c.epoch == before.epoch, tables.progress.c.sequence == before.sequence)
                .values(sequence=after.sequence, origins=after.followed.origins, writers=after.followed.writers)
            )
            if moved.rowcount != 1:
                raise Moved(f"the cursor is not at {before.epoch}/{before.sequence}")
            for rows in written(changes, await _known(connection, changes)):
                await connection.execute(WRITE[type(rows[0])], {"rows": _text(rows)})

    async def reset(self) -> None:
        async with self._transaction() as connection:
            await connection.execute(DURABLY)
            await connection.execute(
                update(tables.progress).values(epoch=tables.progress.c.epoch + 1, sequence=0, origins={}, writers={})
            )
            await connection.execute(text("TRUNCATE " + ", ".join(kind.table for kind in ROWS)))

    async def rows(self, kind: type[R]) -> list[R]:
        """What a table holds, in the order of its keys."""
        table = tables.metadata.tables[kind.table]
        ordered = select(table).order_by(*table.primary_key).subquery("ordered")
        async with self._transaction() as connection:
            return await _read(connection, kind, select(_json_of(ordered)), {})

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (OSError, TimeoutError) as error:
            raise Unavailable(repr(error)) from error
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or ""
            if not error.connection_invalidated and not state.startswith(PASSING):
                raise
            raise Unavailable(f"{state} {error.orig}") from error


def _upgrade(connection: Connection) -> None:
    if _version(connection) == HEAD:
        return
    # Imported when there is something to migrate: it would be a third of every start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    """The migration that the tables are at; none before the first one."""
    if connection.execute(select(func.to_regclass("alembic_version"))).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


async def _known(connection: AsyncConnection, changes: Changes) -> Known:
    return Known(
        orders=await _find(connection, OrderRow, ((order_id,) for order_id in changes.orders)),
        early=await _take_early(connection, changes.begun),
        lists=await _find(connection, ListRow, ((list_id,) for list_id in changes.lists)),
        stops=await _find(connection, StopRow, ((order_id,) for order_id in changes.stops)),
        pnl=await _find(connection, PnlRow, changes.pnl),
    )


async def _find(connection: AsyncConnection, kind: type[R], keys: Iterable[tuple[str, ...]]) -> list[R]:
    wanted = [dict(zip(kind.key, key, strict=True)) for key in keys]
    return await _read(connection, kind, FIND[kind], {"keys": _text(wanted)}) if wanted else []


async def _take_early(connection: AsyncConnection, order_ids: set[str]) -> list[OrderEvent]:
    wanted = [{"order_id": order_id} for order_id in order_ids]
    return await _read(connection, OrderEvent, TAKE_EARLY, {"keys": _text(wanted)}) if wanted else []


async def _read(
    connection: AsyncConnection, kind: type[R], statement: Executable, parameters: dict[str, str]
) -> list[R]:
    found = (await connection.execute(statement, parameters)).scalar_one()
    rows: list[R] = _decoders[kind].decode(found or "[]")
    return rows


def _text(rows: Sequence[Any]) -> str:
    # Text in PostgreSQL cannot hold NUL. Our names have none, but a venue's message may.
    return _encoder.encode(rows).replace(rb"\u0000", rb"\ufffd").decode()


# The statements, one of each kind per table.


def _given(parameter: str, table: Table, names: Iterable[str]) -> TableValuedAlias:
    """The rows of a JSON parameter, as columns of the table's types."""
    columns = [column(name, table.c[name].type) for name in names]
    rows = func.json_to_recordset(cast(bindparam(parameter, type_=Text), JSON)).table_valued(*columns)
    return rows.render_derived(name="given", with_types=True)


def _json_of(rows: Any) -> Any:
    return cast(func.json_agg(rows.table_valued()), Text)


def _write(kind: type[Row]) -> Insert:
    """A new row, or a newer state of one. What only ever happens once is not replaced: twice is a fault."""
    table = tables.metadata.tables[kind.table]
    names = [column.name for column in table.c]
    statement = insert(table).from_select(names, select(_given("rows", table, names)))
    rest = {name: statement.excluded[name] for name in names if name not in kind.key}
    return statement if kind in ONCE else statement.on_conflict_do_update(index_elements=kind.key, set_=rest)


def _find_by_key(kind: type[Row]) -> Select[Any]:
    table = tables.metadata.tables[kind.table]
    given = _given("keys", table, kind.key)
    return select(_json_of(table)).join(given, and_(*(table.c[name] == given.c[name] for name in kind.key)))


def _take() -> Select[Any]:
    table = tables.early_events
    given = _given("keys", table, ("order_id",))
    taken: Delete = delete(table).where(table.c.order_id.in_(select(given.c.order_id)))
    return select(_json_of(taken.returning(*table.c).cte("taken")))


WRITE = {kind: _write(kind) for kind in ROWS}
FIND: dict[type[Row], Select[Any]] = {kind: _find_by_key(kind) for kind in (OrderRow, ListRow, StopRow, PnlRow)}
TAKE_EARLY = _take()
