"""May this account take this order? Every refusal with its numbers, and the orders just inside each limit."""

from __future__ import annotations

from msgspec.structs import replace

from bot4_common.given import MILLISECOND, NOON, SECOND, Expected, event
from bot4_common.messages.gateway import EngageKillSwitch
from bot4_common.messages.risk import OrderApproved, OrderRepeated
from bot4_common.orders import fingerprint
from services.risk.tests.words import bought, buy, cancelled, given, holding, order, place, quote, refused, sell


def approved(order_id: str, **fields: object) -> Expected:
    return event(OrderApproved, order_id=order_id, **fields)


def test_an_approval_carries_the_market_that_it_looked_at() -> None:
    asked = buy("1", "100", stop="90")
    given().when(asked).then(
        OrderApproved(
            order_id="1-0",
            account="ann",
            order=replace(asked.order, venue="sim"),
            fingerprint=fingerprint(asked.order),
            bid=quote().bid,
            ask=quote().ask,
            opening=True,
            at=NOON,
        )
    )


def test_with_the_kill_switch_engaged_nothing_is_approved() -> None:
    given().when(EngageKillSwitch(account="ann", reason="drill")).when(buy("1", "100", stop="90")).then(
        refused("2-0", "KILL_SWITCH")
    )


def test_without_a_quote_there_is_no_market() -> None:
    nowhere = place(order("buy", "1", "100", stop="90", symbol="DOGE-USDT"))
    given().when(nowhere).then(refused("1-0", "NO_MARKET", symbol="DOGE-USDT", venue="sim"))


def test_a_quote_of_five_seconds_is_still_a_market() -> None:
    given().after(5 * SECOND).when(buy("1", "100", stop="90")).then(approved("1-0"))


def test_an_older_quote_is_no_market() -> None:
    given().after(5 * SECOND + 1).when(buy("1", "100", stop="90")).then(
        refused("1-0", "NO_MARKET", quote_age_ns="5000000001", limit="5000000000")
    )


def test_a_price_at_the_collar_is_near_enough() -> None:
    given().when(buy("1", "110", stop="90")).then(approved("1-0"))
    given().when(sell("1", "90", stop="110")).then(approved("1-0"))


def test_a_price_beyond_the_collar_is_refused() -> None:
    given().when(buy("1", "110.01", stop="90")).then(
        refused("1-0", "PRICE_COLLAR", price="110.01", mid="100", limit_bps="1000")
    )
    given().when(sell("1", "89.99", stop="110")).then(
        refused("1-0", "PRICE_COLLAR", price="89.99", mid="100", limit_bps="1000")
    )


def test_an_order_may_be_worth_the_limit_and_no_more() -> None:
    given().when(buy("100", "100", stop="90")).then(approved("1-0"))
    given().when(buy("101", "100", stop="90")).then(refused("1-0", "ORDER_SIZE", notional="10100", limit="10000"))


def test_a_market_order_is_worth_its_quantity_at_the_mid() -> None:
    given().when(buy("100.01", stop="90")).then(refused("1-0", "ORDER_SIZE", notional="10001", limit="10000"))


def test_open_orders_are_counted_until_they_are_over() -> None:
    full = given().when(*(buy("1", "100", stop="90", id=id) for id in "abcd"))
    full.when(buy("1", "100", stop="90", id="e")).then(refused("5-0", "OPEN_ORDERS", open_orders="4", limit="4"))
    full.when(cancelled("1-0")).when(buy("1", "100", stop="90", id="f")).then(approved("7-0"))


def test_a_position_may_be_worth_the_limit_and_no_more() -> None:
    holding("150").when(buy("50", "100", stop="90")).then(approved("1-0"))
    holding("150").when(buy("51", "100", stop="90")).then(
        refused("1-0", "POSITION_LIMIT", asked="20100", limit="20000")
    )


def test_a_short_position_may_be_worth_no_more() -> None:
    holding("-150").when(sell("50", "100", stop="110")).then(approved("1-0"))
    holding("-150").when(sell("51", "100", stop="110")).then(
        refused("1-0", "POSITION_LIMIT", asked="20100", limit="20000")
    )


def test_what_open_orders_may_add_counts_for_the_position_limit() -> None:
    ordered = given().when(buy("100", "100", stop="90"), buy("90", "100", stop="90"))
    ordered.when(buy("11", "100", stop="90")).then(refused("3-0", "POSITION_LIMIT", asked="20100", limit="20000"))
    ordered.when(sell("100", "100", stop="110")).then(approved("4-0"))


def test_a_position_beyond_the_limit_may_still_be_closed() -> None:
    holding("300").when(sell("100", "100")).then(approved("1-0", opening=False))


def test_an_opening_order_needs_a_stop() -> None:
    given().when(buy("1", "100")).then(refused("1-0", "STOP_LOSS_REQUIRED", position="0", quantity="1"))


def test_an_order_that_closes_more_than_there_is_opens() -> None:
    holding("5").when(sell("8", "100")).then(refused("1-0", "STOP_LOSS_REQUIRED", position="5", quantity="8"))
    holding("-5").when(buy("8", "100")).then(refused("1-0", "STOP_LOSS_REQUIRED", position="-5", quantity="8"))


