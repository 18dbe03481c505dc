"""Can these limits be right? How a document of limits is read, checked and written out, whoever brings it.

Numbers are exact on their way in: text or an integer in JSON, any number in TOML. A JSON number with a point has been a
float before it came here and is refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from bot4_common.messages.limits import LimitsDocument
from bot4_common.money import is_positive, plain

# Products of two limits, a price and a quantity are exact; so many digits of a limit leave room for that.
WHOLE_DIGITS_MAX, DECIMALS_MAX = 15, 8
FIGURE = (
    f"a finite number above zero of at most {WHOLE_DIGITS_MAX} digits before the point and {DECIMALS_MAX} behind it"
)
# Eleven days in ns, and more orders than anybody counts.
INTEGER_MAX = 10**15
# What must not exceed the whole of something.
_MOST: dict[str, int] = {
    "daily_loss_percent": 100,
    "drawdown_percent": 100,
    "correlation_max": 1,
    "price_collar_bps": 10_000,
}

# Visible ASCII, as wherever a caller gives something a name.
_NAME = r"[!-~]{1,64}"
# Without the slash, which parts it from the strategy.
_ACCOUNT = r"[!-.0-~]{1,64}"
_NAMES = {
    "accounts": (re.compile(_ACCOUNT), "the name of an account"),
    "symbols": (re.compile(_NAME), "a symbol, such as BTC-USDT"),
    "strategies": (re.compile(f"{_ACCOUNT}/{_NAME}"), "`account/strategy`"),
}
_PLACE = re.compile(r"`\$\.?([^`]*)`$")


class BadLimits(ValueError):
    """`field` is where in the document, as `account.gross_percent`; empty when all of it is no document."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule)
        self.field = field
        self.rule = rule


def from_toml(text: str) -> LimitsDocument:
    """Raises `BadLimits`."""
    try:
        fields = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadLimits("", str(error)) from None
    return from_fields(fields)


def from_fields(fields: object) -> LimitsDocument:
    """The document that these dicts, lists, texts and numbers make. Raises `BadLimits`."""
    try:
        document = msgspec.convert(fields, LimitsDocument)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).partition(" - at ")
        found = _PLACE.search(place)
        raise BadLimits(found[1] if found else "", rule) from None
    for place, value in _leaves("", fields):
        if isinstance(value, float):
            raise BadLimits(place, 'a decimal number is text, such as "2.5"')
    validate(document)
    return document


def validate(document: LimitsDocument) -> None:
    """Raises `BadLimits` naming the first field that can never be right."""
    for part in ("accounts", "symbols", "strategies"):
        form, meaning = _NAMES[part]
        for name in getattr(document, part):
            if form.fullmatch(name) is None:
                raise BadLimits(f"{part}.{name[:130]}", f"the name is not {meaning}")
    for place, value in _leaves("", document):
        rule = _broken(place.rpartition(".")[2], value)
        if rule is not None:
            raise BadLimits(place, rule)
    for place, account in (("account", document.account), *_each("accounts", document.accounts)):
        if account.trade_group and re.fullmatch(_NAME, account.trade_group) is None:
            raise BadLimits(f"{place}.trade_group", "1 to 64 visible ASCII characters, or nothing")


def written(document: LimitsDocument) -> dict[str, Any]:
    """All of it, defaults included; decimals as text in plain notation."""
    made: dict[str, Any] = _written(document)
    return made


def to_toml(document: LimitsDocument) -> str:
    """What `from_toml` reads as the same document."""
    tables: list[str] = []
    for part, value in written(document).items():
        named = part in _NAMES
        for name, fields in value.items() if named else [(part, value)]:
            title = f"{part}.{_quoted(name)}" if named else part
            tables.append("\n".join([f"[{title}]", *_lines(fields)]))
    return "\n\n".join(tables) + "\n"


def _broken(name: str, value: object) -> str | None:
    """The rule that the figure breaks, if any."""
    if isinstance(value, Decimal) and not (is_positive(value) and _is_short(value)):
        return FIGURE
    if isinstance(value, int) and not 1 <= value <= INTEGER_MAX:
        return f"a whole number from 1 to {INTEGER_MAX}"
    most = _MOST.get(name)
    if most is not None and isinstance(value, Decimal | int) and value > most:
        return f"at most {most}"
    return None


def _is_short(value: Decimal) -> bool:
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -DECIMALS_MAX and value.adjusted() < WHOLE_DIGITS_MAX


def _leaves(place: str, node: object) -> Iterator[tuple[str, object]]:
    """Every value that has no others inside it, and where it is."""
    inside: Mapping[Any, object] | None = None
    if isinstance(node, msgspec.Struct):
        inside = {name: getattr(node, name) for name in node.__struct_fields__}
    elif isinstance(node, dict):
        inside = node
    elif isinstance(node, list):
        inside = dict(enumerate(node))
    if inside is None:
        yield place, node
        return
    for name, value in inside.items():
        yield from _leaves(f"{place}.{name}" if place else str(name), value)


def _each(part: str, named: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{part}.{name}", value) for name, value in named.items())


def _written(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _written(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: _written(inside) for name, inside in value.items()}
    return plain(value) if isinstance(value, Decimal) else value


def _lines(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if value is not None:
            yield f"{name} = {value if isinstance(value, int) else _quoted(value)}"


def _quoted(text: str) -> str:
    """A JSON string is a basic string of TOML."""
    return msgspec.json.encode(text).decode()
