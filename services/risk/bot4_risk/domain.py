"""Risk: may this account take this order, and what protects it afterwards?

Here is what it hears and what it makes of what it has decided itself; what it decides is in the modules that are named
after it: placing, lists, amends, protection, halting, valuation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.idempotency import CAPACITY, WINDOW_NS, IdempotencyStore
from bot4_common.messages.cost import CostRecorded, StatisticsPublished
from bot4_common.messages.execution import (
    AmendRejected,
    CancelRejected,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
)
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
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.market import Quote, Tick
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    CancelFailed,
    CancelRefused,
    CorrelationsAdopted,
    EquityRebased,
    FeeBooked,
    GateChanged,
    HaltChanged,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    KillSwitchEngaged,
    KillSwitchReset,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListEnded,
    ListRefused,
    MarksTaken,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    PositionChanged,
    PositionFlattened,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
    SignalAccepted,
    SignalRefused,
    StopArmed,
    StopTriggered,
    StrategyRegistered,
)
from bot4_common.messages.terms import Event, Side, signed
from bot4_common.money import ZERO
from bot4_common.orders import fingerprint, order_id_of
from bot4_common.venues import VenueDefinition
from bot4_risk import amends, contingency, halting, lists, placing, protection, valuation
from bot4_risk.account import Amend, Held, OpenOrder, market_of
from bot4_risk.exposure import Ledger, price_of
from bot4_risk.limits import Limits
from bot4_risk.rates import Rates
from bot4_risk.state import Control, Moment, Saved, State, Taken
from bot4_risk.switches import Switch, key_of

# Refusals that cost nothing of the rate: it is the rate that refused, or the order was nothing new.
FREE_OF_RATE = frozenset(("ORDER_RATE", "STRATEGY_ORDER_RATE", "FIRM_ORDER_RATE"))


# How the source of limits begins that came from the process' own file.
FILE = "file "


class Risk:
    """The decider of one risk shard."""

    def __init__(
        self,
        limits: LimitsDocument,
        venues: Mapping[str, VenueDefinition],
        lots: Mapping[str, Decimal],
        window_ns: int = WINDOW_NS,
        capacity: int = CAPACITY,
    ) -> None:
        """`limits` are those of the process' own file, which are taken in when they are new; `venues`, of which the
        first is that of orders that name none; `lots` by symbol."""
        self._limits = limits
        self._venues = dict(venues)
        self._lots = dict(lots)
        self._window_ns = window_ns
        self._capacity = capacity
        self._source = blake2b(msgspec.json.encode(limits), digest_size=8).hexdigest()

    def initial(self) -> State:
        taken: IdempotencyStore[Taken] = IdempotencyStore(self._window_ns, self._capacity)
        return State(Saved({}, taken.dump(), Ledger(), Rates(), None, Control()), taken)

    def deadline(self, state: State) -> int | None:
        if state.control.source != self._source:
            return 0
        due = [due_at for due_at, _ in state.expiries.values()]
        marks = valuation.next_mark(state)
        return min(due if marks is None else [*due, marks], default=None)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        moment = Moment(state, self._venues, self._lots, heard.at, heard.quotes, emit)
        if state.control.source != self._source:
            emit(self.file_limits(state.control.version + 1, heard.at))
        match heard.event:
            case PlaceOrder() | ReplaceOrder() as command:
                _place(moment, _id(heard), command)
            case PlaceList() as command:
                lists.place_list(moment, _id(heard), command)
            case AmendOrder() as command:
                amends.amend(moment, command)
            case CancelOrder() as command:
                _cancel(moment, command)
            case OrderFilled() as fill:
                _filled(moment, fill)
            case OrderSent() as sent:
                halting.watch_sent(moment, sent)
            case OrderAmended() as told:
                amends.amended(moment, told)
            case AmendRejected() as told:
                amends.rejected(moment, told)
            case CancelRejected() as told:
                lists.cancel_failed(moment, told)
            case OrderTrimmed() | OrderPrevented() as smaller:
                _smaller(moment, smaller)
            case OrderCancelled() | OrderExpired() | OrderRejected() | OrderLost() as over:
                _over(moment, over)
            case Quote() as quote:
                protection.watch_stops(moment, quote)
                lists.watch_triggers(moment, quote)
                halting.watch_flattening(moment, quote)
            case Tick():
                lists.expire(moment)
                due_at = valuation.next_mark(state)
                if due_at is not None and due_at <= heard.at:
                    valuation.take_marks(moment)
            case EngageKillSwitch() as command:
                halting.engage(moment, command)
            case ResetKillSwitch() as command:
                halting.reset(moment, command)
            case CostRecorded() as cost:
                valuation.book_fee(moment, cost)
            case StatisticsPublished() as published:
                valuation.adopt(moment, published)
            case _:
                _control(moment, heard)

    def file_limits(self, version: int, at: int) -> LimitsChanged:
        """The limits of the process' own file. They are taken in before anything else, and once: what was set by hand
        since stays until the file is another."""
        return LimitsChanged(
            version=version,
            document=self._limits,
            reason="what the process was started with",
            source=f"{FILE}{self._source}",
            at=at,
        )

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        match event:
            case OrderApproved():
                self._evolve_approved(state, event)
            case OrderHeld():
                self._evolve_held(state, event)
            case OrderRefused():
                self._take(state, event.account, event.order.client_order_id, event.order_id, event)
                if event.code not in FREE_OF_RATE:
                    state.rates.spend(event.account, event.order.strategy, event.at, state.control.limits)
            case ListApproved():
                self._evolve_list(state, event)
            case ListRefused():
                self._take(state, event.account, event.client_list_id, event.list_id, event)
            case ListEnded():
                state.own(event.account).lists.pop(event.list_id, None)
            case PositionChanged():
                _evolve_position(state, event)
            case ReservationReduced():
                _evolve_reduced(state, event)
            case ReservationReleased() | HeldOrderCancelled():
                _evolve_released(state, event)
            case AmendApproved():
                _evolve_amend(state, event)
            case ReservationAmended():
                _evolve_amended(state, event)
            case HeldOrderTriggered():
                state.own(event.account).trigger_held(event.order_id)
                _hear_leg(state, event.account, event.order_id, contingency.Triggered())
            case HeldOrderArmed():
                state.claim(event.account, state.own(event.account).cover(event.order_id, event.quantity))
                _do_leg(state, event.account, event.order_id, contingency.Arm(event.order_id, event.quantity))
            case CancelApproved():
                _evolve_cancel(state, event, True)
            case CancelFailed():
                _evolve_cancel(state, event, False)
            case StopArmed():
                account = state.own(event.account)
                known = event.order_id in account.stops
                account.arm(event)
                if not known:
                    state.watch(event.account, event.order_id, account.stops[event.order_id])
                state.tidy(event.account, event.order_id)
            case StopTriggered():
                state.own(event.account).trigger(event)
            case PositionFlattened():
                state.control.flattened += 1
                state.own(event.account).flatten(event)
            case _:
                _evolve_control(state, event)

    def _evolve_approved(self, state: State, event: OrderApproved) -> None:
        account = state.own(event.account)
        known = account.open_orders.get(event.order_id)
        if known is not None:
            if known.held is not None:
                state.send(event.account, event.order_id, event.order)
                _do_leg(
                    state,
                    event.account,
                    event.order_id,
                    contingency.Send(event.order_id, event.order.quantity),
                )
            return
        mid = (event.bid + event.ask) / 2
        open_order = OpenOrder(order=event.order, leaves=event.order.quantity, price=price_of(event.order, mid))
        state.open(event.account, event.order_id, open_order)
        self._take(state, event.account, event.order.client_order_id, event.order_id, event)
        if event.order_id not in account.exits:
            _spend(state, event)

    def _evolve_held(self, state: State, event: OrderHeld) -> None:
        account = state.own(event.account)
        waits = bool(event.replaces)
        if event.list_id:
            contingent = account.lists.get(event.list_id)
            waits = contingent is not None and contingent.leg(event.order_id).state == "waiting"
        held = Held(fingerprint=event.fingerprint, armed=not waits, replaces=event.replaces, mode=event.mode)
        if event.order_id in account.open_orders:
            state.hold(event.account, event.order_id, held)
            return
        open_order = OpenOrder(order=event.order, leaves=event.order.quantity, price=event.price)
        state.open(event.account, event.order_id, open_order)
        state.hold(event.account, event.order_id, held)
        self._take(state, event.account, event.order.client_order_id, event.order_id, event)
        _spend(state, event)

    def _evolve_list(self, state: State, event: ListApproved) -> None:
        account = state.own(event.account)
        account.lists[event.list_id] = contingency.begun(
            event.list_id, event.client_list_id, event.kind, event.native, event.legs
        )
        mid = (event.bid + event.ask) / 2
        alternatives = lists.alternatives(event.kind, len(event.legs))
        shared = [leg.order for leg, grouped in zip(event.legs, alternatives, strict=True) if grouped]
        price = max((price_of(order, mid) for order in shared), default=mid)
        for number, (leg, grouped) in enumerate(zip(event.legs, alternatives, strict=True)):
            open_order = OpenOrder(
                order=leg.order,
                leaves=leg.order.quantity,
                price=price if grouped else price_of(leg.order, mid),
                list_id=event.list_id,
                group=event.list_id if grouped else "",
                covered=lists.is_covered(event.kind, number, leg.order),
            )
            state.open(event.account, leg.order_id, open_order)
            self._take(state, event.account, leg.order.client_order_id, leg.order_id, event)
            state.rates.spend(event.account, leg.order.strategy, event.at, state.control.limits)
        self._take(state, event.account, event.client_list_id, event.list_id, event)

    def _take(self, state: State, account: str, client_id: str, order_id: str, event: Any) -> None:
        state.taken.put((account, client_id), Taken(order_id, event.fingerprint), event.at)

    # Snapshots

    def dump(self, state: State) -> Any:
        return state.saved()

    def load(self, data: bytes) -> State:
        saved = msgspec.json.decode(data, type=Saved)
        return State(saved, IdempotencyStore.load(saved.taken, self._window_ns, self._capacity))


def _id(heard: Heard) -> str:
    assert heard.id is not None
    return order_id_of(heard.id.sequence, heard.id.index)


def _place(moment: Moment, order_id: str, command: PlaceOrder | ReplaceOrder) -> None:
    asked = fingerprint(command.order)
    if not placing.is_repeat(moment, order_id, command.account, command.order.client_order_id, asked):
        runaway = halting.runaway_refusal(moment, command.account, placing.at_venue(moment, command.order))
        placing.place(moment, order_id, command, asked, runaway)


def _cancel(moment: Moment, command: CancelOrder) -> None:
    name, order_id = command.account, command.order_id
    open_order = moment.state.account(name).order(order_id)
    if open_order is None:
        moment.emit(CancelRefused(order_id=order_id, account=name, code="ORDER_IS_OVER", details={}))
    elif order_id in moment.state.account(name).exits:
        moment.emit(CancelRefused(order_id=order_id, account=name, code="CLOSES_A_POSITION", details={}))
    elif (contingent := lists.list_of(moment.state.account(name), order_id)) is not None and not contingent.native:
        list_id = open_order.list_id
        actions = lists.follow(moment, name, order_id, contingency.CancelWished())
        lists.act(moment, name, actions, "requested")
        if not any(action.order_id == order_id for action in actions):
            # It is being cancelled already: whoever asks again is to hear the same.
            moment.emit(CancelApproved(order_id=order_id, account=name, reason="requested"))
        lists.end_if_over(moment, name, list_id)
    elif open_order.held is not None:
        lists.drop(moment, name, order_id, open_order, "requested")
    else:
        moment.emit(CancelApproved(order_id=order_id, account=name, reason="requested"))


def _filled(moment: Moment, fill: OrderFilled) -> None:
    state, name = moment.state, fill.account
    halting.watch_fill(moment, fill)
    account, market = state.account(name), market_of(fill)
    open_order = account.open_orders.get(fill.order_id)
    before = account.position(market)
    change = signed(fill.side, fill.quantity)
    after = before + change
    actions, covered = _followed(moment, name, open_order, fill)
    moment.emit(
        PositionChanged(
            order_id=fill.order_id,
            account=name,
            strategy=fill.strategy,
            symbol=fill.symbol,
            quantity=change,
            price=fill.price,
            position=after,
            venue=fill.venue,
            at=moment.now,
        )
    )
    opened = min(fill.quantity, max(ZERO, abs(after) - abs(before) if before * after > 0 else abs(after)))
    stop_loss = fill.stop_loss if open_order is None else open_order.order.stop_loss
    if opened and stop_loss is not None:
        protection.protect(moment, fill, stop_loss, opened)
    protection.trim_stops(moment, name, market)
    for child, quantity in covered:
        moment.emit(HeldOrderArmed(order_id=child, account=name, quantity=quantity))
    lists.act(moment, name, actions)
    if before and before * after <= 0:
        protection.cancel_reduce_only(moment, name, market)
    if open_order is not None and open_order.list_id:
        lists.end_if_over(moment, name, open_order.list_id)
    if open_order is not None and not open_order.leaves:
        lists.replace_now(moment, name, fill.order_id, cancelled=False)


def _followed(
    moment: Moment, name: str, open_order: OpenOrder | None, fill: OrderFilled
) -> tuple[list[contingency.Action], list[tuple[str, Decimal]]]:
    """What the order's list wants done about the fill, and the children that it covers. That an order had traded was
    known with its end, if it said so."""
    if open_order is not None and open_order.ended:
        return [], []
    actions = lists.follow(moment, name, fill.order_id, _fill_news(moment, name, open_order, fill))
    return actions, _covered_by(moment, name, fill.order_id, open_order, fill.quantity)


def _fill_news(moment: Moment, name: str, open_order: OpenOrder | None, fill: OrderFilled) -> contingency.Filled:
    """What the fill means to the order's list."""
    if open_order is None:
        # It is over, and had nothing left to be told. That it is over, its list has heard.
        return contingency.Filled(fill.quantity, whole=False)
    account = moment.state.account(name)
    whole = fill.quantity >= open_order.leaves
    passed: tuple[str, ...] = ()
    quote = moment.quote(open_order.order)
    contingent = account.lists.get(open_order.list_id)
    if whole and quote is not None and contingent is not None:
        orders = {
            leg.order_id: account.open_orders[leg.order_id].order
            for leg in contingent.legs
            if leg.order_id in account.open_orders
        }
        passed = contingency.passed_when_armed(contingent, orders, quote.bid, quote.ask)
    return contingency.Filled(fill.quantity, whole, passed)


