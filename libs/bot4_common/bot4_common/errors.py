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
    "UNKNOWN_VENUE": Refusal(422, False, "BadRequest", "The system does not trade at this venue."),
    "TICK_SIZE": Refusal(422, False, "InvalidOrder", "The price lies between two ticks."),
    "LOT_SIZE": Refusal(422, False, "InvalidOrder", "The quantity lies between two lots."),
    "QUANTITY_RANGE": Refusal(422, False, "InvalidOrder", "The quantity is outside the instrument's range."),
    "NOTIONAL_TOO_SMALL": Refusal(422, False, "InvalidOrder", "Price times quantity is below the minimum."),
    "STOP_ON_WRONG_SIDE": Refusal(422, False, "InvalidOrder", "The stop-loss is not on the losing side of the price."),
    "UNAUTHENTICATED": Refusal(401, False, "AuthenticationError", "The X-API-Key header is missing or unknown."),
    "FORBIDDEN": Refusal(403, False, "PermissionDenied", "The API key does not allow this."),
    "SECOND_KEY": Refusal(403, False, "PermissionDenied", "The X-Second-Key header is missing or wrong."),
    "OVERRIDE_KEY": Refusal(403, False, "PermissionDenied", "The X-Override-Key header is wrong or lacks a reason."),
    "TOO_MANY_ATTEMPTS": Refusal(429, True, "DDoSProtection", "Too many wrong second or override keys of late."),
    "NOT_FOUND": Refusal(404, False, "BadRequest", "There is nothing at this address."),
    "METHOD_NOT_ALLOWED": Refusal(405, False, "BadRequest", "This address does not know this method."),
    "BODY_TOO_LARGE": Refusal(413, False, "BadRequest", "The body is larger than any order."),
    "UNKNOWN_ORDER": Refusal(404, False, "OrderNotFound", "The account has no such order."),
    "UNKNOWN_LIST": Refusal(404, False, "OrderNotFound", "The account has no such list."),
    "BAD_LIMITS": Refusal(422, False, "BadRequest", "A figure of the limits can never be right."),
    "LIST_VENUES_DIFFER": Refusal(422, False, "InvalidOrder", "The orders of a list name different venues."),
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
    # What risk decides: journaled as the `...Refused` of what was asked.
    "KILL_SWITCH": Refusal(403, False, "PermissionDenied", "An engaged kill switch stops this."),
    "RUNAWAY": Refusal(403, False, "PermissionDenied", "The strategy did more than its guard allows and was stopped."),
    "DAILY_LOSS": Refusal(403, False, "PermissionDenied", "The account lost as much today as it may; it may reduce."),
    "STRATEGY_DAILY_LOSS": Refusal(
        403, False, "PermissionDenied", "The strategy lost as much today as it may; it may reduce."
    ),
    "FIRM_DAILY_LOSS": Refusal(403, False, "PermissionDenied", "The firm lost as much today as it may; it may reduce."),
    "DRAWDOWN": Refusal(403, False, "PermissionDenied", "The account is too far below its best; it may reduce."),
    "STRATEGY_DRAWDOWN": Refusal(
        403, False, "PermissionDenied", "The strategy is too far below its best; it may reduce."
    ),
    "FIRM_DRAWDOWN": Refusal(403, False, "PermissionDenied", "The firm is too far below its best; it may reduce."),
    "GATE_NO_SIGNAL": Refusal(403, False, "PermissionDenied", "The gate is on, and the order names no signal."),
    "GATE_NOT_REGISTERED": Refusal(403, False, "PermissionDenied", "The strategy is not registered."),
    "GATE_SIGNAL_UNKNOWN": Refusal(403, False, "PermissionDenied", "The account has no recent signal of this id."),
    "GATE_SIGNAL_MISMATCH": Refusal(
        403, False, "PermissionDenied", "The signal is of another strategy, symbol or side than the order."
    ),
    "GATE_SIGNAL_STALE": Refusal(403, False, "PermissionDenied", "The signal is too old for an order."),
    "DUPLICATE_LIVE_ORDER": Refusal(409, False, "DuplicateOrderId", "An open order has this client order id."),
    "NO_MARKET": Refusal(503, True, "ExchangeNotAvailable", "There is no recent quote to judge the order by."),
    "ORDER_SIZE": Refusal(422, False, "InvalidOrder", "The order is larger than one order may be."),
    "ORDER_SHARE": Refusal(422, False, "InvalidOrder", "The order is a larger part of equity than one order may be."),
    "ORDER_QUANTITY": Refusal(422, False, "InvalidOrder", "The quantity is above the limit for orders in this symbol."),
    "PRICE_COLLAR": Refusal(422, False, "InvalidOrder", "The price is too far from the market."),
    "OPEN_ORDERS": Refusal(429, True, "RateLimitExceeded", "The account has as many open orders as it may have."),
    "STRATEGY_OPEN_ORDERS": Refusal(
        429, True, "RateLimitExceeded", "The strategy has as many open orders as it may have."
    ),
    "FIRM_OPEN_ORDERS": Refusal(429, True, "RateLimitExceeded", "The firm has as many open orders as it may have."),
    "ORDER_RATE": Refusal(429, True, "RateLimitExceeded", "The account sends more orders a second than it may."),
    "STRATEGY_ORDER_RATE": Refusal(
        429, True, "RateLimitExceeded", "The strategy sends more orders a second than it may."
    ),
    "FIRM_ORDER_RATE": Refusal(429, True, "RateLimitExceeded", "The firm sends more orders a second than it may."),
    "POSITION_LIMIT": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the position limit."
    ),
    "STRATEGY_POSITION": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the strategy's position limit."
    ),
    "FIRM_POSITION": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the firm's position limit."
    ),
    "GROSS_EXPOSURE": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the account's gross exposure limit."
    ),
    "NET_EXPOSURE": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the account's net exposure limit."
    ),
    "FIRM_GROSS_EXPOSURE": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the firm's gross exposure limit."
    ),
    "FIRM_NET_EXPOSURE": Refusal(
        422, False, "InsufficientFunds", "Filled whole, the order could break the firm's net exposure limit."
    ),
    "CORRELATION": Refusal(
        422, False, "InsufficientFunds", "The position would go too closely with what is held already."
    ),
    "SELF_TRADE": Refusal(422, False, "InvalidOrder", "The order would meet one of the same owner."),
    "STOP_LOSS_REQUIRED": Refusal(422, False, "InvalidOrder", "An order that can open a position needs a stop-loss."),
    "STOP_ALREADY_PASSED": Refusal(422, False, "InvalidOrder", "The market is already beyond the stop-loss."),
    "NOTHING_TO_REDUCE": Refusal(422, False, "InvalidOrder", "A reduce-only order found no position left to reduce."),
    "ORDER_IS_OVER": Refusal(409, False, "OrderNotFound", "The order is already filled, cancelled or refused."),
    "AMEND_IN_FLIGHT": Refusal(429, True, "RateLimitExceeded", "Another amend of the order is still on its way."),
    "AMEND_NOTHING": Refusal(422, False, "InvalidOrder", "The amend names nothing that would change the order."),
    "CLOSES_A_POSITION": Refusal(409, False, "BadRequest", "Risk closes a position by this order; it stays as it is."),
    "REPLACE_STOPPED": Refusal(
        409, False, "OrderNotFound", "The old order could not be cancelled, so the new one was not placed."
    ),
    "LIMITS_VERSION": Refusal(409, False, "BadRequest", "Other limits are in force than those to be replaced."),
    "KILL_SWITCH_NOT_ENGAGED": Refusal(409, False, "BadRequest", "There is no engaged kill switch to reset."),
    # What execution knows without asking the venue, or learns by asking: journaled as `...Rejected`.
    "BREAKER_OPEN": Refusal(503, True, "ExchangeNotAvailable", "The venue failed too often of late; it is not called."),
    "FUSE_OPEN": Refusal(503, True, "ExchangeNotAvailable", "The venues failed too often of late; none is called."),
    "AMEND_LOST": Refusal(
        503,
        True,
        "RequestTimeout",
        "The amend did not reach the venue before its receive window closed: it never will.",
    ),
    # What the venue proved that it did not accept: journaled as `OrderRejected`.
    "POST_ONLY_WOULD_CROSS": Refusal(
        422, False, "OrderImmediatelyFillable", "A post-only order would have taken liquidity."
    ),
    "PRICE_RANGE": Refusal(422, False, "InvalidOrder", "The price is outside the instrument's range."),
    "MARKET_QUANTITY_RANGE": Refusal(
        422, False, "InvalidOrder", "The quantity is outside the instrument's range for market orders."
    ),
    "NOTIONAL_TOO_LARGE": Refusal(422, False, "InvalidOrder", "Price times quantity is above the maximum."),
    "PRICE_BAND": Refusal(422, False, "InvalidOrder", "The price is outside the venue's band around the market."),
    "TRAIL_RANGE": Refusal(422, False, "InvalidOrder", "The trailing distance is outside the instrument's range."),
    "ICEBERG_CANNOT_REST": Refusal(422, False, "InvalidOrder", "An order that does not rest cannot be an iceberg."),
    "ICEBERG_DISPLAY": Refusal(422, False, "InvalidOrder", "An iceberg displays more than its total, or nothing."),
    "ICEBERG_PARTS": Refusal(422, False, "InvalidOrder", "The iceberg has too many parts."),
    "OPEN_STOPS": Refusal(429, True, "RateLimitExceeded", "The account has as many waiting stops as it may have."),
    "ORDER_COUNT": Refusal(
        429, True, "RateLimitExceeded", "The account has as many unfilled orders in a window as it may have."
    ),
    "MARKET_NOT_OPEN": Refusal(503, True, "ExchangeNotAvailable", "The venue takes no such request now."),
    "INSUFFICIENT_BALANCE": Refusal(422, False, "InsufficientFunds", "What the account has free does not pay for it."),
    "PREVENTION_NOT_ALLOWED": Refusal(
        422, False, "InvalidOrder", "The venue does not offer this mode of self-trade prevention."
    ),
    "REDUCE_ONLY_UNKNOWN": Refusal(422, False, "InvalidOrder", "The venue has no reduce-only orders."),
    "ORDER_TYPE_UNKNOWN": Refusal(422, False, "InvalidOrder", "The venue has no orders of this type."),
    "LISTS_UNKNOWN": Refusal(422, False, "InvalidOrder", "The venue takes no lists of orders."),
    "LIST_LEGS_DIFFER": Refusal(422, False, "InvalidOrder", "The orders of the list do not fit together."),
    "LIST_PRICES": Refusal(422, False, "InvalidOrder", "The legs' prices are not on both sides of the market."),
    "DUPLICATE_LIVE_LIST": Refusal(409, False, "DuplicateOrderId", "A live list of the account has this id."),
    "BELOW_FILLED": Refusal(422, False, "InvalidOrder", "The new quantity is below what has been filled already."),
    "ORDER_LOST": Refusal(
        503,
        True,
        "RequestTimeout",
        "The order did not reach the venue before its receive window closed: it never will.",
    ),
    "VENUE_BUSY": Refusal(503, True, "ExchangeNotAvailable", "The venue has too much to do just now."),
    "SUBMIT_DOWN": Refusal(503, True, "ExchangeNotAvailable", "The venue takes no orders just now."),
    "CANCEL_DOWN": Refusal(503, True, "ExchangeNotAvailable", "The venue takes no cancels just now."),
    "VENUE_UNAVAILABLE": Refusal(503, True, "ExchangeNotAvailable", "The venue is not there just now."),
    "VENUE_SILENT": Refusal(503, True, "RequestTimeout", "The request or its answer was lost inside the venue."),
    "RATE_LIMITED": Refusal(429, True, "RateLimitExceeded", "The venue was asked for more than it allows in a time."),
    "BANNED": Refusal(429, True, "DDoSProtection", "The venue is not to be asked for a while."),
    "REQUEST_EXPIRED": Refusal(503, True, "RequestTimeout", "The order reached the venue after its receive window."),
    "DUPLICATE_ORDER": Refusal(409, False, "DuplicateOrderId", "The venue has seen the order's id before."),
}


def is_retryable(code: str) -> bool:
    """Whether the same request may succeed later. A code that is not ours says nothing of the kind."""
    known = REFUSALS.get(code)
    return known is not None and known.retryable


class Refused(Exception):
    """A request was refused. `code` is a key of `REFUSALS`; `details` are the numbers that explain it, as text."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details

    @property
    def refusal(self) -> Refusal:
        return REFUSALS[self.code]
