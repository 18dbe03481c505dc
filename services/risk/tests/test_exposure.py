"""Are the totals, kept up by each event, what one gets by adding everything up again?"""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot4_common.messages.limits import AccountLimits, LimitsDocument
from bot4_common.messages.terms import Order, Side
from bot4_risk.exposure import DAY_NS, NO_LOSS, Ledger, Loss, price_of

D = Decimal
DAY = 20_000 * DAY_NS
CAPITAL = 1_000
SIDES: tuple[Side, Side] = ("buy", "sell")

# The events, as the ledger is told them.


class Reserve(NamedTuple):
    account: str
    strategy: str
    venue: str
    symbol: str
    side: Side
    change: Decimal
    price: Decimal
    reduce_only: bool


class Count(NamedTuple):
    account: str
    strategy: str
    change: int


class Fill(NamedTuple):
    account: str
    strategy: str
    venue: str
    symbol: str
    quantity: Decimal
    price: Decimal


class Fee(NamedTuple):
    account: str
    strategy: str
    fee: Decimal


class Mark(NamedTuple):
    marks: dict[str, Decimal]
    at: int


class Rebase(NamedTuple):
    account: str


class Adopt(NamedTuple):
    document: LimitsDocument


Told = Reserve | Count | Fill | Fee | Mark | Rebase | Adopt
METHODS = {
    Reserve: "reserve", Count: "count", Fill: "fill", Fee: "fee", Mark: "mark", Rebase: "rebase", Adopt: "adopt",
}  # fmt: skip


def tell(ledger: Ledger, *events: Told) -> Ledger:
    for event in events:
        getattr(ledger, METHODS[type(event)])(*event)
    return ledger


def document(capital: int = CAPITAL, **named: int) -> LimitsDocument:
    accounts = {name: AccountLimits(capital=D(amount)) for name, amount in named.items()}
    return LimitsDocument(account=AccountLimits(capital=D(capital)), accounts=accounts)


def ledger(*events: Told) -> Ledger:
    return tell(Ledger(), Adopt(document()), *events)


def buy(
    quantity: str, price: str = "100", account: str = "ann", venue: str = "a", reduce_only: bool = False
) -> Reserve:
    return Reserve(account, "s", venue, "X", "buy", D(quantity), D(price), reduce_only)


def sell(
    quantity: str, price: str = "100", account: str = "ann", venue: str = "a", reduce_only: bool = False
) -> Reserve:
    return Reserve(account, "s", venue, "X", "sell", D(quantity), D(price), reduce_only)


def fill(quantity: str, price: str = "100", account: str = "ann", venue: str = "a", strategy: str = "s") -> Fill:
    return Fill(account, strategy, venue, "X", D(quantity), D(price))


def marked(price: str, at: int = DAY) -> Mark:
    return Mark({"a/X": D(price), "b/X": D(price)}, at)


def worst(of: Ledger, side: Side, extra: str = "0", venue: str = "a") -> Decimal:
    return of.worst("ann", venue, "X", side, D(extra))


# What the position may come to be.


def test_what_is_held_ordered_and_asked_adds_up_on_one_side() -> None:
    known = ledger(fill("3"), buy("2"), sell("9"))
    assert worst(known, "buy", "1") == 6
    assert worst(known, "sell", "1") == 7


def test_positions_at_two_venues_do_not_protect_each_other() -> None:
    assert worst(ledger(fill("3", venue="a"), fill("-4", venue="b")), "buy", "1") == 3 + 1 + 4


def test_elsewhere_the_worse_side_counts() -> None:
    assert worst(ledger(fill("3", venue="b"), buy("1", venue="b"), sell("8", venue="b")), "buy", "1") == 1 + 5


def test_orders_that_only_reduce_are_no_exposure() -> None:
    known = ledger(fill("3"), sell("3", reduce_only=True))
    assert worst(known, "sell") == 3
    assert known.gross("ann") == 300


