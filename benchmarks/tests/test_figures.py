from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import latency, percentile

times = st.lists(st.integers(min_value=1, max_value=10**12), min_size=1, max_size=300)


def test_of_a_thousand_times_the_990th_is_p99() -> None:
    assert percentile(range(1, 1_001), 99) == 990


def test_of_one_time_every_percentile_is_that_time() -> None:
    assert [percentile([7], percent) for percent in (0.1, 50, 99.99, 100)] == [7, 7, 7, 7]


@given(times, st.integers(min_value=1, max_value=100))
def test_a_percentile_is_the_smallest_time_that_so_many_do_not_exceed(times: list[int], percent: int) -> None:
    found = percentile(sorted(times), percent)
    below = sum(time < found for time in times)
    within = sum(time <= found for time in times)
    assert below * 100 < len(times) * percent <= within * 100


def test_a_latency_is_told_in_milliseconds() -> None:
    told = latency([1_000_000 * n for n in range(1, 1_001)])
    assert (told.samples, told.p50, told.p99, told.p99_9, told.max) == (1_000, 500, 990, 999, 1_000)


def test_the_tail_is_compared_when_enough_requests_are_in_it() -> None:
    assert latency(range(1, 1_001)).tail_ratio is None
    assert latency([1] * 99_000 + [2] * 1_000 + [4] * 101).tail_ratio == 2.0


def test_a_curve_ends_where_too_few_times_lie_beyond_it() -> None:
    assert latency(range(1, 1_001)).curve[-1][0] == 99.5
