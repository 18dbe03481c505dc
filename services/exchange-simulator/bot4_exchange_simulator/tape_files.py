"""Where does a recorded tape come from? A file: plain text, gzip, or a zip as Binance publishes them."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot4_exchange_simulator.tape import Tape, TapeError, parse


def read(path: Path) -> Tape:
    """The tape in a file. Raises `TapeError` that names the file, the line where there is one, and what is wrong."""
    try:
        with _lines(path) as lines:
            return parse(lines, str(path))
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error) as wrong:
        raise TapeError(f"{path}: {wrong}") from wrong


@contextmanager
def _lines(path: Path) -> Iterator[io.TextIOBase]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig") as lines:
            yield lines
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise TapeError(f"{path}: holds {len(names)} files, not one")
            with archive.open(names[0]) as packed:
                yield io.TextIOWrapper(packed, encoding="utf-8-sig")
    else:
        with path.open(encoding="utf-8-sig") as lines:
            yield lines
