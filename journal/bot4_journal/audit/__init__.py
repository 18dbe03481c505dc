"""Does the journal prove that nothing went wrong?

An `Auditor` is fed the records of the whole story from its first frame on, and of the venues' own streams if those are
to be compared, one by one and in any mixture of the streams. It does constant work for each event, remembers the id of
every order that is over (about 100 bytes) and all of those that are not or ended last, and ends with a `Report`.
What was not finished when the story was cut off is pending, not wrong. What a writer has read and left undone is.

A frame is vouched for by the next one of its writer, which names its hash; the last one only by what it says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from bot4_common.idempotency import WINDOW_NS
from bot4_common.log import Record
from bot4_common.messages.frame import AnyEvent, Frame, decode_frame
from bot4_common.messages.terms import EventId
from bot4_common.streams import venue_of
from bot4_journal.audit.causality import CausalOrder
from bot4_journal.audit.findings import RULES, Finding, Findings
from bot4_journal.audit.money import MoneyRules
from bot4_journal.audit.orders import OrderRules
from bot4_journal.audit.venue import VenueRules
from bot4_journal.continuity import Break, Continuity, place

__all__ = ["RULES", "Auditor", "Finding", "Report"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`findings` are the first of `found`. `counts` are the events heard, by tag; `pending` is what was still to
    follow at the end. `unprotected_ns_max` is the longest time from a trade until its stop was armed, and
    `unprotected_order` the order that traded."""

    findings: list[Finding]
    found: int
    frames: int
    counts: dict[str, int]
    pending: dict[str, int]
    unprotected_ns_max: int
    unprotected_order: str

    @property
    def clean(self) -> bool:
        return self.found == 0


