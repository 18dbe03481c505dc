"""A service as small as can be, to be run as a process: it repeats what callers said about kill switches."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from bot4_common import streams
from bot4_common.decider import Emit, Heard
from bot4_common.messages.gateway import EngageKillSwitch
from bot4_common.messages.risk import KillSwitchEngaged
from bot4_common.messages.terms import Event
from bot4_common.process import run
from bot4_common.service import Service
from bot4_common.settings import Settings, read


class Echo:
    def initial(self) -> list[str]:
        return []

    def decide(self, state: list[str], heard: Heard, emit: Emit) -> None:
        if isinstance(heard.event, EngageKillSwitch):
            emit(KillSwitchEngaged(account=heard.event.account, reason=heard.event.reason))

    def evolve(self, state: list[str], event: Event) -> None:
        if isinstance(event, KillSwitchEngaged):
            state.append(event.reason)

    def deadline(self, state: list[str]) -> int | None:
        return None

    def dump(self, state: list[str]) -> Any:
        return state

    def load(self, data: bytes) -> list[str]:
        return msgspec.json.decode(data, type=list[str])


if __name__ == "__main__":
    echo = Service(name="echo", stream=streams.RISK, decider=Echo(), hears=(streams.GATEWAY,))
    run(echo, read(Settings, os.environ))