def test_what_only_reduces_may_make_room_for_what_opens() -> None:
    known = ledger(fill("3"), sell("2", reduce_only=True), sell("4"))
    assert worst(known, "sell", "1") == 4
    assert worst(ledger(fill("-3"), buy("9", reduce_only=True), buy("4")), "buy", "1") == 5


def test_two_accounts_do_not_protect_each_other_either() -> None:
    known = ledger(fill("3"), fill("-4", account="bob"))
    assert known.firm_worst("ann", "a", "X", "buy", D(1)) == 3 + 1 + 4


def test_a_strategy_is_looked_at_by_itself() -> None:
    known = ledger(fill("3"), fill("-2", strategy="t"))
    assert known.strategy_worst("ann", "t", "a", "X", "sell", D(1)) == 3
    assert known.strategy_worst("ann", "s", "a", "X", "sell", D(1)) == 2
    assert worst(known, "sell", "1") == 0


def test_nothing_is_left_of_what_came_to_nothing() -> None:
    over = ledger(buy("2.50"), Count("ann", "s", 1), fill("1.5"), buy("-1.5"), fill("-1.5"), buy("-1.0"))
    tell(over, Count("ann", "s", -1))
    assert over.markets == {}
    assert over.accounts["ann"].values == over.accounts["ann"].worst == over.firm.worst == {}
    assert over.gross("ann") == over.firm_gross() == over.firm.orders == 0


# Exposure


def test_gross_adds_what_is_held_at_its_mark_and_what_is_ordered_at_its_price() -> None:
    assert ledger(fill("3"), fill("-1", venue="b"), buy("2", "90"), marked("110")).gross("ann") == 330 + 110 + 180


def test_net_is_what_is_left_when_one_side_fills() -> None:
    known = ledger(fill("3"), fill("-1", venue="b"), buy("2", "90"), sell("1", "120"), marked("110"))
    assert known.net("ann", "buy") == known.firm_net("buy") == 220 + 180
    assert known.net("ann", "sell") == known.firm_net("sell") == 120 - 220


# Equity


def test_equity_follows_fills_fees_and_marks() -> None:
    known = ledger(fill("2", "100"), Fee("ann", "s", D("0.5")), marked("110"), fill("-1", "112"))
    assert known.equity("ann") == CAPITAL + 20 - D("0.5") + 2


def test_what_nobody_held_for_a_while_is_not_valued_at_its_old_mark() -> None:
    known = ledger(fill("1", "100"), marked("100"), fill("-1", "100"), fill("1", "500"))
    assert known.equity("ann") == CAPITAL
    assert known.gross("ann") == 500


def test_with_orders_left_in_the_market_neither() -> None:
    known = ledger(fill("1", "100"), buy("1"), fill("-1", "100"))
    assert list(known.markets_held()) == []
    tell(known, marked("300"), fill("1", "500"))
    assert known.equity("ann") == CAPITAL
    assert list(known.markets_held()) == ["a/X"]


def test_strategies_that_even_out_hold_something_all_the_same() -> None:
    known = ledger(fill("1", "100"), fill("-1", "100", strategy="t"), marked("150"))
    assert known.position("ann", "a", "X") == 0
    assert (known.drawdown("ann").percent, known.drawdown("ann", "t").percent) == (D(0), D(5))


def test_the_capital_of_a_new_account_is_no_gain_of_the_firm() -> None:
    known = ledger(fill("1"), marked("50"))
    assert known.firm_equity() == CAPITAL - 50
    assert known.firm_equity("bob") == 2 * CAPITAL - 50
    tell(known, Fee("bob", "s", D(0)))
    assert known.firm_equity() == known.firm_equity("bob") == 2 * CAPITAL - 50
    assert known.drawdown() == Loss(D("2.5"), D(2 * CAPITAL))


def test_accounts_that_the_limits_name_belong_to_the_firm_from_the_beginning() -> None:
    known = tell(Ledger(), Adopt(document(cem=7)))
    assert known.firm_equity() == known.firm_equity("cem") == known.equity("cem") == 7


