"""What does an account have, and what have its live orders already laid claim to?

Money is whole numbers of `MONEY_UNIT`: any price x quantity of an instrument is exact in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bot4_exchange_simulator.engine.limits import OrderCount
from bot4_exchange_simulator.engine.orders import Order, OrderList
from bot4_exchange_simulator.engine.terms import GONE, WAITING

if TYPE_CHECKING:
    from bot4_exchange_simulator.engine.market import Market

# Ticks and lots have at most 18 digits behind the point, so their product has 36.
MONEY_DIGITS: Final = 36
MONEY_UNIT: Final = 10**MONEY_DIGITS


class Holding:
    """An account's position in one market, in signed lots, and the orders that wait to reduce it."""

    __slots__ = ("account", "market", "net", "reducing")

    def __init__(self, account: Account, market: Market) -> None:
        self.account: Account = account
        self.market: Market = market
        self.net = 0
        # Reduce-only orders that rest or watch, by id: few, so that a trim may look at all of them.
        self.reducing: dict[str, Order] = {}

    def reducible(self, buy: bool) -> int:
        """How many lots an order of this side may trade before it opens or flips the position (37, 38)."""
        net = self.net
        if buy:
            return -net if net < 0 else 0
        return net if net > 0 else 0


class Account:
    """Who trades. Until somebody says what it has, it has no end of everything."""

    __slots__ = (
        "count",
        "exempt",
        "group",
        "holdings",
        "limited",
        "lists",
        "locked",
        "name",
        "orders",
        "totals",
        "watched",
    )

    def __init__(self, name: str, group: int, count: OrderCount | None) -> None:
        self.name = name
        self.group = group  # equal groups are one self (41)
        self.count: OrderCount | None = count
        self.watched = count is not None  # whether its orders concern more than the book
        self.exempt = False  # whether filters and counts do not concern it
        self.orders: dict[str, Order] = {}
        self.lists: dict[str, OrderList] = {}
        self.holdings: dict[str, Holding] = {}
        self.limited = False
        self.totals: dict[str, int] = {}
        self.locked: dict[str, int] = {}

    def free_of_limits(self) -> None:
        """Neither filters nor counts concern it: it is many people's, of whom only the sum is known."""
        self.exempt = True
        self.count = None
        self.watched = self.limited

    def holding(self, market: Market) -> Holding:
        holding = self.holdings.get(market.symbol)
        if holding is None:
            holding = self.holdings[market.symbol] = Holding(self, market)
        return holding

    def free(self, asset: str) -> int:
        return self.totals.get(asset, 0) - self.locked.get(asset, 0)

    def move(self, asset: str, amount: int) -> None:
        self.totals[asset] = self.totals.get(asset, 0) + amount

    def lock(self, asset: str, amount: int) -> None:
        self.locked[asset] = self.locked.get(asset, 0) + amount


def need(order: Order, lots: int, price: int) -> int:
    """What that many lots may cost, hidden ones included (21). A market order to buy pays as it trades."""
    if not order.plain and order.budget >= 0:
        return order.budget * order.market.tick_money if order.buy else 0
    if not order.buy:
        return lots * order.market.lot_money
    if price == 0:
        price = order.stop
    return lots * price * order.market.tick_money


def asset_of(order: Order) -> str:
    """What an order pays with."""
    return order.market.quote if order.buy else order.market.base


def claim(order: Order) -> None:
    """Brings what is locked for a live or just ended order in line with what it may still need.

    Siblings are paid once, by what the dearest needs: only one of them can be filled.
    """
    account = order.account
    group = order.list
    if group is None or group.parent is order or not group.siblings_exist():
        wanted = 0 if order.where == GONE or order.where == WAITING else need(order, order.leaves, order.price)
        account.lock(asset_of(order), wanted - order.reserved)
        order.reserved = wanted
        return
    wanted = 0
    for leg in group.legs:
        if leg.where != GONE and leg.where != WAITING:
            wanted = max(wanted, need(leg, leg.leaves, leg.price))
    account.lock(asset_of(order), wanted - group.reserved)
    group.reserved = wanted


def claimed(order: Order) -> int:
    """What is locked for it and its siblings already."""
    group = order.list
    if group is None or group.parent is order or not group.siblings_exist():
        return order.reserved
    return group.reserved
