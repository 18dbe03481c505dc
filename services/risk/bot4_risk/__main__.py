"""The risk service as a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from bot4_common import streams
from bot4_common.idempotency import CAPACITY
from bot4_common.messages.terms import FIRST_VENUE
from bot4_common.process import load_instruments, load_venues, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_risk.domain import Risk, State
from bot4_risk.limits import Limits, parse


class RiskSettings(Settings, frozen=True, kw_only=True):
    # A TOML file of limits; none: the defaults.
    limits: str | None = None


def service(
    limits: Limits,
    symbols: Sequence[str],
    venues: Sequence[str] = (FIRST_VENUE,),
    keys_max: int = CAPACITY,
) -> Service[State]:
    return Service(
        name=f"risk-{streams.SHARD}",
        stream=streams.RISK,
        decider=Risk(limits, venues, capacity=keys_max),
        hears=(streams.GATEWAY, streams.EXECUTION),
        listens=tuple(map(streams.quotes, venues)),
        needs_quotes=tuple(product(venues, symbols)),
    )


def main() -> None:
    settings = read(RiskSettings, os.environ)
    limits = Limits() if settings.limits is None else parse(Path(settings.limits).read_text(encoding="utf-8"))
    run(service(limits, list(load_instruments(settings)), list(load_venues(settings))), settings)


if __name__ == "__main__":
    main()
