from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.messages.terms import Order, OrderType, Side, TimeInForce, opposite
from bot4_common.messages.terms import Prevention as Mode
from bot4_risk.self_trade import Met, OwnOrders, Prevention, Resting, prevented, rests

BID, ASK = Decimal(99), Decimal(101)
ZERO = Decimal(0)


def resting(
    order_id: str,
    side: Side = "sell",
    leaves: str = "5",
    price: str = "101",
    account: str = "ann",
    venue: str = "sim",
    ending: bool = False,
) -> Resting:
    return Resting(
        order_id=order_id,
        account=account,
        venue=venue,
        symbol="BTC-USDT",
        side=side,
        price=Decimal(price),
        leaves=Decimal(leaves),
        ending=ending,
    )


def own(*orders: Resting, owner: str = "ann") -> OwnOrders:
    own_orders = OwnOrders()
    for each in orders:
        own_orders.add(owner, each)
    return own_orders


def order(
    side: Side = "buy",
    quantity: str = "5",
    price: str | None = "101",
    time_in_force: TimeInForce = "gtc",
    post_only: bool = False,
    type: OrderType | None = None,
    strategy: str = "s",
) -> Order:
    return Order(
        client_order_id="new",
        symbol="BTC-USDT",
        side=side,
        type=type or ("limit" if price else "market"),
        quantity=Decimal(quantity),
        strategy=strategy,
        price=Decimal(price) if price else None,
        time_in_force=time_in_force,
        post_only=post_only,
        venue="sim",
    )


def judged(own_orders: OwnOrders, new: Order, mode: Mode, owner: str = "ann") -> Prevention | None:
    return prevented(own_orders, owner, new, mode, BID, ASK)


def met(order_id: str, quantity: str, resting_quantity: str, left: str, price: str = "101") -> Met:
    return Met(
        resting_id=order_id,
        account="ann",
        quantity=Decimal(quantity),
        resting_quantity=Decimal(resting_quantity),
        left=Decimal(left),
        price=Decimal(price),
    )


# Who is met?


def test_an_order_that_meets_nobody_of_its_owner_goes_on() -> None:
    assert judged(own(resting("1-0", price="102")), order(price="101"), "cancel_new") is None
    assert judged(own(resting("1-0", side="buy")), order(), "cancel_new") is None
    assert judged(own(resting("1-0"), owner="bob"), order(), "cancel_new") is None


def test_prices_that_are_equal_meet() -> None:
    assert judged(own(resting("1-0", "sell", price="101")), order("buy", price="101"), "cancel_new") is not None
    assert judged(own(resting("1-0", "buy", price="99")), order("sell", price="99"), "cancel_new") is not None


def test_an_account_of_the_same_trade_group_is_self() -> None:
    own_orders = own(resting("1-0", account="bob"), owner="desk")
    found = judged(own_orders, order(), "cancel_resting", owner="desk")
    assert found is not None and found.met[0].account == "bob"


def test_another_venue_and_another_strategy_are_self_all_the_same() -> None:
    assert judged(own(resting("1-0", venue="b")), order(strategy="other"), "cancel_new") is not None


def test_a_market_order_meets_what_is_as_good_as_the_touch_and_no_more() -> None:
    own_orders = own(resting("1-0", price="101"), resting("1-1", price="102"))
    assert judged(own_orders, order(price=None), "cancel_resting") == Prevention(
        "cancel_resting", Decimal(5), [met("1-0", "0", "5", "0")]
    )
    bids = own(resting("1-0", "buy", price="99"), resting("1-1", "buy", price="98"))
    found = judged(bids, order("sell", price=None), "cancel_resting")
    assert found is not None and [each.resting_id for each in found.met] == ["1-0"]


def test_what_never_takes_meets_nobody() -> None:
    own_orders = own(resting("1-0"))
    assert judged(own_orders, order(post_only=True), "cancel_new") is None
    assert judged(own_orders, order(type="stop_limit"), "cancel_new") is None


def test_with_mode_none_owners_may_trade_with_themselves() -> None:
    assert judged(own(resting("1-0")), order(), "none") is None


