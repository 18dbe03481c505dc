"""Are positions the sum of their fills, is every position protected, and is no money made or lost by bookkeeping?"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import (
    FeeBooked,
    OrderApproved,
    PositionChanged,
    ReservationReduced,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import FIRST_VENUE, EventId, Side, opposite, signed
from bot4_common.money import ZERO, multiply
from bot4_common.pnl import Holding
from bot4_journal.audit.findings import Findings, Owed

Book = tuple[str, str, str]  # account, venue, symbol


class MoneyRules:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.unmoved: dict[str, Owed[OrderFilled]] = defaultdict(Owed)
        self.uncosted: dict[str, Owed[OrderFilled]] = defaultdict(Owed)
        self.unbooked: dict[str, Owed[CostRecorded]] = defaultdict(Owed)
        self._positions: dict[Book, Decimal] = defaultdict(lambda: ZERO)
        self._cash: dict[Book, Decimal] = defaultdict(lambda: ZERO)
        self._ledger: dict[Book, dict[str, Holding]] = defaultdict(lambda: defaultdict(Holding))
        self._cover = _Cover()
        # Of the decision being heard: the books it touches, and the fill that it answers.
        self._touched: set[Book] = set()
        self._fill: OrderFilled | None = None
        self.unprotected_ns_max = 0
        self.unprotected_order = ""

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None, at: int) -> None:
        """`at` is when the frame was decided (ns)."""
        match event:
            case OrderFilled():
                self.unmoved[id.stream].add(id, event)
                self.uncosted[id.stream].add(id, event)
                self._cash[event.account, event.venue, event.symbol] -= _paid(event)
            case PositionChanged():
                self._moved(id, event, cause)
            case StopArmed() | StopTriggered() | OrderApproved() | ReservationReduced() | ReservationReleased():
                self._touch(self._cover.hear(event))
                if isinstance(event, StopArmed):
                    self._measure(event, at)
            case CostRecorded():
                self._costed(id, event, cause)
                if event.fee:
                    self.unbooked[id.stream].add(id, event)
            case FeeBooked():
                self._booked(id, event, cause)

    def end_decision(self, id: EventId) -> None:
        for book in self._touched:
            self._check_cover(id, book)
        self._touched.clear()
        self._fill = None

    def _check_cover(self, id: EventId, book: Book) -> None:
        position = self._positions[book]
        side: Side = "sell" if position > 0 else "buy"
        stops, exits = self._cover.stops(book, side), self._cover.exits(book, side)
        if stops != max(abs(position) - exits, ZERO):
            self._findings.add("protected", id, f"{' '.join(book)}: stops for {stops}, exits {exits} of {position}")
        elif beyond := self._cover.stops(book, opposite(side)):
            self._findings.add("protected", id, f"{' '.join(book)}: stops for {beyond} on the wrong side of {position}")

    def risk_read(self, stream: str, through: int) -> None:
        """The risk shard has read one of its streams so far: that of fills, or that of costs."""
        for id, fill in self.unmoved[stream].overdue(through):
            self._findings.add("position", id, f"fill {fill.trade_id} of {fill.child_id} moved no position")
        for id, cost in self.unbooked[stream].overdue(through):
            self._findings.add("fee", id, f"the fee of {cost.fee} for {cost.trade_id} was not booked")

    def cost_read(self, stream: str, through: int) -> None:
        for id, fill in self.uncosted[stream].overdue(through):
            self._findings.add("cost", id, f"fill {fill.trade_id} of {fill.child_id} has no cost")

    def close(self) -> None:
        """Holds the cash of all fills against the ledger of all positions."""
        pending: dict[Book, Decimal] = defaultdict(lambda: ZERO)
        for owed in self.unmoved.values():
            for fill in owed.values():
                pending[fill.account, fill.venue, fill.symbol] -= _paid(fill)
        for book in self._cash.keys() | self._ledger.keys():
            where, cash = " ".join(book), self._cash[book] - pending[book]
            holdings = self._ledger[book].values()
            booked = sum((holding.realized - holding.basis for holding in holdings), ZERO)
            held = sum((holding.quantity for holding in holdings), ZERO)
            if cash != booked:
                self._findings.add("cash", where, f"fills moved {cash}, positions say {booked}")
            if held != self._positions[book]:
                self._findings.add("cash", where, f"strategies hold {held} of {self._positions[book]}")

    def _touch(self, book: Book | None) -> None:
        if book is not None:
            self._touched.add(book)

    def _measure(self, armed: StopArmed, at: int) -> None:
        """How long the fill being answered was without its stop. A stop that only shrinks with another order's fill, or
        comes back after an exit that failed, answers none."""
        if self._fill is None or self._fill.order_id != armed.order_id:
            return
        unprotected_ns = at - self._fill.traded_at
        if unprotected_ns > self.unprotected_ns_max:
            self.unprotected_ns_max, self.unprotected_order = unprotected_ns, armed.order_id

    def _moved(self, id: EventId, event: PositionChanged, cause: EventId | None) -> None:
        fill = self._fill = self.unmoved[cause.stream].pay(cause) if cause is not None else None
        if fill is None:
            self._findings.add("position", id, f"{event.order_id}: no fill waits for it at {cause}")
        else:
            names = ("order_id", "account", "strategy", "venue", "symbol", "price")
            wrong = [name for name in names if getattr(event, name) != getattr(fill, name)]
            if wrong or event.quantity != signed(fill.side, fill.quantity):
                self._findings.add("position", id, f"{event} is not of the fill {fill}")
        book = event.account, event.venue, event.symbol
        position = self._positions[book] + event.quantity
        if event.position != position:
            self._findings.add("position", id, f"{book} is {event.position}, its fills add up to {position}")
        self._positions[book] = position
        self._ledger[book][event.strategy].trade(event.quantity, event.price)
        self._cover.reduce(event.order_id, abs(event.quantity))
        self._touched.add(book)

    def _costed(self, id: EventId, event: CostRecorded, cause: EventId | None) -> None:
        fill = self.uncosted[event.fill.stream].pay(event.fill)
        if fill is None or event.fill != cause:
            self._findings.add("cost", id, f"no fill waits for it at {event.fill}, its cause is {cause}")
            return
        names = ("order_id", "account", "strategy", "symbol", "venue", "trade_id", "side", "quantity", "price")
        wrong = [name for name in names if getattr(event, name) != getattr(fill, name)]
        if wrong:
            self._findings.add("cost", id, f"{', '.join(wrong)}: not those of the fill {event.fill}")
        mid = (fill.bid + fill.ask) / 2
        shortfall = multiply(signed(fill.side, fill.quantity), fill.price - mid)
        parts = event.spread + event.drift, event.spread + event.drift + event.fee
        if (event.arrival_mid, *parts) != (mid, shortfall, event.total):
            self._findings.add(
                "cost",
                id,
                f"{event.spread} + {event.drift} + {event.fee} is not {event.total}, or the first two not the "
                f"shortfall {shortfall} against {mid}",
            )

    def _booked(self, id: EventId, event: FeeBooked, cause: EventId | None) -> None:
        cost = self.unbooked[cause.stream].pay(cause) if cause is not None else None
        said = event.account, event.strategy, event.fee
        if cost is None or said != (cost.account, cost.strategy, cost.fee):
            self._findings.add("fee", id, f"{event} is not the fee of {cost} at {cause}")


def _paid(fill: OrderFilled) -> Decimal:
    """What the fill cost in quote; negative when it sold."""
    return multiply(signed(fill.side, fill.quantity), fill.price)


class _Cover:
    """How much of each position is covered: by stops, and by their exits under way with what they have left.

    What a kill switch closes keeps its stops until it is closed.
    """

    def __init__(self) -> None:
        self._stops = _Parts()
        self._exits = _Parts()
        # Exits that were wanted and are not approved yet.
        self._wanted: set[str] = set()

    def stops(self, book: Book, side: Side) -> Decimal:
        return self._stops.sums[book, side]

    def exits(self, book: Book, side: Side) -> Decimal:
        return self._exits.sums[book, side]

    def hear(
        self,
        event: OrderApproved | StopArmed | StopTriggered | ReservationReduced | ReservationReleased,
    ) -> Book | None:
        """The book whose cover it changes, if it does."""
        match event:
            case StopArmed():
                book = event.account, event.venue, event.symbol
                return self._stops.set(event.order_id, book, event.side, event.quantity)
            case StopTriggered():
                self._wanted.add(event.exit_id)
                return self._stops.drop(event.order_id)
            case OrderApproved() if event.order_id in self._wanted:
                self._wanted.discard(event.order_id)
                book = event.account, event.order.venue or FIRST_VENUE, event.order.symbol
                return self._exits.set(event.order_id, book, event.order.side, event.order.quantity)
            case ReservationReduced() | ReservationReleased():
                return self.reduce(event.order_id, event.quantity)
        return None

    def reduce(self, order_id: str, quantity: Decimal) -> Book | None:
        """An exit has filled, was trimmed, or has ended, in part or whole; other orders cover nothing."""
        return self._exits.take(order_id, quantity)


class _Parts:
    """Quantities by name, and their sums by book and side."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Book, Side, Decimal]] = {}
        self.sums: dict[tuple[Book, Side], Decimal] = defaultdict(lambda: ZERO)

    def set(self, name: str, book: Book, side: Side, quantity: Decimal) -> Book:
        _, _, before = self._parts.pop(name, (book, side, ZERO))
        self.sums[book, side] += quantity - before
        if quantity > 0:
            self._parts[name] = book, side, quantity
        return book

    def take(self, name: str, quantity: Decimal) -> Book | None:
        """Less of it, if it is known; its book."""
        if name not in self._parts:
            return None
        book, side, left = self._parts[name]
        return self.set(name, book, side, left - quantity)

    def drop(self, name: str) -> Book | None:
        return self.take(name, self._parts[name][2]) if name in self._parts else None
