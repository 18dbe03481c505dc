"""Does the documentation say how the venues differ?"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bot4_exchange_simulator.engine.profile import Profile, shipped

NAMES = ("default", "margined", "binance-spot")
# Times in ns that are easier to read otherwise.
TIMES = {"weight_window": "60 s", "ban_first": "2 min", "ban_max": "3 days"}
RULES = {
    "fok_counts_hidden": "13", "expires_before_match": "14", "iceberg_refresh": "19", "iceberg_parts_max": "21",
    "stop_trigger": "22", "stop_already_passed": "22", "oto_arms": "34", "reduce_only": "37",
    "self_trade_preventions": "42", "self_trade_prevention_default": "42", "order_windows": "47",
    "weight_window": "48", "weight_max": "48", "weight_patience": "48", "ban_first": "48", "ban_max": "48",
}  # fmt: skip


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        each = [f"{n[1]:,} in {n[0] // 10**9:,} s" if isinstance(n, tuple) else str(n) for n in value]
        return ", ".join(each) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table() -> str:
    lines = [f"| rule | setting | {' | '.join(NAMES)} |", "|---|---|" + "---|" * len(NAMES)]
    profiles = [msgspec.structs.asdict(shipped(name)) for name in NAMES]
    for field in Profile.__struct_fields__:
        if field != "name":
            values = [TIMES.get(field, shown(profile[field])) for profile in profiles]
            lines.append(f"| {RULES.get(field, '')} | `{field}` | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_profiles_is_the_profiles() -> None:
    """After a change, what belongs there is what the assertion shows."""
    document = (Path(__file__).parents[3] / "docs" / "venue.md").read_text(encoding="utf-8")
    start = document.index("| rule | setting |")
    assert document[start : document.index("\n\n", start) + 1] == table()


def test_times_are_told_as_they_are() -> None:
    binance = shipped("binance-spot")
    assert (binance.weight_window, binance.ban_first, binance.ban_max) == (60 * 10**9, 120 * 10**9, 259_200 * 10**9)


def test_a_profile_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(LookupError, match=r"nasdaq.*binance-spot, default, margined"):
        shipped("nasdaq")
