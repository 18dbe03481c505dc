"""What does the journal of a running system prove? It is read from its first frame on, and followed by bot4_journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bot4_cli.running import Run
from bot4_cli.trouble import FOUND, Trouble
from bot4_common import instruments, streams
from bot4_common.decider import Decider
from bot4_common.log import ChainBroken, Record
from bot4_common.messages.frame import AnyEvent, decode_frame
from bot4_common.messages.gateway import PlaceOrder
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import EventId
from bot4_common.nats_log import NatsLog, connect
from bot4_common.orders import order_id_of
from bot4_common.process import load_venues
from bot4_common.service import Service
from bot4_common.settings import Settings
from bot4_cost_model.__main__ import service as cost_model
from bot4_cost_model.fees import schedules
from bot4_exchange_simulator.__main__ import service as exchange_simulator
from bot4_exchange_simulator.__main__ import venue
from bot4_exchange_simulator.faults import PERFECT, Line
from bot4_execution.__main__ import service as execution
from bot4_journal import archive
from bot4_journal.audit import Auditor, Finding, Report
from bot4_journal.continuity import Break, Continuity
from bot4_journal.history import tell, tell_stream
from bot4_journal.postgres_store import PostgresStore
from bot4_journal.rebuild import rebuild
from bot4_journal.replay import Replay, Replayed, check_snapshots
from bot4_risk.__main__ import service as risk

# The server answers at once; one that was killed is back within a second.
CONNECT_S = 10.0

# How long the journal may take to merge what was written before it was asked. It takes milliseconds; after the server
# was killed, a second.
MERGE_S = 10.0
MERGE_LOOK_S = 0.05

# Told how many frames of how many are done.
Progress = Callable[[int, int], None]


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[NatsLog]:
    """The log of the system. Raises `Trouble` when it does not answer, or turns out not to be trusted."""
    try:
        log = await asyncio.wait_for(connect(run.nats_url, "bot4"), CONNECT_S)
    except TimeoutError:
        raise Trouble("NATS does not answer: see `bot4 status`") from None
    try:
        yield log
    except ChainBroken as broken:
        raise Trouble(f"the journal is not whole: {broken}", FOUND) from None
    finally:
        await log.close()


def services(run: Run) -> list[Service[Any]]:
    """What can be replayed. Folding depends on the rules of a venue, and on none of the settings a service decides by:
    seed, faults, what moves the market."""
    listed = instruments.shipped()
    venues = load_venues(Settings(venues=",".join(run.venues), venue_definitions=run.venue_definitions))
    simulated = [venue(definition, listed, {}, Line(1, PERFECT)) for definition in venues.values()]
    return [
        risk(LimitsDocument(), listed, venues),
        execution(list(venues)),
        *map(exchange_simulator, simulated),
        cost_model(schedules(venues.values())),
    ]


def deciders(run: Run) -> dict[str, Decider[Any]]:
    return {service.name: service.decider for service in services(run)}


class Audited(msgspec.Struct, kw_only=True):
    """The auditor's report, and all findings: its own, and those that keep it from reading on, or are in snapshots."""

    report: Report
    findings: list[Finding]


async def audit(run: Run, progress: Progress) -> Audited:
    """Journal and venues, and whether the newest snapshots are what the frames fold to."""
    broken: list[Finding] = []
    async with opened(run) as log:
        ends = {stream: await log.end(stream) for stream in streams.JOURNALED}
        auditor = Auditor(run.venues)
        truths = [streams.venue(venue) for venue in run.venues]
        total = sum(ends.values()) + sum([await log.end(stream) for stream in truths])
        hear = _Counted(auditor.hear, progress, total)
        snapshots = {service.name: (service.stream, service.decider) for service in services(run)}
        try:
            await _tell_merged(log, Path(run.archive_dir), ends, hear)
            # Looked up only now: a venue may be ahead of what was heard of it, never behind.
            for stream in truths:
                await tell_stream(log, stream, 0, await log.end(stream), hear)
            broken += await check_snapshots(log, snapshots)
        except ChainBroken as error:
            broken.append(Finding("sequence", streams.JOURNAL, str(error)))
        report = auditor.report(ends)
        return Audited(report=report, findings=[*report.findings, *broken])


async def _tell_merged(log: NatsLog, directory: Path, ends: Mapping[str, int], hear: _Counted) -> None:
    """Tells the journal until it has merged every stream to its end, or for as long as that may take."""
    until = time.monotonic() + MERGE_S
    after = 0
    while True:
        through = await log.end(streams.JOURNAL)
        await tell(log, directory, after, through, hear)
        after = through
        if all(hear.origins.get(stream, 0) >= end for stream, end in ends.items()) or time.monotonic() > until:
            return
        await asyncio.sleep(MERGE_LOOK_S)


