"""How is this project's engine asked? Its orders and its methods, with whole ticks and lots, and several accounts."""

from __future__ import annotations

from decimal import Decimal

from benchmarks.engines.mix import AMEND, CANCEL, FOK, IOC, LIMIT, MARKET, POST_ONLY, Message, Recording
from benchmarks.engines.script import Call, Script
from bot4_exchange_simulator import engine as package
from bot4_exchange_simulator.engine import terms
from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.events import TRADE
from bot4_exchange_simulator.engine.market import Market
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.profile import shipped

# Orders are spread over so many accounts.
ACCOUNTS = 8


def market_of(number: int) -> Market:
    return Market(f"S{number}-USDT", f"S{number}", "USDT", Decimal("0.01"), Decimal("0.0001"))


def account_of(engine: Engine, order: int) -> Account:
    return engine.account(f"account {order % ACCOUNTS}")


def new_engine() -> Engine:
    return Engine(shipped("default"))


def prepare(recording: Recording) -> Script:
    return prepared(recording, new_engine())


def prepared(recording: Recording, engine: Engine) -> Script:
    markets = [market_of(number) for number in range(recording.symbols)]
    for market in markets:
        engine.list_market(market)
    place = engine.place

    def limit(id: str, account: Account, market: Market, buy: bool, quantity: int, price: int) -> None:
        place(Order(id, account, market, buy, quantity, price))

    def other(
        id: str, account: Account, market: Market, buy: bool, quantity: int, price: int, type: int, time_in_force: int
    ) -> None:
        order = Order(id, account, market, buy, quantity, price)
        order.qualify(type, time_in_force)
        place(order)

    def post_only(id: str, account: Account, market: Market, buy: bool, quantity: int, price: int) -> None:
        order = Order(id, account, market, buy, quantity, price)
        order.qualify(terms.LIMIT)
        order.post_only = True
        place(order)

    further: dict[int, Call] = {
        MARKET: (other, (terms.MARKET, terms.GTC)),
        IOC: (other, (terms.LIMIT, terms.IOC)),
        FOK: (other, (terms.LIMIT, terms.FOK)),
        POST_ONLY: (post_only, ()),
        LIMIT: (limit, ()),
    }

    def call(message: Message) -> Call:
        account, id = account_of(engine, message.order), str(message.order)
        if message.kind == CANCEL:
            return engine.cancel, (account, id)
        if message.kind == AMEND:
            return engine.amend, (account, id, message.quantity or -1, message.price or -1)
        function, rest = further[message.kind]
        market = markets[message.symbol]
        return function, (id, account, market, message.buy, message.quantity, message.price, *rest)

    def traded() -> tuple[int, int]:
        lots = [event[3] for event in engine.events if event[0] == TRADE]
        return len(lots), sum(lots)

    return Script(package.build(), [call(message) for message in recording.messages], traded, engine.events.clear)
