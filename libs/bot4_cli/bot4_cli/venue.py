"""The commands of `bot4 venue`: the engine without a system around it, its market, and its faults."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from bot4_cli.running import HERE, Run, read
from bot4_cli.terminal import AsJson, Data, console, group, meanwhile
from bot4_cli.trouble import FOUND, Trouble

venue_commands = group()

VenueName = Annotated[str | None, typer.Option(help="Which venue; the first one by default.")]


@venue_commands.command()
def run(
    profile: Annotated[str, typer.Option(help="Whose rules, where venues differ.")] = "default",
) -> None:
    """Run commands through the matching engine: lines of JSON in, lines of JSON out, no network, no clock.

    Exit code 0: every line was a command. 1: at least one was not, and has an `error` line.

    Example: `bot4 venue run --profile binance-spot < commands.jsonl > events.jsonl`
    """
    from bot4_exchange_simulator.engine import lines
    from bot4_exchange_simulator.engine.profile import shipped

    try:
        rules = shipped(profile)
    except LookupError as error:
        raise Trouble(str(error.args[0])) from None
    malformed = False
    # Whoever feeds one command at a time reads its events before sending the next.
    awaited = not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    # What is no UTF-8 is malformed like anything else that is no JSON, and ends no run.
    commands = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="backslashreplace")
    for line in lines.run(commands, rules):
        malformed |= line.startswith('{"event":"error"')
        print(line, flush=awaited)
    if malformed:
        raise typer.Exit(FOUND)


@venue_commands.command()
def calibrate(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Recorded trades and depth: captures of Binance's streams, or its public files, plain, gzip or zip.",
            exists=True,
            dir_okay=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Find the figures that make agents trade and quote as a recorded market did, and say how well they do.

    What is printed is the TOML of a market, with the distance of each distribution from what was recorded.

    Example: `bot4 venue calibrate BTCUSDT-trades-2024-08-09.zip BTCUSDT-bookTicker-2024-08-09.zip`
    """
    from bot4_exchange_simulator import calibration, tape_files
    from bot4_exchange_simulator.tape import TapeError

    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=meanwhile, transient=True) as shown:
        task = shown.add_task("Reading")
        try:
            report = tape_files.calibrate(
                files, lambda name, lines: shown.update(task, description=f"{name}: {lines:,} lines")
            )
        except TapeError as error:
            raise Trouble(str(error)) from None
    if as_json:
        print(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        print(calibration.toml(report), end="")


@venue_commands.command()
def simulate_history(
    seed: Annotated[int, typer.Option(help="Decides what happened.")] = 1,
    hours: Annotated[int, typer.Option(help="How many; of fewer there are no statistics.", min=101, max=2_000)] = 500,
) -> None:
    """Make up hourly prices of the time before now, at which nobody ever traded, for `bot4 up --history`.

    They end where the simulated market begins, and each two symbols go together with a correlation of 0.85.

    Example: `bot4 venue simulate-history --seed 7 > simulated.csv`
    """
    from bot4_common.instruments import shipped
    from bot4_cost_model.sampling import written
    from bot4_cost_model.simulated import simulated
    from bot4_exchange_simulator.__main__ import START_PRICES

    for line in written(simulated(seed, START_PRICES, shipped(), hours, time.time_ns())):
        print(line, end="")


@venue_commands.command()
def fault(
    kind: Annotated[str, typer.Argument(help="`submit_down`, `disconnect`, `slow` … ; a wrong one shows all.")],
    seconds: Annotated[float, typer.Option("--for", help="For how many seconds.")] = 10.0,
    session: Annotated[str, typer.Option(help="Whom it strikes, as `EXECUTION_0`; all by default.")] = "",
    probability: Annotated[float, typer.Option(help="Of all that it could strike, it strikes this part.")] = 1.0,
    factor: Annotated[float, typer.Option(help="How many times as long what is slow takes.")] = 10.0,
    venue: VenueName = None,
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Let a fault begin at a venue, now. It is part of the venue's truth like any other.

    Example: `bot4 venue fault disconnect --for 5`
    """
    run = read(data)
    from bot4_cli import truth
    from bot4_common.messages.market import FaultOrdered

    struck = _venue(run, venue)
    ordered = FaultOrdered(kind=kind, seconds=seconds, session=session, probability=probability, factor=factor)
    begun = asyncio.run(truth.order(run, struck, ordered))
    if as_json:
        print(json.dumps(msgspec.to_builtins(begun), indent=2))
    else:
        whom = f" for {begun.session}" if begun.session else ""
        console.print(f"{begun.kind}{whom}, for {(begun.until - begun.since) / 1e9:g} s from now on", highlight=False)


@venue_commands.command()
def score(venue: VenueName = None, data: Data = HERE, as_json: AsJson = False) -> None:
    """Compare what we believed with what was true at a venue: positions, faults until they were healed, unknowns.

    Example: `bot4 venue score --json`
    """
    run = read(data)
    scored_at = _venue(run, venue)
    from bot4_cli import tables, truth

    with meanwhile.status("Reading the journal and the venue's own record"):
        scored = asyncio.run(truth.score(run, scored_at))
    if as_json:
        print(json.dumps(msgspec.to_builtins(scored), indent=2))
    else:
        for table in tables.scores(scored):
            console.print(table)


def _venue(run: Run, asked: str | None) -> str:
    if asked is not None and asked not in run.venues:
        raise Trouble(f"the system has no venue {asked}: choose from {', '.join(run.venues)}")
    return asked or run.venues[0]
