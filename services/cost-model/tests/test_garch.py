"""GARCH(1,1): published values, simulated truths, and an answer for every series."""

from __future__ import annotations

import subprocess
import sys
import warnings

import arch.data.sp500
import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import norm, t  # type: ignore[import-untyped]

from bot4_cost_model.statistics.garch import HORIZON_MAX, Fit, fit, forecast, standardised, variances
from bot4_cost_model.statistics.samples import FloatArray, UnusableSample


def simulated(
    seed: int, length: int, *, omega: float, alpha: float, beta: float, nu: float, start: float
) -> FloatArray:
    innovations = np.random.default_rng(seed).standard_t(nu, length + 500) * np.sqrt((nu - 2) / nu)
    returns, variance = [], start
    for innovation in innovations:
        returns.append(np.sqrt(variance) * innovation)
        variance = omega + alpha * returns[-1] ** 2 + beta * variance
    return np.array(returns[500:])


def clustered(seed: int = 0, length: int = 4000) -> FloatArray:
    return simulated(seed, length, omega=2e-6, alpha=0.08, beta=0.88, nu=5, start=5e-5)


def integrated(seed: int = 0, length: int = 4000) -> FloatArray:
    """What a year of hourly crypto returns looks like to a Student-t GARCH: α + β = 1, ν about 3."""
    return simulated(seed, length, omega=1e-7, alpha=0.069, beta=0.931, nu=3, start=1e-5)


def still(seed: int = 0, length: int = 1000) -> FloatArray:
    return np.random.default_rng(seed).standard_t(4, length) * 0.01


def likelihood(returns: FloatArray, found: Fit) -> float:
    """From the recursion alone, by another library's densities."""
    deviations = np.sqrt(variances(returns, found)[:-1])
    if found.nu is None:
        return float(norm.logpdf(returns, found.mean, deviations).sum())
    return float(t.logpdf(returns, found.nu, found.mean, deviations * np.sqrt(1 - 2 / found.nu)).sum())


def test_the_index_in_the_documentation_of_arch() -> None:
    """ "Introduction to ARCH Models" there: daily returns of the S&P 500 in per cent, 1999 to 2018, normal."""
    closes = arch.data.sp500.load()["Adj Close"].to_numpy(dtype=np.float64)
    found = fit(100 * (closes[1:] / closes[:-1] - 1), innovations="normal")
    assert (found.branch, found.observations) == ("garch", 5030)
    assert found.mean == pytest.approx(0.0564, abs=1e-4)
    assert found.omega == pytest.approx(0.0175, abs=1e-4)
    assert found.alpha == pytest.approx(0.1022, abs=2e-4)
    assert found.beta == pytest.approx(0.8852, abs=2e-4)
    assert found.log_likelihood == pytest.approx(-6936.72, abs=0.3)  # its recursion begins with another variance


@pytest.mark.parametrize("seed", range(4))
def test_the_parameters_that_made_a_series_are_found(seed: int) -> None:
    found = fit(clustered(seed))
    assert found.branch == "garch"
    assert found.alpha == pytest.approx(0.08, abs=0.03)
    assert found.beta == pytest.approx(0.88, abs=0.04)
    assert found.omega / (1 - found.alpha - found.beta) == pytest.approx(5e-5, rel=0.3)
    assert found.nu == pytest.approx(5, abs=1)


def test_what_is_found_differs_from_the_truth_by_chance_only() -> None:
    """One fit of 4,000 returns errs by 0.012, 0.022 and 0.35; the mean of 24 by a fifth of that."""
    found = [fit(clustered(seed)) for seed in range(24)]
    assert np.mean([each.alpha for each in found]) == pytest.approx(0.08, abs=0.006)
    assert np.mean([each.beta for each in found]) == pytest.approx(0.88, abs=0.01)
    assert np.mean([each.nu for each in found]) == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5])
def test_a_variance_that_never_returns_is_averaged(seed: int) -> None:
    found = fit(integrated(seed))
    assert found.branch == "igarch"
    assert found.reason.startswith("alpha + beta = 1.0000")
    assert found.omega == 0
    assert found.alpha + found.beta == pytest.approx(1, abs=1e-12)
    assert found.alpha == pytest.approx(0.069, abs=0.03)
    assert found.nu == pytest.approx(3, abs=0.8)
    assert forecast(found, 500) == pytest.approx([found.variance_next] * 500)


def test_few_observations_do_not_show_a_long_run_level_that_many_show() -> None:
    slow = simulated(3, 8000, omega=5e-7, alpha=0.06, beta=0.93, nu=6, start=5e-5)
    assert fit(slow).branch == "garch"
    assert fit(slow[-800:]).branch == "igarch"


@pytest.mark.parametrize("seed", range(4))
def test_a_variance_that_does_not_cluster_is_the_sample_s(seed: int) -> None:
    returns = still(seed)
    found = fit(returns)
    assert (found.branch, found.reason) == ("sample", "the variance does not cluster")
    assert found.nu == pytest.approx(4, abs=1)
    assert forecast(found, 3) == pytest.approx([returns.var()] * 3)


@pytest.mark.parametrize("returns", [clustered(), integrated()], ids=["garch", "igarch"])
@pytest.mark.parametrize("normal", [True, False])
def test_the_likelihood_is_that_of_the_recursion(returns: FloatArray, normal: bool) -> None:
    found = fit(returns, innovations="normal" if normal else "student")
    assert (found.nu is None) == normal
    assert found.log_likelihood == pytest.approx(likelihood(returns, found), abs=0.01)


