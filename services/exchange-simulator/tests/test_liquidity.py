"""What would the rest of the market quote and trade now?"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.liquidity import (
    LEVELS,
    SPACINGS,
    STEP_NS,
    STEPS_PER_SIZE,
    Aggressor,
    Elsewhere,
    Liquidity,
    Step,
)
from bot4_exchange_simulator.tape import Print, Tape, synthetic

MS = 1_000_000
TICK, LOT = Decimal("0.01"), Decimal("0.001")


def printed(ms: int, ticks: int, lots: int, side: Side) -> Print:
    return Print(ms * MS, TICK * ticks, LOT * lots, side)


def liquidity(*prints: Print, seed: int = 1) -> Liquidity:
    return Liquidity(Tape(prints), TICK, LOT, seed)


def touch(step: Step) -> tuple[int, int]:
    return step.bids[0][0], step.asks[0][0]


THREE_WINDOWS = liquidity(
    printed(0, 1000, 5, "sell"),
    printed(150, 1003, 6, "buy"),
    printed(210, 1002, 7, "sell"),
    printed(450, 1010, 8, "buy"),
)

WALK = Liquidity(synthetic(3, "BTC-USDT", Decimal(60_000), TICK, LOT, 60 * 10**9), TICK, LOT, seed=1)


def test_a_sell_print_took_the_bid_and_a_buy_print_the_ask() -> None:
    assert touch(liquidity(printed(0, 1000, 5, "sell")).step(0)) == (1000, 1001)
    assert touch(liquidity(printed(0, 1000, 5, "buy")).step(0)) == (999, 1000)


def test_a_step_opens_where_the_last_print_before_it_left_the_market() -> None:
    assert [touch(THREE_WINDOWS.step(number)) for number in (1, 2)] == [(1002, 1003), (1002, 1003)]


def test_who_takes_in_a_step_is_who_took_in_its_200_ms_of_the_tape() -> None:
    assert THREE_WINDOWS.step(0).flow == [Aggressor("sell", 1000, 5), Aggressor("buy", 1003, 6)]
    assert THREE_WINDOWS.step(1).flow == [Aggressor("sell", 1002, 7)]
    assert THREE_WINDOWS.step(2).flow == [Aggressor("buy", 1010, 8)]


def test_a_print_on_the_border_belongs_to_the_step_it_begins() -> None:
    flows = liquidity(printed(0, 1000, 5, "sell"), printed(200, 1000, 6, "sell"))
    assert STEP_NS == 200 * MS
    assert [flows.step(number).flow[0].quantity for number in (0, 1)] == [5, 6]


def test_a_quiet_step_has_quotes_and_nobody_who_takes() -> None:
    quiet = liquidity(printed(0, 1000, 5, "sell"), printed(450, 1000, 5, "sell")).step(1)
    assert quiet.flow == []
    assert touch(quiet) == (1000, 1001)


def test_prints_of_one_side_at_one_instant_were_one_order_as_far_as_the_last() -> None:
    prints = [printed(0, 1000, 1, "sell"), *(printed(210, 1002 + i, 2, "buy") for i in range(3))]
    assert liquidity(*prints).step(1).flow == [Aggressor("buy", 1004, 6)]
    prints = [printed(0, 1000, 1, "sell"), *(printed(210, 999 - i, 2, "sell") for i in range(3))]
    assert liquidity(*prints).step(1).flow == [Aggressor("sell", 997, 6)]


def test_another_side_or_another_instant_is_another_order() -> None:
    prints = [
        printed(0, 1000, 1, "sell"),
        printed(0, 1001, 2, "buy"),
        printed(5, 1001, 3, "buy"),
        printed(9, 1001, 4, "buy"),
    ]
    assert [each.quantity for each in liquidity(*prints).step(0).flow] == [1, 2, 3, 4]


def test_who_takes_reaches_at_least_the_touch() -> None:
    prints = [printed(0, 1000, 1, "sell"), printed(210, 990, 2, "buy"), printed(220, 1010, 3, "sell")]
    assert liquidity(*prints).step(1).flow == [Aggressor("buy", 1001, 2), Aggressor("sell", 1000, 3)]


def test_after_its_end_the_tape_is_played_backward_with_buyers_for_sellers() -> None:
    assert THREE_WINDOWS.step(3).flow == [Aggressor("sell", 1009, 8)]
    assert THREE_WINDOWS.step(4).flow == [Aggressor("buy", 1010, 7)]
    assert THREE_WINDOWS.step(5).flow == [Aggressor("sell", 1002, 6), Aggressor("buy", 1003, 5)]
    assert [touch(THREE_WINDOWS.step(number)) for number in (3, 4, 5)] == [(1009, 1010), (1009, 1010), (1002, 1003)]


def test_and_after_its_beginning_forward_again() -> None:
    assert THREE_WINDOWS.step(6).flow == THREE_WINDOWS.step(0).flow
    assert touch(THREE_WINDOWS.step(8)) == touch(THREE_WINDOWS.step(2))
    assert THREE_WINDOWS.step(6_000_002).flow == THREE_WINDOWS.step(2).flow


def test_the_price_never_jumps_where_the_tape_turns() -> None:
    bids = [touch(WALK.step(number))[0] for number in range(1_300)]
    moves = [abs(later - earlier) for earlier, later in pairwise(bids)]
    assert max(moves) < 6_000_000 // 1_000  # ten basis points; the walk itself moves by half a one


def test_the_same_tape_seed_and_step_say_the_same_in_any_order() -> None:
    again = Liquidity(synthetic(3, "BTC-USDT", Decimal(60_000), TICK, LOT, 60 * 10**9), TICK, LOT, seed=1)
    assert [again.step(number) for number in (900, 3, 41)] == [WALK.step(number) for number in (900, 3, 41)]


def test_another_seed_quotes_other_sizes_at_the_same_prices() -> None:
    prints = [printed(0, 1000, 100, "sell")]
    one, other = liquidity(*prints, seed=1).step(0), liquidity(*prints, seed=2).step(0)
    assert [price for price, _ in one.bids] == [price for price, _ in other.bids]
    assert one.bids != other.bids
    assert one.flow == other.flow


def test_a_ladder_leads_away_from_the_touch_and_never_crosses() -> None:
    for number in range(300):
        step = WALK.step(number)
        bids, asks = [price for price, _ in step.bids], [price for price, _ in step.asks]
        assert len(bids) == len(asks) == LEVELS
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert bids[0] + 1 == asks[0]


def test_behind_the_touch_quotes_stand_on_round_prices() -> None:
    step = liquidity(printed(0, 10 * SPACINGS + 5, 1, "sell")).step(0)
    assert [price - 10 * SPACINGS for price, _ in step.bids[:3]] == [5, 0, -10]
    assert [price - 10 * SPACINGS for price, _ in step.asks[:3]] == [6, 10, 20]


def test_a_touch_on_a_round_price_is_not_quoted_twice() -> None:
    step = liquidity(printed(0, 10 * SPACINGS, 1, "sell")).step(0)
    assert [price - 10 * SPACINGS for price, _ in step.bids[:2]] == [0, -10]
    step = liquidity(printed(0, 10 * SPACINGS, 1, "buy")).step(0)
    assert [price - 10 * SPACINGS for price, _ in step.asks[:2]] == [0, 10]


def test_nobody_bids_nothing() -> None:
    assert [price for price, _ in liquidity(printed(0, 3, 1, "sell")).step(0).bids] == [3, 2, 1]
    assert liquidity(printed(0, 1, 1, "buy")).step(0).bids == []


def test_sizes_follow_the_sizes_of_the_tape() -> None:
    sizes_touch, sizes_behind = [], []
    for number in range(300):
        step = WALK.step(number)
        for ladder in (step.bids, step.asks):
            sizes_touch.append(ladder[0][1])
            sizes_behind += [size for _, size in ladder[1:]]
    assert len(set(sizes_touch)) > 100
    assert min(sizes_behind) >= 2 * min(sizes_touch)
    assert max(sizes_touch) / min(sizes_touch) == pytest.approx(4, rel=0.1)
    assert sum(sizes_behind) / len(sizes_behind) == pytest.approx(2 * sum(sizes_touch) / len(sizes_touch), rel=0.1)


def test_bids_and_asks_at_one_price_have_sizes_of_their_own() -> None:
    lots = [printed(0, 1000, 100, "sell")]
    sold = dict(liquidity(*lots).step(0).bids)[1000]
    bought = dict(liquidity(printed(0, 1000, 100, "buy")).step(0).asks)[1000]
    assert sold != bought


def test_a_quote_that_does_not_move_keeps_its_size_for_five_seconds_and_not_for_ever() -> None:
    still = liquidity(printed(0, 1000, 100, "sell"))
    sizes = [still.step(number).bids[0][1] for number in range(4 * STEPS_PER_SIZE)]
    changes = [number for number in range(1, len(sizes)) if sizes[number] != sizes[number - 1]]
    assert changes == [STEPS_PER_SIZE, 2 * STEPS_PER_SIZE, 3 * STEPS_PER_SIZE]


def test_not_all_quotes_change_size_at_once() -> None:
    still = liquidity(printed(0, 1000, 100, "sell"))
    changed = [
        number for number in range(1, STEPS_PER_SIZE + 1) if still.step(number).bids != still.step(number - 1).bids
    ]
    assert len(changed) == LEVELS


def test_a_print_between_ticks_or_below_a_lot_still_plays() -> None:
    odd = Liquidity(Tape((Print(0, Decimal("10.008"), Decimal("0.0004"), "sell"),)), TICK, LOT, seed=1)
    assert odd.step(0).flow == [Aggressor("sell", 1001, 1)]


def test_another_venue_shows_the_same_market_deeper_and_dearer() -> None:
    here = liquidity(printed(0, 1000, 100, "sell"), printed(10, 1001, 3, "buy"))
    there = Elsewhere(here, Decimal("0.25"), 2)
    step, other = here.step(0), there.step(0)
    assert other.bids == [(price + 2, lots // 4) for price, lots in step.bids]
    assert other.asks == [(price + 2, lots // 4) for price, lots in step.asks]
    assert other.flow == [Aggressor(taker.side, taker.limit + 2, max(1, taker.quantity // 4)) for taker in step.flow]


def test_no_quote_comes_below_the_first_tick() -> None:
    cheap = Elsewhere(liquidity(printed(0, 3, 100, "sell")), Decimal(1), -2)
    assert all(price > 0 for price, _ in (*cheap.step(0).bids, *cheap.step(0).asks))
