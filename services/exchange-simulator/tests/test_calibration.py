"""Which figures make agents trade and quote as a recorded market did?"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from itertools import pairwise

import msgspec
import pytest
from ks import critical_distance

from bot4_exchange_simulator.calibration import Report, counts_cdf, fit, toml
from bot4_exchange_simulator.distributions import poisson_cdf
from bot4_exchange_simulator.flow import Agents, Amounts, Beta, Makers, MarketParameters, Takers, shipped
from bot4_exchange_simulator.liquidity import STEP_NS
from bot4_exchange_simulator.recording import Change, Levels, Reach, Recording
from bot4_exchange_simulator.tape import Print, TapeError

TICK, LOT = Decimal("0.01"), Decimal("0.0000001")
STEPS = 5_000

# Not at all like the figures that the fit begins with.
MADE = MarketParameters(
    price=Decimal(2_600),
    takers=Takers(
        per_second=8.0,
        clustering=0.7,
        clustering_half_life_seconds=1.0,
        size=Amounts(low=10.0, high=2_000.0, shape=Beta(2.0, 3.0)),
        looking=0.3,
        clearing=0.1,
        fill_ratio_min=0.1,
        fill_ratio=Beta(1.0, 2.5),
        foresight=0.5,
    ),
    makers=Makers(
        volatility_bps=3.0,
        reversion_half_life_seconds=30.0,
        anchor_bps=150.0,
        anchor_half_life_seconds=86_400.0,
        tight=0.6,
        wide_ticks_median=6.0,
        wide_sigma=0.8,
        spread_half_life_seconds=1.0,
        touch=Amounts(low=50_000.0, high=400_000.0, shape=Beta(2.0, 2.0)),
        behind=((2.0, 200_000.0), (4.0, 500_000.0)),
    ),
)


def recorded(parameters: MarketParameters, steps: int = STEPS) -> Recording:
    """A market of agents as somebody would record it: changes of levels, and prints at the touch."""
    market = Agents(parameters, TICK, LOT, seed=3)
    changes: list[Change] = []
    prints: list[Print] = []
    shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for number in range(steps):
        step = market.step(number)
        before, shown = shown, (dict(step.bids), dict(step.asks))
        bids, asks = (changed(old, new) for old, new in zip(before, shown, strict=True))
        changes.append(Change(number * STEP_NS, bids, asks))
        for index, (side, _, lots) in enumerate(step.flow, 1):
            price = (step.asks if side == "buy" else step.bids)[0][0]
            prints.append(Print(number * STEP_NS + index, TICK * price, LOT * lots, side))
    return Recording(prints=tuple(prints), changes=tuple(changes))


def changed(old: dict[int, int], new: dict[int, int]) -> Levels:
    levels = {price: 0 for price in old if price not in new}
    levels |= {price: lots for price, lots in new.items() if old.get(price) != lots}
    return tuple((TICK * price, LOT * lots) for price, lots in levels.items())


@cache
def made() -> Recording:
    return recorded(MADE)


@cache
def report() -> Report:
    return fit(made(), shipped())


def test_the_figures_of_takers_are_found_again() -> None:
    found, true = report().parameters.takers, MADE.takers
    assert found.per_second == pytest.approx(true.per_second, rel=0.1)
    assert found.clustering == pytest.approx(true.clustering, rel=0.15)
    assert found.clustering_half_life_seconds == pytest.approx(true.clustering_half_life_seconds, rel=0.35)
    assert found.looking + found.clearing == pytest.approx(true.looking + true.clearing, abs=0.02)
    assert (found.fill_ratio.a, found.fill_ratio.b) == pytest.approx((1.0, 2.5), rel=0.1)
    assert (found.size.shape.a, found.size.shape.b) == pytest.approx((2.0, 3.0), rel=0.15)
    assert found.foresight == pytest.approx(true.foresight, rel=0.15)


def test_the_figures_of_makers_are_found_again() -> None:
    found, true = report().parameters.makers, MADE.makers
    assert found.volatility_bps == pytest.approx(true.volatility_bps, rel=0.1)
    assert 15.0 < found.reversion_half_life_seconds < 60.0
    assert found.tight == pytest.approx(true.tight, abs=0.05)
    assert found.wide_ticks_median == pytest.approx(true.wide_ticks_median, rel=0.15)
    assert found.wide_sigma == pytest.approx(true.wide_sigma, rel=0.15)
    assert (found.touch.shape.a, found.touch.shape.b) == pytest.approx((2.0, 2.0), rel=0.15)
    assert dict(found.behind)[2.0] == pytest.approx(200_000.0, rel=0.2)
    assert report().parameters.price == pytest.approx(MADE.price, rel=Decimal("0.03"))


def test_what_is_distributed_as_said_fits() -> None:
    fits = report().fits
    assert set(fits) == {
        "takers in a step",
        "size of a taker",
        "fill ratio",
        "move of the mid in a second",
        "spread beyond a tick",
        "depth at the touch",
    }
    for name in ("size of a taker", "fill ratio"):
        assert fits[name].distance < critical_distance(fits[name].cases)
    assert fits["takers in a step"].distance < 0.03
    assert fits["move of the mid in a second"].distance < 0.06


def test_what_is_not_does_not() -> None:
    """All takers want one of two amounts: no Beta distribution has two peaks inside."""
    two = tuple(
        msgspec.structs.replace(
            each, quantity=Decimal("0.01") if index % 3 else Decimal("0.3"), offset_ns=index * 10**8
        )
        for index, each in enumerate(made().prints)
    )
    found = fit(Recording(prints=two), shipped()).fits
    assert found["size of a taker"].distance > 0.25
    assert found["takers in a step"].distance > 0.2  # exactly two in each


def test_without_depth_the_figures_of_it_are_kept() -> None:
    found = fit(Recording(prints=made().prints), shipped())
    assert {"looking", "clearing", "fill_ratio", "touch", "tight", "behind", "anchor_bps"} <= set(found.kept)
    assert not {"per_second", "size", "volatility_bps", "foresight"} & set(found.kept)
    assert found.parameters.makers.touch == shipped().makers.touch
    assert found.parameters.makers.volatility_bps == pytest.approx(3.0, rel=0.15)


def test_without_trades_the_figures_of_takers_are_kept() -> None:
    found = fit(Recording(prints=(), changes=made().changes), shipped())
    assert found.parameters.takers == shipped().takers
    assert found.parameters.makers == report().parameters.makers


def test_depth_by_distance_alone_says_what_is_behind() -> None:
    reaches = tuple(Reach(Decimal(bps), Decimal(amount)) for bps, amount in ((500, 90), (100, 20), (100, 40), (20, 10)))
    found = fit(Recording(prints=(), reaches=reaches), shipped())
    assert found.parameters.makers.behind == ((20.0, 10.0), (100.0, 30.0), (500.0, 90.0))
    assert found.parameters.takers == shipped().takers


def test_prints_of_one_side_at_one_instant_are_one_taker() -> None:
    doubled = tuple(
        half for each in made().prints for half in [msgspec.structs.replace(each, quantity=each.quantity / 2)] * 2
    )
    assert fit(Recording(prints=doubled, changes=made().changes), shipped()).fits == report().fits


def test_a_spread_that_is_always_the_same_is_that_wide() -> None:
    always = Change(
        0, ((Decimal("99.99"), Decimal(2)), (Decimal("99.5"), Decimal(1))), ((Decimal("100.02"), Decimal(3)),)
    )
    changes = (always, Change(100 * 10**9, ((Decimal("99.99"), Decimal(5)),), ()))
    found = fit(Recording(prints=(), changes=changes), shipped()).parameters.makers
    assert (found.tight, found.wide_sigma) == (0.0, 0.0)
    assert found.wide_ticks_median == pytest.approx(2.0)
    assert found.touch == shipped().makers.touch  # three sizes tell no shape


def test_what_is_too_short_is_refused() -> None:
    with pytest.raises(TapeError, match="9 takers are too few"):
        fit(
            Recording(prints=tuple(msgspec.structs.replace(p, offset_ns=i) for i, p in enumerate(made().prints[:9]))),
            MADE,
        )
    with pytest.raises(TapeError, match=r"59\.8 s are too short"):
        fit(recorded(MADE, 300), MADE)


def test_a_report_is_a_file_that_makes_the_same_market() -> None:
    read = msgspec.convert(tomllib.loads(toml(report())), MarketParameters)
    assert read.takers.size.shape.a == pytest.approx(report().parameters.takers.size.shape.a, rel=1e-3)
    assert read.makers.behind == tuple(
        (bps, float(f"{amount:.4g}")) for bps, amount in report().parameters.makers.behind
    )
    assert read.price == report().parameters.price
    assert f"# size of a taker: {report().fits['size of a taker'].distance:.3f}, " in toml(report())


def test_clustered_counts_are_wider_than_poisson_with_the_same_mean() -> None:
    clustered, plain = counts_cdf(2.0, 0.8), poisson_cdf(2.0)
    assert clustered(0) > plain(0) and clustered(8) < plain(8)
    assert sum(1.0 - clustered(k) for k in range(100)) == pytest.approx(2.0, rel=0.01)
    assert counts_cdf(2.0, 0.0)(3) == pytest.approx(plain(3))
    assert all(less <= more for less, more in pairwise(clustered(k) for k in range(30)))
