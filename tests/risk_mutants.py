"""Is each rule of risk held by a test? Takes the rules away, one at a time, and runs the tests of risk without it.

`python -m tests.risk_mutants` takes away every row of the table of limits, every row of the tables of lists, and every
other rule and guard that is named here. A fault that no test notices is printed.
Exit code 0: every fault was noticed. 1: some were not. 2: the tests fail without any fault, or a fault is not to be
planted, since the source has changed.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import io
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[1]
RISK = Path("services", "risk")
MODULES, TESTS = RISK / "bot4_risk", RISK / "tests"
AT_A_TIME = 2
# Seconds; a fault that keeps its tests from ending is noticed.
TRIAL_S = 90
# Of the state machine, which has the last word: what it does in a few seconds.
MACHINE = "test_risk_machine.py"
MACHINE_EXAMPLES = 40


class Fault(NamedTuple):
    """`new` stands in `module` where `old`, which is there just once, should."""

    name: str
    module: str
    old: str
    new: str

    def planted(self, copy: Path) -> str:
        """The source with the fault in it. Raises `ValueError` if there is no one place for it."""
        source = source_of(self.module, copy)
        if not self.old:
            return source + self.new
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {source.count(self.old)} times in {self.module}.py")
        return source.replace(self.old, self.new)


def copied(folder: Path) -> Path:
    """A copy of risk and its tests, which stays as it is when the sources change."""
    shutil.copytree(ROOT / RISK, folder / RISK, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, folder)
    return folder


def source_of(module: str, copy: Path) -> str:
    return (copy / MODULES / f"{module}.py").read_text(encoding="utf-8")


def limits(copy: Path) -> Iterator[Fault]:
    """A rule that every order keeps: a condition on which `check` refuses never comes true."""
    source = source_of("check", copy)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.If(test=test, body=[ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(code)), _]))]):
                condition = str(ast.get_source_segment(source, test))
                refuses = f'if {condition}:\n        return "{code}"'
                yield Fault(code, "check", refuses, refuses.replace(f"if {condition}", "if False"))


def lists(copy: Path) -> Iterator[Fault]:
    """A row that is not in the table, so that what it is about changes nothing."""
    source = source_of("contingency", copy)
    for table in ("LIFE", "OWN", "MEANING"):
        block = source[source.index(f"\n{table}: ") :]
        for row in re.findall(r"^    \(.*\): .*\n", block[: block.index("\n}")] + "\n", re.MULTILINE):
            key = row.strip().partition(":")[0]
            yield Fault(f"{table}[{key}]", "contingency", "", f"\ndel {table}[{key}]\n")


def others() -> Iterator[Fault]:
    for module, faults in OTHERS.items():
        for name, (old, new) in faults.items():
            yield Fault(name, module, old, new)


NEVER = "if False:"
OTHERS: dict[str, dict[str, tuple[str, str]]] = {
    "placing": {
        "KILL_SWITCH": ("    if switch is not None:\n        return stopped", f"    {NEVER}\n        return stopped"),
        "UNKNOWN_VENUE": ("if order.venue not in moment.venues:", NEVER),
        "DUPLICATE_LIVE_ORDER": ("if order.client_order_id in account.live:", NEVER),
        "ORDER_TYPE_UNKNOWN": ('if order.type == "trailing_stop" and', 'if order.type == "" and'),
        "STOP_LOSS_REQUIRED": ("    if order.stop_loss is None:\n        return", f"    {NEVER}\n        return"),
        "STOP_ALREADY_PASSED": ("if order.type in PLAIN_TYPES and reached(", "if False and reached("),
        "STOP_ALREADY_PASSED for a trigger": ("if order.type in PLAIN_TYPES and reached(", "if reached("),
        "STOP_ALREADY_PASSED by a trigger": (
            "if order.stop_price is not None and contingency.reached(",
            "if False and (",
        ),
        "NOTHING_TO_REDUCE": ("if account.reducible(market, order.side) <= claimed:", NEVER),
        "reduce-only is cut to the position": (
            "return replace(order, quantity=min(order.quantity, room))",
            "return order",
        ),
        "what closes only reduces": ("return replace(order, reduce_only=True)", "return order"),
        "SELF_TRADE": ("    if found is None:\n", "    if True:\n"),
        "SELF_TRADE refuses what has nothing left": ("if found.left == ZERO:", NEVER),
        "a resting order gives way": ("if met.resting_quantity:", NEVER),
        "a resting order becomes smaller": ("if met.left and open_order.amend is None:", NEVER),
        "an order is decided once": (
            "    if first is None:\n        return False",
            "    if True:\n        return False",
        ),
        "an order is scaled": ('if limits.correlation_action != "scale" or', "if True or"),
        "CORRELATION leaves nothing": ("if refusal is None and not order.quantity:", NEVER),
        "the gate is asked": ("if not gate.enabled:", "if True:"),
        "the gate refuses": ("if verdict.code else None", "if False else None"),
        "stops are held where the venue has none": (
            "return order.type not in PLAIN_TYPES and not",
            "return False and not",
        ),
        "ORDER_IS_OVER for a replacement": (
            "if old is None or replaces in account.replacing:",
            "if old is None:\n        return None\n    if replaces in account.replacing:",
        ),
        "an order is replaced once": ("if old is None or replaces in account.replacing:", "if old is None:"),
        "REPLACE_STOPPED for what is held": ("if old.held is not None or old.list_id:", NEVER),
        "a replaced order is cancelled": ("CancelApproved(order_id=replacing.order_id,", 'CancelApproved(order_id="",'),
        "a leg is judged with what is ahead of it": (
            "if ahead is None or ahead.reduce_only:",
            "if True or ahead is None or ahead.reduce_only:",
        ),
    },
    "account": {
        "an opening order is one with those before it": (
            "wanted = self.reserved_on(market, order.side) + order.quantity",
            "wanted = order.quantity",
        ),
        "alternatives are reserved once": ("return max(each.claim for each in", "return sum(each.claim for each in"),
        "a child reserves nothing": ("return ZERO if self.covered else", "return"),
        "a fill frees what it takes": ("open_order.leaves -= min(quantity, open_order.leaves)", "pass"),
        "an end frees the rest": ("open_order.leaves -= quantity\n        claim = ", "claim = "),
        "an end frees what an amend would add": (
            "open_order.amend, open_order.growth = True, None, ZERO",
            "open_order.amend = True, None",
        ),
        "an amend reserves what it adds": (
            "open_order.growth = max(amend.quantity - open_order.order.quantity, ZERO)",
            "pass",
        ),
        "an amend counts at its price": ("if amend.price is not None and amend.price > open_order.price:", NEVER),
        "an amended order counts at its price": (
            "            claims += self._reprice(open_order, max(",
            "            (max(",
        ),
        "stops are trimmed": ("cut = min(surplus, stop.quantity)", "cut = ZERO"),
        "the oldest stop is trimmed first": (
            "in self.stops.items():\n            if surplus",
            "in reversed(self.stops.items()):\n            if surplus",
        ),
        "a stop fires once": ("self._protect(stop, stop.quantity - triggered.quantity)", "pass"),
        "an exit's stop is remembered": (
            "self.exits[triggered.exit_id] = triggered.order_id",
            'self.exits[triggered.exit_id] = ""',
        ),
        "exits have numbers": ("self.exits_made += 1", "pass"),
        "a spent stop waits for its order": ("and order_id not in self.open_orders and", "and"),
        "a spent stop waits for its exit": (" and order_id not in self.exits.values()", ""),
        "what was to be replaced is over": (
            "            self.replacing.pop(open_order.held.replaces, None)\n"
            "            open_order.held = replace(open_order.held, armed",
            "            open_order.held = replace(open_order.held, armed",
        ),
    },
    "protection": {
        "a fill arms a stop": ("quantity=opened + (stop.quantity if stop is not None else ZERO)", "quantity=ZERO"),
        "a stop grows": ("quantity=opened + (stop.quantity if stop is not None else ZERO)", "quantity=opened"),
        "stops protect no more than there is": (
            "surplus = account.protected_on(market, side) - allowed",
            "surplus = ZERO",
        ),
        "a stop's exit protects": (" - account.stopping_on(market, side), ZERO)", ", ZERO)"),
        "an exit closes what no other one closes": (" - account.exiting_on(market, stop.side))", ")"),
        "an exit that closed nothing is tried again": (
            "    if not entry:\n        return",
            "    if True:\n        return",
        ),
        "what is tried again is trimmed": ("    trim_stops(moment, name, market_of(stop))", "    pass"),
        "a stop fires": ("if stop.quantity and fired < FIRED_MAX:", NEVER),
        "not too many stops fire at once": (" and fired < FIRED_MAX:", ":"),
        "a stop waits for the market": ("if not reached(stop.side, stop.stop_price, quote):", NEVER),
        "an exit only reduces": ("reduce_only=True,", "reduce_only=False,"),
        "an exit does not rest": ('time_in_force="ioc",', 'time_in_force="gtc",'),
        "a stopped order opens no more": (
            "if account.order(order_id) is not None:\n        moment",
            f"{NEVER}\n        moment",
        ),
        "what has nothing to reduce is cancelled": ("if account.reducible(market, order.side):", "if True:"),
        "what is held to reduce is dropped": ("elif not open_order.held.replaces:", "elif False:"),
    },
    "switches": {
        **{
            f"the {scope}'s switch stops new orders": (
                'for scope in ("firm", "account", "strategy", "symbol"):',
                f"for scope in ({rest}):",
            )
            for scope, rest in {
                "firm": '"account", "strategy", "symbol"',
                "account": '"firm", "strategy", "symbol"',
                "strategy": '"firm", "account", "symbol"',
                "symbol": '"firm", "account", "strategy"',
            }.items()
        },
        "the firm's switch covers everybody": ("                return True\n", "                return False\n"),
        "an account's switch covers it": ("return account == self.account", "return False"),
        "an account's switch covers nobody else": ("return account == self.account", "return True"),
        "a strategy's switch covers it": (
            "return (account, strategy) == (self.account, self.strategy)",
            "return False",
        ),
        "a strategy's switch covers no other": (
            "return (account, strategy) == (self.account, self.strategy)",
            "return account == self.account",
        ),
        "a symbol's switch covers it": ("return symbol == self.symbol", "return False"),
        "a symbol's switch covers no other": ("return symbol == self.symbol", "return True"),
    },
    "halting": {
        "a switch cancels what rests": (
            'moment.emit(CancelApproved(order_id=order_id, account=name, reason="kill_switch"))',
            "pass",
        ),
        "a switch drops what is held": ('lists.drop_whole(moment, name, order_id, open_order, "kill_switch")', "pass"),
        "a switch leaves exits alone": ("if order_id in account.exits or not switch.covers(", "if not switch.covers("),
        "a switch stops what it covers": (" or not switch.covers(name, order.strategy, order.symbol):", ":"),
        "a switch flattens": ("        if switch.flatten:\n", "        if False:\n"),
        "it flattens what it covers": (
            "if quote is not None and switch.covers(name, strategy, symbol):",
            "if quote is not None:",
        ),
        "it closes what is not being closed": (
            "wanted = abs(held) - account.exiting_on(market, side)",
            "wanted = abs(held)",
        ),
        "it closes a strategy's part": ("quantity = min(wanted, part) if", "quantity = wanted if"),
        "it closes a strategy's part once": (
            "part = abs(mine) - _closing(account, market, each, side)",
            "part = abs(mine)",
        ),
        "what closes the other side does not count": (
            "== (strategy, side, market)",
            "== (strategy, each.order.side, market)",
        ),
        "it tries again": ("if account.position(market) and switch.covers(", "if False and switch.covers("),
        "it tries again what it covers": (" and switch.covers(name, strategy, quote.symbol):", ":"),
        "a reset needs a switch": ("if key_of(command) in moment.state.control.switches:", "if True:"),
        "it can be made to flatten": ("(command.flatten and not known.flatten)", "False"),
        "RUNAWAY": ("if count <= limits.duplicates_max:", "if True:"),
        "executions trip": ("if count > limits.executions_max:", NEVER),
        "second children trip": ('if number != "1" or', "if False or"),
        "larger children trip": ("sent.order.quantity > open_order.order.quantity", "False"),
        "a guard trips once": (
            "    if engaged_for(moment.state.control.switches",
            "    if False and engaged_for(moment.state.control.switches",
        ),
        "a guard cancels": ("    _stop(moment, moment.state.control.switches[key_of(engaged)])", "    pass"),
    },
    "guards": {
        "duplicates are counted": ("_note(self.asked, _same(order), at, limits)", "pass"),
        "executions are counted": ('_note(self.traded, f"{symbol}/{side}", at, limits)', "pass"),
        "only the window counts": (
            "return len(times) - bisect_right(times, now - limits.window_ns)",
            "return len(times)",
        ),
    },
    "gate": {
        "GATE_NOT_REGISTERED": ("if not self.is_registered(account, order.strategy):", NEVER),
        "GATE_NO_SIGNAL": ("if not order.signal:", NEVER),
        "GATE_SIGNAL_UNKNOWN for another account": (
            "if signal is None or signal.account != account:",
            "if signal is None:",
        ),
        "GATE_SIGNAL_MISMATCH": ("if meant != {", "if False and meant != {"),
        "GATE_SIGNAL_STALE": ("if now - signal.at > limits.signal_age_max_ns:", NEVER),
        "an override passes": ("        if override:\n", "        if False:\n"),
        "an override is told": ('return Verdict("overridden", "", {})', 'return Verdict("passed", "", {})'),
        "old signals are forgotten": ("if len(self.signals) > SIGNALS_KEPT:", NEVER),
    },
    "self_trade": {
        "none": ('if mode == "none" or', "if"),
        "post-only meets nobody": ("order.post_only or", ""),
        "cancel_new": ('if mode == "cancel_new" or', "if"),
        "fill-or-kill is whole": (' or (order.time_in_force == "fok" and mode != "cancel_resting")', ""),
        "cancel_resting": ('if mode == "cancel_resting":', NEVER),
        "cancel_both": ('if mode == "cancel_both":', NEVER),
        "decrement_both": ("return min(left, leaves), min(left, leaves)", "return left, leaves"),
        "what is ending is passed over": ("if resting.ending:", NEVER),
        "only what crosses is met": ("if resting.price > worst if buys else resting.price < worst:", NEVER),
        "the better price first": ("-resting.price if resting.side", "resting.price if resting.side"),
    },
    "lists": {
        "LIST_LEGS_DIFFER for strategies": ("if len({order.strategy for order in orders}) > 1:", NEVER),
        "DUPLICATE_LIVE_LIST": ("if any(each.client_list_id == command.list.client_list_id for", "if any(False for"),
        "KEY_REUSED": ("if moment.state.taken.get((name, order.client_order_id), moment.now) is not None:", NEVER),
        "CORRELATION of a list that would be scaled": ("and fitted(moment, name, order) != order:", "and False:"),
        "children are told from openers": (
            "return same and opens and child.side != parent.side and child.quantity <= parent.quantity",
            "return True",
        ),
        "a child is no larger than its parent": ("and child.quantity <= parent.quantity", ""),
        "a list ends": ("if contingent is not None and contingent.over:", NEVER),
        "NO_MARKET when its time comes": ("    if moment.quote(order) is None:\n", "    if False:\n"),
        "a trigger fires once": ("or held.triggered or", "or"),
        "what waits has no trigger": ("if held is None or not held.armed or", "if held is None or"),
        "a replacement stops on failure": ('if not cancelled and held.mode == "stop_on_failure":', NEVER),
        "a replacement may be held": ("elif open_order.order.type not in PLAIN_TYPES and not", "elif False and not"),
        "what is held is dropped with what follows it": ("    if actions:\n", "    if False:\n"),
        "a held order expires": ("if due_at > moment.now or open_order is None:", "if True:"),
    },
    "contingency": {
        "LIST_LEGS_DIFFER in number": ("if len(orders) != LEGS[kind]:", NEVER),
        "LIST_VENUES_DIFFER": ("if len(venues) > 1:", NEVER),
        "LIST_LEGS_DIFFER": ("if one != other:", NEVER),
        "LIST_LEGS_DIFFER in types": (
            'if limit.type != "limit" or stop.type not in ("stop_market", "stop_limit"):',
            NEVER,
        ),
        "LIST_PRICES": ("    if path == wanted:\n", "    if True:\n"),
        "a venue keeps its lists": ("    if contingent.native:\n", "    if False:\n"),
        "a passed child is refused": ("if isinstance(news, Filled) and news.whole and", "if False and"),
        "a sibling goes first": ('(deed == "send" and any(', "(False and any("),
        "a parent that is held ends at once": ('return "over" if tie == "child" and', 'return "over" if False and'),
    },
    "amends": {
        "ORDER_IS_OVER": ('        _refuse(moment, command, ("ORDER_IS_OVER"', '        (("ORDER_IS_OVER"'),
        "AMEND_IN_FLIGHT": ("open_order.amend is not None or open_order.cancelling", "open_order.cancelling"),
        "AMEND_IN_FLIGHT for a cancel": (
            "open_order.amend is not None or open_order.cancelling",
            "open_order.amend is not None",
        ),
        "AMEND_IN_FLIGHT for a sibling": ("if under_way or _is_sibling_amended(", "if under_way or False and ("),
        "AMEND_NOTHING for a price": ("if command.price is not None and open_order.order.price is None:", NEVER),
        "AMEND_NOTHING": (
            "if not growth and changed.price == order.price and changed.quantity == order.quantity:",
            NEVER,
        ),
        "BELOW_FILLED": ("if changed.quantity < open_order.filled:", NEVER),
        "NOTHING_TO_REDUCE for an amend": ("if growth > market_side:", NEVER),
        "an amend is checked": ("    if refusal is not None:\n        return refusal\n    assert", "    assert"),
        "a smaller order needs no check": ("    if not growth and changed.price == order.price:\n", f"    {NEVER}\n"),
        "STOP_ALREADY_PASSED for an amend": ("if passed and order.type in PLAIN_TYPES:", NEVER),
        "SELF_TRADE for an amend": ("if met is not None:", NEVER),
        "a new price counts": (
            "return multiply(open_order.leaves, changed.price - open_order.order.price)",
            "return ZERO",
        ),
    },
    "domain": {
        "nobody cancels what is over": ('code="ORDER_IS_OVER", details={}', 'code="UNKNOWN_ORDER", details={}'),
        "LIMITS_VERSION": ("if command.replaces and command.replaces != control.version:", NEVER),
        "GATE_NOT_REGISTERED for a signal": ("if not moment.state.control.gate.is_registered(", "if False and not ("),
        "an exit costs nothing of the rate": ("if event.order_id not in account.exits:\n", "if True:\n"),
        "a refusal costs of the rate": ("if event.code not in FREE_OF_RATE:", NEVER),
        "a refusal for the rate does not": ("if event.code not in FREE_OF_RATE:", "if True:"),
        "stops are trimmed after a fill": (
            "    protection.trim_stops(moment, name, market)\n    for child",
            "    for child",
        ),
        "reduce-only ends with the position": ("if before and before * after <= 0:", NEVER),
        "exits are tried again": ("    protection.try_again(moment, name, entry, left)", "    pass"),
        "what an end leaves out stays reserved": (
            "else max(min(told.quantity, open_order.leaves), ZERO)",
            "else open_order.leaves",
        ),
        "a late fill is protected": ("fill.stop_loss if open_order is None else", "None if open_order is None else"),
        "a list hears of a fill once": ("if open_order is not None and open_order.ended:", NEVER),
        "trimmed exits are tried again": ("    protection.try_again(moment, name, entry, cut)", "    pass"),
    },
    "state": {
        "a trade group is one owner": (".trade_group or account", ".trade_group and account or account"),
        "spent stops are forgotten": ("if stop is not None and account.is_spent(order_id, stop):", NEVER),
        "ending orders are known": ("ending=open_order.cancelling", "ending=False"),
    },
    "valuation": {
        "marks are due": ("return state.control.marked_at + MARK_NS", "return None"),
        "halts are told": ("if halted == (halt_key(scope, name, rule) in moment.state.control.halts):", "if True:"),
        "a loss at its limit halts": ("halted = loss.percent >= limit", "halted = loss.percent > limit"),
        "old statistics are not adopted": ("if known is not None and published.version <= known.version:", NEVER),
        "no fee is booked that is none": ("if cost.fee:", "if True:"),
    },
}


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module with other source than is on the disk."""

    def __init__(self, module: str, source: str) -> None:
        self.name = f"bot4_risk.{module}"
        self.source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.name, "exec", dont_inherit=True), module.__dict__)


