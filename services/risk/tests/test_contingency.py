from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.risk import Leg
from bot4_common.messages.terms import ListKind, Order, OrderType, Side
from bot4_risk import contingency
from bot4_risk.contingency import (
    HELD,
    LIFE,
    MEANING,
    Action,
    Amended,
    AmendFailed,
    Arm,
    Cancel,
    CancelFailed,
    CancelWished,
    Contingent,
    Drop,
    Filled,
    News,
    Over,
    Reduced,
    Resize,
    Send,
    Triggered,
)

TEN = Decimal(10)


def order(
    side: Side = "sell",
    type: OrderType = "limit",
    price: str | None = None,
    stop: str | None = None,
    quantity: str = "10",
    symbol: str = "BTC-USDT",
    venue: str = "b",
) -> Order:
    return Order(
        client_order_id="c",
        symbol=symbol,
        side=side,
        type=type,
        quantity=Decimal(quantity),
        strategy="s",
        price=Decimal(price) if price else None,
        stop_price=Decimal(stop) if stop else None,
        venue=venue,
    )


def limit(price: str, side: Side = "sell", quantity: str = "10", symbol: str = "BTC-USDT", venue: str = "b") -> Order:
    return order(side, "limit", price, quantity=quantity, symbol=symbol, venue=venue)


def stop(trigger: str, side: Side = "sell", price: str | None = None, quantity: str = "10") -> Order:
    return order(side, "stop_limit" if price else "stop_market", price, trigger, quantity)


def begun(kind: ListKind, *orders: Order, native: bool = False) -> Contingent:
    """Its orders are "1", "2", and so on."""
    legs = [Leg(order_id=str(number), order=each) for number, each in enumerate(orders, 1)]
    return contingency.begun("L", "mine", kind, native, legs)


def oco() -> Contingent:
    """Takes profit at 110, stops at 90."""
    return begun("oco", limit("110"), stop("90"))


def ouo() -> Contingent:
    return begun("ouo", limit("110"), stop("90"))


def oto() -> Contingent:
    return begun("oto", limit("100", "buy"), limit("110"))


def otoco() -> Contingent:
    return begun("otoco", limit("100", "buy"), limit("110"), stop("90"))


def after(contingent: Contingent, *news: tuple[str, News]) -> list[Action]:
    """Tells it all, does what each of them asks for, and returns what the last one did."""
    actions: list[Action] = []
    for order_id, each in news:
        actions = contingency.reactions(contingent, order_id, each)
        contingency.heard(contingent, order_id, each)
        for action in actions:
            contingency.done(contingent, action)
    return actions


def filled(quantity: str, passed: tuple[str, ...] = ()) -> Filled:
    return Filled(Decimal(quantity), whole=quantity == "10", passed=passed)


def states(contingent: Contingent) -> list[str]:
    return [leg.state for leg in contingent.legs]


SIBLINGS = pytest.mark.parametrize("make", [oco, ouo])
Make = Callable[[], Contingent]


# How lists begin


def test_of_an_oco_the_limit_leg_works_and_the_stop_is_watched() -> None:
    assert states(oco()) == ["working", "watching"]
    assert states(begun("oco", stop("90"), limit("110"))) == ["watching", "working"]


def test_of_two_limit_legs_the_nearer_to_the_market_works() -> None:
    assert states(begun("ouo", limit("110"), limit("105"))) == ["watching", "working"]
    assert states(begun("ouo", limit("90", "buy"), limit("95", "buy"))) == ["watching", "working"]
    assert states(begun("ouo", limit("110"), limit("110"))) == ["working", "watching"]


def test_two_stops_are_both_watched() -> None:
    assert states(begun("ouo", stop("90"), order(type="take_profit_market", stop="110"))) == ["watching", "watching"]


