"""Is a request checked, recognised, journaled once and answered with what is known?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bot4_common import streams
from bot4_common.instruments import shipped
from bot4_common.log import ChainBroken, Fenced
from bot4_common.memory_log import Faults, MemoryLog
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.estimate import SUBJECT, Estimate, EstimateRefused, EstimateRequest
from bot4_common.messages.execution import CancelRejected
from bot4_common.messages.frame import encode
from bot4_common.messages.gateway import CancelOrder, EngageKillSwitch, PlaceOrder
from bot4_common.messages.risk import CancelRefused
from bot4_gateway.desk import Answer, Desk
from services.gateway.tests.street import (
    ANN,
    BOB,
    BTC,
    SIM,
    Street,
    acknowledged,
    begun,
    begun_at_once,
    buy,
    filled,
    passing,
    refusal,
    sent,
    simulated,
)

# Waiting


def test_a_journaled_order_is_answered_with_its_id() -> None:
    async def story(street: Street) -> None:
        answer = await (await street.desk()).place(ANN, buy("a"), "journaled")
        assert answer.settled and not answer.duplicate
        assert (answer.record.order_id, answer.record.status) == ("1-0", "received")
        assert street.asked() == [PlaceOrder(account=ANN, order=buy("a"))]

    simulated(story)


def test_a_caller_may_wait_for_risk() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place(ANN, buy("a"), "risk"))
        assert not placing.done()
        await street.approves("1-0", buy("a"))
        answer = await placing
        assert (answer.settled, answer.record.status) == (True, "approved")

    simulated(story)


def test_a_caller_may_wait_for_the_venue() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place(ANN, buy("a"), "venue"))
        await street.approves("1-0", buy("a"))
        await street.execution.says(sent("1-0", buy("a")))
        await passing(0.1)
        assert not placing.done()
        await street.execution.says(acknowledged("1-0"))
        assert (await placing).record.status == "open"

    simulated(story)


def test_a_caller_hears_how_things_stand_when_the_time_is_up() -> None:
    async def story(street: Street) -> None:
        began = street.clock()
        placing = await begun((await street.desk()).place(ANN, buy("a")))
        await street.approves("1-0", buy("a"))
        answer = await placing
        assert (answer.settled, answer.record.status) == (False, "approved")
        assert 2.0 <= (street.clock() - began) / 1e9 < 2.2

    simulated(story)


def test_a_refusal_by_risk_settles_every_wait() -> None:
    async def story(street: Street) -> None:
        placing = await begun((await street.desk()).place(ANN, buy("a"), "venue"))
        await street.refuses("1-0", buy("a"), "ORDER_SIZE", limit="1")
        answer = await placing
        assert (answer.settled, answer.record.code, answer.record.details) == (True, "ORDER_SIZE", {"limit": "1"})

    simulated(story)


# What is refused at once


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (buy("a", symbol="DOGE"), "UNKNOWN_SYMBOL"),
        (buy("a", quantity="0.000001"), "LOT_SIZE"),
        (buy("a", price=Decimal("NaN")), "BAD_FIELD"),
        (buy("a", stop_loss=Decimal(110)), "STOP_ON_WRONG_SIDE"),
        (buy("no spaces"), "BAD_FIELD"),
        (buy("nul\0"), "BAD_FIELD"),
        (buy("a", strategy="x" * 65), "BAD_FIELD"),
        (buy("ключ"), "BAD_FIELD"),
    ],
)
def test_a_bad_order_leaves_no_trace(order: Any, code: str) -> None:
    async def story(street: Street) -> None:
        assert (await refusal((await street.desk()).place(ANN, order))).code == code
        assert street.asked() == []

    simulated(story)


def test_nothing_is_taken_before_everything_is_read() -> None:
    async def story(street: Street) -> None:
        desk = Desk(MemoryLog(street.broker), street.clock, "gateway-0", shipped(), SIM)
        assert (await refusal(desk.place(ANN, buy("a")))).code == "UNAVAILABLE"

    simulated(story)


def test_an_account_has_a_bounded_number_of_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await street.execution.says(filled("0-0", "1", "100", strategy="trend"))
        await passing(0.1)
        assert (await refusal(desk.place(ANN, buy("a", strategy="other")))).details["field"] == "strategy"
        assert (await desk.place(ANN, buy("a", strategy="trend"), "journaled")).settled

    monkeypatch.setattr("bot4_gateway.desk.STRATEGIES_MAX", 1)
    simulated(story)


# Repeats


def test_the_same_again_gets_the_first_answer() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        again = await desk.place(ANN, buy("a", "0.50"), "journaled")
        assert (again.record.order_id, again.duplicate) == ("1-0", True)
        assert len(street.asked()) == 1

    simulated(story)


def test_a_repeat_hears_what_became_of_the_first() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        await street.refuses("1-0", buy("a"), "NO_MARKET")
        again = await desk.place(ANN, buy("a"), "venue")
        assert (again.record.code, again.duplicate) == ("NO_MARKET", True)

    simulated(story)


def test_another_body_under_a_taken_id_is_refused() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        refused = await refusal(desk.place(ANN, buy("a", "0.6"), "journaled"))
        assert (refused.code, refused.details["order_id"]) == ("KEY_REUSED", "1-0")
        assert len(street.asked()) == 1

    simulated(story)


def test_accounts_do_not_share_ids() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        assert not (await desk.place(BOB, buy("a"), "journaled")).duplicate

    simulated(story)


def test_a_repeat_joins_the_first_while_it_is_in_flight() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        first, again = await asyncio.gather(
            desk.place(ANN, buy("a"), "journaled"), desk.place(ANN, buy("a"), "journaled")
        )
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.record == again.record
        assert len(street.asked()) == 1

    simulated(story, delay=0.01)


def test_another_body_is_refused_also_while_the_first_is_in_flight() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        first = asyncio.ensure_future(desk.place(ANN, buy("a"), "journaled"))
        await asyncio.sleep(0)
        assert (await refusal(desk.place(ANN, buy("a", "0.6")))).code == "KEY_REUSED"
        assert (await first).settled

    simulated(story, delay=0.01)


def test_after_the_window_an_id_is_free_again() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        await passing(60.1)
        assert not (await desk.place(ANN, buy("a"), "journaled")).duplicate
        assert len(street.asked()) == 2

    simulated(story)


def test_two_replicas_that_race_give_the_answer_of_the_first() -> None:
    async def story(street: Street) -> None:
        desks = [await street.desk("gateway-0"), await street.desk("gateway-1")]
        racing = [begun_at_once(desk.place(ANN, buy("a"))) for desk in desks]
        await passing(0.1)
        assert len(street.asked()) == 2
        await street.opens("1-0", buy("a"))
        await street.repeats("2-0", buy("a"), first="1-0")
        answers: list[Answer] = await asyncio.gather(*racing)
        assert [answer.record.order_id for answer in answers] == ["1-0", "1-0"]
        assert sorted(answer.duplicate for answer in answers) == [False, True]

    simulated(story)


def test_the_loser_of_a_race_with_another_body_is_refused() -> None:
    async def story(street: Street) -> None:
        desks = [await street.desk("gateway-0"), await street.desk("gateway-1")]
        orders = [buy("a"), buy("a", "0.6")]
        racing = [begun_at_once(desk.place(ANN, order)) for desk, order in zip(desks, orders, strict=True)]
        await passing(0.1)
        first, second = (event.order for event in street.asked() if isinstance(event, PlaceOrder))
        await street.opens("1-0", first)
        await street.repeats("2-0", second, first="1-0", same_body=False)
        outcomes = await asyncio.gather(*racing, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Answer", "Refused"]

    simulated(story)


def test_a_lost_race_is_known_before_risk_speaks() -> None:
    async def story(street: Street) -> None:
        desks = [await street.desk("gateway-0"), await street.desk("gateway-1")]
        answers: list[Answer] = await asyncio.gather(*(desk.place(ANN, buy("a"), "journaled") for desk in desks))
        assert len(street.asked()) == 2
        assert [answer.record.order_id for answer in answers] == ["1-0", "1-0"]

    simulated(story)


# The journal's side


def test_what_arrives_while_a_frame_is_stored_becomes_the_next() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        placing = [desk.place(ANN, buy(f"a{n}"), "journaled") for n in range(1_000)]
        answers: list[Answer] = await asyncio.gather(*placing)
        sizes = [len(frame.decisions) for frame in street.frames()]
        assert sum(sizes) == 1_000 and max(sizes) == 512 and len(sizes) <= 4
        answered = {answer.record.order_id: answer.record.order for answer in answers}
        assert all(desk.order(ANN, order_id).order == order for order_id, order in answered.items())
        assert len(answered) == 1_000

    simulated(story, delay=0.01)


def test_an_order_too_many_is_turned_away_but_a_kill_switch_goes_ahead() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk(backlog_max=3)
        street.broker.faults = Faults(append_lost=1.0, delay=0.001)
        waiting = [await begun(desk.place(ANN, buy(f"a{n}"))) for n in range(4)]
        assert (await refusal(desk.place(ANN, buy("b")))).code == "OVERLOADED"
        killing = await begun(desk.controls.engage(EngageKillSwitch(account=ANN, reason="enough")))
        street.broker.faults = Faults()
        await asyncio.gather(*waiting, killing, return_exceptions=True)
        asked = [type(event) for event in street.asked() if not isinstance(event, BreakerChanged)]
        assert asked == [PlaceOrder, EngageKillSwitch, *[PlaceOrder] * 3]

    simulated(story)


def test_when_the_journal_is_silent_the_outcome_is_unknown_and_the_id_taken() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        street.broker.faults = Faults(append_lost=1.0, delay=0.001)
        assert (await refusal(desk.place(ANN, buy("a")))).code == "OUTCOME_UNKNOWN"
        assert (await refusal(desk.place(ANN, buy("a", "0.6")))).code == "KEY_REUSED"
        again = await begun(desk.place(ANN, buy("a"), "journaled"))
        street.broker.faults = Faults()
        answer = await again
        assert (answer.record.order_id, answer.duplicate) == ("1-0", True)
        assert [event for event in street.asked() if not isinstance(event, BreakerChanged)] == [
            PlaceOrder(account=ANN, order=buy("a"))
        ]

    simulated(story)


@pytest.mark.parametrize("seed", range(20))
def test_a_faulty_log_takes_every_order_once(seed: int) -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        placing = [desk.place(ANN, buy(f"a{n}"), "journaled") for n in range(50)]
        answers = await asyncio.gather(*placing, return_exceptions=True)
        await passing(5)
        ids = {answer.record.order_id for answer in answers if isinstance(answer, Answer)}
        assert len(ids) == len([answer for answer in answers if isinstance(answer, Answer)]) > 0
        assert sorted(event.order.client_order_id for event in street.asked() if isinstance(event, PlaceOrder)) == (
            sorted(f"a{n}" for n in range(50))
        )

    simulated(story, seed, append_lost=0.3, append_ack_lost=0.3, append_twice=0.3, delay=0.05)


def test_another_process_of_the_same_name_ends_this_one() -> None:
    async def story(street: Street) -> None:
        desk = Desk(MemoryLog(street.broker), street.clock, "gateway-0", shipped(), SIM)
        running = asyncio.ensure_future(desk.run())
        await passing(0.1)
        other = await street.desk("gateway-0")
        await other.place(ANN, buy("a"), "journaled")
        refused = await refusal(desk.place(ANN, buy("b")))
        assert refused.code == "OUTCOME_UNKNOWN"
        with pytest.raises(Fenced):
            await running

    simulated(story)


def test_an_altered_frame_ends_the_process() -> None:
    async def story(street: Street) -> None:
        desk = Desk(MemoryLog(street.broker), street.clock, "gateway-0", shipped(), SIM)
        running = asyncio.ensure_future(desk.run())
        await passing(0.1)
        await desk.place(ANN, buy("a"), "journaled")
        frame = replace_previous(street.frames()[0])
        await MemoryLog(street.broker).append(streams.GATEWAY, "gateway-0", 1, frame)
        with pytest.raises(ChainBroken):
            await running
        assert (await refusal(desk.place(ANN, buy("b")))).code == "UNAVAILABLE"

    simulated(story)


def replace_previous(frame: Any) -> bytes:
    return encode(type(frame)(**{**{f: getattr(frame, f) for f in frame.__struct_fields__}, "previous": "other"}))


def test_what_was_taken_is_stored_before_the_process_ends() -> None:
    async def story(street: Street) -> None:
        desk = Desk(MemoryLog(street.broker), street.clock, "gateway-0", shipped(), SIM)
        running = asyncio.ensure_future(desk.run())
        await passing(0.1)
        placing = asyncio.ensure_future(desk.place(ANN, buy("a"), "journaled"))
        await asyncio.sleep(0)
        desk.stop()
        await running
        assert len(street.asked()) == 1
        assert (await refusal(desk.place(ANN, buy("b")))).code == "UNAVAILABLE"
        assert (await placing).record.order_id == "1-0"

    simulated(story, delay=0.01)


# Cancelling


async def opened(street: Street, desk: Desk, key: str = "a") -> str:
    answer = await desk.place(ANN, buy(key), "journaled")
    await street.opens(answer.record.order_id, buy(key))
    await passing(0.1)
    return answer.record.order_id


def test_a_cancel_is_answered_when_the_order_is_cancelled() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        cancelling = await begun(desk.cancel(ANN, order_id))
        assert not cancelling.done()
        await street.cancels(order_id)
        answer = await cancelling
        assert (answer.settled, answer.record.status) == (True, "cancelled")
        assert street.asked()[1:] == [CancelOrder(account=ANN, order_id=order_id)]

    simulated(story)


def test_a_cancel_may_be_answered_earlier() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert (await desk.cancel(ANN, order_id, "journaled")).record.status == "open"

    simulated(story)


def test_a_cancel_that_risk_refuses_is_refused() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        cancelling = await begun(desk.cancel(ANN, order_id))
        await street.risk.says(CancelRefused(order_id=order_id, account=ANN, code="ORDER_IS_OVER", details={}))
        assert (await refusal(cancelling)).code == "ORDER_IS_OVER"

    simulated(story)


def test_a_cancel_that_comes_too_late_says_so() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        cancelling = await begun(desk.cancel(ANN, order_id))
        await street.execution.says(filled(order_id, "0.5", "100"))
        refused = await refusal(cancelling)
        assert (refused.code, refused.details["status"]) == ("ORDER_IS_OVER", "filled")

    simulated(story)


def test_a_cancel_that_overtakes_its_order_goes_on_waiting() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        await desk.place(ANN, buy("a"), "journaled")
        cancelling = await begun(desk.cancel(ANN, "1-0"))
        await street.approves("1-0", buy("a"))
        await street.execution.says(sent("1-0", buy("a")), not_found("1-0"))
        await passing(0.1)
        assert not cancelling.done()
        await street.execution.says(acknowledged("1-0"))
        await street.cancels("1-0")
        assert (await cancelling).record.status == "cancelled"

    simulated(story)


def not_found(order_id: str) -> CancelRejected:
    return CancelRejected(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        code="UNKNOWN_ORDER",
        session_sequence=1,
    )


def test_what_is_over_unknown_or_another_s_cannot_be_cancelled() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        order_id = await opened(street, desk)
        assert (await refusal(desk.cancel(BOB, order_id))).code == "UNKNOWN_ORDER"
        assert (await refusal(desk.cancel(ANN, "9-9"))).code == "UNKNOWN_ORDER"
        await street.cancels(order_id)
        await passing(0.1)
        assert (await refusal(desk.cancel(ANN, order_id))).code == "ORDER_IS_OVER"
        assert len(street.asked()) == 1

    simulated(story)


# Estimates

REQUEST = EstimateRequest(symbol=BTC, side="buy", quantity=Decimal(1))


def test_an_estimate_is_asked_of_the_cost_model() -> None:
    estimate = Estimate(
        symbol=BTC,
        side="buy",
        quantity=Decimal(1),
        type="market",
        venue="sim",
        bid=Decimal(99),
        ask=Decimal(101),
        spread=Decimal(1),
        fee=Decimal("0.1"),
        total=Decimal("1.1"),
        total_bps=Decimal(110),
    )

    async def story(street: Street) -> None:
        async def respond(_: bytes) -> bytes:
            return encode(estimate)

        await MemoryLog(street.broker).answer(SUBJECT, respond)
        assert await (await street.desk()).estimate(REQUEST) == estimate

    simulated(story)


def test_an_estimate_may_be_refused_or_nobody_be_there() -> None:
    async def story(street: Street) -> None:
        desk = await street.desk()
        assert (await refusal(desk.estimate(REQUEST))).code == "UNAVAILABLE"

        async def respond(_: bytes) -> bytes:
            return encode(EstimateRefused(code="NO_MARKET", details={"symbol": BTC}))

        await MemoryLog(street.broker).answer(SUBJECT, respond)
        assert (await refusal(desk.estimate(REQUEST))).code == "NO_MARKET"
        unknown = EstimateRequest(symbol="DOGE", side="buy", quantity=Decimal(1))
        assert (await refusal(desk.estimate(unknown))).code == "UNKNOWN_SYMBOL"

    simulated(story)
