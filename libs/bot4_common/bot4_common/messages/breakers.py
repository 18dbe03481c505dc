"""Which dependencies are called just now? Said by whoever calls them: execution of venues, the gateway of others."""

from __future__ import annotations

from typing import Literal

from bot4_common.messages.terms import Event

BreakerState = Literal["closed", "open", "half_open"]


class BreakerChanged(Event, frozen=True, kw_only=True, tag="breaker_changed"):
    """A breaker opened, let probes through, or closed. `name` is the dependency's; `fuse` that of all venues together.

    `samples` and `failures` are the outcomes that led to it: none for an open breaker that has rested. `changes` is how
    often it changed lately, this time included; `flapping` says that this is too often.
    """

    name: str
    before: BreakerState
    after: BreakerState
    at: int
    samples: int
    failures: int
    changes: int = 1
    flapping: bool = False
