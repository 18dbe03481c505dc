"""What do the figures of the matching engines look like?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")  # to files, wherever this runs

from matplotlib import pyplot
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from benchmarks.matching import Report

# Told apart in print and by those who do not see all colours (Okabe and Ito, 2008).
OURS, THEIRS = "#0072B2", "#D55E00"
DPI = 120


def draw(report: Report, path: Path) -> None:
    figure, (rates, flat) = pyplot.subplots(1, 2, figsize=(13, 5), layout="constrained", width_ratios=(3, 2))
    _rates(rates, report)
    _flat(flat, report)
    figure.suptitle(
        f"{report.plan.messages:,} messages: 45 % limit orders, 35 % cancels, 10 % amends, 10 % that take or must not "
        f"({report.machine.cores} cores, Python {report.machine.python})",
        fontsize=12,
    )
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _rates(axis: Axes, report: Report) -> None:
    """The fastest on top, each with one symbol and with several."""
    engines = sorted({point.engine for point in report.points}, key=lambda name: _best(report, name))
    for place, engine in enumerate(engines):
        for shift, point in zip(
            (0.2, -0.2), [point for point in report.points if point.engine == engine], strict=False
        ):
            bar = axis.barh(
                place + shift,
                point.per_s,
                0.38,
                color=OURS if engine.startswith("bot4") else THEIRS,
                alpha=1.0 if shift > 0 else 0.6,
            )
            plural = "s" if point.symbols > 1 else ""
            axis.bar_label(bar, [f"{point.per_s:,.0f} ({point.symbols} symbol{plural})"], fontsize=8, padding=3)
    axis.set_xscale("log")
    axis.set_yticks(range(len(engines)), engines)
    axis.margins(x=0.3)
    axis.set_xlabel("messages per second")
    axis.set_title("What others offer on PyPI, the same messages", fontsize=10)
    _tidy(axis, "x")


def _best(report: Report, engine: str) -> float:
    return max(point.per_s for point in report.points if point.engine == engine)


def _flat(axis: Axes, report: Report) -> None:
    for varied, colour in zip(dict.fromkeys(each.varied for each in report.flat), (OURS, THEIRS, "grey"), strict=False):
        those = [each for each in report.flat if each.varied == varied]
        counts = [each.levels if varied == "prices a side" else each.resting for each in those]
        axis.plot(counts, [each.ns for each in those], marker="o", color=colour, label=varied)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_ylabel("ns per message, compiled")
    axis.set_title("Books of other sizes", fontsize=10)
    axis.legend(frameon=False)
    _tidy(axis, "y")


def _tidy(axis: Axes, grid: str) -> None:
    axis.grid(axis="x" if grid == "x" else "y", color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
