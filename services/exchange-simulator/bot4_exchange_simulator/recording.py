"""What did a whole market do, its trades and its depth? Recorded, as read from one file or several.

Depth comes as changes of levels, from an empty book on: the first change is all that stood. What cannot be known is
not guessed: depth that misses an update is an error, and trades from before the book was known are left out.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

import msgspec

from bot4_common.money import ZERO, amount
from bot4_exchange_simulator import tape
from bot4_exchange_simulator.tape import Print, TapeError, Trade

# Changes of levels held in memory, at some 300 bytes each: hours of a busy market's depth. What files hold beyond
# that is not read.
CHANGES_MAX = 1_000_000

# Lines between two calls that say how far reading has come.
LINES_PER_PROGRESS = 20_000

# Told the name of a file and how many of its lines have been read.
Progress = Callable[[str, int], None]

Levels = tuple[tuple[Decimal, Decimal], ...]


def ignored(name: str, lines: int) -> None:
    """Progress that nobody waits for."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """Levels (price, quantity) that have another quantity from now on; 0: nobody stands there any more."""

    offset_ns: int
    bids: Levels
    asks: Levels


class Reach(msgspec.Struct, frozen=True, gc=False):
    """What stood within so many basis points of the mid on one side, in quote."""

    bps: Decimal
    notional: Decimal


class Recording(msgspec.Struct, frozen=True):
    """All in order of time, in nanoseconds since it began; any of the three may be empty, but not all."""

    prints: tuple[Print, ...]
    changes: tuple[Change, ...] = ()
    reaches: tuple[Reach, ...] = ()


Number = TypeVar("Number", int, float)


class Ladder(Generic[Number]):
    """One side of a recorded book. `sign` is 1 for bids and -1 for asks: the best price times it is the greatest."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[Number] = []
        self._levels: dict[Number, tuple[Number, Number]] = {}

    def set(self, price: Number, quantity: Number) -> None:
        key = price * self._sign
        if quantity:
            if key not in self._levels:
                insort(self._keys, key)
            self._levels[key] = (price, quantity)
        elif key in self._levels:
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def best(self) -> tuple[Number, Number] | None:
        """Price and quantity; none where nobody stands."""
        return self._levels[self._keys[-1]] if self._keys else None

    def within(self, distance: float, levels: int) -> list[tuple[Number, Number]]:
        """The levels at most `distance` behind the best, at most so many, best first."""
        if not self._keys:
            return []
        first = bisect_left(self._keys, self._keys[-1] - distance)
        keys = self._keys[max(first, len(self._keys) - levels) :]
        return [self._levels[key] for key in reversed(keys)]


class _DepthMessage(msgspec.Struct):
    """A diff: what changed with the updates `U` to `u`."""

    s: str
    E: int  # time of the event
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _CapturedDepth(msgspec.Struct):
    data: _DepthMessage


class _Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_depth_decoder = msgspec.json.Decoder(_CapturedDepth)
_snapshot_decoder = msgspec.json.Decoder(_Snapshot)


class _Timed(NamedTuple):
    time_ns: int
    bids: Levels
    asks: Levels


def parse(files: Iterable[tuple[str, Iterable[str]]], progress: Progress = ignored) -> Recording:
    """What files (name, lines) hold together: raw WebSocket captures, and the CSV files of Binance's public archive
    called `trades`, `aggTrades`, `bookTicker` and `bookDepth`. Captures that continue each other come in order.

    Raises `TapeError`, which names the file, the line and what is wrong.
    """
    reader = _Reader()
    for name, lines in files:
        number = 0
        for number, line in enumerate(lines, 1):
            try:
                reader.read(line, number)
            except (ValueError, msgspec.DecodeError) as wrong:
                raise TapeError(f"{name}, line {number}: {wrong}") from None
            if number % LINES_PER_PROGRESS == 0:
                progress(name, number)
            if reader.is_full:
                break
        progress(name, number)
    return reader.recording()


