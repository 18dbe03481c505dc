"""How is an engine driven command by command? Through its lines, the real one and the naive one alike."""

from __future__ import annotations

import importlib
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from naive import lines as naive_lines
from naive.profiles import profile_of

Command = dict[str, Any]
Event = dict[str, Any]

ENGINES = ["naive", "fast"]

# No engine takes this for a command: the error line that answers it says that a command has been worked off.
MARKER = "that was all"


class Engine:
    """A command goes in, the events that it caused come out."""

    def __init__(self, name: str, profile: str = "binance-spot", changes: dict[str, Any] | None = None) -> None:
        self._waiting: deque[str] = deque()
        self._read = 0
        self._told = self._run(name, profile, changes or {})

    def _run(self, name: str, profile: str, changes: dict[str, Any]) -> Iterator[str]:
        if name == "naive":
            return naive_lines.run(self._lines(), profile_of(profile, changes))
        fast = pytest.importorskip("bot4_exchange_simulator.engine.lines")
        profiles = importlib.import_module("bot4_exchange_simulator.engine.profile")
        told: Iterator[str] = fast.run(self._lines(), profiles.shipped(profile, **changes))
        return told

    def _lines(self) -> Iterator[str]:
        while True:
            self._read += 1
            yield self._waiting.popleft()

    def step(self, command: Command) -> list[Event]:
        self._waiting.extend((json.dumps(command), MARKER))
        marked = self._read + 2
        events: list[Event] = []
        while True:
            event = json.loads(next(self._told))
            if event["event"] == "error" and event["line"] == marked:
                return events
            events.append(event)
