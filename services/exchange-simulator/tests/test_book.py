"""Who trades with whom, at what price?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.book import Book, Drop, Match, Resting, reducible

FLAT: dict[str, int] = {}


def bid(order_id: str, price: int, leaves: int, account: str = "maker", reduce_only: bool = False) -> Resting:
    return Resting(order_id, account, "buy", price, leaves, reduce_only)


def ask(order_id: str, price: int, leaves: int, account: str = "maker", reduce_only: bool = False) -> Resting:
    return Resting(order_id, account, "sell", price, leaves, reduce_only)


def book_of(*orders: Resting) -> Book:
    book = Book()
    for order in orders:
        book.add(order)
    return book


def trades(book: Book, side: Side, quantity: int, limit: int | None = None) -> list[tuple[str, int, int]]:
    matches = book.match(side, limit, quantity, "taker", FLAT)
    return [(each.maker_id, each.price, each.quantity) for each in matches if isinstance(each, Match)]


def queue(book: Book) -> list[tuple[str, int]]:
    return [(order.order_id, order.leaves) for order in book.orders()]


def test_an_empty_book_trades_nothing_and_has_no_touch() -> None:
    book = Book()
    assert trades(book, "buy", 5) == []
    assert (book.best_bid, book.best_ask) == (None, None)


def test_a_buyer_trades_at_the_resting_price_not_at_its_own() -> None:
    assert trades(book_of(ask("a", 100, 5)), "buy", 5, limit=110) == [("a", 100, 5)]


def test_a_seller_trades_at_the_resting_price_not_at_its_own() -> None:
    assert trades(book_of(bid("b", 100, 5)), "sell", 5, limit=90) == [("b", 100, 5)]


def test_a_buyer_meets_the_lowest_ask_first() -> None:
    book = book_of(ask("dear", 102, 1), ask("cheap", 100, 1), ask("middle", 101, 1))
    assert trades(book, "buy", 3) == [("cheap", 100, 1), ("middle", 101, 1), ("dear", 102, 1)]


def test_a_seller_meets_the_highest_bid_first() -> None:
    book = book_of(bid("low", 98, 1), bid("high", 100, 1), bid("middle", 99, 1))
    assert trades(book, "sell", 3) == [("high", 100, 1), ("middle", 99, 1), ("low", 98, 1)]


def test_at_one_price_the_first_to_come_trades_first() -> None:
    book = book_of(ask("z", 100, 2), ask("a", 100, 2), ask("m", 100, 2))
    assert trades(book, "buy", 5) == [("z", 100, 2), ("a", 100, 2), ("m", 100, 1)]


def test_a_buyer_stops_at_its_limit_and_trades_at_the_limit_itself() -> None:
    book = book_of(ask("a", 100, 1), ask("b", 101, 1), ask("c", 102, 1))
    assert trades(book, "buy", 9, limit=101) == [("a", 100, 1), ("b", 101, 1)]


def test_a_seller_stops_at_its_limit_and_trades_at_the_limit_itself() -> None:
    book = book_of(bid("a", 100, 1), bid("b", 99, 1), bid("c", 98, 1))
    assert trades(book, "sell", 9, limit=99) == [("a", 100, 1), ("b", 99, 1)]


def test_an_aggressor_exactly_exhausted_makes_no_trade_of_nothing() -> None:
    book = book_of(ask("a", 100, 2), ask("b", 100, 2), ask("c", 101, 2))
    assert trades(book, "buy", 2) == [("a", 100, 2)]
    assert trades(book, "buy", 4) == [("a", 100, 2), ("b", 100, 2)]


def test_to_ask_for_a_match_changes_nothing() -> None:
    book = book_of(ask("a", 100, 2), ask("b", 101, 2, reduce_only=True), bid("c", 99, 2))
    before = [replace(order) for order in book.orders()]
    book.match("buy", None, 3, "taker", {"maker": 1})
    assert list(book.orders()) == before
    assert book.depth("sell", 9) == [(100, 2), (101, 2)]


def test_a_partly_filled_order_stays_first_in_its_queue() -> None:
    book = book_of(ask("a", 100, 5), ask("b", 100, 5))
    book.fill("a", 4)
    assert trades(book, "buy", 3) == [("a", 100, 1), ("b", 100, 2)]


def test_a_filled_order_is_gone_and_the_next_is_first() -> None:
    book = book_of(ask("a", 100, 5), ask("b", 100, 5))
    book.fill("a", 5)
    assert book.get("a") is None
    assert queue(book) == [("b", 5)]


@pytest.mark.parametrize(("gone", "left"), [("a", ["b", "c"]), ("b", ["a", "c"]), ("c", ["a", "b"])])
def test_a_cancel_leaves_everyone_else_in_place(gone: str, left: list[str]) -> None:
    book = book_of(bid("a", 100, 1), bid("b", 100, 1), bid("c", 100, 1))
    book.remove(gone)
    book.add(bid("d", 100, 1))
    assert queue(book) == [(order_id, 1) for order_id in [*left, "d"]]


def test_when_the_best_level_is_cancelled_the_next_is_best_at_once() -> None:
    book = book_of(bid("a", 99, 1), bid("b", 98, 2), ask("c", 101, 1), ask("d", 103, 4))
    book.remove("a")
    book.remove("c")
    assert (book.best_bid, book.best_ask) == (98, 103)


def test_who_leaves_and_comes_back_is_last() -> None:
    book = book_of(ask("a", 100, 1), ask("b", 100, 1))
    book.remove("a")
    book.add(ask("a", 100, 1))
    assert trades(book, "buy", 2) == [("b", 100, 1), ("a", 100, 1)]


@pytest.mark.parametrize(("price", "meets"), [(99, False), (100, True), (101, True)])
def test_a_buy_crosses_from_the_best_ask_on(price: int, meets: bool) -> None:
    assert book_of(ask("a", 100, 1), ask("b", 105, 1), bid("c", 95, 1)).crosses("buy", price) is meets


@pytest.mark.parametrize(("price", "meets"), [(101, False), (100, True), (99, True)])
def test_a_sell_crosses_from_the_best_bid_on(price: int, meets: bool) -> None:
    assert book_of(bid("a", 100, 1), bid("b", 95, 1), ask("c", 105, 1)).crosses("sell", price) is meets


def test_nothing_crosses_an_empty_side() -> None:
    assert not book_of(bid("a", 100, 1)).crosses("buy", 1_000_000)


def test_depth_adds_up_what_each_price_leaves_best_first() -> None:
    book = book_of(bid("a", 99, 5), bid("b", 100, 1), bid("c", 99, 2), bid("d", 97, 1), ask("e", 101, 7))
    book.fill("a", 4)
    assert book.depth("buy", 2) == [(100, 1), (99, 3)]
    assert book.depth("buy", 9) == [(100, 1), (99, 3), (97, 1)]
    assert book.depth("sell", 1) == [(101, 7)]
    assert book.depth("sell", 0) == []


def test_orders_in_their_order_make_the_same_book_again() -> None:
    book = book_of(ask("a", 101, 1), bid("b", 98, 3), bid("c", 99, 1), ask("d", 101, 2), bid("e", 98, 1))
    book.fill("b", 2)
    assert queue(book) == [("c", 1), ("b", 1), ("e", 1), ("a", 1), ("d", 2)]
    again = book_of(*[replace(order) for order in book.orders()])
    assert list(again.orders()) == list(book.orders())
    assert again.depth("buy", 9) == book.depth("buy", 9)


@pytest.mark.parametrize(
    ("side", "position", "room"), [("sell", 5, 5), ("sell", -5, 0), ("buy", -5, 5), ("buy", 5, 0), ("buy", 0, 0)]
)
def test_only_a_position_of_the_other_sign_can_be_reduced(side: Side, position: int, room: int) -> None:
    assert reducible(side, position) == room


def test_an_incoming_reduce_only_order_stops_where_its_position_is_flat() -> None:
    book = book_of(bid("a", 100, 2), bid("b", 99, 2), bid("c", 98, 2))
    outcome = book.match("sell", None, 6, "taker", {"taker": 3}, reduce_only=True)
    assert outcome == [Match("a", "maker", 100, 2), Match("b", "maker", 99, 1)]


@pytest.mark.parametrize("positions", [{}, {"taker": 0}, {"taker": -4}])
def test_an_incoming_reduce_only_order_without_a_position_to_reduce_does_not_trade(positions: dict[str, int]) -> None:
    assert book_of(bid("a", 100, 2)).match("sell", None, 2, "taker", positions, reduce_only=True) == []


def test_a_resting_reduce_only_order_trades_its_position_and_drops_the_rest() -> None:
    book = book_of(ask("a", 100, 5, reduce_only=True), ask("b", 100, 5, "other"))
    assert book.match("buy", None, 6, "taker", {"maker": 2}) == [
        Match("a", "maker", 100, 2),
        Drop("a"),
        Match("b", "other", 100, 4),
    ]


def test_a_resting_reduce_only_order_without_position_is_dropped_and_passed_over() -> None:
    book = book_of(ask("a", 100, 5, reduce_only=True), ask("b", 101, 5, "other"))
    assert book.match("buy", None, 1, "taker", FLAT) == [Drop("a"), Match("b", "other", 101, 1)]


def test_a_resting_reduce_only_order_within_its_position_stays_for_more() -> None:
    book = book_of(bid("a", 100, 5, reduce_only=True))
    assert book.match("sell", None, 2, "taker", {"maker": -3}) == [Match("a", "maker", 100, 2)]
    assert book.match("sell", None, 9, "taker", {"maker": -5}) == [Match("a", "maker", 100, 5)]


def test_a_resting_order_at_the_end_of_its_position_is_dropped_though_the_taker_is_done_too() -> None:
    book = book_of(bid("a", 100, 5, reduce_only=True))
    assert book.match("sell", None, 3, "taker", {"maker": -3}) == [Match("a", "maker", 100, 3), Drop("a")]


def test_reduce_only_orders_of_one_account_share_its_position_over_all_levels_of_a_sweep() -> None:
    book = book_of(ask("a", 100, 2, reduce_only=True), ask("b", 101, 2), ask("c", 102, 2, reduce_only=True))
    assert book.match("buy", None, 9, "taker", {"maker": 5}) == [
        Match("a", "maker", 100, 2),
        Match("b", "maker", 101, 2),
        Match("c", "maker", 102, 1),
        Drop("c"),
    ]


def test_reduce_only_bids_of_one_account_share_its_position_too() -> None:
    book = book_of(bid("a", 100, 2, reduce_only=True), bid("b", 99, 9, reduce_only=True))
    assert book.match("sell", None, 9, "taker", {"maker": -3}) == [
        Match("a", "maker", 100, 2),
        Match("b", "maker", 99, 1),
        Drop("b"),
    ]


def test_what_the_taker_has_bought_in_the_sweep_gives_its_own_reduce_only_ask_room() -> None:
    book = book_of(ask("a", 100, 3, "other"), ask("own", 101, 5, "taker", reduce_only=True))
    assert book.match("buy", None, 9, "taker", FLAT) == [
        Match("a", "other", 100, 3),
        Match("own", "taker", 101, 3),
        Drop("own"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda book: book.add(bid("a", 90, 1)),
        lambda book: book.add(bid("new", 101, 1)),
        lambda book: book.add(bid("new", 90, 0)),
        lambda book: book.fill("a", 6),
        lambda book: book.fill("a", 0),
    ],
    ids=["an id twice", "across the market", "nothing to rest", "more than is left", "nothing filled"],
)
def test_a_record_that_makes_no_sense_stops_the_venue(wrong: object) -> None:
    book = book_of(bid("a", 100, 5), ask("b", 101, 1))
    assert callable(wrong)
    with pytest.raises(AssertionError):
        wrong(book)
    assert queue(book) == [("a", 5), ("b", 1)]


@pytest.mark.parametrize("mutate", [lambda book: book.remove("x"), lambda book: book.fill("x", 1)])
def test_an_unknown_order_can_neither_be_removed_nor_filled(mutate: object) -> None:
    assert callable(mutate)
    with pytest.raises(KeyError):
        mutate(book_of(bid("a", 100, 5)))
