"""Which words do all speakers share? The nouns of the trade, each declared once."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["buy", "sell"]
OrderType = Literal[
    "limit", "market", "stop_market", "stop_limit", "take_profit_market", "take_profit_limit", "trailing_stop"
]
TimeInForce = Literal["gtc", "ioc", "fok", "gtd"]
Liquidity = Literal["maker", "taker"]
Prevention = Literal["none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both"]
ListKind = Literal["oco", "oto", "otoco", "ouo"]
ReplaceMode = Literal["stop_on_failure", "allow_failure"]
# What a kill switch stops.
Scope = Literal["firm", "account", "strategy", "symbol"]

# Where everything happened that names no venue: it was written when there was only this one.
FIRST_VENUE = "sim"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Common shape of everything that is ever written: immutable, tagged by hand, JSON.

    A tag never changes and never changes its meaning; a new field has a default.
    """


class EventId(msgspec.Struct, frozen=True, order=True):
    """Where an event stands: the identity it has everywhere.

    `sequence` counts the frames of the stream from 1, `index` the events inside the frame from 0.
    """

    stream: str
    sequence: int
    index: int

    def __str__(self) -> str:
        return f"{self.stream}:{self.sequence}:{self.index}"


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a caller wants done. One declaration for the REST body, the bus and the journal.

    `quantity` is in units of the base asset, `price` and `stop_loss` in quote per base.
    `stop_loss` is the price beyond which the position this order opens is closed again.
    `stop_price` is the trigger of stops and take-profits. A trailing stop follows the market at `trail_bps` hundredths
    of a percent once `activation_price`, if it has one, was reached. `display_quantity` makes an iceberg of a resting
    order. `expire_at` (ns) ends a GTD order. `self_trade_prevention` says what happens where the order would meet one
    of the same owner; if it does not, the limits do. `signal` is the id of the recorded signal that caused the order.
    `venue` is where to trade. A caller may leave that to the system, which then trades at its default venue: risk
    writes the choice into the order it approves, and all that follows names it. What was asked, and so the
    fingerprint that tells repeats, stays as the caller said it.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    strategy: str
    price: Decimal | None = None
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    stop_loss: Decimal | None = None
    venue: str = ""
    stop_price: Decimal | None = None
    activation_price: Decimal | None = None
    trail_bps: int = 0
    display_quantity: Decimal | None = None
    expire_at: int = 0
    self_trade_prevention: Prevention | Literal[""] = ""
    signal: str = ""


class OrderList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders that depend on each other. OCO and OUO have two legs, OTO a parent and a child, OTOCO a parent and two
    legs that are an OCO once it is filled."""

    client_list_id: str
    kind: ListKind
    orders: list[Order]


def opposite(side: Side) -> Side:
    return "sell" if side == "buy" else "buy"


def signed(side: Side, quantity: Decimal) -> Decimal:
    """The change of a position: plus for a buy, minus for a sell."""
    return quantity if side == "buy" else -quantity
