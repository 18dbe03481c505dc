"""What happens to a request between its caller and the journal? Checked, recognised, journaled, waited for.

The desk decides nothing about an order: it says what was asked, and answers with what the streams tell of it. It is
the gateway without HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.idempotency import CAPACITY, WINDOW_NS
from bot4_common.instruments import Instrument, check
from bot4_common.log import AppendUnknown, ChainBroken, Log, Reading
from bot4_common.messages.estimate import SUBJECT, Estimate, EstimateRefused, EstimateRequest, decode_answer
from bot4_common.messages.execution import CancelRejected
from bot4_common.messages.frame import AnyEvent, Frame, encode
from bot4_common.messages.gateway import CancelOrder, EngageKillSwitch, PlaceOrder, ResetKillSwitch
from bot4_common.messages.market import Quote, decode_spoken
from bot4_common.messages.risk import CancelApproved, CancelRefused, KillSwitchEngaged, KillSwitchReset
from bot4_common.messages.terms import Order
from bot4_common.orders import AT_VENUE, OVER, RANK, OrderRecord, fingerprint
from bot4_common.venues import VenueDefinition
from bot4_gateway.asked import Asked, Placed
from bot4_gateway.figures import Figures
from bot4_gateway.history import PAGE
from bot4_gateway.reading import Follower
from bot4_gateway.snapshots import Image, load, save
from bot4_gateway.views import FILLS_MAX, FINISHED_MAX, KillSwitch, Result, View
from bot4_gateway.writing import BACKLOG_MAX, Intake, Submission, finish

logger = logging.getLogger(__name__)

# Callers that may wait at a time, those that repeat a request in flight included; each holds a connection.
CALLERS_MAX = 16_384
# Strategies of one account: positions are kept for ever, by strategy, and whoever names them is a caller.
STRATEGIES_MAX = 1_000
# How long a caller waits before it hears how things stand.
TIMEOUT_S = 2.0
# The cost model answers from memory; a second means that it is not there.
ESTIMATE_TIMEOUT_S = 1.0
# A snapshot bounds recovery; it is taken after this many events, or this long after the last one.
SNAPSHOT_EVENTS = 100_000
SNAPSHOT_S = 30.0

HEARS = streams.JOURNALED

Ack = Literal["journaled", "risk", "venue"]

_REACHED: dict[Ack, int] = {"journaled": RANK["received"], "risk": RANK["approved"], "venue": AT_VENUE}
# Visible ASCII: what any database, terminal and venue takes.
_NAME = re.compile(r"[!-~]{1,64}")
REASON_MAX = 200


class Answer(NamedTuple):
    """`settled` says whether the order came as far as the caller wanted to wait; if not, this is how things stand."""

    record: OrderRecord
    duplicate: bool
    settled: bool


@dataclass(slots=True, eq=False)
class Waiter:
    """One caller, and which news ends the waiting."""

    met: Callable[[OrderRecord, AnyEvent], bool]
    done: asyncio.Future[bool]


class Desk:
    """One replica. `name` is its own alone: it writes the shared stream under it. `clock` gives ns since the epoch.
    `venues` are those that orders may go to; which of them an order gets that names none is for risk to say."""

    def __init__(
        self,
        log: Log,
        clock: Callable[[], int],
        name: str,
        instruments: Mapping[str, Instrument],
        venues: Mapping[str, VenueDefinition],
        figures: Figures | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        window_ns: int = WINDOW_NS,
        keys_max: int = CAPACITY,
        finished_max: int = FINISHED_MAX,
        fills_max: int = FILLS_MAX,
        page: int = PAGE,
        backlog_max: int = BACKLOG_MAX,
    ) -> None:
        self.name = name
        self.instruments = instruments
        self.venues = venues
        self.figures = figures or Figures(name)
        self.view = View(finished_max, fills_max, page)
        self.ready = False
        self._log = log
        self._clock = clock
        self._timeout_s = timeout_s
        self._asked = Asked(window_ns, keys_max)
        self._follower = Follower(log, HEARS, self._take, self._asked.take, self._fail)
        self._intake = Intake(log, clock, name, self.figures, backlog_max)
        self._listening: list[Reading] = []
        # Who waits for news of an order, and of an account's kill switch.
        self._waiting: dict[str, list[Waiter]] = {}
        self._switching: dict[str, list[asyncio.Future[bool]]] = {}
        self._callers = 0
        self._events_since_snapshot = 0
        self._stopping = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self.figures.show(self._intake.__len__, lambda: self._callers, self._asked.__len__, lambda: self._asked.counts)

    # What callers ask for

    async def place(self, account: str, order: Order, ack: Ack = "venue", trace: str | None = None) -> Answer:
        """Raises `Refused`: nothing was done, or, with OUTCOME_UNKNOWN, it is not known yet whether it will be."""
        self._check_open()
        self._check_names(account, order)
        check(order, self.instruments)
        self._check_venue(order.venue)
        deadline = self._deadline()
        command = PlaceOrder(account=account, order=order)
        submission = self._intake.order(account, order.client_order_id)
        duplicate = submission is not None
        if submission is not None:
            if submission.command != command:
                raise Refused("KEY_REUSED", client_order_id=order.client_order_id)
            self.figures.duplicates.inc()
        else:
            first = self._asked.first(account, order.client_order_id, self._clock())
            if first is not None:
                return await self._repeat(account, first, order, ack, deadline)
            submission = self._intake.submit(command, trace)
        await self._journaled(submission, deadline)
        settled = await self.wait(account, submission.id, ack, deadline)
        record = self.view.order(account, submission.id)
        if record is None:
            # Stored, but not yet read back.
            record = OrderRecord(order_id=submission.id, account=account, order=order, received_at=submission.at)
        first = self._first_of(record, ack)
        if first is not None:
            return await self._repeat(account, first, order, ack, deadline)
        return Answer(record, duplicate, settled)

    async def cancel(self, account: str, order_id: str, ack: Ack = "venue", trace: str | None = None) -> Answer:
        """Raises `Refused`: at once when there is nothing to cancel, later when risk or the venue says so."""
        self._check_open()
        record = self.order(account, order_id)
        if record.is_over:
            raise _over(record)
        deadline = self._deadline()
        refusals: list[str] = []

        def met(record: OrderRecord, event: AnyEvent) -> bool:
            if isinstance(event, CancelRefused) or (
                # Until the order is there the venue cannot know what to cancel, and will be told again.
                isinstance(event, CancelRejected) and RANK[record.status] >= AT_VENUE
            ):
                refusals.append(event.code)
                return True
            return record.is_over or (ack == "risk" and isinstance(event, CancelApproved))

        # Watching begins before the command is stored, so that no word on it is missed.
        waiter = self._watch(order_id, met)
        try:
            command = CancelOrder(account=account, order_id=order_id)
            await self._journaled(self._intake.submit(command, trace), deadline)
            settled = ack == "journaled" or await self._within(deadline, waiter.done)
        finally:
            self._unwatch(order_id, waiter)
        return _cancelled(record, refusals, settled)

    async def kill(self, account: str, reason: str, trace: str | None = None) -> tuple[KillSwitch, bool]:
        """The kill switch as it then stands, and whether it is engaged by now. It goes ahead of all orders."""
        return await self._switch(EngageKillSwitch(account=account, reason=reason), True, trace)

    async def reset(self, account: str, reason: str, trace: str | None = None) -> tuple[KillSwitch, bool]:
        """The kill switch as it then stands, and whether it is reset by now."""
        if not self.view.kill_switch(account).engaged:
            raise Refused("KILL_SWITCH_NOT_ENGAGED")
        return await self._switch(ResetKillSwitch(account=account, reason=reason), False, trace)

    async def estimate(self, request: EstimateRequest) -> Estimate:
        """Raises `Refused` when it cannot be told, or the cost model is not there."""
        if request.symbol not in self.instruments:
            raise Refused("UNKNOWN_SYMBOL", symbol=request.symbol)
        self._check_venue(request.venue)
        try:
            answer = decode_answer(await self._log.ask(SUBJECT, encode(request), ESTIMATE_TIMEOUT_S))
        except TimeoutError:
            raise Refused("UNAVAILABLE", service="cost-model") from None
        if isinstance(answer, EstimateRefused):
            raise Refused(answer.code, **answer.details)
        return answer

    def order(self, account: str, order_id: str) -> OrderRecord:
        """Raises `Refused` when the account has no such order, or it was over too long ago to be remembered."""
        record = self.view.order(account, order_id)
        if record is None:
            raise Refused("UNKNOWN_ORDER", order_id=order_id)
        return record

    def results(self, account: str) -> list[Result]:
        """What each strategy has earned, by quote currency."""
        return self.view.results(account, self._currency_of)

    async def wait(self, account: str, order_id: str, ack: Ack, deadline: float) -> bool:
        """Whether the order has come as far as `ack` before `deadline` (time of the event loop)."""
        record = self.view.order(account, order_id)
        if record is not None and _has_reached(record, ack):
            return True
        waiter = self._watch(order_id, lambda record, _: _has_reached(record, ack))
        try:
            return await self._within(deadline, waiter.done)
        finally:
            self._unwatch(order_id, waiter)

    # Repeats

    def _first_of(self, record: OrderRecord, ack: Ack) -> Placed | None:
        """Whom a journaled submission repeats, if any: as risk says, or, before it speaks, by the rule it applies."""
        if record.first:
            return Placed(record.first, fingerprint(record.order) if record.code == "DUPLICATE" else "")
        return self._asked.repeated(record.order_id) if ack == "journaled" else None

    async def _repeat(self, account: str, first: Placed, order: Order, ack: Ack, deadline: float) -> Answer:
        """The answer to the first submission of a client order id, for one that comes after it."""
        record = self.view.order(account, first.order_id)
        if first.fingerprint != fingerprint(order) or record is None:
            # Also what was over so long ago that its answer is forgotten is never done again.
            raise Refused("KEY_REUSED", client_order_id=order.client_order_id, order_id=first.order_id)
        self.figures.duplicates.inc()
        return Answer(record, True, await self.wait(account, first.order_id, ack, deadline))

    # How a request is taken in

    def _check_open(self) -> None:
        if not self.ready or self._stopping:
            raise Refused("UNAVAILABLE", service=self.name)
        if self._callers >= CALLERS_MAX:
            raise Refused("OVERLOADED", waiting=str(self._callers))

    def _check_names(self, account: str, order: Order) -> None:
        _check_name("account", account)
        _check_name("client_order_id", order.client_order_id)
        _check_name("strategy", order.strategy)
        strategies = self.view.strategies(account)
        if len(strategies) >= STRATEGIES_MAX and order.strategy not in strategies:
            raise Refused("BAD_FIELD", field="strategy", rule=f"at most {STRATEGIES_MAX} strategies per account")

    def _check_venue(self, venue: str) -> None:
        """Whoever names none leaves it to risk."""
        if venue and venue not in self.venues:
            raise Refused("UNKNOWN_VENUE", venue=venue[:64], venues=", ".join(self.venues))

    async def _switch(
        self, command: EngageKillSwitch | ResetKillSwitch, engaged: bool, trace: str | None
    ) -> tuple[KillSwitch, bool]:
        self._check_open()
        account = command.account
        _check_name("account", account)
        if not 1 <= len(command.reason) <= REASON_MAX or not command.reason.isprintable():
            raise Refused("BAD_FIELD", field="reason", rule=f"1 to {REASON_MAX} printable characters")
        deadline = self._deadline()
        await self._journaled(self._intake.submit(command, trace), deadline)
        waiting = True
        waiters = self._switching.setdefault(account, [])
        while waiting and self.view.kill_switch(account).engaged != engaged:
            switched = asyncio.get_running_loop().create_future()
            waiters.append(switched)
            waiting = await self._within(deadline, switched)
            waiters.remove(switched)
        switch = self.view.kill_switch(account)
        return switch, switch.engaged == engaged

    def _currency_of(self, symbol: str) -> str:
        listed = self.instruments.get(symbol)
        # What was delisted since is kept apart under its own name.
        return listed.quote if listed is not None else symbol

    # How an answer is waited for

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_s

    async def _within(self, deadline: float, done: asyncio.Future[bool]) -> bool:
        """Whether it is done by `deadline`. A timer of our own is a third of the work of `asyncio.timeout`."""
        timer = asyncio.get_running_loop().call_at(deadline, finish, [done], False)
        self._callers += 1
        try:
            return await done
        finally:
            self._callers -= 1
            timer.cancel()

    async def _journaled(self, submission: Submission, deadline: float) -> None:
        if submission.id:
            return
        stored = asyncio.get_running_loop().create_future()
        submission.callers.append(stored)
        await self._within(deadline, stored)
        if not submission.id:
            # It stays where it is, and its key taken: whoever asks again is answered as soon as it is known.
            submission.callers.remove(stored)
            raise Refused("OUTCOME_UNKNOWN")

    def _watch(self, order_id: str, met: Callable[[OrderRecord, AnyEvent], bool]) -> Waiter:
        waiter = Waiter(met, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(order_id, []).append(waiter)
        return waiter

    def _unwatch(self, order_id: str, waiter: Waiter) -> None:
        waiters = self._waiting[order_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[order_id]

    # What the streams tell

    def _take(self, stream: str, sequence: int, frame: Frame) -> None:
        for id, event, _ in frame.events(stream, sequence):
            order_id = self.view.fold(id, event, frame.decided_at)
            self._events_since_snapshot += 1
            if order_id is None:
                if isinstance(event, KillSwitchEngaged | KillSwitchReset):
                    finish(self._switching.get(event.account, []))
            elif order_id in self._waiting:
                self._tell(order_id, event)
        if stream == streams.GATEWAY:
            self._asked.take(sequence, frame)
            self._intake.read_back(sequence)
        if not self.ready or self._events_since_snapshot >= SNAPSHOT_EVENTS:
            self._wake.set()

    def _tell(self, order_id: str, event: AnyEvent) -> None:
        for waiter in self._waiting[order_id]:
            record = self.view.record(order_id)
            if record is not None and not waiter.done.done() and waiter.met(record, event):
                waiter.done.set_result(True)

    def _quoted(self, data: bytes) -> None:
        for spoken in decode_spoken(data):
            if isinstance(spoken.event, Quote):
                self.view.quotes[spoken.event.venue, spoken.event.symbol] = spoken.event

    # The life of a replica

    async def run(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop`. Raises `Fenced` when another process writes under this name, `ChainBroken` when the log cannot
        be trusted; either way this one must not go on."""
        storing = asyncio.create_task(self._intake.run(self._wake.set))
        storing.add_done_callback(self._storing_ended)
        try:
            await self.recover()
            when_ready()
            await self._live()
        finally:
            self.ready = False
            storing.cancel()
            await self._follower.close()
            for listening in self._listening:
                await listening.stop()

    def stop(self) -> None:
        """Takes nothing more, stores what was taken, then ends `run`."""
        self._stopping = True
        self._wake.set()

    def status(self) -> dict[str, Any]:
        return {
            "service": self.name,
            "ready": self.ready,
            "role": "leading" if self.ready else "recovering",
            "sequence": self._intake.sequence,
            "read": dict(self._follower.cursors),
        }

    async def recover(self) -> None:
        """Newest snapshot, then all streams to their ends as they are now."""
        started = self._clock()
        image = await load(self._log, self.name, self.view)
        after: dict[str, int] = {}
        if image is not None:
            self._follower.restore(image.cursors, image.heads)
            self._asked.restore(image.asked)
            after = image.read_from()
        ends = {stream: await self._log.end(stream) for stream in HEARS}
        for stream, end in ends.items():
            if end < self._follower.cursors[stream]:
                raise ChainBroken(f"{stream} ends at {end}, but a snapshot was taken behind that")
        await self._follower.open(after)
        for venue in self.venues:
            self._listening.append(await self._log.listen(streams.quotes(venue), self._quoted))
        while not self._follower.has_reached(ends) and not self._stopping:
            await self._woken(None)
        await self._intake.resume()
        self.figures.recovery.set((self._clock() - started) / 1e9)
        self.ready = True
        logger.info("%s: ready, has read %s", self.name, self._follower.cursors)

    async def _live(self) -> None:
        save_at = self._clock() + int(SNAPSHOT_S * 1e9)
        while not self._stopping or not self._intake.is_idle:
            if self._events_since_snapshot >= SNAPSHOT_EVENTS or self._clock() >= save_at:
                await self._save()
                save_at = self._clock() + int(SNAPSHOT_S * 1e9)
            await self._woken(save_at)
        await self._save()

    async def _save(self) -> None:
        if not self._events_since_snapshot:
            return
        self._events_since_snapshot = 0
        image = Image(
            cursors=self._follower.cursors,
            heads=self._follower.heads,
            asked=self._asked.image(),
            view=self.view.image(),
        )
        try:
            await save(self._log, self.name, image, self.view)
        except AppendUnknown as error:
            logger.warning("%s: no snapshot this time: %s", self.name, error)

    def _storing_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Ends `run`. Callers get what can be said: that the outcome is unknown, or how things stood last."""
        self._failure = error
        self.ready = False
        self._intake.abandon()
        for waiters in self._waiting.values():
            finish([waiter.done for waiter in waiters], False)
        for switched in self._switching.values():
            finish(switched, False)
        self._wake.set()

    async def _woken(self, deadline: int | None) -> None:
        """Waits for something to do, until `deadline` (ns) at the latest; raises what went wrong meanwhile."""
        timer = None
        if deadline is not None:
            delay = max(deadline - self._clock(), 0) / 1e9
            timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        if timer is not None:
            timer.cancel()
        if self._failure is not None:
            raise self._failure


def _has_reached(record: OrderRecord, ack: Ack) -> bool:
    """An order that cannot rest is over as soon as the venue has it: its caller wants to hear the end."""
    ends_at_once = ack == "venue" and (record.order.type == "market" or record.order.time_in_force == "ioc")
    return RANK[record.status] >= (OVER if ends_at_once else _REACHED[ack])


def _check_name(field: str, value: str) -> None:
    if _NAME.fullmatch(value) is None:
        raise Refused("BAD_FIELD", field=field, rule="1 to 64 visible ASCII characters")


def _cancelled(record: OrderRecord, refusals: list[str], settled: bool) -> Answer:
    if record.is_over and record.status != "cancelled":
        raise _over(record)
    if refusals and not record.is_over:
        raise Refused(refusals[0], order_id=record.order_id, status=record.status)
    return Answer(record, False, settled)


def _over(record: OrderRecord) -> Refused:
    return Refused("ORDER_IS_OVER", order_id=record.order_id, status=record.status)
