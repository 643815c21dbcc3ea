"""Recorded agents, served over SNMP, become readings: what the device said, in base units."""

import math
from pathlib import Path

import numpy as np
import pytest

from devices.profiles import PROFILES
from devices.reading import Reading
from devices.wire.snmp import SnmpReader
from fleet.clock import SystemClock
from fleet.errors import Refused
from fleet.quality import Quality, Reason, quality_of, reason_of
from tests.peers.snmp_agent import GET, GETBULK, Rows, encoded, oid, serving, snmprec
from tests.peers.targets import V2C, pdu_endpoint

EVERY = frozenset({"inlet", "outlet", "energy"})


async def read(rows: Rows, profile: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, int]]:
    """Value and mark of each series."""
    async with serving(rows) as agent:
        reader = SnmpReader(pdu_endpoint(agent.address), V2C, PROFILES[profile], SystemClock())
        readings = await reader.read(EVERY, deadline_seconds=10)
        await reader.close()
    return {series: pair for reading in readings for series, *pair in _rows(reading)}


def _rows(reading: Reading):
    marks = reading.quality if reading.quality is not None else np.zeros(len(reading.values), dtype=np.uint8)
    return zip(reading.series, reading.values.tolist(), marks.tolist(), strict=True)


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def test_an_eaton_epdu_is_read_in_volts_amperes_watts_and_joules(recordings: Path) -> None:
    found = await read(snmprec(recordings / "snmp" / "eatonpdu_2.snmprec"), "eaton-epdu-g3")
    values = {name: pair[0] for name, pair in found.items()}
    assert values[series("pdu_phase_voltage_volts", phase="1")] == pytest.approx(118.45)
    assert values[series("pdu_phase_current_amperes", phase="1")] == pytest.approx(14.108)
    assert values[series("pdu_phase_power_watts", phase="1")] == 1589
    assert values[series("pdu_input_power_watts")] == 1584
    assert values[series("pdu_outlet_current_amperes", outlet="1")] == pytest.approx(0.79)
    assert values[series("pdu_outlet_power_watts", outlet="1")] == 80
    assert values[series("pdu_outlet_energy_joules_total", outlet="1")] == 785_621 * 3600
    assert values[series("pdu_outlet_state", outlet="1")] == 1


async def test_a_leading_power_factor_keeps_its_sign_and_is_no_missing_value(recordings: Path) -> None:
    found = await read(snmprec(recordings / "snmp" / "eatonpdu_2.snmprec"), "eaton-epdu-g3")
    value, mark = found[series("pdu_outlet_power_factor_ratio", outlet="1")]
    assert value == pytest.approx(-0.842)
    assert quality_of(mark) is Quality.GOOD


async def test_values_without_integrity_are_good_and_say_so(recordings: Path) -> None:
    found = await read(snmprec(recordings / "snmp" / "eatonpdu_2.snmprec"), "eaton-epdu-g3")
    marks = {mark for _, mark in found.values()}
    assert {quality_of(mark) for mark in marks} == {Quality.GOOD}
    assert {reason_of(mark) for mark in marks} == {Reason.NO_INTEGRITY}


async def test_an_apc_pdu_is_read_in_its_own_scales(recordings: Path) -> None:
    found = await read(snmprec(recordings / "snmp" / "apc_ap8959eu3.snmprec"), "apc-rpdu2")
    values = {name: pair[0] for name, pair in found.items()}
    assert values[series("pdu_input_power_watts")] == 270
    assert values[series("pdu_input_energy_joules_total")] == pytest.approx(1967.7 * 3_600_000)
    assert values[series("pdu_phase_current_amperes", phase="1")] == pytest.approx(1.3)
    assert values[series("pdu_phase_voltage_volts", phase="1")] == 231
    assert values[series("pdu_phase_power_watts", phase="1")] == 250


async def test_minus_one_of_an_apc_is_absent_and_marked(recordings: Path) -> None:
    found = await read(snmprec(recordings / "snmp" / "apc_ap7900b.snmprec"), "apc-rpdu2")
    value, mark = found[series("pdu_phase_voltage_volts", phase="1")]
    assert math.isnan(value)
    assert quality_of(mark) is Quality.BAD
    assert reason_of(mark) is Reason.SENTINEL
    current, mark = found[series("pdu_phase_current_amperes", phase="1")]
    assert current == pytest.approx(2.7)
    assert quality_of(mark) is Quality.GOOD


