"""Whom do filters and counts concern? Everybody but the rest of the market, which is many people's."""

from __future__ import annotations

from engines import Event, Fast

SYMBOL = "BTC-USDT"


def place(engine: Fast, account: str, id: str) -> Event:
    order = {"account": account, "id": id, "symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1"}
    (told,) = engine.step({"at": 0, "do": "place", **order, "quantity": "1"})
    return told


def test_filters_and_counts_do_not_concern_the_rest_of_the_market() -> None:
    engine = Fast("default", {"order_windows": [[10, 1]]})
    engine.step({"at": 0, "do": "instrument", "symbol": SYMBOL, "tick": "1", "lot": "1", "quantity_min": "2"})
    engine.engine.account("crowd").free_of_limits()
    assert place(engine, "ann", "o1")["code"] == "QUANTITY_RANGE"
    assert place(engine, "crowd", "o1")["event"] == "accepted"
    assert place(engine, "crowd", "o2")["event"] == "accepted"
