"""What may no sequence of commands ever break? One test per invariant, on the real engine alone."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import flow
from engines import Fast, state_hash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger import Known, Ledger

from bot4_exchange_simulator.engine.accounts import Account
from bot4_exchange_simulator.engine.book import Side
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.terms import RESTING, WAITING, WATCHING

Command = dict[str, Any]
Event = dict[str, Any]

# Sequences per invariant: more where a machine has the night.
EXAMPLES = int(os.environ.get("VENUE_EXAMPLES", "100"))
searched = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

venues = st.sampled_from(
    [
        ("default", {}),
        ("margined", {}),
        ("binance-spot", {}),
        ("default", {"order_windows": [[20, 6]]}),
        ("default", {"iceberg_refresh": "after_sweep", "stop_trigger": "quote"}),
        ("default", {"oto_arms": "proportional", "stop_already_passed": "fire"}),
    ]
)
Venue = tuple[str, dict[str, Any]]


def told(engine: Fast, commands: list[Command]) -> Iterator[tuple[Command, list[Event]]]:
    for command in commands:
        yield command, engine.step(command)


def orders(engine: Fast) -> Iterator[Order]:
    for account in engine.engine.accounts.values():
        yield from account.orders.values()


def trades(ledger: Ledger, commands: list[Command], engine: Fast) -> Iterator[Event]:
    """Each trade as it happens: the ledger knows what was before it, and hears of it next."""
    for command, events in told(engine, commands):
        ledger.ask(command)
        for event in events:
            if event["event"] == "trade":
                yield event
            ledger.hear(event)


def limited(commands: list[Command]) -> list[Command]:
    """The same, between accounts that all have a limit, and have nothing given or taken after the first command."""
    much = {"BTC": "15", "ETH": "10", "USDT": "2500"}
    opened = [{"at": 0, "do": "account", "account": name, "balances": much} for name in flow.ACCOUNTS]
    return [*commands[:2], *opened, *(each for each in commands[2:] if each["do"] != "account")]


# The book.


@given(commands=flow.sequences(), venue=venues)
@searched
def test_the_book_is_never_crossed(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for _ in told(engine, commands):
        for market in engine.engine.markets.values():
            bid, ask = market.bids.top, market.asks.top
            assert bid is None or ask is None or bid.price < ask.price


@given(commands=flow.sequences(), venue=venues)
@searched
def test_every_level_displays_what_its_orders_do(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for _ in told(engine, commands):
        resting = {order for order in orders(engine) if order.where == RESTING}
        for market in engine.engine.markets.values():
            for side in (market.bids, market.asks):
                resting -= queued(side)
        assert not resting


def queued(side: Side) -> set[Order]:
    assert side.keys == sorted(side.levels)
    assert side.top is (side.levels[side.keys[-1]] if side.keys else None)
    assert side.empty == sum(level.front is None for level in side.levels.values())
    found: list[Order] = []
    for level in side.levels.values():
        assert level.front is not None or level is not side.top
        shown, order, ahead = 0, level.front, None
        while order is not None:
            assert order.where == RESTING
            assert order.level is level
            assert order.ahead is ahead
            assert 0 < order.shown <= order.leaves
            found.append(order)
            shown, order, ahead = shown + order.shown, order.behind, order
        assert level.back is ahead
        assert level.shown == shown
    return set(found)


@given(commands=flow.sequences(orders=flow.VISIBLE))
@searched
def test_the_first_in_price_and_time_trades_first(commands: list[Command]) -> None:
    """Nobody who displays as good a price and has been there longer is passed over, unless prevention took him away."""
    engine, ledger = Fast(), Ledger()
    for command in commands:
        line = {name: queue for book in engine.state()["books"].values() for name, queue in queues(book)}
        moved: set[str] = set()
        ledger.ask(command)
        for event in engine.step(command):
            if event["event"] == "trade":
                assert_first(event, line, moved, ledger)
            elif event["event"] == "amended":
                moved.add(f"{event['account']} {event['id']}")
            ledger.hear(event)


def queues(book: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    for side in book.values():
        for name in side:
            yield name, side


def assert_first(trade: Event, line: dict[str, list[str]], moved: set[str], ledger: Ledger) -> None:
    """Of those that stood in the maker's queue before the command, and stand there still, nobody stands before him."""
    maker = f"{trade['maker_account']} {trade['maker']}"
    queue = line.get(maker, [maker])  # it may have come to rest in this very command
    for name in queue[: queue.index(maker)]:
        account, id = name.split()
        assert name in moved or (account, id) not in ledger.live


