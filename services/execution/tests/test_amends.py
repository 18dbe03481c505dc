"""How does an amend end? Each one approved ends once: it was made, or it was not."""

from __future__ import annotations

import pytest

from bot4_common.given import MILLISECOND, NOON, SECOND, Scenario, event
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelRejected,
    CancelSent,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.terms import Event
from bot4_execution.requests import RECEIVE_WINDOW_NS
from bot4_execution.state import State
from services.execution.tests.words import (
    accepted,
    amend,
    amend_rejected,
    amended,
    approved,
    cancel,
    cancel_rejected,
    cancelled,
    expired,
    filled,
    given,
    known,
    opened,
    rejected,
    silence,
    status,
    tick,
)


def amending(quantity: str = "12", price: str = "100") -> Scenario[State]:
    return opened().when(amend(quantity, price))


def test_an_amend_is_sent_with_an_end_to_its_acceptance() -> None:
    amending("12", "101").then(
        event(
            AmendSent,
            **known(quantity="12", price="101", sent_at=NOON, expires_at=NOON + RECEIVE_WINDOW_NS),
        )
    )


def test_its_success_is_told_on_and_nothing_is_awaited_any_more() -> None:
    done = amending("12", "101").when(amended(2, "12", "101"))
    done.then(event(OrderAmended, **known(quantity="12", price="101", leaves="12", session_sequence=2)))
    assert done.decider.deadline(done.state) is None


def test_an_amended_order_is_filled_when_its_new_total_is() -> None:
    whole = amending().when(amended(2, "12"), filled(3, "12", "12", leaves="0"))
    whole.then(event(OrderAmended), event(OrderFilled, leaves="0"))
    assert whole.state.finished["1-0.1"].stage == "filled"


def test_its_refusal_is_told_on_and_the_order_is_as_it_was() -> None:
    refused = amending().when(amend_rejected(2))
    refused.then(event(AmendRejected, **known(code="BELOW_FILLED", session_sequence=2)))
    assert refused.decider.deadline(refused.state) is None
    refused.when(filled(3, "10", "10")).then(event(OrderFilled, leaves="0"))


def test_after_one_amend_ended_the_next_is_sent() -> None:
    amending().when(amend_rejected(2)).when(amend("13")).then(event(AmendSent, quantity="13"))


def test_an_amend_heard_twice_is_sent_once() -> None:
    amending("12").when(amend("12")).then_nothing()


def test_another_one_meanwhile_is_refused_and_the_first_goes_on() -> None:
    both = amending("12").when(amend("13"))
    both.then(event(AmendRejected, code="AMEND_IN_FLIGHT", session_sequence=0))
    assert both.decider.deadline(both.state) == NOON + SECOND
    both.when(amended(2, "12")).then(event(OrderAmended, quantity="12"))
    assert both.decider.deadline(both.state) is None


@pytest.mark.parametrize("over", [filled(2, "10", "10"), cancelled(2), expired(2)])
def test_an_order_that_is_over_is_not_amended(over: Event) -> None:
    opened().when(over).when(amend("12")).then(event(AmendRejected, **known(code="ORDER_IS_OVER", session_sequence=0)))


def test_an_order_that_nobody_knows_is_not_amended() -> None:
    given().when(amend("12", order_id="9-9")).then(
        event(AmendRejected, order_id="9-9", child_id="9-9.1", venue="sim", code="ORDER_IS_OVER", session_sequence=0)
    )


# While it is under way


def test_a_fill_that_comes_meanwhile_is_applied_to_the_total_last_told() -> None:
    racing = amending().when(filled(2, "4", "4"), amended(3, "12", leaves="8"), filled(4, "8", "12", "t2", leaves="0"))
    racing.then(
        event(OrderFilled, cumulative="4", leaves="6"),
        event(OrderAmended, quantity="12", leaves="8"),
        event(OrderFilled, cumulative="12", leaves="0"),
    )


def test_a_fill_of_the_new_total_before_the_venue_told_of_it_is_quarantined() -> None:
    amending().when(filled(2, "4", "4", leaves="8")).then(event(FillQuarantined, reason="leaves 8 after 4 of 10"))


@pytest.mark.parametrize(
    ("over", "ending"),
    [(filled(2, "10", "10"), OrderFilled), (cancelled(2), OrderCancelled), (expired(2), OrderExpired)],
)
def test_an_order_that_ends_ends_its_amend_first(over: Event, ending: type[Event]) -> None:
    ended = amending().when(over)
    ended.then(event(AmendRejected, **known(code="ORDER_IS_OVER", session_sequence=0)), event(ending))
    ended.when(amend_rejected(3, "ORDER_IS_OVER")).then(event(FeedAdvanced, session_sequence=3))


def test_a_fill_told_after_the_end_of_order_and_amend_is_held_against_the_total_last_told() -> None:
    over = amending().when(cancelled(2, "6"))
    over.when(filled(3, "4", "4")).then(event(OrderFilled, late=True, leaves="6"))
    over.when(filled(4, "8", "12", "t2", leaves="0")).then(event(FillQuarantined, reason="overfill: 12 of 10"))
    grown = amending().when(amended(2, "12"), cancelled(3, "0"))
    grown.when(filled(4, "12", "12", leaves="0")).then(event(OrderFilled, late=True, cumulative="12", leaves="0"))


