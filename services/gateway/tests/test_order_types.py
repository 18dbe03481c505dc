"""Does a caller say all that an order can be, and read it back?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.risk import SelfTradePrevented
from services.gateway.tests.street import (
    ANN,
    BTC,
    acknowledged,
    approved,
    buy,
    filled,
    held,
    passing,
    prevented,
    sell_stop,
)
from services.gateway.tests.web import BODY, Web, check_error, over_http

HOUR = 3_600_000_000_000
STOP = {**BODY, "type": "stop_market", "price": None, "stop_price": "110"}

ORDERS: list[dict[str, Any]] = [
    STOP,
    {**STOP, "type": "stop_limit", "price": "112"},
    {**STOP, "type": "take_profit_market", "stop_price": "95"},
    {**STOP, "type": "take_profit_limit", "stop_price": "95", "price": "94"},
    {**STOP, "type": "trailing_stop", "stop_price": None, "trail_bps": 50, "activation_price": "105"},
    {**BODY, "time_in_force": "fok"},
    {**BODY, "time_in_force": "gtd", "expire_at": 1_700_000_000_000_000_000 + HOUR},
    {**BODY, "display_quantity": "0.1"},
    {**BODY, "self_trade_prevention": "decrement_both"},
    {**BODY, "signal": "7-0"},
]


@pytest.mark.parametrize("body", ORDERS)
def test_whatever_an_order_can_be_is_taken_and_shown_as_it_was_written(body: dict[str, Any]) -> None:
    async def story(web: Web) -> None:
        response = await web.ann.post("/v1/orders?ack=journaled", json=body)
        assert response.status_code == 201, response.text
        assert response.json().items() >= body.items()
        assert [type(event) for event in web.street.asked()] == [PlaceOrder]

    over_http(story)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"stop_price": "110"}, "BAD_FIELD", "stop_price"),
        ({"type": "stop_market", "price": None}, "BAD_FIELD", "stop_price"),
        ({"type": "stop_limit", "stop_price": "110", "price": None}, "BAD_FIELD", "price"),
        ({"trail_bps": 50}, "BAD_FIELD", "trail_bps"),
        ({"trail_bps": "50"}, "BAD_FIELD", "trail_bps"),
        ({"trail_bps": 0.5}, "BAD_FIELD", "trail_bps"),
        ({"type": "trailing_stop", "price": None, "trail_bps": 10**30}, "BAD_FIELD", "trail_bps"),
        ({"type": "trailing_stop", "price": None, "trail_bps": -1}, "BAD_FIELD", "trail_bps"),
        ({"activation_price": "105"}, "BAD_FIELD", "activation_price"),
        ({"time_in_force": "gtd"}, "BAD_FIELD", "expire_at"),
        ({"time_in_force": "gtd", "expire_at": 10**30}, "BAD_FIELD", "expire_at"),
        ({"time_in_force": "gtd", "expire_at": -1}, "BAD_FIELD", "expire_at"),
        ({"time_in_force": "gtd", "expire_at": "soon"}, "BAD_FIELD", "expire_at"),
        ({"time_in_force": "day"}, "BAD_FIELD", "time_in_force"),
        ({"display_quantity": "0"}, "BAD_FIELD", "display_quantity"),
        ({"display_quantity": "1"}, "ICEBERG_DISPLAY", None),
        ({"time_in_force": "fok", "display_quantity": "0.1"}, "ICEBERG_CANNOT_REST", None),
        ({"self_trade_prevention": "both"}, "BAD_FIELD", "self_trade_prevention"),
        ({"signal": "x" * 65}, "BAD_FIELD", "signal"),
        ({"signal": "nul\0"}, "BAD_FIELD", "signal"),
    ],
)
def test_what_an_order_cannot_be_is_refused_by_its_field(fields: dict[str, Any], code: str, field: str | None) -> None:
    async def story(web: Web) -> None:
        response = await web.place(**fields)
        check_error(response, code, **({} if field is None else {"field": field}))
        assert web.street.asked() == []

    over_http(story)


def test_a_fill_or_kill_order_is_waited_for_to_its_end() -> None:
    async def story(web: Web) -> None:
        order = buy("a", time_in_force="fok")
        await web.place(time_in_force="fok")
        await web.street.opens("1-0", order)
        await passing(0.1)
        unsettled = await web.ann.post("/v1/orders", json={**BODY, "time_in_force": "fok"})
        assert (unsettled.status_code, unsettled.json()["status"]) == (202, "open")
        await web.street.execution.says(filled("1-0", "0.5", "100"))
        settled = await web.ann.post("/v1/orders", json={**BODY, "time_in_force": "fok"})
        assert (settled.status_code, settled.json()["status"]) == (200, "filled")

    over_http(story)


def test_a_stop_that_ends_at_once_when_triggered_is_waited_for_till_the_venue_has_it() -> None:
    async def story(web: Web) -> None:
        body = {**STOP, "type": "stop_limit", "price": "112", "time_in_force": "ioc"}
        await web.ann.post("/v1/orders?ack=journaled", json=body)
        await web.street.approves("1-0", web.desk.order(ANN, "1-0").order)
        await web.street.execution.says(acknowledged("1-0"))
        assert (await web.ann.post("/v1/orders", json=body)).status_code == 200

    over_http(story)


def test_an_order_that_risk_holds_is_as_far_as_it_comes() -> None:
    async def story(web: Web) -> None:
        await web.ann.post("/v1/orders?ack=journaled", json=STOP)
        await web.street.risk.says(held("1-0", sell_stop("a")))
        response = await web.ann.post("/v1/orders", json=STOP)
        assert (response.status_code, response.json()["status"], response.json()["triggered"]) == (200, "held", False)

    over_http(story)


def test_prevented_self_trades_are_told_as_the_caller_sees_them() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.approves("1-0", buy("a"))
        await web.street.risk.says(
            SelfTradePrevented(
                order_id="5-0",
                account="bob",
                resting_id="1-0",
                resting_account=ANN,
                symbol=BTC,
                mode="cancel_new",
                quantity=Decimal("0.20"),
                resting_quantity=Decimal(0),
                price=Decimal(100),
                at=0,
            )
        )
        await web.street.execution.says(prevented("1-0", "0.1", leaves="0.4"))
        await passing(0.1)
        by_venue, by_risk = (await web.ann.get("/v1/prevented")).json()["prevented"]
        assert by_venue.items() >= {"by": "venue", "order_id": "1-0", "other_id": "9-9", "quantity": "0.1"}.items()
        seen = {"by": "risk", "mode": "cancel_new", "price": "100", "symbol": BTC}
        own = {"order_id": "1-0", "quantity": "0", "other_id": "5-0", "other_quantity": "0.2"}
        assert by_risk.items() >= {**seen, **own}.items()
        (bobs,) = (await web.bob.get("/v1/prevented")).json()["prevented"]
        other = {"order_id": "5-0", "quantity": "0.2", "other_id": "1-0", "other_quantity": "0"}
        assert bobs.items() >= {**seen, **other}.items()
        assert (await web.ann.get("/v1/prevented?order_id=5-0")).json() == {"prevented": [by_risk]}
        assert (await web.ann.get("/v1/prevented?symbol=ETH-USDT")).json() == {"prevented": []}
        assert (await web.ann.get("/v1/orders/1-0")).json().items() >= {"prevented": "0.1", "leaves": "0.4"}.items()

    over_http(story)


def test_the_document_describes_lists_amends_and_replacements() -> None:
    async def story(web: Web) -> None:
        document = (await web.stranger.get("/openapi.json")).json()
        paths, schemas = document["paths"], document["components"]["schemas"]
        assert set(paths["/v1/orders/{order_id}"]) == {"get", "delete", "patch"}
        assert set(paths["/v1/lists"]) == {"get", "post"} and set(paths["/v1/lists/{list_id}"]) == {"get", "delete"}
        assert "post" in paths["/v1/orders/{order_id}/replace"] and "get" in paths["/v1/prevented"]
        assert schemas["OrderList"]["properties"]["orders"]["items"] == {"$ref": "#/components/schemas/Order"}
        for schema, field in (("Order", "stop_price"), ("Order", "display_quantity"), ("AmendRequest", "price")):
            assert schemas[schema]["properties"][field]["anyOf"][0]["type"] == "string"

    over_http(story)


def test_a_leg_names_its_list() -> None:
    async def story(web: Web) -> None:
        await web.street.risk.says(replace(approved("1-0-leg1", buy("a")), list_id="1-0"))
        await passing(0.1)
        assert (await web.ann.get("/v1/orders/1-0-leg1")).json()["list_id"] == "1-0"

    over_http(story)
