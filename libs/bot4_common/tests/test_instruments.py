from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.errors import REFUSALS, Refused
from bot4_common.instruments import LEGS, check, check_amend, check_list, parse, shipped
from bot4_common.messages.terms import ListKind, Order, OrderList

INSTRUMENTS = shipped()
BTC = INSTRUMENTS["BTC-USDT"]


NUMBERS = ("quantity", "price", "stop_loss", "stop_price", "activation_price", "display_quantity")


def limit(**changed: Any) -> Order:
    given = {"client_order_id": "o1", "symbol": "BTC-USDT", "side": "buy", "type": "limit", "strategy": "s"}
    numbers = {"quantity": "0.5", "price": "64000.00", "stop_loss": "63000.00"} | {
        name: changed.pop(name) for name in NUMBERS if name in changed
    }
    decimals = {name: None if text is None else Decimal(text) for name, text in numbers.items()}
    return Order(**(given | decimals | changed))


def market(**changed: Any) -> Order:
    return limit(**{"type": "market", "price": None} | changed)


def stop_limit(**changed: Any) -> Order:
    return limit(**{"type": "stop_limit", "stop_price": "63900.00"} | changed)


def stop_market(**changed: Any) -> Order:
    return market(**{"type": "stop_market", "stop_price": "63900.00"} | changed)


def trailing(**changed: Any) -> Order:
    return market(**{"type": "trailing_stop", "trail_bps": 50} | changed)


def refusal(refused: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        refused()
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
        stop_limit(stop_loss="63950.00"),
        limit(price="1E+4", quantity="5E-1", stop_loss="9E+3"),
        market(),
        market(stop_loss=None),
        stop_limit(),
        stop_limit(type="take_profit_limit", post_only=True),
        stop_limit(display_quantity="0.1", time_in_force="gtd", expire_at=1),
        stop_market(),
        stop_market(time_in_force="fok"),
        stop_market(type="take_profit_market", side="sell", stop_loss="63900.01"),
        trailing(),
        trailing(trail_bps=9_999, activation_price="65000.00", time_in_force="ioc"),
        limit(time_in_force="fok"),
        limit(display_quantity="0.5"),
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
        (stop_market(stop_loss="63900.00"), "STOP_ON_WRONG_SIDE", {"price": "63900"}),
        (stop_limit(stop_price=None), "BAD_FIELD", {"field": "stop_price"}),
        (limit(stop_price="63900.00"), "BAD_FIELD", {"field": "stop_price"}),
        (trailing(stop_price="63900.00"), "BAD_FIELD", {"field": "stop_price"}),
        (stop_market(stop_price="0"), "BAD_FIELD", {"field": "stop_price"}),
        (stop_market(stop_price="63900.001"), "TICK_SIZE", {"field": "stop_price"}),
        (stop_limit(price=None), "BAD_FIELD", {"field": "price"}),
        (stop_market(price="64000.00"), "BAD_FIELD", {"field": "price"}),
        (trailing(price="64000.00"), "BAD_FIELD", {"field": "price"}),
        (trailing(trail_bps=0), "BAD_FIELD", {"field": "trail_bps"}),
        (trailing(trail_bps=-1), "BAD_FIELD", {"field": "trail_bps"}),
        (trailing(trail_bps=10_000), "BAD_FIELD", {"field": "trail_bps"}),
        (limit(trail_bps=1), "BAD_FIELD", {"field": "trail_bps"}),
        (stop_limit(activation_price="64000.00"), "BAD_FIELD", {"field": "activation_price"}),
        (trailing(activation_price="0"), "BAD_FIELD", {"field": "activation_price"}),
        (trailing(activation_price="64000.001"), "TICK_SIZE", {"field": "activation_price"}),
        (limit(time_in_force="gtd"), "BAD_FIELD", {"field": "expire_at"}),
        (limit(expire_at=1), "BAD_FIELD", {"field": "expire_at"}),
        (limit(time_in_force="gtd", expire_at=-1), "BAD_FIELD", {"field": "expire_at"}),
        (limit(time_in_force="gtd", expire_at=2**63), "BAD_FIELD", {"field": "expire_at"}),
        (limit(post_only=True, time_in_force="fok"), "BAD_FIELD", {"field": "post_only"}),
        (stop_market(post_only=True), "BAD_FIELD", {"field": "post_only"}),
        (trailing(post_only=True), "BAD_FIELD", {"field": "post_only"}),
        (limit(display_quantity="0"), "BAD_FIELD", {"field": "display_quantity"}),
        (limit(display_quantity="NaN"), "BAD_FIELD", {"field": "display_quantity"}),
        (limit(display_quantity="0.000001"), "LOT_SIZE", {"field": "display_quantity"}),
        (limit(display_quantity="0.50001"), "ICEBERG_DISPLAY", {"display_quantity": "0.50001", "quantity": "0.5"}),
        (market(display_quantity="0.1"), "ICEBERG_CANNOT_REST", {"type": "market"}),
        (limit(display_quantity="0.1", time_in_force="fok"), "ICEBERG_CANNOT_REST", {"time_in_force": "fok"}),
        (limit(signal="x" * 65), "BAD_FIELD", {"field": "signal"}),
    ],
)
def test_a_bad_one_is_refused_with_its_numbers(order: Order, code: str, details: dict[str, str]) -> None:
    refused = refusal(lambda: check(order, INSTRUMENTS))
    assert refused.code == code and refused.details | details == refused.details


