"""Which orders does a price elect? Stops by their level, trailing stops by one that follows the price.

No price looks at more orders than it elects, activates or merges: levels are sorted, and the trailing stops of one
side and distance that share an extreme are one group, which moves as a whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.terms import BPS, TRAILING_STOP

# An elected order, with what decides its turn: direction (rising first), way to its trigger, time.
Elected = tuple[int, int, int, Order]


class Ladder:
    """Orders that wait for a price to come to their level, from below (rising) or from above."""

    __slots__ = ("keys", "levels", "rising")

    def __init__(self, rising: bool) -> None:
        self.rising = rising
        self.keys: list[int] = []
        self.levels: dict[int, dict[int, Order]] = {}

    def add(self, level: int, order: Order) -> None:
        orders = self.levels.get(level)
        if orders is None:
            self.levels[level] = {order.number: order}
            insort(self.keys, level)
        else:
            orders[order.number] = order

    def remove(self, level: int, order: Order) -> bool:
        orders = self.levels.get(level)
        if orders is None or orders.pop(order.number, None) is None:
            return False
        if not orders:
            del self.levels[level]
            del self.keys[bisect_left(self.keys, level)]
        return True

    def take(self, price: int) -> list[Order]:
        """All whose level the price meets, equality included, level by level; they are gone from here."""
        keys = self.keys
        if not keys or (keys[0] > price if self.rising else keys[-1] < price):
            return []
        if self.rising:
            cut = bisect_right(keys, price)
            met = keys[:cut]
            del keys[:cut]
        else:
            cut = bisect_left(keys, price)
            met = keys[cut:]
            del keys[cut:]
        taken: list[Order] = []
        for level in met:
            taken.extend(self.levels.pop(level).values())
        return taken


class Group:
    """Trailing stops of one side and distance that have the same extreme."""

    __slots__ = ("extreme", "orders", "trail")

    def __init__(self, trail: Trail, extreme: int) -> None:
        self.trail = trail
        self.extreme = extreme
        self.orders: dict[int, Order] = {}


class Trail:
    """All active trailing stops of one side and one distance. Keys are extremes, as negative numbers for buys, so that
    for both a key grows in the order's favour, and the greatest fires first.
    """

    __slots__ = ("bps", "buy", "groups", "keys")

    def __init__(self, buy: bool, bps: int) -> None:
        self.buy = buy
        self.bps = bps
        self.keys: list[int] = []
        self.groups: dict[int, Group] = {}

    def start(self, order: Order, price: int) -> None:
        key = -price if self.buy else price
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self, price)
            insort(self.keys, key)
        group.orders[order.number] = order
        order.group = group

    def remove(self, order: Order, group: Group) -> None:
        del group.orders[order.number]
        order.group = None
        if not group.orders:
            key = -group.extreme if self.buy else group.extreme
            del self.groups[key]
            del self.keys[bisect_left(self.keys, key)]

    def elect(self, price: int, elected: list[Elected]) -> None:
        """27, 28: fires at exactly extreme x (1 -+ delta), judged against the extreme as it was before this price."""
        keys = self.keys
        while keys:
            key = keys[-1]
            # Both sides in ticks x 10,000; for buys both are negative.
            level = key * (BPS + self.bps if self.buy else BPS - self.bps)
            if level < (-price if self.buy else price) * BPS:
                return
            group = self.groups.pop(keys.pop())
            for order in group.orders.values():
                order.group = None
                elected.append((0 if self.buy else 1, -level, order.number, order))

    def follow(self, price: int) -> None:
        """28: the extreme never moves against the order. Groups that the price has caught up with become one."""
        best = -price if self.buy else price
        keys = self.keys
        if not keys or keys[0] >= best:
            return
        cut = bisect_left(keys, best)
        merged = self.groups.get(best)
        for key in keys[:cut]:
            group = self.groups.pop(key)
            if merged is None:
                merged = group
                continue
            if len(group.orders) > len(merged.orders):
                group, merged = merged, group
            for order in group.orders.values():
                order.group = merged
            merged.orders.update(group.orders)
        assert merged is not None
        merged.extreme = price
        if cut < len(keys) and keys[cut] == best:
            del keys[:cut]
        else:
            keys[:cut] = [best]
        self.groups[best] = merged


class Stops:
    """The stops that watch one price: all of a symbol, or those of one side where buys watch asks and sells bids."""

    __slots__ = ("activating_falling", "activating_rising", "falling", "rising", "trails")

    def __init__(self) -> None:
        self.rising = Ladder(True)
        self.falling = Ladder(False)
        self.activating_rising = Ladder(True)
        self.activating_falling = Ladder(False)
        self.trails: dict[int, Trail] = {}  # by distance, negative for buys

    def watch(self, order: Order, price: int) -> None:
        """`price` is what it would be judged by now; 0: there is none yet."""
        if order.type != TRAILING_STOP:
            self._ladder(order).add(order.stop, order)
        elif order.activation:
            self._activating(order).add(order.activation, order)
        elif price:
            self._trail(order).start(order, price)
        else:
            # 27: without an activation price the first price there is activates it.
            self.activating_rising.add(0, order)

    def resume(self, order: Order, extreme: int) -> None:
        """Watches with an order that has watched before, with the extreme it had; 0: none yet."""
        if extreme:
            self._trail(order).start(order, extreme)
        else:
            self.watch(order, 0)

    def remove(self, order: Order) -> None:
        if order.type != TRAILING_STOP:
            self._ladder(order).remove(order.stop, order)
        elif order.group is not None:
            order.group.trail.remove(order, order.group)
        elif order.activation:
            self._activating(order).remove(order.activation, order)
        else:
            self.activating_rising.remove(0, order)

    def elect(self, price: int, elected: list[Elected]) -> None:
        for order in self.rising.take(price):
            elected.append((0, order.stop * BPS, order.number, order))
        for order in self.falling.take(price):
            elected.append((1, -order.stop * BPS, order.number, order))
        for trail in self.trails.values():
            trail.elect(price, elected)
            trail.follow(price)
        # 27: the extreme is tracked from activation on, so this price sets it and cannot fire it.
        for order in self.activating_rising.take(price):
            self._trail(order).start(order, price)
        for order in self.activating_falling.take(price):
            self._trail(order).start(order, price)

    def _ladder(self, order: Order) -> Ladder:
        return self.rising if order.waits_for_rise() else self.falling

    def _activating(self, order: Order) -> Ladder:
        # A sell that trails waits for a price as high as its activation, a buy for one as low.
        return self.activating_falling if order.buy else self.activating_rising

    def _trail(self, order: Order) -> Trail:
        key = -order.trail_bps if order.buy else order.trail_bps
        trail = self.trails.get(key)
        if trail is None:
            trail = self.trails[key] = Trail(order.buy, order.trail_bps)
        return trail


def trigger_level(order: Order) -> int:
    """Where it fires, in ticks x 10,000. 0: a trailing stop that has no extreme yet."""
    if order.type != TRAILING_STOP:
        return order.stop * BPS
    if order.group is None:
        return 0
    return order.group.extreme * (BPS + order.trail_bps if order.buy else BPS - order.trail_bps)
