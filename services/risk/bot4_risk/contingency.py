"""What does news of one order of a list mean to the others? OCO, OTO, OTOCO and OUO as one state machine.

Where a venue has lists, it does all this itself, and risk only keeps count. Where it has not, risk holds orders back
so that of two siblings never more than one is at the venue:

* OCO and OUO (30, 35). What can rest in the book works at the venue; a stop or take-profit is held, and risk watches
  its trigger. When that is reached, the other is cancelled first; only when that is confirmed is the held one sent. A
  fill of the other that comes meanwhile, however small and late, ends the held leg of an OCO, and leaves to that of an
  OUO what it has not taken. Of two that could rest (limit orders of an OUO) the nearer to the market works: it would
  fill before the other anyway. The price of the farther is then its trigger.
* OTO and OTOCO (34). Children wait until their parent has filled whole. A parent that ends otherwise takes them along,
  also when it was filled in part; what it opened keeps the protective stop that every opening order has. Arming
  children in proportion is a choice of venues that have lists. A child whose trigger the market has passed when it
  arms is refused (22), and its sibling ends with it (31).

An amend of one leg is one of both (31). A held leg has its new total at once; should the venue then refuse to give the
other the same, the held one goes back to what that still has.

This never fills twice, and so it may fill late: between a trigger and the confirmed cancel the market moves on.

`reactions` says what to do, and changes nothing; `heard` and `done` note what has become of it. What is told twice, or
of a leg that is over, changes nothing either. `LIFE`, `OWN` and `MEANING` are all there is to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from bot4_common.instruments import LEGS
from bot4_common.messages import risk as messages
from bot4_common.messages.terms import ListKind, Order
from bot4_common.money import ZERO, plain

Role = Literal["parent", "child", "leg"]

# waiting: the parent is not filled. watching: held, and risk watches its trigger. triggered: that was reached; it is
# sent when the sibling at the venue is gone. working: sent. ending: sent, and its cancel too.
State = Literal["waiting", "watching", "triggered", "working", "ending", "over"]

# What is heard of a leg; `over` is any end but that of having filled.
Hearing = Literal[
    "filled",
    "filled_whole",
    "triggered",
    "over",
    "amended",
    "amend_failed",
    "reduced",
    "cancel_wished",
    "cancel_failed",
]
# What is done to one.
Deed = Literal["arm", "send", "resize", "share", "cancel", "drop"]

# What another leg is to the one that is heard of: one fill ends a rival; a partner has what is left; a child waits.
Tie = Literal["rival", "partner", "child"]

# The life of one leg. A pair that is not here changes nothing.
LIFE: dict[tuple[State, Hearing | Deed], State] = {
    ("waiting", "arm"): "watching",
    ("waiting", "drop"): "over",
    ("waiting", "over"): "over",
    ("watching", "triggered"): "triggered",
    ("watching", "send"): "working",
    ("watching", "drop"): "over",
    ("watching", "over"): "over",
    ("triggered", "arm"): "watching",
    ("triggered", "send"): "working",
    ("triggered", "drop"): "over",
    ("triggered", "over"): "over",
    ("working", "cancel"): "ending",
    ("working", "filled_whole"): "over",
    ("working", "over"): "over",
    ("ending", "cancel_failed"): "working",
    ("ending", "filled_whole"): "over",
    ("ending", "over"): "over",
}

# What is to be done with the leg itself.
OWN: dict[tuple[Hearing, State], Deed] = {
    ("triggered", "watching"): "send",  # unless a sibling is still at the venue
    ("cancel_wished", "waiting"): "drop",
    ("cancel_wished", "watching"): "drop",
    ("cancel_wished", "triggered"): "drop",
    ("cancel_wished", "working"): "cancel",
}

# What is to be done with another leg, by what it is to the one that is heard of, and its own state.
MEANING: dict[tuple[Tie, Hearing, State], Deed] = {
    # 30, 32: one fill, however small, ends the other. That one is sent already only if this fill is late.
    ("rival", "filled", "watching"): "drop",
    ("rival", "filled", "triggered"): "drop",
    ("rival", "filled", "working"): "cancel",
    ("rival", "filled_whole", "watching"): "drop",
    ("rival", "filled_whole", "triggered"): "drop",
    ("rival", "filled_whole", "working"): "cancel",
    # 30: so does the trigger.
    ("rival", "triggered", "watching"): "drop",
    ("rival", "triggered", "working"): "cancel",
    # 31: and every other end; but for the one that has triggered, this is what it waited for.
    ("rival", "over", "waiting"): "drop",
    ("rival", "over", "watching"): "drop",
    ("rival", "over", "triggered"): "send",
    ("rival", "over", "working"): "cancel",
    ("rival", "cancel_wished", "waiting"): "drop",
    ("rival", "cancel_wished", "watching"): "drop",
    ("rival", "cancel_wished", "triggered"): "drop",
    ("rival", "cancel_wished", "working"): "cancel",
    # The other lives on at the venue: back to watching, and the next quote may try again.
    ("rival", "cancel_failed", "triggered"): "arm",
    # 31
    ("rival", "amended", "waiting"): "resize",
    ("rival", "amended", "watching"): "resize",
    ("rival", "amended", "triggered"): "resize",
    ("rival", "amended", "working"): "resize",
    # 31: one that is held was amended by its word alone, and goes back with the one at the venue.
    ("rival", "amend_failed", "watching"): "resize",
    # 35: a fill leaves the other what it has not taken.
    ("partner", "filled", "watching"): "share",
    ("partner", "filled", "triggered"): "share",
    ("partner", "filled", "working"): "share",
    ("partner", "filled_whole", "watching"): "drop",
    ("partner", "filled_whole", "triggered"): "drop",
    ("partner", "filled_whole", "working"): "cancel",
    ("partner", "triggered", "working"): "cancel",
    ("partner", "over", "watching"): "drop",
    ("partner", "over", "triggered"): "send",
    ("partner", "over", "working"): "cancel",
    ("partner", "cancel_wished", "watching"): "drop",
    ("partner", "cancel_wished", "triggered"): "drop",
    ("partner", "cancel_wished", "working"): "cancel",
    ("partner", "cancel_failed", "triggered"): "arm",
    ("partner", "amended", "watching"): "resize",
    ("partner", "amended", "triggered"): "resize",
    ("partner", "amended", "working"): "resize",
    ("partner", "amend_failed", "watching"): "resize",
    # 34: children follow the end of their parent, not the wish to cancel it, which may come too late.
    ("child", "filled_whole", "waiting"): "arm",
    ("child", "over", "waiting"): "drop",
}

HELD: frozenset[State] = frozenset(("waiting", "watching", "triggered"))
AT_VENUE: frozenset[State] = frozenset(("working", "ending"))

WITH_PARENT: frozenset[ListKind] = frozenset(("oto", "otoco"))


class Leg(msgspec.Struct, kw_only=True):
    """One order of a list. `quantity` is its total as asked and amended; `watched`: whether it is held, once armed,
    until its trigger is reached."""

    order_id: str
    role: Role
    quantity: Decimal
    state: State
    watched: bool
    filled: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return max(self.quantity - self.filled, ZERO)

    def goes(self, step: Hearing | Deed) -> None:
        self.state = LIFE.get((self.state, step), self.state)


class Contingent(msgspec.Struct, kw_only=True):
    """A list and how far it has come. The parent, if there is one, is the first of the legs."""

    list_id: str
    client_list_id: str
    kind: ListKind
    native: bool
    legs: list[Leg]

    @property
    def over(self) -> bool:
        return all(leg.state == "over" for leg in self.legs)

    def leg(self, order_id: str) -> Leg:
        """Raises `KeyError` for an order that is not of this list."""
        for leg in self.legs:
            if leg.order_id == order_id:
                return leg
        raise KeyError(order_id)

    def siblings(self) -> list[Leg]:
        """The legs of which one may fill. A parent has none, nor has the child of a plain OTO."""
        return [] if self.kind == "oto" else [leg for leg in self.legs if leg.role != "parent"]

    def tie(self, leg: Leg, other: Leg) -> Tie | None:
        """What the other is to the leg; nothing of a child concerns its parent."""
        if leg.role == "parent":
            return "child"
        if other.role == "parent" or self.kind == "oto":
            return None
        return "partner" if self.kind == "ouo" else "rival"


# News


class Filled(msgspec.Struct, frozen=True):
    """By so much; `whole`: nothing of it is open any more. `passed` are the children whose trigger the market has
    passed already, where this arms them."""

    quantity: Decimal
    whole: bool
    passed: tuple[str, ...] = ()


class Triggered(msgspec.Struct, frozen=True):
    """The market has reached the trigger that risk watched."""


class Over(msgspec.Struct, frozen=True):
    """It ended without filling whole: cancelled, expired, rejected, lost, or refused when it was to be sent. So much of
    it has traded that nobody was told of before: that is known with its end, and heard of once."""

    untold: Decimal = ZERO


class Amended(msgspec.Struct, frozen=True):
    """It has this total now, by an amend or a trim."""

    quantity: Decimal


class AmendFailed(msgspec.Struct, frozen=True):
    """The venue has refused to amend it: it still has this total."""

    quantity: Decimal


class Reduced(msgspec.Struct, frozen=True):
    """It has this total now, by self-trade prevention, which is nobody else's concern."""

    quantity: Decimal


