"""Is the engine right? It says what the naive one says, event by event, and no event breaks an invariant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import flow
import pytest
from engines import ENGINES, Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger import Known, Ledger, displayed

Command = dict[str, Any]
Event = dict[str, Any]

# Sequences per suite: few where everybody waits for them, many where a machine has the night.
EXAMPLES = int(os.environ.get("VENUE_EXAMPLES", "0"))
PROFILES = ["binance-spot", "margined"]


def quick(examples: int) -> settings:
    """At least this many sequences; `VENUE_EXAMPLES` asks for more."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=max(EXAMPLES, examples), deadline=None, suppress_health_check=slow)


profiles = st.sampled_from(PROFILES)
changes = st.fixed_dictionaries(
    {},
    optional={
        "fok_counts_hidden": st.just(False),
        "expires_before_match": st.just(False),
        "iceberg_refresh": st.just("after_sweep"),
        "stop_trigger": st.just("quote"),
        "stop_already_passed": st.just("fire"),
        "oto_arms": st.just("proportional"),
        "order_windows": st.just([[20, 6]]),
        "reduce_only": st.just(False),
        "self_trade_preventions": st.just(["none", "cancel_new", "cancel_both"]),
        "self_trade_prevention_default": st.just("cancel_new"),
    },
)


def told(engine: Engine, commands: list[Command]) -> Iterator[tuple[Command, list[Event]]]:
    for command in commands:
        yield command, engine.step(command)


def shown(engine: Engine, at: int) -> list[Event]:
    return engine.step({"at": at, **flow.book})


def cleared(at: int) -> list[Command]:
    """The symbol is open, and everybody cancels everything."""
    opened = {"at": at, "do": "status", "symbol": flow.SYMBOL, "status": "open"}
    return [opened, *({"at": at, "do": "cancel_all", "account": account} for account in flow.ACCOUNTS)]


# The same events.


@given(commands=flow.sequences(), profile=profiles)
@quick(300)
def test_every_event_is_that_of_the_naive_engine(commands: list[Command], profile: str) -> None:
    assert_agreement(commands, profile, {})


@given(commands=flow.sequences(), profile=profiles, changes=changes)
@quick(200)
def test_they_agree_whatever_the_venue(commands: list[Command], profile: str, changes: Command) -> None:
    assert_agreement(commands, profile, changes)


def assert_agreement(commands: list[Command], profile: str, changes: Command) -> None:
    """After each command the events and the book; at the end, by its cancellation, whatever hides or waits."""
    fast, naive = Engine("fast", profile, changes), Engine("naive", profile, changes)
    for command in [*commands, *cleared(commands[-1]["at"])]:
        assert fast.step(command) == naive.step(command)
        assert shown(fast, command["at"]) == shown(naive, command["at"])


# What no event may break.

by_engine = pytest.mark.parametrize("engine", ENGINES)


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(25)
def test_the_book_is_never_crossed(engine: str, commands: list[Command], profile: str) -> None:
    venue = Engine(engine, profile)
    for command, _ in told(venue, commands):
        book = displayed(shown(venue, command["at"]))
        bids, asks = ([price for price, _ in book[side]] for side in ("bids", "asks"))
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert not bids or not asks or bids[0] < asks[0]


VISIBLE = st.one_of(flow.limit, flow.post_only, flow.market, flow.taking)
NO_ICEBERG = st.one_of(flow.place(VISIBLE), flow.amend, flow.cancel, flow.position)


@by_engine
@given(commands=flow.sequences(NO_ICEBERG), profile=profiles)
@quick(25)
def test_the_book_holds_what_the_events_left_open(engine: str, commands: list[Command], profile: str) -> None:
    """Conservation of quantity: original - executed - prevented - trimmed is what stands in the book."""
    venue, ledger = Engine(engine, profile), Ledger()
    for command, events in told(venue, commands):
        ledger.apply(command, events)
        book = displayed(shown(venue, command["at"]))
        for side, name in (("buy", "bids"), ("sell", "asks")):
            assert dict(book[name]) == open_by_price(ledger, side)


