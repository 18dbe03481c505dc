"""May the gateway call what it depends on? The log it appends to, and the cost model that estimates for callers.

While most calls fail, callers are told at once that it is not there, instead of waiting to find out. Changes are
journaled; those of the log itself as soon as it is there again.
"""

from __future__ import annotations

from collections.abc import Callable

from bot4_common.breaker import Breaker, BreakerRules
from bot4_common.errors import Refused
from bot4_common.messages.breakers import BreakerChanged

# What ended is back within two seconds. A longer rest would be all that callers still wait for.
RULES = BreakerRules(dwell_ns=1_000_000_000)


class Dependency:
    """One of them, behind a breaker. `clock` gives ns, `changed` hears of every change."""

    def __init__(
        self, replica: str, name: str, clock: Callable[[], int], changed: Callable[[BreakerChanged], None]
    ) -> None:
        # Every replica has a breaker of its own, and they share the journal.
        self.breaker = Breaker(f"{replica}/{name}", RULES)
        self._name = name
        self._clock = clock
        self._changed = changed

    def resume(self, last: BreakerChanged | None) -> None:
        """Goes on from the last change before this process began, if there was any."""
        if last is not None:
            self.breaker.state, self.breaker.since = last.after, last.at

    def check(self) -> None:
        """Raises `Refused` while it is not to be called."""
        self._tell(self.breaker.tick(self._clock()))
        if not self.breaker.admits:
            raise Refused("UNAVAILABLE", service=self._name, breaker=self.breaker.state)

    def begin(self) -> None:
        """It is called from here on, whatever the breaker says: an append that was begun has to come to an end."""
        now = self._clock()
        self._tell(self.breaker.tick(now))
        self.breaker.allow(now)

    def end(self, ok: bool) -> None:
        """What came of the call."""
        self._tell(self.breaker.record(ok, self._clock()))

    def _tell(self, change: BreakerChanged | None) -> None:
        if change is not None:
            self._changed(change)
