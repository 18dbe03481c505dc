"""What does risk know of one account? Positions, open orders with what they reserve, and protective stops.

All of it is kept by *market*, which is a symbol at a venue: what was bought at one venue cannot be sold at another.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from bot4_common.messages.risk import PositionFlattened, StopArmed, StopTriggered
from bot4_common.messages.terms import FIRST_VENUE, Order, ReplaceMode, Side
from bot4_common.money import ZERO
from bot4_risk.contingency import Contingent


class AtVenue(Protocol):
    """An order, a quote, a fill, a stop: what is of one symbol at one venue."""

    @property
    def venue(self) -> str: ...

    @property
    def symbol(self) -> str: ...


def market_of(what: AtVenue) -> str:
    return f"{what.venue or FIRST_VENUE}/{what.symbol}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Why an approved order is not at the venue yet: it waits to be armed, or for its trigger, or for the end of the
    order that it replaces."""

    fingerprint: str
    armed: bool = True
    triggered: bool = False
    replaces: str = ""
    mode: ReplaceMode = "stop_on_failure"


class Amend(msgspec.Struct, frozen=True):
    """An amend that the venue has not answered: the total and the price it asks for."""

    quantity: Decimal
    price: Decimal | None


class OpenOrder(msgspec.Struct, kw_only=True):
    """An approved order. `leaves` is what of it may still fill, `growth` what an amend under way would add, and `price`
    what they are reserved at: its own price, or the mid of when it was approved.

    Orders of one `group` are alternatives, of which only the largest is reserved. A `covered` one closes what another
    order has yet to open: until that is filled it reserves nothing. The order's total contains what was `prevented`.
    One that has `ended` will not fill any more at its venue: what it leaves has traded, and is yet to be told (51).
    """

    order: Order
    leaves: Decimal
    price: Decimal
    growth: Decimal = ZERO
    list_id: str = ""
    group: str = ""
    prevented: Decimal = ZERO
    covered: bool = False
    held: Held | None = None
    amend: Amend | None = None
    cancelling: bool = False
    ended: bool = False

    @property
    def total(self) -> Decimal:
        """What it can fill, filled or not."""
        return self.order.quantity - self.prevented

    @property
    def claim(self) -> Decimal:
        return ZERO if self.covered else self.leaves + self.growth

    @property
    def filled(self) -> Decimal:
        """What is filled, or will never fill without the order being smaller for it."""
        return self.order.quantity - self.leaves


