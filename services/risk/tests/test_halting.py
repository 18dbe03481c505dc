"""What does a kill switch stop, who can let go of it, and who has run away?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from bot4_common.given import MILLISECOND, SECOND, Expected, Scenario, event
from bot4_common.messages.execution import OrderSent
from bot4_common.messages.gateway import EngageKillSwitch, PlaceOrder, ResetKillSwitch
from bot4_common.messages.limits import GuardLimits
from bot4_common.messages.risk import (
    CancelApproved,
    GuardTripped,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    OrderApproved,
    OrderRefused,
    PositionChanged,
    PositionFlattened,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Order, Scope
from bot4_risk.state import State
from services.risk.tests.words import (
    LIMITS,
    bought,
    buy,
    expired,
    given,
    order,
    place,
    quote,
    refused,
    sell,
    sold,
)

SCOPES: tuple[Scope, ...] = ("firm", "account", "strategy", "symbol")


def kill(scope: Scope, flatten: bool = False) -> EngageKillSwitch:
    return EngageKillSwitch(
        account="" if scope in ("firm", "symbol") else "ann",
        reason="drill",
        scope=scope,
        strategy="s" if scope == "strategy" else "",
        symbol="BTC-USDT" if scope == "symbol" else "",
        flatten=flatten,
        by="operator",
    )


def reset(engaged: EngageKillSwitch) -> ResetKillSwitch:
    return ResetKillSwitch(
        account=engaged.account,
        reason="all is well",
        scope=engaged.scope,
        strategy=engaged.strategy,
        symbol=engaged.symbol,
        by="operator",
    )


def other(account: str = "ann", strategy: str = "s", symbol: str = "BTC-USDT") -> PlaceOrder:
    asked = order("buy", "1", "100", stop="90", id="other", symbol=symbol)
    return place(replace(asked, strategy=strategy), account)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_switch_refuses_what_is_new_and_cancels_what_rests(scope: Scope) -> None:
    killed = given().when(buy("1", "100", stop="90")).when(kill(scope))
    killed.then(
        event(KillSwitchEngaged, scope=scope, by="operator"),
        event(CancelApproved, order_id="1-0", reason="kill_switch"),
    )
    killed.when(buy("1", "100", stop="90", id="new")).then(refused("3-0", "KILL_SWITCH", scope=scope, reason="drill"))


@pytest.mark.parametrize(
    ("scope", "untouched"),
    [
        ("account", other(account="bob")),
        ("strategy", other(strategy="another")),
        ("strategy", other(account="bob")),
        ("symbol", other(symbol="ETH-USDT")),
    ],
)
def test_and_nothing_else(scope: Scope, untouched: PlaceOrder) -> None:
    market = given(quote(), quote(symbol="ETH-USDT"))
    market.when(untouched).when(kill(scope)).then(event(KillSwitchEngaged))
    again = replace(untouched, order=replace(untouched.order, client_order_id="again"))
    market.when(again).then(event(OrderApproved))


@pytest.mark.parametrize("scope", SCOPES)
def test_a_reset_lets_orders_through_again(scope: Scope) -> None:
    killed = given().when(kill(scope)).when(reset(kill(scope)))
    killed.then(event(KillSwitchReset, scope=scope, reason="all is well", by="operator"))
    killed.when(buy("1", "100", stop="90")).then(event(OrderApproved))


def test_a_reset_of_one_scope_is_none_of_another() -> None:
    killed = given().when(kill("account"), kill("firm")).when(reset(kill("firm")))
    killed.when(buy("1", "100", stop="90")).then(refused("4-0", "KILL_SWITCH", scope="account"))
    killed.when(reset(kill("symbol"))).then(event(KillSwitchResetRefused, scope="symbol"))


# Flattening


def long(quantity: str = "10") -> Scenario[State]:
    return given().when(buy(quantity, "100", stop="90")).when(bought("1-0", quantity))


def test_flattening_closes_what_is_held_by_a_reduce_only_order() -> None:
    closing = Order(
        client_order_id="flat-1",
        symbol="BTC-USDT",
        side="sell",
        type="market",
        quantity=Decimal(10),
        strategy="s",
        time_in_force="ioc",
        reduce_only=True,
        venue="sim",
    )
    long().when(kill("account", flatten=True)).then(
        event(KillSwitchEngaged, flatten=True),
        event(PositionFlattened, account="ann", strategy="s", quantity="10", exit_id="flat-1"),
        event(OrderApproved, order_id="flat-1", order=closing, opening=False),
    )


def test_what_is_being_closed_keeps_its_stop_until_it_is() -> None:
    half = long().when(kill("account", flatten=True)).when(sold("flat-1", "4"))
    half.then(event(PositionChanged, position="6"), event(StopArmed, order_id="1-0", quantity="6"))
    let_go = half.when(expired("flat-1")).when(reset(kill("account")))
    let_go.when(quote("90", "92")).then(event(StopTriggered, order_id="1-0", quantity="6"), event(OrderApproved))


def test_a_stop_leaves_alone_what_is_being_closed_already() -> None:
    long().when(kill("account", flatten=True)).when(quote("90", "92")).then_nothing()


def test_without_flattening_positions_and_their_stops_stay() -> None:
    killed = long().when(kill("account")).then(event(KillSwitchEngaged))
    assert killed.state.account("ann").stops["1-0"].quantity == 10


def test_a_switch_that_is_engaged_already_can_be_asked_to_flatten_too() -> None:
    asked = long().when(kill("account")).when(kill("account", flatten=True))
    asked.then(event(KillSwitchEngaged, flatten=True), event(PositionFlattened, quantity="10"), event(OrderApproved))
    asked.when(kill("account")).then_nothing()


def test_what_did_not_close_is_closed_with_the_next_quote() -> None:
    half = long().when(kill("account", flatten=True)).when(sold("flat-1", "4")).when(expired("flat-1"))
    half.then(event(ReservationReleased, order_id="flat-1", quantity="6"))
    half.when(quote()).then(event(PositionFlattened, quantity="6", exit_id="flat-2"), event(OrderApproved))
    half.when(quote()).then_nothing()
    flat = half.when(sold("flat-2", "6")).when(quote()).then_nothing()
    assert not flat.state.account("ann").positions


def test_after_a_reset_nothing_more_is_closed() -> None:
    half = long().when(kill("account", flatten=True)).when(sold("flat-1", "4")).when(expired("flat-1"))
    half.when(reset(kill("account"))).when(quote()).then_nothing()


def test_a_strategy_is_flattened_by_its_own_part() -> None:
    both = long("6").when(place(replace(order("buy", "5", "100", stop="90"), strategy="another")))
    both.when(replace(bought("3-0", "5"), strategy="another"))
    both.when(kill("strategy", flatten=True)).then(
        event(KillSwitchEngaged),
        event(PositionFlattened, strategy="s", quantity="6"),
        event(OrderApproved),
    )


def test_a_flattened_position_moves_its_strategy_alone() -> None:
    flat = long().when(kill("firm", flatten=True)).when(sold("flat-1", "10"))
    flat.then(event(PositionChanged, strategy="s", position="0"), event(StopArmed, quantity="0"))
    assert flat.state.ledger.position_of_strategy("ann", "s", "sim", "BTC-USDT") == 0


# Guards

GUARDED = replace(LIMITS, guards=GuardLimits(duplicates_max=2, executions_max=2))


def guarded() -> Scenario[State]:
    return given(limits=GUARDED)


def tripped(guard: str, count: int) -> list[Expected]:
    return [
        event(GuardTripped, account="ann", strategy="s", guard=guard, count=count),
        event(KillSwitchEngaged, scope="strategy", account="ann", strategy="s", cause="guard"),
    ]


def same(id: str) -> PlaceOrder:
    return buy("1", "100", stop="90", id=id)


def test_a_strategy_that_asks_for_the_same_again_and_again_is_stopped() -> None:
    away = guarded().when(same("a"), same("b")).when(same("c"))
    away.then(
        *tripped("duplicates", 3),
        event(CancelApproved, order_id="1-0", reason="kill_switch"),
        event(CancelApproved, order_id="2-0", reason="kill_switch"),
        refused("3-0", "RUNAWAY", count="3", limit="2"),
    )
    away.when(buy("2", "99", stop="90")).then(refused("4-0", "KILL_SWITCH", scope="strategy"))


def test_the_same_in_the_next_window_is_no_runaway() -> None:
    slow = guarded().when(same("a"), same("b")).after(SECOND).when(same("c"))
    slow.then(event(OrderApproved))


def test_a_retry_is_no_duplicate() -> None:
    guarded().when(*[same("a")] * 9).when(same("b")).then(event(OrderApproved))


def test_a_strategy_that_trades_without_end_is_stopped() -> None:
    busy = guarded().when(buy("9", "100", stop="90")).when(bought("1-0", "1"), bought("1-0", "1"))
    busy.after(10 * MILLISECOND).when(bought("1-0", "1")).then(
        *tripped("executions", 3),
        event(CancelApproved, order_id="1-0", reason="kill_switch"),
        event(PositionChanged, position="3"),
        event(StopArmed, quantity="3"),
    )


def test_fills_on_the_other_side_are_not_the_same() -> None:
    busy = guarded().when(buy("2", "100", stop="90")).when(bought("1-0", "1"), bought("1-0", "1"))
    busy.when(sell("2", "100")).when(sold("4-0", "1")).then(event(PositionChanged), event(StopArmed))


def sent(order_id: str, quantity: str, child: int = 1) -> OrderSent:
    return OrderSent(
        order_id=order_id,
        child_id=f"{order_id}.{child}",
        account="ann",
        venue="sim",
        order=order("buy", quantity, "100", stop="90"),
        bid=Decimal(99),
        ask=Decimal(101),
        sent_at=0,
        expires_at=0,
    )


def test_an_order_that_is_sent_as_approved_is_none_either() -> None:
    given().when(buy("5", "100", stop="90")).when(sent("1-0", "5")).then_nothing()


@pytest.mark.parametrize("runaway", [sent("1-0", "6"), sent("1-0", "5", child=2)])
def test_children_beyond_what_was_approved_stop_the_strategy(runaway: OrderSent) -> None:
    given().when(buy("5", "100", stop="90")).when(runaway).then(
        *tripped("children", int(runaway.child_id[-1])),
        event(CancelApproved, order_id="1-0", reason="kill_switch"),
    )


def test_a_guard_trips_once() -> None:
    given().when(buy("5", "100", stop="90")).when(sent("1-0", "6")).when(sent("1-0", "7")).then_nothing()


def test_only_somebody_lets_go_of_what_a_guard_has_stopped() -> None:
    away = given().when(buy("5", "100", stop="90")).when(sent("1-0", "6")).after(60 * SECOND)
    away.quotes = {("sim", "BTC-USDT"): quote(at=away.now)}
    away.when(buy("1", "100", stop="90", id="new")).then(event(OrderRefused, code="KILL_SWITCH"))
    away.when(reset(kill("strategy"))).when(buy("1", "100", stop="90", id="newer")).then(event(OrderApproved))


def test_a_strategys_part_is_closed_once_though_quotes_go_on() -> None:
    apart = given().when(place(replace(order("buy", "5", "100", stop="90", id="t"), strategy="t")))
    apart.when(replace(bought("1-0", "5"), strategy="t"))
    apart.when(sell("9", "100", stop="110", id="s")).when(sold("3-0", "9"))
    apart.when(kill("strategy", flatten=True)).then(
        event(KillSwitchEngaged), event(PositionFlattened, strategy="s", quantity="4"), event(OrderApproved)
    )
    apart.when(quote()).then_nothing()
