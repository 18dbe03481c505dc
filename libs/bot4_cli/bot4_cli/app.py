"""Which commands does `bot4` know? What each takes and prints; how it is done stands in the module it imports.

Modules that only some commands need are imported inside these, so that `bot4 status` answers at once, and a system is
looked for before time is spent on importing what would use it.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bot4_cli import starting
from bot4_cli.drills.commands import drill_commands
from bot4_cli.running import HERE, Run, naming, read, statuses
from bot4_cli.terminal import AsJson, Data, console, group, meanwhile
from bot4_cli.trouble import FOUND, Trouble, first
from bot4_cli.venue import venue_commands
from bot4_common.messages.terms import Scope

if TYPE_CHECKING:
    from bot4_cli.client import Client
    from bot4_common.messages.limits import LimitsDocument
    from bot4_gateway.control_answers import KillSwitchAnswer

STOPPING = "Stopping: gateway first, broker last"

commands = group()
order_commands, journal_commands, projection_commands = group(), group(), group()
commands.add_typer(order_commands, name="order", help="Place, cancel and list orders.")
commands.add_typer(journal_commands, name="journal", help="Read the journal, check it, replay it.")
commands.add_typer(projection_commands, name="projections", help="The tables in PostgreSQL.")
commands.add_typer(drill_commands, name="drill", help="Break a running system and see whether it mends.")
commands.add_typer(venue_commands, name="venue", help="The simulated venue: its engine, its market, its faults.")

MarketKind = Literal["tape", "agents", "replay"]
Account = Annotated[str, typer.Option(help="Whose orders: `demo`, `strategies` or `drill`.")]
ScopeNamed = Annotated[
    Scope | None,
    typer.Option(help="What it is about. By default the account, or the strategy or the symbol that is named."),
]


@commands.callback()
def bot4() -> None:
    """bot4: six trading services, one journal. Start a system, trade on it, look into it, break it, prove it whole.

    Begin with `bot4 up --demo`.
    """


@commands.command()
def up(
    data: Data = HERE,
    port: Annotated[int, typer.Option(help="Where the REST interface listens.", min=1, max=65535)] = 8080,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all is ready; stop with `bot4 down`.")] = False,
    seed: Annotated[int, typer.Option(help="Decides the synthetic market and the faults.")] = 1,
    market: Annotated[
        MarketKind, typer.Option(help="What moves the market: a tape of trades, agents, or recorded trades and depth.")
    ] = "tape",
    tape: Annotated[
        list[Path] | None,
        typer.Option(
            help="What was recorded: Binance's public trade files, or captures of its streams; may be repeated.",
            dir_okay=False,
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="What agents go by: the TOML that `bot4 venue calibrate` prints.", exists=True, dir_okay=False
        ),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Latency and lost messages on the line to the venue.")
    ] = False,
    venues: Annotated[
        str | None,
        typer.Option(
            help="Where to trade, with commas between them, the default venue first: of `sim`, `a`, `b` and those of "
            "--venue-definitions. A folder keeps its venues; more may be added. By default those it has, or `sim`."
        ),
    ] = None,
    venue_definitions: Annotated[
        Path | None,
        typer.Option(help="A TOML file of venues of your own.", exists=True, dir_okay=False),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Prices from before a new system, for its statistics: a CSV file of time_ns,symbol,price in the order "
            "of time, of which every hour's first ones are taken. `bot4 venue simulate-history` writes one.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Run the demonstration as soon as all is ready.")] = False,
) -> None:
    """Start NATS, PostgreSQL and the six services, and keep them running until Ctrl-C.

    Exit code, with `--demo`: that of the demonstration. The system stays up whatever it is.

    Example: `bot4 up --detach --port 8081 --data /tmp/mine`, or `bot4 up --venues a,b --faults --demo`
    """
    from bot4_cli import tables
    from bot4_cli.stack import planned

    starting.make_folder(data)
    starting.refuse_second(data)
    _check_recorded(market, tape or [])
    _check_figures(market, figures)
    plan = planned(
        data,
        port,
        seed,
        tape or [],
        faults,
        attached=not detach,
        market=market,
        venues=venues,
        venue_definitions=venue_definitions,
        figures=figures,
        history=history,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    supervisor, exit_code = starting.start(plan), 0
    try:
        with Live(console=meanwhile, transient=True) as live:
            run = starting.await_ready(plan, supervisor, lambda now: live.update(tables.processes(now)))
        _welcome(run, data, detach)
        if demo:
            exit_code = _demo_exit_code(data)
        if detach:
            raise typer.Exit(exit_code)
        console.print("Running until Ctrl-C.")
        if supervisor.wait() != 0:
            raise Trouble(f"the supervisor has ended: see {data / 'logs' / 'supervisor.log'}")
    except KeyboardInterrupt:
        _stop(supervisor)
    except Trouble:
        _stop(supervisor)
        raise
    _say_stopped(data)
    raise typer.Exit(exit_code)


@commands.command()
def down(data: Data = HERE) -> None:
    """Stop a system in good order. Its data stay.

    Example: `bot4 down --data /tmp/mine`
    """
    with meanwhile.status(STOPPING):
        starting.stop(data)
    _say_stopped(data)


@commands.command()
def status(data: Data = HERE, as_json: AsJson = False) -> None:
    """Show the processes of a system, and whether they are ready.

    Exit code 0: all are ready. 1: at least one is not. 2: no system runs.

    Example: `bot4 status --json`
    """
    run = read(data)
    now = statuses(run)
    if as_json:
        services = [{"name": each.name, "pid": each.pid, "ready": each.ready, "starts": each.starts} for each in now]
        print(json.dumps({"url": run.url, "api_key": run.api_key, "services": services}, indent=2))
    else:
        from bot4_cli import tables

        console.print(tables.processes(now))
        console.print(f"{run.url}  (API key {run.api_key})")
    if not all(each.ready for each in now):
        raise typer.Exit(FOUND)


@commands.command()
def demo(data: Data = HERE) -> None:
    """Show in a minute what the system does: trade, look, break, mend, prove.

    Exit code 1: the audit found something. 2: all its orders are refused, and what is said tells why.

    Example: `bot4 demo`
    """
    _demo(data)


@commands.command()
def audit(data: Data = HERE, as_json: AsJson = False) -> None:
    """Prove from the journal alone that nothing was lost, done twice or miscounted.

    Exit code 0: every invariant holds. 1: a finding, which is printed.

    Example: `bot4 audit --json`
    """
    run = read(data)
    from bot4_cli import proofs, tables

    with _progress("Auditing") as progress:
        audited = asyncio.run(proofs.audit(run, progress))
    report, findings = audited.report, audited.findings
    if as_json:
        told = {**msgspec.to_builtins(report), "findings": msgspec.to_builtins(findings), "clean": not findings}
        print(json.dumps(told, indent=2))
    elif findings:
        console.print(tables.findings(findings))
        more = max(0, report.found - len(report.findings))
        console.print(f"[bold red]{len(findings) + more:,} findings[/] in {report.frames:,} frames")
    else:
        events = sum(report.counts.values())
        console.print(f"[bold green]Every invariant holds[/]: {events:,} events in {report.frames:,} frames")
        pending = ", ".join(f"{count} {what}" for what, count in report.pending.items() if count)
        console.print(f"Still under way: {pending or 'nothing'}")
        console.print(tables.unprotected(report.unprotected_ns_max, report.unprotected_order), highlight=False)
    if findings:
        raise typer.Exit(FOUND)


@commands.command()
def kill(
    reason: Annotated[str, typer.Argument(help="Why; it is journaled.")],
    scope: ScopeNamed = None,
    strategy: Annotated[str, typer.Option(help="The account's strategy to stop.")] = "",
    symbol: Annotated[str, typer.Option(help="The symbol to stop, for everybody.")] = "",
    flatten: Annotated[bool, typer.Option("--flatten", help="Close what is held there as well.")] = False,
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Engage a kill switch: no new orders there, and the open ones are cancelled.

    Exit code 1: it was refused, or risk has not confirmed it yet.

    Example: `bot4 kill --scope firm "the feed is wrong"`, or `bot4 kill --symbol BTC-USDT --flatten enough`
    """
    from bot4_gateway.control_requests import KillSwitchRequest

    scope = scope or _scope(strategy, symbol)
    client, holder = _holder(data, scope, account)
    asked = KillSwitchRequest(
        reason=reason, scope=scope, account=holder, strategy=strategy, symbol=symbol, flatten=flatten
    )
    _show_switch(client.kill(asked), True, as_json)


