"""What does chance say?"""

from __future__ import annotations

from math import sqrt

import pytest
from ks import follows, uniform_cdf

from bot4_exchange_simulator.distributions import beta_cdf, ks_distance_of_counts, normal_cdf, poisson_cdf
from bot4_exchange_simulator.draws import COUNT_MAX, MEAN_MAX, Draws, Wander, bits, key, normal, uniform

CASES = 4_000


def test_the_same_numbers_draw_the_same_and_others_others() -> None:
    assert bits(1, 2, 3) == bits(1, 2, 3)
    assert len({bits(1, 2, 3), bits(1, 3, 2), bits(2, 2, 3), bits(1, 2), bits(-1, 2, 3)}) == 5


def test_purposes_have_keys_of_their_own() -> None:
    assert len({key(1, "a"), key(1, "b"), key(2, "a"), key(12, "a"), key(1, "2a")}) == 5


def test_uniform_numbers_are_even_and_never_0_or_1() -> None:
    drawn = [uniform(7, index) for index in range(CASES)]
    assert follows(drawn, uniform_cdf)
    assert not follows([x**1.1 for x in drawn], uniform_cdf)
    assert min(drawn) > 0.0 and max(drawn) < 1.0


def test_uniform_numbers_do_not_tell_of_the_next() -> None:
    drawn = [uniform(7, index) - 0.5 for index in range(CASES)]
    assert abs(correlation(drawn, 1)) < 4 / sqrt(CASES)


def test_normal_numbers_are_normal() -> None:
    drawn = [normal(7, index) for index in range(CASES)]
    assert follows(drawn, normal_cdf)
    assert not follows([1.25 * x for x in drawn], normal_cdf)


def test_the_draws_of_one_thing_are_even() -> None:
    draws = Draws(7, 1)
    assert follows([draws.uniform() for _ in range(CASES)], uniform_cdf)


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.3), (0.5, 1.2), (1.0, 1.0), (3.0, 3.7), (40.0, 2.0)])
def test_beta_numbers_follow_beta(a: float, b: float) -> None:
    drawn = [Draws(7, index).beta(a, b) for index in range(CASES)]
    assert follows(drawn, beta_cdf(a, b))
    assert not follows(drawn, beta_cdf(1.5 * a, b))
    assert not follows(drawn, beta_cdf(a, 1.5 * b))


@pytest.mark.parametrize("mean", [0.1, 2.2, 40.0])
def test_poisson_counts_follow_poisson(mean: float) -> None:
    """A count, and a part of it by another draw, makes an even number if the count is distributed as said."""
    counts = [Draws(7, index).poisson(mean) for index in range(CASES)]
    assert ks_distance_of_counts(counts, poisson_cdf(mean)) < 0.02
    assert follows(evened(counts, mean), uniform_cdf)
    assert not follows(evened(counts, 1.6 * mean if mean < 1 else 1.1 * mean), uniform_cdf)


def evened(counts: list[int], mean: float) -> list[float]:
    cdf = poisson_cdf(mean)
    return [cdf(k - 1) + uniform(9, index) * (cdf(k) - cdf(k - 1)) for index, k in enumerate(counts)]


def test_no_count_is_without_bounds() -> None:
    assert MEAN_MAX * 0.8 < Draws(1).poisson(1e12) <= COUNT_MAX


def test_nobody_comes_where_nobody_is_expected() -> None:
    assert {Draws(1, index).poisson(0.0) for index in range(100)} == {0}


# A path that can be entered anywhere.


@pytest.mark.parametrize("half_life", [0.0, 0.3, 3.3, 250.0])
def test_a_path_is_standard_normal(half_life: float) -> None:
    """Numbers far enough apart to have nothing to do with each other, at all places within a block."""
    path = Wander(7, "path", half_life)
    apart = int(20 * half_life) + 1
    drawn = [path.at(index * apart) for index in range(CASES)]
    assert follows(drawn, normal_cdf)
    assert not follows([1.25 * x for x in drawn], normal_cdf)


@pytest.mark.parametrize("half_life", [0.3, 3.3, 250.0])
@pytest.mark.parametrize("lag", [1, 2, 7, 64, 250])
def test_half_of_the_correlation_is_left_after_a_half_life(half_life: float, lag: int) -> None:
    """What is left of a number `lag` later, less what the AR(1) leaves of it, is normal noise of the variance left."""
    path = Wander(8, "path", half_life)
    left = 0.5 ** (lag / half_life)
    noise = sqrt(1.0 - left**2)
    apart = int(20 * half_life) + lag + 1
    pairs = [(path.at(index * apart), path.at(index * apart + lag)) for index in range(CASES)]
    assert follows([(after - left * before) / noise for before, after in pairs], normal_cdf)
    if left > 0.2:
        wrong = left ** (1.0 / 3.0)
        assert not follows([(after - wrong * before) / sqrt(1.0 - wrong**2) for before, after in pairs], normal_cdf)


def test_each_step_of_a_path_brings_something_new() -> None:
    """Over block ends and halvings alike: what is new has nothing to do with what was new before."""
    path = Wander(9, "path", 30.0)
    numbers = [path.at(index) for index in range(CASES + 1)]
    left = path.persistence
    new = [(numbers[i + 1] - left * numbers[i]) / sqrt(1.0 - left**2) for i in range(CASES)]
    assert follows(new, normal_cdf)
    assert all(abs(correlation(new, lag)) < 4 / sqrt(CASES) for lag in (1, 2, 3, 8, 300))


def test_a_path_is_the_same_whoever_asks_in_whatever_order() -> None:
    numbers = [5, 1_000_000_007, 6, 0, 4_096, 4_095, 10**15]
    one, other = Wander(1, "path", 100.0), Wander(1, "path", 100.0)
    assert [one.at(n) for n in numbers] == [other.at(n) for n in reversed(numbers)][::-1]


def test_another_seed_or_purpose_is_another_path() -> None:
    paths = Wander(1, "a", 9.0), Wander(2, "a", 9.0), Wander(1, "b", 9.0)
    assert len({path.at(77) for path in paths}) == 3


def correlation(numbers: list[float], lag: int) -> float:
    mean = sum(numbers) / len(numbers)
    centred = [number - mean for number in numbers]
    square = sum(number * number for number in centred)
    return sum(a * b for a, b in zip(centred, centred[lag:], strict=False)) / square
