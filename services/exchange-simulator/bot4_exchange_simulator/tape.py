"""What did the market do? A tape of trade prints: recorded, or walked at random from a seed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import NamedTuple

import msgspec

from bot4_common.messages.terms import Side
from bot4_common.money import amount

# A tape is held in memory at some 300 bytes a print: 150 MB at most, hours of a busy market. What a file holds
# beyond that is not read: whoever plays a tape turns round at its end in any case.
PRINTS_MAX = 500_000

NS_PER_SECOND = 1_000_000_000


class TapeError(ValueError):
    """A tape cannot be read. Says which file, on which line where there is one, and what is wrong."""


class Print(msgspec.Struct, frozen=True, gc=False):
    """One trade: nanoseconds since the tape began, price in quote per base, quantity in base."""

    offset_ns: int
    price: Decimal
    quantity: Decimal
    taker_side: Side


class Tape(msgspec.Struct, frozen=True):
    """At least one print, in order of time."""

    prints: tuple[Print, ...]


def synthetic(
    seed: int,
    symbol: str,
    price: Decimal,
    tick: Decimal,
    lot: Decimal,
    duration_ns: int = 600 * NS_PER_SECOND,
    trades_per_second: int = 5,
    notional_mean: Decimal = Decimal(2_000),
) -> Tape:
    """A market with a spread of one tick, Poisson arrivals, and sizes exponential around `notional_mean`.

    Each taker pushes the price their way, evenly between nothing and 1/12,000 of it. At five trades a second that
    is a volatility of one basis point in a second, as on BTC-USDT. Prices and sizes are whole ticks and lots.
    """
    random = Random(f"{seed} {symbol}")
    bid = max(1, int(price // tick))
    lots_mean = max(1, int(notional_mean / price // lot))
    prints: list[Print] = []
    offset_ns = 0
    while offset_ns <= duration_ns and len(prints) < PRINTS_MAX:
        push = random.randint(0, max(1, bid // 12_000))
        quantity = lot * max(1, int(random.expovariate(1) * lots_mean))
        if random.getrandbits(1):
            bid += push
            prints.append(Print(offset_ns, tick * (bid + 1), quantity, "buy"))
        else:
            bid = max(1, bid - push)
            prints.append(Print(offset_ns, tick * bid, quantity, "sell"))
        offset_ns += int(random.expovariate(trades_per_second) * NS_PER_SECOND)
    return Tape(tuple(prints))


def parse(lines: Iterable[str], source: str) -> Tape:
    """The trades in a Binance `trades` or `aggTrades` CSV, with or without header, or in a raw WebSocket capture.

    A capture has `<local ns> <json>` on each line; what counts are its `<symbol>@trade` messages. Trades stand in
    the order of the exchange's clock. Raises `TapeError`, which names `source`, the line and what is wrong.
    """
    trades: list[Trade] = []
    for number, line in enumerate(lines, 1):
        try:
            trade = captured(line) if " {" in line else tabulated(line, number)
            if trade is None:
                continue
            if trades and trade.symbol != trades[0].symbol:
                raise ValueError(f"a trade of {trade.symbol} on a tape of {trades[0].symbol}")
        except (ValueError, msgspec.DecodeError) as wrong:
            raise TapeError(f"{source}, line {number}: {wrong}") from None
        trades.append(trade)
        if len(trades) == PRINTS_MAX:
            break
    if not trades:
        raise TapeError(f"{source}: there is no trade in it")
    trades.sort(key=lambda trade: trade.time_ns)
    start_ns = trades[0].time_ns
    return Tape(tuple(Print(t.time_ns - start_ns, t.price, t.quantity, t.taker_side) for t in trades))


class Trade(NamedTuple):
    """One trade by the exchange's clock; `symbol` is empty where the file does not say it."""

    time_ns: int
    price: Decimal
    quantity: Decimal
    taker_side: Side
    symbol: str


class _TradeMessage(msgspec.Struct):
    s: str  # symbol
    p: str  # price
    q: str  # quantity
    T: int  # time of the trade
    m: bool  # whether the buyer is the maker


class _Captured(msgspec.Struct):
    data: _TradeMessage


_captured_decoder = msgspec.json.Decoder(_Captured)


def captured(line: str) -> Trade | None:
    """The trade in a line of a capture; none where it says something else."""
    stamp, _, message = line.partition(" ")
    if not stamp.isdigit():
        raise ValueError(f"{stamp[:20]!r} is not a receive time in nanoseconds")
    if '@trade"' not in message:
        return None
    data = _captured_decoder.decode(message).data
    return _trade(data.T, data.p, data.q, data.m, data.s)


def tabulated(line: str, number: int) -> Trade | None:
    """The trade in line `number` of a public file, from 1; none in a header or an empty line.

    `trades` are id, price, quantity, quote quantity, time, flag …; `aggTrades` id, price, quantity, first id,
    last id, time, flag …. Spot files have one more column than futures files, but after the flag."""
    fields = line.rstrip().split(",")
    if fields == [""] or (number == 1 and not fields[0].isdigit()):
        return None
    for flag in (5, 6):
        buyer_is_maker = _FLAGS.get(fields[flag].lower()) if flag < len(fields) else None
        if buyer_is_maker is not None:
            return _trade(int(fields[flag - 1]), fields[1], fields[2], buyer_is_maker, "")
    raise ValueError("the columns are neither those of `trades` nor those of `aggTrades`")


_FLAGS = {"true": True, "false": False}


def _trade(time: int, price: str, quantity: str, buyer_is_maker: bool, symbol: str) -> Trade:
    taker_side: Side = "sell" if buyer_is_maker else "buy"
    return Trade(nanoseconds(time), _positive(price), _positive(quantity), taker_side, symbol)


def nanoseconds(time: int) -> int:
    """Binance stamps milliseconds, and microseconds in spot files from 2025 on: today's have 13 and 16 digits."""
    if time <= 0:
        raise ValueError(f"{time} is not a time")
    return time * 1_000_000 if time < 10**14 else time * 1_000


def _positive(text: str) -> Decimal:
    value = amount(text)
    if value <= 0:
        raise ValueError(f"{text} is not above zero")
    return value
