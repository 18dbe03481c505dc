from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bot4_cli.running import Process, Run, write


def tether(data: Path) -> None:
    """As the supervisor starts it, and then dies: its end of the pipe closes."""
    subprocess.run([sys.executable, "-m", "bot4_cli.tether", str(data)], stdin=subprocess.DEVNULL, check=True)


def test_it_ends_what_a_killed_supervisor_left_behind(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as left:
        run = Run(
            supervisor=os.getpid(),
            url="",
            api_keys={},
            nats_url="",
            database_url="",
            archive_dir="",
            services=[Process(name="a", probe="", pid=left.pid), Process(name="b", probe="")],
        )
        write(tmp_path, run)
        tether(tmp_path)
        assert left.wait(5) == -15


def test_after_a_stop_in_good_order_nothing_is_left_to_do(tmp_path: Path) -> None:
    tether(tmp_path)
    assert list(tmp_path.iterdir()) == []
