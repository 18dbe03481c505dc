"""Has this been asked before? The submissions of the last window by the ids that callers gave them, as the gateway's
stream tells. Orders and lists share one space of ids, and an order that replaces another has its own like any.

A snapshot does not carry them: there may be a million. It carries from where the stream has to be read again to know
them as before. For that it also names the repeats among them, which are rare: a caller's second submission is stored
only when it reaches another replica before that one has seen the first.
"""

from __future__ import annotations

from collections import deque

import msgspec

from bot4_common.idempotency import CAPACITY, WINDOW_NS, WINDOW_TICKS, Counts, IdempotencyStore, Key
from bot4_common.messages.frame import Frame
from bot4_common.messages.gateway import PlaceList, PlaceOrder, ReplaceOrder
from bot4_common.orders import fingerprint, list_fingerprint, order_id_of

# What a caller gives an id of its own.
Keyed = PlaceOrder | PlaceList | ReplaceOrder
KEYED = (PlaceOrder, PlaceList, ReplaceOrder)


def key_of(command: Keyed) -> Key:
    if isinstance(command, PlaceList):
        return command.account, command.list.client_list_id
    return command.account, command.order.client_order_id


def asked_by(command: Keyed) -> str:
    """The fingerprint that tells a repeat from another body under the same id: that of what shall be traded."""
    return list_fingerprint(command.list) if isinstance(command, PlaceList) else fingerprint(command.order)


def orders_in(command: Keyed) -> int:
    return len(command.list.orders) if isinstance(command, PlaceList) else 1


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Who has an id, the order or the list, and what was asked under it."""

    order_id: str
    fingerprint: str


class Mark(msgspec.Struct, frozen=True):
    """When the frame at `sequence` came, the latest decision before it was that of `now` (ns)."""

    sequence: int
    now: int


class AskedImage(msgspec.Struct, frozen=True):
    """From which mark on to read again, and which submissions are repeats. No mark: nothing was asked yet."""

    mark: Mark | None
    repeats: list[str]


class Asked:
    """Folds the frames of the gateway's stream. Time is that of the frames, so every reader finds the same."""

    def __init__(self, window_ns: int = WINDOW_NS, capacity: int = CAPACITY) -> None:
        self._window_ns = window_ns
        self._store: IdempotencyStore[Placed] = IdempotencyStore(window_ns, capacity)
        self._now = 0
        # At most one per tick of the window, so few more than `WINDOW_TICKS`.
        self._marks: deque[Mark] = deque()
        # Repeats by order id: the sequence of their frame, and the first. Bounded by what replicas store in a window.
        self._repeats: dict[str, tuple[int, Placed | None]] = {}
        self._known_repeats: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._store)

    @property
    def counts(self) -> Counts:
        return self._store.counts

    def first(self, key: Key, now: int) -> Placed | None:
        return self._store.get(key, now)

    def repeated(self, order_id: str) -> Placed | None:
        """The submission that this one of the last window only repeats, or claims the id of."""
        return self._repeats.get(order_id, (0, None))[1]

    def take(self, sequence: int, frame: Frame) -> None:
        at = frame.decided_at
        if not self._marks or self._marks[-1].now + self._window_ns // WINDOW_TICKS <= max(at, self._now):
            self._marks.append(Mark(sequence, self._now))
        self._now = max(at, self._now)
        self._store.expire(self._now)
        index = 0
        for decision in frame.decisions:
            for event in decision.events:
                if isinstance(event, KEYED):
                    self._place(sequence, index, event)
                index += 1
        self._forget()

    def _place(self, sequence: int, index: int, event: Keyed) -> None:
        order_id = order_id_of(sequence, index)
        if order_id in self._known_repeats:
            self._repeats[order_id] = sequence, None
            return
        first = self._store.put(key_of(event), Placed(order_id, asked_by(event)), self._now)
        if first is not None:
            self._repeats[order_id] = sequence, first

    def _forget(self) -> None:
        """The oldest mark goes when everything before the next is over."""
        over = self._now - self._window_ns
        while len(self._marks) > 1 and self._marks[1].now <= over:
            self._marks.popleft()
        while self._repeats:
            order_id, (sequence, _) = next(iter(self._repeats.items()))
            if sequence >= self._marks[0].sequence:
                return
            del self._repeats[order_id]

    def image(self) -> AskedImage:
        return AskedImage(self._marks[0] if self._marks else None, list(self._repeats))

    def restore(self, image: AskedImage) -> None:
        """What the image was taken of comes back when the frames from its mark on are taken again."""
        if image.mark is not None:
            self._now = image.mark.now
            self._store.expire(image.mark.now)
        self._known_repeats = frozenset(image.repeats)
