"""What goes wrong at the venue and on the line?"""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ks import follows

from bot4_exchange_simulator import edge, faults
from bot4_exchange_simulator.distributions import log_normal_cdf
from bot4_exchange_simulator.faults import (
    BLOCK_NS,
    FAULTY,
    HELD_MAX,
    KINDS,
    LASTS_MAX_NS,
    PERFECT,
    PROFILES,
    REFUSING,
    SECOND_NS,
    Kind,
    Line,
    LineProfile,
    MessageFault,
    Outages,
    Request,
    RequestFault,
    Scheduled,
    Spell,
    by_hand,
    held_after,
    parsed,
)
from bot4_exchange_simulator.latency import Latency, LatencyProfile, Leg

SESSION = "EXECUTION_0"
MESSAGES = [f"{SESSION}/{number}" for number in range(4_000)]
NOON = 1_760_000_000 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS


def outages(kind: Kind, per_hour: float = 60.0, seconds_median: float = 5.0, sigma: float = 0.8) -> Outages:
    return Outages(kind=kind, per_hour=per_hour, seconds_median=seconds_median, sigma=sigma)


def hand(kind: Kind, seconds: float = 10.0, session: str = "", **parameters: float) -> Spell:
    return by_hand(kind, NOON, seconds, (), session, **parameters)


def walked(line: Line, hours: int, session: str = SESSION) -> list[Spell]:
    """All spells that begin in so many hours from noon, found from one beginning to the next."""
    now, spells = NOON, []
    while (now := line.next_spell_at(now, [session])) < NOON + hours * HOUR_NS:
        spells += [spell for spell in line.active(now, session) if spell.since == now]
    return spells


# Messages


def test_on_a_perfect_line_nothing_goes_wrong() -> None:
    line = Line(1, PERFECT)
    assert line.active(NOON, SESSION) == []
    for number, message in enumerate(MESSAGES[:100], 1):
        assert line.message(SESSION, number, NOON, ()) is None
        assert line.request("place", message, SESSION, NOON, ()) is None
        assert line.entry_ns("place", message, NOON) == line.feed_ns(message, NOON) == 0


def test_the_same_seed_draws_the_same_faults() -> None:
    one, same, other = Line(1, FAULTY), Line(1, FAULTY), Line(2, FAULTY)
    drawn = [one.drops(message) for message in MESSAGES]
    assert [same.drops(message) for message in reversed(MESSAGES)] == drawn[::-1]
    assert [other.drops(message) for message in MESSAGES] != drawn
    assert one.feed_ns("m", NOON) == same.feed_ns("m", NOON) != other.feed_ns("m", NOON)


def test_a_fault_strikes_as_often_as_its_probability_says() -> None:
    line = Line(1, LineProfile(drop=0.1))
    assert 350 < sum(line.drops(message) for message in MESSAGES) < 450


def test_faults_of_one_message_are_drawn_apart() -> None:
    line = Line(1, LineProfile(drop=0.5, duplicate=0.5))
    assert any(line.drops(message) != line.duplicates(message) for message in MESSAGES[:20])


def test_each_leg_takes_as_long_as_its_figures_say() -> None:
    profile = LatencyProfile(entry=Leg(median_ms=8.0), cancel=Leg(median_ms=4.0), feed=Leg(median_ms=2.0))
    line, latency = Line(1, LineProfile(latency=profile)), Latency(1, profile)
    assert line.entry_ns("place", "m", NOON) == line.entry_ns("query", "m", NOON) == latency.ns("entry", NOON, "m")
    assert line.entry_ns("cancel", "m", NOON) == latency.ns("cancel", NOON, "m")
    assert line.feed_ns("m", NOON) == latency.ns("feed", NOON, "m")


def test_a_message_is_held_back_for_a_log_normal_time() -> None:
    line = Line(1, LineProfile(reorder=1.0, held_ms_median=20.0, held_sigma=0.5))
    held = [float(line.reorders_ns(message)) for message in MESSAGES]
    assert follows(held, log_normal_cdf(20e6, 0.5))
    assert not follows(held, log_normal_cdf(22e6, 0.5))
    assert not follows(held, log_normal_cdf(20e6, 0.6))