def open_by_price(ledger: Ledger, side: str) -> dict[Decimal, Decimal]:
    levels: dict[Decimal, Decimal] = {}
    for known in ledger.live.values():
        if known.terms["side"] == side:
            price = Decimal(known.terms["price"])
            levels[price] = levels.get(price, Decimal(0)) + known.open
    return levels


@by_engine
@given(commands=flow.sequences())
@quick(25)
def test_nobody_spends_what_he_has_not(engine: str, commands: list[Command]) -> None:
    """Conservation of money: every reservation holds, so no balance ever falls below zero."""
    ledger = Ledger()
    for command, events in told(Engine(engine), commands):
        ledger.apply(command, events)
        for held in ledger.balances.values():
            assert all(amount >= 0 for amount in held.values()), held


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(25)
def test_every_order_is_accounted_for(engine: str, commands: list[Command], profile: str) -> None:
    """original = executed + prevented + open + ended, at every end, and nothing lives on after a cancel of all."""
    venue, ledger = Engine(engine, profile), Ledger()
    end = commands[-1]["at"]
    for command, events in told(venue, [*commands, *cleared(end)]):
        ledger.apply(command, events)
        for known in ledger.known():
            assert known.quantity == known.executed + known.prevented + known.open + known.ended
            assert known.open >= 0 and known.ended >= 0
    assert not ledger.live
    book = displayed(shown(venue, end))
    assert book == {"bids": [], "asks": []}


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(40)
def test_reduce_only_never_opens_or_flips(engine: str, commands: list[Command], profile: str) -> None:
    ledger = Ledger()
    for command, events in told(Engine(engine, profile), commands):
        ledger.ask(command)
        for event in events:
            if event["event"] == "trade" and event["maker_account"] != event["taker_account"]:
                assert_reduces(ledger, ledger.maker(event), event)
                assert_reduces(ledger, ledger.taker(event), event)
            ledger.hear(event)


def assert_reduces(ledger: Ledger, known: Known, trade: Event) -> None:
    if known.terms["reduce_only"]:
        position = ledger.positions[known.account]
        assert known.sign * position < 0
        assert Decimal(trade["quantity"]) <= abs(position)


LISTED = st.one_of(flow.lists(["oco", "ouo"]), flow.lists(["oco", "otoco"]), flow.place(), flow.mark, flow.amend)


@by_engine
@given(commands=flow.sequences(LISTED), profile=profiles)
@quick(40)
def test_a_list_is_never_filled_twice(engine: str, commands: list[Command], profile: str) -> None:
    """One leg of an OCO at most, and of the legs of an OUO together no more than one."""
    ledger = Ledger()
    for command, events in told(Engine(engine, profile), commands):
        ledger.apply(command, events)
    for group in {id(known.group): known.group for known in ledger.known() if known.group is not None}.values():
        legs = group.orders[1:] if group.kind == "otoco" else group.orders
        assert group.kind == "ouo" or sum(leg.executed > 0 for leg in legs) <= 1
        assert sum(leg.executed for leg in legs) <= max(leg.most for leg in legs)


PLAIN = st.one_of(flow.place(VISIBLE), flow.cancel)


@by_engine
@given(commands=flow.sequences(PLAIN))
@quick(40)
def test_the_first_in_price_and_time_trades_first(engine: str, commands: list[Command]) -> None:
    """Queue order: nobody who was as good and there before is passed over, unless prevention took him away."""
    ledger = Ledger()
    for command, events in told(Engine(engine), commands):
        ledger.ask(command)
        for event in events:
            if event["event"] == "trade":
                maker = ledger.maker(event)
                facing = [known for known in ledger.live.values() if known.sign == maker.sign and is_open(known)]
                first = min(facing, key=lambda known: -known.sign * Decimal(known.terms["price"]))
                assert maker is first
            ledger.hear(event)


