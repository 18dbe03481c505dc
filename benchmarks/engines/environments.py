"""Where does each engine run? Ours in the workspace's environment, each other in one that holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
COMPILED = ROOT / ".venv" / "compiled"
# `make clean` takes them along.
PEERS_FOLDER = ROOT / ".venv" / "peers"
# Longer than it takes to compile an engine, to fetch a large wheel, or to measure once.
WAIT_S = 900


class Environment(NamedTuple):
    """`module` asks the engine `name`: `benchmarks.engines.<module>`."""

    name: str
    module: str
    python: Path
    variables: dict[str, str]


class Unbuilt(Exception):
    """An engine cannot be had here. The text says why."""


# The engines of others: who asks them, and what pip is told.
PEERS = {
    "order-matching": ("order_matching", "order-matching[polars]==0.12.0"),
    "lightmatchingengine": ("lightmatchingengine", "lightmatchingengine==2019.1.4"),
    "pyorderbook": ("pyorderbook", "pyorderbook==0.4.9"),
    "cython-orderbook": ("cython_orderbook", "cython-orderbook==0.1.2"),
    "NautilusTrader": ("nautilus", "nautilus_trader==1.221.0"),
}


def pure() -> Environment:
    return Environment("bot4 pure", "bot4", Path(sys.executable), {"BOT4_PURE": "1"})


def compiled() -> Environment:
    """Raises `Unbuilt` where there is no compiler."""
    made = _run(["make", "compiled"])
    if made.returncode:
        raise Unbuilt(_last_line(made))
    return Environment("bot4 compiled", "bot4", Path(sys.executable), {"PYTHONPATH": str(COMPILED)})


def peer(name: str) -> Environment:
    """Raises `Unbuilt`."""
    module, requirement = PEERS[name]
    return Environment(name, module, fetched(module, requirement), {})


def fetched(name: str, requirement: str) -> Path:
    """The Python of an environment with this alone in it, which is made unless it is there. Raises `Unbuilt`."""
    folder = PEERS_FOLDER / name
    stamp, python = folder / "installed", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != requirement:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", requirement],
        ):
            done = _run(command)
            if done.returncode:
                raise Unbuilt(_last_line(done))
        stamp.write_text(requirement, encoding="utf-8")
    return python


def said(python: Path, *arguments: str, folder: Path = ROOT) -> str:
    """What a Python prints that needs nothing from here. Raises `Unbuilt` if it fails."""
    done = _run([str(python), *arguments], folder=folder)
    if done.returncode:
        raise Unbuilt(_last_line(done))
    return done.stdout


def _run(
    command: list[str], variables: dict[str, str] | None = None, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`variables`: all there are for it, if not our own. Raises `Unbuilt` when it does not come to an end."""
    try:
        return subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unbuilt(f"after {WAIT_S} s still at it: {' '.join(command)}") from None


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def run(environment: Environment, recording: Path, times: Path, seconds: float) -> str:
    """What `benchmarks.engines.drive` prints of one engine. Raises `Unbuilt` if it fails."""
    return ask(environment, "drive", str(recording), str(times), str(seconds))


def ask(environment: Environment, driver: str, *arguments: str) -> str:
    """What a driver, `benchmarks.engines.<driver>`, prints of one engine. Raises `Unbuilt` if it fails."""
    unset = ("BOT4_PURE", "PYTHONPATH")
    done = _run(
        [str(environment.python), "-m", f"benchmarks.engines.{driver}", environment.module, *arguments],
        {**{name: value for name, value in os.environ.items() if name not in unset}, **environment.variables},
    )
    if done.returncode:
        raise Unbuilt(_last_line(done))
    return done.stdout
