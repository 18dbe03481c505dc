"""How fast are orders answered? Connections that trade without end, and the time each answer took.

Each connection follows the same script: it takes liquidity on one side and then the other, and in between rests an
order far from the market and cancels it. So nothing piles up: at most one order of a connection rests, positions stay
near zero, and no limit is ever met. Every answer is checked; what is not as it should be is counted, by what it was.

Closed loop: a connection sends its next request as soon as the last is answered. This finds the highest rate.
Open loop: requests are due at a fixed rate, whether or not earlier ones are answered, and their time runs from when
they were due. So an answer that keeps the next request waiting counts against both (no coordinated omission).
"""

from __future__ import annotations

import gc
import itertools
import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec

NS_PER_S = 1_000_000_000

# The first moments of a run are not counted: connections are new, and caches are cold.
WARM_UP_S = 1.0
# What was asked within the run may be answered so much later. It is counted as lost after that.
DRAIN_S = 10.0
# An answer is about 500 bytes; one that does not fit into this is a mistake.
ANSWER_BYTES_MAX = 65_536

Kind = Literal["order", "cancel"]


class Market(NamedTuple):
    """Prices for a whole run, as text: the market moves some ten basis points in it, and these are 2 % away from it.

    What takes trades at the touch all the same; what rests is not reached; stops lie 4 % away.
    """

    symbol: str
    quantity: str
    below: str
    above: str
    stop_below: str
    stop_above: str


class Expected(NamedTuple):
    """The status that a right answer may have."""

    taken: Collection[str]
    rested: Collection[str]
    cancelled: Collection[str]


class Reply(msgspec.Struct):
    """What is looked at of every answer; `code` is there when it is a refusal."""

    order_id: str = ""
    status: str = ""
    duplicate: bool = False
    code: str = ""


class Request(NamedTuple):
    kind: Kind
    data: bytes
    expected: Collection[str]


Script = Generator[Request, Reply, None]


