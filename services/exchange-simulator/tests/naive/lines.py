"""Commands in, events out: the naive engine behind the same lines as the real one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from bot4_common.money import amount, plain
from naive import funds, lists, matching, reducing, refusals, stops
from naive.venue import STOPS, ZERO, Command, Event, Instrument, List, Order, Venue, price_of


class MalformedError(Exception):
    """A line that is not a command."""


def run(lines: Iterable[str], profile: dict[str, Any]) -> Iterator[str]:
    venue = Venue(profile)
    for number, line in enumerate(lines, 1):
        try:
            events = step(venue, read_line(line))
        except MalformedError as why:
            yield json.dumps({"event": "error", "line": number, "message": str(why)})
            continue
        yield from map(json.dumps, events)


def read_line(line: str) -> Command:
    try:
        command = json.loads(line)
    except json.JSONDecodeError as why:
        raise MalformedError(str(why)) from None
    if not isinstance(command, dict) or command.get("do") not in COMMANDS or not isinstance(command.get("at"), int):
        raise MalformedError("not a command")
    return command


def step(venue: Venue, command: Command) -> list[Event]:
    """One command and everything that follows from it, to the fixed point (rule 25)."""
    if command["at"] < venue.at:
        raise MalformedError("time runs backwards")
    venue.events = []
    venue.at = command["at"]
    expire(venue)
    settle(venue)
    if command["do"] in OF_A_SYMBOL and text(command, "symbol") not in venue.instruments:
        account = command.get("account")
        venue.tell("rejected", account, None, command["symbol"], code="UNKNOWN_SYMBOL")
        return venue.events
    COMMANDS[command["do"]](venue, command)
    settle(venue)
    return venue.events


def expire(venue: Venue) -> None:
    """Rule 14: at T, before any match at T."""
    last = venue.at if venue.profile["expires_before_match"] else venue.at - 1
    due = [order for order in venue.live() if order.expire_at is not None and order.expire_at <= last]
    for order in sorted(due, key=lambda order: (order.expire_at, order.serial)):
        if order.is_live:
            matching.end(venue, order, "expired", "gtd")


def settle(venue: Venue) -> None:
    """Rules 23 and 25: what was elected or armed enters one by one, first come first served."""
    if not venue.queue:
        stops.elect_by_quotes(venue)  # after a cancel, an expiry, a trim
    while venue.queue:
        order = venue.queue.pop(0)
        if order.phase == "queued":
            come_in(venue, order)
            stops.elect_by_quotes(venue)


def come_in(venue: Venue, order: Order) -> None:
    """An order whose turn has come. Whatever may refuse it is judged now, not when it was sent (rule 15)."""
    code = refusals.of_entry(venue, order)
    if code is not None:
        order.phase = "over"
        venue.emit("rejected", order, code=code)
        lists.ended(venue, order)
    elif order.type in STOPS and not order.triggered:
        stops.arm(venue, order)
        reducing.trim(venue, order.account, order.symbol)
    else:
        matching.enter(venue, order)


# Placing.


def place(venue: Venue, command: Command) -> None:
    order = read_order(venue, command, text(command, "account"))
    if code := refusals.of_order(venue, order):
        venue.emit("rejected", order, code=code)
        return
    accept(venue, order)
    queue(venue, order)


def accept(venue: Venue, order: Order) -> None:
    matching.count_accepted(venue, order)
    order.serial = venue.draw()
    venue.orders.append(order)
    venue.emit("accepted", order)


def queue(venue: Venue, order: Order) -> None:
    order.phase = "queued"
    venue.queue.append(order)


def place_list(venue: Venue, command: Command) -> None:
    account, kind = text(command, "account"), text(command, "kind")
    if kind not in LENGTHS or not isinstance(command.get("orders"), list) or len(command["orders"]) != LENGTHS[kind]:
        raise MalformedError("a list has a kind and its orders")
    orders = [read_order(venue, each, account) for each in command["orders"]]
    has_parent = kind in ("oto", "otoco")
    group = List(text(command, "id"), kind, orders[0] if has_parent else None, orders[1:] if has_parent else orders)
    for order in orders:
        order.list = group
    if code := refusals.of_list(venue, kind, text(command, "id"), orders):
        venue.tell("rejected", account, text(command, "id"), orders[0].symbol, code=code)
        return
    for order in orders:
        accept(venue, order)
    for order in orders[:1] if has_parent else orders:
        queue(venue, order)


LENGTHS = {"oco": 2, "ouo": 2, "oto": 2, "otoco": 3}


# Cancelling.


def cancel(venue: Venue, command: Command) -> None:
    account, id = text(command, "account"), text(command, "id")
    order = venue.find(account, id)
    members = [o for o in venue.live() if o.account == account and o.list is not None and o.list.id == id]
    wanted = members if order is None else [order]
    if not wanted:
        venue.tell("rejected", account, id, None, code="UNKNOWN_ORDER")  # rule 5
    elif any(is_halted(venue, each) for each in wanted):
        venue.tell("rejected", account, id, wanted[0].symbol, code="MARKET_NOT_OPEN")
    else:
        cancel_each(venue, wanted)


def is_halted(venue: Venue, order: Order) -> bool:
    """While a symbol is halted nothing is done to its orders; cancel-only takes cancels."""
    return venue.status.get(order.symbol) == "halted"


def cancel_each(venue: Venue, orders: list[Order], reason: str = "requested") -> None:
    for order in orders:
        if order.is_live:  # and not cancelled with its list a moment ago
            matching.end(venue, order, "cancelled", reason)


def cancel_all(venue: Venue, command: Command) -> None:
    account, symbol = text(command, "account"), command.get("symbol")
    if symbol is not None and symbol not in venue.instruments:
        venue.tell("rejected", account, None, symbol, code="UNKNOWN_SYMBOL")
        return
    own = [order for order in venue.live(command.get("symbol")) if order.account == account]
    cancel_each(venue, [order for order in own if not is_halted(venue, order)])


def disconnect(venue: Venue, command: Command) -> None:
    """The venue itself cancels, whatever the trading status."""
    account = text(command, "account")
    if venue.profile["cancels_on_disconnect"]:
        cancel_each(venue, [order for order in venue.live() if order.account == account], "disconnect")


# Amending.


def amend(venue: Venue, command: Command) -> None:
    account, id = text(command, "account"), text(command, "id")
    order = venue.find(account, id)
    if order is None:
        venue.tell("rejected", account, id, None, code="UNKNOWN_ORDER")  # rule 5
        return
    quantity, price = number(command, "quantity"), number(command, "price")
    if code := refusals.of_amend(venue, order, quantity, price):
        venue.emit("rejected", order, code=code)  # rule 9
        return
    keeps_place = price in (None, order.price) and (quantity is None or quantity <= order.quantity)  # rule 8
    if quantity == order.executed + order.prevented:
        matching.end(venue, order, "cancelled", "amended")  # rule 10
        return
    lists.resize(order, order.quantity if quantity is None else quantity)
    order.price = order.price if price is None else price
    order.shown = min(order.shown, order.open)  # rule 20
    venue.emit("amended", order, quantity=order.quantity, price=order.price)
    lists.amended(venue, order)
    if order.phase == "resting" and not keeps_place:
        queue(venue, order)  # rule 1: it comes to the book anew
    reducing.trim(venue, order.account, order.symbol)  # rule 39: it, or a sibling, may have grown


def replace(venue: Venue, command: Command) -> None:
    """Rule 11."""
    account, id, mode = text(command, "account"), text(command, "id"), text(command, "mode")
    if mode not in ("stop_on_failure", "allow_failure") or not isinstance(command.get("order"), dict):
        raise MalformedError("a replacement has a mode and an order")
    new = read_order(venue, command["order"], account)
    old = venue.find(account, id)
    if code := refusals.of_replacement(venue, new, old):
        venue.emit("rejected", new, code=code)
        return
    cancelled = old is not None and not is_halted(venue, old)
    if old is None or not cancelled:
        symbol, code = (None, "UNKNOWN_ORDER") if old is None else (old.symbol, "MARKET_NOT_OPEN")
        venue.tell("rejected", account, id, symbol, code=code)
        if mode == "stop_on_failure":
            return
    else:
        matching.end(venue, old, "cancelled", "replaced")
    if code := refusals.of_order(venue, new):
        venue.emit("rejected", new, code=code)
        return
    accept(venue, new)
    if cancelled:
        venue.emit("replaced", new, replaces=id)
    queue(venue, new)


# What the venue itself, or the world, decides.


def instrument(venue: Venue, command: Command) -> None:
    symbol = text(command, "symbol")
    base, _, quote = symbol.partition("-")
    steps = {name: number(command, name) for name in command if name not in ("at", "do", "symbol", "base", "quote")}
    if not steps.get("tick") or not steps.get("lot"):
        raise MalformedError("an instrument has a tick and a lot")
    filters = {name: value for name, value in steps.items() if value is not None}
    base, quote = command.get("base", base), command.get("quote", quote)
    venue.instruments[symbol] = Instrument(symbol, base, quote, filters["tick"], filters["lot"], filters)


def account(venue: Venue, command: Command) -> None:
    """What is not said stays as it is."""
    account = venue.account(text(command, "account"))
    if command.get("balances") is not None:
        account.balances = {asset: Decimal(held) for asset, held in command["balances"].items()}
    account.trade_group = command.get("trade_group") or account.trade_group


def position(venue: Venue, command: Command) -> None:
    account, symbol = text(command, "account"), text(command, "symbol")
    venue.positions[account, symbol] = number(command, "quantity") or ZERO
    reducing.trim(venue, account, symbol)


def status(venue: Venue, command: Command) -> None:
    symbol, said = text(command, "symbol"), text(command, "status")
    if said not in ("open", "cancel_only", "halted"):
        raise MalformedError("no such status")
    venue.status[symbol] = said
    if symbol in venue.mark:
        stops.elect_by_mark(venue, symbol, venue.mark[symbol])


def mark(venue: Venue, command: Command) -> None:
    """Rule 22: once a symbol has a mark, its stops watch the mark."""
    symbol, price = text(command, "symbol"), number(command, "price")
    if price is None:
        raise MalformedError("a mark has a price")
    if price <= 0 or price % venue.instruments[symbol].tick:
        venue.tell("rejected", None, None, symbol, code="BAD_FIELD" if price <= 0 else "TICK_SIZE")
        return
    venue.mark[symbol] = price
    stops.elect_by_mark(venue, symbol, price)


def time(venue: Venue, command: Command) -> None:
    """Time passes, and what ends with it has ended already."""


def book(venue: Venue, command: Command) -> None:
    symbol = text(command, "symbol")
    asked = command.get("levels") or None
    sides = {name: levels(venue, symbol, side)[:asked] for name, side in (("bids", "buy"), ("asks", "sell"))}
    venue.tell("book", None, None, symbol, **sides)


def levels(venue: Venue, symbol: str, side: str) -> list[list[str]]:
    """Best first: price and displayed quantity."""
    shown: dict[Decimal, Decimal] = {}
    for order in venue.resting(symbol, side):
        price = price_of(order)
        shown[price] = shown.get(price, ZERO) + order.shown
    return [[plain(price), plain(quantity)] for price, quantity in shown.items()]


def balances(venue: Venue, command: Command) -> None:
    account = venue.account(text(command, "account"))
    held = account.balances or {}
    claimed = {asset: funds.reserved(venue, account.name, asset, []) for asset in held} if funds.is_spot(venue) else {}
    venue.tell(
        "balances",
        account.name,
        None,
        None,
        free={asset: plain(held[asset] - claimed.get(asset, ZERO)) for asset in sorted(held)},
        locked={asset: plain(claimed.get(asset, ZERO)) for asset in sorted(held)},
        positions={
            symbol: plain(net)
            for (name, symbol), net in sorted(venue.positions.items())
            if name == account.name and net
        },
    )


def prevented(venue: Venue, command: Command) -> None:
    """Rule 44: the prevented matches of an account, or of one of its orders."""
    account, id = text(command, "account"), command.get("id")
    matches = [
        each
        for each in venue.prevented
        if any(each[f"{role}_account"] == account and id in (None, each[role]) for role in ("maker", "taker"))
    ]
    venue.tell("prevented_matches", account, id, None, matches=matches)


COMMANDS = {
    "instrument": instrument,
    "account": account,
    "position": position,
    "place": place,
    "list": place_list,
    "amend": amend,
    "cancel": cancel,
    "cancel_all": cancel_all,
    "disconnect": disconnect,
    "replace": replace,
    "status": status,
    "mark": mark,
    "time": time,
    "book": book,
    "balances": balances,
    "prevented": prevented,
}
OF_A_SYMBOL = ("position", "status", "mark", "book")


# Reading.


def read_order(venue: Venue, fields: dict[str, Any], account: str) -> Order:
    default_prevention = venue.profile["self_trade_prevention_default"]
    side, type = text(fields, "side"), text(fields, "type")
    quote_quantity = number(fields, "quote_quantity")
    quantity = number(fields, "quantity")
    if quantity is None and quote_quantity is None:
        raise MalformedError("an order has a quantity")
    if quantity is not None and quote_quantity is not None:
        quantity = ZERO  # an order has one or the other
    order = Order(
        account,
        text(fields, "id"),
        text(fields, "symbol"),
        side,
        type,
        funds.BOUNDLESS if quantity is None else quantity,
    )
    for name in ("price", "display_quantity", "stop_price", "trail_bps", "activation_price"):
        setattr(order, name, number(fields, name))
    order.quote_quantity = quote_quantity
    order.time_in_force = fields.get("time_in_force") or "gtc"
    order.self_trade_prevention = fields.get("self_trade_prevention") or default_prevention
    order.post_only, order.reduce_only = bool(fields.get("post_only")), bool(fields.get("reduce_only"))
    order.expire_at = fields.get("expire_at")
    known = order.side in SIDES and order.type in TYPES and order.time_in_force in TIMES
    if not known or order.self_trade_prevention not in PREVENTIONS:
        raise MalformedError("no such side, type, time in force or self-trade prevention")
    return order


SIDES = ("buy", "sell")
TYPES = ("market", "limit", *STOPS)
TIMES = ("gtc", "ioc", "fok", "gtd")
PREVENTIONS = ("none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both")


def text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{name} is missing")
    return value


def number(fields: dict[str, Any], name: str) -> Decimal | None:
    """Numbers are strings; one that may be missing is None."""
    value = fields.get(name)
    if value is None:
        return None
    try:
        return amount(value)
    except (TypeError, ValueError):
        raise MalformedError(f"{name} is not a number in a string") from None
