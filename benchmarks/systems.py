"""What is measured? bot4 and the baseline, each with its own data, and the processes that each consists of."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil  # type: ignore[import-untyped]

from benchmarks.load import Expected, Market, Script, script
from bot4_cli import postgres, running, stack

BOT4 = (sys.executable, "-m", "bot4_cli")

# A system that is not ready by then will not be. `bot4 up` itself gives up after as long.
READY_S = 60.0
# How long a process may take to stop before it is killed.
STOP_S = 10.0
# Pauses between looks at whether something is ready.
LOOK_S = 0.02

BYTES_PER_MB = 1_000_000

# All rules are on, and none is to refuse what a load asks for: thousands of equal orders a second, of which one
# connection's takes what another's offers.
LIMITS = """
[strategy]
orders_per_second = 1000000
orders_burst = 1000000
open_orders_max = 100000

[account]
orders_per_second = 1000000
orders_burst = 1000000
open_orders_max = 100000
self_trade_prevention = "none"

[firm]
orders_per_second = 1000000
orders_burst = 1000000
open_orders_max = 100000

[guards]
duplicates_max = 1000000
executions_max = 1000000
"""

# Some 12 USDT an order: with 256 connections, far below any limit of an account.
SYMBOL, QUANTITY = "BTC-USDT", "0.0002"


class System(NamedTuple):
    """Something that answers the benchmark's requests. `roots` are the pids of the processes it consists of, each with
    its children; `data` is where it keeps what it was told."""

    name: str
    address: tuple[str, int]
    keys: list[str]
    expected: Expected
    roots: dict[str, int]
    data: Path

    def scripts(self, name: str, connections: int, market: Market) -> list[Script]:
        """What so many connections ask for, spread over the accounts. `name` must not have been used before."""
        host, port = self.address
        return [
            script(f"{name}-{number}", f"{host}:{port}", self.keys[number % len(self.keys)], market, self.expected)
            for number in range(connections)
        ]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process with its children. Memory is proportional: what processes share is counted once."""

    cpu_s: float
    memory_mb: float


@contextmanager
def bot4(data: Path) -> Generator[System]:
    """A whole system, as `bot4 up` starts it, until the block ends."""
    (port,) = stack.free_ports(1)
    _bot4("up", "--detach", "--data", str(data), "--port", str(port))
    limits = data / "limits.toml"
    limits.write_text(LIMITS, encoding="utf-8")
    try:
        _bot4("limits", str(limits), "--reason", "a benchmark", "--data", str(data))
        yield bot4_in(data)
    finally:
        _bot4("down", "--data", str(data))


def bot4_in(data: Path) -> System:
    """The system that runs in the folder, with its processes as they are now."""
    run = running.read(data)
    roots = {process.name: process.pid for process in run.services if process.pid is not None}
    host, _, port = run.url.removeprefix("http://").partition(":")
    return System(
        name="bot4",
        address=(host, int(port)),
        keys=list(run.api_keys.values()),
        expected=Expected(
            taken=("filled", "open", "partially_filled", "expired"), rested=("open",), cancelled=("cancelled",)
        ),
        roots={"supervisor": run.supervisor, **roots},
        data=data,
    )


def market_of(system: System) -> Market:
    """Where the market of bot4 stands now."""
    host, port = system.address
    asked = urllib.request.Request(
        f"http://{host}:{port}/v1/costs/estimate?symbol={SYMBOL}&side=buy&quantity={QUANTITY}",
        headers={"X-API-Key": system.keys[0]},
    )
    with urllib.request.urlopen(asked, timeout=READY_S) as answer:
        bid = msgspec.json.decode(answer.read(), type=_Estimate).bid
    price = {percent: str((bid * percent / 100).quantize(Decimal("0.01"))) for percent in (96, 98, 102, 104)}
    return Market(
        symbol=SYMBOL,
        quantity=QUANTITY,
        below=price[98],
        above=price[102],
        stop_below=price[96],
        stop_above=price[104],
    )


class _Estimate(msgspec.Struct):
    bid: Decimal


def audit(data: Path) -> int:
    """The exit code of `bot4 audit`, 0 when every invariant holds; otherwise what it found is printed."""
    found = subprocess.run([*BOT4, "audit", "--data", str(data)], check=False, capture_output=True, text=True)
    if found.returncode != 0:
        print(found.stdout, found.stderr, sep="")
    return found.returncode


def _bot4(*arguments: str) -> None:
    subprocess.run([*BOT4, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def baseline(data: Path) -> Generator[System]:
    """The baseline on the PostgreSQL that bot4 brings along, with the same settings for durability."""
    data.mkdir()
    database_port, port = stack.free_ports(2)
    password = secrets.token_urlsafe(16)
    accounts = {secrets.token_urlsafe(16): f"account-{number}" for number in range(4)}
    with _postgres(data / "postgres", database_port, password) as server:
        environment = {
            **os.environ,
            "BASELINE_DATABASE_URL": postgres.url(database_port, password).replace("://", "+asyncpg://"),
            "BASELINE_PORT": str(port),
            "BASELINE_KEYS": ",".join(f"{key}={account}" for key, account in accounts.items()),
        }
        app = subprocess.Popen([sys.executable, "-m", "benchmarks.baseline"], env=environment)
        try:
            _await_ready(f"http://127.0.0.1:{port}/readyz")
            yield System(
                name="baseline",
                address=("127.0.0.1", port),
                keys=list(accounts),
                expected=Expected(taken=("open",), rested=("open",), cancelled=("cancelled",)),
                roots={"app": app.pid, "postgres": server},
                data=data,
            )
        finally:
            _stop(app, signal.SIGTERM)


@contextmanager
def _postgres(folder: Path, port: int, password: str) -> Generator[int]:
    """A PostgreSQL server and its pid."""
    postgres.own(folder)
    launched = partial(stack.launched, owner=str(folder), stop=postgres.STOP)
    postgres.initialise(folder, password, launched)
    with (folder.parent / "postgres.log").open("w") as log:
        server = subprocess.Popen(launched(postgres.command(folder, port)), cwd="/", stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_S
        while not postgres.answers("127.0.0.1", port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log_of(folder))
            time.sleep(LOOK_S)
        yield server.pid
    finally:
        _stop(server, postgres.STOP)


def log_of(folder: Path) -> str:
    return (folder.parent / "postgres.log").read_text(errors="replace")


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_S)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def usage(system: System) -> dict[str, Usage]:
    """What each process of the system has used of the processors so far, and holds of the memory now."""
    return {name: _usage(psutil.Process(pid), set(system.roots.values())) for name, pid in system.roots.items()}


def total(used: dict[str, Usage]) -> Usage:
    return Usage(
        cpu_s=sum(each.cpu_s for each in used.values()), memory_mb=sum(each.memory_mb for each in used.values())
    )


def _usage(root: psutil.Process, others: set[int]) -> Usage:
    """Children count with their parent, those that have ended too, unless they are roots themselves."""
    times = root.cpu_times()
    cpu_s, memory = times.children_user + times.children_system, 0
    for process in (root, *(child for child in root.children() if child.pid not in others)):
        try:
            times, held = process.cpu_times(), process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        cpu_s += times.user + times.system
        memory += getattr(held, "pss", held.rss)
    return Usage(cpu_s=round(cpu_s, 2), memory_mb=round(memory / BYTES_PER_MB, 1))
