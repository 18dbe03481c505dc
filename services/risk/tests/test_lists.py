"""What becomes of lists, of stops at a venue that has none, and of orders that take the place of others?

At `b`, which has neither stops nor lists, risk holds back what has to wait; at `sim` the venue does."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.given import NOON, SECOND, Expected, Scenario, event
from bot4_common.messages.execution import CancelRejected, OrderPrevented
from bot4_common.messages.gateway import AmendOrder, EngageKillSwitch, PlaceList, ReplaceOrder
from bot4_common.messages.market import Tick
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    CancelFailed,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRepeated,
    PositionChanged,
    ReservationAmended,
    ReservationReleased,
    SelfTradePrevented,
    StopArmed,
)
from bot4_common.messages.terms import ListKind, Order, OrderList, OrderType, ReplaceMode, Side
from bot4_risk.state import State
from services.risk.tests.words import (
    LIMITS,
    bought,
    buy,
    cancel,
    cancelled,
    given,
    not_amended,
    order,
    place,
    quote,
    refused,
    rejected,
    sold,
)

AT_B = "b/BTC-USDT"


def stop(
    side: Side, quantity: str, at: str, id: str = "stop", kind: OrderType = "stop_market", **fields: object
) -> Order:
    asked = replace(order(side, quantity, id=id), type=kind, stop_price=Decimal(at))
    return replace(asked, **fields)


def limit(side: Side, quantity: str, price: str, id: str = "limit", stop: str | None = None) -> Order:
    return order(side, quantity, price, stop=stop, id=id)


def asked(kind: ListKind, *orders: Order, venue: str, id: str = "list") -> PlaceList:
    at_venue = [replace(each, venue=venue) for each in orders]
    return PlaceList(account="ann", list=OrderList(client_list_id=id, kind=kind, orders=at_venue))


def trading() -> Scenario[State]:
    return given(quote(), quote(venue="b"), venues=("sim", "b"))


def long_at(venue: str) -> Scenario[State]:
    """Long 10 at the venue, protected at 90: order 1-0."""
    opened = trading().when(place(order("buy", "10", "100", stop="80", venue=venue)))
    return opened.when(bought("1-0", "10", venue=venue))


def bracket(venue: str) -> PlaceList:
    """Take profit at 110, or stop at 95."""
    return asked("oco", limit("sell", "10", "109", id="profit"), stop("sell", "10", "95"), venue=venue)


PROFIT, STOP = "3-0-leg1", "3-0-leg2"


def oco_at_b() -> Scenario[State]:
    return long_at("b").when(bracket("b"))


def approved(order_id: str, **fields: object) -> Expected:
    return event(OrderApproved, order_id=order_id, **fields)


def ended() -> Expected:
    return event(ListEnded, list_id="3-0")


MOVED = event(PositionChanged)


def test_where_the_venue_has_lists_all_legs_are_approved_at_once() -> None:
    long_at("sim").when(bracket("sim")).then(
        event(ListApproved, list_id="3-0", kind="oco", native=True),
        approved(PROFIT, list_id="3-0"),
        approved(STOP, list_id="3-0"),
    )


def test_where_it_has_not_the_leg_that_waits_is_held_back() -> None:
    oco_at_b().then(
        event(ListApproved, list_id="3-0", native=False),
        approved(PROFIT, list_id="3-0"),
        event(OrderHeld, order_id=STOP, list_id="3-0"),
    )


def test_alternatives_are_reserved_once() -> None:
    for venue in ("sim", "b"):
        oco = long_at(venue).when(bracket(venue))
        assert oco.state.account("ann").reserved_on(f"{venue}/BTC-USDT", "sell") == 10


def test_any_fill_of_one_leg_ends_the_other() -> None:
    filled = oco_at_b().when(sold(PROFIT, "1", venue="b"))
    filled.then(MOVED, event(StopArmed), event(HeldOrderCancelled, order_id=STOP, reason="contingency"))
    assert filled.state.account("ann").reserved_on(AT_B, "sell") == 9


def test_a_stop_whose_time_has_come_waits_until_the_other_leg_is_gone() -> None:
    reached = oco_at_b().when(quote("95", "97", venue="b"))
    reached.then(
        event(HeldOrderTriggered, order_id=STOP, bid="95"),
        event(CancelApproved, order_id=PROFIT, reason="contingency"),
    )
    reached.when(cancelled(PROFIT)).then(
        event(ReservationReleased, order_id=PROFIT),
        approved(STOP, list_id="3-0", opening=False),
    )
    sent = reached.said[1]
    assert isinstance(sent, OrderApproved)
    assert (sent.order.type, sent.order.stop_price, sent.order.reduce_only) == ("market", None, True)
    reached.when(sold(STOP, "10", venue="b")).then(MOVED, event(StopArmed, quantity="0"), ended())
    assert not reached.state.account("ann").lists


def test_a_late_fill_of_the_other_leg_ends_the_stop_that_was_to_follow() -> None:
    raced = oco_at_b().when(quote("95", "97", venue="b")).when(sold(PROFIT, "10", venue="b"))
    raced.then(
        MOVED,
        event(StopArmed, quantity="0"),
        event(HeldOrderCancelled, order_id=STOP, reason="contingency"),
        ended(),
    )
    raced.when(quote("90", "92", venue="b")).then_nothing()


def not_cancelled(order_id: str, code: str) -> CancelRejected:
    return CancelRejected(
        order_id=order_id, child_id=f"{order_id}.1", account="ann", venue="b", code=code, session_sequence=5
    )


def test_a_stop_whose_sibling_cannot_be_cancelled_watches_on() -> None:
    refusal = oco_at_b().when(quote("95", "97", venue="b")).when(not_cancelled(PROFIT, "VENUE_BUSY"))
    refusal.then(event(CancelFailed, order_id=PROFIT), event(HeldOrderArmed, order_id=STOP))
    refusal.when(quote("95", "97", venue="b")).then(
        event(HeldOrderTriggered, order_id=STOP), event(CancelApproved, order_id=PROFIT)
    )


def test_a_cancel_that_came_too_early_is_still_on_its_way() -> None:
    oco_at_b().when(quote("95", "97", venue="b")).when(not_cancelled(PROFIT, "UNKNOWN_ORDER")).then_nothing()


def test_a_trigger_fires_once() -> None:
    oco_at_b().when(quote("95", "97", venue="b")).when(quote("94", "96", venue="b")).then_nothing()


def test_a_held_leg_goes_back_when_the_venue_does_not_amend_the_other() -> None:
    def told(order_id: str, quantity: str, code: str = "") -> Expected:
        return event(ReservationAmended, order_id=order_id, quantity=Decimal(quantity), code=code)

    asked = oco_at_b().when(AmendOrder(account="ann", order_id=STOP, quantity=Decimal(6)))
    asked.then(told(STOP, "6"), event(AmendApproved, order_id=PROFIT, quantity=Decimal(6)))
    answered = asked.when(not_amended(PROFIT))
    answered.then(told(PROFIT, "10", "BELOW_FILLED"), told(STOP, "10"))
    assert answered.state.account("ann").reserved_on(AT_B, "sell") == 10


def amending_the_stop(quantity: str) -> Scenario[State]:
    return oco_at_b().when(AmendOrder(account="ann", order_id=STOP, quantity=Decimal(quantity)))


def test_only_what_was_refused_is_taken_back_of_a_held_leg() -> None:
    """A price was asked for, and its total is as it was before."""
    priced = oco_at_b().when(AmendOrder(account="ann", order_id=PROFIT, price=Decimal(108)))
    priced.when(not_amended(PROFIT)).then(event(ReservationAmended, order_id=PROFIT, code="BELOW_FILLED"))


def test_a_held_leg_that_was_prevented_in_part_goes_back_to_the_rest() -> None:
    prevented = OrderPrevented(
        order_id=PROFIT,
        child_id=f"{PROFIT}.1",
        account="ann",
        venue="b",
        other_id="x",
        quantity=Decimal(3),
        leaves=Decimal(7),
        session_sequence=1,
    )
    asked = oco_at_b().when(prevented).when(AmendOrder(account="ann", order_id=STOP, quantity=Decimal(6)))
    answered = asked.when(not_amended(PROFIT))
    assert answered.state.account("ann").open_orders[STOP].total == 7


def test_a_held_leg_waits_for_the_amend_of_the_other() -> None:
    again = amending_the_stop("8").when(AmendOrder(account="ann", order_id=STOP, quantity=Decimal(2)))
    again.then(event(AmendRefused, order_id=STOP, code="AMEND_IN_FLIGHT"))


def test_when_neither_amend_nor_cancel_comes_through_both_legs_are_as_they_were() -> None:
    triggered = amending_the_stop("6").when(quote("95", "97", venue="b"))
    refused = triggered.when(not_amended(PROFIT)).when(not_cancelled(PROFIT, "VENUE_BUSY"))
    legs = refused.state.account("ann").open_orders
    assert [legs[each].total for each in (PROFIT, STOP)] == [10, 10]


def test_cancelling_one_leg_cancels_the_list() -> None:
    gone = oco_at_b().when(cancel(PROFIT))
    gone.then(
        event(CancelApproved, order_id=PROFIT, reason="requested"),
        event(HeldOrderCancelled, order_id=STOP, reason="requested"),
    )
    gone.when(cancelled(PROFIT)).then(event(ReservationReleased, order_id=PROFIT), ended())


def test_a_kill_switch_ends_held_legs_at_once() -> None:
    oco_at_b().when(EngageKillSwitch(account="ann", reason="drill")).when(cancelled(PROFIT)).then(
        event(ReservationReleased, order_id=PROFIT), ended()
    )


def test_a_list_whose_leg_breaks_a_rule_is_refused_whole() -> None:
    naked = asked("oco", limit("sell", "10", "109", id="profit"), stop("sell", "10", "95"), venue="b")
    refusal = trading().when(naked)
    refusal.then(event(ListRefused, list_id="1-0", code="STOP_LOSS_REQUIRED"))
    assert refusal.said[0].details["leg"] == "1"  # type: ignore[attr-defined]
    assert not refusal.state.account("ann").open_orders


def test_a_list_is_taken_once() -> None:
    oco_at_b().when(bracket("b")).then(event(OrderRepeated, order_id="4-0", first="3-0", same_body=True))
    another = asked("oco", limit("sell", "9", "109", id="p"), stop("sell", "9", "95", id="s"), venue="b")
    oco_at_b().when(another).then(event(OrderRepeated, first="3-0", same_body=False))


# Parents and children

ENTRY = limit("buy", "5", "100", id="entry", stop="80")
BRACKETS = (ENTRY, limit("sell", "5", "109", id="profit"), stop("sell", "5", "95"))


def entered(venue: str) -> Scenario[State]:
    return trading().when(asked("otoco", *BRACKETS, venue=venue))


def test_children_wait_and_reserve_nothing_until_their_parent_is_filled() -> None:
    held = entered("b").then(
        event(ListApproved, native=False),
        approved("1-0-leg1", opening=True),
        event(OrderHeld, order_id="1-0-leg2"),
        event(OrderHeld, order_id="1-0-leg3"),
    )
    assert held.state.account("ann").reserved_on(AT_B, "sell") == 0
    part = held.when(bought("1-0-leg1", "2", venue="b")).then(MOVED, event(StopArmed, quantity="2"))
    part.when(bought("1-0-leg1", "3", venue="b")).then(
        MOVED,
        event(StopArmed, quantity="5"),
        event(HeldOrderArmed, order_id="1-0-leg2", quantity="5"),
        approved("1-0-leg2"),
        event(HeldOrderArmed, order_id="1-0-leg3", quantity="5"),
    )
    assert part.state.account("ann").reserved_on(AT_B, "sell") == 5


def test_where_the_venue_keeps_the_list_children_are_covered_too() -> None:
    native = entered("sim").then(
        event(ListApproved, native=True), approved("1-0-leg1"), approved("1-0-leg2"), approved("1-0-leg3")
    )
    assert native.state.account("ann").reserved_on("sim/BTC-USDT", "sell") == 0
    native.when(bought("1-0-leg1", "5")).then(
        MOVED,
        event(StopArmed, quantity="5"),
        event(HeldOrderArmed, order_id="1-0-leg2"),
        event(HeldOrderArmed, order_id="1-0-leg3"),
    )
    assert native.state.account("ann").reserved_on("sim/BTC-USDT", "sell") == 5


def test_a_parent_that_ends_unfilled_takes_its_children_along() -> None:
    entered("b").when(rejected("1-0-leg1")).then(
        event(ReservationReleased, order_id="1-0-leg1"),
        event(HeldOrderCancelled, order_id="1-0-leg2"),
        event(HeldOrderCancelled, order_id="1-0-leg3"),
        event(ListEnded),
    )


def test_children_only_reduce() -> None:
    begun = entered("b").said[0]
    assert isinstance(begun, ListApproved)
    assert [leg.order.reduce_only for leg in begun.legs] == [False, True, True]


def test_a_child_that_could_open_needs_a_stop_of_its_own() -> None:
    doubling = asked("oto", ENTRY, limit("buy", "5", "95", id="more"), venue="b")
    refusal = trading().when(doubling).then(event(ListRefused, code="STOP_LOSS_REQUIRED"))
    assert refusal.said[0].details["leg"] == "2"  # type: ignore[attr-defined]


# Stops where the venue has none


def test_a_stop_order_is_held_until_the_market_is_there() -> None:
    entry = stop("buy", "5", "105", stop_loss=Decimal(99), venue="b")
    held = trading().when(place(entry)).then(event(OrderHeld, order_id="1-0", price="105"))
    assert held.state.account("ann").reserved_on(AT_B, "buy") == 5
    held.when(quote("102", "104.9", venue="b")).then_nothing()
    held.when(quote("103", "105", venue="b")).then(
        event(HeldOrderTriggered, order_id="1-0", ask="105"), approved("1-0", opening=True)
    )
    assert held.state.account("ann").reserved_on(AT_B, "buy") == 5


def test_at_a_venue_with_stops_it_goes_there_at_once() -> None:
    trading().when(place(stop("buy", "5", "105", stop_loss=Decimal(99)))).then(approved("1-0"))


def test_a_held_order_may_be_cancelled_and_amended() -> None:
    held = trading().when(place(stop("buy", "5", "105", stop_loss=Decimal(99), venue="b")))
    held.when(AmendOrder(account="ann", order_id="1-0", quantity=Decimal(7))).then(
        event(ReservationAmended, quantity="7", leaves="7")
    )
    assert held.state.account("ann").reserved_on(AT_B, "buy") == 7
    held.when(cancel("1-0")).then(event(HeldOrderCancelled, order_id="1-0", reason="requested", quantity="7"))
    assert not held.state.account("ann").open_orders and not held.state.waiting


def test_with_the_kill_switch_engaged_a_trigger_sends_nothing() -> None:
    held = trading().when(place(stop("buy", "5", "105", stop_loss=Decimal(99), venue="b")))
    held.when(EngageKillSwitch(account="ann", reason="drill"))
    held.when(quote("105", "107", venue="b")).then_nothing()


def test_a_trailing_stop_is_refused_where_nobody_could_watch_it() -> None:
    trailing = replace(order("sell", "5", id="t", venue="b"), type="trailing_stop", trail_bps=100)
    trading().when(place(trailing)).then(refused("1-0", "ORDER_TYPE_UNKNOWN", venue="b"))


def test_an_order_held_back_ends_at_its_time() -> None:
    entry = stop("buy", "5", "105", stop_loss=Decimal(99), venue="b", time_in_force="gtd", expire_at=NOON + SECOND)
    held = trading().when(place(entry))
    assert held.decider.deadline(held.state) == NOON + SECOND
    held.after(SECOND).when(Tick(at=held.now)).then(event(HeldOrderCancelled, order_id="1-0", reason="expired"))
    assert not held.state.expiries and held.decider.deadline(held.state) is None


# Cancel and replace


def replacing(mode: ReplaceMode = "stop_on_failure", id: str = "new") -> ReplaceOrder:
    return ReplaceOrder(account="ann", order_id="1-0", order=limit("buy", "4", "99", id=id, stop="90"), mode=mode)


def test_an_order_takes_the_place_of_another_when_that_is_gone() -> None:
    swapped = trading().when(buy("5", "100", stop="90")).when(replacing())
    swapped.then(
        event(OrderHeld, order_id="2-0", replaces="1-0"),
        event(CancelApproved, order_id="1-0", reason="replaced"),
    )
    swapped.when(cancelled("1-0")).then(event(ReservationReleased, order_id="1-0"), approved("2-0"))
    assert swapped.state.account("ann").reserved_on("sim/BTC-USDT", "buy") == 4


def test_if_the_other_filled_first_nothing_takes_its_place() -> None:
    late = trading().when(buy("5", "100", stop="90")).when(replacing()).when(bought("1-0", "5"))
    stopped = event(HeldOrderCancelled, order_id="2-0", code="REPLACE_STOPPED", details={"order_id": "1-0"})
    late.then(MOVED, event(StopArmed), stopped)


def test_unless_it_was_to_be_placed_anyway() -> None:
    late = trading().when(buy("5", "100", stop="90")).when(replacing("allow_failure")).when(bought("1-0", "5"))
    late.then(MOVED, event(StopArmed), approved("2-0"))


def test_also_if_it_was_over_before() -> None:
    over = trading().when(buy("5", "100", stop="90")).when(bought("1-0", "5"))
    over.when(replacing("allow_failure")).then(approved("3-0"))


def test_what_breaks_a_rule_cancels_nothing() -> None:
    wild = replace(replacing(), order=limit("buy", "4", "150", id="new", stop="90"))
    trading().when(buy("5", "100", stop="90")).when(wild).then(refused("2-0", "PRICE_COLLAR"))


def test_what_is_over_is_not_replaced() -> None:
    trading().when(buy("5", "100", stop="90")).when(bought("1-0", "5")).when(replacing()).then(
        refused("3-0", "ORDER_IS_OVER")
    )


def test_an_order_is_replaced_once() -> None:
    trading().when(buy("5", "100", stop="90")).when(replacing()).when(replacing(id="newer")).then(
        refused("3-0", "ORDER_IS_OVER")
    )


# What an attacker tried


def test_the_exit_of_a_legs_stop_is_no_leg() -> None:
    stopped = entered("b").when(bought("1-0-leg1", "2", venue="b")).when(quote("79", "81", venue="b"))
    assert any(isinstance(said, OrderApproved) and said.order_id == "1-0-leg1-stop1" for said in stopped.said)
    stopped.when(sold("1-0-leg1-stop1", "2", venue="b"))
    assert not stopped.state.account("ann").positions


def test_a_leg_that_outlives_its_list_can_be_cancelled() -> None:
    gone = oco_at_b().when(AmendOrder(account="ann", order_id=PROFIT, price=Decimal(108)))
    gone.when(sold(PROFIT, "10", venue="b")).when(cancel(PROFIT)).then(event(CancelApproved, order_id=PROFIT))


def test_a_trigger_that_the_market_has_passed_is_refused() -> None:
    passed = stop("buy", "5", "98", stop_loss=Decimal(90), venue="b")
    trading().when(place(passed)).then(refused("1-0", "STOP_ALREADY_PASSED", stop_price="98", ask="101"))
    trading().when(place(replace(passed, venue="sim"))).then(refused("1-0", "STOP_ALREADY_PASSED"))


PREVENTING = replace(LIMITS, account=replace(LIMITS.account, self_trade_prevention="cancel_new"))


def preventing() -> Scenario[State]:
    """A bid for 5 at 99 rests at b."""
    market = given(quote(), quote(venue="b"), venues=("sim", "b"), limits=PREVENTING)
    return market.when(place(replace(limit("buy", "5", "99", stop="90"), venue="b")))


def test_a_list_that_would_meet_an_own_order_is_refused() -> None:
    pair = asked("oto", limit("sell", "5", "99", id="in", stop="120"), limit("buy", "5", "90", id="out"), venue="b")
    preventing().when(pair).then(event(ListRefused, code="SELF_TRADE"))


def test_a_stop_whose_time_has_come_does_not_meet_an_own_order_either() -> None:
    falling = stop("sell", "3", "95", kind="stop_limit", price=Decimal(94), stop_loss=Decimal(120), venue="b")
    held = preventing().when(place(falling))
    held.when(quote("95", "97", venue="b")).then(
        event(HeldOrderTriggered, order_id="2-0"),
        event(SelfTradePrevented, order_id="2-0", resting_id="1-0"),
        event(HeldOrderCancelled, order_id="2-0", reason="refused", code="SELF_TRADE"),
    )


def test_what_is_prevented_is_written_out_for_the_venue() -> None:
    sent = preventing().said[0]
    assert isinstance(sent, OrderApproved) and sent.order.self_trade_prevention == "cancel_new"


def test_an_order_is_met_where_an_amend_takes_it() -> None:
    moved = preventing().when(AmendOrder(account="ann", order_id="1-0", price=Decimal(101)))
    crossing = place(replace(limit("sell", "3", "101", id="new", stop="120"), venue="b"))
    moved.when(crossing).then(event(SelfTradePrevented, price="101"), refused("3-0", "SELF_TRADE"))
