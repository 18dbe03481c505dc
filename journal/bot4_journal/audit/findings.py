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
    "answered": "Every submission and every cancel request is answered, once, and nothing else is.",
    "asked": "An order is approved as it was asked for; only what reduces a position may be made smaller.",
    "taken": "A client order id is decided once within the window, and not approved again while its order is open.",
    "killed": "Nothing is approved for an account while its kill switch is engaged.",
    "stop_loss": "An order that can open a position carries a stop-loss.",
    "exit": "An order that nobody asked for is the exit of a stop that triggered, and every such exit is approved.",
    "position": "Every fill moves its position, once, by what was filled.",
    "protected": "A position is covered by stops and by exits under way.",
    "release": "What an order that is over will never fill is released, once.",
    # Execution.
    "sent": "Every approved order is sent, once, as it was approved, and nothing else is.",
    "life": "An order is acknowledged before it fills, ends once, and has no life after it.",
    "fill": "Fills add up: to the cumulative quantity, to what is left, never to more than the order.",
    "trade": "A trade fills an order once.",
    "feed": "What the venue tells a session is taken number by number.",
    # Money.
    "cost": "Every fill has one cost, whose parts add up to the last digit.",
    "cash": "Money paid and received in fills is what the ledger of positions says, to the last digit.",
    # The venue.
    "venue_order": "The venue accepts only what was sent to it, as it was sent, once.",
    "venue_trade": "A trade has two sides of one price and quantity, and each side's client is told it.",
    "venue_fill": "The fills of an order at the venue add up.",
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
