"""What do risk, execution and a venue make of each other? The three deciders wired together in memory, one step at a
time: whoever drives decides what is delivered when, what is lost on the line, and when time passes."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, NamedTuple

from bot4_common import streams
from bot4_common.decider import Decider, Heard, encode_state
from bot4_common.given import MILLISECOND, NOON, decision, folded
from bot4_common.instruments import Instrument
from bot4_common.messages.frame import Decision, Frame
from bot4_common.messages.limits import AccountLimits, LimitsDocument, OrderLimits
from bot4_common.messages.market import Quote, SessionHeartbeat, Tick
from bot4_common.messages.terms import Event, EventId, Prevention, Side
from bot4_common.venues import load
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.faults import PERFECT, Line, LineProfile
from bot4_exchange_simulator.latency import LatencyProfile, Leg
from bot4_exchange_simulator.liquidity import STEP_NS, Liquidity
from bot4_exchange_simulator.tape import Print, Tape
from bot4_execution.domain import Execution
from bot4_risk.domain import Risk

SYMBOL = "COIN-CASH"
COIN = Instrument(
    symbol=SYMBOL,
    base="COIN",
    quote="CASH",
    tick=Decimal(1),
    lot=Decimal(1),
    quantity_min=Decimal(1),
    quantity_max=Decimal(1_000),
    notional_min=Decimal(1),
)
# Positions of up to 20,000. Orders may meet others of the same account: the venue's own prevention is to be seen.
LIMITS = LimitsDocument(
    order=OrderLimits(price_collar_bps=2_000),
    account=AccountLimits(capital=Decimal(1_000_000), open_orders_max=12, self_trade_prevention="none"),
)

# Up, down and back to where it began: far enough to pass stops on either side, with takers of a few lots.
PATH = [*range(100, 107), *range(106, 93, -1), *range(94, 101)]


def tape() -> Tape:
    prints: list[Print] = []
    for number, (last, price) in enumerate(zip([100, *PATH], PATH, strict=False)):
        side: Side = "buy" if price >= last else "sell"
        prints.append(Print(number * STEP_NS, Decimal(price), Decimal(1 + number % 3), side))
    return Tape(tuple(prints))


# On this line something goes wrong with every third message.
ROUGH = LineProfile(
    latency=LatencyProfile(entry=Leg(median_ms=50.0), cancel=Leg(median_ms=50.0), feed=Leg(median_ms=20.0)),
    drop=0.1,
    duplicate=0.1,
    reorder=0.1,
    late_fill=0.3,
    drop_request=0.1,
)
# On this one nothing goes wrong but that fills wait for the end of their orders.
LATE = LineProfile(late_fill=0.8, withheld_ms_median=5_000.0)


class InFlight(NamedTuple):
    due_at: int
    event: Event


class Service:
    """A decider with its state, its stream, and how many frames stand in it."""

    def __init__(self, stream: str, decider: Decider[Any]) -> None:
        self.stream = stream
        self.decider = decider
        self.state = decider.initial()
        self.inbox: deque[tuple[Event, EventId]] = deque()
        self.log: list[Event] = []
        self.frames = 0

    def restart(self) -> None:
        self.state = self.decider.load(encode_state(self.decider, self.state))

    def is_its_own_history(self) -> bool:
        lived = encode_state(self.decider, self.state)
        return encode_state(self.decider, folded(self.decider, self.log)) == lived


class OrderFlow:
    """`prevention` is what the venue does where orders of one account meet."""

    def __init__(self, seed: int = 1, profile: LineProfile = PERFECT, prevention: Prevention = "none") -> None:
        self.now = NOON
        self.venue_decider = Venue(
            streams.VENUE,
            {SYMBOL: COIN},
            {SYMBOL: Liquidity(tape(), COIN.tick, COIN.lot, seed)},
            Line(seed, profile),
            Profile(self_trade_prevention_default=prevention),
        )
        risk = Risk(LIMITS, load([streams.VENUE]), {SYMBOL: COIN.lot}, capacity=10_000)
        self.risk = Service(streams.RISK, risk)
        self.execution = Service(streams.EXECUTION, Execution([streams.VENUE], streams.EXECUTION))
        self.venue = Service(streams.venue(streams.VENUE), self.venue_decider)
        self.hears = {
            streams.GATEWAY: [self.risk],
            streams.RISK: [self.execution],
            streams.EXECUTION: [self.risk, self.venue],
            streams.venue(streams.VENUE): [],
        }
        self.quotes: dict[tuple[str, str], Quote] = {}
        # What the venue has said and nobody has received yet; quotes are received at once.
        self.feed: list[InFlight] = []
        self.submitted = 0
        self.pass_time(0)

    # What the one who drives does

    def submit(self, command: Event) -> str:
        """A caller's request reaches the gateway's stream; returns the id of the order it may be."""
        self.submitted += 1
        self._route(streams.GATEWAY, [(command, EventId(streams.GATEWAY, self.submitted, 0))])
        return f"{self.submitted}-0"

    def deliver(self, service: Service, count: int = 1_000_000) -> None:
        """The service hears the next events of its input streams."""
        for _ in range(min(count, len(service.inbox))):
            self._decide(service, *service.inbox.popleft())

    def deliver_feed(self, count: int = 1_000_000) -> None:
        """Execution receives what the venue said and is due by now, the earliest first."""
        due = [told for told in self.feed if told.due_at <= self.now][:count]
        for told in due:
            self.feed.remove(told)
            self._decide(self.execution, told.event)

    def cut_line(self) -> None:
        """All that is on its way to execution is lost."""
        self.feed.clear()

    def pass_time(self, ns: int) -> None:
        self.now += ns
        for service in (self.venue, self.execution, self.risk):
            deadline = service.decider.deadline(service.state)
            if deadline is not None and deadline <= self.now:
                self._decide(service, Tick(at=self.now))
                rest = service.decider.deadline(service.state)
                assert rest is None or rest > self.now, f"{service.stream} is due again at once"
        for outgoing in self.venue_decider.pulse(self.venue.state, self.now):
            self._say(outgoing.spoken.event, 0)

    def come_to_rest(self) -> None:
        """Everything is delivered, lost things are noticed, and unknown things found out."""
        for _ in range(400):
            self.pass_time(100 * MILLISECOND)
            while self.feed_is_due() or any(service.inbox for service in (self.risk, self.execution, self.venue)):
                for service in (self.risk, self.execution, self.venue):
                    self.deliver(service)
                self.deliver_feed()
            if self.is_at_rest():
                return
        raise AssertionError("it does not come to rest")

    def feed_is_due(self) -> bool:
        return any(told.due_at <= self.now for told in self.feed)

    def is_at_rest(self) -> bool:
        told = self.venue.state.session(streams.EXECUTION).sequence
        complete = self.execution.state.session(streams.VENUE).sequence == told
        nothing_open = not self.execution.state.awaited and not self.feed
        return complete and nothing_open and not self.venue.state.delayed and not self.venue.state.withheld

    # How it goes on from one to the next

    def _decide(self, service: Service, heard: Event, id: EventId | None = None) -> None:
        subject = streams.feed(streams.VENUE, streams.EXECUTION) if id is None else ""
        said = decision(service.decider, service.state, Heard(heard, id, self.now, self.quotes, subject))
        if not said:
            return
        service.log += said
        service.frames += 1
        self._route(
            service.stream,
            [(event, EventId(service.stream, service.frames, index)) for index, event in enumerate(said)],
        )
        if service is self.venue:
            events: list[Any] = said
            frame = Frame(
                writer="venue", number=1, previous="", decided_at=self.now, decisions=[Decision(events=events)]
            )
            for outgoing in self.venue_decider.told(service.state, frame):
                self._say(outgoing.spoken.event, outgoing.delay_ns)

    def _route(self, stream: str, events: list[tuple[Event, EventId]]) -> None:
        for listener in self.hears[stream]:
            listener.inbox.extend(events)

    def _say(self, event: Event, delay_ns: int) -> None:
        if isinstance(event, Quote):
            self.quotes[event.venue, event.symbol] = event
            self._decide(self.risk, event)
        elif isinstance(event, SessionHeartbeat):
            self._decide(self.execution, event)
        else:
            self.feed.append(InFlight(self.now + delay_ns, event))
            self.feed.sort(key=lambda told: told.due_at)
