"""DCC(1,1): known dynamics are found, and every matrix is a correlation matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from bot4_cost_model.statistics import garch
from bot4_cost_model.statistics.dcc import (
    EIGENVALUE_MIN,
    CorrelationMatrix,
    correlations,
    dynamics,
    forecast,
    mean_log_likelihood,
)
from bot4_cost_model.statistics.samples import FloatArray, UnusableSample

LONG_RUN = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 1.0]])


def unit(quasi: FloatArray) -> FloatArray:
    deviations = np.sqrt(np.diag(quasi))
    scaled: FloatArray = quasi / np.outer(deviations, deviations)
    return scaled


def simulated(seed: int, length: int, a: float, b: float, long_run: FloatArray = LONG_RUN) -> FloatArray:
    """Standardised residuals that follow Engle's recursion."""
    random = np.random.default_rng(seed)
    quasi, rows = long_run, []
    for _ in range(length):
        rows.append(np.linalg.cholesky(unit(quasi)) @ random.standard_normal(len(long_run)))
        quasi = (1 - a - b) * long_run + a * np.outer(rows[-1], rows[-1]) + b * quasi
    return np.array(rows)


def pair(correlation: float, length: int, seed: int = 0) -> FloatArray:
    """Hourly returns of one per cent, correlated alike all the time."""
    return 0.01 * simulated(seed, length, 0, 0, np.array([[1, correlation], [correlation, 1]]))


def found(returns: FloatArray, horizon: int = 1) -> CorrelationMatrix:
    names = "ABCDEFGHIJKLMNOPQRSTU"[: returns.shape[1]]
    columns = {name: column.tolist() for name, column in zip(names, returns.T, strict=True)}
    return correlations(columns, dict.fromkeys(columns, range(len(returns))), horizon=horizon)


