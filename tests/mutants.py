"""Would the tests notice? Plants single-line faults in the matching engine, one at a time, and runs its tests on each.

`python -m tests.mutants` tries a sample, `--all` every fault there is. A fault that no test notices is printed: either
a test is missing, or the line can be otherwise without anybody seeing a difference, which `HARMLESS` then explains.
Exit code 0: every fault was found or explained. 1: some were not. 2: the tests fail without any fault.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "services" / "exchange-simulator"
ENGINE = Path("bot4_exchange_simulator", "engine")
MODULES = ("accounts", "book", "engine", "limits", "lists", "market", "orders", "prevention", "stops", "trial")
SAMPLE = 60
# Faults tried at a time, each in a copy of the service of its own.
AT_A_TIME = 2
# A trial that a fault keeps from ending has noticed it.
TRIAL_S = 300


class Trial(NamedTuple):
    name: str
    files: tuple[str, ...]
    timeout_s: int  # what no test of these takes on a slow machine
    examples: int | None = None  # per property; None: as many as the tests want


# The quick ones first: most faults need no more.
TRIALS = (
    Trial("examples", ("test_scenarios.py", "test_engine_accounts.py", "test_engine_memory.py"), 20),
    Trial("comparison in short", ("test_engine_oracle.py",), 60, 100),
    Trial("properties", ("test_engine_properties.py", "test_engine_image.py"), 60),
    Trial("comparison", ("test_engine_oracle.py",), 120),
)

COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
IDENTICAL = {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
CALCULATED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}
OTHERS = COMPARED | IDENTICAL | CALCULATED
SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.Add: "+", ast.Sub: "-", ast.Mult: "*",
    ast.FloorDiv: "//",
}  # fmt: skip
SWAPPED = {"min": "max", "max": "min", "bids": "asks", "asks": "bids"}

# Faults that change nothing anybody could see, by why: module, line, and the line with the fault in it.
HARMLESS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "there is nothing between none and one lot": (
        ("accounts", "return -net if net < 0 else 0", "return -net if net < 1 else 0"),
    ),
    "a leg that waits has no lots to pay for, and is no amount": (
        ("accounts", "if leg.where != GONE and leg.where != WAITING:", "if leg.where != GONE and True:"),
    ),
    "when empty levels are forgotten is a matter of speed": (
        (
            "book",
            "elif self.empty > 64 and self.empty * 2 > len(self.keys):",
            "elif self.empty > 65 and self.empty * 2 > len(self.keys):",
        ),
        (
            "book",
            "elif self.empty > 64 and self.empty * 2 > len(self.keys):",
            "elif self.empty >= 64 and self.empty * 2 > len(self.keys):",
        ),
        (
            "book",
            "elif self.empty > 64 and self.empty * 2 > len(self.keys):",
            "elif self.empty > 64 and self.empty * 2 >= len(self.keys):",
        ),
        (
            "book",
            "elif self.empty > 64 and self.empty * 2 > len(self.keys):",
            "elif self.empty > 64 and self.empty * 3 > len(self.keys):",
        ),
    ),
    "the sign is one or minus one": (("book", "key = order.price * self.sign", "key = order.price // self.sign"),),
    "less than no limit is no limit": (
        ("engine", "if not order.plain and order.budget >= 0:", "if not order.plain and True:"),
        ("engine", "if by_amount:", "if True:"),
    ),
    "with nothing to spend the first lot asks for a trial": (
        (
            "engine",
            "gives_back = money >= 0 and maker.account is account",
            "gives_back = money >= 1 and maker.account is account",
        ),
    ),
    "one order is in order": (("engine", "if len(elected) > 1:", "if True:"),),
    "who is not queued is sent away at once": (("engine", "if order.where != GONE:", "if True:"),),
    "it is queued already": (("engine", "order.where = QUEUED", "pass"),),
    "the smallest unit of money buys nothing": (
        (
            "engine",
            "free = max(0, account.free(asset_of(order)) + claimed(order))",
            "free = max(1, account.free(asset_of(order)) + claimed(order))",
        ),
    ),
    "a source of marks has a mark": (
        (
            "engine",
            "if status == OPEN and market.source == MARKS and market.stops and market.mark:",
            "if status == OPEN and market.source == MARKS and market.stops and True:",
        ),
    ),
    "where nothing waits nothing is elected": (
        (
            "engine",
            "if market.source == MARKS and market.stops and market.status == OPEN:",
            "if market.source == MARKS and True and market.status == OPEN:",
        ),
        (
            "market",
            "self.stops = 0  # orders that watch, on both sides",
            "self.stops = 1  # orders that watch, on both sides",
        ),
        ("stops", "if not keys or (keys[0] > price if self.rising else keys[-1] < price):", "if not keys or (False):"),
        ("stops", "if not keys or (keys[0] > price if self.rising else keys[-1] < price):", "if False:"),
    ),
    "the next question has the same answer": (
        (
            "engine",
            'if order.flaw == "PREVENTION_NOT_ALLOWED" or order.flaw == "BAD_FIELD":',
            'if order.flaw == "PREVENTION_NOT_ALLOWED" or False:',
        ),
    ),
    "what is equal loses nothing": (
        (
            "engine",
            "if order.where == RESTING and order.shown > armed:",
            "if order.where == RESTING and order.shown >= armed:",
        ),
    ),
    "the numbers need only grow": (("engine", "self._draws += 1", "self._draws += 2"),),
    "nobody knows an untracked order that has left the book": (("engine", "maker.where = GONE", "pass"),),
    "whoever adds has asked for room in the same window": (("limits", "self._turn(now)", "pass"),),
    "the sum is made before it is read": (
        (
            "market",
            "self.counts = False  # whether one of the next three is set",
            "self.counts = True  # whether one of the next three is set",
        ),
    ),
    "no price is beyond a multiple of nothing below": (
        (
            "market",
            "if reference and price * BAND_UNIT < reference * down:",
            "if True and price * BAND_UNIT < reference * down:",
        ),
    ),
    "a distance of everything is refused before": (
        ("market", "self.trail_bps_max = BPS - 1", "self.trail_bps_max = BPS + 1"),
    ),
    "amounts have gone another way before": (
        (
            "market",
            "if price == 0 and order.budget < 0 and filters.particular:",
            "if price == 0 and order.budget < 1 and filters.particular:",
        ),
    ),
    "an order has at least one lot, at one tick": (
        ("market", "self.market_quantity_min = 0", "self.market_quantity_min = 1"),
        ("market", "self.notional_min = 0", "self.notional_min = 1"),
    ),
    "an order has its number before anybody asks for it": (("orders", "self.number = 0", "self.number = 1"),),
    "the child of a plain OTO is alone": (
        ("orders", "if self.kind == OTO or order is self.parent:", "if False or order is self.parent:"),
    ),
    "each side has stops of its own": (
        (
            "stops",
            "key = -order.trail_bps if order.buy else order.trail_bps",
            "key = -order.trail_bps if True else order.trail_bps",
        ),
    ),
    "which of two groups takes the other in is a matter of speed": (
        ("stops", "if len(group.orders) > len(merged.orders):", "if False:"),
        ("stops", "continue", "pass"),
    ),
    "accounts without orders may be copied too": (
        ("trial", "if not orders:", "if False:"),
        ("trial", "continue", "pass"),
    ),
    "a sweep does not ask": (("trial", "copy.triggered = order.triggered", "pass"),),
    "to settle what is settled takes no time": (("engine", "if self._queue or self._elects_quotes:", "if True:"),),
    "what reads the lines refuses a price of nothing": (
        ("engine", "level = order.price if price < 0 else price", "level = order.price if price <= 0 else price"),
    ),
    "a plain order has a price, and reduces nothing": (
        ("engine", "simple = order.plain and not account.limited", "simple = order.plain and True"),
    ),
    "a market that has no stops may look for them": (("engine", "market.stops -= len(elected)", "pass"),),
}


class Fault(NamedTuple):
    """`line` counts from 1; `start` and `end` are offsets in it."""

    module: str
    line: int
    start: int
    end: int
    text: str

    def planted(self, source: str) -> str:
        lines = source.splitlines(keepends=True)
        lines[self.line - 1] = self.shown(source) + "\n"
        return "".join(lines)

    def shown(self, source: str) -> str:
        line = source.splitlines()[self.line - 1]
        return line[: self.start] + self.text + line[self.end :]


def faults(module: str, source: str) -> list[Fault]:
    """Every fault of the known kinds, in the order of the source: another comparison, sign, side or number, a condition
    or a part of one that is always or never met, a statement that is not there."""
    lines = source.splitlines()
    found = set()
    for node in ast.walk(_Deciding().visit(ast.parse(source))):
        for (line, start), (end_line, end), text in _faults_of(node, lines):
            # What spans lines stays: its parts are tried.
            if line == end_line and lines[line - 1][start:end] != text:
                found.add(Fault(module, line, start, end, text))
    return sorted(found)


class _Deciding(ast.NodeTransformer):
    """Leaves out what decides nothing: imports for types, assertions, declarations."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Assert(self, _: ast.Assert) -> None:
        return None

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return None if node.value is None else self.generic_visit(node)


