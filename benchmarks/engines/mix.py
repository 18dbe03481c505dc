"""What is every engine asked? One recorded mix of messages, the same for all of them.

Whoever sends them knows his orders: what is cancelled or amended rests at that moment in a book that keeps the rules.
Only the standard library is needed to read a recording: each engine runs in an environment of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

# Kinds of message. LIMIT rests, at first; MARKET, IOC and FOK take; POST_ONLY rests.
LIMIT: Final = 0
CANCEL: Final = 1
AMEND: Final = 2
MARKET: Final = 3
IOC: Final = 4
FOK: Final = 5
POST_ONLY: Final = 6

KINDS: Final = ("limit", "cancel", "amend", "market", "ioc", "fok", "post_only")
# How many of a hundred messages are of each kind.
SHARES: Final = (45, 35, 10, 4, 4, 1, 1)


class Message(NamedTuple):
    """One message. Prices in ticks, quantities in lots.

    `order` is the number of the order that it places, cancels or amends. Of an amend, `quantity` is the new total,
    `change` by how much that is more, and `price` the new price; 0 says that it stays. `bid` and `ask` are the touch
    before it, 0 where a side is empty.
    """

    kind: int
    order: int
    symbol: int
    buy: bool
    quantity: int
    change: int
    price: int
    bid: int
    ask: int


class Recording(NamedTuple):
    """The first `opening` messages fill the books and are not measured."""

    symbols: int
    opening: int
    messages: list[Message]


def write(recording: Recording, path: Path) -> None:
    path.write_text(json.dumps(recording), encoding="utf-8")


def read(path: Path) -> Recording:
    symbols, opening, messages = json.loads(path.read_text(encoding="utf-8"))
    return Recording(symbols, opening, [Message(*fields) for fields in messages])
