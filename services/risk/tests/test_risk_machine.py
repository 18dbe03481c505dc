"""Does risk keep its word, whatever is asked of it and whatever becomes of it at the venues?

Orders, amends, lists, fills, quotes, switches, limits and restarts in any order. After each input the books of risk are
what its own events add up to, and what it let through is what it may let through."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from bot4_common.decider import encode_state
from bot4_common.errors import Refused
from bot4_common.given import NOON, SECOND, Scenario
from bot4_common.instruments import check, check_amend, check_list, shipped
from bot4_common.messages.cost import CostRecorded, StatisticsPublished, SymbolStatistics
from bot4_common.messages.execution import (
    AmendRejected,
    OrderCancelled,
    OrderExpired,
    OrderLost,
    OrderRejected,
    OrderSent,
)
from bot4_common.messages.gateway import (
    AmendOrder,
    CancelOrder,
    EngageKillSwitch,
    PlaceList,
    PlaceOrder,
    RebaseEquity,
    ReplaceOrder,
    ResetKillSwitch,
    SetLimits,
)
from bot4_common.messages.limits import (
    AccountLimits,
    FirmLimits,
    GuardLimits,
    LimitsDocument,
    OrderLimits,
    StrategyLimits,
    SymbolLimits,
)
from bot4_common.messages.market import Quote, Tick
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    CancelRefused,
    HeldOrderCancelled,
    HeldOrderTriggered,
    KillSwitchReset,
    KillSwitchResetRefused,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    ReservationAmended,
    ReservationReleased,
)
from bot4_common.messages.terms import Event, EventId, Order, OrderList, Prevention, Side, opposite
from bot4_common.money import ZERO
from bot4_risk import contingency
from bot4_risk.domain import Risk
from bot4_risk.exposure import Book, Standing
from bot4_risk.state import State
from services.risk.tests.naive_risk import FIRM, Naive, Open, Owner, market_of
from services.risk.tests.street import Child, Street
from services.risk.tests.words import LOTS, VENUES

D = Decimal
# Sequences of inputs, and inputs of each: enough to meet every kind of fault so far, in about twenty seconds.
EXAMPLES = int(os.environ.get("RISK_EXAMPLES", "200"))
STEPS = 40

INSTRUMENTS = shipped()
SYMBOLS = ("BTC-USDT", "ETH-USDT")
ACCOUNTS = ("ann", "ben")
STRATEGIES = ("s", "t")
# The first has stops and lists, the second neither.
MARKETS = [(venue, symbol) for venue in ("sim", "b") for symbol in SYMBOLS]
TYPES = ("limit", "limit", "limit", "market", "stop_market", "stop_limit", "take_profit_market", "take_profit_limit",
         "trailing_stop")  # fmt: skip
# What a repeat of must change nothing.
TOLD_TWICE = (OrderCancelled, OrderExpired, OrderRejected, OrderLost, AmendRejected, OrderSent, Quote)

MODES: tuple[Prevention, ...] = ("none", "cancel_new", "cancel_resting", "cancel_both", "decrement_both")
modes = st.sampled_from(MODES)
sides = st.sampled_from(["buy", "sell"])
quantities = st.integers(1, 12).map(D)
steps = st.integers(-8, 8).map(D)


@st.composite
def documents(draw: st.DrawFn) -> LimitsDocument:
    """Limits that most sequences reach; capital is such that a hundredth of it is one unit at the market."""
    percent = st.sampled_from([10, 15, 25, 1000]).map(D)
    many = st.sampled_from([3, 5, 9, 1000])
    capital = D(draw(st.sampled_from([10_000, 12_000])))
    account = AccountLimits(
        capital=capital,
        gross_percent=draw(percent) * 2,
        net_percent=draw(percent) * 2,
        open_orders_max=draw(many),
        daily_loss_percent=D(draw(st.sampled_from([2, 50]))),
        drawdown_percent=D(draw(st.sampled_from([3, 50]))),
        correlation_action=draw(st.sampled_from(["refuse", "scale"])),
        self_trade_prevention=draw(modes),
        trade_group=draw(st.sampled_from(["", "", "desk"])),
    )
    return LimitsDocument(
        order=OrderLimits(
            notional_max=D(draw(st.sampled_from([1_000, 10_000]))),
            position_percent=draw(percent),
            price_collar_bps=2_000,
            quote_age_max_ns=100 * SECOND,
        ),
        symbol=SymbolLimits(position_percent=draw(percent)),
        strategy=StrategyLimits(position_percent=draw(percent), open_orders_max=draw(many)),
        account=account,
        firm=FirmLimits(
            position_percent=draw(percent),
            gross_percent=draw(percent) * 2,
            net_percent=draw(percent) * 2,
            open_orders_max=draw(many),
        ),
        guards=GuardLimits(duplicates_max=draw(st.sampled_from([1, 50]))),
        accounts={"ben": replace(account, capital=capital * 2)},
    )


@st.composite
def drafts(draw: st.DrawFn) -> dict[str, Any]:
    """An order whose prices are distances: of the limit and the trigger from the mid, of the stop-loss from there."""
    return {
        "symbol": draw(st.sampled_from(SYMBOLS)),
        "side": draw(sides),
        "type": draw(st.sampled_from(TYPES)),
        "quantity": draw(quantities),
        "strategy": draw(st.sampled_from(STRATEGIES)),
        "venue": draw(st.sampled_from(["sim", "b", ""])),
        "time_in_force": draw(st.sampled_from(["gtc", "gtc", "gtc", "ioc", "fok", "gtd"])),
        "post_only": draw(st.integers(0, 7)) == 0,
        "reduce_only": draw(st.integers(0, 4)) == 0,
        "self_trade_prevention": draw(st.one_of(st.just(""), modes)),
        "price": draw(steps),
        "stop_price": draw(steps),
        "stop_loss": draw(st.one_of(st.none(), st.integers(1, 20).map(D), st.integers(1, 20).map(D))),
    }


class RiskMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.risk = Risk(LimitsDocument(), {name: VENUES[name] for name in ("sim", "b")}, LOTS, capacity=1_000)
        self.scenario: Scenario[State] = Scenario(self.risk)
        self.naive = Naive([])
        self.street = Street()
        self.named = 0
        self.last: Event | None = None
        self.orders: list[tuple[str, str]] = []
        for venue, symbol in MARKETS:
            self._hear(_quote(venue, symbol, D(99), NOON))

    # What is asked

    @rule(account=st.sampled_from(ACCOUNTS), draft=drafts())
    def place_another(self, account: str, draft: dict[str, Any]) -> None:
        """Orders are what most of it is about."""
        self.place(account, draft)

    @rule(account=st.sampled_from(ACCOUNTS), draft=drafts())
    def place(self, account: str, draft: dict[str, Any]) -> None:
        order = self._order(draft)
        if self._is_sound(order):
            self._command(PlaceOrder(account=account, order=order))

    @rule(account=st.sampled_from(ACCOUNTS), kind=st.sampled_from(["oco", "oto", "otoco", "ouo"]), data=st.data())
    def place_list(self, account: str, kind: Any, data: st.DataObject) -> None:
        orders = [self._order({**draft, "venue": "b"}) for draft in data.draw(_legs(kind))]
        venue = data.draw(st.sampled_from(["sim", "b", "b"]))
        orders = [replace(order, venue=venue) for order in orders]
        self.named += 1
        asked = OrderList(client_list_id=f"list{self.named}", kind=kind, orders=orders)
        try:
            check_list(asked, INSTRUMENTS)
        except Refused:
            return
        self._command(PlaceList(account=account, list=asked))

    @precondition(lambda self: self.naive.open)
    @rule(data=st.data(), quantity=st.one_of(st.none(), quantities), step=st.one_of(st.none(), steps))
    def amend(self, data: st.DataObject, quantity: Decimal | None, step: Decimal | None) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.naive.open)))
        order = self.naive.open[order_id]
        price = None if step is None or order.order.price is None else self._mid(order.order) + step
        try:
            check_amend(order.order, quantity, price, INSTRUMENTS)
        except Refused:
            return
        self._command(AmendOrder(account=order.account, order_id=order_id, quantity=quantity, price=price))

    @precondition(lambda self: self.naive.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.naive.open)))
        self._command(CancelOrder(account=self.naive.open[order_id].account, order_id=order_id))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), draft=drafts(), mode=st.sampled_from(["stop_on_failure", "allow_failure"]))
    def replace(self, data: st.DataObject, draft: dict[str, Any], mode: Any) -> None:
        account, order_id = data.draw(st.sampled_from(self.orders))
        order = self._order(draft)
        if self._is_sound(order):
            self._command(ReplaceOrder(account=account, order_id=order_id, order=order, mode=mode))

    @precondition(lambda self: self.last is not None)
    @rule()
    def ask_the_same_again(self) -> None:
        assert self.last is not None
        self._command(self.last)

    # What becomes of it

    @precondition(lambda self: self.street.tradable())
    @rule(data=st.data(), whole=st.booleans(), step=st.integers(-3, 3))
    def trade(self, data: st.DataObject, whole: bool, step: int) -> None:
        child = self._drawn(data, self.street.tradable())
        room = self.street.room(child)
        quantity = room if whole else self._part(data, room)
        self.street.fill(child, quantity, self._mid(child.order) + step)

    @precondition(lambda self: self._withholdable())
    @rule(data=st.data(), step=st.integers(-3, 3))
    def trade_and_withhold(self, data: st.DataObject, step: int) -> None:
        child = self._drawn(data, self._withholdable())
        quantity = self._part(data, min(child.leaves - 1, self.street.room(child)))
        self.street.fill(child, quantity, self._mid(child.order) + step, withheld=True)

    @precondition(lambda self: self._late())
    @rule(data=st.data())
    def trade_after_all(self, data: st.DataObject) -> None:
        child = self._drawn(data, self._late())
        self.street.fill_after_all(child, self._part(data, self.street.room(child)), self._mid(child.order))

    @precondition(lambda self: any(child.cancel for child in self.street.live()))
    @rule(data=st.data())
    def cancel_at_the_venue(self, data: st.DataObject) -> None:
        self.street.end(self._drawn(data, [child for child in self.street.live() if child.cancel]), "cancelled")

    @precondition(lambda self: self.street.live())
    @rule(data=st.data(), how=st.sampled_from(["cancelled", "expired", "rejected", "lost"]))
    def end(self, data: st.DataObject, how: str) -> None:
        child = self._drawn(data, self.street.live())
        untouched = not child.filled and not child.prevented and not child.native
        self.street.end(child, how if untouched or how in ("cancelled", "expired") else "expired")

    @precondition(lambda self: any(child.amend for child in self.street.live()))
    @rule(data=st.data(), accept=st.booleans())
    def answer_amend(self, data: st.DataObject, accept: bool) -> None:
        self.street.answer_amend(self._drawn(data, [each for each in self.street.live() if each.amend]), accept)

    @precondition(lambda self: self.street.tradable())
    @rule(data=st.data())
    def prevent(self, data: st.DataObject) -> None:
        child = self._drawn(data, self.street.tradable())
        self.street.prevent(child, D(data.draw(st.integers(1, int(child.leaves)))))

    @precondition(lambda self: self.street.news)
    @rule(many=st.integers(1, 9), twice=st.booleans())
    def tell(self, many: int, twice: bool) -> None:
        for _ in range(min(many, len(self.street.news))):
            news = self.street.news.pop(0)
            self._hear(news)
            if twice and isinstance(news, TOLD_TWICE):
                self._hear(news)
                assert not self.scenario.said, f"told twice, {news} was news again"

    # The market, and money

    @rule(market=st.sampled_from(MARKETS), step=st.integers(-9, 9), twice=st.booleans())
    def move(self, market: tuple[str, str], step: int, twice: bool) -> None:
        bid = min(max(self.scenario.quotes[market].bid + step, D(80)), D(120))
        quote = _quote(*market, bid, self.scenario.now)
        self._hear(quote)
        self._check_triggers(quote)
        if twice:
            self._hear(quote)
            assert not any(isinstance(said, HeldOrderTriggered) for said in self.scenario.said)

    @rule(seconds=st.sampled_from([1, 1, 30, 90_000]))
    def wait(self, seconds: int) -> None:
        self.scenario.after(seconds * SECOND)
        for market in MARKETS:
            self._hear(replace(self.scenario.quotes[market], at=self.scenario.now))
        due = self.risk.deadline(self.scenario.state)
        if due is not None and due <= self.scenario.now:
            self._hear(Tick(at=self.scenario.now))

    @rule(news=st.deferred(lambda: _news_of_money()))
    def earn(self, news: Event) -> None:
        self._hear(news)

    # Those who watch

    @rule(command=st.deferred(lambda: _controls()))
    def control(self, command: Event) -> None:
        self._command(command)

    @precondition(lambda self: self.naive.switches)
    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        scope, account, strategy, symbol = data.draw(st.sampled_from(sorted(self.naive.switches)))
        named: dict[str, Any] = {"scope": scope, "account": account, "strategy": strategy, "symbol": symbol}
        self._command(ResetKillSwitch(reason="r", **named))

    @rule()
    def restart(self) -> None:
        dumped = encode_state(self.risk, self.scenario.state)
        self.scenario.state = self.risk.load(dumped)
        assert encode_state(self.risk, self.scenario.state) == dumped

    # How it is driven

    def _hear(self, heard: Event) -> list[Event]:
        said = self.scenario.when(heard).said
        for event in said:
            before = _Before(self.naive, event)
            self.naive.take(event)
            self._check_event(event, before)
            self.street.hear(event)
        return said

    def _command(self, command: Event) -> None:
        self.last = command
        said = self._hear(command)
        id = str(EventId("", self.scenario.heard, 0)).split(":", 1)[1].replace(":", "-")
        self._check_answer(command, id, said)
        if isinstance(command, PlaceOrder | ReplaceOrder):
            self.orders.append((command.account, id))
        elif isinstance(command, PlaceList):
            self.orders += [(command.account, f"{id}-leg{number}") for number in (1, 2)]

    def _order(self, draft: dict[str, Any]) -> Order:
        self.named += 1
        order = Order(client_order_id=f"c{self.named}", **{**draft, "price": None, "stop_price": None})
        mid = self._mid(order)
        stops = order.type not in ("limit", "market")
        price = mid + draft["price"] if order.type.endswith("limit") else None
        trigger = mid + draft["stop_price"] if stops and order.type != "trailing_stop" else None
        entry = price or trigger or mid
        loss = draft["stop_loss"]
        return replace(
            order,
            price=price,
            stop_price=trigger,
            stop_loss=None if loss is None else entry - loss if order.side == "buy" else entry + loss,
            trail_bps=500 if order.type == "trailing_stop" else 0,
            expire_at=self.scenario.now + SECOND if order.time_in_force == "gtd" else 0,
        )

    def _is_sound(self, order: Order) -> bool:
        """The gateway lets nothing else through."""
        try:
            check(order, INSTRUMENTS)
        except Refused:
            return False
        return True

    def _mid(self, order: Order) -> Decimal:
        quote = self.scenario.quotes[order.venue or "sim", order.symbol]
        return (quote.bid + quote.ask) / 2

    def _drawn(self, data: st.DataObject, children: list[Child]) -> Child:
        return data.draw(st.sampled_from(children))

    def _part(self, data: st.DataObject, room: Decimal) -> Decimal:
        return min(D(data.draw(st.integers(1, max(1, int(room))))), room)

    def _withholdable(self) -> list[Child]:
        return [child for child in self.street.tradable() if self.street.may_withhold(child)]

    def _late(self) -> list[Child]:
        """Whoever emulates a list relies on what the end of an order says is left: of its legs no more fills."""
        return [
            child
            for child in self.street.children.values()
            if child.over and child.kind is None and child.leaves > 0 and self.street.room(child) > 0
        ]

    # What must hold of each thing said

    def _check_event(self, event: Event, before: _Before) -> None:
        match event:
            case OrderApproved() | OrderHeld() if not before.was_open(event.order_id):
                self._check_new(event.account, [(event.order_id, event.order)], before)
                if isinstance(event, OrderApproved):
                    assert event.opening == self._opens(self.naive.open[event.order_id])
            case OrderApproved():
                self._check_not_killed(event.account, event.order)
            case ListApproved():
                self._check_new(event.account, [(leg.order_id, leg.order) for leg in event.legs], before)
            case AmendApproved() | ReservationAmended() if before.was_amendable(event):
                order = before.order
                assert order is not None
                if event.quantity > order.order.quantity:
                    self._check_not_killed(event.account, order.order)
                    assert order.order.reduce_only or order.order.stop_loss is not None
                if event.order_id in self.naive.open and self._opens(self.naive.open[event.order_id]):
                    self._check_limits(event.account, order.order, before)
            case ReservationReleased():
                assert event.quantity == self.street.children[event.order_id].ended_with, "what has traded is released"

    def _check_new(self, account: str, orders: list[tuple[str, Order]], before: _Before) -> None:
        for order_id, order in orders:
            assert order.reduce_only or order.stop_loss is not None, "an opening order has no stop-loss"
            if order.reduce_only:
                self._check_reduces(account, order_id, order)
            if order_id in self.naive.exits:
                return
            self._check_not_killed(account, order)
            self._check_counts(account, order)
            if self._opens(self.naive.open[order_id]):
                self._check_limits(account, order, before)
                self._check_losses(account, order)

    def _check_not_killed(self, account: str, order: Order) -> None:
        if order.client_order_id in self.naive.exits:
            return
        for scope, of_account, strategy, symbol in self.naive.switches:
            covers = {
                "firm": True,
                "account": account == of_account,
                "strategy": (account, order.strategy) == (of_account, strategy),
                "symbol": order.symbol == symbol,
            }
            assert not covers[scope], f"approved while the switch of the {scope} was engaged"

    def _check_reduces(self, account: str, order_id: str, order: Order) -> None:
        """It, and all others that only reduce, close no more than there is; a stop's exit, no more than other exits
        leave."""
        if self.naive.open[order_id].covered:
            return
        totals = self.naive.exiting(account) if order_id in self.naive.exits else self.naive.reducing(account)
        claimed = totals.get(f"{market_of(order)}/{order.side}", ZERO)
        held = self.naive.position(account, market_of(order))
        assert claimed <= max(-held if order.side == "buy" else held, ZERO), "it would flip the position"

    def _check_counts(self, account: str, order: Order) -> None:
        limits = self.naive.limits
        of_account = limits.accounts.get(account, limits.account)
        assert self.naive.orders((account, "")) <= of_account.open_orders_max
        assert self.naive.orders((account, order.strategy)) <= limits.strategy.open_orders_max
        assert self.naive.orders() <= limits.firm.open_orders_max

    def _check_limits(self, account: str, order: Order, before: _Before) -> None:
        """Position and worst-case open orders are within the limits; where they were beyond them already, by a loss or
        a change of limits, they have not become worse."""
        now, limits, symbol = self.naive, self.naive.limits, order.symbol
        part = limits.accounts.get(account, limits.account)
        mid, equity, firm = self._mid(order), now.equity((account, "")), now.equity(FIRM)
        compared = {
            "position": ((account, ""), limits.symbol.position_percent, equity),
            "strategy": ((account, order.strategy), limits.strategy.position_percent, equity),
            "firm": (FIRM, limits.firm.position_percent, firm),
        }
        for name, (owner, percent, base) in compared.items():
            worst = now.worst(owner).get(symbol, ZERO)
            assert worst * mid * 100 <= percent * base or worst <= before.worst(owner, symbol), f"{name} limit"
        exposures = {
            "gross": (now.gross(account), before.gross(account), part.gross_percent, equity),
            "net": (now.lean(order.side, account), before.lean(order.side, account), part.net_percent, equity),
            "firm gross": (now.gross(), before.gross(""), limits.firm.gross_percent, firm),
            "firm net": (now.lean(order.side), before.lean(order.side, ""), limits.firm.net_percent, firm),
        }
        for name, (after, earlier, percent, base) in exposures.items():
            assert after * 100 <= percent * base or after <= earlier, f"{name} limit"

    def _check_losses(self, account: str, order: Order) -> None:
        limits = self.naive.limits
        part = limits.accounts.get(account, limits.account)
        parts: dict[Owner, AccountLimits | StrategyLimits | FirmLimits] = {
            (account, ""): part,
            (account, order.strategy): limits.strategy,
            FIRM: limits.firm,
        }
        for owner, each in parts.items():
            wealth = self.naive.wealth.get(owner)
            if wealth is not None:
                assert (wealth.peak - wealth.equity) * 100 < each.drawdown_percent * wealth.peak, "drawdown"

    def _opens(self, order: Open) -> bool:
        """With all others of its side filled before it."""
        stake = self.naive.stake(order.account, market_of(order.order))
        if order.order.side == "buy":
            wanted, room = stake.buys + stake.reducing_buys, -stake.held
        else:
            wanted, room = stake.sells + stake.reducing_sells, stake.held
        return not order.order.reduce_only and wanted > max(room, ZERO)

    def _check_triggers(self, quote: Quote) -> None:
        """What was held for this price is held no longer."""
        for order_id, order in self.naive.open.items():
            if not order.held or market_of(order.order) != f"{quote.venue}/{quote.symbol}":
                continue
            held = self.scenario.state.accounts[order.account].open_orders[order_id].held
            assert held is not None
            waits = held.triggered or not held.armed or held.replaces in self.naive.open
            assert waits or not contingency.reached(order.order, quote.bid, quote.ask), "a trigger did not fire"

    def _check_answer(self, command: Event, id: str, said: list[Event]) -> None:
        def about(*kinds: type[Event], **fields: str) -> int:
            return sum(
                isinstance(event, kinds) and all(getattr(event, name) == value for name, value in fields.items())
                for event in said
            )

        match command:
            case PlaceOrder() | ReplaceOrder():
                answers = about(OrderApproved, OrderHeld, OrderRefused, OrderRepeated, order_id=id)
            case PlaceList():
                answers = about(ListApproved, ListRefused, list_id=id) + about(OrderRepeated, order_id=id)
            case AmendOrder():
                answers = about(AmendApproved, AmendRefused, ReservationAmended, order_id=command.order_id)
            case CancelOrder():
                answers = about(CancelApproved, CancelRefused, HeldOrderCancelled, order_id=command.order_id)
            case SetLimits():
                answers = about(LimitsChanged, LimitsRefused) - about(LimitsChanged, reason="the file of the process")
            case ResetKillSwitch():
                answers = about(KillSwitchReset, KillSwitchResetRefused)
            case _:
                return
        assert answers == 1, f"{command} was answered {answers} times"

    # What must hold after every step

    @invariant()
    def the_books_add_up(self) -> None:
        state, naive = self.scenario.state, self.naive
        assert {name for name, each in state.accounts.items() if each.open_orders} == {
            order.account for order in naive.open.values()
        }
        for name, account in state.accounts.items():
            mine = {order_id: order for order_id, order in naive.open.items() if order.account == name}
            assert set(account.open_orders) == set(mine)
            for order_id, order in mine.items():
                known = account.open_orders[order_id]
                assert (known.claim, known.price, known.held is not None) == (order.claim, order.price, order.held)
            assert account.positions == naive.positions(name)
            assert account.reserved == naive.reserved(name)
            assert account.reduce_only == naive.reducing(name)
            assert account.exiting == naive.exiting(name)
            assert account.protected == naive.protected(name)
            assert account.live == {order.order.client_order_id: order_id for order_id, order in mine.items()}
            assert set(account.lists) == {each.list_id for each in naive.lists.values() if each.account == name}

    @invariant()
    def the_ledger_adds_up(self) -> None:
        ledger, naive = self.scenario.state.ledger, self.naive
        assert sorted(ledger.accounts) == sorted(naive.accounts())
        self._compare_book(FIRM, ledger.firm)
        for name, book in ledger.accounts.items():
            self._compare_book((name, ""), book)
            assert book.values == naive.values(name)
            for strategy, standing in book.strategies.items():
                self._compare((name, strategy), standing)

    def _compare_book(self, owner: Owner, book: Book) -> None:
        naive = self.naive
        self._compare(owner, book)
        assert book.gross == naive.gross(owner[0])
        assert (book.long, book.short) == (naive.lean("buy", owner[0]), naive.lean("sell", owner[0]))

    def _compare(self, owner: Owner, standing: Standing) -> None:
        assert standing.equity == self.naive.equity(owner)
        assert standing.orders == self.naive.orders(owner)
        assert standing.worst == self.naive.worst(owner)
        wealth = self.naive.wealth.get(owner)
        if wealth is not None:
            assert (standing.peak, standing.day_start) == (wealth.peak, wealth.day_start)

    @invariant()
    def every_position_is_protected(self) -> None:
        """By stops and their exits, also what of it was told late; and by no more than it is."""
        for name in self.scenario.state.accounts:
            protected = self.naive.protected(name)
            exiting = self.naive.stopping(name)
            for market, held in self.naive.positions(name).items():
                side: Side = "sell" if held > 0 else "buy"
                guarded = protected.get(f"{market}/{side}", ZERO)
                leaving = exiting.get(f"{market}/{side}", ZERO)
                assert guarded + leaving >= abs(held), "a position lacks a stop"
                assert guarded <= max(abs(held) - leaving, ZERO), "a stop protects what is not there"
                assert f"{market}/{opposite(side)}" not in protected
            assert {key.rpartition("/")[0] for key in protected} <= set(self.naive.positions(name))

    @invariant()
    def alternatives_do_not_meet_at_the_venue(self) -> None:
        for list_id, approved in self.street.lists.items():
            if approved.native or approved.kind == "oto":
                continue
            ids = [leg.order_id for leg in approved.legs[1 if approved.kind == "otoco" else 0 :]]
            sent = [self.street.children[each] for each in ids if each in self.street.children]
            assert sum(not child.over for child in sent) <= 1, f"two legs of {list_id} are at the venue at once"
            filled = [child.filled for child in sent if child.filled]
            if approved.kind == "ouo":
                largest = max((child.order.quantity for child in sent), default=ZERO)
                assert sum(filled, ZERO) <= largest, f"{list_id} filled twice"
            else:
                assert len(filled) <= 1, f"{list_id} filled twice"

    @invariant()
    def nothing_waits_for_ever(self) -> None:
        for list_id, approved in self.naive.lists.items():
            legs = [leg.order_id for leg in approved.legs]
            assert any(each in self.naive.open for each in legs), f"{list_id} is over and does not end"
            account = self.scenario.state.accounts[approved.account]
            for each in legs[1:]:
                held = account.open_orders[each].held if each in self.naive.open else None
                if held is not None and not held.armed:
                    assert legs[0] in self.naive.open, f"{each} waits for a parent that is over"
        for account in self.scenario.state.accounts.values():
            assert not [each for each, stop in account.stops.items() if account.is_spent(each, stop)]
            assert set(account.replacing) <= set(account.open_orders), "an order waits for the end of one that is over"

    @invariant()
    def indexes_are_what_they_would_be_made_anew(self) -> None:
        lived = self.scenario.state
        loaded = self.risk.load(msgspec.json.encode(self.risk.dump(lived)))
        assert {key: watched for key, watched in lived.watched.items() if watched} == loaded.watched
        assert lived.waiting == loaded.waiting
        assert vars(lived.own_orders) == vars(loaded.own_orders)


class _Before:
    """What was so before something was said."""

    def __init__(self, naive: Naive, event: Event) -> None:
        order_id = getattr(event, "order_id", "")
        self._open = set(naive.open)
        known = naive.open.get(order_id)
        self.order = None if known is None else msgspec.structs.replace(known)
        if not isinstance(event, OrderApproved | OrderHeld | ListApproved | AmendApproved | ReservationAmended):
            # Nothing was decided.
            return
        account = event.account
        owners = [FIRM, (account, ""), *((account, strategy) for strategy in STRATEGIES)]
        self._worst = {owner: naive.worst(owner) for owner in owners}
        self._gross = {each: naive.gross(each) for each in ("", account)}
        self._lean = {(side, each): naive.lean(side, each) for side in _SIDES for each in ("", account)}

    def was_open(self, order_id: str) -> bool:
        return order_id in self._open

    def was_amendable(self, event: AmendApproved | ReservationAmended) -> bool:
        """Risk decides on amends; of what is at the venue it only hears what has come of them."""
        return self.order is not None and (isinstance(event, AmendApproved) or self.order.held)

    def worst(self, owner: Owner, symbol: str) -> Decimal:
        return self._worst[owner].get(symbol, ZERO)

    def gross(self, account: str) -> Decimal:
        return self._gross[account]

    def lean(self, side: Side, account: str) -> Decimal:
        return self._lean[side, account]


_SIDES: tuple[Side, Side] = ("buy", "sell")


@st.composite
def _legs(draw: st.DrawFn, kind: str) -> list[dict[str, Any]]:
    """Mostly lists that fit together."""
    first = draw(drafts())
    plain = {"time_in_force": "gtc", "post_only": False, "self_trade_prevention": "none"}
    first |= plain
    far = D(draw(st.integers(2, 8)))
    if kind == "oto":
        child = draw(drafts()) | plain | {"strategy": first["strategy"]}
        if draw(st.booleans()):
            child |= {"side": opposite(first["side"]), "symbol": first["symbol"], "quantity": first["quantity"]}
        return [first, child]
    exits = {**first, "type": "limit"}
    if kind == "otoco":
        exits |= {"side": opposite(first["side"]), "stop_loss": draw(st.one_of(st.none(), st.just(D(5))))}
    up = far if exits["side"] == "sell" else -far
    limit = {**exits, "price": up}
    if kind == "ouo":
        near = {**exits, "price": up / 2}
        return [limit, draw(st.sampled_from([near, {**exits, "type": "stop_market", "stop_price": -up}]))]
    stop = {**exits, "type": draw(st.sampled_from(["stop_market", "stop_limit"])), "stop_price": -up, "price": -up}
    if draw(st.integers(0, 5)) == 0:
        stop |= {"reduce_only": not stop["reduce_only"]}
    if draw(st.integers(0, 5)) == 0:
        stop |= {"stop_loss": None}
    return [limit, stop] if kind == "oco" else [first, limit, stop]


def _quote(venue: str, symbol: str, bid: Decimal, at: int) -> Quote:
    return Quote(venue=venue, symbol=symbol, bid=bid, ask=bid + 2, bid_quantity=D(1), ask_quantity=D(1), at=at)


def _cost(account: str, strategy: str, fee: Decimal) -> CostRecorded:
    return CostRecorded(
        fill=EventId("EXECUTION_0", 1, 0),
        order_id="1-0",
        account=account,
        strategy=strategy,
        symbol="BTC-USDT",
        venue="sim",
        trade_id="t",
        side="buy",
        quantity=D(1),
        price=D(100),
        arrival_mid=D(100),
        spread=ZERO,
        drift=ZERO,
        fee=fee,
        total=fee,
    )


def _statistics(correlation: Decimal, version: int) -> StatisticsPublished:
    names = {field.name for field in msgspec.structs.fields(SymbolStatistics)} - {"symbol"}
    numbers: dict[str, Any] = dict.fromkeys(names, ZERO)
    numbers |= {"observations": 100, "model": "garch", "volatility": D("0.01")}
    return StatisticsPublished(
        version=version,
        sampled_to=version,
        interval_ns=SECOND,
        symbols=[SymbolStatistics(symbol=symbol, **numbers) for symbol in SYMBOLS],
        correlations=[[D(1), correlation], [correlation, D(1)]],
        at=NOON,
    )


def _news_of_money() -> st.SearchStrategy[Event]:
    return st.one_of(
        st.builds(_cost, st.sampled_from(ACCOUNTS), st.sampled_from(STRATEGIES), st.integers(-20, 120).map(D)),
        st.builds(_statistics, st.sampled_from(["-0.9", "0.5", "0.9"]).map(D), st.integers(1, 3)),
        st.builds(RebaseEquity, account=st.sampled_from([*ACCOUNTS, ""]), reason=st.just("r"), by=st.just("operator")),
    )


def _controls() -> st.SearchStrategy[Event]:
    return st.one_of(
        st.builds(
            EngageKillSwitch,
            account=st.sampled_from(ACCOUNTS),
            reason=st.just("r"),
            scope=st.sampled_from(["firm", "account", "strategy", "symbol"]),
            strategy=st.sampled_from(STRATEGIES),
            symbol=st.sampled_from(SYMBOLS),
            flatten=st.booleans(),
        ),
        st.builds(
            SetLimits, document=documents(), reason=st.just("r"), by=st.just("operator"), replaces=st.integers(0, 2)
        ),
    )


RiskMachine.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
test_risk_keeps_its_word = RiskMachine.TestCase
