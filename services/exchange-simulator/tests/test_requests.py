"""What does the venue make of all that its engine knows? Stops, lists, amends, and orders that end by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

import hypothesis
import msgspec
import pytest
from client import (
    ACCEPTED,
    COIN,
    ENTERED,
    SESSION,
    SLOW,
    TRADED,
    amend,
    buy,
    cancel,
    filled,
    given,
    listed,
    query,
    queue,
    rejected,
    resting,
    sell,
    step,
    stop,
    tick,
    venue,
)
from flow import Choices
from hypothesis import strategies as st

from bot4_common.decider import encode_state
from bot4_common.given import MILLISECOND, NOON, SECOND, Expected, Scenario, event
from bot4_common.messages.execution import ListSent, OrderSent
from bot4_common.messages.market import FaultOrdered, SessionMessage, Tick
from bot4_common.messages.terms import Event, ListKind, OrderType, Prevention, Side
from bot4_common.messages.venue import (
    FeedFault,
    VenueAmendEntered,
    VenueAmendRejected,
    VenueCancelEntered,
    VenueCancelRejected,
    VenueFilled,
    VenueListEntered,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTriggered,
    VenueOrderTrimmed,
    VenueRequestArrived,
    VenueRequestCharged,
    VenueRequestDelayed,
    VenueTimePassed,
)
from bot4_common.money import ZERO
from bot4_common.venues import VenueDefinition
from bot4_exchange_simulator.__main__ import venue as venue_of
from bot4_exchange_simulator.domain import Venue
from bot4_exchange_simulator.engine.profile import shipped
from bot4_exchange_simulator.faults import PERFECT, Line, LineProfile
from bot4_exchange_simulator.latency import LatencyProfile, Leg
from bot4_exchange_simulator.limits import WEIGHTS, Limit, RequestLimits
from bot4_exchange_simulator.matching import MARKET
from bot4_exchange_simulator.orders import FINISHED_KEPT, State

LISTED = event(VenueListEntered)
PASSED = event(VenueTimePassed)


def triggered(id: str) -> Expected:
    return event(VenueOrderTriggered, child_id=id)


def cancelled(id: str, quantity: str, reason: str) -> Expected:
    return event(VenueOrderCancelled, child_id=id, quantity=quantity, reason=reason)


def expired(id: str, quantity: str, reason: str) -> Expected:
    return event(VenueOrderExpired, child_id=id, quantity=quantity, reason=reason)


def amended(id: str, quantity: str, price: str | None, leaves: str) -> Expected:
    return event(VenueOrderAmended, child_id=id, quantity=quantity, price=price, leaves=leaves)


def prevented(id: str, other: str, quantity: str, leaves: str) -> Expected:
    return event(VenueOrderPrevented, child_id=id, other_id=other, quantity=quantity, leaves=leaves)


def status(id: str, state: str, cumulative: str, leaves: str, quantity: str, price: str | None) -> Expected:
    fields = {"state": state, "cumulative": cumulative, "leaves": leaves, "quantity": quantity, "price": price}
    return event(VenueOrderStatus, child_id=id, **fields)


def trade(scenario: Scenario[State], price: str, quantity: str = "2") -> Scenario[State]:
    """Two others trade."""
    id = str(scenario.heard)
    return scenario.when(sell(f"s{id}", quantity, price, account="bob"), buy(f"b{id}", quantity, price, account="cid"))


def others(scenario: Scenario[State], id: str) -> list[Event]:
    """What was said last of one order."""
    return [each for each in scenario.said if getattr(each, "child_id", "") == id]


def then_of(scenario: Scenario[State], id: str, *expected: Expected) -> None:
    """Exactly this was said of one order."""
    scenario.said = others(scenario, id)
    scenario.then(*expected)


# Stops


def test_a_stop_waits_for_its_trigger_and_then_trades() -> None:
    scenario = given(stop("s", "sell", "5", "95")).then(ENTERED, ACCEPTED)
    assert queue(scenario) == []
    scenario.when(buy("deep", "9", "90", account="dan"))
    trade(scenario, "95")
    then_of(scenario, "s", triggered("s"), filled("s", "5", "5", "0", price="90"))


def test_a_stop_limit_rests_once_it_is_triggered() -> None:
    scenario = given(stop("s", "sell", "5", "95", "94"))
    trade(scenario, "95")
    then_of(scenario, "s", triggered("s"))
    assert queue(scenario) == [("s", 5)]
    scenario.when(query("s")).then(status("s", "open", "0", "5", "5", "94"))


def test_the_rest_of_the_market_triggers_stops() -> None:
    scenario = given(stop("s", "sell", "5", "100"), market=True)
    step(scenario)
    then_of(scenario, "s", triggered("s"), event(VenueFilled, child_id="s", quantity="5", leaves="0"))


def test_a_take_profit_waits_for_the_better_price() -> None:
    scenario = given(sell("s", "5", type="take_profit_market", stop_price="105"), buy("deep", "9", "90", account="dan"))
    trade(scenario, "104")
    then_of(scenario, "s")
    trade(scenario, "105")
    then_of(scenario, "s", triggered("s"), filled("s", "5", "5", "0"))


def test_a_trailing_stop_follows_the_market_from_its_activation_on() -> None:
    trailing = sell("s", "5", type="trailing_stop", trail_bps=1_000, activation_price="110")
    scenario = given(buy("deep", "9", "80", account="dan"), trailing)
    for price in ("100", "90", "110", "120", "109"):
        trade(scenario, price)
        then_of(scenario, "s")
    trade(scenario, "108")
    then_of(scenario, "s", triggered("s"), filled("s", "5", "5", "0"))


def test_a_stop_that_the_market_has_passed_is_rejected() -> None:
    scenario = trade(given(), "95")
    scenario.when(stop("s", "sell", "5", "96")).then(ENTERED, rejected("s", "STOP_ALREADY_PASSED"))


def test_what_is_refused_only_when_it_is_triggered_expires() -> None:
    """It was accepted, so nobody can say any more that it was not."""
    scenario = given(stop("s", "sell", "5", "95", "94", post_only=True), buy("deep", "9", "94", account="dan"))
    trade(scenario, "95")
    then_of(scenario, "s", triggered("s"), expired("s", "5", "POST_ONLY_WOULD_CROSS"))
    assert "s" not in scenario.state.live
    scenario.when(query("s")).then(status("s", "expired", "0", "0", "0", None))


def test_a_waiting_stop_can_be_cancelled_and_a_triggered_one_is_an_order_like_others() -> None:
    given(stop("s", "sell", "5", "95")).when(cancel("s")).then(
        event(VenueCancelEntered), cancelled("s", "5", "requested")
    )
    scenario = trade(given(stop("s", "sell", "5", "95", "94")), "95")
    scenario.when(cancel("s")).then(event(VenueCancelEntered), cancelled("s", "5", "requested"))


# Times in force


def test_a_fok_order_that_cannot_be_filled_whole_leaves_no_trace() -> None:
    scenario = given(sell("s", "5", "100", account="bob"))
    scenario.when(buy("b", "6", "100", time_in_force="fok")).then(ENTERED, ACCEPTED, expired("b", "6", "fok"))
    scenario.when(buy("c", "5", "100", time_in_force="fok"))
    then_of(scenario, "c", ENTERED, ACCEPTED, filled("c", "5", "5", "0"))


def good_till(id: str, at: int, **rest: Any) -> OrderSent:
    return buy(id, "5", "100", time_in_force="gtd", expire_at=at, **rest)


def test_a_gtd_order_ends_at_its_time() -> None:
    scenario = given(good_till("b", NOON + SECOND))
    assert scenario.decider.deadline(scenario.state) == NOON + SECOND
    tick(scenario.after(SECOND - 1)).then_nothing()
    tick(scenario.after(1)).then(VenueTimePassed(at=NOON + SECOND), expired("b", "5", "gtd"))
    assert scenario.decider.deadline(scenario.state) is None
    assert queue(scenario) == []


def test_a_gtd_order_ends_before_whatever_else_happens_then() -> None:
    scenario = given(good_till("b", NOON + SECOND)).after(SECOND)
    scenario.when(sell("s", "5", "100", account="bob", expires_at=scenario.now)).then(
        PASSED, expired("b", "5", "gtd"), ENTERED, ACCEPTED
    )
    scenario = given(good_till("b", NOON + SECOND), good_till("c", NOON + SECOND)).after(SECOND)
    scenario.when(cancel("b")).then(
        PASSED, expired("b", "5", "gtd"), expired("c", "5", "gtd"), event(VenueCancelRejected, code="ORDER_IS_OVER")
    )


def test_where_gtd_orders_outlive_the_matches_of_their_time_they_end_after_it() -> None:
    scenario = given(good_till("b", NOON + SECOND), rules=shipped("default", expires_before_match=False))
    tick(scenario.after(SECOND)).then_nothing()
    assert scenario.decider.deadline(scenario.state) == NOON + SECOND + 1
    tick(scenario.after(1)).then(PASSED, expired("b", "5", "gtd"))


def test_the_venue_does_not_wake_for_orders_that_are_over() -> None:
    scenario = given(good_till("b", NOON + SECOND), good_till("c", NOON + 2 * SECOND), cancel("b"))
    assert scenario.decider.deadline(scenario.state) == NOON + 2 * SECOND
    tick(scenario.after(SECOND)).then_nothing()


def test_an_order_whose_time_is_over_before_it_comes_is_rejected() -> None:
    given(good_till("b", NOON)).then(ENTERED, rejected("b", "BAD_FIELD"))


# Icebergs


def test_an_iceberg_shows_its_parts_one_after_the_other_and_its_owner_hears_of_fills_alone() -> None:
    scenario = given(sell("ice", "9", "100", account="bob", display_quantity="4"), sell("s", "2", "100", account="dan"))
    scenario.when(buy("b", "5", "100"))
    then_of(scenario, "ice", filled("ice", "4", "4", "5"))
    assert queue(scenario) == [("s", 1), ("ice", 5)]


# Self-trade prevention


@pytest.mark.parametrize(
    ("mode", "told", "left"),
    [
        ("none", [TRADED, filled("s", "3", "3", "2"), filled("b", "3", "3", "0")], [("s", 2)]),
        ("cancel_new", [prevented("b", "s", "3", "0"), expired("b", "0", "self_trade")], [("s", 5)]),
        ("cancel_resting", [prevented("s", "b", "5", "0"), expired("s", "0", "self_trade")], [("b", 3)]),
        (
            "cancel_both",
            [
                prevented("s", "b", "5", "0"),
                prevented("b", "s", "3", "0"),
                expired("s", "0", "self_trade"),
                expired("b", "0", "self_trade"),
            ],
            [],
        ),
        (
            "decrement_both",
            [prevented("s", "b", "3", "2"), prevented("b", "s", "3", "0"), expired("b", "0", "self_trade")],
            [("s", 2)],
        ),
    ],
)
def test_the_takers_mode_says_what_each_loses_who_would_trade_with_himself(
    mode: Prevention, told: list[Expected], left: list[tuple[str, int]]
) -> None:
    scenario = given(sell("s", "5", "100")).when(buy("b", "3", "100", self_trade_prevention=mode))
    scenario.then(ENTERED, ACCEPTED, *told)
    assert queue(scenario) == left


def test_what_was_prevented_is_neither_open_nor_filled() -> None:
    scenario = given(sell("s", "5", "100"), buy("b", "3", "100", self_trade_prevention="decrement_both"))
    scenario.when(query("s")).then(status("s", "open", "0", "2", "5", "100"))
    scenario.when(amend("s", "7")).then(event(VenueAmendEntered), amended("s", "7", "100", "4"))
    scenario.when(buy("c", "4", "100", account="bob"))
    then_of(scenario, "s", filled("s", "4", "4", "0"))
    scenario.when(query("s")).then(event(VenueOrderStatus, state="filled", cumulative="4"))


def test_an_order_that_names_no_mode_has_the_venues() -> None:
    scenario = given(sell("s", "5", "100"), rules=shipped("binance-spot")).when(buy("b", "3", "100"))
    scenario.then(ENTERED, ACCEPTED, prevented("s", "b", "5", "0"), expired("s", "0", "self_trade"))
    scenario.when(sell("t", "3", "100", self_trade_prevention="none"))
    then_of(scenario, "t", ENTERED, ACCEPTED, filled("t", "3", "3", "0"))


def test_a_mode_that_the_venue_does_not_offer_is_refused() -> None:
    rules = shipped("default", self_trade_preventions=("none", "cancel_new"))
    given(buy("b", "3", "100", self_trade_prevention="cancel_both"), rules=rules).then(
        ENTERED, rejected("b", "PREVENTION_NOT_ALLOWED")
    )


# Amends


def test_an_amend_gives_an_order_another_total_and_price() -> None:
    scenario = given(buy("b", "5", "100"), sell("s", "2", "100", account="bob"))
    scenario.when(amend("b", "8", "99")).then(
        VenueAmendEntered(account="ann", child_id="b", quantity=Decimal(8), price=Decimal(99), at=NOON),
        amended("b", "8", "99", "6"),
    )
    scenario.when(query("b")).then(status("b", "open", "2", "6", "8", "99"))
    scenario.when(sell("t", "6", "99", account="bob"))
    then_of(scenario, "b", filled("b", "6", "8", "0", price="99"))


def test_an_amend_without_a_price_leaves_it() -> None:
    scenario = given(buy("a", "5", "100"), buy("b", "5", "100"))
    scenario.when(amend("a", "3")).then(event(VenueAmendEntered), amended("a", "3", "100", "3"))
    assert queue(scenario) == [("a", 3), ("b", 5)]
    scenario.when(amend("a", "4")).then(event(VenueAmendEntered), amended("a", "4", "100", "4"))
    assert queue(scenario) == [("b", 5), ("a", 4)]


def test_an_order_that_is_amended_into_the_cross_trades() -> None:
    given(sell("s", "5", "100", account="bob"), buy("b", "3", "99")).when(amend("b", "7", "100")).then(
        event(VenueAmendEntered),
        amended("b", "7", "100", "7"),
        TRADED,
        filled("s", "5", "5", "0"),
        filled("b", "5", "5", "2"),
    )


def test_a_waiting_stop_is_amended_where_it_waits() -> None:
    scenario = given(stop("s", "sell", "5", "95"))
    scenario.when(amend("s", "7")).then(event(VenueAmendEntered), amended("s", "7", None, "7"))
    scenario.when(buy("deep", "9", "90", account="dan"))
    trade(scenario, "95")
    then_of(scenario, "s", triggered("s"), filled("s", "7", "7", "0"))


def test_an_amend_to_what_is_filled_ends_the_order() -> None:
    scenario = given(buy("b", "5", "100"), sell("s", "2", "100", account="bob"))
    scenario.when(amend("b", "2")).then(event(VenueAmendEntered), cancelled("b", "3", "amended"))
    scenario.when(query("b")).then(event(VenueOrderStatus, state="cancelled", cumulative="2"))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (amend("b", "2"), "BELOW_FILLED"),
        (amend("b", "5", "102"), "POST_ONLY_WOULD_CROSS"),
        (amend("b", "5.5"), "LOT_SIZE"),
        (amend("b", "5", "99.5"), "TICK_SIZE"),
        (amend("b", "5", "1"), "NOTIONAL_TOO_SMALL"),
        (amend("b", "1001"), "QUANTITY_RANGE"),
    ],
)
def test_an_amend_that_the_engine_refuses_changes_nothing(asked: Event, code: str) -> None:
    scenario = given(buy("b", "7", "100", post_only=True), sell("s", "3", "100", account="bob"))
    scenario.when(sell("t", "9", "102", account="bob"))
    scenario.when(asked).then(
        event(VenueAmendEntered), event(VenueAmendRejected, child_id="b", account="ann", code=code)
    )
    assert queue(scenario) == [("b", 4), ("t", 9)]
    scenario.when(query("b")).then(status("b", "open", "3", "4", "7", "100"))


@pytest.mark.parametrize(
    ("past", "asked", "code"),
    [
        ([], amend("b", "5"), "UNKNOWN_ORDER"),
        ([buy("b", "5", "100"), cancel("b")], amend("b", "5"), "ORDER_IS_OVER"),
        ([buy("b", "5", "100")], amend("b", "6", expires_at=NOON - 1), "REQUEST_EXPIRED"),
        ([buy("b", "5", "100")], amend("b", "-1"), "BAD_FIELD"),
        ([buy("b", "5", "100")], amend("b", "NaN"), "BAD_FIELD"),
        ([buy("b", "5", "100")], amend("b", "5", "1E-999999999"), "BAD_FIELD"),
    ],
)
def test_an_amend_that_nothing_can_come_of_does_not_reach_the_engine(
    past: list[Event], asked: Event, code: str
) -> None:
    given(*past).when(asked).then(event(VenueAmendRejected, child_id="b", code=code))


def test_nobody_amends_the_order_of_another() -> None:
    scenario = given(buy("b", "5", "100", account="bob")).when(amend("b", "6"))
    scenario.then(event(VenueAmendEntered), event(VenueAmendRejected, account="ann", code="UNKNOWN_ORDER"))
    assert queue(scenario) == [("b", 5)]


STEADY = LineProfile(latency=LatencyProfile(entry=Leg(median_ms=5.0, sigma=0.0)))


def under_way(*requests: Event) -> Scenario[State]:
    """An order has arrived; then one request after the other was asked, and is on its way in."""
    scenario = tick(given(buy("b", "5", "100"), profile=STEADY).after(SECOND // 10))
    for request in requests:
        scenario.after(MILLISECOND).when(request).then(event(VenueRequestDelayed))
    return scenario


def test_a_fill_may_come_while_an_amend_is_under_way() -> None:
    scenario = tick(under_way(sell("s", "3", "100", account="bob"), amend("b", "4", "99")).after(4 * MILLISECOND))
    then_of(scenario, "b", filled("b", "3", "3", "2"))
    tick(scenario.after(MILLISECOND)).then(
        event(VenueRequestArrived), event(VenueAmendEntered), amended("b", "4", "99", "1")
    )


def test_an_order_may_be_filled_while_an_amend_is_under_way() -> None:
    scenario = under_way(sell("s", "5", "100", account="bob"), amend("b", "4")).after(SECOND // 10)
    tick(scenario)
    then_of(scenario, "b", filled("b", "5", "5", "0"), event(VenueAmendRejected, child_id="b", code="ORDER_IS_OVER"))


def test_an_amend_that_comes_after_its_time_changes_nothing() -> None:
    scenario = under_way(amend("b", "4", expires_at=NOON + SECOND // 10)).after(SECOND // 10)
    tick(scenario).then(event(VenueRequestArrived), event(VenueAmendRejected, code="REQUEST_EXPIRED"))
    assert queue(scenario) == [("b", 5)]


# Lists


def oco(quantity: str = "5", id: str = "L") -> ListSent:
    """To sell at 110, or else at 90."""
    return listed(id, "oco", sell(f"{id}-up", quantity, "110"), stop(f"{id}-down", "sell", quantity, "90"))


def accepted(*ids: str) -> list[Expected]:
    return [event(VenueOrderAccepted, child_id=id) for id in ids]


def test_a_list_is_taken_up_whole_and_each_leg_is_told() -> None:
    asked = oco()
    scenario = given(asked).then(
        VenueListEntered(session=SESSION, account="ann", list_id="L", kind="oco", legs=asked.legs, at=NOON),
        event(VenueOrderAccepted, session_sequence=1, child_id="L-up", venue_order_id="sim-1"),
        event(VenueOrderAccepted, session_sequence=2, child_id="L-down", venue_order_id="sim-2"),
    )
    assert queue(scenario) == [("L-up", 5)]


def test_the_legs_of_a_list_are_no_requests_of_their_own() -> None:
    leg = msgspec.structs.replace(sell("L-up", "5", "110"), list_id="L")
    given(leg).then_nothing()


def test_any_fill_of_one_leg_of_an_oco_cancels_the_other() -> None:
    given(oco()).when(buy("b", "2", "110", account="bob")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("L-up", "2", "2", "3"),
        filled("b", "2", "2", "0"),
        cancelled("L-down", "5", "list"),
    )


def test_the_trigger_of_one_leg_of_an_oco_cancels_the_other() -> None:
    scenario = given(oco(), buy("deep", "9", "80", account="dan"))
    trade(scenario, "90")
    then_of(scenario, "L-up", cancelled("L-up", "5", "list"))


def test_whoever_cancels_one_leg_cancels_the_list() -> None:
    given(oco()).when(cancel("L-down")).then(
        event(VenueCancelEntered), cancelled("L-down", "5", "requested"), cancelled("L-up", "5", "list")
    )


def test_whoever_amends_one_leg_amends_both() -> None:
    given(oco()).when(amend("L-up", "7", "111")).then(
        event(VenueAmendEntered), amended("L-up", "7", "111", "7"), amended("L-down", "7", None, "7")
    )


def test_the_child_of_an_oto_comes_to_the_market_when_its_parent_is_filled() -> None:
    scenario = given(listed("L", "oto", buy("parent", "5", "100"), sell("child", "5", "110")))
    scenario.then(LISTED, *accepted("parent", "child"))
    scenario.when(query("child")).then(status("child", "open", "0", "5", "5", "110"))
    scenario.when(sell("s", "2", "100", account="bob"))
    assert queue(scenario) == [("parent", 3)]
    scenario.when(sell("t", "3", "100", account="bob"))
    assert queue(scenario) == [("child", 5)]


def test_a_child_that_waits_goes_with_its_parent() -> None:
    given(listed("L", "oto", buy("parent", "5", "100"), sell("child", "4", "110"))).when(cancel("parent")).then(
        event(VenueCancelEntered), cancelled("parent", "5", "requested"), cancelled("child", "4", "list")
    )


def test_a_child_that_is_refused_when_it_is_armed_expires() -> None:
    given(
        listed("L", "oto", buy("parent", "5", "100"), buy("child", "5", "105", post_only=True)),
        sell("deep", "9", "104", account="dan"),
    ).when(sell("s", "5", "100", account="bob")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("parent", "5", "5", "0"),
        filled("s", "5", "5", "0"),
        expired("child", "5", "POST_ONLY_WOULD_CROSS"),
    )


def test_the_children_of_an_otoco_are_an_oco_once_its_parent_is_filled() -> None:
    up, down = sell("up", "5", "110"), stop("down", "sell", "5", "90")
    scenario = given(listed("L", "otoco", buy("parent", "5", "100"), up, down))
    scenario.when(sell("s", "5", "100", account="bob"))
    assert queue(scenario) == [("up", 5)]
    scenario.when(buy("b", "5", "110", account="bob"))
    then_of(scenario, "down", cancelled("down", "5", "list"))
    assert scenario.state.live == {}


def test_a_fill_of_one_leg_of_an_ouo_takes_as_much_from_the_other() -> None:
    legs = sell("near", "5", "100"), sell("far", "5", "110")
    scenario = given(listed("L", "ouo", *legs)).when(buy("b", "2", "100", account="bob"))
    then_of(scenario, "far", amended("far", "3", "110", "3"))
    scenario.when(query("far")).then(status("far", "open", "0", "3", "3", "110"))
    scenario.when(buy("c", "3", "100", account="bob"))
    then_of(scenario, "far", cancelled("far", "3", "list"))


def test_children_that_are_armed_in_part_lose_the_rest_with_their_parent() -> None:
    rules = shipped("default", oto_arms="proportional")
    scenario = given(listed("L", "oto", buy("parent", "10", "100"), sell("child", "10", "110")), rules=rules)
    scenario.when(sell("s", "4", "100", account="bob"))
    assert queue(scenario) == [("parent", 6), ("child", 4)]
    scenario.when(query("child")).then(status("child", "open", "0", "10", "10", "110"))
    scenario.when(cancel("parent"))
    then_of(scenario, "child", amended("child", "4", "110", "4"))


def test_a_list_that_the_engine_refuses_is_refused_order_by_order() -> None:
    scenario = given(listed("L", "oco", sell("up", "5", "110"), stop("down", "sell", "4", "90")))
    scenario.then(
        LISTED,
        event(VenueOrderRejected, session_sequence=1, child_id="up", code="LIST_LEGS_DIFFER"),
        event(VenueOrderRejected, session_sequence=2, child_id="down", code="LIST_LEGS_DIFFER"),
    )
    assert scenario.state.live == {}
    scenario.when(query("down")).then(event(VenueOrderStatus, state="rejected"))


@pytest.mark.parametrize(
    ("past", "asked", "code"),
    [
        ([], msgspec.structs.replace(oco(), expires_at=NOON - 1), "REQUEST_EXPIRED"),
        ([sell("L-down", "5", "110")], oco(), "DUPLICATE_ORDER"),
        ([sell("L-up", "5", "110"), cancel("L-up")], oco(), "DUPLICATE_ORDER"),
        ([], listed("L", "oco", sell("L-up", "5", "110"), stop("L-up", "sell", "5", "90")), "DUPLICATE_ORDER"),
        ([], listed("L", "otoco", *(sell(id, "5", "110") for id in ("L-up", "L-down"))), "LIST_LEGS_DIFFER"),
        ([], listed("L", "oto", buy("L-up", "5", "110"), sell("L-down", "5.5", "110")), "LOT_SIZE"),
    ],
)
def test_a_list_that_nothing_can_come_of_does_not_reach_the_engine(
    past: list[Event], asked: ListSent, code: str
) -> None:
    live = queue(given(*past))
    scenario = given(*past).when(asked)
    scenario.then(*(rejected(leg.child_id, code) for leg in asked.legs))
    assert queue(scenario) == live


def test_the_id_of_a_list_is_not_taken_twice() -> None:
    scenario = given(oco(), cancel("L-up"))
    scenario.when(listed("L", "oto", buy("a", "5", "90"), sell("b", "5", "110")))
    scenario.then(rejected("a", "DUPLICATE_ORDER"), rejected("b", "DUPLICATE_ORDER"))


def test_lists_are_remembered_up_to_a_number() -> None:
    decider, state = venue(), venue().initial()
    entered = given(oco()).log[0]
    for number in range(FINISHED_KEPT + 2):
        decider.evolve(state, msgspec.structs.replace(entered, list_id=f"{number}"))
    assert len(state.lists) == FINISHED_KEPT
    assert next(iter(state.lists)) == "2"


def test_a_delayed_list_arrives_whole() -> None:
    scenario = given(oco(), profile=SLOW).then(event(VenueRequestDelayed, session=SESSION))
    tick(scenario.after(SECOND // 2)).then(event(VenueRequestArrived), LISTED, *accepted("L-up", "L-down"))


# What a venue has not


@pytest.mark.parametrize(
    "asked",
    [
        stop("b", "buy", "5", "110"),
        stop("b", "buy", "5", "110", "111"),
        sell("b", "5", type="take_profit_market", stop_price="110"),
        sell("b", "5", type="trailing_stop", trail_bps=100),
    ],
)
def test_a_venue_without_stops_knows_no_order_that_waits(asked: OrderSent) -> None:
    given(asked, stops=False).then(rejected("b", "ORDER_TYPE_UNKNOWN"))
    given(asked).then(ENTERED, ACCEPTED)


def test_a_venue_without_stops_has_all_other_orders() -> None:
    ice = buy("b", "5", "100", display_quantity="2", time_in_force="gtd", expire_at=NOON + 1)
    given(ice, stops=False, lists=False).then(ENTERED, ACCEPTED)


def test_a_venue_without_lists_refuses_each_leg() -> None:
    scenario = given(oco(), lists=False)
    scenario.then(rejected("L-up", "LISTS_UNKNOWN"), rejected("L-down", "LISTS_UNKNOWN"))


def test_a_venue_without_stops_has_no_lists_of_them() -> None:
    scenario = given(oco(), stops=False)
    scenario.then(rejected("L-up", "ORDER_TYPE_UNKNOWN"), rejected("L-down", "ORDER_TYPE_UNKNOWN"))


def test_a_definition_says_what_a_venue_has() -> None:
    for has in (True, False):
        definition = VenueDefinition(name="sim", maker_fee=ZERO, taker_fee=ZERO, stops=has, lists=not has)
        made = venue_of(definition, {"COIN": COIN}, {}, Line(1, PERFECT))
        scenario = Scenario(made, stream=SESSION).when(stop("s", "sell", "5", "90"))
        assert isinstance(scenario.said[-1], VenueOrderAccepted) is has
        scenario.when(listed("L", "ouo", sell("a", "5", "110"), sell("b", "5", "111")))
        assert isinstance(scenario.said[-1], VenueOrderAccepted) is not has


# The line, and how much may be asked


def test_with_orders_down_neither_lists_nor_amends_are_taken() -> None:
    scenario = given(buy("b", "5", "100"), FaultOrdered(kind="submit_down", seconds=10.0))
    scenario.when(amend("b", "6")).then(event(VenueAmendRejected, child_id="b", code="SUBMIT_DOWN"))
    scenario.when(oco()).then(rejected("L-up", "SUBMIT_DOWN"), rejected("L-down", "SUBMIT_DOWN"))
    scenario.when(cancel("b")).then(event(VenueCancelEntered), cancelled("b", "5", "requested"))


def test_lists_and_amends_are_lost_like_orders() -> None:
    scenario = given(oco(), amend("b", "6"), profile=LineProfile(drop_request=1.0))
    scenario.then(
        FeedFault(session=SESSION, kind="drop_request", child_id="L-up"),
        FeedFault(session=SESSION, kind="drop_request", child_id="b"),
    )


def test_lists_and_amends_weigh_what_they_weigh() -> None:
    limit = Limit(name="weight", capacity=5, window_ns=SECOND, weights=WEIGHTS_HERE)
    limits = RequestLimits(limits=(limit,))
    scenario = Scenario(Venue("sim", {"COIN": COIN}, {}, Line(1, PERFECT), limits=limits), stream=SESSION)
    scenario.when(oco()).then(event(VenueRequestCharged, request="list"), LISTED, ACCEPTED, ACCEPTED)
    scenario.when(amend("L-up", "6")).then(
        event(VenueRequestCharged, request="amend"),
        event(VenueAmendEntered),
        event(VenueOrderAmended),
        event(VenueOrderAmended),
    )
    scenario.when(amend("L-up", "7")).then(
        event(VenueRequestCharged, request="amend"), event(VenueAmendRejected, code="RATE_LIMITED")
    )


WEIGHTS_HERE = {name: weight for name, weight in WEIGHTS.items() if weight <= 5}


# What holds whatever is asked


SIDES: tuple[Side, ...] = get_args(Side)
PRICES = ("100", "99", "101", "98", "102")
TRIGGERS = ("97", "103", "95", "105")
QUANTITIES = ("5", "2", "3", "8")
TYPES: tuple[OrderType, ...] = (*("limit",) * 6, *get_args(OrderType))
MODES = ("", "", *get_args(Prevention))
PROFILES: tuple[dict[str, Any], ...] = (
    {},
    {"self_trade_prevention_default": "decrement_both"},
    {"oto_arms": "proportional", "iceberg_refresh": "after_sweep"},
    {"stop_already_passed": "fire", "expires_before_match": False},
)


def any_order(choices: Choices, id: str, account: str, now: int) -> OrderSent:
    type, in_force = choices.of(TYPES), choices.of(("gtc", "gtc", "gtc", "gtd", "ioc", "fok"))
    terms: dict[str, Any] = {
        "type": type,
        "time_in_force": in_force,
        "self_trade_prevention": choices.of(MODES),
        "reduce_only": choices.seldom(6),
    }
    price = choices.of(PRICES) if type in ("limit", "stop_limit", "take_profit_limit") else None
    if type not in ("limit", "market", "trailing_stop"):
        terms["stop_price"] = choices.of(TRIGGERS)
    if type == "trailing_stop":
        terms["trail_bps"] = choices.of((100, 200))
    if in_force == "gtd":
        terms["expire_at"] = now + choices.of((1, 2, 5)) * SECOND
    if price and in_force in ("gtc", "gtd"):
        terms["post_only"] = choices.seldom(6)
        terms["display_quantity"] = choices.of((None, None, "2"))
    terms = {name: value for name, value in terms.items() if value is not None}
    side, quantity = choices.of(SIDES), choices.of(QUANTITIES)
    return build(id, side, quantity, price, account, now, terms)


def build(
    id: str, side: Side, quantity: str, price: str | None, account: str, now: int, terms: dict[str, Any]
) -> OrderSent:
    make = buy if side == "buy" else sell
    return make(id, quantity, price, account=account, expires_at=now + SECOND, **terms)


def any_list(choices: Choices, id: str, account: str, now: int) -> ListSent:
    kind: ListKind = choices.of(get_args(ListKind))
    side, quantity = choices.of(SIDES), choices.of(QUANTITIES)
    away, trigger = ("102", "97") if side == "sell" else ("98", "103")
    pair = [
        build(f"{id}-up", side, quantity, away, account, now, {}),
        build(f"{id}-down", side, quantity, None, account, now, {"type": "stop_market", "stop_price": trigger}),
    ]
    parent = any_order(choices, f"{id}-parent", account, now)
    legs = {"oco": pair, "ouo": pair, "oto": [parent, pair[0]], "otoco": [parent, *pair]}[kind]
    return listed(id, kind, *legs, expires_at=now + SECOND)


def any_request(choices: Choices, number: int, state: State, now: int) -> Event:
    what, account = choices.number(0, 9), choices.of(("ann", "bob"))
    if what < 5:
        return any_order(choices, f"o{number}", account, now)
    if what < 6:
        return any_list(choices, f"l{number}", account, now)
    if what < 7:
        return Tick(at=now)
    live = [id for id, each in state.live.items() if each.account == "ann"] or ["nobody"]
    id = choices.of(live)
    if what < 9:
        return amend(id, choices.of(QUANTITIES), choices.of((None, *PRICES)), expires_at=now + SECOND)
    return cancel(id)


@dataclass
class Told:
    """An order as its client knows it from what it was told."""

    total: Decimal
    filled: Decimal = ZERO
    prevented: Decimal = ZERO

    @property
    def open(self) -> Decimal:
        return self.total - self.filled - self.prevented


def follow(told: dict[str, Told], message: Event) -> None:
    """44: original - executed - prevented = open, in each message and at the end."""
    match message:
        case VenueOrderAccepted():
            assert message.child_id not in told
            told[message.child_id] = Told(message.order.quantity)
        case VenueFilled():
            order = told[message.child_id]
            order.filled += message.quantity
            assert (message.cumulative, message.leaves) == (order.filled, order.open)
            if not message.leaves:
                del told[message.child_id]
        case VenueOrderPrevented():
            order = told[message.child_id]
            order.prevented += message.quantity
            assert message.quantity > 0 and message.leaves == order.open >= 0
        case VenueOrderAmended():
            order = told[message.child_id]
            order.total = message.quantity
            assert message.leaves == order.open > 0
        case VenueOrderTrimmed():
            order = told[message.child_id]
            assert order.filled + order.prevented < message.quantity < order.total
            order.total = message.quantity
        case VenueOrderCancelled() | VenueOrderExpired():
            assert told.pop(message.child_id).open == message.quantity
        case VenueOrderTriggered():
            assert message.child_id in told


@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(st.binary(min_size=200, max_size=600), st.sampled_from(PROFILES), st.booleans())
def test_whatever_is_asked_a_client_knows_its_orders_from_what_it_was_told(
    data: bytes, changes: dict[str, Any], market: bool
) -> None:
    choices, told = Choices(data), dict[str, Told]()
    scenario = given(rules=shipped("default", **changes), market=market)
    for number in range(25):
        scenario.after(choices.of((0, 0, SECOND // 4, SECOND)))
        scenario.when(any_request(choices, number, scenario.state, scenario.now))
        for message in scenario.said:
            if isinstance(message, SessionMessage):
                follow(told, message)
        assert {id: order.open for id, order in told.items()} == open_in_engine(scenario.state)
        assert {id: order.leaves for id, order in scenario.state.live.items()} == open_in_engine(scenario.state)
    numbers = [each.session_sequence for each in scenario.log if isinstance(each, SessionMessage)]
    assert numbers == list(range(1, len(numbers) + 1))


def open_in_engine(state: State) -> dict[str, Decimal]:
    accounts = [account for name, account in state.engine.accounts.items() if name != MARKET]
    orders = [order for account in accounts for order in account.orders.values()]
    return {order.id: Decimal(order.leaves + (0 if order.plain else order.held)) for order in orders}


# Snapshots


def test_a_snapshot_keeps_stops_lists_and_what_was_prevented() -> None:
    scenario = given(
        oco(),
        good_till("b", NOON + SECOND),
        sell("s", "5", "105"),
        buy("t", "3", "105", self_trade_prevention="decrement_both"),
        amend("s", "6", "106"),
    )
    scenario.state = scenario.decider.load(encode_state(scenario.decider, scenario.state))
    assert resting(scenario.state) == [("b", 5), ("s", 3), ("L-up", 5)]
    scenario.when(query("s")).then(status("s", "open", "0", "3", "6", "106"))
    scenario.when(oco()).then(rejected("L-up", "DUPLICATE_ORDER"), rejected("L-down", "DUPLICATE_ORDER"))
    tick(scenario.after(SECOND)).then(PASSED, expired("b", "5", "gtd"))
    scenario.when(buy("deep", "9", "80", account="dan", expires_at=scenario.now))
    scenario.when(sell("x", "2", "90", account="bob", expires_at=scenario.now))
    scenario.when(buy("y", "2", "90", account="cid", expires_at=scenario.now))
    then_of(scenario, "L-down", triggered("L-down"), event(VenueFilled, child_id="L-down", quantity="5"))