def test_more_capital_is_no_gain() -> None:
    known = ledger(fill("1"), marked("50"), Adopt(document(ann=2_000)))
    assert known.equity("ann") == known.firm_equity() == 1_950
    assert known.drawdown("ann") == known.drawdown("ann", "s") == known.drawdown() == Loss(D("2.5"), D(2_000))


# Losses


def test_a_drawdown_is_counted_from_the_highest_equity_ever() -> None:
    known = ledger(fill("1"), marked("350"), marked("225"))
    assert known.drawdown("ann") == known.drawdown("ann", "s") == known.drawdown() == Loss(D(10), D(1_250))


def test_halfway_through_the_marks_there_is_no_peak() -> None:
    held = ledger(fill("1"), Fill("ann", "s", "a", "Y", D(-1), D(100)))
    tell(held, Mark({"a/X": D(200), "a/Y": D(200)}, DAY))
    assert held.drawdown("ann") == Loss(D(0), D(CAPITAL))


def test_a_daily_loss_is_counted_from_the_beginning_of_the_utc_day() -> None:
    known = ledger(fill("1"), marked("50", DAY), marked("50", DAY + DAY_NS - 1))
    assert known.daily_loss(DAY + DAY_NS - 1, "ann") == Loss(D(5), D(CAPITAL))
    tell(known, marked("31", DAY + DAY_NS))
    assert known.daily_loss(DAY + DAY_NS, "ann") == known.daily_loss(DAY + DAY_NS) == Loss(D(2), D(950))


def test_a_day_has_as_many_ns_as_it_should() -> None:
    assert DAY_NS == 24 * 3_600 * 10**9


def test_on_a_day_without_marks_nothing_is_lost_yet() -> None:
    known = ledger(fill("1"), marked("50"))
    assert known.daily_loss(DAY + DAY_NS, "ann") == NO_LOSS


def test_what_is_lost_is_rounded_so_that_no_limit_looks_reached_that_is_not() -> None:
    lost = ledger(fill("1", "150"), Fee("ann", "s", D("0.000000001")), marked("0.000000002"))
    assert lost.drawdown("ann").percent == D("14.999999")


@pytest.mark.parametrize(("mark", "base"), [("500", -500), ("1000", 0)])
def test_who_loses_more_than_there_was_loses_it_whole(mark: str, base: int) -> None:
    ruined = ledger(fill("1", "2000"), marked(mark), Rebase("ann"), marked("400"))
    assert ruined.drawdown("ann") == Loss(D(100), D(base))


def test_losses_are_forgiven_account_by_account() -> None:
    known = ledger(fill("1"), fill("1", account="bob"), marked("50"), Rebase("ann"))
    assert known.drawdown("ann").percent == known.drawdown("ann", "s").percent == 0
    assert known.daily_loss(DAY, "ann").percent == 0
    assert known.drawdown("bob").percent == known.drawdown().percent == 5
    assert tell(known, Rebase("")).drawdown() == Loss(D(0), D(1_900))


def test_everybody_who_may_lose_is_told() -> None:
    known = ledger(fill("1"), fill("1", strategy="t"), Fee("bob", "s", D(1)))
    assert set(known.standings()) == {
        ("firm", "", ""),
        ("account", "ann", ""),
        ("strategy", "ann", "s"),
        ("strategy", "ann", "t"),
        ("account", "bob", ""),
        ("strategy", "bob", "s"),
    }


def test_who_was_never_heard_of_has_lost_nothing() -> None:
    assert Ledger().drawdown("ann") == Ledger().daily_loss(DAY, "ann", "s") == NO_LOSS


# What orders are worth


@pytest.mark.parametrize(("price", "stop_price", "worth"), [("90", "80", 90), (None, "80", 80), (None, None, 100)])
def test_an_order_is_worth_its_limit_or_its_trigger_or_the_mid(
    price: str | None, stop_price: str | None, worth: int
) -> None:
    order = Order(
        client_order_id="c",
        symbol="X",
        side="buy",
        type="market",
        quantity=D(1),
        strategy="s",
        price=None if price is None else D(price),
        stop_price=None if stop_price is None else D(stop_price),
    )
    assert price_of(order, D(100)) == worth


