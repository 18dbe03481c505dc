"""Which way can a child order go? Each row of the table, and each pair that is not in it, by what the venue says."""

from __future__ import annotations

from typing import get_args

import pytest

from bot4_common.given import SECOND, Scenario, event
from bot4_common.messages.execution import (
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.terms import Event
from bot4_execution.lifecycle import AT_VENUE, LIFE, OVER, News, Stage
from bot4_execution.state import State
from services.execution.tests.words import (
    accepted,
    approved,
    cancelled,
    expired,
    filled,
    given,
    rejected,
    status,
    tick,
)

STAGES: tuple[Stage, ...] = get_args(Stage)
NEWS: tuple[News, ...] = get_args(News)
LATE = 6 * SECOND

SAYS: dict[News, type[Event]] = {
    "acknowledged": OrderAcknowledged,
    "silent": QuerySent,
    "filled_in_part": OrderFilled,
    "filled": OrderFilled,
    "cancelled": OrderCancelled,
    "expired": OrderExpired,
    "rejected": OrderRejected,
    "lost": OrderLost,
}


def brought_to(stage: Stage) -> Scenario[State]:
    """The order 1-0 at a stage, the shortest way."""
    scenario = given().when(approved())
    match stage:
        case "sent":
            return scenario
        case "unknown":
            scenario.after(SECOND)
            return scenario.when(tick(scenario))
        case "lost":
            scenario.after(SECOND)
            scenario.when(tick(scenario))
            return scenario.when(status(1, "unknown", scenario.now + LATE))
        case "rejected":
            return scenario.when(rejected(1))
        case "open":
            return scenario.when(accepted(1))
        case "partially_filled":
            return scenario.when(accepted(1), filled(2, "4", "4"))
        case "filled":
            return scenario.when(accepted(1), filled(2, "10", "10"))
        case "cancelled":
            return scenario.when(accepted(1), cancelled(2))
        case "expired":
            return scenario.when(accepted(1), expired(2))


def stage_of(scenario: Scenario[State]) -> Stage:
    child = scenario.state.child("1-0.1")
    assert child is not None
    return child.stage


def hears(scenario: Scenario[State], news: News) -> Scenario[State]:
    number = scenario.state.session("sim").sequence + 1
    child = scenario.state.child("1-0.1")
    assert child is not None
    match news:
        case "acknowledged":
            return scenario.when(accepted(number))
        case "silent":
            scenario.after(SECOND)
            return scenario.when(tick(scenario))
        case "filled_in_part":
            return scenario.when(filled(number, "1", f"{child.cumulative + 1}", trade_id="next"))
        case "filled":
            return scenario.when(filled(number, f"{child.leaves}", "10", trade_id="next"))
        case "cancelled":
            return scenario.when(cancelled(number))
        case "expired":
            return scenario.when(expired(number))
        case "rejected":
            return scenario.when(rejected(number))
        case "lost":
            return scenario.when(status(number, "unknown", scenario.now + LATE))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_reached(stage: Stage) -> None:
    assert stage_of(brought_to(stage)) == stage


@pytest.mark.parametrize(("stage", "news"), LIFE)
def test_news_in_the_table_moves_the_order(stage: Stage, news: News) -> None:
    scenario = hears(brought_to(stage), news)
    assert stage_of(scenario) == LIFE[stage, news]
    assert type(scenario.said[-1]) is SAYS[news]


@pytest.mark.parametrize(
    ("stage", "news"), [(stage, news) for stage in STAGES for news in NEWS if (stage, news) not in LIFE]
)
def test_news_not_in_the_table_is_noted_and_moves_nothing(stage: Stage, news: News) -> None:
    scenario = hears(brought_to(stage), news)
    assert stage_of(scenario) == stage
    if news == "silent":
        # Of an order at the venue, or over, no answer is awaited.
        scenario.then_nothing()
    else:
        scenario.then(event(FillQuarantined if "filled" in news else FeedAdvanced))


def test_silence_is_called_unknown_once_and_asked_about_again_and_again() -> None:
    scenario = brought_to("sent")
    hears(scenario, "silent").then(event(OutcomeUnknown, request="order"), event(QuerySent))
    hears(scenario, "silent").then(event(QuerySent))


@pytest.mark.parametrize("stage", STAGES)
def test_an_order_is_over_or_has_a_way_to_be(stage: Stage) -> None:
    onward = {LIFE[stage, news] for news in NEWS if (stage, news) in LIFE}
    assert onward <= OVER if stage in OVER else onward


def test_an_order_can_be_filled_at_the_venue_or_late_but_not_one_the_venue_never_had() -> None:
    assert {stage for stage, news in LIFE if "filled" in news} == AT_VENUE | {"cancelled", "expired", "lost"}


@pytest.mark.parametrize("stage", sorted(OVER))
def test_only_a_fill_is_late(stage: Stage) -> None:
    assert {news for over, news in LIFE if over == stage} <= {"filled_in_part", "filled"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_finished_order_is_no_longer_live(stage: Stage) -> None:
    state = brought_to(stage).state
    assert ("1-0.1" in state.finished) == (stage in OVER)
    assert ("1-0.1" in state.live) == (stage not in OVER)
    assert stage not in OVER or not state.awaited
