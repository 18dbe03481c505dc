"""Which way can a child order go? Its life as one table; what is not in it cannot happen."""

from __future__ import annotations

from typing import Literal

Stage = Literal["sent", "unknown", "open", "partially_filled", "filled", "cancelled", "expired", "rejected", "lost"]
News = Literal["acknowledged", "silent", "filled_in_part", "filled", "cancelled", "expired", "rejected", "lost"]

LIFE: dict[tuple[Stage, News], Stage] = {
    ("sent", "acknowledged"): "open",
    ("sent", "silent"): "unknown",
    ("sent", "rejected"): "rejected",
    # Silence ends only by an answer: the feed's own, late, or the one to a query.
    ("unknown", "silent"): "unknown",
    ("unknown", "acknowledged"): "open",
    ("unknown", "rejected"): "rejected",
    ("unknown", "lost"): "lost",
    # Once at the venue, an order is filled, cancelled or expired.
    ("open", "filled_in_part"): "partially_filled",
    ("open", "filled"): "filled",
    ("open", "cancelled"): "cancelled",
    ("open", "expired"): "expired",
    ("partially_filled", "filled_in_part"): "partially_filled",
    ("partially_filled", "filled"): "filled",
    ("partially_filled", "cancelled"): "cancelled",
    ("partially_filled", "expired"): "expired",
    # 51: a trade may be told after the end of its order. That does not bring the order back; but where nothing is left,
    # it was filled. A refused order has no trades: the refusal proves that the venue never had it (49).
    ("cancelled", "filled_in_part"): "cancelled",
    ("cancelled", "filled"): "filled",
    ("expired", "filled_in_part"): "expired",
    ("expired", "filled"): "filled",
    ("lost", "filled_in_part"): "lost",
    ("lost", "filled"): "filled",
}

OVER: frozenset[Stage] = frozenset(("filled", "cancelled", "expired", "rejected", "lost"))
AT_VENUE: frozenset[Stage] = frozenset(("open", "partially_filled"))
# Where a fill is possible, be it late.
FILLABLE: frozenset[Stage] = frozenset(stage for stage, news in LIFE if news == "filled_in_part")


def follows(stage: Stage, news: News) -> bool:
    return (stage, news) in LIFE
