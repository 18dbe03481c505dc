"""Is every rule of risk reached over REST, as the documentation says? It does all that stands in `docs/risk.md`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bot4_cli.running import Run, read
from bot4_cli.stack import free_ports
from bot4_common.errors import REFUSALS
from bot4_risk import rulebook
from bot4_risk.rulebook import A_MINUTE, SOON, Command, Entry, Request

ENTRIES = list(rulebook.entries())
SLOW = [entry for entry in ENTRIES if A_MINUTE in entry.tries]
QUICK = [entry for entry in ENTRIES if entry not in SLOW]

# After an example the line to the venue may be cut for seconds, and hundreds of bitcoins held.
OVER_S = 60.0


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


class System(NamedTuple):
    """A system that runs in `.bot4` of a folder, as one has it who follows the documentation."""

    folder: Path
    run: Run
    http: httpx.Client

    def keys(self, whose: str) -> dict[str, str]:
        account = {"X-API-Key": self.run.api_keys["demo"]}
        operator = {"X-API-Key": self.run.operator_key}
        second = {"X-Second-Key": self.run.second_key}
        return {"account": account, "operator": operator, "second": operator | second, "own": account | second}[whose]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, whose: str = "account") -> Answer:
        answered = self.http.request(method, path, headers=self.keys(whose), json=body)
        return Answer(answered.status_code, answered.json())

    def do(self, line: str) -> None:
        in_shell(self.folder, line)


def in_shell(folder: Path, line: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose limits and switches nobody else needs, with all that rules take."""
    folder = tmp_path_factory.mktemp("rules")
    in_shell(folder, "bot4 venue simulate-history > simulated.csv")
    in_shell(folder, f"bot4 up --detach --port {free_ports(1)[0]} --venues sim,b --history simulated.csv")
    run = read(folder / ".bot4")
    with httpx.Client(base_url=run.url, timeout=10) as http:
        started = System(folder, run, http)
        wait_until(lambda: started.ask("GET", "/v1/statistics").body["version"] > 0)
        yield started
    # After all that was refused, and all that was put back.
    in_shell(folder, "bot4 audit")
    in_shell(folder, "bot4 down")


@pytest.fixture
def system(own: System) -> Iterator[System]:
    """Afterwards all is as it was: limits, gate, switches, and nothing open or held."""
    yield own
    for switch in own.ask("GET", "/v1/kill-switch", whose="operator").body["switches"]:
        named = {field: switch[field] for field in ("scope", "account", "strategy", "symbol") if switch[field]}
        assert own.ask("DELETE", "/v1/kill-switch", {**named, "reason": "over"}, "second").status == 200
    own.ask("PUT", "/v1/gate", {"enabled": False, "reason": "over"}, "operator")
    own.ask("PUT", "/v1/limits", {"document": {}, "reason": "over"}, "operator")
    own.ask("POST", "/v1/kill-switch", {"reason": "over", "flatten": True})
    wait_until(lambda: is_idle(own))
    own.ask("DELETE", "/v1/kill-switch", {"reason": "over"}, "own")
    for whose in ({}, {"account": "demo"}):
        own.ask("POST", "/v1/equity/rebase", {**whose, "reason": "over"}, "operator")


def is_idle(system: System) -> bool:
    """Nothing is open or held, and the venues are called."""
    held = [Decimal(each["quantity"]) for each in system.ask("GET", "/v1/positions").body["positions"]]
    breakers = system.ask("GET", "/v1/breakers", whose="operator").body["breakers"]
    called = all(breaker["state"] != "open" for breaker in breakers)
    return called and not any(held) and not system.ask("GET", "/v1/orders?status=open").body["orders"]


def wait_until(met: Callable[[], bool]) -> None:
    until = time.monotonic() + OVER_S
    while not met():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("entry", QUICK, ids=lambda entry: entry.code)
def test_a_rule_refuses_with_its_code_and_what_explains_it(entry: Entry, system: System) -> None:
    show(entry, system)


def test_so_do_the_rules_that_take_a_minute(system: System) -> None:
    """At once, for none is in the way of another."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        for _ in pool.map(lambda entry: show(entry, system), SLOW):
            pass


def show(entry: Entry, system: System) -> None:
    answers: list[Answer | None] = []
    for step in entry.tries:
        if isinstance(step, Command):
            system.do(step.line)
            answers.append(None)
        else:
            answers.append(system.ask(step.method, *filled_in(step, answers), step.key))
    *before, last = [answer for answer in answers if answer is not None]
    assert all(answer.status < 300 for answer in before), answers
    assert (last.body.get("code"), last.status) == (entry.code, REFUSALS[entry.code].status), answers
    details = last.body["details"]
    assert details, "nothing explains it"
    if entry.default:
        assert sum(map(is_number, details.values())) >= 2, details


def filled_in(request: Request, answers: list[Answer | None]) -> tuple[str, dict[str, Any] | None]:
    """The path and the body: `{1}` is the first id in the first answer."""

    def id_of(found: re.Match[str]) -> str:
        ids = re.search(r'_id": *"([^"]*)', json.dumps(answers[int(found[1]) - 1]))
        assert ids is not None, answers
        return ids[1]

    def filled(text: str) -> str:
        return re.sub(r"\{(\d)\}", id_of, text.replace(f'"{SOON}"', f"{int(time.time()) + 2}000000000"))

    return filled(request.path), None if request.body is None else json.loads(filled(json.dumps(request.body)))


def is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False
