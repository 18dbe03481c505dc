"""Is a dependency left alone while calls to it fail, and called again when it has rested?"""

from __future__ import annotations

import pytest

from bot4_common.errors import Refused
from bot4_common.messages.breakers import BreakerChanged
from bot4_gateway.dependencies import RULES, Dependency


class Watched:
    """A dependency, its clock and its changes."""

    def __init__(self) -> None:
        self.now = 10**18
        self.changes: list[BreakerChanged] = []
        self.it = Dependency("gateway-0", "cost-model", lambda: self.now, self.changes.append)

    def calls(self, *outcomes: bool) -> None:
        for ok in outcomes:
            self.it.begin()
            self.it.end(ok)

    def states(self) -> list[str]:
        return [change.after for change in self.changes]


def test_failures_open_it_and_callers_are_told_at_once() -> None:
    watched = Watched()
    watched.calls(*[False] * (RULES.samples_min - 1))
    watched.it.check()
    watched.calls(False)
    with pytest.raises(Refused) as caught:
        watched.it.check()
    assert (caught.value.code, caught.value.details["service"]) == ("UNAVAILABLE", "cost-model")
    assert [change.name for change in watched.changes] == ["gateway-0/cost-model"]


def test_when_it_has_rested_it_is_called_again_and_closes() -> None:
    watched = Watched()
    watched.calls(*[False] * RULES.samples_min)
    watched.now += RULES.dwell_ns
    watched.it.check()
    watched.calls(*[True] * RULES.probes)
    assert watched.states() == ["open", "half_open", "closed"]


def test_a_call_that_cannot_be_left_out_is_made_while_it_is_open() -> None:
    watched = Watched()
    watched.calls(*[False] * (RULES.samples_min + 5))
    assert watched.states() == ["open"]
    watched.calls(True)
    assert watched.it.breaker.state == "open"


def test_a_new_process_goes_on_from_the_last_change() -> None:
    watched, again = Watched(), Watched()
    watched.calls(*[False] * RULES.samples_min)
    again.it.resume(watched.changes[-1])
    with pytest.raises(Refused):
        again.it.check()
    again.now += RULES.dwell_ns
    again.it.check()
    assert again.states() == ["half_open"]
