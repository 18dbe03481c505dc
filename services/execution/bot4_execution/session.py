"""Is a venue's feed complete? One session's numbering: what is next, what is a repeat, what is missing.

The venue numbers what it tells a session without a gap. A number already seen is a repeat and is ignored; one that
is too high means that something was lost on the way: nothing is skipped, the venue is asked to say it again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# A resend is itself subject to the line's faults, so it is asked for again after this long (ns).
RESEND_PATIENCE_NS = 200_000_000


class Session(msgspec.Struct, kw_only=True):
    """With one venue. `sequence` is the last number taken; `asked_at` when a resend was last asked for (ns)."""

    sequence: int = 0
    asked_at: int = 0

    def judge(self, number: int) -> Literal["next", "repeat", "gap"]:
        if number == self.sequence + 1:
            return "next"
        return "repeat" if number <= self.sequence else "gap"

    def may_ask(self, now: int) -> bool:
        return now - self.asked_at >= RESEND_PATIENCE_NS
