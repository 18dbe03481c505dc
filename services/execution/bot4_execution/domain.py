"""Execution: what goes to which venue, and what has become of it?

Approved orders become child orders at a venue. What the venue says is taken in the order of its session feed and
becomes our own events. An answer that does not come is *unknown*: the venue is asked, nothing is assumed, and no
order is ever sent a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.errors import is_retryable
from bot4_common.messages.execution import (
    CancelRejected,
    CancelSent,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
    OutcomeUnknown,
    QuerySent,
    ResendRequested,
)
from bot4_common.messages.market import SessionHeartbeat, SessionMessage, Tick
from bot4_common.messages.risk import CancelApproved, OrderApproved
from bot4_common.messages.terms import Event, Order
from bot4_common.messages.venue import (
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTrimmed,
)
from bot4_common.money import ZERO
from bot4_common.streams import feed
from bot4_execution.lifecycle import AT_VENUE, LIFE, OVER, News, Stage, follows
from bot4_execution.session import Session

# How long a request may go unanswered before it is unknown: far beyond any latency of a living venue.
PATIENCE_NS = 1_000_000_000
# The venue must not accept a request later than this after it was sent, so *unknown* comes to an end.
RECEIVE_WINDOW_NS = 5_000_000_000
# Finished children are remembered for repeats and contradictions in the feed; the feed is in order, so few are needed.
FINISHED_KEPT = 2_000


class Child(msgspec.Struct, kw_only=True):
    """An order at a venue; `cancelling` while a cancel is wanted and not refused."""

    order_id: str
    child_id: str
    account: str
    venue: str
    order: Order
    bid: Decimal
    ask: Decimal
    expires_at: int
    stage: Stage = "sent"
    cumulative: Decimal = ZERO
    cancelling: bool = False
    trades: dict[str, tuple[Decimal, Decimal]] = {}

    @property
    def leaves(self) -> Decimal:
        return self.order.quantity - self.cumulative


class State(msgspec.Struct, kw_only=True):
    """Children by id, live and recently finished, and by venue the session with it."""

    live: dict[str, Child] = {}
    finished: dict[str, Child] = {}
    sessions: dict[str, Session]
    # Children with an answer awaited, and when it is overdue (ns), in that order: every request waits equally long.
    awaited: dict[str, int] = {}

    def child(self, child_id: str) -> Child | None:
        return self.live.get(child_id) or self.finished.get(child_id)

    def session(self, venue: str) -> Session:
        """To look at; with a venue that has said nothing yet it is new."""
        return self.sessions.get(venue) or Session()

    def own_session(self, venue: str) -> Session:
        """Only `evolve` calls it."""
        return self.sessions.setdefault(venue, Session())


class Execution:
    """The decider of one execution shard. `venues`, of which the first is that of orders that name none; `session` is
    its name at all of them."""

    def __init__(self, venues: Sequence[str], session: str) -> None:
        self._default = venues[0]
        self._session = session
        # A message of a session does not name its venue: the line it comes by does.
        self._lines = {feed(venue, session): venue for venue in venues}

    def initial(self) -> State:
        return State(sessions={})

    def deadline(self, state: State) -> int | None:
        return next(iter(state.awaited.values()), None)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderApproved() as approved:
                if state.child(child_of(approved.order_id)) is None:
                    self._send(approved, heard.at, emit)
            case CancelApproved() as approved:
                child = state.live.get(child_of(approved.order_id))
                if child is not None and not child.cancelling:
                    emit(self._cancel(child, heard.at))
            case SessionHeartbeat() as beat:
                session = state.session(beat.venue)
                if beat.session == self._session and beat.session_sequence > session.sequence:
                    self._ask_again(beat.venue, session, heard.at, emit)
            case Tick() as tick:
                self._chase(state, tick.at, emit)
            case message if isinstance(message, SessionMessage):
                self._take(state, self._lines[heard.subject], message, heard.at, emit)

    def _send(self, approved: OrderApproved, now: int, emit: Emit) -> None:
        emit(
            OrderSent(
                order_id=approved.order_id,
                child_id=child_of(approved.order_id),
                account=approved.account,
                venue=approved.order.venue or self._default,
                order=approved.order,
                bid=approved.bid,
                ask=approved.ask,
                sent_at=now,
                expires_at=now + RECEIVE_WINDOW_NS,
            )
        )

    def _cancel(self, child: Child, now: int) -> CancelSent:
        return CancelSent(
            order_id=child.order_id, child_id=child.child_id, account=child.account, venue=child.venue, sent_at=now
        )

    def _chase(self, state: State, now: int, emit: Emit) -> None:
        """Asks the venue about every request whose answer is overdue."""
        for child_id, due_at in list(state.awaited.items()):
            if due_at > now:
                return
            child = state.live[child_id]
            known = {"order_id": child.order_id, "child_id": child_id, "account": child.account, "venue": child.venue}
            if child.stage == "sent":
                emit(OutcomeUnknown(request="order", **known))
            elif child.stage in AT_VENUE:
                emit(OutcomeUnknown(request="cancel", **known))
            emit(QuerySent(sent_at=now, **known))

    def _take(self, state: State, venue: str, message: SessionMessage, now: int, emit: Emit) -> None:
        """Takes the next message of a feed, ignores a repeat, and asks for what is missing."""
        if message.session != self._session:
            return
        session = state.session(venue)
        match session.judge(message.session_sequence):
            case "repeat":
                return
            case "gap":
                self._ask_again(venue, session, now, emit)
                return
        child = state.child(message.child_id)
        if child is not None and child.venue != venue:
            # No venue has a word to say on what is at another.
            child = None
        if isinstance(message, VenueFilled):
            emit(self._filled(child, venue, message))
        elif child is None:
            emit(self._noted(venue, message))
        elif isinstance(message, VenueOrderStatus):
            self._answered(child, message, now, emit)
        elif isinstance(message, VenueCancelRejected):
            emit(self._cancel_rejected(state, child, message))
        else:
            emit(self._changed(child, message))
            if isinstance(message, VenueOrderAccepted) and child.cancelling:
                # A cancel that overtook its order found nothing to cancel: now it will.
                emit(self._cancel(child, now))

    def _ask_again(self, venue: str, session: Session, now: int, emit: Emit) -> None:
        if session.may_ask(now):
            emit(
                ResendRequested(venue=venue, session=self._session, session_sequence=session.sequence + 1, sent_at=now)
            )

    def _noted(self, venue: str, message: SessionMessage) -> FeedAdvanced:
        return FeedAdvanced(venue=venue, session=self._session, session_sequence=message.session_sequence)

    def _changed(
        self,
        child: Child,
        message: VenueOrderAccepted | VenueOrderRejected | VenueOrderTrimmed | VenueOrderCancelled | VenueOrderExpired,
    ) -> Event:
        """The venue's word on the order's life as our event; a word the table does not know is only noted."""
        known: dict[str, Any] = {
            "order_id": child.order_id,
            "child_id": child.child_id,
            "account": child.account,
            "venue": child.venue,
            "session_sequence": message.session_sequence,
        }
        match message:
            case VenueOrderAccepted() if follows(child.stage, "acknowledged"):
                return OrderAcknowledged(venue_order_id=message.venue_order_id, accepted_at=message.at, **known)
            case VenueOrderRejected() if follows(child.stage, "rejected"):
                return OrderRejected(code=message.code, message=message.message, **known)
            case VenueOrderTrimmed() if child.stage in AT_VENUE:
                leaves = message.quantity - child.cumulative
                return OrderTrimmed(quantity=message.quantity, leaves=leaves, **known)
            case VenueOrderCancelled() if follows(child.stage, "cancelled"):
                return OrderCancelled(quantity=message.quantity, reason=message.reason, **known)
            case VenueOrderExpired() if follows(child.stage, "expired"):
                return OrderExpired(quantity=message.quantity, reason=message.reason, **known)
        return self._noted(child.venue, message)

    def _filled(self, child: Child | None, venue: str, fill: VenueFilled) -> Event:
        """A fill is applied by its increment and checked against the cumulative quantity; what contradicts is kept
        apart and alerted, a repeat of the same trade is only noted."""
        contradiction = _contradiction(child, fill)
        if child is not None and child.trades.get(fill.trade_id) == (fill.price, fill.quantity):
            return self._noted(venue, fill)
        if child is None or contradiction:
            return FillQuarantined(
                order_id=child.order_id if child is not None else "",
                child_id=fill.child_id,
                account=fill.account,
                venue=venue,
                trade_id=fill.trade_id,
                price=fill.price,
                quantity=fill.quantity,
                reason=contradiction,
                session_sequence=fill.session_sequence,
            )
        return OrderFilled(
            order_id=child.order_id,
            child_id=child.child_id,
            account=child.account,
            strategy=child.order.strategy,
            symbol=child.order.symbol,
            side=child.order.side,
            venue=venue,
            trade_id=fill.trade_id,
            price=fill.price,
            quantity=fill.quantity,
            cumulative=fill.cumulative,
            leaves=fill.leaves,
            liquidity=fill.liquidity,
            bid=child.bid,
            ask=child.ask,
            session_sequence=fill.session_sequence,
            traded_at=fill.at,
        )

    def _answered(self, child: Child, status: VenueOrderStatus, now: int, emit: Emit) -> None:
        """The answer to a query. It stands in the feed behind all that happened to the order before it, so what it
        adds is only: the venue never had the order, or the cancel never arrived."""
        if status.state == "unknown" and follows(child.stage, "lost") and status.at > child.expires_at:
            emit(
                OrderLost(
                    order_id=child.order_id,
                    child_id=child.child_id,
                    account=child.account,
                    venue=child.venue,
                    quantity=child.leaves,
                    session_sequence=status.session_sequence,
                )
            )
            return
        emit(self._noted(child.venue, status))
        if status.state == "open" and child.cancelling and child.stage in AT_VENUE:
            emit(self._cancel(child, now))

    def _cancel_rejected(self, state: State, child: Child, message: VenueCancelRejected) -> Event:
        """A venue that takes no cancels just now has not refused this one: it is awaited, and asked for again."""
        if is_retryable(message.code) and child.child_id in state.live:
            return self._noted(child.venue, message)
        return CancelRejected(
            order_id=child.order_id,
            child_id=child.child_id,
            account=child.account,
            venue=child.venue,
            code=message.code,
            session_sequence=message.session_sequence,
        )

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        sequence = getattr(event, "session_sequence", 0)
        match event:
            case OrderSent():
                child = Child(
                    order_id=event.order_id,
                    child_id=event.child_id,
                    account=event.account,
                    venue=event.venue,
                    order=event.order,
                    bid=event.bid,
                    ask=event.ask,
                    expires_at=event.expires_at,
                )
                state.live[event.child_id] = child
                _await(state, child, event.sent_at)
            case CancelSent():
                child = state.live[event.child_id]
                child.cancelling = True
                if child.stage in AT_VENUE:
                    _await(state, child, event.sent_at)
            case QuerySent():
                _await(state, state.live[event.child_id], event.sent_at)
            case ResendRequested():
                state.own_session(event.venue).asked_at = event.sent_at
                sequence = 0
            case OutcomeUnknown(request="order"):
                _move(state, event.child_id, "silent")
            case OrderAcknowledged():
                _settle(state, event.child_id)
                _move(state, event.child_id, "acknowledged")
            case OrderRejected():
                _move(state, event.child_id, "rejected")
            case OrderFilled():
                child = state.live[event.child_id]
                child.cumulative = event.cumulative
                child.trades[event.trade_id] = (event.price, event.quantity)
                _move(state, event.child_id, "filled_in_part" if event.leaves else "filled")
            case OrderTrimmed():
                child = state.live[event.child_id]
                child.order = msgspec.structs.replace(child.order, quantity=event.quantity)
            case OrderCancelled():
                _move(state, event.child_id, "cancelled")
            case OrderExpired():
                _move(state, event.child_id, "expired")
            case OrderLost():
                _move(state, event.child_id, "lost")
            case CancelRejected():
                _refuse_cancel(state, event.child_id)
        if sequence:
            session = state.own_session(getattr(event, "venue", self._default))
            session.sequence = sequence
            session.asked_at = 0

    def dump(self, state: State) -> Any:
        return state

    def load(self, data: bytes) -> State:
        return msgspec.json.decode(data, type=State)


def child_of(order_id: str) -> str:
    """The id of an order's child: the same whoever computes it, so an approval decided twice names one child."""
    return f"{order_id}.1"


