"""The venue: what becomes of a request, and what is each client told?

Requests are matched in the order they reach the engine. The rest of the market follows a tape: it requotes step by
step, and its takers trade with whoever rests at the touch. All that happens is an event of the truth; what a client
is told is numbered per session, and what goes wrong on the way to it is an event as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import cast

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument, check
from bot4_common.messages.execution import AmendSent, CancelSent, ListSent, OrderSent, QuerySent, ResendRequested
from bot4_common.messages.market import FaultOrdered, SessionMessage, Tick
from bot4_common.messages.terms import Event, Order
from bot4_common.messages.venue import (
    FaultKind,
    FeedFault,
    VenueAmendEntered,
    VenueAmendRejected,
    VenueCancelEntered,
    VenueCancelRejected,
    VenueFaultBegan,
    VenueFilled,
    VenueFillWithheld,
    VenueListEntered,
    VenueMarketMoved,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTrimmed,
    VenueRequestArrived,
    VenueRequestCharged,
    VenueRequestDelayed,
    VenueResent,
    VenueSessionAcknowledged,
    VenueTimePassed,
    VenueTraded,
)
from bot4_common.money import ZERO, is_positive
from bot4_exchange_simulator import edge
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.engine.terms import LIST_KINDS, LIST_LENGTHS
from bot4_exchange_simulator.faults import Line, by_hand
from bot4_exchange_simulator.faults import Request as Asks
from bot4_exchange_simulator.feed import Feed, began, spell_of
from bot4_exchange_simulator.limits import Asked, RequestLimits, charge, judge
from bot4_exchange_simulator.liquidity import STEP_NS, Others
from bot4_exchange_simulator.matching import (
    enter_amend,
    enter_cancel,
    enter_list,
    enter_order,
    move_market,
    pass_time,
)
from bot4_exchange_simulator.orders import ENDS, TOLD, Saved, State, opened, restore, save
from bot4_exchange_simulator.reports import Reports

# A client's progress is taken note of every so many messages: what it has need not be kept for it.
ACKNOWLEDGE_EVERY = 256

DEFAULT = Profile()
UNLIMITED = RequestLimits()

Request = OrderSent | ListSent | AmendSent | CancelSent | QuerySent
ASKS: dict[type[Request], Asks] = {
    OrderSent: "place",
    ListSent: "list",
    AmendSent: "amend",
    CancelSent: "cancel",
    QuerySent: "query",
}

# What keeps a request from the engine: code and message.
Refusal = tuple[str, str]


class Venue:
    """The decider of one venue. `liquidity` by symbol is what the rest of the market does, `line` what goes wrong,
    `profile` the venue's rules where venues differ, `limits` how much a session may ask, and `stops` and `lists`
    whether it has orders that wait for a trigger, and orders that depend on each other."""

    def __init__(
        self,
        name: str,
        instruments: Mapping[str, Instrument],
        liquidity: Mapping[str, Others],
        line: Line,
        profile: Profile = DEFAULT,
        limits: RequestLimits = UNLIMITED,
        stops: bool = True,
        lists: bool = True,
    ) -> None:
        self.name = name
        self._profile = profile
        self._instruments = instruments
        self._liquidity = liquidity
        self._line = line
        self._limits = limits
        self._stops = stops
        self._lists = lists
        self._reports = Reports(name, instruments)
        self._feed = Feed(name, instruments, line)
        self.told = self._feed.told
        self.pulse = self._feed.pulse

    def initial(self) -> State:
        return opened(self._profile, self._instruments)

    def deadline(self, state: State) -> int | None:
        due = [request.due_at for request in state.delayed]
        due += [withheld.until for withheld in state.withheld.values()]
        due += [state.next_step_at[symbol] for symbol in self._liquidity]
        expiry = state.engine.next_expiry()
        if expiry is not None:
            due.append(expiry)
        return min(due, default=None)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderSent(list_id=list_id) if list_id:
                return  # the list that follows is the request
            case OrderSent() | ListSent() | AmendSent() | CancelSent() | QuerySent() as request if (
                request.venue == self.name
            ):
                assert heard.id is not None
                self._enter(state, heard.id.stream, request, heard.at, emit)
            case ResendRequested() as request if request.venue == self.name:
                self._resend(state, request, heard.at, emit)
            case FaultOrdered() as ordered:
                self._order_fault(state, ordered, heard.at, emit)
            case Tick() as tick:
                self._tell_withheld(state, tick.at, emit)
                self._pass_time(state, tick.at, emit)
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
            self._refuse(state, session, request, (fault.code, edge.REFUSALS[fault.code].meaning), now, emit)
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

    def _refuse(self, state: State, session: str, request: Request, refusal: Refusal, now: int, emit: Emit) -> None:
        """Refuses what never reaches the engine, a list order by order. A query that is refused is not answered."""
        code, message = refusal
        refused = [leg.child_id for leg in request.legs] if isinstance(request, ListSent) else [request.child_id]
        for child_id in refused:
            header = state.header(session, request.account, child_id, now)
            match request:
                case OrderSent() | ListSent():
                    self._tell(state, VenueOrderRejected(code=code, message=message, **header), emit)
                case AmendSent():
                    self._tell(state, VenueAmendRejected(code=code, **header), emit)
                case CancelSent():
                    self._tell(state, VenueCancelRejected(code=code, **header), emit)

    def _pass_time(self, state: State, now: int, emit: Emit) -> None:
        """14: what expires by now does so before anything else happens now."""
        expiry = state.engine.next_expiry()
        if expiry is not None and expiry <= now:
            emit(VenueTimePassed(at=now))
            self._report(state, "", now, emit)

    def _admit(self, state: State, now: int, emit: Emit) -> None:
        for delayed in sorted(state.delayed, key=lambda delayed: delayed.due_at):
            if delayed.due_at > now:
                return
            emit(VenueRequestArrived(session=delayed.session, request=delayed.request))
            self._arrive(state, delayed.session, delayed.request, now, emit)

    def _arrive(self, state: State, session: str, request: Request, now: int, emit: Emit) -> None:
        self._pass_time(state, now, emit)
        if self._limits.limits:
            asked = Asked(kind=ASKS[type(request)], session=session, account=request.account)
            verdict = judge(state.door, self._limits, asked, now)
            emit(VenueRequestCharged(session=session, account=asked.account, request=asked.kind, at=now))
            if verdict.code:
                refusal = verdict.code, edge.REFUSALS[verdict.code].meaning
                self._refuse(state, session, request, refusal, now, emit)
                return
        if isinstance(request, QuerySent):
            self._tell(state, self._status(state, session, request, now), emit)
            return
        flaw = self._flaw(state, request, now)
        if flaw is not None:
            self._refuse(state, session, request, flaw, now, emit)
            return
        emit(_entered(session, request, now))
        self._report(state, session, now, emit)

    def _flaw(self, state: State, request: OrderSent | ListSent | AmendSent | CancelSent, now: int) -> Refusal | None:
        """What keeps a request from the engine."""
        match request:
            case CancelSent():
                return _not_live(state, request.child_id)
            case _ if now > request.expires_at:
                return "REQUEST_EXPIRED", "the request came after its receive window"
            case AmendSent():
                return _not_live(state, request.child_id) or _amend_flaw(request)
            case ListSent():
                return self._list_flaw(state, request)
        if state.knows(request.child_id):
            return "DUPLICATE_ORDER", "the client order id was used before"
        return self._order_flaw(request.order)

    def _order_flaw(self, order: Order) -> Refusal | None:
        if not self._stops and order.type not in ("limit", "market"):
            return "ORDER_TYPE_UNKNOWN", "the venue has no orders that wait for a trigger"
        try:
            check(order, self._instruments)
        except Refused as refused:
            return refused.code, ", ".join(f"{name}={value}" for name, value in refused.details.items())
        return None

    def _list_flaw(self, state: State, request: ListSent) -> Refusal | None:
        if not self._lists:
            return "LISTS_UNKNOWN", "the venue has no orders that depend on each other"
        ids = {leg.child_id for leg in request.legs}
        if request.list_id in state.lists or len(ids) < len(request.legs) or any(map(state.knows, ids)):
            return "DUPLICATE_ORDER", "the id of the list, or of an order of it, was used before"
        length = LIST_LENGTHS[LIST_KINDS[request.kind]]
        if len(request.legs) != length:
            return "LIST_LEGS_DIFFER", f"this kind of list has {length} orders"
        return next((flaw for leg in request.legs if (flaw := self._order_flaw(leg.order))), None)

    def _status(self, state: State, session: str, request: QuerySent, now: int) -> VenueOrderStatus:
        header = state.header(session, request.account, request.child_id, now)
        live = state.live.get(request.child_id)
        if live is not None:
            return VenueOrderStatus(
                state="open",
                cumulative=live.cumulative,
                leaves=live.leaves,
                quantity=live.quantity,
                price=live.order.price,
                **header,
            )
        finished = state.finished.get(request.child_id)
        if finished is not None:
            return VenueOrderStatus(state=finished.state, cumulative=finished.cumulative, leaves=ZERO, **header)
        return VenueOrderStatus(state="unknown", cumulative=ZERO, leaves=ZERO, **header)

    def _report(self, state: State, session: str, now: int, emit: Emit) -> None:
        """Says, one after the other, what came of the last command. `session` is where the request came from."""
        for event in self._reports.happened(state, session, now):
            if isinstance(event, VenueTraded):
                emit(event)
            else:
                self._tell(state, event, emit)

    def _tell(self, state: State, message: SessionMessage, emit: Emit) -> None:
        """Tells a session something; a fill perhaps not before the order's end was told."""
        for fill in state.told_before(message):
            self._say(state, fill, emit)
        if isinstance(message, VenueFilled) and (until := self._feed.withheld_until(state, message)):
            emit(VenueFillWithheld(fill=msgspec.structs.replace(message, session_sequence=0), until=until))
            return
        self._say(state, message, emit)
        if isinstance(message, ENDS) and (withheld := state.withheld.get(message.child_id)):
            self._say(state, withheld.fill, emit)

    def _tell_withheld(self, state: State, now: int, emit: Emit) -> None:
        """No end has come that could have overtaken these fills."""
        for withheld in [each for each in state.withheld.values() if each.until <= now]:
            self._say(state, withheld.fill, emit)

    def _say(self, state: State, message: SessionMessage, emit: Emit) -> None:
        """Gives the message the number that comes next, and draws what will go wrong on the way."""
        number = state.session(message.session).sequence + 1
        if message.session_sequence != number:
            message = msgspec.structs.replace(message, session_sequence=number)
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
                state.enter(event, event.child_id, event.order)
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
                state.fill(event)
            case VenueFillWithheld():
                state.withhold(event)
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
            case VenueListEntered():
                state.enter_list(event)
                enter_list(state.engine, self._instruments, event)
                state.collect()
            case VenueAmendEntered():
                instrument = self._instruments[state.live[event.child_id].order.symbol]
                enter_amend(state.engine, instrument, event)
                state.collect()
            case VenueTimePassed():
                pass_time(state.engine, event.at)
                state.collect()
            case VenueOrderAmended():
                state.amend(event)
            case VenueOrderPrevented():
                state.live[event.child_id].prevented += event.quantity
        if type(event) in TOLD:
            state.tell(cast(SessionMessage, event))

    # Snapshots

    def dump(self, state: State) -> Saved:
        return save(state)

    def load(self, data: bytes) -> State:
        return restore(msgspec.json.decode(data, type=Saved), self._profile, self._instruments)


