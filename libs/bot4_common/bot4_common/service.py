"""How does a decider run? One loop: hear, decide, store, tell; the same for every service, on any log.

Inputs are decided as they come; what was decided while a frame was being stored becomes the next frame (group
commit). Nothing is told to anybody before it is stored. Recovery is the beginning of every run: newest snapshot,
own frames after it, then the inputs from where the own frames had read them. Losing an append to another process
means that our state is not the truth: it is thrown away, and this process follows until the other falls silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from bot4_common.decider import Decider, Heard, Outgoing, State, encode_state, hash_state
from bot4_common.log import (
    AppendUnknown,
    Chain,
    ChainBroken,
    Fenced,
    FrameWriter,
    Log,
    Reading,
    Record,
    Snapshot,
)
from bot4_common.messages.frame import Decision, Frame, decode_frame
from bot4_common.messages.market import Quote, Spoken, Tick, decode_spoken, encode_spoken
from bot4_common.messages.terms import Event, EventId
from bot4_common.telemetry import Meters, Tracing

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# What takes too long to be decided on the spot: its result is heard like any other input; none is no input.
Work: TypeAlias = Coroutine[Any, Any, Event | None]

# A frame is closed at this many decisions or events (about 256 kB), so that storing and reading it stay short.
FRAME_DECISIONS = 512
FRAME_EVENTS = 1_024
# Inputs decided before storing and answering get their turn: a few milliseconds.
INPUTS_AT_ONCE = 512
# Input frames that may wait here; beyond it the log is asked to hold back.
INBOX_FRAMES = 1_024
# Messages of the bus that may wait here. Beyond it they are dropped, as the bus itself may: a session feed has gaps
# repeated, and quotes do not count, because of each market only the newest waits.
INBOX_SPOKEN = 10_000
# Progress without any decision is recorded this often, to bound what is decided again after a restart.
QUIET_INPUTS = 2_000
# A snapshot bounds recovery; it is taken after this many own events, or this long after the last one.
SNAPSHOT_EVENTS = 100_000
SNAPSHOT_S = 30.0
# The leader says that it lives; after five silent beats a standby takes over. The fence makes a mistake harmless.
PULSE_S = 0.2
TAKEOVER_S = 1.0
# How long a service that needs quotes waits for the first ones; a living venue says them five times a second.
QUOTES_S = 1.0
# A pause before an append without answer is tried again.
RETRY_S = 0.05
# What goes out in one message on the bus, some 100 kB at most.
SPOKEN_AT_ONCE = 256
# A deadline that is still in the past after its tick is looked at again this much later, not at once and for ever.
OVERDUE_S = 0.001


def _nothing(*_: Any) -> Iterable[Outgoing]:
    return ()


def no_work(_: Any) -> Work | None:
    return None


@dataclass(frozen=True)
class Service(Generic[State]):
    """A service is a value: who it is, what it decides, what it hears, and what it says besides its stream."""

    name: str
    stream: str
    decider: Decider[State]
    hears: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    # Markets (venue and symbol) whose quotes are waited for, a moment, before the first decision: a market refusal
    # should mean it.
    needs_quotes: tuple[tuple[str, str], ...] = ()
    # What is told after a frame is stored, when the state may be ahead of it; and what is told a few times a second,
    # while everything decided is stored.
    told: Callable[[State, Frame], Iterable[Outgoing]] = _nothing
    pulse: Callable[[State, int], Iterable[Outgoing]] = _nothing
    # The work that the state asks for, if any. It is asked in every turn of the loop, so the answer has to be quick;
    # not while earlier work is under way, because there is one at a time. Nothing waits for it. What a stop or the loss
    # of the lead cuts off, the state asks for again.
    work: Callable[[State], Work | None] = no_work


class _Market(NamedTuple):
    """Holds the place of a market's newest quote among what waits."""

    venue: str
    symbol: str


