"""What did each service know after a given moment of the journal, and does it still fold to the same?

The deciders are handed in: they are the same code that ran then, or a newer version of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bot4_common.decider import Decider, encode_state, hash_state
from bot4_common.log import Log, Record, Snapshot
from bot4_common.messages.frame import Frame, decode_frame
from bot4_journal.audit.findings import Finding
from bot4_journal.continuity import Continuity
from bot4_journal.history import tell_stream


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A service's state after frame `sequence` of its own stream. Equal hashes are equal states."""

    service: str
    stream: str
    sequence: int
    events: int
    state_hash: str


class Replay:
    """Folds the records it hears, from the first on. `deciders` by the name under which each service writes."""

    def __init__(self, deciders: Mapping[str, Decider[Any]]) -> None:
        self._folds = {name: _Fold(name, decider) for name, decider in deciders.items()}
        self._followed: dict[str, Continuity] = {}

    def hear(self, record: Record) -> None:
        """Raises `ChainBroken` when the record does not follow."""
        if not self._followed.setdefault(record.stream, Continuity()).take(record):
            return
        frame = decode_frame(record.data)
        fold = self._folds.get(frame.writer)
        if fold is not None:
            fold.hear(frame, record.origin)

    def states(self) -> list[Replayed]:
        """The state of every service, those that have not said anything included."""
        return [fold.state() for fold in self._folds.values()]


class _Fold:
    def __init__(self, name: str, decider: Decider[Any]) -> None:
        self._name = name
        self._decider = decider
        self._state = decider.initial()
        self._at = ("", 0)
        self._events = 0

    def hear(self, frame: Frame, origin: tuple[str, int]) -> None:
        for decision in frame.decisions:
            for event in decision.events:
                self._decider.evolve(self._state, event)
            self._events += len(decision.events)
        self._at = origin

    def state(self) -> Replayed:
        stream, sequence = self._at
        return Replayed(
            service=self._name,
            stream=stream,
            sequence=sequence,
            events=self._events,
            state_hash=hash_state(encode_state(self._decider, self._state)),
        )


async def check_snapshots(log: Log, deciders: Mapping[str, tuple[str, Decider[Any]]]) -> list[Finding]:
    """Whether the newest snapshot of each service is what its own frames up to there fold to.

    `deciders` by service, each with the stream it writes; the streams have to be there from their first frame on.
    """
    findings: list[Finding] = []
    for name, (stream, decider) in deciders.items():
        snapshot = await log.saved(name)
        if snapshot is not None:
            replay = Replay({name: decider})
            await tell_stream(log, stream, 0, snapshot.sequence, replay.hear)
            findings += _compared(snapshot, *replay.states())
    return findings


def _compared(snapshot: Snapshot, replayed: Replayed) -> list[Finding]:
    where = f"{snapshot.writer} {snapshot.sequence}"
    if replayed.sequence != snapshot.sequence:
        return [Finding("snapshot", where, f"its frames end at {replayed.sequence}")]
    if hash_state(snapshot.state) != snapshot.state_hash:
        return [Finding("snapshot", where, "its state is not what its hash was taken of")]
    if replayed.state_hash != snapshot.state_hash:
        return [Finding("snapshot", where, f"its frames fold to {replayed.state_hash}, not {snapshot.state_hash}")]
    return []
