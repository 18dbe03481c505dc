"""Which tables hold the projections? One per class of `bot4_journal.projections.ROWS`, and where they stand.

Amounts are NUMERIC without limits, so that nothing is ever rounded; times are ns since the epoch. The migrations build
the same tables step by step; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("price", Numeric),
    Column("time_in_force", Text, nullable=False),
    Column("post_only", Boolean, nullable=False),
    Column("reduce_only", Boolean, nullable=False),
    Column("stop_loss", Numeric),
    Column("venue", Text, nullable=False),
    Column("stop_price", Numeric),
    Column("activation_price", Numeric),
    Column("trail_bps", Integer, nullable=False),
    Column("display_quantity", Numeric),
    Column("expire_at", BigInteger, nullable=False),
    Column("self_trade_prevention", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("list_id", Text, nullable=False),
    Column("opening", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("filled", Numeric, nullable=False),
    Column("notional", Numeric, nullable=False),
    Column("prevented", Numeric, nullable=False),
    Column("triggered", Boolean, nullable=False),
    Column("resized", Boolean, nullable=False),
    Column("repriced", Boolean, nullable=False),
    Column("code", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("first", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger, nullable=False),
    Column("over_at", BigInteger, nullable=False),
    # Risk approves no order without a stop-loss, held or in a list, but what only reduces; should it ever fail to, the
    # database does. What is not decided yet, or refused, is as it was asked.
    CheckConstraint(
        "stop_loss IS NOT NULL OR (NOT opening AND (reduce_only OR decided_at = 0 OR status = 'refused'))",
        name="opening_order_has_stop_loss",
    ),
    Index("orders_by_account", "account", "received_at"),
    Index("orders_by_list", "list_id", postgresql_where=text("list_id <> ''")),
)

lists = Table(
    "lists",
    metadata,
    Column("list_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("client_list_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("native", Boolean, nullable=False),
    Column("legs", JSONB, nullable=False),
    Column("code", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("first", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("over_at", BigInteger, nullable=False),
    Index("lists_by_account", "account", "received_at"),
)

fills = Table(
    "fills",
    metadata,
    Column("fill_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("child_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("liquidity", Text, nullable=False),
    Column("bid", Numeric, nullable=False),
    Column("ask", Numeric, nullable=False),
    Column("traded_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Index("fills_by_order", "order_id"),
)

costs = Table(
    "costs",
    metadata,
    Column("fill_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("arrival_mid", Numeric, nullable=False),
    Column("spread", Numeric, nullable=False),
    Column("drift", Numeric, nullable=False),
    Column("fee", Numeric, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

positions = Table(
    "positions",
    metadata,
    Column("account", Text, primary_key=True),
    Column("venue", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("quantity", Numeric, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

pnl = Table(
    "pnl",
    metadata,
    Column("account", Text, primary_key=True),
    Column("strategy", Text, primary_key=True),
    Column("venue", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("quantity", Numeric, nullable=False),
    Column("basis", Numeric, nullable=False),
    Column("realized", Numeric, nullable=False),
    Column("costs", Numeric, nullable=False),
    Column("fills", BigInteger, nullable=False),
)

stops = Table(
    "stops",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("stop_price", Numeric, nullable=False),
    Column("armed_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("triggered_at", BigInteger, nullable=False),
    Column("exit_id", Text, nullable=False),
)

controls = Table(
    "controls",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("event", JSONB, nullable=False),
    Index("controls_by_kind", "kind", "at"),
)

prevented_matches = Table(
    "prevented_matches",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("other_id", Text, nullable=False),
    Column("at_venue", Boolean, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("other_quantity", Numeric, nullable=False),
    Column("price", Numeric),
    Column("mode", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("prevented_matches_by_order", "order_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("event", JSONB, nullable=False),
)

early_events = Table(
    "early_events",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("order_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("event", JSON, nullable=False),
    Index("early_events_by_order", "order_id"),
)

# One row: how far the projections have followed the journal. A rebuild counts the epoch up.
progress = Table(
    "progress",
    metadata,
    Column("single", Boolean, CheckConstraint("single"), primary_key=True, server_default=true()),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("origins", JSON, nullable=False),
    Column("writers", JSON, nullable=False),
)
