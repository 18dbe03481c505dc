"""When does a venue get nothing that could add risk? After failures of its own, and of all venues together."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bot4_common.breaker import BreakerRules
from bot4_common.given import NOON, SECOND, Expected, Scenario, event
from bot4_common.messages.breakers import BreakerChanged
from bot4_common.messages.execution import (
    AmendRejected,
    AmendSent,
    CancelSent,
    ListSent,
    OrderAcknowledged,
    OrderRejected,
    OrderSent,
    OutcomeUnknown,
)
from bot4_common.messages.risk import OrderApproved
from bot4_common.messages.terms import Event
from bot4_common.streams import feed
from bot4_execution.breakers import FUSE, outcome
from bot4_execution.domain import Execution
from bot4_execution.state import PATIENCE_NS, State
from services.execution.tests.test_lists import LEG1, LEG2, list_approved
from services.execution.tests.words import (
    ORDER,
    SESSION,
    accepted,
    amend,
    amend_rejected,
    amended,
    approved,
    cancel,
    cancel_rejected,
    cancelled,
    filled,
    given,
    opened,
    rejected,
    silence,
    status,
    tick,
)

RULES = BreakerRules()
# As many failures as open a breaker.
ENOUGH = RULES.samples_min


def failing(scenario: Scenario[State], times: int = ENOUGH, venue: str = "sim") -> Scenario[State]:
    """So many orders are refused because the venue is not well."""
    scenario.subject = feed(venue, SESSION)
    first = scenario.state.session(venue).sequence + 1
    for number in range(first, first + times):
        scenario.when(for_venue(f"{number}-{venue}", venue))
        scenario.when(rejected(number, "VENUE_BUSY", child_id=f"{number}-{venue}.1"))
    return scenario


def for_venue(order_id: str, venue: str = "sim") -> OrderApproved:
    return approved(order_id, replace(ORDER, venue=venue))


def condemned() -> Scenario[State]:
    """The venue's breaker, and with it the fuse, has just opened."""
    return failing(given())


def rested() -> Scenario[State]:
    scenario = condemned().after(RULES.dwell_ns)
    return scenario.when(tick(scenario))


def changed(name: str, before: str, after: str) -> Expected:
    return event(BreakerChanged, name=name, before=before, after=after)


# Opening


def test_it_opens_when_most_of_what_is_asked_fails() -> None:
    scenario = failing(given(), ENOUGH - 1)
    assert not any(isinstance(said, BreakerChanged) for said in scenario.log)
    failing(scenario, 1).then(
        event(OrderRejected, code="VENUE_BUSY"),
        event(BreakerChanged, name="sim", before="closed", after="open", at=NOON, samples=ENOUGH, failures=ENOUGH),
        event(BreakerChanged, name=FUSE, before="closed", after="open", at=NOON, samples=ENOUGH, failures=ENOUGH),
    )


def test_while_it_is_open_an_order_that_could_open_a_position_is_refused_and_not_sent() -> None:
    refused = condemned().when(approved("99-0"))
    refused.then(
        event(OrderRejected, order_id="99-0", child_id="99-0.1", venue="sim", code="BREAKER_OPEN", session_sequence=0)
    )
    assert refused.decider.deadline(refused.state) == NOON + RULES.dwell_ns


def test_what_was_refused_is_not_sent_when_it_is_heard_again() -> None:
    refused = condemned().when(approved("99-0"))
    refused.after(RULES.dwell_ns).when(tick(refused)).when(approved("99-0")).then_nothing()
    refused.when(amend("12", order_id="99-0")).then(event(AmendRejected, venue="sim", code="ORDER_IS_OVER"))


@pytest.mark.parametrize(
    "closing", [approved("99-0", opening=False), approved("99-0", replace(ORDER, reduce_only=True))]
)
def test_what_can_only_close_goes_all_the_same(closing: OrderApproved) -> None:
    condemned().when(closing).then(event(OrderSent))


def standing() -> Scenario[State]:
    """The order 1-0 is at the venue, and then the breaker opens."""
    return failing(opened(), ENOUGH - 1)


def test_cancels_go_all_the_same() -> None:
    standing().when(cancel()).then(event(CancelSent))


def test_amends_that_do_not_grow_go_all_the_same() -> None:
    standing().when(amend("9", "101")).then(event(AmendSent))


def test_amends_that_grow_are_refused() -> None:
    standing().when(amend("11")).then(event(AmendRejected, order_id="1-0", code="BREAKER_OPEN", session_sequence=0))


