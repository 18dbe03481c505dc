"""How far was what we believed from what was true, and for how long?

A `Scorer` is fed the frames of a venue's stream and of those who trade there, in the order of time. It compares
positions at every moment, follows each injected fault until the client asked for what it missed and until it had it,
and each outcome that was unknown until it was known. It remembers what is open, not what is over; a `Score` can be
taken at any time.

A moment is the `decided_at` of a frame, in ns, of whichever machine wrote it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection
from decimal import Decimal
from typing import Final, Literal

import msgspec

from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelRejected,
    CancelSent,
    FillQuarantined,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OutcomeUnknown,
    QuerySent,
    ResendRequested,
)
from bot4_common.messages.frame import AnyEvent, Frame
from bot4_common.messages.terms import Event, signed
from bot4_common.messages.venue import (
    FaultCause,
    FeedFault,
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFaultBegan,
    VenueFilled,
    VenueFillWithheld,
    VenueOrderAmended,
    VenueOrderRejected,
)
from bot4_common.money import ZERO, add, multiply, subtract

# Of gaps that are over, those are kept that took longest.
SLOWEST_KEPT: Final = 20

# Faults that keep a numbered message from its session, for good or for a while.
WITHHOLDING: Final = frozenset(("drop", "gap", "disconnect", "delay"))
# Faults that keep a request from being answered.
SILENCING: Final = frozenset(("drop_request", "disconnect", "down"))

# What the venue says that is compared with what its clients believe.
Truth = (
    FeedFault
    | VenueFaultBegan
    | VenueFilled
    | VenueOrderAmended
    | VenueOrderRejected
    | VenueCancelRejected
    | VenueAmendRejected
)

Asked = Literal["order", "cancel", "amend"]

# What ends an unknown outcome, besides the fill that ends the order. What is sent again was found not done.
ENDS: Final[dict[Asked, tuple[type[Event], ...]]] = {
    "order": (OrderAcknowledged, OrderRejected, OrderLost),
    "cancel": (OrderCancelled, OrderExpired, OrderRejected, OrderLost, CancelRejected, CancelSent),
    # What ends the order ends its amend, and that is said first.
    "amend": (OrderAmended, AmendRejected, AmendSent),
}


class Times(msgspec.Struct):
    """How long something took (ns), each time it ended."""

    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.total_ns += ns
        self.longest_ns = max(self.longest_ns, ns)

    def also(self, ns: int) -> Times:
        """These and one more."""
        return Times(self.count + 1, self.total_ns + ns, max(self.longest_ns, ns))

    @property
    def mean_ns(self) -> int:
        return self.total_ns // self.count if self.count else 0


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A position as believed against as it was. `unit_seconds` is the integral of the absolute difference over time,
    in base units × s; `wrong` are the intervals in which there was one, the one that still lasts included;
    `difference` is believed less true at the end."""

    account: str
    symbol: str
    unit_seconds: Decimal
    wrong: Times
    difference: Decimal


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Totals and prices that the venue gave to orders, by request or by itself: `known` is how long it took until the
    client knew, `open` how many it does not know at the end."""

    known: Times
    open: int


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the faults of one kind that something had to be done about: of `count`, how many the client
    noticed and how long after they struck, and how many were over and how long after. Some pass unnoticed."""

    kind: str
    count: int
    noticed: Times
    healed: Times


