"""What is a client told of a fill that waits for the end of its order (51)?"""

from __future__ import annotations

from typing import Any

from client import ACCEPTED, ENTERED, TRADED, amend, buy, cancel, filled, given, query, sell, tick

from bot4_common.decider import encode_state
from bot4_common.given import MILLISECOND, NOON, SECOND, Scenario, event
from bot4_common.messages.market import FaultOrdered
from bot4_common.messages.venue import (
    VenueAmendEntered,
    VenueCancelEntered,
    VenueFaultBegan,
    VenueFillWithheld,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderStatus,
)
from bot4_exchange_simulator.faults import LineProfile
from bot4_exchange_simulator.orders import State

# Every fill that does not end its order waits half a second.
LATE = LineProfile(late_fill=1.0, withheld_ms_median=500.0, withheld_sigma=0.0)
WITHHELD = event(VenueFillWithheld)


def part_sold(**kind: Any) -> Scenario[State]:
    """Ann offers 5, of which bob takes 3; she is not told yet."""
    return given(sell("s", "5", "100"), profile=LATE, **kind).when(buy("b", "3", "100", account="bob"))


def test_a_fill_is_told_after_the_end_of_its_order_with_the_time_of_its_trade() -> None:
    ended = part_sold().then(ENTERED, ACCEPTED, TRADED, WITHHELD, filled("b", "3", "3", "0", session_sequence=3))
    ended.after(MILLISECOND).when(cancel("s")).then(
        event(VenueCancelEntered),
        event(VenueOrderCancelled, child_id="s", quantity="2", session_sequence=4, at=ended.now),
        filled("s", "3", "3", "2", session_sequence=5, at=NOON),
    )
    assert ended.state.withheld == {}
    assert ended.state.finished["s"].state == "cancelled" and ended.state.finished["s"].cumulative == 3


def test_the_rest_of_an_order_that_does_not_rest_ends_before_its_fill_is_told() -> None:
    given(sell("s", "5", "100"), profile=LATE).when(buy("b", "8", "100", account="bob", time_in_force="ioc")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("s", "5", "5", "0"),
        WITHHELD,
        event(VenueOrderExpired, child_id="b", quantity="3"),
        filled("b", "5", "5", "3"),
    )


def test_an_end_that_does_not_come_soon_is_not_waited_for() -> None:
    waiting = part_sold()
    assert waiting.decider.deadline(waiting.state) == NOON + 500 * MILLISECOND
    tick(waiting.after(500 * MILLISECOND - 1)).then_nothing()
    tick(waiting.after(1)).then(filled("s", "3", "3", "2", session_sequence=4, at=NOON))
    assert waiting.decider.deadline(waiting.state) is None
    waiting.when(cancel("s")).then(event(VenueCancelEntered), event(VenueOrderCancelled, quantity="2"))


def test_of_several_fills_each_is_told_before_the_next() -> None:
    swept = given(sell("s", "2", "100"), sell("t", "3", "101"), profile=LATE)
    swept.when(buy("b", "8", account="bob")).then(
        ENTERED,
        ACCEPTED,
        TRADED,
        filled("s", "2", "2", "0"),
        WITHHELD,
        TRADED,
        filled("t", "3", "3", "0"),
        filled("b", "2", "2", "6"),
        WITHHELD,
        event(VenueOrderExpired, child_id="b", quantity="3"),
        filled("b", "3", "5", "3"),
    )


def test_the_fills_of_an_account_in_a_market_are_told_in_the_order_of_their_trades() -> None:
    cheaper = part_sold().when(sell("t", "2", "99")).then(ENTERED, ACCEPTED)
    cheaper.when(buy("c", "2", "99", account="bob")).then(
        ENTERED, ACCEPTED, TRADED, filled("s", "3", "3", "2"), filled("t", "2", "2", "0"), filled("c", "2", "2", "0")
    )


def test_what_says_how_much_is_left_comes_after_the_fill() -> None:
    told = filled("s", "3", "3", "2")
    part_sold().when(query("s")).then(told, event(VenueOrderStatus, cumulative="3", leaves="2", session_sequence=5))
    part_sold().when(amend("s", "9", "100")).then(
        event(VenueAmendEntered), told, event(VenueOrderAmended, leaves="6", session_sequence=5)
    )


def test_a_fault_by_hand_makes_fills_late_while_it_lasts() -> None:
    offered = given(sell("s", "5", "100"), FaultOrdered(kind="late_fill", seconds=1.0))
    offered.then(ENTERED, ACCEPTED, event(VenueFaultBegan, kind="late_fill"))
    offered.when(buy("b", "2", "100", account="bob")).then(
        ENTERED, ACCEPTED, TRADED, WITHHELD, filled("b", "2", "2", "0")
    )
    offered.after(SECOND).when(buy("c", "2", "100", account="bob", expires_at=offered.now)).then(
        ENTERED, ACCEPTED, TRADED, filled("s", "2", "2", "3"), filled("s", "2", "4", "1"), filled("c", "2", "2", "0")
    )


def test_a_snapshot_keeps_what_is_withheld() -> None:
    waiting = part_sold()
    waiting.state = waiting.decider.load(encode_state(waiting.decider, waiting.state))
    waiting.when(cancel("s")).then(
        event(VenueCancelEntered), event(VenueOrderCancelled, quantity="2"), filled("s", "3", "3", "2")
    )
