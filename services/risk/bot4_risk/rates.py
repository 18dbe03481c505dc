"""How many orders a second? Token buckets, each a single whole number (the generic cell rate algorithm).

A bucket is the moment (ns) at which it will be full again. A token takes `1 s / per_second` to flow in, rounded up to
whole ns, so that there are never more than the limit says; a bucket holds `burst` of them, and starts full.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from bot4_common.messages.limits import LimitsDocument
from bot4_risk.limits import of_account, of_strategy, strategy_key

SECOND_NS = 1_000_000_000


class Flow(Protocol):
    """The part of the limits of a strategy, an account, or the firm that says how fast its bucket fills."""

    @property
    def orders_per_second(self) -> int: ...

    @property
    def orders_burst(self) -> int: ...


def admits(bucket: int, flow: Flow, now: int, orders: int = 1) -> bool:
    """Whether there are tokens for so many orders."""
    spare = flow.orders_burst - orders
    # Most buckets are full, and what a token takes need not be worked out.
    return spare >= 0 and (bucket <= now or bucket - now <= spare * -(-SECOND_NS // flow.orders_per_second))


def spend(bucket: int, flow: Flow, now: int, orders: int = 1) -> int:
    """The bucket with so many tokens less."""
    return max(bucket, now) + orders * -(-SECOND_NS // flow.orders_per_second)


class Rates(msgspec.Struct, kw_only=True):
    """The buckets of the firm, of accounts, and of strategies (`account/strategy`)."""

    firm: int = 0
    accounts: dict[str, int] = {}
    strategies: dict[str, int] = {}

    def admits(self, account: str, strategy: str, now: int, document: LimitsDocument, orders: int = 1) -> bool:
        """Whether all three do. The rules of `check` say which does not."""
        bucket = self.strategies.get(strategy_key(account, strategy), 0)
        return (
            admits(self.accounts.get(account, 0), of_account(document, account), now, orders)
            and admits(bucket, of_strategy(document, account, strategy), now, orders)
            and admits(self.firm, document.firm, now, orders)
        )

    # Only `evolve` calls what follows.

    def spend(self, account: str, strategy: str, now: int, document: LimitsDocument, orders: int = 1) -> None:
        key = strategy_key(account, strategy)
        self.accounts[account] = spend(self.accounts.get(account, 0), of_account(document, account), now, orders)
        of_one = of_strategy(document, account, strategy)
        self.strategies[key] = spend(self.strategies.get(key, 0), of_one, now, orders)
        self.firm = spend(self.firm, document.firm, now, orders)