def test_a_fill_is_withheld_as_often_and_as_long_as_said() -> None:
    line = Line(1, LineProfile(late_fill=0.1, withheld_ms_median=500.0, withheld_sigma=0.5))
    withheld = [float(ns) for name in MESSAGES if (ns := line.withheld_ns(name))]
    assert 350 < len(withheld) < 450
    assert follows(withheld, log_normal_cdf(500e6, 0.5))
    assert not follows(withheld, log_normal_cdf(1_000e6, 0.5))
    assert Line(1, PERFECT).withheld_ns("m") == 0


def test_a_gap_is_a_run_of_messages_as_long_as_said() -> None:
    line = Line(1, LineProfile(gap=0.01, gap_messages=(4, 6)))
    lost = [line.in_gap(SESSION, number) for number in range(1, 20_001)]
    runs = Counter(len(list(run)) for is_lost, run in groupby(lost) if is_lost)
    assert min(runs) == 4
    # 200 gaps, of which a few run into another.
    assert all(40 < runs[length] < 80 for length in (4, 5, 6))
    assert sum(count for length, count in runs.items() if length > 6) < 25


def test_a_gap_begins_as_often_as_its_probability_says() -> None:
    line = Line(1, LineProfile(gap=0.1, gap_messages=(1, 1)))
    assert 350 < sum(line.in_gap(SESSION, number) for number in range(4_000)) < 450


def test_a_message_has_one_fault_and_the_greatest_comes_first() -> None:
    everything = Line(1, LineProfile(drop=1.0, duplicate=1.0, reorder=1.0, gap=1.0))
    cut = [hand("disconnect")]
    assert everything.message(SESSION, 7, NOON, cut) == MessageFault("disconnect")
    assert everything.message(SESSION, 7, NOON, ()) == MessageFault("gap")
    assert Line(1, LineProfile(drop=1.0, duplicate=1.0)).message(SESSION, 7, NOON, ()) == MessageFault("drop")
    assert Line(1, LineProfile(duplicate=1.0, reorder=1.0)).message(SESSION, 7, NOON, ()) == MessageFault("duplicate")
    held = Line(1, LineProfile(reorder=1.0)).message(SESSION, 7, NOON, ())
    assert held is not None and held.kind == "delay" and held.delay_ns > 0


# Requests


@pytest.mark.parametrize(
    ("kind", "refused", "code"),
    [
        ("submit_down", ("place", "list", "amend"), "SUBMIT_DOWN"),
        ("cancel_down", ("cancel",), "CANCEL_DOWN"),
        ("reject", ("place", "list", "amend"), "VENUE_BUSY"),
        ("reject_cancel", ("cancel",), "VENUE_BUSY"),
        ("down", ("place", "list", "amend", "cancel", "query"), "VENUE_UNAVAILABLE"),
        ("drop_request", ("place", "list", "amend", "cancel", "query"), ""),
        ("disconnect", ("place", "list", "amend", "cancel", "query"), ""),
        ("drop", (), ""),
    ],
)
def test_a_fault_of_the_venue_meets_the_requests_it_is_for(kind: Kind, refused: tuple[Request, ...], code: str) -> None:
    line, active = Line(1, PERFECT), [hand(kind)]
    for asks in REFUSING:
        fault = line.request(asks, "request", SESSION, NOON, active)
        assert fault == (RequestFault(kind, code) if asks in refused else None)  # type: ignore[arg-type]


def test_orders_are_rejected_as_often_as_the_probability_says() -> None:
    line = Line(1, LineProfile(reject=0.1))
    assert 350 < sum(line.request("place", name, SESSION, NOON, ()) is not None for name in MESSAGES) < 450


def test_every_refusal_is_one_of_the_edge() -> None:
    codes = {fault.code for refusing in REFUSING.values() for fault in refusing}
    assert codes | {"VENUE_UNAVAILABLE"} <= edge.REFUSALS.keys()


# Spells by chance


