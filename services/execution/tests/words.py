"""The words that the tests of execution speak. The order is 1-0, a buy of 10 at 100, unless said otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot4_common.given import NOON, SECOND, Scenario
from bot4_common.messages.market import SessionHeartbeat, Tick
from bot4_common.messages.risk import AmendApproved, CancelApproved, OrderApproved
from bot4_common.messages.terms import Order, Side
from bot4_common.messages.venue import (
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderState,
    VenueOrderStatus,
    VenueOrderTriggered,
    VenueOrderTrimmed,
)
from bot4_common.streams import feed
from bot4_execution.domain import Execution
from bot4_execution.state import State

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


def approved(order_id: str = "1-0", order: Order = ORDER, opening: bool = True) -> OrderApproved:
    return OrderApproved(
        order_id=order_id,
        account="ann",
        order=order,
        fingerprint="f",
        bid=Decimal(99),
        ask=Decimal(101),
        opening=opening,
        at=NOON,
    )


def cancel(order_id: str = "1-0") -> CancelApproved:
    return CancelApproved(order_id=order_id, account="ann", reason="requested")


def amend(quantity: str, price: str = "100", order_id: str = "1-0") -> AmendApproved:
    return AmendApproved(order_id=order_id, account="ann", quantity=Decimal(quantity), price=Decimal(price), at=NOON)


# What the venue tells, by its number in the session's feed


def accepted(number: int, child_id: str = "1-0.1") -> VenueOrderAccepted:
    return VenueOrderAccepted(venue_order_id="sim-1", order=ORDER, **told(number, child_id))


def rejected(number: int, code: str = "POST_ONLY_WOULD_CROSS", child_id: str = "1-0.1") -> VenueOrderRejected:
    return VenueOrderRejected(code=code, message="no", **told(number, child_id))


def amended(number: int, quantity: str, price: str = "100", leaves: str | None = None) -> VenueOrderAmended:
    left = Decimal(leaves if leaves is not None else quantity)
    return VenueOrderAmended(quantity=Decimal(quantity), price=Decimal(price), leaves=left, **told(number))


def amend_rejected(number: int, code: str = "BELOW_FILLED") -> VenueAmendRejected:
    return VenueAmendRejected(code=code, **told(number))


def triggered(number: int) -> VenueOrderTriggered:
    return VenueOrderTriggered(**told(number))


def prevented(number: int, quantity: str, leaves: str) -> VenueOrderPrevented:
    return VenueOrderPrevented(other_id="2-0.1", quantity=Decimal(quantity), leaves=Decimal(leaves), **told(number))


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


def cancelled(number: int, quantity: str = "10", child_id: str = "1-0.1") -> VenueOrderCancelled:
    return VenueOrderCancelled(quantity=Decimal(quantity), reason="requested", **told(number, child_id))


def trimmed(number: int, quantity: str) -> VenueOrderTrimmed:
    return VenueOrderTrimmed(quantity=Decimal(quantity), **told(number))


def expired(number: int, quantity: str = "10") -> VenueOrderExpired:
    return VenueOrderExpired(quantity=Decimal(quantity), reason="unfilled", **told(number))


def cancel_rejected(number: int, code: str = "UNKNOWN_ORDER") -> VenueCancelRejected:
    return VenueCancelRejected(code=code, **told(number))


def status(
    number: int, state: VenueOrderState, at: int = NOON, quantity: str = "10", price: str = "100"
) -> VenueOrderStatus:
    return VenueOrderStatus(
        state=state,
        cumulative=Decimal(0),
        leaves=Decimal(0),
        quantity=Decimal(quantity),
        price=Decimal(price),
        **{**told(number), "at": at},
    )


def told(number: int, child_id: str = "1-0.1") -> dict[str, Any]:
    return {"session": SESSION, "session_sequence": number, "account": "ann", "child_id": child_id, "at": NOON}


def heartbeat(number: int, session: str = SESSION) -> SessionHeartbeat:
    return SessionHeartbeat(venue="sim", session=session, session_sequence=number, at=NOON)


def tick(scenario: Scenario[State]) -> Tick:
    return Tick(at=scenario.now)


# What happens often


def opened() -> Scenario[State]:
    """The order is at the venue."""
    return given().when(approved()).when(accepted(1))


def silence(scenario: Scenario[State]) -> Scenario[State]:
    """A second passes, and the deadline with it."""
    scenario.after(SECOND)
    return scenario.when(tick(scenario))


def known(**fields: object) -> dict[str, object]:
    return {"order_id": "1-0", "child_id": "1-0.1", "account": "ann", "venue": "sim", **fields}
