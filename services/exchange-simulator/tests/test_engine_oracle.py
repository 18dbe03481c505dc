"""Is the engine right? It says what the naive one says, event for event, and shows the same after each command."""

from __future__ import annotations

import os
from typing import Any

import flow
from engines import Fast, Naive, state_hash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Command = dict[str, Any]

# Sequences per comparison: enough to meet every rule, few enough to wait for; more where a machine has the night.
EXAMPLES = int(os.environ.get("VENUE_EXAMPLES", "1000"))
compared = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

profiles = st.sampled_from(["default", "margined", "binance-spot"])
# A venue with another answer to one or several of the rules on which venues differ.
changes = st.fixed_dictionaries(
    {},
    optional={
        "account_model": st.just("margined"),
        "fok_counts_hidden": st.just(False),
        "expires_before_match": st.just(False),
        "iceberg_refresh": st.just("after_sweep"),
        "stop_trigger": st.sampled_from(["quote", "trade"]),
        "stop_already_passed": st.just("fire"),
        "oto_arms": st.just("proportional"),
        "order_windows": st.just([[20, 6]]),
        "reduce_only": st.just(False),
        "self_trade_preventions": st.just(["none", "cancel_new", "cancel_both"]),
        "self_trade_prevention_default": st.just("cancel_new"),
        "cancels_on_disconnect": st.just(False),
    },
)


@given(commands=flow.sequences(), profile=profiles)
@compared
def test_it_does_what_the_naive_engine_does(commands: list[Command], profile: str) -> None:
    assert_agreement(commands, profile, {})


@given(commands=flow.sequences(), changes=changes)
@compared
def test_it_does_so_whatever_the_venue(commands: list[Command], changes: Command) -> None:
    assert_agreement(commands, "default", changes)


def assert_agreement(commands: list[Command], profile: str, changes: Command) -> None:
    fast, naive = Fast(profile, changes), Naive(profile, changes)
    for command in commands:
        assert fast.step(command) == naive.step(command), command
        assert state_hash(fast) == state_hash(naive), (command, fast.state(), naive.state())
