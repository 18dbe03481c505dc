"""What happens to the whole system under one seed? All services in one process, on a log, a line and a clock that fail.

The seed decides everything: who runs next, how long a message takes, which append is lost, stored twice or stored
without an answer, what the venue's line drops, repeats and reorders, who is killed and when, what callers ask. The
services are the real ones, run by their real loops; what is simulated is the broker, the clock and the callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from random import Random
from typing import Any, TypeVar

import msgspec

from bot4_common import streams
from bot4_common.decider import encode_state
from bot4_common.errors import Refused
from bot4_common.instruments import Instrument, shipped
from bot4_common.log import Fenced
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.messages.cost import PricesSampled, SymbolStatistics
from bot4_common.messages.frame import decode_frame
from bot4_common.messages.gateway import EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import ListKind, Order, OrderList, Prevention, Scope, Side, opposite
from bot4_common.service import Runner, Service
from bot4_common.telemetry import Meters, Tracing
from bot4_common.testing import PROCESS, SimulatedLoop
from bot4_common.venues import load
from bot4_cost_model.__main__ import service as cost_service
from bot4_cost_model.fees import schedules
from bot4_cost_model.sampling import StatisticsFitted, Window
from bot4_exchange_simulator import tape
from bot4_exchange_simulator.__main__ import at_venue
from bot4_exchange_simulator.__main__ import service as venue_service
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.engine import profile
from bot4_exchange_simulator.faults import Line, LineProfile, Outages, legs
from bot4_exchange_simulator.liquidity import Liquidity
from bot4_execution.__main__ import service as execution_service
from bot4_gateway.desk import Answer, Desk, Listed
from bot4_journal.audit import Auditor, Report
from bot4_journal.memory_store import MemoryStore
from bot4_journal.service import Journal
from bot4_risk.__main__ import service as risk_service

T = TypeVar("T")

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
    late_fill=0.5,
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
STRATEGIES = ("alpha", "beta")
# What is named goes before what the account's limits say.
PREVENTIONS: tuple[Prevention, ...] = ("none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both")
# Of every two seeds one has a venue, the other two that differ in rules, fees and depth.
VENUES = (("a", "b"), ("sim",))
# Prices are sampled every second, and there are as many from before as a fit takes.
SAMPLE_NS = 1_000_000_000
EARLIER = tuple(
    PricesSampled(prices={SYMBOL: Decimal(60_000 + number % 7)}, at=number * SAMPLE_NS) for number in range(120)
)
# After the last order, unknown outcomes have this long to be resolved: the receive window and some questions.
SETTLE_S = 12.0


@cache
def market(symbol: str) -> Liquidity:
    """A lively minute, which the seeds of a run share: what differs is when orders meet it. It is thin enough that many
    are filled in parts."""
    instrument = shipped()[symbol]
    walked = tape.synthetic(
        7,
        symbol,
        Decimal("60000"),
        instrument.tick,
        instrument.lot,
        duration_ns=60_000_000_000,
        trades_per_second=10,
        notional_mean=Decimal(100),
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
    """One order, or list, that a bot placed, and the last answer it got. `replaces` is whose place it takes."""

    account: str
    order: Order | OrderList
    replaces: str = ""
    answer: Answer | Listed | None = None
    refused: str = ""

    @property
    def key(self) -> str:
        return self.order.client_list_id if isinstance(self.order, OrderList) else self.order.client_order_id

    @property
    def id(self) -> str:
        """As it was answered."""
        assert self.answer is not None
        return self.answer.record.list_id if isinstance(self.answer, Listed) else self.answer.record.order_id

    @property
    def order_ids(self) -> list[str]:
        if isinstance(self.answer, Listed):
            return self.answer.record.legs
        return [] if self.answer is None else [self.answer.record.order_id]


def _ask_for(asked: Asked, desk: Desk) -> Awaitable[Answer | Listed]:
    if isinstance(asked.order, OrderList):
        return desk.place_list(asked.account, asked.order)
    if asked.replaces:
        return desk.replace(asked.account, asked.replaces, asked.order, "stop_on_failure")
    return desk.place(asked.account, asked.order)


async def _fitted(window: Window) -> StatisticsFitted:
    """What takes another process seconds, here takes some simulated time."""
    await asyncio.sleep(0.4)
    zero = Decimal(0)
    last = window.samples[-1]
    statistics = SymbolStatistics(
        symbol=SYMBOL,
        observations=len(window.samples) - 1,
        volatility=last.prices[SYMBOL] / 10**7,
        model="sample",
        alpha=zero,
        beta=zero,
        degrees_of_freedom=zero,
        adf_statistic=zero,
        adf_p=zero,
        jarque_bera_statistic=zero,
        jarque_bera_p=zero,
        ljung_box_statistic=zero,
        ljung_box_p=zero,
    )
    return StatisticsFitted(
        sampled_to=last.at, interval_ns=window.interval_ns, symbols=[statistics], correlations=[[Decimal(1)]]
    )


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
        havoc = asyncio.gather(self._wreak(), self._impersonate(), self._panic())
        await trading
        await havoc
        await asyncio.sleep(SETTLE_S)
        # In the order of the flow, with time between: what one still says the next still hears.
        for name in self.names:
            await self.stop(name)
            await asyncio.sleep(2.0)
        # A stop may have fired on one of the last quotes, and what came of it was heard when risk and the gateway were
        # gone: they read of it now.
        for name in ("risk", "gateway"):
            self.start(name)
            await asyncio.sleep(2.0)
            await self.stop(name)

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

    async def _panic(self) -> None:
        """Now and then somebody stops trading, and some time later somebody lets it go on."""
        rng = Random(f"{self._seed}/panic")
        for _ in range(rng.randint(0, 2)):
            await asyncio.sleep(rng.random() * 4)
            scope: Scope = rng.choice(("firm", "account", "strategy", "symbol"))
            command = EngageKillSwitch(
                account=rng.choice(ACCOUNTS) if scope in ("account", "strategy") else "",
                reason="panic",
                scope=scope,
                strategy=rng.choice(STRATEGIES) if scope == "strategy" else "",
                symbol=SYMBOL if scope == "symbol" else "",
                flatten=rng.random() < 0.5,
            )
            await self._insist(lambda desk, command=command: desk.controls.engage(command))  # type: ignore[misc]
            await asyncio.sleep(rng.random() * 2)
            reset = ResetKillSwitch(
                account=command.account,
                reason="calm",
                scope=scope,
                strategy=command.strategy,
                symbol=command.symbol,
            )
            await self._insist(lambda desk, reset=reset: desk.controls.reset(reset))  # type: ignore[misc]

    async def _trade(self, number: int) -> None:
        rng = Random(f"{self._seed}/{number}")
        for count in range(self._orders):
            await asyncio.sleep(rng.random() * 0.4)
            asked = self._wish(rng, f"{number}-{count}")
            self.asked.append(asked)
            await self._place(asked)
            if rng.random() < 0.3:
                # A retry that nobody needed: the answer has to be the same order.
                await self._place(asked)
            for order_id in asked.order_ids:
                await self._change_mind(rng, asked.account, order_id)

    def _wish(self, rng: Random, key: str) -> Asked:
        """An order, a list of them, or one in the place of another."""
        account, kind = rng.choice(ACCOUNTS), rng.random()
        if kind < 0.2:
            return Asked(account, self._list(rng, key))
        mine = [order_id for asked in self.asked[-8:] if asked.account == account for order_id in asked.order_ids]
        replaces = rng.choice(mine) if mine and kind < 0.3 else ""
        return Asked(account, self._order(rng, key), replaces)

    async def _change_mind(self, rng: Random, account: str, order_id: str) -> None:
        kind = rng.random()
        if kind < 0.25:
            await self._insist(partial(Desk.cancel, account=account, order_id=order_id))
        elif kind < 0.5:
            quantity, price = Decimal(rng.randint(1, 200)) / 1000, Decimal(60_000) + Decimal(rng.randint(-30, 30)) / 2
            amend = partial(
                Desk.amend,
                account=account,
                order_id=order_id,
                quantity=quantity if rng.random() < 0.7 else None,
                price=price if rng.random() < 0.5 else None,
            )
            with suppress(Refused):
                await self._insist(amend)

    def _list(self, rng: Random, key: str) -> OrderList:
        """An entry with a bracket of exits, or exits for what may be held."""
        side: Side = rng.choice(("buy", "sell"))
        near, far = Decimal(rng.randint(5, 30)) / 2, Decimal(rng.randint(5, 30)) / 2
        sign = 1 if side == "buy" else -1
        middle, quantity = Decimal(60_000), Decimal(rng.randint(1, 100)) / 1000
        entry = Order(
            client_order_id=f"{key}-entry",
            symbol=SYMBOL,
            side=side,
            type="limit",
            quantity=quantity,
            strategy=rng.choice(STRATEGIES),
            price=middle + sign * Decimal(rng.randint(-10, 20)) / 2,
            stop_loss=middle - sign * 400,
            venue=self._venue(rng),
        )
        profit = msgspec.structs.replace(
            entry, client_order_id=f"{key}-profit", side=opposite(side), price=middle + sign * near, stop_loss=None
        )
        stop = msgspec.structs.replace(
            profit, client_order_id=f"{key}-stop", type="stop_market", price=None, stop_price=middle - sign * far
        )
        kind: ListKind = rng.choice(("oco", "oto", "otoco", "ouo"))
        chosen = {"oco": [profit, stop], "ouo": [profit, stop], "oto": [entry, stop], "otoco": [entry, profit, stop]}
        return OrderList(client_list_id=key, kind=kind, orders=chosen[kind])

    def _venue(self, rng: Random) -> str:
        return rng.choice(tuple(self.venues)) if len(self.venues) > 1 else ""

    def _order(self, rng: Random, client_order_id: str) -> Order:
        side: Side = rng.choice(("buy", "sell"))
        away = Decimal(rng.randint(-40, 40)) / 2
        price = Decimal("60000") + (-away if side == "buy" else away)
        stop = Decimal(rng.choice((15, 40, 400)))
        kind = rng.random()
        asked = Order(
            client_order_id=client_order_id,
            symbol=SYMBOL,
            side=side,
            type="market" if kind < 0.3 else "limit",
            quantity=Decimal(rng.randint(1, 200)) / 1000,
            strategy=rng.choice(STRATEGIES),
            price=None if kind < 0.3 else price,
            time_in_force="ioc" if kind < 0.5 else "fok" if kind < 0.55 else "gtc",
            post_only=kind > 0.9,
            reduce_only=rng.random() < 0.1,
            stop_loss=None if rng.random() < 0.05 else price - stop if side == "buy" else price + stop,
            venue=rng.choice(("", *self.venues)) if len(self.venues) > 1 else "",
            self_trade_prevention=rng.choice(PREVENTIONS),
        )
        if rng.random() < 0.15:
            # A stop that enters on a break-out.
            trigger = Decimal("60000") + (abs(away) + 1 if side == "buy" else -abs(away) - 1)
            return msgspec.structs.replace(
                asked,
                type="stop_market",
                price=None,
                time_in_force="gtc",
                post_only=False,
                stop_price=trigger,
                stop_loss=trigger - 400 if side == "buy" else trigger + 400,
            )
        return asked

    async def _place(self, asked: Asked) -> None:
        try:
            answer = await self._insist(partial(_ask_for, asked))
        except Refused as refused:
            if asked.answer is not None:
                raise AssertionError(f"{asked.key} was answered, then refused") from refused
            asked.refused = refused.code
            return
        if answer is None:
            # There was nothing left to take the place of.
            asked.refused = "ORDER_IS_OVER"
        known, asked.answer = asked.order_ids, answer
        assert not known or asked.order_ids == known

    async def _insist(self, ask: Callable[[Desk], Awaitable[T]]) -> T | None:
        """Asks until there is an answer, as a caller behind a broken connection has to. None: the order was over."""
        while True:
            try:
                return await self._ask(ask)
            except TimeoutError:
                continue
            except Refused as refused:
                if refused.code in ("ORDER_IS_OVER", "UNKNOWN_ORDER", "KILL_SWITCH_NOT_ENGAGED"):
                    return None
                if not refused.refusal.retryable:
                    raise
                await asyncio.sleep(0.1)

    async def _ask(self, ask: Callable[[Desk], Awaitable[T]]) -> T:
        """A request to the gateway's process. If that dies, the answer never comes."""
        process = self.processes["gateway"]
        answered: asyncio.Future[T] = self.loop.create_future()

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
            return risk_service(LimitsDocument(), self.instruments, self.venues, keys_max=KEYS)
        if name == "execution":
            return execution_service(list(self.venues))
        if name == "cost":
            return cost_service(schedules(self.venues.values()), SAMPLE_NS, EARLIER, _fitted)
        definition = self.venues[self.simulators[name]]
        others = at_venue(market(SYMBOL), definition, self.instruments[SYMBOL])
        line = Line(self._seed + definition.liquidity.seed_offset, LINE)
        rules = profile.shipped(definition.profile)
        venue = Venue(
            definition.name,
            self.instruments,
            {SYMBOL: others},
            line,
            rules,
            stops=definition.stops,
            lists=definition.lists,
        )
        return venue_service(venue)

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
