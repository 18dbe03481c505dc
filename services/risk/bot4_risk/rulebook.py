"""Which rules does risk hold orders to, and how is each of them seen at work? `docs/risk.md` is written from here.

What compares numbers with limits is in `rules`; the others are named here. `tries` are requests, and what
else is done on a command line, all of which a newcomer can do; the last is answered with the rule's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from bot4_risk.rules import RULES

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Request(NamedTuple):
    """`key` is whose: the account's, the operator's, or with the second key besides. `{1}` stands for the first id in
    the answer to the first step, and SOON for a moment."""

    method: Method
    path: str
    body: dict[str, Any] | None = None
    key: Literal["account", "operator", "second"] = "account"


class Command(NamedTuple):
    """What is done in a shell, in the folder that the system was started from."""

    line: str


Step = Request | Command

# The beginning of the second after the next, in ns.
SOON = "{soon}"


class Entry(NamedTuple):
    """`default` is that of the limit, if the rule has one; `system` is how `bot4 up` is to be told of what the rule
    needs, if it needs anything."""

    code: str
    scope: str
    limit: str
    default: str
    formula: str
    example: str
    system: str
    tries: tuple[Step, ...]


def entries() -> Iterator[Entry]:
    for rule in RULES:
        system, tries = _SYSTEMS.get(rule.code, ""), _LIMITED[rule.code]
        yield Entry(rule.code, rule.scope, rule.limit, rule.default, rule.formula, rule.example, system, tries)
    for code, (scope, limit, formula, example, tries) in _OTHERS.items():
        yield Entry(code, scope, limit, "", formula, example, _SYSTEMS.get(code, ""), tries)


def document() -> str:
    """`docs/risk.md`."""
    return "\n".join([_HEAD, *map(_chapter, entries())])


def shell(tries: tuple[Step, ...]) -> str:
    """The steps as lines of a shell that has the keys and `id_of`. An id that a later one needs becomes a variable."""
    lines = [curl(step) if isinstance(step, Request) else step.line for step in tries]
    for number, line in enumerate(lines, 1):
        if any(f"$ID_{number}" in later for later in lines):
            lines[number - 1] = f"ID_{number}=$({line} | id_of)"
    return "\n".join(lines)


def curl(request: Request) -> str:
    header = '-H "X-API-Key: $KEY"' if request.key == "account" else '-H "X-API-Key: $OPERATOR_KEY"'
    if request.key == "second":
        header += ' -H "X-Second-Key: $SECOND_KEY"'
    path = re.sub(r"\{(\d)\}", r"$ID_\1", request.path)
    line = f'curl -s -X {request.method} "$URL{path}" {header}'
    if request.body is None:
        return line
    body = re.sub(r"\{(\d)\}", r"'$ID_\1'", json.dumps(request.body))
    # Whole seconds are all that every shell can tell.
    body = body.replace(f'"{SOON}"', "'$(($(date +%s) + 2))'000000000")
    return f"{line} -d '{body}'"


def _chapter(entry: Entry) -> str:
    lines = [f"## {entry.code}\n\n{entry.formula[:1].upper()}{entry.formula[1:]}.\n", f"* scope: {entry.scope}"]
    if entry.limit:
        default = f" (default {entry.default})" if entry.default else ""
        lines.append(f"* limit: `{entry.limit}`{default}")
    lines.append(f"* example: {entry.example}")
    if entry.system:
        lines.append(f"* takes: `bot4 up {entry.system}`")
    lines.append(f"\n```bash\n{shell(entry.tries)}\n```\n")
    return "\n".join(lines)


_HEAD = """# The rules of risk

Every rule that an order, an amend or a list is held to before it is sent: its code, where its limit stands in the
document of limits, what it computes, and what shows it at work: the last request is refused with its code and with what
explains it. What the gateway can see by itself it refuses with the same code before risk does. Generated from the
source; a test keeps it so, and another does all that stands here.

