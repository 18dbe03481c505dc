"""What does the gateway know? The fold of the gateway's, risk's, execution's and the cost model's streams into orders,
lists, fills, prevented self-trades, positions, profit and loss, and kill switches.

It expects a frame after the frames that its writer had read, which is the order `reading` delivers. So an event of an
order that is not here speaks of one that was over long ago and is forgotten; what it moves of a position still counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
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
from bot4_gateway.control_view import ControlImage, ControlView, KillSwitch
from bot4_gateway.history import PAGE, Roll, Shelf
from bot4_gateway.lists import ListRecord, advance_list, leg_events, opened_list

# Finished orders and fills that are kept for callers to ask about: some 150 MB of the process. The database keeps all.
FINISHED_MAX = 50_000
FILLS_MAX = 50_000
# Of lists that are over and of prevented self-trades there are fewer.
LISTS_MAX = 10_000
PREVENTED_MAX = 10_000


class Fill(msgspec.Struct, frozen=True):
    """`id` is where the event stands."""

    id: str
    event: execution.OrderFilled


class Prevented(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of one owner that did not trade with each other: before the venue, or at it. `id` is where the event
    stands, `at` when it was decided (ns)."""

    id: str
    symbol: str
    at: int
    event: risk.SelfTradePrevented | execution.OrderPrevented


class Line(msgspec.Struct, kw_only=True):
    """What one strategy of one account has in one symbol at one venue. The holding's `costs` are the fees; `slippage`
    is what its fills were worse than the arrival mids, which their prices already contain."""

    account: str
    strategy: str
    symbol: str
    venue: str = FIRST_VENUE
    holding: Holding = msgspec.field(default_factory=Holding)
    slippage: Decimal = ZERO


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
    controls: ControlImage
    lists: list[ListRecord] = []
    finished_lists: Shelf[ListRecord] = Shelf([], [])
    prevented: Shelf[Prevented] = Shelf([], [])
    replacing: list[str] = []


