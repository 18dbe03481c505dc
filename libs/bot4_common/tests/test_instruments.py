from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.errors import REFUSALS, Refused
from bot4_common.instruments import check, parse, shipped
from bot4_common.messages.terms import Order

INSTRUMENTS = shipped()
BTC = INSTRUMENTS["BTC-USDT"]


def limit(**changed: Any) -> Order:
    given = {"client_order_id": "o1", "symbol": "BTC-USDT", "side": "buy", "type": "limit", "strategy": "s"}
    numbers = {"quantity": "0.5", "price": "64000.00", "stop_loss": "63000.00"} | {
        name: changed.pop(name) for name in ("quantity", "price", "stop_loss") if name in changed
    }
    decimals = {name: None if text is None else Decimal(text) for name, text in numbers.items()}
    return Order(**(given | decimals | changed))


def market(**changed: Any) -> Order:
    return limit(type="market", price=None, **changed)


def refusal(order: Order) -> Refused:
    with pytest.raises(Refused) as caught:
        check(order, INSTRUMENTS)
    assert caught.value.code in REFUSALS and all(len(text) < 200 for text in caught.value.details.values())
    return caught.value


@pytest.mark.parametrize(
    "order",
    [
        limit(),
        limit(side="sell", stop_loss="65000.00"),
        limit(stop_loss=None),
        limit(post_only=True),
        limit(time_in_force="ioc"),
        limit(quantity="0.00001", price="1.00", stop_loss=None, reduce_only=True),
        limit(quantity="9000"),
        limit(price="1E+4", quantity="5E-1", stop_loss="9E+3"),
        market(),
        market(stop_loss=None),
    ],
)
def test_a_good_order_passes(order: Order) -> None:
    assert check(order, INSTRUMENTS) is BTC


@pytest.mark.parametrize(
    ("order", "code", "details"),
    [
        (limit(symbol="DOGE-USDT"), "UNKNOWN_SYMBOL", {"symbol": "DOGE-USDT"}),
        (limit(client_order_id=""), "BAD_FIELD", {"field": "client_order_id"}),
        (limit(client_order_id="x" * 65), "BAD_FIELD", {"field": "client_order_id"}),
        (limit(strategy=""), "BAD_FIELD", {"field": "strategy"}),
        (limit(strategy="x" * 65), "BAD_FIELD", {"field": "strategy"}),
        (limit(quantity="0"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="-1"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="NaN"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="Infinity"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="1E+999999"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="1E-999999"), "BAD_FIELD", {"field": "quantity"}),
        (limit(quantity="0.000015"), "LOT_SIZE", {"quantity": "0.000015", "lot": "0.00001"}),
        (limit(quantity="9000.00001"), "QUANTITY_RANGE", {"quantity_max": "9000"}),
        (limit(quantity="100000000000000000"), "QUANTITY_RANGE", {"quantity": "100000000000000000"}),
        (limit(price=None), "BAD_FIELD", {"field": "price"}),
        (limit(price="0"), "BAD_FIELD", {"field": "price"}),
        (limit(price="NaN"), "BAD_FIELD", {"field": "price"}),
        (limit(price="1000000000000.01"), "BAD_FIELD", {"field": "price"}),
        (limit(price="64000.001"), "TICK_SIZE", {"field": "price", "price": "64000.001", "tick": "0.01"}),
        (limit(quantity="0.00007"), "NOTIONAL_TOO_SMALL", {"notional": "4.48", "notional_min": "5"}),
        (limit(type="market"), "BAD_FIELD", {"field": "price"}),
        (market(post_only=True), "BAD_FIELD", {"field": "post_only"}),
        (limit(post_only=True, time_in_force="ioc"), "BAD_FIELD", {"field": "post_only"}),
        (limit(stop_loss="0"), "BAD_FIELD", {"field": "stop_loss"}),
        (limit(stop_loss="63000.001"), "TICK_SIZE", {"field": "stop_loss"}),
        (limit(stop_loss="64000.00"), "STOP_ON_WRONG_SIDE", {"side": "buy", "price": "64000", "stop_loss": "64000"}),
        (limit(side="sell", stop_loss="63999.99"), "STOP_ON_WRONG_SIDE", {"side": "sell"}),
    ],
)
def test_a_bad_one_is_refused_with_its_numbers(order: Order, code: str, details: dict[str, str]) -> None:
    refused = refusal(order)
    assert refused.code == code and refused.details | details == refused.details


@given(st.decimals())
def test_no_number_at_all_gets_past_as_anything_but_a_refusal_or_an_order(number: Decimal) -> None:
    for order in limit(quantity=number), limit(price=number), limit(stop_loss=number), market(stop_loss=number):
        with suppress(Refused):
            assert check(order, INSTRUMENTS) is BTC


@given(st.integers(min_value=1, max_value=10**14))
def test_ticks_and_lots_come_back_as_the_same_price_and_quantity(count: int) -> None:
    assert BTC.ticks(BTC.price(count)) == count
    assert BTC.lots(BTC.quantity(count)) == count


def test_between_two_ticks_there_is_no_price() -> None:
    with pytest.raises(ValueError, match=r"100\.001 is not a multiple of the tick 0\.01"):
        BTC.ticks(Decimal("100.001"))
    with pytest.raises(ValueError, match=r"is not a multiple of the lot 0\.00001"):
        BTC.lots(Decimal("0.000001"))


LISTED = """
[X-Y]
base = "X"
quote = "Y"
tick = "0.5"
lot = "1"
quantity_min = "1"
quantity_max = "10"
notional_min = "5"
"""


def test_instruments_are_read_from_toml() -> None:
    [instrument] = parse(LISTED).values()
    assert (instrument.symbol, instrument.tick, instrument.quantity_max) == ("X-Y", Decimal("0.5"), Decimal(10))


@pytest.mark.parametrize("wrong", ['tick = "0"', 'tick = "-1"', 'tick = "NaN"', 'tick = "Infinity"'])
def test_a_step_must_be_above_zero(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"X-Y: tick|number"):
        parse(LISTED.replace('tick = "0.5"', wrong))


def test_a_missing_figure_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="tick"):
        parse(LISTED.replace('tick = "0.5"\n', ""))


def test_every_shipped_instrument_can_be_traded_at_its_bounds() -> None:
    for instrument in INSTRUMENTS.values():
        for quantity in instrument.quantity_min, instrument.quantity_max:
            assert instrument.lots(quantity) > 0
