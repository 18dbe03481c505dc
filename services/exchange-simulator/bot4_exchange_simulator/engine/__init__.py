"""What does a venue do with an order? A matching engine for many accounts and symbols, without clock, chance or I/O.

`engine.Engine` decides, in whole ticks and lots; `lines.run` speaks to it in lines of JSON; `profile.shipped` says how
one venue differs from another. The numbers in comments are those of the rules of order semantics.

A wheel may hold the modules twice, as sources and compiled from them. Python takes the compiled ones, unless BOT4_PURE
is set.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from typing import Literal

# Which files modules come from can only be said before they are imported, so it is said here and not in a `__main__`.
if os.environ.get("BOT4_PURE"):
    sys.path_importer_cache.update(
        {folder: FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)) for folder in __path__}
    )


def build() -> Literal["compiled", "pure"]:
    """What the engine runs as in this process."""
    path = import_module("bot4_exchange_simulator.engine.engine").__file__ or ""
    return "pure" if path.endswith(".py") else "compiled"
