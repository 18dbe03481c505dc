"""Do the token buckets let through exactly what flows into them?"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.limits import AccountLimits, FirmLimits, LimitsDocument, StrategyLimits
from bot4_risk.rates import SECOND_NS, Rates, admits, spend

NOW = 1_800_000_000 * SECOND_NS


def flow(per_second: int, burst: int) -> FirmLimits:
    return FirmLimits(orders_per_second=per_second, orders_burst=burst)


def passed(bucket: int, times: list[int], per_second: int, burst: int) -> tuple[int, list[bool]]:
    """Which orders at these times pass, and the bucket after them."""
    answers = []
    for at in times:
        answers.append(admits(bucket, flow(per_second, burst), at))
        if answers[-1]:
            bucket = spend(bucket, flow(per_second, burst), at)
    return bucket, answers


def test_a_full_bucket_lets_the_burst_through_and_no_more() -> None:
    assert passed(0, [NOW] * 4, 1, 3)[1] == [True, True, True, False]


def test_a_token_flows_in_after_its_time_and_not_before() -> None:
    bucket, _ = passed(0, [NOW] * 2, 500, 2)
    assert not admits(bucket, flow(500, 2), NOW + 1_999_999)
    assert admits(bucket, flow(500, 2), NOW + 2_000_000)


def test_a_time_without_a_whole_number_of_ns_is_rounded_up() -> None:
    bucket, _ = passed(0, [NOW], 3, 1)
    assert not admits(bucket, flow(3, 1), NOW + 333_333_333)
    assert admits(bucket, flow(3, 1), NOW + 333_333_334)


def test_a_bucket_never_holds_more_than_the_burst() -> None:
    bucket, _ = passed(0, [NOW], 10, 2)
    assert passed(bucket, [NOW + 3_600 * SECOND_NS] * 3, 10, 2)[1] == [True, True, False]


def test_so_many_orders_pass_together_or_not_at_all() -> None:
    bucket = spend(0, flow(1, 3), NOW)
    assert admits(bucket, flow(1, 3), NOW, orders=2)
    assert not admits(bucket, flow(1, 3), NOW, orders=3)
    assert spend(bucket, flow(1, 3), NOW, orders=2) == NOW + 3 * SECOND_NS
    assert not admits(0, flow(1, 3), NOW, orders=4)


class Naive:
    """Tokens as such. They flow in all the time, at one in so many ns."""

    def __init__(self, per_second: int, burst: int) -> None:
        self.every = -(-SECOND_NS // per_second)
        self.burst = burst
        self.tokens = Fraction(burst)
        self.at = NOW

    def takes(self, now: int, orders: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + Fraction(now - self.at, self.every))
        self.at = now
        if self.tokens < orders:
            return False
        self.tokens -= orders
        return True


@given(
    st.integers(1, 2_000),
    st.integers(1, 20),
    st.lists(
        st.tuples(st.sampled_from([0, 1, 499_999, 500_000, 1_000_000, 333_333_333, SECOND_NS]), st.integers(1, 3))
    ),
)
def test_a_whole_number_does_what_a_bucket_of_tokens_does(
    per_second: int, burst: int, asked: list[tuple[int, int]]
) -> None:
    naive, bucket, now = Naive(per_second, burst), 0, NOW
    for wait, orders in asked:
        now += wait
        answer = admits(bucket, flow(per_second, burst), now, orders)
        assert answer == naive.takes(now, orders)
        if answer:
            bucket = spend(bucket, flow(per_second, burst), now, orders)


TIGHT: dict[str, Any] = {"orders_per_second": 1, "orders_burst": 2}


@pytest.mark.parametrize(
    ("document", "others_pass"),
    [
        (LimitsDocument(accounts={"ann": AccountLimits(**TIGHT)}), {("ann", "t"): False, ("bob", "s"): True}),
        (LimitsDocument(strategies={"ann/s": StrategyLimits(**TIGHT)}), {("ann", "t"): True, ("bob", "s"): True}),
        (LimitsDocument(firm=FirmLimits(**TIGHT)), {("ann", "t"): False, ("bob", "s"): False}),
    ],
)
def test_an_order_takes_a_token_of_its_strategy_its_account_and_the_firm(
    document: LimitsDocument, others_pass: dict[tuple[str, str], bool]
) -> None:
    rates = Rates()
    assert rates.admits("ann", "s", NOW, document, 2)
    rates.spend("ann", "s", NOW, document, 2)
    assert not rates.admits("ann", "s", NOW, document)
    assert rates.admits("ann", "s", NOW + SECOND_NS, document)
    assert {who: rates.admits(*who, NOW, document) for who in others_pass} == others_pass
