"""How does a caller hold trading back, or let it go on? REST: kill switches, limits, the gate, signals, breakers.

An account acts on what is its own. What concerns others takes an operator's key; what undoes a safeguard takes a
further key besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, NamedTuple

import msgspec
from fastapi import FastAPI, Query, Request
from starlette.datastructures import Headers
from starlette.responses import Response

from bot4_common.errors import Refused
from bot4_common.messages.gateway import (
    EngageKillSwitch,
    RebaseEquity,
    RecordSignal,
    RegisterStrategy,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.limits import LimitsDocument
from bot4_common.messages.terms import Scope
from bot4_gateway import control_answers as answers
from bot4_gateway.bodies import convert, decode, read_body
from bot4_gateway.control_requests import (
    LIMITS_BODY_MAX,
    GateRequest,
    KillSwitchRequest,
    LimitsRequest,
    RebaseRequest,
    ResetRequest,
    SignalRequest,
    StrategyRequest,
    decode_limits,
    decode_toml,
)
from bot4_gateway.control_view import DECISIONS_KEPT, GateSaid, LimitsVersion
from bot4_gateway.controls import REASON_RULE, is_reason
from bot4_gateway.desk import Desk
from bot4_gateway.keys import Caller, Keys
from bot4_gateway.openapi import answering, body_of

TOML = "application/toml"
# The breaker over all venues together.
FUSE = "fuse"

# Those that come with bot4, until risk has told others.
_SHIPPED = LimitsVersion(version=0, document=LimitsDocument(), reason="", source="bot4", at=0, effective_at="")

_encoder = msgspec.json.Encoder()

Account = Annotated[str, Query(description="Whose; an operator has to say.")]


class Route(NamedTuple):
    """`body` is what the endpoint reads, if anything; as JSON, and limits also as TOML."""

    method: str
    path: str
    endpoint: Callable[..., Awaitable[Response]]
    answer: type[msgspec.Struct]
    body: type[msgspec.Struct] | None = None


async def override(keys: Keys, who: str, headers: Headers) -> str:
    """The reason why the gate is overridden; empty when nobody asks for that. Raises `Refused`."""
    key = headers.get("x-override-key")
    if key is None:
        return ""
    reason = headers.get("x-override-reason", "")
    if not is_reason(reason):
        raise Refused("OVERRIDE_KEY", header="X-Override-Reason", rule=REASON_RULE)
    await keys.override.check(who, key)
    return reason


class ControlFront:
    """The controls as callers see them."""

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk = desk
        self._controls = desk.controls
        self._view = desk.view.controls
        self._keys = keys

    # Kill switches

    async def kill(self, request: Request) -> Response:
        """Engages a kill switch: no new orders there, and the open ones are cancelled."""
        caller = self._caller(request)
        asked = convert(decode(await read_body(request)), KillSwitchRequest)
        command = EngageKillSwitch(
            account=self._holder(caller, asked),
            reason=asked.reason,
            scope=asked.scope,
            strategy=asked.strategy,
            symbol=asked.symbol,
            flatten=asked.flatten,
            by=caller.name,
        )
        switch, settled = await self._controls.engage(command)
        return _json(answers.kill_switch_answer(switch), 200 if settled else 202)

    async def reset(
        self,
        request: Request,
        reason: str = "",
        scope: Scope = "account",
        account: Account = "",
        strategy: str = "",
        symbol: str = "",
    ) -> Response:
        """Resets a kill switch: orders are taken again. What it cancelled stays cancelled. Takes the second key, in
        `X-Second-Key`, and a reason; which switch is said in the query or in the body."""
        caller = self._caller(request)
        body = await read_body(request)
        asked = (
            convert(decode(body), ResetRequest)
            if body
            else ResetRequest(reason=reason, scope=scope, account=account, strategy=strategy, symbol=symbol)
        )
        command = ResetKillSwitch(
            account=self._holder(caller, asked),
            reason=asked.reason,
            scope=asked.scope,
            strategy=asked.strategy,
            symbol=asked.symbol,
            by=caller.name,
        )
        self._controls.check_reset(command)
        await self._keys.second.check(caller.name, request.headers.get("x-second-key"))
        switch, settled = await self._controls.reset(command)
        return _json(answers.kill_switch_answer(switch), 200 if settled else 202)

    async def kill_switches(self, request: Request) -> Response:
        """Every engaged kill switch that concerns the caller."""
        return _json(answers.kill_switches_answer(self._caller(request).account, self._view))

    # Limits

    async def put_limits(
        self, request: Request, reason: str = "", replaces: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        """Sets the limits, whole. With a body of TOML, which is the document alone, reason and `replaces` are in the
        query."""
        operator = self._operator(request)
        body = await read_body(request, LIMITS_BODY_MAX)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == TOML:
            asked = LimitsRequest(document=decode_toml(body), reason=reason, replaces=replaces)
        else:
            asked = decode_limits(body)
        command = SetLimits(document=asked.document, reason=asked.reason, by=operator, replaces=asked.replaces)
        limits, settled = await self._controls.set_limits(command)
        return _limits(limits or _SHIPPED, None, 200 if settled else 202)

    async def limits(self, request: Request, version: Annotated[int | None, Query(ge=0)] = None) -> Response:
        """The limits in force, or an older version, as far as it is remembered."""
        account = self._caller(request).account
        found = self._view.limits(version)
        if found is None and not version:
            found = _SHIPPED
        if found is None:
            raise Refused("NOT_FOUND", version=str(version))
        return _limits(found, account)

    # The gate

    async def put_gate(self, request: Request) -> Response:
        """Turns the gate on or off: while it is on, an order has to name the recorded signal that caused it."""
        operator = self._operator(request)
        asked = convert(decode(await read_body(request)), GateRequest)
        command = SetGate(enabled=asked.enabled, reason=asked.reason, by=operator)
        gate, settled = await self._controls.set_gate(command)
        return _json(answers.gate_answer(gate), 200 if settled else 202)

    async def gate(self, request: Request) -> Response:
        """Whether orders need a signal."""
        self._caller(request)
        return _json(answers.gate_answer(self._view.gate))

    async def decisions(
        self,
        request: Request,
        decision: GateSaid | None = None,
        strategy: str | None = None,
        limit: Annotated[int, Query(ge=1, le=DECISIONS_KEPT)] = 100,
    ) -> Response:
        """What the gate said to orders, the newest first, as far as it is remembered."""
        caller = self._caller(request)
        matching = (
            answers.decision_answer(each)
            for each in reversed(self._view.decisions)
            if caller.sees(each.event.account)
            and decision in (None, each.event.decision)
            and strategy in (None, each.event.strategy)
        )
        return _json(answers.GateDecisionsAnswer(list(islice(matching, limit))))

    async def register(self, request: Request) -> Response:
        """Registers a strategy, which may then record signals."""
        caller = self._caller(request)
        asked = convert(decode(await read_body(request)), StrategyRequest)
        return await self._registered(self._keys.meant(caller, asked.account), asked.strategy, True)

    async def deregister(self, request: Request, strategy: str, account: Account = "") -> Response:
        """Its signals are refused from then on."""
        return await self._registered(self._keys.meant(self._caller(request), account), strategy, False)

    async def strategies(self, request: Request) -> Response:
        """Those that are registered."""
        caller = self._caller(request)
        known = [answers.strategy_answer(each) for each in self._view.strategies() if caller.sees(each.account)]
        return _json(answers.StrategiesAnswer(known))

    async def signal(self, request: Request) -> Response:
        """Records a signal. The order that it causes names it."""
        account = self._keys.account(request.headers.get("x-api-key"))
        asked = convert(decode(await read_body(request)), SignalRequest)
        command = RecordSignal(
            account=account, strategy=asked.strategy, symbol=asked.symbol, side=asked.side, note=asked.note
        )
        signal_id, accepted = await self._controls.signal(command)
        told = answers.SignalAnswer(
            signal_id=signal_id,
            account=account,
            strategy=asked.strategy,
            symbol=asked.symbol,
            side=asked.side,
            accepted=accepted,
        )
        return _json(told, 201 if accepted else 202)

    # What stops by itself

    async def breakers(self, request: Request) -> Response:
        """Which venues and services are called just now."""
        self._caller(request)
        own = [dependency.breaker for dependency in self._desk.dependencies]
        return _json(answers.breakers_answer(self._view, [*self._desk.venues, FUSE], own))

    async def halts(self, request: Request) -> Response:
        """Where losses have reached a limit."""
        caller = self._caller(request)
        seen = [each for each in self._view.halts() if not each.name or caller.sees(each.name.partition("/")[0])]
        return _json(answers.HaltsAnswer([answers.halt_answer(each) for each in seen]))

    async def rebase(self, request: Request) -> Response:
        """Counts drawdown and the day's loss anew, from the equity of now."""
        operator = self._operator(request)
        asked = convert(decode(await read_body(request)), RebaseRequest)
        if asked.account:
            self._keys.meant(self._caller(request), asked.account)
        rebased = await self._controls.rebase(RebaseEquity(account=asked.account, reason=asked.reason, by=operator))
        told = answers.RebaseAnswer(account=asked.account, reason=asked.reason, rebased=rebased)
        return _json(told, 200 if rebased else 202)

    async def statistics(self, request: Request) -> Response:
        """What the markets' returns were like, and how they go together."""
        self._caller(request)
        return _json(answers.statistics_answer(self._view.statistics))

    async def _registered(self, account: str, strategy: str, registered: bool) -> Response:
        command = RegisterStrategy(account=account, strategy=strategy, registered=registered)
        done = await self._controls.register(command)
        known = self._view.registration(account, strategy)
        told = answers.StrategyAnswer(
            account=account,
            strategy=strategy,
            registered=known is not None,
            since=0 if known is None else known.since,
        )
        return _json(told, 200 if done else 202)

    # Who asks, and for whom

    def _caller(self, request: Request) -> Caller:
        return self._keys.caller(request.headers.get("x-api-key"))

    def _operator(self, request: Request) -> str:
        return self._keys.operator(request.headers.get("x-api-key"))

    def _holder(self, caller: Caller, asked: KillSwitchRequest | ResetRequest) -> str:
        """Whose kill switch it is; nobody's alone when it stops everybody, and then it is the operators'."""
        if asked.scope in ("account", "strategy"):
            return self._keys.meant(caller, asked.account)
        if not caller.is_operator:
            raise Refused("FORBIDDEN", needs="the key of an operator")
        return asked.account


