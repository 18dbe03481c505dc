"""Is a sample distributed as is said? The Kolmogorov–Smirnov test, for fixed seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

from bot4_exchange_simulator.distributions import Cdf, ks_distance

# Of true distributions one in a thousand would be rejected. The seeds are fixed, so a test that passes goes on passing.
ERROR = 0.001


def critical_distance(cases: int) -> float:
    """What the distance exceeds with probability ERROR (Kolmogorov's limit, as corrected by Stephens)."""
    return sqrt(-log(ERROR / 2.0) / 2.0) / (sqrt(cases) + 0.12 + 0.11 / sqrt(cases))


def follows(sample: Sequence[float], cdf: Cdf) -> bool:
    return ks_distance(sample, cdf) < critical_distance(len(sample))


def uniform_cdf(x: float) -> float:
    return min(1.0, max(0.0, x))
