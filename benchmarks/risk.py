"""How long does the check of an order take, beside that of others? `python -m benchmarks.risk [--quick]`.

Exit code 1: an engine could not be had, or refused what it was to pass.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

import bot4_risk
from benchmarks.engines import asked, environments
from benchmarks.engines.environments import Environment, Unbuilt
from benchmarks.figures import percentile
from benchmarks.report import Aim, Machine, machine

RESULTS = Path(__file__).parent / "results"
SOURCES = Path(bot4_risk.__file__).parent
SEED = 1
WIDTH = 120
BOT4, COMPILED, NAUTILUS, NOTHING = "bot4", "bot4 compiled", "NautilusTrader", "counting"
# What `check` does by itself. What it looks things up in are msgspec's classes, which mypyc cannot compile.
COMPILED_MODULES = ("check", "correlation", "limits")
P99_NS_MAX = 10_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many checks in each round; with how many open orders, in how many symbols. `resting`: also with so many."""

    checks: int
    rounds: int
    symbols: int
    open_orders: int
    resting: list[int]


FULL = Plan(checks=100_000, rounds=5, symbols=20, open_orders=100, resting=[0, 1_000, 10_000])
QUICK = Plan(checks=5_000, rounds=1, symbols=20, open_orders=100, resting=[1_000])


