"""Has a strategy run away? It has when it asks for the same again and again, or trades without end.

A strategy that does more of one kind within the window than the limits allow is stopped by its kill switch: the order
that was one too many is refused already.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from bot4_common.messages.limits import GuardLimits
from bot4_common.messages.terms import Order, Side
from bot4_common.money import plain

# Kinds of orders that are remembered before those of which nothing is recent are forgotten.
KINDS_KEPT = 64


class Guard(msgspec.Struct):
    """One strategy of an account: when (ns) it asked for the same, and when it traded on the same side of a symbol.
    Only what counts is kept: the last window."""

    asked: dict[str, list[int]] = {}
    traded: dict[str, list[int]] = {}

    def duplicates(self, order: Order, now: int, limits: GuardLimits) -> int:
        """How often this was asked for within the window, this time included."""
        return 1 + _recent(self.asked.get(_same(order), []), now, limits)

    def executions(self, symbol: str, side: Side, now: int, limits: GuardLimits) -> int:
        return 1 + _recent(self.traded.get(f"{symbol}/{side}", []), now, limits)

    # Only `evolve` calls what follows.

    def note_order(self, order: Order, at: int, limits: GuardLimits) -> None:
        _note(self.asked, _same(order), at, limits)

    def note_fill(self, symbol: str, side: Side, at: int, limits: GuardLimits) -> None:
        _note(self.traded, f"{symbol}/{side}", at, limits)


def _same(order: Order) -> str:
    """What makes two orders the same to whoever looks on: all but their ids."""
    price = order.price or order.stop_price
    return "/".join(
        (
            order.symbol,
            order.side,
            order.type,
            plain(order.quantity),
            "" if price is None else plain(price),
            order.venue,
        )
    )


def _recent(times: list[int], now: int, limits: GuardLimits) -> int:
    return len(times) - bisect_right(times, now - limits.window_ns)


def _note(times: dict[str, list[int]], what: str, at: int, limits: GuardLimits) -> None:
    recent = times.pop(what, [])
    # A clock that was set back does not put the newest before others.
    at = max(at, recent[-1]) if recent else at
    since = at - limits.window_ns
    del recent[: bisect_right(recent, since)]
    recent.append(at)
    times[what] = recent
    if len(times) > KINDS_KEPT:
        # The one noted longest ago stands first.
        oldest = next(iter(times))
        if times[oldest][-1] <= since:
            del times[oldest]