def _covered_by(
    moment: Moment, name: str, order_id: str, open_order: OpenOrder | None, filled: Decimal
) -> list[tuple[str, Decimal]]:
    """The children, at a venue that keeps the list itself, whose time comes with this fill: now they reserve."""
    if open_order is None or not open_order.list_id or filled < open_order.leaves:
        return []
    account = moment.state.account(name)
    contingent = account.lists.get(open_order.list_id)
    if contingent is None or not contingent.native or contingent.legs[0].order_id != order_id:
        return []
    return [
        (leg.order_id, account.open_orders[leg.order_id].leaves)
        for leg in contingent.legs[1:]
        if leg.order_id in account.open_orders and account.open_orders[leg.order_id].covered
    ]


def _smaller(moment: Moment, told: OrderTrimmed | OrderPrevented) -> None:
    """The venue made an order smaller: the position it reduces is, or it would have met one of its owner's."""
    name, account = told.account, moment.state.account(told.account)
    open_order = account.open_orders.get(told.order_id)
    if open_order is None:
        return
    # All fills before it are known: the feed is in order.
    cut = open_order.leaves - max(told.leaves, ZERO)
    if cut <= 0:
        return
    entry = account.exits.get(told.order_id)
    total = open_order.total - cut
    news = contingency.Amended(total) if isinstance(told, OrderTrimmed) else contingency.Reduced(total)
    actions = lists.follow(moment, name, told.order_id, news)
    prevented = isinstance(told, OrderPrevented)
    moment.emit(ReservationReduced(order_id=told.order_id, account=name, quantity=cut, prevented=prevented))
    protection.try_again(moment, name, entry, cut)
    lists.act(moment, name, actions)


