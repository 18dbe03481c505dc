"""What is true at a venue, whatever its clients believe? Faults begin there on request, and its own record is compared
with ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

from bot4_cli.proofs import opened
from bot4_cli.running import Run
from bot4_cli.trouble import FOUND, Trouble
from bot4_common import streams
from bot4_common.log import Log, Record
from bot4_common.messages.frame import decode_frame
from bot4_common.messages.market import FaultOrdered, Spoken, encode_spoken
from bot4_common.messages.venue import VenueFaultBegan
from bot4_exchange_simulator.faults import by_hand
from bot4_journal.score import Score, Scorer
from bot4_journal.time_order import TimeOrder

# A venue that lives begins a fault within milliseconds.
BEGINS_S = 3.0
# Frames of one stream that may wait for those of the other.
AHEAD_MAX = 1_024


async def order(run: Run, venue: str, ordered: FaultOrdered) -> VenueFaultBegan:
    """Has a fault begin, and returns the event that says so. Raises `Trouble` for one that cannot be, and when the
    venue does not answer."""
    try:
        by_hand(ordered.kind, 0, ordered.seconds, (), probability=ordered.probability, factor=ordered.factor)
    except ValueError as error:
        raise Trouble(str(error)) from None
    begun: asyncio.Future[VenueFaultBegan] = asyncio.get_running_loop().create_future()
    wanted = ordered.kind, ordered.session, "hand"

    def hear(record: Record) -> None:
        for decision in decode_frame(record.data).decisions:
            for event in decision.events:
                if isinstance(event, VenueFaultBegan) and (event.kind, event.session, event.cause) == wanted:
                    _finish(begun, event)

    async with opened(run) as log:
        stream = streams.venue(venue, streams.SHARD)
        reading = await log.read(stream, await log.end(stream), hear, lambda error: _finish(begun, error))
        try:
            await log.say(streams.control(venue), encode_spoken([Spoken(ordered)]))
            return await asyncio.wait_for(begun, BEGINS_S)
        except TimeoutError:
            raise Trouble(f"the venue {venue} does not answer: see `bot4 status`", FOUND) from None
        finally:
            await reading.stop()


async def score(run: Run, venue: str) -> Score:
    """From the first frames to the newest."""
    stream = streams.venue(venue, streams.SHARD)
    async with opened(run) as log:
        return await _Scoring(log, Scorer(venue, [streams.EXECUTION]), [stream, streams.EXECUTION]).run()


class _Scoring:
    """Reads streams side by side, none far ahead of the others, and has them scored in the order of time."""

    def __init__(self, log: Log, scorer: Scorer, read: list[str]) -> None:
        self._log = log
        self._scorer = scorer
        self._order = TimeOrder(read)
        self._ahead = dict.fromkeys(read, 0)
        self._room = asyncio.Event()
        self._ended: dict[str, asyncio.Future[None]] = {
            stream: asyncio.get_running_loop().create_future() for stream in read
        }

    async def run(self) -> Score:
        readings = []
        try:
            for stream, ended in self._ended.items():
                end = await self._log.end(stream)
                if end:
                    into = partial(self._hear, stream, end)
                    readings.append(await self._log.read(stream, 0, into, partial(_finish, ended)))
                else:
                    self._end(stream)
            await asyncio.gather(*self._ended.values())
        finally:
            for reading in readings:
                await reading.stop()
        return self._scorer.score()

    def _hear(self, stream: str, end: int, record: Record) -> Awaitable[object] | None:
        if self._ended[stream].done():
            return None
        self._ahead[stream] += 1
        for passed, frame in self._order.add(stream, decode_frame(record.data)):
            self._ahead[passed] -= 1
            self._scorer.hear(passed, frame)
        if record.sequence >= end:
            self._end(stream)
        elif self._ahead[stream] >= AHEAD_MAX:
            self._room.clear()
            return self._room.wait()
        self._room.set()
        return None

    def _end(self, stream: str) -> None:
        for passed, frame in self._order.end(stream):
            self._scorer.hear(passed, frame)
        self._room.set()
        self._ended[stream].set_result(None)


def _finish(outcome: asyncio.Future[Any], value: object) -> None:
    if outcome.done():
        return
    if isinstance(value, Exception):
        outcome.set_exception(value)
    else:
        outcome.set_result(value)
