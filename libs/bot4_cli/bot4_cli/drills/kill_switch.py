"""How fast does the kill switch stop an account, and does it stay engaged? Hundreds of resting orders and a load under
way are stopped and what is held is closed; then risk is killed, and neither that nor a reset without the second key
lets an order through."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice, product
from typing import NamedTuple

import msgspec

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import orders
from bot4_cli.drills.chronicle import Chronicle
from bot4_cli.drills.ground import Ground, Result, late, milliseconds
from bot4_cli.load import Load, Market, Sent
from bot4_cli.statistics import percentile
from bot4_cli.wire import Wires
from bot4_common import streams
from bot4_common.messages.execution import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
)
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.risk import (
    CancelApproved,
    KillSwitchEngaged,
    KillSwitchReset,
    OrderApproved,
    OrderRefused,
    PositionChanged,
    PositionFlattened,
    StopTriggered,
)
from bot4_common.messages.terms import Order, Side
from bot4_common.money import ZERO
from bot4_gateway.answers import ErrorAnswer
from bot4_gateway.control_answers import KillSwitchAnswer
from bot4_gateway.control_requests import KillSwitchRequest, ResetRequest

REASON = "a drill"
# Load before the switch is engaged, and while it is; and how much of it may be under way at a time.
LOAD_S = 1.0
LOAD_IN_FLIGHT = 32
# How long until nothing is open and nothing held: a venue with latency takes a tenth of a second.
STOPPED_S = 15.0
LOOK_S = 0.05
# Orders that are tried while risk is dead, and once it is back.
TRIES = 5

SIDES: tuple[Side, Side] = ("buy", "sell")
ENDS = (OrderCancelled, OrderExpired, OrderRejected, OrderLost)


class Figures(msgspec.Struct, kw_only=True):
    """The switch found so many `resting` orders of the drill, positions in so many `markets`, and a load.

    From the request for the switch until it was answered, by the caller's clock; and, by the times of the journal's
    frames, until risk had engaged it, the last order was cancelled, and the last position was closed. `cancels` are all
    that it asked for, those of the load's orders included; each counts from risk's frame to that with the venue's word.
    `refused` are the orders that it refused while it was engaged.

    From the kill of risk until all was ready again, and until the last order was refused that was journaled meanwhile;
    and what was sent to a venue meanwhile.
    """

    resting: int
    markets: int
    answered_ms: float
    engaged_ms: float | None
    cancels: int
    cancel_ms_p50: float | None
    cancel_ms_max: float | None
    last_cancel_ms: float | None
    flat_ms: float | None
    refused: int
    risk_ready_s: float | None
    journaled_without_risk: int
    sent_without_risk: int
    refused_after_s: float | None


class Measured(NamedTuple):
    """What the caller saw. Moments in ns since the epoch: the request for the switch, its answer, the kill of risk.
    `resting` are the ids of the drill's orders that were open before, `unheard` of those placed while risk was dead."""

    resting: list[str]
    markets: int
    asked_at: int
    answered_at: int
    refused: int
    killed_at: int
    risk_ready_s: float | None
    unheard: list[str]


async def drill(ground: Ground, resting: int, rate: float) -> Result:
    ground.say(f"placing {resting} orders at {', '.join(ground.run.venues)}")
    await ground.placed(list(islice(at_rest(ground), resting)))
    await ground.placed([orders.taking(market, ground.id, "buy", number=n) for n, market in enumerate(_held(ground))])
    load = Load(ground.wires, rate, LOAD_IN_FLIGHT, f"{ground.id}-load", venues=ground.run.venues)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        await asyncio.sleep(LOAD_S)
        markets = len(await ground.positions())
        at_stake = [order.order_id for order in await ground.open_orders() if order.strategy == orders.STRATEGY]
        ground.say("engaging the kill switch")
        asked_at, answered_at, wrong = await _engage(ground)
        engaged_since = time.perf_counter()
        await asyncio.sleep(LOAD_S)
        load.stop()
    tried = [each for each in load.sent if each.first_at > engaged_since]
    wrong += await _wait_until_stopped(ground)
    ground.say("killing risk")
    began, pids, killed_at = time.perf_counter(), ground.kill(["risk"]), time.time_ns()
    unheard = await _try(ground, "unheard", "journaled")
    ready_s = await ground.back(pids, began)
    tried += await _try(ground, "latched", "venue")
    passed = unrefused(tried)
    ground.say("resetting the kill switch")
    wrong += await _reset(ground)
    measured = Measured(
        resting=at_stake,
        markets=markets,
        asked_at=asked_at,
        answered_at=answered_at,
        refused=len(tried) - len(passed),
        killed_at=killed_at,
        risk_ready_s=ready_s,
        unheard=[each.order_id for each in unheard],
    )
    result = await ground.judged(lambda heard: judged(heard, measured))
    return Result(figures=result.figures, wrong=[*wrong, *passed, *result.wrong])


