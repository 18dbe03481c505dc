"""Which streams are there, and who writes and reads them?"""

from __future__ import annotations

GATEWAY = "GATEWAY"
JOURNAL = "JOURNAL"


def risk(shard: int) -> str:
    return f"RISK_{shard}"


def execution(shard: int) -> str:
    return f"EXECUTION_{shard}"


def venue(name: str, shard: int) -> str:
    return f"VENUE_{name}_{shard}"


def cost(shard: int) -> str:
    return f"COST_{shard}"


# One shard and one venue; more of either is a matter of more processes, each with its own stream.
SHARD = 0
VENUE = "sim"

RISK = risk(SHARD)
EXECUTION = execution(SHARD)
VENUE_STREAM = venue(VENUE, SHARD)
COST = cost(SHARD)

# What the journal merges: everything but the venues, whose streams are the outside world's own memory.
JOURNALED = (GATEWAY, RISK, EXECUTION, COST)
WRITTEN = (*JOURNALED, VENUE_STREAM)


def quotes(venue: str) -> str:
    """The subject of a venue's market data."""
    return f"quote.{venue}"


def feed(venue: str, session: str) -> str:
    """The subject of what a venue tells one session."""
    return f"feed.{venue}.{session}"


def control(venue: str) -> str:
    """The subject on which a simulated venue is told what shall go wrong."""
    return f"control.{venue}"
