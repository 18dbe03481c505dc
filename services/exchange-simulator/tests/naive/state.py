"""What is there to be seen of the naive venue? The same as of the real engine, gathered its own way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot4_common.money import plain
from naive import funds, stops
from naive.venue import Order, Venue


def state(venue: Venue) -> dict[str, Any]:
    return {
        "books": {
            symbol: {"bids": queued(venue, symbol, "buy"), "asks": queued(venue, symbol, "sell")}
            for symbol in venue.instruments
        },
        "prices": {
            symbol: [told(venue.last.get(symbol)), told(venue.mark.get(symbol))] for symbol in venue.instruments
        },
        "orders": {name(order): looks(order) for order in venue.live()},
        "positions": {f"{account} {symbol}": plain(net) for (account, symbol), net in venue.positions.items() if net},
        "balances": balances(venue) if funds.is_spot(venue) else {},
        "prevented": venue.prevented,
    }


def told(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)


def name(order: Order) -> str:
    return f"{order.account} {order.id}"


def queued(venue: Venue, symbol: str, side: str) -> list[str]:
    return [name(order) for order in venue.resting(symbol, side)]


def looks(order: Order) -> dict[str, str | None]:
    return {
        "where": order.phase,
        "price": told(order.price),
        "trigger": told(stops.trigger_price(order)) if order.phase == "armed" else None,
        "quantity": None if order.is_by_amount else plain(order.quantity),
        "executed": plain(order.executed),
        "prevented": plain(order.prevented),
        "open": None if order.is_by_amount else plain(order.open),
        "shown": plain(order.shown) if order.phase == "resting" else None,
    }


def balances(venue: Venue) -> dict[str, dict[str, list[str]]]:
    """Of each asset the balance, and what of it live orders have laid claim to."""
    found: dict[str, dict[str, list[str]]] = {}
    for account in venue.accounts.values():
        if account.balances is None:
            continue
        assets = {funds.asset(venue, order) for order in venue.live() if order.account == account.name}
        held = {
            asset: (account.balances.get(asset, Decimal(0)), funds.reserved(venue, account.name, asset, []))
            for asset in {*account.balances, *assets}
        }
        found[account.name] = {asset: [plain(a), plain(b)] for asset, (a, b) in held.items() if a or b}
    return found
