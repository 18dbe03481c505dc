"""What may a reduce-only order still do? Never more than bring the position to zero."""

from __future__ import annotations

from decimal import Decimal

from naive import matching, stops
from naive.venue import ZERO, Order, Venue


def reducible(venue: Venue, order: Order) -> Decimal:
    """Rules 37 and 38: as much as the running position holds against it."""
    return max(ZERO, -order.sign * venue.position(order.account, order.symbol))


def clip(venue: Venue, order: Order) -> bool:
    """Rule 37, when an order enters: what lies beyond the position is cut off. False when nothing is left."""
    allowed = reducible(venue, order)
    if allowed == 0:
        matching.end(venue, order, "cancelled", "reduce_only")
    elif order.ready > allowed:
        cut(venue, order, order.ready - allowed)
    return order.is_live


def cut(venue: Venue, order: Order, quantity: Decimal) -> None:
    """Rule 40: clients hear of every trim. Rule 20: the hidden part shrinks first."""
    if quantity >= order.ready:
        matching.end(venue, order, "cancelled", "reduce_only")
        return
    order.quantity -= quantity
    order.armed = None if order.armed is None else order.armed - quantity
    order.shown = min(order.shown, order.ready)
    venue.emit("trimmed", order, quantity=order.quantity)


def trim(venue: Venue, account: str, symbol: str) -> None:
    """Rule 39: the sum of an account's reduce-only orders never exceeds its position."""
    for side in ("buy", "sell"):
        while groups := open_groups(venue, account, symbol, side):
            excess = sum(map(size, groups), ZERO) - reducible(venue, groups[0][0])
            if excess <= 0:
                break
            farthest = max(groups, key=lambda group: distance(venue, group))
            smaller = max(ZERO, size(farthest) - excess)
            for order in farthest:
                if order.is_live and order.ready > smaller:
                    cut(venue, order, order.ready - smaller)


def open_groups(venue: Venue, account: str, symbol: str, side: str) -> list[list[Order]]:
    """Rule 36: the legs of one list share one reservation of the position."""
    groups: dict[object, list[Order]] = {}
    for order in venue.live(symbol):
        if (order.account, order.side) != (account, side) or not order.reduce_only:
            continue
        if order.phase in ("armed", "resting"):
            together = order.list is not None and order.list.siblings(order)
            groups.setdefault(order.list if together else order, []).append(order)
    return list(groups.values())


def size(group: list[Order]) -> Decimal:
    return max(order.ready for order in group)


def distance(venue: Venue, group: list[Order]) -> tuple[Decimal, int]:
    """How far the nearest leg is from executing; of two equally far, the later one is farther."""
    return min((away(venue, order), order.priority) for order in group)


def away(venue: Venue, order: Order) -> Decimal:
    """From the last price: the way to a resting order's price, or to a stop's trigger."""
    price = order.price if order.phase == "resting" else stops.trigger_price(order)
    last = venue.market(order.symbol)
    if price is None or last is None:
        return Decimal("Infinity") if price is None else -order.sign * price
    return abs(price - last)
