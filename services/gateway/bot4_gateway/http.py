"""How does a caller speak to the desk? REST: JSON in and out, numbers as text, one shape for every refusal.

Requests about one order take the fast lane: the raw body, decoded by msgspec, goes straight to the desk. FastAPI serves
the rest, and the document that describes it all.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from itertools import islice
from time import perf_counter
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot4_common.errors import Refused
from bot4_common.messages.estimate import EstimateRequest
from bot4_common.messages.terms import Order, OrderType, Side
from bot4_common.money import amount
from bot4_common.orders import OrderRecord
from bot4_common.telemetry import Tracing
from bot4_gateway import answers
from bot4_gateway.desk import Ack, Answer, Desk
from bot4_gateway.openapi import answering, describe
from bot4_gateway.views import KillSwitch

# An order has a few hundred bytes.
BODY_MAX = 16_384
# A page of orders or fills; encoding it takes a few milliseconds.
LIMIT_MAX = 1_000
# Seconds after which whoever was turned away may come back: all queues are empty by then, or it is an outage.
RETRY_AFTER_S = "1"

# Plain notation, and not more digits than the exact arithmetic is made for.
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
_NUMBER_RULE = 'a decimal number above zero as text, in plain notation, such as "0.015"'
_NUMBERS = ("quantity", "price", "stop_loss")
_ACKS: dict[str, Ack] = {"journaled": "journaled", "risk": "risk", "venue": "venue"}
_FIELD = re.compile(r"`\$\.(\w+)")

S = TypeVar("S", bound=msgspec.Struct)

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many at most.")]

_encoder = msgspec.json.Encoder()


class KillSwitchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Keys:
    """Which account does an API key name? Only digests are kept, and comparing them tells nothing by its duration."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        """`accounts` by key."""
        self._accounts = [(sha256(key.encode()).digest(), account) for key, account in accounts.items()]

    def account(self, key: str | None) -> str:
        """Raises `Refused` for no key, or one that nobody has."""
        digest = sha256((key or "").encode()).digest()
        found = [account for known, account in self._accounts if hmac.compare_digest(known, digest)]
        if key is None or not found:
            raise Refused("UNAUTHENTICATED")
        return found[0]


class Front:
    """The desk's side that callers see."""

    def __init__(self, desk: Desk, keys: Keys, tracing: Tracing) -> None:
        self._desk = desk
        self._keys = keys
        self._tracing = tracing
        self._figures = desk.figures

    # What changes something: the fast lane

    async def place(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        order = decode_order(await read_body(request))
        span, trace = self._tracing.start("POST /v1/orders", request.headers.get("traceparent"))
        try:
            answer = await self._desk.place(account, order, ack, trace)
        finally:
            span.end()
        return self._answered(answer, 200 if answer.duplicate else 201)

    async def cancel(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        span, trace = self._tracing.start("DELETE /v1/orders", request.headers.get("traceparent"))
        try:
            answer = await self._desk.cancel(account, request.path_params["order_id"], ack, trace)
        finally:
            span.end()
        return self._answered(answer, 200)

    async def order(self, request: Request) -> Response:
        record = self._desk.order(self._account(request), request.path_params["order_id"])
        return _json(answers.order_answer(record))

    async def kill(self, request: Request) -> Response:
        account = self._account(request)
        asked = _convert(_decode(await read_body(request)), KillSwitchRequest)
        return _switched(account, *await self._desk.kill(account, asked.reason))

    def _answered(self, answer: Answer, status: int) -> Response:
        record = answer.record
        if record.status in ("refused", "rejected"):
            return self._refused(record.code, record.details, record.order_id, answer.duplicate)
        return _json(answers.order_answer(record, answer.duplicate), status if answer.settled else 202)

    async def not_allowed(self, request: Request) -> Response:
        return self._refused("METHOD_NOT_ALLOWED", {"path": request.url.path[:200]}, headers={"Allow": "DELETE, GET"})

    # Everything else

    async def orders(
        self,
        request: Request,
        status: Literal["open", "all"] = "open",
        symbol: str | None = None,
        venue: str | None = None,
        strategy: str | None = None,
        client_order_id: str | None = None,
        limit: Limit = 100,
    ) -> Response:
        """Live orders, the newest first; with `status=all` the finished ones after them, as far as they are remembered.
        A `client_order_id` finds the newest order that has it."""
        account = self._account(request)
        found: Iterable[OrderRecord]
        if client_order_id is not None:
            record = self._desk.view.order_by_key(account, client_order_id)
            found = [] if record is None or (status == "open" and record.is_over) else [record]
        else:
            found = self._desk.view.orders(account, live_only=status == "open")
        matching = (
            answers.order_answer(record)
            for record in found
            if symbol in (None, record.order.symbol)
            and venue in (None, record.order.venue)
            and strategy in (None, record.order.strategy)
        )
        return _json(answers.OrdersAnswer(list(islice(matching, limit))))

    async def fills(
        self,
        request: Request,
        symbol: str | None = None,
        venue: str | None = None,
        strategy: str | None = None,
        order_id: str | None = None,
        limit: Limit = 100,
    ) -> Response:
        """The newest first, as far as they are remembered."""
        matching = (
            answers.fill_answer(fill)
            for fill in self._desk.view.fills_of(self._account(request))
            if symbol in (None, fill.event.symbol)
            and venue in (None, fill.event.venue)
            and strategy in (None, fill.event.strategy)
            and order_id in (None, fill.event.order_id)
        )
        return _json(answers.FillsAnswer(list(islice(matching, limit))))

    async def positions(self, request: Request) -> Response:
        """What the account holds, by symbol, venue and strategy."""
        return _json(answers.positions_answer(self._desk.view, self._account(request)))

    async def pnl(self, request: Request) -> Response:
        """What each strategy has earned, gross and net of costs."""
        results = self._desk.results(self._account(request))
        return _json(answers.ResultsAnswer([answers.result_answer(result) for result in results]))

    async def instruments(self, request: Request) -> Response:
        """What can be traded, and in what steps."""
        self._account(request)
        listed = [answers.instrument_answer(instrument) for instrument in self._desk.instruments.values()]
        return _json(answers.InstrumentsAnswer(listed))

    async def venues(self, request: Request) -> Response:
        """Where can be traded, and for what fees. The first is where orders go that name no venue."""
        self._account(request)
        return _json(answers.venues_answer(self._desk.venues))

    async def estimate(
        self,
        request: Request,
        symbol: str,
        side: Side,
        quantity: str,
        type: OrderType = "market",
        venue: str = "",
    ) -> Response:
        """What an order would cost in the market as it is: a market order takes, a limit order rests."""
        self._account(request)
        _check_number("quantity", quantity)
        asked = EstimateRequest(symbol=symbol, side=side, quantity=amount(quantity), type=type, venue=venue)
        return _json(answers.estimate_answer(await self._desk.estimate(asked)))

    async def kill_switch(self, request: Request) -> Response:
        """Whether the account's kill switch is engaged."""
        account = self._account(request)
        return _json(answers.kill_switch_answer(account, self._desk.view.kill_switch(account)))

    async def reset(self, request: Request, reason: str = "reset by the account") -> Response:
        """Resets the kill switch: orders are taken again. What it cancelled stays cancelled."""
        account = self._account(request)
        return _switched(account, *await self._desk.reset(account, reason))

    async def healthz(self) -> Response:
        """Whether the process lives."""
        return Response(_encoder.encode(self._desk.status()), media_type="application/json")

    async def readyz(self) -> Response:
        """Whether it has read everything and takes requests; 503 if not."""
        status = self._desk.status()
        return Response(_encoder.encode(status), 200 if status["ready"] else 503, media_type="application/json")

    async def metrics(self) -> Response:
        """The figures, for Prometheus."""
        return Response(generate_latest(self._figures.registry), media_type=CONTENT_TYPE_LATEST)

    def timed(self, scope: Scope, seconds: float) -> None:
        """By route, not by path, of which there is no end."""
        route = scope.get("lane") or getattr(scope.get("route"), "path", None)
        if route is not None:
            self._figures.latency(f"{scope['method']} {route}", scope.get("ack", "")).observe(seconds)

    # Refusals

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return self._refused(error.code, error.details)

    async def misaddressed(self, request: Request, error: Exception) -> Response:
        """What the router refuses before any of our code runs."""
        assert isinstance(error, HTTPException)
        known = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}
        code = known.get(error.status_code, "BAD_BODY")
        return self._refused(code, {"path": request.url.path[:200]}, headers=error.headers)

    async def misqueried(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return self._refused("BAD_FIELD", {"field": str(first["loc"][-1]), "rule": first["msg"]})

    async def failed(self, request: Request, error: Exception) -> Response:
        """Our own fault. The server has it in its log; the caller gets the same shape as ever."""
        return self._refused("INTERNAL", {})

    def _refused(
        self,
        code: str,
        details: dict[str, str],
        order_id: str = "",
        duplicate: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        self._figures.refused(code).inc()
        status = answers.refusal(code).status
        if status in (429, 503):
            headers = {"Retry-After": RETRY_AFTER_S}
        body = _encoder.encode(answers.error_answer(code, details, order_id, duplicate))
        return Response(body, status, headers, "application/json")

    def _account(self, request: Request) -> str:
        return self._keys.account(request.headers.get("x-api-key"))


class Lane:
    """The fast lane. On FastAPI's way through middleware and routes a request would spend a quarter of its work."""

    def __init__(self, front: Front, others: ASGIApp) -> None:
        self._front = front
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        endpoint = self._endpoint(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self._others(scope, receive, send)
        else:
            request = Request(scope, receive)
            try:
                response = await endpoint(request)
            except Refused as refused:
                response = await self._front.refused(request, refused)
            await response(scope, receive, send)
        self._front.timed(scope, perf_counter() - started)

    def _endpoint(self, scope: Scope) -> Callable[[Request], Awaitable[Response]] | None:
        """The endpoint, if it is one of ours; the scope is told the route, as FastAPI's router would."""
        path, method = scope["path"], scope["method"]
        if path == "/v1/orders" and method == "POST":
            scope["lane"] = path
            return self._front.place
        if path == "/v1/kill-switch" and method == "POST":
            scope["lane"] = path
            return self._front.kill
        start, _, order_id = path.rpartition("/")
        if start != "/v1/orders" or not order_id:
            return None
        scope["lane"] = "/v1/orders/{order_id}"
        scope["path_params"] = {"order_id": order_id}
        if method == "DELETE":
            return self._front.cancel
        return self._front.order if method == "GET" else self._front.not_allowed


def create_app(desk: Desk, keys: Keys, tracing: Tracing) -> ASGIApp:
    front = Front(desk, keys, tracing)
    app = FastAPI(title="bot4", summary="Orders, fills, positions and what they earn", redirect_slashes=False)
    served = (
        ("GET", "/v1/orders", front.orders, answers.OrdersAnswer),
        ("GET", "/v1/fills", front.fills, answers.FillsAnswer),
        ("GET", "/v1/positions", front.positions, answers.PositionsAnswer),
        ("GET", "/v1/pnl", front.pnl, answers.ResultsAnswer),
        ("GET", "/v1/instruments", front.instruments, answers.InstrumentsAnswer),
        ("GET", "/v1/venues", front.venues, answers.VenuesAnswer),
        ("GET", "/v1/costs/estimate", front.estimate, answers.EstimateAnswer),
        ("GET", "/v1/kill-switch", front.kill_switch, answers.KillSwitchAnswer),
        ("DELETE", "/v1/kill-switch", front.reset, answers.KillSwitchAnswer),
    )
    for method, path, endpoint, kind in served:
        app.add_api_route(path, endpoint, methods=[method], responses=answering(kind), response_class=Response)
    for path, probe in (("/healthz", front.healthz), ("/readyz", front.readyz), ("/metrics", front.metrics)):
        app.add_api_route(path, probe, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(Refused, front.refused)
    app.add_exception_handler(HTTPException, front.misaddressed)
    app.add_exception_handler(RequestValidationError, front.misqueried)
    app.add_exception_handler(Exception, front.failed)
    describe(app, {"Order": Order, "KillSwitchRequest": KillSwitchRequest}, [kind for *_, kind in served])
    return ServerErrorMiddleware(Lane(front, app), front.failed)


async def read_body(request: Request) -> bytes:
    """Raises `Refused` as soon as the body is too large."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_MAX:
        raise Refused("BODY_TOO_LARGE", size=length, size_max=str(BODY_MAX))
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_MAX:
                raise Refused("BODY_TOO_LARGE", size_max=str(BODY_MAX))
    except ClientDisconnect:
        raise Refused("BAD_BODY", reason="the connection ended before the body did") from None
    return bytes(body)


def decode_order(body: bytes) -> Order:
    """Raises `Refused`. A JSON number would have been a float on its way here: prices and quantities are text."""
    fields = _decode(body)
    for name in _NUMBERS:
        if fields.get(name) is not None:
            _check_number(name, fields[name])
    return _convert(fields, Order)


def _check_number(field: str, value: object) -> None:
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        raise Refused("BAD_FIELD", field=field, rule=_NUMBER_RULE)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise Refused("BAD_BODY", reason=str(error)[:200]) from None
    if not isinstance(fields, dict):
        raise Refused("BAD_BODY", reason="a JSON object is wanted")
    return fields


def _convert(fields: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        reason = str(error)[:200]
        place = _FIELD.search(reason)
        if place is None:
            raise Refused("BAD_BODY", reason=reason) from None
        raise Refused("BAD_FIELD", field=place[1], rule=reason.partition(" - at ")[0]) from None


def _ack(request: Request) -> Ack:
    query = request.scope["query_string"]
    ack = _ACKS.get(request.query_params.get("ack", "venue") if query else "venue")
    if ack is None:
        raise Refused("BAD_FIELD", field="ack", rule="journaled, risk or venue")
    request.scope["ack"] = ack
    return ack


def _switched(account: str, switch: KillSwitch, settled: bool) -> Response:
    return _json(answers.kill_switch_answer(account, switch), 200 if settled else 202)


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")
