"""Why was a request refused, and what should the caller do about it?

Every refusal has a stable code. `REFUSALS` is the whole taxonomy: HTTP status, whether the same request may
succeed later, and the exception class with which exchange clients of the ccxt family know it.
"""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    status: int
    retryable: bool
    ccxt: str
    meaning: str


REFUSALS: dict[str, Refusal] = {
    # What the gateway sees at once: nothing is journaled.
    "BAD_BODY": Refusal(400, False, "BadRequest", "The body is not the JSON that the documentation describes."),
    "BAD_FIELD": Refusal(422, False, "InvalidOrder", "A field has a value that can never be right."),
    "UNKNOWN_SYMBOL": Refusal(422, False, "BadSymbol", "No such instrument."),
    "TICK_SIZE": Refusal(422, False, "InvalidOrder", "The price lies between two ticks."),
    "LOT_SIZE": Refusal(422, False, "InvalidOrder", "The quantity lies between two lots."),
    "QUANTITY_RANGE": Refusal(422, False, "InvalidOrder", "The quantity is outside the instrument's range."),
    "NOTIONAL_TOO_SMALL": Refusal(422, False, "InvalidOrder", "Price times quantity is below the minimum."),
    "STOP_ON_WRONG_SIDE": Refusal(422, False, "InvalidOrder", "The stop-loss is not on the losing side of the price."),
    "UNAUTHENTICATED": Refusal(401, False, "AuthenticationError", "The X-API-Key header is missing or unknown."),
    "NOT_FOUND": Refusal(404, False, "BadRequest", "There is nothing at this address."),
    "METHOD_NOT_ALLOWED": Refusal(405, False, "BadRequest", "This address does not know this method."),
    "BODY_TOO_LARGE": Refusal(413, False, "BadRequest", "The body is larger than any order."),
    "UNKNOWN_ORDER": Refusal(404, False, "OrderNotFound", "The account has no such order."),
    "KEY_REUSED": Refusal(409, False, "DuplicateOrderId", "The client order id was used with another body."),
    "OVERLOADED": Refusal(503, True, "ExchangeNotAvailable", "The queue is full; nothing was accepted."),
    "OUTCOME_UNKNOWN": Refusal(
        503,
        True,
        "RequestTimeout",
        "The journal did not answer in time. Repeat with the same client order id.",
    ),
    "UNAVAILABLE": Refusal(503, True, "ExchangeNotAvailable", "The service that answers this is not there just now."),
    "INTERNAL": Refusal(500, False, "ExchangeError", "A fault of ours. Ask what became of the request."),
    # What risk decides: journaled as `OrderRefused` or `CancelRefused`.
    "KILL_SWITCH": Refusal(403, False, "PermissionDenied", "The account's kill switch is engaged."),
    "DUPLICATE_LIVE_ORDER": Refusal(409, False, "DuplicateOrderId", "An open order has this client order id."),
    "NO_MARKET": Refusal(503, True, "ExchangeNotAvailable", "There is no recent quote to judge the order by."),
    "ORDER_SIZE": Refusal(422, False, "InvalidOrder", "The order is larger than one order may be."),
    "PRICE_COLLAR": Refusal(422, False, "InvalidOrder", "The price is too far from the market."),
    "OPEN_ORDERS": Refusal(429, True, "RateLimitExceeded", "The account has as many open orders as it may have."),
    "POSITION_LIMIT": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the position limit."
    ),
    "STOP_LOSS_REQUIRED": Refusal(422, False, "InvalidOrder", "An order that can open a position needs a stop-loss."),
    "STOP_ALREADY_PASSED": Refusal(422, False, "InvalidOrder", "The market is already beyond the stop-loss."),
    "NOTHING_TO_REDUCE": Refusal(422, False, "InvalidOrder", "A reduce-only order found no position left to reduce."),
    "ORDER_IS_OVER": Refusal(409, False, "OrderNotFound", "The order is already filled, cancelled or refused."),
    "KILL_SWITCH_NOT_ENGAGED": Refusal(409, False, "BadRequest", "There is no engaged kill switch to reset."),
    # What the venue proved that it did not accept: journaled as `OrderRejected`.
    "POST_ONLY_WOULD_CROSS": Refusal(
        422, False, "OrderImmediatelyFillable", "A post-only order would have taken liquidity."
    ),
    "REQUEST_EXPIRED": Refusal(503, True, "RequestTimeout", "The order reached the venue after its receive window."),
    "DUPLICATE_ORDER": Refusal(409, False, "DuplicateOrderId", "The venue has seen the order's id before."),
}


class Refused(Exception):
    """A request was refused. `code` is a key of `REFUSALS`; `details` are the numbers that explain it, as text."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details

    @property
    def refusal(self) -> Refusal:
        return REFUSALS[self.code]
