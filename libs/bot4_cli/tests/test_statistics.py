from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_cli.statistics import percentile

HUNDRED = [float(value) for value in range(1, 101)]


@pytest.mark.parametrize(("percent", "value"), [(50, 50.0), (99, 99.0), (99.9, 100.0), (100, 100.0), (0, 1.0)])
def test_a_percentile_of_one_to_a_hundred(percent: float, value: float) -> None:
    assert percentile(HUNDRED, percent) == value


def test_of_one_value_every_percentile_is_that_value() -> None:
    assert percentile([7.0], 1) == percentile([7.0], 99.9) == 7.0


@given(st.lists(st.integers(), min_size=1).map(sorted), st.integers(0, 100))
def test_a_percentile_was_measured_and_so_many_do_not_exceed_it(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
