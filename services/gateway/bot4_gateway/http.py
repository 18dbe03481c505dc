"""How does a caller speak to the desk? REST: JSON in and out, numbers as text, one shape for every refusal.

Requests about one order take the fast lane: the raw body, decoded by msgspec, goes straight to the desk. FastAPI serves
the rest, and the document that describes it all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from time import perf_counter
from typing import Annotated, Literal, NamedTuple

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot4_common.errors import Refused
from bot4_common.messages.estimate import EstimateRequest
from bot4_common.messages.terms import Order, OrderList, OrderType, Side
from bot4_common.money import amount
from bot4_common.orders import OrderRecord
from bot4_common.telemetry import Tracing
from bot4_gateway import answers
from bot4_gateway.bodies import (
    AmendRequest,
    ReplaceRequest,
    check_number,
    decode_amend,
    decode_list,
    decode_order,
    decode_replace,
    read_body,
)
from bot4_gateway.control_routes import ControlFront, add, override, routes
from bot4_gateway.desk import Ack, Answer, Desk, Listed
from bot4_gateway.keys import Caller, Keys
from bot4_gateway.openapi import answering, describe

# A page of orders or fills; encoding it takes a few milliseconds.
LIMIT_MAX = 1_000
# Seconds after which whoever was turned away may come back: all queues are empty by then, or it is an outage.
RETRY_AFTER_S = "1"

_ACKS: dict[str, Ack] = {"journaled": "journaled", "risk": "risk", "venue": "venue"}

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many at most.")]

_encoder = msgspec.json.Encoder()


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
        reason = await self._override(account, request)
        span, trace = self._tracing.start("POST /v1/orders", request.headers.get("traceparent"))
        try:
            answer = await self._desk.place(account, order, ack, trace, reason)
        finally:
            span.end()
        return self._answered(answer, 200 if answer.duplicate else 201)

    async def amend(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        asked = decode_amend(await read_body(request))
        span, trace = self._tracing.start("PATCH /v1/orders", request.headers.get("traceparent"))
        try:
            answer = await self._desk.amend(
                account, request.path_params["order_id"], asked.quantity, asked.price, ack, trace
            )
        finally:
            span.end()
        return _json(answers.order_answer(answer.record), 200 if answer.settled else 202)

    async def replace(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        asked = decode_replace(await read_body(request))
        reason = await self._override(account, request)
        order_id = request.path_params["order_id"]
        span, trace = self._tracing.start("POST /v1/orders/replace", request.headers.get("traceparent"))
        try:
            answer = await self._desk.replace(account, order_id, asked.order, asked.mode, ack, trace, reason)
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
        record = self._desk.order(self._read_account(request), request.path_params["order_id"])
        return _json(answers.order_answer(record))

    async def place_list(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        asked = decode_list(await read_body(request))
        reason = await self._override(account, request)
        span, trace = self._tracing.start("POST /v1/lists", request.headers.get("traceparent"))
        try:
            listed = await self._desk.place_list(account, asked, ack, trace, reason)
        finally:
            span.end()
        return self._listed(listed, 200 if listed.duplicate else 201)

    async def cancel_list(self, request: Request) -> Response:
        account = self._account(request)
        ack = _ack(request)
        span, trace = self._tracing.start("DELETE /v1/lists", request.headers.get("traceparent"))
        try:
            listed = await self._desk.cancel_list(account, request.path_params["list_id"], ack, trace)
        finally:
            span.end()
        return self._listed(listed, 200, cancelling=True)

    async def order_list(self, request: Request) -> Response:
        record = self._desk.list_of(self._read_account(request), request.path_params["list_id"])
        return _json(answers.list_answer(record, self._desk.view.legs(record)))

    def _answered(self, answer: Answer, status: int) -> Response:
        """An order of which the venue took nothing was refused, whoever found that out, and whenever."""
        record = answer.record
        if record.status in ("refused", "rejected") or _was_never_there(record):
            return self._refused(record.code, record.details, record.order_id, duplicate=answer.duplicate)
        return _json(answers.order_answer(record, answer.duplicate), status if answer.settled else 202)

    def _listed(self, listed: Listed, status: int, cancelling: bool = False) -> Response:
        """Also a list of which the venue took no order was refused, for the reason of the first. Whoever cancels one
        that was lost has what was asked for."""
        record, legs = listed.record, listed.legs
        code, details = record.code, record.details
        if legs and all(leg.status == "rejected" or (not cancelling and _was_never_there(leg)) for leg in legs):
            code, details = legs[0].code, legs[0].details
        if code:
            return self._refused(code, details, list_id=record.list_id, duplicate=listed.duplicate)
        return _json(answers.list_answer(record, legs, listed.duplicate), status if listed.settled else 202)

    async def not_allowed(self, request: Request) -> Response:
        """Knows no such method; the scope says which ones there are."""
        headers = {"Allow": request.scope["allow"]}
        return self._refused("METHOD_NOT_ALLOWED", {"path": request.url.path[:200]}, headers=headers)

    # Everything else

    async def orders(
        self,
        request: Request,
        status: Literal["open", "all"] = "open",
        symbol: str | None = None,
        venue: str | None = None,
        strategy: str | None = None,
        list_id: str | None = None,
        client_order_id: str | None = None,
        limit: Limit = 100,
    ) -> Response:
        """Live orders, the newest first; with `status=all` the finished ones after them, as far as they are remembered.
        A `client_order_id` finds the newest order that has it."""
        account = self._read_account(request)
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
            and list_id in (None, record.list_id)
        )
        return _json(answers.OrdersAnswer(list(islice(matching, limit))))

    async def lists(self, request: Request, status: Literal["open", "all"] = "open", limit: Limit = 100) -> Response:
        """Live lists, the newest first; with `status=all` those that are over after them, as far as they are
        remembered."""
        view = self._desk.view
        found = islice(view.lists(self._read_account(request), live_only=status == "open"), limit)
        return _json(answers.ListsAnswer([answers.list_answer(record, view.legs(record)) for record in found]))

    async def prevented(
        self,
        request: Request,
        symbol: str | None = None,
        order_id: str | None = None,
        limit: Limit = 100,
    ) -> Response:
        """Trades of the account with itself, or with its group, that were prevented; the newest first, as far as they
        are remembered."""
        account = self._read_account(request)
        seen = (answers.prevented_answer(prevented, account) for prevented in self._desk.view.prevented_of(account))
        matching = (
            answer
            for answer in seen
            if symbol in (None, answer.symbol) and order_id in (None, answer.order_id, answer.other_id)
        )
        return _json(answers.AllPreventedAnswer(list(islice(matching, limit))))

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
            for fill in self._desk.view.fills_of(self._read_account(request))
            if symbol in (None, fill.event.symbol)
            and venue in (None, fill.event.venue)
            and strategy in (None, fill.event.strategy)
            and order_id in (None, fill.event.order_id)
        )
        return _json(answers.FillsAnswer(list(islice(matching, limit))))

    async def positions(self, request: Request) -> Response:
        """What the account holds, by symbol, venue and strategy."""
        return _json(answers.positions_answer(self._desk.view, self._read_account(request)))

    async def pnl(self, request: Request) -> Response:
        """What each strategy has earned, gross and net of costs."""
        results = self._desk.results(self._read_account(request))
        return _json(answers.ResultsAnswer([answers.result_answer(result) for result in results]))

    async def instruments(self, request: Request) -> Response:
        """What can be traded, and in what steps."""
        self._caller(request)
        listed = [answers.instrument_answer(instrument) for instrument in self._desk.instruments.values()]
        return _json(answers.InstrumentsAnswer(listed))

    async def venues(self, request: Request) -> Response:
        """Where can be traded, and for what fees. The first is where orders go that name no venue."""
        self._caller(request)
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
        self._caller(request)
        check_number("quantity", quantity)
        asked = EstimateRequest(symbol=symbol, side=side, quantity=amount(quantity), type=type, venue=venue)
        return _json(answers.estimate_answer(await self._desk.estimate(asked)))

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
        list_id: str = "",
        duplicate: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        self._figures.refused(code).inc()
        status = answers.refusal(code).status
        if status in (429, 503):
            headers = {"Retry-After": RETRY_AFTER_S}
        body = _encoder.encode(answers.error_answer(code, details, order_id, list_id, duplicate))
        return Response(body, status, headers, "application/json")

    async def _override(self, account: str, request: Request) -> str:
        """The reason given with an override key, if one is presented. Raises `Refused` when it is not the right one."""
        if "x-override-key" not in request.headers:
            return ""
        return await override(self._keys, account, request.headers)

    def _caller(self, request: Request) -> Caller:
        return self._keys.caller(request.headers.get("x-api-key"))

    def _account(self, request: Request) -> str:
        return self._keys.account(request.headers.get("x-api-key"))

    def _read_account(self, request: Request) -> str:
        """Whose affairs are read: the caller's own, or those of the account that an operator names in the query."""
        return self._keys.meant(self._caller(request), request.query_params.get("account", ""))


