"""Does the engine answer on the command line as the documentation says?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs" / "venue.md"
INSTRUMENT = '{"at":0,"do":"instrument","symbol":"BTC-USDT","tick":"0.01","lot":"0.0001"}\n'


def example(name: str) -> str:
    _, _, marked = DOCUMENT.read_text(encoding="utf-8").partition(f"<!-- example: {name} -->\n```\n")
    text, _, _ = marked.partition("```")
    return text


def venue_run(commands: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "bot4_cli", "venue", "run", *options]
    return subprocess.run(words, input=commands, capture_output=True, timeout=60, check=False)


def test_the_documented_example_runs_as_printed() -> None:
    done = venue_run(example("commands").encode())
    assert done.returncode == 0
    assert done.stdout.decode() == example("events")


@pytest.mark.parametrize("line", [b"nonsense", b'{"at":1,"do":"dance"}', b'\xff{"at":1}', b"[1]"])
def test_a_line_that_is_no_command_has_an_error_line_and_the_run_goes_on(line: bytes) -> None:
    done = venue_run(INSTRUMENT.encode() + line + b'\n{"at":2,"do":"book","symbol":"BTC-USDT"}\n')
    error, book = done.stdout.decode().splitlines()
    assert error.startswith('{"event":"error","line":2,')
    assert '"event":"book"' in book
    assert done.returncode == 1


def test_a_profile_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = venue_run(b"", "--profile", "nasdaq")
    assert done.returncode == 2
    assert b"nasdaq" in done.stderr and b"binance-spot" in done.stderr and b"Traceback" not in done.stderr


def test_each_command_is_answered_before_the_next_is_asked_for() -> None:
    words = [sys.executable, "-m", "bot4_cli", "venue", "run"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        for at in (1, 2):
            running.stdin.write(f'{{"at":{at},"do":"book","symbol":"NONE"}}\n'.encode())
            running.stdin.flush()
            assert b'"code":"UNKNOWN_SYMBOL"' in running.stdout.readline()
        running.stdin.close()
        assert running.wait(timeout=60) == 0


def test_the_same_seed_makes_up_the_same_history() -> None:
    command = [sys.executable, "-m", "bot4_cli", "venue", "simulate-history", "--hours", "101"]
    first, again, other = (
        subprocess.run([*command, "--seed", seed], capture_output=True, text=True, timeout=60, check=True).stdout
        for seed in ("7", "7", "8")
    )
    assert moves(first) == moves(again) != moves(other)
    assert len(moves(first)) == 2 * 101


def moves(history: str) -> list[str]:
    """The lines without their times, for these are those of now."""
    return [line.split(",", 1)[1] for line in history.splitlines()[1:]]
