"""How is order-matching asked? Orders are placed in batches and matched; here in batches of one."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.metadata import version

from loguru import logger  # type: ignore[import-not-found]
from order_matching.enums import Side  # type: ignore[import-not-found]
from order_matching.executed_trades import ExecutedTrades  # type: ignore[import-not-found]
from order_matching.matching_engine import MatchingEngine  # type: ignore[import-not-found]
from order_matching.order import LimitOrder, MarketOrder, Order  # type: ignore[import-not-found]
from order_matching.orders import Orders  # type: ignore[import-not-found]

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, MARKET, Message, Recording
from benchmarks.engines.script import Call, Script

OPENED = datetime(2026, 1, 1)  # noqa: DTZ001 - it knows no time zones


def prepare(recording: Recording) -> Script:
    logger.remove()  # it tells of every order
    engines = [MatchingEngine(seed=1) for _ in range(recording.symbols)]
    orders: dict[int, Order] = {}
    told: list[ExecutedTrades] = []

    def place(engine: MatchingEngine, number: int, at: datetime, side: Side, size: float, price: float) -> None:
        order = orders[number] = LimitOrder(
            side=side, price=price, size=size, timestamp=at, order_id=str(number), trader_id="a"
        )
        engine.place(Orders([order]))
        told.append(engine.match(at))

    def take(engine: MatchingEngine, number: int, at: datetime, side: Side, size: float, price: float) -> None:
        if price:
            place(engine, number, at, side, size, price)
            order = orders[number]
        else:
            order = MarketOrder(side=side, size=size, timestamp=at, order_id=str(number), trader_id="a")
            engine.place(Orders([order]))
            told.append(engine.match(at))
        if order.size:
            engine.cancel_order(order.order_id)

    def cancel(engine: MatchingEngine, number: int) -> None:
        order = orders.pop(number, None)
        if order is not None and order.size:
            engine.cancel_order(order.order_id)

    def amend(engine: MatchingEngine, number: int, at: datetime, change: float, price: float) -> None:
        order = orders.pop(number, None)
        if order is not None and order.size:
            engine.cancel_order(order.order_id)
            if order.size + change > 0:
                place(engine, number, at, order.side, order.size + change, price or order.price)

    def call(message: Message, at: datetime) -> Call | None:
        engine = engines[message.symbol]
        size, price = float(message.quantity), float(message.price)
        if message.kind == CANCEL:
            return cancel, (engine, message.order)
        if message.kind == AMEND:
            return amend, (engine, message.order, at, float(message.change), price)
        if message.kind == FOK:
            return None
        side = Side.BUY if message.buy else Side.SELL
        return take if message.kind in (MARKET, IOC) else place, (engine, message.order, at, side, size, price)

    def traded() -> tuple[int, int]:
        trades = [trade for executed in told for trade in executed.trades]
        return len(trades), int(sum(trade.size for trade in trades))

    calls = [
        call(message, OPENED + timedelta(microseconds=number)) for number, message in enumerate(recording.messages)
    ]
    return Script(version("order-matching"), calls, traded, told.clear, notes=["amend = cancel and place", "no FOK"])
