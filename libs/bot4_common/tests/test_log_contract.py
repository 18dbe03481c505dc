"""What every log keeps: one suite for the simulated one, with and without faults, and for NATS JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, Protocol

import pytest
import uvloop

from bot4_common.log import AppendUnknown, Chain, Fenced, FrameWriter, Log, Record, Snapshot
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.messages.frame import Decision, decode_frame
from bot4_common.messages.gateway import CancelOrder
from bot4_common.nats_log import connect, define
from bot4_common.testing import NatsServer, SimulatedLoop

NO_FAULTS = Faults()
FAULTS = Faults(append_lost=0.1, append_ack_lost=0.1, append_twice=0.1, save_lost=0.1, delay=0.005)

Connect = Callable[[], Awaitable[Log]]
Story = Callable[[Connect], Coroutine[Any, Any, None]]


class World(Protocol):
    """Where a story takes place: the streams `first` and `second`, the stream `merged` of both, and a writer's name."""

    first: str
    second: str
    merged: str
    writer: str

    def run(self, story: Story) -> None: ...


@dataclass
class Simulated:
    faults: Faults
    first: str = "FIRST"
    second: str = "SECOND"
    merged: str = "MERGED"
    writer: str = "writer"

    def run(self, story: Story) -> None:
        for seed in range(10):
            broker = Broker(Random(seed), self.faults, self.merged, (self.first, self.second))

            async def connected(broker: Broker = broker) -> Log:
                return MemoryLog(broker)

            SimulatedLoop(seed).run(story(connected))


@dataclass
class Real:
    url: str
    first: str
    second: str
    merged: str
    writer: str
    opened: list[Log] = field(default_factory=list)

    def run(self, story: Story) -> None:
        async def connected() -> Log:
            log = await connect(self.url, "test")
            self.opened.append(log)
            await define(log, [self.first, self.second], self.merged, [self.first, self.second])
            return log

        async def whole() -> None:
            try:
                await asyncio.wait_for(story(connected), 20)
            finally:
                for log in self.opened:
                    await log.close()

        uvloop.run(whole())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


numbers = count(1)


