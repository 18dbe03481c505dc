"""What does a caller see of several venues?"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import httpx
from msgspec.structs import replace

from bot4_common.memory_log import MemoryLog
from bot4_common.messages.estimate import SUBJECT, EstimateRefused, EstimateRequest, decode_request
from bot4_common.messages.frame import encode
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.telemetry import Tracing
from bot4_common.venues import load
from bot4_gateway.http import create_app
from bot4_gateway.keys import Keys
from services.gateway.tests.street import ANN, BTC, Street, approved, buy, cost, filled, passing, simulated

BODY = {
    "client_order_id": "a",
    "symbol": BTC,
    "side": "buy",
    "type": "limit",
    "quantity": "0.5",
    "price": "100",
    "stop_loss": "90",
    "strategy": "trend",
}


def trading(story: Callable[[Street, httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    """Between ann and the venues a and b."""

    async def told(street: Street) -> None:
        app = create_app(await street.desk(venues=load(["a", "b"])), Keys({"key": ANN}), Tracing("test", 0.0, None))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bot4", headers={"X-API-Key": "key"}) as ann:
            await story(street, ann)

    simulated(told)


def test_venues_are_told_with_their_fees_the_default_one_first() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        assert (await ann.get("/v1/venues")).json()["venues"] == [
            {"name": "a", "default": True, "profile": "default", "maker_fee": "-0.00005", "taker_fee": "0.0005"},
            {"name": "b", "default": False, "profile": "margined", "maker_fee": "0.0001", "taker_fee": "0.0006"},
        ]

    trading(story)


def test_an_order_says_where_it_goes() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        placed = (await ann.post("/v1/orders?ack=journaled", json={**BODY, "venue": "b"})).json()
        assert placed["venue"] == "b"
        assert street.asked() == [PlaceOrder(account=ANN, order=replace(buy("a"), venue="b"))]

    trading(story)


def test_an_order_that_names_no_venue_is_shown_where_risk_sent_it() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        assert (await ann.post("/v1/orders?ack=journaled", json=BODY)).json()["venue"] == ""
        assert street.asked() == [PlaceOrder(account=ANN, order=buy("a"))]
        await street.risk.says(approved("1-0", replace(buy("a"), venue="a")))
        await passing(0.1)
        assert (await ann.get("/v1/orders/1-0")).json()["venue"] == "a"
        assert len((await ann.get("/v1/orders?venue=a")).json()["orders"]) == 1
        assert (await ann.get("/v1/orders?venue=b")).json()["orders"] == []
        # Asked as before, it is still the same order.
        again = (await ann.post("/v1/orders?ack=journaled", json=BODY)).json()
        assert (again["order_id"], again["duplicate"]) == ("1-0", True)

    trading(story)


def test_the_same_order_to_another_venue_is_another_order() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        await ann.post("/v1/orders?ack=journaled", json=BODY)
        await passing(0.1)
        reused = await ann.post("/v1/orders?ack=journaled", json={**BODY, "venue": "b"})
        assert (reused.status_code, reused.json()["code"]) == (409, "KEY_REUSED")

    trading(story)


def test_an_unknown_venue_is_refused_and_leaves_no_trace() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        for refused in (
            await ann.post("/v1/orders", json={**BODY, "venue": "c"}),
            await ann.get(f"/v1/costs/estimate?symbol={BTC}&side=buy&quantity=1&venue=c"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (422, "UNKNOWN_VENUE")
            assert refused.json()["details"] == {"venue": "c", "venues": "a, b"}
        assert street.asked() == []

    trading(story)


def test_an_estimate_is_asked_for_by_venue() -> None:
    asked: list[EstimateRequest] = []

    async def respond(data: bytes) -> bytes:
        asked.append(decode_request(data))
        return encode(EstimateRefused(code="NO_MARKET", details={}))

    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        await MemoryLog(street.broker).answer(SUBJECT, respond)
        for query in ("", "&venue=b"):
            await ann.get(f"/v1/costs/estimate?symbol={BTC}&side=buy&quantity=1{query}")

    trading(story)
    assert [request.venue for request in asked] == ["", "b"]


def test_what_is_held_at_two_venues_is_two_positions_each_at_its_own_price() -> None:
    async def story(street: Street, ann: httpx.AsyncClient) -> None:
        for number, venue in enumerate(("a", "b")):
            fill = filled(f"{number}-0", "1", "100", venue=venue)
            await street.execution.says(fill)
            await street.costs.says(cost(fill, fee="0", spread="0"))
        await street.quote("101", "103", venue="a")
        await street.quote("98", "100", venue="b")
        await passing(0.1)
        positions = (await ann.get("/v1/positions")).json()["positions"]
        assert [(each["venue"], each["quantity"], each["mark"]) for each in positions] == [
            ("a", "1", "102"),
            ("b", "1", "99"),
        ]
        (result,) = (await ann.get("/v1/pnl")).json()["pnl"]
        assert Decimal(result["unrealized"]) == 2 - 1
        fills = (await ann.get("/v1/fills?venue=b")).json()["fills"]
        assert [fill["venue"] for fill in fills] == ["b"]

    trading(story)
