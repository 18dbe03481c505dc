"""What goes wrong on the line?"""

from __future__ import annotations

from statistics import median

from bot4_exchange_simulator.faults import FAULTY, PERFECT, Line, LineProfile

MESSAGES = [f"EXECUTION_0/{number}" for number in range(4_000)]


def test_on_a_perfect_line_nothing_goes_wrong() -> None:
    line = Line(1, PERFECT)
    for message in MESSAGES[:100]:
        assert not (line.drops(message) or line.duplicates(message) or line.drops_request(message))
        assert line.reorders_ns(message) == line.entry_ns(message) == line.feed_ns(message) == 0


def test_the_same_seed_draws_the_same_faults() -> None:
    one, same, other = Line(1, FAULTY), Line(1, FAULTY), Line(2, FAULTY)
    drawn = [one.drops(message) for message in MESSAGES]
    assert [same.drops(message) for message in reversed(MESSAGES)] == drawn[::-1]
    assert [other.drops(message) for message in MESSAGES] != drawn
    assert one.feed_ns("m") == same.feed_ns("m") != other.feed_ns("m")


def test_a_fault_strikes_as_often_as_its_probability_says() -> None:
    line = Line(1, LineProfile(drop=0.1))
    assert 350 < sum(line.drops(message) for message in MESSAGES) < 450


def test_faults_of_one_message_are_drawn_apart() -> None:
    line = Line(1, LineProfile(drop=0.5, duplicate=0.5))
    assert any(line.drops(message) != line.duplicates(message) for message in MESSAGES[:20])


def test_latencies_lie_around_their_median() -> None:
    line = Line(1, LineProfile(feed_ms_median=2.0, entry_ms_median=8.0))
    assert 1.9e6 < median(line.feed_ns(message) for message in MESSAGES) < 2.1e6
    assert 7.6e6 < median(line.entry_ns(message) for message in MESSAGES) < 8.4e6
    assert min(line.feed_ns(message) for message in MESSAGES) > 0
