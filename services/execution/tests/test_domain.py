"""What goes to the venue, and what has become of it?"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from bot4_common.decider import encode_state
from bot4_common.given import MILLISECOND, NOON, SECOND, Scenario, event
from bot4_common.messages.execution import (
    CancelRejected,
    CancelSent,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTriggered,
    OrderTrimmed,
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import VenueFilled
from bot4_execution.requests import RECEIVE_WINDOW_NS
from bot4_execution.state import FINISHED_KEPT, State
from services.execution.tests.words import (
    ORDER,
    accepted,
    approved,
    cancel,
    cancel_rejected,
    cancelled,
    expired,
    filled,
    given,
    known,
    opened,
    prevented,
    rejected,
    silence,
    status,
    tick,
    triggered,
    trimmed,
)


def sent() -> Scenario[State]:
    return given().when(approved())


def test_an_approved_order_is_sent_with_an_end_to_its_acceptance() -> None:
    sent().then(
        OrderSent(
            order_id="1-0",
            child_id="1-0.1",
            account="ann",
            venue="sim",
            order=ORDER,
            bid=Decimal(99),
            ask=Decimal(101),
            sent_at=NOON,
            expires_at=NOON + RECEIVE_WINDOW_NS,
        )
    )


def test_an_approval_heard_twice_is_sent_once() -> None:
    sent().when(approved()).then_nothing()
    opened().when(filled(2, "10", "10")).when(approved()).then_nothing()


def test_an_order_approved_twice_is_sent_once_and_the_larger_approval_refused() -> None:
    larger = msgspec.structs.replace(ORDER, quantity=Decimal(11))
    twice = sent().when(approved(order=larger))
    twice.then(event(OrderRejected, code="RUNAWAY", order_id="", child_id="1-0.2", session_sequence=0))
    assert twice.state.live["1-0.1"].quantity == 10


def test_what_the_venue_made_of_an_order_does_not_make_its_approval_a_second_one() -> None:
    opened().when(trimmed(2, "7")).when(approved()).then_nothing()


def test_an_acceptance_is_told_on() -> None:
    opened().then(event(OrderAcknowledged, **known(venue_order_id="sim-1", session_sequence=1, accepted_at=NOON)))


def test_a_rejection_is_told_on() -> None:
    sent().when(rejected(1, code="LOT_SIZE")).then(event(OrderRejected, **known(code="LOT_SIZE", session_sequence=1)))


def test_a_fill_is_told_on_with_the_arrival_market() -> None:
    opened().when(filled(2, "4", "4", price="99.5")).then(
        OrderFilled(
            order_id="1-0",
            child_id="1-0.1",
            account="ann",
            strategy="s",
            symbol="BTC-USDT",
            side="buy",
            venue="sim",
            trade_id="t1",
            price=Decimal("99.5"),
            quantity=Decimal(4),
            cumulative=Decimal(4),
            leaves=Decimal(6),
            liquidity="maker",
            bid=Decimal(99),
            ask=Decimal(101),
            session_sequence=2,
            traded_at=NOON,
        )
    )


def test_fills_add_up_to_the_order() -> None:
    whole = opened().when(filled(2, "4", "4", "t1"), filled(3, "6", "10", "t2"))
    assert whole.state.finished["1-0.1"].stage == "filled"
    assert whole.state.live == {}


def test_a_remainder_that_expires_is_told_on() -> None:
    opened().when(filled(2, "4", "4"), expired(3, "6")).then(
        event(OrderFilled), event(OrderExpired, **known(quantity="6", reason="unfilled", session_sequence=3))
    )


def test_an_order_that_the_venue_trims_is_filled_when_what_is_left_of_it_is() -> None:
    less = opened().when(filled(2, "4", "4", "t1"), trimmed(3, "7"))
    less.then(event(OrderFilled), event(OrderTrimmed, **known(quantity="7", leaves="3", session_sequence=3)))
    less.when(filled(4, "3", "7", "t2", leaves="0")).then(event(OrderFilled, leaves="0"))
    assert less.state.finished["1-0.1"].stage == "filled"


def test_a_trim_of_an_order_that_is_over_is_only_noted() -> None:
    opened().when(cancelled(2), trimmed(3, "7")).then(event(OrderCancelled), event(FeedAdvanced))


def test_a_trigger_is_told_on_and_the_order_goes_on() -> None:
    fired = opened().when(triggered(2), filled(3, "4", "4"))
    fired.then(event(OrderTriggered, **known(session_sequence=2)), event(OrderFilled))


def test_a_trigger_of_an_order_that_is_over_is_only_noted() -> None:
    opened().when(cancelled(2), triggered(3)).then(event(OrderCancelled), event(FeedAdvanced))


# Prevention: original - executed - prevented = open


def test_what_is_prevented_will_not_fill_and_the_rest_may() -> None:
    less = opened().when(filled(2, "4", "4"), prevented(3, "1", "5"))
    less.then(
        event(OrderFilled),
        event(OrderPrevented, **known(other_id="2-0.1", quantity="1", leaves="5", session_sequence=3)),
    )
    less.when(filled(4, "5", "9", "t2", leaves="0")).then(event(OrderFilled, leaves="0"))
    assert less.state.finished["1-0.1"].stage == "filled"


def test_an_order_of_which_all_is_prevented_ends_when_the_venue_says_so() -> None:
    none_left = opened().when(prevented(2, "10", "0"), expired(3, "0"))
    none_left.then(event(OrderPrevented, leaves="0"), event(OrderExpired, quantity="0"))
    assert none_left.state.live == {}


def test_a_trim_leaves_what_was_neither_filled_nor_prevented() -> None:
    opened().when(filled(2, "4", "4"), prevented(3, "1", "5"), trimmed(4, "7")).then(
        event(OrderFilled), event(OrderPrevented), event(OrderTrimmed, quantity="7", leaves="2")
    )


def test_a_fill_of_what_was_prevented_is_quarantined() -> None:
    quarantined(opened().when(prevented(2, "1", "9")), filled(3, "10", "10", leaves="0"), "overfill: 10 of 9")


@pytest.mark.parametrize(("quantity", "leaves"), [("11", "-1"), ("1", "10")])
def test_a_prevention_that_does_not_add_up_is_only_noted(quantity: str, leaves: str) -> None:
    noted = opened().when(prevented(2, quantity, leaves))
    noted.then(event(FeedAdvanced))
    assert noted.state.live["1-0.1"].leaves == 10


def test_what_a_prevention_leaves_may_lack_a_trade_that_is_yet_to_be_told() -> None:
    less = opened().when(prevented(2, "2", "5"))
    less.then(event(OrderPrevented, quantity="2", leaves="8"))
    less.when(filled(3, "3", "3", leaves="5")).then(event(OrderFilled, quantity="3", leaves="5"))


# Cancelling


def test_a_cancel_is_sent_and_its_success_told_on() -> None:
    cancelling = opened().when(cancel())
    cancelling.then(CancelSent(order_id="1-0", child_id="1-0.1", account="ann", venue="sim", sent_at=NOON))
    cancelling.when(cancelled(2)).then(
        event(OrderCancelled, **known(quantity="10", reason="requested", session_sequence=2))
    )


def test_a_cancel_that_the_venue_does_not_take_just_now_is_asked_for_again() -> None:
    waiting = opened().when(cancel()).when(cancel_rejected(2, "CANCEL_DOWN"))
    waiting.then(event(FeedAdvanced, session_sequence=2, child_id="1-0.1", request="cancel", code="CANCEL_DOWN"))
    waiting.after(SECOND).when(tick(waiting)).then(event(OutcomeUnknown, request="cancel"), event(QuerySent))
    waiting.when(status(3, "open")).then(event(FeedAdvanced), event(CancelSent))


def test_while_a_cancel_is_under_way_no_second_one_is_sent() -> None:
    opened().when(cancel()).when(cancel()).then_nothing()


def test_an_order_that_is_over_or_unknown_is_not_cancelled() -> None:
    opened().when(filled(2, "10", "10")).when(cancel()).then_nothing()
    given().when(cancel("9-9")).then_nothing()


def test_a_fill_that_comes_after_the_cancel_was_sent_is_applied() -> None:
    racing = opened().when(cancel()).when(filled(2, "4", "4"), cancelled(3, "6"))
    racing.then(event(OrderFilled, quantity="4"), event(OrderCancelled, quantity="6"))


def test_a_cancel_that_lost_against_the_last_fill_is_refused_and_forgotten() -> None:
    lost_race = opened().when(cancel()).when(filled(2, "10", "10"), cancel_rejected(3, "ORDER_IS_OVER"))
    lost_race.then(event(OrderFilled), event(CancelRejected, code="ORDER_IS_OVER", session_sequence=3))
    assert lost_race.decider.deadline(lost_race.state) is None


def test_a_cancel_refused_for_an_open_order_may_be_asked_for_again() -> None:
    refused = opened().when(cancel()).when(cancel_rejected(2))
    assert refused.decider.deadline(refused.state) is None
    refused.when(cancel()).then(event(CancelSent))


def test_a_cancel_that_overtook_its_order_is_sent_again_when_the_order_is_there() -> None:
    early = sent().when(cancel())
    early.then(event(CancelSent))
    early.when(cancel_rejected(1)).then(event(CancelRejected))
    early.when(accepted(2)).then(event(OrderAcknowledged), event(CancelSent))
    early.when(cancelled(3)).then(event(OrderCancelled))


def test_a_cancel_without_an_answer_is_asked_about_and_sent_again() -> None:
    silent = silence(opened().when(cancel()))
    silent.then(event(OutcomeUnknown, request="cancel"), event(QuerySent))
    silent.when(status(2, "open")).then(event(FeedAdvanced), event(CancelSent, sent_at=silent.now))
    silent.when(cancelled(3)).then(event(OrderCancelled))
    assert silent.decider.deadline(silent.state) is None


def test_the_answer_that_an_order_is_open_cancels_nothing_nobody_wants_cancelled() -> None:
    opened().when(status(2, "open")).then(event(FeedAdvanced))


# Not knowing


def test_an_answer_is_awaited_for_a_second() -> None:
    waiting = sent()
    assert waiting.decider.deadline(waiting.state) == NOON + SECOND
    waiting.after(SECOND - 1)
    waiting.when(tick(waiting)).then_nothing()


def test_without_an_answer_the_venue_is_asked_and_nothing_is_sent_again() -> None:
    silence(sent()).then(
        event(OutcomeUnknown, **known(request="order")), event(QuerySent, **known(sent_at=NOON + SECOND))
    )


def test_after_every_question_the_next_answer_is_awaited() -> None:
    silent = sent()
    for second in range(1, 8):
        silence(silent)
        assert silent.decider.deadline(silent.state) == NOON + (second + 1) * SECOND


def test_who_asked_last_is_asked_about_last() -> None:
    two = given().when(approved("1-0")).after(MILLISECOND).when(approved("2-0"))
    two.after(SECOND - MILLISECOND)
    two.when(tick(two)).then(event(OutcomeUnknown, order_id="1-0"), event(QuerySent, order_id="1-0"))
    two.after(MILLISECOND)
    two.when(tick(two)).then(event(OutcomeUnknown, order_id="2-0"), event(QuerySent, order_id="2-0"))


def test_a_late_acceptance_ends_the_silence() -> None:
    found = silence(sent()).when(accepted(1), status(2, "open"))
    found.then(event(OrderAcknowledged), event(FeedAdvanced))
    assert found.decider.deadline(found.state) is None


def test_while_the_venue_may_still_accept_it_an_order_it_does_not_know_is_not_lost() -> None:
    early = silence(sent()).when(status(1, "unknown", at=NOON + RECEIVE_WINDOW_NS))
    early.then(event(FeedAdvanced))
    silence(early).then(event(QuerySent))


def test_an_order_that_the_venue_does_not_know_and_can_no_longer_accept_is_lost() -> None:
    lost = silence(sent()).when(status(1, "unknown", at=NOON + RECEIVE_WINDOW_NS + 1))
    lost.then(event(OrderLost, **known(quantity="10", session_sequence=1)))
    assert lost.state.live == {}
    assert lost.decider.deadline(lost.state) is None


def test_an_order_that_reaches_the_venue_too_late_is_lost_only_once() -> None:
    lost = silence(sent()).when(status(1, "unknown", at=NOON + RECEIVE_WINDOW_NS + 1))
    lost.when(rejected(2, code="REQUEST_EXPIRED")).then(event(FeedAdvanced, session_sequence=2))


def test_a_tick_that_is_not_due_changes_nothing() -> None:
    idle = given()
    idle.when(tick(idle)).then_nothing()


# Fills that contradict


def quarantined(scenario: Scenario[State], fill: VenueFilled, reason: str) -> None:
    before = scenario.state.child("1-0.1")
    cumulative = before.cumulative if before is not None else Decimal(0)
    scenario.when(fill).then(
        event(
            FillQuarantined,
            child_id=fill.child_id,
            trade_id=fill.trade_id,
            quantity=fill.quantity,
            price=fill.price,
            reason=reason,
            session_sequence=fill.session_sequence,
        )
    )
    after = scenario.state.child("1-0.1")
    assert after is None or after.cumulative == cumulative


def test_the_same_trade_told_again_is_noted_and_not_applied() -> None:
    twice = opened().when(filled(2, "4", "4")).when(filled(3, "4", "4"))
    twice.then(event(FeedAdvanced, session_sequence=3))
    assert twice.state.live["1-0.1"].cumulative == 4


def test_the_last_trade_told_again_is_noted_too() -> None:
    opened().when(filled(2, "10", "10")).when(filled(3, "10", "10")).then(event(FeedAdvanced))


def test_a_known_trade_with_other_fields_is_quarantined() -> None:
    quarantined(opened().when(filled(2, "4", "4")), filled(3, "4", "8", price="101"), "trade id seen with other fields")


def test_a_fill_of_an_unknown_order_is_quarantined() -> None:
    quarantined(opened(), filled(2, "4", "4", child_id="9-9.1"), "no such order")


def test_a_fill_of_an_order_that_the_venue_never_had_is_quarantined() -> None:
    quarantined(sent().when(rejected(1)), filled(2, "4", "4"), "order is rejected")


def test_a_fill_of_an_order_that_is_filled_is_quarantined() -> None:
    quarantined(opened().when(filled(2, "10", "10")), filled(3, "4", "14", "t2"), "order is filled")


def test_a_fill_before_the_acceptance_is_quarantined() -> None:
    quarantined(sent(), filled(1, "4", "4"), "order is sent")


def test_a_fill_whose_sum_is_wrong_is_quarantined() -> None:
    quarantined(opened().when(filled(2, "4", "4")), filled(3, "4", "9", "t2"), "cumulative 9 after 4 and 4")


def test_more_than_was_ordered_is_quarantined() -> None:
    quarantined(opened().when(filled(2, "8", "8")), filled(3, "4", "12", "t2"), "overfill: 12 of 10")


def test_a_fill_that_would_leave_something_else_is_quarantined() -> None:
    quarantined(opened(), filled(2, "4", "4", leaves="0"), "leaves 0 after 4 of 10")


def test_a_fill_of_nothing_or_for_nothing_is_quarantined() -> None:
    quarantined(opened(), filled(2, "0", "0"), "0 at 100")
    quarantined(opened(), filled(2, "4", "4", price="0"), "4 at 0")


def test_a_fill_of_the_other_side_is_quarantined() -> None:
    quarantined(opened(), filled(2, "4", "4", side="sell"), "order is to buy BTC-USDT for ann")


# Fills that are told after the end of their order (51)


@pytest.mark.parametrize(("end", "stage"), [(cancelled(3, "4"), "cancelled"), (expired(3, "4"), "expired")])
def test_a_fill_told_after_the_end_of_its_order_is_applied_and_brings_nothing_back(end: Event, stage: str) -> None:
    late = opened().when(filled(2, "4", "4"), end).when(filled(4, "2", "6", "t2", leaves="4"))
    late.then(
        event(
            OrderFilled,
            **known(quantity="2", cumulative="6", leaves="4", session_sequence=4, late=True, stop_loss="90"),
        )
    )
    assert late.state.live == {}
    assert late.state.finished["1-0.1"].stage == stage
    assert late.decider.deadline(late.state) is None


def test_late_fills_add_up_and_the_one_that_leaves_nothing_makes_the_order_a_filled_one() -> None:
    late = opened().when(cancelled(2)).when(filled(3, "4", "4"), filled(4, "6", "10", "t2"))
    late.then(event(OrderFilled, late=True, leaves="6"), event(OrderFilled, late=True, leaves="0"))
    assert late.state.finished["1-0.1"].stage == "filled"


def test_a_lost_order_was_not_lost_if_it_filled() -> None:
    lost = silence(sent()).when(status(1, "unknown", at=NOON + RECEIVE_WINDOW_NS + 1))
    lost.when(filled(2, "4", "4")).then(event(OrderFilled, late=True, cumulative="4"))


def test_a_fill_of_an_order_that_is_not_over_is_not_late() -> None:
    opened().when(cancel()).when(filled(2, "4", "4")).then(event(OrderFilled, late=False, stop_loss=None))


def test_a_late_fill_told_again_is_only_noted() -> None:
    late = opened().when(cancelled(2), filled(3, "4", "4"))
    late.when(filled(4, "4", "4")).then(event(FeedAdvanced, session_sequence=4))
    quarantined(late, filled(5, "4", "8", price="101"), "trade id seen with other fields")


def test_a_venue_may_say_of_an_order_that_is_over_that_nothing_is_left_of_it() -> None:
    late = opened().when(cancelled(2)).when(filled(3, "4", "4", leaves="0"))
    late.then(event(OrderFilled, late=True, leaves="6"))
    assert late.state.finished["1-0.1"].stage == "cancelled"


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (filled(5, "4", "9", "t2"), "cumulative 9 after 4 and 4"),
        (filled(5, "6", "10", "t2"), "overfill: 10 of 9"),
        (filled(5, "2", "6", "t2", leaves="1"), "leaves 1 after 6 of 9"),
        (filled(5, "2", "6", "t2", side="sell"), "order is to buy BTC-USDT for ann"),
    ],
)
def test_a_late_fill_that_contradicts_is_quarantined(fill: VenueFilled, reason: str) -> None:
    quarantined(opened().when(filled(2, "4", "4"), prevented(3, "1", "5"), cancelled(4, "5")), fill, reason)


def test_what_is_late_is_known_after_a_restart() -> None:
    over = opened().when(cancelled(2))
    over.state = over.decider.load(encode_state(over.decider, over.state))
    over.when(filled(3, "4", "4")).then(event(OrderFilled, late=True, stop_loss="90", cumulative="4"))


def test_numbers_written_otherwise_contradict_nothing() -> None:
    opened().when(filled(2, "1E+1", "10.00", leaves="0.0")).then(event(OrderFilled, leaves="0"))


# What is kept


def test_of_finished_orders_only_so_many_are_remembered() -> None:
    scenario = given()
    for number in range(FINISHED_KEPT + 3):
        child = f"{number}-0.1"
        scenario.decider.evolve(scenario.state, msgspec.structs.replace(sent_order(), child_id=child))
        scenario.decider.evolve(scenario.state, msgspec.structs.replace(rejection(), child_id=child))
    assert len(scenario.state.finished) == FINISHED_KEPT
    assert next(iter(scenario.state.finished)) == "3-0.1"


def sent_order() -> OrderSent:
    said = sent().said[0]
    assert isinstance(said, OrderSent)
    return said


def test_of_refused_orders_only_so_many_are_remembered() -> None:
    scenario = given()
    for number in range(FINISHED_KEPT + 3):
        refused = msgspec.structs.replace(rejection(), child_id=f"{number}-0.1", session_sequence=0)
        scenario.decider.evolve(scenario.state, refused)
    assert len(scenario.state.refused) == FINISHED_KEPT
    assert next(iter(scenario.state.refused)) == "3-0.1"


def rejection() -> OrderRejected:
    said = sent().when(rejected(1)).said[0]
    assert isinstance(said, OrderRejected)
    return said


def test_nothing_is_awaited_of_orders_that_rest() -> None:
    scenario = given()
    for number in range(1, 6):
        scenario.when(approved(f"{number}-0")).when(accepted(number, child_id=f"{number}-0.1"))
    assert scenario.state.awaited == {}
    assert len(scenario.state.live) == 5
