"""How is the interface described? FastAPI's OpenAPI document, with what msgspec knows of bodies and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bot4_gateway.answers import ErrorAnswer, ListAnswer, OrderAnswer
from bot4_gateway.bodies import NUMBER_PATTERN, NUMBERS
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
                [*bodies.values(), *kinds, OrderAnswer, ListAnswer, ErrorAnswer], ref_template=_WHERE
            )
            written = {name: _as_text(schemas[name]) for name in ("Order", "AmendRequest")}
            made["components"] = {
                "schemas": {**schemas, **written},
                "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            }
            made["security"] = [{"ApiKey": []}]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """A body as a caller writes it: numbers are text in plain notation, nothing else."""
    number = {"type": "string", "pattern": f"^{NUMBER_PATTERN}$", "examples": ["0.015"]}
    optional = {"anyOf": [number, {"type": "null"}], "default": None}
    written = {
        name: number if name in schema.get("required", ()) else optional
        for name in NUMBERS
        if name in schema["properties"]
    }
    return {**schema, "properties": {**schema["properties"], **written}}


def _content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _WHERE.format(name=name)}}}


def body_of(name: str) -> dict[str, Any]:
    return {"required": True, "content": _content(name)}


_ORDER_ID = {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}}
_LIST_ID = {"name": "list_id", "in": "path", "required": True, "schema": {"type": "string"}}
_ACK = {
    "name": "ack",
    "in": "query",
    "description": "How far the order must have come before the answer. After two seconds the answer is 202 and how "
    "things stand then.",
    "schema": {"type": "string", "enum": list(get_args(Ack)), "default": "venue"},
}

_OVERRIDE = [
    {
        "name": name,
        "in": "header",
        "description": "For an order that no signal caused, while the gate asks for one.",
        "schema": {"type": "string"},
    }
    for name in ("X-Override-Key", "X-Override-Reason")
]


def _taken(kind: type[msgspec.Struct]) -> dict[int | str, Any]:
    return {
        **answering(kind, "201", "Taken, and as far as asked"),
        **answering(kind, "200", "A repeat: the answer to the first request"),
        **answering(kind, "202", "Taken, but not yet as far as asked"),
    }


def _asked_for(kind: type[msgspec.Struct]) -> dict[int | str, Any]:
    return {**answering(kind), **answering(kind, "202", "Asked for, but not yet as far as asked")}


# What does not pass through FastAPI.
_ORDERS: dict[str, dict[str, Any]] = {
    "/v1/orders": {
        "post": {
            "summary": "Place an order",
            "description": "The same client order id with the same body gives the same answer, marked as duplicate, "
            "for a minute at least; with another body it is refused.",
            "operationId": "place_order",
            "parameters": [_ACK, *_OVERRIDE],
            "requestBody": body_of("Order"),
            "responses": _taken(OrderAnswer),
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
            "responses": _asked_for(OrderAnswer),
        },
        "patch": {
            "summary": "Amend an order",
            "description": "Gives it another total quantity, what is filled included, another price, or both. A lower "
            "quantity at the same price keeps its place in the queue. Asking for what already is changes nothing.",
            "operationId": "amend_order",
            "parameters": [_ORDER_ID, _ACK],
            "requestBody": body_of("AmendRequest"),
            "responses": _asked_for(OrderAnswer),
        },
    },
    "/v1/orders/{order_id}/replace": {
        "post": {
            "summary": "Cancel an order and place another",
            "description": "The new order is held until the old one is over. If that cannot be cancelled, it is placed "
            "only with the mode `allow_failure`. Repeats are recognised by the new order's client order id.",
            "operationId": "replace_order",
            "parameters": [_ORDER_ID, _ACK, *_OVERRIDE],
            "requestBody": body_of("ReplaceRequest"),
            "responses": _taken(OrderAnswer),
        },
    },
    "/v1/lists": {
        "post": {
            "summary": "Place orders that depend on each other",
            "description": "All of them are taken or none. OCO and OUO have two orders, OTO a parent and a child, and "
            "OTOCO a parent and two that are an OCO once it is filled. Repeats are recognised by the client list id, "
            "which must not be that of an order either. Waiting for the venue is waiting for every order that works "
            "now.",
            "operationId": "place_list",
            "parameters": [_ACK, *_OVERRIDE],
            "requestBody": body_of("OrderList"),
            "responses": _taken(ListAnswer),
        },
    },
    "/v1/lists/{list_id}": {
        "get": {
            "summary": "Show a list",
            "operationId": "show_list",
            "parameters": [_LIST_ID],
            "responses": answering(ListAnswer),
        },
        "delete": {
            "summary": "Cancel all orders of a list",
            "operationId": "cancel_list",
            "parameters": [_LIST_ID, _ACK],
            "responses": _asked_for(ListAnswer),
        },
    },
}
