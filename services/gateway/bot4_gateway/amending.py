"""What became of one amend? Of several under way for an order, who asked for which?

Risk names the command as the cause of what it says to it, and lets one amend of an order go to the venue at a time: so
what the venue says after risk's yes is about that amend. An order that risk itself holds it amends at once.
"""

from __future__ import annotations

from typing import NamedTuple

from bot4_common.messages.execution import AmendRejected, OrderAmended
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.risk import AmendApproved, AmendRefused, ReservationAmended
from bot4_common.messages.terms import EventId
from bot4_common.orders import order_id_of


class Refusal(NamedTuple):
    code: str
    details: dict[str, str]


class Amending:
    """Follows one amend by the events of its order. `approved`: risk has said yes; `is_over`: all has been said."""

    def __init__(self) -> None:
        self.approved = False
        self.is_over = False
        self.refusal: Refusal | None = None
        self._id = ""
        # What was heard before the id was known: the stream may be quicker than the answer to the append. Nobody waits
        # long for that, so it is not much.
        self._heard: list[tuple[AnyEvent, EventId | None]] = []

    def name(self, id: str) -> None:
        """The command is stored, and this is its id."""
        self._id = id
        for event, cause in self._heard:
            self._take(event, cause)

    def hear(self, event: AnyEvent, cause: EventId | None) -> None:
        if self._id:
            self._take(event, cause)
        else:
            self._heard.append((event, cause))

    def _take(self, event: AnyEvent, cause: EventId | None) -> None:
        if self.is_over:
            return
        match event:
            case AmendApproved():
                self.approved = self.approved or self._is_own(cause)
            case AmendRefused() if self._is_own(cause):
                self._end(Refusal(event.code, event.details))
            case OrderAmended() if self.approved:
                self._end(None)
            case AmendRejected() | ReservationAmended() if self.approved or self._is_own(cause):
                self._end(Refusal(event.code, {}) if event.code else None)

    def _is_own(self, cause: EventId | None) -> bool:
        return cause is not None and order_id_of(cause.sequence, cause.index) == self._id

    def _end(self, refusal: Refusal | None) -> None:
        self.is_over = True
        self.refusal = refusal
