"""Which stops does a price elect? Plain stops and take-profits by their level, trailing stops by one that follows."""

from __future__ import annotations

from decimal import Decimal

from naive import lists
from naive.venue import Order, Venue


def rises(order: Order) -> bool:
    """Whether it waits for a high price: stops to buy, and take-profits to sell."""
    return (order.side == "buy") != order.type.startswith("take_profit")


def meets(price: Decimal, level: Decimal, rising: bool) -> bool:
    return price >= level if rising else price <= level


def trigger_price(order: Order) -> Decimal | None:
    """Rule 27: extreme × (1 ∓ delta). None while a trailing stop has no extreme."""
    if order.type != "trailing_stop":
        return order.stop_price
    if order.extreme is None or order.trail_bps is None:
        return None
    return order.extreme * (10_000 + order.sign * order.trail_bps) / 10_000


def is_past(venue: Venue, order: Order) -> bool:
    """Rule 22: whether the market already is where the order waits for it to go."""
    now = watched(venue, order)
    return order.stop_price is not None and now is not None and meets(now, order.stop_price, rises(order))


def watched(venue: Venue, order: Order) -> Decimal | None:
    """Rule 22: where its market is: the mark or the last trade, or on some venues the quote that it would meet."""
    if venue.profile["stop_trigger"] == "quote":
        return venue.touch(order.symbol, "sell" if order.side == "buy" else "buy")
    if venue.profile["stop_trigger"] == "trade":
        return venue.last.get(order.symbol)
    return venue.market(order.symbol)


def refuses(venue: Venue, order: Order) -> bool:
    """Rule 22: one already past its trigger is refused, or fires at once, as the venue has it."""
    return is_past(venue, order) and venue.profile["stop_already_passed"] == "refuse"


def arm(venue: Venue, order: Order) -> None:
    order.phase = "armed"
    order.priority = venue.draw()
    if order.type == "trailing_stop" and order.activation_price is None:
        order.extreme = watched(venue, order)
    if is_past(venue, order):
        trigger(venue, order)


def elect_by_trade(venue: Venue, symbol: str, price: Decimal) -> None:
    """Without a mark, or where marks do not matter, stops watch trades."""
    watches = venue.profile["stop_trigger"]
    if watches == "trade" or (watches == "mark" and symbol not in venue.mark):
        elect(venue, armed(venue, symbol), price)


def elect_by_mark(venue: Venue, symbol: str, price: Decimal) -> None:
    """Nothing triggers while the symbol is not open; when it opens again, the mark of that moment counts."""
    if venue.profile["stop_trigger"] == "mark" and venue.is_open(symbol):
        elect(venue, armed(venue, symbol), price)


def elect_by_quotes(venue: Venue) -> None:
    """Buys watch the best ask, sells the best bid, whenever the book has come to rest."""
    if venue.profile["stop_trigger"] == "quote":
        for symbol in filter(venue.is_open, venue.instruments):
            for side, facing in (("buy", "sell"), ("sell", "buy")):
                price = venue.touch(symbol, facing)
                if price is not None:
                    elect(venue, [order for order in armed(venue, symbol) if order.side == side], price)


def armed(venue: Venue, symbol: str) -> list[Order]:
    return [order for order in venue.live(symbol) if order.phase == "armed"]


def elect(venue: Venue, waiting: list[Order], price: Decimal) -> None:
    """One price of the path: elected stops are gone as stops and queue behind what is already there (rules 23, 25)."""
    for order in in_path_order([order for order in waiting if is_due(order, price)]):
        if order.phase == "armed":
            trigger(venue, order)
    for order in waiting:
        if order.phase == "armed":
            follow(order, price)


def is_due(order: Order, price: Decimal) -> bool:
    """Rule 28: by the level as it was before this price."""
    level = trigger_price(order)
    return level is not None and meets(price, level, rises(order))


def in_path_order(orders: list[Order]) -> list[Order]:
    """Rule 24: the trigger that the price met first, then the stop that came first. Both ways at once is only possible
    for a first price, which came from nowhere; then those that wait for a rise come first."""

    def met(order: Order) -> tuple[bool, Decimal, int]:
        level = trigger_price(order)
        assert level is not None
        return not rises(order), level if rises(order) else -level, order.priority

    return sorted(orders, key=met)


def trigger(venue: Venue, order: Order) -> None:
    """Rules 25, 26 and 30: announced before any fill; an OCO's other leg is cancelled for good."""
    order.phase, order.triggered = "queued", True
    venue.queue.append(order)
    venue.emit("triggered", order)
    lists.triggered(venue, order)


def follow(order: Order, price: Decimal) -> None:
    """Rules 27 and 28: from its activation on, the extreme follows the price, and only in the order's favour."""
    if order.type != "trailing_stop":
        return
    if order.extreme is None:
        # A sell that trails waits for a price as high as its activation, a buy for one as low.
        if order.activation_price is None or meets(price, order.activation_price, order.side == "sell"):
            order.extreme = price
    else:
        order.extreme = max(order.extreme, price) if order.side == "sell" else min(order.extreme, price)
