"""What was sent to which venue, and what became of it?

Each child order has the id `<order id>.<n>`, made from the event that caused it, so the same decision
taken twice names the same child. Everything learnt from the venue carries `session_sequence`, its number in
the venue's session feed (0 when it did not come from the feed).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from bot4_common.messages.terms import Event, Liquidity, ListKind, Order, Side


class OrderSent(Event, frozen=True, kw_only=True, tag="order_sent"):
    """A request to the venue, which must not accept it after `expires_at` (ns): that bounds how long it is unknown.

    With a `list_id` it is a leg of the `ListSent` that follows, which is the request.
    """

    order_id: str
    child_id: str
    account: str
    venue: str
    order: Order
    bid: Decimal
    ask: Decimal
    sent_at: int
    expires_at: int
    list_id: str = ""


class ListLeg(msgspec.Struct, frozen=True, kw_only=True):
    child_id: str
    order: Order


class ListSent(Event, frozen=True, kw_only=True, tag="list_sent"):
    """A request to the venue: take all these orders as one list, or none. The first leg's child id is `child_id`."""

    list_id: str
    child_id: str
    account: str
    venue: str
    kind: ListKind
    legs: list[ListLeg]
    sent_at: int
    expires_at: int


class AmendSent(Event, frozen=True, kw_only=True, tag="amend_sent"):
    """A request to the venue: give the order this total and price, not later than `expires_at` (ns)."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    price: Decimal | None
    sent_at: int
    expires_at: int


class CancelSent(Event, frozen=True, kw_only=True, tag="cancel_sent"):
    order_id: str
    child_id: str
    account: str
    venue: str
    sent_at: int


class QuerySent(Event, frozen=True, kw_only=True, tag="query_sent"):
    """Asks the venue what became of a child: the only way out of *unknown*."""

    order_id: str
    child_id: str
    account: str
    venue: str
    sent_at: int


class ResendRequested(Event, frozen=True, kw_only=True, tag="resend_requested"):
    """Asks the venue to repeat the session feed from `session_sequence` on."""

    venue: str
    session: str
    session_sequence: int
    sent_at: int


class OrderAcknowledged(Event, frozen=True, kw_only=True, tag="order_acknowledged"):
    order_id: str
    child_id: str
    account: str
    venue: str
    venue_order_id: str
    session_sequence: int
    accepted_at: int


class OrderRejected(Event, frozen=True, kw_only=True, tag="order_rejected"):
    """The venue proved that it did not accept the order; or, not from the feed, the order was never sent. `at` is when
    that was known (ns)."""

    order_id: str
    child_id: str
    account: str
    venue: str
    code: str
    message: str
    session_sequence: int
    at: int = 0


class OrderFilled(Event, frozen=True, kw_only=True, tag="order_filled"):
    """One trade of one child. `cumulative` and `leaves` are the child's after it; `bid`/`ask` the arrival prices.

    A `late` one is of an order that was over already, which it does not bring back. It comes with the `stop_loss` of
    that order, so that nobody else has to remember it.
    """

    order_id: str
    child_id: str
    account: str
    strategy: str
    symbol: str
    side: Side
    venue: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    cumulative: Decimal
    leaves: Decimal
    liquidity: Liquidity
    bid: Decimal
    ask: Decimal
    session_sequence: int
    traded_at: int
    late: bool = False
    stop_loss: Decimal | None = None


class OrderTriggered(Event, frozen=True, kw_only=True, tag="order_triggered"):
    """A stop of the venue's reached its trigger and is an order of the book from here on."""

    order_id: str
    child_id: str
    account: str
    venue: str
    session_sequence: int


class OrderAmended(Event, frozen=True, kw_only=True, tag="order_amended"):
    """The venue gave the order another total or price. `leaves` is what is still to be filled."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    price: Decimal | None
    leaves: Decimal
    session_sequence: int


class AmendRejected(Event, frozen=True, kw_only=True, tag="amend_rejected"):
    """The order is as it was before the amend: the venue refused it, or can no longer take it. `at` is when that was
    known (ns)."""

    order_id: str
    child_id: str
    account: str
    venue: str
    code: str
    session_sequence: int
    at: int = 0


class OrderPrevented(Event, frozen=True, kw_only=True, tag="order_prevented"):
    """The venue's own self-trade prevention: `quantity` of the order will not trade, since `other_id` is of the same
    owner. `leaves` is what is still to be filled."""

    order_id: str
    child_id: str
    account: str
    venue: str
    other_id: str
    quantity: Decimal
    leaves: Decimal
    session_sequence: int


class OrderTrimmed(Event, frozen=True, kw_only=True, tag="order_trimmed"):
    """The venue made a reduce-only order smaller, because the position shrank. `quantity` is its new total, `leaves`
    what of it is still to be filled."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    leaves: Decimal
    session_sequence: int


class OrderCancelled(Event, frozen=True, kw_only=True, tag="order_cancelled"):
    """`quantity` is what was left of the order and will not fill."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    reason: str
    session_sequence: int


class OrderExpired(Event, frozen=True, kw_only=True, tag="order_expired"):
    """The venue ended the order by its own terms: an IOC remainder, a market order without liquidity."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    reason: str
    session_sequence: int


class CancelRejected(Event, frozen=True, kw_only=True, tag="cancel_rejected"):
    order_id: str
    child_id: str
    account: str
    venue: str
    code: str
    session_sequence: int


class OutcomeUnknown(Event, frozen=True, kw_only=True, tag="outcome_unknown"):
    """No answer in time, at `at` (ns). Nothing is assumed and nothing is sent again: the venue is asked."""

    order_id: str
    child_id: str
    account: str
    venue: str
    request: Literal["order", "cancel", "amend"]
    at: int = 0


class OrderLost(Event, frozen=True, kw_only=True, tag="order_lost"):
    """The venue does not know the order and, its time being past `expires_at`, can no longer accept it. `at` is when
    that was known (ns)."""

    order_id: str
    child_id: str
    account: str
    venue: str
    quantity: Decimal
    session_sequence: int
    at: int = 0


class FillQuarantined(Event, frozen=True, kw_only=True, tag="fill_quarantined"):
    """A fill that contradicts what is known (`reason`). It is kept and alerted, not applied."""

    order_id: str
    child_id: str
    account: str
    venue: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    reason: str
    session_sequence: int


class FeedAdvanced(Event, frozen=True, kw_only=True, tag="feed_advanced"):
    """A message of the session feed that changed nothing else was taken note of.

    With a `request`, it said at `at` (ns) that the venue does not take this request for `child_id` just now, with this
    `code`: it will be asked again.
    """

    venue: str
    session: str
    session_sequence: int
    child_id: str = ""
    request: Literal["", "cancel", "amend"] = ""
    code: str = ""
    at: int = 0