Place = tuple[int, int]


def _faults_of(node: ast.AST, lines: list[str]) -> Iterator[tuple[Place, Place, str]]:
    """Where each begins and ends, and what stands there instead."""
    match node:
        case ast.Compare(left=left, ops=operators, comparators=others):
            for first, operator, second in zip([left, *others], operators, others, strict=False):
                yield from _operator(first, operator, second, lines)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OTHERS:
            yield from _operator(left, operator, right, lines)
        case ast.BoolOp(op=operator, values=values):
            for value in values:
                yield _begin(value), _end(value), str(isinstance(operator, ast.And))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _begin(node), _begin(operand), ""
        case ast.If(test=test) | ast.IfExp(test=test):
            for always in ("True", "False"):
                yield _begin(test), _end(test), always
        case ast.Constant(value=bool(value)):
            yield _begin(node), _end(node), str(not value)
        case ast.Constant(value=int(value)):
            yield _begin(node), _end(node), str(value + 1)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in SWAPPED:
            line, end = _end(node)
            yield (line, end - len(name)), (line, end), SWAPPED[name]
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign() | ast.Expr(value=ast.Call()):
            yield _begin(node), _end(node), "pass"
        case ast.Delete() | ast.Continue() | ast.Break() | ast.Return(value=None):
            yield _begin(node), _end(node), "pass"


