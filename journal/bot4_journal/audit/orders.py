"""Was every order decided once, sent once, filled within its bounds and ended once?

Here is how the rules for orders go together, and what an approval must be whatever it answers; each part has a module
of its own: answers, reservations, lists, children.
"""

from __future__ import annotations

from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import AmendOrder
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    CancelRefused,
    HeldOrderCancelled,
    ListApproved,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    PositionFlattened,
    ReservationAmended,
    StopTriggered,
)
from bot4_common.messages.terms import EventId
from bot4_journal.audit.answers import AnswerRules, Changed
from bot4_journal.audit.children import ChildRules
from bot4_journal.audit.controls import ControlRules
from bot4_journal.audit.findings import Findings
from bot4_journal.audit.lists import ListRules
from bot4_journal.audit.reservations import ReservationRules


class OrderRules:
    """`window_ns` is how long a client order id stays taken."""

    def __init__(self, findings: Findings, window_ns: int) -> None:
        self._findings = findings
        self._controls = ControlRules(findings)
        self.reservations = ReservationRules(findings)
        self._lists = ListRules(findings, self.reservations)
        self.children = ChildRules(findings, self._controls, self._lists)
        self.answers = AnswerRules(
            findings, self._controls, window_ns, self.reservations.live, self.reservations.list_of
        )
        # Of the decision being heard: the exits that it wants.
        self._exits: dict[str, EventId] = {}

    def hear_gateway(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        self.answers.asked(id, event)
        self._controls.hear(id, event, cause)

    def hear_execution(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        self.reservations.told(id, event)
        self.children.hear(id, event, cause)
        self._controls.hear(id, event, cause)

    def hear_risk(self, id: EventId, event: AnyEvent, cause: EventId | None) -> None:
        self.answers.hear(id, event, cause)
        match event:
            case StopTriggered() | PositionFlattened():
                self._exits[event.exit_id] = id
            case OrderApproved():
                self._approved(id, event, cause)
            case OrderHeld():
                self._held(id, event, cause)
            case OrderRefused() | OrderRepeated():
                self.answers.order_decided(id, event, cause)
                if isinstance(event, OrderRefused):
                    self.answers.taken(id, event)
            case AmendApproved() | AmendRefused() | ReservationAmended():
                self._change(id, event, cause)
            case CancelApproved() | CancelRefused() | HeldOrderCancelled():
                self._change(id, event, cause)
            case ListApproved() if event.native:
                self.children.approved(id, event)
        self.reservations.hear(id, event, cause)
        self._lists.hear(id, event)
        self._controls.hear(id, event, cause)

    def end_decision(self, id: EventId) -> None:
        """Of risk."""
        for exit_id, wanted_at in self._exits.items():
            self._findings.add("exit", wanted_at, f"the exit {exit_id} was not approved")
        self._exits.clear()
        self.reservations.end_decision(id)
        self._lists.end_decision(id)
        self.answers.end_decision()

    def gateway_read(self, through: int) -> None:
        """All risk shards have read the gateway's stream so far."""
        self.answers.gateway_read(through)

    def risk_read(self, stream: str, through: int) -> None:
        """The risk shard has read the stream of its execution shard so far."""
        self.reservations.risk_read(stream, through)

    def execution_read(self, stream: str, through: int) -> None:
        self.children.execution_read(stream, through)

    def _approved(self, id: EventId, event: OrderApproved, cause: EventId | None) -> None:
        wanted = self._exits.pop(event.order_id, None)
        if wanted is None:
            self._check_killed(id, event)
        self._check_stop_loss(id, event)
        if event.list_id:
            self._lists.leg_decided(id, event)
        if self.reservations.is_held(event.order_id):
            self.reservations.send(id, event)
        else:
            self._begin(id, event, cause, asked=wanted is None)
        self.children.approved(id, event)

    def _held(self, id: EventId, event: OrderHeld, cause: EventId | None) -> None:
        self._check_killed(id, event)
        self._check_stop_loss(id, event)
        if event.list_id:
            self._lists.leg_decided(id, event)
        self._begin(id, event, cause, asked=True)

    def _begin(self, id: EventId, event: OrderApproved | OrderHeld, cause: EventId | None, asked: bool) -> None:
        """An order that is new; a list answers for its legs, and nobody `asked` for an exit."""
        if not event.list_id:
            if asked:
                self.answers.order_decided(id, event, cause)
            self.answers.taken(id, event)
        self.reservations.begin(id, event)

    def _change(self, id: EventId, event: Changed, cause: EventId | None) -> None:
        asked = self.answers.change_decided(id, event, cause)
        if not isinstance(event, AmendApproved):
            return
        self.children.unamended[id.stream].add(id, event)
        reserved = self.reservations.open.get(event.order_id)
        if reserved is None or not isinstance(asked, AmendOrder) or event.quantity <= reserved.order.quantity:
            return
        switch = self._controls.killed(event.account, reserved.order)
        if switch is not None:
            self._findings.add("killed", id, f"{event.order_id} is amended to {event.quantity}: {' '.join(switch)}")

    def _check_killed(self, id: EventId, event: OrderApproved | OrderHeld) -> None:
        switch = self._controls.killed(event.account, event.order)
        if switch is not None:
            self._findings.add("killed", id, f"{event.order_id} of {event.account}: {' '.join(switch)}")

    def _check_stop_loss(self, id: EventId, event: OrderApproved | OrderHeld) -> None:
        opens = isinstance(event, OrderApproved) and event.opening
        if event.order.stop_loss is None and (opens or not event.order.reduce_only):
            self._findings.add("stop_loss", id, f"{event.order_id} has none: {event.order}")
