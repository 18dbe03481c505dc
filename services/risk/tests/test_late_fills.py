"""What does a fill mean that is told after the end of its order (51)?

Either the end left out what had traded: then that stays reserved until it is told. Or it did not, and the fill is news.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.given import Expected, Scenario, event
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.gateway import AmendOrder, EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelRefused,
    HeldOrderCancelled,
    KillSwitchEngaged,
    ListEnded,
    OrderApproved,
    PositionChanged,
    PositionFlattened,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_risk.account import Account
from bot4_risk.state import State
from services.risk.tests.test_lists import PROFIT, STOP, asked, limit, oco_at_b, replacing, stop, trading
from services.risk.tests.words import (
    LIMITS,
    MARKET,
    bought,
    buy,
    cancel,
    cancelled,
    expired,
    given,
    order,
    place,
    quote,
    sell,
    sold,
)

CRASH = quote("80", "82")


def late(fill: OrderFilled, stop: str | None = "90") -> OrderFilled:
    return replace(fill, late=True, stop_loss=None if stop is None else Decimal(stop))


def ann(scenario: Scenario[State]) -> Account:
    return scenario.state.account("ann")


def resting() -> Scenario[State]:
    """A bid for 10 at 100, with a stop-loss at 90: order 1-0."""
    return given().when(buy("10", "100", stop="90"))


def moved(quantity: str, position: str) -> Expected:
    return event(PositionChanged, quantity=quantity, position=position)


def armed(quantity: str, order_id: str = "1-0") -> Expected:
    return event(StopArmed, order_id=order_id, quantity=quantity, stop_price="90")


def released(quantity: str, order_id: str = "1-0") -> Expected:
    return event(ReservationReleased, order_id=order_id, quantity=quantity)


# News


def test_a_late_fill_moves_the_position_and_arms_the_stop_that_its_order_came_with() -> None:
    over = resting().when(cancelled("1-0")).then(released("10"))
    over.when(late(bought("1-0", "3"))).then(moved("3", "3"), armed("3"))
    over.when(CRASH).then(event(StopTriggered, order_id="1-0", quantity="3"), event(OrderApproved))


def test_a_late_fill_counts_for_the_limits_and_frees_nothing_a_second_time() -> None:
    over = resting().when(cancelled("1-0")).when(late(bought("1-0", "3")))
    ledger = over.state.ledger
    assert ledger.position("ann", "sim", "BTC-USDT") == 3
    assert ledger.worst("ann", "sim", "BTC-USDT", "buy", Decimal(1)) == 4
    assert ledger.gross("ann") == ledger.firm_gross() == 300
    assert ann(over).reserved == {} and ann(over).open_orders == {}


def test_a_late_fill_is_an_execution_that_the_guard_counts() -> None:
    before = resting().when(cancelled("1-0"))
    after = before.when(late(bought("1-0", "3")))
    guard = after.state.guard("ann", "s")
    assert guard.executions("BTC-USDT", "buy", after.now, LIMITS.guards) == 2


def test_a_late_fill_lets_the_stop_of_its_order_grow() -> None:
    over = resting().when(bought("1-0", "4")).when(cancelled("1-0"))
    over.when(late(bought("1-0", "3"))).then(moved("3", "7"), armed("7"))


def test_a_late_fill_of_what_only_reduces_shrinks_what_is_protected() -> None:
    over = resting().when(bought("1-0", "10")).when(sell("5", "105", reduce_only=True)).when(cancelled("3-0"))
    over.when(late(sold("3-0", "2"), stop=None)).then(moved("-2", "8"), armed("8"))


def test_a_late_fill_that_goes_through_zero_is_protected_as_far_as_it_opens() -> None:
    short = given().when(sell("2", stop="110")).when(sold("1-0", "2")).when(buy("5", "100", stop="90"))
    short.when(cancelled("3-0")).when(late(bought("3-0", "5"))).then(
        moved("5", "3"), armed("3", "3-0"), event(StopArmed, order_id="1-0", quantity="0")
    )


# What the end left out


def untold() -> Scenario[State]:
    """Cancelled with 6 of its 10 left, and told of no fill."""
    return resting().when(cancelled("1-0", quantity="6"))


def test_what_had_traded_stays_reserved_until_it_is_told() -> None:
    over = untold().then(released("6"))
    assert ann(over).reserved_on(MARKET, "buy") == 4
    assert over.state.ledger.gross("ann") == 400
    over.when(late(bought("1-0", "1"))).then(moved("1", "1"), armed("1"))
    over.when(late(bought("1-0", "3"))).then(moved("3", "4"), armed("4"))
    assert ann(over).open_orders == {} and ann(over).reserved == {} and ann(over).live == {}
    assert over.state.ledger.standing("ann").orders == 0  # type: ignore[union-attr]


def test_the_end_told_again_releases_nothing_more() -> None:
    untold().when(cancelled("1-0", quantity="6")).then_nothing()


def test_with_an_order_ends_what_an_amend_would_have_added() -> None:
    growing = resting().when(AmendOrder(account="ann", order_id="1-0", quantity=Decimal(12)))
    growing.when(cancelled("1-0", quantity="6"))
    assert ann(growing).reserved_on(MARKET, "buy") == 4
    growing.when(late(bought("1-0", "4")))
    assert ann(growing).open_orders == {}


def test_the_stop_of_an_order_that_has_ended_fires_and_cancels_nothing() -> None:
    over = resting().when(bought("1-0", "4")).when(cancelled("1-0", quantity="3"))
    over.when(CRASH).then(event(StopTriggered, quantity="4"), event(OrderApproved))
    over.when(late(bought("1-0", "3"))).then(moved("3", "7"), armed("3"))


def test_more_than_was_left_out_is_news() -> None:
    over = untold().when(late(bought("1-0", "5"))).then(moved("5", "5"), armed("5"))
    assert ann(over).reserved == {}
    over.when(late(bought("1-0", "1"))).then(moved("1", "6"), armed("6"))


def test_an_order_that_has_ended_is_over_for_whoever_asks() -> None:
    over = untold()
    over.when(cancel("1-0")).then(event(CancelRefused, code="ORDER_IS_OVER"))
    amend = AmendOrder(account="ann", order_id="1-0", quantity=Decimal(12))
    over.when(amend).then(event(AmendRefused, code="ORDER_IS_OVER"))
    over.when(EngageKillSwitch(account="ann", reason="drill")).then(event(KillSwitchEngaged))


def test_an_order_that_has_ended_is_waited_for_by_none_that_takes_its_place() -> None:
    untold().when(replacing("allow_failure")).then(event(OrderApproved, order_id="3-0"))


def test_an_order_that_has_ended_meets_no_other_of_its_owner() -> None:
    limits = replace(LIMITS, account=replace(LIMITS.account, self_trade_prevention="cancel_new"))
    resting_bid = given(limits=limits).when(buy("10", "100", stop="90"))
    against = place(order("sell", "1", "99", stop="120", id="against"))
    resting_bid.when(cancelled("1-0", quantity="6")).when(against).then(event(OrderApproved, order_id="3-0"))


def test_an_exit_that_has_ended_closes_what_is_yet_to_be_told_and_nobody_else_does() -> None:
    """It traded 4 of its 10: a stop that fired for all of it would sell what is sold already."""
    stopped = resting().when(bought("1-0", "10")).when(CRASH)
    stopped.when(expired("1-0-stop1", "6")).then(released("6", "1-0-stop1"), armed("6"))
    stopped.when(CRASH).then(event(StopTriggered, exit_id="1-0-stop2", quantity="6"), event(OrderApproved))
    stopped.when(late(sold("1-0-stop1", "4"), stop=None)).then(moved("-4", "6"))
    stopped.when(sold("1-0-stop2", "6")).then(moved("-6", "0"))
    assert ann(stopped).stops == {} and ann(stopped).exits == {}


def test_an_order_that_took_the_place_of_another_is_not_sent_again_by_its_late_fill() -> None:
    swapped = trading().when(buy("5", "100", stop="90")).when(replacing()).when(cancelled("1-0", quantity="2"))
    swapped.then(released("2"), event(OrderApproved, order_id="2-0"))
    swapped.when(late(bought("1-0", "3"))).then(moved("3", "3"), armed("3"))


# Lists that risk keeps


def test_a_stop_is_not_sent_after_a_sibling_that_has_traded() -> None:
    """30: any fill of one leg, even partial, ends the other, also one that is told of last."""
    raced = oco_at_b().when(quote("95", "97", venue="b")).when(cancelled(PROFIT, quantity="6"))
    raced.then(
        released("6", PROFIT),
        event(HeldOrderCancelled, order_id=STOP, reason="contingency"),
        event(ListEnded, list_id="3-0"),
    )
    raced.when(late(sold(PROFIT, "4", venue="b"), stop=None)).then(
        moved("-4", "6"), event(StopArmed, order_id="1-0", quantity="6")
    )


def test_a_partner_is_sent_for_what_a_late_fill_leaves() -> None:
    legs = limit("sell", "10", "109", id="profit"), stop("sell", "10", "95")
    opened = trading().when(place(order("buy", "10", "100", stop="80", venue="b"))).when(bought("1-0", "10", venue="b"))
    raced = opened.when(asked("ouo", *legs, venue="b")).when(quote("95", "97", venue="b"))
    raced.when(cancelled(PROFIT, quantity="6"))
    sent = [said for said in raced.said if isinstance(said, OrderApproved)]
    assert [(each.order_id, each.order.quantity) for each in sent] == [(STOP, Decimal(6))]
    raced.when(late(sold(PROFIT, "4", venue="b"), stop=None)).then(moved("-4", "6"), event(StopArmed, quantity="6"))
    assert ann(raced).lists["3-0"].leg(PROFIT).filled == 4


def test_children_end_with_a_parent_that_did_not_fill_whole_whenever_that_is_told() -> None:
    """34"""
    parent, child = limit("buy", "10", "100", id="in", stop="90"), limit("sell", "10", "110", id="out")
    bracket = trading().when(asked("oto", parent, child, venue="b")).when(cancelled("1-0-leg1", quantity="6"))
    bracket.then(
        released("6", "1-0-leg1"),
        event(HeldOrderCancelled, order_id="1-0-leg2"),
        event(ListEnded, list_id="1-0"),
    )
    bracket.when(late(bought("1-0-leg1", "4", venue="b"))).then(moved("4", "4"), armed("4", "1-0-leg1"))


def test_a_late_fill_of_a_leg_makes_its_partner_smaller_and_does_not_end_it() -> None:
    legs = limit("sell", "10", "109", id="profit"), stop("sell", "10", "95")
    opened = trading().when(place(order("buy", "10", "100", stop="80", venue="b"))).when(bought("1-0", "10", venue="b"))
    raced = opened.when(asked("ouo", *legs, venue="b")).when(quote("95", "97", venue="b"))
    sent = raced.when(cancelled(PROFIT, quantity="10"))
    told = sent.when(late(sold(PROFIT, "3", venue="b"), stop=None))
    told.then(moved("-3", "7"), event(StopArmed, quantity="7"), event(AmendApproved, order_id=STOP, quantity="7"))


def test_what_an_exit_of_the_other_side_left_out_keeps_nobody_from_flattening() -> None:
    flat = EngageKillSwitch(account="ann", reason="drill", scope="account", flatten=True)
    reset = ResetKillSwitch(account="ann", reason="over", scope="account")
    long = resting().when(bought("1-0", "10")).when(flat).when(expired("flat-1", "4"))
    left_out = long.when(quote()).when(sold("flat-2", "4"))
    turned = left_out.when(reset).when(sell("12", "100", stop="120", id="turn"))
    turn = next(each.order_id for each in turned.said if isinstance(each, OrderApproved))
    short = turned.when(sold(turn, "12")).when(flat)
    assert [each.quantity for each in short.said if isinstance(each, PositionFlattened)] == [6]
