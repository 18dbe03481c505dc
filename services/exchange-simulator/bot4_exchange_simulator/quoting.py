"""Which of its orders does the market change, so that its book shows what it should?

The market's orders are many people's, so at a level that shrinks nobody knows who left. Here everyone leaves in
proportion: of a queue that goes from 50 lots to 40, every part loses a fifth, and so does what stands ahead of a
client's order. What is added to a level comes behind everybody who is there. So a client's place in a queue moves up
by trades and by its share of what is cancelled, and never back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bot4_common.messages.terms import Side


class Standing(NamedTuple):
    """An order of the market that rests, in ticks and lots. `is_last`: nobody stands behind it at its price."""

    id: str
    side: Side
    price: int
    lots: int
    is_last: bool


class Pull(NamedTuple):
    """The order leaves."""

    id: str


class Resize(NamedTuple):
    """The order is of so many lots now and keeps its place: it shrinks, or grows with nobody behind it."""

    id: str
    lots: int


class Add(NamedTuple):
    """A new order, behind everybody at its price. It trades first with whoever it meets."""

    side: Side
    price: int
    lots: int


Change = Pull | Resize | Add


def requote(
    standing: Iterable[Standing], bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
) -> list[Change]:
    """What leads from the market's orders that stand, each level in the order of its queue, to what should (price,
    lots). What leaves comes before what arrives, so that the market never meets itself."""
    levels: dict[tuple[Side, int], list[Standing]] = defaultdict(list)
    for order in standing:
        levels[order.side, order.price].append(order)
    leaving: list[Change] = []
    arriving: list[Change] = []
    sides: tuple[tuple[Side, Sequence[tuple[int, int]]], ...] = (("buy", bids), ("sell", asks))
    for side, quotes in sides:
        for price, lots in quotes:
            queue = levels.pop((side, price), [])
            missing = lots - sum(order.lots for order in queue)
            if missing < 0:
                leaving += _shrink(queue, lots)
            elif missing > 0 and queue and queue[-1].is_last:
                arriving.append(Resize(queue[-1].id, queue[-1].lots + missing))
            elif missing > 0:
                arriving.append(Add(side, price, missing))
    gone: list[Change] = [Pull(order.id) for queue in levels.values() for order in queue]
    return gone + leaving + arriving


def _shrink(queue: Sequence[Standing], lots: int) -> list[Change]:
    """Everyone in proportion. What is kept up to any place in the queue is its share, rounded down to whole lots."""
    total = sum(order.lots for order in queue)
    changes: list[Change] = []
    passed = kept = 0
    for order in queue:
        passed += order.lots
        left = passed * lots // total - kept
        kept += left
        if not left:
            changes.append(Pull(order.id))
        elif left < order.lots:
            changes.append(Resize(order.id, left))
    return changes
