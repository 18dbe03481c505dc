"""What does execution know? The orders it has sent, what it awaits of each, and how far it has read each feed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from bot4_common.messages.execution import AmendSent, CancelSent, FeedAdvanced, OrderAmended, OrderFilled, OrderSent
from bot4_common.messages.terms import Order
from bot4_common.money import ZERO
from bot4_execution.breakers import Breakers, Outcome
from bot4_execution.lifecycle import AT_VENUE, LIFE, OVER, News, Stage
from bot4_execution.session import Session

# How long a request may go unanswered before it is unknown: far beyond any latency of a living venue.
PATIENCE_NS = 1_000_000_000
# Finished children are remembered for repeats and contradictions in the feed, and for fills that are told late: so many
# end in some seconds, and in a snapshot they are some megabytes.
FINISHED_KEPT = 8_000


class Amend(msgspec.Struct, kw_only=True):
    """A new total and price that the venue was asked for. `put_off` is the code with which it did not take that just
    now, so that it is to be asked again; empty while an answer is awaited."""

    quantity: Decimal
    price: Decimal | None
    expires_at: int
    put_off: str = ""

    def is_met_by(self, quantity: Decimal, price: Decimal | None) -> bool:
        return (quantity, price) == (self.quantity, self.price)


class Child(msgspec.Struct, kw_only=True):
    """An order at a venue: `order` as it was sent, `quantity` and `price` as the venue last said.

    `cancelling` while a cancel is wanted and not refused. `probes` are the breakers that wait for what comes of it.
    """

    order_id: str
    child_id: str
    account: str
    venue: str
    order: Order
    bid: Decimal
    ask: Decimal
    expires_at: int
    quantity: Decimal
    price: Decimal | None
    stage: Stage = "sent"
    cumulative: Decimal = ZERO
    prevented: Decimal = ZERO
    cancelling: bool = False
    amend: Amend | None = None
    probes: list[str] = []
    trades: dict[str, tuple[Decimal, Decimal]] = {}

    @property
    def fillable(self) -> Decimal:
        """What of its total was filled or can be: self-trade prevention may have taken a part."""
        return self.quantity - self.prevented

    @property
    def leaves(self) -> Decimal:
        return self.fillable - self.cumulative

    @property
    def names(self) -> dict[str, str]:
        """What every event about it says."""
        return {"order_id": self.order_id, "child_id": self.child_id, "account": self.account, "venue": self.venue}


class State(msgspec.Struct, kw_only=True):
    """Children by id, live and recently finished, and by venue the session with it."""

    live: dict[str, Child] = {}
    finished: dict[str, Child] = {}
    # Children that were refused here and never sent, and for which venue; as many as of the finished ones.
    refused: dict[str, str] = {}
    sessions: dict[str, Session] = {}
    # Children with an answer awaited, and when it is overdue (ns), in that order: every request waits equally long.
    awaited: dict[str, int] = {}
    breakers: Breakers = msgspec.field(default_factory=Breakers)

    def child(self, child_id: str) -> Child | None:
        return self.live.get(child_id) or self.finished.get(child_id)

    def session(self, venue: str) -> Session:
        """To look at; with a venue that has said nothing yet it is new."""
        return self.sessions.get(venue) or Session()

    # Only `evolve` calls what follows.

    def own_session(self, venue: str) -> Session:
        return self.sessions.setdefault(venue, Session())

    def send(self, sent: OrderSent) -> None:
        child = Child(
            order_id=sent.order_id,
            child_id=sent.child_id,
            account=sent.account,
            venue=sent.venue,
            order=sent.order,
            bid=sent.bid,
            ask=sent.ask,
            expires_at=sent.expires_at,
            quantity=sent.order.quantity,
            price=sent.order.price,
            probes=self.breakers.call(sent.venue, sent.sent_at),
        )
        self.live[child.child_id] = child
        self.await_answer(child, sent.sent_at)

    def record(self, outcome: Outcome) -> None:
        child = self.child(outcome.child_id)
        if child is None:
            self.breakers.record(outcome, ())
            return
        self.breakers.record(outcome, child.probes)
        # The first that comes of a probe is what it shows.
        child.probes = []

    def refuse(self, child_id: str, venue: str) -> None:
        self.refused[child_id] = venue
        _forget_oldest(self.refused)

    def amend(self, sent: AmendSent) -> None:
        child = self.live[sent.child_id]
        child.amend = Amend(quantity=sent.quantity, price=sent.price, expires_at=sent.expires_at)
        self._await_change(child, sent.sent_at)

    def cancel(self, sent: CancelSent) -> None:
        child = self.live[sent.child_id]
        child.cancelling = True
        self._await_change(child, sent.sent_at)

    def _await_change(self, child: Child, now: int) -> None:
        """Until the order is known to be at the venue, the answer awaited is that to the order."""
        if child.stage in AT_VENUE:
            self.await_answer(child, now)

    def fill(self, filled: OrderFilled) -> None:
        child = (self.finished if filled.late else self.live)[filled.child_id]
        child.cumulative = filled.cumulative
        child.trades[filled.trade_id] = (filled.price, filled.quantity)
        news: News = "filled_in_part" if filled.leaves else "filled"
        if filled.late:
            child.stage = LIFE[child.stage, news]
        else:
            self.move(filled.child_id, news)

    def put_off(self, advanced: FeedAdvanced) -> None:
        child = self.live[advanced.child_id]
        if advanced.request == "amend" and child.amend is not None:
            child.amend.put_off = advanced.code

    def resize(self, amended: OrderAmended) -> None:
        child = self.live[amended.child_id]
        child.quantity, child.price = amended.quantity, amended.price
        if child.amend is not None and child.amend.is_met_by(amended.quantity, amended.price):
            child.amend = None
            self._settle(child)

    def refuse_amend(self, child_id: str) -> None:
        child = self.live.get(child_id)
        if child is not None:
            child.amend = None
            self._settle(child)

    def refuse_cancel(self, child_id: str) -> None:
        """A cancel is refused when the order is over, or not there yet; only then it stays wanted."""
        child = self.live.get(child_id)
        if child is not None and child.stage in AT_VENUE:
            child.cancelling = False
            self._settle(child)

    def await_answer(self, child: Child, now: int) -> None:
        """From now an answer is awaited; the one asked last is due last."""
        self.awaited.pop(child.child_id, None)
        self.awaited[child.child_id] = now + PATIENCE_NS

    def acknowledge(self, child_id: str) -> None:
        self.move(child_id, "acknowledged")
        self._settle(self.live[child_id])

    def move(self, child_id: str, news: News) -> None:
        child = self.live[child_id]
        child.stage = LIFE[child.stage, news]
        if child.stage not in OVER:
            return
        self.awaited.pop(child_id, None)
        self.finished[child_id] = self.live.pop(child_id)
        _forget_oldest(self.finished)

    def _settle(self, child: Child) -> None:
        """One request was answered; nothing is awaited unless there is another."""
        if child.stage in AT_VENUE and not child.cancelling and child.amend is None:
            self.awaited.pop(child.child_id, None)


def _forget_oldest(kept: dict[str, Child] | dict[str, str]) -> None:
    if len(kept) > FINISHED_KEPT:
        del kept[next(iter(kept))]
