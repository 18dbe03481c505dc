"""What did a whole market do?"""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot4_exchange_simulator import recording
from bot4_exchange_simulator.recording import Change, Ladder, Reach, Recording, parse
from bot4_exchange_simulator.tape import Print, TapeError

MS = 1_000_000
START = 1_700_000_000_000


def snapshot(last: int, bids: str = '["100.0","3"]', asks: str = '["100.1","4"]') -> str:
    return f'1700000000000000001 {{"lastUpdateId":{last},"bids":[{bids}],"asks":[{asks}]}}\n'


def diff(ms: int, first: int, last: int, bids: str = "", asks: str = "", symbol: str = "BTCUSDT") -> str:
    data = f'{{"e":"depthUpdate","E":{START + ms},"s":"{symbol}","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}'
    return f'1700000000000000001 {{"stream":"{symbol.lower()}@depth@100ms","data":{data}}}\n'


def trade(ms: int, price: str = "100.1", symbol: str = "BTCUSDT") -> str:
    data = f'{{"e":"trade","E":1,"s":"{symbol}","t":1,"p":"{price}","q":"2","T":{START + ms},"m":false,"M":true}}'
    return f'1700000000000000123 {{"stream":"{symbol.lower()}@trade","data":{data}}}\n'


def level(price: str, quantity: str) -> tuple[Decimal, Decimal]:
    return Decimal(price), Decimal(quantity)


BOOK = Change(0, (level("100.0", "3"),), (level("100.1", "4"),))


def test_a_capture_is_its_snapshot_then_what_changed() -> None:
    lines = [snapshot(10), diff(0, 11, 12, asks='["100.1","0"]'), trade(5), diff(100, 13, 13, bids='["99.9","7"]')]
    assert parse([("x", lines)]) == Recording(
        prints=(Print(5 * MS, Decimal("100.1"), Decimal(2), "buy"),),
        changes=(
            BOOK,
            Change(0, (), (level("100.1", "0"),)),
            Change(100 * MS, (level("99.9", "7"),), ()),
        ),
    )


def test_changes_that_the_snapshot_holds_already_are_passed_over_and_those_heard_before_it_are_not() -> None:
    lines = [diff(0, 8, 9, bids='["1","1"]'), diff(100, 10, 12, bids='["99.9","7"]'), snapshot(10), diff(200, 13, 13)]
    changes = parse([("x", lines)]).changes
    assert changes == (BOOK, Change(0, (level("99.9", "7"),), ()), Change(100 * MS, (), ()))


def test_a_later_snapshot_says_nothing_new() -> None:
    lines = [snapshot(10), diff(0, 11, 11), snapshot(11, bids='["1","1"]'), diff(100, 12, 12)]
    assert [each.bids for each in parse([("x", lines)]).changes] == [BOOK.bids, (), ()]


def test_captures_continue_each_other() -> None:
    files = [("one", [snapshot(10), diff(0, 11, 11)]), ("two", [diff(100, 12, 12), trade(150)])]
    whole = parse(files)
    assert (len(whole.changes), len(whole.prints)) == (3, 1)


def test_a_missing_update_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(TapeError, match="two, line 1: depth updates 12 to 14 are missing"):
        parse([("one", [snapshot(10), diff(0, 11, 11)]), ("two", [diff(100, 15, 15)])])


def test_trades_from_before_the_book_was_known_are_left_out() -> None:
    assert [
        each.offset_ns for each in parse([("x", [trade(0), snapshot(10), diff(100, 11, 11), trade(170)])]).prints
    ] == [70 * MS]


def test_without_a_snapshot_only_the_trades_count() -> None:
    found = parse([("x", [diff(0, 1, 1, bids='["1","1"]'), trade(7), trade(9)])])
    assert found.changes == ()
    assert [each.offset_ns for each in found.prints] == [0, 2 * MS]


