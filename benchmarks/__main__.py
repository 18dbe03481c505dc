"""The benchmarks as a command: `python -m benchmarks [--quick] [--only latency|recovery]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import latency, plot
from benchmarks.latency import Results
from benchmarks.recovery import Recovery, recoveries
from benchmarks.report import Report, aims, machine
from benchmarks.systems import audit, baseline, bot4, market_of

# Full: some eight minutes. Quick: about one; enough to see that all works, not to compare versions.
FULL = latency.Plan(rounds=3, closed_s=7.0, open_s=10.0)
QUICK = latency.Plan(rounds=2, closed_s=1.0, open_s=2.0)
# Orders in the journal when processes are killed.
LENGTHS = (5_000, 20_000, 50_000)
LENGTHS_QUICK = (2_000,)

RESULTS = Path(__file__).parent / "results"

console = Console()
Show = Callable[[str], None]


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks")
    asked.add_argument("--quick", action="store_true", help="one minute instead of eight")
    asked.add_argument("--only", choices=("latency", "recovery"), help="leave out the other half")
    asked.add_argument("--results", type=Path, default=RESULTS, help="folder for figures and plots")
    options = asked.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    # Beside the results and so on a disk: what is in a folder for temporary files may be in memory alone.
    with (
        tempfile.TemporaryDirectory(dir=options.results, prefix=".data-") as folder,
        console.status("") as status,
    ):
        report = measure(Path(folder), options.quick, options.only, status.update)
    path = options.results / f"{report.at:%Y-%m-%d}{'-quick' if options.quick else ''}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    print_report(report)
    for written in (path, *plot.draw(report, path)):
        console.print(f"written: {written}", highlight=False)
    if report.faults:
        sys.exit(1)


def measure(folder: Path, quick: bool, only: str | None, show: Show) -> Report:
    at, here = datetime.now(UTC), machine(folder)
    results: Results | None = None
    recovered: list[Recovery] = []
    audits: dict[str, int] = {}
    if only != "recovery":
        results, audits["latency"] = measure_latency(folder, QUICK if quick else FULL, show)
    if only != "latency":
        recovered, audits["recovery"] = measure_recovery(folder, LENGTHS_QUICK if quick else LENGTHS, show)
    return Report(at=at, quick=quick, machine=here, latency=results, recoveries=recovered, audits=audits)


def measure_latency(folder: Path, plan: latency.Plan, show: Show) -> tuple[Results, int]:
    """With the exit code of the audit that follows."""
    show("starting bot4 and the baseline")
    with bot4(folder / "latency") as ours, baseline(folder / "baseline") as theirs:
        results = latency.measure([ours, theirs], market_of(ours), plan, show)
        show("audit")
        return results, audit(ours.data)


def measure_recovery(folder: Path, lengths: tuple[int, ...], show: Show) -> tuple[list[Recovery], int]:
    """With the exit code of the audit that follows."""
    show("starting bot4")
    with bot4(folder / "recovery") as ours:
        recovered = list(recoveries(ours.data, market_of(ours), lengths, show))
        show("audit")
        return recovered, audit(ours.data)


# What is printed


def print_report(report: Report) -> None:
    here = report.machine
    console.print(
        f"{here.cores} cores ({here.cpu}), {here.memory_mb:,} MB, {here.kernel}, Python {here.python}; "
        f"a synced write takes {here.fsync_ms:.2f} ms; load before: {here.load:.2f}",
        highlight=False,
    )
    if report.latency is not None:
        console.print(_latency_table(report.latency), _compared_table(report.latency), _cost_table(report.latency))
        console.print(f"bot4 uses {report.latency.idle_cpu:.1%} of a core when nobody asks.", highlight=False)
    if report.recoveries:
        console.print(_recovery_table(report.recoveries))
    console.print(_aims_table(report))
    for half, code in report.audits.items():
        console.print(f"audit after {half}: {'clean' if code == 0 else f'exit code {code}'}", highlight=False)
    for fault in report.faults:
        console.print(f"[red]fault[/] {fault}", highlight=False)


def _latency_table(results: Results) -> Table:
    table = _table("Order to answer, in ms", "load", "system", "orders/s", "p50", "p90", "p99", "p99.9", "max")
    for point in sorted(results.points, key=lambda point: (point.loop, point.connections)):
        order = point.order
        times = (order.p50, order.p90, order.p99, order.p99_9, order.max)
        shown = (f"{time:.1f}" if time < 100 else f"{time:,.0f}" for time in times)
        table.add_row(f"{point.loop} {point.connections}", point.system, f"{point.orders_per_s:,.0f}", *shown)
    return table


def _compared_table(results: Results) -> Table:
    table = _table("bot4 over the baseline", "load", "orders/s", "p50", "p99", "p99.9")
    for each in results.compared:
        ratios = (each.orders_per_s, each.p50, each.p99, each.p99_9)
        table.add_row(f"{each.loop} {each.connections}", *(f"{ratio:.2f}" for ratio in ratios))
    return table


def _cost_table(results: Results) -> Table:
    """At the most connections, where each process has the most company in a frame."""
    table = _table("What it takes", "system", "process", "CPU ms per order", "memory MB")
    busiest = {point.system: point for point in results.points if point.loop == "closed"}
    for system, point in busiest.items():
        memory = results.memory_mb[system]
        for process, cpu_ms in point.cpu_ms.items():
            table.add_row(system, process, f"{cpu_ms:.3f}", f"{memory[process]:.0f}")
        table.add_row(
            system, "all", f"{sum(point.cpu_ms.values()):.3f}", f"{sum(memory.values()):.0f}", end_section=True
        )
    return table


def _recovery_table(recovered: list[Recovery]) -> Table:
    table = _table("Seconds from kill -9 on", "orders", "killed", "all ready", "last", "order at the venue")
    for each in recovered:
        table.add_row(f"{each.orders:,}", each.killed, f"{each.ready_s:.2f}", each.last, f"{each.served_s:.2f}")
    return table


def _aims_table(report: Report) -> Table:
    table = _table("Aims", "what", "bound", "found", "")
    for aim in aims(report):
        bound = f"{'>=' if aim.at_least else '<='} {aim.bound:,g}"
        table.add_row(aim.name, bound, f"{aim.found:,g}", "[green]met[/]" if aim.met else "[yellow]missed[/]")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        told = column in ("load", "system", "process", "killed", "last", "what", "")
        table.add_column(column, justify="left" if told else "right", no_wrap=told)
    return table


if __name__ == "__main__":
    main()
