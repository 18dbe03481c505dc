"""What would a sweep do? A copy of one market, and of all who have orders in it, to sweep for a try."""

from __future__ import annotations

from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order, OrderList
from bot4_exchange_simulator.engine.terms import GONE, WATCHING


def copied(accounts: dict[str, Account], taker: Order, into: dict[str, Account]) -> Order:
    """The copy of an order, in a copy of its market. The copied accounts are put into a dictionary."""
    old = taker.market
    market = Market(old.symbol, old.base, old.quote, old.tick, old.lot)
    market.source = old.source
    market.last, market.mark, market.status, market.filters = old.last, old.mark, old.status, old.filters
    copies: dict[Order, Order] = {}
    for account in accounts.values():
        orders = [order for order in account.orders.values() if order.market is old]
        if not orders:
            continue
        holding = account.holding(old)
        copy = into[account.name] = Account(account.name, account.group, None)
        copy.limited, copy.watched = account.limited, account.watched
        copy.totals, copy.locked = dict(account.totals), dict(account.locked)
        copy.holding(market).net = holding.net
        for order in orders:
            copies[order] = copy.orders[order.id] = _order(order, copy, market)
        copy.holding(market).reducing = {id: copies[order] for id, order in holding.reducing.items()}
    _queues(old.bids, market.bids, copies)
    _queues(old.asks, market.asks, copies)
    lists: dict[OrderList, OrderList] = {}
    for order, copy_of in copies.items():
        if order.where == WATCHING:
            market.stops += 1
            extreme = order.group.extreme if order.group is not None else 0
            market.stops_of(copy_of).resume(copy_of, extreme)
        if order.list is not None:
            copy_of.list = _list(order.list, lists, copies)
    return copies[taker]


def _order(order: Order, account: Account, market: Market) -> Order:
    copy = Order(order.id, account, market, order.buy, order.quantity, order.price)
    if not order.plain:
        copy.qualify(order.type, order.time_in_force, order.prevention)
        copy.stop = order.stop
        copy.trail_bps = order.trail_bps
        copy.activation = order.activation
        copy.triggered = order.triggered
        copy.budget = order.budget
        copy.bound = order.bound
        copy.held = order.held
        copy.number = order.number
    copy.reduce_only = order.reduce_only
    copy.peak = order.peak
    copy.leaves = order.leaves
    copy.executed = order.executed
    copy.prevented = order.prevented
    copy.where = order.where
    copy.tracked = order.tracked
    if order.tracked:
        copy.reserved = order.reserved
    return copy


def _queues(old: Side, new: Side, copies: dict[Order, Order]) -> None:
    for key in old.keys:
        order = old.levels[key].front
        while order is not None:
            new.append(copies[order], order.shown)
            order = order.behind


def _list(group: OrderList, lists: dict[OrderList, OrderList], copies: dict[Order, Order]) -> OrderList:
    """Orders of other markets are left out: they would only be armed."""
    copy = lists.get(group)
    if copy is None:
        parent = group.parent
        copy = lists[group] = OrderList(
            group.id,
            group.kind,
            copies.get(parent) if parent is not None and parent.where != GONE else None,
            [copies[leg] for leg in group.legs if leg in copies],
        )
        copy.reserved = group.reserved
    return copy
