"""What did each fill cost?"""

from __future__ import annotations

from decimal import Decimal

from bot4_common.messages.terms import Event, EventId, Side


class CostRecorded(Event, frozen=True, kw_only=True, tag="cost_recorded"):
    """Implementation shortfall of one fill in quote currency; positive is a cost.

    `spread + drift + fee == total`, exactly. `spread` is the half-spread at arrival, paid by a taker and earned by
    a maker; `drift` is all other movement of the price from the arrival mid to the fill.
    """

    fill: EventId
    order_id: str
    account: str
    strategy: str
    symbol: str
    venue: str
    trade_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    arrival_mid: Decimal
    spread: Decimal
    drift: Decimal
    fee: Decimal
    total: Decimal
