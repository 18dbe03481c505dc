"""What happens to the log when the server is killed, frozen, damaged or slow to be read? On a real one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Any

import nats.errors
import pytest
import uvloop
from nats.js.api import StorageType

from bot4_common.log import AppendUnknown, Chain, ChainBroken, Fenced, FrameWriter, Record, Snapshot
from bot4_common.messages.frame import Decision, Frame, decode_frame
from bot4_common.messages.gateway import CancelOrder
from bot4_common.nats_log import NatsLog, _sequence, connect, define
from bot4_common.testing import NatsServer

STREAM, MERGED = "GATEWAY", "JOURNAL"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


def run(server: NatsServer, story: Callable[[NatsLog, NatsLog], Coroutine[Any, Any, None]]) -> None:
    """The story gets two connections: one to write, one to read."""

    async def whole() -> None:
        writing, reading = await connect(server.url, "writer"), await connect(server.url, "reader")
        await define(writing, [STREAM], MERGED, [STREAM])
        try:
            await asyncio.wait_for(story(writing, reading), 40)
        finally:
            await writing.close()
            await reading.close()

    uvloop.run(whole())


async def again(server: NatsServer, after: float = 0.0) -> float:
    """Kills the server and starts it again. Returns when it was up, by the monotonic clock."""
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(after)
    await asyncio.to_thread(server.start)
    return time.monotonic()


def decision(n: int) -> Decision:
    return Decision(events=[CancelOrder(account="alice", order_id=f"{n}-0")])


def frame_writer(log: NatsLog) -> FrameWriter:
    return FrameWriter(log, STREAM, "a", lambda: asyncio.sleep(0.05))


async def write(writer: FrameWriter, first: int, last: int) -> None:
    for n in range(first, last + 1):
        await writer.store([decision(n)], {}, at=n)


class Believer:
    """Reads frames and believes those that the chain proves."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.frames: list[Frame] = []
        self.heard_at: list[float] = []
        self.failure: Exception | None = None
        self._chain = Chain()
        self._more = asyncio.Event()

    def take(self, record: Record) -> None:
        frame = decode_frame(record.data)
        self._chain.check(frame, record)
        self.records.append(record)
        self.frames.append(frame)
        self.heard_at.append(time.monotonic())
        self._more.set()

    def fail(self, error: Exception) -> None:
        assert self.failure is None, "one reading fails once"
        self.failure = error
        self._more.set()

    async def heard(self, number: int) -> None:
        while len(self.frames) < number and self.failure is None:
            self._more.clear()
            await self._more.wait()

    async def failed(self) -> Exception:
        while self.failure is None:
            self._more.clear()
            await self._more.wait()
        return self.failure

    def believes_exactly(self, last: int) -> bool:
        return [frame.decisions for frame in self.frames] == [[decision(n)] for n in range(1, last + 1)]