class CancelWished(msgspec.Struct, frozen=True):
    """Somebody wants it cancelled, and so the list (31)."""


class CancelFailed(msgspec.Struct, frozen=True):
    """The venue has refused to cancel it."""


News = Filled | Triggered | Over | Amended | AmendFailed | Reduced | CancelWished | CancelFailed


# Actions


class Cancel(msgspec.Struct, frozen=True):
    order_id: str


class Send(msgspec.Struct, frozen=True):
    """To the venue with it, for this quantity."""

    order_id: str
    quantity: Decimal


class Arm(msgspec.Struct, frozen=True):
    """From here on it works for this quantity, and watches for its trigger if it has one."""

    order_id: str
    quantity: Decimal


class Resize(msgspec.Struct, frozen=True):
    """To this total: by an amend if it is at the venue, by its word alone if it is held."""

    order_id: str
    quantity: Decimal


class Drop(msgspec.Struct, frozen=True):
    """It is held and will never be sent. `code` is the rule that refuses it, if it is not the list that ends it."""

    order_id: str
    code: str = ""


Action = Cancel | Send | Arm | Resize | Drop


# What to do


def reactions(contingent: Contingent, order_id: str, news: News) -> list[Action]:
    """What the news of one order asks to be done, to itself and to others, in this order. `contingent` is as it was
    before the news. Carrying the actions out calls for no further reactions."""
    leg, hearing = contingent.leg(order_id), _hearing(news)
    if not _matters(leg, hearing):
        return []
    if contingent.native:
        return _deed(leg, OWN[hearing, leg.state], leg.quantity) if (hearing, leg.state) in OWN else []
    if isinstance(news, Filled) and news.whole and (refused := _refused_children(contingent, leg, news)):
        return refused
    actions: list[Action] = []
    for other in contingent.legs:
        tie = contingent.tie(leg, other)
        if other is leg:
            actions += _own(contingent, leg, hearing)
        elif tie and (deed := MEANING.get((tie, _as_told(tie, leg, news), other.state))):
            actions += _deed(other, deed, _total(leg, other, news))
    return actions


