"""Costs: what did a fill cost against the market that its order was decided on, and what would one cost now?"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.estimate import Estimate, EstimateRefused, EstimateRequest
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.market import Quote
from bot4_common.messages.terms import Event, EventId, Liquidity, signed
from bot4_common.money import EXACT, POSITIVE, is_positive, plain
from bot4_cost_model.fees import FeeSchedule


class State(msgspec.Struct):
    """Nothing a decision needs: a fill carries all its cost follows from. The count tells how far the fold has come."""

    recorded: int = 0


class CostModel:
    """The decider of one cost shard. `schedules` by venue."""

    def __init__(self, schedules: Mapping[str, FeeSchedule]) -> None:
        self._schedules = schedules

    def initial(self) -> State:
        return State()

    def deadline(self, state: State) -> int | None:
        return None

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        if isinstance(heard.event, OrderFilled):
            assert heard.id is not None
            emit(cost(heard.event, heard.id, self._schedules[heard.event.venue]))

    def evolve(self, state: State, event: Event) -> None:
        state.recorded += 1

    def dump(self, state: State) -> Any:
        return state

    def load(self, data: bytes) -> State:
        return msgspec.json.decode(data, type=State)


def cost(fill: OrderFilled, id: EventId, schedule: FeeSchedule) -> CostRecorded:
    """Implementation shortfall against the arrival mid, in parts that add up to the last digit."""
    with localcontext(EXACT):
        mid = (fill.bid + fill.ask) / 2
        shortfall = (fill.price - mid) * signed(fill.side, fill.quantity)
        spread = half_spread(fill.bid, fill.ask, fill.quantity, fill.liquidity)
        drift = shortfall - spread
        fee = schedule.fee(fill.price * fill.quantity, fill.liquidity)
        total = shortfall + fee
    return CostRecorded(
        fill=id,
        order_id=fill.order_id,
        account=fill.account,
        strategy=fill.strategy,
        symbol=fill.symbol,
        venue=fill.venue,
        trade_id=fill.trade_id,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        arrival_mid=mid,
        spread=spread,
        drift=drift,
        fee=fee,
        total=total,
    )


def half_spread(bid: Decimal, ask: Decimal, quantity: Decimal, liquidity: Liquidity) -> Decimal:
    """What crossing from the mid to the touch costs a taker, and earns a maker."""
    half = (ask - bid) / 2 * quantity
    return half if liquidity == "taker" else -half


def estimate(
    request: EstimateRequest, quotes: Mapping[tuple[str, str], Quote], schedules: Mapping[str, FeeSchedule]
) -> Estimate | EstimateRefused:
    """What the order would cost at the touch of the market as it is. `quotes` by venue and symbol; `schedules` by
    venue, and the first is the venue of a request that names none."""
    if not is_positive(request.quantity):
        return EstimateRefused(code="BAD_FIELD", details={"field": "quantity", "rule": POSITIVE})
    venue = request.venue or next(iter(schedules))
    if venue not in schedules:
        return EstimateRefused(code="UNKNOWN_VENUE", details={"venue": venue, "venues": ", ".join(schedules)})
    quote = quotes.get((venue, request.symbol))
    if quote is None:
        return EstimateRefused(code="NO_MARKET", details={"symbol": request.symbol, "venue": venue})
    takes = request.type == "market"
    touch = quote.ask if (request.side == "buy") == takes else quote.bid
    liquidity: Liquidity = "taker" if takes else "maker"
    with localcontext(EXACT):
        spread = half_spread(quote.bid, quote.ask, request.quantity, liquidity)
        fee = schedules[venue].fee(touch * request.quantity, liquidity)
        total = spread + fee
        notional = (quote.bid + quote.ask) / 2 * request.quantity
    return Estimate(
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        type=request.type,
        venue=venue,
        bid=quote.bid,
        ask=quote.ask,
        spread=spread,
        fee=fee,
        total=total,
        total_bps=Decimal(plain((10_000 * total / notional).quantize(Decimal("0.0001")))),
    )
