"""How long did it take? Percentiles as people read them: a value that was really measured, never one in between."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed. `values` are sorted and not empty."""
    rank = -(-len(values) * percent // 100)
    return values[max(0, int(rank) - 1)]
