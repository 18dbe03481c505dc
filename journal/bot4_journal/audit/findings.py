"""Which rules are there, and which of them were broken where?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from bot4_common.messages.terms import EventId

T = TypeVar("T")

RULES: dict[str, str] = {
    # The record.
    "sequence": "The sequences of a stream have no gap.",
    "origin": "The merged stream has every frame of the streams it merges, in their order.",
    "frame": "Every record is a frame.",
    "chain": "Every frame names the hash of its writer's frame before it.",
    "read": "How far a writer has read never goes back.",
    "cause": "A writer decides the events of a stream in their order, each at most once, and none it has not read.",
    # Risk.
    "answered": "Everything that was asked is answered, once, and nothing else is.",
    "asked": "An order is approved as it was asked for; smaller only for the reasons there are, never larger.",
    "taken": "A client order id is decided once within the window, and not approved again while its order is open.",
    "killed": "Nothing is approved while a kill switch is engaged that covers it, but what risk itself closes.",
    "gate": "While the gate is enabled, nothing is approved that it was not asked about, and nothing that it refused.",
    "limits": "Versions of the limits count up by one.",
    "self_trade": "Orders of one owner that would meet lose what was said of them, and go out as small as that.",
    "stop_loss": "An order that can open a position carries a stop-loss; one that has none only reduces.",
    "exit": "An order that nobody asked for is an exit that a stop or a kill switch wants, and every such is approved.",
    "held": "An order that is held is sent once, when what it waits for has come, or cancelled.",
    "list": "A list is approved whole, goes to its venue as it was approved, and ends when all of its orders have.",
    "overfill": "Of orders that are alternatives, no more is filled than one of them.",
    "reserved": "What an order reserves is what may still fill of it, and never less than nothing.",
    "amend": "An amend that is approved is sent, answered and settled, once, as the venue has answered it.",
    "position": "Every fill moves its position, once, by what was filled.",
    "protected": "A position is covered by exits under way and by stops, which protect just what those leave.",
    "reduce_only": "A reduce-only order never takes a position through zero, nor opens one.",
    "release": "What an order that is over will never fill is released, once.",
    # Execution.
    "sent": "Every approved order is sent, once, as it was approved, and nothing else is.",
    "breaker": "Nothing that can open a position is sent to a venue whose breaker is open.",
    "life": "An order is acknowledged before it fills, ends once, and has no life after it but fills told late.",
    "fill": "Fills add up: to the cumulative quantity, to what is left, never to more than the order has by then.",
    "trade": "A trade fills an order once.",
    "feed": "What the venue tells a session is taken number by number.",
    # Money.
    "cost": "Every fill has one cost, whose parts add up to the last digit.",
    "fee": "The fee of every cost lowers equity, once.",
    "cash": "Money paid and received in fills is what the ledger of positions says, to the last digit.",
    # The venue.
    "venue_order": "The venue takes up only what was sent to it, as it was sent, once.",
    "venue_trade": "A trade has two sides of one price and quantity, and each side's client is told it.",
    "venue_fill": "The fills of an order at the venue, and all that changes how much of it there is, add up.",
    "venue_told": "What a session has taken is what the venue told it.",
}

# A journal that is broken once is often broken everywhere: the first findings tell what happened, the rest are counted.
FINDINGS_KEPT = 1_000


class Finding(msgspec.Struct, frozen=True):
    """`rule` is a key of `RULES`, `where` a place in a stream, `what` the contradiction in words and numbers."""

    rule: str
    where: str
    what: str


class Findings:
    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.total = 0

    def add(self, rule: str, where: object, what: str) -> None:
        assert rule in RULES, rule
        self.total += 1
        if len(self.kept) < FINDINGS_KEPT:
            self.kept.append(Finding(rule, str(where), what))


class Owed(Generic[T]):
    """What has to follow from events of one stream, oldest first, until it is paid by whoever reads that stream."""

    def __init__(self) -> None:
        self._open: dict[EventId, T] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, id: EventId, what: T) -> None:
        self._open[id] = what

    def owed(self, id: EventId | None) -> T | None:
        """What is owed for the event, to look at."""
        return None if id is None else self._open.get(id)

    def pay(self, id: EventId | None) -> T | None:
        """What was owed for the event; none when nothing is."""
        return None if id is None else self._open.pop(id, None)

    def overdue(self, through: int) -> Iterator[tuple[EventId, T]]:
        """Gives up on, and gives, what is owed for events up to sequence `through`."""
        while self._open:
            id = next(iter(self._open))
            if id.sequence > through:
                return
            yield id, self._open.pop(id)

    def values(self) -> Iterator[T]:
        return iter(self._open.values())
