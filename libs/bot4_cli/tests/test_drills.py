from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_cli import tables
from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import duplicate_fill, fill_during_amend, kill_switch, lost_ack, orders, restart
from bot4_cli.drills.chronicle import Chronicle
from bot4_cli.drills.ground import Outcome
from bot4_cli.drills.room import with_room
from bot4_cli.load import Market, Sent
from bot4_cli.wire import Wires
from bot4_common import instruments, streams
from bot4_common.log import Record
from bot4_common.messages import execution, gateway, market, risk, venue
from bot4_common.messages.frame import AnyEvent, Decision, Frame, encode
from bot4_common.messages.limits import AccountLimits, LimitsDocument, StrategyLimits
from bot4_common.messages.terms import Event, Order, Side
from libs.bot4_cli.tests.test_tables import shown

BTC = instruments.shipped()["BTC-USDT"]
VENUE = streams.venue("sim")
ORDER = Order(client_order_id="c", symbol="BTC-USDT", side="buy", type="limit", quantity=Decimal(10), strategy="drill")
SIDES: tuple[Side, Side] = ("buy", "sell")
HELD = {("sim", "BTC-USDT"): Decimal(-2)}

# What every event of an order may need, and no test is about.
USUAL: dict[str, Any] = {
    "account": ACCOUNT, "order_id": "1-0", "child_id": "1-0.1", "venue": "sim", "session": streams.EXECUTION,
    "session_sequence": 0, "order": ORDER, "fingerprint": "", "bid": Decimal(100), "ask": Decimal(101), "opening": True,
    "at": 0, "sent_at": 0, "expires_at": 9, "code": "", "details": {}, "message": "", "reason": "", "strategy": "drill",
    "symbol": "BTC-USDT", "side": "buy", "trade_id": "t1", "price": Decimal(100), "quantity": Decimal(1),
    "cumulative": Decimal(1), "leaves": Decimal(0), "liquidity": "maker", "traded_at": 0, "accepted_at": 0,
    "venue_order_id": "v1", "position": Decimal(0), "request": "order", "exit_id": "flat-1", "stop_price": Decimal(90),
    "kind": "drop", "through": 0,
}  # fmt: skip


def event(kind: type[Event], /, **fields: Any) -> AnyEvent:
    wanted = {name: value for name, value in USUAL.items() if name in kind.__struct_fields__}
    made: AnyEvent = kind(**{**wanted, **fields})  # type: ignore[assignment]
    return made


def heard(*told: tuple[str, int, AnyEvent]) -> Chronicle:
    chronicle = Chronicle()
    for stream, at, event in told:
        chronicle.add(stream, at, [event])
    return chronicle


def on_risk(at: int, kind: type[Event], /, **fields: Any) -> tuple[str, int, AnyEvent]:
    return streams.RISK, at, event(kind, **fields)


def on_execution(at: int, kind: type[Event], /, **fields: Any) -> tuple[str, int, AnyEvent]:
    return streams.EXECUTION, at, event(kind, **fields)


def at_venue(at: int, kind: type[Event], /, **fields: Any) -> tuple[str, int, AnyEvent]:
    return VENUE, at, event(kind, **fields)


def touch() -> Market:
    seen = Market(Wires("http://127.0.0.1:1", "key", 1), BTC, "sim")
    seen.bid, seen.ask = Decimal("60000.00"), Decimal("60000.01")
    return seen


# What a drill places


@given(st.integers(0, 10_000), st.sampled_from(SIDES))
def test_what_rests_is_well_formed_behind_the_touch_and_within_the_collar(number: int, side: Side) -> None:
    order = orders.resting(touch(), "d", number, side)
    instruments.check(order, {BTC.symbol: BTC})
    assert order.price is not None
    away = order.price / 60_000 - 1
    assert Decimal("0.01") < (-away if side == "buy" else away) < Decimal("0.05")


def test_a_hundred_resting_orders_are_no_fifty_alike() -> None:
    made = [orders.resting(touch(), "d", number, "buy") for number in range(200)]
    alike = [(order.price, order.quantity) for order in made]
    assert max(map(alike.count, alike)) < 3


