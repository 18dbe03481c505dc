"""What ends the processes of a system when its supervisor is killed, where the kernel does not do it?

On Linux the kernel signals the children of a dead supervisor (see `launch`). Elsewhere a process of its own waits at a
pipe whose other end the supervisor holds: when that closes and the system is not stopped, it stops what is left.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bot4_cli.running import Run


@contextlib.contextmanager
def tethered(data: Path) -> Iterator[None]:
    """To be held by the supervisor while it has children."""
    if platform.system() == "Linux":
        yield
        return
    command = [sys.executable, "-m", "bot4_cli.tether", str(data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


def stop_what_is_left(data: Path) -> None:
    """`run.json` names the processes; a supervisor that stopped in good order has removed it."""
    try:
        run = msgspec.json.decode((data / "run.json").read_bytes(), type=Run)
    except FileNotFoundError:
        return
    for process in run.services:
        if process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)


def main() -> None:
    sys.stdin.buffer.read()
    stop_what_is_left(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
