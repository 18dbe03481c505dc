"""How much may an account do? The numbers every opening order is held against."""

from __future__ import annotations

import tomllib
from decimal import Decimal

import msgspec

from bot4_common.money import amount


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Notionals in quote currency, at the mid of the market. The defaults suit the shipped demonstration."""

    # What one order may be worth, and what a position may be worth if every open order on its side fills.
    order_notional_max: Decimal = Decimal("50000")
    position_notional_max: Decimal = Decimal("250000")
    # How far from the mid a limit price may lie, in hundredths of a percent.
    price_collar_bps: int = 500
    open_orders_max: int = 1_000
    # A quote older than this (ns) is no market to judge an order by.
    quote_age_max_ns: int = 5_000_000_000


def parse(text: str) -> Limits:
    """Limits from TOML, numbers as text. Raises `ValueError` or `msgspec.ValidationError` naming what is wrong."""
    limits = msgspec.convert(tomllib.loads(text), Limits, strict=False)
    for name in Limits.__struct_fields__:
        if amount(str(getattr(limits, name))) <= 0:
            raise ValueError(f"{name} must be above zero")
    return limits
