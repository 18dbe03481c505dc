"""What may clients send? Few prices, accounts, ids and lots, so that orders meet, queue, collide and run out.

A command is made of bytes, one for each choice: cheap to draw by the thousand, and what fails shrinks towards zeros,
which choose the simplest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

Command = dict[str, Any]
T = TypeVar("T")

SYMBOL = "BTC-USDT"
OTHER_SYMBOL = "ETH-USDT"
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
OTHER_INSTRUMENT: Command = {"at": 0, "do": "instrument", "symbol": OTHER_SYMBOL, "tick": "1", "lot": "1"}
BOOK: Command = {"do": "book", "symbol": SYMBOL}

SIDES = ("buy", "sell")
PRICES = (100, 99, 101, 98, 102, 97, 103, 96, 104)
QUANTITIES = (2, 3, 1, 4, 5, 6)
PREVENTIONS = (*("none",) * 3, "cancel_new", "cancel_resting", "cancel_both", "decrement_both")
SYMBOLS = (*(SYMBOL,) * 9, OTHER_SYMBOL)
# How long a GTD order lives; one that is to live for no time at all is refused.
LIVES = (*(None,) * 12, 9, 30, 30, 0)
# What a stop becomes when it triggers.
STOP_LIVES = (*("gtc",) * 5, "gtd", "ioc", "fok")


class Choices:
    """Bytes that choose. Where they end, everything is the first of its kind."""

    def __init__(self, data: bytes) -> None:
        self._rest = iter(data)

    def number(self, low: int, high: int) -> int:
        return low + next(self._rest, 0) % (high - low + 1)

    def of(self, options: Sequence[T]) -> T:
        return options[next(self._rest, 0) % len(options)]

    def seldom(self, one_in: int) -> bool:
        return next(self._rest, 0) % one_in == one_in - 1


@dataclass
class Story:
    """What has been sent so far."""

    at: int = 0
    placed: list[tuple[str, str]] = field(default_factory=list)  # account and id of each order

    def name(self, choices: Choices, account: str) -> str:
        """The id of a new order, now and then the one that was used just before."""
        id = f"o{max(0, len(self.placed) - choices.seldom(12))}"
        self.placed.append((account, id))
        return id

    def one(self, choices: Choices) -> Command:
        """An order that was sent, one of the last, now and then with the wrong account."""
        if not self.placed:
            return {"account": choices.of(ACCOUNTS), "id": "nobody"}
        account, id = self.placed[max(0, len(self.placed) - 1 - choices.number(0, 9))]
        return {"account": choices.of(ACCOUNTS) if choices.seldom(12) else account, "id": id}

    def list_id(self) -> str:
        return f"L{len(self.placed) // 8}"  # seldom one that still lives


Order = Callable[[Choices, int], Command]
Action = Callable[[Choices, Story, Sequence[Order]], Command]


def often(*weighted: tuple[int, T]) -> tuple[T, ...]:
    """Each as often as its number says."""
    return tuple(each for weight, each in weighted for _ in range(weight))


# Orders.


def terms(choices: Choices) -> Command:
    """What every order has."""
    return {
        "symbol": choices.of(SYMBOLS),
        "side": choices.of(SIDES),
        "quantity": str(choices.of(QUANTITIES)),
        "self_trade_prevention": choices.of(PREVENTIONS),
        "reduce_only": choices.seldom(8),
    }


def price(choices: Choices) -> str:
    return str(choices.of(PRICES))


def limit(choices: Choices, at: int) -> Command:
    order = {**terms(choices), "type": "limit", "price": price(choices)}
    lives = choices.of(LIVES)
    return order if lives is None else {**order, "time_in_force": "gtd", "expire_at": at + lives}


def post_only(choices: Choices, at: int) -> Command:
    return {**limit(choices, at), "post_only": True}


def iceberg(choices: Choices, at: int) -> Command:
    order = limit(choices, at)
    return {**order, "quantity": str(choices.number(3, 12)), "display_quantity": str(choices.of(QUANTITIES))}


def market(choices: Choices, _: int) -> Command:
    return {**terms(choices), "type": "market"}


def market_by_amount(choices: Choices, _: int) -> Command:
    spent = str(90 + 3 * choices.number(0, 200))
    return {**terms(choices), "type": "market", "quantity": None, "quote_quantity": spent, "reduce_only": False}


def taking(choices: Choices, at: int) -> Command:
    order = market(choices, at) if choices.seldom(3) else {**limit(choices, at), "expire_at": None}
    return {**order, "time_in_force": choices.of(("ioc", "fok"))}


def fill_or_kill(choices: Choices, at: int) -> Command:
    return {**taking(choices, at), "time_in_force": "fok"}


def lasting(choices: Choices, at: int, order: Command) -> Command:
    """A stop for as long as it is good."""
    lives = choices.of(STOP_LIVES)
    return {**order, "time_in_force": lives, "expire_at": at + 30 if lives == "gtd" else None}


def stop(choices: Choices, at: int) -> Command:
    order = {**terms(choices), "type": choices.of(("stop_market", "take_profit_market")), "stop_price": price(choices)}
    order = lasting(choices, at, order)
    if choices.seldom(2):
        return order
    kind = order["type"].replace("market", "limit")
    return {**order, "type": kind, "price": price(choices), "post_only": choices.seldom(3)}


def trailing(choices: Choices, at: int) -> Command:
    order = {**terms(choices), "type": "trailing_stop", "trail_bps": choices.of(("100", "250", "500"))}
    order = lasting(choices, at, order)
    activation = price(choices) if choices.seldom(2) else None
    return {**order, "activation_price": activation, "price": price(choices) if choices.seldom(3) else None}


# Those that rest more often than those that take, so that there is something to be taken.
ANY_ORDER = often(
    (12, limit), (1, post_only), (3, iceberg), (2, market), (1, market_by_amount), (2, taking), (3, stop), (1, trailing)
)
VISIBLE = often((6, limit), (1, post_only), (1, market), (2, taking))


# Commands.


def place(choices: Choices, story: Story, orders: Sequence[Order]) -> Command:
    account = choices.of(ACCOUNTS)
    order = choices.of(orders)(choices, story.at)
    return {"do": "place", "account": account, "id": story.name(choices, account), **order}


def lists(choices: Choices, story: Story, orders: Sequence[Order]) -> Command:
    account, kind = choices.of(ACCOUNTS), choices.of(("oco", "oto", "otoco", "ouo"))
    id, together = story.list_id(), []
    if kind in ("oto", "otoco"):
        together.append(choices.of((limit, limit, market, taking))(choices, story.at))
    if kind == "oto":
        together.append(choices.of((limit, iceberg, market, stop, trailing, market_by_amount))(choices, story.at))
    else:
        together.extend(legs(choices, story.at, kind == "ouo"))
    named = [{**order, "id": story.name(choices, account)} for order in together]
    return {"do": "list", "account": account, "id": id, "kind": kind, "orders": named}


def legs(choices: Choices, at: int, limits: bool) -> list[Command]:
    """Two legs around the market: mostly with the prices an OCO asks for. Those of an OUO may be two limit orders."""
    near, far = choices.of((100, 99, 98, 97, 96)), choices.of((101, 100, 102, 103, 104))
    shared = terms(choices)
    profit, loss = (far, near) if shared["side"] == "sell" else (near, far)
    one = {**shared, "type": "limit", "price": str(profit)}
    if limits and choices.seldom(2):
        shown = str(choices.of(QUANTITIES)) if choices.seldom(2) else None
        return [one, {**one, "price": price(choices), "display_quantity": shown}]
    other = lasting(choices, at, {**shared, "type": "stop_market", "stop_price": str(loss)})
    if choices.seldom(2):
        other = {**other, "type": "stop_limit", "price": price(choices), "post_only": choices.seldom(2)}
    return [one, other]


def amend(choices: Choices, story: Story, _: Sequence[Order]) -> Command:
    quantity = str(choices.of(QUANTITIES)) if choices.seldom(2) else None
    return {"do": "amend", **story.one(choices), "quantity": quantity, "price": choices.of((None, price(choices)))}


def replace(choices: Choices, story: Story, orders: Sequence[Order]) -> Command:
    old = story.one(choices)
    order = {**choices.of(orders)(choices, story.at), "id": story.name(choices, old["account"])}
    return {"do": "replace", **old, "mode": choices.of(("stop_on_failure", "allow_failure")), "order": order}


def cancel(choices: Choices, story: Story, _: Sequence[Order]) -> Command:
    """Of an order, or of a list."""
    named = story.one(choices)
    return {"do": "cancel", **named, "id": story.list_id() if choices.seldom(6) else named["id"]}


def cancel_all(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    return {"do": "cancel_all", "account": choices.of(ACCOUNTS), "symbol": choices.of((None, SYMBOL, OTHER_SYMBOL))}


def disconnect(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    return {"do": "disconnect", "account": choices.of(ACCOUNTS)}


def mark(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    return {"do": "mark", "symbol": choices.of(SYMBOLS), "price": price(choices)}


def position(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    who = choices.of(ACCOUNTS)
    return {"do": "position", "account": who, "symbol": choices.of(SYMBOLS), "quantity": str(choices.number(-8, 8))}


def status(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    said = choices.of((*("open",) * 4, "cancel_only", "halted"))
    return {"do": "status", "symbol": choices.of(SYMBOLS), "status": said}


def fund(choices: Choices, _: Story, __: Sequence[Order]) -> Command:
    """A deposit, a withdrawal, a first word on what the account has, or another trade group."""
    group = choices.of((None, None, "family", "friends"))
    held = {} if choices.seldom(4) else balances(choices)
    return {"do": "account", "account": choices.of(ACCOUNTS), **held, "trade_group": group}


def time(_: Choices, __: Story, ___: Sequence[Order]) -> Command:
    return {"do": "time"}


def balances(choices: Choices) -> Command:
    return {"balances": {"BTC": str(choices.number(0, 20)), "USDT": str(choices.number(0, 250) * 12)}}


ANYTHING = often(
    (48, place),
    (6, lists),
    (5, amend),
    (2, replace),
    (3, cancel),
    (2, mark),
    (2, position),
    (1, cancel_all),
    (1, disconnect),
    (1, time),
    (1, status),
    (1, fund),
)

# More than any command needs.
BYTES = 40


def commands(
    beginning: bytes, rest: Sequence[bytes], actions: Sequence[Action] = ANYTHING, orders: Sequence[Order] = ANY_ORDER
) -> list[Command]:
    """Commands with times that never run backwards, and accounts that may have limits and share a group."""
    choices = Choices(beginning)
    name = choices.of(tuple(FILTERS)) if choices.seldom(2) else None
    filters = {} if name is None else {name: FILTERS[name]}
    told = [{**INSTRUMENT, **filters}, OTHER_INSTRUMENT, *accounts(choices)]
    story = Story()
    for data in rest:
        choices = Choices(data)
        action = choices.of(actions)
        story.at += choices.of((0, 1, 1, 2))
        told.append({"at": story.at, **action(choices, story, orders)})
    return told


def accounts(choices: Choices) -> list[Command]:
    opened = []
    for name in ACCOUNTS:
        limits = balances(choices) if choices.seldom(4) else {}
        group = {"trade_group": "family"} if choices.seldom(4) else {}
        if limits or group:
            opened.append({"at": 0, "do": "account", "account": name, **limits, **group})
    return opened


@st.composite
def sequences(
    draw: st.DrawFn, actions: Sequence[Action] = ANYTHING, orders: Sequence[Order] = ANY_ORDER
) -> list[Command]:
    one = st.binary(min_size=BYTES, max_size=BYTES)
    least = draw(st.sampled_from([1, 20, 40]))
    return commands(draw(one), draw(st.lists(one, min_size=least, max_size=50)), actions, orders)