def is_open(known: Known) -> bool:
    """Resting: a taker of the other side has the other sign, and takers that do not rest are gone before the next."""
    return known.open > 0 and known.terms["type"] == "limit"


FILL_OR_KILL = flow.place(flow.taking.map(lambda order: {**order, "time_in_force": "fok"}))


@by_engine
@given(commands=flow.sequences(st.one_of(FILL_OR_KILL, flow.place(st.one_of(flow.limit, flow.iceberg)))))
@quick(40)
def test_fok_leaves_no_trace(engine: str, commands: list[Command]) -> None:
    """All of it, or nothing but its own acceptance and expiry."""
    venue = Engine(engine)
    for command in commands:
        if command.get("time_in_force") != "fok":
            venue.step(command)
            continue
        venue.step({"at": command["at"], **flow.time})  # what ends at this time has ended before
        before = shown(venue, command["at"])
        events = [event for event in venue.step(command) if event["event"] != "rejected"]
        quantities = [event["quantity"] for event in events if event["event"] == "trimmed" and is_of(event, command)]
        done = sum(Decimal(event["quantity"]) for event in events if event["event"] == "trade")
        if events and done != Decimal((quantities or [command["quantity"]])[-1]):
            assert [event["event"] for event in events if event["event"] != "trimmed"] == ["accepted", "expired"]
            assert displayed(shown(venue, command["at"])) == displayed(before)


def is_of(event: Event, command: Command) -> bool:
    return (event["account"], event["id"]) == (command["account"], command["id"])


# The path of a mark, in steps so small that it takes several to come back by as many basis points.
PATHS = st.lists(st.sampled_from([-3, 2, -2, 3, 5, -6]), min_size=8, max_size=25).map(
    lambda steps: [Decimal(100 + sum(steps[: n + 1])) for n in range(len(steps))]
)
TRAILS = st.sampled_from([500, 700, 1000])


@by_engine
@given(path=PATHS, side=flow.side, trail=TRAILS, activation=st.none() | st.integers(90, 110).map(Decimal))
@quick(60)
def test_a_trailing_stop_never_loosens(
    engine: str, path: list[Decimal], side: str, trail: int, activation: Decimal | None
) -> None:
    """It fires at the first price that is as far from the best one since its activation as it may be."""
    venue = Engine(engine)
    for command in (flow.INSTRUMENT, {"at": 0, "do": "mark", "symbol": flow.SYMBOL, "price": "100"}):
        venue.step(command)
    order = {"account": "ann", "id": "t", "symbol": flow.SYMBOL, "side": side, "type": "trailing_stop", "quantity": "1"}
    level = None if activation is None else str(activation)
    venue.step({"at": 0, "do": "place", **order, "trail_bps": str(trail), "activation_price": level})
    fired = [any(event["event"] == "triggered" for event in venue.step({"at": 1, **mark(price)})) for price in path]
    assert fired == firings(path, side, trail, activation)


def mark(price: Decimal) -> Command:
    return {"do": "mark", "symbol": flow.SYMBOL, "price": str(price)}


def firings(path: list[Decimal], side: str, trail: int, activation: Decimal | None) -> list[bool]:
    """With the sign turned for a buy, every trailing stop is one that sells: it follows upwards, and fires below."""
    sign = 1 if side == "sell" else -1
    best = Decimal(100) if activation is None else None
    fired: list[bool] = []
    for price in path:
        if any(fired):
            fired.append(False)
        elif best is None:
            fired.append(False)
            best = price if activation is not None and sign * (price - activation) >= 0 else None
        else:
            fired.append(sign * (price - best * (1 - sign * Decimal(trail) / 10_000)) <= 0)
            best = sign * max(sign * best, sign * price)
    return fired


STOPS = st.one_of(flow.place(st.one_of(flow.stop, flow.trailing)), flow.place(), flow.mark, flow.cancel, flow.lists())


