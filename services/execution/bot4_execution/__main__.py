"""The execution service as a process."""

from __future__ import annotations

import os

from bot4_common import streams
from bot4_common.process import run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_execution.domain import Execution, State


def service() -> Service[State]:
    """The session at the venue has the name of the stream it answers."""
    return Service(
        name=f"execution-{streams.SHARD}",
        stream=streams.EXECUTION,
        decider=Execution(streams.VENUE, streams.EXECUTION),
        hears=(streams.RISK,),
        listens=(streams.feed(streams.VENUE, streams.EXECUTION),),
    )


def main() -> None:
    run(service(), read(Settings, os.environ))


if __name__ == "__main__":
    main()
