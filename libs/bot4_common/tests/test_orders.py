from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.execution import (
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
    OutcomeUnknown,
)
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.risk import OrderApproved, OrderRefused, OrderRepeated
from bot4_common.messages.terms import Event, Order
from bot4_common.orders import OVER, RANK, OrderRecord, advance, fingerprint, opened_by, order_id_of

ID = "7-0"
ORDER = Order(
    client_order_id="o1",
    symbol="BTC-USDT",
    side="buy",
    type="limit",
    quantity=Decimal(3),
    strategy="s",
    price=Decimal(100),
)
KNOWN: dict[str, Any] = {"order_id": ID, "account": "alice"}
CHILD: dict[str, Any] = KNOWN | {"child_id": f"{ID}.1", "venue": "sim"}
ARRIVAL: dict[str, Any] = {"bid": Decimal(99), "ask": Decimal(101)}

PLACED = PlaceOrder(account="alice", order=ORDER)
APPROVED = OrderApproved(**KNOWN, order=ORDER, fingerprint=fingerprint(ORDER), **ARRIVAL, opening=True, at=0)
REFUSED = OrderRefused(
    **KNOWN, order=ORDER, fingerprint=fingerprint(ORDER), code="POSITION_LIMIT", details={"limit": "1"}, at=0
)
REPEATED = OrderRepeated(**KNOWN, client_order_id="o1", first="3-0", same_body=True)
SENT = OrderSent(**CHILD, order=ORDER, **ARRIVAL, sent_at=0, expires_at=1)
UNKNOWN = OutcomeUnknown(**CHILD, request="order")
ACKNOWLEDGED = OrderAcknowledged(**CHILD, venue_order_id="V1", session_sequence=1, accepted_at=0)
REJECTED = OrderRejected(**CHILD, code="POST_ONLY", message="would take", session_sequence=1)
CANCELLED = OrderCancelled(**CHILD, quantity=Decimal(1), reason="requested", session_sequence=1)
EXPIRED = OrderExpired(**CHILD, quantity=Decimal(1), reason="ioc", session_sequence=1)
LOST = OrderLost(**CHILD, quantity=Decimal(3), session_sequence=1)


def filled(quantity: str, leaves: str) -> OrderFilled:
    return OrderFilled(
        **CHILD,
        strategy="s",
        symbol="BTC-USDT",
        side="buy",
        trade_id="T1",
        price=Decimal(100),
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        leaves=Decimal(leaves),
        liquidity="taker",
        **ARRIVAL,
        session_sequence=1,
        traded_at=0,
    )


def record_of(*events: Event) -> OrderRecord:
    """The record after the events, each a nanosecond later; those before the record begins wait for it."""
    return told(list(zip(events, count(1), strict=False)))


def told(story: list[tuple[Event, int]]) -> OrderRecord:
    record, early = None, []
    for event, at in story:
        record = record or opened_by(event, ID, at)
        early.append((event, at))
        if record is not None:
            for waiting, then in early:
                advance(record, waiting, then)
            early = []
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([PLACED], "received"),
        ([PLACED, APPROVED], "approved"),
        ([PLACED, REFUSED], "refused"),
        ([PLACED, REPEATED], "refused"),
        ([PLACED, APPROVED, SENT], "sent"),
        ([PLACED, APPROVED, SENT, UNKNOWN], "unknown"),
        ([PLACED, APPROVED, SENT, ACKNOWLEDGED], "open"),
        ([PLACED, APPROVED, SENT, UNKNOWN, ACKNOWLEDGED], "open"),
        ([PLACED, APPROVED, SENT, REJECTED], "rejected"),
        ([PLACED, APPROVED, SENT, UNKNOWN, LOST], "lost"),
        ([PLACED, APPROVED, SENT, ACKNOWLEDGED, filled("1", "2")], "partially_filled"),
        ([PLACED, APPROVED, SENT, ACKNOWLEDGED, filled("3", "0")], "filled"),
        ([PLACED, APPROVED, SENT, filled("1", "2"), CANCELLED], "cancelled"),
        ([PLACED, APPROVED, SENT, filled("1", "2"), EXPIRED], "expired"),
    ],
)
def test_an_order_stands_where_its_events_put_it(events: list[Event], status: str) -> None:
    assert record_of(*events).status == status