@given(st.decimals())
def test_no_number_at_all_gets_past_as_anything_but_a_refusal_or_an_order(number: Decimal) -> None:
    for order in (
        *(limit(**{field: number}) for field in ("quantity", "price", "stop_loss", "display_quantity")),
        market(stop_loss=number),
        stop_market(stop_price=number),
        trailing(activation_price=number),
    ):
        with suppress(Refused):
            assert check(order, INSTRUMENTS) is BTC


def orders(kind: ListKind, *legs: Order) -> OrderList:
    return OrderList(client_list_id="l1", kind=kind, orders=list(legs))


LIMIT_LEG = limit(side="sell", price="65000.00", stop_loss=None)
STOP_LEG = stop_market(client_order_id="o2", side="sell", stop_loss=None)
ENTRY = limit(client_order_id="o3")
OTHER = limit(client_order_id="o2", side="sell", stop_loss=None)


def changed(order: Order, **fields: Any) -> Order:
    return msgspec.structs.replace(order, **fields)


@pytest.mark.parametrize(
    "asked",
    [
        orders("oco", LIMIT_LEG, STOP_LEG),
        orders("oco", STOP_LEG, LIMIT_LEG),
        orders("oco", changed(LIMIT_LEG, side="buy", price=Decimal(63000)), changed(STOP_LEG, side="buy")),
        orders("oto", ENTRY, changed(STOP_LEG, symbol="ETH-USDT", quantity=Decimal(1))),
        orders("otoco", ENTRY, LIMIT_LEG, STOP_LEG),
        orders("ouo", LIMIT_LEG, OTHER),
    ],
)
def test_a_good_list_passes(asked: OrderList) -> None:
    check_list(asked, INSTRUMENTS)


@pytest.mark.parametrize(
    ("asked", "code", "details"),
    [
        (
            OrderList(client_list_id="", kind="oco", orders=[LIMIT_LEG, STOP_LEG]),
            "BAD_FIELD",
            {"field": "client_list_id"},
        ),
        (orders("oco", LIMIT_LEG), "LIST_LEGS_DIFFER", {"orders": "1", "wanted": "2"}),
        (orders("otoco", LIMIT_LEG, STOP_LEG), "LIST_LEGS_DIFFER", {"orders": "2", "wanted": "3"}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, quantity=Decimal("0.000001"))), "LOT_SIZE", {"leg": "2"}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, client_order_id="o1")), "BAD_FIELD", {"field": "client_order_id"}),
        (orders("oto", ENTRY, changed(OTHER, venue="b")), "LIST_VENUES_DIFFER", {}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, symbol="ETH-USDT")), "LIST_LEGS_DIFFER", {}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, side="buy")), "LIST_LEGS_DIFFER", {}),
        (orders("otoco", ENTRY, LIMIT_LEG, changed(STOP_LEG, quantity=Decimal("0.4"))), "LIST_LEGS_DIFFER", {}),
        (orders("ouo", LIMIT_LEG, changed(OTHER, quantity=Decimal("0.4"))), "LIST_LEGS_DIFFER", {}),
        (orders("oco", LIMIT_LEG, OTHER), "LIST_LEGS_DIFFER", {"rule": "one leg is a limit order, the other a stop"}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, type="take_profit_market")), "LIST_LEGS_DIFFER", {}),
        (orders("oco", STOP_LEG, changed(STOP_LEG, client_order_id="o1")), "LIST_LEGS_DIFFER", {}),
        (orders("oco", LIMIT_LEG, changed(STOP_LEG, stop_price=Decimal(65000))), "LIST_PRICES", {"price": "65000"}),
        (orders("oco", changed(LIMIT_LEG, side="buy"), changed(STOP_LEG, side="buy")), "LIST_PRICES", {"side": "buy"}),
    ],
)
def test_a_list_that_does_not_fit_together_is_refused(asked: OrderList, code: str, details: dict[str, str]) -> None:
    refused = refusal(lambda: check_list(asked, INSTRUMENTS))
    assert refused.code == code and refused.details | details == refused.details


def test_every_kind_of_list_has_its_number_of_orders() -> None:
    assert set(LEGS) == set(get_args(ListKind))


def test_an_amend_changes_what_it_names() -> None:
    amended = check_amend(limit(), Decimal("0.7"), None, INSTRUMENTS)
    assert amended == limit(quantity="0.7")
    assert check_amend(limit(), None, Decimal(63500), INSTRUMENTS) == limit(price="63500")


def test_an_amend_may_bring_the_total_below_what_an_iceberg_displays() -> None:
    amended = check_amend(limit(display_quantity="0.2"), Decimal("0.1"), None, INSTRUMENTS)
    assert (amended.quantity, amended.display_quantity) == (Decimal("0.1"), Decimal("0.2"))


@pytest.mark.parametrize(
    ("order", "quantity", "price", "code"),
    [
        (limit(), None, None, "AMEND_NOTHING"),
        (limit(), "0.000001", None, "LOT_SIZE"),
        (limit(), "9001", None, "QUANTITY_RANGE"),
        (limit(), None, "64000.001", "TICK_SIZE"),
        (limit(), None, "63000.00", "STOP_ON_WRONG_SIDE"),
        (stop_market(), None, "64000.00", "BAD_FIELD"),
        (limit(), "0.00001", None, "NOTIONAL_TOO_SMALL"),
    ],
)
def test_an_amend_keeps_the_rules_of_a_new_order(
    order: Order, quantity: str | None, price: str | None, code: str
) -> None:
    total, level = (None if text is None else Decimal(text) for text in (quantity, price))
    assert refusal(lambda: check_amend(order, total, level, INSTRUMENTS)).code == code


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
