"""What must be written down of an engine, so that one made of it goes on exactly as this one would?

An image is taken between two commands, when every event has been fetched and nothing is under way. What an engine can
work out again is left out: levels, ladders of stops, what the profile says, and orders that are over.
"""

from __future__ import annotations

from decimal import Decimal
from heapq import heapify

import msgspec

from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.limits import OrderCount
from bot4_exchange_simulator.engine.market import Filters, Market
from bot4_exchange_simulator.engine.orders import Order, OrderList
from bot4_exchange_simulator.engine.prevention import Prevented
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.engine.terms import BOUNDLESS, BPS, GONE, GTC, LIMIT, NONE, RESTING, WATCHING


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """How the parts of an image are written: what is as usual is left out."""


# An order by the name of its account and its own id, which is known of a live order.
Name = tuple[str, str]


class OrderImage(Written, frozen=True, kw_only=True):
    """A live order; the names are those of `Order`."""

    id: str
    symbol: str
    buy: bool
    quantity: int
    price: int
    leaves: int
    where: int
    executed: int = 0
    prevented: int = 0
    shown: int = 0
    tracked: bool = False
    reserved: int = 0
    terms: Terms | None = None  # None: a plain order


class Terms(Written, frozen=True, kw_only=True):
    """What an order has that is no plain one, and where it stands by that."""

    type: int = LIMIT
    time_in_force: int = GTC
    prevention: int = NONE
    post_only: bool = False
    reduce_only: bool = False
    peak: int = 0
    stop: int = 0
    trail_bps: int = 0
    activation: int = 0
    expire_at: int = 0
    expiry_number: int = 0  # of orders that expire at one time, the lower first
    budget: int = -1
    held: int = 0
    number: int = 0
    triggered: bool = False
    extreme: int = 0  # of a trailing stop that is active; 0: it is not, or does not trail


class ListImage(Written, frozen=True, kw_only=True):
    """A list and those of its orders that live."""

    id: str
    kind: int
    parent: str = ""
    legs: list[str]
    reserved: int = 0


class HoldingImage(Written, frozen=True, kw_only=True):
    net: int
    reducing: list[str] = []  # ids of its orders that wait to reduce it


class AccountImage(Written, frozen=True, kw_only=True):
    name: str
    group: int
    exempt: bool = False
    limited: bool = False
    watched: bool = False
    totals: dict[str, int] = {}
    locked: dict[str, int] = {}
    windows: list[int] = []  # of the order count: which are counted, and how far
    counts: list[int] = []
    holdings: dict[str, HoldingImage] = {}  # by symbol
    orders: list[OrderImage] = []
    lists: list[ListImage] = []


class FiltersImage(Written, frozen=True, kw_only=True):
    """The names are those of `Filters`."""

    quantity_min: int = 1
    quantity_max: int = BOUNDLESS
    market_quantity_min: int = 0
    market_quantity_max: int = 0
    price_min: int = 1
    price_max: int = BOUNDLESS
    notional_min: int = 0
    notional_max: int = 0
    bid_up: int = 0
    bid_down: int = 0
    ask_up: int = 0
    ask_down: int = 0
    collar_bps: int = 0
    iceberg_parts_max: int = 0
    open_orders_max: int = 0
    open_stops_max: int = 0
    position_max: int = 0
    trail_bps_min: int = 1
    trail_bps_max: int = BPS - 1


class MarketImage(Written, frozen=True, kw_only=True):
    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    filters: FiltersImage
    source: int
    status: int
    last: int = 0
    mark: int = 0
    # Who rests, the worst level first, and at each level the first in time first.
    bids: list[Name] = []
    asks: list[Name] = []


class PreventedImage(Written, frozen=True, kw_only=True):
    """The names are those of `Prevented`."""

    at: int
    symbol: str
    price: int
    taker: str
    taker_account: str
    taker_quantity: int
    maker: str
    maker_account: str
    maker_quantity: int


class Image(Written, frozen=True, kw_only=True):
    """The whole of an engine, as JSON if need be: its numbers are whole and may have more than 64 bits."""

    now: int
    draws: int
    groups: dict[str, int]
    markets: list[MarketImage]
    accounts: list[AccountImage]
    prevented: list[PreventedImage]


