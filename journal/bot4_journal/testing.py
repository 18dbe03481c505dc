"""What does a journal look like in which nothing went wrong? A small one, made up from a seed.

It tells of orders of every fate: refused, repeated, rejected, lost, filled in parts, crossed with each other,
cancelled, expired, stopped out. Each round of the story is a few frames of each writer, as the services would write
them. Whoever wants a fault to be found changes a frame before `sealed` chains them, or a record afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from bot4_common import streams
from bot4_common.log import Record
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    AmendRejected,
    CancelSent,
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
    OutcomeUnknown,
    QuerySent,
)
from bot4_common.messages.frame import AnyEvent, Decision, Frame, encode, frame_hash
from bot4_common.messages.gateway import CancelOrder, EngageKillSwitch, PlaceOrder, ResetKillSwitch
from bot4_common.messages.market import SessionMessage
from bot4_common.messages.risk import (
    CancelApproved,
    FeeBooked,
    KillSwitchEngaged,
    KillSwitchReset,
    OrderApproved,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    ReservationAmended,
    ReservationReduced,
    ReservationReleased,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Event, EventId, Order, Side, opposite, signed
from bot4_common.messages.venue import (
    VenueAmendRejected,
    VenueFilled,
    VenueFillWithheld,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderStatus,
    VenueOrderTriggered,
    VenueOrderTrimmed,
    VenueTraded,
)
from bot4_common.money import ZERO, multiply
from bot4_common.orders import fingerprint, order_id_of

Fate = Literal[
    "refused", "repeated", "rejected", "lost", "filled", "cancelled", "expired", "stopped", "reduced", "late",
    "resting", "untouched",
]  # fmt: skip
# Those that come to an end by themselves.
FATES: tuple[Fate, ...] = (
    "refused", "repeated", "rejected", "lost", "filled", "cancelled", "expired", "stopped", "reduced", "late",
)  # fmt: skip

WRITERS = {
    streams.GATEWAY: "gateway-0",
    streams.RISK: "risk-0",
    streams.EXECUTION: "execution-0",
    streams.COST: "cost-0",
}
HEARS: dict[str, tuple[str, ...]] = {
    streams.GATEWAY: (),
    streams.RISK: (streams.GATEWAY, streams.EXECUTION, streams.COST),
    streams.EXECUTION: (streams.RISK,),
    streams.COST: (streams.EXECUTION,),
}
SYMBOL = "BTC-USDT"
BID, ASK = Decimal("59999.5"), Decimal("60000.5")
MID = (BID + ASK) / 2
BEGIN_NS = 1_700_000_000_000_000_000

Said = tuple[EventId, Any]
E = TypeVar("E", bound=Event)


class Absent(Exception):
    """The story tells of no such event."""


class Story:
    """`frames` by stream, not yet chained; `order` is the order in which they were written. Each round is traded at one
    of the venues; orders for the first one do not name it."""

    def __init__(self, seed: int = 0, venues: Sequence[str] = (streams.VENUE,)) -> None:
        self.frames: dict[str, list[Frame]] = {stream: [] for stream in streams.written(venues)}
        self.order: list[str] = []
        self._rng = Random(seed)
        self._now = BEGIN_NS
        self._fates: dict[str, Fate] = {}
        self._decided: dict[str, PlaceOrder] = {}
        self._sent: dict[str, OrderSent] = {}
        # Of each child: its total by now, what of it was filled, and what self-trade prevention took.
        self._totals: dict[str, Decimal] = {}
        self._cumulative: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._prevented: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._venues = venues
        self._venue = venues[0]
        # Positions by venue and account.
        self._positions: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        # What reduce-only orders of the round want to close.
        self._claimed: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._stops: dict[str, StopArmed] = {}
        self._trades = 0
        self._numbers: dict[str, int] = defaultdict(int)

    def play(self, rounds: int) -> Story:
        for _ in range(rounds):
            if len(self._venues) > 1:
                self._venue = self._rng.choice(self._venues)
            self.trade([self._rng.choice(FATES) for _ in range(self._rng.randint(1, 4))])
            if self._rng.random() < 0.2:
                self.cross()
            if self._rng.random() < 0.1:
                self.kill("alice")
        return self

    def trade(self, fates: list[Fate]) -> list[str]:
        """Orders of these fates are placed in one frame, and come to their end. Gives their ids."""
        placed = self.say(streams.GATEWAY, [Decision(events=[self._place(fate)]) for fate in fates])
        order_ids = [order_id_of(id.sequence, id.index) for id, _ in placed]
        self._fates.update(zip(order_ids, fates, strict=True))
        self._work(self.say(streams.RISK, [self._decide(*said) for said in placed]))
        self._claimed.clear()
        for order_id in order_ids:
            if self._fates[order_id] == "cancelled":
                self._cancel(order_id)
            elif self._fates[order_id] == "stopped":
                self._stop_out(order_id)
        return order_ids

    def cross(self) -> None:
        """An order of alice's rests, and one of bob's takes it."""
        sides: tuple[tuple[str, Side], ...] = (("alice", "buy"), ("bob", "sell"))
        orders = [PlaceOrder(account=account, order=self._order(account, side, "0.005")) for account, side in sides]
        placed = self.say(streams.GATEWAY, [Decision(events=[order]) for order in orders])
        approved = self.say(streams.RISK, [self._decide(*said) for said in placed])
        maker, taker = self.say(streams.EXECUTION, [self._send(*said) for said in approved])
        accepted = [self._accepted(sent) for _, sent in (maker, taker)]
        trade = self._traded(maker[1].child_id, taker[1], Decimal("0.005"))
        filled = [self._told(sent, trade) for _, sent in (maker, taker)]
        self._believe(self.say(streams.venue(self._venue), [Decision(events=[*accepted, trade, *filled])]))

    def kill(self, account: str) -> None:
        """Somebody pulls the kill switch of an account, and resets it."""
        told: dict[str, Any] = {"account": account, "reason": "drill"}
        self.ask(EngageKillSwitch(**told), KillSwitchEngaged(**told))
        self.ask(ResetKillSwitch(**told), KillSwitchReset(**told))

    def sealed(self) -> dict[str, list[bytes]]:
        """The frames as they are stored, chained."""
        stored: dict[str, list[bytes]] = {}
        for stream, frames in self.frames.items():
            stored[stream], previous = [], ""
            for frame in frames:
                stored[stream].append(encode(replace(frame, previous=previous)))
                previous = frame_hash(stored[stream][-1])
        return stored

    def journal(self, rng: Random | None = None) -> list[Record]:
        """The merged stream: in the order of writing, or with `rng` in any order that keeps each stream's own."""
        turns = [stream for stream in self.order if stream in streams.JOURNALED]
        if rng is not None:
            rng.shuffle(turns)
        return merged(self.sealed(), turns)

    def venue(self) -> list[Record]:
        """The venues' own streams, one after the other."""
        sealed = self.sealed()
        return [
            Record(name, number, data, (name, number))
            for name in map(streams.venue, self._venues)
            for number, data in enumerate(sealed[name], 1)
        ]

    # How a fault gets in: where the events of a kind stand, and what becomes of one of them.

    def find(self, kind: type[E], where: Callable[[E], bool] = lambda event: True) -> tuple[Decision, int, E]:
        """The first event of the kind for which `where` is true: its decision, its index there, and itself."""
        for frames in self.frames.values():
            for frame in frames:
                for decision in frame.decisions:
                    for index, event in enumerate(decision.events):
                        if isinstance(event, kind) and where(event):
                            return decision, index, event
        raise Absent(kind.__name__)

    def alter(self, kind: type[E], where: Callable[[E], bool] = lambda event: True, **changes: Any) -> None:
        """Gives the first such event other values, given or made from it."""
        decision, index, event = self.find(kind, where)
        made = {name: value(event) if callable(value) else value for name, value in changes.items()}
        altered: Any = replace(event, **made)
        decision.events[index] = altered

    def remove(self, kind: type[E], where: Callable[[E], bool] = lambda event: True) -> None:
        """Takes the first such event out of its decision."""
        decision, index, _ = self.find(kind, where)
        del decision.events[index]

    def repeat(self, kind: type[E], where: Callable[[E], bool] = lambda event: True) -> None:
        """Says the first such event twice in its decision."""
        decision, index, _ = self.find(kind, where)
        decision.events.insert(index, decision.events[index])

    # What follows are the services, as far as the story needs them.

    def say(self, stream: str, decisions: list[Decision]) -> list[Said]:
        """Writes a frame that has read all there is, and gives its events."""
        self._now += self._rng.randint(1, 2_000_000)
        frames = self.frames[stream]
        hears = HEARS.get(stream, (streams.EXECUTION,))
        frame = Frame(
            writer=WRITERS.get(stream) or f"venue-{streams.venue_of(stream)}-0",
            number=len(frames) + 1,
            previous="",
            decided_at=self._now,
            decisions=decisions,
            read={heard: len(self.frames[heard]) for heard in hears if self.frames[heard]},
        )
        frames.append(frame)
        self.order.append(stream)
        return [(id, event) for id, event, _ in frame.events(stream, len(frames))]

    def ask(self, command: AnyEvent, *answer: AnyEvent) -> list[Said]:
        """Somebody asks for something, and risk answers: gives what risk said."""
        [(cause, _)] = self.say(streams.GATEWAY, [Decision(events=[command])])
        return self.say(streams.RISK, [Decision(cause=cause, events=[*answer])])

    def _work(self, approved: list[Said]) -> None:
        """Approved orders go to the venue; what becomes of them comes back."""
        sending = [self._send(*said) for said in approved if isinstance(said[1], OrderApproved)]
        if sending:
            sent = self.say(streams.EXECUTION, sending)
            self._believe(self.say(streams.venue(self._venue), [self._meet(*said) for said in sent]))

    def _place(self, fate: Fate) -> PlaceOrder:
        if fate == "repeated" and self._decided:
            return self._rng.choice(list(self._decided.values()))
        account = self._rng.choice(("alice", "bob"))
        side: Side = "buy" if account == "alice" else "sell"
        if fate == "reduced" and self._positions[self._venue, account]:
            return PlaceOrder(account=account, order=self._order(account, opposite(side), "0.003", reduce_only=True))
        quantity = f"0.00{self._rng.randint(2, 9)}"
        return PlaceOrder(account=account, order=self._order(account, side, quantity))

    def _order(self, account: str, side: Side, quantity: str, reduce_only: bool = False) -> Order:
        price = ASK if side == "buy" else BID
        return Order(
            client_order_id=f"{account}-{self._rng.getrandbits(48):x}",
            symbol=SYMBOL,
            side=side,
            type="limit",
            quantity=Decimal(quantity),
            strategy=self._rng.choice(("momentum", "carry")),
            price=price,
            reduce_only=reduce_only,
            stop_loss=None if reduce_only else price - signed(side, Decimal(100)),
            venue="" if self._venue == self._venues[0] else self._venue,
        )

    def _decide(self, cause: EventId, asked: PlaceOrder) -> Decision:
        order, account, order_id = asked.order, asked.account, order_id_of(cause.sequence, cause.index)
        known: dict[str, Any] = {"order_id": order_id, "account": account}
        for first, decided in self._decided.items():
            if decided.order.client_order_id == order.client_order_id:
                self._fates[order_id] = "repeated"
                repeated = OrderRepeated(client_order_id=order.client_order_id, first=first, same_body=True, **known)
                return Decision(cause=cause, events=[repeated])
        self._decided[order_id] = asked
        known |= {"fingerprint": fingerprint(order), "at": self._now}
        if order.reduce_only:
            held = abs(self._positions[self._venue, account])
            order = replace(order, quantity=min(order.quantity, held - self._claimed[account]))
            self._claimed[account] += order.quantity
        if self._fates.get(order_id) == "refused" or not order.quantity:
            refused = OrderRefused(order=asked.order, code="ORDER_SIZE", details={"limit": "1"}, **known)
            return Decision(cause=cause, events=[refused])
        order = replace(order, venue=self._venue)
        approved = OrderApproved(order=order, bid=BID, ask=ASK, opening=not order.reduce_only, **known)
        return Decision(cause=cause, events=[approved])

    def _send(self, cause: EventId, approved: OrderApproved) -> Decision:
        return Decision(cause=cause, events=[self._send_child(approved)])

    def _send_child(self, approved: OrderApproved, list_id: str = "") -> OrderSent:
        sent = self._sent[approved.order_id] = OrderSent(
            order_id=approved.order_id,
            child_id=f"{approved.order_id}.1",
            account=approved.account,
            venue=self._venue,
            order=approved.order,
            bid=approved.bid,
            ask=approved.ask,
            sent_at=self._now,
            expires_at=self._now + 5_000_000_000,
            list_id=list_id,
        )
        self._totals[sent.child_id] = approved.order.quantity
        return sent

    def _leaves(self, sent: OrderSent) -> Decimal:
        child_id = sent.child_id
        return self._totals[child_id] - self._cumulative[child_id] - self._prevented[child_id]

    def _meet(self, cause: EventId, sent: OrderSent) -> Decision:
        """What becomes of an order at the venue."""
        fate = self._fates.get(sent.order_id, "filled")
        if fate == "rejected":
            rejected = VenueOrderRejected(code="NOTHING_TO_REDUCE", message="", **self._to(sent))
            return Decision(cause=cause, events=[rejected])
        if fate == "lost":
            status = VenueOrderStatus(state="unknown", cumulative=ZERO, leaves=ZERO, **self._to(sent))
            return Decision(events=[status])
        events: list[AnyEvent] = [self._accepted(sent)]
        # In two parts, of which the second stays open when the order is to end otherwise.
        part = sent.order.quantity / 2
        if fate == "late":
            return Decision(cause=cause, events=[*events, *self._overtaken(sent, part)])
        for _ in range({"untouched": 0, "cancelled": 1, "expired": 1, "resting": 1}.get(fate, 2)):
            trade = self._traded(f"market/{self._trades}", sent, part)
            events += [trade, self._told(sent, trade)]
        if fate == "expired":
            events.append(VenueOrderExpired(quantity=part, reason="unfilled", **self._to(sent)))
        return Decision(cause=cause, events=events)

    def _overtaken(self, sent: OrderSent, part: Decimal) -> list[AnyEvent]:
        """A trade of which the session is told after the order's end."""
        trade = self._traded(f"market/{self._trades}", sent, part)
        fill = self._told(sent, trade)
        end = VenueOrderExpired(quantity=part, reason="unfilled", **self._to(sent))
        first, second = fill.session_sequence, end.session_sequence
        return [
            trade,
            VenueFillWithheld(fill=replace(fill, session_sequence=0), until=self._now),
            replace(end, session_sequence=first),
            replace(fill, session_sequence=second),
        ]

    def _to(self, sent: OrderSent) -> dict[str, Any]:
        """What every message to the session has."""
        self._numbers[sent.venue] += 1
        return {
            "session": streams.EXECUTION,
            "session_sequence": self._numbers[sent.venue],
            "account": sent.account,
            "child_id": sent.child_id,
            "at": self._now,
        }

    def _accepted(self, sent: OrderSent) -> VenueOrderAccepted:
        return VenueOrderAccepted(venue_order_id=f"{sent.venue}-{sent.child_id}", order=sent.order, **self._to(sent))

    def _traded(self, maker_id: str, taker: OrderSent, quantity: Decimal) -> VenueTraded:
        self._trades += 1
        return VenueTraded(
            symbol=SYMBOL,
            trade_id=f"{taker.venue}-{self._trades}",
            price=MID + Decimal(self._rng.randint(-50, 50)) / 100,
            quantity=quantity,
            maker_id=maker_id,
            maker_account="the market",
            taker_id=taker.child_id,
            taker_account=taker.account,
            taker_side=taker.order.side,
            at=self._now,
        )

    def _told(self, sent: OrderSent, trade: VenueTraded) -> VenueFilled:
        self._cumulative[sent.child_id] += trade.quantity
        return VenueFilled(
            trade_id=trade.trade_id,
            symbol=SYMBOL,
            side=sent.order.side,
            price=trade.price,
            quantity=trade.quantity,
            cumulative=self._cumulative[sent.child_id],
            leaves=self._leaves(sent),
            liquidity="taker" if trade.taker_id == sent.child_id else "maker",
            **self._to(sent),
        )

    def _believe(self, told: list[Said]) -> None:
        """Execution takes what the venue told its session; risk and costs answer."""
        believed = [
            Decision(events=self._belief(message)) for _, message in told if isinstance(message, SessionMessage)
        ]
        events = self.say(streams.EXECUTION, believed)
        answers = self.say(streams.RISK, [answer for said in events if (answer := self._answer(*said)).events])
        costs = [self._cost(id, fill) for id, fill in events if isinstance(fill, OrderFilled)]
        if costs:
            self.say(streams.RISK, [self._book(*said) for said in self.say(streams.COST, costs)])
        self._work([said for said in answers if isinstance(said[1], OrderApproved)])

    def _belief(self, message: Any) -> list[AnyEvent]:
        sent = self._sent[message.child_id.rsplit(".", 1)[0]]
        order, leaves = sent.order, self._leaves(sent)
        told: dict[str, Any]
        asked: dict[str, Any] = {
            "order_id": sent.order_id,
            "child_id": sent.child_id,
            "account": sent.account,
            "venue": sent.venue,
        }
        known = asked | {"session_sequence": message.session_sequence}
        match message:
            case VenueOrderAccepted():
                return [OrderAcknowledged(venue_order_id=message.venue_order_id, accepted_at=message.at, **known)]
            case VenueOrderRejected():
                return [OrderRejected(code=message.code, message=message.message, **known)]
            case VenueOrderStatus():
                unknown = OutcomeUnknown(request="order", **asked)
                return [unknown, QuerySent(sent_at=self._now, **asked), OrderLost(quantity=leaves, **known)]
            case VenueOrderCancelled():
                return [OrderCancelled(quantity=message.quantity, reason=message.reason, **known)]
            case VenueOrderExpired():
                return [OrderExpired(quantity=message.quantity, reason=message.reason, **known)]
            case VenueOrderTriggered():
                return [OrderTriggered(**known)]
            case VenueAmendRejected():
                return [AmendRejected(code=message.code, **known)]
            case VenueOrderAmended():
                told = {"quantity": message.quantity, "price": message.price, "leaves": message.leaves}
                return [OrderAmended(**told, **known)]
            case VenueOrderTrimmed():
                return [OrderTrimmed(quantity=message.quantity, leaves=leaves, **known)]
            case VenueOrderPrevented():
                told = {"other_id": message.other_id, "quantity": message.quantity, "leaves": message.leaves}
                return [OrderPrevented(**told, **known)]
        late = self._fates.get(sent.order_id) == "late"
        return [
            OrderFilled(
                strategy=order.strategy,
                symbol=SYMBOL,
                side=message.side,
                trade_id=message.trade_id,
                price=message.price,
                quantity=message.quantity,
                cumulative=message.cumulative,
                leaves=message.leaves,
                liquidity=message.liquidity,
                bid=BID,
                ask=ASK,
                traded_at=message.at,
                late=late,
                stop_loss=order.stop_loss if late else None,
                **known,
            )
        ]

    def _answer(self, cause: EventId, event: AnyEvent) -> Decision:
        """What risk makes of what execution said."""
        return Decision(cause=cause, events=self._settled(event))

    def _settled(self, event: AnyEvent) -> list[AnyEvent]:
        match event:
            case OrderFilled():
                return self._move(event)
            case OrderRejected():
                quantity = self._sent[event.order_id].order.quantity
                return [ReservationReleased(order_id=event.order_id, account=event.account, quantity=quantity)]
            case OrderLost() | OrderCancelled() | OrderExpired():
                return [ReservationReleased(order_id=event.order_id, account=event.account, quantity=event.quantity)]
            case OrderAmended():
                told = {name: getattr(event, name) for name in ("order_id", "account", "quantity", "price", "leaves")}
                return [ReservationAmended(**told)]
            case OrderPrevented():
                prevented: dict[str, Any] = {
                    "order_id": event.order_id,
                    "account": event.account,
                    "quantity": event.quantity,
                }
                return [ReservationReduced(prevented=True, **prevented)]
            case AmendRejected():
                sent = self._sent[event.order_id]
                return [
                    ReservationAmended(
                        order_id=event.order_id,
                        account=event.account,
                        quantity=self._totals[sent.child_id],
                        price=sent.order.price,
                        leaves=self._leaves(sent),
                        code=event.code,
                    )
                ]
        return []

    def _move(self, fill: OrderFilled) -> list[AnyEvent]:
        """The position moves; what is opened gets a stop, what is closed needs none any more."""
        change = signed(fill.side, fill.quantity)
        self._positions[fill.venue, fill.account] += change
        moved = PositionChanged(
            order_id=fill.order_id,
            account=fill.account,
            strategy=fill.strategy,
            symbol=SYMBOL,
            quantity=change,
            price=fill.price,
            position=self._positions[fill.venue, fill.account],
            venue=fill.venue,
        )
        order = self._sent[fill.order_id].order
        if order.stop_loss is not None:
            return [moved, self._arm(fill, order.stop_loss)]
        if "-stop" in fill.order_id:
            return [moved]
        return [moved, *self._trim(fill, fill.quantity)]

    def _arm(self, fill: OrderFilled, stop_price: Decimal) -> StopArmed:
        before = self._stops.get(fill.order_id)
        armed = self._stops[fill.order_id] = StopArmed(
            order_id=fill.order_id,
            account=fill.account,
            strategy=fill.strategy,
            symbol=SYMBOL,
            side=opposite(fill.side),
            quantity=fill.quantity + (ZERO if before is None else before.quantity),
            stop_price=stop_price,
            venue=fill.venue,
        )
        return armed

    def _trim(self, fill: OrderFilled, surplus: Decimal) -> list[AnyEvent]:
        """Shrinks the account's stops at the venue, oldest first."""
        events: list[AnyEvent] = []
        for order_id, stop in self._stops.items():
            cut = min(stop.quantity, surplus)
            if (stop.account, stop.venue) == (fill.account, fill.venue) and cut:
                surplus -= cut
                self._stops[order_id] = replace(stop, quantity=stop.quantity - cut)
                events.append(self._stops[order_id])
        return events

    def _cost(self, cause: EventId, fill: OrderFilled) -> Decision:
        shortfall = multiply(fill.price - MID, signed(fill.side, fill.quantity))
        half = multiply((ASK - BID) / 2, fill.quantity)
        spread = half if fill.liquidity == "taker" else -half
        fee = multiply(multiply(fill.price, fill.quantity), Decimal("0.001"))
        cost = CostRecorded(
            fill=cause,
            order_id=fill.order_id,
            account=fill.account,
            strategy=fill.strategy,
            symbol=SYMBOL,
            venue=fill.venue,
            trade_id=fill.trade_id,
            side=fill.side,
            quantity=fill.quantity,
            price=fill.price,
            arrival_mid=MID,
            spread=spread,
            drift=shortfall - spread,
            fee=fee,
            total=shortfall + fee,
        )
        return Decision(cause=cause, events=[cost])

    def _book(self, cause: EventId, cost: CostRecorded) -> Decision:
        return Decision(cause=cause, events=[FeeBooked(account=cost.account, strategy=cost.strategy, fee=cost.fee)])

    def _cancel(self, order_id: str) -> None:
        known = {"order_id": order_id, "account": self._sent[order_id].account}
        [(approved, _)] = self.ask(CancelOrder(**known), CancelApproved(reason="requested", **known))
        self._cancel_at_venue(approved, order_id)

    def _cancel_at_venue(self, approved: EventId, order_id: str) -> None:
        sent = self._sent[order_id]
        known = {"order_id": order_id, "account": sent.account}
        request = CancelSent(child_id=sent.child_id, venue=sent.venue, sent_at=self._now, **known)
        [(requested, _)] = self.say(streams.EXECUTION, [Decision(cause=approved, events=[request])])
        cancelled = VenueOrderCancelled(quantity=self._leaves(sent), reason="requested", **self._to(sent))
        self._believe(self.say(streams.venue(self._venue), [Decision(cause=requested, events=[cancelled])]))

    def _stop_out(self, order_id: str) -> None:
        """The market reaches the stop, and its exit closes what it protects."""
        stop = self._stops[order_id]
        if not stop.quantity:
            return
        self._stops[order_id] = replace(stop, quantity=ZERO)
        exit_id = f"{order_id}-stop1"
        triggered = StopTriggered(
            order_id=order_id,
            account=stop.account,
            symbol=SYMBOL,
            exit_id=exit_id,
            quantity=stop.quantity,
            stop_price=stop.stop_price,
            bid=BID,
            ask=ASK,
            venue=stop.venue,
        )
        order = Order(
            client_order_id=exit_id,
            symbol=SYMBOL,
            side=stop.side,
            type="market",
            quantity=stop.quantity,
            strategy=stop.strategy,
            time_in_force="ioc",
            reduce_only=True,
            venue=stop.venue,
        )
        approved = OrderApproved(
            order_id=exit_id,
            account=stop.account,
            order=order,
            fingerprint=fingerprint(order),
            bid=BID,
            ask=ASK,
            opening=False,
            at=self._now,
        )
        self._work(self.say(streams.RISK, [Decision(events=[triggered, approved])]))


def merged(sealed: dict[str, list[bytes]], turns: list[str]) -> list[Record]:
    """The frames of several streams in one, taking from each in turn."""
    taken: dict[str, int] = defaultdict(int)
    records: list[Record] = []
    for sequence, stream in enumerate(turns, 1):
        taken[stream] += 1
        origin = stream, taken[stream]
        records.append(Record(streams.JOURNAL, sequence, sealed[stream][taken[stream] - 1], origin))
    return records
