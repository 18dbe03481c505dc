"""What would traders ask? Orders near the touch that come and go, and some that take, drawn with a seed.

The engine keeps the books while the mix is recorded, so that prices are near a touch that is there, and what is
cancelled or amended rests. The books keep their size: who takes, takes more where they have grown.
"""

from __future__ import annotations

from random import Random

from benchmarks.engines.bot4 import account_of, market_of, new_engine
from benchmarks.engines.mix import (
    AMEND,
    CANCEL,
    FOK,
    IOC,
    LIMIT,
    MARKET,
    POST_ONLY,
    SHARES,
    Message,
    Recording,
)
from bot4_exchange_simulator.engine import terms
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order

# Where the books begin, in ticks: so high that no price comes near zero.
FIRST_PRICE = 1_000_000
# Orders come this many ticks behind the best price they could have without taking, on average.
DISTANCE = 6
LOTS = (1, 20)
# How many orders one that takes meets, where a book is as large as it should be; beyond, the more the larger it is.
TAKEN = 1.4


def record(seed: int, symbols: int, messages: int, resting: int, levels: int = 0, newest: int = 0) -> Recording:
    """So many messages after books of `resting` orders each have been filled, half a side; over `levels` prices a
    side, or as the mix itself would spread them. What is cancelled or amended is one of the `newest`, or any order."""
    return _Recorder(seed, symbols, resting, newest).run(messages, levels)


class _Recorder:
    def __init__(self, seed: int, symbols: int, resting: int, newest: int) -> None:
        self._random = Random(seed)
        self._engine = new_engine()
        self._markets = [market_of(number) for number in range(symbols)]
        for market in self._markets:
            self._engine.list_market(market)
        self._resting = resting
        self._newest = newest
        # By symbol: the orders that rest, the newest mostly last, and where each of them stands there.
        self._live: list[list[Order]] = [[] for _ in range(symbols)]
        self._places: dict[str, int] = {}
        self._orders = 0
        self._recorded: list[Message] = []

    def run(self, messages: int, levels: int) -> Recording:
        for symbol in range(len(self._markets)):
            for number in range(self._resting):
                self._open(symbol, number, levels)
        opening = len(self._recorded)
        while len(self._recorded) < opening + messages:
            # Of each hundred, exactly the shares.
            kinds = [kind for kind, share in enumerate(SHARES) for _ in range(share)]
            self._random.shuffle(kinds)
            for kind in kinds[: opening + messages - len(self._recorded)]:
                self._next(kind, self._random.randrange(len(self._markets)))
        return Recording(len(self._markets), opening, self._recorded)

    def _open(self, symbol: int, number: int, levels: int) -> None:
        buy = number % 2 == 0
        distance = 1 + (number // 2 % levels if levels else self._distance())
        price = FIRST_PRICE - distance if buy else FIRST_PRICE + distance
        self._place(LIMIT, symbol, buy, self._lots(), price)

    def _next(self, kind: int, symbol: int) -> None:
        live = self._live[symbol]
        buy = self._random.random() < 0.5
        if kind == CANCEL:
            order = self._any(live)
            self._say(CANCEL, order, symbol, 0, 0)
            self._engine.cancel(order.account, order.id)
        elif kind == AMEND:
            self._amend(self._any(live), symbol)
        elif kind in (LIMIT, POST_ONLY):
            self._place(kind, symbol, buy, self._lots(), self._price(symbol, buy))
        else:
            self._take(kind, symbol, buy)
        self._hear(symbol)

    def _any(self, live: list[Order]) -> Order:
        return live[-1 - self._random.randrange(min(len(live), self._newest or len(live)))]

    def _amend(self, order: Order, symbol: int) -> None:
        """Half of them want less, which keeps their place; of the others, half want more, and half another price."""
        change = price = 0
        drawn = self._random.random()
        if drawn < 0.5 and order.leaves > 1:
            change = -self._random.randrange(1, order.leaves)
        elif drawn < 0.75:
            change = self._lots()
        else:
            price = self._price(symbol, order.buy)
        total = order.quantity + change if change else 0
        self._say(AMEND, order, symbol, total, price, change)
        self._engine.amend(order.account, order.id, total or -1, price or -1)

    def _take(self, kind: int, symbol: int, buy: bool) -> None:
        """As much as so many orders that stand first. FOK orders take the best price, or are killed."""
        side = self._markets[symbol].asks if buy else self._markets[symbol].bids
        assert side.top is not None, "a book ran empty: more orders should rest in it"
        crowd = len(self._live[symbol]) / self._resting
        meets = self._random.expovariate(1 / (TAKEN * crowd**4))
        lots = max(1, round(meets * sum(LOTS) / 2))
        # Far enough that the price of an IOC order seldom stops it.
        reach = 0 if kind == FOK else 3 * DISTANCE
        limit = 0 if kind == MARKET else side.top.price + (reach if buy else -reach)
        self._place(kind, symbol, buy, lots, limit)

    def _place(self, kind: int, symbol: int, buy: bool, quantity: int, price: int) -> None:
        account = account_of(self._engine, self._orders)
        order = Order(str(self._orders), account, self._markets[symbol], buy, quantity, price)
        if kind != LIMIT:
            order.qualify(
                terms.MARKET if kind == MARKET else terms.LIMIT,
                {IOC: terms.IOC, FOK: terms.FOK}.get(kind, terms.GTC),
            )
            order.post_only = kind == POST_ONLY
        self._say(kind, order, symbol, quantity, price)
        self._orders += 1
        self._engine.place(order)
        if order.where == terms.RESTING:
            self._places[order.id] = len(self._live[symbol])
            self._live[symbol].append(order)

    def _say(self, kind: int, order: Order, symbol: int, quantity: int, price: int, change: int = 0) -> None:
        bids, asks = self._markets[symbol].bids.top, self._markets[symbol].asks.top
        touch = (0 if bids is None else bids.price, 0 if asks is None else asks.price)
        self._recorded.append(Message(kind, int(order.id), symbol, order.buy, quantity, change, price, *touch))

    def _hear(self, symbol: int) -> None:
        """Forgets what has ended."""
        live = self._live[symbol]
        for _, order, maker, *_ in self._engine.events:
            for each in (order, maker):
                if isinstance(each, Order) and each.where == terms.GONE and each.id in self._places:
                    place, last = self._places.pop(each.id), live.pop()
                    if last is not each:
                        live[place] = last
                        self._places[last.id] = place
        self._engine.events.clear()

    def _price(self, symbol: int, buy: bool) -> int:
        """Behind the best price that would not take."""
        market = self._markets[symbol]
        facing = market.asks.top if buy else market.bids.top
        touch = reference(market) if facing is None else facing.price
        return touch - 1 - self._distance() if buy else touch + 1 + self._distance()

    def _distance(self) -> int:
        return int(self._random.expovariate(1 / DISTANCE))

    def _lots(self) -> int:
        return self._random.randint(*LOTS)


def reference(market: Market) -> int:
    return market.last or FIRST_PRICE
