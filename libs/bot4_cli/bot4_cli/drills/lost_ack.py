"""What becomes of an order whose acknowledgement is lost? Answers and requests are lost on the line while orders and
cancels are sent; each order's fate is learnt from the venue, and none is sent a second time."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills.chronicle import Chronicle
from bot4_cli.drills.ground import Ground, Result
from bot4_cli.load import Load, check_taken
from bot4_cli.reckoning import ends, reckon
from bot4_cli.statistics import percentile
from bot4_common import streams
from bot4_common.messages.execution import (
    AmendRejected,
    CancelRejected,
    CancelSent,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
    OutcomeUnknown,
)
from bot4_common.messages.venue import (
    FeedFault,
    VenueCancelRejected,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderRejected,
)

# All answers are lost the whole time, and come only when they are asked for again. A part of the requests is lost as
# well, which looks the same from here; and for a while nothing passes at all.
REQUESTS_LOST = 0.1
CUT_S = 0.7
# The load goes on for as long as all of it lasts.
LOAD_IN_FLIGHT = 64

ANSWERS = (VenueOrderAccepted, VenueOrderRejected, VenueOrderCancelled, VenueOrderExpired, VenueCancelRejected)
# What makes known again what had become unknown.
KNOWN = {
    "order": (OrderAcknowledged, OrderRejected, OrderLost),
    "cancel": (OrderCancelled, OrderExpired, OrderFilled, OrderRejected, OrderLost, CancelRejected, CancelSent),
    "amend": (OrderAmended, AmendRejected, OrderCancelled, OrderExpired, OrderFilled),
}


class Figures(msgspec.Struct, kw_only=True):
    """`orders` were sent to venues, and for some of them a cancel. `acks_lost` are the venues' answers to them that did
    not arrive when told, `requests_lost` what did not reach a venue, queries included.

    A lost answer heals from the moment the venue told it until execution had it. `unknown` outcomes, which they are
    after a second of silence, are resolved when execution knows better. `lost` orders never reached their venue;
    `turned_away` were not sent at all, since the venue failed too often.
    """

    orders: int
    cancels: int
    acks_lost: int
    heal_ms_p50: float | None
    heal_ms_max: float | None
    requests_lost: int
    unknown: int
    resolve_ms_p50: float | None
    resolve_ms_max: float | None
    lost: int
    turned_away: int


async def drill(ground: Ground, seconds: float, rate: float) -> Result:
    before = await ends(ground.log, ground.run.venues)
    load = Load(ground.wires, rate, LOAD_IN_FLIGHT, f"{ground.id}-load", venues=ground.run.venues)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        ground.say("losing answers and requests")
        for venue in ground.run.venues:
            await ground.fault(venue, "drop", seconds)
            await ground.fault(venue, "drop_request", seconds, REQUESTS_LOST)
        await asyncio.sleep(seconds / 2)
        for venue in ground.run.venues:
            await ground.fault(venue, "disconnect", CUT_S)
        await asyncio.sleep(seconds / 2)
        ground.say("waiting until every outcome is known")
        load.stop()
    check_taken(load.sent, "drill")
    wrong = [f"{order.order_id} is still {order.status}" for order in await ground.known()]
    await ground.tidy()
    orders = await reckon(ground.log, before, ACCOUNT, load.sent)
    result = await ground.judged(lambda heard: judged(heard, ground.run.venues))
    return Result(figures=result.figures, wrong=[*wrong, *orders.wrong, *result.wrong])


def judged(heard: Chronicle, venues: tuple[str, ...]) -> Result:
    sent = Counter(event.child_id for _, event in heard.events(streams.EXECUTION, OrderSent, ACCOUNT))
    healed = [ns for venue in venues for ns in healing_ns(heard, venue)]
    resolved, unresolved = resolution_ns(heard)
    lost = {event.child_id for _, event in heard.events(streams.EXECUTION, OrderLost, ACCOUNT)}
    known = sorted(ns for ns in healed if ns is not None)
    turned_away = [
        event for _, event in heard.events(streams.EXECUTION, OrderRejected, ACCOUNT) if not _was_told(event)
    ]
    figures = Figures(
        orders=len(sent),
        cancels=len({event.child_id for _, event in heard.events(streams.EXECUTION, CancelSent, ACCOUNT)}),
        acks_lost=len(healed),
        heal_ms_p50=percentile(known, 50) / 1e6 if known else None,
        heal_ms_max=known[-1] / 1e6 if known else None,
        requests_lost=sum(_is_lost_request(event, sent) for venue in venues for event in _faults(heard, venue)),
        unknown=len(resolved) + len(unresolved),
        resolve_ms_p50=percentile(resolved, 50) / 1e6 if resolved else None,
        resolve_ms_max=resolved[-1] / 1e6 if resolved else None,
        lost=len(lost),
        turned_away=len(turned_away),
    )
    wrong = [f"{child_id} was sent {times} times" for child_id, times in sent.items() if times > 1]
    wrong += [what for venue in venues for what in differences(heard, venue)]
    wrong += [f"the outcome of the {request} of {child_id} is still unknown" for child_id, request in unresolved]
    wrong += ["a lost answer never became known"] if len(known) < len(healed) else []
    wrong += [] if healed else ["no answer was lost"]
    return Result(figures=figures, wrong=wrong)


def healing_ns(heard: Chronicle, venue: str) -> list[int | None]:
    """Of each answer that was lost: from when the venue told it until execution had it; none if it never had."""
    stream = streams.venue(venue)
    struck = {fault.session_sequence for _, fault in heard.events(stream, FeedFault) if _loses(fault)}
    taken: dict[int, int] = {}
    for told in heard.told(streams.EXECUTION):
        if getattr(told.event, "venue", "") == venue:
            taken.setdefault(getattr(told.event, "session_sequence", 0), told.at)
    took: list[int | None] = []
    for told in heard.told(stream, ACCOUNT):
        if isinstance(told.event, ANSWERS) and told.event.session_sequence in struck:
            known_at = taken.get(told.event.session_sequence)
            took.append(None if known_at is None else known_at - told.at)
    return took


def resolution_ns(heard: Chronicle) -> tuple[list[int], list[tuple[str, str]]]:
    """How long each unknown outcome stayed so, the shortest first; and those that still are: child and request."""
    since: dict[tuple[str, str], int] = {}
    took: list[int] = []
    for told in heard.told(streams.EXECUTION, ACCOUNT):
        event = told.event
        if isinstance(event, OutcomeUnknown):
            since.setdefault((event.child_id, event.request), told.at)
            continue
        for request, ending in KNOWN.items():
            if isinstance(event, ending):
                began = since.pop((event.child_id, request), None)
                took += [] if began is None else [told.at - began]
    return sorted(took), list(since)


def differences(heard: Chronicle, venue: str) -> list[str]:
    """Where the venue's record of the account's orders is not ours: every order there once, and known to be there; or
    never there, and known not to be."""
    stream = streams.venue(venue)
    entered = Counter(event.child_id for _, event in heard.events(stream, VenueOrderEntered, ACCOUNT))
    there = {event.child_id for _, event in heard.events(stream, VenueOrderAccepted, ACCOUNT)}
    wrong = [f"{child_id} entered {venue} {times} times" for child_id, times in entered.items() if times > 1]
    ours = [event for _, event in heard.events(streams.EXECUTION, OrderSent, ACCOUNT) if event.venue == venue]
    known_there = {event.child_id for _, event in heard.events(streams.EXECUTION, OrderAcknowledged, ACCOUNT)}
    known_not = {event.child_id for _, event in heard.events(streams.EXECUTION, OrderRejected, ACCOUNT)}
    known_not |= {event.child_id for _, event in heard.events(streams.EXECUTION, OrderLost, ACCOUNT)}
    clients = Counter(event.order.client_order_id for event in ours)
    wrong += [f"{client_id} is {times} orders at {venue}" for client_id, times in clients.items() if times > 1]
    for child_id in (event.child_id for event in ours):
        is_there = child_id in there
        if (child_id in known_there, child_id in known_not) != (is_there, not is_there):
            wrong.append(f"{child_id} is {'' if is_there else 'not '}at {venue}, and we do not know it")
    return wrong


def _loses(fault: FeedFault) -> bool:
    return bool(fault.session_sequence) and fault.kind in ("drop", "gap", "disconnect")


def _is_lost_request(fault: FeedFault, sent: Counter[str]) -> bool:
    return not fault.session_sequence and fault.child_id in sent


def _faults(heard: Chronicle, venue: str) -> list[FeedFault]:
    return [fault for _, fault in heard.events(streams.venue(venue), FeedFault)]


def _was_told(rejected: OrderRejected) -> bool:
    """By the venue, rather than by execution itself."""
    return rejected.session_sequence > 0
