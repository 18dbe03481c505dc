"""What becomes of a request, and what is each client told?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from client import (
    ACCEPTED,
    COIN,
    ENTERED,
    ENTRY,
    SESSION,
    SLOW,
    TAPE,
    TRADED,
    buy,
    cancel,
    filled,
    given,
    position,
    positions,
    query,
    queue,
    rejected,
    resting,
    sell,
    step,
    trimmed,
    venue,
)

from bot4_common.decider import encode_state
from bot4_common.given import MILLISECOND, NOON, SECOND, Scenario, event
from bot4_common.messages.execution import FeedAdvanced, OrderSent, ResendRequested
from bot4_common.messages.frame import Decision, Frame
from bot4_common.messages.market import FaultOrdered, Quote, SessionHeartbeat, Spoken, Tick
from bot4_common.messages.terms import Event
from bot4_common.messages.venue import (
    FeedFault,
    VenueCancelEntered,
    VenueCancelRejected,
    VenueFaultBegan,
    VenueFilled,
    VenueMarketMoved,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderStatus,
    VenueRequestArrived,
    VenueRequestCharged,
    VenueRequestDelayed,
    VenueResent,
    VenueSessionAcknowledged,
    VenueTraded,
)
from bot4_common.venues import VenueDefinition
from bot4_exchange_simulator.__main__ import venue as venue_of
from bot4_exchange_simulator.domain import ACKNOWLEDGE_EVERY, Venue
from bot4_exchange_simulator.engine.profile import shipped
from bot4_exchange_simulator.faults import PERFECT, Line, LineProfile, Scheduled
from bot4_exchange_simulator.latency import LatencyProfile, Leg
from bot4_exchange_simulator.limits import Limit, RequestLimits
from bot4_exchange_simulator.liquidity import STEP_NS, Liquidity
from bot4_exchange_simulator.matching import MARKET
from bot4_exchange_simulator.orders import FINISHED_KEPT, State


def resend(number: int, venue: str = "sim") -> ResendRequested:
    return ResendRequested(venue=venue, session=SESSION, session_sequence=number, sent_at=NOON)


def received(number: int, venue: str = "sim") -> FeedAdvanced:
    """Execution has taken note of this much of the feed."""
    return FeedAdvanced(venue=venue, session=SESSION, session_sequence=number)


# Orders


def test_an_accepted_order_rests() -> None:
    asked = buy("b", "5", "100")
    rested = given(asked).then(
        VenueOrderEntered(session=SESSION, account="ann", child_id="b", order=asked.order, at=NOON),
        VenueOrderAccepted(
            session=SESSION,
            session_sequence=1,
            account="ann",
            child_id="b",
            venue_order_id="sim-1",
            order=asked.order,
            at=NOON,
        ),
    )
    assert queue(rested) == [("b", 5)]


def test_two_orders_that_meet_trade_at_the_resting_price_and_both_are_told() -> None:
    given(sell("s", "5", "100", account="bob")).when(buy("b", "3", "102")).then(
        ENTERED,
        ACCEPTED,
        VenueTraded(
            symbol="COIN",
            trade_id="sim-1",
            price=Decimal(100),
            quantity=Decimal(3),
            maker_id="s",
            maker_account="bob",
            taker_id="b",
            taker_account="ann",
            taker_side="buy",
            at=NOON,
        ),
        filled("s", "3", "3", "2", liquidity="maker", side="sell", account="bob", price="100", trade_id="sim-1"),
        filled("b", "3", "3", "0", liquidity="taker", side="buy", account="ann", price="100", trade_id="sim-1"),
    )


def test_what_a_limit_order_does_not_trade_rests_at_its_price() -> None:
    crossed = given(sell("s", "5", "100")).when(buy("b", "8", "100", account="bob"))
    crossed.then(ENTERED, ACCEPTED, TRADED, filled("s", "5", "5", "0"), filled("b", "5", "5", "3"))
    assert queue(crossed) == [("b", 3)]


def test_an_ioc_order_trades_and_expires_once() -> None:
    given(sell("s", "5", "100")).when(buy("b", "8", "100", account="bob", time_in_force="ioc")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("s", "5", "5", "0"),
        filled("b", "5", "5", "3"),
        event(VenueOrderExpired, child_id="b", quantity="3", reason="ioc"),
    )


def test_a_market_order_that_finds_nobody_expires() -> None:
    given(buy("b", "8")).then(
        ENTERED, ACCEPTED, event(VenueOrderExpired, child_id="b", quantity="8", reason="no_liquidity")
    )


def test_a_market_order_sweeps_from_the_best_price_on() -> None:
    swept = given(sell("dear", "5", "102"), sell("cheap", "5", "100"), sell("later", "5", "100"))
    swept.when(buy("b", "12", account="bob"))
    trades = [(each.maker_id, str(each.price)) for each in swept.said if isinstance(each, VenueTraded)]
    assert trades == [("cheap", "100"), ("later", "100"), ("dear", "102")]
    assert queue(swept) == [("dear", 3)]


def test_a_partly_filled_maker_keeps_the_front_of_its_queue() -> None:
    given(sell("first", "5", "100"), sell("second", "5", "100"), buy("b", "2", "100", account="bob")).when(
        buy("c", "4", "100", account="bob")
    ).then(
        ENTERED,
        ACCEPTED,
        event(VenueTraded, maker_id="first", quantity="3"),
        filled("first", "3", "5", "0"),
        filled("c", "3", "3", "1"),
        event(VenueTraded, maker_id="second", quantity="1"),
        filled("second", "1", "1", "4"),
        filled("c", "1", "4", "0"),
    )


def test_trades_move_positions_and_a_flat_one_is_forgotten() -> None:
    scenario = given(sell("s", "5", "100", account="bob"), buy("b", "5", "100"))
    assert (position(scenario, "ann"), position(scenario, "bob")) == (5, -5)
    scenario.when(buy("c", "8", "100", account="bob"), sell("t", "8", "100"))
    assert (position(scenario, "ann"), position(scenario, "bob")) == (-3, 3)
    scenario.when(sell("u", "3", "100", account="bob"), buy("d", "3", "100"))
    assert positions(scenario) == {}


def test_an_account_that_trades_with_itself_is_told_both_sides_and_keeps_its_position() -> None:
    scenario = given(sell("s", "5", "100"), buy("b", "5", "100"))
    assert position(scenario, "ann") == 0
    told = [(each.child_id, each.trade_id) for each in scenario.said if isinstance(each, VenueFilled)]
    assert told == [("s", "sim-1"), ("b", "sim-1")]


def test_numbers_with_exponents_trade_like_others() -> None:
    given(sell("s", "1E+2", "1E+2")).when(buy("b", "100.0", "100.00", account="bob")).then(
        ENTERED, ACCEPTED, TRADED, filled("s", "100", "100", "0"), filled("b", "100", "100", "0")
    )


# Refusals


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (buy("b", "5", "100", symbol="DOGE"), "UNKNOWN_SYMBOL"),
        (buy("b", "5.5", "100"), "LOT_SIZE"),
        (buy("b", "5", "100.5"), "TICK_SIZE"),
        (buy("b", "1", "100"), "QUANTITY_RANGE"),
        (buy("b", "2", "24"), "NOTIONAL_TOO_SMALL"),
        (buy("b", "1E-999999999", "100"), "BAD_FIELD"),
        (buy("b", "5", "100", post_only=True, time_in_force="ioc"), "BAD_FIELD"),
        (buy("b", "5", "100", expires_at=NOON - 1), "REQUEST_EXPIRED"),
    ],
)
def test_a_bad_order_is_rejected_with_its_code(bad: OrderSent, code: str) -> None:
    scenario = given(bad).then(rejected("b", code))
    assert scenario.state.live == {}
    assert queue(scenario) == []


def test_a_request_is_good_to_the_end_of_its_window() -> None:
    given(buy("b", "5", "100", expires_at=NOON)).then(ENTERED, ACCEPTED)


def test_an_id_that_is_live_is_not_accepted_again() -> None:
    scenario = given(buy("b", "5", "100")).when(buy("b", "5", "100"))
    scenario.then(rejected("b", "DUPLICATE_ORDER"))
    assert queue(scenario) == [("b", 5)]
    scenario.when(query("b")).then(event(VenueOrderStatus, state="open"))


def test_an_id_that_was_used_is_not_accepted_again() -> None:
    scenario = given(buy("b", "5", "100"), cancel("b")).when(buy("b", "5", "100"))
    scenario.then(rejected("b", "DUPLICATE_ORDER"))
    scenario.when(query("b")).then(event(VenueOrderStatus, state="cancelled"))


def test_a_post_only_order_that_would_take_is_rejected_whole() -> None:
    scenario = given(sell("s", "2", "100"))
    scenario.when(buy("b", "5", "100", post_only=True)).then(ENTERED, rejected("b", "POST_ONLY_WOULD_CROSS"))
    scenario.when(buy("c", "5", "99", post_only=True)).then(ENTERED, ACCEPTED)


# Reduce-only


def holding(account: str, quantity: str) -> Scenario[State]:
    """The account has bought that much from bob, and nothing rests."""
    return given(sell("s0", quantity, "100", account="bob"), buy("b0", quantity, "100", account=account))


def test_a_reduce_only_order_that_would_enlarge_the_position_is_rejected() -> None:
    scenario = holding("ann", "5").when(buy("b", "5", "100", reduce_only=True))
    scenario.then(ENTERED, rejected("b", "NOTHING_TO_REDUCE"))
    assert scenario.state.live == {}
    scenario.when(query("b")).then(event(VenueOrderStatus, state="rejected"))


def test_a_reduce_only_order_trades_no_more_than_the_position() -> None:
    scenario = holding("ann", "5").when(buy("deep", "50", "100", account="cid"))
    scenario.when(sell("s", "8", "100", reduce_only=True)).then(
        ENTERED,
        ACCEPTED,
        trimmed("s", "5"),
        event(VenueTraded, quantity="5"),
        filled("deep", "5", "5", "45"),
        filled("s", "5", "5", "0"),
    )
    assert position(scenario, "ann") == 0


def test_a_reduce_only_order_rests_with_no_more_than_the_position() -> None:
    scenario = holding("ann", "5").when(sell("s", "8", "105", reduce_only=True))
    scenario.then(ENTERED, ACCEPTED, trimmed("s", "5"))
    scenario.when(query("s")).then(event(VenueOrderStatus, state="open", leaves="5"))
    scenario.when(buy("b", "20", "105", account="cid"))
    scenario.then(ENTERED, ACCEPTED, TRADED, filled("s", "5", "5", "0"), filled("b", "5", "5", "15"))


def test_a_resting_reduce_only_order_shrinks_with_the_position_and_goes_with_it() -> None:
    scenario = holding("ann", "5").when(sell("s", "5", "105", reduce_only=True), buy("d", "9", "100", account="cid"))
    scenario.when(sell("t", "2", "100")).then(
        ENTERED, ACCEPTED, TRADED, filled("d", "2", "2", "7"), filled("t", "2", "2", "0"), trimmed("s", "3")
    )
    scenario.when(sell("u", "3", "100")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("d", "3", "5", "4"),
        filled("u", "3", "3", "0"),
        event(VenueOrderCancelled, child_id="s", quantity="3", reason="reduce_only"),
    )


# Cancels and queries


def test_a_cancel_takes_what_is_left() -> None:
    scenario = given(buy("b", "5", "100"), sell("s", "2", "100", account="bob")).when(cancel("b"))
    scenario.then(
        event(VenueCancelEntered, child_id="b"),
        event(VenueOrderCancelled, child_id="b", quantity="3", reason="requested"),
    )
    assert queue(scenario) == []


def test_a_cancel_of_an_order_that_is_over_is_rejected() -> None:
    given(buy("b", "5", "100"), cancel("b")).when(cancel("b")).then(event(VenueCancelRejected, code="ORDER_IS_OVER"))


def test_a_cancel_of_an_unknown_order_is_rejected() -> None:
    given(cancel("b")).then(event(VenueCancelRejected, child_id="b", code="UNKNOWN_ORDER"))


@pytest.mark.parametrize(
    ("past", "state", "cumulative", "leaves"),
    [
        ([], "unknown", "0", "0"),
        ([buy("b", "5", "100")], "open", "0", "5"),
        ([buy("b", "5", "100"), sell("s", "2", "100", account="bob")], "open", "2", "3"),
        ([buy("b", "5", "100"), sell("s", "5", "100", account="bob")], "filled", "5", "0"),
        ([buy("b", "5", "100"), sell("s", "2", "100", account="bob"), cancel("b")], "cancelled", "2", "0"),
        ([buy("b", "5")], "expired", "0", "0"),
        ([buy("b", "1")], "rejected", "0", "0"),
    ],
)
def test_a_query_is_answered(past: list[Event], state: str, cumulative: str, leaves: str) -> None:
    given(*past).when(query("b")).then(
        event(VenueOrderStatus, child_id="b", state=state, cumulative=cumulative, leaves=leaves)
    )


def test_requests_to_another_venue_are_none_of_ours() -> None:
    elsewhere = msgspec.structs.replace(buy("b", "5", "100"), venue="other")
    given(elsewhere, resend(1, venue="other")).then_nothing()


@pytest.mark.parametrize("requests", [[buy("b", "5", "100"), cancel("b")], [buy("b", "1", "100")]])
def test_orders_that_are_over_are_remembered_up_to_a_number(requests: list[Event]) -> None:
    """One order and its end, or its rejection, so often that the first ones are forgotten."""
    decider, state = venue(), venue().initial()
    told = given(*requests).log
    for number in range(FINISHED_KEPT + 2):
        for each in told:
            decider.evolve(state, msgspec.structs.replace(each, child_id=f"{number}"))
    assert len(state.finished) == FINISHED_KEPT
    assert next(iter(state.finished)) == "2"


# The rest of the market


def test_the_market_quotes_at_its_first_tick_and_every_step_after() -> None:
    scenario = given(market=True)
    assert scenario.decider.deadline(scenario.state) == 0
    scenario.when(Tick(at=NOON)).then(event(VenueMarketMoved, symbol="COIN", step=1), event(VenueTraded))
    assert scenario.decider.deadline(scenario.state) == NOON + STEP_NS
    scenario.after(STEP_NS - 1)
    scenario.when(Tick(at=scenario.now)).then_nothing()


def test_the_markets_takers_fill_a_resting_order_bit_by_bit() -> None:
    scenario = given(buy("b", "5", "100"), market=True)
    told: list[list[str]] = []
    for _ in range(3):
        step(scenario)
        fills = [each for each in scenario.said if isinstance(each, VenueFilled)]
        told += [[str(each.quantity), str(each.cumulative), str(each.leaves)] for each in fills]
    assert told == [["2", "2", "3"], ["2", "4", "1"], ["1", "5", "0"]]
    assert scenario.state.live == {}


def test_new_quotes_that_cross_a_resting_order_trade_at_its_price() -> None:
    scenario = step(given(buy("b", "3", "105"), market=True))
    first = next(each for each in scenario.said if isinstance(each, VenueTraded))
    assert event(VenueTraded, maker_id="b", price="105", quantity="3", taker_side="sell").matches(first)


def test_an_order_meets_the_markets_quotes() -> None:
    scenario = step(given(market=True))
    scenario.when(buy("b", "3", account="ann"))
    scenario.then(ENTERED, ACCEPTED, event(VenueTraded, price="101", maker_account=MARKET), filled("b", "3", "3", "0"))
    assert positions(scenario) == {"ann": 3}


def test_behind_time_the_market_takes_one_step_not_all_it_missed() -> None:
    scenario = step(given(market=True)).after(3_600 * SECOND)
    scenario.when(Tick(at=scenario.now))
    assert scenario.state.steps == {"COIN": 2}
    assert scenario.decider.deadline(scenario.state) == scenario.now + STEP_NS


# The line


def test_a_delayed_request_arrives_when_it_is_due() -> None:
    slow = given(buy("b", "5", "100"), profile=SLOW)
    slow.then(event(VenueRequestDelayed, session=SESSION))
    due_at = slow.decider.deadline(slow.state)
    assert due_at is not None and due_at > NOON
    slow.when(Tick(at=due_at - 1)).then_nothing()
    slow.when(Tick(at=due_at)).then(event(VenueRequestArrived), ENTERED, event(VenueOrderAccepted, at=due_at))
    assert slow.decider.deadline(slow.state) is None


def test_the_venue_wakes_for_whatever_is_due_first() -> None:
    slow = given(profile=SLOW, market=True).when(Tick(at=NOON), buy("b", "5", "100"))
    due_at = slow.state.delayed[0].due_at
    assert slow.decider.deadline(slow.state) == due_at
    slow.when(Tick(at=due_at))
    assert slow.decider.deadline(slow.state) == NOON + STEP_NS


def test_delayed_requests_arrive_in_the_order_they_are_due() -> None:
    slow = given(
        *(buy(f"{number}", "5", "100") for number in range(20)),
        profile=SLOW,
    )
    slow.after(60 * MILLISECOND).when(Tick(at=slow.now))
    arrived = [each.child_id for each in slow.said if isinstance(each, VenueOrderAccepted)]
    assert len(arrived) == 20
    assert arrived != sorted(arrived, key=int)


def test_a_request_too_long_on_its_way_is_rejected() -> None:
    slow = given(buy("b", "5", "100", expires_at=NOON), profile=SLOW)
    slow.after(SECOND).when(Tick(at=slow.now)).then(event(VenueRequestArrived), rejected("b", "REQUEST_EXPIRED"))


def test_the_same_cancel_twice_under_way_arrives_twice() -> None:
    slow = given(cancel("b"), cancel("b"), profile=SLOW)
    slow.after(SECOND).when(Tick(at=slow.now)).then(
        event(VenueRequestArrived), event(VenueCancelRejected), event(VenueRequestArrived), event(VenueCancelRejected)
    )
    assert slow.state.delayed == []


def test_a_lost_request_leaves_only_the_fault() -> None:
    given(buy("b", "5", "100"), profile=LineProfile(drop_request=1.0)).then(
        FeedFault(session=SESSION, kind="drop_request", child_id="b")
    )


def outgoing(scenario: Scenario[State], trace: str | None = None) -> list[tuple[str, int, int]]:
    """Kind, number and delay of what is told of the last decision."""
    said: list[Any] = scenario.said
    frame = Frame(
        writer="venue", number=1, previous="", decided_at=NOON, decisions=[Decision(events=said, trace=trace)]
    )
    decider = scenario.decider
    assert isinstance(decider, Venue)
    return [
        (type(each.spoken.event).__name__, getattr(each.spoken.event, "session_sequence", 0), each.delay_ns)
        for each in decider.told(scenario.state, frame)
    ]


def test_on_a_perfect_line_everything_told_is_told_once_and_at_once() -> None:
    scenario = given(sell("s", "5", "100")).when(buy("b", "5", "100", account="bob"))
    assert outgoing(scenario) == [("VenueOrderAccepted", 2, 0), ("VenueFilled", 3, 0), ("VenueFilled", 4, 0)]


def test_a_dropped_message_is_not_told() -> None:
    scenario = given(buy("b", "5", "100"), profile=LineProfile(drop=1.0))
    scenario.then(ENTERED, ACCEPTED, FeedFault(session=SESSION, kind="drop", session_sequence=1))
    assert outgoing(scenario) == []


def test_a_duplicated_message_is_told_twice() -> None:
    scenario = given(buy("b", "5", "100"), profile=LineProfile(duplicate=1.0))
    scenario.then(ENTERED, ACCEPTED, FeedFault(session=SESSION, kind="duplicate", session_sequence=1))
    assert outgoing(scenario) == [("VenueOrderAccepted", 1, 0)] * 2


def test_a_reordered_message_is_told_late() -> None:
    scenario = given(buy("b", "5", "100"), profile=LineProfile(reorder=1.0))
    fault = scenario.said[2]
    assert isinstance(fault, FeedFault)
    assert fault.kind == "delay"
    assert fault.delay_ns >= 10 * MILLISECOND
    assert outgoing(scenario) == [("VenueOrderAccepted", 1, fault.delay_ns)]


def test_a_slow_line_delays_every_message() -> None:
    scenario = given(buy("b", "5", "100"), profile=LineProfile(latency=LatencyProfile(feed=Leg(median_ms=5.0))))
    assert outgoing(scenario)[0][2] > 0


# Sessions


def test_each_session_has_its_own_numbers_without_a_gap() -> None:
    scenario = given(sell("s", "5", "100", account="bob"))
    scenario.stream = "EXECUTION_1"
    scenario.when(buy("b", "3", "100"), cancel("s"))
    told = [
        (each.session, each.session_sequence)
        for each in scenario.log
        if isinstance(each, VenueOrderAccepted | VenueFilled | VenueCancelRejected | VenueOrderCancelled)
    ]
    assert [number for session, number in told if session == "EXECUTION_0"] == [1, 2]
    assert [number for session, number in told if session == "EXECUTION_1"] == [1, 2, 3]


def test_what_the_client_missed_is_told_again_from_there_to_the_end() -> None:
    scenario = given(*(buy(f"{number}", "5", "100") for number in range(5)), profile=LineProfile(drop=1.0))
    scenario.when(resend(3)).then(VenueResent(session=SESSION, session_sequence=3, through=5))
    assert outgoing(scenario) == [("VenueOrderAccepted", number, 0) for number in (3, 4, 5)]


def test_with_nothing_missed_nothing_is_told_again() -> None:
    given(buy("b", "5", "100")).when(resend(2)).then_nothing()
    given().when(resend(1)).then_nothing()


def test_what_came_after_the_resend_was_decided_is_not_part_of_it() -> None:
    scenario = given(buy("b", "5", "100")).when(resend(1))
    decided = list(scenario.said)
    scenario.when(buy("c", "5", "100"))
    scenario.said = decided
    assert outgoing(scenario) == [("VenueOrderAccepted", 1, 0)]


def talkative() -> Scenario[State]:
    """One message more than it takes for the venue to take note of what the client has."""
    return given(*(query("b") for _ in range(ACKNOWLEDGE_EVERY + 1)))


def test_what_the_client_has_is_no_longer_kept_for_it() -> None:
    scenario = talkative()
    scenario.when(received(ACKNOWLEDGE_EVERY - 1)).then_nothing()
    scenario.when(received(ACKNOWLEDGE_EVERY)).then(
        VenueSessionAcknowledged(session=SESSION, session_sequence=ACKNOWLEDGE_EVERY)
    )
    assert [each.session_sequence for each in scenario.state.session(SESSION).told] == [ACKNOWLEDGE_EVERY + 1]
    scenario.when(resend(ACKNOWLEDGE_EVERY + 1))
    assert outgoing(scenario) == [("VenueOrderStatus", ACKNOWLEDGE_EVERY + 1, 0)]


def test_what_is_kept_is_trimmed_again_and_again() -> None:
    scenario = talkative().when(received(ACKNOWLEDGE_EVERY))
    scenario.when(*(query("b") for _ in range(ACKNOWLEDGE_EVERY))).when(received(2 * ACKNOWLEDGE_EVERY))
    assert [each.session_sequence for each in scenario.state.session(SESSION).told] == [2 * ACKNOWLEDGE_EVERY + 1]


def test_a_client_may_have_everything_it_was_told() -> None:
    scenario = talkative().when(received(ACKNOWLEDGE_EVERY + 1))
    scenario.then(event(VenueSessionAcknowledged, session_sequence=ACKNOWLEDGE_EVERY + 1))
    assert scenario.state.session(SESSION).told == []


def test_nobody_has_more_than_they_were_told() -> None:
    talkative().when(received(ACKNOWLEDGE_EVERY + 2)).then_nothing()
    given().when(received(ACKNOWLEDGE_EVERY)).then_nothing()


def test_the_numbers_of_another_venue_are_not_ours() -> None:
    talkative().when(received(ACKNOWLEDGE_EVERY, venue="other")).then_nothing()


def test_the_pulse_tells_the_market_and_how_far_each_feed_has_come() -> None:
    scenario = step(given(buy("b", "5", "100"), market=True))
    decider = scenario.decider
    assert isinstance(decider, Venue)
    quote, beat = [each.spoken for each in decider.pulse(scenario.state, scenario.now)]
    assert isinstance(quote.event, Quote)
    assert (quote.event.bid, quote.event.ask) == (Decimal(100), Decimal(101))
    told = scenario.state.session(SESSION).sequence
    assert beat == Spoken(SessionHeartbeat(venue="sim", session=SESSION, session_sequence=told, at=scenario.now))


def test_a_market_with_one_empty_side_has_no_quote() -> None:
    scenario = given(buy("b", "5", "100"))
    decider = scenario.decider
    assert isinstance(decider, Venue)
    assert [type(each.spoken.event) for each in decider.pulse(scenario.state, NOON)] == [SessionHeartbeat]


# Snapshots


def test_a_snapshot_keeps_every_queue_as_it_is() -> None:
    scenario = given(
        sell("a", "5", "100"), sell("b", "5", "100"), buy("x", "2", "100", account="bob"), sell("c", "5", "99")
    )
    scenario.when(cancel("c"), sell("c2", "5", "100"), buy("y", "4", "90"), buy("z", "4", "91"))
    restored = scenario.decider.load(encode_state(scenario.decider, scenario.state))
    assert resting(restored) == [("z", 4), ("y", 4), ("a", 3), ("b", 5), ("c2", 5)]


def test_a_symbol_listed_since_the_snapshot_begins_empty() -> None:
    scenario = given(buy("b", "5", "100"))
    listed = {"COIN": COIN, "NEW": msgspec.structs.replace(COIN, symbol="NEW")}
    later = Venue("sim", listed, {}, Line(1, PERFECT))
    restored = later.load(encode_state(scenario.decider, scenario.state))
    assert list(restored.engine.markets) == ["COIN", "NEW"]
    assert (restored.steps, restored.next_step_at) == ({"COIN": 0, "NEW": 0}, {"COIN": 0, "NEW": 0})


# Faults that last


def hand(kind: str, seconds: float = 10.0, session: str = "", **parameters: float) -> FaultOrdered:
    return FaultOrdered(kind=kind, seconds=seconds, session=session, **parameters)


def test_a_fault_by_hand_begins_at_once_and_ends_by_itself() -> None:
    scenario = given().when(hand("submit_down"))
    scenario.then(VenueFaultBegan(kind="submit_down", since=NOON, until=NOON + 10 * SECOND, cause="hand"))
    scenario.when(buy("b", "5", "100")).then(rejected("b", "SUBMIT_DOWN"))
    scenario.after(10 * SECOND).when(buy("c", "5", "100", expires_at=scenario.now)).then(ENTERED, ACCEPTED)


def test_a_fault_that_cannot_be_is_none() -> None:
    given().when(hand("earthquake"), hand("slow", seconds=-1.0), hand("slow", factor=0.5)).then_nothing()


def test_with_cancels_down_orders_go_on() -> None:
    scenario = given(buy("b", "5", "100")).when(hand("cancel_down")).when(cancel("b"))
    scenario.then(event(VenueCancelRejected, child_id="b", code="CANCEL_DOWN"))
    assert queue(scenario) == [("b", 5)]
    scenario.when(buy("c", "5", "100")).then(ENTERED, ACCEPTED)


def test_a_venue_that_is_down_says_nothing_to_anybody() -> None:
    scenario = given(buy("b", "5", "100")).when(hand("down"))
    scenario.when(buy("c", "5", "100"), cancel("b"), query("b")).then(
        FeedFault(session=SESSION, kind="down", child_id="c"),
        FeedFault(session=SESSION, kind="down", child_id="b"),
        FeedFault(session=SESSION, kind="down", child_id="b"),
    )
    assert queue(scenario) == [("b", 5)]


def test_to_a_session_that_is_cut_nothing_comes_and_nothing_goes() -> None:
    scenario = given(buy("b", "5", "100")).when(hand("disconnect", session=SESSION))
    scenario.when(cancel("b")).then(FeedFault(session=SESSION, kind="disconnect", child_id="b"))
    scenario.when(resend(1)).then(FeedFault(session=SESSION, kind="disconnect"))
    scenario.stream = "EXECUTION_1"
    scenario.when(sell("s", "2", "100", account="bob"))
    assert [type(each) for each in scenario.said].count(FeedFault) == 1
    assert [name for name, *_ in outgoing(scenario)] == ["VenueOrderAccepted", "VenueFilled"]
    beats = [each.spoken.event for each in decided_by(scenario).pulse(scenario.state, scenario.now)]
    assert [beat.session for beat in beats if isinstance(beat, SessionHeartbeat)] == ["EXECUTION_1"]


def test_a_session_that_is_connected_again_hears_what_it_missed() -> None:
    scenario = given(buy("b", "5", "100"), hand("disconnect", session=SESSION))
    scenario.stream = "EXECUTION_1"
    scenario.when(sell("s", "2", "100", account="bob"))
    scenario.stream = SESSION
    scenario.after(10 * SECOND).when(resend(2)).then(VenueResent(session=SESSION, session_sequence=2, through=2))
    assert outgoing(scenario) == [("VenueFilled", 2, 0)]


def test_a_stale_book_shows_the_prices_of_before_while_trading_goes_on() -> None:
    scenario = step(given(market=True)).when(hand("stale_book"))
    scenario.when(sell("s", "100", account="ann"))
    [stale] = quotes(scenario)
    assert (stale.bid, stale.at) == (Decimal(100), scenario.now)
    scenario.after(10 * SECOND)
    [fresh] = quotes(scenario)
    assert fresh.bid < 100


def test_a_slow_venue_takes_its_time() -> None:
    plan = LineProfile(latency=LatencyProfile(entry=ENTRY))
    quick, slow = given(profile=plan), given(hand("slow", factor=8.0), profile=plan)
    for scenario in (quick, slow):
        scenario.when(buy("b", "5", "100"))
    took = [scenario.state.delayed[0].due_at - NOON for scenario in (quick, slow)]
    assert took[1] == pytest.approx(8 * took[0], abs=8)


def test_what_is_scheduled_is_part_of_the_truth_when_it_begins() -> None:
    plan = LineProfile(schedule=(Scheduled(kind="submit_down", start_s=0.3, seconds=5.0),))
    scenario = given(profile=plan, market=True)
    opened_at = scenario.now
    for _ in range(3):
        step(scenario)
    begun = [each for each in scenario.log if isinstance(each, VenueFaultBegan)]
    assert [(each.kind, each.cause) for each in begun] == [("submit_down", "schedule")]
    assert begun[0].since == opened_at + STEP_NS + 300 * MILLISECOND


# How much a session may ask


def test_who_asks_too_much_is_told_to_wait_and_then_banned() -> None:
    limit = Limit(name="weight", capacity=2, window_ns=SECOND, weights={"place": 1})
    limits = RequestLimits(limits=(limit,), patience=1, ban_first_ns=5 * SECOND)
    scenario = Scenario(Venue("sim", {"COIN": COIN}, {}, Line(1, PERFECT), limits=limits), stream=SESSION)
    scenario.when(buy("a", "5", "100"), buy("b", "5", "100"))
    charged = event(VenueRequestCharged, session=SESSION, request="place")
    for number, code in enumerate(("RATE_LIMITED", "RATE_LIMITED", "BANNED", "BANNED")):
        scenario.when(buy(f"{number}", "5", "100")).then(charged, rejected(f"{number}", code))
    assert [id for id, _ in queue(scenario)] == ["a", "b"]
    scenario.after(6 * SECOND).when(buy("c", "5", "100", expires_at=scenario.now)).then(charged, ENTERED, ACCEPTED)


def decided_by(scenario: Scenario[State]) -> Venue:
    assert isinstance(scenario.decider, Venue)
    return scenario.decider


def quotes(scenario: Scenario[State]) -> list[Quote]:
    told = decided_by(scenario).pulse(scenario.state, scenario.now)
    return [each.spoken.event for each in told if isinstance(each.spoken.event, Quote)]


def test_a_venue_that_counts_orders_does_not_count_those_of_the_rest_of_the_market() -> None:
    """Its quotes and takers come on every step, and are smaller than a client's order may be."""
    spot = shipped("binance-spot")
    liquidity = Liquidity(TAPE, COIN.tick, COIN.lot, seed=1)
    market = Venue(
        "sim",
        {"COIN": msgspec.structs.replace(COIN, quantity_min=Decimal(500))},
        {"COIN": liquidity},
        Line(1, PERFECT),
        spot,
    )
    scenario = Scenario(market, stream=SESSION).when(Tick(at=NOON))
    for _ in range(10):
        step(scenario).then(event(VenueMarketMoved), TRADED)


def test_a_definition_says_whether_requests_are_weighed() -> None:
    for limited, expected in ((True, [event(VenueRequestCharged), ENTERED, ACCEPTED]), (False, [ENTERED, ACCEPTED])):
        definition = VenueDefinition(name="sim", maker_fee=Decimal(0), taker_fee=Decimal(0), limited=limited)
        made = venue_of(definition, {"COIN": COIN}, {}, Line(1, PERFECT))
        Scenario(made, stream=SESSION).when(buy("b", "5", "100")).then(*expected)


def test_a_venue_without_reduce_only_orders_gets_a_plain_one() -> None:
    """Risk has cut it to the position; a refusal would leave what it protects unprotected."""
    spot = Venue("sim", {"COIN": COIN}, {}, Line(1, PERFECT), shipped("binance-spot"))
    scenario = Scenario(spot, stream=SESSION).when(buy("deep", "50", "100", account="cid"))
    scenario.when(sell("s", "8", "100", reduce_only=True))
    scenario.then(ENTERED, ACCEPTED, TRADED, filled("deep", "8", "8", "42"), filled("s", "8", "8", "0"))
