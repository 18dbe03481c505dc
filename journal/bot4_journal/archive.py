"""Where is the whole story kept for ever? In a folder of compressed segments, each sealed with its checksum.

A segment is a file of JSON lines, one per frame, with the frame's bytes as they were written, since the hash chain is
over them. It grows by gzip members, one per call of `append`: what a crash leaves of the last member is cut off, and
the archive goes on after the last whole one. A full segment is synced to disk and named, with its SHA-256, in the
manifest, whose lines name the hash of the line before. `zcat *.jsonl.gz` reads the lot.

Only what the manifest names is sure to survive a power failure; the rest is read from the journal again.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from io import FileIO
from pathlib import Path

import msgspec

from bot4_common import streams
from bot4_common.log import ChainBroken, Record
from bot4_journal.audit.findings import Finding
from bot4_journal.continuity import Break, Continuity

# A segment is closed at this many bytes of frames: decompressed and followed again in about a second after a crash,
# and of the order of 10 MB as a file, so that a year of them can still be listed and copied.
SEGMENT_BYTES = 64_000_000
# The fastest level: a tenth of the size for about 10 ms per MB, on a machine whose orders go first.
COMPRESSION = 1
# Small members are common when it is quiet, and what is read beyond one is copied: hence no more at a time.
READ_BYTES = 65_536

MANIFEST = "manifest.jsonl"
LOCK = "lock"


class Line(msgspec.Struct, frozen=True):
    """One frame: `sequence` in the journal, and where it was first written."""

    sequence: int
    stream: str
    origin: int
    frame: msgspec.Raw


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A closed segment. `followed` is how far the story goes with it, `previous` the SHA-256 of the line before."""

    segment: str
    first: int
    last: int
    bytes: int
    sha256: str
    followed: Continuity
    previous: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """`last` is the sequence of the last frame."""

    findings: list[Finding]
    segments: int
    last: int


class Damaged(ChainBroken):
    """The archive is not as it was written."""


_encoder = msgspec.json.Encoder()
_lines = msgspec.json.Decoder(Line)
_manifest = msgspec.json.Decoder(Sealed)