def test_only_limit_orders_that_wait_can_be_met() -> None:
    assert rests(order()) and rests(order(time_in_force="gtd"))
    assert not rests(order(price=None))
    assert not rests(order(time_in_force="ioc")) and not rests(order(time_in_force="fok"))
    assert not rests(order(type="stop_limit"))


def test_the_better_price_is_met_first_then_the_older_order() -> None:
    own_orders = own(
        resting("101-0", price="100"), resting("9-1"), resting("9-0-leg1"), resting("9-0"), resting("12-0")
    )
    found = judged(own_orders, order(quantity="100"), "decrement_both")
    assert found is not None
    assert [each.resting_id for each in found.met] == ["101-0", "9-0", "9-0-leg1", "9-1", "12-0"]


# What does each of them lose?


def test_cancel_new_loses_all_of_the_new_order_and_nothing_else() -> None:
    found = judged(own(resting("1-0"), resting("1-1")), order(quantity="7"), "cancel_new")
    assert found == Prevention("cancel_new", ZERO, [met("1-0", "7", "0", "5")])


def test_cancel_resting_loses_everybody_who_is_met() -> None:
    found = judged(own(resting("1-0"), resting("1-1", leaves="3")), order(quantity="1"), "cancel_resting")
    assert found == Prevention("cancel_resting", Decimal(1), [met("1-0", "0", "5", "0"), met("1-1", "0", "3", "0")])


def test_cancel_both_loses_the_new_order_and_the_first_that_it_meets() -> None:
    found = judged(own(resting("1-0"), resting("1-1")), order(quantity="7"), "cancel_both")
    assert found == Prevention("cancel_both", ZERO, [met("1-0", "7", "5", "0")])


def test_decrement_both_loses_the_smaller_quantity_and_what_is_left_goes_on() -> None:
    own_orders = own(resting("1-0", leaves="3"), resting("1-1", leaves="9"))
    assert judged(own_orders, order(quantity="7"), "decrement_both") == Prevention(
        "decrement_both", ZERO, [met("1-0", "3", "3", "0"), met("1-1", "4", "4", "5")]
    )
    assert judged(own_orders, order(quantity="13"), "decrement_both") == Prevention(
        "decrement_both", Decimal(1), [met("1-0", "3", "3", "0"), met("1-1", "9", "9", "0")]
    )


def test_an_order_whose_cancel_is_under_way_still_stops_a_new_one_and_is_cancelled_by_no_other_mode() -> None:
    own_orders = own(resting("1-0", ending=True))
    assert judged(own_orders, order(), "cancel_new") is not None
    for mode in ("cancel_resting", "cancel_both", "decrement_both"):
        assert judged(own_orders, order(), mode) is None


def test_a_fill_or_kill_order_takes_nobody_with_it() -> None:
    for mode in ("cancel_both", "decrement_both"):
        found = judged(own(resting("1-0", leaves="1")), order(time_in_force="fok"), mode)
        assert found == Prevention(mode, ZERO, [met("1-0", "5", "0", "1")])
    found = judged(own(resting("1-0", leaves="1")), order(time_in_force="fok"), "cancel_resting")
    assert found is not None and found.left == 5


# The index


def test_an_order_that_is_added_again_has_its_new_price_and_quantity() -> None:
    own_orders = own(resting("1-0", price="101"), resting("1-1", price="102"))
    own_orders.add("ann", resting("1-0", price="103", leaves="1"))
    assert own_orders.best("ann", "BTC-USDT", "sell") == 102
    assert [each.leaves for each in own_orders.queue("ann", "BTC-USDT", "sell")] == [5, 1]


def test_what_is_removed_leaves_nothing_behind() -> None:
    own_orders = own(resting("1-0"))
    own_orders.remove("1-0")
    own_orders.remove("1-0")
    assert own_orders.best("ann", "BTC-USDT", "sell") is None
    assert not own_orders._queues and not own_orders._resting


