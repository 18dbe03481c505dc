"""Does a roll keep the newest entries, and come back from its pages?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_gateway.history import Roll


def roll(keep: int = 6, page: int = 2) -> Roll[int]:
    return Roll("numbers", int, keep, page)


def test_the_newest_entries_are_kept_a_page_at_a_time() -> None:
    numbers = roll()
    forgotten = [numbers.append(n) for n in range(9)]
    assert forgotten == [[]] * 6 + [[0, 1], [], [2, 3]]
    assert list(numbers.newest_first()) == [8, 7, 6, 5, 4]
    assert list(numbers.oldest_first()) == [4, 5, 6, 7, 8]


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 200))
def test_it_is_bounded_and_nothing_is_forgotten_too_soon(pages: int, page: int, entries: int) -> None:
    numbers = roll(pages * page, page)
    for n in range(entries):
        numbers.append(n)
    kept = list(numbers.newest_first())
    assert len(kept) == len(numbers) <= pages * page
    assert len(kept) >= min(entries, (pages - 1) * page + 1)
    assert kept == list(range(entries))[::-1][: len(kept)]


def test_a_full_page_is_to_be_saved_once() -> None:
    numbers = roll()
    for n in range(5):
        numbers.append(n)
    (first, second) = numbers.unsaved()
    first.data = b""
    assert numbers.unsaved() == [second]


def test_a_page_does_not_take_the_place_of_one_that_the_last_snapshot_needs() -> None:
    numbers = roll(keep=6, page=2)
    for last in range(20):
        needed = {numbers.place(number) for number in range(last - 2, last + 1)}
        following = {numbers.place(number) for number in range(last + 1, last + 4)}
        assert not needed & following


def test_it_comes_back_from_its_pages() -> None:
    numbers, again = roll(), roll()
    for n in range(7):
        numbers.append(n)
    again.restore(numbers.shelf(), [page.data for page in numbers.unsaved()])
    for n in range(7, 15):
        assert again.append(n) == numbers.append(n)
    assert again.shelf() == numbers.shelf()


def test_it_cannot_keep_less_than_a_page() -> None:
    with pytest.raises(ValueError, match="pages of 3"):
        roll(keep=2, page=3)
