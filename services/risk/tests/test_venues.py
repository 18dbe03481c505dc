"""Is each venue a market of its own?"""

from __future__ import annotations

from bot4_common.given import Scenario, event
from bot4_common.messages.risk import (
    CancelApproved,
    OrderApproved,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    StopArmed,
    StopTriggered,
)
from bot4_common.orders import fingerprint
from bot4_risk.state import State
from services.risk.tests.words import bought, given, order, place, quote, refused, sold

# The market at "b" is ten above that at "a", which is the default.
AT_A, AT_B = quote(venue="a"), quote("109", "111", venue="b")


def trading() -> Scenario[State]:
    return given(AT_A, AT_B, venues=("a", "b"))


def long_at(venue: str, quantity: str = "5") -> Scenario[State]:
    """Long at one venue, protected at 90."""
    opened = trading().when(place(order("buy", quantity, "101", stop="90", venue=venue)))
    return opened.when(bought("1-0", quantity, venue=venue))


def test_an_order_that_names_no_venue_goes_to_the_default_one() -> None:
    asked = order("buy", "1", "100", stop="90")
    trading().when(place(asked)).then(
        event(OrderApproved, order=order("buy", "1", "100", stop="90", venue="a"), fingerprint=fingerprint(asked))
    )


def test_an_order_is_judged_by_the_market_of_its_venue() -> None:
    trading().when(place(order("buy", "1", "110", stop="100", venue="b"))).then(
        event(OrderApproved, bid=AT_B.bid, ask=AT_B.ask)
    )
    trading().when(place(order("buy", "1", "110", stop="100", venue="a"))).then(
        event(OrderRefused, code="STOP_ALREADY_PASSED", details={"stop_loss": "100", "bid": "99", "ask": "101"})
    )


def test_a_venue_without_a_quote_is_no_market() -> None:
    only_a = given(AT_A, venues=("a", "b"))
    only_a.when(place(order("buy", "1", "100", stop="90", venue="b"))).then(event(OrderRefused, code="NO_MARKET"))


def test_a_venue_that_is_not_traded_on_is_refused() -> None:
    trading().when(place(order("buy", "1", "100", stop="90", venue="c"))).then(
        event(OrderRefused, code="UNKNOWN_VENUE", details={"venue": "c", "venues": "a, b"})
    )


def test_what_is_held_at_one_venue_cannot_be_sold_at_another() -> None:
    long_at("a").when(place(order("sell", "5", "110", venue="b"))).then(event(OrderRefused, code="STOP_LOSS_REQUIRED"))
    long_at("a").when(place(order("sell", "5", "110", venue="b", reduce_only=True))).then(
        event(OrderRefused, code="NOTHING_TO_REDUCE")
    )


def test_a_fill_moves_the_position_at_its_venue_alone() -> None:
    both = long_at("a").when(bought("x", "3", venue="b"))
    both.then(event(PositionChanged, venue="b", position="3"))
    assert both.state.account("ann").positions == {"a/BTC-USDT": 5, "b/BTC-USDT": 3}


def test_a_sale_at_one_venue_leaves_the_stops_at_another() -> None:
    long_at("a").when(sold("x", "5", venue="b")).then(event(PositionChanged, venue="b", position="-5"))


def test_a_stop_is_triggered_by_its_own_venue_and_exits_there() -> None:
    long = long_at("b")
    assert [type(said) for said in long.said] == [PositionChanged, StopArmed]
    long.when(quote("80", "81", venue="a")).then_nothing()
    long.when(quote("80", "81", venue="b")).then(
        event(StopTriggered, venue="b", exit_id="1-0-stop1"), event(OrderApproved, order_id="1-0-stop1")
    )
    exit_order = long.said[1]
    assert isinstance(exit_order, OrderApproved) and exit_order.order.venue == "b"


def test_reduce_only_orders_at_another_venue_stay_when_a_position_closes() -> None:
    both = (
        long_at("a")
        .when(bought("x", "5", venue="b"))
        .when(
            place(order("sell", "5", "115", venue="b", reduce_only=True, id="b")),
            place(order("sell", "5", "105", venue="a", reduce_only=True, id="a")),
        )
    )
    approved = [said.order_id for said in both.said if isinstance(said, OrderApproved)]
    both.when(sold("x", "5", venue="a"))
    assert [said.order_id for said in both.said if isinstance(said, CancelApproved)] == approved[1:]


def test_the_position_limit_is_that_of_all_venues_together() -> None:
    half = trading().when(bought("x", "110", venue="a"))
    half.when(place(order("buy", "80", "110", stop="90", venue="b"))).then(
        refused("2-0", "POSITION_LIMIT", asked="20900", limit="20000")
    )
    half.when(place(order("sell", "80", "110", stop="130", venue="b", id="short"))).then(
        refused("3-0", "POSITION_LIMIT", asked="20900", limit="20000")
    )
    half.when(place(order("buy", "70", "110", stop="90", venue="b", id="less"))).then(event(OrderApproved))


def test_a_repeat_is_known_by_what_was_asked_not_by_where_it_went() -> None:
    first = trading().when(place(order("buy", "1", "100", stop="90", id="c1")))
    first.when(place(order("buy", "1", "100", stop="90", id="c1"))).then(event(OrderRepeated, same_body=True))
    first.when(place(order("buy", "1", "100", stop="90", id="c1", venue="b"))).then(
        event(OrderRepeated, same_body=False)
    )
