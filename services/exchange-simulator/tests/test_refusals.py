"""Does every reason a venue has have its place in the taxonomy that callers know?"""

from __future__ import annotations

from pathlib import Path

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


def table() -> str:
    """One line per code: what a caller sees, and what the venue itself would say in the dialect it speaks."""
    lines = ["| code | HTTP | again? | ccxt | meaning | venue |", "|---|---|---|---|---|---|"]
    said: dict[str, refusals.Refusal | edge.EdgeRefusal] = {**refusals.REFUSALS, **edge.REFUSALS}
    for code, refusal in REFUSALS.items():
        venue = f"{said[code].venue_code} {said[code].venue_message}" if code in said else ""
        again = "yes" if refusal.retryable else ""
        lines.append(f"| `{code}` | {refusal.status} | {again} | {refusal.ccxt} | {refusal.meaning} | {venue} |")
    return "\n".join(lines) + "\n"


def test_the_documentation_has_them_all() -> None:
    """After a change, what belongs there is what the assertion shows."""
    document = Path(__file__).parents[3] / "docs" / "errors.md"
    _, _, documented = document.read_text(encoding="utf-8").partition("\n\n| code")
    assert "| code" + documented == table()
