"""May this order add to what is at stake? All limits, one after another; the first that is broken is told.

What is asked is held against what the document of limits allows, on the totals of the ledger. Nothing is added up here,
so that a check takes as long with a thousand open orders as with none. What each rule means is said in `rules`.
"""

from __future__ import annotations

from decimal import Decimal, getcontext, setcontext
from typing import NamedTuple

from bot4_common.messages.terms import Order
from bot4_common.money import EXACT, ZERO, plain
from bot4_risk.correlation import Correlations
from bot4_risk.exposure import DAY_NS, NOTHING, Book, Ledger, Standing, price_of
from bot4_risk.limits import HUNDREDTH, Bounds, Limits
from bot4_risk.rates import Flow, Rates, admits

WHOLE_BPS = Decimal(10_000)

Numbers = dict[str, str]
# The code of a rule, and the numbers that explain it.
Refusal = tuple[str, Numbers]


class Asked(NamedTuple):
    """What an order, or an amend, would add.

    `order` is as it shall be; an amend's has its new total and price. `quantity` (base) comes on top of what it
    reserves already, and `repriced` (quote) is what a new price adds to the worth of that. `mid` and `quote_at` (ns)
    are of the newest quote, None and 0 without one. `opening`: whether it could open or enlarge a position. `adds` is
    how many open orders there will be more, none for an amend; `spends` how many it is for the rates: a list's legs.
    """

    account: str
    order: Order
    quantity: Decimal
    mid: Decimal | None
    opening: bool
    now: int
    quote_at: int
    adds: int = 1
    spends: int = 1
    repriced: Decimal = ZERO


def check(asked: Asked, ledger: Ledger, rates: Rates, limits: Limits, correlations: Correlations) -> Refusal | None:
    """The first rule that is broken, with its numbers."""
    before = getcontext()
    # From here on operators lose no digit either, and take half as long as the functions of `bot4_common.money`.
    setcontext(EXACT)
    try:
        return _first_broken(asked, ledger, rates, limits, correlations)
    finally:
        setcontext(before)


