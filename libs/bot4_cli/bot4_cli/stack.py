"""Which processes make a system, and with what environment do they run?"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from bot4_cli import broker, postgres
from bot4_cli.running import Process, Run, write_private
from bot4_cli.trouble import Trouble
from bot4_common.messages.terms import FIRST_VENUE
from bot4_common.process import load_instruments, load_venues
from bot4_common.settings import Settings, read
from bot4_common.venues import parse
from bot4_exchange_simulator.engine.profile import shipped
from bot4_exchange_simulator.faults import PROFILES as LINES
from bot4_gateway.keys import hashed

# The services by name, and the package each runs from. What comes first is started first and stopped last.
SERVICES = {
    "journal": "bot4_journal",
    "cost-model": "bot4_cost_model",
    "exchange-simulator": "bot4_exchange_simulator",
    "execution": "bot4_execution",
    "risk": "bot4_risk",
    "gateway": "bot4_gateway",
}
# The first venue's simulator has this name alone, further ones that of their venue behind it.
SIMULATOR = "exchange-simulator"
NATS = "nats"
POSTGRES = "postgres"

# Who trades: the user, the strategies of the demonstration, the load of drills. Each has its own account, because what
# is held in one account adds up: a strategy could not sell what the user has sold.
ACCOUNTS = ("demo", "strategies", "drill")
# Who acts for the firm: whoever may read the folder.
OPERATOR = "operator"

# Below the ranges from which Linux and macOS number outgoing connections. One of those could otherwise take the port
# of a service that is just restarting, or, trying to reach it, connect to itself.
PORTS = range(20_000, 32_000)


class Secrets(msgspec.Struct, kw_only=True):
    """Made once per folder. `api_keys` by account. The gateway is told the hashes alone of the second key, which resets
    kill switches, and of the override key, which passes the gate. A folder of before these were made has none yet."""

    api_keys: dict[str, str]
    broker_token: str
    database_password: str
    operator_key: str = ""
    second_key: str = ""
    second_key_hash: str = ""
    override_key: str = ""
    override_key_hash: str = ""


class Plan(msgspec.Struct, kw_only=True):
    """One system as it shall run. `ports` has one for each process and the broker's `monitor`."""

    data: str
    ports: dict[str, int]
    secrets: Secrets
    seed: int
    market: str
    tape: list[str]
    faults: bool
    # Whether the system ends with the command that started it.
    attached: bool
    # The default venue first; and the file that they were chosen from besides those that come with bot4.
    venues: list[str]
    venue_definitions: str | None
    figures: str | None
    # A CSV file of prices from before the system.
    history: str | None

    @property
    def folder(self) -> Path:
        return Path(self.data)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def nats_url(self) -> str:
        return broker.url(self.ports[NATS], self.secrets.broker_token)

    @property
    def database_url(self) -> str:
        return postgres.url(self.ports[POSTGRES], self.secrets.database_password)

    @property
    def archive_dir(self) -> str:
        return str(self.folder / "archive")


@dataclass(frozen=True)
class Program:
    """What to start, where it says that it is ready, and the signal that stops it in good order."""

    name: str
    command: list[str]
    probe: str
    environment: dict[str, str] = field(default_factory=dict)
    # The folder whose owner it runs as, if not as the user.
    owner: str = "-"
    stop: signal.Signals = signal.SIGTERM
    # What has to be done before its first start; may raise `Trouble`.
    prepare: Callable[[], None] | None = None


def planned(
    data: Path,
    port: int,
    seed: int = 1,
    tape: Sequence[Path] = (),
    faults: bool = False,
    attached: bool = False,
    market: str = "tape",
    venues: str | None = None,
    venue_definitions: Path | None = None,
    figures: Path | None = None,
    history: Path | None = None,
) -> Plan:
    """`venues` are named with commas between them; none: those of the folder. Raises `Trouble` when `port` is taken,
    for venues that are not known or not enough, and for a history that cannot be used or comes too late."""
    if not is_free(port):
        raise Trouble(f"port {port} is in use: choose another one with --port")
    with unless_in_trouble(*(data / name for name in ("venues.toml", "venues.json", "history.csv"))):
        definitions = kept_definitions(data, venue_definitions)
        traded_on = kept_venues(data, venues, definitions)
        earlier = kept_history(data, history)
    names = [NATS, "monitor", POSTGRES, *services(traded_on)]
    return Plan(
        data=str(data.resolve()),
        ports={**dict(zip(names, free_ports(len(names)), strict=True)), "gateway": port},
        secrets=kept_secrets(data),
        seed=seed,
        market=market,
        tape=[str(path.resolve()) for path in tape],
        faults=faults,
        attached=attached,
        venues=traded_on,
        venue_definitions=None if definitions is None else str(definitions.resolve()),
        figures=None if figures is None else str(figures.resolve()),
        history=None if earlier is None else str(earlier.resolve()),
    )


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        # As servers do: a port whose last connections are just fading away is free.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    drawn = Random(secrets.randbits(64)).sample(PORTS, 100 + count)
    return [port for port in drawn if is_free(port)][:count]


