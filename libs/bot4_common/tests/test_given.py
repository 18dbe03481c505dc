"""Does the scenario find a decider that breaks its promises?"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot4_common.decider import Emit, Heard
from bot4_common.given import Scenario, event
from bot4_common.messages.gateway import EngageKillSwitch
from bot4_common.messages.market import Tick
from bot4_common.messages.risk import KillSwitchEngaged
from bot4_common.messages.terms import Event

ENGAGE = EngageKillSwitch(account="ann", reason="drill")
ENGAGED = KillSwitchEngaged(account="ann", reason="drill")


class Count(msgspec.Struct):
    engaged: int = 0


class Honest:
    """Says that a kill switch was engaged, and counts how often."""

    def initial(self) -> Count:
        return Count()

    def decide(self, state: Count, heard: Heard, emit: Emit) -> None:
        if isinstance(heard.event, EngageKillSwitch):
            emit(KillSwitchEngaged(account=heard.event.account, reason=heard.event.reason))

    def evolve(self, state: Count, event: Event) -> None:
        state.engaged += 1

    def deadline(self, state: Count) -> int | None:
        return None

    def dump(self, state: Count) -> Any:
        return state

    def load(self, data: bytes) -> Count:
        return msgspec.json.decode(data, type=Count)


class Meddling(Honest):
    def decide(self, state: Count, heard: Heard, emit: Emit) -> None:
        state.engaged += 1


class Moody(Honest):
    calls = 0

    def decide(self, state: Count, heard: Heard, emit: Emit) -> None:
        self.calls += 1
        emit(KillSwitchEngaged(account="ann", reason=f"call {self.calls}"))


class Forgetful(Honest):
    def load(self, data: bytes) -> Count:
        return Count()


def test_an_honest_decider_passes() -> None:
    scenario = Scenario(Honest()).given(ENGAGED).when(ENGAGE, Tick(at=1)).then(ENGAGED)
    assert scenario.state.engaged == 2
    assert scenario.log == [ENGAGED, ENGAGED]


def test_a_state_changed_without_an_event_is_found() -> None:
    with pytest.raises(AssertionError, match="decide changed the state"):
        Scenario(Meddling()).when(Tick(at=1))


def test_a_decision_that_is_another_the_second_time_is_found() -> None:
    with pytest.raises(AssertionError, match="the same input led elsewhere"):
        Scenario(Moody()).when(ENGAGE)


def test_a_state_that_a_snapshot_loses_is_found() -> None:
    with pytest.raises(AssertionError, match="does not survive a snapshot"):
        Scenario(Forgetful()).given(ENGAGED).when(ENGAGE)


@pytest.mark.parametrize(
    "expected",
    [(), (ENGAGED, ENGAGED), (event(KillSwitchEngaged, reason="other"),), (event(EngageKillSwitch, reason="drill"),)],
)
def test_what_was_said_is_held_against_what_was_expected(expected: tuple[Any, ...]) -> None:
    with pytest.raises(AssertionError, match="but it said"):
        Scenario(Honest()).when(ENGAGE).then(*expected)


def test_fields_that_do_not_matter_need_not_be_named() -> None:
    Scenario(Honest()).when(ENGAGE).then(event(KillSwitchEngaged, account="ann"))