@pytest.mark.parametrize("side", SIDES)
def test_stops_and_lists_are_well_formed(side: Side) -> None:
    stop = orders.stop(touch(), "d", 1, side)
    instruments.check(stop, {BTC.symbol: BTC})
    assert stop.stop_price is not None
    assert (stop.stop_price > 60_000) == (side == "buy")
    for kind in restart.KINDS:
        instruments.check_list(orders.bracket(touch(), "d", kind), {BTC.symbol: BTC})


@given(st.integers(1, 100), st.sampled_from(fill_during_amend.FACTORS), st.sampled_from(SIDES))
def test_an_amend_asks_for_what_a_venue_takes(number: int, factor: Decimal, side: Side) -> None:
    order = orders.touching(touch(), "d", 1, side, fill_during_amend.NOTIONAL)
    amend = fill_during_amend.wanted(BTC, order, number, factor)
    changed = instruments.check_amend(order, amend.quantity, amend.price, {BTC.symbol: BTC})
    assert changed.price is not None and order.price is not None
    assert changed.price <= order.price if side == "buy" else changed.price >= order.price


# What it hears


def test_a_chronicle_keeps_when_each_event_was_decided_and_leaves_the_market_out() -> None:
    moved = venue.VenueMarketMoved(symbol="BTC-USDT", step=1, bids=[], asks=[], flow=[], at=1)
    decision = Decision(events=[moved, event(venue.VenueOrderAccepted)])
    frame = Frame(writer="w", number=1, previous="", decided_at=7, decisions=[decision])
    chronicle = Chronicle()
    chronicle.hear(Record(VENUE, 1, encode(frame), (VENUE, 1)))
    assert [at for at, _ in chronicle.events(VENUE, venue.VenueOrderAccepted, ACCOUNT)] == [7]
    assert len(list(chronicle.told(VENUE))) == 1
    assert list(chronicle.told(VENUE, "another")) == []
    assert (chronicle.first_after(VENUE, 6), chronicle.first_after(VENUE, 7)) == (7, None)


# The kill switch

MEASURED = kill_switch.Measured(
    resting=["1-0"], markets=1, asked_at=1_000_000, answered_at=3_000_000, refused=0, killed_at=20_000_000,
    risk_ready_s=0.5, unheard=["9-0"],
)  # fmt: skip
STOPPED = (
    on_risk(0, risk.PositionChanged, position=Decimal(5)),
    on_risk(2_000_000, risk.KillSwitchEngaged),
    on_risk(2_000_000, risk.CancelApproved, reason="kill_switch"),
    on_risk(2_000_000, risk.PositionFlattened),
    on_risk(2_000_000, risk.OrderApproved, order_id="flat-1"),
    on_execution(5_000_000, execution.OrderCancelled),
    on_risk(7_000_000, risk.PositionChanged, position=Decimal(0)),
    (streams.GATEWAY, 21_000_000, event(gateway.PlaceOrder)),
    on_risk(30_000_000, risk.OrderRefused, order_id="9-0", code="KILL_SWITCH"),
    on_risk(40_000_000, risk.KillSwitchReset),
    on_risk(50_000_000, risk.OrderApproved, order_id="10-0"),
)


def test_the_times_of_a_kill_switch_are_those_of_the_frames() -> None:
    result = kill_switch.judged(heard(*STOPPED), MEASURED)
    figures = result.figures
    assert isinstance(figures, kill_switch.Figures)
    assert (figures.answered_ms, figures.engaged_ms, figures.last_cancel_ms, figures.flat_ms) == (2.0, 1.0, 4.0, 6.0)
    assert (figures.cancels, figures.cancel_ms_p50, figures.cancel_ms_max) == (1, 3.0, 3.0)
    assert (figures.journaled_without_risk, figures.sent_without_risk, figures.refused_after_s) == (1, 0, 0.01)
    assert result.wrong == []