def at_rest(ground: Ground) -> Iterator[Order]:
    """Resting orders on both sides of every market in turn, without end."""
    places = list(product(SIDES, ground.markets.values()))
    number = 0
    while True:
        side, market = places[number % len(places)]
        yield orders.resting(market, ground.id, number, side)
        number += 1


def unrefused(tried: Iterable[Sent]) -> list[str]:
    """What was not refused by the switch, and should have been."""
    return [
        f"{each.order.client_order_id} was tried while the switch was engaged: {each.status} {each.code}".rstrip()
        for each in tried
        if (each.status, each.code) != ("refused", "KILL_SWITCH")
    ]


def judged(heard: Chronicle, measured: Measured) -> Result:
    engaged_at, reset_at = _first(heard, KillSwitchEngaged), _first(heard, KillSwitchReset)
    cancelled = cancels(heard)
    ends = [until for _, until in cancelled.values() if until is not None]
    took = sorted(until - since for since, until in cancelled.values() if until is not None)
    flat_at = None if engaged_at is None else flattened_at(heard, engaged_at, reset_at)
    gap = range(measured.killed_at, heard.first_after(streams.RISK, measured.killed_at) or sys.maxsize)
    refused_at = refusals(heard, measured.unheard)
    figures = Figures(
        resting=len(measured.resting),
        markets=measured.markets,
        answered_ms=(measured.answered_at - measured.asked_at) / 1e6,
        engaged_ms=milliseconds(measured.asked_at, engaged_at),
        cancels=len(cancelled),
        cancel_ms_p50=percentile(took, 50) / 1e6 if took else None,
        cancel_ms_max=took[-1] / 1e6 if took else None,
        last_cancel_ms=milliseconds(measured.asked_at, max(ends, default=None)),
        flat_ms=milliseconds(measured.asked_at, flat_at),
        refused=measured.refused,
        risk_ready_s=measured.risk_ready_s,
        journaled_without_risk=sum(at in gap for at, _ in heard.events(streams.GATEWAY, PlaceOrder, ACCOUNT)),
        sent_without_risk=sum(at in gap for at, _ in heard.events(streams.EXECUTION, OrderSent, ACCOUNT)),
        refused_after_s=(max(refused_at.values()) - measured.killed_at) / 1e9 if refused_at else None,
    )
    wrong = [
        *_missed(figures),
        *(
            f"{order_id} was resting and was not to be cancelled"
            for order_id in measured.resting
            if order_id not in cancelled
        ),
        *(f"{order_id} was to be cancelled and is not over" for order_id, (_, end) in cancelled.items() if not end),
        *(f"{order_id} was approved while the switch was engaged" for order_id in approvals(heard)),
        *(f"{order_id} was not refused by the switch" for order_id in measured.unheard if order_id not in refused_at),
    ]
    return Result(figures=figures, wrong=wrong)


def _missed(figures: Figures) -> list[str]:
    """What the figures alone show to be wrong."""
    checks = {
        "risk has not engaged the switch": figures.engaged_ms is not None,
        "no order was resting": figures.resting > 0,
        "nothing was held": figures.markets > 0,
        "what was held was not closed": figures.flat_ms is not None,
        "no order was journaled while risk was dead": figures.journaled_without_risk > 0,
        f"{figures.sent_without_risk} orders were sent while risk was dead": not figures.sent_without_risk,
    }
    return [*(what for what, holds in checks.items() if not holds), *late("risk is", figures.risk_ready_s)]


def _first(heard: Chronicle, kind: type[KillSwitchEngaged | KillSwitchReset]) -> int | None:
    """When the account's switch was first turned so; a guard may turn that of a strategy."""
    return next((at for at, event in heard.events(streams.RISK, kind, ACCOUNT) if event.scope == "account"), None)


