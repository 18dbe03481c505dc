"""How does a service become a process? Connect, define the streams, run until a signal, leave nothing half done."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bot4_common import instruments, streams, venues
from bot4_common.decider import State
from bot4_common.instruments import Instrument
from bot4_common.log import ChainBroken
from bot4_common.nats_log import NatsLog, connect, define
from bot4_common.service import Runner, Service
from bot4_common.settings import Settings
from bot4_common.telemetry import Meters, Tracing, log_to_stderr, open_traces, serve_health
from bot4_common.venues import VenueDefinition

logger = logging.getLogger(__name__)

# A stop waits so long for what is being stored, longer than an append may go unanswered. A log that is away must not
# keep a process from ending.
STOP_S = 3.0


def load_instruments(settings: Settings) -> dict[str, Instrument]:
    if settings.instruments is None:
        return instruments.shipped()
    return instruments.parse(Path(settings.instruments).read_text(encoding="utf-8"))


def load_venues(settings: Settings) -> dict[str, VenueDefinition]:
    """By name, the default venue first. Raises `ValueError` for one that is not known."""
    known = venues.shipped()
    if settings.venue_definitions is not None:
        known |= venues.parse(Path(settings.venue_definitions).read_text(encoding="utf-8"))
    return venues.load(venues.names(settings.venues), known)


async def open_log(settings: Settings, name: str) -> NatsLog:
    log = await connect(settings.nats_url, name)
    await define(log, list(streams.written(venues.names(settings.venues))), streams.JOURNAL, list(streams.JOURNALED))
    return log


def freeze() -> None:
    """What start-up made stays: the collector need not look at it again, and may look less often at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def run(
    service: Service[State],
    settings: Settings,
    beside: Callable[[NatsLog], Awaitable[object]] | None = None,
) -> None:
    """Runs a decider service as this process. `beside` may open what else it offers on the bus."""
    log_to_stderr(service.name, settings.log_level)
    uvloop.run(_run(service, settings, beside))


async def _run(
    service: Service[State], settings: Settings, beside: Callable[[NatsLog], Awaitable[object]] | None
) -> None:
    meters = Meters(service.name)
    tracing = Tracing(service.name, settings.trace_ratio, open_traces(settings.trace_dir, service.name))
    runner: Runner[State] | None = None

    def status() -> dict[str, Any]:
        if runner is None:
            return {"service": service.name, "ready": False, "role": "connecting"}
        shown = runner.status()
        return {**shown, "ready": shown["ready"] and log.is_connected}

    serve_health(settings.bind, settings.health_port, meters.registry, status)
    log = await open_log(settings, service.name)
    runner = Runner(service, log, time.time_ns, meters, tracing, settings.standby)
    running = asyncio.ensure_future(runner.run())
    stop_on_signal(lambda: _stop(runner, running))
    try:
        if beside is not None:
            await beside(log)
        freeze()
        await asyncio.wait({running})
        if running.cancelled():
            logger.warning("%s: the log did not answer, the rest is for the next start", service.name)
        else:
            running.result()
    except ChainBroken as broken:
        logger.critical("%s stops: %s", service.name, broken)
        sys.exit(3)
    finally:
        await log.close()
        tracing.close()


def _stop(runner: Runner[State], running: asyncio.Future[None]) -> None:
    runner.stop()
    asyncio.get_running_loop().call_later(STOP_S, running.cancel)


def stop_on_signal(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
