"""How does the journal service run? Two followers of the merged stream that do not wait for each other.

One projects into the database, one writes the archive. When either's other end is away, that follower tries again
until it is back, and goes on from where its last batch really came to; the other one does not notice. The database is
called behind a breaker, so that one that is unwell is not called again and again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from bot4_common import streams
from bot4_common.log import Log, Record
from bot4_common.telemetry import Meters
from bot4_journal import archive
from bot4_journal.archive import Archive, Damaged
from bot4_journal.guarded_store import GuardedStore
from bot4_journal.store import Cursor, Moved, Store, Unavailable, step

logger = logging.getLogger(__name__)

# A batch waits this long for company: projecting is far cheaper in bulk, and nobody trades on it.
LINGER_S = 0.1
# About 10,000 events: decoded, written and confirmed in some 200 ms, and small enough to hold twice in memory.
BATCH_BYTES = 2_000_000
# Frames heard while a batch is written; beyond it the log is asked to hold back.
INTAKE_BYTES = 2 * BATCH_BYTES
# When nothing happens, this often it is seen whether the other end is still there and still where it was.
IDLE_S = 0.5
# How long to wait before trying again: short enough to be back soon, doubled up to a second while nobody answers.
RETRY_S = 0.1
RETRY_S_MAX = 1.0
# How often the end of the journal is looked up, for the lag.
WATCH_S = 1.0


class Sink(Protocol):
    """Where a follower puts what it hears. `sequence` is how far that is whole."""

    @property
    def sequence(self) -> int: ...

    def backlog(self) -> Iterable[Record]:
        """What can be had of the next frames without the log."""

    async def take(self, batch: list[Record]) -> None: ...

    async def idle(self) -> None:
        """Called now and then when there is nothing to take."""

    async def close(self) -> None: ...


class Projection:
    """Into the store; from the archive first as far as that is ahead, since the stream may have been trimmed there."""

    def __init__(self, store: Store, directory: Path | None, cursor: Cursor) -> None:
        self._store = store
        self._directory = directory
        self._cursor = cursor
        self.events = 0

    @classmethod
    async def open(cls, store: Store, directory: Path | None) -> Projection:
        await store.prepare()
        return cls(store, directory, await store.cursor())

    @property
    def sequence(self) -> int:
        return self._cursor.sequence

    def backlog(self) -> Iterator[Record]:
        if self._directory is None:
            return
        try:
            yield from archive.records(self._directory, self.sequence)
        except Damaged as damaged:
            logger.error("the archive cannot be read to its end, going on from the stream: %s", damaged)

    async def take(self, batch: list[Record]) -> None:
        changes, after = step(self._cursor, batch)
        await self._store.apply(changes, self._cursor, after)
        self._cursor = after

    async def idle(self) -> None:
        """Raises `Moved` when somebody else has written, or has begun a rebuild."""
        stored = await self._store.cursor()
        if (stored.epoch, stored.sequence) != (self._cursor.epoch, self._cursor.sequence):
            raise Moved(f"the cursor is at {stored.epoch}/{stored.sequence}")

    async def close(self) -> None:
        """There is nothing to close: the store outlives its followers."""


class Archiving:
    def __init__(self, opened: Archive) -> None:
        self._archive = opened

    @classmethod
    async def open(cls, directory: Path) -> Archiving:
        return cls(await asyncio.to_thread(Archive, directory))

    @property
    def sequence(self) -> int:
        return self._archive.last

    def backlog(self) -> Iterator[Record]:
        return iter(())

    async def take(self, batch: list[Record]) -> None:
        # Compressing and writing hold no lock of the interpreter for long, so the projections go on meanwhile.
        await asyncio.to_thread(self._archive.append, batch)

    async def idle(self) -> None:
        """The lock on the archive is ours until we close it: nobody can have moved it."""

    async def close(self) -> None:
        self._archive.close()


class Follower:
    """Follows the journal into a sink, and opens that again while it raises one of `passing`.

    Anything else ends `run`: a journal that cannot be trusted, or a database that refuses what the journal says.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        open: Callable[[], Awaitable[Sink]],
        passing: tuple[type[Exception], ...],
        clock: Callable[[], int],
        meters: Meters,
    ) -> None:
        self._name = name
        self._log = log
        self._open = open
        self._passing = passing
        self._clock = clock
        self._stopping = asyncio.Event()
        self._failures = 0
        self.ready = False
        self.sequence = 0
        self.lag = meters.gauge(f"bot4_{name}_lag_frames", "Frames in the journal and not yet taken")
        self._batches = meters.histogram(f"bot4_{name}_batch_seconds", "Writing one batch")
        self._frames = meters.counter(f"bot4_{name}_frames", "Frames taken")
        self._retries = meters.counter(f"bot4_{name}_retries", "Times the other end was away")

    def stop(self) -> None:
        """Finishes the batch under way, then ends `run`."""
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._follow()
            except self._passing as error:
                self.ready = False
                self._retries.inc()
                if not self._failures:
                    logger.warning("%s: interrupted: %s", self._name, error)
                await self._pause()

    async def _follow(self) -> None:
        sink = await self._open()
        try:
            target = await self._log.end(streams.JOURNAL)
            self.sequence = sink.sequence
            logger.info("%s: from sequence %d, the journal ends at %d", self._name, self.sequence, target)
            for batch in _batched(sink.backlog()):
                if self._stopping.is_set():
                    return
                await self._take(sink, batch)
            intake = Intake(self._stopping)
            reading = await self._log.read(streams.JOURNAL, sink.sequence, intake.hear, intake.fail)
            try:
                while not self._stopping.is_set():
                    self.ready = sink.sequence >= target
                    batch = await intake.take()
                    await (self._take(sink, batch) if batch else sink.idle())
                    self._failures = 0
            finally:
                await reading.stop()
        finally:
            await sink.close()

    async def _take(self, sink: Sink, batch: list[Record]) -> None:
        started = self._clock()
        await sink.take(batch)
        self._batches.observe((self._clock() - started) / 1e9)
        self._frames.inc(len(batch))
        self.sequence = sink.sequence

    async def _pause(self) -> None:
        seconds = min(RETRY_S * 2**self._failures, RETRY_S_MAX)
        self._failures += 1
        await _wait(self._stopping, seconds)


