"""The exchange simulator as a process: one venue."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from bot4_common import streams
from bot4_common.instruments import Instrument
from bot4_common.nats_log import NatsLog
from bot4_common.process import load_instruments, load_venues, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_common.venues import VenueDefinition
from bot4_exchange_simulator import engine, faults, flow, tape, tape_files
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.engine.profile import shipped
from bot4_exchange_simulator.faults import Line
from bot4_exchange_simulator.latency import LatencyProfile, Leg
from bot4_exchange_simulator.limits import RequestLimits, of_profile
from bot4_exchange_simulator.liquidity import Elsewhere, Liquidity, Others
from bot4_exchange_simulator.orders import State
from bot4_exchange_simulator.recording import Recording
from bot4_exchange_simulator.replay import Replay

logger = logging.getLogger(__name__)

# Where the market of an instrument begins, in quote per base; 100 where none is named.
START_PRICES = {"BTC-USDT": Decimal("60000"), "ETH-USDT": Decimal("2600")}

# tape: follows trade prints, recorded or synthetic. agents: takers and makers by chance, as calibrated. replay: shows
# the recorded depth, and trades as was traded.
MarketKind = Literal["tape", "agents", "replay"]


class VenueSettings(Settings, frozen=True, kw_only=True):
    seed: int = 1
    # Which venue this is.
    venue: str = "sim"
    market: MarketKind = "tape"
    # What was recorded of the first instrument: trades for a tape, with depth for a replay. Several files, with commas
    # between them, belong together. None: every tape is synthetic.
    tape: str | None = None
    # A TOML file of what agents go by in the first instrument; none: the figures that come with bot4.
    figures: str | None = None
    # Latency, and faults on the way to and from the clients: those of the venue's definition, or the usual ones.
    faults: bool = False


Source = tape.Tape | Recording | flow.MarketParameters | None


def source(settings: VenueSettings) -> Source:
    """What is known of the first instrument's market."""
    if settings.figures is not None:
        return flow.figures(Path(settings.figures).read_text(encoding="utf-8"))
    if settings.tape is None:
        return None
    files = [Path(name) for name in settings.tape.split(",")]
    return tape_files.record(files) if settings.market == "replay" else tape_files.read(files[0])


def market(kind: MarketKind, instrument: Instrument, seed: int, known: Source) -> Others:
    """What moves an instrument: what is known of it, or something of the same kind."""
    price = START_PRICES.get(instrument.symbol, Decimal(100))
    if isinstance(known, Recording):
        return Replay(known, instrument.tick, instrument.lot)
    if isinstance(known, flow.MarketParameters):
        return flow.Agents(known, instrument.tick, instrument.lot, seed)
    if kind == "agents":
        return flow.Agents(msgspec.structs.replace(flow.shipped(), price=price), instrument.tick, instrument.lot, seed)
    if known is None:
        known = tape.synthetic(seed, instrument.symbol, price, instrument.tick, instrument.lot)
    return Liquidity(known, instrument.tick, instrument.lot, seed)


def at_venue(others: Others, definition: VenueDefinition, instrument: Instrument) -> Others:
    """The market as this venue has it."""
    liquidity = definition.liquidity
    price = START_PRICES.get(instrument.symbol, Decimal(100))
    offset = int(price * liquidity.price_offset_bps / 10_000 / instrument.tick)
    if liquidity.size_factor == 1 and not offset:
        return others
    return Elsewhere(others, liquidity.size_factor, offset)


def line(definition: VenueDefinition, seed: int, faulty: bool) -> Line:
    """Without faults everything arrives at once."""
    if not faulty:
        return Line(seed, faults.PERFECT)
    profile = faults.PROFILES["faulty" if definition.line == "perfect" else definition.line]
    latency = LatencyProfile(
        entry=Leg(median_ms=definition.entry_ms, sigma=definition.sigma),
        cancel=Leg(median_ms=definition.cancel_ms, sigma=definition.sigma),
        feed=Leg(median_ms=definition.feed_ms, sigma=definition.sigma),
    )
    return Line(seed, msgspec.structs.replace(profile, latency=latency))


def venue(
    definition: VenueDefinition, instruments: Mapping[str, Instrument], liquidity: Mapping[str, Others], line: Line
) -> Venue:
    """With the rules that the definition names; what its stream comes to depends on nothing else."""
    profile = shipped(definition.profile)
    limits = of_profile(profile) if definition.limited else RequestLimits()
    return Venue(
        definition.name, instruments, liquidity, line, profile, limits, stops=definition.stops, lists=definition.lists
    )


def service(venue: Venue) -> Service[State]:
    return Service(
        name=f"venue-{venue.name}-{streams.SHARD}",
        stream=streams.venue(venue.name, streams.SHARD),
        decider=venue,
        hears=(streams.EXECUTION,),
        listens=(streams.control(venue.name),),
        told=venue.told,
        pulse=venue.pulse,
    )


def main() -> None:
    settings = read(VenueSettings, os.environ)
    definition = load_venues(settings)[settings.venue]
    listed = load_instruments(settings)
    known = source(settings)
    # Venues move together: the path of a price is that of all of them, what differs is what is quoted and when.
    liquidity = {
        symbol: at_venue(
            market(settings.market, instrument, settings.seed, known if number == 0 else None),
            definition,
            instrument,
        )
        for number, (symbol, instrument) in enumerate(listed.items())
    }
    seed = settings.seed + definition.liquidity.seed_offset
    run(service(venue(definition, listed, liquidity, line(definition, seed, settings.faults))), settings, _say_build)


async def _say_build(log: NatsLog) -> None:
    logger.info("the matching engine runs %s", engine.build())


if __name__ == "__main__":
    main()
