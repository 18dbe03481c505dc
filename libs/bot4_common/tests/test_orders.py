from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.execution import (
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTriggered,
    OrderTrimmed,
    OutcomeUnknown,
)
from bot4_common.messages.gateway import PlaceOrder, ReplaceOrder
from bot4_common.messages.risk import (
    HeldOrderCancelled,
    HeldOrderTriggered,
    Leg,
    ListApproved,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    ReservationAmended,
)
from bot4_common.messages.terms import Event, Order, OrderList
from bot4_common.orders import (
    OVER,
    RANK,
    OrderRecord,
    advance,
    fingerprint,
    list_fingerprint,
    opened_by,
    opened_by_list,
    order_id_of,
)

Said = TypeVar("Said", bound=msgspec.Struct)

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


def replaced(said: Said, **fields: Any) -> Said:
    return msgspec.structs.replace(said, **fields)


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
TRIGGERED = OrderTriggered(**CHILD, session_sequence=1)
TRIMMED = OrderTrimmed(**CHILD, quantity=Decimal(2), leaves=Decimal(2), session_sequence=2)
PREVENTED = OrderPrevented(
    **CHILD, other_id="9-0.1", quantity=Decimal("0.5"), leaves=Decimal("2.5"), session_sequence=2
)


def amended(quantity: str, price: str = "100") -> OrderAmended:
    total = Decimal(quantity)
    return OrderAmended(**CHILD, quantity=total, price=Decimal(price), leaves=total, session_sequence=2)


# A stop for a venue that has none: risk holds it, and sends a market order once the trigger was reached.
STOP = replaced(ORDER, type="stop_market", price=None, stop_price=Decimal(105))
FIRED = replaced(STOP, type="market", stop_price=None)
PLACED_STOP = PlaceOrder(account="alice", order=STOP)
HELD = OrderHeld(**KNOWN, order=STOP, fingerprint=fingerprint(STOP), at=0)
HELD_TRIGGERED = HeldOrderTriggered(**KNOWN, **ARRIVAL, at=0)
FIRED_APPROVED = OrderApproved(**KNOWN, order=FIRED, fingerprint=fingerprint(STOP), **ARRIVAL, opening=True, at=0)
FIRED_SENT = OrderSent(**CHILD, order=FIRED, **ARRIVAL, sent_at=0, expires_at=1)


# The same as a stop that has a price, which is amended while it is held.
PRICED = replaced(STOP, type="stop_limit", price=Decimal(111))
PLACED_PRICED = PlaceOrder(account="alice", order=PRICED)
HELD_PRICED = OrderHeld(**KNOWN, order=PRICED, fingerprint=fingerprint(PRICED), at=0)
LARGER = replaced(PRICED, quantity=Decimal(6), price=Decimal(112))
HELD_AMENDED = ReservationAmended(**KNOWN, quantity=Decimal(6), price=Decimal(112), leaves=Decimal(6))
LARGER_FIRED = replaced(LARGER, type="limit", stop_price=None)
LARGER_APPROVED = OrderApproved(
    **KNOWN, order=LARGER_FIRED, fingerprint=fingerprint(PRICED), **ARRIVAL, opening=True, at=0
)
LARGER_SENT = OrderSent(**CHILD, order=LARGER_FIRED, **ARRIVAL, sent_at=0, expires_at=1)


def held_cancelled(code: str = "") -> HeldOrderCancelled:
    return HeldOrderCancelled(**KNOWN, quantity=Decimal(3), reason="refused" if code else "requested", code=code)


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
        ([PLACED_STOP, HELD], "held"),
        ([PLACED_STOP, HELD, HELD_TRIGGERED, FIRED_APPROVED], "held"),
        ([PLACED_STOP, HELD, HELD_TRIGGERED, FIRED_APPROVED, FIRED_SENT], "sent"),
        ([PLACED_STOP, HELD, held_cancelled()], "cancelled"),
        ([PLACED_STOP, HELD, held_cancelled("KILL_SWITCH")], "refused"),
        ([PLACED, APPROVED, SENT, ACKNOWLEDGED, TRIGGERED], "open"),
        ([PLACED, APPROVED, SENT, ACKNOWLEDGED, amended("4"), PREVENTED], "open"),
    ],
)
def test_an_order_stands_where_its_events_put_it(events: list[Event], status: str) -> None:
    assert record_of(*events).status == status


