"""Is the venue's feed complete?"""

from __future__ import annotations

from bot4_common.given import MILLISECOND, Expected, event
from bot4_common.messages.execution import FeedAdvanced, OrderAcknowledged, OrderFilled, ResendRequested
from bot4_execution.session import RESEND_PATIENCE_NS, Session
from services.execution.tests.words import SESSION, accepted, approved, filled, given, heartbeat


def resend_from(number: int) -> Expected:
    return event(ResendRequested, venue="sim", session=SESSION, session_sequence=number)


def test_the_next_number_is_next_any_other_a_repeat_or_a_gap() -> None:
    session = Session(sequence=7)
    assert [session.judge(number) for number in (1, 7, 8, 9)] == ["repeat", "repeat", "next", "gap"]


def test_a_resend_is_asked_for_again_only_after_some_patience() -> None:
    session = Session(asked_at=1_000)
    assert not session.may_ask(1_000 + RESEND_PATIENCE_NS - 1)
    assert session.may_ask(1_000 + RESEND_PATIENCE_NS)


def test_messages_are_taken_in_the_order_of_their_numbers() -> None:
    given().when(approved()).when(accepted(1), filled(2, "4", "4")).then(
        event(OrderAcknowledged, session_sequence=1), event(OrderFilled, session_sequence=2)
    )


def test_a_repeat_is_ignored() -> None:
    given().when(approved()).when(accepted(1)).when(accepted(1)).then_nothing()


def test_behind_a_gap_nothing_is_taken_and_the_venue_is_asked() -> None:
    gap = given().when(approved()).when(filled(2, "4", "4"))
    gap.then(resend_from(1))
    assert gap.state.session("sim").sequence == 0


def test_while_the_answer_is_on_its_way_it_is_not_asked_again() -> None:
    given().when(approved()).when(filled(2, "4", "4")).when(filled(3, "1", "5"), heartbeat(3)).then_nothing()


def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    gap = given().when(approved()).when(filled(2, "4", "4"))
    gap.after(RESEND_PATIENCE_NS).when(heartbeat(2)).then(resend_from(1))


def test_what_is_told_again_closes_the_gap() -> None:
    closed = given().when(approved()).when(filled(2, "4", "4")).when(accepted(1), filled(2, "4", "4"))
    closed.then(event(OrderAcknowledged), event(OrderFilled))
    assert closed.state.session("sim") == Session(sequence=2)


def test_a_new_gap_is_asked_about_at_once() -> None:
    closed = given().when(approved()).when(filled(2, "4", "4")).when(accepted(1))
    closed.when(filled(4, "1", "6")).then(resend_from(2))


def test_a_heartbeat_shows_that_the_last_message_is_missing() -> None:
    given().when(approved()).when(heartbeat(1)).then(resend_from(1))


def test_a_heartbeat_with_nothing_new_is_nothing() -> None:
    given().when(approved()).when(accepted(1)).when(heartbeat(1), heartbeat(0)).then_nothing()


def test_another_session_is_none_of_ours() -> None:
    given().when(approved()).when(heartbeat(5, session="EXECUTION_1")).then_nothing()


def test_a_message_of_an_unknown_order_is_only_noted() -> None:
    scenario = given().after(MILLISECOND).when(accepted(1, child_id="9-9.1"))
    scenario.then(FeedAdvanced(venue="sim", session=SESSION, session_sequence=1))
    assert scenario.state.session("sim").sequence == 1
