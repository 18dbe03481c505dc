"""Who may do this? An API key names an account or an operator. What undoes a safeguard takes a further key, of which
only the Argon2id hash is known here.

No key is ever logged, journaled or repeated in an answer.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b, sha256
from typing import NamedTuple

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from bot4_common.errors import Refused

# Wrong keys one caller may present within a minute. Guessing takes far more; a slip of the hand takes one.
FAILURES_MAX = 5
FAILURES_NS = 60_000_000_000

# Visible ASCII without the slash, which parts the account from the strategy wherever both are named.
_NAME = re.compile(r"[!-.0-~]{1,64}")

# Whether the key, the second, is that of the hash, the first.
Verify = Callable[[str, str], Awaitable[bool]]


class Caller(NamedTuple):
    """`name` is the account's or the operator's; an operator has no account and acts on all of them."""

    name: str
    account: str | None

    @property
    def is_operator(self) -> bool:
        return self.account is None

    def sees(self, account: str) -> bool:
        return self.account in (None, account)


class Seal(NamedTuple):
    """How callers present a key, how they are refused without it, and where its hash is set."""

    code: str
    header: str
    setting: str


SECOND = Seal("SECOND_KEY", "X-Second-Key", "BOT4_SECOND_KEY_HASH")
OVERRIDE = Seal("OVERRIDE_KEY", "X-Override-Key", "BOT4_OVERRIDE_KEY_HASH")


def parse_keys(text: str, setting: str = "BOT4_API_KEYS") -> dict[str, str]:
    """Names by key, of `name:key,name:key`. Raises `ValueError` without repeating what it was given."""
    names: dict[str, str] = {}
    for number, pair in enumerate(text.split(","), 1):
        name, _, key = pair.strip().partition(":")
        if _NAME.fullmatch(name) is None or not key or key in names:
            raise ValueError(f"{setting} is `name:key,name:key`; entry {number} is not, or repeats a key")
        names[key] = name
    return names


def hashed(key: str) -> str:
    """What a setting keeps of a key: 64 MB and 0.1 s of work for each guess. Takes as long itself."""
    return PasswordHasher().hash(key)


async def in_thread(hash: str, key: str) -> bool:
    return await asyncio.to_thread(_is_of, hash, key)


def _is_of(hash: str, key: str) -> bool:
    try:
        return PasswordHasher().verify(hash, key)
    except VerifyMismatchError:
        return False


class SealedKey:
    """A key that is known by its hash alone. One is verified at a time, which bounds the memory and the threads; what
    was right last is remembered as a digest that this process alone can make, so that it is verified once."""

    def __init__(self, seal: Seal, hash: str, clock: Callable[[], int], verify: Verify) -> None:
        """`clock` gives ns. An empty `hash` seals for good. Raises `ValueError` for what is no Argon2id hash."""
        self._seal = seal
        self._hash = hash
        self._clock = clock
        self._verify = verify
        self._pepper = secrets.token_bytes(32)
        self._right = b""
        self._verifying = asyncio.Lock()
        # When each caller presented wrong keys; callers are those of the settings.
        self._failed: dict[str, deque[int]] = {}
        if hash and not _is_argon2id(hash):
            raise ValueError(f"{seal.setting} is not an Argon2id hash, `$argon2id$v=19$...`")

    async def check(self, who: str, key: str | None) -> None:
        """Raises `Refused` unless `key` is the right one, or when `who` has presented too many that were not."""
        seal = self._seal
        if not self._hash:
            raise Refused(seal.code, rule=f"no key is right until {seal.setting} is set to the Argon2id hash of one")
        if key is None:
            raise Refused(seal.code, header=seal.header)
        # Wrong keys count before anything is compared: guessing does not get faster by what is remembered.
        self._check_failures(who)
        digest = blake2b(key.encode(), key=self._pepper).digest()
        if hmac.compare_digest(digest, self._right):
            return
        async with self._verifying:
            self._check_failures(who)
            if hmac.compare_digest(digest, self._right):
                return
            if not await self._verify(self._hash, key):
                self._failed.setdefault(who, deque(maxlen=FAILURES_MAX)).append(self._clock())
                raise Refused(seal.code, header=seal.header)
            self._right = digest

    def _check_failures(self, who: str) -> None:
        failed = self._failed.get(who)
        if failed is None or len(failed) < FAILURES_MAX:
            return
        free_at = failed[0] + FAILURES_NS
        if self._clock() < free_at:
            raise Refused("TOO_MANY_ATTEMPTS", limit=str(FAILURES_MAX), window_s=str(FAILURES_NS // 1_000_000_000))


def _is_argon2id(hash: str) -> bool:
    try:
        return extract_parameters(hash).type.name == "ID"
    except InvalidHashError:
        return False


class Keys:
    """Only digests are kept, and comparing them tells nothing by its duration."""

    def __init__(
        self,
        accounts: Mapping[str, str],
        operators: Mapping[str, str] = {},
        second_hash: str = "",
        override_hash: str = "",
        clock: Callable[[], int] = time.monotonic_ns,
        verify: Verify = in_thread,
    ) -> None:
        """`accounts` and `operators` by key. Raises `ValueError` when a key or a name is of both."""
        if set(accounts) & set(operators) or set(accounts.values()) & set(operators.values()):
            raise ValueError("BOT4_OPERATOR_KEYS has a key or a name that BOT4_API_KEYS has too")
        self._callers = [
            *((sha256(key.encode()).digest(), Caller(name, name)) for key, name in accounts.items()),
            *((sha256(key.encode()).digest(), Caller(name, None)) for key, name in operators.items()),
        ]
        self.accounts = frozenset(accounts.values())
        self.second = SealedKey(SECOND, second_hash, clock, verify)
        self.override = SealedKey(OVERRIDE, override_hash, clock, verify)

    def caller(self, key: str | None) -> Caller:
        """Raises `Refused` for no key, or one that nobody has."""
        digest = sha256((key or "").encode()).digest()
        found = [caller for known, caller in self._callers if hmac.compare_digest(known, digest)]
        if key is None or not found:
            raise Refused("UNAUTHENTICATED")
        return found[0]

    def account(self, key: str | None) -> str:
        """The account that trades with this key. Raises `Refused`, for an operator's key too."""
        caller = self.caller(key)
        if caller.account is None:
            raise Refused("FORBIDDEN", needs="the key of an account")
        return caller.account

    def operator(self, key: str | None) -> str:
        """The operator's name. Raises `Refused` for any other key."""
        caller = self.caller(key)
        if not caller.is_operator:
            raise Refused("FORBIDDEN", needs="the key of an operator")
        return caller.name

    def meant(self, caller: Caller, named: str) -> str:
        """The account that a request is about: the caller's own, or the one that an operator names. Raises `Refused`
        for any other."""
        if caller.is_operator:
            if named not in self.accounts:
                raise Refused("BAD_FIELD", field="account", rule="an operator names one of the accounts")
            return named
        if named not in ("", caller.name):
            raise Refused("FORBIDDEN", needs="the key of an operator")
        return caller.name
