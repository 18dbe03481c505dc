"""What does an engine have to be given, so that it can be asked? The mix in its own words, made before time runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Call = tuple[Callable[..., object], tuple[Any, ...]]


@dataclass
class Script:
    """`calls` has one call for each message of a recording, None where the engine cannot be asked that.

    `traded` says how many trades and lots there were since the last `clear`, which forgets them. `before` has what
    happens before a message at no cost to the engine. `notes` say in which respect the messages are not quite the same.
    """

    version: str
    calls: list[Call | None]
    traded: Callable[[], tuple[int, int]]
    clear: Callable[[], None]
    before: Mapping[int, Callable[[], object]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
