"""Who is next at the best price? One side of an order book: levels by price, each a queue by time."""

from __future__ import annotations

from bisect import insort

from bot4_exchange_simulator.engine.orders import Order


class Level:
    """The queue at one price; `shown` is the sum of what its orders display. It may be empty, but never at the top.

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

    A level that runs empty behind the top stays until there are more of those than of others: to leave takes as long
    in a book of any depth.
    """

    __slots__ = ("empty", "keys", "levels", "sign", "top")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.empty = 0
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
            level.back = order
            if back is not None:
                back.behind = order
            else:
                level.front = order
                self.empty -= 1
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
        if behind is not None:
            behind.ahead = ahead
        else:
            level.back = ahead
        level.shown -= order.shown
        if level.front is None:
            self._leave_empty(level)

    def _leave_empty(self, level: Level) -> None:
        self.empty += 1
        if level is self.top:
            self._find_top()
        # Below 64 levels there is nothing to win.
        elif self.empty > 64 and self.empty * 2 > len(self.keys):
            self._forget_empty()

    def _find_top(self) -> None:
        """Whatever is empty before the first level that is not goes."""
        keys = self.keys
        while keys:
            level = self.levels[keys[-1]]
            if level.front is not None:
                self.top = level
                return
            del self.levels[keys.pop()]
            self.empty -= 1
        self.top = None

    def _forget_empty(self) -> None:
        self.keys = [key for key in self.keys if self.levels[key].front is not None]
        self.levels = {key: self.levels[key] for key in self.keys}
        self.empty = 0

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Price and displayed quantity of the best levels, best first."""
        found: list[tuple[int, int]] = []
        for key in reversed(self.keys):
            level = self.levels[key]
            if level.front is not None:
                found.append((level.price, level.shown))
                if len(found) == levels:
                    break
        return found
