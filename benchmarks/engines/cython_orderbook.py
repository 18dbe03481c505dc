"""How is cython-orderbook asked? A book for each symbol, which keeps a log of its trades."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import version

from cython_orderbook import Order, OrderBook, OrderSide  # type: ignore[import-not-found]

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, MARKET, Message, Recording
from benchmarks.engines.script import Call, Script


def prepare(recording: Recording) -> Script:
    books = [OrderBook() for _ in range(recording.symbols)]
    orders: dict[int, Order] = {}

    def place(number: int, book: OrderBook, side: OrderSide, lots: int, price: Decimal) -> None:
        order = orders[number] = Order(side, lots, price)
        book.add_limit_order(order)

    def take(book: OrderBook, side: OrderSide, lots: int, price: Decimal | None) -> None:
        order = Order(side, lots, price)
        if price is None:
            book.add_market_order(order)
            return
        book.add_limit_order(order)
        if order.remaining_quantity:
            book.cancel_order(order.order_id)

    def cancel(number: int, book: OrderBook) -> None:
        order = orders.pop(number, None)
        if order is not None and order.remaining_quantity:
            book.cancel_order(order.order_id)

    def amend(number: int, book: OrderBook, change: int, price: Decimal | None) -> None:
        order = orders.pop(number, None)
        if order is not None and order.remaining_quantity:
            book.cancel_order(order.order_id)
            left = order.remaining_quantity + change
            if left > 0:
                place(number, book, order.side, left, order.price if price is None else price)

    def call(message: Message) -> Call | None:
        book = books[message.symbol]
        price = Decimal(message.price) if message.price else None
        if message.kind == CANCEL:
            return cancel, (message.order, book)
        if message.kind == AMEND:
            return amend, (message.order, book, message.change, price)
        if message.kind == FOK:
            return None
        terms = (book, OrderSide.BID if message.buy else OrderSide.ASK, message.quantity, price)
        return (take, terms) if message.kind in (MARKET, IOC) else (place, (message.order, *terms))

    def traded() -> tuple[int, int]:
        lots = [trade.quantity_filled for book in books for trade in book.trade_log]
        return len(lots), sum(lots)

    def clear() -> None:
        for book in books:
            book.trade_log.clear()

    calls = [call(message) for message in recording.messages]
    notes = ["amend = cancel and place", "no FOK"]
    return Script(version("cython-orderbook"), calls, traded, clear, notes=notes)
