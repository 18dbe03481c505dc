"""What would agents quote and trade now?"""

from __future__ import annotations

import sys
from decimal import Decimal
from functools import partial
from math import exp, log, sqrt
from timeit import timeit
from typing import Any

import msgspec
import pytest
from ks import follows, uniform_cdf

from bot4_exchange_simulator.calibration import counts_cdf
from bot4_exchange_simulator.distributions import (
    beta_cdf,
    ks_distance_of_counts,
    log_normal_cdf,
    normal_cdf,
    poisson_cdf,
)
from bot4_exchange_simulator.draws import uniform
from bot4_exchange_simulator.flow import BPS, STEPS_PER_SECOND, Agents, Amounts, Beta, MarketParameters, shipped
from bot4_exchange_simulator.liquidity import LEVELS, STEPS_PER_SIZE, Step

# So fine that what is drawn is found again in whole ticks and lots.
TICK, LOT = Decimal("0.000001"), Decimal("0.0000000001")
BTC = shipped("BTC-USDT")
CASES = 3_000


def agents(seed: int = 1, tick: Decimal = TICK, lot: Decimal = LOT, **changes: Any) -> Agents:
    """A market as shipped, but for some figures."""
    takers = {name: each for name, each in changes.items() if name in BTC.takers.__struct_fields__}
    makers = {name: each for name, each in changes.items() if name in BTC.makers.__struct_fields__}
    parameters = MarketParameters(
        price=BTC.price,
        takers=msgspec.structs.replace(BTC.takers, **takers),
        makers=msgspec.structs.replace(BTC.makers, **makers),
    )
    return Agents(parameters, tick, lot, seed)


def mid(step: Step) -> float:
    return (step.bids[0][0] + step.asks[0][0]) / 2


# Who takes.


def test_takers_arrive_by_poisson_at_the_intensity_of_the_step() -> None:
    """A count, and a part of it by another draw, makes an even number if the count is Poisson with this mean."""
    market = agents(per_second=20.0)
    steps = range(CASES)
    counts, means = [len(market.step(n).flow) for n in steps], [market.expected(n) for n in steps]
    assert follows([evened(n, counts[n], means[n]) for n in steps], uniform_cdf)
    assert not follows([evened(n, counts[n], 1.1 * means[n]) for n in steps], uniform_cdf)


def evened(number: int, count: int, mean: float) -> float:
    cdf = poisson_cdf(mean)
    return cdf(count - 1) + uniform(99, number) * (cdf(count) - cdf(count - 1))


def test_without_clusters_the_intensity_is_always_the_same() -> None:
    market = agents(per_second=10.0, clustering=0.0)
    assert {market.expected(n) for n in range(50)} == {2.0}
    counts = [len(market.step(n).flow) for n in range(CASES)]
    assert ks_distance_of_counts(counts, poisson_cdf(2.0)) < 0.02
    assert ks_distance_of_counts(counts, poisson_cdf(2.3)) > 0.05


def test_the_intensity_of_clusters_is_log_normal() -> None:
    market = agents(per_second=10.0, clustering=0.8, clustering_half_life_seconds=1.0)
    means = [market.expected(100 * n) for n in range(CASES)]
    assert follows(means, log_normal_cdf(2.0 * exp(-0.32), 0.8))
    assert not follows(means, log_normal_cdf(2.0 * exp(-0.32), 1.0))
    counts = [len(market.step(100 * n).flow) for n in range(CASES)]
    assert ks_distance_of_counts(counts, counts_cdf(2.0, 0.8)) < 0.025
    assert ks_distance_of_counts(counts, poisson_cdf(2.0)) > 0.1


def taken(market: Agents, cases: int = CASES) -> list[tuple[float, float]]:
    """Of each taker: what it wants, in lots and as a share of the touch it looks at."""
    found: list[tuple[float, float]] = []
    number = 0
    while len(found) < cases:
        step = market.step(number)
        for side, _, quantity in step.flow:
            _, displayed = (step.asks if side == "buy" else step.bids)[0]
            found.append((quantity, quantity / displayed))
        number += 1
    return found[:cases]


def test_sizes_are_beta_between_the_logarithms_of_least_and_most() -> None:
    size = Amounts(low=5.0, high=50_000.0, shape=Beta(2.0, 3.0))
    market = agents(looking=0.0, clearing=0.0, size=size, volatility_bps=0.001, anchor_bps=0.0)
    notional = float(BTC.price * LOT)
    positions = [size.position(lots * notional) for lots, _ in taken(market)]
    assert follows(positions, beta_cdf(2.0, 3.0))
    assert not follows(positions, beta_cdf(2.0, 3.4))