class Claim(NamedTuple):
    """By how much what an account's orders reserve has changed, and at what price that counts."""

    order: Order
    quantity: Decimal
    price: Decimal


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
    # Orders that are alternatives, by group; and the lists that are not over.
    groups: dict[str, list[str]] = {}
    lists: dict[str, Contingent] = {}
    # Orders that are to be replaced, and what waits for their end.
    replacing: dict[str, str] = {}
    # Exit orders under way, and the order whose stop made them; and how many there ever were, which numbers them.
    exits: dict[str, str] = {}
    exits_made: int = 0

    def position(self, market: str) -> Decimal:
        return self.positions.get(market, ZERO)

    def order(self, order_id: str) -> OpenOrder | None:
        """One that may still fill, or be cancelled or amended."""
        open_order = self.open_orders.get(order_id)
        return None if open_order is None or open_order.ended else open_order

    def reserved_on(self, market: str, side: Side) -> Decimal:
        return self.reserved.get(total_key(market, side), ZERO)

    def reduce_only_on(self, market: str, side: Side) -> Decimal:
        """What the open reduce-only orders of one side still want to close."""
        return self.reduce_only.get(total_key(market, side), ZERO)

    def exiting_on(self, market: str, side: Side) -> Decimal:
        return self.exiting.get(total_key(market, side), ZERO)

    def stopping_on(self, market: str, side: Side) -> Decimal:
        """Of the exits under way those that a stop made: it protects again what they do not close."""
        made = [self.open_orders[each] for each, entry in self.exits.items() if entry and each in self.open_orders]
        return sum((each.claim for each in made if (market_of(each.order), each.order.side) == (market, side)), ZERO)

    def protected_on(self, market: str, side: Side) -> Decimal:
        return self.protected.get(total_key(market, side), ZERO)

    def reducible(self, market: str, side: Side) -> Decimal:
        """How much of the position an order of this side could close."""
        position = self.position(market)
        held = -position if side == "buy" else position
        return max(held, ZERO)

    def is_opening(self, order: Order, ahead: Order | None = None) -> bool:
        """Could the order, with all others of its side filled before it, open or enlarge a position? `ahead` is one
        that is not open yet, and is filled before it too."""
        market = market_of(order)
        wanted = self.reserved_on(market, order.side) + order.quantity
        if ahead is not None and (market_of(ahead), ahead.side) == (market, order.side):
            wanted += ahead.quantity
        return wanted > self.reducible(market, order.side)

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

    def group_of(self, open_order: OpenOrder) -> list[OpenOrder]:
        """The order, or all alternatives of which it is one."""
        if not open_order.group:
            return [open_order]
        return [self.open_orders[each] for each in self.groups[open_order.group]]

    # Only `evolve` calls what follows. What changes claims says so: the ledger of all accounts follows them.

    def open(self, order_id: str, open_order: OpenOrder) -> Claim:
        order = open_order.order
        self.live[order.client_order_id] = order_id
        before = ZERO
        if open_order.held is not None and open_order.held.replaces:
            self.replacing.pop(open_order.held.replaces, None)
        if open_order.group:
            members = self.groups.setdefault(open_order.group, [])
            before = max((self.open_orders[each].claim for each in members), default=ZERO)
            members.append(order_id)
        self.open_orders[order_id] = open_order
        return self._claimed(order_id, open_order, before)

    def send(self, order_id: str, order: Order) -> Claim:
        """An order that was held goes to the venue as `order`."""
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        self.live[order.client_order_id] = order_id
        open_order.order, open_order.leaves = order, order.quantity
        if open_order.held is not None and open_order.held.replaces:
            self.replacing.pop(open_order.held.replaces, None)
        open_order.held, open_order.covered = None, False
        return self._claimed(order_id, open_order, before)

    def cover(self, order_id: str, quantity: Decimal) -> Claim:
        """What the order closes is there now, or so much of it: it is armed, and reserves like any other."""
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        open_order.covered = False
        if open_order.held is not None:
            self.replacing.pop(open_order.held.replaces, None)
            open_order.held = replace(open_order.held, armed=True, triggered=False, replaces="")
            open_order.order, open_order.leaves = replace(open_order.order, quantity=quantity), quantity
        return self._claimed(order_id, open_order, before)

    def hold(self, order_id: str, held: Held) -> None:
        self.open_orders[order_id].held = held
        if held.replaces:
            self.replacing[held.replaces] = order_id

    def trigger_held(self, order_id: str) -> None:
        open_order = self.open_orders[order_id]
        assert open_order.held is not None
        open_order.held = replace(open_order.held, triggered=True)

    def fill(self, order_id: str, quantity: Decimal) -> tuple[str, Claim | None]:
        """Returns the order whose stop may be affected: the order itself, or the one it is the exit of."""
        entry = self.exits.get(order_id) or order_id
        open_order = self.open_orders.get(order_id)
        if open_order is None:
            return entry, None
        before = self._claim_of(open_order)
        open_order.leaves -= min(quantity, open_order.leaves)
        claim = self._claimed(order_id, open_order, before)
        if not open_order.leaves and open_order.amend is None:
            self._close(order_id, open_order)
        return entry, claim

    def reduce(self, order_id: str, quantity: Decimal, prevented: bool) -> Claim:
        """So much of the order will never fill; the rest lives on."""
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        open_order.leaves -= quantity
        if prevented:
            open_order.prevented += quantity
        else:
            open_order.order = replace(open_order.order, quantity=open_order.order.quantity - quantity)
        return self._claimed(order_id, open_order, before)

    def release(self, order_id: str, quantity: Decimal) -> Claim:
        """The order is over, and so much of it will never fill."""
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        open_order.ended, open_order.amend, open_order.growth = True, None, ZERO
        open_order.leaves -= quantity
        claim = self._claimed(order_id, open_order, before)
        if not open_order.leaves:
            self._close(order_id, open_order)
        return claim

    def ask_amend(self, order_id: str, amend: Amend) -> list[Claim]:
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        open_order.amend = amend
        open_order.growth = max(amend.quantity - open_order.order.quantity, ZERO)
        claims = [self._claimed(order_id, open_order, before)]
        if amend.price is not None and amend.price > open_order.price:
            claims += self._reprice(open_order, amend.price)
        return claims

    def settle_amend(
        self, order_id: str, quantity: Decimal, price: Decimal | None, leaves: Decimal, refused: bool
    ) -> list[Claim]:
        """The order has this total and price now. Others than were asked for are the venue's own doing, and what was
        asked is still to be answered."""
        open_order = self.open_orders[order_id]
        before = self._claim_of(open_order)
        open_order.order = replace(open_order.order, quantity=quantity, price=price)
        asked, open_order.leaves = open_order.amend, leaves
        if refused or asked is None or (asked.quantity, asked.price) == (quantity, price):
            open_order.amend, open_order.growth = None, ZERO
        else:
            open_order.growth = max(asked.quantity - quantity, ZERO)
        claims = [self._claimed(order_id, open_order, before)]
        if price is not None:
            asked_price = ZERO if open_order.amend is None else open_order.amend.price or ZERO
            claims += self._reprice(open_order, max(price, asked_price))
        if not leaves and open_order.amend is None:
            self._close(order_id, open_order)
        return claims

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
        stop = self.stops[triggered.order_id]
        self._protect(stop, stop.quantity - triggered.quantity)
        self.exits[triggered.exit_id] = triggered.order_id
        self.exits_made += 1

    def flatten(self, flattened: PositionFlattened) -> None:
        """An exit of no order's stop."""
        self.exits[flattened.exit_id] = ""

    def move(self, market: str, position: Decimal) -> None:
        if position:
            self.positions[market] = position
        else:
            self.positions.pop(market, None)

    def _reprice(self, open_order: OpenOrder, price: Decimal) -> list[Claim]:
        """What it reserves counts at another price from here on; alternatives keep the highest of theirs."""
        if open_order.group or price == open_order.price:
            return []
        claim, old, open_order.price = self._claim_of(open_order), open_order.price, price
        return [Claim(open_order.order, -claim, old), Claim(open_order.order, claim, price)]

    def _claim_of(self, open_order: OpenOrder) -> Decimal:
        return max(each.claim for each in self.group_of(open_order))

    def _claimed(self, order_id: str, open_order: OpenOrder, before: Decimal) -> Claim:
        """Takes a change of what is claimed into the totals."""
        change = self._claim_of(open_order) - before
        order = open_order.order
        if change:
            key = total_key(market_of(order), order.side)
            _add(self.reserved, key, change)
            if order.reduce_only:
                _add(self.reduce_only, key, change)
            if order_id in self.exits:
                _add(self.exiting, key, change)
        return Claim(order, change, open_order.price)

    def _protect(self, stop: Stop, quantity: Decimal) -> None:
        _add(self.protected, total_key(market_of(stop), stop.side), quantity - stop.quantity)
        stop.quantity = quantity

    def _close(self, order_id: str, open_order: OpenOrder) -> None:
        del self.open_orders[order_id]
        if open_order.held is not None and open_order.held.replaces:
            self.replacing.pop(open_order.held.replaces, None)
        if open_order.group:
            members = self.groups[open_order.group]
            members.remove(order_id)
            if not members:
                del self.groups[open_order.group]
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
