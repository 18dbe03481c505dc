"""The journal service as a process."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from bot4_common.log import ChainBroken
from bot4_common.process import freeze, open_log, stop_on_signal
from bot4_common.settings import Settings, read
from bot4_common.telemetry import Meters, log_to_stderr, serve_health
from bot4_journal.postgres_store import PostgresStore
from bot4_journal.service import Journal

logger = logging.getLogger("bot4_journal")


class JournalSettings(Settings, frozen=True, kw_only=True):
    # As in postgresql://user@host:port/database, and the folder of the archive.
    database_url: str
    archive_dir: str
    # How far to step back behind the services of the order path (0 to 19, as in nice(1)).
    niceness: int = 10


async def run(settings: JournalSettings) -> None:
    meters = Meters("journal")
    journal: Journal | None = None

    def status() -> dict[str, Any]:
        return {"service": "journal", "ready": False} if journal is None else journal.status()

    serve_health(settings.bind, settings.health_port, meters.registry, status)
    log = await open_log(settings, "journal")
    store = PostgresStore(settings.database_url)

    def step_back() -> None:
        """Lets the order path go first, but only now: a start is not to be held up by what is busy beside it."""
        os.nice(settings.niceness)

    journal = Journal(log, store, Path(settings.archive_dir), time.time_ns, meters, step_back)
    stop_on_signal(journal.stop)
    freeze()
    try:
        await journal.run()
    finally:
        await store.close()
        await log.close()


def main() -> None:
    settings = read(JournalSettings, os.environ)
    log_to_stderr("journal", settings.log_level)
    try:
        uvloop.run(run(settings))
    except* ChainBroken as broken:
        for error in broken.exceptions:
            logger.critical("the journal stops: %s", error)
        sys.exit(3)


if __name__ == "__main__":
    main()
