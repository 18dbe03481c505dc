"""Is it known what the engine runs as, and can the sources be chosen?"""

from __future__ import annotations

import os
import subprocess
import sys

from bot4_exchange_simulator import engine
from bot4_exchange_simulator.engine.book import Side

ASKED = """
from bot4_exchange_simulator import engine
from bot4_exchange_simulator.engine.engine import Engine
from bot4_exchange_simulator.engine.profile import shipped

Engine(shipped("default"))
print(engine.build(), engine.book.__file__)
"""


def test_the_build_is_that_of_the_classes() -> None:
    # Only a class that Python made of its source has functions that know their code.
    made_of_source = hasattr(Side.append, "__code__")
    assert engine.build() == ("pure" if made_of_source else "compiled")


def test_the_sources_run_when_asked_for_whatever_else_there_is() -> None:
    environment = {**os.environ, "BOT4_PURE": "1"}
    told = subprocess.run([sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, check=True)
    build, path = told.stdout.split()
    assert build == "pure"
    assert path.endswith("book.py")
