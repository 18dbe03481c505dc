"""The command `bot4`."""

from __future__ import annotations

import logging
import sys

from bot4_cli.app import commands
from bot4_cli.trouble import Trouble, first


def app() -> None:
    # That a connection is lost and mended in a drill is no news to who drills.
    logging.basicConfig(level=logging.ERROR, format="bot4: %(message)s")
    try:
        commands()
    except* Trouble as several:
        # Tasks side by side have the same trouble: the first tells it.
        trouble = first(several)
        print(f"bot4: {trouble}", file=sys.stderr)
        sys.exit(trouble.exit_code)


if __name__ == "__main__":
    app()
