"""What every store must do, and what PostgreSQL does besides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from bot4_common.log import Record
from bot4_common.messages.gateway import PlaceOrder, ReplaceOrder
from bot4_common.messages.risk import ListApproved, OrderApproved, OrderHeld, OrderRefused
from bot4_journal.memory_store import MemoryStore
from bot4_journal.migrations import HEAD
from bot4_journal.postgres_store import MIGRATIONS, PostgresStore
from bot4_journal.projections import ROWS, FillRow, OrderRow, PositionRow, Row
from bot4_journal.scenes import LongStory
from bot4_journal.store import Cursor, Moved, Store, Unavailable, step
from bot4_journal.tables import metadata
from bot4_journal.testing import Story

if TYPE_CHECKING:
    from journal.tests.conftest import PostgresServer

AnyStore = MemoryStore | PostgresStore
R = TypeVar("R", bound=Row)
Case = Callable[[AnyStore], Awaitable[None]]
Run = Callable[[Case], None]


@pytest.fixture(params=["memory", "postgres"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a case on an empty store."""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return lambda case: asyncio.run(on_empty_store(url, case))


async def on_empty_store(url: str | None, case: Case) -> None:
    store = PostgresStore(url) if url is not None else MemoryStore(Random(0))
    try:
        await store.prepare()
        await case(store)
    finally:
        if isinstance(store, PostgresStore):
            await store.close()


async def feed(store: Store, records: list[Record], batch: int = 25) -> Cursor:
    cursor = await store.cursor()
    for start in range(0, len(records), batch):
        changes, after = step(cursor, records[start : start + batch])
        await store.apply(changes, cursor, after)
        cursor = after
    return cursor


def journal() -> list[Record]:
    return LongStory(5).play(12).journal(Random(5))


def test_what_is_written_is_read_as_it_was(run: Run) -> None:
    async def case(store: AnyStore) -> None:
        expected = MemoryStore(Random(0))
        await feed(expected, journal(), batch=1_000_000)
        await feed(store, journal())
        for kind in ROWS:
            assert await rows(store, kind) == expected.rows(kind)

    run(case)


async def rows(store: AnyStore, kind: type[R]) -> list[R]:
    return store.rows(kind) if isinstance(store, MemoryStore) else await store.rows(kind)


def test_the_cursor_moves_with_the_rows(run: Run) -> None:
    async def case(store: AnyStore) -> None:
        cursor = await feed(store, journal())
        assert await store.cursor() == cursor
        assert cursor.sequence == len(journal())

    run(case)


def test_a_batch_is_applied_once(run: Run) -> None:
    async def case(store: AnyStore) -> None:
        before = await store.cursor()
        changes, after = step(before, journal())
        await store.apply(changes, before, after)
        with pytest.raises(Moved):
            await store.apply(changes, before, after)
        assert await store.cursor() == after

    run(case)


def test_a_reset_forgets_all_rows_and_begins_another_epoch(run: Run) -> None:
    async def case(store: AnyStore) -> None:
        left = await feed(store, journal())
        await store.reset()
        assert not await rows(store, OrderRow)
        cursor = await store.cursor()
        assert (cursor.sequence, cursor.epoch) == (0, left.epoch + 1)
        await feed(store, journal())
        assert len(await rows(store, OrderRow)) > 20

    run(case)


def test_whoever_was_left_behind_by_a_reset_cannot_write(run: Run) -> None:
    async def case(store: AnyStore) -> None:
        before = await store.cursor()
        changes, after = step(before, journal())
        await store.reset()
        with pytest.raises(Moved):
            await store.apply(changes, before, after)
        assert not await rows(store, FillRow)

    run(case)


# PostgreSQL only.


@pytest.fixture
def on_postgres(database_url: str) -> Run:
    return lambda case: asyncio.run(on_empty_store(database_url, case))


def test_an_opening_order_without_a_stop_loss_cannot_be_stored(on_postgres: Run) -> None:
    story = Story(1)
    story.trade(["filled"])
    story.alter(OrderApproved, order=lambda approved: replace(approved.order, stop_loss=None))

    async def case(store: AnyStore) -> None:
        with pytest.raises(IntegrityError, match="opening_order_has_stop_loss"):
            await feed(store, story.journal())
        assert (await store.cursor()).sequence == 0

    on_postgres(case)


@pytest.mark.parametrize("name", ["drop", "replace", "bracket", "list_at_venue"])
def test_no_order_that_is_held_or_in_a_list_can_be_stored_without_a_stop_loss(on_postgres: Run, name: str) -> None:
    story = LongStory(1)
    getattr(story, name)()
    for kind in (OrderHeld, ListApproved, PlaceOrder, OrderApproved, ReplaceOrder):
        unprotect(story, kind)

    async def case(store: AnyStore) -> None:
        with pytest.raises(IntegrityError, match="opening_order_has_stop_loss"):
            await feed(store, story.journal())

    on_postgres(case)


