"""Do risk, execution and the venue agree, whatever is asked of them and whatever the line loses?"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.given import MILLISECOND
from bot4_common.instruments import check
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    OrderAmended,
    OrderFilled,
    OrderPrevented,
    OrderSent,
    OrderTriggered,
)
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    PlaceList,
    PlaceOrder,
    ResetKillSwitch,
)
from bot4_common.messages.risk import AmendApproved
from bot4_common.messages.terms import (
    ListKind,
    Order,
    OrderList,
    OrderType,
    Prevention,
    Side,
    TimeInForce,
    opposite,
    signed,
)
from bot4_common.messages.venue import (
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderPrevented,
    VenueOrderTriggered,
    VenueTraded,
)
from bot4_common.money import ZERO
from bot4_exchange_simulator.faults import PERFECT, LineProfile
from bot4_risk.account import Account, OpenOrder
from services.execution.tests.order_flow import COIN, LATE, ROUGH, SYMBOL, OrderFlow

MARKET = f"{streams.VENUE}/{SYMBOL}"
ACCOUNTS = ("ann", "bob")
SIDES: tuple[Side, Side] = ("buy", "sell")
ACCOUNT = st.sampled_from(ACCOUNTS)
SIDE = st.sampled_from(SIDES)
QUANTITY = st.sampled_from([1, 2, 5, 20, 60, 100])
PREVENTIONS: tuple[Prevention, ...] = ("none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both")
LINES = (PERFECT, ROUGH, LATE)
LIST_KINDS: tuple[ListKind, ListKind] = ("oco", "ouo")


class AnyOrderFlow(RuleBasedStateMachine):
    """Orders and lists of two accounts that meet each other, themselves and a moving market; stops, amends, cancels and
    kill switches; everything delivered late, some of it lost."""

    @initialize(seed=st.integers(0, 1_000), line=st.sampled_from(LINES), prevention=st.sampled_from(PREVENTIONS))
    def begin(self, seed: int, line: LineProfile, prevention: Prevention) -> None:
        self.flow = OrderFlow(seed, line, prevention)
        self.orders: list[str] = []

    @rule(
        account=ACCOUNT,
        side=SIDE,
        type=st.sampled_from(["limit", "limit", "market"]),
        away=st.integers(-3, 3),
        quantity=QUANTITY,
        time_in_force=st.sampled_from(["gtc", "gtc", "ioc"]),
        post_only=st.sampled_from([False, False, True]),
        stop_away=st.integers(1, 6),
    )
    def enter(
        self,
        account: str,
        side: Side,
        type: OrderType,
        away: int,
        quantity: int,
        time_in_force: TimeInForce,
        post_only: bool,
        stop_away: int,
    ) -> None:
        """An order that may open a position, with a stop on the losing side of it."""
        price = self.market() + away
        stop_loss = price - stop_away if side == "buy" else price + stop_away
        self.place(account, side, type, price, quantity, time_in_force, post_only, False, Decimal(stop_loss))

    @rule(
        account=ACCOUNT,
        side=SIDE,
        type=st.sampled_from(["limit", "limit", "market"]),
        away=st.integers(-3, 3),
        quantity=QUANTITY,
        reduce_only=st.booleans(),
    )
    def leave(self, account: str, side: Side, type: OrderType, away: int, quantity: int, reduce_only: bool) -> None:
        """An order without a stop, which can only close."""
        self.place(account, side, type, self.market() + away, quantity, "gtc", False, reduce_only, None)

    def market(self) -> int:
        quote = self.flow.quotes.get((streams.VENUE, SYMBOL))
        return 100 if quote is None else int(quote.bid)

    def place(
        self,
        account: str,
        side: Side,
        type: OrderType,
        price: int,
        quantity: int,
        time_in_force: TimeInForce,
        post_only: bool,
        reduce_only: bool,
        stop_loss: Decimal | None,
    ) -> None:
        order = Order(
            client_order_id=f"{len(self.orders)}",
            symbol=SYMBOL,
            side=side,
            type=type,
            quantity=Decimal(quantity),
            strategy="s",
            price=Decimal(price) if type == "limit" else None,
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
            stop_loss=stop_loss,
        )
        try:
            check(order, {SYMBOL: COIN})
        except Refused:
            return
        self.orders.append(self.flow.submit(PlaceOrder(account=account, order=order)))

    @rule(account=ACCOUNT, kind=st.sampled_from(LIST_KINDS), quantity=QUANTITY, near=st.integers(1, 3))
    def bracket(self, account: str, kind: ListKind, quantity: int, near: int) -> None:
        """Two orders, one of which is to close the position: at a better price, or at a stop."""
        position = self.flow.risk.state.account(account).position(MARKET)
        side: Side = "sell" if position > 0 else "buy"
        better, market = near if side == "sell" else -near, self.market()
        target = Order(
            client_order_id=f"{len(self.orders)}",
            symbol=SYMBOL,
            side=side,
            type="limit",
            quantity=Decimal(quantity),
            strategy="s",
            price=Decimal(market + better),
            reduce_only=True,
        )
        stop = replace(
            target,
            client_order_id=f"{len(self.orders) + 1}",
            type="stop_market",
            price=None,
            stop_price=Decimal(market - better),
        )
        asked = OrderList(client_list_id=f"list {len(self.orders)}", kind=kind, orders=[target, stop])
        list_id = self.flow.submit(PlaceList(account=account, list=asked))
        self.orders += [f"{list_id}-leg1", f"{list_id}-leg2"]

    @rule(account=ACCOUNT, which=st.integers(0, 30), quantity=st.none() | QUANTITY, away=st.none() | st.integers(-3, 3))
    def amend(self, account: str, which: int, quantity: int | None, away: int | None) -> None:
        """Of an order that risk takes for open, which it may no longer be; but of no exit, which is risk's own."""
        known = self.flow.risk.state.account(account)
        open_orders = [id for id in known.open_orders if id not in known.exits]
        if open_orders:
            self.flow.submit(
                AmendOrder(
                    account=account,
                    order_id=open_orders[which % len(open_orders)],
                    quantity=None if quantity is None else Decimal(quantity),
                    price=None if away is None else Decimal(self.market() + away),
                )
            )

    @rule(account=ACCOUNT, which=st.integers(0, 30))
    def cancel(self, account: str, which: int) -> None:
        if self.orders:
            order_id = self.orders[-1 - which % len(self.orders)]
            self.flow.submit(CancelOrder(account=account, order_id=order_id))

    @rule(account=ACCOUNT, really=st.sampled_from([False, False, False, True]))
    def engage_kill_switch(self, account: str, really: bool) -> None:
        if not really:
            return
        self.flow.submit(EngageKillSwitch(account=account, reason="drill"))
        self.flow.submit(ResetKillSwitch(account=account, reason="over"))

    @rule(which=st.sampled_from(["risk", "execution", "venue", "feed"]), count=st.integers(1, 10))
    def deliver(self, which: str, count: int) -> None:
        if which == "feed":
            self.flow.deliver_feed(count)
        else:
            self.flow.deliver(getattr(self.flow, which), count)

    @rule()
    def deliver_all(self) -> None:
        for _ in range(4):
            self.flow.deliver(self.flow.risk)
            self.flow.deliver(self.flow.execution)
            self.flow.deliver(self.flow.venue)
            self.flow.deliver_feed()

    @rule(ms=st.sampled_from([10, 200, 200, 200, 1_100, 6_000]))
    def pass_time(self, ms: int) -> None:
        self.flow.pass_time(ms * MILLISECOND)

    @rule()
    def cut_line(self) -> None:
        self.flow.cut_line()

    @rule(which=st.sampled_from(["risk", "execution", "venue"]))
    def restart(self, which: str) -> None:
        getattr(self.flow, which).restart()

    # What holds at any moment

    @invariant()
    def totals_are_what_orders_and_stops_add_up_to(self) -> None:
        for account in self.accounts().values():
            for side in SIDES:
                open_orders = {id: each for id, each in account.open_orders.items() if each.order.side == side}
                reducing = {id: each for id, each in open_orders.items() if each.order.reduce_only}
                exits = {id: each for id, each in open_orders.items() if id in account.exits}
                stops = [stop.quantity for stop in account.stops.values() if stop.side == side]
                assert account.reserved_on(MARKET, side) == claimed(open_orders)
                assert account.reduce_only_on(MARKET, side) == claimed(reducing)
                assert account.exiting_on(MARKET, side) == claimed(exits)
                assert account.protected_on(MARKET, side) == sum(stops)

    @invariant()
    def stops_and_exits_protect_the_position(self) -> None:
        for account in self.accounts().values():
            for side in SIDES:
                unprotected = max(account.reducible(MARKET, side) - account.exiting_on(MARKET, side), ZERO)
                assert account.protected_on(MARKET, side) == unprotected

    @invariant()
    def no_stop_is_kept_for_nothing(self) -> None:
        for account in self.accounts().values():
            assert not any(account.is_spent(order_id, stop) for order_id, stop in account.stops.items())
        watched = [id for watching in self.flow.risk.state.watched.values() for _, _, id in watching]
        assert sorted(watched) == sorted(id for account in self.accounts().values() for id in account.stops)

    def accounts(self) -> dict[str, Account]:
        accounts: dict[str, Account] = self.flow.risk.state.accounts
        return accounts

    # What holds when everything has been heard

    def teardown(self) -> None:
        flow = self.flow
        flow.come_to_rest()
        self.no_child_was_sent_twice()
        self.every_amend_ended_once()
        self.triggers_and_preventions_are_the_venues()
        self.fills_are_the_venues_and_no_more_than_was_ordered()
        self.reduce_only_only_reduced()
        self.positions_agree()
        self.orders_agree()
        for service in (flow.risk, flow.execution, flow.venue):
            assert service.is_its_own_history(), f"the state of {service.stream} is not the fold of its log"

    def no_child_was_sent_twice(self) -> None:
        sent = [event.child_id for event in self.flow.execution.log if isinstance(event, OrderSent)]
        accepted = [event.child_id for event in self.flow.venue.log if isinstance(event, VenueOrderAccepted)]
        assert len(sent) == len(set(sent))
        assert len(accepted) == len(set(accepted))

    def every_amend_ended_once(self) -> None:
        approved = Counter(event.order_id for event in self.flow.risk.log if isinstance(event, AmendApproved))
        ended: Counter[str] = Counter()
        under_way: dict[str, tuple[Decimal, Decimal | None]] = {}
        for event in self.flow.execution.log:
            if isinstance(event, AmendSent):
                under_way[event.order_id] = event.quantity, event.price
            elif isinstance(event, AmendRejected):
                under_way.pop(event.order_id, None)
                ended[event.order_id] += 1
            elif isinstance(event, OrderAmended) and under_way.get(event.order_id) == (event.quantity, event.price):
                del under_way[event.order_id]
                ended[event.order_id] += 1
        assert ended == approved
        assert not under_way

    def triggers_and_preventions_are_the_venues(self) -> None:
        execution, venue = self.flow.execution.log, self.flow.venue.log
        fired = [event.child_id for event in venue if isinstance(event, VenueOrderTriggered)]
        assert [event.child_id for event in execution if isinstance(event, OrderTriggered)] == fired
        lost = [(event.child_id, event.quantity) for event in venue if isinstance(event, VenueOrderPrevented)]
        assert [(event.child_id, event.quantity) for event in execution if isinstance(event, OrderPrevented)] == lost

    def fills_are_the_venues_and_no_more_than_was_ordered(self) -> None:
        ordered = {event.child_id: event.order.quantity for event in self.sent()}
        for event in self.flow.execution.log:
            if isinstance(event, OrderAmended):
                ordered[event.child_id] = max(ordered[event.child_id], event.quantity)
        told = [
            (event.child_id, event.trade_id, event.quantity, event.price)
            for event in self.flow.venue.log
            if isinstance(event, VenueFilled)
        ]
        believed = [
            (event.child_id, event.trade_id, event.quantity, event.price)
            for event in self.flow.execution.log
            if isinstance(event, OrderFilled)
        ]
        assert believed == told
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for child_id, _, quantity, _ in believed:
            filled[child_id] += quantity
        assert all(filled[child_id] <= ordered[child_id] for child_id in filled)

    def reduce_only_only_reduced(self) -> None:
        orders = {event.child_id: event.order for event in self.sent()}
        positions: dict[str, Decimal] = defaultdict(Decimal)
        for trade in self.flow.venue.log:
            if not isinstance(trade, VenueTraded):
                continue
            sides = (
                (trade.taker_id, trade.taker_account, trade.taker_side),
                (trade.maker_id, trade.maker_account, opposite(trade.taker_side)),
            )
            for child_id, account, side in sides:
                before = positions[account]
                positions[account] += signed(side, trade.quantity)
                if child_id in orders and orders[child_id].reduce_only and trade.maker_account != trade.taker_account:
                    assert before * positions[account] >= 0
                    assert abs(positions[account]) < abs(before)

    def positions_agree(self) -> None:
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for fill in self.flow.venue.log:
            if isinstance(fill, VenueFilled):
                filled[fill.account] += signed(fill.side, fill.quantity)
        for name in ACCOUNTS:
            position = self.flow.risk.state.account(name).position(MARKET)
            assert position == filled[name]
            at_venue = self.flow.venue.state.engine.accounts.get(name)
            holding = None if at_venue is None else at_venue.holdings.get(SYMBOL)
            assert position == COIN.quantity(0 if holding is None else holding.net)

    def orders_agree(self) -> None:
        execution, venue = self.flow.execution.state, self.flow.venue.state
        open_at_venue = {id: (order.cumulative, order.leaves, order.order.price) for id, order in venue.live.items()}
        believed = {id: (child.cumulative, child.leaves, child.price) for id, child in execution.live.items()}
        assert believed == open_at_venue
        reserved = {
            f"{order_id}.1": open_order.leaves
            for account in self.accounts().values()
            for order_id, open_order in account.open_orders.items()
        }
        assert reserved == {id: order.leaves for id, order in venue.live.items()}
        for id, child in execution.finished.items():
            over = venue.finished.get(id)
            if child.stage == "lost":
                assert over is None or over.state == "rejected"
            else:
                assert over is not None and over.state == child.stage

    def sent(self) -> list[OrderSent]:
        return [event for event in self.flow.execution.log if isinstance(event, OrderSent)]