def test_children_wait_and_so_does_a_parent_that_is_a_stop_for_its_trigger() -> None:
    assert states(otoco()) == ["working", "waiting", "waiting"]
    assert states(begun("oto", stop("110", "buy"), limit("120"))) == ["watching", "waiting"]


def test_a_native_list_is_wholly_at_the_venue_and_is_left_to_it() -> None:
    contingent = begun("otoco", limit("100", "buy"), limit("110"), stop("90"), native=True)
    assert states(contingent) == ["working", "working", "working"]
    assert after(contingent, ("1", filled("10")), ("2", filled("4")), ("3", Over())) == []
    assert after(contingent, ("2", CancelWished())) == [Cancel("2")]


# 30, 32


def test_any_fill_of_the_limit_leg_ends_the_stop() -> None:
    assert after(oco(), ("1", filled("1"))) == [Drop("2")]
    assert after(oco(), ("1", filled("10"))) == [Drop("2")]


def test_a_trigger_cancels_the_limit_leg_and_sends_nothing_yet() -> None:
    contingent = oco()
    assert after(contingent, ("2", Triggered())) == [Cancel("1")]
    assert states(contingent) == ["ending", "triggered"]


def test_the_stop_is_sent_when_the_cancel_is_confirmed() -> None:
    contingent = oco()
    assert after(contingent, ("2", Triggered()), ("1", Over())) == [Send("2", TEN)]
    assert states(contingent) == ["over", "working"]


def test_a_fill_that_comes_before_the_cancel_ends_the_stop() -> None:
    contingent = oco()
    assert after(contingent, ("2", Triggered()), ("1", filled("1"))) == [Drop("2")]
    assert after(contingent, ("1", Over())) == []
    assert contingent.over


@SIBLINGS
def test_a_whole_fill_that_comes_before_the_cancel_ends_the_list(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Triggered()), ("1", filled("10"))) == [Drop("2")]
    assert contingent.over


@SIBLINGS
def test_a_late_fill_of_the_whole_loser_stops_the_winner(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Triggered()), ("1", Over()), ("1", filled("10"))) == [Cancel("2")]


def test_a_late_fill_of_the_loser_stops_the_winner_and_is_counted() -> None:
    contingent = oco()
    sent = ("2", Triggered()), ("1", Over()), ("2", filled("7"))
    assert after(contingent, *sent, ("1", filled("2"))) == [Cancel("2")]
    after(contingent, ("2", Filled(Decimal(3), whole=True)))
    assert [leg.filled for leg in contingent.siblings()] == [2, 10]


def test_a_leg_that_ended_having_traded_has_won_also_if_that_is_told_last() -> None:
    contingent = oco()
    assert after(contingent, ("2", Triggered()), ("1", Over(untold=Decimal(2)))) == [Drop("2")]
    assert contingent.over and contingent.leg("1").filled == 2


def test_a_triggered_leg_that_is_refused_leaves_the_other_cancelled() -> None:
    contingent = oco()
    assert after(contingent, ("2", Triggered()), ("1", Over()), ("2", Over())) == []
    assert contingent.over


@SIBLINGS
def test_if_the_venue_refuses_the_cancel_the_stop_watches_again(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Triggered()), ("1", CancelFailed())) == [Arm("2", TEN)]
    assert states(contingent) == ["working", "watching"]
    assert after(contingent, ("2", Triggered())) == [Cancel("1")]


def test_of_two_that_are_watched_the_first_to_trigger_ends_the_other() -> None:
    contingent = begun("oco", stop("90"), order(type="take_profit_market", stop="110"))
    assert after(contingent, ("2", Triggered())) == [Drop("1"), Send("2", TEN)]


# 31


@SIBLINGS
def test_a_leg_that_ends_takes_the_other_along(make: Make) -> None:
    assert after(make(), ("1", Over())) == [Drop("2")]
    assert after(make(), ("2", Over())) == [Cancel("1")]


