"""Does simulated time pass as it should, and is one seed one history?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from bot4_common.testing import BEGINNING, SimulatedLoop


def test_hours_pass_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(36_000)
        return asyncio.get_running_loop().time()

    started = time.monotonic()
    assert SimulatedLoop(1).run(main()) == 36_000
    assert time.monotonic() - started < 1


def test_timers_come_in_their_order_and_at_their_time() -> None:
    loop = SimulatedLoop(1)
    heard: list[tuple[str, int]] = []

    def ring(name: str) -> None:
        heard.append((name, loop.clock() - BEGINNING))

    async def main() -> None:
        for name, delay in ("c", 0.3), ("a", 0.1), ("b", 0.2), ("d", 0.3):
            loop.call_later(delay, ring, name)
        loop.call_later(0.15, ring, "never").cancel()
        await asyncio.sleep(1)

    loop.run(main())
    assert heard == [("a", 100_000_000), ("b", 200_000_000), ("c", 300_000_000), ("d", 300_000_000)]


def test_the_usual_tools_work() -> None:
    async def main() -> list[Any]:
        loop, event, future = asyncio.get_running_loop(), asyncio.Event(), asyncio.Future[int]()
        loop.call_later(1, event.set)
        loop.call_later(2, future.set_result, 7)
        await event.wait()
        results: list[Any] = [await future]
        results += await asyncio.gather(asyncio.sleep(1, "x"), asyncio.create_task(asyncio.sleep(2, "y")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(2)
        return [*results, loop.time()]

    assert SimulatedLoop(1).run(main()) == [7, "x", "y", 6.0]


def interleaving(seed: int) -> str:
    """Four processes of five steps each."""
    loop = SimulatedLoop(seed)
    steps: list[str] = []

    async def process(name: str) -> None:
        for n in range(5):
            steps.append(f"{name}{n}")
            await asyncio.sleep(0)

    async def main() -> None:
        for name in "abcd":
            loop.spawn(process(name))
        await asyncio.sleep(1)

    loop.run(main())
    return " ".join(steps)


def test_one_seed_is_one_interleaving_and_another_is_another() -> None:
    assert interleaving(1) == interleaving(1)
    assert len({interleaving(seed) for seed in range(20)}) == 20


def test_chance_is_between_processes_only() -> None:
    for seed in range(20):
        steps = interleaving(seed).split()
        assert [step for step in steps if step[0] == "a"] == ["a0", "a1", "a2", "a3", "a4"]


def test_the_interleaving_does_not_depend_on_the_hashes_of_the_process() -> None:
    program = "from test_simulated_loop import interleaving; print(interleaving(7))"
    here = {"PYTHONPATH": str(__file__).rpartition("/")[0]}
    said = {
        subprocess.check_output([sys.executable, "-c", program], env={**here, "PYTHONHASHSEED": seed}, text=True)
        for seed in ("1", "2")
    }
    assert said == {interleaving(7) + "\n"}


def test_a_killed_process_never_takes_another_step() -> None:
    loop = SimulatedLoop(1)
    steps: list[str] = []

    async def child() -> None:
        while True:
            steps.append("child")
            await asyncio.sleep(1)

    async def process() -> None:
        asyncio.get_running_loop().call_later(5, steps.append, "timer")
        task = asyncio.create_task(child())
        try:
            await task
        finally:
            loop.call_soon(steps.append, "call from finally")
            await asyncio.sleep(0)
            steps.append("after finally")

    async def main() -> None:
        doomed = loop.spawn(process())
        await asyncio.sleep(2.5)
        loop.kill(doomed)
        await asyncio.sleep(10)

    loop.run(main())
    assert [step for step in steps if step != "after finally"] == ["child"] * 3


def test_others_go_on_when_one_is_killed() -> None:
    loop = SimulatedLoop(1)

    async def process(event: asyncio.Event) -> None:
        await event.wait()

    async def main() -> float:
        event = asyncio.Event()
        doomed, survivor = loop.spawn(process(event)), asyncio.create_task(event.wait())
        await asyncio.sleep(1)
        loop.kill(doomed)
        event.set()
        await survivor
        return loop.time()

    assert loop.run(main()) == 1


def test_a_process_that_raises_fails_the_run() -> None:
    loop = SimulatedLoop(1)

    async def process() -> None:
        await asyncio.sleep(1)
        raise ValueError("inside")

    async def main() -> None:
        loop.spawn(process())
        await asyncio.sleep(5)

    with pytest.raises(ValueError, match="inside"):
        loop.run(main())


def test_a_callback_that_raises_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, lambda: 1 // 0)
        await asyncio.sleep(5)

    with pytest.raises(ZeroDivisionError):
        SimulatedLoop(1).run(main())


def test_a_task_nobody_awaits_and_that_raises_fails_the_run() -> None:
    async def fail() -> None:
        raise ValueError("unheard")

    def begin() -> None:
        asyncio.ensure_future(fail())  # noqa: RUF006 - nobody keeps it, that is the point

    async def main() -> None:
        asyncio.get_running_loop().call_soon(begin)
        await asyncio.sleep(5)

    with pytest.raises(ValueError, match="unheard"):
        SimulatedLoop(1).run(main())


def test_waiting_for_what_cannot_happen_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nothing can ever happen"):
        SimulatedLoop(1).run(forever())


async def forever() -> None:
    await asyncio.Event().wait()


def test_spinning_without_time_passing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot4_common.testing.STEPS_AT_ONE_TIME", 1_000)

    async def main() -> None:
        while True:  # noqa: ASYNC110 - that is what must be found out
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="time stands still"):
        SimulatedLoop(1).run(main())
