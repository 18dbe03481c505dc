"""Which limits hold for whom? The parts of the document by name; who is not named has the default part."""

from __future__ import annotations

from decimal import Decimal

from bot4_common.limits import from_toml
from bot4_common.messages.limits import AccountLimits, LimitsDocument, StrategyLimits, SymbolLimits
from bot4_common.money import ZERO, multiply

HUNDREDTH = Decimal("0.01")
# Strategies and symbols that are kept put together.
KEPT_MAX = 10_000


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


class Bounds:
    """What an order of one strategy, for one symbol, is held against: the parts of the document, and what their
    percentages come to in quote currency, for the equities that were told last."""

    def __init__(self, document: LimitsDocument, account: str, strategy: str, symbol: str) -> None:
        self.strategy_key = strategy_key(account, strategy)
        self.order = document.order
        self.symbol = of_symbol(document, symbol)
        self.strategy = of_strategy(document, account, strategy)
        self.account = of_account(document, account)
        self.firm = document.firm
        self.equity = self.firm_equity = ZERO
        self.order_worth = self.position = self.strategy_position = self.gross = self.net = ZERO
        self.firm_position = self.firm_gross = self.firm_net = ZERO

    def measure(self, equity: Decimal, firm_equity: Decimal) -> None:
        """Takes the equities of the account and the firm. They seldom change, so mostly nothing is to be done."""
        if equity is not self.equity:
            self.equity = equity
            hundredth = multiply(equity, HUNDREDTH)
            self.order_worth = multiply(self.order.position_percent, hundredth)
            self.position = multiply(self.symbol.position_percent, hundredth)
            self.strategy_position = multiply(self.strategy.position_percent, hundredth)
            self.gross = multiply(self.account.gross_percent, hundredth)
            self.net = multiply(self.account.net_percent, hundredth)
        if firm_equity is not self.firm_equity:
            self.firm_equity = firm_equity
            hundredth = multiply(firm_equity, HUNDREDTH)
            self.firm_position = multiply(self.firm.position_percent, hundredth)
            self.firm_gross = multiply(self.firm.gross_percent, hundredth)
            self.firm_net = multiply(self.firm.net_percent, hundredth)


class Limits:
    """The document, with what it says of a strategy and a symbol put together once. Nothing of this is state."""

    def __init__(self, document: LimitsDocument) -> None:
        self.document = document
        self._bounds: dict[tuple[str, str, str], Bounds] = {}

    def bounds(self, account: str, strategy: str, symbol: str) -> Bounds:
        key = (account, strategy, symbol)
        known = self._bounds.get(key)
        if known is None:
            if len(self._bounds) >= KEPT_MAX:
                self._bounds.clear()
            known = self._bounds[key] = Bounds(self.document, account, strategy, symbol)
        return known
