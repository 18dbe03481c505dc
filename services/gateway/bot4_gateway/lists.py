"""What became of a list? It is asked for, approved or refused as one, and over when no order of it can trade any more.

Its legs are orders like any: what they are and did stands in their own records.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bot4_common.messages import gateway, risk
from bot4_common.messages.terms import Event, ListKind
from bot4_common.orders import OrderRecord, repeat_code

ListStatus = Literal["received", "approved", "refused", "over"]


class ListRecord(msgspec.Struct, kw_only=True):
    """`legs` are the ids of its orders, in the order they were given in. Times are in ns."""

    list_id: str
    account: str
    client_list_id: str
    kind: ListKind
    legs: list[str]
    status: ListStatus = "received"
    # Why it was refused, and the numbers that explain it.
    code: str = ""
    details: dict[str, str] = {}
    # The list or order that has its id, when this submission came second.
    first: str = ""
    received_at: int = 0
    decided_at: int = 0
    over_at: int = 0

    @property
    def is_over(self) -> bool:
        return self.status in ("refused", "over")


def leg_id(list_id: str, number: int) -> str:
    """The id of a list's order, counted from 1."""
    return f"{list_id}-leg{number}"


def opened_list(event: gateway.PlaceList, list_id: str, at: int) -> tuple[ListRecord, list[OrderRecord]]:
    """The records of the list and of its legs, as they are before risk has decided."""
    legs = [
        OrderRecord(
            order_id=leg_id(list_id, number), account=event.account, order=order, list_id=list_id, received_at=at
        )
        for number, order in enumerate(event.list.orders, start=1)
    ]
    record = ListRecord(
        list_id=list_id,
        account=event.account,
        client_list_id=event.list.client_list_id,
        kind=event.list.kind,
        legs=[leg.order_id for leg in legs],
        received_at=at,
    )
    return record, legs


def advance_list(record: ListRecord, event: Event, at: int) -> None:
    """Applies one event of the list to its record; `at` is when it was decided (ns)."""
    match event:
        case risk.ListApproved():
            record.status, record.decided_at = "approved", at
        case risk.ListRefused():
            record.code, record.details = event.code, event.details
            _refuse(record, at)
        case risk.OrderRepeated():
            record.first = event.first
            record.code = repeat_code(event)
            _refuse(record, at)
        case risk.ListEnded():
            record.status, record.over_at = "over", at


def leg_events(
    event: risk.ListRefused | risk.OrderRepeated, legs: list[OrderRecord], at: int
) -> list[risk.OrderRefused] | list[risk.OrderRepeated]:
    """What the refusal of a list, or that it came second, is for each of its legs."""
    if isinstance(event, risk.ListRefused):
        return [
            risk.OrderRefused(
                order_id=leg.order_id,
                account=leg.account,
                order=leg.order,
                fingerprint="",
                code=event.code,
                details=event.details,
                at=at,
            )
            for leg in legs
        ]
    return [
        risk.OrderRepeated(
            order_id=leg.order_id,
            account=leg.account,
            client_order_id=leg.order.client_order_id,
            first=leg_id(event.first, number),
            same_body=event.same_body,
        )
        for number, leg in enumerate(legs, start=1)
    ]


def _refuse(record: ListRecord, at: int) -> None:
    record.status = "refused"
    record.decided_at = record.over_at = at
