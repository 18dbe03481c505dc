"""How is NautilusTrader's risk asked? Its risk engine with a cash account, for which it checks most, and a notional
limit for each instrument. What it lets pass goes to an endpoint that counts it."""

from __future__ import annotations

from importlib.metadata import version

from nautilus_trader.accounting.accounts.cash import CashAccount  # type: ignore[import-not-found]
from nautilus_trader.cache.cache import Cache  # type: ignore[import-not-found]
from nautilus_trader.common.component import MessageBus, TestClock  # type: ignore[import-not-found]
from nautilus_trader.core.uuid import UUID4  # type: ignore[import-not-found]
from nautilus_trader.execution.messages import SubmitOrder  # type: ignore[import-not-found]
from nautilus_trader.model import identifiers  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import BTC, USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import QuoteTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import AccountType, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.events import AccountState  # type: ignore[import-not-found]
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity  # type: ignore[import-not-found]
from nautilus_trader.model.orders import LimitOrder  # type: ignore[import-not-found]
from nautilus_trader.portfolio.portfolio import Portfolio  # type: ignore[import-not-found]
from nautilus_trader.risk.config import RiskEngineConfig  # type: ignore[import-not-found]
from nautilus_trader.risk.engine import RiskEngine  # type: ignore[import-not-found]

from benchmarks.engines.asked import MID, Order, Recording
from benchmarks.engines.checks import Checks
from benchmarks.engines.nautilus import ACCOUNT, TRADER, instrument

# A thousand orders come in a second, and more would be let through.
STEP_NS = 1_000_000
RATE = "2000/00:00:01"
NOTIONAL_MAX = 10**9
BALANCE = 10**9


def prepare(recording: Recording) -> Checks:
    clock, cache = TestClock(), Cache()
    bus = MessageBus(TRADER, clock)
    instruments = [instrument(number) for number in range(recording.symbols)]
    for each in instruments:
        cache.add_instrument(each)
        cache.add_quote_tick(
            QuoteTick(each.id, Price(MID - 1, 0), Price(MID + 1, 0), Quantity(1, 0), Quantity(1, 0), 0, 0)
        )
    cache.add_account(_account())
    limits = {str(each.id): NOTIONAL_MAX for each in instruments}
    config = RiskEngineConfig(max_order_submit_rate=RATE, max_notional_per_order=limits)
    engine = RiskEngine(portfolio=Portfolio(bus, cache, clock), msgbus=bus, cache=cache, clock=clock, config=config)
    passed: list[SubmitOrder] = []
    bus.register("ExecEngine.execute", passed.append)

    def submit(number: int, order: Order) -> SubmitOrder:
        name = identifiers.StrategyId(f"S-{order.strategy}")
        made = LimitOrder(
            TRADER,
            name,
            instruments[order.symbol].id,
            identifiers.ClientOrderId(f"O-{number}"),
            OrderSide.BUY if order.buy else OrderSide.SELL,
            Quantity(order.quantity, 0),
            Price(order.price, 0),
            UUID4(),
            0,
        )
        return SubmitOrder(TRADER, name, made, UUID4(), 0)

    for number, order in enumerate(recording.resting, start=1):
        cache.add_order(submit(-number, order).order)

    def asks(number: int) -> tuple[SubmitOrder]:
        clock.set_time(number * STEP_NS)
        return (submit(number, recording.asked[number % len(recording.asked)]),)

    def passes(_: object) -> bool:
        return bool(passed) and passed.pop() is not None

    notes = ["precision, price, size, notional, free balance, rate; no positions, exposures, losses or correlations"]
    return Checks(version("nautilus_trader"), asks, engine.execute, passes, notes)


def _account() -> CashAccount:
    balances = [AccountBalance(Money(BALANCE, each), Money(0, each), Money(BALANCE, each)) for each in (BTC, USDT)]
    state = AccountState(ACCOUNT, AccountType.CASH, None, True, balances, [], {}, UUID4(), 0, 0)
    return CashAccount(state)