class Gap(msgspec.Struct, kw_only=True):
    """Messages `first` to `last` of a session did not arrive, from `at` on (ns). `asked_ns` and `healed_ns` later,
    they were asked for, and were all there."""

    session: str
    kind: str
    first: int
    last: int
    at: int
    asked_ns: int | None = None
    healed_ns: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How unknown outcomes ended: `ending` is the tag of the event that said so. `unknown` is how long they were."""

    request: Asked
    ending: str
    unknown: Times


class Spells(msgspec.Struct, frozen=True, kw_only=True):
    """Faults that lasted, of one kind and cause, and for how long they were to last when they began."""

    kind: str
    cause: FaultCause
    lasting: Times


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """`faults` are the injected ones by kind, message by message and request by request, and `spells` those that
    lasted; `refusals` are by code. `gaps` and `requests` are what became of faults, by kind; `slowest` the gaps that
    took longest; `unknown_open` the outcomes still unknown; `changes` what the venue made of orders."""

    frames: int
    began_at: int
    ended_at: int
    drift: list[Drift]
    faults: dict[str, int]
    spells: list[Spells]
    refusals: dict[str, int]
    gaps: list[Repair]
    slowest: list[Gap]
    requests: list[Repair]
    outcomes: list[Outcome]
    unknown_open: int
    changes: Changes


class Scorer:
    """`sessions` are those whose stream is fed as well; each has the name of its stream. Other clients of the venue
    are not compared."""

    def __init__(self, venue: str, sessions: Collection[str]) -> None:
        self._venue = venue
        self._sessions = frozenset(sessions)
        self._positions: dict[tuple[str, str], _Position] = defaultdict(_Position)
        self._gaps = _Gaps()
        self._requests = _Requests()
        self._outcomes = _Outcomes()
        self._changes = _Changes()
        # Trades that sessions are not told of yet: child and trade id.
        self._withheld: set[tuple[str, str]] = set()
        self._faults: Counter[str] = Counter()
        self._spells: dict[tuple[str, FaultCause], Times] = defaultdict(Times)
        self._refusals: Counter[str] = Counter()
        self._frames = 0
        self._began_at = 0
        self._now = 0

    def hear(self, stream: str, frame: Frame) -> None:
        """The next frame in time. A clock that was set back stands still here until it has caught up."""
        if not self._frames:
            self._began_at = frame.decided_at
        self._now = max(self._now, frame.decided_at)
        self._frames += 1
        for decision in frame.decisions:
            for event in decision.events:
                if isinstance(event, Truth):
                    if event.session in self._sessions or not event.session:
                        self._happened(event)
                elif isinstance(event, VenueFillWithheld):
                    if event.fill.session in self._sessions:
                        self._happened(event.fill)
                        self._withheld.add((event.fill.child_id, event.fill.trade_id))
                        self._faults["late_fill"] += 1
                elif stream in self._sessions and getattr(event, "venue", "") == self._venue:
                    self._believed(stream, event)

    def score(self) -> Score:
        """What is known by the last frame."""
        return Score(
            frames=self._frames,
            began_at=self._began_at,
            ended_at=self._now,
            drift=sorted(
                (position.drift(*book, self._now) for book, position in self._positions.items()),
                key=lambda drift: (-drift.unit_seconds, drift.account, drift.symbol),
            ),
            faults=dict(sorted(self._faults.items())),
            spells=[
                Spells(kind=kind, cause=cause, lasting=_copy(times))
                for (kind, cause), times in sorted(self._spells.items())
            ],
            refusals=dict(sorted(self._refusals.items())),
            gaps=self._gaps.repairs.all(),
            slowest=list(self._gaps.slowest),
            requests=self._requests.repairs.all(),
            outcomes=self._outcomes.all(),
            unknown_open=len(self._outcomes.open),
            changes=self._changes.all(),
        )

    def _happened(self, event: Truth) -> None:
        match event:
            case VenueFilled() if (event.child_id, event.trade_id) in self._withheld:
                self._withheld.remove((event.child_id, event.trade_id))
            case VenueFilled():
                change = signed(event.side, event.quantity)
                self._positions[event.account, event.symbol].move(ZERO, change, self._now)
            case VenueOrderAmended():
                self._changes.change(event, self._now)
            case VenueOrderRejected() | VenueCancelRejected() | VenueAmendRejected():
                self._refusals[event.code] += 1
            case VenueFaultBegan():
                self._spells[event.kind, event.cause].add(event.until - event.since)
            case FeedFault():
                self._struck(event)

    def _struck(self, fault: FeedFault) -> None:
        self._faults[fault.kind] += 1
        if fault.session_sequence and fault.kind in WITHHOLDING:
            self._gaps.open(fault, self._now)
        elif fault.child_id and fault.kind in SILENCING:
            self._requests.open(fault, self._now)

    def _believed(self, stream: str, event: AnyEvent) -> None:
        if isinstance(event, OrderFilled):
            change = signed(event.side, event.quantity)
            self._positions[event.account, event.symbol].move(change, ZERO, self._now)
        if isinstance(event, ResendRequested):
            self._gaps.ask(stream, self._now)
            return
        self._gaps.take(stream, getattr(event, "session_sequence", 0), self._now)
        self._changes.take(stream, getattr(event, "session_sequence", 0), self._now)
        child_id = getattr(event, "child_id", "")
        if child_id and not isinstance(event, FillQuarantined):
            self._requests.hear(child_id, event, self._now)
            self._outcomes.hear(child_id, event, self._now)


class _Position:
    """One account's position in one symbol, as believed and as it is."""

    def __init__(self) -> None:
        self._difference = ZERO
        self._since = 0  # when the difference became what it is
        self._wrong_since: int | None = None
        self._unit_ns = ZERO
        self._wrong = Times()

    def move(self, believed: Decimal, true: Decimal, now: int) -> None:
        self._unit_ns, self._since = self._until(now), now
        self._difference = subtract(add(self._difference, believed), true)
        if self._difference and self._wrong_since is None:
            self._wrong_since = now
        elif not self._difference and self._wrong_since is not None:
            # Set right in the moment it went wrong, it was never wrong.
            if now > self._wrong_since:
                self._wrong.add(now - self._wrong_since)
            self._wrong_since = None

    def drift(self, account: str, symbol: str, now: int) -> Drift:
        wrong = self._wrong if self._wrong_since is None else self._wrong.also(now - self._wrong_since)
        return Drift(
            account=account,
            symbol=symbol,
            unit_seconds=multiply(self._until(now), Decimal("1E-9")),
            wrong=wrong,
            difference=self._difference,
        )

    def _until(self, now: int) -> Decimal:
        return add(self._unit_ns, multiply(abs(self._difference), Decimal(now - self._since)))