def test_fills_add_up() -> None:
    record = record_of(PLACED, APPROVED, SENT, filled("1", "2"), filled("0.5", "1.5"))
    assert (record.filled, record.notional, record.leaves) == (Decimal("1.5"), Decimal(150), Decimal("1.5"))


def test_what_is_over_leaves_nothing() -> None:
    record = record_of(PLACED, APPROVED, SENT, filled("1", "2"), CANCELLED)
    assert record.leaves == 0 and record.is_over and record.over_at == 5


def test_a_fill_after_the_cancel_counts_and_does_not_reopen_the_order() -> None:
    record = record_of(PLACED, APPROVED, SENT, ACKNOWLEDGED, CANCELLED, filled("1", "2"))
    assert record.status == "cancelled" and record.filled == 1


def test_a_refusal_says_why() -> None:
    record = record_of(PLACED, REFUSED)
    assert (record.code, record.details) == ("POSITION_LIMIT", {"limit": "1"})


def test_a_repetition_names_the_first() -> None:
    record = record_of(PLACED, REPEATED)
    assert (record.code, record.first) == ("DUPLICATE", "3-0")


def test_an_order_of_risks_own_begins_with_its_approval() -> None:
    assert record_of(APPROVED, SENT, filled("3", "0")).status == "filled"


def test_what_risk_shrank_is_what_counts() -> None:
    smaller = Order(**{name: getattr(ORDER, name) for name in ORDER.__struct_fields__} | {"quantity": Decimal(2)})
    approved = OrderApproved(**KNOWN, order=smaller, fingerprint=fingerprint(ORDER), **ARRIVAL, opening=False, at=0)
    assert record_of(approved, PLACED).order == record_of(PLACED, approved).order == smaller


def test_what_the_venue_trimmed_is_what_counts_whichever_is_read_first() -> None:
    trimmed = OrderTrimmed(**CHILD, quantity=Decimal(2), leaves=Decimal(2), session_sequence=2)
    for events in ((APPROVED, SENT, trimmed), (SENT, trimmed, APPROVED)):
        assert record_of(*events).leaves == 2


def test_other_events_open_nothing() -> None:
    assert opened_by(filled("1", "2"), ID, 1) is None


def test_the_id_of_an_order_is_where_it_was_submitted() -> None:
    assert order_id_of(1042, 3) == "1042-3"


words = st.lists(
    st.sampled_from(
        [UNKNOWN, ACKNOWLEDGED, filled("1", "2"), filled("0.5", "1.5"), filled("3", "0"), CANCELLED, EXPIRED]
    ),
    max_size=6,
)


@given(words, st.randoms(use_true_random=False))
def test_the_streams_may_be_read_in_any_order_side_by_side(words: list[Event], chance: Any) -> None:
    streams: list[list[Event]] = [[PLACED], [APPROVED], [SENT, *words]]
    numbered = [list(zip(stream, count(10 * n + 1), strict=False)) for n, stream in enumerate(streams)]
    in_order = [each for stream in numbered for each in stream]
    mixed = []
    while any(numbered):
        mixed.append(chance.choice([stream for stream in numbered if stream]).pop(0))
    assert told(mixed) == told(in_order)


@given(words)
def test_the_rank_of_a_status_never_falls(words: list[Event]) -> None:
    record = record_of(PLACED)
    ranks = []
    for at, event in enumerate([APPROVED, SENT, *words], start=2):
        advance(record, event, at)
        ranks.append(RANK[record.status])
    assert ranks == sorted(ranks)
    assert record.is_over == (ranks[-1] == OVER) == (record.over_at > 0)
