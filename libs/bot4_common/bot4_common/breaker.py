"""May I call this dependency now? Not while most calls to it fail; then a few probes ask whether it is well again.

Closed, every call goes through and its outcome counts. At `open_percent` failures the breaker opens: no calls, for
`dwell_ns`. Half-open, a round of `probes` calls goes through, a few at a time; the breaker closes at `close_percent`
failures or fewer, and opens again as soon as the round can no longer end so. The gap between the two percentages is
the hysteresis: a dependency must be clearly better than what condemned it.

The breaker has no clock. It is told the time (ns) and has rested only when `tick` says so; `record` and `tick`
return the change they made, if any, for the caller to record as an event.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bot4_common.messages.breakers import BreakerChanged, BreakerState

State = BreakerState
Finding = Literal["failing", "rested", "recovered"]

# Everything that can happen. A pair that is not here cannot occur.
TRANSITIONS: dict[tuple[State, Finding], State] = {
    ("closed", "failing"): "open",
    ("open", "rested"): "half_open",
    ("half_open", "failing"): "open",
    ("half_open", "recovered"): "closed",
}

CHANGES_KEPT = 256  # the flap count stops here, far above any `changes_max` that somebody would still call steady


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True):
    open_percent: int = 50
    close_percent: int = 35
    samples_min: int = 10  # fewer outcomes are an anecdote
    # What counts while closed: at most the last hundred outcomes, and none older than half a minute.
    samples_max: int = 100
    sample_age_ns: int = 30_000_000_000
    # Longer than a call may take, so that the calls of before are over when the probes begin.
    dwell_ns: int = 5_000_000_000
    probes: int = 10  # closing takes as much evidence as opening
    probes_at_once: int = 2  # enough to finish a round quickly, too few to hurt a dependency that is getting up
    probe_timeout_ns: int = 5_000_000_000  # a probe without an outcome has failed
    # More changes than this within five minutes is flapping.
    changes_max: int = 10
    changes_age_ns: int = 300_000_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.close_percent < self.open_percent <= 100:
            raise ValueError(f"{self.close_percent} % to close is not below {self.open_percent} % to open")
        if not 1 <= self.samples_min <= self.samples_max:
            raise ValueError(f"{self.samples_min} samples never fit into {self.samples_max}")
        if not 1 <= self.probes_at_once <= self.probes:
            raise ValueError(f"{self.probes_at_once} probes at once do not fit a round of {self.probes}")
        if not 0 <= self.changes_max < CHANGES_KEPT:
            raise ValueError(f"flapping is between 0 and {CHANGES_KEPT} changes, not {self.changes_max}")
        if min(self.sample_age_ns, self.dwell_ns, self.probe_timeout_ns, self.changes_age_ns) < 1:
            raise ValueError("every duration of a breaker is at least 1 ns")


class Breaker(msgspec.Struct):
    """All of it is data, so it can be encoded as it stands, alone or within a larger state.

    Times never run backwards: one before the latest it was told counts as that latest.
    """

    name: str
    rules: BreakerRules = msgspec.field(default_factory=BreakerRules)
    state: State = "closed"
    since: int = 0
    now: int = 0
    outcomes: list[tuple[int, bool]] = []  # when, and whether well: the window while closed, then the round
    failures: int = 0  # among the outcomes
    calling: list[int] = []  # when each probe began that has no outcome yet
    changed: list[int] = []  # when the latest changes were

    @property
    def admits(self) -> bool:
        """What `allow` would say, asked without taking a probe."""
        if self.state != "half_open":
            return self.state == "closed"
        begun = len(self.outcomes) + len(self.calling)
        return len(self.calling) < self.rules.probes_at_once and begun < self.rules.probes

    def allow(self, now: int) -> bool:
        """Whether to call. A half-open yes is a probe: its outcome must be recorded, or it fails by timeout."""
        if not self.admits:
            return False
        if self.state == "half_open":
            self.now = max(self.now, now)
            self.calling.append(self.now)
        return True

    def record(self, ok: bool, now: int) -> BreakerChanged | None:
        """What came of a call that was allowed. While open, or without a probe to answer, it is too late to count."""
        self.now = max(self.now, now)
        if self.state == "closed":
            self._add(ok)
            self._forget_old()
            return self._change("failing") if self._failing() else None
        if self.state == "half_open" and self.calling:
            self.calling.pop(0)
            self._add(ok)
            return self._end_of_round()
        return None

    def tick(self, now: int) -> BreakerChanged | None:
        """What time alone brings, due at the `deadline`: an open breaker has rested, or a probe was lost."""
        self.now = max(self.now, now)
        if self.state == "open" and self.since + self.rules.dwell_ns <= self.now:
            return self._change("rested")
        while self.calling and self.calling[0] + self.rules.probe_timeout_ns <= self.now:
            self.calling.pop(0)
            self._add(False)
            if change := self._end_of_round():
                return change
        return None

    @property
    def deadline(self) -> int | None:
        """When (ns) the next `tick` has something to do, if at all."""
        if self.state == "open":
            return self.since + self.rules.dwell_ns
        return self.calling[0] + self.rules.probe_timeout_ns if self.calling else None

    def changes(self, now: int) -> int:
        """How often the state changed within the last `changes_age_ns`."""
        return sum(at + self.rules.changes_age_ns > now for at in self.changed)

    def flapping(self, now: int) -> bool:
        return self.changes(now) > self.rules.changes_max

    def _add(self, ok: bool) -> None:
        self.outcomes.append((self.now, ok))
        self.failures += not ok

    def _forget_old(self) -> None:
        oldest = self.now - self.rules.sample_age_ns
        while len(self.outcomes) > self.rules.samples_max or self.outcomes[0][0] <= oldest:
            _, ok = self.outcomes.pop(0)
            self.failures -= not ok

    def _failing(self) -> bool:
        samples = len(self.outcomes)
        return samples >= self.rules.samples_min and self.failures * 100 >= samples * self.rules.open_percent

    def _end_of_round(self) -> BreakerChanged | None:
        if self.failures * 100 > self.rules.probes * self.rules.close_percent:
            return self._change("failing")
        return self._change("recovered") if len(self.outcomes) == self.rules.probes else None

    def _change(self, finding: Finding) -> BreakerChanged:
        self.changed = [*self.changed, self.now][-CHANGES_KEPT:]
        change = BreakerChanged(
            name=self.name,
            before=self.state,
            after=TRANSITIONS[self.state, finding],
            at=self.now,
            samples=len(self.outcomes),
            failures=self.failures,
            changes=self.changes(self.now),
            flapping=self.flapping(self.now),
        )
        self.state, self.since = change.after, self.now
        self.outcomes, self.failures, self.calling = [], 0, []
        return change
