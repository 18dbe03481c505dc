"""Does the loop keep its promises? Small deciders on the simulated log, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from bot4_common import service as loop_module
from bot4_common.decider import Emit, Heard, Outgoing, encode_state, hash_state
from bot4_common.log import Chain, ChainBroken, FrameWriter, Into, Record, Snapshot
from bot4_common.memory_log import Broker, Faults, MemoryLog, _MemoryReading
from bot4_common.messages.execution import CancelSent, QuerySent
from bot4_common.messages.frame import Decision, Frame, decode_frame, frame_hash
from bot4_common.messages.gateway import CancelOrder
from bot4_common.messages.market import Quote, SessionHeartbeat, Spoken, Tick, encode_spoken
from bot4_common.messages.risk import CancelApproved, ReservationReleased
from bot4_common.messages.terms import Event, EventId
from bot4_common.service import Runner, Service, Work
from bot4_common.telemetry import Meters, Tracing
from bot4_common.testing import SimulatedLoop

NO_FAULTS = Faults()
FAULTS = Faults(append_lost=0.03, append_ack_lost=0.03, append_twice=0.05, save_lost=0.2, say_lost=0.05, delay=0.01)
ASK_AFTER_NS = 50_000_000


class Book(msgspec.Struct):
    """How many were decided, which of them wait to be asked about, and from when."""

    number: int = 0
    waiting: dict[str, int] = {}


class Bookkeeper:
    """What the two deciders share."""

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        raise AssertionError(f"nobody decides on {heard}")

    def initial(self) -> Book:
        return Book()

    def deadline(self, state: Book) -> int | None:
        return min(state.waiting.values(), default=None)

    def dump(self, state: Book) -> Any:
        return state

    def load(self, data: bytes) -> Book:
        return msgspec.json.decode(data, type=Book)

    def evolve(self, state: Book, event: Event) -> None:
        match event:
            case ReservationReleased():
                state.number += 1
            case CancelSent():
                state.number += 1
                state.waiting[event.child_id] = event.sent_at + ASK_AFTER_NS
            case QuerySent():
                state.waiting.pop(event.child_id, None)


class Approver(Bookkeeper):
    """Approves every cancel but quiet ones, and says as which one: two events of one decision."""

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case CancelOrder(account="quiet"):
                return
            case CancelOrder(order_id=order_id, account=account):
                emit(CancelApproved(order_id=order_id, account=account, reason="requested"))
                emit(ReservationReleased(order_id=order_id, account=account, quantity=Decimal(state.number)))


class Sender(Bookkeeper):
    """Sends every approved cancel, and asks about it some time later."""

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case CancelApproved(order_id=order_id, account=account):
                child = f"{order_id}.{state.number}"
                emit(CancelSent(order_id=order_id, child_id=child, account=account, venue="sim", sent_at=heard.at))
            case Tick(at=at):
                for child in [child for child, due in state.waiting.items() if due <= at]:
                    emit(QuerySent(order_id=child, child_id=child, account="", venue="sim", sent_at=at))


def approving(decider: Bookkeeper | None = None, **given: Any) -> Service[Book]:
    return Service(name="approver", stream="RISK", decider=decider or Approver(), hears=("GATEWAY",), **given)


def sending(decider: Bookkeeper | None = None, **given: Any) -> Service[Book]:
    return Service(name="sender", stream="EXECUTION", decider=decider or Sender(), hears=("RISK",), **given)


@dataclass
class Running:
    service: Service[Book]
    runner: Runner[Book]
    log: MemoryLog
    process: int


class Stage:
    """One broker and the processes that play on it."""

    def __init__(self, loop: SimulatedLoop, broker: Broker) -> None:
        self.loop = loop
        self.broker = broker
        self.log = MemoryLog(broker)
        self.writer = FrameWriter(self.log, "GATEWAY", "gateway", lambda: asyncio.sleep(0.01))

    def start(self, service: Service[Book], standby: bool = False, log: MemoryLog | None = None) -> Running:
        """As a process, whose failure fails the test."""
        log = log or MemoryLog(self.broker)
        runner = self.runner(service, standby, log)
        return Running(service, runner, log, self.loop.spawn(runner.run()))

    def runner(self, service: Service[Book], standby: bool = False, log: MemoryLog | None = None) -> Runner[Book]:
        tracing = Tracing(service.name, 0, None)
        return Runner(service, log or MemoryLog(self.broker), self.loop.clock, Meters(service.name), tracing, standby)

    def kill(self, running: Running) -> None:
        running.log.kill()
        self.loop.kill(running.process)

    async def ask(self, *numbers: int, account: str = "alice") -> None:
        """Callers' cancels, as one frame."""
        await self.writer.store([cancel(n, account) for n in numbers], {}, at=0)

    async def usurp(self, stream: str, writer: str) -> None:
        """Writes a frame under another's name."""
        usurper = FrameWriter(self.log, stream, writer, lambda: asyncio.sleep(0.01))
        await usurper.resume()
        await usurper.store([], {}, at=0)

    def frames(self, stream: str) -> list[Frame]:
        return [decode_frame(record.data) for record in self.broker.streams[stream]]

    def ids(self, stream: str, kind: type[Any]) -> list[str]:
        events = (event for frame in self.frames(stream) for _, event, _ in frame.events(stream, 0))
        return [event.order_id for event in events if isinstance(event, kind)]

    def approved(self) -> list[str]:
        return self.ids("RISK", CancelApproved)

    def folded(self, service: Service[Book], sequence: int) -> bytes:
        """The state as the stream tells it, up to a sequence."""
        state = service.decider.initial()
        for frame in self.frames(service.stream)[:sequence]:
            for _, event, _ in frame.events(service.stream, 0):
                service.decider.evolve(state, event)
        return encode_state(service.decider, state)

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - simulated time costs nothing
                await asyncio.sleep(0.01)


