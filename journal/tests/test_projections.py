from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.log import Record
from bot4_common.messages.execution import FillQuarantined
from bot4_common.messages.frame import Decision
from bot4_common.messages.gateway import PlaceList
from bot4_common.messages.risk import (
    CorrelationsAdopted,
    GateDecided,
    HeldOrderCancelled,
    ListRefused,
    OrderHeld,
    OrderRepeated,
    ReservationAmended,
)
from bot4_common.money import ZERO
from bot4_common.orders import order_id_of
from bot4_journal.memory_store import MemoryStore
from bot4_journal.projections import (
    ROWS,
    AuditRow,
    ControlRow,
    CostRow,
    FillRow,
    ListRow,
    OrderEvent,
    OrderRow,
    PnlRow,
    PositionRow,
    PreventedRow,
    Row,
    StopRow,
)
from bot4_journal.scenes import LongStory
from bot4_journal.store import Cursor, step
from bot4_journal.testing import SYMBOL, Fate, Story, merged

R = TypeVar("R", bound=Row)


def projected(records: list[Record], sizes: Random | None = None) -> MemoryStore:
    """What the records project to, in one batch or in batches of random sizes."""

    async def project() -> MemoryStore:
        store, cursor, start = MemoryStore(Random(0)), Cursor(), 0
        while start < len(records):
            end = start + (sizes.randint(1, 20) if sizes is not None else len(records))
            changes, after = step(cursor, records[start:end])
            await store.apply(changes, cursor, after)
            cursor, start = after, end
        return store

    return asyncio.run(project())


def rows(kind: type[R], *fates: Fate) -> list[R]:
    story = Story(7)
    for fate in fates:
        story.trade([fate])
    return projected(story.journal()).rows(kind)


def scene(name: str) -> MemoryStore:
    """What is in the tables after this scene of a long story."""
    story = LongStory(7)
    getattr(story, name)()
    return projected(story.journal())


def tables(store: MemoryStore) -> dict[str, list[Row]]:
    return {kind.table: list(store.rows(kind)) for kind in ROWS}


def test_a_filled_order_says_how_much_and_for_what() -> None:
    [order] = rows(OrderRow, "filled")
    fills = rows(FillRow, "filled")
    assert order.status == "filled"
    assert order.filled == order.quantity == sum(fill.quantity for fill in fills)
    assert order.notional == sum(fill.quantity * fill.price for fill in fills)


def test_every_end_of_an_order_has_its_status() -> None:
    ends: tuple[Fate, ...] = ("refused", "rejected", "lost", "cancelled", "expired")
    assert [row.status for row in rows(OrderRow, *ends)] == list(ends)


def test_what_is_told_of_an_order_late_is_in_every_row_that_counts_it() -> None:
    [order], [fill], [stop] = rows(OrderRow, "late"), rows(FillRow, "late"), rows(StopRow, "late")
    assert (order.status, order.filled, order.notional) == ("expired", fill.quantity, fill.quantity * fill.price)
    assert (stop.order_id, stop.quantity, stop.stop_price) == (order.order_id, fill.quantity, order.stop_loss)
    [position], [cost] = rows(PositionRow, "late"), rows(CostRow, "late")
    assert (abs(position.quantity), cost.order_id) == (fill.quantity, order.order_id)


def test_a_repeated_order_names_the_first() -> None:
    first, repeated = rows(OrderRow, "filled", "repeated")
    assert (repeated.first, repeated.code) == (first.order_id, "DUPLICATE")


def test_an_approved_opening_order_is_marked_as_such() -> None:
    assert [row.opening for row in rows(OrderRow, "filled", "refused")] == [True, False]


def test_a_position_is_the_sum_of_its_fills() -> None:
    [position] = rows(PositionRow, "filled")
    fills = rows(FillRow, "filled")
    assert abs(position.quantity) == sum(fill.quantity for fill in fills)


def test_profit_and_loss_carry_the_fees() -> None:
    [holding] = rows(PnlRow, "stopped")
    costs = rows(CostRow, "stopped")
    assert holding.quantity == holding.basis == 0
    assert holding.costs == sum(cost.fee for cost in costs)
    assert holding.fills == len(costs) == 4


def test_a_stop_says_what_it_protects() -> None:
    [order], [stop] = rows(OrderRow, "filled"), rows(StopRow, "filled")
    assert (stop.order_id, stop.quantity, stop.stop_price) == (order.order_id, order.quantity, order.stop_loss)


