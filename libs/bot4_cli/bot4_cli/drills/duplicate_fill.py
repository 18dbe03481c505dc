"""Is a fill that is told twice booked once? The feed repeats every message, and is cut and resumed, while orders trade;
then what we hold is what the venue's own record says, trade by trade."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
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
# Venue, child order and trade id.
Trade = tuple[str, str, str]


class Figures(msgspec.Struct, kw_only=True):
    """On the feed, as execution hears it: `messages`, how many of them are `repeats`, and the account's `fills` among
    all. `trades` are the account's distinct ones in the records of the venues, `booked` the fills that execution took,
    `ignored` those heard again and not taken, `quarantined` those that contradict what is known. `resent` messages were
    asked for again."""

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

    async def look() -> Result:
        heard = await ground.heard()
        shown = {(held.venue, held.symbol): Decimal(held.quantity) for held in await ground.positions()}
        return judged(heard, ear, ground.run.venues, shown)

    result = await ground.settled(look)
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


def judged(heard: Chronicle, ear: Ear, venues: tuple[str, ...], shown: Mapping[Place, Decimal]) -> Result:
    """`shown` are the positions as the account is shown them."""
    trades, booked = traded(heard, venues), Counter(_bookings(heard))
    quarantined = sum(1 for _ in heard.events(streams.EXECUTION, FillQuarantined, ACCOUNT))
    repeated = ear.fills.total() - len(ear.fills)
    booked_again = booked.total() - len(booked)
    figures = Figures(
        messages=ear.messages.total(),
        repeats=ear.messages.total() - len(ear.messages),
        fills=ear.fills.total(),
        trades=len(trades),
        booked=booked.total(),
        ignored=repeated - booked_again,
        quarantined=quarantined,
        resent=sum(
            resent.through - resent.session_sequence + 1
            for venue in venues
            for _, resent in heard.events(streams.venue(venue), VenueResent)
        ),
    )
    wrong = [
        *(f"{_named(trade)} was booked {times} times" for trade, times in booked.items() if times > 1),
        *(f"{_named(trade)} was not booked" for trade in trades if trade not in booked),
        *(f"{_named(trade)} was booked and never made" for trade in booked if trade not in trades),
        *_differences(held_by(trades), "booked", positions(heard)),
        *_differences(held_by(trades), "shown", shown),
    ]
    wrong += [f"{quarantined} fills were quarantined"] if quarantined else []
    wrong += [] if repeated else ["no fill was told twice"]
    return Result(figures=figures, wrong=wrong)


def traded(heard: Chronicle, venues: tuple[str, ...]) -> dict[Trade, tuple[Place, Decimal]]:
    """By the venues' own records: where each trade of each order was, and what it added to what is held there."""
    return {
        (venue, fill.child_id, fill.trade_id): ((venue, fill.symbol), signed(fill.side, fill.quantity))
        for venue in venues
        for _, fill in heard.events(streams.venue(venue), VenueFilled, ACCOUNT)
    }


def held_by(trades: Mapping[Trade, tuple[Place, Decimal]]) -> dict[Place, Decimal]:
    held: dict[Place, Decimal] = defaultdict(Decimal)
    for place, change in trades.values():
        held[place] += change
    return dict(held)


def _bookings(heard: Chronicle) -> Iterator[Trade]:
    for _, fill in heard.events(streams.EXECUTION, OrderFilled, ACCOUNT):
        yield fill.venue, fill.child_id, fill.trade_id


def _named(trade: Trade) -> str:
    venue, child_id, trade_id = trade
    return f"trade {trade_id} of {child_id} at {venue}"


def _differences(true: Mapping[Place, Decimal], name: str, believed: Mapping[Place, Decimal]) -> Iterator[str]:
    for venue, symbol in sorted({*true, *believed}):
        was_traded, other = (held.get((venue, symbol), ZERO) for held in (true, believed))
        if was_traded != other:
            yield f"{symbol} at {venue}: traded {was_traded}, {name} {other}"


def positions(heard: Chronicle) -> dict[Place, Decimal]:
    """What risk has booked."""
    held: dict[Place, Decimal] = defaultdict(Decimal)
    for _, event in heard.events(streams.RISK, PositionChanged, ACCOUNT):
        held[event.venue, event.symbol] += event.quantity
    return dict(held)
