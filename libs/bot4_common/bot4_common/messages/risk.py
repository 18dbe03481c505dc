"""What has risk decided? Approvals, refusals, reservations, lists, positions, stops, limits and kill switches."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import FIRST_VENUE, Event, ListKind, Order, Prevention, ReplaceMode, Scope, Side

CancelReason = Literal[
    "requested", "kill_switch", "stopped_out", "reduce_only", "contingency", "self_trade", "replaced"
]
# Why an order that was held back will never be sent.
HeldReason = Literal["requested", "kill_switch", "contingency", "reduce_only", "expired", "refused"]


class OrderApproved(Event, frozen=True, kw_only=True, tag="order_approved"):
    """The order may go to the venue; its quantity is reserved from here on.

    `bid` and `ask` are the market that the decision looked at; they are the arrival prices of the order. `order` may
    be smaller than what was submitted (reduce-only, self-trade prevention, correlation); `fingerprint` is that of the
    submission. `list_id` is the list it is a leg of.
    """

    order_id: str
    account: str
    order: Order
    fingerprint: str
    bid: Decimal
    ask: Decimal
    opening: bool
    at: int
    list_id: str = ""


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


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a list: the first leg of list `12-0` is order `12-0-leg1`."""

    order_id: str
    order: Order


class ListApproved(Event, frozen=True, kw_only=True, tag="list_approved"):
    """All legs are reserved from here on. A `native` list goes to the venue as one; otherwise risk holds back what has
    to wait, and each leg goes to the venue when it is approved."""

    list_id: str
    account: str
    client_list_id: str
    kind: ListKind
    native: bool
    legs: list[Leg]
    fingerprint: str
    bid: Decimal
    ask: Decimal
    at: int


class ListRefused(Event, frozen=True, kw_only=True, tag="list_refused"):
    list_id: str
    account: str
    client_list_id: str
    kind: ListKind
    legs: list[Leg]
    fingerprint: str
    code: str
    details: dict[str, str]
    at: int


class ListEnded(Event, frozen=True, kw_only=True, tag="list_ended"):
    """No leg of the list can trade any more."""

    list_id: str
    account: str


class OrderHeld(Event, frozen=True, kw_only=True, tag="order_held"):
    """Approved and reserved, but not to be sent yet: a leg that waits for its parent or its trigger, a stop for a venue
    that has none, or an order that takes the place of `replaces` once that is over. It is reserved at `price`."""

    order_id: str
    account: str
    order: Order
    fingerprint: str
    at: int
    list_id: str = ""
    price: Decimal = Decimal(0)
    replaces: str = ""
    mode: ReplaceMode = "stop_on_failure"


class HeldOrderTriggered(Event, frozen=True, kw_only=True, tag="held_order_triggered"):
    """The market in `bid` / `ask` reached the trigger of an order that risk held; its siblings go before it is sent."""

    order_id: str
    account: str
    bid: Decimal
    ask: Decimal
    at: int


class HeldOrderArmed(Event, frozen=True, kw_only=True, tag="held_order_armed"):
    """The parent filled: from here on this leg works for `quantity`, watching for its trigger if it has one."""

    order_id: str
    account: str
    quantity: Decimal


class HeldOrderCancelled(Event, frozen=True, kw_only=True, tag="held_order_cancelled"):
    """An order that was held will never be sent. `code` is the rule if it was refused in the end."""

    order_id: str
    account: str
    quantity: Decimal
    reason: HeldReason
    code: str = ""
    details: dict[str, str] = msgspec.field(default_factory=dict)


class AmendApproved(Event, frozen=True, kw_only=True, tag="amend_approved"):
    """The amend may go to the venue: the total that the order shall have, and its price. The larger of both quantities
    is reserved until the venue has spoken."""

    order_id: str
    account: str
    quantity: Decimal
    price: Decimal | None
    at: int


class AmendRefused(Event, frozen=True, kw_only=True, tag="amend_refused"):
    order_id: str
    account: str
    code: str
    details: dict[str, str]


class ReservationAmended(Event, frozen=True, kw_only=True, tag="reservation_amended"):
    """How an amend ended: the order now has this total and price and reserves `leaves`. With a `code` the venue has
    refused it and all is as before."""

    order_id: str
    account: str
    quantity: Decimal
    price: Decimal | None
    leaves: Decimal
    code: str = ""


class SelfTradePrevented(Event, frozen=True, kw_only=True, tag="self_trade_prevented"):
    """Before the venue: `order_id` would have met `resting_id` of the same owner. `quantity` and `resting_quantity` are
    what each of them loses by it; `price` is the resting order's."""

    order_id: str
    account: str
    resting_id: str
    resting_account: str
    symbol: str
    mode: Prevention
    quantity: Decimal
    resting_quantity: Decimal
    price: Decimal | None
    at: int


class CancelApproved(Event, frozen=True, kw_only=True, tag="cancel_approved"):
    order_id: str
    account: str
    reason: CancelReason


class CancelRefused(Event, frozen=True, kw_only=True, tag="cancel_refused"):
    order_id: str
    account: str
    code: str
    details: dict[str, str]


