"""Where do the projections live, and how far have they followed the journal?

Two implementations pass one contract suite: `postgres_store`, and `memory_store` for the seeded simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bot4_common.log import Record
from bot4_common.messages.frame import decode_frame
from bot4_journal.continuity import Continuity
from bot4_journal.projections import Changes


class Cursor(msgspec.Struct, kw_only=True):
    """Where the projections stand. A rebuild counts the epoch up, so that whoever goes on from before it is noticed."""

    epoch: int = 0
    followed: Continuity = msgspec.field(default_factory=Continuity)

    @property
    def sequence(self) -> int:
        return self.followed.sequence


class Moved(Exception):
    """The cursor is not where it was left: another process projects, or a rebuild began. Look again."""


class Unavailable(Exception):
    """The store did not answer; whether the last batch is in it is not known. Look again later."""


class Store(Protocol):
    """Every call raises `Unavailable` when the store cannot be reached."""

    async def prepare(self) -> None:
        """Brings the tables to the form that this version writes."""

    async def cursor(self) -> Cursor: ...

    async def apply(self, changes: Changes, before: Cursor, after: Cursor) -> None:
        """Writes what follows from the changes and moves the cursor, both or neither. Raises `Moved` unless the
        cursor stands at `before`."""

    async def reset(self) -> None:
        """Forgets all rows; the cursor stands before the first frame, in the next epoch."""


def step(cursor: Cursor, records: Sequence[Record]) -> tuple[Changes, Cursor]:
    """What the next records change, and the cursor after them. Raises `ChainBroken` when they do not follow."""
    changes, followed = Changes(), cursor.followed.copy()
    for record in records:
        if followed.take(record):
            changes.add(decode_frame(record.data), record.origin, record.sequence)
    return changes, Cursor(epoch=cursor.epoch, followed=followed)
