"""Each drill once, on a small scale: what it measures is there, nothing is wrong, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot4_cli.running import read
from bot4_cli.stack import free_ports
from tests.e2e.conftest import bot4

Figures = dict[str, Any]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A system of two venues, one of which has neither stops nor lists, on lines that take time and lose messages."""
    folder = tmp_path_factory.mktemp("drills")
    port = str(free_ports(1)[0])
    started = bot4("up", "--detach", "--venues", "a,b", "--faults", "--data", folder, "--port", port)
    assert started.returncode == 0, started.stdout + started.stderr
    yield folder
    stopped = bot4("down", "--data", folder)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def drilled(data: Path, *words: str) -> Figures:
    done = bot4("drill", *words, "--data", data, "--json")
    assert done.returncode in (0, 1), done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["wrong"] == outcome["findings"] == []
    assert outcome["passed"] and done.returncode == 0
    assert nothing_is_left(data)
    figures: Figures = outcome["figures"]
    return figures


def nothing_is_left(data: Path) -> bool:
    run = read(data)
    with httpx.Client(base_url=run.url, headers={"X-API-Key": run.api_keys["drill"]}, timeout=10) as http:
        held = [each for each in http.get("/v1/positions").json()["positions"] if each["quantity"] != "0"]
        switches = http.get("/v1/kill-switch").json()["switches"]
        return not (held or switches or http.get("/v1/orders").json()["orders"])


def test_the_kill_switch_stops_everything_and_stays_engaged(own: Path) -> None:
    found = drilled(own, "kill-switch", "--orders", "40", "--rate", "30")
    assert found["cancels"] >= 40 and found["markets"] >= 2
    assert 0 < found["engaged_ms"] < found["last_cancel_ms"]
    assert found["flat_ms"] > 0 and found["refused"] > 5
    assert found["journaled_without_risk"] > 0 == found["sent_without_risk"]


def test_lost_answers_become_known(own: Path) -> None:
    found = drilled(own, "lost-ack", "--for", "3", "--rate", "20")
    assert found["acks_lost"] > 10 and found["heal_ms_p50"] > 0
    assert found["unknown"] >= found["lost"]


def test_fills_during_amends_add_up(own: Path) -> None:
    found = drilled(own, "fill-during-amend", "--for", "4")
    assert found["amends"] == sum(found[how] for how in ("confirmed", "rejected", "lost", "overtaken"))
    assert found["confirmed"] > 10 and found["fills_in_flight"] > 0


def test_what_rests_survives_the_death_of_everything(own: Path) -> None:
    found = drilled(own, "restart-with-resting-orders", "--orders", "20")
    assert found["resting"] >= 20 and found["stops"] > 0 and found["held"] > 0
    assert found["kept"] == found["cancelled"] == found["resting"] + found["stops"] + found["held"]
    assert (found["markets"], found["protective_stops"], found["sent"]) == (4, 4, 0)


def test_fills_that_are_told_twice_are_booked_once(own: Path) -> None:
    found = drilled(own, "duplicate-fill", "--for", "3", "--rate", "30")
    assert found["booked"] == found["trades"] > 0 == found["quarantined"]
    assert found["ignored"] > 0 and found["repeats"] > found["ignored"]
