"""The real servers from their wheels."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from bot4_cli import broker, postgres, stack
from bot4_cli.running import Process, is_ready
from bot4_cli.trouble import Trouble
from bot4_common.nats_log import connect

PASSWORD = "secret"


@contextmanager
def started(command: list[str], owner: str, stop: signal.Signals, probe: str) -> Iterator[None]:
    launched = stack.launched(command, owner, stop)
    with subprocess.Popen(launched, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 20
        while not is_ready(Process(name="server", probe=probe, pid=server.pid)):
            assert server.poll() is None and time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.05)
        try:
            yield
        finally:
            server.send_signal(stop)
            server.wait(10)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "postgres"
    postgres.own(folder)
    postgres.initialise(folder, PASSWORD, partial(stack.launched, owner=str(folder), stop=signal.SIGTERM))
    return folder


@pytest.fixture(scope="module")
def port(cluster: Path) -> Iterator[int]:
    port = stack.free_ports(1)[0]
    probe = f"postgresql://127.0.0.1:{port}"
    with started(postgres.command(cluster, port), str(cluster), postgres.STOP, probe):
        yield port


def test_postgres_takes_who_knows_the_password(port: int) -> None:
    async def version() -> int:
        connection = await asyncpg.connect(postgres.url(port, PASSWORD))
        try:
            return int(await connection.fetchval("SHOW server_version_num"))
        finally:
            await connection.close()

    assert asyncio.run(version()) >= 180_000


def test_postgres_refuses_who_does_not(port: int) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(asyncpg.connect(postgres.url(port, "wrong")))


def test_postgres_writes_through_to_the_disk(port: int) -> None:
    async def setting() -> str:
        connection = await asyncpg.connect(postgres.url(port, PASSWORD))
        try:
            return str(await connection.fetchval("SHOW fsync"))
        finally:
            await connection.close()

    assert asyncio.run(setting()) == "on"


def test_the_probe_needs_no_password_and_sees_that_nobody_is_there(port: int) -> None:
    assert postgres.answers("127.0.0.1", port)
    assert not postgres.answers("127.0.0.1", stack.free_ports(1)[0])


def test_a_cluster_is_made_once_and_leaves_no_password_behind(cluster: Path) -> None:
    made = (cluster / "cluster" / "PG_VERSION").stat().st_ino
    postgres.initialise(cluster, "another", lambda command: ["/bin/false"])
    assert (cluster / "cluster" / "PG_VERSION").stat().st_ino == made
    assert not (cluster / "password").exists()


def test_a_cluster_that_cannot_be_made_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="could not be initialised: no room"):
        postgres.initialise(tmp_path, PASSWORD, lambda command: ["/bin/sh", "-c", "echo no room >&2; exit 1"])
    assert list(tmp_path.iterdir()) == []


def test_nats_takes_who_knows_the_token_and_syncs_every_write(tmp_path: Path) -> None:
    port, monitor = stack.free_ports(2)
    file = tmp_path / "nats.conf"
    file.write_text(broker.configuration(tmp_path / "store", port, monitor, "token"))
    assert "sync_interval: always" in file.read_text()

    async def speak(token: str) -> None:
        log = await connect(broker.url(port, token), "test")
        await log.close()

    async def answered(token: str) -> bytes:
        """In the server's own words: a client would go on trying."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b'CONNECT {"auth_token":"%s","verbose":false}\r\nPING\r\n' % token.encode())
        said = await reader.readline()
        writer.close()
        return said

    with started([broker.binary(), "-c", str(file)], "-", signal.SIGTERM, f"http://127.0.0.1:{monitor}/healthz"):
        asyncio.run(asyncio.wait_for(speak("token"), 5))
        assert b"Authorization Violation" in asyncio.run(asyncio.wait_for(answered("guess"), 5))
        assert asyncio.run(asyncio.wait_for(answered("token"), 5)) == b"PONG\r\n"
