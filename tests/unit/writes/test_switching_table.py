"""No two families share a switching constant by accident: every row is held against the vendors' MIBs."""

import pytest

from devices.profiles import PROFILES
from devices.profiles.switching import SWITCHING

# family: (off OID, off value, on OID, on value, state OID, {state: word}) for outlet 5 (or 1.5, 1.1.5), from the MIBs
EXPECTED = {
    "apc-rpdu2": (
        ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.5", 2),
        ("1.3.6.1.4.1.318.1.1.26.9.2.4.1.5.5", 1),
        "1.3.6.1.4.1.318.1.1.26.9.2.3.1.5.5",
        {1: "off", 2: "on"},
    ),
    "eaton-epdu-g3": (
        ("1.3.6.1.4.1.534.6.6.7.6.6.1.3.0.5", 0),
        ("1.3.6.1.4.1.534.6.6.7.6.6.1.4.0.5", 0),
        "1.3.6.1.4.1.534.6.6.7.6.6.1.2.0.5",
        {0: "off", 1: "on", 2: "pending_off", 3: "pending_on"},
    ),
    "raritan-pdu2": (
        ("1.3.6.1.4.1.13742.6.4.1.2.1.2.5", 0),
        ("1.3.6.1.4.1.13742.6.4.1.2.1.2.5", 1),
        "1.3.6.1.4.1.13742.6.4.1.2.1.3.5",
        {7: "on", 8: "off"},
    ),
    "servertech-sentry4": (
        ("1.3.6.1.4.1.1718.4.1.8.5.1.2.5", 2),
        ("1.3.6.1.4.1.1718.4.1.8.5.1.2.5", 1),
        "1.3.6.1.4.1.1718.4.1.8.3.1.1.5",
        {1: "on", 2: "off"},
    ),
    "vertiv-geist-v5": (
        ("1.3.6.1.4.1.21239.5.2.3.5.1.6.5", 4),
        ("1.3.6.1.4.1.21239.5.2.3.5.1.6.5", 2),
        "1.3.6.1.4.1.21239.5.2.3.5.1.4.5",
        {1: "on", 2: "off", 3: "pending_off", 4: "pending_on"},
    ),
    "cyberpower-epdu": (
        ("1.3.6.1.4.1.3808.1.1.3.3.3.1.1.4.5", 2),
        ("1.3.6.1.4.1.3808.1.1.3.3.3.1.1.4.5", 1),
        "1.3.6.1.4.1.3808.1.1.3.3.5.1.1.4.5",
        {1: "on", 2: "off"},
    ),
    "enlogic-pdu2": (
        ("1.3.6.1.4.1.38446.1.5.5.1.4.5", 1),
        ("1.3.6.1.4.1.38446.1.5.5.1.4.5", 2),
        "1.3.6.1.4.1.38446.1.5.4.1.4.5",
        {0: "off", 1: "on"},
    ),
}

# What each family would take for a reboot or a delayed act: never in the table.
REPEATABLE = {
    "apc-rpdu2": {3, 5, 6, 7, 8},
    "raritan-pdu2": {2},
    "servertech-sentry4": {3, 4, 5, 6},
    "vertiv-geist-v5": {3, 5, 6, 7},
    "cyberpower-epdu": {3, 4, 5, 6, 7},
    "enlogic-pdu2": {3, 4, 5, 6},
    "eaton-epdu-g3": set(range(1, 100)),
}


@pytest.mark.parametrize("family", SWITCHING)
def test_every_family_commands_and_reads_what_its_mib_says(family: str) -> None:
    off, on, state_oid, states = EXPECTED[family]
    row = SWITCHING[family]
    assert (row.off.oid.format(outlet="5"), row.off.value) == off
    assert (row.on.oid.format(outlet="5"), row.on.value) == on
    assert row.state_oid.format(outlet="5") == state_oid
    assert dict(row.states) == states


@pytest.mark.parametrize("family", SWITCHING)
def test_off_and_on_are_two_commands_and_neither_is_a_reboot_or_a_delay(family: str) -> None:
    row = SWITCHING[family]
    assert (row.off.oid, row.off.value) != (row.on.oid, row.on.value)
    assert not {row.off.value, row.on.value} & REPEATABLE[family]


@pytest.mark.parametrize("family", SWITCHING)
def test_the_state_is_read_elsewhere_than_it_is_commanded_and_has_both_words(family: str) -> None:
    row = SWITCHING[family]
    assert row.state_oid not in {row.off.oid, row.on.oid}
    assert {"on", "off"} <= set(row.states.values()) <= {"on", "off", "pending_on", "pending_off"}


def test_the_table_tells_inverse_vendors_apart() -> None:
    assert SWITCHING["apc-rpdu2"].on.value == SWITCHING["enlogic-pdu2"].off.value == 1
    assert SWITCHING["apc-rpdu2"].states[1] == "off"
    assert SWITCHING["servertech-sentry4"].states[1] == "on"


def test_an_index_of_unit_and_outlet_goes_into_the_oid_whole() -> None:
    assert SWITCHING["raritan-pdu2"].off.oid.format(outlet="1.5").endswith("4.1.2.1.2.1.5")


@pytest.mark.parametrize("profile", [profile for profile in PROFILES.values() if profile.switching is not None])
def test_a_polled_family_and_the_table_agree(profile: object) -> None:
    assert SWITCHING[profile.name] == profile.switching
