"""What do the figures look like? `python -m benchmarks.plot RESULTS.json` draws them again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # to files, wherever this runs

import msgspec
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.latency import Point, Results
from benchmarks.recovery import ALL, Recovery
from benchmarks.report import Machine, Report

# Told apart in print and by those who do not see all colours (Okabe and Ito, 2008).
COLOURS = {"bot4": "#0072B2", "baseline": "#D55E00"}
MORE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
DPI = 120

# The ticks of a latency curve: one request in so many is slower.
SLOWER = (1, 2, 10, 100, 1_000, 10_000)


def draw(report: Report, path: Path) -> Iterable[Path]:
    """Writes the plots beside the figures, under the same name."""
    if report.latency is not None:
        yield _save(_latency(report.latency, report.machine), path.with_name(f"{path.stem}-latency.png"))
    if report.recoveries:
        yield _save(_recovery(report.recoveries, report.machine), path.with_name(f"{path.stem}-recovery.png"))


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)
    return path


def _latency(results: Results, machine: Machine) -> Figure:
    figure, axes = pyplot.subplots(2, 3, figsize=(14, 8.5), layout="constrained")
    rates, cost, *curves = axes.flat
    _rates(rates, results.points)
    _cost(cost, results.points)
    loads = list(dict.fromkeys((point.loop, point.connections) for point in results.points))
    for axis, (loop, connections) in zip(curves, loads, strict=True):
        if axis is not curves[0]:
            axis.sharey(curves[0])
        _curves(axis, [point for point in results.points if (point.loop, point.connections) == (loop, connections)])
        asked = "as fast as answers come" if loop == "closed" else "at half the highest rate (open loop)"
        axis.set_title(f"{connections} connection{'s' if connections > 1 else ''}, {asked}", fontsize=10)
        axis.set_ylabel("order to answer, ms")
    figure.suptitle(f"Orders placed over REST, each on disk before its answer ({_on(machine)})", fontsize=12)
    return figure


def _rates(axis: Axes, points: Sequence[Point]) -> None:
    closed = [point for point in points if point.loop == "closed"]
    loads = list(dict.fromkeys(point.connections for point in closed))
    for shift, (system, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        rates = [point.orders_per_s for point in closed if point.system == system]
        bars = axis.bar([place + shift for place in range(len(loads))], rates, 0.4, color=colour, label=system)
        axis.bar_label(bars, labels=[f"{rate:,.0f}" for rate in rates], fontsize=9, padding=2)
    axis.set_xticks(range(len(loads)), [str(load) for load in loads])
    axis.set_xlabel("connections")
    axis.set_ylabel("orders per second")
    axis.set_title("Highest rate (beside it, a cancel for every second order)", fontsize=10)
    axis.margins(y=0.2)
    axis.legend(frameon=False, loc="upper left")
    _tidy(axis)


def _cost(axis: Axes, points: Sequence[Point]) -> None:
    """What an order takes of the processors at the most connections."""
    busiest = {point.system: point for point in points if point.loop == "closed"}
    bars = [(point.system, process, cpu) for point in busiest.values() for process, cpu in point.cpu_ms.items()]
    drawn = axis.barh(
        [f"{process} ({system})" if system != "bot4" else process for system, process, _ in bars],
        [cpu for *_, cpu in bars],
        color=[COLOURS[system] for system, *_ in bars],
    )
    axis.bar_label(drawn, labels=[f"{cpu:.2f}" for *_, cpu in bars], fontsize=8, padding=2)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("ms")
    connections = next(iter(busiest.values())).connections
    axis.set_title(f"Processor time per order at {connections} connections", fontsize=10)
    _tidy(axis)
    axis.grid(visible=False)


def _curves(axis: Axes, points: Sequence[Point]) -> None:
    for point in points:
        percents, times = zip(*point.order.curve, strict=True)
        axis.plot(
            [100 / (100 - percent) for percent in percents],
            times,
            color=COLOURS[point.system],
            label=f"{point.system}, {point.orders_per_s:,.0f} orders/s",
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(SLOWER, ["", "p50", "p90", "p99", "p99.9", "p99.99"])
    axis.set_xlim(1, SLOWER[-1])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    _tidy(axis)


def _recovery(recoveries: Sequence[Recovery], machine: Machine) -> Figure:
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.8), layout="constrained", sharey=True)
    killed = list(dict.fromkeys(recovery.killed for recovery in recoveries))
    for axis, title in zip(
        axes.flat, ("until every process is ready", "until the venue acknowledges an order"), strict=True
    ):
        for number, name in enumerate(killed):
            those = [recovery for recovery in recoveries if recovery.killed == name]
            axis.plot(
                [recovery.orders for recovery in those],
                [recovery.ready_s if "ready" in title else recovery.served_s for recovery in those],
                marker="o",
                color="black" if name == ALL else MORE_COLOURS[number % len(MORE_COLOURS)],
                linewidth=2 if name == ALL else 1,
                label=name,
            )
        axis.axhline(5, color="grey", linestyle="--", linewidth=1)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("orders in the journal")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
        _tidy(axis)
    axes.flat[0].set_ylabel("seconds from kill -9 on")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside right center", frameon=False, title="killed")
    figure.suptitle(f"Recovery; dashed: the bound of five seconds ({_on(machine)})", fontsize=12)
    return figure


def _on(machine: Machine) -> str:
    return f"{machine.cores} cores, everything on them; fsync {machine.fsync_ms:.2f} ms"


def _tidy(axis: Axes) -> None:
    axis.grid(axis="y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    path = Path(sys.argv[1])
    for written in draw(msgspec.json.decode(path.read_bytes(), type=Report), path):
        print(f"written: {written}")


if __name__ == "__main__":
    main()