@pytest.mark.parametrize(
    ("without", "wrong"),
    [
        (risk.KillSwitchEngaged, "risk has not engaged the switch"),
        (risk.CancelApproved, "1-0 was resting and was not to be cancelled"),
        (execution.OrderCancelled, "1-0 was to be cancelled and is not over"),
        (risk.PositionFlattened, "flat-1 was approved while the switch was engaged"),
        (gateway.PlaceOrder, "no order was journaled while risk was dead"),
        (risk.OrderRefused, "9-0 was not refused by the switch"),
    ],
)
def test_what_is_missing_when_a_switch_stops_trading_is_said(without: type[Event], wrong: str) -> None:
    told = [each for each in STOPPED if not isinstance(each[2], without)]
    assert wrong in kill_switch.judged(heard(*told), MEASURED).wrong


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (on_risk(3_000_000, risk.OrderApproved, order_id="8-0"), "8-0 was approved while the switch was engaged"),
        (on_risk(8_000_000, risk.PositionChanged, position=Decimal(1)), "what was held was not closed"),
        (on_execution(22_000_000, execution.OrderSent), "1 orders were sent while risk was dead"),
    ],
)
def test_what_happens_in_spite_of_a_switch_is_said(more: tuple[str, int, AnyEvent], wrong: str) -> None:
    told = sorted([*STOPPED, more], key=lambda each: each[1])
    assert wrong in kill_switch.judged(heard(*told), MEASURED).wrong


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ({"risk_ready_s": None}, "risk is not ready again"),
        ({"risk_ready_s": 5.1}, "risk is ready again after 5.1 s; the bound is 5 s"),
        ({"resting": []}, "no order was resting"),
        ({"resting": ["1-0", "2-0"]}, "2-0 was resting and was not to be cancelled"),
        ({"markets": 0}, "nothing was held"),
    ],
)
def test_what_the_caller_saw_is_judged_as_well(seen: dict[str, Any], wrong: str) -> None:
    assert kill_switch.judged(heard(*STOPPED), MEASURED._replace(**seen)).wrong == [wrong]


def test_a_switch_that_was_never_engaged_has_no_times() -> None:
    told = [each for each in STOPPED if not isinstance(each[2], risk.KillSwitchEngaged)]
    figures = kill_switch.judged(heard(*told), MEASURED).figures
    assert isinstance(figures, kill_switch.Figures)
    assert figures.engaged_ms is figures.flat_ms is None


def test_the_switch_of_a_strategy_is_another_one() -> None:
    guarded = on_risk(1_500_000, risk.KillSwitchEngaged, scope="strategy")
    figures = kill_switch.judged(heard(guarded, *STOPPED), MEASURED).figures
    assert isinstance(figures, kill_switch.Figures)
    assert figures.engaged_ms == 1.0


def test_every_order_that_is_tried_meanwhile_has_to_be_refused_by_the_switch() -> None:
    def tried(status: str, code: str) -> Sent:
        return Sent(order=ORDER, first_at=0, answered_at=1, order_id="1-0", status=status, code=code, tries=1)

    assert kill_switch.unrefused([tried("refused", "KILL_SWITCH")]) == []
    assert kill_switch.unrefused([tried("filled", "")]) == ["c was tried while the switch was engaged: filled"]
    assert len(kill_switch.unrefused([tried("refused", "NO_MARKET")])) == 1


# Lost answers

LOST_AND_HEALED = (
    on_execution(1_000_000, execution.OrderSent),
    at_venue(2_000_000, venue.VenueOrderEntered),
    at_venue(2_000_000, venue.VenueOrderAccepted, session_sequence=4),
    at_venue(2_000_000, venue.FeedFault, session_sequence=4),
    on_execution(3_000_000, execution.OutcomeUnknown),
    on_execution(8_000_000, execution.OrderAcknowledged, session_sequence=4),
)


def test_an_answer_that_is_lost_counts_until_it_is_known() -> None:
    result = lost_ack.judged(heard(*LOST_AND_HEALED), ("sim",))
    figures = result.figures
    assert isinstance(figures, lost_ack.Figures)
    assert (figures.orders, figures.acks_lost, figures.unknown, figures.lost) == (1, 1, 1, 0)
    assert (figures.heal_ms_max, figures.resolve_ms_max) == (6.0, 5.0)
    assert result.wrong == []


