"""How is pyorderbook asked? It knows limit orders only; one that takes has a limit that it does not rest at."""

from __future__ import annotations

from importlib.metadata import version

from pyorderbook import Book, Order, Side, Trade  # type: ignore[import-not-found]

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, MARKET, Message, Recording
from benchmarks.engines.script import Call, Script

# Beyond any price of the mix.
ANY_PRICE = {True: 10_000_000, False: 1}


def prepare(recording: Recording) -> Script:
    book = Book()
    match, cancel_order = book.match, book.cancel
    orders: dict[int, Order] = {}
    told: list[list[Trade]] = []

    def place(number: int, side: Side, symbol: str, price: int, lots: int) -> None:
        order = orders[number] = Order(side, symbol, price, lots)
        told.append(match(order).trades)

    def take(side: Side, symbol: str, price: int, lots: int) -> None:
        order = Order(side, symbol, price, lots)
        told.append(match(order).trades)
        if order is not None and order.quantity:
            cancel_order(order)

    def cancel(number: int) -> None:
        order = orders.pop(number, None)
        if order is not None and order.quantity:
            cancel_order(order)

    def amend(number: int, price: int, change: int) -> None:
        order = orders.pop(number, None)
        if order is not None and order.quantity:
            cancel_order(order)
            if order.quantity + change > 0:
                place(number, order.side, order.symbol, price or order.price, order.quantity + change)

    def call(message: Message) -> Call | None:
        if message.kind == CANCEL:
            return cancel, (message.order,)
        if message.kind == AMEND:
            return amend, (message.order, message.price, message.change)
        if message.kind == FOK:
            return None
        price = message.price or ANY_PRICE[message.buy]
        terms = (Side.BID if message.buy else Side.ASK, f"S{message.symbol}", price, message.quantity)
        return (take, terms) if message.kind in (MARKET, IOC) else (place, (message.order, *terms))

    def traded() -> tuple[int, int]:
        return sum(len(trades) for trades in told), sum(trade.fill_quantity for trades in told for trade in trades)

    calls = [call(message) for message in recording.messages]
    notes = ["amend = cancel and place", "no FOK", "market = limit far away"]
    return Script(version("pyorderbook"), calls, traded, told.clear, notes=notes)
