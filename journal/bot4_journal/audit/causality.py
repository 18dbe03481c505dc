"""In which order did it happen? Each frame after all that its writer had read when it was written.

Merged streams arrive in any order: a fill may stand before the approval that caused it. Put back into causal order,
every rule can be judged at once, and what has been judged is always a consistent part of the story.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator

from bot4_common.messages.frame import Frame


class CausalOrder:
    """Holds a frame back until the frames that it had read have passed. It holds as many as the streams are apart."""

    def __init__(self) -> None:
        self._held: dict[str, deque[tuple[int, Frame]]] = defaultdict(deque)
        self._passed: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def add(self, stream: str, sequence: int, frame: Frame) -> Iterator[tuple[str, int, Frame]]:
        """All frames whose turn this one makes it. They have passed when the iterator is used up."""
        self._held[stream].append((sequence, frame))
        moved = True
        while moved:
            moved = False
            for name, held in self._held.items():
                while held and self._is_due(held[0][1]):
                    due, first = held.popleft()
                    self._passed[name] = due
                    moved = True
                    yield name, due, first

    def _is_due(self, frame: Frame) -> bool:
        return all(self._passed.get(stream, 0) >= sequence for stream, sequence in frame.read.items())