def test_nothing_is_lost_or_repeated_when_the_server_is_killed_under_load(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        believer, merged = Believer(), Believer()
        await reading.read(STREAM, 0, believer.take, believer.fail)
        await reading.read(MERGED, 0, merged.take, merged.fail)
        load = asyncio.create_task(write(frame_writer(writing), 1, 900))
        for part in (1, 2, 3):
            await believer.heard(part * 200)
            up = await again(server)
            known = len(believer.frames)
            await believer.heard(known + 1)
            assert believer.heard_at[known] - up < 3
        await load
        await believer.heard(900)
        await merged.heard(900)
        await asyncio.sleep(0.2)
        assert believer.failure is None and believer.believes_exactly(900)
        assert merged.failure is None and merged.believes_exactly(900)
        assert [record.origin for record in merged.records] == [(STREAM, n) for n in range(1, 901)]

    run(server, story)


def test_an_append_during_an_outage_is_unknown_at_once(server: NatsServer) -> None:
    async def story(writing: NatsLog, _: NatsLog) -> None:
        await writing.append(STREAM, "a", 0, b"one")
        server.kill()
        started = time.monotonic()
        with pytest.raises(AppendUnknown):
            await writing.append(STREAM, "a", 1, b"two")
        assert time.monotonic() - started < 1

    run(server, story)


def test_an_append_in_flight_is_unknown_as_soon_as_the_connection_is_lost(server: NatsServer) -> None:
    async def story(writing: NatsLog, _: NatsLog) -> None:
        os.kill(server.pid, signal.SIGSTOP)
        appending = asyncio.create_task(writing.append(STREAM, "a", 0, b"one"))
        await asyncio.sleep(0.1)
        server.kill()
        lost = time.monotonic()
        with pytest.raises(AppendUnknown):
            await appending
        assert time.monotonic() - lost < 1

    run(server, story)


def test_a_server_that_does_not_answer_is_given_up_and_found_again(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        believer = Believer()
        await reading.read(STREAM, 0, believer.take, believer.fail)
        writer = frame_writer(writing)
        await write(writer, 1, 3)
        os.kill(server.pid, signal.SIGSTOP)
        storing = asyncio.create_task(write(writer, 4, 6))
        while writing.is_connected or reading.is_connected:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)
        os.kill(server.pid, signal.SIGCONT)
        await storing
        await believer.heard(6)
        assert believer.believes_exactly(6)

    run(server, story)


def test_a_frame_begun_during_an_outage_is_stored_once_when_the_server_is_back(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        writer, believer = frame_writer(writing), Believer()
        await write(writer, 1, 3)
        server.kill()
        storing = asyncio.create_task(writer.store([decision(4)], {}, at=4))
        await asyncio.sleep(0.5)
        assert not storing.done()
        await asyncio.to_thread(server.start)
        up = time.monotonic()
        _, sequence = await storing
        assert sequence == 4 and time.monotonic() - up < 3
        await reading.read(STREAM, 0, believer.take, believer.fail)
        await believer.heard(4)
        assert believer.believes_exactly(4) and await reading.end(STREAM) == 4

    run(server, story)


def test_a_writer_whose_frame_was_stored_unseen_does_not_store_it_twice(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        # The frame arrives, its answer does not: what the writer sees is the refusal of the repetition.
        seen, unseen = frame_writer(writing), frame_writer(reading)
        await seen.store([decision(1)], {}, at=1)
        _, sequence = await unseen.store([decision(1)], {}, at=1)
        assert sequence == 1 and await reading.end(STREAM) == 1
        with pytest.raises(Fenced):
            await frame_writer(reading).store([decision(2)], {}, at=1)

    run(server, story)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_flipped_bit_is_found_and_not_believed(server: NatsServer, how: str, place: float) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        live, late = Believer(), Believer()
        await write(frame_writer(writing), 1, 300)
        await reading.read(STREAM, 0, live.take, live.fail)
        await live.heard(300)
        await asyncio.to_thread(server.kill if how == "kill" else server.stop)
        flip(server.store, place)
        await asyncio.to_thread(server.start)
        await reading.read(STREAM, 0, late.take, late.fail)
        if await reading.end(STREAM) < 300:
            # The server cut the stream off at the damage: who was there before knows better.
            assert isinstance(await live.failed(), ChainBroken)
        else:
            # The server knows how many there were: who reads them all finds the hole.
            assert isinstance(await late.failed(), ChainBroken)
        await asyncio.sleep(0.2)
        assert len(late.frames) < 300 and late.believes_exactly(len(late.frames))

    run(server, story)


def flip(store: Path, place: float) -> None:
    [block] = [path for path in store.rglob("*.blk") if f"/{STREAM}/" in str(path)]
    data = bytearray(block.read_bytes())
    data[int(len(data) * place)] ^= 4
    block.write_bytes(data)


@pytest.mark.parametrize("gone", [3, 10])
def test_a_frame_deleted_from_the_store_is_missed(server: NatsServer, gone: int) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        believer = Believer()
        await write(frame_writer(writing), 1, 10)
        # The stream denies it to clients, so it is done as an operator would: with the rule lifted first.
        jetstream = writing._jetstream
        config = (await jetstream.stream_info(STREAM)).config
        await jetstream.delete_stream(STREAM)
        await jetstream.add_stream(config.evolve(deny_delete=False))
        await write(frame_writer(writing), 1, 10)
        await jetstream.delete_msg(STREAM, gone)
        await reading.read(STREAM, 0, believer.take, believer.fail)
        assert isinstance(await believer.failed(), ChainBroken)
        assert believer.believes_exactly(gone - 1)

    run(server, story)


def test_reading_what_was_trimmed_or_never_was_fails(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        trimmed, future, nowhere = Believer(), Believer(), Believer()
        await write(frame_writer(writing), 1, 10)
        await writing._jetstream.purge_stream(STREAM, seq=5)
        await reading.read(STREAM, 2, trimmed.take, trimmed.fail)
        await reading.read(STREAM, 11, future.take, future.fail)
        await reading.read("NOWHERE", 0, nowhere.take, nowhere.fail)
        for believer in trimmed, future, nowhere:
            assert isinstance(await believer.failed(), ChainBroken)
            assert believer.frames == []

    run(server, story)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.GATEWAY.consumer.1.1042.7.1700000000000000000.0",
        "$JS.ACK._.account.GATEWAY.consumer.1.1042.7.1700000000000000000.0",
        "$JS.ACK.domain.account.GATEWAY.consumer.1.1042.7.1700000000000000000.0.token",
    ],
)
def test_the_sequence_is_read_from_both_forms_of_the_reply(reply: str) -> None:
    assert _sequence(reply) == 1042


def test_a_slow_reader_misses_nothing_of_many_frames(server: NatsServer) -> None:
    number = 100_000

    async def story(writing: NatsLog, reading: NatsLog) -> None:
        # In memory, because writing so many is not what takes its time here.
        await writing._jetstream.add_stream(name="MANY", subjects=["MANY.*"], storage=StorageType.MEMORY)
        for n in range(1, number):
            await writing._client.publish("MANY.a", b"%d" % n)
        await writing.append("MANY", "a", number - 1, b"%d" % number)
        taken: list[bytes] = []
        everything = asyncio.Event()

        def take(record: Record) -> Awaitable[object] | None:
            taken.append(record.data)
            if len(taken) == number:
                everything.set()
            return asyncio.sleep(0.02) if len(taken) % 2_000 == 0 else None

        await reading.read("MANY", 0, take, Believer().fail)
        await everything.wait()
        assert taken == [b"%d" % n for n in range(1, number + 1)]

    run(server, story)


def test_a_reader_that_is_busy_for_long_gets_nothing_meanwhile(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        taken: list[int] = []
        ready, everything = asyncio.Event(), asyncio.Event()

        def take(record: Record) -> Awaitable[object] | None:
            taken.append(record.sequence)
            if len(taken) == 10:
                everything.set()
            return ready.wait() if record.sequence == 3 else None

        await write(frame_writer(writing), 1, 10)
        await reading.read(STREAM, 0, take, Believer().fail)
        await asyncio.sleep(2)  # longer than a silent consumer is given
        await again(server)
        await asyncio.sleep(0.5)
        assert taken == [1, 2, 3]
        ready.set()
        await everything.wait()
        assert taken == list(range(1, 11))

    run(server, story)


def test_a_reading_can_be_stopped_at_any_moment(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        load = asyncio.create_task(write(frame_writer(writing), 1, 400))
        restart = asyncio.create_task(again(server, after=0.3))
        chance = Random(1)
        while not (load.done() and restart.done()):
            believer = Believer()
            opened = await reading.read(STREAM, 0, believer.take, believer.fail)
            await asyncio.sleep(chance.random() * 0.02)
            reading.reconnected()  # what makes every reading begin again, at the worst moment
            await asyncio.sleep(0)
            await asyncio.wait_for(opened.stop(), 5)
            known = len(believer.frames)
            await asyncio.sleep(0.005)
            assert len(believer.frames) == known and believer.believes_exactly(known)
        await load

    run(server, story)


def test_what_was_listened_to_and_answered_before_an_outage_is_so_after_it(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        heard = asyncio.Event()

        async def respond(data: bytes) -> bytes:
            return data

        await reading.listen("bus.>", lambda _: heard.set())
        await reading.answer("question", respond)
        await again(server)
        while not heard.is_set():
            await writing.say("bus.x", b"")
            await asyncio.sleep(0.05)
        assert await writing.ask("question", b"still there?", 1.0) == b"still there?"

    run(server, story)


def test_the_bus_is_silent_but_harmless_during_an_outage(server: NatsServer) -> None:
    async def story(writing: NatsLog, _: NatsLog) -> None:
        server.kill()
        await asyncio.sleep(0.2)
        await writing.say("bus.x", b"lost")
        with pytest.raises(TimeoutError):
            await writing.ask("question", b"", 0.1)

    run(server, story)


def test_a_frame_larger_than_the_server_takes_is_an_error_and_not_tried_for_ever(server: NatsServer) -> None:
    async def story(writing: NatsLog, _: NatsLog) -> None:
        with pytest.raises(nats.errors.MaxPayloadError):
            await writing.append(STREAM, "a", 0, bytes(9_000_000))

    run(server, story)


def test_a_closed_log_says_so(server: NatsServer) -> None:
    async def story(_: NatsLog, reading: NatsLog) -> None:
        await reading.close()
        with pytest.raises(nats.errors.ConnectionClosedError):
            await reading.append(STREAM, "a", 0, b"one")
        with pytest.raises(nats.errors.ConnectionClosedError):
            await reading.end(STREAM)
        await reading.say("bus.x", b"to nobody")

    run(server, story)


def test_a_reader_whose_connection_is_closed_for_good_hears_of_it(server: NatsServer) -> None:
    async def story(_: NatsLog, reading: NatsLog) -> None:
        believer = Believer()
        await reading.read(STREAM, 0, believer.take, believer.fail)
        await asyncio.sleep(0.1)
        await reading._client.close()  # as the library does when the server sends it an error
        assert isinstance(await believer.failed(), nats.errors.ConnectionClosedError)

    run(server, story)


def snapshot(sequence: int, state: bytes) -> Snapshot:
    return Snapshot(writer="a", sequence=sequence, number=sequence, hash="", read={}, state_hash="", state=state)


async def break_off_saving(log: NatsLog, sequence: int) -> None:
    """Dies after the first of four parts."""
    before = await log.end("SNAPSHOTS")
    saving = asyncio.create_task(log.save(snapshot(sequence, Random(sequence).randbytes(16_000_000))))
    while await log.end("SNAPSHOTS") == before:
        assert not saving.done()
    saving.cancel()
    await asyncio.wait({saving})


def test_a_snapshot_stays_whole_however_often_the_next_one_is_broken_off(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        good = snapshot(1, Random(1).randbytes(5_000_000))
        await writing.save(good)
        for sequence in (2, 3, 4):
            await break_off_saving(writing, sequence)
            assert await reading.saved("a") == good
        await writing.save(snapshot(5, b"five"))
        assert await reading.saved("a") == snapshot(5, b"five")

    run(server, story)


def test_a_damaged_snapshot_is_ignored(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        await writing.save(snapshot(1, Random(1).randbytes(5_000_000)))
        _, head = await writing._head("a")
        await writing._jetstream.delete_msg("SNAPSHOTS", head.parts[1])
        assert await reading.saved("a") is None
        await writing.save(snapshot(2, b"two"))
        assert await reading.saved("a") == snapshot(2, b"two")

    run(server, story)


def test_of_two_snapshots_saved_at_once_one_is_found_whole(server: NatsServer) -> None:
    async def story(writing: NatsLog, reading: NatsLog) -> None:
        for n in range(1, 6):
            both = [snapshot(n, Random(n + by).randbytes(5_000_000)) for by in (0, 100)]
            await asyncio.gather(writing.save(both[0]), reading.save(both[1]), return_exceptions=True)
            assert await reading.saved("a") in both

    run(server, story)


def test_only_the_newest_snapshot_is_kept(server: NatsServer) -> None:
    async def story(writing: NatsLog, _: NatsLog) -> None:
        await writing.save(snapshot(1, Random(1).randbytes(9_000_000)))
        await writing.save(snapshot(2, b"small"))
        assert (await writing._jetstream.stream_info("SNAPSHOTS")).state.messages == 2

    run(server, story)
