from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.engines import bot4, mix
from benchmarks.engines.drive import clocked, replayed
from benchmarks.engines.record import record
from bot4_exchange_simulator.engine.events import AMENDED, REJECTED, TRADE

MESSAGES = 2_000
NO_LIMIT = 10**12


@pytest.fixture(scope="module")
def recording() -> mix.Recording:
    return record(seed=3, symbols=2, messages=MESSAGES, resting=200)


def test_of_each_kind_there_are_as_many_as_said(recording: mix.Recording) -> None:
    counted = Counter(message.kind for message in recording.messages[recording.opening :])
    assert [counted[kind] * 100 / MESSAGES for kind in range(len(mix.KINDS))] == list(mix.SHARES)


def test_the_same_seed_records_the_same(recording: mix.Recording) -> None:
    assert record(seed=3, symbols=2, messages=MESSAGES, resting=200) == recording
    assert record(seed=4, symbols=2, messages=MESSAGES, resting=200) != recording


def test_a_recording_is_read_as_it_was_written(recording: mix.Recording, tmp_path: Path) -> None:
    mix.write(recording, tmp_path / "recording")
    assert mix.read(tmp_path / "recording") == recording


def test_what_is_cancelled_or_amended_rests_and_nothing_is_refused(recording: mix.Recording) -> None:
    engine = bot4.new_engine()
    for each in bot4.prepared(recording, engine).calls:
        assert each is not None
        call, arguments = each
        call(*arguments)
    happened = Counter(event[0] for event in engine.events)
    assert happened[REJECTED] == 0
    assert happened[AMENDED] == sum(message.kind == mix.AMEND for message in recording.messages)
    assert happened[TRADE] > 0


def test_the_books_keep_their_size() -> None:
    engine, long = bot4.new_engine(), record(seed=3, symbols=1, messages=20_000, resting=300)
    assert replayed(bot4.prepared(long, engine), long.opening, NO_LIMIT)[0] == 20_000
    resting = sum(len(account.orders) for account in engine.accounts.values())
    assert 200 < resting < 450


def test_each_message_is_clocked_and_every_lot_counted(recording: mix.Recording) -> None:
    times, trades, lots = clocked(bot4.prepare(recording), recording.opening, NO_LIMIT)
    assert len(times) == MESSAGES and min(times) > 0
    assert 0 < trades < lots
