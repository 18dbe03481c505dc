"""Execution: what goes to which venue, and what has become of it?

Approved orders become child orders at a venue. What the venue says is taken in the order of its session feed and
becomes our own events. An answer that does not come is *unknown*: the venue is asked, nothing is assumed, and no
order is ever sent a second time. A venue that fails too often gets nothing that could add risk until it has rested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelRejected,
    CancelSent,
    FeedAdvanced,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
    OutcomeUnknown,
    QuerySent,
    ResendRequested,
)
from bot4_common.messages.market import SessionHeartbeat, SessionMessage, Tick
from bot4_common.messages.risk import AmendApproved, CancelApproved, ListApproved, OrderApproved
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import VenueOrderStatus
from bot4_common.streams import feed
from bot4_execution.breakers import FUSE, outcome
from bot4_execution.lifecycle import AT_VENUE
from bot4_execution.reports import report
from bot4_execution.requests import (
    ANOTHER_UNDER_WAY,
    amend_of_none,
    amend_refused,
    amend_sent,
    cancel_sent,
    chase,
    list_sent,
    order_refused,
    order_sent,
    runaway,
    send_what_waited,
)
from bot4_execution.session import Session
from bot4_execution.state import Child, State


class Execution:
    """The decider of one execution shard. `venues`, of which the first is that of orders that name none; `session` is
    its name at all of them."""

    def __init__(self, venues: Sequence[str], session: str) -> None:
        assert FUSE not in venues, f"a venue named {FUSE} would have the breaker of all of them"
        self._default = venues[0]
        self._session = session
        # A message of a session does not name its venue: the line it comes by does.
        self._lines = {feed(venue, session): venue for venue in venues}

    def initial(self) -> State:
        return State()

    def deadline(self, state: State) -> int | None:
        first_overdue, first_rested = next(iter(state.awaited.values()), None), state.breakers.deadline
        if first_overdue is None or first_rested is None:
            return first_rested if first_overdue is None else first_overdue
        return min(first_overdue, first_rested)

    # Decide

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderApproved() as approved:
                self._send(state, approved, heard.at, emit)
            case ListApproved(native=True) as approved:
                self._send_list(state, approved, heard.at, emit)
            case CancelApproved() as approved:
                child = state.live.get(child_of(approved.order_id))
                if child is not None and not child.cancelling:
                    emit(cancel_sent(child, heard.at))
            case AmendApproved() as approved:
                self._amend(state, approved, heard.at, emit)
            case SessionHeartbeat() as beat:
                session = state.session(beat.venue)
                if beat.session == self._session and beat.session_sequence > session.sequence:
                    self._ask_again(beat.venue, session, heard.at, emit)
            case Tick() as tick:
                chase(state, tick.at, emit)
                for change in state.breakers.rested(tick.at):
                    emit(change)
            case message if isinstance(message, SessionMessage):
                self._take(state, self._lines[heard.subject], message, heard.at, emit)
        for change in list(state.breakers.unsaid):
            emit(change)

    def _send(self, state: State, approved: OrderApproved, now: int, emit: Emit) -> None:
        order_id, order, child_id = approved.order_id, approved.order, child_of(approved.order_id)
        child = state.child(child_id)
        if child is not None:
            # It was sent, alone or as a leg of its list. Risk approves an order once; if not, the first time counts.
            if order.quantity > child.order.quantity:
                emit(runaway(child, approved, now))
            return
        if child_id in state.refused:
            return
        venue = order.venue or self._default
        code = state.breakers.refusal(venue)
        if code and approved.opening and not order.reduce_only:
            emit(order_refused(order_id, child_id, approved.account, venue, code, now))
            return
        emit(order_sent(approved, order_id, order, child_id, venue, now))

    def _send_list(self, state: State, approved: ListApproved, now: int, emit: Emit) -> None:
        child_ids = [child_of(leg.order_id) for leg in approved.legs]
        if state.child(child_ids[0]) is not None or child_ids[0] in state.refused:
            return
        venue = approved.legs[0].order.venue or self._default
        code = state.breakers.refusal(venue)
        if code and not all(leg.order.reduce_only for leg in approved.legs):
            for leg, child_id in zip(approved.legs, child_ids, strict=True):
                emit(order_refused(leg.order_id, child_id, approved.account, venue, code, now))
            return
        for request in list_sent(approved, child_ids, venue, now):
            emit(request)

    def _amend(self, state: State, approved: AmendApproved, now: int, emit: Emit) -> None:
        child_id = child_of(approved.order_id)
        child = state.live.get(child_id)
        if child is None:
            emit(amend_of_none(approved, child_id, self._venue_of(state, child_id), now))
            return
        if child.amend is not None:
            # The answer to the one under way is also that to the same, heard again.
            if not child.amend.is_met_by(approved.quantity, approved.price):
                emit(amend_refused(child, ANOTHER_UNDER_WAY, now))
            return
        code = state.breakers.refusal(child.venue)
        if code and approved.quantity > child.quantity and not child.order.reduce_only:
            emit(amend_refused(child, code, now))
            return
        # Before the order is known to be there as well: mostly it has got there first.
        emit(amend_sent(child, approved.quantity, approved.price, now))

    def _venue_of(self, state: State, child_id: str) -> str:
        """Of an order that is over, or was never sent."""
        child = state.finished.get(child_id)
        return child.venue if child is not None else state.refused.get(child_id, self._default)

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
        for news in report(child, venue, message, now):
            emit(news)
            if child is not None and isinstance(news, OrderAcknowledged):
                send_what_waited(child, now, emit)
        if child is not None and isinstance(message, VenueOrderStatus) and _is_to_be_cancelled(child, message):
            emit(cancel_sent(child, now))

    def _ask_again(self, venue: str, session: Session, now: int, emit: Emit) -> None:
        if session.may_ask(now):
            emit(
                ResendRequested(venue=venue, session=self._session, session_sequence=session.sequence + 1, sent_at=now)
            )

    # Evolve

    def evolve(self, state: State, event: Event) -> None:
        sequence = getattr(event, "session_sequence", 0)
        came_of_it = outcome(event)
        if came_of_it is not None:
            state.record(came_of_it)
        match event:
            case OrderSent():
                state.send(event)
            case AmendSent():
                state.amend(event)
            case CancelSent():
                state.cancel(event)
            case QuerySent():
                state.await_answer(state.live[event.child_id], event.sent_at)
            case ResendRequested():
                state.own_session(event.venue).asked_at = event.sent_at
                sequence = 0
            case OutcomeUnknown(request="order"):
                state.move(event.child_id, "silent")
            case OrderAcknowledged():
                state.acknowledge(event.child_id)
            case OrderRejected():
                if event.child_id in state.live:
                    state.move(event.child_id, "rejected")
                else:
                    state.refuse(event.child_id, event.venue)
            case OrderFilled():
                state.fill(event)
            case OrderAmended():
                state.resize(event)
            case OrderPrevented():
                state.live[event.child_id].prevented += event.quantity
            case OrderTrimmed():
                state.live[event.child_id].quantity = event.quantity
            case OrderCancelled():
                state.move(event.child_id, "cancelled")
            case OrderExpired():
                state.move(event.child_id, "expired")
            case OrderLost():
                state.move(event.child_id, "lost")
            case CancelRejected():
                state.refuse_cancel(event.child_id)
            case AmendRejected() if event.code != ANOTHER_UNDER_WAY:
                state.refuse_amend(event.child_id)
            case FeedAdvanced() if event.request:
                state.put_off(event)
            case BreakerChanged():
                state.breakers.change(event)
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


def _is_to_be_cancelled(child: Child, status: VenueOrderStatus) -> bool:
    """A cancel that got nowhere: the order is still open."""
    return status.state == "open" and child.cancelling and child.stage in AT_VENUE
