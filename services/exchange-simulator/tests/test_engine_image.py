"""Does an engine that was written down and made anew go on as if nothing had happened?"""

from __future__ import annotations

import os
from typing import Any

import flow
import msgspec
import pytest
from engines import Fast
from hypothesis import HealthCheck, given, settings
from test_engine_properties import Venue, venues

from bot4_exchange_simulator.engine.image import Image, image, restore
from bot4_exchange_simulator.engine.profile import shipped

Command = dict[str, Any]

searched = settings(
    max_examples=int(os.environ.get("VENUE_EXAMPLES", "150")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def rewritten(engine: Fast) -> None:
    """The engine is replaced by one made of what was written down of it."""
    written = msgspec.json.encode(image(engine.engine))
    engine.session.engine = restore(msgspec.json.decode(written, type=Image), engine.profile)


@given(commands=flow.sequences(), venue=venues)
@searched
def test_it_goes_on_as_if_it_had_never_stopped(commands: list[Command], venue: Venue) -> None:
    """Stopped and made anew after each command, and never: the same events, and the same image."""
    steady, rebuilt = Fast(*venue), Fast(*venue)
    for command in commands:
        assert rebuilt.step(command) == steady.step(command)
        assert image(rebuilt.engine) == image(steady.engine)
        rewritten(rebuilt)
        assert image(rebuilt.engine) == image(steady.engine)
        assert rebuilt.state() == steady.state()


@given(commands=flow.sequences(), venue=venues)
@searched
def test_it_goes_on_from_the_middle(commands: list[Command], venue: Venue) -> None:
    steady, rebuilt = Fast(*venue), Fast(*venue)
    middle = len(commands) // 2
    for number, command in enumerate(commands):
        if number == middle:
            rewritten(rebuilt)
        assert rebuilt.step(command) == steady.step(command)
    assert msgspec.json.encode(image(rebuilt.engine)) == msgspec.json.encode(image(steady.engine))


def test_windows_that_the_profile_does_not_count_are_refused() -> None:
    engine = Fast("binance-spot")
    engine.step({"at": 0, "do": "account", "account": "ann"})
    with pytest.raises(ValueError, match="ann counts orders in 2 windows"):
        restore(image(engine.engine), shipped("default"))
