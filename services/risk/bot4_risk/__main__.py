"""The risk service as a process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from bot4_common import streams
from bot4_common.idempotency import CAPACITY
from bot4_common.instruments import Instrument
from bot4_common.messages.limits import LimitsDocument
from bot4_common.process import load_instruments, load_venues, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_common.venues import VenueDefinition
from bot4_risk.domain import Risk
from bot4_risk.limits import parse
from bot4_risk.state import State


class RiskSettings(Settings, frozen=True, kw_only=True):
    # A TOML file of limits; none: the defaults.
    limits: str | None = None


def service(
    limits: LimitsDocument,
    instruments: Mapping[str, Instrument],
    venues: Mapping[str, VenueDefinition],
    keys_max: int = CAPACITY,
) -> Service[State]:
    lots = {symbol: instrument.lot for symbol, instrument in instruments.items()}
    return Service(
        name=f"risk-{streams.SHARD}",
        stream=streams.RISK,
        decider=Risk(limits, venues, lots, capacity=keys_max),
        hears=(streams.GATEWAY, streams.EXECUTION, streams.COST),
        listens=tuple(map(streams.quotes, venues)),
        needs_quotes=tuple(product(venues, instruments)),
    )


def main() -> None:
    settings = read(RiskSettings, os.environ)
    limits = LimitsDocument() if settings.limits is None else parse(Path(settings.limits).read_text(encoding="utf-8"))
    run(service(limits, load_instruments(settings), load_venues(settings)), settings)


if __name__ == "__main__":
    main()
