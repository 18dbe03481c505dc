from __future__ import annotations

from decimal import Decimal

import pytest

from bot4_cli.drill import differences, in_bound
from bot4_cli.load import Sent
from bot4_cli.reckoning import Counts
from bot4_common.log import Record
from bot4_common.messages.execution import OrderSent
from bot4_common.messages.frame import AnyEvent, Decision, Frame, encode
from bot4_common.messages.risk import OrderApproved, OrderRefused
from bot4_common.messages.terms import Order
from bot4_common.messages.venue import VenueOrderAccepted

ONE = Decimal(1)


def order(client_order_id: str) -> Order:
    return Order(
        client_order_id=client_order_id, symbol="BTC-USDT", side="buy", type="market", quantity=ONE, strategy="s"
    )


def answered(client_order_id: str, order_id: str, status: str = "filled", tries: int = 1) -> Sent:
    return Sent(
        order=order(client_order_id),
        first_at=0,
        answered_at=1,
        order_id=order_id,
        status=status,
        code="",
        tries=tries,
    )


def approved(client_order_id: str, order_id: str) -> AnyEvent:
    return OrderApproved(
        order_id=order_id,
        account="a",
        order=order(client_order_id),
        fingerprint="",
        bid=ONE,
        ask=ONE,
        opening=True,
        at=1,
    )


def refused(client_order_id: str, order_id: str) -> AnyEvent:
    return OrderRefused(
        order_id=order_id,
        account="a",
        order=order(client_order_id),
        fingerprint="",
        code="KILL_SWITCH",
        details={},
        at=1,
    )


def sent(order_id: str) -> AnyEvent:
    return OrderSent(
        order_id=order_id, child_id=f"{order_id}.1", account="a", venue="sim", order=order("x"), bid=ONE, ask=ONE,
        sent_at=1, expires_at=2,
    )  # fmt: skip


def accepted(order_id: str) -> AnyEvent:
    return VenueOrderAccepted(
        session="E",
        session_sequence=1,
        child_id=f"{order_id}.1",
        account="a",
        venue_order_id="v",
        order=order("x"),
        at=1,
    )


def reckoned(told: list[Sent], *events: AnyEvent) -> list[str]:
    frame = Frame(writer="w", number=1, previous="", decided_at=1, decisions=[Decision(events=list(events))])
    counts = Counts()
    counts.hear(Record("S", 1, encode(frame), ("S", 1)))
    return counts.reckon("a", told).wrong


def test_an_order_that_was_decided_sent_and_accepted_once_is_right() -> None:
    assert reckoned([answered("c", "1-0")], approved("c", "1-0"), sent("1-0"), accepted("1-0")) == []


def test_a_refused_order_is_not_sent() -> None:
    assert reckoned([answered("c", "1-0", "refused")], refused("c", "1-0")) == []
    assert reckoned([answered("c", "1-0", "refused")], refused("c", "1-0"), sent("1-0")) == ["1-0 was sent 1 times"]


def test_what_was_refused_before_it_was_journaled_needs_no_trace() -> None:
    assert reckoned([answered("c", "", "refused")]) == []


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([], "c was answered as 1-0 and decided as []"),
        ([approved("c", "2-0"), sent("1-0")], "c was answered as 1-0 and decided as ['2-0']"),
        (
            [approved("c", "1-0"), approved("c", "2-0"), sent("1-0")],
            "c was answered as 1-0 and decided as ['1-0', '2-0']",
        ),
        ([approved("c", "1-0")], "1-0 was sent 0 times"),
        ([approved("c", "1-0"), sent("1-0"), sent("1-0")], "1-0 was sent 2 times"),
        ([approved("c", "1-0"), sent("1-0"), accepted("1-0"), accepted("1-0")], "the venue accepted 1-0 2 times"),
    ],
)
def test_what_is_lost_or_done_twice_is_found(events: list[AnyEvent], wrong: str) -> None:
    assert wrong in reckoned([answered("c", "1-0")], *events)


def test_it_counts_what_callers_were_told() -> None:
    told = [answered("c", "1-0"), answered("d", "2-0", tries=3), answered("e", "", "refused")]
    found = Counts().reckon("a", told)
    assert (found.sent, found.accepted, found.refused, found.repeated) == (3, 2, 1, 1)


def test_an_order_is_the_same_when_it_is_asked_for_again() -> None:
    assert differences(answered("c", "1-0"), answered("c", "1-0")) == []
    assert differences(answered("c", "1-0"), answered("c", "2-0")) == ["c was 1-0, and is 2-0 when repeated"]
    assert differences(answered("c", ""), answered("c", "2-0")) == []


@pytest.mark.parametrize(("seconds", "good"), [(0.1, True), (5.0, True), (5.1, False), (None, False)])
def test_recovery_is_in_time_or_not(seconds: float | None, good: bool) -> None:
    assert in_bound(seconds) is good
