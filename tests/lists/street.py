"""How does a list fare at a venue that has lists, and how at one that has not? One script, run both ways.

`Native` gives the list to the matching engine. `Emulated` gives the same engine nothing but plain orders, and has the
state machine of risk decide which and when; it stands for risk and execution, with a street that can be slow. Both
watch triggers as risk does: buys by the best ask, sells by the best bid, whenever the book has come to rest.
"""

from __future__ import annotations

import json
from collections import deque
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from bot4_common.messages.risk import Leg
from bot4_common.messages.terms import ListKind, Order, Side
from bot4_exchange_simulator.engine.lines import Session
from bot4_exchange_simulator.engine.profile import shipped
from bot4_risk import contingency
from bot4_risk.contingency import (
    Action,
    Amended,
    AmendFailed,
    Arm,
    Cancel,
    CancelFailed,
    CancelWished,
    Drop,
    Filled,
    News,
    Over,
    Resize,
    Send,
    Triggered,
)

SYMBOL = "BTC-USDT"
WE = "ann"

Fields = dict[str, Any]


# The script: a list, what the account holds before, and what happens. Prices in ticks of 1, quantities in lots of 1.


class Quote(msgspec.Struct, frozen=True):
    """The market maker takes back what it had, and shows this; 0 lots are nothing."""

    bid: int
    ask: int
    bid_lots: int = 5
    ask_lots: int = 5


class Flow(msgspec.Struct, frozen=True):
    """Somebody else's order: to rest, or immediate or cancel, or at the market if it has no price."""

    side: Side
    lots: int
    price: int = 0
    rests: bool = False


class CancelLeg(msgspec.Struct, frozen=True):
    leg: int


class CancelList(msgspec.Struct, frozen=True):
    pass


class AmendLeg(msgspec.Struct, frozen=True):
    leg: int
    lots: int


class Own(msgspec.Struct, frozen=True):
    """Another order of the same account, immediate or cancel at the market."""

    side: Side
    lots: int


class Deliver(msgspec.Struct, frozen=True):
    """A slow street delivers so much of the news that is under way. A fast one has nothing under way."""

    count: int


Step = Quote | Flow | CancelLeg | CancelList | AmendLeg | Own | Deliver


class Script(msgspec.Struct, frozen=True, kw_only=True):
    kind: ListKind
    orders: tuple[Order, ...]
    steps: tuple[Step, ...] = ()
    held: int = 0


class Fate(msgspec.Struct, frozen=True):
    """What became of one leg: what it traded, for how much, and how it ended."""

    filled: int
    paid: int
    end: str  # open, filled, cancelled, expired, rejected


class Outcome(msgspec.Struct, frozen=True):
    """`refused` is why the list was not taken, if it was not."""

    legs: tuple[Fate, ...]
    position: int
    refused: str = ""


class Market:
    """A matching engine that nobody but the script trades at. The market is 99 / 101."""

    def __init__(self) -> None:
        self.session = Session(shipped("margined", stop_trigger="quote"))
        self.do("instrument", symbol=SYMBOL, tick="1", lot="1")
        # 33 is judged at the mark, which is the mid.
        self.do("mark", symbol=SYMBOL, price="100")
        for command in self.commands(Quote(99, 101, 50, 50), 0):
            self.do(**command)

    def do(self, do: str, **fields: object) -> list[Fields]:
        return self.session.step(json.dumps({"do": do, "at": 0, **fields}))

    def order(self, id: str, order: Order) -> Fields:
        fields: Fields = {
            "id": id,
            "symbol": SYMBOL,
            "side": order.side,
            "type": order.type,
            "quantity": str(order.quantity),
            "time_in_force": order.time_in_force,
            "reduce_only": order.reduce_only,
        }
        if order.price is not None:
            fields["price"] = str(order.price)
        if order.stop_price is not None:
            fields["stop_price"] = str(order.stop_price)
        return fields

    def hold(self, lots: int) -> None:
        self.do("position", account=WE, symbol=SYMBOL, quantity=str(lots))

    def touch(self) -> tuple[Decimal | None, Decimal | None]:
        market = self.session.engine.markets[SYMBOL]
        bid, ask = market.bids.top, market.asks.top
        return (None if bid is None else Decimal(bid.price)), (None if ask is None else Decimal(ask.price))

    def position(self) -> int:
        engine = self.session.engine
        return engine.account(WE).holding(engine.markets[SYMBOL]).net

    def is_live(self, id: str) -> bool:
        return id in self.session.engine.account(WE).orders

    def commands(self, step: Step, number: int) -> list[Fields]:
        """What others do, one thing after the other."""
        match step:
            case Quote():
                return [
                    {"do": "cancel_all", "account": "maker", "symbol": SYMBOL},
                    *([_placed("maker", "bid", "buy", step.bid_lots, step.bid, "gtc")] if step.bid_lots else []),
                    *([_placed("maker", "ask", "sell", step.ask_lots, step.ask, "gtc")] if step.ask_lots else []),
                ]
            case Flow():
                in_force = "gtc" if step.rests and step.price else "ioc"
                return [_placed("flow", f"flow{number}", step.side, step.lots, step.price, in_force)]
            case Own():
                return [_placed(WE, f"own{number}", step.side, step.lots, 0, "ioc")]
            case _:
                return []


