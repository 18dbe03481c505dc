"""What would one build instead of bot4? A REST service that writes each order to PostgreSQL before it answers.

FastAPI, pydantic, SQLAlchemy 2 and asyncpg, as their documentation recommends them: one process, a pool of
connections, one INSERT and its commit per order, the client order id unique by constraint. There is no risk check
beyond the fields, no venue and no fill: whatever those cost bot4, they cost nothing here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import DateTime, Index, Numeric, Text, UniqueConstraint, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Connections to PostgreSQL. With 5, 10, 40 and 90 the rate was the same: one processor full of Python.
POOL_SIZE = 20

Number = Annotated[Decimal, Field(gt=0, max_digits=24, decimal_places=8, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class Order(BaseModel):
    """The body of an order: the same as bot4's."""

    model_config = ConfigDict(extra="forbid")

    client_order_id: Name
    symbol: Name
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    quantity: Number
    strategy: Name
    price: Number | None = None
    time_in_force: Literal["gtc", "ioc"] = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    stop_loss: Number | None = None

    @model_validator(mode="after")
    def has_price_if_limit(self) -> Order:
        if (self.type == "limit") != (self.price is not None):
            raise ValueError("a limit order needs a price, a market order has none")
        return self


class Accepted(BaseModel):
    order_id: str
    status: str
    duplicate: bool = False


class Schema(DeclarativeBase):
    type_annotation_map: ClassVar = {str: Text, Decimal: Numeric(24, 8), datetime: DateTime(timezone=True)}


class OrderRow(Schema):
    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("account", "client_order_id"),
        Index("orders_open", "account", postgresql_where="status = 'open'"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]
    client_order_id: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    type: Mapped[str]
    quantity: Mapped[Decimal]
    strategy: Mapped[str]
    price: Mapped[Decimal | None]
    time_in_force: Mapped[str]
    post_only: Mapped[bool]
    reduce_only: Mapped[bool]
    stop_loss: Mapped[Decimal | None]
    status: Mapped[str] = mapped_column(server_default="open")
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


INSERT = insert(OrderRow).on_conflict_do_nothing(index_elements=["account", "client_order_id"]).returning(OrderRow.id)


def application(engine: AsyncEngine, accounts: dict[str, str]) -> FastAPI:
    """`accounts` by API key."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Schema.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    # Whoever comes first is served first. The pool alone lets latecomers pass, which doubled p99 at 256 callers.
    turns = asyncio.Semaphore(POOL_SIZE)

    def account_of(key: str) -> str:
        account = accounts.get(key)
        if account is None:
            raise HTTPException(401, "unknown API key")
        return account

    @app.post("/v1/orders", status_code=201)
    async def place(order: Order, x_api_key: Annotated[str, Header()]) -> Accepted:
        account = account_of(x_api_key)
        async with turns, engine.connect() as connection:
            order_id = await connection.scalar(INSERT, {"account": account, **order.model_dump()})
            if order_id is not None:
                return Accepted(order_id=str(order_id), status="open")
            first = (
                await connection.execute(
                    select(OrderRow.__table__).where(
                        OrderRow.account == account, OrderRow.client_order_id == order.client_order_id
                    )
                )
            ).one()
        if any(first._mapping[field] != value for field, value in order.model_dump().items()):
            raise HTTPException(409, "the client order id was used with another body")
        return Accepted(order_id=str(first.id), status=first.status, duplicate=True)

    @app.delete("/v1/orders/{order_id}")
    async def cancel(order_id: int, x_api_key: Annotated[str, Header()]) -> Accepted:
        account = account_of(x_api_key)
        async with turns, engine.connect() as connection:
            cancelled = await connection.scalar(
                update(OrderRow)
                .where(OrderRow.id == order_id, OrderRow.account == account, OrderRow.status == "open")
                .values(status="cancelled")
                .returning(OrderRow.id)
            )
        if cancelled is None:
            raise HTTPException(404, "no such open order")
        return Accepted(order_id=str(cancelled), status="cancelled")

    @app.get("/readyz")
    async def ready() -> dict[str, bool]:
        async with engine.connect() as connection:
            await connection.execute(select(1))
        return {"ready": True}

    return app


def main() -> None:
    # PostgreSQL commits a single statement by itself: one round trip instead of three for BEGIN, INSERT and COMMIT.
    engine = create_async_engine(
        os.environ["BASELINE_DATABASE_URL"], isolation_level="AUTOCOMMIT", pool_size=POOL_SIZE, max_overflow=0
    )
    accounts = dict(pair.split("=", 1) for pair in os.environ["BASELINE_KEYS"].split(","))
    uvicorn.run(
        application(engine, accounts),
        port=int(os.environ["BASELINE_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
