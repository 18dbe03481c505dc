"""Which orders does a drill place? Small ones, no two alike, since a guard takes many alike for a runaway."""

from __future__ import annotations

from decimal import Decimal

from bot4_cli.load import Market
from bot4_common.messages.terms import ListKind, Order, OrderList, Side

STRATEGY = "drill"
# In quote currency; small enough that hundreds of orders together stay far below what an account may hold.
NOTIONAL = Decimal(60)
# A resting order stands this far behind the touch and up to twice as far, in hundredths of a percent: further than the
# market moves in a minute, nearer than the collar around it.
BEHIND_BPS = 120
PLACES = 120
# Where to get out again, in percent of the price; the market does not get there while a drill lasts.
STOP_PERCENT = "4"


def quantity(market: Market, number: int, notional: Decimal = NOTIONAL) -> Decimal:
    """For about so much in quote currency, another one for each of some numbers in a row."""
    lots = int(notional / market.ask / market.instrument.lot)
    return market.instrument.quantity(max(1, lots) + number % 7)


def behind(market: Market, side: Side, bps: int) -> Decimal:
    """So much behind the touch, in hundredths of a percent: below the bid for a buy, above the ask for a sell."""
    percent = Decimal(bps) / 100
    return market.near(market.bid, f"-{percent}") if side == "buy" else market.near(market.ask, str(percent))


def stop_loss(market: Market, side: Side) -> Decimal:
    """On the losing side of every price that a drill asks for."""
    return market.near(market.bid, f"-{STOP_PERCENT}") if side == "buy" else market.near(market.ask, STOP_PERCENT)


def resting(market: Market, id: str, number: int, side: Side) -> Order:
    """Waits where the market does not come."""
    return Order(
        client_order_id=f"{id}-{number}",
        symbol=market.instrument.symbol,
        side=side,
        type="limit",
        quantity=quantity(market, number),
        strategy=STRATEGY,
        price=behind(market, side, BEHIND_BPS + number % PLACES),
        stop_loss=stop_loss(market, side),
        venue=market.venue,
    )


def touching(market: Market, id: str, number: int, side: Side, notional: Decimal = NOTIONAL) -> Order:
    """Stands in the first row, where the market trades."""
    return Order(
        client_order_id=f"{id}-{market.instrument.symbol}-{number}",
        symbol=market.instrument.symbol,
        side=side,
        type="limit",
        quantity=quantity(market, number, notional),
        strategy=STRATEGY,
        price=market.bid if side == "buy" else market.ask,
        stop_loss=stop_loss(market, side),
        venue=market.venue,
    )


def taking(market: Market, id: str, side: Side, notional: Decimal = NOTIONAL, number: int = 0) -> Order:
    """Trades at once."""
    return Order(
        client_order_id=f"{id}-take-{number}",
        symbol=market.instrument.symbol,
        side=side,
        type="market",
        quantity=quantity(market, number, notional),
        strategy=STRATEGY,
        time_in_force="ioc",
        stop_loss=stop_loss(market, side),
        venue=market.venue,
    )


def closing(market: Market, id: str, side: Side, amount: Decimal, strategy: str) -> Order:
    """Reduces what is held, and nothing else."""
    return Order(
        client_order_id=id,
        symbol=market.instrument.symbol,
        side=side,
        type="market",
        quantity=amount,
        strategy=strategy,
        time_in_force="ioc",
        reduce_only=True,
        venue=market.venue,
    )


def stop(market: Market, id: str, number: int, side: Side) -> Order:
    """Waits for a trigger where the market does not come: above it for a buy, below it for a sell."""
    trigger = behind(market, "sell" if side == "buy" else "buy", BEHIND_BPS + number % PLACES)
    return Order(
        client_order_id=f"{id}-stop-{number}",
        symbol=market.instrument.symbol,
        side=side,
        type="stop_market",
        quantity=quantity(market, number),
        strategy=STRATEGY,
        stop_price=trigger,
        stop_loss=stop_loss(market, side),
        venue=market.venue,
    )


def bracket(market: Market, id: str, kind: ListKind) -> OrderList:
    """A profit to take and a loss to stop, the one or the other; with a parent before them, for what it buys."""
    legs = [_leg(market, f"{id}-profit", "sell", 200, None), _leg(market, f"{id}-loss", "sell", None, 200)]
    if kind == "otoco":
        legs.insert(0, _leg(market, f"{id}-entry", "buy", 150, None))
    return OrderList(client_list_id=id, kind=kind, orders=legs)


def _leg(market: Market, id: str, side: Side, price_bps: int | None, stop_bps: int | None) -> Order:
    return Order(
        client_order_id=id,
        symbol=market.instrument.symbol,
        side=side,
        type="limit" if stop_bps is None else "stop_market",
        quantity=quantity(market, 3),
        strategy=STRATEGY,
        price=None if price_bps is None else behind(market, side, price_bps),
        stop_price=None if stop_bps is None else behind(market, "buy" if side == "sell" else "sell", stop_bps),
        stop_loss=stop_loss(market, side),
        venue=market.venue,
    )
