"""What does the venue know? Its matching engine, what its clients asked, and what each of them was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from bot4_common.instruments import Instrument
from bot4_common.messages.market import Quote, SessionMessage
from bot4_common.messages.terms import Order
from bot4_common.messages.venue import (
    VenueFilled,
    VenueFillWithheld,
    VenueListEntered,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderState,
    VenueRequestDelayed,
)
from bot4_common.money import ZERO
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.events import Event as EngineEvent
from bot4_exchange_simulator.engine.image import Image, image
from bot4_exchange_simulator.engine.image import restore as restore_engine
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.faults import Spell, held_after
from bot4_exchange_simulator.limits import Door
from bot4_exchange_simulator.matching import admit_market, list_instruments

# What a session is told. A set is asked in one look, a union member by member, and every event is asked.
TOLD: Final = frozenset(SessionMessage.__args__)
# What ends an order besides its last fill.
ENDS: Final = (VenueOrderCancelled, VenueOrderExpired)

# Finished orders are remembered this long, in orders, for queries and against a second acceptance of the same id. As
# many lists are, so that no id of one is taken twice.
FINISHED_KEPT = 20_000


class VenueOrder(msgspec.Struct, kw_only=True):
    """A client's order that is not over. `order` is as asked, at the price it has by now; `quantity` is its total, as
    asked, amended and trimmed since. Quantities are in base."""

    session: str
    account: str
    order: Order
    quantity: Decimal
    cumulative: Decimal = ZERO
    # What self-trade prevention took.
    prevented: Decimal = ZERO
    # Empty until it is accepted.
    venue_order_id: str = ""

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.cumulative - self.prevented


class Finished(msgspec.Struct):
    state: VenueOrderState
    cumulative: Decimal


class Session(msgspec.Struct):
    """What one client was told: the last number given out, and the messages it has not yet acknowledged."""

    sequence: int = 0
    acknowledged: int = 0
    told: list[SessionMessage] = []


class State:
    """The engine has the books and positions, in whole ticks and lots; everything else is exact decimals."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # What the engine said to the last command: to be told before the next one. Not part of what is kept.
        self.happened: list[EngineEvent] = []
        self.steps: dict[str, int] = dict.fromkeys(engine.markets, 0)
        self.next_step_at: dict[str, int] = dict.fromkeys(engine.markets, 0)
        self.live: dict[str, VenueOrder] = {}
        self.finished: dict[str, Finished] = {}
        # The legs' ids by the id of their list, over or not.
        self.lists: dict[str, list[str]] = {}
        self.sessions: dict[str, Session] = {}
        # Fills that their sessions are not told yet, by order; of each account's in a market there is one at most.
        self.withheld: dict[str, VenueFillWithheld] = {}
        self.delayed: list[VenueRequestDelayed] = []
        # When the market first and last took a step (ns).
        self.opened_at = 0
        self.stepped_at = 0
        # Faults that last, those that are over among them until the next one begins; and the quotes as they stood when
        # the book last went stale.
        self.spells: list[Spell] = []
        self.stale_quotes: dict[str, Quote] = {}
        # What each session has asked for, where that is limited.
        self.door = Door()
        self.accepted = 0
        self.traded = 0

    def session(self, name: str) -> Session:
        return self.sessions.get(name) or Session()

    def header(self, session: str, account: str, child_id: str, at: int) -> dict[str, Any]:
        """What every message to a session says, the next number of its feed among it."""
        number = self.session(session).sequence + 1
        return {"session": session, "session_sequence": number, "account": account, "child_id": child_id, "at": at}

    def told_before(self, message: SessionMessage) -> list[VenueFilled]:
        """The withheld fills that have to be told before the message. What says how much is left of an order says it
        of what was told; only an order's end may overtake its fill. And the fills of an account in a market are told in
        the order of their trades: what reduces a position must never seem to open one."""
        if isinstance(message, ENDS):
            return []
        return [
            withheld.fill
            for child_id, withheld in self.withheld.items()
            if child_id == message.child_id
            or (isinstance(message, VenueFilled) and _is_of_same(message, withheld.fill))
        ]

    def knows(self, child_id: str) -> bool:
        return child_id in self.live or child_id in self.finished

    def quote(self, venue: str, instrument: Instrument, now: int) -> Quote | None:
        """The top of the book; none while a side is empty."""
        market = self.engine.markets[instrument.symbol]
        bids, asks = market.bids.depth(1), market.asks.depth(1)
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

    def is_stale(self, now: int) -> bool:
        return any(spell.kind == "stale_book" and spell.lasts(now) for spell in self.spells)

    def stale_quote(self, symbol: str, now: int) -> Quote | None:
        """The prices of when the book went stale, told as if they were those of now."""
        quote = self.stale_quotes.get(symbol)
        return None if quote is None else msgspec.structs.replace(quote, at=now)

    # Only `evolve` calls what follows.

    def begin(self, spell: Spell, quotes: Iterable[Quote | None]) -> None:
        """`quotes` are those of this moment, which a stale book goes on showing."""
        if spell.kind == "stale_book" and not self.is_stale(spell.since):
            self.stale_quotes = {quote.symbol: quote for quote in quotes if quote is not None}
        self.spells = held_after(self.spells, spell)

    def collect(self) -> None:
        """What the engine has just said is what happened last."""
        self.happened, self.engine.events = self.engine.events, []

    def enter(self, entered: VenueOrderEntered | VenueListEntered, child_id: str, order: Order) -> None:
        self.live[child_id] = VenueOrder(
            session=entered.session, account=entered.account, order=order, quantity=order.quantity
        )

    def enter_list(self, entered: VenueListEntered) -> None:
        for leg in entered.legs:
            self.enter(entered, leg.child_id, leg.order)
        _forget_oldest(self.lists)
        self.lists[entered.list_id] = [leg.child_id for leg in entered.legs]

    def withhold(self, withheld: VenueFillWithheld) -> None:
        fill = withheld.fill
        self.live[fill.child_id].cumulative = fill.cumulative
        self.withheld[fill.child_id] = withheld

    def fill(self, filled: VenueFilled) -> None:
        if self.withheld.pop(filled.child_id, None) is not None:
            return  # it counts since it was withheld
        self.live[filled.child_id].cumulative = filled.cumulative
        if not filled.leaves:
            self.finish(filled.child_id, "filled")

    def amend(self, amended: VenueOrderAmended) -> None:
        order = self.live[amended.child_id]
        order.order = msgspec.structs.replace(order.order, price=amended.price)
        order.quantity = amended.quantity

    def accept(self, child_id: str, venue_order_id: str) -> None:
        self.accepted += 1
        self.live[child_id].venue_order_id = venue_order_id

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
        self._remember(child_id, Finished(state, order.cumulative))

    def refuse(self, child_id: str) -> None:
        """An id that is live or was used stays what it is."""
        order = self.live.get(child_id)
        if order is not None and not order.venue_order_id:
            del self.live[child_id]
        if child_id not in self.live and child_id not in self.finished:
            self._remember(child_id, Finished("rejected", ZERO))

    def _remember(self, child_id: str, finished: Finished) -> None:
        _forget_oldest(self.finished)
        self.finished[child_id] = finished