def _hearing(news: News) -> Hearing:
    match news:
        case Filled():
            return "filled_whole" if news.whole else "filled"
        case Triggered():
            return "triggered"
        case Over():
            return "over"
        case Amended():
            return "amended"
        case AmendFailed():
            return "amend_failed"
        case Reduced():
            return "reduced"
        case CancelWished():
            return "cancel_wished"
        case CancelFailed():
            return "cancel_failed"


def _matters(leg: Leg, hearing: Hearing) -> bool:
    """51: a fill always does. The rest is told twice, or too late, if the leg cannot go that way."""
    match hearing:
        case "filled" | "filled_whole":
            return True
        case "triggered" | "cancel_failed":
            return (leg.state, hearing) in LIFE
        case "amend_failed":
            # What is being cancelled leaves the other one its new total.
            return leg.state == "working"
        case _:
            return leg.state != "over"


def _as_told(tie: Tie, leg: Leg, news: News) -> Hearing:
    """A parent that is held ends as soon as somebody wants it to; and one fill ends a rival, also one that is yet to be
    told."""
    hearing = _hearing(news)
    if tie == "rival" and isinstance(news, Over) and news.untold:
        return "filled"
    return "over" if tie == "child" and OWN.get((hearing, leg.state)) == "drop" else hearing