class _Reader:
    def __init__(self) -> None:
        self._trades: list[Trade] = []
        self._depth: list[_Timed] = []
        self._reaches: list[Reach] = []
        self._symbol: str | None = None
        self._held = 0
        # Of a capture: diffs that came before the snapshot, which may be older than they are; then the last update.
        self._early: list[_DepthMessage] = []
        self._snapshot: _Snapshot | None = None
        self._update = 0
        # Of a `bookTicker` file: the prices of the best bid and ask.
        self._touch: tuple[Decimal, Decimal] | None = None

    @property
    def is_full(self) -> bool:
        return self._held >= CHANGES_MAX or len(self._trades) >= tape.PRINTS_MAX

    def read(self, line: str, number: int) -> None:
        if " {" in line:
            self._capture(line)
            return
        fields = line.rstrip().split(",")
        if fields == [""] or (number == 1 and not fields[0][:1].isdigit()):
            return
        if len(fields) == 4:
            self._reach(fields)
        elif len(fields) == 7 and fields[5].isdigit() and fields[6].isdigit():
            self._best(fields)
        else:
            self._trade(tape.tabulated(line, number))

    def recording(self) -> Recording:
        depth = sorted(self._depth, key=lambda each: each.time_ns)
        trades = sorted(self._trades, key=lambda each: each.time_ns)
        if not trades and not depth and not self._reaches:
            raise TapeError("there is neither a trade nor depth in what was read")
        start_ns = next((each[0].time_ns for each in (depth, trades) if each), 0)
        return Recording(
            prints=tuple(
                Print(each.time_ns - start_ns, each.price, each.quantity, each.taker_side)
                for each in trades
                if each.time_ns >= start_ns
            ),
            changes=tuple(Change(each.time_ns - start_ns, each.bids, each.asks) for each in depth),
            reaches=tuple(self._reaches),
        )

    def _trade(self, trade: Trade | None) -> None:
        if trade is not None:
            self._belongs(trade.symbol)
            self._trades.append(trade)

    def _belongs(self, symbol: str) -> None:
        if self._symbol is None:
            self._symbol = symbol
        elif symbol != self._symbol:
            raise ValueError(f"{symbol} in a recording of {self._symbol}")

    # Captures.

    def _capture(self, line: str) -> None:
        message = line.partition(" ")[2]
        if message.startswith('{"lastUpdateId"'):
            # A later snapshot says nothing that the diffs did not.
            if self._snapshot is None:
                self._snapshot = _snapshot_decoder.decode(message)
                self._update = self._snapshot.lastUpdateId
                for diff in self._early:
                    self._diff(diff)
        elif '@depth"' in message or "@depth@" in message:
            diff = _depth_decoder.decode(message).data
            self._belongs(diff.s)
            if self._snapshot is None:
                self._early.append(diff)
                self._held += len(diff.b) + len(diff.a)
            else:
                self._diff(diff)
        else:
            self._trade(tape.captured(line))

    def _diff(self, diff: _DepthMessage) -> None:
        if diff.u <= self._update:
            return
        if self._update + 1 < diff.U:
            raise ValueError(f"depth updates {self._update + 1} to {diff.U - 1} are missing")
        self._update = diff.u
        time_ns = tape.nanoseconds(diff.E)
        if not self._depth:
            assert self._snapshot is not None
            self._change(time_ns, _levels(self._snapshot.bids), _levels(self._snapshot.asks))
        self._change(time_ns, _levels(diff.b), _levels(diff.a))

    def _change(self, time_ns: int, bids: Levels, asks: Levels) -> None:
        self._depth.append(_Timed(time_ns, bids, asks))
        self._held += len(bids) + len(asks)

    # Public files.

    def _best(self, fields: list[str]) -> None:
        """update id, best bid, its quantity, best ask, its quantity, time of the transaction, time of the event."""
        bid, ask = amount(fields[1]), amount(fields[3])
        bids: Levels = ((bid, amount(fields[2])),)
        asks: Levels = ((ask, amount(fields[4])),)
        if self._touch is not None:
            bid_before, ask_before = self._touch
            bids = bids if bid == bid_before else ((bid_before, ZERO), *bids)
            asks = asks if ask == ask_before else ((ask_before, ZERO), *asks)
        self._touch = bid, ask
        self._change(tape.nanoseconds(int(fields[5])), bids, asks)

    def _reach(self, fields: list[str]) -> None:
        """time, how far from the mid in percent (bids below zero), quantity, notional: cumulative, every half minute.

        What counts is how much stands how far away; when, is looked at to know that the columns are these.
        """
        datetime.strptime(fields[0], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        self._reaches.append(Reach(abs(amount(fields[1])) * 100, amount(fields[3])))
        self._held += 1


def _levels(pairs: list[tuple[str, str]]) -> Levels:
    return tuple((amount(price), amount(quantity)) for price, quantity in pairs)
