"""Does one side of a book stay in order, and as small as what is in it, whatever comes and goes?"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order

MARKET = Market("BTC-USDT", "BTC", "USDT", Decimal(1), Decimal(1))
ACCOUNT = Account("ann", -1, None)


def order(number: int, price: int, lots: int = 1) -> Order:
    return Order(str(number), ACCOUNT, MARKET, True, lots, price)


# A price to place at, or the number of an order to remove, counted from the first that is there.
steps = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 5)), max_size=60)


@given(steps=steps, sign=st.sampled_from([1, -1]))
def test_a_side_is_the_queues_of_what_came_and_did_not_go(steps: list[tuple[bool, int, int]], sign: int) -> None:
    side, there = Side(sign), list[Order]()
    for number, (comes, drawn, lots) in enumerate(steps):
        if comes or not there:
            there.append(order(number, 100 + drawn, lots))
            side.append(there[-1], lots)
        else:
            side.remove(there.pop(drawn % len(there)))
        prices = sorted({each.price for each in there}, key=lambda price: -sign * price)
        shown = [(price, sum(each.quantity for each in there if each.price == price)) for price in prices]
        assert side.depth(0) == shown
        assert side.depth(2) == shown[:2]
        assert (None if side.top is None else side.top.price) == (prices[0] if prices else None)
        assert side.top is None or side.top.front is next(each for each in there if each.price == prices[0])


def test_prices_that_nobody_stands_at_are_forgotten() -> None:
    side = Side(1)
    side.append(order(0, 1_000_000), 1)
    for number in range(10_000):
        passing = order(number, 1 + number)
        side.append(passing, 1)
        side.remove(passing)
    assert len(side.keys) == len(side.levels) < 100
    assert side.depth(0) == [(1_000_000, 1)]
