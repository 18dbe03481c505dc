"""Which words does the engine know? The types, states and reasons of orders, as small numbers."""

from __future__ import annotations

from typing import Final

# Types of order. All from STOP_MARKET on wait for a trigger first.
LIMIT: Final = 0
MARKET: Final = 1
STOP_MARKET: Final = 2
STOP_LIMIT: Final = 3
TAKE_PROFIT_MARKET: Final = 4
TAKE_PROFIT_LIMIT: Final = 5
TRAILING_STOP: Final = 6

ORDER_TYPES: Final = {
    "limit": LIMIT,
    "market": MARKET,
    "stop_market": STOP_MARKET,
    "stop_limit": STOP_LIMIT,
    "take_profit_market": TAKE_PROFIT_MARKET,
    "take_profit_limit": TAKE_PROFIT_LIMIT,
    "trailing_stop": TRAILING_STOP,
}

# Times in force.
GTC: Final = 0
IOC: Final = 1
FOK: Final = 2
GTD: Final = 3

TIMES_IN_FORCE: Final = {"gtc": GTC, "ioc": IOC, "fok": FOK, "gtd": GTD}

# Modes of self-trade prevention.
NONE: Final = 0
CANCEL_NEW: Final = 1
CANCEL_RESTING: Final = 2
CANCEL_BOTH: Final = 3
DECREMENT_BOTH: Final = 4

PREVENTIONS: Final = {
    "none": NONE,
    "cancel_new": CANCEL_NEW,
    "cancel_resting": CANCEL_RESTING,
    "cancel_both": CANCEL_BOTH,
    "decrement_both": DECREMENT_BOTH,
}

# Where an order is. WAITING: a child whose parent is not filled. QUEUED: accepted, armed, elected or amended in this
# step; its turn comes when what is before it is done. WATCHING: a stop that waits for its trigger.
QUEUED: Final = 0
TAKING: Final = 1
RESTING: Final = 2
WATCHING: Final = 3
WAITING: Final = 4
GONE: Final = 5

# Kinds of list.
OCO: Final = 0
OTO: Final = 1
OTOCO: Final = 2
OUO: Final = 3

LIST_KINDS: Final = {"oco": OCO, "oto": OTO, "otoco": OTOCO, "ouo": OUO}
LIST_LENGTHS: Final = (2, 2, 3, 2)

# Trading statuses.
OPEN: Final = 0
CANCEL_ONLY: Final = 1
HALTED: Final = 2

STATUSES: Final = {"open": OPEN, "cancel_only": CANCEL_ONLY, "halted": HALTED}

# What stops watch.
TRADES: Final = 0
MARKS: Final = 1
QUOTES: Final = 2

# Parts in one: distances are told in basis points.
BPS: Final = 10_000

# More lots than any order has: the size of a market order that is limited by an amount of quote currency instead.
BOUNDLESS: Final = 10**18
