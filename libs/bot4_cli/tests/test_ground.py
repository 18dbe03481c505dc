from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot4_cli.drill import ACCOUNT
from bot4_cli.drills import ground
from bot4_cli.drills.ground import Ground
from bot4_cli.running import Run
from bot4_cli.trouble import Trouble
from libs.bot4_cli.tests.street import Asked, Reply, refusal, serving
from libs.bot4_cli.tests.test_demo import ESTIMATE

HELD = {
    "symbol": "BTC-USDT", "venue": "sim", "quantity": "1", "mark": None,
    "strategies": [
        {"strategy": "load", "quantity": "1", "average_price": "1", "realized": "0", "unrealized": None},
    ],
}  # fmt: skip
NOTHING_ENGAGED = {"account": ACCOUNT, "engaged": False, "reason": "", "since": 0, "switches": []}


def gated(asked: Asked) -> Reply:
    """Something is held, and nothing is let through that would close it."""
    answers: dict[str, Any] = {
        "/v1/kill-switch": NOTHING_ENGAGED,
        "/v1/positions": {"positions": [HELD]},
        "/v1/costs/estimate": ESTIMATE,
        "/v1/orders": {"orders": []},
    }
    if asked.method == "POST":
        return 403, refusal("GATE_NO_SIGNAL", False, order_id="1-0")
    return 200, msgspec.json.encode(answers[asked.target.partition("?")[0]])


def test_what_cannot_be_closed_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "TIDY_S", 0.5)
    no_log: Any = None

    async def story() -> None:
        async with serving(gated) as (url, _):
            run = Run(
                supervisor=1, url=url, api_keys={ACCOUNT: "key"}, nats_url="", database_url="", archive_dir="",
                services=[],
            )  # fmt: skip
            standing = Ground(Path(), run, no_log, lambda what: None)
            try:
                await standing.tidy()
            finally:
                await standing.wires.close()

    with pytest.raises(
        Trouble, match="1 of 1 orders of the drill that close what it holds are refused: GATE_NO_SIGNAL"
    ):
        asyncio.run(story())
