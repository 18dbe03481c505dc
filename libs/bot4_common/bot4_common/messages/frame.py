"""What is one message on a stream? A frame: all that a writer decided while its previous frame was being stored.

Frames are chained: each names the hash of the same writer's frame before it, so whoever reads can tell a lost,
altered or reordered frame from history.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from bot4_common.messages import breakers, cost, execution, gateway, risk, venue
from bot4_common.messages.terms import EventId

AnyEvent = (
    breakers.BreakerChanged
    | gateway.PlaceOrder
    | gateway.PlaceList
    | gateway.AmendOrder
    | gateway.ReplaceOrder
    | gateway.CancelOrder
    | gateway.EngageKillSwitch
    | gateway.ResetKillSwitch
    | gateway.SetLimits
    | gateway.RebaseEquity
    | gateway.SetGate
    | gateway.RegisterStrategy
    | gateway.RecordSignal
    | risk.OrderApproved
    | risk.OrderRefused
    | risk.OrderRepeated
    | risk.ListApproved
    | risk.ListRefused
    | risk.ListEnded
    | risk.OrderHeld
    | risk.HeldOrderTriggered
    | risk.HeldOrderArmed
    | risk.HeldOrderCancelled
    | risk.AmendApproved
    | risk.AmendRefused
    | risk.ReservationAmended
    | risk.SelfTradePrevented
    | risk.CancelApproved
    | risk.CancelRefused
    | risk.CancelFailed
    | risk.ReservationReduced
    | risk.ReservationReleased
    | risk.PositionChanged
    | risk.StopArmed
    | risk.StopTriggered
    | risk.KillSwitchEngaged
    | risk.KillSwitchReset
    | risk.KillSwitchResetRefused
    | risk.PositionFlattened
    | risk.GuardTripped
    | risk.LimitsChanged
    | risk.LimitsRefused
    | risk.MarksTaken
    | risk.FeeBooked
    | risk.HaltChanged
    | risk.EquityRebased
    | risk.CorrelationsAdopted
    | risk.StrategyRegistered
    | risk.SignalAccepted
    | risk.SignalRefused
    | risk.GateChanged
    | risk.GateDecided
    | execution.OrderSent
    | execution.ListSent
    | execution.AmendSent
    | execution.CancelSent
    | execution.QuerySent
    | execution.ResendRequested
    | execution.OrderAcknowledged
    | execution.OrderRejected
    | execution.OrderFilled
    | execution.OrderTriggered
    | execution.OrderAmended
    | execution.AmendRejected
    | execution.OrderPrevented
    | execution.OrderTrimmed
    | execution.OrderCancelled
    | execution.OrderExpired
    | execution.CancelRejected
    | execution.OutcomeUnknown
    | execution.OrderLost
    | execution.FillQuarantined
    | execution.FeedAdvanced
    | venue.VenueRequestDelayed
    | venue.VenueRequestArrived
    | venue.VenueOrderEntered
    | venue.VenueListEntered
    | venue.VenueAmendEntered
    | venue.VenueCancelEntered
    | venue.VenueTimePassed
    | venue.VenueOrderAccepted
    | venue.VenueOrderRejected
    | venue.VenueTraded
    | venue.VenueFilled
    | venue.VenueFillWithheld
    | venue.VenueOrderTriggered
    | venue.VenueOrderAmended
    | venue.VenueAmendRejected
    | venue.VenueOrderPrevented
    | venue.VenueOrderTrimmed
    | venue.VenueOrderCancelled
    | venue.VenueOrderExpired
    | venue.VenueCancelRejected
    | venue.VenueOrderStatus
    | venue.VenueMarketMoved
    | venue.VenueSessionAcknowledged
    | venue.VenueResent
    | venue.FeedFault
    | venue.VenueFaultBegan
    | venue.VenueRequestCharged
    | cost.CostRecorded
    | cost.PricesSampled
    | cost.StatisticsPublished
)


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one input led to. `cause` is that input (none for a caller, a timer or a venue's message), `trace` its
    W3C traceparent when the order is sampled."""

    events: list[AnyEvent]
    cause: EventId | None = None
    trace: str | None = None


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`number` counts this writer's frames from 1; `previous` is the hash of its last one (empty for the first).

    `decided_at` is in ns since the epoch. `read` says how far each input stream had been consumed.
    """

    writer: str
    number: int
    previous: str
    decided_at: int
    decisions: list[Decision]
    read: dict[str, int] = {}

    def events(self, stream: str, sequence: int) -> Iterator[tuple[EventId, AnyEvent, Decision]]:
        """Every event with its identity, given where the frame stands."""
        index = 0
        for decision in self.decisions:
            for event in decision.events:
                yield EventId(stream, sequence, index), event, decision
                index += 1


_encoder = msgspec.json.Encoder()
_frames = msgspec.json.Decoder(Frame)


def encode(message: msgspec.Struct) -> bytes:
    return _encoder.encode(message)


def decode_frame(data: bytes) -> Frame:
    """Raises `msgspec.DecodeError` (or `ValidationError`) when the bytes are not a frame this version knows."""
    try:
        return _frames.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def frame_hash(data: bytes) -> str:
    """The hash the next frame of the same writer must name: 128 bits over the stored bytes."""
    return blake2b(data, digest_size=16).hexdigest()
