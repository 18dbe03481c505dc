from __future__ import annotations

import msgspec
import pytest

from benchmarks import references
from benchmarks.references import NORMAL, STUDENT_NU
from bot4_cost_model.statistics.garch import Fit

PUBLISHED = Fit(
    branch="garch",
    reason="",
    nu=STUDENT_NU[0],
    variance_start=1.0,
    variance_next=1.0,
    observations=references.OBSERVATIONS,
    **{name: published for name, (published, _) in NORMAL.items()},
)


def test_what_was_published_holds() -> None:
    assert all(each.holds for each in references.normal(PUBLISHED))


@pytest.mark.parametrize("name", NORMAL)
def test_an_estimate_that_is_too_far_away_is_the_one_that_fails(name: str) -> None:
    published, within = NORMAL[name]
    other = msgspec.structs.replace(PUBLISHED, **{name: published + 1.01 * within})
    failing = [each.what for each in references.normal(other) if not each.holds]
    assert failing == [name.replace("_", " ")]


def test_what_was_not_estimated_does_not_hold() -> None:
    without = msgspec.structs.replace(PUBLISHED, nu=None, log_likelihood=None)
    assert not all(each.holds for each in references.normal(without))
    assert [each.holds for each in references.student(without)] == [False, False]
