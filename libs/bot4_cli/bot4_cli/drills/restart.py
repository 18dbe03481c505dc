"""What is left of resting orders when everything dies at once? All services and the broker are killed; afterwards the
same orders are open under the same ids, stops and lists wait as before, and nothing was sent, closed or lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import orders
from bot4_cli.drills.chronicle import Chronicle, Told, chronicle
from bot4_cli.drills.ground import Ground, Result, late
from bot4_cli.drills.kill_switch import SIDES, at_rest
from bot4_cli.trouble import Trouble
from bot4_common import streams
from bot4_common.instruments import STOPS
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    AmendSent,
    CancelSent,
    ListSent,
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderSent,
)
from bot4_common.messages.risk import FeeBooked, HeldOrderCancelled, StopArmed
from bot4_common.messages.terms import ListKind, OrderList
from bot4_common.messages.venue import (
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderExpired,
)
from bot4_gateway.answers import ErrorAnswer, ListAnswer, ListsAnswer, OrderAnswer

# How long all is watched after it is ready again: what was to be sent by mistake would be sent by then.
WATCHED_S = 1.0
KINDS: tuple[ListKind, ...] = ("oco", "otoco")

# What goes to a venue, and what a kill may leave for later: the costs of fills.
SENT = (OrderSent, ListSent, AmendSent, CancelSent)
LATE = (CostRecorded, FeeBooked)

K = TypeVar("K")


class Figures(msgspec.Struct, kw_only=True):
    """What was there before the kill: orders that rest in books, stops that wait at venues, orders that risk holds back
    for venues without stops or lists, whole `lists`, positions in so many `markets`, and their protective stops.

    `ready_s` is from the kill until every process was ready again. `kept` orders were open afterwards as they had been,
    and `cancelled` of these could be cancelled then. `sent` is what went to venues in between.
    """

    resting: int
    stops: int
    held: int
    lists: int
    markets: int
    protective_stops: int
    killed: int
    ready_s: float | None
    kept: int
    sent: int
    cancelled: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the account is shown: open orders and lists by id, and what it holds, by venue and symbol."""

    orders: dict[str, OrderAnswer]
    lists: dict[str, ListAnswer]
    held: dict[tuple[str, str], Decimal]


class Believed(msgspec.Struct, frozen=True, kw_only=True):
    """What the streams come to: the venue's id of each order that is open there, as execution has it and as the venues
    have it; and how much the stop of each order protects, and where it is."""

    ours: dict[str, str]
    theirs: dict[str, str]
    protected: dict[str, tuple[Decimal, Decimal]]

    @property
    def wrong(self) -> list[str]:
        return different("at the venue", self.theirs, "to us", self.ours)


class State(NamedTuple):
    seen: Seen
    believed: Believed


async def drill(ground: Ground, resting: int) -> Result:
    ground.say("placing orders, stops and lists")
    await _set_up(ground, resting)
    before, stood_at = await _state(ground), await ground.ends()
    names = [process.name for process in ground.run.services]
    ground.say(f"killing all {len(names)} processes")
    began, pids = time.perf_counter(), ground.kill(names)
    ready_s = await ground.back(pids, began)
    await asyncio.sleep(WATCHED_S)
    after = await _state(ground)
    meanwhile = events(await chronicle(ground.log, stood_at), ground.run.venues)
    ground.say("cancelling what is left")
    await ground.tidy()
    cancelled = ended(await chronicle(ground.log, stood_at)) & before.seen.orders.keys()
    return Result(
        figures=_figures(before, after, meanwhile, len(names), ready_s, len(cancelled)),
        wrong=[
            *late("the system is", ready_s),
            *changes(before, after),
            *(f"without being asked: {told.event.__struct_config__.tag}" for told in meanwhile),
            *(f"{order_id} could not be cancelled" for order_id in sorted(before.seen.orders.keys() - cancelled)),
        ],
    )


def _figures(
    before: State, after: State, meanwhile: list[Told], killed: int, ready_s: float | None, cancelled: int
) -> Figures:
    orders, held = before.seen.orders, [order for order in before.seen.orders.values() if order.status == "held"]
    at_venues = [order for order in orders.values() if order.status != "held"]
    return Figures(
        resting=sum(order.type not in STOPS for order in at_venues),
        stops=sum(order.type in STOPS for order in at_venues),
        held=len(held),
        lists=len(before.seen.lists),
        markets=len(before.seen.held),
        protective_stops=len(before.believed.protected),
        killed=killed,
        ready_s=ready_s,
        kept=sum(after.seen.orders.get(order_id) == order for order_id, order in orders.items()),
        sent=sum(isinstance(told.event, SENT) for told in meanwhile),
        cancelled=cancelled,
    )


