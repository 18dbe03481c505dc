"""How much is at stake? The totals that the limits are held against, kept up by each event and never added up again.

Three owners are looked at alike: a strategy of an account, the account, and the firm. What one of them may come to hold
of a symbol is the sum of the worst at each venue and of each account, on whichever side: neither venues nor accounts
know of each other, so a long position here is no protection for a short one there.

All sums are exact. A total that comes to nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Context, Decimal
from typing import Literal, NamedTuple

import msgspec

from bot4_common.messages.limits import AccountLimits, LimitsDocument
from bot4_common.messages.terms import Order, Side
from bot4_common.money import EXACT, ZERO

# The functions of `bot4_common.money`, without one call in between: they are most of what is done for an order.
add, multiply, subtract = EXACT.add, EXACT.multiply, EXACT.subtract

DAY_NS = 86_400 * 1_000_000_000
# Losses are told in millionths of a percent, rounded down: a loss that has not reached a limit does not look like it.
PERCENT_STEP = Decimal("1e-6")
WHOLE = Decimal(100)
# A quotient has no end: as many digits of it as an exact number may have.
WIDE = Context(prec=EXACT.prec)


class Loss(NamedTuple):
    """`percent` of `base`, which is an equity in quote currency. It has reached a limit when it is not below it."""

    percent: Decimal
    base: Decimal


NO_LOSS = Loss(ZERO, ZERO)


class Position(msgspec.Struct, kw_only=True):
    """What an owner holds of a symbol at a venue (signed, in base), what it would be if all opening buys filled
    (`highest`) or all opening sells (`lowest`), what orders that only reduce may take away, and the largest size that
    can come of all that (`worst`)."""

    held: Decimal = ZERO
    highest: Decimal = ZERO
    lowest: Decimal = ZERO
    reducing_buys: Decimal = ZERO
    reducing_sells: Decimal = ZERO
    worst: Decimal = ZERO

    def growth(self, side: Side, extra: Decimal) -> Decimal:
        """By how much `worst` changes if it comes to all opening orders of a side and `extra` of it, be it as things
        stand, or after those that only reduce have made room."""
        if side == "buy":
            end = add(self.highest, extra)
            size = end.copy_abs()
            if self.reducing_buys and self.held < 0:
                size = max(size, subtract(end, max(self.held, self.reducing_buys.copy_negate())).copy_abs())
        else:
            end = subtract(self.lowest, extra)
            size = end.copy_abs()
            if self.reducing_sells and self.held > 0:
                size = max(size, subtract(end, min(self.held, self.reducing_sells)).copy_abs())
        return subtract(size, self.worst)

    def reserve(self, side: Side, change: Decimal, reduce_only: bool) -> Decimal:
        """Returns the change of `worst`."""
        if reduce_only and side == "buy":
            self.reducing_buys = add(self.reducing_buys, change)
        elif reduce_only:
            self.reducing_sells = add(self.reducing_sells, change)
        elif side == "buy":
            self.highest = add(self.highest, change)
        else:
            self.lowest = subtract(self.lowest, change)
        return self._measure()

    def fill(self, change: Decimal) -> Decimal:
        """Returns the change of `worst`."""
        self.held = add(self.held, change)
        self.highest = add(self.highest, change)
        self.lowest = add(self.lowest, change)
        return self._measure()

    def is_empty(self) -> bool:
        return not (self.held or self.highest or self.lowest or self.reducing_buys or self.reducing_sells)

    def _measure(self) -> Decimal:
        change = max(self.growth("buy", ZERO), self.growth("sell", ZERO))
        self.worst = add(self.worst, change)
        return change


class AccountPosition(Position, kw_only=True):
    strategies: dict[str, Position] = {}

    def is_empty(self) -> bool:
        return not self.strategies and super().is_empty()


class Market(msgspec.Struct, kw_only=True):
    """A symbol at a venue: who has something at stake there, how many strategies hold something, and the price at which
    that is valued: the last mark, or until there is one the price of the first fill."""

    symbol: str
    accounts: dict[str, AccountPosition] = {}
    holders: int = 0
    mark: Decimal = ZERO


class Standing(msgspec.Struct, kw_only=True):
    """How an owner stands. Money is in quote currency: equity as of the latest event, its highest ever, and what it was
    when the day began; losses in percent of these. `orders` are the open ones, `worst` is in base, by symbol."""

    equity: Decimal
    peak: Decimal
    day_start: Decimal
    drawdown: Decimal = ZERO
    daily_loss: Decimal = ZERO
    orders: int = 0
    worst: dict[str, Decimal] = {}

    def earn(self, change: Decimal) -> None:
        self.equity = add(self.equity, change)

    def settle(self) -> None:
        """To be called when an event has been applied whole: halfway through, equity may be higher than it ever was."""
        self.peak = max(self.peak, self.equity)
        self.drawdown = percent_lost(self.peak, self.equity)
        self.daily_loss = percent_lost(self.day_start, self.equity)

    def begin_day(self) -> None:
        self.day_start = self.equity
        self.daily_loss = ZERO

    def rebase(self) -> None:
        """Forgives what was lost."""
        self.peak = self.day_start = self.equity
        self.drawdown = self.daily_loss = ZERO

    def fund(self, change: Decimal) -> None:
        """More or less capital is no gain and no loss."""
        self.equity = add(self.equity, change)
        self.peak = add(self.peak, change)
        self.day_start = add(self.day_start, change)
        self.settle()


class Book(Standing, kw_only=True):
    """An account's, or the firm's: besides, the value of all positions at their marks and of all opening orders at
    their own prices, without sign (`gross`), and how far the positions lean to a side if all opening orders of that
    side fill (`long`, `short`; negative: they lean to the other one)."""

    gross: Decimal = ZERO
    long: Decimal = ZERO
    short: Decimal = ZERO

    def reserve(self, side: Side, notional: Decimal) -> None:
        self.gross = add(self.gross, notional)
        if side == "buy":
            self.long = add(self.long, notional)
        else:
            self.short = add(self.short, notional)

    def hold(self, value: Decimal, size: Decimal) -> None:
        """The value of positions changed so much, with sign and without."""
        self.gross = add(self.gross, size)
        self.long = add(self.long, value)
        self.short = subtract(self.short, value)

    def lean(self, side: Side) -> Decimal:
        return self.long if side == "buy" else self.short


class AccountBook(Book, kw_only=True):
    """`values`: what is held, in quote with sign, by symbol over all venues; `changes` counts how often it changed."""

    strategies: dict[str, Standing] = {}
    values: dict[str, Decimal] = {}
    changes: int = 0

    def revalue(self, symbol: str, change: Decimal) -> None:
        accumulate(self.values, symbol, change)
        self.changes += 1


# Nobody has anything there yet.
NOTHING = AccountPosition()
Scope = Literal["firm", "account", "strategy"]


class Ledger(msgspec.Struct, kw_only=True):
    """`markets` by `venue/symbol`. The accounts of the firm are those that limits name, whose capital is in `capitals`,
    and those that were heard of. `day` counts UTC days; it begins with the first marks that are taken in it."""

    markets: dict[str, Market] = {}
    accounts: dict[str, AccountBook] = {}
    firm: Book = msgspec.field(default_factory=lambda: Book(equity=ZERO, peak=ZERO, day_start=ZERO))
    capital: Decimal = AccountLimits().capital
    capitals: dict[str, Decimal] = {}
    day: int = 0

    # What checks look up

    def equity(self, account: str) -> Decimal:
        book = self.accounts.get(account)
        return self.capital_of(account) if book is None else book.equity

    def firm_equity(self, account: str = "") -> Decimal:
        """With the capital of `account`, should it come in only now."""
        if not account or account in self.accounts or account in self.capitals:
            return self.firm.equity
        return add(self.firm.equity, self.capital)

    def capital_of(self, account: str) -> Decimal:
        return self.capitals.get(account, self.capital)

    def new_book(self, account: str) -> AccountBook:
        """Of an account that was not heard of."""
        capital = self.capital_of(account)
        return AccountBook(equity=capital, peak=capital, day_start=capital)

    def new_standing(self, account: str) -> Standing:
        """Of a strategy that has done nothing. Each is lent the whole capital of its account."""
        capital = self.capital_of(account)
        return Standing(equity=capital, peak=capital, day_start=capital)

    def strategy(self, account: str, strategy: str) -> Standing | None:
        book = self.accounts.get(account)
        return None if book is None else book.strategies.get(strategy)

    def at_market(self, account: str, venue: str, symbol: str) -> AccountPosition:
        """To look at."""
        market = self.markets.get(f"{venue}/{symbol}")
        return NOTHING if market is None else market.accounts.get(account, NOTHING)

    def strategy_at_market(self, account: str, strategy: str, venue: str, symbol: str) -> Position:
        """To look at."""
        return self.at_market(account, venue, symbol).strategies.get(strategy, NOTHING)

    def position(self, account: str, venue: str, symbol: str) -> Decimal:
        return self.at_market(account, venue, symbol).held

    def position_of_strategy(self, account: str, strategy: str, venue: str, symbol: str) -> Decimal:
        return self.strategy_at_market(account, strategy, venue, symbol).held

    def worst(self, account: str, venue: str, symbol: str, side: Side, extra: Decimal) -> Decimal:
        """The size of the account's position over all venues if `extra` at this one, and all that is open, fills."""
        growth = self.at_market(account, venue, symbol).growth(side, extra)
        return add(_worst(self.accounts.get(account), symbol), growth)

    def strategy_worst(
        self, account: str, strategy: str, venue: str, symbol: str, side: Side, extra: Decimal
    ) -> Decimal:
        growth = self.strategy_at_market(account, strategy, venue, symbol).growth(side, extra)
        return add(_worst(self.strategy(account, strategy), symbol), growth)

    def firm_worst(self, account: str, venue: str, symbol: str, side: Side, extra: Decimal) -> Decimal:
        growth = self.at_market(account, venue, symbol).growth(side, extra)
        return add(_worst(self.firm, symbol), growth)

    def gross(self, account: str) -> Decimal:
        book = self.accounts.get(account)
        return ZERO if book is None else book.gross

    def net(self, account: str, side: Side) -> Decimal:
        book = self.accounts.get(account)
        return ZERO if book is None else book.lean(side)

    def firm_gross(self) -> Decimal:
        return self.firm.gross

    def firm_net(self, side: Side) -> Decimal:
        return self.firm.lean(side)

    def drawdown(self, account: str = "", strategy: str = "") -> Loss:
        """Of a strategy, an account, or (neither) the firm: what is lost since equity was highest."""
        standing = self.standing(account, strategy)
        return NO_LOSS if standing is None else Loss(standing.drawdown, standing.peak)

    def daily_loss(self, at: int, account: str = "", strategy: str = "") -> Loss:
        """What is lost since the UTC day of `at` (ns) began; nothing as long as it has no marks."""
        standing = self.standing(account, strategy)
        if standing is None or at // DAY_NS > self.day:
            return NO_LOSS
        return Loss(standing.daily_loss, standing.day_start)

    def standing(self, account: str = "", strategy: str = "") -> Standing | None:
        if not account:
            return self.firm
        return self.strategy(account, strategy) if strategy else self.accounts.get(account)

    def standings(self) -> Iterator[tuple[Scope, str, str]]:
        """Scope, account and strategy of everybody who may lose."""
        yield "firm", "", ""
        for account, book in self.accounts.items():
            yield "account", account, ""
            for strategy in book.strategies:
                yield "strategy", account, strategy

    def markets_held(self) -> Iterator[str]:
        """Where marks matter."""
        return (name for name, market in self.markets.items() if market.holders)

    # Only `evolve` calls what follows.

    def adopt(self, document: LimitsDocument) -> None:
        """Takes over what capital everybody has."""
        before = {account: self.capital_of(account) for account in self.accounts}
        firm_before = self._firm_capital()
        self.capital = document.account.capital
        self.capitals = {account: limits.capital for account, limits in document.accounts.items()}
        for account, book in self.accounts.items():
            change = subtract(self.capital_of(account), before[account])
            for standing in (book, *book.strategies.values()):
                standing.fund(change)
        self.firm.fund(subtract(self._firm_capital(), firm_before))

    def reserve(
        self,
        account: str,
        strategy: str,
        venue: str,
        symbol: str,
        side: Side,
        change: Decimal,
        price: Decimal,
        reduce_only: bool = False,
    ) -> None:
        """An open order grew (`change` above zero) or has less left to fill. `price`: the same for all of its life."""
        book = self._book(account)
        market = self._market(venue, symbol)
        of_account = _of_account(market, account)
        of_strategy = _of_strategy(of_account, strategy)
        growth = of_account.reserve(side, change, reduce_only)
        accumulate(book.worst, symbol, growth)
        accumulate(self.firm.worst, symbol, growth)
        growth = of_strategy.reserve(side, change, reduce_only)
        accumulate(self._standing(account, strategy).worst, symbol, growth)
        if not reduce_only:
            notional = multiply(change, price)
            book.reserve(side, notional)
            self.firm.reserve(side, notional)
        self._tidy(venue, market, account, strategy)

    def count(self, account: str, strategy: str, change: int) -> None:
        book = self._book(account)
        for standing in (self._standing(account, strategy), book, self.firm):
            standing.orders += change

    def fill(
        self, account: str, strategy: str, venue: str, symbol: str, signed_quantity: Decimal, price: Decimal
    ) -> None:
        book = self._book(account)
        of_strategy = self._standing(account, strategy)
        market = self._market(venue, symbol)
        if not market.holders:
            market.mark = price
        earned = multiply(signed_quantity, subtract(market.mark, price))
        self._hold(market, account, strategy, signed_quantity)
        for standing in (of_strategy, book, self.firm):
            standing.earn(earned)
            standing.settle()
        self._tidy(venue, market, account, strategy)

    def fee(self, account: str, strategy: str, fee: Decimal) -> None:
        book = self._book(account)
        for standing in (self._standing(account, strategy), book, self.firm):
            standing.earn(fee.copy_negate())
            standing.settle()

    def mark(self, marks: dict[str, Decimal], at: int) -> None:
        """Values what is held at `marks` (by market) from here on; `at` in ns."""
        if at // DAY_NS > self.day:
            self.day = at // DAY_NS
            for standing in self._everybody():
                standing.begin_day()
        moved: dict[int, Standing] = {}
        for name, mark in marks.items():
            market = self.markets.get(name)
            if market is not None and market.holders:
                self._revalue(market, subtract(mark, market.mark), moved)
                market.mark = mark
        for standing in moved.values():
            standing.settle()

    def rebase(self, account: str) -> None:
        """Losses are counted from here on: those of the account and its strategies, or (empty) of the firm."""
        if not account:
            self.firm.rebase()
            return
        book = self._book(account)
        for standing in (book, *book.strategies.values()):
            standing.rebase()

    def _hold(self, market: Market, account: str, strategy: str, change: Decimal) -> None:
        book, symbol = self._book(account), market.symbol
        of_account = _of_account(market, account)
        of_strategy = _of_strategy(of_account, strategy)
        size, holding = of_account.held.copy_abs(), bool(of_strategy.held)
        growth = of_account.fill(change)
        accumulate(book.worst, symbol, growth)
        accumulate(self.firm.worst, symbol, growth)
        accumulate(book.strategies[strategy].worst, symbol, of_strategy.fill(change))
        market.holders += bool(of_strategy.held) - holding
        net = multiply(change, market.mark)
        gross = multiply(subtract(of_account.held.copy_abs(), size), market.mark)
        book.hold(net, gross)
        self.firm.hold(net, gross)
        book.revalue(symbol, net)

    def _revalue(self, market: Market, move: Decimal, moved: dict[int, Standing]) -> None:
        """Notes in `moved` whose equity it changes."""
        if not move:
            return
        for account, position in market.accounts.items():
            book = self.accounts[account]
            earned: list[tuple[Standing, Decimal]] = [
                (book.strategies[strategy], each.held) for strategy, each in position.strategies.items() if each.held
            ]
            if position.held:
                earned += (book, position.held), (self.firm, position.held)
                change, size = multiply(position.held, move), multiply(position.held.copy_abs(), move)
                book.hold(change, size)
                self.firm.hold(change, size)
                book.revalue(market.symbol, change)
            for standing, held in earned:
                standing.earn(multiply(held, move))
                moved[id(standing)] = standing

    def _firm_capital(self) -> Decimal:
        listed = [*self.capitals.values(), *(self.capital for name in self.accounts if name not in self.capitals)]
        total = ZERO
        for capital in listed:
            total = add(total, capital)
        return total

    def _book(self, account: str) -> AccountBook:
        book = self.accounts.get(account)
        if book is None:
            book = self.accounts[account] = self.new_book(account)
            if account not in self.capitals:
                self.firm.fund(self.capital)
        return book

    def _standing(self, account: str, strategy: str) -> Standing:
        strategies = self._book(account).strategies
        standing = strategies.get(strategy)
        if standing is None:
            standing = strategies[strategy] = self.new_standing(account)
        return standing

    def _market(self, venue: str, symbol: str) -> Market:
        name = f"{venue}/{symbol}"
        market = self.markets.get(name)
        if market is None:
            market = self.markets[name] = Market(symbol=symbol)
        return market

    def _everybody(self) -> Iterator[Standing]:
        yield self.firm
        for book in self.accounts.values():
            yield book
            yield from book.strategies.values()

    def _tidy(self, venue: str, market: Market, account: str, strategy: str) -> None:
        """Forgets what came to nothing."""
        of_account = market.accounts[account]
        if of_account.strategies[strategy].is_empty():
            del of_account.strategies[strategy]
        if of_account.is_empty():
            del market.accounts[account]
        if not market.accounts:
            del self.markets[f"{venue}/{market.symbol}"]


