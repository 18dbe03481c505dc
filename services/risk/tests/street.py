"""What do execution and the venues make of what risk approves? As much as they may, and nothing else.

A venue knows its own orders and positions. What it does it tells in order, but risk may hear it later: meanwhile it
goes on trading by what risk has let through. Of a trade it may tell only when its order is over (51).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from bot4_common.messages.execution import (
    AmendRejected,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
)
from bot4_common.messages.risk import AmendApproved, CancelApproved, ListApproved, OrderApproved
from bot4_common.messages.terms import Event, ListKind, Order, signed
from bot4_common.money import ZERO
from services.risk.tests.naive_risk import market_of


class Child(msgspec.Struct):
    """An order at its venue. One that waits for its parent cannot trade. `ended_with` is what was left at its end."""

    order_id: str
    account: str
    order: Order
    filled: Decimal = ZERO
    prevented: Decimal = ZERO
    waits: bool = False
    over: bool = False
    ended_with: Decimal | None = None
    cancel: bool = False
    amend: AmendApproved | None = None
    native: str = ""
    kind: ListKind | None = None

    @property
    def leaves(self) -> Decimal:
        return self.order.quantity - self.filled - self.prevented


class Street:
    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.lists: dict[str, ListApproved] = {}
        self.positions: dict[tuple[str, str], Decimal] = {}
        # What was done and not told yet.
        self.news: list[Event] = []
        self.withheld: dict[str, OrderFilled] = {}
        self.trades = 0

    # What risk says

    def hear(self, event: Event) -> None:
        match event:
            case ListApproved():
                self.lists[event.list_id] = event
            case OrderApproved():
                self._send(event)
            case AmendApproved():
                child = self.children[event.order_id]
                assert child.amend is None, "an amend was approved while another was under way"
                child.amend = event
            case CancelApproved():
                if event.order_id in self.children:
                    self.children[event.order_id].cancel = True

    def _send(self, event: OrderApproved) -> None:
        assert event.order_id not in self.children, "an order was approved twice"
        child = Child(event.order_id, event.account, event.order)
        approved = self.lists.get(event.list_id)
        if approved is not None:
            child.kind = approved.kind
            if approved.native:
                child.native = event.list_id
                first = approved.legs[0].order_id
                child.waits = approved.kind in ("oto", "otoco") and event.order_id != first
        self.children[event.order_id] = child
        self.news.append(
            OrderSent(
                order_id=event.order_id,
                child_id=f"{event.order_id}.1",
                account=event.account,
                venue=event.order.venue,
                order=event.order,
                bid=event.bid,
                ask=event.ask,
                sent_at=event.at,
                expires_at=event.at,
                list_id=event.list_id,
            )
        )

    # What venues do

    def live(self) -> list[Child]:
        return [child for child in self.children.values() if not child.over]

    def tradable(self) -> list[Child]:
        return [child for child in self.live() if not child.waits and self.room(child)]

    def room(self, child: Child) -> Decimal:
        """What of it may trade now: a reduce-only order never more than there is to reduce (37, 38)."""
        return min(child.leaves, self._reducible(child)) if child.order.reduce_only else child.leaves

    def may_withhold(self, child: Child) -> bool:
        """Not the last of an order, nor two of them."""
        return child.leaves > 1 and child.order_id not in self.withheld

    def fill(self, child: Child, quantity: Decimal, price: Decimal, *, withheld: bool = False) -> None:
        """`withheld`: what comes of it is known at once, of the trade itself nobody is told."""
        fill = self._trade(child, quantity, price)
        if withheld:
            self._tell_others(fill)
            self.withheld[child.order_id] = fill
        else:
            self._tell(child, fill)
        if not child.leaves:
            self._end(child)
        self._follow(child)
        self._trim(child.account, market_of(child.order))

    def fill_after_all(self, child: Child, quantity: Decimal, price: Decimal) -> None:
        """A trade of an order that is over, of which its end knew nothing."""
        fill = self._trade(child, quantity, price)
        self._tell_others(fill)
        self._tell_late(child, fill)

    def _trade(self, child: Child, quantity: Decimal, price: Decimal) -> OrderFilled:
        order = child.order
        child.filled += quantity
        key = child.account, market_of(order)
        self.positions[key] = self.positions.get(key, ZERO) + signed(order.side, quantity)
        self.trades += 1
        return OrderFilled(
            strategy=order.strategy,
            symbol=order.symbol,
            side=order.side,
            trade_id=f"t{self.trades}",
            price=price,
            quantity=quantity,
            cumulative=child.filled,
            leaves=child.leaves,
            liquidity="taker",
            bid=price,
            ask=price,
            traded_at=0,
            **_known(child),
        )

    def end(self, child: Child, how: str) -> None:
        """`how` is cancelled, expired, rejected or lost; the last two only of an order that has not traded."""
        left = child.ended_with = child.leaves
        self._end(child)
        known = _known(child)
        match how:
            case "rejected":
                self.news.append(OrderRejected(code="PRICE_BAND", message="", **known))
            case "lost":
                self.news.append(OrderLost(quantity=left, **known))
            case "expired":
                self.news.append(OrderExpired(quantity=left, reason="unfilled", **known))
            case _:
                self.news.append(OrderCancelled(quantity=left, reason="requested", **known))
        if child.order_id in self.withheld:
            self._tell_late(child, self.withheld.pop(child.order_id))
        self._follow_end(child)

    def answer_amend(self, child: Child, accept: bool) -> None:
        amend, child.amend = child.amend, None
        assert amend is not None
        gone = amend.quantity < child.filled + child.prevented
        if child.over or gone or not accept:
            self.news.append(AmendRejected(code="ORDER_IS_OVER" if child.over else "AMEND_LOST", **_known(child)))
            return
        self._amend(child, amend.quantity, amend.price)
        for other in self._siblings(child):
            # 31: both legs have one total.
            if child.kind != "ouo" and other.order.quantity != amend.quantity and amend.quantity >= other.filled:
                self._amend(other, amend.quantity, other.order.price)

    def prevent(self, child: Child, quantity: Decimal) -> None:
        child.prevented += quantity
        self._tell(child, OrderPrevented(other_id="x", quantity=quantity, leaves=child.leaves, **_known(child)))
        if not child.leaves:
            self.end(child, "expired")

    def _amend(self, child: Child, quantity: Decimal, price: Decimal | None) -> None:
        child.order = replace(child.order, quantity=quantity, price=price)
        self._tell(child, OrderAmended(quantity=quantity, price=price, leaves=child.leaves, **_known(child)))
        if not child.leaves:
            # 10: amended to what is filled.
            self.end(child, "cancelled")

    def _tell(self, child: Child, event: OrderFilled | OrderAmended | OrderPrevented | OrderTrimmed) -> None:
        """What says how much is left of an order says it of what was told before."""
        if isinstance(event, OrderFilled):
            self._tell_others(event)
        if child.order_id in self.withheld:
            self.news.append(self.withheld.pop(child.order_id))
        self.news.append(event)

    def _tell_others(self, fill: OrderFilled) -> None:
        """Of the fills of one account in one market each is told before the next."""
        for order_id, other in list(self.withheld.items()):
            if (other.account, other.venue, other.symbol) == (fill.account, fill.venue, fill.symbol):
                self.news.append(self.withheld.pop(order_id))

    def _tell_late(self, child: Child, fill: OrderFilled) -> None:
        self.news.append(replace(fill, late=True, stop_loss=child.order.stop_loss))

    def _end(self, child: Child) -> None:
        child.over = True
        if child.amend is not None:
            self.answer_amend(child, accept=False)

    def _siblings(self, child: Child) -> list[Child]:
        """Other legs of a list that the venue keeps, but for a parent."""
        if not child.native or child.kind == "oto":
            return []
        legs = self.lists[child.native].legs[1 if child.kind == "otoco" else 0 :]
        ids = [leg.order_id for leg in legs]
        if child.order_id not in ids:
            return []
        return [self.children[each] for each in ids if each != child.order_id and not self.children[each].over]

    def _children_of(self, child: Child) -> list[Child]:
        if not child.native or child.kind not in ("oto", "otoco"):
            return []
        first, *others = self.lists[child.native].legs
        if first.order_id != child.order_id:
            return []
        return [self.children[leg.order_id] for leg in others if not self.children[leg.order_id].over]

    def _follow(self, child: Child) -> None:
        """What a fill means to the rest of a list that the venue keeps (30, 34, 35)."""
        if child.over:
            for each in self._children_of(child):
                each.waits = False
        for other in self._siblings(child):
            if child.kind != "ouo" or child.over:
                self.end(other, "cancelled")
            elif other.leaves > child.leaves:
                self._amend(other, other.order.quantity - other.leaves + child.leaves, other.order.price)

    def _follow_end(self, child: Child) -> None:
        for each in [*self._children_of(child), *self._siblings(child)]:
            if not each.over and (each.waits or child.kind != "oto"):
                self.end(each, "cancelled")

    def _reducible(self, child: Child) -> Decimal:
        held = self.positions.get((child.account, market_of(child.order)), ZERO)
        return max(-held if child.order.side == "buy" else held, ZERO)

    def _trim(self, account: str, market: str) -> None:
        """39, 40: reduce-only orders never add up to more than there is to reduce, the newest gives way first.
        Alternatives count once: the largest of them."""
        for child in reversed(self.children.values()):
            order = child.order
            if child.over or child.waits or not order.reduce_only or child.account != account:
                continue
            if market_of(order) != market or self._siblings(child):
                continue
            surplus = self._wanted(child) - self._reducible(child)
            if surplus >= child.leaves:
                self.end(child, "cancelled")
            elif surplus > 0:
                child.order = replace(order, quantity=order.quantity - surplus)
                self._tell(child, OrderTrimmed(quantity=child.order.quantity, leaves=child.leaves, **_known(child)))

    def _wanted(self, like: Child) -> Decimal:
        groups: dict[str, Decimal] = {}
        for child in self.live():
            order = child.order
            same = (child.account, market_of(order), order.side) == (
                like.account,
                market_of(like.order),
                like.order.side,
            )
            if same and order.reduce_only and not child.waits:
                key = child.native if child.kind != "oto" and child.native else child.order_id
                groups[key] = max(groups.get(key, ZERO), child.leaves)
        return sum(groups.values(), ZERO)


def _known(child: Child) -> dict[str, Any]:
    return {
        "order_id": child.order_id,
        "child_id": f"{child.order_id}.1",
        "account": child.account,
        "venue": child.order.venue,
        "session_sequence": 1,
    }
