"""What does the venue say to a request that it turns away?"""

from __future__ import annotations

from string import Formatter

import pytest

from bot4_exchange_simulator import edge
from bot4_exchange_simulator.edge import Answer, answer
from bot4_exchange_simulator.engine.refusals import REFUSALS as OF_THE_ENGINE


def test_a_refusal_of_the_edge_is_told_with_its_numbers() -> None:
    told = answer("RATE_LIMITED", {"limit": 6_000, "window": "1 MINUTE"})
    assert (told.status, told.venue_code) == (429, -1003)
    assert "current limit is 6000 request weight per 1 MINUTE." in told.venue_message
    assert "IP banned until 1760000040000." in answer("BANNED", {"until": 1_760_000_040_000}).venue_message


def test_a_refusal_of_the_engine_is_told_as_it_stands_there() -> None:
    assert answer("UNKNOWN_ORDER") == Answer(400, -2011, "Unknown order sent.")
    assert answer("ORDER_COUNT").status == 429


def test_every_refusal_can_be_told() -> None:
    numbers = {"limit": 1, "window": "1 MINUTE", "until": 1}
    for code in edge.REFUSALS.keys() | OF_THE_ENGINE.keys():
        told = answer(code, numbers)
        assert 400 <= told.status < 600 and told.venue_code < 0
        assert not any(name for _, name, _, _ in Formatter().parse(told.venue_message))
    with pytest.raises(KeyError):
        answer("NO_SUCH_CODE")


def test_only_an_answer_that_proves_it_is_a_refusal() -> None:
    unknown = {code for code, refusal in edge.REFUSALS.items() if refusal.outcome == "unknown"}
    assert unknown == {"VENUE_UNAVAILABLE", "VENUE_SILENT"}
    # 49: what may have been done is answered by 5xx, what was not by 4xx or by a venue that says it is busy.
    assert all(edge.REFUSALS[code].status >= 500 for code in unknown)


def test_no_code_means_two_things() -> None:
    assert not edge.REFUSALS.keys() & OF_THE_ENGINE.keys()
    assert edge.STATUSES_OF_THE_ENGINE.keys() <= OF_THE_ENGINE.keys()
