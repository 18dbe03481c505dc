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
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    FillQuarantined,
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
    OrderTriggered,
    OrderTrimmed,
    OutcomeUnknown,
)
from bot4_common.messages.frame import AnyEvent, Frame
from bot4_common.messages.gateway import (
    EngageKillSwitch,
    PlaceList,
    PlaceOrder,
    RebaseEquity,
    ReplaceOrder,
    ResetKillSwitch,
    SetGate,
    SetLimits,
)
from bot4_common.messages.risk import (
    AmendRefused,
    CancelRefused,
    CorrelationsAdopted,
    EquityRebased,
    GateChanged,
    GateDecided,
    GuardTripped,
    HaltChanged,
    HeldOrderCancelled,
    HeldOrderTriggered,
    KillSwitchEngaged,
    KillSwitchReset,
    KillSwitchResetRefused,
    LimitsChanged,
    LimitsRefused,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
    PositionChanged,
    ReservationAmended,
    SelfTradePrevented,
    SignalRefused,
    StopArmed,
    StopTriggered,
    StrategyRegistered,
)
from bot4_common.messages.terms import (
    Event,
    EventId,
    Liquidity,
    ListKind,
    Order,
    OrderType,
    Prevention,
    Side,
    TimeInForce,
    signed,
)
from bot4_common.money import ZERO
from bot4_common.orders import OrderRecord, Status, advance, opened_by, opened_by_list, order_id_of, repeat_code
from bot4_common.pnl import Holding

# The rows. Each class is a table, each field a column; quantities in base, money in quote, times in ns.


class Row(msgspec.Struct, kw_only=True, frozen=True):
    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]


class OrderRow(Row, kw_only=True, frozen=True):
    """`bot4_common.orders.OrderRecord`, flat. `opening` is true of an order approved to open or enlarge a position;
    `venue` is empty of one that named none and was not approved, `list_id` of one that is in none."""

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
    stop_price: Decimal | None
    activation_price: Decimal | None
    trail_bps: int
    display_quantity: Decimal | None
    expire_at: int
    self_trade_prevention: Prevention | Literal[""]
    signal: str
    list_id: str
    opening: bool
    status: Status
    filled: Decimal
    notional: Decimal
    prevented: Decimal
    triggered: bool
    resized: bool
    repriced: bool
    code: str
    details: dict[str, str]
    first: str
    received_at: int
    decided_at: int
    acknowledged_at: int
    over_at: int


class ListRow(Row, kw_only=True, frozen=True):
    """`legs` are its orders, which name it; there are none before risk has decided on it. `native`: its venue keeps it.
    `first` is the list that had its client list id before. `over_at` is zero while one of its orders may trade."""

    table: ClassVar[str] = "lists"
    key: ClassVar[tuple[str, ...]] = ("list_id",)

    list_id: str
    account: str
    client_list_id: str
    kind: ListKind
    status: Literal["received", "approved", "refused", "ended"] = "received"
    native: bool = False
    legs: list[str] = []
    code: str = ""
    details: dict[str, str] = {}
    first: str = ""
    received_at: int
    decided_at: int = 0
    over_at: int = 0


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


class ControlRow(Row, kw_only=True, frozen=True):
    """What holds trading back, or no longer does: limits, kill switches, halts, guards, breakers, and the gate with all
    that it said. `name` is what of its scope it is about, `by` who or what brought it, `event` all that was said, but
    for the correlations themselves."""

    table: ClassVar[str] = "controls"
    key: ClassVar[tuple[str, ...]] = ("event_id",)

    event_id: str
    kind: str
    scope: str
    name: str
    by: str
    reason: str
    at: int
    event: AnyEvent


class PreventedRow(Row, kw_only=True, frozen=True):
    """What an order of one owner lost where it would have met `other_id` of the same: by risk before it was sent, or
    `at_venue`, where only the order's own loss is told and `other_id` is a child order."""

    table: ClassVar[str] = "prevented_matches"
    key: ClassVar[tuple[str, ...]] = ("event_id",)

    event_id: str
    order_id: str
    account: str
    other_id: str
    at_venue: bool
    quantity: Decimal
    other_quantity: Decimal = ZERO
    price: Decimal | None = None
    mode: Prevention | Literal[""] = ""
    at: int


class AuditRow(Row, kw_only=True, frozen=True):
    """What somebody will ask about: what was asked of control, refusals, quarantined fills. `event` is all that was
    said."""

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


