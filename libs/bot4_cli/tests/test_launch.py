"""The launcher is run as the supervisor runs it: as a file, by an interpreter of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot4_cli import stack
from bot4_cli.running import is_alive

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the tether does it")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

# A parent that starts a child as the supervisor does, tells its pid, and waits.
PARENT = """
import signal, subprocess, sys
from bot4_cli import stack
command = stack.launched(["/bin/sleep", "60"], "-", signal.SIGTERM)
child = subprocess.Popen(command)
print(child.pid, flush=True)
child.wait()
"""


def test_the_program_takes_the_place_of_the_launcher() -> None:
    command = stack.launched([sys.executable, "-c", "import os; print(os.getpid())"], "-", signal.SIGTERM)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert int(child.stdout.read()) == child.pid


@LINUX
def test_a_child_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.01)


def test_a_child_whose_parent_is_gone_does_not_start() -> None:
    command = stack.launched(["/bin/sleep", "60"], "-", signal.SIGTERM)
    # The pid it expects as its parent is not ours.
    command[4] = "1"
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    assert (done.returncode, done.stderr) == (1, "the supervisor is gone\n")


@ROOT
def test_the_program_runs_as_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    command = stack.launched(["/bin/sh", "-c", "id -u; pwd"], str(tmp_path), signal.SIGTERM)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "65534\n/\n"


@ROOT
@LINUX
def test_a_folder_in_a_closed_home_can_still_be_used(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    os.chown(closed / "data", 65534, 65534)
    command = stack.launched(["/usr/bin/touch", str(closed / "data" / "made")], str(closed / "data"), signal.SIGTERM)
    subprocess.run(command, check=True)
    assert (closed / "data" / "made").stat().st_uid == 65534
