"""What does a client ask of the venue, and what does it expect to be told? The words of the tests of its domain."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot4_common.given import NOON, SECOND, Expected, Scenario, event
from bot4_common.instruments import Instrument
from bot4_common.messages.execution import AmendSent, CancelSent, ListLeg, ListSent, OrderSent, QuerySent
from bot4_common.messages.market import Tick
from bot4_common.messages.terms import Event, ListKind, Order, Side
from bot4_common.messages.venue import (
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderEntered,
    VenueOrderRejected,
    VenueOrderTrimmed,
    VenueTraded,
)
from bot4_exchange_simulator.domain import DEFAULT, Venue
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.faults import PERFECT, Line, LineProfile
from bot4_exchange_simulator.latency import LatencyProfile, Leg
from bot4_exchange_simulator.liquidity import STEP_NS, Liquidity
from bot4_exchange_simulator.matching import MARKET
from bot4_exchange_simulator.orders import State
from bot4_exchange_simulator.tape import Print, Tape

SESSION = "EXECUTION_0"
COIN = Instrument(
    symbol="COIN",
    base="COIN",
    quote="CASH",
    tick=Decimal(1),
    lot=Decimal(1),
    quantity_min=Decimal(2),
    quantity_max=Decimal(1_000),
    notional_min=Decimal(50),
)
# Sellers take two lots in every step, so the market stands at 100 / 101.
TAPE = Tape(tuple(Print(step * STEP_NS, Decimal(100), Decimal(2), "sell") for step in range(10)))

ENTRY = Leg(median_ms=5.0)
SLOW = LineProfile(latency=LatencyProfile(entry=ENTRY, cancel=ENTRY))
ACCEPTED = event(VenueOrderAccepted)
ENTERED = event(VenueOrderEntered)
TRADED = event(VenueTraded)

# What an order may say besides, as text.
NUMBERS = ("stop_price", "activation_price", "display_quantity")


def venue(
    profile: LineProfile = PERFECT,
    market: bool = False,
    rules: Profile = DEFAULT,
    stops: bool = True,
    lists: bool = True,
) -> Venue:
    liquidity = {"COIN": Liquidity(TAPE, COIN.tick, COIN.lot, seed=1)} if market else {}
    return Venue("sim", {"COIN": COIN}, liquidity, Line(1, profile), rules, stops=stops, lists=lists)


def given(*requests: Event, **kind: Any) -> Scenario[State]:
    """A venue that has heard these requests; nobody else is there, unless there is a market."""
    return Scenario(venue(**kind), stream=SESSION).when(*requests)


def order(
    id: str,
    side: Side,
    quantity: str,
    price: str | None = None,
    account: str = "ann",
    symbol: str = "COIN",
    expires_at: int = NOON + SECOND,
    **terms: Any,
) -> OrderSent:
    """A limit order if it has a price, else one at any price; `terms` are further fields of `Order`."""
    said: dict[str, Any] = {"type": "limit" if price else "market"} | terms
    said |= {name: Decimal(said[name]) for name in NUMBERS if name in said}
    return OrderSent(
        order_id=id,
        child_id=id,
        account=account,
        venue="sim",
        order=Order(
            client_order_id=id,
            symbol=symbol,
            side=side,
            quantity=Decimal(quantity),
            strategy="s",
            price=Decimal(price) if price else None,
            **said,
        ),
        bid=Decimal(99),
        ask=Decimal(101),
        sent_at=NOON,
        expires_at=expires_at,
    )


def buy(id: str, quantity: str, price: str | None = None, **rest: Any) -> OrderSent:
    return order(id, "buy", quantity, price, **rest)


def sell(id: str, quantity: str, price: str | None = None, **rest: Any) -> OrderSent:
    return order(id, "sell", quantity, price, **rest)


def stop(id: str, side: Side, quantity: str, at: str, price: str | None = None, **rest: Any) -> OrderSent:
    """A stop, with a price a stop-limit."""
    return order(id, side, quantity, price, type="stop_limit" if price else "stop_market", stop_price=at, **rest)


def listed(id: str, kind: ListKind, *legs: OrderSent, expires_at: int = NOON + SECOND) -> ListSent:
    return ListSent(
        list_id=id,
        child_id=legs[0].child_id,
        account=legs[0].account,
        venue="sim",
        kind=kind,
        legs=[ListLeg(child_id=leg.child_id, order=leg.order) for leg in legs],
        sent_at=NOON,
        expires_at=expires_at,
    )


def amend(id: str, quantity: str, price: str | None = None, expires_at: int = NOON + SECOND) -> AmendSent:
    return AmendSent(
        order_id=id,
        child_id=id,
        account="ann",
        venue="sim",
        quantity=Decimal(quantity),
        price=Decimal(price) if price else None,
        sent_at=NOON,
        expires_at=expires_at,
    )


def cancel(id: str, sent_at: int = NOON) -> CancelSent:
    return CancelSent(order_id=id, child_id=id, account="ann", venue="sim", sent_at=sent_at)


def query(id: str) -> QuerySent:
    return QuerySent(order_id=id, child_id=id, account="ann", venue="sim", sent_at=NOON)


def step(scenario: Scenario[State]) -> Scenario[State]:
    """The rest of the market takes one."""
    return tick(scenario.after(STEP_NS))


def tick(scenario: Scenario[State]) -> Scenario[State]:
    return scenario.when(Tick(at=scenario.now))


def filled(id: str, quantity: str, cumulative: str, leaves: str, **fields: object) -> Expected:
    return event(VenueFilled, child_id=id, quantity=quantity, cumulative=cumulative, leaves=leaves, **fields)


def rejected(id: str, code: str) -> Expected:
    return event(VenueOrderRejected, child_id=id, code=code)


def trimmed(id: str, quantity: str) -> Expected:
    return event(VenueOrderTrimmed, child_id=id, quantity=quantity)


def position(scenario: Scenario[State], account: str) -> int:
    return positions(scenario).get(account, 0)


def positions(scenario: Scenario[State]) -> dict[str, int]:
    """Lots by account, of all but the rest of the market."""
    accounts = scenario.state.engine.accounts.values()
    held = {account.name: account.holdings["COIN"].net for account in accounts if "COIN" in account.holdings}
    return {name: lots for name, lots in held.items() if lots and name != MARKET}


def queue(scenario: Scenario[State]) -> list[tuple[str, int]]:
    """Who rests, and with how many lots: bids first, the best price first."""
    return resting(scenario.state)


def resting(state: State) -> list[tuple[str, int]]:
    market, found = state.engine.markets["COIN"], []
    for side in (market.bids, market.asks):
        for key in reversed(side.keys):
            order = side.levels[key].front
            while order is not None:
                found.append((order.id, order.leaves))
                order = order.behind
    return found
