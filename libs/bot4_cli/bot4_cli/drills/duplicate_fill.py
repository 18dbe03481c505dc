"""Is a fill that is told twice booked once? The feed repeats every message, and is cut and resumed, while orders trade;
then what we hold is what the venue's own record says, trade by trade."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import orders
from bot4_cli.drills.chronicle import Chronicle
from bot4_cli.drills.ground import Ground, Result
from bot4_cli.load import Load, cancel
from bot4_common import streams
from bot4_common.messages.execution import FillQuarantined, OrderFilled
from bot4_common.messages.market import SessionHeartbeat, decode_spoken
from bot4_common.messages.risk import PositionChanged
from bot4_common.messages.terms import signed
from bot4_common.messages.venue import VenueFilled, VenueResent
from bot4_common.money import ZERO

# For so long the session is cut in the middle; what it missed it asks for again.
CUT_S = 0.7
LOAD_IN_FLIGHT = 64

# Venue and symbol.
Place = tuple[str, str]


class Figures(msgspec.Struct, kw_only=True):
    """On the feed, as execution hears it: `messages`, those of them that `repeat` others, and the fills among both.
    `trades` are the account's distinct ones in the records of the venues, `booked` the fills that moved a position,
    `ignored` those heard again and not booked, `quarantined` those that contradict what is known. `resent` messages
    were asked for again."""

    messages: int
    repeats: int
    fills: int
    trades: int
    booked: int
    ignored: int
    quarantined: int
    resent: int


class Ear:
    """Hears what the venues tell execution, and how often."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, int]] = Counter()
        self.fills: Counter[tuple[str, int]] = Counter()

    def hear(self, venue: str, data: bytes) -> None:
        for spoken in decode_spoken(data):
            number = getattr(spoken.event, "session_sequence", 0)
            if not number or isinstance(spoken.event, SessionHeartbeat):
                continue
            self.messages[venue, number] += 1
            if isinstance(spoken.event, VenueFilled) and spoken.event.account == ACCOUNT:
                self.fills[venue, number] += 1


async def drill(ground: Ground, seconds: float, rate: float) -> Result:
    ear = Ear()
    load = Load(ground.wires, rate, LOAD_IN_FLIGHT, f"{ground.id}-load", venues=ground.run.venues)
    async with listening(ground, ear), asyncio.TaskGroup() as group:
        ground.say("repeating every message")
        for venue in ground.run.venues:
            await ground.fault(venue, "duplicate", seconds)
        group.create_task(load.run())
        # So that something is held of everything, whatever the load comes to.
        bought = [orders.taking(market, ground.id, "buy", number=n) for n, market in enumerate(ground.markets.values())]
        await ground.placed(bought)
        await asyncio.sleep(seconds / 2)
        ground.say("cutting the sessions")
        await _cut(ground)
        await asyncio.sleep(seconds / 2)
        ground.say("waiting until every outcome is known")
        load.stop()
    wrong = [f"{order.order_id} is still {order.status}" for order in await ground.known()]
    told = {(position.venue, position.symbol): Decimal(position.quantity) for position in await ground.positions()}
    result = await ground.judged(lambda heard: judged(heard, ear, ground.run.venues, told))
    return Result(figures=result.figures, wrong=[*wrong, *result.wrong])


async def _cut(ground: Ground) -> None:
    """While orders of ours stand where the market trades: they fill, and nobody is told."""
    await ground.look()
    standing = [orders.touching(market, ground.id, n, "buy") for n, market in enumerate(ground.markets.values())]
    placed = await ground.placed(standing)
    for venue in ground.run.venues:
        await ground.fault(venue, "disconnect", CUT_S)
    await asyncio.sleep(CUT_S)
    await asyncio.gather(*(cancel(ground.wires, each.order_id) for each in placed))


@asynccontextmanager
async def listening(ground: Ground, ear: Ear) -> AsyncIterator[None]:
    readings = [
        await ground.log.listen(
            streams.feed(venue, streams.EXECUTION),
            lambda data, venue=venue: ear.hear(venue, data),  # type: ignore[misc]
        )
        for venue in ground.run.venues
    ]
    try:
        yield
    finally:
        for reading in readings:
            await reading.stop()


def judged(heard: Chronicle, ear: Ear, venues: tuple[str, ...], told: Mapping[Place, Decimal]) -> Result:
    """`told` are the positions as the account is shown them."""
    true, trades = truth(heard, venues)
    fills = [event for _, event in heard.events(streams.EXECUTION, OrderFilled, ACCOUNT)]
    booked = Counter((event.venue, event.child_id, event.trade_id) for event in fills)
    quarantined = sum(1 for _ in heard.events(streams.EXECUTION, FillQuarantined, ACCOUNT))
    figures = Figures(
        messages=ear.messages.total(),
        repeats=ear.messages.total() - len(ear.messages),
        fills=ear.fills.total(),
        trades=trades,
        booked=len(fills),
        ignored=ear.fills.total() - len(ear.fills),
        quarantined=quarantined,
        resent=sum(
            resent.through - resent.session_sequence + 1
            for venue in venues
            for _, resent in heard.events(streams.venue(venue), VenueResent)
        ),
    )
    wrong = [
        f"trade {trade} of {child} at {venue} was booked {n} times"
        for (venue, child, trade), n in booked.items()
        if n > 1
    ]
    for name, believed in (("booked", positions(heard)), ("shown", told)):
        for venue, symbol in sorted({*true, *believed}):
            place = venue, symbol
            if true.get(place, ZERO) != believed.get(place, ZERO):
                wrong.append(f"{symbol} at {venue}: traded {true.get(place, ZERO)}, {name} {believed.get(place, ZERO)}")
    wrong += [f"{quarantined} fills were quarantined"] if quarantined else []
    wrong += [] if figures.ignored else ["no fill was told twice"]
    return Result(figures=figures, wrong=wrong)


def truth(heard: Chronicle, venues: tuple[str, ...]) -> tuple[dict[Place, Decimal], int]:
    """What the account holds by the venues' own records, each trade of each order counted once; and how many."""
    held: dict[Place, Decimal] = defaultdict(Decimal)
    seen: set[tuple[str, str, str]] = set()
    for venue in venues:
        for _, fill in heard.events(streams.venue(venue), VenueFilled, ACCOUNT):
            trade = venue, fill.child_id, fill.trade_id
            if trade not in seen:
                seen.add(trade)
                held[venue, fill.symbol] += signed(fill.side, fill.quantity)
    return dict(held), len(seen)


def positions(heard: Chronicle) -> dict[Place, Decimal]:
    """What risk has booked."""
    held: dict[Place, Decimal] = defaultdict(Decimal)
    for _, event in heard.events(streams.RISK, PositionChanged, ACCOUNT):
        held[event.venue, event.symbol] += event.quantity
    return dict(held)
