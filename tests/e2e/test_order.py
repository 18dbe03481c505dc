"""One order, end to end, as a caller sees it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bot4_cli.running import Run
from tests.e2e.conftest import bot4

_numbers = count(1)
Body = dict[str, Any]


def market(http: httpx.Client) -> tuple[Decimal, Decimal]:
    estimate = http.get("/v1/costs/estimate", params={"symbol": "BTC-USDT", "side": "buy", "quantity": "1"}).json()
    return Decimal(estimate["bid"]), Decimal(estimate["ask"])


def order(**fields: Any) -> Body:
    return {
        "client_order_id": f"e2e-{time.time_ns()}-{next(_numbers)}",
        "symbol": "BTC-USDT",
        "side": "buy",
        "type": "market",
        "quantity": "0.01",
        "time_in_force": "ioc",
        "strategy": "e2e",
        "stop_loss": "30000",
        **fields,
    }


def resting(http: httpx.Client, **fields: Any) -> Body:
    bid, _ = market(http)
    price = (bid * Decimal("0.98")).quantize(Decimal("0.01"))
    return order(type="limit", price=str(price), time_in_force="gtc", **fields)


def eventually(look: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)


def test_an_order_becomes_a_fill_a_position_and_a_result(http: httpx.Client, run: Run) -> None:
    bought = http.post("/v1/orders", json=order(strategy="whole")).json()
    assert bought["status"] == "filled"
    price = Decimal(bought["average_price"])

    fills = [fill for fill in http.get("/v1/fills").json()["fills"] if fill["order_id"] == bought["order_id"]]
    assert sum(Decimal(fill["quantity"]) for fill in fills) == Decimal("0.01")
    held = [p for p in http.get("/v1/positions").json()["positions"] if p["symbol"] == "BTC-USDT"]
    assert any(s["strategy"] == "whole" and s["quantity"] == "0.01" for s in held[0]["strategies"])

    sold = http.post("/v1/orders", json=order(side="sell", strategy="whole", reduce_only=True)).json()
    earned = (Decimal(sold["average_price"]) - price) * Decimal("0.01")
    fees = (Decimal(sold["average_price"]) + price) * Decimal("0.01") * Decimal("0.0004")

    def result() -> Body:
        return next(r for r in http.get("/v1/pnl").json()["pnl"] if r["strategy"] == "whole")

    eventually(lambda: Decimal(result()["costs"]) == fees)
    assert Decimal(result()["realized"]) == earned
    assert Decimal(result()["net"]) == earned - fees
    eventually(lambda: asyncio.run(projected(run, bought["order_id"])) == ("filled", Decimal("0.01")))


async def projected(run: Run, order_id: str) -> tuple[str, Decimal] | None:
    """The order's row in PostgreSQL."""
    engine = create_async_engine(run.database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT status, filled FROM orders WHERE order_id = :id"), {"id": order_id}
        )
        row = found.one_or_none()
    await engine.dispose()
    return None if row is None else (row[0], row[1])


def test_a_repeat_is_answered_and_not_done_again(http: httpx.Client) -> None:
    body = order()
    first = http.post("/v1/orders", json=body).json()
    again = http.post("/v1/orders", json=body).json()
    assert again == {**first, "duplicate": True}


def test_another_body_under_the_same_key_is_refused(http: httpx.Client) -> None:
    body = order()
    first = http.post("/v1/orders", json=body).json()
    refused = http.post("/v1/orders", json={**body, "quantity": "0.02"})
    assert refused.status_code == 409
    assert refused.json()["code"] == "KEY_REUSED"
    assert http.get(f"/v1/orders/{first['order_id']}").json()["quantity"] == "0.01"


def test_bad_input_is_refused_and_not_journaled(http: httpx.Client, data: Path) -> None:
    before = journaled(data)
    bodies: list[Body] = [
        order(quantity=0.01),
        order(quantity="NaN"),
        order(quantity="0.000001"),
        order(symbol="DOGE-USDT"),
        order(surprise="1"),
    ]
    for body in bodies:
        refused = http.post("/v1/orders", json=body)
        assert refused.status_code in (400, 422), body
        assert set(refused.json()) == {"code", "message", "details", "retryable"}
    assert http.post("/v1/orders", content=b"{").status_code == 400
    assert http.post("/v1/orders", json=order(), headers={"X-API-Key": "wrong"}).status_code == 401
    assert journaled(data) == before