def test_an_amend_of_what_can_only_close_goes_all_the_same() -> None:
    closing = given().when(approved(order=replace(ORDER, reduce_only=True))).when(accepted(1))
    failing(closing, ENOUGH - 1).when(amend("11")).then(event(AmendSent))


def test_a_refused_amend_leaves_the_answer_to_its_order_awaited() -> None:
    scenario = failing(given().when(approved("0-0")), ENOUGH)
    scenario.when(amend("11", order_id="0-0")).then(event(AmendRejected, code="BREAKER_OPEN"))
    assert scenario.decider.deadline(scenario.state) == NOON + PATIENCE_NS


def test_a_list_is_refused_leg_by_leg_and_its_legs_are_not_sent_one_by_one() -> None:
    opening = replace(list_approved(), legs=[replace(leg, order=ORDER) for leg in list_approved().legs])
    refused = condemned().when(opening)
    refused.then(
        event(OrderRejected, order_id=LEG1, code="BREAKER_OPEN"),
        event(OrderRejected, order_id=LEG2, code="BREAKER_OPEN"),
    )
    refused.when(approved(LEG1), approved(LEG2)).then_nothing()
    refused.when(opening).then_nothing()


def test_a_list_that_can_only_close_goes_all_the_same() -> None:
    condemned().when(list_approved()).then(event(OrderSent), event(OrderSent), event(ListSent))


# Of several venues


def two_venues() -> Scenario[State]:
    return Scenario(Execution(["a", "b"], SESSION), stream="RISK_0")


def well(scenario: Scenario[State], times: int, venue: str) -> Scenario[State]:
    scenario.subject = feed(venue, SESSION)
    for number in range(1, times + 1):
        scenario.when(for_venue(f"{number}-{venue}", venue)).when(accepted(number, f"{number}-{venue}.1"))
    return scenario


def test_one_venue_that_fails_does_not_keep_from_another() -> None:
    scenario = failing(well(two_venues(), ENOUGH + 1, "b"), ENOUGH, "a")
    scenario.then(event(OrderRejected), changed("a", "closed", "open"))
    scenario.when(for_venue("99-0", "a")).then(event(OrderRejected, code="BREAKER_OPEN"))
    scenario.when(for_venue("98-0", "b")).then(event(OrderSent, venue="b"))


