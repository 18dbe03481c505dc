"""How does a journal look in which orders wait, change, depend on each other, and trading is held back?

A `LongStory` tells all that a `Story` does, and these scenes: each begins and ends by itself, and leaves nothing open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from bot4_common import streams
from bot4_common.messages.breakers import BreakerChanged, BreakerState
from bot4_common.messages.execution import AmendSent, ListLeg, ListSent, OrderRejected, OrderSent
from bot4_common.messages.frame import AnyEvent, Decision
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    PlaceList,
    PlaceOrder,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ReplaceOrder,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.limits import AccountLimits, LimitsDocument
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    EquityRebased,
    GateChanged,
    GateDecided,
    HaltChanged,
    HeldOrderArmed,
    HeldOrderCancelled,
    HeldOrderTriggered,
    KillSwitchEngaged,
    KillSwitchReset,
    Leg,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    PositionFlattened,
    ReservationAmended,
    SelfTradePrevented,
    SignalAccepted,
    StrategyRegistered,
)
from bot4_common.messages.terms import EventId, ListKind, Order, OrderList, Scope, Side, opposite
from bot4_common.messages.venue import (
    VenueAmendEntered,
    VenueAmendRejected,
    VenueListEntered,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderTriggered,
)
from bot4_common.money import ZERO
from bot4_common.orders import fingerprint, list_fingerprint, order_id_of
from bot4_journal.testing import ASK, BID, MID, SYMBOL, Fate, Story

# What risk says besides when an order ends or fills whole.
Then = Callable[[], list[AnyEvent]]


class LongStory(Story):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._then: dict[str, Then] = {}
        self._held_orders: dict[str, OrderHeld] = {}
        self._version = 0

    def play(self, rounds: int) -> LongStory:
        for _ in range(rounds):
            super().play(1)
            for scene in self._rng.sample(self.scenes(), 2):
                scene()
        return self

    def scenes(self) -> list[Callable[[], object]]:
        return [
            self.amend, self.refuse_amends, self.hold, self.drop, self.trigger, self.replace, self.stop_replacing,
            self.list_at_venue, self.share, self.refuse_list, self.bracket, self.give_way, self.meet_own,
            self.gate, self.limit, self.flatten, self.break_off,
        ]  # fmt: skip

    # Amends

    def amend(self) -> None:
        """A resting order, half filled, grows, and again, and fills."""
        order_id = self._rest()
        sent = self._sent[order_id]
        self._amend(order_id, sent.order.quantity + Decimal("0.001"), sent.order.price)
        self._amend(order_id, sent.order.quantity * 2, sent.order.price)
        self._fill(order_id, self._leaves(sent))

    def refuse_amends(self) -> None:
        """One is refused by risk, and one by the venue."""
        order_id = self._rest()
        sent = self._sent[order_id]
        known: dict[str, Any] = {"order_id": order_id, "account": sent.account}
        self.ask(AmendOrder(quantity=Decimal(9), **known), AmendRefused(code="ORDER_QUANTITY", details={}, **known))
        self._amend(order_id, sent.order.quantity, Decimal(1), code="TICK_SIZE")
        self._cancel(order_id)

    def _amend(self, order_id: str, quantity: Decimal, price: Decimal | None, code: str = "") -> None:
        sent = self._sent[order_id]
        known: dict[str, Any] = {"order_id": order_id, "account": sent.account}
        to: dict[str, Any] = {"quantity": quantity, "price": price}
        [(approved, _)] = self.ask(AmendOrder(**to, **known), AmendApproved(at=self._now, **to, **known))
        self._amend_at_venue(approved, order_id, quantity, price, code)

    def _amend_at_venue(
        self, approved: EventId, order_id: str, quantity: Decimal, price: Decimal | None, code: str = ""
    ) -> None:
        request = self._amend_request(approved, order_id, quantity, price)
        [asked] = self.say(streams.EXECUTION, [request])
        self._believe(self.say(streams.venue(self._venue), [self._amend_answer(*asked, code)]))

    def _amend_request(self, approved: EventId, order_id: str, quantity: Decimal, price: Decimal | None) -> Decision:
        sent = self._sent[order_id]
        request = AmendSent(
            order_id=order_id,
            child_id=sent.child_id,
            account=sent.account,
            venue=sent.venue,
            quantity=quantity,
            price=price,
            sent_at=self._now,
            expires_at=self._now + 5_000_000_000,
        )
        return Decision(cause=approved, events=[request])

    def _amend_answer(self, cause: EventId, request: AmendSent, code: str = "") -> Decision:
        sent = self._sent[request.order_id]
        entered = VenueAmendEntered(
            account=sent.account,
            child_id=sent.child_id,
            quantity=request.quantity,
            price=request.price,
            at=self._now,
        )
        if code:
            return Decision(cause=cause, events=[entered, VenueAmendRejected(code=code, **self._to(sent))])
        return Decision(cause=cause, events=[entered, self._amended(sent, request.quantity, request.price)])

    def _amended(self, sent: OrderSent, quantity: Decimal, price: Decimal | None) -> VenueOrderAmended:
        self._totals[sent.child_id] = quantity
        return VenueOrderAmended(quantity=quantity, price=price, leaves=self._leaves(sent), **self._to(sent))

    # Orders held back

    def hold(self) -> None:
        """A stop for a venue that has none is triggered, sent as a plain order, and filled."""
        order_id, held = self._hold(self._stop_order())
        triggered = HeldOrderTriggered(order_id=order_id, account=held.account, bid=BID, ask=ASK, at=self._now)
        sent = self._released(order_id, held, replace(held.order, type="market", stop_price=None))
        self._work(self.say(streams.RISK, [Decision(events=[triggered, sent])]))

    def drop(self) -> None:
        """A stop that is held grows, and is cancelled."""
        order_id, held = self._hold(self._stop_order())
        known: dict[str, Any] = {"order_id": order_id, "account": held.account}
        more = held.order.quantity * 2
        self.ask(
            AmendOrder(quantity=more, **known), ReservationAmended(quantity=more, price=None, leaves=more, **known)
        )
        self.ask(CancelOrder(**known), HeldOrderCancelled(quantity=more, reason="requested", **known))

    def trigger(self) -> None:
        """A stop at the venue."""
        order_id = self._rest(self._stop_order(), "untouched")
        sent = self._sent[order_id]
        self._tell([VenueOrderTriggered(**self._to(sent))])
        self._fill(order_id, self._leaves(sent))

    def replace(self) -> None:
        """A resting order is cancelled, and another takes its place."""
        approved, old, new = self._replace()
        held = self._held_orders[new]
        self._then[old] = lambda: [self._released(new, held, held.order)]
        self._cancel_at_venue(approved, old)

    def stop_replacing(self) -> None:
        """It fills before it is cancelled, and so nothing takes its place."""
        _, old, new = self._replace()
        held = self._held_orders[new]
        self._then[old] = lambda: [
            HeldOrderCancelled(
                order_id=new,
                account=held.account,
                quantity=held.order.quantity,
                reason="refused",
                code="REPLACE_STOPPED",
            )
        ]
        self._fill(old, self._leaves(self._sent[old]))

    def _replace(self) -> tuple[EventId, str, str]:
        old = self._rest()
        account = self._sent[old].account
        order = self._order(account, self._sent[old].order.side, "0.004")
        wish = ReplaceOrder(account=account, order_id=old, order=order, mode="stop_on_failure")
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[wish])])
        held = self._held(order_id_of(asked.sequence, asked.index), account, order, replaces=old)
        cancel = CancelApproved(order_id=old, account=account, reason="replaced")
        [_, (approved, _)] = self.say(streams.RISK, [Decision(cause=asked, events=[held, cancel])])
        return approved, old, held.order_id

    def _hold(self, order: Order) -> tuple[str, OrderHeld]:
        account = "alice" if order.side == "buy" else "bob"
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceOrder(account=account, order=order)])])
        held = self._held(order_id_of(asked.sequence, asked.index), account, order)
        self.say(streams.RISK, [Decision(cause=asked, events=[held])])
        return held.order_id, held

    def _held(self, order_id: str, account: str, order: Order, list_id: str = "", replaces: str = "") -> OrderHeld:
        held = self._held_orders[order_id] = OrderHeld(
            order_id=order_id,
            account=account,
            order=replace(order, venue=self._venue),
            fingerprint=fingerprint(order),
            at=self._now,
            list_id=list_id,
            price=MID,
            replaces=replaces,
        )
        return held

    def _released(self, order_id: str, held: OrderHeld, order: Order) -> OrderApproved:
        return self._approved(order_id, held.account, order, held.fingerprint, held.list_id)

    def _approved(self, order_id: str, account: str, order: Order, asked: str = "", list_id: str = "") -> OrderApproved:
        return OrderApproved(
            order_id=order_id,
            account=account,
            order=replace(order, venue=self._venue),
            fingerprint=asked or fingerprint(order),
            bid=BID,
            ask=ASK,
            opening=not order.reduce_only,
            at=self._now,
            list_id=list_id,
        )

    def _stop_order(self, quantity: str = "0.006") -> Order:
        account = self._rng.choice(("alice", "bob"))
        side: Side = "buy" if account == "alice" else "sell"
        return replace(self._order(account, side, quantity), type="stop_market", price=None, stop_price=MID)

    # Lists

    def list_at_venue(self) -> None:
        """An OCO of the venue's own: one fills, and the venue cancels the other."""
        first, second = self._list_sent("oco")
        trade = self._traded(f"market/{self._trades}", first, self._leaves(first))
        self._then[second.order_id] = self._end_of_list(first.list_id, first.account)
        self._tell(
            [
                trade,
                self._told(first, trade),
                VenueOrderCancelled(quantity=self._leaves(second), reason="contingency", **self._to(second)),
            ]
        )

    def share(self) -> None:
        """An OUO of the venue's own: what one fills, the other loses."""
        first, second = self._list_sent("ouo")
        half = first.order.quantity / 2
        trade = self._traded(f"market/{self._trades}", first, half)
        told: list[AnyEvent] = [trade, self._told(first, trade), self._amended(second, half, second.order.price)]
        rest = self._traded(f"market/{self._trades}", second, half)
        self._then[first.order_id] = self._end_of_list(first.list_id, first.account)
        self._tell(
            [
                *told,
                rest,
                self._told(second, rest),
                VenueOrderCancelled(quantity=half, reason="contingency", **self._to(first)),
            ]
        )

    def refuse_list(self) -> None:
        account, asked = self._list_of("oco")
        [(id, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceList(account=account, list=asked)])])
        known = self._known_of(id, account, asked)
        refused = ListRefused(code="LIST_PRICES", details={"limit": "1"}, **known)
        self.say(streams.RISK, [Decision(cause=id, events=[refused])])

    def bracket(self) -> None:
        """An OTOCO that risk keeps: the entry fills, the take-profit goes out and fills, the stop is dropped."""
        account, asked = self._list_of("otoco")
        [(id, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceList(account=account, list=asked)])])
        known = self._known_of(id, account, asked)
        approved = ListApproved(native=False, bid=BID, ask=ASK, **known)
        entry, profit, stop = [leg.order_id for leg in approved.legs]
        orders = {leg.order_id: leg.order for leg in approved.legs}
        list_id = approved.list_id
        held = {each: self._held(each, account, orders[each], list_id) for each in (profit, stop)}
        begun: list[AnyEvent] = [
            approved,
            self._approved(entry, account, orders[entry], list_id=list_id),
            *held.values(),
        ]
        quantity = orders[profit].quantity
        self._then[entry] = lambda: [
            HeldOrderArmed(order_id=profit, account=account, quantity=quantity),
            self._released(profit, held[profit], orders[profit]),
            HeldOrderArmed(order_id=stop, account=account, quantity=quantity),
        ]
        self._then[profit] = lambda: [
            HeldOrderCancelled(order_id=stop, account=account, quantity=quantity, reason="contingency"),
            ListEnded(list_id=list_id, account=account),
        ]
        self._work(self.say(streams.RISK, [Decision(cause=id, events=begun)]))

    def _list_sent(self, kind: ListKind) -> list[OrderSent]:
        account, asked = self._list_of(kind)
        [(id, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceList(account=account, list=asked)])])
        approved = ListApproved(native=True, bid=BID, ask=ASK, **self._known_of(id, account, asked))
        legs = [self._approved(leg.order_id, account, leg.order, list_id=approved.list_id) for leg in approved.legs]
        [(cause, _), *_] = self.say(streams.RISK, [Decision(cause=id, events=[approved, *legs])])
        sent = [self._send_child(leg, approved.list_id) for leg in legs]
        request = ListSent(
            list_id=approved.list_id,
            child_id=sent[0].child_id,
            account=account,
            venue=self._venue,
            kind=kind,
            legs=[ListLeg(child_id=each.child_id, order=each.order) for each in sent],
            sent_at=self._now,
            expires_at=self._now + 5_000_000_000,
        )
        said = self.say(streams.EXECUTION, [Decision(cause=cause, events=[*sent, request])])
        entered = VenueListEntered(
            session=streams.EXECUTION,
            account=account,
            list_id=approved.list_id,
            kind=kind,
            legs=request.legs,
            at=self._now,
        )
        self._tell([entered, *(self._accepted(each) for each in sent)], said[-1][0])
        return sent

    def _list_of(self, kind: ListKind) -> tuple[str, OrderList]:
        account = self._rng.choice(("alice", "bob"))
        side: Side = "buy" if account == "alice" else "sell"
        entry = self._order(account, side, "0.004")
        stop = replace(self._order(account, side, "0.004"), type="stop_market", price=None, stop_price=MID)
        if kind == "otoco":
            leaving = [self._order(account, opposite(side), "0.004", reduce_only=True) for _ in range(2)]
            leaving[1] = replace(leaving[1], type="stop_market", price=None, stop_price=MID)
            orders = [entry, *leaving]
        else:
            orders = [entry, stop if kind == "oco" else self._order(account, side, "0.004")]
        orders = [replace(order, strategy=entry.strategy) for order in orders]
        return account, OrderList(client_list_id=f"list-{self._rng.getrandbits(48):x}", kind=kind, orders=orders)

    def _known_of(self, id: EventId, account: str, asked: OrderList) -> dict[str, Any]:
        list_id = order_id_of(id.sequence, id.index)
        return {
            "list_id": list_id,
            "account": account,
            "client_list_id": asked.client_list_id,
            "kind": asked.kind,
            "legs": [
                Leg(order_id=f"{list_id}-leg{number}", order=replace(order, venue=self._venue))
                for number, order in enumerate(asked.orders, 1)
            ],
            "fingerprint": list_fingerprint(asked),
            "at": self._now,
        }

    def _end_of_list(self, list_id: str, account: str) -> Then:
        return lambda: [ListEnded(list_id=list_id, account=account)]

    # Self-trade prevention

    def give_way(self) -> None:
        """An order would meet one of its owner: both become smaller, and the new one is rejected."""
        resting = self._rest()
        sent = self._sent[resting]
        loss = self._leaves(sent) / 2
        order = self._order(sent.account, opposite(sent.order.side), "0.006")
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceOrder(account=sent.account, order=order)])])
        order_id = order_id_of(asked.sequence, asked.index)
        met = SelfTradePrevented(
            order_id=order_id,
            account=sent.account,
            resting_id=resting,
            resting_account=sent.account,
            symbol=SYMBOL,
            mode="decrement_both",
            quantity=loss,
            resting_quantity=loss,
            price=sent.order.price,
            at=self._now,
        )
        smaller: dict[str, Any] = {"quantity": sent.order.quantity - loss, "price": sent.order.price}
        amend = AmendApproved(order_id=resting, account=sent.account, at=self._now, **smaller)
        approved = self._approved(
            order_id, sent.account, replace(order, quantity=order.quantity - loss), fingerprint(order)
        )
        self._fates[order_id] = "rejected"
        said = self.say(streams.RISK, [Decision(cause=asked, events=[met, amend, approved])])
        requests = [self._amend_request(said[1][0], resting, **smaller), self._send(*said[2])]
        amending, sending = self.say(streams.EXECUTION, requests)
        answers = [self._amend_answer(*amending), self._meet(*sending)]
        self._believe(self.say(streams.venue(self._venue), answers))
        self._cancel(resting)

    def meet_own(self) -> None:
        """The venue takes a part of an order that would have met one of its owner, and then the rest."""
        order_id = self._rest()
        sent = self._sent[order_id]
        part = self._leaves(sent) / 2
        told: list[AnyEvent] = []
        for _ in range(2):
            self._prevented[sent.child_id] += part
            told.append(
                VenueOrderPrevented(other_id="another.1", quantity=part, leaves=self._leaves(sent), **self._to(sent))
            )
        told.append(VenueOrderExpired(quantity=ZERO, reason="self_trade", **self._to(sent)))
        self._tell(told)

    # What holds trading back

    def gate(self) -> None:
        """The gate is closed, an order passes, one is refused, and the gate is opened."""
        by = {"reason": "drill", "by": "operator"}
        self.ask(SetGate(enabled=True, **by), GateChanged(enabled=True, **by))
        registered: dict[str, Any] = {"account": "alice", "strategy": "momentum"}
        self.ask(RegisterStrategy(**registered), StrategyRegistered(**registered))
        signal: dict[str, Any] = {"symbol": SYMBOL, "side": "buy", **registered}
        [(recorded, _)] = self.say(streams.GATEWAY, [Decision(events=[RecordSignal(**signal)])])
        signal_id = order_id_of(recorded.sequence, recorded.index)
        accepted = SignalAccepted(signal_id=signal_id, at=self._now, **signal)
        self.say(streams.RISK, [Decision(cause=recorded, events=[accepted])])
        order = replace(self._order("alice", "buy", "0.002"), strategy="momentum")
        self._judge(replace(order, signal=signal_id), passes=True)
        self._judge(replace(order, client_order_id=f"{order.client_order_id}-2"), passes=False)
        self.ask(SetGate(enabled=False, **by), GateChanged(enabled=False, **by))

    def _judge(self, order: Order, passes: bool) -> None:
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceOrder(account="alice", order=order)])])
        order_id = order_id_of(asked.sequence, asked.index)
        verdict = GateDecided(
            order_id=order_id,
            account="alice",
            strategy=order.strategy,
            decision="passed" if passes else "refused",
            signal=order.signal,
        )
        if passes:
            decided: AnyEvent = self._approved(order_id, "alice", order, fingerprint(order))
        else:
            decided = OrderRefused(
                order_id=order_id,
                account="alice",
                order=order,
                fingerprint=fingerprint(order),
                code="GATE_NO_SIGNAL",
                details={},
                at=self._now,
            )
        self._work(self.say(streams.RISK, [Decision(cause=asked, events=[verdict, decided])]))

    def limit(self) -> None:
        """Limits change, a change that comes too late is refused, losses are counted anew."""
        document = LimitsDocument(account=AccountLimits(capital=Decimal(self._rng.randint(1, 9) * 1_000_000)))
        told: dict[str, Any] = {"document": document, "reason": "drill"}
        self._version += 1
        changed = LimitsChanged(version=self._version, source="operator", at=self._now, **told)
        self.ask(SetLimits(by="operator", **told), changed)
        late = SetLimits(by="operator", replaces=99, **told)
        self.ask(late, LimitsRefused(version=self._version, replaces=99, code="LIMITS_VERSION"))
        anew = {"account": "alice", "reason": "drill", "by": "operator"}
        halted = HaltChanged(
            scope="account",
            name="alice",
            rule="drawdown",
            halted=False,
            value=ZERO,
            limit=Decimal(15),
            base=Decimal(1),
            at=self._now,
        )
        self.ask(RebaseEquity(**anew), EquityRebased(at=self._now, **anew), halted)

    def flatten(self) -> None:
        """A kill switch closes what an account holds at the venue, and is reset."""
        self.reset(self.close_all())

    def close_all(self, fate: Fate = "filled") -> dict[str, Any]:
        """Gives what the kill switch is known by."""
        self.trade(["filled"])
        scope: Scope = self._rng.choice(("firm", "account", "symbol"))
        named: dict[str, Any] = {"account": "alice", "symbol": SYMBOL, "scope": scope, "reason": "drill"}
        accounts = ("alice",) if scope == "account" else ("alice", "bob")
        exits = [event for account in accounts for event in self._flatten(account, fate)]
        engaged = KillSwitchEngaged(flatten=True, **named)
        self._work(self.ask(EngageKillSwitch(flatten=True, **named), engaged, *exits))
        return named

    def reset(self, named: dict[str, Any]) -> None:
        self.ask(ResetKillSwitch(**named), KillSwitchReset(**named))

    def _flatten(self, account: str, fate: Fate) -> Iterable[AnyEvent]:
        position = self._positions[self._venue, account]
        if not position:
            return
        exit_id = f"flat-{len(self._sent)}-{account}"
        self._fates[exit_id] = fate
        closes: dict[str, Any] = {
            "strategy": "momentum",
            "symbol": SYMBOL,
            "venue": self._venue,
            "quantity": abs(position),
        }
        yield PositionFlattened(account=account, exit_id=exit_id, **closes)
        side: Side = "sell" if position > 0 else "buy"
        order = Order(
            client_order_id=exit_id, side=side, type="market", time_in_force="ioc", reduce_only=True, **closes
        )
        yield self._approved(exit_id, account, order)

    def break_off(self) -> None:
        """A venue's breaker opens, an order is turned away, and the breaker closes."""
        self._turn("closed", "open")
        order = self._order("alice", "buy", "0.002")
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceOrder(account="alice", order=order)])])
        approved = self._approved(order_id_of(asked.sequence, asked.index), "alice", order)
        [(cause, _)] = self.say(streams.RISK, [Decision(cause=asked, events=[approved])])
        rejected = OrderRejected(
            order_id=approved.order_id,
            child_id=f"{approved.order_id}.1",
            account="alice",
            venue=self._venue,
            code="BREAKER_OPEN",
            message="",
            session_sequence=0,
        )
        self._send_child(approved)  # as if: so that what it reserves is known
        [said] = self.say(streams.EXECUTION, [Decision(cause=cause, events=[rejected])])
        self.say(streams.RISK, [self._answer(*said)])
        self._turn("open", "half_open")
        self._turn("half_open", "closed")

    def _turn(self, before: BreakerState, after: BreakerState) -> None:
        turned = BreakerChanged(name=self._venue, before=before, after=after, at=self._now, samples=10, failures=5)
        self.say(streams.EXECUTION, [Decision(events=[turned])])

    # What the scenes share

    def _rest(self, order: Order | None = None, fate: Fate = "resting") -> str:
        """An order at the venue that stays there."""
        if order is None:
            account = self._rng.choice(("alice", "bob"))
            order = self._order(account, "buy" if account == "alice" else "sell", "0.008")
        account = "alice" if order.side == "buy" else "bob"
        [(asked, _)] = self.say(streams.GATEWAY, [Decision(events=[PlaceOrder(account=account, order=order)])])
        order_id = order_id_of(asked.sequence, asked.index)
        self._fates[order_id] = fate
        approved = self._approved(order_id, account, order, fingerprint(order))
        self._work(self.say(streams.RISK, [Decision(cause=asked, events=[approved])]))
        return order_id

    def _fill(self, order_id: str, quantity: Decimal) -> None:
        sent = self._sent[order_id]
        trade = self._traded(f"market/{self._trades}", sent, quantity)
        self._tell([trade, self._told(sent, trade)])

    def _tell(self, events: list[AnyEvent], cause: EventId | None = None) -> None:
        self._believe(self.say(streams.venue(self._venue), [Decision(cause=cause, events=events)]))

    def _settled(self, event: AnyEvent) -> list[AnyEvent]:
        """What was to come of the order's end comes with it."""
        events = super()._settled(event)
        order_id = str(getattr(event, "order_id", ""))
        if events and order_id in self._then and not getattr(event, "leaves", ZERO):
            events += self._then.pop(order_id)()
        return events
