"""How does a replica find back to where it was? One small snapshot, and the pages of history that it names."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from bot4_common import streams
from bot4_common.log import Log, Snapshot
from bot4_gateway.asked import AskedImage
from bot4_gateway.history import Roll, Shelf, hashed
from bot4_gateway.views import View, ViewImage, shelves

logger = logging.getLogger(__name__)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A replica at one moment: how far it has read, the last frame of every writer there, and what it knew."""

    cursors: dict[str, int]
    heads: dict[str, dict[str, tuple[int, str]]]
    asked: AskedImage
    view: ViewImage

    def read_from(self) -> dict[str, int]:
        """Behind which frame each stream is read again."""
        mark = self.asked.mark
        return self.cursors if mark is None else {**self.cursors, streams.GATEWAY: mark.sequence - 1}


async def save(log: Log, name: str, image: Image, view: View) -> None:
    """The image is encoded before anything is waited for, so it is of one moment. New pages go first: a crash between
    leaves the last snapshot whole. Raises `AppendUnknown`; what was not saved then is saved with the next."""
    state = msgspec.msgpack.encode(image)
    number, last = image.heads[streams.GATEWAY].get(name, (0, ""))
    snapshot = Snapshot(
        writer=name,
        sequence=image.cursors[streams.GATEWAY],
        number=number,
        hash=last,
        read=image.read_from(),
        state_hash=hashed(state),
        state=state,
    )
    pages = [(_place(name, roll, page.number), page) for roll in view.rolls() for page in roll.unsaved()]
    for place, page in pages:
        saved = Snapshot(
            writer=place,
            sequence=page.number,
            number=page.number,
            hash="",
            read={},
            state_hash=page.hash,
            state=page.data,
        )
        await log.save(saved)
        page.data = b""
    await log.save(snapshot)


async def load(log: Log, name: str, view: View) -> Image | None:
    """Restores the view and returns where to go on; none when there is nothing to go on from but the whole streams."""
    snapshot = await log.saved(name)
    if snapshot is None:
        return None
    try:
        image = msgspec.msgpack.decode(snapshot.state, type=Image)
        pages = [
            await _pages(log, name, roll, shelf) for roll, shelf in zip(view.rolls(), shelves(image.view), strict=True)
        ]
    except (msgspec.ValidationError, LookupError) as error:
        # Of another version, or a page of it is gone: the streams tell it all again.
        logger.error("%s: the snapshot cannot be used, the whole streams are read instead: %s", name, error)
        return None
    view.restore(image.view, pages)
    return image


async def _pages(log: Log, name: str, roll: Roll[Any], shelf: Shelf[Any]) -> list[bytes]:
    found = await asyncio.gather(*(log.saved(_place(name, roll, page.number)) for page in shelf.pages))
    for page, snapshot in zip(shelf.pages, found, strict=True):
        if snapshot is None or snapshot.state_hash != page.hash:
            raise LookupError(f"page {page.number} of {roll.title} is gone")
    return [snapshot.state for snapshot in found if snapshot is not None]


def _place(name: str, roll: Roll[Any], number: int) -> str:
    """The name a page is saved under, as if it were that of a writer."""
    return f"{name}-{roll.title}-{roll.place(number)}"
