"""What does a caller read of all that holds trading back? Numbers are text, times are in ns since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from bot4_common.breaker import Breaker
from bot4_common.limits import written
from bot4_common.messages.breakers import BreakerChanged, BreakerState
from bot4_common.messages.cost import StatisticsPublished, SymbolStatistics
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.risk import HaltChanged
from bot4_common.messages.terms import Scope, Side
from bot4_common.money import plain
from bot4_gateway.answers import Number, Time
from bot4_gateway.control_view import (
    BreakerSeen,
    ControlView,
    GateDecision,
    GateSaid,
    GateState,
    KillSwitch,
    LimitsVersion,
    Registration,
)

NEVER_CHANGED = BreakerChanged(name="", before="closed", after="closed", at=0, samples=0, failures=0, changes=0)


class KillSwitchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`since` is when it was last engaged or reset. `by` is who asked, `cause` whether a guard did."""

    scope: Scope
    account: str
    strategy: str
    symbol: str
    engaged: bool
    reason: str
    since: Time
    flatten: bool
    by: str
    cause: Literal["request", "guard"]


class KillSwitchesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own switch, an account's or, for an operator, the firm's; and all engaged ones that concern it."""

    account: str
    engaged: bool
    reason: str
    since: Time
    switches: list[KillSwitchAnswer]


class LimitsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`effective_at` is the frame from which on they hold, as `RISK_0:17`; version 0 are those that come with bot4.
    An account is shown what concerns it."""

    version: int
    effective_at: str
    at: Time
    source: str
    reason: str
    document: LimitsDocument


class GateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """While it is enabled, orders that no recorded signal caused are refused."""

    enabled: bool
    reason: str
    by: str
    since: Time


class GateDecisionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`signal` is what caused the order, `reason` why it was refused or overridden."""

    decision_id: str
    at: Time
    order_id: str
    account: str
    strategy: str
    decision: GateSaid
    signal: str
    reason: str


class GateDecisionsAnswer(msgspec.Struct, frozen=True):
    """The newest first."""

    decisions: list[GateDecisionAnswer]


class StrategyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    strategy: str
    registered: bool
    since: Time


class StrategiesAnswer(msgspec.Struct, frozen=True):
    strategies: list[StrategyAnswer]


class SignalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`signal_id` is what an order names. It is `accepted` once risk has said so."""

    signal_id: str
    account: str
    strategy: str
    symbol: str
    side: Side
    accepted: bool


class BreakerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is a venue's, `fuse` that of all venues, or a replica's with what it calls behind it. `samples` and
    `failures` led to the last change; `changes` is how often it ever changed, `changes_lately` within minutes."""

    name: str
    state: BreakerState
    since: Time
    samples: int
    failures: int
    changes: int
    changes_lately: int
    flapping: bool


class BreakersAnswer(msgspec.Struct, frozen=True):
    breakers: list[BreakerAnswer]


class HaltAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is the account, or `account/strategy`, or empty for the firm. `value` and `limit` are percentages of
    `base`, which is in quote currency."""

    scope: Literal["firm", "account", "strategy"]
    name: str
    rule: Literal["drawdown", "daily_loss"]
    value: Number
    limit: Number
    base: Number
    since: Time


class HaltsAnswer(msgspec.Struct, frozen=True):
    """Where losses have reached a limit, so that only what reduces is taken."""

    halts: list[HaltAnswer]


class RebaseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Drawdown and the day's loss are counted anew; `account` is empty for all of them."""

    account: str
    reason: str
    rebased: bool


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the markets' returns were like; version 0 is nothing yet. `correlations` is square, in the order of
    `symbols`."""

    version: int
    sampled_to: Time
    interval_ns: int
    at: Time
    symbols: list[SymbolStatistics]
    correlations: list[list[Number]]


def kill_switch_answer(switch: KillSwitch) -> KillSwitchAnswer:
    return msgspec.convert(switch, KillSwitchAnswer, from_attributes=True)


def kill_switches_answer(account: str | None, view: ControlView) -> KillSwitchesAnswer:
    """`account` is none for an operator."""
    own = view.switch(("firm", "", "", "") if account is None else ("account", account, "", ""))
    seen = [switch for switch in view.switches() if account in (None, switch.account) or not switch.account]
    return KillSwitchesAnswer(
        account=account or "",
        engaged=own.engaged,
        reason=own.reason,
        since=own.since,
        switches=[kill_switch_answer(switch) for switch in seen],
    )


def limits_answer(limits: LimitsVersion, account: str | None) -> bytes:
    """A `LimitsAnswer` as JSON, with every figure of the document, also where it is the default."""
    fields: dict[str, Any] = {
        "version": limits.version,
        "effective_at": limits.effective_at,
        "at": limits.at,
        "source": limits.source,
        "reason": limits.reason,
        "document": written(_concerning(account, limits.document)),
    }
    return msgspec.json.encode(fields)


def _concerning(account: str | None, document: LimitsDocument) -> LimitsDocument:
    if account is None:
        return document
    return msgspec.structs.replace(
        document,
        accounts={name: part for name, part in document.accounts.items() if name == account},
        strategies={name: part for name, part in document.strategies.items() if name.startswith(f"{account}/")},
    )


def gate_answer(gate: GateState) -> GateAnswer:
    return msgspec.convert(gate, GateAnswer, from_attributes=True)


def decision_answer(decision: GateDecision) -> GateDecisionAnswer:
    event = decision.event
    return GateDecisionAnswer(
        decision_id=decision.id,
        at=decision.at,
        order_id=event.order_id,
        account=event.account,
        strategy=event.strategy,
        decision=event.decision,
        signal=event.signal,
        reason=event.reason,
    )


def strategy_answer(known: Registration) -> StrategyAnswer:
    return StrategyAnswer(account=known.account, strategy=known.strategy, registered=True, since=known.since)


def breakers_answer(view: ControlView, venues: Sequence[str], own: Sequence[Breaker]) -> BreakersAnswer:
    """Those over `venues` are closed until they change; what is journaled of our `own` may be late."""
    current = {breaker.name: breaker for breaker in own}
    names = dict.fromkeys([*venues, *view.breakers, *current])
    return BreakersAnswer([_breaker_answer(name, view.breakers.get(name), current.get(name)) for name in names])


def _breaker_answer(name: str, seen: BreakerSeen | None, own: Breaker | None) -> BreakerAnswer:
    last = NEVER_CHANGED if seen is None else seen.last
    return BreakerAnswer(
        name=name,
        state=last.after if own is None else own.state,
        since=last.at if own is None else own.since,
        samples=last.samples,
        failures=last.failures,
        changes=0 if seen is None else seen.changes,
        changes_lately=last.changes,
        flapping=last.flapping,
    )


def halt_answer(halt: HaltChanged) -> HaltAnswer:
    return HaltAnswer(
        scope=halt.scope,
        name=halt.name,
        rule=halt.rule,
        value=plain(halt.value),
        limit=plain(halt.limit),
        base=plain(halt.base),
        since=halt.at,
    )


def statistics_answer(published: StatisticsPublished | None) -> StatisticsAnswer:
    if published is None:
        return StatisticsAnswer(version=0, sampled_to=0, interval_ns=0, at=0, symbols=[], correlations=[])
    return StatisticsAnswer(
        version=published.version,
        sampled_to=published.sampled_to,
        interval_ns=published.interval_ns,
        at=published.at,
        symbols=published.symbols,
        correlations=[[plain(value) for value in row] for row in published.correlations],
    )
