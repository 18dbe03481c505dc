from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot4_common.errors import REFUSALS, Refused

ROOT = Path(__file__).parents[3]
# Calls whose text is a code, by the place or the name of the argument that holds it.
CALLED = {"Refused": 0}
NAMED = "code"


def sources() -> Iterator[Path]:
    for folder in "libs", "services", "journal":
        for path in (ROOT / folder).rglob("*.py"):
            if "tests" not in path.parts and path.name != "testing.py":
                yield path


def codes(path: Path) -> Iterator[str]:
    """Every code that a source file says in so many words."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            said = [keyword.value for keyword in node.keywords if keyword.arg == NAMED]
            if name in CALLED and len(node.args) > CALLED[name]:
                said.append(node.args[CALLED[name]])
            for value in said:
                for constant in ast.walk(value):
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        yield constant.value


def test_every_code_that_is_used_is_in_the_taxonomy() -> None:
    used = {code: path.name for path in sources() for code in codes(path)}
    assert "POSITION_LIMIT" in used or "BAD_FIELD" in used, "the search finds what it is meant to find"
    assert {code: where for code, where in used.items() if code not in REFUSALS} == {}


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_a_refusal_says_what_to_do(code: str) -> None:
    status, retryable, ccxt, meaning = REFUSALS[code]
    assert 400 <= status < 600 and ccxt and meaning.endswith(".")
    assert not retryable or status in (429, 503), "only what time can mend is worth repeating"


def test_a_refused_request_carries_its_numbers() -> None:
    refused = Refused("LOT_SIZE", lot="0.1")
    assert refused.refusal is REFUSALS["LOT_SIZE"] and refused.details == {"lot": "0.1"}
