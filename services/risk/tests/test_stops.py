"""Is what an order opened protected by its stop, and by no more than that?"""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from bot4_common.given import NOON, Expected, Scenario, event
from bot4_common.messages.gateway import CancelOrder, EngageKillSwitch
from bot4_common.messages.risk import (
    CancelApproved,
    CancelRefused,
    KillSwitchEngaged,
    OrderApproved,
    PositionChanged,
    ReservationReduced,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Event, Order
from bot4_common.orders import fingerprint
from bot4_risk.account import Account
from bot4_risk.state import State
from services.risk.tests.words import (
    MARKET,
    SYMBOL,
    bought,
    buy,
    cancelled,
    expired,
    given,
    lost,
    order,
    place,
    quote,
    rejected,
    sell,
    sold,
    trimmed,
)

CRASH = quote("80", "82")
MOVED = event(PositionChanged)


def armed(order_id: str, quantity: str, **fields: object) -> Expected:
    return event(StopArmed, order_id=order_id, quantity=quantity, **fields)


def long(quantity: str = "10", filled: str = "10") -> Scenario[State]:
    """A buy with a stop at 90, filled as far as said: order 1-0."""
    return given().when(buy(quantity, "100", stop="90")).when(bought("1-0", filled))


def stops(scenario: Scenario[State], account: str = "ann") -> dict[str, Decimal]:
    return {id: stop.quantity for id, stop in scenario.state.account(account).stops.items()}


def ann(scenario: Scenario[State]) -> Account:
    return scenario.state.account("ann")


def test_a_fill_that_opens_arms_the_stop_of_its_order() -> None:
    long("10", filled="4").then(
        event(PositionChanged, order_id="1-0", position="4"),
        StopArmed(
            order_id="1-0",
            account="ann",
            strategy="s",
            symbol=SYMBOL,
            side="sell",
            quantity=Decimal(4),
            stop_price=Decimal(90),
        ),
    )


def test_the_stop_grows_with_every_fill() -> None:
    long("10", filled="4").when(bought("1-0", "5")).then(MOVED, armed("1-0", "9"))


def test_a_short_position_is_protected_by_a_buy() -> None:
    given().when(sell("5", "100", stop="110")).when(sold("1-0", "5")).then(
        MOVED, armed("1-0", "5", side="buy", stop_price="110")
    )


def test_a_fill_that_closes_arms_nothing() -> None:
    long().when(sell("4", "100", stop="110")).when(sold("3-0", "4")).then(MOVED, armed("1-0", "6"))


def test_a_fill_that_flips_the_position_arms_what_it_opened() -> None:
    long().when(sell("25", "100", stop="110")).when(sold("3-0", "25")).then(
        event(PositionChanged, position="-15"), armed("3-0", "15", side="buy"), armed("1-0", "0")
    )


def test_when_the_position_shrinks_the_oldest_stop_shrinks_first() -> None:
    two = long("5", filled="5").when(buy("3", "101", stop="91")).when(bought("3-0", "3"))
    two.when(sold("o", "6")).then(MOVED, armed("1-0", "0"), armed("3-0", "2"))
    assert stops(two) == {"3-0": 2}


def test_no_stop_is_left_when_the_position_is_flat() -> None:
    flat = long().when(sold("o", "10"))
    flat.then(MOVED, armed("1-0", "0"))
    assert stops(flat) == {}
    assert flat.state.watched[MARKET, "sell"] == []


def test_the_stop_of_an_order_still_open_waits_for_its_next_fill() -> None:
    waiting = long("10", filled="4").when(sold("o", "4"))
    assert stops(waiting) == {"1-0": 0}
    waiting.when(bought("1-0", "6")).then(MOVED, armed("1-0", "6"))


def test_and_is_forgotten_with_its_order() -> None:
    over = long("10", filled="4").when(sold("o", "4")).when(cancelled("1-0"))
    over.then(event(ReservationReleased, quantity="6"))
    assert stops(over) == {}


def test_a_stop_waits_as_long_as_the_market_is_on_its_good_side() -> None:
    long().when(quote("90.01", "90.02")).then_nothing()


def test_a_stop_fires_when_the_bid_reaches_it() -> None:
    fired = long().when(quote("90", "95"))
    fired.then(
        StopTriggered(
            order_id="1-0",
            account="ann",
            symbol=SYMBOL,
            exit_id="1-0-stop1",
            quantity=Decimal(10),
            stop_price=Decimal(90),
            bid=Decimal(90),
            ask=Decimal(95),
        ),
        event(OrderApproved, order_id="1-0-stop1", opening=False, bid="90", ask="95", at=NOON),
    )


def test_an_exit_takes_what_the_market_offers_and_only_reduces() -> None:
    approved = long().when(quote("90", "95")).said[1]
    assert isinstance(approved, OrderApproved)
    assert approved.order == Order(
        client_order_id="1-0-stop1",
        symbol=SYMBOL,
        side="sell",
        type="market",
        quantity=Decimal(10),
        strategy="s",
        time_in_force="ioc",
        reduce_only=True,
        venue="sim",
    )
    assert approved.fingerprint == fingerprint(approved.order)


def test_a_stop_of_a_short_position_fires_when_the_ask_reaches_it() -> None:
    short = given().when(sell("5", "100", stop="110")).when(sold("1-0", "5"))
    short.when(quote("105", "109.99")).then_nothing()
    short.when(quote("105", "110")).then(event(StopTriggered, quantity="5"), event(OrderApproved))


def test_a_quote_of_another_symbol_fires_nothing() -> None:
    long().when(quote("1", "2", symbol="ETH-USDT")).then_nothing()


def test_a_stop_fires_once() -> None:
    long().when(CRASH).when(CRASH).then_nothing()


def test_what_is_still_open_of_a_stopped_order_is_cancelled() -> None:
    long("10", filled="4").when(CRASH).then(
        event(StopTriggered, quantity="4"),
        event(OrderApproved, order_id="1-0-stop1"),
        CancelApproved(order_id="1-0", account="ann", reason="stopped_out"),
    )


def test_a_fill_that_comes_after_the_stop_is_protected_and_exits_too() -> None:
    late = long("10", filled="4").when(CRASH).when(bought("1-0", "6"))
    late.then(MOVED, armed("1-0", "6"))
    late.when(CRASH).then(event(StopTriggered, exit_id="1-0-stop2", quantity="6"), event(OrderApproved))


def test_an_exit_has_an_id_of_its_own_even_when_its_stop_was_forgotten_in_between() -> None:
    forgotten = long("10", filled="4").when(CRASH).when(sold("1-0-stop1", "4")).when(bought("1-0", "6"))
    forgotten.when(CRASH).then(event(StopTriggered, exit_id="1-0-stop2"), event(OrderApproved))


def test_an_exit_that_closes_all_leaves_nothing_behind() -> None:
    out = long().when(CRASH).when(sold("1-0-stop1", "10"))
    out.then(event(PositionChanged, order_id="1-0-stop1", position="0"))
    account = ann(out)
    assert not (account.stops or account.exits or account.open_orders or account.live or account.positions)
    assert not (account.reserved or account.reduce_only or account.exiting or account.protected)


def test_a_stop_is_kept_until_its_exit_is_done() -> None:
    assert stops(long().when(CRASH).when(sold("1-0-stop1", "9"))) == {"1-0": 0}


@pytest.mark.parametrize("over", [expired, rejected, lost, cancelled])
def test_what_an_exit_could_not_close_is_protected_again(over: type[Event]) -> None:
    thin = long().when(CRASH).when(sold("1-0-stop1", "3")).when(over("1-0-stop1"))
    thin.then(event(ReservationReleased, order_id="1-0-stop1", quantity="7"), armed("1-0", "7"))
    thin.when(CRASH).then(event(StopTriggered, exit_id="1-0-stop2", quantity="7"), event(OrderApproved))


def test_of_what_an_exit_could_not_close_only_what_is_left_is_protected_again() -> None:
    less = long().when(CRASH).when(sold("elsewhere", "8")).when(expired("1-0-stop1"))
    less.then(event(ReservationReleased, quantity="10"), armed("1-0", "10"), armed("1-0", "2"))


def test_what_an_exit_may_no_longer_close_is_protected_as_far_as_there_is_a_position() -> None:
    less = long().when(CRASH).when(sold("elsewhere", "8")).when(trimmed("1-0-stop1", "2", "2"))
    less.then(event(ReservationReduced, order_id="1-0-stop1", quantity="8"), armed("1-0", "8"), armed("1-0", "0"))
    assert stops(less.when(sold("1-0-stop1", "2"))) == {}


def test_an_exit_that_found_no_position_leaves_nothing_behind() -> None:
    flat = long().when(CRASH).when(sold("elsewhere", "10")).when(rejected("1-0-stop1"))
    assert stops(flat) == {}
    assert ann(flat).exits == {}


def test_an_exit_under_way_counts_as_protection() -> None:
    leaving = long().when(CRASH).when(quote(), buy("5", "100", stop="90")).when(bought("3-0", "5"))
    leaving.then(event(PositionChanged, position="15"), armed("3-0", "5"))
    leaving.when(sold("elsewhere", "2")).then(event(PositionChanged, position="13"), armed("3-0", "3"))


def test_the_kill_switch_leaves_exits_and_stops_alone() -> None:
    killed = long().when(CRASH).when(EngageKillSwitch(account="ann", reason="drill"))
    killed.then(event(KillSwitchEngaged))
    safe = long().when(EngageKillSwitch(account="ann", reason="drill")).when(CRASH)
    safe.then(event(StopTriggered), event(OrderApproved))


def test_the_market_reaches_the_nearest_stop_first() -> None:
    far = given().when(buy("1", "100", stop="90"), buy("1", "101", stop="95"))
    both = far.when(bought("1-0", "1"), bought("2-0", "1"))
    both.when(quote("94", "96")).then(event(StopTriggered, order_id="2-0"), event(OrderApproved))
    both.when(quote("89", "91")).then(event(StopTriggered, order_id="1-0"), event(OrderApproved))


def test_stops_of_several_accounts_fire_in_one_order_whether_lived_or_loaded() -> None:
    """The check behind every `when` decides again from a snapshot, and finds another order if there is one."""
    scenario = given()
    turns = ["ann", "bob", "ann", "cid", "bob"]
    Random(7).shuffle(turns)
    for number, name in enumerate(turns):
        scenario.when(place(order("buy", "1", "100", stop="90", id=f"{number}"), name))
        scenario.when(bought(f"{scenario.heard}-0", "1", account=name))
    triggered = scenario.when(CRASH).said
    assert sum(isinstance(each, StopTriggered) for each in triggered) == 5


def test_a_client_that_names_its_order_like_an_exit_disturbs_nothing() -> None:
    taken = long().when(buy("1", "99", stop="90", id="1-0-stop1")).when(CRASH)
    taken.then(event(StopTriggered, exit_id="1-0-stop1"), event(OrderApproved, order_id="1-0-stop1"))
    taken.when(sold("1-0-stop1", "10")).when(cancelled("3-0"))
    assert not (ann(taken).live or ann(taken).open_orders)


def test_stopped_orders_leave_no_trace_but_their_number() -> None:
    scenario = given()
    for _ in range(25):
        scenario.when(quote(), buy("1", "100", stop="90", id=f"{scenario.heard}"))
        entry = f"{scenario.heard}-0"
        scenario.when(bought(entry, "1")).when(CRASH)
        exit = scenario.said[1]
        assert isinstance(exit, OrderApproved)
        scenario.when(sold(exit.order_id, "1"))
    assert ann(scenario) == Account(exits_made=25)
    assert not any(scenario.state.watched.values())


def test_stops_without_number_fire_a_thousand_at_a_time() -> None:
    many = given()
    for number in range(1_002):
        many.given(
            PositionChanged(
                order_id=f"{number}-9",
                account="ann",
                strategy="s",
                symbol=SYMBOL,
                quantity=Decimal(1),
                price=Decimal(100),
                position=Decimal(number + 1),
            ),
            StopArmed(
                order_id=f"{number}-9",
                account="ann",
                strategy="s",
                symbol=SYMBOL,
                side="sell",
                quantity=Decimal(1),
                stop_price=Decimal(90),
            ),
        )
    fired = [len([said for said in many.when(CRASH).said if isinstance(said, StopTriggered)]) for _ in range(3)]
    assert fired == [1_000, 2, 0]


def test_the_exit_of_a_stop_is_not_cancelled_by_anybody() -> None:
    long().when(CRASH).when(CancelOrder(account="ann", order_id="1-0-stop1")).then(
        event(CancelRefused, code="CLOSES_A_POSITION")
    )
