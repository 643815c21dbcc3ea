"""A battery that speaks SunSpec over Modbus TCP: models 701, 704, 713 and 802, read only.

Point names are those of the SunSpec definitions, from which type, place and scale factor come. Where two models say the
same thing the first in this list wins: 713 and 701 belong to the whole storage unit, 802 to its battery. Power is
positive when the battery discharges (model 701: injecting); a vendor's statement of conformance may say otherwise.
Model 704 holds the set points: they are read, so that one that somebody else left behind is seen.
"""

from devices.profiles.profile import Profile, Table
from devices.profiles.registers import ModelPoint
from fleet.model import Wire

JOULES_PER_WATT_HOUR = 3_600.0
PERCENT = 0.01


def _point(metric: str, name: str, scale: float = 1.0) -> ModelPoint:
    return ModelPoint(metric=metric, name=name, scale=scale, signal="bess")


PROFILE = Profile(
    name="sunspec-battery",
    wire=Wire.MODBUS,
    refresh_seconds=2.0,  # a default to tune: gateways poll their battery controller every 1 to 2 s
    tables=(
        Table(
            entry="701",
            points=(
                _point("bess_power_watts", "W"),
                _point("bess_frequency_hertz", "Hz"),
                _point("bess_ac_voltage_volts", "LNV"),
                _point("bess_ac_current_amperes", "A"),
                _point("bess_ambient_temperature_celsius", "TmpAmb"),
                _point("bess_grid_connected", "ConnSt"),
                _point("bess_inverter_state", "InvSt"),
                _point("bess_discharged_energy_joules_total", "TotWhInj", JOULES_PER_WATT_HOUR),
                _point("bess_charged_energy_joules_total", "TotWhAbs", JOULES_PER_WATT_HOUR),
            ),
        ),
        Table(
            entry="704",
            points=(
                _point("bess_set_point_enabled", "WSetEna"),
                _point("bess_set_point_watts", "WSet"),
                _point("bess_set_point_reversion_seconds", "WSetRvrtRem"),
            ),
        ),
        Table(
            entry="713",
            points=(
                _point("bess_capacity_joules", "WHRtg", JOULES_PER_WATT_HOUR),
                _point("bess_available_energy_joules", "WHAvail", JOULES_PER_WATT_HOUR),
                _point("bess_state_of_charge_ratio", "SoC", PERCENT),
                _point("bess_state_of_health_ratio", "SoH", PERCENT),
                _point("bess_storage_status", "Sta"),
            ),
        ),
        Table(
            entry="802",
            points=(
                _point("bess_state", "State"),
                _point("bess_charge_status", "ChaSt"),
                _point("bess_cell_voltage_max_volts", "CellVMax"),
                _point("bess_cell_voltage_min_volts", "CellVMin"),
                _point("bess_cell_voltage_average_volts", "CellVAvg"),
                _point("bess_dc_voltage_volts", "V"),
                _point("bess_dc_current_amperes", "A"),
                _point("bess_power_watts", "W"),
                _point("bess_state_of_charge_ratio", "SoC", PERCENT),
                _point("bess_state_of_health_ratio", "SoH", PERCENT),
                _point("bess_capacity_joules", "WHRtg", JOULES_PER_WATT_HOUR),
            ),
        ),
    ),
)