@SIBLINGS
def test_a_leg_that_ends_while_it_is_held_is_over(make: Make) -> None:
    contingent = make()
    after(contingent, ("2", Over()))
    assert states(contingent) == ["ending", "over"]
    contingent = make()
    after(contingent, ("2", Triggered()), ("2", Over()), ("1", Over()))
    assert contingent.over


def test_a_child_that_ends_while_it_waits_takes_its_sibling_along() -> None:
    contingent = otoco()
    assert after(contingent, ("3", Over())) == [Drop("2")]
    assert states(contingent) == ["working", "over", "over"]


@SIBLINGS
def test_cancelling_one_leg_cancels_both(make: Make) -> None:
    assert after(make(), ("1", CancelWished())) == [Cancel("1"), Drop("2")]
    assert after(make(), ("2", CancelWished())) == [Cancel("1"), Drop("2")]


@pytest.mark.parametrize("asked", ["1", "2"])
@SIBLINGS
def test_who_wants_a_triggered_list_cancelled_gets_no_stop_any_more(make: Make, asked: str) -> None:
    contingent = make()
    assert after(contingent, ("2", Triggered()), (asked, CancelWished())) == [Drop("2")]
    assert after(contingent, ("1", Over())) == []


@SIBLINGS
def test_amending_one_leg_amends_both(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("1", Amended(Decimal(6)))) == [Resize("2", Decimal(6))]
    assert [leg.quantity for leg in contingent.legs] == [6, 6]
    assert after(contingent, ("1", Amended(Decimal(6)))) == []


@SIBLINGS
def test_an_amend_that_meets_a_trigger_still_counts(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Triggered()), ("1", Amended(Decimal(6)))) == [Resize("2", Decimal(6))]
    assert after(contingent, ("1", Over())) == [Send("2", Decimal(6))]


def test_what_the_stop_is_to_have_left_the_limit_order_is_to_have_left_beside_its_fills() -> None:
    contingent = ouo()
    assert after(contingent, ("1", filled("4")), ("2", Amended(Decimal(5)))) == [Resize("1", Decimal(9))]
    assert after(contingent, ("1", Amended(Decimal(9)))) == []


@SIBLINGS
def test_a_held_leg_goes_back_when_the_venue_does_not_amend_the_other(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Amended(Decimal(6)))) == [Resize("1", Decimal(6))]
    assert after(contingent, ("1", AmendFailed(TEN))) == [Resize("2", TEN)]
    assert after(contingent, ("1", AmendFailed(TEN))) == []


@SIBLINGS
def test_an_amend_that_fails_because_of_a_trigger_still_counts(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Amended(Decimal(6))), ("2", Triggered())) == [Cancel("1")]
    assert after(contingent, ("1", AmendFailed(TEN))) == []
    assert after(contingent, ("1", Over())) == [Send("2", Decimal(6))]


def test_held_legs_are_amended_by_their_word_alone() -> None:
    assert after(otoco(), ("2", Amended(Decimal(5)))) == [Resize("3", Decimal(5))]


def test_amending_a_parent_leaves_its_children_as_they_are() -> None:
    assert after(otoco(), ("1", Amended(Decimal(5)))) == []


@SIBLINGS
def test_a_leg_at_the_venue_has_its_new_size_when_the_venue_says_so(make: Make) -> None:
    contingent = make()
    assert after(contingent, ("2", Amended(Decimal(6)))) == [Resize("1", Decimal(6))]
    assert contingent.leg("1").quantity == 10
    assert after(contingent, ("1", Amended(Decimal(6)))) == []
    assert contingent.leg("1").quantity == 6


# 33


def refused(kind: ListKind, *orders: Order) -> str | None:
    found = contingency.refusal(kind, orders, Decimal(99), Decimal(101))
    return None if found is None else found[0]


