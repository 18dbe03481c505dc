"""Was every approval sent once, and did what was sent live as an order may: acknowledged, filled within its bounds,
amended as it was approved, ended once?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    ListSent,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTriggered,
    OrderTrimmed,
)
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import AmendApproved, ListApproved, OrderApproved
from bot4_common.messages.terms import EventId, Order
from bot4_common.money import ZERO
from bot4_journal.audit.controls import ControlRules
from bot4_journal.audit.findings import Findings, Owed
from bot4_journal.audit.lists import ListRules
from bot4_journal.audit.reservations import PLAIN_TYPES, Ended
from bot4_journal.audit.venue import TAKEN

# Orders that ended with something left, of which a late fill is possible. Execution remembers fewer of them, and takes
# no fill of the others.
ENDED_KEPT = 10_000


@dataclass(slots=True)
class _Child:
    """An order at the venue, as execution tells it: `order` as it was sent, `quantity` and `price` as they are now."""

    order: Order
    account: str
    in_list: bool
    quantity: Decimal
    price: Decimal | None
    is_open: bool = False
    triggered: bool = False
    cumulative: Decimal = ZERO
    prevented: Decimal = ZERO
    amend: AmendSent | None = None
    trades: set[str] = field(default_factory=set)

    @property
    def leaves(self) -> Decimal:
        """44"""
        return self.quantity - self.cumulative - self.prevented


class ChildRules:
    """`unsent` and `unamended` are what was approved and has still to be sent; `untold`, by child, is what had traded
    when it ended and is still to be told."""

    def __init__(self, findings: Findings, controls: ControlRules, lists: ListRules) -> None:
        self._findings = findings
        self._controls = controls
        self._lists = lists
        self.unsent: dict[str, Owed[OrderApproved | ListApproved]] = defaultdict(Owed)
        self.unamended: dict[str, Owed[AmendApproved]] = defaultdict(Owed)
        self.untold: dict[str, Decimal] = {}
        self._children: dict[str, _Child] = {}
        # Those that ended last with something left, of which a fill may follow (51); and the ids of all that are over,
        # of which nothing else may.
        self._ended_last: dict[str, _Child] = {}
        self._over: set[str] = set()
        self._fed: dict[tuple[str, str], int] = {}

    @property
    def amends_under_way(self) -> int:
        return sum(child.amend is not None for child in self._children.values())

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        match event:
            case OrderSent():
                self._sent(id, event, cause)
            case ListSent():
                self._list_sent(id, event, cause)
            case AmendSent():
                self._amend_sent(id, event, cause)
            case OrderRejected() if not event.session_sequence and cause is not None:
                self._turned_away(id, event, cause)
            case AmendRejected():
                self._amend_rejected(id, event, cause)
            case OrderAcknowledged():
                child = self._child(id, event.child_id, is_open=False)
                if child is not None:
                    child.is_open = True
            case OrderTriggered():
                self._triggered(id, event)
            case OrderFilled():
                self._filled(id, event)
            case OrderAmended():
                self._amended(id, event)
            case OrderPrevented():
                self._prevented(id, event)
            case OrderTrimmed():
                self._trimmed(id, event)
            case OrderRejected() | OrderLost():
                self._ended(id, event, was_open=False)
            case OrderCancelled() | OrderExpired():
                self._ended(id, event, was_open=True)
        if isinstance(event, TAKEN):
            self._took(id, str(getattr(event, "venue", "")), getattr(event, "session_sequence", 0))

    def approved(self, id: EventId, event: OrderApproved | ListApproved) -> None:
        """It has to be sent; a leg of a list that its venue keeps goes with the list."""
        if not isinstance(event, OrderApproved) or not self._lists.is_native(event.list_id):
            self.unsent[id.stream].add(id, event)

    def execution_read(self, stream: str, through: int) -> None:
        for id, approved in self.unsent[stream].overdue(through):
            what = approved.order_id if isinstance(approved, OrderApproved) else approved.list_id
            self._findings.add("sent", id, f"{what} was approved and not sent")
        for id, amend in self.unamended[stream].overdue(through):
            self._findings.add("amend", id, f"the amend of {amend.order_id} was approved and not sent")

    # Requests

    def _sent(self, id: EventId, event: OrderSent, cause: EventId | None) -> None:
        if event.list_id:
            self._lists.leg_sent(id, event)
        else:
            approved = self.unsent[cause.stream].pay(cause) if cause is not None else None
            self._check_sent(id, event, approved)
        if event.order.venue not in ("", event.venue):
            self._findings.add("sent", id, f"{event.order_id} was sent to {event.venue}: {event.order}")
        if event.child_id in self._children or event.child_id in self._over:
            self._findings.add("sent", id, f"{event.child_id} was sent before")
            return
        self._children[event.child_id] = _Child(
            event.order, event.account, bool(event.list_id), event.order.quantity, event.order.price
        )

    def _check_sent(self, id: EventId, event: OrderSent, approved: OrderApproved | ListApproved | None) -> None:
        if not isinstance(approved, OrderApproved):
            self._findings.add("sent", id, f"{event.child_id}: no approval waits for it")
            return
        if (event.order_id, event.account, event.order) != (approved.order_id, approved.account, approved.order):
            self._findings.add("sent", id, f"{event.order} of {event.order_id} was approved as {approved.order}")
        if approved.opening and not event.order.reduce_only:
            self._controls.check_breakers(id, event.venue, event.order_id)

    def _list_sent(self, id: EventId, event: ListSent, cause: EventId | None) -> None:
        approved = self.unsent[cause.stream].pay(cause) if cause is not None else None
        if not isinstance(approved, ListApproved) or not approved.native:
            self._findings.add("list", id, f"{event.list_id}: no approval of a list waits for it at {cause}")
            return
        self._lists.sent(id, event, approved)
        if not all(leg.order.reduce_only for leg in approved.legs):
            self._controls.check_breakers(id, event.venue, event.list_id)

    def _turned_away(self, id: EventId, event: OrderRejected, cause: EventId) -> None:
        """Execution itself refuses what was approved: it was never sent."""
        unsent = self.unsent[cause.stream]
        approved = unsent.owed(cause)
        if isinstance(approved, ListApproved) and event.order_id in {leg.order_id for leg in approved.legs}:
            if self._lists.turned_away(approved, event.order_id):
                unsent.pay(cause)
        elif isinstance(approved, OrderApproved) and event.order_id in (approved.order_id, ""):
            unsent.pay(cause)
        else:
            self._findings.add("sent", id, f"{event.child_id} is turned away, and no approval waits at {cause}")
        if event.child_id in self._children or event.child_id in self._over:
            self._findings.add("life", id, f"{event.child_id} is turned away, and was sent before")
        self._over.add(event.child_id)

    def _amend_sent(self, id: EventId, event: AmendSent, cause: EventId | None) -> None:
        asked = event.order_id, event.account, event.quantity, event.price
        approved = self.unamended[cause.stream].pay(cause) if cause is not None else None
        child = self._children.get(event.child_id)
        if approved is not None:
            if asked != (approved.order_id, approved.account, approved.quantity, approved.price):
                self._findings.add("amend", id, f"{event} was approved as {approved}")
            if child is not None and child.amend is not None:
                self._findings.add("amend", id, f"{event.child_id} has an amend under way: {child.amend}")
        elif (
            cause is not None
            or child is None
            or child.amend is None
            or asked[2:] != (child.amend.quantity, child.amend.price)
        ):
            # The venue may be asked again, which no approval causes, but for the same.
            self._findings.add("amend", id, f"{event}: no approval waits for it at {cause}")
        if child is None:
            self._findings.add("life", id, f"{event.child_id} is not there to be amended")
        else:
            child.amend = event

    def _amend_rejected(self, id: EventId, event: AmendRejected, cause: EventId | None) -> None:
        approved = self.unamended[cause.stream].pay(cause) if cause is not None else None
        if approved is not None:
            if approved.order_id != event.order_id:
                self._findings.add("amend", id, f"{event} answers {approved}")
            return  # it was never sent
        child = self._children.get(event.child_id)
        if child is None or child.amend is None:
            self._findings.add("amend", id, f"{event.child_id} has no amend that could be rejected")
        else:
            child.amend = None

    # The order's life

    def _triggered(self, id: EventId, event: OrderTriggered) -> None:
        child = self._child(id, event.child_id)
        if child is None:
            return
        if child.triggered or child.order.type in PLAIN_TYPES:
            self._findings.add("life", id, f"{event.child_id} has no trigger, or had it before: {child.order}")
        child.triggered = True

    def _filled(self, id: EventId, event: OrderFilled) -> None:
        child = self._late(id, event.child_id) if event.late else self._child(id, event.child_id)
        if child is None:
            return
        order = child.order
        said = event.account, event.strategy, event.symbol, event.side
        if said != (child.account, order.strategy, order.symbol, order.side):
            self._findings.add("fill", id, f"{event.child_id} is not an order of {said}")
        if order.type not in PLAIN_TYPES and not child.triggered:
            self._findings.add("life", id, f"{event.child_id} fills before its trigger is reached")
        if event.trade_id in child.trades:
            self._findings.add("trade", id, f"{event.child_id} had trade {event.trade_id} before")
        cumulative, leaves = child.cumulative + event.quantity, child.leaves - event.quantity
        if event.quantity <= 0 or leaves < 0 or (event.cumulative, event.leaves) != (cumulative, leaves):
            self._findings.add(
                "fill",
                id,
                f"{event.child_id}: {event.quantity} after {child.cumulative} of {child.quantity} less "
                f"{child.prevented} is not {event.cumulative} with {event.leaves} left",
            )
        child.trades.add(event.trade_id)
        child.cumulative = cumulative
        if event.late:
            self._tell_late(event.child_id, event.quantity, leaves)
        elif leaves <= 0:
            self._end(id, event.child_id)

    def _amended(self, id: EventId, event: OrderAmended) -> None:
        child = self._child(id, event.child_id)
        if child is None:
            return
        amend = child.amend
        answers = amend is not None and (amend.quantity, amend.price) == (event.quantity, event.price)
        if answers:
            child.amend = None
        elif not child.in_list:
            self._findings.add("amend", id, f"{event} was not asked for: {amend}")
        child.quantity, child.price = event.quantity, event.price
        if event.leaves != child.leaves or event.leaves < 0:
            self._findings.add("fill", id, f"{event.child_id} is amended to {event.quantity}: {child}")

    def _prevented(self, id: EventId, event: OrderPrevented) -> None:
        child = self._child(id, event.child_id)
        if child is None:
            return
        child.prevented += event.quantity
        if event.quantity <= 0 or child.leaves < 0 or event.leaves != child.leaves:
            self._findings.add("fill", id, f"{event.child_id} loses {event.quantity} to its owner's: {child}")

    def _trimmed(self, id: EventId, event: OrderTrimmed) -> None:
        child = self._child(id, event.child_id)
        if child is None:
            return
        shrinks, child.quantity = event.quantity < child.quantity, event.quantity
        if not child.order.reduce_only or not shrinks or child.leaves <= 0 or event.leaves != child.leaves:
            self._findings.add("fill", id, f"{event.child_id} is trimmed to {event.quantity}: {child}")

    def _ended(self, id: EventId, event: Ended, was_open: bool) -> None:
        child = self._child(id, event.child_id, was_open)
        if child is None:
            return
        self._end(id, event.child_id)
        if isinstance(event, OrderRejected):
            return
        if not ZERO <= event.quantity <= child.leaves:
            self._findings.add("fill", id, f"{event.child_id} ends with {event.quantity}, {child.leaves} was left")
        elif event.quantity < child.leaves:
            self.untold[event.child_id] = child.leaves - event.quantity
        if child.leaves > 0:
            self._ended_last[event.child_id] = child
        if len(self._ended_last) > ENDED_KEPT:
            del self._ended_last[next(iter(self._ended_last))]

    def _tell_late(self, child_id: str, quantity: Decimal, leaves: Decimal) -> None:
        """So much of what its end may have left out."""
        untold = self.untold.pop(child_id, ZERO) - quantity
        if untold > 0:
            self.untold[child_id] = untold
        if leaves <= 0:
            del self._ended_last[child_id]

    def _end(self, id: EventId, child_id: str) -> None:
        child = self._children.pop(child_id)
        if child.amend is not None:
            self._findings.add("amend", id, f"{child_id} ends, and what became of its amend is not told")
        self._over.add(child_id)

    def _child(self, id: EventId, child_id: str, is_open: bool = True) -> _Child | None:
        """The child, if what happens to it now may; else a finding."""
        child = self._children.get(child_id)
        if child is not None and child.is_open == is_open:
            return child
        stage = "unknown" if child is None else "open" if child.is_open else "sent"
        self._findings.add("life", id, f"{child_id} is {'over' if child_id in self._over else stage}")
        return None

    def _late(self, id: EventId, child_id: str) -> _Child | None:
        """The child that a late fill is of; else a finding."""
        child = self._ended_last.get(child_id)
        if child is None:
            stage = "over, with nothing left to fill" if child_id in self._over else "not over"
            self._findings.add("life", id, f"{child_id} is {stage}, and has a late fill")
        return child

    def _took(self, id: EventId, venue: str, number: int) -> None:
        last = self._fed.get((id.stream, venue), 0)
        if not number:
            return  # it did not come from the feed
        if number != last + 1:
            self._findings.add("feed", id, f"number {number} of {venue} was taken after {last}")
        self._fed[id.stream, venue] = max(number, last)