def test_outages_come_as_a_poisson_process() -> None:
    spells = walked(Line(1, LineProfile(outages=(outages("submit_down"),))), hours=120)
    gaps = [float(later.since - earlier.since) for earlier, later in pairwise(spells)]
    assert len(gaps) > 6_000
    assert follows(gaps, lambda ns: 1 - exp(-ns * 60 / HOUR_NS))
    assert not follows(gaps, lambda ns: 1 - exp(-ns * 66 / HOUR_NS))


def test_outages_last_log_normal_times() -> None:
    spells = walked(Line(1, LineProfile(outages=(outages("submit_down", 60.0, 5.0, 0.8),))), hours=120)
    lasted = [float(spell.until - spell.since) for spell in spells]
    assert follows(lasted, log_normal_cdf(5e9, 0.8))
    assert not follows(lasted, log_normal_cdf(5.5e9, 0.8))
    assert not follows(lasted, log_normal_cdf(5e9, 0.9))


@given(st.integers(0, 1_000), st.integers(0, 10**6))
def test_what_lasts_is_known_without_history(seed: int, second: int) -> None:
    profile = LineProfile(outages=(outages("down", 6.0, 300.0, 2.0), outages("disconnect", 60.0)))
    now = NOON + second * SECOND_NS
    travelled = Line(seed, profile)
    for at in (now + 3 * HOUR_NS, now - HOUR_NS, now - 1):
        travelled.active(at, SESSION)
    assert travelled.active(now, SESSION) == Line(seed, profile).active(now, SESSION)


@given(st.integers(0, 1_000))
def test_a_spell_lasts_from_its_beginning_until_before_its_end(seed: int) -> None:
    line = Line(seed, LineProfile(outages=(outages("down", 6.0, 1_800.0, 3.0),)))
    for spell in walked(line, hours=2):
        assert 0 < spell.until - spell.since <= LASTS_MAX_NS
        assert spell in line.active(spell.since, SESSION)
        assert spell in line.active(spell.until - 1, SESSION)
        assert spell not in line.active(spell.since - 1, SESSION)
        assert spell not in line.active(spell.until, SESSION)


def test_no_spell_is_longer_than_is_looked_back_for() -> None:
    line = Line(1, LineProfile(outages=(outages("down", 6.0, 80_000.0),)))
    lasted = [spell.until - spell.since for spell in walked(line, hours=5)]
    assert lasted and set(lasted) == {LASTS_MAX_NS}


@given(st.integers(0, 1_000), st.integers(0, 10**6), st.integers(1, 10**12))
def test_no_spell_begins_before_it_was_announced(seed: int, second: int, later: int) -> None:
    schedule = (Scheduled(kind="slow", start_s=10.0, seconds=1.0, every_s=100.0),)
    line = Line(seed, LineProfile(outages=(outages("disconnect"), outages("down")), schedule=schedule))
    now = NOON + second * SECOND_NS
    announced = line.next_spell_at(now, [SESSION], NOON)
    assert now < announced <= now + BLOCK_NS
    at = min(now + later, announced - 1)
    assert all(spell.since <= now for spell in line.active(at, SESSION, (), NOON))


def test_sessions_are_cut_each_for_itself_and_the_venue_fails_all() -> None:
    line = Line(1, LineProfile(outages=(outages("disconnect"), outages("down"))))
    one, other = walked(line, 2, "one"), walked(line, 2, "other")
    assert {spell.session for spell in one} == {"", "one"}
    assert [spell for spell in one if not spell.session] == [spell for spell in other if not spell.session]
    assert {spell.since for spell in one if spell.session}.isdisjoint(spell.since for spell in other if spell.session)


def test_what_was_drawn_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "DRAWN_KEPT", 5)
    line = Line(1, LineProfile(outages=(outages("down"),)))
    for block in range(40):
        line.active(NOON + block * BLOCK_NS, SESSION)
    assert len(line._drawn) <= 5


# Spells by schedule, by hand, and begun by a message


def test_a_scheduled_spell_counts_from_the_opening() -> None:
    line = Line(1, LineProfile(schedule=(Scheduled(kind="down", start_s=10.0, seconds=2.0),)))
    seconds = [at for at in range(100) if line.active(NOON + at * SECOND_NS, SESSION, (), NOON)]
    assert seconds == [10, 11]
    assert line.next_spell_at(NOON, [], NOON) == NOON + 10 * SECOND_NS
    assert line.next_spell_at(NOON + 10 * SECOND_NS, [], NOON) == NOON + 10 * SECOND_NS + BLOCK_NS


