"""May this order add to what is at stake? All limits, as one table, in the order in which they are looked at.

A rule holds what is asked against what the document of limits allows, on the totals of the ledger. Nothing is added up
here, so that a check takes as long with a thousand open orders as with none.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext, setcontext
from typing import Literal

import msgspec

from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import Order
from bot4_common.money import EXACT, ZERO, plain
from bot4_risk.correlation import Correlations
from bot4_risk.exposure import DAY_NS, NOTHING, Ledger, Standing, price_of
from bot4_risk.limits import of_account, of_symbol, strategy_key
from bot4_risk.rates import Flow, Rates, admits

HUNDREDTH = Decimal("0.01")
WHOLE_BPS = Decimal(10_000)

Numbers = dict[str, str]


class Asked(msgspec.Struct, frozen=True):
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


class Case:
    """An order together with all that the rules look at, each looked up once.

    In quote: `worth` of the whole order and `notional` of what it adds; `position`, `strategy_position` and
    `firm_position`: what there may come to be of the symbol; `lean` and `firm_lean`: how far all lean to the order's
    side; a `hundredth` of each equity. `middle` is what the price is compared with.
    """

    def __init__(
        self,
        asked: Asked,
        ledger: Ledger,
        rates: Rates,
        document: LimitsDocument,
        correlations: Correlations,
    ) -> None:
        account, order, mid = asked.account, asked.order, asked.mid or ZERO
        symbol, strategy, quantity, firm = order.symbol, order.strategy, asked.quantity, ledger.firm
        self.asked = asked
        self.order = order
        self.ledger = ledger
        self.rates = rates
        self.correlations = correlations
        self.limits = document
        self.of_account = of_account(document, account)
        self.of_symbol = of_symbol(document, symbol)
        self.strategy_key = key = strategy_key(account, strategy)
        self.of_strategy = document.strategies.get(key, document.strategy)
        self.firm = firm
        self.book = book = ledger.accounts.get(account) or ledger.new_book(account)
        self.strategy = by_strategy = book.strategies.get(strategy) or ledger.new_standing(account)

        self.equity = book.equity
        self.hundredth = book.equity * HUNDREDTH
        self.firm_equity = ledger.firm_equity(account)
        self.firm_hundredth = self.firm_equity * HUNDREDTH
        self.middle = order.stop_price or mid
        price = price_of(order, mid)
        self.worth = order.quantity * price
        self.notional = quantity * price + asked.repriced
        if order.side == "buy":
            self.lean, self.firm_lean = book.long, firm.long
        else:
            self.lean, self.firm_lean = book.short, firm.short

        position = ledger.at_market(account, order.venue, symbol)
        growth = position.growth(order.side, quantity)
        self.position = (book.worst.get(symbol, ZERO) + growth) * mid
        self.firm_position = (firm.worst.get(symbol, ZERO) + growth) * mid
        growth = position.strategies.get(strategy, NOTHING).growth(order.side, quantity)
        self.strategy_position = (by_strategy.worst.get(symbol, ZERO) + growth) * mid
        self.is_new_day = asked.now // DAY_NS > ledger.day


class Rule(msgspec.Struct, frozen=True):
    """`holds` tells whether the order keeps the rule, `numbers` explains why not; `check` has made operators exact for
    both. `limit` names the fields of the document; `formula` is what `holds` computes."""

    code: str
    scope: Literal["order", "symbol", "strategy", "account", "firm"]
    limit: str
    formula: str
    example: str
    holds: Callable[[Case], bool]
    numbers: Callable[[Case], Numbers]

    @property
    def default(self) -> str:
        return ", ".join(_default(field) for field in self.limit.split(", "))


def check(
    asked: Asked, ledger: Ledger, rates: Rates, document: LimitsDocument, correlations: Correlations
) -> tuple[str, Numbers] | None:
    """The first rule that is broken, with its numbers."""
    before = getcontext()
    # From here on operators lose no digit either, and take half as long as the functions of `bot4_common.money`.
    setcontext(EXACT)
    try:
        case = Case(asked, ledger, rates, document, correlations)
        for rule in RULES if asked.opening else OF_ALL:
            if not rule.holds(case):
                return rule.code, rule.numbers(case)
        return None
    finally:
        setcontext(before)


def _has_market(case: Case) -> bool:
    asked = case.asked
    return asked.mid is not None and asked.now - asked.quote_at <= case.limits.order.quote_age_max_ns


def _missing_market(case: Case) -> Numbers:
    asked = case.asked
    if asked.mid is None:
        return {"symbol": case.order.symbol, "venue": case.order.venue}
    return _numbers(quote_age_ns=asked.now - asked.quote_at, limit=case.limits.order.quote_age_max_ns)


def _is_in_collar(case: Case) -> bool:
    price, middle = case.order.price, case.middle
    if price is None:
        return True
    distance = abs(price - middle) * WHOLE_BPS
    return distance <= middle * case.limits.order.price_collar_bps


def _is_uncorrelated(case: Case) -> bool:
    limits = case.of_account
    if limits.correlation_action == "scale" and case.asked.adds:
        # It was scaled before it came here. An amend is not: it would be scaled again each time.
        return True
    correlation = _correlation(case)
    return correlation is None or correlation <= limits.correlation_max


def _correlation(case: Case) -> Decimal | None:
    order = case.order
    return case.correlations.of(case.ledger, case.asked.account, order.symbol, order.side)


def _rate(case: Case, flow: Flow) -> Numbers:
    return _numbers(orders=case.asked.spends, limit=flow.orders_per_second, burst=flow.orders_burst)


def _count(case: Case, orders: int, limit: int) -> Numbers:
    return _numbers(open_orders=orders, asked=case.asked.adds, limit=limit)


def _drawdown(standing: Standing, limit: Decimal) -> Numbers:
    return _numbers(drawdown=standing.drawdown, limit=limit, equity=standing.equity, peak=standing.peak)


def _daily_loss(standing: Standing, limit: Decimal) -> Numbers:
    return _numbers(loss=standing.daily_loss, limit=limit, equity=standing.equity, day_start=standing.day_start)


def _share(asked: Decimal, percent: Decimal, equity: Decimal) -> Numbers:
    return _numbers(asked=asked, limit=percent * equity * HUNDREDTH, percent=percent, equity=equity)


RATE = "the bucket of {} holds a token for the order; it holds orders_burst, and each second brings orders_per_second"
ORDERS = "open orders of {}, with this one, <= open_orders_max"

# The rules that hold for every order of a caller, and every amend.
OF_ALL: tuple[Rule, ...] = (
    Rule(
        "ORDER_RATE", "account", "account.orders_per_second, account.orders_burst",
        RATE.format("the account"),
        "with a burst of 2 at 1 a second, the third order within a second is refused",
        lambda case: admits(
            case.rates.accounts.get(case.asked.account, 0), case.of_account, case.asked.now, case.asked.spends
        ),
        lambda case: _rate(case, case.of_account),
    ),
    Rule(
        "STRATEGY_ORDER_RATE", "strategy", "strategy.orders_per_second, strategy.orders_burst",
        RATE.format("the strategy"),
        "with a burst of 2 at 1 a second, the strategy's third order within a second is refused",
        lambda case: admits(
            case.rates.strategies.get(case.strategy_key, 0), case.of_strategy, case.asked.now, case.asked.spends
        ),
        lambda case: _rate(case, case.of_strategy),
    ),
    Rule(
        "FIRM_ORDER_RATE", "firm", "firm.orders_per_second, firm.orders_burst",
        RATE.format("the firm"),
        "with a burst of 2 at 1 a second, the third order of any account within a second is refused",
        lambda case: admits(case.rates.firm, case.limits.firm, case.asked.now, case.asked.spends),
        lambda case: _rate(case, case.limits.firm),
    ),
    Rule(
        "OPEN_ORDERS", "account", "account.open_orders_max",
        ORDERS.format("the account"),
        "with 1 000 open orders and a limit of 1 000, one more is refused until one is over",
        lambda case: case.book.orders + case.asked.adds <= case.of_account.open_orders_max or not case.asked.adds,
        lambda case: _count(case, case.book.orders, case.of_account.open_orders_max),
    ),
    Rule(
        "STRATEGY_OPEN_ORDERS", "strategy", "strategy.open_orders_max",
        ORDERS.format("the strategy"),
        "with 1 000 open orders and a limit of 1 000, the strategy's next one is refused",
        lambda case: case.strategy.orders + case.asked.adds <= case.of_strategy.open_orders_max or not case.asked.adds,
        lambda case: _count(case, case.strategy.orders, case.of_strategy.open_orders_max),
    ),
    Rule(
        "FIRM_OPEN_ORDERS", "firm", "firm.open_orders_max",
        ORDERS.format("all accounts"),
        "with 10 000 open orders of all accounts and a limit of 10 000, one more of any is refused",
        lambda case: case.firm.orders + case.asked.adds <= case.limits.firm.open_orders_max or not case.asked.adds,
        lambda case: _count(case, case.firm.orders, case.limits.firm.open_orders_max),
    ),
    Rule(
        "NO_MARKET", "order", "order.quote_age_max_ns",
        "the symbol has a quote at the venue, and now - its time <= quote_age_max_ns",
        "with a limit of 5 s, an order is refused 5.1 s after the last quote",
        _has_market,
        _missing_market,
    ),
    Rule(
        "PRICE_COLLAR", "order", "order.price_collar_bps",
        "|price - mid| * 10 000 <= mid * price_collar_bps; for an order with a trigger that takes the place of the mid",
        "at a mid of 100 and 500 bps, a limit of 105 passes and one of 105.01 is refused",
        _is_in_collar,
        lambda case: _numbers(
            price=case.order.price or ZERO, mid=case.middle, limit_bps=case.limits.order.price_collar_bps
        ),
    ),
    Rule(
        "ORDER_QUANTITY", "symbol", "symbol.order_quantity_max",
        "quantity <= order_quantity_max",
        "with a limit of 5, an order for 5.1 is refused",
        lambda case: case.of_symbol.order_quantity_max is None
        or case.order.quantity <= case.of_symbol.order_quantity_max,
        lambda case: _numbers(asked=case.order.quantity, limit=case.of_symbol.order_quantity_max or ZERO),
    ),
    Rule(
        "ORDER_SIZE", "order", "order.notional_max",
        "quantity * price <= notional_max; without a price the trigger counts, without either the mid",
        "with a limit of 50 000, an order for 501 at 100 is refused",
        lambda case: case.worth <= case.limits.order.notional_max,
        lambda case: _numbers(notional=case.worth, limit=case.limits.order.notional_max),
    ),
)  # fmt: skip

# And those for orders that could open or enlarge a position.
OF_OPENING: tuple[Rule, ...] = (
    Rule(
        "ORDER_SHARE", "order", "order.position_percent",
        "quantity * price <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, an order worth 20 001 is refused",
        lambda case: case.worth <= case.limits.order.position_percent * case.hundredth,
        lambda case: _share(case.worth, case.limits.order.position_percent, case.equity),
    ),
    Rule(
        "DRAWDOWN", "account", "account.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the equity of the account",
        "from a peak of 1 000 000, the account opens nothing at an equity of 850 000 and 15 %",
        lambda case: case.book.drawdown < case.of_account.drawdown_percent,
        lambda case: _drawdown(case.book, case.of_account.drawdown_percent),
    ),
    Rule(
        "STRATEGY_DRAWDOWN", "strategy", "strategy.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the account's capital and what the strategy earned",
        "with a capital of 1 000 000, a strategy that earned 100 000 and then lost 165 000 opens nothing at 15 %",
        lambda case: case.strategy.drawdown < case.of_strategy.drawdown_percent,
        lambda case: _drawdown(case.strategy, case.of_strategy.drawdown_percent),
    ),
    Rule(
        "FIRM_DRAWDOWN", "firm", "firm.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the equity of all accounts",
        "from a peak of 3 000 000, no account opens anything at an equity of 2 550 000 and 15 %",
        lambda case: case.firm.drawdown < case.limits.firm.drawdown_percent,
        lambda case: _drawdown(case.firm, case.limits.firm.drawdown_percent),
    ),
    Rule(
        "DAILY_LOSS", "account", "account.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent; start: the equity when the UTC day began",
        "from 1 000 000 at midnight, the account opens nothing at an equity of 950 000 and 5 % until midnight",
        lambda case: case.book.daily_loss < case.of_account.daily_loss_percent or case.is_new_day,
        lambda case: _daily_loss(case.book, case.of_account.daily_loss_percent),
    ),
    Rule(
        "STRATEGY_DAILY_LOSS", "strategy", "strategy.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent, for the account's capital and what the strategy earned",
        "with a capital of 1 000 000, a strategy that lost 100 000 since midnight opens nothing at 10 %",
        lambda case: case.strategy.daily_loss < case.of_strategy.daily_loss_percent or case.is_new_day,
        lambda case: _daily_loss(case.strategy, case.of_strategy.daily_loss_percent),
    ),
    Rule(
        "FIRM_DAILY_LOSS", "firm", "firm.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent, for the equity of all accounts",
        "from 3 000 000 at midnight, no account opens anything at an equity of 2 850 000 and 5 %",
        lambda case: case.firm.daily_loss < case.limits.firm.daily_loss_percent or case.is_new_day,
        lambda case: _daily_loss(case.firm, case.limits.firm.daily_loss_percent),
    ),
    Rule(
        "POSITION_LIMIT", "symbol", "symbol.position_percent",
        "mid * sum over venues of |position if the order and all open ones of the worse side fill|"
        " <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, with 150 held and 40 ordered at 100, an order for 11 is refused",
        lambda case: case.position <= case.of_symbol.position_percent * case.hundredth,
        lambda case: _share(case.position, case.of_symbol.position_percent, case.equity),
    ),
    Rule(
        "STRATEGY_POSITION", "strategy", "strategy.position_percent",
        "the same for what the strategy holds and has ordered, <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, a strategy that holds 150 at 100 may order 50 more and no 51",
        lambda case: case.strategy_position <= case.of_strategy.position_percent * case.hundredth,
        lambda case: _share(case.strategy_position, case.of_strategy.position_percent, case.equity),
    ),
    Rule(
        "FIRM_POSITION", "firm", "firm.position_percent",
        "the same summed over all accounts, whichever side they are on, <= position_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 2 %, with 300 of one account and -90 of another at 100, 11 are refused",
        lambda case: case.firm_position <= case.limits.firm.position_percent * case.firm_hundredth,
        lambda case: _share(case.firm_position, case.limits.firm.position_percent, case.firm_equity),
    ),
    Rule(
        "GROSS_EXPOSURE", "account", "account.gross_percent",
        "sum of |position * mark| + sum of open opening orders at their prices + the order"
        " <= gross_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 20 %, with 120 000 long, 60 000 short and 15 000 ordered, 5 001 are refused",
        lambda case: case.book.gross + case.notional <= case.of_account.gross_percent * case.hundredth,
        lambda case: _share(case.book.gross + case.notional, case.of_account.gross_percent, case.equity),
    ),
    Rule(
        "NET_EXPOSURE", "account", "account.net_percent",
        "|sum of position * mark|, if all open opening orders of the order's side fill, with the order"
        " <= net_percent / 100 * equity of the account; what brings it nearer to zero passes",
        "at an equity of 1 000 000 and 10 %, with 120 000 long and 30 000 short, buying 10 001 is refused",
        lambda case: case.lean + case.notional <= case.of_account.net_percent * case.hundredth,
        lambda case: _share(case.lean + case.notional, case.of_account.net_percent, case.equity),
    ),
    Rule(
        "FIRM_GROSS_EXPOSURE", "firm", "firm.gross_percent",
        "the same as GROSS_EXPOSURE summed over all accounts <= gross_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 20 %, with 390 000 of all accounts, 10 001 more are refused",
        lambda case: case.firm.gross + case.notional
        <= case.limits.firm.gross_percent * case.firm_hundredth,
        lambda case: _share(case.firm.gross + case.notional, case.limits.firm.gross_percent, case.firm_equity),
    ),
    Rule(
        "FIRM_NET_EXPOSURE", "firm", "firm.net_percent",
        "the same as NET_EXPOSURE over all accounts <= net_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 10 %, with 195 000 net long, buying 5 001 is refused",
        lambda case: case.firm_lean + case.notional <= case.limits.firm.net_percent * case.firm_hundredth,
        lambda case: _share(case.firm_lean + case.notional, case.limits.firm.net_percent, case.firm_equity),
    ),
    Rule(
        "CORRELATION", "account", "account.correlation_max",
        "sum of w_i v_i r_is / sqrt(sum of w_i w_j v_i v_j r_ij) <= correlation_max, for a symbol s that is not held;"
        " w: what is held in quote, v: volatilities, r: correlations; the other sign for a sale",
        "with BTC-USDT held long and a correlation of 0.85, buying ETH-USDT is refused at 0.7, selling it is not;"
        " with correlation_action `scale` 10 are cut to 8.23",
        _is_uncorrelated,
        lambda case: _numbers(correlation=_correlation(case) or ZERO, limit=case.of_account.correlation_max),
    ),
)  # fmt: skip

RULES = OF_ALL + OF_OPENING


def _default(field: str) -> str:
    part, _, name = field.partition(".")
    value = getattr(getattr(LimitsDocument(), part), name)
    return plain(value) if isinstance(value, Decimal) else "none" if value is None else str(value)


def _numbers(**values: Decimal | int) -> Numbers:
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}
