"""What came out, on what machine, and was it as good as it should be?"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]

from benchmarks.latency import Compared, Point, Results
from benchmarks.recovery import Recovery
from benchmarks.systems import BYTES_PER_MB

# Blocks of 4 kB written to find out what a durable write costs here.
SYNCS = 200


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`fsync_ms` is the median of a block written and synced; `load` is how many processes wanted to run in the minute
    before, which should be none."""

    cores: int
    memory_mb: int
    cpu: str
    kernel: str
    python: str
    fsync_ms: float
    load: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`audits` are the exit codes of `bot4 audit` after each half, 0 for clean."""

    at: datetime
    quick: bool
    machine: Machine
    latency: Results | None
    recoveries: list[Recovery]
    audits: dict[str, int]

    @property
    def faults(self) -> list[str]:
        """What must not happen, however slow the machine: a wrong answer, or an audit with a finding."""
        wrong = [
            f"{point.system}, {load_of(point)}: {count} x {mistake}"
            for point in (self.latency.points if self.latency else [])
            for mistake, count in point.mistakes.items()
        ]
        return wrong + [f"audit after {half}: exit code {code}" for half, code in self.audits.items() if code]


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """A bound that a quiet machine with two cores should keep."""

    name: str
    bound: float
    found: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def aims(report: Report) -> Iterator[Aim]:
    if report.latency is not None:
        yield from _latency_aims(report.latency)
    if report.recoveries:
        slowest = max(report.recoveries, key=lambda recovery: recovery.ready_s)
        yield Aim(name=f"seconds until ready ({slowest.killed} killed)", bound=5.0, found=slowest.ready_s)


def _latency_aims(results: Results) -> Iterator[Aim]:
    ours = [point for point in results.points if point.system == "bot4"]
    for point in ours:
        if point.connections == 1:
            yield Aim(name="p50 in ms, 1 connection", bound=5.0, found=point.order.p50)
        elif point.loop == "open":
            yield Aim(name="p99 in ms, half the highest rate", bound=30.0, found=point.order.p99)
        if point.connections > 1 and point.order.tail_ratio is not None:
            yield Aim(name=f"p99.9 / p99, {load_of(point)}", bound=3.0, found=point.order.tail_ratio)
    best = {
        system: max(point.orders_per_s for point in results.points if point.system == system)
        for system in ("bot4", "baseline")
    }
    ratio = round(best["bot4"] / best["baseline"], 2)
    yield Aim(name="orders/s over the baseline's", bound=1.0, found=ratio, at_least=True)
    yield Aim(name="MB of memory in all", bound=1_000.0, found=round(sum(results.memory_mb["bot4"].values()), 1))


def load_of(point: Point | Compared) -> str:
    return f"{point.loop} loop, {point.connections} connection{'s' if point.connections > 1 else ''}"


def machine(folder: Path) -> Machine:
    """This one, with the disk that `folder` lies on."""
    return Machine(
        cores=os.cpu_count() or 1,
        memory_mb=int(psutil.virtual_memory().total / BYTES_PER_MB),
        cpu=_cpu(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        fsync_ms=round(_sync_ms(folder), 3),
        load=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    listed = Path("/proc/cpuinfo")
    if not listed.exists():
        return platform.processor()
    names = [
        line.partition(":")[2].strip() for line in listed.read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _sync_ms(folder: Path) -> float:
    path, block, times = folder / "synced", bytes(4_096), []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            started = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    path.unlink()
    return 1_000 * statistics.median(times)
