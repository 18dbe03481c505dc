"""Does each limit refuse what is beyond it, and nothing else?"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from bot4_common.errors import REFUSALS
from bot4_common.messages.limits import (
    AccountLimits,
    FirmLimits,
    LimitsDocument,
    OrderLimits,
    StrategyLimits,
    SymbolLimits,
)
from bot4_common.messages.risk import CorrelationsAdopted
from bot4_common.messages.terms import Order, OrderType, Side
from bot4_common.money import plain
from bot4_risk.check import Asked, Numbers, check
from bot4_risk.correlation import Correlations
from bot4_risk.exposure import DAY_NS, Ledger
from bot4_risk.limits import Limits
from bot4_risk.rates import SECOND_NS, Rates
from bot4_risk.rules import OF_ALL, OF_OPENING, RULES, Rule

D = Decimal
DAY = 20_000
NOW = DAY * DAY_NS + 3_600 * SECOND_NS
# More than anybody asks for here: a rule is tested with all others out of the way.
WIDE = D(10**6)
MANY: dict[str, Any] = {"open_orders_max": 10**6, "orders_per_second": 10**6, "orders_burst": 10**6}
LOSSES: dict[str, Any] = {"daily_loss_percent": D(100), "drawdown_percent": D(100)}
EXPOSURES: dict[str, Any] = {"gross_percent": WIDE, "net_percent": WIDE}

ORDER = OrderLimits(notional_max=WIDE, position_percent=WIDE, price_collar_bps=10_000)
SYMBOL = SymbolLimits(position_percent=WIDE)
STRATEGY = StrategyLimits(position_percent=WIDE, **MANY, **LOSSES)
ACCOUNT = AccountLimits(capital=D(1_000_000), correlation_max=D(1), **EXPOSURES, **MANY, **LOSSES)
FIRM = FirmLimits(position_percent=WIDE, **EXPOSURES, **MANY, **LOSSES)
OPEN = LimitsDocument(order=ORDER, symbol=SYMBOL, strategy=STRATEGY, account=ACCOUNT, firm=FIRM)

STATISTICS = CorrelationsAdopted(
    version=1,
    symbols=["BTC-USDT", "ETH-USDT"],
    correlations=[[D(1), D("0.85")], [D("0.85"), D(1)]],
    volatilities=[D("0.01"), D("0.02")],
)


class Desk:
    """What was done so far, and the limits."""

    def __init__(self, document: LimitsDocument, statistics: CorrelationsAdopted | None = STATISTICS) -> None:
        self.limits = Limits(document)
        self.ledger = Ledger()
        self.ledger.adopt(document)
        self.rates = Rates()
        self.correlations = Correlations(statistics)

    def fill(self, quantity: str, symbol: str = "BTC-USDT", account: str = "ann", strategy: str = "s") -> Desk:
        self.ledger.fill(account, strategy, "sim", symbol, D(quantity), D(100))
        return self

    def reserve(self, quantity: str, side: Side = "buy", account: str = "ann", symbol: str = "BTC-USDT") -> Desk:
        self.ledger.reserve(account, "s", "sim", symbol, side, D(quantity), D(100))
        return self

    def count(self, orders: int, account: str = "ann", strategy: str = "s") -> Desk:
        self.ledger.count(account, strategy, orders)
        return self

    def spend(self, orders: int, account: str = "ann", strategy: str = "s") -> Desk:
        self.rates.spend(account, strategy, NOW, self.limits.document, orders)
        return self

    def pay(self, fee: str, account: str = "ann", strategy: str = "s") -> Desk:
        """Above zero a loss."""
        self.ledger.mark({}, NOW)
        self.ledger.fee(account, strategy, D(fee))
        return self

    def check(self, asked: Asked) -> tuple[str, Numbers] | None:
        return check(asked, self.ledger, self.rates, self.limits, self.correlations)


def order(
    quantity: str, price: str | None = "100", side: Side = "buy", symbol: str = "BTC-USDT", stop: str | None = None
) -> Order:
    type: OrderType = "market" if price is None else "limit"
    if stop is not None:
        type = "stop_market" if price is None else "stop_limit"
    return Order(
        client_order_id="c",
        symbol=symbol,
        side=side,
        type=type,
        quantity=D(quantity),
        strategy="s",
        venue="sim",
        price=None if price is None else D(price),
        stop_price=None if stop is None else D(stop),
    )


def asks(order: Order, account: str = "ann", **changes: Any) -> Asked:
    return Asked(account, order, order.quantity, D(100), True, NOW, NOW)._replace(**changes)


class Case(NamedTuple):
    """`desk` refuses `beyond` with `numbers`, and lets `within` pass."""

    desk: Callable[[], Desk]
    within: Asked
    beyond: Asked
    numbers: Numbers


def account(**limits: Any) -> LimitsDocument:
    return replace(OPEN, accounts={"ann": replace(ACCOUNT, **limits)})


def strategy(**limits: Any) -> LimitsDocument:
    return replace(OPEN, strategies={"ann/s": replace(STRATEGY, **limits)})


def symbol(**limits: Any) -> LimitsDocument:
    return replace(OPEN, symbols={"BTC-USDT": replace(SYMBOL, **limits)})


def firm(**limits: Any) -> LimitsDocument:
    return replace(OPEN, firm=replace(FIRM, **limits))


def each(**limits: Any) -> LimitsDocument:
    return replace(OPEN, order=replace(ORDER, **limits))


SLOW: dict[str, Any] = {"orders_per_second": 1, "orders_burst": 2}
ONE = asks(order("1"))
LATER = ONE._replace(now=NOW + SECOND_NS)
ETH = asks(order("1", symbol="ETH-USDT"))
OTHERS = "bob"


def lost(equity: str, of: str, limit: str, name: str = "day_start") -> Numbers:
    percent = plain((D(of) - D(equity)) / D(of) * 100)
    kind = "loss" if name == "day_start" else "drawdown"
    return {kind: percent, "limit": limit, "equity": equity, name: of}


def share(asked: str, limit: str, percent: str, equity: str) -> Numbers:
    return {"asked": asked, "limit": limit, "percent": percent, "equity": equity}


# By code: each is the example of its rule.
CASES = {
    "ORDER_RATE": Case(lambda: Desk(account(**SLOW)).spend(2), LATER, ONE, {"orders": "1", "limit": "1", "burst": "2"}),
    "STRATEGY_ORDER_RATE": Case(
        lambda: Desk(strategy(**SLOW)).spend(2), LATER, ONE, {"orders": "1", "limit": "1", "burst": "2"}
    ),
    "FIRM_ORDER_RATE": Case(
        lambda: Desk(firm(**SLOW)).spend(2, OTHERS), LATER, ONE, {"orders": "1", "limit": "1", "burst": "2"}
    ),
    "OPEN_ORDERS": Case(
        lambda: Desk(account(open_orders_max=1_000)).count(999, strategy="t"),
        ONE,
        ONE._replace(adds=2),
        {"open_orders": "999", "asked": "2", "limit": "1000"},
    ),
    "STRATEGY_OPEN_ORDERS": Case(
        lambda: Desk(strategy(open_orders_max=1_000)).count(999),
        ONE,
        ONE._replace(adds=2),
        {"open_orders": "999", "asked": "2", "limit": "1000"},
    ),
    "FIRM_OPEN_ORDERS": Case(
        lambda: Desk(firm(open_orders_max=10_000)).count(9_999, OTHERS),
        ONE,
        ONE._replace(adds=2),
        {"open_orders": "9999", "asked": "2", "limit": "10000"},
    ),
    "NO_MARKET": Case(
        lambda: Desk(OPEN),
        ONE._replace(quote_at=NOW - 5 * SECOND_NS),
        ONE._replace(quote_at=NOW - 5 * SECOND_NS - 1),
        {"quote_age_ns": "5000000001", "limit": "5000000000"},
    ),
    "PRICE_COLLAR": Case(
        lambda: Desk(each(price_collar_bps=500)),
        asks(order("1", "105")),
        asks(order("1", "105.01")),
        {"price": "105.01", "mid": "100", "limit_bps": "500"},
    ),
    "ORDER_QUANTITY": Case(
        lambda: Desk(symbol(order_quantity_max=D(5))),
        asks(order("5")),
        asks(order("5.1")),
        {"asked": "5.1", "limit": "5"},
    ),
    "ORDER_SIZE": Case(
        lambda: Desk(each(notional_max=D(50_000))),
        asks(order("500")),
        asks(order("501")),
        {"notional": "50100", "limit": "50000"},
    ),
    "ORDER_SHARE": Case(
        lambda: Desk(each(position_percent=D(2))),
        asks(order("200")),
        asks(order("200.01")),
        share("20001", "20000", "2", "1000000"),
    ),
    "DRAWDOWN": Case(
        lambda: Desk(account(drawdown_percent=D(15))).pay("150000", strategy="t"),
        ONE._replace(opening=False),
        ONE,
        lost("850000", "1000000", "15", "peak"),
    ),
    "STRATEGY_DRAWDOWN": Case(
        lambda: Desk(strategy(drawdown_percent=D(15))).pay("-100000").pay("165000"),
        asks(replace(order("1"), strategy="t")),
        ONE,
        lost("935000", "1100000", "15", "peak"),
    ),
    "FIRM_DRAWDOWN": Case(
        lambda: Desk(firm(drawdown_percent=D(15))).pay("0").pay("0", "cem").pay("450000", OTHERS),
        ONE._replace(opening=False),
        ONE,
        lost("2550000", "3000000", "15", "peak"),
    ),
    "DAILY_LOSS": Case(
        lambda: Desk(account(daily_loss_percent=D(5))).pay("50000", strategy="t"),
        ONE._replace(now=NOW + DAY_NS, quote_at=NOW + DAY_NS),
        ONE,
        lost("950000", "1000000", "5"),
    ),
    "STRATEGY_DAILY_LOSS": Case(
        lambda: Desk(strategy(daily_loss_percent=D(10))).pay("100000"),
        ONE._replace(now=NOW + DAY_NS, quote_at=NOW + DAY_NS),
        ONE,
        lost("900000", "1000000", "10"),
    ),
    "FIRM_DAILY_LOSS": Case(
        lambda: Desk(firm(daily_loss_percent=D(5))).pay("0").pay("0", "cem").pay("150000", OTHERS),
        ONE._replace(now=NOW + DAY_NS, quote_at=NOW + DAY_NS),
        ONE,
        lost("2850000", "3000000", "5"),
    ),
    "POSITION_LIMIT": Case(
        lambda: Desk(symbol(position_percent=D(2))).fill("150").reserve("40"),
        asks(order("10")),
        asks(order("11")),
        share("20100", "20000", "2", "1000000"),
    ),
    "STRATEGY_POSITION": Case(
        lambda: Desk(strategy(position_percent=D(2))).fill("150").fill("-150", strategy="t"),
        asks(order("50")),
        asks(order("51")),
        share("20100", "20000", "2", "1000000"),
    ),
    "FIRM_POSITION": Case(
        lambda: Desk(firm(position_percent=D(2))).fill("300").fill("-90", account=OTHERS),
        asks(order("10")),
        asks(order("11")),
        share("40100", "40000", "2", "2000000"),
    ),
    "GROSS_EXPOSURE": Case(
        lambda: Desk(account(gross_percent=D(20))).fill("1200", "ETH-USDT").fill("-600").reserve("150"),
        asks(order("50")),
        asks(order("50.01")),
        share("200001", "200000", "20", "1000000"),
    ),
    "NET_EXPOSURE": Case(
        lambda: Desk(account(net_percent=D(10))).fill("1200", "ETH-USDT").fill("-300"),
        asks(order("100")),
        asks(order("100.01")),
        share("100001", "100000", "10", "1000000"),
    ),
    "FIRM_GROSS_EXPOSURE": Case(
        lambda: Desk(firm(gross_percent=D(20))).fill("-3900", account=OTHERS),
        asks(order("100")),
        asks(order("100.01")),
        share("400001", "400000", "20", "2000000"),
    ),
    "FIRM_NET_EXPOSURE": Case(
        lambda: Desk(firm(net_percent=D(10))).fill("1950", account=OTHERS),
        asks(order("50")),
        asks(order("50.01")),
        share("200001", "200000", "10", "2000000"),
    ),
    "CORRELATION": Case(
        lambda: Desk(account(correlation_max=D("0.7"))).fill("1"),
        asks(order("1", side="sell", symbol="ETH-USDT")),
        ETH,
        {"correlation": "0.85", "limit": "0.7"},
    ),
}


def lifted(document: LimitsDocument, field: str) -> LimitsDocument:
    """With a limit that nothing here breaks."""
    part, _, name = field.partition(".")
    value = 10**18 if isinstance(getattr(getattr(OPEN, part), name), int) else D(10**18)
    parts: dict[str, Any] = {part: replace(getattr(document, part), **{name: value})}
    named = {"symbol": "symbols", "strategy": "strategies", "account": "accounts"}.get(part)
    if named is not None:
        parts[named] = {key: replace(each, **{name: value}) for key, each in getattr(document, named).items()}
    return replace(document, **parts)


def test_each_rule_has_its_case() -> None:
    assert [rule.code for rule in RULES] == list(CASES)


@pytest.mark.parametrize("code", CASES)
def test_what_is_within_the_limit_passes(code: str) -> None:
    assert CASES[code].desk().check(CASES[code].within) is None


@pytest.mark.parametrize("code", CASES)
def test_what_is_beyond_the_limit_is_refused_with_the_numbers(code: str) -> None:
    case = CASES[code]
    assert case.desk().check(case.beyond) == (code, case.numbers)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_only_the_limit_that_the_rule_names_refuses_it(rule: Rule) -> None:
    case = CASES[rule.code]
    desk = case.desk()
    for field in rule.limit.split(", "):
        desk.limits = Limits(lifted(desk.limits.document, field))
    assert desk.check(case.beyond) is None


@pytest.mark.parametrize("code", [rule.code for rule in OF_ALL])
def test_some_rules_hold_for_orders_that_only_close_too(code: str) -> None:
    case = CASES[code]
    assert case.desk().check(case.beyond._replace(opening=False)) == (code, case.numbers)


@pytest.mark.parametrize("code", [rule.code for rule in OF_OPENING])
def test_the_others_let_pass_what_only_closes(code: str) -> None:
    case = CASES[code]
    assert case.desk().check(case.beyond._replace(opening=False)) is None


def test_the_first_broken_rule_is_told() -> None:
    broken = asks(order("501", "105.01"), mid=None)
    desk = Desk(each(price_collar_bps=500, notional_max=D(50_000)))
    assert desk.check(broken) == ("NO_MARKET", {"symbol": "BTC-USDT", "venue": "sim"})
    told = desk.check(broken._replace(mid=D(100)))
    assert told is not None
    assert told[0] == "PRICE_COLLAR"


# Particulars


def test_a_share_is_that_of_the_equity_as_it_is() -> None:
    desk = Desk(each(position_percent=D(2)))
    asked = asks(order("200"))
    assert desk.check(asked) is None
    desk.pay("100000")
    assert desk.check(asked) == ("ORDER_SHARE", share("20000", "18000", "2", "900000"))
    desk.pay("-100000")
    assert desk.check(asked) is None


def test_a_share_of_the_firm_is_that_of_its_equity_as_it_is() -> None:
    desk = Desk(firm(gross_percent=D(20)))
    assert desk.check(asks(order("2000"))) is None
    desk.pay("0", OTHERS).pay("500000", OTHERS)
    assert desk.check(asks(order("3000.01"))) == ("FIRM_GROSS_EXPOSURE", share("300001", "300000", "20", "1500000"))
    assert desk.check(asks(order("3000"))) is None


def test_more_strategies_than_are_kept_put_together_are_held_to_their_limits_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot4_risk.limits.KEPT_MAX", 2)
    desk = Desk(strategy(position_percent=D(2)))
    names = ["s", "t", "u", "s", "v", "s"]
    told = [desk.check(asks(replace(order("201"), strategy=name))) for name in names]
    assert [refusal and refusal[0] for refusal in told] == [
        "STRATEGY_POSITION" if name == "s" else None for name in names
    ]


@pytest.mark.parametrize(("price", "passes"), [("84", True), ("83", False)])
def test_a_stop_meets_the_market_at_its_trigger(price: str, passes: bool) -> None:
    desk = Desk(each(price_collar_bps=500))
    assert (desk.check(asks(order("1", price, "sell", stop="88"))) is None) == passes


@pytest.mark.parametrize(("asked", "worth"), [(order("501", None), "50100"), (order("501", None, stop="110"), "55110")])
def test_without_a_price_the_trigger_or_the_mid_counts(asked: Order, worth: str) -> None:
    told = Desk(each(notional_max=D(50_000))).check(asks(asked))
    assert told == ("ORDER_SIZE", {"notional": worth, "limit": "50000"})


def test_an_amend_is_no_further_order() -> None:
    full = Desk(account(open_orders_max=1)).count(1)
    assert full.check(ONE._replace(adds=0)) is None
    assert full.check(ONE) is not None


def test_a_list_is_as_many_orders_as_it_has_legs() -> None:
    desk = Desk(account(**SLOW))
    assert desk.check(ONE._replace(spends=2)) is None
    assert desk.check(ONE._replace(spends=3)) is not None


def test_the_size_of_an_amended_order_is_that_of_the_whole() -> None:
    grown = asks(order("501"), quantity=D(1), adds=0)
    assert Desk(each(notional_max=D(50_000))).check(grown) is not None


def test_of_an_amend_only_what_it_adds_is_exposure() -> None:
    desk = Desk(account(gross_percent=D(2))).reserve("190")
    assert desk.check(asks(order("200"), quantity=D(10), adds=0)) is None
    assert desk.check(asks(order("201"), quantity=D(11), adds=0)) is not None


def test_a_new_price_for_what_is_ordered_already_is_exposure_too() -> None:
    desk = Desk(account(gross_percent=D(2))).reserve("190")
    repriced = asks(order("190", "104"), quantity=D(0), adds=0)
    assert desk.check(repriced._replace(repriced=D(190 * 4))) is None
    assert desk.check(repriced._replace(repriced=D(1_001))) is not None


def test_what_brings_net_exposure_nearer_to_zero_passes() -> None:
    desk = Desk(account(net_percent=D(10))).fill("-2000", "ETH-USDT")
    assert desk.check(asks(order("500"))) is None
    assert desk.check(asks(order("1", side="sell"))) is not None


def test_the_first_order_of_an_account_brings_its_capital_into_the_firm() -> None:
    desk = Desk(firm(gross_percent=D(20)))
    assert desk.check(asks(order("2000"), "dora")) is None
    assert desk.check(asks(order("2000.01"), "dora")) is not None


def test_who_has_nothing_left_opens_nothing() -> None:
    ruined = Desk(OPEN).pay("1000000")
    ruined.ledger.rebase("ann")
    assert ruined.check(ONE) == ("ORDER_SHARE", share("100", "0", "1000000", "0"))
    assert ruined.check(ONE._replace(opening=False)) is None


def test_the_losses_of_an_earlier_day_are_not_this_days() -> None:
    desk = Desk(account(daily_loss_percent=D(5))).pay("50000")
    desk.ledger.mark({}, NOW + DAY_NS)
    assert desk.check(ONE._replace(now=NOW + DAY_NS, quote_at=NOW + DAY_NS)) is None
    desk.ledger.fee("ann", "s", D(47_500))
    told = desk.check(ONE._replace(now=NOW + DAY_NS, quote_at=NOW + DAY_NS))
    assert told == ("DAILY_LOSS", lost("902500", "950000", "5"))


def test_the_limit_of_a_symbol_is_that_of_its_account_at_all_venues() -> None:
    desk = Desk(symbol(position_percent=D(2))).fill("150")
    desk.ledger.fill("ann", "s", "other", "BTC-USDT", D(-40), D(100))
    assert desk.check(asks(order("10"))) is None
    assert desk.check(asks(order("11"))) == ("POSITION_LIMIT", share("20100", "20000", "2", "1000000"))


def test_what_will_be_scaled_is_not_refused_but_an_amend_is() -> None:
    desk = Desk(account(correlation_max=D("0.7"), correlation_action="scale")).fill("1")
    assert desk.check(ETH) is None
    told = desk.check(ETH._replace(adds=0))
    assert told == ("CORRELATION", {"correlation": "0.85", "limit": "0.7"})


def test_a_correlation_at_the_limit_will_do() -> None:
    assert Desk(account(correlation_max=D("0.85"))).fill("1").check(ETH) is None


def test_without_statistics_no_correlation_is_too_high() -> None:
    assert Desk(account(correlation_max=D("0.7")), statistics=None).fill("1").check(ETH) is None


def test_limits_by_name_take_the_place_of_the_default() -> None:
    document = replace(each(), strategies={"ann/s": replace(STRATEGY, open_orders_max=1)})
    desk = Desk(document).count(1).count(1, OTHERS)
    assert desk.check(ONE) is not None
    assert desk.check(asks(replace(order("1"), strategy="t"))) is None
    assert desk.check(asks(order("1"), OTHERS)) is None


# What the documentation is made of


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.code))
def test_each_rule_can_be_explained(rule: Rule) -> None:
    assert rule.code in REFUSALS
    assert rule.default
    assert rule.formula
    assert rule.example


def test_the_defaults_are_those_of_the_document() -> None:
    defaults = {rule.code: rule.default for rule in RULES}
    assert defaults["ORDER_RATE"] == "500, 1000"
    assert defaults["DRAWDOWN"] == "15"
    assert defaults["ORDER_QUANTITY"] == "none"