# What a process that tried a fault ends with: this, and the number of the trial that noticed it; or by a signal, if the
# fault kept it from ending.
UNNOTICED, NOTICED = 0, 10
NOTICES = {
    UNNOTICED: "",
    NOTICED: "its own tests",
    NOTICED + 1: "the other examples",
    NOTICED + 2: "the state machine",
}


def started(fault: Fault, copy: Path) -> int:
    """Tries a fault in a process of its own, whose number this is: what that imports of risk has the fault."""
    child = os.fork()
    if child == 0:
        signal.alarm(TRIAL_S)
        os.chdir(copy)
        sys.path[:0] = [str(copy / RISK), str(copy)]
        sys.meta_path.insert(0, _Planted(fault.module, fault.planted(copy)))
        os._exit(_noticed(fault.module, copy))
    return child


def _noticed(module: str, copy: Path) -> int:
    for number, files in enumerate(trials(module, copy)):
        if not passes(files, copy):
            return NOTICED + number
    return UNNOTICED


# What the documentation says of the rules is no test of them, nor is what is said of their mutants.
NO_TRIALS = ("test_rulebook.py", "test_mutants.py")


def trials(module: str, copy: Path) -> list[list[str]]:
    """The tests of the module itself first: most faults need no more."""
    files = sorted({path.name for path in (copy / TESTS).glob("test_*.py")} - {MACHINE, *NO_TRIALS})
    likely = LIKELY.get(module, f"test_{module}.py")
    return [[likely], [name for name in files if name != likely], [MACHINE]]


