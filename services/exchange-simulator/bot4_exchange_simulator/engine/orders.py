"""What does the engine know of one order, and of orders that depend on each other?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot4_exchange_simulator.engine.terms import (
    GONE,
    GTC,
    LIMIT,
    NONE,
    OTO,
    OUO,
    QUEUED,
    STOP_LIMIT,
    STOP_MARKET,
    TAKE_PROFIT_LIMIT,
    TAKE_PROFIT_MARKET,
)

if TYPE_CHECKING:
    from bot4_exchange_simulator.engine.accounts import Account, Holding
    from bot4_exchange_simulator.engine.book import Level
    from bot4_exchange_simulator.engine.market import Market
    from bot4_exchange_simulator.engine.stops import Group


class Order:
    """One order, from what was asked to its end. Prices in ticks, quantities in lots.

    `quantity` is its total as asked, amended and trimmed; quantity - executed - prevented = leaves + held, always (44).
    A plain order is a limit order, good till cancelled, without further terms: most orders, and the short way.
    """

    __slots__ = (
        "account",
        "activation",
        "ahead",
        "behind",
        "bound",
        "budget",
        "buy",
        "executed",
        "expire_at",
        "flaw",
        "group",
        "held",
        "id",
        "leaves",
        "level",
        "list",
        "market",
        "number",
        "peak",
        "plain",
        "post_only",
        "prevented",
        "prevention",
        "price",
        "quantity",
        "reduce_only",
        "reserved",
        "shown",
        "stop",
        "time_in_force",
        "tracked",
        "trail_bps",
        "triggered",
        "type",
        "where",
    )

    def __init__(self, id: str, account: Account, market: Market, buy: bool, quantity: int, price: int) -> None:
        self.id = id
        self.account: Account = account
        self.market: Market = market
        self.buy = buy
        self.quantity = quantity
        self.price = price  # 0: none
        self.leaves = quantity
        self.executed = 0
        self.prevented = 0
        self.where = QUEUED
        self.type = LIMIT
        self.time_in_force = GTC
        self.prevention = NONE
        self.plain = True
        self.tracked = False  # whether its end concerns anything but the book and the ids of its account
        self.peak = 0  # what an iceberg displays at most; 0: everything
        self.list: OrderList | None = None
        self.reduce_only = False

    def qualify(self, type: int, time_in_force: int = GTC, prevention: int = NONE) -> None:
        """Makes it another order than a plain one. The further terms are then set one by one."""
        self.plain = False
        self.type = type
        self.time_in_force = time_in_force
        self.prevention = prevention
        self.post_only = False
        self.stop = 0
        self.trail_bps = 0
        self.activation = 0
        self.number = 0
        self.group: Group | None = None
        self.triggered = type < STOP_MARKET
        self.expire_at = 0
        self.budget = -1  # quote currency still to be spent or received, in ticks x lots; -1: not limited by that
        self.bound = 0  # the worst key of a level at which it trades, if it takes any price: its collar
        self.held = 0  # lots of a child that its parent has not armed yet
        self.flaw = ""  # what its numbers broke on the way from text, if anything

    # Set when they first mean something: `shown` and the place in a queue (`level`, `ahead`, `behind`) when the order
    # rests, `reserved` when it is tracked.
    shown: int
    reserved: int
    level: Level
    ahead: Order | None
    behind: Order | None

    def holding(self) -> Holding:
        return self.account.holding(self.market)

    def has_limit(self) -> bool:
        return self.type in (LIMIT, STOP_LIMIT, TAKE_PROFIT_LIMIT)

    def must_have_stop(self) -> bool:
        return STOP_MARKET <= self.type <= TAKE_PROFIT_LIMIT

    def concerns_others(self) -> bool:
        """Whether a particular order concerns more than the book: lists, positions, times, stops, amounts."""
        return self.list is not None or self.reduce_only or not self.triggered or self.expire_at > 0 or self.budget >= 0

    def waits_for_trigger(self) -> bool:
        return not self.plain and not self.triggered

    def waits_for_rise(self) -> bool:
        """Stops to buy and take-profits to sell wait for a high price; the others for a low one."""
        return self.buy != (self.type == TAKE_PROFIT_MARKET or self.type == TAKE_PROFIT_LIMIT)


class OrderList:
    """Orders that depend on each other. Legs are siblings; a parent, if there is one, arms them."""

    __slots__ = ("id", "kind", "legs", "parent", "reserved")

    def __init__(self, id: str, kind: int, parent: Order | None, legs: list[Order]) -> None:
        self.id = id
        self.kind = kind
        self.parent: Order | None = parent
        self.legs: list[Order] = legs
        self.reserved = 0  # legs that are siblings are paid once, by what the dearest needs

    def orders(self) -> list[Order]:
        return self.legs if self.parent is None else [self.parent, *self.legs]

    def siblings(self, order: Order) -> list[Order]:
        """The other live legs. The child of a plain OTO has none."""
        if self.kind == OTO or order is self.parent:
            return []
        return [leg for leg in self.legs if leg is not order and leg.where != GONE]

    def siblings_exist(self) -> bool:
        return self.kind != OTO

    def one_fill_ends_the_others(self) -> bool:
        return self.kind != OUO and self.kind != OTO
