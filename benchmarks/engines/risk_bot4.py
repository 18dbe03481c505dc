"""How is this project's risk asked? Its check, with every limit on, statistics published, marks once in a while."""

from __future__ import annotations

from decimal import Decimal

from benchmarks.engines.asked import MID, STRATEGIES, Order, Recording
from benchmarks.engines.checks import Checks
from bot4_common.messages import terms
from bot4_common.messages.limits import AccountLimits, FirmLimits, LimitsDocument, StrategyLimits, SymbolLimits
from bot4_common.messages.risk import CorrelationsAdopted
from bot4_risk import check as check_module
from bot4_risk.check import Asked, check
from bot4_risk.correlation import Correlations
from bot4_risk.exposure import DAY_NS, Ledger
from bot4_risk.limits import Limits
from bot4_risk.rates import SECOND_NS, Rates

ACCOUNT, VENUE = "ann", "sim"
TICK, LOT = Decimal("0.01"), Decimal("0.0001")
NOW = 20_000 * DAY_NS
OPEN_ORDERS_MAX = 100_000
# Marks are taken once a second; so many orders come in that time.
ORDERS_PER_S = 1_000


def symbol(number: int) -> str:
    return f"S{number}-USDT"


def strategy(number: int) -> str:
    return f"strategy-{number}"


def document(symbols: int) -> LimitsDocument:
    """Each symbol, strategy and account has a part of its own, and all limits are on; nobody comes near them."""
    return LimitsDocument(
        symbols={symbol(number): SymbolLimits(order_quantity_max=Decimal(1)) for number in range(symbols)},
        strategies={
            f"{ACCOUNT}/{strategy(number)}": StrategyLimits(open_orders_max=OPEN_ORDERS_MAX)
            for number in range(STRATEGIES)
        },
        accounts={ACCOUNT: AccountLimits(correlation_max=Decimal(1), open_orders_max=OPEN_ORDERS_MAX)},
        firm=FirmLimits(open_orders_max=OPEN_ORDERS_MAX),
    )


def statistics(symbols: int) -> CorrelationsAdopted:
    return CorrelationsAdopted(
        version=1,
        symbols=[symbol(number) for number in range(symbols)],
        correlations=[[Decimal(1) if a == b else Decimal("0.6") for a in range(symbols)] for b in range(symbols)],
        volatilities=[Decimal("0.005")] * symbols,
    )


class Desk:
    def __init__(self, recording: Recording) -> None:
        self.document = document(recording.symbols)
        self.limits = Limits(self.document)
        self.ledger = Ledger()
        self.ledger.adopt(self.document)
        self.rates = Rates()
        self.correlations = Correlations(statistics(recording.symbols))
        for each in recording.held:
            self.fill(each)
        for each in recording.resting:
            self.reserve(each, 1)
        self.mark(0)

    def fill(self, order: Order) -> None:
        change = terms.signed("buy" if order.buy else "sell", order.quantity * LOT)
        name = strategy(order.strategy)
        self.ledger.fill(ACCOUNT, name, VENUE, symbol(order.symbol), change, order.price * TICK)

    def reserve(self, order: Order, sign: int) -> None:
        change, price, name = sign * order.quantity * LOT, order.price * TICK, strategy(order.strategy)
        side: terms.Side = "buy" if order.buy else "sell"
        self.ledger.reserve(ACCOUNT, name, VENUE, symbol(order.symbol), side, change, price)
        self.ledger.count(ACCOUNT, name, sign)

    def mark(self, number: int) -> None:
        """Everything that is held has moved by some ticks."""
        mid = (MID + number % 7) * TICK
        self.ledger.mark(dict.fromkeys(self.ledger.markets_held(), mid), NOW + number)


def prepare(recording: Recording) -> Checks:
    desk = Desk(recording)

    def asks(number: int) -> tuple[Asked, Ledger, Rates, Limits, Correlations]:
        if number % ORDERS_PER_S == 0:
            desk.mark(number)
        asked = _asked(number, recording.asked[number % len(recording.asked)])
        return asked, desk.ledger, desk.rates, desk.limits, desk.correlations

    def approve(number: int) -> None:
        """Reserved, counted, and taken back: what becomes of an order that passes, and then is over."""
        order = recording.asked[number % len(recording.asked)]
        desk.reserve(order, 1)
        desk.rates.spend(ACCOUNT, strategy(order.strategy), NOW + number, desk.document)
        desk.reserve(order, -1)

    def fill(number: int) -> None:
        """And its opposite, every other time."""
        order = recording.asked[number // 2 % len(recording.asked)]
        desk.fill(order._replace(buy=order.buy == (number % 2 == 0)))

    others = {"an order reserved, counted and over": approve, "a fill": fill, "marks": desk.mark}
    runs_as = "pure Python" if check_module.__file__.endswith(".py") else "compiled"
    return Checks("", asks, check, lambda refusal: refusal is None, [runs_as], others)


def _asked(number: int, order: Order) -> Asked:
    placed = terms.Order(
        client_order_id=f"order-{number}",
        symbol=symbol(order.symbol),
        side="buy" if order.buy else "sell",
        type="limit",
        quantity=order.quantity * LOT,
        price=order.price * TICK,
        strategy=strategy(order.strategy),
        stop_loss=(MID // 2 if order.buy else MID * 2) * TICK,
        venue=VENUE,
    )
    now = NOW + number * SECOND_NS // ORDERS_PER_S
    return Asked(ACCOUNT, placed, placed.quantity, MID * TICK, True, now, now)
