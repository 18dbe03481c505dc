"""Where does a recorded market come from? Files: plain text, gzip, or a zip as Binance publishes them."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot4_exchange_simulator import calibration, flow, recording
from bot4_exchange_simulator.calibration import Report
from bot4_exchange_simulator.recording import Progress, Recording
from bot4_exchange_simulator.tape import Tape, TapeError, parse

_UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error)


def read(path: Path) -> Tape:
    """The tape in a file. Raises `TapeError` that names the file, the line where there is one, and what is wrong."""
    try:
        with _lines(path) as lines:
            return parse(lines, str(path))
    except _UNREADABLE as wrong:
        raise TapeError(f"{path}: {wrong}") from wrong


def record(paths: Iterable[Path], progress: Progress = recording.ignored) -> Recording:
    """Trades and depth in files that belong together: captures, in the order in which they continue each other, or
    public files of one symbol and time. Raises `TapeError`, which names the file."""
    return recording.parse(((str(path), _each(path)) for path in paths), progress)


def calibrate(paths: Iterable[Path], progress: Progress = recording.ignored) -> Report:
    """The figures of the market in such files; those that come with bot4 stand in for what they are silent about.
    Raises `TapeError` where the files cannot be read or are too short."""
    return calibration.fit(record(paths, progress), flow.shipped())


def _each(path: Path) -> Iterator[str]:
    try:
        with _lines(path) as lines:
            yield from lines
    except _UNREADABLE as wrong:
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
