"""How are the projections made anew? They are forgotten, and the running journal service projects the story again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot4_common import streams
from bot4_common.log import Log
from bot4_journal.store import Store

POLL_S = 0.2
# The service looks for a moved cursor twice a second, and a batch takes less: this long without progress means that
# nobody projects.
STALLED_S = 15.0


async def rebuild(store: Store, log: Log, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Empties the projections and waits until they are back where the journal was; `progress` is told how far.

    Raises `TimeoutError` when they do not come back: they will as soon as the journal service runs.
    """
    await store.prepare()
    total = await log.end(streams.JOURNAL)
    await store.reset()
    loop = asyncio.get_running_loop()
    done, moved_at = 0, loop.time()
    while done < total:
        sequence = (await store.cursor()).sequence
        if sequence != done:
            done, moved_at = sequence, loop.time()
            progress(done, total)
        elif loop.time() - moved_at > STALLED_S:
            raise TimeoutError(f"the projections stand at {done} of {total}: is the journal service running?")
        else:
            await asyncio.sleep(POLL_S)
