"""Do reservations and positions follow the orders, exactly?"""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot4_common.given import Scenario, event
from bot4_common.messages.gateway import EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.risk import (
    CancelApproved,
    CancelRefused,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    OrderApproved,
    PositionChanged,
    ReservationReleased,
    StopArmed,
)
from bot4_common.messages.terms import Event
from bot4_risk.state import State
from services.risk.tests.words import (
    MARKET,
    bought,
    buy,
    cancel,
    cancelled,
    expired,
    filled,
    given,
    holding,
    lost,
    order,
    place,
    rejected,
    sell,
    sold,
)

OVER = [cancelled, expired, rejected, lost]


def reserved(scenario: Scenario[State], side: str = "buy") -> Decimal:
    return scenario.state.account("ann").reserved_on(MARKET, "buy" if side == "buy" else "sell")


def forgotten(scenario: Scenario[State]) -> bool:
    """Nothing is left of any order."""
    account = scenario.state.account("ann")
    return not (account.open_orders or account.live or account.reserved or account.reduce_only or account.exits)


def test_an_approved_order_reserves_its_quantity() -> None:
    assert reserved(given().when(buy("5", "100", stop="90"))) == 5


def test_each_fill_takes_from_the_reservation_what_it_adds_to_the_position() -> None:
    filling = given().when(buy("5", "100", stop="90")).when(bought("1-0", "2"))
    assert reserved(filling) == 3
    assert filling.state.account("ann").position(MARKET) == 2
    filling.when(bought("1-0", "3"))
    assert filling.state.account("ann").position(MARKET) == 5
    assert forgotten(filling)


def test_a_fill_says_how_the_position_changed() -> None:
    holding("-2").when(bought("o", "5")).then(
        event(PositionChanged, order_id="o", quantity="5", price="100", position="3")
    )
    holding("2").when(sold("o", "5")).then(event(PositionChanged, quantity="-5", position="-3"))


@pytest.mark.parametrize("over", OVER)
def test_an_order_that_is_over_gives_back_what_it_still_reserved(over: type[Event]) -> None:
    scenario = given().when(buy("5", "100", stop="90")).when(bought("1-0", "2"))
    scenario.when(over("1-0")).then(ReservationReleased(order_id="1-0", account="ann", quantity=Decimal(3)))
    assert forgotten(scenario)


@pytest.mark.parametrize("over", OVER)
def test_an_order_is_over_once(over: type[Event]) -> None:
    given().when(buy("5", "100", stop="90")).when(over("1-0")).when(over("1-0")).then_nothing()


@pytest.mark.parametrize("over", OVER)
def test_the_end_of_an_order_never_heard_of_is_nothing(over: type[Event]) -> None:
    given().when(over("9-9")).then_nothing()


def test_a_clipped_order_reserves_what_was_approved() -> None:
    assert reserved(holding("5").when(sell("8", "100", reduce_only=True)), "sell") == 5


def test_a_fill_of_an_unknown_order_moves_the_position_all_the_same() -> None:
    given().when(bought("9-9", "2")).then(event(PositionChanged, order_id="9-9", position="2"))


def test_a_position_of_nothing_is_forgotten() -> None:
    assert holding("2").when(sold("o", "2")).state.account("ann").positions == {}


def test_accounts_and_symbols_do_not_mix() -> None:
    mixed = given().when(bought("o", "1"), bought("p", "2", account="bob"), bought("q", "3", symbol="ETH-USDT"))
    assert mixed.state.account("ann").positions == {MARKET: 1, "sim/ETH-USDT": 3}
    assert mixed.state.account("bob").positions == {MARKET: 2}


def test_numbers_with_exponents_add_up() -> None:
    scenario = given().when(buy("1E+2", "100", stop="90")).when(bought("1-0", "0.4E+2"))
    assert reserved(scenario) == 60
    scenario.when(bought("1-0", "60.0"))
    assert forgotten(scenario)


