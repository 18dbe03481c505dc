"""May this session send another request now, and if not, when? (48)

What a request weighs is taken out of buckets: of its session, or of its account. A bucket that does not hold it means
429 and a time to wait. Who goes on all the same is banned (418), each time twice as long. Times are in ns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from bot4_exchange_simulator.engine.profile import Profile

# What each kind of request weighs with Binance spot.
WEIGHTS: Final[Mapping[str, int]] = {
    "place": 1,
    "amend": 4,
    "cancel": 1,
    "cancel_all": 1,
    "replace": 1,
    "list": 1,
    "query": 4,
    "open_orders": 6,
    "book": 5,
    "trades": 25,
    "account": 20,
    "instruments": 20,
}

# Buckets and offenders are forgotten beyond so many, the one untouched for longest first.
KEPT_MAX: Final = 10_000

Positive = Annotated[int, msgspec.Meta(gt=0)]


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bucket of `capacity` for each session or account. What `weights` does not name weighs nothing here.

    `refill` at the clock: full again whenever a window begins, windows being aligned to the clock (47). Steady: it
    fills evenly, by its capacity in each window.
    """

    name: str
    capacity: Positive
    window_ns: Positive
    weights: dict[str, Positive]
    per: Literal["session", "account"] = "session"
    refill: Literal["clock", "steady"] = "clock"

    def __post_init__(self) -> None:
        heaviest = max(self.weights.values(), default=0)
        if heaviest > self.capacity:
            raise ValueError(f"a request that weighs {heaviest} is never let through by {self.name}: {self.capacity}")


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`patience` requests may come too early after a 429, the next is a ban. Bans are forgotten `ban_max_ns` after
    the last has ended."""

    limits: tuple[Limit, ...] = ()
    patience: Annotated[int, msgspec.Meta(ge=0)] = 10
    ban_first_ns: Positive = 120_000_000_000
    ban_max_ns: Positive = 259_200_000_000_000


def of_profile(profile: Profile) -> RequestLimits:
    """The limits of a venue whose profile names one weight per window and session."""
    return RequestLimits(
        limits=(
            Limit(name="weight", capacity=profile.weight_max, window_ns=profile.weight_window, weights=dict(WEIGHTS)),
        ),
        patience=profile.weight_patience,
        ban_first_ns=profile.ban_first,
        ban_max_ns=profile.ban_max,
    )


class Asked(msgspec.Struct, frozen=True):
    """A request as its limits see it. `kind` is what `Limit.weights` names."""

    kind: str
    session: str
    account: str


class Bucket(msgspec.Struct):
    """What was taken out, in weight × ns so that nothing is rounded as it fills, as of `at`."""

    taken: int = 0
    at: int = 0


class Offender(msgspec.Struct):
    """A session that was told to wait until `retry_at`: how often it came `early` since, and its bans so far."""

    retry_at: int = 0
    early: int = 0
    bans: int = 0
    banned_until: int = 0


class Door(msgspec.Struct):
    """What there is to remember: buckets by limit and whose they are, offenders by session; last touched, last."""

    buckets: dict[str, Bucket] = {}
    offenders: dict[str, Offender] = {}


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is one of the edge's refusals, `limit` the one that has no room for longest,
    `retry_after_ns` the time to wait."""

    status: Literal[200, 429, 418] = 200
    code: Literal["", "RATE_LIMITED", "BANNED"] = ""
    retry_after_ns: int = 0
    limit: str = ""

    @property
    def retry_after_s(self) -> int:
        """The header's whole seconds, never too few."""
        return -(-self.retry_after_ns // 1_000_000_000)


PASSED: Final = Verdict()


def judge(door: Door, limits: RequestLimits, asked: Asked, now: int) -> Verdict:
    """What becomes of a request. It changes nothing: `charge` does, once the verdict counts."""
    offender = door.offenders.get(asked.session)
    if offender is not None and now < offender.banned_until:
        return Verdict(418, "BANNED", offender.banned_until - now)
    wait_ns, limit = max(((_wait_ns(door, limit, asked, now), limit.name) for limit in limits.limits), default=(0, ""))
    if not wait_ns:
        return PASSED
    if offender is not None and now < offender.retry_at and offender.early >= limits.patience:
        return Verdict(418, "BANNED", _ban_ns(offender, limits, now), limit)
    return Verdict(429, "RATE_LIMITED", wait_ns, limit)


def charge(door: Door, limits: RequestLimits, asked: Asked, now: int) -> Verdict:
    """The same verdict, and the door remembers it: the weight of what passed, or that somebody was told to wait."""
    verdict = judge(door, limits, asked, now)
    if verdict.status == 200:
        for limit in limits.limits:
            weight = limit.weights.get(asked.kind, 0)
            if weight:
                name = _bucket_name(limit, asked)
                taken = _taken(door.buckets.pop(name, None), limit, now) + weight * limit.window_ns
                door.buckets[name] = Bucket(taken, now)
                _forget_oldest(door.buckets)
        return verdict
    offender = door.offenders[asked.session] = door.offenders.pop(asked.session, Offender())
    _forget_oldest(door.offenders)
    _offend(offender, limits, verdict, now)
    return verdict


def used(door: Door, limit: Limit, asked: Asked, now: int) -> int:
    """The weight that is taken out of the bucket, rounded up: what the venue tells along with each answer."""
    return -(-_taken(door.buckets.get(_bucket_name(limit, asked)), limit, now) // limit.window_ns)


def _bucket_name(limit: Limit, asked: Asked) -> str:
    return f"{limit.name}/{asked.session if limit.per == 'session' else asked.account}"


def _taken(bucket: Bucket | None, limit: Limit, now: int) -> int:
    """What is out of the bucket now, in weight × ns."""
    if bucket is None:
        return 0
    if limit.refill == "clock":
        return bucket.taken if now // limit.window_ns == bucket.at // limit.window_ns else 0
    return max(0, bucket.taken - (now - bucket.at) * limit.capacity)


def _wait_ns(door: Door, limit: Limit, asked: Asked, now: int) -> int:
    """How long until the bucket holds what the request weighs; 0 if it does."""
    taken = _taken(door.buckets.get(_bucket_name(limit, asked)), limit, now)
    weight = limit.weights.get(asked.kind, 0)
    beyond = taken + (weight - limit.capacity) * limit.window_ns
    if not weight or beyond <= 0:
        return 0
    if limit.refill == "clock":
        return limit.window_ns - now % limit.window_ns
    return -(-beyond // limit.capacity)


def _ban_ns(offender: Offender, limits: RequestLimits, now: int) -> int:
    bans = 0 if _is_forgiven(offender, limits, now) else offender.bans
    return min(limits.ban_first_ns << bans, limits.ban_max_ns)


def _is_forgiven(offender: Offender, limits: RequestLimits, now: int) -> bool:
    return now >= offender.banned_until + limits.ban_max_ns


def _offend(offender: Offender, limits: RequestLimits, verdict: Verdict, now: int) -> None:
    if now < offender.banned_until:
        return
    if verdict.status == 418:
        if _is_forgiven(offender, limits, now):
            offender.bans = 0
        # At the longest there is nothing left to count, and the shift stays small.
        offender.bans += verdict.retry_after_ns < limits.ban_max_ns
        offender.banned_until = now + verdict.retry_after_ns
        offender.early = offender.retry_at = 0
    elif now < offender.retry_at:
        offender.early += 1
    else:
        offender.early = 0
        offender.retry_at = now + verdict.retry_after_ns


def _forget_oldest(kept: dict[str, Any]) -> None:
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]