def kept_secrets(data: Path) -> Secrets:
    path = data / "secrets.json"
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Secrets)
        if kept.operator_key:
            return kept
    else:
        kept = Secrets(
            api_keys={account: secrets.token_hex(16) for account in ACCOUNTS},
            broker_token=secrets.token_hex(16),
            database_password=secrets.token_hex(16),
        )
    made = _with_further_keys(kept)
    write_private(path, msgspec.json.format(msgspec.json.encode(made), indent=2))
    return made


def _with_further_keys(kept: Secrets) -> Secrets:
    second, override = secrets.token_hex(16), secrets.token_hex(16)
    return msgspec.structs.replace(
        kept,
        operator_key=secrets.token_hex(16),
        second_key=second,
        second_key_hash=hashed(second),
        override_key=override,
        override_key_hash=hashed(override),
    )


@contextmanager
def unless_in_trouble(*paths: Path) -> Iterator[None]:
    """Puts the files back as they were should anything be refused: what did not start has changed nothing."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except Trouble:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_private(path, content)
        raise


def kept_definitions(data: Path, given: Path | None) -> Path | None:
    """The file of venues of one's own: a copy of the one that is given, or of the one given last."""
    path = data / "venues.toml"
    if given is None:
        return path if path.exists() else None
    text = given.read_text(encoding="utf-8")
    try:
        for venue in parse(text).values():
            shipped(venue.profile)
            if venue.line not in LINES:
                raise LookupError(f"{venue.name}: no line {venue.line!r}; there are {', '.join(LINES)}")
    except (ValueError, LookupError) as error:
        raise Trouble(f"--venue-definitions {given}: {error}") from None
    write_private(path, text.encode())
    return path


def kept_venues(data: Path, asked: str | None, definitions: Path | None = None) -> list[str]:
    """The venues of the system in the folder, the default one first; from now on these.

    Venues may be added and put in another order. One that was there cannot be left out: there may be positions and
    orders at it, and its record is part of what is audited.
    """
    path = data / "venues.json"
    kept = msgspec.json.decode(path.read_bytes(), type=list[str]) if path.exists() else []
    wanted = asked or ",".join(kept) or FIRST_VENUE
    try:
        settings = Settings(venues=wanted, venue_definitions=None if definitions is None else str(definitions))
        names = list(load_venues(settings))
    except (OSError, ValueError) as error:
        raise Trouble(f"--venues {wanted}: {error}") from None
    if left_out := [name for name in kept if name not in names]:
        raise Trouble(
            f"the system in {data} also trades at {', '.join(left_out)}: say --venues {','.join([*names, *left_out])}, "
            "or take another folder with --data"
        )
    write_private(path, msgspec.json.encode(names))
    return names


def kept_history(data: Path, given: Path | None) -> Path | None:
    """The file of prices from before the system in the folder: what is sampled of the one that is given, or was given
    to its first start. Later the system has prices of its own, and they are not put into an order anew."""
    path = data / "history.csv"
    if given is None:
        return path if path.exists() else None
    text = _sampled(given)
    if (data / NATS).exists() and not (path.exists() and path.read_bytes() == text):
        raise Trouble(
            f"--history {given}: the system in {data} has begun without it, and has a past of its own by now: "
            "take a new folder with --data"
        )
    write_private(path, text)
    return path


def _sampled(file: Path) -> bytes:
    """What the cost model will take of the file. What it cannot use is said before anything is started."""
    from bot4_cost_model.__main__ import CostSettings, load_history
    from bot4_cost_model.sampling import written

    try:
        settings = read(CostSettings, {**os.environ, "BOT4_STATISTICS_HISTORY": str(file)})
        samples = load_history(settings, time.time_ns())
    except (OSError, ValueError) as error:
        raise Trouble(f"--history {error}") from None
    traded, named = load_instruments(settings), {symbol for sample in samples for symbol in sample.prices}
    if not samples or not named <= set(traded):
        told = f"nobody trades {', '.join(sorted(named - set(traded)))} here" if named else "there is no price in it"
        raise Trouble(f"--history {file}: {told}; the symbols are {', '.join(traded)}")
    return "".join(written(samples)).encode()


def simulators(venues: Sequence[str]) -> dict[str, str]:
    """The venue of each simulator, by the name of its process."""
    return {SIMULATOR if not number else f"{SIMULATOR}-{venue}": venue for number, venue in enumerate(venues)}