def test_a_scheduled_spell_comes_again() -> None:
    every = Scheduled(kind="down", start_s=10.0, seconds=2.0, every_s=30.0)
    line = Line(1, LineProfile(schedule=(every,)))
    seconds = [at for at in range(80) if line.active(NOON + at * SECOND_NS, SESSION, (), NOON)]
    assert seconds == [10, 11, 40, 41, 70, 71]
    assert line.next_spell_at(NOON + 10 * SECOND_NS, [], NOON) == NOON + 40 * SECOND_NS


def test_a_spell_by_hand_concerns_its_session_while_it_lasts() -> None:
    line, held = Line(1, PERFECT), [hand("drop", 10.0, SESSION)]
    assert line.active(NOON, SESSION, held) == held
    assert line.active(NOON + 10 * SECOND_NS - 1, SESSION, held) == held
    assert line.active(NOON + 10 * SECOND_NS, SESSION, held) == []
    assert line.active(NOON, "another", held) == []
    assert line.message(SESSION, 1, NOON, held) == MessageFault("drop")


@given(st.sampled_from(("drop", "duplicate", "gap", "drop_request")), st.floats(0.0, 1.0), st.integers(1, 10**6))
def test_a_spell_strikes_all_that_is_struck_without_it(kind: Kind, probability: float, number: int) -> None:
    line = Line(1, LineProfile(drop=0.3, duplicate=0.3, gap=0.3, drop_request=0.3))
    spell = [hand(kind, probability=probability)]
    name = f"{SESSION}/{number}"
    struck = {
        "drop": line.drops(name) <= line.drops(name, spell),
        "duplicate": line.duplicates(name) <= line.duplicates(name, spell),
        "gap": line.in_gap(SESSION, number) <= line.in_gap(SESSION, number, spell),
        "drop_request": line.drops_request(name) <= line.drops_request(name, spell),
    }
    assert all(struck.values())


def test_a_slow_venue_takes_as_many_times_as_long_as_said() -> None:
    line = Line(1, LineProfile(latency=LatencyProfile(feed=Leg(median_ms=2.0), entry=Leg(median_ms=8.0))))
    slow = [hand("slow", factor=4.0), hand("slow", factor=3.0)]
    assert line.slowness("m", ()) == 1.0
    assert line.entry_ns("place", "m", NOON, slow) == pytest.approx(4 * line.entry_ns("place", "m", NOON), abs=4)
    assert line.feed_ns("m", NOON, slow) == pytest.approx(4 * line.feed_ns("m", NOON), abs=4)
    assert Line(1, LineProfile(slow=1.0, slow_factor=7.0)).slowness("m", ()) == 7.0


def test_a_disconnected_session_is_connected_again_when_its_last_cut_ends() -> None:
    cuts = [hand("disconnect", 5.0), hand("disconnect", 3.0)]
    assert Line(1, PERFECT).cut_until(SESSION, NOON, cuts) == NOON + 5 * SECOND_NS
    assert Line(1, PERFECT).cut_until(SESSION, NOON, [hand("slow")]) == 0


def test_one_message_can_begin_a_spell() -> None:
    line = Line(1, LineProfile(disconnect=0.1, spell_s_median=2.0, spell_sigma=0.8))
    begun = [spell for name in MESSAGES if (spell := line.begins("disconnect", name, SESSION, NOON)) is not None]
    assert 350 < len(begun) < 450
    assert {(spell.kind, spell.since, spell.session) for spell in begun} == {("disconnect", NOON, SESSION)}
    lasted = [float(spell.until - NOON) for spell in begun]
    assert follows(lasted, log_normal_cdf(2e9, 0.8))
    assert not follows(lasted, log_normal_cdf(2.5e9, 0.8))
    storm = Line(1, LineProfile(reconnect_storm=1.0)).begins("reconnect_storm", "m", SESSION, NOON)
    assert storm is not None and storm.session == ""


