"""What if an order fills while it is being amended? Orders at the touch get another quantity and price again and again
while the market trades through them, on a line that is slow and mixes up what it tells."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from decimal import Decimal
from itertools import count
from random import Random

import msgspec

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import orders
from bot4_cli.drills.chronicle import Chronicle
from bot4_cli.drills.ground import Ground, Result
from bot4_cli.load import REFUSED, Market, Sent, cancel, check_taken
from bot4_cli.statistics import percentile
from bot4_common import streams
from bot4_common.instruments import Instrument
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    OrderAmended,
    OrderFilled,
    OrderPrevented,
    OrderSent,
    OrderTrimmed,
)
from bot4_common.messages.risk import (
    AmendRefused,
    OrderApproved,
    PositionChanged,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
)
from bot4_common.messages.terms import Event, Order, Side, opposite
from bot4_common.money import ZERO
from bot4_gateway.bodies import AmendRequest

# Orders side by side at each market, each of about so much in quote currency; how much more or less an amend asks for.
ORDERS = 5
NOTIONAL = Decimal(12_000)
FACTORS = tuple(map(Decimal, ("0.6", "0.8", "1", "1.3")))
# An order is amended so often before it is cancelled, since the market moves on, and the next comes at the other side.
AMENDS = 8
# The answer to an amend of an order that is over.
OVER = 409
# What a slow line takes longer, where it takes time at all; and how many messages overtake others.
SLOW_FACTOR = 20.0
OVERTAKEN = 0.5
LOST = 0.2


class Figures(msgspec.Struct, kw_only=True):
    """How the `amends` that were sent to venues ended: `confirmed` or `rejected` by the venue, `lost` on the way there,
    or `overtaken` by the end of their order; `refused` ones risk had not let go. `fills_in_flight` are those of all
    `fills` that came while an amend of their order was under way; `amend_ms` is from sending an amend to the venue's
    answer. `orders` are all that were sent, with those that close at the end what was bought."""

    orders: int
    amends: int
    confirmed: int
    rejected: int
    lost: int
    overtaken: int
    refused: int
    fills: int
    fills_in_flight: int
    amend_ms_p50: float | None
    amend_ms_max: float | None


class Amended(msgspec.Struct):
    """What execution says of one order: how large it is, how much was filled or prevented, and since when (ns) an
    amend is under way, if one is."""

    total: Decimal
    filled: Decimal = ZERO
    prevented: Decimal = ZERO
    since: int | None = None
    fills: int = 0
    fills_in_flight: int = 0
    # How each amend ended, and how long it took (ns).
    ended: list[tuple[str, int]] = []

    def end(self, how: str, at: int) -> None:
        """Of an amend, if one is under way."""
        if self.since is not None:
            self.ended.append((how, at - self.since))
        self.since = None


async def drill(ground: Ground, seconds: float) -> Result:
    ground.say("slowing the line")
    for venue in ground.run.venues:
        await ground.fault(venue, "slow", seconds, factor=SLOW_FACTOR)
        await ground.fault(venue, "reorder", seconds, OVERTAKEN)
        await ground.fault(venue, "drop", seconds, LOST)
    ground.say("amending orders at the touch")
    until = time.monotonic() + seconds
    symbols = sorted({symbol for _, symbol in ground.markets})
    sent: list[Sent] = []
    async with asyncio.TaskGroup() as group:
        for number, symbol in enumerate(symbols):
            markets = [market for (_, traded), market in ground.markets.items() if traded == symbol]
            group.create_task(_rounds(ground, markets, until, Random(number), sent))
    check_taken(sent, "drill")
    wrong = [f"{order.order_id} is still {order.status}" for order in await ground.known()]
    await ground.tidy()
    result = await ground.judged(judged)
    return Result(figures=result.figures, wrong=[*wrong, *result.wrong])


async def _rounds(ground: Ground, markets: list[Market], until: float, random: Random, sent: list[Sent]) -> None:
    """One symbol; what it places is added to `sent`. All venues are on the same side at a time: risk lets nobody trade
    with himself across venues."""
    side: Side = "buy"
    numbers = count(1)
    while time.monotonic() < until:
        await asyncio.gather(*(market.look() for market in markets))
        row = [
            orders.touching(market, ground.id, next(numbers), side, NOTIONAL)
            for market in markets
            for _ in range(ORDERS)
        ]
        sent.extend(await asyncio.gather(*(_work(ground, order, random.random()) for order in row)))
        side = opposite(side)


async def _work(ground: Ground, order: Order, seed: float) -> Sent:
    """Places an order and amends it again and again, until it is over; if it is not, it is cancelled."""
    random = Random(seed)
    sent = await ground.place(order)
    if sent.status in REFUSED:
        return sent
    instrument = ground.markets[order.venue, order.symbol].instrument
    for number in range(1, AMENDS + 1):
        body = msgspec.json.encode(wanted(instrument, order, number, random.choice(FACTORS)))
        try:
            answered = await ground.wires.request("PATCH", f"/v1/orders/{sent.order_id}", body)
        except ConnectionError:
            continue
        if answered.status == OVER:
            return sent
    await cancel(ground.wires, sent.order_id)
    return sent


def wanted(instrument: Instrument, order: Order, number: int, factor: Decimal) -> AmendRequest:
    """Another total, and in turn one tick behind the price that it had, and that price."""
    assert order.price is not None
    step = instrument.tick * (number % 2)
    lots = int(order.quantity * factor / instrument.lot)
    return AmendRequest(
        quantity=instrument.quantity(max(1, lots + number)),
        price=order.price - step if order.side == "buy" else order.price + step,
    )


def judged(heard: Chronicle) -> Result:
    followed, wrong = follow(heard)
    ended = [end for each in followed.values() for end in each.ended]
    how = Counter(name for name, _ in ended)
    took = sorted(ns for name, ns in ended if name in ("confirmed", "rejected"))
    under_way = [child_id for child_id, each in followed.items() if each.since is not None]
    figures = Figures(
        orders=len(followed),
        amends=len(ended) + len(under_way),
        confirmed=how["confirmed"],
        rejected=how["rejected"],
        lost=how["lost"],
        overtaken=how["overtaken"],
        refused=sum(1 for _ in heard.events(streams.RISK, AmendRefused, ACCOUNT)),
        fills=sum(each.fills for each in followed.values()),
        fills_in_flight=sum(each.fills_in_flight for each in followed.values()),
        amend_ms_p50=percentile(took, 50) / 1e6 if took else None,
        amend_ms_max=took[-1] / 1e6 if took else None,
    )
    wrong += [f"an amend of {child_id} has no end" for child_id in under_way]
    wrong += [f"{left} of {order_id} are still reserved" for order_id, left in reserved(heard).items() if left]
    wrong += [] if figures.fills_in_flight else ["no order filled while it was being amended"]
    return Result(figures=figures, wrong=wrong)


def follow(heard: Chronicle) -> tuple[dict[str, Amended], list[str]]:
    """The orders by child id, and those that filled beyond their total as it was by then."""
    followed: dict[str, Amended] = {}
    wrong: list[str] = []
    for told in heard.told(streams.EXECUTION, ACCOUNT):
        event = told.event
        if isinstance(event, OrderSent):
            followed[event.child_id] = Amended(event.order.quantity)
            continue
        child_id = getattr(event, "child_id", "")
        order = followed.get(child_id)
        if order is None:
            continue
        _take(order, told.at, event)
        if order.filled > order.total - order.prevented:
            wrong.append(f"{order.filled} of {order.total - order.prevented} are filled of {child_id}")
    return followed, wrong


def _take(order: Amended, at: int, event: Event) -> None:
    match event:
        case AmendSent():
            # Sent again, after the venue had put it off, it is the same.
            order.since = at if order.since is None else order.since
        case OrderAmended():
            order.total = event.quantity
            order.end("confirmed", at)
        case AmendRejected():
            order.end(_how(event), at)
        case OrderFilled():
            order.filled += event.quantity
            order.fills += 1
            order.fills_in_flight += order.since is not None
        case OrderPrevented():
            order.prevented += event.quantity
        case OrderTrimmed():
            order.total = event.quantity


def _how(rejected: AmendRejected) -> str:
    """What the venue has not said execution knows by itself, from the end of the order."""
    if not rejected.session_sequence:
        return "overtaken"
    return "lost" if rejected.code == "AMEND_LOST" else "rejected"


def reserved(heard: Chronicle) -> dict[str, Decimal]:
    """What each order still reserves, as risk says: nothing, once it is over."""
    left: dict[str, Decimal] = {}
    for told in heard.told(streams.RISK, ACCOUNT):
        match told.event:
            case OrderApproved() as event:
                left[event.order_id] = event.order.quantity
            case ReservationAmended() as event:
                left[event.order_id] = event.leaves
            case PositionChanged() as event:
                left[event.order_id] = left.get(event.order_id, ZERO) - abs(event.quantity)
            case ReservationReduced() | ReservationReleased() as event:
                left[event.order_id] = left.get(event.order_id, ZERO) - event.quantity
    return left