def price_of(order: Order, mid: Decimal) -> Decimal:
    """What a unit of an order is taken to be worth: its limit, else its trigger, else the mid when it was approved."""
    if order.price is not None:
        return order.price
    return mid if order.stop_price is None else order.stop_price


def percent_lost(start: Decimal, equity: Decimal) -> Decimal:
    """(start - equity) / start * 100. Where there was nothing to begin with, what is lost is lost whole."""
    if equity >= start:
        return ZERO
    if start <= 0:
        return WHOLE
    lost = multiply(subtract(start, equity), WHOLE)
    return WIDE.divide(lost, start).quantize(PERCENT_STEP, ROUND_DOWN, WIDE)


def accumulate(totals: dict[str, Decimal], key: str, change: Decimal) -> None:
    """A total that comes to nothing is forgotten."""
    total = add(totals.get(key, ZERO), change)
    if total:
        totals[key] = total
    else:
        totals.pop(key, None)


def _worst(standing: Standing | None, symbol: str) -> Decimal:
    return ZERO if standing is None else standing.worst.get(symbol, ZERO)


def _of_account(market: Market, account: str) -> AccountPosition:
    return market.accounts.setdefault(account, AccountPosition())


def _of_strategy(position: AccountPosition, strategy: str) -> Position:
    return position.strategies.setdefault(strategy, Position())
