"""May this session send another request now?"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_exchange_simulator import limits
from bot4_exchange_simulator.engine.profile import Profile, shipped
from bot4_exchange_simulator.limits import (
    PASSED,
    WEIGHTS,
    Asked,
    Door,
    Limit,
    RequestLimits,
    Verdict,
    charge,
    judge,
    of_profile,
    used,
)

SECOND = 1_000_000_000
NOON = 1_760_000_040 * SECOND
ORDER = Asked("place", "session", "account")
QUERY = Asked("query", "session", "account")

CLOCK = Limit(name="weight", capacity=10, window_ns=60 * SECOND, weights={"place": 1, "query": 4})
STEADY = msgspec.structs.replace(CLOCK, refill="steady")
LIMITS = RequestLimits(limits=(CLOCK,), patience=2, ban_first_ns=120 * SECOND, ban_max_ns=400 * SECOND)


def steady(**changes: int) -> RequestLimits:
    return RequestLimits(limits=(msgspec.structs.replace(STEADY, **changes),))


def statuses(door: Door, allowed: RequestLimits, asked: Asked, *times: int) -> list[int]:
    return [charge(door, allowed, asked, now).status for now in times]


# Weights


def test_requests_pass_until_their_weight_is_used_up() -> None:
    door = Door()
    assert statuses(door, LIMITS, QUERY, NOON, NOON) == [200, 200]
    assert statuses(door, LIMITS, ORDER, NOON, NOON, NOON) == [200, 200, 429]
    assert used(door, CLOCK, ORDER, NOON) == 10


def test_a_lighter_request_still_fits() -> None:
    door = Door()
    assert statuses(door, LIMITS, QUERY, NOON, NOON, NOON) == [200, 200, 429]
    assert charge(door, LIMITS, ORDER, NOON) == PASSED


def test_what_has_no_weight_always_passes() -> None:
    door = Door()
    assert set(statuses(door, LIMITS, Asked("ping", "session", "account"), *[NOON] * 100)) == {200}
    assert door == Door()


def test_a_window_is_aligned_to_the_clock() -> None:
    door, late = Door(), NOON + 59 * SECOND
    assert statuses(door, LIMITS, QUERY, late, late, late) == [200, 200, 429]
    assert judge(door, LIMITS, QUERY, late).retry_after_ns == SECOND
    assert charge(door, LIMITS, QUERY, late + SECOND) == PASSED
    assert used(door, CLOCK, QUERY, late + SECOND) == 4


def test_a_steady_bucket_says_to_the_nanosecond_when_there_is_room() -> None:
    door, allowed = Door(), steady(capacity=7)
    for _ in range(7):
        assert charge(door, allowed, ORDER, NOON) == PASSED
    refused = judge(door, allowed, QUERY, NOON)
    # Four weights of seven in 60 s.
    assert refused == Verdict(429, "RATE_LIMITED", -(-60 * SECOND * 4 // 7), "weight")
    assert refused.retry_after_s == 35
    assert judge(door, allowed, QUERY, NOON + refused.retry_after_ns - 1).status == 429
    assert judge(door, allowed, QUERY, NOON + refused.retry_after_ns) == PASSED


def test_a_bucket_is_never_more_than_full() -> None:
    door = Door()
    assert charge(door, steady(), ORDER, NOON) == PASSED
    assert statuses(door, steady(), ORDER, *[NOON + 3_600 * SECOND] * 11) == [200] * 10 + [429]
    assert used(door, STEADY, ORDER, NOON + 7_200 * SECOND) == 0


def test_sessions_have_buckets_of_their_own_and_share_that_of_their_account() -> None:
    of_account = msgspec.structs.replace(CLOCK, name="orders", per="account", capacity=3, weights={"place": 1})
    allowed = RequestLimits(limits=(CLOCK, of_account))
    door = Door()
    one, other, stranger = ORDER, Asked("place", "other", "account"), Asked("place", "stranger", "stranger")
    assert statuses(door, allowed, one, NOON, NOON) == [200, 200]
    assert charge(door, allowed, other, NOON) == PASSED
    assert charge(door, allowed, other, NOON) == Verdict(429, "RATE_LIMITED", 60 * SECOND, "orders")
    assert charge(door, allowed, stranger, NOON) == PASSED
    assert (used(door, CLOCK, one, NOON), used(door, CLOCK, other, NOON)) == (2, 1)


def test_the_longest_of_several_waits_is_told() -> None:
    long = msgspec.structs.replace(CLOCK, name="day", window_ns=86_400 * SECOND)
    door, allowed = Door(), RequestLimits(limits=(CLOCK, long))
    assert statuses(door, allowed, QUERY, NOON, NOON) == [200, 200]
    assert judge(door, allowed, QUERY, NOON) == Verdict(
        429, "RATE_LIMITED", 86_400 * SECOND - NOON % (86_400 * SECOND), "day"
    )


# Bans


def banned(door: Door, now: int) -> int:
    """Uses the weight up and goes on asking until it is banned. Returns how long it is."""
    while (verdict := charge(door, LIMITS, QUERY, now)).status != 418:
        pass
    assert verdict.code == "BANNED"
    return verdict.retry_after_ns


def test_who_goes_on_is_banned_after_so_many_requests() -> None:
    door = Door()
    assert statuses(door, LIMITS, QUERY, *[NOON] * 6) == [200, 200, 429, 429, 429, 418]


def test_who_comes_back_in_time_has_all_patience_again() -> None:
    door = Door()
    assert statuses(door, LIMITS, QUERY, *[NOON] * 5) == [200, 200, 429, 429, 429]
    assert statuses(door, LIMITS, QUERY, *[NOON + 60 * SECOND] * 6) == [200, 200, 429, 429, 429, 418]


def test_after_a_ban_that_ends_before_there_is_room_one_is_told_to_wait_first() -> None:
    day = RequestLimits(
        limits=(msgspec.structs.replace(CLOCK, window_ns=86_400 * SECOND),), patience=1, ban_first_ns=SECOND
    )
    door = Door()
    assert statuses(door, day, QUERY, *[NOON] * 5) == [200, 200, 429, 429, 418]
    assert statuses(door, day, QUERY, *[NOON + SECOND] * 3) == [429, 429, 418]


def test_who_waits_as_told_is_never_banned() -> None:
    door, now = Door(), NOON
    for _ in range(50):
        verdict = charge(door, LIMITS, QUERY, now)
        assert verdict.status != 418
        now += verdict.retry_after_ns


def test_while_banned_not_even_what_has_no_weight_passes() -> None:
    door = Door()
    assert banned(door, NOON) == 120 * SECOND
    ping = Asked("ping", "session", "account")
    assert charge(door, LIMITS, ping, NOON + SECOND) == Verdict(418, "BANNED", 119 * SECOND)
    assert charge(door, LIMITS, ping, NOON + 120 * SECOND) == PASSED
    assert charge(door, LIMITS, Asked("query", "another", "account"), NOON) == PASSED


def test_bans_grow_to_the_longest_and_are_forgotten() -> None:
    door, now, lengths = Door(), NOON, []
    for _ in range(4):
        lengths.append(banned(door, now) // SECOND)
        now += lengths[-1] * SECOND
    assert lengths == [120, 240, 400, 400]
    assert door.offenders["session"].bans == 2
    assert banned(door, now + 399 * SECOND) == 400 * SECOND
    now += (799 + 400) * SECOND
    assert banned(door, now) == 120 * SECOND
    assert banned(door, now + 120 * SECOND) == 240 * SECOND


def test_asking_during_a_ban_does_not_make_it_longer() -> None:
    door = Door()
    banned(door, NOON)
    for second in range(119):
        assert charge(door, LIMITS, QUERY, NOON + second * SECOND).retry_after_ns == (120 - second) * SECOND
    assert charge(door, LIMITS, QUERY, NOON + 120 * SECOND) == PASSED
    assert banned(door, NOON + 120 * SECOND) == 240 * SECOND


# Any day


ASKED = st.builds(Asked, st.sampled_from(("place", "query", "ping")), st.sampled_from("ab"), st.sampled_from("cd"))
DAY = st.lists(st.tuples(ASKED, st.integers(0, 20 * SECOND)), max_size=100)
PER_ACCOUNT = msgspec.structs.replace(STEADY, name="account", per="account")


@given(DAY)
def test_judging_is_charging_without_a_trace(day: list[tuple[Asked, int]]) -> None:
    door, allowed, now = Door(), msgspec.structs.replace(LIMITS, limits=(CLOCK, PER_ACCOUNT)), NOON
    for asked, later in day:
        now += later
        before = msgspec.json.encode(door)
        judged = judge(door, allowed, asked, now)
        assert msgspec.json.encode(door) == before
        # What was saved and loaded goes on alike.
        assert judged == charge(msgspec.json.decode(before, type=Door), allowed, asked, now)
        assert judged == charge(door, allowed, asked, now)


@given(DAY)
def test_no_window_of_the_clock_lets_more_through_than_its_capacity(day: list[tuple[Asked, int]]) -> None:
    door, now, through = Door(), NOON, dict[tuple[int, str], int]()
    for asked, later in day:
        now += later
        if charge(door, LIMITS, asked, now) == PASSED:
            window = now // CLOCK.window_ns, asked.session
            through[window] = through.get(window, 0) + CLOCK.weights.get(asked.kind, 0)
    assert all(weight <= CLOCK.capacity for weight in through.values())


@given(DAY)
def test_no_stretch_of_time_lets_more_through_than_it_filled(day: list[tuple[Asked, int]]) -> None:
    door, now, passed = Door(), NOON, list[tuple[int, int]]()
    for asked, later in day:
        now += later
        if charge(door, steady(), Asked(asked.kind, "session", "account"), now) == PASSED:
            passed.append((now, STEADY.weights.get(asked.kind, 0)))
    for first, (begin, _) in enumerate(passed):
        weight = 0
        for at, each in passed[first:]:
            weight += each
            assert (weight - STEADY.capacity) * STEADY.window_ns <= (at - begin) * STEADY.capacity


@given(DAY)
def test_who_comes_when_it_was_told_to_finds_room(day: list[tuple[Asked, int]]) -> None:
    door, allowed, now = Door(), msgspec.structs.replace(LIMITS, limits=(CLOCK, PER_ACCOUNT)), NOON
    for asked, later in day:
        now += later
        verdict = charge(door, allowed, asked, now)
        if verdict.status == 429:
            assert judge(door, allowed, asked, now + verdict.retry_after_ns) == PASSED
            assert judge(door, allowed, asked, now + verdict.retry_after_ns - 1) != PASSED


def test_who_was_away_longest_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_MAX", 3)
    door = Door()
    for session in "abcad":
        for _ in range(3):
            charge(door, LIMITS, Asked("query", session, ""), NOON)
    assert list(door.buckets) == ["weight/b", "weight/c", "weight/d"]
    assert list(door.offenders) == ["c", "a", "d"]
    for session in "bcbe":
        charge(door, LIMITS, Asked("query", session, ""), NOON + 60 * SECOND)
    assert list(door.buckets) == ["weight/c", "weight/b", "weight/e"]


# Settings


def test_a_limit_that_lets_a_request_never_through_is_no_limit() -> None:
    with pytest.raises(ValueError, match="a request that weighs 11 is never let through by weight: 10"):
        Limit(name="weight", capacity=10, window_ns=SECOND, weights={"place": 11})
    with pytest.raises(msgspec.ValidationError, match=r"\$.limits\[0\].window_ns"):
        msgspec.convert({"limits": [{"name": "w", "capacity": 1, "window_ns": 0, "weights": {}}]}, RequestLimits)


def test_the_limits_of_a_profile_are_those_it_names() -> None:
    allowed = of_profile(shipped("binance-spot"))
    [limit] = allowed.limits
    assert (limit.capacity, limit.window_ns, limit.weights) == (6_000, 60 * SECOND, WEIGHTS)
    assert (allowed.ban_first_ns, allowed.ban_max_ns) == (120 * SECOND, 3 * 86_400 * SECOND)
    door = Door()
    tight = of_profile(Profile(weight_max=25, weight_patience=0))
    assert statuses(door, tight, Asked("trades", "s", "a"), NOON, NOON, NOON) == [200, 429, 418]
