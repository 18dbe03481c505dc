"""When did it happen? Frames of several streams in the order of the time at which they were decided.

Streams that know nothing of each other, like the venue's and our own, have no other order than the clock's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from bot4_common.messages.frame import Frame


class TimeOrder:
    """Holds a frame back until every other stream has come as far. Of frames of one moment, those of the stream that
    is named first pass first. It holds as many as are added to one stream and not yet to the others."""

    def __init__(self, streams: Iterable[str]) -> None:
        self._held: dict[str, deque[Frame]] = {stream: deque() for stream in streams}
        self._ended: set[str] = set()

    @property
    def wanted(self) -> str | None:
        """The stream that the others wait for; none once all have ended."""
        return next((stream for stream, held in self._held.items() if not held and stream not in self._ended), None)

    def add(self, stream: str, frame: Frame) -> Iterator[tuple[str, Frame]]:
        """All frames that may pass now. They have passed when the iterator is used up."""
        self._held[stream].append(frame)
        yield from self._due()

    def end(self, stream: str) -> Iterator[tuple[str, Frame]]:
        """Nothing more comes of a stream. What may pass now."""
        self._ended.add(stream)
        yield from self._due()

    def _due(self) -> Iterator[tuple[str, Frame]]:
        while self.wanted is None:
            waiting = [(held[0].decided_at, stream) for stream, held in self._held.items() if held]
            if not waiting:
                return
            # min keeps the first of equals.
            _, stream = min(waiting, key=lambda due: due[0])
            yield stream, self._held[stream].popleft()
