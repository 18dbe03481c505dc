"""May an order be changed, and what does it reserve meanwhile?"""

from __future__ import annotations

from decimal import Decimal

from bot4_common.given import Expected, Scenario, event
from bot4_common.messages.execution import OrderAmended, OrderPrevented
from bot4_common.messages.gateway import AmendOrder, EngageKillSwitch
from bot4_common.messages.risk import AmendApproved, AmendRefused, ReservationAmended, ReservationReduced
from bot4_risk.state import State
from services.risk.tests.words import MARKET, bought, buy, cancel, given, not_amended, quote, sell


def amend(quantity: str | None = None, price: str | None = None, order_id: str = "1-0") -> AmendOrder:
    return AmendOrder(
        account="ann",
        order_id=order_id,
        quantity=None if quantity is None else Decimal(quantity),
        price=None if price is None else Decimal(price),
    )


def amended(quantity: str, leaves: str, price: str = "100", order_id: str = "1-0") -> OrderAmended:
    return OrderAmended(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        quantity=Decimal(quantity),
        price=Decimal(price),
        leaves=Decimal(leaves),
        session_sequence=2,
    )


def refused(code: str) -> Expected:
    return event(AmendRefused, order_id="1-0", code=code)


def resting(quantity: str = "10") -> Scenario[State]:
    """A buy at 100 with a stop at 90: order 1-0."""
    return given().when(buy(quantity, "100", stop="90"))


def reserved(scenario: Scenario[State]) -> Decimal:
    return scenario.state.account("ann").reserved_on(MARKET, "buy")


def test_until_the_venue_has_spoken_the_larger_quantity_is_reserved() -> None:
    growing = resting().when(amend("15")).then(event(AmendApproved, order_id="1-0", quantity="15", price="100"))
    assert reserved(growing) == 15
    growing.when(amended("15", leaves="15")).then(event(ReservationAmended, quantity="15", leaves="15"))
    assert reserved(growing) == 15


def test_what_a_smaller_amend_frees_is_free_when_it_has_come_through() -> None:
    shrinking = resting().when(amend("4"))
    assert reserved(shrinking) == 10
    assert reserved(shrinking.when(amended("4", leaves="4"))) == 4


def test_a_refused_amend_leaves_everything_as_it_was() -> None:
    refusal = resting().when(amend("15")).when(not_amended())
    refusal.then(event(ReservationAmended, quantity="10", leaves="10", code="BELOW_FILLED"))
    assert reserved(refusal) == 10
    assert refusal.state.account("ann").open_orders["1-0"].amend is None


def test_a_fill_while_an_amend_is_under_way_is_applied() -> None:
    raced = resting().when(amend("15")).when(bought("1-0", "6"))
    assert reserved(raced) == 9
    raced.when(amended("15", leaves="9"))
    assert reserved(raced) == 9
    raced.when(bought("1-0", "9"))
    assert reserved(raced) == 0 and not raced.state.account("ann").open_orders


def test_what_is_filled_whole_is_over_when_its_amend_is_answered() -> None:
    filled = resting().when(amend("15")).when(bought("1-0", "10"))
    filled.when(cancel("1-0")).when(not_amended()).then(event(ReservationAmended, code="BELOW_FILLED"))
    assert reserved(filled) == 0 and not filled.state.account("ann").open_orders


def test_a_fill_that_ends_the_order_ends_the_amend_with_it() -> None:
    over = resting().when(amend("15")).when(not_amended()).when(bought("1-0", "10"))
    assert reserved(over) == 0 and not over.state.account("ann").open_orders


def test_an_amend_is_held_to_the_limits_by_what_it_adds() -> None:
    resting("90").when(amend("100")).then(event(AmendApproved))
    resting("90").when(amend("101")).then(refused("ORDER_SIZE"))
    two = given().when(buy("100", "100", stop="90"), buy("95", "100", stop="90", id="b"))
    two.when(amend("98", order_id="2-0")).then(event(AmendApproved))
    three = given().when(buy("95", "100", stop="90"), buy("95", "100", stop="90", id="b"), buy("9", "100", stop="90"))
    three.when(amend("97")).then(refused("POSITION_LIMIT"))