def test_a_sell_takes_profit_above_the_market_and_stops_below() -> None:
    assert refused("oco", limit("110"), stop("90")) is None
    assert refused("oco", stop("90"), limit("110")) is None
    assert refused("oco", limit("100"), stop("90")) == "LIST_PRICES"
    assert refused("oco", limit("110"), stop("100")) == "LIST_PRICES"
    assert refused("oco", limit("90"), stop("110")) == "LIST_PRICES"


def test_a_buy_the_other_way_round() -> None:
    assert refused("oco", limit("90", "buy"), stop("110", "buy")) is None
    assert refused("oco", limit("110", "buy"), stop("90", "buy")) == "LIST_PRICES"


def test_the_numbers_say_why() -> None:
    found = contingency.refusal("oco", [limit("100"), stop("90.0")], Decimal(99), Decimal(101))
    assert found == ("LIST_PRICES", {"limit": "100", "stop": "90", "mid": "100"})


def test_the_children_of_an_otoco_are_judged_without_the_market() -> None:
    assert refused("otoco", limit("50", "buy"), limit("60"), stop("40")) is None
    assert refused("otoco", limit("50", "buy"), limit("40"), stop("60")) == "LIST_PRICES"


def test_legs_that_are_no_alternatives_are_refused() -> None:
    assert refused("oco", limit("110"), stop("90", quantity="9")) == "LIST_LEGS_DIFFER"
    assert refused("oco", limit("110"), stop("90", "buy")) == "LIST_LEGS_DIFFER"
    assert refused("oco", limit("110", symbol="ETH-USDT"), stop("90")) == "LIST_LEGS_DIFFER"
    assert refused("oco", limit("110"), limit("120")) == "LIST_LEGS_DIFFER"
    assert refused("oco", stop("90"), stop("80")) == "LIST_LEGS_DIFFER"
    assert refused("ouo", limit("110"), limit("120")) is None
    assert refused("oto", limit("100", "buy"), limit("110", quantity="3")) is None


def test_a_list_has_as_many_orders_as_its_kind_and_one_venue() -> None:
    assert refused("otoco", limit("110"), stop("90")) == "LIST_LEGS_DIFFER"
    assert refused("oto", limit("100", "buy"), limit("110", venue="sim")) == "LIST_VENUES_DIFFER"


# 34


def test_children_are_armed_when_their_parent_is_filled_whole_and_not_before() -> None:
    contingent = otoco()
    assert after(contingent, ("1", filled("4"))) == []
    assert after(contingent, ("1", Filled(Decimal(6), whole=True))) == [Arm("2", TEN), Send("2", TEN), Arm("3", TEN)]
    assert states(contingent) == ["over", "working", "watching"]


def test_armed_children_are_an_oco() -> None:
    contingent = otoco()
    after(contingent, ("1", filled("10")))
    assert after(contingent, ("3", Triggered())) == [Cancel("2")]
    assert after(contingent, ("2", Over())) == [Send("3", TEN)]


def test_a_parent_that_ends_otherwise_takes_its_children_along_even_if_it_was_filled_in_part() -> None:
    assert after(oto(), ("1", filled("4")), ("1", Over())) == [Drop("2")]
    assert after(otoco(), ("1", Over())) == [Drop("2"), Drop("3")]


def test_children_outlive_the_wish_to_cancel_a_parent_that_is_filled_all_the_same() -> None:
    contingent = oto()
    assert after(contingent, ("1", CancelWished())) == [Cancel("1")]
    assert after(contingent, ("1", filled("10"))) == [Arm("2", TEN), Send("2", TEN)]


def test_a_parent_that_is_held_ends_with_its_children_at_once() -> None:
    contingent = begun("oto", stop("110", "buy"), limit("120"))
    assert after(contingent, ("1", CancelWished())) == [Drop("1"), Drop("2")]
    assert contingent.over


def test_a_parent_that_is_held_is_sent_when_it_triggers() -> None:
    contingent = begun("oto", stop("110", "buy"), limit("120"))
    assert after(contingent, ("1", Triggered())) == [Send("1", TEN)]
    assert after(contingent, ("1", filled("10"))) == [Arm("2", TEN), Send("2", TEN)]


