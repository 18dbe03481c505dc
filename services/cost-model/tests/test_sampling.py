"""Which prices are sampled, and what a file of earlier ones may hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot4_common.given import NOON, SECOND, Scenario, event
from bot4_common.messages.cost import PricesSampled, StatisticsPublished, SymbolStatistics
from bot4_common.messages.market import Quote, Tick
from bot4_common.money import ZERO
from bot4_cost_model.domain import SEEDED_AT_ONCE, CostModel, State
from bot4_cost_model.fees import FeeSchedule
from bot4_cost_model.sampling import (
    INTERVAL_NS,
    QUOTE_AGE_MAX_NS,
    RETURNS_MIN,
    SAMPLES_MAX,
    SYMBOLS_MAX,
    StatisticsFitted,
    history,
)

FREE = FeeSchedule(maker=ZERO, taker=ZERO)
# When the hour that noon lies in ends.
NEXT_HOUR = NOON - NOON % INTERVAL_NS + INTERVAL_NS


def given(*earlier: PricesSampled) -> Scenario[State]:
    return Scenario(CostModel({"sim": FREE, "far": FREE}, history=earlier), stream="EXECUTION_0")


def quote(symbol: str = "COIN", bid: str = "99", ask: str = "101", venue: str = "sim", at: int = NOON) -> Quote:
    one = Decimal(1)
    return Quote(
        venue=venue, symbol=symbol, bid=Decimal(bid), ask=Decimal(ask), bid_quantity=one, ask_quantity=one, at=at
    )


def sampled(at: int, **prices: str) -> PricesSampled:
    return PricesSampled(prices={symbol: Decimal(price) for symbol, price in prices.items()}, at=at)


def hours(count: int, until: int = NOON) -> list[PricesSampled]:
    """One sample an hour, the last one at `until`."""
    return [sampled(until - back * INTERVAL_NS, COIN="100") for back in reversed(range(count))]


def fitted(sampled_to: int = NOON, symbols: int = 1) -> StatisticsFitted:
    zeros: dict[str, Any] = dict.fromkeys(SymbolStatistics.__struct_fields__, ZERO)
    one = SymbolStatistics(**zeros | {"symbol": "COIN", "model": "sample", "observations": 100})
    return StatisticsFitted(
        sampled_to=sampled_to,
        interval_ns=INTERVAL_NS,
        symbols=[one] * symbols,
        correlations=[[Decimal(1)] * symbols] * symbols,
    )


# Sampling


def test_the_first_quote_is_sampled() -> None:
    given().when(quote()).then(sampled(NOON, COIN="100"))


def test_a_sample_has_the_mids_of_all_symbols() -> None:
    scenario = given()
    scenario.quotes["sim", "BIT"] = quote("BIT", "0.01", "0.02")
    scenario.when(quote()).then(sampled(NOON, BIT="0.015", COIN="100"))


def test_an_hour_has_one_sample() -> None:
    given().given(sampled(NOON, COIN="100")).after(NEXT_HOUR - 1 - NOON).when(quote(at=NEXT_HOUR - 1)).then_nothing()


def test_the_next_hour_is_sampled_at_its_first_quote() -> None:
    scenario = given().given(sampled(NEXT_HOUR - 1, COIN="100"))
    scenario.after(NEXT_HOUR - NOON).when(quote(at=NEXT_HOUR)).then(sampled(NEXT_HOUR, COIN="100"))


def test_the_same_quote_twice_is_sampled_once() -> None:
    given().when(quote(), quote()).then(sampled(NOON, COIN="100"))


def test_a_quote_of_another_venue_is_not_sampled() -> None:
    given().when(quote(venue="far")).then_nothing()


def test_a_sample_has_the_prices_of_the_default_venue_only() -> None:
    scenario = given()
    scenario.quotes["far", "BIT"] = quote("BIT", venue="far")
    scenario.when(quote()).then(sampled(NOON, COIN="100"))


@pytest.mark.parametrize(("age", "symbols"), [(QUOTE_AGE_MAX_NS, ["BIT", "COIN"]), (QUOTE_AGE_MAX_NS + 1, ["COIN"])])
def test_a_quote_is_fresh_for_some_seconds(age: int, symbols: list[str]) -> None:
    scenario = given()
    scenario.quotes["sim", "BIT"] = quote("BIT", at=NOON - age)
    [sample] = scenario.when(quote()).said
    assert isinstance(sample, PricesSampled)
    assert list(sample.prices) == symbols


def test_without_a_fresh_quote_nothing_is_sampled() -> None:
    given().when(quote(at=NOON - 60 * SECOND)).then_nothing()


@pytest.mark.parametrize(("bid", "ask"), [("0", "2"), ("-1", "2"), ("NaN", "2"), ("1", "Infinity"), ("1", "1E+900")])
def test_what_is_no_price_is_not_sampled(bid: str, ask: str) -> None:
    given().when(quote(bid=bid, ask=ask)).then_nothing()


def test_a_mid_is_exact() -> None:
    given().when(quote(bid="99999999999999999.999999999999999998", ask="99999999999999999.999999999999999999")).then(
        sampled(NOON, COIN="99999999999999999.9999999999999999985")
    )


def test_so_many_symbols_are_sampled_and_no_more() -> None:
    scenario = given()
    scenario.quotes |= {("sim", f"S{number:02}"): quote(f"S{number:02}") for number in range(SYMBOLS_MAX + 5)}
    [sample] = scenario.when(quote("S00")).said
    assert isinstance(sample, PricesSampled)
    assert list(sample.prices) == [f"S{number:02}" for number in range(SYMBOLS_MAX)]


def test_the_oldest_samples_are_forgotten() -> None:
    samples = hours(SAMPLES_MAX + 3)
    assert given().given(*samples).state.samples == samples[3:]


# What is wanted of them


def test_statistics_are_wanted_from_a_hundred_returns_on() -> None:
    decider = CostModel({"sim": FREE})
    assert decider.wanted(given().given(*hours(RETURNS_MIN)).state) is None
    window = decider.wanted(given().given(*hours(RETURNS_MIN + 1)).state)
    assert window is not None
    assert (window.samples, window.interval_ns) == (hours(RETURNS_MIN + 1), INTERVAL_NS)


def test_what_was_fitted_is_published_as_the_next_version() -> None:
    scenario = given().given(*hours(101)).after(SECOND).when(fitted())
    scenario.then(
        StatisticsPublished(
            version=1,
            sampled_to=NOON,
            interval_ns=INTERVAL_NS,
            symbols=fitted().symbols,
            correlations=fitted().correlations,
            at=NOON + SECOND,
        )
    )
    scenario.when(fitted(NOON + INTERVAL_NS)).then(event(StatisticsPublished, version=2))


def test_the_same_fit_twice_is_published_once() -> None:
    given().given(*hours(101)).when(fitted(), fitted()).then(event(StatisticsPublished, version=1))


def test_a_fit_of_no_symbol_is_not_published() -> None:
    given().given(*hours(101)).when(fitted(symbols=0)).then_nothing()


def test_what_is_published_is_not_wanted_again_before_the_next_sample() -> None:
    decider = CostModel({"sim": FREE})
    state = given().given(*hours(101)).when(fitted()).state
    assert decider.wanted(state) is None
    decider.evolve(state, sampled(NEXT_HOUR, COIN="100"))
    assert decider.wanted(state) is not None


def test_a_fit_that_was_under_way_is_wanted_again_after_a_restart() -> None:
    scenario = given().given(*hours(101))
    restarted = CostModel({"sim": FREE})
    assert restarted.wanted(Scenario(restarted).given(*scenario.log).state) is not None


# History


def test_history_is_taken_over_when_there_is_none() -> None:
    given(*hours(3)).when(Tick(at=NOON)).then(*hours(3))


def test_history_is_taken_over_once() -> None:
    scenario = given(*hours(3)).when(Tick(at=NOON)).when(Tick(at=NOON)).then_nothing()
    assert scenario.decider.deadline(scenario.state) is None


def test_of_a_history_only_what_is_newer_than_the_samples_is_taken_over() -> None:
    given(*hours(3)).given(hours(2)[0]).when(Tick(at=NOON)).then(hours(1)[0])


def test_a_long_history_is_taken_over_in_several_frames() -> None:
    scenario = given(*hours(SEEDED_AT_ONCE + 1))
    assert scenario.decider.deadline(scenario.state) == 0
    scenario.when(Tick(at=NOON)).then(*hours(SEEDED_AT_ONCE + 1)[:-1])
    scenario.when(Tick(at=NOON)).then(*hours(1))


def test_the_market_is_not_sampled_before_the_history_is_taken_over() -> None:
    scenario = given(*hours(2)).when(quote()).then_nothing()
    scenario.when(Tick(at=NOON)).after(INTERVAL_NS).when(quote(at=NOON + INTERVAL_NS)).then(event(PricesSampled))


def test_statistics_are_not_wanted_of_half_a_history() -> None:
    scenario = given(*hours(SEEDED_AT_ONCE + 1)).when(Tick(at=NOON))
    decider = CostModel({"sim": FREE}, history=hours(SEEDED_AT_ONCE + 1))
    assert decider.wanted(scenario.state) is None
    assert decider.wanted(scenario.when(Tick(at=NOON)).state) is not None


def file(*rows: str) -> list[str]:
    return ["time_ns,symbol,price\n", *(f"{row}\n" for row in rows)]


def test_a_file_holds_a_sample_for_each_period() -> None:
    rows = file("0,COIN,100.50", "0,BIT,2", "10,COIN,101")
    assert history(rows, interval_ns=10, until=10) == (sampled(0, COIN="100.50", BIT="2"), sampled(10, COIN="101"))


def test_of_a_period_the_first_price_counts() -> None:
    rows = file("11,COIN,100", "12,COIN,101", "13,BIT,2")
    assert history(rows, interval_ns=10, until=20) == (sampled(11, COIN="100", BIT="2"),)


def test_of_a_long_file_the_end_is_kept() -> None:
    rows = file(*(f"{number},COIN,100" for number in range(SAMPLES_MAX + 7)))
    kept = history(rows, interval_ns=1, until=10_000)
    assert (len(kept), kept[0].at) == (SAMPLES_MAX, 7)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("5,COIN,100", "line 3: 5 is before the line above"),
        ("31,COIN,100", "line 3: 31 is in the future"),
        ("20,COIN", "line 3: 2 columns, not 3"),
        ("1e1,COIN,100", "line 3: '1e1' is not a time in ns"),
        ("20,COIN,NaN", "line 3: 'NaN' is not a finite number"),
        ("20,COIN,1_0", "line 3: '1_0' is not a decimal number"),
        ("20,COIN,0", "line 3: 0 is not a finite number above zero"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(row: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        history(file("10,COIN,100", row), interval_ns=10, until=30)


def test_a_file_of_too_many_symbols_is_refused() -> None:
    rows = file(*(f"10,S{number},100" for number in range(SYMBOLS_MAX + 1)))
    with pytest.raises(ValueError, match="line 22: S20 is one more than the 20 symbols"):
        history(rows, interval_ns=10, until=30)


@pytest.mark.parametrize("head", [[], ["time,symbol,price\n"]])
def test_a_file_names_its_columns(head: list[str]) -> None:
    with pytest.raises(ValueError, match="line 1: the columns are not time_ns,symbol,price"):
        history(head, interval_ns=10, until=30)
