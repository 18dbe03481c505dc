"""What do the legs of a list, and other orders held back, wait for? Lists are a state machine (`contingency`); what it
wants done is said here, and so is what becomes of an order that waited for its trigger or another's end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

from msgspec.structs import replace

from bot4_common.messages.execution import CancelRejected
from bot4_common.messages.gateway import PlaceList
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    CancelFailed,
    CancelReason,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    HeldReason,
    Leg,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderHeld,
    ReservationAmended,
)
from bot4_common.messages.terms import ListKind, Order
from bot4_common.orders import fingerprint, list_fingerprint
from bot4_risk import contingency, self_trade
from bot4_risk.account import Account, OpenOrder, market_of
from bot4_risk.contingency import WITH_PARENT, Action, Arm, Cancel, Contingent, Drop, News, Resize, Send
from bot4_risk.exposure import price_of
from bot4_risk.placing import (
    PLAIN_TYPES,
    Refusal,
    as_approved,
    at_venue,
    fitted,
    is_repeat,
    order_refusal,
    pass_gate,
    prevention_of,
    send,
    with_prevention,
    without_self_trades,
)
from bot4_risk.state import FIRED_MAX, Moment
from bot4_risk.switches import engaged_for

# Nothing is wrong with an order that was held: its time is just over.
NO_REFUSAL: Refusal = ("", {})


def place_list(moment: Moment, list_id: str, command: PlaceList) -> None:
    asked = list_fingerprint(command.list)
    if is_repeat(moment, list_id, command.account, command.list.client_list_id, asked):
        return
    orders = [at_venue(moment, order) for order in command.list.orders]
    legs = [Leg(order_id=f"{list_id}-leg{number}", order=order) for number, order in enumerate(orders, 1)]
    refusal = _list_refusal(moment, list_id, command, orders)
    if refusal is not None:
        code, details = refusal
        moment.emit(
            ListRefused(
                list_id=list_id,
                account=command.account,
                client_list_id=command.list.client_list_id,
                kind=command.list.kind,
                legs=legs,
                fingerprint=asked,
                code=code,
                details=details,
                at=moment.now,
            )
        )
        return
    account, quote = moment.state.account(command.account), moment.quote(orders[0])
    assert quote is not None
    opening = [_is_opening(account, command.list.kind, orders, number) for number in range(len(orders))]
    legs = [
        replace(
            leg,
            order=with_prevention(
                moment.limits,
                command.account,
                _leg_as_approved(moment, command, number, leg.order, opening[number]),
            ),
        )
        for number, leg in enumerate(legs)
    ]
    native = _is_native(moment, orders)
    moment.emit(
        ListApproved(
            list_id=list_id,
            account=command.account,
            client_list_id=command.list.client_list_id,
            kind=command.list.kind,
            native=native,
            legs=legs,
            fingerprint=asked,
            bid=quote.bid,
            ask=quote.ask,
            at=moment.now,
        )
    )
    begun = moment.state.account(command.account).lists[list_id]
    for leg, opens, state in zip(legs, opening, [each.state for each in begun.legs], strict=True):
        if state == "working":
            send(moment, command.account, leg.order_id, leg.order, fingerprint(leg.order), opens, list_id)
        else:
            _hold(moment, command.account, leg, quote, list_id)


def waits_for_parent(kind: ListKind, number: int) -> bool:
    """Whether the leg waits for a parent."""
    return kind in WITH_PARENT and number > 0


def alternatives(kind: ListKind, legs: int) -> list[bool]:
    """Which legs are alternatives of each other."""
    return [kind != "oto" and not (kind == "otoco" and number == 0) for number in range(legs)]


def is_covered(kind: ListKind, number: int, order: Order) -> bool:
    """A child that only reduces closes what its parent has yet to open."""
    return waits_for_parent(kind, number) and order.reduce_only


def follow(moment: Moment, name: str, order_id: str, news: News) -> list[Action]:
    """What a list wants done about news of one leg. To be asked before the news is told, and done after."""
    contingent = list_of(moment.state.account(name), order_id)
    return [] if contingent is None else contingency.reactions(contingent, order_id, news)


def act(moment: Moment, name: str, actions: Sequence[Action], reason: CancelReason = "contingency") -> None:
    """Does what a list wants done."""
    for action in actions:
        open_order = moment.state.account(name).open_orders.get(action.order_id)
        if open_order is None:
            continue
        match action:
            case Cancel():
                moment.emit(CancelApproved(order_id=action.order_id, account=name, reason=reason))
            case Send(quantity=quantity):
                release(moment, name, action.order_id, open_order, quantity)
            case Arm(quantity=quantity):
                moment.emit(HeldOrderArmed(order_id=action.order_id, account=name, quantity=quantity))
            case Resize(quantity=quantity):
                _resize(moment, name, action.order_id, open_order, quantity)
            case Drop(code=code):
                ended = "refused" if code else _held_reason(reason)
                drop(moment, name, action.order_id, open_order, ended, (code, {}))


def end_if_over(moment: Moment, name: str, list_id: str) -> None:
    account = moment.state.account(name)
    contingent = account.lists.get(list_id)
    if contingent is not None and contingent.over:
        moment.emit(ListEnded(list_id=list_id, account=name))


def drop(
    moment: Moment, name: str, order_id: str, open_order: OpenOrder, reason: HeldReason, refusal: Refusal = NO_REFUSAL
) -> None:
    """An order that was held will never be sent."""
    code, details = refusal
    moment.emit(
        HeldOrderCancelled(
            order_id=order_id, account=name, quantity=open_order.leaves, reason=reason, code=code, details=details
        )
    )


def in_turn(account: Account) -> Iterator[tuple[str, OpenOrder]]:
    """Those that are not over, at a venue first: what then ends with a held one is being cancelled already."""
    for order_id, open_order in sorted(account.open_orders.items(), key=lambda each: each[1].held is not None):
        if account.order(order_id) is not None:
            yield order_id, open_order


def drop_whole(
    moment: Moment, name: str, order_id: str, open_order: OpenOrder, reason: Literal["kill_switch", "reduce_only"]
) -> None:
    """An order that was held ends, and so does what would have followed it."""
    actions = follow(moment, name, order_id, contingency.CancelWished())
    if actions:
        act(moment, name, actions, reason)
        end_if_over(moment, name, open_order.list_id)
    else:
        drop(moment, name, order_id, open_order, reason)


def release(moment: Moment, name: str, order_id: str, open_order: OpenOrder, quantity: Decimal) -> None:
    """The time of an order that was held has come, unless trading is stopped by now."""
    _send(moment, name, order_id, open_order, contingency.as_sent(open_order.order, quantity))


def _send(moment: Moment, name: str, order_id: str, open_order: OpenOrder, order: Order) -> None:
    held = open_order.held
    assert held is not None
    if engaged_for(moment.state.control.switches, name, order.strategy, order.symbol) is not None:
        _turn_away(moment, name, order_id, open_order, "kill_switch")
        return
    if moment.quote(order) is None:
        missing = {"symbol": order.symbol, "venue": order.venue}
        _turn_away(moment, name, order_id, open_order, "refused", ("NO_MARKET", missing))
        return
    order, refusal = without_self_trades(moment, order_id, name, order)
    if refusal is not None:
        _turn_away(moment, name, order_id, open_order, "refused", refusal)
        return
    # What it reserves is its own already.
    account = moment.state.account(name)
    opening = not order.reduce_only and open_order.claim > account.reducible(market_of(order), order.side)
    send(moment, name, order_id, order, held.fingerprint, opening, open_order.list_id)


def _turn_away(
    moment: Moment, name: str, order_id: str, open_order: OpenOrder, reason: HeldReason, refusal: Refusal = NO_REFUSAL
) -> None:
    """Its time has come, and it may not go."""
    actions = follow(moment, name, order_id, contingency.Over())
    drop(moment, name, order_id, open_order, reason, refusal)
    act(moment, name, actions)


def watch_triggers(moment: Moment, quote: Quote) -> None:
    """Fires the orders held back whose trigger the market has reached."""
    fired = 0
    for name, order_id, open_order in moment.state.triggers(market_of(quote)):
        held = open_order.held
        if held is None or not held.armed or held.triggered or held.replaces:
            continue
        if not contingency.reached(open_order.order, quote.bid, quote.ask):
            continue
        fired += 1
        if fired > FIRED_MAX:
            return
        actions = follow(moment, name, order_id, contingency.Triggered())
        moment.emit(HeldOrderTriggered(order_id=order_id, account=name, bid=quote.bid, ask=quote.ask, at=moment.now))
        if open_order.list_id:
            act(moment, name, actions)
            end_if_over(moment, name, open_order.list_id)
        else:
            release(moment, name, order_id, open_order, open_order.leaves)


def expire(moment: Moment) -> None:
    """Ends the orders held back whose time is up."""
    for order_id, (due_at, name) in sorted(moment.state.expiries.items()):
        open_order = moment.state.account(name).open_orders.get(order_id)
        if due_at > moment.now or open_order is None:
            continue
        actions = follow(moment, name, order_id, contingency.Over())
        drop(moment, name, order_id, open_order, "expired")
        act(moment, name, actions)
        end_if_over(moment, name, open_order.list_id)


def cancel_failed(moment: Moment, told: CancelRejected) -> None:
    """What is over ends by itself, and what is not there yet is cancelled when it is; but a venue may refuse."""
    open_order = moment.state.account(told.account).open_orders.get(told.order_id)
    if open_order is None or not open_order.cancelling or told.code in ("ORDER_IS_OVER", "UNKNOWN_ORDER"):
        return
    actions = follow(moment, told.account, told.order_id, contingency.CancelFailed())
    moment.emit(CancelFailed(order_id=told.order_id, account=told.account, code=told.code))
    act(moment, told.account, actions)
    if open_order.amend is None:
        # What the venue refused to amend meanwhile was left to the cancel.
        still = contingency.AmendFailed(open_order.total)
        act(moment, told.account, follow(moment, told.account, told.order_id, still))


def replace_now(moment: Moment, name: str, replaced: str, cancelled: bool) -> None:
    """An order is over that another was to replace; `cancelled` says that it ended by that."""
    account = moment.state.account(name)
    order_id = account.replacing.get(replaced)
    if order_id is None:
        return
    open_order = account.open_orders[order_id]
    held = open_order.held
    assert held is not None
    if not cancelled and held.mode == "stop_on_failure":
        drop(moment, name, order_id, open_order, "refused", ("REPLACE_STOPPED", {"order_id": replaced}))
    elif open_order.order.type not in PLAIN_TYPES and not moment.venues[open_order.order.venue].stops:
        # It waits on, for its trigger.
        moment.emit(HeldOrderArmed(order_id=order_id, account=name, quantity=open_order.leaves))
    else:
        _send(moment, name, order_id, open_order, open_order.order)


def list_of(account: Account, order_id: str) -> Contingent | None:
    """The list that an order is a leg of, as long as the list is not over, though the leg may be."""
    list_id, _, number = order_id.rpartition("-leg")
    # The exit of a leg's stop, `12-0-leg1-stop1`, is no leg.
    return account.lists.get(list_id) if number.isdigit() else None


def _held_reason(reason: CancelReason) -> HeldReason:
    return reason if reason in ("requested", "kill_switch", "reduce_only") else "contingency"


def _resize(moment: Moment, name: str, order_id: str, open_order: OpenOrder, quantity: Decimal) -> None:
    price = open_order.order.price
    if open_order.held is not None:
        moment.emit(
            ReservationAmended(order_id=order_id, account=name, quantity=quantity, price=price, leaves=quantity)
        )
    elif open_order.amend is None:
        moment.emit(AmendApproved(order_id=order_id, account=name, quantity=quantity, price=price, at=moment.now))


def _hold(moment: Moment, name: str, leg: Leg, quote: Quote, list_id: str) -> None:
    moment.emit(
        OrderHeld(
            order_id=leg.order_id,
            account=name,
            order=leg.order,
            fingerprint=fingerprint(leg.order),
            at=moment.now,
            list_id=list_id,
            price=price_of(leg.order, (quote.bid + quote.ask) / 2),
        )
    )


def _list_refusal(moment: Moment, list_id: str, command: PlaceList, orders: list[Order]) -> Refusal | None:
    name, kind = command.account, command.list.kind
    if len({order.strategy for order in orders}) > 1:
        return "LIST_LEGS_DIFFER", {"field": "strategy"}
    account = moment.state.account(name)
    if any(each.client_list_id == command.list.client_list_id for each in account.lists.values()):
        return "DUPLICATE_LIVE_LIST", {"client_list_id": command.list.client_list_id}
    quote = moment.quote(orders[0])
    if quote is None:
        return "NO_MARKET", {"symbol": orders[0].symbol, "venue": orders[0].venue}
    refusal = contingency.refusal(kind, orders, quote.bid, quote.ask)
    # Its first order is what the strategy wants; the others come with it.
    refusal = refusal or pass_gate(moment, list_id, name, orders[0], command.override)
    if refusal is not None:
        return refusal
    for number, order in enumerate(orders):
        if moment.state.taken.get((name, order.client_order_id), moment.now) is not None:
            return "KEY_REUSED", {"client_order_id": order.client_order_id}
        covered = waits_for_parent(kind, number) and _is_covered_by(account, orders[0], order)
        spends = len(orders) if number == 0 else 0
        ahead = orders[0] if waits_for_parent(kind, number) else None
        refusal = order_refusal(moment, name, order, covered, spends, ahead)
        if refusal is None and not covered and fitted(moment, name, order) != order:
            # What is made smaller is no longer the list that was asked for.
            refusal = "CORRELATION", {"symbol": order.symbol}
        refusal = refusal or _self_trade_refusal(moment, name, order)
        if refusal is None and number and not covered and not order.reduce_only and account.is_opening(order):
            # What opens more than the first order does needs a cause of its own.
            refusal = pass_gate(moment, f"{list_id}-leg{number + 1}", name, order, command.override)
        if refusal is not None:
            code, details = refusal
            return code, {"leg": str(number + 1), **details}
    return None


def _self_trade_refusal(moment: Moment, name: str, order: Order) -> Refusal | None:
    """A list that would meet an order of its owner is refused whole, whatever the mode: a part of it is another one."""
    quote, mode = moment.quote(order), prevention_of(moment.limits, name, order)
    if quote is None:
        return None
    state = moment.state
    met = self_trade.prevented(state.own_orders, state.owner(name), order, mode, quote.bid, quote.ask)
    return None if met is None else ("SELF_TRADE", {"mode": mode, "resting_id": met.met[0].resting_id})


def _is_covered_by(account: Account, parent: Order, child: Order) -> bool:
    """Whether the child can close no more than what the parent opens."""
    same = (child.venue, child.symbol) == (parent.venue, parent.symbol)
    opens = not parent.reduce_only and account.is_opening(parent)
    return same and opens and child.side != parent.side and child.quantity <= parent.quantity


def _is_opening(account: Account, kind: ListKind, orders: list[Order], number: int) -> bool:
    order = orders[number]
    if waits_for_parent(kind, number) and _is_covered_by(account, orders[0], order):
        return False
    return account.is_opening(order, orders[0] if waits_for_parent(kind, number) else None)


def _leg_as_approved(moment: Moment, command: PlaceList, number: int, order: Order, opening: bool) -> Order:
    if not opening and not order.reduce_only:
        # Legs reduce all or none, so what could open as well is held to closing, too.
        return replace(order, reduce_only=True)
    if waits_for_parent(command.list.kind, number) and order.reduce_only:
        # What it reduces is yet to be opened.
        return order
    return as_approved(moment, command.account, order, opening)


def _is_native(moment: Moment, orders: list[Order]) -> bool:
    venue = moment.venues[orders[0].venue]
    return venue.lists and (venue.stops or all(order.type in PLAIN_TYPES for order in orders))
