"""Is the book right? It agrees with one that is slow and obviously right, whatever is done to both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot4_common.messages.terms import Side
from bot4_exchange_simulator.book import Book, Drop, Match, Resting

# Few prices, accounts and lots, so that orders meet, queue and run out of position all the time.
SIDES = st.sampled_from(["buy", "sell"])
PRICES = st.integers(95, 105)
QUANTITIES = st.integers(1, 12)
ACCOUNTS = st.sampled_from(["ann", "bob", "cid"])


@dataclass
class NaiveBook:
    """Orders in the order they came. One lot trades at a time, with the best of all that could trade it."""

    orders: list[Resting] = field(default_factory=list)

    def best(self, taker_side: Side, limit: int | None, orders: list[Resting]) -> Resting | None:
        if taker_side == "buy":
            facing = [o for o in orders if o.side == "sell" and (limit is None or o.price <= limit)]
            return min(facing, key=lambda o: o.price, default=None)
        facing = [o for o in orders if o.side == "buy" and (limit is None or o.price >= limit)]
        return max(facing, key=lambda o: o.price, default=None)

    def match(
        self, side: Side, limit: int | None, quantity: int, account: str, positions: dict[str, int], reduce_only: bool
    ) -> list[Match | Drop]:
        orders = [replace(order) for order in self.orders]
        positions = dict(positions)
        outcome: list[Match | Drop] = []
        met: dict[str, int] = {}  # lots a resting reduce-only order may still trade, from when it was first met
        if reduce_only:
            position = positions.get(account, 0)
            may_reduce = position > 0 if side == "sell" else position < 0
            quantity = min(quantity, abs(position)) if may_reduce else 0
        while quantity > 0 and (maker := self.best(side, limit, orders)) is not None:
            if maker.reduce_only and maker.order_id not in met:
                position = positions.get(maker.account, 0)
                may_reduce = position > 0 if maker.side == "sell" else position < 0
                met[maker.order_id] = abs(position) if may_reduce else 0
            if met.get(maker.order_id) == 0:
                outcome.append(Drop(maker.order_id))
                orders.remove(maker)
                continue
            last = outcome[-1] if outcome else None
            if isinstance(last, Match) and last.maker_id == maker.order_id:
                last.quantity += 1
            else:
                outcome.append(Match(maker.order_id, maker.account, maker.price, 1))
            quantity -= 1
            maker.leaves -= 1
            change = 1 if side == "buy" else -1
            positions[account] = positions.get(account, 0) + change
            positions[maker.account] = positions.get(maker.account, 0) - change
            if maker.reduce_only:
                met[maker.order_id] -= 1
            if maker.leaves == 0:
                orders.remove(maker)
            elif met.get(maker.order_id) == 0:
                outcome.append(Drop(maker.order_id))
                orders.remove(maker)
        return outcome

    def fill(self, order_id: str, quantity: int) -> None:
        order = next(order for order in self.orders if order.order_id == order_id)
        order.leaves -= quantity
        if order.leaves == 0:
            self.remove(order_id)

    def remove(self, order_id: str) -> None:
        self.orders = [order for order in self.orders if order.order_id != order_id]

    def in_book_order(self) -> list[Resting]:
        bids = sorted((o for o in self.orders if o.side == "buy"), key=lambda o: -o.price)
        asks = sorted((o for o in self.orders if o.side == "sell"), key=lambda o: o.price)
        return bids + asks

    def depth(self, side: Side) -> list[tuple[int, int]]:
        levels: dict[int, int] = {}
        for order in self.in_book_order():
            if order.side == side:
                levels[order.price] = levels.get(order.price, 0) + order.leaves
        return list(levels.items())


class BothBooks(RuleBasedStateMachine):
    """What a venue does with a book: ask, apply what follows, and let the remainder rest."""

    def __init__(self) -> None:
        super().__init__()
        self.fast, self.naive = Book(), NaiveBook()
        self.positions: dict[str, int] = {}
        self.placed = 0

    @initialize(positions=st.fixed_dictionaries({}, optional=dict.fromkeys(["ann", "bob", "cid"], st.integers(-9, 9))))
    def open_positions(self, positions: dict[str, int]) -> None:
        self.positions = dict(positions)

    @rule(
        side=SIDES,
        limit=st.none() | PRICES,
        quantity=st.integers(1, 30),
        account=ACCOUNTS,
        reduce_only=st.booleans(),
        rests=st.booleans(),
    )
    def place(self, side: Side, limit: int | None, quantity: int, account: str, reduce_only: bool, rests: bool) -> None:
        expected = self.naive.match(side, limit, quantity, account, self.positions, reduce_only)
        assert limit is None or self.fast.crosses(side, limit) == (
            self.naive.best(side, limit, self.naive.orders) is not None
        )
        outcome = self.fast.match(side, limit, quantity, account, self.positions, reduce_only)
        assert outcome == expected
        left = quantity
        for each in outcome:
            if isinstance(each, Drop):
                self.remove(each.maker_id)
            else:
                left -= each.quantity
                self.trade(side, account, reduce_only, each)
        # A reduce-only order that still crosses has come to the end of its position: the rest of it is cancelled.
        if limit is not None and rests and left and not (reduce_only and self.fast.crosses(side, limit)):
            self.rest(side, limit, left, account, reduce_only)

    @rule(side=SIDES, away=st.integers(1, 3), quantity=QUANTITIES, account=ACCOUNTS, reduce_only=st.booleans())
    def quote(self, side: Side, away: int, quantity: int, account: str, reduce_only: bool) -> None:
        """Post-only, around 100: what lets the queues grow."""
        price = 100 - away if side == "buy" else 100 + away
        if not self.fast.crosses(side, price):
            self.rest(side, price, quantity, account, reduce_only)

    def rest(self, side: Side, price: int, leaves: int, account: str, reduce_only: bool) -> None:
        self.placed += 1
        order = Resting(f"o{self.placed}", account, side, price, leaves, reduce_only)
        self.fast.add(replace(order))
        self.naive.orders.append(order)

    def trade(self, side: Side, account: str, reduce_only: bool, match: Match) -> None:
        maker = self.fast.get(match.maker_id)
        assert maker is not None
        assert match.quantity > 0
        signed = match.quantity if side == "buy" else -match.quantity
        before = dict(self.positions)
        self.positions[account] = self.positions.get(account, 0) + signed
        self.positions[match.maker_account] = self.positions.get(match.maker_account, 0) - signed
        if account != match.maker_account:
            if reduce_only:
                assert_reduced(before.get(account, 0), self.positions[account])
            if maker.reduce_only:
                assert_reduced(before.get(match.maker_account, 0), self.positions[match.maker_account])
        self.fast.fill(match.maker_id, match.quantity)
        self.naive.fill(match.maker_id, match.quantity)

    def remove(self, order_id: str) -> None:
        self.fast.remove(order_id)
        self.naive.remove(order_id)

    @precondition(lambda self: self.naive.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.remove(data.draw(st.sampled_from([order.order_id for order in self.naive.orders])))

    @rule()
    def restart_from_a_snapshot(self) -> None:
        restarted = Book()
        for order in self.fast.orders():
            restarted.add(replace(order))
        self.fast = restarted

    @invariant()
    def the_same_orders_stand_in_the_same_queues(self) -> None:
        assert list(self.fast.orders()) == self.naive.in_book_order()

    @invariant()
    def the_same_depth_is_shown(self) -> None:
        for side in ("buy", "sell"):
            assert self.fast.depth(side, 99) == self.naive.depth(side)

    @invariant()
    def the_touch_is_the_first_level_and_never_crossed(self) -> None:
        bid, ask = self.fast.best_bid, self.fast.best_ask
        assert bid == max((o.price for o in self.naive.orders if o.side == "buy"), default=None)
        assert ask == min((o.price for o in self.naive.orders if o.side == "sell"), default=None)
        assert bid is None or ask is None or bid < ask


def assert_reduced(before: int, after: int) -> None:
    assert 0 <= after < before or before < after <= 0


BothBooks.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
test_the_book_agrees_with_the_naive_one = BothBooks.TestCase