def test_an_open_order_may_be_cancelled() -> None:
    given().when(buy("5", "100", stop="90")).when(cancel("1-0")).then(
        CancelApproved(order_id="1-0", account="ann", reason="requested")
    )


def test_a_cancel_leaves_the_reservation_until_the_venue_says_so() -> None:
    assert reserved(given().when(buy("5", "100", stop="90")).when(cancel("1-0"))) == 5


@pytest.mark.parametrize("order_id", ["1-0", "9-9"])
def test_an_order_that_is_over_or_unknown_cannot_be_cancelled(order_id: str) -> None:
    given().when(buy("5", "100", stop="90")).when(bought("1-0", "5")).when(cancel(order_id)).then(
        CancelRefused(order_id=order_id, account="ann", code="ORDER_IS_OVER", details={})
    )


def test_nobody_cancels_anothers_order() -> None:
    given().when(buy("5", "100", stop="90")).when(cancel("1-0", account="bob")).then(
        event(CancelRefused, account="bob", code="ORDER_IS_OVER")
    )


def test_when_the_position_is_gone_what_could_only_reduce_it_is_cancelled() -> None:
    closing = holding("5").when(sell("2", "105"), sell("3", "106", reduce_only=True))
    closing.when(sold("elsewhere", "5")).then(
        event(PositionChanged, position="0"),
        CancelApproved(order_id="1-0", account="ann", reason="reduce_only"),
        CancelApproved(order_id="2-0", account="ann", reason="reduce_only"),
    )


def test_when_the_position_is_flipped_by_one_fill_the_same_is_cancelled() -> None:
    closing = holding("5").when(sell("2", "105", reduce_only=True), sell("10", "100", stop="110"))
    closing.when(sold("2-0", "10")).then(
        event(PositionChanged, position="-5"),
        event(StopArmed, order_id="2-0", side="buy", quantity="5"),
        CancelApproved(order_id="1-0", account="ann", reason="reduce_only"),
    )


def test_a_reduce_only_order_of_another_symbol_stays() -> None:
    closing = holding("5").when(bought("o", "1", symbol="ETH-USDT"))
    closing.when(sell("5", "105")).when(filled("o", "sell", "1", "ann", "ETH-USDT")).then(
        event(PositionChanged, symbol="ETH-USDT", position="0")
    )


def test_the_kill_switch_cancels_all_that_is_open() -> None:
    given().when(buy("1", "100", stop="90"), sell("1", "101", stop="110")).when(
        EngageKillSwitch(account="ann", reason="drill")
    ).then(
        KillSwitchEngaged(account="ann", reason="drill"),
        CancelApproved(order_id="1-0", account="ann", reason="kill_switch"),
        CancelApproved(order_id="2-0", account="ann", reason="kill_switch"),
    )


def test_the_kill_switch_of_one_account_leaves_the_others_alone() -> None:
    asked = order("buy", "1", "100", stop="90")
    killed = given().when(place(asked, "bob")).when(EngageKillSwitch(account="ann", reason="drill"))
    killed.then(event(KillSwitchEngaged, account="ann"))
    killed.when(place(order("buy", "2", "100", stop="90"), "bob")).then(event(OrderApproved, account="bob"))


def test_engaged_again_the_kill_switch_only_cancels_again() -> None:
    engage = EngageKillSwitch(account="ann", reason="drill")
    given().when(buy("1", "100", stop="90")).when(engage).when(engage).then(
        event(CancelApproved, order_id="1-0", reason="kill_switch")
    )


def test_with_the_kill_switch_reset_orders_are_taken_again() -> None:
    reset = ResetKillSwitch(account="ann", reason="over")
    scenario = given().when(EngageKillSwitch(account="ann", reason="drill"))
    scenario.when(reset).then(KillSwitchReset(account="ann", reason="over"))
    scenario.when(buy("1", "100", stop="90")).then(event(OrderApproved))


def test_a_kill_switch_that_is_not_engaged_cannot_be_reset() -> None:
    given().when(ResetKillSwitch(account="ann", reason="over")).then(event(KillSwitchResetRefused, account="ann"))
