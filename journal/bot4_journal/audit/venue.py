"""Does what we believe agree with what happened at the venue?

The venue's own stream is the truth; what execution took from its session feed is what we believe. Both number the
same messages, so they can be compared one by one, whichever of the two is heard first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelRejected,
    FeedAdvanced,
    FillQuarantined,
    ListSent,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTriggered,
    OrderTrimmed,
)
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.market import SessionMessage
from bot4_common.messages.terms import Event, EventId, Side, opposite
from bot4_common.messages.venue import (
    VenueAmendEntered,
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFilled,
    VenueFillWithheld,
    VenueListEntered,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderEntered,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTriggered,
    VenueOrderTrimmed,
    VenueTraded,
)
from bot4_common.money import ZERO
from bot4_journal.audit.findings import Findings

# What a session may make of each message, and which fields the two then share.
TAKEN_AS: dict[type[Event], dict[type[Event], tuple[str, ...]]] = {
    VenueOrderAccepted: {OrderAcknowledged: ("child_id", "account", "venue_order_id"), FeedAdvanced: ()},
    VenueOrderRejected: {OrderRejected: ("child_id", "account", "code"), FeedAdvanced: ()},
    VenueFilled: {
        OrderFilled: (
            "child_id",
            "account",
            "symbol",
            "side",
            "trade_id",
            "price",
            "quantity",
            "cumulative",
            "leaves",
            "liquidity",
        )
    },
    VenueOrderTriggered: {OrderTriggered: ("child_id", "account"), FeedAdvanced: ()},
    VenueOrderAmended: {OrderAmended: ("child_id", "account", "quantity", "price", "leaves"), FeedAdvanced: ()},
    VenueAmendRejected: {AmendRejected: ("child_id", "account", "code"), FeedAdvanced: ()},
    VenueOrderPrevented: {OrderPrevented: ("child_id", "account", "other_id", "quantity", "leaves"), FeedAdvanced: ()},
    VenueOrderTrimmed: {OrderTrimmed: ("child_id", "account", "quantity"), FeedAdvanced: ()},
    VenueOrderCancelled: {OrderCancelled: ("child_id", "account", "quantity", "reason"), FeedAdvanced: ()},
    VenueOrderExpired: {OrderExpired: ("child_id", "account", "quantity", "reason"), FeedAdvanced: ()},
    VenueCancelRejected: {CancelRejected: ("child_id", "account", "code"), FeedAdvanced: ()},
    VenueOrderStatus: {
        OrderLost: ("child_id", "account"),
        OrderAmended: ("child_id", "account", "quantity", "price", "leaves"),
        AmendRejected: ("child_id", "account"),
        FeedAdvanced: (),
    },
}

# What says that a message of the feed was taken.
TAKEN: tuple[type[Event], ...] = (FillQuarantined, *{kind for kinds in TAKEN_AS.values() for kind in kinds})

Number = tuple[str, int]  # session, number in it
Terms = tuple[Decimal, Decimal | None]  # total and price


@dataclass(slots=True)
class _Live:
    """An order the venue has accepted and not ended."""

    quantity: Decimal
    cumulative: Decimal = ZERO
    prevented: Decimal = ZERO
    triggered: bool = False
    trades: set[str] = field(default_factory=set)

    @property
    def leaves(self) -> Decimal:
        """44"""
        return self.quantity - self.cumulative - self.prevented


class VenueRules:
    """Hears the stream of one venue, and what our streams say of it; a session has the name of the stream that takes
    it."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._sent: dict[str, OrderSent] = {}
        self._lists: dict[str, ListSent] = {}
        # The amends sent of each order, by what they ask for: the venue's stream may be heard long after.
        self._amends: dict[str, dict[Terms, AmendSent]] = defaultdict(dict)
        self._live: dict[str, _Live] = {}
        self._sides: dict[tuple[str, str], tuple[VenueTraded, Side]] = {}
        # Fills that sessions are told of later, by order.
        self.withheld: dict[str, VenueFilled] = {}
        self._last: dict[str, int] = defaultdict(int)
        self.told: dict[Number, SessionMessage] = {}
        self._taken: dict[Number, tuple[EventId, Event]] = {}

    def hear(self, id: EventId, event: AnyEvent) -> None:
        match event:
            case OrderSent():
                self._sent[event.child_id] = event
            case ListSent():
                self._lists[event.list_id] = event
            case AmendSent():
                self._amends[event.child_id][event.quantity, event.price] = event
            case VenueOrderEntered():
                self._order_entered(id, event)
            case VenueListEntered():
                self._list_entered(id, event)
            case VenueAmendEntered():
                self._amend_entered(id, event)
            case VenueOrderAccepted():
                self._accepted(id, event)
            case VenueOrderRejected():
                self._sent.pop(event.child_id, None)
            case VenueTraded():
                self._traded(event)
            case VenueFilled() if event.child_id in self.withheld:
                self._told_late(id, event)
            case VenueFilled():
                self._filled(id, event)
            case VenueFillWithheld():
                self._filled(id, event.fill)
                self.withheld[event.fill.child_id] = event.fill
            case VenueOrderTriggered():
                self._triggered(id, event)
            case VenueOrderAmended():
                self._amended(id, event)
            case VenueOrderPrevented():
                self._prevented(id, event)
            case VenueOrderTrimmed():
                self._trimmed(id, event)
            case VenueOrderCancelled() | VenueOrderExpired():
                self._ended(id, event.child_id, event.quantity)
        if isinstance(event, SessionMessage):
            self._told(id, event)
        elif isinstance(event, TAKEN):
            number = getattr(event, "session_sequence", 0)
            if number:  # else it did not come from the feed
                self._took(id, event, number)

    def end_decision(self, id: EventId) -> None:
        for (trade_id, child_id), _ in self._sides.items():
            self._findings.add("venue_trade", id, f"{child_id} was not told its side of {trade_id}")
        self._sides.clear()
        for child_id in [child_id for child_id in self.withheld if child_id not in self._live]:
            self._findings.add(
                "venue_trade", id, f"{child_id} is over, and was not told of {self.withheld.pop(child_id)}"
            )

    def close(self) -> None:
        """Whatever a session has taken by now, the venue has told it by now."""
        for (session, number), (id, event) in self._taken.items():
            self._findings.add("venue_told", id, f"{event} was taken as number {number} of {session}, never told")

    def _order_entered(self, id: EventId, event: VenueOrderEntered) -> None:
        sent = self._sent.get(event.child_id)
        if sent is None or sent.list_id or (sent.account, sent.order) != (event.account, event.order):
            self._findings.add("venue_order", id, f"{event.child_id} is taken up alone: {sent}")
        elif _is_late(event.at, sent):
            self._findings.add("venue_order", id, f"{event.child_id} is taken up after {sent.expires_at}")

    def _list_entered(self, id: EventId, event: VenueListEntered) -> None:
        sent = self._lists.pop(event.list_id, None)
        said = event.account, event.kind, event.legs
        if sent is None or said != (sent.account, sent.kind, sent.legs):
            self._findings.add("venue_order", id, f"{event} was sent as {sent}, or taken up before")
        elif _is_late(event.at, sent):
            self._findings.add("venue_order", id, f"{event.list_id} is taken up after {sent.expires_at}")

    def _amend_entered(self, id: EventId, event: VenueAmendEntered) -> None:
        amends = self._amends.get(event.child_id, {})
        sent = amends.get((event.quantity, event.price))
        if sent is None or event.account != sent.account:
            self._findings.add("venue_order", id, f"{event} was sent as {list(amends.values())}")
        elif _is_late(event.at, sent):
            self._findings.add("venue_order", id, f"the amend of {event.child_id} comes after {sent.expires_at}")

    def _accepted(self, id: EventId, event: VenueOrderAccepted) -> None:
        sent = self._sent.pop(event.child_id, None)
        if sent is None:
            self._findings.add("venue_order", id, f"{event.child_id} was never sent, or accepted before")
        elif sent.order != event.order:
            self._findings.add("venue_order", id, f"{event.order} was sent as {sent.order}")
        self._live[event.child_id] = _Live(event.order.quantity)

    def _traded(self, event: VenueTraded) -> None:
        sides = (event.maker_id, opposite(event.taker_side)), (event.taker_id, event.taker_side)
        for child_id, side in sides:
            if child_id in self._live:
                self._sides[event.trade_id, child_id] = event, side

    def _filled(self, id: EventId, event: VenueFilled) -> None:
        trade, side = self._sides.pop((event.trade_id, event.child_id), (None, None))
        said = event.symbol, event.price, event.quantity, event.side
        if trade is None or said != (trade.symbol, trade.price, trade.quantity, side):
            self._findings.add("venue_trade", id, f"{event.child_id} was told {said} of {event.trade_id}: {trade}")
        live = self._live.get(event.child_id)
        if live is None:
            self._findings.add("venue_fill", id, f"{event.child_id} is not open at the venue")
            return
        cumulative, leaves = live.cumulative + event.quantity, live.leaves - event.quantity
        if leaves < 0 or (event.cumulative, event.leaves) != (cumulative, leaves) or event.trade_id in live.trades:
            self._findings.add(
                "venue_fill",
                id,
                f"{event.child_id}: {event.quantity} in {event.trade_id} is not {event.cumulative} with {event.leaves} "
                f"left: {live}",
            )
        live.cumulative = cumulative
        live.trades.add(event.trade_id)
        if leaves <= 0:
            self._over(event.child_id)

    def _told_late(self, id: EventId, event: VenueFilled) -> None:
        withheld = self.withheld.pop(event.child_id)
        if event != replace(withheld, session_sequence=event.session_sequence):
            self._findings.add("venue_trade", id, f"{event} was withheld as {withheld}")

    def _triggered(self, id: EventId, event: VenueOrderTriggered) -> None:
        live = self._live.get(event.child_id)
        if live is None or live.triggered:
            self._findings.add("venue_order", id, f"{event.child_id} triggers: {live}")
        else:
            live.triggered = True

    def _amended(self, id: EventId, event: VenueOrderAmended) -> None:
        live = self._live.get(event.child_id)
        if live is not None:
            live.quantity = event.quantity
        if live is None or not event.leaves == live.leaves > 0:
            self._findings.add("venue_fill", id, f"{event.child_id} has {event.quantity} from here on: {live}")

    def _prevented(self, id: EventId, event: VenueOrderPrevented) -> None:
        live = self._live.get(event.child_id)
        if live is not None:
            live.prevented += event.quantity
        if live is None or event.quantity <= 0 or not event.leaves == live.leaves >= 0:
            self._findings.add("venue_fill", id, f"{event.child_id} loses {event.quantity} to its owner's: {live}")

    def _trimmed(self, id: EventId, event: VenueOrderTrimmed) -> None:
        live = self._live.get(event.child_id)
        if live is None or not live.cumulative + live.prevented < event.quantity < live.quantity:
            self._findings.add("venue_fill", id, f"{event.child_id} is trimmed to {event.quantity}: {live}")
        else:
            live.quantity = event.quantity

    def _ended(self, id: EventId, child_id: str, quantity: Decimal) -> None:
        live = self._live.get(child_id)
        if live is None or live.leaves != quantity:
            self._findings.add("venue_fill", id, f"{child_id} ends with {quantity}: {live}")
        self._over(child_id)

    def _over(self, child_id: str) -> None:
        self._live.pop(child_id, None)
        self._amends.pop(child_id, None)

    def _told(self, id: EventId, message: SessionMessage) -> None:
        session, number = message.session, message.session_sequence
        if number != self._last[session] + 1:
            self._findings.add("feed", id, f"number {number} of {session} was told after {self._last[session]}")
        self._last[session] = max(number, self._last[session])
        taken = self._taken.pop((session, number), None)
        if taken is None:
            self.told[session, number] = message
        else:
            self._compare(message, *taken)

    def _took(self, id: EventId, event: Event, number: int) -> None:
        told = self.told.pop((id.stream, number), None)
        if told is None:
            self._taken[id.stream, number] = id, event
        else:
            self._compare(told, id, event)

    def _compare(self, told: SessionMessage, id: EventId, taken: Event) -> None:
        shared = TAKEN_AS[type(told)].get(type(taken))
        if shared is None or any(getattr(told, name) != getattr(taken, name) for name in shared):
            self._findings.add("venue_told", id, f"{taken} was told as {told}")


def _is_late(at: int, sent: OrderSent | ListSent | AmendSent) -> bool:
    """A request must not be taken up after its time."""
    return at > sent.expires_at
