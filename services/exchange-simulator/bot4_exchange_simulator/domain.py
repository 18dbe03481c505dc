"""The venue: what becomes of a request, and what is each client told?

Requests are matched in the order they reach the engine. The rest of the market follows a tape: it requotes step by
step, and its takers trade with whoever rests at the touch. All that happens is an event of the truth; what a client
is told is numbered per session, and what goes wrong on the way to it is an event as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from bot4_common import streams
from bot4_common.decider import Emit, Heard, Outgoing
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument, check
from bot4_common.messages.execution import CancelSent, OrderSent, QuerySent, ResendRequested
from bot4_common.messages.frame import Frame
from bot4_common.messages.market import SessionHeartbeat, SessionMessage, Spoken, Tick
from bot4_common.messages.terms import Event, Order, Side, opposite
from bot4_common.messages.venue import (
    FeedFault,
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderRejected,
    VenueOrderRested,
    VenueOrderStatus,
    VenueQuotesMoved,
    VenueQuotesPulled,
    VenueRequestArrived,
    VenueRequestDelayed,
    VenueResent,
    VenueSessionAcknowledged,
    VenueTraded,
)
from bot4_common.money import ZERO
from bot4_exchange_simulator.book import Drop, Match, Resting
from bot4_exchange_simulator.faults import Line
from bot4_exchange_simulator.liquidity import STEP_NS, Liquidity
from bot4_exchange_simulator.orders import Saved, State, VenueOrder, restore, save

# The account of everybody who is not a client.
MARKET = "market"
# A client's progress is taken note of every so many messages: what it has need not be kept for it.
ACKNOWLEDGE_EVERY = 256

Request = OrderSent | CancelSent | QuerySent


class Venue:
    """The decider of one venue. `liquidity` by symbol is what the rest of the market does."""

    def __init__(
        self, name: str, instruments: Mapping[str, Instrument], liquidity: Mapping[str, Liquidity], line: Line
    ) -> None:
        self._name = name
        self._instruments = instruments
        self._liquidity = liquidity
        self._line = line

    def initial(self) -> State:
        return State(list(self._instruments))

    def deadline(self, state: State) -> int | None:
        due = [request.due_at for request in state.delayed]
        due += [state.next_step_at[symbol] for symbol in self._liquidity]
        return min(due, default=None)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderSent() | CancelSent() | QuerySent() as request if request.venue == self._name:
                assert heard.id is not None
                self._enter(state, heard.id.stream, request, heard.at, emit)
            case ResendRequested() as request if request.venue == self._name:
                through = state.session(request.session).sequence
                if through >= request.session_sequence:
                    emit(
                        VenueResent(session=request.session, session_sequence=request.session_sequence, through=through)
                    )
            case Tick() as tick:
                self._admit(state, tick.at, emit)
                for symbol, liquidity in self._liquidity.items():
                    if state.next_step_at[symbol] <= tick.at:
                        self._step(state, self._instruments[symbol], liquidity, tick.at, emit)
            case event if heard.id is not None and getattr(event, "venue", None) == self._name:
                number, session = getattr(event, "session_sequence", 0), state.session(heard.id.stream)
                if session.acknowledged + ACKNOWLEDGE_EVERY <= number <= session.sequence:
                    emit(VenueSessionAcknowledged(session=heard.id.stream, session_sequence=number))

    def _enter(self, state: State, session: str, request: Request, now: int, emit: Emit) -> None:
        """A request on its way in: lost, delayed, or there at once."""
        key = f"{type(request).__name__}/{request.child_id}/{request.sent_at}"
        if self._line.drops_request(key):
            emit(FeedFault(session=session, kind="drop_request", child_id=request.child_id))
            return
        delay = self._line.entry_ns(key)
        if delay:
            emit(VenueRequestDelayed(session=session, request=request, due_at=now + delay))
            return
        self._arrive(state, session, request, now, emit)

    def _admit(self, state: State, now: int, emit: Emit) -> None:
        for delayed in sorted(state.delayed, key=lambda delayed: delayed.due_at):
            if delayed.due_at > now:
                return
            emit(VenueRequestArrived(session=delayed.session, request=delayed.request))
            self._arrive(state, delayed.session, delayed.request, now, emit)

    def _arrive(self, state: State, session: str, request: Request, now: int, emit: Emit) -> None:
        match request:
            case OrderSent():
                self._order(state, session, request, now, emit)
            case CancelSent():
                self._cancel(state, session, request, now, emit)
            case QuerySent():
                self._tell(state, self._status(state, session, request, now), emit)

    def _order(self, state: State, session: str, request: OrderSent, now: int, emit: Emit) -> None:
        order, child_id = request.order, request.child_id
        told: dict[str, Any] = {"session": session, "account": request.account, "child_id": child_id, "at": now}
        refusal = self._refusal(state, request, now)
        if refusal is not None:
            code, message = refusal
            number = state.next_number(session)
            self._tell(state, VenueOrderRejected(session_sequence=number, code=code, message=message, **told), emit)
            return
        instrument = self._instruments[order.symbol]
        self._tell(
            state,
            VenueOrderAccepted(
                session_sequence=state.next_number(session),
                venue_order_id=f"{self._name}-{state.accepted + 1}",
                order=order,
                **told,
            ),
            emit,
        )
        outcome = state.books[order.symbol].match(
            order.side,
            None if order.price is None else instrument.ticks(order.price),
            instrument.lots(order.quantity),
            request.account,
            state.positions[order.symbol],
            order.reduce_only,
        )
        self._trade(state, instrument, order.side, child_id, request.account, outcome, now, emit)
        taker = state.live.get(child_id)
        if taker is None:
            return
        rests = order.type == "limit" and order.time_in_force == "gtc" and _may_rest(state, instrument, taker)
        if rests:
            emit(VenueOrderRested(child_id=child_id, quantity=taker.leaves))
        else:
            self._tell(
                state,
                VenueOrderExpired(
                    session_sequence=state.next_number(session),
                    quantity=taker.leaves,
                    reason="reduce_only" if order.type == "limit" and order.time_in_force == "gtc" else "unfilled",
                    **told,
                ),
                emit,
            )

    def _refusal(self, state: State, request: OrderSent, now: int) -> tuple[str, str] | None:
        order, child_id = request.order, request.child_id
        if now > request.expires_at:
            return "REQUEST_EXPIRED", "the request came after its receive window"
        if child_id in state.live or child_id in state.finished:
            return "DUPLICATE_ORDER", "the client order id was used before"
        try:
            instrument = check(order, self._instruments)
        except Refused as refused:
            return refused.code, ", ".join(f"{name}={value}" for name, value in refused.details.items())
        if order.post_only and _takes(state, instrument, order):
            return "POST_ONLY_WOULD_CROSS", "the order would take liquidity"
        if order.reduce_only and not _reduces(state, order.symbol, request.account, order.side):
            return "REDUCE_ONLY", "there is no position to reduce"
        return None

    def _cancel(self, state: State, session: str, request: CancelSent, now: int, emit: Emit) -> None:
        child_id = request.child_id
        told: dict[str, Any] = {"session": session, "account": request.account, "child_id": child_id, "at": now}
        number = state.next_number(session)
        live = state.live.get(child_id)
        if live is None:
            code = "ORDER_IS_OVER" if child_id in state.finished else "UNKNOWN_ORDER"
            self._tell(state, VenueCancelRejected(session_sequence=number, code=code, **told), emit)
            return
        self._tell(
            state,
            VenueOrderCancelled(session_sequence=number, quantity=live.leaves, reason="requested", **told),
            emit,
        )

    def _status(self, state: State, session: str, request: QuerySent, now: int) -> VenueOrderStatus:
        told: dict[str, Any] = {
            "session": session,
            "session_sequence": state.next_number(session),
            "account": request.account,
            "child_id": request.child_id,
            "at": now,
        }
        live = state.live.get(request.child_id)
        if live is not None:
            return VenueOrderStatus(state="open", cumulative=live.cumulative, leaves=live.leaves, **told)
        finished = state.finished.get(request.child_id)
        if finished is not None:
            return VenueOrderStatus(state=finished.state, cumulative=finished.cumulative, leaves=ZERO, **told)
        return VenueOrderStatus(state="unknown", cumulative=ZERO, leaves=ZERO, **told)

    def _trade(
        self,
        state: State,
        instrument: Instrument,
        side: Side,
        taker_id: str,
        taker_account: str,
        outcome: list[Match | Drop],
        now: int,
        emit: Emit,
    ) -> None:
        for met in outcome:
            maker = state.live.get(met.maker_id)
            if isinstance(met, Drop):
                assert maker is not None
                self._tell(
                    state,
                    VenueOrderCancelled(
                        session=maker.session,
                        session_sequence=state.next_number(maker.session),
                        account=maker.account,
                        child_id=met.maker_id,
                        quantity=maker.leaves,
                        reason="reduce_only",
                        at=now,
                    ),
                    emit,
                )
                continue
            trade = VenueTraded(
                symbol=instrument.symbol,
                trade_id=f"{self._name}-{state.traded + 1}",
                price=instrument.price(met.price),
                quantity=instrument.quantity(met.quantity),
                maker_id=met.maker_id,
                maker_account=met.maker_account,
                taker_id=taker_id,
                taker_account=taker_account,
                taker_side=side,
                at=now,
            )
            emit(trade)
            taker = state.live.get(taker_id)
            if maker is not None:
                self._fill(state, trade, met.maker_id, maker, opposite(side), emit)
            if taker is not None:
                self._fill(state, trade, taker_id, taker, side, emit)

    def _fill(self, state: State, trade: VenueTraded, child_id: str, order: VenueOrder, side: Side, emit: Emit) -> None:
        """Tells one of the two clients of a trade its side of it."""
        self._tell(
            state,
            VenueFilled(
                session=order.session,
                session_sequence=state.next_number(order.session),
                account=order.account,
                child_id=child_id,
                trade_id=trade.trade_id,
                symbol=trade.symbol,
                side=side,
                price=trade.price,
                quantity=trade.quantity,
                cumulative=order.cumulative + trade.quantity,
                leaves=order.leaves - trade.quantity,
                liquidity="taker" if child_id == trade.taker_id else "maker",
                at=trade.at,
            ),
            emit,
        )

    def _tell(self, state: State, message: SessionMessage, emit: Emit) -> None:
        """Tells a session something, and draws what will go wrong on the way."""
        emit(message)
        key = f"{message.session}/{message.session_sequence}"
        fault: dict[str, Any] = {"session": message.session, "session_sequence": message.session_sequence}
        if self._line.drops(key):
            emit(FeedFault(kind="drop", **fault))
        elif self._line.duplicates(key):
            emit(FeedFault(kind="duplicate", **fault))
        elif held_ns := self._line.reorders_ns(key):
            emit(FeedFault(kind="delay", delay_ns=held_ns, **fault))

    def _step(self, state: State, instrument: Instrument, liquidity: Liquidity, now: int, emit: Emit) -> None:
        """The rest of the market requotes, trading with whatever its new quotes meet; then its takers come."""
        number = state.steps[instrument.symbol]
        step = liquidity.step(number)
        emit(VenueQuotesPulled(symbol=instrument.symbol))
        emit(
            VenueQuotesMoved(
                symbol=instrument.symbol,
                step=number + 1,
                bids=self._requote(state, instrument, "buy", step.bids, now, emit),
                asks=self._requote(state, instrument, "sell", step.asks, now, emit),
                at=now,
            )
        )
        for taken, aggressor in enumerate(step.flow):
            self._sweep(
                state,
                instrument,
                f"{MARKET}/{number}/{taken}",
                aggressor.side,
                aggressor.limit,
                aggressor.quantity,
                now,
                emit,
            )

    def _requote(
        self, state: State, instrument: Instrument, side: Side, quotes: list[tuple[int, int]], now: int, emit: Emit
    ) -> list[tuple[Decimal, Decimal]]:
        """What is left of the new quotes of one side after they met resting orders."""
        left: list[tuple[Decimal, Decimal]] = []
        for price, lots in quotes:
            if state.books[instrument.symbol].crosses(side, price):
                lots -= self._sweep(
                    state, instrument, quote_id(instrument.symbol, side, price), side, price, lots, now, emit
                )
            if lots:
                left.append((instrument.price(price), instrument.quantity(lots)))
        return left

    def _sweep(
        self, state: State, instrument: Instrument, id: str, side: Side, limit: int, lots: int, now: int, emit: Emit
    ) -> int:
        """The market takes; returns the lots that traded."""
        symbol = instrument.symbol
        outcome = state.books[symbol].match(side, limit, lots, MARKET, state.positions[symbol])
        self._trade(state, instrument, side, id, MARKET, outcome, now, emit)
        return sum(met.quantity for met in outcome if isinstance(met, Match))

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        match event:
            case VenueOrderAccepted():
                state.accepted += 1
                state.live[event.child_id] = VenueOrder(
                    session=event.session,
                    account=event.account,
                    venue_order_id=event.venue_order_id,
                    order=event.order,
                )
            case VenueOrderRejected():
                state.refuse(event.child_id)
            case VenueOrderRested():
                self._rest(state, event)
            case VenueTraded():
                self._traded(state, event)
            case VenueFilled():
                order = state.live[event.child_id]
                order.cumulative = event.cumulative
                if not event.leaves:
                    state.finish(event.child_id, "filled")
            case VenueOrderCancelled():
                state.finish(event.child_id, "cancelled")
            case VenueOrderExpired():
                state.finish(event.child_id, "expired")
            case VenueQuotesPulled():
                self._pull(state, event.symbol)
            case VenueQuotesMoved():
                self._quote(state, event)
            case VenueRequestDelayed():
                state.delayed.append(event)
            case VenueRequestArrived():
                arrived = next(index for index, delayed in enumerate(state.delayed) if delayed.request == event.request)
                del state.delayed[arrived]
            case VenueSessionAcknowledged():
                state.acknowledge(event.session, event.session_sequence)
        if isinstance(event, SessionMessage):
            state.tell(event)

    def _rest(self, state: State, event: VenueOrderRested) -> None:
        live = state.live[event.child_id]
        order = live.order
        instrument = self._instruments[order.symbol]
        assert order.price is not None
        state.books[order.symbol].add(
            Resting(
                event.child_id,
                live.account,
                order.side,
                instrument.ticks(order.price),
                instrument.lots(event.quantity),
                order.reduce_only,
            )
        )

    def _traded(self, state: State, event: VenueTraded) -> None:
        state.traded += 1
        lots = self._instruments[event.symbol].lots(event.quantity)
        state.books[event.symbol].fill(event.maker_id, lots)
        bought = lots if event.taker_side == "buy" else -lots
        for account, change in ((event.taker_account, bought), (event.maker_account, -bought)):
            if account != MARKET:
                state.move(event.symbol, account, change)

    def _pull(self, state: State, symbol: str) -> None:
        book = state.books[symbol]
        for id in state.quoted[symbol]:
            if book.get(id) is not None:
                book.remove(id)
        state.quoted[symbol] = []

    def _quote(self, state: State, event: VenueQuotesMoved) -> None:
        symbol, instrument = event.symbol, self._instruments[event.symbol]
        sides: tuple[tuple[Side, list[tuple[Decimal, Decimal]]], ...] = (("buy", event.bids), ("sell", event.asks))
        for side, quotes in sides:
            for price, quantity in quotes:
                ticks = instrument.ticks(price)
                id = quote_id(symbol, side, ticks)
                state.books[symbol].add(Resting(id, MARKET, side, ticks, instrument.lots(quantity)))
                state.quoted[symbol].append(id)
        state.steps[symbol] = event.step
        state.next_step_at[symbol] = event.at + STEP_NS

    # Snapshots

    def dump(self, state: State) -> Saved:
        return save(state)

    def load(self, data: bytes) -> State:
        return restore(msgspec.json.decode(data, type=Saved), list(self._instruments))

    # What the venue says, once it is stored

    def told(self, state: State, frame: Frame) -> Iterable[Outgoing]:
        for decision in frame.decisions:
            faults = {
                (event.session, event.session_sequence): event
                for event in decision.events
                if isinstance(event, FeedFault)
            }
            for event in decision.events:
                if isinstance(event, SessionMessage):
                    fault = faults.get((event.session, event.session_sequence))
                    yield from self._delivered(event, decision.trace, fault)
                elif isinstance(event, VenueResent):
                    yield from self._repeated(state, event)
                elif isinstance(event, VenueQuotesMoved):
                    yield from self._quotes(state, [self._instruments[event.symbol]], event.at)

    def pulse(self, state: State, now: int) -> Iterable[Outgoing]:
        """A few times a second: the market, and how far each session's feed has come."""
        yield from self._quotes(state, self._instruments.values(), now)
        for name, session in state.sessions.items():
            beat = SessionHeartbeat(venue=self._name, session=name, session_sequence=session.sequence, at=now)
            yield Outgoing(streams.feed(self._name, name), Spoken(beat))

    def _delivered(self, message: SessionMessage, trace: str | None, fault: FeedFault | None) -> Iterable[Outgoing]:
        key = f"{message.session}/{message.session_sequence}"
        delay = self._line.feed_ns(key)
        if fault is not None and fault.kind == "drop":
            return
        if fault is not None and fault.kind == "delay":
            delay += fault.delay_ns
        outgoing = Outgoing(streams.feed(self._name, message.session), Spoken(message, trace), delay)
        yield outgoing
        if fault is not None and fault.kind == "duplicate":
            yield outgoing

    def _repeated(self, state: State, resent: VenueResent) -> Iterable[Outgoing]:
        for message in state.session(resent.session).told:
            if resent.session_sequence <= message.session_sequence <= resent.through:
                yield Outgoing(streams.feed(self._name, resent.session), Spoken(message))

    def _quotes(self, state: State, instruments: Iterable[Instrument], now: int) -> Iterable[Outgoing]:
        for instrument in instruments:
            quote = state.quote(self._name, instrument, now)
            if quote is not None:
                yield Outgoing(streams.quotes(self._name), Spoken(quote))


def quote_id(symbol: str, side: Side, ticks: int) -> str:
    return f"{MARKET}/{symbol}/{side}/{ticks}"


def _may_rest(state: State, instrument: Instrument, taker: VenueOrder) -> bool:
    """A reduce-only remainder rests only while there is a position left that it could reduce. Having met its own
    account's orders, it may have come to its limit with both the position and the other side of the market left."""
    order = taker.order
    if not order.reduce_only or order.price is None:
        return True
    crossing = state.books[order.symbol].crosses(order.side, instrument.ticks(order.price))
    return not crossing and _reduces(state, order.symbol, taker.account, order.side)


def _reduces(state: State, symbol: str, account: str, side: Side) -> bool:
    position = state.positions[symbol].get(account, 0)
    return position < 0 if side == "buy" else position > 0


def _takes(state: State, instrument: Instrument, order: Order) -> bool:
    return order.price is not None and state.books[order.symbol].crosses(order.side, instrument.ticks(order.price))