def _own(contingent: Contingent, leg: Leg, hearing: Hearing) -> list[Action]:
    deed = OWN.get((hearing, leg.state))
    if deed is None or (deed == "send" and any(other.state in AT_VENUE for other in contingent.siblings())):
        return []
    return _deed(leg, deed, leg.quantity)


def _refused_children(contingent: Contingent, parent: Leg, news: Filled) -> list[Action]:
    """22, 31: one that the market has passed is refused when it arms, and its siblings end with it."""
    waiting = [leg for leg in contingent.legs if contingent.tie(parent, leg) == "child" and leg.state == "waiting"]
    if not any(leg.order_id in news.passed for leg in waiting):
        return []
    return [Drop(leg.order_id, "STOP_ALREADY_PASSED" if leg.order_id in news.passed else "") for leg in waiting]


def _total(leg: Leg, other: Leg, news: News) -> Decimal:
    """What the other's total is to be once this has been heard of the leg."""
    match news:
        case Filled():
            # After a late fill, of a leg that is over, what is left of that says nothing; what it took does.
            left = min(leg.left, other.left) - news.quantity
        case Over(untold=untold) if untold:
            left = min(leg.left, other.left) - untold
        case Amended() | AmendFailed():
            left = news.quantity - leg.filled
        case _:
            return other.quantity
    return other.filled + max(left, ZERO)


def _deed(leg: Leg, deed: Deed, total: Decimal) -> list[Action]:
    match deed:
        case "cancel":
            return [Cancel(leg.order_id)]
        case "drop":
            return [Drop(leg.order_id)]
        case "send":
            return [Send(leg.order_id, total)] if total > leg.filled else [Drop(leg.order_id)]
        case "arm":
            armed: list[Action] = [Arm(leg.order_id, leg.quantity)]
            return armed if leg.watched else [*armed, Send(leg.order_id, leg.quantity)]
        case "share" if total <= leg.filled:
            return _deed(leg, "cancel" if leg.state in AT_VENUE else "drop", total)
        case "share" | "resize":
            return [Resize(leg.order_id, total)] if total != leg.quantity else []


# What has happened: only `evolve` calls what follows.


def begun(list_id: str, client_list_id: str, kind: ListKind, native: bool, legs: Sequence[messages.Leg]) -> Contingent:
    """The list as it begins. Of its legs those that are `working` go to the venue at once, the others are held."""
    has_parent = kind in WITH_PARENT
    works = _that_works([leg.order for leg in (legs[1:] if has_parent else legs)])
    begins = []
    for number, leg in enumerate(legs):
        role: Role = "leg" if not has_parent else "child" if number else "parent"
        watched = leg.order.type not in ("limit", "market") if role == "parent" else leg.order is not works
        state: State = "waiting" if role == "child" else "watching" if watched else "working"
        begins.append(
            Leg(
                order_id=leg.order_id,
                role=role,
                quantity=leg.order.quantity,
                state="working" if native else state,
                watched=watched,
            )
        )
    return Contingent(list_id=list_id, client_list_id=client_list_id, kind=kind, native=native, legs=begins)


def heard(contingent: Contingent, order_id: str, news: News) -> None:
    leg = contingent.leg(order_id)
    match news:
        case Filled():
            leg.filled += news.quantity
        case Over():
            leg.filled += news.untold
        case Amended() | Reduced():
            leg.quantity = news.quantity
        case _:
            pass
    leg.goes(_hearing(news))


def done(contingent: Contingent, action: Action) -> None:
    leg = contingent.leg(action.order_id)
    match action:
        case Cancel():
            leg.goes("cancel")
        case Drop():
            leg.goes("drop")
        case Arm():
            leg.goes("arm")
        case Send():
            leg.goes("send")
        case Resize():
            # One at the venue has its new total when the venue says so.
            if leg.state in HELD:
                leg.quantity = action.quantity


def _that_works(orders: Sequence[Order]) -> Order | None:
    """Of siblings, the one that is not held: a market order, or the limit order that is nearest to the market."""
    at_once = [order for order in orders if order.type in ("limit", "market")]
    return min(at_once, key=_way, default=None)