def test_fill_ratios_are_beta_from_the_least_on() -> None:
    market = agents(looking=1.0, clearing=0.0, fill_ratio_min=0.1, fill_ratio=Beta(0.5, 1.2))
    parts = [(ratio - 0.1) / 0.9 for _, ratio in taken(market)]
    assert follows(parts, beta_cdf(0.5, 1.2))
    assert not follows(parts, beta_cdf(0.6, 1.2))
    assert not follows(parts, beta_cdf(0.5, 1.4))


def test_who_clears_takes_all_that_is_displayed_at_the_touch() -> None:
    assert {ratio for _, ratio in taken(agents(looking=0.0, clearing=1.0), 100)} == {1.0}


def test_each_kind_of_taker_is_as_frequent_as_its_share() -> None:
    market = agents(looking=0.3, clearing=0.2, size=Amounts(low=1e-6, high=2e-6, shape=Beta(1.0, 1.0)))
    ratios = [ratio for _, ratio in taken(market)]
    assert sum(ratio == 1.0 for ratio in ratios) / CASES == pytest.approx(0.2, abs=0.025)
    assert sum(0.09 < ratio < 1.0 for ratio in ratios) / CASES == pytest.approx(0.3, abs=0.03)


def test_takers_reach_as_far_as_is_shown() -> None:
    step = next(step for step in map(agents().step, range(100)) if step.flow)
    for side, limit, _ in step.flow:
        assert limit == (step.asks if side == "buy" else step.bids)[-1][0]


def test_takers_are_on_the_side_of_the_move_to_come_as_often_as_foresight_says() -> None:
    """A buy has the probability that a normal number is below foresight times the move: as an even number."""
    for foresight, told in ((0.0, 0.5), (1.0, 0.75), (5.0, 0.937)):
        market = agents(foresight=foresight, clustering=0.0)
        right = both = 0
        for number in range(1_500):
            step = market.step(number)
            move = mid(market.step(number + 1)) - mid(step)
            both += len(step.flow)
            right += sum((side == "buy") == (move > 0) for side, _, _ in step.flow)
        assert right / both == pytest.approx(told, abs=0.035)


# Who quotes.


def test_the_price_moves_as_much_as_volatility_says() -> None:
    """Moves of a second, minutes apart, are normal."""
    market = agents(volatility_bps=2.0, reversion_half_life_seconds=60.0)
    moves = [move_bps(market, n * 997, STEPS_PER_SECOND) for n in range(CASES)]
    assert follows([move / 2.0 for move in moves], normal_cdf)
    assert not follows([move / 1.6 for move in moves], normal_cdf)


def test_the_price_returns() -> None:
    """After ten half-lives where it was says nothing of where it is; without the pull it would be 28 bps away."""
    market = agents(volatility_bps=2.0, reversion_half_life_seconds=20.0, anchor_bps=0.0)
    deviation = 2.0 / sqrt(2.0 * (1.0 - 0.5 ** (1 / 20.0)))
    moves = [move_bps(market, n * 3_001, 200 * STEPS_PER_SECOND) for n in range(CASES)]
    assert follows([move / (sqrt(2.0) * deviation) for move in moves], normal_cdf)
    assert not follows([move / (2.0 * sqrt(200.0)) for move in moves], normal_cdf)


def move_bps(market: Agents, number: int, steps: int) -> float:
    return log(mid(market.step(number + steps)) / mid(market.step(number))) / BPS


def test_the_price_stays_around_its_anchor_for_a_year() -> None:
    market = agents()
    price = float(BTC.price / TICK)
    far = [abs(log(mid(market.step(day * 86_400 * STEPS_PER_SECOND)) / price)) / BPS for day in range(365)]
    assert max(far) < 5 * BTC.makers.anchor_bps


def test_the_spread_is_a_tick_most_of_the_time_and_log_normal_otherwise() -> None:
    market = agents(tight=0.4, wide_ticks_median=500.0, wide_sigma=1.0, spread_half_life_seconds=1.0)
    spreads = [market.spread(100 * n) for n in range(CASES)]
    wide = [spread - 1.0 for spread in spreads if spread > 1]
    assert len(wide) / CASES == pytest.approx(0.6, abs=0.03)
    assert follows(wide, log_normal_cdf(500.0, 1.0))
    assert not follows(wide, log_normal_cdf(600.0, 1.0))
    assert not follows(wide, log_normal_cdf(500.0, 1.25))


def test_quotes_are_a_spread_apart() -> None:
    market = agents(tick=Decimal("0.01"), tight=0.5)
    for number in range(200):
        step = market.step(number)
        assert step.asks[0][0] - step.bids[0][0] == market.spread(number)