class Told(msgspec.Struct, frozen=True):
    """What one run of an engine prints. `others`: mean ns of what else it does."""

    version: str
    notes: list[str]
    checks: int
    refused: int
    others: dict[str, float]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Times in ns, with two looks at the clock in each, of all checks of all rounds. `p99_quietest` is the best
    round's: what else a machine does takes time from some rounds, and gives none to any. `others`: see `Told`."""

    engine: str
    version: str
    notes: list[str]
    open_orders: int
    checks: int
    refused: int
    p50: int
    p90: int
    p99: int
    p99_9: int
    max: int
    p99_quietest: int
    others: dict[str, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`unbuilt` says which engines could not be had, or did not get through, and why."""

    at: datetime
    quick: bool
    machine: Machine
    plan: Plan
    points: list[Point]
    unbuilt: dict[str, str]

    def point(self, engine: str) -> Point | None:
        found = [each for each in self.points if (each.engine, each.open_orders) == (engine, self.plan.open_orders)]
        return found[0] if found else None


class Run(NamedTuple):
    told: Told
    times: array[int]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.risk")
    options.add_argument("--quick", action="store_true", help="enough to see that all works")
    options.add_argument("--only", choices=("ours",), help="without the engines of others")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures")
    chosen = options.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        report = measured(Path(folder), QUICK if chosen.quick else FULL, chosen.quick, chosen.only, status.update)
    chosen.results.mkdir(parents=True, exist_ok=True)
    path = chosen.results / f"{report.at:%Y-%m-%d}-risk{'-quick' if chosen.quick else ''}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    show(report, console)
    console.print(f"written: {path}", highlight=False)
    sys.exit(1 if report.unbuilt else 0)


def bot4() -> Environment:
    return Environment(BOT4, "risk_bot4", Path(sys.executable), {})


def compiled(folder: Path) -> Environment:
    """The check alone, compiled by mypyc: no service runs it so, see the README. Raises `Unbuilt`."""
    package = shutil.copytree(SOURCES, folder / "compiled" / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
    modules = [f"{package.name}/{name}.py" for name in COMPILED_MODULES]
    mypyc = ("-m", "mypyc", "--config-file=", "--ignore-missing-imports")
    environments.said(Path(sys.executable), *mypyc, *modules, folder=package.parent)
    return Environment(COMPILED, "risk_bot4", Path(sys.executable), {"PYTHONPATH": str(package.parent)})


def nothing() -> Environment:
    return Environment(NOTHING, "risk_nothing", Path(sys.executable), {})


def nautilus() -> Environment:
    return environments.peer(NAUTILUS)._replace(module="risk_nautilus")


def measured(folder: Path, plan: Plan, quick: bool, only: str | None, tell: Callable[[str], None]) -> Report:
    at, here = datetime.now(UTC), machine(folder)
    unbuilt: dict[str, str] = {}
    built: list[Environment] = []
    makers: dict[str, Callable[[], Environment]] = {BOT4: bot4, COMPILED: partial(compiled, folder), NOTHING: nothing}
    if only is None:
        makers[NAUTILUS] = nautilus
    for name, make in makers.items():
        tell(f"{name}: environment")
        try:
            built.append(make())
        except Unbuilt as why:
            unbuilt[name] = str(why)
    points: list[Point] = []
    for open_orders in (plan.open_orders, *plan.resting):
        # Whether it is flat is asked of ours only.
        asking = built if open_orders == plan.open_orders else built[:1]
        recording = folder / f"{open_orders}.json"
        asked.write(asked.record(SEED, plan.symbols, open_orders, plan.checks), recording)
        ask = partial(_run, recording, folder / "times", unbuilt)
        runs: dict[str, list[Run]] = {each.name: [] for each in asking}
        for number in range(plan.rounds):
            # In turn, so that a slow minute is one for all.
            for each in asking:
                tell(f"{open_orders:,} open orders, round {number + 1}: {each.name}")
                runs[each.name] += ask(each)
        points += [_point(name, open_orders, rounds) for name, rounds in runs.items() if rounds]
    return Report(at=at, quick=quick, machine=here, plan=plan, points=points, unbuilt=unbuilt)


def _run(recording: Path, times: Path, unbuilt: dict[str, str], environment: Environment) -> list[Run]:
    try:
        told = environments.ask(environment, "checks", str(recording), str(times))
    except Unbuilt as why:
        unbuilt[environment.name] = str(why)
        return []
    taken = array("q")
    taken.frombytes(times.read_bytes())
    run = Run(msgspec.json.decode(told, type=Told), taken)
    if run.told.refused:
        unbuilt[environment.name] = f"{run.told.refused:,} orders were refused, which takes less than a whole check"
    return [run]


def _point(engine: str, open_orders: int, runs: list[Run]) -> Point:
    told = runs[0].told
    ordered = sorted(time for run in runs for time in run.times)
    return Point(
        engine=engine,
        version=told.version,
        notes=told.notes,
        open_orders=open_orders,
        checks=len(ordered),
        refused=sum(run.told.refused for run in runs),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p99=percentile(ordered, 99),
        p99_9=percentile(ordered, 99.9),
        max=ordered[-1],
        p99_quietest=min(percentile(sorted(run.times), 99) for run in runs),
        others={name: round(median([run.told.others[name] for run in runs]), 1) for name in told.others},
    )


# What is printed


def show(report: Report, console: Console) -> None:
    here, plan = report.machine, report.plan
    console.print(
        f"{here.cores} cores ({here.cpu}), {here.kernel}, Python {here.python}; load before: {here.load:.2f}\n"
        f"{plan.rounds} rounds of {plan.checks:,} checks, {plan.symbols} symbols, half of them held; times in us",
        highlight=False,
    )
    console.print(_points_table(report), _aims_table(report))
    for point in report.points:
        for name, ns in point.others.items():
            if point.open_orders == plan.open_orders:
                console.print(f"{point.engine}, {name}: {ns / 1_000:,.1f} us", highlight=False)
        if point.notes and point.open_orders == plan.open_orders:
            console.print(f"{point.engine} {point.version}: {'; '.join(point.notes)}", highlight=False)
    for engine, why in report.unbuilt.items():
        console.print(f"[yellow]not measured[/] {engine}: {why}", highlight=False)


def _points_table(report: Report) -> Table:
    table = Table(title="Checks", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("engine")
    for column in (
        "open orders",
        "checks",
        "refused",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "p99 of the quietest round",
    ):
        table.add_column(column, justify="right")
    for point in report.points:
        times = (point.p50, point.p90, point.p99, point.p99_9, point.max, point.p99_quietest)
        counted = (f"{count:,}" for count in (point.open_orders, point.checks, point.refused))
        table.add_row(point.engine, *counted, *(f"{time / 1_000:,.2f}" for time in times))
    return table


def aims(report: Report) -> Iterator[Aim]:
    for name in (BOT4, COMPILED):
        ours = report.point(name)
        if ours is not None:
            yield Aim(name=f"{name}: p99 of a check in us", bound=P99_NS_MAX / 1_000, found=ours.p99 / 1_000)
    if report.point(BOT4) is not None:
        medians = [each.p50 for each in report.points if each.engine == BOT4]
        slowest = round(max(medians) / min(medians), 2)
        yield Aim(name="slowest / fastest p50 over open orders", bound=1.2, found=slowest)


def _aims_table(report: Report) -> Table:
    table = Table(title="Aims", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in ("what", "bound", "found", ""):
        table.add_column(column, justify="right" if column in ("bound", "found") else "left")
    for aim in aims(report):
        met = "[green]met[/]" if aim.met else "[yellow]missed[/]"
        table.add_row(aim.name, f"<= {aim.bound:,g}", f"{aim.found:,g}", met)
    return table


if __name__ == "__main__":
    main()
