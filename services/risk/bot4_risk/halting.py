"""What stops trading, and what does stopping mean? Kill switches, by hand or by a guard: nothing new is taken, what
rests is cancelled, and if wanted what is held is closed."""

from __future__ import annotations

from decimal import Decimal

from bot4_common.messages.execution import OrderFilled, OrderSent
from bot4_common.messages.gateway import EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import (
    CancelApproved,
    GuardTripped,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    PositionFlattened,
)
from bot4_common.messages.terms import Order, Side
from bot4_common.money import ZERO
from bot4_risk import lists, protection
from bot4_risk.account import Account, market_of
from bot4_risk.guards import Guard
from bot4_risk.state import Moment
from bot4_risk.switches import Switch, engaged_for, key_of


def engage(moment: Moment, command: EngageKillSwitch) -> None:
    """Asked for again, it cancels again: the first cancels may have been too early for an order."""
    control = moment.state.control
    known = control.switches.get(key_of(command))
    if known is None or (command.flatten and not known.flatten):
        moment.emit(
            KillSwitchEngaged(
                account=command.account,
                reason=command.reason,
                scope=command.scope,
                strategy=command.strategy,
                symbol=command.symbol,
                flatten=command.flatten,
                by=command.by,
            )
        )
    _stop(moment, control.switches[key_of(command)])


def reset(moment: Moment, command: ResetKillSwitch) -> None:
    named = {
        "account": command.account,
        "scope": command.scope,
        "strategy": command.strategy,
        "symbol": command.symbol,
    }
    if key_of(command) in moment.state.control.switches:
        moment.emit(KillSwitchReset(reason=command.reason, by=command.by, **named))  # type: ignore[arg-type]
    else:
        moment.emit(KillSwitchResetRefused(**named))  # type: ignore[arg-type]


def runaway_refusal(moment: Moment, name: str, order: Order) -> tuple[str, dict[str, str]] | None:
    """One order too many that is the same as others of the moment: the strategy is stopped."""
    limits = moment.limits.guards
    guard = moment.state.control.guards.get(f"{name}/{order.strategy}") or Guard()
    count = guard.duplicates(order, moment.now, limits)
    if count <= limits.duplicates_max:
        return None
    trip(moment, name, order.strategy, "duplicates", count, limits.duplicates_max)
    return "RUNAWAY", {"guard": "duplicates", "count": str(count), "limit": str(limits.duplicates_max)}


def watch_fill(moment: Moment, fill: OrderFilled) -> None:
    """To be asked before the fill is booked."""
    limits = moment.limits.guards
    guard = moment.state.control.guards.get(f"{fill.account}/{fill.strategy}") or Guard()
    count = guard.executions(fill.symbol, fill.side, moment.now, limits)
    if count > limits.executions_max:
        trip(moment, fill.account, fill.strategy, "executions", count, limits.executions_max)


def watch_sent(moment: Moment, sent: OrderSent) -> None:
    """Whatever goes to a venue was approved, is not over, goes once, and is no larger: or something has run away."""
    open_order = moment.state.account(sent.account).open_orders.get(sent.order_id)
    number = sent.child_id.rpartition(".")[2]
    # What is over by now was sent before it ended: that was the first child.
    if number != "1" or (open_order is not None and sent.order.quantity > open_order.order.quantity):
        count = int(number) if number.isdigit() else 0
        trip(moment, sent.account, sent.order.strategy, "children", count, 1)


def trip(moment: Moment, name: str, strategy: str, guard: str, count: int, limit: int) -> None:
    if engaged_for(moment.state.control.switches, name, strategy, "") is not None:
        return
    moment.emit(
        GuardTripped(
            account=name,
            strategy=strategy,
            guard=guard,  # type: ignore[arg-type]
            count=count,
            limit=limit,
            at=moment.now,
        )
    )
    engaged = KillSwitchEngaged(
        account=name,
        reason=f"{count} {guard} where {limit} are allowed",
        scope="strategy",
        strategy=strategy,
        cause="guard",
    )
    moment.emit(engaged)
    _stop(moment, moment.state.control.switches[key_of(engaged)])


def watch_flattening(moment: Moment, quote: Quote) -> None:
    """Tries again where a closing order did not close everything."""
    switches = [switch for switch in moment.state.control.switches.values() if switch.flatten]
    if not switches:
        return
    market = market_of(quote)
    for name in sorted(moment.state.accounts):
        account = moment.state.accounts[name]
        for switch in switches:
            strategy = switch.strategy if switch.scope == "strategy" else ""
            if account.position(market) and switch.covers(name, strategy, quote.symbol):
                _flatten(moment, name, account, market, strategy, quote)


def _stop(moment: Moment, switch: Switch) -> None:
    for name in sorted(moment.state.accounts):
        account = moment.state.accounts[name]
        for order_id, open_order in lists.in_turn(account):
            order = open_order.order
            if order_id in account.exits or not switch.covers(name, order.strategy, order.symbol):
                continue
            if open_order.held is None:
                moment.emit(CancelApproved(order_id=order_id, account=name, reason="kill_switch"))
            else:
                lists.drop_whole(moment, name, order_id, open_order, "kill_switch")
        if switch.flatten:
            _flatten_all(moment, switch, name, account)


def _flatten_all(moment: Moment, switch: Switch, name: str, account: Account) -> None:
    for market in sorted(account.positions):
        venue, _, symbol = market.partition("/")
        strategy = switch.strategy if switch.scope == "strategy" else ""
        quote = moment.quotes.get((venue, symbol))
        if quote is not None and switch.covers(name, strategy, symbol):
            _flatten(moment, name, account, market, strategy, quote)


def _flatten(moment: Moment, name: str, account: Account, market: str, strategy: str, quote: Quote) -> None:
    """Closes what is not being closed already: a strategy's part of the position, or, strategy by strategy, all."""
    held = account.position(market)
    side: Side = "sell" if held > 0 else "buy"
    wanted = abs(held) - account.exiting_on(market, side)
    for each in [strategy] if strategy else _strategies(moment, name):
        mine = moment.state.ledger.position_of_strategy(name, each, quote.venue, quote.symbol)
        part = abs(mine) - _closing(account, market, each, side)
        quantity = min(wanted, part) if (mine > 0) == (held > 0) else ZERO
        if quantity > 0:
            wanted -= quantity
            _close(moment, name, each, side, quantity, quote)


def _closing(account: Account, market: str, strategy: str, side: Side) -> Decimal:
    """What exits under way still want to close of a strategy's part, by trading on this side."""
    closing = [account.open_orders[exit_id] for exit_id in account.exits if exit_id in account.open_orders]
    mine = [
        each
        for each in closing
        if (each.order.strategy, each.order.side, market_of(each.order)) == (strategy, side, market)
    ]
    return sum((each.leaves for each in mine), ZERO)


def _strategies(moment: Moment, name: str) -> list[str]:
    book = moment.state.ledger.accounts.get(name)
    return [] if book is None else sorted(book.strategies)


def _close(moment: Moment, name: str, strategy: str, side: Side, quantity: Decimal, quote: Quote) -> None:
    exit_id = f"flat-{moment.state.control.flattened + 1}"
    moment.emit(
        PositionFlattened(
            account=name,
            strategy=strategy,
            symbol=quote.symbol,
            venue=quote.venue,
            exit_id=exit_id,
            quantity=quantity,
        )
    )
    order = protection.exit_order(moment, name, exit_id, quote.symbol, side, quantity, strategy, quote.venue)
    protection.approve_exit(moment, name, order, quote)
