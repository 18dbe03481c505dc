from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot4_common.idempotency import CountingBloomFilter, Dump, IdempotencyStore, Key

SECOND = 1_000_000_000
NOON = 1_700_000_000 * SECOND
KEY = ("alice", "o1")


def store(window_s: int = 60, capacity: int = 1_000) -> IdempotencyStore[str]:
    return IdempotencyStore(window_s * SECOND, capacity)


def recorded(*ids: str, capacity: int) -> IdempotencyStore[str]:
    seen = store(capacity=capacity)
    for client_order_id in ids:
        seen.put(("alice", client_order_id), f"order {client_order_id}", NOON)
    return seen


def held(seen: IdempotencyStore[str]) -> list[str]:
    return [client_order_id for _, client_order_id, _, _ in seen.dump().keys]


def test_an_unseen_key_is_unknown() -> None:
    assert store().get(KEY, NOON) is None


def test_the_first_value_of_a_key_wins() -> None:
    seen = store()
    assert seen.put(KEY, "first", NOON) is None
    assert seen.put(KEY, "second", NOON + SECOND) == "first"
    assert seen.get(KEY, NOON + SECOND) == "first"


def test_two_accounts_may_use_the_same_client_order_id() -> None:
    seen = store()
    seen.put(("alice", "o1"), "hers", NOON)
    assert seen.put(("bob", "o1"), "his", NOON) is None
    assert seen.get(("alice", "o1"), NOON) == "hers"


def test_account_and_client_order_id_do_not_run_into_each_other() -> None:
    seen = store()
    seen.put(("ab", "c"), "one", NOON)
    assert seen.get(("a", "bc"), NOON) is None


def test_a_key_lives_to_the_last_nanosecond_of_its_window() -> None:
    seen = store(window_s=60)
    seen.put(KEY, "first", NOON)
    assert seen.get(KEY, NOON + 60 * SECOND - 1) == "first"
    assert seen.get(KEY, NOON + 60 * SECOND) is None


def test_a_repeat_does_not_prolong_the_window() -> None:
    seen = store(window_s=60)
    seen.put(KEY, "first", NOON)
    seen.put(KEY, "second", NOON + 59 * SECOND)
    assert seen.put(KEY, "third", NOON + 60 * SECOND) is None
    assert seen.get(KEY, NOON + 60 * SECOND) == "third"


def test_a_lookup_changes_nothing_that_is_dumped() -> None:
    seen = recorded("o1", "o2", capacity=2)
    before = seen.dump()
    seen.get(("alice", "o1"), NOON + SECOND)
    seen.get(("alice", "o1"), NOON + 3_600 * SECOND)
    assert seen.dump() == before


def test_a_full_store_forgets_the_key_recorded_first_even_if_it_was_looked_up_last() -> None:
    seen = recorded("o1", "o2", capacity=2)
    seen.get(("alice", "o1"), NOON)
    seen.put(("alice", "o3"), "order o3", NOON)
    assert held(seen) == ["o2", "o3"]


def test_time_that_runs_backwards_counts_as_the_latest_time_written() -> None:
    seen = store(window_s=60)
    seen.put(("alice", "o1"), "first", NOON)
    seen.put(("alice", "o2"), "second", NOON - 30 * SECOND)
    assert seen.get(("alice", "o2"), NOON + 59 * SECOND) == "second"


def test_expired_keys_leave_without_being_asked_for() -> None:
    seen = recorded("o1", "o2", capacity=10)
    seen.put(("alice", "o3"), "order o3", NOON + SECOND)
    seen.expire(NOON + 60 * SECOND)
    assert held(seen) == ["o3"]


