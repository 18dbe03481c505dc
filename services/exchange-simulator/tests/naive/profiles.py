"""What does the naive engine do on which venue? The defaults are those of the rules."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "account_model": "spot",
    "reduce_only": True,
    "fok_counts_hidden": True,  # rule 13
    "expires_before_match": True,  # rule 14
    "iceberg_refresh": "at_once",  # rule 19
    "iceberg_parts_max": 10,  # rule 21
    "stop_trigger": "mark",  # rule 22
    "stop_already_passed": "refuse",  # rule 22
    "oto_arms": "filled",  # rule 34
    "self_trade_preventions": ["none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both"],
    "self_trade_prevention_default": "none",
    "cancels_on_disconnect": True,
    "order_windows": [],  # rule 47: (length in nanoseconds, unfilled orders allowed)
}
DAY = 86_400_000_000_000

PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "binance-spot": {
        "reduce_only": False,
        "cancels_on_disconnect": False,
        "stop_trigger": "trade",
        "self_trade_prevention_default": "cancel_resting",
        "order_windows": [[10_000_000_000, 100], [DAY, 200_000]],
    },
    "margined": {"account_model": "margined"},
}


def profile_of(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {**DEFAULTS, **PROFILES[name], **changes}