class Auditor:
    """`venues` names those whose streams are fed as well, each up to an end that was looked up after the journal's."""

    def __init__(self, venues: Iterable[str] = (), window_ns: int = WINDOW_NS) -> None:
        self._findings = Findings()
        self._followed: dict[str, Continuity] = defaultdict(Continuity)
        self._order = CausalOrder()
        self._orders = OrderRules(self._findings, window_ns)
        self._money = MoneyRules(self._findings)
        self._venues = {venue: VenueRules(self._findings) for venue in venues}
        self._read: dict[str, dict[str, int]] = defaultdict(dict)
        self._causes: dict[tuple[str, str], EventId] = {}
        self._frames = 0
        self._counts: Counter[str] = Counter()

    def hear(self, record: Record) -> None:
        frame = self._followed_frame(record)
        if frame is None:
            return
        for stream, sequence, due in self._order.add(*record.origin, frame):
            self._judge(stream, sequence, due)

    def report(self, ends: Mapping[str, int] | None = None) -> Report:
        """Closes the audit. `ends` are the last sequences of the merged streams, if all of them had to be there."""
        for stream, end in (ends or {}).items():
            seen = max((followed.origins.get(stream, 0) for followed in self._followed.values()), default=0)
            if seen < end:
                self._findings.add("origin", f"{stream} {end}", f"the last frame that was merged is {seen}")
        self._money.close()
        for rules in self._venues.values():
            rules.close()
        return Report(
            findings=self._findings.kept,
            found=self._findings.total,
            frames=self._frames,
            counts=dict(sorted(self._counts.items())),
            pending=self._pending(),
            unprotected_ns_max=self._money.unprotected_ns_max,
            unprotected_order=self._money.unprotected_order,
        )

    def _pending(self) -> dict[str, int]:
        orders, money = self._orders, self._money
        return {
            "frames whose causes are not merged yet": len(self._order),
            "requests without an answer": len(orders.answers.unanswered),
            "approved orders not sent": sum(map(len, orders.children.unsent.values())),
            "approved amends not sent": sum(map(len, orders.children.unamended.values())),
            "fills that the end of an order left out": len(orders.children.untold),
            "amends without an outcome": orders.children.amends_under_way,
            "ended or changed orders not settled": sum(map(len, orders.reservations.unsettled.values())),
            "fills without a position": sum(map(len, money.unmoved.values())),
            "fills without a cost": sum(map(len, money.uncosted.values())),
            "costs whose fee is not booked": sum(map(len, money.unbooked.values())),
            "fills that a venue withholds": sum(len(rules.withheld) for rules in self._venues.values()),
            "messages told and not taken": sum(len(rules.told) for rules in self._venues.values()),
        }

    def _followed_frame(self, record: Record) -> Frame | None:
        followed = self._followed[record.stream]
        try:
            if not followed.take(record):
                return None
        except Break as broken:
            self._findings.add(broken.rule, place(record), str(broken))
            followed.trust(record)
        try:
            return decode_frame(record.data)
        except msgspec.DecodeError as error:
            self._findings.add("frame", place(record), str(error))
            return None

    def _judge(self, stream: str, sequence: int, frame: Frame) -> None:
        self._frames += 1
        self._check_read(EventId(stream, sequence, 0), frame)
        speaker, at_venue = _speaker(stream), venue_of(stream)
        index = 0
        for decision in frame.decisions:
            id = EventId(stream, sequence, index)
            if decision.cause is not None:
                self._check_cause(id, frame, decision.cause)
            for event in decision.events:
                id = EventId(stream, sequence, index)
                self._counts[str(event.__struct_config__.tag)] += 1
                # A venue's events do not name it, their stream does; ours name the venue that they are about.
                rules = self._venues.get(at_venue or str(getattr(event, "venue", "")))
                if rules is not None and speaker in ("VENUE", "EXECUTION"):
                    rules.hear(id, event)
                self._hear(speaker, id, event, decision.cause, frame.decided_at)
                index += 1
            if speaker == "RISK":
                self._orders.end_decision(id)
                self._money.end_decision(id)
            elif at_venue in self._venues:
                self._venues[at_venue].end_decision(id)
        self._settle(speaker, frame)

    def _hear(self, speaker: str, id: EventId, event: AnyEvent, cause: EventId | None, at: int) -> None:
        match speaker:
            case "GATEWAY":
                self._orders.hear_gateway(id, event, cause)
            case "RISK":
                self._orders.hear_risk(id, event, cause)
                self._money.hear(id, event, cause, at)
            case "EXECUTION":
                self._orders.hear_execution(id, event, cause)
                self._money.hear(id, event, cause, at)
            case "COST":
                self._money.hear(id, event, cause, at)

    def _check_read(self, id: EventId, frame: Frame) -> None:
        read = self._read[id.stream]
        for stream, sequence in frame.read.items():
            if sequence < read.get(stream, 0):
                self._findings.add("read", id, f"{stream} was read to {read[stream]}, now to {sequence}")
            read[stream] = max(sequence, read.get(stream, 0))

    def _check_cause(self, id: EventId, frame: Frame, cause: EventId) -> None:
        last = self._causes.get((frame.writer, cause.stream))
        if last is not None and cause <= last:
            self._findings.add("cause", id, f"{cause} was decided after {last}")
        if cause.sequence > frame.read.get(cause.stream, 0):
            self._findings.add("cause", id, f"{cause} was decided and not read")
        self._causes[frame.writer, cause.stream] = cause if last is None else max(cause, last)

    def _settle(self, speaker: str, frame: Frame) -> None:
        """What the writer has read by now, it has answered by now."""
        if speaker == "RISK":
            shards = [read.get("GATEWAY", 0) for name, read in self._read.items() if name.startswith("RISK")]
            self._orders.gateway_read(min(shards))
        for heard, through in frame.read.items():
            if speaker == "RISK":
                self._orders.risk_read(heard, through)
                self._money.risk_read(heard, through)
            elif speaker == "EXECUTION":
                self._orders.execution_read(heard, through)
            elif speaker == "COST":
                self._money.cost_read(heard, through)


def _speaker(stream: str) -> str:
    """Who writes it: GATEWAY, RISK, EXECUTION, COST or VENUE."""
    return stream.split("_", 1)[0]