@by_engine
@given(commands=flow.sequences(STOPS), profile=profiles)
@quick(40)
def test_a_stop_triggers_once(engine: str, commands: list[Command], profile: str) -> None:
    ledger = Ledger()
    for command, events in told(Engine(engine, profile), commands):
        ledger.apply(command, events)
        for known in ledger.known():
            assert known.triggers <= (known.terms["type"] not in ("limit", "market"))


FILTERS = {"tick": "0.5", "lot": "2", "quantity_min": "4", "quantity_max": "8", "notional_min": "390"}
# Half of them between two ticks.
STEPS = st.integers(380, 420).map(lambda quarters: str(Decimal(quarters) / 4))


@by_engine
@given(
    commands=flow.sequences(flow.place(flow.joined(flow.limit, st.fixed_dictionaries({"price": STEPS})))), band=STEPS
)
@quick(40)
def test_what_trades_has_passed_the_filters(engine: str, commands: list[Command], band: str) -> None:
    venue = Engine(engine)
    venue.step({**flow.INSTRUMENT, **FILTERS, "price_max": band})
    for command, events in told(venue, commands[1:]):
        if any(event["event"] == "accepted" for event in events):
            price, quantity = Decimal(command["price"]), Decimal(command["quantity"])
            assert quantity in (4, 6, 8)
            assert price <= Decimal(band)
            assert price * quantity >= 390
        for event in events:
            if event["event"] == "trade":
                assert Decimal(event["price"]) % Decimal("0.5") == 0
                assert Decimal(event["quantity"]) % 2 == 0


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(25)
def test_the_same_lines_say_the_same(engine: str, commands: list[Command], profile: str) -> None:
    one, other = Engine(engine, profile), Engine(engine, profile)
    assert [one.step(command) for command in commands] == [other.step(command) for command in commands]


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(40)
def test_refusals_change_nothing(engine: str, commands: list[Command], profile: str) -> None:
    """Without the commands that were only refused, everything else comes out the same."""
    answered = list(told(Engine(engine, profile), commands))
    taken = [(command, events) for command, events in answered if not is_refusal(events)]
    again = Engine(engine, profile)
    for command, events in taken:
        assert unnumbered(again.step(command)) == unnumbered(events)


def is_refusal(events: list[Event]) -> bool:
    return len(events) == 1 and events[0]["event"] == "rejected"


def unnumbered(events: list[Event]) -> list[Event]:
    return [{name: value for name, value in event.items() if name != "seq"} for event in events]


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(25)
def test_post_only_never_takes(engine: str, commands: list[Command], profile: str) -> None:
    ledger = Ledger()
    for command, events in told(Engine(engine, profile), commands):
        ledger.ask(command)
        for event in events:
            assert event["event"] != "trade" or not ledger.taker(event).terms.get("post_only")
            ledger.hear(event)


@by_engine
@given(commands=flow.sequences(), profile=profiles)
@quick(25)
def test_what_may_not_rest_is_over_with_its_command(engine: str, commands: list[Command], profile: str) -> None:
    """Market, IOC and FOK orders end when they come."""
    ledger = Ledger()
    for command, events in told(Engine(engine, profile), commands):
        ledger.apply(command, events)
        for known in ledger.live.values():
            waits = known.group is not None and known.group.kind in ("oto", "otoco")
            assert waits or known.terms["type"] != "market"
            assert waits or known.terms.get("time_in_force") not in ("ioc", "fok")


ICEBERGS = flow.place(st.one_of(flow.iceberg, flow.iceberg, flow.market))


@by_engine
@given(commands=flow.sequences(ICEBERGS))
@quick(25)
def test_an_iceberg_shows_no_more_than_its_peak(engine: str, commands: list[Command]) -> None:
    venue, ledger = Engine(engine), Ledger()
    for command, events in told(venue, commands):
        ledger.apply(command, events)
        peaks = sum(min(known.open, Decimal(known.terms["display_quantity"])) for known in ledger.live.values())
        assert (
            sum(quantity for side in displayed(shown(venue, command["at"])).values() for _, quantity in side) <= peaks
        )
