"""What a simulated history is like, and whether it can be used."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import log
from statistics import correlation, stdev

import pytest

from bot4_common.given import NOON
from bot4_common.instruments import shipped
from bot4_common.messages.cost import PricesSampled
from bot4_cost_model.sampling import INTERVAL_NS, history, written
from bot4_cost_model.simulated import CORRELATION, DEVIATION, simulated

PRICES = {"BTC-USDT": Decimal("60000"), "ETH-USDT": Decimal("2600")}


def simulation(seed: int = 1, hours: int = 2_000) -> list[PricesSampled]:
    return simulated(seed, PRICES, shipped(), hours, NOON)


def returns(samples: list[PricesSampled], symbol: str) -> list[float]:
    prices = [log(sample.prices[symbol]) for sample in samples]
    return [after - before for before, after in pairwise(prices)]


def test_a_seed_is_one_history() -> None:
    assert simulation(seed=1, hours=10) == simulation(seed=1, hours=10) != simulation(seed=2, hours=10)


def test_it_has_a_sample_of_each_hour_up_to_the_one_before() -> None:
    this_hour = NOON - NOON % INTERVAL_NS
    assert [sample.at for sample in simulation(hours=3)] == [this_hour - back * INTERVAL_NS for back in (3, 2, 1)]


def test_it_ends_at_the_prices_that_the_market_goes_on_from() -> None:
    assert simulation()[-1].prices == PRICES


def test_prices_are_whole_ticks() -> None:
    for sample in simulation():
        for symbol, price in sample.prices.items():
            assert shipped()[symbol].ticks(price) > 0


@pytest.mark.parametrize("seed", range(5))
def test_symbols_go_together_as_they_are_said_to(seed: int) -> None:
    samples = simulation(seed)
    assert correlation(*(returns(samples, symbol) for symbol in PRICES)) == pytest.approx(CORRELATION, abs=0.03)
    assert stdev(returns(samples, "BTC-USDT")) == pytest.approx(DEVIATION, rel=0.15)


def test_what_is_written_is_read_again() -> None:
    samples = simulation(hours=200)
    assert list(history(written(samples), INTERVAL_NS, until=NOON)) == samples
