"""Why does a venue refuse? Each reason has a stable code, its meaning, and what the venue itself would call it."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """`venue_code` and `venue_message` are those of Binance spot, the dialect the simulator speaks."""

    meaning: str
    venue_code: int
    venue_message: str


REFUSALS: dict[str, Refusal] = {
    "UNKNOWN_SYMBOL": Refusal("No such instrument is listed.", -1121, "Invalid symbol."),
    "DUPLICATE_LIVE_ORDER": Refusal("A live order of the account has this id.", -2010, "Duplicate order sent."),
    "MARKET_NOT_OPEN": Refusal("The symbol takes no such request now.", -1013, "Market is closed."),
    "ORDER_COUNT": Refusal(
        "The account has as many unfilled orders in a window as it may.",
        -1015,
        "Too many new orders; current limit is exceeded.",
    ),
    "BAD_FIELD": Refusal(
        "A field is missing, superfluous or out of range for this type of order.",
        -1106,
        "Parameter sent when not required, or a mandatory parameter was not sent.",
    ),
    "TICK_SIZE": Refusal("A price lies between two ticks.", -1013, "Filter failure: PRICE_FILTER"),
    "PRICE_RANGE": Refusal("A price is outside the instrument's range.", -1013, "Filter failure: PRICE_FILTER"),
    "LOT_SIZE": Refusal("A quantity lies between two lots.", -1013, "Filter failure: LOT_SIZE"),
    "QUANTITY_RANGE": Refusal("The quantity is outside the instrument's range.", -1013, "Filter failure: LOT_SIZE"),
    "MARKET_QUANTITY_RANGE": Refusal(
        "The quantity is outside the instrument's range for market orders.",
        -1013,
        "Filter failure: MARKET_LOT_SIZE",
    ),
    "NOTIONAL_TOO_SMALL": Refusal("Price times quantity is below the minimum.", -1013, "Filter failure: NOTIONAL"),
    "NOTIONAL_TOO_LARGE": Refusal("Price times quantity is above the maximum.", -1013, "Filter failure: NOTIONAL"),
    "PRICE_BAND": Refusal("The price is too far from the market.", -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "TRAIL_RANGE": Refusal(
        "The distance of the trailing stop is outside the instrument's range.",
        -1013,
        "Filter failure: TRAILING_DELTA",
    ),
    "ICEBERG_CANNOT_REST": Refusal(
        "An order that does not rest cannot be an iceberg.",
        -1013,
        "This symbol requires icebergs to be good till cancelled.",
    ),
    "ICEBERG_DISPLAY": Refusal(
        "An iceberg displays more than nothing and no more than its total.", -1013, "Filter failure: LOT_SIZE"
    ),
    "ICEBERG_PARTS": Refusal("The iceberg has too many parts.", -1013, "Filter failure: ICEBERG_PARTS"),
    "OPEN_ORDERS": Refusal(
        "The account has as many open orders in the symbol as it may.", -1013, "Filter failure: MAX_NUM_ORDERS"
    ),
    "OPEN_STOPS": Refusal(
        "The account has as many waiting stops in the symbol as it may.", -1013, "Filter failure: MAX_NUM_ALGO_ORDERS"
    ),
    "POSITION_LIMIT": Refusal(
        "Filled whole, the order could break the position limit.", -1013, "Filter failure: MAX_POSITION"
    ),
    "PREVENTION_NOT_ALLOWED": Refusal(
        "The venue does not offer this mode of self-trade prevention.",
        -1013,
        "This symbol does not allow the specified self-trade prevention mode.",
    ),
    "INSUFFICIENT_BALANCE": Refusal(
        "What the account has free does not pay for the order.",
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    "NOTHING_TO_REDUCE": Refusal(
        "A reduce-only order found no position left to reduce.", -2022, "ReduceOnly Order is rejected."
    ),
    "REDUCE_ONLY_UNKNOWN": Refusal(
        "The venue has no reduce-only orders.", -1106, "Parameter 'reduceOnly' sent when not required."
    ),
    "STOP_ALREADY_PASSED": Refusal(
        "The market is where the stop waits for it already.", -2010, "Stop price would trigger immediately."
    ),
    "POST_ONLY_WOULD_CROSS": Refusal("A post-only order would take.", -2010, "Order would immediately match and take."),
    "LIST_LEGS_DIFFER": Refusal(
        "The orders of the list do not fit together: legs are one protective stop and one limit, alike in symbol, side "
        "and quantity, and can rest.",
        -1160,
        "Parameters do not match.",
    ),
    "LIST_PRICES": Refusal(
        "The prices of the legs are not on both sides of the market.",
        -2010,
        "The relationship of the prices for the orders is not correct.",
    ),
    "DUPLICATE_LIVE_LIST": Refusal("A live list of the account has this id.", -2010, "Duplicate order sent."),
    "UNKNOWN_ORDER": Refusal("The account has no live order of this id.", -2011, "Unknown order sent."),
    "BELOW_FILLED": Refusal(
        "The new quantity is below what has been filled already.",
        -2038,
        "Order amend rejected: the quantity is below the filled quantity.",
    ),
}
