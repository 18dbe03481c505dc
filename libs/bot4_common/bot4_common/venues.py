"""Which venues can be traded on, and how does one differ from the other?"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import resources
from typing import Any

import msgspec

from bot4_common.money import ZERO, amount

# A venue's name is part of the names of its stream, its subjects and its process.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")

# Fees beyond a tenth of the notional, and markets a tenth apart, are mistakes; sizes of a millionth no market.
FEE_MAX = Decimal("0.1")
OFFSET_BPS_MAX = Decimal(1_000)
SIZE_FACTOR_MIN, SIZE_FACTOR_MAX = Decimal("0.000001"), Decimal(1_000_000)


class Liquidity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the venue's market differs from that of the tape.

    `size_factor` multiplies what is quoted, `price_offset_bps` moves all prices by hundredths of a percent, and
    `seed_offset` is added to the seed that sizes are drawn by. The tape is that of all venues: they move together.
    """

    size_factor: Decimal = Decimal(1)
    price_offset_bps: Decimal = ZERO
    seed_offset: int = 0


class VenueDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One venue. Fees are fractions of the notional, a negative one is a rebate. Latencies are medians in ms of a
    log-normal distribution whose logarithm has the deviation `sigma`; they apply where the line has latency at all.

    `profile` names the rules of its engine, `line` the faults of the way there; the simulator knows both by name.
    `limited`: whether what a session asks is weighed, as the profile says. `stops` and `lists`: whether the venue has
    stop orders, and orders that depend on each other; where it has not, risk holds them back until their time comes.
    """

    name: str
    profile: str = "default"
    limited: bool = False
    stops: bool = True
    lists: bool = True
    maker_fee: Decimal
    taker_fee: Decimal
    entry_ms: float = 2.0
    feed_ms: float = 2.0
    cancel_ms: float = 2.0
    sigma: float = 0.5
    line: str = "perfect"
    liquidity: Liquidity = Liquidity()


def parse(text: str) -> dict[str, VenueDefinition]:
    """Venues from TOML, one table per venue, fees as text.

    Raises `ValueError` or `msgspec.ValidationError` naming what is wrong.
    """
    listed: dict[str, VenueDefinition] = {}
    for name, fields in tomllib.loads(text).items():
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a venue: lower-case letters, digits and hyphens, 32 at most")
        listed[name] = msgspec.convert({"name": name, **_table(name, fields)}, VenueDefinition, strict=False)
        _check(listed[name])
    return listed


def shipped() -> dict[str, VenueDefinition]:
    """The venues that come with bot4."""
    return parse(resources.files("bot4_common").joinpath("venues.toml").read_text(encoding="utf-8"))


def names(text: str) -> list[str]:
    """`"a,b"` as names, the default venue first. Raises `ValueError` for none, and for one named twice."""
    listed = [name.strip() for name in text.split(",")]
    for name in listed:
        if not name:
            raise ValueError(f"{text!r} is no list of venues: name at least one, with commas between them")
        if listed.count(name) > 1:
            raise ValueError(f"venue {name} is named twice")
    return listed


def load(wanted: Sequence[str], known: Mapping[str, VenueDefinition] | None = None) -> dict[str, VenueDefinition]:
    """The definitions of these venues, in this order; from those that come with bot4 unless others are `known`.

    Raises `ValueError` naming the known ones.
    """
    known = shipped() if known is None else known
    for name in wanted:
        if name not in known:
            raise ValueError(f"there is no venue {name}: choose from {', '.join(known)}")
    return {name: known[name] for name in wanted}


def _table(name: str, fields: Any) -> dict[str, Any]:
    if not isinstance(fields, dict) or "name" in fields:
        raise ValueError(f"{name}: a table of fields is wanted, under the venue's name")
    return fields


def _check(venue: VenueDefinition) -> None:
    for field in ("maker_fee", "taker_fee"):
        if abs(amount(str(getattr(venue, field)))) > FEE_MAX:
            raise ValueError(f"{venue.name}: {field} is a fraction of the notional, {FEE_MAX} at most")
    for field in ("entry_ms", "feed_ms", "cancel_ms", "sigma"):
        if not 0.0 <= getattr(venue, field) < 60_000.0:
            raise ValueError(f"{venue.name}: {field} must not be below zero, nor a minute")
    liquidity = venue.liquidity
    if not SIZE_FACTOR_MIN <= amount(str(liquidity.size_factor)) <= SIZE_FACTOR_MAX:
        raise ValueError(f"{venue.name}: size_factor must lie between {SIZE_FACTOR_MIN:f} and {SIZE_FACTOR_MAX}")
    if abs(amount(str(liquidity.price_offset_bps))) > OFFSET_BPS_MAX:
        raise ValueError(f"{venue.name}: price_offset_bps must lie within {OFFSET_BPS_MAX} of zero")