@given(commands=flow.sequences(), venue=venues)
@searched
def test_a_trade_is_at_the_makers_price_and_no_worse_than_the_takers(commands: list[Command], venue: Venue) -> None:
    ledger = Ledger()
    for trade in trades(ledger, commands, Fast(*venue)):
        maker, taker, price = ledger.maker(trade), ledger.taker(trade), Decimal(trade["price"])
        assert Decimal(trade["quantity"]) > 0
        assert price == Decimal(maker.terms["price"])
        if taker.terms.get("price") is not None:
            assert taker.sign * (Decimal(taker.terms["price"]) - price) >= 0


@given(commands=flow.sequences(orders=flow.often((2, flow.iceberg), (1, flow.limit), (1, flow.taking))), venue=venues)
@searched
def test_an_iceberg_displays_no_more_than_its_peak(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for _ in told(engine, commands):
        for order in orders(engine):
            if order.where == RESTING and order.peak:
                assert order.shown <= order.peak


# Quantity and money.


@given(commands=flow.sequences(), venue=venues)
@searched
def test_the_engine_has_open_what_the_events_left_open(commands: list[Command], venue: Venue) -> None:
    engine, ledger = Fast(*venue), Ledger()
    for command, events in told(engine, commands):
        ledger.apply(command, events)
        # A child that is to spend an amount has no quantity to speak of.
        shown = {name: Decimal(each["open"]) for name, each in engine.state()["orders"].items() if each["open"]}
        left = {
            f"{known.account} {known.id}": known.open for known in ledger.live.values() if known.quantity.is_finite()
        }
        assert shown == left


@given(commands=flow.sequences(), venue=venues)
@searched
def test_every_order_is_accounted_for(commands: list[Command], venue: Venue) -> None:
    """original = executed + prevented + open + expired or cancelled; and whatever lives can be cancelled."""
    engine, ledger = Fast(*venue), Ledger()
    end = commands[-1]["at"]
    for command, events in told(engine, [*commands, *cleared(end)]):
        ledger.apply(command, events)
        for known in ledger.known():
            if known.quantity.is_finite():
                assert known.quantity == known.executed + known.prevented + known.open + known.ended
                assert known.open >= 0
                assert known.ended >= 0
    assert not ledger.live
    assert engine.state()["orders"] == {}
    assert not any(account.lists for account in engine.engine.accounts.values())


def cleared(at: int) -> list[Command]:
    """Everything is open, and everybody cancels everything."""
    opened = [
        {"at": at, "do": "status", "symbol": symbol, "status": "open"} for symbol in (flow.SYMBOL, flow.OTHER_SYMBOL)
    ]
    return [*opened, *({"at": at, "do": "cancel_all", "account": account} for account in flow.ACCOUNTS)]


@given(commands=flow.sequences())
@searched
def test_money_is_neither_made_nor_lost(commands: list[Command]) -> None:
    engine = Fast()
    sums = None
    for command, _ in told(engine, limited(commands)):
        totals: defaultdict[str, int] = defaultdict(int)
        for account in engine.engine.accounts.values():
            for asset, total in account.totals.items():
                totals[asset] += total
        if command["do"] not in ("instrument", "account"):
            sums = sums or dict(totals)
            assert dict(totals) == sums


@given(commands=flow.sequences(), venue=venues)
@searched
def test_what_one_gains_in_position_another_loses(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for _ in told(engine, [command for command in commands if command["do"] != "position"]):
        net: defaultdict[str, int] = defaultdict(int)
        for account in engine.engine.accounts.values():
            for symbol, holding in account.holdings.items():
                net[symbol] += holding.net
        assert not any(net.values())


@given(commands=flow.sequences(), venue=venues)
@searched
def test_what_is_locked_is_what_live_orders_need(commands: list[Command], venue: Venue) -> None:
    """And as long as nobody takes money away, there is enough of it for all of them."""
    engine = Fast(*venue)
    for _ in told(engine, limited(commands)):
        for account in engine.engine.accounts.values():
            locked = {asset: held for asset, held in account.locked.items() if held}
            assert locked == (claims(account) if engine.profile.account_model == "spot" else {})
            assert all(account.free(asset) >= 0 for asset in locked)


def claims(account: Account) -> dict[str, int]:
    """The need of each order that may trade without anybody's leave; of legs only one of which can fill, the most."""
    found: defaultdict[str, int] = defaultdict(int)
    shared: dict[tuple[str, str], int] = {}
    for order in account.orders.values():
        if order.where == WAITING:
            continue
        market, asset = order.market, order.market.quote if order.buy else order.market.base
        wanted = order.leaves * market.lot_money
        if order.buy:
            wanted = order.leaves * (order.price or order.stop) * market.tick_money
        group = order.list
        if group is not None and order in group.legs and len(group.legs) > 1:
            shared[asset, group.id] = max(shared.get((asset, group.id), 0), wanted)
        else:
            found[asset] += wanted
    for (asset, _), wanted in shared.items():
        found[asset] += wanted
    return {asset: wanted for asset, wanted in found.items() if wanted}


# What an order may not do.


@given(commands=flow.sequences(), venue=venues)
@searched
def test_reduce_only_never_opens_or_flips(commands: list[Command], venue: Venue) -> None:
    ledger = Ledger()
    for trade in trades(ledger, commands, Fast(*venue)):
        if trade["maker_account"] != trade["taker_account"]:
            assert_reduces(ledger, ledger.maker(trade), trade)
            assert_reduces(ledger, ledger.taker(trade), trade)


def assert_reduces(ledger: Ledger, known: Known, trade: Event) -> None:
    if known.terms["reduce_only"]:
        position = ledger.positions[known.account, trade["symbol"]]
        assert known.sign * position < 0
        assert Decimal(trade["quantity"]) <= abs(position)


@given(commands=flow.sequences(), venue=venues)
@searched
def test_reduce_only_orders_never_add_up_to_more_than_the_position(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for _ in told(engine, commands):
        waiting: defaultdict[tuple[str, str, bool], dict[object, int]] = defaultdict(dict)
        for order in orders(engine):
            if order.reduce_only and order.where in (RESTING, WATCHING):
                units = waiting[order.account.name, order.market.symbol, order.buy]
                group = order.list
                unit = group if group is not None and order in group.legs and group.siblings_exist() else order
                units[unit] = max(units.get(unit, 0), order.leaves)
        for (account, symbol, buy), units in waiting.items():
            net = engine.engine.accounts[account].holdings[symbol].net
            assert sum(units.values()) <= (-net if buy else net)


LISTED = flow.often((3, flow.lists), (4, flow.place), (1, flow.mark), (1, flow.amend))


@given(commands=flow.sequences(LISTED), venue=venues)
@searched
def test_a_list_is_never_filled_twice(commands: list[Command], venue: Venue) -> None:
    """One leg of an OCO at most, and of the legs of an OUO together no more than one."""
    ledger = Ledger()
    for command, events in told(Fast(*venue), commands):
        ledger.apply(command, events)
    for group in {id(known.group): known.group for known in ledger.known() if known.group is not None}.values():
        if group.kind != "oto":
            legs = group.orders[1:] if group.kind == "otoco" else group.orders
            assert group.kind == "ouo" or sum(leg.executed > 0 for leg in legs) <= 1
            assert sum(leg.executed for leg in legs) <= max(leg.most for leg in legs)


KILLED = flow.often((1, flow.fill_or_kill), (2, flow.limit), (1, flow.iceberg))


@given(commands=flow.sequences((flow.place,), KILLED), venue=venues)
@searched
def test_fok_fills_whole_or_leaves_no_trace(commands: list[Command], venue: Venue) -> None:
    """All of it, or nothing but its own acceptance and expiry."""
    engine = Fast(*venue)
    for command in commands:
        if command.get("time_in_force") != "fok":
            engine.step(command)
            continue
        engine.step({"at": command["at"], "do": "time"})  # what ends at this time has ended before
        before = state_hash(engine)
        events = [event for event in engine.step(command) if event["event"] != "trimmed" or not is_of(event, command)]
        if all(event["event"] != "trade" for event in events):
            assert [event["event"] for event in events] in (["rejected"], ["accepted", "expired"])
            assert state_hash(engine) == before
        else:
            assert not any(event["event"] == "expired" and is_of(event, command) for event in events)


def is_of(event: Event, command: Command) -> bool:
    return (event["account"], event["id"]) == (command["account"], command["id"])


@given(commands=flow.sequences(), venue=venues)
@searched
def test_post_only_never_takes(commands: list[Command], venue: Venue) -> None:
    ledger = Ledger()
    for trade in trades(ledger, commands, Fast(*venue)):
        assert not ledger.taker(trade).terms.get("post_only")


@given(commands=flow.sequences(), venue=venues)
@searched
def test_what_may_not_rest_never_does(commands: list[Command], venue: Venue) -> None:
    """Market, IOC and FOK orders wait for a trigger or for their parent, and nowhere else."""
    engine = Fast(*venue)
    for _ in told(engine, commands):
        for shown in engine.state()["orders"].values():
            assert shown["where"] in ("resting", "armed", "pending")
        for order in orders(engine):
            assert order.where != RESTING or (order.price > 0 and order.time_in_force in (0, 3))


@given(commands=flow.sequences(orders=flow.often((3, flow.limit), (1, flow.iceberg), (1, flow.stop))), venue=venues)
@searched
def test_no_order_outlives_its_time(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for command, _ in told(engine, commands):
        for order in orders(engine):
            assert order.plain or order.expire_at == 0 or order.expire_at > command["at"]


# Stops.


# The path of a mark, in steps so small that it takes several to come back by as many basis points.
PATHS = st.lists(st.sampled_from([-3, 2, -2, 3, 5, -6]), min_size=8, max_size=25).map(
    lambda steps: [Decimal(100 + sum(steps[: n + 1])) for n in range(len(steps))]
)
TRAILS = st.sampled_from([500, 700, 1000])


@given(
    path=PATHS, side=st.sampled_from(flow.SIDES), trail=TRAILS, activation=st.none() | st.integers(90, 110).map(Decimal)
)
@searched
def test_a_trailing_stop_never_loosens(path: list[Decimal], side: str, trail: int, activation: Decimal | None) -> None:
    """It fires at the first price that is as far from the best one since its activation as it may be."""
    engine = Fast()
    for command in (flow.INSTRUMENT, {"at": 0, "do": "mark", "symbol": flow.SYMBOL, "price": "100"}):
        engine.step(command)
    order = {"account": "ann", "id": "t", "symbol": flow.SYMBOL, "side": side, "type": "trailing_stop", "quantity": "1"}
    level = None if activation is None else str(activation)
    engine.step({"at": 0, "do": "place", **order, "trail_bps": str(trail), "activation_price": level})
    fired = [any(event["event"] == "triggered" for event in engine.step({"at": 1, **mark(price)})) for price in path]
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


STOPS = flow.often((6, flow.place), (1, flow.mark), (1, flow.cancel), (1, flow.lists))
STOP_ORDERS = flow.often((2, flow.stop), (1, flow.trailing), (3, flow.limit), (1, flow.market))


@given(commands=flow.sequences(STOPS, STOP_ORDERS), venue=venues)
@searched
def test_the_trigger_of_a_stop_never_moves_away_from_the_market(commands: list[Command], venue: Venue) -> None:
    """Upwards for one that sells, downwards for one that buys, and not at all unless it trails."""
    engine = Fast(*venue)
    levels: dict[str, Decimal] = {}
    for command, _ in told(engine, commands):
        shown = engine.state()["orders"]
        placed = {f"{command.get('account')} {each.get('id')}" for each in (command, *command.get("orders", ()))}
        for name, order in shown.items():
            if order["trigger"] is not None and name in levels and name not in placed:
                account, id = name.split()
                buy = engine.engine.accounts[account].orders[id].buy
                assert Decimal(order["trigger"]) <= levels[name] if buy else Decimal(order["trigger"]) >= levels[name]
        levels = {name: Decimal(each["trigger"]) for name, each in shown.items() if each["trigger"] is not None}


@given(commands=flow.sequences(STOPS, STOP_ORDERS), venue=venues)
@searched
def test_a_stop_triggers_once(commands: list[Command], venue: Venue) -> None:
    ledger = Ledger()
    for command, events in told(Fast(*venue), commands):
        ledger.apply(command, events)
        for known in ledger.known():
            assert known.triggers <= (known.terms["type"] not in ("limit", "market"))


@given(commands=flow.sequences(STOPS, STOP_ORDERS), venue=venues)
@searched
def test_nothing_waits_for_what_has_happened(commands: list[Command], venue: Venue) -> None:
    """At rest, no stop that watches an open market is where its price is already."""
    engine = Fast(*venue)
    for _ in told(engine, commands):
        for order in orders(engine):
            if order.where == WATCHING and order.stop:
                watched = order.market.watched(order.buy)
                passed = watched >= order.stop if order.waits_for_rise() else watched <= order.stop
                assert not (watched and passed)


# Refusals, filters, limits.


@given(commands=flow.sequences(), venue=venues)
@searched
def test_refusals_change_nothing(commands: list[Command], venue: Venue) -> None:
    engine = Fast(*venue)
    for command in commands:
        engine.step({"at": command["at"], "do": "time"})
        before = state_hash(engine)
        events = engine.step(command)
        if [event["event"] for event in events] == ["rejected"]:
            assert state_hash(engine) == before


FILTERS = {"tick": "0.5", "lot": "2", "quantity_min": "4", "quantity_max": "8", "notional_min": "390"}
# Half of them between two ticks.
STEPS = st.integers(380, 420).map(lambda quarters: str(Decimal(quarters) / 4))


@given(prices=st.lists(STEPS, min_size=1, max_size=30), sizes=st.randoms(use_true_random=False), band=STEPS)
@searched
def test_what_trades_has_passed_the_filters(prices: list[str], sizes: Any, band: str) -> None:
    engine = Fast()
    engine.step({**flow.INSTRUMENT, **FILTERS, "price_max": band})
    for number, price in enumerate(prices):
        quantity = sizes.randint(1, 9)
        order = {"id": f"o{number}", "side": flow.SIDES[number % 2], "type": "limit", "quantity": str(quantity)}
        command = {"at": 1, "do": "place", "account": "ann", "symbol": flow.SYMBOL, **order, "price": price}
        events = engine.step(command)
        fits = quantity in (4, 6, 8) and Decimal(price) % Decimal("0.5") == 0 and Decimal(price) <= Decimal(band)
        fits = fits and Decimal(price) * quantity >= 390
        assert (events[0]["event"] == "accepted") == fits


@given(commands=flow.sequences())
@searched
def test_nobody_has_more_unfilled_orders_than_a_window_allows(commands: list[Command]) -> None:
    """Accepted orders, less those that were filled for the first time, since the window began."""
    engine = Fast("default", {"order_windows": [[20, 6]]})
    counted: defaultdict[str, int] = defaultdict(int)
    filled: set[tuple[str, str]] = set()
    window = 0
    for command, events in told(engine, commands):
        if command["at"] // 20 != window:
            window = command["at"] // 20
            counted.clear()
        for event in events:
            if event["event"] == "accepted":
                counted[event["account"]] += 1
                filled.discard((event["account"], event["id"]))
            for role in ("maker", "taker") if event["event"] == "trade" else ():
                one = event[f"{role}_account"], event[role]
                counted[one[0]] = max(0, counted[one[0]] - (one not in filled))
                filled.add(one)
        assert all(count <= 6 for count in counted.values())


@given(commands=flow.sequences(), venue=venues)
@searched
def test_the_same_commands_say_the_same(commands: list[Command], venue: Venue) -> None:
    one, other = Fast(*venue), Fast(*venue)
    assert [one.step(command) for command in commands] == [other.step(command) for command in commands]
