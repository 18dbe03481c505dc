"""Does the documentation name every rule that risk can refuse by?"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bot4_common.errors import REFUSALS
from bot4_risk import rulebook
from bot4_risk.rulebook import Entry, Request

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "services" / "risk" / "bot4_risk"

ENTRIES = {entry.code: entry for entry in rulebook.entries()}


def test_the_documentation_is_what_the_source_says() -> None:
    """After a change: `python -m bot4_risk.rulebook > docs/risk.md`."""
    assert (ROOT / "docs" / "risk.md").read_text(encoding="utf-8") == rulebook.document()


# Of these risk only hears.
HEARD = {"UNKNOWN_ORDER"}


def test_every_code_that_risk_can_say_is_in_it() -> None:
    said = set()
    for module in MODULES.glob("*.py"):
        said |= set(re.findall(r'"([A-Z]{3,}(?:_[A-Z]+)+)"', module.read_text(encoding="utf-8")))
    assert said & set(REFUSALS) - HEARD <= set(ENTRIES)


def test_it_names_no_code_that_does_not_exist() -> None:
    assert set(ENTRIES) <= set(REFUSALS)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.code)
def test_every_rule_can_be_seen_at_work(entry: Entry) -> None:
    assert entry.tries and isinstance(entry.tries[-1], Request)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.code)
def test_what_is_to_be_done_is_shell(entry: Entry) -> None:
    lines = rulebook.shell(entry.tries)
    assert subprocess.run(["sh", "-n", "-c", lines], check=False).returncode == 0
    assert len(lines.splitlines()) == len(entry.tries)
    # Nothing is left to be filled in by hand, and each id comes from a line before.
    assert not re.search(r"\{\d|\{soon", lines)
    for number, line in enumerate(lines.splitlines(), 1):
        assert all(int(needed) < number for needed in re.findall(r"\$ID_(\d)", line))
