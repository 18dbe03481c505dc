"""GARCH(1,1): how much will the next returns vary, given the returns so far?

    r(t) = mean + e(t),   e(t) = sqrt(v(t)) z(t),   v(t+1) = omega + alpha e(t)² + beta v(t)

z is a Student-t of variance one with nu degrees of freedom, or normal; the parameters are those of maximum likelihood
(Bollerslev 1986, 1987). One recursion serves three branches, and a fit says in which it is and why:

garch   The variance clusters and returns to a long-run level.
igarch  The variance clusters, but α + β is so near one that the sample does not show to what level it returns: it holds
        fewer than MEMORIES_MIN times the memory 1 / (1 - α - β). Hourly returns of crypto are of this kind. The level
        ω / (1 - α - β) would then be noise or infinite: ω is zero instead, β is 1 - α, α alone is estimated anew (an
        exponentially weighted average), and the forecast is flat. That costs some likelihood, and cannot run away.
sample  Nothing else can be said than the variance of the sample: too few returns, a constant, mostly one and the same
        return, no optimum found, or no clustering (likelihood gained over a constant variance below GAIN_MIN).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, log
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from arch.univariate import ConstantMean, ConstantVariance, EWMAVariance, Normal, StudentsT
from arch.univariate.volatility import GARCH, VolatilityProcess
from scipy.signal import lfilter  # type: ignore[import-untyped]

from bot4_cost_model.statistics.samples import FloatArray, checked, quiet, varies

Branch = Literal["garch", "igarch", "sample"]
Innovations = Literal["student", "normal"]

OBSERVATIONS_MIN = 100  # of fewer, three or four parameters say more about chance than about the market
SHARE_MAX = 0.5  # of one value: where most returns are alike, the likelihood of a Student-t has no maximum
MEMORIES_MIN = 10
GAIN_MIN = 3.0  # of log-likelihood: half the 5 % quantile of χ²(2), for the two parameters that make the variance move
VARIANCE_FLOOR = 1e-6  # of the sample's: after a silence, the next return still has a finite standardised size
HORIZON_MAX = 10_000


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The fitted recursion, in the units of the returns: variances are squared returns of one step.

    `variance_start` is the sample's, that the recursion begins with; `variance_next` is for the return after the last.
    `nu` is None for normal innovations and, as the likelihood, where nothing could be maximised.
    """

    branch: Branch
    reason: str
    mean: float
    omega: float
    alpha: float
    beta: float
    nu: float | None
    log_likelihood: float | None
    variance_start: float
    variance_next: float
    observations: int


def fit(returns: Sequence[float] | FloatArray, *, innovations: Innovations = "student") -> Fit:
    """The fit of at least two returns. Normal innovations make it the quasi maximum likelihood of the textbooks.

    Raises UnusableSample for what is not finite, too short or too long.
    """
    sample = checked(returns, least=2)
    why_not = _why_not(sample)
    if why_not is not None:
        return _still(sample, why_not, None)
    constant = _maximum(sample, ConstantVariance(), innovations)
    clustered = _maximum(sample, GARCH(p=1, q=1), innovations)
    if clustered is not None and (1 - clustered.persistence) * len(sample) >= MEMORIES_MIN:
        if _gain(clustered, constant) < GAIN_MIN:
            return _still(sample, "the variance does not cluster", constant)
        return _moving(sample, "garch", "the sample shows the variance cluster and return", clustered)
    integrated = _maximum(sample, EWMAVariance(lam=None), innovations)
    if integrated is None:
        return _still(sample, "no maximum of the likelihood found", constant)
    if _gain(integrated, constant) < GAIN_MIN:
        return _still(sample, "the variance does not cluster", constant)
    if clustered is None:
        return _moving(sample, "igarch", "no maximum found with a long-run variance", integrated)
    reason = f"alpha + beta = {clustered.persistence:.6f} of {len(sample)} returns"
    return _moving(sample, "igarch", reason, integrated)


def variances(returns: Sequence[float] | FloatArray, fit: Fit) -> FloatArray:
    """The variance of each return given those before it, and, one longer than the returns, of the next."""
    recursion = _Recursion(fit.mean, fit.omega, fit.alpha, fit.beta)
    return _path(checked(returns, least=1), recursion, fit.variance_start)


def standardised(returns: Sequence[float] | FloatArray, fit: Fit) -> FloatArray:
    """The returns less their mean, in units of their conditional deviation; zeros for a constant series."""
    sample = checked(returns, least=1)
    if fit.variance_start == 0:
        return np.zeros_like(sample)
    residuals: FloatArray = (sample - fit.mean) / np.sqrt(variances(sample, fit)[:-1])
    return residuals


