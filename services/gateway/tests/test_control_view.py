"""Does the view of what holds trading back tell what the streams said?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from bot4_common import streams
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.limits import LimitsDocument, OrderLimits
from bot4_common.messages.risk import (
    GateChanged,
    GateDecided,
    HaltChanged,
    KillSwitchEngaged,
    KillSwitchReset,
    LimitsChanged,
    StrategyRegistered,
)
from bot4_common.messages.terms import EventId, Scope
from bot4_gateway.control_view import DECISIONS_KEPT, LIMITS_KEPT, ControlImage, ControlView


def view(*events: AnyEvent, of: ControlView | None = None) -> ControlView:
    """What is known after these events, the n-th of which is decided at n."""
    seen = of or ControlView()
    for number, event in enumerate(events, 1):
        seen.fold(EventId(streams.RISK, number, 0), event, number)
    return seen


def engaged(scope: Scope, **fields: Any) -> KillSwitchEngaged:
    return KillSwitchEngaged(**{"account": "", "reason": "enough", "scope": scope, **fields})


def limited(version: int, notional_max: int = 1) -> LimitsChanged:
    document = LimitsDocument(order=OrderLimits(notional_max=Decimal(notional_max)))
    return LimitsChanged(version=version, document=document, reason="why", source="olga", at=5)


def halted(value: bool, name: str = "ann") -> HaltChanged:
    return HaltChanged(
        scope="account",
        name=name,
        rule="drawdown",
        halted=value,
        value=Decimal("15.5"),
        limit=Decimal(15),
        base=Decimal(100),
        at=7,
    )


def changed(name: str, after: Any) -> BreakerChanged:
    return BreakerChanged(name=name, before="closed", after=after, at=3, samples=10, failures=6)


def decided(order_id: str, decision: Any) -> GateDecided:
    return GateDecided(order_id=order_id, account="ann", strategy="trend", decision=decision)


def test_each_scope_has_switches_of_its_own() -> None:
    seen = view(
        engaged("firm"),
        engaged("account", account="ann"),
        engaged("strategy", account="ann", strategy="trend"),
        engaged("symbol", symbol="BTC-USDT", flatten=True, by="olga"),
    )
    assert [switch.scope for switch in seen.switches()] == ["firm", "account", "strategy", "symbol"]
    assert seen.switch(("symbol", "", "", "BTC-USDT")).flatten
    assert not seen.switch(("strategy", "bob", "trend", "")).engaged
    view(KillSwitchReset(account="", reason="calm", scope="firm", by="olga"), of=seen)
    firm = seen.switch(("firm", "", "", ""))
    assert (firm.engaged, firm.reason, firm.by) == (False, "calm", "olga")
    assert len(seen.switches()) == 3


def test_who_engaged_a_switch_for_everybody_does_not_make_it_another_one() -> None:
    seen = view(engaged("symbol", symbol="BTC-USDT", account="ann"), engaged("symbol", symbol="BTC-USDT"))
    assert len(seen.switches()) == 1


def test_limits_tell_from_which_frame_on_they_hold() -> None:
    seen = view(limited(1), limited(2, 9))
    current = seen.limits()
    assert current is not None
    assert (current.version, current.effective_at) == (2, "RISK_0:2")
    assert current.document.order.notional_max == Decimal(9)
    assert seen.limits(1) is not None and seen.limits(3) is None


def test_the_last_versions_of_the_limits_are_remembered() -> None:
    seen = view(*(limited(n) for n in range(1, LIMITS_KEPT + 2)))
    assert seen.limits(1) is None
    assert seen.limits(2) is not None


def test_a_halt_holds_until_it_ends() -> None:
    seen = view(halted(True), halted(True, "bob"))
    assert [halt.name for halt in seen.halts()] == ["ann", "bob"]
    view(halted(False), of=seen)
    assert [halt.name for halt in seen.halts()] == ["bob"]


def test_strategies_come_and_go() -> None:
    seen = view(StrategyRegistered(account="ann", strategy="trend"))
    known = seen.registration("ann", "trend")
    assert known is not None and known.since == 1
    view(StrategyRegistered(account="ann", strategy="trend", registered=False), of=seen)
    assert list(seen.strategies()) == []


def test_the_gate_counts_for_ever_and_remembers_the_latest() -> None:
    seen = view(*(decided(f"{n}-0", "passed") for n in range(DECISIONS_KEPT)), decided("x", "overridden"))
    assert seen.decided == {"passed": DECISIONS_KEPT, "refused": 0, "overridden": 1}
    assert len(seen.decisions) == DECISIONS_KEPT
    assert seen.decisions[-1].event.order_id == "x"
    assert seen.decisions[-1].id == f"RISK_0:{DECISIONS_KEPT + 1}:0"


def test_a_breaker_stands_as_it_last_changed() -> None:
    seen = view(changed("a", "open"), changed("a", "half_open"), changed("b", "open"))
    assert {name: (each.last.after, each.changes) for name, each in seen.breakers.items()} == {
        "a": ("half_open", 2),
        "b": ("open", 1),
    }


def test_it_comes_back_from_a_snapshot() -> None:
    seen = view(
        engaged("firm"),
        limited(1),
        halted(True),
        GateChanged(enabled=True, reason="why", by="olga"),
        StrategyRegistered(account="ann", strategy="trend"),
        decided("1-0", "refused"),
        changed("a", "open"),
    )
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(seen.image()), type=ControlImage)
    again = ControlView()
    again.restore(image)
    assert again.image() == seen.image()
    for each in (seen, again):
        view(limited(2), decided("2-0", "refused"), changed("a", "closed"), halted(False), of=each)
    assert again.image() == seen.image()
    assert again.gate.enabled and again.decided["refused"] == 2
