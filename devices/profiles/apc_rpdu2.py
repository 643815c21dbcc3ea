"""APC rack PDUs of the second generation (PowerNet-MIB rPDU2, enterprise 318.1.1.26): phases, device, outlets, switching.

rPDU2 has no voltage per outlet. Outlets are numbered flat over a group of PDUs. -1 stands for "not supported".
"""

from devices.profiles.profile import Point, Profile, RowLabel, Switch, Switching, Table
from fleet.model import Wire

RPDU2 = "1.3.6.1.4.1.318.1.1.26"
NO_VALUE = (-1.0,)
TENTH_KILOWATT_HOUR = 360_000.0
"""Joules."""

MODULE = RowLabel(name="module", column=2)
FIRST_MODULE = {"module": "1"}
"""A PDU that is alone carries no label for it."""

PROFILE = Profile(
    name="apc-rpdu2",
    wire=Wire.SNMP,
    sys_object_id="1.3.6.1.4.1.318.1.3.4",
    refresh_seconds=2.0,
    effect_latency_seconds=10.0,
    max_repetitions=25,
    tables=(
        Table(
            entry=f"{RPDU2}.4.3.1",
            index=("module",),
            omit=FIRST_MODULE,
            points=(
                Point(column=5, metric="pdu_input_power_watts", scale=10.0, absent=NO_VALUE),
                Point(
                    column=9,
                    metric="pdu_input_energy_joules_total",
                    scale=TENTH_KILOWATT_HOUR,
                    absent=NO_VALUE,
                    signal="energy",
                ),
            ),
        ),
        Table(
            entry=f"{RPDU2}.6.3.1",
            index=("",),
            omit=FIRST_MODULE,
            labels=(MODULE, RowLabel(name="phase", column=3)),
            points=(
                Point(column=5, metric="pdu_phase_current_amperes", scale=0.1, absent=NO_VALUE),
                Point(column=6, metric="pdu_phase_voltage_volts", absent=NO_VALUE),
                Point(column=7, metric="pdu_phase_power_watts", scale=10.0, absent=NO_VALUE),
                Point(column=9, metric="pdu_phase_power_factor_ratio", scale=0.01, absent=NO_VALUE, signal="outlet"),
            ),
        ),
        Table(
            entry=f"{RPDU2}.9.4.3.1",
            index=("outlet",),
            points=(
                Point(column=6, metric="pdu_outlet_current_amperes", scale=0.1, absent=NO_VALUE, signal="outlet"),
                Point(column=7, metric="pdu_outlet_power_watts", absent=NO_VALUE, signal="outlet"),
                Point(
                    column=11,
                    metric="pdu_outlet_energy_joules_total",
                    scale=TENTH_KILOWATT_HOUR,
                    absent=NO_VALUE,
                    signal="energy",
                ),
            ),
        ),
        Table(
            entry=f"{RPDU2}.9.2.3.1",
            index=("outlet",),
            points=(Point(column=5, metric="pdu_outlet_state", states={1: 0.0, 2: 1.0}, signal="outlet"),),
        ),
    ),
    switching=Switching(
        off=Switch(oid=f"{RPDU2}.9.2.4.1.5.{{outlet}}", value=2),
        on=Switch(oid=f"{RPDU2}.9.2.4.1.5.{{outlet}}", value=1),
        state_oid=f"{RPDU2}.9.2.3.1.5.{{outlet}}",
        states={1: "off", 2: "on"},
    ),
)
