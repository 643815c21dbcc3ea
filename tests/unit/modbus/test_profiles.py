"""Both Modbus families speak the register's names."""

import pytest

from devices.profiles import PROFILES
from fleet.metrics import METRICS


@pytest.mark.parametrize("name", ["cdu-modbus", "sunspec-battery", "agent", "kubernetes", "openbmc"])
def test_every_metric_of_the_profile_is_in_the_register(name: str) -> None:
    assert {point.metric for point in PROFILES[name].points} <= set(METRICS)


@pytest.mark.parametrize("name", ["cdu-modbus", "sunspec-battery", "agent", "kubernetes", "openbmc"])
def test_every_signal_of_the_profile_has_an_interval(name: str) -> None:
    assert all(seconds > 0 for seconds in PROFILES[name].intervals().values())