ROWS: tuple[type[Row], ...] = (
    OrderRow, ListRow, FillRow, CostRow, PositionRow, PnlRow, StopRow, ControlRow, PreventedRow, AuditRow, OrderEvent,
)  # fmt: skip
# What happens once and never changes: a second row of the same key would be the same event applied twice.
ONCE = (FillRow, CostRow, ControlRow, PreventedRow, AuditRow, OrderEvent)


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
        self.lists: dict[str, list[tuple[AnyEvent, int]]] = {}
        self.stops: dict[str, list[tuple[StopArmed | StopTriggered, int]]] = {}
        self.pnl: dict[PnlKey, list[OrderFilled | CostRecorded]] = {}
        self.positions: dict[tuple[str, str, str], PositionRow] = {}
        self.fills: list[FillRow] = []
        self.costs: list[CostRow] = []
        self.controls: list[ControlRow] = []
        self.prevented: list[PreventedRow] = []
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
    _happen(changes, told, _order_id(told), begins=True)


def _live(changes: Changes, told: Told) -> None:
    _happen(changes, told, _order_id(told))


def _happen(changes: Changes, told: Told, order_id: str, begins: bool = False) -> None:
    if begins:
        changes.begun.add(order_id)
    happened = OrderEvent(order_id=order_id, sequence=told.sequence, index=told.id.index, at=told.at, event=told.event)
    changes.orders.setdefault(order_id, []).append(happened)


def _order_id(told: Told) -> str:
    if isinstance(told.event, PlaceOrder | ReplaceOrder):
        return order_id_of(told.id.sequence, told.id.index)
    return str(getattr(told.event, "order_id", ""))


def _list(changes: Changes, told: Told) -> None:
    list_id = str(getattr(told.event, "list_id", ""))
    changes.lists.setdefault(list_id, []).append((told.event, told.at))


def _begin_list(changes: Changes, told: Told) -> None:
    list_id = order_id_of(told.id.sequence, told.id.index)
    changes.lists.setdefault(list_id, []).append((told.event, told.at))
    # That it only repeats another may have been read before; until now it could have been said of an order.
    changes.begun.add(list_id)


def _begin_legs(changes: Changes, told: Told) -> None:
    _list(changes, told)
    for leg in getattr(told.event, "legs", ()):
        _happen(changes, told, leg.order_id, begins=True)


def _repeat(changes: Changes, told: Told) -> None:
    """Of an order or of a list: only their beginning tells."""
    _live(changes, told)
    changes.lists.setdefault(_order_id(told), []).append((told.event, told.at))


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


def _control(changes: Changes, told: Told) -> None:
    event = told.event
    scope, name = _about(event)
    changes.controls.append(
        ControlRow(
            event_id=str(told.id),
            kind=str(event.__struct_config__.tag),
            scope=scope,
            name=name,
            by=str(getattr(event, "by", "") or getattr(event, "source", "")),
            reason=str(getattr(event, "reason", "")),
            at=told.at,
            event=_in_short(event),
        )
    )


def _in_short(event: AnyEvent) -> AnyEvent:
    """Correlations grow with the square of the symbols, and are in the journal."""
    if isinstance(event, CorrelationsAdopted):
        return replace(event, symbols=[], correlations=[], volatilities=[])
    return event


def _about(event: Event) -> tuple[str, str]:
    """The scope of a control, and what of it."""
    match event:
        case KillSwitchEngaged(scope="symbol") | KillSwitchReset(scope="symbol"):
            return event.scope, event.symbol
        case KillSwitchEngaged(scope="firm") | KillSwitchReset(scope="firm"):
            return event.scope, ""
        case KillSwitchEngaged() | KillSwitchReset():
            return event.scope, f"{event.account}/{event.strategy}" if event.scope == "strategy" else event.account
        case HaltChanged():
            return event.scope, event.name
        case GuardTripped() | StrategyRegistered() | GateDecided():
            return "strategy", f"{event.account}/{event.strategy}"
        case EquityRebased() if event.account:
            return "account", event.account
        case BreakerChanged():
            return "dependency", event.name
    return "firm", ""