def routes(front: ControlFront) -> list[Route]:
    return [
        Route("GET", "/v1/kill-switch", front.kill_switches, answers.KillSwitchesAnswer),
        Route("POST", "/v1/kill-switch", front.kill, answers.KillSwitchAnswer, KillSwitchRequest),
        Route("DELETE", "/v1/kill-switch", front.reset, answers.KillSwitchAnswer),
        Route("GET", "/v1/limits", front.limits, answers.LimitsAnswer),
        Route("PUT", "/v1/limits", front.put_limits, answers.LimitsAnswer, LimitsRequest),
        Route("GET", "/v1/gate", front.gate, answers.GateAnswer),
        Route("PUT", "/v1/gate", front.put_gate, answers.GateAnswer, GateRequest),
        Route("GET", "/v1/gate/decisions", front.decisions, answers.GateDecisionsAnswer),
        Route("GET", "/v1/strategies", front.strategies, answers.StrategiesAnswer),
        Route("POST", "/v1/strategies", front.register, answers.StrategyAnswer, StrategyRequest),
        Route("DELETE", "/v1/strategies/{strategy:path}", front.deregister, answers.StrategyAnswer),
        Route("POST", "/v1/signals", front.signal, answers.SignalAnswer, SignalRequest),
        Route("GET", "/v1/breakers", front.breakers, answers.BreakersAnswer),
        Route("GET", "/v1/halts", front.halts, answers.HaltsAnswer),
        Route("POST", "/v1/equity/rebase", front.rebase, answers.RebaseAnswer, RebaseRequest),
        Route("GET", "/v1/statistics", front.statistics, answers.StatisticsAnswer),
    ]


def add(app: FastAPI, served: list[Route]) -> None:
    """Lets the app serve these."""
    for route in served:
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            responses=answering(route.answer),
            response_class=Response,
            openapi_extra=None if route.body is None else {"requestBody": body_of(route.body.__name__)},
        )


def _limits(limits: LimitsVersion, account: str | None, status: int = 200) -> Response:
    return Response(answers.limits_answer(limits, account), status, media_type="application/json")


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")
