"""Is an amend checked, journaled and answered with what became of it, and not of another?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bot4_common import streams
from bot4_common.messages.execution import AmendRejected, OrderCancelled, OutcomeUnknown
from bot4_common.messages.gateway import AmendOrder
from bot4_common.messages.risk import AmendRefused, ReservationAmended
from bot4_common.messages.terms import EventId
from bot4_gateway.amending import Amending
from bot4_gateway.desk import Answer, Desk
from services.gateway.tests.street import (
    ANN,
    BOB,
    Street,
    amended,
    begun,
    buy,
    filled,
    passing,
    refusal,
    sell_stop,
    simulated,
)
from services.gateway.tests.web import Web, check_error, over_http


async def opened(street: Street, desk: Desk) -> str:
    """An order of 0.5 at 100 that rests at the venue."""
    order_id = (await desk.place(ANN, buy("a"), "journaled")).record.order_id
    await street.opens(order_id, buy("a"))
    await passing(0.1)
    return order_id


def rejected(order_id: str, code: str) -> AmendRejected:
    return AmendRejected(
        order_id=order_id, child_id=f"{order_id}.1", account=ANN, venue=streams.VENUE, code=code, session_sequence=1
    )


def settled(order_id: str, quantity: str, code: str = "") -> ReservationAmended:
    number = Decimal(quantity)
    return ReservationAmended(
        order_id=order_id, account=ANN, quantity=number, price=Decimal(100), leaves=number, code=code
    )


def shown(answer: Answer) -> tuple[str, str, bool]:
    order = answer.record.order
    return str(order.quantity), str(order.price), answer.settled


def test_an_amend_is_answered_when_the_venue_has_taken_it() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        assert street.asked()[1:] == [AmendOrder(account=ANN, order_id=order_id, quantity=Decimal("0.7"))]
        await street.approves_amend("2-0", order_id, "0.7")
        await passing(0.1)
        assert not amending.done()
        await street.execution.says(amended(order_id, "0.7"))
        assert shown(await amending) == ("0.7", "100", True)

    simulated(story)


def test_an_amend_may_be_answered_earlier() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert shown(await desk.amend(ANN, order_id, None, Decimal(101), "journaled")) == ("0.5", "100", True)
        amending = await begun(desk.amend(ANN, order_id, None, Decimal(102), "risk"))
        await street.approves_amend("3-0", order_id, "0.5", "102")
        assert shown(await amending) == ("0.5", "100", True)

    simulated(story)


def test_an_amend_that_risk_refuses_is_refused_with_its_numbers() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, Decimal(9), None))
        await street.refuses_amend("2-0", order_id, "POSITION_LIMIT", limit="1")
        refused = await refusal(amending)
        assert (refused.code, refused.details) == ("POSITION_LIMIT", {"limit": "1", "order_id": order_id})
        assert desk.order(ANN, order_id).order == buy("a")

    simulated(story)


def test_an_amend_that_the_venue_refuses_is_refused() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, None, Decimal(101)))
        await street.approves_amend("2-0", order_id, "0.5", "101")
        await street.execution.says(rejected(order_id, "POST_ONLY_WOULD_CROSS"))
        assert (await refusal(amending)).code == "POST_ONLY_WOULD_CROSS"

    simulated(story)


def test_the_refusal_of_another_s_amend_is_not_taken_for_one_s_own() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        first = await begun(desk.amend(ANN, order_id, Decimal("0.6"), None))
        second = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        await street.approves_amend("2-0", order_id, "0.6")
        await street.refuses_amend("3-0", order_id, "AMEND_IN_FLIGHT")
        assert (await refusal(second)).code == "AMEND_IN_FLIGHT"
        assert not first.done()
        await street.execution.says(amended(order_id, "0.6"))
        assert shown(await first) == ("0.6", "100", True)

    simulated(story)


def test_the_end_of_an_earlier_amend_is_not_that_of_the_next() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        await desk.amend(ANN, order_id, Decimal("0.6"), None, "journaled")
        await street.approves_amend("2-0", order_id, "0.6")
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        await street.execution.says(amended(order_id, "0.6"))
        await street.risk.says(settled(order_id, "0.6"))
        await passing(0.1)
        assert not amending.done()
        await street.approves_amend("3-0", order_id, "0.7")
        await street.execution.says(amended(order_id, "0.7"))
        assert shown(await amending) == ("0.7", "100", True)

    simulated(story)


def test_the_stream_may_be_quicker_than_the_answer_to_the_append() -> None:
    amending = Amending()
    refused = AmendRefused(order_id="1-0", account=ANN, code="AMEND_IN_FLIGHT", details={})
    amending.hear(refused, EventId(streams.GATEWAY, 3, 0))
    amending.hear(refused, EventId(streams.GATEWAY, 2, 0))
    assert not amending.is_over
    amending.name("2-0")
    assert (amending.is_over, amending.refusal) == (True, ("AMEND_IN_FLIGHT", {}))


def test_what_already_is_needs_no_amend() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert shown(await desk.amend(ANN, order_id, Decimal("0.50"), Decimal(100))) == ("0.5", "100", True)
        assert len(street.asked()) == 1

    simulated(story)


@pytest.mark.parametrize(
    ("quantity", "price", "code"),
    [
        (None, None, "AMEND_NOTHING"),
        ("0.000001", None, "LOT_SIZE"),
        ("0", None, "BAD_FIELD"),
        (None, "100.001", "TICK_SIZE"),
        (None, "80", "STOP_ON_WRONG_SIDE"),
        ("0.00001", None, "NOTIONAL_TOO_SMALL"),
    ],
)
def test_what_cannot_be_leaves_no_trace(quantity: str | None, price: str | None, code: str) -> None:
    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert (await refusal(desk.amend(ANN, order_id, number(quantity), number(price)))).code == code
        assert len(street.asked()) == 1

    simulated(story)


def test_what_is_over_unknown_or_another_s_cannot_be_amended() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert (await refusal(desk.amend(BOB, order_id, Decimal(1), None))).code == "UNKNOWN_ORDER"
        assert (await refusal(desk.amend(ANN, "9-9", Decimal(1), None))).code == "UNKNOWN_ORDER"
        await street.cancels(order_id)
        await passing(0.1)
        assert (await refusal(desk.amend(ANN, order_id, Decimal(1), None))).code == "ORDER_IS_OVER"
        assert len(street.asked()) == 1

    simulated(story)


def test_an_order_that_fills_meanwhile_cannot_be_amended() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        await street.execution.says(filled(order_id, "0.5", "100"))
        refused = await refusal(amending)
        assert (refused.code, refused.details["status"]) == ("ORDER_IS_OVER", "filled")

    simulated(story)


def test_an_amend_to_what_was_filled_ends_the_order() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        await street.execution.says(filled(order_id, "0.2", "100", leaves="0.3"))
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.2"), None))
        await street.approves_amend("2-0", order_id, "0.2")
        await street.execution.says(ended_by_amend(order_id))
        answer = await amending
        assert (answer.record.status, answer.record.filled) == ("cancelled", Decimal("0.2"))

    simulated(story)


def ended_by_amend(order_id: str) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        quantity=Decimal("0.3"),
        reason="amended",
        session_sequence=1,
    )


def test_an_order_that_is_cancelled_meanwhile_cannot_be_amended() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        await street.cancels(order_id)
        assert (await refusal(amending)).details["status"] == "cancelled"

    simulated(story)


def test_an_order_that_risk_holds_is_amended_at_once() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = (await desk.place(ANN, sell_stop("a"), "journaled")).record.order_id
        await street.holds(order_id, sell_stop("a"))
        await passing(0.1)
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.4"), None))
        told = ReservationAmended(
            order_id=order_id, account=ANN, quantity=Decimal("0.4"), price=None, leaves=Decimal("0.4")
        )
        await street.risk.says(told, of="2-0")
        assert shown(await amending) == ("0.4", "None", True)

    simulated(story)


def test_an_amend_of_unknown_outcome_is_answered_with_how_things_stand() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        amending = await begun(desk.amend(ANN, order_id, Decimal("0.7"), None))
        await street.approves_amend("2-0", order_id, "0.7")
        await street.execution.says(
            OutcomeUnknown(
                order_id=order_id, child_id=f"{order_id}.1", account=ANN, venue=streams.VENUE, request="amend"
            )
        )
        assert shown(await amending) == ("0.5", "100", False)

    simulated(story)


def test_an_amend_over_http() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.opens("1-0", buy("a"))
        body: dict[str, Any] = {"quantity": "0.70", "price": "101"}
        amending = asyncio.ensure_future(web.ann.patch("/v1/orders/1-0", json=body))
        await passing(0.1)
        await web.street.approves_amend("2-0", "1-0", "0.7", "101")
        await web.street.execution.says(amended("1-0", "0.7", "101"))
        answer = await amending
        assert (answer.status_code, answer.json()["quantity"], answer.json()["price"]) == (200, "0.7", "101")
        later = await web.ann.patch("/v1/orders/1-0", json={"price": "102"})
        assert (later.status_code, later.json()["price"]) == (202, "101")

    over_http(story)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "AMEND_NOTHING", None),
        ({"quantity": 1}, "BAD_FIELD", "quantity"),
        ({"price": "1e2"}, "BAD_FIELD", "price"),
        ({"stop_price": "100"}, "BAD_BODY", None),
        ([], "BAD_BODY", None),
    ],
)
def test_a_bad_amend_is_refused(body: Any, code: str, field: str | None) -> None:
    async def story(web: Web) -> None:
        await web.place()
        response = await web.ann.patch("/v1/orders/1-0", json=body)
        check_error(response, code, **({} if field is None else {"field": field}))

    over_http(story)


def test_an_empty_amend_is_told_that_it_names_nothing() -> None:
    async def story(web: Web) -> None:
        await web.place()
        refused = (await web.ann.patch("/v1/orders/1-0", json={})).json()
        assert refused["message"] == "The amend names nothing that would change the order."
        assert refused["details"] == {"rule": "an amend names a quantity, a price, or both"}

    over_http(story)
