"""Are the streams taken in so that causes precede, however they arrive?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common import streams
from bot4_common.log import ChainBroken
from bot4_common.memory_log import Faults, MemoryLog
from bot4_common.messages.frame import Frame
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.risk import CancelApproved, PositionChanged
from bot4_gateway import reading
from bot4_gateway.desk import HEARS
from bot4_gateway.reading import Follower
from bot4_gateway.views import View
from services.gateway.tests.street import (
    ANN,
    Street,
    Voice,
    acknowledged,
    approved,
    buy,
    cancelled,
    cost,
    filled,
    passing,
    sent,
    simulated,
)


async def life_of_one_order(street: Street) -> None:
    """Two fills, a cancel, and the words of four writers on them."""
    gateway = Voice(street.broker, street.clock, streams.GATEWAY, ())
    fill = filled("1-0", "0.2", "100", leaves="0.3")
    await gateway.says(PlaceOrder(account=ANN, order=buy("a")))
    await street.risk.says(approved("1-0", buy("a")))
    await street.execution.says(sent("1-0", buy("a")))
    await street.execution.says(acknowledged("1-0"))
    for _ in range(2):
        await street.execution.says(fill)
        await street.risk.says(moved())
        await street.costs.says(cost(fill, fee="0.1", spread="0.2"))
    await street.risk.says(CancelApproved(order_id="1-0", account=ANN, reason="requested"))
    await street.execution.says(cancelled("1-0"))


def moved() -> PositionChanged:
    fill = filled("1-0", "0.2", "100")
    return PositionChanged(
        order_id="1-0",
        account=ANN,
        strategy="trend",
        symbol=fill.symbol,
        quantity=fill.quantity,
        price=fill.price,
        position=fill.quantity,
    )


class Seen:
    """A view behind a follower, and the order in which it took the frames."""

    def __init__(self, street: Street) -> None:
        self.view = View()
        self.order: list[tuple[str, int]] = []
        self.failures: list[Exception] = []
        log = MemoryLog(street.broker)
        self.follower = Follower(log, HEARS, self._take, lambda *_: None, self.failures.append)

    def _take(self, stream: str, sequence: int, frame: Frame) -> None:
        for earlier, reached in frame.read.items():
            assert (earlier, reached) in self.order or reached == 0
        self.order.append((stream, sequence))
        for id, event, _ in frame.events(stream, sequence):
            self.view.fold(id, event, 0)

    def everything(self) -> Any:
        return self.view.image()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1_000_000))
def test_any_interleaving_of_the_streams_gives_the_same_view(seed: int) -> None:
    async def story(street: Street) -> None:
        await life_of_one_order(street)
        interleaved, orderly = Seen(street), Seen(street)
        await interleaved.follower.open({})
        await passing(1)
        street.broker.faults = Faults()
        await orderly.follower.open({})
        await passing(1)
        assert interleaved.everything() == orderly.everything()
        record = interleaved.view.record("1-0")
        assert record is not None and (record.status, str(record.filled)) == ("cancelled", "0.4")

    simulated(story, seed, delay=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1_000_000))
def test_any_interleaving_is_taken_also_while_it_is_being_written(seed: int) -> None:
    async def story(street: Street) -> None:
        seen = Seen(street)
        await seen.follower.open({})
        await life_of_one_order(street)
        await passing(1)
        assert len(seen.order) == sum(len(street.frames(stream)) for stream in HEARS)
        assert seen.view.lines(ANN)[0].holding.fills == 2

    simulated(story, seed, delay=0.02)


def test_a_long_held_stream_is_held_back_and_taken_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(street: Street) -> None:
        await life_of_one_order(street)
        for _ in range(20):
            await life_of_one_more(street)
        seen = Seen(street)
        await seen.follower.open({})
        await passing(5)
        assert len(seen.order) == sum(len(street.frames(stream)) for stream in HEARS)

    monkeypatch.setattr(reading, "HELD_MAX", 2)
    monkeypatch.setattr(reading, "EVENTS_AT_ONCE", 3)
    for seed in range(10):
        simulated(story, seed, delay=0.02)


async def life_of_one_more(street: Street) -> None:
    await street.risk.says(moved())
    fill = filled("1-0", "0.1", "100")
    await street.execution.says(fill)
    await street.costs.says(cost(fill, fee="0.1", spread="0.2"))


def test_a_frame_that_does_not_follow_is_not_taken() -> None:
    async def story(street: Street) -> None:
        await life_of_one_order(street)
        del street.broker.streams[streams.EXECUTION][2]
        seen = Seen(street)
        await seen.follower.open({})
        await passing(1)
        assert [type(failure) for failure in seen.failures] == [ChainBroken]
        assert (streams.EXECUTION, 4) not in seen.order

    simulated(story)
