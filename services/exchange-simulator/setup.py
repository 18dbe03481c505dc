"""How does the engine become extension modules? mypyc compiles it when a wheel is built, if there is a C compiler.

Without one, or with BOT4_PURE set, the wheel is pure Python. An editable install is always pure: extension modules
would go on running what the sources were, not what they are. What stands in pyproject.toml is not repeated here.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_config_var, get_path

from setuptools import Extension, setup  # type: ignore[import-untyped]

ENGINE = Path("bot4_exchange_simulator/engine")
# The commands that build what is to be installed as it is. Others ask for names and versions only.
BUILDING = {"bdist_wheel", "build", "build_ext", "install"}


def extensions() -> list[Extension]:
    if os.environ.get("BOT4_PURE") or not BUILDING.intersection(sys.argv):
        return []
    if find_spec("mypyc") is None or not has_compiler():
        return []
    from mypyc.build import mypycify

    sources = sorted(str(path) for path in ENGINE.glob("*.py") if is_compiled(path))
    # What the engine does not need may be missing where only its wheel is built; `make check` is strict.
    return mypycify(["--config-file=", "--ignore-missing-imports", *sources], debug_level="0")


def is_compiled(path: Path) -> bool:
    """The edges of the engine, where text and msgspec's classes are, stay as they are: nothing there runs per order."""
    return path.name != "__init__.py" and "import msgspec" not in path.read_text(encoding="utf-8")


def has_compiler() -> bool:
    """Whether something here compiles against Python's headers."""
    compiler = shlex.split(os.environ.get("CC") or get_config_var("CC") or "cc")
    probe = [*compiler, "-fsyntax-only", "-I", get_path("include"), "-I", get_path("platinclude"), "-x", "c", "-"]
    try:
        return subprocess.run(probe, input=b"#include <Python.h>\n", capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


setup(ext_modules=extensions())
