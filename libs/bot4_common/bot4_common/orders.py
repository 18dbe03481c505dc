"""What became of an order, as far as the journal tells? The read model behind every screen, answer and table.

The streams of different writers are read side by side, so an order's fill may be seen before its approval. The
fold does not care: a status only ever moves up the ranks of `RANK`, and what was filled comes from the fills
themselves. What an order is to be, risk says once, with its approval; what the venue made of it since, execution says,
each time anew: the last that execution said counts, whenever the approval is read.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Literal

import msgspec

from bot4_common.messages import execution, gateway, risk
from bot4_common.messages.terms import Event, Order, OrderList
from bot4_common.money import ZERO, add, multiply, plain, subtract

Status = Literal[
    "received", "approved", "held", "sent", "unknown", "open", "partially_filled",
    "refused", "rejected", "lost", "filled", "cancelled", "expired",
]  # fmt: skip

RANK: dict[Status, int] = {
    "received": 0, "approved": 1, "held": 2, "sent": 3, "unknown": 4, "open": 5, "partially_filled": 6,
    "refused": 7, "rejected": 7, "lost": 7, "filled": 7, "cancelled": 7, "expired": 7,
}  # fmt: skip

OVER = RANK["filled"]
AT_VENUE = RANK["open"]


class OrderRecord(msgspec.Struct, kw_only=True):
    """One order. Quantities in base, `notional` (sum of price x quantity over its fills) in quote, times in ns.

    `order` keeps the type that was asked for, also when risk held a stop back and what it sends now is a plain order.
    """

    order_id: str
    account: str
    order: Order
    list_id: str = ""
    # Approved as one that could open or enlarge a position, and so came with a stop-loss.
    opening: bool = False
    status: Status = "received"
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    # What self-trade prevention at the venue took: it will not fill, and is no part of `leaves`.
    prevented: Decimal = ZERO
    # A stop of which the trigger was reached.
    triggered: bool = False
    # The venue changed its quantity, and its price.
    resized: bool = False
    repriced: bool = False
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
        return ZERO if self.is_over else subtract(self.order.quantity, add(self.filled, self.prevented))

    @property
    def is_over(self) -> bool:
        return RANK[self.status] == OVER


def opened_by(event: Event, order_id: str, at: int) -> OrderRecord | None:
    """The record that an event begins: a caller's submission, or an order that risk itself brought in (a stop's exit).

    `order_id` is the id that a submission gets by where it stands; what a `ReplaceOrder` calls so is the old order.
    """
    if isinstance(event, gateway.PlaceOrder | gateway.ReplaceOrder):
        return OrderRecord(order_id=order_id, account=event.account, order=event.order, received_at=at)
    if isinstance(event, risk.OrderApproved | risk.OrderHeld):
        return OrderRecord(
            order_id=event.order_id, account=event.account, order=event.order, list_id=event.list_id, received_at=at
        )
    if isinstance(event, risk.OrderRefused):
        return OrderRecord(order_id=event.order_id, account=event.account, order=event.order, received_at=at)
    return None


def opened_by_list(event: Event, at: int) -> list[OrderRecord]:
    """The records of its legs that a list begins when risk has decided on it, with that decision in them."""
    if not isinstance(event, risk.ListApproved | risk.ListRefused):
        return []
    records = [
        OrderRecord(
            order_id=leg.order_id, account=event.account, order=leg.order, list_id=event.list_id, received_at=at
        )
        for leg in event.legs
    ]
    for record in records:
        if isinstance(event, risk.ListRefused):
            _refused(record, event.code, event.details, at)
        else:
            _decided(record, "approved", at)
    return records


def advance(record: OrderRecord, event: Event, at: int) -> None:
    """Applies one event of the order to its record; `at` is when it was decided (ns)."""
    match event:
        case gateway.PlaceOrder() | gateway.ReplaceOrder():
            record.received_at = at
            record.order = _as_asked(record.order, event.order)
        case risk.OrderApproved():
            record.order, record.opening = _approved(record, event.order), event.opening
            _decided(record, "approved", at)
        case risk.OrderHeld():
            record.order = _approved(record, event.order)
            _decided(record, "held", at)
        case risk.HeldOrderTriggered() | execution.OrderTriggered():
            record.triggered = True
        case risk.ReservationAmended(code="") if record.status == "held":
            # Nobody else says it of an order that is not at a venue.
            record.order = msgspec.structs.replace(record.order, quantity=event.quantity, price=event.price)
        case risk.HeldOrderCancelled():
            if event.code:
                _refused(record, event.code, event.details, at)
            else:
                _raise(record, "cancelled", at)
        case risk.OrderRefused():
            _refused(record, event.code, event.details, at)
        case risk.OrderRepeated():
            record.first = event.first
            record.code = repeat_code(event)
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
            if record.status == "filled":
                # What was lost, as far as was known, was not.
                record.code = ""
        case execution.OrderTrimmed():
            record.order = msgspec.structs.replace(record.order, quantity=event.quantity)
            record.resized = True
        case execution.OrderAmended():
            record.order = msgspec.structs.replace(record.order, quantity=event.quantity, price=event.price)
            record.resized = record.repriced = True
        case execution.OrderPrevented():
            record.prevented = add(record.prevented, event.quantity)
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


def _as_asked(order: Order, asked: Order) -> Order:
    return msgspec.structs.replace(order, type=asked.type, stop_price=asked.stop_price)


def _approved(record: OrderRecord, order: Order) -> Order:
    """The order as risk wants it: it may have shrunk it, or chosen the venue. What the venue made of it came later,
    even if it was read before."""
    return msgspec.structs.replace(
        _as_asked(order, record.order),
        quantity=record.order.quantity if record.resized else order.quantity,
        price=record.order.price if record.repriced else order.price,
    )


def _refused(record: OrderRecord, code: str, details: dict[str, str], at: int) -> None:
    record.code, record.details = code, details
    _decided(record, "refused", at)


def _decided(record: OrderRecord, status: Status, at: int) -> None:
    # What was held is approved once more when its time has come.
    record.decided_at = record.decided_at or at
    _raise(record, status, at)


def _raise(record: OrderRecord, status: Status, at: int) -> None:
    if RANK[status] < RANK[record.status]:
        return
    record.status = status
    if RANK[status] == OVER:
        record.over_at = record.over_at or at


def repeat_code(event: risk.OrderRepeated) -> str:
    """A repeat of the same body is answered with the first one's answer; only another body is an error."""
    return "DUPLICATE" if event.same_body else "KEY_REUSED"


def order_id_of(sequence: int, index: int) -> str:
    """The id of the order submitted as event `index` of frame `sequence` of the gateway's stream."""
    return f"{sequence}-{index}"


# Fields that orders did not always have; none of them says anything by being empty.
LATER_FIELDS = (
    "venue", "stop_price", "activation_price", "trail_bps", "display_quantity", "expire_at", "self_trade_prevention",
    "signal",
)  # fmt: skip


def fingerprint(order: Order) -> str:
    """The same for two bodies that ask the same, however their numbers are written; 64 bits, as hex."""
    written = {
        field: plain(value) if isinstance(value, Decimal) else value
        for field, value in msgspec.structs.asdict(order).items()
    }
    for field in LATER_FIELDS:
        # As it was before there was a choice: a journal of that time has fingerprints without.
        if not written[field]:
            del written[field]
    return blake2b(msgspec.json.encode(written), digest_size=8).hexdigest()


def list_fingerprint(asked: OrderList) -> str:
    """The same for two bodies that ask for the same list."""
    written = [asked.client_list_id, asked.kind, *(fingerprint(order) for order in asked.orders)]
    return blake2b(msgspec.json.encode(written), digest_size=8).hexdigest()
