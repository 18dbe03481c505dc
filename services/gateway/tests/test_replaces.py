"""Does an order take the place of another once, whatever is retried?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bot4_common.messages.gateway import ReplaceOrder
from bot4_common.messages.risk import HeldOrderArmed, HeldOrderCancelled
from bot4_gateway.desk import Desk
from services.gateway.tests.street import (
    ANN,
    BOB,
    Street,
    acknowledged,
    approved,
    begun,
    buy,
    cancelled,
    passing,
    refusal,
    sell_stop,
    sent,
    simulated,
)
from services.gateway.tests.web import BODY, KEY, Web, check_error, over_http

NEW = buy("b", "0.6")


async def opened(street: Street, desk: Desk) -> str:
    order_id = (await desk.place(ANN, buy("a"), "journaled")).record.order_id
    await street.opens(order_id, buy("a"))
    await passing(0.1)
    return order_id


async def replaced(street: Street, new: str, old: str) -> None:
    """The old order is over, and the new one at the venue."""
    await street.execution.says(cancelled(old))
    await street.risk.says(approved(new, NEW))
    await street.execution.says(sent(new, NEW), acknowledged(new))


def test_the_answer_is_the_new_order_at_the_venue() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        replacing = await begun(desk.replace(ANN, old, NEW, "stop_on_failure"))
        assert street.asked()[1:] == [ReplaceOrder(account=ANN, order_id=old, order=NEW, mode="stop_on_failure")]
        await street.holds("2-0", NEW, replaces=old)
        await passing(0.1)
        assert not replacing.done()
        await replaced(street, "2-0", old)
        answer = await replacing
        assert (answer.record.order_id, answer.record.status, answer.settled) == ("2-0", "open", True)
        assert desk.order(ANN, old).status == "cancelled"

    simulated(story)


def test_a_caller_may_wait_for_risk() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        replacing = await begun(desk.replace(ANN, old, NEW, "stop_on_failure", "risk"))
        await street.holds("2-0", NEW, replaces=old)
        answer = await replacing
        assert (answer.record.status, answer.settled) == ("held", True)

    simulated(story)


def test_a_stop_that_risk_goes_on_holding_is_as_far_as_it_comes() -> None:
    stop = sell_stop("b")

    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        replacing = await begun(desk.replace(ANN, old, stop, "stop_on_failure"))
        await street.holds("2-0", stop, replaces=old)
        await passing(0.1)
        assert not replacing.done()
        await street.execution.says(cancelled(old))
        await street.risk.says(HeldOrderArmed(order_id="2-0", account=ANN, quantity=stop.quantity))
        answer = await replacing
        assert (answer.record.status, answer.settled) == ("held", True)

    simulated(story)


def test_a_cancel_that_fails_refuses_the_new_order() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        replacing = await begun(desk.replace(ANN, old, NEW, "stop_on_failure"))
        await street.holds("2-0", NEW, replaces=old)
        await street.risk.says(
            HeldOrderCancelled(
                order_id="2-0", account=ANN, quantity=NEW.quantity, reason="refused", code="REPLACE_STOPPED"
            )
        )
        record = (await replacing).record
        assert (record.status, record.code) == ("refused", "REPLACE_STOPPED")

    simulated(story)


def test_the_same_again_gets_the_first_answer_also_when_the_old_order_is_over() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        await desk.replace(ANN, old, NEW, "stop_on_failure", "journaled")
        await street.holds("2-0", NEW, replaces=old)
        await replaced(street, "2-0", old)
        await passing(0.1)
        again = await desk.replace(ANN, old, buy("b", "0.60"), "stop_on_failure")
        assert (again.record.order_id, again.duplicate, again.record.status) == ("2-0", True, "open")
        assert len(street.asked()) == 2

    simulated(story)


def test_a_repeat_joins_the_first_while_it_is_in_flight() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        first, again = await asyncio.gather(
            desk.replace(ANN, old, NEW, "stop_on_failure", "journaled"),
            desk.replace(ANN, old, NEW, "stop_on_failure", "journaled"),
        )
        assert (first.duplicate, again.duplicate, first.record) == (False, True, again.record)
        assert len(street.asked()) == 2

    simulated(story, delay=0.01)


def test_another_order_under_a_taken_id_is_refused() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        refused = await refusal(desk.replace(ANN, old, buy("a", "0.6"), "allow_failure"))
        assert (refused.code, refused.details["order_id"]) == ("KEY_REUSED", old)

    simulated(story)


def test_what_is_over_unknown_or_another_s_cannot_be_replaced() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        assert (await refusal(desk.replace(BOB, old, NEW, "stop_on_failure"))).code == "UNKNOWN_ORDER"
        assert (await refusal(desk.replace(ANN, "9-9", NEW, "stop_on_failure"))).code == "UNKNOWN_ORDER"
        await street.cancels(old)
        await passing(0.1)
        assert (await refusal(desk.replace(ANN, old, NEW, "stop_on_failure"))).code == "ORDER_IS_OVER"
        assert len(street.asked()) == 1

    simulated(story)


def test_a_failure_that_is_allowed_is_left_to_risk() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.replace(ANN, "9-9", NEW, "allow_failure", "journaled")
        assert street.asked() == [ReplaceOrder(account=ANN, order_id="9-9", order=NEW, mode="allow_failure")]
        assert (await refusal(desk.replace(ANN, "x" * 65, buy("c"), "allow_failure"))).details["field"] == "order_id"

    simulated(story)


def test_a_retry_after_a_crash_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        await desk.replace(ANN, old, NEW, "stop_on_failure", "journaled")
        await street.holds("2-0", NEW, replaces=old)
        await passing(35)
        street.kill(desk)
        desk = await street.desk()
        retrying = await begun(desk.replace(ANN, old, NEW, "stop_on_failure"))
        assert not retrying.done()
        await replaced(street, "2-0", old)
        answer = await retrying
        assert (answer.record.order_id, answer.duplicate, answer.record.status) == ("2-0", True, "open")
        assert len(street.asked()) == 2

    simulated(story)


def test_a_replacement_over_http() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.opens("1-0", buy("a"))
        body = {"order": {**BODY, "client_order_id": "b", "quantity": "0.60"}, "mode": "stop_on_failure"}
        url = "/v1/orders/1-0/replace?ack=journaled"
        first, again = await web.ann.post(url, json=body), await web.ann.post(url, json=body)
        assert (first.status_code, first.json()["order_id"], first.json()["quantity"]) == (201, "2-0", "0.6")
        assert (again.status_code, again.json()["duplicate"]) == (200, True)
        await web.street.refuses("2-0", NEW, "ORDER_IS_OVER")
        response = await web.ann.post("/v1/orders/1-0/replace", json=body)
        check_error(response, "ORDER_IS_OVER")
        assert response.json()["order_id"] == "2-0"

    over_http(story)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"order": {**BODY, "quantity": 0.5}}, "BAD_FIELD", "order.quantity"),
        ({"order": {**BODY, "side": "up"}}, "BAD_FIELD", "order.side"),
        ({"order": BODY, "mode": "perhaps"}, "BAD_FIELD", "mode"),
        ({"order": "a"}, "BAD_FIELD", "order"),
        ({"mode": "allow_failure"}, "BAD_BODY", None),
    ],
)
def test_a_bad_replacement_is_refused(body: Any, code: str, field: str | None) -> None:
    async def story(web: Web) -> None:
        response = await web.ann.post("/v1/orders/1-0/replace", json=body)
        check_error(response, code, **({} if field is None else {"field": field}))
        assert web.street.asked() == []

    over_http(story)


def test_the_new_order_s_price_may_be_another() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        old = await opened(street, desk)
        order = buy("b", price=Decimal(99))
        await desk.replace(ANN, old, order, "allow_failure", "journaled")
        assert desk.order(ANN, "2-0").order == order and desk.order(ANN, old).order == buy("a")

    simulated(story)


def test_an_override_of_the_gate_goes_into_the_journal() -> None:
    async def story(web: Web) -> None:
        await web.place()
        headers = {"X-Override-Key": KEY, "X-Override-Reason": "the feed lags"}
        body = {"order": {**BODY, "client_order_id": "b"}}
        await web.ann.post("/v1/orders/1-0/replace?ack=journaled", json=body, headers=headers)
        await web.ann.post("/v1/orders/1-0/replace?ack=journaled", json=body, headers={"X-Override-Key": "no"})
        assert [event.override for event in web.street.asked()[1:] if isinstance(event, ReplaceOrder)] == [
            "the feed lags"
        ]

    over_http(story)
