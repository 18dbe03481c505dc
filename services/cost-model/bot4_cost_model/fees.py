"""What does a venue charge?"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from bot4_common.messages.terms import Liquidity
from bot4_common.money import multiply


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the notional; a negative one is a rebate."""

    maker: Decimal
    taker: Decimal

    def fee(self, notional: Decimal, liquidity: Liquidity) -> Decimal:
        return multiply(notional, self.maker if liquidity == "maker" else self.taker)


# The simulator's own schedule, that of a mid-tier spot account: 2 bps to make, 4 bps to take.
SCHEDULES = {"sim": FeeSchedule(maker=Decimal("0.0002"), taker=Decimal("0.0004"))}
