from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot4_common.breaker import CHANGES_KEPT, TRANSITIONS, Breaker, BreakerRules, State
from bot4_common.messages.breakers import BreakerChanged

SECOND = 1_000_000_000
NOON = 1_700_000_000 * SECOND
DWELL = BreakerRules().dwell_ns


def closed(**rules: int) -> Breaker:
    return Breaker("venue", BreakerRules(**rules))


def opened(**rules: int) -> Breaker:
    breaker = closed(**rules)
    recorded(breaker, "x" * 10)
    return breaker


def half_open(**rules: int) -> Breaker:
    breaker = opened(**rules)
    breaker.tick(NOON + DWELL)
    return breaker


def recorded(breaker: Breaker, outcomes: str, at: int = NOON) -> BreakerChanged | None:
    """Outcomes one by one, `.` a success and `x` a failure; the change that the last one made."""
    changes = [breaker.record(outcome == ".", at) for outcome in outcomes]
    return changes[-1]


def probed(breaker: Breaker, outcomes: str, at: int = NOON + DWELL) -> BreakerChanged | None:
    change = None
    for outcome in outcomes:
        assert breaker.allow(at)
        change = breaker.record(outcome == ".", at)
    return change


def change(before: State, after: State, at: int, samples: int, failures: int, changes: int = 1) -> BreakerChanged:
    return BreakerChanged(
        name="venue", before=before, after=after, at=at, samples=samples, failures=failures, changes=changes
    )


def test_it_opens_when_half_of_ten_calls_failed() -> None:
    breaker = closed()
    assert recorded(breaker, ".....xxxx") is None
    assert recorded(breaker, "x") == change("closed", "open", NOON, samples=10, failures=5)
    assert not breaker.allow(NOON)


def test_nine_failures_are_too_few_to_judge() -> None:
    breaker = closed()
    assert recorded(breaker, "xxxxxxxxx") is None
    assert breaker.allow(NOON)


def test_it_stays_closed_just_below_half() -> None:
    breaker = closed()
    assert recorded(breaker, "......xxxxx") is None  # 5 of 11
    assert breaker.state == "closed"


def test_only_the_latest_outcomes_count() -> None:
    breaker = closed(samples_max=10)
    recorded(breaker, "." * 100 + "xxxx")
    assert recorded(breaker, "x") == change("closed", "open", NOON, samples=10, failures=5)


def test_old_outcomes_do_not_count() -> None:
    breaker = closed(sample_age_ns=30 * SECOND)
    recorded(breaker, "xxxxxxxxx")
    assert recorded(breaker, "x", at=NOON + 30 * SECOND) is None
    assert recorded(breaker, "xxxxxxxxx", at=NOON + 30 * SECOND) is not None


def test_an_open_breaker_lets_nothing_through_until_it_has_rested() -> None:
    breaker = opened()
    assert breaker.deadline == NOON + DWELL
    assert breaker.tick(NOON + DWELL - 1) is None
    assert not breaker.allow(NOON + DWELL - 1)
    assert breaker.tick(NOON + DWELL) == change("open", "half_open", NOON + DWELL, samples=0, failures=0, changes=2)


def test_a_half_open_breaker_lets_a_bounded_number_of_probes_through_at_once() -> None:
    breaker = half_open(probes_at_once=2)
    assert [breaker.allow(NOON) for _ in range(3)] == [True, True, False]
    breaker.record(True, NOON)
    assert [breaker.allow(NOON) for _ in range(2)] == [True, False]


def test_a_round_has_no_more_probes_than_it_needs() -> None:
    breaker = half_open(probes=3, probes_at_once=3)
    probed(breaker, "..")
    assert [breaker.allow(NOON) for _ in range(2)] == [True, False]


def test_asking_takes_no_probe() -> None:
    breaker = half_open(probes_at_once=1)
    assert breaker.admits
    assert breaker.admits
    assert breaker.allow(NOON)
    assert not breaker.admits


def test_it_closes_after_ten_probes_of_which_three_failed() -> None:
    breaker = half_open()
    assert probed(breaker, "xxx......") is None
    assert probed(breaker, ".") == change("half_open", "closed", NOON + DWELL, samples=10, failures=3, changes=3)


def test_a_round_that_ends_exactly_at_the_limit_closes_it() -> None:
    breaker = half_open(close_percent=30)
    probed(breaker, "xxx.......")
    assert breaker.state == "closed"


def test_it_opens_again_at_the_fourth_failed_probe() -> None:
    """Four of ten are 40 %: too few to open a closed breaker, too many to close an open one."""
    breaker = half_open()
    assert probed(breaker, ".xxx") is None
    assert probed(breaker, "x") == change("half_open", "open", NOON + DWELL, samples=5, failures=4, changes=3)
    assert breaker.deadline == NOON + 2 * DWELL


