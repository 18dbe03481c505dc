"""May an order be changed? An amend is judged by what it adds, and reserved at its larger size until the venue has
spoken."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.messages.execution import AmendRejected, OrderAmended
from bot4_common.messages.gateway import AmendOrder
from bot4_common.messages.risk import AmendApproved, AmendRefused, ReservationAmended
from bot4_common.messages.terms import Order, opposite
from bot4_common.money import ZERO, multiply
from bot4_risk import contingency, lists, self_trade
from bot4_risk.account import Account, OpenOrder
from bot4_risk.check import Asked, check
from bot4_risk.placing import PLAIN_TYPES, Refusal, numbers, pass_gate, prevention_of, reached, stopped
from bot4_risk.state import Moment
from bot4_risk.switches import engaged_for


def amend(moment: Moment, command: AmendOrder) -> None:
    name, order_id = command.account, command.order_id
    account = moment.state.account(name)
    open_order = account.order(order_id)
    if open_order is None:
        _refuse(moment, command, ("ORDER_IS_OVER", {"order_id": order_id}))
        return
    changed = replace(
        open_order.order,
        quantity=open_order.order.quantity if command.quantity is None else command.quantity,
        price=open_order.order.price if command.price is None else command.price,
    )
    refusal = _unamendable(account, open_order, command) or _refusal(moment, name, order_id, open_order, changed)
    if refusal is not None:
        _refuse(moment, command, refusal)
    elif open_order.held is not None:
        _settle(moment, name, order_id, open_order, changed.quantity, changed.price, changed.quantity)
    else:
        moment.emit(
            AmendApproved(
                order_id=order_id, account=name, quantity=changed.quantity, price=changed.price, at=moment.now
            )
        )


def amended(moment: Moment, told: OrderAmended) -> None:
    """The venue has given the order another total or price."""
    open_order = moment.state.account(told.account).open_orders.get(told.order_id)
    if open_order is not None:
        _settle(moment, told.account, told.order_id, open_order, told.quantity, told.price, told.leaves)


def rejected(moment: Moment, told: AmendRejected) -> None:
    """The order is as it was, and so is what followed its list's amend already."""
    open_order = moment.state.account(told.account).open_orders.get(told.order_id)
    if open_order is None or open_order.amend is None:
        return
    news = contingency.AmendFailed(open_order.total) if open_order.leaves else contingency.Over()
    actions = lists.follow(moment, told.account, told.order_id, news)
    moment.emit(
        ReservationAmended(
            order_id=told.order_id,
            account=told.account,
            quantity=open_order.order.quantity,
            price=open_order.order.price,
            leaves=open_order.leaves,
            code=told.code,
        )
    )
    _follow_up(moment, told.account, told.order_id, open_order, actions)


def _refuse(moment: Moment, command: AmendOrder, refusal: Refusal) -> None:
    code, details = refusal
    moment.emit(AmendRefused(order_id=command.order_id, account=command.account, code=code, details=details))


def _settle(
    moment: Moment,
    name: str,
    order_id: str,
    open_order: OpenOrder,
    quantity: Decimal,
    price: Decimal | None,
    leaves: Decimal,
) -> None:
    actions = lists.follow(moment, name, order_id, contingency.Amended(quantity - open_order.prevented))
    if not leaves:
        actions += lists.follow(moment, name, order_id, contingency.Over())
    moment.emit(ReservationAmended(order_id=order_id, account=name, quantity=quantity, price=price, leaves=leaves))
    _follow_up(moment, name, order_id, open_order, actions)


def _follow_up(
    moment: Moment, name: str, order_id: str, open_order: OpenOrder, actions: list[contingency.Action]
) -> None:
    """What an amend means to others; it may have ended its order (10)."""
    lists.act(moment, name, actions)
    lists.end_if_over(moment, name, open_order.list_id)
    if not open_order.leaves and open_order.amend is None:
        lists.replace_now(moment, name, order_id, cancelled=False)


