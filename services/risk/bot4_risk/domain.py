"""Risk: may this account take this order, and what protects it afterwards?"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from bot4_common.decider import Emit, Heard
from bot4_common.idempotency import CAPACITY, WINDOW_NS, Dump, IdempotencyStore
from bot4_common.messages.execution import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderTrimmed,
)
from bot4_common.messages.gateway import CancelOrder, EngageKillSwitch, PlaceOrder, ResetKillSwitch
from bot4_common.messages.market import Quote
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
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import FIRST_VENUE, Event, Order, Side, opposite, signed
from bot4_common.money import ZERO, multiply, plain
from bot4_common.orders import fingerprint, order_id_of
from bot4_risk.account import Account, Stop, market_of
from bot4_risk.limits import Limits

SIDES: tuple[Side, Side] = ("buy", "sell")


class Taken(msgspec.Struct, frozen=True):
    """Who has a client order id, and what was asked under it."""

    order_id: str
    fingerprint: str


# How near a stop's trigger is (less is nearer), its account, and the order that it protects.
Watched = tuple[Decimal, str, str]


class State:
    """All accounts of the shard, and the client order ids of the last window."""

    def __init__(self, accounts: dict[str, Account], taken: IdempotencyStore[Taken]) -> None:
        self.accounts = accounts
        self.taken = taken
        # The stops that watch a market and side, nearest to their trigger first: derived from the accounts, so that a
        # quote looks at no others, and sorted, so that they fire in one order whether lived or loaded.
        self.watched: dict[tuple[str, Side], list[Watched]] = {}
        for name, account in accounts.items():
            for order_id, stop in account.stops.items():
                self.watch(name, order_id, stop)

    def account(self, name: str) -> Account:
        """To look at; an account without history is empty."""
        return self.accounts.get(name) or Account()

    # Only `evolve` calls what follows.

    def own(self, name: str) -> Account:
        return self.accounts.setdefault(name, Account())

    def watch(self, account: str, order_id: str, stop: Stop) -> None:
        insort(self.watched.setdefault((market_of(stop), stop.side), []), _watched(account, order_id, stop))

    def tidy(self, name: str, order_id: str) -> None:
        """Forgets a stop that protects nothing and cannot come to protect anything."""
        account = self.accounts[name]
        stop = account.stops.get(order_id)
        if stop is not None and account.is_spent(order_id, stop):
            del account.stops[order_id]
            watching = self.watched[market_of(stop), stop.side]
            del watching[bisect_left(watching, _watched(name, order_id, stop))]


def _watched(account: str, order_id: str, stop: Stop) -> Watched:
    """A falling market reaches the highest sell first, a rising one the lowest buy."""
    return (stop.stop_price if stop.side == "buy" else -stop.stop_price, account, order_id)


class _Saved(msgspec.Struct):
    accounts: dict[str, Account]
    taken: Dump[Taken]


class Risk:
    """The decider of one risk shard."""

    def __init__(
        self,
        limits: Limits,
        venues: Sequence[str] = (FIRST_VENUE,),
        window_ns: int = WINDOW_NS,
        capacity: int = CAPACITY,
    ) -> None:
        """`venues`, of which the first is that of orders that name none."""
        self._limits = limits
        self._venues = tuple(venues)
        self._window_ns = window_ns
        self._capacity = capacity

    def initial(self) -> State:
        return State({}, IdempotencyStore(self._window_ns, self._capacity))

    def deadline(self, state: State) -> int | None:
        return None

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case PlaceOrder() as command:
                self._place(state, heard, command, emit)
            case CancelOrder() as command:
                _cancel(state.account(command.account), command, emit)
            case OrderFilled() as fill:
                _filled(state, fill, emit)
            case OrderTrimmed() as trimmed:
                _trimmed(state, trimmed, emit)
            case OrderCancelled() | OrderExpired() | OrderRejected() | OrderLost() as over:
                _over(state, over.account, over.order_id, emit)
            case Quote() as quote:
                self._quoted(state, heard, quote, emit)
            case EngageKillSwitch() as command:
                _kill(state.account(command.account), command, emit)
            case ResetKillSwitch() as command:
                if state.account(command.account).killed:
                    emit(KillSwitchReset(account=command.account, reason=command.reason))

    def _place(self, state: State, heard: Heard, command: PlaceOrder, emit: Emit) -> None:
        assert heard.id is not None
        asked_for, account = command.order, state.account(command.account)
        order_id = order_id_of(heard.id.sequence, heard.id.index)
        asked = fingerprint(asked_for)
        first = state.taken.get((command.account, asked_for.client_order_id), heard.at)
        if first is not None:
            emit(
                OrderRepeated(
                    order_id=order_id,
                    account=command.account,
                    client_order_id=asked_for.client_order_id,
                    first=first.order_id,
                    same_body=first.fingerprint == asked,
                )
            )
            return
        order = asked_for if asked_for.venue else replace(asked_for, venue=self._venues[0])
        quote = heard.quotes.get((order.venue, order.symbol))
        refusal = self._refusal(account, order, quote, heard.at)
        if refusal is not None:
            code, details = refusal
            emit(
                OrderRefused(
                    order_id=order_id,
                    account=command.account,
                    order=asked_for,
                    fingerprint=asked,
                    code=code,
                    details=details,
                    at=heard.at,
                )
            )
            return
        assert quote is not None
        opening = account.is_opening(order)
        emit(
            OrderApproved(
                order_id=order_id,
                account=command.account,
                order=_as_approved(account, order, opening),
                fingerprint=asked,
                bid=quote.bid,
                ask=quote.ask,
                opening=opening and not order.reduce_only,
                at=heard.at,
            )
        )

    def _refusal(
        self, account: Account, order: Order, quote: Quote | None, now: int
    ) -> tuple[str, dict[str, str]] | None:
        """The first rule the order breaks, with the numbers that explain it."""
        limits = self._limits
        if account.killed:
            return "KILL_SWITCH", {}
        if order.venue not in self._venues:
            return "UNKNOWN_VENUE", {"venue": order.venue, "venues": ", ".join(self._venues)}
        if order.client_order_id in account.live:
            return "DUPLICATE_LIVE_ORDER", {"order_id": account.live[order.client_order_id]}
        if len(account.open_orders) >= limits.open_orders_max:
            return "OPEN_ORDERS", _numbers(open_orders=len(account.open_orders), limit=limits.open_orders_max)
        if quote is None:
            return "NO_MARKET", {"symbol": order.symbol, "venue": order.venue}
        if now - quote.at > limits.quote_age_max_ns:
            return "NO_MARKET", _numbers(quote_age_ns=now - quote.at, limit=limits.quote_age_max_ns)
        mid = (quote.bid + quote.ask) / 2
        if order.price is not None:
            collar = mid * limits.price_collar_bps / 10_000
            if abs(order.price - mid) > collar:
                return "PRICE_COLLAR", _numbers(price=order.price, mid=mid, limit_bps=limits.price_collar_bps)
        notional = multiply(order.quantity, order.price or mid)
        if notional > limits.order_notional_max:
            return "ORDER_SIZE", _numbers(notional=notional, limit=limits.order_notional_max)
        if order.reduce_only:
            return self._reduce_only_refusal(account, order)
        worst = multiply(account.worst_position(order) + account.worst_elsewhere(order, self._venues), mid)
        opening = account.is_opening(order)
        if opening and worst > limits.position_notional_max:
            return "POSITION_LIMIT", _numbers(asked=worst, limit=limits.position_notional_max)
        if not opening:
            return None
        if order.stop_loss is None:
            return "STOP_LOSS_REQUIRED", _numbers(position=account.position(market_of(order)), quantity=order.quantity)
        if _reached(opposite(order.side), order.stop_loss, quote):
            return "STOP_ALREADY_PASSED", _numbers(stop_loss=order.stop_loss, bid=quote.bid, ask=quote.ask)
        return None

    def _reduce_only_refusal(self, account: Account, order: Order) -> tuple[str, dict[str, str]] | None:
        market = market_of(order)
        position = account.position(market)
        claimed = account.reduce_only_on(market, order.side)
        if account.reducible(market, order.side) <= claimed:
            return "NOTHING_TO_REDUCE", _numbers(position=position, claimed=claimed)
        return None

    def _quoted(self, state: State, heard: Heard, quote: Quote, emit: Emit) -> None:
        """Fires every stop the market has reached."""
        market = market_of(quote)
        for side in SIDES:
            # Triggering forgets no stop, so the list stays as it is meanwhile.
            for _, name, order_id in state.watched.get((market, side), ()):
                stop = state.accounts[name].stops[order_id]
                if not _reached(stop.side, stop.stop_price, quote):
                    break
                if stop.quantity:
                    _trigger(state.accounts[name], name, order_id, quote, heard.at, emit)

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        match event:
            case OrderApproved():
                state.own(event.account).reserve(event.order_id, event.order)
                self._take(state, event)
            case OrderRefused():
                self._take(state, event)
            case PositionChanged():
                account = state.own(event.account)
                account.move(market_of(event), event.position)
                entry = account.fill(event.order_id, abs(event.quantity))
                state.tidy(event.account, entry)
            case ReservationReduced():
                state.own(event.account).reduce(event.order_id, event.quantity)
            case ReservationReleased():
                state.own(event.account).release(event.order_id)
                state.tidy(event.account, event.order_id)
            case StopArmed():
                account = state.own(event.account)
                known = event.order_id in account.stops
                account.arm(event)
                if not known:
                    state.watch(event.account, event.order_id, account.stops[event.order_id])
                state.tidy(event.account, event.order_id)
            case StopTriggered():
                state.own(event.account).trigger(event)
            case KillSwitchEngaged():
                state.own(event.account).killed = True
            case KillSwitchReset():
                state.own(event.account).killed = False

    def _take(self, state: State, event: OrderApproved | OrderRefused) -> None:
        taken = Taken(event.order_id, event.fingerprint)
        state.taken.put((event.account, event.order.client_order_id), taken, event.at)

    # Snapshots

    def dump(self, state: State) -> Any:
        return _Saved(state.accounts, state.taken.dump())

    def load(self, data: bytes) -> State:
        saved = msgspec.json.decode(data, type=_Saved)
        return State(saved.accounts, IdempotencyStore.load(saved.taken, self._window_ns, self._capacity))


def _as_approved(account: Account, order: Order, opening: bool) -> Order:
    """What may go to the venue: no reduce-only order beyond the position; and an order that, as things stand, only
    closes and so came without a stop, is held to that at the venue too, whatever fills before it."""
    if order.reduce_only:
        market = market_of(order)
        room = account.reducible(market, order.side) - account.reduce_only_on(market, order.side)
        return replace(order, quantity=min(order.quantity, room))
    if not opening and order.stop_loss is None:
        return replace(order, reduce_only=True)
    return order


def _cancel(account: Account, command: CancelOrder, emit: Emit) -> None:
    if command.order_id not in account.open_orders:
        emit(CancelRefused(order_id=command.order_id, account=command.account, code="ORDER_IS_OVER", details={}))
        return
    emit(CancelApproved(order_id=command.order_id, account=command.account, reason="requested"))


def _kill(account: Account, command: EngageKillSwitch, emit: Emit) -> None:
    if not account.killed:
        emit(KillSwitchEngaged(account=command.account, reason=command.reason))
    for order_id in list(account.open_orders):
        if order_id not in account.exits:
            emit(CancelApproved(order_id=order_id, account=command.account, reason="kill_switch"))


def _filled(state: State, fill: OrderFilled, emit: Emit) -> None:
    account = state.account(fill.account)
    filled = account.open_orders.get(fill.order_id)
    market = market_of(fill)
    before = account.position(market)
    change = signed(fill.side, fill.quantity)
    after = before + change
    emit(
        PositionChanged(
            order_id=fill.order_id,
            account=fill.account,
            strategy=fill.strategy,
            symbol=fill.symbol,
            quantity=change,
            price=fill.price,
            position=after,
            venue=fill.venue,
        )
    )
    account = state.account(fill.account)
    opened = min(fill.quantity, max(ZERO, abs(after) - abs(before) if before * after > 0 else abs(after)))
    if opened and filled is not None and filled.order.stop_loss is not None:
        _protect(account, fill, filled.order.stop_loss, opened, emit)
    _trim_stops(account, fill.account, market, emit)
    if before and before * after <= 0:
        _cancel_reduce_only(account, fill.account, market, emit)


def _protect(account: Account, fill: OrderFilled, stop_price: Decimal, opened: Decimal, emit: Emit) -> None:
    """Grows the order's stop by what its fill opened."""
    stop = account.stops.get(fill.order_id)
    emit(
        StopArmed(
            order_id=fill.order_id,
            account=fill.account,
            strategy=fill.strategy,
            symbol=fill.symbol,
            side=opposite(fill.side),
            quantity=opened + (stop.quantity if stop is not None else ZERO),
            stop_price=stop_price,
            venue=fill.venue,
        )
    )


