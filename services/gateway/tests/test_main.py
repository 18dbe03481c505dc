"""Are the settings of the process read as they are meant?"""

from __future__ import annotations

import pytest

from bot4_common.settings import read
from bot4_gateway.__main__ import GatewaySettings, parse_keys


def test_keys_name_accounts() -> None:
    assert parse_keys("ann:one, bob:two,ann:three:x") == {"one": "ann", "two": "bob", "three:x": "ann"}


@pytest.mark.parametrize("text", ["", "ann", "ann:", ":secret", "ann:secret,", "ann:secret,bob:secret"])
def test_what_names_no_account_is_refused_without_telling_the_secret(text: str) -> None:
    with pytest.raises(ValueError, match="BOT4_API_KEYS") as caught:
        parse_keys(text)
    assert "secret" not in str(caught.value)


def test_settings_come_from_the_environment() -> None:
    settings = read(GatewaySettings, {"BOT4_HTTP_PORT": "8181", "BOT4_REPLICA": "2", "BOT4_TIMEOUT_S": "1.5"})
    assert (settings.http_port, settings.replica, settings.timeout_s) == (8181, 2, 1.5)
