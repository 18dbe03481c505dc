from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.engines import asked, risk_bot4
from benchmarks.engines.checks import clocked


@pytest.fixture(scope="module")
def recording() -> asked.Recording:
    return asked.record(seed=3, symbols=20, resting=100, asked=500)


def test_the_same_seed_asks_the_same(recording: asked.Recording) -> None:
    assert asked.record(seed=3, symbols=20, resting=100, asked=500) == recording
    assert asked.record(seed=4, symbols=20, resting=100, asked=500) != recording


def test_what_is_asked_is_read_as_it_was_written(recording: asked.Recording, tmp_path: Path) -> None:
    asked.write(recording, tmp_path / "recording")
    assert asked.read(tmp_path / "recording") == recording


def test_orders_rest_everywhere_and_half_of_the_symbols_are_held(recording: asked.Recording) -> None:
    ledger = risk_bot4.Desk(recording).ledger
    assert ledger.firm.orders == 100
    assert len(ledger.markets) == 20
    assert len(list(ledger.markets_held())) == 10


def test_nothing_is_refused_and_each_check_is_clocked(recording: asked.Recording) -> None:
    times, refused = clocked(risk_bot4.prepare(recording), range(1_500))
    assert len(times) == 1_500
    assert min(times) > 0
    assert refused == 0


def test_a_refusal_is_seen(recording: asked.Recording) -> None:
    larger = [order._replace(quantity=10**9) for order in recording.asked]
    assert clocked(risk_bot4.prepare(recording._replace(asked=larger)), range(10))[1] == 10


def test_correlations_are_looked_up(recording: asked.Recording) -> None:
    desk = risk_bot4.Desk(recording)
    held = {market.partition("/")[2] for market in desk.ledger.markets_held()}
    other = next(name for name in map(risk_bot4.symbol, range(20)) if name not in held)
    assert desk.correlations.of(desk.ledger, risk_bot4.ACCOUNT, other, "buy") is not None