def _operator(
    left: ast.expr, operator: ast.cmpop | ast.operator, right: ast.expr, lines: list[str]
) -> Iterator[tuple[Place, Place, str]]:
    """Another operator between two operands of one line, which may stand in brackets."""
    (line, start), (right_line, end) = _end(left), _begin(right)
    if line == right_line:
        symbol = SYMBOLS[type(operator)]
        start = lines[line - 1].index(symbol, start, end)
        yield (line, start), (line, start + len(symbol)), SYMBOLS[OTHERS[type(operator)]]


def _begin(node: ast.expr | ast.stmt) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.expr | ast.stmt) -> Place:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def pytest_configure() -> None:
    """This module is also a plugin of the pytest it starts: a fault is to be noticed, not to be shrunk, and the same
    fault is noticed each time."""
    settings.register_profile("noticing", phases=(Phase.explicit, Phase.generate), derandomize=True)
    settings.load_profile("noticing")


def copied(folder: Path) -> Path:
    """A copy of the venue and its tests: faults are planted in it, and it stays as it is when the sources change."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so")
    return Path(shutil.copytree(SERVICE, folder / SERVICE.name, ignore=unwanted))


def finds(fault: Fault, source: str, copy: Path) -> str:
    """The trial that notices the fault; empty if none does."""
    planted = copy / ENGINE / f"{fault.module}.py"
    planted.write_text(fault.planted(source), encoding="utf-8")
    try:
        return failing(copy)
    finally:
        planted.write_text(source, encoding="utf-8")


def failing(copy: Path) -> str:
    """The first trial that a copy does not stand; empty if it stands all."""
    for trial in TRIALS:
        if not _passes(copy, trial):
            return trial.name
    return ""


def _passes(copy: Path, trial: Trial) -> bool:
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.mutants"]
    command += ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-k", "not -naive]"]
    # By the thread: a test that was interrupted would be tried again.
    command += [f"--timeout={trial.timeout_s}", "--timeout-method=thread"]
    command += [str(copy / "tests" / name) for name in trial.files]
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{ROOT}", "BOT4_PURE": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.pop("VENUE_EXAMPLES", None)
    if trial.examples is not None:
        environment["VENUE_EXAMPLES"] = str(trial.examples)
    try:
        done = subprocess.run(command, env=environment, cwd=copy, capture_output=True, timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class Finding(NamedTuple):
    fault: Fault
    was: str
    shown: str
    by: str
    took_s: float


def tried(chosen: list[Fault], sources: dict[str, str], copies: list[Path]) -> Iterator[Finding]:
    """What becomes of each fault, in their order; as many at a time as there are copies."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def finding(fault: Fault) -> Finding:
        copy = free.get()
        started = time.monotonic()
        try:
            by = finds(fault, sources[fault.module], copy)
        finally:
            free.put(copy)
        source = sources[fault.module]
        was, shown = source.splitlines()[fault.line - 1].strip(), fault.shown(source).strip()
        return Finding(fault, was, shown, by, time.monotonic() - started)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(finding, chosen)


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.mutants")
    asked.add_argument("--sample", type=int, default=SAMPLE, help="how many faults, drawn from all")
    asked.add_argument("--seed", type=int, default=1, help="decides which")
    asked.add_argument("--all", action="store_true", help="every fault: hours")
    asked.add_argument("--module", choices=MODULES, action="append", help="only of this one")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        copies = [copied(Path(name, str(number))) for number in range(AT_A_TIME)]
        modules = options.module or MODULES
        sources = {module: (copies[0] / ENGINE / f"{module}.py").read_text(encoding="utf-8") for module in modules}
        known = [fault for module in modules for fault in faults(module, sources[module])]
        size = len(known) if options.all else min(options.sample, len(known))
        chosen = sorted(random.Random(options.seed).sample(known, size))
        print(f"{len(chosen)} of {len(known)} faults", flush=True)
        if broken := failing(copies[0]):
            print(f"{broken}: fails without any fault")
            return 2
        return summed_up(tried(chosen, sources, copies))


def summed_up(findings: Iterator[Finding]) -> int:
    """Tells of each, and how many there were of each kind. The exit code."""
    reasons = {fault: reason for reason, alike in HARMLESS.items() for fault in alike}
    outcomes: Counter[str] = Counter()
    for number, (fault, was, shown, by, took_s) in enumerate(findings, 1):
        reason = reasons.get((fault.module, was, shown), "")
        outcome = by or ("harmless" if reason else "NOT NOTICED")
        outcomes[outcome] += 1
        told = outcome if by or not reason else f"harmless: {reason}"
        print(f"{number:3} {fault.module}:{fault.line} {was!r} -> {shown!r}: {told} ({took_s:.0f} s)", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:5} {outcome}")
    return 1 if outcomes["NOT NOTICED"] else 0


if __name__ == "__main__":
    sys.exit(main())
