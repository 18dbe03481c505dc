"""Are positions the sum of their fills, is every position protected, and is no money made or lost by bookkeeping?"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import (
    OrderApproved,
    PositionChanged,
    ReservationReduced,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import FIRST_VENUE, EventId, Side, signed
from bot4_common.money import ZERO, multiply
from bot4_common.pnl import Holding
from bot4_journal.audit.findings import Findings, Owed

Book = tuple[str, str, str]  # account, venue, symbol


class MoneyRules:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.unmoved: dict[str, Owed[OrderFilled]] = defaultdict(Owed)
        self.uncosted: dict[str, Owed[OrderFilled]] = defaultdict(Owed)
        self._positions: dict[Book, Decimal] = defaultdict(lambda: ZERO)
        self._cash: dict[Book, Decimal] = defaultdict(lambda: ZERO)
        self._ledger: dict[Book, dict[str, Holding]] = defaultdict(lambda: defaultdict(Holding))
        self._cover = _Cover()
        # Of the decision being heard: the books it touches, and the fill that it answers.
        self._touched: set[Book] = set()
        self._fill: OrderFilled | None = None
        self.unprotected_ns_max = 0

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None, at: int) -> None:
        """`at` is when the frame was decided (ns)."""
        match event:
            case OrderFilled():
                self.unmoved[id.stream].add(id, event)
                self.uncosted[id.stream].add(id, event)
                self._cash[event.account, event.venue, event.symbol] -= _paid(event)
            case PositionChanged():
                self._moved(id, event, cause)
            case OrderApproved() | StopArmed() | StopTriggered() | ReservationReduced() | ReservationReleased():
                book = self._cover.hear(event)
                if book is not None:
                    self._touched.add(book)
                if isinstance(event, StopArmed) and self._fill is not None and self._fill.order_id == event.order_id:
                    self.unprotected_ns_max = max(self.unprotected_ns_max, at - self._fill.traded_at)
            case CostRecorded():
                self._costed(id, event, cause)

    def end_decision(self, id: EventId) -> None:
        for book in self._touched:
            position = self._positions[book]
            covered = self._cover.of(book, "sell" if position > 0 else "buy")
            if covered < abs(position):
                self._findings.add("protected", id, f"{' '.join(book)}: {covered} of {position}")
        self._touched.clear()
        self._fill = None

    def risk_read(self, stream: str, through: int) -> None:
        for id, fill in self.unmoved[stream].overdue(through):
            self._findings.add("position", id, f"fill {fill.trade_id} of {fill.child_id} moved no position")

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


def _paid(fill: OrderFilled) -> Decimal:
    """What the fill cost in quote; negative when it sold."""
    return multiply(signed(fill.side, fill.quantity), fill.price)


class _Cover:
    """How much of each position is covered: by stops, and by exits under way with what they have left."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Book, Side, Decimal]] = {}
        self._sums: dict[tuple[Book, Side], Decimal] = defaultdict(lambda: ZERO)
        self._triggered: set[str] = set()

    def of(self, book: Book, side: Side) -> Decimal:
        return self._sums[book, side]

    def hear(
        self, event: OrderApproved | StopArmed | StopTriggered | ReservationReduced | ReservationReleased
    ) -> Book | None:
        """The book whose cover it changes, if it does."""
        match event:
            case StopArmed():
                book = event.account, event.venue, event.symbol
                self._set(f"stop {event.order_id}", book, event.side, event.quantity)
                return book
            case StopTriggered():
                self._triggered.add(event.exit_id)
                return self._drop(f"stop {event.order_id}")
            case OrderApproved() if event.order_id in self._triggered:
                self._triggered.discard(event.order_id)
                book = event.account, event.order.venue or FIRST_VENUE, event.order.symbol
                self._set(event.order_id, book, event.order.side, event.order.quantity)
                return book
            case ReservationReduced():
                return self.reduce(event.order_id, event.quantity)
            case ReservationReleased():
                return self._drop(event.order_id)
        return None

    def reduce(self, order_id: str, quantity: Decimal) -> Book | None:
        """An exit has filled, or was trimmed, in part or whole; other orders cover nothing."""
        part = self._parts.get(order_id)
        if part is None:
            return None
        book, side, left = part
        self._set(order_id, book, side, left - quantity)
        return book

    def _drop(self, name: str) -> Book | None:
        part = self._parts.get(name)
        if part is None:
            return None
        book, side, _ = part
        self._set(name, book, side, ZERO)
        return book

    def _set(self, name: str, book: Book, side: Side, quantity: Decimal) -> None:
        _, _, before = self._parts.get(name, (book, side, ZERO))
        self._sums[book, side] += quantity - before
        if quantity > 0:
            self._parts[name] = book, side, quantity
        else:
            self._parts.pop(name, None)
