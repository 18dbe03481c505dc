"""What happens to the whole system under one seed? All services in one process, on a log, a line and a clock that fail.

The seed decides everything: who runs next, how long a message takes, which append is lost, stored twice or stored
without an answer, what the venue's line drops, repeats and reorders, who is killed and when, what callers ask. The
services are the real ones, run by their real loops; what is simulated is the broker, the clock and the callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from random import Random
from typing import Any

from bot4_common import streams
from bot4_common.decider import encode_state
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument, shipped
from bot4_common.log import Fenced
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.messages.frame import decode_frame
from bot4_common.messages.terms import Order, Side
from bot4_common.service import Runner, Service
from bot4_common.telemetry import Meters, Tracing
from bot4_common.testing import PROCESS, SimulatedLoop
from bot4_common.venues import load
from bot4_cost_model.__main__ import service as cost_service
from bot4_cost_model.fees import schedules
from bot4_exchange_simulator import tape
from bot4_exchange_simulator.__main__ import at_venue
from bot4_exchange_simulator.__main__ import service as venue_service
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.engine import profile
from bot4_exchange_simulator.faults import Line, LineProfile, Outages, legs
from bot4_exchange_simulator.liquidity import Liquidity
from bot4_execution.__main__ import service as execution_service
from bot4_gateway.desk import Answer, Desk
from bot4_journal.audit import Auditor, Report
from bot4_journal.memory_store import MemoryStore
from bot4_journal.service import Journal
from bot4_risk.__main__ import service as risk_service
from bot4_risk.limits import Limits

SYMBOL = "BTC-USDT"
ACCOUNTS = ("ann", "bob", "cem")
# Windows and stores as small as a run of some seconds needs: a million-key filter per restart would be all it does.
KEYS = 4_096
FAULTS = Faults(append_lost=0.01, append_ack_lost=0.01, append_twice=0.01, save_lost=0.1, say_lost=0.01, delay=0.003)
LINE = LineProfile(
    latency=legs(1.0),
    drop=0.03,
    duplicate=0.03,
    reorder=0.03,
    gap=0.002,
    disconnect=0.002,
    drop_request=0.01,
    reject=0.01,
    reject_cancel=0.05,
    spell_s_median=0.3,
    outages=(
        Outages(kind="down", per_hour=400.0, seconds_median=0.2),
        Outages(kind="cancel_down", per_hour=400.0, seconds_median=0.5),
        Outages(kind="reconnect_storm", per_hour=200.0, seconds_median=0.5),
        Outages(kind="stale_book", per_hour=200.0, seconds_median=0.5),
        Outages(kind="slow", per_hour=400.0, seconds_median=0.5),
    ),
)
# Of every two seeds one has a venue, the other two that differ in rules, fees and depth.
VENUES = (("a", "b"), ("sim",))
# After the last order, unknown outcomes have this long to be resolved: the receive window and some questions.
SETTLE_S = 12.0


@cache
def market(symbol: str) -> Liquidity:
    """A lively minute, which the seeds of a run share: what differs is when orders meet it."""
    instrument = shipped()[symbol]
    walked = tape.synthetic(
        7, symbol, Decimal("60000"), instrument.tick, instrument.lot, duration_ns=60_000_000_000, trades_per_second=10
    )
    return Liquidity(walked, instrument.tick, instrument.lot, seed=7)


@cache
def untraced(name: str) -> Tracing:
    return Tracing(name, 0.0, None)


@dataclass
class Process:
    """A running service: what it is made of, and whether it has come to its end."""

    number: int
    log: MemoryLog
    subject: Any
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Asked:
    """One order a bot placed, and the last answer it got."""

    account: str
    order: Order
    answer: Answer | None = None
    refused: str = ""


class World:
    """One run. `broker` and `runner` let a test plant a fault in the log or in the loop."""

    def __init__(
        self,
        seed: int,
        broker: type[Broker] = Broker,
        runner: type[Runner[Any]] = Runner,
        bots: int = 3,
        orders: int = 16,
        crashes: int = 14,
    ) -> None:
        self.rng = Random(seed)
        self.loop = SimulatedLoop(seed)
        self.venues = load(VENUES[seed % len(VENUES)])
        # The processes by name, in the order of the flow; each venue's has that of the venue behind it.
        self.simulators = {f"venue-{venue}": venue for venue in self.venues}
        self.deciders = ("risk", "execution", *self.simulators, "cost")
        self.names = ("gateway", *self.deciders, "journal")
        self.instruments: dict[str, Instrument] = {SYMBOL: shipped()[SYMBOL]}
        self.broker = broker(Random(seed + 1), FAULTS, streams.JOURNAL, streams.JOURNALED)
        self.store = MemoryStore(Random(seed + 2), lost=0.02, answer_lost=0.02)
        self.processes: dict[str, Process] = {}
        self.asked: list[Asked] = []
        self._runner = runner
        self._seed = seed
        self._bots, self._orders, self._crashes = bots, orders, crashes

    def run(self) -> None:
        self.loop.run(self._play())

    # The play

    async def _play(self) -> None:
        for name in self.names:
            self.start(name)
        trading = asyncio.gather(*(self._trade(number) for number in range(self._bots)))
        havoc = asyncio.gather(self._wreak(), self._impersonate())
        await trading
        await havoc
        await asyncio.sleep(SETTLE_S)
        # In the order of the flow, with time between: what one still says the next still hears.
        for name in self.names:
            await self.stop(name)
            await asyncio.sleep(2.0)
        # A stop may have fired on one of the last quotes, when the gateway was gone: it reads of it now.
        self.start("gateway")
        await asyncio.sleep(2.0)
        await self.stop("gateway")

    async def _wreak(self) -> None:
        for _ in range(self._crashes):
            await asyncio.sleep(self.rng.random())
            name = self.rng.choice(self.names)
            self.kill(name)
            await asyncio.sleep(self.rng.random() * 0.5)
            self.start(name)

    async def _impersonate(self) -> None:
        """Once, a second process believes that it leads: the fence has to hold one of the two off."""
        await asyncio.sleep(self.rng.random() * 3)
        name = self.rng.choice(self.deciders)
        twin = self._spawn(name, standby=self.rng.random() < 0.5)
        await asyncio.sleep(self.rng.random() * 3)
        self._end(twin)

    async def _trade(self, number: int) -> None:
        rng = Random(f"{self._seed}/{number}")
        for count in range(self._orders):
            await asyncio.sleep(rng.random() * 0.4)
            asked = Asked(rng.choice(ACCOUNTS), self._order(rng, f"{number}-{count}"))
            self.asked.append(asked)
            await self._place(asked)
            if rng.random() < 0.3:
                # A retry that nobody needed: the answer has to be the same order.
                await self._place(asked)
            if asked.answer is not None and rng.random() < 0.3:
                order_id = asked.answer.record.order_id
                await self._insist(partial(Desk.cancel, account=asked.account, order_id=order_id))

    def _order(self, rng: Random, client_order_id: str) -> Order:
        side: Side = rng.choice(("buy", "sell"))
        away = Decimal(rng.randint(-40, 40)) / 2
        price = Decimal("60000") + (-away if side == "buy" else away)
        stop = Decimal(rng.choice((15, 40, 400)))
        kind = rng.random()
        return Order(
            client_order_id=client_order_id,
            symbol=SYMBOL,
            side=side,
            type="market" if kind < 0.3 else "limit",
            quantity=Decimal(rng.randint(1, 200)) / 1000,
            strategy=rng.choice(("alpha", "beta")),
            price=None if kind < 0.3 else price,
            time_in_force="ioc" if kind < 0.5 else "gtc",
            post_only=kind > 0.9,
            reduce_only=rng.random() < 0.1,
            stop_loss=None if rng.random() < 0.05 else price - stop if side == "buy" else price + stop,
            venue=rng.choice(("", *self.venues)) if len(self.venues) > 1 else "",
        )

    async def _place(self, asked: Asked) -> None:
        try:
            answer = await self._insist(lambda desk: desk.place(asked.account, asked.order))
        except Refused as refused:
            if asked.answer is not None:
                raise AssertionError(f"{asked.order.client_order_id} was answered, then refused") from refused
            asked.refused = refused.code
            return
        if asked.answer is not None:
            assert answer is not None and answer.record.order_id == asked.answer.record.order_id
        asked.answer = answer

    async def _insist(self, ask: Callable[[Desk], Awaitable[Answer]]) -> Answer | None:
        """Asks until there is an answer, as a caller behind a broken connection has to. None: the order was over."""
        while True:
            try:
                return await self._ask(ask)
            except TimeoutError:
                continue
            except Refused as refused:
                if refused.code in ("ORDER_IS_OVER", "UNKNOWN_ORDER"):
                    return None
                if not refused.refusal.retryable:
                    raise
                await asyncio.sleep(0.1)

    async def _ask(self, ask: Callable[[Desk], Awaitable[Answer]]) -> Answer:
        """A request to the gateway's process. If that dies, the answer never comes."""
        process = self.processes["gateway"]
        answered: asyncio.Future[Answer] = self.loop.create_future()

        async def serve() -> None:
            try:
                answer = await ask(process.subject)
            except Refused as refused:
                if not answered.done():
                    answered.set_exception(refused)
                return
            if not answered.done():
                answered.set_result(answer)

        context = copy_context()
        context.run(PROCESS.set, process.number)
        self.loop.create_task(serve(), context=context)
        async with asyncio.timeout(3.0):
            return await answered

    # Processes

    def start(self, name: str) -> None:
        self.processes[name] = self._spawn(name, standby=False)

    def kill(self, name: str) -> None:
        self._end(self.processes[name])

    async def stop(self, name: str) -> None:
        process = self.processes[name]
        process.subject.stop()
        await process.ended.wait()

    def _spawn(self, name: str, standby: bool) -> Process:
        log = MemoryLog(self.broker)
        subject = self._subject(name, log, standby)
        ended = asyncio.Event()

        async def main() -> None:
            try:
                await subject.run()
                ended.set()
            except Fenced:
                # An append of the process before this one arrived late. As the supervisor does: once more.
                context = Context()
                self.loop.call_soon(self.start, name, context=context)

        return Process(self.loop.spawn(main()), log, subject, ended)

    def _end(self, process: Process) -> None:
        process.log.kill()
        self.loop.kill(process.number)

    def _subject(self, name: str, log: MemoryLog, standby: bool) -> Any:
        clock = self.loop.clock
        if name == "gateway":
            return Desk(log, clock, "gateway-0", self.instruments, self.venues, keys_max=KEYS)
        if name == "journal":
            return Journal(log, self.store, None, clock, Meters("journal"))
        decider = self.service(name)
        return self._runner(decider, log, clock, Meters(decider.name), untraced(decider.name), standby)

    def service(self, name: str) -> Service[Any]:
        if name == "risk":
            return risk_service(Limits(), [SYMBOL], list(self.venues), keys_max=KEYS)
        if name == "execution":
            return execution_service(list(self.venues))
        if name == "cost":
            return cost_service(schedules(self.venues.values()))
        definition = self.venues[self.simulators[name]]
        others = at_venue(market(SYMBOL), definition, self.instruments[SYMBOL])
        line = Line(self._seed + definition.liquidity.seed_offset, LINE)
        rules = profile.shipped(definition.profile)
        return venue_service(Venue(definition.name, self.instruments, {SYMBOL: others}, line, rules))

    # What came of it

    def audit(self) -> Report:
        auditor = Auditor(self.venues)
        for stream in (streams.JOURNAL, *map(streams.venue, self.venues)):
            for record in self.broker.streams[stream]:
                auditor.hear(record)
        return auditor.report({stream: len(self.broker.streams[stream]) for stream in streams.JOURNALED})

    def refolded(self, name: str) -> bytes:
        """The state that a service's own stream tells, from its first event on."""
        service = self.service(name)
        state = service.decider.initial()
        for record in self.broker.streams[service.stream]:
            for decision in decode_frame(record.data).decisions:
                for event in decision.events:
                    service.decider.evolve(state, event)
        return encode_state(service.decider, state)

    def live(self, name: str) -> bytes:
        runner = self.processes[name].subject
        return encode_state(self.service(name).decider, runner.state)
