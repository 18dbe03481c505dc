"""How far was what we believed from what was true, and for how long?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelRejected,
    CancelSent,
    FeedAdvanced,
    FillQuarantined,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OutcomeUnknown,
    QuerySent,
    ResendRequested,
)
from bot4_common.messages.frame import AnyEvent, Decision, Frame
from bot4_common.messages.terms import Side, signed
from bot4_common.messages.venue import (
    FaultKind,
    FeedFault,
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFaultBegan,
    VenueFilled,
    VenueFillWithheld,
    VenueOrderAmended,
    VenueOrderRejected,
)
from bot4_common.money import ZERO
from bot4_journal.score import SLOWEST_KEPT, Changes, Drift, Gap, Outcome, Repair, Score, Scorer, Spells, Times
from bot4_journal.testing import Story
from bot4_journal.time_order import TimeOrder

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
VENUE, SESSION = "VENUE_sim_0", "EXECUTION_0"
SYMBOL = "BTC-USDT"

Said = tuple[float, str, AnyEvent]  # seconds after noon, the stream, what is said


def frame(at: int, *events: AnyEvent) -> Frame:
    return Frame(writer="test", number=1, previous="", decided_at=at, decisions=[Decision(events=list(events))])


def scorer(*said: Said) -> Scorer:
    heard = Scorer("sim", [SESSION])
    for seconds, stream, event in said:
        heard.hear(stream, frame(NOON + int(seconds * SECOND), event))
    return heard


def scored(*said: Said) -> Score:
    return scorer(*said).score()


def true(seconds: float, side: Side, quantity: str, account: str = "alice", session: str = SESSION) -> Said:
    """The venue fills an order."""
    fill = VenueFilled(
        session=session,
        session_sequence=1,
        account=account,
        child_id="1.1",
        trade_id="t",
        symbol=SYMBOL,
        side=side,
        price=Decimal(100),
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        leaves=ZERO,
        liquidity="maker",
        at=NOON,
    )
    return seconds, VENUE, fill


def known(child_id: str = "1.1", venue: str = "sim") -> dict[str, Any]:
    return {"order_id": child_id.rpartition(".")[0], "child_id": child_id, "account": "alice", "venue": venue}


def believed(
    seconds: float, side: Side, quantity: str, *, number: int = 0, leaves: str = "0", venue: str = "sim"
) -> Said:
    """Execution takes a fill for one."""
    fill = OrderFilled(
        strategy="s",
        symbol=SYMBOL,
        side=side,
        trade_id="t",
        price=Decimal(100),
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        leaves=Decimal(leaves),
        liquidity="maker",
        bid=Decimal(99),
        ask=Decimal(100),
        session_sequence=number,
        traded_at=NOON,
        **known(venue=venue),
    )
    return seconds, SESSION, fill


def fault(seconds: float, kind: FaultKind, number: int = 0, child_id: str = "", session: str = SESSION) -> Said:
    return seconds, VENUE, FeedFault(session=session, kind=kind, session_sequence=number, child_id=child_id)


def taken(seconds: float, number: int) -> Said:
    return seconds, SESSION, FeedAdvanced(venue="sim", session=SESSION, session_sequence=number)


def resend(seconds: float, number: int) -> Said:
    asked = ResendRequested(venue="sim", session=SESSION, session_sequence=number, sent_at=NOON)
    return seconds, SESSION, asked


def silent(seconds: float, child_id: str = "1.1") -> Said:
    return seconds, SESSION, OutcomeUnknown(request="order", **known(child_id))


def times(*seconds: float) -> Times:
    """What took so long each time."""
    lasted = [int(each * SECOND) for each in seconds]
    return Times(len(lasted), sum(lasted), max(lasted, default=0))


def drift(unit_seconds: str, wrong: Times, difference: str = "0") -> Drift:
    return Drift(
        account="alice",
        symbol=SYMBOL,
        unit_seconds=Decimal(unit_seconds),
        wrong=wrong,
        difference=Decimal(difference),
    )


# Positions


def test_a_position_known_late_drifts_by_what_it_lacked_for_as_long() -> None:
    assert scored(true(1, "buy", "2"), believed(4, "buy", "2")).drift == [drift("6", times(3))]


def test_a_position_known_at_once_does_not_drift() -> None:
    assert scored(true(1, "buy", "2"), believed(1, "buy", "2"), taken(9, 1)).drift == [drift("0", times())]


def test_a_fill_that_is_told_late_was_true_when_it_traded() -> None:
    seconds, stream, told = true(9, "buy", "2")
    assert isinstance(told, VenueFilled)
    withheld = 1.0, stream, VenueFillWithheld(fill=told, until=NOON)
    found = scored(withheld, (seconds, stream, told), believed(10, "buy", "2"))
    assert found.drift == [drift("18", times(9))]
    assert found.faults == {"late_fill": 1}


def test_what_is_not_known_by_the_end_counts_until_the_end() -> None:
    assert scored(true(1, "sell", "0.5"), taken(11, 1)).drift == [drift("5", times(10), "0.5")]


def test_what_is_believed_and_never_was_counts_as_well() -> None:
    assert scored(believed(0, "buy", "3"), taken(2, 1)).drift == [drift("6", times(2), "3")]


def test_an_interval_lasts_until_the_position_is_right_again() -> None:
    said = (
        true(0, "buy", "1"),
        true(2, "buy", "2"),  # 1 × 2 s
        believed(3, "buy", "1"),  # 3 × 1 s
        believed(4, "buy", "2"),  # 2 × 1 s
        true(10, "sell", "4"),
        believed(10.5, "sell", "4"),  # 4 × 0.5 s
    )
    assert scored(*said).drift == [drift("9", times(4, 0.5))]


def test_two_wrongs_of_opposite_sides_make_a_right() -> None:
    assert scored(true(0, "buy", "1"), true(5, "sell", "1"), taken(9, 1)).drift == [drift("5", times(5))]


def test_a_score_can_be_taken_in_between() -> None:
    heard = scorer(true(0, "buy", "1"), taken(2, 1))
    assert heard.score().drift == heard.score().drift == [drift("2", times(2), "-1")]
    heard.hear(SESSION, frame(NOON + 5 * SECOND, believed(5, "buy", "1")[2]))
    assert heard.score().drift == [drift("5", times(5))]


def test_accounts_stand_in_the_order_of_their_drift() -> None:
    score = scored(true(0, "buy", "1", "alice"), true(0, "buy", "3", "bob"), taken(1, 1))
    assert [(each.account, each.unit_seconds) for each in score.drift] == [("bob", Decimal(3)), ("alice", Decimal(1))]


def test_other_clients_and_other_venues_are_not_compared() -> None:
    score = scored(
        true(0, "buy", "1", session="stranger"),
        believed(0, "buy", "1", venue="other"),
        fault(0, "drop", 1, session="stranger"),
        taken(5, 1),
    )
    assert (score.drift, score.faults, score.gaps) == ([], {}, [])


def test_a_fill_put_in_quarantine_is_taken_and_settles_nothing() -> None:
    held = FillQuarantined(
        trade_id="t", price=Decimal(100), quantity=Decimal(1), reason="overfill", session_sequence=1, **known()
    )
    lost = fault(0, "drop_request", child_id="1.1")
    score = scored(fault(0, "drop", 1), lost, true(0, "buy", "1"), (2, SESSION, held))
    assert score.drift == [drift("2", times(2), "-1")]
    assert score.gaps == [Repair(kind="drop", count=1, noticed=times(), healed=times(2))]
    assert score.requests == [Repair(kind="drop_request", count=1, noticed=times(), healed=times())]


FILLS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from(("buy", "sell")), st.integers(1, 9)), max_size=30
)


@given(FILLS)
def test_drift_is_the_sum_over_every_second(fills: list[tuple[bool, int, Side, int]]) -> None:
    now, said = 0, list[Said]()
    differences = dict[int, Decimal]()  # from this second on
    difference = ZERO
    for is_true, later, side, quantity in fills:
        now += later
        said.append((true if is_true else believed)(now, side, f"{quantity}"))
        difference += signed(side, Decimal(-quantity if is_true else quantity))
        differences[now] = difference
    expected, wrong, before = ZERO, 0, ZERO
    for second in range(now):
        before = differences.get(second, before)
        expected += abs(before)
        wrong += before != 0
    score = scored(*said)
    assert sum(each.unit_seconds for each in score.drift) == expected
    assert sum(each.wrong.total_ns for each in score.drift) == wrong * SECOND
    assert sum(each.difference for each in score.drift) == difference


# Messages that did not arrive


def test_a_lost_message_is_noticed_when_it_is_asked_for_and_healed_when_it_is_there() -> None:
    score = scored(taken(0, 4), fault(1, "drop", 5), resend(1.5, 5), taken(1.75, 5))
    assert score.faults == {"drop": 1}
    assert score.gaps == [Repair(kind="drop", count=1, noticed=times(0.5), healed=times(0.75))]
    assert score.slowest == [
        Gap(
            session=SESSION,
            kind="drop",
            first=5,
            last=5,
            at=NOON + SECOND,
            asked_ns=SECOND // 2,
            healed_ns=3 * SECOND // 4,
        )
    ]


def test_messages_lost_one_after_the_other_are_one_gap() -> None:
    lost = [fault(number, "drop", 10 + number) for number in range(5)]
    score = scored(*lost, resend(6, 10), taken(7, 13), taken(8, 14))
    assert score.faults == {"drop": 5}
    assert score.gaps == [Repair(kind="drop", count=1, noticed=times(6), healed=times(8))]
    assert [(gap.first, gap.last) for gap in score.slowest] == [(10, 14)]


def test_a_message_lost_after_a_gap_was_noticed_is_another_gap() -> None:
    score = scored(fault(0, "drop", 1), resend(1, 1), fault(2, "drop", 2), taken(3, 2))
    assert score.gaps == [Repair(kind="drop", count=2, noticed=times(1), healed=times(3, 1))]


def test_a_resend_is_noticing_all_that_is_missing_and_asking_again_is_not_noticing_again() -> None:
    score = scored(fault(0, "drop", 1), fault(1, "drop", 3), resend(2, 1), resend(3, 1), taken(4, 1))
    assert score.gaps == [Repair(kind="drop", count=2, noticed=times(2, 1), healed=times(4))]


def test_a_late_message_may_come_before_it_is_missed() -> None:
    score = scored(fault(0, "delay", 1), taken(0.25, 1))
    assert score.gaps == [Repair(kind="delay", count=1, noticed=times(), healed=times(0.25))]


def test_a_duplicate_leaves_nothing_to_repair() -> None:
    score = scored(fault(0, "duplicate", 1), taken(0, 1))
    assert (score.faults, score.gaps) == ({"duplicate": 1}, [])


def test_a_client_with_an_early_clock_heals_at_once() -> None:
    score = scored(taken(0, 1), fault(0.5, "drop", 1))
    assert score.gaps == [Repair(kind="drop", count=1, noticed=times(), healed=times(0))]


def test_of_gaps_that_are_over_the_slowest_are_kept() -> None:
    said = list[Said]()
    for number in range(1, SLOWEST_KEPT + 11):
        said += [fault(100 * number, "drop", number), taken(101 * number, number)]
    assert [gap.healed_ns for gap in scored(*said).slowest] == [
        number * SECOND for number in range(SLOWEST_KEPT + 10, 10, -1)
    ]


# Requests that did not arrive, and outcomes that were unknown


def test_a_lost_order_is_noticed_by_its_silence_and_healed_when_it_is_given_up() -> None:
    lost = OrderLost(quantity=Decimal(1), session_sequence=2, **known())
    score = scored(
        fault(0, "drop_request", child_id="1.1"),
        silent(1),
        (1, SESSION, QuerySent(sent_at=NOON, **known())),
        (1.5, SESSION, CancelSent(sent_at=NOON, **known())),
        believed(2, "buy", "1", leaves="1"),
        (6, SESSION, lost),
    )
    assert score.requests == [Repair(kind="drop_request", count=1, noticed=times(1), healed=times(6))]
    assert score.outcomes == [Outcome(request="order", ending="order_lost", unknown=times(5))]
    assert score.unknown_open == 0


def test_a_query_that_is_lost_too_is_noticed_by_itself() -> None:
    score = scored(
        fault(0, "drop_request", child_id="1.1"),
        silent(1),
        fault(1, "drop_request", child_id="1.1"),
        (3, SESSION, QuerySent(sent_at=NOON, **known())),
        (4, SESSION, OrderAcknowledged(venue_order_id="v", session_sequence=1, accepted_at=NOON, **known())),
    )
    assert score.requests == [Repair(kind="drop_request", count=2, noticed=times(1, 2), healed=times(4, 3))]


def test_an_unknown_cancel_ends_by_what_became_of_it() -> None:
    def unknown(seconds: float) -> Said:
        return seconds, SESSION, OutcomeUnknown(request="cancel", **known())

    again = CancelSent(sent_at=NOON, **known())
    rejected = CancelRejected(code="ORDER_IS_OVER", session_sequence=1, **known())
    cancelled = OrderCancelled(quantity=Decimal(1), reason="requested", session_sequence=1, **known())
    score = scored(
        unknown(0), (1, SESSION, again),
        unknown(2), unknown(3), (5, SESSION, rejected),
        unknown(6), believed(7, "buy", "1", leaves="1"), believed(8, "buy", "1"),
        unknown(9), (10, SESSION, cancelled),
        unknown(11),
    )  # fmt: skip
    assert score.outcomes == [
        Outcome(request="cancel", ending="cancel_rejected", unknown=times(3)),
        Outcome(request="cancel", ending="cancel_sent", unknown=times(1)),
        Outcome(request="cancel", ending="order_cancelled", unknown=times(1)),
        Outcome(request="cancel", ending="order_filled", unknown=times(2)),
    ]
    assert score.unknown_open == 1


def test_an_unknown_amend_ends_with_its_answer_or_when_it_is_sent_again() -> None:
    def unknown(seconds: float) -> Said:
        return seconds, SESSION, OutcomeUnknown(request="amend", **known())

    to: dict[str, Any] = {"quantity": Decimal(2), "price": Decimal(100)}
    again = AmendSent(sent_at=NOON, expires_at=NOON, **to, **known())
    amended = OrderAmended(leaves=Decimal(1), session_sequence=1, **to, **known())
    rejected = AmendRejected(code="AMEND_LOST", session_sequence=2, **known())
    score = scored(
        unknown(0), (1, SESSION, again),
        unknown(2), (4, SESSION, amended),
        unknown(5), (8, SESSION, rejected),
        unknown(9),
    )  # fmt: skip
    assert score.outcomes == [
        Outcome(request="amend", ending="amend_rejected", unknown=times(3)),
        Outcome(request="amend", ending="amend_sent", unknown=times(1)),
        Outcome(request="amend", ending="order_amended", unknown=times(2)),
    ]
    assert score.unknown_open == 1


def test_an_amend_that_is_asked_for_again_has_not_healed_what_was_lost() -> None:
    again = AmendSent(quantity=Decimal(2), price=None, sent_at=NOON, expires_at=NOON, **known())
    score = scored(fault(0, "drop_request", child_id="1.1"), (1, SESSION, again), taken(2, 1))
    assert [repair.healed for repair in score.requests] == [Times()]


def test_a_change_of_an_order_is_known_when_its_message_or_a_later_one_is_taken() -> None:
    def changed(seconds: float, number: int, session: str = SESSION) -> Said:
        to: dict[str, Any] = {"quantity": Decimal(2), "price": Decimal(100), "leaves": Decimal(1), "at": NOON}
        told = VenueOrderAmended(session=session, session_sequence=number, account="alice", child_id="1.1", **to)
        return seconds, VENUE, told

    score = scored(changed(0, 1), changed(1, 2), changed(1, 1, "stranger"), taken(3, 2), changed(4, 3))
    assert score.changes == Changes(known=times(3, 2), open=1)


def test_what_is_known_before_it_was_told_took_no_time() -> None:
    told = VenueOrderAmended(
        session=SESSION,
        session_sequence=1,
        account="alice",
        child_id="1.1",
        quantity=Decimal(2),
        price=None,
        leaves=Decimal(1),
        at=NOON,
    )
    assert scored(taken(0, 1), (1, VENUE, told)).changes == Changes(known=times(0), open=0)


# What the venue did, and said it did


def test_faults_that_last_are_counted_by_kind_and_cause() -> None:
    def began(kind: str, seconds: int, session: str = "", **cause: Any) -> Said:
        return 0, VENUE, VenueFaultBegan(kind=kind, since=NOON, until=NOON + seconds * SECOND, session=session, **cause)

    score = scored(
        began("slow", 3),
        began("slow", 5, SESSION),
        began("slow", 7, "stranger"),
        began("slow", 9, cause="hand"),
        began("down", 1, cause="schedule"),
    )
    assert score.spells == [
        Spells(kind="down", cause="schedule", lasting=times(1)),
        Spells(kind="slow", cause="chance", lasting=times(3, 5)),
        Spells(kind="slow", cause="hand", lasting=times(9)),
    ]


def test_refusals_are_counted_by_code() -> None:
    told: dict[str, Any] = {
        "session": SESSION,
        "session_sequence": 1,
        "account": "alice",
        "child_id": "1.1",
        "at": NOON,
    }
    score = scored(
        (0, VENUE, VenueOrderRejected(code="VENUE_BUSY", message="", **told)),
        (0, VENUE, VenueCancelRejected(code="CANCEL_DOWN", **told)),
        (0, VENUE, VenueOrderRejected(code="VENUE_BUSY", message="", **told)),
        (0, VENUE, VenueAmendRejected(code="TICK_SIZE", **told)),
        (0, VENUE, VenueOrderRejected(code="VENUE_BUSY", message="", **told | {"session": "stranger"})),
    )
    assert score.refusals == {"CANCEL_DOWN": 1, "TICK_SIZE": 1, "VENUE_BUSY": 2}


# The whole


def test_nothing_heard_is_nothing_scored() -> None:
    assert scored() == Score(
        frames=0,
        began_at=0,
        ended_at=0,
        drift=[],
        faults={},
        spells=[],
        refusals={},
        gaps=[],
        slowest=[],
        requests=[],
        outcomes=[],
        unknown_open=0,
        changes=Changes(known=Times(), open=0),
    )


def test_a_clock_that_was_set_back_stands_still() -> None:
    score = scored(true(5, "buy", "1"), believed(2, "buy", "3"), believed(7, "sell", "2"))
    assert score.drift == [drift("4", times(2))]
    assert (score.began_at, score.ended_at, score.frames) == (NOON + 5 * SECOND, NOON + 7 * SECOND, 3)


def told(story: Story) -> Score:
    order, heard = TimeOrder((VENUE, SESSION)), Scorer("sim", [SESSION])
    for stream in (VENUE, SESSION):
        for each in story.frames[stream]:
            for passed in order.add(stream, each):
                heard.hear(*passed)
        for passed in order.end(stream):
            heard.hear(*passed)
    return heard.score()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_a_story_in_which_all_was_heard_ends_without_a_difference(seed: int) -> None:
    score = told(Story(seed).play(8))
    assert all(each.difference == 0 for each in score.drift)
    assert score.unknown_open == 0


def test_a_story_in_which_a_fill_was_not_heard_ends_with_one() -> None:
    story = Story(11)
    story.trade(["filled"])
    [before] = [each.unit_seconds for each in told(story).drift]
    for number, each in enumerate(story.frames[SESSION]):
        unheard = [event for event in each.decisions[0].events if not isinstance(event, OrderFilled)]
        decisions = [msgspec.structs.replace(each.decisions[0], events=unheard)]
        story.frames[SESSION][number] = msgspec.structs.replace(each, decisions=decisions)
    story.trade(["rejected"])
    [after] = told(story).drift
    assert after.difference != 0
    assert after.unit_seconds > before
