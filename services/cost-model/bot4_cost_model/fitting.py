"""Fitting: how does the service get statistics without waiting for them? From a process that lives for one fit.

That process pays for the import of the statistics and gives its memory back, and the filters of warnings that the
libraries there set are its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from bot4_common.messages.frame import encode
from bot4_common.service import Work
from bot4_cost_model.domain import CostModel, State
from bot4_cost_model.sampling import StatisticsFitted, Window

logger = logging.getLogger(__name__)

# From a window to its statistics; none where the attempt failed.
Fit: TypeAlias = Callable[[Window], Awaitable[StatisticsFitted | None]]

# The fit shall not spread over the processors that orders are decided on.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Fitting:
    """The work of a service: to fit what its state wants fitted. What led to nothing is not tried again before there
    is a newer sample."""

    def __init__(self, decider: CostModel, fit: Fit) -> None:
        self._decider = decider
        self._fit = fit
        self._in_vain = 0

    def __call__(self, state: State) -> Work | None:
        if state.sampled_to <= self._in_vain:
            return None
        window = self._decider.wanted(state)
        return None if window is None else self._work(window)

    async def _work(self, window: Window) -> StatisticsFitted | None:
        fitted = await self._fit(window)
        if fitted is None or not fitted.symbols:
            self._in_vain = window.samples[-1].at
        return fitted


async def in_a_process(window: Window) -> StatisticsFitted | None:
    beginning = asyncio.ensure_future(_begin())
    try:
        # Cut off in the middle of it, a process would be begun that nobody knows of.
        process = await asyncio.shield(beginning)
        told, _ = await process.communicate(encode(window))
    except OSError as error:
        logger.warning("no statistics this time: no process for the fit: %s", error)
        return None
    except asyncio.CancelledError:
        await _end(await beginning)
        raise
    if process.returncode:
        logger.warning("no statistics this time: the fit ended with %s", process.returncode)
        return None
    return msgspec.json.decode(told, type=StatisticsFitted)


async def _begin() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot4_cost_model.statistics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **ONE_THREAD},
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
