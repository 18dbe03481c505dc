"""Does a decider keep its promises? A scenario drives one by what it hears, and reads as a sentence:

    given(position("5")).when(place(sell("8"))).then(event(OrderRefused, code="STOP_LOSS_REQUIRED"))

After every input it also checks what must hold for any decider, whatever it decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Generic

from bot4_common.decider import Decider, Heard, State, encode_state
from bot4_common.messages.frame import Decision, Frame, decode_frame, encode
from bot4_common.messages.market import FaultOrdered, Quote, SessionHeartbeat, SessionMessage, Tick
from bot4_common.messages.terms import Event, EventId

# When every scenario begins (ns).
NOON = 1_700_000_000_000_000_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

# What is heard on the bus stands nowhere: it has no identity.
_UNNUMBERED = (Quote, SessionHeartbeat, FaultOrdered, Tick, *SessionMessage.__args__)


class Expected:
    """An event of a kind, by the fields that matter; text stands for the decimal that it spells."""

    def __init__(self, kind: type[Event], fields: dict[str, object]) -> None:
        self.kind = kind
        self.fields = fields

    def matches(self, said: Event) -> bool:
        return type(said) is self.kind and all(
            _same(getattr(said, name), wanted) for name, wanted in self.fields.items()
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.kind.__name__}({fields})"


def event(kind: type[Event], /, **fields: object) -> Expected:
    return Expected(kind, fields)


class Scenario(Generic[State]):
    """One decider and what has happened to it. `said` is what it emitted on the last `when`, `log` all it ever did.

    What it hears stands in `stream`, one event a frame: the first one heard is `1-0`; or it was said on `subject`.
    """

    def __init__(self, decider: Decider[State], stream: str = "TEST", now: int = NOON, subject: str = "") -> None:
        self.decider = decider
        self.state = decider.initial()
        self.stream = stream
        self.now = now
        self.subject = subject
        self.quotes: dict[tuple[str, str], Quote] = {}
        self.heard = 0
        self.said: list[Event] = []
        self.log: list[Event] = []

    def given(self, *history: Event) -> Scenario[State]:
        """The decider's own past."""
        for past in history:
            self.decider.evolve(self.state, past)
            self.log.append(past)
        return self

    def after(self, ns: int) -> Scenario[State]:
        """Time passes."""
        self.now += ns
        return self

    def when(self, *inputs: Event) -> Scenario[State]:
        self.said = []
        for heard in inputs:
            if isinstance(heard, Quote):
                self.quotes[heard.venue, heard.symbol] = heard
            id = self._identity(heard)
            subject = self.subject if id is None else ""
            self.said += checked_decision(self.decider, self.state, Heard(heard, id, self.now, self.quotes, subject))
        self.log += self.said
        return self

    def then(self, *expected: Expected | Event) -> Scenario[State]:
        """Exactly these were said, in this order."""
        agree = len(self.said) == len(expected) and all(
            wanted.matches(said) if isinstance(wanted, Expected) else wanted == said
            for wanted, said in zip(expected, self.said, strict=True)
        )
        if not agree:
            raise AssertionError(f"expected\n{_listed(expected)}\nbut it said\n{_listed(self.said)}")
        return self

    def then_nothing(self) -> Scenario[State]:
        return self.then()

    def _identity(self, heard: Event) -> EventId | None:
        if isinstance(heard, _UNNUMBERED):
            return None
        self.heard += 1
        return EventId(self.stream, self.heard, 0)


def decision(decider: Decider[State], state: State, heard: Heard) -> list[Event]:
    """What the decider says to one input; its state has taken it in."""
    said: list[Event] = []

    def emit(event: Event) -> None:
        decider.evolve(state, event)
        said.append(event)

    decider.decide(state, heard, emit)
    return said


def checked_decision(decider: Decider[State], state: State, heard: Heard) -> list[Event]:
    """The same, held against what any decider owes: its state is the fold of what it says, survives a snapshot, and
    decides the same from there; and the journal gives back what was said."""
    before = encode_state(decider, state)
    said = decision(decider, state, heard)
    after = encode_state(decider, state)

    restored = decider.load(before)
    assert encode_state(decider, restored) == before, "the state does not survive a snapshot"
    assert decision(decider, restored, heard) == said, "decided again from a snapshot, the same input led elsewhere"
    assert encode_state(decider, restored) == after, "decided again from a snapshot, the state became another"
    assert encode_state(decider, folded(decider, said, decider.load(before))) == after, "decide changed the state"
    assert journaled(said) == said, "the journal does not give back what was said"
    return said


def folded(decider: Decider[State], log: list[Event], state: State | None = None) -> State:
    state = decider.initial() if state is None else state
    for past in log:
        decider.evolve(state, past)
    return state


def journaled(said: list[Any]) -> list[Event]:
    frame = Frame(writer="test", number=1, previous="", decided_at=NOON, decisions=[Decision(events=said)])
    return list(decode_frame(encode(frame)).decisions[0].events)


def _same(actual: object, wanted: object) -> bool:
    if isinstance(actual, Decimal) and isinstance(wanted, str):
        return actual == Decimal(wanted)
    return actual == wanted


def _listed(events: Any) -> str:
    return "\n".join(f"    {each!r}" for each in events) or "    nothing"
