"""What does a venue charge?"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from bot4_common.messages.terms import Liquidity
from bot4_common.money import multiply
from bot4_common.venues import VenueDefinition


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the notional; a negative one is a rebate."""

    maker: Decimal
    taker: Decimal

    def fee(self, notional: Decimal, liquidity: Liquidity) -> Decimal:
        return multiply(notional, self.maker if liquidity == "maker" else self.taker)


def schedules(venues: Iterable[VenueDefinition]) -> dict[str, FeeSchedule]:
    """By venue."""
    return {venue.name: FeeSchedule(maker=venue.maker_fee, taker=venue.taker_fee) for venue in venues}
