"""Which venues are there, and what may be said of one?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from bot4_common import venues
from bot4_common.process import load_venues
from bot4_common.settings import Settings
from bot4_common.streams import JOURNALED, venue, venue_of, written

MINE = """
[mine]
maker_fee = "-0.0001"
taker_fee = "0.001"

[mine.liquidity]
size_factor = "0.5"
"""


def test_the_shipped_venues_differ_and_the_first_is_as_ever() -> None:
    shipped = venues.shipped()
    assert list(shipped) == ["sim", "a", "b"]
    assert (shipped["sim"].maker_fee, shipped["sim"].taker_fee) == (Decimal("0.0002"), Decimal("0.0004"))
    assert shipped["sim"].liquidity == venues.Liquidity()
    assert len({venue.taker_fee for venue in shipped.values()}) == 3


def test_venues_are_loaded_in_the_order_in_which_they_are_named() -> None:
    assert list(venues.load(venues.names("b, sim"))) == ["b", "sim"]


def test_an_unknown_venue_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="there is no venue x: choose from sim, a, b"):
        venues.load(["x"])


@pytest.mark.parametrize(
    ("text", "wrong"), [("", "name at least one"), ("a,,b", "name at least one"), ("a,b,a", "a is named twice")]
)
def test_a_list_that_is_none_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        venues.names(text)


def test_what_is_not_said_of_a_venue_is_as_usual() -> None:
    mine = venues.parse(MINE)["mine"]
    assert (mine.profile, mine.line, mine.entry_ms) == ("default", "perfect", 2.0)
    assert mine.liquidity == venues.Liquidity(size_factor=Decimal("0.5"))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[mine]\ntaker_fee = "0"', "maker_fee"),
        ('[mine]\nmaker_fee = "NaN"\ntaker_fee = "0"', "not a finite number"),
        ('[mine]\nmaker_fee = "0"\ntaker_fee = "4"', "taker_fee is a fraction of the notional"),
        ('[mine]\nmaker_fee = "0"\ntaker_fee = "0"\nfee = "0"', "unknown field `fee`"),
        ('[mine]\nname = "other"\nmaker_fee = "0"\ntaker_fee = "0"', "under the venue's name"),
        ('[mine]\nmaker_fee = "0"\ntaker_fee = "0"\nfeed_ms = -1.0', "feed_ms must not be below zero"),
        (MINE.replace('"0.5"', '"0"'), "size_factor must lie between"),
        (MINE + 'price_offset_bps = "5000"', "price_offset_bps must lie within"),
        ('["my venue"]\nmaker_fee = "0"\ntaker_fee = "0"', "is no name of a venue"),
        ('mine = "cheap"', "a table of fields is wanted"),
    ],
)
def test_what_is_wrong_with_a_definition_is_named(text: str, wrong: str) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError), match=wrong):
        venues.parse(text)


def test_a_process_learns_of_its_venues_from_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "venues.toml"
    file.write_text(MINE)
    assert list(load_venues(Settings())) == ["sim"]
    assert list(load_venues(Settings(venues="a,mine", venue_definitions=str(file)))) == ["a", "mine"]


def test_each_venue_has_its_stream() -> None:
    assert written(["a", "new-york"]) == (*JOURNALED, "VENUE_a_0", "VENUE_new-york_0")
    assert [venue_of(stream) for stream in (venue("new-york"), "RISK_0", "GATEWAY")] == ["new-york", None, None]
