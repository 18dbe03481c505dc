"""A journal in which nothing went wrong is clean; each thing that can go wrong is found, by its own rule."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot4_common.log import Record
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    ListSent,
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
)
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    PlaceOrder,
    RebaseEquity,
    ReplaceOrder,
)
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    EquityRebased,
    FeeBooked,
    GateChanged,
    GateDecided,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    KillSwitchEngaged,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
    SelfTradePrevented,
    SignalAccepted,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Event, Order, Scope
from bot4_common.messages.venue import (
    VenueAmendEntered,
    VenueFilled,
    VenueFillWithheld,
    VenueListEntered,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderTriggered,
    VenueTraded,
)
from bot4_journal.audit import RULES, Auditor, Report
from bot4_journal.scenes import LongStory
from bot4_journal.testing import FATES, Absent, Story

E = TypeVar("E", bound=Event)

RISK, EXECUTION, COST, VENUE = "RISK_0", "EXECUTION_0", "COST_0", "VENUE_sim_0"
LITTLE = Decimal("0.0001")
LEFT_OUT = "fills that the end of an order left out"


def story() -> LongStory:
    """Every fate of an order, twice, a crossing, and a kill switch; and then every scene."""
    told = LongStory(11)
    for _ in range(2):
        told.trade([*FATES])
        told.cross()
        told.kill("alice")
    for scene in told.scenes():
        scene()
    return told


def audited(journal: list[Record], venue: list[Record], with_venue: bool = True) -> Report:
    auditor = Auditor({record.stream.split("_")[1] for record in venue} if with_venue else [])
    for record in [*journal, *(venue if with_venue else [])]:
        auditor.hear(record)
    return auditor.report()


def rules(told: Story, rng: Random | None = None) -> set[str]:
    return {finding.rule for finding in audited(told.journal(rng), told.venue()).findings}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), with_venue=st.booleans(), venues=st.sampled_from([["sim"], ["a", "b"]]))
def test_a_journal_in_which_nothing_went_wrong_is_clean(seed: int, with_venue: bool, venues: list[str]) -> None:
    told = LongStory(seed, venues).play(6)
    report = audited(told.journal(Random(seed)), told.venue(), with_venue)
    assert report.findings == []
    assert set(report.pending.values()) == {0}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_a_journal_that_is_cut_off_anywhere_is_clean_and_has_something_pending(seed: int, data: st.DataObject) -> None:
    told = LongStory(seed).play(4)
    journal = told.journal(Random(seed))
    end = data.draw(st.integers(0, len(journal)))
    assert audited(journal[:end], told.venue()).findings == []


def test_the_streams_may_be_heard_in_any_mixture() -> None:
    told = story()
    journal, venue = iter(told.journal()), iter(told.venue())
    auditor = Auditor(["sim"])
    for turn in Random(3).sample([*[1] * len(told.journal()), *[2] * len(told.venue())], len(told.order)):
        auditor.hear(next(journal if turn == 1 else venue))
    assert auditor.report().clean


def test_the_report_counts_what_it_heard() -> None:
    report = audited(story().journal(), story().venue())
    events = [event for frame in story().frames["GATEWAY"] for each in frame.decisions for event in each.events]
    assert report.counts["place_order"] == sum(isinstance(event, PlaceOrder) for event in events)
    assert report.counts["order_filled"] == report.counts["venue_filled"] == report.counts["cost_recorded"]
    assert report.frames == len(story().order)


def traded_before(told: Story, order_id: str, number: int) -> Report:
    """Fill `number` of the order was a thousand seconds before it was told."""
    fills = [fill.trade_id for fill in events_of(told, OrderFilled) if fill.order_id == order_id]
    told.alter(OrderFilled, lambda fill: fill.trade_id == fills[number], traded_at=lambda fill: fill.traded_at - 10**12)
    return audited(told.journal(), told.venue())


def events_of(told: Story, kind: type[E]) -> list[E]:
    frames = [frame for stream in told.frames.values() for frame in stream]
    events = [event for frame in frames for decision in frame.decisions for event in decision.events]
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("number", [0, 1])
def test_the_longest_time_without_a_stop_is_measured_and_the_order_named(number: int) -> None:
    told = LongStory(3)
    told.hold()
    [held] = events_of(told, OrderHeld)
    told.amend()
    report = traded_before(told, held.order_id, number)
    assert 10**12 < report.unprotected_ns_max < 2 * 10**12
    assert report.unprotected_order == held.order_id


def test_the_time_without_a_stop_is_measured_after_an_amend_too() -> None:
    told = LongStory(3)
    told.hold()
    told.amend()
    amended, *_ = events_of(told, OrderAmended)
    assert traded_before(told, amended.order_id, -1).unprotected_order == amended.order_id


def test_the_time_without_a_stop_of_a_late_fill_counts_from_its_trade() -> None:
    told = Story(3)
    [order_id] = told.trade(["late"])
    report = traded_before(told, order_id, 0)
    assert report.unprotected_order == order_id and 10**12 < report.unprotected_ns_max < 2 * 10**12


def test_a_fill_that_the_end_of_its_order_left_out_is_pending_until_it_is_told() -> None:
    told = Story(3)
    told.trade(["late"])
    report = audited(told.journal(), told.venue())
    assert report.clean and report.pending[LEFT_OUT] == 0
    told.remove(OrderFilled)
    assert audited(told.journal(), told.venue()).pending[LEFT_OUT] == 1


def test_a_late_fill_that_no_end_left_out_is_none_either() -> None:
    """The venue did not know of it when it ended the order."""
    told = Story(3)
    told.trade(["late"])
    for kind in (OrderExpired, VenueOrderExpired, ReservationReleased):
        told.alter(kind, quantity=lambda end: end.quantity * 2)
    report = audited(told.journal(), [])
    assert report.clean and report.pending[LEFT_OUT] == 0


def test_a_fill_that_only_closes_waits_for_no_stop() -> None:
    told = Story(4)
    while not any(fill.side == "sell" and fill.account == "alice" for fill in events_of(told, OrderFilled)):
        told.trade(["filled", "reduced"])
    closing = next(fill for fill in events_of(told, OrderFilled) if (fill.side, fill.account) == ("sell", "alice"))
    assert traded_before(told, closing.order_id, 0).unprotected_ns_max < 10**12


# The record.


def test_a_dropped_frame_is_found() -> None:
    journal = story().journal()
    # Not the last of several of one stream, or the next one's own gap is all that is seen.
    number = next(number for number in range(20, 40) if journal[number].origin[0] != journal[number + 1].origin[0])
    del journal[number]
    assert {finding.rule for finding in audited(journal, story().venue()).findings} >= {"sequence", "origin"}


def test_an_altered_byte_is_found_wherever_it_is() -> None:
    told, rng = story(), Random(2)
    for _ in range(100):
        journal = told.journal()
        number = rng.randrange(len(journal) - 20)
        data = bytearray(journal[number].data)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        journal[number] = journal[number]._replace(data=bytes(data))
        assert not audited(journal, told.venue()).clean


def test_a_frame_that_is_missing_at_the_end_is_found_if_it_should_be_there() -> None:
    journal = story().journal()
    ends = {stream: len(frames) for stream, frames in story().frames.items() if stream != VENUE}
    for dropped, clean in ((0, True), (1, False)):
        auditor = Auditor()
        for record in journal[: len(journal) - dropped]:
            auditor.hear(record)
        assert auditor.report(ends).clean is clean


def test_a_frame_merged_twice_is_no_fault() -> None:
    journal = story().journal()
    again = journal[5]._replace(sequence=len(journal) + 1)
    assert audited([*journal, again], story().venue()).clean


# What can go wrong in the story: each entry breaks one thing, the rules say how it is found.


def reread(told: Story) -> None:
    frames = told.frames[RISK]
    frames[-1] = replace(frames[-1], read={**frames[-1].read, EXECUTION: 1})


def decided_twice(told: Story) -> None:
    """One input, two decisions: the second one in a frame of its own."""
    first = next(frame for frame in told.frames[COST] if frame.decisions)
    told.say(COST, [first.decisions[0]])


def unread_cause(told: Story) -> None:
    frames = told.frames[COST]
    read = {EXECUTION: frames[-1].decisions[0].cause.sequence - 1} if frames[-1].decisions[0].cause else {}
    frames[-1] = replace(frames[-1], read=read)


def answered_twice(told: Story) -> None:
    decision, _, refused = told.find(OrderRefused)
    decision.events.append(refused)


def unasked_cancel(told: Story) -> None:
    decision, index, cancel = told.find(CancelOrder)
    decision.events[index] = replace(cancel, order_id="99-0")


def forgotten(told: Story) -> None:
    """A repeated client order id is decided as if it had been forgotten."""
    decision, index, repeated = told.find(OrderRepeated)
    _, _, asked = told.find(PlaceOrder, lambda asked: asked.order.client_order_id == repeated.client_order_id)
    _, _, refused = told.find(OrderRefused)
    decision.events[index] = replace(refused, order_id=repeated.order_id, account=asked.account, order=asked.order)


def killed_and_traded(told: Story) -> None:
    told.kill("alice")
    told.frames[RISK][-1].decisions[0].events.clear()
    told.trade(["filled"] * 20)


def silent_exit(told: Story) -> None:
    told.remove(StopTriggered)


def exit_not_made(told: Story) -> None:
    decision, index, _ = told.find(OrderApproved, lambda event: "-stop" in event.order_id)
    del decision.events[index]


def filled_after_its_end(told: Story) -> None:
    """As if it were open still."""
    decision, _, cancelled = told.find(OrderCancelled)
    _, _, fill = told.find(OrderFilled, lambda fill: fill.child_id == cancelled.child_id)
    decision.events.append(replace(fill, trade_id="late", session_sequence=0))


def moved_after_its_end(told: Story) -> None:
    decision, _, released = told.find(ReservationReleased)
    _, _, moved = told.find(PositionChanged)
    decision.events.append(replace(moved, order_id=released.order_id))


def late_before_its_end(told: Story) -> None:
    told.alter(OrderFilled, lambda fill: bool(fill.leaves) and not fill.late, late=True)


def late_and_too_much(told: Story) -> None:
    more = {"quantity": lambda fill: fill.quantity * 3, "cumulative": lambda fill: fill.cumulative * 3}
    told.alter(OrderFilled, lambda fill: fill.late, leaves=lambda fill: -fill.leaves, **more)


def late_and_unprotected(told: Story) -> None:
    _, _, late = told.find(OrderFilled, lambda fill: fill.late)
    told.remove(StopArmed, lambda armed: armed.order_id == late.order_id)


def released_though_traded(told: Story) -> None:
    """What the end of an order left out is released with the rest."""
    _, _, late = told.find(OrderFilled, lambda fill: fill.late)
    told.alter(
        ReservationReleased,
        lambda released: released.order_id == late.order_id,
        quantity=lambda released: released.quantity + late.quantity,
    )


def withheld_for_ever(told: Story) -> None:
    _, _, withheld = told.find(VenueFillWithheld)
    told.remove(VenueFilled, lambda fill: fill.trade_id == withheld.fill.trade_id)


def told_otherwise_than_withheld(told: Story) -> None:
    _, _, withheld = told.find(VenueFillWithheld)
    told.alter(VenueFilled, lambda fill: fill.trade_id == withheld.fill.trade_id, price=Decimal(1))


def lost_then_cancelled(told: Story) -> None:
    decision, _, lost = told.find(OrderLost)
    known = {name: getattr(lost, name) for name in ("order_id", "child_id", "account", "venue", "quantity")}
    decision.events.append(OrderCancelled(reason="requested", session_sequence=0, **known))


def overfill(told: Story) -> None:
    more = {"quantity": lambda fill: fill.quantity * 3, "cumulative": lambda fill: fill.cumulative * 3}
    told.alter(OrderFilled, lambda fill: not fill.leaves, **more)


def same_trade_twice(told: Story) -> None:
    _, _, last = told.find(OrderFilled, lambda fill: fill.cumulative > fill.quantity)
    _, _, first = told.find(OrderFilled, lambda fill: fill.child_id == last.child_id)
    told.alter(OrderFilled, lambda fill: fill is last, trade_id=first.trade_id)


def number_skipped(told: Story) -> None:
    told.alter(OrderRejected, session_sequence=lambda rejected: rejected.session_sequence + 1)


def cash_from_nowhere(told: Story) -> None:
    told.alter(PositionChanged, price=lambda moved: moved.price + 1)


def strategy_mixed_up(told: Story) -> None:
    told.alter(PositionChanged, strategy="another")


def accepted_twice(told: Story) -> None:
    told.repeat(VenueOrderAccepted)


def accepted_otherwise(told: Story) -> None:
    told.alter(VenueOrderAccepted, order=lambda accepted: replace(accepted.order, price=Decimal(1)))


def one_sided(told: Story) -> None:
    told.alter(VenueFilled, lambda fill: fill.liquidity == "maker", quantity=lambda fill: fill.quantity - LITTLE)


def untold_side(told: Story) -> None:
    told.remove(VenueFilled, lambda fill: fill.liquidity == "maker")


def stops_vanish(told: Story) -> None:
    told.alter(StopArmed, quantity=lambda armed: armed.quantity - LITTLE)


def stopped_trading(scope: Scope) -> Callable[[Story], None]:
    """Somebody trades on while a kill switch covers it."""

    def plant(told: Story) -> None:
        named = {"account": "alice", "reason": "drill", "symbol": "BTC-USDT", "strategy": "momentum"}
        asked: AnyEvent = EngageKillSwitch(scope=scope, **named)  # type: ignore[arg-type]
        told.ask(asked, KillSwitchEngaged(scope=scope, **named))  # type: ignore[arg-type]
        told.trade(["filled"] * 20)

    return plant


def grown_though_killed(told: Story) -> None:
    """An amend that grows is approved, though the account was stopped before."""
    asked = {sent.order_id: sent.order.quantity for sent in events_of(told, OrderSent)}
    decision, index, _ = told.find(AmendApproved, lambda amend: amend.quantity > asked[amend.order_id])
    decision.events.insert(index, KillSwitchEngaged(account="bob", reason="drill"))
    decision.events.insert(index, KillSwitchEngaged(account="alice", reason="drill"))


def held_otherwise(told: Story) -> None:
    changed = {"order": lambda held: replace(held.order, stop_price=Decimal(7))}
    told.alter(OrderHeld, lambda held: not held.list_id, **changed)


def held_without_a_stop(told: Story) -> None:
    changed = {"order": lambda held: replace(held.order, stop_loss=None)}
    told.alter(OrderHeld, lambda held: held.order.stop_loss is not None, **changed)


def unheld(told: Story) -> None:
    """An order that was held is sent before its trigger was reached."""
    told.remove(HeldOrderTriggered)


def sent_in_its_place(told: Story) -> None:
    """What was to be replaced has filled, and the new order goes out all the same."""
    decision, index, dropped = told.find(HeldOrderCancelled, lambda dropped: dropped.code == "REPLACE_STOPPED")
    _, _, held = told.find(OrderHeld, lambda held: held.order_id == dropped.order_id)
    _, _, like = told.find(OrderApproved)
    decision.events[index] = replace(like, order_id=held.order_id, account=held.account, order=held.order, list_id="")


def waits_on(told: Story) -> None:
    told.remove(HeldOrderCancelled, lambda dropped: dropped.code == "REPLACE_STOPPED")


def cancelled_though_held(told: Story) -> None:
    decision, index, dropped = told.find(HeldOrderCancelled, lambda dropped: dropped.reason == "requested")
    decision.events[index] = CancelApproved(order_id=dropped.order_id, account=dropped.account, reason="requested")


def leg_forgotten(told: Story) -> None:
    told.remove(OrderApproved, lambda approved: bool(approved.list_id))


def leg_sent_before_its_parent(told: Story) -> None:
    """The take-profit goes out with the entry."""
    decision, index, held = told.find(OrderHeld, lambda held: held.list_id != "" and held.order.type == "limit")
    _, _, like = told.find(OrderApproved, lambda approved: approved.order_id == held.order_id)
    decision.events[index] = replace(like, order=held.order)


def armed_by_a_parent_that_had_ended(told: Story) -> None:
    """What is told of it late, does not fill it whole."""
    _, _, armed = told.find(HeldOrderArmed, lambda armed: "-leg" in armed.order_id)
    parent = armed.order_id.replace("-leg2", "-leg1").replace("-leg3", "-leg1")
    decision, index, moved = told.find(PositionChanged, lambda moved: moved.order_id == parent)
    released = ReservationReleased(order_id=parent, account=moved.account, quantity=LITTLE)
    decision.events.insert(index, released)


def both_filled(told: Story) -> None:
    """Of an OCO the other leg trades as well."""
    _, _, approved = told.find(ListApproved, lambda approved: approved.kind == "oco" and approved.native)
    other = approved.legs[1].order_id
    decision, index, moved = told.find(PositionChanged, lambda moved: moved.order_id == approved.legs[0].order_id)
    decision.events.insert(index, replace(moved, order_id=other))


def shared_and_filled_whole(told: Story) -> None:
    _, _, approved = told.find(ListApproved, lambda approved: approved.kind == "ouo")
    second = approved.legs[1].order_id
    told.alter(PositionChanged, lambda moved: moved.order_id == second, quantity=lambda moved: moved.quantity * 2)


def flipped(told: Story) -> None:
    """A reduce-only order takes more than there is."""
    _, _, approved = told.find(OrderApproved, lambda approved: approved.order.reduce_only)
    told.alter(
        PositionChanged,
        lambda moved: moved.order_id == approved.order_id,
        position=lambda moved: moved.quantity,
    )


def shrunk_by_itself(told: Story) -> None:
    told.alter(
        OrderApproved,
        lambda approved: approved.opening,
        order=lambda approved: replace(approved.order, quantity=approved.order.quantity - LITTLE),
    )


def amended_at_will(told: Story) -> None:
    """The venue's word of an amend is another than what was asked, and is taken."""
    for kind in (OrderAmended, VenueOrderAmended):
        told.alter(kind, price=Decimal(7))


