"""Several venues as real processes: an order goes where it says, and the audit holds for all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot4_cli.stack import free_ports
from tests.e2e.conftest import bot4


def told(data: Path, *words: str) -> Any:
    done = bot4(*words, "--data", data, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_two_venues_trade_are_killed_and_are_proved(tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    started = bot4("up", "--detach", "--venues", "a,b", "--faults", "--data", tmp_path, "--port", port)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        asked = ["order", "place", "--symbol", "BTC-USDT", "--side", "buy", "--quantity", "0.01"]
        for named, traded_at in (([], "a"), (["--venue", "b"], "b")):
            order = told(tmp_path, *asked, "--stop-loss", "30000", *named)
            assert (order["venue"], order["status"]) == (traded_at, "filled")
        drilled = told(tmp_path, "drill", "kill", "exchange-simulator-b")
        assert drilled["orders"]["wrong"] == drilled["wrong"] == drilled["findings"] == []
        assert told(tmp_path, "journal", "verify")["whole"]
        replayed = {each["service"] for each in told(tmp_path, "journal", "replay")["services"]}
        assert {"venue-a-0", "venue-b-0"} <= replayed
        assert told(tmp_path, "audit")["clean"]
    finally:
        stopped = bot4("down", "--data", tmp_path)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    without_b = bot4("up", "--venues", "a", "--data", tmp_path, "--port", port)
    assert without_b.returncode == 2
    assert "also trades at b: say --venues a,b" in without_b.stderr
