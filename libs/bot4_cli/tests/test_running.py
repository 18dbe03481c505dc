from __future__ import annotations

import http.server
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot4_cli.running import Lock, Process, Run, is_ready, is_running, read, running, write
from bot4_cli.trouble import Trouble


def run_of(supervisor: int, *services: Process) -> Run:
    return Run(
        supervisor=supervisor,
        url="http://127.0.0.1:8080",
        api_keys={"demo": "first", "other": "second"},
        nats_url="nats://127.0.0.1:1",
        database_url="postgresql://127.0.0.1:2/postgres",
        archive_dir="archive",
        services=list(services),
    )


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Lock]:
    lock = Lock(tmp_path)
    assert lock.take(0)
    yield lock
    lock.close()


def test_in_an_empty_folder_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"no system runs in .*: start one with `bot4 up --data "):
        read(tmp_path)


def test_what_was_written_is_read_while_the_lock_is_held(tmp_path: Path, held: Lock) -> None:
    run = run_of(os.getpid(), Process(name="risk", probe="http://127.0.0.1:3/readyz", pid=4))
    write(tmp_path, run)
    assert read(tmp_path) == run
    assert run.api_key == "first"


def test_a_file_left_behind_is_no_running_system(tmp_path: Path) -> None:
    write(tmp_path, run_of(os.getpid()))
    assert running(tmp_path) is None


def test_a_system_without_its_supervisor_is_ending(tmp_path: Path, held: Lock) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    write(tmp_path, run_of(ended.pid))
    assert is_running(tmp_path)
    assert running(tmp_path) is None


def test_a_lock_is_given_once(tmp_path: Path, held: Lock) -> None:
    second = Lock(tmp_path)
    assert not second.take(0.05)
    second.close()


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take(0)
    first.close()
    assert second.take(0)
    second.close()


def test_a_child_that_inherits_the_lock_holds_it_on(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.take(0)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()]) as child:
        lock.close()
        assert is_running(tmp_path)
        assert child.stdin is not None
        child.stdin.close()
    assert not is_running(tmp_path)


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    write(tmp_path, run_of(1))
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600


def test_an_unknown_service_is_answered_with_those_there_are() -> None:
    run = run_of(1, Process(name="risk", probe=""), Process(name="nats", probe=""))
    with pytest.raises(Trouble, match="there is no service rusk: choose one of risk, nats"):
        run.service("rusk")


class Probed(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not into the test's output."""


def test_a_process_is_ready_when_its_probe_says_so() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Probed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        assert is_ready(Process(name="yes", probe=f"{at}/readyz", pid=1))
        assert not is_ready(Process(name="no", probe=f"{at}/starting", pid=1))
        assert not is_ready(Process(name="down", probe=f"{at}/readyz", pid=None))
        server.shutdown()
    assert not is_ready(Process(name="gone", probe=f"{at}/readyz", pid=1))
