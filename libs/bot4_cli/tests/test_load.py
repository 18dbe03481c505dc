from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import count
from random import Random

import msgspec
import pytest

from bot4_cli import load
from bot4_cli.load import Load, Market, Sent, cancel, check_taken, get, place, refusals, small_order
from bot4_cli.trouble import Trouble
from bot4_cli.wire import Wires
from bot4_common import instruments
from bot4_common.messages.terms import Order
from bot4_gateway.answers import EstimateAnswer
from libs.bot4_cli.tests.street import Asked, Reply, order_answer, refusal, serving

ORDER = Order(client_order_id="c", symbol="BTC-USDT", side="buy", type="market", quantity=Decimal("0.01"), strategy="s")
BTC = instruments.shipped()["BTC-USDT"]


def placed(*replies: Reply) -> tuple[Sent, list[Asked]]:
    """What became of one order whose requests are answered like this, one after the other."""
    left = list(replies)

    async def story() -> tuple[Sent, list[Asked]]:
        async with serving(lambda _: left.pop(0)) as (url, asked):
            wires = Wires(url, "key", 1)
            sent = await place(wires, ORDER)
            await wires.close()
            return sent, asked

    return asyncio.run(story())


def test_an_order_that_is_answered_is_asked_for_once() -> None:
    sent, asked = placed((201, order_answer("1-0")))
    assert (sent.order_id, sent.status, sent.tries) == ("1-0", "filled", 1)
    assert [(each.method, each.target) for each in asked] == [("POST", "/v1/orders?ack=venue")]


def test_without_an_answer_the_same_order_is_asked_for_again() -> None:
    sent, asked = placed(None, (503, refusal("OUTCOME_UNKNOWN", True)), (200, order_answer("1-0")))
    assert (sent.order_id, sent.tries) == ("1-0", 3)
    assert {json.loads(each.body)["client_order_id"] for each in asked} == {"c"}


def test_a_refusal_is_an_answer() -> None:
    sent, _ = placed((422, refusal("TICK_SIZE", False)))
    assert (sent.order_id, sent.status, sent.code) == ("", "refused", "TICK_SIZE")


def test_a_journaled_refusal_is_an_answer_though_another_order_might_be_taken() -> None:
    sent, _ = placed((503, refusal("NO_MARKET", True, order_id="1-0")))
    assert (sent.order_id, sent.status, sent.tries) == ("1-0", "refused", 1)


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([(200, order_answer("1-0", "cancelled"))], "cancelled"),
        ([None, (409, refusal("ORDER_IS_OVER", False))], "ORDER_IS_OVER"),
        ([(503, refusal("UNAVAILABLE", True)), (200, order_answer("1-0", "cancelled"))], "cancelled"),
    ],
)
def test_a_cancel_is_asked_for_until_it_is_answered(replies: list[Reply], outcome: str) -> None:
    async def story() -> str:
        async with serving(lambda _: replies.pop(0)) as (url, _):
            wires = Wires(url, "key", 1)
            cancelled = await cancel(wires, "1-0")
            await wires.close()
            return cancelled

    assert asyncio.run(story()) == outcome


def told(*outcomes: tuple[str, str]) -> list[Sent]:
    """Orders by what their callers were told: status and code."""
    return [
        Sent(order=ORDER, first_at=0, answered_at=1, order_id="", status=status, code=code, tries=1)
        for status, code in outcomes
    ]


def test_why_orders_are_refused_is_counted_by_code_the_most_first() -> None:
    said = refusals(["OF_A_VENUE", "LOT_SIZE", "LOT_SIZE"])
    assert said == "LOT_SIZE 2 (The quantity lies between two lots.), OF_A_VENUE 1"


def test_who_is_refused_everything_is_told_why() -> None:
    with pytest.raises(Trouble, match=r"^2 of 2 orders of the drill are refused: TICK_SIZE 1 \(.*\), LOT_SIZE 1 \("):
        check_taken(told(("refused", "TICK_SIZE"), ("rejected", "LOT_SIZE")), "drill")


