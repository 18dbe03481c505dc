"""What would go unnoticed if a rule were missing? Examples at the edges that rules of risk share."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.given import MILLISECOND, SECOND, Scenario, event
from bot4_common.messages.gateway import AmendOrder, EngageKillSwitch, PlaceList, ReplaceOrder, ResetKillSwitch
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    HeldOrderArmed,
    HeldOrderCancelled,
    KillSwitchEngaged,
    ListRefused,
    OrderApproved,
    OrderHeld,
    PositionFlattened,
    ReservationReleased,
)
from bot4_common.messages.terms import Order, OrderList, Prevention
from bot4_risk.state import State
from services.risk.tests.test_control import correlated
from services.risk.tests.test_lists import ENTRY, PROFIT, STOP, asked, limit, long_at, oco_at_b, stop, trading
from services.risk.tests.words import (
    LIMITS,
    bought,
    buy,
    cancel,
    cancelled,
    expired,
    given,
    order,
    place,
    quote,
    refused,
    sold,
)


def amend(quantity: str | None = None, price: str | None = None, order_id: str = "1-0") -> AmendOrder:
    wanted = {"quantity": quantity, "price": price}
    return AmendOrder(account="ann", order_id=order_id, **{k: Decimal(v) for k, v in wanted.items() if v})


def resting(**account: object) -> Scenario[State]:
    """A bid for 10 at 100, with a stop-loss at 90."""
    limits = replace(LIMITS, account=replace(LIMITS.account, **account))
    return given(limits=limits).when(buy("10", "100", stop="90"))


# Amends


def test_what_has_no_price_gets_none() -> None:
    given().when(buy("5", stop="90")).when(amend(price="99")).then(event(AmendRefused, code="AMEND_NOTHING"))


def test_what_only_becomes_smaller_needs_no_market() -> None:
    resting().after(60 * SECOND).when(amend("5")).then(event(AmendApproved, quantity="5"))
    resting().after(60 * SECOND).when(amend("11")).then(event(AmendRefused, code="NO_MARKET"))


def test_beyond_its_stop_loss_nothing_is_amended() -> None:
    resting().when(quote("90", "92")).when(amend(price="95")).then(event(AmendRefused, code="STOP_ALREADY_PASSED"))


def test_nothing_is_amended_into_an_own_order() -> None:
    own = resting(self_trade_prevention="cancel_new").when(place(order("sell", "5", "103", stop="120", id="ask")))
    own.when(amend(price="103")).then(event(AmendRefused, code="SELF_TRADE"))


def test_a_higher_price_is_held_to_the_limits() -> None:
    """1,040 may be at stake, and 1,000 is."""
    tight = {"gross_percent": Decimal("0.104")}
    resting(**tight).when(amend(price="104")).then(event(AmendApproved))
    resting(**tight).when(amend(price="104.01")).then(event(AmendRefused, code="GROSS_EXPOSURE"))


# The rate


def test_a_refusal_costs_of_the_rate_unless_the_rate_refused() -> None:
    slow = resting(orders_per_second=1, orders_burst=2)
    slow.after(MILLISECOND).when(buy("1", "150", stop="90", id="wild")).then(refused("2-0", "PRICE_COLLAR"))
    for number in (3, 4):
        slow.when(buy("1", "100", stop="90", id=f"{number}")).then(refused(f"{number}-0", "ORDER_RATE"))
    slow.after(SECOND).when(buy("1", "100", stop="90", id="later")).then(event(OrderApproved))


def test_an_exit_costs_nothing_of_the_rate() -> None:
    held = given().when(buy("10", "100", stop="90")).when(bought("1-0", "10"))
    before = held.state.rates.firm
    held.after(SECOND).when(quote("90", "92"))
    assert "stop" in held.state.account("ann").exits.copy().popitem()[0] and held.state.rates.firm == before


# Flattening


def flatten(**named: str) -> EngageKillSwitch:
    return EngageKillSwitch(account="ann", reason="r", flatten=True, **named)  # type: ignore[arg-type]


def long() -> Scenario[State]:
    return given().when(buy("10", "100", stop="90")).when(bought("1-0", "10"))


def test_a_switch_flattens_only_what_it_covers() -> None:
    long().when(flatten(scope="symbol", symbol="ETH-USDT")).then(event(KillSwitchEngaged))


def test_after_a_reset_another_switch_closes_nothing_of_its() -> None:
    let_go = long().when(flatten()).when(sold("flat-1", "4")).when(expired("flat-1"))
    let_go.when(ResetKillSwitch(account="ann", reason="r")).when(flatten(scope="symbol", symbol="ETH-USDT"))
    let_go.when(quote()).then_nothing()


def test_what_one_strategy_is_closing_is_not_closed_by_another() -> None:
    both = long().when(place(replace(order("buy", "5", "100", stop="80", id="more"), strategy="t")))
    both.when(replace(bought("3-0", "5"), strategy="t")).when(flatten()).when(expired("flat-2"))
    both.when(quote()).then(event(PositionFlattened, strategy="t", quantity="5"), event(OrderApproved))


def test_a_fill_that_comes_late_is_closed_too() -> None:
    flat = long().when(flatten()).when(sold("flat-1", "10")).when(bought("1-0", "3"))
    flat.when(quote()).then(event(PositionFlattened, quantity="3"), event(OrderApproved, order_id="flat-2"))


# Placing


def test_an_order_of_which_nothing_goes_with_the_book_is_refused() -> None:
    dust = order("buy", "0.0001", "100", stop="90", id="dust", symbol="ETH-USDT")
    correlated("0.9", "scale").when(place(dust)).then(refused("4-0", "CORRELATION", fits="0"))


def test_what_is_being_cancelled_already_is_passed_over() -> None:
    mode: Prevention = "cancel_resting"
    going = given(limits=replace(LIMITS, account=replace(LIMITS.account, self_trade_prevention=mode)))
    going.when(buy("5", "99", stop="90")).when(cancel("1-0"))
    going.when(place(order("sell", "3", "99", stop="110", id="own"))).then(event(OrderApproved, order_id="3-0"))


def stop_at_b(id: str = "stop") -> Order:
    return stop("buy", "5", "105", id=id, stop_loss=Decimal(80), venue="b")


def test_what_is_held_is_not_replaced() -> None:
    held = trading().when(place(stop_at_b())).then(event(OrderHeld))
    change = ReplaceOrder(account="ann", order_id="1-0", order=stop_at_b("new"), mode="stop_on_failure")
    held.when(change).then(refused("2-0", "REPLACE_STOPPED"))


def test_what_takes_the_place_of_another_may_wait_for_its_trigger_then() -> None:
    old = trading().when(place(order("buy", "5", "95", stop="80", venue="b")))
    change = ReplaceOrder(account="ann", order_id="1-0", order=stop_at_b(), mode="stop_on_failure")
    old.when(change).then(event(OrderHeld, replaces="1-0"), event(CancelApproved, order_id="1-0"))
    old.when(quote("105", "107", venue="b")).then_nothing()
    old.when(cancelled("1-0")).then(event(ReservationReleased), event(HeldOrderArmed, order_id="2-0"))
    assert not old.state.account("ann").replacing
    old.when(quote("105", "107", venue="b"))
    assert old.said and isinstance(old.said[-1], OrderApproved)


# Lists


def exits(*ids: str) -> list[Order]:
    return [limit("sell", "10", "109", id=ids[0]), stop("sell", "10", "95", id=ids[1])]


def listed(id: str, *orders: Order) -> PlaceList:
    return PlaceList(
        account="ann",
        list=OrderList(client_list_id=id, kind="oco", orders=[replace(each, venue="b") for each in orders]),
    )


def test_legs_are_of_one_strategy() -> None:
    profit, loss = exits("profit", "loss")
    long_at("b").when(listed("l", profit, replace(loss, strategy="another"))).then(
        event(ListRefused, code="LIST_LEGS_DIFFER")
    )


def test_a_live_list_keeps_its_id_when_it_is_no_repeat_any_more() -> None:
    late = long_at("b").when(listed("l", *exits("a", "b"))).after(120 * SECOND)
    late.quotes = {("b", "BTC-USDT"): quote(venue="b", at=late.now)}
    late.when(listed("l", *exits("c", "d"))).then(event(ListRefused, code="DUPLICATE_LIVE_LIST"))


def test_the_ids_of_legs_are_new() -> None:
    over = long_at("b").when(place(order("buy", "1", "91", stop="80", id="profit", venue="b")))
    over.when(cancelled("3-0")).when(listed("l", *exits("profit", "loss"))).then(event(ListRefused, code="KEY_REUSED"))


def test_a_child_that_is_larger_than_its_parent_opens() -> None:
    larger = limit("sell", "6", "109", id="profit")
    trading().when(asked("oto", ENTRY, larger, venue="b")).then(event(ListRefused, code="STOP_LOSS_REQUIRED"))


def test_a_child_that_waits_does_not_watch() -> None:
    waiting = trading().when(asked("oto", ENTRY, stop("sell", "5", "95"), venue="b"))
    waiting.when(quote("94", "96", venue="b")).then_nothing()


def test_without_a_market_nothing_is_sent_when_its_time_comes() -> None:
    due = oco_at_b().when(quote("94", "96", venue="b"))
    due.quotes = {}
    said = due.when(replace(cancelled(PROFIT), venue="b")).said
    turned_away = [(each.code, each.details) for each in said if isinstance(each, HeldOrderCancelled)]
    assert turned_away == [("NO_MARKET", {"symbol": "BTC-USDT", "venue": "b"})]
    assert STOP not in due.state.account("ann").open_orders


def test_a_list_whose_stop_the_market_has_passed_is_refused() -> None:
    passed = stop("sell", "10", "99.5", id="loss")
    partners = asked("ouo", limit("sell", "10", "109", id="profit"), passed, venue="b")
    long_at("b").when(partners).then(event(ListRefused, code="STOP_ALREADY_PASSED"))
