"""Profiles agree with the register of metrics and never share a switching constant by accident."""

import pytest

from devices.profiles import PROFILES
from devices.profiles.profile import SIGNAL_SECONDS
from fleet.metrics import METRICS
from fleet.model import Wire

SNMP = [profile for profile in PROFILES.values() if profile.wire is Wire.SNMP]


def test_the_families_of_this_release_are_there() -> None:
    assert {"eaton-epdu-g3", "apc-rpdu2", "dcgm", "node-exporter", "fabric"} <= set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_signal_has_an_interval_and_every_refresh_is_known(profile) -> None:
    assert profile.intervals()
    assert all(seconds > 0 for seconds in profile.intervals().values())
    assert {point.signal for point in profile.points} <= set(SIGNAL_SECONDS) | set(profile.signals)
    assert all(profile.refresh_of(point.metric) >= 0 for point in profile.points)


@pytest.mark.parametrize("profile", SNMP, ids=lambda profile: profile.name)
def test_every_point_of_an_snmp_profile_is_a_known_metric(profile) -> None:
    assert {point.metric for point in profile.points} <= set(METRICS)


@pytest.mark.parametrize(
    ("name", "off", "on", "state", "states"),
    [
        (
            "eaton-epdu-g3",
            ("1.3.6.1.4.1.534.6.6.7.6.6.1.3.0.7", 0),
            ("1.3.6.1.4.1.534.6.6.7.6.6.1.4.0.7", 0),
            "1.3.6.1.4.1.534.6.6.7.6.6.1.2.0.7",
            {0: "off", 1: "on", 2: "pending_off", 3: "pending_on"},
        ),
        (
            "apc-rpdu2",
            ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.7", 2),
            ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.7", 1),
            "1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.7",
            {1: "off", 2: "on"},
        ),
    ],
)
def test_switching_writes_exactly_what_the_vendors_mib_says(name, off, on, state, states) -> None:
    switching = PROFILES[name].switching
    assert switching is not None
    assert (switching.off.oid.format(outlet="7"), switching.off.value) == off
    assert (switching.on.oid.format(outlet="7"), switching.on.value) == on
    assert switching.state_oid.format(outlet="7") == state
    assert dict(switching.states) == states
