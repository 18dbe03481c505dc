"""Are the settings of the process read as they are meant?"""

from __future__ import annotations

import pytest

from bot4_common.settings import read
from bot4_gateway.__main__ import GatewaySettings, keys_of


def test_keys_come_from_the_settings() -> None:
    keys = keys_of(GatewaySettings(api_keys="ann:one", operator_keys="olga:two"))
    assert (keys.account("one"), keys.operator("two")) == ("ann", "olga")


def test_there_need_not_be_an_operator() -> None:
    assert keys_of(GatewaySettings(api_keys="ann:one")).accounts == {"ann"}


@pytest.mark.parametrize("wrong", ["", "olga", "secret:"])
def test_a_setting_of_keys_that_is_wrong_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="BOT4_API_KEYS is"):
        keys_of(GatewaySettings(api_keys=wrong))
    with pytest.raises(ValueError, match="BOT4_OPERATOR_KEYS is"):
        keys_of(GatewaySettings(api_keys="ann:one", operator_keys=wrong or ","))


def test_settings_come_from_the_environment() -> None:
    settings = read(GatewaySettings, {"BOT4_HTTP_PORT": "8181", "BOT4_REPLICA": "2", "BOT4_TIMEOUT_S": "1.5"})
    assert (settings.http_port, settings.replica, settings.timeout_s) == (8181, 2, 1.5)
