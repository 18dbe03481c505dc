"""What do the events of risk come to? Facts are kept as they are told, and every total is added up anew from them.

It knows nothing of how risk keeps its own books: no running totals, no indexes. It is as slow as it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    EquityRebased,
    FeeBooked,
    HeldOrderArmed,
    HeldOrderCancelled,
    KillSwitchEngaged,
    KillSwitchReset,
    LimitsChanged,
    ListApproved,
    ListEnded,
    MarksTaken,
    OrderApproved,
    OrderHeld,
    PositionChanged,
    PositionFlattened,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Event, Order, Side
from bot4_common.money import ZERO

DAY_NS = 86_400 * 1_000_000_000


class Open(msgspec.Struct):
    """An open order: what of it may fill, what an amend adds to that, and what one of it is worth."""

    account: str
    order: Order
    leaves: Decimal
    price: Decimal
    growth: Decimal = ZERO
    amend: AmendApproved | None = None
    # Alternatives share a group.
    group: str = ""
    # It closes what is not open yet, and so wants nothing.
    covered: bool = False
    held: bool = False
    cancelling: bool = False

    @property
    def claim(self) -> Decimal:
        return ZERO if self.covered else self.leaves + self.growth


class Fill(NamedTuple):
    account: str
    strategy: str
    market: str
    quantity: Decimal
    price: Decimal


class Stake(NamedTuple):
    """What somebody has at stake in a market: held (signed), and what is ordered there."""

    held: Decimal
    buys: Decimal
    sells: Decimal
    reducing_buys: Decimal
    reducing_sells: Decimal

    @property
    def worst(self) -> Decimal:
        """The largest size it can come to, be it that what only reduces fills first."""
        short_closed = min(max(-self.held, ZERO), self.reducing_buys)
        long_closed = min(max(self.held, ZERO), self.reducing_sells)
        return max(
            abs(self.held + self.buys),
            abs(self.held + short_closed + self.buys),
            abs(self.held - self.sells),
            abs(self.held - long_closed - self.sells),
        )


class Wealth(msgspec.Struct):
    """In quote currency; what an owner has, the most it had, and what it had when the day began."""

    equity: Decimal
    peak: Decimal
    day_start: Decimal


# Account and strategy; without a strategy the account; without either the firm.
Owner = tuple[str, str]
FIRM: Owner = ("", "")


class Naive:
    def __init__(self, log: list[Event]) -> None:
        self.fills: list[Fill] = []
        self.fees: list[tuple[str, str, Decimal]] = []
        self.open: dict[str, Open] = {}
        self.stops: dict[str, StopArmed] = {}
        self.exits: dict[str, str] = {}
        self.lists: dict[str, ListApproved] = {}
        self.switches: set[tuple[str, str, str, str]] = set()
        self.limits = LimitsDocument()
        self.marks: dict[str, Decimal] = {}
        self.day = 0
        self.owners: list[Owner] = [FIRM]
        self.wealth: dict[Owner, Wealth] = {}
        # Legs of lists, which are known by the list before anything is said of them.
        self.filled: dict[str, Decimal] = {}
        for event in log:
            self.take(event)

    # Facts

    def take(self, event: Event) -> None:
        match event:
            case OrderApproved() | OrderHeld():
                self._approved(event)
            case ListApproved():
                self._list(event)
            case ListEnded():
                del self.lists[event.list_id]
            case PositionChanged():
                self._filled(event)
            case ReservationReduced():
                order = self.open[event.order_id]
                order.leaves -= event.quantity
                if not event.prevented:
                    order.order = replace(order.order, quantity=order.order.quantity - event.quantity)
            case ReservationReleased():
                order = self.open[event.order_id]
                order.leaves, order.growth, order.amend = order.leaves - event.quantity, ZERO, None
                if not order.leaves:
                    del self.open[event.order_id]
            case HeldOrderCancelled():
                self.open.pop(event.order_id, None)
            case AmendApproved():
                order = self.open[event.order_id]
                order.amend = event
                order.growth = max(event.quantity - order.order.quantity, ZERO)
                if event.price is not None and not order.group:
                    order.price = max(order.price, event.price)
            case ReservationAmended():
                self._amended(event)
            case HeldOrderArmed():
                order = self.open[event.order_id]
                order.covered = False
                if order.held:
                    order.order, order.leaves = replace(order.order, quantity=event.quantity), event.quantity
            case CancelApproved():
                if event.order_id in self.open:
                    self.open[event.order_id].cancelling = True
            case StopArmed():
                self.stops[event.order_id] = event
            case StopTriggered():
                stop = self.stops[event.order_id]
                self.stops[event.order_id] = replace(stop, quantity=stop.quantity - event.quantity)
                self.exits[event.exit_id] = event.order_id
            case PositionFlattened():
                self.exits[event.exit_id] = ""
            case KillSwitchEngaged():
                self.switches.add(switch_of(event))
            case KillSwitchReset():
                self.switches.remove(switch_of(event))
            case _:
                self._money(event)

    def _approved(self, event: OrderApproved | OrderHeld) -> None:
        known = self.open.get(event.order_id)
        if known is None:
            price = event.price if isinstance(event, OrderHeld) else worth(event.order, (event.bid + event.ask) / 2)
            self.open[event.order_id] = known = Open(event.account, event.order, event.order.quantity, price)
            self._know(event.account, event.order.strategy)
        elif known.held:
            known.order, known.leaves, known.covered = event.order, event.order.quantity, False
        known.held = isinstance(event, OrderHeld)

    def _list(self, event: ListApproved) -> None:
        self.lists[event.list_id] = event
        mid = (event.bid + event.ask) / 2
        with_parent = event.kind in ("oto", "otoco")
        alternatives = {"oto": [], "otoco": event.legs[1:]}.get(event.kind, event.legs)
        ids = [leg.order_id for leg in alternatives]
        highest = max((worth(leg.order, mid) for leg in alternatives), default=ZERO)
        for leg in event.legs:
            grouped = leg.order_id in ids
            self.open[leg.order_id] = Open(
                event.account,
                leg.order,
                leg.order.quantity,
                highest if grouped else worth(leg.order, mid),
                group=event.list_id if grouped else "",
                covered=with_parent and leg is not event.legs[0] and leg.order.reduce_only,
            )
            self._know(event.account, leg.order.strategy)

    def _filled(self, event: PositionChanged) -> None:
        market = f"{event.venue}/{event.symbol}"
        self._know(event.account, event.strategy)
        if not self._is_held(market):
            self.marks[market] = event.price
        self.fills.append(Fill(event.account, event.strategy, market, event.quantity, event.price))
        self.filled[event.order_id] = self.filled.get(event.order_id, ZERO) + abs(event.quantity)
        order = self.open.get(event.order_id)
        if order is not None:
            order.leaves = max(order.leaves - abs(event.quantity), ZERO)
            if not order.leaves and order.amend is None:
                del self.open[event.order_id]
        self._settle()

    def _amended(self, event: ReservationAmended) -> None:
        order = self.open[event.order_id]
        order.order = replace(order.order, quantity=event.quantity, price=event.price)
        order.leaves, order.growth, asked = event.leaves, ZERO, order.amend
        price = event.price
        if event.code or asked is None or (asked.quantity, asked.price) == (event.quantity, event.price):
            order.amend = None
        else:
            order.growth = max(asked.quantity - event.quantity, ZERO)
            price = price and max(price, asked.price or ZERO)
        if price is not None and not order.group:
            order.price = price
        if not event.leaves and order.amend is None:
            del self.open[event.order_id]

    def _money(self, event: Event) -> None:
        match event:
            case LimitsChanged():
                before = {owner: self._capital(owner) for owner in self.owners}
                self.limits = event.document
                for owner in self.owners:
                    self._fund(owner, self._capital(owner) - before[owner])
                self._settle()
            case MarksTaken():
                if event.at // DAY_NS > self.day:
                    self.day = event.at // DAY_NS
                    for owner in self.owners:
                        self._wealth(owner).day_start = self.equity(owner)
                self.marks |= {market: mark for market, mark in event.marks.items() if self._is_held(market)}
                self._settle()
            case FeeBooked():
                self._know(event.account, event.strategy)
                self.fees.append((event.account, event.strategy, event.fee))
                self._settle()
            case EquityRebased():
                if event.account:
                    self._know(event.account)
                for owner in self.owners:
                    if owner[0] == event.account:
                        wealth = self._wealth(owner)
                        wealth.peak = wealth.day_start = self.equity(owner)

    # Totals

    def position(self, account: str, market: str, strategy: str = "") -> Decimal:
        return sum((fill.quantity for fill in self._fills((account, strategy)) if fill.market == market), ZERO)

    def positions(self, account: str) -> dict[str, Decimal]:
        held = {fill.market: self.position(account, fill.market) for fill in self.fills if fill.account == account}
        return {market: position for market, position in held.items() if position}

    def claims(self, owner: Owner = FIRM) -> Iterator[tuple[str, Open, Decimal]]:
        """Id, order and what it wants; of alternatives only the one that wants most does."""
        groups: dict[str, tuple[str, Open]] = {}
        for order_id, order in self._orders(owner):
            if not order.group:
                yield order_id, order, order.claim
            elif order.group not in groups or order.claim > groups[order.group][1].claim:
                groups[order.group] = order_id, order
        for order_id, order in groups.values():
            yield order_id, order, order.claim

    def stake(self, account: str, market: str, strategy: str = "") -> Stake:
        totals: dict[tuple[Side, bool], Decimal] = {}
        for _, order, claim in self.claims((account, strategy)):
            if market_of(order.order) == market:
                key = order.order.side, order.order.reduce_only
                totals[key] = totals.get(key, ZERO) + claim
        return Stake(
            self.position(account, market, strategy),
            totals.get(("buy", False), ZERO),
            totals.get(("sell", False), ZERO),
            totals.get(("buy", True), ZERO),
            totals.get(("sell", True), ZERO),
        )

    def reserved(self, account: str) -> dict[str, Decimal]:
        """By market and side."""
        return self._sums(account, lambda _: True)

    def reducing(self, account: str) -> dict[str, Decimal]:
        return self._sums(account, lambda order_id: self.open[order_id].order.reduce_only)

    def exiting(self, account: str) -> dict[str, Decimal]:
        return self._sums(account, lambda order_id: order_id in self.exits)

    def stopping(self, account: str) -> dict[str, Decimal]:
        """Of the exits those that a stop made."""
        return self._sums(account, lambda order_id: bool(self.exits.get(order_id)))

    def protected(self, account: str) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = {}
        for stop in self.stops.values():
            if stop.account == account and stop.quantity:
                key = f"{stop.venue}/{stop.symbol}/{stop.side}"
                totals[key] = totals.get(key, ZERO) + stop.quantity
        return totals

    def worst(self, owner: Owner) -> dict[str, Decimal]:
        """By symbol, over all venues, and for the firm over all accounts."""
        account, strategy = owner
        markets = {fill.market for fill in self.fills} | {market_of(order.order) for order in self.open.values()}
        accounts = [account] if account else self.accounts()
        totals: dict[str, Decimal] = {}
        for market in markets:
            symbol = market.partition("/")[2]
            for each in accounts:
                totals[symbol] = totals.get(symbol, ZERO) + self.stake(each, market, strategy).worst
        return {symbol: total for symbol, total in totals.items() if total}

    def values(self, account: str) -> dict[str, Decimal]:
        """What is held, at marks, by symbol."""
        totals: dict[str, Decimal] = {}
        for market, held in self.positions(account).items():
            symbol = market.partition("/")[2]
            totals[symbol] = totals.get(symbol, ZERO) + held * self.marks[market]
        return {symbol: value for symbol, value in totals.items() if value}

    def gross(self, account: str = "") -> Decimal:
        accounts = [account] if account else self.accounts()
        held = sum((abs(size) * self.marks[at] for each in accounts for at, size in self.positions(each).items()), ZERO)
        return held + self._ordered(account, "buy") + self._ordered(account, "sell")

    def lean(self, side: Side, account: str = "") -> Decimal:
        accounts = [account] if account else self.accounts()
        net = sum((size * self.marks[at] for each in accounts for at, size in self.positions(each).items()), ZERO)
        return (net if side == "buy" else -net) + self._ordered(account, side)

    def orders(self, owner: Owner = FIRM) -> int:
        return len(list(self._orders(owner)))

    def equity(self, owner: Owner) -> Decimal:
        """The capital, and what every fill earned until now; of what is not held any more, marks say nothing."""
        traded = sum((fill.quantity * (self.marks[fill.market] - fill.price) for fill in self._fills(owner)), ZERO)
        fees = sum((fee for account, strategy, fee in self.fees if _is_of(owner, account, strategy)), ZERO)
        return self._capital(owner) + traded - fees

    def accounts(self) -> list[str]:
        return [account for account, strategy in self.owners if account and not strategy]

    def _sums(self, account: str, counts: Callable[[str], bool]) -> dict[str, Decimal]:
        totals: dict[str, Decimal] = {}
        for order_id, order, claim in self.claims((account, "")):
            if counts(order_id) and claim:
                key = f"{market_of(order.order)}/{order.order.side}"
                totals[key] = totals.get(key, ZERO) + claim
        return totals

    def _ordered(self, account: str, side: Side) -> Decimal:
        """What opening orders of a side are worth."""
        opening = [
            (order.price, claim)
            for _, order, claim in self.claims((account, ""))
            if order.order.side == side and not order.order.reduce_only
        ]
        return sum((price * claim for price, claim in opening), ZERO)

    def _orders(self, owner: Owner) -> Iterator[tuple[str, Open]]:
        for order_id, order in self.open.items():
            if _is_of(owner, order.account, order.order.strategy):
                yield order_id, order

    def _fills(self, owner: Owner) -> Iterator[Fill]:
        for fill in self.fills:
            if _is_of(owner, fill.account, fill.strategy):
                yield fill

    def _is_held(self, market: str) -> bool:
        holders = {(fill.account, fill.strategy) for fill in self.fills if fill.market == market}
        return any(self.position(account, market, strategy) for account, strategy in holders)

    # Money

    def _know(self, account: str, strategy: str = "") -> None:
        for owner in ((account, ""), (account, strategy)):
            if owner not in self.owners:
                firm = self._capital(FIRM)
                self.owners.append(owner)
                self._fund(FIRM, self._capital(FIRM) - firm)
                self._settle()

    def _capital(self, owner: Owner) -> Decimal:
        document = self.limits
        if owner[0]:
            return document.accounts.get(owner[0], document.account).capital
        return sum((self._capital((each, "")) for each in {*document.accounts, *self.accounts()}), ZERO)

    def _wealth(self, owner: Owner) -> Wealth:
        if owner not in self.wealth:
            capital = self._capital(owner)
            self.wealth[owner] = Wealth(capital, capital, capital)
        return self.wealth[owner]

    def _fund(self, owner: Owner, change: Decimal) -> None:
        if owner in self.wealth:
            wealth = self.wealth[owner]
            wealth.peak += change
            wealth.day_start += change

    def _settle(self) -> None:
        for owner in self.owners:
            wealth = self._wealth(owner)
            wealth.equity = self.equity(owner)
            wealth.peak = max(wealth.peak, wealth.equity)


def market_of(order: Order) -> str:
    return f"{order.venue}/{order.symbol}"


def switch_of(event: KillSwitchEngaged | KillSwitchReset) -> tuple[str, str, str, str]:
    """Scope, account, strategy and symbol, as far as the scope is about them."""
    account = event.account if event.scope in ("account", "strategy") else ""
    strategy = event.strategy if event.scope == "strategy" else ""
    return event.scope, account, strategy, event.symbol if event.scope == "symbol" else ""


def worth(order: Order, mid: Decimal) -> Decimal:
    """Of one unit of an order: its price, or its trigger, or the mid."""
    return order.price or order.stop_price or mid


def _is_of(owner: Owner, account: str, strategy: str) -> bool:
    return owner[0] in ("", account) and owner[1] in ("", strategy)
