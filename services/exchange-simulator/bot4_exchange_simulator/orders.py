"""What does the venue know? Orders, positions, sessions: the truth that its events fold into."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from bot4_common.instruments import Instrument
from bot4_common.messages.market import Quote, SessionMessage
from bot4_common.messages.terms import Order, Side
from bot4_common.messages.venue import VenueOrderState, VenueRequestDelayed
from bot4_common.money import ZERO
from bot4_exchange_simulator.book import Book, Resting

# Finished orders are remembered this long, in orders, for queries and against a second acceptance of the same id.
FINISHED_KEPT = 20_000


class VenueOrder(msgspec.Struct, kw_only=True):
    """A live order of a client. Quantities in base."""

    session: str
    account: str
    venue_order_id: str
    order: Order
    cumulative: Decimal = ZERO

    @property
    def leaves(self) -> Decimal:
        return self.order.quantity - self.cumulative


class Finished(msgspec.Struct):
    state: VenueOrderState
    cumulative: Decimal


class Session(msgspec.Struct):
    """What one client was told: the last number given out, and the messages it has not yet acknowledged."""

    sequence: int = 0
    acknowledged: int = 0
    told: list[SessionMessage] = []


class State:
    """The books are whole numbers of ticks and lots; everything else is exact decimals."""

    def __init__(self, symbols: list[str]) -> None:
        self.books: dict[str, Book] = {symbol: Book() for symbol in symbols}
        # Ids of the market's own quotes in each book.
        self.quoted: dict[str, list[str]] = {symbol: [] for symbol in symbols}
        # Signed lots by symbol and account.
        self.positions: dict[str, dict[str, int]] = {symbol: {} for symbol in symbols}
        self.steps: dict[str, int] = dict.fromkeys(symbols, 0)
        self.next_step_at: dict[str, int] = dict.fromkeys(symbols, 0)
        self.live: dict[str, VenueOrder] = {}
        self.finished: dict[str, Finished] = {}
        self.sessions: dict[str, Session] = {}
        self.delayed: list[VenueRequestDelayed] = []
        self.accepted = 0
        self.traded = 0

    def session(self, name: str) -> Session:
        return self.sessions.get(name) or Session()

    def next_number(self, session: str) -> int:
        return self.session(session).sequence + 1

    def quote(self, venue: str, instrument: Instrument, now: int) -> Quote | None:
        """The top of the book; none while a side is empty."""
        book = self.books[instrument.symbol]
        bids, asks = book.depth("buy", 1), book.depth("sell", 1)
        if not bids or not asks:
            return None
        return Quote(
            venue=venue,
            symbol=instrument.symbol,
            bid=instrument.price(bids[0][0]),
            ask=instrument.price(asks[0][0]),
            bid_quantity=instrument.quantity(bids[0][1]),
            ask_quantity=instrument.quantity(asks[0][1]),
            at=now,
        )

    # Only `evolve` calls what follows.

    def tell(self, message: SessionMessage) -> None:
        session = self.sessions.setdefault(message.session, Session())
        session.sequence = message.session_sequence
        session.told.append(message)

    def acknowledge(self, name: str, number: int) -> None:
        session = self.sessions[name]
        session.told = session.told[number - session.acknowledged :]
        session.acknowledged = number

    def finish(self, child_id: str, state: VenueOrderState) -> None:
        order = self.live.pop(child_id)
        book = self.books[order.order.symbol]
        if book.get(child_id) is not None:
            book.remove(child_id)
        self.forget_oldest()
        self.finished[child_id] = Finished(state, order.cumulative)

    def refuse(self, child_id: str) -> None:
        if child_id not in self.live and child_id not in self.finished:
            self.forget_oldest()
            self.finished[child_id] = Finished("rejected", ZERO)

    def forget_oldest(self) -> None:
        if len(self.finished) >= FINISHED_KEPT:
            del self.finished[next(iter(self.finished))]

    def move(self, symbol: str, account: str, lots: int) -> None:
        positions = self.positions[symbol]
        position = positions.get(account, 0) + lots
        if position:
            positions[account] = position
        else:
            positions.pop(account, None)


class Saved(msgspec.Struct):
    """A state as it stands in a snapshot: the books as their orders, in the order of the queues."""

    books: dict[str, list[tuple[str, str, Side, int, int, bool]]]
    quoted: dict[str, list[str]]
    positions: dict[str, dict[str, int]]
    steps: dict[str, int]
    next_step_at: dict[str, int]
    live: dict[str, VenueOrder]
    finished: dict[str, Finished]
    sessions: dict[str, Session]
    delayed: list[VenueRequestDelayed]
    accepted: int
    traded: int


def save(state: State) -> Saved:
    books = {
        symbol: [
            (rest.order_id, rest.account, rest.side, rest.price, rest.leaves, rest.reduce_only)
            for rest in book.orders()
        ]
        for symbol, book in state.books.items()
    }
    others: dict[str, Any] = {field: getattr(state, field) for field in Saved.__struct_fields__ if field != "books"}
    return Saved(books=books, **others)


def restore(saved: Saved, symbols: list[str]) -> State:
    state = State(symbols)
    for field in Saved.__struct_fields__:
        if field != "books":
            value = getattr(saved, field)
            mine = getattr(state, field)
            # A symbol listed since the snapshot starts empty.
            setattr(state, field, {**mine, **value} if isinstance(mine, dict) else value)
    for symbol, orders in saved.books.items():
        book = state.books.setdefault(symbol, Book())
        for order_id, account, side, price, leaves, reduce_only in orders:
            book.add(Resting(order_id, account, side, price, leaves, reduce_only))
    return state