The limits are one document, `GET` and `PUT /v1/limits`: parts `order`, `symbol`, `strategy`, `account`, `firm`,
`guards` and `gate`, and `symbols`, `strategies` (`account/strategy`) and `accounts` for those that differ. A change is
an event: it holds from where it stands in the journal. An account's equity is its capital (`account.capital`) and what
it has earned, fees and open positions at the mid included; the firm's is the sum.

A system that can show all of them has two venues, and prices from before, here simulated ones; statistics of these are
there some five seconds later (`/v1/statistics`). Where nothing is said, `bot4 up` alone will do. A system that has
begun takes no prices from before, so this one has a folder of its own. Where `.venv` is not activated, `bot4` is
`.venv/bin/bot4`.

```bash
mkdir .bot4-rules && cd .bot4-rules
bot4 venue simulate-history > simulated.csv
bot4 up --detach --venues sim,b --history simulated.csv
```

Then, in the same folder, `id_of` takes the id from an answer, and `back` undoes what an example did: limits, gate and
switches, what is open or held, what was lost, and what the venue did not take meanwhile. Do that before the next one,
and wait a minute before doing the same again: for so long its client order ids are repeats.

```bash
eval "$(bot4 keys --shell)"   # URL, KEY, OPERATOR_KEY, SECOND_KEY and OVERRIDE_KEY
bot4 limits > limits.toml     # what holds now
id_of() { tee /dev/stderr | grep -o '_id":"[^"]*' | head -n 1 | cut -d '"' -f 3; }
back() {
  bot4 limits limits.toml; bot4 gate off tried
  bot4 unkill --scope firm tried; bot4 unkill --strategy try tried; bot4 unkill tried
  bot4 kill --flatten tried
  while curl -s "$URL/v1/positions" "$URL/v1/breakers" -H "X-API-Key: $KEY" |
    grep -q -e '"quantity":"[^"]*[1-9]' -e '"state":"open"'; do sleep 1; done
  bot4 unkill tried
  curl -s -X POST "$URL/v1/equity/rebase" -H "X-API-Key: $OPERATOR_KEY" -d '{"reason": "tried"}'
  curl -s -X POST "$URL/v1/equity/rebase" -H "X-API-Key: $OPERATOR_KEY" -d '{"reason": "tried", "account": "demo"}'
} > /dev/null 2>&1
```
"""


def _order(code: str, number: int = 1, **fields: Any) -> Request:
    """A small order at the market; a field that is None is left out."""
    body = {
        "client_order_id": f"try-{code}-{number}",
        "symbol": "BTC-USDT",
        "side": "buy",
        "type": "market",
        "quantity": "0.01",
        "strategy": "try",
        "stop_loss": "1000",
        **fields,
    }
    return Request("POST", "/v1/orders", {name: value for name, value in body.items() if value is not None})


def _resting(code: str, number: int = 1, **fields: Any) -> Request:
    """A bid so low that it rests."""
    return _order(code, number, **{"type": "limit", "price": "2000", **fields})


def _pair(code: str, limit: str, stop: str, **stopped: str) -> Request:
    """An OCO that sells: at a limit, or when a stop is reached; `stopped` is what is different about that order."""
    leg = {"symbol": "BTC-USDT", "side": "sell", "quantity": "0.01", "strategy": "try", "stop_loss": "10000000"}
    orders = [
        {**leg, "client_order_id": f"try-{code}-1", "type": "limit", "price": limit},
        {**leg, "client_order_id": f"try-{code}-2", "type": "stop_market", "stop_price": stop, **stopped},
    ]
    return Request("POST", "/v1/lists", {"client_list_id": f"try-{code}", "kind": "oco", "orders": orders})


def _limits(**parts: dict[str, Any]) -> Request:
    return Request("PUT", "/v1/limits", {"document": parts, "reason": "try a rule"}, "operator")


def _amend(step: int, query: str = "", **fields: str) -> Request:
    return Request("PATCH", f"/v1/orders/{{{step}}}{query}", fields)


def _fault(kind: str, seconds: int) -> Command:
    return Command(f"bot4 venue fault {kind} --for {seconds}")


def _kill(scope: str) -> Request:
    return Request("POST", "/v1/kill-switch", {"scope": scope, "reason": "try a rule"}, "operator")


def _gate(enabled: bool) -> Request:
    return Request("PUT", "/v1/gate", {"enabled": enabled, "reason": "try a rule"}, "operator")


TINY = "0.000001"
# Lets a bid rest far below the market.
_WIDE: dict[str, Any] = {"price_collar_bps": 9_999}
# So long a client's id is a repeat, however it is used.
A_MINUTE = Command("sleep 61")


def _one(code: str, part: str, **limit: Any) -> tuple[Step, ...]:
    """One limit that the next order breaks."""
    return (_limits(**{part: limit}), _order(code))


def _two_at_once(code: str, part: str) -> tuple[Step, ...]:
    rate = {"orders_per_second": 1, "orders_burst": 1}
    return (_limits(**{part: rate}), _order(code, 1), _order(code, 2))


def _two_open(code: str, part: str) -> tuple[Step, ...]:
    return (_limits(order=_WIDE, **{part: {"open_orders_max": 1}}), _resting(code, 1), _resting(code, 2))


def _after_a_loss(code: str, part: str, limit: str) -> tuple[Step, ...]:
    """Bought and sold again, which costs the spread and the fees."""
    return (
        _order(code, 1),
        _order(code, 2, side="sell", reduce_only=True, stop_loss=None),
        _limits(**{part: {limit: TINY}}),
        _order(code, 3),
    )


_LIMITED: dict[str, tuple[Step, ...]] = {
    "ORDER_RATE": _two_at_once("ORDER_RATE", "account"),
    "STRATEGY_ORDER_RATE": _two_at_once("STRATEGY_ORDER_RATE", "strategy"),
    "FIRM_ORDER_RATE": _two_at_once("FIRM_ORDER_RATE", "firm"),
    "OPEN_ORDERS": _two_open("OPEN_ORDERS", "account"),
    "STRATEGY_OPEN_ORDERS": _two_open("STRATEGY_OPEN_ORDERS", "strategy"),
    "FIRM_OPEN_ORDERS": _two_open("FIRM_OPEN_ORDERS", "firm"),
    "NO_MARKET": _one("NO_MARKET", "order", quote_age_max_ns=1),
    "PRICE_COLLAR": (_resting("PRICE_COLLAR"),),
    "ORDER_QUANTITY": _one("ORDER_QUANTITY", "symbol", order_quantity_max="0.001"),
    "ORDER_SIZE": _one("ORDER_SIZE", "order", notional_max="1"),
    "ORDER_SHARE": _one("ORDER_SHARE", "order", position_percent=TINY),
    "DRAWDOWN": _after_a_loss("DRAWDOWN", "account", "drawdown_percent"),
    "STRATEGY_DRAWDOWN": _after_a_loss("STRATEGY_DRAWDOWN", "strategy", "drawdown_percent"),
    "FIRM_DRAWDOWN": _after_a_loss("FIRM_DRAWDOWN", "firm", "drawdown_percent"),
    "DAILY_LOSS": _after_a_loss("DAILY_LOSS", "account", "daily_loss_percent"),
    "STRATEGY_DAILY_LOSS": _after_a_loss("STRATEGY_DAILY_LOSS", "strategy", "daily_loss_percent"),
    "FIRM_DAILY_LOSS": _after_a_loss("FIRM_DAILY_LOSS", "firm", "daily_loss_percent"),
    "POSITION_LIMIT": _one("POSITION_LIMIT", "symbol", position_percent=TINY),
    "STRATEGY_POSITION": _one("STRATEGY_POSITION", "strategy", position_percent=TINY),
    "FIRM_POSITION": _one("FIRM_POSITION", "firm", position_percent=TINY),
    "GROSS_EXPOSURE": _one("GROSS_EXPOSURE", "account", gross_percent=TINY),
    "NET_EXPOSURE": _one("NET_EXPOSURE", "account", net_percent=TINY),
    "FIRM_GROSS_EXPOSURE": _one("FIRM_GROSS_EXPOSURE", "firm", gross_percent=TINY),
    "FIRM_NET_EXPOSURE": _one("FIRM_NET_EXPOSURE", "firm", net_percent=TINY),
    # With bitcoin held, ether goes with it.
    "CORRELATION": (_order("CORRELATION", 1), _order("CORRELATION", 2, symbol="ETH-USDT", stop_loss="100")),
}

_SYSTEMS = {
    "CORRELATION": "--history simulated.csv",
    "ORDER_TYPE_UNKNOWN": "--venues sim,b",
    "LIST_VENUES_DIFFER": "--venues sim,b",
}

# Twenty times what the market offers, so that it takes seconds to fill whole; and what allows it.
_MORE_THAN_THERE_IS: dict[str, Any] = {"type": "limit", "price": "61000", "quantity": "200"}
_HUGE: dict[str, dict[str, Any]] = {
    "order": {"notional_max": "20000000", "position_percent": "200"},
    "symbol": {"position_percent": "200"},
    "strategy": {"position_percent": "200"},
    "account": {"gross_percent": "200", "net_percent": "200"},
    "firm": {"position_percent": "200", "gross_percent": "200", "net_percent": "200"},
}

_SIGNAL = Request(
    "POST", "/v1/signals", {"strategy": "try", "symbol": "BTC-USDT", "side": "sell", "note": "crossed down"}
)
_REGISTERED = Request("POST", "/v1/strategies", {"strategy": "try"})

# Scope, limit, formula, example, tries.
_OTHERS: dict[str, tuple[str, str, str, str, tuple[Step, ...]]] = {
    "KILL_SWITCH": (
        "firm, account, strategy or symbol",
        "",
        "no engaged kill switch covers the order",
        "with a strategy's switch engaged, its orders are refused, those of the account's other strategies are not",
        (_kill("firm"), _order("KILL_SWITCH")),
    ),
    "KILL_SWITCH_NOT_ENGAGED": (
        "firm, account, strategy or symbol",
        "",
        "a reset needs the second key, a reason, and a switch of just this scope that is engaged",
        "the firm's switch is not reset by resetting the account's",
        (
            Request(
                "DELETE", "/v1/kill-switch", {"scope": "symbol", "symbol": "ETH-USDT", "reason": "try a rule"}, "second"
            ),
        ),
    ),
    "RUNAWAY": (
        "strategy",
        "guards.duplicates_max, guards.executions_max, guards.window_ns",
        "orders of the strategy that are the same but for their ids <= duplicates_max, and its fills on one side of a"
        " symbol <= executions_max, within window_ns; nothing is sent that was not approved, or larger; what breaks it"
        " engages the strategy's kill switch",
        "with duplicates_max 50, the 51st equal order within a second is refused and the strategy stands still",
        (
            _limits(guards={"duplicates_max": 1}),
            _order("RUNAWAY", 1, quantity="0.013"),
            _order("RUNAWAY", 2, quantity="0.013"),
        ),
    ),
    "GATE_NOT_REGISTERED": (
        "order",
        "",
        "while the gate is enabled: the order's strategy is registered",
        "a strategy registers once, by POST /v1/strategies",
        (_gate(True), _order("GATE_NOT_REGISTERED", strategy="mood")),
    ),
    "GATE_NO_SIGNAL": (
        "order",
        "",
        "while the gate is enabled: the order names the signal that caused it, or comes with the override key and a"
        " reason",
        "an order typed by hand is refused; with X-Override-Key and X-Override-Reason it passes, and the journal has"
        " both",
        (_REGISTERED, _gate(True), _order("GATE_NO_SIGNAL")),
    ),
    "GATE_SIGNAL_UNKNOWN": (
        "order",
        "",
        "while the gate is enabled: the signal is one that the account has recorded, among the last 10 000",
        "a signal's id is in the answer to POST /v1/signals",
        (_REGISTERED, _gate(True), _order("GATE_SIGNAL_UNKNOWN", signal="999999-0")),
    ),
    "GATE_SIGNAL_MISMATCH": (
        "order",
        "",
        "while the gate is enabled: strategy, symbol and side of the signal are those of the order",
        "a signal to sell causes no purchase",
        (_REGISTERED, _gate(True), _SIGNAL, _order("GATE_SIGNAL_MISMATCH", signal="{3}")),
    ),
    "GATE_SIGNAL_STALE": (
        "order",
        "gate.signal_age_max_ns",
        "while the gate is enabled: now - the time of the signal <= signal_age_max_ns",
        "with a limit of a minute, what was seen two minutes ago causes no order any more",
        (
            _limits(gate={"signal_age_max_ns": 1}),
            _REGISTERED,
            _gate(True),
            _SIGNAL,
            _order("GATE_SIGNAL_STALE", side="sell", stop_loss="10000000", signal="{4}"),
        ),
    ),
    "STOP_LOSS_REQUIRED": (
        "order",
        "",
        "an order that could open or enlarge a position, if all open ones of its side fill before it, has a stop-loss",
        "with 5 held, selling 5 needs none, selling 8 does",
        (_order("STOP_LOSS_REQUIRED", stop_loss=None),),
    ),
    "STOP_ALREADY_PASSED": (
        "order",
        "",
        "the market is not beyond the stop-loss: bid > stop_loss for a purchase, ask < stop_loss for a sale",
        "at 99 / 101, a purchase with a stop-loss of 99 is refused",
        (_order("STOP_ALREADY_PASSED", stop_loss="10000000"),),
    ),
    "NOTHING_TO_REDUCE": (
        "order",
        "",
        "for a reduce-only order: |position| > what other reduce-only orders of its side claim; the order is cut"
        " to what is left",
        "with 5 held and 3 to be sold reduce-only, another one for 3 is cut to 2, and a third is refused",
        (_order("NOTHING_TO_REDUCE", side="sell", reduce_only=True, stop_loss=None, symbol="ETH-USDT"),),
    ),
    "SELF_TRADE": (
        "account, or trade group",
        "account.self_trade_prevention, account.trade_group",
        "by the mode that the order, or else the account, names (`none` in an order does not turn the account's off):"
        " cancel_new refuses what would meet an open one of the"
        " owner, at any venue and of any strategy; cancel_resting cancels that, cancel_both both, decrement_both takes"
        " the smaller quantity from both, and what has nothing left is refused",
        "with a bid for 5 at 99 resting, selling 3 at 99 is refused under cancel_new",
        (
            _limits(order=_WIDE),
            _resting("SELF_TRADE", 1),
            _resting("SELF_TRADE", 2, side="sell", stop_loss="10000000"),
        ),
    ),
    "ORDER_TYPE_UNKNOWN": (
        "order",
        "",
        "what the venue has not, risk can do in its place: stops are held back until their trigger is reached; trailing"
        " stops are not",
        "a trailing stop at a venue without stops is refused",
        (_order("ORDER_TYPE_UNKNOWN", type="trailing_stop", trail_bps=100, venue="b"),),
    ),
    "DUPLICATE_LIVE_ORDER": (
        "order",
        "",
        "no open order of the account has the client order id; within a minute the id is a repeat, and answered like"
        " the first one",
        "an order that rests for an hour keeps its id for an hour",
        (_limits(order=_WIDE), _resting("DUPLICATE_LIVE_ORDER"), A_MINUTE, _resting("DUPLICATE_LIVE_ORDER")),
    ),
    "UNKNOWN_VENUE": (
        "order",
        "",
        "risk trades at the venue that the order names",
        "the gateway says so before",
        (_order("UNKNOWN_VENUE", venue="nowhere"),),
    ),
    "KEY_REUSED": (
        "order, list",
        "",
        "no other order, list or leg of a list had the id within the last minute",
        "a list is refused if one of its legs has the id of an order",
        (_order("KEY_REUSED"), _pair("KEY_REUSED", limit="61000", stop="59000")),
    ),
    "LIST_LEGS_DIFFER": (
        "list",
        "",
        "legs that are alternatives are of one symbol, side, quantity and strategy",
        "an OCO of 5 and 6 is refused",
        (_pair("LIST_LEGS_DIFFER", limit="61000", stop="59000", quantity="0.02"),),
    ),
    "LIST_PRICES": (
        "list",
        "",
        "alternatives lie on both sides of the market: for sales limit > mid > stop, for purchases the reverse",
        "at 100, an OCO that sells at 99 or, stopped, at 95 is refused",
        (_pair("LIST_PRICES", limit="59000", stop="58000"),),
    ),
    "DUPLICATE_LIVE_LIST": (
        "list",
        "",
        "no live list of the account has the client list id; within a minute the id is a repeat, and answered like the"
        " first one",
        "a list of which an order rests for an hour keeps its id for an hour",
        (
            _limits(order=_WIDE),
            _pair("DUPLICATE_LIVE_LIST", limit="110000", stop="10000"),
            A_MINUTE,
            _pair("DUPLICATE_LIVE_LIST", limit="110000", stop="10000"),
        ),
    ),
    "LIST_VENUES_DIFFER": (
        "list",
        "",
        "all legs go to one venue",
        "an OCO of which one leg is for the venue `b` is refused",
        (_pair("LIST_VENUES_DIFFER", limit="61000", stop="59000", venue="b"),),
    ),
    "AMEND_NOTHING": (
        "amend",
        "",
        "an amend names another quantity or price, and a price only of an order that has one",
        "an empty amend is refused",
        (
            _limits(order=_WIDE),
            _resting("AMEND_NOTHING"),
            _amend(2),
        ),
    ),
    "AMEND_IN_FLIGHT": (
        "amend",
        "",
        "no other amend, and no cancel, of the order is on its way to the venue",
        "with the line to the venue cut, a second amend is refused, and may be repeated when the first is answered",
        (
            _limits(order=_WIDE),
            _resting("AMEND_IN_FLIGHT"),
            _fault("disconnect", 3),
            _amend(2, "?ack=risk", quantity="0.009"),
            _amend(2, quantity="0.008"),
        ),
    ),
    "CLOSES_A_POSITION": (
        "amend, cancel",
        "",
        "the order is not one by which risk closes a position",
        "what a kill switch closes with is neither made smaller nor cancelled; nor is the exit of a stop",
        (
            _order("CLOSES_A_POSITION"),
            _fault("disconnect", 3),
            Request("POST", "/v1/kill-switch", {"flatten": True, "reason": "try a rule"}),
            Request("GET", "/v1/orders?status=open"),
            Request("DELETE", "/v1/orders/{4}"),
        ),
    ),
    "BELOW_FILLED": (
        "amend",
        "",
        "new total >= what is filled; equal ends the order",
        "with 5 of 10 filled, 4 is refused",
        (
            _limits(**_HUGE),
            _order("BELOW_FILLED", **_MORE_THAN_THERE_IS),
            Command("sleep 0.5"),
            _amend(2, quantity="0.01"),
        ),
    ),
    "REPLACE_STOPPED": (
        "replace",
        "",
        "with stop_on_failure: the old order was cancelled; had it filled first, nothing takes its place",
        "the old order expires while its venue takes no cancels; and a leg of a list cannot be replaced at all",
        (
            _limits(order=_WIDE),
            _fault("cancel_down", 5),
            _resting("REPLACE_STOPPED", 1, time_in_force="gtd", expire_at=SOON),
            Command("sleep 0.5"),
            Request("POST", "/v1/orders/{3}/replace", {"order": _resting("REPLACE_STOPPED", 2).body}),
        ),
    ),
    "ORDER_IS_OVER": (
        "cancel, amend, replace",
        "",
        "the order is open",
        "what is filled is not amended",
        (_order("ORDER_IS_OVER"), _amend(1, quantity="0.02")),
    ),
    "LIMITS_VERSION": (
        "limits",
        "",
        "`replaces`, if it is said, is the version in force",
        "two operators who change version 4 at once: the second is told that 5 is in force",
        (Request("PUT", "/v1/limits", {"document": {}, "reason": "try a rule", "replaces": 999_999}, "operator"),),
    ),
}


if __name__ == "__main__":
    print(document(), end="")