def test_cancelling_a_child_that_waits_leaves_the_parent_alone() -> None:
    contingent = otoco()
    assert after(contingent, ("3", CancelWished())) == [Drop("2"), Drop("3")]
    assert states(contingent) == ["working", "over", "over"]


def test_a_child_that_the_market_has_passed_is_refused_and_its_sibling_ends() -> None:
    assert after(otoco(), ("1", filled("10", passed=("3",)))) == [Drop("2"), Drop("3", "STOP_ALREADY_PASSED")]
    # Nothing is armed yet.
    assert after(otoco(), ("1", filled("4", passed=("3",)))) == []


def test_what_the_market_has_passed_is_what_it_has_reached() -> None:
    legs = {"1": limit("100", "buy"), "2": limit("110"), "3": stop("90")}
    assert contingency.passed_when_armed(otoco(), legs, Decimal(90), Decimal(95)) == ("3",)
    assert contingency.passed_when_armed(otoco(), legs, Decimal(91), Decimal(95)) == ()


# 35


def test_a_partial_fill_leaves_the_partner_what_it_has_not_taken() -> None:
    contingent = ouo()
    assert after(contingent, ("1", filled("4"))) == [Resize("2", Decimal(6))]
    assert after(contingent, ("1", Filled(Decimal(6), whole=True))) == [Drop("2")]


def test_a_leg_that_prevention_made_smaller_ends_its_partner_when_it_is_filled() -> None:
    # Of the ten, self-trade prevention took some; the partner might still think that they are left.
    assert after(ouo(), ("1", Filled(Decimal(6), whole=True))) == [Drop("2")]


def test_a_triggered_partner_is_sent_for_what_is_left() -> None:
    contingent = ouo()
    assert after(contingent, ("1", filled("4")), ("2", Triggered())) == [Cancel("1")]
    assert after(contingent, ("1", filled("1"))) == [Resize("2", Decimal(5))]
    assert after(contingent, ("1", Over())) == [Send("2", Decimal(5))]


def test_a_triggered_partner_is_sent_for_what_the_other_left_also_if_that_is_told_last() -> None:
    assert after(ouo(), ("2", Triggered()), ("1", Over(untold=Decimal(4)))) == [Send("2", Decimal(6))]
    assert after(ouo(), ("1", filled("4")), ("2", Triggered()), ("1", Over(untold=Decimal(6)))) == [Drop("2")]


def test_a_late_fill_is_taken_from_the_partner_that_was_sent() -> None:
    contingent = ouo()
    after(contingent, ("1", filled("4")), ("2", Triggered()), ("1", Over()), ("2", filled("2")))
    assert after(contingent, ("1", filled("1"))) == [Resize("2", Decimal(5))]
    assert after(contingent, ("2", Amended(Decimal(5))), ("1", filled("3"))) == [Cancel("2")]


def test_self_trade_prevention_of_one_leg_is_its_own_concern() -> None:
    assert after(oco(), ("1", Reduced(Decimal(7)))) == []
    assert after(ouo(), ("1", Reduced(Decimal(7))), ("1", filled("2"))) == [Resize("2", Decimal(5))]


# Cancelling everything


def test_a_list_whose_legs_are_all_cancelled_is_cancelled_at_the_venue_and_dropped_where_it_is_held() -> None:
    contingent = otoco()
    assert after(contingent, ("1", CancelWished())) == [Cancel("1")]
    assert after(contingent, ("2", CancelWished())) == [Drop("2"), Drop("3")]
    assert after(contingent, ("3", CancelWished())) == []


def test_what_waits_for_a_cancel_is_dropped_with_its_list() -> None:
    contingent = oco()
    after(contingent, ("2", Triggered()))
    assert after(contingent, ("1", CancelWished())) == [Drop("2")]