def _placed(account: str, id: str, side: Side, lots: int, price: int, in_force: str) -> Fields:
    fields: Fields = {
        "do": "place",
        "account": account,
        "id": id,
        "symbol": SYMBOL,
        "side": side,
        "quantity": str(lots),
    }
    fields.update({"type": "limit", "price": str(price)} if price else {"type": "market"})
    return {**fields, "time_in_force": in_force}


class Ledger:
    """What the venue has told of each leg."""

    def __init__(self, legs: int) -> None:
        self.filled = [0] * legs
        self.paid = [0] * legs
        self.ends: list[str] = ["open"] * legs

    def take(self, told: Fields) -> None:
        if told["event"] == "trade":
            for side in ("maker", "taker"):
                if told[f"{side}_account"] == WE and told[side].isdigit():
                    leg = int(told[side])
                    self.filled[leg] += int(told["quantity"])
                    self.paid[leg] += int(told["quantity"]) * int(told["price"])
        elif told.get("account") == WE and told["event"] in ("cancelled", "expired") and told["id"].isdigit():
            self.ends[int(told["id"])] = told["event"]

    def fates(self, live: list[bool]) -> tuple[Fate, ...]:
        ends = ["filled" if end == "open" and not lives else end for end, lives in zip(self.ends, live, strict=True)]
        return tuple(Fate(*each) for each in zip(self.filled, self.paid, ends, strict=True))


class Way(Protocol):
    def run(self, script: Script) -> Outcome: ...


class Native:
    """The venue has lists."""

    def run(self, script: Script) -> Outcome:
        market, ledger = Market(), Ledger(len(script.orders))
        market.hold(script.held)
        legs = [market.order(str(leg), order) for leg, order in enumerate(script.orders)]
        told = market.do("list", account=WE, id="list", kind=script.kind, orders=legs)
        if told[0]["event"] == "rejected" and told[0]["id"] == "list":
            return Outcome((), market.position(), told[0]["code"])
        self._take(told, ledger)
        for number, step in enumerate(script.steps):
            for command in self._asked(step) or market.commands(step, number):
                told = market.do(**command)
                # A refused cancel or amend is the end of nothing.
                asked = command["id"] if command["do"] in ("cancel", "amend") else None
                self._take([each for each in told if each["event"] != "rejected" or each["id"] != asked], ledger)
        return Outcome(ledger.fates([market.is_live(str(leg)) for leg in range(len(legs))]), market.position())

    def _asked(self, step: Step) -> list[Fields]:
        match step:
            case CancelList():
                return [{"do": "cancel", "account": WE, "id": "list"}]
            case CancelLeg(leg=leg):
                return [{"do": "cancel", "account": WE, "id": str(leg)}]
            case AmendLeg(leg=leg, lots=lots):
                return [{"do": "amend", "account": WE, "id": str(leg), "quantity": str(lots)}]
            case _:
                return []

    def _take(self, told: list[Fields], ledger: Ledger) -> None:
        for each in told:
            ledger.take(each)
            # A child that is judged when it arms, or a stop when it triggers.
            if each["event"] == "rejected" and each["account"] == WE and each["id"].isdigit():
                ledger.ends[int(each["id"])] = "rejected"