def test_a_closed_breaker_has_forgotten_what_opened_it() -> None:
    breaker = half_open()
    probed(breaker, "..........")
    assert recorded(breaker, "xxxxxxxxx", at=NOON + DWELL) is None


def test_a_probe_without_an_outcome_fails_by_timeout() -> None:
    breaker = half_open(close_percent=0, probe_timeout_ns=SECOND)
    begun = NOON + DWELL
    assert breaker.allow(begun)
    assert breaker.deadline == begun + SECOND
    assert breaker.tick(begun + SECOND - 1) is None
    lost = change("half_open", "open", begun + SECOND, samples=1, failures=1, changes=3)
    assert breaker.tick(begun + SECOND) == lost


def test_a_lost_probe_makes_room_for_the_next() -> None:
    breaker = half_open(probes_at_once=1, probe_timeout_ns=SECOND)
    breaker.allow(NOON + DWELL)
    assert not breaker.admits
    breaker.tick(NOON + DWELL + SECOND)
    assert breaker.admits


def test_an_outcome_nobody_waits_for_counts_nothing() -> None:
    for breaker in (opened(), half_open()):
        before = msgspec.to_builtins(breaker)
        assert breaker.record(False, breaker.now) is None
        assert msgspec.to_builtins(breaker) == before


def test_a_success_can_open_it_when_it_completes_the_evidence() -> None:
    assert recorded(closed(), "xxxxxxxxx.") == change("closed", "open", NOON, samples=10, failures=9)


def test_more_than_ten_changes_in_five_minutes_are_flapping() -> None:
    breaker = opened()
    for n in range(1, 6):  # half-open and open again, five times after the first opening
        assert not breaker.flapping(breaker.now)
        breaker.tick(NOON + n * DWELL)
        assert breaker.changes(breaker.now) == 2 * n
        probed(breaker, "xxxx", breaker.now)
    assert breaker.flapping(NOON + 5 * DWELL)
    assert not breaker.flapping(NOON + 300 * SECOND)  # by then the first change is forgotten


def test_a_change_says_whether_it_is_one_too_many() -> None:
    breaker = opened(changes_max=2)
    rested = breaker.tick(NOON + DWELL)
    assert rested is not None and (rested.changes, rested.flapping) == (2, False)
    failed = probed(breaker, "xxxx")
    assert failed is not None and (failed.changes, failed.flapping) == (3, True)


def test_the_flap_count_is_bounded() -> None:
    breaker = opened(dwell_ns=1)
    for at in range(NOON + 1, NOON + 1_000):
        breaker.tick(at)
        if breaker.admits:
            probed(breaker, "xxxx", at)
    assert breaker.changes(NOON + 1_000) == len(breaker.changed) == CHANGES_KEPT


def test_a_breaker_goes_through_json_in_the_middle_of_a_round() -> None:
    breaker = half_open()
    probed(breaker, "xxx")
    loaded = msgspec.json.decode(msgspec.json.encode(breaker), type=Breaker)
    assert loaded == breaker
    assert probed(loaded, "x") == probed(breaker, "x")


def test_two_breakers_share_nothing() -> None:
    recorded(closed(), ".x")
    probed(half_open(), ".x")
    assert closed() == Breaker("venue")
    assert not closed().outcomes


