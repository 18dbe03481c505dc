"""The gateway as a process: one replica, its desk and its HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator

import uvicorn
import uvloop

from bot4_common.log import ChainBroken, Fenced
from bot4_common.process import freeze, load_instruments, load_venues, open_log, stop_on_signal
from bot4_common.settings import Settings, read
from bot4_common.telemetry import Tracing, log_to_stderr, open_traces
from bot4_gateway.desk import CALLERS_MAX, Desk
from bot4_gateway.figures import Figures
from bot4_gateway.http import create_app
from bot4_gateway.keys import Keys, parse_keys
from bot4_gateway.views import FILLS_MAX, FINISHED_MAX

logger = logging.getLogger(__name__)

# When the process is told to stop, requests in flight get this long to be answered, which is longer than any of them
# waits, and what was taken as long again to be stored.
GRACE_S = 5
# Idle connections are kept for clients that call again; then they are closed.
KEEP_ALIVE_S = 30

# The supervisor starts the process again after these; the first must be looked into.
EXIT_CHAIN_BROKEN = 3
EXIT_FENCED = 4
EXIT_UNFINISHED = 5


class GatewaySettings(Settings, frozen=True, kw_only=True):
    http_port: int = 8080
    # `account:key,account:key`; an account may have several keys. There is no default: a key is a secret.
    api_keys: str = ""
    # `name:key,name:key` of those who act for the firm: limits, the gate, kill switches of any scope.
    operator_keys: str = ""
    # Argon2id hashes of the key that resets kill switches and of the one that passes the gate. Without the hash nothing
    # is reset, and nobody passes.
    second_key_hash: str = ""
    override_key_hash: str = ""
    # Which replica this is. No two processes may have the same number.
    replica: int = 0
    # How long a caller waits before it hears how things stand, and how long a client order id is remembered.
    timeout_s: float = 2.0
    idempotency_window_s: float = 60.0
    finished_orders: int = FINISHED_MAX
    fills: int = FILLS_MAX


def keys_of(settings: GatewaySettings) -> Keys:
    """Raises `ValueError` naming the setting that is wrong, without repeating what it says."""
    operators = parse_keys(settings.operator_keys, "BOT4_OPERATOR_KEYS") if settings.operator_keys else {}
    return Keys(parse_keys(settings.api_keys), operators, settings.second_key_hash, settings.override_key_hash)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are taken by this module, which has more to stop than the server."""
        yield


async def serve(settings: GatewaySettings) -> int:
    """Runs until a signal, or until it must not go on. Returns the exit code of the process."""
    name = f"gateway-{settings.replica}"
    keys = keys_of(settings)
    tracing = Tracing(name, settings.trace_ratio, open_traces(settings.trace_dir, name))
    log = await open_log(settings, name)
    desk = Desk(
        log,
        time.time_ns,
        name,
        load_instruments(settings),
        load_venues(settings),
        Figures(name),
        timeout_s=settings.timeout_s,
        window_ns=int(settings.idempotency_window_s * 1e9),
        finished_max=settings.finished_orders,
        fills_max=settings.fills,
    )
    server = Server(
        uvicorn.Config(
            create_app(desk, keys, tracing),
            host=settings.bind,
            port=settings.http_port,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=CALLERS_MAX + 1_024,
        )
    )

    def stop() -> None:
        server.should_exit = True

    stop_on_signal(stop)
    # Now, so that the collector stays away while everything is read, and again when it is.
    freeze()
    replica = asyncio.create_task(desk.run(freeze))
    replica.add_done_callback(lambda _: stop())
    try:
        await server.serve()
        desk.stop()
        async with asyncio.timeout(GRACE_S):
            await replica
    except TimeoutError:
        logger.critical("%s stops, the log does not answer: what was taken last may be stored or not", name)
        return EXIT_UNFINISHED
    except ChainBroken as broken:
        logger.critical("%s stops: %s", name, broken)
        return EXIT_CHAIN_BROKEN
    except Fenced as fenced:
        logger.critical("%s stops, another process has its name: %s", name, fenced)
        return EXIT_FENCED
    finally:
        await log.close()
        tracing.close()
    return 0


def main() -> None:
    settings = read(GatewaySettings, os.environ)
    log_to_stderr(f"gateway-{settings.replica}", settings.log_level)
    sys.exit(uvloop.run(serve(settings)))


if __name__ == "__main__":
    main()
