"""What did the market quote and trade then?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.engine.terms import IOC, LIMIT
from bot4_exchange_simulator.liquidity import STEP_NS, Aggressor, Step
from bot4_exchange_simulator.quoting import Add, Pull, Resize, Standing, requote
from bot4_exchange_simulator.recording import Change, Levels, Recording
from bot4_exchange_simulator.replay import LEVELS_MAX, Replay
from bot4_exchange_simulator.tape import Print, TapeError

MS = 1_000_000
TICK, LOT = Decimal("0.01"), Decimal("0.001")

# (price in ticks, lots)
Shown = list[tuple[int, int]]


def levels(shown: Shown) -> Levels:
    return tuple((TICK * price, LOT * lots) for price, lots in shown)


def shows(ms: int, bids: Shown, asks: Shown) -> Change:
    return Change(ms * MS, levels(bids), levels(asks))


def takes(ms: int, side: Side, price: int, lots: int) -> Print:
    return Print(ms * MS, TICK * price, LOT * lots, side)


FAR = takes(10_000, "buy", 9_999, 1)  # a recording needs a trade


def replay(changes: list[Change], prints: list[Print]) -> Replay:
    return Replay(Recording(prints=tuple(prints), changes=tuple(changes)), TICK, LOT)


class Venue:
    """The engine, a client, and the market as the replay says it."""

    def __init__(self, market: Replay) -> None:
        self._replay = market
        self._engine = Engine(Profile())
        self._market = Market("X", "B", "Q", TICK, LOT)
        self._engine.list_market(self._market)
        self._others = self._engine.account("market")
        self._client = self._engine.account("client")
        self._number = 0

    def place(self, side: Side, price: int, lots: int) -> Order:
        order = Order(f"c{self._number}-{price}", self._client, self._market, side == "buy", lots, price)
        self._engine.place(order)
        return order

    def step(self) -> None:
        step = self._replay.step(self._number)
        self._quote(step)
        for index, (side, limit, quantity) in enumerate(step.flow):
            taker = Order(f"t{self._number}-{index}", self._others, self._market, side == "buy", quantity, limit)
            taker.qualify(LIMIT, IOC)
            self._engine.place(taker)
        self._number += 1

    def quote(self) -> None:
        """The beginning of a step alone: what is displayed before anybody takes."""
        self._quote(self._replay.step(self._number))

    def _quote(self, step: Step) -> None:
        standing = [
            Standing(each.id, "buy" if each.buy else "sell", each.price, each.leaves, each.behind is None)
            for each in self._others.orders.values()
        ]
        for change in requote(standing, step.bids, step.asks):
            match change:
                case Pull():
                    self._engine.cancel(self._others, change.id)
                case Resize():
                    order = self._others.orders[change.id]
                    self._engine.amend(self._others, change.id, order.executed + change.lots, -1)
                case Add():
                    id = f"q{self._number}-{change.price}"
                    buys = change.side == "buy"
                    self._engine.place(Order(id, self._others, self._market, buys, change.lots, change.price))

    def others(self, price: int) -> int:
        """The lots of the market at a price."""
        return sum(each.leaves for each in self._others.orders.values() if each.price == price)


# What is shown, and who takes.


def test_a_step_shows_what_was_recorded_as_it_began() -> None:
    market = replay(
        [shows(0, [(99_999, 5)], [(100_001, 7), (100_002, 8)]), shows(200, [(99_999, 6), (99_998, 4)], [(100_001, 0)])],
        [FAR],
    )
    assert market.step(0) == Step([(99_999, 5)], [(100_001, 7), (100_002, 8)], [])
    assert market.step(1) == Step([(99_999, 6), (99_998, 4)], [(100_002, 8)], [])


def test_who_took_within_200_ms_takes_in_the_step_as_far_as_traded() -> None:
    market = replay(
        [shows(0, [(99_999, 5)], [(100_001, 7)])],
        [takes(0, "buy", 100_001, 2), takes(199, "sell", 99_999, 3), takes(200, "buy", 100_001, 1), FAR],
    )
    assert market.step(0).flow == [Aggressor("buy", 100_001, 2), Aggressor("sell", 99_999, 3)]
    assert market.step(1).flow == [Aggressor("buy", 100_001, 1)]


def test_prints_of_one_side_at_one_instant_were_one_order() -> None:
    prints = [
        takes(5, "buy", 100_001, 2),
        takes(5, "buy", 100_002, 1),
        takes(5, "sell", 99_999, 1),
        takes(6, "sell", 99_999, 1),
        FAR,
    ]
    assert replay([shows(0, [(99_999, 5)], [(100_001, 2), (100_002, 8)])], prints).step(0).flow == [
        Aggressor("buy", 100_002, 3),
        Aggressor("sell", 99_999, 1),
        Aggressor("sell", 99_999, 1),
    ]


def test_a_level_that_a_taker_went_through_shows_no_more_than_was_traded_there() -> None:
    book = shows(0, [(99_999, 5), (99_998, 5), (99_997, 5)], [(100_001, 7), (100_002, 8), (100_003, 9), (100_004, 9)])
    bought = replay([book], [takes(5, "buy", 100_001, 2), takes(9, "buy", 100_003, 1), FAR]).step(0)
    assert (bought.bids, bought.asks) == (
        [(99_999, 5), (99_998, 5), (99_997, 5)],
        [(100_001, 2), (100_003, 9), (100_004, 9)],
    )
    sold = replay([book], [takes(5, "sell", 99_997, 1), FAR]).step(0)
    assert (sold.bids, sold.asks) == ([(99_997, 5)], [(100_001, 7), (100_002, 8), (100_003, 9), (100_004, 9)])


def test_only_what_is_near_the_best_price_is_shown() -> None:
    market = replay([shows(0, [(20_000, 1), (19_990, 2), (19_989, 3)], [(20_001, 1), (20_011, 2), (20_012, 3)])], [FAR])
    assert market.step(0) == Step([(20_000, 1), (19_990, 2)], [(20_001, 1), (20_011, 2)], [])


def test_not_too_many_levels_are_shown() -> None:
    asks = [(10_000_000 + index, 1) for index in range(LEVELS_MAX + 10)]
    assert len(replay([shows(0, [], asks)], [FAR]).step(0).asks) == LEVELS_MAX


def test_prices_between_ticks_go_away_from_the_other_side_and_parts_of_lots_are_not_shown() -> None:
    odd = Change(
        0,
        (
            (Decimal("0.999"), Decimal("0.0026")),
            (Decimal("0.991"), Decimal("0.0026")),
            (Decimal("0.5"), Decimal("0.0001")),
        ),
        ((Decimal("1.001"), Decimal("0.0039")),),
    )
    prints = [Print(0, Decimal("1.001"), Decimal("0.0001"), "buy"), Print(0, Decimal("0.999"), LOT, "sell"), FAR]
    assert replay([odd], prints).step(0) == Step(
        [(99, 5)], [(101, 3)], [Aggressor("buy", 101, 1), Aggressor("sell", 99, 1)]
    )


# What that means to a client.


def test_a_client_stands_behind_what_is_displayed_when_it_comes() -> None:
    venue = Venue(
        replay(
            [shows(0, [(99_999, 5)], [(100_001, 9)]), shows(200, [(99_999, 2)], [])],
            [takes(100, "sell", 99_999, 3), FAR],
        )
    )
    venue.quote()
    mine = venue.place("buy", 99_999, 4)
    venue.step()
    assert (mine.executed, venue.others(99_999)) == (0, 2)


def test_what_is_traded_beyond_those_ahead_is_the_clients() -> None:
    recorded = [shows(0, [(99_999, 5)], [(100_001, 9)]), shows(200, [(99_999, 0)], [])]
    venue = Venue(replay(recorded, [takes(100, "sell", 99_999, 4), takes(150, "sell", 99_999, 2), FAR]))
    venue.quote()
    mine = venue.place("buy", 99_999, 4)
    venue.step()
    assert mine.executed == 1


def test_who_leaves_without_a_trade_leaves_before_and_behind_the_client_in_proportion() -> None:
    recorded = [
        shows(0, [(99_999, 6)], [(100_001, 9)]),
        shows(200, [(99_999, 12)], []),
        shows(400, [(99_999, 4)], []),
        shows(600, [], []),
    ]
    venue = Venue(replay(recorded, [takes(700, "sell", 99_999, 3), FAR]))
    venue.quote()
    mine = venue.place("buy", 99_999, 4)
    for _ in range(4):
        venue.step()
    assert mine.executed == 1  # two of the four that stayed had been ahead


def test_what_comes_later_stands_behind_the_client() -> None:
    recorded = [shows(0, [(99_999, 2)], [(100_001, 9)]), shows(200, [(99_999, 50)], [])]
    venue = Venue(replay(recorded, [takes(300, "sell", 99_999, 5), FAR]))
    venue.quote()
    mine = venue.place("buy", 99_999, 9)
    venue.step()
    venue.step()
    assert mine.executed == 3


def test_a_client_who_bids_more_is_first() -> None:
    venue = Venue(replay([shows(0, [(99_999, 5)], [(100_002, 9)])], [takes(100, "sell", 99_999, 3), FAR]))
    venue.quote()
    mine = venue.place("buy", 100_000, 2)
    venue.step()
    assert (mine.executed, venue.others(99_999)) == (2, 4)


def test_a_taker_goes_no_farther_than_it_traded() -> None:
    venue = Venue(replay([shows(0, [(99_999, 5)], [(100_001, 1)])], [takes(100, "buy", 100_001, 50), FAR]))
    mine = venue.place("sell", 100_002, 4)
    venue.step()
    assert mine.executed == 0


def test_a_taker_that_went_through_comes_to_the_clients_level_with_what_it_traded_there() -> None:
    venue = Venue(replay([shows(0, [(99_998, 5)], [(100_001, 7), (100_002, 3)])], [takes(50, "buy", 100_002, 5), FAR]))
    mine = venue.place("sell", 100_002, 9)
    venue.step()
    assert mine.executed == 5  # it came before the others' quotes; nothing of what had been at 100_001 takes it away


def test_what_others_show_is_what_was_recorded_whatever_clients_did() -> None:
    recorded = [shows(0, [(99_999, 5)], [(100_001, 9)]), shows(200, [(99_999, 2)], [])]
    venue = Venue(replay(recorded, [takes(100, "sell", 99_999, 3), FAR]))
    venue.quote()
    venue.place("sell", 99_999, 4)
    assert venue.others(99_999) == 1
    venue.step()
    venue.step()
    assert venue.others(99_999) == 2


def test_a_market_that_moves_over_a_clients_price_trades_with_it() -> None:
    recorded = [shows(0, [(99_999, 5)], [(100_001, 9)]), shows(200, [(99_999, 0), (99_996, 5)], [(99_998, 3)])]
    venue = Venue(replay(recorded, [FAR]))
    venue.step()
    mine = venue.place("buy", 99_999, 2)
    venue.step()
    assert mine.executed == 2


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 40)), min_size=1, max_size=12),
)
def test_a_clients_fills_are_those_of_a_queue_kept_by_hand(shown: int, lots: int, steps: list[tuple[int, int]]) -> None:
    """Each step takes some lots and leaves the level at some size, never below what was there less what was taken
    unless others left: the same by two numbers, those ahead and those behind."""
    changes, prints, total = [shows(0, [(99_999, shown)], [(100_001, 9)])], [FAR], shown
    ahead, behind, filled = shown, 0, 0
    for number, (taken, left) in enumerate(steps):
        taken = min(taken, total)  # what was recorded was there
        if taken:
            prints.append(takes(200 * number + 100, "sell", 99_999, taken))
        changes.append(shows(200 * (number + 1), [(99_999, left)], []))
        total = left
        from_ahead = min(ahead, taken)
        mine = min(lots - filled, taken - from_ahead)
        ahead, filled, behind = ahead - from_ahead, filled + mine, behind - (taken - from_ahead - mine)
        others = ahead + behind
        if left < others:
            ahead = ahead * left // others
        behind = left - ahead
    venue = Venue(replay(changes, sorted(prints, key=lambda each: each.offset_ns)))
    venue.quote()
    order = venue.place("buy", 99_999, lots)
    for _ in range(len(steps) + 1):
        venue.step()
    assert order.executed == filled
    assert venue.others(99_999) == total


# Past the end, and in any order.

TURNS = replay(
    [shows(0, [(99_999, 5)], [(100_000, 7)]), shows(200, [(99_999, 0), (99_998, 6)], [(100_000, 0), (99_999, 8)])],
    [takes(100, "sell", 99_999, 5), takes(250, "buy", 99_999, 1)],
)


def test_past_its_end_it_is_played_backward_with_sides_exchanged() -> None:
    assert TURNS.step(2) == Step([(99_998, 6)], [(99_999, 8)], [Aggressor("sell", 99_998, 1)])
    assert TURNS.step(3) == Step([(99_998, 6)], [(99_999, 8)], [Aggressor("buy", 99_999, 5)])


def test_and_after_its_beginning_forward_again() -> None:
    assert TURNS.step(4) == TURNS.step(0)
    assert TURNS.step(4_000_001) == TURNS.step(1)


def test_asking_does_not_change_what_is_answered() -> None:
    before = [TURNS.step(number) for number in range(4)]
    for step in before:
        step.bids.clear()
        step.asks.clear()
        step.flow.clear()
    assert [len(TURNS.step(number).bids) for number in range(4)] == [1, 1, 1, 1]
    assert TURNS.step(0).flow == [Aggressor("sell", 99_999, 5)]


def test_a_replay_needs_depth_and_trades() -> None:
    with pytest.raises(TapeError, match="both depth and trades"):
        replay([], [FAR])
    with pytest.raises(TapeError, match="both depth and trades"):
        replay([shows(0, [], [])], [])


def test_a_step_is_a_fifth_of_a_second() -> None:
    assert STEP_NS == 200 * MS


def test_a_side_is_not_left_empty_by_who_went_beyond_all_that_is_shown() -> None:
    book = shows(0, [(99_999, 5), (99_998, 5)], [(100_001, 7), (100_002, 8)])
    step = replay([book], [takes(5, "buy", 100_900, 2), takes(5, "sell", 99_000, 2), FAR]).step(0)
    assert (step.bids, step.asks) == ([(99_998, 5)], [(100_002, 8)])
