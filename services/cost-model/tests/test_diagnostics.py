"""Unit root, normality, memory: the tests against values that others have published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from statsmodels.datasets import macrodata, nile  # type: ignore[import-untyped]

from bot4_cost_model.statistics.diagnostics import Outcome, Trend, adf, jarque_bera, ljung_box
from bot4_cost_model.statistics.samples import OBSERVATIONS_MAX, FloatArray, UnusableSample

NOISE = np.random.default_rng(1).standard_normal(500)


def macro(column: str) -> FloatArray:
    values: FloatArray = macrodata.load_pandas().data[column].to_numpy(dtype=np.float64)
    return values


# Stata's dfuller on the macroeconomic data of the United States, as the tests of statsmodels quote it.
@pytest.mark.parametrize(
    ("column", "lags", "trend", "statistic", "p_value"),
    [
        ("realgdp", 4, "constant", 0.97505319, 0.99399563),
        ("realgdp", 4, "linear", -1.8566374, 0.67682968),
        ("infl", 1, "constant", -4.3346988, 0.00038661),
        ("infl", 1, "linear", -4.425093, 0.00199633),
        ("infl", 1, "none", -2.4511596, 0.013747),
    ],
)
def test_the_unit_root_test_agrees_with_stata(
    column: str, lags: int, trend: Trend, statistic: float, p_value: float
) -> None:
    found = adf(macro(column), lags=lags, trend=trend)
    assert found.statistic == pytest.approx(statistic, abs=1e-5)
    assert found.p_value == pytest.approx(p_value, abs=1e-5)
    assert found.lags == lags
    assert found.observations == 203 - 1 - lags


def forecast_errors_of_the_nile() -> FloatArray:
    """Standardised, of the local level model with the variances of Durbin and Koopman (2012), section 2.10.3."""
    of_noise, of_level = 15099.0, 1469.1
    flow = nile.load_pandas().data["volume"].to_numpy(dtype=np.float64)
    level, variance = flow[0], of_noise + of_level
    errors = []
    for value in flow[1:]:
        error, scale = value - level, variance + of_noise
        errors.append(error / np.sqrt(scale))
        level += variance / scale * error
        variance = variance * of_noise / scale + of_level
    return np.array(errors)


def test_normality_and_memory_of_the_nile_are_those_in_the_book() -> None:
    """Durbin and Koopman (2012), section 2.12.1: N = 0.05, Q(9) = 8.84."""
    errors = forecast_errors_of_the_nile()
    assert jarque_bera(errors).statistic == pytest.approx(0.05, abs=0.005)
    assert ljung_box(errors, lags=9).statistic == pytest.approx(8.84, abs=0.005)


def test_ljung_box_agrees_with_r() -> None:
    """R's Box.test on the residuals of investment growth, as the tests of statsmodels quote it."""
    investment, growth = (400 * np.diff(np.log(macro(column))) for column in ("realinv", "realgdp"))
    regressors = np.column_stack([np.ones_like(growth), growth, macro("realint")[:-1]])
    residuals = investment - regressors @ np.linalg.lstsq(regressors, investment)[0]
    found = ljung_box(residuals, lags=4)
    assert found.statistic == pytest.approx(5.23587172795227, rel=1e-10)
    assert found.p_value == pytest.approx(0.263940335284713, rel=1e-10)


def test_jarque_bera_is_its_formula() -> None:
    values = np.array([0.0, 0.0, 0.0, 1.0] * 25)  # skewness 2 / sqrt(3), kurtosis 7/3
    assert jarque_bera(values).statistic == pytest.approx(100 * (4 / 3 / 6 + (7 / 3 - 3) ** 2 / 24))


def test_noise_passes_and_a_walk_does_not() -> None:
    walk = np.cumsum(NOISE)
    assert adf(NOISE).p_value < 0.01 < 0.1 < adf(walk).p_value
    assert ljung_box(walk).p_value < 0.01 < 0.05 < ljung_box(NOISE).p_value
    assert jarque_bera(NOISE**3).p_value < 0.01 < 0.05 < jarque_bera(NOISE).p_value


def test_akaike_finds_the_lags_of_a_process_that_has_them() -> None:
    values = list(NOISE[:4])
    for shock in NOISE[4:]:
        values.append(0.3 * values[-1] + 0.5 * values[-4] + shock)
    assert adf(values).lags in (3, 4)  # three of the differences; the criterion may take one too many, not too few


@pytest.mark.parametrize("test", [adf, jarque_bera, ljung_box])
@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1.0] * 50, "the series is constant at 1.0"),
        ([1.0, 2.0], "2 observations, where 20 to"),
        ([0.0] * (OBSERVATIONS_MAX + 1), "20001 observations"),
        ([1.0, 2.0] * 20 + [float("nan")], "observation 40 is nan"),
        ([1.0, float("-inf")] * 20, "observation 1 is -inf"),
        ([1.0, 2e12] * 20, "not a number within"),
        ([[1.0, 2.0]] * 20, "one dimension, this has 2"),
    ],
)
def test_what_cannot_be_tested_says_why(test: object, values: list[float], why: str) -> None:
    assert callable(test)
    with pytest.raises(UnusableSample, match=why):
        test(values)


@pytest.mark.parametrize("test", [adf, ljung_box])
@pytest.mark.parametrize("lags", [0, 250])
def test_lags_stay_within_half_of_the_series(test: object, lags: int) -> None:
    assert callable(test)
    with pytest.raises(UnusableSample, match="500 observations allow 1 to 249"):
        test(NOISE, lags=lags)


@pytest.mark.parametrize("values", [np.arange(60.0), np.tile([0.0, 1.0], 30), np.arange(60.0) ** 2])
def test_a_series_without_noise_has_no_unit_root_test(values: FloatArray) -> None:
    with pytest.raises(UnusableSample, match="follows its own past exactly"):
        adf(values)


def test_a_single_last_move_is_no_series_to_test() -> None:
    with pytest.raises(UnusableSample, match="moves too seldom"):
        adf([0.0] * 60 + [1.0])


@settings(max_examples=100, deadline=None)
@drawn(st.lists(st.floats(-1e12, 1e12) | st.sampled_from([0.0, 1.0]), min_size=20, max_size=60))
def test_a_result_is_finite_or_refused(values: list[float]) -> None:
    for test in (adf, jarque_bera, ljung_box):
        try:
            found = test(values)
        except UnusableSample:
            continue
        assert isinstance(found, Outcome)
        assert np.isfinite(found.statistic) and 0 <= found.p_value <= 1
