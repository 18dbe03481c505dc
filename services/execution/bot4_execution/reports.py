"""What does a word of the venue mean? Each message of its feed as events of ours, in the light of what is known.

A word that cannot be, or that says nothing new, is only noted; a fill that cannot be is kept apart and alerted. All
that ends an order ends the amend under way with it, and that is said first.
"""

from __future__ import annotations

from typing import Any

from bot4_common.errors import is_retryable
from bot4_common.messages.execution import (
    AmendRejected,
    CancelRejected,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderTriggered,
    OrderTrimmed,
)
from bot4_common.messages.market import SessionMessage
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import (
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTriggered,
    VenueOrderTrimmed,
)
from bot4_execution.lifecycle import AT_VENUE, FILLABLE, OVER, follows
from bot4_execution.requests import amend_refused
from bot4_execution.state import Child


def report(child: Child | None, venue: str, message: SessionMessage, now: int) -> list[Event]:
    """What the next message of a venue's feed is to us. `child` is the order it is about, if that is known there."""
    match message:
        case VenueFilled():
            news = _filled(child, venue, message)
        case _ if child is None:
            news = _noted(venue, message)
        case VenueOrderStatus():
            news = _answered(child, message, now)
        case VenueCancelRejected():
            news = _cancel_rejected(child, message, now)
        case VenueAmendRejected():
            news = _amend_rejected(child, message, now)
        case VenueOrderAmended() | VenueOrderPrevented() | VenueOrderTrimmed():
            news = _resized(child, message)
        case _:
            news = _moved(child, message, now)
    if child is not None and child.amend is not None and _is_end(news):
        return [amend_refused(child, "ORDER_IS_OVER", now), news]
    return [news]


def _noted(venue: str, message: SessionMessage) -> FeedAdvanced:
    return FeedAdvanced(venue=venue, session=message.session, session_sequence=message.session_sequence)


def _put_off(child: Child, message: VenueCancelRejected | VenueAmendRejected, now: int) -> FeedAdvanced:
    """The venue did not take a request just now: it is asked for again."""
    return FeedAdvanced(
        venue=child.venue,
        session=message.session,
        session_sequence=message.session_sequence,
        child_id=child.child_id,
        request="cancel" if isinstance(message, VenueCancelRejected) else "amend",
        code=message.code,
        at=now,
    )


def _known(child: Child, message: SessionMessage) -> dict[str, Any]:
    return {"session_sequence": message.session_sequence, **child.names}


def _is_end(news: Event) -> bool:
    match news:
        case OrderFilled():
            return not news.leaves
        case OrderRejected() | OrderCancelled() | OrderExpired() | OrderLost():
            return True
    return False


def _moved(
    child: Child,
    message: VenueOrderAccepted | VenueOrderRejected | VenueOrderTriggered | VenueOrderCancelled | VenueOrderExpired,
    now: int,
) -> Event:
    """The venue's word on the order's life as our event; a word the table does not know is only noted."""
    known = _known(child, message)
    match message:
        case VenueOrderAccepted() if follows(child.stage, "acknowledged"):
            return OrderAcknowledged(venue_order_id=message.venue_order_id, accepted_at=message.at, **known)
        case VenueOrderRejected() if follows(child.stage, "rejected"):
            return OrderRejected(code=message.code, message=message.message, at=now, **known)
        case VenueOrderTriggered() if child.stage in AT_VENUE:
            return OrderTriggered(**known)
        case VenueOrderCancelled() if follows(child.stage, "cancelled"):
            return OrderCancelled(quantity=message.quantity, reason=message.reason, **known)
        case VenueOrderExpired() if follows(child.stage, "expired"):
            return OrderExpired(quantity=message.quantity, reason=message.reason, **known)
    return _noted(child.venue, message)


def _resized(child: Child, message: VenueOrderAmended | VenueOrderPrevented | VenueOrderTrimmed) -> Event:
    """The venue's word on how much of the order there is. What it says is left may be less than we know of, by what has
    traded and is yet to be told (51). One that does not add up is only noted: what is filled thereafter does not add up
    either, and is alerted."""
    known = _known(child, message)
    if child.stage not in AT_VENUE:
        return _noted(child.venue, message)
    match message:
        case VenueOrderTrimmed() if (leaves := message.quantity - child.prevented - child.cumulative) >= 0:
            return OrderTrimmed(quantity=message.quantity, leaves=leaves, **known)
        case VenueOrderPrevented() if 0 <= message.leaves <= (leaves := child.leaves - message.quantity):
            return OrderPrevented(other_id=message.other_id, quantity=message.quantity, leaves=leaves, **known)
        case VenueOrderAmended() if _is_news(child, message):
            leaves = message.quantity - child.prevented - child.cumulative
            return OrderAmended(quantity=message.quantity, price=message.price, leaves=leaves, **known)
    return _noted(child.venue, message)


