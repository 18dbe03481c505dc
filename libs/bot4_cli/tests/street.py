"""A server that says what it is told to, and counts what it is asked: the far end of a line that fails at will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from bot4_gateway.answers import ErrorAnswer, OrderAnswer


class Asked(NamedTuple):
    method: str
    target: str
    body: bytes
    # The port it came from: each connection has its own.
    port: int


# Status and body; nothing: the line is cut without an answer.
Reply = tuple[int, bytes] | None


@asynccontextmanager
async def serving(reply: Callable[[Asked], Reply]) -> AsyncIterator[tuple[str, list[Asked]]]:
    """The server's URL, and what it has been asked."""
    asked: list[Asked] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, target, _ = head.split(" ", 2)
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                port = writer.get_extra_info("peername")[1]
                asked.append(Asked(method, target, await reader.readexactly(length), port))
                answer = reply(asked[-1])
                if answer is None:
                    return
                status, body = answer
                writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}", asked
    finally:
        server.close()
        await asyncio.sleep(0)


def order_answer(order_id: str, status: str = "filled", client_order_id: str = "c") -> bytes:
    fields: dict[str, object] = {
        "order_id": order_id, "client_order_id": client_order_id, "account": "a", "strategy": "s", "status": status,
        "symbol": "BTC-USDT", "side": "buy", "type": "market", "quantity": "1", "price": None, "time_in_force": "ioc",
        "post_only": False, "reduce_only": False, "stop_loss": None, "venue": "sim", "filled": "1", "leaves": "0",
        "average_price": "1", "code": "", "details": {}, "received_at": 1, "decided_at": 1, "acknowledged_at": 1,
        "over_at": 1, "duplicate": False, "list_id": "", "stop_price": None, "activation_price": None, "trail_bps": 0,
        "display_quantity": None, "expire_at": 0, "self_trade_prevention": "", "signal": "", "triggered": False,
        "prevented": "0",
    }  # fmt: skip
    return msgspec.json.encode(msgspec.convert(fields, OrderAnswer))


def refusal(code: str, retryable: bool, order_id: str = "") -> bytes:
    return msgspec.json.encode(
        ErrorAnswer(code=code, message="No.", details={"limit": "1"}, retryable=retryable, order_id=order_id)
    )
