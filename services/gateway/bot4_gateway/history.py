"""What was over lately? The newest entries of an endless sequence, in pages that never change once they are full.

A snapshot of a hundred thousand finished orders would take the event loop away for a third of a second, again and
again for the same orders. So a page is encoded when it fills up, saved once, and every later snapshot only names it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

# Entries per page: encoding them takes about a millisecond.
PAGE = 1_000


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """`data` are the encoded entries until they are saved; empty afterwards."""

    number: int
    entries: list[T]
    hash: str
    data: bytes


class PageName(msgspec.Struct, frozen=True):
    """Which page, and what must be in it. Later pages take the places of forgotten ones."""

    number: int
    hash: str


class Shelf(msgspec.Struct, Generic[T], frozen=True):
    """A roll as it stands in a snapshot: the full pages by name, the one being filled as it is."""

    pages: list[PageName]
    filling: list[T]


class Roll(Generic[T]):
    """At most `keep` entries; the oldest page goes when one more would be too many."""

    def __init__(self, title: str, kind: Any, keep: int, page: int = PAGE) -> None:
        if not 1 <= page <= keep:
            raise ValueError(f"{keep} entries cannot be kept in pages of {page}")
        self.title = title
        self._decoder = msgspec.msgpack.Decoder(list[kind])
        self._page = page
        self._pages_max = keep // page
        self._pages: deque[Page[T]] = deque()
        self._filling: list[T] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._pages) * self._page + len(self._filling)

    def append(self, entry: T) -> list[T]:
        """Returns what is forgotten for it."""
        forgotten = []
        if not self._filling and len(self._pages) == self._pages_max:
            forgotten = self._pages.popleft().entries
        self._filling.append(entry)
        if len(self._filling) == self._page:
            data = msgspec.msgpack.encode(self._filling)
            self._pages.append(Page(number=self._next, entries=self._filling, hash=hashed(data), data=data))
            self._filling = []
            self._next += 1
        return forgotten

    def newest_first(self) -> Iterator[T]:
        yield from reversed(self._filling)
        for page in reversed(self._pages):
            yield from reversed(page.entries)

    def oldest_first(self) -> Iterator[T]:
        for page in self._pages:
            yield from page.entries
        yield from self._filling

    def unsaved(self) -> list[Page[T]]:
        return [page for page in self._pages if page.data]

    def place(self, number: int) -> int:
        """Where a page is saved. There are twice as many places as pages, so that writing the pages of the next
        snapshot does not touch those of the last one, which is still needed until the next is whole."""
        return number % (2 * self._pages_max)

    def shelf(self) -> Shelf[T]:
        return Shelf([PageName(page.number, page.hash) for page in self._pages], list(self._filling))

    def restore(self, shelf: Shelf[T], pages: Sequence[bytes]) -> None:
        """`pages` are the contents of the pages the shelf names, in its order."""
        self._pages = deque(
            Page(number=name.number, entries=self._decoder.decode(data), hash=name.hash, data=b"")
            for name, data in zip(shelf.pages, pages, strict=True)
        )
        self._filling = list(shelf.filling)
        self._next = shelf.pages[-1].number + 1 if shelf.pages else 0


def hashed(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
