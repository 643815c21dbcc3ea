"""Input registers of a generic coolant distribution unit, map version 1."""

import struct

from simulator.instruments import seen
from simulator.modbus.server import Registers
from simulator.plant import Plant

FITTED_DETECTORS = 0b11
OFF, RUNNING, STANDBY, DEGRADED, FAULT = range(5)
PUMP_TURNS_RPM = 100.0
LOW_LEVEL_PERCENT = 10.0


def status(plant: Plant, row: int) -> int:
    """Running with both pumps, degraded with one or a leak, fault without."""
    turning = int((plant.cooling.pump_rpm[row] > PUMP_TURNS_RPM).sum())
    if turning == 0:
        return FAULT
    troubled = turning == 1 or plant.cooling.leak_bits[row] or plant.cooling.level[row] < LOW_LEVEL_PERCENT
    return DEGRADED if troubled else RUNNING


def cdu_registers(plant: Plant, row: int) -> Registers:
    """Registers 0 to 11 of one row's CDU: temperatures in 0.1 K, flow in 0.1 L/min, pressure in 0.1 kPa, level in 0.1 %."""

    def image() -> tuple[int, bytes]:
        cooling, rpm = plant.cooling, seen(plant, "pump-rpm")
        return 0, struct.pack(
            ">hhHHHHHHHHI",
            round(float(seen(plant, "supply-celsius")[row]) * 10),
            round(float(seen(plant, "return-celsius")[row]) * 10),
            round(float(seen(plant, "flow")[row]) * 10),
            round(float(rpm[row, 0])),
            round(float(rpm[row, 1])),
            round(float(seen(plant, "pressure")[row]) * 10),
            round(float(seen(plant, "level")[row]) * 10),
            int(cooling.leak_bits[row]),
            FITTED_DETECTORS,
            status(plant, row),
            round(float(cooling.heat_watts[row])),
        )

    return image