def test_a_partial_fill_ends_no_amend() -> None:
    amending().when(filled(2, "4", "4")).then(event(OrderFilled))


def test_an_amend_to_what_is_filled_ends_with_the_order() -> None:
    """10: the venue closes the order as cancelled."""
    to_filled = opened().when(filled(2, "4", "4")).when(amend("4"))
    to_filled.when(cancelled(3, "6")).then(event(AmendRejected, code="ORDER_IS_OVER"), event(OrderCancelled))


# Without an amend of ours


def test_a_leg_of_a_list_may_change_unasked() -> None:
    opened().when(amended(2, "7")).then(event(OrderAmended, quantity="7", leaves="7"))


def test_a_change_unasked_does_not_end_the_amend() -> None:
    waiting = amending().when(amended(2, "7"))
    waiting.then(event(OrderAmended, quantity="7"))
    waiting.when(amended(3, "12")).then(event(OrderAmended, quantity="12"))
    assert waiting.decider.deadline(waiting.state) is None


def test_an_amend_told_again_is_only_noted() -> None:
    amending().when(amended(2, "12")).when(amended(3, "12")).then(event(FeedAdvanced))


def test_an_amend_to_what_the_order_has_become_meanwhile_is_answered_all_the_same() -> None:
    opened().when(amended(2, "7")).when(amend("7")).when(amended(3, "7")).then(event(OrderAmended, quantity="7"))


def test_an_amend_that_does_not_add_up_is_only_noted() -> None:
    noted = amending().when(filled(2, "4", "4")).when(amended(3, "12", leaves="12"))
    noted.then(event(FeedAdvanced))
    assert noted.state.live["1-0.1"].quantity == 10


def test_below_what_is_filled_nothing_can_be_amended() -> None:
    opened().when(filled(2, "4", "4")).when(amended(3, "3", leaves="-1")).then(event(FeedAdvanced))


def test_an_order_that_is_over_changes_no_more() -> None:
    opened().when(cancelled(2), amended(3, "7"), amend_rejected(4)).then(
        event(OrderCancelled), event(FeedAdvanced), event(FeedAdvanced)
    )


# Before the order is known to be there


def test_an_amend_that_overtook_its_order_is_sent_again_when_the_order_is_there() -> None:
    early = given().when(approved()).when(amend("12"))
    early.then(event(AmendSent))
    early.when(amend_rejected(1, "UNKNOWN_ORDER")).then(
        event(FeedAdvanced, child_id="1-0.1", request="amend", code="UNKNOWN_ORDER")
    )
    early.after(SECOND // 2).when(accepted(2)).then(
        event(OrderAcknowledged),
        event(AmendSent, quantity="12", sent_at=early.now, expires_at=early.now + RECEIVE_WINDOW_NS),
    )
    early.when(amended(3, "12")).then(event(OrderAmended))
    assert early.decider.deadline(early.state) is None


def test_an_amend_that_did_not_overtake_its_order_is_not_sent_again() -> None:
    behind = given().when(approved()).when(amend("12")).when(accepted(1))
    behind.then(event(OrderAcknowledged))
    silence(behind).then(event(OutcomeUnknown, request="amend"), event(QuerySent))


def test_an_order_that_is_refused_takes_its_amend_along() -> None:
    given().when(approved()).when(amend("12")).when(rejected(1)).then(
        event(AmendRejected, code="ORDER_IS_OVER", session_sequence=0), event(OrderRejected)
    )


def test_an_order_that_is_lost_takes_its_amend_along() -> None:
    silent = silence(given().when(approved()).when(amend("12")))
    silent.then(event(OutcomeUnknown, request="order"), event(QuerySent))
    silent.when(status(1, "unknown", NOON + RECEIVE_WINDOW_NS + 1)).then(
        event(AmendRejected, code="ORDER_IS_OVER", session_sequence=0), event(OrderLost)
    )


# Not knowing


def test_an_amend_without_an_answer_is_asked_about_and_not_sent_again() -> None:
    silent = silence(amending())
    silent.then(
        event(OutcomeUnknown, **known(request="amend", at=silent.now)), event(QuerySent, **known(sent_at=silent.now))
    )
    silent.when(status(2, "open", silent.now)).then(event(FeedAdvanced))
    silence(silent).then(event(OutcomeUnknown, request="amend"), event(QuerySent))


def test_the_new_total_in_the_answer_shows_that_the_amend_was_made() -> None:
    made = silence(amending("12", "101")).when(status(2, "open", quantity="12", price="101"))
    made.then(event(OrderAmended, **known(quantity="12", price="101", leaves="12", session_sequence=2)))
    assert made.decider.deadline(made.state) is None