def _entered(session: str, request: OrderSent | ListSent | AmendSent | CancelSent, now: int) -> Event:
    """The command for the engine."""
    account, child_id = request.account, request.child_id
    match request:
        case OrderSent():
            return VenueOrderEntered(session=session, account=account, child_id=child_id, order=request.order, at=now)
        case ListSent():
            return VenueListEntered(
                session=session,
                account=account,
                list_id=request.list_id,
                kind=request.kind,
                legs=request.legs,
                at=now,
            )
        case AmendSent():
            return VenueAmendEntered(
                account=account, child_id=child_id, quantity=request.quantity, price=request.price, at=now
            )
        case CancelSent():
            return VenueCancelEntered(account=account, child_id=child_id, at=now)


def _not_live(state: State, child_id: str) -> Refusal | None:
    if child_id in state.live:
        return None
    return "ORDER_IS_OVER" if child_id in state.finished else "UNKNOWN_ORDER", ""


def _amend_flaw(request: AmendSent) -> Refusal | None:
    """A number that cannot be computed with. Whether it fits the order, the engine says."""
    if is_positive(request.quantity) and (request.price is None or is_positive(request.price)):
        return None
    return "BAD_FIELD", ""


def _written(instrument: Instrument, quotes: list[tuple[int, int]]) -> list[tuple[Decimal, Decimal]]:
    return [(instrument.price(ticks), instrument.quantity(lots)) for ticks, lots in quotes]
