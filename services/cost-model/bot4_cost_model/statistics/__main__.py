"""One fit as a process: a window of prices comes in, its statistics go out, both as JSON."""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from bot4_cost_model.sampling import Window
from bot4_cost_model.statistics.summary import summary

# Whoever asked may be gone; a fit takes seconds, and minutes on a machine that has better things to do.
LIFE_S = 300
# The lowest priority: whatever else runs here is more urgent.
NICENESS = 19


def main() -> None:
    signal.alarm(LIFE_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this process
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody wants the answer any more
    os.nice(NICENESS)
    window = msgspec.json.decode(sys.stdin.buffer.read(), type=Window)
    sys.stdout.buffer.write(msgspec.json.encode(summary(window)))


if __name__ == "__main__":
    main()
