"""What do many measured times amount to?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

NS_PER_MS = 1_000_000

# Where a latency curve is drawn: the share of requests that were answered within it, in percent.
CURVE = (1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.99)
# With fewer slower requests than this, a point of the curve would be about those few.
SLOWER_MIN = 5


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """All in milliseconds. `curve` has those points of `CURVE` that the samples suffice for, and `tail_ratio`, p99.9
    over p99, is there if they suffice for p99.9."""

    samples: int
    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float
    tail_ratio: float | None
    curve: list[tuple[float, float]]


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The smallest of the values that at least `percent` of them do not exceed: nearest rank, nothing made up."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latency(times_ns: Sequence[int]) -> Latency:
    """Of at least one time."""
    ordered = sorted(times_ns)
    told = [percent for percent in CURVE if len(ordered) * (100 - percent) / 100 >= SLOWER_MIN]
    tail_ratio = round(percentile(ordered, 99.9) / percentile(ordered, 99), 2)

    def ms(percent: float) -> float:
        return round(percentile(ordered, percent) / NS_PER_MS, 3)

    return Latency(
        samples=len(ordered),
        p50=ms(50),
        p90=ms(90),
        p99=ms(99),
        p99_9=ms(99.9),
        max=ms(100),
        tail_ratio=tail_ratio if 99.9 in told else None,
        curve=[(percent, ms(percent)) for percent in told],
    )