class _Changes:
    """Numbers of the messages in each session that changed an order, and when (ns). A feed is taken number by number,
    so whoever has a later message has them."""

    def __init__(self) -> None:
        self._known = Times()
        self._open: dict[str, deque[tuple[int, int]]] = defaultdict(deque)
        self._taken: dict[str, int] = defaultdict(int)

    def change(self, amended: VenueOrderAmended, now: int) -> None:
        self._open[amended.session].append((amended.session_sequence, now))
        # A client whose clock is behind the venue's has it before it was told.
        self.take(amended.session, self._taken[amended.session], now)

    def take(self, session: str, number: int, now: int) -> None:
        self._taken[session] = max(self._taken[session], number)
        changes = self._open[session]
        while changes and changes[0][0] <= self._taken[session]:
            self._known.add(now - changes.popleft()[1])

    def all(self) -> Changes:
        return Changes(known=_copy(self._known), open=sum(map(len, self._open.values())))


class _Repairs:
    """Faults by kind, and how long until they were noticed and healed."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._noticed: dict[str, Times] = defaultdict(Times)
        self._healed: dict[str, Times] = defaultdict(Times)

    def struck(self, kind: str) -> None:
        self._count[kind] += 1

    def noticed(self, kind: str, ns: int) -> None:
        self._noticed[kind].add(ns)

    def healed(self, kind: str, ns: int) -> None:
        self._healed[kind].add(ns)

    def all(self) -> list[Repair]:
        return [
            Repair(kind=kind, count=count, noticed=_copy(self._noticed[kind]), healed=_copy(self._healed[kind]))
            for kind, count in sorted(self._count.items())
        ]


class _Gaps:
    """What each session was not told when it happened. A feed is taken number by number, so what is taken has
    healed every gap before it; and a client asks for all from its first gap on."""

    def __init__(self) -> None:
        self.repairs = _Repairs()
        self.slowest: list[Gap] = []
        self._open: dict[str, deque[Gap]] = defaultdict(deque)
        self._taken: dict[str, int] = defaultdict(int)

    def open(self, fault: FeedFault, now: int) -> None:
        number, gaps = fault.session_sequence, self._open[fault.session]
        last = gaps[-1] if gaps else None
        if last is not None and (last.kind, last.last + 1, last.asked_ns) == (fault.kind, number, None):
            last.last = number
            return
        self.repairs.struck(fault.kind)
        gaps.append(Gap(session=fault.session, kind=fault.kind, first=number, last=number, at=now))
        # A client whose clock is behind the venue's has it before it was told.
        self.take(fault.session, self._taken[fault.session], now)

    def ask(self, session: str, now: int) -> None:
        for gap in self._open[session]:
            if gap.asked_ns is None:
                gap.asked_ns = now - gap.at
                self.repairs.noticed(gap.kind, gap.asked_ns)

    def take(self, session: str, number: int, now: int) -> None:
        self._taken[session] = max(self._taken[session], number)
        gaps = self._open[session]
        while gaps and gaps[0].last <= self._taken[session]:
            gap = gaps.popleft()
            gap.healed_ns = now - gap.at
            self.repairs.healed(gap.kind, gap.healed_ns)
            self.slowest.append(gap)
            self.slowest.sort(key=lambda each: -(each.healed_ns or 0))
            del self.slowest[SLOWEST_KEPT:]


class _Requests:
    """Requests that were lost on their way in: noticed when nothing was heard of the order for too long, healed with
    the next news of it. A fill of a part is none, it needed no request; nor is what we ask for ourselves."""

    def __init__(self) -> None:
        self.repairs = _Repairs()
        self._open: dict[str, list[_Lost]] = defaultdict(list)

    def open(self, fault: FeedFault, now: int) -> None:
        self.repairs.struck(fault.kind)
        self._open[fault.child_id].append(_Lost(fault.kind, now))

    def hear(self, child_id: str, event: AnyEvent, now: int) -> None:
        if child_id not in self._open:
            return
        if isinstance(event, OutcomeUnknown | QuerySent):
            for lost in self._open[child_id]:
                if not lost.noticed:
                    lost.noticed = True
                    self.repairs.noticed(lost.kind, now - lost.at)
        elif not isinstance(event, CancelSent | AmendSent) and (not isinstance(event, OrderFilled) or not event.leaves):
            for lost in self._open.pop(child_id):
                self.repairs.healed(lost.kind, now - lost.at)


class _Lost(msgspec.Struct):
    kind: str
    at: int
    noticed: bool = False


class _Outcomes:
    """Outcomes that are unknown by order and request, since when; and those that were, by how they ended."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, Asked], int] = {}
        self._ended: dict[tuple[Asked, str], Times] = defaultdict(Times)

    def hear(self, child_id: str, event: AnyEvent, now: int) -> None:
        if isinstance(event, OutcomeUnknown):
            self.open.setdefault((child_id, event.request), now)
            return
        for request, ends in ENDS.items():
            if isinstance(event, ends) or (isinstance(event, OrderFilled) and not event.leaves):
                since = self.open.pop((child_id, request), None)
                if since is not None:
                    self._ended[request, str(event.__struct_config__.tag)].add(now - since)

    def all(self) -> list[Outcome]:
        return [
            Outcome(request=request, ending=ending, unknown=_copy(times))
            for (request, ending), times in sorted(self._ended.items())
        ]


def _copy(times: Times) -> Times:
    return msgspec.structs.replace(times)
