"""Does a native list go to the venue as one request, and live on leg by leg?"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.given import NOON, SECOND, Scenario, event
from bot4_common.messages.execution import (
    ListLeg,
    ListSent,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    OrderSent,
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.risk import Leg, ListApproved
from bot4_execution.requests import RECEIVE_WINDOW_NS
from bot4_execution.state import State
from services.execution.tests.words import (
    ORDER,
    accepted,
    amended,
    approved,
    cancelled,
    filled,
    given,
    rejected,
    tick,
)

# An OCO that sells above the market or below it.
TARGET = replace(ORDER, client_order_id="c1", side="sell", price=Decimal(110), reduce_only=True, stop_loss=None)
STOP = replace(TARGET, client_order_id="c2", type="stop_market", price=None, stop_price=Decimal(90))
LEG1, LEG2 = "1-0-leg1", "1-0-leg2"


def list_approved(native: bool = True) -> ListApproved:
    return ListApproved(
        list_id="1-0",
        account="ann",
        client_list_id="l1",
        kind="oco",
        native=native,
        legs=[Leg(order_id=LEG1, order=TARGET), Leg(order_id=LEG2, order=STOP)],
        fingerprint="f",
        bid=Decimal(99),
        ask=Decimal(101),
        at=NOON,
    )


def sent() -> Scenario[State]:
    return given().when(list_approved())


def opened() -> Scenario[State]:
    return sent().when(accepted(1, f"{LEG1}.1"), accepted(2, f"{LEG2}.1"))


def of(leg: str, **fields: object) -> dict[str, object]:
    return {"order_id": leg, "child_id": f"{leg}.1", "account": "ann", "venue": "sim", **fields}


def test_its_legs_are_sent_in_one_request() -> None:
    said = {"bid": "99", "ask": "101", "sent_at": NOON, "expires_at": NOON + RECEIVE_WINDOW_NS}
    sent().then(
        event(OrderSent, **of(LEG1, order=TARGET, list_id="1-0", **said)),
        event(OrderSent, **of(LEG2, order=STOP, list_id="1-0", **said)),
        ListSent(
            list_id="1-0",
            child_id=f"{LEG1}.1",
            account="ann",
            venue="sim",
            kind="oco",
            legs=[ListLeg(child_id=f"{LEG1}.1", order=TARGET), ListLeg(child_id=f"{LEG2}.1", order=STOP)],
            sent_at=NOON,
            expires_at=NOON + RECEIVE_WINDOW_NS,
        ),
    )


def test_the_approvals_of_its_legs_send_nothing_more() -> None:
    sent().when(approved(LEG1, TARGET), approved(LEG2, STOP)).then_nothing()


def test_a_list_heard_twice_is_sent_once() -> None:
    sent().when(list_approved()).then_nothing()


def test_it_goes_to_the_venue_that_its_legs_name() -> None:
    legs = [Leg(order_id=LEG1, order=replace(TARGET, venue="b")), Leg(order_id=LEG2, order=replace(STOP, venue="b"))]
    given().when(replace(list_approved(), legs=legs)).then(
        event(OrderSent, venue="b"), event(OrderSent, venue="b"), event(ListSent, venue="b")
    )


def test_an_emulated_list_is_nothing_until_a_leg_is_approved() -> None:
    emulated = given().when(list_approved(native=False)).then_nothing()
    emulated.when(replace(approved(LEG1, TARGET), list_id="1-0")).then(event(OrderSent, **of(LEG1, list_id="")))


def test_each_leg_has_its_own_life() -> None:
    alive = opened().then(event(OrderAcknowledged, **of(LEG1)), event(OrderAcknowledged, **of(LEG2)))
    alive.when(filled(3, "10", "10", side="sell", child_id=f"{LEG1}.1"), cancelled(4, child_id=f"{LEG2}.1")).then(
        event(OrderFilled, **of(LEG1)), event(OrderCancelled, **of(LEG2))
    )
    assert {id: child.stage for id, child in alive.state.finished.items()} == {
        f"{LEG1}.1": "filled",
        f"{LEG2}.1": "cancelled",
    }


def test_a_list_that_is_refused_is_refused_leg_by_leg() -> None:
    refused = sent().when(rejected(1, "LIST_PRICES", f"{LEG1}.1"), rejected(2, "LIST_PRICES", f"{LEG2}.1"))
    refused.then(event(OrderRejected, **of(LEG1)), event(OrderRejected, **of(LEG2)))
    assert refused.state.live == {}


def test_a_leg_that_the_venue_resizes_is_resized() -> None:
    opened().when(replace(amended(3, "6"), child_id=f"{LEG2}.1")).then(
        event(OrderAmended, **of(LEG2, quantity="6", leaves="6"))
    )


def test_without_an_answer_the_venue_is_asked_about_each_leg() -> None:
    silent = sent().after(SECOND)
    silent.when(tick(silent)).then(
        event(OutcomeUnknown, **of(LEG1, request="order")),
        event(QuerySent, **of(LEG1)),
        event(OutcomeUnknown, **of(LEG2, request="order")),
        event(QuerySent, **of(LEG2)),
    )
