"""What has trading earned? Average-cost profit and loss of one holding, exact to the last digit.

Quantities are base units, signed; money is in quote. The cost basis is kept as money, not as an average price, so
that only closing a part of a position divides, and that division is rounded once, to `STEP`, on the basis side:
realized + basis together never lose anything.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from bot4_common.money import EXACT, ZERO, add, multiply, subtract

# Money is attributed to the closed part of a position in steps of 1e-12 quote units.
STEP = Decimal("1e-12")
# A quotient has no end: as many digits of it as an exact number may have.
WIDE = Context(prec=EXACT.prec)


class Holding(msgspec.Struct, kw_only=True):
    """Net `quantity` (base) that cost `basis` (quote; negative for a short position), with what was `realized`."""

    quantity: Decimal = ZERO
    basis: Decimal = ZERO
    realized: Decimal = ZERO
    costs: Decimal = ZERO
    fills: int = 0

    def trade(self, quantity: Decimal, price: Decimal) -> None:
        """Applies a fill of signed `quantity` at `price`."""
        self.fills += 1
        closed = _closing_part(self.quantity, quantity)
        if closed:
            share = self._share(closed)
            self.realized = subtract(subtract(self.realized, multiply(closed, price)), share)
            self.basis = subtract(self.basis, share)
        opened = subtract(quantity, closed)
        self.quantity = add(self.quantity, quantity)
        self.basis = add(self.basis, multiply(opened, price))

    def unrealized(self, mark: Decimal) -> Decimal:
        return subtract(multiply(self.quantity, mark), self.basis)

    def _share(self, closed: Decimal) -> Decimal:
        """The part of the basis that belongs to what a fill of signed quantity `closed` closes."""
        if closed == self.quantity.copy_negate():
            return self.basis
        share = WIDE.divide(multiply(self.basis, closed.copy_negate()), self.quantity)
        return share.quantize(STEP, ROUND_HALF_EVEN, WIDE)


def _closing_part(held: Decimal, change: Decimal) -> Decimal:
    if not held or (held > 0) == (change > 0):
        return ZERO
    # Not `-held`, which would round it to 28 digits.
    return max(change, held.copy_negate()) if held > 0 else min(change, held.copy_negate())
