"""Which symbols can be traded, in what steps, and which orders are well formed?"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources

import msgspec

from bot4_common.errors import Refused
from bot4_common.messages.terms import ListKind, Order, OrderList, OrderType, TimeInForce
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


# What the types of orders have: a limit price, and a trigger that is known from the beginning.
PRICED: frozenset[OrderType] = frozenset(("limit", "stop_limit", "take_profit_limit"))
STOPS: frozenset[OrderType] = frozenset(("stop_market", "stop_limit", "take_profit_market", "take_profit_limit"))
# An order of one of these is over at once.
NEVER_RESTS: frozenset[TimeInForce] = frozenset(("ioc", "fok"))

# Whoever trails by the whole price waits for ever.
TRAIL_BPS_MAX = 9_999
# A later moment does not fit where times are kept.
TIME_MAX = 2**63 - 1


def check(order: Order, instruments: Mapping[str, Instrument]) -> Instrument:
    """The venue's own rules for an order, in the order venues apply them. Raises `Refused` for the first one broken.

    What needs a clock, the market or the account is not judged here, nor what is a setting of the venue's.
    """
    instrument = instruments.get(order.symbol)
    if instrument is None:
        raise Refused("UNKNOWN_SYMBOL", symbol=order.symbol)
    _check_name("client_order_id", order.client_order_id)
    _check_name("strategy", order.strategy)
    if len(order.signal) > NAME_MAX:
        raise Refused("BAD_FIELD", field="signal", rule=f"at most {NAME_MAX} characters")
    _check_quantity(order, instrument)
    _check_prices(order, instrument)
    _check_trail(order, instrument)
    _check_time(order)
    _check_display(order, instrument)
    if order.stop_loss is not None:
        _check_stop_loss(order, order.stop_loss, instrument)
    return instrument


# How many orders each kind of list has.
LEGS: dict[ListKind, int] = {"oco": 2, "oto": 2, "otoco": 3, "ouo": 2}


def check_list(asked: OrderList, instruments: Mapping[str, Instrument]) -> None:
    """Whether each order is well formed and all of them fit together (rule 33), as far as the list itself tells.

    Raises `Refused` for the first rule broken; if it is one for a single order, `leg` says which, counted from 1.
    """
    _check_name("client_list_id", asked.client_list_id)
    if len(asked.orders) != LEGS[asked.kind]:
        raise Refused("LIST_LEGS_DIFFER", kind=asked.kind, orders=str(len(asked.orders)), wanted=str(LEGS[asked.kind]))
    for leg, order in enumerate(asked.orders, start=1):
        try:
            check(order, instruments)
        except Refused as refused:
            raise Refused(refused.code, **refused.details, leg=str(leg)) from None
    if len({order.client_order_id for order in asked.orders}) < len(asked.orders):
        raise Refused("BAD_FIELD", field="client_order_id", rule="another for each order of a list")
    if len({order.venue for order in asked.orders}) > 1:
        raise Refused("LIST_VENUES_DIFFER", rule="all orders of a list name the same venue")
    if asked.kind != "oto":
        # The child of a plain OTO may be anything.
        first, second = asked.orders[-2:]
        _check_siblings(asked.kind, first, second)


def check_amend(
    order: Order, quantity: Decimal | None, price: Decimal | None, instruments: Mapping[str, Instrument]
) -> Order:
    """The order as it would be: `quantity` is the new total, None leaves a term as it is. Raises `Refused` like
    `check`. Whether so much was filled already, or nothing would change, whoever knows the order as it is now says."""
    if quantity is None and price is None:
        raise Refused("AMEND_NOTHING", rule="an amend names a quantity, a price, or both")
    amended = msgspec.structs.replace(
        order,
        quantity=order.quantity if quantity is None else quantity,
        price=order.price if price is None else price,
    )
    # An amend may bring the total below what an iceberg displays (rule 20).
    check(msgspec.structs.replace(amended, display_quantity=None), instruments)
    return amended


NAME_MAX = 64


def _check_name(field: str, name: str) -> None:
    if not name or len(name) > NAME_MAX:
        raise Refused("BAD_FIELD", field=field, rule=f"1 to {NAME_MAX} characters")


def _check_quantity(order: Order, instrument: Instrument) -> None:
    if not is_positive(order.quantity):
        raise Refused("BAD_FIELD", field="quantity", rule=POSITIVE)
    if EXACT.remainder(order.quantity, instrument.lot):
        raise Refused("LOT_SIZE", field="quantity", quantity=plain(order.quantity), lot=plain(instrument.lot))
    if not instrument.quantity_min <= order.quantity <= instrument.quantity_max:
        raise Refused(
            "QUANTITY_RANGE",
            quantity=plain(order.quantity),
            quantity_min=plain(instrument.quantity_min),
            quantity_max=plain(instrument.quantity_max),
        )


def _check_prices(order: Order, instrument: Instrument) -> None:
    _check_presence(order, "price", order.price is not None, order.type in PRICED)
    _check_presence(order, "stop_price", order.stop_price is not None, order.type in STOPS)
    if order.stop_price is not None:
        _check_price("stop_price", order.stop_price, instrument)
    if order.price is None:
        return
    _check_price("price", order.price, instrument)
    notional = multiply(order.price, order.quantity)
    if notional < instrument.notional_min and not order.reduce_only:
        raise Refused("NOTIONAL_TOO_SMALL", notional=plain(notional), notional_min=plain(instrument.notional_min))


def _check_presence(order: Order, field: str, is_there: bool, belongs: bool) -> None:
    if is_there != belongs:
        rule = f"an order of type {order.type} {'needs one' if belongs else 'has none'}"
        raise Refused("BAD_FIELD", field=field, rule=rule)


# A price of more digits than this is a mistake, and would make exact products needlessly long.
PRICE_MAX = Decimal("1e12")


def _check_price(field: str, price: Decimal, instrument: Instrument) -> None:
    if not is_positive(price) or price > PRICE_MAX:
        raise Refused("BAD_FIELD", field=field, rule=POSITIVE)
    if EXACT.remainder(price, instrument.tick):
        raise Refused("TICK_SIZE", field=field, price=plain(price), tick=plain(instrument.tick))


def _check_trail(order: Order, instrument: Instrument) -> None:
    trails = order.type == "trailing_stop"
    _check_presence(order, "trail_bps", order.trail_bps != 0, trails)
    if trails and not 1 <= order.trail_bps <= TRAIL_BPS_MAX:
        raise Refused("BAD_FIELD", field="trail_bps", rule=f"1 to {TRAIL_BPS_MAX}")
    if order.activation_price is not None:
        _check_presence(order, "activation_price", True, trails)
        _check_price("activation_price", order.activation_price, instrument)


def _check_time(order: Order) -> None:
    if (order.time_in_force == "gtd") != (order.expire_at != 0):
        raise Refused("BAD_FIELD", field="expire_at", rule="a GTD order needs one, no other has one")
    if not 0 <= order.expire_at <= TIME_MAX:
        raise Refused("BAD_FIELD", field="expire_at", rule="nanoseconds since 1970, of 63 bits")
    if order.post_only and not _can_rest(order):
        raise Refused("BAD_FIELD", field="post_only", rule="a market, IOC or FOK order cannot rest")


def _can_rest(order: Order) -> bool:
    return order.price is not None and order.time_in_force not in NEVER_RESTS


def _check_display(order: Order, instrument: Instrument) -> None:
    display = order.display_quantity
    if display is None:
        return
    if not is_positive(display):
        raise Refused("BAD_FIELD", field="display_quantity", rule=POSITIVE)
    if EXACT.remainder(display, instrument.lot):
        raise Refused("LOT_SIZE", field="display_quantity", quantity=plain(display), lot=plain(instrument.lot))
    if not _can_rest(order):
        raise Refused("ICEBERG_CANNOT_REST", type=order.type, time_in_force=order.time_in_force)
    if display > order.quantity:
        raise Refused("ICEBERG_DISPLAY", display_quantity=plain(display), quantity=plain(order.quantity))


def _check_stop_loss(order: Order, stop: Decimal, instrument: Instrument) -> None:
    _check_price("stop_loss", stop, instrument)
    entry = order.stop_price if order.price is None else order.price
    if entry is None:
        return
    wrong = stop >= entry if order.side == "buy" else stop <= entry
    if wrong:
        raise Refused("STOP_ON_WRONG_SIDE", side=order.side, price=plain(entry), stop_loss=plain(stop))


def _check_siblings(kind: ListKind, first: Order, second: Order) -> None:
    if (first.symbol, first.side, first.quantity) != (second.symbol, second.side, second.quantity):
        raise Refused("LIST_LEGS_DIFFER", rule="both legs have the same symbol, side and quantity")
    if kind == "ouo":
        return
    limit, stop = (first, second) if first.type == "limit" else (second, first)
    if limit.type != "limit" or stop.type not in ("stop_market", "stop_limit"):
        raise Refused("LIST_LEGS_DIFFER", rule="one leg is a limit order, the other a stop")
    assert limit.price is not None and stop.stop_price is not None
    fits = limit.price < stop.stop_price if limit.side == "buy" else limit.price > stop.stop_price
    if not fits:
        raise Refused("LIST_PRICES", side=limit.side, price=plain(limit.price), stop_price=plain(stop.stop_price))


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