class _Counted:
    """Hands on what it hears, notes how far each stream came, and says how much is done."""

    def __init__(self, hear: Callable[[Record], object], progress: Progress, total: int) -> None:
        self._hear = hear
        self._progress = progress
        self._total = total
        self._done = 0
        self.origins: dict[str, int] = {}

    def __call__(self, record: Record) -> None:
        self._hear(record)
        stream, sequence = record.origin
        self.origins[stream] = sequence
        self._done += 1
        # Drawing costs more than hearing.
        if self._done % 100 == 0 or self._done == self._total:
            self._progress(self._done, self._total)


class Verified(msgspec.Struct, kw_only=True):
    """Segments of the archive and the last sequence in them; frames of the live journal; what is wrong with either."""

    segments: int
    archived: int
    frames: int
    findings: list[Finding]


async def verify(run: Run, progress: Progress) -> Verified:
    kept = await asyncio.to_thread(archive.verify, Path(run.archive_dir), progress)
    findings = list(kept.findings)
    async with opened(run) as log:
        end = await log.end(streams.JOURNAL)
        followed = Continuity()

        def follow(record: Record) -> None:
            try:
                followed.take(record)
            except Break as broken:
                findings.append(Finding(broken.rule, f"{streams.JOURNAL} {record.sequence}", str(broken)))
                followed.trust(record)

        try:
            await tell_stream(log, streams.JOURNAL, 0, end, _Counted(follow, progress, end))
        except ChainBroken as broken:
            findings.append(Finding("sequence", streams.JOURNAL, str(broken)))
    return Verified(segments=kept.segments, archived=kept.last, frames=followed.sequence, findings=findings)


async def replay(run: Run, to: int | None, progress: Progress) -> tuple[int, list[Replayed]]:
    """The state of every service when frame `to` of the journal (its last one if none) was decided."""
    async with opened(run) as log:
        end = await log.end(streams.JOURNAL)
        if to is None:
            to = end
        if not 0 < to <= end:
            raise Trouble(f"the journal has the sequences 1 to {end}")
        replayed = Replay(deciders(run))
        decided_at = 0

        def hear(record: Record) -> None:
            nonlocal decided_at
            replayed.hear(record)
            decided_at = decode_frame(record.data).decided_at

        await tell(log, Path(run.archive_dir), 0, to, _Counted(hear, progress, to))
        # Venues are not merged into the journal: what they had decided by then belongs to the same moment.
        for stream in map(streams.venue, run.venues):
            await tell_stream(
                log,
                stream,
                0,
                await log.end(stream),
                lambda record: replayed.hear(record) if decode_frame(record.data).decided_at <= decided_at else None,
            )
        return to, replayed.states()


async def rebuild_projections(run: Run, progress: Progress) -> None:
    store = PostgresStore(run.database_url)
    try:
        async with opened(run) as log:
            await rebuild(store, log, progress)
    except TimeoutError as error:
        raise Trouble(str(error)) from None
    finally:
        await store.close()


async def end(run: Run) -> int:
    """The sequence of the newest frame of the journal."""
    async with opened(run) as log:
        return await log.end(streams.JOURNAL)


async def life(run: Run, order_id: str, after: int) -> list[tuple[int, EventId, AnyEvent]]:
    """Every event of an order after sequence `after` of the journal, with when it was decided (ns)."""
    found: list[tuple[int, EventId, AnyEvent]] = []

    def hear(record: Record) -> None:
        frame = decode_frame(record.data)
        for id, event, _ in frame.events(*record.origin):
            submitted = order_id_of(id.sequence, id.index) if isinstance(event, PlaceOrder) else None
            if order_id in (submitted, getattr(event, "order_id", None)):
                found.append((frame.decided_at, id, event))

    async with opened(run) as log:
        await tell(log, Path(run.archive_dir), after, await log.end(streams.JOURNAL), hear)
    return found


async def told(run: Run, after: int | None, follow: bool, show: Callable[[Record], None]) -> None:
    """Every frame of the journal after sequence `after` (the last ten if none), and those to come if `follow`."""
    async with opened(run) as log:
        end = await log.end(streams.JOURNAL)
        if after is None:
            after = max(0, end - 10)
        await tell(log, Path(run.archive_dir), after, end, show)
        if not follow:
            return
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def fail(error: Exception) -> None:
            if not broken.done():
                broken.set_exception(error)

        reading = await log.read(streams.JOURNAL, max(after, end), show, fail)
        try:
            await broken
        finally:
            await reading.stop()
