"""What does the naive venue know? Every order there ever was, and a few facts about each symbol and account."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from bot4_common.money import plain

Event = dict[str, Any]
Command = dict[str, Any]

# pending: waits for the parent of its list. armed: a stop that waits for its trigger. queued: elected or armed in this
# step, waits until the sweep before it is done. taking: sweeps now. resting: in the book. over: never again.
Phase = Literal["pending", "armed", "queued", "taking", "resting", "over"]

ZERO = Decimal(0)
STOPS = ("stop_market", "stop_limit", "take_profit_market", "take_profit_limit", "trailing_stop")


@dataclass
class Instrument:
    """A symbol, its steps and the filters it sets; a filter that is None lets everything through."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    filters: dict[str, Decimal]


@dataclass
class Account:
    """Balances of None are unlimited: nobody said what the account has."""

    name: str
    balances: dict[str, Decimal] | None = None
    trade_group: str | None = None


@dataclass(eq=False)
class Order:
    """One order from its acceptance to its end. `quantity` is its total: what was asked, as amended and trimmed."""

    account: str
    id: str
    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: str = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    display_quantity: Decimal | None = None
    stop_price: Decimal | None = None
    trail_bps: Decimal | None = None
    activation_price: Decimal | None = None
    self_trade_prevention: str = "none"
    expire_at: int | None = None
    quote_quantity: Decimal | None = None

    phase: Phase = "pending"
    executed: Decimal = ZERO
    prevented: Decimal = ZERO
    spent: Decimal = ZERO  # quote currency, for a market order by quote amount
    serial: int = 0  # how many orders were accepted before it
    priority: int = 0  # drawn anew whenever it goes to the back of a queue
    shown: Decimal = ZERO  # what the book shows of it
    armed: Decimal | None = None  # of its total, where a child arms in proportion to its parent's fills
    due: int | None = None  # since when an iceberg waits to be refreshed
    collar: Decimal | None = None  # the last price a market order takes
    triggered: bool = False  # a stop that was elected
    extreme: Decimal | None = None  # of a trailing stop, from its activation on
    list: List | None = None

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1

    @property
    def open(self) -> Decimal:
        """Rule 44: original - executed - prevented = open, always."""
        return self.quantity - self.executed - self.prevented

    @property
    def told_open(self) -> Decimal | None:
        """What its end says of it: nobody knows how much an amount would have paid for."""
        return None if self.is_by_amount else self.open

    @property
    def ready(self) -> Decimal:
        """What of it may trade by now: all that is open, but for a child that is armed in part."""
        return self.open if self.armed is None else self.armed - self.executed - self.prevented

    @property
    def is_by_amount(self) -> bool:
        """A market order for so much money: its quantity is whatever that pays for, and nobody knows it before."""
        return self.quote_quantity is not None

    @property
    def is_live(self) -> bool:
        return self.phase != "over"

    @property
    def is_market(self) -> bool:
        """Whether it takes at any price, once it takes."""
        return self.type in ("market", "stop_market", "take_profit_market") or self.price is None


@dataclass(eq=False)
class List:
    """Orders that depend on each other: legs are siblings, and the parent, if there is one, arms them."""

    id: str
    kind: str
    parent: Order | None
    legs: list[Order]

    @property
    def orders(self) -> list[Order]:
        return self.legs if self.parent is None else [self.parent, *self.legs]

    def siblings(self, order: Order) -> list[Order]:
        """The other legs of an OCO or OUO; the children of a plain OTO do not know each other."""
        if self.kind == "oto" or order is self.parent:
            return []
        return [leg for leg in self.legs if leg is not order and leg.is_live]


@dataclass
class Venue:
    profile: dict[str, Any]
    at: int = 0
    seq: int = 0
    draws: int = 0
    instruments: dict[str, Instrument] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    queue: list[Order] = field(default_factory=list)
    last: dict[str, Decimal] = field(default_factory=dict)
    mark: dict[str, Decimal] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    prevented: list[dict[str, Any]] = field(default_factory=list)
    counted: dict[tuple[str, int, int], int] = field(default_factory=dict)  # by account, window length and window
    events: list[Event] = field(default_factory=list)

    def emit(self, event: str, order: Order, **fields: Decimal | str | None) -> None:
        self.tell(event, order.account, order.id, order.symbol, **fields)

    def tell(self, event: str, account: str | None, id: str | None, symbol: str | None, **fields: Any) -> None:
        self.seq += 1
        told = {name: plain(value) if isinstance(value, Decimal) else value for name, value in fields.items()}
        head = {"seq": self.seq, "at": self.at, "event": event, "account": account, "id": id, "symbol": symbol}
        self.events.append({**head, **told})

    def draw(self) -> int:
        """A number higher than all before: time, as far as priority goes."""
        self.draws += 1
        return self.draws

    def account(self, name: str) -> Account:
        return self.accounts.setdefault(name, Account(name))

    def is_open(self, symbol: str) -> bool:
        return self.status.get(symbol, "open") == "open"

    def position(self, account: str, symbol: str) -> Decimal:
        return self.positions.get((account, symbol), ZERO)

    def live(self, symbol: str | None = None) -> list[Order]:
        return [order for order in self.orders if order.is_live and symbol in (None, order.symbol)]

    def find(self, account: str, id: str) -> Order | None:
        """The live order of that id: an id is free again when its order is over."""
        return next((o for o in self.orders if o.is_live and (o.account, o.id) == (account, id)), None)

    def resting(self, symbol: str, side: str) -> list[Order]:
        """Rule 3: price, then time."""
        there = [order for order in self.live(symbol) if order.phase == "resting" and order.side == side]
        return sorted(there, key=lambda order: (-order.sign * price_of(order), order.priority))

    def market(self, symbol: str) -> Decimal | None:
        """The mark, where there is one, or else the last trade."""
        return self.mark.get(symbol, self.last.get(symbol))

    def touch(self, symbol: str, side: str) -> Decimal | None:
        shown = [price_of(order) for order in self.resting(symbol, side) if order.shown > 0]
        return shown[0] if shown else None


def family(order: Order) -> list[Order]:
    """The order and its siblings, which share what they reserve."""
    return [order] if order.list is None else [order, *order.list.siblings(order)]


def price_of(order: Order) -> Decimal:
    assert order.price is not None
    return order.price
