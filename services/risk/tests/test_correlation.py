"""Is a new position held against what it moves together with?"""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.limits import AccountLimits
from bot4_common.messages.risk import CorrelationsAdopted
from bot4_risk.correlation import Correlations, scaled
from bot4_risk.exposure import Ledger

D = Decimal
SYMBOLS = ["A", "B", "C", "D"]


def facts(correlations: list[list[str]], volatilities: list[str]) -> CorrelationsAdopted:
    return CorrelationsAdopted(
        version=1,
        symbols=SYMBOLS[: len(volatilities)],
        correlations=[[D(each) for each in row] for row in correlations],
        volatilities=[D(each) for each in volatilities],
    )


THREE = facts([["1", "0.8", "-0.2"], ["0.8", "1", "0.3"], ["-0.2", "0.3", "1"]], ["0.01", "0.02", "0.03"])


def holding(**values: str) -> Ledger:
    ledger = Ledger()
    for symbol, value in values.items():
        ledger.fill("ann", "s", "sim", symbol, D(value), D(1))
    return ledger


def test_with_one_symbol_held_it_is_the_correlation_of_the_two() -> None:
    known, book = Correlations(THREE), holding(A="5")
    assert known.of(book, "ann", "B", "buy") == D("0.8")
    assert known.of(book, "ann", "B", "sell") == D("-0.8")
    assert known.of(book, "ann", "C", "buy") == D("-0.2")


def test_with_a_short_position_the_signs_are_the_other_ones() -> None:
    assert Correlations(THREE).of(holding(A="-5"), "ann", "B", "buy") == D("-0.8")


def test_several_positions_count_by_value_and_volatility() -> None:
    # 300 of A move like 3, 200 of C like 6: (3 * 0.8 + 6 * 0.3) / sqrt(9 + 36 - 2 * 3 * 6 * 0.2)
    expected = D(str(4.2 / math.sqrt(37.8))).quantize(D("1e-6"))
    assert Correlations(THREE).of(holding(A="300", C="200"), "ann", "B", "buy") == expected


@pytest.mark.parametrize(
    ("book", "symbol"),
    [
        (Ledger(), "A"),  # nothing held
        (holding(A="5"), "A"),  # held already
        (holding(A="5"), "D"),  # no statistics of what is asked
        (holding(D="5"), "A"),  # none of what is held
    ],
)
def test_where_there_is_nothing_to_tell_nothing_is_told(book: Ledger, symbol: str) -> None:
    assert Correlations(THREE).of(book, "ann", symbol, "buy") is None


def test_without_statistics_nothing_is_told() -> None:
    assert Correlations(None).of(holding(A="5"), "ann", "B", "buy") is None


def test_another_account_has_its_own_book() -> None:
    assert Correlations(THREE).of(holding(A="5"), "bob", "B", "buy") is None


def test_a_book_that_evens_out_has_no_correlation() -> None:
    known = Correlations(facts([["1", "1", "0.5"], ["1", "1", "0.5"], ["0.5", "0.5", "1"]], ["0.01", "0.02", "0.03"]))
    assert known.of(holding(A="0.2", B="-0.1"), "ann", "C", "buy") is None


def test_however_little_all_of_it_moves_it_moves_together() -> None:
    known = Correlations(facts([["1", "0.8"], ["0.8", "1"]], ["1e-9", "1e-9"]))
    assert known.of(holding(A="0.001"), "ann", "B", "buy") == D("0.8")


def test_what_does_not_move_has_no_correlation() -> None:
    known = Correlations(facts([["1", "0"], ["0", "1"]], ["0.01", "0"]))
    assert known.of(holding(A="1"), "ann", "B", "buy") is None
    assert known.of(holding(B="1"), "ann", "A", "buy") is None


def test_a_fill_changes_the_answer() -> None:
    known, book = Correlations(THREE), holding(A="5")
    assert known.of(book, "ann", "B", "buy") == D("0.8")
    book.fill("ann", "s", "sim", "A", D(-10), D(1))
    assert known.of(book, "ann", "B", "buy") == D("-0.8")


def test_a_mark_changes_the_answer() -> None:
    known, book = Correlations(THREE), holding(A="300", C="200")
    before = known.of(book, "ann", "B", "buy")
    book.mark({"sim/C": D(100)}, 0)
    assert known.of(book, "ann", "B", "buy") != before


numbers = st.integers(-1_000, 1_000)


@given(st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=4, max_size=4), st.lists(numbers, max_size=4))
def test_it_is_what_the_formula_says_for_any_possible_matrix(returns: list[list[int]], held: list[int]) -> None:
    """`returns`: of each symbol in four equally likely futures, around a mean of zero."""
    futures = [[*row, *(-each for each in row)] for row in returns]
    volatilities = [math.sqrt(sum(each * each for each in row) / 8) for row in futures]

    def correlation(one: list[int], other: list[int]) -> float:
        size = math.sqrt(sum(x * x for x in one) * sum(y * y for y in other))
        return sum(x * y for x, y in zip(one, other, strict=True)) / size if size else 0.0

    known = Correlations(
        CorrelationsAdopted(
            version=1,
            symbols=SYMBOLS,
            correlations=[[D(correlation(one, other)) for other in futures] for one in futures],
            volatilities=[D(each) for each in volatilities],
        )
    )
    book = holding(**{symbol: str(value) for symbol, value in zip(SYMBOLS, held, strict=False) if value})
    of_book = [sum(value * row[n] for value, row in zip(held, futures, strict=False)) for n in range(8)]
    for symbol, row in zip(SYMBOLS, futures, strict=True):
        found = known.of(book, "ann", symbol, "buy")
        if found is not None:
            assert float(found) == pytest.approx(correlation(row, of_book), abs=2e-6)
        else:
            assert (
                symbol in book.accounts.get("ann", Ledger().new_book("ann")).values or not any(row) or is_flat(of_book)
            )


def is_flat(returns: list[int]) -> bool:
    return not any(returns)


# Scaled down


SCALE = AccountLimits(correlation_max=D("0.7"), correlation_action="scale")


def test_a_position_is_cut_to_what_it_would_add_at_the_limit() -> None:
    assert scaled(D(10), D("0.85"), SCALE, D("0.01")) == D("8.23")


@pytest.mark.parametrize("correlation", [None, D("0.7"), D("-0.9")])
def test_what_goes_with_the_book_is_not_cut(correlation: Decimal | None) -> None:
    assert scaled(D("10.5"), correlation, SCALE, D(1)) == D("10.5")


def test_where_correlation_refuses_nothing_is_cut() -> None:
    assert scaled(D(10), D("0.85"), AccountLimits(correlation_max=D("0.7")), D("0.01")) == 10


def test_nothing_may_be_left() -> None:
    assert scaled(D(1), D("0.85"), SCALE, D(1)) == 0


@given(st.integers(1, 10**9), st.integers(700_001, 1_000_000), st.sampled_from(["0.001", "0.5", "1"]))
def test_it_is_the_largest_number_of_lots_that_adds_no_more(lots: int, millionths: int, lot: str) -> None:
    quantity, correlation = lots * D(lot), D(millionths) / 10**6
    cut = scaled(quantity, correlation, SCALE, D(lot))
    assert cut % D(lot) == 0
    assert cut * correlation <= quantity * D("0.7") < (cut + D(lot)) * correlation
