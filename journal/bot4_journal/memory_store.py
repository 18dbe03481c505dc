"""How do the projections behave when the database fails? Rows in memory, with faults that come from one seed.

It is what would survive a crash of the journal service; a batch is applied between two awaits, whole or not at all.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, TypeVar

from bot4_journal.projections import ONCE, Changes, Known, ListRow, OrderEvent, OrderRow, PnlRow, Row, StopRow, written
from bot4_journal.store import Cursor, Moved, Unavailable

R = TypeVar("R", bound=Row)


class MemoryStore:
    """`lost` is the probability of a call that does not arrive, `answer_lost` of one whose answer does not."""

    def __init__(self, rng: Random, lost: float = 0.0, answer_lost: float = 0.0) -> None:
        self._rng = rng
        self.lost = lost
        self.answer_lost = answer_lost
        self._cursor = Cursor()
        self._tables: dict[str, dict[tuple[Any, ...], Row]] = {}

    def rows(self, kind: type[R]) -> list[R]:
        """What a table holds, in the order of its keys."""
        table = self._tables.get(kind.table, {})
        return [row for _, row in sorted(table.items()) if isinstance(row, kind)]

    async def prepare(self) -> None:
        await self._arrive()

    async def cursor(self) -> Cursor:
        await self._arrive()
        return Cursor(epoch=self._cursor.epoch, followed=self._cursor.followed.copy())

    async def apply(self, changes: Changes, before: Cursor, after: Cursor) -> None:
        await self._arrive()
        if (self._cursor.epoch, self._cursor.sequence) != (before.epoch, before.sequence):
            raise Moved(f"at {self._cursor.epoch}/{self._cursor.sequence}, not {before.epoch}/{before.sequence}")
        self._write(changes)
        self._cursor = after
        await self._answer()

    async def reset(self) -> None:
        await self._arrive()
        self._tables.clear()
        self._cursor = Cursor(epoch=self._cursor.epoch + 1)
        await self._answer()

    def _write(self, changes: Changes) -> None:
        early = [row for row in self.rows(OrderEvent) if row.order_id in changes.begun]
        known = Known(
            orders=self._find(OrderRow, [(order_id,) for order_id in changes.orders]),
            early=early,
            lists=self._find(ListRow, [(list_id,) for list_id in changes.lists]),
            stops=self._find(StopRow, [(order_id,) for order_id in changes.stops]),
            pnl=self._find(PnlRow, list(changes.pnl)),
        )
        for gone in early:
            del self._tables[OrderEvent.table][gone.sequence, gone.index]
        for rows in written(changes, known):
            table = self._tables.setdefault(rows[0].table, {})
            for row in rows:
                key = tuple(getattr(row, name) for name in row.key)
                assert not isinstance(row, ONCE) or key not in table, f"{row.table} {key} is written twice"
                table[key] = row

    def _find(self, kind: type[R], keys: list[Any]) -> list[R]:
        table = self._tables.get(kind.table, {})
        found = (table.get(tuple(key)) for key in keys)
        return [row for row in found if isinstance(row, kind)]

    async def _arrive(self) -> None:
        await asyncio.sleep(0)
        if self._rng.random() < self.lost:
            raise Unavailable("the call was lost")

    async def _answer(self) -> None:
        if self._rng.random() < self.answer_lost:
            raise Unavailable("the answer was lost")
        await asyncio.sleep(0)
