"""Have we seen this key before? The first submission of a key within the window wins, in bounded memory.

Three parts work together:

* a counting **Bloom filter** in front: nearly every lookup is for a new key, and ends there;
* a dict of **entries**, which decides;
* a **time wheel** of the keys by expiry: what is over falls off slot by slot, without a search.

All keys live equally long and a lookup never prolongs a life, so order of recording, order of expiry and
least-recently-used order are one: the wheel holds all three, and a full store forgets its oldest key first.

A lookup leaves no trace but its count. Lookups are not in the journal, so if they changed what is kept, a
replayed store would differ from the one that lived. The state is what `put` and `expire` made of it, and
`dump` says exactly that.
"""

from __future__ import annotations

from collections import deque
from sys import intern
from typing import Generic, TypeVar
from zlib import crc32

import msgspec

Key = tuple[str, str]  # account, client order id
V = TypeVar("V")

WINDOW_NS = 60_000_000_000  # callers retry within seconds; a minute later the same id is a new order
CAPACITY = 1_000_000  # a minute of 16,000 orders/s, more than one gateway can take in

WINDOW_TICKS = 64  # the window is cut into slots of about a second
SLOTS = WINDOW_TICKS + 1  # the window may begin and end in the middle of a slot


class Counts(msgspec.Struct):
    """What the metrics show, since this process made or loaded the store. No part of the state."""

    hits: int = 0
    misses: int = 0
    false_positives: int = 0  # misses that the filter let through to the entries
    evicted_by_age: int = 0
    evicted_by_size: int = 0


class Dump(msgspec.Struct, Generic[V], frozen=True):
    """The state as msgspec encodes it: the latest time written, and the keys in the order of recording."""

    now: int
    keys: list[tuple[str, str, int, V]]  # account, client order id, recorded at (ns), value


class Entry(msgspec.Struct, Generic[V], frozen=True, gc=False):
    """Hidden from the cyclic garbage collector, which would visit a million of them: no value refers back here."""

    value: V
    recorded_at: int


class IdempotencyStore(Generic[V]):
    """Times are ns and never run backwards: one before the latest written counts as that latest."""

    def __init__(self, window_ns: int = WINDOW_NS, capacity: int = CAPACITY) -> None:
        if window_ns < 1 or capacity < 1:
            raise ValueError(f"a store needs a window and room, not {window_ns} ns and {capacity} keys")
        self.counts = Counts()
        self._window_ns = window_ns
        self._capacity = capacity
        self._now = 0
        self._filter = CountingBloomFilter(capacity)
        self._entries: dict[Key, Entry[V]] = {}
        # Slot `tick % SLOTS` holds the keys that expire within that tick; none expires before the hand's tick.
        self._tick_ns = -(-window_ns // WINDOW_TICKS)
        self._wheel: list[deque[Key]] = [deque() for _ in range(SLOTS)]
        self._hand = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: int) -> V | None:
        """What was recorded under the key less than a window ago. Changes nothing but the counts."""
        if key not in self._filter:
            self.counts.misses += 1
            return None
        entry = self._entries.get(key)
        if entry is None:
            self.counts.misses += 1
            self.counts.false_positives += 1
            return None
        if entry.recorded_at + self._window_ns <= now:  # over, though held until the next write
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        return entry.value

    def put(self, key: Key, value: V, now: int) -> V | None:
        """Records a new key and returns None. A live key keeps its first value, which is returned."""
        self.expire(now)
        first = self._entries.get(key)
        if first is not None:
            return first.value
        if len(self._entries) == self._capacity:
            self._forget_oldest()
        # Accounts are few, and decoded anew with every message: one text for each is enough.
        key = (intern(key[0]), key[1])
        tick = (self._now + self._window_ns) // self._tick_ns
        if not self._entries:
            self._hand = tick
        self._wheel[tick % SLOTS].append(key)
        self._entries[key] = Entry(value, self._now)
        self._filter.add(key)
        return None

    def expire(self, now: int) -> None:
        """Forgets the keys whose window is over. Every `put` begins with it; a quiet store may never need it."""
        self._now = max(self._now, now)  # the older of equals, so that the keys of one frame share one object
        due = self._now // self._tick_ns
        while self._entries and self._hand < due:
            self._forget_slot()
        slot = self._wheel[due % SLOTS]  # the one that `now` falls into is due in part
        while slot and self._entries[slot[0]].recorded_at + self._window_ns <= self._now:
            self._forget(slot.popleft())
            self.counts.evicted_by_age += 1

    def dump(self) -> Dump[V]:
        keys = [(*key, entry.recorded_at, entry.value) for key, entry in self._entries.items()]
        return Dump(self._now, keys)

    @classmethod
    def load(cls, dump: Dump[V], window_ns: int = WINDOW_NS, capacity: int = CAPACITY) -> IdempotencyStore[V]:
        """A store that goes on as the dumped one would, given the same bounds; tighter ones keep the newest."""
        store = cls(window_ns, capacity)
        for account, client_order_id, recorded_at, value in dump.keys:
            store.put((account, client_order_id), value, recorded_at)
        store.expire(dump.now)
        store.counts = Counts()
        return store

    def _forget_slot(self) -> None:
        slot = self._wheel[self._hand % SLOTS]
        self.counts.evicted_by_age += len(slot)
        while slot:
            self._forget(slot.popleft())
        self._hand += 1

    def _forget_oldest(self) -> None:
        while not self._wheel[self._hand % SLOTS]:
            self._hand += 1
        self._forget(self._wheel[self._hand % SLOTS].popleft())
        self.counts.evicted_by_size += 1

    def _forget(self, key: Key) -> None:
        del self._entries[key]
        self._filter.discard(key)


class CountingBloomFilter:
    """May this key be held? "No" is certain; "yes" is wrong for at most 14 in 1,000 absent keys.

    Each key counts in two places of at least 16 per key, so a full filter is wrong for (1 - e^(-2/16))² of them.
    Because it counts, keys can leave, and what it holds depends on the present keys only. The hash is the same in
    every process, unlike `hash`; a caller who makes keys collide only spoils the shortcut: the entries decide.
    """

    def __init__(self, capacity: int) -> None:
        size = 1 << (16 * capacity - 1).bit_length()
        self._mask = size - 1
        self._counters = bytearray(size)  # one byte each: 16 MiB for a million keys

    def __contains__(self, key: Key) -> bool:
        left, right = self._places(key)
        return self._counters[left] != 0 and self._counters[right] != 0

    def add(self, key: Key) -> None:
        for place in self._places(key):
            if self._counters[place] < 255:
                self._counters[place] += 1

    def discard(self, key: Key) -> None:
        """For a key that was added. A counter that was ever full has lost count, and stays full."""
        for place in self._places(key):
            if self._counters[place] < 255:
                self._counters[place] -= 1

    def _places(self, key: Key) -> tuple[int, int]:
        account, client_order_id = key
        # Fibonacci hashing (Knuth, TAOCP 3, 6.4) spreads the 32 bits over two places.
        spread = crc32(client_order_id.encode(), crc32(account.encode())) * 0x9E3779B97F4A7C15
        return spread >> 24 & self._mask, spread >> 48 & self._mask