def gate_not_asked(told: Story) -> None:
    told.remove(GateDecided, lambda verdict: verdict.decision == "passed")


def gate_overruled(told: Story) -> None:
    told.alter(GateDecided, lambda verdict: verdict.decision == "passed", decision="refused")


def sent_into_the_open(told: Story) -> None:
    """An order goes to a venue while its breaker is open."""
    decision, index, rejected = told.find(OrderRejected, lambda rejected: rejected.code == "BREAKER_OPEN")
    _, _, approved = told.find(OrderApproved, lambda approved: approved.order_id == rejected.order_id)
    _, _, like = told.find(OrderSent)
    decision.events[index] = replace(
        like, order_id=rejected.order_id, child_id=rejected.child_id, account=approved.account, order=approved.order
    )


def flattened_in_vain(told: Story) -> None:
    """The exit of a kill switch is not approved."""
    told.remove(OrderApproved, lambda approved: approved.order_id.startswith("flat-"))


FAULTS: list[tuple[Callable[[Story], object], set[str]]] = [
    (reread, {"read"}),
    (decided_twice, {"cause", "cost"}),
    (unread_cause, {"cause"}),
    (answered_twice, {"answered"}),
    (unasked_cancel, {"answered"}),
    (lambda told: told.remove(OrderRefused), {"answered"}),
    (lambda told: told.remove(CancelApproved, lambda approved: approved.reason == "requested"), {"answered"}),
    (lambda told: told.alter(OrderRefused, order_id="7-7"), {"answered"}),
    (
        lambda told: told.alter(OrderApproved, order=lambda approved: replace(approved.order, quantity=Decimal(1))),
        {"asked", "sent"},
    ),
    (lambda told: told.alter(OrderRepeated, client_order_id="another"), {"asked"}),
    (forgotten, {"taken"}),
    (killed_and_traded, {"killed"}),
    (
        lambda told: told.alter(OrderApproved, order=lambda approved: replace(approved.order, stop_loss=None)),
        {"stop_loss"},
    ),
    (silent_exit, {"exit"}),
    (exit_not_made, {"exit"}),
    (lambda told: told.remove(OrderSent), {"sent"}),
    (lambda told: told.repeat(OrderSent), {"sent"}),
    (lambda told: told.remove(OrderAcknowledged), {"life", "feed"}),
    (filled_after_its_end, {"life"}),
    (moved_after_its_end, {"reserved", "position"}),
    (late_before_its_end, {"life"}),
    (late_and_too_much, {"fill"}),
    (late_and_unprotected, {"protected"}),
    (released_though_traded, {"release"}),
    (withheld_for_ever, {"venue_trade"}),
    (told_otherwise_than_withheld, {"venue_trade", "venue_told"}),
    (lost_then_cancelled, {"life"}),
    (lambda told: told.repeat(OrderExpired), {"life"}),
    (overfill, {"fill"}),
    (lambda told: told.alter(OrderFilled, leaves=Decimal(7)), {"fill"}),
    (lambda told: told.alter(OrderFilled, symbol="ETH-USDT"), {"fill"}),
    (lambda told: told.alter(OrderCancelled, quantity=Decimal(9)), {"fill", "venue_told"}),
    (same_trade_twice, {"trade"}),
    (number_skipped, {"feed"}),
    (lambda told: told.remove(PositionChanged), {"position"}),
    (lambda told: told.repeat(PositionChanged), {"position"}),
    (lambda told: told.alter(PositionChanged, position=Decimal(7)), {"position"}),
    (stops_vanish, {"protected"}),
    (lambda told: told.remove(StopArmed), {"protected"}),
    (lambda told: told.remove(ReservationReleased), {"release"}),
    (lambda told: told.repeat(ReservationReleased), {"release"}),
    (lambda told: told.alter(ReservationReleased, quantity=Decimal(7)), {"release"}),
    (lambda told: told.remove(CostRecorded), {"cost"}),
    (lambda told: told.repeat(CostRecorded), {"cost"}),
    (lambda told: told.alter(CostRecorded, fee=lambda cost: cost.fee + LITTLE), {"cost"}),
    (lambda told: told.alter(CostRecorded, price=lambda cost: cost.price + LITTLE), {"cost"}),
    (cash_from_nowhere, {"cash", "position"}),
    (strategy_mixed_up, {"position"}),
    (accepted_twice, {"venue_order", "feed"}),
    (accepted_otherwise, {"venue_order"}),
    (one_sided, {"venue_trade"}),
    (untold_side, {"venue_trade", "feed"}),
    (lambda told: told.alter(VenueTraded, price=Decimal(1)), {"venue_trade"}),
    (lambda told: told.alter(VenueFilled, cumulative=Decimal(9)), {"venue_fill", "venue_told"}),
    (lambda told: told.alter(VenueOrderCancelled, quantity=Decimal(9)), {"venue_fill", "venue_told"}),
    (lambda told: told.alter(OrderFilled, price=Decimal(1)), {"venue_told"}),
    (lambda told: told.alter(OrderFilled, trade_id="made up"), {"venue_told"}),
    # What was asked.
    (lambda told: told.remove(ListApproved), {"answered", "list"}),
    (lambda told: told.remove(ListRefused), {"answered"}),
    (lambda told: told.alter(ListApproved, legs=lambda approved: approved.legs[::-1]), {"asked", "list"}),
    (lambda told: told.remove(AmendRefused), {"answered"}),
    (lambda told: told.remove(AmendApproved), {"answered", "amend"}),
    (lambda told: told.alter(AmendOrder, order_id="9-9"), {"answered"}),
    (lambda told: told.remove(HeldOrderCancelled, lambda dropped: dropped.reason == "requested"), {"answered"}),
    (lambda told: told.remove(OrderHeld), {"answered", "held"}),
    (lambda told: told.alter(ReplaceOrder, order_id="9-9"), {"answered"}),
    (held_otherwise, {"asked"}),
    (lambda told: told.remove(SignalAccepted), {"answered"}),
    (lambda told: told.alter(SignalAccepted, signal_id="9-9"), {"answered"}),
    (lambda told: told.remove(EquityRebased), {"answered"}),
    (lambda told: told.alter(RebaseEquity, account="bob"), {"answered"}),
    (lambda told: told.remove(KillSwitchEngaged), {"answered"}),
    (lambda told: told.alter(GateChanged, enabled=False), {"answered"}),
    (shrunk_by_itself, {"asked"}),
    (held_without_a_stop, {"stop_loss"}),
    (stopped_trading("firm"), {"killed"}),
    (stopped_trading("account"), {"killed"}),
    (stopped_trading("strategy"), {"killed"}),
    (stopped_trading("symbol"), {"killed"}),
    (grown_though_killed, {"killed"}),
    (gate_not_asked, {"gate"}),
    (gate_overruled, {"gate"}),
    (lambda told: told.alter(LimitsChanged, version=7), {"limits"}),
    (lambda told: told.alter(LimitsRefused, version=7), {"limits"}),
    (lambda told: told.alter(SelfTradePrevented, quantity=LITTLE), {"self_trade"}),
    (lambda told: told.remove(SelfTradePrevented), {"asked"}),
    (lambda told: told.alter(SelfTradePrevented, resting_quantity=Decimal(9)), {"self_trade"}),
    (lambda told: told.remove(AmendApproved, lambda amend: amend.quantity == Decimal("0.006")), {"self_trade"}),
    # Orders that are held, replaced, and in lists.
    (unheld, {"held"}),
    (lambda told: told.repeat(HeldOrderTriggered), {"held"}),
    (lambda told: told.alter(HeldOrderTriggered, order_id="9-9"), {"held"}),
    (lambda told: told.alter(HeldOrderArmed, quantity=Decimal(9)), {"held"}),
    (lambda told: told.alter(HeldOrderCancelled, quantity=Decimal(9)), {"reserved"}),
    (cancelled_though_held, {"held"}),
    (sent_in_its_place, {"held"}),
    (waits_on, {"held"}),
    (leg_forgotten, {"list"}),
    (leg_sent_before_its_parent, {"list"}),
    (armed_by_a_parent_that_had_ended, {"list"}),
    (lambda told: told.alter(ListApproved, lambda approved: approved.native, native=False), {"list"}),
    (lambda told: told.remove(ListSent), {"sent"}),
    (lambda told: told.alter(ListSent, legs=lambda sent: sent.legs[:1]), {"list", "venue_order"}),
    (lambda told: told.remove(OrderSent, lambda sent: bool(sent.list_id)), {"list"}),
    (lambda told: told.alter(OrderSent, lambda sent: bool(sent.list_id), list_id=""), {"sent", "list"}),
    (lambda told: told.remove(ListEnded), {"list"}),
    (lambda told: told.repeat(ListEnded), {"list"}),
    (both_filled, {"overfill"}),
    (shared_and_filled_whole, {"overfill"}),
    # Reservations and amends.
    (lambda told: told.alter(PositionChanged, quantity=Decimal(9)), {"reserved", "position"}),
    (lambda told: told.remove(ReservationReduced), {"release"}),
    (lambda told: told.alter(ReservationReduced, quantity=LITTLE), {"reserved"}),
    (flipped, {"reduce_only"}),
    (lambda told: told.remove(AmendSent), {"amend"}),
    (lambda told: told.alter(AmendSent, price=Decimal(7)), {"amend", "venue_order"}),
    (lambda told: told.repeat(AmendSent), {"amend"}),
    (lambda told: told.repeat(AmendApproved), {"amend"}),
    (lambda told: told.alter(AmendApproved, quantity=LITTLE), {"amend"}),
    (lambda told: told.remove(AmendRejected), {"amend", "feed"}),
    (lambda told: told.repeat(AmendRejected), {"amend"}),
    (amended_at_will, {"amend"}),
    (lambda told: told.remove(OrderAmended), {"feed", "amend"}),
    (lambda told: told.alter(OrderAmended, leaves=Decimal(9)), {"fill", "venue_told"}),
    (
        lambda told: told.remove(ReservationAmended, lambda settled: bool(settled.code)),
        {"amend"},
    ),
    (lambda told: told.alter(ReservationAmended, lambda settled: bool(settled.code), leaves=LITTLE), {"amend"}),
    # Execution.
    (lambda told: told.remove(OrderTriggered), {"life", "feed"}),
    (lambda told: told.repeat(OrderTriggered), {"life"}),
    (lambda told: told.alter(OrderPrevented, quantity=LITTLE), {"fill", "venue_told"}),
    (sent_into_the_open, {"breaker"}),
    (lambda told: told.alter(BreakerChanged, before="half_open"), {"breaker"}),
    (flattened_in_vain, {"exit"}),
    # Money, and the venue.
    (lambda told: told.remove(FeeBooked), {"fee"}),
    (lambda told: told.repeat(FeeBooked), {"fee"}),
    (lambda told: told.alter(FeeBooked, fee=LITTLE), {"fee"}),
    (lambda told: told.alter(VenueListEntered, account="carol"), {"venue_order"}),
    (lambda told: told.alter(VenueAmendEntered, quantity=Decimal(9)), {"venue_order"}),
    (lambda told: told.alter(VenueAmendEntered, at=2**62), {"venue_order"}),
    (lambda told: told.alter(VenueOrderAmended, leaves=Decimal(9)), {"venue_fill"}),
    (lambda told: told.alter(VenueOrderPrevented, quantity=LITTLE), {"venue_fill"}),
    (lambda told: told.repeat(VenueOrderTriggered), {"venue_order", "feed"}),
    (lambda told: told.alter(OrderPrevented, other_id="9-9.1"), {"venue_told"}),
]


