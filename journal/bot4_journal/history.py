"""Where does the whole story come from? From the archive as far as it goes, from the stream after that.

The stream is trimmed behind the archive, and the archive is a little behind the stream: together they have everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from bot4_common import streams
from bot4_common.log import Log, Record
from bot4_journal import archive

Hear = Callable[[Record], object]


async def tell(log: Log, directory: Path | None, after: int, through: int, hear: Hear) -> None:
    """Gives `hear` every frame of the journal after sequence `after` up to and including `through`."""
    if directory is not None:
        for record in archive.records(directory, after):
            if record.sequence > through:
                return
            hear(record)
            after = record.sequence
    await tell_stream(log, streams.JOURNAL, after, through, hear)


async def tell_stream(log: Log, stream: str, after: int, through: int, hear: Hear) -> None:
    """The same of any one stream, as far back as the log has it."""
    if after >= through:
        return
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(record: Record) -> None:
        if finished.done():
            return
        hear(record)
        if record.sequence >= through:
            finished.set_result(None)

    def fail(error: Exception) -> None:
        if not finished.done():
            finished.set_exception(error)

    reading = await log.read(stream, after, take, fail)
    try:
        await finished
    finally:
        await reading.stop()