@commands.command()
def unkill(
    reason: Annotated[str, typer.Argument(help="Why; it is journaled.")],
    scope: ScopeNamed = None,
    strategy: Annotated[str, typer.Option(help="The account's strategy.")] = "",
    symbol: Annotated[str, typer.Option(help="The symbol.")] = "",
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Reset a kill switch, with the folder's second key. What it cancelled stays cancelled.

    Exit code 1: it was refused, or risk has not confirmed it yet.

    Example: `bot4 unkill --scope firm "the feed is right again"`
    """
    from bot4_gateway.control_requests import ResetRequest

    scope = scope or _scope(strategy, symbol)
    client, holder = _holder(data, scope, account)
    asked = ResetRequest(reason=reason, scope=scope, account=holder, strategy=strategy, symbol=symbol)
    _show_switch(client.unkill(asked, read(data).second_key), False, as_json)


@commands.command()
def limits(
    file: Annotated[Path | None, typer.Argument(help="The new limits, as TOML.", exists=True, dir_okay=False)] = None,
    reason: Annotated[str, typer.Option(help="Why they are set; it is journaled.")] = "set on the command line",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the limits in force, as TOML, or set them from a file.

    Exit code 1: they were refused, or risk has not confirmed them yet.

    Example: `bot4 limits > limits.toml`, edit it, and `bot4 limits limits.toml --reason "less of everything"`
    """
    operator = _operator(data)
    from bot4_common.limits import to_toml, written

    wanted = None if file is None else _limits(file)
    known = operator.limits() if wanted is None else operator.set_limits(to_toml(wanted), reason)
    if as_json:
        print(json.dumps({**msgspec.to_builtins(known), "document": written(known.document)}, indent=2))
    else:
        since = f" from {known.effective_at} on" if known.effective_at else ""
        print(f"# version {known.version}{since}, by {known.source}: {known.reason}".rstrip(": "))
        print(to_toml(known.document), end="")
    if wanted is not None and known.document != wanted:
        raise typer.Exit(FOUND)


@commands.command()
def gate(
    state: Annotated[Literal["on", "off"] | None, typer.Argument(help="Shown, if it is not said.")] = None,
    reason: Annotated[str, typer.Argument(help="Why; it is journaled.")] = "",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Turn the gate on or off: while it is on, orders that no recorded signal caused are refused.

    Exit code 1: it was refused, or risk has not confirmed it yet.

    Example: `bot4 gate on "strategies only from here on"`
    """
    operator = _operator(data)
    from bot4_cli import tables
    from bot4_gateway.control_requests import GateRequest

    wanted = None if state is None else GateRequest(enabled=state == "on", reason=reason)
    known = operator.gate() if wanted is None else operator.set_gate(wanted)
    _show(known, tables.gate(known), as_json)
    if wanted is not None and known.enabled != wanted.enabled:
        raise typer.Exit(FOUND)


@commands.command()
def keys(
    shell: Annotated[bool, typer.Option("--shell", help="As variables of a shell, with the URL.")] = False,
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the keys of a system, and what each is for. Whoever has them may do it.

    Example: `bot4 keys`, or `eval "$(bot4 keys --shell)"` and then `curl $URL/v1/orders -H "X-API-Key: $KEY"`
    """
    run = read(data)
    if shell:
        known = {"URL": run.url, "KEY": run.api_keys[account], "OPERATOR_KEY": run.operator_key}
        known |= {"SECOND_KEY": run.second_key, "OVERRIDE_KEY": run.override_key}
        for name, value in known.items():
            print(f"{name}={shlex.quote(value)}")
        return
    from bot4_cli import tables

    further = {"operator": run.operator_key, "second": run.second_key, "override": run.override_key}
    if as_json:
        print(json.dumps({"accounts": run.api_keys, **further}, indent=2))
    else:
        console.print(tables.keys(run), crop=False)


@order_commands.command("place")
def order_place(
    symbol: Annotated[str, typer.Option(help="What to trade, such as BTC-USDT.")],
    side: Annotated[Literal["buy", "sell"], typer.Option(help="Which way.")],
    quantity: Annotated[str, typer.Option(help="How much, in base units.")],
    price: Annotated[str | None, typer.Option(help="The limit of a limit order.")] = None,
    type: Annotated[
        Literal["limit", "market"] | None, typer.Option(help="By default limit with a price, market without.")
    ] = None,
    stop_loss: Annotated[str | None, typer.Option(help="Where to get out; opening orders need one.")] = None,
    time_in_force: Annotated[Literal["gtc", "ioc"], typer.Option(help="Rest, or expire at once.")] = "gtc",
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse it rather than let it take.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never more than closes the position.")] = False,
    venue: Annotated[str, typer.Option(help="Where to trade; the default venue when it is not named.")] = "",
    strategy: Annotated[str, typer.Option(help="On whose behalf.")] = "manual",
    client_order_id: Annotated[str | None, typer.Option(help="Your own id: asked twice, done once.")] = None,
    ack: Annotated[Literal["journaled", "risk", "venue"], typer.Option(help="How far to wait for it.")] = "venue",
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Place an order and show what became of it.

    Exit code 1: it was refused.

    Example: `bot4 order place --symbol BTC-USDT --side buy --quantity 0.01 --stop-loss 50000`
    """
    from secrets import token_hex

    from bot4_cli import tables
    from bot4_common.messages.terms import Order
    from bot4_common.money import amount

    def number(name: str, text: str) -> object:
        try:
            return amount(text)
        except ValueError as error:
            raise Trouble(f"--{name}: {error}") from None

    order = msgspec.convert(
        {
            "client_order_id": client_order_id or token_hex(8),
            "symbol": symbol,
            "side": side,
            "type": type or ("market" if price is None else "limit"),
            "quantity": number("quantity", quantity),
            "price": None if price is None else number("price", price),
            "stop_loss": None if stop_loss is None else number("stop-loss", stop_loss),
            "time_in_force": time_in_force,
            "post_only": post_only,
            "reduce_only": reduce_only,
            "strategy": strategy,
            "venue": venue,
        },
        Order,
    )
    placed = _client(data, account).place(order, ack)
    _show(placed, tables.orders([placed], _several(data)), as_json)


@order_commands.command("cancel")
def order_cancel(
    order_id: Annotated[str, typer.Argument(help="As `bot4 order list` shows it.")],
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Cancel an order. Exit code 1: it was refused, as when the order is already over.

    Example: `bot4 order cancel 17-0`
    """
    from bot4_cli import tables

    cancelled = _client(data, account).cancel(order_id)
    _show(cancelled, tables.orders([cancelled], _several(data)), as_json)


@order_commands.command("list")
def order_list(
    live: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    account: Account = "demo",
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """List orders, the newest first.

    Example: `bot4 order list --open --json`
    """
    from bot4_cli import tables

    listed = _client(data, account).orders(limit, live)
    _show(listed, tables.orders(listed, _several(data)), as_json)


@journal_commands.command("tail")
def journal_tail(
    start: Annotated[int | None, typer.Option("--from", help="From this sequence on.", min=1)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    data: Data = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print frames as they are stored, one per line.")] = False,
) -> None:
    """Show what the journal says: the last ten frames, or all from a sequence on.

    Example: `bot4 journal tail --follow`
    """
    from bot4_cli import proofs, tables
    from bot4_common.log import Record

    def show(record: Record) -> None:
        if as_json:
            stream, sequence = record.origin
            head = f'{{"sequence":{record.sequence},"stream":"{stream}","origin":{sequence},"frame":'
            print(head + record.data.decode() + "}", flush=True)
        else:
            for line in tables.frame_lines(record):
                print(line, flush=True)

    # Ctrl-C is how one ends following.
    with suppress(KeyboardInterrupt):
        asyncio.run(proofs.told(read(data), None if start is None else start - 1, follow, show))


@journal_commands.command("verify")
def journal_verify(data: Data = HERE, as_json: AsJson = False) -> None:
    """Check the checksums of the archive and the hash chain of the live journal.

    Exit code 0: all is as it was written. 1: something is damaged or missing. 2: no system runs.

    Example: `bot4 journal verify`
    """
    run = read(data)
    from bot4_cli import proofs, tables

    with _progress("Verifying") as progress:
        verified = asyncio.run(proofs.verify(run, progress))
    if as_json:
        print(json.dumps({**msgspec.to_builtins(verified), "whole": not verified.findings}, indent=2))
    elif verified.findings:
        console.print(tables.findings(verified.findings))
    else:
        console.print(tables.whole(verified))
    if verified.findings:
        raise typer.Exit(FOUND)


@journal_commands.command("replay")
def journal_replay(
    to: Annotated[int | None, typer.Option(help="Up to this sequence of the journal; its end by default.")] = None,
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Rebuild the state of every service as it was at a moment, and show its hash: the same as ever.

    Example: `bot4 journal replay --to 1000`
    """
    run = read(data)
    from bot4_cli import proofs, tables

    with _progress("Replaying") as progress:
        sequence, states = asyncio.run(proofs.replay(run, to, progress))
    if as_json:
        print(json.dumps({"to": sequence, "services": msgspec.to_builtins(states)}, indent=2))
    else:
        console.print(f"At sequence {sequence:,} of the journal:")
        console.print(tables.replayed(states))


@projection_commands.command("rebuild")
def projections_rebuild(data: Data = HERE) -> None:
    """Empty the tables in PostgreSQL and build them again from the journal.

    Example: `bot4 projections rebuild`
    """
    run = read(data)
    from bot4_cli import proofs

    with _progress("Rebuilding") as progress:
        asyncio.run(proofs.rebuild_projections(run, progress))
    console.print("[bold green]Rebuilt[/]")


@drill_commands.command("kill")
def drill_kill(
    service: Annotated[str, typer.Argument(help="As `bot4 status` names it, or `all` for all at once.")],
    times: Annotated[int, typer.Option(help="How often.", min=1)] = 1,
    rate: Annotated[float, typer.Option(help="Orders per second meanwhile.", min=1)] = 50,
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Kill a process under load (SIGKILL), see it come back, and prove that nothing was lost or done twice.

    Exit code 0: back within five seconds each time, every order there once, the audit clean. 1: not so.

    Example: `bot4 drill kill risk --times 3`
    """
    from bot4_cli import tables
    from bot4_cli.drill import RECOVERY_S, drill

    names = [process.name for process in read(data).services] if service == "all" else [service]
    with meanwhile.status("") as doing:
        outcome = asyncio.run(drill(data, names, times, rate, lambda what: doing.update(what)))
    if as_json:
        print(json.dumps(msgspec.to_builtins(outcome), indent=2))
    else:
        console.print(tables.kills(outcome.kills, RECOVERY_S))
        console.print(tables.outcome(outcome))
    if not outcome.passed:
        raise typer.Exit(FOUND)


def _demo(data: Path) -> None:
    from bot4_cli.demo import demonstrate

    if not asyncio.run(demonstrate(data, console)):
        raise Trouble("the demonstration found something wrong: see above", FOUND)


def _demo_exit_code(data: Path) -> int:
    """What is wrong is told at once: the system that was just started stays up, so that one can look at it."""
    exit_code = 0
    try:
        _demo(data)
    except* Trouble as several:
        trouble = first(several)
        meanwhile.print(f"bot4: {trouble}", soft_wrap=True, markup=False, highlight=False)
        exit_code = trouble.exit_code
    return exit_code


def _client(data: Path, account: str) -> Client:
    run = read(data)
    from bot4_cli.client import Client

    if account not in run.api_keys:
        raise Trouble(f"there is no account {account}: choose one of {', '.join(run.api_keys)}")
    return Client(run.url, run.api_keys[account])


def _operator(data: Path) -> Client:
    run = read(data)
    from bot4_cli.client import Client

    return Client(run.url, run.operator_key)


def _limits(file: Path) -> LimitsDocument:
    from bot4_common.limits import from_toml

    try:
        return from_toml(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Trouble(f"{file}: {error}") from None


def _scope(strategy: str, symbol: str) -> Scope:
    """The scope that is meant by what is named."""
    return "strategy" if strategy else "symbol" if symbol else "account"


def _holder(data: Path, scope: Scope, account: str) -> tuple[Client, str]:
    """Who speaks of a kill switch of this scope, and whose account it is of, if any's."""
    if scope in ("account", "strategy"):
        return _client(data, account), account
    return _operator(data), ""


def _show_switch(switch: KillSwitchAnswer, wanted: bool, as_json: bool) -> None:
    from bot4_cli import tables

    _show(switch, tables.kill_switches([switch]), as_json)
    if switch.engaged != wanted:
        raise typer.Exit(FOUND)


def _several(data: Path) -> bool:
    """Whether it has to be said where an order goes."""
    return len(read(data).venues) > 1


def _show(value: object, table: Table, as_json: bool) -> None:
    if as_json:
        print(json.dumps(msgspec.to_builtins(value), indent=2))
    else:
        console.print(table)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told how many frames of how many are done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=meanwhile, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _check_figures(market: MarketKind, path: Path | None) -> None:
    if path is None:
        return
    if market != "agents":
        raise Trouble("--figures are what agents go by: say --market agents")
    from bot4_exchange_simulator.flow import figures

    try:
        figures(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Trouble(f"--figures {path}: {error}") from None


def _check_recorded(market: MarketKind, files: list[Path]) -> None:
    """Before anything is started: what a venue could not read would keep it from ever being ready."""
    if market == "replay" and not files:
        raise Trouble("a replay needs what was recorded: name it with --tape")
    if market == "agents" and files:
        raise Trouble("agents need no --tape: `bot4 venue calibrate` fits them to one")
    if not files:
        return
    from bot4_exchange_simulator import tape_files
    from bot4_exchange_simulator.tape import TapeError

    try:
        with meanwhile.status("Reading what was recorded"):
            if market == "replay":
                tape_files.record(files)
            else:
                tape_files.read(files[0])
    except TapeError as error:
        raise Trouble(str(error)) from None


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    """In good order also for the impatient: it is over in seconds, and a second Ctrl-C would only leave us unaware."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with meanwhile.status(STOPPING):
        supervisor.terminate()
        supervisor.wait()


def _say_stopped(data: Path) -> None:
    console.print(
        f"Stopped. The journal is kept: `bot4 up{naming(data)}` goes on from it.", soft_wrap=True, markup=False
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _welcome(run: Run, data: Path, detached: bool) -> None:
    option = naming(data)
    console.print(f"[bold green]bot4 is ready at {run.url}[/]")
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    say(f"  API documentation  {run.url}/docs   (X-API-Key: {run.api_key})")
    say(f"  place an order     bot4 order place{option} --symbol BTC-USDT --side buy --quantity 0.01 --stop-loss 50000")
    say(f"  watch the journal  bot4 journal tail{option} --follow")
    say(f"  prove it whole     bot4 audit{option}")
    say(f"  break it           bot4 drill kill all{option}")
    say(f"  stop it            {f'bot4 down{option}' if detached else 'Ctrl-C'}")
