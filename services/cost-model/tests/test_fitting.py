"""Statistics come from a process of their own, and nothing waits for them."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
import uvloop

from bot4_common import streams
from bot4_common.given import NOON
from bot4_common.log import FrameWriter
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.messages.cost import CostRecorded, PricesSampled, StatisticsPublished, SymbolStatistics
from bot4_common.messages.estimate import SUBJECT, Estimate, EstimateRequest
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.frame import Decision, decode_frame, encode
from bot4_common.messages.market import Quote, Spoken, encode_spoken
from bot4_common.money import ZERO
from bot4_common.service import Runner, Service
from bot4_common.telemetry import Meters, Tracing
from bot4_common.testing import BEGINNING, SimulatedLoop
from bot4_cost_model.__main__ import CostSettings, answer_estimates, load_history, service
from bot4_cost_model.domain import CostModel, State
from bot4_cost_model.fees import FeeSchedule
from bot4_cost_model.fitting import Fit, Fitting, in_a_process
from bot4_cost_model.sampling import INTERVAL_NS, StatisticsFitted, Window

FEES = {"sim": FeeSchedule(maker=ZERO, taker=ZERO)}


def earlier(count: int = 300, until: int = BEGINNING) -> list[PricesSampled]:
    """An hourly market of two symbols that move as one, more or less; the last sample is an hour before `until`."""
    shocks = 0.01 * np.random.default_rng(1).standard_t(4, (count, 3))
    logs = np.cumsum(shocks[:, :2] + shocks[:, 2:], axis=0)
    return [
        PricesSampled(
            prices={symbol: Decimal(f"{100 * np.exp(level):.2f}") for symbol, level in zip("AB", levels, strict=True)},
            at=until - (count - number) * INTERVAL_NS,
        )
        for number, levels in enumerate(logs)
    ]


def window(count: int = 300) -> Window:
    return Window(samples=earlier(count), interval_ns=INTERVAL_NS)


def fitted(window: Window) -> StatisticsFitted:
    zeros: dict[str, Any] = dict.fromkeys(SymbolStatistics.__struct_fields__, ZERO)
    one = SymbolStatistics(**zeros | {"symbol": "A", "model": "sample", "observations": 100})
    return StatisticsFitted(
        sampled_to=window.samples[-1].at, interval_ns=INTERVAL_NS, symbols=[one], correlations=[[Decimal(1)]]
    )


def fill() -> Decision:
    one = Decimal(1)
    event = OrderFilled(
        order_id="1-0",
        child_id="1-0.1",
        account="ann",
        strategy="s",
        symbol="A",
        side="buy",
        venue="sim",
        trade_id="t1",
        price=Decimal(101),
        quantity=one,
        cumulative=one,
        leaves=ZERO,
        liquidity="taker",
        bid=Decimal(99),
        ask=Decimal(101),
        session_sequence=1,
        traded_at=NOON,
    )
    return Decision(events=[event])


class Stage:
    """The cost model on a log in memory, with those who fill and those who ask."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.broker = Broker(Random(1), Faults())
        self.log = MemoryLog(self.broker)
        self.now = now
        self.writer = FrameWriter(self.log, streams.EXECUTION, "execution-0", lambda: asyncio.sleep(0.01))

    def runner(self, service: Service[State]) -> Runner[State]:
        tracing = Tracing(service.name, 0, None)
        return Runner(service, MemoryLog(self.broker), self.now, Meters(service.name), tracing, standby=False)

    async def quote(self) -> None:
        one = Decimal(1)
        quote = Quote(
            venue="sim",
            symbol="A",
            bid=Decimal(99),
            ask=Decimal(101),
            bid_quantity=one,
            ask_quantity=one,
            at=self.now(),
        )
        await self.log.say(streams.quotes("sim"), encode_spoken([Spoken(quote)]))

    async def estimate(self) -> Estimate:
        request = EstimateRequest(symbol="A", side="buy", quantity=Decimal(1), type="market")
        return msgspec.json.decode(await self.log.ask(SUBJECT, encode(request), timeout=1.0), type=Estimate)

    def said(self, kind: type[Any]) -> list[Any]:
        frames = (decode_frame(record.data) for record in self.broker.streams[streams.COST])
        return [event for frame in frames for _, event, _ in frame.events(streams.COST, 0) if isinstance(event, kind)]

    async def until(self, kind: type[Any], count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.said(kind)) < count:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.01)


