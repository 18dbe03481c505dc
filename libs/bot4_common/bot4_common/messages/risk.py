"""What has risk decided? Approvals, refusals, reservations, positions, stops and the kill switch."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from bot4_common.messages.terms import FIRST_VENUE, Event, Order, Side

CancelReason = Literal["requested", "kill_switch", "stopped_out", "reduce_only"]


class OrderApproved(Event, frozen=True, kw_only=True, tag="order_approved"):
    """The order may go to the venue; its quantity is reserved from here on.

    `bid` and `ask` are the market that the decision looked at; they are the arrival prices of the order. `order` may
    be smaller than what was submitted (reduce-only); `fingerprint` is that of the submission.
    """

    order_id: str
    account: str
    order: Order
    fingerprint: str
    bid: Decimal
    ask: Decimal
    opening: bool
    at: int


class OrderRefused(Event, frozen=True, kw_only=True, tag="order_refused"):
    """`code` is a key of `bot4_common.errors.REFUSALS`; `details` are the numbers that explain it."""

    order_id: str
    account: str
    order: Order
    fingerprint: str
    code: str
    details: dict[str, str]
    at: int


class OrderRepeated(Event, frozen=True, kw_only=True, tag="order_repeated"):
    """A submission whose client order id was taken: `first` is the order that has it."""

    order_id: str
    account: str
    client_order_id: str
    first: str
    same_body: bool


class CancelApproved(Event, frozen=True, kw_only=True, tag="cancel_approved"):
    order_id: str
    account: str
    reason: CancelReason


class CancelRefused(Event, frozen=True, kw_only=True, tag="cancel_refused"):
    order_id: str
    account: str
    code: str
    details: dict[str, str]


class ReservationReduced(Event, frozen=True, kw_only=True, tag="reservation_reduced"):
    """The order lives on, but `quantity` of it will never fill: the venue trimmed it."""

    order_id: str
    account: str
    quantity: Decimal


class ReservationReleased(Event, frozen=True, kw_only=True, tag="reservation_released"):
    """The order is over; `quantity` is what of it will never fill."""

    order_id: str
    account: str
    quantity: Decimal


class PositionChanged(Event, frozen=True, kw_only=True, tag="position_changed"):
    """A fill moved a position: what the account holds of a symbol at a venue, since what was bought at one cannot be
    sold at another. `quantity` is the signed change, `position` the net position after it."""

    order_id: str
    account: str
    strategy: str
    symbol: str
    quantity: Decimal
    price: Decimal
    position: Decimal
    venue: str = FIRST_VENUE


class StopArmed(Event, frozen=True, kw_only=True, tag="stop_armed"):
    """The protective stop of one opening order. `quantity` is all it now protects; zero disarms it. `venue` is where
    the position is: its quotes trigger the stop, and there the exit goes.

    `side` is the side of the exit: a stop that protects a long position sells.
    """

    order_id: str
    account: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    stop_price: Decimal
    venue: str = FIRST_VENUE


class StopTriggered(Event, frozen=True, kw_only=True, tag="stop_triggered"):
    """The market in `bid` / `ask` reached the stop; `exit_id` is the order that closes the position."""

    order_id: str
    account: str
    symbol: str
    exit_id: str
    quantity: Decimal
    stop_price: Decimal
    bid: Decimal
    ask: Decimal
    venue: str = FIRST_VENUE


class KillSwitchEngaged(Event, frozen=True, kw_only=True, tag="kill_switch_engaged"):
    account: str
    reason: str


class KillSwitchReset(Event, frozen=True, kw_only=True, tag="kill_switch_reset"):
    account: str
    reason: str
