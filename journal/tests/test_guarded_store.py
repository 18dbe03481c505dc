"""A database that fails is left alone, asked again later, and nothing of the projections is lost meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from bot4_common.breaker import BreakerRules
from bot4_common.log import Record
from bot4_common.telemetry import Meters
from bot4_journal.guarded_store import GuardedStore
from bot4_journal.memory_store import MemoryStore
from bot4_journal.projections import ROWS
from bot4_journal.store import Cursor, Moved, Unavailable, step
from bot4_journal.testing import Story

RULES = BreakerRules()
SECOND = 1_000_000_000


class Database:
    """A store that can be taken away, its calls counted, behind a breaker whose time is told by hand."""

    def __init__(self) -> None:
        self.store = MemoryStore(Random(0))
        self.now = SECOND
        self.meters = Meters("journal")
        self.guarded = GuardedStore(self.store, lambda: self.now, self.meters)
        self.called = 0
        inner = self.store.cursor

        async def counted() -> Cursor:
            self.called += 1
            return await inner()

        self.store.cursor = counted  # type: ignore[method-assign]

    async def fail(self, times: int) -> None:
        self.store.lost = 1.0
        for _ in range(times):
            with pytest.raises(Unavailable):
                await self.guarded.cursor()

    def figure(self, name: str) -> float | None:
        return self.meters.registry.get_sample_value(name, {"service": "journal", "breaker": "database"})


def on(case: Callable[[Database], Awaitable[None]]) -> None:
    asyncio.run(_run(case))


async def _run(case: Callable[[Database], Awaitable[None]]) -> None:
    await case(Database())


def test_a_database_that_fails_too_often_is_not_called_until_it_has_rested() -> None:
    async def case(database: Database) -> None:
        await database.fail(RULES.samples_min)
        called = database.called
        await database.fail(3)
        assert database.called == called
        database.now += RULES.dwell_ns
        await database.fail(1)
        assert database.called == called + 1

    on(case)


def test_a_database_that_is_well_again_is_called_as_before() -> None:
    async def case(database: Database) -> None:
        await database.fail(RULES.samples_min)
        database.store.lost = 0.0
        database.now += RULES.dwell_ns
        for _ in range(RULES.probes):
            await database.guarded.cursor()
        assert database.guarded.breaker.state == "closed"

    on(case)


def test_a_cursor_that_has_moved_says_nothing_against_the_database() -> None:
    async def case(database: Database) -> None:
        changes, after = step(Cursor(), Story(1).play(1).journal())
        await database.guarded.apply(changes, Cursor(), after)
        for _ in range(2 * RULES.samples_min):
            with pytest.raises(Moved):
                await database.guarded.apply(changes, Cursor(), after)
        assert database.guarded.breaker.state == "closed"

    on(case)


def test_every_change_is_in_the_metrics_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def case(database: Database) -> None:
        await database.fail(RULES.samples_min + 1)
        assert (database.figure("bot4_breaker_state"), database.figure("bot4_breaker_changes_total")) == (2, 1)
        database.now += RULES.dwell_ns
        await database.fail(1)
        assert (database.figure("bot4_breaker_state"), database.figure("bot4_breaker_changes_total")) == (1, 2)

    with caplog.at_level(logging.WARNING):
        on(case)
    assert [record.getMessage() for record in caplog.records] == [
        "the breaker of the database is open: 10 of 10 calls failed, change 1 lately",
        "the breaker of the database is half_open: 0 of 0 calls failed, change 2 lately",
    ]


def test_a_database_that_comes_and_goes_is_flapping_until_it_is_steady() -> None:
    async def case(database: Database) -> None:
        while not database.guarded.breaker.flapping(database.now):
            await database.fail(RULES.samples_min)
            database.now += RULES.dwell_ns
        assert database.figure("bot4_breaker_flapping") == 1
        database.store.lost = 0.0
        database.now += RULES.changes_age_ns
        await database.guarded.cursor()
        assert database.figure("bot4_breaker_flapping") == 0

    on(case)


def test_what_is_projected_between_outages_is_what_would_have_been_projected_without() -> None:
    async def case(database: Database) -> None:
        records, chance = Story(3).play(20).journal(), Random(3)
        store, breaker = database.store, database.guarded.breaker
        opened, position = 0, 0
        while position < len(records):
            # Well for a while, then away for a while.
            store.lost = store.answer_lost = 0.9 if (database.now // (20 * SECOND)) % 2 else 0.0
            database.now += SECOND // 4
            position = await projected(database, records, chance)
            opened += breaker.state == "open"
        assert opened
        straight = MemoryStore(Random(0))
        changes, after = step(Cursor(), records)
        await straight.apply(changes, Cursor(), after)
        assert [store.rows(kind) for kind in ROWS] == [straight.rows(kind) for kind in ROWS]

    on(case)


async def projected(database: Database, records: list[Record], chance: Random) -> int:
    """Tries to take one batch more, as a follower does; gives how far it has come, as far as it can tell."""
    try:
        cursor = await database.guarded.cursor()
        batch = records[cursor.sequence : cursor.sequence + chance.randint(1, 3)]
        changes, after = step(cursor, batch)
        await database.guarded.apply(changes, cursor, after)
    except Unavailable:
        return 0
    return after.sequence