def test_a_triggered_stop_names_its_exit() -> None:
    [entry, exit], [stop] = rows(OrderRow, "stopped"), rows(StopRow, "stopped")
    assert (stop.order_id, stop.exit_id, stop.quantity) == (entry.order_id, exit.order_id, ZERO)


def test_refusals_and_acts_of_control_are_kept_for_the_audit() -> None:
    story = Story(7)
    story.trade(["refused"])
    story.kill("alice")
    kinds = sorted(row.kind for row in projected(story.journal()).rows(AuditRow))
    assert kinds == ["engage_kill_switch", "order_refused", "reset_kill_switch"]


def test_what_holds_trading_back_is_kept_with_its_scope_and_who_brought_it() -> None:
    story = LongStory(7)
    story.limit()
    story.gate()
    story.break_off()
    story.kill("alice")
    kept = [(row.kind, row.scope, row.name, row.by) for row in projected(story.journal()).rows(ControlRow)]
    assert sorted(kept) == [
        ("breaker_changed", "dependency", "sim", ""),
        ("breaker_changed", "dependency", "sim", ""),
        ("breaker_changed", "dependency", "sim", ""),
        ("equity_rebased", "account", "alice", "operator"),
        ("gate_changed", "firm", "", "operator"),
        ("gate_changed", "firm", "", "operator"),
        ("gate_decided", "strategy", "alice/momentum", ""),
        ("gate_decided", "strategy", "alice/momentum", ""),
        ("halt_changed", "account", "alice", ""),
        ("kill_switch_engaged", "account", "alice", ""),
        ("kill_switch_reset", "account", "alice", ""),
        ("limits_changed", "firm", "", "operator"),
        ("strategy_registered", "strategy", "alice/momentum", ""),
    ]


def test_all_that_the_gate_says_is_kept_with_the_reason_of_whoever_overrode_it() -> None:
    story = LongStory(7)
    story.gate()
    story.alter(GateDecided, lambda verdict: verdict.decision == "passed", decision="overridden", reason="a drill")
    kept = [row for row in projected(story.journal()).rows(ControlRow) if isinstance(row.event, GateDecided)]
    said = [(row.event.decision, row.reason) for row in kept if isinstance(row.event, GateDecided)]
    assert said == [("overridden", "a drill"), ("refused", "")]


def test_of_correlations_only_the_version_is_kept() -> None:
    story = LongStory(7)
    adopted = CorrelationsAdopted(
        version=3, symbols=[SYMBOL], correlations=[[Decimal(1)]], volatilities=[Decimal("0.01")]
    )
    story.say("RISK_0", [Decision(events=[adopted])])
    [kept] = projected(story.journal()).rows(ControlRow)
    assert kept.event == CorrelationsAdopted(version=3, symbols=[], correlations=[], volatilities=[])


def test_an_amended_order_has_the_total_that_the_venue_gave_it() -> None:
    [order] = scene("amend").rows(OrderRow)
    assert order.resized
    assert order.filled == order.quantity == 2 * Decimal("0.008")


def test_an_order_that_was_held_keeps_its_trigger_and_says_that_it_was_reached() -> None:
    [order] = scene("hold").rows(OrderRow)
    assert (order.type, order.status, order.triggered) == ("stop_market", "filled", True)
    assert order.stop_price is not None


def test_an_order_that_was_held_amended_and_dropped_is_cancelled_at_its_new_size() -> None:
    [order] = scene("drop").rows(OrderRow)
    assert (order.status, order.opening) == ("cancelled", False)
    assert order.quantity == 2 * Decimal("0.006")


def test_an_order_that_is_amended_while_it_is_held_has_its_new_total() -> None:
    story = LongStory(7)
    story.drop()
    held = story.find(OrderHeld)[2]
    known: dict[str, Any] = {"order_id": held.order_id, "account": held.account}
    more = held.order.quantity * 2
    amended = ReservationAmended(quantity=more, price=None, leaves=more, **known)
    decision, index, _ = story.find(HeldOrderCancelled)
    decision.events.insert(index, amended)
    [order] = projected(story.journal()).rows(OrderRow)
    assert (order.status, order.quantity) == ("cancelled", more)


def test_what_takes_the_place_of_another_order_begins_where_that_ends() -> None:
    old, new = scene("replace").rows(OrderRow)
    assert (old.status, new.status) == ("cancelled", "filled")
    assert new.received_at < old.over_at


def test_a_list_names_its_orders_and_they_name_it() -> None:
    store = scene("bracket")
    [bracket] = store.rows(ListRow)
    legs = store.rows(OrderRow)
    assert (bracket.kind, bracket.status, bracket.native) == ("otoco", "ended", False)
    assert bracket.legs == [leg.order_id for leg in legs]
    assert {leg.list_id for leg in legs} == {bracket.list_id}
    assert [leg.status for leg in legs] == ["filled", "filled", "cancelled"]
    assert bracket.over_at > bracket.decided_at > 0


