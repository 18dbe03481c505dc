"""Who trades with whom, at what price? A price-time order book of one symbol, in whole ticks and lots.

Matching comes in two parts, because a decider records facts before it applies them. `match` is a
question: it says what would happen and changes nothing. `add`, `fill` and `remove` apply what was
recorded; they refuse nothing, and assert that the record makes sense.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot4_common.messages.terms import Side


@dataclass(slots=True)
class Resting:
    """An order in the book. `price` in ticks, `leaves` in lots: what is still to be traded."""

    order_id: str
    account: str
    side: Side
    price: int
    leaves: int
    reduce_only: bool = False


@dataclass(slots=True)  # not frozen: making one would take four times as long, and a sweep makes many
class Match:
    """A trade that would happen, at the resting order's price."""

    maker_id: str
    maker_account: str
    price: int
    quantity: int


@dataclass(slots=True)
class Drop:
    """A resting reduce-only order that has no position left to reduce: what it leaves is to be cancelled."""

    maker_id: str


def reducible(side: Side, position: int) -> int:
    """How many lots an order of this side may trade before it opens or flips the signed position."""
    return max(0, -position if side == "buy" else position)


class Book:
    """Bids and asks, each a ladder of first-in, first-out levels. No two resting orders share an id."""

    def __init__(self) -> None:
        self._bids = _Ladder(1)
        self._asks = _Ladder(-1)
        self._places: dict[str, _Place] = {}

    def match(
        self,
        side: Side,
        limit: int | None,
        quantity: int,
        account: str,
        positions: Mapping[str, int],
        reduce_only: bool = False,
    ) -> list[Match | Drop]:
        """What an incoming order would do, in order: best price first, then first come, up to its limit.

        `positions` are the accounts' signed lots before the first trade; an account without one is flat.
        A reduce-only order, incoming or resting, trades no more than its account's running position. A
        resting one that comes to the end of it is dropped, whether or not it traded first.
        """
        # Only its own trades move the taker's position in its sweep, so one clip at entry holds to the end.
        wanted = min(quantity, reducible(side, positions.get(account, 0))) if reduce_only else quantity
        taken = 0
        given: dict[str, int] = {}  # lots the makers of each account have traded in this sweep
        outcome: list[Match | Drop] = []
        makers = self._asks if side == "buy" else self._bids
        for key in reversed(makers.keys):
            if limit is not None and key < limit * makers.sign:
                break
            place: _Place | None = makers.levels[key].front
            while place is not None:
                if taken >= wanted:
                    return outcome
                maker = place.order
                traded = min(wanted - taken, maker.leaves)
                exhausted = False
                if maker.reduce_only:
                    change = (taken if maker.account == account else 0) - given.get(maker.account, 0)
                    position = positions.get(maker.account, 0) + (change if side == "buy" else -change)
                    room = reducible(maker.side, position)
                    traded = min(traded, room)
                    exhausted = traded == room and traded < maker.leaves
                if traded:
                    outcome.append(Match(maker.order_id, maker.account, maker.price, traded))
                    taken += traded
                    given[maker.account] = given.get(maker.account, 0) + traded
                if exhausted:
                    outcome.append(Drop(maker.order_id))
                place = place.behind
        return outcome

    def crosses(self, side: Side, price: int) -> bool:
        """Whether an order at this price would meet a resting one: what a post-only order must not."""
        facing = self._asks if side == "buy" else self._bids
        return bool(facing.keys) and facing.keys[-1] >= price * facing.sign

    def add(self, order: Resting) -> None:
        """Puts an order at the back of its level. The book owns the object from here on."""
        assert order.order_id not in self._places, f"{order.order_id} rests already"
        assert order.leaves > 0, f"{order.order_id} leaves nothing to rest"
        assert not self.crosses(order.side, order.price), f"{order.order_id} would rest across the market"
        self._places[order.order_id] = self._ladder(order.side).append(order)

    def fill(self, order_id: str, quantity: int) -> None:
        """Takes what has traded off an order. It keeps its place, or leaves the book when nothing is left."""
        place = self._places[order_id]
        order = place.order
        assert 0 < quantity <= order.leaves, f"{order_id} leaves {order.leaves}, cannot fill {quantity}"
        order.leaves -= quantity
        place.level.quantity -= quantity
        if order.leaves == 0:
            self.remove(order_id)

    def remove(self, order_id: str) -> None:
        """Takes an order out; everyone behind it keeps their place."""
        place = self._places.pop(order_id)
        self._ladder(place.order.side).remove(place)

    @property
    def best_bid(self) -> int | None:
        return self._bids.best()

    @property
    def best_ask(self) -> int | None:
        return self._asks.best()

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """Price and quantity of the best levels of the bids ("buy") or the asks ("sell"), best first."""
        ladder = self._ladder(side)
        best_first = ladder.keys[: -levels - 1 : -1]
        return [(key * ladder.sign, ladder.levels[key].quantity) for key in best_first]

    def get(self, order_id: str) -> Resting | None:
        """The resting order, for reading."""
        place = self._places.get(order_id)
        return None if place is None else place.order

    def orders(self) -> Iterator[Resting]:
        """All that rests: bids before asks, best price first, then in the order of the queue.

        Added in this order to an empty book, copies of them make the same book again.
        """
        for ladder in (self._bids, self._asks):
            for key in reversed(ladder.keys):
                place = ladder.levels[key].front
                while place is not None:
                    yield place.order
                    place = place.behind

    def _ladder(self, side: Side) -> _Ladder:
        return self._bids if side == "buy" else self._asks


class _Level:
    """The queue at one price, and the sum of what its orders leave."""

    __slots__ = ("back", "front", "quantity")

    def __init__(self) -> None:
        self.front: _Place | None = None
        self.back: _Place | None = None
        self.quantity = 0


class _Place:
    """An order's place in its queue. Linked, so that leaving takes as long anywhere in a queue of any length.

    A dict keeps order too, but to find its first entry it passes over those deleted before it: 50 us
    after 100,000 of them.
    """

    __slots__ = ("ahead", "behind", "level", "order")

    def __init__(self, order: Resting, level: _Level) -> None:
        self.order = order
        self.level = level
        self.ahead = level.back
        self.behind: _Place | None = None


class _Ladder:
    """One side of the book. A level's key is its price times `sign` (bids 1, asks -1), so that on both
    sides the best is the greatest and stands last: most levels come and go near the touch, and there an
    insertion moves next to nothing.
    """

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, _Level] = {}

    def best(self) -> int | None:
        return self.keys[-1] * self.sign if self.keys else None

    def append(self, order: Resting) -> _Place:
        key = order.price * self.sign
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = _Level()
            insort(self.keys, key)
        place = _Place(order, level)
        if place.ahead is None:
            level.front = place
        else:
            place.ahead.behind = place
        level.back = place
        level.quantity += order.leaves
        return place

    def remove(self, place: _Place) -> None:
        level = place.level
        if place.ahead is None:
            level.front = place.behind
        else:
            place.ahead.behind = place.behind
        if place.behind is None:
            level.back = place.ahead
        else:
            place.behind.ahead = place.ahead
        level.quantity -= place.order.leaves
        if level.front is None:
            key = place.order.price * self.sign
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]
