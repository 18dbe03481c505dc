"""Under every seed: nothing lost, nothing twice, nobody's belief but the truth, and the log tells it all."""

from __future__ import annotations

import os

import pytest

from bot4_common import streams
from bot4_common.log import Snapshot
from bot4_common.messages.execution import OrderFilled
from bot4_common.messages.frame import decode_frame
from bot4_common.messages.gateway import PlaceList, PlaceOrder, ReplaceOrder
from bot4_common.orders import AT_VENUE, RANK, order_id_of
from bot4_journal.projections import FillRow, OrderRow
from tests.sim.world import World

SEEDS = range(500)
CHOSEN = [int(os.environ["SEED"])] if "SEED" in os.environ else SEEDS


@pytest.mark.parametrize("seed", CHOSEN)
def test_a_seed(seed: int) -> None:
    world = World(seed)
    world.run()
    the_audit_is_clean(world)
    every_order_is_known_once_as_answered(world)
    every_state_is_the_fold_of_its_log(world)
    the_projections_tell_the_same(world)


def the_audit_is_clean(world: World) -> None:
    report = world.audit()
    assert report.clean, report.findings
    assert not any(report.pending.values()), report.pending


def every_order_is_known_once_as_answered(world: World) -> None:
    placed: dict[tuple[str, str], list[str]] = {}
    for record in world.broker.streams[streams.GATEWAY]:
        for id, event, _ in decode_frame(record.data).events(streams.GATEWAY, record.sequence):
            own_id = order_id_of(id.sequence, id.index)
            if isinstance(event, PlaceOrder | ReplaceOrder):
                placed.setdefault((event.account, event.order.client_order_id), []).append(own_id)
            elif isinstance(event, PlaceList):
                placed.setdefault((event.account, event.list.client_list_id), []).append(own_id)
    view = world.processes["gateway"].subject.view
    for asked in world.asked:
        ids = placed.get((asked.account, asked.key), [])
        if asked.refused:
            assert not ids, f"{asked.key} was refused at the door and is journaled"
            continue
        assert len(ids) == 1, f"{asked.key} is journaled {len(ids)} times: {ids}"
        assert asked.id == ids[0]
        for order_id in asked.order_ids:
            record = view.record(order_id)
            assert record is not None
            # Approved orders rest at the venue or are over, or risk holds them; none is still on its way, and none is
            # unknown.
            assert RANK[record.status] >= AT_VENUE or record.status == "held", record


def every_state_is_the_fold_of_its_log(world: World) -> None:
    for name in world.deciders:
        assert world.live(name) == world.refolded(name), f"{name} is not what its events say"


def the_projections_tell_the_same(world: World) -> None:
    view = world.processes["gateway"].subject.view
    rows = world.store.rows(OrderRow)
    assert {row.order_id for row in rows} >= {order_id for asked in world.asked for order_id in asked.order_ids}
    for row in rows:
        record = view.record(row.order_id)
        assert record is not None
        assert (row.status, row.filled) == (record.status, record.filled)


def test_the_same_seed_is_the_same_run() -> None:
    runs = []
    for _ in range(2):
        world = World(11)
        world.run()
        runs.append(
            {
                stream: [record.data for record in world.broker.streams[stream]]
                for stream in streams.written(world.venues)
            }
        )
    assert runs[0] == runs[1]


def test_snapshots_are_taken_and_used() -> None:
    world = World(5, bots=2, orders=100, crashes=2)
    world.run()
    saved = world.broker.snapshots
    assert isinstance(saved.get("risk-0"), Snapshot)


def test_orders_are_filled_at_every_venue() -> None:
    world = World(0)
    world.run()
    assert len(world.venues) == 2
    assert {row.venue for row in world.store.rows(FillRow)} == set(world.venues)


def test_some_fills_are_told_after_the_end_of_their_orders() -> None:
    world = World(14)
    world.run()
    frames = [decode_frame(record.data) for record in world.broker.streams[streams.EXECUTION]]
    events = [event for frame in frames for decision in frame.decisions for event in decision.events]
    assert any(isinstance(event, OrderFilled) and event.late for event in events)
