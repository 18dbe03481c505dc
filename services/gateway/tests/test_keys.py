"""Does each key open what it is for, and nothing else?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from argon2 import PasswordHasher

from bot4_common.errors import Refused
from bot4_gateway.keys import FAILURES_MAX, FAILURES_NS, Caller, Keys, hashed, in_thread, parse_keys

# As strong as it gets in a millisecond.
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")
MINE = {"a key": "ann", "b key": "bob"}


class Verifier:
    """The real thing, counted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = 0
        self.at_once_max = 0

    async def __call__(self, hash: str, key: str) -> bool:
        self.asked.append(key)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            return await in_thread(hash, key)
        finally:
            self.at_once -= 1


class Clock:
    def __init__(self) -> None:
        self.now = 10**18

    def __call__(self) -> int:
        return self.now


def told(story: Callable[[Keys, Verifier, Clock], Awaitable[None]], hash: str = HASH) -> None:
    async def run() -> None:
        verifier, clock = Verifier(), Clock()
        await story(Keys(MINE, {"o key": "olga"}, hash, hash, clock, verifier), verifier, clock)

    asyncio.run(run())


async def refusal(asked: Awaitable[None]) -> Refused:
    with pytest.raises(Refused) as caught:
        await asked
    return caught.value


# API keys


def test_a_key_names_an_account_or_an_operator() -> None:
    keys = Keys(MINE, {"o key": "olga"})
    assert keys.caller("a key") == Caller("ann", "ann")
    assert keys.caller("o key") == Caller("olga", None)
    assert (keys.account("b key"), keys.operator("o key")) == ("bob", "olga")


def test_an_operator_sees_every_account_and_an_account_itself() -> None:
    keys = Keys(MINE, {"o key": "olga"})
    assert keys.caller("o key").sees("ann")
    assert keys.caller("a key").sees("ann") and not keys.caller("a key").sees("bob")


@pytest.mark.parametrize("key", [None, "", "a  key", "olga"])
def test_who_has_no_key_is_nobody(key: str | None) -> None:
    keys = Keys(MINE, {"o key": "olga"})
    for asked in (keys.caller, keys.account, keys.operator):
        with pytest.raises(Refused, match="UNAUTHENTICATED"):
            asked(key)


def test_an_account_is_no_operator_and_an_operator_trades_for_nobody() -> None:
    keys = Keys(MINE, {"o key": "olga"})
    for asked, key in ((keys.operator, "a key"), (keys.account, "o key")):
        with pytest.raises(Refused, match="FORBIDDEN"):
            asked(key)


@pytest.mark.parametrize("operators", [{"b key": "olga"}, {"o key": "ann"}])
def test_nobody_is_an_account_and_an_operator(operators: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="BOT4_OPERATOR_KEYS") as caught:
        Keys(MINE, operators)
    assert not any(key in str(caught.value) for key in operators)


def test_keys_name_accounts() -> None:
    assert parse_keys("ann:one, bob:two,ann:three:x") == {"one": "ann", "two": "bob", "three:x": "ann"}


@pytest.mark.parametrize(
    "text",
    ["", "ann", "ann:", ":secret", "ann:secret,", "ann:secret,bob:secret", "a/b:secret", "a b:secret"],
)
def test_what_names_no_account_is_refused_without_telling_the_secret(text: str) -> None:
    with pytest.raises(ValueError, match="BOT4_API_KEYS") as caught:
        parse_keys(text)
    assert "secret" not in str(caught.value)


# Keys that are known by their hash


def test_the_right_key_is_verified_once() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        for _ in range(3):
            await keys.second.check("ann", "right")
        await asyncio.gather(*(keys.override.check("ann", "right") for _ in range(100)))
        assert verifier.asked == ["right", "right"]

    told(story)


def test_a_wrong_key_is_refused_and_the_right_one_is_then_not_forgotten() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        await keys.second.check("ann", "right")
        refused = await refusal(keys.second.check("ann", "wrong"))
        assert (refused.code, refused.details) == ("SECOND_KEY", {"header": "X-Second-Key"})
        await keys.second.check("ann", "right")
        assert verifier.asked == ["right", "wrong"]

    told(story)


def test_no_key_is_refused_without_being_verified() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        assert (await refusal(keys.override.check("ann", None))).code == "OVERRIDE_KEY"
        assert verifier.asked == []

    told(story)


def test_without_a_hash_it_is_said_what_to_set() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        refused = await refusal(keys.second.check("ann", "right"))
        assert refused.code == "SECOND_KEY" and "BOT4_SECOND_KEY_HASH" in refused.details["rule"]
        assert (await refusal(keys.override.check("ann", ""))).code == "OVERRIDE_KEY"

    told(story, hash="")


def test_guessing_is_slow_and_hinders_only_who_guesses() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        guesses = [keys.second.check("ann", f"guess {n}") for n in range(20)]
        codes = [(await refusal(guess)).code for guess in guesses]
        assert codes == ["SECOND_KEY"] * FAILURES_MAX + ["TOO_MANY_ATTEMPTS"] * (20 - FAILURES_MAX)
        await keys.second.check("bob", "right")
        # Otherwise what bob's success left behind would answer ann's guesses for nothing.
        assert (await refusal(keys.second.check("ann", "right"))).code == "TOO_MANY_ATTEMPTS"
        clock.now += FAILURES_NS
        await keys.second.check("ann", "right")

    told(story)


def test_many_guesses_at_once_are_verified_one_by_one_and_no_more_than_allowed() -> None:
    async def story(keys: Keys, verifier: Verifier, clock: Clock) -> None:
        guesses = [keys.second.check("ann", f"guess {n}") for n in range(50)]
        outcomes = await asyncio.gather(*guesses, return_exceptions=True)
        assert all(isinstance(outcome, Refused) for outcome in outcomes)
        assert (len(verifier.asked), verifier.at_once_max) == (FAILURES_MAX, 1)

    told(story)


def test_what_settings_keep_verifies_the_key_and_does_not_show_it() -> None:
    kept = hashed("right")
    assert kept.startswith("$argon2id$") and "right" not in kept
    assert asyncio.run(in_thread(kept, "right")) and not asyncio.run(in_thread(kept, "wrong"))


@pytest.mark.parametrize(
    "hash", ["right", "$argon2id$v=19$m=8", HASH.replace("argon2id", "argon2i")], ids=["key", "cut", "other kind"]
)
def test_a_setting_that_is_no_hash_is_named_and_not_repeated(hash: str) -> None:
    with pytest.raises(ValueError, match="BOT4_OVERRIDE_KEY_HASH is not an Argon2id hash") as caught:
        Keys(MINE, override_hash=hash)
    assert hash not in str(caught.value)