class Emulated:
    """The venue has none, and no stops either. A slow street keeps news until it is told to deliver."""

    def __init__(self, slow: bool = False) -> None:
        self._slow = slow

    def run(self, script: Script) -> Outcome:
        self.market, self._ledger = Market(), Ledger(len(script.orders))
        self.market.hold(script.held)
        bid, ask = self.market.touch()
        assert bid is not None and ask is not None
        refused = contingency.refusal(script.kind, script.orders, bid, ask)
        if refused is not None:
            return Outcome((), self.market.position(), refused[0])
        legs = [Leg(order_id=str(leg), order=order) for leg, order in enumerate(script.orders)]
        self.contingent = contingency.begun("list", "list", script.kind, False, legs)
        self._orders = {leg.order_id: leg.order for leg in legs}
        self._news: deque[tuple[str, News]] = deque()
        self._left: dict[str, int] = {}  # what is open at the venue, by order
        for leg in self.contingent.legs:
            if leg.state == "working":
                self._act(Send(leg.order_id, leg.quantity))
        self._settle()
        for number, step in enumerate(script.steps):
            self._step(step, number)
            self._settle()
        self._deliver()
        live = [self._lives(leg) for leg in self.contingent.legs]
        return Outcome(self._ledger.fates(live), self.market.position())

    def _lives(self, leg: contingency.Leg) -> bool:
        return self.market.is_live(leg.order_id) or leg.state in contingency.HELD

    def _step(self, step: Step, number: int) -> None:
        match step:
            case CancelList():
                for leg in self.contingent.legs:
                    self._hear(leg.order_id, CancelWished())
            case CancelLeg(leg=number):
                self._hear(str(number), CancelWished())
            case AmendLeg(leg=number, lots=lots):
                self._amend(str(number), Decimal(lots))
            case Deliver(count=count):
                self._deliver(count if self._slow else -1)
            case _:
                for command in self.market.commands(step, number):
                    self._take(self.market.do(**command))
                    self._settle()

    def _amend(self, order_id: str, quantity: Decimal) -> None:
        """One that is held has its new total at once; of the other the venue is asked."""
        state = self.contingent.leg(order_id).state
        if state in contingency.HELD:
            self._hear(order_id, Amended(quantity))
        elif state != "over":
            self._ask_amend(order_id, quantity)

    def _ask_amend(self, order_id: str, quantity: Decimal) -> None:
        told = self.market.do("amend", account=WE, id=order_id, quantity=str(quantity))
        self._take(told)
        if told[-1]["event"] == "rejected":
            self._news.append((order_id, AmendFailed(self.contingent.leg(order_id).quantity)))

    def _settle(self) -> None:
        """A fast street delivers everything; then triggers are looked at, until nothing happens any more."""
        while True:
            if not self._slow:
                self._deliver()
            due = self._due()
            if due is None:
                return
            self._hear(due, Triggered())

    def _due(self) -> str | None:
        bid, ask = self.market.touch()
        for leg in self.contingent.legs:
            order = self._orders[leg.order_id]
            watched = ask if order.side == "buy" else bid
            if leg.state == "watching" and watched is not None and contingency.reached(order, watched, watched):
                return leg.order_id
        return None

    def _deliver(self, count: int = -1) -> None:
        """So much of the news, or all of it and all that comes of it."""
        while self._news and count != 0:
            self._hear(*self._news.popleft())
            count -= 1

    def _hear(self, order_id: str, news: News) -> None:
        if isinstance(news, Filled):
            bid, ask = self.market.touch()
            # Where a side is empty nothing can be behind it.
            passed = contingency.passed_when_armed(
                self.contingent,
                self._orders,
                Decimal(10**9) if bid is None else bid,
                Decimal(0) if ask is None else ask,
            )
            news = msgspec.structs.replace(news, passed=passed)
        actions = contingency.reactions(self.contingent, order_id, news)
        contingency.heard(self.contingent, order_id, news)
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        contingency.done(self.contingent, action)
        order_id = action.order_id
        match action:
            case Cancel():
                told = self.market.do("cancel", account=WE, id=order_id)
                self._take(told)
                if told[-1]["event"] == "rejected":
                    self._news.append((order_id, CancelFailed()))
            case Send(quantity=quantity):
                self._left[order_id] = int(quantity)
                order = self.market.order(order_id, contingency.as_sent(self._orders[order_id], quantity))
                told = self.market.do("place", account=WE, **order)
                self._take(told)
                if told[0]["event"] == "rejected":
                    self._ledger.ends[int(order_id)] = "rejected"
                    self._news.append((order_id, Over()))
            case Resize(quantity=quantity):
                if self.contingent.leg(order_id).state == "working":
                    self._ask_amend(order_id, quantity)
            case Drop(code=code):
                self._ledger.ends[int(order_id)] = "rejected" if code else "cancelled"
            case Arm():
                pass

    def _take(self, told: list[Fields]) -> None:
        """What the venue tells goes on its way to risk."""
        for each in told:
            self._ledger.take(each)
            for order_id, news in self._read(each):
                self._news.append((order_id, news))

    def _read(self, told: Fields) -> list[tuple[str, News]]:
        if told["event"] == "trade":
            found: list[tuple[str, News]] = []
            for side in ("maker", "taker"):
                if told[f"{side}_account"] == WE and told[side].isdigit():
                    found.append((told[side], self._fill(told[side], int(told["quantity"]))))
            return found
        if told.get("account") != WE or not (told["id"] or "").isdigit():
            return []
        if told["event"] in ("amended", "trimmed"):
            self._left[told["id"]] = int(told["quantity"]) - self._ledger.filled[int(told["id"])]
            return [(told["id"], Amended(Decimal(told["quantity"])))]
        return [(told["id"], Over())] if told["event"] in ("cancelled", "expired") else []

    def _fill(self, order_id: str, lots: int) -> Filled:
        self._left[order_id] -= lots
        return Filled(Decimal(lots), whole=self._left[order_id] == 0)
