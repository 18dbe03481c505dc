"""Was every order decided once, sent once, filled within its bounds and ended once?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from msgspec.structs import replace

from bot4_common.messages.execution import (
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
)
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import CancelOrder, PlaceOrder
from bot4_common.messages.risk import (
    CancelApproved,
    CancelRefused,
    KillSwitchEngaged,
    KillSwitchReset,
    OrderApproved,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    ReservationReduced,
    ReservationReleased,
    StopTriggered,
)
from bot4_common.messages.terms import EventId, Order
from bot4_common.money import ZERO
from bot4_common.orders import order_id_of
from bot4_journal.audit.findings import Findings, Owed
from bot4_journal.audit.venue import TAKEN

Stage = Literal["sent", "open", "over"]


@dataclass(slots=True)
class _Child:
    """An order at the venue, as execution tells it."""

    order: Order
    account: str
    stage: Stage = "sent"
    cumulative: Decimal = ZERO
    trades: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Reserved:
    """An approved order, as risk tells it: `leaves` is what may still fill."""

    account: str
    client_order_id: str
    leaves: Decimal


class OrderRules:
    """`window_ns` is how long a client order id stays taken."""

    def __init__(self, findings: Findings, window_ns: int) -> None:
        self._findings = findings
        self._window_ns = window_ns
        self.unanswered: Owed[PlaceOrder | CancelOrder] = Owed()
        self.unsent: dict[str, Owed[OrderApproved]] = defaultdict(Owed)
        self.unreleased: dict[str, Owed[str]] = defaultdict(Owed)
        self._taken: dict[str, _Window] = defaultdict(_Window)
        self._live: dict[tuple[str, str], str] = {}
        self._killed: set[str] = set()
        self._exits: dict[str, EventId] = {}
        self._reserved: dict[str, _Reserved] = {}
        self._children: dict[str, _Child] = {}
        # Ids of children that are over: all that has to be known of them is that nothing may follow.
        self._over: set[str] = set()
        self._fed: dict[tuple[str, str], int] = {}

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        match event:
            case PlaceOrder() | CancelOrder():
                self.unanswered.add(id, event)
            case OrderApproved() | OrderRefused() | OrderRepeated():
                self._decided(id, event, cause)
            case CancelApproved() | CancelRefused():
                self._cancel_decided(id, event, cause)
            case StopTriggered():
                self._exits[event.exit_id] = id
            case PositionChanged():
                self._consumed(event.order_id, abs(event.quantity))
            case ReservationReduced():
                self._reduced(id, event, cause)
            case ReservationReleased():
                self._released(id, event, cause)
            case KillSwitchEngaged():
                self._killed.add(event.account)
            case KillSwitchReset():
                self._killed.discard(event.account)
            case OrderSent():
                self._sent(id, event, cause)
            case OrderFilled():
                self._filled(id, event)
            case OrderAcknowledged():
                self._moved(id, event.child_id, ("sent",), "open")
            case OrderTrimmed():
                self._trimmed(id, event)
            case OrderRejected() | OrderLost():
                self._ended(id, event, ("sent",))
            case OrderCancelled() | OrderExpired():
                self._ended(id, event, ("open",))
        if isinstance(event, TAKEN):
            self._took(id, str(getattr(event, "venue", "")), getattr(event, "session_sequence", 0))

    def end_decision(self) -> None:
        for exit_id, id in self._exits.items():
            self._findings.add("exit", id, f"the exit {exit_id} was not approved")
        self._exits.clear()

    def gateway_read(self, through: int) -> None:
        """All risk shards have read the gateway's stream so far."""
        for id, asked in self.unanswered.overdue(through):
            self._findings.add("answered", id, f"{_tag(asked)} was read and not answered")

    def risk_read(self, stream: str, through: int) -> None:
        """The risk shard has read the stream of its execution shard so far."""
        for id, order_id in self.unreleased[stream].overdue(through):
            self._findings.add("release", id, f"order {order_id} is over, and what it reserved was not released")

    def execution_read(self, stream: str, through: int) -> None:
        for id, approved in self.unsent[stream].overdue(through):
            self._findings.add("sent", id, f"order {approved.order_id} was approved and not sent")

    # Risk

    def _decided(self, id: EventId, event: OrderApproved | OrderRefused | OrderRepeated, cause: EventId | None) -> None:
        if isinstance(event, OrderApproved) and event.order_id in self._exits:
            del self._exits[event.order_id]
        else:
            self._answered(id, event, cause)
        if not isinstance(event, OrderRepeated):
            self._taken[id.stream].take((event.account, event.order.client_order_id), event.at, self._window_ns)
        if isinstance(event, OrderApproved):
            self._approved(id, event)

    def _answered(
        self, id: EventId, event: OrderApproved | OrderRefused | OrderRepeated, cause: EventId | None
    ) -> None:
        asked = self.unanswered.pay(cause)
        if asked is None or cause is None:
            rule = "exit" if cause is None and isinstance(event, OrderApproved) else "answered"
            self._findings.add(rule, id, f"{_tag(event)} of {event.order_id}: no submission waits for it at {cause}")
            return
        submitted = order_id_of(cause.sequence, cause.index)
        if not isinstance(asked, PlaceOrder) or (event.order_id, event.account) != (submitted, asked.account):
            self._findings.add("answered", id, f"{_tag(event)} of {event.order_id} answers {_tag(asked)} {submitted}")
        elif isinstance(event, OrderRepeated):
            if event.client_order_id != asked.order.client_order_id:
                self._findings.add("asked", id, f"{event.client_order_id} was {asked.order.client_order_id} when asked")
        elif not _is_as_asked(event, asked.order):
            self._findings.add("asked", id, f"{event.order} was {asked.order} when asked for")
        else:
            self._check_may_be_decided(id, event)

    def _check_may_be_decided(self, id: EventId, event: OrderApproved | OrderRefused) -> None:
        key = event.account, event.order.client_order_id
        if self._taken[id.stream].holds(key, event.at, self._window_ns):
            self._findings.add("taken", id, f"{key} of {event.order_id} was decided before, within the window")
        if not isinstance(event, OrderApproved):
            return
        if key in self._live:
            self._findings.add("taken", id, f"{key} of {event.order_id} is that of the open order {self._live[key]}")
        if event.account in self._killed:
            self._findings.add("killed", id, f"{event.order_id} of {event.account}")

    def _approved(self, id: EventId, event: OrderApproved) -> None:
        if event.opening and event.order.stop_loss is None:
            self._findings.add("stop_loss", id, f"{event.order_id} has none")
        self.unsent[id.stream].add(id, event)
        self._reserved[event.order_id] = _Reserved(event.account, event.order.client_order_id, event.order.quantity)
        self._live[event.account, event.order.client_order_id] = event.order_id

    def _cancel_decided(self, id: EventId, event: CancelApproved | CancelRefused, cause: EventId | None) -> None:
        if isinstance(event, CancelApproved) and event.reason != "requested":
            return
        asked = self.unanswered.pay(cause)
        if not isinstance(asked, CancelOrder) or asked.order_id != event.order_id:
            self._findings.add("answered", id, f"{_tag(event)} of {event.order_id}: no such request waits at {cause}")

    def _consumed(self, order_id: str, quantity: Decimal) -> None:
        reserved = self._reserved.get(order_id)
        if reserved is not None:
            reserved.leaves -= quantity
            if reserved.leaves <= 0:
                self._close(order_id)

    def _released(self, id: EventId, event: ReservationReleased, cause: EventId | None) -> None:
        owed = self.unreleased[cause.stream].pay(cause) if cause is not None else None
        reserved = self._reserved.get(event.order_id)
        if owed != event.order_id or reserved is None:
            self._findings.add("release", id, f"{event.order_id} has nothing to release for {cause}")
            return
        if event.quantity != reserved.leaves:
            self._findings.add("release", id, f"{event.order_id} releases {event.quantity} of {reserved.leaves}")
        self._close(event.order_id)

    def _reduced(self, id: EventId, event: ReservationReduced, cause: EventId | None) -> None:
        owed = self.unreleased[cause.stream].pay(cause) if cause is not None else None
        reserved = self._reserved.get(event.order_id)
        if owed != event.order_id or reserved is None or not ZERO < event.quantity < reserved.leaves:
            self._findings.add("release", id, f"{event.order_id} gives up {event.quantity} for {cause}: {reserved}")
            return
        reserved.leaves -= event.quantity

    def _close(self, order_id: str) -> None:
        reserved = self._reserved.pop(order_id)
        key = reserved.account, reserved.client_order_id
        if self._live.get(key) == order_id:
            del self._live[key]

    # Execution

    def _sent(self, id: EventId, event: OrderSent, cause: EventId | None) -> None:
        approved = self.unsent[cause.stream].pay(cause) if cause is not None else None
        if approved is None:
            self._findings.add("sent", id, f"{event.child_id}: no approval waits for it at {cause}")
        elif (event.order_id, event.account, event.order) != (approved.order_id, approved.account, approved.order):
            self._findings.add("sent", id, f"{event.order} of {event.order_id} was approved as {approved.order}")
        elif event.order.venue not in ("", event.venue):
            self._findings.add("sent", id, f"{event.order_id} was sent to {event.venue}: {event.order}")
        if event.child_id in self._children or event.child_id in self._over:
            self._findings.add("sent", id, f"{event.child_id} was sent before")
            return
        self._children[event.child_id] = _Child(event.order, event.account)

    def _filled(self, id: EventId, event: OrderFilled) -> None:
        child = self._child(id, event.child_id, ("open",))
        if child is None:
            return
        order = child.order
        said = event.account, event.strategy, event.symbol, event.side
        if said != (child.account, order.strategy, order.symbol, order.side):
            self._findings.add("fill", id, f"{event.child_id} is not an order of {said}")
        if event.trade_id in child.trades:
            self._findings.add("trade", id, f"{event.child_id} had trade {event.trade_id} before")
        cumulative = child.cumulative + event.quantity
        leaves = order.quantity - cumulative
        if event.quantity <= 0 or leaves < 0 or (event.cumulative, event.leaves) != (cumulative, leaves):
            self._findings.add(
                "fill",
                id,
                f"{event.child_id}: {event.quantity} after {child.cumulative} of {order.quantity} "
                f"is not {event.cumulative} with {event.leaves} left",
            )
        child.trades.add(event.trade_id)
        child.cumulative = cumulative
        if leaves <= 0:
            self._end(event.child_id)

    def _trimmed(self, id: EventId, event: OrderTrimmed) -> None:
        child = self._child(id, event.child_id, ("open",))
        if child is None:
            return
        order = child.order
        in_bounds = child.cumulative < event.quantity < order.quantity
        if not order.reduce_only or not in_bounds or event.leaves != event.quantity - child.cumulative:
            self._findings.add("fill", id, f"{event.child_id} is trimmed to {event.quantity}: {child}")
        child.order = replace(order, quantity=event.quantity)
        self.unreleased[id.stream].add(id, event.order_id)

    def _moved(self, id: EventId, child_id: str, from_stages: tuple[Stage, ...], to_stage: Stage) -> None:
        child = self._child(id, child_id, from_stages)
        if child is not None:
            child.stage = to_stage

    def _ended(
        self,
        id: EventId,
        event: OrderRejected | OrderLost | OrderCancelled | OrderExpired,
        from_stages: tuple[Stage, ...],
    ) -> None:
        child = self._child(id, event.child_id, from_stages)
        if child is None:
            return
        leaves = child.order.quantity - child.cumulative
        if not isinstance(event, OrderRejected) and event.quantity != leaves:
            self._findings.add("fill", id, f"{event.child_id} ends with {event.quantity}, {leaves} was left")
        self.unreleased[id.stream].add(id, event.order_id)
        self._end(event.child_id)

    def _end(self, child_id: str) -> None:
        del self._children[child_id]
        self._over.add(child_id)

    def _child(self, id: EventId, child_id: str, stages: tuple[Stage, ...]) -> _Child | None:
        """The child, if what happens to it now may; else a finding."""
        child = self._children.get(child_id)
        if child is not None and child.stage in stages:
            return child
        stage = child.stage if child is not None else "over" if child_id in self._over else "unknown"
        self._findings.add("life", id, f"{child_id} is {stage}")
        return None

    def _took(self, id: EventId, venue: str, number: int) -> None:
        last = self._fed.get((id.stream, venue), 0)
        if not number:
            return  # it did not come from the feed
        if number != last + 1:
            self._findings.add("feed", id, f"number {number} of {venue} was taken after {last}")
        self._fed[id.stream, venue] = max(number, last)


