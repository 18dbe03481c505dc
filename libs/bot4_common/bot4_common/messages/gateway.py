"""What did callers ask? Commands: each may still be refused, by risk or by the venue.

The identity of a `PlaceOrder` in the stream becomes the order's id for the rest of its life; so it is with lists,
replacing orders and signals. Whoever acts on more than an account's own orders is named in `by`.
"""

from __future__ import annotations

from decimal import Decimal

from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import Event, Order, OrderList, ReplaceMode, Scope, Side


class PlaceOrder(Event, frozen=True, kw_only=True, tag="place_order"):
    """`override` is the reason given with a valid override key, for an order that no signal caused."""

    account: str
    order: Order
    override: str = ""


class PlaceList(Event, frozen=True, kw_only=True, tag="place_list"):
    account: str
    list: OrderList
    override: str = ""


class AmendOrder(Event, frozen=True, kw_only=True, tag="amend_order"):
    """`quantity` is the new total, filled part included. What is absent stays as it is."""

    account: str
    order_id: str
    quantity: Decimal | None = None
    price: Decimal | None = None


class ReplaceOrder(Event, frozen=True, kw_only=True, tag="replace_order"):
    """Cancels one order and places another; if the cancel fails, only with `allow_failure`."""

    account: str
    order_id: str
    order: Order
    mode: ReplaceMode
    override: str = ""


class CancelOrder(Event, frozen=True, kw_only=True, tag="cancel_order"):
    account: str
    order_id: str


class EngageKillSwitch(Event, frozen=True, kw_only=True, tag="engage_kill_switch"):
    """`scope` says what stops: the firm, the account, one `strategy` of the account, or one `symbol` for everybody.
    `flatten`: what is held there is closed as well."""

    account: str
    reason: str
    scope: Scope = "account"
    strategy: str = ""
    symbol: str = ""
    flatten: bool = False
    by: str = ""


class ResetKillSwitch(Event, frozen=True, kw_only=True, tag="reset_kill_switch"):
    account: str
    reason: str
    scope: Scope = "account"
    strategy: str = ""
    symbol: str = ""
    by: str = ""


class SetLimits(Event, frozen=True, kw_only=True, tag="set_limits"):
    """Takes the place of the limits of version `replaces`, if that is what they are; 0 replaces whatever there is."""

    document: LimitsDocument
    reason: str
    by: str
    replaces: int = 0


class RebaseEquity(Event, frozen=True, kw_only=True, tag="rebase_equity"):
    """Drawdown and the day's loss are counted anew from the equity of now; of one account, or of everything (empty)."""

    account: str
    reason: str
    by: str


class SetGate(Event, frozen=True, kw_only=True, tag="set_gate"):
    enabled: bool
    reason: str
    by: str


class RegisterStrategy(Event, frozen=True, kw_only=True, tag="register_strategy"):
    account: str
    strategy: str
    registered: bool = True


class RecordSignal(Event, frozen=True, kw_only=True, tag="record_signal"):
    """A registered strategy's wish to trade, before any order: `side` is the direction, `note` what it saw."""

    account: str
    strategy: str
    symbol: str
    side: Side
    note: str = ""