def test_the_story_is_clean_before_anything_is_planted() -> None:
    assert audited(story().journal(), story().venue()).findings == []


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_what_goes_wrong_is_found(number: int) -> None:
    plant, expected = FAULTS[number]
    told = story()
    plant(told)
    assert rules(told) >= expected


def test_every_rule_finds_something() -> None:
    of_the_record = {"sequence", "origin", "frame", "chain"}
    assert set[str]().union(*(expected for _, expected in FAULTS)) | of_the_record == set(RULES)


def test_a_client_order_id_may_come_back_when_its_window_is_over() -> None:
    told = story()
    forgotten(told)
    auditor = Auditor(window_ns=1)
    for record in told.journal():
        auditor.hear(record)
    assert auditor.report().clean


@pytest.mark.parametrize(("reduces", "found"), [(False, {"self_trade"}), (True, set[str]())])
def test_only_what_reduces_may_lose_less_than_all_of_it_and_be_refused(reduces: bool, found: set[str]) -> None:
    told = LongStory(2)
    told.trade(["refused"])
    decision, index, refused = told.find(OrderRefused)
    order = replace(refused.order, reduce_only=reduces)
    told.alter(PlaceOrder, order=order)
    decision.events[index] = replace(refused, order=order, code="SELF_TRADE")
    decision.events.insert(index, met(refused, LITTLE))
    assert rules(told) == found