class View:
    """The state of the fold. What a caller sees of it is its own only: every read names the account."""

    def __init__(
        self,
        finished_max: int = FINISHED_MAX,
        fills_max: int = FILLS_MAX,
        page: int = PAGE,
        lists_max: int = LISTS_MAX,
        prevented_max: int = PREVENTED_MAX,
    ) -> None:
        self.live: dict[str, OrderRecord] = {}
        self.live_lists: dict[str, ListRecord] = {}
        self.finished: Roll[OrderRecord] = Roll("finished", OrderRecord, finished_max, page)
        self.finished_lists: Roll[ListRecord] = Roll("lists", ListRecord, lists_max, page)
        self.fills: Roll[Fill] = Roll("fills", Fill, fills_max, page)
        self.prevented: Roll[Prevented] = Roll("prevented", Prevented, prevented_max, page)
        # Orders that are held until the one that they replace is over: not for long.
        self.replacing: set[str] = set()
        self.quotes: dict[tuple[str, str], Quote] = {}
        # What holds trading back.
        self.controls = ControlView()
        self._orders: dict[str, OrderRecord] = {}
        self._lists: dict[str, ListRecord] = {}
        # The newest order of a client order id that does not merely repeat another.
        self._keys: dict[tuple[str, str], OrderRecord] = {}
        # Orders that changed after they were over stand in the roll again, this many times more than once.
        self._again: dict[str, int] = {}
        self._lines: dict[tuple[str, str, str, str], Line] = {}
        self._strategies: dict[str, set[str]] = {}

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

    def list_of(self, account: str, list_id: str) -> ListRecord | None:
        record = self._lists.get(list_id)
        return record if record is not None and record.account == account else None

    def lists(self, account: str, live_only: bool) -> Iterator[ListRecord]:
        """Live lists, the newest first; then those that are over, the last one to end first."""
        for record in reversed(self.live_lists.values()):
            if record.account == account:
                yield record
        if not live_only:
            yield from (record for record in self.finished_lists.newest_first() if record.account == account)

    def legs(self, record: ListRecord) -> list[OrderRecord]:
        """Without those that were over too long ago to be remembered."""
        return [self._orders[leg] for leg in record.legs if leg in self._orders]

    def fills_of(self, account: str) -> Iterator[Fill]:
        """The newest first."""
        return (fill for fill in self.fills.newest_first() if fill.event.account == account)

    def prevented_of(self, account: str) -> Iterator[Prevented]:
        """The newest first."""
        for prevented in self.prevented.newest_first():
            if account == prevented.event.account or account == _resting_account(prevented.event):
                yield prevented

    def lines(self, account: str) -> list[Line]:
        return [line for line in self._lines.values() if line.account == account]

    def strategies(self, account: str) -> Set[str]:
        """Those that have traded."""
        return self._strategies.get(account, set())

    def kill_switch(self, account: str) -> KillSwitch:
        return self.controls.switch(("account", account, "", ""))

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
        """Takes in one event, decided at `at` (ns). Returns the order or the list that it is about, if any."""
        take = _TAKEN.get(type(event))
        if take is None:
            self.controls.fold(id, event, at)
            return None
        return take(self, id, event, at)

    def _placed(self, id: EventId, event: gateway.PlaceOrder | gateway.ReplaceOrder, at: int) -> str:
        order_id = order_id_of(id.sequence, id.index)
        record = OrderRecord(order_id=order_id, account=event.account, order=event.order, received_at=at)
        self._open(record)
        return order_id

    def _listed(self, id: EventId, event: gateway.PlaceList, at: int) -> str:
        list_id = order_id_of(id.sequence, id.index)
        record, legs = opened_list(event, list_id, at)
        self._lists[list_id] = self.live_lists[list_id] = record
        for leg in legs:
            self._open(leg)
        return list_id

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
        if self.replacing and record.status != "held":
            self.replacing.discard(order_id)
        return order_id

    def _list_changed(self, id: EventId, event: Any, at: int) -> str:
        list_id: str = event.list_id
        record = self._lists.get(list_id)
        if record is not None:
            self._advance_list(record, id, event, at)
        return list_id

    def _repeated(self, id: EventId, event: risk.OrderRepeated, at: int) -> str:
        record = self._lists.get(event.order_id)
        if record is not None:
            self._advance_list(record, id, event, at)
            return event.order_id
        first = self._orders.get(event.first)
        if first is not None:
            self._keys[event.account, event.client_order_id] = first
        return self._changed(id, event, at)

    def _advance_list(self, record: ListRecord, id: EventId, event: Any, at: int) -> None:
        if isinstance(event, risk.ListRefused | risk.OrderRepeated):
            for told in leg_events(event, self.legs(record), at):
                self.fold(id, told, at)
        was_over = record.is_over
        advance_list(record, event, at)
        if record.is_over and not was_over:
            del self.live_lists[record.list_id]
            for forgotten in self.finished_lists.append(record):
                del self._lists[forgotten.list_id]

    def _held(self, id: EventId, event: risk.OrderHeld, at: int) -> str:
        if event.replaces:
            self.replacing.add(event.order_id)
        else:
            self.replacing.discard(event.order_id)
        return self._changed(id, event, at)

    def _armed(self, id: EventId, event: risk.HeldOrderArmed, at: int) -> str:
        self.replacing.discard(event.order_id)
        return event.order_id

    def _reservation_amended(self, id: EventId, event: risk.ReservationAmended, at: int) -> str:
        """For what risk holds nobody else says it."""
        record = self._orders.get(event.order_id)
        if record is not None and record.status == "held" and not event.code:
            record.order = msgspec.structs.replace(record.order, quantity=event.quantity, price=event.price)
        return event.order_id

    def _prevented(self, id: EventId, event: execution.OrderPrevented, at: int) -> str:
        record = self._orders.get(event.order_id)
        symbol = record.order.symbol if record is not None else ""
        self.prevented.append(Prevented(id=str(id), symbol=symbol, at=at, event=event))
        return self._changed(id, event, at)

    def _self_trade(self, id: EventId, event: risk.SelfTradePrevented, at: int) -> str:
        self.prevented.append(Prevented(id=str(id), symbol=event.symbol, at=at, event=event))
        return event.order_id

    def _filled(self, id: EventId, event: execution.OrderFilled, at: int) -> str:
        self.fills.append(Fill(str(id), event))
        line = self._line(event)
        line.holding.trade(signed(event.side, event.quantity), event.price)
        return self._changed(id, event, at)

    def _cost(self, id: EventId, event: cost.CostRecorded, at: int) -> None:
        line = self._line(event)
        line.holding.costs += event.fee
        line.slippage += event.spread + event.drift

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
            controls=self.controls.image(),
            lists=[*self.live_lists.values()],
            finished_lists=self.finished_lists.shelf(),
            prevented=self.prevented.shelf(),
            replacing=sorted(self.replacing),
        )

    def rolls(self) -> tuple[Roll[Any], ...]:
        return self.finished, self.fills, self.finished_lists, self.prevented

    def restore(self, image: ViewImage, pages: Sequence[Sequence[bytes]]) -> None:
        """`pages` are the contents of the pages that the image names, by roll."""
        for roll, shelf, contents in zip(self.rolls(), shelves(image), pages, strict=True):
            roll.restore(shelf, contents)
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
        for listed in (*self.finished_lists.oldest_first(), *image.lists):
            self._lists[listed.list_id] = listed
        self.live_lists = {listed.list_id: listed for listed in image.lists}
        self.replacing = set(image.replacing)
        self.controls.restore(image.controls)


