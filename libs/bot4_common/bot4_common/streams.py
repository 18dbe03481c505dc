"""Which streams are there, and who writes and reads them?"""

from __future__ import annotations

from collections.abc import Iterable

from bot4_common.messages.terms import FIRST_VENUE

GATEWAY = "GATEWAY"
JOURNAL = "JOURNAL"


def risk(shard: int) -> str:
    return f"RISK_{shard}"


def execution(shard: int) -> str:
    return f"EXECUTION_{shard}"


def venue(name: str, shard: int = 0) -> str:
    return f"VENUE_{name}_{shard}"


def cost(shard: int) -> str:
    return f"COST_{shard}"


# One shard; more is a matter of more processes, each with its own stream.
SHARD = 0
# The venue of a system that names none.
VENUE = FIRST_VENUE

RISK = risk(SHARD)
EXECUTION = execution(SHARD)
COST = cost(SHARD)

# What the journal merges: everything but the venues, whose streams are the outside world's own memory.
JOURNALED = (GATEWAY, RISK, EXECUTION, COST)


def written(venues: Iterable[str]) -> tuple[str, ...]:
    """All streams of a system with these venues."""
    return (*JOURNALED, *map(venue, venues))


def venue_of(stream: str) -> str | None:
    """The venue whose stream it is; none for a stream of ours."""
    kind, _, rest = stream.partition("_")
    return rest.rpartition("_")[0] if kind == "VENUE" else None


def quotes(venue: str) -> str:
    """The subject of a venue's market data."""
    return f"quote.{venue}"


def feed(venue: str, session: str) -> str:
    """The subject of what a venue tells one session."""
    return f"feed.{venue}.{session}"


def control(venue: str) -> str:
    """The subject on which a simulated venue is told what shall go wrong."""
    return f"control.{venue}"
