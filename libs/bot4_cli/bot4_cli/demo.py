"""What does the system do? A minute of it: two strategies trade, then it is broken under load, mends, and is proved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from secrets import token_hex

from msgspec.structs import replace
from rich.console import Console
from rich.progress import Progress

from bot4_cli import proofs, tables
from bot4_cli.client import Client
from bot4_cli.drill import RECOVERY_S, drill
from bot4_cli.load import REFUSED, Market, Sent, cancel, check_taken, get, place, refusals
from bot4_cli.running import Run, naming, read
from bot4_cli.strategies import Touch, View, Wishes, Working, leave, maker, momentum
from bot4_cli.wire import Wires
from bot4_common import instruments
from bot4_common.instruments import Instrument
from bot4_common.messages.terms import Order
from bot4_common.money import ZERO
from bot4_gateway.answers import OrdersAnswer, PositionsAnswer

ACCOUNT = "strategies"
# How long the strategies trade, and how often each looks: the market moves five times a second.
TRADING_S = 20.0
STEP_S = 0.2
# Touches a strategy may look back on.
TOUCHES_MAX = 50
# At most four quotes, their cancels and the looks of two strategies at a time.
CONNECTIONS = 24
# Rows shown of the newest orders and fills; and what the gateway gives at most, more than trade in that time.
SHOWN = 4
ORDERS_MAX = 1_000
BURST_RATE = 100.0

Decide = Callable[[View, str], Wishes]


class Trader:
    """Runs one strategy on one symbol at one venue over REST."""

    def __init__(
        self, wires: Wires, strategy: str, decide: Decide, instrument: Instrument, venue: str, id: str
    ) -> None:
        self.sent: list[Sent] = []
        self._wires = wires
        self._strategy = strategy
        self._decide = decide
        self._instrument = instrument
        self._venue = venue
        self._market = Market(wires, instrument, venue)
        self._touches: list[Touch] = []
        self._id = f"{strategy}-{id}"
        self._steps = 0

    async def trade(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self._step(self._decide)
            await asyncio.sleep(STEP_S)
        await self._step(lambda view, id: leave(view, id, self._strategy))

    async def _step(self, decide: Decide) -> None:
        view = await self._look()
        if view is None:
            return
        self._steps += 1
        wishes = decide(view, f"{self._id}-{self._steps}")
        async with asyncio.TaskGroup() as group:
            for order_id in wishes.cancel:
                group.create_task(cancel(self._wires, order_id))
            for order in wishes.place:
                group.create_task(self._place(order))

    async def _place(self, order: Order) -> None:
        self.sent.append(await place(self._wires, replace(order, venue=self._venue)))

    async def _look(self) -> View | None:
        mine = f"strategy={self._strategy}&symbol={self._instrument.symbol}&venue={self._venue}"
        _, working, positions = await asyncio.gather(
            self._market.look(),
            get(self._wires, f"/v1/orders?{mine}", OrdersAnswer),
            get(self._wires, "/v1/positions", PositionsAnswer),
        )
        if not self._market.bid or working is None or positions is None:
            return None
        self._touches = [*self._touches[1 - TOUCHES_MAX :], Touch(self._market.bid, self._market.ask)]
        return View(
            self._instrument,
            self._touches,
            held(positions, self._instrument.symbol, self._venue, self._strategy),
            [Working(each.order_id, each.side, Decimal(each.price)) for each in working.orders if each.price],
        )


def held(positions: PositionsAnswer, symbol: str, venue: str, strategy: str) -> Decimal:
    for position in positions.positions:
        if (position.symbol, position.venue) == (symbol, venue):
            return sum((Decimal(each.quantity) for each in position.strategies if each.strategy == strategy), ZERO)
    return ZERO


async def demonstrate(data: Path, console: Console) -> bool:
    """Whether everything was as it should be. Raises `Trouble` when all its orders are refused: there is nothing to
    show then."""
    run = read(data)
    began, after = time.time_ns(), await proofs.end(run)
    console.rule("Two strategies trade")
    console.print(
        f"[bold]momentum[/] takes what moves on BTC-USDT{_at(run, 0)}, [bold]maker[/] quotes both sides of "
        f"ETH-USDT{_at(run, -1)}. All of it goes over REST, and what they open has a stop-loss that risk watches."
    )
    sent = await trade(run, console)
    _show_orders(run, console, began)
    console.rule("What they earned")
    _show_results(run, console, sent)
    await _show_one_order(run, console, sent, after)
    console.rule("Two services are killed")
    console.print(
        f"{BURST_RATE:.0f} orders a second are sent; under way risk and the exchange simulator get SIGKILL. A caller "
        "without an answer asks again with the same client order id: asked twice, done once."
    )
    with console.status("") as doing:
        outcome = await drill(data, ["risk", "exchange-simulator"], 1, BURST_RATE, lambda what: doing.update(what))
    console.print(tables.kills(outcome.kills, RECOVERY_S))
    console.rule("The journal proves it")
    console.print(
        f"The auditor reads the whole journal and {_records(run)}: every order decided once, every fill booked once, "
        "positions and money the sum of the fills, no frame missing or altered."
    )
    console.print(tables.outcome(outcome))
    console.print(tables.unprotected(outcome.unprotected_ns_max, outcome.unprotected_order), highlight=False)
    if outcome.passed:
        console.print(f"[bold green]Every invariant holds[/] in {outcome.audited_frames:,} frames.")
        console.print(f"All of it again: {listing(data)}", soft_wrap=True, markup=False)
    return outcome.passed


def listing(data: Path) -> str:
    """The command that shows all orders of the strategies."""
    return f"bot4 order list{naming(data)} --account {ACCOUNT} --limit {ORDERS_MAX}"


def _at(run: Run, number: int) -> str:
    """Where a strategy trades, if there is a choice: momentum at the first venue, the maker at the last."""
    return f" at {run.venues[number]}" if len(run.venues) > 1 else ""


def _records(run: Run) -> str:
    return "the venue's own record" if len(run.venues) == 1 else "the records of all venues"


async def trade(run: Run, console: Console) -> list[Sent]:
    """What both strategies sent. Raises `Trouble` when all of it was refused."""
    wires = Wires(run.url, run.api_keys[ACCOUNT], CONNECTIONS)
    listed, id = instruments.shipped(), token_hex(2)
    traders = [
        Trader(wires, "momentum", momentum, listed["BTC-USDT"], run.venues[0], id),
        Trader(wires, "maker", maker, listed["ETH-USDT"], run.venues[-1], id),
    ]
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Trading", total=TRADING_S)
        async with asyncio.TaskGroup() as group:
            trading = [group.create_task(trader.trade(TRADING_S)) for trader in traders]
            while not all(each.done() for each in trading):
                await asyncio.sleep(STEP_S)
                bar.advance(task, STEP_S)
    await wires.close()
    sent = [each for trader in traders for each in trader.sent]
    check_taken(sent, "strategies")
    return sent


def _show_orders(run: Run, console: Console, began: int) -> None:
    client = Client(run.url, run.api_keys[ACCOUNT])
    orders = [order for order in client.orders(ORDERS_MAX) if order.received_at >= began]
    exits = sum("-stop" in order.order_id for order in orders)
    console.print(tables.orders_counted(orders))
    if codes := [order.code for order in orders if order.status in REFUSED]:
        console.print(f"Refused or rejected, and why: {refusals(codes)}")
    console.print(
        f"{exits} of these orders came from risk itself: the market reached a stop, and it closed the position."
    )
    console.print("The last orders, and the last fills:")
    several = len(run.venues) > 1
    console.print(tables.orders(orders[:SHOWN], several))
    console.print(tables.fills(client.fills(SHOWN), several))


def _show_results(run: Run, console: Console, sent: list[Sent]) -> None:
    results = Client(run.url, run.api_keys[ACCOUNT]).pnl()
    console.print("At the prices of their fills, before and after fees:")
    console.print(tables.results(each for each in results if each.strategy in ("momentum", "maker")))
    console.print("From sending an order to the venue's word on it, as the caller sees it:")
    console.print(tables.latencies([each.seconds for each in sent if each.status != "refused"]))


async def _show_one_order(run: Run, console: Console, sent: list[Sent], after: int) -> None:
    filled = [each.order_id for each in sent if each.status == "filled"]
    if filled:
        console.print(f"The way of order {filled[-1]}, as the journal tells it:")
        console.print(tables.life(await proofs.life(run, filled[-1], after)))
