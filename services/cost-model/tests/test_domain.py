"""What did a fill cost, and what would one cost now?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot4_common import venues
from bot4_common.given import NOON, Scenario, event
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.estimate import Estimate, EstimateRefused, EstimateRequest
from bot4_common.messages.execution import OrderExpired, OrderFilled
from bot4_common.messages.market import Quote
from bot4_common.messages.terms import EventId, Liquidity, OrderType, Side
from bot4_common.money import EXACT, ZERO
from bot4_cost_model.domain import CostModel, State, cost, estimate
from bot4_cost_model.fees import FeeSchedule, schedules

SIDES: tuple[Side, Side] = ("buy", "sell")
# 10 bps to take, a rebate of 1 bp to make.
SCHEDULE = FeeSchedule(maker=Decimal("-0.0001"), taker=Decimal("0.001"))
# At the other venue it is free to make, and twice as dear to take.
SCHEDULES = {"sim": SCHEDULE, "far": FeeSchedule(maker=ZERO, taker=Decimal("0.002"))}


def given() -> Scenario[State]:
    return Scenario(CostModel(SCHEDULES), stream="EXECUTION_0")


def fill(
    side: Side = "buy",
    quantity: str = "2",
    price: str = "101",
    liquidity: Liquidity = "taker",
    bid: str = "99",
    ask: str = "101",
    venue: str = "sim",
) -> OrderFilled:
    return OrderFilled(
        order_id="1-0",
        child_id="1-0.1",
        account="ann",
        strategy="s",
        symbol="COIN",
        side=side,
        venue=venue,
        trade_id="t1",
        price=Decimal(price),
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        leaves=Decimal(0),
        liquidity=liquidity,
        bid=Decimal(bid),
        ask=Decimal(ask),
        session_sequence=1,
        traded_at=NOON,
    )


def test_a_fill_is_recorded_with_all_that_names_it() -> None:
    given().when(fill()).then(
        CostRecorded(
            fill=EventId("EXECUTION_0", 1, 0),
            order_id="1-0",
            account="ann",
            strategy="s",
            symbol="COIN",
            venue="sim",
            trade_id="t1",
            side="buy",
            quantity=Decimal(2),
            price=Decimal(101),
            arrival_mid=Decimal(100),
            spread=Decimal(2),
            drift=Decimal(0),
            fee=Decimal("0.202"),
            total=Decimal("2.202"),
        )
    )


@pytest.mark.parametrize(
    ("side", "liquidity", "price", "spread", "drift", "fee", "total"),
    [
        # At the touch that was there on arrival, nothing has drifted.
        ("buy", "taker", "101", "2", "0", "0.202", "2.202"),
        ("sell", "taker", "99", "2", "0", "0.198", "2.198"),
        ("buy", "maker", "99", "-2", "0", "-0.0198", "-2.0198"),
        ("sell", "maker", "101", "-2", "0", "-0.0202", "-2.0202"),
        # The market went away before the fill, or came nearer.
        ("buy", "taker", "103", "2", "4", "0.206", "6.206"),
        ("sell", "taker", "97", "2", "4", "0.194", "6.194"),
        ("buy", "maker", "96", "-2", "-6", "-0.0192", "-8.0192"),
        ("sell", "maker", "104", "-2", "-6", "-0.0208", "-8.0208"),
    ],
)
def test_the_parts_of_a_cost(
    side: Side, liquidity: Liquidity, price: str, spread: str, drift: str, fee: str, total: str
) -> None:
    given().when(fill(side, "2", price, liquidity)).then(
        event(CostRecorded, spread=spread, drift=drift, fee=fee, total=total)
    )


def test_a_fill_that_is_told_late_costs_what_it_would_have() -> None:
    late = replace(fill(), late=True, stop_loss=Decimal(90))
    assert given().when(late).said == given().when(fill()).said


def test_what_is_no_fill_costs_nothing() -> None:
    given().when(
        OrderExpired(
            order_id="1-0",
            child_id="1-0.1",
            account="ann",
            venue="sim",
            quantity=Decimal(1),
            reason="unfilled",
            session_sequence=1,
        )
    ).then_nothing()


PRICES = st.decimals("0.00000001", "1000000000000", places=8)
QUANTITIES = st.decimals("0.00000001", "100000000", places=8)


@drawn(
    side=st.sampled_from(SIDES),
    liquidity=st.sampled_from(["maker", "taker"]),
    quantity=QUANTITIES,
    price=PRICES,
    bid=PRICES,
    ask=PRICES,
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_parts_add_up_to_the_last_digit(
    side: Side, liquidity: Liquidity, quantity: Decimal, price: Decimal, bid: Decimal, ask: Decimal
) -> None:
    """Counted in whole units of 1e-24, where nothing can be rounded."""
    told = fill(side, str(quantity), str(price), liquidity, str(bid), str(ask))
    recorded = cost(told, EventId("EXECUTION_0", 1, 0), SCHEDULE)
    assert units(recorded.spread) + units(recorded.drift) + units(recorded.fee) == units(recorded.total)
    against_mid = 2 * units8(price) - units8(bid) - units8(ask)
    shortfall = (against_mid if side == "buy" else -against_mid) * units8(quantity)
    rate = -1 if liquidity == "maker" else 10
    assert units(recorded.total) == 10**8 // 2 * shortfall + rate * 10**4 * units8(price) * units8(quantity)


def units(value: Decimal) -> int:
    return int(value.scaleb(24, context=EXACT))


def units8(value: Decimal) -> int:
    return int(value.scaleb(8, context=EXACT))


# Estimates

QUOTES = {
    (venue, "COIN"): Quote(
        venue=venue,
        symbol="COIN",
        bid=Decimal(bid),
        ask=Decimal(bid) + 2,
        bid_quantity=Decimal(1),
        ask_quantity=Decimal(1),
        at=NOON,
    )
    for venue, bid in (("sim", 99), ("far", 101))
}


def estimated(
    side: Side, quantity: str, type: OrderType = "market", symbol: str = "COIN", venue: str = ""
) -> Estimate | EstimateRefused:
    request = EstimateRequest(symbol=symbol, side=side, quantity=Decimal(quantity), type=type, venue=venue)
    return estimate(request, QUOTES, SCHEDULES)


@pytest.mark.parametrize(
    ("side", "type", "spread", "fee", "total", "total_bps"),
    [
        ("buy", "market", "2", "0.202", "2.202", "110.1"),
        ("sell", "market", "2", "0.198", "2.198", "109.9"),
        ("buy", "limit", "-2", "-0.0198", "-2.0198", "-100.99"),
        ("sell", "limit", "-2", "-0.0202", "-2.0202", "-101.01"),
    ],
)
def test_an_estimate_is_for_a_fill_at_the_touch(
    side: Side, type: OrderType, spread: str, fee: str, total: str, total_bps: str
) -> None:
    assert estimated(side, "2", type) == Estimate(
        symbol="COIN",
        side=side,
        quantity=Decimal(2),
        type=type,
        venue="sim",
        bid=Decimal(99),
        ask=Decimal(101),
        spread=Decimal(spread),
        fee=Decimal(fee),
        total=Decimal(total),
        total_bps=Decimal(total_bps),
    )


@pytest.mark.parametrize("side", SIDES)
def test_the_estimate_of_a_fill_is_its_cost_when_it_comes_true(side: Side) -> None:
    foreseen = estimated(side, "2")
    assert isinstance(foreseen, Estimate)
    came = cost(fill(side, "2", "101" if side == "buy" else "99"), EventId("EXECUTION_0", 1, 0), SCHEDULE)
    assert (came.spread, came.drift, came.fee, came.total) == (foreseen.spread, ZERO, foreseen.fee, foreseen.total)


def test_basis_points_are_rounded_to_four_digits() -> None:
    foreseen = estimated("buy", "0.00000003")
    assert isinstance(foreseen, Estimate)
    assert str(foreseen.total_bps) == "110.1"


def test_without_a_market_there_is_no_estimate() -> None:
    assert estimated("buy", "2", symbol="DOGE") == EstimateRefused(
        code="NO_MARKET", details={"symbol": "DOGE", "venue": "sim"}
    )


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "sNaN", "Infinity", "1E+18", "1E-19", "1E+999999", "1E-999999"])
def test_a_quantity_that_cannot_be_computed_with_is_refused(quantity: str) -> None:
    refused = estimated("buy", quantity)
    assert isinstance(refused, EstimateRefused)
    assert (refused.code, refused.details["field"]) == ("BAD_FIELD", "quantity")


def test_the_largest_and_the_smallest_quantity_can_be_estimated() -> None:
    for quantity in ("999999999999999999.999999999999999999", "0.000000000000000001"):
        foreseen = estimated("buy", quantity)
        assert isinstance(foreseen, Estimate)
        assert foreseen.total_bps == Decimal("110.1")


def test_the_shipped_schedule_charges_takers_more() -> None:
    schedule = schedules(venues.shipped().values())["sim"]
    assert schedule.fee(Decimal(10_000), "maker") == 2
    assert schedule.fee(Decimal(10_000), "taker") == 4


def test_each_venue_charges_its_own_fees() -> None:
    given().when(fill(price="100")).then(event(CostRecorded, venue="sim", fee="0.2"))
    given().when(fill(price="100", venue="far")).then(event(CostRecorded, venue="far", fee="0.4"))


def test_an_estimate_is_of_the_venue_that_it_is_asked_for() -> None:
    foreseen = estimated("buy", "2", venue="far")
    assert isinstance(foreseen, Estimate)
    assert (foreseen.venue, foreseen.ask, foreseen.fee) == ("far", Decimal(103), Decimal("0.412"))


def test_an_unknown_venue_is_refused_with_the_known_ones() -> None:
    refused = EstimateRefused(code="UNKNOWN_VENUE", details={"venue": "near", "venues": "sim, far"})
    assert estimated("buy", "2", venue="near") == refused