def _is_news(child: Child, amended: VenueOrderAmended) -> bool:
    """Whether it adds up, and answers our amend or changes something: a leg of a list changes unasked."""
    answers = child.amend is not None and child.amend.is_met_by(amended.quantity, amended.price)
    changes = (amended.quantity, amended.price) != (child.quantity, child.price)
    adds_up = 0 <= amended.leaves <= amended.quantity - child.prevented - child.cumulative
    return adds_up and (answers or changes)


def _filled(child: Child | None, venue: str, fill: VenueFilled) -> Event:
    """A fill is applied by its increment and checked against the cumulative quantity, also when its order is over (51);
    what contradicts is kept apart and alerted, a repeat of the same trade is only noted."""
    contradiction = _contradiction(child, fill)
    if child is not None and child.trades.get(fill.trade_id) == (fill.price, fill.quantity):
        return _noted(venue, fill)
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
    late = child.stage in OVER
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
        leaves=child.fillable - fill.cumulative,
        liquidity=fill.liquidity,
        bid=child.bid,
        ask=child.ask,
        session_sequence=fill.session_sequence,
        traded_at=fill.at,
        late=late,
        stop_loss=child.order.stop_loss if late else None,
    )


def _contradiction(child: Child | None, fill: VenueFilled) -> str:
    """What of a fill cannot be. An amend under way counts for nothing: the feed is in order, so what the venue says of
    an order is true of the total that it told last."""
    if child is None:
        return "no such order"
    if fill.trade_id in child.trades:
        return "trade id seen with other fields"
    if child.stage not in FILLABLE:
        return f"order is {child.stage}"
    if (fill.account, fill.symbol, fill.side) != (child.account, child.order.symbol, child.order.side):
        return f"order is to {child.order.side} {child.order.symbol} for {child.account}"
    if fill.quantity <= 0 or fill.price <= 0:
        return f"{fill.quantity} at {fill.price}"
    if child.cumulative + fill.quantity != fill.cumulative:
        return f"cumulative {fill.cumulative} after {child.cumulative} and {fill.quantity}"
    if fill.cumulative > child.fillable:
        return f"overfill: {fill.cumulative} of {child.fillable}"
    # Of an order that is over a venue may say what the trade left, or that nothing is left.
    if fill.cumulative + fill.leaves != child.fillable and (child.stage in AT_VENUE or fill.leaves):
        return f"leaves {fill.leaves} after {fill.cumulative} of {child.fillable}"
    return ""


def _answered(child: Child, status: VenueOrderStatus, now: int) -> Event:
    """The answer to a query. It stands in the feed behind all that happened to the order before it, so what it
    adds is only: the venue never had the order, or what was to change it never arrived and no longer can."""
    if status.state == "unknown" and follows(child.stage, "lost") and status.at > child.expires_at:
        return OrderLost(quantity=child.leaves, at=now, **_known(child, status))
    amend = child.amend
    if amend is None or amend.put_off or child.stage not in AT_VENUE:
        return _noted(child.venue, status)
    leaves = status.quantity - child.prevented - child.cumulative
    if amend.is_met_by(status.quantity, status.price) and leaves >= 0:
        return OrderAmended(quantity=status.quantity, price=status.price, leaves=leaves, **_known(child, status))
    if status.at > amend.expires_at:
        return AmendRejected(code="AMEND_LOST", at=now, **_known(child, status))
    return _noted(child.venue, status)


def _cancel_rejected(child: Child, message: VenueCancelRejected, now: int) -> Event:
    """A venue that takes no cancels just now has not refused this one: it is awaited, and asked for again."""
    if is_retryable(message.code) and child.stage not in OVER:
        return _put_off(child, message, now)
    return CancelRejected(code=message.code, **_known(child, message))


def _amend_rejected(child: Child, message: VenueAmendRejected, now: int) -> Event:
    """An amend that overtook its order, or that the venue does not take just now, is asked for again, but not beyond
    its time."""
    if child.amend is None:
        return _noted(child.venue, message)
    overtook = child.stage not in AT_VENUE
    if overtook or (is_retryable(message.code) and now <= child.amend.expires_at):
        return _put_off(child, message, now)
    return AmendRejected(code=message.code, at=now, **_known(child, message))
