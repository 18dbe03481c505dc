"""What would an order cost? Asked of the cost model over the bus, off the order path, and not journaled."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from bot4_common.messages.terms import OrderType, Side

SUBJECT = "cost.estimate"


class EstimateRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`venue` is where; empty: at the default venue."""

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType = "market"
    venue: str = ""


class Estimate(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="estimate"):
    """Costs in quote currency against the mid, for an order filled at the touch: `spread + fee == total`.

    A limit order is taken to rest and fill as a maker: it earns the half-spread.
    """

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType
    venue: str
    bid: Decimal
    ask: Decimal
    spread: Decimal
    fee: Decimal
    total: Decimal
    # Of the notional at the mid, in hundredths of a percent, rounded to four digits.
    total_bps: Decimal


class EstimateRefused(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag="refused"):
    code: str
    details: dict[str, str]


_requests = msgspec.json.Decoder(EstimateRequest)
_answers: msgspec.json.Decoder[Estimate | EstimateRefused] = msgspec.json.Decoder(Estimate | EstimateRefused)


def decode_request(data: bytes) -> EstimateRequest:
    return _requests.decode(data)


def decode_answer(data: bytes) -> Estimate | EstimateRefused:
    return _answers.decode(data)
