"""How is the engine spoken to in lines of JSON? Commands in, events out, numbers as strings.

The edge: text becomes whole ticks and lots here, and nowhere else. A line that is no command is answered by an error
line, and the run goes on. Fields that no command knows are ignored, and null is the same as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final, TextIO

import msgspec

from bot4_common.money import DIGITS_MAX, EXACT, amount, plain
from bot4_exchange_simulator.engine.accounts import MONEY_DIGITS, Account
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.events import (
    AMENDED,
    CANCELLED,
    EVENT_NAMES,
    EXPIRED,
    PREVENTED,
    REFRESHED,
    REJECTED,
    REPLACED,
    TRADE,
    TRIMMED,
    Event,
    Request,
)
from bot4_exchange_simulator.engine.market import BAND_UNIT, Filters, Market
from bot4_exchange_simulator.engine.orders import Order
from bot4_exchange_simulator.engine.profile import Profile, shipped
from bot4_exchange_simulator.engine.terms import (
    BOUNDLESS,
    GTC,
    LIMIT,
    LIST_KINDS,
    LIST_LENGTHS,
    NONE,
    ORDER_TYPES,
    PREVENTIONS,
    STATUSES,
    TIMES_IN_FORCE,
)

Fields = dict[str, Any]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Malformed(Exception):
    """A line is not a command. The text says what is wrong with it."""


def run(lines: Iterable[str], profile: Profile) -> Iterator[str]:
    """The events of each command, as soon as it has been worked off."""
    session = Session(profile)
    for number, line in enumerate(lines, 1):
        try:
            told = session.step(line)
        except Malformed as why:
            told = [{"event": "error", "line": number, "message": str(why)}]
        for each in told:
            yield _encode(each).decode()


def main(stdin: TextIO, stdout: TextIO, profile_name: str) -> int:
    """Runs the commands of one stream into another. 1 if a line was malformed."""
    status = 0
    for line in run(stdin, shipped(profile_name)):
        if line.startswith('{"event":"error"'):
            status = 1
        stdout.write(line + "\n")
    return status


class Session:
    """An engine, and the count of what it has told."""

    def __init__(self, profile: Profile) -> None:
        self.engine = Engine(profile)
        self._profile = profile
        self._default_prevention = profile.self_trade_prevention_default
        self._sequence = 0
        self._answers: list[Fields] = []
        self._commands: dict[str, Callable[[Fields], None]] = {
            "instrument": self._instrument,
            "account": self._account,
            "position": self._position,
            "place": self._place,
            "list": self._list,
            "amend": self._amend,
            "cancel": self._cancel,
            "cancel_all": self._cancel_all,
            "disconnect": self._disconnect,
            "replace": self._replace,
            "status": self._status,
            "mark": self._mark,
            "time": self._time,
            "book": self._book,
            "balances": self._balances,
            "prevented": self._prevented,
        }

    def step(self, line: str) -> list[Fields]:
        """Works off one line. Raises `Malformed`; nothing has changed then."""
        fields = read(line)
        at = fields.get("at")
        if type(at) is not int or at < self.engine.now:
            raise Malformed("at is a whole number of nanoseconds, not before that of the line above")
        command = self._commands.get(text(fields, "do"))
        if command is None:
            raise Malformed(f"no command {fields['do']!r}")
        act = command(fields)
        assert act is None
        return self._told()

    # Commands. Everything is read before anything is done.

    def _instrument(self, fields: Fields) -> None:
        symbol = text(fields, "symbol")
        base, _, quote = symbol.partition("-")
        base, quote = optional_text(fields, "base", base), optional_text(fields, "quote", quote)
        tick, lot = number(fields, "tick"), number(fields, "lot")
        if tick is None or lot is None or tick <= 0 or lot <= 0:
            raise Malformed("an instrument has a tick and a lot, both above zero")
        listed = self.engine.markets.get(symbol)
        if listed is not None and (listed.tick, listed.lot) != (tick, lot):
            raise Malformed(f"{symbol} is listed with another tick or lot")
        market = Market(symbol, base, quote, tick, lot)
        market.filters = read_filters(fields, tick, lot)
        self._advance(fields)
        self.engine.list_market(market)

    def _account(self, fields: Fields) -> None:
        name = text(fields, "account")
        given = fields.get("balances")
        balances: dict[str, int] | None = None
        if given is not None:
            if not isinstance(given, dict):
                raise Malformed("balances name assets and amounts")
            balances = {}
            for asset in given:
                held = number(given, asset)
                balances[asset] = 0 if held is None else int(held.scaleb(MONEY_DIGITS, EXACT))
        group = optional_text(fields, "trade_group", "")
        self._advance(fields)
        self.engine.fund(name, balances, group)

    def _position(self, fields: Fields) -> None:
        name, quantity = text(fields, "account"), required(fields, "quantity")
        market = self._known(fields)
        lots = None if market is None else steps(quantity, market.lot)
        self._advance(fields)
        if market is None:
            self._refuse(fields, "UNKNOWN_SYMBOL")
        elif lots is None:
            self._refuse(fields, "LOT_SIZE")
        else:
            self.engine.set_position(name, market, lots)

    def _place(self, fields: Fields) -> None:
        account = self.engine.account(text(fields, "account"))
        order = self._read_order(fields, account)
        self._advance(fields)
        if order is None:
            self._refuse_unknown(fields, account, 1)
        else:
            self.engine.place(order)

    def _list(self, fields: Fields) -> None:
        account, id = self.engine.account(text(fields, "account")), text(fields, "id")
        kind = word(fields, "kind", LIST_KINDS)
        given = fields.get("orders")
        if not isinstance(given, list) or len(given) != LIST_LENGTHS[kind]:
            raise Malformed(f"this kind of list has {LIST_LENGTHS[kind]} orders")
        orders = [self._read_order(each, account) for each in given]
        known = [order for order in orders if order is not None]
        self._advance(fields)
        if len(known) < len(orders):
            self._refuse_unknown({**fields, "symbol": given[0]["symbol"]}, account, len(orders))
        else:
            self.engine.place_list(account, id, kind, known)

    def _amend(self, fields: Fields) -> None:
        account, id = self.engine.account(text(fields, "account")), text(fields, "id")
        quantity, price = number(fields, "quantity"), number(fields, "price")
        order = account.orders.get(id)
        total = level = -1
        flaw = ""
        if quantity is None and price is None:
            flaw = "BAD_FIELD"
        if order is not None:
            if price is not None:
                level, rest = whole(price, order.market.tick)
                flaw = flaw or ("BAD_FIELD" if price <= 0 else "TICK_SIZE" if rest else "")
            if quantity is not None:
                if quantity < 0:
                    quantity, flaw = Decimal(0), "BAD_FIELD"
                total, rest = whole(quantity, order.market.lot)
                flaw = flaw or ("LOT_SIZE" if rest else "")
        self._advance(fields)
        self.engine.amend(account, id, total, level, flaw)

    def _cancel(self, fields: Fields) -> None:
        account, id = self.engine.account(text(fields, "account")), text(fields, "id")
        self._advance(fields)
        self.engine.cancel(account, id)

    def _cancel_all(self, fields: Fields) -> None:
        account = self.engine.account(text(fields, "account"))
        everywhere = fields.get("symbol") is None
        market = None if everywhere else self._known(fields)
        self._advance(fields)
        if market is None and not everywhere:
            self._refuse(fields, "UNKNOWN_SYMBOL")
        else:
            self.engine.cancel_all(account, market)

    def _disconnect(self, fields: Fields) -> None:
        account = self.engine.account(text(fields, "account"))
        self._advance(fields)
        self.engine.disconnect(account)

    def _replace(self, fields: Fields) -> None:
        account, id = self.engine.account(text(fields, "account")), text(fields, "id")
        goes_on = word(fields, "mode", {"stop_on_failure": 0, "allow_failure": 1}) == 1
        given = fields.get("order")
        order = self._read_order(given, account)
        self._advance(fields)
        if order is None:
            assert isinstance(given, dict)
            self._refuse_unknown({**fields, **given, "account": account.name, "do": "replace"}, account, 1)
        else:
            self.engine.replace(account, id, order, goes_on)

    def _status(self, fields: Fields) -> None:
        market, status = self._known(fields), word(fields, "status", STATUSES)
        self._advance(fields)
        if market is None:
            self._refuse(fields, "UNKNOWN_SYMBOL")
        else:
            self.engine.set_status(market, status)

    def _mark(self, fields: Fields) -> None:
        market, price = self._known(fields), required(fields, "price")
        ticks = None if market is None else steps(price, market.tick)
        self._advance(fields)
        if market is None:
            self._refuse(fields, "UNKNOWN_SYMBOL")
        elif price <= 0:
            self._refuse(fields, "BAD_FIELD")
        elif ticks is None:
            self._refuse(fields, "TICK_SIZE")
        else:
            self.engine.set_mark(market, ticks)

    def _time(self, fields: Fields) -> None:
        self._advance(fields)

    # Questions.

    def _book(self, fields: Fields) -> None:
        market = self._known(fields)
        levels = fields.get("levels") or 0
        if type(levels) is not int or levels < 0:
            raise Malformed("levels is a whole number")
        self._advance(fields)
        if market is None:
            self._refuse(fields, "UNKNOWN_SYMBOL")
            return
        sides = {
            name: [[plain(market.tick * ticks), plain(market.lot * lots)] for ticks, lots in side.depth(levels)]
            for name, side in (("bids", market.bids), ("asks", market.asks))
        }
        self._answer("book", None, None, market.symbol, sides)

    def _balances(self, fields: Fields) -> None:
        """What an account has free and locked, and its positions."""
        account = self.engine.account(text(fields, "account"))
        self._advance(fields)
        assets = sorted(account.totals)
        positions = {
            symbol: plain(holding.market.lot * holding.net)
            for symbol, holding in sorted(account.holdings.items())
            if holding.net
        }
        told = {
            "free": {asset: money(account.free(asset)) for asset in assets},
            "locked": {asset: money(account.locked.get(asset, 0)) for asset in assets},
            "positions": positions,
        }
        self._answer("balances", account.name, None, None, told)

    def _prevented(self, fields: Fields) -> None:
        """The prevented matches of an account, or of one of its orders (44)."""
        name, id = text(fields, "account"), optional_text(fields, "id", "")
        self._advance(fields)
        matches = [
            {
                "at": each.at,
                "symbol": each.market.symbol,
                "price": plain(each.market.tick * each.price),
                "maker": each.maker,
                "maker_account": each.maker_account,
                "maker_quantity": plain(each.market.lot * each.maker_quantity),
                "taker": each.taker,
                "taker_account": each.taker_account,
                "taker_quantity": plain(each.market.lot * each.taker_quantity),
            }
            for each in self.engine.prevented.of(name, id)
        ]
        self._answer("prevented_matches", name, id or None, None, {"matches": matches})

    # Telling.

    def _advance(self, fields: Fields) -> None:
        self.engine.advance(fields["at"])

    def _refuse(self, fields: Fields, code: str) -> None:
        request = Request(fields["do"], fields.get("account") or "", fields.get("id") or "", fields.get("symbol") or "")
        self.engine.events.append((REJECTED, request, None, 0, 0, code))

    def _refuse_unknown(self, fields: Fields, account: Account, orders: int) -> None:
        """An order for a symbol that is not listed; 46: the count comes first all the same."""
        full = account.count is not None and not account.count.has_room(self.engine.now, orders)
        self._refuse(fields, "ORDER_COUNT" if full else "UNKNOWN_SYMBOL")

    def _answer(self, event: str, account: str | None, id: str | None, symbol: str | None, rest: Fields) -> None:
        self._answers.append({"event": event, "account": account, "id": id, "symbol": symbol, **rest})

    def _told(self) -> list[Fields]:
        told = [described(event) for event in self.engine.events] + self._answers
        self.engine.events.clear()
        self._answers.clear()
        numbered = []
        for each in told:
            self._sequence += 1
            numbered.append({"seq": self._sequence, "at": self.engine.now, **each})
        return numbered

    # Reading.

    def _known(self, fields: Fields) -> Market | None:
        return self.engine.markets.get(text(fields, "symbol"))

    def _read_order(self, fields: object, account: Account) -> Order | None:
        """None when the symbol is unknown."""
        if not isinstance(fields, dict):
            raise Malformed("an order is an object")
        id, symbol = text(fields, "id"), text(fields, "symbol")
        buy = word(fields, "side", {"sell": 0, "buy": 1}) == 1
        kind = word(fields, "type", ORDER_TYPES)
        time_in_force = word(fields, "time_in_force", TIMES_IN_FORCE, "gtc")
        wished = optional_text(fields, "self_trade_prevention", self._default_prevention)
        prevention = word({"self_trade_prevention": wished}, "self_trade_prevention", PREVENTIONS)
        post_only, reduce_only = flag(fields, "post_only"), flag(fields, "reduce_only")
        expire_at = fields.get("expire_at")
        if expire_at is not None and type(expire_at) is not int:
            raise Malformed("expire_at is a whole number of nanoseconds")
        quantity, budget = number(fields, "quantity"), number(fields, "quote_quantity")
        price, stop = number(fields, "price"), number(fields, "stop_price")
        activation, trail = number(fields, "activation_price"), number(fields, "trail_bps")
        display = number(fields, "display_quantity")
        if (quantity is None) == (budget is None):
            raise Malformed("an order has a quantity, or an amount of quote currency")
        market = self.engine.markets.get(symbol)
        if market is None:
            return None
        prices = Steps(market.tick, "TICK_SIZE")
        lots = Steps(market.lot, "LOT_SIZE")
        order = Order(
            id, account, market, buy, BOUNDLESS if quantity is None else lots.whole(quantity), prices.whole(price)
        )
        special = kind != LIMIT or time_in_force != GTC or prevention != NONE or post_only or reduce_only
        others = (budget, stop, activation, trail, display, expire_at)
        bad = prices.bad or lots.bad
        if not special and not bad and not prices.flaw and not lots.flaw and others == (None,) * 6:
            return order
        order.qualify(kind, time_in_force, prevention)
        order.post_only, order.reduce_only = post_only, reduce_only
        order.expire_at = 0 if expire_at is None else max(0, expire_at)
        order.stop, order.activation = prices.whole(stop), prices.whole(activation)
        order.peak = 0 if display is None else lots.whole(display)
        whole_trail, rest = (0, Decimal(0)) if trail is None else whole(trail, Decimal(1))
        order.trail_bps = whole_trail
        bad = prices.bad or lots.bad or (trail is not None and (rest != 0 or trail <= 0))
        bad = bad or (expire_at is not None and expire_at <= 0)
        if budget is not None:
            order.budget = max(0, whole(budget, EXACT.multiply(market.tick, market.lot))[0])
            bad = bad or budget <= 0
        order.flaw = "BAD_FIELD" if bad else prices.flaw or lots.flaw
        if wished not in self._profile.self_trade_preventions:
            order.flaw = "PREVENTION_NOT_ALLOWED"
        return order


class Steps:
    """Turns the prices, or the quantities, of one order into whole steps, and remembers what was wrong with them."""

    def __init__(self, step: Decimal, code: str) -> None:
        self._step = step
        self._code = code
        self.bad = False  # one is not above zero
        self.flaw = ""  # one lies between two steps

    def whole(self, value: Decimal | None) -> int:
        if value is None:
            return 0
        if value <= 0:
            self.bad = True
            return 0
        count, rest = whole(value, self._step)
        if rest:
            self.flaw = self._code
        # Less than a step is something all the same.
        return max(1, count)


def described(event: Event) -> Fields:
    """The line of an event, as a dictionary."""
    kind, subject, other, quantity, price, said = event
    told: Fields = {"event": EVENT_NAMES[kind]}
    if isinstance(subject, Request):
        told.update(account=subject.account or None, id=subject.id or None, symbol=subject.symbol or None)
        told["code"] = said
        return told
    market = subject.market
    told.update(account=subject.account.name, id=subject.id, symbol=market.symbol)
    if kind == TRADE or kind == PREVENTED:
        assert other is not None
        if kind == TRADE:
            told["price"] = plain(market.tick * price)
        told["quantity"] = plain(market.lot * quantity)
        told.update(
            maker=other.id, taker=subject.id, maker_account=other.account.name, taker_account=subject.account.name
        )
        if kind == TRADE:
            told["taker_side"] = "buy" if subject.buy else "sell"
    elif kind == REPLACED:
        told["replaces"] = said
    elif kind in _TOLD_WITH_QUANTITY:
        told["quantity"] = None if quantity < 0 else plain(market.lot * quantity)
        if kind == AMENDED:
            told["price"] = plain(market.tick * price) if price else None
        if said:
            told["reason"] = said
    return told


_TOLD_WITH_QUANTITY: Final = (AMENDED, CANCELLED, EXPIRED, REFRESHED, TRIMMED)


def read_filters(fields: Fields, tick: Decimal, lot: Decimal) -> Filters:
    """What an instrument line asks of orders. Minima are rounded up to whole steps, maxima down."""
    filters = Filters()
    notional = EXACT.multiply(tick, lot)
    named = {
        "quantity_min": lot,
        "quantity_max": lot,
        "market_quantity_min": lot,
        "market_quantity_max": lot,
        "price_min": tick,
        "price_max": tick,
        "notional_min": notional,
        "notional_max": notional,
        "position_max": lot,
        "iceberg_parts_max": Decimal(1),
        "open_orders_max": Decimal(1),
        "open_stops_max": Decimal(1),
        "collar_bps": Decimal(1),
        "trail_bps_min": Decimal(1),
        "trail_bps_max": Decimal(1),
        "bid_multiplier_up": Decimal(1) / BAND_UNIT,
        "bid_multiplier_down": Decimal(1) / BAND_UNIT,
        "ask_multiplier_up": Decimal(1) / BAND_UNIT,
        "ask_multiplier_down": Decimal(1) / BAND_UNIT,
    }
    for name, step in named.items():
        value = number(fields, name)
        if value is None:
            continue
        if value < 0:
            raise Malformed(f"{name} is below zero")
        count, rest = whole(value, step)
        if rest and (name.endswith("_min") or name.endswith("_down")):
            count += 1
        setattr(filters, name.replace("_multiplier", ""), count)
    filters.quantity_min = max(1, filters.quantity_min)
    filters.price_min = max(1, filters.price_min)
    filters.sum_up()
    return filters


def read(line: str) -> Fields:
    try:
        fields = _decode(line)
    except msgspec.DecodeError as why:
        raise Malformed(str(why)) from None
    if not isinstance(fields, dict):
        raise Malformed("a command is an object")
    return fields


def text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is missing")
    return value


def optional_text(fields: Fields, name: str, default: str) -> str:
    return default if fields.get(name) is None else text(fields, name)


def word(fields: Fields, name: str, known: dict[str, int], default: str = "") -> int:
    value = optional_text(fields, name, default) if default else text(fields, name)
    if value not in known:
        raise Malformed(f"{name} is one of {', '.join(known)}")
    return known[value]


def flag(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise Malformed(f"{name} is true or false")
    return bool(value)


def number(fields: Fields, name: str) -> Decimal | None:
    """A number in a string, or a whole one without; None if there is none."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        raise Malformed(f"{name} is not a number in a string")
    try:
        found = amount(value)
    except ValueError:
        raise Malformed(f"{name} is not a number in a string") from None
    exponent = found.as_tuple().exponent
    if found and (not isinstance(exponent, int) or exponent < -DIGITS_MAX or found.adjusted() >= DIGITS_MAX):
        raise Malformed(f"{name} has more than {DIGITS_MAX} digits on one side of the point")
    return found


def required(fields: Fields, name: str) -> Decimal:
    value = number(fields, name)
    if value is None:
        raise Malformed(f"{name} is missing")
    return value


def whole(value: Decimal, step: Decimal) -> tuple[int, Decimal]:
    """How many steps, and what is left over. Towards zero."""
    count, rest = EXACT.divmod(value, step)
    return int(count), rest


def steps(value: Decimal, step: Decimal) -> int | None:
    count, rest = whole(value, step)
    return None if rest else count


def money(units: int) -> str:
    return plain(Decimal(units).scaleb(-MONEY_DIGITS, EXACT))
