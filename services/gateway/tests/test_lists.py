"""Is a list taken once and whole, and told as it is?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bot4_common.messages.execution import CancelRejected, OrderLost, OrderRejected
from bot4_common.messages.gateway import CancelOrder, PlaceList
from bot4_common.messages.risk import HeldOrderCancelled
from bot4_gateway.desk import Desk, Listed
from services.gateway.tests.street import (
    ANN,
    BOB,
    Street,
    acknowledged,
    begun,
    begun_at_once,
    buy,
    cancelled,
    filled,
    listed,
    lost,
    passing,
    refusal,
    rejected,
    sell_limit,
    sell_stop,
    simulated,
)
from services.gateway.tests.web import KEY, Web, check_error, over_http

OCO = listed("exit")
# Bought, and sold again at 120 or below 90.
BRACKET = listed("trip", buy("in"), sell_limit("up"), sell_stop("down"), kind="otoco")
BODY: dict[str, Any] = {
    "client_list_id": "exit",
    "kind": "oco",
    "orders": [
        {
            "client_order_id": "up",
            "symbol": "BTC-USDT",
            "side": "sell",
            "type": "limit",
            "quantity": "0.5",
            "price": "120",
            "strategy": "trend",
            "reduce_only": True,
        },
        {
            "client_order_id": "down",
            "symbol": "BTC-USDT",
            "side": "sell",
            "type": "stop_market",
            "quantity": "0.5",
            "stop_price": "90",
            "strategy": "trend",
            "reduce_only": True,
        },
    ],
}


def statuses(answer: Listed) -> list[str]:
    return [leg.status for leg in answer.legs]


async def opened(street: Street, desk: Desk) -> str:
    """An OCO that works at the venue."""
    list_id = (await desk.place_list(ANN, OCO, "journaled")).record.list_id
    await street.approves_list(list_id, OCO)
    await street.execution.says(acknowledged(f"{list_id}-leg1"), acknowledged(f"{list_id}-leg2"))
    await passing(0.1)
    return list_id


# Waiting


def test_a_journaled_list_is_answered_with_its_id_and_those_of_its_legs() -> None:
    async def story(street: Street) -> None:
        answer = await (await street.desk()).place_list(ANN, OCO, "journaled")
        assert (answer.record.list_id, answer.record.status, answer.settled) == ("1-0", "received", True)
        assert [leg.order_id for leg in answer.legs] == ["1-0-leg1", "1-0-leg2"]
        assert [leg.order for leg in answer.legs] == OCO.orders
        assert street.asked() == [PlaceList(account=ANN, list=OCO)]

    simulated(story)


def test_a_caller_may_wait_for_risk() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place_list(ANN, OCO, "risk"))
        assert not placing.done()
        await street.approves_list("1-0", OCO)
        answer = await placing
        assert (answer.record.status, statuses(answer), answer.settled) == ("approved", ["approved"] * 2, True)

    simulated(story)


def test_the_venue_has_a_list_when_it_has_every_leg() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place_list(ANN, OCO))
        await street.approves_list("1-0", OCO)
        await street.execution.says(acknowledged("1-0-leg1"))
        await passing(0.1)
        assert not placing.done()
        await street.execution.says(acknowledged("1-0-leg2"))
        answer = await placing
        assert (statuses(answer), answer.settled) == (["open", "open"], True)

    simulated(story)


def test_legs_that_are_held_back_are_not_waited_for() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place_list(ANN, BRACKET))
        await street.approves_list("1-0", BRACKET, working=1)
        await passing(0.1)
        assert not placing.done()
        await street.execution.says(acknowledged("1-0-leg1"))
        answer = await placing
        assert (statuses(answer), answer.settled) == (["open", "held", "held"], True)

    simulated(story)


def test_a_caller_hears_how_things_stand_when_the_time_is_up() -> None:
    async def story(street: Street) -> None:
        answer = await (await street.desk()).place_list(ANN, OCO)
        assert (answer.record.status, answer.settled) == ("received", False)

    simulated(story)


def test_a_refused_list_refuses_its_legs() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        placing = await begun(desk.place_list(ANN, OCO))
        await street.refuses_list("1-0", OCO, "OPEN_ORDERS", limit="1")
        answer = await placing
        assert (answer.record.code, answer.record.details, answer.settled) == ("OPEN_ORDERS", {"limit": "1"}, True)
        assert [(leg.status, leg.code) for leg in answer.legs] == [("refused", "OPEN_ORDERS")] * 2
        assert not list(desk.view.lists(ANN, live_only=True)) and not desk.view.live

    simulated(story)


# What is refused at once


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (listed("no spaces"), "BAD_FIELD"),
        (listed("a", buy("b")), "LIST_LEGS_DIFFER"),
        (listed("a", sell_limit("b"), sell_stop("b")), "BAD_FIELD"),
        (listed("a", sell_limit("up"), sell_stop("ключ")), "BAD_FIELD"),
        (listed("a", sell_limit("up"), sell_stop("down", venue="moon")), "UNKNOWN_VENUE"),
        (listed("a", sell_limit("up", price="80"), sell_stop("down")), "LIST_PRICES"),
        (listed("a", sell_limit("up", "0.000001"), sell_stop("down")), "LOT_SIZE"),
    ],
)
def test_a_bad_list_leaves_no_trace(asked: Any, code: str) -> None:
    async def story(street: Street) -> None:
        assert (await refusal((await street.desk()).place_list(ANN, asked))).code == code
        assert street.asked() == []

    simulated(story)


# Repeats


def test_the_same_again_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        again = await desk.place_list(ANN, listed("exit", sell_limit("up", "0.50"), sell_stop("down")))
        assert (again.record.list_id, again.duplicate, statuses(again)) == (list_id, True, ["open", "open"])
        assert len(street.asked()) == 1

    simulated(story)


def test_a_repeat_joins_the_first_while_it_is_in_flight() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        first, again = await asyncio.gather(
            desk.place_list(ANN, OCO, "journaled"), desk.place_list(ANN, OCO, "journaled")
        )
        assert (first.duplicate, again.duplicate, first.record) == (False, True, again.record)
        assert len(street.asked()) == 1

    simulated(story, delay=0.01)


def test_another_list_under_a_taken_id_is_refused() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        other = listed("exit", sell_limit("up"), sell_stop("further", stop_price=Decimal(80)))
        refused = await refusal(desk.place_list(ANN, other))
        assert (refused.code, refused.details) == ("KEY_REUSED", {"client_list_id": "exit", "first": list_id})

    simulated(story)


def test_lists_and_orders_share_their_ids() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("exit"), "journaled")
        assert (await refusal(desk.place_list(ANN, OCO))).code == "KEY_REUSED"
        await desk.place_list(ANN, BRACKET, "journaled")
        assert (await refusal(desk.place(ANN, buy("trip")))).code == "KEY_REUSED"

    simulated(story)


def test_two_replicas_that_race_give_the_answer_of_the_first() -> None:
    async def story(street: Street) -> None:
        desks = [await street.desk("gateway-0"), await street.desk("gateway-1")]
        racing = [begun_at_once(desk.place_list(ANN, OCO)) for desk in desks]
        await passing(0.1)
        assert len(street.asked()) == 2
        await street.approves_list("1-0", OCO)
        await street.execution.says(acknowledged("1-0-leg1"), acknowledged("1-0-leg2"))
        await street.repeats_list("2-0", OCO, first="1-0")
        answers: list[Listed] = await asyncio.gather(*racing)
        assert [answer.record.list_id for answer in answers] == ["1-0", "1-0"]
        assert sorted(answer.duplicate for answer in answers) == [False, True]

    simulated(story)


def test_a_repeat_leaves_the_first_list_s_orders_to_be_found() -> None:
    async def story(street: Street) -> None:
        desks = [await street.desk("gateway-0"), await street.desk("gateway-1")]
        await asyncio.gather(*(desk.place_list(ANN, OCO, "journaled") for desk in desks))
        await street.approves_list("1-0", OCO)
        await street.repeats_list("2-0", OCO, first="1-0")
        await passing(0.1)
        view = desks[0].view
        found = view.order_by_key(ANN, "up")
        assert found is not None and found.order_id == "1-0-leg1"
        assert [record.order_id for record in view.orders(ANN, live_only=True)] == ["1-0-leg2", "1-0-leg1"]
        assert [record.list_id for record in view.lists(ANN, live_only=False)] == ["1-0", "2-0"]

    simulated(story)


# Cancelling


def test_every_leg_of_a_list_is_cancelled() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        cancelling = await begun(desk.cancel_list(ANN, list_id))
        legs = [f"{list_id}-leg{number}" for number in (1, 2)]
        assert street.asked()[1:] == [CancelOrder(account=ANN, order_id=leg) for leg in legs]
        await street.cancels(legs[0])
        await passing(0.1)
        assert not cancelling.done()
        await street.cancels(legs[1])
        await street.ends_list(list_id)
        answer = await cancelling
        assert (statuses(answer), answer.settled) == (["cancelled", "cancelled"], True)
        assert answer.record.status == "over"

    simulated(story)


def test_a_list_may_be_cancelled_without_waiting_for_its_end() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        answer = await desk.cancel_list(ANN, list_id, "journaled")
        assert (statuses(answer), answer.settled) == (["open", "open"], True)
        answer = await desk.cancel_list(ANN, list_id)
        assert (statuses(answer), answer.settled) == (["open", "open"], False)

    simulated(story)


def test_only_legs_that_live_are_cancelled() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place_list(ANN, BRACKET, "journaled")
        await street.approves_list("1-0", BRACKET, working=1)
        await street.execution.says(filled("1-0-leg1", "0.5", "100"))
        cancelling = await begun(desk.cancel_list(ANN, "1-0"))
        assert [event.order_id for event in street.asked() if isinstance(event, CancelOrder)] == [
            "1-0-leg2",
            "1-0-leg3",
        ]
        for leg in ("1-0-leg2", "1-0-leg3"):
            await street.risk.says(
                HeldOrderCancelled(order_id=leg, account=ANN, quantity=Decimal("0.5"), reason="requested")
            )
        await street.ends_list("1-0")
        assert statuses(await cancelling) == ["filled", "cancelled", "cancelled"]

    simulated(story)


def test_a_leg_that_fills_first_does_not_spoil_the_cancelling_of_the_other() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        cancelling = await begun(desk.cancel_list(ANN, list_id))
        await street.execution.says(filled(f"{list_id}-leg1", "0.5", "120", side="sell"))
        await street.execution.says(cancelled(f"{list_id}-leg2"))
        await street.ends_list(list_id)
        answer = await cancelling
        assert (statuses(answer), answer.settled) == (["filled", "cancelled"], True)

    simulated(story)


def test_a_cancel_that_the_venue_refuses_is_told() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        cancelling = await begun(desk.cancel_list(ANN, list_id))
        await street.execution.says(
            CancelRejected(
                order_id=f"{list_id}-leg1",
                child_id=f"{list_id}-leg1.1",
                account=ANN,
                venue="sim",
                code="CANCEL_DOWN",
                session_sequence=1,
            ),
            cancelled(f"{list_id}-leg2"),
        )
        refused = await refusal(cancelling)
        assert (refused.code, refused.details["order_id"]) == ("CANCEL_DOWN", f"{list_id}-leg1")

    simulated(story)


def test_what_is_over_unknown_or_another_s_cannot_be_cancelled() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        list_id = await opened(street, desk)
        assert (await refusal(desk.cancel_list(BOB, list_id))).code == "UNKNOWN_LIST"
        assert (await refusal(desk.cancel_list(ANN, "9-9"))).code == "UNKNOWN_LIST"
        await street.execution.says(cancelled(f"{list_id}-leg1"), cancelled(f"{list_id}-leg2"))
        await street.ends_list(list_id)
        await passing(0.1)
        refused = await refusal(desk.cancel_list(ANN, list_id))
        assert (refused.code, refused.details["status"]) == ("ORDER_IS_OVER", "over")

    simulated(story)


# Recovery


def seen(desk: Desk) -> Any:
    lists = list(desk.view.lists(ANN, live_only=False))
    orders = {record.order_id: record for record in desk.view.orders(ANN, live_only=False)}
    live = [record.list_id for record in desk.view.lists(ANN, live_only=True)]
    return msgspec.to_builtins((lists, live, orders, sorted(desk.view.replacing), list(desk.view.prevented_of(ANN))))


async def lives(street: Street, desk: Desk, number: int) -> None:
    """Lists that come to every kind of end, and one that stays."""
    for fate in ("refused", "over", "live", "received"):
        asked = replace(BRACKET, client_list_id=f"{fate}{number}")
        list_id = (await desk.place_list(ANN, asked, "journaled")).record.list_id
        if fate == "refused":
            await street.refuses_list(list_id, asked, "NO_MARKET")
        elif fate != "received":
            await street.approves_list(list_id, asked, working=1)
        if fate == "over":
            for leg in (1, 2, 3):
                await street.execution.says(cancelled(f"{list_id}-leg{leg}"))
            await street.ends_list(list_id)
    await passing(0.1)


@pytest.mark.parametrize("snapshots", [0, 1, 3])
def test_a_killed_replica_knows_its_lists_again(snapshots: int) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(page=3)
        for number in range(4):
            await lives(street, desk, number)
            if number < snapshots:
                await passing(31)
        before = seen(desk)
        street.kill(desk)
        assert seen(await street.desk(page=3)) == before

    simulated(story)


def test_a_retry_after_a_crash_in_the_middle_of_a_list_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await passing(25)
        await desk.place_list(ANN, OCO, "journaled")
        await street.approves_list("1-0", OCO)
        await street.execution.says(acknowledged("1-0-leg1"))
        await passing(10)
        street.kill(desk)
        desk = await street.desk()
        retrying = await begun(desk.place_list(ANN, OCO))
        assert not retrying.done()
        await street.execution.says(acknowledged("1-0-leg2"))
        answer = await retrying
        assert (answer.duplicate, statuses(answer)) == (True, ["open", "open"])
        assert len(street.asked()) == 1

    simulated(story)


# Over HTTP


def test_a_list_is_placed_shown_and_found() -> None:
    async def story(web: Web) -> None:
        first = await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        assert (first.status_code, first.json()["list_id"], first.json()["kind"]) == (201, "1-0", "oco")
        await web.street.approves_list("1-0", OCO)
        await web.street.execution.says(acknowledged("1-0-leg1"), acknowledged("1-0-leg2"))
        again = await web.ann.post("/v1/lists", json=BODY)
        assert (again.status_code, again.json()["duplicate"]) == (200, True)
        shown = (await web.ann.get("/v1/lists/1-0")).json()
        assert [(leg["order_id"], leg["status"]) for leg in shown["legs"]] == [
            ("1-0-leg1", "open"),
            ("1-0-leg2", "open"),
        ]
        assert (await web.ann.get("/v1/lists")).json() == {"lists": [shown]}
        assert (await web.ann.get("/v1/orders?list_id=1-0")).json()["orders"] == shown["legs"][::-1]
        assert (await web.ann.get("/v1/orders?list_id=9-9")).json() == {"orders": []}
        assert (await web.bob.get("/v1/lists?status=all")).json() == {"lists": []}
        check_error(await web.bob.get("/v1/lists/1-0"), "UNKNOWN_LIST")

    over_http(story)


def test_lists_that_are_over_are_shown_when_asked_for() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.refuses_list("1-0", OCO, "NO_MARKET")
        await passing(0.1)
        assert (await web.ann.get("/v1/lists")).json() == {"lists": []}
        (found,) = (await web.ann.get("/v1/lists?status=all")).json()["lists"]
        assert (found["status"], found["code"]) == ("refused", "NO_MARKET")

    over_http(story)


def test_a_list_that_risk_refuses_has_the_status_of_its_code_and_the_list_s_id() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.refuses_list("1-0", OCO, "OPEN_ORDERS", limit="1")
        response = await web.ann.post("/v1/lists", json=BODY)
        check_error(response, "OPEN_ORDERS", limit="1")
        assert (response.json()["list_id"], response.json()["duplicate"]) == ("1-0", True)

    over_http(story)


def test_a_list_that_the_venue_rejects_whole_is_refused() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.approves_list("1-0", OCO)
        await web.street.execution.says(rejected("1-0-leg1", "LIST_PRICES"), rejected("1-0-leg2", "LIST_PRICES"))
        response = await web.ann.post("/v1/lists", json=BODY)
        check_error(response, "LIST_PRICES")
        assert response.json()["list_id"] == "1-0"

    over_http(story)


@pytest.mark.parametrize("last", [lost("1-0-leg2"), rejected("1-0-leg2", "LIST_PRICES")])
def test_a_list_that_never_reached_the_venue_is_refused(last: OrderLost | OrderRejected) -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.approves_list("1-0", OCO)
        await web.street.execution.says(lost("1-0-leg1"), last)
        response = await web.ann.post("/v1/lists", json=BODY)
        check_error(response, "ORDER_LOST")
        assert response.json()["list_id"] == "1-0"

    over_http(story)


def test_a_list_of_which_one_order_filled_late_is_no_refusal() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.approves_list("1-0", OCO)
        await web.street.execution.says(lost("1-0-leg1"), lost("1-0-leg2"))
        await web.street.execution.says(filled("1-0-leg1", "0.1", "120", leaves="0.4", side="sell"))
        await passing(0.1)
        response = await web.ann.post("/v1/lists", json=BODY)
        assert (response.status_code, [leg["filled"] for leg in response.json()["legs"]]) == (200, ["0.1", "0"])

    over_http(story)


def test_whoever_cancels_a_list_that_was_lost_has_what_was_asked_for() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.approves_list("1-0", OCO)
        cancelling = asyncio.ensure_future(web.ann.delete("/v1/lists/1-0"))
        await passing(0.1)
        await web.street.execution.says(lost("1-0-leg1"), lost("1-0-leg2"))
        await web.street.ends_list("1-0")
        answer = await cancelling
        assert (answer.status_code, answer.json()["status"]) == (200, "over")
        assert [leg["status"] for leg in answer.json()["legs"]] == ["lost", "lost"]

    over_http(story)


def test_a_list_is_cancelled() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/lists?ack=journaled", json=BODY)
        await web.street.approves_list("1-0", OCO)
        cancelling = asyncio.ensure_future(web.ann.delete("/v1/lists/1-0"))
        await passing(0.1)
        await web.street.cancels("1-0-leg1")
        await web.street.cancels("1-0-leg2")
        await web.street.ends_list("1-0")
        answer = await cancelling
        assert (answer.status_code, answer.json()["status"]) == (200, "over")
        assert [leg["status"] for leg in answer.json()["legs"]] == ["cancelled", "cancelled"]
        check_error(await web.ann.delete("/v1/lists/1-0"), "ORDER_IS_OVER", list_id="1-0")

    over_http(story)


FIRST = BODY["orders"][0]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({**BODY, "orders": [{**FIRST, "price": 120}]}, "BAD_FIELD", "orders[0].price"),
        ({**BODY, "orders": [FIRST, {**FIRST, "side": "up"}]}, "BAD_FIELD", "orders[1].side"),
        ({**BODY, "orders": "two"}, "BAD_FIELD", "orders"),
        ({**BODY, "orders": [1]}, "BAD_FIELD", "orders[0]"),
        ({**BODY, "kind": "all"}, "BAD_FIELD", "kind"),
        ({**BODY, "name": "exit"}, "BAD_BODY", None),
        ({**BODY, "orders": []}, "LIST_LEGS_DIFFER", None),
        ({**BODY, "orders": [FIRST] * 200}, "BODY_TOO_LARGE", None),
    ],
)
def test_a_bad_body_is_refused_and_leaves_no_trace(body: Any, code: str, field: str | None) -> None:
    async def story(web: Web) -> None:
        response = await web.ann.post("/v1/lists", json=body)
        check_error(response, code, **({} if field is None else {"field": field}))
        assert web.street.asked() == []

    over_http(story)


def test_an_override_of_the_gate_goes_into_the_journal() -> None:
    async def story(web: Web) -> None:
        headers = {"X-Override-Key": KEY, "X-Override-Reason": "the feed lags"}
        await web.ann.post("/v1/lists?ack=journaled", json=BODY, headers=headers)
        assert web.street.asked() == [PlaceList(account=ANN, list=OCO, override="the feed lags")]
        wrong = await web.ann.post("/v1/lists", json=BODY, headers={**headers, "X-Override-Key": "guessed"})
        check_error(wrong, "OVERRIDE_KEY")

    over_http(story)
