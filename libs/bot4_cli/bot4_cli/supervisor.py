"""Who keeps the processes of a system alive? This one: it starts them, restarts what exits, stops them in good order.

Started as `python -m bot4_cli.supervisor` with a `Plan` as the first line of standard input; if the system is attached
to the command that started it, the end of that input stops it. It is the only parent: should it be killed, its
children end, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from bot4_cli import stack
from bot4_cli.running import Lock, Run, write
from bot4_cli.stack import Plan, Program
from bot4_cli.tether import tethered
from bot4_cli.trouble import Trouble

logger = logging.getLogger("bot4.supervisor")

# A process that exits is started again at once: that is what recovery in seconds rests on. One that lived less than
# YOUNG_S, about what a start takes on a busy machine, cannot even start (its port is taken, its data are damaged), and
# would keep a core busy trying: from the fourth such death in a row on, it waits. The longest pause stays below the
# five seconds of a recovery.
YOUNG_S = 3.0
YOUNG_DEATHS = 3
PAUSE_S = 0.1
PAUSE_MAX_S = 2.0

# A process that has not stopped by then is killed. Everything is written for that, so nothing is lost, only time.
STOP_S = 10.0

# The children of a supervisor that was killed are about to end; so long a new one waits for them.
PREDECESSOR_S = 15.0

# A log beyond this is set aside when its process starts; the one set aside before it goes.
LOG_BYTES_MAX = 16 * 1024 * 1024


def pause_s(young_deaths: int) -> float:
    """How long to wait before the next start, after so many deaths in a row, each within `YOUNG_S` of its start."""
    if young_deaths <= YOUNG_DEATHS:
        return 0.0
    return min(PAUSE_MAX_S, PAUSE_S * 2.0 ** (young_deaths - YOUNG_DEATHS - 1))


class Supervisor:
    """Runs programs until `stop`, and keeps `run` written in the folder as it is. The children inherit the lock."""

    def __init__(self, data: Path, lock: Lock, run: Run, programs: list[Program]) -> None:
        self._data = data
        self._lock = lock
        self._run = run
        self._programs = programs
        self._stopping = asyncio.Event()
        self._living: dict[str, asyncio.subprocess.Process] = {}

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        write(self._data, self._run)
        tasks = {program.name: asyncio.create_task(self._keep(program)) for program in self._programs}
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            # A task ends before the stop only when it failed: what was started is stopped, then the failure is shown.
            await asyncio.wait([stopped, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            for program in reversed(self._programs):
                await self._end(program, tasks[program.name])
            (self._data / "run.json").unlink()
        for task in tasks.values():
            task.result()

    async def _keep(self, program: Program) -> None:
        if program.prepare is not None:
            await asyncio.to_thread(program.prepare)
        young_deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._live(program)
            if self._stopping.is_set():
                return
            lived = time.monotonic() - started
            young_deaths = young_deaths + 1 if lived < YOUNG_S else 0
            pause = pause_s(young_deaths)
            logger.warning("%s %s after %.1f s; again in %.1f s", program.name, _ended(code), lived, pause)
            if pause:
                await self._stop_within(pause)

    async def _live(self, program: Program) -> int:
        """One life of the program, from its start to its exit code."""
        with _log(self._data, program.name) as log:
            process = await asyncio.create_subprocess_exec(
                *stack.launched(program.command, program.owner, program.stop),
                env={**os.environ, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self._lock.fileno()],
            )
        self._living[program.name] = process
        self._note(program, process.pid)
        if self._stopping.is_set():
            self._signal(program, program.stop)
        code = await process.wait()
        del self._living[program.name]
        self._note(program, None)
        return code

    def _note(self, program: Program, pid: int | None) -> None:
        process = self._run.service(program.name)
        process.pid = pid
        process.starts += pid is not None
        write(self._data, self._run)

    async def _stop_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _end(self, program: Program, task: asyncio.Task[None]) -> None:
        self._signal(program, program.stop)
        done, _ = await asyncio.wait([task], timeout=STOP_S)
        if not done:
            logger.warning("%s does not stop and is killed", program.name)
            self._signal(program, signal.SIGKILL)
            await asyncio.wait([task])

    def _signal(self, program: Program, number: signal.Signals) -> None:
        process = self._living.get(program.name)
        if process is not None and process.returncode is None:
            process.send_signal(number)


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


@contextmanager
def _log(data: Path, name: str) -> Iterator[BinaryIO]:
    path = log_file(data, name)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as file:
        yield file


def log_file(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"


async def supervise(plan: Plan, lock: Lock) -> None:
    programs = stack.programs(plan)
    supervisor = Supervisor(plan.folder, lock, stack.begun(plan, programs), programs)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)

    def abandoned() -> None:
        loop.remove_reader(sys.stdin.fileno())
        supervisor.stop()

    if plan.attached:
        loop.add_reader(sys.stdin.fileno(), abandoned)
    with tethered(plan.folder):
        await supervisor.run()


def main() -> None:
    # Orders, keys and what services log are nobody else's business.
    os.umask(0o077)
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    lock = Lock(plan.folder)
    try:
        if not lock.take(PREDECESSOR_S):
            raise Trouble(f"a system already runs in {plan.folder}")
        asyncio.run(supervise(plan, lock))
    except Trouble as trouble:
        sys.exit(str(trouble))


if __name__ == "__main__":
    main()