@given(st.integers(0, 1_000), st.integers(1, 3_600))
def test_a_storm_cuts_a_session_several_times_and_leaves_it_connected(seed: int, seconds: int) -> None:
    line, storm = Line(seed, PERFECT), hand("reconnect_storm", seconds)
    now, cuts = storm.since, 0
    while now < storm.until:
        until = line.cut_until(SESSION, now, [storm])
        if not until:
            now += (storm.until - storm.since) // 100
            continue
        assert now < until < storm.until
        assert line.cut_until(SESSION, until - 1, [storm]) == until
        assert line.cut_until(SESSION, until, [storm]) == 0
        now, cuts = until, cuts + 1
    assert 3 <= cuts <= 8


def test_a_storm_cuts_each_session_at_its_own_times() -> None:
    line, storm = Line(1, PERFECT), [hand("reconnect_storm")]
    assert len({line.cut_until(f"session {number}", NOON, storm) for number in range(20)}) == 20


@pytest.mark.parametrize(
    ("kind", "seconds", "parameters", "complaint"),
    [
        ("flood", 1.0, {}, "no fault 'flood'; there are drop, "),
        ("drop", 0.0, {}, "lasts up to 86400 s, not 0.0 s"),
        ("drop", float("nan"), {}, "not nan s"),
        ("drop", 1e9, {}, "lasts up to 86400 s"),
        ("drop", 1.0, {"probability": 1.5}, "probability is from 0.0 to 1.0, not 1.5"),
        ("slow", 1.0, {"factor": 0.5}, "factor is from 1.0 to 10000.0, not 0.5"),
        ("slow", 1.0, {"speed": 0.5}, "no parameter 'speed'"),
    ],
)
def test_a_spell_that_cannot_be_is_refused(
    kind: str, seconds: float, parameters: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        by_hand(kind, NOON, seconds, (), "", **parameters)


def test_so_many_spells_by_hand_and_no_more() -> None:
    held: list[Spell] = []
    for _ in range(HELD_MAX):
        held = held_after(held, by_hand("drop", NOON, 1.0, held))
    with pytest.raises(ValueError, match="64 faults by hand last at this moment"):
        by_hand("drop", NOON, 1.0, held)
    later = NOON + SECOND_NS
    begun = by_hand("drop", later, 1.0, held)
    assert held_after(held, begun) == [begun]


def test_spells_that_nobody_asked_for_push_out_the_oldest_of_their_kind() -> None:
    asked = hand("slow", 100.0)
    spells = [Spell(kind="disconnect", since=NOON, until=NOON + number + 1) for number in range(HELD_MAX)]
    one_more = Spell(kind="disconnect", since=NOON, until=NOON + 100)
    assert held_after([asked, *spells], one_more) == [asked, *spells[1:], one_more]


# Profiles


def test_the_example_of_the_documentation_is_a_profile() -> None:
    assert faults.__doc__ is not None
    example = faults.__doc__.partition("A profile as TOML:")[2]
    assert parsed(example) == LineProfile(
        drop=0.02,
        outages=(Outages(kind="submit_down", per_hour=4.0, seconds_median=30.0),),
        schedule=(Scheduled(kind="slow", start_s=600.0, seconds=60.0, every_s=3_600.0, factor=20.0),),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("drop = 2.0", "drop"),
        ("dorp = 0.1", "dorp"),
        ("gap_messages = [20, 2]", "a gap of 20 to 2 messages"),
        ('[[outages]]\nkind = "flood"\nper_hour = 1.0\nseconds_median = 1.0', "flood"),
        ('[[outages]]\nkind = "down"\nper_hour = 1e9\nseconds_median = 1.0', "per_hour"),
        (
            '[[schedule]]\nkind = "down"\nstart_s = 1\nseconds = 5.0\nevery_s = 4.0',
            "lasts 5.0 s and begins every 4.0 s",
        ),
        ("drop = ", "Invalid value"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parsed(text)


def test_on_a_hostile_line_everything_happens() -> None:
    hostile = PROFILES["hostile"]
    lasting = {each.kind for each in hostile.outages}
    assert {kind for kind in KINDS if getattr(hostile, kind) > 0} | lasting == set(KINDS)
    assert PROFILES["perfect"] == LineProfile()