Endpoint = Callable[[Request], Awaitable[Response]]


class Resource(NamedTuple):
    """A path with an id in it, and its endpoints by method."""

    path: str
    parameter: str
    endpoints: dict[str, Endpoint]


class Lane:
    """The fast lane. On FastAPI's way through middleware and routes a request would spend a quarter of its work."""

    def __init__(self, front: Front, others: ASGIApp) -> None:
        self._front = front
        self._others = others
        self._paths: dict[tuple[str, str], Endpoint] = {
            ("POST", "/v1/orders"): front.place,
            ("POST", "/v1/lists"): front.place_list,
        }
        # By what stands before the id, and what after it.
        self._routes = {
            ("/v1/orders", ""): Resource(
                "/v1/orders/{order_id}",
                "order_id",
                {"DELETE": front.cancel, "GET": front.order, "PATCH": front.amend},
            ),
            ("/v1/orders", "replace"): Resource("/v1/orders/{order_id}/replace", "order_id", {"POST": front.replace}),
            ("/v1/lists", ""): Resource(
                "/v1/lists/{list_id}", "list_id", {"DELETE": front.cancel_list, "GET": front.order_list}
            ),
        }

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

    def _endpoint(self, scope: Scope) -> Endpoint | None:
        """The endpoint, if it is one of ours; the scope is told the route, as FastAPI's router would."""
        path, method = scope["path"], scope["method"]
        endpoint = self._paths.get((method, path))
        if endpoint is not None:
            scope["lane"] = path
            return endpoint
        start, _, last = path.rpartition("/")
        verb = ""
        if last == "replace":
            verb = last
            start, _, last = start.rpartition("/")
        route = self._routes.get((start, verb))
        if route is None or not last:
            return None
        scope["lane"] = route.path
        scope["path_params"] = {route.parameter: last}
        endpoint = route.endpoints.get(method)
        if endpoint is None:
            scope["allow"] = ", ".join(route.endpoints)
            return self._front.not_allowed
        return endpoint


