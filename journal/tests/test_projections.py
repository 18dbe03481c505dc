from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.log import Record
from bot4_common.messages.execution import FillQuarantined
from bot4_common.messages.frame import Decision
from bot4_common.money import ZERO
from bot4_journal.memory_store import MemoryStore
from bot4_journal.projections import (
    ROWS,
    AuditRow,
    CostRow,
    FillRow,
    OrderEvent,
    OrderRow,
    PnlRow,
    PositionRow,
    Row,
    StopRow,
)
from bot4_journal.store import Cursor, step
from bot4_journal.testing import Fate, Story, merged

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
    assert kinds == [
        "engage_kill_switch",
        "kill_switch_engaged",
        "kill_switch_reset",
        "order_refused",
        "reset_kill_switch",
    ]


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
    records = Story(7).play(3).journal()
    again = [record._replace(sequence=record.sequence + len(records)) for record in records]
    assert tables(projected(records + again)) == tables(projected(records))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_neither_the_order_of_merging_nor_the_batches_change_a_row(seed: int) -> None:
    story, rng = Story(seed).play(6), Random(seed)
    straight = tables(projected(story.journal()))
    assert not straight["early_events"]
    assert tables(projected(story.journal(rng), sizes=rng)) == straight