def _over(moment: Moment, told: OrderCancelled | OrderExpired | OrderRejected | OrderLost) -> None:
    name, order_id = told.account, told.order_id
    account = moment.state.account(name)
    open_order = account.order(order_id)
    if open_order is None:
        return
    # What is missing has traded before, and is yet to be told (51).
    left = open_order.leaves if isinstance(told, OrderRejected) else max(min(told.quantity, open_order.leaves), ZERO)
    entry = account.exits.get(order_id)
    actions = lists.follow(moment, name, order_id, contingency.Over(untold=open_order.leaves - left))
    moment.emit(ReservationReleased(order_id=order_id, account=name, quantity=left))
    protection.try_again(moment, name, entry, left)
    lists.act(moment, name, actions)
    if open_order.list_id:
        lists.end_if_over(moment, name, open_order.list_id)
    lists.replace_now(moment, name, order_id, cancelled=isinstance(told, OrderCancelled))


def _control(moment: Moment, heard: Heard) -> None:
    """What is asked of risk besides orders."""
    control = moment.state.control
    match heard.event:
        case SetLimits() as command:
            if command.replaces and command.replaces != control.version:
                moment.emit(LimitsRefused(version=control.version, replaces=command.replaces, code="LIMITS_VERSION"))
                return
            moment.emit(
                LimitsChanged(
                    version=control.version + 1,
                    document=command.document,
                    reason=command.reason,
                    source=command.by,
                    at=moment.now,
                )
            )
        case RebaseEquity() as command:
            moment.emit(EquityRebased(account=command.account, reason=command.reason, by=command.by, at=moment.now))
            valuation.tell_halts(moment)
        case SetGate() as command:
            moment.emit(GateChanged(enabled=command.enabled, reason=command.reason, by=command.by))
        case RegisterStrategy() as command:
            moment.emit(
                StrategyRegistered(account=command.account, strategy=command.strategy, registered=command.registered)
            )
        case RecordSignal() as command:
            _record_signal(moment, _id(heard), command)