def test_no_nearby_parameters_are_likelier() -> None:
    returns = clustered()
    found = fit(returns)
    best = likelihood(returns, found)
    for factor in (0.98, 1.02):
        for name in ("omega", "alpha", "nu"):
            values = {field: getattr(found, field) for field in Fit.__struct_fields__}
            assert likelihood(returns, Fit(**values | {name: values[name] * factor})) < best


def test_the_variance_after_the_last_return_follows_from_it() -> None:
    returns = clustered()
    found = fit(returns)
    path = variances(returns, found)
    assert len(path) == len(returns) + 1
    assert path[0] == pytest.approx(found.omega + (found.alpha + found.beta) * returns.var())
    assert path[1:] == pytest.approx(found.omega + found.alpha * (returns - found.mean) ** 2 + found.beta * path[:-1])
    assert found.variance_next == path[-1]


def test_a_forecast_returns_to_the_long_run_level() -> None:
    found = fit(clustered())
    level = found.omega / (1 - found.alpha - found.beta)
    for step, variance in enumerate(forecast(found, 50)):
        decay = (found.alpha + found.beta) ** step
        assert variance == pytest.approx(level + decay * (found.variance_next - level))
    assert forecast(found, 2000)[-1] == pytest.approx(level)


def test_standardised_returns_have_unit_variance_and_do_not_cluster() -> None:
    residuals = standardised(clustered(), fit(clustered()))
    assert residuals.std() == pytest.approx(1, abs=0.05)
    squares = residuals**2
    assert abs(np.corrcoef(squares[1:], squares[:-1])[0, 1]) < 0.05


def test_the_unit_of_the_returns_does_not_matter() -> None:
    once, hundredfold = fit(clustered()), fit(100 * clustered())
    assert hundredfold.alpha == pytest.approx(once.alpha, rel=1e-3)
    assert hundredfold.variance_next == pytest.approx(10_000 * once.variance_next, rel=1e-3)


def test_one_crash_does_not_hide_the_clustering() -> None:
    returns = clustered(length=1000)
    returns[500] = -0.1  # fourteen deviations
    found = fit(returns)
    assert found.branch != "sample"
    assert found.variance_next == pytest.approx(fit(clustered(length=1000)).variance_next, rel=0.5)


@pytest.mark.parametrize(
    ("returns", "why"),
    [
        (np.full(500, 0.1), "the series is constant"),
        (clustered(length=99), "99 returns are fewer than 100"),
        (np.where(np.arange(500) % 3 == 0, clustered(length=500), 0.0), "333 of 500 returns are the same"),
    ],
)
def test_a_series_that_says_little_has_the_variance_of_the_sample(returns: FloatArray, why: str) -> None:
    found = fit(returns)
    assert (found.branch, found.reason, found.nu) == ("sample", why, None)
    assert forecast(found, 2) == pytest.approx([np.var(returns)] * 2, abs=1e-30)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e9])
def test_what_only_rounding_moves_varies_by_exactly_nothing(level: float) -> None:
    returns = level + 1e-14 * still()
    returns[-1] = np.nextafter(returns[-1], 1e12)
    found = fit(returns)
    assert (found.variance_next, found.variance_start) == (0, 0)
    assert not standardised(returns, found).any()


def test_what_moves_by_more_than_rounding_varies() -> None:
    assert fit(1e-7 * still()).variance_next > 0


def test_a_long_silence_leaves_the_next_return_a_finite_size() -> None:
    returns = np.concatenate([integrated(length=2100), np.zeros(1900), [0.01]])
    found = fit(returns)
    assert np.abs(standardised(returns, found)[-1]) < 1e4
    assert found.variance_next > 0


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, float("nan")], [0.1, float("inf")], [[0.1], [0.2]]])
def test_returns_that_are_no_series_are_refused(returns: list[float]) -> None:
    with pytest.raises(UnusableSample):
        fit(returns)


@pytest.mark.parametrize("horizon", [0, HORIZON_MAX + 1])
def test_a_horizon_has_its_bounds(horizon: int) -> None:
    with pytest.raises(ValueError, match="horizon"):
        forecast(fit(still()), horizon)


def test_the_filters_of_warnings_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    fit(integrated(length=300))
    assert list(warnings.filters) == before


def test_the_service_does_not_import_the_statistics() -> None:
    heavy = "{'arch', 'numpy', 'pandas', 'scipy', 'statsmodels'}"
    script = f"import sys, bot4_cost_model.__main__; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "[]"


@st.composite
def rough_returns(draw: st.DrawFn) -> FloatArray:
    """Series as bad as they come: tails without variance, silences, repeats, jumps, any unit."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    length = draw(st.integers(2, 400))
    returns = random.standard_t(draw(st.sampled_from([0.5, 1.0, 2.1, 3.0, 30.0])), length)
    returns[random.random(length) < draw(st.sampled_from([0.0, 0.3, 0.6, 0.99]))] = 0
    jump = draw(st.integers(0, length - 1))
    returns[jump:] *= draw(st.sampled_from([1.0, 1e-6, 1e3]))
    return np.clip(returns * draw(st.sampled_from([1e-9, 1e-3, 1.0, 1e6])), -1e12, 1e12)


@settings(max_examples=100, deadline=None)
@drawn(rough_returns())
def test_every_series_has_finite_variances(returns: FloatArray) -> None:
    found = fit(returns)
    assert found.alpha >= 0 and found.beta >= 0 and found.omega >= 0 and found.alpha + found.beta <= 1 + 1e-9
    assert (found.branch == "igarch") <= (found.omega == 0)
    for values in (variances(returns, found), standardised(returns, found), forecast(found, 1000)):
        assert np.all(np.isfinite(values))
    assert min(forecast(found, 1000)) >= 0
    for value in (found.nu, found.log_likelihood):
        assert value is None or np.isfinite(value)
