from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.money import ZERO, add, multiply, plain, subtract
from bot4_common.pnl import Holding

quantities = st.decimals("-1000000", "1000000", places=8).filter(bool)
prices = st.decimals("0.00000001", "10000000", places=8)
fills = st.lists(st.tuples(quantities, prices), max_size=20)


def held(*trades: tuple[str, str]) -> Holding:
    holding = Holding()
    for quantity, price in trades:
        holding.trade(Decimal(quantity), Decimal(price))
    return holding


def figures(holding: Holding) -> tuple[str, str, str]:
    return plain(holding.quantity), plain(holding.basis), plain(holding.realized)


def test_buying_costs_and_realizes_nothing() -> None:
    assert figures(held(("2", "100"), ("1", "130"))) == ("3", "330", "0")


def test_selling_a_part_realizes_it_against_the_average_cost() -> None:
    assert figures(held(("2", "100"), ("1", "130"), ("-1", "150"))) == ("2", "220", "40")


def test_a_short_position_earns_when_the_price_falls() -> None:
    assert figures(held(("-2", "100"), ("1", "90"))) == ("-1", "-100", "10")


def test_a_fill_through_zero_closes_the_old_and_opens_the_new_position() -> None:
    assert figures(held(("1", "100"), ("-3", "110"))) == ("-2", "-220", "10")


def test_a_third_is_rounded_but_nothing_is_lost() -> None:
    holding = held(("3", "100.01"), ("-1", "100"))
    assert figures(holding) == ("2", "200.02", "-0.01")
    holding = held(("7", "0.000001"), ("-3", "0.000002"))
    assert holding.realized + holding.unrealized(ZERO) == Decimal("-0.000001")


@pytest.mark.parametrize(("mark", "unrealized"), [("100", "0"), ("90", "-20"), ("115.5", "31")])
def test_what_is_held_is_worth_its_mark(mark: str, unrealized: str) -> None:
    assert held(("2", "100")).unrealized(Decimal(mark)) == Decimal(unrealized)


@given(fills, prices)
def test_profit_is_the_cash_flow_and_the_worth_of_what_is_held_exactly(
    trades: list[tuple[Decimal, Decimal]], mark: Decimal
) -> None:
    holding, cash, position = Holding(), ZERO, ZERO
    for quantity, price in trades:
        holding.trade(quantity, price)
        cash = subtract(cash, multiply(quantity, price))
        position = add(position, quantity)
    assert holding.quantity == position and holding.fills == len(trades)
    assert add(holding.realized, holding.unrealized(mark)) == add(cash, multiply(position, mark))


@given(fills, prices)
def test_flat_again_everything_is_realized(trades: list[tuple[Decimal, Decimal]], price: Decimal) -> None:
    holding, cash = Holding(), ZERO
    for quantity, paid in trades:
        holding.trade(quantity, paid)
        cash = subtract(cash, multiply(quantity, paid))
    if holding.quantity:
        cash = add(cash, multiply(holding.quantity, price))
        holding.trade(holding.quantity.copy_negate(), price)
    assert holding.quantity == 0 and holding.basis == 0
    assert holding.realized == cash


@given(fills)
def test_the_basis_has_the_sign_of_the_position(trades: list[tuple[Decimal, Decimal]]) -> None:
    holding = Holding()
    for quantity, price in trades:
        holding.trade(quantity, price)
        assert (holding.basis > 0) == (holding.quantity > 0) or holding.basis == 0
