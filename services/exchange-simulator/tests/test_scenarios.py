"""Does each rule of the semantics hold, as its own example says? Each file of `scenarios/` is one example."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from engines import ENGINES, driven

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.jsonl"))


@dataclass
class Step:
    """A command and the events that it must cause, in this order."""

    command: dict[str, Any]
    expected: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False  # others may come between


@dataclass
class Scenario:
    profile: str = "default"
    changes: dict[str, Any] = field(default_factory=dict)
    open: str | None = None  # why it is known to fail
    steps: list[Step] = field(default_factory=list)


def read(lines: Iterable[str]) -> Scenario:
    scenario = Scenario()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        said = json.loads(line)
        if "do" in said:
            scenario.steps.append(Step(said))
        elif "expect" in said:
            scenario.steps[-1].expected.append(said["expect"])
        elif "expect_more" in said:
            scenario.steps[-1].more = said["expect_more"]
        elif "open" in said:
            scenario.open = said["open"]
        else:
            scenario.profile, scenario.changes = said["profile"], said.get("set", {})
    return scenario


def as_expected(step: Step, events: list[dict[str, Any]]) -> bool:
    """Fields that the expectation does not name are free."""
    if not step.more:
        return len(events) == len(step.expected) and all(map(agrees, events, step.expected))
    coming: Iterator[dict[str, Any]] = iter(events)
    return all(any(agrees(event, expected) for event in coming) for expected in step.expected)


def agrees(event: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(event.get(name, missing) == value for name, value in expected.items())


missing = object()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    scenario = read(path.read_text(encoding="utf-8").splitlines())
    if scenario.open:
        request.applymarker(pytest.mark.xfail(reason=scenario.open, strict=True))
    running = driven(engine, scenario.profile, scenario.changes)
    for step in scenario.steps:
        events = running.step(step.command)
        told = "\n".join(map(json.dumps, events))
        assert as_expected(step, events), f"after {step.command}\nexpected {step.expected}\ngot:\n{told}"


def test_every_rule_that_the_engine_can_show_has_a_scenario() -> None:
    shown = {int(path.name[:2]) for path in FILES}
    assert shown == set(range(1, 48))
