"""When did it happen?"""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.frame import Frame
from bot4_journal.time_order import TimeOrder

STREAMS = ("first", "second", "third")


def frame(number: int, at: int) -> Frame:
    return Frame(writer="test", number=number, previous="", decided_at=at, decisions=[])


def test_a_frame_waits_until_the_others_have_come_as_far() -> None:
    order = TimeOrder(("first", "second"))
    assert list(order.add("first", frame(1, 10))) == []
    assert order.wanted == "second"
    assert [(stream, each.decided_at) for stream, each in order.add("second", frame(1, 20))] == [("first", 10)]
    assert order.wanted == "first"
    assert [(stream, each.decided_at) for stream, each in order.end("first")] == [("second", 20)]
    assert list(order.end("second")) == []
    assert order.wanted is None


def test_of_one_moment_the_stream_named_first_passes_first() -> None:
    order = TimeOrder(("second", "first"))
    list(order.add("first", frame(1, 10)))
    list(order.add("second", frame(1, 10)))
    assert [stream for stream, _ in order.end("second")] == ["first"]


@given(st.integers(0, 2**32), st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(0, 5)), max_size=40))
def test_frames_pass_in_the_order_of_time_however_they_are_mixed(seed: int, story: list[tuple[str, int]]) -> None:
    now, told = 0, list[tuple[int, str, Frame]]()
    for number, (stream, later) in enumerate(story):
        now += later
        told.append((now, stream, frame(number, now)))
    turns = [stream for stream, _ in story] + list(STREAMS)
    Random(seed).shuffle(turns)
    order, passed = TimeOrder(STREAMS), list[tuple[str, Frame]]()
    left = {stream: [each for _, of, each in told if of == stream] for stream in STREAMS}
    for stream in turns:
        passed += order.add(stream, left[stream].pop(0)) if left[stream] else order.end(stream)
    expected = sorted(told, key=lambda each: (each[0], STREAMS.index(each[1])))
    assert passed == [(stream, each) for _, stream, each in expected]
