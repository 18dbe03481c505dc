"""How long is a message under way?"""

from __future__ import annotations

from math import log, sqrt
from statistics import median

import pytest
from ks import follows

from bot4_exchange_simulator.distributions import log_normal_cdf
from bot4_exchange_simulator.latency import BUCKET_NS, Latency, LatencyProfile, Leg, LegName

MS = 1_000_000
PROFILE = LatencyProfile(
    entry=Leg(median_ms=2.0, sigma=0.5, jitter=0.4, burst_half_life_ms=200.0),
    cancel=Leg(median_ms=1.0, sigma=0.8, jitter=0.0),
    feed=Leg(median_ms=5.0, sigma=0.3, jitter=1.0),
)
LINE = Latency(1, PROFILE)
LEGS: list[tuple[LegName, Leg]] = [("entry", PROFILE.entry), ("cancel", PROFILE.cancel), ("feed", PROFILE.feed)]
# So far apart that no burst lasts from one to the next.
APART_NS = 5_000 * MS
CASES = 4_000


@pytest.mark.parametrize(("name", "leg"), LEGS)
def test_a_leg_is_log_normal_as_its_figures_say(name: LegName, leg: Leg) -> None:
    drawn = [LINE.ns(name, index * APART_NS, f"m{index}") / MS for index in range(CASES)]
    assert follows(drawn, log_normal_cdf(leg.median_ms, leg.sigma))
    assert not follows(drawn, log_normal_cdf(1.1 * leg.median_ms, leg.sigma))
    assert not follows(drawn, log_normal_cdf(leg.median_ms, 1.15 * leg.sigma))


def test_a_burst_lasts() -> None:
    """Half of what messages of one moment share is left after the half-life: of the correlation of their logarithms."""
    assert correlation("entry", 0) == pytest.approx(0.6, abs=0.05)
    assert correlation("entry", 200 * MS) == pytest.approx(0.3, abs=0.05)
    assert correlation("entry", 2_000 * MS) == pytest.approx(0.0, abs=0.05)


def test_all_of_a_moment_are_late_where_there_is_no_jitter_and_each_for_itself_where_there_is_nothing_else() -> None:
    assert LINE.ns("cancel", 0, "a") == LINE.ns("cancel", BUCKET_NS - 1, "b")
    assert abs(correlation("feed", 0)) < 0.05


def test_the_same_message_takes_the_same_time_whenever_it_is_asked() -> None:
    again = Latency(1, PROFILE)
    at = [3 * 10**18 + index * 7 * MS for index in range(50)]
    assert [again.ns("entry", ns, "m") for ns in reversed(at)] == [LINE.ns("entry", ns, "m") for ns in at][::-1]


def test_another_seed_message_or_leg_takes_another_time() -> None:
    line = Latency(1, LatencyProfile(entry=PROFILE.entry, cancel=PROFILE.entry))
    drawn = {line.ns("entry", 0, "a"), line.ns("entry", 0, "b"), line.ns("cancel", 0, "a"), LINE.ns("feed", 0, "a")}
    assert len({*drawn, Latency(2, PROFILE).ns("entry", 0, "a")}) == 5


def test_without_figures_nothing_takes_any_time() -> None:
    line = Latency(1, LatencyProfile())
    assert [line.ns(name, 10**18, "m") for name, _ in LEGS] == [0, 0, 0]


@pytest.mark.parametrize(
    "figures",
    [{"median_ms": -1.0}, {"sigma": -0.1}, {"burst_half_life_ms": -1.0}, {"jitter": 1.1}, {"jitter": -0.1}],
)
def test_figures_out_of_range_are_refused(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(figures))):
        Leg(**figures)


def test_bursts_make_neighbours_late_together() -> None:
    """Why they are there: a second of traffic is slow or fast as a whole, which independent draws would not be."""
    seconds = [
        median(LINE.ns("entry", second * APART_NS + index * 10 * MS, f"{second}/{index}") / MS for index in range(10))
        for second in range(300)
    ]
    spread = sqrt(sum(log(each / 2.0) ** 2 for each in seconds) / len(seconds))
    assert spread > 0.3  # ten independent ones would have a median within 0.2


def correlation(leg: LegName, lag_ns: int) -> float:
    pairs = [
        (log(LINE.ns(leg, i * APART_NS, f"a{i}")), log(LINE.ns(leg, i * APART_NS + lag_ns, f"b{i}")))
        for i in range(CASES)
    ]
    means = [sum(pair[each] for pair in pairs) / CASES for each in (0, 1)]
    both = sum((a - means[0]) * (b - means[1]) for a, b in pairs)
    squares = [sum((pair[each] - means[each]) ** 2 for pair in pairs) for each in (0, 1)]
    return both / sqrt(squares[0] * squares[1])
