"""What does a caller see, given what the streams tell?"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import PlaceList, PlaceOrder
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import (
    HeldOrderTriggered,
    KillSwitchEngaged,
    KillSwitchReset,
    ListEnded,
    OrderRefused,
    OrderRepeated,
    ReservationAmended,
    SelfTradePrevented,
)
from bot4_common.messages.terms import EventId, Order
from bot4_common.money import ZERO
from bot4_common.orders import OrderRecord
from bot4_gateway.answers import fill_answer, order_answer
from bot4_gateway.views import Result, View, ViewImage
from services.gateway.tests.street import (
    ANN,
    BOB,
    BTC,
    acknowledged,
    amended,
    approved,
    buy,
    cancelled,
    cost,
    filled,
    held,
    listed,
    prevented,
    sell_stop,
    sent,
)

ETH = "ETH-USDT"


def view(*events: AnyEvent, of: View | None = None) -> View:
    """A view of these events, one a frame: the first order placed has the id 1-0, as the first event."""
    folded = of or View()
    for number, event in zip(count(1), events, strict=False):
        folded.fold(EventId("ANY", number, 0), event, number)
    return folded


def place(key: str = "a", account: str = ANN) -> PlaceOrder:
    return PlaceOrder(account=account, order=buy(key))


def quoted(seen: View, bid: str, ask: str, symbol: str = BTC, venue: str = "sim") -> View:
    seen.quotes[venue, symbol] = Quote(
        venue=venue,
        symbol=symbol,
        bid=Decimal(bid),
        ask=Decimal(ask),
        bid_quantity=Decimal(1),
        ask_quantity=Decimal(1),
        at=0,
    )
    return seen


def order(seen: View, order_id: str = "1-0") -> OrderRecord:
    record = seen.order(ANN, order_id)
    assert record is not None
    return record


def result(seen: View) -> Result:
    (only,) = seen.results(ANN, lambda _: "USDT")
    return only


def refused(order_id: str) -> OrderRefused:
    return OrderRefused(
        order_id=order_id, account=ANN, order=buy("a"), fingerprint="", code="ORDER_SIZE", details={}, at=0
    )


# Orders


def test_an_order_is_followed_from_its_submission_to_its_fills() -> None:
    seen = view(place(), approved("1-0", buy("a")), sent("1-0", buy("a")), acknowledged("1-0"))
    assert order(seen).status == "open"
    view(filled("1-0", "0.2", "100", leaves="0.3"), of=seen)
    assert (order(seen).status, order(seen).filled) == ("partially_filled", Decimal("0.2"))
    view(filled("1-0", "0.3", "102"), of=seen)
    assert (order(seen).status, order(seen).leaves, order(seen).notional) == ("filled", ZERO, Decimal("50.6"))


def test_an_exit_that_risk_brings_in_is_an_order_like_any() -> None:
    exit = buy("1-0-stop1", side="sell", type="market", price=None, stop_loss=None)
    assert order(view(approved("1-0-stop1", exit)), "1-0-stop1").status == "approved"


def test_nobody_sees_the_orders_of_another() -> None:
    seen = view(place(), filled("1-0", "0.5", "100"))
    assert seen.order(BOB, "1-0") is None
    assert not list(seen.orders(BOB, live_only=False)) and not list(seen.fills_of(BOB)) and not seen.lines(BOB)


def test_live_orders_come_first_and_the_newest_of_either_before_older_ones() -> None:
    seen = view(*(place(key) for key in "abcd"), cancelled("3-0"), cancelled("1-0"))
    assert [record.order_id for record in seen.orders(ANN, live_only=False)] == ["4-0", "2-0", "1-0", "3-0"]
    assert [record.order_id for record in seen.orders(ANN, live_only=True)] == ["4-0", "2-0"]


def test_a_fill_that_comes_after_the_end_counts_and_the_order_is_shown_once() -> None:
    seen = view(place(), cancelled("1-0"), filled("1-0", "0.1", "100", leaves="0.4"))
    assert [record.filled for record in seen.orders(ANN, live_only=False)] == [Decimal("0.1")]
    assert seen.lines(ANN)[0].holding.quantity == Decimal("0.1")


def test_an_order_that_is_over_is_shown_with_what_was_told_of_it_late() -> None:
    late = replace(filled("1-0", "0.1", "110", leaves="0.2"), late=True)
    seen = view(place(), filled("1-0", "0.2", "100", leaves="0.3"), cancelled("1-0"), late)
    shown = order_answer(order(seen))
    assert (shown.status, shown.filled, shown.leaves) == ("cancelled", "0.3", "0")
    assert shown.average_price == "103.333333333333" and shown.over_at == 3
    assert [fill_answer(fill).late for fill in seen.fills_of(ANN)] == [True, False]
    assert seen.lines(ANN)[0].holding.quantity == Decimal("0.3")


def test_an_order_is_found_by_the_id_its_caller_gave_it() -> None:
    seen = view(place("a"), cancelled("1-0"), place("a"))
    found = seen.order_by_key(ANN, "a")
    assert found is not None and found.order_id == "3-0"
    assert seen.order_by_key(BOB, "a") is None


def test_a_repeat_does_not_take_the_id_from_the_first() -> None:
    repeat = OrderRepeated(order_id="2-0", account=ANN, client_order_id="a", first="1-0", same_body=True)
    seen = view(place("a"), place("a"), repeat)
    found = seen.order_by_key(ANN, "a")
    assert found is not None and found.order_id == "1-0"
    assert order(seen, "2-0").first == "1-0"


# What is forgotten


def test_finished_orders_and_fills_are_bounded_and_live_orders_stay() -> None:
    seen = View(finished_max=4, fills_max=4, page=2)
    placed = [place(f"a{n}") for n in range(20)]
    view(*placed, *(filled(f"{n}-0", "0.5", "100") for n in range(1, 19)), of=seen)
    assert len(seen.finished) <= 4 and len(seen.fills) <= 4
    assert [record.order_id for record in seen.orders(ANN, live_only=True)] == ["20-0", "19-0"]
    assert seen.order(ANN, "1-0") is None and seen.order_by_key(ANN, "a0") is None
    assert seen.lines(ANN)[0].holding.quantity == Decimal(9)


def test_a_late_fill_of_a_forgotten_order_still_moves_the_position() -> None:
    seen = View(finished_max=1, fills_max=1, page=1)
    view(place("a"), place("b"), refused("1-0"), refused("2-0"), filled("1-0", "0.5", "100"), of=seen)
    assert seen.order(ANN, "1-0") is None
    assert seen.lines(ANN)[0].holding.quantity == Decimal("0.5")


def test_an_order_that_changed_after_its_end_is_forgotten_with_its_last_change() -> None:
    seen = View(finished_max=2, fills_max=2, page=1)
    view(place("a"), place("b"), place("c"), cancelled("1-0"), cancelled("2-0"), of=seen)
    view(filled("1-0", "0.1", "100", leaves="0.4"), of=seen)
    assert {record.order_id for record in seen.orders(ANN, live_only=False)} == {"3-0", "1-0", "2-0"}
    view(cancelled("3-0"), of=seen)
    assert {record.order_id for record in seen.orders(ANN, live_only=False)} == {"3-0", "1-0"}
    view(place("d"), cancelled("1-0"), of=seen)


def test_a_stop_that_risk_holds_is_followed_to_its_trigger_and_beyond() -> None:
    stop = sell_stop("a")
    triggered = HeldOrderTriggered(order_id="1-0", account=ANN, bid=Decimal(90), ask=Decimal(91), at=0)
    seen = view(PlaceOrder(account=ANN, order=stop), held("1-0", stop))
    assert (order(seen).status, order(seen).triggered) == ("held", False)
    view(triggered, approved("1-0", buy("a", side="sell", type="market", price=None)), of=seen)
    assert (order(seen).status, order(seen).triggered, order(seen).order.type) == ("held", True, "stop_market")
    view(sent("1-0", stop), acknowledged("1-0"), of=seen)
    assert order(seen).status == "open"


def test_an_amended_order_is_as_the_venue_made_it() -> None:
    seen = view(place(), approved("1-0", buy("a")), filled("1-0", "0.2", "100", leaves="0.3"))
    view(amended("1-0", "0.7", "101", leaves="0.5"), of=seen)
    assert (order(seen).order.quantity, order(seen).order.price) == (Decimal("0.7"), Decimal(101))
    assert order(seen).leaves == Decimal("0.5")


def test_what_risk_settles_of_an_amend_changes_only_what_it_holds() -> None:
    settled = ReservationAmended(
        order_id="1-0", account=ANN, quantity=Decimal("0.4"), price=Decimal(99), leaves=Decimal("0.4")
    )
    assert order(view(place(), approved("1-0", buy("a")), settled)).order == buy("a")
    assert order(view(place(), held("1-0", buy("a")), settled)).order == buy("a", "0.4", price=Decimal(99))
    refused = replace(settled, code="AMEND_LOST")
    assert order(view(place(), held("1-0", buy("a")), refused)).order == buy("a")


# Prevented self-trades


def self_trade(taker: str, maker: str, maker_account: str = ANN) -> SelfTradePrevented:
    return SelfTradePrevented(
        order_id=taker,
        account=ANN,
        resting_id=maker,
        resting_account=maker_account,
        symbol=BTC,
        mode="decrement_both",
        quantity=Decimal("0.2"),
        resting_quantity=Decimal("0.1"),
        price=Decimal(100),
        at=0,
    )


def test_prevented_self_trades_are_kept_the_newest_first_for_the_owners_of_both_orders() -> None:
    seen = view(place(), self_trade("2-0", "1-0"), self_trade("3-0", "1-0", BOB), prevented("1-0", "0.1", "0.4"))
    assert [each.event.order_id for each in seen.prevented_of(ANN)] == ["1-0", "3-0", "2-0"]
    assert [each.event.order_id for each in seen.prevented_of(BOB)] == ["3-0"]
    assert [(each.id, each.symbol, each.at) for each in seen.prevented_of(BOB)] == [("ANY:3:0", BTC, 3)]


def test_what_the_venue_prevented_will_not_trade() -> None:
    seen = view(place(), approved("1-0", buy("a")), prevented("1-0", "0.1", leaves="0.4"))
    assert (order(seen).prevented, order(seen).leaves) == (Decimal("0.1"), Decimal("0.4"))
    assert next(seen.prevented_of(ANN)).symbol == BTC


def test_only_so_many_prevented_self_trades_are_kept() -> None:
    seen = View(finished_max=2, fills_max=2, page=1, lists_max=2, prevented_max=2)
    view(*(self_trade(f"{n}-0", "1-0") for n in (2, 3, 4)), of=seen)
    assert [each.event.order_id for each in seen.prevented_of(ANN)] == ["4-0", "3-0"]


# Lists


def test_only_so_many_lists_that_are_over_are_kept() -> None:
    seen = View(finished_max=2, fills_max=2, page=1, lists_max=2, prevented_max=2)
    view(*(PlaceList(account=ANN, list=listed(f"l{n}")) for n in range(4)), of=seen)
    view(*(ListEnded(list_id=f"{n}-0", account=ANN) for n in (1, 2, 3)), of=seen)
    assert [record.list_id for record in seen.lists(ANN, live_only=False)] == ["4-0", "3-0", "2-0"]
    assert seen.list_of(ANN, "1-0") is None


def test_the_legs_of_a_list_are_shown_as_far_as_they_are_remembered() -> None:
    seen = View(finished_max=1, fills_max=1, page=1)
    view(PlaceList(account=ANN, list=listed("l")), cancelled("1-0-leg1"), cancelled("1-0-leg2"), of=seen)
    record = seen.list_of(ANN, "1-0")
    assert record is not None and [leg.order_id for leg in seen.legs(record)] == ["1-0-leg2"]


def test_nobody_sees_the_lists_of_another() -> None:
    seen = view(PlaceList(account=ANN, list=listed("l")))
    assert seen.list_of(BOB, "1-0") is None and not list(seen.lists(BOB, live_only=False))


# Positions, profit and loss


def test_profit_is_counted_at_the_prices_of_the_fills_and_costs_are_the_fees_on_top() -> None:
    bought, sold = filled("1-0", "2", "101"), filled("2-0", "1", "105", side="sell")
    seen = quoted(view(bought, cost(bought, "0.2", "2"), sold, cost(sold, "0.1", "1", "-5")), "102", "104")
    earned = result(seen)
    assert (earned.realized, earned.unrealized, earned.gross) == (Decimal(4), Decimal(2), Decimal(6))
    assert (earned.costs, earned.net) == (Decimal("0.3"), Decimal("5.7"))
    assert earned.slippage == -2


def test_net_is_what_cash_and_holdings_are_worth() -> None:
    bought, sold = filled("1-0", "3", "100.5"), filled("2-0", "2", "99.25", side="sell")
    seen = quoted(view(bought, cost(bought, "0.3", "1.5"), sold, cost(sold, "0.2", "1")), "101", "103")
    cash = -3 * Decimal("100.5") + 2 * Decimal("99.25") - Decimal("0.5")
    assert result(seen).net == cash + 102


def test_without_a_market_what_is_held_has_no_value_and_what_is_not_held_needs_none() -> None:
    seen = view(filled("1-0", "1", "100"))
    assert (result(seen).unrealized, result(seen).gross, result(seen).net) == (None, None, None)
    view(filled("2-0", "1", "103", side="sell"), of=seen)
    assert (result(seen).unrealized, result(seen).gross) == (ZERO, Decimal(3))


def test_strategies_are_kept_apart() -> None:
    seen = view(filled("1-0", "1", "100", strategy="trend"), filled("2-0", "1", "100", side="sell", strategy="range"))
    assert {line.strategy: line.holding.quantity for line in seen.lines(ANN)} == {"trend": 1, "range": -1}
    assert seen.strategies(ANN) == {"trend", "range"}


def test_what_is_quoted_in_different_money_is_not_added_up() -> None:
    seen = view(filled("1-0", "1", "100"), filled("2-0", "1", "100", symbol=ETH))
    assert [earned.currency for earned in seen.results(ANN, lambda symbol: symbol[:3])] == ["BTC", "ETH"]


# The kill switch


def test_the_kill_switch_stands_as_it_was_last_set() -> None:
    seen = view(KillSwitchEngaged(account=ANN, reason="enough"))
    assert (seen.kill_switch(ANN).engaged, seen.kill_switch(BOB).engaged) == (True, False)
    view(KillSwitchReset(account=ANN, reason="calm"), of=seen)
    assert (seen.kill_switch(ANN).engaged, seen.kill_switch(ANN).reason) == (False, "calm")


# Snapshots


def restored(seen: View, like: View) -> View:
    """What comes back from the snapshot of a view; `like` has the same bounds."""
    image = msgspec.msgpack.decode(msgspec.msgpack.encode(seen.image()), type=ViewImage)
    pages = [[page.data for page in roll.unsaved()] for roll in seen.rolls()]
    like.restore(image, pages)
    return like


KINDS = ("place", "cancel", "fill", "late", "list", "end", "repeat", "prevent", "hold")
ACTS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 40)), max_size=80)
SMALL: dict[str, Any] = {"finished_max": 6, "fills_max": 6, "page": 3, "lists_max": 6, "prevented_max": 6}


@settings(max_examples=200, deadline=None)
@given(ACTS, ACTS)
def test_a_restored_view_goes_on_as_the_one_that_lived(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    lived = View(**SMALL)
    _live(lived, 0, before)
    copy = restored(lived, View(**SMALL))
    _live(lived, len(before), after)
    _live(copy, len(before), after)
    assert list(copy.orders(ANN, live_only=False)) == list(lived.orders(ANN, live_only=False))
    assert list(copy.lists(ANN, live_only=False)) == list(lived.lists(ANN, live_only=False))
    assert list(copy.fills_of(ANN)) == list(lived.fills_of(ANN))
    assert list(copy.prevented_of(ANN)) == list(lived.prevented_of(ANN))
    assert copy.lines(ANN) == lived.lines(ANN)
    assert copy.image() == lived.image()


def test_an_order_that_changes_after_it_was_over_is_the_same_from_a_snapshot() -> None:
    """The late fill comes after the snapshot, when the older entry of the order is already written."""
    lived = View(finished_max=6, fills_max=6, page=3)
    _live(lived, 0, [("place", 1), ("place", 1), ("cancel", 2), ("cancel", 2)])
    copy = restored(lived, View(finished_max=6, fills_max=6, page=3))
    for seen in (lived, copy):
        _live(seen, 4, [("fill", 2)])
    assert copy.image() == lived.image()
    late = lived.order(ANN, "2-0")
    assert late is not None and late.filled == Decimal("0.1")


def _live(seen: View, start: int, acts: list[tuple[str, int]]) -> None:
    for number, (act, order_number) in enumerate(acts, start + 1):
        order_id = f"{order_number}-0"
        event: AnyEvent
        if act == "place":
            event = place(f"a{number}")
        elif act == "list":
            event = PlaceList(account=ANN, list=listed(f"l{number}"))
        elif act == "end":
            event = ListEnded(list_id=order_id, account=ANN)
        elif act == "repeat":
            event = OrderRepeated(order_id=order_id, account=ANN, client_order_id="a", first="1-0", same_body=True)
        elif act == "prevent":
            event = prevented(order_id, "0.1", leaves="0.4")
        elif act == "hold":
            event = held(order_id, buy(f"a{number}"), replaces="1-0")
        elif act == "cancel":
            event = cancelled(order_id)
        else:
            event = filled(order_id, "0.1", "100", leaves="0" if act == "fill" else "0.4")
        seen.fold(EventId("ANY", number, 0), event, number)


def test_an_image_names_full_pages_and_carries_the_rest() -> None:
    seen = View(finished_max=4, fills_max=4, page=2)
    view(*(place(f"a{n}") for n in range(4)), *(cancelled(f"{n}-0") for n in (1, 2, 3)), of=seen)
    image = seen.image()
    assert [name.number for name in image.finished.pages] == [0]
    assert [record.order_id for record in image.finished.filling] == ["3-0"]
    assert [record.order_id for record in image.live] == ["4-0"]


def test_an_order_as_a_caller_wrote_it_is_kept() -> None:
    written: Order = buy("a", quantity="0.50")
    assert str(order(view(PlaceOrder(account=ANN, order=written))).order.quantity) == "0.50"
