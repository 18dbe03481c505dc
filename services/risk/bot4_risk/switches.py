"""Which trading is stopped? Kill switches: of the firm, an account, a strategy of one, or a symbol for everybody."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot4_common.messages.gateway import EngageKillSwitch, ResetKillSwitch
from bot4_common.messages.risk import KillSwitchEngaged, KillSwitchReset
from bot4_common.messages.terms import Scope


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """An engaged one. `flatten`: what is held there is being closed."""

    scope: Scope
    account: str
    strategy: str
    symbol: str
    flatten: bool
    reason: str

    def covers(self, account: str, strategy: str, symbol: str) -> bool:
        match self.scope:
            case "firm":
                return True
            case "account":
                return account == self.account
            case "strategy":
                return (account, strategy) == (self.account, self.strategy)
            case "symbol":
                return symbol == self.symbol


# By `key`.
Switches = Mapping[str, Switch]


def key_of(what: EngageKillSwitch | ResetKillSwitch | KillSwitchEngaged | KillSwitchReset) -> str:
    return key(what.scope, what.account, what.strategy, what.symbol)


def key(scope: Scope, account: str, strategy: str, symbol: str) -> str:
    match scope:
        case "firm":
            return "firm"
        case "account":
            return f"account/{account}"
        case "strategy":
            return f"strategy/{account}/{strategy}"
        case "symbol":
            return f"symbol/{symbol}"


def engaged_for(switches: Switches, account: str, strategy: str, symbol: str) -> Switch | None:
    """The widest switch that stops an order of this strategy in this symbol."""
    if not switches:
        return None
    for scope in ("firm", "account", "strategy", "symbol"):
        switch = switches.get(key(scope, account, strategy, symbol))
        if switch is not None:
            return switch
    return None