def shelves(image: ViewImage) -> tuple[Shelf[Any], ...]:
    """What is on which of the rolls, in their order."""
    return image.finished, image.fills, image.finished_lists, image.prevented


def _resting_account(event: risk.SelfTradePrevented | execution.OrderPrevented) -> str:
    """At the venue each of both orders is told of by itself."""
    return event.resting_account if isinstance(event, risk.SelfTradePrevented) else event.account


_Take = Callable[[View, EventId, Any, int], str | None]

# What is not named here changes nothing that a caller can see.
_TAKEN: dict[type, _Take] = {
    gateway.PlaceOrder: View._placed,
    gateway.ReplaceOrder: View._placed,
    gateway.PlaceList: View._listed,
    risk.OrderApproved: View._changed,
    risk.OrderRefused: View._changed,
    risk.OrderRepeated: View._repeated,
    risk.OrderHeld: View._held,
    risk.HeldOrderArmed: View._armed,
    risk.HeldOrderTriggered: View._changed,
    risk.HeldOrderCancelled: View._changed,
    risk.ListApproved: View._list_changed,
    risk.ListRefused: View._list_changed,
    risk.ListEnded: View._list_changed,
    risk.AmendApproved: View._spoken_of,
    risk.AmendRefused: View._spoken_of,
    risk.ReservationAmended: View._reservation_amended,
    risk.SelfTradePrevented: View._self_trade,
    risk.CancelApproved: View._spoken_of,
    risk.CancelRefused: View._spoken_of,
    execution.OrderSent: View._changed,
    execution.OutcomeUnknown: View._changed,
    execution.OrderAcknowledged: View._changed,
    execution.OrderRejected: View._changed,
    execution.OrderFilled: View._filled,
    execution.OrderTriggered: View._changed,
    execution.OrderAmended: View._changed,
    execution.AmendRejected: View._spoken_of,
    execution.OrderPrevented: View._prevented,
    execution.OrderTrimmed: View._changed,
    execution.OrderCancelled: View._changed,
    execution.OrderExpired: View._changed,
    execution.OrderLost: View._changed,
    execution.CancelRejected: View._spoken_of,
    cost.CostRecorded: View._cost,
}
