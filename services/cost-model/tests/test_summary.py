"""What is published of a window of prices: known truths are found, and every figure is a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from bot4_common.messages.cost import PricesSampled, SymbolStatistics
from bot4_cost_model.sampling import SYMBOLS_MAX, StatisticsFitted, Window
from bot4_cost_model.statistics.dcc import OBSERVATIONS_MIN
from bot4_cost_model.statistics.samples import FloatArray
from bot4_cost_model.statistics.summary import SILENCE_MAX, Returns, fixed, log_returns, significant, summary, usable

ZERO, ONE = Decimal(0), Decimal(1)
HOUR = 3_600 * 1_000_000_000


def window(series: Mapping[str, Sequence[float]], first: Mapping[str, int] | None = None) -> Window:
    """Hourly prices of each symbol, from its first hour on."""
    starts = {symbol: (first or {}).get(symbol, 0) for symbol in series}
    samples = []
    for hour in range(max(starts[symbol] + len(prices) for symbol, prices in series.items())):
        now = {
            symbol: Decimal(repr(float(prices[hour - starts[symbol]])))
            for symbol, prices in series.items()
            if 0 <= hour - starts[symbol] < len(prices)
        }
        samples.append(PricesSampled(prices=now, at=hour * HOUR))
    return Window(samples=samples, interval_ns=HOUR)


def prices(returns: FloatArray) -> list[float]:
    """What they were to have these returns, rounded as a market does."""
    walked: list[float] = np.round(100 * np.exp(np.concatenate(([0.0], np.cumsum(returns)))), 6).tolist()
    return walked


def walk(seed: int, length: int) -> list[float]:
    return prices(0.01 * np.random.default_rng(seed).standard_t(5, length - 1))


def clustered_pair(seed: int, length: int, correlation: float) -> tuple[FloatArray, FloatArray]:
    """α = 0.08, β = 0.88, ν = 5, and a correlation that does not move."""
    random = np.random.default_rng(seed)
    mixed = np.linalg.cholesky(np.array([[1, correlation], [correlation, 1]]))
    variance, rows = np.full(2, 5e-5), []
    for _ in range(length + 500):
        tails = np.sqrt(3 / random.chisquare(5))  # of both, so that the pair is a Student-t too
        rows.append(np.sqrt(variance) * (mixed @ random.standard_normal(2)) * tails)
        variance = 2e-6 + 0.08 * rows[-1] ** 2 + 0.88 * variance
    kept = np.array(rows[500:])
    return kept[:, 0], kept[:, 1]


def of(found: StatisticsFitted, symbol: str) -> SymbolStatistics:
    [one] = [each for each in found.symbols if each.symbol == symbol]
    return one


def test_what_made_the_prices_is_published() -> None:
    left, right = clustered_pair(seed=2, length=1_999, correlation=0.8)
    found = summary(window({"RIGHT": prices(right), "LEFT": prices(left)}))
    assert [(each.symbol, each.model, each.observations) for each in found.symbols] == [
        ("LEFT", "garch", 1_999),
        ("RIGHT", "garch", 1_999),
    ]
    for each in found.symbols:
        assert float(each.alpha) == pytest.approx(0.08, abs=0.04)
        assert float(each.beta) == pytest.approx(0.88, abs=0.06)
        assert float(each.degrees_of_freedom) == pytest.approx(5, abs=1.5)
    assert float(found.correlations[0][1]) == pytest.approx(0.8, abs=0.05)
    assert (found.sampled_to, found.interval_ns) == (1_999 * HOUR, HOUR)


def test_volatility_is_that_of_the_next_return() -> None:
    calm, wild = 0.001 * np.random.default_rng(3).standard_normal((2, 400)) * [[1], [20]]
    found = summary(window({"A": prices(np.concatenate([calm, wild])), "B": prices(np.concatenate([wild, calm]))}))
    assert float(of(found, "A").volatility) == pytest.approx(0.02, rel=0.5)
    assert float(of(found, "B").volatility) == pytest.approx(0.001, rel=0.5)


def test_the_tests_are_of_the_returns() -> None:
    found = of(summary(window({"A": walk(1, 1_000)})), "A")
    assert found.adf_p < Decimal("0.01")  # prices wander, their returns do not
    assert found.jarque_bera_p < Decimal("0.01")  # and have tails
    assert found.ljung_box_p > Decimal("0.05")


def test_one_symbol_is_correlated_with_itself() -> None:
    found = summary(window({"A": walk(1, 150)}))
    assert [each.symbol for each in found.symbols] == ["A"]
    assert found.correlations == [[ONE]]


def test_a_symbol_with_too_few_returns_is_left_out() -> None:
    old, young = walk(1, OBSERVATIONS_MIN + 50), walk(2, OBSERVATIONS_MIN)
    found = summary(window({"OLD": old, "YOUNG": young}, first={"YOUNG": 50}))
    assert [each.symbol for each in found.symbols] == ["OLD"]
    found = summary(window({"OLD": old, "YOUNG": walk(2, OBSERVATIONS_MIN + 1)}, first={"YOUNG": 49}))
    assert [each.symbol for each in found.symbols] == ["OLD", "YOUNG"]


def test_of_too_few_samples_nothing_is_said() -> None:
    found = summary(window({"A": walk(1, OBSERVATIONS_MIN)}))
    assert (found.symbols, found.correlations) == ([], [])


def test_a_price_that_never_moves_has_no_volatility_and_no_correlation() -> None:
    found = summary(window({"PEG": [1.0] * 200, "A": walk(1, 200)}))
    still = of(found, "PEG")
    assert (still.model, still.volatility, still.degrees_of_freedom) == ("sample", ZERO, ZERO)
    assert (still.adf_statistic, still.adf_p, still.ljung_box_p, still.jarque_bera_p) == (ZERO, ONE, ONE, ONE)
    assert found.correlations == [[ONE, ZERO], [ZERO, ONE]]


# Returns


def test_a_return_is_the_logarithm_of_two_neighbours() -> None:
    assert log_returns(window({"A": [100, 110, 99]})) == {
        "A": Returns(pytest.approx([np.log(1.1), np.log(0.9)]), [1, 2])  # type: ignore[arg-type]
    }


def test_over_a_gap_there_is_no_return() -> None:
    samples = window({"A": [100, 110, 120, 130, 140]}).samples
    del samples[2]
    assert log_returns(Window(samples=samples, interval_ns=HOUR))["A"].periods == [1, 4]


def test_a_symbol_that_was_away_begins_again() -> None:
    samples = window({"A": [100, 110, 120, 130, 140], "B": [100] * 5}).samples
    del samples[2].prices["A"]
    found = log_returns(Window(samples=samples, interval_ns=HOUR))
    assert (found["A"].periods, found["B"].periods) == ([1, 4], [1, 2, 3, 4])


def test_of_samples_closer_than_the_interval_the_first_counts() -> None:
    minutes = [PricesSampled(prices={"A": Decimal(100 + n)}, at=n * HOUR // 60) for n in range(121)]
    found = log_returns(Window(samples=minutes, interval_ns=HOUR))["A"]
    assert found.values == pytest.approx([np.log(1.6), np.log(2.2 / 1.6)])


# Which symbols


def lasting(periods: range) -> Returns:
    return Returns([0.0] * len(periods), list(periods))


def test_a_symbol_that_is_not_traded_any_more_is_left_out() -> None:
    live, gone = lasting(range(500)), lasting(range(499 - SILENCE_MAX))
    assert list(usable({"LIVE": live, "GONE": gone}, now=499)) == ["LIVE"]
    assert list(usable({"LIVE": live, "GONE": lasting(range(500 - SILENCE_MAX))}, now=499)) == ["GONE", "LIVE"]


def test_of_symbols_that_seldom_meet_the_longest_are_kept() -> None:
    returns = {
        "ODD": lasting(range(1, 500, 2)),
        "EVEN": lasting(range(0, 500, 2)),
        "LONG": lasting(range(500)),
        "SHORT": lasting(range(390, 500)),
    }
    assert list(usable(returns, now=499)) == ["EVEN", "LONG"]


def test_of_too_many_symbols_the_longest_are_kept() -> None:
    returns = {f"S{n:02}": lasting(range(n, 500)) for n in range(SYMBOLS_MAX + 3)}
    assert list(usable(returns, now=499)) == [f"S{n:02}" for n in range(SYMBOLS_MAX)]


# Figures


def test_figures_are_decimals_of_six_digits_without_exponent() -> None:
    assert [str(fixed(value)) for value in (0.1234567, 1.0, -1e-9, 1e-7)] == ["0.123457", "1", "0", "0"]
    assert [str(significant(value)) for value in (0.00123456789, 12345678.9, -3.5)] == [
        "0.00123457",
        "12345700",
        "-3.5",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_never_published(value: float) -> None:
    for figure in (fixed, significant):
        with pytest.raises(ValueError, match="cannot be published"):
            figure(value)


@st.composite
def rough_windows(draw: st.DrawFn) -> Window:
    """Prices as bad as they come: jumps, silences, ticks as large as moves, and one symbol that copies another."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    length = draw(st.integers(101, 180))
    series: dict[str, list[float]] = {}
    for symbol in ("A", "B", "C")[: draw(st.integers(1, 3))]:
        returns = 0.01 * random.standard_t(draw(st.sampled_from([1.0, 2.1, 30.0])), length)
        returns[random.random(length) < draw(st.sampled_from([0.0, 0.6, 0.99]))] = 0
        level = np.exp(np.clip(np.cumsum(returns), -10, 10)) * draw(st.sampled_from([1e-4, 1.0, 1e6]))
        series[symbol] = np.maximum(np.round(level, draw(st.sampled_from([2, 8]))), 0.01).tolist()
    if draw(st.booleans()):
        series["COPY"] = series["A"]
    return window(series)


@settings(max_examples=100, deadline=None, derandomize=True)
@drawn(rough_windows())
def test_of_any_prices_every_figure_is_a_number(prices: Window) -> None:
    found = summary(prices)
    assert [each.symbol for each in found.symbols] == sorted(prices.samples[0].prices)
    for each in found.symbols:
        figures = [getattr(each, name) for name in each.__struct_fields__]
        assert all(figure.is_finite() for figure in figures if isinstance(figure, Decimal))
        assert each.volatility >= 0 and each.alpha + each.beta <= Decimal("1.000001")
    matrix = np.array(found.correlations, dtype=np.float64)
    assert np.array_equal(matrix, matrix.T) and np.all(np.diag(matrix) == 1) and np.all(np.abs(matrix) <= 1)
    assert np.linalg.eigvalsh(matrix)[0] > 0