def cancel(number: int, account: str = "alice") -> Decision:
    return Decision(events=[CancelOrder(account=account, order_id=f"{number}")])


def quote(bid: int, symbol: str = "BTC-USDT") -> Spoken:
    one = Decimal(1)
    return Spoken(
        Quote(
            venue="sim", symbol=symbol, bid=Decimal(bid), ask=Decimal(bid + 1), bid_quantity=one, ask_quantity=one, at=0
        )
    )


def heartbeat(number: int) -> Spoken:
    return Spoken(SessionHeartbeat(venue="sim", session="s", session_sequence=number, at=0))


def play(story: Callable[[Stage], Coroutine[Any, Any, None]], seed: int = 1, faults: Faults = NO_FAULTS) -> None:
    loop = SimulatedLoop(seed)
    loop.run(story(Stage(loop, Broker(Random(seed), faults))))


class SlowLog(MemoryLog):
    """Takes a tenth of a second to store."""

    async def append(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        await asyncio.sleep(0.1)
        return await super().append(stream, writer, expected, data)


# Hear, decide, store, tell


def test_every_input_is_decided_and_passed_on() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving())
        stage.start(sending())
        await stage.ask(1, 2)
        await stage.ask(3)
        await stage.until(lambda: len(stage.ids("EXECUTION", QuerySent)) == 3)
        assert stage.approved() == ["1", "2", "3"]
        assert stage.ids("EXECUTION", CancelSent) == ["1", "2", "3"]

    play(story)


def test_a_decision_names_its_cause_and_keeps_its_trace() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving())
        asked = msgspec.structs.replace(cancel(1), trace="00-ab-cd-01")
        await stage.writer.store([cancel(0, account="quiet"), asked], {}, at=0)
        await stage.until(lambda: len(stage.frames("RISK")) == 1)
        [decision] = stage.frames("RISK")[0].decisions
        assert decision.cause == EventId("GATEWAY", 1, 1) and decision.trace == "00-ab-cd-01"

    play(story)


def test_what_comes_while_a_frame_is_stored_becomes_one_frame() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(), log=SlowLog(stage.broker))
        for n in range(50):
            await stage.ask(n)
            await asyncio.sleep(0.01)
        await stage.until(lambda: len(stage.approved()) == 50)
        assert 4 <= len(stage.frames("RISK")) <= 10

    play(story)


def test_a_frame_is_closed_when_it_is_full() -> None:
    async def story(stage: Stage) -> None:
        await stage.ask(*range(600))
        for n in range(600, 2_000):
            await stage.ask(n)
        stage.start(approving())
        await stage.until(lambda: len(stage.approved()) == 2_000)
        assert max(len(frame.decisions) for frame in stage.frames("RISK")[1:]) <= loop_module.FRAME_DECISIONS

    play(story)


def test_nothing_is_told_before_it_is_stored() -> None:
    said: list[int] = []

    async def story(stage: Stage) -> None:
        def told(_: Book, frame: Frame) -> Iterable[Outgoing]:
            assert frame in stage.frames("RISK")
            said.append(frame.number)
            return ()

        stage.start(approving(told=told))
        for n in range(20):
            await stage.ask(n)
        await stage.until(lambda: len(stage.approved()) == 20)
        await asyncio.sleep(0.1)
        assert said == [frame.number for frame in stage.frames("RISK")]

    play(story, faults=FAULTS)


def test_progress_without_decisions_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "QUIET_INPUTS", 10)

    async def story(stage: Stage) -> None:
        stage.start(approving())
        for n in range(25):
            await stage.ask(n, account="quiet")
        await asyncio.sleep(1)
        assert [frame.read for frame in stage.frames("RISK")][-1]["GATEWAY"] >= 20
        assert stage.approved() == []

    play(story)


