"""Does the engine forget what is over? Nothing that it holds grows with the number of orders that are gone."""

from __future__ import annotations

from engines import Fast

from bot4_exchange_simulator.engine.prevention import PREVENTED_KEPT

SYMBOL = "BTC-USDT"
MANY = 300


def venue() -> Fast:
    engine = Fast()
    engine.step({"at": 0, "do": "instrument", "symbol": SYMBOL, "tick": "1", "lot": "1"})
    return engine


def place(engine: Fast, account: str, id: str, side: str, price: int, **terms: object) -> None:
    order = {"account": account, "id": id, "symbol": SYMBOL, "side": side, "type": "limit", "quantity": "1"}
    engine.step({"at": 1, "do": "place", **order, "price": str(price), **terms})


def cancel(engine: Fast, account: str, id: str) -> None:
    engine.step({"at": 1, "do": "cancel", "account": account, "id": id})


def test_levels_that_ran_empty_behind_the_best_are_forgotten() -> None:
    engine = venue()
    place(engine, "ann", "best", "buy", 1_000)
    for price in range(1, MANY):
        place(engine, "ann", f"o{price}", "buy", price)
        cancel(engine, "ann", f"o{price}")
    bids = engine.engine.markets[SYMBOL].bids
    assert len(bids.levels) == len(bids.keys) < 100
    assert bids.empty == len(bids.keys) - 1


def test_levels_that_are_not_empty_are_kept() -> None:
    engine = venue()
    for price in range(1, MANY):
        place(engine, "ann", f"o{price}", "buy", price)
    for price in range(1, MANY - 1, 2):
        cancel(engine, "ann", f"o{price}")
    depth = engine.engine.markets[SYMBOL].bids.depth(MANY)
    assert [price for price, _ in depth] == [MANY - 1, *range(MANY - 2, 0, -2)]


def test_expiries_of_orders_that_are_gone_are_forgotten() -> None:
    engine = venue()
    place(engine, "ann", "late", "buy", 1, time_in_force="gtd", expire_at=5_000)
    for number in range(MANY):
        place(engine, "ann", f"o{number}", "buy", 1, time_in_force="gtd", expire_at=1_000 + number)
        cancel(engine, "ann", f"o{number}")
    assert len(engine.engine._expiries) < 100
    (expired,) = engine.step({"at": 5_000, "do": "time"})
    assert (expired["event"], expired["id"]) == ("expired", "late")
    assert engine.engine._expiries == []
    assert engine.engine._stale == 0


def test_the_next_expiry_is_that_of_an_order_that_lives() -> None:
    engine = venue()
    assert engine.engine.next_expiry() is None
    for id, expire_at in (("late", 5_000), ("soon", 1_000), ("sooner", 900)):
        place(engine, "ann", id, "buy", 1, time_in_force="gtd", expire_at=expire_at)
    assert engine.engine.next_expiry() == 900
    cancel(engine, "ann", "soon")
    cancel(engine, "ann", "sooner")
    assert engine.engine.next_expiry() == 5_000
    assert (len(engine.engine._expiries), engine.engine._stale) == (1, 0)
    cancel(engine, "ann", "late")
    assert engine.engine.next_expiry() is None


def test_lists_that_are_over_are_forgotten() -> None:
    engine = venue()
    leg = {"symbol": SYMBOL, "side": "sell", "type": "limit", "quantity": "1"}
    legs = [{**leg, "id": "one", "price": "5"}, {**leg, "id": "other", "price": "6"}]
    engine.step({"at": 1, "do": "list", "account": "ann", "id": "L", "kind": "ouo", "orders": legs})
    assert engine.engine.accounts["ann"].lists
    cancel(engine, "ann", "one")
    assert not engine.engine.accounts["ann"].lists


def test_the_oldest_of_many_prevented_matches_are_forgotten() -> None:
    engine = venue()
    place(engine, "ann", "maker", "sell", 5)
    for number in range(PREVENTED_KEPT + 1):
        place(engine, "ann", f"o{number}", "buy", 5, self_trade_prevention="cancel_new")
    kept = engine.engine.prevented.kept()
    assert len(kept) == PREVENTED_KEPT
    assert kept[0].taker == "o1"