def test_a_request_that_never_arrived_is_known_to_be_lost() -> None:
    told = [
        on_execution(
            1, execution.OrderSent, child_id="2-0.1", order=msgspec.structs.replace(ORDER, client_order_id="d")
        ),
        at_venue(2, venue.FeedFault, child_id="2-0.1", kind="drop_request"),
        on_execution(3, execution.OutcomeUnknown, child_id="2-0.1"),
        on_execution(9, execution.OrderLost, child_id="2-0.1"),
    ]
    result = lost_ack.judged(heard(*LOST_AND_HEALED, *told), ("sim",))
    figures = result.figures
    assert isinstance(figures, lost_ack.Figures)
    assert (figures.requests_lost, figures.lost, figures.unknown) == (1, 1, 2)
    assert result.wrong == []


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (LOST_AND_HEALED[:-1], "the outcome of the order of 1-0.1 is still unknown"),
        (LOST_AND_HEALED[:-1], "a lost answer never became known"),
        (LOST_AND_HEALED[:-1], "1-0.1 is at sim, and we do not know it"),
        (LOST_AND_HEALED[:1] + LOST_AND_HEALED[4:], "1-0.1 is not at sim, and we do not know it"),
        ((*LOST_AND_HEALED, LOST_AND_HEALED[0]), "1-0.1 was sent 2 times"),
        ((*LOST_AND_HEALED, LOST_AND_HEALED[1]), "1-0.1 entered sim 2 times"),
        ((*LOST_AND_HEALED, on_execution(1, execution.OrderSent, child_id="2-0.1")), "c is 2 orders at sim"),
        ((), "no answer was lost"),
    ],
)
def test_what_a_lost_answer_must_not_lead_to_is_said(told: tuple[tuple[str, int, AnyEvent], ...], wrong: str) -> None:
    assert wrong in lost_ack.judged(heard(*told), ("sim",)).wrong


# Fills during amends

AMENDED = (
    on_risk(0, risk.OrderApproved),
    on_execution(0, execution.OrderSent),
    on_execution(1_000_000, execution.AmendSent, quantity=Decimal(4)),
    on_execution(2_000_000, execution.OrderFilled, quantity=Decimal(3), leaves=Decimal(7)),
    on_risk(2_000_000, risk.PositionChanged, quantity=Decimal(3)),
    on_execution(3_000_000, execution.OrderAmended, quantity=Decimal(4), leaves=Decimal(1)),
    on_risk(3_000_000, risk.ReservationAmended, quantity=Decimal(4), leaves=Decimal(1)),
    on_execution(4_000_000, execution.OrderFilled, quantity=Decimal(1)),
    on_risk(4_000_000, risk.PositionChanged, quantity=Decimal(-1)),
)


def test_fills_are_counted_against_the_total_as_it_is_by_then() -> None:
    result = fill_during_amend.judged(heard(*AMENDED))
    figures = result.figures
    assert isinstance(figures, fill_during_amend.Figures)
    assert (figures.amends, figures.confirmed, figures.fills, figures.fills_in_flight) == (1, 1, 2, 1)
    assert figures.amend_ms_max == 2.0
    assert result.wrong == []


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (on_execution(3, execution.AmendRejected, code="BELOW_FILLED", session_sequence=7), "rejected"),
        (on_execution(3, execution.AmendRejected, code="AMEND_LOST", session_sequence=7), "lost"),
        (on_execution(3, execution.AmendRejected, code="ORDER_IS_OVER"), "overtaken"),
    ],
)
def test_an_amend_ends_in_one_way(ending: tuple[str, int, AnyEvent], how: str) -> None:
    figures = fill_during_amend.judged(heard(*AMENDED[1:3], ending)).figures
    assert {name: getattr(figures, name) for name in ("confirmed", "rejected", "lost", "overtaken")} == {
        **dict.fromkeys(("confirmed", "rejected", "lost", "overtaken"), 0),
        how: 1,
    }


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (on_execution(5, execution.OrderFilled, quantity=Decimal(1)), "5 of 4 are filled of 1-0.1"),
        (on_execution(5, execution.AmendSent), "an amend of 1-0.1 has no end"),
        (on_risk(5, risk.ReservationReduced, quantity=Decimal(1)), "-1 of 1-0 are still reserved"),
    ],
)
def test_what_an_amend_must_not_lead_to_is_said(more: tuple[str, int, AnyEvent], wrong: str) -> None:
    assert wrong in fill_during_amend.judged(heard(*AMENDED, more)).wrong


