"""Does a frame follow those before it: in the merged stream, in the stream it came from, in its writer's chain?

The whole story is followed from its first frame on, so nothing is taken on trust: sequences begin at 1, and the first
frame of a writer has number 1 and follows nothing.
"""

from __future__ import annotations

import msgspec

from bot4_common.log import ChainBroken, Record
from bot4_common.messages.frame import frame_hash


class Break(ChainBroken):
    """`rule` names which of the ways to follow was broken; the names are those of the audit."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(what)
        self.rule = rule


class Head(msgspec.Struct, frozen=True):
    """What of a frame the chain is about; the decisions are skipped unread."""

    writer: str
    number: int
    previous: str


_heads = msgspec.json.Decoder(Head)


def place(record: Record) -> str:
    """Where a record stands, for people: its sequence, and where its frame was first written."""
    stream, sequence = record.origin
    return f"{record.stream} {record.sequence} ({stream} {sequence})"


class Continuity(msgspec.Struct, kw_only=True):
    """How far the story has been followed: the last `sequence` of the merged stream, the last sequence of each stream
    it comes from, and number and hash of each writer's last frame."""

    sequence: int = 0
    origins: dict[str, int] = {}
    writers: dict[str, tuple[int, str]] = {}

    def copy(self) -> Continuity:
        return Continuity(sequence=self.sequence, origins=dict(self.origins), writers=dict(self.writers))

    def take(self, record: Record) -> bool:
        """Follows the next record; false when its frame was already taken, and merged a second time.

        Raises `Break`, and follows nothing, when something is missing before it or it is not what was written.
        """
        if record.sequence != self.sequence + 1:
            raise Break("sequence", f"{place(record)} came after sequence {self.sequence}")
        stream, sequence = record.origin
        last = self.origins.get(stream, 0)
        if sequence <= last:
            self.sequence = record.sequence
            return False
        if sequence != last + 1:
            raise Break("origin", f"{place(record)} came after {stream} {last}")
        try:
            head = _heads.decode(record.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Break("frame", f"{place(record)} is not a frame: {error}") from error
        number, hashed = self.writers.get(head.writer, (0, ""))
        if (head.number, head.previous) != (number + 1, hashed):
            raise Break(
                "chain", f"{place(record)}: frame {head.number} of {head.writer} does not follow its frame {number}"
            )
        self._go_on(record, head)
        return True

    def trust(self, record: Record) -> None:
        """Goes on from a record that does not follow: for those who report the break instead of stopping at it.

        A record that is not a frame is counted, and its writer's next frame will not follow.
        """
        try:
            self._go_on(record, _heads.decode(record.data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.sequence = record.sequence
            self.origins[record.origin[0]] = record.origin[1]

    def _go_on(self, record: Record, head: Head) -> None:
        stream, sequence = record.origin
        self.sequence = record.sequence
        self.origins[stream] = sequence
        self.writers[head.writer] = (head.number, frame_hash(record.data))