SIDES: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
PRICES = st.integers(97, 103).map(Decimal)
QUANTITIES = st.integers(1, 9).map(Decimal)
ORDERS = st.builds(
    Resting,
    order_id=st.builds("{}-{}".format, st.integers(1, 12), st.integers(0, 1)),
    account=st.just("ann"),
    venue=st.sampled_from(["sim", "b"]),
    symbol=st.sampled_from(["BTC-USDT", "ETH-USDT"]),
    side=SIDES,
    price=PRICES,
    leaves=QUANTITIES,
    ending=st.booleans(),
)
CHANGES = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), ORDERS, st.booleans()), max_size=40)
NEW = st.builds(
    Order,
    client_order_id=st.just("new"),
    symbol=st.just("BTC-USDT"),
    side=SIDES,
    type=st.just("limit"),
    quantity=QUANTITIES,
    strategy=st.just("s"),
    price=PRICES,
    time_in_force=st.sampled_from(["gtc", "ioc", "fok"]),
)
MODES: st.SearchStrategy[Mode] = st.sampled_from(["cancel_new", "cancel_resting", "cancel_both", "decrement_both"])


def at_market(new: Order) -> Order:
    return msgspec.structs.replace(new, type="market", price=None)


def naive(known: dict[str, tuple[str, Resting]], owner: str, new: Order, mode: Mode) -> Prevention | None:
    """A scan of everything, one unit at a time."""
    worst = new.price if new.price is not None else ASK if new.side == "buy" else BID
    crossing = [
        each
        for whose, each in known.values()
        if whose == owner
        and (each.symbol, each.side) == (new.symbol, opposite(new.side))
        and (each.price <= worst if new.side == "buy" else each.price >= worst)
    ]
    crossing.sort(key=lambda each: [int(part) for part in each.order_id.split("-")])
    crossing.sort(key=lambda each: each.price, reverse=new.side == "sell")
    stops_all = mode == "cancel_new" or (new.time_in_force == "fok" and mode != "cancel_resting")
    if not stops_all:
        crossing = [each for each in crossing if not each.ending]
    if not crossing:
        return None
    lost = {each.order_id: [ZERO, ZERO] for each in crossing}
    left = new.quantity
    for each in crossing:
        losses = lost[each.order_id]
        if stops_all or mode == "cancel_both":
            losses[0], left = left, ZERO
        if mode in ("cancel_both", "cancel_resting") and not stops_all:
            losses[1] = each.leaves
        while mode == "decrement_both" and not stops_all and left and losses[1] < each.leaves:
            losses[0], losses[1], left = losses[0] + 1, losses[1] + 1, left - 1
        if not left:
            break
    touched = [
        Met(
            resting_id=each.order_id,
            account=each.account,
            quantity=lost[each.order_id][0],
            resting_quantity=lost[each.order_id][1],
            left=each.leaves - lost[each.order_id][1],
            price=each.price,
        )
        for each in crossing
        if any(lost[each.order_id])
    ]
    return Prevention(mode, left, touched)


@given(CHANGES, NEW, MODES, st.booleans())
@settings(max_examples=500)
def test_it_finds_what_a_scan_of_all_orders_finds(
    changes: list[tuple[str, Resting, bool]], new: Order, mode: Mode, market: bool
) -> None:
    own_orders, known = OwnOrders(), dict[str, tuple[str, Resting]]()
    for owner, each, removed in changes:
        if removed:
            own_orders.remove(each.order_id)
            known.pop(each.order_id, None)
        else:
            own_orders.add(owner, each)
            known[each.order_id] = owner, each
    new = at_market(new) if market else new
    found = judged(own_orders, new, mode)
    assert found == naive(known, "ann", new, mode)
    if found is not None:
        assert found.left + sum(each.quantity for each in found.met) == new.quantity


@given(CHANGES)
def test_an_index_made_anew_in_any_order_is_the_one_that_was_lived(changes: list[tuple[str, Resting, bool]]) -> None:
    lived, known = OwnOrders(), dict[str, tuple[str, Resting]]()
    for owner, each, _ in changes:
        lived.add(owner, each)
        known[each.order_id] = owner, each
    rebuilt = OwnOrders()
    for _, (owner, each) in sorted(known.items(), reverse=True):
        rebuilt.add(owner, each)
    assert rebuilt._queues == lived._queues
