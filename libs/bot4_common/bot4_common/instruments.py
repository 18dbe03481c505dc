"""Which symbols can be traded, and in what steps?"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources

import msgspec

from bot4_common.errors import Refused
from bot4_common.messages.terms import Order
from bot4_common.money import EXACT, POSITIVE, amount, is_positive, multiply, plain


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol and its steps. Prices in `quote` per `base`; quantities and lots in `base`; notional in `quote`."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    notional_min: Decimal

    def ticks(self, price: Decimal) -> int:
        """The price as a whole number of ticks. Raises `ValueError` when it lies between two."""
        return _whole(price, self.tick, "tick")

    def lots(self, quantity: Decimal) -> int:
        """The quantity as a whole number of lots. Raises `ValueError` when it lies between two."""
        return _whole(quantity, self.lot, "lot")

    def price(self, ticks: int) -> Decimal:
        return self.tick * ticks

    def quantity(self, lots: int) -> Decimal:
        return self.lot * lots


def _whole(value: Decimal, step: Decimal, name: str) -> int:
    count, rest = EXACT.divmod(value, step)
    if rest:
        raise ValueError(f"{plain(value)} is not a multiple of the {name} {plain(step)}")
    return int(count)


def check(order: Order, instruments: Mapping[str, Instrument]) -> Instrument:
    """The venue's own rules for an order, in the order venues apply them. Raises `Refused` for the first one broken."""
    instrument = instruments.get(order.symbol)
    if instrument is None:
        raise Refused("UNKNOWN_SYMBOL", symbol=order.symbol)
    if not order.client_order_id or len(order.client_order_id) > 64:
        raise Refused("BAD_FIELD", field="client_order_id", rule="1 to 64 characters")
    if not order.strategy or len(order.strategy) > 64:
        raise Refused("BAD_FIELD", field="strategy", rule="1 to 64 characters")
    _check_quantity(order, instrument)
    if order.type == "limit":
        if order.price is None:
            raise Refused("BAD_FIELD", field="price", rule="a limit order needs one")
        _check_price("price", order.price, instrument)
        notional = multiply(order.price, order.quantity)
        if notional < instrument.notional_min and not order.reduce_only:
            raise Refused("NOTIONAL_TOO_SMALL", notional=plain(notional), notional_min=plain(instrument.notional_min))
    else:
        if order.price is not None:
            raise Refused("BAD_FIELD", field="price", rule="a market order has none")
        if order.post_only:
            raise Refused("BAD_FIELD", field="post_only", rule="a market order cannot rest")
    if order.post_only and order.time_in_force == "ioc":
        raise Refused("BAD_FIELD", field="post_only", rule="an IOC order cannot rest")
    if order.stop_loss is not None:
        _check_stop(order, order.stop_loss, instrument)
    return instrument


def _check_quantity(order: Order, instrument: Instrument) -> None:
    if not is_positive(order.quantity):
        raise Refused("BAD_FIELD", field="quantity", rule=POSITIVE)
    if EXACT.remainder(order.quantity, instrument.lot):
        raise Refused("LOT_SIZE", quantity=plain(order.quantity), lot=plain(instrument.lot))
    if not instrument.quantity_min <= order.quantity <= instrument.quantity_max:
        raise Refused(
            "QUANTITY_RANGE",
            quantity=plain(order.quantity),
            quantity_min=plain(instrument.quantity_min),
            quantity_max=plain(instrument.quantity_max),
        )


# A price of more digits than this is a mistake, and would make exact products needlessly long.
PRICE_MAX = Decimal("1e12")


def _check_price(field: str, price: Decimal, instrument: Instrument) -> None:
    if not is_positive(price) or price > PRICE_MAX:
        raise Refused("BAD_FIELD", field=field, rule=POSITIVE)
    if EXACT.remainder(price, instrument.tick):
        raise Refused("TICK_SIZE", field=field, price=plain(price), tick=plain(instrument.tick))


def _check_stop(order: Order, stop: Decimal, instrument: Instrument) -> None:
    _check_price("stop_loss", stop, instrument)
    if order.price is None:
        return
    wrong = stop >= order.price if order.side == "buy" else stop <= order.price
    if wrong:
        raise Refused("STOP_ON_WRONG_SIDE", side=order.side, price=plain(order.price), stop_loss=plain(stop))


def parse(text: str) -> dict[str, Instrument]:
    """Instruments from TOML, one table per symbol, every number as text.

    Raises `ValueError` or `msgspec.ValidationError` naming what is wrong.
    """
    tables = tomllib.loads(text)
    listed = {}
    for symbol, fields in tables.items():
        instrument = msgspec.convert({"symbol": symbol, **fields}, Instrument, strict=False)
        for name in ("tick", "lot", "quantity_min", "quantity_max", "notional_min"):
            if amount(str(getattr(instrument, name))) <= 0:
                raise ValueError(f"{symbol}: {name} must be above zero")
        listed[symbol] = instrument
    return listed


def shipped() -> dict[str, Instrument]:
    """The instruments that come with bot4."""
    return parse(resources.files("bot4_common").joinpath("instruments.toml").read_text(encoding="utf-8"))
