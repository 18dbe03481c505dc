"""How is something distributed, and how far from that is a sample? The few functions that the venue's figures need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

Cdf = Callable[[float], float]

_STANDARD = NormalDist()

# Lentz's continued fraction of the incomplete beta function converges in about sqrt(max(a, b)) terms.
TERMS_MAX = 1_000
PRECISION = 1e-13
TINY = 1e-300


def normal_cdf(x: float) -> float:
    return _STANDARD.cdf(x)


def log_normal_cdf(median: float, sigma: float) -> Cdf:
    """`sigma` is the deviation of the natural logarithm."""
    return lambda x: _STANDARD.cdf(log(x / median) / sigma) if x > 0.0 else 0.0


def poisson_cdf(mean: float) -> Cdf:
    def cdf(x: float) -> float:
        probability = total = exp(-mean)
        for count in range(1, int(x) + 1):
            probability *= mean / count
            total += probability
        return total if x >= 0.0 else 0.0

    return cdf


def beta_cdf(a: float, b: float) -> Cdf:
    """The regularised incomplete beta function of a, b > 0."""
    scale = lgamma(a + b) - lgamma(a) - lgamma(b)

    def cdf(x: float) -> float:
        if x <= 0.0:
            return 0.0
        if x >= 1.0:
            return 1.0
        front = exp(scale + a * log(x) + b * log(1.0 - x))
        # The fraction converges fast on that side of the mean which x is on.
        if x < (a + 1.0) / (a + b + 2.0):
            return front * _fraction(a, b, x) / a
        return 1.0 - front * _fraction(b, a, 1.0 - x) / b

    return cdf


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by the modified method of Lentz."""
    numerator, denominator = 1.0, 1.0 / _off_zero(1.0 - (a + b) * x / (a + 1.0))
    result = denominator
    for m in range(1, TERMS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        step = 1.0
        for term in (even, odd):
            denominator = 1.0 / _off_zero(1.0 + term * denominator)
            numerator = _off_zero(1.0 + term / numerator)
            step = numerator * denominator
            result *= step
        if abs(step - 1.0) < PRECISION:
            return result
    raise ArithmeticError(f"the incomplete beta function of {a}, {b} does not converge at {x}")


def _off_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def beta_of_moments(mean: float, variance: float) -> tuple[float, float]:
    """The a and b of the Beta distribution with this mean and variance. Raises `ValueError` where there is none."""
    if not 0.0 < mean < 1.0 or not 0.0 < variance < mean * (1.0 - mean):
        raise ValueError(f"no Beta distribution has mean {mean:g} and variance {variance:g}")
    both = mean * (1.0 - mean) / variance - 1.0
    return mean * both, (1.0 - mean) * both


def ks_distance(sample: Iterable[float], cdf: Cdf) -> float:
    """The greatest distance between a continuous distribution and that of a sample (Kolmogorov and Smirnov)."""
    ordered = sorted(sample)
    size = len(ordered)
    return max(max(cdf(value) - below / size, (below + 1) / size - cdf(value)) for below, value in enumerate(ordered))


def ks_distance_of_counts(sample: Iterable[int], cdf: Cdf) -> float:
    """The same between distributions of whole numbers, which both step at the same places."""
    counted = Counter(sample)
    size, below, distance = counted.total(), 0, 0.0
    for count in range(max(counted) + 1):
        below += counted[count]
        distance = max(distance, abs(below / size - cdf(count)))
    return distance


def moments(sample: Sequence[float]) -> tuple[float, float]:
    """Mean and variance."""
    mean = sum(sample) / len(sample)
    return mean, sum((value - mean) ** 2 for value in sample) / len(sample)


def deviation(sample: Sequence[float]) -> float:
    return sqrt(moments(sample)[1])
