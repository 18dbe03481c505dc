"""Are the legs of a list judged, and ended, together?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from bot4_common.given import event
from bot4_common.messages.execution import AmendRejected, OrderAmended, OrderPrevented
from bot4_common.messages.gateway import AmendOrder, EngageKillSwitch
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    HeldOrderCancelled,
    KillSwitchEngaged,
    ListApproved,
    ListEnded,
    ListRefused,
    ReservationAmended,
)
from bot4_common.messages.terms import Order
from services.risk.tests.test_control import correlated
from services.risk.tests.test_lists import ENTRY, asked, bracket, limit, long_at, oco_at_b, stop, trading
from services.risk.tests.words import LIMITS, buy, cancel, given, quote, sold

VENUES = pytest.mark.parametrize("venue", ["sim", "b"])


@VENUES
def test_a_parent_and_its_child_are_within_the_limits_together(venue: str) -> None:
    """A position of 200 is allowed."""
    first = limit("buy", "90", "100", id="first", stop="80")
    for quantity, said in (("90", ListApproved), ("100", ListApproved), ("101", ListRefused)):
        second = limit("buy", quantity, "90", id="second", stop="80")
        more = trading().when(buy("10", "91", stop="80")).when(asked("oto", first, second, venue=venue))
        assert isinstance(more.said[0], said)


def test_a_child_on_the_same_side_may_open_what_its_parent_leaves() -> None:
    """Each of them alone would only close."""
    closing = limit("sell", "6", "105", id="first"), limit("sell", "6", "106", id="second")
    long_at("b").when(asked("oto", *closing, venue="b")).then(
        event(ListRefused, code="STOP_LOSS_REQUIRED", list_id="3-0")
    )


def test_what_a_list_is_worth_is_added_up() -> None:
    """200,000 in all are allowed, and 1,000 are ordered."""
    account = replace(LIMITS.account, gross_percent=Decimal(1))
    market = given(quote(), quote(symbol="ETH-USDT"), limits=replace(LIMITS, account=account))
    ether = replace(limit("sell", "60", "100", id="second", stop="120"), symbol="ETH-USDT")
    for quantity, said in (("40", ListApproved), ("41", ListRefused)):
        first = limit("buy", quantity, "100", id="first", stop="80")
        assert isinstance(market.when(asked("oto", first, ether, venue="sim")).said[0], said)
        market = given(quote(), quote(symbol="ETH-USDT"), limits=replace(LIMITS, account=account))


@VENUES
def test_each_leg_is_an_open_order(venue: str) -> None:
    """Four are allowed."""
    full = long_at(venue).when(buy("1", "91", stop="80"), buy("1", "92", stop="80"), buy("1", "93", stop="80"))
    full.when(bracket(venue)).then(event(ListRefused, code="OPEN_ORDERS"))


def test_a_list_is_not_scaled_to_fit_what_is_held() -> None:
    ether = [replace(each, symbol="ETH-USDT") for each in (limit("buy", "5", "95", stop="80"), stop("buy", "5", "105"))]
    both = asked("oco", ether[0], replace(ether[1], stop_loss=Decimal(80)), venue="sim")
    correlated("0.9", "scale").when(both).then(event(ListRefused, code="CORRELATION"))
    entry, exit = ether[0], replace(limit("sell", "5", "105", id="exit"), symbol="ETH-USDT")
    bought_first = asked("oto", entry, exit, venue="sim")
    correlated("0.9", "scale").when(bought_first).then(event(ListRefused, code="CORRELATION"))
    assert isinstance(correlated("0.5", "scale").when(both).said[0], ListApproved)


def oco(*stops: str | None, reduce_only: tuple[bool, bool] = (False, False)) -> list[Order]:
    legs = [limit("sell", "10", "109", id="profit"), stop("sell", "10", "95")]
    losses = [Decimal(each) if each else None for each in stops]
    return [
        replace(leg, stop_loss=loss, reduce_only=reduces)
        for leg, loss, reduces in zip(legs, losses, reduce_only, strict=True)
    ]


def test_alternatives_reduce_all_or_none() -> None:
    """They are reserved once: what one of them reserved, the other can give back."""
    begun = long_at("b").when(asked("oco", *oco(None, "120"), venue="b")).said[0]
    assert isinstance(begun, ListApproved) and all(leg.order.reduce_only for leg in begun.legs)
    mixed = asked("oco", *oco(None, None, reduce_only=(True, False)), venue="b")
    long_at("b").when(mixed).then(event(ListRefused, code="LIST_LEGS_DIFFER"))


def held_parent() -> tuple[Order, Order]:
    """Where risk watches triggers, both wait."""
    parent = stop("buy", "5", "105", id="parent", stop_loss=Decimal(80))
    return parent, limit("buy", "1", "100", id="child", stop="80")


def test_a_switch_ends_a_list_of_which_all_is_held() -> None:
    trading().when(asked("oto", *held_parent(), venue="b")).when(EngageKillSwitch(account="ann", reason="r")).then(
        event(KillSwitchEngaged),
        event(HeldOrderCancelled, order_id="1-0-leg1", reason="kill_switch"),
        event(HeldOrderCancelled, order_id="1-0-leg2", reason="kill_switch"),
        event(ListEnded, list_id="1-0"),
    )


def test_a_parent_that_a_switch_drops_takes_a_child_along_that_it_does_not_cover() -> None:
    parent, child = held_parent()
    market = given(quote(venue="b"), quote(venue="b", symbol="ETH-USDT"), venues=("sim", "b"))
    both = market.when(asked("oto", parent, replace(child, symbol="ETH-USDT"), venue="b"))
    both.when(EngageKillSwitch(account="ann", reason="r", scope="symbol", symbol="BTC-USDT")).then(
        event(KillSwitchEngaged),
        event(HeldOrderCancelled, order_id="1-0-leg1"),
        event(HeldOrderCancelled, order_id="1-0-leg2"),
        event(ListEnded),
    )


def test_so_does_one_that_has_nothing_left_to_reduce() -> None:
    parent = stop("sell", "10", "95", id="parent", reduce_only=True)
    held = long_at("b").when(asked("oto", parent, replace(ENTRY, quantity=Decimal(1)), venue="b"))
    said = held.when(sold("other", "10", venue="b")).said
    assert [each.order_id for each in said if isinstance(each, HeldOrderCancelled)] == ["3-0-leg1", "3-0-leg2"]
    assert isinstance(said[-1], ListEnded)


def known(order_id: str) -> dict[str, object]:
    return {
        "order_id": order_id,
        "child_id": f"{order_id}.1",
        "account": "ann",
        "venue": "b",
        "session_sequence": 1,
    }


PROFIT, STOP = "3-0-leg1", "3-0-leg2"


def test_a_leg_amended_to_what_is_filled_is_over_and_so_is_its_list() -> None:
    part = oco_at_b().when(AmendOrder(account="ann", order_id=PROFIT, quantity=Decimal(4)))
    part.when(sold(PROFIT, "4", venue="b"))
    amended = OrderAmended(quantity=Decimal(4), price=Decimal(109), leaves=Decimal(0), **known(PROFIT))  # type: ignore[arg-type]
    part.when(amended).then(event(ReservationAmended, order_id=PROFIT, leaves="0"), event(ListEnded))


def test_so_is_one_of_which_nothing_is_left_when_its_amend_is_refused() -> None:
    asked_for = oco_at_b().when(AmendOrder(account="ann", order_id=PROFIT, price=Decimal(108)))
    asked_for.then(event(AmendApproved))
    prevented = OrderPrevented(other_id="x", quantity=Decimal(10), leaves=Decimal(0), **known(PROFIT))  # type: ignore[arg-type]
    refused = asked_for.when(prevented).when(AmendRejected(code="ORDER_IS_OVER", **known(PROFIT)))  # type: ignore[arg-type]
    refused.then(
        event(ReservationAmended, order_id=PROFIT, code="ORDER_IS_OVER"),
        event(HeldOrderCancelled, order_id=STOP),
        event(ListEnded),
    )


def test_a_leg_that_is_being_cancelled_already_is_cancelled_for_whoever_asks() -> None:
    due = oco_at_b().when(quote("94", "96", venue="b"))
    due.when(cancel(PROFIT)).then(event(HeldOrderCancelled, order_id=STOP), event(CancelApproved, order_id=PROFIT))


def test_a_raised_price_is_reserved_at_before_the_venue_has_answered() -> None:
    raised = (
        given().when(buy("10", "100", stop="90")).when(AmendOrder(account="ann", order_id="1-0", price=Decimal(105)))
    )
    assert raised.state.ledger.gross("ann") == 1_050
    raised.when(AmendRejected(code="AMEND_LOST", **known("1-0")))  # type: ignore[arg-type]
    assert raised.state.ledger.gross("ann") == 1_000
