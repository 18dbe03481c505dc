"""The supervisor with small programs of real processes: what it does does not depend on what they are."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot4_cli.running import Lock, Process, Run, is_alive, is_running, read
from bot4_cli.stack import Program
from bot4_cli.supervisor import PAUSE_MAX_S, YOUNG_DEATHS, Supervisor, pause_s
from bot4_cli.trouble import Trouble

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the tether does it")

# Of a shell that has set its traps: it says so by making the file that it is named after, and waits.
LISTENING = ": > $0; while :; do sleep 0.01; done"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def sleeper(name: str, **fields: object) -> Program:
    return Program(name=name, command=["/bin/sleep", "60"], probe="", **fields)  # type: ignore[arg-type]


def shell(name: str, script: str) -> Program:
    return Program(name=name, command=["/bin/sh", "-c", script], probe="")


def supervisor(data: Path, lock: Lock, *programs: Program) -> Supervisor:
    run = Run(
        supervisor=os.getpid(),
        url="",
        api_keys={},
        nats_url="",
        database_url="",
        archive_dir="",
        services=[Process(name=program.name, probe=program.probe) for program in programs],
    )
    return Supervisor(data, lock, run, list(programs))


@asynccontextmanager
async def supervised(data: Path, *programs: Program) -> AsyncIterator[None]:
    lock = Lock(data)
    assert lock.take(0)
    supervising = supervisor(data, lock, *programs)
    task = asyncio.create_task(supervising.run())
    try:
        await eventually(lambda: is_running(data) and (data / "run.json").exists())
        yield
    finally:
        supervising.stop()
        await task
        lock.close()


async def eventually(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


def test_what_dies_is_started_again_at_once(data: Path) -> None:
    async def story() -> None:
        async with supervised(data, sleeper("a")):
            await eventually(lambda: read(data).service("a").pid is not None)
            first = read(data).service("a").pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await eventually(lambda: read(data).service("a").pid not in (None, first), seconds=1)
            assert read(data).service("a").starts == 2

    asyncio.run(story())


def test_what_started_last_is_stopped_first(data: Path) -> None:
    note = f'trap "echo $0 >> {data}/order; exit" TERM; {LISTENING}'
    programs = [
        Program(name=name, command=["/bin/sh", "-c", note, str(data / name)], probe="")
        for name in ("broker", "gateway")
    ]

    async def story() -> None:
        async with supervised(data, *programs):
            await eventually(lambda: all((data / program.name).exists() for program in programs))

    asyncio.run(story())
    order = (data / "order").read_text().split()
    assert [Path(name).name for name in order] == ["gateway", "broker"]
    assert not (data / "run.json").exists()
    assert not is_running(data)


def test_each_is_stopped_by_its_own_signal(data: Path) -> None:
    told = f'trap "echo fast > {data}/how; exit" USR1; {LISTENING}'

    async def story() -> None:
        # Not SIGINT, which is ignored for good where the tests themselves run in the background of a shell.
        program = Program(name="a", command=["/bin/sh", "-c", told, str(data / "a")], probe="", stop=signal.SIGUSR1)
        async with supervised(data, program):
            await eventually((data / "a").exists)

    asyncio.run(story())
    assert (data / "how").read_text() == "fast\n"


def test_what_does_not_stop_is_killed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot4_cli.supervisor.STOP_S", 0.2)

    async def story() -> int:
        deaf = ["/bin/sh", "-c", f'trap "" TERM; {LISTENING}', str(data / "deaf")]
        async with supervised(data, Program(name="deaf", command=deaf, probe="")):
            await eventually((data / "deaf").exists)
            pid = read(data).service("deaf").pid
            assert pid is not None
        return pid

    assert not is_alive(asyncio.run(story()))


def test_the_first_deaths_cost_no_time_and_many_in_a_row_little() -> None:
    assert [pause_s(deaths) for deaths in range(YOUNG_DEATHS + 1)] == [0.0] * (YOUNG_DEATHS + 1)
    assert 0 < pause_s(YOUNG_DEATHS + 1) < pause_s(YOUNG_DEATHS + 2) <= pause_s(100) == PAUSE_MAX_S


def test_what_it_says_is_in_its_log(data: Path) -> None:
    async def story() -> None:
        async with supervised(data, shell("speaker", "echo out; echo err >&2; sleep 60")):
            await eventually(lambda: (data / "logs" / "speaker.log").exists())
            await eventually(lambda: (data / "logs" / "speaker.log").read_text() == "out\nerr\n")

    asyncio.run(story())


def test_a_large_log_is_set_aside_at_the_next_start(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot4_cli.supervisor.LOG_BYTES_MAX", 3)
    (data / "logs" / "a.log").write_text("long")

    async def story() -> None:
        async with supervised(data, shell("a", "echo new; sleep 60")):
            await eventually(lambda: (data / "logs" / "a.log").read_text() == "new\n")

    asyncio.run(story())
    assert (data / "logs" / "a.log.1").read_text() == "long"


def test_what_cannot_be_prepared_stops_the_rest(data: Path) -> None:
    def prepare() -> None:
        raise Trouble("no room")

    lock = Lock(data)
    lock.take(0)
    with pytest.raises(Trouble, match="no room"):
        asyncio.run(supervisor(data, lock, sleeper("a"), sleeper("b", prepare=prepare)).run())
    lock.close()
    assert not is_running(data)


ALONE = """
import asyncio, os, sys
from pathlib import Path
from bot4_cli.running import Lock, Process, Run
from bot4_cli.stack import Program
from bot4_cli.supervisor import Supervisor
data = Path(sys.argv[1])
lock = Lock(data)
lock.take(0)
run = Run(supervisor=os.getpid(), url="", api_keys={}, nats_url="", database_url="", archive_dir="",
          services=[Process(name="a", probe="")])
asyncio.run(Supervisor(data, lock, run, [Program(name="a", command=["/bin/sleep", "60"], probe="")]).run())
"""


@LINUX
def test_when_the_supervisor_is_killed_nothing_is_left(data: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ALONE, str(data)]) as alone:
        asyncio.run(eventually(lambda: (data / "run.json").exists() and read(data).service("a").pid is not None))
        child = read(data).service("a").pid
        assert child is not None
        alone.kill()
    asyncio.run(eventually(lambda: not is_alive(child) and not is_running(data)))
