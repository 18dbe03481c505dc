"""What did the market quote and trade then? It plays a recording of trades and depth, one step after the other.

The recorded book is what others show. A step begins with the levels as they were recorded at its beginning, and then
come those who took in its 200 ms. The venue carries the difference from what it has resting into its book (`requote`),
and matches. What that means to a client's order:

* It stands behind what is displayed at its price when it comes, and before whatever comes later.
* Who takes at its price takes from those ahead of it first, then from it: a recorded trade fills the clients it would
  have reached, in price-time priority. A taker goes as far as it traded and no farther.
* When a level shrinks by more than was traded, all who stand there leave in proportion, those ahead of the order too.
* Others do not answer to the clients. What a client takes from a level is there again in the next step, behind
  everybody; what a client fills of a recorded taker is taken off what the others show, as the record says it was.

Within a step prices move as well. A level that a taker of the step went through, to a worse price, had been emptied by
then: of it no more is shown than was traded at it in the step, so that the rest of the taker does not end there but
meets the queue that it met. So orders that left in the step are gone up to 200 ms before they went.

Past its end a recording is played backward, then forward …, as a tape is: see `liquidity`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from decimal import Decimal

from bot4_common.messages.terms import Side, opposite
from bot4_exchange_simulator.liquidity import STEP_NS, Aggressor, Step, window_of
from bot4_exchange_simulator.recording import Ladder, Levels, Recording
from bot4_exchange_simulator.tape import Print, TapeError

# What is shown of a side: so far behind the best price and at most so many levels. An order farther away has no
# queue ahead of it until the market comes near.
REACH_BPS = 5
LEVELS_MAX = 500

# The book is kept as it stood at each step: some hours.
WINDOWS_MAX = 100_000

Quotes = list[tuple[int, int]]


class Replay:
    """A recording in ticks and lots. Prices between two ticks go away from the other side; parts of lots are not shown.

    Raises `TapeError` for a recording without depth or without trades.
    """

    def __init__(self, recording: Recording, tick: Decimal, lot: Decimal) -> None:
        if not recording.changes or not recording.prints:
            raise TapeError("a replay needs a recording of both depth and trades")
        end_ns = max(recording.changes[-1].offset_ns, recording.prints[-1].offset_ns)
        self._windows = min(WINDOWS_MAX, end_ns // STEP_NS + 1)
        self._offsets = [each.offset_ns for each in recording.prints]
        self._taken = [_taken(each, tick, lot) for each in recording.prints]
        # What is shown as each window begins, and at the end of the last: whole levels are shared between windows.
        self._shown = _shown(recording, self._windows + 1, tick, lot)

    def step(self, number: int) -> Step:
        """What the market does in step `number`, from 0 without end."""
        window, forward = window_of(number, self._windows)
        first = bisect_left(self._offsets, window * STEP_NS)
        end = bisect_left(self._offsets, (window + 1) * STEP_NS)
        if forward:
            bids, asks = self._shown[window]
            taken = self._taken[first:end]
            flow = self._orders(range(first, end))
            return Step(_emptied(bids, "buy", taken), _emptied(asks, "sell", taken), flow)
        bids, asks = self._shown[window + 1]
        flow = self._orders(range(end - 1, first - 1, -1))
        return Step(list(bids), list(asks), [_backward(each, bids, asks) for each in flow])

    def _orders(self, played: range) -> list[Aggressor]:
        """Prints of one side at one instant were one order, which went as far as its last print."""
        orders: list[Aggressor] = []
        instant = -1
        for index in played:
            side, limit, quantity = self._taken[index]
            if orders and orders[-1].side == side and self._offsets[index] == instant:
                so_far = orders.pop()
                limit = max(limit, so_far.limit) if side == "buy" else min(limit, so_far.limit)
                quantity += so_far.quantity
            orders.append(Aggressor(side, limit, quantity))
            instant = self._offsets[index]
        return orders


def _shown(recording: Recording, windows: int, tick: Decimal, lot: Decimal) -> list[tuple[Quotes, Quotes]]:
    bids, asks = _Side("buy", tick, lot), _Side("sell", tick, lot)
    shown: list[tuple[Quotes, Quotes]] = []
    applied = 0
    for window in range(windows):
        while applied < len(recording.changes) and recording.changes[applied].offset_ns <= window * STEP_NS:
            change = recording.changes[applied]
            bids.change(change.bids)
            asks.change(change.asks)
            applied += 1
        shown.append((bids.shown(), asks.shown()))
    return shown


class _Side:
    """One side of the recorded book in ticks and lots. Levels between two ticks stand together."""

    def __init__(self, side: Side, tick: Decimal, lot: Decimal) -> None:
        self._side: Side = side
        self._tick = tick
        self._lot = lot
        self._ladder = Ladder[int](1 if side == "buy" else -1)
        self._recorded: dict[int, dict[Decimal, Decimal]] = {}

    def change(self, levels: Levels) -> None:
        for price, quantity in levels:
            ticks = _ticks(price, self._tick, self._side)
            recorded = self._recorded.setdefault(ticks, {})
            if quantity:
                recorded[price] = quantity
            else:
                recorded.pop(price, None)
            if not recorded:
                del self._recorded[ticks]
            if ticks > 0:
                self._ladder.set(ticks, int(sum(recorded.values()) // self._lot))

    def shown(self) -> Quotes:
        best = self._ladder.best()
        return [] if best is None else self._ladder.within(best[0] * REACH_BPS / 10_000, LEVELS_MAX)


def _ticks(price: Decimal, tick: Decimal, side: Side) -> int:
    """Of a quote of this side: a bid is rounded down, an ask up, so that neither comes nearer to the other."""
    down = int(price // tick)
    return down if side == "buy" or down * tick == price else down + 1


def _taken(printed: Print, tick: Decimal, lot: Decimal) -> Aggressor:
    side = printed.taker_side
    return Aggressor(side, max(1, _ticks(printed.price, tick, opposite(side))), max(1, int(printed.quantity // lot)))


def _emptied(quotes: Quotes, side: Side, taken: list[Aggressor]) -> Quotes:
    """The quotes of a side without what had gone when takers of the step went through to worse prices."""
    traded: Counter[int] = Counter()
    for each in taken:
        if each.side != side:
            traded[each.limit] += each.quantity
    if not traded or not quotes:
        return list(quotes)
    # A side is not left without quotes by who went beyond all that is shown.
    last = quotes[-1][0]
    worst = max(min(traded), last) if side == "buy" else min(max(traded), last)
    through = [(price, lots if _is_at(price, worst, side) else min(lots, traded[price])) for price, lots in quotes]
    return [(price, lots) for price, lots in through if lots]


def _is_at(price: int, worst: int, side: Side) -> bool:
    """Whether a quote is at the worst price that was traded, or behind it."""
    return price <= worst if side == "buy" else price >= worst


def _backward(order: Aggressor, bids: Quotes, asks: Quotes) -> Aggressor:
    """Backward, buyers are sellers, and reach at least the touch."""
    side, facing = opposite(order.side), bids if order.side == "buy" else asks
    if not facing:
        return Aggressor(side, order.limit, order.quantity)
    touch = facing[0][0]
    limit = min(order.limit, touch) if side == "sell" else max(order.limit, touch)
    return Aggressor(side, limit, order.quantity)
