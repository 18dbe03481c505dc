"""How fast is the matching engine, against what others offer? `python -m benchmarks.matching [--quick]`."""

from __future__ import annotations

import argparse
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import matching_plot
from benchmarks.engines import environments, mix
from benchmarks.engines.environments import PEERS, Environment, Unbuilt
from benchmarks.engines.record import record
from benchmarks.figures import percentile
from benchmarks.report import Aim, Machine, machine

RESULTS = Path(__file__).parent / "results"
SEED = 1
# Of what is printed where nobody says how wide it is.
WIDTH = 120

PURE, COMPILED, NAUTILUS = "bot4 pure", "bot4 compiled", "NautilusTrader"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages of the mix, how often each engine is run, and after how many seconds one that is slow is cut
    off. The mix starts with `resting` orders in each book. `flat_messages`: of each run with other books."""

    messages: int
    rounds: int
    cut_s: float
    resting: int
    flat_messages: int


# Full: some seven minutes.
FULL = Plan(messages=200_000, rounds=3, cut_s=3.0, resting=1_000, flat_messages=50_000)
QUICK = Plan(messages=20_000, rounds=1, cut_s=1.0, resting=1_000, flat_messages=10_000)
SYMBOLS = (1, 8)

# Books to be flat over, one thing varied at a time: prices a side, orders, and how many of the newest orders are those
# that may be cancelled or amended (0: all). Where that is all of many, memory is measured, which no cache holds.
NEWEST = 500
BOOKS = {
    "prices a side": [(levels, 20_000, NEWEST) for levels in (10, 100, 1_000, 10_000)],
    "resting orders": [(100, resting, NEWEST) for resting in (1_000, 10_000, 100_000)],
    "resting orders, all in motion": [(100, resting, 0) for resting in (1_000, 10_000, 100_000)],
}


class Told(msgspec.Struct, frozen=True):
    """What one run of an engine prints."""

    version: str
    notes: list[str]
    messages: int
    spent_ns: int
    trades: int
    lots: int

    @property
    def per_s(self) -> float:
        return self.messages / self.spent_ns * 1e9


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One engine with so many symbols. The rate is the median of the runs; times, in ns, are of all messages of all
    runs, with two looks at the clock in each. `messages`: of one run, fewer where it was cut off or cannot be asked."""

    engine: str
    version: str
    notes: list[str]
    symbols: int
    messages: int
    per_s: float
    p50: int
    p99: int
    p99_9: int
    max: int
    trades: int
    lots: int

    @property
    def tail_ratio(self) -> float:
        return round(self.p99_9 / self.p99, 2)


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as many messages per second as another engine: the median over the rounds."""

    engine: str
    over: str
    symbols: int
    ratio: float


class Flat(msgspec.Struct, frozen=True, kw_only=True):
    """What a message takes in another book; `newest`: how many orders may be cancelled or amended, 0 for all."""

    varied: str
    levels: int
    resting: int
    newest: int
    ns: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`unbuilt` says which engines could not be had, or did not get through, and why."""

    at: datetime
    quick: bool
    machine: Machine
    plan: Plan
    points: list[Point]
    ratios: list[Ratio]
    flat: list[Flat]
    unbuilt: dict[str, str]

    def point(self, engine: str, symbols: int) -> Point | None:
        found = [point for point in self.points if (point.engine, point.symbols) == (engine, symbols)]
        return found[0] if found else None


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.matching")
    asked.add_argument("--quick", action="store_true", help="enough to see that all works, not to compare versions")
    asked.add_argument("--only", choices=("ours", "peers"), help="without the engines of others, or without flatness")
    asked.add_argument("--results", type=Path, default=RESULTS, help="folder for figures and plots")
    options = asked.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        bench = _Bench(Path(folder), QUICK if options.quick else FULL, status.update)
        report = bench.report(options.quick, peers=options.only != "ours", flatness=options.only != "peers")
    path = options.results / f"{report.at:%Y-%m-%d}-matching{'-quick' if options.quick else ''}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    show(report, console)
    plot = path.with_suffix(".png")
    matching_plot.draw(report, plot)
    for written in (path, plot):
        console.print(f"written: {written}", highlight=False)


