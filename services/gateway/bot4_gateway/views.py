"""What does the gateway know? The fold of the gateway's, risk's, execution's and the cost model's streams into orders,
fills, positions, profit and loss, and kill switches.

It expects a frame after the frames that its writer had read, which is the order `reading` delivers. So an event of an
order that is not here speaks of one that was over long ago and is forgotten; what it moves of a position still counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from bot4_common.messages import cost, execution, gateway, risk
from bot4_common.messages.frame import AnyEvent
from bot4_common.messages.market import Quote
from bot4_common.messages.terms import FIRST_VENUE, EventId, signed
from bot4_common.money import ZERO
from bot4_common.orders import OrderRecord, advance, opened_by, order_id_of
from bot4_common.pnl import Holding
from bot4_gateway.history import PAGE, Roll, Shelf

# Finished orders and fills that are kept for callers to ask about: some 150 MB of the process. The database keeps all.
FINISHED_MAX = 50_000
FILLS_MAX = 50_000


class Fill(msgspec.Struct, frozen=True):
    """`id` is where the event stands."""

    id: str
    event: execution.OrderFilled


class Line(msgspec.Struct, kw_only=True):
    """What one strategy of one account has in one symbol at one venue. The holding's `costs` are the fees; `slippage`
    is what its fills were worse than the arrival mids, which their prices already contain."""

    account: str
    strategy: str
    symbol: str
    venue: str = FIRST_VENUE
    holding: Holding = msgspec.field(default_factory=Holding)
    slippage: Decimal = ZERO


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """`since` (ns) is when it was last engaged or reset, 0 for never."""

    engaged: bool = False
    reason: str = ""
    since: int = 0


class Result(NamedTuple):
    """What a strategy has earned, in one quote currency: gross = realized + unrealized, net = gross - costs.

    All of it is counted at the prices of the fills, so `costs` are what is charged on top of them: the fees. What the
    fills were worse than the arrival mids is shown as `slippage`; gross already contains it. Without a market for
    something held, `unrealized` and what follows from it are not known.
    """

    strategy: str
    currency: str
    realized: Decimal
    unrealized: Decimal | None
    gross: Decimal | None
    costs: Decimal
    net: Decimal | None
    slippage: Decimal
    fills: int


class ViewImage(msgspec.Struct, frozen=True, kw_only=True):
    """The view as it stands in a snapshot."""

    live: list[OrderRecord]
    finished: Shelf[OrderRecord]
    fills: Shelf[Fill]
    lines: list[Line]
    switches: dict[str, KillSwitch]


class View:
    """The state of the fold. What a caller sees of it is its own only: every read names the account."""

    def __init__(self, finished_max: int = FINISHED_MAX, fills_max: int = FILLS_MAX, page: int = PAGE) -> None:
        self.live: dict[str, OrderRecord] = {}
        self.finished: Roll[OrderRecord] = Roll("finished", OrderRecord, finished_max, page)
        self.fills: Roll[Fill] = Roll("fills", Fill, fills_max, page)
        self.quotes: dict[tuple[str, str], Quote] = {}
        self._orders: dict[str, OrderRecord] = {}
        # The newest order of a client order id that does not merely repeat another.
        self._keys: dict[tuple[str, str], OrderRecord] = {}
        # Orders that changed after they were over stand in the roll again, this many times more than once.
        self._again: dict[str, int] = {}
        self._lines: dict[tuple[str, str, str, str], Line] = {}
        self._strategies: dict[str, set[str]] = {}
        self._switches: dict[str, KillSwitch] = {}

    # What callers ask

    def order(self, account: str, order_id: str) -> OrderRecord | None:
        record = self._orders.get(order_id)
        return record if record is not None and record.account == account else None

    def record(self, order_id: str) -> OrderRecord | None:
        """Whosever it is."""
        return self._orders.get(order_id)

    def order_by_key(self, account: str, client_order_id: str) -> OrderRecord | None:
        return self._keys.get((account, client_order_id))

    def orders(self, account: str, live_only: bool) -> Iterator[OrderRecord]:
        """Live orders, the newest first; then the finished ones, the last one to finish first."""
        for record in reversed(self.live.values()):
            if record.account == account:
                yield record
        if live_only:
            return
        repeated: set[str] = set()
        for record in self.finished.newest_first():
            if record.account != account or record.order_id in repeated:
                continue
            if record.order_id in self._again:
                repeated.add(record.order_id)
            yield record

    def fills_of(self, account: str) -> Iterator[Fill]:
        """The newest first."""
        return (fill for fill in self.fills.newest_first() if fill.event.account == account)

    def lines(self, account: str) -> list[Line]:
        return [line for line in self._lines.values() if line.account == account]

    def strategies(self, account: str) -> Set[str]:
        """Those that have traded."""
        return self._strategies.get(account, set())

    def kill_switch(self, account: str) -> KillSwitch:
        return self._switches.get(account) or KillSwitch()

    def mark(self, venue: str, symbol: str) -> Decimal | None:
        """The mid of the venue's last quote: what is held there can be sold nowhere else."""
        quote = self.quotes.get((venue, symbol))
        return None if quote is None else (quote.bid + quote.ask) / 2

    def results(self, account: str, currency_of: Callable[[str], str]) -> list[Result]:
        """One per strategy and quote currency, by name."""
        grouped: dict[tuple[str, str], list[Line]] = {}
        for line in self.lines(account):
            grouped.setdefault((line.strategy, currency_of(line.symbol)), []).append(line)
        return [self._result(*key, grouped[key]) for key in sorted(grouped)]

    def unrealized(self, line: Line) -> Decimal | None:
        if not line.holding.quantity:
            return ZERO
        mark = self.mark(line.venue, line.symbol)
        return None if mark is None else line.holding.unrealized(mark)

    def _result(self, strategy: str, currency: str, lines: list[Line]) -> Result:
        realized = sum((line.holding.realized for line in lines), ZERO)
        costs = sum((line.holding.costs for line in lines), ZERO)
        known = [value for line in lines if (value := self.unrealized(line)) is not None]
        unrealized = sum(known, ZERO) if len(known) == len(lines) else None
        gross = None if unrealized is None else realized + unrealized
        return Result(
            strategy=strategy,
            currency=currency,
            realized=realized,
            unrealized=unrealized,
            gross=gross,
            costs=costs,
            net=None if gross is None else gross - costs,
            slippage=sum((line.slippage for line in lines), ZERO),
            fills=sum(line.holding.fills for line in lines),
        )

    # The fold

    def fold(self, id: EventId, event: AnyEvent, at: int) -> str | None:
        """Takes in one event, decided at `at` (ns). Returns the order that it is about, if any."""
        take = _TAKEN.get(type(event))
        return None if take is None else take(self, id, event, at)

    def _placed(self, id: EventId, event: gateway.PlaceOrder, at: int) -> str:
        order_id = order_id_of(id.sequence, id.index)
        record = OrderRecord(order_id=order_id, account=event.account, order=event.order, received_at=at)
        self._open(record)
        return order_id

    def _changed(self, id: EventId, event: Any, at: int) -> str:
        order_id: str = event.order_id
        record = self._orders.get(order_id)
        if record is None:
            # Risk brings in orders of its own: the exits of stops.
            record = opened_by(event, order_id, at)
            if record is None:
                return order_id
            self._open(record)
        was_over = record.is_over
        if was_over:
            record = self._renewed(record)
        advance(record, event, at)
        if record.is_over:
            self._finish(record, was_over)
        return order_id

    def _repeated(self, id: EventId, event: risk.OrderRepeated, at: int) -> str:
        first = self._orders.get(event.first)
        if first is not None:
            self._keys[event.account, event.client_order_id] = first
        return self._changed(id, event, at)

    def _filled(self, id: EventId, event: execution.OrderFilled, at: int) -> str:
        self.fills.append(Fill(str(id), event))
        line = self._line(event)
        line.holding.trade(signed(event.side, event.quantity), event.price)
        return self._changed(id, event, at)

    def _cost(self, id: EventId, event: cost.CostRecorded, at: int) -> None:
        line = self._line(event)
        line.holding.costs += event.fee
        line.slippage += event.spread + event.drift

    def _engaged(self, id: EventId, event: risk.KillSwitchEngaged, at: int) -> None:
        self._switches[event.account] = KillSwitch(engaged=True, reason=event.reason, since=at)

    def _reset(self, id: EventId, event: risk.KillSwitchReset, at: int) -> None:
        self._switches[event.account] = KillSwitch(engaged=False, reason=event.reason, since=at)

    def _spoken_of(self, id: EventId, event: Any, at: int) -> str:
        order_id: str = event.order_id
        return order_id

    def _open(self, record: OrderRecord) -> None:
        self._orders[record.order_id] = record
        self.live[record.order_id] = record
        self._own_key(record)

    def _own_key(self, record: OrderRecord) -> None:
        key = record.account, record.order.client_order_id
        owner = self._keys.get(key)
        if not record.first and (owner is None or owner.received_at <= record.received_at):
            self._keys[key] = record

    def _renewed(self, record: OrderRecord) -> OrderRecord:
        """The record of an order that is over, to be changed: what stands in the roll stays as it is, also when it is
        read back from a snapshot."""
        renewed = msgspec.structs.replace(record)
        self._orders[record.order_id] = renewed
        key = record.account, record.order.client_order_id
        if self._keys.get(key) is record:
            self._keys[key] = renewed
        return renewed

    def _finish(self, record: OrderRecord, again: bool) -> None:
        """Puts an order that is over behind the others that are; once more if it was there already."""
        if again:
            self._again[record.order_id] = self._again.get(record.order_id, 0) + 1
        else:
            del self.live[record.order_id]
        for forgotten in self.finished.append(record):
            self._forget(forgotten)

    def _forget(self, record: OrderRecord) -> None:
        order_id = record.order_id
        others = self._again.pop(order_id, 0)
        if others:
            if others > 1:
                self._again[order_id] = others - 1
            return
        del self._orders[order_id]
        key = record.account, record.order.client_order_id
        if self._keys.get(key) is record:
            del self._keys[key]

    def _line(self, of: execution.OrderFilled | cost.CostRecorded) -> Line:
        key = (of.account, of.strategy, of.symbol, of.venue)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(account=of.account, strategy=of.strategy, symbol=of.symbol, venue=of.venue)
            self._strategies.setdefault(of.account, set()).add(of.strategy)
        return line

    # Snapshots

    def image(self) -> ViewImage:
        """To be encoded at once: it shares the orders that are live."""
        return ViewImage(
            live=list(self.live.values()),
            finished=self.finished.shelf(),
            fills=self.fills.shelf(),
            lines=list(self._lines.values()),
            switches=self._switches,
        )

    def rolls(self) -> tuple[Roll[OrderRecord], Roll[Fill]]:
        return self.finished, self.fills

    def restore(self, image: ViewImage, finished: list[bytes], fills: list[bytes]) -> None:
        """`finished` and `fills` are the contents of the pages that the image names."""
        self.finished.restore(image.finished, finished)
        self.fills.restore(image.fills, fills)
        for record in self.finished.oldest_first():
            if record.order_id in self._orders:
                self._again[record.order_id] = self._again.get(record.order_id, 0) + 1
            self._orders[record.order_id] = record
        self.live = {record.order_id: record for record in image.live}
        self._orders.update(self.live)
        for record in self._orders.values():
            self._own_key(record)
        for line in image.lines:
            self._lines[line.account, line.strategy, line.symbol, line.venue] = line
            self._strategies.setdefault(line.account, set()).add(line.strategy)
        self._switches = dict(image.switches)


_Take = Callable[[View, EventId, Any, int], str | None]

# What is not named here changes nothing that a caller can see.
_TAKEN: dict[type, _Take] = {
    gateway.PlaceOrder: View._placed,
    risk.OrderApproved: View._changed,
    risk.OrderRefused: View._changed,
    risk.OrderRepeated: View._repeated,
    risk.CancelApproved: View._spoken_of,
    risk.CancelRefused: View._spoken_of,
    risk.KillSwitchEngaged: View._engaged,
    risk.KillSwitchReset: View._reset,
    execution.OrderSent: View._changed,
    execution.OutcomeUnknown: View._changed,
    execution.OrderAcknowledged: View._changed,
    execution.OrderRejected: View._changed,
    execution.OrderFilled: View._filled,
    execution.OrderTrimmed: View._changed,
    execution.OrderCancelled: View._changed,
    execution.OrderExpired: View._changed,
    execution.OrderLost: View._changed,
    execution.CancelRejected: View._spoken_of,
    cost.CostRecorded: View._cost,
}
