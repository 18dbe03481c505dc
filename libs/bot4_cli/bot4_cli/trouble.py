"""What does a user read when a command cannot do what was asked? One line, and no traceback."""

from __future__ import annotations

# Exit codes: 1 is for what was found to be wrong (an order refused, a process not ready, a finding of the audit), 2 for
# what the user can mend.
FOUND = 1
MENDABLE = 2


class Trouble(Exception):
    """The text is the whole message."""

    def __init__(self, message: str, exit_code: int = MENDABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def first(several: ExceptionGroup[Trouble]) -> Trouble:
    """Of a group, which may have groups in it."""
    one = several.exceptions[0]
    return first(one) if isinstance(one, ExceptionGroup) else one
