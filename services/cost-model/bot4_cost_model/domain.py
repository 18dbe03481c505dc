"""Costs: what did a fill cost against the market that its order was decided on, and what would one cost now?

Beside it the cost model samples the market and publishes statistics of it. It does not compute them: it says what they
are wanted of, and hears what was found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from bot4_common.decider import Emit, Heard
from bot4_common.messages.cost import CostRecorded, PricesSampled, StatisticsPublished
from bot4_common.messages.estimate import Estimate, EstimateRefused, EstimateRequest
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.market import Quote, Tick
from bot4_common.messages.terms import Event, EventId, Liquidity, signed
from bot4_common.money import EXACT, POSITIVE, is_positive, plain
from bot4_cost_model.fees import FeeSchedule
from bot4_cost_model.sampling import (
    INTERVAL_NS,
    RETURNS_MIN,
    SAMPLES_MAX,
    StatisticsFitted,
    Window,
    mids,
    period,
)

# Of a history, as many samples as fit well into a frame.
SEEDED_AT_ONCE = 256


class State(msgspec.Struct):
    """A fill carries all that its cost follows from; statistics follow from the samples.

    `recorded` counts the costs. `samples` are the newest SAMPLES_MAX, the oldest first. `version` is that of the
    statistics published last, and `published_to` the newest sample in them.
    """

    recorded: int = 0
    samples: list[PricesSampled] = []
    version: int = 0
    published_to: int = 0

    @property
    def sampled_to(self) -> int:
        return self.samples[-1].at if self.samples else 0


class CostModel:
    """The decider of one cost shard.

    `schedules` by venue; the first is the venue whose prices are sampled. `history` are samples from before, the oldest
    first: those that are newer than what was sampled are taken over.
    """

    def __init__(
        self,
        schedules: Mapping[str, FeeSchedule],
        interval_ns: int = INTERVAL_NS,
        history: Sequence[PricesSampled] = (),
    ) -> None:
        self._schedules = schedules
        self._venue = next(iter(schedules))
        self._interval_ns = interval_ns
        self._history = history

    def initial(self) -> State:
        return State()

    def deadline(self, state: State) -> int | None:
        """At once, while there is history to be taken over."""
        return 0 if self._is_seeding(state) else None

    def decide(self, state: State, heard: Heard, emit: Emit) -> None:
        match heard.event:
            case OrderFilled() as fill:
                assert heard.id is not None
                emit(cost(fill, heard.id, self._schedules[fill.venue]))
            case Tick():
                for sample in self._unseeded(state):
                    emit(sample)
            case Quote(venue=self._venue):
                self._sample(state, heard, emit)
            case StatisticsFitted() as fitted:
                publish(state, fitted, heard.at, emit)

    def evolve(self, state: State, event: Event) -> None:
        match event:
            case CostRecorded():
                state.recorded += 1
            case PricesSampled():
                state.samples.append(event)
                del state.samples[:-SAMPLES_MAX]
            case StatisticsPublished():
                state.version = event.version
                state.published_to = event.sampled_to

    def dump(self, state: State) -> Any:
        return state

    def load(self, data: bytes) -> State:
        return msgspec.json.decode(data, type=State)

    def wanted(self, state: State) -> Window | None:
        """What statistics are wanted of: all samples, when they are enough and not all of them published."""
        if len(state.samples) <= RETURNS_MIN or state.sampled_to <= state.published_to or self._is_seeding(state):
            return None
        return Window(samples=list(state.samples), interval_ns=self._interval_ns)

    def _sample(self, state: State, heard: Heard, emit: Emit) -> None:
        """At the first quote of a period, once the history is taken over, which is older."""
        due = period(heard.at, self._interval_ns) > period(state.sampled_to, self._interval_ns)
        if due and not self._is_seeding(state):
            prices = mids(heard.quotes, self._venue, heard.at)
            if prices:
                emit(PricesSampled(prices=prices, at=heard.at))

    def _is_seeding(self, state: State) -> bool:
        return bool(self._history) and self._history[-1].at > state.sampled_to

    def _unseeded(self, state: State) -> Sequence[PricesSampled]:
        """The next of the history, no more than a frame holds well."""
        start = bisect_right(self._history, state.sampled_to, key=lambda sample: sample.at)
        return self._history[start : start + SEEDED_AT_ONCE]


def publish(state: State, fitted: StatisticsFitted, at: int, emit: Emit) -> None:
    if not fitted.symbols or fitted.sampled_to <= state.published_to:
        return
    emit(
        StatisticsPublished(
            version=state.version + 1,
            sampled_to=fitted.sampled_to,
            interval_ns=fitted.interval_ns,
            symbols=fitted.symbols,
            correlations=fitted.correlations,
            at=at,
        )
    )


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
