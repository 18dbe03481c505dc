"""May this account send another order, may this address send another request? (47, 48)"""

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


class RequestWeight:
    """The request weight that one address has used (48).

    Beyond the limit of a window the answer is 429, to be tried again when the window ends. Whoever goes on all the
    same is banned (418), each time twice as long, up to a limit.
    """

    __slots__ = ("_ban", "_banned_until", "_bans", "_length", "_limit", "_patience", "_used", "_warned", "_window")

    def __init__(self, length: int, limit: int, patience: int, ban: int, ban_max: int) -> None:
        """Times in ns. `patience`: how many requests in a window may be answered by 429 before the next is a ban."""
        self._length = length
        self._limit = limit
        self._patience = patience
        self._ban = (ban, ban_max)
        self._window = -1
        self._used = 0
        self._warned = 0
        self._bans = 0
        self._banned_until = 0

    def ask(self, now: int, weight: int) -> tuple[int, int]:
        """The HTTP status, 200, 429 or 418, and with the last two the ns after which to try again."""
        if now < self._banned_until:
            return 418, self._banned_until - now
        window = now // self._length
        if window != self._window:
            self._window, self._used, self._warned = window, 0, 0
        if self._used + weight <= self._limit:
            self._used += weight
            return 200, 0
        self._warned += 1
        if self._warned <= self._patience:
            return 429, (window + 1) * self._length - now
        first, longest = self._ban
        lasts = min(first << self._bans, longest)
        # Once the longest is reached there is nothing left to count, and the shift stays small.
        self._bans += lasts < longest
        self._banned_until = now + lasts
        return 418, lasts

    @property
    def used(self) -> int:
        return self._used
