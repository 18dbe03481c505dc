"""Sampling: which prices do the statistics of returns look at, and when?

Time is cut into periods of one interval, counted from the epoch, and each has at most one sample: of the first moment
in it at which there was a market. So samples keep their distance across restarts, and a period without one is a gap,
not a longer return.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, localcontext

import msgspec

from bot4_common.messages.cost import PricesSampled, SymbolStatistics
from bot4_common.messages.market import Quote
from bot4_common.messages.terms import Event
from bot4_common.money import EXACT, POSITIVE, amount, is_positive, plain

INTERVAL_NS = 3_600 * 1_000_000_000
# Twelve weeks of hours. With twenty symbols they are a megabyte in a snapshot, and fitted in seconds.
SAMPLES_MAX = 2_000
SYMBOLS_MAX = 20
# Of fewer returns, parameters and correlations say more about chance than about the market.
RETURNS_MIN = 100
# Older than this, a quote is a memory of the market. A living venue says them five times a second.
QUOTE_AGE_MAX_NS = 5 * 1_000_000_000

COLUMNS = ["time_ns", "symbol", "price"]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What statistics are computed from: samples, the oldest first."""

    samples: list[PricesSampled]
    interval_ns: int


class StatisticsFitted(Event, frozen=True, kw_only=True, tag="statistics_fitted"):
    """What was computed from a window that ends at `sampled_to`; `symbols` is empty where nothing could be."""

    sampled_to: int
    interval_ns: int
    symbols: list[SymbolStatistics]
    correlations: list[list[Decimal]]


def period(at: int, interval_ns: int) -> int:
    """The number of the period that a time (ns) lies in."""
    return at // interval_ns


def mids(quotes: Mapping[tuple[str, str], Quote], venue: str, at: int) -> dict[str, Decimal]:
    """The mids of a venue's symbols, by symbol: of the first SYMBOLS_MAX that have a fresh quote."""
    fresh = [
        quote
        for quote in quotes.values()
        if quote.venue == venue and at - quote.at <= QUOTE_AGE_MAX_NS and _sound(quote)
    ]
    with localcontext(EXACT):
        return {
            quote.symbol: (quote.bid + quote.ask) / 2
            for quote in sorted(fresh, key=lambda quote: quote.symbol)[:SYMBOLS_MAX]
        }


def _sound(quote: Quote) -> bool:
    return is_positive(quote.bid) and is_positive(quote.ask)


def history(lines: Iterable[str], interval_ns: int, until: int) -> tuple[PricesSampled, ...]:
    """The samples that a CSV file holds: columns time_ns, symbol, price, in the order of time.

    Of each period, each symbol's first price; of all periods, the last SAMPLES_MAX. Raises `ValueError` naming the line
    that is not a price, or lies after `until` (ns).
    """
    kept: deque[PricesSampled] = deque(maxlen=SAMPLES_MAX)
    last = -1
    for number, at, symbol, price in _rows(lines):
        if not last <= at <= until:
            raise ValueError(f"line {number}: {at} is {'before the line above' if at < last else 'in the future'}")
        last = at
        if not kept or period(at, interval_ns) > period(kept[-1].at, interval_ns):
            kept.append(PricesSampled(prices={}, at=at))
        kept[-1].prices.setdefault(symbol, price)
        if len(kept[-1].prices) > SYMBOLS_MAX:
            raise ValueError(f"line {number}: {symbol} is one more than the {SYMBOLS_MAX} symbols that can be used")
    return tuple(kept)


def written(samples: Iterable[PricesSampled]) -> Iterator[str]:
    """The lines of a CSV file from which `history` reads these samples."""
    yield ",".join(COLUMNS) + "\n"
    for sample in samples:
        for symbol, price in sample.prices.items():
            yield f"{sample.at},{symbol},{plain(price)}\n"


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, int, str, Decimal]]:
    rows = csv.reader(lines)
    if next(rows, None) != COLUMNS:
        raise ValueError(f"line 1: the columns are not {','.join(COLUMNS)}")
    for row in rows:
        if len(row) != len(COLUMNS):
            raise ValueError(f"line {rows.line_num}: {len(row)} columns, not {len(COLUMNS)}")
        time, symbol, text = row
        if not (time.isascii() and time.isdigit()):
            raise ValueError(f"line {rows.line_num}: {time!r} is not a time in ns")
        try:
            price = amount(text)
        except ValueError as error:
            raise ValueError(f"line {rows.line_num}: {error}") from error
        if not is_positive(price):
            raise ValueError(f"line {rows.line_num}: {text} is not {POSITIVE}")
        yield rows.line_num, int(time), symbol, price