@pytest.mark.parametrize("profile", ["eaton-epdu-g3", "apc-rpdu2"])
async def test_a_pdu_of_another_family_is_refused_with_its_sys_object_id(recordings: Path, profile: str) -> None:
    with pytest.raises(Refused, match=r"13742\.6.*try another profile"):
        await read(snmprec(recordings / "snmp" / "raritan-pdu_px2.snmprec"), profile)


SYNTHETIC_APC = {
    "1.3.6.1.2.1.1.2.0": ("6", "1.3.6.1.4.1.318.1.3.4.6"),
    **{
        f"1.3.6.1.4.1.318.1.1.26.9.{column}.{outlet}": ("2", str(raw))
        for outlet in (1, 2)
        for column, raw in (("4.3.1.6", 25), ("4.3.1.7", 560), ("4.3.1.11", 12), ("2.3.1.5", outlet))
    },
}
"""Per-outlet rows after the MIB: the recordings of this family lack them."""


async def test_outlets_of_an_apc_have_no_voltage_and_their_states_follow_apcs_numbers() -> None:
    found = await read({oid(number): encoded(*row) for number, row in SYNTHETIC_APC.items()}, "apc-rpdu2")
    values = {name: pair[0] for name, pair in found.items()}
    assert values[series("pdu_outlet_current_amperes", outlet="1")] == pytest.approx(2.5)
    assert values[series("pdu_outlet_power_watts", outlet="2")] == 560
    assert values[series("pdu_outlet_energy_joules_total", outlet="2")] == pytest.approx(1.2 * 3_600_000)
    assert values[series("pdu_outlet_state", outlet="1")] == 0
    assert values[series("pdu_outlet_state", outlet="2")] == 1
    assert not [name for name, _ in found if name == "pdu_outlet_voltage_volts"]


THREE_PHASES = {
    f"1.3.6.1.4.1.534.6.6.7.3.{column}.0.1.{row}": ("2", str(raw))
    for column, raws in {
        "2.1.2": (2, 3, 4, 5, 6, 7),
        "2.1.3": (230_000, 231_000, 229_000, 400_000, 401_000, 399_000),
        "3.1.2": (3, 4, 5, 2),
        "3.1.4": (10_000, 11_000, 12_000, 900),
        "4.1.2": (1, 2, 3, 4),
        "4.1.4": (2_300, 2_500, 2_700, 7_500),
    }.items()
    for row, raw in enumerate(raws, start=1)
}


async def test_rows_are_named_by_their_type_column_and_the_neutral_is_no_phase() -> None:
    found = await read({oid(number): encoded(*row) for number, row in THREE_PHASES.items()}, "eaton-epdu-g3")
    amperes = {labels: pair[0] for (name, labels), pair in found.items() if name == "pdu_phase_current_amperes"}
    assert amperes == {(("phase", "1"),): 10.0, (("phase", "2"),): 11.0, (("phase", "3"),): 12.0}
    volts = {
        dict(labels)["phase"]: pair[0] for (name, labels), pair in found.items() if name == "pdu_phase_voltage_volts"
    }
    assert volts == pytest.approx({"1": 230, "2": 231, "3": 229, "1-2": 400, "2-3": 401, "3-1": 399})
    watts = {labels for name, labels in found if name == "pdu_phase_power_watts"}
    assert len(watts) == 3


async def test_only_wanted_columns_are_walked_and_then_only_known_cells_are_asked(recordings: Path) -> None:
    async with serving(snmprec(recordings / "snmp" / "eatonpdu_2.snmprec")) as agent:
        reader = SnmpReader(pdu_endpoint(agent.address), V2C, PROFILES["eaton-epdu-g3"], SystemClock())
        (first,) = await reader.read(frozenset({"outlet"}), deadline_seconds=10)
        walked = {asked[0][:13] for tag, asked in agent.requests if tag == GETBULK}
        assert walked <= {oid(f"1.3.6.1.4.1.534.6.6.7.{table}.1") for table in ("3.4", "6.3", "6.4", "6.5", "6.6")}
        agent.requests.clear()
        (second,) = await reader.read(frozenset({"outlet"}), deadline_seconds=10)
        await reader.close()
    assert {tag for tag, _ in agent.requests} == {GET}
    assert sum(len(asked) for _, asked in agent.requests) == len(second.series)
    assert second.series is first.series
