"""What came of a command? What the engine has said of it, as events of the truth and as what each client is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from bot4_common.instruments import Instrument
from bot4_common.messages.market import SessionMessage
from bot4_common.messages.terms import Side
from bot4_common.messages.venue import (
    VenueAmendRejected,
    VenueCancelRejected,
    VenueFilled,
    VenueOrderAccepted,
    VenueOrderAmended,
    VenueOrderCancelled,
    VenueOrderExpired,
    VenueOrderPrevented,
    VenueOrderRejected,
    VenueOrderTriggered,
    VenueOrderTrimmed,
    VenueTraded,
)
from bot4_common.money import ZERO
from bot4_exchange_simulator.engine import events
from bot4_exchange_simulator.engine.events import Request
from bot4_exchange_simulator.engine.orders import Order as EngineOrder
from bot4_exchange_simulator.engine.refusals import REFUSALS
from bot4_exchange_simulator.engine.terms import CANCEL_BOTH, CANCEL_NEW, CANCEL_RESTING, DECREMENT_BOTH
from bot4_exchange_simulator.matching import MARKET
from bot4_exchange_simulator.orders import State


class Reports:
    """What the engine of one venue says, put into words. Nothing here changes the state."""

    def __init__(self, venue: str, instruments: Mapping[str, Instrument]) -> None:
        self._venue = venue
        self._instruments = instruments

    def happened(self, state: State, session: str, now: int) -> Iterator[SessionMessage | VenueTraded]:
        """What the engine has just said, event by event. Each must be in the state before the next is asked for: its
        numbers follow from it. `session` is where the request came from."""
        for kind, subject, other, quantity, price, text in state.happened:
            if isinstance(subject, Request):
                if subject.account != MARKET:
                    yield from self._refused(state, session, subject, text, now)
            elif kind == events.TRADE:
                assert other is not None
                yield from self._traded(state, subject, other, quantity, price, now)
            elif subject.account.name == MARKET:
                continue
            elif kind == events.PREVENTED:
                assert other is not None
                yield from self._prevented(state, subject, other, quantity, now)
            else:
                message = self._changed(state, kind, subject, quantity, price, text, now)
                if message is not None:
                    yield message

    def _refused(self, state: State, session: str, request: Request, code: str, now: int) -> Iterator[SessionMessage]:
        message = REFUSALS[code].venue_message
        match request.do:
            case "list":
                for child_id in state.lists[request.id]:
                    header = state.header(session, request.account, child_id, now)
                    yield VenueOrderRejected(code=code, message=message, **header)
            case "cancel":
                header = state.header(session, request.account, request.id, now)
                yield VenueCancelRejected(code=code, **header)
            case "amend":
                header = state.header(session, request.account, request.id, now)
                yield VenueAmendRejected(code=code, **header)
            case _:
                order = state.live[request.id]
                header = state.header(order.session, order.account, request.id, now)
                if order.venue_order_id:
                    # It was accepted, and is refused when its trigger or its parent brings it to the market.
                    yield VenueOrderExpired(quantity=order.leaves, reason=code, **header)
                else:
                    yield VenueOrderRejected(code=code, message=message, **header)

    def _changed(
        self, state: State, kind: int, subject: EngineOrder, lots: int, ticks: int, reason: str, now: int
    ) -> SessionMessage | None:
        """What is told of one order alone. What an iceberg shows next is for all to see and nothing to its owner."""
        order, instrument = state.live[subject.id], self._instruments[subject.market.symbol]
        header = state.header(order.session, order.account, subject.id, now)
        quantity = instrument.quantity(lots)
        match kind:
            case events.ACCEPTED:
                id = f"{self._venue}-{state.accepted + 1}"
                return VenueOrderAccepted(venue_order_id=id, order=order.order, **header)
            case events.TRIGGERED:
                return VenueOrderTriggered(**header)
            case events.AMENDED:
                price = instrument.price(ticks) if ticks else None
                leaves = quantity - order.cumulative - order.prevented
                return VenueOrderAmended(quantity=quantity, price=price, leaves=leaves, **header)
            case events.TRIMMED:
                return VenueOrderTrimmed(quantity=quantity, **header)
            case events.CANCELLED:
                return VenueOrderCancelled(quantity=quantity, reason=reason, **header)
            case events.EXPIRED:
                return VenueOrderExpired(quantity=quantity, reason=reason, **header)
        return None

    def _traded(
        self, state: State, taker: EngineOrder, maker: EngineOrder, lots: int, ticks: int, now: int
    ) -> Iterator[SessionMessage | VenueTraded]:
        """The trade, and then each of the two clients hears its side of it."""
        instrument = self._instruments[taker.market.symbol]
        trade = VenueTraded(
            symbol=instrument.symbol,
            trade_id=f"{self._venue}-{state.traded + 1}",
            price=instrument.price(ticks),
            quantity=instrument.quantity(lots),
            maker_id=maker.id,
            maker_account=maker.account.name,
            taker_id=taker.id,
            taker_account=taker.account.name,
            taker_side=_side(taker),
            at=now,
        )
        yield trade
        for order in (maker, taker):
            if order.account.name != MARKET:
                yield self._filled(state, trade, order.id, _side(order))

    def _filled(self, state: State, trade: VenueTraded, child_id: str, side: Side) -> VenueFilled:
        order = state.live[child_id]
        return VenueFilled(
            trade_id=trade.trade_id,
            symbol=trade.symbol,
            side=side,
            price=trade.price,
            quantity=trade.quantity,
            cumulative=order.cumulative + trade.quantity,
            leaves=order.leaves - trade.quantity,
            liquidity="taker" if child_id == trade.taker_id else "maker",
            **state.header(order.session, order.account, child_id, trade.at),
        )

    def _prevented(
        self, state: State, taker: EngineOrder, maker: EngineOrder, lots: int, now: int
    ) -> Iterator[VenueOrderPrevented]:
        """42: whoever loses by the taker's mode hears of it: the lots that would have traded, or all that is open."""
        mode = taker.prevention
        met = self._instruments[taker.market.symbol].quantity(lots) if mode == DECREMENT_BOTH else ZERO
        yield from self._loses(state, maker, taker, None if mode in (CANCEL_RESTING, CANCEL_BOTH) else met, now)
        yield from self._loses(state, taker, maker, None if mode in (CANCEL_NEW, CANCEL_BOTH) else met, now)

    def _loses(
        self, state: State, loser: EngineOrder, other: EngineOrder, quantity: Decimal | None, now: int
    ) -> Iterator[VenueOrderPrevented]:
        """`quantity`: None is all."""
        order = state.live[loser.id]
        lost = order.leaves if quantity is None else quantity
        if lost:
            yield VenueOrderPrevented(
                other_id=other.id,
                quantity=lost,
                leaves=order.leaves - lost,
                **state.header(order.session, order.account, loser.id, now),
            )


def _side(order: EngineOrder) -> Side:
    return "buy" if order.buy else "sell"
