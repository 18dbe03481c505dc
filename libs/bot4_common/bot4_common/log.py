"""What does a service need of the outside? A log to append to and read from, and a bus to speak on.

Two implementations pass one contract suite: `nats_log` (NATS JetStream) and `memory_log` (simulated, with faults).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec

from bot4_common.messages.frame import Decision, Frame, decode_frame, encode, frame_hash


class Record(NamedTuple):
    """One stored frame: its stream, its sequence there (from 1), its bytes.

    In the merged stream JOURNAL, `origin` is the stream and sequence the frame was written to first.
    """

    stream: str
    sequence: int
    data: bytes
    origin: tuple[str, int]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A writer's state as of its frame `number` at `sequence`, and what is needed to go on from there."""

    writer: str
    sequence: int
    number: int
    hash: str
    read: dict[str, int]
    state_hash: str
    state: bytes


class Fenced(Exception):
    """Another process wrote the next frame: what this one believes is not the truth any more."""


class AppendUnknown(Exception):
    """No answer to an append: the frame may or may not be stored."""


class ChainBroken(Exception):
    """A frame is missing, altered or out of order. Nothing built on it can be trusted."""


# Takes one record. If it returns something, that is waited for before the next record: a full reader's way to say so.
Into = Callable[[Record], Awaitable[object] | None]


class Reading(Protocol):
    """An endless read. Stop it when it is not wanted any more."""

    async def stop(self) -> None: ...


class Log(Protocol):
    async def append(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        """Stores `data` durably if the writer's last frame stands at `expected` (0: it has none); gives its sequence.

        Raises `Fenced` when it does not, `AppendUnknown` when no answer came. One append in flight per writer.
        """

    async def last(self, stream: str, writer: str) -> Record | None:
        """The writer's newest frame."""

    async def end(self, stream: str) -> int:
        """The sequence of the newest frame of the stream, 0 when it is empty."""

    async def read(self, stream: str, after: int, into: Into, failed: Callable[[Exception], None]) -> Reading:
        """Calls `into` with every frame after sequence `after`, stored and to come, in order, without gap, once.

        It survives reconnection. What it cannot mend, a hole in the stream, goes to `failed` as `ChainBroken`, and so
        does what `into` raises; then the reading is over.
        """

    async def save(self, snapshot: Snapshot) -> None:
        """Raises `AppendUnknown` when it may not have been stored; the older snapshot stays whole.

        One that is older than what is saved does nothing.
        """

    async def saved(self, writer: str) -> Snapshot | None:
        """The writer's newest complete snapshot."""

    async def say(self, subject: str, data: bytes) -> None:
        """Tells whoever listens now, in the order of saying; may be lost."""

    async def listen(self, subject: str, into: Callable[[bytes], None]) -> Reading:
        """`subject` may end in `.>`, which matches any rest."""

    async def ask(self, subject: str, data: bytes, timeout: float) -> bytes:
        """Raises `TimeoutError` when nobody answers within `timeout` seconds."""

    async def answer(self, subject: str, respond: Callable[[bytes], Awaitable[bytes]]) -> Reading: ...

    async def close(self) -> None: ...


class Chain:
    """Follows the hash chain of every writer met in a stream."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, str]] = {}

    def anchor(self, frame: Frame, data: bytes) -> None:
        """Trusts this frame as the place to go on from."""
        self._last[frame.writer] = (frame.number, frame_hash(data))

    def trust(self, writer: str, number: int, hashed: str) -> None:
        self._last[writer] = (number, hashed)

    def check(self, frame: Frame, record: Record) -> None:
        """Raises `ChainBroken` unless the frame follows its writer's last one. A new writer is taken as it comes."""
        known = self._last.get(frame.writer)
        if known is not None:
            number, hashed = known
            if frame.number != number + 1 or frame.previous != hashed:
                raise ChainBroken(
                    f"{record.stream} {record.sequence}: frame {frame.number} of {frame.writer} "
                    f"does not follow its frame {number}"
                )
        self.anchor(frame, record.data)

    def last(self, writer: str) -> tuple[int, str]:
        """The number and hash of the writer's last frame; (0, "") before its first."""
        return self._last.get(writer, (0, ""))


class FrameWriter:
    """Appends one writer's frames, chained, each exactly once, one at a time."""

    def __init__(self, log: Log, stream: str, writer: str, pause: Callable[[], Awaitable[None]]) -> None:
        self._log = log
        self._pause = pause
        self.stream = stream
        self.writer = writer
        self.sequence = 0
        self.number = 0
        self.hash = ""

    def follow(self, sequence: int, number: int, hashed: str) -> None:
        """The writer's last frame is known to be this one."""
        self.sequence, self.number, self.hash = sequence, number, hashed

    async def resume(self) -> Record | None:
        """Finds the writer's last frame and goes on from it."""
        record = await self._log.last(self.stream, self.writer)
        if record is not None:
            self.follow(record.sequence, decode_frame(record.data).number, frame_hash(record.data))
        return record

    async def store(self, decisions: list[Decision], read: dict[str, int], at: int) -> tuple[Frame, int]:
        """Returns the stored frame and its sequence. Tries until the outcome is known; raises `Fenced` if it lost."""
        frame = Frame(
            writer=self.writer,
            number=self.number + 1,
            previous=self.hash,
            decided_at=at,
            decisions=decisions,
            read=read,
        )
        data = encode(frame)
        sequence = await self._store(data)
        self.follow(sequence, frame.number, frame_hash(data))
        return frame, sequence

    async def _store(self, data: bytes) -> int:
        while True:
            try:
                return await self._log.append(self.stream, self.writer, self.sequence, data)
            except AppendUnknown:
                # The same bytes with the same expectation: the log can take them only once.
                await self._pause()
            except Fenced:
                record = await self._log.last(self.stream, self.writer)
                if record is not None and record.data == data:
                    return record.sequence
                raise
