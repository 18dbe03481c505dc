"""How does the log behave when the world is against it? A simulated log whose faults all come from one seed.

`Broker` is what would survive a crash of every client; a `MemoryLog` is one process's connection to it. What a process
asked to be called with is called in the context of that process, whoever's action leads to it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from random import Random

from bot4_common.log import AppendUnknown, Fenced, Into, Record, Snapshot


@dataclass(frozen=True)
class Faults:
    """Probabilities per call, and the longest delay in seconds."""

    append_lost: float = 0.0
    append_ack_lost: float = 0.0
    append_twice: float = 0.0
    save_lost: float = 0.0
    say_lost: float = 0.0
    delay: float = 0.0


class Broker:
    """Streams, snapshots and subscribers. `merged` is the stream that sources `sources`, each in its own order."""

    def __init__(self, rng: Random, faults: Faults = Faults(), merged: str = "", sources: tuple[str, ...] = ()) -> None:
        self.rng = rng
        self.faults = faults
        self.streams: dict[str, list[Record]] = defaultdict(list)
        self.snapshots: dict[str, Snapshot] = {}
        self.readers: list[_MemoryReading] = []
        self.listeners: list[_Listener] = []
        self._last: dict[tuple[str, str], Record] = {}
        self._merged = merged
        self._waiting: dict[str, deque[Record]] = {source: deque() for source in sources}

    def store(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        last = self._last.get((stream, writer))
        if (last.sequence if last else 0) != expected:
            raise Fenced(f"{stream}: {writer} expected {expected}")
        record = self._put(stream, (stream, len(self.streams[stream]) + 1), data)
        self._last[stream, writer] = record
        if stream in self._waiting:
            self._waiting[stream].append(record)
            self.later(self._source, stream)
        return record.sequence

    def last(self, stream: str, writer: str) -> Record | None:
        return self._last.get((stream, writer))

    def delay(self) -> float:
        return self.rng.random() * self.faults.delay

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability

    def later(self, call: Callable[..., None], *given: object, context: Context | None = None) -> None:
        """After a random delay, in the context of the process concerned, or of none: the broker itself."""
        asyncio.get_running_loop().call_later(self.delay(), call, *given, context=context or Context())

    def _source(self, stream: str) -> None:
        record = self._waiting[stream].popleft()
        self._put(self._merged, (stream, record.sequence), record.data)

    def _put(self, stream: str, origin: tuple[str, int], data: bytes) -> Record:
        records = self.streams[stream]
        record = Record(stream, len(records) + 1, data, origin)
        records.append(record)
        for reader in self.readers:
            if reader.stream == stream:
                reader.wake()
        return record


class MemoryLog:
    """One connection. After `kill` it does nothing any more, as a killed process would."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: dict[_MemoryReading | _Listener, None] = {}
        self._alive = True

    def kill(self) -> None:
        self._alive = False
        for opened in self._open:
            opened.close()
        self._open.clear()

    async def append(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        broker, faults = self._broker, self._broker.faults
        await self._wait()
        if broker.happens(faults.append_lost):
            raise AppendUnknown(stream)
        sequence = broker.store(stream, writer, expected, data)
        if broker.happens(faults.append_twice):
            broker.later(self._again, stream, writer, expected, data)
        if broker.happens(faults.append_ack_lost):
            raise AppendUnknown(stream)
        await self._wait()
        return sequence

    def _again(self, stream: str, writer: str, expected: int, data: bytes) -> None:
        try:
            self._broker.store(stream, writer, expected, data)
        except Fenced:
            return  # what the expectation is for
        raise AssertionError(f"{stream}: the log took one append twice")

    async def last(self, stream: str, writer: str) -> Record | None:
        await self._wait()
        return self._broker.last(stream, writer)

    async def end(self, stream: str) -> int:
        await self._wait()
        return len(self._broker.streams[stream])

    async def read(self, stream: str, after: int, into: Into, failed: Callable[[Exception], None]) -> _MemoryReading:
        await self._wait()
        reading = _MemoryReading(self._broker, stream, after, into, failed, self._forget)
        self._open[reading] = None
        return reading

    async def save(self, snapshot: Snapshot) -> None:
        await self._wait()
        if self._broker.happens(self._broker.faults.save_lost):
            raise AppendUnknown(snapshot.writer)
        older = self._broker.snapshots.get(snapshot.writer)
        if older is None or older.sequence <= snapshot.sequence:
            self._broker.snapshots[snapshot.writer] = snapshot

    async def saved(self, writer: str) -> Snapshot | None:
        await self._wait()
        return self._broker.snapshots.get(writer)

    async def say(self, subject: str, data: bytes) -> None:
        if not self._alive:
            return
        broker = self._broker
        for listener in broker.listeners:
            if listener.wants(subject) and not broker.happens(broker.faults.say_lost):
                listener.deliver(data)

    async def listen(self, subject: str, into: Callable[[bytes], None]) -> _Listener:
        return self._opened(_Listener(self._broker, subject, self._forget, into=into))

    async def ask(self, subject: str, data: bytes, timeout: float) -> bytes:
        await self._wait()
        for listener in self._broker.listeners:
            if listener.respond is not None and listener.wants(subject):
                answering = listener.answer(data)
                await asyncio.wait({answering}, timeout=timeout)
                if answering.done():
                    return answering.result()
        raise TimeoutError(f"nobody answers {subject}")

    async def answer(self, subject: str, respond: Callable[[bytes], Awaitable[bytes]]) -> _Listener:
        return self._opened(_Listener(self._broker, subject, self._forget, respond=respond))

    async def close(self) -> None:
        self.kill()

    def _opened(self, listener: _Listener) -> _Listener:
        self._open[listener] = None
        return listener

    def _forget(self, opened: _MemoryReading | _Listener) -> None:
        self._open.pop(opened, None)

    async def _wait(self) -> None:
        """The way to the broker and back; a killed process never gets there."""
        await asyncio.sleep(self._broker.delay())
        if not self._alive:
            raise asyncio.CancelledError


class _MemoryReading:
    def __init__(
        self,
        broker: Broker,
        stream: str,
        after: int,
        into: Into,
        failed: Callable[[Exception], None],
        stopped: Callable[[_MemoryReading], None],
    ) -> None:
        self._broker = broker
        self.stream = stream
        self._position = after
        self._into = into
        self._failed = failed
        self._stopped = stopped
        self._context = copy_context()
        self._busy: asyncio.Future[object] | None = None
        self._open = True
        self._scheduled = False
        broker.readers.append(self)
        self.wake()

    def wake(self) -> None:
        if self._open and not self._scheduled:
            self._scheduled = True
            self._broker.later(self._deliver, context=self._context)

    def _deliver(self) -> None:
        self._scheduled = False
        records = self._broker.streams[self.stream]
        while self._open and self._position < len(records):
            record = records[self._position]
            self._position += 1
            try:
                busy = self._into(record)
            except Exception as error:  # noqa: BLE001 - not swallowed: the owner hears it
                self._fail(error)
                return
            if busy is not None:
                self._scheduled = True
                self._busy = asyncio.ensure_future(busy)
                self._busy.add_done_callback(self._taken)
                return

    def _taken(self, busy: asyncio.Future[object]) -> None:
        self._scheduled = False
        self._busy = None
        if busy.cancelled():
            return
        if isinstance(error := busy.exception(), Exception):
            self._fail(error)
        self.wake()

    def _fail(self, error: Exception) -> None:
        self.close()
        self._failed(error)

    def close(self) -> None:
        self._open = False
        if self in self._broker.readers:
            self._broker.readers.remove(self)

    async def stop(self) -> None:
        self.close()
        self._stopped(self)
        if self._busy is not None:
            self._busy.cancel()


class _Listener:
    def __init__(
        self,
        broker: Broker,
        subject: str,
        stopped: Callable[[_Listener], None],
        into: Callable[[bytes], None] | None = None,
        respond: Callable[[bytes], Awaitable[bytes]] | None = None,
    ) -> None:
        self._broker = broker
        self._subject = subject
        self._stopped = stopped
        self._into = into
        self.respond = respond
        self._context = copy_context()
        # On its way; one connection delivers in the order of saying.
        self._coming: deque[bytes] = deque()
        self._open = True
        broker.listeners.append(self)

    def wants(self, subject: str) -> bool:
        if self._subject.endswith(".>"):
            return subject.startswith(self._subject[:-1])
        return subject == self._subject

    def deliver(self, data: bytes) -> None:
        if self._into is not None:
            self._coming.append(data)
            self._broker.later(self._hear, context=self._context)

    def answer(self, data: bytes) -> asyncio.Future[bytes]:
        """The answering goes on, or ends, with the process that answers, not with the one that asks."""
        assert self.respond is not None
        return self._context.run(asyncio.ensure_future, self.respond(data))

    def _hear(self) -> None:
        data = self._coming.popleft()
        if self._open and self._into is not None:
            self._into(data)

    def close(self) -> None:
        self._open = False
        if self in self._broker.listeners:
            self._broker.listeners.remove(self)

    async def stop(self) -> None:
        self.close()
        self._stopped(self)
