from __future__ import annotations

import gzip
import subprocess
import tempfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot4_common.log import ChainBroken, Record
from bot4_journal import archive
from bot4_journal.archive import Archive, Damaged
from bot4_journal.testing import Story

# A handful of frames per segment, so that a short story has many.
SMALL = 4_000


STORY = Story(2).play(12).journal()
# With this many frames the last segment has just been closed.
CLOSED = 12


def write(directory: Path, records: list[Record], segment_bytes: int = SMALL) -> Archive:
    """Opens the archive, and closes it when the records are in it, three at a time."""
    with closing(Archive(directory, segment_bytes)) as opened:
        for start in range(0, len(records), 3):
            opened.append(records[start : start + 3])
        return opened


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl.gz"))


def rules(directory: Path) -> set[str]:
    return {finding.rule for finding in archive.verify(directory).findings}


def test_what_was_archived_is_read_back_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    assert list(archive.records(tmp_path)) == STORY


def test_reading_can_begin_anywhere(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    for after in (0, 1, 17, len(STORY) - 1, len(STORY)):
        assert list(archive.records(tmp_path, after)) == STORY[after:]


def test_full_segments_are_closed_and_named_in_the_manifest(tmp_path: Path) -> None:
    opened = write(tmp_path, STORY)
    verified = archive.verify(tmp_path)
    assert verified.findings == []
    assert verified.segments == len(segments(tmp_path)) > 5
    assert verified.last == opened.last == len(STORY)
    assert 0 < opened.sealed < opened.last


def test_an_archive_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    for end in (10, 11, 40, len(STORY)):
        opened = Archive(tmp_path, SMALL)
        opened.append(STORY[opened.last : end])
        opened.close()
    assert list(archive.records(tmp_path)) == STORY
    assert archive.verify(tmp_path).findings == []


def test_ordinary_tools_can_read_a_segment_and_check_its_sum(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    first = segments(tmp_path)[0]
    with gzip.open(first) as lines:
        line = lines.readline()
    assert line.startswith(b'{"sequence":1,"stream":"GATEWAY","origin":1,"frame":' + STORY[0].data)
    assert line.endswith(b"}\n")
    summed = subprocess.run(["sha256sum", first], capture_output=True, check=True).stdout.split()[0].decode()
    assert summed in (tmp_path / archive.MANIFEST).read_text().splitlines()[0]


def test_only_one_process_writes_an_archive(tmp_path: Path) -> None:
    opened = Archive(tmp_path)
    with pytest.raises(BlockingIOError):
        Archive(tmp_path)
    opened.close()
    Archive(tmp_path).close()


def test_frames_that_do_not_follow_are_not_archived(tmp_path: Path) -> None:
    opened = Archive(tmp_path, SMALL)
    opened.append(STORY[:5])
    with pytest.raises(ChainBroken):
        opened.append([*STORY[5:7], STORY[8]])
    assert opened.last == 5
    opened.append(STORY[5:])
    opened.close()
    assert list(archive.records(tmp_path)) == STORY


def goes_on(directory: Path) -> None:
    with closing(Archive(directory, SMALL)) as opened:
        opened.append(STORY[opened.last :])
    assert list(archive.records(directory)) == STORY
    assert archive.verify(directory).findings == []


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_archive_goes_on_after_a_crash_at_any_byte_of_the_open_segment(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), STORY[:30], segment_bytes=1_000_000)
        [only] = segments(Path(folder))
        only.write_bytes(only.read_bytes()[: data.draw(st.integers(0, only.stat().st_size))])
        goes_on(Path(folder))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_an_archive_goes_on_after_a_crash_while_a_segment_is_closed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = write(Path(folder), STORY[:CLOSED])
        assert opened.sealed == opened.last == CLOSED
        manifest = Path(folder) / archive.MANIFEST
        whole = manifest.read_bytes()
        last = len(whole.splitlines(keepends=True)[-1])
        manifest.write_bytes(whole[: len(whole) - data.draw(st.integers(0, last))])
        goes_on(Path(folder))


def test_reading_ends_before_what_a_crash_left_half_written(tmp_path: Path) -> None:
    write(tmp_path, STORY[:30], segment_bytes=1_000_000)
    [only] = segments(tmp_path)
    only.write_bytes(only.read_bytes()[:-3])
    assert list(archive.records(tmp_path)) == STORY[:27]
    assert archive.verify(tmp_path).findings == []


@pytest.mark.parametrize("position", [20, 300, -5])
def test_a_flipped_bit_is_found(tmp_path: Path, position: int) -> None:
    write(tmp_path, STORY)
    damaged = bytearray(segments(tmp_path)[2].read_bytes())
    damaged[position] ^= 1
    segments(tmp_path)[2].write_bytes(damaged)
    assert "checksum" in rules(tmp_path)
    with pytest.raises(Damaged):
        list(archive.records(tmp_path))


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    segments(tmp_path)[2].unlink()
    assert rules(tmp_path) == {"manifest"}
    with pytest.raises(Damaged):
        list(archive.records(tmp_path))


def test_a_segment_replaced_together_with_its_line_is_found(tmp_path: Path) -> None:
    """Whoever can forge a checksum still has to forge every line after it."""
    write(tmp_path, STORY)
    manifest = tmp_path / archive.MANIFEST
    lines = manifest.read_bytes().splitlines(keepends=True)
    path = segments(tmp_path)[1]
    before = sha256(path.read_bytes()).hexdigest()
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9))
    after = sha256(path.read_bytes()).hexdigest()
    lines[1] = lines[1].replace(before.encode(), after.encode())
    manifest.write_bytes(b"".join(lines))
    assert rules(tmp_path) == {"manifest"}


def test_a_forged_frame_in_a_forged_archive_is_found_by_the_chain(tmp_path: Path) -> None:
    records = list(STORY)
    forged = next(number for number, record in enumerate(records) if b'"filled"' not in record.data and number > 3)
    data = records[forged].data.replace(b'"decided_at":1', b'"decided_at":2')
    records[forged] = records[forged]._replace(data=data)
    with pytest.raises(ChainBroken):
        write(tmp_path, records)


def test_an_archive_with_a_hole_before_its_open_segment_is_not_continued(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    manifest = tmp_path / archive.MANIFEST
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(Damaged):
        Archive(tmp_path, SMALL)


def test_verifying_tells_how_far_it_is(tmp_path: Path) -> None:
    write(tmp_path, STORY)
    seen: list[tuple[int, int]] = []
    archive.verify(tmp_path, lambda done, total: seen.append((done, total)))
    total = len(segments(tmp_path))
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_an_archive_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert list(archive.records(tmp_path)) == []
    assert archive.verify(tmp_path).last == 0