class Archive:
    """The archive open for writing: by one process at a time, `BlockingIOError` for any other."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._followed = Continuity()
        self._sealed = 0
        # The hash of the manifest's last line, and the open segment: its file, its hash, and its size uncompressed.
        self._previous = ""
        self._file: FileIO | None = None
        self._digest = sha256()
        self._size = 0
        self._lock = (directory / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """The journal sequence of the last frame archived."""
        return self._followed.sequence

    @property
    def sealed(self) -> int:
        """The journal sequence up to which nothing can be lost any more."""
        return self._sealed

    def append(self, records: Iterable[Record]) -> None:
        """Archives the next records. Raises `ChainBroken`, and archives nothing, when they do not follow."""
        followed = self._followed.copy()
        lines: list[bytes] = []
        for record in records:
            followed.take(record)
            if b"\n" in record.data:
                raise Damaged(f"{record.stream} {record.sequence}: a frame of several lines")
            stream, origin = record.origin
            lines.append(_encoder.encode(Line(record.sequence, stream, origin, msgspec.Raw(record.data))) + b"\n")
        if lines:
            self._write(b"".join(lines))
            self._followed = followed
        if self._size >= self._segment_bytes:
            self._seal()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def _write(self, text: bytes) -> None:
        if self._file is None:
            self._open(self._directory / _name(self._followed.sequence + 1))
        assert self._file is not None
        member = gzip.compress(text, COMPRESSION, mtime=0)
        written = 0
        while written < len(member):
            written += self._file.write(member[written:])
        self._digest.update(member)
        self._size += len(text)

    def _open(self, path: Path) -> None:
        self._file = FileIO(path, "a")
        self._digest = sha256()
        self._size = 0
        _sync(self._directory)

    def _seal(self) -> None:
        """The segment is synced before the manifest names it."""
        assert self._file is not None
        os.fsync(self._file.fileno())
        entry = Sealed(
            segment=Path(str(self._file.name)).name,
            first=self._sealed + 1,
            last=self.last,
            bytes=self._file.tell(),
            sha256=self._digest.hexdigest(),
            followed=self._followed,
            previous=self._previous,
        )
        line = _encoder.encode(entry)
        with (self._directory / MANIFEST).open("ab") as manifest:
            manifest.write(line + b"\n")
            manifest.flush()
            os.fsync(manifest.fileno())
        _sync(self._directory)
        self._file.close()
        self._file, self._size, self._sealed, self._previous = None, 0, self.last, sha256(line).hexdigest()

    def _recover(self) -> None:
        """Goes on after the last whole member of the open segment."""
        lines = _manifest_lines(self._directory)
        whole = sum(len(line) + 1 for line in lines)
        manifest = self._directory / MANIFEST
        if manifest.exists() and manifest.stat().st_size > whole:
            os.truncate(manifest, whole)
        entries = [_manifest.decode(line) for line in lines]
        if entries:
            self._followed = entries[-1].followed
            self._sealed = entries[-1].last
            self._previous = sha256(lines[-1]).hexdigest()
        known = {entry.segment for entry in entries}
        unsealed = [path for path in _segments(self._directory) if path.name not in known]
        if unsealed and [path.name for path in unsealed] != [_name(self._sealed + 1)]:
            raise Damaged(f"{unsealed[0].name}: the manifest ends at {self._sealed}")
        for path in unsealed:
            self._resume(path)

    def _resume(self, path: Path) -> None:
        whole = size = 0
        for end, text in _members(path):
            for record in _parsed(text):
                self._followed.take(record)
            whole, size = end, size + len(text)
        os.truncate(path, whole)
        self._open(path)
        self._size = size
        self._digest.update(path.read_bytes())


def records(directory: Path, after: int = 0) -> Iterator[Record]:
    """The archived frames after journal sequence `after`. Raises `Damaged` when one is missing.

    May be read while the archive is written: what was written last may then not be seen yet.
    """
    paths = _segments(directory)
    begin = bisect_right(paths, after + 1, key=_first) - 1
    for path in paths[max(begin, 0) :]:
        for _, text in _members(path):
            for record in _parsed(text):
                if record.sequence > after + 1:
                    raise Damaged(f"{path.name}: sequence {record.sequence} comes after {after}")
                if record.sequence == after + 1:
                    after = record.sequence
                    yield record


def verify(directory: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Verified:
    """Reads everything and checks it: checksums, the chain of the manifest, and that every frame follows.

    `progress` is told the segments done and their total. What a crash left behind the last whole member is no finding.
    """
    findings: list[Finding] = []
    followed = Continuity()
    segments = {path.name: path for path in _segments(directory)}
    total, done, previous = len(segments), 0, ""
    for line in _manifest_lines(directory):
        entry = _manifest.decode(line)
        path = segments.pop(entry.segment, None)
        if entry.previous != previous:
            findings.append(Finding("manifest", entry.segment, "its line does not name the hash of the line before"))
        previous = sha256(line).hexdigest()
        if path is None:
            findings.append(Finding("manifest", entry.segment, "the segment is missing"))
            followed = entry.followed.copy()
            continue
        if sha256(path.read_bytes()).hexdigest() != entry.sha256:
            findings.append(Finding("checksum", entry.segment, f"its SHA-256 is not {entry.sha256}"))
        findings += _follow(path, followed)
        if followed != entry.followed:
            findings.append(Finding("manifest", entry.segment, f"it ends at {followed.sequence}, not {entry.last}"))
            followed = entry.followed.copy()
        done += 1
        progress(done, total)
    for path in segments.values():
        findings += _follow(path, followed)
        done += 1
        progress(done, total)
    return Verified(findings=findings, segments=total, last=followed.sequence)


def _follow(path: Path, followed: Continuity) -> list[Finding]:
    findings: list[Finding] = []
    for _, text in _members(path):
        for record in _parsed(text):
            try:
                followed.take(record)
            except Break as broken:
                findings.append(Finding(broken.rule, path.name, str(broken)))
                followed.trust(record)
    return findings


def _members(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where each whole gzip member ends, and what it says. Ends at a torn one."""
    with path.open("rb") as file:
        end, rest = 0, b""
        while True:
            member, parts = zlib.decompressobj(wbits=31), list[bytes]()
            while not member.eof:
                rest = rest or file.read(READ_BYTES)
                if not rest:
                    return
                try:
                    parts.append(member.decompress(rest))
                except zlib.error:
                    return
                end += len(rest) - len(member.unused_data)
                rest = member.unused_data
            yield end, b"".join(parts)


def _parsed(text: bytes) -> Iterator[Record]:
    for line in text.split(b"\n")[:-1]:
        parsed = _lines.decode(line)
        yield Record(streams.JOURNAL, parsed.sequence, bytes(parsed.frame), (parsed.stream, parsed.origin))


def _segments(directory: Path) -> list[Path]:
    """In the order of their sequences, which is that of their names."""
    return sorted(directory.glob("*.jsonl.gz"))


def _manifest_lines(directory: Path) -> list[bytes]:
    """The whole lines; a torn last one is left out."""
    path = directory / MANIFEST
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _name(first: int) -> str:
    return f"{first:020d}.jsonl.gz"


def _first(path: Path) -> int:
    return int(path.name.split(".", 1)[0])


def _sync(directory: Path) -> None:
    """Makes new names in the folder durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
