"""How is the interface described? FastAPI's OpenAPI document, with what msgspec knows of bodies and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bot4_gateway.answers import ErrorAnswer, KillSwitchAnswer, OrderAnswer
from bot4_gateway.desk import Ack

_WHERE = "#/components/schemas/{name}"


def answering(kind: type[msgspec.Struct], status: str = "200", meaning: str = "As asked") -> dict[int | str, Any]:
    return {
        status: {"description": meaning, "content": _content(kind.__name__)},
        "default": {"description": "Refused; every refusal has this shape", "content": _content(ErrorAnswer.__name__)},
    }


def describe(app: FastAPI, bodies: Mapping[str, type[msgspec.Struct]], kinds: Sequence[type[msgspec.Struct]]) -> None:
    """Makes the document when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            for path, methods in _ORDERS.items():
                made["paths"].setdefault(path, {}).update(methods)
            _, schemas = msgspec.json.schema_components(
                [*bodies.values(), *kinds, OrderAnswer, ErrorAnswer], ref_template=_WHERE
            )
            made["components"] = {
                "schemas": {**schemas, "Order": _as_text(schemas["Order"])},
                "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            }
            made["security"] = [{"ApiKey": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _as_text(order: dict[str, Any]) -> dict[str, Any]:
    """An order as a caller writes it: numbers are text in plain notation, nothing else."""
    number = {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,18})?$", "examples": ["0.015"]}
    optional = {"anyOf": [number, {"type": "null"}], "default": None}
    return {
        **order,
        "properties": {**order["properties"], "quantity": number, "price": optional, "stop_loss": optional},
    }


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _WHERE.format(name=name)}}}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": _content(name)}


_ORDER_ID = {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}}
_ACK = {
    "name": "ack",
    "in": "query",
    "description": "How far the order must have come before the answer. After two seconds the answer is 202 and how "
    "things stand then.",
    "schema": {"type": "string", "enum": list(get_args(Ack)), "default": "venue"},
}

# What does not pass through FastAPI.
_ORDERS: dict[str, dict[str, Any]] = {
    "/v1/orders": {
        "post": {
            "summary": "Place an order",
            "description": "The same client order id with the same body gives the same answer, marked as duplicate, "
            "for a minute at least; with another body it is refused.",
            "operationId": "place_order",
            "parameters": [_ACK],
            "requestBody": _body("Order"),
            "responses": {
                **answering(OrderAnswer, "201", "Taken, and as far as asked"),
                **answering(OrderAnswer, "200", "A repeat: the answer to the first request"),
                **answering(OrderAnswer, "202", "Taken, but not yet as far as asked"),
            },
        },
    },
    "/v1/orders/{order_id}": {
        "get": {
            "summary": "Show an order",
            "operationId": "show_order",
            "parameters": [_ORDER_ID],
            "responses": answering(OrderAnswer),
        },
        "delete": {
            "summary": "Cancel an order",
            "operationId": "cancel_order",
            "parameters": [_ORDER_ID, _ACK],
            "responses": {
                **answering(OrderAnswer),
                **answering(OrderAnswer, "202", "Asked for, but not yet as far as asked"),
            },
        },
    },
    "/v1/kill-switch": {
        "post": {
            "summary": "Engage the kill switch: no new orders, and the open ones are cancelled",
            "operationId": "engage_kill_switch",
            "requestBody": _body("KillSwitchRequest"),
            "responses": answering(KillSwitchAnswer),
        },
    },
}
