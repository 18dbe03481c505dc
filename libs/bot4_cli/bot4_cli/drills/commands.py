"""The commands of `bot4 drill` besides `kill`: faults that users of trading systems report, ordered by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from bot4_cli.running import HERE, read
from bot4_cli.terminal import AsJson, Data, console, group, meanwhile
from bot4_cli.trouble import FOUND

if TYPE_CHECKING:
    from bot4_cli.drills.ground import Ground, Result

drill_commands = group()

# The account may have a thousand open orders; a drill leaves room for what else it places.
Orders = Annotated[int, typer.Option(help="How many orders rest.", min=1, max=800)]
Seconds = Annotated[float, typer.Option("--for", help="For how many seconds.", min=1, max=600)]
Rate = Annotated[float, typer.Option(help="Orders per second meanwhile.", min=1, max=400)]


@drill_commands.command("kill-switch")
def kill_switch(orders: Orders = 200, rate: Rate = 50, data: Data = HERE, as_json: AsJson = False) -> None:
    """Engage the kill switch over resting orders and a load, measure it, kill risk, and see that it stays engaged.

    Exit code 0: all was cancelled and closed, risk was back within five seconds, nothing was taken until the reset, the
    audit is clean. 1: not so.

    Example: `bot4 drill kill-switch --orders 500`
    """
    from bot4_cli.drills import kill_switch

    _run("kill-switch", data, as_json, lambda ground: kill_switch.drill(ground, orders, rate))


@drill_commands.command("lost-ack")
def lost_ack(seconds: Seconds = 8, rate: Rate = 30, data: Data = HERE, as_json: AsJson = False) -> None:
    """Lose the venues' answers, and some requests, while orders and cancels are sent.

    Exit code 0: every outcome is known, no order was sent twice, the audit is clean. 1: not so.

    Example: `bot4 drill lost-ack --for 20`
    """
    from bot4_cli.drills import lost_ack

    _run("lost-ack", data, as_json, lambda ground: lost_ack.drill(ground, seconds, rate))


@drill_commands.command("fill-during-amend")
def fill_during_amend(seconds: Seconds = 10, data: Data = HERE, as_json: AsJson = False) -> None:
    """Amend orders at the touch again and again, on a slow line, while the market trades through them.

    Exit code 0: no order filled beyond its total, nothing is left reserved, the audit is clean. 1: not so.

    Example: `bot4 drill fill-during-amend --for 30`
    """
    from bot4_cli.drills import fill_during_amend

    _run("fill-during-amend", data, as_json, lambda ground: fill_during_amend.drill(ground, seconds))


@drill_commands.command("restart-with-resting-orders")
def restart(orders: Orders = 100, data: Data = HERE, as_json: AsJson = False) -> None:
    """Kill all services and the broker (SIGKILL) while orders, stops and lists rest.

    Exit code 0: all is back within five seconds and there as before, nothing was sent, the audit is clean. 1: not so.

    Example: `bot4 drill restart-with-resting-orders --orders 300`
    """
    from bot4_cli.drills import restart

    _run("restart-with-resting-orders", data, as_json, lambda ground: restart.drill(ground, orders))


@drill_commands.command("duplicate-fill")
def duplicate_fill(seconds: Seconds = 8, rate: Rate = 50, data: Data = HERE, as_json: AsJson = False) -> None:
    """Have every message of the venues told twice, and their sessions cut, while orders trade.

    Exit code 0: positions are the sum of the venues' distinct trades, the audit is clean. 1: not so.

    Example: `bot4 drill duplicate-fill --rate 100`
    """
    from bot4_cli.drills import duplicate_fill

    _run("duplicate-fill", data, as_json, lambda ground: duplicate_fill.drill(ground, seconds, rate))


def _run(name: str, data: Path, as_json: bool, drill: Callable[[Ground], Awaitable[Result]]) -> None:
    # A system is looked for before time is spent on importing what would use it.
    read(data)
    from bot4_cli import tables
    from bot4_cli.drills.ground import drilled

    with meanwhile.status("") as doing:
        outcome = asyncio.run(drilled(name, data, lambda what: doing.update(what), drill))
    if as_json:
        print(json.dumps(msgspec.to_builtins(outcome), indent=2))
    else:
        console.print(tables.drilled(outcome))
    if not outcome.passed:
        raise typer.Exit(FOUND)