def test_a_told_message_may_be_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(stage: Stage) -> None:
        heard: list[float] = []
        stage.start(approving(told=lambda _, frame: [Outgoing("late", heartbeat(1), 300_000_000)]))
        await stage.log.listen("late", lambda _: heard.append(stage.loop.time()))
        await asyncio.sleep(1)
        await stage.ask(1)
        await asyncio.sleep(1)
        assert heard == [pytest.approx(1.3, abs=0.01)]

    play(story)


def test_telling_is_not_disturbed_by_what_is_decided_meanwhile() -> None:
    async def story(stage: Stage) -> None:
        def told(state: Book, frame: Frame) -> Iterable[Outgoing]:
            for child in state.waiting:  # grows with the next decision
                yield Outgoing(f"child.{child}", heartbeat(1))

        class Hesitant(MemoryLog):
            async def say(self, subject: str, data: bytes) -> None:
                await asyncio.sleep(0.001)
                await super().say(subject, data)

        stage.start(approving())
        stage.start(sending(told=told, pulse=told), log=Hesitant(stage.broker))
        for n in range(100):
            await stage.ask(n)
        await stage.until(lambda: len(stage.ids("EXECUTION", QuerySent)) == 100)

    play(story)


# The market and the bus


class Watcher(Approver):
    """Remembers what it was given to decide."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        self.heard.append(heard)
        super().decide(state, heard, emit)


def test_of_a_flood_of_quotes_only_the_newest_of_each_market_waits() -> None:
    watcher = Watcher()

    async def story(stage: Stage) -> None:
        runner = stage.runner(approving(watcher, listens=("quote.sim",)))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(0.5)
        for n in range(100_000):
            runner._listen("feed.sim", encode_spoken([quote(n, symbol=f"S{n % 3}")]))
        await asyncio.sleep(0.5)
        runner.stop()
        await running

    play(story)
    assert [str(heard.event.bid) for heard in watcher.heard if isinstance(heard.event, Quote)] == [
        "99999",
        "99997",
        "99998",
    ]


def test_a_decision_sees_the_latest_market() -> None:
    watcher = Watcher()

    async def story(stage: Stage) -> None:
        stage.start(approving(watcher, listens=("quote.sim",), needs_quotes=(("sim", "BTC-USDT"),)))
        await stage.ask(1)
        await asyncio.sleep(0.5)
        await stage.log.say("quote.sim", encode_spoken([quote(7)]))
        await stage.until(lambda: stage.approved() == ["1"])

    play(story)
    [heard] = [heard for heard in watcher.heard if isinstance(heard.event, CancelOrder)]
    assert heard.quotes["sim", "BTC-USDT"].bid == 7


def test_quotes_that_never_come_are_not_waited_for_long() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(listens=("quote.sim",), needs_quotes=(("sim", "BTC-USDT"),)))
        await stage.ask(1)
        await stage.until(lambda: stage.approved() == ["1"], seconds=2)

    play(story)


def test_a_flood_on_the_bus_cannot_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "INBOX_SPOKEN", 100)
    watcher = Watcher()

    async def story(stage: Stage) -> None:
        runner = stage.runner(approving(watcher, listens=("feed.>",)))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(0.5)
        for n in range(1_000):
            runner._listen("feed.sim", encode_spoken([heartbeat(n)]))
        await asyncio.sleep(0.5)
        runner._listen("feed.sim", encode_spoken([heartbeat(1_000)]))
        await asyncio.sleep(0.5)
        runner.stop()
        await running

    play(story)
    numbers = [heard.event.session_sequence for heard in watcher.heard if isinstance(heard.event, SessionHeartbeat)]
    assert numbers == [*range(100), 1_000]


def test_the_log_is_held_back_when_too_many_frames_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "INBOX_FRAMES", 8)
    monkeypatch.setattr(loop_module, "FRAME_DECISIONS", 4)

    async def story(stage: Stage) -> None:
        for n in range(200):
            await stage.ask(n)
        running = stage.start(approving(), log=SlowLog(stage.broker))
        longest = 0
        while len(stage.approved()) < 200:
            await asyncio.sleep(0.01)
            longest = max(longest, len(running.runner._inbox.waiting))
        assert longest <= 8

    play(story)


# Timers


def test_a_deadline_is_met() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving())
        stage.start(sending())
        await asyncio.sleep(1)
        await stage.ask(1)
        await stage.until(lambda: stage.ids("EXECUTION", QuerySent) == ["1.0"])
        assert stage.loop.time() == pytest.approx(1.05, abs=0.011)

    play(story)


class Impatient(Approver):
    """Has a deadline in the past, and does nothing about it."""

    def __init__(self) -> None:
        self.ticks = 0

    def deadline(self, state: Book) -> int | None:
        return 1

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        self.ticks += isinstance(heard.event, Tick)
        super().decide(state, heard, emit)


def test_a_deadline_that_stays_in_the_past_does_not_spin() -> None:
    impatient = Impatient()

    async def story(stage: Stage) -> None:
        stage.start(approving(impatient))
        await asyncio.sleep(1)
        await stage.ask(1)
        await stage.until(lambda: stage.approved() == ["1"])

    play(story)
    assert 0 < impatient.ticks <= 1_100


# Work beside the loop


class Worker:
    """Ten seconds of work, wanted until something was decided; it leads to a cancel of order 99."""

    def __init__(self) -> None:
        self.begun = 0
        self.cut_off = 0

    def __call__(self, state: Book) -> Work | None:
        return self.work() if state.number == 0 else None

    async def work(self) -> Event | None:
        self.begun += 1
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            self.cut_off += 1
            raise
        return cancel(99).events[0]


def test_the_result_of_work_is_decided_like_an_input() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(work=Worker()))
        await stage.until(lambda: stage.approved() == ["99"])
        [decision] = stage.frames("RISK")[0].decisions
        assert decision.cause is None
        assert stage.loop.time() == pytest.approx(10, abs=0.1)

    play(story)


def test_work_is_begun_once_while_it_is_under_way_and_not_after_its_result() -> None:
    worker = Worker()

    async def story(stage: Stage) -> None:
        stage.start(approving(work=worker))
        for _ in range(100):
            await stage.ask(1, account="quiet")
            await asyncio.sleep(0.2)

    play(story)
    assert worker.begun == 1


def test_what_comes_while_work_is_under_way_is_decided_at_once() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(work=Worker()))
        await asyncio.sleep(1)
        await stage.ask(1)
        await stage.until(lambda: stage.approved() == ["1"], seconds=0.1)
        await stage.until(lambda: stage.approved() == ["1", "99"])

    play(story)


def test_work_that_finds_nothing_is_no_input_and_may_be_asked_for_again() -> None:
    class Fruitless(Worker):
        async def work(self) -> Event | None:
            await super().work()
            return None

    worker = Fruitless()

    async def story(stage: Stage) -> None:
        stage.start(approving(work=worker))
        await asyncio.sleep(25)
        assert stage.frames("RISK") == []

    play(story)
    assert worker.begun == 3


def test_work_that_a_crash_cut_off_is_begun_again() -> None:
    worker = Worker()

    async def story(stage: Stage) -> None:
        first = stage.start(approving(work=worker))
        await asyncio.sleep(5)
        stage.kill(first)
        stage.start(approving(work=worker))
        await stage.until(lambda: stage.approved() == ["99"])

    play(story)
    assert worker.begun == 2


def test_a_stop_cuts_work_off() -> None:
    worker = Worker()

    async def story(stage: Stage) -> None:
        runner = stage.runner(approving(work=worker))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        runner.stop()
        await asyncio.wait_for(running, 1)
        assert stage.approved() == []

    play(story)
    assert (worker.begun, worker.cut_off) == (1, 1)


def test_a_leader_that_lost_ends_its_work() -> None:
    worker = Worker()

    async def story(stage: Stage) -> None:
        leader = stage.start(approving(work=worker))
        await asyncio.sleep(1)
        await stage.usurp("RISK", "approver")
        await stage.ask(1)
        await stage.until(lambda: leader.runner.role == "standby", seconds=0.5)
        assert worker.cut_off == 1

    play(story)


def test_a_standby_does_no_work() -> None:
    idle = Worker()

    async def story(stage: Stage) -> None:
        stage.start(approving(work=Worker()))
        await asyncio.sleep(0.5)
        stage.start(approving(work=idle), standby=True)
        await stage.until(lambda: stage.approved() == ["99"])

    play(story)
    assert idle.begun == 0


# Recovery


def test_a_killed_service_goes_on_where_it_was() -> None:
    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        await stage.ask(1, 2)
        await stage.until(lambda: len(stage.approved()) == 2)
        stage.kill(first)
        await stage.ask(3)
        second = stage.start(approving())
        await stage.until(lambda: stage.approved() == ["1", "2", "3"])
        assert encode_state(second.service.decider, second.runner.state) == stage.folded(second.service, 2)

    play(story)


def test_recovery_begins_at_the_snapshot() -> None:
    class Folding(Approver):
        evolved = 0

        def evolve(self, state: Book, event: Event) -> None:
            self.evolved += 1
            super().evolve(state, event)

    decider = Folding()

    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        for n in range(10):
            await stage.ask(n)
        await stage.until(lambda: len(stage.approved()) == 10)
        first.runner.stop()
        await stage.until(lambda: "approver" in stage.broker.snapshots)
        second = stage.start(approving(decider))
        await stage.until(lambda: second.runner.status()["ready"])
        assert second.runner.state.number == 10 and decider.evolved == 0
        await stage.ask(10)
        await stage.until(lambda: len(stage.approved()) == 11)

    play(story)


def test_a_snapshot_is_taken_after_some_time_and_strands_nothing_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "SNAPSHOT_EVENTS", 10)

    async def story(stage: Stage) -> None:
        service = approving()
        stage.start(service, log=SlowLog(stage.broker))
        await asyncio.sleep(1)
        await stage.ask(*range(10))
        await asyncio.sleep(0.05)  # that frame is being stored, and a snapshot is due after it
        await stage.ask(10)
        await stage.until(lambda: len(stage.approved()) == 11, seconds=2)
        taken = stage.broker.snapshots["approver"]
        assert taken.state == stage.folded(service, taken.sequence)

    play(story)


def test_decisions_go_on_while_a_snapshot_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "SNAPSHOT_EVENTS", 1)

    class Saving(SlowLog):
        async def save(self, snapshot: Snapshot) -> None:
            await asyncio.sleep(3600)

    async def story(stage: Stage) -> None:
        stage.start(approving(), log=Saving(stage.broker))
        await asyncio.sleep(1)
        await stage.ask(1)
        await asyncio.sleep(0.05)  # that frame is being stored, and a snapshot is due after it
        await stage.ask(2)
        await stage.until(lambda: stage.approved() == ["1", "2"], seconds=2)

    play(story)


def test_snapshots_keep_coming_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "SNAPSHOT_S", 1.0)

    async def story(stage: Stage) -> None:
        stage.start(approving(), log=SlowLog(stage.broker))
        taken = set()
        for n in range(1_000):
            await stage.ask(n)
            await asyncio.sleep(0.005)
            if "approver" in stage.broker.snapshots:
                taken.add(stage.broker.snapshots["approver"].sequence)
        assert len(taken) >= 3

    play(story)


def test_a_service_is_ready_when_it_has_caught_up_also_under_load() -> None:
    async def story(stage: Stage) -> None:
        for n in range(20):
            await stage.ask(n)
        running = stage.start(approving(), log=SlowLog(stage.broker))
        ready_at = None
        for n in range(20, 400):
            await stage.ask(n)
            await asyncio.sleep(0.005)
            if ready_at is None and running.runner.status()["ready"]:
                ready_at = len(stage.approved())
        assert ready_at is not None and ready_at < 100

    play(story)


def test_a_stop_finishes_what_is_decided_and_saves_it() -> None:
    async def story(stage: Stage) -> None:
        service = approving()
        runner = stage.runner(service, log=SlowLog(stage.broker))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        await stage.ask(1)
        await asyncio.sleep(0.01)
        runner.stop()
        await running
        assert stage.approved() == ["1"]
        assert stage.broker.snapshots["approver"].state == stage.folded(service, 1)

    play(story)


@pytest.mark.parametrize("standby", [False, True])
def test_a_service_that_is_stopped_before_it_leads_never_leads(standby: bool) -> None:
    async def story(stage: Stage) -> None:
        alive: list[bytes] = []
        await stage.log.listen("alive.approver", alive.append)
        await stage.ask(1)
        runner = stage.runner(approving(), standby)
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(0.01)
        runner.stop()
        await running
        assert alive == [] and stage.approved() == [] and runner.role != "leading"

    play(story, faults=Faults(delay=0.02))


# Two of the same


def test_of_two_leaders_one_is_fenced_and_follows() -> None:
    async def story(stage: Stage) -> None:
        both = [stage.start(approving()), stage.start(approving())]
        for n in range(30):
            await stage.ask(n)
            await asyncio.sleep(0.2)
        assert stage.approved() == [f"{n}" for n in range(30)]
        assert sorted(running.runner.role for running in both) == ["leading", "standby"]

    play(story, faults=Faults(delay=0.002))


def test_a_standby_takes_over_when_the_leader_falls_silent() -> None:
    async def story(stage: Stage) -> None:
        leader = stage.start(approving())
        standby = stage.start(approving(), standby=True)
        await stage.ask(1)
        await asyncio.sleep(5)
        assert (leader.runner.role, standby.runner.role) == ("leading", "standby")
        assert standby.runner.state.number == 1 and standby.runner.status()["ready"]
        stage.kill(leader)
        await stage.ask(2)
        killed = stage.loop.time()
        await stage.until(lambda: stage.approved() == ["1", "2"])
        assert stage.loop.time() - killed < loop_module.TAKEOVER_S + 0.1

    play(story)


def test_a_standby_that_heard_nothing_first_reads_what_was_written_meanwhile() -> None:
    async def story(stage: Stage) -> None:
        leader = stage.start(approving())
        standby = stage.start(approving(), standby=True)
        await asyncio.sleep(1)
        stage.broker.faults = Faults(say_lost=1.0, delay=0.3)
        for n in range(5):
            await stage.ask(n)
        await stage.until(lambda: standby.runner.role == "leading")
        stage.kill(leader)
        await stage.until(lambda: stage.approved() == [f"{n}" for n in range(5)])

    play(story)


class LaggingLog(MemoryLog):
    """Its readers hear everything two seconds late."""

    async def read(self, stream: str, after: int, into: Into, failed: Callable[[Exception], None]) -> _MemoryReading:
        loop = asyncio.get_running_loop()

        def later(record: Record) -> None:
            loop.call_later(2, into, record)

        return await super().read(stream, after, later, failed)


def test_a_standby_that_lags_is_not_fenced_by_what_the_leader_wrote_before_it_died() -> None:
    async def story(stage: Stage) -> None:
        leader = stage.start(approving())
        standby = stage.start(approving(), standby=True, log=LaggingLog(stage.broker))
        await asyncio.sleep(1)
        await stage.ask(1)
        await stage.until(lambda: stage.approved() == ["1"])
        stage.kill(leader)
        await stage.ask(2)
        await stage.until(lambda: stage.approved() == ["1", "2"])
        assert standby.runner._meters.registry.get_sample_value("bot4_fenced_total", {"service": "approver"}) == 0

    play(story)


def test_what_was_to_be_said_later_is_not_said_by_a_leader_that_lost() -> None:
    async def story(stage: Stage) -> None:
        heard: list[bytes] = []
        await stage.log.listen("late", heard.append)
        leader = stage.start(approving(told=lambda _, frame: [Outgoing("late", heartbeat(1), 1_000_000_000)]))
        await asyncio.sleep(1)
        await stage.ask(1)
        await stage.until(lambda: len(stage.approved()) == 1)
        await stage.usurp("RISK", "approver")
        await stage.ask(2)
        await stage.until(lambda: leader.runner.role == "standby", seconds=0.5)
        await asyncio.sleep(0.9)
        assert heard == []

    play(story)


# What must not go on


def ends_with(error: type[BaseException], match: str, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(error, match=match):
        play(story)


def test_a_pulse_that_dies_takes_the_service_with_it() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(pulse=lambda state, now: 1 // 0))
        await asyncio.sleep(5)

    ends_with(ZeroDivisionError, "by zero", story)


def test_work_that_dies_takes_the_service_with_it() -> None:
    async def dying() -> Event | None:
        raise ZeroDivisionError("division by zero")

    async def story(stage: Stage) -> None:
        stage.start(approving(work=lambda state: dying()))
        await asyncio.sleep(5)

    ends_with(ZeroDivisionError, "by zero", story)


def test_a_telling_that_dies_takes_the_service_with_it() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving(told=lambda state, frame: 1 // 0))
        await stage.ask(1)
        await asyncio.sleep(5)

    ends_with(ZeroDivisionError, "by zero", story)


def test_a_decider_that_raises_ends_the_service_and_stores_nothing_of_the_decision() -> None:
    class Raising(Approver):
        def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
            super().decide(state, heard, emit)
            if heard.event == cancel(13).events[0]:
                raise AssertionError("thirteen")

    async def story(stage: Stage) -> None:
        runner = stage.runner(approving(Raising()))
        await stage.ask(12)
        running = asyncio.create_task(runner.run())
        await stage.until(lambda: stage.approved() == ["12"])
        await stage.ask(13)
        [outcome] = await asyncio.gather(running, return_exceptions=True)
        assert str(outcome) == "thirteen" and stage.approved() == ["12"]

    play(story)


def test_nothing_is_stored_after_a_frame_that_could_not_be() -> None:
    """The inputs of a lost frame must not be counted as read by the next one."""

    class Refusing(SlowLog):
        async def append(self, stream: str, writer: str, expected: int, data: bytes) -> int:
            if b'"13"' in data:
                raise ValueError("the log does not take this")
            return await super().append(stream, writer, expected, data)

    async def story(stage: Stage) -> None:
        running = asyncio.create_task(stage.runner(approving(), log=Refusing(stage.broker)).run())
        await asyncio.sleep(1)
        for n in (12, 13, 14, 15, 16):
            await stage.ask(n)
            await asyncio.sleep(0.15)
        [outcome] = await asyncio.gather(running, return_exceptions=True)
        assert str(outcome) == "the log does not take this" and stage.approved() == ["12"]

    play(story)


def test_an_input_stream_with_a_hole_is_not_decided_on() -> None:
    async def story(stage: Stage) -> None:
        for n in range(3):
            await stage.ask(n)
        del stage.broker.streams["GATEWAY"][1]
        stage.start(approving())
        await asyncio.sleep(5)

    ends_with(ChainBroken, "does not follow", story)


def test_an_own_stream_with_a_hole_is_not_believed() -> None:
    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        for n in range(3):
            await stage.ask(n)
            await asyncio.sleep(0.1)
        stage.kill(first)
        del stage.broker.streams["RISK"][1]
        stage.start(approving())
        await asyncio.sleep(5)

    ends_with(ChainBroken, "does not follow", story)


def test_an_own_stream_that_ends_before_the_snapshot_is_not_believed() -> None:
    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        await stage.ask(1)
        await stage.until(lambda: len(stage.approved()) == 1)
        first.runner.stop()
        await asyncio.sleep(1)
        stage.broker.streams["RISK"].clear()
        stage.start(approving())
        await asyncio.sleep(5)

    ends_with(ChainBroken, "ends at 0, but had 1", story)


def test_a_leader_whose_stream_lost_its_end_does_not_go_on_from_what_is_left() -> None:
    async def story(stage: Stage) -> None:
        stage.start(approving())
        for n in range(3):
            await stage.ask(n)
            await asyncio.sleep(0.1)
        del stage.broker.streams["RISK"][1:]
        stage.broker._last["RISK", "approver"] = stage.broker.streams["RISK"][-1]
        await stage.ask(3)
        await asyncio.sleep(5)

    ends_with(ChainBroken, "ends at 1, but had 3", story)


def test_the_first_frame_after_a_restart_must_follow_the_last_one_read() -> None:
    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        for n in range(3):
            await stage.ask(n)
        await stage.until(lambda: len(stage.approved()) == 3)
        stage.kill(first)
        for n in range(3, 6):
            await stage.ask(n)
        del stage.broker.streams["GATEWAY"][3]
        stage.start(approving())
        await asyncio.sleep(5)

    ends_with(ChainBroken, "does not follow", story)


def test_an_input_stream_that_ends_before_what_was_read_is_not_decided_on() -> None:
    async def story(stage: Stage) -> None:
        first = stage.start(approving())
        for n in range(3):
            await stage.ask(n)
        await stage.until(lambda: len(stage.approved()) == 3)
        stage.kill(first)
        del stage.broker.streams["GATEWAY"][2]
        stage.start(approving())
        await asyncio.sleep(5)

    ends_with(ChainBroken, "ends at 2, but was read up to 3", story)


def test_losing_an_append_while_stopping_ends_quietly() -> None:
    async def story(stage: Stage) -> None:
        runner = stage.runner(approving(), log=SlowLog(stage.broker))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        await stage.ask(1)
        await asyncio.sleep(0.01)
        await stage.usurp("RISK", "approver")
        runner.stop()
        await running
        assert stage.approved() == []

    play(story)


# Any day: seeded interleavings, faults of the log, and processes killed and started at random moments


class System:
    """An approver and a sender, now one process of each, now two or none, and callers who write what they must."""

    def __init__(self, stage: Stage, seed: int, services: list[Service[Book]]) -> None:
        self.stage = stage
        self.chance = Random(seed)
        self.services = services
        self.running: dict[str, list[Running]] = {service.name: [] for service in services}
        self.callers: tuple[MemoryLog, int] | None = None

    async def live(self) -> None:
        for _ in range(25):
            self.disturb()
            self.snapshots_are_true()
            await asyncio.sleep(self.chance.random() * 0.5)
        self.stage.broker.faults = Faults(delay=0.01)
        self.begin_callers()
        for service in self.services:
            if not self.running[service.name]:
                self.begin(service)
        await self.stage.until(lambda: len(self.stage.ids("EXECUTION", QuerySent)) == len(LOUD))

    def disturb(self) -> None:
        service = self.chance.choice(self.services)
        running = self.running[service.name]
        match self.chance.randrange(6):
            case 0 | 1 if running:
                self.stage.kill(running.pop(self.chance.randrange(len(running))))
            case 2 if running:
                running.pop(self.chance.randrange(len(running))).runner.stop()
            case 3:
                self.begin_callers()
            case _ if len(running) < 2:
                self.begin(service)

    def begin(self, service: Service[Book]) -> None:
        self.running[service.name].append(self.stage.start(service, standby=self.chance.random() < 0.3))

    def begin_callers(self) -> None:
        if self.callers is not None:
            log, process = self.callers
            log.kill()
            self.stage.loop.kill(process)
        log = MemoryLog(self.stage.broker)
        self.callers = log, self.stage.loop.spawn(self.call(log))

    async def call(self, log: MemoryLog) -> None:
        """Goes on after what was written last, whoever wrote it and whether or not it was told so."""
        writer = FrameWriter(log, "GATEWAY", "gateway", lambda: asyncio.sleep(0.01))
        last = await writer.resume()
        asked = 0 if last is None else int(self.stage.ids("GATEWAY", CancelOrder)[-1]) + 1
        while asked < ASKED:
            many = min(self.chance.randrange(1, 6), ASKED - asked)
            numbers = range(asked, asked + many)
            decisions = [cancel(n, "alice" if n in LOUD else "quiet") for n in numbers]
            await writer.store(decisions, {}, at=self.stage.loop.clock())
            asked += many
            await asyncio.sleep(self.chance.random() * 0.1)

    def snapshots_are_true(self) -> None:
        for service in self.services:
            taken = self.stage.broker.snapshots.get(service.name)
            if taken is not None:
                record = self.stage.broker.streams[service.stream][taken.sequence - 1]
                assert taken.state == self.stage.folded(service, taken.sequence)
                assert taken.state_hash == hash_state(taken.state)
                assert (taken.number, taken.hash) == (decode_frame(record.data).number, frame_hash(record.data))
                assert encode_state(service.decider, service.decider.load(taken.state)) == taken.state

    def all_is_well(self) -> None:
        self.snapshots_are_true()
        stage, loud = self.stage, [f"{n}" for n in LOUD]
        assert stage.approved() == loud, "every input is decided once, in order"
        assert stage.ids("EXECUTION", CancelSent) == loud
        children = [f"{id}.{number}" for number, id in enumerate(loud)]
        assert sorted(stage.ids("EXECUTION", QuerySent)) == sorted(children), "every deadline is met once"
        for stream in "GATEWAY", "RISK", "EXECUTION":
            chain = Chain()
            for record in stage.broker.streams[stream]:
                chain.check(decode_frame(record.data), record)
        for running in (running for several in self.running.values() for running in several):
            runner, service = running.runner, running.service
            if runner.role in ("leading", "standby"):
                assert encode_state(service.decider, runner.state) == stage.folded(service, runner.sequence)


ASKED = 60
LOUD = [n for n in range(ASKED) if n % 4]


def simulate(
    seed: int,
    faults: Faults = FAULTS,
    approver: Bookkeeper | None = None,
    broker: type[Broker] = Broker,
) -> str:
    """One life of the system. Returns all that was written, for comparison."""
    loop = SimulatedLoop(seed)
    stage = Stage(loop, broker(Random(seed), faults))
    system = System(stage, seed, [approving(approver), sending()])

    async def story() -> None:
        await system.live()
        await asyncio.sleep(0.5)
        system.all_is_well()

    loop.run(story())
    return hash_state(b"".join(record.data for stream in stage.broker.streams.values() for record in stream))


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that sixty orders meet every bound of the loop."""
    monkeypatch.setattr(loop_module, "SNAPSHOT_EVENTS", 15)
    monkeypatch.setattr(loop_module, "FRAME_DECISIONS", 4)
    monkeypatch.setattr(loop_module, "INPUTS_AT_ONCE", 3)
    monkeypatch.setattr(loop_module, "INBOX_FRAMES", 4)
    monkeypatch.setattr(loop_module, "QUIET_INPUTS", 5)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_every_input_is_decided_once(seed: int) -> None:
    simulate(seed)


