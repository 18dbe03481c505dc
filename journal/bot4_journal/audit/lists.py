"""Did each list of orders that depend on each other begin, trade and end as one?"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from bot4_common.messages.execution import ListSent, OrderSent
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import (
    HeldOrderArmed,
    ListApproved,
    ListEnded,
    OrderApproved,
    OrderHeld,
    PositionChanged,
    ReservationAmended,
    ReservationReleased,
)
from bot4_common.messages.terms import EventId, Order
from bot4_common.money import ZERO
from bot4_journal.audit.findings import Findings
from bot4_journal.audit.reservations import ReservationRules

# Kinds whose first order is a parent: the others wait until it has filled.
WITH_PARENT = ("oto", "otoco")


@dataclass(slots=True)
class _List:
    """`begun` are the orders that were approved or held, `sent` those that went to the venue with it."""

    approved: ListApproved
    orders: dict[str, Order]
    # Those of which one may fill, and how much they may fill together.
    siblings: frozenset[str]
    together: Decimal
    begun: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    filled: dict[str, Decimal] = field(default_factory=dict)
    parent_ended: bool = False
    parent_filled: bool = False

    @property
    def parent(self) -> str:
        """Empty if there is none."""
        return self.approved.legs[0].order_id if self.approved.kind in WITH_PARENT else ""


class ListRules:
    """To be told of an event after the reservations are."""

    def __init__(self, findings: Findings, reservations: ReservationRules) -> None:
        self._findings = findings
        self._reservations = reservations
        self._lists: dict[str, _List] = {}
        # Of the decision being heard: the lists of which something was said.
        self._touched: dict[str, None] = {}

    def hear(self, id: EventId, event: AnyEvent) -> None:
        match event:
            case ListApproved():
                self._begin(id, event)
            case ListEnded():
                self._ended(id, event)
            case HeldOrderArmed():
                self._check_parent(id, event.order_id)
            case PositionChanged():
                self._filled(id, event)
            case ReservationAmended():
                self._amended(event)
            case ReservationReleased():
                self._released(event)
        # What was an order's list is not known any more when the order is over.
        order_id = getattr(event, "order_id", "")
        list_id = self.list_of(order_id)
        if list_id:
            self._touched[list_id] = None

    def end_decision(self, id: EventId) -> None:
        for list_id in self._touched:
            told = self._lists.get(list_id)
            if told is None:
                continue
            missing = told.orders.keys() - told.begun
            if missing:
                self._findings.add("list", id, f"{', '.join(sorted(missing))} of {list_id} are not approved with it")
            elif not told.orders.keys() & self._reservations.open.keys():
                self._findings.add("list", id, f"all orders of {list_id} are over, and it has not ended")
        self._touched.clear()

    def list_of(self, order_id: str) -> str:
        """The list that is not over and has the order; empty for none."""
        list_id = order_id.rpartition("-leg")[0]
        return list_id if list_id in self._lists and order_id in self._lists[list_id].orders else ""

    def leg_decided(self, id: EventId, event: OrderApproved | OrderHeld) -> None:
        """A leg is approved or held, for the first time or after it was held."""
        told = self._lists.get(event.list_id)
        if told is None or event.order_id not in told.orders:
            self._findings.add("list", id, f"{event.order_id} is no order of list {event.list_id}")
            return
        if event.order_id not in told.begun and event.order != told.orders[event.order_id]:
            self._findings.add("list", id, f"{event.order} of {event.order_id} is not {told.orders[event.order_id]}")
        told.begun.add(event.order_id)
        if isinstance(event, OrderHeld):
            if told.approved.native:
                self._findings.add("list", id, f"{event.order_id} is held, and its venue has lists")
        elif not told.approved.native:
            self._check_alone(id, told, event.order_id)
            self._check_parent(id, event.order_id)

    def is_native(self, list_id: str) -> bool:
        told = self._lists.get(list_id)
        return told is not None and told.approved.native

    # Execution

    def leg_sent(self, id: EventId, event: OrderSent) -> None:
        """A leg that goes to the venue with its list."""
        told = self._lists.get(event.list_id)
        if told is None or not told.approved.native or event.order_id in told.sent:
            self._findings.add("list", id, f"{event.order_id} goes with {event.list_id}, which does not go with it")
        elif event.order != told.orders.get(event.order_id):
            self._findings.add("list", id, f"{event.order} of {event.order_id} was {told.orders.get(event.order_id)}")
        else:
            told.sent.add(event.order_id)

    def sent(self, id: EventId, event: ListSent, approved: ListApproved) -> None:
        """All of it goes to the venue, the legs having been said one by one."""
        legs = [(leg.child_id.rpartition(".")[0], leg.order) for leg in event.legs]
        wanted = [(leg.order_id, leg.order) for leg in approved.legs]
        said = event.list_id, event.account, event.kind, legs
        if said != (approved.list_id, approved.account, approved.kind, wanted):
            self._findings.add("list", id, f"{event} was approved as {approved}")
        told = self._lists.get(approved.list_id)
        missing = set() if told is None else told.orders.keys() - told.sent
        if missing:
            self._findings.add("list", id, f"{event.list_id} is sent without {', '.join(sorted(missing))}")

    def turned_away(self, approved: ListApproved, order_id: str) -> bool:
        """A leg will not be sent; whether it was the last of its list."""
        told = self._lists.get(approved.list_id)
        if told is None:
            return True
        told.sent.add(order_id)
        return told.sent >= told.orders.keys()

    # Risk

    def _begin(self, id: EventId, event: ListApproved) -> None:
        order_ids = [leg.order_id for leg in event.legs]
        if order_ids != [f"{event.list_id}-leg{number}" for number in range(1, len(order_ids) + 1)]:
            self._findings.add("list", id, f"{', '.join(order_ids)} are no orders of {event.list_id}")
        alternatives = {"oto": [], "otoco": order_ids[1:]}.get(event.kind, order_ids)
        self._lists[event.list_id] = _List(
            approved=event,
            orders={leg.order_id: leg.order for leg in event.legs},
            siblings=frozenset(alternatives),
            together=max((leg.order.quantity for leg in event.legs if leg.order_id in alternatives), default=ZERO),
        )
        self._touched[event.list_id] = None

    def _ended(self, id: EventId, event: ListEnded) -> None:
        told = self._lists.pop(event.list_id, None)
        if told is None:
            self._findings.add("list", id, f"{event.list_id} ends, and was not there")
            return
        open_ones = [order_id for order_id in told.orders if self._reservations.leaves(order_id)]
        if open_ones:
            self._findings.add("list", id, f"{event.list_id} ends, and {', '.join(open_ones)} may still fill")

    def _check_alone(self, id: EventId, told: _List, order_id: str) -> None:
        """32: where risk holds back what has to wait, no two alternatives are at the venue at once."""
        if order_id not in told.siblings:
            return
        for other in told.siblings - {order_id}:
            if self._reservations.leaves(other) and not self._reservations.is_held(other):
                self._findings.add("list", id, f"{order_id} is sent while {other} is at the venue")

    def _check_parent(self, id: EventId, order_id: str) -> None:
        """34: children work when their parent has filled whole."""
        told = self._lists.get(self.list_of(order_id))
        if told is not None and told.parent not in ("", order_id) and not told.parent_filled:
            self._findings.add("list", id, f"{order_id} works, and its parent {told.parent} has not filled")

    def _filled(self, id: EventId, event: PositionChanged) -> None:
        told = self._lists.get(self.list_of(event.order_id))
        if told is None:
            return
        told.filled[event.order_id] = told.filled.get(event.order_id, ZERO) + abs(event.quantity)
        if event.order_id == told.parent:
            told.parent_filled = not told.parent_ended and not self._reservations.leaves(event.order_id)
        if event.order_id not in told.siblings:
            return
        filled = {order_id: told.filled[order_id] for order_id in sorted(told.siblings & told.filled.keys())}
        shares = told.approved.kind == "ouo"
        if (not shares and len(filled) > 1) or (shares and sum(filled.values()) > told.together):
            numbers = ", ".join(f"{order_id}: {quantity}" for order_id, quantity in filled.items())
            self._findings.add("overfill", id, f"{numbers} of {told.together} in {told.approved.list_id}")

    def _released(self, event: ReservationReleased) -> None:
        """What is told of its fills from here on, does not fill it whole."""
        told = self._lists.get(self.list_of(event.order_id))
        if told is not None and event.order_id == told.parent:
            told.parent_ended = True

    def _amended(self, event: ReservationAmended) -> None:
        """31: an amend of one is one of both."""
        told = self._lists.get(self.list_of(event.order_id))
        if told is not None and event.order_id in told.siblings:
            filled = sum((told.filled.get(order_id, ZERO) for order_id in told.siblings), ZERO)
            told.together = max(told.together, filled + event.leaves)
