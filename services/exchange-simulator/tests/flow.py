"""What may clients send? Few prices, accounts, ids and lots, so that orders meet, queue, collide and run out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Command = dict[str, Any]

SYMBOL = "BTC-USDT"
ACCOUNTS = ("ann", "bob", "cid")
# With these, every filter lets most of what is drawn below pass, and stops some of it.
FILTERS: dict[str, str] = {
    "quantity_min": "2",
    "quantity_max": "5",
    "market_quantity_max": "4",
    "price_min": "97",
    "price_max": "103",
    "notional_min": "200",
    "notional_max": "500",
    "bid_multiplier_up": "1.02",
    "bid_multiplier_down": "0.97",
    "ask_multiplier_up": "1.03",
    "ask_multiplier_down": "0.98",
    "collar_bps": "150",
    "iceberg_parts_max": "3",
    "open_orders_max": "4",
    "open_stops_max": "1",
    "position_max": "9",
    "trail_bps_min": "200",
    "trail_bps_max": "300",
}
INSTRUMENT: Command = {"at": 0, "do": "instrument", "symbol": SYMBOL, "tick": "1", "lot": "1"}

account = st.sampled_from(ACCOUNTS)
# How many orders ago; `told_apart` turns it into an id.
ids = st.integers(0, 9)
side = st.sampled_from(["buy", "sell"])
price = st.sampled_from([str(ticks) for ticks in (99, 100, 101, 98, 102, 97, 103, 96, 104)])
quantity = st.sampled_from(["2", "3", "1", "4", "5", "6"])
prevention = st.sampled_from(
    ["none", "none", "none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both"],
)
# How long a GTD order lives; `timed` turns it into a time.
resting_time = st.sampled_from(
    [{"time_in_force": "gtc"}] * 5 + [{"time_in_force": "gtd", "expire_at": n} for n in (0, 3, 9)]
)
taking_time = st.sampled_from([{"time_in_force": "ioc"}, {"time_in_force": "fok"}])


def terms(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Command]:
    """The terms of an order: what every order has, and what this one has besides."""
    common = {"symbol": st.just(SYMBOL), "side": side, "quantity": quantity, "self_trade_prevention": prevention}
    return st.fixed_dictionaries({**common, "reduce_only": st.sampled_from([False] * 7 + [True]), **fields})


def often(*weighted: tuple[int, st.SearchStrategy[Command]]) -> st.SearchStrategy[Command]:
    """One of them, as often as its number says."""
    return st.sampled_from([each for weight, each in weighted for _ in range(weight)]).flatmap(lambda drawn: drawn)


def joined(one: st.SearchStrategy[Command], other: st.SearchStrategy[Command]) -> st.SearchStrategy[Command]:
    return st.builds(lambda left, right: {**left, **right}, one, other)


limit = joined(terms(type=st.just("limit"), price=price), resting_time)
post_only = limit.map(lambda order: {**order, "post_only": True})
iceberg = joined(limit, st.fixed_dictionaries({"quantity": st.integers(3, 12).map(str), "display_quantity": quantity}))
market = terms(type=st.just("market"))
market_by_amount = joined(
    market,
    st.integers(90, 700).map(lambda amount: {"quantity": None, "quote_quantity": str(amount), "reduce_only": False}),
)
taking = joined(st.one_of(limit, market), taking_time).map(lambda o: {**o, "expire_at": None})
stop = st.one_of(
    terms(type=st.sampled_from(["stop_market", "take_profit_market"]), stop_price=price),
    terms(
        type=st.sampled_from(["stop_limit", "take_profit_limit"]),
        stop_price=price,
        price=price,
        post_only=st.booleans(),
    ),
)
trailing = terms(
    type=st.just("trailing_stop"),
    trail_bps=st.sampled_from(["100", "250", "500"]),
    activation_price=st.none() | price,
    price=st.none() | price,
)
# Those that rest more often than those that take, so that there is something to be taken.
ANY_ORDER = often(
    (6, limit), (1, post_only), (2, iceberg), (2, market), (1, market_by_amount), (2, taking), (3, stop), (2, trailing)
)


def place(order: st.SearchStrategy[Command] = ANY_ORDER) -> st.SearchStrategy[Command]:
    return joined(order, st.fixed_dictionaries({"do": st.just("place"), "account": account, "id": ids}))


@st.composite
def lists(draw: st.DrawFn, kinds: Sequence[str] = ("oco", "oto", "otoco", "ouo")) -> Command:
    kind = draw(st.sampled_from(kinds))
    first, second, third = (draw(ids) for _ in range(3))
    orders = []
    if kind in ("oto", "otoco"):
        orders.append({**draw(st.one_of(limit, market, taking)), "id": first})
    if kind == "oto":
        orders.append({**draw(st.one_of(limit, iceberg, market, stop, trailing)), "id": second})
    else:
        orders.extend({**leg, "id": id} for leg, id in zip(draw(legs()), (second, third), strict=True))
    return {"do": "list", "account": draw(account), "id": "", "kind": kind, "orders": orders}


@st.composite
def legs(draw: st.DrawFn) -> list[Command]:
    """Two legs around the market: mostly with the prices an OCO asks for."""
    near, far = draw(st.integers(96, 100)), draw(st.integers(100, 104))
    shared = draw(terms())
    falls = shared["side"] == "sell"
    profit, loss = (far, near) if falls else (near, far)
    stop_limit = draw(st.none() | price)
    one = {**shared, "type": "limit", "price": str(profit)}
    other = {**shared, "type": "stop_market" if stop_limit is None else "stop_limit", "stop_price": str(loss)}
    return [one, {**other, "price": stop_limit, "post_only": stop_limit is not None and draw(st.booleans())}]


named = st.fixed_dictionaries({"account": account, "id": ids})
cancel = named.map(lambda known: {"do": "cancel", **known})
cancel_all = st.fixed_dictionaries(
    {"do": st.just("cancel_all"), "account": account, "symbol": st.sampled_from([None, SYMBOL, "ETH-USDT"])}
)
amend = joined(
    named,
    st.fixed_dictionaries({"do": st.just("amend"), "quantity": st.none() | quantity, "price": st.none() | price}),
)
replace = joined(
    named,
    st.fixed_dictionaries(
        {
            "do": st.just("replace"),
            "mode": st.sampled_from(["stop_on_failure", "allow_failure"]),
            "order": joined(ANY_ORDER, st.fixed_dictionaries({"id": ids})),
        }
    ),
)
mark = price.map(lambda at: {"do": "mark", "symbol": SYMBOL, "price": at})
position = st.builds(
    lambda who, held: {"do": "position", "account": who, "symbol": SYMBOL, "quantity": str(held)},
    account,
    st.integers(-8, 8),
)
status = st.sampled_from(["open"] * 4 + ["cancel_only", "halted"]).map(
    lambda said: {"do": "status", "symbol": SYMBOL, "status": said}
)
time: Command = {"do": "time"}
book: Command = {"do": "book", "symbol": SYMBOL}


ANYTHING = often(
    (24, place()),
    (5, lists()),
    (5, amend),
    (3, replace),
    (3, cancel),
    (3, mark),
    (2, position),
    (1, cancel_all),
    (1, st.just(time)),
    (1, status),
)


@st.composite
def sequences(draw: st.DrawFn, command: st.SearchStrategy[Command] = ANYTHING) -> list[Command]:
    """Commands with times that never run backwards, and accounts that may have limits and share a group."""
    filters = draw(st.sampled_from([{}, {}, {}, *({name: value} for name, value in FILTERS.items())]))
    commands = [{**INSTRUMENT, **filters}, *draw(accounts())]
    at = 0
    for each in draw(st.lists(command, min_size=draw(st.sampled_from([1, 20, 30, 30])), max_size=40)):
        at += draw(st.sampled_from([0, 1, 1, 7]))
        commands.append({"at": at, **timed(each, at)})
    return told_apart(commands)


def timed(command: Command, at: int) -> Command:
    """An order that expires does so a while from now."""
    done = dict(command)
    if command.get("expire_at") is not None:
        done["expire_at"] = at + command["expire_at"]
    if "order" in command:
        done["order"] = timed(command["order"], at)
    if "orders" in command:
        done["orders"] = [timed(order, at) for order in command["orders"]]
    return done


def told_apart(commands: list[Command]) -> list[Command]:
    """New orders get ids of their own, now and then one that was used just before; other commands name one of the last
    orders, mostly with its right account, or a list."""
    placed: list[tuple[str, str]] = []

    def named(order: Command, account: str) -> Command:
        id = f"o{max(0, len(placed) - (order['id'] == 9))}"
        placed.append((account, id))
        return {**order, "id": id}

    told = []
    for command in commands:
        done = dict(command)
        if command["do"] in ("cancel", "amend", "replace") and placed:
            account, id = placed[max(0, len(placed) - 1 - command["id"])]
            done.update(id=id, account=command["account"] if command["id"] == 9 else account)
        elif command["do"] in ("cancel", "amend", "replace"):
            done["id"] = "nobody"
        if command["do"] == "place":
            done = named(done, command["account"])
        elif command["do"] == "replace":
            done["order"] = named(command["order"], done["account"])
        elif command["do"] == "list":
            done["id"] = f"L{len(placed) // 8}"  # seldom one that still lives
            done["orders"] = [named(order, command["account"]) for order in command["orders"]]
        elif command["do"] == "cancel" and command["id"] == 8:
            done["id"] = f"L{len(placed) // 8}"
        told.append(done)
    return told


@st.composite
def accounts(draw: st.DrawFn) -> list[Command]:
    opened: list[Command] = []
    for name in ACCOUNTS:
        limited = draw(st.sampled_from([False, False, False, True]))
        group = draw(st.sampled_from([None, None, None, "family"]))
        if limited:
            balances = {"BTC": str(draw(st.integers(0, 20))), "USDT": str(draw(st.integers(0, 3000)))}
            opened.append({"at": 0, "do": "account", "account": name, "balances": balances, "trade_group": group})
        elif group:
            opened.append({"at": 0, "do": "account", "account": name, "trade_group": group})
    return opened