def _trim_stops(account: Account, name: str, market: str, emit: Emit) -> None:
    """Shrinks the stops, oldest first, until with the exits under way they protect no more than the position."""
    for side in SIDES:
        allowed = max(account.reducible(market, side) - account.exiting_on(market, side), ZERO)
        surplus = account.protected_on(market, side) - allowed
        for order_id, stop, left in account.shrunk(market, side, surplus):
            emit(_rearmed(stop, name, order_id, left))


def _rearmed(stop: Stop, account: str, order_id: str, quantity: Decimal) -> StopArmed:
    return StopArmed(
        order_id=order_id,
        account=account,
        strategy=stop.strategy,
        symbol=stop.symbol,
        side=stop.side,
        quantity=quantity,
        stop_price=stop.stop_price,
        venue=stop.venue,
    )


def _cancel_reduce_only(account: Account, name: str, market: str, emit: Emit) -> None:
    """With the position gone, or gone over to the other side, what could only reduce it has nothing left to do."""
    for order_id, open_order in list(account.open_orders.items()):
        order = open_order.order
        if order.reduce_only and market_of(order) == market and not account.reducible(market, order.side):
            emit(CancelApproved(order_id=order_id, account=name, reason="reduce_only"))


def _trimmed(state: State, trimmed: OrderTrimmed, emit: Emit) -> None:
    """The venue made an order smaller, because the position it reduces is."""
    account = state.account(trimmed.account)
    open_order = account.open_orders.get(trimmed.order_id)
    if open_order is None:
        return
    # All fills before the trim are known: the feed is in order.
    cut = open_order.leaves - trimmed.leaves
    entry = account.exits.get(trimmed.order_id)
    emit(ReservationReduced(order_id=trimmed.order_id, account=trimmed.account, quantity=cut))
    _try_again(account, trimmed.account, entry, cut, emit)


