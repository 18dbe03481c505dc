"""By which limits does risk judge, what is everything worth, and what is told of losses, fees and correlations?"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from bot4_common.given import NOON, SECOND, Scenario, event
from bot4_common.messages.cost import CostRecorded, StatisticsPublished, SymbolStatistics
from bot4_common.messages.gateway import PlaceOrder, RebaseEquity, SetLimits
from bot4_common.messages.limits import AccountLimits, OrderLimits
from bot4_common.messages.market import Tick
from bot4_common.messages.risk import (
    AmendApproved,
    CancelApproved,
    CorrelationsAdopted,
    EquityRebased,
    FeeBooked,
    HaltChanged,
    LimitsChanged,
    LimitsRefused,
    MarksTaken,
    OrderApproved,
    SelfTradePrevented,
)
from bot4_common.messages.terms import EventId, Prevention
from bot4_common.venues import load
from bot4_risk.domain import Risk
from bot4_risk.state import State
from services.risk.tests.words import (
    LIMITS,
    LOTS,
    bought,
    buy,
    cancelled,
    given,
    holding,
    order,
    place,
    quote,
    refused,
    sell,
)

SMALLER = replace(LIMITS, order=OrderLimits(notional_max=Decimal(1_000), price_collar_bps=1_000))


def set_limits(replaces: int = 0) -> SetLimits:
    return SetLimits(document=SMALLER, reason="a new day", by="operator", replaces=replaces)


def tick(at: int) -> Tick:
    return Tick(at=at)


# Limits


def test_the_limits_of_the_file_come_before_anything_else() -> None:
    fresh = Scenario(Risk(LIMITS, load(("sim",)), LOTS, capacity=10))
    fresh.quotes = {("sim", "BTC-USDT"): quote()}
    fresh.when(buy("101", "100", stop="90")).then(
        event(LimitsChanged, version=1, document=LIMITS), refused("1-0", "ORDER_SIZE")
    )
    fresh.when(tick(NOON)).then_nothing()


def test_new_limits_hold_from_where_they_stand() -> None:
    changed = given().when(buy("11", "100", stop="90")).when(set_limits())
    changed.then(event(LimitsChanged, version=2, document=SMALLER, source="operator", reason="a new day"))
    changed.when(buy("11", "100", stop="90", id="same")).then(refused("3-0", "ORDER_SIZE", limit="1000"))


def test_limits_that_replace_others_than_those_in_force_are_refused() -> None:
    given().when(set_limits(replaces=7)).then(event(LimitsRefused, version=1, replaces=7, code="LIMITS_VERSION"))
    given().when(set_limits(replaces=1)).then(event(LimitsChanged, version=2))


def test_what_was_set_by_hand_outlives_a_restart_until_the_file_is_another() -> None:
    changed = given().when(set_limits())
    restarted = Scenario(Risk(LIMITS, load(("sim",)), LOTS, capacity=10)).given(*changed.log)
    restarted.when(quote()).then_nothing()
    other = Scenario(Risk(SMALLER, load(("sim",)), LOTS, capacity=10)).given(*changed.log)
    other.when(quote()).then(event(LimitsChanged, version=3, document=SMALLER))


# What everything is worth


def losing(bid: str, ask: str) -> Scenario[State]:
    """Bought 100 at 100 of a capital of 20,000, and the market moved since."""
    limits = replace(LIMITS, account=AccountLimits(capital=Decimal(20_000), daily_loss_percent=Decimal(100)))
    limits = replace(limits, order=replace(LIMITS.order, position_percent=Decimal(100)))
    limits = replace(limits, symbol=replace(LIMITS.symbol, position_percent=Decimal(100)))
    limits = replace(limits, strategy=replace(LIMITS.strategy, position_percent=Decimal(100)))
    limits = replace(limits, firm=replace(LIMITS.firm, position_percent=Decimal(100)))
    held = given(limits=limits).when(buy("1", "100", stop="1")).when(bought("1-0", "100"))
    return held.when(quote(bid, ask))


def test_marks_are_taken_while_something_is_held() -> None:
    scenario = holding("5")
    decider = scenario.decider
    assert decider.deadline(scenario.state) == SECOND
    scenario.when(tick(NOON)).then(MarksTaken(marks={"sim/BTC-USDT": Decimal(100)}, at=NOON))
    assert decider.deadline(scenario.state) == NOON + SECOND
    assert decider.deadline(given().state) is None


def test_a_loss_that_reaches_its_limit_is_told_and_halts_what_opens() -> None:
    halted = losing("69", "71").when(tick(NOON))
    told = [said for said in halted.said if isinstance(said, HaltChanged)]
    assert {(each.scope, each.name, each.rule, each.halted) for each in told} == {
        ("account", "ann", "drawdown", True),
        ("strategy", "ann/s", "drawdown", True),
        ("firm", "", "drawdown", True),
        ("firm", "", "daily_loss", True),
        ("strategy", "ann/s", "daily_loss", True),
    }
    assert told[0].value == 15
    halted.when(buy("1", "70", stop="60", id="more")).then(refused("3-0", "DRAWDOWN"))
    halted.when(sell("100", "70", id="out")).then(event(OrderApproved, opening=False))


def test_while_halted_what_closes_does_not_come_to_open_either() -> None:
    said = losing("69", "71").when(tick(NOON)).when(sell("50", "70", stop="80", id="both")).said[0]
    assert isinstance(said, OrderApproved) and said.order.reduce_only and not said.opening


def test_a_halt_ends_with_the_loss() -> None:
    back = losing("69", "71").when(tick(NOON)).when(quote("99", "101")).after(SECOND).when(tick(NOON + SECOND))
    assert {said.halted for said in back.said if isinstance(said, HaltChanged)} == {False}
    assert not back.state.control.halts


def test_equity_can_be_counted_anew() -> None:
    rebased = losing("69", "71").when(tick(NOON))
    rebased.when(RebaseEquity(account="ann", reason="new mandate", by="operator"))
    assert isinstance(rebased.said[0], EquityRebased)
    assert {said.scope for said in rebased.said[1:] if isinstance(said, HaltChanged)} == {"account", "strategy"}


def cost(fee: str) -> CostRecorded:
    zero = Decimal(0)
    return CostRecorded(
        fill=EventId("EXECUTION_0", 1, 0),
        order_id="1-0",
        account="ann",
        strategy="s",
        symbol="BTC-USDT",
        venue="sim",
        trade_id="t",
        side="buy",
        quantity=Decimal(1),
        price=Decimal(100),
        arrival_mid=Decimal(100),
        spread=zero,
        drift=zero,
        fee=Decimal(fee),
        total=Decimal(fee),
    )


def test_fees_lower_equity() -> None:
    paid = given().when(cost("12.5")).then(FeeBooked(account="ann", strategy="s", fee=Decimal("12.5")))
    assert paid.state.ledger.equity("ann") == Decimal("999987.5")
    given().when(cost("0")).then_nothing()


# Correlation


def statistics(version: int, correlation: str) -> StatisticsPublished:
    def of(symbol: str) -> SymbolStatistics:
        one = Decimal(1)
        return SymbolStatistics(
            symbol=symbol,
            observations=500,
            volatility=Decimal("0.01"),
            model="garch",
            alpha=one,
            beta=one,
            degrees_of_freedom=one,
            adf_statistic=one,
            adf_p=one,
            jarque_bera_statistic=one,
            jarque_bera_p=one,
            ljung_box_statistic=one,
            ljung_box_p=one,
        )

    rho = Decimal(correlation)
    return StatisticsPublished(
        version=version,
        sampled_to=NOON,
        interval_ns=SECOND,
        symbols=[of("BTC-USDT"), of("ETH-USDT")],
        correlations=[[Decimal(1), rho], [rho, Decimal(1)]],
        at=NOON,
    )


def correlated(correlation: str, action: str = "refuse") -> Scenario[State]:
    """Long bitcoin, in a market with ether."""
    account = replace(LIMITS.account, correlation_action=action)
    market = given(quote(), quote(symbol="ETH-USDT"), limits=replace(LIMITS, account=account))
    held = market.when(buy("10", "100", stop="90")).when(bought("1-0", "10"))
    return held.when(statistics(1, correlation))


def test_the_newest_statistics_are_adopted_once() -> None:
    adopted = correlated("0.9").then(event(CorrelationsAdopted, version=1, symbols=["BTC-USDT", "ETH-USDT"]))
    adopted.when(statistics(1, "0.1")).then_nothing()


def test_a_new_position_that_goes_too_much_with_the_book_is_refused() -> None:
    ether = order("buy", "1", "100", stop="90", id="ether", symbol="ETH-USDT")
    correlated("0.9").when(place(ether)).then(refused("4-0", "CORRELATION"))
    correlated("0.7").when(place(ether)).then(event(OrderApproved))
    hedge = order("sell", "1", "100", stop="110", id="ether", symbol="ETH-USDT")
    correlated("0.9").when(place(hedge)).then(event(OrderApproved))


def test_or_scaled_down_to_what_fits() -> None:
    ether = order("buy", "9", "100", stop="90", id="ether", symbol="ETH-USDT")
    correlated("0.9", "scale").when(place(ether)).then(event(OrderApproved))
    scaled = correlated("0.9", "scale").when(place(ether)).said[0]
    assert isinstance(scaled, OrderApproved) and scaled.order.quantity == 7


# Self-trade prevention before the venue


def preventing(mode: Prevention) -> Scenario[State]:
    """A bid for 5 at 99 rests."""
    account = replace(LIMITS.account, self_trade_prevention=mode)
    return given(limits=replace(LIMITS, account=account)).when(buy("5", "99", stop="90"))


def asked_sell(quantity: str) -> PlaceOrder:
    return place(replace(order("sell", quantity, "99", stop="110", id="own"), strategy="another"))


def test_the_new_order_is_refused_that_would_meet_an_own_one() -> None:
    preventing("cancel_new").when(asked_sell("3")).then(
        event(SelfTradePrevented, resting_id="1-0", mode="cancel_new", quantity="3", resting_quantity="0"),
        refused("2-0", "SELF_TRADE", resting_id="1-0"),
    )


def test_or_the_resting_one_goes() -> None:
    preventing("cancel_resting").when(asked_sell("3")).then(
        event(SelfTradePrevented, resting_quantity="5", quantity="0"),
        event(CancelApproved, order_id="1-0", reason="self_trade"),
        event(OrderApproved, order_id="2-0"),
    )


def test_or_both_become_smaller() -> None:
    preventing("decrement_both").when(asked_sell("3")).then(
        event(SelfTradePrevented, resting_quantity="3", quantity="3"),
        event(AmendApproved, order_id="1-0", quantity="2"),
        refused("2-0", "SELF_TRADE"),
    )
    kept = preventing("decrement_both").when(asked_sell("8"))
    approved = kept.said[-1]
    assert isinstance(approved, OrderApproved) and approved.order.quantity == 3


def test_what_is_over_is_met_no_more() -> None:
    gone = preventing("cancel_new").when(cancelled("1-0"))
    gone.when(asked_sell("3")).then(event(OrderApproved))


def test_accounts_of_a_group_are_one_owner() -> None:
    limits = replace(
        LIMITS,
        accounts={
            name: replace(LIMITS.account, trade_group="desk", self_trade_prevention="cancel_new")
            for name in ("ann", "bob")
        },
    )
    desk = given(limits=limits).when(buy("5", "99", stop="90"))
    asked = order("sell", "3", "99", stop="110", id="own")
    desk.when(place(asked, "bob")).then(event(SelfTradePrevented), refused("2-0", "SELF_TRADE", account="bob"))
    desk.when(place(asked, "carl")).then(event(OrderApproved))


def test_no_order_turns_off_what_its_account_prevents() -> None:
    asked = asked_sell("3")
    off = replace(asked, order=replace(asked.order, self_trade_prevention="none"))
    preventing("cancel_new").when(off).then(event(SelfTradePrevented, mode="cancel_new"), refused("2-0", "SELF_TRADE"))
