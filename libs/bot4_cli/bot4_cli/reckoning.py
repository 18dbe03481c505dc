"""Was every accepted order done exactly once? What callers were told, held against what the streams say."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from bot4_cli.load import Sent
from bot4_common import streams
from bot4_common.log import Record
from bot4_common.messages.execution import OrderSent
from bot4_common.messages.frame import decode_frame
from bot4_common.messages.risk import OrderApproved, OrderRefused
from bot4_common.messages.venue import VenueOrderAccepted
from bot4_common.nats_log import NatsLog
from bot4_execution.domain import child_of
from bot4_journal.history import tell_stream

# An order whose caller was told how things stand may still be on its way.
SETTLE_S = 5.0
SETTLE_LOOK_S = 0.2


class Reckoned(msgspec.Struct, kw_only=True):
    """`wrong` says in words what is wrong with which order; empty if every order was done once."""

    sent: int
    accepted: int
    refused: int
    repeated: int
    wrong: list[str]


class Counts:
    """How often each order was decided, sent, and accepted by the venue."""

    def __init__(self) -> None:
        self._decided: dict[tuple[str, str], list[str]] = {}
        self._approved: set[str] = set()
        self._sent: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()

    def hear(self, record: Record) -> None:
        for decision in decode_frame(record.data).decisions:
            for event in decision.events:
                match event:
                    case OrderApproved() | OrderRefused():
                        key = event.account, event.order.client_order_id
                        self._decided.setdefault(key, []).append(event.order_id)
                        if isinstance(event, OrderApproved):
                            self._approved.add(event.order_id)
                    case OrderSent():
                        self._sent[event.order_id] += 1
                    case VenueOrderAccepted():
                        self._accepted[event.child_id] += 1

    def reckon(self, account: str, sent: Sequence[Sent]) -> Reckoned:
        told = [each for each in sent if each.order_id]
        return Reckoned(
            sent=len(sent),
            accepted=sum(each.status != "refused" for each in told),
            refused=sum(each.status == "refused" for each in sent),
            repeated=sum(each.tries > 1 for each in sent),
            wrong=[what for each in told for what in self._wrong(account, each)],
        )

    def _wrong(self, account: str, each: Sent) -> list[str]:
        decided = self._decided.get((account, each.order.client_order_id), [])
        wrong = []
        if decided != [each.order_id]:
            wrong.append(f"{each.order.client_order_id} was answered as {each.order_id} and decided as {decided}")
        if self._sent[each.order_id] != (each.order_id in self._approved):
            wrong.append(f"{each.order_id} was sent {self._sent[each.order_id]} times")
        if self._accepted[child_of(each.order_id)] > 1:
            wrong.append(f"the venue accepted {each.order_id} {self._accepted[child_of(each.order_id)]} times")
        return wrong


async def ends(log: NatsLog, venues: Iterable[str]) -> dict[str, int]:
    """Where the streams stand that are counted: to be taken before the first order."""
    counted = (streams.RISK, streams.EXECUTION, *map(streams.venue, venues))
    return {stream: await log.end(stream) for stream in counted}


async def reckon(log: NatsLog, after: dict[str, int], account: str, sent: Sequence[Sent]) -> Reckoned:
    """`sent` are all answered, and were placed by `account` when the streams stood at `after`."""
    until = time.monotonic() + SETTLE_S
    while True:
        counts = Counts()
        for stream, start in after.items():
            await tell_stream(log, stream, start, await log.end(stream), counts.hear)
        reckoned = counts.reckon(account, sent)
        if not reckoned.wrong or time.monotonic() > until:
            return reckoned
        await asyncio.sleep(SETTLE_LOOK_S)
