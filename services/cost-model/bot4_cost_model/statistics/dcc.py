"""DCC(1,1): how much do symbols move as one now, and in some steps?

Engle's dynamic conditional correlation (2002), estimated in two steps by quasi maximum likelihood:

1. Each symbol's returns are divided by their conditional deviation (`garch`), each over its own whole history.
2. On the times that all have in common, with z(t) the vector of those residuals, none counted larger than RESIDUAL_MAX,
   and S their mean correlation,

       Q(t+1) = (1 - a - b) S + a z(t) z(t)' + b Q(t),   R(t) = Q(t) scaled to a unit diagonal

   a and b maximise the normal likelihood of z given R, with a, b >= 0 and a + b < 1. S is not estimated with them but
   set to the sample's (correlation targeting), so two parameters serve any number of symbols.

Further ahead, R(t+h) = S + (a + b)^(h-1) (R(t+1) - S): of the two usual approximations, the one that Engle and Sheppard
(2001) found to be less biased.

Every matrix is symmetric, has ones on its diagonal and eigenvalues of EIGENVALUE_MIN or more: where the estimate has
smaller ones (two identical series have zero), it is drawn towards independence by as much as that takes. A series that
does not vary is correlated with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.signal import lfilter  # type: ignore[import-untyped]

from bot4_cost_model.statistics import garch
from bot4_cost_model.statistics.samples import FloatArray, UnusableSample, quiet, varies

SYMBOLS_MAX = 20
OBSERVATIONS_MIN = 100  # in common
PERSISTENCE_MAX = 0.999  # of a + b: a memory of a thousand observations
EIGENVALUE_MIN = 1e-4
# In mean sizes of a residual. The normal likelihood weighs it by its square: one bad tick, larger, would set the
# correlations of years.
RESIDUAL_MAX = 10.0
# Where the search begins, as a + b and the part of a in it: the best of these.
STARTS = ((0.5, 0.2), (0.9, 0.1), (0.97, 0.03), (0.995, 0.01))


class CorrelationMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """The correlations of the returns `horizon` steps after `as_of`, the last of the times all symbols have in common.

    Rows, columns and `fits` stand in the order of `symbols`. `observations` are the times in common.
    """

    symbols: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    as_of: int
    horizon: int
    observations: int
    a: float
    b: float
    fits: tuple[garch.Fit, ...]


class Dynamics(NamedTuple):
    """Fitted correlations of k series: `long_run` is S, `next` is R for the time after the last; both k × k."""

    a: float
    b: float
    long_run: FloatArray
    next: FloatArray


def correlations(
    returns: Mapping[str, Sequence[float]], times: Mapping[str, Sequence[int]], *, horizon: int = 1
) -> CorrelationMatrix:
    """The correlations between two to SYMBOLS_MAX symbols. `times` are those of each symbol's returns, increasing.

    Raises UnusableSample for returns or times that cannot be used, and for fewer than OBSERVATIONS_MIN in common.
    """
    symbols = tuple(sorted(returns))
    if not 2 <= len(symbols) <= SYMBOLS_MAX:
        raise UnusableSample(f"{len(symbols)} symbols, where 2 to {SYMBOLS_MAX} can be correlated")
    clocks = [_clock(symbol, returns[symbol], times.get(symbol, ())) for symbol in symbols]
    common = _common(symbols, clocks)
    fits = [_fit(symbol, returns[symbol]) for symbol in symbols]
    residuals = np.column_stack(
        [
            garch.standardised(returns[symbol], fit)[np.isin(clock, common)]
            for symbol, fit, clock in zip(symbols, fits, clocks, strict=True)
        ]
    )
    moving = [column for column in range(len(symbols)) if varies(residuals[:, column])]
    matrix = np.eye(len(symbols))
    a = b = 0.0
    if len(moving) > 1:
        found = dynamics(residuals[:, moving])
        matrix[np.ix_(moving, moving)] = forecast(found, horizon)
        a, b = found.a, found.b
    return CorrelationMatrix(
        symbols=symbols,
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        as_of=int(common[-1]),
        horizon=horizon,
        observations=len(common),
        a=a,
        b=b,
        fits=tuple(fits),
    )


def dynamics(residuals: FloatArray) -> Dynamics:
    """The second step: the fit to standardised residuals, one row for each time and one column for each series."""
    bound = RESIDUAL_MAX * np.mean(np.abs(residuals), axis=0)
    bounded = np.clip(residuals, -bound, bound)
    standard = bounded / np.sqrt(np.mean(bounded**2, axis=0))
    long_run = _positive_definite(standard.T @ standard / len(standard))

    def loss(point: Sequence[float]) -> float:
        return -mean_log_likelihood(standard, long_run, *_shares(point))

    with quiet():
        found = minimize(loss, min(STARTS, key=loss), method="L-BFGS-B", bounds=((0, PERSISTENCE_MAX), (0, 1)))
    a, b = _shares(found.x)
    last = _symmetric(_path(standard, long_run, a, b)[-1:], len(long_run))[0]
    return Dynamics(a=a, b=b, long_run=long_run, next=_positive_definite(last))


def forecast(found: Dynamics, horizon: int) -> FloatArray:
    """The correlations `horizon` steps after the last observation, k × k; one is the next."""
    if horizon < 1:
        raise ValueError(f"a horizon of {horizon} steps, where 1 or more can be forecast")
    kept = (found.a + found.b) ** (horizon - 1)
    return _positive_definite(found.long_run + kept * (found.next - found.long_run))


def mean_log_likelihood(standard: FloatArray, long_run: FloatArray, a: float, b: float) -> float:
    """Of one row of residuals given R, without the terms that do not depend on it."""
    quasi = _symmetric(_path(standard, long_run, a, b)[:-1], len(long_run))
    # With D the roots of Q's diagonal, R is D⁻¹QD⁻¹: log|R| = log|Q| - 2 log|D|, and z'R⁻¹z = (Dz)'Q⁻¹(Dz).
    deviations = np.sqrt(np.diagonal(quasi, axis1=1, axis2=2))
    scaled = standard * deviations
    factors = np.linalg.cholesky(quasi)
    determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1) - np.log(deviations).sum(axis=1)
    distances = (scaled * np.linalg.solve(quasi, scaled[..., None])[..., 0]).sum(axis=1)
    return float(-np.mean(2 * determinants + distances) / 2)


def _clock(symbol: str, returns: Sequence[float], times: Sequence[int]) -> NDArray[np.int64]:
    clock = np.asarray(times, dtype=np.int64)
    if len(clock) != len(returns):
        raise UnusableSample(f"{symbol}: {len(returns)} returns at {len(clock)} times")
    if np.any(np.diff(clock) <= 0):
        raise UnusableSample(f"{symbol}: its times do not increase")
    return clock


def _common(symbols: tuple[str, ...], clocks: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    common = reduce(np.intersect1d, clocks)
    if len(common) < OBSERVATIONS_MIN:
        length, shortest = min((len(clock), symbol) for symbol, clock in zip(symbols, clocks, strict=True))
        raise UnusableSample(
            f"{len(common)} times in common, where {OBSERVATIONS_MIN} are needed; the shortest is {shortest}: {length}"
        )
    return common


def _fit(symbol: str, returns: Sequence[float]) -> garch.Fit:
    try:
        return garch.fit(returns)
    except UnusableSample as problem:
        raise UnusableSample(f"{symbol}: {problem}") from problem


def _shares(point: Sequence[float]) -> tuple[float, float]:
    """a and b of a point in the box that is searched: their sum, and the part of a in it."""
    persistence, share = float(point[0]), float(point[1])
    return persistence * share, persistence * (1 - share)


def _path(standard: FloatArray, long_run: FloatArray, a: float, b: float) -> FloatArray:
    """The upper triangle of Q before each row and after the last, one row for each time."""
    rows, columns = np.triu_indices(len(long_run))
    target = long_run[rows, columns]
    driven = (1 - a - b) * target + a * standard[:, rows] * standard[:, columns]
    later, _ = lfilter([1.0], [1.0, -b], driven, axis=0, zi=b * target[None])
    return np.concatenate((target[None], later))


def _symmetric(triangles: FloatArray, size: int) -> FloatArray:
    rows, columns = np.triu_indices(size)
    matrices = np.empty((len(triangles), size, size))
    matrices[:, rows, columns] = triangles
    matrices[:, columns, rows] = triangles
    return matrices


def _positive_definite(covariance: FloatArray) -> FloatArray:
    """The correlations of a covariance, mixed with independence so far that no eigenvalue is below EIGENVALUE_MIN."""
    deviations = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(deviations, deviations)
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest < EIGENVALUE_MIN:
        correlation = correlation * (1 - EIGENVALUE_MIN) / (1 - smallest)
    symmetric: FloatArray = (correlation + correlation.T) / 2
    np.fill_diagonal(symmetric, 1.0)
    return symmetric
