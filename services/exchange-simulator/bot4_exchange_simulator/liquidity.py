"""What would the rest of the market quote and trade now? It follows a tape, one step of 200 ms after the other.

Step n is a function of tape, seed and n alone, so a venue that starts again goes on as if it had never stopped.
The tape is played forward, backward, forward …: the price returns the way it came, where a jump to the start would
be a gap, and a start moved to the end would let a trend run on without bound. Backward, buyers are sellers: the
sweep that drove the price up drives it down again.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import NamedTuple, Protocol

from bot4_common.messages.terms import Side, opposite
from bot4_exchange_simulator.draws import bits
from bot4_exchange_simulator.tape import Tape

STEP_NS = 200_000_000

# Quotes on each side: the touch and seven behind it, which reach 3 to 4 basis points deep.
LEVELS = 8

# Quotes behind the touch stand on multiples of 1/20,000 of the price (half a basis point), as people like round
# prices: so most of them stay where they are when the touch moves.
SPACINGS = 20_000

# A quote that has stayed so many steps (five seconds) gets another size.
STEPS_PER_SIZE = 25


class Aggressor(NamedTuple):
    """Someone takes: up to `quantity` lots at `limit` ticks or better. What does not trade is gone."""

    side: Side
    limit: int
    quantity: int


class Step(NamedTuple):
    """The quotes (ticks, lots) that stand as a step begins, best first; then those who take, in order."""

    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    flow: list[Aggressor]


class Others(Protocol):
    """The rest of the market, whatever moves it."""

    def step(self, number: int) -> Step:
        """What it does in step `number`, from 0 without end: the same each time that it is asked."""
        ...


class Liquidity:
    """A tape in ticks and lots: its prices go to the nearest tick, its sizes to whole lots, at least one."""

    def __init__(self, tape: Tape, tick: Decimal, lot: Decimal, seed: int) -> None:
        self._seed = seed
        self._offsets = [printed.offset_ns for printed in tape.prints]
        self._sides = [printed.taker_side for printed in tape.prints]
        self._prices = [max(1, int((printed.price / tick).to_integral_value())) for printed in tape.prints]
        self._lots = [max(1, int(printed.quantity // lot)) for printed in tape.prints]
        self._lots_mean = sum(self._lots) // len(self._lots)
        self._spacing = max(1, self._prices[0] // SPACINGS)
        self._windows = self._offsets[-1] // STEP_NS + 1

    def step(self, number: int) -> Step:
        """What the market does in step `number`, from 0 without end."""
        window, forward = window_of(number, self._windows)
        first = bisect_left(self._offsets, window * STEP_NS)
        end = bisect_left(self._offsets, (window + 1) * STEP_NS)
        if forward:
            played, last = range(first, end), max(0, first - 1)
        else:
            played, last = range(end - 1, first - 1, -1), min(end, len(self._offsets) - 1)
        bid, ask = self._touch(last)
        return Step(
            bids=self._quotes("buy", bid, number),
            asks=self._quotes("sell", ask, number),
            flow=self._flow(played, forward, bid, ask),
        )

    def _touch(self, last: int) -> tuple[int, int]:
        """Bid and ask, one tick apart: the last print before the step took one of the two."""
        price = self._prices[last]
        return (price - 1, price) if self._sides[last] == "buy" else (price, price + 1)

    def _quotes(self, side: Side, touch: int, number: int) -> list[tuple[int, int]]:
        return [
            (price, self._size(side, price, price == touch, number)) for price in ladder(side, touch, self._spacing)
        ]

    def _size(self, side: Side, price: int, at_touch: bool, number: int) -> int:
        """8 to 32 mean prints at the touch, twice that behind it. Not all prices change size in the same step."""
        drawn = bits(self._seed, 2 * price + (side == "buy"), (number + price) // STEPS_PER_SIZE)
        size = 8 * self._lots_mean + drawn % (24 * self._lots_mean + 1)
        return size if at_touch else 2 * size

    def _flow(self, played: range, forward: bool, bid: int, ask: int) -> list[Aggressor]:
        """The prints as those who caused them: prints of one side at one instant were one order.

        Each reaches as far as it traded, and at least to the touch: what traded on the tape is to trade here.
        """
        flow: list[Aggressor] = []
        instant = -1
        for index in played:
            side = self._sides[index] if forward else opposite(self._sides[index])
            price, quantity = self._prices[index], self._lots[index]
            limit = max(price, ask) if side == "buy" else min(price, bid)
            if flow and flow[-1].side == side and self._offsets[index] == instant:
                so_far = flow.pop()
                limit = max(limit, so_far.limit) if side == "buy" else min(limit, so_far.limit)
                quantity += so_far.quantity
            flow.append(Aggressor(side, limit, quantity))
            instant = self._offsets[index]
        return flow


def window_of(number: int, windows: int) -> tuple[int, bool]:
    """Which window of what was recorded step `number` plays, and whether forward: forward, backward, forward …"""
    window = number % (2 * windows)
    forward = window < windows
    return (window if forward else 2 * windows - 1 - window), forward


def ladder(side: Side, touch: int, spacing: int) -> list[int]:
    """The prices of the quotes of one side in ticks, best first: the touch, and multiples of `spacing` behind it."""
    if side == "buy":
        behind = (touch - 1) // spacing * spacing
        prices = [touch, *range(behind, behind - (LEVELS - 1) * spacing, -spacing)]
        return [price for price in prices if price > 0]
    behind = (touch // spacing + 1) * spacing
    return [touch, *range(behind, behind + (LEVELS - 1) * spacing, spacing)]


class Elsewhere:
    """The same market on another venue: moves with the first, is `factor` times as deep and `offset` ticks dearer."""

    def __init__(self, others: Others, factor: Decimal, offset: int) -> None:
        self._others = others
        self._factor = factor
        self._offset = offset

    def step(self, number: int) -> Step:
        step = self._others.step(number)
        return Step(
            bids=self._moved(step.bids),
            asks=self._moved(step.asks),
            flow=[
                Aggressor(taker.side, max(1, taker.limit + self._offset), self._scaled(taker.quantity))
                for taker in step.flow
            ],
        )

    def _moved(self, quotes: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """What a lower price would bring below the first tick is not quoted."""
        return [(price + self._offset, self._scaled(lots)) for price, lots in quotes if price + self._offset > 0]

    def _scaled(self, lots: int) -> int:
        return max(1, int(self._factor * lots))