def test_a_refused_list_refuses_its_orders() -> None:
    store = scene("refuse_list")
    [refused] = store.rows(ListRow)
    assert (refused.status, refused.code, refused.over_at) == ("refused", "LIST_PRICES", refused.decided_at)
    assert [(leg.status, leg.code) for leg in store.rows(OrderRow)] == [("refused", "LIST_PRICES")] * 2


def repeated_list() -> LongStory:
    story = LongStory(7)
    story.refuse_list()
    first = story.find(ListRefused)[2].list_id
    asked = story.find(PlaceList)[2]
    [(cause, _)] = story.say("GATEWAY", [Decision(events=[asked])])
    repeated = OrderRepeated(
        order_id=order_id_of(cause.sequence, cause.index),
        account=asked.account,
        client_order_id=asked.list.client_list_id,
        first=first,
        same_body=True,
    )
    story.say("RISK_0", [Decision(cause=cause, events=[repeated])])
    return story


def test_a_list_that_risk_has_not_decided_on_has_no_orders_yet() -> None:
    story = repeated_list()
    store = projected(merged(story.sealed(), ["GATEWAY"] * len(story.frames["GATEWAY"])))
    assert [(row.status, row.legs) for row in store.rows(ListRow)] == [("received", [])] * 2
    assert not store.rows(OrderRow)


def test_a_list_that_repeats_another_names_the_first_whichever_is_read_first() -> None:
    story = repeated_list()
    for turns in (story.order, sorted(story.order), sorted(story.order, reverse=True)):
        for batches in (None, Random(1)):
            store = projected(merged(story.sealed(), turns), batches)
            first, repeated = store.rows(ListRow)
            assert (repeated.status, repeated.first, repeated.code) == ("refused", first.list_id, "DUPLICATE")
            assert not store.rows(OrderEvent)


def test_what_risk_prevented_is_told_of_both_orders() -> None:
    store = scene("give_way")
    [match] = store.rows(PreventedRow)
    old, new = store.rows(OrderRow)
    assert (match.order_id, match.other_id, match.at_venue) == (new.order_id, old.order_id, False)
    assert match.quantity == match.other_quantity == Decimal("0.002")
    assert match.mode == "decrement_both"


def test_what_the_venue_prevented_adds_up_to_what_the_order_lost() -> None:
    store = scene("meet_own")
    matches = store.rows(PreventedRow)
    [order] = store.rows(OrderRow)
    assert order.filled + order.prevented == order.quantity
    assert sum(match.quantity for match in matches) == order.prevented
    assert all(match.at_venue for match in matches)


def test_a_quarantined_fill_is_kept_for_the_audit_and_not_applied() -> None:
    story = Story(7)
    story.trade(["cancelled"])
    number = len(story.frames["EXECUTION_0"])
    late = FillQuarantined(
        order_id="1-0",
        child_id="1-0.1",
        account="alice",
        venue="sim",
        trade_id="late",
        price=Decimal(1),
        quantity=Decimal(1),
        reason="order is cancelled",
        session_sequence=number + 1,
    )
    story.say("EXECUTION_0", [Decision(events=[late])])
    store = projected(story.journal())
    assert [row.kind for row in store.rows(AuditRow)] == ["fill_quarantined"]
    assert "late" not in {row.trade_id for row in store.rows(FillRow)}


def test_what_comes_before_the_beginning_of_an_order_waits_for_it() -> None:
    story = Story(7)
    story.trade(["filled"])
    frames = story.frames["EXECUTION_0"]
    store = projected(merged(story.sealed(), ["EXECUTION_0"] * len(frames)))
    assert not store.rows(OrderRow)
    assert len(store.rows(OrderEvent)) == sum(len(decision.events) for frame in frames for decision in frame.decisions)


def test_a_frame_merged_twice_changes_no_row() -> None:
    records = LongStory(7).play(3).journal()
    again = [record._replace(sequence=record.sequence + len(records)) for record in records]
    assert tables(projected(records + again)) == tables(projected(records))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_neither_the_order_of_merging_nor_the_batches_change_a_row(seed: int) -> None:
    story, rng = LongStory(seed).play(5), Random(seed)
    straight = tables(projected(story.journal()))
    assert not straight["early_events"]
    assert tables(projected(story.journal(rng), sizes=rng)) == straight
