"""What does the matching engine do with what comes to the venue? Orders, cancels and the market's own moves, as events
of the truth, become commands of the engine, in its whole ticks and lots.

Whatever was recorded must be applicable: nothing here refuses. What the engine itself refuses, it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bot4_common.instruments import Instrument
from bot4_common.messages.terms import Order
from bot4_common.messages.venue import VenueCancelEntered, VenueMarketMoved, VenueOrderEntered
from bot4_common.money import EXACT
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.market import Filters, Market
from bot4_exchange_simulator.engine.orders import Order as EngineOrder
from bot4_exchange_simulator.engine.terms import GTC, IOC, LIMIT, ORDER_TYPES, TIMES_IN_FORCE
from bot4_exchange_simulator.quoting import Add, Pull, Resize, Standing, requote

# The account of everybody who is not a client. Names of clients' accounts have no blanks.
MARKET = "the market"


def admit_market(engine: Engine) -> None:
    """A print on a tape may be a small part of the order that caused it, and a level many people's."""
    engine.account(MARKET).free_of_limits()


def list_instruments(engine: Engine, instruments: Mapping[str, Instrument]) -> None:
    """Lists what is not listed yet; filters of what is are brought up to date."""
    for instrument in instruments.values():
        market = Market(instrument.symbol, instrument.base, instrument.quote, instrument.tick, instrument.lot)
        market.filters = _filters(instrument)
        engine.list_market(market)


def _filters(instrument: Instrument) -> Filters:
    filters = Filters()
    filters.quantity_min = instrument.lots(instrument.quantity_min)
    filters.quantity_max = instrument.lots(instrument.quantity_max)
    step = EXACT.multiply(instrument.tick, instrument.lot)
    filters.notional_min = -int(-instrument.notional_min // step)
    return filters


def enter_order(engine: Engine, instrument: Instrument, entered: VenueOrderEntered) -> None:
    order = entered.order
    _advance(engine, entered.at)
    mine = EngineOrder(
        entered.child_id,
        engine.account(entered.account),
        engine.markets[order.symbol],
        order.side == "buy",
        instrument.lots(order.quantity),
        0 if order.price is None else instrument.ticks(order.price),
    )
    if not _is_plain(order):
        mine.qualify(ORDER_TYPES[order.type], TIMES_IN_FORCE[order.time_in_force])
        mine.post_only = order.post_only
        # A venue without reduce-only orders takes it for what it is otherwise: risk has cut it to the position.
        mine.reduce_only = order.reduce_only and engine.profile.reduce_only
    engine.place(mine)


def _is_plain(order: Order) -> bool:
    """Whether it asks for nothing but a price: the engine's short way."""
    kind, time_in_force = ORDER_TYPES[order.type], TIMES_IN_FORCE[order.time_in_force]
    return kind == LIMIT and time_in_force == GTC and not order.post_only and not order.reduce_only


def enter_cancel(engine: Engine, entered: VenueCancelEntered) -> None:
    _advance(engine, entered.at)
    engine.cancel(engine.account(entered.account), entered.child_id)


def move_market(engine: Engine, instrument: Instrument, moved: VenueMarketMoved) -> None:
    """The market's quotes change to what it shows now, new ones trading with whatever they meet; then its takers
    come. What stays keeps its place in the queue."""
    _advance(engine, moved.at)
    account, market = engine.account(MARKET), engine.markets[moved.symbol]
    mine = [order for order in account.orders.values() if order.market is market]
    for change in requote(
        [_standing(order) for order in mine],
        _in_steps(instrument, moved.bids),
        _in_steps(instrument, moved.asks),
    ):
        match change:
            case Pull():
                engine.cancel(account, change.id)
            case Resize():
                engine.amend(account, change.id, account.orders[change.id].executed + change.lots, -1)
            case Add():
                id = f"{moved.symbol}/{change.side}/{change.price}/{moved.step}"
                engine.place(EngineOrder(id, account, market, change.side == "buy", change.lots, change.price))
    for number, (side, price, quantity) in enumerate(moved.flow):
        id = f"{moved.symbol}/taker/{moved.step}/{number}"
        lots, ticks = instrument.lots(quantity), instrument.ticks(price)
        taker = EngineOrder(id, account, market, side == "buy", lots, ticks)
        taker.qualify(LIMIT, IOC)
        engine.place(taker)


def _standing(order: EngineOrder) -> Standing:
    return Standing(order.id, "buy" if order.buy else "sell", order.price, order.leaves, order.behind is None)


def _in_steps(instrument: Instrument, quotes: list[tuple[Decimal, Decimal]]) -> list[tuple[int, int]]:
    return [(instrument.ticks(price), instrument.lots(quantity)) for price, quantity in quotes]


def _advance(engine: Engine, at: int) -> None:
    """A clock that was set back does not take the market with it."""
    engine.advance(max(engine.now, at))
