"""The exchange simulator as a process."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from bot4_common import streams
from bot4_common.instruments import Instrument
from bot4_common.process import load_instruments, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_exchange_simulator import tape, tape_files
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.faults import FAULTY, PERFECT, Line
from bot4_exchange_simulator.liquidity import Liquidity
from bot4_exchange_simulator.orders import State

# Where a synthetic tape of an instrument begins, in quote per base; 100 where none is named.
START_PRICES = {"BTC-USDT": Decimal("60000"), "ETH-USDT": Decimal("2600")}


class VenueSettings(Settings, frozen=True, kw_only=True):
    seed: int = 1
    # A recorded tape for the first instrument; none: every tape is synthetic.
    tape: str | None = None
    # Latency, and messages lost, repeated and out of order, on the way to and from the clients.
    faults: bool = False


def liquidity(instrument: Instrument, seed: int, recorded: tape.Tape | None) -> Liquidity:
    if recorded is None:
        price = START_PRICES.get(instrument.symbol, Decimal(100))
        recorded = tape.synthetic(seed, instrument.symbol, price, instrument.tick, instrument.lot)
    return Liquidity(recorded, instrument.tick, instrument.lot, seed)


def service(venue: Venue) -> Service[State]:
    return Service(
        name=f"venue-{streams.VENUE}-{streams.SHARD}",
        stream=streams.VENUE_STREAM,
        decider=venue,
        hears=(streams.EXECUTION,),
        told=venue.told,
        pulse=venue.pulse,
    )


def main() -> None:
    settings = read(VenueSettings, os.environ)
    recorded = None if settings.tape is None else tape_files.read(Path(settings.tape))
    listed = load_instruments(settings)
    market = {
        symbol: liquidity(instrument, settings.seed, recorded if number == 0 else None)
        for number, (symbol, instrument) in enumerate(listed.items())
    }
    line = Line(settings.seed, FAULTY if settings.faults else PERFECT)
    run(service(Venue(streams.VENUE, listed, market, line)), settings)


if __name__ == "__main__":
    main()
