"""How is the system kept busy? By a bounded stream of small orders, each asked for until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

import msgspec

from bot4_cli.trouble import Trouble
from bot4_cli.wire import Response, Wires
from bot4_common import instruments
from bot4_common.errors import REFUSALS
from bot4_common.instruments import Instrument
from bot4_common.messages.terms import FIRST_VENUE, Order, Side
from bot4_gateway.answers import ErrorAnswer, EstimateAnswer, OrderAnswer

# A request without an answer is repeated after this pause, with the same client order id. Shorter, and a load that is
# turned away would take the processor from those who are recovering.
RETRY_S = 0.1
# Whoever has had no answer for so long will have none: a killed system is back in a tenth of it.
GIVE_UP_S = 60.0
# How old the price may be that orders are made of. In a second the market moves one basis point; orders keep ten away.
PRICE_AGE_S = 1.0
# Statuses of orders of which nothing will trade: the system did not take them, or the venue.
REFUSED = frozenset(("refused", "rejected"))

A = TypeVar("A", bound=msgspec.Struct)


class Sent(msgspec.Struct, kw_only=True):
    """One order, and what its caller was told. Times are of the monotonic clock (s).

    `status` is that of the order, or `refused`; an order that was refused before it was journaled has no `order_id`.
    """

    order: Order
    first_at: float
    answered_at: float
    order_id: str
    status: str
    code: str
    tries: int

    @property
    def seconds(self) -> float:
        return self.answered_at - self.first_at


async def place(wires: Wires, order: Order, ack: str = "venue") -> Sent:
    """Asks until there is an answer, always with the same client order id: so it is done once however often asked.
    Raises `Trouble` when there is none for `GIVE_UP_S`."""
    body = msgspec.json.encode(order)
    first_at = time.perf_counter()
    tries = 0
    while True:
        tries += 1
        try:
            answered = _order_answer(await wires.request("POST", f"/v1/orders?ack={ack}", body))
        except ConnectionError:
            answered = None
        if answered is not None:
            order_id, status, code = answered
            return Sent(
                order=order,
                first_at=first_at,
                answered_at=time.perf_counter(),
                order_id=order_id,
                status=status,
                code=code,
                tries=tries,
            )
        await _pause(first_at, f"order {order.client_order_id}")


async def cancel(wires: Wires, order_id: str) -> str:
    """Asks until there is an answer. The order's status, or the code with which the cancel was refused. Raises
    `Trouble` when there is none for `GIVE_UP_S`."""
    first_at = time.perf_counter()
    while True:
        try:
            response = await wires.request("DELETE", f"/v1/orders/{order_id}")
        except ConnectionError:
            await _pause(first_at, f"the cancel of {order_id}")
            continue
        if response.status < 300:
            return msgspec.json.decode(response.body, type=OrderAnswer).status
        refused = msgspec.json.decode(response.body, type=ErrorAnswer)
        if not refused.retryable:
            return refused.code
        await _pause(first_at, f"the cancel of {order_id}")


async def _pause(since: float, what: str) -> None:
    if time.perf_counter() - since > GIVE_UP_S:
        raise Trouble(f"{what} has no answer after {GIVE_UP_S:.0f} s: see `bot4 status`")
    await asyncio.sleep(RETRY_S)


async def get(wires: Wires, target: str, kind: type[A]) -> A | None:
    """None when there is no answer just now."""
    try:
        response = await wires.request("GET", target)
    except ConnectionError:
        return None
    return msgspec.json.decode(response.body, type=kind) if response.status == 200 else None


def _order_answer(response: Response) -> tuple[str, str, str] | None:
    """Order id, status and code; none when the caller is to ask again."""
    if response.status < 300:
        answer = msgspec.json.decode(response.body, type=OrderAnswer)
        return answer.order_id, answer.status, answer.code
    refused = msgspec.json.decode(response.body, type=ErrorAnswer)
    # What was journaled before it was refused is answered for good: asking again would tell the same.
    if refused.retryable and not refused.order_id:
        return None
    return refused.order_id, "refused", refused.code


def refusals(codes: Iterable[str]) -> str:
    """How often there was each code, and what it means: `LOT_SIZE 2 (The quantity lies between two lots.)`."""
    counted = Counter(codes).most_common()
    return ", ".join(f"{code} {count} {_meaning(code)}".rstrip() for code, count in counted)


def _meaning(code: str) -> str:
    return f"({REFUSALS[code].meaning})" if code in REFUSALS else ""


def check_taken(sent: Sequence[Sent], whose: str, at_least: int = 1) -> None:
    """Raises `Trouble` that says why, when orders are refused and fewer than `at_least` are not: who is not allowed to
    trade shows and proves nothing."""
    codes = [each.code for each in sent if each.status in REFUSED]
    if codes and len(sent) - len(codes) < at_least:
        # A gate that was left on is told by its codes alone, and not everybody knows them.
        gate = ": see `bot4 gate`" if any(code.startswith("GATE_") for code in codes) else ""
        raise Trouble(f"{len(codes)} of {len(sent)} orders of the {whose} are refused: {refusals(codes)}{gate}")


class Market:
    """The touch of one symbol at one venue, as the system itself tells it; the last one known while it does not."""

    def __init__(self, wires: Wires, instrument: Instrument, venue: str) -> None:
        self._wires = wires
        self.instrument = instrument
        self.venue = venue
        self.bid = self.ask = Decimal(0)

    async def look(self) -> None:
        asked = f"symbol={self.instrument.symbol}&side=buy&quantity={self.instrument.quantity_min}&venue={self.venue}"
        estimate = await get(self._wires, f"/v1/costs/estimate?{asked}", EstimateAnswer)
        if estimate is not None:
            self.bid, self.ask = Decimal(estimate.bid), Decimal(estimate.ask)

    def near(self, price: Decimal, percent: str) -> Decimal:
        """A price so far from another one, on a tick."""
        return self.instrument.price(int(price * (100 + Decimal(percent)) / 100 / self.instrument.tick))


def small_order(market: Market, id: str, number: int, random: Random) -> Order:
    """Buys and sells in turn, so that no position builds up. Most take at the market; one in four rests behind it."""
    side: Side = "buy" if number % 2 else "sell"
    sign = "" if side == "buy" else "-"
    touch = market.ask if side == "buy" else market.bid
    resting = random.random() < 0.25
    price = market.near(touch, "-0.3" if side == "buy" else "0.3") if resting else market.near(touch, f"{sign}0.1")
    return Order(
        client_order_id=f"{id}-{number}",
        symbol=market.instrument.symbol,
        side=side,
        type="limit",
        quantity=market.instrument.lot * max(1, int(Decimal(60) / touch / market.instrument.lot)),
        strategy="load",
        price=price,
        time_in_force="gtc" if resting else "ioc",
        post_only=resting,
        stop_loss=market.near(touch, "-2" if side == "buy" else "2"),
        venue=market.venue,
    )


class Load:
    """So many orders per second, as far as the system keeps up: at most `in_flight` are out at a time.

    What rests is cancelled again. `id` makes the client order ids of this load its own.
    """

    def __init__(
        self,
        wires: Wires,
        rate: float,
        in_flight: int,
        id: str,
        seed: int = 1,
        venues: Sequence[str] = (FIRST_VENUE,),
    ) -> None:
        self.sent: list[Sent] = []
        self._wires = wires
        self._rate = rate
        self._room = asyncio.Semaphore(in_flight)
        self._id = id
        self._random = Random(seed)
        listed = instruments.shipped().values()
        self._markets = [Market(wires, instrument, venue) for venue in venues for instrument in listed]
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`; returns when everything that was sent is answered."""
        async with asyncio.TaskGroup() as out:
            looking = [out.create_task(self._look(market)) for market in self._markets]
            started, number = time.perf_counter(), 0
            while not self._stopping.is_set():
                number += 1
                market = self._markets[number // 2 % len(self._markets)]
                if market.bid:
                    await self._room.acquire()
                    out.create_task(self._place(small_order(market, self._id, number, self._random)))
                await self._until(started + number / self._rate)
            for task in looking:
                task.cancel()

    async def _look(self, market: Market) -> None:
        while True:
            await market.look()
            await asyncio.sleep(PRICE_AGE_S)

    async def _place(self, order: Order) -> None:
        try:
            sent = await place(self._wires, order)
            self.sent.append(sent)
            if order.post_only and sent.status != "refused":
                await cancel(self._wires, sent.order_id)
        finally:
            self._room.release()

    async def _until(self, moment: float) -> None:
        delay = moment - time.perf_counter()
        if delay <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), delay)
        except TimeoutError:
            return
