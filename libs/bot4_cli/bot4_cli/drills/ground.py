"""What does every drill stand on? A running system, an account of the drill's own, and the promise to leave nothing.

A drill begins with nothing open and nothing held, and so it ends: what it left is cancelled, closed and reset, also
when it failed. Then the journal is audited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from typing import Protocol, TypeVar

import msgspec

from bot4_cli import proofs, truth
from bot4_cli.client import Client
from bot4_cli.drill import ACCOUNT, GIVE_UP_S, IN_FLIGHT, LOOK_S, RECOVERY_S, in_bound, is_back, strike
from bot4_cli.drills import orders
from bot4_cli.drills.chronicle import Chronicle, chronicle
from bot4_cli.drills.room import with_room
from bot4_cli.load import Market, Sent, cancel, check_taken, get, place
from bot4_cli.reckoning import SETTLE_LOOK_S, SETTLE_S
from bot4_cli.running import Run, read, running, statuses
from bot4_cli.trouble import Trouble
from bot4_cli.wire import Wires
from bot4_common import instruments, streams
from bot4_common.limits import to_toml
from bot4_common.messages.market import FaultOrdered
from bot4_common.messages.terms import Order
from bot4_common.nats_log import NatsLog
from bot4_gateway.answers import OrderAnswer, OrdersAnswer, PositionAnswer, PositionsAnswer
from bot4_gateway.control_answers import KillSwitchesAnswer, StatisticsAnswer
from bot4_gateway.control_requests import ResetRequest
from bot4_journal.audit import Finding

# Statuses of orders of which the venue has not spoken yet.
UNDER_WAY = frozenset(("received", "approved", "sent", "unknown"))
# An order whose request was lost is known to be lost after five seconds; a fault may lie before that, and a restart.
KNOWN_S = 20.0
# How long until nothing is open or held any more, and how much is closed at a time: no book is endless.
TIDY_S = 20.0
CLOSED_AT_ONCE = Decimal(40_000)
# The gateway answers such questions from memory.
ANSWER_S = 10.0

Say = Callable[[str], None]
A = TypeVar("A", bound=msgspec.Struct)


class Judged(Protocol):
    """What a drill makes of what the streams say; `wrong` says in words what is wrong with which order."""

    @property
    def wrong(self) -> list[str]: ...


J = TypeVar("J", bound=Judged)


class Result(msgspec.Struct, kw_only=True):
    """`figures` are what was measured, each named with its unit; `wrong` says in words what should not be."""

    figures: msgspec.Struct
    wrong: list[str]


class Outcome(Result, kw_only=True):
    """A drill with its audit. It passed if nothing is wrong and there is no finding."""

    drill: str
    audited_frames: int
    findings: list[Finding]
    passed: bool


class Ground:
    """`id` makes the drill's client order ids its own; `markets` by venue and symbol; `began` is where the streams
    stood with nothing open and nothing held."""

    def __init__(self, data: Path, run: Run, log: NatsLog, say: Say) -> None:
        self.data = data
        self.run = run
        self.log = log
        self.say = say
        self.id = f"drill-{token_hex(4)}"
        self.wires = Wires(run.url, run.api_keys[ACCOUNT], IN_FLIGHT)
        listed = instruments.shipped().values()
        self.markets = {
            (venue, instrument.symbol): Market(self.wires, instrument, venue)
            for venue in run.venues
            for instrument in listed
        }
        self.began: dict[str, int] = {}
        self._operator = Client(run.url, run.operator_key)
        self._exits = 0

    async def begin(self) -> None:
        await self.tidy()
        await self.look()
        if not all(market.bid for market in self.markets.values()):
            raise Trouble("there is no market: see `bot4 status`")
        self.began = await self.ends()

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """The account may do what a drill does, for as long as this lasts."""
        known = (await asyncio.to_thread(self._operator.limits)).document
        statistics = await self.asked("/v1/statistics", StatisticsAnswer)
        roomy = with_room(known, statistics.version > 0)
        if roomy != known:
            await asyncio.to_thread(self._operator.set_limits, to_toml(roomy), "a drill")
        try:
            yield
        finally:
            if roomy != known:
                await asyncio.to_thread(self._operator.set_limits, to_toml(known), "the drill is over")

    # What the system says

    async def look(self) -> None:
        """At the touch of every market."""
        await asyncio.gather(*(market.look() for market in self.markets.values()))

    async def asked(self, target: str, kind: type[A]) -> A:
        """An answer, also when the first question had none. Raises `Trouble` when there is none at all."""
        until = time.monotonic() + ANSWER_S
        while (answer := await get(self.wires, target, kind)) is None:
            if time.monotonic() > until:
                raise Trouble(f"the gateway at {self.run.url} does not answer {target}")
            await asyncio.sleep(LOOK_S)
        return answer

    async def open_orders(self) -> list[OrderAnswer]:
        return (await self.asked("/v1/orders?status=open&limit=1000", OrdersAnswer)).orders

    async def positions(self) -> list[PositionAnswer]:
        """Those that are not flat."""
        answer = await self.asked("/v1/positions", PositionsAnswer)
        return [position for position in answer.positions if Decimal(position.quantity)]

    async def known(self) -> list[OrderAnswer]:
        """The orders of which still nobody knows what became of them, when all are known or `KNOWN_S` are over."""
        until = time.monotonic() + KNOWN_S
        while True:
            under_way = [order for order in await self.open_orders() if order.status in UNDER_WAY]
            if not under_way or time.monotonic() > until:
                return under_way
            await asyncio.sleep(LOOK_S)

    async def ends(self) -> dict[str, int]:
        return {stream: await self.log.end(stream) for stream in streams.written(self.run.venues)}

    async def heard(self) -> Chronicle:
        """The story since the drill began."""
        return await chronicle(self.log, self.began)

    async def judged(self, judge: Callable[[Chronicle], J]) -> J:
        """What `judge` makes of the story since the drill began."""

        async def look() -> J:
            return judge(await self.heard())

        return await self.settled(look)

    async def settled(self, look: Callable[[], Awaitable[J]]) -> J:
        """What is still on its way looks wrong, so it is looked at again for a while."""
        until = time.monotonic() + SETTLE_S
        while True:
            verdict = await look()
            if not verdict.wrong or time.monotonic() > until:
                return verdict
            await asyncio.sleep(SETTLE_LOOK_S)

    # What a drill does

    async def place(self, order: Order, ack: str = "venue") -> Sent:
        return await place(self.wires, order, ack)

    async def placed(self, wanted: list[Order]) -> list[Sent]:
        """Places them all. Raises `Trouble` when one is refused: a drill that the limits stop proves nothing."""
        sent = await asyncio.gather(*(self.place(order) for order in wanted))
        check_taken(sent, "drill", at_least=len(wanted))
        return sent

    async def fault(
        self, venue: str, kind: str, seconds: float, probability: float = 1.0, factor: float = 10.0
    ) -> None:
        """Has a fault begin on the line between a venue and execution."""
        ordered = FaultOrdered(
            kind=kind, seconds=seconds, session=streams.EXECUTION, probability=probability, factor=factor
        )
        await truth.order(self.run, venue, ordered)

    def kill(self, names: list[str]) -> dict[str, int | None]:
        """SIGKILLs these processes; gives the pids that they had."""
        return strike(read(self.data), names)

    async def back(self, pids: dict[str, int | None], killed_at: float) -> float | None:
        """Seconds since `killed_at` (monotonic) until all is ready again; none after `GIVE_UP_S`."""
        while time.perf_counter() < killed_at + GIVE_UP_S:
            if await asyncio.to_thread(is_back, running(self.data), pids):
                return time.perf_counter() - killed_at
            await asyncio.sleep(LOOK_S)
        return None

    # Nothing is left

    async def tidy(self) -> None:
        """Raises `Trouble` when something is left in spite of all, and says why if closing it is refused."""
        await self._reset_switches()
        closing: list[Sent] = []
        try:
            async with asyncio.timeout(TIDY_S):
                while True:
                    open_orders, positions = await self.open_orders(), await self.positions()
                    if not open_orders and not positions:
                        return
                    await asyncio.gather(*(cancel(self.wires, order.order_id) for order in open_orders))
                    if not open_orders:
                        closing = await asyncio.gather(*map(self._close, positions))
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            check_taken(closing, "drill that close what it holds")
            raise Trouble(
                f"something is left: see `bot4 order list --open --account {ACCOUNT}`, and positions"
            ) from None

    async def _close(self, position: PositionAnswer) -> Sent:
        """As much as goes at a time, for the strategy that has the largest part in it."""
        market, held = self.markets[position.venue, position.symbol], Decimal(position.quantity)
        await market.look()
        parts = {each.strategy: Decimal(each.quantity) for each in position.strategies}
        strategy, part = max(parts.items(), key=lambda holding: holding[1] * held)
        at_most = market.instrument.quantity(int(CLOSED_AT_ONCE / market.ask / market.instrument.lot))
        amount = min(abs(part), abs(held), at_most)
        self._exits += 1
        id = f"{self.id}-exit-{self._exits}"
        return await self.place(orders.closing(market, id, "sell" if held > 0 else "buy", amount, strategy))

    async def _reset_switches(self) -> None:
        """Those that would stop the drill's account alone; of others it is not for a drill to say."""
        known = await self.asked("/v1/kill-switch", KillSwitchesAnswer)
        for switch in known.switches:
            if not switch.account:
                raise Trouble(f"a kill switch of the {switch.scope} is engaged: {switch.reason}")
            asked = ResetRequest(reason="the drill is over", scope=switch.scope, strategy=switch.strategy)
            await asyncio.to_thread(self.account_client().unkill, asked, self.run.second_key)

    def account_client(self) -> Client:
        return Client(self.run.url, self.run.api_keys[ACCOUNT])


