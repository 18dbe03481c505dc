"""What did a caller write? JSON bodies as messages, or a refusal that names the field and its rule.

A JSON number would have been a float on its way here, so prices and quantities are text.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from bot4_common.errors import Refused
from bot4_common.messages.terms import Order, OrderList, ReplaceMode

# An order has a few hundred bytes, a list of them some two thousand.
BODY_MAX = 16_384

# Plain notation, and not more digits than the exact arithmetic is made for.
NUMBER_PATTERN = r"[0-9]{1,12}(\.[0-9]{1,18})?"
_NUMBER = re.compile(NUMBER_PATTERN)
_NUMBER_RULE = 'a decimal number above zero as text, in plain notation, such as "0.015"'
# What of an order is such a number.
NUMBERS = ("quantity", "price", "stop_loss", "stop_price", "activation_price", "display_quantity")

_PLACE = re.compile(r"`\$\.([^`]+)`")

S = TypeVar("S", bound=msgspec.Struct)


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the order shall have: `quantity` in all, what is filled included. What is absent stays as it is."""

    quantity: Decimal | None = None
    price: Decimal | None = None


class ReplaceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `allow_failure` the order is placed also if the one that it replaces cannot be cancelled."""

    order: Order
    mode: ReplaceMode = "stop_on_failure"


async def read_body(request: Request, size_max: int = BODY_MAX) -> bytes:
    """Raises `Refused` as soon as the body is too large."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > size_max:
        raise Refused("BODY_TOO_LARGE", size=length, size_max=str(size_max))
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > size_max:
                raise Refused("BODY_TOO_LARGE", size_max=str(size_max))
    except ClientDisconnect:
        raise Refused("BAD_BODY", reason="the connection ended before the body did") from None
    return bytes(body)


def decode_order(body: bytes) -> Order:
    """Raises `Refused`, as all of these do."""
    fields = decode(body)
    _check_numbers(fields)
    return convert(fields, Order)


def decode_amend(body: bytes) -> AmendRequest:
    fields = decode(body)
    _check_numbers(fields)
    return convert(fields, AmendRequest)


def decode_replace(body: bytes) -> ReplaceRequest:
    fields = decode(body)
    _check_numbers(fields.get("order"), "order.")
    return convert(fields, ReplaceRequest)


def decode_list(body: bytes) -> OrderList:
    fields = decode(body)
    orders = fields.get("orders")
    for number, order in enumerate(orders if isinstance(orders, list) else []):
        _check_numbers(order, f"orders[{number}].")
    return convert(fields, OrderList)


def check_number(field: str, value: object) -> None:
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        raise Refused("BAD_FIELD", field=field, rule=_NUMBER_RULE)


def decode(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise Refused("BAD_BODY", reason=str(error)[:200]) from None
    if not isinstance(fields, dict):
        raise Refused("BAD_BODY", reason="a JSON object is wanted")
    return fields


def convert(fields: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        reason = str(error)[:200]
        place = _PLACE.search(reason)
        if place is None:
            raise Refused("BAD_BODY", reason=reason) from None
        raise Refused("BAD_FIELD", field=place[1], rule=reason.partition(" - at ")[0]) from None


def _check_numbers(fields: object, place: str = "") -> None:
    """The numbers of an order, if it is one; `place` is where it stands in the body."""
    if not isinstance(fields, dict):
        return
    for name in NUMBERS:
        if fields.get(name) is not None:
            check_number(place + name, fields[name])
