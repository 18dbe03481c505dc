"""What are the limits, in words? Each rule that `check` holds an order to, in the order in which it does."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from bot4_common.messages.limits import LimitsDocument
from bot4_common.money import plain


class Rule(NamedTuple):
    """`limit` names the fields of the document; `formula` is what holds of an order that passes."""

    code: str
    scope: Literal["order", "symbol", "strategy", "account", "firm"]
    limit: str
    formula: str
    example: str

    @property
    def default(self) -> str:
        return ", ".join(_default(field) for field in self.limit.split(", "))


def _default(field: str) -> str:
    part, _, name = field.partition(".")
    value = getattr(getattr(LimitsDocument(), part), name)
    return plain(value) if isinstance(value, Decimal) else "none" if value is None else str(value)


RATE = "the bucket of {} holds a token for the order; it holds orders_burst, and each second brings orders_per_second"
ORDERS = "open orders of {}, with this one, <= open_orders_max"

# The rules that hold for every order of a caller, and every amend.
OF_ALL: tuple[Rule, ...] = (
    Rule(
        "ORDER_RATE", "account", "account.orders_per_second, account.orders_burst",
        RATE.format("the account"),
        "with a burst of 1 at 1 a second, the second order within a second is refused",
    ),
    Rule(
        "STRATEGY_ORDER_RATE", "strategy", "strategy.orders_per_second, strategy.orders_burst",
        RATE.format("the strategy"),
        "with a burst of 1 at 1 a second, the strategy's second order within a second is refused",
    ),
    Rule(
        "FIRM_ORDER_RATE", "firm", "firm.orders_per_second, firm.orders_burst",
        RATE.format("the firm"),
        "with a burst of 1 at 1 a second, the second order of any account within a second is refused",
    ),
    Rule(
        "OPEN_ORDERS", "account", "account.open_orders_max",
        ORDERS.format("the account"),
        "with 1 000 open orders and a limit of 1 000, one more is refused until one is over",
    ),
    Rule(
        "STRATEGY_OPEN_ORDERS", "strategy", "strategy.open_orders_max",
        ORDERS.format("the strategy"),
        "with 1 000 open orders and a limit of 1 000, the strategy's next one is refused",
    ),
    Rule(
        "FIRM_OPEN_ORDERS", "firm", "firm.open_orders_max",
        ORDERS.format("all accounts"),
        "with 10 000 open orders of all accounts and a limit of 10 000, one more of any is refused",
    ),
    Rule(
        "NO_MARKET", "order", "order.quote_age_max_ns",
        "the symbol has a quote at the venue, and now - its time <= quote_age_max_ns",
        "with a limit of 5 s, an order is refused 5.1 s after the last quote",
    ),
    Rule(
        "PRICE_COLLAR", "order", "order.price_collar_bps",
        "|price - mid| * 10 000 <= mid * price_collar_bps; for an order with a trigger that takes the place of the mid",
        "at a mid of 100 and 500 bps, a limit of 105 passes and one of 105.01 is refused",
    ),
    Rule(
        "ORDER_QUANTITY", "symbol", "symbol.order_quantity_max",
        "quantity <= order_quantity_max",
        "with a limit of 5, an order for 5.1 is refused",
    ),
    Rule(
        "ORDER_SIZE", "order", "order.notional_max",
        "quantity * price <= notional_max; without a price the trigger counts, without either the mid",
        "with a limit of 50 000, an order for 501 at 100 is refused",
    ),
)  # fmt: skip

# And those for orders that could open or enlarge a position.
OF_OPENING: tuple[Rule, ...] = (
    Rule(
        "ORDER_SHARE", "order", "order.position_percent",
        "quantity * price <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, an order worth 20 001 is refused",
    ),
    Rule(
        "DRAWDOWN", "account", "account.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the equity of the account",
        "from a peak of 1 000 000, the account opens nothing at an equity of 850 000 and 15 %",
    ),
    Rule(
        "STRATEGY_DRAWDOWN", "strategy", "strategy.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the account's capital and what the strategy earned",
        "with a capital of 1 000 000, a strategy that earned 100 000 and then lost 165 000 opens nothing at 15 %",
    ),
    Rule(
        "FIRM_DRAWDOWN", "firm", "firm.drawdown_percent",
        "(peak - equity) / peak * 100 < drawdown_percent, for the equity of all accounts",
        "from a peak of 3 000 000, no account opens anything at an equity of 2 550 000 and 15 %",
    ),
    Rule(
        "DAILY_LOSS", "account", "account.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent; start: the equity when the UTC day began",
        "from 1 000 000 at midnight, the account opens nothing at an equity of 950 000 and 5 % until midnight",
    ),
    Rule(
        "STRATEGY_DAILY_LOSS", "strategy", "strategy.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent, for the account's capital and what the strategy earned",
        "with a capital of 1 000 000, a strategy that lost 100 000 since midnight opens nothing at 10 %",
    ),
    Rule(
        "FIRM_DAILY_LOSS", "firm", "firm.daily_loss_percent",
        "(start - equity) / start * 100 < daily_loss_percent, for the equity of all accounts",
        "from 3 000 000 at midnight, no account opens anything at an equity of 2 850 000 and 5 %",
    ),
    Rule(
        "POSITION_LIMIT", "symbol", "symbol.position_percent",
        "mid * sum over venues of |position if the order and all open ones of the worse side fill|"
        " <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, with 150 held and 40 ordered at 100, an order for 11 is refused",
    ),
    Rule(
        "STRATEGY_POSITION", "strategy", "strategy.position_percent",
        "the same for what the strategy holds and has ordered, <= position_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 2 %, a strategy that holds 150 at 100 may order 50 more and no 51",
    ),
    Rule(
        "FIRM_POSITION", "firm", "firm.position_percent",
        "the same summed over all accounts, whichever side they are on, <= position_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 2 %, with 300 of one account and -90 of another at 100, 11 are refused",
    ),
    Rule(
        "GROSS_EXPOSURE", "account", "account.gross_percent",
        "sum of |position * mark| + sum of open opening orders at their prices + the order"
        " <= gross_percent / 100 * equity of the account",
        "at an equity of 1 000 000 and 20 %, with 120 000 long, 60 000 short and 15 000 ordered, 5 001 are refused",
    ),
    Rule(
        "NET_EXPOSURE", "account", "account.net_percent",
        "|sum of position * mark|, if all open opening orders of the order's side fill, with the order"
        " <= net_percent / 100 * equity of the account; what brings it nearer to zero passes",
        "at an equity of 1 000 000 and 10 %, with 120 000 long and 30 000 short, buying 10 001 is refused",
    ),
    Rule(
        "FIRM_GROSS_EXPOSURE", "firm", "firm.gross_percent",
        "the same as GROSS_EXPOSURE summed over all accounts <= gross_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 20 %, with 390 000 of all accounts, 10 001 more are refused",
    ),
    Rule(
        "FIRM_NET_EXPOSURE", "firm", "firm.net_percent",
        "the same as NET_EXPOSURE over all accounts <= net_percent / 100 * equity of the firm",
        "at a firm's equity of 2 000 000 and 10 %, with 195 000 net long, buying 5 001 is refused",
    ),
    Rule(
        "CORRELATION", "account", "account.correlation_max",
        "sum of w_i v_i r_is / sqrt(sum of w_i w_j v_i v_j r_ij) <= correlation_max, for a symbol s that is not held;"
        " w: what is held in quote, v: volatilities, r: correlations; the other sign for a sale",
        "with BTC-USDT held long and a correlation of 0.85, buying ETH-USDT is refused at 0.7, selling it is not;"
        " with correlation_action `scale` 10 are cut to 8.23",
    ),
)  # fmt: skip

RULES = OF_ALL + OF_OPENING