def _unamendable(account: Account, open_order: OpenOrder, command: AmendOrder) -> Refusal | None:
    if command.order_id in account.exits:
        return "CLOSES_A_POSITION", {"order_id": command.order_id}
    # What a kill switch has stopped is being cancelled, too.
    under_way = open_order.amend is not None or open_order.cancelling
    if under_way or _is_sibling_amended(account, command.order_id, open_order):
        return "AMEND_IN_FLIGHT", {"order_id": command.order_id}
    if command.price is not None and open_order.order.price is None:
        return "AMEND_NOTHING", {"field": "price", "type": open_order.order.type}
    return None


def _refusal(moment: Moment, name: str, order_id: str, open_order: OpenOrder, changed: Order) -> Refusal | None:
    state, order = moment.state, open_order.order
    growth = max(changed.quantity - order.quantity, ZERO)
    if changed.quantity < open_order.filled:
        return "BELOW_FILLED", numbers(quantity=changed.quantity, filled=open_order.filled)
    if not growth and changed.price == order.price and changed.quantity == order.quantity:
        return "AMEND_NOTHING", numbers(quantity=changed.quantity)
    if not growth and changed.price == order.price:
        # It only becomes smaller, which is always allowed.
        return None
    switch = engaged_for(state.control.switches, name, order.strategy, order.symbol)
    if switch is not None:
        return stopped(switch)
    account = state.account(name)
    if growth and order.reduce_only:
        market_side = account.reducible(_market(order), order.side) - account.reduce_only_on(_market(order), order.side)
        if growth > market_side:
            return "NOTHING_TO_REDUCE", numbers(growth=growth, reducible=market_side)
    opening = not order.reduce_only and account.is_opening(replace(order, quantity=growth))
    quote = moment.quote(order)
    asked = Asked(
        account=name,
        order=changed,
        quantity=growth,
        mid=None if quote is None else (quote.bid + quote.ask) / 2,
        opening=opening,
        now=moment.now,
        quote_at=0 if quote is None else quote.at,
        adds=0,
        repriced=_repriced(open_order, changed),
    )
    refusal = check(asked, state.ledger, state.rates, state.limits, state.correlations)
    if refusal is None and opening and growth:
        refusal = pass_gate(moment, order_id, name, changed, "")
    if refusal is not None:
        return refusal
    assert quote is not None
    passed = order.stop_loss is not None and reached(opposite(order.side), order.stop_loss, quote)
    if passed and order.type in PLAIN_TYPES:
        assert order.stop_loss is not None
        return "STOP_ALREADY_PASSED", numbers(stop_loss=order.stop_loss, bid=quote.bid, ask=quote.ask)
    mode = prevention_of(moment.limits, name, order)
    left = changed.quantity - open_order.filled
    met = self_trade.prevented(
        state.own_orders, state.owner(name), replace(changed, quantity=left), mode, quote.bid, quote.ask
    )
    if met is not None:
        # Whatever the mode: an amend into an own order does nobody any good.
        return "SELF_TRADE", {"mode": mode, "resting_id": met.met[0].resting_id}
    return None


def _repriced(open_order: OpenOrder, changed: Order) -> Decimal:
    """What the new price adds to the notional of what is open already."""
    if changed.price is None or open_order.order.price is None or open_order.order.reduce_only:
        return ZERO
    return multiply(open_order.leaves, changed.price - open_order.order.price)


def _market(order: Order) -> str:
    return f"{order.venue}/{order.symbol}"


def _is_sibling_amended(account: Account, order_id: str, open_order: OpenOrder) -> bool:
    """Whether an amend of the other leg is under way at the venue. What is amended of one is amended of both (31), also
    where one is held: it would take back what it is told by itself."""
    if open_order.held is None:
        return False
    contingent = lists.list_of(account, order_id)
    if contingent is None:
        return False
    siblings = [leg.order_id for leg in contingent.siblings()]
    return order_id in siblings and any(
        each in account.open_orders and account.open_orders[each].amend is not None for each in siblings
    )
