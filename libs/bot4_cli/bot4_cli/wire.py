"""How do many orders go out with little of our own time in them? Over kept connections, by a minimal HTTP/1.1 client.

It speaks to our gateway alone, which answers every request with a Content-Length. A general client takes a millisecond
of the processor for each request, which would be half of what is to be measured.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

# Beyond the two seconds after which the gateway says how things stand; later, nobody is there.
TIMEOUT_S = 5.0


class Response(NamedTuple):
    status: int
    body: bytes


class Wires:
    """Connections of one account to the gateway: opened as needed, kept, at most `connections` at a time."""

    def __init__(self, url: str, api_key: str, connections: int) -> None:
        place = urlsplit(url)
        assert place.hostname is not None and place.port is not None
        self._host, self._port = place.hostname, place.port
        self._head = f"HTTP/1.1\r\nHost: {place.netloc}\r\nX-API-Key: {api_key}\r\nContent-Length: "
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self, method: str, target: str, body: bytes = b"") -> Response:
        """Raises `ConnectionError` when no answer came: whether the request was taken is not known."""
        async with self._free:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._exchange(f"{method} {target} {self._head}{len(body)}\r\n\r\n".encode() + body)
            except (OSError, asyncio.IncompleteReadError) as error:
                raise ConnectionError(f"{method} {target}: {error!r}") from None

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _exchange(self, request: bytes) -> Response:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            response = Response(int(head[9:12]), await reader.readexactly(_length(head)))
        except BaseException:
            # Also when it took too long: the answer may still come, and must not be taken for that of the next request.
            writer.close()
            raise
        self._idle.append((reader, writer))
        return response


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