def test_what_other_orders_close_first_cannot_be_closed_again() -> None:
    closing = holding("5").when(sell("3", "100"))
    closing.when(sell("3", "100", id="more")).then(refused("2-0", "STOP_LOSS_REQUIRED", position="5", quantity="3"))
    closing.when(sell("2", "100")).then(approved("3-0", opening=False))


def test_a_closing_order_without_a_stop_is_held_to_closing_at_the_venue_too() -> None:
    held = order("sell", "5", "100", reduce_only=True, venue="sim")
    holding("5").when(sell("5", "100")).then(approved("1-0", order=held, opening=False))


def test_a_closing_order_with_a_stop_goes_as_it_came_if_it_could_open_as_well() -> None:
    asked = sell("5", "100", stop="110")
    holding("5").when(asked).then(approved("1-0", order=replace(asked.order, venue="sim"), opening=False))


def test_a_stop_that_the_market_has_passed_would_fire_at_once() -> None:
    given().when(buy("1", "105", stop="99")).then(
        refused("1-0", "STOP_ALREADY_PASSED", stop_loss="99", bid="99", ask="101")
    )
    given().when(sell("1", stop="101")).then(
        refused("1-0", "STOP_ALREADY_PASSED", stop_loss="101", bid="99", ask="101")
    )


def test_a_stop_just_beyond_the_market_will_do() -> None:
    given().when(buy("1", "105", stop="98.99")).then(approved("1-0"))


def test_a_reduce_only_order_without_a_position_is_refused() -> None:
    given().when(sell("1", "100", reduce_only=True)).then(
        refused("1-0", "NOTHING_TO_REDUCE", position="0", claimed="0")
    )


def test_a_reduce_only_order_that_would_enlarge_the_position_is_refused() -> None:
    holding("5").when(buy("1", "100", reduce_only=True)).then(
        refused("1-0", "NOTHING_TO_REDUCE", position="5", claimed="0")
    )


def test_a_reduce_only_order_is_clipped_to_the_position() -> None:
    asked = sell("8", "100", reduce_only=True)
    clipped = order("sell", "5", "100", id=asked.order.client_order_id, reduce_only=True, venue="sim")
    holding("5").when(asked).then(approved("1-0", order=clipped, fingerprint=fingerprint(asked.order)))


def test_a_reduce_only_order_gets_what_others_have_not_claimed() -> None:
    claimed = holding("5").when(sell("3", "100", reduce_only=True))
    rest = order("sell", "2", "100", id="rest", reduce_only=True, venue="sim")
    claimed.when(sell("4", "100", reduce_only=True, id="rest")).then(approved("2-0", order=rest))
    claimed.when(sell("1", "100", reduce_only=True)).then(
        refused("3-0", "NOTHING_TO_REDUCE", position="5", claimed="5")
    )


def test_a_reduce_only_order_needs_no_room_under_the_position_limit() -> None:
    holding("300").when(sell("100", "100", reduce_only=True)).then(approved("1-0"))


def test_the_same_submission_again_is_a_repeat() -> None:
    asked = buy("1", "100", stop="90", id="c1")
    given().when(asked).after(SECOND).when(asked).then(
        OrderRepeated(order_id="2-0", account="ann", client_order_id="c1", first="1-0", same_body=True)
    )


def test_the_same_numbers_written_otherwise_are_the_same_body() -> None:
    given().when(buy("100", "100", stop="90", id="c1")).when(buy("1E+2", "100.00", stop="90.0", id="c1")).then(
        event(OrderRepeated, first="1-0", same_body=True)
    )


def test_another_body_under_the_same_id_is_told_apart() -> None:
    given().when(buy("1", "100", stop="90", id="c1")).when(buy("2", "100", stop="90", id="c1")).then(
        event(OrderRepeated, first="1-0", same_body=False)
    )


def test_a_refused_order_keeps_its_client_order_id_too() -> None:
    given().when(buy("1", "100", id="c1")).when(buy("1", "100", stop="90", id="c1")).then(
        event(OrderRepeated, first="1-0", same_body=False)
    )


def test_another_account_may_use_the_same_client_order_id() -> None:
    hers = buy("1", "100", stop="90", id="c1")
    given().when(hers).when(place(hers.order, "bob")).then(approved("2-0", account="bob"))


def test_after_the_window_the_id_of_a_finished_order_is_free() -> None:
    asked = buy("1", "100", stop="90", id="c1")
    over = given().when(asked).when(bought("1-0", "1")).after(60 * SECOND)
    over.quotes = {("sim", "BTC-USDT"): quote(at=over.now)}
    over.when(asked).then(approved("3-0"))


def test_after_the_window_the_id_of_an_open_order_is_taken() -> None:
    asked = buy("1", "100", stop="90", id="c1")
    given().when(asked).after(60 * SECOND).when(asked).then(refused("2-0", "DUPLICATE_LIVE_ORDER", order_id="1-0"))


def test_to_the_end_of_the_window_a_repeat_is_a_repeat() -> None:
    asked = buy("1", "100", stop="90", id="c1")
    given().when(asked).after(60 * SECOND - MILLISECOND).when(asked).then(event(OrderRepeated, first="1-0"))