def test_the_fuse_opens_when_the_venues_fail_together() -> None:
    scenario = failing(failing(two_venues(), ENOUGH // 2, "a"), ENOUGH // 2, "b")
    scenario.then(event(OrderRejected), changed(FUSE, "closed", "open"))
    scenario.when(for_venue("99-0", "a")).then(event(OrderRejected, venue="a", code="FUSE_OPEN"))


# Closing again


def test_it_rests_and_then_lets_probes_through() -> None:
    waiting = condemned()
    assert waiting.decider.deadline(waiting.state) == NOON + RULES.dwell_ns
    waiting.after(RULES.dwell_ns - 1).when(tick(waiting)).then_nothing()
    waiting.after(1).when(tick(waiting)).then(changed("sim", "open", "half_open"), changed(FUSE, "open", "half_open"))
    assert waiting.decider.deadline(waiting.state) is None


def test_what_is_due_first_is_the_deadline() -> None:
    scenario = standing()
    assert scenario.after(SECOND).when(cancel()).decider.deadline(scenario.state) == NOON + SECOND + PATIENCE_NS
    later = standing().after(RULES.dwell_ns - 1)
    assert later.when(cancel()).decider.deadline(later.state) == NOON + RULES.dwell_ns


def probe(number: int) -> OrderApproved:
    return approved(f"{number}-probe")


def test_only_a_few_probes_are_under_way_at_once() -> None:
    half_open = rested().when(*(probe(number) for number in range(RULES.probes_at_once + 1)))
    half_open.then(*[event(OrderSent)] * RULES.probes_at_once, event(OrderRejected, code="BREAKER_OPEN"))


def probed(scenario: Scenario[State], *answers: bool) -> Scenario[State]:
    for number, ok in enumerate(answers):
        told = scenario.state.session("sim").sequence + 1
        child_id = f"{number}-probe.1"
        scenario.when(probe(number)).when(
            accepted(told, child_id) if ok else rejected(told, "VENUE_BUSY", child_id=child_id)
        )
    return scenario


def test_it_closes_when_the_probes_went_well() -> None:
    closed = probed(rested(), *[True] * RULES.probes)
    closed.then(event(OrderAcknowledged), changed("sim", "half_open", "closed"), changed(FUSE, "half_open", "closed"))
    closed.when(approved("99-0")).then(event(OrderSent))


def test_it_opens_again_as_soon_as_too_many_probes_failed() -> None:
    probed(rested(), False, False, False, False).then(
        event(OrderRejected), changed("sim", "half_open", "open"), changed(FUSE, "half_open", "open")
    )


def test_a_probe_without_an_answer_has_failed() -> None:
    unanswered = rested()
    for number in range(4):
        unanswered.when(probe(number)).then(event(OrderSent))
        silence(unanswered)
    *_, of_venue, of_fuse = unanswered.said
    assert changed("sim", "half_open", "open").matches(of_venue)
    assert changed(FUSE, "half_open", "open").matches(of_fuse)


def test_a_probe_is_unknown_before_its_breaker_gives_it_up() -> None:
    """So of a half-open breaker no deadline is needed."""
    assert RULES.probe_timeout_ns > PATIENCE_NS
    assert RULES.dwell_ns > PATIENCE_NS


def test_what_comes_of_older_orders_is_no_probe() -> None:
    scenario = standing().after(RULES.dwell_ns)
    scenario.when(tick(scenario)).when(probe(1))
    told = scenario.state.session("sim").sequence
    scenario.when(*(filled(told + number, "1", str(number), f"t{number}") for number in range(1, 10)))
    assert len(scenario.state.breakers.breakers["sim"].outcomes) == 0


def test_the_first_that_comes_of_a_probe_is_what_it_shows() -> None:
    scenario = rested().when(probe(1), probe(2))
    told = scenario.state.session("sim").sequence
    scenario.when(accepted(told + 1, "1-probe.1"), filled(told + 2, "4", "4", child_id="1-probe.1"))
    assert [ok for _, ok in scenario.state.breakers.breakers["sim"].outcomes] == [True]


def test_too_many_changes_are_called_flapping() -> None:
    scenario = condemned()
    for _ in range(RULES.changes_max):
        scenario.after(RULES.dwell_ns).when(tick(scenario))
        for number in range(4):
            told = scenario.state.session("sim").sequence + 1
            order_id = f"{told}-{number}"
            scenario.when(approved(order_id)).when(rejected(told, "VENUE_BUSY", child_id=f"{order_id}.1"))
    changes = [said for said in scenario.log if isinstance(said, BreakerChanged) and said.name == "sim"]
    assert [said.flapping for said in changes] == [number > RULES.changes_max for number in range(1, len(changes) + 1)]
    assert changes[-1].flapping


# What counts


def failures(scenario: Scenario[State]) -> list[bool]:
    """What the venue's breaker has seen."""
    breaker = scenario.state.breakers.breakers.get("sim")
    return [] if breaker is None else [not ok for _, ok in breaker.outcomes]


@pytest.mark.parametrize(
    ("heard", "failed"),
    [
        ([accepted(2)], []),
        ([filled(2, "4", "4")], [False]),
        ([cancelled(2)], [False]),
        ([amended(2, "12")], [False]),
        ([amend_rejected(2)], [False]),
        ([amend_rejected(2, "VENUE_BUSY")], [True]),
        ([cancel_rejected(2)], [False]),
        ([cancel_rejected(2, "CANCEL_DOWN")], [True]),
        ([status(2, "open")], []),
    ],
)
def test_what_a_venue_says_of_an_order_counts(heard: list[Event], failed: list[bool]) -> None:
    before = opened().when(amend("12"), cancel())
    assert failures(before) == [False]
    assert failures(before.when(*heard)) == [False, *failed]


@pytest.mark.parametrize(
    ("code", "failed"), [("LOT_SIZE", False), ("ORDER_COUNT", False), ("MARKET_NOT_OPEN", False), ("VENUE_BUSY", True)]
)
def test_a_refusal_counts_against_the_venue_when_it_is_not_well(code: str, failed: bool) -> None:
    assert failures(given().when(approved()).when(rejected(1, code))) == [failed]


def test_silence_counts_against_the_venue() -> None:
    assert failures(silence(given().when(approved()))) == [True]


def test_what_is_refused_here_counts_for_nothing() -> None:
    refused = condemned().when(approved("99-0"))
    assert failures(refused) == []
    assert outcome(refused.said[0]) is None


def test_what_an_old_journal_says_without_a_time_counts_as_just_now() -> None:
    scenario = silence(given().when(approved()))
    said = scenario.said[0]
    assert isinstance(said, OutcomeUnknown)
    scenario.given(replace(said, at=0))
    assert scenario.state.breakers.breakers["sim"].outcomes == [(NOON + SECOND, False)] * 2


def test_no_venue_has_the_name_of_the_fuse() -> None:
    with pytest.raises(AssertionError, match="fuse"):
        Execution(["sim", FUSE], SESSION)
