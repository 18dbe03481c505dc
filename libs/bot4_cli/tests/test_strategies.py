from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot4_cli.strategies import LOOKS, MAKER_POSITION_MAX, Touch, View, Working, leave, maker, momentum
from bot4_common import instruments

BTC = instruments.shipped()["BTC-USDT"]


def touch(bid: str) -> Touch:
    return Touch(Decimal(bid), Decimal(bid) + BTC.tick)


def view(*bids: str, position: str = "0", working: Sequence[Working] = ()) -> View:
    return View(BTC, [touch(bid) for bid in bids], Decimal(position), working)


STILL = ["60000"] * LOOKS
UP = ["60000"] * (LOOKS - 1) + ["60006"]
DOWN = ["60000"] * (LOOKS - 1) + ["59994"]


def test_momentum_waits_until_it_has_seen_enough() -> None:
    assert momentum(view(*UP[1:]), "id").place == []


def test_momentum_leaves_a_still_market_alone() -> None:
    assert momentum(view(*STILL), "id").place == []


def test_momentum_buys_what_rises_with_a_stop_below() -> None:
    (order,) = momentum(view(*UP), "id").place
    assert (order.side, order.time_in_force, order.client_order_id) == ("buy", "ioc", "id")
    assert order.price is not None and order.stop_loss is not None
    assert order.stop_loss < Decimal(60_006) < order.price


def test_momentum_sells_what_falls_with_a_stop_above() -> None:
    (order,) = momentum(view(*DOWN), "id").place
    assert order.side == "sell"
    assert order.price is not None and order.stop_loss is not None
    assert order.price < Decimal(59_994) < order.stop_loss


def test_momentum_does_not_add_to_what_it_has() -> None:
    assert momentum(view(*UP, position="0.03"), "id").place == []


def test_momentum_gets_out_when_the_market_turns() -> None:
    (order,) = momentum(view(*DOWN, position="0.03"), "id").place
    assert (order.side, order.quantity, order.reduce_only, order.type) == ("sell", Decimal("0.03"), True, "market")


def test_the_maker_quotes_both_sides_and_never_takes() -> None:
    orders = maker(view("60000"), "id").place
    assert {order.side for order in orders} == {"buy", "sell"}
    assert all(order.post_only and order.stop_loss is not None for order in orders)
    assert max(order.price or 0 for order in orders if order.side == "buy") == Decimal(60_000)


def test_the_maker_leaves_a_quote_that_stands_right() -> None:
    standing = [Working("1-0", "buy", Decimal(60_000))]
    wishes = maker(view("60000", working=standing), "id")
    assert wishes.cancel == []
    assert Decimal(60_000) not in [order.price for order in wishes.place if order.side == "buy"]


def test_the_maker_moves_a_quote_that_the_market_has_left() -> None:
    assert maker(view("60000", working=[Working("1-0", "buy", Decimal(59_000))]), "id").cancel == ["1-0"]


def test_a_maker_that_holds_enough_quotes_only_what_reduces() -> None:
    position = str(MAKER_POSITION_MAX / 60_000 + BTC.lot)
    assert {order.side for order in maker(view("60000", position=position), "id").place} == {"sell"}


def test_leaving_cancels_and_closes_everything() -> None:
    wishes = leave(view("60000", position="-0.02", working=[Working("1-0", "buy", Decimal(1))]), "id", "maker")
    assert wishes.cancel == ["1-0"]
    assert [(order.side, order.quantity, order.reduce_only) for order in wishes.place] == [
        ("buy", Decimal("0.02"), True)
    ]


@given(st.lists(st.integers(1, 10_000_000), min_size=LOOKS, max_size=LOOKS + 5))
def test_every_wish_is_an_order_the_venue_takes(ticks: list[int]) -> None:
    seen = View(BTC, [Touch(BTC.price(tick + 10_000), BTC.price(tick + 10_001)) for tick in ticks], Decimal(0), [])
    for order in (*momentum(seen, "id").place, *maker(seen, "id").place):
        instruments.check(order, {BTC.symbol: BTC})


def test_the_same_view_has_the_same_wishes() -> None:
    assert maker(view(*UP), "id") == maker(view(*UP), "id")
    assert momentum(view(*UP), "id") == momentum(view(*UP), "id")
