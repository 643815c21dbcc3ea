"""Eaton ePDU G3 (EATON-EPDU-MIB, enterprise 534.6.6.7): phases, inputs, outlets, switching.

Power factors keep their sign: Eaton counts a leading current negative. Energy columns are writable, and a write resets
them: nothing here writes but the switching columns.
"""

from devices.profiles.profile import Point, Profile, RowLabel, Switch, Switching, Table
from fleet.model import Wire

EPDU = "1.3.6.1.4.1.534.6.6.7"
NO_VALUE = (-1.0,)
WATT_HOUR = 3600.0
"""Joules."""

VOLTAGE_ROWS = RowLabel(name="phase", column=2, names={1: "1", 2: "1", 3: "2", 4: "3", 5: "1-2", 6: "2-3", 7: "3-1"})
"""inputVoltageMeasType: single phase, each phase to neutral, phase to phase."""

CURRENT_ROWS = RowLabel(name="phase", column=2, names={1: "1", 3: "1", 4: "2", 5: "3"})
"""inputCurrentMeasType: single phase, neutral (left out), the phases."""

POWER_ROWS = RowLabel(name="phase", column=2, names={0: "1", 1: "1", 2: "2", 3: "3"})
"""inputPowerMeasType: unknown (single-phase models), the phases, total (left out: it has a table of its own)."""

INPUT = ("strap", "input", "")
PLAIN = {"strap": "0", "input": "1"}
"""The master of a daisy chain and its only input carry no label for it."""

PROFILE = Profile(
    name="eaton-epdu-g3",
    wire=Wire.SNMP,
    sys_object_id=EPDU,
    refresh_seconds=1.0,
    effect_latency_seconds=10.0,
    max_repetitions=48,
    tables=(
        Table(
            entry=f"{EPDU}.3.2.1",
            index=INPUT,
            omit=PLAIN,
            labels=(VOLTAGE_ROWS,),
            points=(Point(column=3, metric="pdu_phase_voltage_volts", scale=0.001, absent=NO_VALUE),),
        ),
        Table(
            entry=f"{EPDU}.3.3.1",
            index=INPUT,
            omit=PLAIN,
            labels=(CURRENT_ROWS,),
            points=(Point(column=4, metric="pdu_phase_current_amperes", scale=0.001, absent=NO_VALUE),),
        ),
        Table(
            entry=f"{EPDU}.3.4.1",
            index=INPUT,
            omit=PLAIN,
            labels=(POWER_ROWS,),
            points=(
                Point(column=4, metric="pdu_phase_power_watts", absent=NO_VALUE),
                Point(column=7, metric="pdu_phase_power_factor_ratio", scale=0.001, signal="outlet"),
            ),
        ),
        Table(
            entry=f"{EPDU}.3.5.1",
            index=("strap", "input"),
            omit=PLAIN,
            points=(
                Point(column=4, metric="pdu_input_power_watts", absent=NO_VALUE),
                Point(
                    column=5,
                    metric="pdu_input_energy_joules_total",
                    scale=WATT_HOUR,
                    absent=NO_VALUE,
                    signal="energy",
                ),
            ),
        ),
        Table(
            entry=f"{EPDU}.6.3.1",
            index=("strap", "outlet"),
            omit=PLAIN,
            points=(Point(column=2, metric="pdu_outlet_voltage_volts", scale=0.001, absent=NO_VALUE, signal="outlet"),),
        ),
        Table(
            entry=f"{EPDU}.6.4.1",
            index=("strap", "outlet"),
            omit=PLAIN,
            points=(
                Point(column=3, metric="pdu_outlet_current_amperes", scale=0.001, absent=NO_VALUE, signal="outlet"),
            ),
        ),
        Table(
            entry=f"{EPDU}.6.5.1",
            index=("strap", "outlet"),
            omit=PLAIN,
            points=(
                Point(column=3, metric="pdu_outlet_power_watts", absent=NO_VALUE, signal="outlet"),
                Point(
                    column=4,
                    metric="pdu_outlet_energy_joules_total",
                    scale=WATT_HOUR,
                    absent=NO_VALUE,
                    signal="energy",
                ),
                Point(column=6, metric="pdu_outlet_power_factor_ratio", scale=0.001, signal="outlet"),
            ),
        ),
        Table(
            entry=f"{EPDU}.6.6.1",
            index=("strap", "outlet"),
            omit=PLAIN,
            points=(
                Point(
                    column=2,
                    metric="pdu_outlet_state",
                    states={0: 0.0, 1: 1.0, 2: 1.0, 3: 0.0},
                    signal="outlet",
                ),
            ),
        ),
    ),
    switching=Switching(
        off=Switch(oid=f"{EPDU}.6.6.1.3.0.{{outlet}}", value=0),
        on=Switch(oid=f"{EPDU}.6.6.1.4.0.{{outlet}}", value=0),
        state_oid=f"{EPDU}.6.6.1.2.0.{{outlet}}",
        states={0: "off", 1: "on", 2: "pending_off", 3: "pending_on"},
    ),
)
