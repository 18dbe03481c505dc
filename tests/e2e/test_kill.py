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
    late = {name: round(seconds, 1) for name, seconds in recovered.items() if seconds >= RECOVERY_S}
    assert late == {}
    assert sent > ORDERS_PER_SECOND
    assert wrong == []


async def kill_under_load(data: Path, run: Run, names: tuple[str, ...]) -> tuple[dict[str, float], int, list[str]]:
    """Seconds until each is ready again, orders sent, and what became of them that should not have."""
    wires = Wires(run.url, run.api_keys["drill"], connections=64)
    load = Load(wires, ORDERS_PER_SECOND, in_flight=64, id=f"{'-'.join(names)[:20]}-{time.time_ns()}")
    async with opened(run) as log:
        before = await ends(log, run.venues)
        loading = asyncio.create_task(load.run())
        await asyncio.sleep(1.5)
        recovered = await kill_and_await(data, names)
        await asyncio.sleep(1.5)
        load.stop()
        await loading
        reckoned = await reckon(log, before, "drill", load.sent)
    await wires.close()
    return recovered, reckoned.sent, reckoned.wrong


async def kill_and_await(data: Path, names: tuple[str, ...]) -> dict[str, float]:
    killed = {name: read(data).service(name).pid for name in names}
    for pid in killed.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    recovered: dict[str, float] = {}
    while len(recovered) < len(read(data).services):
        await asyncio.sleep(0.05)
        statuses_now = await asyncio.to_thread(statuses, read(data))
        for status in statuses_now:
            is_back = status.ready and status.pid != killed.get(status.name)
            if is_back:
                recovered.setdefault(status.name, time.monotonic() - started)
            else:
                recovered.pop(status.name, None)
        assert time.monotonic() - started < 60, f"not all come back: {recovered}"
    return recovered


def test_the_audit_is_clean_after_all_of_it(data: Path) -> None:
    audited = bot4("audit", "--data", data)
    assert audited.returncode == 0, audited.stdout
