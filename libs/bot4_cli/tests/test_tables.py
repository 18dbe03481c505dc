from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from bot4_cli import tables
from bot4_cli.drill import Kill
from bot4_cli.proofs import Verified
from bot4_cli.running import Run, Status
from bot4_common.log import Record
from bot4_common.messages.frame import Decision, Frame, encode
from bot4_common.messages.gateway import CancelOrder
from bot4_gateway.answers import OrderAnswer
from bot4_journal.audit import Finding
from libs.bot4_cli.tests.street import order_answer


def shown(table: Table, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width)
    with console.capture() as captured:
        console.print(table, crop=False)
    return captured.get()


def order(order_id: str, status: str, client_order_id: str = "c") -> OrderAnswer:
    return msgspec.json.decode(order_answer(order_id, status, client_order_id), type=OrderAnswer)


def test_an_id_with_brackets_is_shown_as_it_is() -> None:
    assert "[bold]/[/red]" in shown(tables.orders([order("1-0", "filled", "[bold]/[/red]")]))


def test_a_finding_is_shown_with_the_rule_it_breaks() -> None:
    text = shown(tables.findings([Finding("sent", "EXECUTION_0:3:0", "decided as ['1-0']")]))
    assert "decided as ['1-0']" in text
    assert "Every approved order is sent, once" in text


def test_orders_are_counted_by_strategy_and_status() -> None:
    counted = shown(tables.orders_counted([order("1-0", "filled"), order("2-0", "filled"), order("3-0", "cancelled")]))
    assert [line.split() for line in counted.splitlines() if line.strip()][-1] == ["s", "3", "2", "1"]


def test_a_process_is_ready_starting_or_down() -> None:
    states = [
        Status(name=str(n), pid=pid, ready=ready, starts=1)
        for n, pid, ready in ((1, 5, True), (2, 6, False), (3, None, False))
    ]
    text = shown(tables.processes(states))
    assert text.index("ready") < text.index("starting") < text.index("down")


def test_a_recovery_that_did_not_come_is_said_to_be_none() -> None:
    text = shown(tables.kills([Kill(killed=["risk"], ready_s=1.234, order_s=None)], 5.0))
    assert "1.23 s" in text
    assert "never" in text


def test_where_nothing_was_measured_there_are_no_figures() -> None:
    assert shown(tables.latencies([])).split()[-1] == "0"
    assert shown(tables.latencies([0.001, 0.003])).splitlines()[-2].split() == ["2", *["1.0", "ms"], *["3.0", "ms"] * 3]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_key_is_shown_whole_in_one_line_however_narrow_the_terminal(width: int) -> None:
    names = ("mine", "operator", "second", "override")
    own, operator, second, override = (f"{name:=<32}" for name in names)
    run = Run(
        supervisor=1, url="", api_keys={"mine": own}, nats_url="", database_url="", archive_dir="", services=[],
        operator_key=operator, second_key=second, override_key=override,
    )  # fmt: skip
    text = shown(tables.keys(run), width)
    assert all(key in text for key in (own, operator, second, override))


def test_what_is_one_is_not_said_to_be_several() -> None:
    one, several = (
        tables.whole(Verified(segments=number, archived=5, frames=number, findings=[])) for number in (1, 1200)
    )
    assert one.endswith("1 archived segment to sequence 5, 1 frame live")
    assert several.endswith("1,200 archived segments to sequence 5, 1,200 frames live")


def test_numbers_are_cut_to_what_people_read() -> None:
    assert tables.short("1234.567891") == "1234.5678"
    assert tables.short("5.000000001") == "5"
    assert tables.short("17") == "17"


def test_each_event_of_a_frame_is_one_line_with_where_it_stands() -> None:
    event = CancelOrder(account="a", order_id="1-0")
    frame = Frame(writer="w", number=1, previous="", decided_at=0, decisions=[Decision(events=[event, event])])
    lines = list(tables.frame_lines(Record("JOURNAL", 7, encode(frame), ("GATEWAY", 3))))
    assert [line.split()[0] for line in lines] == ["7", "7"]
    assert "GATEWAY:3:1" in lines[1]
    assert lines[1].endswith("cancel_order: account=a, order_id=1-0")


def test_where_an_order_goes_is_shown_where_there_is_a_choice() -> None:
    assert "sim" not in shown(tables.orders([order("1-0", "filled")]))
    assert "sim: buy 1 BTC-USDT" in shown(tables.orders([order("1-0", "filled")], venues=True))
