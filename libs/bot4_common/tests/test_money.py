from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.money import DIGITS_MAX, add, amount, is_positive, multiply, plain, subtract

# As many digits as a caller may send, on either side of the point.
MOST = Decimal(10) ** DIGITS_MAX - 1
traded = st.decimals(min_value=-MOST, max_value=MOST, places=DIGITS_MAX)
# The product of two numbers of 30 digits has the 60 that are kept.
factors = st.decimals(min_value=-(10**12) + 1, max_value=10**12 - 1, places=18)


@pytest.mark.parametrize("text", ["1", "-1.50", "0", "1e3", "0.00000001", "1E-8"])
def test_a_number_is_an_amount(text: str) -> None:
    assert amount(text) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,5", "NaN", "sNaN", "Infinity", "-Inf", "1e9999999999999999999", "0x10", "1_0", " 1", "\uff11"],
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        amount(text)


@given(traded, traded)
def test_sums_lose_nothing(left: Decimal, right: Decimal) -> None:
    assert Fraction(add(left, right)) == Fraction(left) + Fraction(right)
    assert Fraction(subtract(left, right)) == Fraction(left) - Fraction(right)


@given(factors, factors)
def test_products_lose_nothing(left: Decimal, right: Decimal) -> None:
    assert Fraction(multiply(left, right)) == Fraction(left) * Fraction(right)


def test_a_lost_digit_is_an_error() -> None:
    with pytest.raises(decimal.Inexact):
        add(Decimal("1e60"), Decimal(1))
    with pytest.raises(decimal.Inexact):
        multiply(Decimal("1" * 40), Decimal("1" * 40))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+2", "100"),
        ("1.50", "1.5"),
        ("-1.50", "-1.5"),
        ("100", "100"),
        ("0.00", "0"),
        ("-0.0", "0"),
        ("0E+5", "0"),
        ("1E-7", "0.0000001"),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@given(traded)
def test_plain_text_says_the_same_number(value: Decimal) -> None:
    assert Decimal(plain(value)) == value


@pytest.mark.parametrize("text", ["1", "0.000000000000000001", "999999999999999999.999999999999999999", "1E+17"])
def test_what_can_be_traded_is_positive(text: str) -> None:
    assert is_positive(Decimal(text))


@pytest.mark.parametrize(
    "text", ["0", "-0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1E-19", "1E+18", "1E-999999999", "1E+999999999"]
)
def test_what_cannot_is_not(text: str) -> None:
    assert not is_positive(Decimal(text))
