"""A system of real processes: NATS, PostgreSQL and the six services, in a folder and on ports of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bot4_cli.running import Run, read
from bot4_cli.stack import free_ports


def bot4(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of the CLI as a user would."""
    command = [str(Path(sys.executable).parent / "bot4"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a system that is up."""
    folder = tmp_path_factory.mktemp("bot4")
    port = free_ports(1)[0]
    started = bot4("up", "--detach", "--data", folder, "--port", str(port), "--faults")
    assert started.returncode == 0, started.stdout + started.stderr
    yield folder
    stopped = bot4("down", "--data", folder)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@pytest.fixture
def run(data: Path) -> Run:
    return read(data)


@pytest.fixture
def http(run: Run) -> Iterator[httpx.Client]:
    """Of an account that no load trades on."""
    key = run.api_keys["strategies"]
    with httpx.Client(base_url=run.url, headers={"X-API-Key": key}, timeout=10) as client:
        yield client
