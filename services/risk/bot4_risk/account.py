"""What does risk know of one account? Positions, open orders with what they reserve, and protective stops.

All of it is kept by *market*, which is a symbol at a venue: what was bought at one venue cannot be sold at another.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

import msgspec
from msgspec.structs import replace

from bot4_common.messages.risk import StopArmed, StopTriggered
from bot4_common.messages.terms import FIRST_VENUE, Order, Side
from bot4_common.money import ZERO


class AtVenue(Protocol):
    """An order, a quote, a fill, a stop: what is of one symbol at one venue."""

    @property
    def venue(self) -> str: ...

    @property
    def symbol(self) -> str: ...


def market_of(what: AtVenue) -> str:
    return f"{what.venue or FIRST_VENUE}/{what.symbol}"


class OpenOrder(msgspec.Struct, kw_only=True):
    """An approved order; `leaves` is what it still reserves."""

    order: Order
    leaves: Decimal


class Stop(msgspec.Struct, kw_only=True):
    """The protective stop of one opening order."""

    strategy: str
    venue: str
    symbol: str
    side: Side
    quantity: Decimal
    stop_price: Decimal


class Account(msgspec.Struct, kw_only=True):
    """`positions` by market."""

    positions: dict[str, Decimal] = {}
    open_orders: dict[str, OpenOrder] = {}
    # Client order ids of the open orders: the venue would refuse a second live one.
    live: dict[str, str] = {}
    # Totals by `total_key`, so that nothing is added up again for every order and fill: what open orders reserve, and
    # the reduce-only ones and the exits among them; and what the stops protect.
    reserved: dict[str, Decimal] = {}
    reduce_only: dict[str, Decimal] = {}
    exiting: dict[str, Decimal] = {}
    protected: dict[str, Decimal] = {}
    stops: dict[str, Stop] = {}
    # Exit orders under way, and the order whose stop made them; and how many there ever were, which numbers them.
    exits: dict[str, str] = {}
    exits_made: int = 0
    killed: bool = False

    def position(self, market: str) -> Decimal:
        return self.positions.get(market, ZERO)

    def reserved_on(self, market: str, side: Side) -> Decimal:
        return self.reserved.get(total_key(market, side), ZERO)

    def reduce_only_on(self, market: str, side: Side) -> Decimal:
        """What the open reduce-only orders of one side still want to close."""
        return self.reduce_only.get(total_key(market, side), ZERO)

    def exiting_on(self, market: str, side: Side) -> Decimal:
        return self.exiting.get(total_key(market, side), ZERO)

    def protected_on(self, market: str, side: Side) -> Decimal:
        return self.protected.get(total_key(market, side), ZERO)

    def reducible(self, market: str, side: Side) -> Decimal:
        """How much of the position an order of this side could close."""
        position = self.position(market)
        held = -position if side == "buy" else position
        return max(held, ZERO)

    def is_opening(self, order: Order) -> bool:
        """Could the order, with all others of its side filled before it, open or enlarge a position?"""
        market = market_of(order)
        wanted = self.reserved_on(market, order.side) + order.quantity
        return wanted > self.reducible(market, order.side)

    def worst_position(self, order: Order) -> Decimal:
        """The size of the position if the order and all others of its side fill whole."""
        market = market_of(order)
        wanted = self.reserved_on(market, order.side) + order.quantity
        held = self.position(market)
        return abs(held + wanted if order.side == "buy" else held - wanted)

    def worst_elsewhere(self, order: Order, venues: Iterable[str]) -> Decimal:
        """The size of the symbol's positions at the other venues, each if all orders of its worse side fill whole;
        their sum whichever side they are on, since two venues do not know of each other."""
        markets = [market_of(replace(order, venue=venue)) for venue in venues if venue != order.venue]
        return sum((self._worst(market) for market in markets), ZERO)

    def _worst(self, market: str) -> Decimal:
        held = self.position(market)
        return max(abs(held + self.reserved_on(market, "buy")), abs(held - self.reserved_on(market, "sell")))

    def shrunk(self, market: str, side: Side, surplus: Decimal) -> list[tuple[str, Stop, Decimal]]:
        """The stops that give up the surplus, the oldest first, and what each still protects then."""
        shrunk: list[tuple[str, Stop, Decimal]] = []
        for order_id, stop in self.stops.items():
            if surplus <= 0:
                break
            if stop.side == side and stop.quantity and market_of(stop) == market:
                cut = min(surplus, stop.quantity)
                shrunk.append((order_id, stop, stop.quantity - cut))
                surplus -= cut
        return shrunk

    def is_spent(self, order_id: str, stop: Stop) -> bool:
        return not stop.quantity and order_id not in self.open_orders and order_id not in self.exits.values()

    # Only `evolve` calls what follows.

    def reserve(self, order_id: str, order: Order) -> None:
        self.open_orders[order_id] = OpenOrder(order=order, leaves=order.quantity)
        self.live[order.client_order_id] = order_id
        self._reserve(order_id, order, order.quantity)

    def fill(self, order_id: str, quantity: Decimal) -> str:
        """Returns the order whose stop may be affected: the order itself, or the one it is the exit of."""
        entry = self.exits.get(order_id, order_id)
        open_order = self.open_orders.get(order_id)
        if open_order is not None:
            taken = min(quantity, open_order.leaves)
            open_order.leaves -= taken
            self._reserve(order_id, open_order.order, -taken)
            if not open_order.leaves:
                self._close(order_id, open_order)
        return entry

    def reduce(self, order_id: str, quantity: Decimal) -> None:
        """So much of the order will never fill; the rest lives on."""
        open_order = self.open_orders[order_id]
        open_order.leaves -= quantity
        self._reserve(order_id, open_order.order, -quantity)

    def release(self, order_id: str) -> None:
        open_order = self.open_orders.get(order_id)
        if open_order is not None:
            self._reserve(order_id, open_order.order, -open_order.leaves)
            self._close(order_id, open_order)

    def arm(self, armed: StopArmed) -> None:
        stop = self.stops.get(armed.order_id)
        if stop is None:
            stop = self.stops[armed.order_id] = Stop(
                strategy=armed.strategy,
                venue=armed.venue,
                symbol=armed.symbol,
                side=armed.side,
                quantity=ZERO,
                stop_price=armed.stop_price,
            )
        self._protect(stop, armed.quantity)

    def trigger(self, triggered: StopTriggered) -> None:
        self._protect(self.stops[triggered.order_id], ZERO)
        self.exits[triggered.exit_id] = triggered.order_id
        self.exits_made += 1

    def move(self, market: str, position: Decimal) -> None:
        if position:
            self.positions[market] = position
        else:
            self.positions.pop(market, None)

    def _reserve(self, order_id: str, order: Order, quantity: Decimal) -> None:
        key = total_key(market_of(order), order.side)
        _add(self.reserved, key, quantity)
        if order.reduce_only:
            _add(self.reduce_only, key, quantity)
        if order_id in self.exits:
            _add(self.exiting, key, quantity)

    def _protect(self, stop: Stop, quantity: Decimal) -> None:
        _add(self.protected, total_key(market_of(stop), stop.side), quantity - stop.quantity)
        stop.quantity = quantity

    def _close(self, order_id: str, open_order: OpenOrder) -> None:
        del self.open_orders[order_id]
        if self.live.get(open_order.order.client_order_id) == order_id:
            del self.live[open_order.order.client_order_id]
        self.exits.pop(order_id, None)


def total_key(market: str, side: Side) -> str:
    return f"{market}/{side}"


def _add(totals: dict[str, Decimal], key: str, quantity: Decimal) -> None:
    """A total that comes to nothing is forgotten."""
    total = totals.get(key, ZERO) + quantity
    if total:
        totals[key] = total
    else:
        totals.pop(key, None)
