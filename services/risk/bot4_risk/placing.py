"""May this account take this order? The first rule that it breaks refuses it; what breaks none is reserved and sent, or
held until its time comes."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.messages.gateway import PlaceOrder, ReplaceOrder
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    GateDecided,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    SelfTradePrevented,
)
from bot4_common.messages.terms import Order, Prevention, ReplaceMode, Side, opposite
from bot4_common.money import ZERO, multiply, plain
from bot4_risk import contingency, self_trade
from bot4_risk.account import Account, market_of
from bot4_risk.check import Asked, check
from bot4_risk.correlation import scaled
from bot4_risk.exposure import price_of
from bot4_risk.limits import of_account
from bot4_risk.state import Moment
from bot4_risk.switches import Switch, engaged_for

# Types that go to the book as they come; all others wait for a trigger.
PLAIN_TYPES = ("limit", "market")

DEFAULT_MODE: ReplaceMode = "stop_on_failure"

Refusal = tuple[str, dict[str, str]]


def place(
    moment: Moment, order_id: str, command: PlaceOrder | ReplaceOrder, asked: str, refusal: Refusal | None
) -> None:
    """`asked` is the fingerprint of the submission. With a `refusal` it is only left to be told."""
    account = moment.state.account(command.account)
    order = at_venue(moment, command.order)
    refusal = refusal or _replacing_refusal(account, command)
    refusal = refusal or pass_gate(moment, order_id, command.account, order, command.override)
    if refusal is None:
        order = fitted(moment, command.account, order)
        refusal = order_refusal(moment, command.account, order)
        if refusal is None and not order.quantity:
            refusal = "CORRELATION", {"symbol": order.symbol, "fits": "0"}
    opening = account.is_opening(order)
    if refusal is None:
        order = as_approved(moment, command.account, order, opening)
        order, refusal = without_self_trades(moment, order_id, command.account, order)
    if refusal is not None:
        _refuse(moment, order_id, command, asked, refusal)
        return
    approved = with_prevention(moment.limits, command.account, order)
    # With the old one over already there is nothing to wait for.
    replacing = command if isinstance(command, ReplaceOrder) and account.order(command.order_id) else None
    if replacing is not None or is_emulated(moment, order):
        _hold(moment, command.account, order_id, approved, asked, replacing)
    else:
        send(moment, command.account, order_id, approved, asked, opening)


def is_repeat(moment: Moment, order_id: str, account: str, client_id: str, asked: str) -> bool:
    """Says so when the client order id, or client list id, is taken."""
    first = moment.state.taken.get((account, client_id), moment.now)
    if first is None:
        return False
    moment.emit(
        OrderRepeated(
            order_id=order_id,
            account=account,
            client_order_id=client_id,
            first=first.order_id,
            same_body=first.fingerprint == asked,
        )
    )
    return True


def at_venue(moment: Moment, order: Order) -> Order:
    return order if order.venue else replace(order, venue=next(iter(moment.venues)))


def is_emulated(moment: Moment, order: Order) -> bool:
    """Whether risk watches the order's trigger itself: the venue has no stops."""
    return order.type not in PLAIN_TYPES and not moment.venues[order.venue].stops


def pass_gate(moment: Moment, order_id: str, account: str, order: Order, override: str) -> Refusal | None:
    """Has the gate judge the order, and says what it said, while it is enabled."""
    gate = moment.state.control.gate
    if not gate.enabled:
        return None
    verdict = gate.judge(account, order, override, moment.now, moment.limits.gate)
    moment.emit(
        GateDecided(
            order_id=order_id,
            account=account,
            strategy=order.strategy,
            decision=verdict.decision,
            signal=order.signal,
            reason=verdict.code or override,
        )
    )
    return (verdict.code, verdict.details) if verdict.code else None


def fitted(moment: Moment, name: str, order: Order) -> Order:
    """As much of it as goes with what is held, where the account wants that rather than a refusal."""
    limits, lot = of_account(moment.limits, name), moment.lots.get(order.symbol)
    if limits.correlation_action != "scale" or lot is None or order.reduce_only:
        return order
    correlation = moment.state.correlations.of(moment.state.ledger, name, order.symbol, order.side)
    return replace(order, quantity=scaled(order.quantity, correlation, limits, lot))


