from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec
import pytest
from argon2 import PasswordHasher

from bot4_cli import stack
from bot4_cli.stack import Plan, free_ports, is_free, planned, programs
from bot4_cli.trouble import Trouble


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path, free_ports(1)[0], seed=7)


def test_the_broker_starts_first_and_the_gateway_last(plan: Plan) -> None:
    assert [program.name for program in programs(plan)] == [
        "nats", "postgres", "journal", "cost-model", "exchange-simulator", "execution", "risk", "gateway",
    ]  # fmt: skip


def test_no_two_processes_share_a_port(plan: Plan) -> None:
    assert len(set(plan.ports.values())) == len(plan.ports) == 9


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    assert all(20_000 <= port < 32_000 for port in free_ports(20))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(Trouble, match=f"port {port} is in use: choose another one with --port"):
            planned(tmp_path, port)


def test_the_gateway_listens_where_it_was_asked_to_and_knows_the_keys(plan: Plan) -> None:
    gateway = programs(plan)[-1]
    keys = ",".join(f"{account}:{key}" for account, key in plan.secrets.api_keys.items())
    assert gateway.environment["BOT4_HTTP_PORT"] == str(plan.ports["gateway"])
    assert gateway.environment["BOT4_API_KEYS"] == keys
    assert gateway.environment["BOT4_OPERATOR_KEYS"] == f"operator:{plan.secrets.operator_key}"
    assert gateway.probe == f"{plan.url}/readyz"


def test_the_gateway_is_told_of_the_further_keys_only_what_verifies_them(plan: Plan) -> None:
    environment = programs(plan)[-1].environment
    for key, setting in (
        (plan.secrets.second_key, "BOT4_SECOND_KEY_HASH"),
        (plan.secrets.override_key, "BOT4_OVERRIDE_KEY_HASH"),
    ):
        assert PasswordHasher().verify(environment[setting], key)
        assert not any(key in told for told in environment.values())


def test_only_the_venue_knows_seed_tape_and_faults(tmp_path: Path) -> None:
    planning = planned(tmp_path, free_ports(1)[0], seed=7, tape=[Path("tape.csv")], faults=True, market="replay")
    asked = {
        "BOT4_MARKET": "replay",
        "BOT4_SEED": "7",
        "BOT4_TAPE": str(Path("tape.csv").resolve()),
        "BOT4_FAULTS": "true",
    }
    for program in programs(planning):
        told = {name: value for name, value in program.environment.items() if name in asked}
        assert told == (asked if program.name == "exchange-simulator" else {})


def test_only_the_journal_reaches_the_database(plan: Plan) -> None:
    told = [program.name for program in programs(plan) if "BOT4_DATABASE_URL" in program.environment]
    assert told == ["journal"]


