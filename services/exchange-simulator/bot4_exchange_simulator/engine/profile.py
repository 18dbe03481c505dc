"""How does one venue differ from another? Every rule on which venues differ, as a field with its number.

The defaults are those of the rules; a file of `profiles/` names what is different on its venue.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Literal

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str = "default"
    # spot: orders are paid from balances. margined: balances are not asked, accounts hold net positions.
    account_model: Literal["spot", "margined"] = "spot"
    # Whether the venue knows reduce-only orders. On a spot venue a position is what was bought less what was sold.
    reduce_only: bool = True
    # 13: whether a FOK order counts what icebergs hide. Executed, it takes hidden parts all the same.
    fok_counts_hidden: bool = True
    # 14: whether a GTD order expires before the matches of its time T, or outlives them.
    expires_before_match: bool = True
    # 19: at_once: a sweep goes round a level until it is empty. after_sweep: it takes what is displayed at all prices
    # it reaches, then what is refreshed.
    iceberg_refresh: Literal["at_once", "after_sweep"] = "at_once"
    # 21: total / display at most; an instrument may say otherwise.
    iceberg_parts_max: int = 10
    # 22: what triggers stops. mark: trades, and once the symbol is given a mark, the mark. trade: trades, whatever the
    # mark. quote: for buys the best ask, for sells the best bid.
    stop_trigger: Literal["mark", "trade", "quote"] = "mark"
    # 22: what becomes of a stop that the market has passed already.
    stop_already_passed: Literal["refuse", "fire"] = "refuse"
    # 34: when children arm, and how much of them.
    oto_arms: Literal["filled", "proportional"] = "filled"
    # Modes of self-trade prevention that may be asked for, and the one of an order that names none.
    self_trade_preventions: tuple[str, ...] = ("none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both")
    self_trade_prevention_default: str = "none"
    # What the venue does for an account that loses its connection.
    cancels_on_disconnect: bool = True
    # 47: (length in ns, unfilled orders allowed) of each window.
    order_windows: tuple[tuple[int, int], ...] = ()
    # 48: window in ns, weight allowed in it, 429s before a ban, first and longest ban in ns.
    weight_window: int = 60_000_000_000
    weight_max: int = 6_000
    weight_patience: int = 10
    ban_first: int = 120_000_000_000
    ban_max: int = 259_200_000_000_000


def shipped(name: str, **changes: Any) -> Profile:
    """A profile that comes with bot4. Raises `LookupError` for a name it does not know."""
    folder = resources.files("bot4_exchange_simulator.engine").joinpath("profiles")
    known = sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))
    if name not in known:
        raise LookupError(f"no profile {name!r}; there are {', '.join(known)}")
    fields = tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return msgspec.convert({"name": name, **fields, **changes}, Profile)
