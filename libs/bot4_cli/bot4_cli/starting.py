"""How does a system start and stop, as seen from the command line?"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bot4_cli.running import Run, Status, is_running, naming, read, running, statuses
from bot4_cli.stack import Plan
from bot4_cli.supervisor import STOP_S, log_file
from bot4_cli.trouble import Trouble

# The first start makes a database and takes some three seconds on two cores; a busy machine may take far longer.
READY_S = 60.0
LOOK_S = 0.1
# A process that was started so often and is not ready yet will not be.
STARTS_MAX = 6


def make_folder(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Trouble(f"cannot use {data} as data folder: {error.strerror}") from None


def refuse_second(data: Path) -> None:
    """Raises `Trouble` when a system already runs in the folder."""
    run = running(data)
    if run is not None:
        raise Trouble(f"a system already runs in {data}, at {run.url}: see `bot4 status{naming(data)}`")


def start(plan: Plan) -> subprocess.Popen[bytes]:
    """Starts the supervisor in a session of its own: a Ctrl-C reaches this command alone, which passes it on."""
    log = log_file(plan.folder, "supervisor").open("ab")
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "bot4_cli.supervisor"],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    log.close()
    assert supervisor.stdin is not None
    supervisor.stdin.write(msgspec.json.encode(plan) + b"\n")
    supervisor.stdin.flush()
    if not plan.attached:
        supervisor.stdin.close()
    return supervisor


def await_ready(plan: Plan, supervisor: subprocess.Popen[bytes], show: Callable[[list[Status]], None]) -> Run:
    """Shows how far it is until all are ready. Raises `Trouble` when that cannot come."""
    until = time.monotonic() + READY_S
    now: list[Status] = []
    while time.monotonic() < until:
        if supervisor.poll() is not None:
            raise Trouble(_last_words(plan.folder, "supervisor"))
        run = running(plan.folder)
        if run is not None and run.supervisor == supervisor.pid:
            now = statuses(run)
            show(now)
            if all(status.ready for status in now):
                return run
            for status in now:
                if not status.ready and status.starts >= STARTS_MAX:
                    raise Trouble(f"{status.name} does not start: {_last_words(plan.folder, status.name)}")
        time.sleep(LOOK_S)
    late = ", ".join(status.name for status in now if not status.ready)
    raise Trouble(f"not ready after {READY_S:.0f} s: {late}; see {plan.folder / 'logs'}")


def stop(data: Path) -> None:
    """Returns when everything has ended. Raises `Trouble` when nothing runs, or does not end."""
    run = read(data)
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.supervisor, signal.SIGTERM)
    # Each process has `STOP_S` before it is killed.
    until = time.monotonic() + STOP_S * len(run.services)
    while is_running(data):
        if time.monotonic() > until:
            raise Trouble(f"the system in {data} does not stop: see {log_file(data, 'supervisor')}")
        time.sleep(LOOK_S)


def _last_words(data: Path, name: str) -> str:
    """The end of a log, where a process that gave up says why; a frame that Python draws around it says nothing."""
    path = log_file(data, name)
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    telling = [line.strip(" |") for line in lines if any(letter.isalpha() for letter in line)]
    return f"{telling[-1] if telling else 'it said nothing'} (log: {path})"
