"""Can everything that was ever written still be read? One sample of each message, as it is stored, kept for ever.

`<tag>.json` has every field of its day, `<tag>.minimal.json` none that has a default. A sample is never changed, only
added: a new event brings its own, and a new field comes as `<tag>.<field>.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bot4_common.log import Snapshot
from bot4_common.messages import estimate, market
from bot4_common.messages.frame import AnyEvent, Frame, decode_frame, encode

GOLDEN = Path(__file__).parent / "golden"


def tagged(*kinds: Any) -> dict[str, Any]:
    return {kind.__struct_config__.tag: kind for kind in kinds}


EVENTS = tagged(*get_args(AnyEvent))
HEARD = tagged(market.Quote, market.SessionHeartbeat, market.Tick, market.FaultOrdered)
OTHERS: dict[str, Any] = {
    "frame": Frame,
    "spoken": market.Spoken,
    "snapshot": Snapshot,
    "estimate_request": estimate.EstimateRequest,
    "estimate": estimate.Estimate,
    "estimate_refused": estimate.EstimateRefused,
}
KINDS = EVENTS | HEARD | OTHERS
SAMPLES = sorted(path.name for path in GOLDEN.iterdir())


def stored(sample: str) -> bytes:
    return (GOLDEN / sample).read_bytes().removesuffix(b"\n")


def kind_of(sample: str) -> Any:
    return KINDS[sample.split(".")[0]]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_is_read_and_written_as_it_was(sample: str) -> None:
    assert encode(msgspec.json.decode(stored(sample), type=kind_of(sample))) == stored(sample)


@pytest.mark.parametrize("tag", sorted(EVENTS))
def test_an_event_is_known_by_its_tag_inside_a_frame(tag: str) -> None:
    frame = b'{"writer":"w","number":1,"previous":"","decided_at":0,"decisions":[{"events":[%s]}]}'
    [decision] = decode_frame(frame % stored(f"{tag}.json")).decisions
    [event] = decision.events
    assert type(event) is EVENTS[tag] and encode(event) == stored(f"{tag}.json")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_field_of_a_message_is_in_a_sample(name: str) -> None:
    assert set(leaves(KINDS[name])) <= set().union(*samples_of(name))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_message_with_defaults_has_a_sample_without_them(name: str) -> None:
    if any(omits(kind) for kind in (KINDS[name], *nested(KINDS[name]))):
        assert min(map(len, samples_of(name))) < len(set().union(*samples_of(name)))


def test_tags_are_unique() -> None:
    assert len(EVENTS) == len(get_args(AnyEvent)) and not set(EVENTS) & set(HEARD)


def samples_of(name: str) -> list[set[str]]:
    """The fields in each sample of a message."""
    return [set(paths(json.loads(stored(sample)))) for sample in SAMPLES if kind_of(sample) is KINDS[name]]


def nested(kind: Any) -> list[Any]:
    """The messages that a message always contains."""
    return [
        field.type for field in fields(kind) if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    ]


def fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def omits(kind: Any) -> bool:
    return kind.__struct_config__.omit_defaults and any(not field.required for field in fields(kind))


def leaves(kind: Any) -> list[str]:
    """The names of all fields, those of contained messages after a dot."""
    names = [field.encode_name for field in fields(kind)]
    for field in fields(kind):
        if field.type in nested(kind):
            names += [f"{field.encode_name}.{inner}" for inner in leaves(field.type)]
    return names


def paths(value: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, inner in value.items():
        found.append(prefix + name)
        if isinstance(inner, dict):
            found += paths(inner, f"{prefix}{name}.")
    return found
