from __future__ import annotations

import msgspec
import pytest

from bot4_common.settings import Settings, read


class Own(Settings, frozen=True, kw_only=True):
    http_port: int = 8080


def test_without_environment_there_are_defaults() -> None:
    assert read(Settings, {}) == Settings()


def test_every_field_has_its_variable() -> None:
    settings = read(
        Own,
        {
            "BOT4_NATS_URL": "nats://broker:4222",
            "BOT4_HEALTH_PORT": "9000",
            "BOT4_STANDBY": "true",
            "BOT4_TRACE_RATIO": "0.5",
            "BOT4_TRACE_DIR": "/tmp/traces",
            "BOT4_HTTP_PORT": "80",
        },
    )
    assert settings == Own(
        nats_url="nats://broker:4222",
        health_port=9000,
        standby=True,
        trace_ratio=0.5,
        trace_dir="/tmp/traces",
        http_port=80,
    )


def test_what_is_not_ours_is_left_alone() -> None:
    assert read(Settings, {"PATH": "/bin", "BOT4_UNHEARD_OF": "1", "HEALTH_PORT": "x"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [("HEALTH_PORT", "http"), ("STANDBY", "perhaps"), ("TRACE_RATIO", "half"), ("HEALTH_PORT", "")],
)
def test_a_wrong_value_is_named(variable: str, wrong: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=variable.lower()):
        read(Settings, {f"BOT4_{variable}": wrong})
