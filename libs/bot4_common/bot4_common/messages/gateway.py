"""What did callers ask? Commands: each may still be refused, by risk or by the venue.

The identity of a `PlaceOrder` in the stream becomes the order's id for the rest of its life.
"""

from __future__ import annotations

from bot4_common.messages.terms import Event, Order


class PlaceOrder(Event, frozen=True, kw_only=True, tag="place_order"):
    account: str
    order: Order


class CancelOrder(Event, frozen=True, kw_only=True, tag="cancel_order"):
    account: str
    order_id: str


class EngageKillSwitch(Event, frozen=True, kw_only=True, tag="engage_kill_switch"):
    account: str
    reason: str


class ResetKillSwitch(Event, frozen=True, kw_only=True, tag="reset_kill_switch"):
    account: str
    reason: str
