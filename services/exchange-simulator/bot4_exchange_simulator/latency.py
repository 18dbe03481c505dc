"""How long is a message under way? Each leg is log-normal, with bursts that last and jitter of each message.

The logarithm of a latency is its median's, plus what all messages of that moment share, plus what is the message's
own. The shared part is an AR(1) over time, so that a slow moment is followed by others; both are normal, so that their
sum is, and the latencies of a leg have exactly the log-normal distribution that its figures say.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Literal

import msgspec

from bot4_exchange_simulator.draws import Wander, key, normal

# Messages of the same ten milliseconds share a burst.
BUCKET_MS = 10
BUCKET_NS = BUCKET_MS * 1_000_000

# entry: a new order on its way in. cancel: a cancellation. feed: what the venue says, acknowledgements included.
LegName = Literal["entry", "cancel", "feed"]


class Leg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sigma` is the deviation of the natural logarithm. Of its square, `jitter` is the share that each message has
    for itself, from 0 to 1; the rest comes in bursts, half of which is over after `burst_half_life_ms`."""

    median_ms: float = 0.0
    sigma: float = 0.5
    jitter: float = 0.5
    burst_half_life_ms: float = 250.0

    def __post_init__(self) -> None:
        if self.median_ms < 0.0 or self.sigma < 0.0 or self.burst_half_life_ms < 0.0:
            raise ValueError("median_ms, sigma and burst_half_life_ms are not below zero")
        if not 0.0 <= self.jitter <= 1.0:
            raise ValueError("jitter is a share, from 0 to 1")


class LatencyProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The legs of one venue; without figures, nothing takes any time."""

    entry: Leg = Leg()
    cancel: Leg = Leg()
    feed: Leg = Leg()


class Latency:
    """The latencies of one venue's line, each a function of the seed, the leg, the time and the message alone."""

    def __init__(self, seed: int, profile: LatencyProfile) -> None:
        self._seed = seed
        self._legs: dict[LegName, _Drawn] = {
            "entry": _Drawn(seed, "entry", profile.entry),
            "cancel": _Drawn(seed, "cancel", profile.cancel),
            "feed": _Drawn(seed, "feed", profile.feed),
        }

    def ns(self, leg: LegName, sent_at: int, message: str) -> int:
        """How long `message`, which names it among all of its leg, takes if it sets out at `sent_at` (ns)."""
        return self._legs[leg].ns(sent_at, message)


class _Drawn:
    def __init__(self, seed: int, name: LegName, leg: Leg) -> None:
        self._seed = seed
        self._name = name
        self._log_median = log(leg.median_ms * 1e6) if leg.median_ms > 0.0 else None
        self._of_burst = leg.sigma * sqrt(1.0 - leg.jitter)
        self._of_message = leg.sigma * sqrt(leg.jitter)
        self._bursts = Wander(seed, f"latency/{name}", leg.burst_half_life_ms / BUCKET_MS)

    def ns(self, sent_at: int, message: str) -> int:
        if self._log_median is None:
            return 0
        burst = self._of_burst * self._bursts.at(sent_at // BUCKET_NS)
        own = self._of_message * normal(key(self._seed, f"latency/{self._name}/{message}"), 0)
        return int(exp(self._log_median + burst + own))
