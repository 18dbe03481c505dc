"""Can each fault that `make mutants-risk` plants still be planted? That takes long, so not every change runs it."""

from __future__ import annotations

from tests.risk_mutants import ROOT, known, unplantable


def test_each_known_fault_is_one_of_the_source_as_it_is() -> None:
    faults = list(known(ROOT))
    assert len(faults) > 200
    assert [why for fault in faults if (why := unplantable(fault, ROOT))] == []
