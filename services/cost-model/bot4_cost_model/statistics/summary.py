"""Summary: what is published of a window of prices?"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from bot4_common.messages.cost import SymbolStatistics
from bot4_common.money import plain
from bot4_cost_model.sampling import StatisticsFitted, Window, period
from bot4_cost_model.statistics import garch
from bot4_cost_model.statistics.dcc import OBSERVATIONS_MIN, SYMBOLS_MAX, correlations
from bot4_cost_model.statistics.diagnostics import Outcome, adf, jarque_bera, ljung_box
from bot4_cost_model.statistics.samples import FloatArray, UnusableSample

# A symbol without a return for a day of hours is not traded any more. With it, all would be correlated as of then.
SILENCE_MAX = 24


class Returns(NamedTuple):
    """The logarithmic returns of one symbol, and the numbers of the periods that they led to."""

    values: list[float]
    periods: list[int]


def summary(window: Window) -> StatisticsFitted:
    """The statistics of all symbols that have enough returns; of none, where none has."""
    chosen = usable(log_returns(window), period(window.samples[-1].at, window.interval_ns))
    fits, matrix = fitted(chosen)
    return StatisticsFitted(
        sampled_to=window.samples[-1].at,
        interval_ns=window.interval_ns,
        symbols=[statistics(symbol, np.array(chosen[symbol].values), fit) for symbol, fit in fits.items()],
        correlations=[[fixed(min(1.0, max(-1.0, value))) for value in row] for row in matrix],
    )


def log_returns(window: Window) -> dict[str, Returns]:
    """By symbol. Where a period has no price, neither it nor the next one has a return."""
    found: dict[str, Returns] = {}
    last: dict[str, tuple[int, Decimal]] = {}
    for sample in window.samples:
        now = period(sample.at, window.interval_ns)
        for symbol, price in sample.prices.items():
            then, before = last.get(symbol, (now, price))
            if then == now and symbol in last:
                continue  # sampled more often, when the interval was another
            if then == now - 1:
                values, periods = found.setdefault(symbol, Returns([], []))
                values.append(log(price / before))
                periods.append(now)
            last[symbol] = now, price
    return found


def usable(returns: dict[str, Returns], now: int) -> dict[str, Returns]:
    """Those with enough returns, some of them recent, and enough in common: the longest of them."""
    lasting = {
        symbol: each
        for symbol, each in returns.items()
        if len(each.values) >= OBSERVATIONS_MIN and now - each.periods[-1] <= SILENCE_MAX
    }
    kept = sorted(lasting, key=lambda symbol: (-len(lasting[symbol].values), symbol))[:SYMBOLS_MAX]
    while (
        len(kept) > 1 and len(set.intersection(*(set(lasting[symbol].periods) for symbol in kept))) < OBSERVATIONS_MIN
    ):
        kept.pop()
    return {symbol: lasting[symbol] for symbol in sorted(kept)}


def fitted(chosen: dict[str, Returns]) -> tuple[dict[str, garch.Fit], tuple[tuple[float, ...], ...]]:
    """The fit of each symbol, and the correlations of the next returns in the same order."""
    if len(chosen) < 2:
        return {symbol: garch.fit(each.values) for symbol, each in chosen.items()}, ((1.0,),) * len(chosen)
    found = correlations(
        {symbol: each.values for symbol, each in chosen.items()},
        {symbol: each.periods for symbol, each in chosen.items()},
    )
    return dict(zip(found.symbols, found.fits, strict=True)), found.matrix


def statistics(symbol: str, returns: FloatArray, fit: garch.Fit) -> SymbolStatistics:
    wanders, is_normal, remembers = (_tested(test, returns) for test in (adf, jarque_bera, ljung_box))
    return SymbolStatistics(
        symbol=symbol,
        observations=len(returns),
        volatility=significant(sqrt(fit.variance_next)),
        model=fit.branch,
        alpha=fixed(fit.alpha),
        beta=fixed(fit.beta),
        degrees_of_freedom=significant(fit.nu or 0.0),
        adf_statistic=significant(wanders.statistic),
        adf_p=fixed(wanders.p_value),
        jarque_bera_statistic=significant(is_normal.statistic),
        jarque_bera_p=fixed(is_normal.p_value),
        ljung_box_statistic=significant(remembers.statistic),
        ljung_box_p=fixed(remembers.p_value),
    )


def _tested(test: Callable[[FloatArray], Outcome], returns: FloatArray) -> Outcome:
    """Where the test is not defined, nothing speaks against its hypothesis."""
    try:
        return test(returns)
    except UnusableSample:
        return Outcome(statistic=0.0, p_value=1.0, lags=0, observations=len(returns))


def fixed(value: float) -> Decimal:
    """With six digits behind the point. Raises `ValueError` for what is not finite."""
    return _decimal(format(value, ".6f"))


def significant(value: float) -> Decimal:
    """With six digits from the first that is not zero. Raises `ValueError` for what is not finite."""
    return _decimal(format(value, ".6g"))


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text} cannot be published")
    return Decimal(plain(number))