def test_fills_add_up() -> None:
    record = record_of(PLACED, APPROVED, SENT, filled("1", "2"), filled("0.5", "1.5"))
    assert (record.filled, record.notional, record.leaves) == (Decimal("1.5"), Decimal(150), Decimal("1.5"))


@pytest.mark.parametrize("end", [CANCELLED, EXPIRED, LOST])
def test_a_late_fill_counts_and_brings_nothing_back(end: Event) -> None:
    record = record_of(PLACED, APPROVED, SENT, end, filled("1", "2"))
    assert record.status == record_of(PLACED, APPROVED, SENT, end).status
    assert record.filled == 1 and record.notional == 100 and record.leaves == 0
    assert record.over_at == 4


@pytest.mark.parametrize("end", [CANCELLED, EXPIRED, LOST])
def test_late_fills_that_leave_nothing_make_it_a_filled_order(end: Event) -> None:
    record = record_of(PLACED, APPROVED, SENT, end, filled("1", "2"), filled("2", "0"))
    assert (record.status, record.code, record.over_at) == ("filled", "", 4)
    assert record.filled == 3


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
    smaller = replaced(ORDER, quantity=Decimal(2))
    approved = OrderApproved(**KNOWN, order=smaller, fingerprint=fingerprint(ORDER), **ARRIVAL, opening=False, at=0)
    assert record_of(approved, PLACED).order == record_of(PLACED, approved).order == smaller


def test_what_the_venue_trimmed_is_what_counts_whichever_is_read_first() -> None:
    for events in ((APPROVED, SENT, TRIMMED), (SENT, TRIMMED, APPROVED)):
        assert record_of(*events).leaves == 2


def test_an_amend_can_enlarge_an_order_whichever_is_read_first() -> None:
    for events in ((PLACED, APPROVED, SENT, amended("5", "98")), (PLACED, SENT, amended("5", "98"), APPROVED)):
        record = record_of(*events)
        assert record.order.quantity == record.leaves == 5 and record.order.price == 98


def test_a_trim_says_nothing_of_the_price_whichever_is_read_first() -> None:
    approved = [HELD_PRICED, HELD_AMENDED, LARGER_APPROVED]
    for events in ([*approved, LARGER_SENT, TRIMMED], [LARGER_SENT, TRIMMED, *approved]):
        assert record_of(PLACED_PRICED, *events).order == replaced(LARGER, quantity=Decimal(2))


def test_of_what_execution_said_the_last_counts() -> None:
    assert record_of(PLACED, SENT, TRIMMED, amended("4"), APPROVED).leaves == 4
    assert record_of(PLACED, SENT, amended("4"), TRIMMED, APPROVED).leaves == 2


def test_what_was_prevented_is_not_left() -> None:
    record = record_of(PLACED, APPROVED, SENT, ACKNOWLEDGED, filled("1", "2"), PREVENTED)
    assert (record.prevented, record.filled, record.leaves) == (Decimal("0.5"), Decimal(1), Decimal("1.5"))


def test_a_stop_says_that_it_was_triggered() -> None:
    assert not record_of(PLACED, APPROVED, SENT, ACKNOWLEDGED).triggered
    assert record_of(PLACED, APPROVED, SENT, ACKNOWLEDGED, TRIGGERED).triggered
    assert record_of(PLACED_STOP, HELD, HELD_TRIGGERED).triggered


def test_a_stop_that_risk_held_stays_the_stop_that_was_asked_for() -> None:
    events = [PLACED_STOP, HELD, HELD_TRIGGERED, FIRED_APPROVED, FIRED_SENT]
    for told in (events, [FIRED_SENT, *events[:-1]], [*events[1:], PLACED_STOP]):
        record = record_of(*told)
        assert record.order == STOP and record.status == "sent" and record.opening


def test_a_held_order_is_amended_by_risks_word_alone() -> None:
    refused = replaced(HELD_AMENDED, quantity=Decimal(9), code="TICK_SIZE")
    for events in ((HELD_AMENDED,), (HELD_AMENDED, refused), (HELD_AMENDED, held_cancelled())):
        assert record_of(PLACED_PRICED, HELD_PRICED, *events).order == LARGER


def test_what_was_held_was_decided_when_it_was_first_approved() -> None:
    assert record_of(PLACED_STOP, HELD, HELD_TRIGGERED, FIRED_APPROVED).decided_at == 2