def journaled(data: Path) -> list[str]:
    """The client order ids of all orders in the journal."""
    lines = bot4("journal", "tail", "--data", data, "--from", "1", "--json").stdout.splitlines()
    frames = [json.loads(line) for line in lines]
    assert frames
    return sorted(
        event["order"]["client_order_id"]
        for frame in frames
        for decision in frame["frame"]["decisions"]
        for event in decision["events"]
        if event["event"] == "place_order"
    )


def test_an_opening_order_without_a_stop_is_refused_by_risk(http: httpx.Client) -> None:
    refused = http.post("/v1/orders", json=order(stop_loss=None))
    assert refused.status_code == 422
    assert refused.json()["code"] == "STOP_LOSS_REQUIRED"


def test_a_resting_order_is_cancelled_once(http: httpx.Client) -> None:
    placed = http.post("/v1/orders", json=resting(http)).json()
    assert placed["status"] == "open"
    assert http.delete(f"/v1/orders/{placed['order_id']}").json()["status"] == "cancelled"
    again = http.delete(f"/v1/orders/{placed['order_id']}")
    assert (again.status_code, again.json()["code"]) == (409, "ORDER_IS_OVER")


def test_the_kill_switch_cancels_and_refuses_until_it_is_reset(http: httpx.Client, run: Run) -> None:
    placed = http.post("/v1/orders", json=resting(http)).json()
    assert http.post("/v1/kill-switch", json={"reason": "drill"}).status_code == 200
    try:
        eventually(lambda: http.get(f"/v1/orders/{placed['order_id']}").json()["status"] == "cancelled")
        refused = http.post("/v1/orders", json=order())
        assert (refused.status_code, refused.json()["code"]) == (403, "KILL_SWITCH")
    finally:
        without = http.request("DELETE", "/v1/kill-switch", json={"reason": "over"})
        assert (without.status_code, without.json()["code"]) == (403, "SECOND_KEY")
        second = {"X-Second-Key": run.second_key}
        assert http.request("DELETE", "/v1/kill-switch", json={"reason": "over"}, headers=second).status_code == 200
    assert http.post("/v1/orders", json=order()).json()["status"] == "filled"


def test_a_stop_closes_the_position_it_protects(http: httpx.Client) -> None:
    def bought() -> Body | None:
        """A small stop distance, so that the market soon reaches it; at times it has already."""
        bid, _ = market(http)
        stop = (bid - Decimal(1)).quantize(Decimal("0.01"))
        placed: Body = http.post("/v1/orders", json=order(strategy="stopped", stop_loss=str(stop))).json()
        return placed if placed.get("status") == "filled" else None

    entry = next(placed for placed in (bought() for _ in range(20)) if placed is not None)
    exit_id = f"{entry['order_id']}-stop1"
    eventually(lambda: http.get(f"/v1/orders/{exit_id}").status_code == 200, seconds=60)
    eventually(lambda: http.get(f"/v1/orders/{exit_id}").json()["status"] == "filled")
    held = http.get("/v1/positions").json()["positions"]
    assert not any(s["strategy"] == "stopped" for p in held for s in p["strategies"] if s["quantity"] != "0")


def test_every_service_shows_health_and_figures(run: Run, http: httpx.Client) -> None:
    assert http.get("/readyz").status_code == 200
    assert "bot4_orders_accepted" in http.get("/metrics").text
    assert "/v1/orders" in http.get("/openapi.json").json()["paths"]
    for process in run.services:
        if process.probe.startswith("http") and process.name not in ("nats", "gateway"):
            assert "bot4_" in httpx.get(process.probe.replace("/readyz", "/metrics")).text


def test_the_journal_verifies_replays_and_rebuilds(data: Path, http: httpx.Client) -> None:
    http.post("/v1/orders", json=order())
    assert bot4("journal", "verify", "--data", data).returncode == 0
    replayed = [bot4("journal", "replay", "--to", "5", "--data", data, "--json").stdout for _ in range(2)]
    assert replayed[0] == replayed[1] != ""
    assert bot4("projections", "rebuild", "--data", data).returncode == 0
    audited = bot4("audit", "--data", data)
    assert audited.returncode == 0, audited.stdout
