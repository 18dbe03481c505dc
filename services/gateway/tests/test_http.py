"""Does a caller get what the document promises, whatever it sends?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.errors import Refused
from bot4_common.memory_log import MemoryLog
from bot4_common.messages.estimate import SUBJECT, Estimate
from bot4_common.messages.frame import encode
from bot4_gateway.bodies import NUMBERS, decode_order
from services.gateway.tests.street import BTC, buy, filled, lost, passing, rejected, sent
from services.gateway.tests.web import BODY, Web, check_error, over_http

# Orders


def test_a_placed_order_is_shown_with_every_number_as_text() -> None:
    async def story(web: Web) -> None:
        response = await web.place(quantity="0.50")
        assert response.status_code == 201
        body = response.json()
        assert (body["order_id"], body["status"], body["quantity"], body["price"]) == ("1-0", "received", "0.5", "100")
        assert (body["filled"], body["leaves"], body["average_price"], body["duplicate"]) == ("0", "0.5", None, False)
        assert (await web.ann.get("/v1/orders/1-0")).json() == body

    over_http(story)


def test_a_filled_order_shows_what_it_cost_on_average() -> None:
    async def story(web: Web) -> None:
        body = (await web.ann.get(f"/v1/orders/{await web.bought()}")).json()
        assert (body["status"], body["average_price"], body["leaves"]) == ("filled", "101.5", "0")
        assert 0 < body["received_at"] <= body["decided_at"] <= body["acknowledged_at"] <= body["over_at"]

    over_http(story)


def test_when_the_time_is_up_the_answer_is_202() -> None:
    async def story(web: Web) -> None:
        response = await web.ann.post("/v1/orders", json=BODY)
        assert (response.status_code, response.json()["status"]) == (202, "received")

    over_http(story)


def test_a_repeat_is_200_and_says_that_it_is_one() -> None:
    async def story(web: Web) -> None:
        first, again = await web.place(), await web.place(price="100.00")
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == {**first.json(), "duplicate": True}

    over_http(story)


def test_another_body_under_the_same_id_is_a_conflict() -> None:
    async def story(web: Web) -> None:
        await web.place()
        check_error(await web.place(quantity="0.6"), "KEY_REUSED", client_order_id="a", order_id="1-0")

    over_http(story)


def test_what_risk_refuses_has_the_status_of_its_code_and_the_order_s_id() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.refuses("1-0", buy("a"), "POSITION_LIMIT", limit="1", asked="2")
        response = await web.ann.post("/v1/orders", json=BODY)
        check_error(response, "POSITION_LIMIT", limit="1", asked="2")
        assert (response.json()["order_id"], response.json()["duplicate"]) == ("1-0", True)

    over_http(story)


def test_what_the_venue_rejects_for_a_reason_of_its_own_is_unprocessable() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.approves("1-0", buy("a"))
        await web.street.execution.says(rejected("1-0", "POST_ONLY_WOULD_CROSS"))
        response = await web.ann.post("/v1/orders", json=BODY)
        assert (response.status_code, response.json()["code"]) == (422, "POST_ONLY_WOULD_CROSS")
        assert response.json()["order_id"] == "1-0" and not response.json()["retryable"]

    over_http(story)


def test_a_repeat_of_a_lost_order_is_refused_and_its_address_shows_it() -> None:
    async def story(web: Web) -> None:
        await _lose(web)
        response = await web.ann.post("/v1/orders", json=BODY)
        check_error(response, "ORDER_LOST")
        assert (response.json()["order_id"], response.json()["duplicate"]) == ("1-0", True)
        assert "Retry-After" in response.headers
        shown = await web.ann.get("/v1/orders/1-0")
        assert (shown.status_code, shown.json()["status"], shown.json()["code"]) == (200, "lost", "ORDER_LOST")

    over_http(story)


def test_an_order_that_is_lost_while_its_caller_waits_is_refused() -> None:
    async def story(web: Web) -> None:
        placing = asyncio.ensure_future(web.ann.post("/v1/orders", json=BODY))
        await passing(0.1)
        await web.street.approves("1-0", buy("a"))
        await web.street.execution.says(sent("1-0", buy("a")), lost("1-0"))
        response = await placing
        check_error(response, "ORDER_LOST")
        assert response.json()["order_id"] == "1-0" and "duplicate" not in response.json()

    over_http(story)


@pytest.mark.parametrize(("quantity", "leaves", "status"), [("0.2", "0.3", "lost"), ("0.5", "0", "filled")])
def test_a_lost_order_of_which_a_fill_is_told_is_no_refusal(quantity: str, leaves: str, status: str) -> None:
    async def story(web: Web) -> None:
        await _lose(web)
        await web.street.execution.says(filled("1-0", quantity, "100", leaves))
        await passing(0.1)
        response = await web.ann.post("/v1/orders", json=BODY)
        body = response.json()
        assert (response.status_code, body["status"], body["filled"]) == (200, status, quantity)

    over_http(story)


async def _lose(web: Web) -> None:
    await web.place()
    await web.street.approves("1-0", buy("a"))
    await web.street.execution.says(sent("1-0", buy("a")), lost("1-0"))
    await passing(0.1)


def test_an_order_is_cancelled() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.street.opens("1-0", buy("a"))
        cancelling = asyncio.ensure_future(web.ann.delete("/v1/orders/1-0"))
        await passing(0.1)
        await web.street.cancels("1-0")
        assert (await cancelling).json()["status"] == "cancelled"
        check_error(await web.ann.delete("/v1/orders/1-0"), "ORDER_IS_OVER", status="cancelled")

    over_http(story)


def test_nobody_sees_or_cancels_the_orders_of_another() -> None:
    async def story(web: Web) -> None:
        order_id = await web.bought()
        check_error(await web.bob.get(f"/v1/orders/{order_id}"), "UNKNOWN_ORDER")
        check_error(await web.bob.delete(f"/v1/orders/{order_id}"), "UNKNOWN_ORDER")
        for path, name in (("orders?status=all", "orders"), ("fills", "fills"), ("positions", "positions")):
            assert (await web.bob.get(f"/v1/{path}")).json() == {name: []}
        assert (await web.bob.get("/v1/pnl")).json() == {"pnl": []}

    over_http(story)


# What is asked


async def ids(web: Web, query: str) -> list[str]:
    return [order["client_order_id"] for order in (await web.ann.get(f"/v1/orders?{query}")).json()["orders"]]


def test_orders_are_listed_by_what_the_caller_looks_for() -> None:
    async def story(web: Web) -> None:
        for key, strategy in (("a", "trend"), ("b", "range"), ("c", "trend")):
            await web.place(client_order_id=key, strategy=strategy)
        await web.street.refuses("1-0", buy("a"), "ORDER_SIZE")
        await passing(0.1)
        assert await ids(web, "") == ["c", "b"]
        assert await ids(web, "status=all") == ["c", "b", "a"]
        assert await ids(web, "strategy=range") == ["b"]
        assert await ids(web, "symbol=ETH-USDT") == []
        assert await ids(web, "status=all&client_order_id=a") == ["a"]
        assert await ids(web, "client_order_id=a") == []
        assert await ids(web, "status=all&limit=1") == ["c"]

    over_http(story)


def test_fills_positions_and_results_are_told() -> None:
    async def story(web: Web) -> None:
        order_id = await web.bought()
        await web.street.quote("102", "103")
        (fill,) = (await web.ann.get("/v1/fills?strategy=trend")).json()["fills"]
        assert (fill["order_id"], fill["price"], fill["quantity"]) == (order_id, "101.5", "0.5")
        assert (await web.ann.get("/v1/fills?symbol=ETH-USDT")).json() == {"fills": []}
        (position,) = (await web.ann.get("/v1/positions")).json()["positions"]
        assert (position["symbol"], position["quantity"], position["mark"]) == (BTC, "0.5", "102.5")
        assert position["strategies"][0]["average_price"] == "101.5"
        (result,) = (await web.ann.get("/v1/pnl")).json()["pnl"]
        assert result == {
            "strategy": "trend",
            "currency": "USDT",
            "realized": "0",
            "unrealized": "0.5",
            "gross": "0.5",
            "costs": "0.05075",
            "net": "0.44925",
            "slippage": "0.75",
            "fills": 1,
        }

    over_http(story)


def test_instruments_are_told() -> None:
    async def story(web: Web) -> None:
        listed = (await web.ann.get("/v1/instruments")).json()["instruments"]
        assert {"symbol": BTC, "tick": "0.01", "lot": "0.00001"}.items() <= listed[0].items()

    over_http(story)


def test_an_estimate_is_told() -> None:
    async def respond(_: bytes) -> bytes:
        return encode(
            Estimate(
                symbol=BTC,
                side="buy",
                quantity=Decimal("0.5"),
                type="market",
                venue="sim",
                bid=Decimal(99),
                ask=Decimal(101),
                spread=Decimal("0.50"),
                fee=Decimal("0.0505"),
                total=Decimal("0.5505"),
                total_bps=Decimal("110.1"),
            )
        )

    async def story(web: Web) -> None:
        url = f"/v1/costs/estimate?symbol={BTC}&side=buy&quantity=0.5"
        check_error(await web.ann.get(url), "UNAVAILABLE")
        await MemoryLog(web.street.broker).answer(SUBJECT, respond)
        assert (await web.ann.get(url)).json()["total"] == "0.5505"

    over_http(story)


# What is refused

NO_NUMBERS: list[Any] = [
    1, 0.5, "NaN", "Infinity", "-1", "1e2", "1_0", " 1", "٣", "", "1.", "0x1", True, [], "9" * 13,
]  # fmt: skip


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("written", NO_NUMBERS)
def test_a_number_is_text_in_plain_notation_or_refused(field: str, written: Any) -> None:
    with pytest.raises(Refused) as caught:
        decode_order(msgspec.json.encode({**BODY, field: written}))
    assert (caught.value.code, caught.value.details["field"]) == ("BAD_FIELD", field)


@given(st.decimals(min_value=0, max_value=10**12 - 1, places=18))
def test_a_plain_number_arrives_to_the_last_digit(number: Decimal) -> None:
    order = decode_order(msgspec.json.encode({**BODY, "quantity": format(number, "f")}))
    assert order.quantity == number


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "BAD_BODY"),
    (b"{", "BAD_BODY"),
    (b"[]", "BAD_BODY"),
    (b"null", "BAD_BODY"),
    (b"[" * 16_000, "BAD_BODY"),
    (b'{"quantity": ' + b"9" * 10_000 + b"}", "BAD_BODY"),
    (b'{"symbol": "\xff"}', "BAD_BODY"),
    (b'{"symbol": "\\ud800"}', "BAD_BODY"),
    (msgspec.json.encode({**BODY, "colour": "red"}), "BAD_BODY"),
    (msgspec.json.encode({"symbol": BTC}), "BAD_BODY"),
    (msgspec.json.encode({**BODY, "side": "up"}), "BAD_FIELD"),
    (msgspec.json.encode({**BODY, "post_only": "yes"}), "BAD_FIELD"),
    (msgspec.json.encode({**BODY, "quantity": None}), "BAD_FIELD"),
    (msgspec.json.encode({**BODY, "client_order_id": "x" * 65}), "BAD_FIELD"),
    (msgspec.json.encode({**BODY, "price": "100.001"}), "TICK_SIZE"),
    (msgspec.json.encode({**BODY, "strategy": "x" * 20_000}), "BODY_TOO_LARGE"),
]


@pytest.mark.parametrize(("body", "code"), BAD_BODIES)
def test_a_bad_body_is_refused_and_leaves_no_trace(body: bytes, code: str) -> None:
    async def story(web: Web) -> None:
        check_error(await web.ann.post("/v1/orders", content=body), code)
        assert web.street.asked() == []

    over_http(story)


@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(msgspec.json.encode))
def test_no_body_whatever_is_our_own_fault(body: bytes) -> None:
    with pytest.raises(Refused):
        decode_order(body)


def test_a_body_without_a_length_is_read_no_further_than_it_may_go() -> None:
    async def endless() -> Any:
        for _ in range(1_000):
            yield b" " * 1_000

    async def story(web: Web) -> None:
        check_error(await web.ann.post("/v1/orders", content=endless()), "BODY_TOO_LARGE")

    over_http(story)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/orders?limit=0", "BAD_FIELD"),
        ("GET", "/v1/orders?limit=1001", "BAD_FIELD"),
        ("GET", "/v1/orders?limit=many", "BAD_FIELD"),
        ("GET", "/v1/orders?status=some", "BAD_FIELD"),
        ("GET", f"/v1/costs/estimate?symbol={BTC}&side=buy&quantity=NaN", "BAD_FIELD"),
        ("GET", f"/v1/costs/estimate?symbol={BTC}&side=up&quantity=1", "BAD_FIELD"),
        ("GET", f"/v1/costs/estimate?symbol={BTC}", "BAD_FIELD"),
        ("GET", "/v1/costs/estimate?symbol=DOGE&side=buy&quantity=1", "UNKNOWN_SYMBOL"),
        ("POST", "/v1/orders?ack=soon", "BAD_FIELD"),
        ("GET", "/v1/orders/9-9", "UNKNOWN_ORDER"),
        ("DELETE", "/v1/orders/%00", "UNKNOWN_ORDER"),
        ("GET", "/v1/nothing", "NOT_FOUND"),
        ("GET", "/v1/orders/", "NOT_FOUND"),
        ("PUT", "/v1/orders", "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/orders/1-0", "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/orders/1-0/replace", "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/lists/1-0", "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/orders/replace/1-0", "NOT_FOUND"),
        ("PATCH", "/v1/orders/1-0", "BAD_BODY"),
        ("POST", "/v1/orders/1-0/replace", "BAD_BODY"),
        ("POST", "/v1/lists", "BAD_BODY"),
        ("GET", "/v1/lists/9-9", "UNKNOWN_LIST"),
        ("DELETE", "/v1/lists/9-9", "UNKNOWN_LIST"),
        ("GET", "/v1/lists?status=some", "BAD_FIELD"),
        ("GET", "/v1/prevented?limit=0", "BAD_FIELD"),
        ("PUT", "/v1/kill-switch", "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/orders/1/0", "NOT_FOUND"),
        ("POST", "/v1/kill-switch", "BAD_BODY"),
        ("DELETE", "/v1/kill-switch?reason=" + "x" * 201, "BAD_FIELD"),
    ],
)
def test_every_refusal_has_one_shape(method: str, path: str, code: str) -> None:
    async def story(web: Web) -> None:
        check_error(await web.ann.request(method, path), code)
        assert web.street.asked() == []

    over_http(story)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/orders"),
        ("DELETE", "/v1/orders/1-0"),
        ("GET", "/v1/orders/1-0"),
        ("PATCH", "/v1/orders/1-0"),
        ("POST", "/v1/orders/1-0/replace"),
        ("POST", "/v1/lists"),
        ("GET", "/v1/lists"),
        ("GET", "/v1/lists/1-0"),
        ("DELETE", "/v1/lists/1-0"),
        ("GET", "/v1/prevented"),
        ("GET", "/v1/orders"),
        ("GET", "/v1/fills"),
        ("GET", "/v1/positions"),
        ("GET", "/v1/pnl"),
        ("GET", "/v1/instruments"),
        ("GET", f"/v1/costs/estimate?symbol={BTC}&side=buy&quantity=1"),
        ("GET", "/v1/kill-switch"),
        ("POST", "/v1/kill-switch"),
        ("DELETE", "/v1/kill-switch"),
    ],
)
def test_without_a_known_key_nothing_is_told_or_done(method: str, path: str) -> None:
    async def story(web: Web) -> None:
        check_error(await web.stranger.request(method, path), "UNAUTHENTICATED")
        del web.stranger.headers["X-API-Key"]
        check_error(await web.stranger.request(method, path), "UNAUTHENTICATED")

    over_http(story)


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/1-0", "/v1/lists/1-0", "/v1/pnl"])
def test_a_wrong_method_is_told_the_right_ones(path: str) -> None:
    async def story(web: Web) -> None:
        assert "GET" in (await web.ann.put(path)).headers["allow"]

    over_http(story)


def test_who_may_come_again_is_told_when() -> None:
    async def story(web: Web) -> None:
        web.desk.stop()
        await passing(0.1)
        response = await web.place()
        check_error(response, "UNAVAILABLE")
        assert response.headers["retry-after"] == "1"

    over_http(story)


def test_our_own_fault_has_the_same_shape() -> None:
    async def story(web: Web) -> None:
        del web.desk.view
        check_error(await web.ann.get("/v1/positions"), "INTERNAL")
        check_error(await web.ann.get("/v1/orders/1-0"), "INTERNAL")

    over_http(story)


# Probes, figures, the document


def test_readiness_follows_the_desk() -> None:
    async def story(web: Web) -> None:
        ready = await web.stranger.get("/readyz")
        assert (ready.status_code, ready.json()["service"], ready.json()["ready"]) == (200, "gateway-0", True)
        web.desk.stop()
        await passing(0.1)
        assert (await web.stranger.get("/readyz")).status_code == 503
        assert (await web.stranger.get("/healthz")).status_code == 200

    over_http(story)


def test_figures_count_what_happened() -> None:
    async def story(web: Web) -> None:
        await web.place()
        await web.place()
        await web.place(quantity="0.6")
        await web.ann.get("/v1/orders?limit=1")
        await web.ann.get("/v1/orders/1-0")
        shown = (await web.stranger.get("/metrics")).text
        for line in (
            'bot4_orders_accepted_total{service="gateway-0"} 1.0',
            'bot4_orders_duplicate_total{service="gateway-0"} 1.0',
            'bot4_requests_refused_total{code="KEY_REUSED",service="gateway-0"} 1.0',
            'bot4_idempotency_keys{service="gateway-0"} 1.0',
            'bot4_idempotency_hits_total{service="gateway-0"} 2.0',
            'bot4_queue_depth{service="gateway-0"} 0.0',
            'bot4_request_seconds_count{ack="journaled",route="POST /v1/orders",service="gateway-0"} 3.0',
            'bot4_request_seconds_count{ack="",route="GET /v1/orders",service="gateway-0"} 1.0',
            'bot4_request_seconds_count{ack="",route="GET /v1/orders/{order_id}",service="gateway-0"} 1.0',
        ):
            assert line in shown

    over_http(story)


def test_the_trace_of_a_caller_goes_into_the_journal() -> None:
    async def story(web: Web) -> None:
        caller = f"00-{'a' * 32}-{'b' * 16}-01"
        await web.ann.post("/v1/orders?ack=journaled", json=BODY, headers={"traceparent": caller})
        (decision,) = web.street.frames()[0].decisions
        assert decision.trace is not None and decision.trace.split("-")[1] == "a" * 32
        assert decision.trace != caller

    over_http(story)


def test_the_document_describes_bodies_answers_and_refusals() -> None:
    async def story(web: Web) -> None:
        document = (await web.stranger.get("/openapi.json")).json()
        placing = document["paths"]["/v1/orders"]["post"]
        assert placing["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
        assert document["components"]["schemas"]["Order"]["properties"]["quantity"]["type"] == "string"
        assert {"201", "200", "202", "default"} == set(placing["responses"])
        assert set(document["components"]["schemas"]["ErrorAnswer"]["required"]) == {
            "code", "message", "details", "retryable",
        }  # fmt: skip
        assert (await web.stranger.get("/docs")).status_code == 200

    over_http(story)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    async def story(web: Web) -> None:
        document = (await web.stranger.get("/openapi.json")).json()
        for reference in _references(document):
            place: Any = document
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]
        assert len(set(_references(document))) > 10

    over_http(story)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in _references(each)]
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for each in node.values() for found in _references(each)]
    return []
