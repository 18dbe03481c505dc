"""The execution service as a process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bot4_common import streams
from bot4_common.messages.terms import FIRST_VENUE
from bot4_common.process import load_venues, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_execution.domain import Execution
from bot4_execution.state import State


def service(venues: Sequence[str] = (FIRST_VENUE,)) -> Service[State]:
    """The session at each venue has the name of the stream it answers."""
    return Service(
        name=f"execution-{streams.SHARD}",
        stream=streams.EXECUTION,
        decider=Execution(venues, streams.EXECUTION),
        hears=(streams.RISK,),
        listens=tuple(streams.feed(venue, streams.EXECUTION) for venue in venues),
    )


def main() -> None:
    settings = read(Settings, os.environ)
    run(service(list(load_venues(settings))), settings)


if __name__ == "__main__":
    main()