def forecast(fit: Fit, horizon: int) -> tuple[float, ...]:
    """The variance of each of the next `horizon` returns; their sum is the variance of the return over all of them."""
    if not 1 <= horizon <= HORIZON_MAX:
        raise ValueError(f"a horizon of {horizon} steps, where 1 to {HORIZON_MAX} can be forecast")
    steps = [fit.variance_next]
    while len(steps) < horizon:
        steps.append(fit.omega + (fit.alpha + fit.beta) * steps[-1])
    return tuple(steps)


class _Recursion(NamedTuple):
    mean: float
    omega: float
    alpha: float
    beta: float


class _Maximum(NamedTuple):
    """Where the likelihood is greatest."""

    recursion: _Recursion
    nu: float | None
    log_likelihood: float

    @property
    def persistence(self) -> float:
        return self.recursion.alpha + self.recursion.beta


def _why_not(sample: FloatArray) -> str | None:
    if not varies(sample):
        return "the series is constant"
    if len(sample) < OBSERVATIONS_MIN:
        return f"{len(sample)} returns are fewer than {OBSERVATIONS_MIN}"
    _, counts = np.unique(sample, return_counts=True)
    if counts.max() > SHARE_MAX * len(sample):
        return f"{counts.max()} of {len(sample)} returns are the same"
    return None


def _maximum(sample: FloatArray, volatility: VolatilityProcess, innovations: Innovations) -> _Maximum | None:
    """The maximum of the likelihood over mean, variance and tails; None where the optimiser found none."""
    # The optimiser's steps and tolerances are made for numbers about one. In units of their mean size returns are that,
    # even where one crash makes most of the deviation: in units of the deviation the search then misses the maximum.
    scale = float(np.mean(np.abs(sample - np.median(sample))))
    model = ConstantMean(
        sample / scale,
        volatility=volatility,
        distribution=StudentsT() if innovations == "student" else Normal(),
        rescale=False,
    )
    with quiet():
        found = model.fit(disp="off", show_warning=False, backcast=float(np.var(sample)) / scale**2)
    parameters = {str(name): float(value) for name, value in found.params.items()}
    log_likelihood = float(found.loglikelihood)
    if found.convergence_flag != 0 or not all(map(isfinite, (log_likelihood, *parameters.values()))):
        return None
    smoothing = parameters.get("lam")
    recursion = _Recursion(
        mean=parameters["mu"] * scale,
        omega=parameters.get("omega", 0.0) * scale**2,
        alpha=parameters.get("alpha[1]", 0.0) if smoothing is None else 1 - smoothing,
        beta=parameters.get("beta[1]", 0.0) if smoothing is None else smoothing,
    )
    return _Maximum(recursion, parameters.get("nu"), log_likelihood - len(sample) * log(scale))


def _gain(moving: _Maximum, constant: _Maximum | None) -> float:
    return float("inf") if constant is None else moving.log_likelihood - constant.log_likelihood


def _still(sample: FloatArray, reason: str, constant: _Maximum | None) -> Fit:
    """The sample's own mean and variance, with the tails of the constant variance where they are known."""
    recursion = _Recursion(mean=float(np.mean(sample)), omega=_variance(sample), alpha=0.0, beta=0.0)
    return _fit(sample, "sample", reason, recursion, constant)


def _moving(sample: FloatArray, branch: Branch, reason: str, found: _Maximum) -> Fit:
    return _fit(sample, branch, reason, found.recursion, found)


def _fit(sample: FloatArray, branch: Branch, reason: str, recursion: _Recursion, found: _Maximum | None) -> Fit:
    start = _variance(sample)
    return Fit(
        branch=branch,
        reason=reason,
        mean=recursion.mean,
        omega=recursion.omega,
        alpha=recursion.alpha,
        beta=recursion.beta,
        nu=found.nu if found else None,
        log_likelihood=found.log_likelihood if found else None,
        variance_start=start,
        variance_next=float(_path(sample, recursion, start)[-1]),
        observations=len(sample),
    )


def _variance(sample: FloatArray) -> float:
    """Exactly zero for a constant, whose mean need not be a float."""
    return float(np.var(sample)) if varies(sample) else 0.0


def _path(sample: FloatArray, recursion: _Recursion, start: float) -> FloatArray:
    mean, omega, alpha, beta = recursion
    first = omega + (alpha + beta) * start
    driven = omega + alpha * (sample - mean) ** 2
    later, _ = lfilter([1.0], [1.0, -beta], driven, zi=[beta * first])
    path: FloatArray = np.maximum(np.concatenate(([first], later)), VARIANCE_FLOOR * start)
    return path