def unprotect(story: Story, kind: type[Any]) -> None:
    """Takes the stop-losses of all events of the kind away; what risk itself approves needs none."""
    for frame in story.frames["GATEWAY"] + story.frames["RISK_0"]:
        for decision in frame.decisions:
            for index, event in enumerate(decision.events):
                if isinstance(event, kind) and isinstance(event, ListApproved):
                    legs = [replace(leg, order=replace(leg.order, stop_loss=None)) for leg in event.legs]
                    decision.events[index] = replace(event, legs=legs)
                elif isinstance(event, kind):
                    unprotected: Any = replace(event, order=replace(event.order, stop_loss=None), **_closing(event))
                    decision.events[index] = unprotected


def _closing(event: object) -> dict[str, bool]:
    """Not even what claims to open nothing."""
    return {"opening": False} if isinstance(event, OrderApproved) else {}


def test_amounts_keep_every_digit(on_postgres: Run) -> None:
    exact = Decimal("12345678901234567890123456789.123456789012345678901234567890")
    story = Story(1)
    story.trade(["refused"])
    story.alter(PlaceOrder, order=lambda asked: replace(asked.order, quantity=exact))

    async def case(store: AnyStore) -> None:
        await feed(store, story.journal())
        [order] = await rows(store, OrderRow)
        assert order.quantity == exact

    on_postgres(case)


def test_text_that_postgres_cannot_hold_does_not_stop_the_projections(on_postgres: Run) -> None:
    story = Story(1)
    story.trade(["refused"])
    story.alter(OrderRefused, details={"quote": 'a\x00b "c"'})

    async def case(store: AnyStore) -> None:
        await feed(store, story.journal())
        [order] = await rows(store, OrderRow)
        assert order.details == {"quote": 'a\ufffdb "c"'}

    on_postgres(case)


def test_the_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_the_migrations_build_the_tables_that_are_written(database_url: str) -> None:
    async def differences() -> object:
        store = PostgresStore(database_url)
        await store.prepare()
        await store.prepare()
        await store.close()
        engine = create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            found = await connection.run_sync(_compared)
        await engine.dispose()
        return found

    assert asyncio.run(differences()) == []


# A row that each older version could have written.
OLDER = {
    "0001": "INSERT INTO positions VALUES ('alice', 'BTC-USDT', 1, 1)",
    "0002": "INSERT INTO orders VALUES ('1-0', 'alice', 'momentum', 'a', 'BTC-USDT', 'buy', 'limit', 1, 1, 'gtc',"
    " false, false, null, false, 'open', 0, 0, '', '{}', '', 1, 1, 1, 0, 'sim')",
}


@pytest.mark.parametrize("revision", OLDER)
def test_what_an_older_version_projected_is_projected_again(database_url: str, revision: str) -> None:
    async def upgraded() -> tuple[list[Row], int]:
        engine = create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            await connection.run_sync(_migrate, revision)
            await connection.execute(text(OLDER[revision]))
            await connection.execute(text("UPDATE progress SET epoch = 3, sequence = 7"))
        await engine.dispose()
        store = PostgresStore(database_url)
        await store.prepare()
        found: list[Row] = [*await store.rows(PositionRow), *await store.rows(OrderRow)]
        cursor = await store.cursor()
        assert (cursor.sequence, cursor.epoch > 3) == (0, True)
        after = await feed(store, journal())
        await store.close()
        return found, after.sequence

    assert asyncio.run(upgraded()) == ([], len(journal()))


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _compared(connection: Connection) -> object:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def test_every_row_is_a_table_with_its_columns() -> None:
    for kind in ROWS:
        table = metadata.tables[kind.table]
        assert {column.name for column in table.c} == set(kind.__struct_fields__)
        assert {column.name for column in table.primary_key} == set(kind.key)


def test_a_killed_server_is_unavailable_and_loses_rows_only_together_with_the_cursor(postgres: PostgresServer) -> None:
    async def case(store: AnyStore) -> None:
        await feed(store, journal())
        postgres.kill()
        with pytest.raises(Unavailable):
            await store.cursor()
        postgres.start()
        expected = MemoryStore(Random(0))
        await feed(expected, journal())
        await feed(store, journal()[(await store.cursor()).sequence :])
        for kind in ROWS:
            assert await rows(store, kind) == expected.rows(kind)

    asyncio.run(on_empty_store(postgres.database(), case))
