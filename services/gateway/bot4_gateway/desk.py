"""What happens to a request between its caller and the journal? Checked, recognised, journaled, waited for.

The desk decides nothing about an order: it says what was asked, and answers with what the streams tell of it. It is
the gateway without HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.idempotency import CAPACITY, WINDOW_NS
from bot4_common.instruments import NEVER_RESTS, Instrument, check, check_amend, check_list
from bot4_common.log import AppendUnknown, ChainBroken, Log, Reading
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.estimate import SUBJECT, Estimate, EstimateRefused, EstimateRequest, decode_answer
from bot4_common.messages.execution import CancelRejected
from bot4_common.messages.frame import AnyEvent, Frame, encode
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
)
from bot4_common.messages.market import Quote, decode_spoken
from bot4_common.messages.risk import CancelApproved, CancelRefused
from bot4_common.messages.terms import EventId, Order, OrderList, ReplaceMode
from bot4_common.orders import AT_VENUE, OVER, RANK, OrderRecord
from bot4_common.venues import VenueDefinition
from bot4_gateway.amending import Amending
from bot4_gateway.asked import KEYED, Asked, Keyed, Placed, asked_by, key_of
from bot4_gateway.control_figures import ControlFigures
from bot4_gateway.controls import STRATEGIES_MAX, Controls, check_name
from bot4_gateway.dependencies import Dependency
from bot4_gateway.figures import Figures
from bot4_gateway.history import PAGE
from bot4_gateway.lists import ListRecord, opened_list
from bot4_gateway.reading import Follower
from bot4_gateway.snapshots import Image, load, save
from bot4_gateway.views import FILLS_MAX, FINISHED_MAX, Result, View
from bot4_gateway.writing import BACKLOG_MAX, Command, Intake, Submission, finish

logger = logging.getLogger(__name__)

# Callers that may wait at a time, those that repeat a request in flight included; each holds a connection.
CALLERS_MAX = 16_384
# How long a caller waits before it hears how things stand.
TIMEOUT_S = 2.0
# The cost model answers from memory; a second means that it is not there.
ESTIMATE_TIMEOUT_S = 1.0
# A snapshot bounds recovery; it is taken after this many events, or this long after the last one.
SNAPSHOT_EVENTS = 100_000
SNAPSHOT_S = 30.0

HEARS = streams.JOURNALED

Ack = Literal["journaled", "risk", "venue"]

_REACHED: dict[Ack, int] = {"journaled": RANK["received"], "risk": RANK["approved"]}


class Answer(NamedTuple):
    """`settled` says whether the order came as far as the caller wanted to wait; if not, this is how things stand."""

    record: OrderRecord
    duplicate: bool
    settled: bool


class Listed(NamedTuple):
    """As `Answer`, of a list: `legs` are those of its orders that are remembered."""

    record: ListRecord
    legs: list[OrderRecord]
    duplicate: bool
    settled: bool


# Whether an event, and what caused it, ends the waiting.
Met = Callable[[AnyEvent, EventId | None], bool]


@dataclass(slots=True, eq=False)
class Waiter:
    """One caller, and which news ends the waiting."""

    met: Met
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
        appends = Dependency(name, "log", clock, self._breaker_changed)
        self._estimates = Dependency(name, "cost-model", clock, self._breaker_changed)
        self.dependencies = (appends, self._estimates)
        self._intake = Intake(log, clock, name, self.figures, backlog_max, appends)
        self.controls = Controls(self.view.controls, instruments, self._journal, self._within, self._deadline)
        self._listening: list[Reading] = []
        # Who waits for news of an order or a list.
        self._waiting: dict[str, list[Waiter]] = {}
        self._callers = 0
        self._events_since_snapshot = 0
        self._stopping = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self.figures.registry.register(
            ControlFigures(name, self.view.controls, [dependency.breaker for dependency in self.dependencies])
        )
        self.figures.show(self._intake.__len__, lambda: self._callers, self._asked.__len__, lambda: self._asked.counts)

    # What callers ask for

    async def place(
        self, account: str, order: Order, ack: Ack = "venue", trace: str | None = None, override: str = ""
    ) -> Answer:
        """Raises `Refused`: nothing was done, or, with OUTCOME_UNKNOWN, it is not known yet whether it will be.
        `override` is the reason given with a valid override key."""
        return await self._take_order(PlaceOrder(account=account, order=order, override=override), ack, trace)

    async def replace(
        self,
        account: str,
        order_id: str,
        order: Order,
        mode: ReplaceMode,
        ack: Ack = "venue",
        trace: str | None = None,
        override: str = "",
    ) -> Answer:
        """Cancels one order and places another, which the answer is about. Raises `Refused` like `place`."""
        check_name("order_id", order_id)
        command = ReplaceOrder(account=account, order_id=order_id, order=order, mode=mode, override=override)
        return await self._take_order(command, ack, trace)

    async def place_list(
        self, account: str, asked: OrderList, ack: Ack = "venue", trace: str | None = None, override: str = ""
    ) -> Listed:
        """Raises `Refused` like `place`."""
        self._check_open()
        self._check_list(account, asked)
        deadline = self._deadline()
        command = PlaceList(account=account, list=asked, override=override)
        taken = self._take_in(command, trace)
        if isinstance(taken, Placed):
            return await self._repeat_list(command, taken, ack, deadline)
        submission, duplicate = taken
        await self._journaled(submission, deadline)
        fresh, legs = opened_list(command, submission.id, submission.at)
        settled = await self._wait_for_list(fresh, ack, deadline)
        record = self.view.list_of(account, submission.id)
        if record is None:
            # Stored, but not yet read back.
            return Listed(fresh, legs, duplicate, settled)
        first = self._first_of(command, record, submission.id, ack)
        if first is not None:
            return await self._repeat_list(command, first, ack, deadline)
        return Listed(record, self.view.legs(record), duplicate, settled)

    async def amend(
        self,
        account: str,
        order_id: str,
        quantity: Decimal | None,
        price: Decimal | None,
        ack: Ack = "venue",
        trace: str | None = None,
    ) -> Answer:
        """Gives an order another total, another price, or both. Raises `Refused`: at once when that cannot be, later
        when risk or the venue says so."""
        self._check_open()
        record = self._live_order(account, order_id)
        amended = check_amend(record.order, quantity, price, self.instruments)
        if (amended.quantity, amended.price) == (record.order.quantity, record.order.price):
            return Answer(record, False, True)
        deadline = self._deadline()
        amending = Amending()

        def settled() -> bool:
            return amending.is_over or record.is_over or (ack == "risk" and amending.approved)

        def met(event: AnyEvent, cause: EventId | None) -> bool:
            amending.hear(event, cause)
            return settled()

        waiter = self._watch(met, order_id)
        try:
            command = AmendOrder(account=account, order_id=order_id, quantity=quantity, price=price)
            submission = self._intake.submit(command, trace)
            await self._journaled(submission, deadline)
            amending.name(submission.id)
            in_time = ack == "journaled" or settled() or await self._within(deadline, waiter.done)
        finally:
            self._unwatch(waiter, order_id)
        return _amended(record, amended, amending, in_time)

    async def cancel(self, account: str, order_id: str, ack: Ack = "venue", trace: str | None = None) -> Answer:
        """Raises `Refused`: at once when there is nothing to cancel, later when risk or the venue says so."""
        self._check_open()
        record = self._live_order(account, order_id)
        deadline = self._deadline()
        refusals: list[str] = []

        def met(event: AnyEvent, _: EventId | None) -> bool:
            if isinstance(event, CancelRefused) or (
                # Until the order is there the venue cannot know what to cancel, and will be told again.
                isinstance(event, CancelRejected) and RANK[record.status] >= AT_VENUE
            ):
                refusals.append(event.code)
                return True
            return record.is_over or (ack == "risk" and isinstance(event, CancelApproved))

        # Watching begins before the command is stored, so that no word on it is missed.
        waiter = self._watch(met, order_id)
        try:
            command = CancelOrder(account=account, order_id=order_id)
            await self._journaled(self._intake.submit(command, trace), deadline)
            settled = ack == "journaled" or await self._within(deadline, waiter.done)
        finally:
            self._unwatch(waiter, order_id)
        return _cancelled(record, refusals, settled)

    async def cancel_list(self, account: str, list_id: str, ack: Ack = "venue", trace: str | None = None) -> Listed:
        """Cancels every order of the list that is not over yet. Raises `Refused` like `cancel`; what then is over is
        over all the same. The venue has cancelled a list when risk says that it is over."""
        self._check_open()
        record = self.list_of(account, list_id)
        deadline = self._deadline()
        live = [leg for leg in self.view.legs(record) if not leg.is_over]
        if not live:
            raise Refused("ORDER_IS_OVER", list_id=list_id, status=record.status)
        cancelling = (self.cancel(account, leg.order_id, ack, trace) for leg in live)
        outcomes = await asyncio.gather(*cancelling, return_exceptions=True)
        for outcome in outcomes:
            # One that was over first, or went with another, is what was asked for.
            if isinstance(outcome, BaseException) and not _is_over_now(outcome):
                raise outcome
        settled = all(outcome.settled for outcome in outcomes if isinstance(outcome, Answer))
        if ack == "venue" and not record.is_over:
            settled = settled and await self._waited(lambda *_: record.is_over, deadline, list_id)
        return Listed(record, self.view.legs(record), False, settled)

    async def estimate(self, request: EstimateRequest) -> Estimate:
        """Raises `Refused` when it cannot be told, or the cost model is not there."""
        if request.symbol not in self.instruments:
            raise Refused("UNKNOWN_SYMBOL", symbol=request.symbol)
        self._check_venue(request.venue)
        self._estimates.check()
        self._estimates.begin()
        try:
            answer = decode_answer(await self._log.ask(SUBJECT, encode(request), ESTIMATE_TIMEOUT_S))
        except TimeoutError:
            self._estimates.end(False)
            raise Refused("UNAVAILABLE", service="cost-model") from None
        self._estimates.end(True)
        if isinstance(answer, EstimateRefused):
            raise Refused(answer.code, **answer.details)
        return answer

    def order(self, account: str, order_id: str) -> OrderRecord:
        """Raises `Refused` when the account has no such order, or it was over too long ago to be remembered."""
        record = self.view.order(account, order_id)
        if record is None:
            raise Refused("UNKNOWN_ORDER", order_id=order_id)
        return record

    def list_of(self, account: str, list_id: str) -> ListRecord:
        """Raises `Refused` when the account has no such list, or it was over too long ago to be remembered."""
        record = self.view.list_of(account, list_id)
        if record is None:
            raise Refused("UNKNOWN_LIST", list_id=list_id)
        return record

    def results(self, account: str) -> list[Result]:
        """What each strategy has earned, by quote currency."""
        return self.view.results(account, self._currency_of)

    async def wait(self, account: str, order_id: str, ack: Ack, deadline: float) -> bool:
        """Whether the order has come as far as `ack` before `deadline` (time of the event loop)."""

        def met(*_: object) -> bool:
            record = self.view.order(account, order_id)
            return record is not None and self._has_reached(record, ack)

        return met() or await self._waited(met, deadline, order_id)

    async def _wait_for_list(self, of: ListRecord, ack: Ack, deadline: float) -> bool:
        def met(*_: object) -> bool:
            record = self.view.list_of(of.account, of.list_id)
            return record is not None and self._list_has_reached(record, ack)

        return met() or await self._waited(met, deadline, of.list_id, *of.legs)

    def _has_reached(self, record: OrderRecord, ack: Ack) -> bool:
        """Whoever waits for the venue waits for the end of an order that cannot rest there, and not at all for one that
        risk holds back; except for the moment that the order which it replaces still lives."""
        if ack != "venue":
            return RANK[record.status] >= _REACHED[ack]
        if record.status == "held":
            return record.order_id not in self.view.replacing
        order = record.order
        ends_at_once = order.type == "market" or (order.type == "limit" and order.time_in_force in NEVER_RESTS)
        return RANK[record.status] >= (OVER if ends_at_once else AT_VENUE)

    def _list_has_reached(self, record: ListRecord, ack: Ack) -> bool:
        if record.is_over or ack == "journaled":
            return True
        return record.status != "received" and all(self._has_reached(leg, ack) for leg in self.view.legs(record))

    # What has an id of the caller's

    async def _take_order(self, command: PlaceOrder | ReplaceOrder, ack: Ack, trace: str | None) -> Answer:
        account, order = command.account, command.order
        self._check_open()
        self._check_names(account, order)
        check(order, self.instruments)
        self._check_venue(order.venue)
        deadline = self._deadline()
        taken = self._take_in(command, trace)
        if isinstance(taken, Placed):
            return await self._repeat(command, taken, ack, deadline)
        submission, duplicate = taken
        await self._journaled(submission, deadline)
        settled = await self.wait(account, submission.id, ack, deadline)
        record = self.view.order(account, submission.id)
        if record is None:
            # Stored, but not yet read back.
            record = OrderRecord(order_id=submission.id, account=account, order=order, received_at=submission.at)
        first = self._first_of(command, record, submission.id, ack)
        if first is not None:
            return await self._repeat(command, first, ack, deadline)
        return Answer(record, duplicate, settled)

    def _take_in(self, command: Keyed, trace: str | None) -> tuple[Submission, bool] | Placed:
        """What is on its way now and whether it was already, or whom it repeats."""
        key = key_of(command)
        submission = self._intake.under(key)
        if submission is not None:
            assert isinstance(submission.command, KEYED)
            if asked_by(submission.command) != asked_by(command):
                raise _reused(command)
            self.figures.duplicates.inc()
            return submission, True
        first = self._asked.first(key, self._clock())
        if first is not None:
            return first
        if isinstance(command, ReplaceOrder) and command.mode == "stop_on_failure":
            self._live_order(command.account, command.order_id)
        return self._intake.submit(command, trace), False

    def _first_of(self, command: Keyed, record: OrderRecord | ListRecord, id: str, ack: Ack) -> Placed | None:
        """Whom a journaled submission repeats, if any: as risk says, or, before it speaks, by the rule it applies."""
        if record.first:
            return Placed(record.first, asked_by(command) if record.code == "DUPLICATE" else "")
        return self._asked.repeated(id) if ack == "journaled" else None

    async def _repeat(self, command: PlaceOrder | ReplaceOrder, first: Placed, ack: Ack, deadline: float) -> Answer:
        """The answer to the first submission of a client order id, for one that comes after it."""
        record = self.view.order(command.account, first.order_id)
        if first.fingerprint != asked_by(command) or record is None:
            # Also what was over so long ago that its answer is forgotten is never done again.
            raise _reused(command, order_id=first.order_id)
        self.figures.duplicates.inc()
        return Answer(record, True, await self.wait(command.account, first.order_id, ack, deadline))

    async def _repeat_list(self, command: PlaceList, first: Placed, ack: Ack, deadline: float) -> Listed:
        record = self.view.list_of(command.account, first.order_id)
        if first.fingerprint != asked_by(command) or record is None:
            raise _reused(command, first=first.order_id)
        self.figures.duplicates.inc()
        settled = await self._wait_for_list(record, ack, deadline)
        return Listed(record, self.view.legs(record), True, settled)

    # How a request is taken in

    def _check_open(self) -> None:
        if not self.ready or self._stopping:
            raise Refused("UNAVAILABLE", service=self.name)
        if self._callers >= CALLERS_MAX:
            raise Refused("OVERLOADED", waiting=str(self._callers))

    def _check_names(self, account: str, order: Order) -> None:
        check_name("account", account)
        check_name("client_order_id", order.client_order_id)
        check_name("strategy", order.strategy)
        if order.signal:
            check_name("signal", order.signal)
        strategies = self.view.strategies(account)
        if len(strategies) >= STRATEGIES_MAX and order.strategy not in strategies:
            raise Refused("BAD_FIELD", field="strategy", rule=f"at most {STRATEGIES_MAX} strategies per account")

    def _check_list(self, account: str, asked: OrderList) -> None:
        check_name("client_list_id", asked.client_list_id)
        for order in asked.orders:
            self._check_names(account, order)
            self._check_venue(order.venue)
        check_list(asked, self.instruments)

    def _live_order(self, account: str, order_id: str) -> OrderRecord:
        record = self.order(account, order_id)
        if record.is_over:
            raise _over(record)
        return record

    def _check_venue(self, venue: str) -> None:
        """Whoever names none leaves it to risk."""
        if venue and venue not in self.venues:
            raise Refused("UNKNOWN_VENUE", venue=venue[:64], venues=", ".join(self.venues))

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

    async def _journal(self, command: Command, deadline: float) -> str:
        """Stores a command that nobody repeats, and gives its id. Raises `Refused`."""
        self._check_open()
        submission = self._intake.submit(command, None)
        await self._journaled(submission, deadline)
        return submission.id

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

    async def _waited(self, met: Met, deadline: float, *ids: str) -> bool:
        """Whether the news of these orders and lists brought what is waited for by `deadline`."""
        waiter = self._watch(met, *ids)
        try:
            return await self._within(deadline, waiter.done)
        finally:
            self._unwatch(waiter, *ids)

    def _watch(self, met: Met, *ids: str) -> Waiter:
        waiter = Waiter(met, asyncio.get_running_loop().create_future())
        for id in ids:
            self._waiting.setdefault(id, []).append(waiter)
        return waiter

    def _unwatch(self, waiter: Waiter, *ids: str) -> None:
        for id in ids:
            waiters = self._waiting[id]
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[id]

    # What the streams tell

    def _take(self, stream: str, sequence: int, frame: Frame) -> None:
        for id, event, decision in frame.events(stream, sequence):
            about = self.view.fold(id, event, frame.decided_at)
            self._events_since_snapshot += 1
            if about is None:
                self.controls.hear(event, decision.cause)
            elif about in self._waiting:
                for waiter in self._waiting[about]:
                    if not waiter.done.done() and waiter.met(event, decision.cause):
                        waiter.done.set_result(True)
        if stream == streams.GATEWAY:
            self._asked.take(sequence, frame)
            self._intake.read_back(sequence)
        if not self.ready or self._events_since_snapshot >= SNAPSHOT_EVENTS:
            self._wake.set()

    def _breaker_changed(self, change: BreakerChanged) -> None:
        """Journals it, unless we do not yet know behind which frame."""
        if "closed" in (change.before, change.after):
            logger.warning("%s: the breaker %s is %s", self.name, change.name, change.after)
        if self.ready:
            self._intake.note(change)

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
        for dependency in self.dependencies:
            dependency.resume(self.view.controls.last_change(dependency.breaker.name))
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
        self.controls.fail()
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


def _cancelled(record: OrderRecord, refusals: list[str], settled: bool) -> Answer:
    if record.is_over and record.status != "cancelled":
        raise _over(record)
    if refusals and not record.is_over:
        raise Refused(refusals[0], order_id=record.order_id, status=record.status)
    return Answer(record, False, settled)


def _amended(record: OrderRecord, asked: Order, amending: Amending, settled: bool) -> Answer:
    if amending.refusal is not None:
        details = {**amending.refusal.details, "order_id": record.order_id}
        raise Refused(amending.refusal.code, **details)
    # Who amends an order to what was filled of it ends it.
    is_done = amending.is_over or (record.status == "cancelled" and asked.quantity <= record.filled + record.prevented)
    if record.is_over and not is_done:
        raise _over(record)
    return Answer(record, False, settled)


def _is_over_now(outcome: BaseException) -> bool:
    return isinstance(outcome, Refused) and outcome.code == "ORDER_IS_OVER"


def _reused(command: Keyed, **details: str) -> Refused:
    field = "client_list_id" if isinstance(command, PlaceList) else "client_order_id"
    return Refused("KEY_REUSED", **{field: key_of(command)[1]}, **details)


def _over(record: OrderRecord) -> Refused:
    return Refused("ORDER_IS_OVER", order_id=record.order_id, status=record.status)
