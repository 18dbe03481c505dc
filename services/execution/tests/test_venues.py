"""Is each venue a session of its own?"""

from __future__ import annotations

from msgspec.structs import replace

from bot4_common.given import Scenario, event
from bot4_common.messages.execution import (
    CancelSent,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderFilled,
    OrderSent,
    OutcomeUnknown,
    QuerySent,
    ResendRequested,
)
from bot4_common.messages.terms import Event
from bot4_common.streams import feed
from bot4_execution.domain import Execution
from bot4_execution.state import PATIENCE_NS, State
from services.execution.tests.words import ORDER, SESSION, accepted, approved, cancel, filled, heartbeat, tick


def given() -> Scenario[State]:
    return Scenario(Execution(["a", "b"], SESSION), stream="RISK_0")


def told_by(venue: str, scenario: Scenario[State], *messages: Event) -> Scenario[State]:
    scenario.subject = feed(venue, SESSION)
    return scenario.when(*messages)


def test_an_order_is_sent_to_the_venue_it_names() -> None:
    given().when(approved(order=replace(ORDER, venue="b"))).then(event(OrderSent, venue="b"))


def test_an_approval_from_before_there_was_a_choice_goes_to_the_default_venue() -> None:
    given().when(approved()).then(event(OrderSent, venue="a"))


def both() -> Scenario[State]:
    """Order 1-0 is at venue a, 2-0 at b; each venue numbers its own feed from 1."""
    sent = given().when(approved("1-0", replace(ORDER, venue="a")), approved("2-0", replace(ORDER, venue="b")))
    told_by("a", sent, accepted(1, "1-0.1")).then(event(OrderAcknowledged, venue="a", session_sequence=1))
    return told_by("b", sent, accepted(1, "2-0.1")).then(event(OrderAcknowledged, venue="b", session_sequence=1))


def test_each_feed_has_its_own_numbers() -> None:
    scenario = both()
    told_by("b", scenario, filled(2, "4", "4", child_id="2-0.1")).then(event(OrderFilled, venue="b"))
    assert (scenario.state.session("a").sequence, scenario.state.session("b").sequence) == (1, 2)


def test_a_gap_is_asked_about_where_it_is() -> None:
    scenario = both()
    told_by("b", scenario, filled(3, "4", "4", child_id="2-0.1")).then(
        event(ResendRequested, venue="b", session_sequence=2)
    )
    told_by("a", scenario, filled(2, "4", "4", child_id="1-0.1")).then(event(OrderFilled, venue="a"))


def test_a_gap_at_one_venue_does_not_keep_from_asking_another() -> None:
    scenario = both()
    told_by("b", scenario, filled(3, "4", "4", child_id="2-0.1"))
    told_by("a", scenario, filled(3, "4", "4", child_id="1-0.1")).then(
        event(ResendRequested, venue="a", session_sequence=2)
    )


def test_a_heartbeat_is_of_its_venue() -> None:
    both().when(replace(heartbeat(2), venue="b")).then(event(ResendRequested, venue="b", session_sequence=2))


def test_cancels_and_questions_go_where_the_order_is() -> None:
    both().when(cancel("2-0")).then(event(CancelSent, venue="b"))
    silent = given().when(approved("2-0", replace(ORDER, venue="b"))).after(PATIENCE_NS)
    silent.when(tick(silent)).then(event(OutcomeUnknown, venue="b"), event(QuerySent, venue="b"))


def test_no_venue_can_fill_an_order_that_is_at_another() -> None:
    told_by("a", both(), filled(2, "4", "4", child_id="2-0.1")).then(
        event(FillQuarantined, venue="a", child_id="2-0.1", reason="no such order")
    )


def test_no_venue_can_say_what_became_of_an_order_at_another() -> None:
    sent = given().when(approved("2-0", replace(ORDER, venue="b")))
    told_by("a", sent, accepted(1, "2-0.1")).then(event(FeedAdvanced, venue="a", session_sequence=1))
