"""May a venue be asked for more risk now? A breaker for each venue, and a fuse for all of them together.

Outcomes are read off execution's own events, so the breakers are the fold of them like everything else. A breaker that
an event moves keeps the change in `unsaid`, until it is said. While half-open it counts only what comes of its probes:
what older orders still do says little about new ones.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import msgspec

from bot4_common.breaker import Breaker
from bot4_common.errors import is_retryable
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.execution import (
    AmendRejected,
    CancelRejected,
    FeedAdvanced,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OutcomeUnknown,
)
from bot4_common.messages.terms import Event

FUSE = "fuse"
# One account or one market is at its limit: the same request may succeed later, but the venue is well.
OF_A_WELL_VENUE = frozenset(("ORDER_COUNT", "OPEN_STOPS", "MARKET_NOT_OPEN"))


class Breakers(msgspec.Struct):
    """By the venue's name, and the fuse. One that has seen nothing is closed."""

    breakers: dict[str, Breaker] = {}
    unsaid: list[BreakerChanged] = []

    def refusal(self, venue: str) -> str:
        """The code with which an order for the venue is refused just now; empty if it may go."""
        for name, code in ((venue, "BREAKER_OPEN"), (FUSE, "FUSE_OPEN")):
            breaker = self.breakers.get(name)
            if breaker is not None and not breaker.admits:
                return code
        return ""

    @property
    def deadline(self) -> int | None:
        """When (ns) an open breaker has rested. A probe is unknown long before its breaker would give it up."""
        resting = (each.deadline for each in self.breakers.values() if each.state == "open")
        return min((at for at in resting if at is not None), default=None)

    def rested(self, now: int) -> list[BreakerChanged]:
        """The changes that time alone brings; they are made when they are said."""
        copies = (msgspec.structs.replace(each) for each in self.breakers.values() if each.state == "open")
        return [change for each in copies if (change := each.tick(now)) is not None]

    # Only `evolve` calls what follows.

    def call(self, venue: str, now: int) -> list[str]:
        """An order goes to the venue; of which breakers it is a probe."""
        called = (self.breakers.get(name) for name in (venue, FUSE))
        return [each.name for each in called if each is not None and each.state == "half_open" and each.allow(now)]

    def record(self, outcome: Outcome, probes: Container[str]) -> None:
        """`probes` are the breakers, if any, that the order is a probe of."""
        for name in (outcome.venue, FUSE):
            breaker = self.breakers.setdefault(name, Breaker(name))
            if breaker.state == "half_open" and name not in probes:
                continue
            change = breaker.record(outcome.ok, outcome.at)
            if change is not None:
                self.unsaid.append(change)

    def change(self, said: BreakerChanged) -> None:
        if said in self.unsaid:
            self.unsaid.remove(said)
        else:
            self.breakers.setdefault(said.name, Breaker(said.name)).tick(said.at)


class Outcome(NamedTuple):
    """What came of a request: whether the venue did as it should, and when (ns, 0 for just now)."""

    venue: str
    child_id: str
    ok: bool
    at: int


def outcome(event: Event) -> Outcome | None:
    """None if the event tells of no outcome; what is refused here, without the venue, is none."""
    match event:
        case OrderAcknowledged():
            return Outcome(event.venue, event.child_id, True, event.accepted_at)
        case OrderFilled():
            return Outcome(event.venue, event.child_id, True, event.traded_at)
        case OrderAmended() | OrderCancelled():
            return Outcome(event.venue, event.child_id, True, 0)
        case CancelRejected():
            return Outcome(event.venue, event.child_id, _is_well(event.code), 0)
        case OrderRejected() | AmendRejected() if event.session_sequence:
            return Outcome(event.venue, event.child_id, _is_well(event.code), event.at)
        case FeedAdvanced() if event.request:
            return Outcome(event.venue, event.child_id, _is_well(event.code), event.at)
        case OutcomeUnknown() | OrderLost():
            return Outcome(event.venue, event.child_id, False, event.at)
    return None


def _is_well(code: str) -> bool:
    """Whether a venue that refuses with this code is well."""
    return not is_retryable(code) or code in OF_A_WELL_VENUE
