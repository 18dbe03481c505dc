"""Which of its orders does the market change, so that its book shows what it should?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.quoting import Add, Change, Pull, Resize, Standing, requote


def stands(id: str, lots: int, price: int = 100, side: Side = "buy", is_last: bool = False) -> Standing:
    return Standing(id, side, price, lots, is_last)


def test_what_is_as_it_should_be_stays() -> None:
    standing = [stands("a", 3), stands("b", 2, is_last=True), stands("c", 4, 101, "sell", True)]
    assert requote(standing, [(100, 5)], [(101, 4)]) == []


def test_an_empty_book_is_filled_best_price_first() -> None:
    assert requote([], [(100, 5), (99, 6)], [(101, 4)]) == [Add("buy", 100, 5), Add("buy", 99, 6), Add("sell", 101, 4)]


def test_a_level_that_grows_grows_at_its_end() -> None:
    assert requote([stands("a", 3), stands("b", 2, is_last=True)], [(100, 9)], []) == [Resize("b", 6)]


def test_behind_a_client_it_grows_by_another_order() -> None:
    assert requote([stands("a", 3), stands("b", 2)], [(100, 9)], []) == [Add("buy", 100, 4)]


def test_a_level_that_shrinks_shrinks_everywhere_in_proportion() -> None:
    queue = [stands("a", 20), stands("b", 30), stands("c", 10)]
    assert requote(queue, [(100, 30)], []) == [Resize("a", 10), Resize("b", 15), Resize("c", 5)]


def test_who_has_no_whole_lot_left_leaves() -> None:
    assert requote([stands("a", 1), stands("b", 9)], [(100, 5)], []) == [Pull("a"), Resize("b", 5)]


def test_a_level_that_is_gone_is_pulled_and_so_is_one_that_moved_to_the_other_side() -> None:
    standing = [stands("a", 1), stands("b", 2), stands("c", 3, 101, "sell")]
    assert requote(standing, [(101, 7)], [(102, 1)]) == [
        Pull("a"),
        Pull("b"),
        Pull("c"),
        Add("buy", 101, 7),
        Add("sell", 102, 1),
    ]


def test_what_leaves_comes_before_what_arrives() -> None:
    standing = [stands("bid", 5, 100, "buy"), stands("ask", 5, 103, "sell", True)]
    assert requote(standing, [(101, 5)], [(103, 7), (104, 1)]) == [
        Pull("bid"),
        Add("buy", 101, 5),
        Resize("ask", 7),
        Add("sell", 104, 1),
    ]


# A level as a queue: those of the market by name, a client between some of them.
Queue = list[tuple[str | None, int]]
queues = st.lists(st.integers(1, 50), min_size=1, max_size=6).flatmap(
    lambda sizes: st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)).map(
        lambda clients: [
            each
            for index, (lots, client) in enumerate(zip(sizes, clients, strict=True))
            for each in ([(f"m{index}", lots), (None, 7)] if client else [(f"m{index}", lots)])
        ]
    )
)


def standing_of(queue: Queue) -> list[Standing]:
    return [stands(id, lots, is_last=queue[-1][0] == id) for id, lots in queue if id is not None]


def applied(queue: Queue, changes: list[Change]) -> Queue:
    """As the book would: sizes change in place, what is new comes last."""
    pulled = {change.id for change in changes if isinstance(change, Pull)}
    sizes = {change.id: change.lots for change in changes if isinstance(change, Resize)}
    kept = [(id, sizes.get(id, lots) if id else lots) for id, lots in queue if id not in pulled]
    return kept + [("new", change.lots) for change in changes if isinstance(change, Add)]


def ahead(queue: Queue) -> list[int]:
    """The lots of the market ahead of each client."""
    return [
        sum(lots for id, lots in queue[:index] if id is not None) for index, (id, _) in enumerate(queue) if id is None
    ]


@given(queues, st.integers(0, 400))
def test_a_level_shows_exactly_what_it_should(queue: Queue, wanted: int) -> None:
    after = applied(queue, requote(standing_of(queue), [(100, wanted)] if wanted else [], []))
    assert sum(lots for id, lots in after if id is not None) == wanted
    assert all(lots > 0 for _, lots in after)


@given(queues, st.integers(0, 400))
def test_a_client_only_moves_up_and_in_proportion(queue: Queue, wanted: int) -> None:
    total = sum(lots for id, lots in queue if id is not None)
    after = applied(queue, requote(standing_of(queue), [(100, wanted)] if wanted else [], []))
    for before, now in zip(ahead(queue), ahead(after), strict=True):
        assert now == (before if wanted >= total else before * wanted // total)


@given(queues, st.integers(1, 400))
def test_asked_again_it_has_nothing_to_change(queue: Queue, wanted: int) -> None:
    after = applied(queue, requote(standing_of(queue), [(100, wanted)], []))
    assert requote(standing_of(after), [(100, wanted)], []) == []
