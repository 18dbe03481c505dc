"""The venue: what becomes of a request, and what is each client told?

Requests are matched in the order they reach the engine. The rest of the market follows a tape: it requotes step by
step, and its takers trade with whoever rests at the touch. All that happens is an event of the truth; what a client
is told is numbered per session, and what goes wrong on the way to it is an event as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument, check
from bot4_common.messages.execution import CancelSent, OrderSent, QuerySent, ResendRequested
from bot4_common.messages.market import FaultOrdered, SessionMessage, Tick
from bot4_common.messages.terms import Event, Side
from bot4_common.messages.venue import (
    FaultKind,
    FeedFault,
    VenueCancelEntered,
    VenueCancelRejected,
    VenueFaultBegan,
    VenueFilled,
    VenueMarketMoved,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTrimmed,
    VenueRequestArrived,
    VenueRequestCharged,
    VenueRequestDelayed,
    VenueResent,
    VenueSessionAcknowledged,
    VenueTraded,
)
from bot4_common.money import ZERO
from bot4_exchange_simulator import edge
from bot4_exchange_simulator.engine import events
from bot4_exchange_simulator.engine.events import TRADE
from bot4_exchange_simulator.engine.events import Request as RefusedRequest
from bot4_exchange_simulator.engine.orders import Order as EngineOrder
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.engine.refusals import REFUSALS
from bot4_exchange_simulator.faults import Line, by_hand
from bot4_exchange_simulator.faults import Request as Asks
from bot4_exchange_simulator.feed import Feed, began, spell_of
from bot4_exchange_simulator.limits import Asked, RequestLimits, charge, judge
from bot4_exchange_simulator.liquidity import STEP_NS, Others
from bot4_exchange_simulator.matching import MARKET, enter_cancel, enter_order, move_market
from bot4_exchange_simulator.orders import Saved, State, VenueOrder, opened, restore, save

# A client's progress is taken note of every so many messages: what it has need not be kept for it.
ACKNOWLEDGE_EVERY = 256

DEFAULT = Profile()
UNLIMITED = RequestLimits()

Request = OrderSent | CancelSent | QuerySent
ASKS: dict[type[Request], Asks] = {OrderSent: "place", CancelSent: "cancel", QuerySent: "query"}


class Venue:
    """The decider of one venue. `liquidity` by symbol is what the rest of the market does, `line` what goes wrong,
    `profile` the venue's rules where venues differ, and `limits` how much a session may ask."""

    def __init__(
        self,
        name: str,
        instruments: Mapping[str, Instrument],
        liquidity: Mapping[str, Others],
        line: Line,
        profile: Profile = DEFAULT,
        limits: RequestLimits = UNLIMITED,
    ) -> None:
        self.name = name
        self._profile = profile
        self._instruments = instruments
        self._liquidity = liquidity
        self._line = line
        self._limits = limits
        self._feed = Feed(name, instruments, line)
        self.told = self._feed.told
        self.pulse = self._feed.pulse

    def initial(self) -> State:
        return opened(self._profile, self._instruments)

    def deadline(self, state: State) -> int | None:
        due = [request.due_at for request in state.delayed]
        due += [state.next_step_at[symbol] for symbol in self._liquidity]
        return min(due, default=None)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderSent() | CancelSent() | QuerySent() as request if request.venue == self.name:
                assert heard.id is not None
                self._enter(state, heard.id.stream, request, heard.at, emit)
            case ResendRequested() as request if request.venue == self.name:
                self._resend(state, request, heard.at, emit)
            case FaultOrdered() as ordered:
                self._order_fault(state, ordered, heard.at, emit)
            case Tick() as tick:
                self._admit(state, tick.at, emit)
                for begun in self._feed.spells_begun(state, tick.at):
                    emit(begun)
                for symbol, liquidity in self._liquidity.items():
                    if state.next_step_at[symbol] <= tick.at:
                        self._step(state, self._instruments[symbol], liquidity, tick.at, emit)
            case event if heard.id is not None and getattr(event, "venue", None) == self.name:
                number, session = getattr(event, "session_sequence", 0), state.session(heard.id.stream)
                if session.acknowledged + ACKNOWLEDGE_EVERY <= number <= session.sequence:
                    emit(VenueSessionAcknowledged(session=heard.id.stream, session_sequence=number))

    def _resend(self, state: State, asked: ResendRequested, now: int, emit: Emit) -> None:
        through = state.session(asked.session).sequence
        if self._feed.is_cut(state, asked.session, now):
            emit(FeedFault(session=asked.session, kind="disconnect"))
        elif through >= asked.session_sequence:
            emit(VenueResent(session=asked.session, session_sequence=asked.session_sequence, through=through))

    def _order_fault(self, state: State, ordered: FaultOrdered, now: int, emit: Emit) -> None:
        """Who orders a fault has it checked beforehand; nobody is there to be told of one that cannot be."""
        with suppress(ValueError):
            spell = by_hand(
                ordered.kind,
                now,
                ordered.seconds,
                state.spells,
                ordered.session,
                probability=ordered.probability,
                factor=ordered.factor,
            )
            emit(began(spell))

    def _enter(self, state: State, session: str, request: Request, now: int, emit: Emit) -> None:
        """A request on its way in: lost, refused, delayed, or there at once."""
        key, asks = f"{type(request).__name__}/{request.child_id}/{request.sent_at}", ASKS[type(request)]
        active = self._feed.active(state, session, now)
        fault = self._line.request(asks, key, session, now, active)
        if fault is not None and fault.kind in ("submit_down", "cancel_down", "reject", "reject_cancel"):
            self._turn_away(state, session, request, fault.code, now, emit)
            return
        if fault is not None:
            # Where the venue is down, whoever asks is not told what became of it: to us that is the same as silence.
            kind: FaultKind = fault.kind if fault.kind in ("disconnect", "down") else "drop_request"
            emit(FeedFault(session=session, kind=kind, child_id=request.child_id))
            return
        delay = self._line.entry_ns(asks, key, now, active)
        if delay:
            emit(VenueRequestDelayed(session=session, request=request, due_at=now + delay))
            return
        self._arrive(state, session, request, now, emit)

    def _turn_away(self, state: State, session: str, request: Request, code: str, now: int, emit: Emit) -> None:
        """The edge of the venue refuses what never reaches its engine. A query that is refused is not answered."""
        told: dict[str, Any] = {
            "session": session,
            "session_sequence": state.next_number(session),
            "account": request.account,
            "child_id": request.child_id,
            "code": code,
            "at": now,
        }
        if isinstance(request, OrderSent):
            self._tell(state, VenueOrderRejected(message=edge.REFUSALS[code].meaning, **told), emit)
        elif isinstance(request, CancelSent):
            self._tell(state, VenueCancelRejected(**told), emit)

    def _admit(self, state: State, now: int, emit: Emit) -> None:
        for delayed in sorted(state.delayed, key=lambda delayed: delayed.due_at):
            if delayed.due_at > now:
                return
            emit(VenueRequestArrived(session=delayed.session, request=delayed.request))
            self._arrive(state, delayed.session, delayed.request, now, emit)

    def _arrive(self, state: State, session: str, request: Request, now: int, emit: Emit) -> None:
        if self._limits.limits:
            asked = Asked(kind=ASKS[type(request)], session=session, account=request.account)
            verdict = judge(state.door, self._limits, asked, now)
            emit(VenueRequestCharged(session=session, account=asked.account, request=asked.kind, at=now))
            if verdict.code:
                self._turn_away(state, session, request, verdict.code, now, emit)
                return
        match request:
            case OrderSent():
                self._order(state, session, request, now, emit)
            case CancelSent():
                self._cancel(state, session, request, now, emit)
            case QuerySent():
                self._tell(state, self._status(state, session, request, now), emit)

    def _order(self, state: State, session: str, request: OrderSent, now: int, emit: Emit) -> None:
        order, child_id = request.order, request.child_id
        refusal = self._refusal(state, request, now)
        if refusal is not None:
            code, message = refusal
            rejected = VenueOrderRejected(
                session=session,
                session_sequence=state.next_number(session),
                account=request.account,
                child_id=child_id,
                code=code,
                message=message,
                at=now,
            )
            self._tell(state, rejected, emit)
            return
        emit(VenueOrderEntered(session=session, account=request.account, child_id=child_id, order=order, at=now))
        self._report(state, session, now, emit)

    def _refusal(self, state: State, request: OrderSent, now: int) -> tuple[str, str] | None:
        """What keeps a request from the engine: code and message."""
        if now > request.expires_at:
            return "REQUEST_EXPIRED", "the request came after its receive window"
        if request.child_id in state.live or request.child_id in state.finished:
            return "DUPLICATE_ORDER", "the client order id was used before"
        try:
            check(request.order, self._instruments)
        except Refused as refused:
            return refused.code, ", ".join(f"{name}={value}" for name, value in refused.details.items())
        return None

    def _cancel(self, state: State, session: str, request: CancelSent, now: int, emit: Emit) -> None:
        child_id = request.child_id
        if child_id in state.live:
            emit(VenueCancelEntered(account=request.account, child_id=child_id, at=now))
            self._report(state, session, now, emit)
            return
        rejected = VenueCancelRejected(
            session=session,
            session_sequence=state.next_number(session),
            account=request.account,
            child_id=child_id,
            code="ORDER_IS_OVER" if child_id in state.finished else "UNKNOWN_ORDER",
            at=now,
        )
        self._tell(state, rejected, emit)

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

    def _report(self, state: State, session: str, now: int, emit: Emit) -> None:
        """Tells, one after the other, what the engine has just said. `session` is where the request came from."""
        for kind, subject, other, quantity, price, text in state.happened:
            if isinstance(subject, RefusedRequest):
                if subject.account != MARKET:
                    self._refused(state, session, subject, text, now, emit)
            elif kind == TRADE:
                assert other is not None
                self._traded(state, subject, other, quantity, price, now, emit)
            elif subject.account.name != MARKET:
                lots = self._instruments[subject.market.symbol].quantity(quantity)
                self._changed(state, kind, subject.id, lots, text, now, emit)

    def _refused(self, state: State, session: str, request: RefusedRequest, code: str, now: int, emit: Emit) -> None:
        order = state.live.get(request.id)
        told: dict[str, Any] = {"account": request.account, "child_id": request.id, "at": now}
        if order is None or request.do == "cancel":
            number = state.next_number(session)
            self._tell(state, VenueCancelRejected(session=session, session_sequence=number, code=code, **told), emit)
            return
        told |= {"session": order.session, "session_sequence": state.next_number(order.session)}
        self._tell(state, VenueOrderRejected(code=code, message=REFUSALS[code].venue_message, **told), emit)

    def _changed(
        self, state: State, kind: int, child_id: str, quantity: Decimal, reason: str, now: int, emit: Emit
    ) -> None:
        """What is told of one order alone. Other kinds of news are of orders that no client can send."""
        order = state.live[child_id]
        told: dict[str, Any] = {
            "session": order.session,
            "session_sequence": state.next_number(order.session),
            "account": order.account,
            "child_id": child_id,
            "at": now,
        }
        match kind:
            case events.ACCEPTED:
                id = f"{self.name}-{state.accepted + 1}"
                self._tell(state, VenueOrderAccepted(venue_order_id=id, order=order.order, **told), emit)
            case events.TRIMMED:
                self._tell(state, VenueOrderTrimmed(quantity=quantity, **told), emit)
            case events.CANCELLED:
                self._tell(state, VenueOrderCancelled(quantity=quantity, reason=reason, **told), emit)
            case events.EXPIRED:
                self._tell(state, VenueOrderExpired(quantity=quantity, reason=reason, **told), emit)

    def _traded(
        self, state: State, taker: EngineOrder, maker: EngineOrder, lots: int, ticks: int, now: int, emit: Emit
    ) -> None:
        instrument, side = self._instruments[taker.market.symbol], _side(taker)
        trade = VenueTraded(
            symbol=instrument.symbol,
            trade_id=f"{self.name}-{state.traded + 1}",
            price=instrument.price(ticks),
            quantity=instrument.quantity(lots),
            maker_id=maker.id,
            maker_account=maker.account.name,
            taker_id=taker.id,
            taker_account=taker.account.name,
            taker_side=side,
            at=now,
        )
        emit(trade)
        for order in (maker, taker):
            if order.account.name != MARKET:
                self._fill(state, trade, order.id, state.live[order.id], _side(order), emit)

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
        for fault in self._feed.faults(state, message):
            emit(fault)

    def _step(self, state: State, instrument: Instrument, liquidity: Others, now: int, emit: Emit) -> None:
        """The rest of the market requotes, trading with whatever its new quotes meet; then its takers come."""
        number = state.steps[instrument.symbol]
        step = liquidity.step(number)
        emit(
            VenueMarketMoved(
                symbol=instrument.symbol,
                step=number + 1,
                bids=_written(instrument, step.bids),
                asks=_written(instrument, step.asks),
                flow=[
                    (taker.side, instrument.price(taker.limit), instrument.quantity(taker.quantity))
                    for taker in step.flow
                ],
                at=now,
            )
        )
        self._report(state, "", now, emit)
        for begun in self._feed.stale(instrument.symbol, number, now):
            emit(begun)

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        match event:
            case VenueOrderEntered():
                state.enter(event)
                enter_order(state.engine, self._instruments[event.order.symbol], event)
                state.collect()
            case VenueCancelEntered():
                enter_cancel(state.engine, event)
                state.collect()
            case VenueMarketMoved():
                move_market(state.engine, self._instruments[event.symbol], event)
                state.collect()
                state.steps[event.symbol] = event.step
                state.next_step_at[event.symbol] = event.at + STEP_NS
                state.opened_at = state.opened_at or event.at
                state.stepped_at = event.at
            case VenueOrderAccepted():
                state.accept(event.child_id, event.venue_order_id)
            case VenueOrderRejected():
                state.refuse(event.child_id)
            case VenueTraded():
                state.traded += 1
            case VenueFilled():
                order = state.live[event.child_id]
                order.cumulative = event.cumulative
                if not event.leaves:
                    state.finish(event.child_id, "filled")
            case VenueOrderTrimmed():
                state.live[event.child_id].quantity = event.quantity
            case VenueOrderCancelled():
                state.finish(event.child_id, "cancelled")
            case VenueOrderExpired():
                state.finish(event.child_id, "expired")
            case VenueRequestDelayed():
                state.delayed.append(event)
            case VenueRequestArrived():
                arrived = next(index for index, delayed in enumerate(state.delayed) if delayed.request == event.request)
                del state.delayed[arrived]
            case VenueSessionAcknowledged():
                state.acknowledge(event.session, event.session_sequence)
            case VenueFaultBegan():
                quotes = (state.quote(self.name, each, event.since) for each in self._instruments.values())
                state.begin(spell_of(event), quotes)
            case VenueRequestCharged():
                asked = Asked(kind=event.request, session=event.session, account=event.account)
                charge(state.door, self._limits, asked, event.at)
        if isinstance(event, SessionMessage):
            state.tell(event)

    # Snapshots

    def dump(self, state: State) -> Saved:
        return save(state)

    def load(self, data: bytes) -> State:
        return restore(msgspec.json.decode(data, type=Saved), self._profile, self._instruments)


def _side(order: EngineOrder) -> Side:
    return "buy" if order.buy else "sell"


def _written(instrument: Instrument, quotes: list[tuple[int, int]]) -> list[tuple[Decimal, Decimal]]:
    return [(instrument.price(ticks), instrument.quantity(lots)) for ticks, lots in quotes]
