"""Does a service behave as a process should? One real process against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from bot4_common.log import FrameWriter
from bot4_common.messages.frame import Decision, decode_frame
from bot4_common.messages.gateway import EngageKillSwitch
from bot4_common.nats_log import NatsLog, connect
from bot4_common.process import STOP_S
from bot4_common.streams import GATEWAY, RISK
from bot4_common.testing import NatsServer

ECHO = Path(__file__).parent / "echo.py"


class Echo:
    """The process, and what it says of itself."""

    def __init__(self, server: NatsServer) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        settings = {"BOT4_NATS_URL": server.url, "BOT4_HEALTH_PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, str(ECHO)], env=os.environ | settings, stderr=subprocess.DEVNULL
        )

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as response:
                return response.status, json.load(response)
        except URLError as error:
            if not hasattr(error, "code"):
                return 0, {}
            with error:  # type: ignore[attr-defined]
                return error.code, json.load(error)  # type: ignore[arg-type]

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it takes too long"
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            time.sleep(0.02)

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_S + 5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    yield server
    server.kill()


@pytest.fixture
def echo(server: NatsServer) -> Iterator[Echo]:
    echo = Echo(server)
    yield echo
    echo.process.kill()
    echo.process.wait()


def with_log(server: NatsServer, story: Callable[[NatsLog], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        log = await connect(server.url, "test")
        try:
            await asyncio.wait_for(story(log), 10)
        finally:
            await log.close()

    asyncio.run(whole())


def say(server: NatsServer, *reasons: str) -> None:
    async def story(log: NatsLog) -> None:
        writer = FrameWriter(log, GATEWAY, "gateway", lambda: asyncio.sleep(0.05))
        await writer.resume()
        for reason in reasons:
            await writer.store([Decision(events=[EngageKillSwitch(account="alice", reason=reason)])], {}, at=0)

    with_log(server, story)


def test_it_is_alive_without_a_log_and_ready_with_one(server: NatsServer, echo: Echo) -> None:
    echo.until(lambda: echo.get("/healthz")[0] == 200)
    assert echo.get("/readyz") == (503, {"service": "echo", "ready": False, "role": "connecting"})
    server.start()
    echo.until(echo.is_ready)
    server.kill()
    echo.until(lambda: not echo.is_ready())
    server.start()
    echo.until(echo.is_ready, seconds=5)


def test_it_decides_stops_when_told_and_saves_what_it_knows(server: NatsServer, echo: Echo) -> None:
    server.start()
    echo.until(echo.is_ready)
    say(server, "one", "two")
    echo.until(lambda: echo.get("/readyz")[1]["read"] == {GATEWAY: 2})
    assert echo.terminate() == 0

    async def story(log: NatsLog) -> None:
        last, saved = await log.last(RISK, "echo"), await log.saved("echo")
        assert last is not None and saved is not None
        assert saved.state == b'["one","two"]' and saved.sequence == last.sequence
        assert decode_frame(last.data).read == {GATEWAY: 2}

    with_log(server, story)


def test_it_stops_also_when_the_log_is_away(server: NatsServer, echo: Echo) -> None:
    server.start()
    echo.until(echo.is_ready)
    say(server, "one")
    echo.until(lambda: echo.get("/readyz")[1]["read"] == {GATEWAY: 1})
    server.kill()
    started = time.monotonic()
    assert echo.terminate() == 0  # without the snapshot that it would have saved
    assert time.monotonic() - started < STOP_S + 2


def test_it_refuses_to_go_on_from_a_log_that_lost_something(server: NatsServer, echo: Echo) -> None:
    server.start()
    echo.until(echo.is_ready)
    say(server, "one", "two")
    echo.until(lambda: echo.get("/readyz")[1]["read"] == {GATEWAY: 2})

    async def story(log: NatsLog) -> None:
        await log._jetstream.purge_stream(GATEWAY)
        await log._jetstream.delete_stream(GATEWAY)

    with_log(server, story)
    assert echo.process.wait(timeout=10) == 3
