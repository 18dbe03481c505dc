"""How is money computed? Exactly: `Decimal` from text, with every loss of digits an error instead of a rounding."""

from __future__ import annotations

import decimal
from decimal import Decimal

# 60 digits hold price x quantity x rate of any listed instrument; a sum that needs more is a fault, not a rounding.
EXACT = decimal.Context(
    prec=60,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Inexact],
)

ZERO = Decimal(0)

# No price, quantity or sum that is traded needs more digits than this on either side of the point.
DIGITS_MAX = 18
POSITIVE = f"a finite number above zero of at most {DIGITS_MAX} digits on either side of the point"


def amount(text: str) -> Decimal:
    """A finite amount from text. Raises `ValueError` for anything else: NaN and Infinity, and what only Python takes
    for a number, as 1_000, digits of other scripts, or blanks around them."""
    try:
        value = Decimal(text)
    except decimal.InvalidOperation:
        value = None
    if value is None or not text.isascii() or "_" in text or text != text.strip():
        raise ValueError(f"{text!r} is not a decimal number")
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    return value


def is_positive(value: Decimal) -> bool:
    """Whether a number from outside is what `POSITIVE` says, and so can be computed with and written out: a caller
    may say 1E-999999999, which is a gigabyte without its exponent."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -DIGITS_MAX and value > 0 and value.adjusted() < DIGITS_MAX


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """The exact product; `decimal.Inexact` is raised rather than a digit lost."""
    return EXACT.multiply(left, right)


def add(left: Decimal, right: Decimal) -> Decimal:
    """The exact sum; the plain `+` rounds to 28 digits."""
    return EXACT.add(left, right)


def subtract(left: Decimal, right: Decimal) -> Decimal:
    return EXACT.subtract(left, right)


def plain(value: Decimal) -> str:
    """Text without exponent or trailing zeros: `Decimal("1E+2")` is "100", `Decimal("-1.50")` is "-1.5", -0 is "0"."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
