"""What did each fill cost, and how do the markets move together?"""

from __future__ import annotations

from decimal import Decimal

import msgspec

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


class PricesSampled(Event, frozen=True, kw_only=True, tag="prices_sampled"):
    """The mids of all symbols at one moment, by symbol, for the statistics of their returns."""

    prices: dict[str, Decimal]
    at: int


class SymbolStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Of one symbol's logarithmic returns, per sampling period: `volatility` is the deviation of the next one.

    `model` says which branch of the GARCH(1,1) with Student-t errors was taken: `garch`, `igarch` (alpha + beta is at
    one) or `sample` (there is nothing to be fitted; `degrees_of_freedom` is then zero where it is not known either).
    A test that is not defined for the returns has the statistic zero and p = 1: nothing speaks against its hypothesis.
    """

    symbol: str
    observations: int
    volatility: Decimal
    model: str
    alpha: Decimal
    beta: Decimal
    degrees_of_freedom: Decimal
    adf_statistic: Decimal
    adf_p: Decimal
    jarque_bera_statistic: Decimal
    jarque_bera_p: Decimal
    ljung_box_statistic: Decimal
    ljung_box_p: Decimal


class StatisticsPublished(Event, frozen=True, kw_only=True, tag="statistics_published"):
    """What DCC-GARCH says of the returns sampled until `sampled_to`; risk looks up in the newest version.

    `correlations` is square, in the order of `symbols`, with ones on its diagonal.
    """

    version: int
    sampled_to: int
    interval_ns: int
    symbols: list[SymbolStatistics]
    correlations: list[list[Decimal]]
    at: int
