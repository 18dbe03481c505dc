"""The words that the tests of risk speak. Unless said otherwise the market is 99 / 101 and the account ann's."""

from __future__ import annotations

from decimal import Decimal

from bot4_common.errors import REFUSALS
from bot4_common.given import NOON, Expected, Scenario
from bot4_common.instruments import shipped
from bot4_common.messages.execution import (
    AmendRejected,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderTrimmed,
)
from bot4_common.messages.gateway import CancelOrder, PlaceOrder
from bot4_common.messages.limits import AccountLimits, LimitsDocument, OrderLimits
from bot4_common.messages.market import Quote
from bot4_common.messages.risk import OrderRefused, PositionChanged
from bot4_common.messages.terms import Event, Order, Side
from bot4_common.venues import load
from bot4_risk.domain import Risk
from bot4_risk.state import State

SYMBOL = "BTC-USDT"
MARKET = "sim/BTC-USDT"
# A position of up to 20,000.
LIMITS = LimitsDocument(
    order=OrderLimits(notional_max=Decimal(10_000), price_collar_bps=1_000),
    account=AccountLimits(capital=Decimal(1_000_000), open_orders_max=4, self_trade_prevention="none"),
)
VENUES = load(("sim", "a", "b"))
LOTS = {symbol: instrument.lot for symbol, instrument in shipped().items()}


def quote(bid: str = "99", ask: str = "101", at: int = NOON, symbol: str = SYMBOL, venue: str = "sim") -> Quote:
    return Quote(
        venue=venue,
        symbol=symbol,
        bid=Decimal(bid),
        ask=Decimal(ask),
        bid_quantity=Decimal(1),
        ask_quantity=Decimal(1),
        at=at,
    )


def given(*quotes: Quote, venues: tuple[str, ...] = ("sim",), limits: LimitsDocument = LIMITS) -> Scenario[State]:
    """Risk as it begins, in a market."""
    risk = Risk(limits, {venue: VENUES[venue] for venue in venues}, LOTS, capacity=1_000)
    scenario = Scenario(risk).given(risk.file_limits(1, NOON))
    scenario.quotes = {(each.venue, each.symbol): each for each in quotes or [quote()]}
    return scenario


def holding(position: str, symbol: str = SYMBOL) -> Scenario[State]:
    """The account has a position, of whose making nothing else is left."""
    quantity = Decimal(position)
    return given().given(
        PositionChanged(
            order_id="past",
            account="ann",
            strategy="s",
            symbol=symbol,
            quantity=quantity,
            price=Decimal(100),
            position=quantity,
        )
    )


def order(
    side: Side,
    quantity: str,
    price: str | None = None,
    stop: str | None = None,
    id: str | None = None,
    symbol: str = SYMBOL,
    reduce_only: bool = False,
    venue: str = "",
) -> Order:
    """A limit order if it has a price, a market order if not."""
    return Order(
        client_order_id=id or f"{side} {quantity} at {price or 'market'}",
        symbol=symbol,
        side=side,
        type="limit" if price else "market",
        quantity=Decimal(quantity),
        strategy="s",
        price=Decimal(price) if price else None,
        reduce_only=reduce_only,
        stop_loss=Decimal(stop) if stop else None,
        venue=venue,
    )


def buy(
    quantity: str, price: str | None = None, stop: str | None = None, id: str | None = None, reduce_only: bool = False
) -> PlaceOrder:
    return place(order("buy", quantity, price, stop, id, reduce_only=reduce_only))


def sell(
    quantity: str, price: str | None = None, stop: str | None = None, id: str | None = None, reduce_only: bool = False
) -> PlaceOrder:
    return place(order("sell", quantity, price, stop, id, reduce_only=reduce_only))


class Refusal(Expected):
    """A refusal for a reason; of its numbers those that matter."""

    def __init__(self, order_id: str, code: str, details: dict[str, str], account: str) -> None:
        assert code in REFUSALS
        super().__init__(OrderRefused, {"order_id": order_id, "account": account, "code": code})
        self.details = details

    def matches(self, said: Event) -> bool:
        return super().matches(said) and self.details.items() <= said.details.items()  # type: ignore[attr-defined]


def refused(id: str, code: str, account: str = "ann", **details: str) -> Refusal:
    return Refusal(id, code, details, account)


def place(order: Order, account: str = "ann") -> PlaceOrder:
    return PlaceOrder(account=account, order=order)


def cancel(order_id: str, account: str = "ann") -> CancelOrder:
    return CancelOrder(account=account, order_id=order_id)


def bought(order_id: str, quantity: str, account: str = "ann", symbol: str = SYMBOL, venue: str = "sim") -> OrderFilled:
    return filled(order_id, "buy", quantity, account, symbol, venue)


def sold(order_id: str, quantity: str, account: str = "ann", symbol: str = SYMBOL, venue: str = "sim") -> OrderFilled:
    return filled(order_id, "sell", quantity, account, symbol, venue)


def filled(order_id: str, side: Side, quantity: str, account: str, symbol: str, venue: str = "sim") -> OrderFilled:
    return OrderFilled(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=account,
        strategy="s",
        symbol=symbol,
        side=side,
        venue=venue,
        trade_id="t",
        price=Decimal(100),
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        leaves=Decimal(0),
        liquidity="taker",
        bid=Decimal(99),
        ask=Decimal(101),
        session_sequence=1,
        traded_at=NOON,
    )


# As much of an order as there is.
ALL = "1000000"


def cancelled(order_id: str, account: str = "ann", quantity: str = ALL) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=account,
        venue="sim",
        quantity=Decimal(quantity),
        reason="requested",
        session_sequence=1,
    )


def trimmed(order_id: str, quantity: str, leaves: str) -> OrderTrimmed:
    return OrderTrimmed(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        quantity=Decimal(quantity),
        leaves=Decimal(leaves),
        session_sequence=1,
    )


def expired(order_id: str, quantity: str = ALL) -> OrderExpired:
    return OrderExpired(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        quantity=Decimal(quantity),
        reason="unfilled",
        session_sequence=1,
    )


def rejected(order_id: str) -> OrderRejected:
    return OrderRejected(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        code="NOTHING_TO_REDUCE",
        message="",
        session_sequence=1,
    )


def lost(order_id: str) -> OrderLost:
    return OrderLost(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        quantity=Decimal(ALL),
        session_sequence=1,
    )


def not_amended(order_id: str = "1-0") -> AmendRejected:
    return AmendRejected(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account="ann",
        venue="sim",
        code="BELOW_FILLED",
        session_sequence=2,
    )