def services(venues: Sequence[str]) -> dict[str, str]:
    """As `SERVICES`, with a simulator for each venue."""
    listed: dict[str, str] = {}
    for name, package in SERVICES.items():
        listed |= dict.fromkeys(simulators(venues), package) if name == SIMULATOR else {name: package}
    return listed


def programs(plan: Plan) -> list[Program]:
    """In the order of their start."""
    return [_nats(plan), _postgres(plan), *(_service(plan, *each) for each in services(plan.venues).items())]


def begun(plan: Plan, started: list[Program]) -> Run:
    """What `run.json` says before any of the programs has a pid. To be called by their supervisor."""
    return Run(
        supervisor=os.getpid(),
        url=plan.url,
        api_keys=plan.secrets.api_keys,
        operator_key=plan.secrets.operator_key,
        second_key=plan.secrets.second_key,
        override_key=plan.secrets.override_key,
        nats_url=plan.nats_url,
        database_url=plan.database_url,
        archive_dir=plan.archive_dir,
        venues=tuple(plan.venues),
        venue_definitions=plan.venue_definitions,
        services=[Process(name=program.name, probe=program.probe) for program in started],
    )


def _nats(plan: Plan) -> Program:
    file, ports = plan.folder / "nats.conf", plan.ports
    configuration = broker.configuration(plan.folder / "nats", ports[NATS], ports["monitor"], plan.secrets.broker_token)
    return Program(
        name=NATS,
        command=[broker.binary(), "--config", str(file)],
        probe=f"http://127.0.0.1:{ports['monitor']}/healthz",
        environment={"GOMEMLIMIT": broker.MEMORY_LIMIT},
        prepare=lambda: write_private(file, configuration.encode()),
    )


def _postgres(plan: Plan) -> Program:
    folder, owner = plan.folder / "postgres", str(plan.folder / "postgres")

    def prepare() -> None:
        postgres.own(folder)
        launch = partial(launched, owner=owner, stop=signal.SIGTERM)
        postgres.initialise(folder, plan.secrets.database_password, launch)

    return Program(
        name=POSTGRES,
        command=postgres.command(folder, plan.ports[POSTGRES]),
        probe=f"postgresql://127.0.0.1:{plan.ports[POSTGRES]}",
        owner=owner,
        stop=postgres.STOP,
        prepare=prepare,
    )


def _service(plan: Plan, name: str, package: str) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-m", package],
        probe=f"http://127.0.0.1:{plan.ports[name]}/readyz",
        environment={**_common(plan, name), **_own(plan, name)},
    )


def _common(plan: Plan, name: str) -> dict[str, str]:
    return {
        "BOT4_NATS_URL": plan.nats_url,
        "BOT4_HEALTH_PORT": str(plan.ports[name]),
        "BOT4_TRACE_DIR": str(plan.folder / "traces"),
        "BOT4_VENUES": ",".join(plan.venues),
        **({} if plan.venue_definitions is None else {"BOT4_VENUE_DEFINITIONS": plan.venue_definitions}),
    }


def _own(plan: Plan, name: str) -> dict[str, str]:
    match name:
        case "gateway":
            return {"BOT4_HTTP_PORT": str(plan.ports[name]), **_keys(plan.secrets)}
        case "cost-model":
            return {} if plan.history is None else {"BOT4_STATISTICS_HISTORY": plan.history}
        case "journal":
            return {"BOT4_DATABASE_URL": plan.database_url, "BOT4_ARCHIVE_DIR": plan.archive_dir}
        case _ if name in simulators(plan.venues):
            figures = {} if plan.figures is None else {"BOT4_FIGURES": plan.figures}
            tape = {"BOT4_TAPE": ",".join(plan.tape)} if plan.tape else {}
            market = {"BOT4_MARKET": plan.market, "BOT4_SEED": str(plan.seed)}
            market["BOT4_VENUE"] = simulators(plan.venues)[name]
            return {**market, "BOT4_FAULTS": str(plan.faults).lower(), **tape, **figures}
    return {}


def _keys(known: Secrets) -> dict[str, str]:
    return {
        "BOT4_API_KEYS": ",".join(f"{account}:{key}" for account, key in known.api_keys.items()),
        "BOT4_OPERATOR_KEYS": f"{OPERATOR}:{known.operator_key}",
        "BOT4_SECOND_KEY_HASH": known.second_key_hash,
        "BOT4_OVERRIDE_KEY_HASH": known.override_key_hash,
    }


def launched(program_command: list[str], owner: str, stop: signal.Signals) -> list[str]:
    """The command line that starts a program as a child which cannot outlive this process."""
    launcher = str(Path(__file__).with_name("launch.py"))
    # -I and -S: the launcher needs nothing of the environment or of what is installed, and starts in 10 ms without.
    return [sys.executable, "-I", "-S", launcher, str(os.getpid()), str(int(stop)), owner, *program_command]
