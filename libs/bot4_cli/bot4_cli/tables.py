"""How do orders, fills and findings look on a terminal?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from bot4_cli.running import Run, Status
from bot4_cli.statistics import percentile
from bot4_common.messages.frame import decode_frame

if TYPE_CHECKING:
    from bot4_cli.drill import Kill, Outcome
    from bot4_cli.drills import ground
    from bot4_cli.proofs import Verified
    from bot4_common.log import Record
    from bot4_common.messages.frame import AnyEvent
    from bot4_common.messages.terms import EventId
    from bot4_gateway.answers import FillAnswer, OrderAnswer, ResultAnswer
    from bot4_gateway.control_answers import GateAnswer, KillSwitchAnswer
    from bot4_journal.audit import Finding
    from bot4_journal.replay import Replayed
    from bot4_journal.score import Score, Times

# Of many things that are wrong the first tell what happened.
WRONG_SHOWN = 5

COLOURS = {
    "filled": "green",
    "partially_filled": "green",
    "open": "cyan",
    "cancelled": "yellow",
    "expired": "yellow",
    "refused": "red",
    "rejected": "red",
    "lost": "red",
}


def table(*columns: str, numbers: bool = False) -> Table:
    """Without lines between the columns, so that most fits into 80 characters. `numbers`: all but the first column."""
    shown = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in shown.columns[1:] if numbers else ():
        column.justify = "right"
    return shown


def _add(shown: Table, *cells: str | Text) -> None:
    """Text as it is: an id may have brackets, which would otherwise be taken for markup."""
    shown.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def processes(now: Sequence[Status]) -> Table:
    shown = table("service", "pid", "state", "starts")
    for each in now:
        state = ("ready", "green") if each.ready else ("starting", "yellow") if each.pid else ("down", "red")
        _add(shown, each.name, str(each.pid or ""), Text(*state), str(each.starts))
    return shown


def orders(listed: Iterable[OrderAnswer], venues: bool = False) -> Table:
    """`venues`: there are several, so what is asked begins with where."""
    shown = table("order", "client order id", "asked", "filled", "status")
    for column in (0, 1, 3):
        shown.columns[column].no_wrap = True
    for each in listed:
        where = f"{each.venue}: " if venues and each.venue else ""
        stop = "" if each.stop_loss is None else f" stop {each.stop_loss}"
        _add(
            shown,
            each.order_id,
            each.client_order_id,
            f"{where}{each.side} {each.quantity} {each.symbol} {each.price or 'market'}{stop}",
            each.filled if each.average_price is None else f"{each.filled} at {short(each.average_price)}",
            Text(f"{each.status} {each.code}".rstrip(), COLOURS.get(each.status, "")),
        )
    return shown


def orders_counted(listed: Iterable[OrderAnswer]) -> Table:
    """How many orders of each strategy came to which end."""
    counts = Counter((each.strategy, each.status) for each in listed)
    strategies = sorted({strategy for strategy, _ in counts})
    statuses = sorted({status for _, status in counts}, key=lambda status: -sum(counts[s, status] for s in strategies))
    shown = table("strategy", "orders", *statuses, numbers=True)
    for strategy in strategies:
        row = [counts[strategy, status] for status in statuses]
        _add(shown, strategy, str(sum(row)), *(str(count or "") for count in row))
    return shown


def fills(listed: Iterable[FillAnswer], venues: bool = False) -> Table:
    shown = table("order", "strategy", *(["venue"] if venues else []), "filled", "as")
    for each in listed:
        what = f"{each.side} {each.quantity} {each.symbol} at {short(each.price)}"
        how = f"{each.liquidity}, late" if each.late else each.liquidity
        _add(shown, each.order_id, each.strategy, *([each.venue] if venues else []), what, how)
    return shown


def results(listed: Iterable[ResultAnswer]) -> Table:
    shown = table("strategy", "fills", "realized", "unrealized", "gross", "fees", "net", "", numbers=True)
    for each in listed:
        amounts = (each.realized, each.unrealized, each.gross, each.costs, each.net)
        _add(shown, each.strategy, str(each.fills), *(short(amount or "?") for amount in amounts), each.currency)
    return shown


def kill_switches(listed: Iterable[KillSwitchAnswer]) -> Table:
    shown = table("scope", "of", "state", "reason", "by")
    for each in listed:
        state = ("engaged, flattens" if each.flatten else "engaged", "red") if each.engaged else ("reset", "green")
        name = " ".join(part for part in (each.account, each.strategy, each.symbol) if part)
        _add(shown, each.scope, name, Text(*state), each.reason, each.by)
    return shown


def gate(known: GateAnswer) -> Table:
    shown = table("gate", "reason", "by")
    state = ("on: orders need a signal", "green") if known.enabled else ("off", "yellow")
    _add(shown, Text(*state), known.reason, known.by)
    return shown


def keys(run: Run) -> Table:
    """To be printed without cropping."""
    shown = table("key", "for", "sent as")
    # A part of a key is no key: where there is little room, the others are folded, and at last the line is too long.
    further = (run.operator_key, run.second_key, run.override_key)
    shown.columns[0].no_wrap = True
    shown.columns[0].min_width = max(map(len, (*run.api_keys.values(), *further)))
    for column in shown.columns[1:]:
        column.overflow = "fold"
    for account, key in run.api_keys.items():
        _add(shown, key, f"trading as {account}", "X-API-Key")
    _add(shown, run.operator_key, "the firm: limits, gate, any kill switch", "X-API-Key")
    _add(shown, run.second_key, "resetting a kill switch, besides", "X-Second-Key")
    _add(shown, run.override_key, "an order without a signal, besides", "X-Override-Key")
    return shown


def latencies(seconds: Sequence[float]) -> Table:
    """Without figures when nothing was measured."""
    milliseconds = sorted(each * 1_000 for each in seconds)
    shown = table("orders", "p50", "p90", "p99", "longest", numbers=True)
    if not milliseconds:
        _add(shown, "0")
        return shown
    figures = [*(percentile(milliseconds, percent) for percent in (50, 90, 99)), milliseconds[-1]]
    _add(shown, str(len(milliseconds)), *(f"{each:.1f} ms" for each in figures))
    return shown


def findings(listed: Iterable[Finding]) -> Table:
    from bot4_journal.audit import RULES

    shown = table("rule", "where", "what", "the rule says")
    for each in listed:
        _add(shown, each.rule, each.where, each.what, RULES.get(each.rule, ""))
    return shown


def whole(verified: Verified) -> str:
    """That nothing is wrong with the journal and its archive, and how much of both was read."""
    return (
        f"[bold green]Whole[/]: {_counted(verified.segments, 'archived segment')} to sequence "
        f"{verified.archived:,}, {_counted(verified.frames, 'frame')} live"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def kills(listed: Iterable[Kill], bound_s: float) -> Table:
    shown = table("killed", "all ready again", "next order done", numbers=True)
    for each in listed:
        names = " and ".join(each.killed) if len(each.killed) < 3 else f"all {len(each.killed)} at once"
        _add(shown, names, *(_recovery(seconds, bound_s) for seconds in (each.ready_s, each.order_s)))
    return shown


def _recovery(seconds: float | None, bound_s: float) -> Text:
    if seconds is None:
        return Text("never", "red")
    return Text(f"{seconds:.2f} s", "green" if seconds <= bound_s else "red")


def outcome(drilled: Outcome) -> Table:
    orders = drilled.orders
    shown = table("orders", "", numbers=True)
    _add(shown, "sent", f"{orders.sent:,}")
    _add(shown, "accepted", f"{orders.accepted:,}")
    _add(shown, "refused", f"{orders.refused:,}")
    _add(shown, "without an answer at first, asked for again", f"{orders.repeated:,}")
    _add(shown, "under way during an outage, asked for again afterwards", f"{drilled.repeats:,}")
    _add(shown, "forgotten, done twice, or another when asked again", _count(len(drilled.wrong)))
    for wrong in drilled.wrong[:WRONG_SHOWN]:
        _add(shown, "", wrong)
    _add_findings(shown, drilled.findings)
    return shown


def drilled(outcome: ground.Outcome) -> Table:
    """Every figure of a drill by its name, which says its unit; then what is wrong."""
    shown = table(outcome.drill, "", numbers=True)
    for name in outcome.figures.__struct_fields__:
        figure = getattr(outcome.figures, name)
        text = "" if figure is None else f"{figure:,.2f}" if isinstance(figure, float) else f"{figure:,}"
        _add(shown, name.replace("_", " "), text)
    _add(shown, "wrong", _count(len(outcome.wrong)))
    for wrong in outcome.wrong[:WRONG_SHOWN]:
        _add(shown, "", wrong)
    _add_findings(shown, outcome.findings)
    return shown


def unprotected(longest_ns: int, order_id: str) -> str:
    """How long a position was without its stop, at most: from the trade until risk had armed it."""
    if not order_id:
        return "No position was ever opened that needs a stop."
    return f"The longest that a position was without its stop: {longest_ns / 1e6:,.1f} ms (order {order_id})."


def _add_findings(shown: Table, listed: Sequence[Finding]) -> None:
    _add(shown, "findings of the audit", _count(len(listed)))
    for finding in listed[:WRONG_SHOWN]:
        _add(shown, finding.rule, f"{finding.where}: {finding.what}")


def _count(wrong: int) -> Text:
    return Text(str(wrong), "red" if wrong else "green")


def life(events: Sequence[tuple[int, EventId, AnyEvent]]) -> Table:
    """Of one order: how long after it was journaled each event was decided, where it stands, and what it is."""
    shown = table("after", "where", "event")
    began = min(at for at, _, _ in events)
    for at, id, event in sorted(events, key=lambda told: told[0]):
        _add(shown, f"{(at - began) / 1e6:.1f} ms", str(id), str(event.__struct_config__.tag))
    return shown


def replayed(listed: Iterable[Replayed]) -> Table:
    shown = table("service", "after frame", "events", "state hash")
    for each in listed:
        _add(shown, each.service, f"{each.stream} {each.sequence}", f"{each.events:,}", each.state_hash)
    return shown


def frame_lines(record: Record) -> Iterable[str]:
    """One line for each event of a frame: where it stands, when it was decided, what it says."""
    frame = decode_frame(record.data)
    stream, sequence = record.origin
    seconds, nanoseconds = divmod(frame.decided_at, 1_000_000_000)
    at = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{nanoseconds // 1_000_000:03d}"
    for id, event, _ in frame.events(stream, sequence):
        told = ", ".join(f"{name}={_told(getattr(event, name))}" for name in event.__struct_fields__)
        yield f"{record.sequence:>8} {at} {id!s:<18} {event.__struct_config__.tag}: {told}"


def _told(value: object) -> object:
    """An order inside an event as its own words."""
    fields = getattr(value, "__struct_fields__", None)
    if fields is None:
        return value
    return "(" + " ".join(str(getattr(value, name)) for name in fields if getattr(value, name)) + ")"


def short(number: str) -> str:
    """At most four digits behind the point; what is cut off is for programs."""
    whole, point, digits = number.partition(".")
    return whole + (point + digits[:4] if digits[:4].strip("0") else "")


def scores(score: Score) -> Iterable[Table]:
    """What was believed against what was true; times in ms."""
    drift = table("account", "symbol", "drift, units x s", "times wrong", "longest, ms", numbers=True)
    drift.columns[1].justify = "left"
    for each in score.drift:
        _add(
            drift,
            each.account,
            each.symbol,
            f"{each.unit_seconds:.6f}",
            f"{each.wrong.count:,}",
            _ms(each.wrong.longest_ns),
        )
    yield drift
    faults = table("fault", "struck", "noticed", "after ms", "at most", "healed", "after ms", "at most", numbers=True)
    for repair in (*score.gaps, *score.requests):
        _add(faults, repair.kind, f"{repair.count:,}", *_times(repair.noticed), *_times(repair.healed))
    for kind in sorted(set(score.faults) - {repair.kind for repair in (*score.gaps, *score.requests)}):
        _add(faults, kind, f"{score.faults[kind]:,}")
    yield faults
    if score.spells or score.refusals:
        others = table("lasting faults and refusals", "times", "seconds in all", numbers=True)
        for spell in score.spells:
            _add(
                others,
                f"{spell.kind} by {spell.cause}",
                f"{spell.lasting.count:,}",
                f"{spell.lasting.total_ns / 1e9:.1f}",
            )
        for code, times in score.refusals.items():
            _add(others, code, f"{times:,}")
        yield others
    unknown = table("unknown outcome", "ended as", "times", "after ms", "at most", numbers=True)
    unknown.columns[1].justify = "left"
    for outcome in score.outcomes:
        _add(unknown, outcome.request, outcome.ending, *_times(outcome.unknown))
    if score.unknown_open:
        _add(unknown, "any", "still unknown", f"{score.unknown_open:,}")
    yield unknown


def _times(times: Times) -> tuple[str, str, str]:
    return f"{times.count:,}", _ms(times.mean_ns), _ms(times.longest_ns)


def _ms(ns: int) -> str:
    return f"{ns / 1e6:,.1f}"
