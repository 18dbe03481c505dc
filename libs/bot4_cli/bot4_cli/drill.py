"""Does the system survive a kill? Under load, a process gets SIGKILL; it must be back in time, and nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import msgspec

from bot4_cli import proofs
from bot4_cli.load import Load, Sent, check_taken, place
from bot4_cli.reckoning import Reckoned, ends, reckon
from bot4_cli.running import Run, read, running, statuses
from bot4_cli.trouble import Trouble
from bot4_cli.wire import Wires
from bot4_journal.audit import Finding

ACCOUNT = "drill"

# What recovery may take.
RECOVERY_S = 5.0
# After this a recovery is not awaited any more.
GIVE_UP_S = 30.0
LOOK_S = 0.05

# Load before the first kill and between two; and how much may be under way at a time.
CALM_S = 2.0
IN_FLIGHT = 64


class Kill(msgspec.Struct, kw_only=True):
    """Seconds from the kill until every process was ready again, and until an order placed after the kill was answered.
    None: not within `GIVE_UP_S`."""

    killed: list[str]
    ready_s: float | None
    order_s: float | None


class Outcome(msgspec.Struct, kw_only=True):
    """`repeats` are the orders that were under way before a kill's recovery and asked for once more, with the same
    client order id. `wrong` says in words what is wrong with which order."""

    kills: list[Kill]
    orders: Reckoned
    repeats: int
    wrong: list[str]
    audited_frames: int
    # As the audit's report has it, of the whole journal.
    unprotected_ns_max: int
    unprotected_order: str
    findings: list[Finding]
    passed: bool


async def drill(data: Path, names: list[str], times: int, rate: float, say: Callable[[str], None]) -> Outcome:
    """Kills these processes at one moment, so many times. Raises `Trouble` when it cannot begin, or all its
    orders are refused."""
    run = read(data)
    for name in names:
        run.service(name)
    if not all(status.ready for status in statuses(run)):
        raise Trouble("not every service is ready: see `bot4 status`")
    wires = Wires(run.url, run.api_keys[ACCOUNT], IN_FLIGHT)
    load = Load(wires, rate, IN_FLIGHT, f"drill-{token_hex(4)}", venues=run.venues)
    kills: list[Kill] = []
    repeats: list[tuple[Sent, Sent]] = []
    async with proofs.opened(run) as log:
        before = await ends(log, run.venues)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            for number in range(1, times + 1):
                say(f"{rate:g} orders a second")
                await asyncio.sleep(CALM_S)
                check_taken(load.sent, "drill")
                say(f"kill {number} of {times}: {', '.join(names)}")
                killed_at = time.perf_counter()
                kills.append(await kill(data, names, load.sent))
                back_at = time.perf_counter()
                await asyncio.sleep(CALM_S)
                say("asking once more for what was under way")
                under_way = [each for each in load.sent if each.first_at < back_at and each.answered_at > killed_at]
                repeats += await repeat(wires, under_way)
            say("waiting for the last answers")
            load.stop()
        say("reckoning: is every order there once?")
        orders = await reckon(log, before, ACCOUNT, load.sent)
    await wires.close()
    audited = await proofs.audit(run, lambda done, total: say(f"audit: {done:,} of {total:,} frames"))
    wrong = [*orders.wrong, *(what for first, second in repeats for what in differences(first, second))]
    in_time = all(in_bound(each.ready_s) and in_bound(each.order_s) for each in kills)
    return Outcome(
        kills=kills,
        orders=orders,
        repeats=len(repeats),
        wrong=wrong,
        audited_frames=audited.report.frames,
        unprotected_ns_max=audited.report.unprotected_ns_max,
        unprotected_order=audited.report.unprotected_order,
        findings=audited.findings,
        passed=in_time and not wrong and not audited.findings and orders.accepted > 0,
    )


async def repeat(wires: Wires, answered: list[Sent]) -> list[tuple[Sent, Sent]]:
    """The first answers, each with that to the same request once more."""
    return list(zip(answered, await asyncio.gather(*(place(wires, each.order) for each in answered)), strict=True))


def differences(first: Sent, second: Sent) -> list[str]:
    """An order that was journaled is the same order when asked for again. What never was may be done now."""
    if not first.order_id or second.order_id == first.order_id:
        return []
    again = second.order_id or second.code
    return [f"{first.order.client_order_id} was {first.order_id}, and is {again} when repeated"]


def in_bound(seconds: float | None) -> bool:
    return seconds is not None and seconds <= RECOVERY_S


async def kill(data: Path, names: list[str], sent: list[Sent]) -> Kill:
    """Kills the processes at one moment; returns when all are ready and an order was answered, or after `GIVE_UP_S`."""
    run = read(data)
    answered_before = len(sent)
    killed_at = time.perf_counter()
    pids = strike(run, names)
    ready_at = order_at = None
    while (ready_at is None or order_at is None) and time.perf_counter() < killed_at + GIVE_UP_S:
        await asyncio.sleep(LOOK_S)
        if ready_at is None and await asyncio.to_thread(is_back, running(data), pids):
            ready_at = time.perf_counter()
        if order_at is None:
            since = [each.answered_at for each in sent[answered_before:] if is_whole(each, killed_at)]
            order_at = min(since, default=None)
    return Kill(
        killed=names,
        ready_s=None if ready_at is None else ready_at - killed_at,
        order_s=None if order_at is None else order_at - killed_at,
    )


def strike(run: Run, names: list[str]) -> dict[str, int | None]:
    """SIGKILLs these processes at one moment; gives the pids that they had."""
    pids = {name: run.service(name).pid for name in names}
    for pid in pids.values():
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return pids


def is_whole(sent: Sent, since: float) -> bool:
    """Whether the order went all the way to the venue, with nothing of it before the kill."""
    return sent.first_at > since and sent.status in ("open", "partially_filled", "filled", "expired", "cancelled")


def is_back(run: Run | None, pids: dict[str, int | None]) -> bool:
    """All are ready, and those that were killed are other processes."""
    return (
        run is not None
        and all(process.pid != pids.get(process.name) for process in run.services if process.name in pids)
        and all(status.ready for status in statuses(run))
    )
