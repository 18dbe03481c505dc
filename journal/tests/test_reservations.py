"""What may still fill of an order, where the venue and an amend of ours meet."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot4_common import streams
from bot4_common.messages.execution import AmendRejected, OrderAmended
from bot4_common.messages.risk import AmendApproved, OrderApproved, ReservationAmended
from bot4_common.messages.terms import EventId, Order
from bot4_journal.audit.findings import Finding, Findings
from bot4_journal.audit.reservations import ReservationRules

PRICE = Decimal(100)
# A leg of a list that its venue keeps.
LEG = Order(
    client_order_id="c",
    symbol="BTC-USDT",
    side="sell",
    type="limit",
    quantity=Decimal(10),
    price=PRICE,
    strategy="s",
    reduce_only=True,
    venue="a",
)
ORDER_ID = "1-0-leg1"


class Heard:
    """Rules that have been told of the order, and of an amend of it to 8."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.rules = ReservationRules(self.findings)
        self._sequence = 0
        approved = OrderApproved(
            order_id=ORDER_ID, account="ann", order=LEG, fingerprint="", bid=PRICE, ask=PRICE, opening=False, at=1,
            list_id="1-0",
        )  # fmt: skip
        self.rules.begin(EventId(streams.RISK, 1, 0), approved)
        self.risk(AmendApproved(order_id=ORDER_ID, account="ann", quantity=Decimal(8), price=PRICE, at=1))

    def risk(self, event: AmendApproved | ReservationAmended, cause: EventId | None = None) -> None:
        self._sequence += 1
        self.rules.hear(EventId(streams.RISK, self._sequence, 0), event, cause)

    def resized(self, quantity: int) -> None:
        """Told by the venue, and settled."""
        told = OrderAmended(quantity=Decimal(quantity), price=PRICE, leaves=Decimal(quantity), **self._known())
        self._settled(told, quantity, "")

    def rejected(self, stands_at: int) -> None:
        self._settled(AmendRejected(code="BELOW_FILLED", **self._known()), stands_at, "BELOW_FILLED")

    def _settled(self, told: OrderAmended | AmendRejected, quantity: int, code: str) -> None:
        self._sequence += 1
        id = EventId(streams.EXECUTION, self._sequence, 0)
        self.rules.told(id, told)
        settled = Decimal(quantity)
        self.risk(
            ReservationAmended(
                order_id=ORDER_ID, account="ann", quantity=settled, price=PRICE, leaves=settled, code=code
            ),
            id,
        )

    def _known(self) -> dict[str, Any]:
        return {
            "order_id": ORDER_ID,
            "child_id": f"{ORDER_ID}.1",
            "account": "ann",
            "venue": "a",
            "session_sequence": self._sequence,
        }

    @property
    def wrong(self) -> list[Finding]:
        return self.findings.kept


def test_an_amend_that_is_answered_is_over() -> None:
    heard = Heard()
    heard.resized(8)
    assert heard.wrong == []
    heard.rejected(8)
    assert [each.rule for each in heard.wrong] == ["amend"]


def test_a_resize_by_the_venue_itself_leaves_the_amend_to_be_answered() -> None:
    heard = Heard()
    heard.resized(6)
    heard.rejected(6)
    assert heard.wrong == []


def test_while_an_amend_is_to_be_answered_there_is_no_other() -> None:
    heard = Heard()
    heard.resized(6)
    heard.risk(AmendApproved(order_id=ORDER_ID, account="ann", quantity=Decimal(7), price=PRICE, at=1))
    assert [each.rule for each in heard.wrong] == ["amend"]