class Intake:
    """Records heard and not yet taken. A full one makes the log wait."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._heard = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: Exception | None = None

    def hear(self, record: Record) -> Awaitable[object] | None:
        self._records.append(record)
        self._bytes += len(record.data)
        self._heard.set()
        if self._bytes < INTAKE_BYTES:
            return None
        self._room.clear()
        return self._room.wait()

    def fail(self, error: Exception) -> None:
        self._failure = error
        self._heard.set()

    async def take(self) -> list[Record]:
        """The next batch; an empty one when nothing was heard for a while. Raises what the log could not mend."""
        await _wait(self._heard, IDLE_S)
        if self._heard.is_set():
            await _wait(self._stopping, LINGER_S)
        if self._failure is not None:
            raise self._failure
        return self._next()

    def _next(self) -> list[Record]:
        batch: list[Record] = []
        size = 0
        while self._records and size < BATCH_BYTES:
            batch.append(self._records.popleft())
            size += len(batch[-1].data)
        self._bytes -= size
        if not self._records:
            self._heard.clear()
        if self._bytes < INTAKE_BYTES:
            self._room.set()
        return batch


class Journal:
    """The service: its followers, and what it tells about itself. `caught_up` is called once they have."""

    def __init__(
        self,
        log: Log,
        store: Store,
        directory: Path | None,
        clock: Callable[[], int],
        meters: Meters,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._caught_up = caught_up
        guarded = GuardedStore(store, clock, meters)

        async def project() -> Sink:
            return await Projection.open(guarded, directory)

        self.projector = Follower("projection", log, project, (Unavailable, Moved), clock, meters)
        self._followers = [self.projector]
        if directory is not None:
            folder = directory

            async def keep() -> Sink:
                return await Archiving.open(folder)

            self._followers.append(Follower("archive", log, keep, (OSError,), clock, meters))

    def stop(self) -> None:
        for follower in self._followers:
            follower.stop()

    def status(self) -> dict[str, Any]:
        return {
            "service": "journal",
            "ready": all(follower.ready for follower in self._followers),
            "sequences": [follower.sequence for follower in self._followers],
        }

    async def run(self) -> None:
        """Until `stop`, or until the journal turns out not to be trusted."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            running = [group.create_task(follower.run()) for follower in self._followers]
            await asyncio.wait(running)
            watching.cancel()

    async def _watch(self) -> None:
        catching_up = True
        while True:
            if catching_up and self.status()["ready"]:
                catching_up = False
                self._caught_up()
            end = await self._log.end(streams.JOURNAL)
            for follower in self._followers:
                follower.lag.set(max(end - follower.sequence, 0))
            await asyncio.sleep(WATCH_S)


def _batched(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.data)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """For the event, so long at most."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
