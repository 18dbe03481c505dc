"""What is one symbol? Its steps and filters, its book, its stops, and the prices that are known of it."""

from __future__ import annotations

from decimal import Decimal

from bot4_exchange_simulator.engine.accounts import MONEY_UNIT
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.stops import Stops
from bot4_exchange_simulator.engine.terms import BOUNDLESS, BPS, MARKS, OPEN, TRADES

# The step of the multipliers of price bands.
BAND_UNIT = 1_000_000


class Filters:
    """What an instrument asks of orders. 0 is no limit; prices in ticks, quantities in lots, notionals in both."""

    __slots__ = (
        "ask_down",
        "ask_up",
        "bid_down",
        "bid_up",
        "collar_bps",
        "counts",
        "iceberg_parts_max",
        "market_quantity_max",
        "market_quantity_min",
        "notional_max",
        "notional_min",
        "open_orders_max",
        "open_stops_max",
        "particular",
        "position_max",
        "price_max",
        "price_min",
        "quantity_max",
        "quantity_min",
        "trail_bps_max",
        "trail_bps_min",
    )

    def __init__(self) -> None:
        self.quantity_min = 1
        self.quantity_max = BOUNDLESS
        self.market_quantity_min = 0
        self.market_quantity_max = 0
        self.price_min = 1
        self.price_max = BOUNDLESS
        self.notional_min = 0
        self.notional_max = 0
        # A price may be at most the market times these, in millionths (PERCENT_PRICE_BY_SIDE).
        self.bid_up = 0
        self.bid_down = 0
        self.ask_up = 0
        self.ask_down = 0
        # How far from the market a market order goes on trading.
        self.collar_bps = 0
        self.iceberg_parts_max = 0  # 0: what the profile says
        self.counts = False  # whether one of the next three is set
        self.particular = False  # whether there is more than minima and maxima that concern all orders
        self.open_orders_max = 0
        self.open_stops_max = 0
        self.position_max = 0
        self.trail_bps_min = 1
        self.trail_bps_max = BPS - 1

    def sum_up(self) -> None:
        """Notes which kinds of limits there are, once all of them are set."""
        self.counts = bool(self.open_orders_max or self.open_stops_max or self.position_max)
        self.particular = bool(
            self.counts
            or self.notional_max
            or self.market_quantity_min
            or self.market_quantity_max
            or self.bid_up
            or self.bid_down
            or self.ask_up
            or self.ask_down
        )


class Market:
    __slots__ = (
        "asks",
        "base",
        "bids",
        "buy_stops",
        "filters",
        "last",
        "lot",
        "lot_money",
        "mark",
        "quote",
        "sell_stops",
        "source",
        "status",
        "stops",
        "symbol",
        "tick",
        "tick_money",
    )

    def __init__(self, symbol: str, base: str, quote: str, tick: Decimal, lot: Decimal) -> None:
        self.symbol = symbol
        self.base = base
        self.quote = quote
        self.tick = tick
        self.lot = lot
        # One lot of base, and one lot at one tick of quote, in units of money.
        self.lot_money = int(lot * MONEY_UNIT)
        self.tick_money = int(tick * lot * MONEY_UNIT)
        self.bids = Side(1)
        self.asks = Side(-1)
        self.source = TRADES  # what its stops watch
        self.stops = 0  # orders that watch, on both sides
        self.buy_stops = Stops()
        self.sell_stops = Stops()
        self.last = 0
        self.mark = 0
        self.status = OPEN
        self.filters = Filters()

    def watched(self, buy: bool) -> int:
        """The price that a stop of this side is judged by; 0: there is none yet (22)."""
        if self.source == TRADES:
            return self.last
        if self.source == MARKS:
            return self.mark
        side = self.asks if buy else self.bids
        return side.top.price if side.top is not None else 0

    def reference(self) -> int:
        """The price that bands and collars are drawn around."""
        return self.mark or self.last

    def crosses(self, buy: bool, price: int) -> bool:
        """Whether an order at this price would take anything, were it to enter now (15)."""
        top = self.asks.top if buy else self.bids.top
        if top is None:
            return False
        return top.price <= price if buy else top.price >= price

    def stops_of(self, order: Order) -> Stops:
        return self.buy_stops if order.buy else self.sell_stops

    # An order against the filters, in the order in which venues look.

    def flaw(self, order: Order, quantity: int, price: int) -> str:
        """The code of the first filter it breaks, or nothing."""
        filters = self.filters
        if not order.plain and order.budget >= 0:
            return self._notional_flaw(order, order.budget)
        if quantity < filters.quantity_min or quantity > filters.quantity_max:
            return "QUANTITY_RANGE"
        if price and (price < filters.price_min or price > filters.price_max):
            return "PRICE_RANGE"
        if order.plain:
            code = self._notional_flaw(order, price * quantity)
            return self._band_flaw(order.buy, price) if filters.particular and not code else code
        if order.stop and (order.stop < filters.price_min or order.stop > filters.price_max):
            return "PRICE_RANGE"
        if order.activation and (order.activation < filters.price_min or order.activation > filters.price_max):
            return "PRICE_RANGE"
        if price == 0 and order.budget < 0 and filters.particular:
            if quantity < filters.market_quantity_min:
                return "MARKET_QUANTITY_RANGE"
            if filters.market_quantity_max and quantity > filters.market_quantity_max:
                return "MARKET_QUANTITY_RANGE"
        if price:
            code = self._notional_flaw(order, price * quantity)
            if code:
                return code
            if filters.particular:
                code = self._band_flaw(order.buy, price)
                if code:
                    return code
        if order.trail_bps and not filters.trail_bps_min <= order.trail_bps <= filters.trail_bps_max:
            return "TRAIL_RANGE"
        return ""

    def _notional_flaw(self, order: Order, notional: int) -> str:
        filters = self.filters
        if notional < filters.notional_min and not order.reduce_only:
            return "NOTIONAL_TOO_SMALL"
        return "NOTIONAL_TOO_LARGE" if filters.notional_max and notional > filters.notional_max else ""

    def _band_flaw(self, buy: bool, price: int) -> str:
        reference = self.reference()
        up, down = (self.filters.bid_up, self.filters.bid_down) if buy else (self.filters.ask_up, self.filters.ask_down)
        if reference and up and price * BAND_UNIT > reference * up:
            return "PRICE_BAND"
        if reference and price * BAND_UNIT < reference * down:
            return "PRICE_BAND"
        return ""
