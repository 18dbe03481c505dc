"""What happens next? Every command, through its checks, the match and all that follows, to the fixed point.

What happens is appended to `events`; whoever drives the engine takes them and clears the list. The same commands
cause the same events: there is no clock but `advance`, no chance and no I/O.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from bot4_exchange_simulator.engine.accounts import Account, Holding, asset_of, claim, claimed, need
from bot4_exchange_simulator.engine.book import Level, Side
from bot4_exchange_simulator.engine.events import (
    ACCEPTED,
    AMENDED,
    CANCELLED,
    EXPIRED,
    PREVENTED,
    REFRESHED,
    REJECTED,
    REPLACED,
    TRADE,
    TRIGGERED,
    TRIMMED,
    Event,
    Request,
)
from bot4_exchange_simulator.engine.limits import OrderCount
from bot4_exchange_simulator.engine.lists import legs_flaw
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order, OrderList
from bot4_exchange_simulator.engine.prevention import Ledger
from bot4_exchange_simulator.engine.profile import Profile
from bot4_exchange_simulator.engine.stops import Elected, trigger_level
from bot4_exchange_simulator.engine.terms import (
    BPS,
    CANCEL_BOTH,
    CANCEL_NEW,
    CANCEL_RESTING,
    DECREMENT_BOTH,
    FOK,
    GONE,
    GTD,
    HALTED,
    IOC,
    LIMIT,
    MARKET,
    MARKS,
    NONE,
    OPEN,
    OTO,
    OTOCO,
    OUO,
    QUEUED,
    QUOTES,
    RESTING,
    STOP_MARKET,
    TAKING,
    TRADES,
    TRAILING_STOP,
    WAITING,
    WATCHING,
)
from bot4_exchange_simulator.engine.trial import copied

# No key of a level lies beyond it: the limit of an order that takes any price.
ANY_PRICE = 1 << 60


class Engine:
    __slots__ = (
        "_at_once",
        "_draws",
        "_elects_marks",
        "_elects_quotes",
        "_expires_before",
        "_expiries",
        "_fires",
        "_groups",
        "_hidden_counts",
        "_parts_max",
        "_proportional",
        "_queue",
        "_settles",
        "_stale",
        "_windows",
        "accounts",
        "events",
        "markets",
        "now",
        "prevented",
        "profile",
    )

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.now = 0
        self.events: list[Event] = []
        self.markets: dict[str, Market] = {}
        self.accounts: dict[str, Account] = {}
        self.prevented = Ledger()
        self._queue: deque[Order] = deque()
        self._draws = 0  # numbers that grow with time: who came first
        self._expiries: list[tuple[int, int, Order]] = []
        self._stale = 0  # entries of `_expiries` whose order is gone
        self._groups: dict[str, int] = {}
        # What the profile says, where the engine finds it fast.
        self._settles = profile.account_model == "spot"
        self._hidden_counts = profile.fok_counts_hidden
        self._expires_before = profile.expires_before_match
        self._at_once = profile.iceberg_refresh == "at_once"
        self._parts_max = profile.iceberg_parts_max
        self._fires = profile.stop_already_passed == "fire"
        self._proportional = profile.oto_arms == "proportional"
        self._elects_marks = profile.stop_trigger == "mark"
        self._elects_quotes = profile.stop_trigger == "quote"
        self._windows: list[tuple[int, int]] = list(profile.order_windows)

    # Who and what there is.

    def account(self, name: str) -> Account:
        account = self.accounts.get(name)
        if account is None:
            count = OrderCount(self._windows) if self._windows else None
            # A group of its own: no other account has this number.
            account = self.accounts[name] = Account(name, -1 - len(self.accounts), count)
        return account

    def list_market(self, market: Market) -> None:
        """Lists a symbol. Steps of a symbol that is listed stay, filters change."""
        listed = self.markets.setdefault(market.symbol, market)
        listed.filters = market.filters
        if self._elects_quotes:
            listed.source = QUOTES

    def fund(self, name: str, balances: dict[str, int] | None, trade_group: str) -> None:
        """From here on the account has these balances, and what it trades."""
        account = self.account(name)
        if trade_group:
            account.group = self._groups.setdefault(trade_group, len(self._groups))
        if balances is None:
            return
        account.totals = dict(balances)
        account.locked = {}
        account.limited = account.watched = True
        for order in account.orders.values():
            order.tracked = True
            order.reserved = 0
            if order.list is not None:
                order.list.reserved = 0
        if self._settles:
            for order in account.orders.values():
                claim(order)

    def set_position(self, name: str, market: Market, lots: int) -> None:
        holding = self.account(name).holding(market)
        holding.net = lots
        if holding.reducing:
            self._trim(holding)
        self._settle()

    # Time.

    def advance(self, now: int) -> None:
        """14: expiries that are due come before whatever else happens now."""
        self.now = now
        expiries = self._expiries
        if not expiries:
            return
        last = now if self._expires_before else now - 1
        if expiries[0][0] > last:
            return
        while expiries and expiries[0][0] <= last:
            _, _, order = heappop(expiries)
            if order.where == GONE:
                self._stale -= 1
            else:
                order.expire_at = 0
                self._expire(order, "gtd")
        if self._elects_quotes:
            self._settle()

    def next_expiry(self) -> int | None:
        """When `advance` next ends an order (ns); None: at no time, as things stand."""
        expiries = self._expiries
        while expiries and expiries[0][2].where == GONE:
            heappop(expiries)
            self._stale -= 1
        if not expiries:
            return None
        return expiries[0][0] if self._expires_before else expiries[0][0] + 1

    # Placing.

    def place(self, order: Order) -> None:
        account = order.account
        market = order.market
        filters = market.filters
        # The short way of most orders: nothing but a price and a quantity, and nobody who counts or pays.
        if (
            order.plain
            and not account.watched
            and market.status == OPEN
            and not filters.particular
            and order.id not in account.orders
            and filters.quantity_min <= order.quantity <= filters.quantity_max
            and filters.price_min <= order.price <= filters.price_max
            and order.price * order.quantity >= filters.notional_min
        ):
            account.orders[order.id] = order
            self.events.append((ACCEPTED, order, None, order.quantity, order.price, ""))
            self._enter_plain(order)
        else:
            code = self._refusal(order)
            if code:
                self._refuse("place", order, code)
                return
            self._accept(order)
            self._enter(order)
        if self._queue or self._elects_quotes:
            self._settle()

    def place_list(self, account: Account, id: str, kind: int, orders: list[Order]) -> None:
        """A list is taken whole or refused whole."""
        has_parent = kind == OTO or kind == OTOCO
        group = OrderList(id, kind, orders[0] if has_parent else None, orders[1:] if has_parent else orders)
        for order in orders:
            order.list = group
        code = self._list_refusal(account, id, kind, orders)
        if code:
            self._reject("list", account.name, id, orders[0].market.symbol, code)
            return
        account.lists[id] = group
        for order in orders:
            if has_parent and order is not orders[0]:
                order.where = WAITING
                order.held = order.quantity
                order.leaves = 0
            self._accept(order)
            if order.where == QUEUED:
                self._queue.append(order)
        self._settle()

    def _refuse(self, do: str, order: Order, code: str) -> None:
        self._reject(do, order.account.name, order.id, order.market.symbol, code)

    def _reject(self, do: str, account: str, id: str, symbol: str, code: str) -> None:
        self.events.append((REJECTED, Request(do, account, id, symbol), None, 0, 0, code))

    def _refusal(self, order: Order) -> str:
        """46: the first reason there is, in the order in which venues look."""
        code = self._terms_refusal(order, None)
        if code:
            return code
        if order.account.limited:
            code = self._funds_flaw(order)
            if code:
                return code
        return "" if order.plain else self._book_flaw(order)

    def _terms_refusal(self, order: Order, old: Order | None) -> str:
        """What can be said without the book. The id of the order it is to replace is as good as free."""
        account = order.account
        market = order.market
        if account.count is not None and not account.count.has_room(self.now, 1):
            return "ORDER_COUNT"  # 47
        if order.id in account.orders and (old is None or order.id != old.id):
            return "DUPLICATE_LIVE_ORDER"  # 7
        if market.status != OPEN:
            return "MARKET_NOT_OPEN"
        return self._terms_flaw(order, order.quantity, order.price)

    def _list_refusal(self, account: Account, id: str, kind: int, orders: list[Order]) -> str:
        # 33: each order of a list counts.
        if account.count is not None and not account.count.has_room(self.now, len(orders)):
            return "ORDER_COUNT"
        ids: set[str] = set()
        for order in orders:
            if order.id in account.orders or order.id in ids:
                return "DUPLICATE_LIVE_ORDER"
            ids.add(order.id)
        if id in account.lists:
            return "DUPLICATE_LIVE_LIST"
        for order in orders:
            if order.market.status != OPEN:
                return "MARKET_NOT_OPEN"
            if order.plain:
                order.qualify(LIMIT)
            code = self._terms_flaw(order, order.quantity, order.price)
            if code:
                return code
        has_parent = kind == OTO or kind == OTOCO
        code = legs_flaw(kind, orders[1:] if has_parent else orders)
        if code:
            return code
        # Children are judged when they arm.
        entering = orders[:1] if has_parent else orders
        for order in entering:
            code = self._funds_flaw(order)
            if code:
                return code
        for order in entering:
            code = self._book_flaw(order)
            if code:
                return code
        return ""

    def _terms_flaw(self, order: Order, quantity: int, price: int) -> str:
        """What the order says of itself, then the filters of its symbol."""
        if order.account.exempt:
            return ""
        filters = order.market.filters
        if not order.plain:
            code = self._own_flaw(order, quantity, price)
        elif price <= 0 or quantity <= 0:
            code = "BAD_FIELD"
        else:
            code = order.market.flaw(order, quantity, price)
        return self._count_flaw(order, quantity) if filters.counts and not code else code

    def _own_flaw(self, order: Order, quantity: int, price: int) -> str:
        if order.reduce_only and not self.profile.reduce_only:
            return "REDUCE_ONLY_UNKNOWN"
        if order.flaw == "PREVENTION_NOT_ALLOWED" or order.flaw == "BAD_FIELD":
            return order.flaw
        if order.type > MARKET or order.flaw or order.expire_at or order.stop or order.budget >= 0:
            if self._is_bad(order, price):
                return "BAD_FIELD"
            if order.flaw:
                return order.flaw
        elif (price != 0) != (order.type == LIMIT) or order.time_in_force == GTD or order.trail_bps or order.activation:
            return "BAD_FIELD"
        if quantity <= 0 or price < 0:
            return "BAD_FIELD"
        if order.post_only and (price == 0 or order.time_in_force == IOC or order.time_in_force == FOK):
            return "BAD_FIELD"
        code = order.market.flaw(order, quantity, price)
        if code or order.peak == 0:
            return code
        # 21
        if price == 0 or order.time_in_force == IOC or order.time_in_force == FOK:
            return "ICEBERG_CANNOT_REST"
        # 20: only an amend may bring the total below the display.
        if order.peak > quantity and order.where == QUEUED:
            return "ICEBERG_DISPLAY"
        parts = order.market.filters.iceberg_parts_max or self._parts_max
        return "ICEBERG_PARTS" if quantity > parts * order.peak else ""

    def _is_bad(self, order: Order, price: int) -> bool:
        """Whether a field is missing, superfluous or out of range for this type of order."""
        limited = order.has_limit()
        trails = order.type == TRAILING_STOP
        return (
            (limited and price == 0)
            or (price != 0 and not limited and not trails)
            or order.stop < 0
            or order.must_have_stop() != (order.stop > 0)
            or trails != (order.trail_bps > 0)
            or order.trail_bps >= BPS
            or order.activation < 0
            or (order.activation > 0 and not trails)
            or (order.time_in_force == GTD) != (order.expire_at > 0)
            or (order.expire_at > 0 and order.expire_at <= self.now)
            or (order.budget >= 0 and (order.type != MARKET or order.reduce_only or order.peak > 0))
        )

    def _count_flaw(self, order: Order, quantity: int) -> str:
        """How much an account may have open in one symbol."""
        market = order.market
        filters = market.filters
        others = others_of(order)
        if filters.open_orders_max and len(others) >= filters.open_orders_max:
            return "OPEN_ORDERS"
        if filters.open_stops_max and order.waits_for_trigger():
            if sum([other.waits_for_trigger() for other in others]) >= filters.open_stops_max:
                return "OPEN_STOPS"
        if filters.position_max == 0 or order.reduce_only or (not order.plain and order.budget >= 0):
            return ""
        if self._settles and not order.buy:
            return ""  # a sell gives away what the account owns, and opens nothing
        position = order.holding().net if order.buy else -order.holding().net
        position += may_be_filled(others, order)
        done = order.executed + order.prevented
        return "POSITION_LIMIT" if position + quantity - done > filters.position_max else ""

    def _funds_flaw(self, order: Order) -> str:
        account = order.account
        if not account.limited or not self._settles:
            return ""
        wanted = need(order, order.leaves, order.price)
        # Nobody needs anything of an asset to claim nothing of it.
        return "INSUFFICIENT_BALANCE" if wanted and wanted > account.free(asset_of(order)) else ""

    def _book_flaw(self, order: Order) -> str:
        if order.reduce_only and order.holding().reducible(order.buy) == 0:
            return "NOTHING_TO_REDUCE"  # 37
        return self._entry_flaw(order)

    def _entry_flaw(self, order: Order) -> str:
        """What only the market can refuse, judged when the order comes to it."""
        if not order.triggered:
            return "STOP_ALREADY_PASSED" if not self._fires and self._has_passed(order) else ""  # 22
        if order.post_only and order.market.crosses(order.buy, order.price):
            return "POST_ONLY_WOULD_CROSS"  # 15
        return ""

    def _has_passed(self, order: Order) -> bool:
        watched = order.market.watched(order.buy)
        if order.stop == 0 or watched == 0:
            return False
        return watched >= order.stop if order.waits_for_rise() else watched <= order.stop

    def _accept(self, order: Order) -> None:
        account = order.account
        account.orders[order.id] = order
        self.events.append((ACCEPTED, order, None, order.quantity, order.price, ""))
        if account.watched or (not order.plain and order.concerns_others()):
            self._track(order)

    def _track(self, order: Order) -> None:
        """Notes what else than the book its end will concern."""
        order.tracked = True
        order.reserved = 0
        account = order.account
        if account.count is not None:
            account.count.add(self.now)
        if not order.plain and order.expire_at:
            self._draws += 1
            heappush(self._expiries, (order.expire_at, self._draws, order))
        if account.limited and self._settles:
            claim(order)

    # Entering: an order comes to the market, for the first time or anew.

    def _enter(self, order: Order) -> None:
        if order.plain:
            self._enter_plain(order)
            return
        if order.triggered:
            self._enter_particular(order)
        elif self._fires and self._has_passed(order):
            self._trigger(order)
        else:
            self._watch(order)

    def _enter_plain(self, order: Order) -> None:
        market = order.market
        if order.buy:
            own, facing, key = market.bids, market.asks, -order.price
        else:
            own, facing, key = market.asks, market.bids, order.price
        top = facing.top
        if top is not None and top.key >= key:
            order.where = TAKING
            self._sweep(order, facing)
            if order.where != TAKING:
                return
            if order.leaves == 0:
                self._close(order)
                return
        order.where = RESTING
        own.append(order, order.leaves)

    def _enter_particular(self, order: Order) -> None:
        order.where = TAKING
        if order.reduce_only:
            # 37, 38: what lies beyond the position is cut off before it can open or flip anything.
            room = order.holding().reducible(order.buy)
            if room == 0:
                self._cancel(order, "reduce_only")
                return
            if order.leaves > room:
                self._trim_order(order, order.leaves - room)
        market = order.market
        side = market.asks if order.buy else market.bids
        if order.price == 0:
            order.bound = self._collar(order)
        if order.time_in_force == FOK and not self._fills_whole(order, side):
            self._expire(order, "fok")  # 13
            return
        if side.top is not None:
            self._sweep(order, side)
        if order.where == TAKING:
            self._finish(order)

    def _finish(self, order: Order) -> None:
        """What becomes of what a sweep leaves."""
        if order.leaves == 0:
            self._fill_up(order)
        elif order.budget >= 0 and self._is_used_up(order):
            self._close(order)
        elif order.price == 0:
            self._expire(order, "collar" if self._next_beyond(order) else "no_liquidity")  # 45
        elif order.time_in_force == IOC:
            self._expire(order, "ioc")  # 12
        else:
            self._rest(order)

    def _is_used_up(self, order: Order) -> bool:
        """Whether what is left of an amount that traded something would not pay for another lot."""
        maker = self._next(order)
        price = order.market.last if maker is None else maker.price
        return order.executed > 0 and order.budget < price

    def _rest(self, order: Order) -> None:
        """2: what is left waits at its own price. 17: only what rests is hidden."""
        order.where = RESTING
        self._draws += 1
        order.number = self._draws
        shown = order.leaves if order.peak == 0 or order.peak > order.leaves else order.peak
        side = order.market.bids if order.buy else order.market.asks
        side.append(order, shown)
        if order.reduce_only:
            order.holding().reducing[order.id] = order
            self._trim(order.holding())

    def _fill_up(self, order: Order) -> None:
        """Everything that was to be traded has been. A child of which more may arm waits for it."""
        if not order.plain and order.held:
            order.where = WAITING
        else:
            self._close(order)

    # The match.

    def _bound(self, order: Order) -> int:
        """The worst key of a level at which it trades."""
        if order.price == 0:
            return order.bound
        return -order.price if order.buy else order.price

    def _collar(self, order: Order) -> int:
        """The same for an order that takes any price: as far from the market as it was when the order came."""
        collar = order.market.filters.collar_bps
        reference = order.market.reference()
        if collar == 0 or reference == 0:
            return -ANY_PRICE
        if order.buy:
            return -(reference * (BPS + collar) // BPS)
        return -(-reference * (BPS - collar) // BPS)

    def _next(self, order: Order) -> Order | None:
        side = order.market.asks if order.buy else order.market.bids
        top = side.top
        return top.front if top is not None and top.key >= self._bound(order) else None

    def _next_beyond(self, order: Order) -> bool:
        """Whether only its collar kept it from trading on."""
        side = order.market.asks if order.buy else order.market.bids
        return side.top is not None and side.top.key < self._bound(order)

    def _sweep(self, order: Order, side: Side) -> None:
        """1 to 3, 6, 43: best price first, then first come, as far as its limit, its quantity and its self allow."""
        bound = self._bound(order)
        account = order.account
        group = account.group
        prevents = order.prevention != NONE
        simple = order.plain and not account.limited
        due: list[Order] = []  # icebergs to be refreshed when the sweep has gone round (19)
        while order.leaves > 0 and order.where == TAKING:
            level = side.top
            if level is None or level.key < bound:
                if not due:
                    return
                self._refresh(due, side)
                continue
            maker = level.front
            assert maker is not None
            if prevents and maker.account.group == group:
                if not simple and order.price == 0 and self._affordable(order, level.price) == 0:
                    break  # nothing would trade, so nothing is prevented
                self._prevent(order, maker, side, due)
                continue
            lots = maker.shown
            if order.leaves < lots:
                lots = order.leaves
            if not simple:
                lots = self._tradable(order, level.price, lots)
                if lots == 0:
                    break
            if maker.reduce_only:
                lots = min(lots, maker.holding().reducible(maker.buy))  # 37
            self._trade(order, maker, level, side, lots, due)
        if due:
            self._refresh(due, side)

    def _tradable(self, order: Order, price: int, lots: int) -> int:
        """What a particular taker may trade of these lots at this price."""
        if order.reduce_only:
            lots = min(lots, order.holding().reducible(order.buy))  # 37
        if order.price == 0:
            lots = min(lots, self._affordable(order, price))
        return lots

    def _affordable(self, order: Order, price: int) -> int:
        """How many lots an order that takes any price can pay for at this one."""
        lots = order.leaves
        if order.budget >= 0:
            lots = min(lots, order.budget // price)
        account = order.account
        if account.limited and self._settles:
            market = order.market
            free = max(0, account.free(asset_of(order)) + claimed(order))
            lots = min(lots, free // (price * market.tick_money) if order.buy else free // market.lot_money)
        return lots

    def _trade(self, taker: Order, maker: Order, level: Level, side: Side, lots: int, due: list[Order]) -> None:
        price = level.price
        market = taker.market
        self.events.append((TRADE, taker, maker, lots, price, ""))  # 1
        market.last = price
        taker.leaves -= lots
        taker.executed += lots
        maker.leaves -= lots
        maker.executed += lots
        taken = taker.account.holding(market)
        given = maker.account.holding(market)
        if taker.buy:
            taken.net += lots
            given.net -= lots
        else:
            taken.net -= lots
            given.net += lots
        if taker.tracked:
            self._book_fill(taker, lots, price)
        if maker.tracked:
            self._book_fill(maker, lots, price)
        shown = maker.shown - lots
        if shown:
            maker.shown = shown
            level.shown -= lots
        elif maker.leaves:
            self._show_next(maker, side, due)  # 18
        else:
            side.remove(maker)
            self._end_of_maker(maker)
        if taker.list is not None:
            self._follow_fill(taker)
        if maker.list is not None:
            self._follow_fill(maker)
        if taken.reducing:
            self._trim(taken)
        if given.reducing and given is not taken:
            self._trim(given)
        if market.stops and market.source == TRADES:
            self._elect(market, price)

    def _end_of_maker(self, maker: Order) -> None:
        """It is filled and has left the book."""
        maker.where = TAKING
        if maker.tracked:
            if maker.reduce_only:
                del maker.holding().reducing[maker.id]
            self._fill_up(maker)
        else:
            maker.where = GONE
            del maker.account.orders[maker.id]

    def _book_fill(self, order: Order, lots: int, price: int) -> None:
        """What a fill means to the account of a tracked order, beyond its position."""
        account = order.account
        if account.count is not None and order.executed == lots:
            account.count.refund(self.now)  # 47
        if not order.plain and order.budget >= 0:
            order.budget -= lots * price
        if account.limited and self._settles:
            market = order.market
            sign = 1 if order.buy else -1
            account.move(market.base, sign * lots * market.lot_money)
            account.move(market.quote, -sign * lots * price * market.tick_money)
            claim(order)

    def _show_next(self, maker: Order, side: Side, due: list[Order]) -> None:
        """18: what was displayed is used up."""
        side.remove(maker)
        if self._at_once:
            self._show(maker, side)
        else:
            maker.where = QUEUED
            due.append(maker)

    def _show(self, maker: Order, side: Side) -> None:
        """The next part goes to the back of its level. It cannot take: it stood in the book before (21)."""
        shown = maker.peak if maker.peak < maker.leaves else maker.leaves
        self._draws += 1
        maker.number = self._draws
        side.append(maker, shown)
        self.events.append((REFRESHED, maker, None, shown, 0, ""))

    def _refresh(self, due: list[Order], side: Side) -> None:
        """18: in the order in which they became due."""
        for maker in due:
            if maker.where == QUEUED:
                maker.where = RESTING
                self._show(maker, side)
        due.clear()

    # Self-trade prevention.

    def _prevent(self, taker: Order, maker: Order, side: Side, due: list[Order]) -> None:
        """41 to 44: the taker's mode decides what each of the two loses instead of trading."""
        mode = taker.prevention
        by_amount = not taker.plain and taker.budget >= 0
        open_of_taker = self._affordable(taker, maker.price) if by_amount else taker.leaves + taker.held
        from_taker = from_maker = lost = 0
        if mode == DECREMENT_BOTH:
            from_taker = from_maker = lost = min(open_of_taker, taker.leaves, maker.shown)
        elif mode == CANCEL_RESTING:
            from_maker = lost = maker.leaves + (0 if maker.plain else maker.held)
        elif mode == CANCEL_NEW:
            from_taker = lost = open_of_taker
        elif mode == CANCEL_BOTH:
            from_maker, from_taker = maker.leaves + (0 if maker.plain else maker.held), open_of_taker
            lost = min(from_maker, from_taker)
        self.events.append((PREVENTED, taker, maker, lost, 0, ""))
        self.prevented.note(self.now, taker, maker, from_taker, from_maker)
        if by_amount:
            taker.budget -= from_taker * maker.price
        # 44: what is prevented is no longer claimed.
        if from_taker:
            self._lose(taker, from_taker)
        if from_maker:
            self._lose(maker, from_maker)
            if maker.leaves and maker.shown == 0:
                self._show_next(maker, side, due)  # 18: as if it had traded
            elif maker.leaves == 0 and not maker.plain and maker.held:
                side.remove(maker)
                maker.where = TAKING
                self._fill_up(maker)
            elif maker.leaves == 0:
                self._expire(maker, "self_trade")
        if taker.where == TAKING and (
            (taker.leaves == 0 and taker.held == 0) or (by_amount and from_taker == open_of_taker)
        ):
            self._expire(taker, "self_trade")

    def _lose(self, order: Order, lots: int) -> None:
        order.prevented += lots
        if lots > order.leaves:
            order.held -= lots - order.leaves
            lots = order.leaves
        order.leaves -= lots
        if order.where == RESTING:
            gone = min(lots, order.shown)
            order.shown -= gone
            order.level.shown -= gone
        self._reclaim(order)

    def _reclaim(self, order: Order) -> None:
        if order.tracked and order.account.limited and self._settles:
            claim(order)

    # 13: whether a FOK order can be filled whole.

    def _fills_whole(self, order: Order, side: Side) -> bool:
        """Adds up what it reaches. Where one fill changes what others are good for, a copy of the market is tried."""
        wanted = order.leaves
        market = order.market
        bound = self._bound(order)
        if order.budget >= 0:
            return self._fills_whole_on_trial(order)
        if not self._hidden_counts and displayed(side, bound, wanted) < wanted:
            return False
        account = order.account
        group = account.group if order.prevention != NONE else ANY_PRICE
        money = -1
        if account.limited and self._settles and order.price == 0:
            money = max(0, account.free(asset_of(order)) + claimed(order))
        for key in reversed(side.keys):
            if key < bound:
                return False
            level = side.levels[key]
            maker = level.front
            while maker is not None:
                # What it pays to itself it gets back; its own orders, or dearer ones, may come before what others hide.
                gives_back = money >= 0 and maker.account is account
                hides = (money >= 0 or order.prevention != NONE) and maker.shown < maker.leaves
                if gives_back or hides or maker.reduce_only or maker.list is not None or maker.account.group == group:
                    return self._fills_whole_on_trial(order)
                lots = min(maker.leaves, wanted)
                wanted -= lots
                if money >= 0:
                    money -= lots * (level.price * market.tick_money if order.buy else market.lot_money)
                    if money < 0:
                        # A fill may free what its own reduce-only orders claim.
                        return self._fills_whole_on_trial(order)
                if wanted == 0:
                    return True
                maker = maker.behind
        return False

    def _fills_whole_on_trial(self, order: Order) -> bool:
        trial = Engine(self.profile)
        taker = copied(self.accounts, order, trial.accounts)
        market = taker.market
        trial._sweep(taker, market.asks if taker.buy else market.bids)
        if taker.prevented != order.prevented:
            return False
        return trial._is_used_up(taker) if order.budget >= 0 else taker.leaves == 0

    # Lists.

    def _follow_fill(self, order: Order) -> None:
        """What a fill of one order of a list means to the others."""
        group = order.list
        assert group is not None
        if order is group.parent:
            if order.leaves == 0 or self._proportional:
                self._arm(group)
        elif group.kind == OUO:
            for sibling in group.siblings(order):
                if order.leaves == 0:
                    self._drop(sibling, CANCELLED, "list")
                elif sibling.leaves > order.leaves:
                    self._shrink(sibling, sibling.leaves - order.leaves)
                    self._tell_amended(sibling)  # 35
        elif group.kind != OTO:
            for sibling in group.siblings(order):
                self._drop(sibling, CANCELLED, "list")  # 30

    def _arm(self, group: OrderList) -> None:
        """34: a part of the children, or the whole, is armed; it comes to the market when the sweep is done."""
        for child in group.legs:
            if child.where == GONE or child.held == 0:
                continue
            part = self._armed_part(group, child)
            if part == 0:
                continue
            child.held -= part
            child.leaves += part
            if child.where == RESTING:
                self._take_back(child)
                self._queue.append(child)
            elif child.where == WAITING:
                child.where = QUEUED
                self._queue.append(child)
            elif child.where == WATCHING and not self._can_pay(child):
                # It watches on if it may: to come to its place anew would cost it the extreme it trails.
                self._turn_away(child, "INSUFFICIENT_BALANCE")
                continue
            self._reclaim(child)

    def _armed_part(self, group: OrderList, child: Order) -> int:
        """How many more lots of a child its parent's fills arm, in whole lots and in proportion where it is so."""
        parent = group.parent
        assert parent is not None
        if not self._proportional or child.budget >= 0:
            return child.held if parent.leaves == 0 else 0  # an amount is not divided
        return min(
            child.held, max(0, child.quantity * parent.executed // parent.quantity - (child.quantity - child.held))
        )

    def _end_list(self, order: Order) -> None:
        """31, 34: a leg that ends takes its siblings along, a parent its waiting children."""
        group = order.list
        assert group is not None
        for sibling in group.siblings(order):
            self._drop(sibling, CANCELLED, "list")
        if order is group.parent:
            for child in group.legs:
                if child.where == WAITING:
                    self._drop(child, CANCELLED, "list")
                elif child.where != GONE and child.held:
                    child.quantity -= child.held
                    child.held = 0
                    self._tell_amended(child)

    # Ends.

    def _expire(self, order: Order, reason: str) -> None:
        self._end(order, EXPIRED, reason)

    def _cancel(self, order: Order, reason: str) -> None:
        self._end(order, CANCELLED, reason)

    def _end(self, order: Order, kind: int, reason: str) -> None:
        self._drop(order, kind, reason)
        if order.list is not None:
            self._end_list(order)

    def _drop(self, order: Order, kind: int, reason: str) -> None:
        """It ends, and its list does not hear of it."""
        left = order.leaves
        if not order.plain:
            # Nobody knows how many lots an amount would have paid for.
            left = -1 if order.budget >= 0 else left + order.held
        self.events.append((kind, order, None, left, 0, reason))
        self._close(order)

    def _close(self, order: Order) -> None:
        """It is over: out of the book, the stops, the claims, and its id is free again."""
        where = order.where
        market = order.market
        order.where = GONE
        if where == RESTING:
            (market.bids if order.buy else market.asks).remove(order)
        elif where == WATCHING:
            market.stops -= 1
            market.stops_of(order).remove(order)
        del order.account.orders[order.id]
        if order.tracked:
            self._untrack(order)

    def _untrack(self, order: Order) -> None:
        account = order.account
        if order.reduce_only:
            order.holding().reducing.pop(order.id, None)
        if account.limited and self._settles:
            claim(order)
        if order.plain:
            return
        if order.expire_at:
            self._forget_expiry()
        group = order.list
        if group is not None and all(leg.where == GONE for leg in group.legs):
            if group.parent is None or group.parent.where == GONE:
                account.lists.pop(group.id, None)

    def _forget_expiry(self) -> None:
        """Entries of orders that are gone stay in the heap until they are the most of it."""
        self._stale += 1
        # Below 64 entries there is nothing to win.
        if self._stale > 64 and self._stale * 2 > len(self._expiries):
            self._expiries = [entry for entry in self._expiries if entry[2].where != GONE]
            heapify(self._expiries)
            self._stale = 0

    # Stops.

    def _watch(self, order: Order) -> None:
        order.where = WATCHING
        self._draws += 1
        order.number = self._draws
        market = order.market
        market.stops += 1
        market.stops_of(order).watch(order, market.watched(order.buy))
        if order.reduce_only:
            order.holding().reducing[order.id] = order
            self._trim(order.holding())

    def _elect(self, market: Market, price: int) -> None:
        elected: list[Elected] = []
        market.buy_stops.elect(price, elected)
        market.sell_stops.elect(price, elected)
        self._trigger_all(market, elected)

    def _elect_by_quotes(self) -> None:
        """Buys watch the best ask, sells the best bid, whenever the books have come to rest."""
        for market in self.markets.values():
            if market.stops == 0 or market.status != OPEN:
                continue
            if market.asks.top is not None:
                elected: list[Elected] = []
                market.buy_stops.elect(market.asks.top.price, elected)
                self._trigger_all(market, elected)
            if market.bids.top is not None:
                elected = []
                market.sell_stops.elect(market.bids.top.price, elected)
                self._trigger_all(market, elected)

    def _trigger_all(self, market: Market, elected: list[Elected]) -> None:
        """24, 29: the trigger that the price met first, then the order that came first."""
        if not elected:
            return
        if len(elected) > 1:
            elected.sort(key=turn)
        market.stops -= len(elected)
        for _, _, _, order in elected:
            order.where = QUEUED
        for _, _, _, order in elected:
            # The trigger of a sibling may have ended it.
            if order.where == QUEUED:
                self._trigger(order)

    def _trigger(self, order: Order) -> None:
        """25, 26, 30: announced at once and gone as a stop; an OCO's other leg is cancelled for good."""
        order.where = QUEUED
        order.triggered = True
        if order.reduce_only:
            order.holding().reducing.pop(order.id, None)
        self._queue.append(order)
        self.events.append((TRIGGERED, order, None, 0, 0, ""))
        group = order.list
        if group is not None and group.one_fill_ends_the_others():
            for sibling in group.siblings(order):
                self._drop(sibling, CANCELLED, "list")

    def _settle(self) -> None:
        """23, 25: what was elected or armed takes its turn, first come first served, until nothing is left."""
        queue = self._queue
        while True:
            if self._elects_quotes:
                self._elect_by_quotes()
            if not queue:
                return
            order = queue.popleft()
            if order.where != GONE:
                self._take_turn(order)

    def _take_turn(self, order: Order) -> None:
        """Whatever may refuse an order is judged when it comes to the market (15)."""
        if order.where != QUEUED:
            return
        code = self._turn_flaw(order)
        if code:
            self._turn_away(order, code)
            return
        self._enter(order)

    def _turn_away(self, order: Order, code: str) -> None:
        """An order that was accepted is refused after all."""
        self._refuse("place", order, code)
        self._close(order)
        if order.list is not None:
            self._end_list(order)

    def _turn_flaw(self, order: Order) -> str:
        if not order.plain and not order.triggered:
            code = self._entry_flaw(order)
            if code:
                return code
        if order.plain or order.type < STOP_MARKET or not order.triggered:
            if not self._can_pay(order):
                return "INSUFFICIENT_BALANCE"
        return "" if order.plain or not order.triggered else self._entry_flaw(order)

    def _can_pay(self, order: Order) -> bool:
        """Whether what it needs is free, or claimed for it and its siblings."""
        account = order.account
        if not account.limited or not self._settles:
            return True
        wanted = need(order, order.leaves, order.price)
        return wanted == 0 or wanted <= account.free(asset_of(order)) + claimed(order)

    def _take_back(self, order: Order) -> None:
        """Out of the book, to come to it anew when its turn comes."""
        market = order.market
        (market.bids if order.buy else market.asks).remove(order)
        if order.reduce_only:
            order.holding().reducing.pop(order.id, None)
        order.where = QUEUED

    # Cancelling.

    def cancel(self, account: Account, id: str) -> None:
        """5: of one live order, or of all that live of one list."""
        order = account.orders.get(id)
        if order is None:
            self._cancel_list(account, id)
            return
        market = order.market
        if market.status == HALTED:
            self._refuse("cancel", order, "MARKET_NOT_OPEN")
        elif order.tracked:
            self._end(order, CANCELLED, "requested")
        else:
            # It rests, and nobody else is concerned.
            self.events.append((CANCELLED, order, None, order.leaves, 0, "requested"))
            (market.bids if order.buy else market.asks).remove(order)
            order.where = GONE
            del account.orders[id]
        if self._elects_quotes:
            self._settle()

    def _cancel_list(self, account: Account, id: str) -> None:
        group = account.lists.get(id)
        if group is None:
            self._reject("cancel", account.name, id, "", "UNKNOWN_ORDER")
            return
        live = [order for order in group.orders() if order.where != GONE]
        if any(order.market.status == HALTED for order in live):
            self._reject("cancel", account.name, id, live[0].market.symbol, "MARKET_NOT_OPEN")
            return
        self._cancel_each(live, "requested")

    def cancel_all(self, account: Account, market: Market | None) -> None:
        """All that live; where the market is halted they stay."""
        self._cancel_each(
            [
                order
                for order in account.orders.values()
                if (market is None or order.market is market) and order.market.status != HALTED
            ],
            "requested",
        )

    def disconnect(self, account: Account) -> None:
        """The venue itself cancels, whatever the trading status."""
        if self.profile.cancels_on_disconnect:
            self._cancel_each(list(account.orders.values()), "disconnect")

    def _cancel_each(self, orders: list[Order], reason: str) -> None:
        for order in orders:
            if order.where != GONE:
                self._end(order, CANCELLED, reason)
        if self._elects_quotes:
            self._settle()

    # Amending.

    def amend(self, account: Account, id: str, quantity: int, price: int, flaw: str = "") -> None:
        """A new total, a new price, or both; -1 leaves one as it is. 9: a refused amend changes nothing."""
        order = account.orders.get(id)
        if order is None:
            self._reject("amend", account.name, id, "", "UNKNOWN_ORDER")
            return
        total = order.quantity if quantity < 0 else quantity
        level = order.price if price < 0 else price
        done = order.executed + order.prevented
        code = self._amend_flaw(order, total, level, total - done, flaw)
        if code:
            self._refuse("amend", order, code)
            return
        if total == done:
            self._end(order, CANCELLED, "amended")  # 10
            if self._elects_quotes:
                self._settle()
            return
        # 8: less of it at the same price keeps its place.
        comes_anew = order.where == RESTING and (level != order.price or total > order.quantity)
        if comes_anew:
            self._take_back(order)
        self._resize(order, total - done)
        order.price = level
        self._tell_amended(order)
        if order.tracked:
            self._reclaim(order)
            if order.list is not None:
                self._amend_siblings(order)
            # 39: it, or a sibling, may have grown.
            if order.holding().reducing:
                self._trim(order.holding())
        if comes_anew:
            # 1: it comes to the market anew, and takes what it crosses.
            self._take_turn(order)
        if self._queue or self._elects_quotes:
            self._settle()

    def _amend_flaw(self, order: Order, total: int, price: int, leaves: int, flaw: str) -> str:
        if order.market.status != OPEN:
            return "MARKET_NOT_OPEN"
        if not order.plain and order.budget >= 0:
            return "BAD_FIELD"  # it has neither a quantity nor a price
        if leaves < 0:
            return "BELOW_FILLED"  # 10
        if flaw or leaves == 0:
            return flaw
        code = self._terms_flaw(order, total, price)
        if not code and order.list is not None:
            code = self._siblings_flaw(order, leaves)
        if code:
            return code
        if order.tracked and order.account.limited and self._settles and order.where != WAITING:
            wanted = need(order, armed_of(order, leaves), price)
            if order.list is not None:
                for sibling in order.list.siblings(order):
                    wanted = max(wanted, need(sibling, armed_of(sibling, leaves), sibling.price))
            if wanted and wanted > order.account.free(asset_of(order)) + claimed(order):
                return "INSUFFICIENT_BALANCE"
        if not order.plain and order.post_only and order.where == RESTING and order.market.crosses(order.buy, price):
            return "POST_ONLY_WOULD_CROSS"  # 16
        return ""

    def _siblings_flaw(self, order: Order, left: int) -> str:
        """31: what an amend makes of the other legs must pass the filters too."""
        assert order.list is not None
        for sibling in order.list.siblings(order):
            if sibling.leaves + sibling.held == left:
                continue
            code = self._terms_flaw(sibling, left + sibling.executed + sibling.prevented, sibling.price)
            if code:
                return code
        return ""

    def _resize(self, order: Order, left: int) -> None:
        """Gives it that many lots still to be traded. 20: what is hidden shrinks first."""
        armed = armed_of(order, left)
        if not order.plain:
            order.held = left - armed
        order.leaves = armed
        order.quantity = left + order.executed + order.prevented
        if order.where == RESTING and order.shown > armed:
            order.level.shown -= order.shown - armed
            order.shown = armed

    def _amend_siblings(self, order: Order) -> None:
        """31: amending one leg's quantity amends both."""
        group = order.list
        assert group is not None
        left = order.leaves + order.held
        for sibling in group.siblings(order):
            if sibling.leaves + sibling.held == left:
                continue
            self._resize(sibling, left)
            self._reclaim(sibling)
            full = sibling.leaves if sibling.peak == 0 else min(sibling.leaves, sibling.peak)
            if sibling.where == RESTING and sibling.shown < full:
                side = sibling.market.bids if sibling.buy else sibling.market.asks
                side.remove(sibling)
                self._draws += 1
                sibling.number = self._draws
                side.append(sibling, full)  # 8: more of it goes to the back
            self._tell_amended(sibling)

    def _tell_amended(self, order: Order) -> None:
        self.events.append((AMENDED, order, None, order.quantity, order.price, ""))

    def _shrink(self, order: Order, lots: int) -> None:
        order.leaves -= lots
        order.quantity -= lots
        if order.where == RESTING and order.shown > order.leaves:
            order.level.shown -= order.shown - order.leaves
            order.shown = order.leaves
        self._reclaim(order)

    # Replacing.

    def replace(self, account: Account, id: str, order: Order, goes_on: bool) -> None:
        """11: filters and rate limits come before the cancel; what only the book can refuse comes after."""
        old = account.orders.get(id)
        code = self._terms_refusal(order, old)
        if code:
            self._refuse("replace", order, code)
            return
        if old is None or old.market.status == HALTED:
            symbol = "" if old is None else old.market.symbol
            self._reject("cancel", account.name, id, symbol, "UNKNOWN_ORDER" if old is None else "MARKET_NOT_OPEN")
            if not goes_on:
                return
        else:
            self._end(old, CANCELLED, "replaced")
        code = self._refusal(order)
        if code:
            self._refuse("replace", order, code)
        else:
            self._accept(order)
            if old is not None and old.where == GONE:
                self.events.append((REPLACED, order, None, 0, 0, id))
            self._enter(order)
        if self._queue or self._elects_quotes:
            self._settle()

    # What the venue decides.

    def set_status(self, market: Market, status: int) -> None:
        market.status = status
        if status == OPEN and market.source == MARKS and market.stops and market.mark:
            # What the mark met meanwhile is elected now.
            self._elect(market, market.mark)
        self._settle()

    def set_mark(self, market: Market, price: int) -> None:
        """22: from here on the symbol's stops watch the mark, where the profile says so."""
        market.mark = price
        if self._elects_marks:
            market.source = MARKS
        if market.source == MARKS and market.stops and market.status == OPEN:
            self._elect(market, price)
        self._settle()

    # Reduce-only.

    def _trim_order(self, order: Order, lots: int) -> None:
        """40: clients hear of every trim."""
        if lots >= order.leaves:
            self._cancel(order, "reduce_only")
            return
        self._shrink(order, lots)
        self.events.append((TRIMMED, order, None, order.quantity, 0, ""))

    def _trim(self, holding: Holding) -> None:
        """39: what waits to reduce a position never adds up to more than it; the farthest from executing goes first."""
        for buy in (True, False):
            while True:
                units = reducing_units(holding, buy)
                excess = -holding.reducible(buy)
                for unit in units:
                    excess += size(unit)
                if not units or excess <= 0:
                    break
                farthest = max(units, key=distance)
                smaller = max(0, size(farthest) - excess)
                for order in farthest:
                    if order.where != GONE and order.leaves > smaller:
                        self._trim_order(order, order.leaves - smaller)


def turn(elected: Elected) -> tuple[int, int, int]:
    return elected[0], elected[1], elected[2]


def armed_of(order: Order, left: int) -> int:
    """How much of a new size is armed. What is armed in part stays so; what is armed whole stays armed whole."""
    return left if order.plain or order.held == 0 else min(order.leaves, left)


def others_of(order: Order) -> list[Order]:
    """What else its account has open in its symbol. 33: to an order of a list that is still to be taken, those of the
    list that come before it are there already."""
    market = order.market
    open_orders = order.account.orders
    others = [other for other in open_orders.values() if other.market is market and other is not order]
    if order.list is not None and order.id not in open_orders:
        for other in order.list.orders():
            if other is order:
                break
            if other.market is market:
                others.append(other)
    return others


def may_be_filled(others: list[Order], order: Order) -> int:
    """How many lots of others on the side of an order may be filled beside it; of the legs of one list one is."""
    lots = 0
    of_legs: dict[OrderList, int] = {}
    for other in others:
        if other.buy != order.buy or other.where == WAITING:
            continue
        group = other.list
        if group is None or other is group.parent or not group.siblings_exist():
            lots += other.leaves
        elif group is not order.list or order is group.parent:
            of_legs[group] = max(of_legs.get(group, 0), other.leaves)
    return lots + sum(of_legs.values())


def displayed(side: Side, bound: int, wanted: int) -> int:
    """What is displayed down to a bound, as far as anybody wants to know."""
    found = 0
    for key in reversed(side.keys):
        if key < bound or found >= wanted:
            break
        found += side.levels[key].shown
    return found


def reducing_units(holding: Holding, buy: bool) -> list[list[Order]]:
    """36: the legs of one list are one unit, and reserve the position once."""
    units: list[list[Order]] = []
    seen: list[OrderList] = []
    for order in holding.reducing.values():
        if order.buy != buy:
            continue
        group = order.list
        if group is None or order is group.parent or not group.siblings_exist():
            units.append([order])
        elif group not in seen:
            seen.append(group)
            units.append([leg for leg in group.legs if leg.id in holding.reducing])
    return units


def size(unit: list[Order]) -> int:
    return max([order.leaves for order in unit])


def distance(unit: list[Order]) -> tuple[int, int]:
    """How far the nearest leg is from executing; of two equally far, the later is farther."""
    return min([(way(order), order.number) for order in unit])


def way(order: Order) -> int:
    """From the market to a resting order's price or a stop's trigger, in ticks x 10,000."""
    level = trigger_level(order) if order.where == WATCHING else order.price * BPS
    if level == 0:
        return ANY_PRICE
    market = order.market.reference() * BPS
    if market == 0:
        return -level if order.buy else level
    return abs(level - market)
