"""The cost model as a process: it records what fills cost, says what an order would cost, and publishes statistics."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from bot4_common import streams
from bot4_common.log import Log
from bot4_common.messages.cost import PricesSampled
from bot4_common.messages.estimate import SUBJECT, decode_request
from bot4_common.messages.frame import encode
from bot4_common.messages.market import Quote, decode_spoken
from bot4_common.process import load_venues, run
from bot4_common.service import Service, no_work
from bot4_common.settings import Settings, read
from bot4_cost_model.domain import CostModel, State, estimate
from bot4_cost_model.fees import FeeSchedule, schedules
from bot4_cost_model.fitting import Fit, Fitting, in_a_process
from bot4_cost_model.sampling import INTERVAL_NS, history


class CostSettings(Settings, frozen=True, kw_only=True):
    # How far apart prices are sampled for the statistics of their returns, and a CSV file (time_ns,symbol,price; in the
    # order of time) of prices from before; none: the statistics begin with what is sampled.
    statistics_interval_s: Annotated[int, Meta(ge=1)] = INTERVAL_NS // 1_000_000_000
    statistics_history: str | None = None


def service(
    fees: Mapping[str, FeeSchedule],
    interval_ns: int = INTERVAL_NS,
    earlier: Sequence[PricesSampled] = (),
    fit: Fit | None = None,
) -> Service[State]:
    """`fees` by venue, the default one first. Without `fit` it samples prices, and publishes no statistics."""
    decider = CostModel(fees, interval_ns, earlier)
    return Service(
        name=f"cost-{streams.SHARD}",
        stream=streams.COST,
        decider=decider,
        hears=(streams.EXECUTION,),
        listens=(streams.quotes(next(iter(fees))),),
        work=no_work if fit is None else Fitting(decider, fit),
    )


async def answer_estimates(fees: Mapping[str, FeeSchedule], log: Log) -> None:
    quotes: dict[tuple[str, str], Quote] = {}

    def hear(data: bytes) -> None:
        for spoken in decode_spoken(data):
            if isinstance(spoken.event, Quote):
                quotes[spoken.event.venue, spoken.event.symbol] = spoken.event

    async def respond(data: bytes) -> bytes:
        return encode(estimate(decode_request(data), quotes, fees))

    for venue in fees:
        await log.listen(streams.quotes(venue), hear)
    await log.answer(SUBJECT, respond)


def load_history(settings: CostSettings, now: int) -> tuple[PricesSampled, ...]:
    """Raises `ValueError` naming the file and the line that cannot be used."""
    if settings.statistics_history is None:
        return ()
    with Path(settings.statistics_history).open(encoding="utf-8", newline="") as lines:
        try:
            return history(lines, settings.statistics_interval_s * 1_000_000_000, until=now)
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{settings.statistics_history}: {error}") from error


def main() -> None:
    settings = read(CostSettings, os.environ)
    fees = schedules(load_venues(settings).values())
    costs = service(
        fees,
        interval_ns=settings.statistics_interval_s * 1_000_000_000,
        earlier=load_history(settings, time.time_ns()),
        fit=in_a_process,
    )
    run(costs, settings, beside=partial(answer_estimates, fees))


if __name__ == "__main__":
    main()
