"""How long does an order take, how many are taken in, and what does that cost: bot4 and the baseline in turn.

Both run all the time on the same machine, and their runs alternate, so that whatever else the machine does hits both.
First the closed loop with 1, 64 and 256 connections; then the open loop, each system at half the rate that it reached
itself in the closed one.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Literal

import msgspec

from benchmarks.figures import Latency, latency
from benchmarks.load import Kind, Market, Measured, drive
from benchmarks.systems import System, Usage, total, usage

Loop = Literal["closed", "open"]

CONNECTIONS = (1, 64, 256)
# The open loop: enough that no request waits for a connection, unless the system is that far behind.
OPEN_CONNECTIONS = 64
OPEN_SHARE = 0.5
# So long nothing is asked, to see what a system uses by itself.
IDLE_S = 3.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How often each pair of runs is repeated, and how many seconds a run lasts after its warm-up."""

    rounds: int
    closed_s: float
    open_s: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One system under one load. Of several runs together, rates are medians, and latencies those of all requests.

    In the open loop `offered_per_s` is how many requests were due in a second. Requests are orders and cancels.
    `cpu_ms` is what each process used per order, with the cancel that comes with every second one.
    """

    system: str
    loop: Loop
    connections: int
    offered_per_s: float | None
    orders_per_s: float
    requests_per_s: float
    order: Latency
    cancel: Latency
    cpu_ms: dict[str, float]
    mistakes: dict[str, int]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """bot4 over the baseline: medians over the pairs of runs."""

    loop: Loop
    connections: int
    orders_per_s: float
    p50: float
    p99: float
    p99_9: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """`idle_cpu` is the share of one processor that bot4 uses while nobody asks for anything, as when the baseline is
    measured. `memory_mb` is the most that was seen at the end of a run."""

    points: list[Point]
    runs: list[Point]
    compared: list[Compared]
    idle_cpu: float
    memory_mb: dict[str, dict[str, float]]
    orders: dict[str, int]


class _Run(msgspec.Struct):
    """What was measured of one system under one load, once. `used` is in seconds of processor, by process."""

    system: str
    loop: Loop
    connections: int
    rate: float | None
    measured: Measured
    used: dict[str, float]
    orders: int


class _Bench:
    """Runs one load after the other, and remembers what must never come twice."""

    def __init__(self, systems: Sequence[System], market: Market, show: Callable[[str], None]) -> None:
        self._market = market
        self._show = show
        self.ids: dict[str, set[str]] = {system.name: set() for system in systems}
        self.memory: dict[str, dict[str, float]] = {}
        self.runs: list[_Run] = []

    def run(self, system: System, loop: Loop, connections: int, seconds: float, rate: float | None = None) -> None:
        at_rate = "" if rate is None else f" at {rate:,.0f} requests/s"
        self._show(f"{system.name}: {loop} loop, {connections} connections{at_rate}")
        name = f"{loop}-{len(self.runs)}"
        ids = self.ids[system.name]
        known, before = len(ids), usage(system)
        measured = drive(system.address, system.scripts(name, connections, self._market), ids, seconds, rate)
        after = usage(system)
        used = {process: after[process].cpu_s - before[process].cpu_s for process in after}
        self.runs.append(_Run(system.name, loop, connections, rate, measured, used, len(ids) - known))
        self._remember(system.name, after)

    def _remember(self, system: str, now: dict[str, Usage]) -> None:
        held = {process: used.memory_mb for process, used in now.items()}
        if sum(held.values()) > sum(self.memory.get(system, {}).values()):
            self.memory[system] = held

    def highest_rate(self, system: System) -> float:
        """Requests per second in the closed loop with as many connections as gave most."""
        return max(
            _rate(group, ("order", "cancel"))
            for group in _groups(self.runs)
            if group[0].system == system.name and group[0].loop == "closed"
        )


def measure(systems: Sequence[System], market: Market, plan: Plan, show: Callable[[str], None]) -> Results:
    """Of bot4 and the baseline, in this order."""
    bench = _Bench(systems, market, show)
    idle_cpu = _idle_cpu(systems[0])
    for _ in range(plan.rounds):
        for connections in CONNECTIONS:
            for system in systems:
                bench.run(system, "closed", connections, plan.closed_s)
    rates = {system.name: OPEN_SHARE * bench.highest_rate(system) for system in systems}
    for _ in range(plan.rounds):
        for system in systems:
            bench.run(system, "open", OPEN_CONNECTIONS, plan.open_s, rates[system.name])
    groups = list(_groups(bench.runs))
    return Results(
        points=[_point(group) for group in groups],
        runs=[_point([run]) for run in bench.runs],
        compared=list(_compared(groups, *(system.name for system in systems))),
        idle_cpu=idle_cpu,
        memory_mb=bench.memory,
        orders={name: len(ids) for name, ids in bench.ids.items()},
    )


def _idle_cpu(system: System) -> float:
    before, started = total(usage(system)).cpu_s, time.monotonic()
    time.sleep(IDLE_S)
    return round((total(usage(system)).cpu_s - before) / (time.monotonic() - started), 3)


def _groups(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Runs of the same system under the same load, in the order of their first one."""
    grouped: dict[tuple[str, Loop, int], list[_Run]] = {}
    for run in runs:
        grouped.setdefault((run.system, run.loop, run.connections), []).append(run)
    yield from grouped.values()


def _rate(runs: Sequence[_Run], kinds: Sequence[Kind]) -> float:
    return median([sum(run.measured.counted[kind] for kind in kinds) / run.measured.seconds for run in runs])


def _point(runs: Sequence[_Run]) -> Point:
    first = runs[0]
    orders = sum(run.orders for run in runs)
    return Point(
        system=first.system,
        loop=first.loop,
        connections=first.connections,
        offered_per_s=None if first.rate is None else round(first.rate, 1),
        orders_per_s=round(_rate(runs, ("order",)), 1),
        requests_per_s=round(_rate(runs, ("order", "cancel")), 1),
        order=latency(_pooled(runs, "order")),
        cancel=latency(_pooled(runs, "cancel")),
        cpu_ms={process: round(1_000 * sum(run.used[process] for run in runs) / orders, 3) for process in first.used},
        mistakes=dict(sum((run.measured.mistakes for run in runs), Counter())),
    )


def _pooled(runs: Sequence[_Run], kind: Kind) -> array[int]:
    pooled = array("q")
    for run in runs:
        pooled.extend(run.measured.times[kind])
    return pooled


def _compared(groups: Sequence[Sequence[_Run]], ours: str, theirs: str) -> Iterator[Compared]:
    by_load = {(group[0].system, group[0].loop, group[0].connections): group for group in groups}
    for (system, loop, connections), group in by_load.items():
        if system != ours:
            continue
        pairs = [
            (_point([one]), _point([other]))
            for one, other in zip(group, by_load[theirs, loop, connections], strict=True)
        ]
        yield Compared(
            loop=loop,
            connections=connections,
            orders_per_s=round(median([one.orders_per_s / other.orders_per_s for one, other in pairs]), 2),
            p50=round(median([one.order.p50 / other.order.p50 for one, other in pairs]), 2),
            p99=round(median([one.order.p99 / other.order.p99 for one, other in pairs]), 2),
            p99_9=round(median([one.order.p99_9 / other.order.p99_9 for one, other in pairs]), 2),
        )