def is_correlation_matrix(matrix: FloatArray | Sequence[Sequence[float]]) -> bool:
    values = np.array(matrix)
    return bool(
        np.all(np.isfinite(values))
        and np.array_equal(values, values.T)
        and np.all(np.diag(values) == 1)
        and np.linalg.eigvalsh(values)[0] > 0.99 * EIGENVALUE_MIN
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_dynamics_that_made_the_residuals_are_found(seed: int) -> None:
    fitted = dynamics(simulated(seed, 3000, a=0.05, b=0.90))
    assert fitted.a == pytest.approx(0.05, abs=0.02)
    assert fitted.b == pytest.approx(0.90, abs=0.05)
    assert fitted.long_run == pytest.approx(LONG_RUN, abs=0.1)


def test_what_is_found_differs_from_the_truth_by_chance_only() -> None:
    """One fit of 3,000 residuals errs by 0.006 and 0.014; the mean of 12 by less than a third of that."""
    found = [dynamics(simulated(seed, 3000, a=0.05, b=0.90)) for seed in range(12)]
    assert np.mean([each.a for each in found]) == pytest.approx(0.05, abs=0.004)
    assert np.mean([each.b for each in found]) == pytest.approx(0.90, abs=0.01)


def test_correlations_that_do_not_move_are_left_alone() -> None:
    fitted = dynamics(simulated(1, 3000, a=0, b=0))
    assert fitted.a < 0.01
    assert fitted.next == pytest.approx(LONG_RUN, abs=0.05)


def test_the_likelihood_is_that_of_the_recursion_written_out() -> None:
    residuals, a, b = simulated(2, 200, a=0.05, b=0.90), 0.07, 0.85
    quasi, total = LONG_RUN, 0.0
    for row in residuals:
        correlation = unit(quasi)
        total -= (np.linalg.slogdet(correlation)[1] + row @ np.linalg.inv(correlation) @ row) / 2
        quasi = (1 - a - b) * LONG_RUN + a * np.outer(row, row) + b * quasi
    assert mean_log_likelihood(residuals, LONG_RUN, a, b) == pytest.approx(total / len(residuals))


def test_no_nearby_dynamics_are_likelier() -> None:
    residuals = simulated(3, 1000, a=0.05, b=0.90)
    fitted = dynamics(residuals)
    standard = residuals / np.sqrt(np.mean(residuals**2, axis=0))
    best = mean_log_likelihood(standard, fitted.long_run, fitted.a, fitted.b)
    for a, b in ((0.01, 0), (-0.01, 0), (0, 0.02), (0, -0.02)):
        assert mean_log_likelihood(standard, fitted.long_run, fitted.a + a, fitted.b + b) < best


def test_the_next_correlations_are_those_of_the_recursion_written_out() -> None:
    residuals = simulated(4, 400, a=0.05, b=0.90)
    fitted = dynamics(residuals)
    standard = residuals / np.sqrt(np.mean(residuals**2, axis=0))
    quasi = fitted.long_run
    for row in standard:
        quasi = (1 - fitted.a - fitted.b) * fitted.long_run + fitted.a * np.outer(row, row) + fitted.b * quasi
    assert fitted.next == pytest.approx(unit(quasi))


def test_a_forecast_goes_from_the_next_to_the_long_run() -> None:
    fitted = dynamics(simulated(5, 1000, a=0.05, b=0.90))
    assert forecast(fitted, 1) == pytest.approx(fitted.next)
    halfway = fitted.long_run + (fitted.a + fitted.b) ** 9 * (fitted.next - fitted.long_run)
    assert forecast(fitted, 10) == pytest.approx(halfway)
    assert forecast(fitted, 5000) == pytest.approx(fitted.long_run)
    with pytest.raises(ValueError, match="horizon"):
        forecast(fitted, 0)


def test_symbols_that_began_to_move_as_one_are_caught_at_it() -> None:
    before, now = pair(0.0, 900), pair(0.95, 100, seed=1)
    assert found(before).matrix[0][1] < 0.1
    assert found(np.concatenate([before, now])).matrix[0][1] > 0.7
    assert found(np.concatenate([before, now]), horizon=2000).matrix[0][1] < 0.4


def test_volatility_that_clusters_is_taken_out_first() -> None:
    shocks = simulated(6, 3000, 0.04, 0.90)
    variance, rows = np.full(3, 5e-5), []
    for shock in shocks:
        rows.append(np.sqrt(variance) * shock)
        variance = 2e-6 + 0.08 * rows[-1] ** 2 + 0.88 * variance
    matrix = found(np.array(rows))
    assert [fit.branch for fit in matrix.fits] == ["garch"] * 3
    assert matrix.a == pytest.approx(0.04, abs=0.02)
    assert matrix.b == pytest.approx(0.90, abs=0.06)
    assert np.array(matrix.matrix) == pytest.approx(dynamics(shocks).next, abs=0.05)


def test_histories_of_unequal_length_meet_where_both_have_returns() -> None:
    returns = pair(0.8, 1500)
    old, young = returns[:, 0].tolist(), returns[400:, 1].tolist()
    gap = slice(100, 150)
    times = {"OLD": list(range(1500)), "YOUNG": list(range(400, 1500))}
    del young[gap], times["YOUNG"][gap]
    matrix = correlations({"YOUNG": young, "OLD": old}, times)
    assert matrix.symbols == ("OLD", "YOUNG")
    assert (matrix.observations, matrix.as_of) == (1050, 1499)
    assert matrix.matrix[0][1] == pytest.approx(0.8, abs=0.05)
    assert [fit.observations for fit in matrix.fits] == [1500, 1050]
    # One step off, the same returns have nothing to do with each other.
    late = correlations({"YOUNG": young, "OLD": old}, times | {"YOUNG": [time + 1 for time in times["YOUNG"]]})
    assert abs(late.matrix[0][1]) < 0.15


def test_a_series_that_does_not_vary_is_correlated_with_nothing() -> None:
    returns = np.column_stack([pair(0.8, 500), np.zeros(500), np.full(500, 0.1)])
    matrix: FloatArray = np.array(found(returns).matrix)
    assert matrix[:2, :2] == pytest.approx(np.array(found(returns[:, :2]).matrix))
    assert np.array_equal(matrix[2:], np.eye(4)[2:])


def test_without_two_that_vary_nothing_is_correlated() -> None:
    matrix = found(np.column_stack([pair(0.8, 500)[:, 0], np.zeros(500)]))
    assert matrix.matrix == ((1.0, 0.0), (0.0, 1.0))
    assert (matrix.a, matrix.b) == (0, 0)


def test_twins_and_opposites_are_as_correlated_as_a_matrix_can_be() -> None:
    one = pair(0.3, 500)
    matrix = found(np.column_stack([one, one[:, 0], -2 * one[:, 1]]))
    assert is_correlation_matrix(matrix.matrix)
    assert matrix.matrix[0][2] > 0.999
    assert matrix.matrix[1][3] < -0.999


def test_one_bad_tick_in_both_does_not_make_them_one() -> None:
    returns = pair(0.0, 1000)
    returns[900] = 5.0
    assert abs(found(returns, horizon=2000).matrix[0][1]) < 0.3


def test_twenty_symbols_are_many_enough_and_no_more() -> None:
    market = np.random.default_rng(7).standard_normal((300, 1))
    returns = 0.01 * (market + np.random.default_rng(8).standard_normal((300, 21)))
    matrix = found(returns[:, :20])
    assert is_correlation_matrix(matrix.matrix)
    assert np.array(matrix.matrix)[np.triu_indices(20, 1)].mean() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(UnusableSample, match="21 symbols, where 2 to 20"):
        found(returns)


def test_the_order_of_the_symbols_does_not_matter() -> None:
    returns = simulated(9, 400, 0.05, 0.9)
    columns = {name: returns[:, index].tolist() for index, name in enumerate("ABC")}
    times = dict.fromkeys(columns, range(400))
    turned = {name: columns[name] for name in "CAB"}
    assert correlations(turned, times) == correlations(columns, times)


@pytest.mark.parametrize(
    ("returns", "times", "why"),
    [
        ({"A": [0.1] * 200}, {"A": range(200)}, "1 symbols, where 2 to 20"),
        ({"A": [0.1] * 200, "B": [0.2] * 200}, {"A": range(200)}, "B: 200 returns at 0 times"),
        ({"A": [0.1] * 200, "B": [0.2] * 2}, {"A": range(200), "B": [5, 5]}, "B: its times do not increase"),
        (
            {"A": [0.1] * 200, "B": [0.2] * 150},
            {"A": range(200), "B": range(150, 300)},
            "50 times in common, where 100 are needed; the shortest is B: 150",
        ),
        (
            {"A": [0.1] * 200, "B": [float("nan")] * 200},
            {"A": range(200), "B": range(200)},
            "B: observation 0 is nan",
        ),
    ],
)
def test_what_cannot_be_correlated_says_why(
    returns: dict[str, list[float]], times: dict[str, Sequence[int]], why: str
) -> None:
    with pytest.raises(UnusableSample, match=why):
        correlations(returns, times)


@st.composite
def rough_returns(draw: st.DrawFn) -> FloatArray:
    """Columns that are wild, silent, constant, copies of each other or of no common scale."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    length, size = draw(st.integers(100, 250)), draw(st.integers(2, 6))
    returns = random.standard_t(draw(st.sampled_from([0.7, 2.1, 3.0, 30.0])), (length, size))
    for column in range(1, size):
        kind = draw(st.sampled_from(["own", "own", "constant", "copy", "opposite", "near", "sparse", "once"]))
        if kind == "constant":
            returns[:, column] = 0.1
        elif kind in ("copy", "opposite", "near"):
            noise = 1e-7 * random.standard_normal(length) if kind == "near" else 0
            returns[:, column] = (-3 if kind == "opposite" else 1) * returns[:, 0] + noise
        elif kind == "sparse":
            returns[random.random(length) < 0.9, column] = 0
        elif kind == "once":
            returns[:, column] = 0
            returns[draw(st.integers(0, length - 1)), column] = 1
    scale = draw(st.sampled_from([1e-6, 1e-2, 1.0, 1e4]))
    return np.clip(returns * scale, -1e12, 1e12)


@settings(max_examples=60, deadline=None)
@drawn(rough_returns(), st.sampled_from([1, 24, 10_000]))
def test_every_matrix_is_a_correlation_matrix(returns: FloatArray, horizon: int) -> None:
    matrix = found(returns, horizon)
    assert is_correlation_matrix(matrix.matrix)
    assert matrix.a >= 0 and matrix.b >= 0 and matrix.a + matrix.b < 1


def test_the_fits_are_those_of_garch() -> None:
    returns = pair(0.5, 300)
    assert found(returns).fits == tuple(garch.fit(column) for column in returns.T)
