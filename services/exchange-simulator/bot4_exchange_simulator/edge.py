"""What does the venue say to a request that it turns away before its engine sees it?

The engine's own refusals prove that nothing was done. Of these here not all do: a client that is told no more than
that the venue is not there does not know whether its order is (49).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from bot4_exchange_simulator.engine.refusals import REFUSALS as OF_THE_ENGINE


class EdgeRefusal(NamedTuple):
    """`venue_code`, `venue_message` and `status` are those of Binance spot; what stands in braces is filled in.

    `retryable`: the same request may succeed later. `outcome`: whether the answer proves that nothing was done.
    """

    meaning: str
    venue_code: int
    venue_message: str
    status: int
    retryable: bool
    outcome: Literal["refused", "unknown"]


REFUSALS: Final[Mapping[str, EdgeRefusal]] = {
    "RATE_LIMITED": EdgeRefusal(
        "The requests weigh more than may be asked in the time.",
        -1003,
        "Too much request weight used; current limit is {limit} request weight per {window}. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        429,
        True,
        "refused",
    ),
    "BANNED": EdgeRefusal(
        "The client went on asking after it was told to wait.",
        -1003,
        "Way too much request weight used; IP banned until {until}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        418,
        True,
        "refused",
    ),
    "VENUE_BUSY": EdgeRefusal(
        "The venue has too much to do just now.",
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
        503,
        True,
        "refused",
    ),
    "SUBMIT_DOWN": EdgeRefusal(
        "The venue takes no orders just now. Cancels it takes.",
        -2010,
        "Rest API trading is not enabled.",
        400,
        True,
        "refused",
    ),
    "CANCEL_DOWN": EdgeRefusal(
        "The venue takes no cancels just now. Orders it takes.",
        -2011,
        "Rest API trading is not enabled.",
        400,
        True,
        "refused",
    ),
    "VENUE_UNAVAILABLE": EdgeRefusal(
        "The venue is not there just now.",
        -1001,
        "Internal error; unable to process your request. Please try again.",
        503,
        True,
        "unknown",
    ),
    "VENUE_SILENT": EdgeRefusal(
        "The request or its answer was lost inside the venue.",
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        504,
        True,
        "unknown",
    ),
}

# The engine's refusals are answered by this status, but for those that are a matter of how much was asked.
STATUS_OF_A_REFUSAL: Final = 400
STATUSES_OF_THE_ENGINE: Final[Mapping[str, int]] = {"ORDER_COUNT": 429}


class Answer(NamedTuple):
    """What a client of the dialect is told."""

    status: int
    venue_code: int
    venue_message: str


def answer(code: str, numbers: Mapping[str, object] | None = None) -> Answer:
    """The answer to any refusal, of the engine or of the edge. `numbers` fill in the message: RATE_LIMITED has `limit`
    and `window`, BANNED has `until`. Raises `KeyError` for a code that neither knows."""
    refusal = REFUSALS.get(code)
    if refusal is not None:
        return Answer(refusal.status, refusal.venue_code, refusal.venue_message.format_map(numbers or {}))
    refused = OF_THE_ENGINE[code]
    return Answer(STATUSES_OF_THE_ENGINE.get(code, STATUS_OF_A_REFUSAL), refused.venue_code, refused.venue_message)
