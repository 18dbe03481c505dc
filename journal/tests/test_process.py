"""The service as a process, between a real NATS server and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from bot4_common import streams
from bot4_common.log import Record
from bot4_common.nats_log import NatsLog, connect, define
from bot4_common.testing import NatsServer
from bot4_journal import archive
from bot4_journal.history import tell_stream
from bot4_journal.memory_store import MemoryStore
from bot4_journal.postgres_store import PostgresStore
from bot4_journal.projections import ROWS, OrderEvent
from bot4_journal.rebuild import rebuild
from bot4_journal.store import Cursor, step
from bot4_journal.testing import WRITERS, Story

if TYPE_CHECKING:
    from journal.tests.conftest import PostgresServer


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.kill()


class Process:
    """The journal service, with its page of health."""

    def __init__(self, nats: NatsServer, database_url: str, archive_dir: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._environ = {
            **os.environ,
            "BOT4_NATS_URL": nats.url,
            "BOT4_DATABASE_URL": database_url,
            "BOT4_ARCHIVE_DIR": str(archive_dir),
            "BOT4_HEALTH_PORT": str(self._port),
        }
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "bot4_journal"], env=self._environ)

    def end(self, how: signal.Signals) -> int:
        self._process.send_signal(how)
        return self._process.wait(timeout=20)

    def says(self, path: str) -> int:
        """The HTTP status of one of its pages, 0 when there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0


def wait(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < until, "it does not come to that"
        time.sleep(0.05)


async def write(log: NatsLog, story: Story, begin: int, end: int) -> None:
    for record in story.journal()[begin:end]:
        stream, sequence = record.origin
        await log.append(stream, WRITERS[stream], sequence - 1, record.data)


def test_it_outlives_both_the_database_and_itself(nats: NatsServer, postgres: PostgresServer, tmp_path: Path) -> None:
    story = Story(1).play(60)
    url, folder = postgres.database(), tmp_path / "archive"
    process = Process(nats, url, folder)

    async def run() -> None:
        log = await connect(nats.url, "test")
        await define(log, list(streams.written([streams.VENUE])), streams.JOURNAL, list(streams.JOURNALED))
        await write(log, story, 0, 100)
        await asyncio.to_thread(wait, lambda: process.says("/readyz") == 200)

        postgres.kill()
        await write(log, story, 100, 200)
        await asyncio.to_thread(wait, lambda: process.says("/readyz") == 503)
        assert process.says("/healthz") == 200
        postgres.start()
        await asyncio.to_thread(wait, lambda: process.says("/readyz") == 200)

        process.end(signal.SIGKILL)
        await write(log, story, 200, len(story.journal()))
        process.start()
        await asyncio.to_thread(wait, lambda: process.says("/readyz") == 200)

        await check(log, url, folder, len(story.journal()))
        store = PostgresStore(url)
        await rebuild(store, log)
        await store.close()
        await check(log, url, folder, len(story.journal()))
        assert process.end(signal.SIGTERM) == 0
        await log.close()

    asyncio.run(run())


def archived(folder: Path) -> int:
    return sum(1 for _ in archive.records(folder))


async def check(log: NatsLog, url: str, folder: Path, frames: int) -> None:
    """Rows and archive are what follows from the journal."""
    journal: list[Record] = []
    await tell_stream(log, streams.JOURNAL, 0, frames, journal.append)
    expected, store = MemoryStore(Random(0)), PostgresStore(url)
    changes, after = step(Cursor(), journal)
    await expected.apply(changes, Cursor(), after)
    async with asyncio.timeout(20):
        # The other process tells nobody.
        while (await store.cursor()).sequence < frames or archived(folder) < frames:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for kind in ROWS:
        if kind is not OrderEvent:
            assert await store.rows(kind) == expected.rows(kind)
    await store.close()
    assert list(archive.records(folder)) == journal
    assert archive.verify(folder).findings == []