def test_a_price_beyond_the_collar_is_refused_in_an_amend_too() -> None:
    resting().when(amend(price="110")).then(event(AmendApproved, price="110"))
    resting().when(amend(price="110.01")).then(refused("PRICE_COLLAR"))


def test_one_amend_at_a_time() -> None:
    resting().when(amend("15")).when(amend("16")).then(refused("AMEND_IN_FLIGHT"))


def test_what_is_being_cancelled_is_not_amended() -> None:
    resting().when(cancel("1-0")).when(amend("15")).then(refused("AMEND_IN_FLIGHT"))


def test_what_is_over_is_not_amended() -> None:
    resting().when(bought("1-0", "10")).when(amend("15")).then(refused("ORDER_IS_OVER"))


def test_below_what_is_filled_nothing_is_amended() -> None:
    resting().when(bought("1-0", "5")).when(amend("4")).then(refused("BELOW_FILLED"))


def test_an_amend_to_what_it_is_changes_nothing() -> None:
    resting().when(amend("10", "100")).then(refused("AMEND_NOTHING"))


def test_an_order_amended_to_what_is_filled_is_over() -> None:
    done = resting().when(bought("1-0", "5")).when(amend("5")).when(amended("5", leaves="0"))
    assert not done.state.account("ann").open_orders and reserved(done) == 0


def test_what_a_kill_switch_has_stopped_is_not_amended() -> None:
    resting().when(EngageKillSwitch(account="ann", reason="drill")).when(amend("9")).then(refused("AMEND_IN_FLIGHT"))


def test_a_closing_order_may_not_be_amended_into_an_opening_one() -> None:
    closing = given().when(buy("10", "100", stop="90")).when(bought("1-0", "10")).when(sell("5", "100"))
    closing.when(amend("11", order_id="3-0")).then(event(AmendRefused, code="NOTHING_TO_REDUCE"))
    closing.when(amend("10", order_id="3-0")).then(event(AmendApproved))


def test_a_new_price_is_reserved_at_when_it_has_come_through() -> None:
    moved = resting().when(amend(price="105")).when(amended("10", leaves="10", price="105"))
    assert moved.state.ledger.gross("ann") == 1_050


def test_a_resize_by_the_venue_itself_leaves_the_amend_to_be_answered() -> None:
    resized = resting().when(amend("15")).when(amended("8", leaves="8"))
    assert reserved(resized) == 15 and resized.state.account("ann").open_orders["1-0"].amend is not None
    assert reserved(resized.when(amended("15", leaves="15"))) == 15
    assert resized.state.account("ann").open_orders["1-0"].amend is None


def prevented(quantity: str, leaves: str) -> OrderPrevented:
    return OrderPrevented(
        order_id="1-0",
        child_id="1-0.1",
        account="ann",
        venue="sim",
        other_id="9-0.1",
        quantity=Decimal(quantity),
        leaves=Decimal(leaves),
        session_sequence=3,
    )


def test_the_total_keeps_what_the_venue_prevented() -> None:
    less = resting().when(prevented("4", leaves="6")).then(event(ReservationReduced, quantity="4", prevented=True))
    assert reserved(less) == 6
    less.when(amend(price="101")).then(event(AmendApproved, quantity="10", price="101"))
    assert reserved(less.when(amended("10", leaves="6", price="101"))) == 6


def test_what_closes_a_position_for_risk_is_not_amended() -> None:
    stopped = resting().when(bought("1-0", "10")).when(quote("80", "82"))
    stopped.when(amend("11", order_id="1-0-stop1")).then(event(AmendRefused, code="CLOSES_A_POSITION"))
