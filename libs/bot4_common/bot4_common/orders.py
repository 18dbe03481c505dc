"""What became of an order, as far as the journal tells? The read model behind every screen, answer and table.

The streams of different writers are read side by side, so an order's fill may be seen before its approval. The
fold does not care: a status only ever moves up the ranks of `RANK`, and quantities come from the fills themselves.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Literal

import msgspec

from bot4_common.messages import execution, gateway, risk
from bot4_common.messages.terms import Event, Order
from bot4_common.money import ZERO, add, multiply, plain, subtract

Status = Literal[
    "received", "approved", "sent", "unknown", "open", "partially_filled",
    "refused", "rejected", "lost", "filled", "cancelled", "expired",
]  # fmt: skip

RANK: dict[Status, int] = {
    "received": 0, "approved": 1, "sent": 2, "unknown": 3, "open": 4, "partially_filled": 5,
    "refused": 6, "rejected": 6, "lost": 6, "filled": 6, "cancelled": 6, "expired": 6,
}  # fmt: skip

OVER = RANK["filled"]
AT_VENUE = RANK["open"]


class OrderRecord(msgspec.Struct, kw_only=True):
    """One order. Quantities in base, `notional` (sum of price x quantity over its fills) in quote, times in ns."""

    order_id: str
    account: str
    order: Order
    # Approved as one that could open or enlarge a position, and so came with a stop-loss.
    opening: bool = False
    status: Status = "received"
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    # Why it was refused or rejected, and the numbers that explain it.
    code: str = ""
    details: dict[str, str] = {}
    # The first order of this client order id, when this submission only repeated it.
    first: str = ""
    received_at: int = 0
    decided_at: int = 0
    acknowledged_at: int = 0
    over_at: int = 0

    @property
    def leaves(self) -> Decimal:
        return ZERO if self.is_over else subtract(self.order.quantity, self.filled)

    @property
    def is_over(self) -> bool:
        return RANK[self.status] == OVER


def opened_by(event: Event, order_id: str, at: int) -> OrderRecord | None:
    """The record that an event begins: a caller's submission, or an order that risk itself brought in (a stop's exit).

    `order_id` is the id that a submission gets by where it stands.
    """
    if isinstance(event, gateway.PlaceOrder):
        return OrderRecord(order_id=order_id, account=event.account, order=event.order, received_at=at)
    if isinstance(event, risk.OrderApproved | risk.OrderRefused):
        return OrderRecord(order_id=event.order_id, account=event.account, order=event.order, received_at=at)
    return None


def advance(record: OrderRecord, event: Event, at: int) -> None:
    """Applies one event of the order to its record; `at` is when it was decided (ns)."""
    match event:
        case gateway.PlaceOrder():
            record.received_at = at
        case risk.OrderApproved():
            # Risk may have shrunk a reduce-only order: what it approved is what counts.
            # An order only ever gets smaller, so a trim that was read before counts as well.
            quantity = min(event.order.quantity, record.order.quantity)
            record.order, record.opening = msgspec.structs.replace(event.order, quantity=quantity), event.opening
            _decided(record, "approved", at)
        case risk.OrderRefused():
            record.code, record.details = event.code, event.details
            _decided(record, "refused", at)
        case risk.OrderRepeated():
            record.first = event.first
            record.code = "DUPLICATE" if event.same_body else "KEY_REUSED"
            _decided(record, "refused", at)
        case execution.OrderSent():
            _raise(record, "sent", at)
        case execution.OutcomeUnknown(request="order"):
            _raise(record, "unknown", at)
        case execution.OrderAcknowledged():
            record.acknowledged_at = record.acknowledged_at or at
            _raise(record, "open", at)
        case execution.OrderFilled():
            record.filled = add(record.filled, event.quantity)
            record.notional = add(record.notional, multiply(event.price, event.quantity))
            record.acknowledged_at = record.acknowledged_at or at
            _raise(record, "partially_filled" if event.leaves else "filled", at)
        case execution.OrderTrimmed():
            record.order = msgspec.structs.replace(record.order, quantity=min(event.quantity, record.order.quantity))
        case execution.OrderRejected():
            record.code, record.details = event.code, {"message": event.message}
            _raise(record, "rejected", at)
        case execution.OrderCancelled():
            _raise(record, "cancelled", at)
        case execution.OrderExpired():
            record.acknowledged_at = record.acknowledged_at or at
            _raise(record, "expired", at)
        case execution.OrderLost():
            record.code = "ORDER_LOST"
            _raise(record, "lost", at)


def _decided(record: OrderRecord, status: Status, at: int) -> None:
    record.decided_at = at
    _raise(record, status, at)


def _raise(record: OrderRecord, status: Status, at: int) -> None:
    if RANK[status] < RANK[record.status]:
        return
    record.status = status
    if RANK[status] == OVER:
        record.over_at = record.over_at or at


def order_id_of(sequence: int, index: int) -> str:
    """The id of the order submitted as event `index` of frame `sequence` of the gateway's stream."""
    return f"{sequence}-{index}"


def fingerprint(order: Order) -> str:
    """The same for two bodies that ask the same, however their numbers are written; 64 bits, as hex."""
    written = {
        field: plain(value) if isinstance(value, Decimal) else value
        for field, value in msgspec.structs.asdict(order).items()
    }
    if not order.venue:
        # As it was before there was a choice: a journal of that time has fingerprints without.
        del written["venue"]
    return blake2b(msgspec.json.encode(written), digest_size=8).hexdigest()
