"""How do requests get into the journal? One append at a time; all that came meanwhile is the next frame."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.idempotency import Key
from bot4_common.log import FrameWriter, Log
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.frame import Decision
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.orders import order_id_of
from bot4_gateway.asked import KEYED, Keyed, key_of, orders_in
from bot4_gateway.dependencies import Dependency
from bot4_gateway.figures import Figures

# A frame is closed at this many decisions (about 200 kB), so that storing and reading it stay short.
FRAME_DECISIONS = 512
# Orders that may wait to be journaled: eight frames, some 10 ms of work for a healthy log.
BACKLOG_MAX = 4_096
# Cancels and kill switches find room when orders do not: they make things smaller.
CONTROLS_MAX = 1_024
# Changes of breakers that wait to be journaled: the last minute of an outage, whose older ones say nothing new.
CHANGES_MAX = 100
# A pause before an append without answer is tried again.
RETRY_S = 0.05

Command = (
    Keyed
    | AmendOrder
    | CancelOrder
    | EngageKillSwitch
    | ResetKillSwitch
    | SetLimits
    | RebaseEquity
    | SetGate
    | RegisterStrategy
    | RecordSignal
    | BreakerChanged
)
# Finds no room in a full queue: it may make things larger.
_ENLARGING = (*KEYED, AmendOrder)
# Waits for a log that does not answer, whoever else is sent away: it must happen as soon as it can.
_WAITING = (CancelOrder, EngageKillSwitch)


@dataclass(slots=True, eq=False)
class Submission:
    """A request on its way into the journal. By being stored it gets its id and `at` (ns); `callers` wait for that."""

    command: Command
    trace: str | None
    id: str = ""
    at: int = 0
    callers: list[asyncio.Future[bool]] = field(default_factory=list)


class Intake:
    """Everything that was taken and that the streams have not yet told again."""

    def __init__(
        self,
        log: Log,
        clock: Callable[[], int],
        name: str,
        figures: Figures,
        backlog_max: int,
        appends: Dependency,
    ) -> None:
        """`appends` is the log as far as it takes frames."""
        self._clock = clock
        self._appends = appends
        self._figures = figures
        self._backlog_max = backlog_max
        self._writer = FrameWriter(log, streams.GATEWAY, name, self._pause)
        # What is to be stored next, and what is being stored.
        self._queue: deque[Submission] = deque()
        self._batch: list[Submission] = []
        self._changes: deque[BreakerChanged] = deque(maxlen=CHANGES_MAX)
        self._submitted = asyncio.Event()
        # What has a key, by it, until it is read back; and what is stored, by sequence, until then.
        self._keyed: dict[Key, Submission] = {}
        self._stored: dict[int, list[Submission]] = {}
        self._read_back = 0

    def __len__(self) -> int:
        """How many wait to be stored next."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        return not self._queue and not self._batch and not self._changes

    @property
    def sequence(self) -> int:
        """Where our last frame stands."""
        return self._writer.sequence

    def under(self, key: Key) -> Submission | None:
        """What is on its way under this key."""
        return self._keyed.get(key)

    def submit(self, command: Command, trace: str | None) -> Submission:
        """Raises `Refused` when the queue is full or the log is away. A kill switch goes ahead of everything."""
        room = self._backlog_max if isinstance(command, _ENLARGING) else self._backlog_max + CONTROLS_MAX
        if len(self._queue) >= room:
            raise Refused("OVERLOADED", queued=str(len(self._queue)))
        if not isinstance(command, _WAITING):
            self._appends.check()
        submission = Submission(command, trace)
        if isinstance(command, EngageKillSwitch):
            self._queue.appendleft(submission)
        else:
            self._queue.append(submission)
        if isinstance(command, KEYED):
            self._keyed[key_of(command)] = submission
        self._submitted.set()
        return submission

    def note(self, change: BreakerChanged) -> None:
        """To be journaled as soon as that is possible."""
        self._changes.append(change)
        self._submitted.set()

    def read_back(self, sequence: int) -> None:
        """The stream has told this frame; what was in it is recognised by what was read from here on."""
        self._read_back = sequence
        self._let_go(self._stored.pop(sequence, []))

    async def resume(self) -> None:
        """Goes on behind the last frame that was ever written under this name."""
        await self._writer.resume()

    async def run(self, idle: Callable[[], None]) -> None:
        """Stores what is submitted, for ever; `idle` hears when there is nothing left. Raises `Fenced`."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            while self._queue or self._changes:
                self._batch = [Submission(change, None) for change in self._changes]
                self._changes.clear()
                self._batch += [self._queue.popleft() for _ in range(min(len(self._queue), FRAME_DECISIONS))]
                await self._store(self._batch)
                self._batch = []
            idle()

    def abandon(self) -> None:
        """Nothing more can be stored: whoever waits for that need not wait any longer."""
        for submission in (*self._batch, *self._queue):
            finish(submission.callers, False)

    async def _store(self, batch: list[Submission]) -> None:
        decisions = [Decision(events=[submission.command], trace=submission.trace) for submission in batch]
        started = self._clock()
        self._appends.begin()
        frame, sequence = await self._writer.store(decisions, {}, started)
        self._appends.end(True)
        for index, submission in enumerate(batch):
            submission.id, submission.at = order_id_of(sequence, index), frame.decided_at
            finish(submission.callers)
        # The stream may have been quicker than the answer to the append.
        if sequence <= self._read_back:
            self._let_go(batch)
        else:
            self._stored[sequence] = batch
        self._figures.append.observe((self._clock() - started) / 1e9)
        self._figures.frames.inc()
        self._figures.events.inc(len(batch))
        self._figures.sequence.set(sequence)

    def _let_go(self, batch: list[Submission]) -> None:
        for submission in batch:
            command = submission.command
            if isinstance(command, KEYED):
                del self._keyed[key_of(command)]
                self._figures.accepted.inc(orders_in(command))

    async def _pause(self) -> None:
        self._figures.unknown.inc()
        self._appends.end(False)
        await asyncio.sleep(RETRY_S)
        self._appends.begin()


def finish(waiting: list[asyncio.Future[bool]], well: bool = True) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(well)
