"""Which system runs in this folder? The folder's lock says whether one runs, `run.json` says what it consists of."""

from __future__ import annotations

import fcntl
import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bot4_cli.postgres import answers
from bot4_cli.trouble import Trouble
from bot4_common.messages.terms import FIRST_VENUE

# The folder of a system whose user names none.
HERE = Path(".bot4")

# A living service answers its probe at once; one that is starting or hangs does not keep the others waiting.
PROBE_TIMEOUT_S = 1.0


class Process(msgspec.Struct, kw_only=True):
    """One process of the system. `pid` is none while it is down; `probe` is where it says whether it is ready."""

    name: str
    probe: str
    pid: int | None = None
    starts: int = 0


class Run(msgspec.Struct, kw_only=True):
    """What one needs to know to use a running system. `api_keys` are by account; the others are what more it takes to
    act for the firm, to reset a kill switch and to pass the gate, empty in a system of before there were such keys."""

    supervisor: int
    url: str
    api_keys: dict[str, str]
    nats_url: str
    database_url: str
    archive_dir: str
    services: list[Process]
    # The default venue first; and the file of definitions besides those that come with bot4.
    venues: tuple[str, ...] = (FIRST_VENUE,)
    venue_definitions: str | None = None
    operator_key: str = ""
    second_key: str = ""
    override_key: str = ""

    @property
    def api_key(self) -> str:
        return next(iter(self.api_keys.values()))

    def service(self, name: str) -> Process:
        for process in self.services:
            if process.name == name:
                return process
        raise Trouble(f"there is no service {name}: choose one of {', '.join(each.name for each in self.services)}")


class Status(msgspec.Struct, kw_only=True):
    """Of one process, as it is now."""

    name: str
    pid: int | None
    ready: bool
    starts: int


class Lock:
    """Held as long as the supervisor or one of its children lives, for they inherit it; the kernel gives it back
    however they end. So two brokers never share a store, whatever happened to the first one's supervisor."""

    def __init__(self, data: Path) -> None:
        self._file = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def fileno(self) -> int:
        return self._file

    def take(self, seconds: float) -> bool:
        """Waits so long at most. Whoever looks whether the lock is free shares it for a moment, so give it one."""
        until = time.monotonic() + seconds
        while not self._try(fcntl.LOCK_EX):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def is_free(self) -> bool:
        free = self._try(fcntl.LOCK_SH)
        if free:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return free

    def close(self) -> None:
        os.close(self._file)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_running(data: Path) -> bool:
    """Whether any process of a system lives there."""
    if not (data / "lock").exists():
        return False
    lock = Lock(data)
    try:
        return not lock.is_free()
    finally:
        lock.close()


def write(data: Path, run: Run) -> None:
    """Readers see the old file or the new one, never half of one; only the owner may read the keys in it."""
    write_private(data / "run.json", msgspec.json.format(msgspec.json.encode(run), indent=2))


def write_private(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)


def running(data: Path) -> Run | None:
    """The system that runs in the folder; none also while it has just begun to start or is about to end."""
    if not is_running(data):
        return None
    try:
        run = msgspec.json.decode((data / "run.json").read_bytes(), type=Run)
    except FileNotFoundError:
        return None
    return run if is_alive(run.supervisor) else None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read(data: Path) -> Run:
    """The system that runs in the folder. Raises `Trouble` when none does."""
    run = running(data)
    if run is None:
        raise Trouble(f"no system runs in {data}: start one with `bot4 up{naming(data)}`")
    return run


def naming(data: Path) -> str:
    """The option by which a command finds the folder; nothing for the one where it looks anyway."""
    return "" if data == HERE else f" --data {data}"


def statuses(run: Run) -> list[Status]:
    """Asks all processes at once."""
    with ThreadPoolExecutor(len(run.services)) as pool:
        ready = list(pool.map(is_ready, run.services))
    return [
        Status(name=process.name, pid=process.pid, ready=good, starts=process.starts)
        for process, good in zip(run.services, ready, strict=True)
    ]


def is_ready(process: Process) -> bool:
    if process.pid is None:
        return False
    place = urlsplit(process.probe)
    assert place.hostname is not None and place.port is not None
    if place.scheme == "postgresql":
        return answers(place.hostname, place.port)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", place.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
