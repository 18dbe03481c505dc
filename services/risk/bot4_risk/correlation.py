"""Does a new position go with what is held already? Its correlation with an account's book, from published statistics.

A position of symbol s, bought, has the return r_s; the book has the sum of w_i r_i over the symbols i that it holds,
w_i being their values in quote currency with sign. With volatilities σ and correlations ρ,

    correlation = Σ w_i σ_i ρ_is / sqrt(Σ w_i w_j σ_i σ_j ρ_ij)

and for a sale the same with the other sign. It does not depend on the size of the new position. It is a statistic, so
floats will do; the result is rounded to millionths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal

from bot4_common.messages.limits import AccountLimits
from bot4_common.messages.risk import CorrelationsAdopted
from bot4_common.messages.terms import Side
from bot4_common.money import EXACT, multiply
from bot4_risk.exposure import WIDE, Ledger

STEP = Decimal("0.000001")
# Below this share of what it would be if nothing evened out, the volatility of a book is that of rounding.
SHARE_MIN = 1e-6


class Correlations:
    """Looks up, and remembers of each account's book what it has worked out, until the book changes. Nothing of this is
    state: it follows from the ledger and the statistics."""

    def __init__(self, facts: CorrelationsAdopted | None = None) -> None:
        symbols = [] if facts is None else facts.symbols
        self._numbers = {symbol: number for number, symbol in enumerate(symbols)}
        self._covariances = [] if facts is None else _covariances(facts)
        self._volatilities = [] if facts is None else [float(volatility) for volatility in facts.volatilities]
        # By account: which state of its book it is about, and the correlations with a purchase of each symbol.
        self._known: dict[str, tuple[int, dict[str, Decimal]]] = {}

    def of(self, ledger: Ledger, account: str, symbol: str, side: Side) -> Decimal | None:
        """Between -1 and 1. None if the account holds nothing or has the symbol already, or if the statistics do not
        tell: of the symbol, or of enough of the book for it to have a volatility."""
        book = ledger.accounts.get(account)
        if book is None or not book.values:
            return None
        known = self._known.get(account)
        if known is None or known[0] != book.changes:
            known = self._known[account] = (book.changes, self._worked_out(book.values))
        bought = known[1].get(symbol)
        return bought if bought is None or side == "buy" else bought.copy_negate()

    def _worked_out(self, values: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """For all symbols that are not held; those of the book without statistics count for nothing."""
        held = [(self._numbers[symbol], float(value)) for symbol, value in values.items() if symbol in self._numbers]
        shared = [sum(value * row[number] for number, value in held) for row in self._covariances]
        variance = sum(value * shared[number] for number, value in held)
        most = sum(abs(value) * self._volatilities[number] for number, value in held)
        if not math.isfinite(variance) or variance <= (SHARE_MIN * most) ** 2:
            return {}
        deviation = math.sqrt(variance)
        return {
            symbol: _rounded(shared[number] / (self._volatilities[number] * deviation))
            for symbol, number in self._numbers.items()
            if symbol not in values and self._volatilities[number] > 0
        }


def scaled(quantity: Decimal, correlation: Decimal | None, limits: AccountLimits, lot: Decimal) -> Decimal:
    """How much of a new position may be had. To first order it adds its size times its correlation to the volatility
    of the book; it is cut until it adds no more than it would whole at `correlation_max`. Zero: nothing will do."""
    if correlation is None or limits.correlation_action != "scale" or correlation <= limits.correlation_max:
        return quantity
    lots = WIDE.divide(multiply(quantity, limits.correlation_max), multiply(correlation, lot))
    return multiply(lots.to_integral_value(ROUND_FLOOR, EXACT), lot)


def _covariances(facts: CorrelationsAdopted) -> list[list[float]]:
    volatilities = [float(volatility) for volatility in facts.volatilities]
    return [
        [float(correlation) * one * other for correlation, other in zip(row, volatilities, strict=True)]
        for row, one in zip(facts.correlations, volatilities, strict=True)
    ]


def _rounded(correlation: float) -> Decimal:
    return Decimal(str(max(-1.0, min(1.0, correlation)))).quantize(STEP, context=WIDE)