def _record_signal(moment: Moment, signal_id: str, command: RecordSignal) -> None:
    if not moment.state.control.gate.is_registered(command.account, command.strategy):
        moment.emit(
            SignalRefused(
                signal_id=signal_id,
                account=command.account,
                strategy=command.strategy,
                code="GATE_NOT_REGISTERED",
                details={"strategy": command.strategy},
            )
        )
        return
    moment.emit(
        SignalAccepted(
            signal_id=signal_id,
            account=command.account,
            strategy=command.strategy,
            symbol=command.symbol,
            side=command.side,
            at=moment.now,
        )
    )


# Evolve


def _spend(state: State, event: OrderApproved | OrderHeld) -> None:
    state.rates.spend(event.account, event.order.strategy, event.at, state.control.limits)
    guard = state.guard(event.account, event.order.strategy)
    guard.note_order(event.order, event.at, state.control.limits.guards)


def _evolve_position(state: State, event: PositionChanged) -> None:
    account, market = state.own(event.account), market_of(event)
    open_order = account.open_orders.get(event.order_id)
    quantity = abs(event.quantity)
    if open_order is not None and not open_order.ended:
        _hear_leg(
            state,
            event.account,
            event.order_id,
            contingency.Filled(min(quantity, open_order.leaves), quantity >= open_order.leaves),
        )
    account.move(market, event.position)
    state.ledger.fill(event.account, event.strategy, event.venue, event.symbol, event.quantity, event.price)
    entry, claim = account.fill(event.order_id, quantity)
    if open_order is not None and claim is not None:
        state.claim(event.account, claim)
        state.changed(event.account, event.order_id, open_order)
    state.tidy(event.account, entry)
    if event.at:
        guard = state.guard(event.account, event.strategy)
        side: Side = "buy" if event.quantity > 0 else "sell"
        guard.note_fill(event.symbol, side, event.at, state.control.limits.guards)