@pytest.mark.usefixtures("small_bounds")
def test_one_seed_is_one_history() -> None:
    assert simulate(7) == simulate(7) != simulate(8)


def found(**planted: Any) -> bool:
    """Whether some of thirty seeds goes wrong."""
    for seed in range(30):
        try:
            simulate(seed, **planted)
        except (AssertionError, ChainBroken, TimeoutError):
            return True
    return False


class Unfenced(Broker):
    """Stores whatever comes, whoever wrote meanwhile."""

    def store(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        last = self.last(stream, writer)
        return super().store(stream, writer, last.sequence if last else 0, data)


class Twofold(Approver):
    """Changes the state while it decides."""

    def decide(self, state: Book, heard: Heard, emit: Emit) -> None:
        super().decide(state, heard, emit)
        state.number += isinstance(heard.event, CancelOrder)


class Unsaved(Approver):
    """Forgets to save a part of its state."""

    def load(self, data: bytes) -> Book:
        return Book()


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize(
    "planted",
    [
        {"broker": Unfenced, "faults": Faults(delay=0.01)},
        {"approver": Twofold()},
        {"approver": Unsaved()},
    ],
    ids=["no fence", "state changed outside evolve", "state not saved"],
)
def test_a_planted_fault_is_found(planted: dict[str, Any]) -> None:
    assert found(**planted)
