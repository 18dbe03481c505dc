"""Which orders is every risk engine asked about? Recorded once with a seed, the same for all of them.

There is one account with some strategies. Half of the symbols are held, orders rest in all of them, and none of what is
asked for breaks a rule: a refusal would be quicker. Only the standard library is needed to read a recording.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import NamedTuple

STRATEGIES = 3
# The market of each symbol, in ticks of a cent, and how far around it orders are.
MID = 100_000
AROUND = 2_000
# Quantities in ten-thousandths.
LOTS = (1, 1_000)


class Order(NamedTuple):
    """Price in ticks, quantity in lots."""

    symbol: int
    strategy: int
    buy: bool
    quantity: int
    price: int


class Recording(NamedTuple):
    """`held` was filled at its price, `resting` is open."""

    symbols: int
    held: list[Order]
    resting: list[Order]
    asked: list[Order]


def record(seed: int, symbols: int, resting: int, asked: int) -> Recording:
    rng = Random(seed)

    def order(number: int, among: int) -> Order:
        price = MID + rng.randint(-AROUND, AROUND)
        return Order(number % among, rng.randrange(STRATEGIES), rng.random() < 0.5, rng.randint(*LOTS), price)

    return Recording(
        symbols,
        [order(number, symbols) for number in range(0, symbols, 2)],
        [order(number, symbols) for number in range(resting)],
        [order(rng.randrange(symbols), symbols) for _ in range(asked)],
    )


def write(recording: Recording, path: Path) -> None:
    path.write_text(json.dumps(recording), encoding="utf-8")


def read(path: Path) -> Recording:
    symbols, *lists = json.loads(path.read_text(encoding="utf-8"))
    held, resting, asked = ([Order(*fields) for fields in each] for each in lists)
    return Recording(symbols, held, resting, asked)