def claimed(orders: dict[str, OpenOrder]) -> Decimal:
    """What they reserve: of alternatives only the largest."""
    claims: dict[str, Decimal] = {}
    for id, open_order in orders.items():
        name = open_order.group or id
        claims[name] = max(claims.get(name, ZERO), open_order.claim)
    return sum(claims.values(), ZERO)


AnyOrderFlow.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, derandomize=True)
TestAnyOrderFlow = AnyOrderFlow.TestCase


@given(seed=st.integers(0, 1_000_000), line=st.sampled_from(LINES), prevention=st.sampled_from(PREVENTIONS))
@settings(max_examples=100, deadline=None, derandomize=True, phases=[Phase.generate])
def test_on_a_busy_day_they_agree_too(seed: int, line: LineProfile, prevention: Prevention) -> None:
    busy_day(seed, line, prevention)


def test_on_a_busy_day_some_fills_are_told_after_the_end_of_their_orders() -> None:
    told = [event for seed in range(12) for event in busy_day(seed, LATE, "none").flow.execution.log]
    assert any(isinstance(event, OrderFilled) and event.late for event in told)


def busy_day(seed: int, line: LineProfile, prevention: Prevention) -> AnyOrderFlow:
    """Enough happens for positions, stops and queues to build up that a few steps seldom make."""
    random = Random(seed)
    day = AnyOrderFlow()
    day.begin(seed=seed, line=line, prevention=prevention)
    for _ in range(300):
        happen(day, random)
        day.totals_are_what_orders_and_stops_add_up_to()
        day.stops_and_exits_protect_the_position()
    day.teardown()
    return day


