"""Who is next at the best price? One side of an order book: levels by price, each a queue by time."""

from __future__ import annotations

from bisect import bisect_left, insort

from bot4_exchange_simulator.engine.orders import Order


class Level:
    """The queue at one price. `shown` is the sum of what its orders display.

    The orders are linked, so that leaving takes as long anywhere in a queue of any length (4).
    """

    __slots__ = ("back", "front", "key", "price", "shown")

    def __init__(self, price: int, key: int, order: Order) -> None:
        self.price = price
        self.key = key
        self.front: Order | None = order
        self.back: Order | None = order
        self.shown = 0


class Side:
    """Bids or asks. A level's key is its price times `sign` (bids 1, asks -1): the best key is the greatest and stands
    last, where an insertion moves next to nothing, because most levels come and go near the touch.
    """

    __slots__ = ("keys", "levels", "sign", "top")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.top: Level | None = None

    def append(self, order: Order, shown: int) -> None:
        """To the back of its level (3)."""
        key = order.price * self.sign
        order.shown = shown
        order.behind = None
        level = self.levels.get(key)
        if level is None:
            level = Level(order.price, key, order)
            self.levels[key] = level
            order.ahead = None
            top = self.top
            if top is None or key > top.key:
                self.keys.append(key)
                self.top = level
            else:
                insort(self.keys, key)
        else:
            back = level.back
            order.ahead = back
            assert back is not None
            back.behind = order
            level.back = order
        order.level = level
        level.shown += shown

    def remove(self, order: Order) -> None:
        """Everyone behind it stays in place; the next level is the best at once (4)."""
        level = order.level
        ahead = order.ahead
        behind = order.behind
        if ahead is not None:
            ahead.behind = behind
        else:
            level.front = behind
            if behind is None:
                self._drop(level)
                return
        if behind is not None:
            behind.ahead = ahead
        else:
            level.back = ahead
        level.shown -= order.shown

    def _drop(self, level: Level) -> None:
        key = level.key
        del self.levels[key]
        keys = self.keys
        if level is self.top:
            keys.pop()
            self.top = self.levels[keys[-1]] if keys else None
        else:
            del keys[bisect_left(keys, key)]

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Price and displayed quantity of the best levels, best first."""
        found: list[tuple[int, int]] = []
        for key in self.keys[: -levels - 1 : -1] if levels else self.keys[::-1]:
            level = self.levels[key]
            found.append((level.price, level.shown))
        return found