class _Window:
    """Which client order ids one risk shard decided within the window. Time does not run backwards here either."""

    def __init__(self) -> None:
        self._decided: dict[tuple[str, str], int] = {}
        self._now = 0

    def holds(self, key: tuple[str, str], at: int, window_ns: int) -> bool:
        decided = self._decided.get(key)
        return decided is not None and decided + window_ns > at

    def take(self, key: tuple[str, str], at: int, window_ns: int) -> None:
        self._now = max(self._now, at)
        while self._decided:
            oldest = next(iter(self._decided))
            if self._decided[oldest] + window_ns > self._now:
                break
            del self._decided[oldest]
        self._decided.setdefault(key, self._now)


def _is_as_asked(event: OrderApproved | OrderRefused, asked: Order) -> bool:
    order = event.order
    if isinstance(event, OrderRefused):
        return order == asked
    if order.quantity > asked.quantity or (order.quantity < asked.quantity and not order.reduce_only):
        return False
    # What was not asked to be reduce-only may be made so, not the other way round; and a venue that was not named is
    # chosen.
    reduce_only = order.reduce_only or asked.reduce_only
    return order == replace(asked, quantity=order.quantity, reduce_only=reduce_only, venue=asked.venue or order.venue)


def _tag(event: AnyEvent) -> str:
    return str(event.__struct_config__.tag)