def test_what_is_displayed_at_the_touch_is_beta_between_logarithms() -> None:
    touch = Amounts(low=100.0, high=100_000.0, shape=Beta(3.0, 2.0))
    market = agents(touch=touch)
    positions = []
    for number in range(CASES):
        price, lots = market.step(number * 400).bids[0]
        positions.append(touch.position(lots * price * float(TICK * LOT)))
    assert follows(positions, beta_cdf(3.0, 2.0))
    assert not follows(positions, beta_cdf(3.0, 2.3))


def test_behind_the_touch_stands_on_average_what_is_said() -> None:
    market = agents(tick=Decimal("0.01"), behind=((1.0, 1_000.0), (4.0, 10_000.0)))
    within: dict[float, list[float]] = {1.0: [], 3.0: []}
    for number in range(0, 50 * CASES, 50):
        bids = market.step(number).bids
        for bps, sums in within.items():
            sums.append(
                sum(p * lots * 0.01 * float(LOT) for p, lots in bids[1:] if bids[0][0] - p <= bids[0][0] * bps * BPS)
            )
    # Quotes stand every half basis point, so that on average the last of them is a quarter of one short.
    assert sum(within[1.0]) / CASES == pytest.approx(750.0, rel=0.05)
    assert sum(within[3.0]) / CASES == pytest.approx(1_000.0 + 1.75 * 3_000.0, rel=0.05)


def test_a_quote_that_does_not_move_keeps_its_size_for_a_while() -> None:
    still = agents(volatility_bps=1e-9, anchor_bps=0.0, tight=1.0)
    sizes = [still.step(number).bids[3] for number in range(4 * STEPS_PER_SIZE)]
    assert len(set(sizes)) in (4, 5)


def test_a_market_never_crosses_and_shows_whole_lots_above_zero() -> None:
    market = agents(tick=Decimal("0.01"), lot=Decimal("0.00001"), tight=0.5)
    for number in range(500):
        step = market.step(number)
        bids, asks = [price for price, _ in step.bids], [price for price, _ in step.asks]
        assert len(bids) == len(asks) == LEVELS
        assert bids == sorted(set(bids), reverse=True) and asks == sorted(set(asks))
        assert bids[0] < asks[0]
        assert min(lots for _, lots in step.bids + step.asks) >= 1
        assert all(quantity >= 1 for _, _, quantity in step.flow)


def test_nobody_bids_nothing() -> None:
    parameters = msgspec.structs.replace(BTC, price=Decimal("0.02"))
    assert [price for price, _ in Agents(parameters, Decimal("0.01"), Decimal(1), 1).step(0).bids] == [2, 1]


# The same for whoever asks.


def test_the_same_figures_seed_and_step_say_the_same_in_any_order() -> None:
    numbers = [900, 3, 4, 3, 10**9, 41, 0]
    one, other = agents(), agents()
    assert [one.step(n) for n in numbers] == [other.step(n) for n in reversed(numbers)][::-1]


@pytest.mark.skipif(sys.gettrace() is not None, reason="a step takes longer while its lines are counted")
def test_a_step_takes_a_thousandth_of_its_time() -> None:
    """200 us: the least of five rounds, so that a busy machine is not held against it."""
    market = agents(tick=Decimal("0.01"), lot=Decimal("0.00001"))
    rounds = [timeit(partial(steps, market, 100 * each, 100), number=1) for each in range(5)]
    assert min(rounds) / 100 < 200e-6


def steps(market: Agents, first: int, count: int) -> list[Step]:
    return [market.step(number) for number in range(first, first + count)]


def test_another_seed_is_another_market() -> None:
    assert agents(seed=1).step(7) != agents(seed=2).step(7)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"looking": 0.6, "clearing": 0.5}, "shares of one whole"),
        ({"per_second": -1.0}, "not below zero"),
        ({"fill_ratio_min": 1.0}, "share below 1"),
        ({"volatility_bps": 0.1}, "anchor alone"),
        ({"reversion_half_life_seconds": 0.0}, "above zero"),
        ({"tight": 1.5}, "tight is a share"),
        ({"wide_ticks_median": 0.0}, "wide_ticks_median"),
        ({"behind": ()}, "ever farther"),
        ({"behind": ((2.0, 5.0), (1.0, 6.0))}, "ever farther"),
        ({"behind": ((1.0, 5.0), (2.0, 4.0))}, "ever farther"),
    ],
)
def test_figures_that_make_no_market_are_refused(changes: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        agents(**changes)


def test_amounts_and_shapes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="below high"):
        Amounts(low=2.0, high=1.0, shape=Beta(1.0, 1.0))
    with pytest.raises(ValueError, match="above zero"):
        Beta(0.0, 1.0)


def test_only_some_markets_come_along() -> None:
    with pytest.raises(LookupError, match="no figures of DOGE-USDT"):
        shipped("DOGE-USDT")
