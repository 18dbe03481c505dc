"""What goes wrong on the line between a client and the venue? Latency and faults, each a function of the seed.

A fault is drawn from the seed and from what it hits, not from a generator's state: deciding the same thing twice
draws the same fault.
"""

from __future__ import annotations

from math import log
from random import Random

import msgspec


class LineProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities per message; latencies in ms, log-normal with the given median and sigma of the logarithm."""

    entry_ms_median: float = 0.0
    feed_ms_median: float = 0.0
    sigma: float = 0.5
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    drop_request: float = 0.0


# A line without faults, and one on which everything that can happen does, several times a minute.
PERFECT = LineProfile()
FAULTY = LineProfile(
    entry_ms_median=2.0,
    feed_ms_median=2.0,
    drop=0.02,
    duplicate=0.02,
    reorder=0.02,
    drop_request=0.005,
)

# A reordered message is overtaken by those that come within this many median latencies.
REORDER_FACTOR = 10


class Line:
    """The faults of one venue's line."""

    def __init__(self, seed: int, profile: LineProfile) -> None:
        self._seed = seed
        self._profile = profile

    def drops_request(self, request: str) -> bool:
        return self._draws("drop_request", request, self._profile.drop_request)

    def entry_ns(self, request: str) -> int:
        """How long a request takes to the matching engine."""
        return self._latency_ns("entry", request, self._profile.entry_ms_median)

    def feed_ns(self, message: str) -> int:
        return self._latency_ns("feed", message, self._profile.feed_ms_median)

    def drops(self, message: str) -> bool:
        return self._draws("drop", message, self._profile.drop)

    def duplicates(self, message: str) -> bool:
        return self._draws("duplicate", message, self._profile.duplicate)

    def reorders_ns(self, message: str) -> int:
        """By how much the message is held back so that others overtake it; 0 for most."""
        if not self._draws("reorder", message, self._profile.reorder):
            return 0
        return REORDER_FACTOR * max(self._latency_ns("held", message, self._profile.feed_ms_median), 1_000_000)

    def _draws(self, kind: str, what: str, probability: float) -> bool:
        return probability > 0 and Random(f"{self._seed}/{kind}/{what}").random() < probability

    def _latency_ns(self, leg: str, what: str, median_ms: float) -> int:
        if median_ms <= 0:
            return 0
        random = Random(f"{self._seed}/{leg}/{what}")
        return int(random.lognormvariate(log(median_ms), self._profile.sigma) * 1e6)
