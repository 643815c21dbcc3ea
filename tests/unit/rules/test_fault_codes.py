"""Rules on error numbers say the same as the tables of faults: every number that asks for something raises exactly one alert."""

import re
from pathlib import Path

import pytest

from devices.profiles.openbmc import EVENTS
from fleet.faults import Action, load_faults
from rules.files.load import load_rules
from rules.files.model import AlertRule

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"
FAULTS = load_faults()
RULES = {
    rule.name: rule.expr
    for group in load_rules([CATALOGUE]).groups
    for rule in group.rules
    if isinstance(rule, AlertRule) and "device_event" in rule.expr
}
PRIMARY = {
    "GpuFellOffBus": {79},
    "GpuDoubleBitError": FAULTS.codes("xid", Action.FOLLOW_MEMORY),
    "GpuUncontainedMemoryError": {95},
    "GpuContainedMemoryError": {94},
    "GpuRowRemapPending": {63},
    "GpuRowRemapFailed": {64},
    "GpuNvlinkError": FAULTS.codes("xid", Action.FOLLOW_NVLINK),
    "GpuSystemProcessorFailed": {119, 120},
    "GpuResetNeeded": FAULTS.codes("xid", Action.RESET_GPU) - {64, 95, 119, 120},
    "GpuFaultReported": FAULTS.codes(
        "xid", Action.REPORT, Action.CHECK_MECHANICS, Action.UPDATE_SOFTWARE, Action.RESTART_MACHINE, Action.REBOOT_NODE
    )
    - {79},
    "GpuResetNamed": FAULTS.codes("xid", Action.FOLLOW_NAMED),
    "ApplicationGpuError": FAULTS.codes("xid", Action.RESTART_APPLICATION) - {94},
    "GpuChannelRemoved": {43, 44, 45},
    "GpuCorrectedErrorStorm": {92, 93},
}
"""Alerts on one XID, and the numbers that they must answer."""
SWITCH = {
    "NvswitchFatal": FAULTS.codes("sxid", Action.RESET_FABRIC, Action.RESET_GPU, Action.FOLLOW_NVLINK),
    "NvswitchFault": FAULTS.sxid.keys()
    - FAULTS.codes("sxid", Action.RESET_FABRIC, Action.RESET_GPU, Action.FOLLOW_NVLINK),
}
STORMS = ("XidStorm", "XidStormOnDriver", "XidStormInJob", "GpuSameFaultRepeated")


def answered(alert: str, kind: str, numbers: range) -> set[int]:
    """Numbers that the first selector of a kind in a rule matches."""
    found = re.search(rf'kind="{kind}", code=(~?)"([^"]*)"', RULES[alert])
    assert found is not None
    return {number for number in numbers if re.fullmatch(found[2], str(number))}


@pytest.mark.parametrize("alert", PRIMARY)
def test_an_alert_answers_exactly_the_xids_of_its_action(alert: str) -> None:
    assert answered(alert, "xid", range(1, 1000)) == PRIMARY[alert]


@pytest.mark.parametrize("alert", SWITCH)
def test_an_alert_answers_exactly_the_sxids_of_its_actions(alert: str) -> None:
    assert answered(alert, "sxid", range(10_000, 40_000)) == SWITCH[alert]


def test_every_xid_that_asks_for_something_raises_one_alert() -> None:
    asked = {code for code, fault in FAULTS.xid.items() if fault.action is not Action.NONE}
    once = [code for codes in PRIMARY.values() for code in codes]
    assert asked <= set(once)
    assert len(once) == len(set(once))


@pytest.mark.parametrize("alert", STORMS)
def test_storms_and_repetition_look_at_the_fatal_xids_that_no_human_must_read_first(alert: str) -> None:
    read_first = FAULTS.codes("xid", Action.REPORT, Action.UPDATE_SOFTWARE, Action.RESTART_MACHINE) - {61}
    assert answered(alert, "xid", range(1, 1000)) == FAULTS.fatal_xids - read_first


def test_critical_records_of_a_bmc_each_belong_to_an_alert() -> None:
    watchdogs = {code for code in EVENTS if code.startswith("0x23:")}
    critical = {code for code, (severity, _) in EVENTS.items() if severity == "critical"} - watchdogs
    codes = [
        re.findall(r'kind="sel", code=~"([^"]*)"', RULES[name])
        for name in ("BmcCriticalEvent", "MemoryUncorrectedError")
    ]
    patterns = [pattern for found in codes for pattern in found]
    assert {code for code in EVENTS if any(re.fullmatch(pattern, code) for pattern in patterns)} == critical
