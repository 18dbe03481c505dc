"""What does each session hear, and when? Messages and quotes, as far as the line lets them through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

from bot4_common import streams
from bot4_common.decider import Outgoing
from bot4_common.instruments import Instrument
from bot4_common.messages.frame import Frame
from bot4_common.messages.market import SessionHeartbeat, SessionMessage, Spoken
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import FeedFault, VenueFaultBegan, VenueFilled, VenueMarketMoved, VenueResent
from bot4_exchange_simulator.faults import Line, Spell
from bot4_exchange_simulator.orders import TOLD, State

# Spells that a message may begin.
BEGUN_BY_A_MESSAGE: tuple[Literal["disconnect", "reconnect_storm"], ...] = ("disconnect", "reconnect_storm")


class Feed:
    """The way from one venue to its sessions. Nothing here changes the state."""

    def __init__(self, venue: str, instruments: Mapping[str, Instrument], line: Line) -> None:
        self._venue = venue
        self._instruments = instruments
        self._line = line

    def active(self, state: State, session: str, now: int) -> list[Spell]:
        """The faults that last at this moment and concern the session; an empty one stands for the whole venue."""
        return self._line.active(now, session, state.spells, state.opened_at or now)

    def is_cut(self, state: State, session: str, now: int) -> bool:
        return self._line.cut_until(session, now, self.active(state, session, now)) > now

    # What goes wrong, as events of the decision that tells a message

    def withheld_until(self, state: State, fill: VenueFilled) -> int:
        """When the fill is told at the latest (ns) if it is not told now; 0 for most, and for what ends its order."""
        if not fill.leaves:
            return 0
        active = self.active(state, fill.session, fill.at)
        withheld_ns = self._line.withheld_ns(f"{fill.child_id}/{fill.trade_id}", active)
        return fill.at + withheld_ns if withheld_ns else 0

    def faults(self, state: State, message: SessionMessage) -> Iterator[Event]:
        session, number, now = message.session, message.session_sequence, message.at
        fault = self._line.message(session, number, now, self.active(state, session, now))
        if fault is not None:
            yield FeedFault(session=session, session_sequence=number, kind=fault.kind, delay_ns=fault.delay_ns)
        key = _key(message)
        for kind in BEGUN_BY_A_MESSAGE:
            spell = self._line.begins(kind, key, session, now)
            if spell is not None:
                yield began(spell)

    def spells_begun(self, state: State, now: int) -> Iterator[VenueFaultBegan]:
        """Those that came by chance or by schedule since the market's last step."""
        for session in ("", *state.sessions):
            for spell in self._line.active(now, session, (), state.opened_at or now):
                if spell.session == session and spell.since > state.stepped_at:
                    yield began(spell)

    def stale(self, symbol: str, step: int, now: int) -> Iterator[VenueFaultBegan]:
        """A requote may be one after which the quotes stand still."""
        spell = self._line.begins("stale_book", f"{symbol}/{step}", "", now)
        if spell is not None:
            yield began(spell)

    # What goes out once a frame is stored

    def told(self, state: State, frame: Frame) -> Iterable[Outgoing]:
        for decision in frame.decisions:
            faults = {
                (event.session, event.session_sequence): event
                for event in decision.events
                if isinstance(event, FeedFault)
            }
            for event in decision.events:
                if type(event) in TOLD:
                    message = cast(SessionMessage, event)
                    fault = faults.get((message.session, message.session_sequence))
                    yield from self._delivered(state, message, decision.trace, fault)
                elif isinstance(event, VenueResent):
                    yield from self._repeated(state, event)
                elif isinstance(event, VenueMarketMoved):
                    yield from self._quotes(state, [self._instruments[event.symbol]], event.at)

    def pulse(self, state: State, now: int) -> Iterable[Outgoing]:
        """A few times a second: the market, and how far each session's feed has come."""
        yield from self._quotes(state, self._instruments.values(), now)
        for name, session in state.sessions.items():
            if not self.is_cut(state, name, now):
                beat = SessionHeartbeat(venue=self._venue, session=name, session_sequence=session.sequence, at=now)
                yield Outgoing(streams.feed(self._venue, name), Spoken(beat))

    def _delivered(
        self, state: State, message: SessionMessage, trace: str | None, fault: FeedFault | None
    ) -> Iterable[Outgoing]:
        kind = None if fault is None else fault.kind
        if kind not in (None, "duplicate", "delay"):
            return
        delay = self._line.feed_ns(_key(message), message.at, self.active(state, message.session, message.at))
        if fault is not None:
            delay += fault.delay_ns
        outgoing = Outgoing(streams.feed(self._venue, message.session), Spoken(message, trace), delay)
        yield outgoing
        if kind == "duplicate":
            yield outgoing

    def _repeated(self, state: State, resent: VenueResent) -> Iterable[Outgoing]:
        for message in state.session(resent.session).told:
            if resent.session_sequence <= message.session_sequence <= resent.through:
                yield Outgoing(streams.feed(self._venue, resent.session), Spoken(message))

    def _quotes(self, state: State, instruments: Iterable[Instrument], now: int) -> Iterable[Outgoing]:
        stale = state.is_stale(now)
        for instrument in instruments:
            quote = state.stale_quote(instrument.symbol, now) if stale else state.quote(self._venue, instrument, now)
            if quote is not None:
                yield Outgoing(streams.quotes(self._venue), Spoken(quote))


def began(spell: Spell) -> VenueFaultBegan:
    fields: dict[str, Any] = {name: getattr(spell, name) for name in Spell.__struct_fields__}
    return VenueFaultBegan(**fields)


def spell_of(event: VenueFaultBegan) -> Spell:
    fields: dict[str, Any] = {name: getattr(event, name) for name in Spell.__struct_fields__}
    return Spell(**fields)


def _key(message: SessionMessage) -> str:
    return f"{message.session}/{message.session_sequence}"
