"""What does the matching engine do with what comes to the venue? Orders, lists, amends, cancels and the market's own
moves, as events of the truth, become commands of the engine, in its whole ticks and lots.

Whatever was recorded must be applicable: nothing here refuses. What the engine itself refuses, it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bot4_common.instruments import Instrument
from bot4_common.messages.terms import Order
from bot4_common.messages.venue import (
    VenueAmendEntered,
    VenueCancelEntered,
    VenueListEntered,
    VenueMarketMoved,
    VenueOrderEntered,
)
from bot4_common.money import EXACT, ZERO
from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.lines import whole
from bot4_exchange_simulator.engine.market import Filters, Market
from bot4_exchange_simulator.engine.orders import Order as EngineOrder
from bot4_exchange_simulator.engine.terms import (
    IOC,
    LIMIT,
    LIST_KINDS,
    ORDER_TYPES,
    PREVENTIONS,
    TIMES_IN_FORCE,
)
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
    pass_time(engine, entered.at)
    engine.place(_order(engine, instrument, engine.account(entered.account), entered.child_id, entered.order))


def enter_list(engine: Engine, instruments: Mapping[str, Instrument], entered: VenueListEntered) -> None:
    pass_time(engine, entered.at)
    account = engine.account(entered.account)
    orders = [_order(engine, instruments[leg.order.symbol], account, leg.child_id, leg.order) for leg in entered.legs]
    engine.place_list(account, entered.list_id, LIST_KINDS[entered.kind], orders)


def _order(engine: Engine, instrument: Instrument, account: Account, child_id: str, asked: Order) -> EngineOrder:
    order = EngineOrder(
        child_id,
        account,
        engine.markets[asked.symbol],
        asked.side == "buy",
        instrument.lots(asked.quantity),
        _ticks(instrument, asked.price),
    )
    profile = engine.profile
    prevention = asked.self_trade_prevention or profile.self_trade_prevention_default
    if _is_plain(asked, prevention):
        return order
    order.qualify(ORDER_TYPES[asked.type], TIMES_IN_FORCE[asked.time_in_force], PREVENTIONS[prevention])
    order.post_only = asked.post_only
    # A venue without reduce-only orders takes it for what it is otherwise: risk has cut it to the position.
    order.reduce_only = asked.reduce_only and profile.reduce_only
    order.expire_at = asked.expire_at
    order.stop = _ticks(instrument, asked.stop_price)
    order.activation = _ticks(instrument, asked.activation_price)
    order.trail_bps = asked.trail_bps
    order.peak = 0 if asked.display_quantity is None else instrument.lots(asked.display_quantity)
    order.flaw = "" if prevention in profile.self_trade_preventions else "PREVENTION_NOT_ALLOWED"
    return order


def _ticks(instrument: Instrument, price: Decimal | None) -> int:
    return 0 if price is None else instrument.ticks(price)


def _is_plain(asked: Order, prevention: str) -> bool:
    """Whether it asks for nothing but a price: the engine's short way."""
    return (
        asked.type == "limit"
        and asked.time_in_force == "gtc"
        and prevention == "none"
        and not (asked.post_only or asked.reduce_only or asked.expire_at or asked.trail_bps)
        and asked.display_quantity is None
        and asked.stop_price is None
        and asked.activation_price is None
    )


def enter_amend(engine: Engine, instrument: Instrument, entered: VenueAmendEntered) -> None:
    pass_time(engine, entered.at)
    lots, part_of_lot = whole(entered.quantity, instrument.lot)
    ticks, part_of_tick = (-1, ZERO) if entered.price is None else whole(entered.price, instrument.tick)
    flaw = "TICK_SIZE" if part_of_tick else "LOT_SIZE" if part_of_lot else ""
    engine.amend(engine.account(entered.account), entered.child_id, lots, ticks, flaw)


def enter_cancel(engine: Engine, entered: VenueCancelEntered) -> None:
    pass_time(engine, entered.at)
    engine.cancel(engine.account(entered.account), entered.child_id)


def move_market(engine: Engine, instrument: Instrument, moved: VenueMarketMoved) -> None:
    """The market's quotes change to what it shows now, new ones trading with whatever they meet; then its takers
    come. What stays keeps its place in the queue."""
    pass_time(engine, moved.at)
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


def pass_time(engine: Engine, at: int) -> None:
    """A clock that was set back does not take the market with it."""
    engine.advance(max(engine.now, at))


def _standing(order: EngineOrder) -> Standing:
    return Standing(order.id, "buy" if order.buy else "sell", order.price, order.leaves, order.behind is None)


def _in_steps(instrument: Instrument, quotes: list[tuple[Decimal, Decimal]]) -> list[tuple[int, int]]:
    return [(instrument.ticks(price), instrument.lots(quantity)) for price, quantity in quotes]
