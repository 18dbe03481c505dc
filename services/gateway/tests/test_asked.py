"""Is a submission recognised, and still after what is known was rebuilt from the stream?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.messages.frame import AnyEvent, Decision, Frame
from bot4_common.messages.gateway import PlaceList, PlaceOrder, ReplaceOrder
from bot4_common.orders import fingerprint, list_fingerprint
from bot4_gateway.asked import Asked, Placed
from services.gateway.tests.street import ANN, buy, listed

WINDOW = 6_400
KEYS = ("a", "b", "c", "d", "e", "f")


def frame(at: int, *keys: str, quantity: str = "0.5") -> Frame:
    decisions = [Decision(events=[PlaceOrder(account=ANN, order=buy(key, quantity))]) for key in keys]
    return Frame(writer="gateway-0", number=1, previous="", decided_at=at, decisions=decisions)


def asked(*frames: Frame) -> Asked:
    known = Asked(WINDOW, 1_000)
    for sequence, each in enumerate(frames, 1):
        known.take(sequence, each)
    return known


def first(known: Asked, key: str, now: int) -> str | None:
    placed = known.first((ANN, key), now)
    return placed.order_id if placed is not None else None


def test_the_first_submission_of_an_id_has_it_for_the_window() -> None:
    known = asked(frame(100, "a"), frame(200, "b", "a"))
    assert (first(known, "a", 300), first(known, "b", 300)) == ("1-0", "2-0")
    assert first(known, "a", 100 + WINDOW) is None


def test_a_repeat_names_the_first() -> None:
    known = asked(frame(100, "a"), frame(200, "a", quantity="0.6"))
    repeated = known.repeated("2-0")
    assert repeated is not None
    assert (repeated.order_id, repeated.fingerprint) == ("1-0", fingerprint(buy("a")))
    assert known.repeated("1-0") is None


def test_what_is_placed_listed_or_replaces_is_known_by_one_set_of_ids() -> None:
    commands: list[AnyEvent] = [
        PlaceOrder(account=ANN, order=buy("a")),
        PlaceList(account=ANN, list=listed("b")),
        ReplaceOrder(account=ANN, order_id="1-0", order=buy("c"), mode="stop_on_failure"),
        PlaceOrder(account=ANN, order=buy("b")),
        PlaceList(account=ANN, list=listed("c")),
    ]
    known = asked(
        Frame(
            writer="gateway-0",
            number=1,
            previous="",
            decided_at=100,
            decisions=[Decision(events=[command]) for command in commands],
        )
    )
    assert [first(known, key, 200) for key in ("a", "b", "c", "up")] == ["1-0", "1-1", "1-2", None]
    assert known.repeated("1-3") == Placed("1-1", list_fingerprint(listed("b")))
    assert known.repeated("1-4") == Placed("1-2", fingerprint(buy("c")))


FRAMES = st.lists(
    st.tuples(st.integers(-200, 3_000), st.lists(st.sampled_from(KEYS), max_size=3)), min_size=1, max_size=40
)


@settings(max_examples=500, deadline=None)
@given(FRAMES, st.integers(0, 40))
def test_what_is_read_again_from_the_mark_on_leads_to_the_same(gaps: list[tuple[int, list[str]]], cut: int) -> None:
    at, frames = 10_000, []
    for gap, keys in gaps:
        at += gap
        frames.append(frame(at, *keys))
    lived = asked(*frames[:cut])
    image = lived.image()
    rebuilt = Asked(WINDOW, 1_000)
    rebuilt.restore(image)
    behind = 0 if image.mark is None else image.mark.sequence - 1
    for sequence, each in list(enumerate(frames, 1))[behind:cut]:
        rebuilt.take(sequence, each)
    for sequence, each in list(enumerate(frames, 1))[cut:]:
        lived.take(sequence, each)
        rebuilt.take(sequence, each)
    for now in range(at, at + WINDOW + 1, 400):
        assert [first(rebuilt, key, now) for key in KEYS] == [first(lived, key, now) for key in KEYS]
    assert rebuilt.image() == lived.image()
    assert len(rebuilt) == len(lived)


def test_only_the_window_is_read_again() -> None:
    known = asked(*(frame(1_000 * n, f"a{n}") for n in range(1, 40)))
    mark = known.image().mark
    assert mark is not None and 39 - WINDOW // 1_000 - 2 <= mark.sequence <= 39 - WINDOW // 1_000


def test_marks_are_few_however_many_frames_come() -> None:
    known = asked(*(frame(10_000 + n, "a") for n in range(3 * WINDOW)))
    assert len(known._marks) <= 67 and len(known._repeats) <= WINDOW + 101