def test_one_order_taken_is_enough_unless_all_are_needed() -> None:
    sent = told(("refused", "TICK_SIZE"), ("filled", ""))
    check_taken(sent, "drill")
    check_taken([], "drill")
    check_taken(told(("filled", ""), ("open", "")), "drill", at_least=2)
    with pytest.raises(Trouble, match="1 of 2 orders of the drill are refused: TICK_SIZE 1"):
        check_taken(sent, "drill", at_least=2)


def test_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GIVE_UP_S", 0.0)
    nobody = Wires("http://127.0.0.1:1", "key", 1)
    with pytest.raises(Trouble, match="order c has no answer"):
        asyncio.run(place(nobody, ORDER))
    with pytest.raises(Trouble, match="the cancel of 1-0 has no answer"):
        asyncio.run(cancel(nobody, "1-0"))


def test_one_connection_carries_many_requests_and_no_more_are_opened_than_allowed() -> None:
    async def story() -> list[Asked]:
        async with serving(lambda _: (200, order_answer("1-0"))) as (url, asked):
            wires = Wires(url, "key", 2)
            await asyncio.gather(*(place(wires, ORDER) for _ in range(20)))
            await wires.close()
            return asked

    asked = asyncio.run(story())
    assert (len(asked), len({each.port for each in asked})) == (20, 2)


def test_who_is_not_there_has_no_answer() -> None:
    async def story() -> None:
        assert await get(Wires("http://127.0.0.1:1", "key", 1), "/v1/pnl", EstimateAnswer) is None

    asyncio.run(story())


def market(bid: str = "60000", ask: str = "60000.01") -> Market:
    seen = Market(Wires("http://127.0.0.1:1", "key", 1), BTC, "sim")
    seen.bid, seen.ask = Decimal(bid), Decimal(ask)
    return seen


def test_small_orders_buy_and_sell_in_turn_each_with_its_own_id_and_a_stop() -> None:
    random = Random(1)
    orders = [small_order(market(), "run", number, random) for number in range(1, 101)]
    assert [order.side for order in orders[:4]] == ["buy", "sell", "buy", "sell"]
    assert len({order.client_order_id for order in orders}) == 100
    assert {order.post_only for order in orders} == {True, False}
    for order in orders:
        assert order.stop_loss is not None
        instruments.check(order, {BTC.symbol: BTC})


def test_the_same_seed_makes_the_same_orders() -> None:
    def made() -> list[Order]:
        random = Random(7)
        return [small_order(market(), "run", number, random) for number in range(50)]

    assert made() == made()


def test_a_load_holds_its_rate_and_ends_when_all_is_answered() -> None:
    numbers = count(1)
    estimate = {
        "symbol": "BTC-USDT", "side": "buy", "quantity": "1", "type": "market", "venue": "sim", "bid": "60000",
        "ask": "60000.01", "spread": "0", "fee": "0", "total": "0", "total_bps": "0",
    }  # fmt: skip

    def reply(asked: Asked) -> Reply:
        if asked.method == "GET":
            return 200, msgspec.json.encode(estimate)
        return 200, order_answer(f"{next(numbers)}-0", "cancelled" if asked.method == "DELETE" else "open")

    async def story() -> tuple[list[Sent], list[Asked]]:
        async with serving(reply) as (url, asked):
            wires = Wires(url, "key", 8)
            busy = Load(wires, rate=100, in_flight=8, id="run")
            async with asyncio.TaskGroup() as group:
                group.create_task(busy.run())
                await asyncio.sleep(1)
                busy.stop()
            await wires.close()
            return busy.sent, asked

    sent, asked = asyncio.run(story())
    assert 50 <= len(sent) <= 101
    resting = sum(each.order.post_only for each in sent)
    assert sum(each.method == "DELETE" for each in asked) == resting > 0
