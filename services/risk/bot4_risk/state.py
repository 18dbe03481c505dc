"""What does risk know? All accounts of the shard, the limits they are held to, and what is derived from both."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from bot4_common.decider import Emit
from bot4_common.idempotency import Dump, IdempotencyStore
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import CorrelationsAdopted
from bot4_common.messages.terms import Order, Side
from bot4_common.venues import VenueDefinition
from bot4_risk.account import Account, Claim, Held, OpenOrder, Stop, market_of
from bot4_risk.correlation import Correlations
from bot4_risk.exposure import Ledger
from bot4_risk.gate import Gate
from bot4_risk.guards import Guard
from bot4_risk.limits import Limits
from bot4_risk.rates import Rates
from bot4_risk.self_trade import OwnOrders, Resting, rests
from bot4_risk.switches import Switch


class Taken(msgspec.Struct, frozen=True):
    """Who has a client order id, and what was asked under it."""

    order_id: str
    fingerprint: str


# Stops, or orders held back, that one quote may fire. With its order each is about a thousand bytes of a frame, which
# has room for eight million; what is beyond it fires with the next quote.
FIRED_MAX = 1_000

# How near a stop's trigger is (less is nearer), its account, and the order that it protects.
Watched = tuple[Decimal, str, str]


class Control(msgspec.Struct, kw_only=True):
    """What holds for all accounts: limits, kill switches, gate, guards by `account/strategy`, and halts that were told.

    `source` is what the limits of the process' own file were when they were last taken in, so that they are taken once.
    """

    limits: LimitsDocument = LimitsDocument()
    version: int = 0
    source: str = ""
    switches: dict[str, Switch] = {}
    gate: Gate = msgspec.field(default_factory=Gate)
    guards: dict[str, Guard] = {}
    halts: dict[str, bool] = {}
    # How many closing orders of kill switches there ever were, which numbers them; and when marks were taken last (ns).
    flattened: int = 0
    marked_at: int = 0


class Saved(msgspec.Struct):
    accounts: dict[str, Account]
    taken: Dump[Taken]
    ledger: Ledger
    rates: Rates
    facts: CorrelationsAdopted | None
    control: Control


class State:
    """What is dumped, and indexes that are derived from it: they are the same whether lived or loaded."""

    def __init__(self, saved: Saved, taken: IdempotencyStore[Taken]) -> None:
        self.accounts = saved.accounts
        self.taken = taken
        self.ledger = saved.ledger
        self.rates = saved.rates
        self.facts = saved.facts
        self.correlations = Correlations(saved.facts)
        self.control = saved.control
        self.limits = Limits(saved.control.limits)
        # The stops that watch a market and side, nearest to their trigger first, so that a quote looks at no others,
        # and sorted, so that they fire in one order.
        self.watched: dict[tuple[str, Side], list[Watched]] = {}
        # Orders held back that wait for a price, and accounts to be made flat, by market.
        self.waiting: dict[str, dict[str, str]] = {}
        # Orders held back that end at a time: that (ns) and the account.
        self.expiries: dict[str, tuple[int, str]] = {}
        self.own_orders = OwnOrders()
        for name, account in self.accounts.items():
            for order_id, stop in account.stops.items():
                self.watch(name, order_id, stop)
        self.index_orders()

    def account(self, name: str) -> Account:
        """To look at; an account without history is empty."""
        return self.accounts.get(name) or Account()

    def owner(self, account: str) -> str:
        """Whose an account's orders are: its own, or those of its trade group."""
        limits = self.control.limits
        return limits.accounts.get(account, limits.account).trade_group or account

    def triggers(self, market: str) -> Iterator[tuple[str, str, OpenOrder]]:
        """Orders held back that wait for a price of this market: account, id and order, always in the same order."""
        for order_id, name in sorted(self.waiting.get(market, {}).items()):
            open_order = self.accounts[name].open_orders.get(order_id)
            if open_order is not None and open_order.held is not None:
                yield name, order_id, open_order

    def saved(self) -> Saved:
        return Saved(self.accounts, self.taken.dump(), self.ledger, self.rates, self.facts, self.control)

    # Only `evolve` calls what follows.

    def own(self, name: str) -> Account:
        return self.accounts.setdefault(name, Account())

    def guard(self, account: str, strategy: str) -> Guard:
        return self.control.guards.setdefault(f"{account}/{strategy}", Guard())

    def open(self, name: str, order_id: str, open_order: OpenOrder) -> None:
        self.claim(name, self.own(name).open(order_id, open_order))
        self.ledger.count(name, open_order.order.strategy, 1)
        self._index(name, order_id, open_order)

    def hold(self, name: str, order_id: str, held: Held) -> None:
        account = self.own(name)
        account.hold(order_id, held)
        self.changed(name, order_id, account.open_orders[order_id])

    def send(self, name: str, order_id: str, order: Order) -> None:
        account = self.own(name)
        self._unindex(order_id, account.open_orders[order_id])
        self.claim(name, account.send(order_id, order))
        self._index(name, order_id, account.open_orders[order_id])

    def adopt(self, facts: CorrelationsAdopted) -> None:
        self.facts, self.correlations = facts, Correlations(facts)

    def claim(self, name: str, *claims: Claim) -> None:
        """Takes a change of what is reserved into the ledger."""
        for claim in claims:
            if claim.quantity:
                order = claim.order
                self.ledger.reserve(
                    name,
                    order.strategy,
                    order.venue,
                    order.symbol,
                    order.side,
                    claim.quantity,
                    claim.price,
                    order.reduce_only,
                )

    def changed(self, name: str, order_id: str, open_order: OpenOrder) -> None:
        """After a fill, an amend or an end: what is derived from the order follows."""
        if order_id in self.accounts[name].open_orders:
            self.reindex(name, order_id, open_order)
        else:
            self._unindex(order_id, open_order)
            self.ledger.count(name, open_order.order.strategy, -1)

    def reindex(self, name: str, order_id: str, open_order: OpenOrder) -> None:
        self._unindex(order_id, open_order)
        self._index(name, order_id, open_order)

    def index_orders(self) -> None:
        """Anew: owners are what the limits say."""
        self.waiting, self.expiries, self.own_orders = {}, {}, OwnOrders()
        for name, account in self.accounts.items():
            for order_id, open_order in account.open_orders.items():
                self._index(name, order_id, open_order)

    def watch(self, account: str, order_id: str, stop: Stop) -> None:
        insort(self.watched.setdefault((market_of(stop), stop.side), []), _watched(account, order_id, stop))

    def tidy(self, name: str, order_id: str) -> None:
        """Forgets a stop that protects nothing and cannot come to protect anything."""
        account = self.accounts[name]
        stop = account.stops.get(order_id)
        if stop is not None and account.is_spent(order_id, stop):
            del account.stops[order_id]
            watching = self.watched[market_of(stop), stop.side]
            del watching[bisect_left(watching, _watched(name, order_id, stop))]

    def _index(self, name: str, order_id: str, open_order: OpenOrder) -> None:
        order = open_order.order
        if open_order.held is not None:
            self.waiting.setdefault(market_of(order), {})[order_id] = name
            if order.expire_at:
                self.expiries[order_id] = (order.expire_at, name)
        elif rests(order) and order.price is not None and open_order.leaves and not open_order.ended:
            # An amend that is under way may have been there already.
            prices = [order.price]
            if open_order.amend is not None and open_order.amend.price is not None:
                prices.append(open_order.amend.price)
            resting = Resting(
                order_id=order_id,
                account=name,
                venue=order.venue,
                symbol=order.symbol,
                side=order.side,
                price=max(prices) if order.side == "buy" else min(prices),
                leaves=open_order.leaves,
                ending=open_order.cancelling,
            )
            self.own_orders.add(self.owner(name), resting)

    def _unindex(self, order_id: str, open_order: OpenOrder) -> None:
        waiting = self.waiting.get(market_of(open_order.order))
        if waiting is not None:
            waiting.pop(order_id, None)
            if not waiting:
                del self.waiting[market_of(open_order.order)]
        self.expiries.pop(order_id, None)
        self.own_orders.remove(order_id)


class Moment(NamedTuple):
    """What a decision is made in: the state, the venues there are (the first is that of orders that name none), the
    lots by symbol, the time (ns), the market, and where to say it."""

    state: State
    venues: Mapping[str, VenueDefinition]
    lots: Mapping[str, Decimal]
    now: int
    quotes: Mapping[tuple[str, str], Quote]
    emit: Emit

    @property
    def limits(self) -> LimitsDocument:
        return self.state.control.limits

    def quote(self, order: Order) -> Quote | None:
        return self.quotes.get((order.venue, order.symbol))


def _watched(account: str, order_id: str, stop: Stop) -> Watched:
    """A falling market reaches the highest sell first, a rising one the lowest buy."""
    return (stop.stop_price if stop.side == "buy" else -stop.stop_price, account, order_id)
