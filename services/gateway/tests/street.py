"""What happens around a desk? Broker, clock and the services behind it: all they say stands in real streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from bot4_common import streams
from bot4_common.errors import Refused
from bot4_common.instruments import shipped
from bot4_common.log import FrameWriter, Snapshot
from bot4_common.memory_log import Broker, Faults, MemoryLog
from bot4_common.messages.cost import CostRecorded
from bot4_common.messages.execution import (
    OrderAcknowledged,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderLost,
    OrderPrevented,
    OrderRejected,
    OrderSent,
)
from bot4_common.messages.frame import AnyEvent, Decision, Frame, decode_frame
from bot4_common.messages.market import Quote, Spoken, encode_spoken
from bot4_common.messages.risk import (
    AmendApproved,
    AmendRefused,
    CancelApproved,
    Leg,
    ListApproved,
    ListEnded,
    ListRefused,
    OrderApproved,
    OrderHeld,
    OrderRefused,
    OrderRepeated,
)
from bot4_common.messages.terms import EventId, ListKind, Order, OrderList, Side
from bot4_common.money import ZERO
from bot4_common.testing import SimulatedLoop
from bot4_common.venues import VenueDefinition, load
from bot4_gateway.desk import Desk

ANN, BOB = "ann", "bob"
SIM = load(["sim"])
BTC = "BTC-USDT"


def buy(client_order_id: str, quantity: str = "0.5", **fields: Any) -> Order:
    """A limit order for BTC at 100 with a stop at 90, unless told otherwise."""
    given: dict[str, Any] = {
        "symbol": BTC,
        "side": "buy",
        "type": "limit",
        "strategy": "trend",
        "price": Decimal(100),
        "stop_loss": Decimal(90),
    }
    return Order(client_order_id=client_order_id, quantity=Decimal(quantity), **{**given, **fields})


def sell_stop(client_order_id: str, quantity: str = "0.5", **fields: Any) -> Order:
    """What would sell it again below 90."""
    given = {"side": "sell", "type": "stop_market", "price": None, "stop_price": Decimal(90), "stop_loss": None}
    return buy(client_order_id, quantity, **{**given, "reduce_only": True, **fields})


def sell_limit(client_order_id: str, quantity: str = "0.5", price: str = "120") -> Order:
    return buy(client_order_id, quantity, side="sell", price=Decimal(price), stop_loss=None, reduce_only=True)


def listed(client_list_id: str, *orders: Order, kind: ListKind = "oco") -> OrderList:
    """An OCO of a limit and a stop that close a position, unless told otherwise."""
    return OrderList(
        client_list_id=client_list_id, kind=kind, orders=list(orders) or [sell_limit("up"), sell_stop("down")]
    )


class Voice:
    """One of the other services: it appends what it says, as having read all that it hears."""

    def __init__(self, broker: Broker, clock: Callable[[], int], stream: str, hears: tuple[str, ...]) -> None:
        self._log = MemoryLog(broker)
        self._clock = clock
        self._hears = hears
        self._writer = FrameWriter(self._log, stream, stream.lower(), self._again)

    async def says(self, *events: AnyEvent, of: str = "") -> EventId:
        """One frame with one decision, caused by the command of this id. Returns the identity of the first event."""
        read = {stream: await self._log.end(stream) for stream in self._hears}
        cause = EventId(streams.GATEWAY, *map(int, of.split("-"))) if of else None
        _, sequence = await self._writer.store([Decision(events=list(events), cause=cause)], read, self._clock())
        return EventId(self._writer.stream, sequence, 0)

    async def _again(self) -> None:
        await asyncio.sleep(0.01)


class Street:
    def __init__(self, loop: SimulatedLoop, broker: Broker) -> None:
        self.broker = broker
        self.clock = loop.clock
        self._loop = loop
        self.risk = Voice(broker, loop.clock, streams.RISK, (streams.GATEWAY, streams.EXECUTION))
        self.execution = Voice(broker, loop.clock, streams.EXECUTION, (streams.RISK,))
        self.costs = Voice(broker, loop.clock, streams.COST, (streams.EXECUTION,))
        self._processes: dict[str, tuple[int, MemoryLog]] = {}

    async def desk(self, name: str = "gateway-0", venues: Mapping[str, VenueDefinition] = SIM, **options: Any) -> Desk:
        """A replica that is ready."""
        log = MemoryLog(self.broker)
        desk = Desk(log, self.clock, name, shipped(), venues, **options)
        ready = asyncio.Event()
        self._processes[name] = self._loop.spawn(desk.run(ready.set)), log
        await ready.wait()
        return desk

    def kill(self, desk: Desk) -> None:
        process, log = self._processes.pop(desk.name)
        log.kill()
        self._loop.kill(process)

    def frames(self, stream: str = streams.GATEWAY) -> list[Frame]:
        return [decode_frame(record.data) for record in self.broker.streams[stream]]

    def asked(self) -> list[AnyEvent]:
        """All that the gateway has journaled."""
        return [event for frame in self.frames() for decision in frame.decisions for event in decision.events]

    def snapshots(self, name: str = "gateway-0") -> dict[str, Snapshot]:
        return {writer: saved for writer, saved in self.broker.snapshots.items() if writer.startswith(name)}

    async def quote(self, bid: str, ask: str, symbol: str = BTC, venue: str = streams.VENUE) -> None:
        quote = Quote(
            venue=venue,
            symbol=symbol,
            bid=Decimal(bid),
            ask=Decimal(ask),
            bid_quantity=Decimal(1),
            ask_quantity=Decimal(1),
            at=self.clock(),
        )
        await MemoryLog(self.broker).say(streams.quotes(venue), encode_spoken([Spoken(quote)]))
        await passing(0.01)

    async def approves(self, order_id: str, order: Order, account: str = ANN) -> None:
        await self.risk.says(approved(order_id, order, account, self.clock()))

    async def refuses(self, order_id: str, order: Order, code: str, account: str = ANN, **details: str) -> None:
        await self.risk.says(
            OrderRefused(
                order_id=order_id,
                account=account,
                order=order,
                fingerprint="",
                code=code,
                details=details,
                at=self.clock(),
            )
        )

    async def repeats(self, order_id: str, order: Order, first: str, same_body: bool = True) -> None:
        await self.risk.says(
            OrderRepeated(
                order_id=order_id,
                account=ANN,
                client_order_id=order.client_order_id,
                first=first,
                same_body=same_body,
            )
        )

    async def opens(self, order_id: str, order: Order, account: str = ANN) -> None:
        """Risk approves, execution sends, the venue takes it."""
        await self.approves(order_id, order, account)
        await self.execution.says(sent(order_id, order, account), acknowledged(order_id, account))

    async def holds(self, order_id: str, order: Order, replaces: str = "") -> None:
        await self.risk.says(held(order_id, order, replaces=replaces))

    async def approves_amend(self, amend: str, order_id: str, quantity: str, price: str = "100") -> None:
        await self.risk.says(
            AmendApproved(order_id=order_id, account=ANN, quantity=Decimal(quantity), price=Decimal(price), at=0),
            of=amend,
        )

    async def refuses_amend(self, amend: str, order_id: str, code: str, **details: str) -> None:
        await self.risk.says(AmendRefused(order_id=order_id, account=ANN, code=code, details=details), of=amend)

    async def approves_list(self, list_id: str, asked: OrderList, working: int = 2) -> None:
        """The first legs work at once, the others are held back."""
        legs = legs_of(list_id, asked)
        told = [
            msgspec.structs.replace(approved(leg.order_id, leg.order), list_id=list_id)
            if number < working
            else held(leg.order_id, leg.order, list_id)
            for number, leg in enumerate(legs)
        ]
        begun = ListApproved(
            list_id=list_id,
            account=ANN,
            client_list_id=asked.client_list_id,
            kind=asked.kind,
            native=working == len(legs),
            legs=legs,
            fingerprint="",
            bid=Decimal(99),
            ask=Decimal(101),
            at=self.clock(),
        )
        await self.risk.says(begun, *told)

    async def refuses_list(self, list_id: str, asked: OrderList, code: str, **details: str) -> None:
        await self.risk.says(
            ListRefused(
                list_id=list_id,
                account=ANN,
                client_list_id=asked.client_list_id,
                kind=asked.kind,
                legs=legs_of(list_id, asked),
                fingerprint="",
                code=code,
                details=details,
                at=self.clock(),
            )
        )

    async def repeats_list(self, list_id: str, asked: OrderList, first: str, same_body: bool = True) -> None:
        await self.risk.says(
            OrderRepeated(
                order_id=list_id,
                account=ANN,
                client_order_id=asked.client_list_id,
                first=first,
                same_body=same_body,
            )
        )

    async def ends_list(self, list_id: str) -> None:
        await self.risk.says(ListEnded(list_id=list_id, account=ANN))

    async def cancels(self, order_id: str) -> None:
        await self.risk.says(CancelApproved(order_id=order_id, account=ANN, reason="requested"))
        await self.execution.says(cancelled(order_id))


async def refusal(request: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await request
    return caught.value


async def begun(request: Any) -> asyncio.Task[Any]:
    """The request is under way, and all that it can do by itself is done."""
    task = begun_at_once(request)
    await passing(0.1)
    return task


def begun_at_once(request: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.ensure_future(request)
    return task


async def passing(seconds: float) -> None:
    await asyncio.sleep(seconds)


def simulated(story: Callable[[Street], Coroutine[Any, Any, None]], seed: int = 1, **faults: float) -> None:
    """Plays a story. Nothing really waits."""
    loop = SimulatedLoop(seed)
    loop.run(story(Street(loop, Broker(Random(seed), Faults(**faults)))))


def approved(order_id: str, order: Order, account: str = ANN, at: int = 0) -> OrderApproved:
    return OrderApproved(
        order_id=order_id,
        account=account,
        order=order,
        fingerprint="",
        bid=Decimal(99),
        ask=Decimal(101),
        opening=True,
        at=at,
    )


def held(order_id: str, order: Order, list_id: str = "", replaces: str = "") -> OrderHeld:
    return OrderHeld(
        order_id=order_id,
        account=ANN,
        order=order,
        fingerprint="",
        at=0,
        list_id=list_id,
        replaces=replaces,
    )


def legs_of(list_id: str, asked: OrderList) -> list[Leg]:
    return [Leg(order_id=f"{list_id}-leg{number}", order=order) for number, order in enumerate(asked.orders, 1)]


def amended(order_id: str, quantity: str, price: str = "100", leaves: str | None = None) -> OrderAmended:
    return OrderAmended(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        quantity=Decimal(quantity),
        price=Decimal(price),
        leaves=Decimal(leaves or quantity),
        session_sequence=1,
    )


def prevented(order_id: str, quantity: str, leaves: str) -> OrderPrevented:
    return OrderPrevented(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        other_id="9-9",
        quantity=Decimal(quantity),
        leaves=Decimal(leaves),
        session_sequence=1,
    )


def sent(order_id: str, order: Order, account: str = ANN) -> OrderSent:
    return OrderSent(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=account,
        venue=streams.VENUE,
        order=order,
        bid=Decimal(99),
        ask=Decimal(101),
        sent_at=0,
        expires_at=0,
    )


def acknowledged(order_id: str, account: str = ANN) -> OrderAcknowledged:
    return OrderAcknowledged(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=account,
        venue=streams.VENUE,
        venue_order_id="v1",
        session_sequence=1,
        accepted_at=0,
    )


def filled(
    order_id: str,
    quantity: str,
    price: str,
    leaves: str = "0",
    side: Side = "buy",
    account: str = ANN,
    strategy: str = "trend",
    symbol: str = BTC,
    venue: str = streams.VENUE,
) -> OrderFilled:
    return OrderFilled(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=account,
        strategy=strategy,
        symbol=symbol,
        side=side,
        venue=venue,
        trade_id="t1",
        price=Decimal(price),
        quantity=Decimal(quantity),
        cumulative=ZERO,
        leaves=Decimal(leaves),
        liquidity="taker",
        bid=Decimal(99),
        ask=Decimal(101),
        session_sequence=1,
        traded_at=0,
    )


def rejected(order_id: str, code: str) -> OrderRejected:
    return OrderRejected(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        code=code,
        message="the order would take liquidity",
        session_sequence=1,
    )


def lost(order_id: str, quantity: str = "0.5") -> OrderLost:
    return OrderLost(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        quantity=Decimal(quantity),
        session_sequence=1,
    )


def cancelled(order_id: str) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id,
        child_id=f"{order_id}.1",
        account=ANN,
        venue=streams.VENUE,
        quantity=ZERO,
        reason="requested",
        session_sequence=1,
    )


def cost(fill: OrderFilled, fee: str, spread: str, drift: str = "0") -> CostRecorded:
    return CostRecorded(
        fill=EventId(streams.EXECUTION, 1, 0),
        order_id=fill.order_id,
        account=fill.account,
        strategy=fill.strategy,
        symbol=fill.symbol,
        venue=fill.venue,
        trade_id=fill.trade_id,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        arrival_mid=Decimal(100),
        spread=Decimal(spread),
        drift=Decimal(drift),
        fee=Decimal(fee),
        total=Decimal(fee) + Decimal(spread) + Decimal(drift),
    )
