"""What can happen? The events of the engine, as tuples: text is made of them only where they leave the process.

What a tuple holds was true when it happened; of its orders only what never changes (id, account, side) is read later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bot4_exchange_simulator.engine.orders import Order

# (kind, order, other order, quantity, price, text). What the last four mean stands beside each kind.
Event = tuple[int, "Order | Request", "Order | None", int, int, str]

ACCEPTED: Final = 0  # quantity, price
REJECTED: Final = 1  # text: code; the first is a Request
TRIGGERED: Final = 2
TRADE: Final = 3  # taker, maker, quantity, price
AMENDED: Final = 4  # quantity: the new total, price
CANCELLED: Final = 5  # quantity: what was open, text: reason
EXPIRED: Final = 6  # quantity: what was open, text: reason
PREVENTED: Final = 7  # taker, maker, quantity
REFRESHED: Final = 8  # quantity: what is displayed
TRIMMED: Final = 9  # quantity: the new total
REPLACED: Final = 10  # the new order; text: the id of the old one

EVENT_NAMES: Final = (
    "accepted",
    "rejected",
    "triggered",
    "trade",
    "amended",
    "cancelled",
    "expired",
    "prevented",
    "refreshed",
    "trimmed",
    "replaced",
)


class Request:
    """What was refused: it need not be an order that anybody knows."""

    __slots__ = ("account", "do", "id", "symbol")

    def __init__(self, do: str, account: str, id: str, symbol: str) -> None:
        self.do = do
        self.account = account
        self.id = id
        self.symbol = symbol
