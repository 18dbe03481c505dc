"""What does a caller read? Every number is text in plain notation, every time is in ns since the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

import msgspec

from bot4_common.errors import REFUSALS, Refusal
from bot4_common.instruments import Instrument
from bot4_common.messages.estimate import Estimate
from bot4_common.messages.risk import SelfTradePrevented
from bot4_common.messages.terms import Liquidity, ListKind, OrderType, Prevention, Side, TimeInForce
from bot4_common.money import ZERO, plain
from bot4_common.orders import OrderRecord, Status
from bot4_common.venues import VenueDefinition
from bot4_gateway.lists import ListRecord, ListStatus
from bot4_gateway.views import Fill, Line, Prevented, Result, View

A = TypeVar("A", bound=msgspec.Struct)

Number = Annotated[str, msgspec.Meta(description="A decimal number in plain notation.", examples=["0.015"])]
Time = Annotated[int, msgspec.Meta(description="Nanoseconds since the epoch; 0 when it has not come to pass.")]

# Average prices are rounded to this many digits behind the point; all else is exact.
AVERAGE_STEP = Decimal("1e-12")


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands. `code` and `details` say why it was refused, rejected or lost. `duplicate`: the request
    repeated an earlier one, and this is that one's answer. `venue` is where it goes: once it is approved also when it
    named none, and before that as it was asked. `triggered`: a stop whose trigger was reached. `prevented` is what
    self-trade prevention at the venue took: quantity = filled + prevented + leaves while it lives. `filled` may grow
    when it is over, by a fill that is told late: it stays what it is, unless it is `filled` whole then."""

    order_id: str
    client_order_id: str
    list_id: str
    account: str
    strategy: str
    status: Status
    symbol: str
    side: Side
    type: OrderType
    quantity: Number
    price: Number | None
    stop_price: Number | None
    activation_price: Number | None
    trail_bps: int
    display_quantity: Number | None
    time_in_force: TimeInForce
    expire_at: Time
    post_only: bool
    reduce_only: bool
    self_trade_prevention: Prevention | Literal[""]
    stop_loss: Number | None
    signal: str
    venue: str
    triggered: bool
    filled: Number
    prevented: Number
    leaves: Number
    average_price: Number | None
    code: str
    details: dict[str, str]
    received_at: Time
    decided_at: Time
    acknowledged_at: Time
    over_at: Time
    duplicate: bool


class OrdersAnswer(msgspec.Struct, frozen=True):
    """Live orders, the newest first; then finished ones, the last one to finish first."""

    orders: list[OrderAnswer]


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A list as it stands; `legs` are its orders, as far as they are remembered, in the order they were given in."""

    list_id: str
    client_list_id: str
    account: str
    kind: ListKind
    status: ListStatus
    legs: list[OrderAnswer]
    code: str
    details: dict[str, str]
    received_at: Time
    decided_at: Time
    over_at: Time
    duplicate: bool


class ListsAnswer(msgspec.Struct, frozen=True):
    """Live lists, the newest first; then those that are over, the last one to end first."""

    lists: list[ListAnswer]


class PreventedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Two orders of one owner that did not trade with each other. `by` says who saw to it: risk before the venue, or
    the venue. `order_id` will not trade `quantity`, and `other_id` will not trade `other_quantity`, which the venue
    tells of each by itself. `price` is where they would have met."""

    prevented_id: str
    by: Literal["risk", "venue"]
    order_id: str
    other_id: str
    symbol: str
    venue: str
    mode: Prevention | Literal[""]
    quantity: Number
    other_quantity: Number | None
    price: Number | None
    at: Time


class AllPreventedAnswer(msgspec.Struct, frozen=True):
    """The newest first."""

    prevented: list[PreventedAnswer]


class FillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`late`: it was told after the end of its order."""

    fill_id: str
    order_id: str
    trade_id: str
    venue: str
    strategy: str
    symbol: str
    side: Side
    quantity: Number
    price: Number
    liquidity: Liquidity
    late: bool
    traded_at: Time


class FillsAnswer(msgspec.Struct, frozen=True):
    """The newest first."""

    fills: list[FillAnswer]


class HoldingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one strategy holds of a symbol at a venue; signed, in base. `unrealized` is unknown without a market."""

    strategy: str
    quantity: Number
    average_price: Number | None
    realized: Number
    unrealized: Number | None


class PositionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the account holds of a symbol at a venue, and which strategies make it up. `mark` is the mid of the venue's
    last quote."""

    symbol: str
    venue: str
    quantity: Number
    mark: Number | None
    strategies: list[HoldingAnswer]


class PositionsAnswer(msgspec.Struct, frozen=True):
    positions: list[PositionAnswer]


class ResultAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """gross = realized + unrealized, net = gross - costs, at the prices of the fills. `costs` are the fees charged on
    top of these prices; `slippage` is what the prices were worse than the arrival mids, already part of gross."""

    strategy: str
    currency: str
    realized: Number
    unrealized: Number | None
    gross: Number | None
    costs: Number
    net: Number | None
    slippage: Number
    fills: int


class ResultsAnswer(msgspec.Struct, frozen=True):
    pnl: list[ResultAnswer]


class InstrumentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    base: str
    quote: str
    tick: Number
    lot: Number
    quantity_min: Number
    quantity_max: Number
    notional_min: Number


class InstrumentsAnswer(msgspec.Struct, frozen=True):
    instruments: list[InstrumentAnswer]


class VenueAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Fees are fractions of the notional, a negative one is a rebate. `profile` names the rules of its engine.
    `default`: orders that name no venue go there."""

    name: str
    default: bool
    profile: str
    maker_fee: Number
    taker_fee: Number


class VenuesAnswer(msgspec.Struct, frozen=True):
    venues: list[VenueAnswer]


class EstimateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Costs in quote currency against the mid: spread + fee = total."""

    symbol: str
    side: Side
    quantity: Number
    type: OrderType
    venue: str
    bid: Number
    ask: Number
    spread: Number
    fee: Number
    total: Number
    total_bps: Number


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`order_id` or `list_id` is there when an order or a list was journaled, and then refused, rejected or lost: the
    same request gets the same answer, so whoever tries again does it with a new client id."""

    code: str
    message: str
    details: dict[str, str]
    retryable: bool
    order_id: str = ""
    list_id: str = ""
    duplicate: bool = False


def order_answer(record: OrderRecord, duplicate: bool = False) -> OrderAnswer:
    order = record.order
    return OrderAnswer(
        order_id=record.order_id,
        client_order_id=order.client_order_id,
        list_id=record.list_id,
        account=record.account,
        strategy=order.strategy,
        status=record.status,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        quantity=plain(order.quantity),
        price=_plain(order.price),
        stop_price=_plain(order.stop_price),
        activation_price=_plain(order.activation_price),
        trail_bps=order.trail_bps,
        display_quantity=_plain(order.display_quantity),
        time_in_force=order.time_in_force,
        expire_at=order.expire_at,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        self_trade_prevention=order.self_trade_prevention,
        stop_loss=_plain(order.stop_loss),
        signal=order.signal,
        venue=order.venue,
        triggered=record.triggered,
        filled=plain(record.filled),
        prevented=plain(record.prevented),
        leaves=plain(record.leaves),
        average_price=_average(record.notional, record.filled),
        code=record.code,
        details={"first": record.first} if record.first else record.details,
        received_at=record.received_at,
        decided_at=record.decided_at,
        acknowledged_at=record.acknowledged_at,
        over_at=record.over_at,
        duplicate=duplicate,
    )


def list_answer(record: ListRecord, legs: Sequence[OrderRecord], duplicate: bool = False) -> ListAnswer:
    return ListAnswer(
        list_id=record.list_id,
        client_list_id=record.client_list_id,
        account=record.account,
        kind=record.kind,
        status=record.status,
        legs=[order_answer(leg) for leg in legs],
        code=record.code,
        details={"first": record.first} if record.first else record.details,
        received_at=record.received_at,
        decided_at=record.decided_at,
        over_at=record.over_at,
        duplicate=duplicate,
    )


