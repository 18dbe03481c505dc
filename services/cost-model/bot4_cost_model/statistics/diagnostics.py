"""Diagnostics: does a series wander, is it normal, does it remember its past?

Each test has a hypothesis that a small p-value speaks against: a unit root for `adf`, normality for `jarque_bera`, no
autocorrelation for `ljung_box`. A series that cannot be tested raises UnusableSample; a result is always finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Literal

import msgspec
import numpy as np
from statsmodels.stats.diagnostic import acorr_ljungbox  # type: ignore[import-untyped]
from statsmodels.stats.stattools import jarque_bera as jarque_bera_of  # type: ignore[import-untyped]
from statsmodels.tsa.stattools import adfuller  # type: ignore[import-untyped]

from bot4_cost_model.statistics.samples import FloatArray, UnusableSample, checked, quiet, resolution, varies

OBSERVATIONS_MIN = 20  # below this the asymptotic distributions say nothing
LAGS_DEFAULT = 10  # the usual depth of a portmanteau test of returns

Trend = Literal["none", "constant", "linear"]
TRENDS: dict[Trend, str] = {"none": "n", "constant": "c", "linear": "ct"}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a test found. `lags` is how far back it looked, `observations` how many values it could compare."""

    statistic: float
    p_value: float
    lags: int
    observations: int


def adf(series: Sequence[float] | FloatArray, *, lags: int | None = None, trend: Trend = "constant") -> Outcome:
    """Augmented Dickey–Fuller: is there a unit root? Without `lags`, Akaike's criterion chooses them.

    The p-value is MacKinnon's approximation (1994, 2010).
    """
    sample = _testable(series, lags)
    with quiet():
        found = adfuller(
            sample,
            maxlag=lags,
            regression=TRENDS[trend],
            autolag="AIC" if lags is None else None,
            regresults=True,
            result_object=True,
        )
    noise = float(np.sqrt(found.resstore.resols.mse_resid))
    if not noise > resolution(sample):
        raise UnusableSample("the series follows its own past exactly: there is no noise to test against")
    return _outcome(found.statistic, found.pvalue, int(found.lags), int(found.nobs))


def jarque_bera(series: Sequence[float] | FloatArray) -> Outcome:
    """Jarque–Bera: are skewness and kurtosis those of a normal distribution? The p-value is that of χ²(2)."""
    sample = _testable(series)
    statistic, p_value, _, _ = jarque_bera_of(sample)
    return _outcome(statistic, p_value, 0, len(sample))


def ljung_box(series: Sequence[float] | FloatArray, *, lags: int | None = None) -> Outcome:
    """Ljung–Box: are the autocorrelations up to `lags` zero? The p-value is that of χ²(lags)."""
    sample = _testable(series, lags)
    depth = min(LAGS_DEFAULT, len(sample) // 5) if lags is None else lags
    found = acorr_ljungbox(sample, lags=[depth])
    return _outcome(found["lb_stat"].iloc[0], found["lb_pvalue"].iloc[0], depth, len(sample))


def _testable(series: Sequence[float] | FloatArray, lags: int | None = None) -> FloatArray:
    sample = checked(series, least=OBSERVATIONS_MIN)
    if not varies(sample):
        raise UnusableSample(f"the series is constant at {sample[0]}")
    # Half of the observations are left for the regression on the lags.
    if lags is not None and not 1 <= lags < len(sample) // 2:
        raise UnusableSample(f"{lags} lags, where {len(sample)} observations allow 1 to {len(sample) // 2 - 1}")
    return sample


def _outcome(statistic: float, p_value: float, lags: int, observations: int) -> Outcome:
    # A series that is silent but for its ends leaves the regression nothing to regress on.
    if not (isfinite(statistic) and isfinite(p_value)):
        raise UnusableSample("the series moves too seldom for the statistic to be defined")
    return Outcome(statistic=float(statistic), p_value=float(p_value), lags=lags, observations=observations)
