"""How is NautilusTrader asked? Its matching engine for one instrument, without the engines around it.

There the orders of a trader meet market data, not each other. So whenever the touch of the recording has moved, it is
told a quote; that, and making the orders, is not measured. Events are applied to their orders and collected.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from importlib.metadata import version

from nautilus_trader.backtest.engine import OrderMatchingEngine  # type: ignore[import-not-found]
from nautilus_trader.backtest.models import FillModel, MakerTakerFeeModel  # type: ignore[import-not-found]
from nautilus_trader.cache.cache import Cache  # type: ignore[import-not-found]
from nautilus_trader.common.component import MessageBus, TestClock  # type: ignore[import-not-found]
from nautilus_trader.core.uuid import UUID4  # type: ignore[import-not-found]
from nautilus_trader.execution.messages import CancelOrder, ModifyOrder  # type: ignore[import-not-found]
from nautilus_trader.model import identifiers  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import BTC, USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import QuoteTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import (  # type: ignore[import-not-found]
    AccountType,
    BookType,
    OmsType,
    OrderSide,
    TimeInForce,
)
from nautilus_trader.model.events import OrderEvent, OrderFilled, OrderSubmitted  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import CurrencyPair  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Price, Quantity  # type: ignore[import-not-found]
from nautilus_trader.model.orders import LimitOrder, MarketOrder, Order  # type: ignore[import-not-found]

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, LIMIT, MARKET, POST_ONLY, Message, Recording
from benchmarks.engines.script import Call, Script

TRADER = identifiers.TraderId("TRADER-1")
STRATEGY = identifiers.StrategyId("S-1")
ACCOUNT = identifiers.AccountId("SIM-1")
TIMES_IN_FORCE = {IOC: TimeInForce.IOC, FOK: TimeInForce.FOK, LIMIT: TimeInForce.GTC, POST_ONLY: TimeInForce.GTC}
# What each quote offers: enough for every order that takes.
OFFERED = Quantity(100_000, 0)


class Venue:
    """The matching engines of all instruments, and the orders that they were sent."""

    def __init__(self, symbols: int) -> None:
        self.clock = TestClock()
        self.orders: dict[identifiers.ClientOrderId, Order] = {}
        self.told: list[OrderEvent] = []
        bus = MessageBus(TRADER, self.clock)
        bus.register("ExecEngine.process", self._hear)
        cache = Cache()
        self.instruments = [instrument(number) for number in range(symbols)]
        self.engines = [
            OrderMatchingEngine(
                instrument=each,
                raw_id=number,
                fill_model=FillModel(),
                fee_model=MakerTakerFeeModel(),
                book_type=BookType.L1_MBP,
                oms_type=OmsType.NETTING,
                account_type=AccountType.MARGIN,
                msgbus=bus,
                cache=cache,
                clock=self.clock,
            )
            for number, each in enumerate(self.instruments)
        ]

    def _hear(self, event: OrderEvent) -> None:
        self.told.append(event)
        order = self.orders.get(event.client_order_id)
        if order is not None:
            order.apply(event)

    def call(self, message: Message) -> Call:
        engine = self.engines[message.symbol]
        instrument_id = self.instruments[message.symbol].id
        id = identifiers.ClientOrderId(f"O-{message.order}")
        price = Price(message.price, 0) if message.price else None
        quantity = Quantity(message.quantity, 0) if message.quantity else None
        if message.kind == CANCEL:
            return engine.process_cancel, (
                CancelOrder(TRADER, STRATEGY, instrument_id, id, None, UUID4(), 0),
                ACCOUNT,
            )
        if message.kind == AMEND:
            return engine.process_modify, (
                ModifyOrder(TRADER, STRATEGY, instrument_id, id, None, quantity, price, None, UUID4(), 0),
                ACCOUNT,
            )
        named = (TRADER, STRATEGY, instrument_id, id, OrderSide.BUY if message.buy else OrderSide.SELL, quantity)
        if message.kind == MARKET:
            order = MarketOrder(*named, UUID4(), 0)
        else:
            order = LimitOrder(
                *named,
                price,
                UUID4(),
                0,
                time_in_force=TIMES_IN_FORCE[message.kind],
                post_only=message.kind == POST_ONLY,
            )
        order.apply(OrderSubmitted(TRADER, STRATEGY, instrument_id, id, ACCOUNT, UUID4(), 0, 0))
        self.orders[id] = order
        return engine.process_order, (order, ACCOUNT)

    def quote(self, symbol: int, bid: int, ask: int) -> None:
        tick = QuoteTick(self.instruments[symbol].id, Price(bid, 0), Price(ask, 0), OFFERED, OFFERED, 0, 0)
        self.engines[symbol].process_quote_tick(tick)


def instrument(number: int) -> CurrencyPair:
    symbol = identifiers.Symbol(f"S{number}")
    return CurrencyPair(
        instrument_id=identifiers.InstrumentId(symbol, identifiers.Venue("SIM")),
        raw_symbol=symbol,
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=0,
        size_precision=0,
        price_increment=Price(1, 0),
        size_increment=Quantity(1, 0),
        ts_event=0,
        ts_init=0,
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


def prepare(recording: Recording) -> Script:
    venue = Venue(recording.symbols)
    before = {}
    touches: dict[int, tuple[int, int]] = {}
    for number, message in enumerate(recording.messages):
        touch = (message.bid, message.ask)
        if number >= recording.opening and all(touch) and touches.get(message.symbol) != touch:
            touches[message.symbol] = touch
            before[number] = partial(venue.quote, message.symbol, *touch)

    def traded() -> tuple[int, int]:
        lots = [int(event.last_qty) for event in venue.told if isinstance(event, OrderFilled)]
        return len(lots), sum(lots)

    notes = ["takes from quotes, not from its orders", "orders made beforehand", "quotes not measured"]
    calls: list[Call | None] = [venue.call(message) for message in recording.messages]
    return Script(version("nautilus_trader"), calls, traded, venue.told.clear, before, notes)
