"""Does a command that holds trading back get journaled, and its caller told what risk made of it?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.memory_log import Faults, MemoryLog
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.estimate import SUBJECT, Estimate, EstimateRequest
from bot4_common.messages.frame import encode
from bot4_common.messages.gateway import (
    EngageKillSwitch,
    PlaceOrder,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.limits import AccountLimits, LimitsDocument, SymbolLimits
from bot4_common.messages.risk import (
    EquityRebased,
    GateChanged,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    LimitsChanged,
    LimitsRefused,
    SignalAccepted,
    SignalRefused,
    StrategyRegistered,
)
from bot4_gateway.dependencies import RULES
from bot4_gateway.desk import Desk
from services.gateway.tests.street import ANN, BOB, BTC, Street, buy, passing, simulated

OLGA = "olga"
KILL = EngageKillSwitch(account=ANN, reason="enough")
CALM = ResetKillSwitch(account=ANN, reason="calm")
LESS = LimitsDocument(account=AccountLimits(gross_percent=Decimal(5)))


async def refusal(request: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await request
    return caught.value


async def begun(request: Any) -> asyncio.Task[Any]:
    """The request is under way, and all that it can do by itself is done."""
    task: asyncio.Task[Any] = asyncio.ensure_future(request)
    await passing(0.1)
    return task


# Kill switches


def test_a_kill_switch_is_engaged_and_reset() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        killing = await begun(controls.engage(KILL))
        assert not killing.done()
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="enough"), of="1-0")
        switch, settled = await killing
        assert (switch.engaged, switch.reason, settled) == (True, "enough", True)
        resetting = await begun(controls.reset(CALM))
        assert not resetting.done()
        await street.risk.says(KillSwitchReset(account=ANN, reason="calm"), of="2-0")
        switch, settled = await resetting
        assert (switch.engaged, switch.reason, settled) == (False, "calm", True)
        assert street.asked() == [KILL, CALM]

    simulated(story)


def test_a_switch_that_shall_flatten_as_well_is_not_done_before_it_does() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="enough"))
        await passing(0.1)
        assert (await controls.engage(KILL))[1]
        killing = await begun(controls.engage(EngageKillSwitch(account=ANN, reason="out", flatten=True)))
        assert not killing.done()
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="out", flatten=True), of="2-0")
        switch, settled = await killing
        assert (switch.flatten, settled) == (True, True)

    simulated(story)


def test_news_of_another_switch_is_not_taken_for_this_one() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        command = EngageKillSwitch(account=ANN, reason="enough", scope="strategy", strategy="trend")
        killing = await begun(controls.engage(command))
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="other", scope="strategy", strategy="range"))
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="other"))
        await passing(0.1)
        assert not killing.done()
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="it", scope="strategy", strategy="trend"))
        switch, settled = await killing
        assert (switch.strategy, switch.reason, settled) == ("trend", "it", True)

    simulated(story)


def test_a_kill_switch_that_risk_does_not_hear_is_not_said_to_be_engaged() -> None:
    async def story(street: Street) -> None:
        switch, settled = await (await street.desk()).controls.engage(KILL)
        assert (switch.engaged, settled) == (False, False)

    simulated(story)


def test_a_reset_that_risk_refuses_is_refused() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        await street.risk.says(KillSwitchEngaged(account=ANN, reason="enough"))
        await passing(0.1)
        resetting = await begun(controls.reset(CALM))
        await street.risk.says(KillSwitchResetRefused(account=ANN), of="1-0")
        refused = await refusal(resetting)
        assert (refused.code, refused.details) == ("KILL_SWITCH_NOT_ENGAGED", {"scope": "account", "account": ANN})

    simulated(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"reason": "nul\0"}, "reason"),
        ({"scope": "firm"}, "account"),
        ({"strategy": "trend"}, "strategy"),
        ({"scope": "strategy"}, "strategy"),
        ({"scope": "symbol", "account": ""}, "symbol"),
        ({"scope": "symbol", "symbol": BTC}, "account"),
        ({"account": ""}, "account"),
    ],
)
def test_a_kill_switch_names_what_its_scope_needs_and_a_reason(fields: dict[str, Any], field: str) -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        given = {"account": ANN, "reason": "enough", **fields}
        for asked in (controls.engage(EngageKillSwitch(**given)), controls.reset(ResetKillSwitch(**given))):
            refused = await refusal(asked)
            assert (refused.code, refused.details["field"]) == ("BAD_FIELD", field)
        assert street.asked() == []

    simulated(story)


def test_what_is_not_engaged_cannot_be_reset_and_what_is_not_traded_not_stopped() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        assert (await refusal(controls.reset(CALM))).code == "KILL_SWITCH_NOT_ENGAGED"
        command = EngageKillSwitch(account="", reason="enough", scope="symbol", symbol="DOGE")
        assert (await refusal(controls.engage(command))).code == "UNKNOWN_SYMBOL"
        assert street.asked() == []

    simulated(story)


def test_the_strategies_of_an_account_with_a_switch_or_registered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        await street.risk.says(
            KillSwitchEngaged(account=ANN, reason="enough", scope="strategy", strategy="trend"),
            StrategyRegistered(account=ANN, strategy="trend"),
        )
        await passing(0.1)
        for request in (
            controls.engage(EngageKillSwitch(account=ANN, reason="x", scope="strategy", strategy="range")),
            controls.register(RegisterStrategy(account=ANN, strategy="range")),
        ):
            assert (await refusal(request)).details["field"] == "strategy"
        assert await controls.register(RegisterStrategy(account=ANN, strategy="trend"))

    monkeypatch.setattr("bot4_gateway.controls.STRATEGIES_MAX", 1)
    simulated(story)


# Limits


def test_limits_are_set_when_risk_says_so() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        setting = await begun(controls.set_limits(SetLimits(document=LESS, reason="less", by=OLGA)))
        other = LimitsChanged(version=1, document=LimitsDocument(), reason="start", source="file", at=1)
        await street.risk.says(other)
        await passing(0.1)
        assert not setting.done()
        told = LimitsChanged(version=2, document=LESS, reason="less", source=OLGA, at=street.clock())
        await street.risk.says(told, of="1-0")
        limits, settled = await setting
        assert (limits.version, limits.document, limits.effective_at, settled) == (2, LESS, "RISK_0:2", True)

    simulated(story)


def test_limits_that_were_to_replace_others_are_refused() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        setting = await begun(controls.set_limits(SetLimits(document=LESS, reason="less", by=OLGA, replaces=1)))
        await street.risk.says(LimitsRefused(version=3, replaces=1, code="LIMITS_VERSION"), of="1-0")
        refused = await refusal(setting)
        assert (refused.code, refused.details) == ("LIMITS_VERSION", {"version": "3", "replaces": "1"})

    simulated(story)


def test_limits_that_risk_does_not_confirm_are_not_said_to_hold() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        assert await controls.set_limits(SetLimits(document=LESS, reason="less", by=OLGA)) == (None, False)

    simulated(story)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (LimitsDocument(account=AccountLimits(net_percent=Decimal(0))), "account.net_percent"),
        (LimitsDocument(symbols={"DOGE": SymbolLimits()}), "symbols.DOGE"),
    ],
)
def test_limits_that_cannot_be_right_are_not_journaled(document: LimitsDocument, field: str) -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        refused = await refusal(controls.set_limits(SetLimits(document=document, reason="less", by=OLGA)))
        assert (refused.code, refused.details["field"]) == ("BAD_LIMITS", field)
        assert street.asked() == []

    simulated(story)


# The gate, strategies and signals


def test_the_gate_is_turned_on_and_stays_so() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        setting = await begun(controls.set_gate(SetGate(enabled=True, reason="why", by=OLGA)))
        assert not setting.done()
        await street.risk.says(GateChanged(enabled=True, reason="why", by=OLGA), of="1-0")
        gate, settled = await setting
        assert (gate.enabled, gate.by, settled) == (True, OLGA, True)
        gate, settled = await controls.set_gate(SetGate(enabled=True, reason="again", by=OLGA))
        assert (gate.reason, settled) == ("why", True)

    simulated(story)


def test_a_strategy_is_registered_once_and_removed() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        command = RegisterStrategy(account=ANN, strategy="trend")
        registering = await begun(controls.register(command))
        await street.risk.says(StrategyRegistered(account=ANN, strategy="trend"), of="1-0")
        assert await registering
        assert await controls.register(command)
        removing = await begun(controls.register(RegisterStrategy(account=ANN, strategy="trend", registered=False)))
        await street.risk.says(StrategyRegistered(account=ANN, strategy="trend", registered=False), of="2-0")
        assert await removing
        assert len(street.asked()) == 2

    simulated(story)


def signal(**fields: Any) -> RecordSignal:
    return RecordSignal(**{"account": ANN, "strategy": "trend", "symbol": BTC, "side": "buy", **fields})


def accepted(signal_id: str) -> SignalAccepted:
    return SignalAccepted(signal_id=signal_id, account=ANN, strategy="trend", symbol=BTC, side="buy", at=1)


@pytest.mark.parametrize("seed", range(10))
def test_each_signal_gets_the_answer_to_it(seed: int) -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        signals = [asyncio.ensure_future(controls.signal(signal(note=str(n)))) for n in range(3)]
        while len(street.asked()) < 3:
            await passing(0.001)
        ids = [f"{n}-{m}" for n, frame in enumerate(street.frames(), 1) for m in range(len(frame.decisions))]
        refused = SignalRefused(
            signal_id=ids[1], account=ANN, strategy="trend", code="GATE_NOT_REGISTERED", details={"strategy": "trend"}
        )
        await street.risk.says(refused, of=ids[1])
        await street.risk.says(accepted(ids[2]), of=ids[2])
        outcomes = await asyncio.gather(*signals, return_exceptions=True)
        assert outcomes[0] == (ids[0], False)
        assert isinstance(outcomes[1], Refused) and outcomes[1].code == "GATE_NOT_REGISTERED"
        assert outcomes[2] == (ids[2], True)

    simulated(story, seed, append_ack_lost=0.5, delay=0.005)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"symbol": "DOGE"}, "UNKNOWN_SYMBOL"),
        ({"strategy": "no spaces"}, "BAD_FIELD"),
        ({"note": "x" * 201}, "BAD_FIELD"),
        ({"note": "nul\0"}, "BAD_FIELD"),
    ],
)
def test_a_bad_signal_leaves_no_trace(fields: dict[str, Any], code: str) -> None:
    async def story(street: Street) -> None:
        assert (await refusal((await street.desk()).controls.signal(signal(**fields)))).code == code
        assert street.asked() == []

    simulated(story)


def test_equity_is_rebased_when_risk_says_so() -> None:
    async def story(street: Street) -> None:
        controls = (await street.desk()).controls
        command = RebaseEquity(account=ANN, reason="new month", by=OLGA)
        rebasing = await begun(controls.rebase(command))
        await street.risk.says(EquityRebased(account=BOB, reason="other", by=OLGA, at=1), of="9-0")
        await passing(0.1)
        assert not rebasing.done()
        await street.risk.says(EquityRebased(account=ANN, reason="new month", by=OLGA, at=1), of="1-0")
        assert await rebasing
        assert not await controls.rebase(command)

    simulated(story)


def test_who_waits_when_the_desk_fails_is_told_how_things_stand() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        killing = await begun(desk.controls.engage(KILL))
        began = street.clock()
        desk.controls.fail()
        assert (await killing)[1] is False
        assert street.clock() == began

    simulated(story)


# What the gateway depends on


async def ask(desk: Desk) -> Any:
    return await desk.estimate(EstimateRequest(symbol=BTC, side="buy", quantity=Decimal(1)))


async def estimated(_: bytes) -> bytes:
    figures = dict.fromkeys(("bid", "ask", "spread", "fee", "total", "total_bps"), Decimal(1))
    return encode(Estimate(symbol=BTC, side="buy", quantity=Decimal(1), type="market", venue="sim", **figures))


def changes(street: Street) -> list[tuple[str, str]]:
    return [(event.name, event.after) for event in street.asked() if isinstance(event, BreakerChanged)]


def test_a_cost_model_that_is_away_is_soon_not_asked_any_more() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        for _ in range(RULES.samples_min):
            assert (await refusal(ask(desk))).code == "UNAVAILABLE"
        listener = await MemoryLog(street.broker).answer(SUBJECT, estimated)
        assert (await refusal(ask(desk))).details["breaker"] == "open"
        await passing(RULES.dwell_ns / 1e9)
        for _ in range(RULES.probes):
            await ask(desk)
        await passing(0.1)
        name = "gateway-0/cost-model"
        assert changes(street) == [(name, "open"), (name, "half_open"), (name, "closed")]
        assert desk.view.controls.breakers[name].changes == 3
        await listener.stop()

    simulated(story)


def test_while_the_log_takes_nothing_orders_are_refused_at_once_and_a_kill_switch_waits() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        street.broker.faults = Faults(append_lost=1.0, delay=0.001)
        placing = await begun(desk.place(ANN, buy("a")))
        await passing(0.9)
        began = street.clock()
        assert (await refusal(desk.place(ANN, buy("b")))).details["service"] == "log"
        assert street.clock() == began
        killing = await begun(desk.controls.engage(KILL))
        street.broker.faults = Faults()
        await asyncio.gather(placing, killing)
        assert (await desk.place(ANN, buy("c"), "journaled")).settled
        await passing(0.1)
        assert [type(event) for event in street.asked() if not isinstance(event, BreakerChanged)] == [
            PlaceOrder,
            EngageKillSwitch,
            PlaceOrder,
        ]
        assert changes(street)[0] == ("gateway-0/log", "open")

    simulated(story)


def test_a_long_outage_leaves_a_bounded_number_of_changes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        street.broker.faults = Faults(append_lost=1.0, delay=0.001)
        await refusal(desk.place(ANN, buy("a")))
        await passing(60)
        street.broker.faults = Faults()
        await passing(1)
        assert len(changes(street)) <= 6

    monkeypatch.setattr("bot4_gateway.writing.CHANGES_MAX", 4)
    simulated(story)


def test_a_new_process_knows_what_was_away() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        for _ in range(RULES.samples_min):
            await refusal(ask(desk))
        await passing(0.1)
        street.kill(desk)
        desk = await street.desk()
        assert desk.dependencies[1].breaker.state == "open"
        assert len(street.frames(streams.GATEWAY)) == 1

    simulated(story)
