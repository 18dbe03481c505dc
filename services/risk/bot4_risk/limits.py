"""Which limits hold for whom? The parts of the document by name; who is not named has the default part."""

from __future__ import annotations

from bot4_common.limits import from_toml
from bot4_common.messages.limits import AccountLimits, LimitsDocument, StrategyLimits, SymbolLimits


def parse(text: str) -> LimitsDocument:
    """Limits from TOML. Raises `bot4_common.limits.BadLimits`, which is a `ValueError`, naming what is wrong."""
    return from_toml(text)


def of_account(document: LimitsDocument, account: str) -> AccountLimits:
    return document.accounts.get(account, document.account)


def of_strategy(document: LimitsDocument, account: str, strategy: str) -> StrategyLimits:
    return document.strategies.get(strategy_key(account, strategy), document.strategy)


def of_symbol(document: LimitsDocument, symbol: str) -> SymbolLimits:
    return document.symbols.get(symbol, document.symbol)


def strategy_key(account: str, strategy: str) -> str:
    """What a strategy is called where all accounts are looked at together."""
    return f"{account}/{strategy}"
