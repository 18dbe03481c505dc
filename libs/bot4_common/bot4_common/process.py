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

import uvloop

from bot4_common import instruments, streams
from bot4_common.decider import State
from bot4_common.instruments import Instrument
from bot4_common.log import ChainBroken
from bot4_common.nats_log import NatsLog, connect, define
from bot4_common.service import Runner, Service
from bot4_common.settings import Settings
from bot4_common.telemetry import Meters, Tracing, log_to_stderr, open_traces, serve_health

logger = logging.getLogger(__name__)


def load_instruments(settings: Settings) -> dict[str, Instrument]:
    if settings.instruments is None:
        return instruments.shipped()
    return instruments.parse(Path(settings.instruments).read_text(encoding="utf-8"))


async def open_log(settings: Settings, name: str) -> NatsLog:
    log = await connect(settings.nats_url, name)
    await define(log, list(streams.WRITTEN), streams.JOURNAL, list(streams.JOURNALED))
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
    log = await open_log(settings, service.name)
    runner = Runner(service, log, time.time_ns, meters, tracing, settings.standby)
    serve_health(settings.bind, settings.health_port, meters.registry, runner.status)
    stop_on_signal(runner.stop)
    if beside is not None:
        await beside(log)
    freeze()
    try:
        await runner.run()
    except ChainBroken as broken:
        logger.critical("%s stops: %s", service.name, broken)
        sys.exit(3)
    finally:
        await log.close()
        tracing.close()


def stop_on_signal(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