class CancelFailed(Event, frozen=True, kw_only=True, tag="cancel_failed"):
    """The venue refused to cancel an order that lives on there: it counts as not being cancelled."""

    order_id: str
    account: str
    code: str


class ReservationReduced(Event, frozen=True, kw_only=True, tag="reservation_reduced"):
    """The order lives on, but `quantity` of it will never fill: the venue trimmed it, or `prevented` so much of it from
    meeting another order of its owner, which its total still contains."""

    order_id: str
    account: str
    quantity: Decimal
    prevented: bool = False


class ReservationReleased(Event, frozen=True, kw_only=True, tag="reservation_released"):
    """The order is over; `quantity` is what of it will never fill. What it reserves besides has traded, and is reserved
    until those fills are told."""

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
    at: int = 0


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
    """`cause` tells whether somebody asked, or a guard did it."""

    account: str
    reason: str
    scope: Scope = "account"
    strategy: str = ""
    symbol: str = ""
    flatten: bool = False
    by: str = ""
    cause: Literal["request", "guard"] = "request"


class KillSwitchReset(Event, frozen=True, kw_only=True, tag="kill_switch_reset"):
    account: str
    reason: str
    scope: Scope = "account"
    strategy: str = ""
    symbol: str = ""
    by: str = ""


class KillSwitchResetRefused(Event, frozen=True, kw_only=True, tag="kill_switch_reset_refused"):
    """What was to be reset is not engaged."""

    account: str
    scope: Scope = "account"
    strategy: str = ""
    symbol: str = ""


class PositionFlattened(Event, frozen=True, kw_only=True, tag="position_flattened"):
    """A kill switch closes what it found: `exit_id` is the reduce-only order that does it."""

    account: str
    strategy: str
    symbol: str
    venue: str
    exit_id: str
    quantity: Decimal


class GuardTripped(Event, frozen=True, kw_only=True, tag="guard_tripped"):
    """A strategy ran away: `count` things of one kind within the guard's window, where `limit` are allowed."""

    account: str
    strategy: str
    guard: Literal["duplicates", "executions", "children"]
    count: int
    limit: int
    at: int


class LimitsChanged(Event, frozen=True, kw_only=True, tag="limits_changed"):
    """From here on these limits hold. `version` counts from 1; `source` is who or what brought them."""

    version: int
    document: LimitsDocument
    reason: str
    source: str
    at: int


class LimitsRefused(Event, frozen=True, kw_only=True, tag="limits_refused"):
    """They were to replace version `replaces`, and `version` is in force."""

    version: int
    replaces: int
    code: str


class MarksTaken(Event, frozen=True, kw_only=True, tag="marks_taken"):
    """The mids, by market (`venue/symbol`), that what is held is valued at until the next ones."""

    marks: dict[str, Decimal]
    at: int


class FeeBooked(Event, frozen=True, kw_only=True, tag="fee_booked"):
    """What a fill cost in fees, in quote currency; it lowers equity."""

    account: str
    strategy: str
    fee: Decimal


class HaltChanged(Event, frozen=True, kw_only=True, tag="halt_changed"):
    """Losses reached a limit, or no longer do. While halted, only what reduces is allowed. `name` is the account, or
    `account/strategy`, or empty for the firm; `value` and `limit` are percentages of `base` (quote currency)."""

    scope: Literal["firm", "account", "strategy"]
    name: str
    rule: Literal["drawdown", "daily_loss"]
    halted: bool
    value: Decimal
    limit: Decimal
    base: Decimal
    at: int


class EquityRebased(Event, frozen=True, kw_only=True, tag="equity_rebased"):
    account: str
    reason: str
    by: str
    at: int


class CorrelationsAdopted(Event, frozen=True, kw_only=True, tag="correlations_adopted"):
    """The version of the statistics that risk looks correlations up in from here on. `correlations` is square, in the
    order of `symbols`; `volatilities` are per period of the samples."""

    version: int
    symbols: list[str]
    correlations: list[list[Decimal]]
    volatilities: list[Decimal]


class StrategyRegistered(Event, frozen=True, kw_only=True, tag="strategy_registered"):
    account: str
    strategy: str
    registered: bool = True


class SignalAccepted(Event, frozen=True, kw_only=True, tag="signal_accepted"):
    signal_id: str
    account: str
    strategy: str
    symbol: str
    side: Side
    at: int


class SignalRefused(Event, frozen=True, kw_only=True, tag="signal_refused"):
    signal_id: str
    account: str
    strategy: str
    code: str
    details: dict[str, str]


class GateChanged(Event, frozen=True, kw_only=True, tag="gate_changed"):
    enabled: bool
    reason: str
    by: str


class GateDecided(Event, frozen=True, kw_only=True, tag="gate_decided"):
    """What the gate said to an order: a signal caused it (`passed`), it was `refused`, or somebody with the override
    key took responsibility (`overridden`) and gave a reason."""

    order_id: str
    account: str
    strategy: str
    decision: Literal["passed", "refused", "overridden"]
    signal: str = ""
    reason: str = ""
