"""A whole system through its life: up, used, its supervisor killed, up again, down."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot4_cli.proofs import opened
from bot4_cli.running import is_running, read
from bot4_cli.stack import free_ports
from bot4_common import streams
from bot4_common.messages.frame import Decision, Frame, encode
from bot4_common.messages.risk import CancelRefused

NAMES = ["nats", "postgres", "journal", "cost-model", "exchange-simulator", "execution", "risk", "gateway"]


class Whole:
    """The system in one folder, used by its commands."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = str(free_ports(1)[0])

    def bot4(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bot4_cli", *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    def json(self, *words: str) -> Any:
        done = self.bot4(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def up(self) -> None:
        started = self.bot4("up", "--detach", "--port", self.port)
        assert started.returncode == 0, started.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    system = Whole(tmp_path_factory.mktemp("life"))
    system.up()
    yield system
    if is_running(system.data):
        assert system.bot4("down").returncode == 0


def test_all_are_ready_and_scripts_learn_how_to_reach_them(whole: Whole) -> None:
    status = whole.json("status")
    assert status["url"] == f"http://127.0.0.1:{whole.port}"
    assert len(status["api_key"]) == 32
    assert [each["name"] for each in status["services"]] == NAMES
    assert all(each["ready"] and each["pid"] for each in status["services"])


def test_a_second_up_says_that_it_already_runs(whole: Whole) -> None:
    second = whole.bot4("up", "--port", str(free_ports(1)[0]))
    assert second.returncode == 2
    assert f"a system already runs in {whole.data}, at http://127.0.0.1:{whole.port}" in second.stderr


def test_orders_are_placed_listed_and_cancelled(whole: Whole) -> None:
    words = ["order", "place", "--symbol", "BTC-USDT", "--side", "buy", "--quantity", "0.01"]
    bought = whole.json(*words, "--stop-loss", "30000", "--client-order-id", "mine")
    assert (bought["client_order_id"], bought["status"]) == ("mine", "filled")
    price = str(int(float(bought["average_price"]) * 0.98))
    resting = whole.json(*words, "--price", price, "--stop-loss", "30000")
    assert [each["order_id"] for each in whole.json("order", "list", "--open")] == [resting["order_id"]]
    assert whole.json("order", "cancel", resting["order_id"])["status"] == "cancelled"
    assert len(whole.json("order", "list")) == 2


def test_a_refused_order_is_one_line_and_exit_code_1(whole: Whole) -> None:
    words = ["order", "place", "--symbol", "BTC-USDT", "--side", "buy", "--quantity", "0.01"]
    refused = whole.bot4(*words)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("bot4: STOP_LOSS_REQUIRED: An order that can open a position needs a stop-loss.")


def test_the_journal_is_read_verified_replayed_and_audited(whole: Whole) -> None:
    frames = [json.loads(line) for line in whole.bot4("journal", "tail", "--from", "1", "--json").stdout.splitlines()]
    assert [frame["sequence"] for frame in frames] == list(range(1, len(frames) + 1))
    assert whole.json("journal", "verify")["whole"]
    first, second = whole.json("journal", "replay", "--to", "3"), whole.json("journal", "replay", "--to", "3")
    assert first == second
    assert {each["service"] for each in first["services"]} == {"risk-0", "execution-0", "venue-sim-0", "cost-0"}
    assert whole.json("audit")["clean"]
    assert whole.bot4("projections", "rebuild").returncode == 0


def test_where_the_gate_is_on_a_drill_says_that_its_orders_are_refused_and_why(whole: Whole) -> None:
    assert whole.bot4("gate", "on", "rules").returncode == 0
    drills = [("kill", "risk"), ("lost-ack", "--for", "1"), ("fill-during-amend", "--for", "1")]
    done = [whole.bot4("drill", *words) for words in drills]
    assert whole.bot4("gate", "off", "calm").returncode == 0
    assert [each.returncode for each in done] == [2, 2, 2]
    for each in done:
        assert "orders of the drill are refused: GATE_" in each.stderr
        assert "Traceback" not in each.stderr


def test_a_drill_kills_measures_and_proves(whole: Whole) -> None:
    drilled = whole.json("drill", "kill", "risk")
    assert drilled["passed"]
    assert drilled["orders"]["wrong"] == drilled["wrong"] == drilled["findings"] == []
    assert drilled["kills"][0]["ready_s"] < 5
    restarted = {each["name"]: each["starts"] for each in whole.json("status")["services"]}
    assert restarted == {**dict.fromkeys(NAMES, 1), "risk": 2}


def test_after_its_supervisor_was_killed_the_system_goes_on_from_its_journal(whole: Whole) -> None:
    before = whole.json("order", "list")
    run = read(whole.data)
    os.kill(run.supervisor, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while is_running(whole.data):
        assert time.monotonic() < deadline, "something of it lives on"
        time.sleep(0.05)
    whole.up()
    assert whole.json("order", "list") == before
    assert whole.json("status")["api_key"] == run.api_key


def test_an_answer_that_nobody_asked_for_is_found_by_the_audit(whole: Whole) -> None:
    forged = CancelRefused(order_id="9-9", account="demo", code="ORDER_IS_OVER", details={})
    frame = Frame(writer="forger", number=1, previous="", decided_at=1, decisions=[Decision(events=[forged])])

    async def forge() -> None:
        async with opened(read(whole.data)) as log:
            await log.append(streams.RISK, "forger", 0, encode(frame))

    asyncio.run(forge())
    audited = whole.bot4("audit", "--json")
    assert audited.returncode == 1
    assert [finding["rule"] for finding in json.loads(audited.stdout)["findings"]] == ["answered"]


def test_down_ends_everything(whole: Whole) -> None:
    pids = [process.pid for process in read(whole.data).services]
    stopped = whole.bot4("down")
    assert stopped.returncode == 0, stopped.stderr
    assert not is_running(whole.data)
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_was_started_in_the_foreground_ends_with_its_command(whole: Whole) -> None:
    command = [sys.executable, "-m", "bot4_cli", "up", "--port", whole.port, "--data", str(whole.data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as foreground:
        deadline = time.monotonic() + 60
        while whole.bot4("status").returncode != 0:
            assert time.monotonic() < deadline, "it does not start"
        foreground.kill()
    deadline = time.monotonic() + 20
    while is_running(whole.data):
        assert time.monotonic() < deadline, "something of it lives on"
        time.sleep(0.05)