def happen(day: AnyOrderFlow, random: Random) -> None:
    account, side, away = random.choice(ACCOUNTS), random.choice(SIDES), random.randint(-3, 3)
    type: OrderType = random.choice(["limit", "limit", "market"])
    quantity = random.choice([1, 2, 5, 20, 60])
    match random.choice(
        ["enter", "enter", "leave", "leave", "bracket", "amend", "cancel", "one", "one", "all", "time", "restart"]
    ):
        case "enter":
            lasts: TimeInForce = random.choice(["gtc", "gtc", "ioc"])
            day.enter(account, side, type, away, quantity, lasts, random.random() < 0.2, random.randint(1, 6))
        case "leave":
            position = day.flow.risk.state.account(account).position(MARKET)
            day.leave(account, "sell" if position > 0 else "buy", type, away, quantity, random.random() < 0.7)
        case "bracket":
            day.bracket(account, random.choice(LIST_KINDS), quantity, random.randint(1, 3))
        case "amend":
            price = random.choice([None, away])
            day.amend(account, random.randint(0, 10), random.choice([None, quantity]), price)
        case "cancel":
            day.cancel(account, random.randint(0, 10))
        case "one":
            day.deliver(random.choice(["risk", "execution", "venue", "feed"]), random.randint(1, 10))
        case "all":
            day.deliver_all()
        case "time":
            day.pass_time(random.choice([10, 200, 200, 1_100, 6_000]))
        case "restart":
            day.restart(random.choice(["risk", "execution", "venue"]))
