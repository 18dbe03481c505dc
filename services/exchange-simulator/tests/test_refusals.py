"""Does every reason a venue has have its place in the taxonomy that callers know?"""

from __future__ import annotations

import pytest

from bot4_common.errors import REFUSALS
from bot4_exchange_simulator import edge
from bot4_exchange_simulator.engine import refusals


@pytest.mark.parametrize("code", sorted({**refusals.REFUSALS, **edge.REFUSALS}))
def test_a_venues_code_is_one_of_ours(code: str) -> None:
    assert code in REFUSALS


@pytest.mark.parametrize("code", sorted(edge.REFUSALS))
def test_both_agree_on_what_may_be_tried_again(code: str) -> None:
    assert edge.REFUSALS[code].retryable == REFUSALS[code].retryable