def changes(before: State, after: State) -> list[str]:
    """What is not as it was, and where the venues have it otherwise than we."""
    return [
        *before.believed.wrong,
        *after.believed.wrong,
        *different("order before", before.seen.orders, "after", after.seen.orders),
        *different("list before", before.seen.lists, "after", after.seen.lists),
        *different("held before", before.seen.held, "after", after.seen.held),
        *different("at its venue before", before.believed.theirs, "after", after.believed.theirs),
        *different("protected before", before.believed.protected, "after", after.believed.protected),
    ]


def different(first: str, one: Mapping[K, object], second: str, other: Mapping[K, object]) -> list[str]:
    """Where two things that should be the same are not."""
    return [
        f"{key} {first}: {one.get(key, 'nothing')}; {second}: {other.get(key, 'nothing')}"
        for key in [*one, *(key for key in other if key not in one)]
        if one.get(key) != other.get(key)
    ]


def believed_by(heard: Chronicle, venues: Iterable[str]) -> Believed:
    ours: dict[str, str] = {}
    for told in heard.told(streams.EXECUTION, ACCOUNT):
        match told.event:
            case OrderAcknowledged() as acknowledged:
                ours[acknowledged.child_id] = acknowledged.venue_order_id
            case OrderCancelled() | OrderExpired() as ended:
                ours.pop(ended.child_id, None)
            case OrderFilled(leaves=leaves) as fill if not leaves:
                ours.pop(fill.child_id, None)
    theirs: dict[str, str] = {}
    for venue in venues:
        for told in heard.told(streams.venue(venue), ACCOUNT):
            match told.event:
                case VenueOrderAccepted() as accepted:
                    theirs[accepted.child_id] = accepted.venue_order_id
                case VenueOrderCancelled() | VenueOrderExpired() as over:
                    theirs.pop(over.child_id, None)
                case VenueFilled(leaves=leaves) as filled if not leaves:
                    theirs.pop(filled.child_id, None)
    armed = {stop.order_id: stop for _, stop in heard.events(streams.RISK, StopArmed, ACCOUNT)}
    protected = {id: (stop.quantity, stop.stop_price) for id, stop in armed.items() if stop.quantity}
    return Believed(ours=ours, theirs=theirs, protected=protected)


def events(heard: Chronicle, venues: Iterable[str]) -> list[Told]:
    """All that happened to the account, but for what a kill may leave for later."""
    written = streams.written(venues)
    return [told for stream in written for told in heard.told(stream, ACCOUNT) if not isinstance(told.event, LATE)]


def ended(heard: Chronicle) -> set[str]:
    """Orders that were cancelled, by the venue or by risk, which held them."""
    return {
        *(event.order_id for _, event in heard.events(streams.EXECUTION, OrderCancelled, ACCOUNT)),
        *(event.order_id for _, event in heard.events(streams.RISK, HeldOrderCancelled, ACCOUNT)),
    }


async def _set_up(ground: Ground, resting: int) -> None:
    markets = list(ground.markets.values())
    await ground.placed([orders.taking(market, ground.id, "buy", number=n) for n, market in enumerate(markets)])
    await ground.placed(list(islice(at_rest(ground), resting)))
    stops = [(market, side) for market in markets for side in SIDES]
    await ground.placed([orders.stop(market, ground.id, n, side) for n, (market, side) in enumerate(stops)])
    for venue in ground.run.venues:
        market = next(market for market in markets if market.venue == venue)
        for kind in KINDS:
            await _place_list(ground, orders.bracket(market, f"{ground.id}-{venue}-{kind}", kind))
    if under_way := await ground.known():
        raise Trouble(f"{len(under_way)} orders of the drill do not get to their venues")


async def _place_list(ground: Ground, asked: OrderList) -> None:
    answered = await ground.wires.request("POST", "/v1/lists", msgspec.json.encode(asked))
    if answered.status >= 300:
        refused = msgspec.json.decode(answered.body, type=ErrorAnswer)
        raise Trouble(f"a list of the drill is refused: {refused.code} {refused.details}")


async def _state(ground: Ground) -> State:
    seen = await _seen(ground)
    return State(seen, await ground.judged(lambda heard: believed_by(heard, ground.run.venues)))


async def _seen(ground: Ground) -> Seen:
    listed = await ground.asked("/v1/lists?status=open&limit=1000", ListsAnswer)
    return Seen(
        orders={order.order_id: order for order in await ground.open_orders()},
        lists={each.list_id: each for each in listed.lists},
        held={(each.venue, each.symbol): Decimal(each.quantity) for each in await ground.positions()},
    )