def script(name: str, host: str, key: str, market: Market, expected: Expected) -> Script:
    """What one connection asks for; `name` makes its client order ids its own."""
    head = f"Host: {host}\r\nX-API-Key: {key}\r\n"
    numbers = itertools.count()

    def place(side: str, price: str, stop: str, terms: str, statuses: Collection[str]) -> Request:
        body = (
            f'{{"client_order_id":"{name}-{next(numbers)}","symbol":"{market.symbol}","side":"{side}","type":"limit",'
            f'"quantity":"{market.quantity}","price":"{price}","stop_loss":"{stop}","strategy":"benchmark",{terms}}}'
        )
        data = (
            f"POST /v1/orders?ack=venue HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        return Request("order", data.encode(), statuses)

    def cancel(order_id: str) -> Request:
        return Request("cancel", f"DELETE /v1/orders/{order_id} HTTP/1.1\r\n{head}\r\n".encode(), expected.cancelled)

    take, rest = '"time_in_force":"ioc"', '"post_only":true'
    while True:
        yield place("buy", market.above, market.stop_below, take, expected.taken)
        resting = yield place("buy", market.below, market.stop_below, rest, expected.rested)
        yield cancel(resting.order_id)
        yield place("sell", market.below, market.stop_above, take, expected.taken)
        resting = yield place("sell", market.above, market.stop_above, rest, expected.rested)
        yield cancel(resting.order_id)


class Measured(msgspec.Struct):
    """Times in ns by kind of request, and what went wrong. `counted` are the answers that came within `seconds`."""

    seconds: float
    times: dict[Kind, array[int]] = msgspec.field(default_factory=lambda: {"order": array("q"), "cancel": array("q")})
    counted: Counter[Kind] = msgspec.field(default_factory=Counter)
    mistakes: Counter[str] = msgspec.field(default_factory=Counter)


class _Connection:
    """One request at a time over HTTP/1.1 keep-alive."""

    def __init__(self, address: tuple[str, int], script: Script) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.script = script
        self.request = next(script)
        self.due = 0
        self._received = b""

    def send(self, due: int) -> None:
        self.due = due
        self.socket.sendall(self.request.data)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body, once the whole answer is here."""
        received = self.socket.recv(ANSWER_BYTES_MAX)
        if not received:
            raise ConnectionError("the server closed a connection")
        self._received += received
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended or len(body) < _content_length(head):
            return None
        self._received = b""
        return int(head[9:12]), body


def _content_length(head: bytes) -> int:
    _, named, rest = head.lower().partition(b"\r\ncontent-length:")
    if not named:
        raise ValueError(f"an answer without a length: {head!r}")
    return int(rest.partition(b"\r\n")[0])


def drive(
    address: tuple[str, int],
    scripts: Sequence[Script],
    ids: set[str],
    seconds: float,
    rate: float | None = None,
    warm_up_s: float = WARM_UP_S,
) -> Measured:
    """Trades on one connection per script for `warm_up_s` and then `seconds`: at `rate` requests a second, or as fast
    as answers come. `ids` are the order ids given so far; none may be given twice."""
    connections = {connection.socket: connection for connection in (_Connection(address, each) for each in scripts)}
    try:
        with _without_collector():
            return _drive(connections, ids, warm_up_s, seconds, rate)
    finally:
        for opened in connections:
            opened.close()


def _drive(
    connections: dict[socket.socket, _Connection], ids: set[str], warm_up_s: float, seconds: float, rate: float | None
) -> Measured:
    measured, clock = Measured(seconds), time.perf_counter_ns
    idle = deque(connections.values())
    due = clock()
    begin = due + int(warm_up_s * NS_PER_S)
    end = begin + int(seconds * NS_PER_S)
    interval = None if rate is None else int(NS_PER_S / rate)
    while True:
        now = clock()
        if interval is None:
            due = now
        while idle and due <= now and due < end:
            idle.popleft().send(due)
            if interval is None:
                due = now = clock()
            else:
                due += interval
        if due >= end and len(idle) == len(connections):
            return measured
        if now > end + int(DRAIN_S * NS_PER_S):
            measured.mistakes["no answer"] += len(connections) - len(idle)
            if interval is not None and due < end:
                measured.mistakes["not sent"] += (end - due) // interval
            return measured
        answers = _receive(connections, max(0, due - now) if idle and due < end else NS_PER_S)
        for connection, status, body, at in answers:
            kind = connection.request.kind
            if connection.due >= begin:
                measured.times[kind].append(at - connection.due)
            if begin <= at < end:
                measured.counted[kind] += 1
            mistake = _go_on(connection, status, body, ids)
            if mistake:
                measured.mistakes[mistake] += 1
            idle.append(connection)


def _receive(connections: dict[socket.socket, _Connection], wait_ns: int) -> list[tuple[_Connection, int, bytes, int]]:
    """Answers that are complete, and when they were. All are taken before any is looked at, so that looking at one
    does not make the next seem late. `select` waits to the microsecond, where `poll` rounds up to milliseconds."""
    ready, _, _ = select.select(connections, (), (), wait_ns / NS_PER_S)
    answers = []
    for each in ready:
        answer = connections[each].receive()
        if answer is not None:
            answers.append((connections[each], *answer, time.perf_counter_ns()))
    return answers


_decoder = msgspec.json.Decoder(Reply)


def _go_on(connection: _Connection, status: int, body: bytes, ids: set[str]) -> str:
    """Moves the script on; returns what was wrong with the answer, if anything."""
    request, reply = connection.request, _decoder.decode(body)
    connection.request = connection.script.send(reply)
    if status not in (200, 201) or reply.status not in request.expected:
        return f"{request.kind}: {status} {reply.code or reply.status}"
    if request.kind == "order":
        if reply.duplicate or reply.order_id in ids:
            return "order: given twice, or called a duplicate"
        ids.add(reply.order_id)
    return ""


def is_served(address: tuple[str, int], script: Script) -> bool:
    """Whether the script's first request gets the right answer, on a connection of its own."""
    try:
        connection = _Connection(address, script)
        try:
            connection.socket.settimeout(DRAIN_S)
            connection.send(0)
            answer = None
            while answer is None:
                answer = connection.receive()
            return not _go_on(connection, *answer, set())
        finally:
            connection.socket.close()
    except OSError:
        return False


@contextmanager
def _without_collector() -> Generator[None]:
    """Nothing here makes cycles, and a collection in the middle would look like a slow answer."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