# Triggers


@pytest.mark.parametrize(
    ("held", "bid", "ask", "is_due"),
    [
        (stop("90"), "90", "95", True),
        (stop("90"), "91", "92", False),
        (stop("110", "buy"), "105", "110", True),
        (stop("110", "buy"), "109", "109", False),
        (order(type="take_profit_market", stop="110"), "110", "111", True),
        (order(type="take_profit_market", stop="110"), "109", "111", False),
        (order("buy", "take_profit_limit", "89", "90"), "80", "90", True),
        (order("buy", "take_profit_limit", "89", "90"), "80", "91", False),
        (limit("110"), "110", "111", True),
        (limit("110"), "109", "111", False),
        (limit("90", "buy"), "80", "90", True),
        (limit("90", "buy"), "80", "91", False),
        (order(type="market"), "1", "1000", False),
        (order(type="trailing_stop"), "1", "1000", False),
    ],
)
def test_buys_watch_the_ask_and_sells_the_bid(held: Order, bid: str, ask: str, is_due: bool) -> None:
    assert contingency.reached(held, Decimal(bid), Decimal(ask)) is is_due


def test_what_is_sent_is_the_plain_order() -> None:
    sent = contingency.as_sent(stop("90", price="89"), Decimal(4))
    assert sent == limit("89", quantity="4")
    sent = contingency.as_sent(stop("90"), TEN)
    assert sent == order(type="market")


# Whatever is told, in whatever order

NEWS: st.SearchStrategy[News] = st.one_of(
    st.builds(Filled, st.integers(1, 4).map(Decimal), st.just(False)),
    st.builds(Filled, st.integers(1, 4).map(Decimal), st.just(True)),
    st.sampled_from([Triggered(), Over(), CancelWished(), CancelFailed()]),
    st.builds(Amended, st.integers(1, 20).map(Decimal)),
    st.builds(Reduced, st.integers(1, 20).map(Decimal)),
)
LISTS = st.sampled_from([oco, ouo, oto, otoco])


@given(LISTS, st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), NEWS), max_size=12))
def test_of_siblings_never_more_than_one_is_at_the_venue(make: Make, told: list[tuple[str, News]]) -> None:
    contingent = make()
    for order_id, news in told:
        if order_id not in [leg.order_id for leg in contingent.legs]:
            continue
        was = msgspec.json.encode(contingent)
        actions = contingency.reactions(contingent, order_id, news)
        assert msgspec.json.encode(contingent) == was
        held = {leg.order_id for leg in contingent.legs if leg.state in HELD}
        after(contingent, (order_id, news))
        # What is done to each is what can be done to it.
        assert {each.order_id for each in actions if isinstance(each, Send | Arm | Drop)} <= held
        assert not {each.order_id for each in actions if isinstance(each, Cancel)} & held
        assert sum(leg.state in ("working", "ending") for leg in contingent.siblings()) <= 1
        assert msgspec.json.decode(msgspec.json.encode(contingent), type=Contingent) == contingent


@given(LISTS, st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), NEWS), max_size=12))
def test_a_leg_that_is_over_stays_over_and_is_left_alone(make: Make, told: list[tuple[str, News]]) -> None:
    contingent = make()
    for order_id, news in told:
        if order_id not in [leg.order_id for leg in contingent.legs]:
            continue
        ended = {leg.order_id for leg in contingent.legs if leg.state == "over"}
        actions = after(contingent, (order_id, news))
        assert not {each.order_id for each in actions} & ended
        assert ended <= {leg.order_id for leg in contingent.legs if leg.state == "over"}


def test_no_deed_is_asked_of_a_leg_that_cannot_go_that_way() -> None:
    for (_, _, state), deed in MEANING.items():
        if deed in ("resize", "share"):
            assert state != "over"
        else:
            assert (state, deed) in LIFE
