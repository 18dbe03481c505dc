from __future__ import annotations

import asyncio
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from bot4_cli import demo
from bot4_cli.running import Run
from bot4_cli.trouble import MENDABLE, Trouble
from bot4_gateway.answers import OrdersAnswer, PositionsAnswer
from libs.bot4_cli.tests.street import Asked, Reply, refusal, serving

ESTIMATE = {
    "symbol": "ETH-USDT", "side": "buy", "quantity": "1", "type": "market", "venue": "sim", "bid": "3000",
    "ask": "3000.01", "spread": "0", "fee": "0", "total": "0", "total_bps": "0",
}  # fmt: skip


def gated(asked: Asked) -> Reply:
    """A market, nothing open, nothing held, and no order let through."""
    if asked.method == "POST":
        return 403, refusal("GATE_NO_SIGNAL", False, order_id="1-0")
    if asked.target.startswith("/v1/costs"):
        return 200, msgspec.json.encode(ESTIMATE)
    return 200, msgspec.json.encode(OrdersAnswer([]) if "/orders" in asked.target else PositionsAnswer([]))


def test_strategies_whose_orders_are_all_refused_end_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TRADING_S", 0.3)

    async def story() -> None:
        async with serving(gated) as (url, _):
            run = Run(
                supervisor=1, url=url, api_keys={demo.ACCOUNT: "key"}, nats_url="", database_url="", archive_dir="",
                services=[],
            )  # fmt: skip
            await demo.trade(run, Console(file=StringIO()))

    with pytest.raises(
        Trouble, match=r"orders of the strategies are refused: GATE_NO_SIGNAL \d+ \(The gate is on"
    ) as ended:
        asyncio.run(story())
    assert str(ended.value).endswith(": see `bot4 gate`")
    assert ended.value.exit_code == MENDABLE
