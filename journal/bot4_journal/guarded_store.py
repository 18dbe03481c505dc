"""May the database be called just now? Not while most calls fail: then it is left alone, and a few probes ask for it.

A call that is not made is `Unavailable`, like one that was not answered: the cursor is looked up again before the next
batch, so nothing is lost, repeated or put out of order by it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge

from bot4_common.breaker import Breaker
from bot4_common.messages.breakers import BreakerChanged, BreakerState
from bot4_common.telemetry import Meters
from bot4_journal.projections import Changes
from bot4_journal.store import Cursor, Moved, Store, Unavailable

logger = logging.getLogger(__name__)

NAME = "database"
# What the metric of the state says: how much is held back.
STATES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}


class GuardedStore:
    """`store` behind a breaker. `clock` in ns."""

    def __init__(self, store: Store, clock: Callable[[], int], meters: Meters) -> None:
        self._store = store
        self._clock = clock
        self.breaker = Breaker(NAME)
        self._figures = _Figures(meters)

    async def prepare(self) -> None:
        async with self._guarded():
            await self._store.prepare()

    async def cursor(self) -> Cursor:
        async with self._guarded():
            return await self._store.cursor()

    async def apply(self, changes: Changes, before: Cursor, after: Cursor) -> None:
        async with self._guarded():
            await self._store.apply(changes, before, after)

    async def reset(self) -> None:
        async with self._guarded():
            await self._store.reset()

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        now = self._clock()
        self._tell(self.breaker.tick(now))
        self._figures.flapping.set(self.breaker.flapping(now))
        if not self.breaker.allow(now):
            self._figures.turned_away.inc()
            raise Unavailable(f"its breaker is {self.breaker.state}")
        try:
            yield
        except Unavailable:
            self._record(False)
            raise
        except Moved:
            self._record(True)  # it was there to say so
            raise
        self._record(True)

    def _record(self, ok: bool) -> None:
        self._tell(self.breaker.record(ok, self._clock()))

    def _tell(self, change: BreakerChanged | None) -> None:
        if change is None:
            return
        self._figures.state.set(STATES[change.after])
        self._figures.changes.inc()
        self._figures.flapping.set(change.flapping)
        logger.warning(
            "the breaker of the %s is %s: %d of %d calls failed, change %d lately%s",
            change.name,
            change.after,
            change.failures,
            change.samples,
            change.changes,
            ": it is flapping" if change.flapping else "",
        )


class _Figures:
    """The same that the gateway has of the breakers it knows."""

    def __init__(self, meters: Meters) -> None:
        labels, values = ("service", "breaker"), ("journal", NAME)
        state = Gauge("bot4_breaker_state", "0 closed, 1 half open, 2 open", labels, registry=meters.registry)
        changes = Counter("bot4_breaker_changes", "Changes of a breaker's state", labels, registry=meters.registry)
        flapping = Gauge(
            "bot4_breaker_flapping", "1 when its last change was one too many", labels, registry=meters.registry
        )
        self.state = state.labels(*values)
        self.changes = changes.labels(*values)
        self.flapping = flapping.labels(*values)
        self.turned_away = meters.counter("bot4_database_calls_not_made", "Calls not made because of the breaker")
