from __future__ import annotations

import pytest

from bot4_common.log import Record
from bot4_journal.continuity import Break, Continuity
from bot4_journal.testing import Story


def story() -> list[Record]:
    return Story(1).play(5).journal()


def broken_by(records: list[Record]) -> str:
    """The rule that following these records breaks."""
    followed = Continuity()
    try:
        for record in records:
            followed.take(record)
    except Break as broken:
        return broken.rule
    return ""


def renumbered(records: list[Record]) -> list[Record]:
    return [record._replace(sequence=number) for number, record in enumerate(records, 1)]


def test_a_whole_story_can_be_followed() -> None:
    followed = Continuity()
    assert all(followed.take(record) for record in story())
    assert followed.sequence == len(story())


def test_a_frame_merged_a_second_time_is_not_taken_again() -> None:
    records = story()
    again = records[3]._replace(sequence=len(records) + 1)
    followed = Continuity()
    assert [followed.take(record) for record in [*records, again]] == [True] * len(records) + [False]


def test_a_hole_in_the_merged_stream_is_noticed() -> None:
    records = story()
    assert broken_by(records[:4] + records[5:]) == "sequence"


def test_a_hole_in_a_stream_that_was_merged_is_noticed() -> None:
    records = story()
    assert broken_by(renumbered(records[:4] + records[5:])) == "origin"


def test_two_frames_in_the_wrong_order_are_noticed() -> None:
    records = [record for record in story() if record.origin[0] == "RISK_0"]
    swapped = [records[1]._replace(origin=("RISK_0", 1)), records[0]._replace(origin=("RISK_0", 2)), *records[2:]]
    assert broken_by(renumbered(swapped)) == "chain"


def test_an_altered_frame_is_noticed_by_the_next_of_its_writer() -> None:
    records = story()
    first = records[0]._replace(data=records[0].data.replace(b"alice", b"alicf").replace(b"bob", b"bod"))
    assert broken_by([first, *records[1:]]) == "chain"


def test_what_is_not_a_frame_is_noticed() -> None:
    records = story()
    assert broken_by([records[0]._replace(data=records[0].data[:-1])]) == "frame"


def test_nothing_is_followed_past_a_break_unless_it_is_trusted() -> None:
    records = story()
    followed = Continuity()
    followed.take(records[0])
    with pytest.raises(Break):
        followed.take(records[2])
    assert followed.sequence == 1
    followed.trust(records[2])
    assert followed.sequence == 3
