"""How is an engine driven command by command, and what is there to be seen of it? The real one and the naive one alike.

Both read the same lines and tell the same events, and both show the same state: who waits where, in which order, what
of each order is open, who owns what, and which prices are known.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from naive import lines as naive_lines
from naive.profiles import profile_of
from naive.state import state as naive_state
from naive.venue import Venue

from bot4_common.money import plain
from bot4_exchange_simulator.engine.accounts import MONEY_UNIT, Account
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.lines import Session
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.prevention import Prevented
from bot4_exchange_simulator.engine.profile import shipped
from bot4_exchange_simulator.engine.stops import trigger_level
from bot4_exchange_simulator.engine.terms import BPS, RESTING, WATCHING

Command = dict[str, Any]
Event = dict[str, Any]

ENGINES = ["naive", "fast"]
PLACES = {RESTING: "resting", WATCHING: "armed"}


class Driven(Protocol):
    """A command goes in, the events that it caused come out."""

    def step(self, command: Command) -> list[Event]: ...

    def state(self) -> dict[str, Any]: ...


def driven(engine: str, profile: str = "default", changes: dict[str, Any] | None = None) -> Driven:
    return (Fast if engine == "fast" else Naive)(profile, changes or {})


def state_hash(engine: Driven) -> str:
    return hashlib.sha256(msgspec.json.encode(engine.state(), order="sorted")).hexdigest()


class Naive:
    def __init__(self, profile: str, changes: dict[str, Any]) -> None:
        self._venue = Venue(profile_of(profile, changes))

    def step(self, command: Command) -> list[Event]:
        events = naive_lines.step(self._venue, naive_lines.read_line(json.dumps(command)))
        return json.loads(json.dumps(events))  # type: ignore[no-any-return]

    def state(self) -> dict[str, Any]:
        return naive_state(self._venue)


class Fast:
    def __init__(self, profile: str = "default", changes: dict[str, Any] | None = None) -> None:
        self.profile = shipped(profile, **(changes or {}))
        self.session = Session(self.profile)

    @property
    def engine(self) -> Engine:
        return self.session.engine

    def step(self, command: Command) -> list[Event]:
        events = self.session.step(json.dumps(command))
        return json.loads(msgspec.json.encode(events))  # type: ignore[no-any-return]

    def state(self) -> dict[str, Any]:
        accounts = self.engine.accounts.values()
        return {
            "books": {
                symbol: {"bids": queued(market.bids), "asks": queued(market.asks)}
                for symbol, market in self.engine.markets.items()
            },
            "prices": {
                symbol: [priced(market, market.last), priced(market, market.mark)]
                for symbol, market in self.engine.markets.items()
            },
            "orders": {
                f"{account.name} {order.id}": looks(order) for account in accounts for order in account.orders.values()
            },
            "positions": {
                f"{account.name} {symbol}": plain(holding.market.lot * holding.net)
                for account in accounts
                for symbol, holding in account.holdings.items()
                if holding.net
            },
            "balances": {account.name: owned(account) for account in accounts if account.limited}
            if self.profile.account_model == "spot"
            else {},
            "prevented": [prevented(each) for each in self.engine.prevented.kept()],
        }


def priced(market: Market, ticks: int) -> str | None:
    return plain(market.tick * ticks) if ticks else None


def queued(side: Side) -> list[str]:
    """Best price first, then first come."""
    names = []
    for key in reversed(side.keys):
        order = side.levels[key].front
        while order is not None:
            names.append(f"{order.account.name} {order.id}")
            order = order.behind
    return names


def looks(order: Order) -> dict[str, str | None]:
    market = order.market
    held = 0 if order.plain else order.held
    trigger = trigger_level(order) if order.where == WATCHING else 0
    by_amount = not order.plain and order.budget >= 0  # then nobody knows its quantity
    return {
        "where": PLACES.get(order.where, "pending"),
        "price": priced(market, order.price),
        "trigger": plain(market.tick * trigger / BPS) if trigger else None,
        "quantity": None if by_amount else plain(market.lot * order.quantity),
        "executed": plain(market.lot * order.executed),
        "prevented": plain(market.lot * order.prevented),
        "open": None if by_amount else plain(market.lot * (order.leaves + held)),
        "shown": plain(market.lot * order.shown) if order.where == RESTING else None,
    }


def prevented(match: Prevented) -> dict[str, Any]:
    market = match.market
    return {
        "at": match.at,
        "symbol": market.symbol,
        "price": plain(market.tick * match.price),
        "maker": match.maker,
        "maker_account": match.maker_account,
        "maker_quantity": plain(market.lot * match.maker_quantity),
        "taker": match.taker,
        "taker_account": match.taker_account,
        "taker_quantity": plain(market.lot * match.taker_quantity),
    }


def owned(account: Account) -> dict[str, list[str]]:
    """Of each asset the balance, and what of it live orders have laid claim to."""
    return {
        asset: [money(account.totals.get(asset, 0)), money(account.locked.get(asset, 0))]
        for asset in {**account.totals, **account.locked}
        if account.totals.get(asset, 0) or account.locked.get(asset, 0)
    }


def money(units: int) -> str:
    return plain(Decimal(units) / MONEY_UNIT)
