from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.limits import INTEGER_MAX, BadLimits, from_fields, from_toml, to_toml, validate, written
from bot4_common.messages.limits import (
    AccountLimits,
    FirmLimits,
    GuardLimits,
    LimitsDocument,
    OrderLimits,
    StrategyLimits,
    SymbolLimits,
)

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
ACCOUNTS = NAMES.filter(lambda name: "/" not in name)
PERCENTAGES = st.decimals(min_value="0.01", max_value=100, places=2)


def broken(fields: Any) -> BadLimits:
    with pytest.raises(BadLimits) as caught:
        from_fields(fields)
    return caught.value


def test_the_default_limits_are_right() -> None:
    validate(LimitsDocument())
    assert from_toml("") == from_fields({}) == LimitsDocument()


def test_a_number_of_a_toml_file_arrives_to_the_last_digit() -> None:
    document = from_toml('[account]\ngross_percent = 0.1\nnet_percent = "0.2"\ncapital = 5\n')
    assert document.account == AccountLimits(
        gross_percent=Decimal("0.1"), net_percent=Decimal("0.2"), capital=Decimal(5)
    )


def test_a_json_number_with_a_point_is_refused() -> None:
    assert broken({"account": {"gross_percent": 2.5}}).field == "account.gross_percent"
    assert from_fields({"account": {"gross_percent": 2}}).account.gross_percent == 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"account": {"gross_percent": "0"}}, "account.gross_percent"),
        ({"account": {"gross_percent": "-1"}}, "account.gross_percent"),
        ({"account": {"net_percent": "NaN"}}, "account.net_percent"),
        ({"account": {"capital": "1E-999999999"}}, "account.capital"),
        ({"account": {"capital": "Infinity"}}, "account.capital"),
        ({"account": {"correlation_max": "1.01"}}, "account.correlation_max"),
        ({"account": {"correlation_action": "hope"}}, "account.correlation_action"),
        ({"account": {"trade_group": "two words"}}, "account.trade_group"),
        ({"account": {"orders_burst": 0}}, "account.orders_burst"),
        ({"account": {"orders_burst": "5"}}, "account.orders_burst"),
        ({"account": {"orders_burst": INTEGER_MAX + 1}}, "account.orders_burst"),
        ({"account": {"colour": "red"}}, "account"),
        ({"firm": {"drawdown_percent": "100.1"}}, "firm.drawdown_percent"),
        ({"strategy": {"daily_loss_percent": "101"}}, "strategy.daily_loss_percent"),
        ({"order": {"price_collar_bps": 10_001}}, "order.price_collar_bps"),
        ({"guards": {"duplicates_max": 0}}, "guards.duplicates_max"),
        ({"gate": {"signal_age_max_ns": -1}}, "gate.signal_age_max_ns"),
        ({"symbols": {"BTC-USDT": {"order_quantity_max": "0"}}}, "symbols.BTC-USDT.order_quantity_max"),
        ({"accounts": {"ann": {"gross_percent": "0"}}}, "accounts.ann.gross_percent"),
        ({"accounts": {"no name": {}}}, "accounts.no name"),
        ({"accounts": {"": {}}}, "accounts."),
        ({"accounts": {"ann/trend": {}}}, "accounts.ann/trend"),
        ({"strategies": {"trend": {}}}, "strategies.trend"),
        ({"accounts": {"ann": {"trade_group": "ключ"}}}, "accounts.ann.trade_group"),
        ([], ""),
        (None, ""),
    ],
)
def test_what_can_never_be_right_is_refused_by_its_field(fields: Any, field: str) -> None:
    refused = broken(fields)
    assert refused.field == field
    assert str(refused).startswith(f"{field}: " if field else "Expected")


@pytest.mark.parametrize("text", ["[account", "x = ", "[account]\ncapital = nan", "account = 1979-05-27"])
def test_toml_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(BadLimits):
        from_toml(text)


def test_a_deep_document_is_refused_and_not_walked() -> None:
    deep: Any = 0.5
    for _ in range(100_000):
        deep = [deep]
    assert broken({"account": deep}).field == "account"


def test_what_is_shown_names_every_figure() -> None:
    shown = written(LimitsDocument(accounts={"ann": AccountLimits(capital=Decimal("1E+3"))}))
    assert shown["order"]["notional_max"] == "50000"
    assert shown["accounts"]["ann"]["capital"] == "1000"
    assert set(shown["firm"]) == set(FirmLimits.__struct_fields__)


documents = st.builds(
    LimitsDocument,
    order=st.builds(OrderLimits, position_percent=PERCENTAGES, price_collar_bps=st.integers(1, 10_000)),
    guards=st.builds(GuardLimits, executions_max=st.integers(1, INTEGER_MAX)),
    symbols=st.dictionaries(NAMES, st.builds(SymbolLimits, order_quantity_max=st.none() | PERCENTAGES), max_size=3),
    strategies=st.dictionaries(
        st.tuples(ACCOUNTS, NAMES).map("/".join), st.builds(StrategyLimits, drawdown_percent=PERCENTAGES), max_size=3
    ),
    accounts=st.dictionaries(ACCOUNTS, st.builds(AccountLimits, trade_group=st.just("") | NAMES), max_size=3),
)


@given(documents)
def test_a_document_survives_being_written_and_read(document: LimitsDocument) -> None:
    assert from_toml(to_toml(document)) == document
    assert from_fields(msgspec.json.decode(msgspec.json.encode(written(document)))) == document
