"""The cost model as a process: it records what fills cost, and answers what an order would cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from bot4_common import streams
from bot4_common.log import Log
from bot4_common.messages.estimate import SUBJECT, decode_request
from bot4_common.messages.frame import encode
from bot4_common.messages.market import Quote, decode_spoken
from bot4_common.process import load_venues, run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_cost_model.domain import CostModel, State, estimate
from bot4_cost_model.fees import FeeSchedule, schedules


def service(fees: Mapping[str, FeeSchedule]) -> Service[State]:
    """`fees` by venue."""
    return Service(
        name=f"cost-{streams.SHARD}",
        stream=streams.COST,
        decider=CostModel(fees),
        hears=(streams.EXECUTION,),
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


def main() -> None:
    settings = read(Settings, os.environ)
    fees = schedules(load_venues(settings).values())
    run(service(fees), settings, beside=partial(answer_estimates, fees))


if __name__ == "__main__":
    main()
