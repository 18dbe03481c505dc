"""What held trading back at each moment? Kill switches, limits, the gate and the breakers, as they were told."""

from __future__ import annotations

from bot4_common.messages.breakers import BreakerChanged, BreakerState
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.risk import (
    GateChanged,
    KillSwitchEngaged,
    KillSwitchReset,
    LimitsChanged,
    LimitsRefused,
)
from bot4_common.messages.terms import EventId, Order
from bot4_journal.audit.findings import Findings

# The breaker of all venues together.
FUSE = "fuse"

Switch = tuple[str, ...]  # its scope, and what of it


class ControlRules:
    """Takes what is told of each of them as in force from there on, and finds what cannot follow from before."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.gate_enabled = False
        self._limits = LimitsDocument()
        self._version = 0
        self._engaged: set[Switch] = set()
        self._reset: dict[Switch, EventId] = {}
        self._breakers: dict[tuple[str, str], BreakerState] = {}

    def hear(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        match event:
            case KillSwitchEngaged():
                self._engaged.add(switch_of(event))
            case KillSwitchReset():
                self._engaged.discard(switch_of(event))
                if cause is not None:
                    self._reset[switch_of(event)] = cause
            case GateChanged():
                self.gate_enabled = event.enabled
            case LimitsChanged():
                self._changed(id, event)
            case LimitsRefused():
                if event.version != self._version or event.replaces == self._version:
                    self._findings.add("limits", id, f"{event} while version {self._version} is in force")
            case BreakerChanged():
                self._turned(id, event)

    def killed(self, account: str, order: Order) -> Switch | None:
        """An engaged switch that covers the order."""
        covering: tuple[Switch, ...] = (
            ("firm",),
            ("account", account),
            ("strategy", account, order.strategy),
            ("symbol", order.symbol),
        )
        return next((switch for switch in covering if switch in self._engaged), None)

    def has_engaged(self, id: EventId, asked: EngageKillSwitch) -> bool:
        """Whether the switch that was asked for at `id` is engaged, or was reset since."""
        switch = switch_of(asked)
        return switch in self._engaged or (switch in self._reset and self._reset[switch] > id)

    def scales(self, account: str) -> bool:
        """Whether an order of the account may be made smaller to go with what it holds."""
        return self._limits.accounts.get(account, self._limits.account).correlation_action == "scale"

    def check_breakers(self, id: EventId, venue: str, what: str) -> None:
        """Of what is sent and can open a position."""
        for name in (venue, FUSE):
            if self._breakers.get((id.stream, name)) == "open":
                self._findings.add("breaker", id, f"{what} was sent to {venue}, and the breaker {name} is open")

    def _changed(self, id: EventId, event: LimitsChanged) -> None:
        if event.version != self._version + 1:
            self._findings.add("limits", id, f"version {event.version} follows {self._version}")
        self._version, self._limits = event.version, event.document

    def _turned(self, id: EventId, event: BreakerChanged) -> None:
        before = self._breakers.get((id.stream, event.name), "closed")
        # What the gateway has seen of its own it tells as long as it can be told.
        if event.before != before and id.stream.startswith("EXECUTION"):
            self._findings.add("breaker", id, f"{event.name} is {before}, not {event.before}")
        self._breakers[id.stream, event.name] = event.after


def switch_of(event: EngageKillSwitch | ResetKillSwitch | KillSwitchEngaged | KillSwitchReset) -> Switch:
    named = {
        "firm": (),
        "account": (event.account,),
        "strategy": (event.account, event.strategy),
        "symbol": (event.symbol,),
    }
    return event.scope, *named[event.scope]