# Taking one.


def image(engine: Engine) -> Image:
    """What is there now. Whoever drives the engine has fetched its events, and no command is under way."""
    assert not engine.events and not engine._queue
    # An order that is over may still have an entry.
    expiry_numbers = {order: number for _, number, order in engine._expiries if order.where != GONE}
    return Image(
        now=engine.now,
        draws=engine._draws,
        groups=dict(engine._groups),
        markets=[_market_image(market) for market in engine.markets.values()],
        accounts=[_account_image(account, expiry_numbers) for account in engine.accounts.values()],
        prevented=[_prevented_image(each) for each in engine.prevented.kept()],
    )


def _market_image(market: Market) -> MarketImage:
    filters = {name: getattr(market.filters, name) for name in FiltersImage.__struct_fields__}
    return MarketImage(
        symbol=market.symbol,
        base=market.base,
        quote=market.quote,
        tick=market.tick,
        lot=market.lot,
        filters=FiltersImage(**filters),
        source=market.source,
        status=market.status,
        last=market.last,
        mark=market.mark,
        bids=_queued(market.bids),
        asks=_queued(market.asks),
    )


def _queued(side: Side) -> list[Name]:
    names: list[Name] = []
    for key in side.keys:
        order = side.levels[key].front
        while order is not None:
            names.append((order.account.name, order.id))
            order = order.behind
    return names


def _account_image(account: Account, expiry_numbers: dict[Order, int]) -> AccountImage:
    count = account.count
    return AccountImage(
        name=account.name,
        group=account.group,
        exempt=account.exempt,
        limited=account.limited,
        watched=account.watched,
        totals=dict(account.totals),
        locked=dict(account.locked),
        windows=[] if count is None else list(count.windows),
        counts=[] if count is None else list(count.counts),
        holdings={
            symbol: HoldingImage(net=holding.net, reducing=list(holding.reducing))
            for symbol, holding in account.holdings.items()
        },
        orders=[_order_image(order, expiry_numbers.get(order, 0)) for order in account.orders.values()],
        lists=[_list_image(group) for group in account.lists.values()],
    )


def _order_image(order: Order, expiry_number: int) -> OrderImage:
    return OrderImage(
        id=order.id,
        symbol=order.market.symbol,
        buy=order.buy,
        quantity=order.quantity,
        price=order.price,
        leaves=order.leaves,
        where=order.where,
        executed=order.executed,
        prevented=order.prevented,
        shown=order.shown if order.where == RESTING else 0,
        tracked=order.tracked,
        reserved=order.reserved if order.tracked else 0,
        terms=None if order.plain else _terms(order, expiry_number),
    )


def _terms(order: Order, expiry_number: int) -> Terms:
    return Terms(
        type=order.type,
        time_in_force=order.time_in_force,
        prevention=order.prevention,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        peak=order.peak,
        stop=order.stop,
        trail_bps=order.trail_bps,
        activation=order.activation,
        expire_at=order.expire_at,
        expiry_number=expiry_number,
        budget=order.budget,
        held=order.held,
        number=order.number,
        triggered=order.triggered,
        extreme=0 if order.group is None else order.group.extreme,
    )


def _list_image(group: OrderList) -> ListImage:
    parent = group.parent
    return ListImage(
        id=group.id,
        kind=group.kind,
        parent="" if parent is None or parent.where == GONE else parent.id,
        legs=[leg.id for leg in group.legs if leg.where != GONE],
        reserved=group.reserved,
    )


def _prevented_image(each: Prevented) -> PreventedImage:
    return PreventedImage(
        at=each.at,
        symbol=each.market.symbol,
        price=each.price,
        taker=each.taker,
        taker_account=each.taker_account,
        taker_quantity=each.taker_quantity,
        maker=each.maker,
        maker_account=each.maker_account,
        maker_quantity=each.maker_quantity,
    )


# Making an engine of one.