def _contradiction(child: Child | None, fill: VenueFilled) -> str:
    if child is None:
        return "no such order"
    if fill.trade_id in child.trades:
        return "trade id seen with other fields"
    if child.stage not in AT_VENUE:
        return f"order is {child.stage}"
    if (fill.account, fill.symbol, fill.side) != (child.account, child.order.symbol, child.order.side):
        return f"order is to {child.order.side} {child.order.symbol} for {child.account}"
    if fill.quantity <= 0 or fill.price <= 0:
        return f"{fill.quantity} at {fill.price}"
    if child.cumulative + fill.quantity != fill.cumulative:
        return f"cumulative {fill.cumulative} after {child.cumulative} and {fill.quantity}"
    if fill.cumulative > child.order.quantity:
        return f"overfill: {fill.cumulative} of {child.order.quantity}"
    if fill.cumulative + fill.leaves != child.order.quantity:
        return f"leaves {fill.leaves} after {fill.cumulative} of {child.order.quantity}"
    return ""


def _await(state: State, child: Child, now: int) -> None:
    """From now an answer is awaited; the one asked last is due last."""
    state.awaited.pop(child.child_id, None)
    state.awaited[child.child_id] = now + PATIENCE_NS


def _settle(state: State, child_id: str) -> None:
    state.awaited.pop(child_id, None)


def _move(state: State, child_id: str, news: News) -> None:
    child = state.live[child_id]
    child.stage = LIFE[child.stage, news]
    if child.stage not in OVER:
        return
    _settle(state, child_id)
    state.finished[child_id] = state.live.pop(child_id)
    if len(state.finished) > FINISHED_KEPT:
        del state.finished[next(iter(state.finished))]


def _refuse_cancel(state: State, child_id: str) -> None:
    """A cancel is refused when the order is over, or not there yet; only then it stays wanted."""
    child = state.live.get(child_id)
    if child is not None and child.stage in AT_VENUE:
        child.cancelling = False
        _settle(state, child_id)
