"""Which figures does the gateway show? Those of every service, and what callers asked and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from bot4_common.idempotency import Counts
from bot4_common.telemetry import LATENCY_BUCKETS, Meters


class Figures(Meters):
    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.accepted = self.counter("bot4_orders_accepted", "Orders journaled")
        self.duplicates = self.counter("bot4_orders_duplicate", "Orders answered as repeats of an earlier one")
        self._refused = Counter(
            "bot4_requests_refused", "Requests refused", ("service", "code"), registry=self.registry
        )
        self._latency = Histogram(
            "bot4_request_seconds",
            "From the request to its answer",
            ("service", "route", "ack"),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )

    def refused(self, code: str) -> Counter:
        return self._refused.labels(self._service, code)

    def latency(self, route: str, ack: str) -> Histogram:
        """`ack` is how far the caller wanted to wait, empty where nothing is waited for."""
        return self._latency.labels(self._service, route, ack)

    def show(
        self,
        queue: Callable[[], float],
        callers: Callable[[], float],
        keys: Callable[[], float],
        counts: Callable[[], Counts],
    ) -> None:
        """What is known anyway is looked at when the figures are asked for."""
        self._shown("bot4_queue_depth", "Submissions that wait to be journaled", queue)
        self._shown("bot4_callers_waiting", "Callers that wait for an order to get somewhere", callers)
        self._shown("bot4_idempotency_keys", "Client order ids held", keys)
        self.registry.register(_Lookups(self._service, counts))

    def _shown(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        Gauge(name, meaning, ("service",), registry=self.registry).labels(self._service).set_function(value)


class _Lookups(Collector):
    """The idempotency store counts for itself."""

    def __init__(self, service: str, counts: Callable[[], Counts]) -> None:
        self._service = service
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts()
        for name, value in (
            ("hits", counts.hits),
            ("misses", counts.misses),
            ("false_positives", counts.false_positives),
        ):
            family = CounterMetricFamily(
                f"bot4_idempotency_{name}", "Lookups of a client order id", labels=("service",)
            )
            family.add_metric((self._service,), value)
            yield family
        evicted = CounterMetricFamily(
            "bot4_idempotency_evicted", "Client order ids forgotten", labels=("service", "because")
        )
        evicted.add_metric((self._service, "age"), counts.evicted_by_age)
        evicted.add_metric((self._service, "size"), counts.evicted_by_size)
        yield evicted
