"""May this order be taken? The first rule it breaks, in the order venues look (rule 46)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from naive import funds, lists, matching, reducing, stops
from naive.venue import STOPS, ZERO, Order, Venue, family


def of_order(venue: Venue, order: Order) -> str | None:
    """Why a single order is refused, if it is: by itself, then by the account, then by the book."""
    if exceeds_count(venue, [order]):
        return "ORDER_COUNT"
    if code := of_terms(venue, order):
        return code
    if not can_pay(venue, [order]):
        return "INSUFFICIENT_BALANCE"
    return of_market(venue, order)


def of_list(venue: Venue, kind: str, id: str, orders: list[Order]) -> str | None:
    """A list is taken whole or refused whole."""
    if exceeds_count(venue, orders):
        return "ORDER_COUNT"
    ids = {order.id for order in orders}
    if len(ids) < len(orders) or any(venue.find(order.account, order.id) for order in orders):
        return "DUPLICATE_LIVE_ORDER"
    if any(o.list is not None and (o.account, o.list.id) == (orders[0].account, id) for o in venue.live()):
        return "DUPLICATE_LIVE_LIST"
    codes = [of_terms(venue, order) for order in orders]
    if any(codes):
        return next(code for code in codes if code)
    legs = orders if kind in ("oco", "ouo") else orders[1:]
    entering = orders if kind in ("oco", "ouo") else orders[:1]
    if code := of_legs(venue, kind, legs):
        return code
    if not can_pay(venue, entering):
        return "INSUFFICIENT_BALANCE"
    return next((code for order in entering if (code := of_market(venue, order))), None)


# What the order says of itself, and the filters of its symbol.


def of_terms(venue: Venue, order: Order) -> str | None:
    instrument = venue.instruments.get(order.symbol)
    if instrument is None:
        return "UNKNOWN_SYMBOL"
    if venue.find(order.account, order.id):
        return "DUPLICATE_LIVE_ORDER"  # rule 7
    if not venue.is_open(order.symbol):
        return "MARKET_NOT_OPEN"
    if order.reduce_only and not venue.profile["reduce_only"]:
        return "REDUCE_ONLY_UNKNOWN"
    if order.self_trade_prevention not in venue.profile["self_trade_preventions"]:
        return "PREVENTION_NOT_ALLOWED"
    return of_fields(venue, order) or of_filters(venue, order)


def of_fields(venue: Venue, order: Order) -> str | None:
    needs_price = order.type in ("limit", "stop_limit", "take_profit_limit")
    may_have_price = needs_price or order.type == "trailing_stop"
    needs_stop = order.type in STOPS and order.type != "trailing_stop"
    wrong = (
        order.quantity <= 0
        or (needs_price and order.price is None)
        or (order.price is not None and (order.price <= 0 or not may_have_price))
        or needs_stop != (order.stop_price is not None)
        or (order.stop_price is not None and order.stop_price <= 0)
        or (order.type == "trailing_stop") != (order.trail_bps is not None)
        or (order.trail_bps is not None and not 0 < order.trail_bps < 10_000)
        or (order.activation_price is not None and order.type != "trailing_stop")
        or (order.time_in_force == "gtd") != (order.expire_at is not None)
        or (order.expire_at is not None and order.expire_at <= venue.at)
        or (order.post_only and (order.is_market or order.time_in_force in ("ioc", "fok")))
        or (order.quote_quantity is not None and (order.quote_quantity <= 0 or order.type != "market"))
        or (order.quote_quantity is not None and (order.reduce_only or order.display_quantity is not None))
    )
    return "BAD_FIELD" if wrong else None


def of_filters(venue: Venue, order: Order) -> str | None:
    instrument = venue.instruments[order.symbol]
    filters = instrument.filters
    prices = [price for price in (order.price, order.stop_price, order.activation_price) if price is not None]
    if any(price % instrument.tick for price in prices):
        return "TICK_SIZE"
    if order.quote_quantity is not None:
        return of_notional(filters, order.quote_quantity) or of_open(venue, order)
    if order.quantity % instrument.lot or (order.display_quantity or ZERO) % instrument.lot:
        return "LOT_SIZE"
    if not within(order.quantity, filters, "quantity"):
        return "QUANTITY_RANGE"
    if not all(within(price, filters, "price") for price in prices):
        return "PRICE_RANGE"
    if order.is_market and not within(order.quantity, filters, "market_quantity"):
        return "MARKET_QUANTITY_RANGE"
    if order.price is not None:
        code = of_notional(filters, order.price * order.quantity)
        if code == "NOTIONAL_TOO_LARGE" or (code and not order.reduce_only):
            return code
        if not within_band(venue, order, order.price):
            return "PRICE_BAND"
    if order.trail_bps is not None and not within(order.trail_bps, filters, "trail_bps"):
        return "TRAIL_RANGE"
    return of_iceberg(venue, order) or of_open(venue, order)


def of_open(venue: Venue, order: Order) -> str | None:
    """How much an account may have open in one symbol."""
    filters = venue.instruments[order.symbol].filters
    taken = [o for o in venue.live(order.symbol) if o.account == order.account and o.id != order.id]
    before = [other for other in before_in_list(venue, order) if other.symbol == order.symbol]
    others = taken + before
    if len(others) >= filters.get("open_orders_max", funds.BOUNDLESS):
        return "OPEN_ORDERS"
    waiting = [other for other in others if other.type in STOPS and not other.triggered]
    if order.type in STOPS and not order.triggered and len(waiting) >= filters.get("open_stops_max", funds.BOUNDLESS):
        return "OPEN_STOPS"
    beside = may_be_filled([other for other in taken if other.phase != "pending"] + before, order)
    could = order.sign * venue.position(order.account, order.symbol) + beside + order.open
    # On a spot venue a sell gives away what the account owns, and opens nothing.
    opens = not order.reduce_only and not order.is_by_amount and not (funds.is_spot(venue) and order.side == "sell")
    if opens and could > filters.get("position_max", funds.BOUNDLESS):
        return "POSITION_LIMIT"
    return None


def before_in_list(venue: Venue, order: Order) -> list[Order]:
    """Rule 33: to an order of a list that is still to be taken, those that come before it are there already."""
    if order.list is None or venue.find(order.account, order.id):
        return []
    return order.list.orders[: order.list.orders.index(order)]


def may_be_filled(others: list[Order], order: Order) -> Decimal:
    """What others on its side may be filled beside it: of the legs of one list one is."""
    beside: dict[object, Decimal] = {}
    for other in others:
        if other.side == order.side:
            beside[unit(other)] = max(beside.get(unit(other), ZERO), other.ready)
    beside.pop(unit(order), None)
    return sum(beside.values(), ZERO)


def unit(order: Order) -> object:
    group = order.list
    if group is None or group.kind == "oto" or (group.parent is not None and group.parent.id == order.id):
        return order.id
    return group


def of_notional(filters: dict[str, Decimal], notional: Decimal) -> str | None:
    if notional < filters.get("notional_min", ZERO):
        return "NOTIONAL_TOO_SMALL"
    return "NOTIONAL_TOO_LARGE" if notional > filters.get("notional_max", funds.BOUNDLESS) else None


def within(value: Decimal, filters: dict[str, Decimal], name: str) -> bool:
    return filters.get(f"{name}_min", ZERO) <= value <= filters.get(f"{name}_max", funds.BOUNDLESS)


def within_band(venue: Venue, order: Order, price: Decimal) -> bool:
    """Bands are multiples of the market, of their own for bids and asks."""
    filters, market = venue.instruments[order.symbol].filters, venue.market(order.symbol)
    if market is None:
        return True
    name = "bid" if order.side == "buy" else "ask"
    lowest, highest = (
        filters.get(f"{name}_multiplier_down", ZERO),
        filters.get(f"{name}_multiplier_up", funds.BOUNDLESS),
    )
    return market * lowest <= price <= market * highest


def of_iceberg(venue: Venue, order: Order) -> str | None:
    """Rule 21."""
    instrument = venue.instruments[order.symbol]
    if order.display_quantity is None:
        return None
    if order.is_market or order.time_in_force in ("ioc", "fok"):
        return "ICEBERG_CANNOT_REST"
    if not 0 < order.display_quantity <= order.quantity:
        return "ICEBERG_DISPLAY"
    parts = order.quantity / order.display_quantity
    return (
        "ICEBERG_PARTS"
        if parts > instrument.filters.get("iceberg_parts_max", venue.profile["iceberg_parts_max"])
        else None
    )


# What the account may do.


def exceeds_count(venue: Venue, orders: list[Order]) -> bool:
    """Rules 33 and 47: every order of a list counts, in each window aligned to the clock."""
    account = orders[0].account
    return any(
        venue.counted.get((account, length, venue.at // length), 0) + len(orders) > allowed
        for length, allowed in matching.windows(venue)
    )


def can_pay(venue: Venue, orders: Iterable[Order], but: list[Order] | None = None) -> bool:
    """Siblings are paid once, by what the dearest needs."""
    orders = list(orders)
    dearest = max(map(funds.need, orders), default=ZERO)
    first = orders[0]
    # What pays as it trades claims nothing before.
    return dearest == 0 or dearest <= funds.free(venue, first.account, funds.asset(venue, first), but or [])


# An order whose turn has come, an order that is changed, and one that takes the place of another.


def of_entry(venue: Venue, order: Order) -> str | None:
    """An order of the queue: a child armed by its parent, an elected stop, or one that was just accepted."""
    waits = order.type in STOPS and not order.triggered
    if waits and stops.refuses(venue, order):
        return "STOP_ALREADY_PASSED"
    if not order.triggered and not can_pay(venue, [order], family(order)):
        return "INSUFFICIENT_BALANCE"
    if order.post_only and not waits and matching.crosses(venue, order):
        return "POST_ONLY_WOULD_CROSS"
    return None


def of_amend(venue: Venue, order: Order, quantity: Decimal | None, price: Decimal | None) -> str | None:
    """Rules 9, 10 and 16: judged on a copy, with the order out of the book."""
    if not venue.is_open(order.symbol):
        return "MARKET_NOT_OPEN"
    if (quantity is None and price is None) or order.is_by_amount:
        return "BAD_FIELD"
    if quantity is not None and quantity < order.executed + order.prevented:
        return "BELOW_FILLED"
    if price is not None and price <= 0:
        return "BAD_FIELD"
    wanted = resized(order, order.quantity if quantity is None else quantity)
    wanted.price = order.price if price is None else price
    if wanted.open == 0:
        return None
    if code := of_fields(venue, wanted) or of_filters(venue, wanted):
        return code
    siblings = [resized(each, each.quantity + wanted.open - each.open) for each in family(order)[1:]]
    changed = [new for new, each in zip(siblings, family(order)[1:], strict=True) if new.quantity != each.quantity]
    if code := next((code for sibling in changed if (code := of_filters(venue, sibling))), None):
        return code  # rule 31: the other legs too
    if order.phase != "pending" and not can_pay(venue, [wanted, *siblings], family(order)):
        return "INSUFFICIENT_BALANCE"
    if order.post_only and order.phase == "resting" and matching.crosses(venue, wanted):
        return "POST_ONLY_WOULD_CROSS"
    return None


def resized(order: Order, quantity: Decimal) -> Order:
    copy = replace(order)
    lists.resize(copy, quantity)
    if copy.display_quantity is not None:
        copy.display_quantity = min(copy.display_quantity, quantity)  # rule 20: the shown part shrinks last
    return copy


def of_replacement(venue: Venue, new: Order, old: Order | None) -> str | None:
    """Rule 11: filters and rate limits are checked before the cancel; the id may be the one that is about to end."""
    if old is not None and new.id == old.id:
        new = replace(new, id="")
    return "ORDER_COUNT" if exceeds_count(venue, [new]) else of_terms(venue, new)


# What the book and the market say, when the order would enter.


def of_market(venue: Venue, order: Order) -> str | None:
    if order.reduce_only and reducing.reducible(venue, order) == 0:
        return "NOTHING_TO_REDUCE"
    if order.type in STOPS:
        return "STOP_ALREADY_PASSED" if stops.refuses(venue, order) else None
    if order.post_only and matching.crosses(venue, order):
        return "POST_ONLY_WOULD_CROSS"  # rule 15
    return None


def of_legs(venue: Venue, kind: str, legs: list[Order]) -> str | None:
    """Rule 33, and that legs which can stand for each other are equally large and on one side."""
    if kind == "oto":
        return None
    one, other = legs
    if (one.symbol, one.side, one.quantity) != (other.symbol, other.side, other.quantity):
        return "LIST_LEGS_DIFFER"
    if kind == "ouo":
        return None
    last = venue.market(one.symbol) if kind == "oco" else None
    limits = [leg for leg in legs if leg.type == "limit"]
    protections = [leg for leg in legs if leg.type in ("stop_market", "stop_limit")]
    if len(limits) != 1 or len(protections) != 1:
        return "LIST_LEGS_DIFFER"
    path: list[Decimal | None] = [limits[0].price, last, protections[0].stop_price]
    there = [price for price in path if price is not None]
    falls = all(high > low for high, low in itertools.pairwise(there))
    rises = all(high < low for high, low in itertools.pairwise(there))
    return None if (falls if one.side == "sell" else rises) else "LIST_PRICES"