# The same by adding everything up


class Owner(NamedTuple):
    """The firm has no account, an account no strategy."""

    account: str = ""
    strategy: str = ""

    def has(self, account: str, strategy: str) -> bool:
        return self.account in ("", account) and self.strategy in ("", strategy)


class Naive:
    """Answers every question from the list of events."""

    def __init__(self, events: list[Told]) -> None:
        self.events = events
        self.document = next(each.document for each in reversed(events) if isinstance(each, Adopt))

    def accounts(self) -> list[str]:
        return list(dict.fromkeys(e.account for e in self.events if not isinstance(e, Mark | Adopt) and e.account))

    def capital(self, account: str) -> Decimal:
        if account:
            return self.document.accounts.get(account, self.document.account).capital
        return sum((self.capital(each) for each in {*self.accounts(), *self.document.accounts}), D(0))

    def held(self, owner: Owner, market: str) -> Decimal:
        return sum(
            (
                each.quantity
                for each in self.events
                if isinstance(each, Fill)
                and owner.has(each.account, each.strategy)
                and f"{each.venue}/{each.symbol}" == market
            ),
            D(0),
        )

    def ordered(self, owner: Owner, market: str, side: Side, reduce_only: bool = False) -> tuple[Decimal, Decimal]:
        """Quantity and notional."""
        found = [
            each
            for each in self.events
            if isinstance(each, Reserve)
            and owner.has(each.account, each.strategy)
            and (f"{each.venue}/{each.symbol}", each.side, each.reduce_only) == (market, side, reduce_only)
        ]
        return sum((each.change for each in found), D(0)), sum((each.change * each.price for each in found), D(0))

    def mark(self, market: str) -> Decimal:
        mark, held = D(0), defaultdict[tuple[str, str], Decimal](Decimal)
        for event in self.events:
            if isinstance(event, Fill) and f"{event.venue}/{event.symbol}" == market:
                mark = mark if any(held.values()) else event.price
                held[event.account, event.strategy] += event.quantity
            if isinstance(event, Mark) and any(held.values()):
                mark = event.marks.get(market, mark)
        return mark

    def earned(self, owner: Owner) -> Decimal:
        total = D(0)
        for event in self.events:
            if isinstance(event, Fill) and owner.has(event.account, event.strategy):
                total += event.quantity * (self.mark(f"{event.venue}/{event.symbol}") - event.price)
            if isinstance(event, Fee) and owner.has(event.account, event.strategy):
                total -= event.fee
        return total

    def lost(self, owner: Owner) -> tuple[Loss, Loss]:
        """Drawdown and daily loss."""
        peak = day_start = before = D(0)
        day = 0
        for number, event in enumerate(self.events, start=1):
            now = Naive([*self.events[:number], Adopt(self.document)]).earned(owner)
            if isinstance(event, Mark) and event.at // DAY_NS > day:
                day, day_start = event.at // DAY_NS, before
            peak = max(peak, now)
            if isinstance(event, Rebase) and event.account == owner.account:
                peak = day_start = now
            before = now
        capital = self.capital(owner.account)
        return _loss(capital + peak, capital + before), _loss(capital + day_start, capital + before)

    def worst_at(self, owner: Owner, market: str, side: Side, extra: Decimal) -> Decimal:
        """Whatever part of the reducing orders fills before: all or nothing is the worst of it."""
        held = self.held(owner, market)
        reducing = self.ordered(owner, market, side, reduce_only=True)[0]
        wanted = self.ordered(owner, market, side)[0] + extra
        if side == "sell":
            held = -held
        left = min(D(0), held + reducing) if held < 0 else held
        return max(abs(held + wanted), abs(left + wanted))

    def worst(self, owner: Owner, account: str, venue: str, symbol: str, side: Side, extra: Decimal) -> Decimal:
        """`account` orders at `venue`; the firm's is the sum of its accounts'."""
        owners = [owner] if owner.account else [Owner(each) for each in {*self.accounts(), account}]
        total = D(0)
        for each in owners:
            for place in VENUES:
                market = f"{place}/{symbol}"
                if place == venue and each.account == account:
                    total += self.worst_at(each, market, side, extra)
                else:
                    total += max(self.worst_at(each, market, one, D(0)) for one in SIDES)
        return total

    def gross(self, account: str) -> Decimal:
        if not account:
            return sum((self.gross(each) for each in self.accounts()), D(0))
        owner = Owner(account)
        return sum(
            (
                abs(self.held(owner, market)) * self.mark(market)
                + self.ordered(owner, market, "buy")[1]
                + self.ordered(owner, market, "sell")[1]
                for market in MARKETS
            ),
            D(0),
        )

    def lean(self, owner: Owner, side: Side) -> Decimal:
        net = sum((self.held(owner, market) * self.mark(market) for market in MARKETS), D(0))
        return sum((self.ordered(owner, market, side)[1] for market in MARKETS), net if side == "buy" else -net)


