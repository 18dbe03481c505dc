"""Who calls the gateway? Two accounts, an operator and a stranger, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from bot4_common.errors import REFUSALS
from bot4_common.telemetry import Tracing
from bot4_gateway.desk import Desk
from bot4_gateway.http import create_app
from bot4_gateway.keys import Keys
from services.gateway.tests.street import ANN, BOB, BTC, Street, buy, cost, filled, passing, simulated

# The order that `buy("a")` is, as a caller writes it.
BODY: dict[str, Any] = {
    "client_order_id": "a",
    "symbol": BTC,
    "side": "buy",
    "type": "limit",
    "quantity": "0.5",
    "price": "100",
    "stop_loss": "90",
    "strategy": "trend",
}

TRACING = Tracing("test", 1.0, None)

OLGA = "olga"
# The second key, and the one that overrides the gate; their hash is as strong as it gets in a millisecond.
KEY = "open sesame"
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SEALED = _HASHER.hash(KEY)


async def at_once(hash: str, key: str) -> bool:
    """Simulated time has no threads."""
    try:
        return _HASHER.verify(hash, key)
    except VerifyMismatchError:
        return False


class Web:
    """The callers, and the gateway between them and the street."""

    def __init__(self, street: Street, desk: Desk) -> None:
        self.street = street
        self.desk = desk
        keys = Keys({"ann's key": ANN, "bob's key": BOB}, {"olga's key": OLGA}, SEALED, SEALED, street.clock, at_once)
        app = create_app(desk, keys, TRACING)
        self.ann = _client(app, "ann's key")
        self.bob = _client(app, "bob's key")
        self.olga = _client(app, "olga's key")
        self.stranger = _client(app, "nobody's key")

    async def place(self, **fields: Any) -> httpx.Response:
        """Placed and journaled."""
        return await self.ann.post("/v1/orders?ack=journaled", json={**BODY, **fields})

    async def bought(self) -> str:
        """An order that is filled, with its cost."""
        order_id: str = (await self.place()).json()["order_id"]
        await self.street.opens(order_id, buy("a"))
        fill = filled(order_id, "0.5", "101.50")
        await self.street.execution.says(fill)
        await self.street.costs.says(cost(fill, fee="0.05075", spread="0.5", drift="0.25"))
        await passing(0.1)
        return order_id


def _client(app: Any, key: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://bot4", headers={"X-API-Key": key})


def over_http(story: Callable[[Web], Coroutine[Any, Any, None]]) -> None:
    async def told(street: Street) -> None:
        await story(Web(street, await street.desk()))

    simulated(told)


def check_error(response: httpx.Response, code: str, **details: str) -> None:
    body = response.json()
    known = REFUSALS[code]
    assert (body["code"], response.status_code, body["retryable"]) == (code, known.status, known.retryable), body
    assert body["message"] == known.meaning
    assert body["details"].items() >= details.items()
    assert response.headers["content-type"] == "application/json"