def met(refused: OrderRefused, quantity: Decimal) -> SelfTradePrevented:
    """An order loses so much to another one of its owner, which loses nothing."""
    return SelfTradePrevented(
        order_id=refused.order_id,
        account=refused.account,
        resting_id="another",
        resting_account=refused.account,
        symbol=refused.order.symbol,
        mode="cancel_new",
        quantity=quantity,
        resting_quantity=Decimal(0),
        price=Decimal(1),
        at=refused.at,
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_faults_are_found_in_any_story_in_which_they_can_happen(seed: int) -> None:
    rng = Random(seed)
    plant, expected = rng.choice(FAULTS)
    told = LongStory(seed).play(8)
    try:
        plant(told)
    except Absent:
        return
    assert rules(told, rng) & expected


def test_what_a_kill_switch_could_not_close_is_still_protected() -> None:
    told = LongStory(1)
    told.trade(["filled"] * 4)
    told.reset(told.close_all("expired"))
    assert rules(told) == set()


# Several venues


def of_two_venues() -> Story:
    """Every fate at each of the two, one after the other."""
    told = Story(5, ["a", "b"])
    while len({sent.venue for sent in events_of(told, OrderSent)}) < 2:
        told.play(4)
    return told


def at(venue: str) -> Callable[[OrderApproved], Order]:
    """The approved order, at another venue."""
    return lambda approved: replace(approved.order, venue=venue)


def test_an_order_that_is_sent_to_another_venue_is_found() -> None:
    told = of_two_venues()
    told.alter(OrderSent, lambda sent: sent.venue == "b", venue="a")
    assert {"sent", "venue_order"} <= rules(told)


def test_a_fill_that_is_booked_at_another_venue_is_found() -> None:
    told = of_two_venues()
    told.alter(PositionChanged, lambda moved: moved.venue == "b", venue="a")
    assert "position" in rules(told)


def test_an_exit_at_another_venue_protects_nothing() -> None:
    told = Story(5, ["a", "b"])
    told.trade(["stopped"])
    told.alter(OrderApproved, lambda approved: "-stop" in approved.order_id, order=at("b"))
    assert "protected" in rules(told)


def test_an_order_may_be_given_a_venue_only_where_it_named_none() -> None:
    told = of_two_venues()
    told.alter(
        OrderApproved,
        lambda approved: approved.order.venue == "b" and "-stop" not in approved.order_id,
        order=at("a"),
    )
    assert "asked" in rules(told)