def test_a_key_recorded_as_another_is_about_to_expire_outlives_it_by_a_window() -> None:
    """The two lie as far apart on the wheel as live keys can, and must not share a slot."""
    seen = store(window_s=60)
    seen.put(("alice", "o1"), "first", NOON + SECOND // 2)
    seen.put(("alice", "o2"), "second", NOON + SECOND // 2 + 60 * SECOND - 1)
    seen.expire(NOON + 90 * SECOND)
    assert held(seen) == ["o2"]


def test_the_counts_tell_hits_misses_and_both_ways_of_leaving() -> None:
    seen = recorded("o1", "o2", "o3", capacity=2)
    seen.get(("alice", "o3"), NOON)
    seen.get(("alice", "o1"), NOON)
    seen.expire(NOON + 60 * SECOND)
    counts = seen.counts
    assert (counts.hits, counts.misses, counts.evicted_by_size, counts.evicted_by_age) == (1, 1, 1, 2)


def test_a_store_goes_through_json_and_goes_on_the_same() -> None:
    seen = recorded("o1", "o2", capacity=2)
    data = msgspec.json.encode(seen.dump())
    loaded = IdempotencyStore.load(msgspec.json.decode(data, type=Dump[str]), 60 * SECOND, 2)
    for each in (seen, loaded):
        each.put(("alice", "o3"), "order o3", NOON - SECOND)
    assert msgspec.json.encode(loaded.dump()) == msgspec.json.encode(seen.dump())


def test_a_smaller_store_loads_the_newest_keys() -> None:
    assert held(IdempotencyStore.load(recorded("o1", "o2", "o3", capacity=3).dump(), capacity=2)) == ["o2", "o3"]


@pytest.mark.parametrize(("window_ns", "capacity"), [(0, 1), (1, 0)])
def test_a_store_without_window_or_room_is_refused(window_ns: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="needs a window and room"):
        IdempotencyStore[str](window_ns, capacity)


def test_a_full_filter_lets_fewer_than_two_in_a_hundred_unseen_keys_through() -> None:
    seen = IdempotencyStore[str](capacity=2**14)  # a power of two: not one counter more than 16 per key
    for n in range(2**14):
        seen.put((f"account-{n % 7}", f"momentum-{n:08d}"), "order", NOON)
    for n in range(20_000):
        seen.get((f"account-{n % 7}", f"reversion-{n:08d}"), NOON)
    assert 0 < seen.counts.false_positives < 400


def test_a_key_that_left_leaves_the_filter_too() -> None:
    seen = IdempotencyStore[str](60 * SECOND, capacity=2**10)
    for n in range(20 * 2**10):
        seen.put(("alice", str(n)), "order", NOON)
    seen.expire(NOON + 60 * SECOND)
    for n in range(20 * 2**10):
        seen.get(("alice", str(n)), NOON + 60 * SECOND)
    assert seen.counts.false_positives == 0


def test_a_crowded_counter_never_hides_a_key_that_is_still_there() -> None:
    crowded = CountingBloomFilter(1)  # 16 counters up to 255; ten thousand keys fill them all
    keys = [("alice", str(n)) for n in range(10_000)]
    for key in keys:
        crowded.add(key)
    for key in keys[:-1]:
        crowded.discard(key)
    assert keys[-1] in crowded


def test_every_process_hashes_alike() -> None:
    """Numbers written down: the builtin `hash` would give others in every run."""
    assert CountingBloomFilter(1_000)._places(KEY) == (2041, 6141)


class NaiveStore:
    """The same promise, kept by looking at everything every time."""

    def __init__(self, window_ns: int, capacity: int) -> None:
        self.window_ns, self.capacity = window_ns, capacity
        self.now = 0
        self.keys: list[tuple[Key, int, str]] = []
        self.evicted_by_age = self.evicted_by_size = 0

    def get(self, key: Key, now: int) -> str | None:
        live = (value for k, at, value in self.keys if k == key and at + self.window_ns > now)
        return next(live, None)

    def put(self, key: Key, value: str, now: int) -> str | None:
        self.expire(now)
        first = self.get(key, self.now)
        if first is None:
            self.keys.append((key, self.now, value))
        if len(self.keys) > self.capacity:
            del self.keys[0]
            self.evicted_by_size += 1
        return first

    def expire(self, now: int) -> None:
        self.now = max(self.now, now)
        live = [entry for entry in self.keys if entry[1] + self.window_ns > self.now]
        self.evicted_by_age += len(self.keys) - len(live)
        self.keys = live


KEYS = st.tuples(st.sampled_from(["alice", "bob", "é"]), st.text("0123", max_size=2))
# Small steps, steps of about a window of 1,000, jumps over many, and steps back.
STEPS = st.one_of(st.integers(0, 20), st.integers(-50, 1_200), st.just(100_000))


class StoreAgainstNaiveStore(RuleBasedStateMachine):
    @initialize(window_ns=st.sampled_from([1, 7, 64, 65, 999, 1_000]), capacity=st.sampled_from([1, 2, 5, 50]))
    def begin(self, window_ns: int, capacity: int) -> None:
        self.window_ns, self.capacity = window_ns, capacity
        self.store = IdempotencyStore[str](window_ns, capacity)
        self.naive = NaiveStore(window_ns, capacity)
        self.now = NOON
        self.value = 0

    @rule(key=KEYS, step=STEPS)
    def put(self, key: Key, step: int) -> None:
        self.now += step
        self.value += 1
        assert self.store.put(key, str(self.value), self.now) == self.naive.put(key, str(self.value), self.now)

    @rule(key=KEYS, ahead=STEPS)
    def get(self, key: Key, ahead: int) -> None:
        before = self.store.counts.hits + self.store.counts.misses
        assert self.store.get(key, self.now + ahead) == self.naive.get(key, self.now + ahead)
        assert self.store.counts.hits + self.store.counts.misses == before + 1

    @rule(step=STEPS)
    def expire(self, step: int) -> None:
        self.now += step
        self.store.expire(self.now)
        self.naive.expire(self.now)

    @rule()
    def reload(self) -> None:
        self.store = IdempotencyStore.load(self.store.dump(), self.window_ns, self.capacity)
        self.naive.evicted_by_age = self.naive.evicted_by_size = 0

    @invariant()
    def holds_what_the_naive_store_holds(self) -> None:
        keys = [(*key, at, value) for key, at, value in self.naive.keys]
        assert self.store.dump() == Dump(self.naive.now, keys)
        assert len(self.store) == len(keys)
        counts = self.store.counts
        assert counts.evicted_by_age == self.naive.evicted_by_age
        assert counts.evicted_by_size == self.naive.evicted_by_size


TestStoreAgainstNaiveStore = StoreAgainstNaiveStore.TestCase
TestStoreAgainstNaiveStore.settings = settings(
    max_examples=200, stateful_step_count=50, derandomize=True, deadline=None
)