def prevented_answer(prevented: Prevented, account: str) -> PreventedAnswer:
    """As `account` sees it: its own order first."""
    event = prevented.event
    if not isinstance(event, SelfTradePrevented):
        return PreventedAnswer(
            prevented_id=prevented.id,
            by="venue",
            order_id=event.order_id,
            other_id=event.other_id,
            symbol=prevented.symbol,
            venue=event.venue,
            mode="",
            quantity=plain(event.quantity),
            other_quantity=None,
            price=None,
            at=prevented.at,
        )
    taker, maker = (event.order_id, event.quantity), (event.resting_id, event.resting_quantity)
    own, other = (taker, maker) if account == event.account else (maker, taker)
    return PreventedAnswer(
        prevented_id=prevented.id,
        by="risk",
        order_id=own[0],
        other_id=other[0],
        symbol=prevented.symbol,
        venue="",
        mode=event.mode,
        quantity=plain(own[1]),
        other_quantity=plain(other[1]),
        price=_plain(event.price),
        at=prevented.at,
    )


def fill_answer(fill: Fill) -> FillAnswer:
    event = fill.event
    return FillAnswer(
        fill_id=fill.id,
        order_id=event.order_id,
        trade_id=event.trade_id,
        venue=event.venue,
        strategy=event.strategy,
        symbol=event.symbol,
        side=event.side,
        quantity=plain(event.quantity),
        price=plain(event.price),
        liquidity=event.liquidity,
        late=event.late,
        traded_at=event.traded_at,
    )


def positions_answer(view: View, account: str) -> PositionsAnswer:
    """By symbol and venue, then by strategy. What was sold again stays, with what it realized."""
    by_market: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(view.lines(account), key=lambda line: (line.symbol, line.venue, line.strategy)):
        by_market.setdefault((line.symbol, line.venue), []).append(line)
    return PositionsAnswer(
        [
            PositionAnswer(
                symbol=symbol,
                venue=venue,
                quantity=plain(sum((line.holding.quantity for line in lines), ZERO)),
                mark=_plain(view.mark(venue, symbol)),
                strategies=[_holding(view, line) for line in lines],
            )
            for (symbol, venue), lines in by_market.items()
        ]
    )


def _holding(view: View, line: Line) -> HoldingAnswer:
    return HoldingAnswer(
        strategy=line.strategy,
        quantity=plain(line.holding.quantity),
        average_price=_average(line.holding.basis, line.holding.quantity),
        realized=plain(line.holding.realized),
        unrealized=_plain(view.unrealized(line)),
    )


def result_answer(result: Result) -> ResultAnswer:
    return ResultAnswer(
        strategy=result.strategy,
        currency=result.currency,
        realized=plain(result.realized),
        unrealized=_plain(result.unrealized),
        gross=_plain(result.gross),
        costs=plain(result.costs),
        net=_plain(result.net),
        slippage=plain(result.slippage),
        fills=result.fills,
    )


def instrument_answer(instrument: Instrument) -> InstrumentAnswer:
    return _written(instrument, InstrumentAnswer)


def venues_answer(venues: Mapping[str, VenueDefinition]) -> VenuesAnswer:
    """`venues`, the default one first."""
    default = next(iter(venues))
    return VenuesAnswer(
        [
            VenueAnswer(
                name=venue.name,
                default=venue.name == default,
                profile=venue.profile,
                maker_fee=plain(venue.maker_fee),
                taker_fee=plain(venue.taker_fee),
            )
            for venue in venues.values()
        ]
    )


def estimate_answer(estimate: Estimate) -> EstimateAnswer:
    return _written(estimate, EstimateAnswer)


def refusal(code: str) -> Refusal:
    """What a code means. One that is not ours is the venue's own, about an order it rejected."""
    return REFUSALS.get(code) or Refusal(422, False, "InvalidOrder", "The venue rejected the order.")


def error_answer(
    code: str, details: dict[str, str], order_id: str = "", list_id: str = "", duplicate: bool = False
) -> ErrorAnswer:
    known = refusal(code)
    return ErrorAnswer(
        code=code,
        message=known.meaning,
        details=details,
        retryable=known.retryable,
        order_id=order_id,
        list_id=list_id,
        duplicate=duplicate,
    )


def _written(value: msgspec.Struct, kind: type[A]) -> A:
    """The fields of the same names, numbers as text."""
    fields = {field: getattr(value, field) for field in kind.__struct_fields__}
    return kind(**{field: plain(given) if isinstance(given, Decimal) else given for field, given in fields.items()})


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _average(notional: Decimal, quantity: Decimal) -> str | None:
    return plain((notional / quantity).quantize(AVERAGE_STEP)) if quantity else None
