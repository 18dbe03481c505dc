"""Which figures show what holds trading back? Looked up in the view when they are asked for, so that they tell the
same after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bot4_common.breaker import Breaker
from bot4_common.messages.breakers import BreakerState
from bot4_common.messages.terms import Scope
from bot4_gateway.control_view import ControlView

_STATES: Mapping[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}


class ControlFigures(Collector):
    def __init__(self, service: str, view: ControlView, own: Sequence[Breaker]) -> None:
        """Of our `own` breakers the state is known before the journal tells it."""
        self._service = service
        self._view = view
        self._own = own

    def collect(self) -> Iterator[Metric]:
        view = self._view
        limits = view.limits()
        yield self._gauge("bot4_limits_version", "Version of the limits in force", limits.version if limits else 0)
        yield self._gauge("bot4_gate_enabled", "1 while orders need a signal", int(view.gate.enabled))
        engaged = Counter(switch.scope for switch in view.switches())
        yield self._by_scope("bot4_kill_switches_engaged", "Kill switches engaged", engaged, get_args(Scope))
        halted = Counter(halt.scope for halt in view.halts())
        yield self._by_scope("bot4_halts", "Where losses have reached a limit", halted, ("firm", "account", "strategy"))
        decided = CounterMetricFamily(
            "bot4_gate_decisions", "Orders that the gate has judged", labels=("service", "decision")
        )
        for decision, count in view.decided.items():
            decided.add_metric((self._service, decision), count)
        yield decided
        yield from self._breakers()

    def _breakers(self) -> Iterator[Metric]:
        labels = ("service", "breaker")
        state = GaugeMetricFamily("bot4_breaker_state", "0 closed, 1 half open, 2 open", labels=labels)
        changes = CounterMetricFamily("bot4_breaker_changes", "Changes of a breaker's state", labels=labels)
        flapping = GaugeMetricFamily("bot4_breaker_flapping", "1 when its last change was one too many", labels=labels)
        states = {name: seen.last.after for name, seen in self._view.breakers.items()}
        states |= {breaker.name: breaker.state for breaker in self._own}
        for name, now in states.items():
            state.add_metric((self._service, name), _STATES[now])
        for name, seen in self._view.breakers.items():
            changes.add_metric((self._service, name), seen.changes)
            flapping.add_metric((self._service, name), int(seen.last.flapping))
        yield from (state, changes, flapping)

    def _gauge(self, name: str, meaning: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, meaning, labels=("service",))
        family.add_metric((self._service,), value)
        return family

    def _by_scope(self, name: str, meaning: str, counts: Mapping[Any, int], scopes: Sequence[str]) -> Metric:
        family = GaugeMetricFamily(name, meaning, labels=("service", "scope"))
        for scope in scopes:
            family.add_metric((self._service, scope), counts.get(scope, 0))
        return family
