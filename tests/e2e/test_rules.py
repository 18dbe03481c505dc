"""Is every rule of risk reached over REST, as the documentation says? It makes the requests of `docs/risk.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot4_cli.running import Run, read
from bot4_cli.stack import free_ports
from bot4_common.errors import REFUSALS
from bot4_risk import rulebook
from bot4_risk.rulebook import Entry, Request
from tests.e2e.conftest import bot4

# What takes an hour of samples, a venue of another kind, or luck, is shown at work by the tests of risk alone.
SHOWN = [entry for entry in rulebook.entries() if entry.tries and entry.code != "CORRELATION"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A system whose limits and switches nobody else needs."""
    folder = tmp_path_factory.mktemp("rules")
    started = bot4("up", "--detach", "--data", folder, "--port", str(free_ports(1)[0]))
    assert started.returncode == 0, started.stdout + started.stderr
    yield read(Path(folder))
    bot4("down", "--data", folder)


@pytest.fixture
def http(own: Run) -> Iterator[httpx.Client]:
    """Afterwards all is as it was: limits, gate, switches, and nothing open or held."""
    with httpx.Client(base_url=own.url, timeout=10) as client:
        yield client
        operator, demo = {"X-API-Key": own.operator_key}, {"X-API-Key": own.api_keys["demo"]}
        for switch in client.get("/v1/kill-switch", headers=operator).json()["switches"]:
            named = {field: switch[field] for field in ("scope", "account", "strategy", "symbol") if switch[field]}
            body = {**named, "reason": "over"}
            second = {**operator, "X-Second-Key": own.second_key}
            assert client.request("DELETE", "/v1/kill-switch", headers=second, json=body).status_code == 200
        client.put("/v1/gate", headers=operator, json={"enabled": False, "reason": "over"})
        client.put("/v1/limits", headers=operator, json={"document": {}, "reason": "over"})
        for order in client.get("/v1/orders", headers=demo).json()["orders"]:
            client.delete(f"/v1/orders/{order['order_id']}", headers=demo)
        client.post("/v1/kill-switch", headers=demo, json={"reason": "flatten", "flatten": True})
        second = {**demo, "X-Second-Key": own.second_key}
        client.request("DELETE", "/v1/kill-switch", headers=second, json={"reason": "over"})
        client.post("/v1/equity/rebase", headers=operator, json={"reason": "over"})


@pytest.mark.parametrize("entry", SHOWN, ids=lambda entry: entry.code)
def test_a_rule_refuses_with_its_code(entry: Entry, http: httpx.Client, own: Run) -> None:
    keys = {
        "account": {"X-API-Key": own.api_keys["demo"]},
        "operator": {"X-API-Key": own.operator_key},
        "second": {"X-API-Key": own.operator_key, "X-Second-Key": own.second_key},
    }
    answers: list[dict[str, Any]] = []
    statuses: list[int] = []
    for request in entry.tries:
        path, body = _filled_in(request, answers)
        answered = http.request(request.method, path, headers=keys[request.key], json=body)
        answers.append(answered.json())
        statuses.append(answered.status_code)
    *before, last = statuses
    assert all(status < 300 for status in before), answers
    assert (answers[-1].get("code"), last) == (entry.code, REFUSALS[entry.code].status), answers


def _filled_in(request: Request, answers: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """`{1}` is the id in the first answer."""

    def id_of(found: re.Match[str]) -> str:
        answer = answers[int(found[1]) - 1]
        return str(answer.get("order_id") or answer.get("signal_id"))

    def filled(text: str) -> str:
        return re.sub(r"\{(\d)\}", id_of, text)

    body = {name: filled(value) if isinstance(value, str) else value for name, value in request.body.items()}
    return filled(request.path), body