def order_refusal(
    moment: Moment, name: str, order: Order, covered: bool = False, spends: int = 1, ahead: Order | None = None
) -> Refusal | None:
    """The first rule the order breaks, with the numbers that explain it. A `covered` order only closes what another
    one opens first. `spends` is for how many orders it stands, and `ahead` is one that comes before it, is not open
    yet, and has to be within the limits together with it."""
    state = moment.state
    account = state.account(name)
    switch = engaged_for(state.control.switches, name, order.strategy, order.symbol)
    if switch is not None:
        return stopped(switch)
    if order.venue not in moment.venues:
        return "UNKNOWN_VENUE", {"venue": order.venue, "venues": ", ".join(moment.venues)}
    if order.client_order_id in account.live:
        return "DUPLICATE_LIVE_ORDER", {"order_id": account.live[order.client_order_id]}
    if order.type == "trailing_stop" and not moment.venues[order.venue].stops:
        return "ORDER_TYPE_UNKNOWN", {"type": order.type, "venue": order.venue}
    quote = moment.quote(order)
    opening = not order.reduce_only and not covered and account.is_opening(order, ahead)
    asked = _asked(moment, name, order, opening, spends, *_ahead_of(moment, order, ahead))
    refusal = check(asked, state.ledger, state.rates, state.limits, state.correlations)
    if refusal is not None:
        return refusal
    assert quote is not None
    if covered:
        return None
    if order.stop_price is not None and contingency.reached(order, quote.bid, quote.ask):
        return "STOP_ALREADY_PASSED", numbers(stop_price=order.stop_price, bid=quote.bid, ask=quote.ask)
    if order.reduce_only:
        return _reduce_only_refusal(account, order)
    return _stop_refusal(account, order, quote) if opening else None


def _asked(
    moment: Moment,
    name: str,
    order: Order,
    opening: bool,
    spends: int = 1,
    besides: Decimal = ZERO,
    worth: Decimal = ZERO,
) -> Asked:
    """`besides` is added to its quantity, and `worth` to what it is worth, for what comes with it."""
    quote = moment.quote(order)
    return Asked(
        account=name,
        order=order,
        quantity=order.quantity + besides,
        mid=None if quote is None else (quote.bid + quote.ask) / 2,
        opening=opening,
        now=moment.now,
        quote_at=0 if quote is None else quote.at,
        adds=spends,
        spends=spends,
        repriced=worth,
    )


def _ahead_of(moment: Moment, order: Order, ahead: Order | None) -> tuple[Decimal, Decimal]:
    """What the one ahead adds to the order's own quantity, and by how much it is worth more than that."""
    if ahead is None or ahead.reduce_only:
        return ZERO, ZERO
    same = (ahead.venue, ahead.symbol, ahead.side) == (order.venue, order.symbol, order.side)
    quantity = ahead.quantity if same else ZERO
    return quantity, _worth(moment, ahead, ahead.quantity) - _worth(moment, order, quantity)


def _worth(moment: Moment, order: Order, quantity: Decimal) -> Decimal:
    quote = moment.quote(order)
    return ZERO if quote is None else multiply(quantity, price_of(order, (quote.bid + quote.ask) / 2))


def stopped(switch: Switch) -> Refusal:
    named = {"account": switch.account, "strategy": switch.strategy, "symbol": switch.symbol}
    covered = {field: named[field] for field in _NAMED_BY[switch.scope]}
    return "KILL_SWITCH", {"scope": switch.scope, **covered, "reason": switch.reason}


_NAMED_BY = {"firm": (), "account": ("account",), "strategy": ("account", "strategy"), "symbol": ("symbol",)}


def as_approved(moment: Moment, name: str, order: Order, opening: bool) -> Order:
    """What may go to the venue: no reduce-only order beyond the position; and an order that, as things stand, only
    closes is held to that at the venue too, whatever fills before it, unless it has a stop and could open as well."""
    account = moment.state.account(name)
    if order.reduce_only:
        market = market_of(order)
        room = account.reducible(market, order.side) - account.reduce_only_on(market, order.side)
        return replace(order, quantity=min(order.quantity, room))
    if opening or (order.stop_loss is not None and _may_open(moment, name, order)):
        return order
    return replace(order, reduce_only=True)


def _may_open(moment: Moment, name: str, order: Order) -> bool:
    """Whether no rule for orders that open is broken."""
    state = moment.state
    asked = _asked(moment, name, order, opening=True)
    return check(asked, state.ledger, state.rates, state.limits, state.correlations) is None


def send(moment: Moment, name: str, order_id: str, order: Order, asked: str, opening: bool, list_id: str = "") -> None:
    """Approves an order; there must be a market. `asked` is the fingerprint of the submission."""
    quote = moment.quote(order)
    assert quote is not None
    moment.emit(
        OrderApproved(
            order_id=order_id,
            account=name,
            order=order,
            fingerprint=asked,
            bid=quote.bid,
            ask=quote.ask,
            opening=opening and not order.reduce_only,
            at=moment.now,
            list_id=list_id,
        )
    )


def reached(exit_side: Side, stop_price: Decimal, quote: Quote) -> bool:
    return quote.bid <= stop_price if exit_side == "sell" else quote.ask >= stop_price


def numbers(**values: Decimal | int) -> dict[str, str]:
    return {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}


