"""How long until what was killed serves again, and does that grow with the journal?

Orders are placed until the journal has the wanted length. Then each process is killed in turn, and at last all at once.
Two times are taken from the kill on: until every process of the system says that it is ready, and until an order is
answered with the venue's acknowledgement.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.load import Market, drive, is_served
from benchmarks.systems import bot4_in
from bot4_cli import running

# Connections that fill the journal.
CONNECTIONS = 64
# They are looked after each so many seconds, to see whether there are orders enough.
BURST_S = 2.0
# What does not come back within this is not going to.
RECOVERY_S = 60.0
# Before a kill, so that it does not meet what the last one left to do.
SETTLE_S = 1.0
# Pauses between looks at a system that is not ready: short beside the times that are measured.
LOOK_S = 0.01

ALL = "all at once"


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from SIGKILL on, with so many orders in the journal. `last` is the process that was ready last."""

    orders: int
    killed: str
    ready_s: float
    last: str
    served_s: float


def fill(data: Path, market: Market, ids: set[str], orders: int) -> None:
    """Places orders until there are so many. Raises `AssertionError` when one is not answered as it should be."""
    burst = 0
    while len(ids) < orders:
        system = bot4_in(data)
        name = f"fill-{orders}-{burst}"
        measured = drive(system.address, system.scripts(name, CONNECTIONS, market), ids, BURST_S)
        assert not measured.mistakes, measured.mistakes
        burst += 1


def recoveries(data: Path, market: Market, lengths: Sequence[int], show: Callable[[str], None]) -> Iterable[Recovery]:
    ids: set[str] = set()
    for orders in lengths:
        show(f"placing orders until there are {orders:,}")
        fill(data, market, ids, orders)
        names = [process.name for process in running.read(data).services]
        for killed in [*names, ALL]:
            show(f"kill -9 {killed}, {len(ids):,} orders in the journal")
            time.sleep(SETTLE_S)
            yield _recovery(data, market, len(ids), killed, names if killed == ALL else [killed])


def _recovery(data: Path, market: Market, orders: int, killed: str, names: Sequence[str]) -> Recovery:
    before = {process.name: process for process in running.read(data).services if process.name in names}
    started = time.monotonic()
    for process in before.values():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    # Its next life: what still answers may be what has not noticed yet.
    _await(lambda: all(_lives_again(data, process) for process in before.values()), started, f"{killed} to start")
    last, late, tries = killed, set(names), 0

    def ready() -> bool:
        """Asks those that were late, and everybody in the end: asking takes time from those who are starting."""
        nonlocal last, late
        for process in running.read(data).services:
            if process.name in late and running.is_ready(process):
                last = process.name
                late.remove(process.name)
        if not late:
            late = {process.name for process in running.read(data).services if not running.is_ready(process)}
        return not late

    _await(ready, started, f"all to be ready after {killed}")
    ready_s = time.monotonic() - started

    def served() -> bool:
        nonlocal tries
        tries += 1
        system = bot4_in(data)
        (probe,) = system.scripts(f"probe-{orders}-{killed.replace(' ', '-')}-{tries}", 1, market)
        return is_served(system.address, probe)

    _await(served, started, f"an order to be answered after {killed}")
    served_s = time.monotonic() - started
    return Recovery(orders=orders, killed=killed, ready_s=round(ready_s, 3), last=last, served_s=round(served_s, 3))


def _lives_again(data: Path, before: running.Process) -> bool:
    now = running.read(data).service(before.name)
    return now.starts > before.starts and now.pid is not None


def _await(condition: Callable[[], bool], started: float, what: str) -> None:
    while not condition():
        if time.monotonic() - started > RECOVERY_S:
            raise TimeoutError(f"waited {RECOVERY_S:.0f} s for {what}")
        time.sleep(LOOK_S)
