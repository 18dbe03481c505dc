"""Do the commands that hold trading back ask the gateway for the right thing, with the right key?"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from typer.testing import CliRunner

from bot4_cli.app import commands
from bot4_cli.running import Lock, Run, write
from bot4_common.limits import from_toml, to_toml, written
from bot4_common.messages.limits import LimitsDocument


class Asked(NamedTuple):
    method: str
    target: str
    body: bytes
    headers: dict[str, str]


class Gateway:
    """Says what it is told to, and keeps what it was asked, of a system that runs in the folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.asked: list[Asked] = []
        self.answer: tuple[int, Any] = 200, {}
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.asked.append(Asked(self.command, self.path, self.rfile.read(length), headers))
                status, answer = gateway.answer
                body = msgspec.json.encode(answer)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def run(self, *words: str) -> tuple[int, str]:
        """The exit code and the output of a command."""
        done = CliRunner().invoke(commands, [*words, "--data", str(self.data)], env={"COLUMNS": "200"})
        return done.exit_code, done.output if done.exception is None else f"{done.output}{done.exception}"

    def body(self) -> Any:
        return msgspec.json.decode(self.asked[-1].body)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path)
    serving = threading.Thread(target=gateway.server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    lock = Lock(tmp_path)
    assert lock.take(1)
    run = Run(
        supervisor=os.getpid(),
        url=f"http://127.0.0.1:{gateway.server.server_port}",
        api_keys={"demo": "d key", "drill": "x key"},
        nats_url="",
        database_url="",
        archive_dir="",
        services=[],
        operator_key="o key",
        second_key="s key",
        override_key="v key",
    )
    write(tmp_path, run)
    try:
        yield gateway
    finally:
        gateway.server.shutdown()
        serving.join()
        gateway.server.server_close()
        lock.close()


def switch(engaged: bool, **fields: Any) -> dict[str, Any]:
    return {
        "scope": "account", "account": "demo", "strategy": "", "symbol": "", "engaged": engaged, "reason": "enough",
        "since": 1, "flatten": False, "by": "demo", "cause": "request", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "key", "wanted"),
    [
        ([], "d key", {"scope": "account", "account": "demo"}),
        (["--account", "drill", "--flatten"], "x key", {"scope": "account", "account": "drill", "flatten": True}),
        (["--strategy", "trend"], "d key", {"scope": "strategy", "account": "demo", "strategy": "trend"}),
        (["--symbol", "BTC-USDT"], "o key", {"scope": "symbol", "account": "", "symbol": "BTC-USDT"}),
        (["--scope", "firm"], "o key", {"scope": "firm", "account": ""}),
    ],
)
def test_a_kill_switch_is_engaged_by_whom_it_concerns(
    gateway: Gateway, words: list[str], key: str, wanted: dict[str, Any]
) -> None:
    gateway.answer = 200, switch(True)
    code, output = gateway.run("kill", *words, "enough")
    assert (code, "engaged" in output) == (0, True)
    asked = gateway.asked[-1]
    assert (asked.method, asked.target, asked.headers["x-api-key"]) == ("POST", "/v1/kill-switch", key)
    unasked = {"strategy": "", "symbol": "", "flatten": False}
    assert gateway.body() == {"reason": "enough", **unasked, **wanted}


def test_a_kill_switch_that_is_not_confirmed_is_no_success(gateway: Gateway) -> None:
    gateway.answer = 202, switch(False)
    assert gateway.run("kill", "enough")[0] == 1


def test_a_reset_presents_the_second_key(gateway: Gateway) -> None:
    gateway.answer = 200, switch(False)
    code, output = gateway.run("unkill", "--scope", "firm", "calm")
    assert (code, "reset" in output) == (0, True)
    asked = gateway.asked[-1]
    assert (asked.method, asked.headers["x-api-key"], asked.headers["x-second-key"]) == ("DELETE", "o key", "s key")
    assert gateway.body()["scope"] == "firm"


def test_a_refusal_is_said(gateway: Gateway) -> None:
    gateway.answer = 403, {"code": "SECOND_KEY", "message": "It is wrong.", "details": {}, "retryable": False}
    code, output = gateway.run("unkill", "calm")
    assert (code, "SECOND_KEY: It is wrong." in output) == (1, True)


def limits(version: int) -> dict[str, Any]:
    return {
        "version": version, "effective_at": "RISK_0:7" if version else "", "at": 1, "source": "olga",
        "reason": "less", "document": written(LimitsDocument()),
    }  # fmt: skip


def test_the_limits_are_shown_as_the_file_that_sets_them(gateway: Gateway, tmp_path: Path) -> None:
    gateway.answer = 200, limits(3)
    code, output = gateway.run("limits")
    assert code == 0
    assert output.startswith("# version 3 from RISK_0:7 on, by olga: less\n")
    assert output.partition("\n")[2] == to_toml(LimitsDocument())
    file = tmp_path / "limits.toml"
    file.write_text(output)
    assert gateway.run("limits", str(file), "--reason", "as before")[0] == 0
    asked = gateway.asked[-1]
    assert (asked.method, asked.target) == ("PUT", "/v1/limits?reason=as+before")
    assert from_toml(asked.body.decode()) == LimitsDocument()
    assert (asked.headers["content-type"], asked.headers["x-api-key"]) == ("application/toml", "o key")


def test_limits_that_are_not_in_force_yet_are_no_success(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[order]\nnotional_max = 5\n")
    gateway.answer = 202, limits(0)
    assert gateway.run("limits", str(file))[0] == 1
    assert from_toml(gateway.asked[-1].body.decode()).order.notional_max == 5


def test_a_file_of_bad_limits_is_refused_before_anybody_is_asked(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[order]\nnotional_max = -5\n")
    code, output = gateway.run("limits", str(file))
    assert (code, "order.notional_max: a finite number above zero" in output) == (1, True)
    assert gateway.asked == []


def test_the_gate_is_shown_and_turned(gateway: Gateway) -> None:
    gateway.answer = 200, {"enabled": True, "reason": "rules", "by": "operator", "since": 1}
    code, output = gateway.run("gate")
    assert (code, "rules" in output, gateway.asked[-1].method) == (0, True, "GET")
    assert gateway.run("gate", "on", "rules")[0] == 0
    assert (gateway.asked[-1].method, gateway.body()) == ("PUT", {"enabled": True, "reason": "rules"})
    assert gateway.run("gate", "off", "calm")[0] == 1


def test_the_keys_are_shown(gateway: Gateway) -> None:
    code, output = gateway.run("keys")
    assert code == 0
    assert all(key in output for key in ("d key", "x key", "o key", "s key", "v key"))
    code, output = gateway.run("keys", "--json")
    assert msgspec.json.decode(output) == {
        "accounts": {"demo": "d key", "drill": "x key"},
        "operator": "o key",
        "second": "s key",
        "override": "v key",
    }


def test_the_keys_are_told_to_a_shell(gateway: Gateway) -> None:
    code, output = gateway.run("keys", "--shell", "--account", "drill")
    assert code == 0
    assert {"KEY='x key'", "OPERATOR_KEY='o key'", "SECOND_KEY='s key'"} <= set(output.split("\n"))