def restore(image: Image, profile: Profile) -> Engine:
    """An engine that goes on where the one of the image stood, on a venue of the same profile.

    Raises `ValueError` where the profile counts orders in other windows than the accounts of the image do.
    """
    engine = Engine(profile)
    engine.now = image.now
    engine._groups = dict(image.groups)
    for written in image.markets:
        engine.markets[written.symbol] = _market(written)
    for account in image.accounts:
        _restore_account(engine, account)
    for written in image.markets:
        market = engine.markets[written.symbol]
        _queue_up(engine, market.bids, written.bids)
        _queue_up(engine, market.asks, written.asks)
    heapify(engine._expiries)
    for prevented in image.prevented:
        engine.prevented.add(_prevented(engine, prevented))
    engine._draws = image.draws
    return engine


def _market(written: MarketImage) -> Market:
    market = Market(written.symbol, written.base, written.quote, written.tick, written.lot)
    market.filters = Filters()
    for name in FiltersImage.__struct_fields__:
        setattr(market.filters, name, getattr(written.filters, name))
    market.filters.sum_up()
    market.source = written.source
    market.status = written.status
    market.last = written.last
    market.mark = written.mark
    return market


def _restore_account(engine: Engine, written: AccountImage) -> None:
    account = engine.account(written.name)
    account.group = written.group
    if written.exempt:
        account.free_of_limits()
    account.limited = written.limited
    account.watched = written.watched
    account.totals = dict(written.totals)
    account.locked = dict(written.locked)
    _restore_count(account.count, written)
    for order in written.orders:
        _restore_order(engine, account, order)
    for symbol, holding in written.holdings.items():
        restored = account.holding(engine.markets[symbol])
        restored.net = holding.net
        restored.reducing = {id: account.orders[id] for id in holding.reducing}
    for group in written.lists:
        _restore_list(account, group)


def _restore_count(count: OrderCount | None, written: AccountImage) -> None:
    if len(written.windows) != (0 if count is None else len(count.windows)):
        raise ValueError(
            f"account {written.name} counts orders in {len(written.windows)} windows, the profile does not"
        )
    if count is not None:
        count.windows = list(written.windows)
        count.counts = list(written.counts)


def _restore_order(engine: Engine, account: Account, written: OrderImage) -> None:
    market = engine.markets[written.symbol]
    order = Order(written.id, account, market, written.buy, written.quantity, written.price)
    order.leaves = written.leaves
    order.where = written.where
    order.executed = written.executed
    order.prevented = written.prevented
    order.shown = written.shown
    order.tracked = written.tracked
    order.reserved = written.reserved
    account.orders[order.id] = order
    terms = written.terms
    if terms is None:
        return
    _qualify(order, terms)
    if terms.expire_at:
        engine._expiries.append((terms.expire_at, terms.expiry_number, order))
    if order.where == WATCHING:
        market.stops += 1
        market.stops_of(order).resume(order, terms.extreme)


def _qualify(order: Order, terms: Terms) -> None:
    order.qualify(terms.type, terms.time_in_force, terms.prevention)
    order.post_only = terms.post_only
    order.reduce_only = terms.reduce_only
    order.peak = terms.peak
    order.stop = terms.stop
    order.trail_bps = terms.trail_bps
    order.activation = terms.activation
    order.expire_at = terms.expire_at
    order.budget = terms.budget
    order.held = terms.held
    order.number = terms.number
    order.triggered = terms.triggered


def _restore_list(account: Account, written: ListImage) -> None:
    parent = account.orders[written.parent] if written.parent else None
    legs = [account.orders[id] for id in written.legs]
    group = OrderList(written.id, written.kind, parent, legs)
    group.reserved = written.reserved
    account.lists[group.id] = group
    for order in legs if parent is None else [parent, *legs]:
        order.list = group


def _queue_up(engine: Engine, side: Side, names: list[Name]) -> None:
    for account, id in names:
        order = engine.accounts[account].orders[id]
        side.append(order, order.shown)


def _prevented(engine: Engine, written: PreventedImage) -> Prevented:
    return Prevented(
        written.at,
        engine.markets[written.symbol],
        written.price,
        written.taker,
        written.taker_account,
        written.taker_quantity,
        written.maker,
        written.maker_account,
        written.maker_quantity,
    )
