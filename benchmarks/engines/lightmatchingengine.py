"""How is lightmatchingengine asked? It adds and cancels; what a market order leaves it would let rest, at no price."""

from __future__ import annotations

from importlib.metadata import version

from lightmatchingengine.lightmatchingengine import (  # type: ignore[import-not-found]
    LightMatchingEngine,
    Order,
    Side,
    Trade,
)

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, MARKET, Message, Recording
from benchmarks.engines.script import Call, Script


def prepare(recording: Recording) -> Script:
    engine = LightMatchingEngine()
    add_order, cancel_order = engine.add_order, engine.cancel_order
    orders: dict[int, Order] = {}
    told: list[list[Trade]] = []

    def place(number: int, symbol: str, price: int, lots: int, side: int) -> None:
        orders[number], trades = add_order(symbol, price, lots, side)
        told.append(trades)

    def take(symbol: str, price: int, lots: int, side: int) -> None:
        order, trades = add_order(symbol, price, lots, side)
        told.append(trades)
        if order.leaves_qty:
            cancel_order(order.order_id, symbol)

    def cancel(number: int, symbol: str) -> None:
        order = orders.pop(number, None)
        if order is not None and order.leaves_qty:
            cancel_order(order.order_id, symbol)

    def amend(number: int, symbol: str, price: int, change: int) -> None:
        order = orders.pop(number, None)
        if order is not None and order.leaves_qty:
            left = order.leaves_qty  # cancelled, it has none
            cancel_order(order.order_id, symbol)
            if left + change > 0:
                place(number, symbol, price or order.price, left + change, order.side)

    def call(message: Message) -> Call | None:
        symbol = f"S{message.symbol}"
        if message.kind == CANCEL:
            return cancel, (message.order, symbol)
        if message.kind == AMEND:
            return amend, (message.order, symbol, message.price, message.change)
        if message.kind == FOK:
            return None
        terms = (symbol, message.price, message.quantity, Side.BUY if message.buy else Side.SELL)
        return (take, terms) if message.kind in (MARKET, IOC) else (place, (message.order, *terms))

    def traded() -> tuple[int, int]:
        # Of each trade it tells twice: once for who takes, and once for each who is met.
        lots = sum(trade.trade_qty for trades in told for trade in trades)
        return sum(len(trades) for trades in told), lots // 2

    calls = [call(message) for message in recording.messages]
    notes = ["amend = cancel and place", "no FOK", "trades are told of both sides"]
    return Script(version("lightmatchingengine"), calls, traded, told.clear, notes=notes)
