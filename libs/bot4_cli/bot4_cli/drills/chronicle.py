"""What happened meanwhile? What the streams of a system say from a moment on, each event with when it was decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from bot4_common.log import Log, Record
from bot4_common.messages.frame import AnyEvent, decode_frame
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import VenueMarketMoved
from bot4_journal.history import tell_stream

E = TypeVar("E", bound=Event)


class Told(NamedTuple):
    """`at` is when its frame was decided, in ns since the epoch."""

    at: int
    event: AnyEvent


class Chronicle:
    """Events by stream, in the order of each. What the rest of a market does is left out: there is much of it, and no
    drill asks."""

    def __init__(self) -> None:
        self._told: dict[str, list[Told]] = defaultdict(list)

    def hear(self, record: Record) -> None:
        frame = decode_frame(record.data)
        stream, _ = record.origin
        for decision in frame.decisions:
            self.add(stream, frame.decided_at, decision.events)

    def add(self, stream: str, at: int, events: Iterable[AnyEvent]) -> None:
        self._told[stream] += [Told(at, event) for event in events if not isinstance(event, VenueMarketMoved)]

    def told(self, stream: str, account: str | None = None) -> Iterator[Told]:
        """All of a stream, or what concerns one account."""
        for told in self._told.get(stream, ()):
            if account is None or getattr(told.event, "account", None) == account:
                yield told

    def events(self, stream: str, kind: type[E], account: str | None = None) -> Iterator[tuple[int, E]]:
        """Those of one kind."""
        for told in self.told(stream, account):
            if isinstance(told.event, kind):
                yield told.at, told.event

    def first_after(self, stream: str, at: int) -> int | None:
        """When the first event after a moment was decided; none when there is none yet."""
        return next((told.at for told in self.told(stream) if told.at > at), None)


async def chronicle(log: Log, after: Mapping[str, int]) -> Chronicle:
    """What each stream says after the sequence where it stood."""
    heard = Chronicle()
    for stream, sequence in after.items():
        await tell_stream(log, stream, sequence, await log.end(stream), heard.hear)
    return heard
