"""Did a strategy's signal cause this order, or a mood? While the gate is enabled, orders without a cause are refused.

A strategy registers, records a signal, and its order names it. Somebody who holds the override key may trade without
one, and gives a reason; whether the key was right is the gateway's to know.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from bot4_common.messages.limits import GateLimits
from bot4_common.messages.risk import SignalAccepted
from bot4_common.messages.terms import Order, Side

# Signals that are remembered: minutes of a busy firm, and older ones are stale anyway.
SIGNALS_KEPT = 10_000


class Signal(msgspec.Struct, frozen=True):
    account: str
    strategy: str
    symbol: str
    side: Side
    at: int


class Verdict(NamedTuple):
    """What the gate says; with a `code` it refuses."""

    decision: Literal["passed", "refused", "overridden"]
    code: str
    details: dict[str, str]


class Gate(msgspec.Struct):
    """`strategies` are the registered ones, as `account/strategy`; `signals` by id, the oldest first."""

    enabled: bool = False
    strategies: dict[str, bool] = {}
    signals: dict[str, Signal] = {}

    def is_registered(self, account: str, strategy: str) -> bool:
        return f"{account}/{strategy}" in self.strategies

    def judge(self, account: str, order: Order, override: str, now: int, limits: GateLimits) -> Verdict:
        refusal = self._refusal(account, order, now, limits)
        if refusal is None:
            return Verdict("passed", "", {})
        if override:
            return Verdict("overridden", "", {})
        return Verdict("refused", *refusal)

    def _refusal(self, account: str, order: Order, now: int, limits: GateLimits) -> tuple[str, dict[str, str]] | None:
        if not self.is_registered(account, order.strategy):
            return "GATE_NOT_REGISTERED", {"strategy": order.strategy}
        if not order.signal:
            return "GATE_NO_SIGNAL", {"strategy": order.strategy}
        signal = self.signals.get(order.signal)
        if signal is None or signal.account != account:
            return "GATE_SIGNAL_UNKNOWN", {"signal": order.signal}
        meant = {"strategy": signal.strategy, "symbol": signal.symbol, "side": signal.side}
        if meant != {"strategy": order.strategy, "symbol": order.symbol, "side": order.side}:
            return "GATE_SIGNAL_MISMATCH", {"signal": order.signal, **meant}
        if now - signal.at > limits.signal_age_max_ns:
            return "GATE_SIGNAL_STALE", {"age_ns": str(now - signal.at), "limit": str(limits.signal_age_max_ns)}
        return None

    # Only `evolve` calls what follows.

    def register(self, account: str, strategy: str, registered: bool) -> None:
        if registered:
            self.strategies[f"{account}/{strategy}"] = True
        else:
            self.strategies.pop(f"{account}/{strategy}", None)

    def accept(self, event: SignalAccepted) -> None:
        self.signals[event.signal_id] = Signal(event.account, event.strategy, event.symbol, event.side, event.at)
        if len(self.signals) > SIGNALS_KEPT:
            del self.signals[next(iter(self.signals))]
