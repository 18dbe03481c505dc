"""How does a service decide? Its state is the fold of its own events, and it changes nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from bot4_common.messages.market import Quote, Spoken
from bot4_common.messages.terms import Event, EventId

State = TypeVar("State")
Emit = Callable[[Event], None]


class Heard(NamedTuple):
    """One input. `id` is where it stands (none for a quote, a tick or a venue's message), `at` when it was heard (ns),
    `quotes` the latest market by venue and symbol at that moment, `subject` where on the bus it was said, if it was."""

    event: Event
    id: EventId | None
    at: int
    quotes: Mapping[tuple[str, str], Quote]
    subject: str = ""


class Decider(Protocol[State]):
    """A service's domain. Pure: time, market and identity come in as data.

    `emit(event)` records an event and evolves the state at once, so the rest of the same decision sees it.
    """

    def initial(self) -> State: ...

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        """Says what follows from an input, by `emit` only."""

    def evolve(self, state: State, event: Event) -> None:
        """Applies one of the service's own events. Never refuses: it replays the past."""

    def deadline(self, state: State) -> int | None:
        """When (ns) the state next wants to hear a `Tick`, if at all."""

    def dump(self, state: State) -> Any:
        """The state as msgspec can encode it; the same for the same events, however the state came about."""

    def load(self, data: bytes) -> State:
        """The state from the JSON of a dump."""


class Outgoing(NamedTuple):
    """Something to say on the bus, `delay_ns` from now."""

    subject: str
    spoken: Spoken
    delay_ns: int = 0


# Dicts keep the order in which they were filled: it is part of the state (who is oldest, who comes first).
_encoder = msgspec.json.Encoder()


def encode_state(decider: Decider[State], state: State) -> bytes:
    return _encoder.encode(decider.dump(state))


def hash_state(encoded: bytes) -> str:
    return blake2b(encoded, digest_size=16).hexdigest()
