"""Would the simulation notice? Faults that people really make, planted one at a time: some seed must find each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot4_common import service
from bot4_common.log import FrameWriter
from bot4_common.memory_log import Broker
from bot4_common.messages.frame import Decision, Frame
from tests.sim.test_seeds import every_order_is_known_once_as_answered, every_state_is_the_fold_of_its_log
from tests.sim.world import World

# A planted fault has to be found within so many seeds.
SEEDS_MAX = 60


class UnfencedBroker(Broker):
    """A log that takes whatever comes, as publishing without an expectation would."""

    def store(self, stream: str, writer: str, expected: int, data: bytes) -> int:
        last = self.last(stream, writer)
        return super().store(stream, writer, last.sequence if last else 0, data)


class HalvingWriter(FrameWriter):
    """Stores a decision's events in two frames: a crash between them publishes half a decision."""

    async def store(self, decisions: list[Decision], read: dict[str, int], at: int) -> tuple[Frame, int]:
        longest = max(decisions, key=lambda decision: len(decision.events), default=None)
        if longest is None or len(longest.events) < 2:
            return await super().store(decisions, read, at)
        cut = decisions.index(longest)
        first = Decision(events=longest.events[:1], cause=longest.cause, trace=longest.trace)
        second = Decision(events=longest.events[1:], cause=longest.cause, trace=longest.trace)
        await super().store([*decisions[:cut], first], read, at)
        await asyncio.sleep(0)
        return await super().store([second, *decisions[cut + 1 :]], read, at)


class ForgetfulRunner(service.Runner[Any]):
    """Begins again without reading its own frames: what it decided before the crash is decided again."""

    async def _recover(self) -> None:
        await super()._recover()
        self._read = {}


def found(**planted: Any) -> bool:
    """Whether a run of some seed goes wrong, or ends in a state that the checks refuse."""
    for seed in range(SEEDS_MAX):
        world = World(seed, **planted)
        try:
            world.run()
            every_state_is_the_fold_of_its_log(world)
            every_order_is_known_once_as_answered(world)
        except (AssertionError, KeyError, RuntimeError, ExceptionGroup):
            return True
        except Exception as error:
            if type(error).__name__ in ("ChainBroken", "Break", "Fenced"):
                return True
            raise
        if not world.audit().clean:
            return True
    return False


def test_publishing_without_a_fence_is_found() -> None:
    assert found(broker=UnfencedBroker)


def test_two_frames_for_one_decision_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FrameWriter", HalvingWriter)
    assert found()


def test_deciding_again_after_a_crash_is_found() -> None:
    assert found(runner=ForgetfulRunner)
