"""What does chance say? Numbers that look random and follow from a seed and from what they are drawn for.

Nothing is drawn from the state of a generator: whoever asks twice for the same thing is told the same, in any order.
"""

from __future__ import annotations

from hashlib import blake2b
from math import exp, log, sqrt
from statistics import NormalDist

_64_BITS = (1 << 64) - 1
_STANDARD = NormalDist()

# How many may come at a time, and are expected at most: exp(-500) is still a number.
COUNT_MAX = 1_000
MEAN_MAX = 500.0


def key(seed: int, purpose: str) -> int:
    """What the draws of one purpose begin with: those of two purposes have nothing to do with each other."""
    return int.from_bytes(blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "big")


def bits(*numbers: int) -> int:
    """64 bits that look random and follow from the numbers alone (splitmix64): Random(seed) would take 5 us each."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & _64_BITS
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _64_BITS
        state ^= state >> 31
    return state


def uniform(start: int, index: int) -> float:
    """Number `index` of those that begin at `start`: evenly between 0 and 1, neither included."""
    return ((bits(start + index * 0x9E3779B97F4A7C15) >> 12) + 0.5) * 2.0**-52


def normal(start: int, index: int) -> float:
    """The same with mean 0 and variance 1."""
    return _STANDARD.inv_cdf(uniform(start, index))


class Draws:
    """As many numbers as one thing takes. Each follows from `numbers` and from how many came before it."""

    def __init__(self, *numbers: int) -> None:
        self._start = bits(*numbers)
        self._drawn = 0

    def uniform(self) -> float:
        self._drawn += 1
        return uniform(self._start, self._drawn)

    def normal(self) -> float:
        return _STANDARD.inv_cdf(self.uniform())

    def poisson(self, mean: float) -> int:
        """How many come when `mean` are expected, by inversion. More than `MEAN_MAX` are never expected."""
        left = self.uniform()
        mean = min(mean, MEAN_MAX)
        count, probability = 0, exp(-mean)
        while left > probability and count < COUNT_MAX:
            left -= probability
            count += 1
            probability *= mean / count
        return count

    def beta(self, a: float, b: float) -> float:
        """Between 0 and 1, both included where a or b is small; a and b above zero."""
        log_x, log_y = self._log_gamma(a), self._log_gamma(b)
        # x / (x + y), where either may be too small for a float.
        return 1.0 / (1.0 + exp(min(700.0, log_y - log_x)))

    def _log_gamma(self, shape: float) -> float:
        """The logarithm of a gamma-distributed number (Marsaglia and Tsang, 2000, with their boost below 1)."""
        if shape < 1.0:
            return self._log_gamma(shape + 1.0) + log(self.uniform()) / shape
        d = shape - 1.0 / 3.0
        c = 1.0 / sqrt(9.0 * d)
        while True:
            x = self.normal()
            v = (1.0 + c * x) ** 3
            if v > 0.0 and log(self.uniform()) < 0.5 * x * x + d - d * v + d * log(v):
                return log(d * v)


# The correlation of a block's end with the next, at most; and what an end may still owe to one it leaves out.
END_CORRELATION_MAX = 1e-3
FORGOTTEN = 1e-9


class Wander:
    """Standard normal numbers x[0], x[1], …, each correlated with the next: a stationary AR(1).

    x[k] is found in a number of draws that grows with the logarithm of the memory, without the numbers before it. Time
    is cut into blocks so long that a block's end says next to nothing about the end of the next but one: an end is a
    sum of a few independent draws, weighted so that it has variance 1. Between two ends the process is filled in
    by halves: given both neighbours, the middle of a stationary AR(1) is normal with a mean and a variance known
    exactly. So every number, and every two of them, are distributed as said, whichever was asked for first.
    """

    def __init__(self, seed: int, purpose: str, half_life: float) -> None:
        """`half_life`: after so many numbers half of the correlation is left; 0 for none at all."""
        self._key = key(seed, purpose)
        self._persistence = 0.5 ** (1.0 / half_life) if half_life > 0.0 else 0.0
        # A longer block costs one more halving, a shorter one more terms in both of its ends.
        levels = 0
        while self._persistence ** (1 << levels) > END_CORRELATION_MAX:
            levels += 1
        self._levels = levels
        self._weights = self._weights_of_end(self._persistence ** (1 << levels))
        self._halvings = [self._halving(self._persistence ** (1 << level)) for level in range(levels)]
        # The block asked for last and its ends: who asks for one number often asks for the next.
        self._ends: tuple[int, float, float] = 0, self._end(0), self._end(1)

    @property
    def persistence(self) -> float:
        """The correlation of a number with the next."""
        return self._persistence

    def at(self, number: int) -> float:
        block = number >> self._levels
        if block != self._ends[0]:
            self._ends = block, self._end(block), self._end(block + 1)
        _, left, right = self._ends
        position = block << self._levels
        if position == number:
            return left
        for level in range(self._levels - 1, -1, -1):
            weight, deviation = self._halvings[level]
            position += 1 << level
            middle = weight * (left + right) + deviation * normal(self._key, position)
            if position == number:
                return middle
            if position < number:
                left = middle
            else:
                right = middle
                position -= 1 << level
        raise AssertionError("a number lies between two ends")

    def _end(self, block: int) -> float:
        return sum(
            weight * normal(self._key, (block - age) << self._levels) for age, weight in enumerate(self._weights)
        )

    @staticmethod
    def _weights_of_end(persistence: float) -> list[float]:
        weights = [1.0]
        while weights[-1] * persistence > FORGOTTEN:
            weights.append(weights[-1] * persistence)
        scale = 1.0 / sqrt(sum(weight * weight for weight in weights))
        return [weight * scale for weight in weights]

    @staticmethod
    def _halving(persistence: float) -> tuple[float, float]:
        """What either neighbour at this correlation says of the middle, and the deviation that is left."""
        squared = persistence * persistence
        return persistence / (1.0 + squared), sqrt((1.0 - squared) / (1.0 + squared))
