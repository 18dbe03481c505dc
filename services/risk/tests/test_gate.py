"""Did a signal cause the order? And what is said of those that none did."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from bot4_common.given import SECOND, Scenario, event
from bot4_common.messages.gateway import AmendOrder, PlaceList, PlaceOrder, RecordSignal, RegisterStrategy, SetGate
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    GateChanged,
    GateDecided,
    ListRefused,
    OrderApproved,
    SignalAccepted,
    SignalRefused,
    StrategyRegistered,
)
from bot4_common.messages.terms import Order, OrderList, Side
from bot4_risk.gate import Gate
from bot4_risk.state import State
from services.risk.tests.words import given, order, place, quote, refused

ENABLED = SetGate(enabled=True, reason="trading hours", by="operator")
REGISTER = RegisterStrategy(account="ann", strategy="s")


def signal(side: Side = "buy", strategy: str = "s", symbol: str = "BTC-USDT", account: str = "ann") -> RecordSignal:
    return RecordSignal(account=account, strategy=strategy, symbol=symbol, side=side, note="crossed")


def gated() -> Scenario[State]:
    """With strategy `s` registered and its signal `2-0` to buy."""
    return given().when(REGISTER).when(signal()).when(ENABLED)


def wanting(cause: str = "2-0", side: Side = "buy") -> Order:
    stop = "90" if side == "buy" else "110"
    return replace(order(side, "1", "100", stop=stop, id="caused"), signal=cause)


def test_a_strategy_registers_and_records_what_it_saw() -> None:
    given().when(REGISTER).then(StrategyRegistered(account="ann", strategy="s"))
    gated().when(signal("sell")).then(event(SignalAccepted, signal_id="4-0", side="sell"))


def test_what_is_not_registered_has_no_signals() -> None:
    given().when(signal()).then(event(SignalRefused, signal_id="1-0", code="GATE_NOT_REGISTERED"))
    gone = gated().when(replace(REGISTER, registered=False)).when(signal())
    gone.then(event(SignalRefused))


def test_an_order_that_names_its_signal_passes() -> None:
    gated().when(place(wanting())).then(
        event(GateDecided, order_id="4-0", decision="passed", signal="2-0"), event(OrderApproved)
    )


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (place(wanting("")), "GATE_NO_SIGNAL"),
        (place(wanting("9-0")), "GATE_SIGNAL_UNKNOWN"),
        (place(wanting(side="sell")), "GATE_SIGNAL_MISMATCH"),
        (place(replace(wanting(), strategy="mood")), "GATE_NOT_REGISTERED"),
    ],
)
def test_without_a_cause_it_is_refused(asked: PlaceOrder, code: str) -> None:
    gated().when(asked).then(event(GateDecided, decision="refused", reason=code), refused("4-0", code))


def test_a_signal_of_another_account_is_none() -> None:
    market = gated().when(RegisterStrategy(account="bob", strategy="s"))
    market.when(place(wanting(), "bob")).then(
        event(GateDecided, decision="refused"), refused("5-0", "GATE_SIGNAL_UNKNOWN", account="bob")
    )


def test_a_signal_grows_stale() -> None:
    late = gated().after(60 * SECOND)
    late.quotes = {("sim", "BTC-USDT"): quote(at=late.now + 1)}
    late.when(place(wanting())).then(event(GateDecided, decision="passed"), event(OrderApproved))
    again = replace(wanting(), client_order_id="again")
    late.after(1).when(place(again)).then(event(GateDecided), refused("5-0", "GATE_SIGNAL_STALE", age_ns="60000000001"))


def test_with_the_override_key_somebody_takes_responsibility() -> None:
    asked = PlaceOrder(account="ann", order=wanting(""), override="the feed is down, hedging by hand")
    gated().when(asked).then(
        event(GateDecided, decision="overridden", reason="the feed is down, hedging by hand"), event(OrderApproved)
    )


def test_an_override_opens_the_gate_and_nothing_else() -> None:
    asked = PlaceOrder(account="ann", order=order("buy", "1", "100"), override="because")
    gated().when(asked).then(event(GateDecided, decision="overridden"), refused("4-0", "STOP_LOSS_REQUIRED"))


def test_a_disabled_gate_says_nothing() -> None:
    off = gated().when(replace(ENABLED, enabled=False)).then(event(GateChanged, enabled=False, by="operator"))
    off.when(place(wanting(""))).then(event(OrderApproved))


def test_a_list_passes_with_its_first_order() -> None:
    legs = [wanting(""), replace(order("sell", "1", "105", id="exit"), signal="")]
    asked = PlaceList(account="ann", list=OrderList(client_list_id="l", kind="oto", orders=legs))
    gated().when(asked).then(event(GateDecided, decision="refused"), event(ListRefused, code="GATE_NO_SIGNAL"))
    caused = replace(asked.list, orders=[wanting(), legs[1]])
    said = gated().when(replace(asked, list=caused)).said
    assert isinstance(said[0], GateDecided) and said[0].decision == "passed"
    assert [type(each) for each in said[2:]] == [OrderApproved, OrderApproved]


def test_old_signals_are_forgotten() -> None:
    gate = Gate()
    for number in range(10_001):
        gate.accept(
            SignalAccepted(
                signal_id=f"{number}-0", account="ann", strategy="s", symbol="BTC-USDT", side="buy", at=number
            )
        )
    assert len(gate.signals) == 10_000 and "0-0" not in gate.signals


def test_an_amend_that_opens_more_needs_a_signal_that_is_still_fresh() -> None:
    passed = gated().when(place(wanting()))
    passed.when(AmendOrder(account="ann", order_id="4-0", quantity=Decimal(2))).then(
        event(GateDecided, decision="passed"), event(AmendApproved)
    )
    late = gated().when(place(wanting())).after(61 * SECOND)
    late.quotes = {("sim", "BTC-USDT"): quote(at=late.now)}
    late.when(AmendOrder(account="ann", order_id="4-0", quantity=Decimal(2))).then(
        event(GateDecided, decision="refused"), event(AmendRefused, code="GATE_SIGNAL_STALE")
    )


def test_a_child_that_opens_needs_a_signal_of_its_own() -> None:
    more = order("buy", "1", "99", stop="90", id="more")
    asked = OrderList(client_list_id="l", kind="oto", orders=[wanting(), more])
    said = gated().when(PlaceList(account="ann", list=asked)).said
    assert isinstance(said[-1], ListRefused) and said[-1].code == "GATE_NO_SIGNAL"