def _prevented(changes: Changes, told: Told) -> None:
    event = told.event
    assert isinstance(event, SelfTradePrevented | OrderPrevented)
    known: dict[str, Any] = {
        "event_id": str(told.id),
        "order_id": event.order_id,
        "account": event.account,
        "quantity": event.quantity,
        "at": told.at,
    }
    if isinstance(event, OrderPrevented):
        row = PreventedRow(other_id=event.other_id, at_venue=True, **known)
    else:
        losses: dict[str, Any] = {"other_quantity": event.resting_quantity, "price": event.price, "mode": event.mode}
        row = PreventedRow(other_id=event.resting_id, at_venue=False, **losses, **known)
    changes.prevented.append(row)


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
    ReplaceOrder: (_begin,),
    OrderApproved: (_begin,),
    OrderHeld: (_begin,),
    OrderRefused: (_begin, _audit),
    OrderRepeated: (_repeat,),
    HeldOrderTriggered: (_live,),
    HeldOrderCancelled: (_live,),
    ReservationAmended: (_live,),
    OrderSent: (_live,),
    OutcomeUnknown: (_live,),
    OrderAcknowledged: (_live,),
    OrderTriggered: (_live,),
    OrderFilled: (_live, _fill),
    OrderRejected: (_live,),
    OrderTrimmed: (_live,),
    OrderAmended: (_live,),
    OrderPrevented: (_live, _prevented),
    OrderCancelled: (_live,),
    OrderExpired: (_live,),
    OrderLost: (_live,),
    PlaceList: (_begin_list,),
    ListApproved: (_begin_legs,),
    ListRefused: (_begin_legs, _audit),
    ListEnded: (_list,),
    CostRecorded: (_cost,),
    PositionChanged: (_position,),
    StopArmed: (_stop,),
    StopTriggered: (_stop,),
    SelfTradePrevented: (_prevented,),
    LimitsChanged: (_control,),
    KillSwitchEngaged: (_control,),
    KillSwitchReset: (_control,),
    GateChanged: (_control,),
    StrategyRegistered: (_control,),
    HaltChanged: (_control,),
    GuardTripped: (_control,),
    EquityRebased: (_control,),
    BreakerChanged: (_control,),
    GateDecided: (_control,),
    CorrelationsAdopted: (_control,),
    CancelRefused: (_audit,),
    AmendRefused: (_audit,),
    LimitsRefused: (_audit,),
    SignalRefused: (_audit,),
    KillSwitchResetRefused: (_audit,),
    EngageKillSwitch: (_audit,),
    ResetKillSwitch: (_audit,),
    SetLimits: (_audit,),
    SetGate: (_audit,),
    RebaseEquity: (_audit,),
    FillQuarantined: (_audit,),
}


# What is written.


class Known(NamedTuple):
    """The rows that a batch touches, as they were before it: orders, lists and stops it names, P&L by its keys, and
    what came early of the orders that begin in it."""

    orders: list[OrderRow]
    early: list[OrderEvent]
    lists: list[ListRow]
    stops: list[StopRow]
    pnl: list[PnlRow]


# What came early, by the order.
Waiting = dict[str, list[OrderEvent]]


def written(changes: Changes, known: Known) -> list[list[Row]]:
    """The rows to insert or replace, one list per table that changes."""
    waiting: Waiting = {}
    for happened in sorted(known.early, key=lambda happened: (happened.sequence, happened.index)):
        waiting.setdefault(happened.order_id, []).append(happened)
    listed = _lists(changes, known, waiting)
    orders, early = _orders(changes, known, waiting)
    lists: list[list[Row]] = [
        orders,
        [happened for happened in early if happened.order_id not in listed],
        [*listed.values()],
        [*changes.fills],
        [*changes.costs],
        [*changes.positions.values()],
        _pnl(changes, known),
        _stops(changes, known),
        [*changes.controls],
        [*changes.prevented],
        [*changes.audit],
    ]
    return [rows for rows in lists if rows]


def _orders(changes: Changes, known: Known, waiting: Waiting) -> tuple[list[Row], list[OrderEvent]]:
    before = {row.order_id: row for row in known.orders}
    orders: list[Row] = []
    early: list[OrderEvent] = []
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
        legs = opened_by_list(happened.event, happened.at)
        record = next((leg for leg in legs if leg.order_id == order_id), record)
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


def _lists(changes: Changes, known: Known, waiting: Waiting) -> dict[str, ListRow]:
    lists = {row.list_id: row for row in known.lists}
    for list_id, entries in changes.lists.items():
        row = lists.get(list_id) or _begun_list(list_id, entries)
        if row is None:
            # The repetition of an order, or of a list that was not seen yet: it waits with the orders.
            continue
        early = [(happened.event, happened.at) for happened in waiting.get(list_id, ())]
        for event, at in (*early, *entries):
            row = _advanced_list(row, event, at)
        lists[list_id] = row
    return lists


def _begun_list(list_id: str, entries: list[tuple[AnyEvent, int]]) -> ListRow | None:
    for event, at in entries:
        known: dict[str, Any] = {"list_id": list_id, "received_at": at}
        if isinstance(event, PlaceList):
            asked = event.list
            return ListRow(account=event.account, client_list_id=asked.client_list_id, kind=asked.kind, **known)
        if isinstance(event, ListApproved | ListRefused):
            return ListRow(account=event.account, client_list_id=event.client_list_id, kind=event.kind, **known)
    return None


def _advanced_list(row: ListRow, event: AnyEvent, at: int) -> ListRow:
    match event:
        case PlaceList():
            return replace(row, received_at=at)
        case ListApproved():
            legs = [leg.order_id for leg in event.legs]
            return replace(row, status="approved", native=event.native, legs=legs, decided_at=at)
        case ListRefused():
            legs = [leg.order_id for leg in event.legs]
            refused = replace(row, code=event.code, details=event.details, legs=legs)
            return replace(refused, status="refused", decided_at=at, over_at=at)
        case OrderRepeated():
            repeated = replace(row, first=event.first, code=repeat_code(event))
            return replace(repeated, status="refused", decided_at=at, over_at=at)
        case ListEnded():
            return replace(row, status="ended", over_at=at)
    return row


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
