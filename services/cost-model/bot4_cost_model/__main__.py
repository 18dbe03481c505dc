"""The cost model as a process: it records what fills cost, and answers what an order would cost."""

from __future__ import annotations

import os

from bot4_common import streams
from bot4_common.log import Log
from bot4_common.messages.estimate import SUBJECT, decode_request
from bot4_common.messages.frame import encode
from bot4_common.messages.market import Quote, decode_spoken
from bot4_common.process import run
from bot4_common.service import Service
from bot4_common.settings import Settings, read
from bot4_cost_model.domain import CostModel, State, estimate
from bot4_cost_model.fees import SCHEDULES


def service() -> Service[State]:
    return Service(
        name=f"cost-{streams.SHARD}",
        stream=streams.COST,
        decider=CostModel(SCHEDULES),
        hears=(streams.EXECUTION,),
    )


async def answer_estimates(log: Log) -> None:
    quotes: dict[str, Quote] = {}

    def hear(data: bytes) -> None:
        for spoken in decode_spoken(data):
            if isinstance(spoken.event, Quote):
                quotes[spoken.event.symbol] = spoken.event

    async def respond(data: bytes) -> bytes:
        return encode(estimate(decode_request(data), quotes, SCHEDULES))

    await log.listen(streams.quotes(streams.VENUE), hear)
    await log.answer(SUBJECT, respond)


def main() -> None:
    run(service(), read(Settings, os.environ), beside=answer_estimates)


if __name__ == "__main__":
    main()
