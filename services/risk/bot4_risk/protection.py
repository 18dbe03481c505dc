"""What protects a position? The stop of each order that opened a part of it, for as long as that part is there."""

from __future__ import annotations

from decimal import Decimal

from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import CancelApproved, OrderApproved, StopArmed, StopTriggered
from bot4_common.messages.terms import Order, Side, opposite
from bot4_common.money import ZERO
from bot4_common.orders import fingerprint
from bot4_risk import lists
from bot4_risk.account import Account, Stop, market_of
from bot4_risk.limits import of_account
from bot4_risk.placing import reached
from bot4_risk.state import FIRED_MAX, Moment

SIDES: tuple[Side, Side] = ("buy", "sell")


def protect(moment: Moment, fill: OrderFilled, stop_price: Decimal, opened: Decimal) -> None:
    """Grows the order's stop by what its fill opened."""
    stop = moment.state.account(fill.account).stops.get(fill.order_id)
    moment.emit(
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


def trim_stops(moment: Moment, name: str, market: str) -> None:
    """Shrinks the stops, oldest first, until with their exits under way they protect no more than the position. What a
    kill switch closes keeps its stops until it is closed: the switch may be reset before."""
    account = moment.state.account(name)
    for side in SIDES:
        allowed = max(account.reducible(market, side) - account.stopping_on(market, side), ZERO)
        surplus = account.protected_on(market, side) - allowed
        for order_id, stop, left in account.shrunk(market, side, surplus):
            moment.emit(_rearmed(stop, name, order_id, left))


def cancel_reduce_only(moment: Moment, name: str, market: str) -> None:
    """With the position gone, or gone over to the other side, what could only reduce it has nothing left to do."""
    account = moment.state.account(name)
    for order_id, open_order in lists.in_turn(account):
        order = open_order.order
        if not order.reduce_only or open_order.covered or market_of(order) != market:
            continue
        if account.reducible(market, order.side):
            continue
        if open_order.held is None:
            moment.emit(CancelApproved(order_id=order_id, account=name, reason="reduce_only"))
        elif not open_order.held.replaces:
            lists.drop_whole(moment, name, order_id, open_order, "reduce_only")


def try_again(moment: Moment, name: str, entry: str | None, quantity: Decimal) -> None:
    """An exit that did not close everything leaves its stop, that of order `entry`, to try again."""
    if not entry:
        return
    stop = moment.state.account(name).stops[entry]
    moment.emit(_rearmed(stop, name, entry, stop.quantity + quantity))
    trim_stops(moment, name, market_of(stop))


def watch_stops(moment: Moment, quote: Quote) -> None:
    """Fires the stops that the market has reached, the nearest first; what are too many for one decision, with the next
    quote."""
    market, fired = market_of(quote), 0
    for side in SIDES:
        # Triggering forgets no stop, so the list stays as it is meanwhile.
        for _, name, order_id in moment.state.watched.get((market, side), ()):
            stop = moment.state.accounts[name].stops[order_id]
            if not reached(stop.side, stop.stop_price, quote):
                break
            if stop.quantity and fired < FIRED_MAX:
                fired += 1
                _trigger(moment, moment.state.accounts[name], name, order_id, quote)


def exit_order(
    moment: Moment, name: str, id: str, symbol: str, side: Side, quantity: Decimal, strategy: str, venue: str
) -> Order:
    """Closes at the market what it can of a position, and nothing else. Orders of its owner make way for it."""
    prevents = of_account(moment.limits, name).self_trade_prevention != "none"
    return Order(
        client_order_id=id,
        symbol=symbol,
        side=side,
        type="market",
        quantity=quantity,
        strategy=strategy,
        time_in_force="ioc",
        reduce_only=True,
        venue=venue,
        self_trade_prevention="cancel_resting" if prevents else "",
    )


def approve_exit(moment: Moment, name: str, order: Order, quote: Quote) -> None:
    """Risk's own orders are held to no limit: whatever reduces is wanted."""
    moment.emit(
        OrderApproved(
            order_id=order.client_order_id,
            account=name,
            order=order,
            fingerprint=fingerprint(order),
            bid=quote.bid,
            ask=quote.ask,
            opening=False,
            at=moment.now,
        )
    )


def _trigger(moment: Moment, account: Account, name: str, order_id: str, quote: Quote) -> None:
    """Closes what the stop protects at the market, and stops the order from opening more."""
    stop = account.stops[order_id]
    market, wanted = market_of(stop), stop.quantity
    # The rest is being closed by a kill switch; should that fail, the stop is still there.
    quantity = min(stop.quantity, account.reducible(market, stop.side) - account.exiting_on(market, stop.side))
    if quantity <= 0:
        return
    # Numbered by the account: a stop can be forgotten and armed anew, an exit's id is never used again.
    exit_id = f"{order_id}-stop{account.exits_made + 1}"
    order = exit_order(moment, name, exit_id, stop.symbol, stop.side, quantity, stop.strategy, stop.venue)
    moment.emit(
        StopTriggered(
            order_id=order_id,
            account=name,
            symbol=stop.symbol,
            exit_id=exit_id,
            quantity=quantity,
            stop_price=stop.stop_price,
            bid=quote.bid,
            ask=quote.ask,
            venue=stop.venue,
        )
    )
    approve_exit(moment, name, order, quote)
    if quantity < wanted:
        moment.emit(_rearmed(stop, name, order_id, wanted - quantity))
    if account.order(order_id) is not None:
        moment.emit(CancelApproved(order_id=order_id, account=name, reason="stopped_out"))


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
