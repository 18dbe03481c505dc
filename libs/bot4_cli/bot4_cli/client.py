"""How does one command speak to the gateway? Over REST, as any caller would."""

from __future__ import annotations

from typing import TypeVar

import httpx
import msgspec

from bot4_cli.trouble import FOUND, Trouble
from bot4_common.messages.terms import Order
from bot4_gateway.answers import (
    ErrorAnswer,
    FillAnswer,
    FillsAnswer,
    OrderAnswer,
    OrdersAnswer,
    ResultAnswer,
    ResultsAnswer,
)
from bot4_gateway.control_answers import GateAnswer, KillSwitchAnswer, LimitsAnswer
from bot4_gateway.control_requests import GateRequest, KillSwitchRequest, ResetRequest

# Beyond the two seconds after which the gateway says how things stand.
TIMEOUT_S = 5.0

A = TypeVar("A", bound=msgspec.Struct)


class Client:
    """One account's, or an operator's. Every method raises `Trouble` when it is refused or nobody answers."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": api_key}, timeout=TIMEOUT_S)

    def place(self, order: Order, ack: str) -> OrderAnswer:
        return self._call("POST", "/v1/orders", OrderAnswer, {"ack": ack}, msgspec.json.encode(order))

    def cancel(self, order_id: str) -> OrderAnswer:
        return self._call("DELETE", f"/v1/orders/{order_id}", OrderAnswer)

    def orders(self, limit: int, live_only: bool = False) -> list[OrderAnswer]:
        """The newest first."""
        asked = {"status": "open" if live_only else "all", "limit": str(limit)}
        return self._call("GET", "/v1/orders", OrdersAnswer, asked).orders

    def fills(self, limit: int) -> list[FillAnswer]:
        return self._call("GET", "/v1/fills", FillsAnswer, {"limit": str(limit)}).fills

    def pnl(self) -> list[ResultAnswer]:
        return self._call("GET", "/v1/pnl", ResultsAnswer).pnl

    def kill(self, wanted: KillSwitchRequest) -> KillSwitchAnswer:
        return self._call("POST", "/v1/kill-switch", KillSwitchAnswer, body=msgspec.json.encode(wanted))

    def unkill(self, wanted: ResetRequest, second_key: str) -> KillSwitchAnswer:
        body, headers = msgspec.json.encode(wanted), {"X-Second-Key": second_key}
        return self._call("DELETE", "/v1/kill-switch", KillSwitchAnswer, body=body, headers=headers)

    def limits(self) -> LimitsAnswer:
        return self._call("GET", "/v1/limits", LimitsAnswer)

    def set_limits(self, toml: str, reason: str) -> LimitsAnswer:
        headers = {"Content-Type": "application/toml"}
        return self._call("PUT", "/v1/limits", LimitsAnswer, {"reason": reason}, toml.encode(), headers)

    def gate(self) -> GateAnswer:
        return self._call("GET", "/v1/gate", GateAnswer)

    def set_gate(self, wanted: GateRequest) -> GateAnswer:
        return self._call("PUT", "/v1/gate", GateAnswer, body=msgspec.json.encode(wanted))

    def _call(
        self,
        method: str,
        path: str,
        kind: type[A],
        asked: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> A:
        try:
            response = self._http.request(method, path, params=asked, content=body, headers=headers)
        except httpx.TransportError as error:
            raise Trouble(f"the gateway at {self._url} does not answer: {error}") from None
        if response.is_success:
            return msgspec.json.decode(response.content, type=kind)
        refused = msgspec.json.decode(response.content, type=ErrorAnswer)
        raise Trouble(said(refused), FOUND)


def said(refused: ErrorAnswer) -> str:
    """`PRICE_COLLAR: The price is too far from the market. (price 1, mid 60000, limit_bps 500)`"""
    numbers = ", ".join(f"{name} {value}" for name, value in refused.details.items())
    return f"{refused.code}: {refused.message}" + (f" ({numbers})" if numbers else "")
