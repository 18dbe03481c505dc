"""What is true at the venue? Orders, trades and every injected fault, whatever any client believes.

Events with a `session_sequence` are also what that session's client is told; it numbers them per session without a
gap. The feed may lose, repeat or delay them (`FeedFault`), the truth does not.

What enters the matching engine is an event (`VenueOrderEntered`, `VenueListEntered`, `VenueAmendEntered`,
`VenueCancelEntered`, `VenueMarketMoved`, `VenueTimePassed`), and so is what comes of it: the engine's state is the fold
of the first, and the second says what it did.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from bot4_common.messages.execution import AmendSent, CancelSent, ListLeg, ListSent, OrderSent, QuerySent
from bot4_common.messages.terms import Event, Liquidity, ListKind, Order, Side

VenueOrderState = Literal["unknown", "open", "filled", "cancelled", "expired", "rejected"]
# What struck a message told to a session, or a request on its way in.
FaultKind = Literal["drop", "gap", "disconnect", "duplicate", "delay", "drop_request", "down"]
FaultCause = Literal["chance", "schedule", "hand"]


class VenueRequestDelayed(Event, frozen=True, kw_only=True, tag="venue_request_delayed"):
    """A request is on its way in and reaches the matching engine at `due_at` (ns)."""

    session: str
    request: OrderSent | ListSent | AmendSent | CancelSent | QuerySent
    due_at: int


class VenueRequestArrived(Event, frozen=True, kw_only=True, tag="venue_request_arrived"):
    """A delayed request is at the engine now."""

    session: str
    request: OrderSent | ListSent | AmendSent | CancelSent | QuerySent


class VenueOrderEntered(Event, frozen=True, kw_only=True, tag="venue_order_entered"):
    """The matching engine takes up an order. What it makes of it are the events that follow in the same decision."""

    session: str
    account: str
    child_id: str
    order: Order
    at: int


class VenueListEntered(Event, frozen=True, kw_only=True, tag="venue_list_entered"):
    """The matching engine takes up a list."""

    session: str
    account: str
    list_id: str
    kind: ListKind
    legs: list[ListLeg]
    at: int


class VenueAmendEntered(Event, frozen=True, kw_only=True, tag="venue_amend_entered"):
    """The matching engine takes up an amend. `quantity` is the new total."""

    account: str
    child_id: str
    quantity: Decimal
    price: Decimal | None
    at: int


class VenueCancelEntered(Event, frozen=True, kw_only=True, tag="venue_cancel_entered"):
    """The matching engine takes up a cancel."""

    account: str
    child_id: str
    at: int


class VenueTimePassed(Event, frozen=True, kw_only=True, tag="venue_time_passed"):
    """Nothing enters the matching engine, but its clock goes on to `at` (ns): orders whose time is over end."""

    at: int


class VenueOrderAccepted(Event, frozen=True, kw_only=True, tag="venue_order_accepted"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    venue_order_id: str
    order: Order
    at: int


class VenueOrderRejected(Event, frozen=True, kw_only=True, tag="venue_order_rejected"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    code: str
    message: str
    at: int


class VenueTraded(Event, frozen=True, kw_only=True, tag="venue_traded"):
    """Two orders met. The price is the resting order's."""

    symbol: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    maker_id: str
    maker_account: str
    taker_id: str
    taker_account: str
    taker_side: Side
    at: int


class VenueFilled(Event, frozen=True, kw_only=True, tag="venue_filled"):
    """One side of a `VenueTraded`, told to the session that owns the order."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    trade_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    cumulative: Decimal
    leaves: Decimal
    liquidity: Liquidity
    at: int


class VenueFillWithheld(Event, frozen=True, kw_only=True, tag="venue_fill_withheld"):
    """An injected fault: one side of a `VenueTraded`, of which its session is not told before the order is over, or
    before `until` (ns). `fill` is what it will be told then, under the number that comes next."""

    fill: VenueFilled
    until: int


class VenueOrderTriggered(Event, frozen=True, kw_only=True, tag="venue_order_triggered"):
    """A stop reached its trigger."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    at: int