def _way(order: Order) -> Decimal:
    """Less is nearer to the market."""
    if order.price is None:
        return Decimal("-Infinity")
    return -order.price if order.side == "buy" else order.price


# Triggers


def trigger(order: Order) -> tuple[Decimal, bool] | None:
    """The price at which a held order is due, and whether by a rise. None: it has none, or one that moves."""
    if order.type == "limit":
        return None if order.price is None else (order.price, order.side == "sell")
    if order.type in ("market", "trailing_stop"):
        return None
    assert order.stop_price is not None
    takes_profit = order.type in ("take_profit_market", "take_profit_limit")
    return order.stop_price, (order.side == "buy") != takes_profit


def reached(order: Order, bid: Decimal, ask: Decimal) -> bool:
    """Whether the market has reached its trigger; equality does. Buys watch the ask, sells the bid (22)."""
    due = trigger(order)
    if due is None:
        return False
    price, rises = due
    watched = ask if order.side == "buy" else bid
    return watched >= price if rises else watched <= price


def passed_when_armed(
    contingent: Contingent, orders: Mapping[str, Order], bid: Decimal, ask: Decimal
) -> tuple[str, ...]:
    """22: the children that wait whose trigger is behind the market, were they armed now. `orders` by order id."""
    waiting = [leg.order_id for leg in contingent.legs if leg.state == "waiting" and leg.watched]
    return tuple(order_id for order_id in waiting if reached(orders[order_id], bid, ask))


def as_sent(order: Order, quantity: Decimal) -> Order:
    """The plain order that goes to the venue when a held one is due."""
    kind: Literal["limit", "market"] = "market" if order.price is None else "limit"
    return replace(order, type=kind, quantity=quantity, stop_price=None)


# Do the orders of a list fit together?


def refusal(kind: ListKind, orders: Sequence[Order], bid: Decimal, ask: Decimal) -> tuple[str, dict[str, str]] | None:
    """The first rule the list breaks as a list, with the numbers that explain it. Its orders name their venue."""
    if len(orders) != LEGS[kind]:
        return "LIST_LEGS_DIFFER", {"orders": str(len(orders)), "wanted": str(LEGS[kind])}
    venues = sorted({order.venue for order in orders})
    if len(venues) > 1:
        return "LIST_VENUES_DIFFER", {"venues": ", ".join(venues)}
    if kind != "oto":
        # The market has not moved to where an OTOCO's children will arm: they are judged without it.
        found = _siblings_refusal(kind, orders[-2], orders[-1], (bid + ask) / 2 if kind == "oco" else None)
        if found is not None:
            return found
    for order in orders[:1] if kind in WITH_PARENT else orders:
        if order.stop_price is not None and reached(order, bid, ask):
            numbers = {"stop_price": order.stop_price, "bid": bid, "ask": ask}
            return "STOP_ALREADY_PASSED", {name: plain(value) for name, value in numbers.items()}
    return None


def _siblings_refusal(
    kind: ListKind, first: Order, second: Order, mid: Decimal | None
) -> tuple[str, dict[str, str]] | None:
    for field in ("symbol", "side", "quantity", "reduce_only"):
        one, other = getattr(first, field), getattr(second, field)
        if one != other:
            return "LIST_LEGS_DIFFER", {field: f"{_written(one)}, {_written(other)}"}
    return None if kind == "ouo" else _price_refusal(first, second, mid)


def _price_refusal(first: Order, second: Order, mid: Decimal | None) -> tuple[str, dict[str, str]] | None:
    """33: for sells limit > market > stop, for buys the reverse."""
    limit, stop = (first, second) if first.type == "limit" else (second, first)
    if limit.type != "limit" or stop.type not in ("stop_market", "stop_limit"):
        return "LIST_LEGS_DIFFER", {"types": f"{first.type}, {second.type}", "wanted": "limit and stop"}
    assert limit.price is not None and stop.stop_price is not None
    path = [limit.price, stop.stop_price] if mid is None else [limit.price, mid, stop.stop_price]
    wanted = sorted(set(path), reverse=limit.side == "sell")
    if path == wanted:
        return None
    numbers = {"limit": plain(limit.price), "stop": plain(stop.stop_price)}
    return "LIST_PRICES", numbers if mid is None else {**numbers, "mid": plain(mid)}


def _written(value: Decimal | str | bool) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
