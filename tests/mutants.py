"""Would the tests notice? Plants single-line faults in the matching engine, one at a time, and runs its tests on each.

`python -m tests.mutants` tries a sample, `--all` every fault there is. A fault that no test notices is printed: either
a test is missing, or the line can be otherwise without anybody seeing a difference, which `HARMLESS` then explains.
Exit code 0: every fault was found or explained. 1: some were not.
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
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[1] / "services" / "exchange-simulator"
PACKAGE = HERE / "bot4_exchange_simulator"
MODULES = ("accounts", "book", "engine", "limits", "lists", "market", "prevention", "stops", "trial")
# The quick ones first: most faults need no more.
TESTS = (("test_scenarios.py",), ("test_engine_properties.py", "test_engine_image.py"), ("test_engine_oracle.py",))
# A test that a fault keeps from ending has noticed it.
TIMEOUT_S = 300.0
SAMPLE = 60

COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
IDENTICAL = {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
CALCULATED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}
SWAPPED = {"min": "max", "max": "min", "bids": "asks", "asks": "bids", "append": "appendleft", "True": "False"}

# Faults that change nothing anybody could see, by module and line with the fault in it, and why.
HARMLESS: dict[tuple[str, str], str] = {}


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


def faults(module: str, source: str) -> Iterator[Fault]:
    """Every fault of the known kinds, in the order of the source: another comparison, sign, side or number, a condition
    that is always or never met, a statement that is not there."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        for found in _faults_of(node, lines):
            line, start, end, text = found
            if lines[line - 1][start:end] != text:
                yield Fault(module, line, start, end, text)


def _faults_of(node: ast.AST, lines: list[str]) -> Iterator[tuple[int, int, int, str]]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            other = (COMPARED | IDENTICAL).get(type(operator))
            if other is not None and left.end_lineno == right.lineno:
                text = f" {_SYMBOLS[other]} "
                yield right.lineno, _of(left.end_col_offset), right.col_offset, text
        case ast.BinOp(left=left, op=operator, right=right):
            changed = CALCULATED.get(type(operator))
            between = lines[right.lineno - 1][_of(left.end_col_offset) : right.col_offset]
            if changed is not None and left.end_lineno == right.lineno and "(" not in between and ")" not in between:
                yield right.lineno, _of(left.end_col_offset), right.col_offset, f" {_SYMBOLS[changed]} "
        case ast.If(test=test) if test.lineno == test.end_lineno:
            for always in ("True", "False"):
                yield test.lineno, test.col_offset, _of(test.end_col_offset), always
        case ast.Constant(value=bool(value)) if node.lineno == node.end_lineno:
            yield node.lineno, node.col_offset, _of(node.end_col_offset), str(not value)
        case ast.Name(id=name) if name in SWAPPED:
            yield node.lineno, node.col_offset, _of(node.end_col_offset), SWAPPED[name]
        case ast.Expr(value=ast.Call()) | ast.AugAssign() if node.lineno == node.end_lineno:
            yield node.lineno, node.col_offset, _of(node.end_col_offset), "pass"


def _of(offset: int | None) -> int:
    assert offset is not None
    return offset


_SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.Add: "+", ast.Sub: "-", ast.Mult: "*",
    ast.FloorDiv: "//",
}  # fmt: skip


def finds(fault: Fault, folder: Path) -> str:
    """The test file that notices the fault; empty if none does. `folder` holds a copy of the package."""
    source = (PACKAGE / "engine" / f"{fault.module}.py").read_text(encoding="utf-8")
    planted = folder / PACKAGE.name / "engine" / f"{fault.module}.py"
    planted.write_text(fault.planted(source), encoding="utf-8")
    try:
        for tests in TESTS:
            if not _pass(folder, tests):
                return tests[0]
        return ""
    finally:
        planted.write_text(source, encoding="utf-8")


def _pass(folder: Path, tests: tuple[str, ...]) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header"]
    command += [str(HERE / "tests" / name) for name in tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "BOT4_PURE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, env=environment, cwd=HERE.parents[1], capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.mutants")
    asked.add_argument("--sample", type=int, default=SAMPLE, help="how many faults, drawn from all")
    asked.add_argument("--seed", type=int, default=1, help="decides which")
    asked.add_argument("--all", action="store_true", help="every fault: hours")
    asked.add_argument("--module", choices=MODULES, action="append", help="only of this one")
    options = asked.parse_args()
    sources = {name: (PACKAGE / "engine" / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    known = [fault for name in options.module or MODULES for fault in faults(name, sources[name])]
    chosen = known if options.all else random.Random(options.seed).sample(known, min(options.sample, len(known)))
    print(f"{len(chosen)} of {len(known)} faults", flush=True)
    unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        for number, fault in enumerate(sorted(chosen), 1):
            started = time.monotonic()
            shown = fault.shown(sources[fault.module]).strip()
            by = finds(fault, folder)
            reason = HARMLESS.get((fault.module, shown), "")
            unnoticed += not by and not reason
            outcome = by or (f"harmless: {reason}" if reason else "NOT NOTICED")
            took = time.monotonic() - started
            print(f"{number:3} {fault.module}:{fault.line} {shown!r}: {outcome} ({took:.0f} s)", flush=True)
    print(f"not noticed: {unnoticed}")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
