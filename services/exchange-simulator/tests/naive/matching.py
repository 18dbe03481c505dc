"""What happens when an order meets the book? Sweeps, prevention, refreshes, and all that one trade sets off."""

from __future__ import annotations

import copy
from decimal import ROUND_FLOOR, Decimal

from bot4_common.money import plain
from naive import funds, lists, reducing, stops
from naive.venue import ZERO, Order, Venue, price_of


def enter(venue: Venue, order: Order) -> None:
    """An order comes to the book as a taker: it sweeps, then what is left of it rests or ends."""
    order.phase = "taking"
    order.collar = collar(venue, order)
    if order.reduce_only and not reducing.clip(venue, order):
        return
    if order.time_in_force == "fok" and not fills_whole(venue, order):
        end(venue, order, "expired", "fok")
        return
    sweep(venue, order)
    refresh_due(venue, order)
    if order.phase == "taking":
        finish(venue, order)


def sweep(venue: Venue, taker: Order) -> None:
    while taker.phase == "taking" and taker.ready > 0:
        maker = best_maker(venue, taker)
        if maker is None:
            if not refresh_due(venue, taker):
                return
            continue
        quantity = tradable(venue, taker, maker)
        if quantity == 0:
            return
        if taker.self_trade_prevention != "none" and is_self(venue, taker, maker):
            prevent(venue, taker, maker)
        else:
            trade(venue, taker, maker, quantity)


def best_maker(venue: Venue, taker: Order) -> Order | None:
    """Rules 2 and 3: the first in price and time of those the taker's own price reaches."""
    makers = venue.resting(taker.symbol, "sell" if taker.side == "buy" else "buy")
    return next((maker for maker in makers if maker.shown > 0 and reaches(venue, taker, price_of(maker))), None)


def reaches(venue: Venue, taker: Order, price: Decimal) -> bool:
    limit = taker.collar if taker.is_market else taker.price
    return limit is None or taker.sign * (limit - price) >= 0


def collar(venue: Venue, order: Order) -> Decimal | None:
    """How far a market order follows the book: so many basis points from where the market was when it came."""
    bps, market = venue.instruments[order.symbol].filters.get("collar_bps"), venue.market(order.symbol)
    return None if bps is None or market is None else market * (10_000 + order.sign * bps) / 10_000


def tradable(venue: Venue, taker: Order, maker: Order) -> Decimal:
    """Rule 17: the taker brings all it has, the maker what it shows; rule 37: neither more than it may reduce."""
    quantity = min(taker.ready, maker.shown, funds.affordable(venue, taker, price_of(maker)))
    for order in (taker, maker):
        if order.reduce_only:
            quantity = min(quantity, reducing.reducible(venue, order))
    return quantity


def trade(venue: Venue, taker: Order, maker: Order, quantity: Decimal) -> None:
    """Rule 1: at the resting order's price. Then its consequences: book, lists, reduce-only orders, stops."""
    price = price_of(maker)
    venue.tell(
        "trade",
        taker.account,
        taker.id,
        taker.symbol,
        price=price,
        quantity=quantity,
        maker=maker.id,
        taker=taker.id,
        maker_account=maker.account,
        taker_account=taker.account,
        taker_side=taker.side,
    )
    for order in (taker, maker):
        count_first_fill(venue, order)
        order.executed += quantity
        order.spent += quantity * price
        funds.book(venue, order, quantity, price)
    maker.shown -= quantity
    settle_maker(venue, maker)
    if taker.open == 0:
        taker.phase = "over"
    venue.last[taker.symbol] = price
    for order in (taker, maker):
        lists.filled(venue, order)
    for account in dict.fromkeys((taker.account, maker.account)):
        reducing.trim(venue, account, taker.symbol)
    stops.elect_by_trade(venue, taker.symbol, price)


def settle_maker(venue: Venue, maker: Order) -> None:
    """Rule 18: a displayed part that is used up is refreshed to the peak, at the back of its level."""
    if maker.open == 0:
        maker.phase = "over"
    elif maker.ready == 0:
        maker.phase = "pending"
    elif maker.shown == 0 and venue.profile["iceberg_refresh"] == "at_once":
        refresh(venue, maker)
    elif maker.shown == 0:
        maker.due = venue.draw()


def refresh(venue: Venue, maker: Order) -> None:
    maker.due = None
    maker.priority = venue.draw()
    show(maker)
    venue.emit("refreshed", maker, quantity=maker.shown)


def refresh_due(venue: Venue, taker: Order) -> bool:
    """Rules 18 and 19, on a venue that refreshes after the sweep: in the order they became due, then on with it."""
    due = [order for order in venue.live(taker.symbol) if order.due is not None]
    for order in sorted(due, key=lambda order: order.due or 0):
        refresh(venue, order)
    return bool(due)


def show(order: Order) -> None:
    order.shown = order.ready if order.display_quantity is None else min(order.ready, order.display_quantity)


