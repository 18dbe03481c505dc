"""The words that the tests of execution speak. The order is 1-0, a buy of 10 at 100, unless said otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot4_common.given import NOON, Scenario
from bot4_common.messages.market import SessionHeartbeat, Tick
from bot4_common.messages.risk import CancelApproved, OrderApproved
from bot4_common.messages.terms import Order, Side
from bot4_common.messages.venue import (
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderRejected,
    VenueOrderState,
    VenueOrderStatus,
    VenueOrderTrimmed,
)
from bot4_common.streams import feed
from bot4_execution.domain import Execution, State

SESSION = "EXECUTION_0"
ORDER = Order(
    client_order_id="c1",
    symbol="BTC-USDT",
    side="buy",
    type="limit",
    quantity=Decimal(10),
    strategy="s",
    price=Decimal(100),
    stop_loss=Decimal(90),
)


def given() -> Scenario[State]:
    return Scenario(Execution(["sim"], SESSION), stream="RISK_0", subject=feed("sim", SESSION))


def approved(order_id: str = "1-0", order: Order = ORDER) -> OrderApproved:
    return OrderApproved(
        order_id=order_id,
        account="ann",
        order=order,
        fingerprint="f",
        bid=Decimal(99),
        ask=Decimal(101),
        opening=True,
        at=NOON,
    )


def cancel(order_id: str = "1-0") -> CancelApproved:
    return CancelApproved(order_id=order_id, account="ann", reason="requested")


# What the venue tells, by its number in the session's feed


def accepted(number: int, child_id: str = "1-0.1") -> VenueOrderAccepted:
    return VenueOrderAccepted(venue_order_id="sim-1", order=ORDER, **told(number, child_id))


def rejected(number: int, code: str = "POST_ONLY_WOULD_CROSS") -> VenueOrderRejected:
    return VenueOrderRejected(code=code, message="no", **told(number))


def filled(
    number: int,
    quantity: str,
    cumulative: str,
    trade_id: str = "t1",
    price: str = "100",
    leaves: str | None = None,
    side: Side = "buy",
    child_id: str = "1-0.1",
) -> VenueFilled:
    return VenueFilled(
        trade_id=trade_id,
        symbol="BTC-USDT",
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        cumulative=Decimal(cumulative),
        leaves=Decimal(leaves) if leaves else 10 - Decimal(cumulative),
        liquidity="maker",
        **told(number, child_id),
    )


def cancelled(number: int, quantity: str = "10") -> VenueOrderCancelled:
    return VenueOrderCancelled(quantity=Decimal(quantity), reason="requested", **told(number))


def trimmed(number: int, quantity: str) -> VenueOrderTrimmed:
    return VenueOrderTrimmed(quantity=Decimal(quantity), **told(number))


def expired(number: int, quantity: str = "10") -> VenueOrderExpired:
    return VenueOrderExpired(quantity=Decimal(quantity), reason="unfilled", **told(number))


def cancel_rejected(number: int, code: str = "UNKNOWN_ORDER") -> VenueCancelRejected:
    return VenueCancelRejected(code=code, **told(number))


def status(number: int, state: VenueOrderState, at: int = NOON) -> VenueOrderStatus:
    return VenueOrderStatus(state=state, cumulative=Decimal(0), leaves=Decimal(0), **{**told(number), "at": at})


def told(number: int, child_id: str = "1-0.1") -> dict[str, Any]:
    return {"session": SESSION, "session_sequence": number, "account": "ann", "child_id": child_id, "at": NOON}


def heartbeat(number: int, session: str = SESSION) -> SessionHeartbeat:
    return SessionHeartbeat(venue="sim", session=session, session_sequence=number, at=NOON)


def tick(scenario: Scenario[State]) -> Tick:
    return Tick(at=scenario.now)
