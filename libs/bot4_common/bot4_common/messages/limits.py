"""How much may be done? The limits, as one document: what one order, symbol, strategy, account and the firm may do.

Percentages are of equity: an account's is its capital plus what it has earned, fees and open positions at the mid
included; the firm's is the sum over its accounts. Notionals are in quote currency. A rate is a token bucket:
`orders_per_second` flow in, up to `orders_burst`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from bot4_common.messages.terms import Prevention


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Common shape of the document's parts."""


class OrderLimits(_Part, frozen=True, kw_only=True):
    """One order, and one amend. The collar is the distance of its price from the mid, in hundredths of a percent."""

    notional_max: Decimal = Decimal(50_000)
    position_percent: Decimal = Decimal(2)
    price_collar_bps: int = 500
    quote_age_max_ns: int = 5_000_000_000


class SymbolLimits(_Part, frozen=True, kw_only=True):
    """What one account may hold of one symbol, at all venues together, if every order on its side fills."""

    position_percent: Decimal = Decimal(2)
    order_quantity_max: Decimal | None = None


class StrategyLimits(_Part, frozen=True, kw_only=True):
    """One strategy of an account; percentages are of the account's equity."""

    position_percent: Decimal = Decimal(2)
    open_orders_max: int = 1_000
    orders_per_second: int = 500
    orders_burst: int = 1_000
    daily_loss_percent: Decimal = Decimal(10)
    drawdown_percent: Decimal = Decimal(15)


class AccountLimits(_Part, frozen=True, kw_only=True):
    capital: Decimal = Decimal(10_000_000)
    gross_percent: Decimal = Decimal(20)
    net_percent: Decimal = Decimal(10)
    open_orders_max: int = 1_000
    orders_per_second: int = 500
    orders_burst: int = 1_000
    daily_loss_percent: Decimal = Decimal(5)
    drawdown_percent: Decimal = Decimal(15)
    # A new position may go with what is held no closer than this; beyond, it is refused, or scaled down to fit.
    correlation_max: Decimal = Decimal("0.7")
    correlation_action: Literal["refuse", "scale"] = "refuse"
    self_trade_prevention: Prevention = "cancel_new"
    # Accounts of the same group are one owner.
    trade_group: str = ""


class FirmLimits(_Part, frozen=True, kw_only=True):
    position_percent: Decimal = Decimal(2)
    gross_percent: Decimal = Decimal(20)
    net_percent: Decimal = Decimal(10)
    open_orders_max: int = 10_000
    orders_per_second: int = 5_000
    orders_burst: int = 10_000
    daily_loss_percent: Decimal = Decimal(5)
    drawdown_percent: Decimal = Decimal(15)


class GuardLimits(_Part, frozen=True, kw_only=True):
    """A strategy that does more than this within `window_ns` has run away."""

    duplicates_max: int = 50
    executions_max: int = 1_000
    window_ns: int = 1_000_000_000


class GateLimits(_Part, frozen=True, kw_only=True):
    """How old a signal may be when its order comes."""

    signal_age_max_ns: int = 60_000_000_000


class LimitsDocument(_Part, frozen=True, kw_only=True):
    """`accounts`, `symbols` and `strategies` (`account/strategy`) name those that differ from the default part; theirs
    takes its place whole."""

    order: OrderLimits = OrderLimits()
    symbol: SymbolLimits = SymbolLimits()
    strategy: StrategyLimits = StrategyLimits()
    account: AccountLimits = AccountLimits()
    firm: FirmLimits = FirmLimits()
    guards: GuardLimits = GuardLimits()
    gate: GateLimits = GateLimits()
    symbols: dict[str, SymbolLimits] = {}
    strategies: dict[str, StrategyLimits] = {}
    accounts: dict[str, AccountLimits] = {}