def _refuse(moment: Moment, order_id: str, command: PlaceOrder | ReplaceOrder, asked: str, refusal: Refusal) -> None:
    code, details = refusal
    moment.emit(
        OrderRefused(
            order_id=order_id,
            account=command.account,
            order=command.order,
            fingerprint=asked,
            code=code,
            details=details,
            at=moment.now,
        )
    )


def _hold(moment: Moment, name: str, order_id: str, order: Order, asked: str, replacing: ReplaceOrder | None) -> None:
    quote = moment.quote(order)
    assert quote is not None
    moment.emit(
        OrderHeld(
            order_id=order_id,
            account=name,
            order=order,
            fingerprint=asked,
            at=moment.now,
            price=price_of(order, (quote.bid + quote.ask) / 2),
            replaces="" if replacing is None else replacing.order_id,
            mode=DEFAULT_MODE if replacing is None else replacing.mode,
        )
    )
    if replacing is not None:
        moment.emit(CancelApproved(order_id=replacing.order_id, account=name, reason="replaced"))


def _replacing_refusal(account: Account, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
    if isinstance(command, PlaceOrder):
        return None
    replaces = command.order_id
    old = account.order(replaces)
    if old is None and command.mode == "allow_failure":
        return None
    if old is None or replaces in account.replacing:
        return "ORDER_IS_OVER", {"order_id": replaces}
    if old.held is not None or old.list_id:
        return "REPLACE_STOPPED", {"order_id": replaces, "list_id": old.list_id}
    return None


def _reduce_only_refusal(account: Account, order: Order) -> Refusal | None:
    market = market_of(order)
    claimed = account.reduce_only_on(market, order.side)
    if account.reducible(market, order.side) <= claimed:
        return "NOTHING_TO_REDUCE", numbers(position=account.position(market), claimed=claimed)
    return None


def _stop_refusal(account: Account, order: Order, quote: Quote) -> Refusal | None:
    """An order that can open a position has a stop, which the market has not passed. Where a trigger opens it, the
    market is to be somewhere else by then."""
    if order.stop_loss is None:
        return "STOP_LOSS_REQUIRED", numbers(position=account.position(market_of(order)), quantity=order.quantity)
    if order.type in PLAIN_TYPES and reached(opposite(order.side), order.stop_loss, quote):
        return "STOP_ALREADY_PASSED", numbers(stop_loss=order.stop_loss, bid=quote.bid, ask=quote.ask)
    return None


def with_prevention(document: LimitsDocument, account: str, order: Order) -> Order:
    """The order with what is to be prevented written out, so that the venue prevents it too."""
    mode = prevention_of(document, account, order)
    return order if mode in ("none", order.self_trade_prevention) else replace(order, self_trade_prevention=mode)


def prevention_of(document: LimitsDocument, account: str, order: Order) -> Prevention:
    """The order's own mode, or that of its account, which no order turns off."""
    asked = order.self_trade_prevention
    return asked if asked and asked != "none" else of_account(document, account).self_trade_prevention


def without_self_trades(moment: Moment, order_id: str, name: str, order: Order) -> tuple[Order, Refusal | None]:
    """What is left of the order where it would meet others of its owner. Those that have to go, go; the venue's own
    prevention stays as the second line."""
    state, mode = moment.state, prevention_of(moment.limits, name, order)
    quote = moment.quote(order)
    assert quote is not None
    found = self_trade.prevented(state.own_orders, state.owner(name), order, mode, quote.bid, quote.ask)
    if found is None:
        return order, None
    for met in found.met:
        moment.emit(
            SelfTradePrevented(
                order_id=order_id,
                account=name,
                resting_id=met.resting_id,
                resting_account=met.account,
                symbol=order.symbol,
                mode=mode,
                quantity=met.quantity,
                resting_quantity=met.resting_quantity,
                price=met.price,
                at=moment.now,
            )
        )
        if met.resting_quantity:
            _give_way(moment, met)
    if found.left == ZERO:
        first = found.met[0]
        details = {"mode": mode, "resting_id": first.resting_id, "met": str(len(found.met))}
        return order, ("SELF_TRADE", details | numbers(prevented=order.quantity))
    return replace(order, quantity=found.left), None


def _give_way(moment: Moment, met: self_trade.Met) -> None:
    """A resting order makes room for one of its owner: it is cancelled, or made smaller."""
    open_order = moment.state.account(met.account).open_orders[met.resting_id]
    if met.left and open_order.amend is None:
        smaller = open_order.order.quantity - met.resting_quantity
        moment.emit(
            AmendApproved(
                order_id=met.resting_id,
                account=met.account,
                quantity=smaller,
                price=open_order.order.price,
                at=moment.now,
            )
        )
    elif not open_order.cancelling:
        moment.emit(CancelApproved(order_id=met.resting_id, account=met.account, reason="self_trade"))
