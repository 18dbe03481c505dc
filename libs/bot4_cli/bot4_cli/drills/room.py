"""What must the limits allow the drill's account? Those that come with bot4 are enough; where they are tighter, or have
begun to know how markets go together, the account gets more for as long as the drill lasts."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

from msgspec.structs import replace

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills.orders import STRATEGY
from bot4_common.messages.limits import AccountLimits, LimitsDocument, StrategyLimits

# Whose orders a drill places: its own, and those of the load.
STRATEGIES = (STRATEGY, "load")

P = TypeVar("P", AccountLimits, StrategyLimits)


def with_room(document: LimitsDocument, correlated: bool) -> LimitsDocument:
    """The document with at least the shipped limits for the drill's account and strategies, and nothing else changed;
    with `correlated` markets the account may hold them together all the same."""
    account = _at_least(document.accounts.get(ACCOUNT, document.account), AccountLimits())
    if correlated:
        account = replace(account, correlation_max=Decimal(1))
    accounts, strategies = dict(document.accounts), dict(document.strategies)
    if account != document.accounts.get(ACCOUNT, document.account):
        accounts[ACCOUNT] = account
    for name in STRATEGIES:
        key = f"{ACCOUNT}/{name}"
        known = strategies.get(key, document.strategy)
        roomy = _at_least(known, StrategyLimits())
        if roomy != known:
            strategies[key] = roomy
    return replace(document, accounts=accounts, strategies=strategies)


def _at_least(limits: P, shipped: P) -> P:
    """Each figure the larger one of both. Capital is none of them: it is what the others are counted from."""
    figures = {name: getattr(limits, name) for name in limits.__struct_fields__ if name != "capital"}
    larger = {name: max(it, getattr(shipped, name)) for name, it in figures.items() if isinstance(it, int | Decimal)}
    return replace(limits, **larger)