class _Said(NamedTuple):
    """What was heard on the bus, and where."""

    subject: str
    spoken: Spoken


@dataclass
class _Inbox:
    """What was heard and not yet decided: frames with their place, single messages of the bus, and quotes."""

    waiting: deque[tuple[str, int, Frame] | _Said | _Market] = field(default_factory=deque)
    frames: int = 0
    spoken: int = 0
    quotes: dict[_Market, _Said] = field(default_factory=dict)
    room: asyncio.Event = field(default_factory=asyncio.Event)


class Runner(Generic[State]):
    """Runs one service until `stop`. Raises `ChainBroken` when the log cannot be trusted."""

    def __init__(
        self,
        service: Service[State],
        log: Log,
        clock: Callable[[], int],
        meters: Meters,
        tracing: Tracing,
        standby: bool,
    ) -> None:
        self._service = service
        self._log = log
        self._clock = clock
        self._meters = meters
        self._tracing = tracing
        self._standby = standby
        self._stopping = False
        self._wake = asyncio.Event()
        # The newest own frame that this process has ever known of. A log that ends before it has lost it.
        self._known_end = 0
        self.role = "starting"
        self._forget()

    def _forget(self) -> None:
        """Drops everything that was believed: it is read from the log again."""
        service = self._service
        self.state = service.decider.initial()
        self.sequence = 0
        self._own = Chain()
        self._read: dict[str, int] = {}
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._inbox = _Inbox()
        self._chains = {stream: Chain() for stream in service.hears}
        self._pending: list[Decision] = []
        self._pending_events = 0
        self._pending_since = 0
        self._quiet = 0
        # The tasks of a leader, none of which may die unnoticed.
        self._storing: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._working: asyncio.Task[Event | None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._targets: dict[str, int] = {}
        self._events_since_snapshot = 0
        self._ready = False

    def stop(self) -> None:
        """Finishes what is decided, then ends `run`."""
        self._stopping = True
        self._wake.set()

    def status(self) -> dict[str, Any]:
        return {
            "service": self._service.name,
            "ready": self._ready,
            "role": self.role,
            "sequence": self.sequence,
            "read": dict(self._read),
        }

    async def run(self) -> None:
        while not self._stopping:
            try:
                await self._recover()
                if not self._stopping:
                    await self._lead()
            except Fenced as fenced:
                logger.warning("%s: %s; following", self._service.name, fenced)
                self._meters.fenced.inc()
                self._standby = True

    # Following: the state is the fold of the own frames.

    async def _recover(self) -> None:
        self._forget()
        self._set_role("recovering")
        started = self._clock()
        service = self._service
        snapshot = await self._log.saved(service.name)
        if snapshot is not None:
            self.state = service.decider.load(snapshot.state)
            self.sequence, self._read = snapshot.sequence, dict(snapshot.read)
            self._known_end = max(self._known_end, snapshot.sequence)
            self._own.trust(service.name, snapshot.number, snapshot.hash)
        reading = await self._log.read(service.stream, self.sequence, self._fold, self._fail)
        try:
            await self._catch_up()
            self._meters.recovery.set((self._clock() - started) / 1e9)
            if self._standby:
                await self._stand_by()
                # The silence may have been ours: what the leader wrote meanwhile comes before what we write.
                await self._catch_up()
        finally:
            await reading.stop()

    async def _catch_up(self) -> None:
        stream, end, known = self._service.stream, await self._log.end(self._service.stream), self._known_end
        if end < known:
            raise ChainBroken(f"{stream} ends at {end}, but had {known}")
        while self.sequence < end and not self._stopping:
            await self._woken(None)

    def _fold(self, record: Record) -> None:
        frame = decode_frame(record.data)
        self._own.check(frame, record)
        for decision in frame.decisions:
            for event in decision.events:
                self._service.decider.evolve(self.state, event)
            self._events_since_snapshot += len(decision.events)
        self._read.update(frame.read)
        self.sequence = record.sequence
        self._known_end = max(self._known_end, record.sequence)
        self._wake.set()

    async def _stand_by(self) -> None:
        """Follows until the leader has been silent for `TAKEOVER_S`."""
        self._set_role("standby")
        self._ready = True
        heard_at = self._clock()

        def hear(_: bytes) -> None:
            nonlocal heard_at
            heard_at = self._clock()

        listening = await self._log.listen(f"alive.{self._service.name}", hear)
        try:
            while self._clock() - heard_at < TAKEOVER_S * 1e9 and not self._stopping:
                await self._woken(heard_at + int(TAKEOVER_S * 1e9))
        finally:
            await listening.stop()
        self._standby = False
        self._ready = False
        logger.info("%s: the leader is silent, taking over", self._service.name)

    # Leading: hear, decide, store, tell.

    async def _lead(self) -> None:
        service = self._service
        self._set_role("leading")
        self._writer = FrameWriter(self._log, service.stream, service.name, self._pause)
        self._writer.follow(self.sequence, *self._own.last(service.name))
        opened: list[Reading] = []
        try:
            for stream in service.hears:
                read, end = self._read.get(stream, 0), await self._log.end(stream)
                if end < read:
                    raise ChainBroken(f"{stream} ends at {end}, but was read up to {read}")
                self._targets[stream] = end
                # From the last frame consumed, not after it: its hash is what the next one must follow.
                opened.append(await self._log.read(stream, max(read - 1, 0), partial(self._hear, stream), self._fail))
            for subject in service.listens:
                opened.append(await self._log.listen(subject, partial(self._listen, subject)))
            self._beating = self._begin(self._beat())
            await self._await_quotes()
            await self._decide_and_store()
        finally:
            self._ready = False
            await self._end_tasks()
            for reading in opened:
                await reading.stop()

    def _begin(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """A task whose end, good or bad, the loop looks at."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _end_tasks(self) -> None:
        """Nothing of this life goes on in the next one. An append that is cut off is one whose outcome is unknown."""
        begun = (self._storing, self._saving, self._beating, self._working, *self._telling)
        tasks = [task for task in begun if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _await_quotes(self) -> None:
        until = self._clock() + int(QUOTES_S * 1e9)
        while any(market not in self._quotes for market in self._service.needs_quotes) and self._clock() < until:
            if self._stopping:
                return
            await self._woken(until)

    async def _decide_and_store(self) -> None:
        snapshot_at = self._clock() + int(SNAPSHOT_S * 1e9)
        while not self._stopping or self._pending or self._storing:
            snapshot_due = self._saving is None and self._snapshot_due(snapshot_at)
            if snapshot_due and not self._pending and self._storing is None:
                self._saving = self._begin(self._save(self._snapshot()))
                snapshot_at = self._clock() + int(SNAPSHOT_S * 1e9)
                snapshot_due = False
            # A snapshot, and the end, wait until everything decided is stored: nothing more is decided meanwhile.
            draining = snapshot_due or self._stopping
            if not draining:
                self._decide()
                self._begin_work()
            if (self._pending or self._quiet >= QUIET_INPUTS) and self._storing is None:
                self._storing = self._begin(self._store())
            if not self._ready:
                self._ready = all(self._read.get(stream, 0) >= end for stream, end in self._targets.items())
            if draining or self._full():
                await self._woken(None)
            elif self._inbox.waiting:
                await asyncio.sleep(0)
            else:
                await self._woken(self._service.decider.deadline(self.state))
            self._check_tasks()
        if self._saving is not None:
            await self._saving
        if self._events_since_snapshot:
            await self._save(self._snapshot())

    def _check_tasks(self) -> None:
        """Raises what any of the tasks died of, before anything else is decided or stored."""
        if self._storing is not None and self._storing.done():
            self._storing.result()
            self._storing = None
        if self._saving is not None and self._saving.done():
            self._saving.result()
            self._saving = None
        if self._beating is not None and self._beating.done():
            self._beating.result()
        if self._failure is not None:
            raise self._failure

    def _hear(self, stream: str, record: Record) -> Awaitable[object] | None:
        frame = decode_frame(record.data)
        if record.sequence <= self._read.get(stream, 0):
            self._chains[stream].anchor(frame, record.data)
            return None
        self._chains[stream].check(frame, record)
        inbox = self._inbox
        inbox.waiting.append((stream, record.sequence, frame))
        inbox.frames += 1
        self._wake.set()
        if inbox.frames < INBOX_FRAMES:
            return None
        inbox.room.clear()
        return inbox.room.wait()

    def _listen(self, subject: str, data: bytes) -> None:
        for spoken in decode_spoken(data):
            self._take(_Said(subject, spoken))
        self._wake.set()

    def _take(self, said: _Said) -> None:
        inbox, event = self._inbox, said.spoken.event
        if isinstance(event, Quote):
            market = _Market(event.venue, event.symbol)
            self._quotes[market] = event
            if market not in inbox.quotes:
                inbox.waiting.append(market)
            inbox.quotes[market] = said
        elif inbox.spoken < INBOX_SPOKEN:
            inbox.waiting.append(said)
            inbox.spoken += 1
        else:
            self._meters.dropped.inc()

    def _full(self) -> bool:
        return len(self._pending) >= FRAME_DECISIONS or self._pending_events >= FRAME_EVENTS

    def _decide(self) -> None:
        now = self._clock()
        inbox, waiting = self._inbox, self._inbox.waiting
        deadline = self._service.decider.deadline(self.state)
        if deadline is not None and deadline <= now and not self._full():
            self._decide_one(Tick(at=now), None, now, None)
        if self._working is not None and self._working.done() and not self._full():
            self._decide_work(self._working, now)
            self._working = None
        inputs = 0
        while waiting and inputs < INPUTS_AT_ONCE and not self._full():
            heard = waiting.popleft()
            inputs += 1
            if isinstance(heard, _Market):
                self._decide_said(inbox.quotes.pop(heard), now)
            elif isinstance(heard, _Said):
                inbox.spoken -= 1
                self._decide_said(heard, now)
            else:
                stream, sequence, frame = heard
                inbox.frames -= 1
                for id, event, decision in frame.events(stream, sequence):
                    inputs += 1
                    self._decide_one(event, id, now, decision.trace)
                self._read[stream] = sequence
        if inbox.frames < INBOX_FRAMES // 2:
            inbox.room.set()
        self._meters.inbox.set(inbox.frames)

    def _begin_work(self) -> None:
        if self._working is None:
            work = self._service.work(self.state)
            if work is not None:
                self._working = self._begin(work)

    def _decide_work(self, work: asyncio.Task[Event | None], now: int) -> None:
        """Raises what the work died of."""
        found = work.result()
        if found is not None:
            self._decide_one(found, None, now, None)

    def _decide_said(self, said: _Said, now: int) -> None:
        self._decide_one(said.spoken.event, None, now, said.spoken.trace, said.subject)

    def _decide_one(self, event: Event, id: EventId | None, now: int, trace: str | None, subject: str = "") -> None:
        decider, state = self._service.decider, self.state
        events: list[Any] = []

        def emit(own: Event) -> None:
            decider.evolve(state, own)
            events.append(own)

        decider.decide(state, Heard(event, id, now, self._quotes, subject), emit)
        self._meters.inputs.inc()
        if id is not None:
            self._quiet += 1
        if events:
            if not self._pending:
                self._pending_since = now
            self._pending.append(Decision(events=events, cause=id, trace=trace))
            self._pending_events += len(events)

    async def _store(self) -> None:
        while self._pending or self._quiet >= QUIET_INPUTS:
            decisions, since, read = self._pending, self._pending_since, dict(self._read)
            self._events_since_snapshot += self._pending_events
            self._pending, self._pending_events, self._quiet = [], 0, 0
            self._wake.set()
            started = self._clock()
            frame, self.sequence = await self._writer.store(decisions, read, started)
            self._known_end = self.sequence
            self._note(frame, since, started)
            await self._say(self._service.told(self.state, frame))

    def _note(self, frame: Frame, since: int, started: int) -> None:
        now = self._clock()
        meters = self._meters
        meters.append.observe((now - started) / 1e9)
        meters.frames.inc()
        meters.events.inc(sum(len(decision.events) for decision in frame.decisions))
        meters.sequence.set(self.sequence)
        for decision in frame.decisions:
            if decision.trace is not None:
                name = f"{self._service.name} {decision.events[0].__struct_config__.tag}"
                attributes = {"stream": self._service.stream, "sequence": str(self.sequence)}
                self._tracing.record(name, decision.trace, since, now, attributes)

    async def _say(self, told: Iterable[Outgoing]) -> None:
        """What is due at once goes out together, per subject; what is delayed goes alone."""
        at_once: dict[str, list[Spoken]] = {}
        # All of it is looked up before the first of it goes out: the state may change meanwhile.
        for outgoing in told:
            if outgoing.delay_ns <= 0:
                at_once.setdefault(outgoing.subject, []).append(outgoing.spoken)
                continue
            data = encode_spoken([outgoing.spoken])
            task = asyncio.create_task(self._say_later(outgoing.subject, data, outgoing.delay_ns / 1e9))
            self._telling.add(task)
            task.add_done_callback(self._said)
        for subject, spoken in at_once.items():
            for start in range(0, len(spoken), SPOKEN_AT_ONCE):
                await self._log.say(subject, encode_spoken(spoken[start : start + SPOKEN_AT_ONCE]))

    async def _say_later(self, subject: str, data: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._log.say(subject, data)

    def _said(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())

    async def _beat(self) -> None:
        while True:
            await self._log.say(f"alive.{self._service.name}", b"")
            # While something is decided and not stored, the state is ahead of what may be told.
            if not self._pending and self._storing is None:
                await self._say(self._service.pulse(self.state, self._clock()))
            await asyncio.sleep(PULSE_S)

    def _snapshot_due(self, at: int) -> bool:
        return self._events_since_snapshot >= SNAPSHOT_EVENTS or (
            self._events_since_snapshot > 0 and self._clock() >= at
        )

    def _snapshot(self) -> Snapshot:
        """Only when nothing is decided and not stored, so that the state is that of the last frame."""
        state = encode_state(self._service.decider, self.state)
        self._events_since_snapshot = 0
        return Snapshot(
            writer=self._service.name,
            sequence=self.sequence,
            number=self._writer.number,
            hash=self._writer.hash,
            read=dict(self._read),
            state_hash=hash_state(state),
            state=state,
        )

    async def _save(self, snapshot: Snapshot) -> None:
        try:
            await self._log.save(snapshot)
        except AppendUnknown as error:
            logger.warning("%s: no snapshot this time: %s", self._service.name, error)

    async def _pause(self) -> None:
        self._meters.unknown.inc()
        await asyncio.sleep(RETRY_S)

    def _fail(self, error: BaseException | None) -> None:
        """Keeps the first error: what follows it may be only its consequence."""
        self._failure = self._failure or error
        self._wake.set()

    async def _woken(self, deadline: int | None) -> None:
        """Waits for something to do, until `deadline` (ns) at the latest; raises what went wrong meanwhile."""
        timer = None
        if deadline is not None:
            left = deadline - self._clock()
            delay = left / 1e9 if left > 0 else OVERDUE_S
            timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        if timer is not None:
            timer.cancel()
        if self._failure is not None:
            raise self._failure

    def _set_role(self, role: str) -> None:
        self.role = role
        self._meters.leading.set(role == "leading")
        logger.info("%s: %s", self._service.name, role)