@pytest.mark.parametrize("ending", [execution.OrderCancelled, execution.OrderFilled])
def test_the_end_of_an_order_does_not_say_what_became_of_its_amend(ending: type[Event]) -> None:
    told = heard(*AMENDED[1:3], on_execution(3, ending, quantity=Decimal(10)))
    assert "an amend of 1-0.1 has no end" in fill_during_amend.judged(told).wrong


def test_an_order_that_is_over_reserves_nothing() -> None:
    released = on_risk(2, risk.ReservationReleased, quantity=Decimal(10))
    assert fill_during_amend.reserved(heard(on_risk(1, risk.OrderApproved), released)) == {"1-0": Decimal(0)}


# Restarts


def test_what_is_open_is_what_was_accepted_and_has_not_ended() -> None:
    there = [
        at_venue(1, venue.VenueOrderAccepted),
        at_venue(1, venue.VenueOrderAccepted, child_id="2-0.1", venue_order_id="v2"),
        at_venue(2, venue.VenueOrderCancelled, child_id="2-0.1"),
    ]
    ours = [
        on_execution(1, execution.OrderAcknowledged),
        on_execution(1, execution.OrderAcknowledged, child_id="2-0.1", venue_order_id="v2"),
        on_execution(2, execution.OrderCancelled, child_id="2-0.1"),
        on_risk(1, risk.StopArmed),
        on_risk(1, risk.StopArmed, order_id="3-0", quantity=Decimal(0)),
    ]
    believed = restart.believed_by(heard(*there, *ours), ["sim"])
    assert believed.ours == believed.theirs == {"1-0.1": "v1"}
    assert believed.protected == {"1-0": (Decimal(1), Decimal(90))}
    assert believed.wrong == []
    assert restart.believed_by(heard(*there), ["sim"]).wrong == ["1-0.1 at the venue: v1; to us: nothing"]


def test_what_changed_over_a_restart_is_said() -> None:
    seen = restart.Seen(orders={}, lists={}, held=HELD)
    believed = restart.Believed(ours={"1-0.1": "v1"}, theirs={"1-0.1": "v1"}, protected={})
    before = restart.State(seen, believed)
    assert restart.changes(before, before) == []
    flat = before._replace(seen=msgspec.structs.replace(seen, held={}))
    assert restart.changes(before, flat) == ["('sim', 'BTC-USDT') held before: -2; after: nothing"]
    sent_again = before._replace(believed=msgspec.structs.replace(believed, theirs={"1-0.1": "v2"}))
    assert restart.changes(before, sent_again) == [
        "1-0.1 at the venue: v2; to us: v1",
        "1-0.1 at its venue before: v1; after: v2",
    ]


def test_whatever_happens_to_the_account_is_an_event_but_for_what_fills_cost() -> None:
    told = [
        on_execution(1, execution.OrderSent),
        on_risk(1, risk.FeeBooked, fee=Decimal(1)),
        at_venue(1, venue.VenueFilled),
    ]
    found = restart.events(heard(*told), ["sim"])
    assert [type(each.event) for each in found] == [execution.OrderSent, venue.VenueFilled]


def test_a_difference_is_told_with_both_sides() -> None:
    assert restart.different("before", {"a": 1, "b": 2}, "after", {"a": 1, "b": 3, "c": 4}) == [
        "b before: 2; after: 3",
        "c before: nothing; after: 4",
    ]
    assert restart.different("before", {"a": 1}, "after", {"a": 1}) == []


# Fills that are told twice


def fed(*numbers: int) -> duplicate_fill.Ear:
    ear = duplicate_fill.Ear()
    for number in numbers:
        message = event(venue.VenueFilled, session_sequence=number)
        beat = market.SessionHeartbeat(venue="sim", session=streams.EXECUTION, session_sequence=number, at=1)
        ear.hear("sim", market.encode_spoken([market.Spoken(message), market.Spoken(beat)]))  # type: ignore[arg-type]
    return ear


TRADED = (
    at_venue(1, venue.VenueFilled, session_sequence=1),
    at_venue(1, venue.VenueFilled, session_sequence=2, trade_id="t2", side="sell", quantity=Decimal(3)),
    on_execution(1, execution.OrderFilled),
    on_execution(1, execution.OrderFilled, trade_id="t2", side="sell", quantity=Decimal(3)),
    on_risk(1, risk.PositionChanged, quantity=Decimal(1)),
    on_risk(1, risk.PositionChanged, quantity=Decimal(-3)),
)


