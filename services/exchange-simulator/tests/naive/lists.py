"""What do the orders of one list do to each other?"""

from __future__ import annotations

from decimal import Decimal

from naive import funds, matching
from naive.venue import ZERO, List, Order, Venue, family


def filled(venue: Venue, order: Order) -> None:
    """An order of a list was filled, if only in part."""
    if order.list is None:
        return
    if order is order.list.parent:
        arm_children(venue, order.list)
    elif order.list.kind in ("oco", "otoco"):
        cancel_siblings(venue, order)  # rule 30
    elif order.list.kind == "ouo":
        reduce_siblings(venue, order)  # rule 35


def arm_children(venue: Venue, group: List) -> None:
    """Rule 34: when the parent is filled whole."""
    for child in group.legs:
        if not child.is_live or not arms(venue, group, child):
            continue
        if child.phase in ("pending", "resting"):
            child.phase = "queued"
            venue.queue.append(child)
        elif child.phase == "armed" and not can_pay(venue, child):
            child.phase = "over"
            venue.emit("rejected", child, code="INSUFFICIENT_BALANCE")
            ended(venue, child)


def can_pay(venue: Venue, child: Order) -> bool:
    needed = funds.need(child)
    return needed == 0 or needed <= funds.free(venue, child.account, funds.asset(venue, child), family(child))


def arms(venue: Venue, group: List, child: Order) -> bool:
    """Rule 34: whole, when the parent is filled; or on some venues in proportion, in whole lots, as it is filled. An
    amount is not divided."""
    parent = group.parent
    assert parent is not None
    if venue.profile["oto_arms"] == "filled" or child.is_by_amount:
        return parent.open == 0
    before = child.armed or ZERO
    child.armed = max(before, funds.floor_to_lot(venue, child, child.quantity * parent.executed / parent.quantity))
    return child.armed > before


def cancel_siblings(venue: Venue, order: Order) -> None:
    assert order.list is not None
    for sibling in order.list.siblings(order):
        sibling.phase = "over"
        venue.emit("cancelled", sibling, reason="list", quantity=sibling.told_open)


def reduce_siblings(venue: Venue, order: Order) -> None:
    assert order.list is not None
    for sibling in order.list.siblings(order):
        if order.open == 0:
            cancel_siblings(venue, order)
        elif sibling.open > order.open:
            sibling.quantity -= sibling.open - order.open
            sibling.shown = min(sibling.shown, sibling.open)
            venue.emit("amended", sibling, quantity=sibling.quantity, price=sibling.price)


def triggered(venue: Venue, order: Order) -> None:
    """Rule 30: the stop leg of an OCO merely triggering cancels the limit leg."""
    if order.list is not None and order.list.kind in ("oco", "otoco"):
        cancel_siblings(venue, order)


def ended(venue: Venue, order: Order) -> None:
    """Rules 31 and 34: a leg that ends takes its siblings along, a parent its waiting children."""
    if order.list is None:
        return
    cancel_siblings(venue, order)
    if order is order.list.parent:
        for child in order.list.legs:
            waits = child.phase == "pending" or (child.armed is not None and child.armed < child.quantity)
            if child.is_live and child.open > 0 and waits:
                keep_armed(venue, child)


def keep_armed(venue: Venue, child: Order) -> None:
    """A parent that ends with a part filled leaves its children what that part armed, if any of it is open."""
    left = child.open if child.armed is None else child.ready
    if child.phase == "pending":
        child.phase = "over"
        venue.emit("cancelled", child, reason="list", quantity=child.told_open)
        return
    child.quantity -= child.open - left
    venue.emit("amended", child, quantity=child.quantity, price=child.price)


def resize(order: Order, quantity: Decimal) -> None:
    """Of a child that is armed in part what is armed stays so; one that is armed whole stays armed whole."""
    if order.armed is not None:
        order.armed = quantity if order.armed == order.quantity else min(order.armed, quantity)
    order.quantity = quantity


def amended(venue: Venue, order: Order) -> None:
    """Rule 31: amending one leg's quantity amends both."""
    if order.list is None:
        return
    for sibling in order.list.siblings(order):
        if sibling.open != order.open:
            resize(sibling, sibling.quantity + order.open - sibling.open)
            sibling.shown = min(sibling.shown, sibling.open)
            if sibling.phase == "resting" and sibling.shown < min(
                sibling.open, sibling.display_quantity or sibling.open
            ):
                matching.show(sibling)
                sibling.priority = venue.draw()  # rule 8: more of it goes to the back
            venue.emit("amended", sibling, quantity=sibling.quantity, price=sibling.price)
