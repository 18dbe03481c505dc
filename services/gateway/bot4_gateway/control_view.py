"""What holds trading back just now? The fold of kill switches, limits, halts, the gate, breakers and statistics.

All of it is small: it comes back whole from a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from bot4_common.messages import breakers, cost, gateway, risk
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import EventId, Scope

# Older versions of the limits, and older decisions of the gate, are in the journal.
LIMITS_KEPT = 50
DECISIONS_KEPT = 1_000

GateSaid = Literal["passed", "refused", "overridden"]
# What a kill switch stops: scope, account, strategy, symbol, empty where the scope needs no such name.
Where = tuple[Scope, str, str, str]


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """`since` (ns) is when it was last engaged or reset, 0 for never."""

    scope: Scope = "account"
    account: str = ""
    strategy: str = ""
    symbol: str = ""
    engaged: bool = False
    reason: str = ""
    since: int = 0
    flatten: bool = False
    by: str = ""
    cause: Literal["request", "guard"] = "request"


class LimitsVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and the frame from which on they hold, as `RISK_0:17`."""

    version: int
    document: LimitsDocument
    reason: str
    source: str
    at: int
    effective_at: str


class GateState(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    reason: str = ""
    by: str = ""
    since: int = 0


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    strategy: str
    since: int


class GateDecision(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is where the event stands."""

    id: str
    at: int
    event: risk.GateDecided


class BreakerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Its last change, and how often it has ever changed."""

    last: breakers.BreakerChanged
    changes: int


class ControlImage(msgspec.Struct, frozen=True, kw_only=True):
    """The view as it stands in a snapshot."""

    switches: list[KillSwitch]
    limits: list[LimitsVersion]
    halts: list[risk.HaltChanged]
    gate: GateState
    strategies: list[Registration]
    decisions: list[GateDecision]
    decided: dict[GateSaid, int]
    breakers: list[BreakerSeen]
    statistics: cost.StatisticsPublished | None


def where(
    of: KillSwitch
    | gateway.EngageKillSwitch
    | gateway.ResetKillSwitch
    | risk.KillSwitchEngaged
    | risk.KillSwitchReset
    | risk.KillSwitchResetRefused,
) -> Where:
    match of.scope:
        case "firm":
            return "firm", "", "", ""
        case "account":
            return "account", of.account, "", ""
        case "strategy":
            return "strategy", of.account, of.strategy, ""
        case "symbol":
            return "symbol", "", "", of.symbol


class ControlView:
    """The state of the fold. `decided` counts what the gate has ever said."""

    def __init__(self) -> None:
        self.gate = GateState()
        self.decisions: deque[GateDecision] = deque(maxlen=DECISIONS_KEPT)
        self.decided: dict[GateSaid, int] = {"passed": 0, "refused": 0, "overridden": 0}
        self.breakers: dict[str, BreakerSeen] = {}
        self.statistics: cost.StatisticsPublished | None = None
        self._switches: dict[Where, KillSwitch] = {}
        self._limits: deque[LimitsVersion] = deque(maxlen=LIMITS_KEPT)
        self._halts: dict[tuple[str, str, str], risk.HaltChanged] = {}
        self._strategies: dict[tuple[str, str], Registration] = {}

    # What callers ask

    def switch(self, place: Where) -> KillSwitch:
        scope, account, strategy, symbol = place
        return self._switches.get(place) or KillSwitch(scope=scope, account=account, strategy=strategy, symbol=symbol)

    def switches(self) -> list[KillSwitch]:
        """The engaged ones, in the order in which they were first engaged."""
        return [switch for switch in self._switches.values() if switch.engaged]

    def strategies_switched(self, account: str) -> int:
        """How many of an account's strategies ever had a kill switch."""
        return sum(switch.scope == "strategy" and switch.account == account for switch in self._switches.values())

    def limits(self, version: int | None = None) -> LimitsVersion | None:
        """Those in force, or a version that is remembered."""
        if version is None:
            return self._limits[-1] if self._limits else None
        return next((each for each in self._limits if each.version == version), None)

    def halts(self) -> list[risk.HaltChanged]:
        """Those that hold."""
        return list(self._halts.values())

    def registration(self, account: str, strategy: str) -> Registration | None:
        return self._strategies.get((account, strategy))

    def strategies(self) -> Iterator[Registration]:
        return iter(self._strategies.values())

    def last_change(self, breaker: str) -> breakers.BreakerChanged | None:
        seen = self.breakers.get(breaker)
        return None if seen is None else seen.last

    # The fold

    def fold(self, id: EventId, event: AnyEvent, at: int) -> None:
        """Takes in one event, decided at `at` (ns)."""
        take = _TAKEN.get(type(event))
        if take is not None:
            take(self, id, event, at)

    def _engaged(self, id: EventId, event: risk.KillSwitchEngaged, at: int) -> None:
        place = where(event)
        scope, account, strategy, symbol = place
        self._switches[place] = KillSwitch(
            scope=scope,
            account=account,
            strategy=strategy,
            symbol=symbol,
            engaged=True,
            reason=event.reason,
            since=at,
            flatten=event.flatten,
            by=event.by,
            cause=event.cause,
        )

    def _reset(self, id: EventId, event: risk.KillSwitchReset, at: int) -> None:
        place = where(event)
        scope, account, strategy, symbol = place
        self._switches[place] = KillSwitch(
            scope=scope,
            account=account,
            strategy=strategy,
            symbol=symbol,
            reason=event.reason,
            since=at,
            by=event.by,
        )

    def _limited(self, id: EventId, event: risk.LimitsChanged, at: int) -> None:
        self._limits.append(
            LimitsVersion(
                version=event.version,
                document=event.document,
                reason=event.reason,
                source=event.source,
                at=event.at,
                effective_at=f"{id.stream}:{id.sequence}",
            )
        )

    def _halted(self, id: EventId, event: risk.HaltChanged, at: int) -> None:
        key = event.scope, event.name, event.rule
        self._halts.pop(key, None)
        if event.halted:
            self._halts[key] = event

    def _gated(self, id: EventId, event: risk.GateChanged, at: int) -> None:
        self.gate = GateState(enabled=event.enabled, reason=event.reason, by=event.by, since=at)

    def _registered(self, id: EventId, event: risk.StrategyRegistered, at: int) -> None:
        key = event.account, event.strategy
        if not event.registered:
            self._strategies.pop(key, None)
        elif key not in self._strategies:
            self._strategies[key] = Registration(account=event.account, strategy=event.strategy, since=at)

    def _gate_decided(self, id: EventId, event: risk.GateDecided, at: int) -> None:
        self.decisions.append(GateDecision(id=str(id), at=at, event=event))
        self.decided[event.decision] += 1

    def _breaker_changed(self, id: EventId, event: breakers.BreakerChanged, at: int) -> None:
        before = self.breakers.get(event.name)
        self.breakers[event.name] = BreakerSeen(last=event, changes=(before.changes if before else 0) + 1)

    def _published(self, id: EventId, event: cost.StatisticsPublished, at: int) -> None:
        self.statistics = event

    # Snapshots

    def image(self) -> ControlImage:
        return ControlImage(
            switches=list(self._switches.values()),
            limits=list(self._limits),
            halts=self.halts(),
            gate=self.gate,
            strategies=list(self._strategies.values()),
            decisions=list(self.decisions),
            decided=dict(self.decided),
            breakers=list(self.breakers.values()),
            statistics=self.statistics,
        )

    def restore(self, image: ControlImage) -> None:
        self.gate = image.gate
        self.decisions.extend(image.decisions)
        self.decided.update(image.decided)
        self.breakers = {seen.last.name: seen for seen in image.breakers}
        self.statistics = image.statistics
        self._switches = {where(switch): switch for switch in image.switches}
        self._limits.extend(image.limits)
        self._halts = {(halt.scope, halt.name, halt.rule): halt for halt in image.halts}
        self._strategies = {(each.account, each.strategy): each for each in image.strategies}


_Take = Callable[[ControlView, EventId, Any, int], None]

_TAKEN: dict[type, _Take] = {
    risk.KillSwitchEngaged: ControlView._engaged,
    risk.KillSwitchReset: ControlView._reset,
    risk.LimitsChanged: ControlView._limited,
    risk.HaltChanged: ControlView._halted,
    risk.GateChanged: ControlView._gated,
    risk.StrategyRegistered: ControlView._registered,
    risk.GateDecided: ControlView._gate_decided,
    breakers.BreakerChanged: ControlView._breaker_changed,
    cost.StatisticsPublished: ControlView._published,
}
