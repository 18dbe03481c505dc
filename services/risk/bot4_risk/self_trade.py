"""Would this order trade with another one of its owner, and what does each of them lose instead? (41 to 44)

The owner is the account, or its trade group; strategies and venues make no difference (41). Prices of different venues
are compared as they are: two orders there cannot trade with each other, but one owner who crosses himself across venues
pays the fees of both for nothing.

Risk does not see the queues of a venue, so it judges by prices alone, and rather too often than not: a limit order
meets every order of its owner on the other side that is within its price, a market order those at least as good as the
touch it looks at, whatever foreign orders stand before them. What lies deeper is left to the venue's own prevention. A
post-only order never takes, and one that waits for a trigger is judged when it is sent; here they meet nobody.

The taker's mode decides (42), first the better price, then the older order:

* cancel_new: the new order loses all of it. Orders whose cancel is under way count here, since they may still trade;
  the other modes want them gone, and pass them over.
* cancel_resting: every order that is met is cancelled, and the new one goes on whole.
* cancel_both: both the new order and the first that it meets lose all they have.
* decrement_both: both lose the smaller quantity, again and again until one side has nothing left.

A fill-or-kill order that would lose anything cannot be filled whole, and then nobody else is to lose anything (13): it
is treated as cancel_new.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec

from bot4_common.messages.terms import Order, Side, opposite
from bot4_common.messages.terms import Prevention as Mode
from bot4_common.money import ZERO

_NUMBERS = re.compile("[0-9]+")


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An order that may rest in a book: approved, sent and not over. `ending`: its cancel is under way."""

    order_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    price: Decimal
    leaves: Decimal
    ending: bool = False


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the new one would meet: what each of the two loses, and what is `left` of the resting one."""

    resting_id: str
    account: str
    quantity: Decimal
    resting_quantity: Decimal
    left: Decimal
    price: Decimal


class Prevention(msgspec.Struct, frozen=True):
    """`left` is what may go on of the new order."""

    mode: Mode
    left: Decimal
    met: list[Met]


class _Place(NamedTuple):
    """Where an order stands among those of its owner, symbol and side; less is first."""

    price: Decimal  # less is better, also for buys
    time: tuple[int, ...]
    order_id: str


_Side = tuple[str, str, Side]  # owner, symbol, side


class OwnOrders:
    """What rests of each owner, over all venues, accounts and strategies: best price first, then the oldest.

    It is derived from the open orders and not dumped. Age is what the order id says, which counts the events of the
    log, so that an index made anew is the one that was lived.
    """

    def __init__(self) -> None:
        self._queues: dict[_Side, list[_Place]] = {}
        self._resting: dict[str, tuple[_Side, _Place, Resting]] = {}

    def best(self, owner: str, symbol: str, side: Side) -> Decimal | None:
        for resting in self.queue(owner, symbol, side):
            return resting.price
        return None

    def queue(self, owner: str, symbol: str, side: Side) -> Iterator[Resting]:
        """In the order in which they would be met."""
        for place in self._queues.get((owner, symbol, side), ()):
            yield self._resting[place.order_id][2]

    def add(self, owner: str, resting: Resting) -> None:
        """Also instead of what was known of this order: another price, another quantity."""
        self.remove(resting.order_id)
        side = owner, resting.symbol, resting.side
        price = -resting.price if resting.side == "buy" else resting.price
        place = _Place(price, _age(resting.order_id), resting.order_id)
        insort(self._queues.setdefault(side, []), place)
        self._resting[resting.order_id] = side, place, resting

    def remove(self, order_id: str) -> None:
        """Nothing happens if it is not there."""
        known = self._resting.pop(order_id, None)
        if known is None:
            return
        side, place, _ = known
        queue = self._queues[side]
        del queue[bisect_left(queue, place)]
        if not queue:
            del self._queues[side]


def rests(order: Order) -> bool:
    """Whether what is left of it waits in the book, where a later order may meet it."""
    return order.type == "limit" and order.time_in_force in ("gtc", "gtd")


def prevented(
    own_orders: OwnOrders, owner: str, order: Order, mode: Mode, bid: Decimal, ask: Decimal
) -> Prevention | None:
    """None if it meets nobody, or nobody minds. `bid` and `ask` are the market at the order's venue."""
    if mode == "none" or order.post_only or order.type not in ("limit", "market"):
        return None
    met = _met(own_orders, owner, order, bid, ask)
    if mode == "cancel_new" or (order.time_in_force == "fok" and mode != "cancel_resting"):
        first = next(met, None)
        return None if first is None else Prevention(mode, ZERO, [_loss(first, order.quantity, ZERO)])
    found: list[Met] = []
    left = order.quantity
    for resting in met:
        if resting.ending:
            continue
        taken, given = _losses(mode, left, resting.leaves)
        found.append(_loss(resting, taken, given))
        left -= taken
        if not left:
            break
    return Prevention(mode, left, found) if found else None


def _met(own_orders: OwnOrders, owner: str, order: Order, bid: Decimal, ask: Decimal) -> Iterator[Resting]:
    buys = order.side == "buy"
    worst = order.price if order.price is not None else ask if buys else bid
    for resting in own_orders.queue(owner, order.symbol, opposite(order.side)):
        if resting.price > worst if buys else resting.price < worst:
            return
        yield resting


def _losses(mode: Mode, left: Decimal, leaves: Decimal) -> tuple[Decimal, Decimal]:
    """What the new order and the resting one lose where they meet."""
    if mode == "cancel_resting":
        return ZERO, leaves
    if mode == "cancel_both":
        return left, leaves
    return min(left, leaves), min(left, leaves)


def _loss(resting: Resting, quantity: Decimal, resting_quantity: Decimal) -> Met:
    return Met(
        resting_id=resting.order_id,
        account=resting.account,
        quantity=quantity,
        resting_quantity=resting_quantity,
        left=resting.leaves - resting_quantity,
        price=resting.price,
    )


def _age(order_id: str) -> tuple[int, ...]:
    """`12-0` came before `12-1`, and that before `101-0`; the numbers of legs and exits come after those of the event
    that made them."""
    return tuple(map(int, _NUMBERS.findall(order_id)))
