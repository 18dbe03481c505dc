"""How long does one risk engine take for a check? `python -m benchmarks.engines.checks ENGINE RECORDING TIMES`, in its
environment. Prints a line of JSON; the times, in ns with two looks at the clock in each, go to a file.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from benchmarks.engines import asked

# Checked beforehand, so that what is made once is made.
WARMUP = 1_000


@dataclass
class Checks:
    """`asks` makes what `check` is called with, at no cost: an order that is checked was read a moment ago. `passes`
    says of its result whether the order did. `others` are what else is done for an order, to be timed by itself."""

    version: str
    asks: Callable[[int], tuple[Any, ...]]
    check: Callable[..., object]
    passes: Callable[[object], bool]
    notes: list[str] = field(default_factory=list)
    others: Mapping[str, Callable[[int], object]] = field(default_factory=dict)


def main() -> None:
    engine, path, times = sys.argv[1:]
    recording = asked.read(Path(path))
    prepare: Callable[[asked.Recording], Checks] = importlib.import_module(f"benchmarks.engines.{engine}").prepare
    checks = prepare(recording)
    gc.collect()
    gc.freeze()
    # As services run: the collector looks less often at what they make meanwhile.
    gc.set_threshold(50_000, 50, 100)
    clocked(checks, range(WARMUP))
    taken, refused = clocked(checks, range(WARMUP, WARMUP + len(recording.asked)))
    Path(times).write_bytes(taken.tobytes())
    others = {name: timed(work, len(taken) // 10) for name, work in checks.others.items()}
    told = {"version": checks.version, "notes": checks.notes, "checks": len(taken)}
    print(json.dumps({**told, "refused": refused, "others": others}))


def clocked(checks: Checks, numbers: range) -> tuple[array[int], int]:
    """The ns of each check, and how many orders did not pass."""
    times = array("q")
    refused = 0
    asks, check, passes = checks.asks, checks.check, checks.passes
    for number in numbers:
        arguments = asks(number)
        began = perf_counter_ns()
        result = check(*arguments)
        times.append(perf_counter_ns() - began)
        refused += not passes(result)
    return times, refused


def timed(work: Callable[[int], object], times: int) -> float:
    """The mean, in ns."""
    began = perf_counter_ns()
    for number in range(times):
        work(number)
    return round((perf_counter_ns() - began) / max(times, 1), 1)


if __name__ == "__main__":
    main()
