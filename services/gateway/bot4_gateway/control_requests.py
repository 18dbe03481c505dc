"""What did a caller write about holding trading back? Bodies as messages, or a refusal that names the field."""

from __future__ import annotations

import msgspec

from bot4_common.errors import Refused
from bot4_common.limits import BadLimits, from_fields, from_toml
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import Scope, Side
from bot4_gateway.bodies import convert, decode

# A document of limits that names some three hundred accounts.
LIMITS_BODY_MAX = 65_536


class KillSwitchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` is for operators to say. `flatten`: what is held there is closed as well."""

    reason: str
    scope: Scope = "account"
    account: str = ""
    strategy: str = ""
    symbol: str = ""
    flatten: bool = False


class ResetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str
    scope: Scope = "account"
    account: str = ""
    strategy: str = ""
    symbol: str = ""


class LimitsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decimals are text. `replaces` is the version that must still be in force; 0 replaces any."""

    document: LimitsDocument
    reason: str
    replaces: int = 0


class GateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool
    reason: str


class StrategyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` is for operators to say."""

    strategy: str
    account: str = ""


class SignalRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered strategy's wish to trade: the direction, and what it saw."""

    strategy: str
    symbol: str
    side: Side
    note: str = ""


class RebaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty `account` means the firm."""

    reason: str
    account: str = ""


def decode_limits(body: bytes) -> LimitsRequest:
    """Raises `Refused`."""
    fields = decode(body)
    try:
        document = from_fields(fields.get("document"))
    except BadLimits as bad:
        raise _bad(bad) from None
    rest = convert({**fields, "document": {}}, LimitsRequest)
    if rest.replaces < 0:
        raise Refused("BAD_FIELD", field="replaces", rule="a version, or 0 for any")
    return msgspec.structs.replace(rest, document=document)


def decode_toml(body: bytes) -> LimitsDocument:
    """Raises `Refused`."""
    try:
        return from_toml(body.decode())
    except BadLimits as bad:
        raise _bad(bad) from None
    except UnicodeDecodeError as error:
        raise Refused("BAD_BODY", reason=str(error)[:200]) from None


def _bad(bad: BadLimits) -> Refused:
    return Refused("BAD_LIMITS", field=bad.field or "document", rule=bad.rule[:200])