def test_best_prices_replace_each_other() -> None:
    """`bookTicker` of the public archive: update id, best bid and ask with quantities, two times."""
    lines = [
        "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n",
        f"7,100.0,3,100.1,4,{START},{START + 1}\n",
        f"8,100.0,2,100.2,5,{START + 30},{START + 31}\n",
        f"9,100.1,1,100.2,5,{START + 40},{START + 41}\n",
    ]
    assert parse([("x", lines)]).changes == (
        BOOK,
        Change(30 * MS, (level("100.0", "2"),), (level("100.1", "0"), level("100.2", "5"))),
        Change(40 * MS, (level("100.0", "0"), level("100.1", "1")), (level("100.2", "5"),)),
    )


def test_depth_by_distance_is_read_from_both_sides() -> None:
    lines = [
        "timestamp,percentage,depth,notional\n",
        "2024-08-08 00:00:05,-1.00,12.5,760000.5\n",
        "2024-08-08 00:00:05,0.20,2,120000\n",
    ]
    assert parse([("x", lines)]).reaches == (
        Reach(Decimal(100), Decimal("760000.5")),
        Reach(Decimal(20), Decimal(120_000)),
    )


def test_public_files_of_one_time_belong_together() -> None:
    trades = [f"11,100.1,0.25,25.1,{START + 50},False,True\n"]
    best = [f"7,100.0,3,100.1,4,{START},{START}\n"]
    assert parse([("trades", trades), ("best", best)]) == Recording(
        prints=(Print(50 * MS, Decimal("100.1"), Decimal("0.25"), "buy"),), changes=(BOOK,)
    )


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([snapshot(10), diff(0, 11, 11), trade(5, symbol="ETHUSDT")], "x, line 3: ETHUSDT in a recording of BTCUSDT"),
        ([snapshot(10), diff(0, 11, 11, bids='["a","1"]')], "x, line 2: 'a' is not a decimal number"),
        (['17 {"lastUpdateId":1}'], "x, line 1: .*missing required field"),
        (["yesterday,1,2,3", "2024-08-08,1,2,3"], "x, line 2: time data"),
        (["1,2"], "x, line 1: the columns are neither"),
        ([], "there is neither a trade nor depth"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(lines: list[str], wrong: str) -> None:
    with pytest.raises(TapeError, match=wrong):
        parse([("x", lines)])


def test_a_long_recording_is_read_as_far_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CHANGES_MAX", 3)
    lines = [snapshot(10), diff(0, 11, 11, bids='["99.9","7"]'), "this is not read"]
    assert len(parse([("x", lines), ("y", [])]).changes) == 2


def test_reading_says_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LINES_PER_PROGRESS", 2)
    told: list[tuple[str, int]] = []
    parse([("x", [trade(0), trade(1), trade(2)]), ("y", [trade(3)])], lambda name, lines: told.append((name, lines)))
    assert told == [("x", 2), ("x", 3), ("y", 1)]


def test_a_ladder_is_read_from_its_best_level() -> None:
    bids, asks = Ladder[int](1), Ladder[int](-1)
    for price in (100, 98, 103, 99):
        bids.set(price, 1)
        asks.set(price, 1)
    assert (bids.best(), asks.best()) == ((103, 1), (98, 1))
    assert bids.within(4, 9) == [(103, 1), (100, 1), (99, 1)]
    assert asks.within(2, 9) == [(98, 1), (99, 1), (100, 1)]
    assert asks.within(9, 2) == [(98, 1), (99, 1)]


def test_a_level_of_a_ladder_changes_and_goes() -> None:
    asks = Ladder[int](-1)
    asks.set(100, 1)
    asks.set(100, 5)
    asks.set(99, 2)
    asks.set(99, 0)
    asks.set(77, 0)
    assert asks.within(9, 9) == [(100, 5)]
    asks.set(100, 0)
    assert (asks.best(), asks.within(9, 9)) == (None, [])