def test_a_held_order_that_is_refused_in_the_end_says_why() -> None:
    record = record_of(PLACED_STOP, HELD, held_cancelled("KILL_SWITCH"))
    assert (record.code, record.over_at, record.leaves) == ("KILL_SWITCH", 3, Decimal(0))


def test_an_order_that_replaces_another_begins_like_any_other() -> None:
    replace = ReplaceOrder(account="alice", order_id="3-0", order=ORDER, mode="stop_on_failure")
    record = record_of(replace, HELD)
    assert (record.order_id, record.received_at, record.status) == (ID, 1, "held")


LEGS: list[Leg] = [Leg(order_id=f"12-0-leg{n}", order=replaced(ORDER, client_order_id=f"o{n}")) for n in (1, 2)]
LIST: dict[str, Any] = {
    "list_id": "12-0", "account": "alice", "client_list_id": "l1", "kind": "ouo", "legs": LEGS, "fingerprint": "f",
    "at": 0,
}  # fmt: skip


def test_a_list_opens_a_record_for_each_leg() -> None:
    records = opened_by_list(ListApproved(**LIST, **ARRIVAL, native=True), at=5)
    assert [(record.order_id, record.list_id, record.order) for record in records] == [
        (leg.order_id, "12-0", leg.order) for leg in LEGS
    ]
    assert {(record.status, record.received_at, record.decided_at) for record in records} == {("approved", 5, 5)}


def test_the_legs_of_a_refused_list_say_why() -> None:
    records = opened_by_list(ListRefused(**LIST, code="LIST_PRICES", details={"last": "1"}), at=5)
    assert {(record.status, record.code, record.details["last"], record.over_at) for record in records} == {
        ("refused", "LIST_PRICES", "1", 5)
    }


def test_what_is_no_list_opens_no_legs() -> None:
    assert opened_by_list(PLACED, at=5) == []


def test_a_leg_that_is_first_heard_of_by_itself_knows_its_list() -> None:
    for leg in (
        OrderHeld(**KNOWN, order=ORDER, fingerprint="f", at=0, list_id="12-0"),
        OrderApproved(**KNOWN, order=ORDER, fingerprint="f", **ARRIVAL, opening=True, at=0, list_id="12-0"),
    ):
        assert record_of(leg).list_id == "12-0"


def test_lists_are_the_same_when_they_ask_the_same() -> None:
    asked = OrderList(client_list_id="l1", kind="ouo", orders=[leg.order for leg in LEGS])
    again = [replaced(leg.order, quantity=Decimal("3.00")) for leg in LEGS]
    others = [
        replaced(asked, client_list_id="l2"),
        replaced(asked, kind="oto"),
        replaced(asked, orders=asked.orders[::-1]),
        replaced(asked, orders=[replaced(order, price=Decimal(99)) for order in asked.orders]),
    ]
    assert list_fingerprint(replaced(asked, orders=again)) == list_fingerprint(asked)
    assert len({list_fingerprint(each) for each in (asked, *others)}) == 5


def test_other_events_open_nothing() -> None:
    assert opened_by(filled("1", "2"), ID, 1) is None


def test_the_id_of_an_order_is_where_it_was_submitted() -> None:
    assert order_id_of(1042, 3) == "1042-3"


WORDS = [
    UNKNOWN, ACKNOWLEDGED, filled("1", "2"), filled("0.5", "1.5"), filled("3", "0"), CANCELLED, EXPIRED,
    amended("5", "98"), amended("2"), TRIMMED, PREVENTED, TRIGGERED,
]  # fmt: skip
words = st.lists(st.sampled_from(WORDS), max_size=6)
beginnings = st.sampled_from(
    [
        ([PLACED], [APPROVED], SENT),
        ([PLACED_STOP], [HELD, HELD_TRIGGERED, FIRED_APPROVED], FIRED_SENT),
        ([PLACED_PRICED], [HELD_PRICED, HELD_AMENDED, HELD_TRIGGERED, LARGER_APPROVED], LARGER_SENT),
    ]
)


@given(beginnings, words, st.randoms(use_true_random=False))
def test_the_streams_may_be_read_in_any_order_side_by_side(beginning: Any, words: list[Event], chance: Any) -> None:
    asked, approved, sent = beginning
    streams: list[list[Event]] = [asked, approved, [sent, *words]]
    numbered = [list(zip(stream, count(10 * n + 1), strict=False)) for n, stream in enumerate(streams)]
    in_order = [each for stream in numbered for each in stream]
    mixed: list[tuple[Event, int]] = []
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
