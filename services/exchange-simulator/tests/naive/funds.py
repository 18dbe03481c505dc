"""Who can pay? What an account has, less what its live orders may still need."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from naive.venue import ZERO, Order, Venue, family

BOUNDLESS = Decimal("1e40")


def is_spot(venue: Venue) -> bool:
    return bool(venue.profile["account_model"] == "spot")


def asset(venue: Venue, order: Order) -> str:
    """What an order pays with."""
    instrument = venue.instruments[order.symbol]
    return instrument.quote if order.side == "buy" else instrument.base


def need(order: Order) -> Decimal:
    """Rule 21: what an order may cost, hidden part included. A market order to buy pays as it trades."""
    if order.side == "sell" and order.is_by_amount:
        return ZERO
    if order.side == "sell":
        return order.ready
    if order.quote_quantity is not None:
        return order.quote_quantity - order.spent
    price = order.price or order.stop_price
    return ZERO if price is None else order.ready * price


def reserved(venue: Venue, account: str, of: str, but: list[Order]) -> Decimal:
    """Legs of one list can only be filled once, so they reserve what the dearest needs."""
    total = ZERO
    groups: dict[object, Decimal] = {}
    for order in venue.live():
        if order.account != account or order in but or order.phase == "pending" or asset(venue, order) != of:
            continue
        if order.list is not None and order.list.siblings(order):
            groups[order.list] = max(groups.get(order.list, ZERO), need(order))
        else:
            total += need(order)
    return total + sum(groups.values(), ZERO)


def free(venue: Venue, account: str, of: str, but: list[Order]) -> Decimal:
    balances = venue.account(account).balances
    if balances is None or not is_spot(venue):
        return BOUNDLESS
    return balances.get(of, ZERO) - reserved(venue, account, of, but)


def affordable(venue: Venue, taker: Order, price: Decimal) -> Decimal:
    """How many lots a market order can pay for at this price."""
    wanted = BOUNDLESS
    if taker.quote_quantity is not None:
        wanted = floor_to_lot(venue, taker, (taker.quote_quantity - taker.spent) / price)
    if taker.is_market:
        held = max(ZERO, free(venue, taker.account, asset(venue, taker), family(taker)))
        wanted = min(wanted, floor_to_lot(venue, taker, held / price if taker.side == "buy" else held))
    return wanted


def floor_to_lot(venue: Venue, order: Order, quantity: Decimal) -> Decimal:
    lot = venue.instruments[order.symbol].lot
    return (quantity / lot).to_integral_value(ROUND_FLOOR) * lot


def book(venue: Venue, order: Order, quantity: Decimal, price: Decimal) -> None:
    """A fill moves base one way, quote the other, and the position with the base."""
    key = order.account, order.symbol
    venue.positions[key] = venue.positions.get(key, ZERO) + order.sign * quantity
    balances = venue.account(order.account).balances
    if balances is not None:
        instrument = venue.instruments[order.symbol]
        balances[instrument.base] = balances.get(instrument.base, ZERO) + order.sign * quantity
        balances[instrument.quote] = balances.get(instrument.quote, ZERO) - order.sign * quantity * price