def cancels(heard: Chronicle) -> dict[str, tuple[int, int | None]]:
    """By order: when risk said that the switch cancels it, and when it was over."""
    wanted: dict[str, int] = {}
    for at, event in heard.events(streams.RISK, CancelApproved, ACCOUNT):
        if event.reason == "kill_switch":
            wanted.setdefault(event.order_id, at)
    over: dict[str, int] = {}
    for at, ended in heard.told(streams.EXECUTION, ACCOUNT):
        if isinstance(ended, ENDS) or (isinstance(ended, OrderFilled) and not ended.leaves):
            over[ended.order_id] = at
    return {order_id: (since, over.get(order_id)) for order_id, since in wanted.items()}


def approvals(heard: Chronicle) -> list[str]:
    """Orders that were approved while the switch was engaged, and are none that risk itself closes something with."""
    engaged, exits, found = False, set[str](), list[str]()
    for told in heard.told(streams.RISK, ACCOUNT):
        match told.event:
            case KillSwitchEngaged(scope="account"):
                engaged = True
            case KillSwitchReset(scope="account"):
                engaged = False
            case PositionFlattened() | StopTriggered() as closed:
                exits.add(closed.exit_id)
            case OrderApproved() as approved if engaged and approved.order_id not in exits:
                found.append(approved.order_id)
    return found


def flattened_at(heard: Chronicle, since: int, until: int | None) -> int | None:
    """From when on nothing was held any more, between two moments; none if something was held to the end."""
    held: dict[tuple[str, str], Decimal] = {}
    flat_at: int | None = since
    for at, event in heard.events(streams.RISK, PositionChanged, ACCOUNT):
        if until is not None and at > until:
            break
        held[event.venue, event.symbol] = event.position
        flat_at = max(at, since) if all(position == ZERO for position in held.values()) else None
    return flat_at


def refusals(heard: Chronicle, order_ids: Sequence[str]) -> dict[str, int]:
    """When each of these orders was refused by the switch."""
    return {
        event.order_id: at
        for at, event in heard.events(streams.RISK, OrderRefused, ACCOUNT)
        if event.order_id in order_ids and event.code == "KILL_SWITCH"
    }


async def _engage(ground: Ground) -> tuple[int, int, list[str]]:
    """When it was asked for and answered (ns since the epoch), and what is wrong with the answer."""
    body = msgspec.json.encode(KillSwitchRequest(reason=REASON, flatten=True))
    # On a connection of its own, so that no order stands before it.
    wires = Wires(ground.run.url, ground.run.api_keys[ACCOUNT], 1)
    asked_at = time.time_ns()
    answered = await wires.request("POST", "/v1/kill-switch", body)
    answered_at = time.time_ns()
    await wires.close()
    if answered.status == 200 and msgspec.json.decode(answered.body, type=KillSwitchAnswer).engaged:
        return asked_at, answered_at, []
    return asked_at, answered_at, [f"the switch was answered with {answered.status}"]


async def _wait_until_stopped(ground: Ground) -> list[str]:
    until = time.monotonic() + STOPPED_S
    while time.monotonic() < until:
        if not await ground.open_orders() and not await ground.positions():
            return []
        await asyncio.sleep(LOOK_S)
    return [f"after {STOPPED_S:.0f} s something is still open or held"]


async def _try(ground: Ground, name: str, ack: str) -> list[Sent]:
    market = next(iter(ground.markets.values()))
    wanted = [orders.resting(market, f"{ground.id}-{name}", number, "buy") for number in range(TRIES)]
    return list(await asyncio.gather(*(ground.place(order, ack) for order in wanted)))


async def _reset(ground: Ground) -> list[str]:
    """Tries it without the second key, then with it; then an order is taken again."""
    wrong = []
    refused = await ground.wires.request("DELETE", "/v1/kill-switch?reason=no%20second%20key")
    code = "" if refused.status < 300 else msgspec.json.decode(refused.body, type=ErrorAnswer).code
    if code != "SECOND_KEY":
        wrong.append(f"a reset without the second key was answered with {refused.status} {code}".rstrip())
    asked = ResetRequest(reason="the drill goes on")
    await asyncio.to_thread(ground.account_client().unkill, asked, ground.run.second_key)
    again, *_ = await _try(ground, "again", "venue")
    if again.status != "open":
        wrong.append(f"an order after the reset is {again.status} {again.code}".rstrip())
    return wrong


def _held(ground: Ground) -> list[Market]:
    """One market of each venue."""
    return list({market.venue: market for market in ground.markets.values()}.values())
