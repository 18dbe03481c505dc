"""Does a replica that was killed come back as it was?"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.risk import KillSwitchEngaged
from bot4_gateway.desk import Desk
from services.gateway.tests.street import ANN, BOB, Street, buy, cancelled, cost, filled, passing, sent, simulated


def known(desk: Desk) -> dict[str, Any]:
    """All that callers can see, whatever the order in which orders ended."""
    seen: dict[str, Any] = {}
    for account in (ANN, BOB):
        seen[account] = {
            "orders": {record.order_id: record for record in desk.view.orders(account, live_only=False)},
            "live": [record.order_id for record in desk.view.orders(account, live_only=True)],
            "keys": {key: desk.view.order_by_key(account, key) for key in (f"{account}{n}" for n in range(300))},
            "fills": list(desk.view.fills_of(account)),
            "results": desk.results(account),
            "lines": desk.view.lines(account),
            "kill_switch": desk.view.kill_switch(account),
        }
    decoded: dict[str, Any] = msgspec.to_builtins(seen)
    return decoded


async def busy(street: Street, desk: Desk, rng: Random, orders: range) -> None:
    """Orders of two accounts come to every kind of end; some stay open, some fill after they were over."""
    for n in orders:
        account = rng.choice((ANN, BOB))
        order = buy(f"{account}{n}", strategy=rng.choice(("trend", "range")))
        order_id = (await desk.place(account, order, "journaled")).record.order_id
        if rng.random() < 0.2:
            await street.refuses(order_id, order, "ORDER_SIZE", account)
            continue
        await street.opens(order_id, order, account)
        fate = rng.random()
        if fate < 0.6:
            fill = filled(order_id, "0.5", str(rng.randint(90, 110)), account=account, strategy=order.strategy)
            await street.execution.says(fill)
            await street.costs.says(cost(fill, fee="0.1", spread="0.2"))
        elif fate < 0.8:
            await street.execution.says(cancelled(order_id))
            await street.execution.says(filled(order_id, "0.1", "100", "0.4", account=account))
    await street.risk.says(KillSwitchEngaged(account=BOB, reason="enough"))
    await passing(0.2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("snapshots", [0, 1, 3])
def test_a_killed_replica_comes_back_as_it_was(seed: int, snapshots: int) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=10)
        for round in range(4):
            await busy(street, desk, Random(seed), range(40 * round, 40 * round + 40))
            if round < snapshots:
                await passing(31)
        before = known(desk)
        street.kill(desk)
        assert bool(street.snapshots()) == bool(snapshots)
        assert known(await street.desk(page=10)) == before

    simulated(story, seed, delay=0.003)


def test_a_retry_after_a_crash_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        street.kill(desk)
        again = await (await street.desk()).place(ANN, buy("a"), "journaled")
        assert (again.record.order_id, again.duplicate) == ("1-0", True)
        assert len(street.asked()) == 1

    simulated(story)


def test_a_retry_after_a_crash_and_a_snapshot_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await passing(25)
        await desk.place(ANN, buy("a"), "journaled")
        await passing(10)
        street.kill(desk)
        assert street.snapshots()["gateway-0"].read[streams.GATEWAY] == 0
        desk = await street.desk()
        assert (await desk.place(ANN, buy("a"), "journaled")).duplicate
        with pytest.raises(Refused, match="KEY_REUSED"):
            await desk.place(ANN, buy("a", "0.6"))

    simulated(story)


def test_a_retry_through_another_replica_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        first, second = await street.desk("gateway-0"), await street.desk("gateway-1")
        await first.place(ANN, buy("a"), "journaled")
        await passing(0.1)
        assert (await second.place(ANN, buy("a"), "journaled")).duplicate
        assert len(street.asked()) == 1

    simulated(story)


@pytest.mark.parametrize("seed", range(20))
def test_whenever_a_process_dies_a_retried_order_stands_in_the_journal_once(seed: int) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        placing = asyncio.ensure_future(desk.place(ANN, buy("a")))
        await passing(seed / 1_000)
        street.kill(desk)
        placing.cancel()
        await (await street.desk()).place(ANN, buy("a"), "journaled")
        assert street.asked() == [PlaceOrder(account=ANN, order=buy("a"))]

    simulated(story, seed, delay=0.01)


def test_recovery_reads_only_what_came_after_the_snapshot_and_the_window() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=10)
        await busy(street, desk, Random(1), range(40))
        await passing(90)
        await desk.place(ANN, buy("late"), "journaled")
        await passing(31)
        snapshot = street.snapshots()["gateway-0"]
        assert snapshot.sequence == snapshot.read[streams.GATEWAY] + 1 == 41
        assert snapshot.read[streams.RISK] == len(street.frames(streams.RISK))

    simulated(story)


def test_a_page_is_saved_once() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=10)
        await busy(street, desk, Random(1), range(40))
        await passing(31)
        first = street.snapshots()
        await busy(street, desk, Random(2), range(40, 80))
        await passing(31)
        second = street.snapshots()
        pages = [place for place in first if place != "gateway-0"]
        assert len(pages) > 3 and all(second[place] is first[place] for place in pages)
        assert len(second) > len(first)

    simulated(story)


def test_without_one_of_its_pages_a_snapshot_is_not_used() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=10)
        await busy(street, desk, Random(1), range(40))
        await passing(31)
        before = known(desk)
        street.kill(desk)
        del street.broker.snapshots["gateway-0-finished-1"]
        assert known(await street.desk(page=10)) == before

    simulated(story)


def test_a_snapshot_that_is_lost_is_taken_again() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=10)
        for round in range(4):
            await busy(street, desk, Random(round), range(40 * round, 40 * round + 40))
            await passing(31)
        before = known(desk)
        street.kill(desk)
        assert known(await street.desk(page=10)) == before

    simulated(story, save_lost=0.3)


def test_positions_stay_exact_when_old_orders_are_forgotten() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(finished_max=20, fills_max=20, page=10)
        await busy(street, desk, Random(3), range(100))
        kept = await street.desk("gateway-1")
        for account in (ANN, BOB):
            assert desk.results(account) == kept.results(account)
            assert desk.view.lines(account) == kept.view.lines(account)
            assert len(list(desk.view.orders(account, live_only=False))) < len(
                list(kept.view.orders(account, live_only=False))
            )

    simulated(story)


def test_an_id_whose_order_is_forgotten_is_still_taken() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(finished_max=1, fills_max=1, page=1)
        for key in ("a", "b"):
            answer = await desk.place(ANN, buy(key), "journaled")
            await street.refuses(answer.record.order_id, buy(key), "ORDER_SIZE")
            await passing(0.1)
        with pytest.raises(Refused, match="KEY_REUSED"):
            await desk.place(ANN, buy("a"))
        assert len([event for event in street.asked() if isinstance(event, PlaceOrder)]) == 2

    simulated(story)


def test_an_order_of_a_crashed_replica_is_not_sent_again_by_its_successor() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        await street.approves("1-0", buy("a"))
        await street.execution.says(sent("1-0", buy("a")))
        street.kill(desk)
        desk = await street.desk()
        assert (await desk.place(ANN, buy("b"), "journaled")).record.order_id == "2-0"
        assert desk.order(ANN, "1-0").status == "sent"

    simulated(story)
