"""Where is everything, and how shall this process run? Read from the environment, in `__main__` only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from bot4_common.messages.terms import FIRST_VENUE

S = TypeVar("S", bound="Settings")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field is the environment variable `BOT4_<FIELD>` in capitals."""

    nats_url: str = "nats://127.0.0.1:4222"
    # Where this process shows /healthz, /readyz and /metrics.
    bind: str = "127.0.0.1"
    health_port: int = 0
    # A standby follows the leader's frames and takes over when its heartbeat stops.
    standby: bool = False
    # The share of orders whose way is recorded as a trace, and the folder for the spans (none: not recorded).
    trace_ratio: float = 0.01
    trace_dir: str | None = None
    log_level: str = "INFO"
    # A TOML file of instruments; none: those that come with bot4.
    instruments: str | None = None
    # Which venues there are, with commas between them; the first is that of orders that name none. And a TOML file of
    # more venues to choose from than come with bot4.
    venues: str = FIRST_VENUE
    venue_definitions: str | None = None


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """Raises `msgspec.ValidationError` naming the variable that has a wrong value."""
    given = {
        field: environ[f"BOT4_{field.upper()}"]
        for field in kind.__struct_fields__
        if f"BOT4_{field.upper()}" in environ
    }
    return msgspec.convert(given, kind, strict=False)
