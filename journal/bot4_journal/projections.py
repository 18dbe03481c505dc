"""Which rows follow from which event?

A batch of frames becomes `Changes`: what it says, sorted by the rows it says it of. `written` lays them over the rows
as they are `Known` to be, and gives the rows as they are afterwards. Nothing is remembered between two batches, so
nothing can be remembered wrongly after a crash.

The streams of different writers are merged in any order: a fill may come before the approval that caused it. No row
may depend on that order, only on the order within each stream. An event of an order whose beginning was not seen yet
waits as a row of `early_events`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    FillQuarantined,
    OrderAcknowledged,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderRejected,
    OrderSent,
    OrderTrimmed,
    OutcomeUnknown,
)
from bot4_common.messages.frame import AnyEvent, Frame
from bot4_common.messages.gateway import EngageKillSwitch, PlaceOrder, ResetKillSwitch
from bot4_common.messages.risk import (
    CancelRefused,
    KillSwitchEngaged,
    KillSwitchReset,
    OrderApproved,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    StopArmed,
    StopTriggered,
)
from bot4_common.messages.terms import Event, EventId, Liquidity, Order, OrderType, Side, TimeInForce, signed
from bot4_common.money import ZERO
from bot4_common.orders import OrderRecord, Status, advance, opened_by, order_id_of
from bot4_common.pnl import Holding

# The rows. Each class is a table, each field a column; quantities in base, money in quote, times in ns.


class Row(msgspec.Struct, kw_only=True, frozen=True):
    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]


class OrderRow(Row, kw_only=True, frozen=True):
    """`bot4_common.orders.OrderRecord`, flat. `opening` is true of an order approved to open or enlarge a position;
    `venue` is empty of one that named none and was not approved."""

    table: ClassVar[str] = "orders"
    key: ClassVar[tuple[str, ...]] = ("order_id",)

    order_id: str
    account: str
    strategy: str
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    stop_loss: Decimal | None
    venue: str
    opening: bool
    status: Status
    filled: Decimal
    notional: Decimal
    code: str
    details: dict[str, str]
    first: str
    received_at: int
    decided_at: int
    acknowledged_at: int
    over_at: int


class FillRow(Row, kw_only=True, frozen=True):
    table: ClassVar[str] = "fills"
    key: ClassVar[tuple[str, ...]] = ("fill_id",)

    fill_id: str
    order_id: str
    child_id: str
    account: str
    strategy: str
    symbol: str
    side: Side
    venue: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    liquidity: Liquidity
    bid: Decimal
    ask: Decimal
    traded_at: int
    recorded_at: int


class CostRow(Row, kw_only=True, frozen=True):
    table: ClassVar[str] = "costs"
    key: ClassVar[tuple[str, ...]] = ("fill_id",)

    fill_id: str
    order_id: str
    account: str
    strategy: str
    symbol: str
    venue: str
    arrival_mid: Decimal
    spread: Decimal
    drift: Decimal
    fee: Decimal
    total: Decimal
    recorded_at: int


class PositionRow(Row, kw_only=True, frozen=True):
    table: ClassVar[str] = "positions"
    key: ClassVar[tuple[str, ...]] = ("account", "venue", "symbol")

    account: str
    venue: str
    symbol: str
    quantity: Decimal
    changed_at: int


class PnlRow(Row, kw_only=True, frozen=True):
    """`bot4_common.pnl.Holding` of one strategy in one symbol at one venue."""

    table: ClassVar[str] = "pnl"
    key: ClassVar[tuple[str, ...]] = ("account", "strategy", "venue", "symbol")

    account: str
    strategy: str
    venue: str
    symbol: str
    quantity: Decimal
    basis: Decimal
    realized: Decimal
    costs: Decimal
    fills: int


class StopRow(Row, kw_only=True, frozen=True):
    """The protective stop of one order. `exit_id` is the newest order that it made, empty while it never triggered."""

    table: ClassVar[str] = "stops"
    key: ClassVar[tuple[str, ...]] = ("order_id",)

    order_id: str
    account: str
    strategy: str
    venue: str
    symbol: str
    side: Side
    quantity: Decimal
    stop_price: Decimal
    armed_at: int
    changed_at: int
    triggered_at: int = 0
    exit_id: str = ""


class AuditRow(Row, kw_only=True, frozen=True):
    """What somebody will ask about: acts of control, refusals, quarantined fills. `event` is all that was said."""

    table: ClassVar[str] = "audit"
    key: ClassVar[tuple[str, ...]] = ("event_id",)

    event_id: str
    kind: str
    account: str
    at: int
    event: AnyEvent


class OrderEvent(Row, kw_only=True, frozen=True):
    """One event in the life of an order. It is stored only while the order's beginning has not been seen.

    `sequence` and `index` are its place in the merged stream.
    """

    table: ClassVar[str] = "early_events"
    key: ClassVar[tuple[str, ...]] = ("sequence", "index")

    order_id: str
    sequence: int
    index: int
    at: int
    event: AnyEvent


ROWS: tuple[type[Row], ...] = (OrderRow, FillRow, CostRow, PositionRow, PnlRow, StopRow, AuditRow, OrderEvent)
# What happens once and never changes: a second row of the same key would be the same event applied twice.
ONCE = (FillRow, CostRow, AuditRow, OrderEvent)


class PnlKey(NamedTuple):
    account: str
    strategy: str
    venue: str
    symbol: str


# What a batch says.


class Told(NamedTuple):
    """An event, its identity, its place in the merged stream, and when it was decided."""

    id: EventId
    event: AnyEvent
    sequence: int
    at: int


class Changes:
    """What a batch of frames says of each row, in the order of the merged stream."""

    def __init__(self) -> None:
        self.orders: dict[str, list[OrderEvent]] = {}
        # Orders whose beginning is in the batch: what came early of them can be told now.
        self.begun: set[str] = set()
        self.stops: dict[str, list[tuple[StopArmed | StopTriggered, int]]] = {}
        self.pnl: dict[PnlKey, list[OrderFilled | CostRecorded]] = {}
        self.positions: dict[tuple[str, str, str], PositionRow] = {}
        self.fills: list[FillRow] = []
        self.costs: list[CostRow] = []
        self.audit: list[AuditRow] = []
        self.events = 0

    def add(self, frame: Frame, origin: tuple[str, int], sequence: int) -> None:
        """Takes the frame that was written at `origin` and stands at `sequence` of the merged stream."""
        at = frame.decided_at
        for id, event, _ in frame.events(*origin):
            self.events += 1
            for note in TOUCHES.get(type(event), ()):
                note(self, Told(id, event, sequence, at))


Note = Callable[[Changes, Told], None]


def _begin(changes: Changes, told: Told) -> None:
    changes.begun.add(_order_id(told))
    _live(changes, told)


def _live(changes: Changes, told: Told) -> None:
    order_id = _order_id(told)
    happened = OrderEvent(order_id=order_id, sequence=told.sequence, index=told.id.index, at=told.at, event=told.event)
    changes.orders.setdefault(order_id, []).append(happened)


def _order_id(told: Told) -> str:
    if isinstance(told.event, PlaceOrder):
        return order_id_of(told.id.sequence, told.id.index)
    return str(getattr(told.event, "order_id", ""))


def _fill(changes: Changes, told: Told) -> None:
    fill = told.event
    assert isinstance(fill, OrderFilled)
    changes.fills.append(FillRow(fill_id=str(told.id), recorded_at=told.at, **_copy(fill, FILL_FIELDS)))
    changes.pnl.setdefault(PnlKey(fill.account, fill.strategy, fill.venue, fill.symbol), []).append(fill)


def _cost(changes: Changes, told: Told) -> None:
    cost = told.event
    assert isinstance(cost, CostRecorded)
    changes.costs.append(CostRow(fill_id=str(cost.fill), recorded_at=told.at, **_copy(cost, COST_FIELDS)))
    changes.pnl.setdefault(PnlKey(cost.account, cost.strategy, cost.venue, cost.symbol), []).append(cost)


# The fields that a row has from its event as they are.
FILL_FIELDS = tuple(name for name in FillRow.__struct_fields__ if name in OrderFilled.__struct_fields__)
COST_FIELDS = tuple(name for name in CostRow.__struct_fields__ if name in CostRecorded.__struct_fields__)
STOP_FIELDS = tuple(name for name in StopRow.__struct_fields__ if name in StopArmed.__struct_fields__)


def _copy(event: Event, fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(event, name) for name in fields}


def _position(changes: Changes, told: Told) -> None:
    moved = told.event
    assert isinstance(moved, PositionChanged)
    changes.positions[moved.account, moved.venue, moved.symbol] = PositionRow(
        account=moved.account, venue=moved.venue, symbol=moved.symbol, quantity=moved.position, changed_at=told.at
    )


def _stop(changes: Changes, told: Told) -> None:
    stop = told.event
    assert isinstance(stop, StopArmed | StopTriggered)
    changes.stops.setdefault(stop.order_id, []).append((stop, told.at))


def _audit(changes: Changes, told: Told) -> None:
    event = told.event
    changes.audit.append(
        AuditRow(
            event_id=str(told.id),
            kind=str(event.__struct_config__.tag),
            account=str(getattr(event, "account", "")),
            at=told.at,
            event=event,
        )
    )


# Which event touches which rows. What is not listed touches none.
TOUCHES: dict[type[Event], tuple[Note, ...]] = {
    PlaceOrder: (_begin,),
    OrderApproved: (_begin,),
    OrderRefused: (_begin, _audit),
    OrderRepeated: (_live,),
    OrderSent: (_live,),
    OutcomeUnknown: (_live,),
    OrderAcknowledged: (_live,),
    OrderFilled: (_live, _fill),
    OrderRejected: (_live,),
    OrderTrimmed: (_live,),
    OrderCancelled: (_live,),
    OrderExpired: (_live,),
    OrderLost: (_live,),
    CostRecorded: (_cost,),
    PositionChanged: (_position,),
    StopArmed: (_stop,),
    StopTriggered: (_stop,),
    CancelRefused: (_audit,),
    EngageKillSwitch: (_audit,),
    ResetKillSwitch: (_audit,),
    KillSwitchEngaged: (_audit,),
    KillSwitchReset: (_audit,),
    FillQuarantined: (_audit,),
}


# What is written.


class Known(NamedTuple):
    """The rows that a batch touches, as they were before it: orders and stops it names, P&L by its keys, and what
    came early of the orders that begin in it."""

    orders: list[OrderRow]
    early: list[OrderEvent]
    stops: list[StopRow]
    pnl: list[PnlRow]


def written(changes: Changes, known: Known) -> list[list[Row]]:
    """The rows to insert or replace, one list per table that changes."""
    orders, early = _orders(changes, known)
    lists: list[list[Row]] = [
        orders,
        early,
        [*changes.fills],
        [*changes.costs],
        [*changes.positions.values()],
        _pnl(changes, known),
        _stops(changes, known),
        [*changes.audit],
    ]
    return [rows for rows in lists if rows]


def _orders(changes: Changes, known: Known) -> tuple[list[Row], list[Row]]:
    before = {row.order_id: row for row in known.orders}
    waiting: dict[str, list[OrderEvent]] = {}
    for happened in sorted(known.early, key=lambda happened: (happened.sequence, happened.index)):
        waiting.setdefault(happened.order_id, []).append(happened)
    orders: list[Row] = []
    early: list[Row] = []
    for order_id, life in changes.orders.items():
        row = before.get(order_id)
        record = _begun(order_id, life) if row is None else _record(row)
        if record is None:
            early += life
            continue
        for happened in (*waiting.get(order_id, ()), *life):
            advance(record, happened.event, happened.at)
        orders.append(_row(record))
    return orders, early


def _begun(order_id: str, life: list[OrderEvent]) -> OrderRecord | None:
    for happened in life:
        record = opened_by(happened.event, order_id, happened.at)
        if record is not None:
            return record
    return None


def _record(row: OrderRow) -> OrderRecord:
    fields = asdict(row)
    order = Order(**{name: fields.pop(name) for name in Order.__struct_fields__})
    return OrderRecord(order=order, **fields)


def _row(record: OrderRecord) -> OrderRow:
    fields = asdict(record)
    order = fields.pop("order")
    return OrderRow(**asdict(order), **fields)


def _pnl(changes: Changes, known: Known) -> list[Row]:
    holdings = {PnlKey(row.account, row.strategy, row.venue, row.symbol): _holding(row) for row in known.pnl}
    for key, entries in changes.pnl.items():
        holding = holdings.setdefault(key, Holding())
        for entry in entries:
            if isinstance(entry, CostRecorded):
                # Slippage is in the prices of the fills already; only fees come on top.
                holding.costs += entry.fee
            else:
                holding.trade(signed(entry.side, entry.quantity), entry.price)
    return [PnlRow(**key._asdict(), **asdict(holding)) for key, holding in holdings.items()]


def _holding(row: PnlRow) -> Holding:
    return Holding(**{name: getattr(row, name) for name in Holding.__struct_fields__})


def _stops(changes: Changes, known: Known) -> list[Row]:
    stops = {row.order_id: row for row in known.stops}
    for order_id, entries in changes.stops.items():
        for event, at in entries:
            if isinstance(event, StopArmed):
                stops[order_id] = _armed(stops.get(order_id), event, at)
            else:
                # Armed before it triggers, by the same writer, so the row is there.
                stops[order_id] = replace(
                    stops[order_id], quantity=ZERO, changed_at=at, triggered_at=at, exit_id=event.exit_id
                )
    return [*stops.values()]


def _armed(row: StopRow | None, armed: StopArmed, at: int) -> StopRow:
    if row is None:
        return StopRow(armed_at=at, changed_at=at, **_copy(armed, STOP_FIELDS))
    return replace(row, quantity=armed.quantity, stop_price=armed.stop_price, changed_at=at)