def _loss(base: Decimal, equity: Decimal) -> Loss:
    if equity >= base:
        return Loss(D(0), base)
    percent = D(100) if base <= 0 else ((base - equity) * 100 / base).quantize(D("1e-6"), ROUND_DOWN)
    return Loss(percent, base)


ACCOUNTS, STRATEGIES, VENUES, SYMBOLS = ("ann", "bob"), ("s", "t"), ("a", "b"), ("X", "Y")
MARKETS = [f"{venue}/{symbol}" for venue in VENUES for symbol in SYMBOLS]

who = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(STRATEGIES))
where = st.tuples(st.sampled_from(VENUES), st.sampled_from(SYMBOLS))
quantities = st.integers(1, 30).map(lambda lots: D(lots) / 10)
prices = st.integers(1, 300).map(lambda ticks: D(ticks) / 4)


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """What could have happened: no order has less than nothing left, and time goes on."""
    events: list[Told] = [Adopt(document())]
    orders: list[Reserve] = []
    at = DAY
    for kind in draw(st.lists(st.sampled_from([Reserve, Reserve, Count, Fill, Fill, Fee, Mark, Mark, Rebase, Adopt]))):
        if kind is Reserve and orders and draw(st.booleans()):
            order = orders.pop(draw(st.integers(0, len(orders) - 1)))
            taken = draw(st.sampled_from([order.change, order.change / 2]))
            events.append(order._replace(change=-taken))
            if taken < order.change:
                orders.append(order._replace(change=order.change - taken))
        elif kind is Reserve:
            order = Reserve(
                *draw(who),
                *draw(where),
                draw(st.sampled_from(SIDES)),
                draw(quantities),
                draw(prices),
                draw(st.booleans()),
            )
            orders.append(order)
            events.append(order)
        elif kind is Count:
            events.append(Count(*draw(who), 1))
        elif kind is Fill:
            events.append(Fill(*draw(who), *draw(where), D(draw(st.sampled_from(["-1", "1", "0.50"]))), draw(prices)))
        elif kind is Fee:
            events.append(Fee(*draw(who), draw(prices)))
        elif kind is Mark:
            at += draw(st.sampled_from([1, DAY_NS // 3, DAY_NS]))
            events.append(Mark({market: draw(prices) for market in draw(st.sets(st.sampled_from(MARKETS)))}, at))
        elif kind is Rebase:
            events.append(Rebase(draw(st.sampled_from(["", *ACCOUNTS]))))
        else:
            capitals = draw(st.dictionaries(st.sampled_from([*ACCOUNTS, "cem"]), st.integers(1, 2_000)))
            events.append(Adopt(document(draw(st.integers(1, 2_000)), **capitals)))
    return events


@given(histories())
def test_equities_and_losses_are_those_of_the_events(events: list[Told]) -> None:
    known, naive = tell(Ledger(), *events), Naive(events)
    at = known.day * DAY_NS
    assert known.firm_equity() == naive.capital("") + naive.earned(Owner())
    assert (known.drawdown(), known.daily_loss(at)) == naive.lost(Owner())
    for account in naive.accounts():
        assert known.equity(account) == naive.capital(account) + naive.earned(Owner(account))
        assert (known.drawdown(account), known.daily_loss(at, account)) == naive.lost(Owner(account))
        for strategy in known.accounts[account].strategies:
            of_strategy = (known.drawdown(account, strategy), known.daily_loss(at, account, strategy))
            assert of_strategy == naive.lost(Owner(account, strategy))


@given(histories(), who, where, st.sampled_from(SIDES), quantities)
def test_positions_and_exposures_are_those_of_the_events(
    events: list[Told], asking: tuple[str, str], at: tuple[str, str], side: Side, extra: Decimal
) -> None:
    known, naive, (account, strategy) = tell(Ledger(), *events), Naive(events), asking
    found = (
        known.worst(account, *at, side, extra),
        known.strategy_worst(account, strategy, *at, side, extra),
        known.firm_worst(account, *at, side, extra),
    )
    owners = (Owner(account), Owner(account, strategy), Owner())
    assert found == tuple(naive.worst(owner, account, *at, side, extra) for owner in owners)
    assert (known.gross(account), known.firm_gross()) == (naive.gross(account), naive.gross(""))
    assert known.net(account, side) == naive.lean(Owner(account), side)
    assert known.firm_net(side) == naive.lean(Owner(), side)
    counted = [each for each in events if isinstance(each, Count)]
    assert known.firm.orders == sum(each.change for each in counted)
    held = {market for market in MARKETS for one in ACCOUNTS for s in STRATEGIES if naive.held(Owner(one, s), market)}
    assert set(known.markets_held()) == held
    assert known.position(account, *at) == naive.held(Owner(account), "/".join(at))
    assert known.position_of_strategy(account, strategy, *at) == naive.held(Owner(account, strategy), "/".join(at))


@given(histories())
def test_the_values_of_an_account_by_symbol_are_those_of_its_positions(events: list[Told]) -> None:
    known, naive = tell(Ledger(), *events), Naive(events)
    for account, book in known.accounts.items():
        values = {
            symbol: sum(
                (naive.held(Owner(account), f"{at}/{symbol}") * naive.mark(f"{at}/{symbol}") for at in VENUES), D(0)
            )
            for symbol in SYMBOLS
        }
        assert book.values == {symbol: value for symbol, value in values.items() if value}


@given(histories(), st.integers(0, 100))
def test_a_loaded_ledger_goes_on_like_the_one_that_lived(events: list[Told], cut: int) -> None:
    lived = tell(Ledger(), *events)
    saved = msgspec.json.encode(tell(Ledger(), *events[:cut]))
    loaded = msgspec.json.decode(saved, type=Ledger)
    assert msgspec.json.encode(loaded) == saved
    assert msgspec.json.encode(tell(loaded, *events[cut:])) == msgspec.json.encode(lived)


@given(histories())
def test_when_all_is_sold_and_over_nothing_is_left_but_equity(events: list[Told]) -> None:
    known, naive = tell(Ledger(), *events), Naive(events)
    for each in [each for each in events if isinstance(each, Reserve)]:
        tell(known, each._replace(change=-each.change))
    for account in ACCOUNTS:
        for strategy in STRATEGIES:
            for market in MARKETS:
                held = naive.held(Owner(account, strategy), market)
                if held:
                    venue, symbol = market.split("/")
                    tell(known, Fill(account, strategy, venue, symbol, -held, D(1)))
    assert known.markets == {}
    assert known.firm.worst == {}
    assert known.firm.gross == known.firm.long == known.firm.short == 0
    assert all(not (book.worst or book.values or book.gross or book.long) for book in known.accounts.values())
