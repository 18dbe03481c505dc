"""How fast is one engine? `python -m benchmarks.engines.drive ENGINE RECORDING TIMES SECONDS`, in its environment.

A recording is replayed twice, each time into new books: as fast as it goes, and with a clock before and after each
message. What is longer than so many seconds is cut off. Prints a line of JSON; the times go to a file, in ns.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from time import perf_counter_ns

from benchmarks.engines import mix
from benchmarks.engines.script import Script

# What happened is taken from an engine after so many messages: as many as a venue might answer with one write.
FRAME = 64
NS_PER_S = 1_000_000_000


def main() -> None:
    engine, path, times, seconds = sys.argv[1:]
    recording = mix.read(Path(path))
    prepare: Callable[[mix.Recording], Script] = importlib.import_module(f"benchmarks.engines.{engine}").prepare
    limit = int(float(seconds) * NS_PER_S)
    script = prepare(recording)
    messages, spent = replayed(script, recording.opening, limit)
    timed = prepare(recording)
    taken, trades, lots = clocked(timed, recording.opening, limit)
    Path(times).write_bytes(taken.tobytes())
    told = {"version": script.version, "notes": script.notes, "messages": messages, "spent_ns": spent}
    print(json.dumps({**told, "trades": trades, "lots": lots}))


def opened(script: Script, opening: int) -> None:
    """Fills the books, and leaves no garbage, nor anything that is there already, to be collected while time runs."""
    for each in islice(script.calls, opening):
        assert each is not None
        call, arguments = each
        call(*arguments)
    script.clear()
    gc.collect()
    gc.freeze()


def replayed(script: Script, opening: int, limit: int) -> tuple[int, int]:
    """Messages, and the ns that they took. Taking what happened counts."""
    opened(script, opening)
    frame = 1 if script.before else FRAME
    clear = script.clear
    messages = spent = 0
    for start in range(opening, len(script.calls), frame):
        if start in script.before:
            script.before[start]()
        calls = [call for call in script.calls[start : start + frame] if call is not None]
        began = perf_counter_ns()
        for call, arguments in calls:
            call(*arguments)
        clear()
        spent += perf_counter_ns() - began
        messages += len(calls)
        if spent > limit:
            break
    gc.unfreeze()
    return messages, spent


def clocked(script: Script, opening: int, limit: int) -> tuple[array[int], int, int]:
    """The ns of each message, and how many trades and lots there were in all."""
    opened(script, opening)
    times = array("q")
    trades = lots = spent = 0
    for number in range(opening, len(script.calls)):
        if number in script.before:
            script.before[number]()
        each = script.calls[number]
        if each is not None:
            call, arguments = each
            began = perf_counter_ns()
            call(*arguments)
            taken = perf_counter_ns() - began
            times.append(taken)
            spent += taken
        if number % FRAME == 0 or number + 1 == len(script.calls):
            traded = script.traded()
            trades += traded[0]
            lots += traded[1]
            script.clear()
        if spent > limit:
            break
    gc.unfreeze()
    return times, trades, lots


if __name__ == "__main__":
    main()