def _is_of_same(fill: VenueFilled, other: VenueFilled) -> bool:
    """Account and market."""
    return (fill.account, fill.symbol) == (other.account, other.symbol)


def _forget_oldest(remembered: dict[str, Any]) -> None:
    if len(remembered) >= FINISHED_KEPT:
        del remembered[next(iter(remembered))]


class Saved(msgspec.Struct):
    """A state as it stands in a snapshot."""

    engine: Image
    steps: dict[str, int]
    next_step_at: dict[str, int]
    live: dict[str, VenueOrder]
    finished: dict[str, Finished]
    sessions: dict[str, Session]
    delayed: list[VenueRequestDelayed]
    opened_at: int
    stepped_at: int
    spells: list[Spell]
    stale_quotes: dict[str, Quote]
    door: Door
    accepted: int
    traded: int
    lists: dict[str, list[str]] = {}
    withheld: dict[str, VenueFillWithheld] = {}


def save(state: State) -> Saved:
    others: dict[str, Any] = {field: getattr(state, field) for field in Saved.__struct_fields__ if field != "engine"}
    return Saved(engine=image(state.engine), **others)


def opened(profile: Profile, instruments: Mapping[str, Instrument]) -> State:
    """A venue where nothing has happened."""
    engine = Engine(profile)
    admit_market(engine)
    list_instruments(engine, instruments)
    return State(engine)


def restore(saved: Saved, profile: Profile, instruments: Mapping[str, Instrument]) -> State:
    engine = restore_engine(saved.engine, profile)
    list_instruments(engine, instruments)
    state = State(engine)
    for field in Saved.__struct_fields__:
        if field != "engine":
            value = getattr(saved, field)
            mine = getattr(state, field)
            # A symbol listed since the snapshot starts empty.
            setattr(state, field, {**mine, **value} if isinstance(mine, dict) else value)
    return state