def _evolve_reduced(state: State, event: ReservationReduced) -> None:
    account = state.own(event.account)
    open_order = account.open_orders[event.order_id]
    state.claim(event.account, account.reduce(event.order_id, event.quantity, event.prevented))
    state.changed(event.account, event.order_id, open_order)
    _hear_leg(state, event.account, event.order_id, contingency.Reduced(open_order.total))


def _evolve_released(state: State, event: ReservationReleased | HeldOrderCancelled) -> None:
    account = state.own(event.account)
    open_order = account.open_orders.get(event.order_id)
    if open_order is None:
        return
    untold = open_order.leaves - event.quantity
    _hear_leg(state, event.account, event.order_id, contingency.Over(untold))
    state.claim(event.account, account.release(event.order_id, event.quantity))
    state.changed(event.account, event.order_id, open_order)
    state.tidy(event.account, event.order_id)


def _evolve_amend(state: State, event: AmendApproved) -> None:
    account = state.own(event.account)
    state.claim(event.account, *account.ask_amend(event.order_id, Amend(event.quantity, event.price)))
    open_order = account.open_orders[event.order_id]
    state.reindex(event.account, event.order_id, open_order)
    state.rates.spend(event.account, open_order.order.strategy, event.at, state.control.limits)


def _evolve_amended(state: State, event: ReservationAmended) -> None:
    account = state.own(event.account)
    open_order = account.open_orders[event.order_id]
    refused = bool(event.code)
    claims = account.settle_amend(event.order_id, event.quantity, event.price, event.leaves, refused)
    state.claim(event.account, *claims)
    state.changed(event.account, event.order_id, open_order)
    if not refused:
        total = event.quantity - open_order.prevented
        _hear_leg(state, event.account, event.order_id, contingency.Amended(total))
    if event.order_id not in account.open_orders:
        _hear_leg(state, event.account, event.order_id, contingency.Over())
        state.tidy(event.account, event.order_id)