def _over(state: State, name: str, order_id: str, emit: Emit) -> None:
    account = state.account(name)
    open_order = account.open_orders.get(order_id)
    if open_order is None:
        return
    entry = account.exits.get(order_id)
    emit(ReservationReleased(order_id=order_id, account=name, quantity=open_order.leaves))
    _try_again(account, name, entry, open_order.leaves, emit)


def _try_again(account: Account, name: str, entry: str | None, quantity: Decimal, emit: Emit) -> None:
    """An exit that did not close everything leaves its stop, that of order `entry`, to try again."""
    if entry is None:
        return
    stop = account.stops[entry]
    emit(_rearmed(stop, name, entry, stop.quantity + quantity))
    _trim_stops(account, name, market_of(stop), emit)


def _trigger(account: Account, name: str, order_id: str, quote: Quote, now: int, emit: Emit) -> None:
    """Closes what the stop protects at the market, and stops the order from opening more."""
    stop = account.stops[order_id]
    # Numbered by the account: a stop can be forgotten and armed anew, an exit's id is never used again.
    exit_id = f"{order_id}-stop{account.exits_made + 1}"
    order = Order(
        client_order_id=exit_id,
        symbol=stop.symbol,
        side=stop.side,
        type="market",
        quantity=stop.quantity,
        strategy=stop.strategy,
        time_in_force="ioc",
        reduce_only=True,
        venue=stop.venue,
    )
    emit(
        StopTriggered(
            order_id=order_id,
            account=name,
            symbol=stop.symbol,
            exit_id=exit_id,
            quantity=stop.quantity,
            stop_price=stop.stop_price,
            bid=quote.bid,
            ask=quote.ask,
            venue=stop.venue,
        )
    )
    emit(
        OrderApproved(
            order_id=exit_id,
            account=name,
            order=order,
            fingerprint=fingerprint(order),
            bid=quote.bid,
            ask=quote.ask,
            opening=False,
            at=now,
        )
    )
    if order_id in account.open_orders:
        emit(CancelApproved(order_id=order_id, account=name, reason="stopped_out"))


def _reached(exit_side: Side, stop_price: Decimal, quote: Quote) -> bool:
    return quote.bid <= stop_price if exit_side == "sell" else quote.ask >= stop_price


def _numbers(**values: Decimal | int) -> dict[str, str]:
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}