def finish(venue: Venue, order: Order) -> None:
    """What a taker does with its remainder."""
    if order.open == 0:
        order.phase = "over"
    elif order.ready == 0:
        order.phase = "pending"  # until its parent arms more of it
    elif order.is_by_amount and is_used_up(venue, order):
        order.phase = "over"
    elif order.is_market:
        facing = venue.touch(order.symbol, "sell" if order.side == "buy" else "buy")
        beyond = facing is not None and not reaches(venue, order, facing)
        end(venue, order, "expired", "collar" if beyond else "no_liquidity")  # rule 45
    elif order.time_in_force in ("ioc", "fok"):
        end(venue, order, "expired", order.time_in_force)  # rule 12
    else:
        rest(venue, order)


def rest(venue: Venue, order: Order) -> None:
    order.phase = "resting"
    order.priority = venue.draw()
    show(order)
    reducing.trim(venue, order.account, order.symbol)


def end(venue: Venue, order: Order, event: str, reason: str) -> None:
    """An order ends unfilled, and its list hears of it."""
    order.phase = "over"
    venue.emit(event, order, reason=reason, quantity=order.told_open)
    lists.ended(venue, order)


def is_used_up(venue: Venue, order: Order) -> bool:
    """Whether what is left of an amount that traded something would not pay for another lot."""
    maker = best_maker(venue, order)
    price = venue.last.get(order.symbol) if maker is None else price_of(maker)
    lot = venue.instruments[order.symbol].lot
    return order.executed > 0 and price is not None and (order.quote_quantity or ZERO) - order.spent < lot * price


# Rule 13.


def fills_whole(venue: Venue, order: Order) -> bool:
    """Tried on a copy of the whole venue, so that it leaves no trace on this one."""
    if not venue.profile["fok_counts_hidden"]:
        facing = venue.resting(order.symbol, "sell" if order.side == "buy" else "buy")
        if sum((m.shown for m in facing if reaches(venue, order, price_of(m))), ZERO) < order.ready:
            return False
    trial = copy.deepcopy(venue)
    taker = trial.find(order.account, order.id)
    assert taker is not None
    wanted = taker.ready
    sweep(trial, taker)
    if taker.is_by_amount:
        return is_used_up(trial, taker) and taker.prevented == order.prevented
    return taker.executed - order.executed == wanted


def crosses(venue: Venue, order: Order) -> bool:
    """Rule 15: whether it would take anything at all, were it to enter now."""
    return best_maker(venue, order) is not None


# Rules 41 to 44.


def is_self(venue: Venue, one: Order, other: Order) -> bool:
    if one.account == other.account:
        return True
    group = venue.account(one.account).trade_group
    return group is not None and group == venue.account(other.account).trade_group


def prevent(venue: Venue, taker: Order, maker: Order) -> None:
    """The taker's mode decides which of the two loses what; what is lost is prevented, and never trades."""
    price = price_of(maker)
    rest = funds.affordable(venue, taker, price) if taker.is_by_amount else taker.open
    met = min(rest, taker.ready, maker.shown)
    lost = {
        "cancel_new": {taker: rest},
        "cancel_resting": {maker: maker.open},
        "cancel_both": {maker: maker.open, taker: rest},
        "decrement_both": {maker: met, taker: met},
    }[taker.self_trade_prevention]
    venue.tell(
        "prevented",
        taker.account,
        taker.id,
        taker.symbol,
        quantity=min(lost.values()),
        maker=maker.id,
        taker=taker.id,
        maker_account=maker.account,
        taker_account=taker.account,
    )
    of_taker, of_maker = lost.get(taker, ZERO), lost.get(maker, ZERO)
    venue.prevented.append(
        {
            "at": venue.at,
            "symbol": taker.symbol,
            "price": plain(price),
            "maker": maker.id,
            "maker_account": maker.account,
            "maker_quantity": plain(of_maker),
            "taker": taker.id,
            "taker_account": taker.account,
            "taker_quantity": plain(of_taker),
        }
    )
    for order, quantity in lost.items():
        order.prevented += quantity
        order.spent += quantity * price
    if maker in lost:
        maker.shown -= lost[maker]
        if maker.open > 0:
            settle_maker(venue, maker)  # rule 18: as if it had traded
    for order, quantity in lost.items():
        if order.open == 0 or (order.is_by_amount and quantity == rest):
            end(venue, order, "expired", "self_trade")


# Rule 47: the first fill refunds the count.


def windows(venue: Venue) -> list[tuple[int, int]]:
    """(length in nanoseconds, orders allowed) of each window of the unfilled-order counter."""
    return [(length, allowed) for length, allowed in venue.profile["order_windows"]]


def count_accepted(venue: Venue, order: Order) -> None:
    for length, _ in windows(venue):
        key = (order.account, length, venue.at // length)
        venue.counted[key] = venue.counted.get(key, 0) + 1


def count_first_fill(venue: Venue, order: Order) -> None:
    if order.executed > 0:
        return
    for length, _ in windows(venue):
        key = (order.account, length, venue.at // length)
        venue.counted[key] = max(0, venue.counted.get(key, 0) - 1)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_FLOOR) * step
