"""What did the market do?"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from bot4_exchange_simulator import tape
from bot4_exchange_simulator.tape import NS_PER_SECOND, Print, Tape, TapeError, parse, synthetic

TICK, LOT = Decimal("0.01"), Decimal("0.00001")
TEN_MINUTES = synthetic(7, "BTC-USDT", Decimal(60_000), TICK, LOT)

SPOT_TRADES = [
    "11,100.50000000,0.25000000,25.12500000,1700000000000,True,True\n",
    "12,100.51000000,0.10000000,10.05100000,1700000000250,False,True\n",
]
AS_PRINTS = (
    Print(0, Decimal("100.5"), Decimal("0.25"), "sell"),
    Print(250_000_000, Decimal("100.51"), Decimal("0.1"), "buy"),
)


def captured(time: int, price: str, symbol: str = "BTCUSDT", buyer_is_maker: str = "true") -> str:
    data = f'{{"e":"trade","E":1,"s":"{symbol}","t":1,"p":"{price}","q":"2","T":{time},"m":{buyer_is_maker},"M":true}}'
    return f'1700000000000000123 {{"stream":"{symbol.lower()}@trade","data":{data}}}\n'


def test_spot_trades_are_read_without_header() -> None:
    assert parse(SPOT_TRADES, "trades.csv") == Tape(AS_PRINTS)


def test_a_header_and_empty_lines_are_passed_over() -> None:
    lines = ["id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch\n", *SPOT_TRADES, "\n"]
    assert parse(lines, "trades.csv") == Tape(AS_PRINTS)


@pytest.mark.parametrize(
    "lines",
    [
        ["1,100.5,0.25,25.125,1700000000000,true", "2,100.51,0.1,10.051,1700000000250,false"],
        ["1,100.5,0.25,7,9,1700000000000,True,True", "2,100.51,0.1,10,10,1700000000250,False,True"],
        ["1,100.5,0.25,7,9,1700000000000,true", "2,100.51,0.1,10,10,1700000000250,false"],
        ["1,100.5,0.25,7,9,1700000000000000,True,True", "2,100.51,0.1,10,10,1700000000250000,False,True"],
    ],
    ids=["futures trades", "spot aggTrades", "futures aggTrades", "microseconds"],
)
def test_every_public_layout_says_the_same(lines: list[str]) -> None:
    assert parse(lines, "trades.csv") == Tape(AS_PRINTS)


def test_of_a_capture_the_trades_count() -> None:
    quote = '1700000000000000001 {"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1"}}\n'
    whole = '1700000000000000001 {"stream":"btcusdt@aggTrade","data":{"s":"BTCUSDT","p":"1","q":"1","T":1,"m":true}}\n'
    depth = '1700000000000000001 {"lastUpdateId":5,"bids":[["100.4","1"]],"asks":[]}\n'
    lines = [depth, quote, captured(1_700_000_000_000, "100.5"), whole, captured(1_700_000_000_003, "100.6")]
    assert [(each.offset_ns, str(each.price)) for each in parse(lines, "x").prints] == [
        (0, "100.5"),
        (3_000_000, "100.6"),
    ]


def test_in_a_capture_the_taker_sells_when_the_buyer_is_the_maker() -> None:
    lines = [captured(1_700_000_000_000, "100"), captured(1_700_000_000_000, "100", buyer_is_maker="false")]
    assert [each.taker_side for each in parse(lines, "x").prints] == ["sell", "buy"]


def test_trades_stand_in_order_of_time_and_those_of_one_instant_as_they_came() -> None:
    lines = [captured(1_700_000_000_005, "3"), captured(1_700_000_000_002, "1"), captured(1_700_000_000_002, "2")]
    assert [str(each.price) for each in parse(lines, "x").prints] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("13,abc,0.1,10,1700000000500,True,True", "'abc' is not a decimal number"),
        ("13,NaN,0.1,10,1700000000500,True,True", "'NaN' is not a finite number"),
        ("13,100,0.0,10,1700000000500,True,True", "0.0 is not above zero"),
        ("13,100,-1,10,1700000000500,True,True", "-1 is not above zero"),
        ("13,100,0.1,10,0,True,True", "0 is not a time"),
        ("13,100,0.1,10,noon,True,True", "invalid literal"),
        ("id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch", "neither those of `aggTrades`"),
        ("1499040000000,0.01634790,0.8,0.015758,0.015771,148976.1,1499644799999", "the columns are neither"),
        ("13,100", "the columns are neither"),
        (captured(1_700_000_000_000, "1"), "a trade of BTCUSDT on a tape of "),
        ('soon {"stream":"btcusdt@trade"}', "'soon' is not a receive time"),
        ('17000 {"stream":"btcusdt@trade","data":{"s":"BTCUSDT"}}', "missing required field"),
        ('17000 {"stream":"btcusdt@trade","da', "truncated"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(line: str, wrong: str) -> None:
    with pytest.raises(TapeError) as caught:
        parse([*SPOT_TRADES, line], "trades.csv")
    assert str(caught.value).startswith("trades.csv, line 3: ")
    assert wrong.replace("neither those", "nor those") in str(caught.value)


def test_a_capture_of_two_symbols_is_no_tape() -> None:
    with pytest.raises(TapeError, match="x, line 2: a trade of ETHUSDT on a tape of BTCUSDT"):
        parse([captured(1_700_000_000_000, "1"), captured(1_700_000_000_000, "1", symbol="ETHUSDT")], "x")


@pytest.mark.parametrize("lines", [[], ["id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch"], ["\n"]])
def test_no_trade_no_tape(lines: list[str]) -> None:
    with pytest.raises(TapeError, match=r"trades\.csv: there is no trade in it"):
        parse(lines, "trades.csv")


def test_a_long_file_is_read_as_far_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "PRINTS_MAX", 2)
    assert parse([*SPOT_TRADES, "this is not read"], "trades.csv") == Tape(AS_PRINTS)


def test_one_seed_makes_one_tape() -> None:
    assert synthetic(7, "BTC-USDT", Decimal(60_000), TICK, LOT) == TEN_MINUTES


def test_another_seed_or_symbol_makes_another() -> None:
    assert synthetic(8, "BTC-USDT", Decimal(60_000), TICK, LOT) != TEN_MINUTES
    assert synthetic(7, "ETH-USDT", Decimal(60_000), TICK, LOT) != TEN_MINUTES


def test_a_synthetic_tape_has_whole_ticks_and_lots_above_zero() -> None:
    assert all(each.price % TICK == 0 < each.price for each in TEN_MINUTES.prints)
    assert all(each.quantity % LOT == 0 < each.quantity for each in TEN_MINUTES.prints)


def test_a_synthetic_tape_runs_for_its_duration_in_order() -> None:
    offsets = [each.offset_ns for each in TEN_MINUTES.prints]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert 598 * NS_PER_SECOND < offsets[-1] <= 600 * NS_PER_SECOND


def test_a_synthetic_tape_is_as_long_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "PRINTS_MAX", 10)
    assert len(synthetic(7, "BTC-USDT", Decimal(60_000), TICK, LOT).prints) == 10


def test_trades_arrive_by_poisson() -> None:
    """The count of a second has the mean and the variance of the rate; 600 seconds give either within 20 %."""
    counted = Counter(each.offset_ns // NS_PER_SECOND for each in TEN_MINUTES.prints)
    counts = [counted[second] for second in range(600)]
    mean = sum(counts) / 600
    assert mean == pytest.approx(5, rel=0.2)
    assert sum((count - mean) ** 2 for count in counts) / 600 == pytest.approx(5, rel=0.2)


def test_sizes_are_around_their_mean() -> None:
    notionals = [each.price * each.quantity for each in TEN_MINUTES.prints]
    assert sum(notionals) / len(notionals) == pytest.approx(Decimal(2_000), rel=Decimal("0.1"))


def test_buyers_push_the_price_up_and_sellers_down_and_it_goes_nowhere_fast() -> None:
    prices = [each.price - (TICK if each.taker_side == "buy" else 0) for each in TEN_MINUTES.prints]
    for i in range(1, len(prices)):
        move = prices[i] - prices[i - 1]
        assert 0 <= (move if TEN_MINUTES.prints[i].taker_side == "buy" else -move) <= prices[i - 1] / 12_000
    assert all(Decimal(59_000) < price < Decimal(61_000) for price in prices)


def test_the_price_never_falls_through_the_floor() -> None:
    cheap = synthetic(1, "DUST", Decimal("0.02"), TICK, Decimal(1), notional_mean=Decimal("0.01"))
    assert min(each.price for each in cheap.prints) == TICK
    assert {each.quantity for each in cheap.prints} >= {Decimal(1)}
    assert min(each.quantity for each in cheap.prints) == 1
