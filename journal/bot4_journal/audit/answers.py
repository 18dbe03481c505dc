"""Was everything that was asked answered, once, and decided as it was asked?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    PlaceList,
    PlaceOrder,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ReplaceOrder,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    CancelRefused,
    EquityRebased,
    GateChanged,
    GateDecided,
    HeldOrderCancelled,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    ReservationAmended,
    SelfTradePrevented,
    SignalAccepted,
    SignalRefused,
    StrategyRegistered,
)
from bot4_common.messages.terms import Event, EventId, Order
from bot4_common.money import ZERO
from bot4_common.orders import order_id_of
from bot4_journal.audit.controls import ControlRules
from bot4_journal.audit.findings import Findings, Owed

Placed = PlaceOrder | ReplaceOrder | PlaceList
Asked = (
    Placed
    | AmendOrder
    | CancelOrder
    | EngageKillSwitch
    | ResetKillSwitch
    | SetLimits
    | RebaseEquity
    | SetGate
    | RegisterStrategy
    | RecordSignal
)
Decided = OrderApproved | OrderHeld | OrderRefused | OrderRepeated
Changed = AmendApproved | AmendRefused | ReservationAmended | CancelApproved | CancelRefused | HeldOrderCancelled

SWITCH = ("scope", "account", "strategy", "symbol")
# What answers a request that is about no order, and which fields the two share.
ANSWERS: dict[type[Event], tuple[type[Event], tuple[str, ...]]] = {
    KillSwitchEngaged: (EngageKillSwitch, SWITCH),
    KillSwitchReset: (ResetKillSwitch, SWITCH),
    KillSwitchResetRefused: (ResetKillSwitch, SWITCH),
    LimitsChanged: (SetLimits, ("document", "reason")),
    LimitsRefused: (SetLimits, ("replaces",)),
    EquityRebased: (RebaseEquity, ("account", "reason", "by")),
    GateChanged: (SetGate, ("enabled", "reason", "by")),
    StrategyRegistered: (RegisterStrategy, ("account", "strategy", "registered")),
    SignalAccepted: (RecordSignal, ("account", "strategy", "symbol", "side")),
    SignalRefused: (RecordSignal, ("account", "strategy")),
}
ANSWERING = tuple(ANSWERS)


class AnswerRules:
    """`window_ns` is how long a client order id stays taken; `live` are the open orders by account and client order
    id, and `list_of` the list that an open order is a leg of."""

    def __init__(
        self,
        findings: Findings,
        controls: ControlRules,
        window_ns: int,
        live: dict[tuple[str, str], str],
        list_of: Callable[[str], str],
    ) -> None:
        self._findings = findings
        self._controls = controls
        self._window_ns = window_ns
        self._live = live
        self._list_of = list_of
        self.unanswered: Owed[Asked] = Owed()
        self._taken: dict[str, _Window] = defaultdict(_Window)
        # Of the decision being heard: what it answers, what the gate said, and what orders lost to their own owner's.
        self._answering: Asked | None = None
        self._verdicts: dict[str, GateDecided] = {}
        self._prevented: dict[str, Decimal] = defaultdict(lambda: ZERO)

    def asked(self, id: EventId, event: AnyEvent) -> None:
        """The gateway has written it."""
        if isinstance(event, Asked):
            self.unanswered.add(id, event)

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        """What risk says besides its decisions on orders, which are told one by one."""
        match event:
            case GateDecided():
                self._verdicts[event.order_id] = event
            case SelfTradePrevented():
                self._prevented[event.order_id] += event.quantity
            case ListApproved() | ListRefused():
                self._list_decided(id, event, cause)
        if isinstance(event, ANSWERING):
            self._control_decided(id, event, cause)

    def end_decision(self) -> None:
        self._answering = None
        self._verdicts.clear()
        self._prevented.clear()

    def gateway_read(self, through: int) -> None:
        """All risk shards have read the gateway's stream so far."""
        for id, asked in self.unanswered.overdue(through):
            if not isinstance(asked, EngageKillSwitch) or not self._controls.has_engaged(id, asked):
                self._findings.add("answered", id, f"{tag(asked)} was read and not answered")

    def taken(self, id: EventId, event: OrderApproved | OrderHeld | OrderRefused) -> None:
        """The client order id has been decided."""
        self._taken[id.stream].take((event.account, event.order.client_order_id), event.at, self._window_ns)

    def order_decided(self, id: EventId, event: Decided, cause: EventId | None) -> None:
        """Of an order that somebody asked for alone."""
        asked = self._pay(cause)
        if asked is None or cause is None:
            rule = "exit" if cause is None and isinstance(event, OrderApproved) else "answered"
            self._findings.add(rule, id, f"{tag(event)} of {event.order_id}: no submission waits for it at {cause}")
            return
        submitted = order_id_of(cause.sequence, cause.index)
        named = event.order_id, event.account
        if not isinstance(asked, Placed) or not _answers(event, asked) or named != (submitted, asked.account):
            self._findings.add("answered", id, f"{tag(event)} of {event.order_id} answers {tag(asked)} {submitted}")
        elif isinstance(event, OrderRepeated):
            if event.client_order_id != _client_id(asked):
                self._findings.add("asked", id, f"{event.client_order_id} was {_client_id(asked)} when asked")
        elif not isinstance(asked, PlaceList):
            self._check_order(id, event, asked)

    def change_decided(self, id: EventId, event: Changed, cause: EventId | None) -> Asked | None:
        """Of an amend or a cancel; what somebody asked that it answers, if it does."""
        asked = self.unanswered.owed(cause)
        amends = isinstance(event, AmendApproved | AmendRefused | ReservationAmended)
        wanted = AmendOrder if amends else CancelOrder
        if (
            isinstance(asked, AmendOrder | CancelOrder)
            and isinstance(asked, wanted)
            and (asked.account, asked.order_id) == (event.account, event.order_id)
        ):
            return self._pay(cause)
        answering = asked if self._answering is None else self._answering
        if not _needs_request(event) or self._is_of_its_list(event, answering):
            return None
        self._findings.add("answered", id, f"{tag(event)} of {event.order_id}: no such request waits at {cause}")
        return None

    def _pay(self, cause: EventId | None) -> Asked | None:
        asked = self.unanswered.pay(cause)
        if asked is not None:
            self._answering = asked
        return asked

    def _is_of_its_list(self, event: Changed, asked: Asked | None) -> bool:
        """Cancelling one cancels the list (31)."""
        list_id = self._list_of(event.order_id)
        return bool(list_id) and isinstance(asked, CancelOrder) and asked.order_id.startswith(f"{list_id}-leg")

    def _check_order(
        self, id: EventId, event: OrderApproved | OrderHeld | OrderRefused, asked: PlaceOrder | ReplaceOrder
    ) -> None:
        if isinstance(event, OrderRefused):
            self._check_refused(id, event, asked)
        else:
            self._check_approved(id, event, asked.order)
            self._check_gate(id, event.order_id)
        key = event.account, event.order.client_order_id
        if self._taken[id.stream].holds(key, event.at, self._window_ns):
            self._findings.add("taken", id, f"{key} of {event.order_id} was decided before, within the window")

    def _check_refused(self, id: EventId, event: OrderRefused, asked: PlaceOrder | ReplaceOrder) -> None:
        if event.order != asked.order:
            self._findings.add("asked", id, f"{event.order} was {asked.order} when asked for")
        if event.code != "SELF_TRADE":
            return
        prevented, quantity = self._prevented[event.order_id], asked.order.quantity
        smaller = ZERO < prevented < quantity and self._may_shrink(event.account, asked.order)
        if prevented != quantity and not smaller:
            self._findings.add("self_trade", id, f"{event.order_id} lost {prevented} of {quantity}")

    def _check_approved(self, id: EventId, event: OrderApproved | OrderHeld, asked: Order) -> None:
        order, prevented = event.order, self._prevented[event.order_id]
        lost = asked.quantity - order.quantity
        if prevented and (lost < prevented or (lost > prevented and not self._may_shrink(event.account, order))):
            self._findings.add("self_trade", id, f"{event.order_id} lost {lost}, of which {prevented} to its owner's")
        elif not prevented and lost and not (lost > 0 and self._may_shrink(event.account, order)):
            self._findings.add("asked", id, f"{order} was {asked} when asked for")
        if not is_as_asked(order, asked):
            self._findings.add("asked", id, f"{order} was {asked} when asked for")
        key = event.account, order.client_order_id
        if key in self._live:
            self._findings.add("taken", id, f"{key} of {event.order_id} is that of the open order {self._live[key]}")

    def _may_shrink(self, account: str, order: Order) -> bool:
        """To the position that it reduces, or to what goes with it."""
        return order.reduce_only or self._controls.scales(account)

    def _check_gate(self, id: EventId, order_id: str) -> None:
        verdict = self._verdicts.get(order_id)
        if verdict is not None and verdict.decision == "refused":
            self._findings.add("gate", id, f"{order_id} is approved, and the gate refused it: {verdict.reason}")
        elif verdict is None and self._controls.gate_enabled:
            self._findings.add("gate", id, f"{order_id} is approved, and the gate was not asked")

    def _list_decided(self, id: EventId, event: ListApproved | ListRefused, cause: EventId | None) -> None:
        asked = self._pay(cause)
        if not isinstance(asked, PlaceList) or cause is None:
            self._findings.add("answered", id, f"{tag(event)} of {event.list_id}: no such request waits at {cause}")
            return
        if (event.list_id, event.account) != (order_id_of(cause.sequence, cause.index), asked.account):
            self._findings.add("answered", id, f"{tag(event)} of {event.list_id} answers {cause}")
        wanted = asked.list
        orders = [leg.order for leg in event.legs]
        fits = len(orders) == len(wanted.orders) and all(map(_is_leg_as_asked, orders, wanted.orders))
        if (event.client_list_id, event.kind) != (wanted.client_list_id, wanted.kind) or not fits:
            self._findings.add("asked", id, f"{orders} of {event.list_id} were {wanted} when asked for")
        keys = [event.client_list_id]
        if isinstance(event, ListApproved):
            self._check_gate(id, event.list_id)
            keys += [order.client_order_id for order in orders]
        self._take_all(id, event, keys)

    def _take_all(self, id: EventId, event: ListApproved | ListRefused, client_ids: list[str]) -> None:
        window = self._taken[id.stream]
        for client_id in client_ids:
            key = event.account, client_id
            if window.holds(key, event.at, self._window_ns):
                self._findings.add("taken", id, f"{key} of {event.list_id} was decided before, within the window")
            window.take(key, event.at, self._window_ns)

    def _control_decided(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        if (isinstance(event, KillSwitchEngaged) and event.cause == "guard") or (
            isinstance(event, LimitsChanged) and cause is None
        ):
            return  # nobody asked
        kind, shared = ANSWERS[type(event)]
        asked = self._pay(cause)
        agrees = isinstance(asked, kind) and all(getattr(event, name) == getattr(asked, name) for name in shared)
        if cause is None or not agrees or getattr(event, "signal_id", _id_at(cause)) != _id_at(cause):
            self._findings.add("answered", id, f"{event} answers {asked} at {cause}")


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


def tag(event: Event) -> str:
    return str(event.__struct_config__.tag)


def is_as_asked(order: Order, asked: Order) -> bool:
    """Whether it is the same but for its size. What was not asked to be reduce-only may be made so, not the other way
    round; and what was left to the system is written out: the venue, and what self-trade prevention does, which no
    order turns off."""
    prevents = asked.self_trade_prevention not in ("", "none")
    return order == replace(
        asked,
        quantity=order.quantity,
        reduce_only=order.reduce_only or asked.reduce_only,
        venue=asked.venue or order.venue,
        self_trade_prevention=(asked if prevents else order).self_trade_prevention,
    )


def _is_leg_as_asked(order: Order, asked: Order) -> bool:
    smaller = order.quantity < asked.quantity and order.reduce_only
    return (order.quantity == asked.quantity or smaller) and is_as_asked(order, asked)


def _answers(event: Decided, asked: Placed) -> bool:
    """Whether the event can be the answer to what was asked."""
    match event:
        case OrderRepeated():
            return True
        case OrderHeld() if isinstance(asked, ReplaceOrder):
            return (event.replaces, event.mode) == (asked.order_id, asked.mode)
        case OrderHeld():
            return isinstance(asked, PlaceOrder) and not event.replaces
        case OrderApproved():
            return isinstance(asked, PlaceOrder)
        case OrderRefused():
            return isinstance(asked, PlaceOrder | ReplaceOrder)


def _client_id(asked: Placed) -> str:
    return asked.list.client_list_id if isinstance(asked, PlaceList) else asked.order.client_order_id


def _needs_request(event: Changed) -> bool:
    """What can be said only because somebody asked; other amends and cancels may be risk's own idea."""
    match event:
        case AmendRefused() | CancelRefused():
            return True
        case CancelApproved() | HeldOrderCancelled():
            return event.reason == "requested"
    return False


def _id_at(cause: EventId | None) -> str:
    return "" if cause is None else order_id_of(cause.sequence, cause.index)
