"""What may still fill of each approved order, as risk tells it, and does it follow what execution tells?

Risk reserves an order when it approves or holds it. Fills, amends, trims and prevention change what is left; each is
told by execution first and settled by risk, once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from bot4_common.messages.execution import (
    AmendRejected,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderTrimmed,
)
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    CancelFailed,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    OrderApproved,
    OrderHeld,
    PositionChanged,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
    SelfTradePrevented,
)
from bot4_common.messages.terms import EventId, Order, ReplaceMode
from bot4_common.money import ZERO
from bot4_journal.audit.findings import Findings, Owed

# What execution says of an order that is there, and risk has to settle.
Smaller = OrderTrimmed | OrderPrevented
Ended = OrderRejected | OrderLost | OrderCancelled | OrderExpired
Settled = Smaller | OrderAmended | AmendRejected | Ended

PLAIN_TYPES = ("limit", "market")


@dataclass(slots=True)
class Reserved:
    """`leaves` is what may still fill of it. While it is `held` it is not to be sent; `replaces` is the order whose end
    it waits for."""

    order: Order
    account: str
    leaves: Decimal
    list_id: str
    held: bool = False
    triggered: bool = False
    replaces: str = ""
    mode: ReplaceMode = "stop_on_failure"
    amend: AmendApproved | None = None
    cancelling: bool = False


class ReservationRules:
    """`open` are the orders that are not over by id, `live` their ids by account and client order id."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.open: dict[str, Reserved] = {}
        self.live: dict[tuple[str, str], str] = {}
        self.unsettled: dict[str, Owed[Settled]] = defaultdict(Owed)
        # Fills of orders that were over, until they have moved a position (51).
        self._late: set[EventId] = set()
        # Orders that others wait to take the place of.
        self._replaced_by: dict[str, str] = {}
        # Of the decision being heard: those whose wait is over and whether by a cancel, and who makes room for whom.
        self._due: dict[str, bool] = {}
        self._given: list[SelfTradePrevented] = []

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        match event:
            case HeldOrderTriggered():
                self._triggered(id, event)
            case HeldOrderArmed():
                self._armed(id, event)
            case HeldOrderCancelled():
                self._dropped(id, event)
            case CancelApproved():
                self._cancelling(id, event)
            case CancelFailed() if event.order_id in self.open:
                self.open[event.order_id].cancelling = False
            case AmendApproved():
                self._amending(id, event)
            case ReservationAmended():
                self._amended(id, event, cause)
            case PositionChanged():
                self._consumed(id, event, cause)
            case ReservationReduced():
                self._reduced(id, event, cause)
            case ReservationReleased():
                self._released(id, event, cause)
            case SelfTradePrevented() if event.resting_quantity:
                self._given.append(event)

    def told(self, id: EventId, event: AnyEvent) -> None:
        """Execution has said it; what names no order was never one."""
        if isinstance(event, Settled) and event.order_id:
            self.unsettled[id.stream].add(id, event)
        elif isinstance(event, OrderFilled) and event.late:
            self._late.add(id)

    def end_decision(self, id: EventId) -> None:
        for order_id in self._due:
            self._findings.add("held", id, f"what {order_id} was to replace is over, and it waits on")
        self._due.clear()
        for met in self._given:
            self._check_gives_way(id, met)
        self._given.clear()

    def risk_read(self, stream: str, through: int) -> None:
        """The risk shard has read the stream of its execution shard so far."""
        for id, told in self.unsettled[stream].overdue(through):
            reserved = self.open.get(told.order_id)
            if isinstance(told, AmendRejected):
                # If the order has ended meanwhile, its amend has with it.
                if reserved is not None and reserved.amend is not None:
                    self._findings.add("amend", id, f"the amend of {told.order_id} was rejected and not settled")
            elif isinstance(told, OrderAmended):
                self._findings.add("amend", id, f"order {told.order_id} was amended, and what it reserves was not")
            else:
                self._findings.add("release", id, f"what {told.order_id} will never fill was not released")

    def list_of(self, order_id: str) -> str:
        reserved = self.open.get(order_id)
        return "" if reserved is None else reserved.list_id

    def leaves(self, order_id: str) -> Decimal:
        """Zero when it is over."""
        reserved = self.open.get(order_id)
        return ZERO if reserved is None else reserved.leaves

    def is_held(self, order_id: str) -> bool:
        reserved = self.open.get(order_id)
        return reserved is not None and reserved.held

    def begin(self, id: EventId, event: OrderApproved | OrderHeld) -> None:
        """An order that is new."""
        if event.order_id in self.open:
            self._findings.add("reserved", id, f"{event.order_id} is approved again")
        reserved = Reserved(event.order, event.account, event.order.quantity, event.list_id)
        if isinstance(event, OrderHeld):
            reserved.held, reserved.replaces, reserved.mode = True, event.replaces, event.mode
            if event.replaces:
                self._replaced_by[event.replaces] = event.order_id
        if event.order.quantity <= 0:
            self._findings.add("reserved", id, f"{event.order_id} is approved for {event.order.quantity}")
        self.open[event.order_id] = reserved
        self.live[event.account, event.order.client_order_id] = event.order_id

    def send(self, id: EventId, event: OrderApproved) -> None:
        """An order that was held is sent now, as the plain order that it has become."""
        reserved = self.open[event.order_id]
        held = reserved.order
        as_held = replace(held, quantity=event.order.quantity)
        as_plain = replace(as_held, type="limit" if held.price is not None else "market", stop_price=None)
        if event.account != reserved.account or event.order not in (as_held, as_plain):
            self._findings.add("held", id, f"{event.order} of {event.order_id} was held as {held}")
        elif held.type not in PLAIN_TYPES and event.order != as_held and not reserved.triggered:
            self._findings.add("held", id, f"{event.order_id} is sent, and its trigger was not reached")
        if not ZERO < event.order.quantity <= reserved.leaves:
            self._findings.add(
                "reserved", id, f"{event.order_id} is sent for {event.order.quantity} of {reserved.leaves}"
            )
        if reserved.replaces:
            self._take_place(id, event.order_id, reserved)
        reserved.order, reserved.leaves, reserved.held = event.order, event.order.quantity, False

    # Orders held back

    def _held(self, id: EventId, order_id: str, what: str) -> Reserved | None:
        reserved = self.open.get(order_id)
        if reserved is not None and reserved.held:
            return reserved
        self._findings.add("held", id, f"{order_id} is {what} and not held: {reserved}")
        return None

    def _triggered(self, id: EventId, event: HeldOrderTriggered) -> None:
        reserved = self._held(id, event.order_id, "triggered")
        if reserved is None:
            return
        if reserved.triggered or reserved.replaces:
            self._findings.add("held", id, f"{event.order_id} is triggered, and did not watch for that: {reserved}")
        reserved.triggered = True

    def _armed(self, id: EventId, event: HeldOrderArmed) -> None:
        reserved = self.open.get(event.order_id)
        if reserved is None or not ZERO < event.quantity <= reserved.leaves:
            self._findings.add("held", id, f"{event.order_id} is armed for {event.quantity}: {reserved}")
            return
        if reserved.held:
            if reserved.replaces:
                self._take_place(id, event.order_id, reserved)
                reserved.replaces = ""
            reserved.triggered = False
            reserved.order, reserved.leaves = replace(reserved.order, quantity=event.quantity), event.quantity
        elif not reserved.list_id:
            self._findings.add("held", id, f"{event.order_id} is armed and was never held")

    def _dropped(self, id: EventId, event: HeldOrderCancelled) -> None:
        reserved = self._held(id, event.order_id, "dropped")
        if reserved is None:
            return
        if event.quantity != reserved.leaves:
            self._findings.add("reserved", id, f"{event.order_id} releases {event.quantity} of {reserved.leaves}")
        self._due.pop(event.order_id, None)
        self._close(event.order_id)

    def _take_place(self, id: EventId, order_id: str, reserved: Reserved) -> None:
        """The order goes on, in the place of the one that it replaces."""
        cancelled = self._due.pop(order_id, None)
        if cancelled is None:
            self._findings.add("held", id, f"{order_id} takes the place of {reserved.replaces}, which is not over")
        elif not cancelled and reserved.mode == "stop_on_failure":
            self._findings.add("held", id, f"{order_id} goes on, and {reserved.replaces} was not cancelled")

    # Changes

    def _cancelling(self, id: EventId, event: CancelApproved) -> None:
        reserved = self.open.get(event.order_id)
        if reserved is None:
            return
        if reserved.held:
            self._findings.add("held", id, f"{event.order_id} is to be cancelled at the venue, and is held")
        reserved.cancelling = True

    def _amending(self, id: EventId, event: AmendApproved) -> None:
        reserved = self.open.get(event.order_id)
        if reserved is None or reserved.held or reserved.amend is not None:
            self._findings.add("amend", id, f"{event.order_id} cannot be amended now: {reserved}")
            return
        gone = reserved.order.quantity - reserved.leaves
        if event.quantity < gone:
            self._findings.add("amend", id, f"{event.order_id} is amended to {event.quantity}, and {gone} is gone")
        reserved.amend = event

    def _amended(self, id: EventId, event: ReservationAmended, cause: EventId | None) -> None:
        reserved = self.open.get(event.order_id)
        if reserved is None:
            self._findings.add("amend", id, f"{event.order_id} reserves nothing that could be amended")
            return
        expected = self._amend_as_told(reserved, event, cause)
        if (event.quantity, event.price, event.leaves, event.code) != expected:
            self._findings.add("amend", id, f"{event} does not settle what was told at {cause}: {expected}")
        if event.leaves < 0 or event.leaves > event.quantity:
            self._findings.add("reserved", id, f"{event.order_id} reserves {event.leaves} of {event.quantity}")
        reserved.order = replace(reserved.order, quantity=event.quantity, price=event.price)
        reserved.leaves, asked = event.leaves, reserved.amend
        # Another total or price than was asked for is the venue's own doing: what was asked is still to be answered.
        if event.code or asked is None or (asked.quantity, asked.price) == (event.quantity, event.price):
            reserved.amend = None
        if reserved.leaves <= 0 and reserved.amend is None:
            self._close(event.order_id)

    def _amend_as_told(
        self, reserved: Reserved, event: ReservationAmended, cause: EventId | None
    ) -> tuple[Decimal, Decimal | None, Decimal, str] | None:
        """Total, price, leaves and code that it must say: those of the venue; or, of an order that is held, what risk
        itself wants."""
        if reserved.held:
            return event.quantity, event.price, event.quantity, ""
        told = self._pay(event.order_id, cause)
        if isinstance(told, OrderAmended):
            return told.quantity, told.price, told.leaves, ""
        if isinstance(told, AmendRejected) and reserved.amend is not None:
            return reserved.order.quantity, reserved.order.price, reserved.leaves, told.code
        return None

    def _consumed(self, id: EventId, event: PositionChanged, cause: EventId | None) -> None:
        reserved, quantity = self.open.get(event.order_id), abs(event.quantity)
        if cause in self._late and reserved is None:
            # What it reserved was settled when its end was told.
            self._late.discard(cause)
            return
        if reserved is None or reserved.held or quantity > reserved.leaves:
            self._findings.add("reserved", id, f"{event.order_id} fills {quantity} of what it reserves: {reserved}")
            if reserved is None:
                return
        if reserved.order.reduce_only:
            before = event.position - event.quantity
            if before * event.position < 0 or abs(event.position) > abs(before):
                self._findings.add(
                    "reduce_only", id, f"{event.order_id} takes {before} of {event.symbol} to {event.position}"
                )
        reserved.leaves -= quantity
        # While an amend is under way there may be more of it: only its end says.
        if reserved.leaves <= 0 and reserved.amend is None:
            self._close(event.order_id)

    def _reduced(self, id: EventId, event: ReservationReduced, cause: EventId | None) -> None:
        told, reserved = self._pay(event.order_id, cause), self.open.get(event.order_id)
        if not isinstance(told, Smaller) or reserved is None or event.quantity <= 0:
            self._findings.add("release", id, f"{event.order_id} gives up {event.quantity} for {cause}: {reserved}")
            return
        left = reserved.leaves - event.quantity
        if left < 0 or (left, event.prevented) != (told.leaves, isinstance(told, OrderPrevented)):
            self._findings.add("reserved", id, f"{event} leaves {left}, and told was {told}")
        reserved.leaves = left
        if not event.prevented:  # what was prevented its total still contains
            reserved.order = replace(reserved.order, quantity=reserved.order.quantity - event.quantity)

    def _released(self, id: EventId, event: ReservationReleased, cause: EventId | None) -> None:
        told, reserved = self._pay(event.order_id, cause), self.open.get(event.order_id)
        if not isinstance(told, Ended) or reserved is None:
            self._findings.add("release", id, f"{event.order_id} has nothing to release for {cause}")
            return
        left = reserved.leaves if isinstance(told, OrderRejected) else min(told.quantity, reserved.leaves)
        if event.quantity != left:
            self._findings.add(
                "release", id, f"{event.order_id} releases {event.quantity} of {left} that will not fill"
            )
        self._close(event.order_id, cancelled=isinstance(told, OrderCancelled))

    def _check_gives_way(self, id: EventId, met: SelfTradePrevented) -> None:
        """44: what it loses, the resting order is to lose at the venue."""
        resting = self.open.get(met.resting_id)
        if resting is None or met.resting_quantity > resting.leaves:
            self._findings.add("self_trade", id, f"{met.resting_id} loses {met.resting_quantity}: {resting}")
        elif resting.amend is None and not resting.cancelling:
            self._findings.add("self_trade", id, f"{met.resting_id} is to make room for {met.order_id}, and does not")

    def _pay(self, order_id: str, cause: EventId | None) -> Settled | None:
        """What execution told of the order at `cause`, if it is not settled yet."""
        if cause is None:
            return None
        owed = self.unsettled[cause.stream]
        told = owed.owed(cause)
        return owed.pay(cause) if told is not None and told.order_id == order_id else None

    def _close(self, order_id: str, cancelled: bool = False) -> None:
        reserved = self.open.pop(order_id)
        key = reserved.account, reserved.order.client_order_id
        if self.live.get(key) == order_id:
            del self.live[key]
        if reserved.replaces and self._replaced_by.get(reserved.replaces) == order_id:
            del self._replaced_by[reserved.replaces]
        waiting = self._replaced_by.pop(order_id, None)
        if waiting is not None:
            self._due[waiting] = cancelled