@pytest.mark.parametrize(("quantity", "price"), [("12", "100"), ("10", "101")])
def test_half_of_what_was_asked_for_shows_nothing(quantity: str, price: str) -> None:
    silence(amending("12", "101")).when(status(2, "open", quantity=quantity, price=price)).then(event(FeedAdvanced))


def test_the_old_total_in_an_answer_of_when_it_can_no_longer_be_made_shows_that_it_was_lost() -> None:
    lost = silence(amending()).when(status(2, "open", NOON + RECEIVE_WINDOW_NS))
    lost.then(event(FeedAdvanced))
    lost.when(status(3, "open", NOON + RECEIVE_WINDOW_NS + 1)).then(
        event(AmendRejected, **known(code="AMEND_LOST", session_sequence=3))
    )
    assert lost.decider.deadline(lost.state) is None


def test_a_lost_amend_that_reaches_the_venue_too_late_is_over_only_once() -> None:
    lost = silence(amending()).when(status(2, "open", NOON + RECEIVE_WINDOW_NS + 1))
    lost.when(amend_rejected(3, "REQUEST_EXPIRED")).then(event(FeedAdvanced))


# What the venue does not take just now


def test_an_amend_that_the_venue_does_not_take_just_now_is_asked_for_again() -> None:
    put_off = amending().when(amend_rejected(2, "VENUE_BUSY"))
    put_off.then(event(FeedAdvanced, child_id="1-0.1", request="amend", code="VENUE_BUSY", at=NOON))
    silence(put_off).then(event(AmendSent, quantity="12", sent_at=NOON + SECOND, expires_at=NOON + RECEIVE_WINDOW_NS))
    put_off.when(amended(3, "12")).then(event(OrderAmended))


def test_and_refused_when_its_time_is_up() -> None:
    put_off = amending().when(amend_rejected(2, "VENUE_BUSY"))
    put_off.after(RECEIVE_WINDOW_NS + 1).when(tick(put_off)).then(
        event(AmendRejected, code="VENUE_BUSY", session_sequence=0, at=put_off.now)
    )
    assert put_off.decider.deadline(put_off.state) is None


def test_a_refusal_that_comes_when_its_time_is_up_is_one() -> None:
    late = amending().after(RECEIVE_WINDOW_NS + 1)
    late.when(amend_rejected(2, "VENUE_BUSY")).then(event(AmendRejected, code="VENUE_BUSY", session_sequence=2))


def test_what_is_known_to_be_refused_is_not_lost() -> None:
    put_off = amending().when(amend_rejected(2, "VENUE_BUSY"))
    put_off.when(status(3, "open", NOON + RECEIVE_WINDOW_NS + 1)).then(event(FeedAdvanced))


# With a cancel under way as well


def test_both_are_asked_about_in_one_question() -> None:
    silence(amending().when(cancel())).then(
        event(OutcomeUnknown, request="cancel"), event(OutcomeUnknown, request="amend"), event(QuerySent)
    )


def test_the_answer_to_one_leaves_the_other_awaited() -> None:
    amends = amending().when(cancel()).when(cancel_rejected(2))
    amends.then(event(CancelRejected))
    silence(amends).then(event(OutcomeUnknown, request="amend"), event(QuerySent))
    cancels = amending().when(cancel()).when(amend_rejected(2))
    silence(cancels).then(event(OutcomeUnknown, request="cancel"), event(QuerySent))


def test_a_cancel_put_off_puts_off_no_amend() -> None:
    both = amending().when(cancel()).when(cancel_rejected(2, "CANCEL_DOWN"))
    silence(both).then(
        event(OutcomeUnknown, request="cancel"), event(OutcomeUnknown, request="amend"), event(QuerySent)
    )


def test_an_amend_put_off_is_sent_again_and_the_cancel_asked_about() -> None:
    both = amending().when(cancel()).when(amend_rejected(2, "VENUE_BUSY"))
    silence(both).then(event(OutcomeUnknown, request="cancel"), event(AmendSent), event(QuerySent))


def test_an_order_at_the_venue_is_sent_what_waited_for_it() -> None:
    early = given().when(approved()).when(amend("12"), cancel())
    early.then(event(AmendSent), event(CancelSent))
    early.when(amend_rejected(1, "UNKNOWN_ORDER"), cancel_rejected(2), accepted(3)).then(
        event(FeedAdvanced), event(CancelRejected), event(OrderAcknowledged), event(AmendSent), event(CancelSent)
    )


def test_an_amend_does_not_put_off_the_question_what_became_of_the_order() -> None:
    waiting = given().when(approved()).after(999 * MILLISECOND).when(amend("12"))
    waiting.after(MILLISECOND).when(tick(waiting)).then(event(OutcomeUnknown, request="order"), event(QuerySent))


def test_what_an_amend_leaves_may_lack_a_trade_that_is_yet_to_be_told() -> None:
    smaller = amending("8").when(amended(2, "8", leaves="5"))
    smaller.then(event(OrderAmended, quantity="8", leaves="8"))
    late = smaller.when(cancelled(3, "5")).when(filled(4, "3", "3", leaves="0"))
    late.then(event(OrderFilled, quantity="3", leaves="5", late=True))