def create_app(desk: Desk, keys: Keys, tracing: Tracing) -> ASGIApp:
    front = Front(desk, keys, tracing)
    app = FastAPI(title="bot4", summary="Orders, fills, positions and what they earn", redirect_slashes=False)
    served = (
        ("GET", "/v1/orders", front.orders, answers.OrdersAnswer),
        ("GET", "/v1/lists", front.lists, answers.ListsAnswer),
        ("GET", "/v1/fills", front.fills, answers.FillsAnswer),
        ("GET", "/v1/prevented", front.prevented, answers.AllPreventedAnswer),
        ("GET", "/v1/positions", front.positions, answers.PositionsAnswer),
        ("GET", "/v1/pnl", front.pnl, answers.ResultsAnswer),
        ("GET", "/v1/instruments", front.instruments, answers.InstrumentsAnswer),
        ("GET", "/v1/venues", front.venues, answers.VenuesAnswer),
        ("GET", "/v1/costs/estimate", front.estimate, answers.EstimateAnswer),
    )
    for method, path, endpoint, kind in served:
        app.add_api_route(path, endpoint, methods=[method], responses=answering(kind), response_class=Response)
    controls = routes(ControlFront(desk, keys))
    add(app, controls)
    for path, probe in (("/healthz", front.healthz), ("/readyz", front.readyz), ("/metrics", front.metrics)):
        app.add_api_route(path, probe, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(Refused, front.refused)
    app.add_exception_handler(HTTPException, front.misaddressed)
    app.add_exception_handler(RequestValidationError, front.misqueried)
    app.add_exception_handler(Exception, front.failed)
    bodies: dict[str, type[msgspec.Struct]] = {
        "Order": Order,
        "OrderList": OrderList,
        "AmendRequest": AmendRequest,
        "ReplaceRequest": ReplaceRequest,
        **{route.body.__name__: route.body for route in controls if route.body is not None},
    }
    describe(app, bodies, [*(kind for *_, kind in served), *(route.answer for route in controls)])
    return ServerErrorMiddleware(Lane(front, app), front.failed)


def _ack(request: Request) -> Ack:
    query = request.scope["query_string"]
    ack = _ACKS.get(request.query_params.get("ack", "venue") if query else "venue")
    if ack is None:
        raise Refused("BAD_FIELD", field="ack", rule="journaled, risk or venue")
    request.scope["ack"] = ack
    return ack


def _was_never_there(record: OrderRecord) -> bool:
    """Whether the order was lost on its way to the venue, as far as is known.

    Of a lost order a fill may be told all the same (ADR 0012). From then on the answer is the order, `lost` with what
    it has `filled` or filled whole, and no refusal: somebody owns what was filled, and whoever reads a refusal trades
    the same again.
    """
    return record.status == "lost" and not record.filled


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")
