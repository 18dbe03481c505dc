"""In which order does the gateway take in what four writers say? Every frame after the frames its writer had read.

The streams arrive side by side, so execution's word on an order may be here before risk's. Each frame says how far
its writer had read the other streams: one that is ahead of us is held until we have caught up. Nobody waits for
ever: what a writer has read is stored, so it arrives, and a frame cannot have been read before it was written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple

from bot4_common.log import Chain, Log, Reading, Record
from bot4_common.messages.frame import Frame, decode_frame

# Frames of one stream that may be held; beyond it the log is asked to hold back. Other streams go on, so it ends.
HELD_MAX = 1_024
# After so many events callers and probes get their turn: a few milliseconds of folding.
EVENTS_AT_ONCE = 1_000

Take = Callable[[str, int, Frame], None]


class _Held(NamedTuple):
    sequence: int
    frame: Frame
    # Its number and hash: what the writer's next frame must follow.
    head: tuple[int, str]


class Follower:
    """Calls `take(stream, sequence, frame)` once for every frame behind `cursors`, in an order that causes precede.

    `remind` hears what is read again of frames at or before the cursors. What goes wrong goes to `failed`.
    """

    def __init__(
        self,
        log: Log,
        streams: tuple[str, ...],
        take: Take,
        remind: Callable[[int, Frame], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.cursors = dict.fromkeys(streams, 0)
        # The last frame taken of every writer: its number and hash.
        self.heads: dict[str, dict[str, tuple[int, str]]] = {stream: {} for stream in streams}
        self._log = log
        self._take = take
        self._remind = remind
        self._failed = failed
        self._chains = {stream: Chain() for stream in streams}
        self._held: dict[str, deque[_Held]] = {stream: deque() for stream in streams}
        self._holding = 0
        self._room = {stream: asyncio.Event() for stream in streams}
        self._readings: list[Reading] = []
        self._at_once = 0

    def restore(self, cursors: Mapping[str, int], heads: Mapping[str, Mapping[str, tuple[int, str]]]) -> None:
        """Goes on behind these frames, which must end in these."""
        self.cursors.update(cursors)
        for stream, writers in heads.items():
            for writer, (number, hashed) in writers.items():
                self._chains[stream].trust(writer, number, hashed)
                self.heads[stream][writer] = number, hashed

    async def open(self, after: Mapping[str, int]) -> None:
        """Reads each stream behind its place in `after`, or behind its cursor."""
        for stream, cursor in self.cursors.items():
            start = after.get(stream, cursor)
            self._readings.append(await self._log.read(stream, start, partial(self._hear, stream), self._failed))

    async def close(self) -> None:
        for reading in self._readings:
            await reading.stop()
        for room in self._room.values():
            room.set()

    def has_reached(self, ends: Mapping[str, int]) -> bool:
        return all(self.cursors[stream] >= end for stream, end in ends.items())

    def _hear(self, stream: str, record: Record) -> Awaitable[object] | None:
        frame = decode_frame(record.data)
        if record.sequence <= self.cursors[stream]:
            self._remind(record.sequence, frame)
            return self._pause(frame)
        chain = self._chains[stream]
        chain.check(frame, record)
        heard = _Held(record.sequence, frame, chain.last(frame.writer))
        held = self._held[stream]
        if held or not self._is_due(frame):
            held.append(heard)
            self._holding += 1
            if len(held) < HELD_MAX:
                return None
            self._room[stream].clear()
            return self._room[stream].wait()
        self._fold(stream, heard)
        if self._holding:
            self._release()
        return self._pause(frame)

    def _pause(self, frame: Frame) -> Awaitable[object] | None:
        self._at_once += sum(len(decision.events) for decision in frame.decisions)
        if self._at_once < EVENTS_AT_ONCE:
            return None
        self._at_once = 0
        return asyncio.sleep(0)

    def _is_due(self, frame: Frame) -> bool:
        cursors = self.cursors
        return all(cursors.get(stream, sequence) >= sequence for stream, sequence in frame.read.items())

    def _release(self) -> None:
        """Takes what was held until nothing more is due."""
        going = True
        while going:
            going = False
            for stream, held in self._held.items():
                while held and self._is_due(held[0].frame):
                    self._fold(stream, held.popleft())
                    self._holding -= 1
                    going = True
                if len(held) < HELD_MAX:
                    self._room[stream].set()

    def _fold(self, stream: str, heard: _Held) -> None:
        self._take(stream, heard.sequence, heard.frame)
        self.cursors[stream] = heard.sequence
        self.heads[stream][heard.frame.writer] = heard.head
