"""Who would trade with himself, and what was prevented? (41 to 44)"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bot4_exchange_simulator.engine.market import Market
    from bot4_exchange_simulator.engine.orders import Order

# Prevented matches are kept for queries, the newest of them; a client asks for them soon or never.
PREVENTED_KEPT: Final = 10_000


class Prevented:
    """A match that did not take place, and what each side lost by it."""

    __slots__ = (
        "at",
        "maker",
        "maker_account",
        "maker_quantity",
        "market",
        "price",
        "taker",
        "taker_account",
        "taker_quantity",
    )

    def __init__(
        self,
        at: int,
        market: Market,
        price: int,
        taker: str,
        taker_account: str,
        taker_quantity: int,
        maker: str,
        maker_account: str,
        maker_quantity: int,
    ) -> None:
        self.at = at
        self.market: Market = market
        self.price = price
        self.taker = taker
        self.taker_account = taker_account
        self.taker_quantity = taker_quantity
        self.maker = maker
        self.maker_account = maker_account
        self.maker_quantity = maker_quantity


class Ledger:
    """All prevented matches, the oldest forgotten first (44)."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[Prevented] = deque(maxlen=PREVENTED_KEPT)

    def add(self, prevented: Prevented) -> None:
        self._kept.append(prevented)

    def note(self, at: int, taker: Order, maker: Order, taker_quantity: int, maker_quantity: int) -> None:
        """`taker_quantity`, `maker_quantity`: what each of the two loses."""
        self.add(
            Prevented(
                at,
                taker.market,
                maker.price,
                taker.id,
                taker.account.name,
                taker_quantity,
                maker.id,
                maker.account.name,
                maker_quantity,
            )
        )

    def kept(self) -> list[Prevented]:
        """The oldest first."""
        return list(self._kept)

    def of(self, account: str, id: str) -> list[Prevented]:
        """Those of an account; of one order if its id is given."""
        return [
            each
            for each in self._kept
            if (each.taker_account == account and id in ("", each.taker))
            or (each.maker_account == account and id in ("", each.maker))
        ]