class _Bench:
    """Runs engines on recordings, each run a process of its own."""

    def __init__(self, folder: Path, plan: Plan, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._plan = plan
        self._tell = tell
        self._unbuilt: dict[str, str] = {}

    def report(self, quick: bool, *, peers: bool, flatness: bool) -> Report:
        at, here = datetime.now(UTC), machine(self._folder)
        makers: dict[str, Callable[[], Environment]] = {PURE: environments.pure, COMPILED: environments.compiled}
        if peers:
            makers |= {name: partial(environments.peer, name) for name in PEERS}
        built = list(self._built(makers))
        points: list[Point] = []
        ratios: list[Ratio] = []
        for symbols in SYMBOLS:
            measured = self._rounds(built, symbols)
            points += [_point(name, symbols, runs) for name, runs in measured.items() if runs]
            ratios += _ratios(symbols, measured)
        compiled = [environment for environment in built if environment.name == COMPILED]
        flat = [each for environment in compiled if flatness for each in self._flat(environment)]
        return Report(
            at=at,
            quick=quick,
            machine=here,
            plan=self._plan,
            points=points,
            ratios=ratios,
            flat=flat,
            unbuilt=self._unbuilt,
        )

    def _built(self, makers: dict[str, Callable[[], Environment]]) -> Iterator[Environment]:
        for name, make in makers.items():
            self._tell(f"{name}: environment")
            try:
                yield make()
            except Unbuilt as why:
                self._unbuilt[name] = str(why)

    def _rounds(self, built: Sequence[Environment], symbols: int) -> dict[str, list[tuple[Told, array[int]]]]:
        """What each engine told in each round; all of them in turn, so that a slow minute is one for all."""
        plan = self._plan
        recording = self._recorded(symbols, plan.messages, plan.resting)
        measured: dict[str, list[tuple[Told, array[int]]]] = {environment.name: [] for environment in built}
        for number in range(plan.rounds):
            for environment in built:
                self._tell(f"{_on(symbols)}, round {number + 1}: {environment.name}")
                run = self._run(environment, recording)
                if run is not None:
                    measured[environment.name].append(run)
        return measured

    def _run(self, environment: Environment, recording: Path) -> tuple[Told, array[int]] | None:
        path = self._folder / "times"
        if environment.name in self._unbuilt:
            return None
        try:
            told = msgspec.json.decode(environments.run(environment, recording, path, self._plan.cut_s), type=Told)
        except Unbuilt as why:
            self._unbuilt[environment.name] = str(why)
            return None
        times = array("q")
        times.frombytes(path.read_bytes())
        return told, times

    def _recorded(self, symbols: int, messages: int, resting: int, levels: int = 0, newest: int = 0) -> Path:
        self._tell(f"recording {messages:,} messages")
        path = self._folder / f"{symbols}-{messages}-{resting}-{levels}-{newest}.json"
        mix.write(record(SEED, symbols, messages, resting, levels, newest), path)
        return path

    def _flat(self, compiled: Environment) -> Iterator[Flat]:
        """All books in turn, too: what is compared is measured side by side."""
        books = [(varied, *book) for varied, sizes in BOOKS.items() for book in sizes]
        recordings = [
            self._recorded(1, self._plan.flat_messages, resting, levels, newest) for _, levels, resting, newest in books
        ]
        taken: list[list[float]] = [[] for _ in books]
        for number in range(self._plan.rounds):
            self._tell(f"books of other sizes, round {number + 1}")
            for ns, recording in zip(taken, recordings, strict=True):
                run = self._run(compiled, recording)
                if run is not None:
                    ns.append(run[0].spent_ns / run[0].messages)
        for (varied, levels, resting, newest), ns in zip(books, taken, strict=True):
            if ns:
                yield Flat(varied=varied, levels=levels, resting=resting, newest=newest, ns=round(median(ns), 1))


def _point(engine: str, symbols: int, runs: Sequence[tuple[Told, array[int]]]) -> Point:
    told = runs[0][0]
    ordered = sorted(time for _, times in runs for time in times)
    return Point(
        engine=engine,
        version=told.version,
        notes=told.notes,
        symbols=symbols,
        messages=told.messages,
        per_s=round(median([run.per_s for run, _ in runs]), 1),
        p50=percentile(ordered, 50),
        p99=percentile(ordered, 99),
        p99_9=percentile(ordered, 99.9),
        max=ordered[-1],
        trades=told.trades,
        lots=told.lots,
    )


def _ratios(symbols: int, measured: dict[str, list[tuple[Told, array[int]]]]) -> Iterator[Ratio]:
    for ours in (PURE, COMPILED):
        for name, runs in measured.items():
            pairs = [
                (one.per_s, other.per_s) for (one, _), (other, _) in zip(measured.get(ours, []), runs, strict=False)
            ]
            if name != ours and name != COMPILED and pairs:
                ratio = median([one / other for one, other in pairs])
                yield Ratio(engine=ours, over=name, symbols=symbols, ratio=round(ratio, 2))


# What is printed


def show(report: Report, console: Console) -> None:
    here, plan = report.machine, report.plan
    console.print(
        f"{here.cores} cores ({here.cpu}), {here.kernel}, Python {here.python}; load before: {here.load:.2f}\n"
        f"{plan.messages:,} messages, {plan.resting:,} orders in the books, {plan.rounds} rounds; "
        f"whoever takes longer than {plan.cut_s:g} s is cut off",
        highlight=False,
    )
    console.print(_points_table(report), _ratios_table(report))
    if report.flat:
        console.print(_flat_table(report))
    console.print(_aims_table(report))
    for point in report.points:
        if point.notes and point.symbols == SYMBOLS[0]:
            console.print(f"{point.engine} {point.version}: {'; '.join(point.notes)}", highlight=False)
    for engine, why in report.unbuilt.items():
        console.print(f"[yellow]not measured[/] {engine}: {why}", highlight=False)


def _points_table(report: Report) -> Table:
    table = _table(
        "Messages", "engine", "symbols", "messages", "per s", "p50", "p99", "p99.9", "max", "99.9/99", "lots"
    )
    for point in report.points:
        times = (f"{time / 1_000:,.2f}" for time in (point.p50, point.p99, point.p99_9, point.max))
        table.add_row(
            point.engine,
            str(point.symbols),
            f"{point.messages:,}",
            f"{point.per_s:,.0f}",
            *times,
            f"{point.tail_ratio:.2f}",
            f"{point.lots:,}",
        )
    table.caption = "Times of one message in us, with the clock's own. Lots: traded while each message was timed."
    return table


def _ratios_table(report: Report) -> Table:
    columns = [(engine, symbols) for engine in (PURE, COMPILED) for symbols in SYMBOLS]
    table = _table("Times as many messages per second", "as", *(f"{engine}\n{_on(n)}" for engine, n in columns))
    found = {(each.over, each.engine, each.symbols): each.ratio for each in report.ratios}
    for over in dict.fromkeys(each.over for each in report.ratios):
        ratios = (found.get((over, *column)) for column in columns)
        table.add_row(over, *("" if ratio is None else f"{ratio:,.2f}" for ratio in ratios))
    return table


def _flat_table(report: Report) -> Table:
    table = _table(
        "Whether it is flat (compiled)", "varied", "prices a side", "orders", "ns per message", "to the first"
    )
    first: dict[str, float] = {}
    for each in report.flat:
        first.setdefault(each.varied, each.ns)
        ratio = each.ns / first[each.varied]
        table.add_row(each.varied, f"{each.levels:,}", f"{each.resting:,}", f"{each.ns:,.0f}", f"{ratio:.2f}")
    return table


def aims(report: Report) -> Iterator[Aim]:
    for symbols in SYMBOLS:
        compiled = report.point(COMPILED, symbols)
        if compiled is not None:
            on = _on(symbols)
            yield Aim(name=f"messages/s compiled, {on}", bound=1.5e6, found=round(compiled.per_s), at_least=True)
            yield Aim(name=f"p99.9 / p99 compiled, {on}", bound=3.0, found=compiled.tail_ratio)
    for ratio in report.ratios:
        name = f"{ratio.engine} / {ratio.over}, {_on(ratio.symbols)}"
        if ratio.engine == PURE and ratio.over != NAUTILUS:
            yield Aim(name=name, bound=1.0, found=ratio.ratio, at_least=True)
        if ratio.engine == COMPILED and ratio.over == NAUTILUS:
            yield Aim(name=name, bound=10.0, found=ratio.ratio, at_least=True)
    for varied in dict.fromkeys(each.varied for each in report.flat):
        ns = [each.ns for each in report.flat if each.varied == varied]
        if "all" not in varied:
            # A hundred times as many orders miss the caches more often.
            yield Aim(name=f"slowest / fastest over {varied}", bound=2.0, found=round(max(ns) / min(ns), 2))


def _aims_table(report: Report) -> Table:
    table = _table("Aims", "what", "bound", "found", "")
    for aim in aims(report):
        bound = f"{'>=' if aim.at_least else '<='} {aim.bound:,g}"
        table.add_row(aim.name, bound, f"{aim.found:,}", "[green]met[/]" if aim.met else "[yellow]missed[/]")
    return table


def _on(symbols: int) -> str:
    return f"{symbols} symbol{'s' if symbols > 1 else ''}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        told = column in ("engine", "as", "varied", "what", "")
        table.add_column(column, justify="left" if told else "right", no_wrap=True)
    return table


if __name__ == "__main__":
    main()