def passes(files: Sequence[str], copy: Path) -> bool:
    command = ["-c", str(copy / "pyproject.toml"), f"--rootdir={copy}", "-x", "-q", "-p", "no:cacheprovider"]
    # Hypothesis is there before pytest, once for all.
    command += ["--tb=no", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return pytest.main([*command, *(str(copy / TESTS / name) for name in files)]) == 0


def tried(faults: Sequence[Fault], copy: Path) -> Iterator[tuple[Fault, str]]:
    """Each fault and what noticed it, as they come; empty if nothing did."""
    waiting, running = list(reversed(faults)), dict[int, Fault]()
    while waiting or running:
        while waiting and len(running) < AT_A_TIME:
            fault = waiting.pop()
            running[started(fault, copy)] = fault
        child, status = os.wait()
        fault, code = running.pop(child), os.waitstatus_to_exitcode(status)
        yield fault, "it did not end" if code == -signal.SIGALRM else NOTICES[code]


# Where a module has no tests of its own name.
LIKELY = {
    "placing": "test_control.py", "protection": "test_stops.py", "switches": "test_halting.py",
    "guards": "test_halting.py", "domain": "test_account.py", "state": "test_stops.py", "valuation": "test_control.py",
}  # fmt: skip


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.risk_mutants")
    asked.add_argument("--only", default="", help="the faults of this module, or whose name contains this")
    only = asked.parse_args().only
    with tempfile.TemporaryDirectory() as name:
        copy = copied(Path(name))
        faults = [each for each in known(copy) if only in each.name or only == each.module]
        for fault in faults:
            if why := unplantable(fault, copy):
                print(why)
                return 2
        return summed_up(faults, copy)


def known(copy: Path) -> Iterator[Fault]:
    yield from limits(copy)
    yield from lists(copy)
    yield from others()


def unplantable(fault: Fault, copy: Path) -> str:
    """Why it is no fault of the source as it is; empty if it is one."""
    try:
        compile(fault.planted(copy), fault.module, "exec")
    except (ValueError, SyntaxError) as error:
        return str(error)
    return ""


def summed_up(faults: Sequence[Fault], copy: Path) -> int:
    """Tells what became of each. The exit code."""
    settings.register_profile("noticing", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None)
    os.environ |= {"HYPOTHESIS_PROFILE": "noticing", "RISK_EXAMPLES": str(MACHINE_EXAMPLES)}
    # Nothing is wrong with a module that is as it was.
    for _, by in tried([Fault("none", "check", "", "")], copy):
        if by:
            print(f"without any fault, it is noticed by {by}")
            return 2
    outcomes: Counter[str] = Counter()
    for fault, by in tried(faults, copy):
        outcomes[by or "NOT NOTICED"] += 1
        print(f"{fault.module:12} {fault.name}: {by or 'NOT NOTICED'}", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:5} {outcome}")
    return 1 if outcomes["NOT NOTICED"] else 0


if __name__ == "__main__":
    sys.exit(main())