@pytest.fixture(params=["memory", "memory with faults", "nats"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return Simulated(NO_FAULTS)
    if request.param == "memory with faults":
        return Simulated(FAULTS)
    server: NatsServer = request.getfixturevalue("server")
    n = next(numbers)
    return Real(server.url, f"FIRST_{n}", f"SECOND_{n}", f"MERGED_{n}", f"writer_{n}")


async def put(log: Log, stream: str, writer: str, expected: int, data: bytes) -> int:
    """Appends until the outcome is known."""
    while True:
        try:
            return await log.append(stream, writer, expected, data)
        except AppendUnknown:
            last = await log.last(stream, writer)
            if last is not None and last.data == data:
                return last.sequence


async def fill(log: Log, stream: str, writer: str, texts: list[bytes]) -> None:
    last = await log.last(stream, writer)
    expected = last.sequence if last else 0
    for text in texts:
        expected = await put(log, stream, writer, expected, text)


async def save(log: Log, snapshot: Snapshot) -> None:
    while True:
        try:
            return await log.save(snapshot)
        except AppendUnknown:
            continue


def texts(first: int, last: int) -> list[bytes]:
    return [b"%d" % n for n in range(first, last + 1)]


def snapshot(writer: str, sequence: int, state: bytes) -> Snapshot:
    return Snapshot(
        writer=writer,
        sequence=sequence,
        number=sequence,
        hash="h",
        read={"GATEWAY": 7},
        state_hash="s",
        state=state,
    )


def broken(error: Exception) -> None:
    raise error


class Ear:
    """Takes what is read, and lets a story wait for a number of records."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.more = asyncio.Event()

    def take(self, record: Record) -> None:
        self.records.append(record)
        self.more.set()

    async def heard(self, number: int) -> list[Record]:
        while len(self.records) < number:
            self.more.clear()
            await self.more.wait()
        return self.records

    @property
    def texts(self) -> list[bytes]:
        return [record.data for record in self.records]


async def silence() -> None:
    """Long enough for anything that was going to happen."""
    await asyncio.sleep(0.1)


def test_appends_stand_one_after_the_other(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        assert await put(log, world.first, "a", 0, b"one") == 1
        assert await put(log, world.first, "a", 1, b"two") == 2
        assert await log.last(world.first, "a") == Record(world.first, 2, b"two", (world.first, 2))
        assert await log.end(world.first) == 2

    world.run(story)


def test_an_empty_stream_has_no_last_frame_and_ends_at_zero(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        assert await log.last(world.first, "a") is None
        assert await log.end(world.first) == 0

    world.run(story)


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_an_append_with_a_wrong_expectation_is_fenced_and_stores_nothing(world: World, wrong: int) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        await fill(log, world.first, "a", texts(1, 2))
        with pytest.raises(Fenced):
            await put(log, world.first, "a", wrong, b"wrong")
        assert await log.end(world.first) == 2

    world.run(story)


def test_each_writer_of_a_shared_stream_has_its_own_expectation(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        assert await put(log, world.first, "a", 0, b"a1") == 1
        assert await put(log, world.first, "b", 0, b"b1") == 2
        assert await put(log, world.first, "a", 1, b"a2") == 3
        assert await put(log, world.first, "b", 2, b"b2") == 4
        last = await log.last(world.first, "a")
        assert last is not None and last.sequence == 3

    world.run(story)


def test_of_two_that_append_at_once_one_is_fenced(world: World) -> None:
    async def story(connected: Connect) -> None:
        logs = [await connected(), await connected()]
        outcomes = await asyncio.gather(
            *(log.append(world.first, "a", 0, b"%d" % n) for n, log in enumerate(logs)), return_exceptions=True
        )
        assert await logs[0].end(world.first) <= 1
        assert any(isinstance(outcome, Fenced | AppendUnknown) for outcome in outcomes)

    world.run(story)


def test_a_reader_gets_what_is_stored_and_what_comes_in_order_once(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, other, ear = await connected(), await connected(), Ear()
        await fill(log, world.first, "a", texts(1, 20))
        reading = await other.read(world.first, 0, ear.take, broken)
        await fill(log, world.first, "a", texts(21, 40))
        await ear.heard(40)
        await silence()
        assert ear.texts == texts(1, 40)
        assert [record.sequence for record in ear.records] == list(range(1, 41))
        await reading.stop()

    world.run(story)


def test_a_reader_may_begin_anywhere(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, inside, at_end = await connected(), Ear(), Ear()
        await fill(log, world.first, "a", texts(1, 10))
        await log.read(world.first, 7, inside.take, broken)
        await log.read(world.first, 10, at_end.take, broken)
        await fill(log, world.first, "a", texts(11, 11))
        await inside.heard(4)
        await at_end.heard(1)
        assert inside.texts == texts(8, 11)
        assert at_end.texts == texts(11, 11)

    world.run(story)


def test_a_busy_reader_gets_nothing_until_it_is_ready(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear, ready = await connected(), Ear(), asyncio.Event()

        def take(record: Record) -> Awaitable[object] | None:
            ear.take(record)
            return ready.wait() if record.sequence == 3 else None

        await fill(log, world.first, "a", texts(1, 10))
        await log.read(world.first, 0, take, broken)
        await ear.heard(3)
        await silence()
        assert len(ear.records) == 3
        ready.set()
        await ear.heard(10)
        assert ear.texts == texts(1, 10)

    world.run(story)


def test_what_a_reader_raises_reaches_its_owner_and_ends_the_reading(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear = await connected(), Ear()
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        def take(record: Record) -> None:
            ear.take(record)
            if record.sequence == 3:
                raise ValueError("cannot take it")

        await fill(log, world.first, "a", texts(1, 5))
        reading = await log.read(world.first, 0, take, failed.set_result)
        assert str(await failed) == "cannot take it"
        await silence()
        assert ear.texts == texts(1, 3)
        await reading.stop()

    world.run(story)


def test_what_a_busy_reader_raises_later_reaches_its_owner_too(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear = await connected(), Ear()
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        async def fail() -> None:
            await asyncio.sleep(0.01)
            raise ValueError("cannot take it")

        def take(record: Record) -> Awaitable[object]:
            ear.take(record)
            return fail()

        await fill(log, world.first, "a", texts(1, 5))
        await log.read(world.first, 0, take, failed.set_result)
        assert str(await failed) == "cannot take it"
        await silence()
        assert ear.texts == texts(1, 1)

    world.run(story)


def test_a_stopped_reader_hears_nothing_more(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear = await connected(), Ear()
        reading = await log.read(world.first, 0, ear.take, broken)
        await fill(log, world.first, "a", texts(1, 3))
        await ear.heard(3)
        await reading.stop()
        await fill(log, world.first, "a", texts(4, 6))
        await silence()
        assert ear.texts == texts(1, 3)

    world.run(story)


def test_a_busy_reader_can_be_stopped(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear = await connected(), Ear()

        waiting = asyncio.ensure_future(asyncio.Event().wait())

        def take(record: Record) -> Awaitable[object]:
            ear.take(record)
            return waiting

        await fill(log, world.first, "a", texts(1, 3))
        reading = await log.read(world.first, 0, take, broken)
        await ear.heard(1)
        await reading.stop()
        await silence()
        assert ear.texts == texts(1, 1) and waiting.cancelled()

    world.run(story)


def test_the_merged_stream_has_every_frame_with_its_origin(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear = await connected(), Ear()
        await log.read(world.merged, 0, ear.take, broken)
        await asyncio.gather(fill(log, world.first, "a", texts(1, 10)), fill(log, world.second, "b", texts(11, 20)))
        records = await ear.heard(20)
        assert [record.sequence for record in records] == list(range(1, 21))
        for stream, said in (world.first, texts(1, 10)), (world.second, texts(11, 20)):
            mine = [record for record in records if record.origin[0] == stream]
            assert [record.data for record in mine] == said
            assert [record.origin[1] for record in mine] == list(range(1, 11))

    world.run(story)


def test_the_newest_snapshot_is_found(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        assert await log.saved(world.writer) is None
        for sequence in (1, 2, 3):
            await save(log, snapshot(world.writer, sequence, b"state %d" % sequence))
        assert await log.saved(world.writer) == snapshot(world.writer, 3, b"state 3")
        assert await log.saved(world.writer + "x") is None

    world.run(story)


def test_an_older_snapshot_does_not_replace_a_newer_one(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, left_behind = await connected(), await connected()
        await save(log, snapshot(world.writer, 5, b"new"))
        await save(left_behind, snapshot(world.writer, 4, b"old"))
        assert await log.saved(world.writer) == snapshot(world.writer, 5, b"new")

    world.run(story)


def test_a_large_snapshot_comes_back_whole(world: World) -> None:
    state = Random(1).randbytes(9_000_000)  # more than two parts, even when compressed

    async def story(connected: Connect) -> None:
        log = await connected()
        await save(log, snapshot(world.writer, 1, state))
        assert await log.saved(world.writer) == snapshot(world.writer, 1, state)
        await save(log, snapshot(world.writer, 2, b"small again"))
        assert await log.saved(world.writer) == snapshot(world.writer, 2, b"small again")

    world.run(story)


def test_listeners_hear_what_is_said_to_them_in_order(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, other = await connected(), await connected()
        exact: list[bytes] = []
        under: list[bytes] = []
        subject = f"say.{world.first}"
        await log.listen(f"{subject}.x", exact.append)
        await log.listen(f"{subject}.>", under.append)
        await silence()
        for n in range(10):
            await other.say(f"{subject}.{'xy'[n % 2]}", b"%d" % n)
        await other.say(subject, b"not under")
        await silence()
        assert exact == [b"0", b"2", b"4", b"6", b"8"]
        assert under == [b"%d" % n for n in range(10)]

    world.run(story)


def test_a_stopped_listener_hears_nothing_more(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        heard: list[bytes] = []
        listening = await log.listen(f"stop.{world.first}", heard.append)
        await log.say(f"stop.{world.first}", b"1")
        await silence()
        await listening.stop()
        await log.say(f"stop.{world.first}", b"2")
        await silence()
        assert heard == [b"1"]

    world.run(story)


def test_a_question_is_answered(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, other = await connected(), await connected()

        async def respond(data: bytes) -> bytes:
            await asyncio.sleep(0.01)
            return data.upper()

        await log.answer(f"ask.{world.first}", respond)
        await silence()
        assert await other.ask(f"ask.{world.first}", b"what", 1.0) == b"WHAT"

    world.run(story)


def test_a_question_nobody_answers_in_time_is_given_up(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()

        async def think(data: bytes) -> bytes:
            await asyncio.sleep(3600)
            return data

        with pytest.raises(TimeoutError):
            await log.ask(f"nobody.{world.first}", b"", 0.1)
        await log.answer(f"slow.{world.first}", think)
        await silence()
        with pytest.raises(TimeoutError):
            await log.ask(f"slow.{world.first}", b"", 0.1)

    world.run(story)


def decision(n: int) -> Decision:
    return Decision(events=[CancelOrder(account="alice", order_id=f"{n}-0")])


def writer_of(log: Log, world: World) -> FrameWriter:
    return FrameWriter(log, world.first, "a", lambda: asyncio.sleep(0.01))


def test_a_frame_writer_stores_each_frame_once_and_chained(world: World) -> None:
    async def story(connected: Connect) -> None:
        log, ear, chain = await connected(), Ear(), Chain()
        writer = writer_of(log, world)
        for n in range(1, 51):
            frame, sequence = await writer.store([decision(n)], {"X": n}, at=n)
            assert (frame.number, sequence) == (n, n)
        await log.read(world.first, 0, ear.take, broken)
        for n, record in enumerate(await ear.heard(50), start=1):
            frame = decode_frame(record.data)
            chain.check(frame, record)
            assert frame.decisions == [decision(n)]
        assert await log.end(world.first) == 50

    world.run(story)


def test_a_frame_writer_goes_on_where_its_predecessor_stopped(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        assert await writer_of(log, world).resume() is None
        predecessor = writer_of(log, world)
        await predecessor.store([decision(1)], {}, at=1)
        writer = writer_of(log, world)
        record = await writer.resume()
        assert record is not None and decode_frame(record.data).decisions == [decision(1)]
        frame, sequence = await writer.store([decision(2)], {}, at=2)
        assert (frame.number, frame.previous, sequence) == (2, predecessor.hash, 2)

    world.run(story)


def test_a_frame_writer_that_was_overtaken_is_fenced(world: World) -> None:
    async def story(connected: Connect) -> None:
        log = await connected()
        old, new = writer_of(log, world), writer_of(log, world)
        await old.store([decision(1)], {}, at=1)
        await new.resume()
        await new.store([decision(2)], {}, at=2)
        with pytest.raises(Fenced):
            await old.store([decision(3)], {}, at=3)
        assert await log.end(world.first) == 2

    world.run(story)