def test_a_fill_that_is_heard_twice_is_ignored_once() -> None:
    result = duplicate_fill.judged(heard(*TRADED), fed(1, 1, 2), ("sim",), HELD)
    figures = result.figures
    assert isinstance(figures, duplicate_fill.Figures)
    assert (figures.messages, figures.repeats, figures.fills, figures.ignored) == (3, 1, 3, 1)
    assert (figures.trades, figures.booked, figures.quarantined) == (2, 2, 0)
    assert result.wrong == []


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (TRADED[2], "trade t1 of 1-0.1 at sim was booked 2 times"),
        (on_execution(1, execution.OrderFilled, trade_id="t3"), "trade t3 of 1-0.1 at sim was booked and never made"),
        (at_venue(1, venue.VenueFilled, trade_id="t3"), "trade t3 of 1-0.1 at sim was not booked"),
        (TRADED[4], "BTC-USDT at sim: traded -2, booked -1"),
        (on_execution(1, execution.FillQuarantined), "1 fills were quarantined"),
    ],
)
def test_a_repeat_that_does_something_is_said(more: tuple[str, int, AnyEvent], wrong: str) -> None:
    assert wrong in duplicate_fill.judged(heard(*TRADED, more), fed(1, 1), ("sim",), HELD).wrong


def test_what_is_booked_again_was_not_ignored() -> None:
    figures = duplicate_fill.judged(heard(*TRADED, TRADED[2]), fed(1, 1, 2), ("sim",), HELD).figures
    assert isinstance(figures, duplicate_fill.Figures)
    assert (figures.booked, figures.ignored) == (3, 0)


def test_trades_that_balance_are_missed_all_the_same() -> None:
    both = [at_venue(1, venue.VenueFilled, trade_id=f"t{side}", side=side) for side in SIDES]
    assert duplicate_fill.judged(heard(*TRADED, *both), fed(1, 1), ("sim",), HELD).wrong == [
        "trade tbuy of 1-0.1 at sim was not booked",
        "trade tsell of 1-0.1 at sim was not booked",
    ]


def test_what_the_account_is_shown_is_compared_as_well() -> None:
    assert duplicate_fill.judged(heard(*TRADED), fed(1, 1), ("sim",), {}).wrong == [
        "BTC-USDT at sim: traded -2, shown 0"
    ]


def test_a_feed_that_repeated_nothing_proves_nothing() -> None:
    assert duplicate_fill.judged(heard(*TRADED), fed(1, 2), ("sim",), HELD).wrong == ["no fill was told twice"]


# Limits, and how it looks


def test_the_shipped_limits_have_room_enough() -> None:
    assert with_room(LimitsDocument(), correlated=False) == LimitsDocument()


def test_tighter_limits_give_way_for_the_drills_account_alone() -> None:
    tight = LimitsDocument(
        account=AccountLimits(open_orders_max=5, capital=Decimal(7), drawdown_percent=Decimal(30)),
        strategy=StrategyLimits(orders_per_second=1),
    )
    roomy = with_room(tight, correlated=True)
    drill = roomy.accounts[ACCOUNT]
    assert (drill.open_orders_max, drill.capital, drill.drawdown_percent) == (1_000, Decimal(7), Decimal(30))
    assert drill.correlation_max == 1
    assert set(roomy.strategies) == {"drill/drill", "drill/load"}
    assert (roomy.account, roomy.strategy) == (tight.account, tight.strategy)


def test_a_drill_is_shown_with_all_its_figures_and_what_is_wrong() -> None:
    figures = duplicate_fill.judged(heard(*TRADED), fed(1, 1), ("sim",), HELD).figures
    outcome = Outcome(
        drill="duplicate-fill",
        figures=figures,
        wrong=["it is"],
        audited_frames=1,
        findings=[],
        passed=False,
    )
    text = shown(tables.drilled(outcome))
    assert all(name in text for name in ("messages", "quarantined", "it is", "findings of the audit"))


def test_the_longest_time_without_a_stop_is_told_in_milliseconds() -> None:
    assert "3.2 ms (order 1-0)" in tables.unprotected(3_210_000, "1-0")
    assert "No position" in tables.unprotected(0, "")
