from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard, encode_state, hash_state
from bot4_common.log import Snapshot
from bot4_common.memory_log import Broker, MemoryLog
from bot4_common.messages.frame import decode_frame, frame_hash
from bot4_common.messages.risk import PositionChanged
from bot4_common.messages.terms import Event
from bot4_journal.audit import Finding
from bot4_journal.replay import Replay, Replayed, check_snapshots
from bot4_journal.testing import Story

RISK = "RISK_0"


class Positions:
    """A decider that only remembers: the newest position of each account, by its text."""

    def initial(self) -> dict[str, str]:
        return {}

    def decide(self, state: dict[str, str], heard: Heard, emit: Emit) -> None:
        """Nothing follows from anything."""

    def evolve(self, state: dict[str, str], event: Event) -> None:
        if isinstance(event, PositionChanged):
            state[event.account] = str(event.position)

    def deadline(self, state: dict[str, str]) -> int | None:
        return None

    def dump(self, state: dict[str, str]) -> Any:
        return state

    def load(self, data: bytes) -> dict[str, str]:
        return msgspec.json.decode(data, type=dict[str, str])


def replayed(story: Story, to: int) -> Replayed:
    replay = Replay({"risk-0": Positions()})
    for record in story.journal()[:to]:
        replay.hear(record)
    [state] = replay.states()
    return state


def expected(story: Story, frames: int) -> str:
    """The hash of what risk knew after so many of its frames."""
    decider = Positions()
    state = decider.initial()
    for frame in story.frames[RISK][:frames]:
        for decision in frame.decisions:
            for event in decision.events:
                decider.evolve(state, event)
    return hash_state(encode_state(decider, state))


def test_a_replay_ends_with_the_state_of_that_moment() -> None:
    story = Story(1).play(10)
    for to in (0, 1, 30, len(story.journal())):
        frames = sum(record.origin[0] == RISK for record in story.journal()[:to])
        state = replayed(story, to)
        assert (state.sequence, state.state_hash) == (frames, expected(story, frames))


def test_the_same_frames_in_another_order_of_merging_give_the_same_state() -> None:
    story = Story(2).play(10)
    replay = Replay({"risk-0": Positions()})
    for record in story.journal(Random(2)):
        replay.hear(record)
    assert replay.states() == [replayed(story, len(story.journal()))]


def checked(story: Story, spoil: Callable[[Snapshot], Snapshot]) -> list[Finding]:
    """What is found about a snapshot of risk's state after ten of its frames."""

    async def check() -> list[Finding]:
        broker = Broker(Random(0))
        for number, data in enumerate(story.sealed()[RISK]):
            broker.store(RISK, "risk-0", number, data)
        log = MemoryLog(broker)
        await log.save(spoil(snapshot(story)))
        return await check_snapshots(log, {"risk-0": (RISK, Positions()), "silent": ("SILENT", Positions())})

    return asyncio.run(check())


def snapshot(story: Story) -> Snapshot:
    decider = Positions()
    state = decider.initial()
    stored = story.sealed()[RISK][:10]
    for data in stored:
        for decision in decode_frame(data).decisions:
            for event in decision.events:
                decider.evolve(state, event)
    encoded = encode_state(decider, state)
    return Snapshot(
        writer="risk-0",
        sequence=10,
        number=10,
        hash=frame_hash(stored[-1]),
        read={},
        state_hash=hash_state(encoded),
        state=encoded,
    )


def test_a_snapshot_that_its_frames_fold_to_is_right() -> None:
    assert checked(Story(3).play(10), lambda snapshot: snapshot) == []


def test_a_snapshot_of_another_state_is_found() -> None:
    state = b'{"alice":"1000"}'
    [finding] = checked(
        Story(3).play(10),
        lambda snapshot: msgspec.structs.replace(snapshot, state=state, state_hash=hash_state(state)),
    )
    assert "its frames fold to" in finding.what


def test_a_snapshot_whose_state_was_altered_is_found() -> None:
    [finding] = checked(Story(3).play(10), lambda snapshot: msgspec.structs.replace(snapshot, state=b"{}"))
    assert "not what its hash was taken of" in finding.what
