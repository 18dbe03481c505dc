"""What is said on the bus and not journaled? The market as it is now, the venue's session feed, and timers.

A decision that used one of these carries the values it used.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from bot4_common.messages import venue
from bot4_common.messages.terms import Event


class Quote(Event, frozen=True, kw_only=True, tag="quote"):
    """Top of book of one venue: prices in quote per base, quantities in base, `at` in ns since the epoch."""

    venue: str
    symbol: str
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    at: int


class SessionHeartbeat(Event, frozen=True, kw_only=True, tag="session_heartbeat"):
    """The venue's clock and the last number it has given out in this session."""

    venue: str
    session: str
    session_sequence: int
    at: int


class FaultOrdered(Event, frozen=True, kw_only=True, tag="fault_ordered"):
    """Somebody wants a fault to begin at a venue and to last for `seconds`. An empty `session` means all of it."""

    kind: str
    seconds: float
    session: str = ""
    probability: float = 1.0
    factor: float = 10.0


class Tick(Event, frozen=True, kw_only=True, tag="tick"):
    """A deadline that a service asked for is due."""

    at: int


# What a venue tells a session: numbered, and repeated on request.
SessionMessage = (
    venue.VenueOrderAccepted
    | venue.VenueOrderRejected
    | venue.VenueFilled
    | venue.VenueOrderTriggered
    | venue.VenueOrderAmended
    | venue.VenueAmendRejected
    | venue.VenueOrderPrevented
    | venue.VenueOrderTrimmed
    | venue.VenueOrderCancelled
    | venue.VenueOrderExpired
    | venue.VenueCancelRejected
    | venue.VenueOrderStatus
)


class Spoken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing said on the bus, with the trace of the order it belongs to."""

    event: Quote | SessionHeartbeat | SessionMessage | FaultOrdered
    trace: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Spoken])


def encode_spoken(spoken: Sequence[Spoken]) -> bytes:
    """What is said in one breath: one message on the bus, so that it is heard, and decided, together."""
    return _encoder.encode(spoken)


def decode_spoken(data: bytes) -> list[Spoken]:
    return _decoder.decode(data)