def test_statistics_come_from_a_process_and_hold_up_neither_a_cost_nor_an_estimate() -> None:
    async def story() -> None:
        stage = Stage(time.time_ns)
        runner = stage.runner(service(FEES, earlier=earlier(until=time.time_ns() + INTERVAL_NS), fit=in_a_process))
        running = asyncio.create_task(runner.run())
        await answer_estimates(FEES, stage.log)
        await stage.until(PricesSampled, count=300)
        await asyncio.sleep(0.1)
        await stage.quote()
        await stage.writer.store([fill()], {}, at=0)
        await stage.until(CostRecorded)
        assert (await stage.estimate()).spread == 1
        assert stage.said(StatisticsPublished) == [], "all this while the fit is under way"
        await stage.until(StatisticsPublished)
        runner.stop()
        await running
        [published] = stage.said(StatisticsPublished)
        assert (published.version, [each.symbol for each in published.symbols]) == (1, ["A", "B"])
        assert Decimal("0.3") < published.correlations[0][1] == published.correlations[1][0] < Decimal("0.7")

    uvloop.run(story())


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that are begun from here on."""
    begin, processes = asyncio.create_subprocess_exec, []

    async def noted(*command: str, **how: Any) -> asyncio.subprocess.Process:
        processes.append(await begin(*command, **how))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return processes


@pytest.mark.parametrize("turns", [*range(1, 6), 1_000])
def test_a_fit_that_is_cut_off_leaves_no_process(begun: list[asyncio.subprocess.Process], turns: int) -> None:
    """Whether it has read its window, or has only begun to begin."""

    async def story() -> None:
        fitting = asyncio.create_task(in_a_process(window()))
        for _ in range(turns):
            await asyncio.sleep(0)
        fitting.cancel()
        await asyncio.gather(fitting, return_exceptions=True)
        assert fitting.cancelled()
        assert [process.returncode for process in begun] == [-signal.SIGKILL]

    uvloop.run(story())


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("python", "says"), [(program("false"), "the fit ended with 1"), ("/nowhere/python", "no process for the fit")]
)
def test_a_process_that_fails_finds_nothing_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, python: str, says: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(in_a_process(window())) is None
    assert says in caplog.text


# In simulated time, without a process


def play(story: Callable[[Stage, SimulatedLoop], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop(1)
    loop.run(story(Stage(loop.clock), loop))


async def slow(window: Window) -> StatisticsFitted | None:
    """Ten minutes."""
    await asyncio.sleep(600)
    return fitted(window)


def test_a_cost_is_recorded_while_a_fit_takes_minutes() -> None:
    async def story(stage: Stage, loop: SimulatedLoop) -> None:
        loop.spawn(stage.runner(service(FEES, earlier=earlier(), fit=slow)).run())
        await asyncio.sleep(10)
        await stage.writer.store([fill()], {}, at=0)
        await asyncio.sleep(0.1)
        assert len(stage.said(CostRecorded)) == 1 and not stage.said(StatisticsPublished)
        await asyncio.sleep(600)
        assert [each.version for each in stage.said(StatisticsPublished)] == [1]

    play(story)


def test_a_fit_that_a_crash_cut_off_is_made_after_the_restart() -> None:
    async def story(stage: Stage, loop: SimulatedLoop) -> None:
        first = loop.spawn(stage.runner(service(FEES, earlier=earlier(), fit=slow)).run())
        await asyncio.sleep(300)
        loop.kill(first)
        loop.spawn(stage.runner(service(FEES, fit=slow)).run())
        await asyncio.sleep(610)
        assert [each.version for each in stage.said(StatisticsPublished)] == [1]

    play(story)


def test_every_new_sample_leads_to_a_new_version() -> None:
    async def story(stage: Stage, loop: SimulatedLoop) -> None:
        loop.spawn(stage.runner(service(FEES, earlier=earlier(), fit=slow)).run())
        for _ in range(3):
            await asyncio.sleep(3_600)
            await stage.quote()
        await asyncio.sleep(1_000)
        assert [each.version for each in stage.said(StatisticsPublished)] == [1, 2, 3, 4]

    play(story)


def test_without_a_fit_prices_are_sampled_and_no_statistics_published() -> None:
    async def story(stage: Stage, loop: SimulatedLoop) -> None:
        loop.spawn(stage.runner(service(FEES, earlier=earlier())).run())
        await asyncio.sleep(10)
        await stage.quote()
        await asyncio.sleep(10)
        assert len(stage.said(PricesSampled)) == 301 and not stage.said(StatisticsPublished)

    play(story)


# What is asked for


def state(count: int) -> State:
    return State(samples=earlier(count))


async def nothing(window: Window) -> StatisticsFitted | None:
    return None


async def no_symbols(window: Window) -> StatisticsFitted | None:
    return StatisticsFitted(sampled_to=window.samples[-1].at, interval_ns=1, symbols=[], correlations=[])


@pytest.mark.parametrize("fit", [nothing, no_symbols])
def test_what_was_in_vain_is_tried_again_with_the_next_sample(fit: Fit) -> None:
    fitting, sampled = Fitting(CostModel(FEES), fit), state(101)
    work = fitting(sampled)
    assert work is not None
    asyncio.run(work)
    assert fitting(sampled) is None
    sampled.samples.append(PricesSampled(prices={}, at=BEGINNING))
    again = fitting(sampled)
    assert again is not None
    again.close()


# Settings


def test_a_history_is_read_from_the_file_that_the_settings_name(tmp_path: Any) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("time_ns,symbol,price\n0,A,1.5\n1000000000,A,1.6\n", encoding="utf-8")
    settings = CostSettings(statistics_interval_s=1, statistics_history=str(file))
    assert [sample.prices for sample in load_history(settings, now=NOON)] == [
        {"A": Decimal("1.5")},
        {"A": Decimal("1.6")},
    ]


def test_a_history_that_cannot_be_used_is_refused_with_its_file_and_line(tmp_path: Any) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("time_ns,symbol,price\n0,A,-1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"prices\.csv: line 2: -1 is not"):
        load_history(CostSettings(statistics_history=str(file)), now=NOON)
