"""The commands of `bot4 venue`: the engine without a system around it, its market, and its faults."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import Annotated

import typer

from bot4_cli.terminal import group
from bot4_cli.trouble import FOUND, Trouble

venue_commands = group()


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