def _evolve_cancel(state: State, event: CancelApproved | CancelFailed, cancelling: bool) -> None:
    account = state.own(event.account)
    open_order = account.open_orders.get(event.order_id)
    if open_order is not None:
        open_order.cancelling = cancelling
        state.reindex(event.account, event.order_id, open_order)
        if cancelling:
            _do_leg(state, event.account, event.order_id, contingency.Cancel(event.order_id))
        else:
            _hear_leg(state, event.account, event.order_id, contingency.CancelFailed())


def _hear_leg(state: State, account: str, order_id: str, news: contingency.News) -> None:
    contingent = _contingent(state, account, order_id)
    if contingent is not None:
        contingency.heard(contingent, order_id, news)


def _do_leg(state: State, account: str, order_id: str, action: contingency.Action) -> None:
    contingent = _contingent(state, account, order_id)
    if contingent is not None:
        contingency.done(contingent, action)


def _contingent(state: State, account: str, order_id: str) -> contingency.Contingent | None:
    return lists.list_of(state.accounts[account], order_id)


def _evolve_control(state: State, event: Event) -> None:
    control = state.control
    match event:
        case KillSwitchEngaged():
            control.switches[key_of(event)] = Switch(
                scope=event.scope,
                account=event.account,
                strategy=event.strategy,
                symbol=event.symbol,
                flatten=event.flatten,
                reason=event.reason,
            )
        case KillSwitchReset():
            control.switches.pop(key_of(event), None)
        case LimitsChanged():
            control.limits, control.version = event.document, event.version
            state.limits = Limits(event.document)
            if event.source.startswith(FILE):
                control.source = event.source.removeprefix(FILE)
            state.ledger.adopt(event.document)
            state.index_orders()
        case MarksTaken():
            control.marked_at = event.at
            state.ledger.mark(event.marks, event.at)
        case FeeBooked():
            state.ledger.fee(event.account, event.strategy, event.fee)
        case HaltChanged():
            key = valuation.halt_key(event.scope, event.name, event.rule)
            if event.halted:
                control.halts[key] = True
            else:
                control.halts.pop(key, None)
        case EquityRebased():
            state.ledger.rebase(event.account)
        case CorrelationsAdopted():
            state.adopt(event)
        case GateChanged():
            control.gate.enabled = event.enabled
        case StrategyRegistered():
            control.gate.register(event.account, event.strategy, event.registered)
        case SignalAccepted():
            control.gate.accept(event)