def _first_broken(
    asked: Asked, ledger: Ledger, rates: Rates, limits: Limits, correlations: Correlations
) -> Refusal | None:
    account, order, mid = asked.account, asked.order, asked.mid
    bounds = limits.bounds(account, order.strategy, order.symbol)
    book = ledger.accounts.get(account) or ledger.new_book(account)
    strategy = book.strategies.get(order.strategy) or ledger.new_standing(account)
    broken = (
        _rate(asked, rates, bounds)
        or (_open_orders(asked.adds, book, strategy, ledger.firm, bounds) if asked.adds else None)
        or _market(asked, bounds)
    )
    if broken is not None or mid is None:
        return broken
    price = price_of(order, mid)
    worth = order.quantity * price
    broken = _size(order, mid, worth, bounds)
    if broken is not None or not asked.opening:
        return broken
    bounds.measure(book.equity, ledger.firm_equity(account))
    if worth > bounds.order_worth:
        return "ORDER_SHARE", _share(worth, bounds.order.position_percent, book.equity)
    notional = asked.quantity * price + asked.repriced
    return (
        _drawdown(book, strategy, ledger.firm, bounds)
        or (_daily_loss(book, strategy, ledger.firm, bounds) if asked.now // DAY_NS <= ledger.day else None)
        or _position(asked, mid, ledger, book, strategy, bounds)
        or _exposure(order.side == "buy", notional, book, ledger.firm, bounds)
        or _correlation(asked, ledger, bounds, correlations)
    )


def _rate(asked: Asked, rates: Rates, bounds: Bounds) -> Refusal | None:
    now, orders = asked.now, asked.spends
    if not admits(rates.accounts.get(asked.account, 0), bounds.account, now, orders):
        return "ORDER_RATE", _of_flow(orders, bounds.account)
    if not admits(rates.strategies.get(bounds.strategy_key, 0), bounds.strategy, now, orders):
        return "STRATEGY_ORDER_RATE", _of_flow(orders, bounds.strategy)
    if not admits(rates.firm, bounds.firm, now, orders):
        return "FIRM_ORDER_RATE", _of_flow(orders, bounds.firm)
    return None


def _open_orders(adds: int, book: Book, strategy: Standing, firm: Book, bounds: Bounds) -> Refusal | None:
    if book.orders + adds > bounds.account.open_orders_max:
        return "OPEN_ORDERS", _of_count(book.orders, adds, bounds.account.open_orders_max)
    if strategy.orders + adds > bounds.strategy.open_orders_max:
        return "STRATEGY_OPEN_ORDERS", _of_count(strategy.orders, adds, bounds.strategy.open_orders_max)
    if firm.orders + adds > bounds.firm.open_orders_max:
        return "FIRM_OPEN_ORDERS", _of_count(firm.orders, adds, bounds.firm.open_orders_max)
    return None


def _market(asked: Asked, bounds: Bounds) -> Refusal | None:
    if asked.mid is None:
        return "NO_MARKET", {"symbol": asked.order.symbol, "venue": asked.order.venue}
    age, limit = asked.now - asked.quote_at, bounds.order.quote_age_max_ns
    if age > limit:
        return "NO_MARKET", _numbers(quote_age_ns=age, limit=limit)
    return None


def _size(order: Order, mid: Decimal, worth: Decimal, bounds: Bounds) -> Refusal | None:
    limits, price = bounds.order, order.price
    # An order with a trigger meets the market there.
    middle = mid if order.stop_price is None else order.stop_price
    if price is not None and abs(price - middle) * WHOLE_BPS > middle * limits.price_collar_bps:
        return "PRICE_COLLAR", _numbers(price=price, mid=middle, limit_bps=limits.price_collar_bps)
    quantity_max = bounds.symbol.order_quantity_max
    if quantity_max is not None and order.quantity > quantity_max:
        return "ORDER_QUANTITY", _numbers(asked=order.quantity, limit=quantity_max)
    if worth > limits.notional_max:
        return "ORDER_SIZE", _numbers(notional=worth, limit=limits.notional_max)
    return None


def _drawdown(book: Book, strategy: Standing, firm: Book, bounds: Bounds) -> Refusal | None:
    if book.drawdown >= bounds.account.drawdown_percent:
        return "DRAWDOWN", _of_drawdown(book, bounds.account.drawdown_percent)
    if strategy.drawdown >= bounds.strategy.drawdown_percent:
        return "STRATEGY_DRAWDOWN", _of_drawdown(strategy, bounds.strategy.drawdown_percent)
    if firm.drawdown >= bounds.firm.drawdown_percent:
        return "FIRM_DRAWDOWN", _of_drawdown(firm, bounds.firm.drawdown_percent)
    return None


def _daily_loss(book: Book, strategy: Standing, firm: Book, bounds: Bounds) -> Refusal | None:
    if book.daily_loss >= bounds.account.daily_loss_percent:
        return "DAILY_LOSS", _of_loss(book, bounds.account.daily_loss_percent)
    if strategy.daily_loss >= bounds.strategy.daily_loss_percent:
        return "STRATEGY_DAILY_LOSS", _of_loss(strategy, bounds.strategy.daily_loss_percent)
    if firm.daily_loss >= bounds.firm.daily_loss_percent:
        return "FIRM_DAILY_LOSS", _of_loss(firm, bounds.firm.daily_loss_percent)
    return None


def _position(
    asked: Asked, mid: Decimal, ledger: Ledger, book: Book, strategy: Standing, bounds: Bounds
) -> Refusal | None:
    order = asked.order
    side, symbol = order.side, order.symbol
    of_account = ledger.at_market(asked.account, order.venue, symbol)
    growth = of_account.growth(side, asked.quantity)
    position = (book.worst.get(symbol, ZERO) + growth) * mid
    if position > bounds.position:
        return "POSITION_LIMIT", _share(position, bounds.symbol.position_percent, book.equity)
    of_strategy = of_account.strategies.get(order.strategy, NOTHING)
    position = (strategy.worst.get(symbol, ZERO) + of_strategy.growth(side, asked.quantity)) * mid
    if position > bounds.strategy_position:
        return "STRATEGY_POSITION", _share(position, bounds.strategy.position_percent, book.equity)
    position = (ledger.firm.worst.get(symbol, ZERO) + growth) * mid
    if position > bounds.firm_position:
        return "FIRM_POSITION", _share(position, bounds.firm.position_percent, bounds.firm_equity)
    return None


def _exposure(buys: bool, notional: Decimal, book: Book, firm: Book, bounds: Bounds) -> Refusal | None:
    gross = book.gross + notional
    if gross > bounds.gross:
        return "GROSS_EXPOSURE", _share(gross, bounds.account.gross_percent, bounds.equity)
    net = (book.long if buys else book.short) + notional
    if net > bounds.net:
        return "NET_EXPOSURE", _share(net, bounds.account.net_percent, bounds.equity)
    gross = firm.gross + notional
    if gross > bounds.firm_gross:
        return "FIRM_GROSS_EXPOSURE", _share(gross, bounds.firm.gross_percent, bounds.firm_equity)
    net = (firm.long if buys else firm.short) + notional
    if net > bounds.firm_net:
        return "FIRM_NET_EXPOSURE", _share(net, bounds.firm.net_percent, bounds.firm_equity)
    return None


def _correlation(asked: Asked, ledger: Ledger, bounds: Bounds, correlations: Correlations) -> Refusal | None:
    if asked.adds and bounds.account.correlation_action == "scale":
        # It was scaled before it came here. An amend is not: it would be scaled again each time.
        return None
    correlation = correlations.of(ledger, asked.account, asked.order.symbol, asked.order.side)
    if correlation is not None and correlation > bounds.account.correlation_max:
        return "CORRELATION", _numbers(correlation=correlation, limit=bounds.account.correlation_max)
    return None


# The numbers that explain a refusal


def _of_flow(orders: int, flow: Flow) -> Numbers:
    return _numbers(orders=orders, limit=flow.orders_per_second, burst=flow.orders_burst)


def _of_count(open_orders: int, asked: int, limit: int) -> Numbers:
    return _numbers(open_orders=open_orders, asked=asked, limit=limit)


def _of_drawdown(standing: Standing, limit: Decimal) -> Numbers:
    return _numbers(drawdown=standing.drawdown, limit=limit, equity=standing.equity, peak=standing.peak)


def _of_loss(standing: Standing, limit: Decimal) -> Numbers:
    return _numbers(loss=standing.daily_loss, limit=limit, equity=standing.equity, day_start=standing.day_start)


def _share(asked: Decimal, percent: Decimal, equity: Decimal) -> Numbers:
    return _numbers(asked=asked, limit=percent * equity * HUNDREDTH, percent=percent, equity=equity)


def _numbers(**values: Decimal | int) -> Numbers:
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}