class VenueOrderAmended(Event, frozen=True, kw_only=True, tag="venue_order_amended"):
    """The order has a new total or price: by request, or because a leg of its list changed."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    quantity: Decimal
    price: Decimal | None
    leaves: Decimal
    at: int


class VenueAmendRejected(Event, frozen=True, kw_only=True, tag="venue_amend_rejected"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    code: str
    at: int


class VenueOrderPrevented(Event, frozen=True, kw_only=True, tag="venue_order_prevented"):
    """Self-trade prevention: `quantity` of the order will not trade with `other_id`, which is of the same owner.
    `leaves` is what is still open of it."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    other_id: str
    quantity: Decimal
    leaves: Decimal
    at: int


class VenueOrderTrimmed(Event, frozen=True, kw_only=True, tag="venue_order_trimmed"):
    """A reduce-only order shrank with the position it reduces: `quantity` is its new total."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    quantity: Decimal
    at: int


class VenueOrderCancelled(Event, frozen=True, kw_only=True, tag="venue_order_cancelled"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    quantity: Decimal
    reason: str
    at: int


class VenueOrderExpired(Event, frozen=True, kw_only=True, tag="venue_order_expired"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    quantity: Decimal
    reason: str
    at: int


class VenueCancelRejected(Event, frozen=True, kw_only=True, tag="venue_cancel_rejected"):
    session: str
    session_sequence: int
    account: str
    child_id: str
    code: str
    at: int


class VenueOrderStatus(Event, frozen=True, kw_only=True, tag="venue_order_status"):
    """The answer to a query, in sequence with everything else the session is told. `quantity` is the order's total as
    it is now, zero where an order is not known or over."""

    session: str
    session_sequence: int
    account: str
    child_id: str
    state: VenueOrderState
    cumulative: Decimal
    leaves: Decimal
    at: int
    quantity: Decimal = Decimal(0)
    price: Decimal | None = None


class VenueMarketMoved(Event, frozen=True, kw_only=True, tag="venue_market_moved"):
    """The rest of the market takes one step: it shows these (price, quantity) instead of what it showed before, and
    then these take: (side, limit price, quantity)."""

    symbol: str
    step: int
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    flow: list[tuple[Side, Decimal, Decimal]]
    at: int


class VenueSessionAcknowledged(Event, frozen=True, kw_only=True, tag="venue_session_acknowledged"):
    """The client has everything up to `session_sequence`: it will not be asked for again."""

    session: str
    session_sequence: int


class VenueResent(Event, frozen=True, kw_only=True, tag="venue_resent"):
    """The client found a gap; `session_sequence` up to and including `through` is told again."""

    session: str
    session_sequence: int
    through: int


class FeedFault(Event, frozen=True, kw_only=True, tag="feed_fault"):
    """An injected fault. With a `session_sequence` it struck that message, else a request, for `child_id` if it had
    one. A message is lost but for `duplicate` and `delay`; a request is lost."""

    session: str
    kind: FaultKind
    session_sequence: int = 0
    child_id: str = ""
    delay_ns: int = 0


class VenueFaultBegan(Event, frozen=True, kw_only=True, tag="venue_fault_began"):
    """A fault that lasts, from `since` until before `until` (ns): of one session, or of the whole venue (empty).

    `kind` is one the simulator's faults know. Of what it could strike it strikes with `probability`; what is slow takes
    `factor` times as long.
    """

    kind: str
    since: int
    until: int
    session: str = ""
    probability: float = 1.0
    factor: float = 10.0
    cause: FaultCause = "chance"


class VenueRequestCharged(Event, frozen=True, kw_only=True, tag="venue_request_charged"):
    """A request was weighed against the session's limits; it passed unless a refusal follows."""

    session: str
    account: str
    request: str
    at: int