def test_secrets_are_made_once_per_folder_and_kept_to_the_owner(tmp_path: Path) -> None:
    made = stack.kept_secrets(tmp_path)
    assert stack.kept_secrets(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert list(made.api_keys) == ["demo", "strategies", "drill"]
    assert len({*made.api_keys.values(), made.broker_token, made.database_password}) == 5
    assert len({made.operator_key, made.second_key, made.override_key, *made.api_keys.values()}) == 6


def test_a_folder_of_before_there_were_further_keys_gets_them(tmp_path: Path) -> None:
    old = {"api_keys": {"demo": "1"}, "broker_token": "2", "database_password": "3"}
    (tmp_path / "secrets.json").write_bytes(msgspec.json.encode(old))
    made = stack.kept_secrets(tmp_path)
    assert (made.api_keys, made.broker_token, made.database_password) == ({"demo": "1"}, "2", "3")
    assert made.operator_key and made.second_key and made.override_key
    assert stack.kept_secrets(tmp_path) == made


def test_two_folders_have_different_secrets(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert stack.kept_secrets(tmp_path / "one") != stack.kept_secrets(tmp_path / "two")


# Several venues


def two(folder: Path, venues: str = "a,b") -> Plan:
    return planned(folder, free_ports(1)[0], venues=venues)


def test_each_venue_has_a_simulator_that_knows_which_it_is(tmp_path: Path) -> None:
    plan = two(tmp_path)
    names = [program.name for program in programs(plan)]
    assert names[4:6] == ["exchange-simulator", "exchange-simulator-b"] and len(names) == 9
    told = {program.name: program.environment.get("BOT4_VENUE") for program in programs(plan)}
    assert {name: venue for name, venue in told.items() if venue} == {
        "exchange-simulator": "a",
        "exchange-simulator-b": "b",
    }


def test_every_service_knows_all_venues(tmp_path: Path) -> None:
    services = programs(two(tmp_path))[2:]
    assert {program.environment["BOT4_VENUES"] for program in services} == {"a,b"}


def test_without_a_word_there_is_one_venue(plan: Plan) -> None:
    assert plan.venues == ["sim"]
    assert list(stack.services(plan.venues)) == list(stack.SERVICES)


def test_a_folder_keeps_its_venues_and_takes_more(tmp_path: Path) -> None:
    two(tmp_path)
    assert planned(tmp_path, free_ports(1)[0]).venues == ["a", "b"]
    assert two(tmp_path, venues="b,a,sim").venues == ["b", "a", "sim"]
    assert planned(tmp_path, free_ports(1)[0]).venues == ["b", "a", "sim"]


def test_a_venue_of_the_folder_cannot_be_left_out(tmp_path: Path) -> None:
    two(tmp_path)
    with pytest.raises(Trouble, match="also trades at a: say --venues b,a, or take another folder with --data"):
        two(tmp_path, venues="b")


def test_an_unknown_venue_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="--venues a,x: there is no venue x: choose from sim, a, b"):
        two(tmp_path, venues="a,x")
    assert not (tmp_path / "venues.json").exists()


def test_venues_of_ones_own_are_read_from_a_file_and_kept(tmp_path: Path) -> None:
    file, data = tmp_path / "mine.toml", tmp_path / "data"
    data.mkdir()
    file.write_text('[mine]\nmaker_fee = "0"\ntaker_fee = "0.001"\n')
    first = planned(data, free_ports(1)[0], venues="mine,sim", venue_definitions=file)
    file.unlink()
    again = planned(data, free_ports(1)[0])
    for plan in (first, again):
        assert plan.venues == ["mine", "sim"]
        assert programs(plan)[-1].environment["BOT4_VENUE_DEFINITIONS"] == str(data / "venues.toml")


@pytest.mark.parametrize(
    "wrong", ["profile = ", *(f'{key} = "zzz"\nmaker_fee = "0"\ntaker_fee = "0"' for key in ("profile", "line"))]
)
def test_what_is_wrong_with_ones_own_venues_is_said_of_the_file(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"[mine]\n{wrong}\n")
    with pytest.raises(Trouble, match=r"--venue-definitions .*mine\.toml: "):
        planned(tmp_path, free_ports(1)[0], venues="mine", venue_definitions=file)
    assert not (tmp_path / "venues.toml").exists()


# A history


SIMULATED = "time_ns,symbol,price\n0,BTC-USDT,60000\n1,BTC-USDT,1\n3600000000000,BTC-USDT,60100.5\n"
# Each hour's first price is what the cost model takes.
SAMPLED = "time_ns,symbol,price\n0,BTC-USDT,60000\n3600000000000,BTC-USDT,60100.5\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def planned_with(data: Path, history: Path | None) -> Plan:
    data.mkdir(exist_ok=True)
    return planned(data, free_ports(1)[0], history=history)


def test_only_the_cost_model_knows_the_history(tmp_path: Path) -> None:
    planning = planned_with(tmp_path / "data", written(tmp_path / "prices.csv", SIMULATED))
    told = [program for program in programs(planning) if "BOT4_STATISTICS_HISTORY" in program.environment]
    assert [program.name for program in told] == ["cost-model"]
    assert Path(told[0].environment["BOT4_STATISTICS_HISTORY"]).read_text(encoding="utf-8") == SAMPLED


def test_a_folder_keeps_its_history(tmp_path: Path) -> None:
    file = written(tmp_path / "prices.csv", SIMULATED)
    first = planned_with(tmp_path / "data", file)
    (tmp_path / "data" / "nats").mkdir()
    assert planned_with(tmp_path / "data", None).history == planned_with(tmp_path / "data", file).history
    assert first.history == str(tmp_path / "data" / "history.csv")


@pytest.mark.parametrize("kept", [None, SIMULATED])
def test_a_system_that_has_begun_takes_no_other_history(tmp_path: Path, kept: str | None) -> None:
    planned_with(tmp_path / "data", None if kept is None else written(tmp_path / "prices.csv", kept))
    (tmp_path / "data" / "nats").mkdir()
    other = written(tmp_path / "other.csv", SIMULATED.replace("60000", "70000"))
    with pytest.raises(Trouble, match=r"other\.csv: the system in .*data has begun without it"):
        planned_with(tmp_path / "data", other)


def test_what_is_refused_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    planned(data, free_ports(1)[0], venues="sim")
    before = {path: path.read_bytes() for path in data.iterdir()}
    with pytest.raises(Trouble, match="--history"):
        planned(data, free_ports(1)[0], venues="sim,b", history=tmp_path / "nothing.csv")
    assert {path: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the columns are not time_ns,symbol,price"),
        ("time_ns,symbol,price\n", "there is no price in it"),
        ("time_ns,symbol,price\n0,BTCUSDT,60000\n", "nobody trades BTCUSDT here; the symbols are BTC-USDT, ETH-USDT"),
        ("time_ns,symbol,price\n0,BTC-USDT,NaN\n", "line 2: 'NaN' is not a finite number"),
        (f"time_ns,symbol,price\n0,{'x' * 200_000},1\n", "field larger than field limit"),
        (f"time_ns,symbol,price\n{2**63},BTC-USDT,1\n", "is in the future"),
    ],
)
def test_a_history_that_cannot_be_used_is_refused_before_anything_is_made_of_it(
    tmp_path: Path, text: str, told: str
) -> None:
    file = written(tmp_path / "prices.csv", text)
    with pytest.raises(Trouble, match=rf"^--history .*prices\.csv: .*{told}"):
        planned_with(tmp_path / "data", file)
    assert not (tmp_path / "data" / "history.csv").exists()
