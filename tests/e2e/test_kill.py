"""Kill anything at any moment, under load: it is back in five seconds, nothing is lost and nothing done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from bot4_cli.load import Load
from bot4_cli.proofs import opened
from bot4_cli.reckoning import ends, reckon
from bot4_cli.running import Run, read, statuses
from bot4_cli.wire import Wires
from tests.e2e.conftest import bot4

ORDERS_PER_SECOND = 220
RECOVERY_S = 5.0
SERVICES = ("risk", "execution", "exchange-simulator", "gateway", "cost-model", "journal", "nats", "postgres")


@pytest.mark.parametrize("names", [*((name,) for name in SERVICES), SERVICES], ids=lambda names: "+".join(names)[:30])
def test_a_kill_under_load(data: Path, run: Run, names: tuple[str, ...]) -> None:
    recovered, sent, wrong = asyncio.run(kill_under_load(data, run, names))
    assert recovered < RECOVERY_S
    assert sent > ORDERS_PER_SECOND
    assert wrong == []


async def kill_under_load(data: Path, run: Run, names: tuple[str, ...]) -> tuple[float, int, list[str]]:
    """Seconds until all are ready again, orders sent, and what became of them that should not have."""
    wires = Wires(run.url, run.api_key, connections=64)
    load = Load(wires, ORDERS_PER_SECOND, in_flight=64, id=f"{'-'.join(names)[:20]}-{time.time_ns()}")
    async with opened(run) as log:
        before = await ends(log)
        loading = asyncio.create_task(load.run())
        await asyncio.sleep(1.5)
        killed = {name: read(data).service(name) for name in names}
        started = time.monotonic()
        for process in killed.values():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        while not await asyncio.to_thread(all_back, data, {name: each.pid for name, each in killed.items()}):
            await asyncio.sleep(0.02)
            assert time.monotonic() - started < 60, "it does not come back"
        recovered = time.monotonic() - started
        await asyncio.sleep(1.5)
        load.stop()
        await loading
        reckoned = await reckon(log, before, next(iter(run.api_keys)), load.sent)
    await wires.close()
    return recovered, reckoned.sent, reckoned.wrong


def all_back(data: Path, old: dict[str, int | None]) -> bool:
    run = read(data)
    if any(run.service(name).pid in (None, pid) for name, pid in old.items()):
        return False
    return all(status.ready for status in statuses(run))


def test_the_audit_is_clean_after_all_of_it(data: Path) -> None:
    audited = bot4("audit", "--data", data)
    assert audited.returncode == 0, audited.stdout
