"""What may a client conclude from the events alone? Its orders, positions and money, and the prices that were paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Command = dict[str, Any]
Event = dict[str, Any]
ZERO = Decimal(0)


@dataclass
class Group:
    """A list, and those of its orders that were taken."""

    kind: str
    orders: list[Known] = field(default_factory=list)


@dataclass
class Known:
    """An order as its account knows it."""

    account: str
    id: str
    terms: Command
    quantity: Decimal
    group: Group | None = None
    executed: Decimal = ZERO
    prevented: Decimal = ZERO
    most: Decimal = ZERO  # the largest total it ever had
    triggers: int = 0
    live: bool = True
    ended: Decimal = ZERO  # what was left when it was cancelled or expired

    def resize(self, quantity: Decimal) -> None:
        self.quantity = quantity
        self.most = max(self.most, quantity)

    @property
    def open(self) -> Decimal:
        return self.quantity - self.executed - self.prevented if self.live else ZERO

    @property
    def sign(self) -> int:
        return 1 if self.terms["side"] == "buy" else -1


@dataclass
class Ledger:
    """Folds commands and their events. It asserts what no event may ever contradict."""

    live: dict[tuple[str, str], Known] = field(default_factory=dict)
    over: list[Known] = field(default_factory=list)
    positions: defaultdict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    balances: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    _terms: dict[tuple[str, str], tuple[Command, Group | None]] = field(default_factory=dict)
    _asked: set[tuple[str | None, str | None]] = field(default_factory=set)

    def apply(self, command: Command, events: list[Event]) -> None:
        self.ask(command)
        for event in events:
            self.hear(event)
        self._close_amounts()

    def known(self) -> Iterator[Known]:
        yield from self.over
        yield from self.live.values()

    # What was asked.

    def ask(self, command: Command) -> None:
        self._close_amounts()
        if command["do"] == "position":
            self.positions[command["account"], command["symbol"]] = Decimal(command["quantity"])
        elif command.get("balances") is not None:
            self.balances[command["account"]] = {a: Decimal(held) for a, held in command["balances"].items()}
        group = Group(command["kind"]) if command["do"] == "list" else None
        orders = command["orders"] if group else [command["order"] if command["do"] == "replace" else command]
        for order in orders:
            if "side" in order:
                self._terms[command["account"], order["id"]] = order, group
        self._asked = {(command.get("account"), each.get("id")) for each in (command, *orders)}

    def hear(self, event: Event) -> None:
        change = getattr(self, f"_{event['event']}", None)
        if change is not None:
            change(event)

    # What happened.

    def _accepted(self, event: Event) -> None:
        key = event["account"], event["id"]
        assert key not in self.live
        self._asked.discard(key)
        terms, group = self._terms[key]
        # An order by amount may buy any quantity; nobody knows which before it is over.
        quantity = Decimal(terms["quantity"]) if terms.get("quote_quantity") is None else Decimal("Infinity")
        self.live[key] = known = Known(*key, terms, quantity, group)
        known.resize(known.quantity)
        if group is not None:
            group.orders.append(known)

    def _rejected(self, event: Event) -> None:
        """What the command asked for is refused; or an order that was taken, when it triggers or its parent arms it."""
        key = event["account"], event["id"]
        if key in self.live and key not in self._asked:
            self._end(self.live[key])

    def _triggered(self, event: Event) -> None:
        self.live[event["account"], event["id"]].triggers += 1

    def _trade(self, event: Event) -> None:
        quantity, price = Decimal(event["quantity"]), Decimal(event["price"])
        assert quantity > 0
        maker, taker = self.maker(event), self.taker(event)
        assert taker.sign == (1 if event["taker_side"] == "buy" else -1) == -maker.sign
        for known in (maker, taker):
            known.executed += quantity
            assert known.executed + known.prevented <= known.quantity
            self.positions[known.account, event["symbol"]] += known.sign * quantity
            if known.account in self.balances:
                held = self.balances[known.account]
                base, quote = event["symbol"].split("-")
                held[base] = held.get(base, ZERO) + known.sign * quantity
                held[quote] = held.get(quote, ZERO) - known.sign * quantity * price
            if known.open == 0:
                self._end(known)

    def _prevented(self, event: Event) -> None:
        """Only decrement-both leaves anything of the two; what the other modes remove expires next."""
        taker = self.taker(event)
        if taker.terms["self_trade_prevention"] == "decrement_both":
            for known in (self.maker(event), taker):
                known.prevented += Decimal(event["quantity"])

    def maker(self, event: Event) -> Known:
        return self.live[event["maker_account"], event["maker"]]

    def taker(self, event: Event) -> Known:
        return self.live[event["taker_account"], event["taker"]]

    def _amended(self, event: Event) -> None:
        known = self.live[event["account"], event["id"]]
        known.resize(Decimal(event["quantity"]))
        known.terms = {**known.terms, "price": event["price"]}

    def _trimmed(self, event: Event) -> None:
        known = self.live[event["account"], event["id"]]
        assert Decimal(event["quantity"]) < known.quantity
        known.resize(Decimal(event["quantity"]))

    def _close_amounts(self) -> None:
        """An order by amount that has bought something is over with its command; that it is filled needs no event."""
        filled = [known for known in self.live.values() if not known.quantity.is_finite() and known.executed]
        for known in filled:
            self._end(known)

    def _cancelled(self, event: Event) -> None:
        self._end(self.live[event["account"], event["id"]])

    _expired = _cancelled

    def _end(self, known: Known) -> None:
        known.ended = known.open
        known.live = False
        self.over.append(self.live.pop((known.account, known.id)))