@pytest.mark.parametrize(
    "rules",
    [
        {"close_percent": 50},
        {"open_percent": 101},
        {"close_percent": -1},
        {"samples_min": 0},
        {"samples_min": 101},
        {"probes_at_once": 0},
        {"probes_at_once": 11},
        {"changes_max": -1},
        {"changes_max": CHANGES_KEPT},
        {"dwell_ns": 0},
        {"sample_age_ns": 0},
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        BreakerRules(**rules)


class NaiveBreaker:
    """The same rules, judged anew each time from everything that ever happened since the last change."""

    def __init__(self, rules: BreakerRules) -> None:
        self.rules = rules
        self.state: State = "closed"
        self.now = 0
        self.story: list[BreakerChanged] = []
        self.outcomes: list[tuple[int, bool]] = []
        self.probes: list[int] = []

    def allow(self, now: int) -> bool:
        if self.state == "half_open":
            in_round = len(self.outcomes) + len(self.probes)
            if len(self.probes) >= self.rules.probes_at_once or in_round >= self.rules.probes:
                return False
            self.now = max(self.now, now)
            self.probes.append(self.now)
        return self.state != "open"

    def record(self, ok: bool, now: int) -> BreakerChanged | None:
        self.now = max(self.now, now)
        if self.state == "open" or (self.state == "half_open" and not self.probes):
            return None
        self.probes = self.probes[1:]
        self.outcomes.append((self.now, ok))
        return self.judged()

    def tick(self, now: int) -> BreakerChanged | None:
        self.now = max(self.now, now)
        if self.state == "open" and self.now - self.story[-1].at >= self.rules.dwell_ns:
            return self.become("half_open", [])
        lost = [at for at in self.probes if self.now - at >= self.rules.probe_timeout_ns]
        return next((change for change in (self.record(False, now) for _ in lost) if change), None)

    def judged(self) -> BreakerChanged | None:
        rules = self.rules
        if self.state == "closed":
            latest = self.outcomes[-rules.samples_max :]
            window = [ok for at, ok in latest if self.now - at < rules.sample_age_ns]
            failing = window.count(False) / len(window) >= rules.open_percent / 100
            return self.become("open", window) if len(window) >= rules.samples_min and failing else None
        results = [ok for _, ok in self.outcomes]
        best_end = results.count(False) / rules.probes
        if best_end > rules.close_percent / 100:
            return self.become("open", results)
        return self.become("closed", results) if len(results) == rules.probes else None

    def become(self, after: State, evidence: list[bool]) -> BreakerChanged:
        recent = 1 + sum(self.now - past.at < self.rules.changes_age_ns for past in self.story)
        changed = BreakerChanged(
            name="venue",
            before=self.state,
            after=after,
            at=self.now,
            samples=len(evidence),
            failures=evidence.count(False),
            changes=recent,
            flapping=recent > self.rules.changes_max,
        )
        self.story.append(changed)
        self.state, self.outcomes, self.probes = after, [], []
        return changed


# The percentages of the model are floats; these compare exactly for rounds and windows of at most 20.
PERCENTAGES = [(50, 35), (50, 0), (100, 50), (25, 20)]
STEPS = st.integers(-3, 8)
OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=12)


class BreakerAgainstNaiveBreaker(RuleBasedStateMachine):
    @initialize(
        percentages=st.sampled_from(PERCENTAGES),
        samples=st.sampled_from([(1, 1), (3, 8), (10, 20)]),
        probes=st.sampled_from([(1, 1), (4, 2), (10, 3)]),
        age=st.sampled_from([5, 40, 1_000]),
    )
    def begin(self, percentages: tuple[int, int], samples: tuple[int, int], probes: tuple[int, int], age: int) -> None:
        numbers: dict[str, Any] = dict(
            zip(("open_percent", "close_percent"), percentages, strict=True),
            sample_age_ns=age,
            dwell_ns=20,
            probe_timeout_ns=10,
            changes_age_ns=100,
            changes_max=3,
        )
        numbers |= dict(zip(("samples_min", "samples_max"), samples, strict=True))
        numbers |= dict(zip(("probes", "probes_at_once"), probes, strict=True))
        self.breaker = Breaker("venue", BreakerRules(**numbers))
        self.naive = NaiveBreaker(self.breaker.rules)
        self.now = NOON

    @rule(step=STEPS, outcomes=OUTCOMES)
    def record(self, step: int, outcomes: list[bool]) -> None:
        self.now += step
        for ok in outcomes:
            assert self.breaker.record(ok, self.now) == self.naive.record(ok, self.now)

    @rule(step=STEPS, outcomes=OUTCOMES)
    def call(self, step: int, outcomes: list[bool]) -> None:
        self.now += step
        for ok in outcomes:
            assert self.breaker.allow(self.now) == self.naive.allow(self.now)
            assert self.breaker.record(ok, self.now) == self.naive.record(ok, self.now)

    @rule(step=STEPS, times=st.integers(1, 4))
    def begin_calls(self, step: int, times: int) -> None:
        self.now += step
        for _ in range(times):
            assert self.breaker.admits == self.breaker.allow(self.now) == self.naive.allow(self.now)

    @rule(step=st.integers(-3, 30))
    def tick(self, step: int) -> None:
        self.now += step
        deadline = self.breaker.deadline
        before = msgspec.to_builtins(self.breaker)
        assert self.breaker.tick(self.now) == self.naive.tick(self.now)
        if deadline is None or self.naive.now < deadline:
            assert msgspec.to_builtins(self.breaker) == before | {"now": self.naive.now}

    @rule()
    def reload(self) -> None:
        self.breaker = msgspec.convert(msgspec.to_builtins(self.breaker), Breaker)

    @invariant()
    def is_where_the_naive_breaker_is(self) -> None:
        assert self.breaker.state == self.naive.state
        assert self.breaker.calling == self.naive.probes
        recent = [c for c in self.naive.story if self.naive.now - c.at < 100]
        assert self.breaker.changes(self.naive.now) == len(recent)
        assert self.breaker.flapping(self.naive.now) == (len(recent) > 3)

    @invariant()
    def changes_only_as_the_table_says(self) -> None:
        steps = {(before, after) for (before, _), after in TRANSITIONS.items()}
        assert {(c.before, c.after) for c in self.naive.story} <= steps


TestBreakerAgainstNaiveBreaker = BreakerAgainstNaiveBreaker.TestCase
TestBreakerAgainstNaiveBreaker.settings = settings(
    max_examples=200, stateful_step_count=40, derandomize=True, deadline=None
)
