"""Whatever fails while it runs, the journal service ends with the rows and the archive of a run without failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common import streams
from bot4_common.log import ChainBroken, Record
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.telemetry import Meters
from bot4_common.testing import SimulatedLoop
from bot4_journal import archive
from bot4_journal.memory_store import MemoryStore
from bot4_journal.projections import ROWS, OrderEvent, Row
from bot4_journal.rebuild import rebuild
from bot4_journal.service import BATCH_BYTES, INTAKE_BYTES, Intake, Journal
from bot4_journal.store import Cursor, Store, step
from bot4_journal.testing import WRITERS, Story

PERFECT = Faults()
FAULTS = Faults(append_lost=0.1, append_ack_lost=0.1, append_twice=0.1, delay=0.05)


class World:
    """A broker, a store, and a journal service between them that may be killed and started again."""

    def __init__(self, loop: SimulatedLoop, story: Story, faults: Faults = PERFECT, away: float = 0.0) -> None:
        self.rng = Random(1)
        self.broker = Broker(self.rng, faults, streams.JOURNAL, streams.JOURNALED)
        self.store = MemoryStore(self.rng, lost=away, answer_lost=away)
        self._loop = loop
        self._stored = story.sealed()
        self._turns = [stream for stream in story.order if stream in streams.JOURNALED]
        self._process = 0
        self._log = MemoryLog(self.broker)
        self.journal = self._journal()

    def start(self) -> None:
        self._log = MemoryLog(self.broker)
        self.journal = self._journal()
        self._process = self._loop.spawn(self.journal.run())

    def kill(self) -> None:
        self._log.kill()
        self._loop.kill(self._process)

    def write(self, frames: int) -> None:
        """The services store their next frames."""
        for stream in self._turns[:frames]:
            stored = self._stored[stream]
            number = len(self.broker.streams[stream])
            self.broker.store(stream, WRITERS[stream], number, stored[number])
        del self._turns[:frames]

    async def caught_up(self) -> None:
        """Until everything written is merged and projected."""
        end = sum(len(self.broker.streams[stream]) for stream in streams.JOURNALED)
        await until(lambda: self.journal.projector.ready and self.journal.projector.sequence == end)

    def _journal(self) -> Journal:
        return Journal(self._log, self.store, None, self._loop.clock, Meters("journal"))


def simulate(seed: int, run: Callable[[SimulatedLoop], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop(seed)
    loop.run(run(loop))


def tables(store: MemoryStore) -> dict[str, list[Row]]:
    return {kind.table: list(store.rows(kind)) for kind in ROWS if kind is not OrderEvent}


async def straight(records: list[Record]) -> dict[str, list[Row]]:
    store = MemoryStore(Random(0))
    await projected(store, records)
    return tables(store)


async def projected(store: Store, records: list[Record]) -> None:
    cursor = Cursor()
    changes, after = step(cursor, records)
    await store.apply(changes, cursor, after)


def test_what_is_written_is_projected_and_then_the_service_is_ready() -> None:
    async def run(loop: SimulatedLoop) -> None:
        story = Story(1).play(10)
        world = World(loop, story)
        world.write(20)
        world.start()
        assert not world.journal.status()["ready"]
        await world.caught_up()
        world.write(1_000)
        await world.caught_up()
        assert world.journal.status()["ready"]
        assert tables(world.store) == await straight(story.journal())

    simulate(1, run)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_crashes_and_a_failing_store_change_no_row(seed: int) -> None:
    async def run(loop: SimulatedLoop) -> None:
        story, chance = Story(seed).play(10), Random(seed)
        world = World(loop, story, FAULTS, away=0.2)
        world.start()
        for _ in range(12):
            world.write(chance.randint(1, 15))
            await asyncio.sleep(chance.random())
            if chance.random() < 0.5:
                world.kill()
                world.start()
        world.write(1_000)
        await world.caught_up()
        assert tables(world.store) == await straight(story.journal())
        assert not world.store.rows(OrderEvent)

    simulate(seed, run)


def test_two_services_at_once_change_no_row() -> None:
    async def run(loop: SimulatedLoop) -> None:
        story = Story(2).play(20)
        world = World(loop, story, FAULTS)
        world.start()
        world.start()
        for _ in range(20):
            world.write(10)
            await asyncio.sleep(0.2)
        world.write(1_000)
        await world.caught_up()
        assert tables(world.store) == await straight(story.journal())

    simulate(2, run)


def test_a_store_that_is_away_makes_the_service_unready_until_it_is_back() -> None:
    async def run(loop: SimulatedLoop) -> None:
        world = World(loop, Story(3).play(5))
        world.start()
        world.write(1_000)
        await world.caught_up()
        world.store.lost = 1.0
        await asyncio.sleep(1)
        assert not world.journal.status()["ready"]
        world.store.lost = 0.0
        await asyncio.sleep(2)
        assert world.journal.status()["ready"]

    simulate(3, run)


def test_a_frame_that_does_not_follow_stops_the_service() -> None:
    async def run(loop: SimulatedLoop) -> None:
        story = Story(4).play(5)
        story.frames["RISK_0"][3:4] = []
        world = World(loop, story)
        world.write(20)
        with pytest.raises(ExceptionGroup) as caught:
            await world.journal.run()
        assert caught.group_contains(ChainBroken)

    simulate(4, run)


def test_stopping_ends_the_service_after_its_batch() -> None:
    async def run(loop: SimulatedLoop) -> None:
        world = World(loop, Story(5).play(5))
        running = loop.create_task(world.journal.run())
        world.write(1_000)
        await world.caught_up()
        world.journal.stop()
        await running

    simulate(5, run)


def test_a_rebuild_forgets_the_rows_and_the_running_service_brings_them_back() -> None:
    async def run(loop: SimulatedLoop) -> None:
        story = Story(6).play(20)
        world = World(loop, story)
        world.start()
        world.write(1_000)
        await world.caught_up()
        seen: list[tuple[int, int]] = []
        await rebuild(world.store, MemoryLog(world.broker), lambda done, total: seen.append((done, total)))
        assert seen[-1] == (len(story.journal()), len(story.journal()))
        assert (await world.store.cursor()).epoch == 1
        assert tables(world.store) == await straight(story.journal())

    simulate(6, run)


def test_a_rebuild_without_a_running_service_says_so() -> None:
    async def run(loop: SimulatedLoop) -> None:
        world = World(loop, Story(7).play(3))
        world.write(1_000)
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError, match="is the journal service running"):
            await rebuild(world.store, MemoryLog(world.broker))

    simulate(7, run)


def test_a_full_intake_makes_the_log_wait_until_a_batch_is_taken() -> None:
    async def run(loop: SimulatedLoop) -> None:
        intake = Intake(asyncio.Event())
        half = Record("JOURNAL", 1, b" " * (INTAKE_BYTES // 2), ("GATEWAY", 1))
        for _ in range(2):
            assert intake.hear(half) is None
            waiting = intake.hear(half)
            assert waiting is not None
            room = asyncio.ensure_future(waiting)
            await asyncio.sleep(1)
            assert not room.done()
            while await intake.take():
                pass
            await asyncio.sleep(0)
            assert room.done()

    simulate(8, run)


def test_nothing_is_lost_between_batches() -> None:
    async def run(loop: SimulatedLoop) -> None:
        intake = Intake(asyncio.Event())
        records = [Record("JOURNAL", n, b" " * (BATCH_BYTES // 3), ("GATEWAY", n)) for n in range(1, 6)]
        for record in records:
            intake.hear(record)
        assert [await intake.take(), await intake.take(), await intake.take()] == [records[:4], records[4:], []]

    simulate(9, run)


# The archive needs files and threads, so it is followed in real time.


def test_the_archive_is_written_while_the_store_is_away(tmp_path: Path) -> None:
    async def run() -> None:
        story = Story(8).play(10)
        broker = Broker(Random(1), merged=streams.JOURNAL, sources=streams.JOURNALED)
        store = MemoryStore(Random(1), lost=1.0)
        journal = Journal(MemoryLog(broker), store, tmp_path, lambda: 0, Meters("journal"))
        running = asyncio.create_task(journal.run())
        for record in story.journal():
            stream, sequence = record.origin
            broker.store(stream, WRITERS[stream], sequence - 1, record.data)
        await until(lambda: len(list(archive.records(tmp_path))) == len(story.journal()))
        assert not journal.status()["ready"]
        store.lost = 0.0
        await until(lambda: bool(journal.status()["ready"]))
        journal.stop()
        await running
        assert archive.verify(tmp_path).findings == []
        assert tables(store) == await straight(broker.streams[streams.JOURNAL])

    asyncio.run(run())


def test_what_the_stream_has_no_more_is_projected_from_the_archive(tmp_path: Path) -> None:
    async def run() -> None:
        records = Story(9).play(10).journal()
        opened = archive.Archive(tmp_path)
        opened.append(records)
        opened.close()
        broker = Broker(Random(1), merged=streams.JOURNAL)
        broker.streams[streams.JOURNAL] = [*[UNREADABLE] * 50, *records[50:]]
        store = MemoryStore(Random(1))
        journal = Journal(MemoryLog(broker), store, tmp_path, lambda: 0, Meters("journal"))
        running = asyncio.create_task(journal.run())
        await until(lambda: bool(journal.status()["ready"]))
        journal.stop()
        await running
        assert tables(store) == await straight(records)

    asyncio.run(run())


UNREADABLE = Record(streams.JOURNAL, 0, b"", ("", 0))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - nothing that is waited for here has an event to tell it
            await asyncio.sleep(0.02)