@asynccontextmanager
async def standing(data: Path, say: Say) -> AsyncIterator[Ground]:
    """Raises `Trouble` when a drill cannot begin, or something is left after it."""
    run = read(data)
    if not all(status.ready for status in statuses(run)):
        raise Trouble("not every service is ready: see `bot4 status`")
    async with proofs.opened(run) as log:
        ground = Ground(data, run, log, say)
        try:
            async with ground.room():
                say("clearing the ground")
                await ground.begin()
                try:
                    yield ground
                finally:
                    say("leaving nothing behind")
                    await ground.tidy()
        finally:
            await ground.wires.close()


async def drilled(name: str, data: Path, say: Say, drill: Callable[[Ground], Awaitable[Result]]) -> Outcome:
    async with standing(data, say) as ground:
        result = await drill(ground)
    audited = await proofs.audit(read(data), lambda done, total: say(f"audit: {done:,} of {total:,} frames"))
    return Outcome(
        drill=name,
        figures=result.figures,
        wrong=result.wrong,
        audited_frames=audited.report.frames,
        findings=audited.findings,
        passed=not result.wrong and not audited.findings,
    )


def milliseconds(since: int, until: int | None) -> float | None:
    """Between two moments in ns; none while the second has not come."""
    return None if until is None else (until - since) / 1e6


def late(what: str, ready_s: float | None) -> list[str]:
    """What is wrong with how long it took until all was ready again."""
    if ready_s is None:
        return [f"{what} not ready again"]
    return [] if in_bound(ready_s) else [f"{what} ready again after {ready_s:.1f} s; the bound is {RECOVERY_S:.0f} s"]
