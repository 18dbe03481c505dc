"""What is asked of a venue, and what when no answer comes?

Nothing is sent again while it may still be on its way. An order is never sent twice; a cancel is repeated when the
venue says that the order is open; an amend only when the venue has refused to take it, since a copy that is late would
undo what came after it.
"""

from __future__ import annotations

from decimal import Decimal

from bot4_common.decider import Emit
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelSent,
    ListLeg,
    ListSent,
    OrderRejected,
    OrderSent,
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.risk import AmendApproved, ListApproved, OrderApproved
from bot4_common.messages.terms import Event, Order
from bot4_execution.lifecycle import AT_VENUE
from bot4_execution.state import Child, State

# The venue must not take a request later than this after it was sent, so *unknown* comes to an end.
RECEIVE_WINDOW_NS = 5_000_000_000
# Of an order one amend at a time is under way; the code of what is asked for beside it.
ANOTHER_UNDER_WAY = "AMEND_IN_FLIGHT"


def order_sent(
    approved: OrderApproved | ListApproved, order_id: str, order: Order, child_id: str, venue: str, now: int
) -> OrderSent:
    """An approved order, or one leg of an approved list."""
    return OrderSent(
        order_id=order_id,
        child_id=child_id,
        account=approved.account,
        venue=venue,
        order=order,
        bid=approved.bid,
        ask=approved.ask,
        sent_at=now,
        expires_at=now + RECEIVE_WINDOW_NS,
        list_id=approved.list_id if isinstance(approved, ListApproved) else "",
    )


def list_sent(approved: ListApproved, child_ids: list[str], venue: str, now: int) -> list[Event]:
    """The legs, each with a life of its own, and then the one request that they go in."""
    legs = list(zip(approved.legs, child_ids, strict=True))
    request = ListSent(
        list_id=approved.list_id,
        child_id=child_ids[0],
        account=approved.account,
        venue=venue,
        kind=approved.kind,
        legs=[ListLeg(child_id=child_id, order=leg.order) for leg, child_id in legs],
        sent_at=now,
        expires_at=now + RECEIVE_WINDOW_NS,
    )
    return [*(order_sent(approved, leg.order_id, leg.order, child_id, venue, now) for leg, child_id in legs), request]


def order_refused(order_id: str, child_id: str, account: str, venue: str, code: str, now: int) -> OrderRejected:
    """An order that is turned away here, and never sent."""
    return OrderRejected(
        order_id=order_id,
        child_id=child_id,
        account=account,
        venue=venue,
        code=code,
        message="it was not sent",
        session_sequence=0,
        at=now,
    )


def runaway(child: Child, approved: OrderApproved, now: int) -> OrderRejected:
    """A second approval of an order, for more than was sent. It names no order: the one that was sent lives on."""
    return OrderRejected(
        order_id="",
        child_id=f"{approved.order_id}.2",
        account=approved.account,
        venue=child.venue,
        code="RUNAWAY",
        message=f"{child.child_id} was sent for {child.order.quantity}, and {approved.order.quantity} approved since",
        session_sequence=0,
        at=now,
    )


def cancel_sent(child: Child, now: int) -> CancelSent:
    return CancelSent(sent_at=now, **child.names)


def amend_sent(child: Child, quantity: Decimal, price: Decimal | None, now: int) -> AmendSent:
    return AmendSent(quantity=quantity, price=price, sent_at=now, expires_at=now + RECEIVE_WINDOW_NS, **child.names)


def amend_refused(child: Child, code: str, now: int) -> AmendRejected:
    """Without a word from the venue."""
    return AmendRejected(code=code, session_sequence=0, at=now, **child.names)


def amend_of_none(approved: AmendApproved, child_id: str, venue: str, now: int) -> AmendRejected:
    """There is no such order any more."""
    return AmendRejected(
        order_id=approved.order_id,
        child_id=child_id,
        account=approved.account,
        venue=venue,
        code="ORDER_IS_OVER",
        session_sequence=0,
        at=now,
    )


def send_what_waited(child: Child, now: int, emit: Emit) -> None:
    """What overtook its order found nothing at the venue; the order has just got there."""
    if child.amend is not None and child.amend.put_off:
        emit(amend_sent(child, child.amend.quantity, child.amend.price, now))
    if child.cancelling:
        emit(cancel_sent(child, now))


def chase(state: State, now: int, emit: Emit) -> None:
    """Asks the venue about every request whose answer is overdue."""
    for child_id, due_at in list(state.awaited.items()):
        if due_at > now:
            return
        child = state.live[child_id]
        unknown = child.stage not in AT_VENUE
        if child.stage == "sent":
            emit(OutcomeUnknown(request="order", at=now, **child.names))
        elif not unknown:
            unknown = _chase_changes(child, now, emit)
        if unknown:
            emit(QuerySent(sent_at=now, **child.names))


def _chase_changes(child: Child, now: int, emit: Emit) -> bool:
    """Cancel and amend of an order at the venue. Returns whether the venue must be asked what became of them."""
    unknown = child.cancelling
    if child.cancelling:
        emit(OutcomeUnknown(request="cancel", at=now, **child.names))
    amend = child.amend
    if amend is None:
        return unknown
    if not amend.put_off:
        emit(OutcomeUnknown(request="amend", at=now, **child.names))
        return True
    if now > amend.expires_at:
        emit(amend_refused(child, amend.put_off, now))
    else:
        emit(
            AmendSent(
                quantity=amend.quantity, price=amend.price, sent_at=now, expires_at=amend.expires_at, **child.names
            )
        )
    return unknown
