"""What do the two strategies of the demonstration want, given what they see? Pure: the same view, the same wishes.

They are here to be understood, not to earn. One takes, one makes; both protect what they open with a stop so near that
some are stopped out within the minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from bot4_common.instruments import Instrument
from bot4_common.messages.terms import Order, Side, opposite
from bot4_common.money import ZERO

# Looks at the market, five a second, over which momentum measures; and by how much it has to move, in basis points.
LOOKS = 10
MOVE_BPS = Decimal("0.7")

# What one order is worth, in quote currency, and how far its stop is away, in basis points.
MOMENTUM_NOTIONAL, MOMENTUM_STOP_BPS = Decimal(2_000), Decimal(2)
MAKER_NOTIONAL, MAKER_STOP_BPS = Decimal(500), Decimal(3)
# The maker quotes only the side that reduces once it holds this much.
MAKER_POSITION_MAX = Decimal(2_000)
# It quotes at the touch, and this much behind it.
MAKER_BEHIND_BPS = (ZERO, Decimal("0.5"))


class Touch(NamedTuple):
    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


class Working(NamedTuple):
    """One of the strategy's own open orders."""

    order_id: str
    side: Side
    price: Decimal


class View(NamedTuple):
    """What a strategy sees of its symbol: the touches so far, the newest last; its position; its open orders."""

    instrument: Instrument
    touches: Sequence[Touch]
    position: Decimal
    working: Sequence[Working]


class Wishes(NamedTuple):
    """Orders to cancel, by id, and orders to place."""

    cancel: list[str]
    place: list[Order]


def momentum(view: View, id: str) -> Wishes:
    """Goes with a move, and gets out when it turns. `id` makes the client order ids."""
    if len(view.touches) < LOOKS:
        return Wishes([], [])
    now, then = view.touches[-1], view.touches[-LOOKS]
    move_bps = (now.mid / then.mid - 1) * 10_000
    if abs(move_bps) < MOVE_BPS:
        return Wishes([], [])
    side: Side = "buy" if move_bps > 0 else "sell"
    if view.position and (view.position > 0) != (side == "buy"):
        return Wishes([], [_exit(view, id, "momentum")])
    if view.position:
        return Wishes([], [])
    price = now.ask if side == "buy" else now.bid
    order = Order(
        client_order_id=id,
        symbol=view.instrument.symbol,
        side=side,
        type="limit",
        quantity=_quantity(view.instrument, MOMENTUM_NOTIONAL, price),
        strategy="momentum",
        # Half a basis point beyond the touch: enough to fill while the market moves on.
        price=_away(view.instrument, price, side, Decimal("0.5")),
        time_in_force="ioc",
        stop_loss=_away(view.instrument, price, opposite(side), MOMENTUM_STOP_BPS),
    )
    return Wishes([], [order])


def maker(view: View, id: str) -> Wishes:
    """Quotes both sides at the touch and behind it, and moves its quotes as the market moves."""
    now = view.touches[-1]
    wanted: list[tuple[Side, Decimal]] = []
    held = view.position * now.mid
    sides: tuple[tuple[Side, Decimal, Decimal], ...] = (("buy", now.bid, held), ("sell", now.ask, -held))
    for side, touch, on_this_side in sides:
        if on_this_side < MAKER_POSITION_MAX:
            wanted += [(side, _away(view.instrument, touch, opposite(side), bps)) for bps in MAKER_BEHIND_BPS]
    standing = {(order.side, order.price) for order in view.working}
    return Wishes(
        [order.order_id for order in view.working if (order.side, order.price) not in wanted],
        [
            _quote(view.instrument, side, price, f"{id}-{number}")
            for number, (side, price) in enumerate(wanted)
            if (side, price) not in standing
        ],
    )


def leave(view: View, id: str, strategy: str) -> Wishes:
    """Cancels and closes everything."""
    return Wishes([order.order_id for order in view.working], [_exit(view, id, strategy)] if view.position else [])


def _exit(view: View, id: str, strategy: str) -> Order:
    return Order(
        client_order_id=id,
        symbol=view.instrument.symbol,
        side="sell" if view.position > 0 else "buy",
        type="market",
        quantity=abs(view.position),
        strategy=strategy,
        time_in_force="ioc",
        reduce_only=True,
    )


def _quote(instrument: Instrument, side: Side, price: Decimal, id: str) -> Order:
    return Order(
        client_order_id=id,
        symbol=instrument.symbol,
        side=side,
        type="limit",
        quantity=_quantity(instrument, MAKER_NOTIONAL, price),
        strategy="maker",
        price=price,
        post_only=True,
        stop_loss=_away(instrument, price, opposite(side), MAKER_STOP_BPS),
    )


def _quantity(instrument: Instrument, notional: Decimal, price: Decimal) -> Decimal:
    return instrument.quantity(max(1, int(notional / price / instrument.lot)))


def _away(instrument: Instrument, price: Decimal, side: Side, bps: Decimal) -> Decimal:
    """So much above the price for a buy, below it for a sell; on a tick."""
    moved = price * (10_000 + (bps if side == "buy" else -bps)) / 10_000
    return instrument.price(int(moved / instrument.tick))
