"""May this account send another order? (47)"""

from __future__ import annotations


class OrderCount:
    """The unfilled orders of one account (47): one more for each accepted, one less on its first fill, never below
    zero. Each window is aligned to the clock and starts at nothing.
    """

    __slots__ = ("allowed", "counts", "lengths", "windows")

    def __init__(self, windows: list[tuple[int, int]]) -> None:
        """`windows`: length in ns and orders allowed in it."""
        self.lengths = [length for length, _ in windows]
        self.allowed = [allowed for _, allowed in windows]
        self.windows = [-1] * len(windows)  # the number of the window that is counted
        self.counts = [0] * len(windows)

    def has_room(self, now: int, orders: int) -> bool:
        self._turn(now)
        for index in range(len(self.counts)):
            if self.counts[index] + orders > self.allowed[index]:
                return False
        return True

    def add(self, now: int) -> None:
        self._turn(now)
        for index in range(len(self.counts)):
            self.counts[index] += 1

    def refund(self, now: int) -> None:
        self._turn(now)
        for index in range(len(self.counts)):
            if self.counts[index] > 0:
                self.counts[index] -= 1

    def _turn(self, now: int) -> None:
        for index in range(len(self.counts)):
            window = now // self.lengths[index]
            if window != self.windows[index]:
                self.windows[index] = window
                self.counts[index] = 0
