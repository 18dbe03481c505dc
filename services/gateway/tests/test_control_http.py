"""Does holding trading back take the keys it should, and is it told as the document promises?"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bot4_common import streams
from bot4_common.limits import to_toml, written
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.cost import StatisticsPublished
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.gateway import EngageKillSwitch, PlaceOrder, ResetKillSwitch, SetLimits
from bot4_common.messages.limits import AccountLimits, LimitsDocument, StrategyLimits
from bot4_common.messages.risk import (
    EquityRebased,
    GateChanged,
    GateDecided,
    HaltChanged,
    KillSwitchEngaged,
    KillSwitchReset,
    LimitsChanged,
    SignalAccepted,
    SignalRefused,
    StrategyRegistered,
)
from bot4_gateway.control_requests import LIMITS_BODY_MAX
from services.gateway.tests.street import ANN, BOB, BTC, passing
from services.gateway.tests.web import BODY, KEY, OLGA, Web, check_error, over_http

SECOND = {"X-Second-Key": KEY}
LESS = LimitsDocument(
    account=AccountLimits(gross_percent=Decimal("7.5")),
    accounts={ANN: AccountLimits(), BOB: AccountLimits()},
    strategies={f"{ANN}/trend": StrategyLimits(), f"{BOB}/trend": StrategyLimits()},
)
# What the key of an account does not open.
OPERATORS_ONLY: list[tuple[str, str, Any]] = [
    ("POST", "/v1/kill-switch", {"reason": "x", "scope": "firm"}),
    ("POST", "/v1/kill-switch", {"reason": "x", "scope": "symbol", "symbol": BTC}),
    ("POST", "/v1/kill-switch", {"reason": "x", "account": BOB}),
    ("DELETE", "/v1/kill-switch", {"reason": "x", "scope": "firm"}),
    ("PUT", "/v1/limits", {"reason": "x", "document": {}}),
    ("PUT", "/v1/gate", {"reason": "x", "enabled": False}),
    ("POST", "/v1/strategies", {"strategy": "trend", "account": BOB}),
    ("POST", "/v1/equity/rebase", {"reason": "x"}),
]


async def answered(asking: Any, web: Web, *said: AnyEvent) -> httpx.Response:
    """The answer to a request, to whose command risk says this. It is the last one in the journal."""
    request = asyncio.ensure_future(asking)
    await passing(0.1)
    await web.street.risk.says(*said, of=f"{len(web.street.frames())}-0")
    response: httpx.Response = await request
    return response


async def told(web: Web, *said: AnyEvent) -> None:
    await web.street.risk.says(*said)
    await passing(0.1)


# Who may


@pytest.mark.parametrize(("method", "path", "body"), OPERATORS_ONLY)
def test_what_concerns_others_takes_an_operator(method: str, path: str, body: Any) -> None:
    async def story(web: Web) -> None:
        check_error(await web.ann.request(method, path, json=body), "FORBIDDEN")
        assert web.street.asked() == []

    over_http(story)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *sorted({(method, path) for method, path, _ in OPERATORS_ONLY}),
        ("POST", "/v1/signals"),
        ("DELETE", "/v1/strategies/trend"),
        *(
            ("GET", f"/v1/{path}")
            for path in (
                "kill-switch", "limits", "gate", "gate/decisions", "strategies", "breakers", "halts", "statistics",
            )
        ),
    ],
)  # fmt: skip
def test_without_a_known_key_nothing_is_told_or_done(method: str, path: str) -> None:
    async def story(web: Web) -> None:
        check_error(await web.stranger.request(method, path), "UNAUTHENTICATED")
        del web.stranger.headers["X-API-Key"]
        check_error(await web.stranger.request(method, path), "UNAUTHENTICATED")

    over_http(story)


def test_an_operator_trades_for_nobody() -> None:
    async def story(web: Web) -> None:
        check_error(await web.olga.post("/v1/orders", json=BODY), "FORBIDDEN", needs="the key of an account")
        signal = {"strategy": "trend", "symbol": BTC, "side": "buy"}
        check_error(await web.olga.post("/v1/signals", json=signal), "FORBIDDEN")

    over_http(story)


@pytest.mark.parametrize("account", ["", "carl"])
def test_an_operator_has_to_name_an_account_that_there_is(account: str) -> None:
    async def story(web: Web) -> None:
        body = {"reason": "x", "account": account}
        check_error(await web.olga.post("/v1/kill-switch", json=body), "BAD_FIELD", field="account")
        assert web.street.asked() == []

    over_http(story)


def test_an_operator_reads_what_any_account_has() -> None:
    async def story(web: Web) -> None:
        order_id = await web.bought()
        for path in (f"orders/{order_id}?", "orders?status=all&", "fills?", "positions?", "pnl?"):
            url = f"/v1/{path}account={ANN}"
            assert (await web.olga.get(url)).json() == (await web.ann.get(url)).json()
            check_error(await web.bob.get(url), "FORBIDDEN")
            check_error(await web.olga.get(f"/v1/{path}"), "BAD_FIELD", field="account")
        check_error(await web.olga.delete(f"/v1/orders/{order_id}?account={ANN}"), "FORBIDDEN")
        assert (await web.olga.get("/v1/instruments")).status_code == 200

    over_http(story)


# Kill switches


def test_the_kill_switch_of_an_account_is_engaged_shown_and_reset() -> None:
    async def story(web: Web) -> None:
        killing = web.ann.post("/v1/kill-switch", json={"reason": "enough"})
        killed = await answered(killing, web, KillSwitchEngaged(account=ANN, reason="enough", by=ANN))
        assert (killed.status_code, killed.json()["engaged"], killed.json()["scope"]) == (200, True, "account")
        shown = (await web.ann.get("/v1/kill-switch")).json()
        assert (shown["account"], shown["engaged"], shown["reason"]) == (ANN, True, "enough")
        assert shown["switches"] == [killed.json()]
        assert (await web.bob.get("/v1/kill-switch")).json()["switches"] == []
        resetting = web.ann.delete("/v1/kill-switch?reason=calm", headers=SECOND)
        reset = await answered(resetting, web, KillSwitchReset(account=ANN, reason="calm", by=ANN))
        assert (reset.status_code, reset.json()["engaged"], reset.json()["reason"]) == (200, False, "calm")
        assert web.street.asked() == [
            EngageKillSwitch(account=ANN, reason="enough", by=ANN),
            ResetKillSwitch(account=ANN, reason="calm", by=ANN),
        ]

    over_http(story)


@pytest.mark.parametrize(
    ("body", "of"),
    [
        ({"scope": "firm"}, {"account": ""}),
        ({"scope": "symbol", "symbol": BTC}, {"account": "", "symbol": BTC}),
        ({"scope": "account", "account": ANN}, {"account": ANN}),
        ({"scope": "strategy", "account": ANN, "strategy": "trend"}, {"account": ANN, "strategy": "trend"}),
    ],
)
def test_an_operator_stops_anything_and_everybody_concerned_sees_it(body: dict[str, Any], of: dict[str, str]) -> None:
    async def story(web: Web) -> None:
        killing = web.olga.post("/v1/kill-switch", json={"reason": "enough", "flatten": True, **body})
        fields: dict[str, Any] = {"reason": "enough", "scope": body["scope"], "flatten": True, "by": OLGA, **of}
        killed = await answered(killing, web, KillSwitchEngaged(**fields))
        assert web.street.asked() == [EngageKillSwitch(**fields)]
        for client, concerned in ((web.ann, True), (web.olga, True), (web.bob, not of["account"])):
            seen = (await client.get("/v1/kill-switch")).json()["switches"]
            assert seen == ([killed.json()] if concerned else [])
        del fields["flatten"]
        query = {**body, "reason": "calm"}
        resetting = web.olga.delete("/v1/kill-switch", params=query, headers=SECOND)
        reset = await answered(resetting, web, KillSwitchReset(**{**fields, "reason": "calm"}))
        assert (reset.status_code, reset.json()["engaged"]) == (200, False)
        assert (await web.olga.get("/v1/kill-switch")).json()["switches"] == []

    over_http(story)


def test_a_reset_takes_the_second_key_and_says_how_it_is_presented() -> None:
    async def story(web: Web) -> None:
        await told(web, KillSwitchEngaged(account=ANN, reason="enough"))
        url = "/v1/kill-switch?reason=calm"
        check_error(await web.ann.delete(url), "SECOND_KEY", header="X-Second-Key")
        check_error(await web.ann.delete(url, headers={"X-Second-Key": "guess"}), "SECOND_KEY")
        assert web.street.asked() == []
        for _ in range(4):
            await web.ann.delete(url, headers={"X-Second-Key": "guess"})
        response = await web.ann.delete(url, headers=SECOND)
        check_error(response, "TOO_MANY_ATTEMPTS")
        assert response.headers["retry-after"]

    over_http(story)


def test_a_reset_takes_a_reason_and_may_be_asked_for_in_a_body() -> None:
    async def story(web: Web) -> None:
        await told(web, KillSwitchEngaged(account=ANN, reason="enough"))
        check_error(await web.ann.delete("/v1/kill-switch", headers=SECOND), "BAD_FIELD", field="reason")
        body = {"reason": "calm"}
        resetting = web.ann.request("DELETE", "/v1/kill-switch", json=body, headers=SECOND)
        reset = await answered(resetting, web, KillSwitchReset(account=ANN, reason="calm"))
        assert reset.json()["engaged"] is False

    over_http(story)


def test_what_risk_has_not_confirmed_is_202() -> None:
    async def story(web: Web) -> None:
        response = await web.ann.post("/v1/kill-switch", json={"reason": "enough"})
        assert (response.status_code, response.json()["engaged"]) == (202, False)

    over_http(story)


# Limits


def limited(version: int, document: LimitsDocument = LESS) -> LimitsChanged:
    return LimitsChanged(version=version, document=document, reason="less", source=OLGA, at=5)


def test_limits_are_set_shown_whole_and_remembered() -> None:
    async def story(web: Web) -> None:
        before = (await web.olga.get("/v1/limits")).json()
        assert (before["version"], before["document"]) == (0, written(LimitsDocument()))
        body = {"document": written(LESS), "reason": "less", "replaces": 0}
        put = await answered(web.olga.put("/v1/limits", json=body), web, limited(1))
        assert put.status_code == 200
        assert put.json() == {
            "version": 1,
            "effective_at": "RISK_0:1",
            "at": 5,
            "source": OLGA,
            "reason": "less",
            "document": written(LESS),
        }
        assert web.street.asked() == [SetLimits(document=LESS, reason="less", by=OLGA)]
        await told(web, limited(2, LimitsDocument()))
        assert (await web.olga.get("/v1/limits")).json()["version"] == 2
        assert (await web.olga.get("/v1/limits?version=1")).json() == put.json()
        check_error(await web.olga.get("/v1/limits?version=9"), "NOT_FOUND", version="9")

    over_http(story)


@pytest.mark.parametrize("kind", ["application/toml", "application/TOML; charset=utf-8"])
def test_limits_may_be_written_as_toml(kind: str) -> None:
    async def story(web: Web) -> None:
        headers = {"Content-Type": kind}
        putting = web.olga.put("/v1/limits?reason=less&replaces=3", content=to_toml(LESS), headers=headers)
        assert (await answered(putting, web, limited(4))).json()["document"] == written(LESS)
        assert web.street.asked() == [SetLimits(document=LESS, reason="less", by=OLGA, replaces=3)]

    over_http(story)


def test_an_account_is_shown_the_limits_that_concern_it() -> None:
    async def story(web: Web) -> None:
        await told(web, limited(1))
        seen = (await web.ann.get("/v1/limits")).json()["document"]
        assert (list(seen["accounts"]), list(seen["strategies"])) == ([ANN], [f"{ANN}/trend"])
        assert seen["account"]["gross_percent"] == "7.5"

    over_http(story)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"reason": "x", "document": {"account": {"gross_percent": "-1"}}}', "BAD_LIMITS", "account.gross_percent"),
        (b'{"reason": "x", "document": {"account": {"gross_percent": 2.5}}}', "BAD_LIMITS", "account.gross_percent"),
        (b'{"reason": "x", "document": {"symbols": {"DOGE": {}}}}', "BAD_LIMITS", "symbols.DOGE"),
        (b'{"reason": "x"}', "BAD_LIMITS", "document"),
        (b'{"reason": "", "document": {}}', "BAD_FIELD", "reason"),
        (b'{"reason": "x", "document": {}, "replaces": -1}', "BAD_FIELD", "replaces"),
        (b'{"reason": "x", "document": {}, "colour": "red"}', "BAD_BODY", None),
        (b"[account]\ngross_percent = 2.5", "BAD_BODY", None),
        (b" " * (LIMITS_BODY_MAX + 1), "BODY_TOO_LARGE", None),
    ],
)
def test_bad_limits_are_refused_by_the_field_and_not_journaled(body: bytes, code: str, field: str | None) -> None:
    async def story(web: Web) -> None:
        details = {} if field is None else {"field": field}
        check_error(await web.olga.put("/v1/limits", content=body), code, **details)
        assert web.street.asked() == []

    over_http(story)


@pytest.mark.parametrize("body", [b"[account", b"\xff", b"[account]\ngross_percent = -1", b'reason = "x"'])
def test_bad_toml_is_refused(body: bytes) -> None:
    async def story(web: Web) -> None:
        headers = {"Content-Type": "application/toml"}
        response = await web.olga.put("/v1/limits?reason=x", content=body, headers=headers)
        assert response.json()["code"] in ("BAD_LIMITS", "BAD_BODY")
        assert web.street.asked() == []

    over_http(story)


# The gate


def test_the_gate_is_turned_on_and_shown_to_everybody() -> None:
    async def story(web: Web) -> None:
        assert (await web.ann.get("/v1/gate")).json()["enabled"] is False
        putting = web.olga.put("/v1/gate", json={"enabled": True, "reason": "rules"})
        put = await answered(putting, web, GateChanged(enabled=True, reason="rules", by=OLGA))
        assert (put.status_code, put.json()["enabled"], put.json()["by"]) == (200, True, OLGA)
        assert (await web.ann.get("/v1/gate")).json() == put.json()

    over_http(story)


def decided(order_id: str, account: str, decision: Any, strategy: str = "trend") -> GateDecided:
    return GateDecided(order_id=order_id, account=account, strategy=strategy, decision=decision, reason="why")


def test_what_the_gate_said_is_told_newest_first_to_whom_it_concerns() -> None:
    async def story(web: Web) -> None:
        await told(
            web,
            decided("1-0", ANN, "passed"),
            decided("2-0", BOB, "refused"),
            decided("3-0", ANN, "overridden", "range"),
        )

        async def ids(client: httpx.AsyncClient, query: str = "") -> list[str]:
            answer = (await client.get(f"/v1/gate/decisions{query}")).json()
            return [each["order_id"] for each in answer["decisions"]]

        assert await ids(web.ann) == ["3-0", "1-0"]
        assert await ids(web.olga) == ["3-0", "2-0", "1-0"]
        assert await ids(web.olga, "?decision=refused") == ["2-0"]
        assert await ids(web.ann, "?strategy=trend") == ["1-0"]
        assert await ids(web.olga, "?limit=1") == ["3-0"]

    over_http(story)


def test_a_strategy_is_registered_shown_and_removed() -> None:
    async def story(web: Web) -> None:
        body = {"strategy": "trend/1"}
        made = await answered(
            web.ann.post("/v1/strategies", json=body), web, StrategyRegistered(account=ANN, strategy="trend/1")
        )
        assert (made.status_code, made.json()["registered"]) == (200, True)
        assert (await web.ann.get("/v1/strategies")).json() == {"strategies": [made.json()]}
        assert (await web.olga.get("/v1/strategies")).json() == {"strategies": [made.json()]}
        assert (await web.bob.get("/v1/strategies")).json() == {"strategies": []}
        removing = web.olga.delete(f"/v1/strategies/trend/1?account={ANN}")
        gone = await answered(removing, web, StrategyRegistered(account=ANN, strategy="trend/1", registered=False))
        assert gone.json()["registered"] is False

    over_http(story)


def test_a_signal_gets_an_id_that_orders_can_name() -> None:
    async def story(web: Web) -> None:
        body = {"strategy": "trend", "symbol": BTC, "side": "buy", "note": "crossed"}
        taken = SignalAccepted(signal_id="1-0", account=ANN, strategy="trend", symbol=BTC, side="buy", at=1)
        made = await answered(web.ann.post("/v1/signals", json=body), web, taken)
        assert (made.status_code, made.json()["signal_id"], made.json()["accepted"]) == (201, "1-0", True)
        refused = SignalRefused(
            signal_id="2-0", account=ANN, strategy="trend", code="GATE_NOT_REGISTERED", details={"strategy": "trend"}
        )
        check_error(
            await answered(web.ann.post("/v1/signals", json=body), web, refused),
            "GATE_NOT_REGISTERED",
            strategy="trend",
        )

    over_http(story)


OVERRIDE = {"X-Override-Key": KEY, "X-Override-Reason": "the feed lags"}


def test_an_override_is_journaled_as_its_reason_and_without_the_key() -> None:
    async def story(web: Web) -> None:
        placed = await web.ann.post("/v1/orders?ack=journaled", json=BODY, headers=OVERRIDE)
        assert placed.status_code == 201
        (asked,) = web.street.asked()
        assert isinstance(asked, PlaceOrder) and asked.override == "the feed lags"
        assert not any(KEY.encode() in record.data for record in web.street.broker.streams[streams.GATEWAY])

    over_http(story)


@pytest.mark.parametrize(
    "headers",
    [
        {**OVERRIDE, "X-Override-Key": "guess"},
        {"X-Override-Key": KEY},
        {**OVERRIDE, "X-Override-Reason": " "},
        {**OVERRIDE, "X-Override-Reason": "x" * 201},
    ],
)
def test_an_override_takes_the_right_key_and_a_reason(headers: dict[str, str]) -> None:
    async def story(web: Web) -> None:
        check_error(await web.ann.post("/v1/orders?ack=journaled", json=BODY, headers=headers), "OVERRIDE_KEY")
        assert web.street.asked() == []

    over_http(story)


# What stops by itself


def test_breakers_are_closed_until_they_change() -> None:
    async def story(web: Web) -> None:
        change = BreakerChanged(
            name="sim", before="closed", after="open", at=7, samples=10, failures=6, changes=11, flapping=True
        )
        await web.street.execution.says(change)
        await passing(0.1)
        shown = {each["name"]: each for each in (await web.ann.get("/v1/breakers")).json()["breakers"]}
        assert {name: each["state"] for name, each in shown.items()} == {
            "sim": "open",
            "fuse": "closed",
            "gateway-0/log": "closed",
            "gateway-0/cost-model": "closed",
        }
        sim = shown["sim"]
        assert (sim["changes"], sim["changes_lately"], sim["flapping"], sim["since"]) == (1, 11, True, 7)

    over_http(story)


def halted(scope: Any, name: str) -> HaltChanged:
    value, limit, base = Decimal("15.50"), Decimal(15), Decimal("1E+6")
    return HaltChanged(scope=scope, name=name, rule="drawdown", halted=True, value=value, limit=limit, base=base, at=3)


def test_halts_are_told_to_whom_they_concern() -> None:
    async def story(web: Web) -> None:
        await told(web, halted("firm", ""), halted("account", ANN), halted("strategy", f"{BOB}/trend"))

        async def names(client: httpx.AsyncClient) -> list[str]:
            return [each["name"] for each in (await client.get("/v1/halts")).json()["halts"]]

        assert await names(web.ann) == ["", ANN]
        assert await names(web.bob) == ["", f"{BOB}/trend"]
        assert await names(web.olga) == ["", ANN, f"{BOB}/trend"]
        first = (await web.ann.get("/v1/halts")).json()["halts"][0]
        assert (first["value"], first["limit"], first["base"]) == ("15.5", "15", "1000000")

    over_http(story)


def test_equity_is_rebased() -> None:
    async def story(web: Web) -> None:
        body = {"reason": "new month", "account": ANN}
        rebased = EquityRebased(account=ANN, reason="new month", by=OLGA, at=1)
        response = await answered(web.olga.post("/v1/equity/rebase", json=body), web, rebased)
        assert response.json() == {"account": ANN, "reason": "new month", "rebased": True}
        unknown = {"reason": "new month", "account": "carl"}
        check_error(await web.olga.post("/v1/equity/rebase", json=unknown), "BAD_FIELD", field="account")

    over_http(story)


def test_statistics_are_told_as_last_published() -> None:
    async def story(web: Web) -> None:
        assert (await web.ann.get("/v1/statistics")).json()["version"] == 0
        await web.street.costs.says(
            StatisticsPublished(
                version=3, sampled_to=9, interval_ns=1, symbols=[], correlations=[[Decimal("1.0")]], at=9
            )
        )
        await passing(0.1)
        shown = (await web.ann.get("/v1/statistics")).json()
        assert (shown["version"], shown["correlations"]) == (3, [["1"]])

    over_http(story)


def test_figures_show_what_holds_trading_back() -> None:
    async def story(web: Web) -> None:
        await told(
            web,
            KillSwitchEngaged(account="", reason="x", scope="symbol", symbol=BTC),
            GateChanged(enabled=True, reason="x", by=OLGA),
            decided("1-0", ANN, "refused"),
            limited(4),
            halted("firm", ""),
        )
        change = BreakerChanged(name="fuse", before="closed", after="open", at=7, samples=10, failures=6)
        await web.street.execution.says(change)
        await passing(0.1)
        shown = (await web.stranger.get("/metrics")).text
        for line in (
            'bot4_kill_switches_engaged{scope="symbol",service="gateway-0"} 1.0',
            'bot4_kill_switches_engaged{scope="firm",service="gateway-0"} 0.0',
            'bot4_gate_enabled{service="gateway-0"} 1.0',
            'bot4_gate_decisions_total{decision="refused",service="gateway-0"} 1.0',
            'bot4_gate_decisions_total{decision="overridden",service="gateway-0"} 0.0',
            'bot4_limits_version{service="gateway-0"} 4.0',
            'bot4_halts{scope="firm",service="gateway-0"} 1.0',
            'bot4_breaker_state{breaker="fuse",service="gateway-0"} 2.0',
            'bot4_breaker_state{breaker="gateway-0/log",service="gateway-0"} 0.0',
            'bot4_breaker_changes_total{breaker="fuse",service="gateway-0"} 1.0',
            'bot4_breaker_flapping{breaker="fuse",service="gateway-0"} 0.0',
        ):
            assert line in shown, line

    over_http(story)


def test_the_document_describes_the_bodies() -> None:
    async def story(web: Web) -> None:
        paths = (await web.stranger.get("/openapi.json")).json()["paths"]
        for path, method, body in (
            ("/v1/kill-switch", "post", "KillSwitchRequest"),
            ("/v1/limits", "put", "LimitsRequest"),
            ("/v1/gate", "put", "GateRequest"),
            ("/v1/signals", "post", "SignalRequest"),
            ("/v1/equity/rebase", "post", "RebaseRequest"),
        ):
            schema = paths[path][method]["requestBody"]["content"]["application/json"]["schema"]
            assert schema == {"$ref": f"#/components/schemas/{body}"}
        assert "/v1/strategies/{strategy}" in paths

    over_http(story)
