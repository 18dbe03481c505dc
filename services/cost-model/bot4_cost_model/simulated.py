"""What could prices have been before there was a system? A simulated history, which nobody ever traded at.

All symbols follow one market: the return of each is partly its own and partly the market's, so that any two have the
same correlation. All are calm and wild together: the variance follows a GARCH(1,1). Prices end where they are told to,
so that a market which goes on from there makes no leap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import exp, sqrt
from random import Random

from bot4_common.instruments import Instrument
from bot4_common.messages.cost import PricesSampled
from bot4_common.money import EXACT
from bot4_cost_model.sampling import INTERVAL_NS, period

# Of any two symbols, as bitcoin and ether mostly have it.
CORRELATION = 0.85
# Of an hour's return.
DEVIATION = 0.006
# What of the variance comes from the last return, and what from the last variance; the rest is the same all the time.
ALPHA, BETA = 0.08, 0.88


def simulated(
    seed: int, prices: Mapping[str, Decimal], instruments: Mapping[str, Instrument], hours: int, until: int
) -> list[PricesSampled]:
    """One sample an hour, the oldest first, the last one of the hour before `until` (ns). `prices` are those of the
    last one, by symbol; all are whole ticks."""
    grown = list(_growth(Random(seed), len(prices), hours))
    last = period(until, INTERVAL_NS) - 1
    return [
        PricesSampled(
            prices={
                symbol: _price(instruments[symbol], price, growth - whole)
                for (symbol, price), growth, whole in zip(prices.items(), growths, grown[-1], strict=True)
            },
            at=(last - back) * INTERVAL_NS,
        )
        for back, growths in zip(reversed(range(hours)), grown, strict=True)
    ]


def _growth(random: Random, symbols: int, hours: int) -> Iterator[list[float]]:
    """By hour, how far the logarithm of each price has moved since the beginning."""
    variance, moved = DEVIATION**2, [0.0] * symbols
    for _ in range(hours):
        yield moved
        market = random.gauss(0, 1)
        returns = [
            sqrt(variance) * (sqrt(CORRELATION) * market + sqrt(1 - CORRELATION) * random.gauss(0, 1))
            for _ in range(symbols)
        ]
        moved = [before + change for before, change in zip(moved, returns, strict=True)]
        surprise = sum(change**2 for change in returns) / symbols
        variance = (1 - ALPHA - BETA) * DEVIATION**2 + ALPHA * surprise + BETA * variance


def _price(instrument: Instrument, price: Decimal, moved: float) -> Decimal:
    moved_to = EXACT.multiply(price, Decimal(str(exp(moved))))
    return instrument.price(max(1, int(EXACT.divide_int(moved_to, instrument.tick))))
