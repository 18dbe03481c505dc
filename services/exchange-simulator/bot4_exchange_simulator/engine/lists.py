"""Do the orders of a list fit together? (33)"""

from __future__ import annotations

from itertools import pairwise

from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.terms import LIMIT, OCO, OTO, OUO, STOP_LIMIT, STOP_MARKET


def legs_flaw(kind: int, legs: list[Order]) -> str:
    """The code of what is wrong with the legs, or nothing. The children of a plain OTO may be anything."""
    if kind == OTO:
        return ""
    first, second = legs
    if first.market is not second.market or first.buy != second.buy or first.quantity != second.quantity:
        return "LIST_LEGS_DIFFER"
    if kind == OUO:
        return ""
    limits = [leg for leg in legs if leg.type == LIMIT]
    protections = [leg for leg in legs if leg.type == STOP_MARKET or leg.type == STOP_LIMIT]
    if len(limits) != 1 or len(protections) != 1:
        return "LIST_LEGS_DIFFER"
    # The market has not moved to where an OTOCO's children will arm: theirs is judged without it.
    last = first.market.reference() if kind == OCO else 0
    path = [price for price in (limits[0].price, last, protections[0].stop) if price]
    fits = all(high < low for high, low in pairwise(path)) if first.buy else all(a > b for a, b in pairwise(path))
    return "" if fits else "LIST_PRICES"
