"""Samples: what may statistics be computed from?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

OBSERVATIONS_MAX = 20_000  # more than two years of hours; twenty such series are correlated in 5 s and 300 MB
MAGNITUDE_MAX = 1e12  # its fourth power and the sum of 20,000 of them are far from overflow
RESOLUTION = 1e-12  # relative to the largest value, or to one: what is smaller is the rounding of a float


class UnusableSample(ValueError):
    """The statistic is not defined for these values; the message says which of them, or how many, are to blame."""


def checked(values: Sequence[float] | FloatArray, *, least: int) -> FloatArray:
    """The values as an array of one dimension, finite, with at least `least` and at most OBSERVATIONS_MAX of them."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise UnusableSample(f"a series has one dimension, this has {sample.ndim}")
    if not least <= len(sample) <= OBSERVATIONS_MAX:
        raise UnusableSample(f"{len(sample)} observations, where {least} to {OBSERVATIONS_MAX} can be used")
    unusable = np.flatnonzero(~(np.abs(sample) <= MAGNITUDE_MAX))
    if len(unusable):
        first = unusable[0]
        raise UnusableSample(f"observation {first} is {sample[first]}, not a number within ±{MAGNITUDE_MAX:g}")
    return sample


def resolution(sample: FloatArray) -> float:
    """How small a difference between its values is nothing but rounding."""
    return RESOLUTION * max(1.0, float(np.max(np.abs(sample))))


def varies(sample: FloatArray) -> bool:
    return float(np.ptp(sample)) > resolution(sample)


@contextmanager
def quiet() -> Iterator[None]:
    """What optimisers warn of on their way is judged by what they return, and stays inside this block."""
    with catch_warnings(), np.errstate(all="ignore"):
        simplefilter("ignore")
        yield
