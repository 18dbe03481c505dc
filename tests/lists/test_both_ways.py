"""Does a list end the same at a venue that has lists and at one that has not?

Compared are, for each leg, what it filled, for how much money, and how it ended, and the position. That holds step by
step where the street is fast: nothing else happens at the venue between news and what is done about it. What cannot be
the same is told by tests of its own: a slow street, where the market moves on between a trigger and the stop that is
sent (then no list fills twice, and that is all); a stop-limit leg of an OUO that triggers and rests, beside which a
venue that has lists goes on working the other leg; and two limit legs of one price, of which either may fill first.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.instruments import LEGS
from bot4_common.messages.terms import ListKind, Order, OrderType, Side, TimeInForce, opposite
from tests.lists.street import (
    SYMBOL,
    AmendLeg,
    CancelLeg,
    CancelList,
    Deliver,
    Emulated,
    Fate,
    Flow,
    Native,
    Outcome,
    Own,
    Quote,
    Script,
    Step,
)


def order(
    side: Side,
    type: OrderType,
    lots: int,
    price: int | None = None,
    stop: int | None = None,
    time_in_force: TimeInForce = "gtc",
    reduce_only: bool = False,
) -> Order:
    return Order(
        client_order_id="c",
        symbol=SYMBOL,
        side=side,
        type=type,
        quantity=Decimal(lots),
        strategy="s",
        price=None if price is None else Decimal(price),
        stop_price=None if stop is None else Decimal(stop),
        time_in_force=time_in_force,
        reduce_only=reduce_only,
        venue="b",
    )


def limit(side: Side, lots: int, price: int, time_in_force: TimeInForce = "gtc", reduce_only: bool = False) -> Order:
    return order(side, "limit", lots, price, time_in_force=time_in_force, reduce_only=reduce_only)


def stop(side: Side, lots: int, trigger: int, price: int | None = None, reduce_only: bool = False) -> Order:
    kind: OrderType = "stop_market" if price is None else "stop_limit"
    return order(side, kind, lots, price, trigger, reduce_only=reduce_only)


def both(kind: ListKind, orders: tuple[Order, ...], *steps: Step, held: int = 0) -> Outcome:
    """What became of the list, which is the same both ways."""
    script = Script(kind=kind, orders=orders, steps=steps, held=held)
    native, emulated = Native().run(script), Emulated().run(script)
    assert native == emulated
    return native


def ends(outcome: Outcome) -> list[tuple[int, str]]:
    return [(leg.filled, leg.end) for leg in outcome.legs]


TAKE, STOP = limit("sell", 10, 110), stop("sell", 10, 90)
BUY = limit("buy", 10, 95)
# The ask falls to the parent's price, and somebody sells all it wants.
DIP = Quote(93, 95, 5, 50)


# 30


def test_30_a_partial_fill_of_one_leg_cancels_the_other_whole() -> None:
    outcome = both("oco", (TAKE, STOP), Quote(110, 112, 4), Quote(80, 120))
    assert ends(outcome) == [(4, "open"), (0, "cancelled")]


def test_30_a_whole_fill_too() -> None:
    outcome = both("oco", (STOP, TAKE), Quote(111, 112, 40), Quote(80, 120))
    assert ends(outcome) == [(0, "cancelled"), (10, "filled")]
    # 1: it rested at its own price.
    assert outcome.legs[1].paid == 1100 and outcome.position == -10


def test_30_the_trigger_cancels_the_limit_leg_for_good() -> None:
    outcome = both("oco", (TAKE, stop("sell", 10, 90, price=88)), Quote(80, 95, 3), Quote(112, 114, 50))
    assert ends(outcome) == [(0, "cancelled"), (10, "filled")]
    outcome = both("oco", (TAKE, stop("sell", 10, 90, price=88)), Quote(80, 95, 3))
    assert ends(outcome) == [(0, "cancelled"), (0, "open")]


def test_30_a_leg_that_does_not_rest_takes_the_other_along() -> None:
    assert ends(both("oco", (limit("sell", 10, 110, "ioc"), STOP))) == [(0, "expired"), (0, "cancelled")]


def test_30_what_the_triggered_stop_cannot_sell_expires() -> None:
    outcome = both("oco", (TAKE, STOP), Quote(89, 95, 4), Quote(112, 114))
    assert outcome.legs == (Fate(0, 0, "cancelled"), Fate(4, 356, "expired"))


# 31


@pytest.mark.parametrize("leg", [0, 1])
def test_31_cancelling_one_leg_cancels_the_list(leg: int) -> None:
    outcome = both("oco", (TAKE, STOP), CancelLeg(leg), Quote(120, 121, 50), Quote(80, 81, 50))
    assert ends(outcome) == [(0, "cancelled"), (0, "cancelled")]


def test_31_cancelling_the_list_cancels_parent_and_children() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), CancelList(), DIP)
    assert ends(outcome) == [(0, "cancelled")] * 3


@pytest.mark.parametrize("leg", [0, 1])
@pytest.mark.parametrize("lots", [4, 15])
def test_31_amending_one_leg_amends_both(leg: int, lots: int) -> None:
    assert ends(both("oco", (TAKE, STOP), AmendLeg(leg, lots), Quote(110, 112, 50)))[0] == (lots, "filled")
    assert ends(both("oco", (TAKE, STOP), AmendLeg(leg, lots), Quote(90, 95, 50)))[1] == (lots, "filled")


def test_31_an_amend_to_what_is_filled_ends_the_list() -> None:
    outcome = both("ouo", (TAKE, STOP), Quote(110, 112, 4), AmendLeg(0, 4), Quote(80, 81, 50))
    assert ends(outcome) == [(4, "cancelled"), (0, "cancelled")]


def test_31_children_that_wait_are_amended_together() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), AmendLeg(1, 6), DIP, Quote(89, 90, 50))
    assert ends(outcome) == [(10, "filled"), (0, "cancelled"), (6, "filled")]


# 32


def test_32_of_two_legs_that_are_hit_in_one_step_one_wins() -> None:
    # Somebody buys up to 110, and at that very price the market is gone.
    flow = Flow("buy", 3, 110), Quote(80, 81, 50)
    outcome = both("oco", (TAKE, STOP), Quote(105, 111), *flow)
    assert ends(outcome) == [(3, "open"), (0, "cancelled")]


# 33


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(("price", "trigger"), [(110, 90), (90, 110), (100, 90), (110, 100), (99, 90), (110, 99)])
def test_33_limit_market_and_stop_are_in_order(side: Side, price: int, trigger: int) -> None:
    outcome = both("oco", (limit(side, 10, price), stop(side, 10, trigger)))
    assert outcome.refused == _refusal(side, price, trigger)


def _refusal(side: Side, price: int, trigger: int) -> str:
    in_order = price > 100 > trigger if side == "sell" else price < 100 < trigger
    if not in_order:
        return "LIST_PRICES"
    return "STOP_ALREADY_PASSED" if side == "sell" and trigger == 99 else ""


def test_33_legs_that_are_no_alternatives_are_refused() -> None:
    assert both("oco", (TAKE, stop("sell", 9, 90))).refused == "LIST_LEGS_DIFFER"
    assert both("oco", (TAKE, stop("buy", 10, 90))).refused == "LIST_LEGS_DIFFER"
    assert both("oco", (TAKE, TAKE)).refused == "LIST_LEGS_DIFFER"
    assert both("otoco", (BUY, limit("sell", 10, 90), stop("sell", 10, 110))).refused == "LIST_PRICES"


# 34


def test_34_children_wait_until_their_parent_is_filled_whole() -> None:
    outcome = both("oto", (BUY, limit("sell", 10, 99)), Quote(90, 120), Flow("sell", 4, 95), Quote(105, 106, 50))
    assert ends(outcome) == [(4, "open"), (0, "open")]
    outcome = both("oto", (BUY, limit("sell", 10, 99)), Quote(90, 120), Flow("sell", 10, 95), Quote(105, 106, 50))
    assert ends(outcome) == [(10, "filled"), (10, "filled")]
    assert outcome.position == 0


def test_34_a_parent_that_is_cancelled_takes_its_children_along_even_if_it_was_filled_in_part() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), Quote(90, 120), Flow("sell", 4, 95), CancelLeg(0), Quote(80, 81, 50))
    assert ends(outcome) == [(4, "cancelled"), (0, "cancelled"), (0, "cancelled")]
    assert outcome.position == 4


def test_34_so_does_one_that_finds_too_little() -> None:
    parent = order("buy", "market", 60)
    assert ends(both("oto", (parent, limit("sell", 60, 110)))) == [(50, "expired"), (0, "cancelled")]


def test_34_armed_children_are_an_oco() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), DIP, Quote(90, 92, 50), Quote(110, 111, 50))
    assert ends(outcome) == [(10, "filled"), (0, "cancelled"), (10, "filled")]
    outcome = both("otoco", (BUY, TAKE, STOP), DIP, Quote(110, 111, 3), Quote(80, 81, 50))
    assert ends(outcome) == [(10, "filled"), (3, "open"), (0, "cancelled")]


def test_34_a_child_that_the_market_has_passed_when_it_arms_is_refused_with_its_sibling() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), Quote(88, 95, 5, 50), Quote(80, 120, 50))
    assert ends(outcome) == [(10, "filled"), (0, "cancelled"), (0, "rejected")]


def test_34_a_parent_may_be_a_stop() -> None:
    legs = stop("buy", 10, 110), limit("sell", 10, 120)
    outcome = both("oto", legs, Quote(108, 110, 5, 50), Quote(121, 122, 50))
    assert ends(outcome) == [(10, "filled"), (10, "filled")]
    assert ends(both("oto", legs, CancelLeg(0))) == [(0, "cancelled"), (0, "cancelled")]


def test_34_cancelling_a_child_that_waits_leaves_the_parent_alone() -> None:
    outcome = both("otoco", (BUY, TAKE, STOP), CancelLeg(2), DIP)
    assert ends(outcome) == [(10, "filled"), (0, "cancelled"), (0, "cancelled")]


# 35


def test_35_a_partial_fill_leaves_the_other_leg_the_remainder() -> None:
    outcome = both("ouo", (TAKE, STOP), Quote(110, 112, 4), Quote(90, 95, 50))
    assert outcome.legs == (Fate(4, 440, "cancelled"), Fate(6, 540, "filled"))


def test_35_of_two_limit_legs_the_nearer_fills_first() -> None:
    legs = limit("sell", 10, 110), limit("sell", 10, 105)
    assert ends(both("ouo", legs, Quote(105, 112, 4))) == [(0, "open"), (4, "open")]
    assert ends(both("ouo", legs, Flow("buy", 80, 112))) == [(0, "cancelled"), (10, "filled")]


def test_35_of_two_stops_the_first_to_trigger_ends_the_other() -> None:
    legs = STOP, order("sell", "take_profit_market", 10, stop=110)
    assert ends(both("ouo", legs, Quote(110, 112, 50))) == [(0, "cancelled"), (10, "filled")]
    assert ends(both("ouo", legs, Quote(85, 90, 4))) == [(4, "expired"), (0, "cancelled")]


# 36


def test_36_legs_that_only_reduce_reserve_the_position_once_and_are_trimmed_together() -> None:
    legs = limit("sell", 10, 110, reduce_only=True), stop("sell", 10, 90, reduce_only=True)
    outcome = both("oco", legs, Own("sell", 4), Quote(90, 95, 50), held=10)
    assert ends(outcome) == [(0, "cancelled"), (6, "filled")]
    assert outcome.position == 0
    assert ends(both("oco", legs, Own("sell", 10), Quote(90, 95, 50), held=10)) == [(0, "cancelled"), (0, "cancelled")]


# Where both ways cannot be the same


def test_a_stop_limit_of_an_ouo_works_alone_once_it_has_triggered() -> None:
    """Two that can rest would both be at the venue: its amends come too late to keep both from filling."""
    legs = TAKE, stop("sell", 10, 90, price=89)
    script = Script(kind="ouo", orders=legs, steps=(Quote(85, 87),))
    assert ends(Native().run(script)) == [(0, "open"), (0, "open")]
    assert ends(Emulated().run(script)) == [(0, "cancelled"), (0, "open")]


def test_of_two_limit_legs_at_one_price_the_first_works_whatever_place_an_amend_costs_it() -> None:
    legs = limit("sell", 10, 110), limit("sell", 10, 110)
    script = Script(kind="ouo", orders=legs, steps=(AmendLeg(0, 11), Quote(110, 112, 4)))
    assert ends(Native().run(script)) == [(0, "open"), (4, "open")]
    assert ends(Emulated().run(script)) == [(4, "open"), (0, "open")]


def slowly(kind: ListKind, orders: tuple[Order, ...], *steps: Step) -> Outcome:
    return Emulated(slow=True).run(Script(kind=kind, orders=orders, steps=steps))


# Four are bought at 110, and before anybody hears of it the market is at 85.
CRASH = Quote(110, 112, 4), Quote(85, 95, 50)


def test_a_fill_that_is_on_its_way_when_the_trigger_is_reached_ends_the_stop() -> None:
    assert ends(slowly("oco", (TAKE, STOP), *CRASH)) == [(4, "cancelled"), (0, "cancelled")]
    assert ends(slowly("oco", (TAKE, STOP), Quote(110, 112, 10), CRASH[1])) == [(10, "filled"), (0, "cancelled")]


def test_the_stop_of_an_ouo_is_sent_for_what_such_a_fill_has_left() -> None:
    assert ends(slowly("ouo", (TAKE, STOP), *CRASH)) == [(4, "cancelled"), (6, "filled")]


def test_the_stop_is_sent_when_the_cancel_is_heard_of_and_not_before() -> None:
    early = slowly("oco", (TAKE, STOP), Quote(90, 95, 50), Deliver(1), Quote(70, 71, 50))
    late = slowly("oco", (TAKE, STOP), Quote(90, 95, 50), Quote(70, 71, 50))
    assert (early.legs[1], late.legs[1]) == (Fate(10, 900, "filled"), Fate(10, 700, "filled"))


# Any list, any market


def _legs(side: Side, lots: int) -> st.SearchStrategy[tuple[Order, ...]]:
    """A limit order and a stop, in either order: mostly around the market."""
    above, below, anywhere = st.integers(102, 108), st.integers(92, 98), st.integers(94, 106)
    prices, triggers = (above, below) if side == "sell" else (below, above)
    taking = st.builds(limit, st.just(side), st.just(lots), st.one_of(prices, prices, prices, anywhere))
    stopping = st.builds(stop, st.just(side), st.just(lots), triggers, st.none() | anywhere)
    return st.tuples(taking, stopping).flatmap(st.permutations).map(tuple)


def _partners(side: Side, lots: int) -> st.SearchStrategy[tuple[Order, ...]]:
    """As above, but only stops that do not rest; or limit orders of two prices, or a stop and a take-profit."""
    prices = st.integers(101, 108) if side == "sell" else st.integers(92, 99)
    triggers = st.integers(92, 98) if side == "sell" else st.integers(102, 108)
    resting = st.builds(limit, st.just(side), st.just(lots), prices)
    stopping = st.builds(stop, st.just(side), st.just(lots), triggers)
    taking = st.builds(order, st.just(side), st.just("take_profit_market"), st.just(lots), st.none(), prices)
    two_prices = st.tuples(resting, resting).filter(lambda legs: legs[0].price != legs[1].price)
    pairs = st.tuples(resting, stopping) | two_prices | st.tuples(taking, stopping)
    return pairs.flatmap(st.permutations).map(tuple)


def _parents(side: Side, lots: int) -> st.SearchStrategy[Order]:
    prices = st.integers(96, 104)
    return st.one_of(
        st.builds(limit, st.just(side), st.just(lots), prices),
        st.just(order(side, "market", lots)),
        st.builds(stop, st.just(side), st.just(lots), prices),
    )


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    kind: ListKind = draw(st.sampled_from(["oco", "oto", "otoco", "ouo"]))
    side: Side = draw(st.sampled_from(["buy", "sell"]))
    lots = draw(st.integers(2, 6))
    legs = draw(_partners(side, lots) if kind == "ouo" else _legs(side, lots))
    if kind in ("oto", "otoco"):
        parent = draw(_parents(opposite(side), lots))
        legs = (parent, *legs[: 1 if kind == "oto" else 2])
    spread, size = st.integers(1, 3), st.integers(0, 12)
    bids = st.integers(90, 109)
    quotes = st.builds(lambda bid, wide, *sizes: Quote(bid, bid + wide, *sizes), bids, spread, size, size)
    steps: st.SearchStrategy[Step] = st.one_of(
        quotes,
        quotes,
        st.builds(Flow, st.sampled_from(["buy", "sell"]), st.integers(1, 12), st.integers(90, 110), st.booleans()),
        st.builds(AmendLeg, st.integers(0, len(legs) - 1), st.integers(1, 15)),
        st.builds(CancelLeg, st.integers(0, len(legs) - 1)) if draw(st.integers(0, 3)) == 0 else quotes,
        st.just(CancelList()) if draw(st.integers(0, 7)) == 0 else quotes,
    )
    return Script(kind=kind, orders=legs, steps=tuple(draw(st.lists(steps, max_size=8))))


@given(scripts())
@settings(max_examples=1_500, deadline=None)
def test_a_list_ends_the_same_both_ways(script: Script) -> None:
    both(script.kind, script.orders, *script.steps)


def test_lists_of_every_kind_fill_and_are_cancelled_in_these_scripts() -> None:
    """So that the property above does not hold of nothing."""
    seen: set[tuple[ListKind, str]] = set()

    @given(scripts())
    @settings(max_examples=300, deadline=None, database=None)
    def run(script: Script) -> None:
        seen.update((script.kind, leg.end) for leg in Emulated().run(script).legs)

    run()
    assert seen >= {(kind, end) for kind in LEGS for end in ("open", "filled", "cancelled")}


@st.composite
def slow_scripts(draw: st.DrawFn) -> Script:
    script = draw(scripts())
    steps: list[Step] = []
    for step in script.steps:
        steps += [step, *([Deliver(draw(st.integers(1, 3)))] if draw(st.booleans()) else [])]
    return Script(kind=script.kind, orders=script.orders, steps=tuple(steps))


@given(slow_scripts())
@settings(max_examples=1_000, deadline=None)
def test_however_slow_the_street_no_list_fills_twice(script: Script) -> None:
    """The market moves on meanwhile, so it may end otherwise than a native list; but one OCO leg fills at most, and
    both legs of an OUO together no more than one."""
    emulated = Emulated(slow=True)
    outcome = emulated.run(script)
    if outcome.refused:
        return
    contingent = emulated.contingent
    siblings = [outcome.legs[int(leg.order_id)] for leg in contingent.siblings()]
    if contingent.kind in ("oco", "otoco"):
        assert sum(leg.filled > 0 for leg in siblings) <= 1
    if siblings:
        # 32
        largest = max(leg.quantity for leg in contingent.siblings())
        assert sum(leg.filled for leg in siblings) <= largest
    # What risk believes is what the venue knows.
    for leg, fate in zip(contingent.legs, outcome.legs, strict=True):
        assert leg.filled == fate.filled
        assert (leg.state == "over") == (fate.end != "open")
