"""How is something distributed? Values from tables and closed forms."""

from __future__ import annotations

from math import exp, factorial

import pytest
from ks import critical_distance, follows, uniform_cdf

from bot4_exchange_simulator.distributions import (
    beta_cdf,
    beta_of_moments,
    ks_distance,
    ks_distance_of_counts,
    log_normal_cdf,
    moments,
    normal_cdf,
    poisson_cdf,
)


@pytest.mark.parametrize("x", [0.001, 0.2, 0.5, 0.9, 0.999])
def test_beta_where_there_is_a_closed_form(x: float) -> None:
    assert beta_cdf(1.0, 1.0)(x) == pytest.approx(x, abs=1e-12)
    assert beta_cdf(3.0, 1.0)(x) == pytest.approx(x**3, abs=1e-12)
    assert beta_cdf(1.0, 4.0)(x) == pytest.approx(1.0 - (1.0 - x) ** 4, abs=1e-12)
    assert beta_cdf(2.0, 2.0)(x) == pytest.approx(3 * x**2 - 2 * x**3, abs=1e-12)


def test_beta_is_nothing_before_0_and_whole_from_1_on() -> None:
    assert [beta_cdf(0.3, 0.4)(x) for x in (-1.0, 0.0, 1.0, 2.0)] == [0.0, 0.0, 1.0, 1.0]


def test_beta_is_symmetric_also_where_it_is_steep() -> None:
    for x in (1e-9, 0.01, 0.3, 0.7):
        assert beta_cdf(0.05, 0.2)(x) == pytest.approx(1.0 - beta_cdf(0.2, 0.05)(1.0 - x), abs=1e-9)
    assert beta_cdf(500.0, 500.0)(0.5) == pytest.approx(0.5)


def test_beta_of_moments_has_these_moments() -> None:
    a, b = beta_of_moments(0.2, 0.01)
    assert (a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))) == pytest.approx((0.2, 0.01))


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 0.25), (0.5, 0.0), (0.0, 0.1), (1.2, 0.1)])
def test_no_beta_spreads_more_than_to_both_ends(mean: float, variance: float) -> None:
    with pytest.raises(ValueError, match="no Beta distribution"):
        beta_of_moments(mean, variance)


def test_poisson_adds_up_its_probabilities() -> None:
    assert poisson_cdf(2.5)(3) == pytest.approx(sum(exp(-2.5) * 2.5**k / factorial(k) for k in range(4)))
    assert poisson_cdf(2.5)(-1) == 0.0
    assert poisson_cdf(2.5)(60) == pytest.approx(1.0)


def test_half_of_a_log_normal_is_below_its_median() -> None:
    assert log_normal_cdf(3.0, 0.7)(3.0) == 0.5
    assert log_normal_cdf(3.0, 0.7)(3.0 * exp(0.7)) == pytest.approx(normal_cdf(1.0))
    assert log_normal_cdf(3.0, 0.7)(0.0) == 0.0


def test_the_distance_of_a_sample_is_its_greatest() -> None:
    assert ks_distance([0.25, 0.75], uniform_cdf) == 0.25
    assert ks_distance([0.9, 0.8], uniform_cdf) == pytest.approx(0.8)
    assert ks_distance([0.1, 0.1, 0.1], uniform_cdf) == pytest.approx(0.9)


def test_counts_are_compared_where_both_step() -> None:
    assert ks_distance_of_counts([0, 0, 1, 3], lambda x: (0.5, 0.75, 0.75, 1.0)[int(x)]) == 0.0
    assert ks_distance_of_counts([0, 0, 1, 3], lambda x: (0.5, 0.75, 0.95, 1.0)[int(x)]) == pytest.approx(0.2)


def test_the_critical_distance_is_that_of_the_tables() -> None:
    assert critical_distance(100) == pytest.approx(1.949 / 10.13, abs=2e-3)


def test_an_even_sample_follows_and_a_bent_one_does_not() -> None:
    even = [(index + 0.5) / 2_000 for index in range(2_000)]
    assert follows(even, uniform_cdf)
    assert not follows([x**1.2 for x in even], uniform_cdf)


def test_moments() -> None:
    assert moments([1.0, 3.0]) == (2.0, 1.0)
