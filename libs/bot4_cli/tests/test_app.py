"""The commands as a user meets them, without a system."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from bot4_cli import __main__
from bot4_cli import app as shell
from bot4_cli.__main__ import app
from bot4_cli.app import commands
from bot4_cli.demo import listing
from bot4_cli.running import is_running
from bot4_cli.stack import free_ports
from bot4_cli.trouble import FOUND, MENDABLE, Trouble

COMMANDS = [
    ("up",), ("down",), ("status",), ("demo",), ("audit",), ("order", "place"), ("order", "cancel"), ("order", "list"),
    ("journal", "tail"), ("journal", "verify"), ("journal", "replay"), ("projections", "rebuild"), ("drill", "kill"),
    ("drill", "kill-switch"), ("drill", "lost-ack"), ("drill", "fill-during-amend"),
    ("drill", "restart-with-resting-orders"), ("drill", "duplicate-fill"),
    ("kill",), ("unkill",), ("limits",), ("gate",), ("keys",),
]  # fmt: skip


class Done(NamedTuple):
    exit_code: int
    out: str
    err: str


Bot4 = Callable[..., Done]


@pytest.fixture
def bot4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bot4:
    """Runs the command as its script does, in this process."""

    def run(*words: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["bot4", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            app()
        return Done(int(str(ended.value.code)), *capsys.readouterr())

    return run


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_and_takes_a_folder(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(commands, [*words, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert f"Example: bot4 {' '.join(words)}" in shown.output
    assert "--data" in shown.output


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--json"), ("down",), ("audit",), ("demo",), ("order", "list"), ("journal", "verify"),
        ("journal", "tail"), ("journal", "replay"), ("projections", "rebuild"), ("drill", "kill", "risk"),
        ("drill", "lost-ack"), ("kill", "enough"), ("unkill", "calm"), ("limits",), ("gate",), ("keys",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_without_a_system_one_line_says_how_to_start_one(bot4: Bot4, words: tuple[str, ...], tmp_path: Path) -> None:
    said = f"bot4: no system runs in {tmp_path}: start one with `bot4 up --data {tmp_path}`\n"
    assert bot4(*words, "--data", tmp_path) == (2, "", said)


def test_a_folder_that_cannot_be_used_is_named(bot4: Bot4, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = f"bot4: cannot use {tmp_path}/file/inside as data folder: Not a directory\n"
    assert bot4("up", "--data", tmp_path / "file" / "inside") == (2, "", said)


def test_a_bad_tape_is_refused_before_anything_starts(bot4: Bot4, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_text("1,2\n")
    done = bot4("up", "--data", tmp_path / "data", "--tape", tmp_path / "tape.csv")
    assert done.exit_code == 2
    assert f"{tmp_path}/tape.csv, line 1: " in done.err
    assert not (tmp_path / "data" / "run.json").exists()


def test_a_port_in_use_is_named(bot4: Bot4, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bot4("up", "--data", tmp_path, "--port", port)
    assert done == (2, "", f"bot4: port {port} is in use: choose another one with --port\n")


def test_a_number_that_is_none_is_named_before_anybody_is_asked(bot4: Bot4, tmp_path: Path) -> None:
    words = ["order", "place", "--data", tmp_path, "--symbol", "BTC-USDT", "--side", "buy", "--quantity"]
    assert bot4(*words, "much") == (2, "", "bot4: --quantity: 'much' is not a decimal number\n")


def test_a_system_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("where PostgreSQL wants its folder")
    words = ["up", "--detach", "--data", str(tmp_path), "--port", str(free_ports(1)[0])]
    command = [sys.executable, "-m", "bot4_cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("bot4: ")
    assert "postgres" in done.stderr
    assert not is_running(tmp_path)


def test_trouble_that_tasks_have_side_by_side_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail() -> None:
        raise Trouble("nobody answers")

    async def work() -> None:
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
            for group in (outer, inner):
                group.create_task(fail())

    monkeypatch.setattr(__main__, "commands", lambda: asyncio.run(work()))
    with pytest.raises(SystemExit) as ended:
        app()
    assert (ended.value.code, capsys.readouterr().err) == (MENDABLE, "bot4: nobody answers\n")


def test_a_demonstration_that_fails_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(data: Path) -> None:
        raise ExceptionGroup("tasks", [Trouble("all is refused", FOUND)])

    monkeypatch.setattr(shell, "_demo", fail)
    assert shell._demo_exit_code(Path()) == FOUND
    assert capsys.readouterr().err == "bot4: all is refused\n"
    monkeypatch.setattr(shell, "_demo", lambda data: None)
    assert shell._demo_exit_code(Path()) == 0


def test_the_command_that_shows_all_of_the_demonstration_is_one(bot4: Bot4, tmp_path: Path) -> None:
    _, *words = listing(tmp_path).split()
    assert words[-2:] == ["--limit", "1000"]
    assert bot4(*words).err.startswith(f"bot4: no system runs in {tmp_path}:")
