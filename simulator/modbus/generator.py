"""Input registers of one generator string, in a generic map of ours, version 1; nothing of it can be written.

Unit 1; zero-based addresses, function code 4, one block 0 to 20; big-endian, of two registers the high word first; 0xFFFF
and 0xFFFFFFFF mean "not available".

| register | what | type, raw unit |
|--:|---|---|
| 0 | state: 0 stopped, 1 starting, 2 running, 3 stopping, 4 failed to start, 5 tripped | u16 |
| 1-2 | active power | s32, W |
| 3 | load, of its rating | u16, 0.1 % |
| 4 | speed | u16, rpm |
| 5 | frequency | u16, 0.01 Hz |
| 6 | voltage to neutral | u16, 0.1 V |
| 7 | fuel level | u16, 0.1 % |
| 8 | fuel pressure | u16, kPa |
| 9 | coolant temperature | s16, 0.1 °C |
| 10 | starter battery | u16, 0.1 V |
| 11-12 | starts | u32 |
| 13-14 | failed starts | u32 |
| 15-16 | time run | u32, s |
| 17-18 | energy given | u32, kWh |
| 19 | NOx at 15 % oxygen | u16, 0.1 ppm |
| 20 | whether the NOx value counts | u16, 0 or 1 |
"""

import struct

from simulator.generators import StringState
from simulator.layout import VOLTS
from simulator.modbus.server import Registers
from simulator.plant import Plant

RATED_RPM = 1_500
IDLE_COOLANT_CELSIUS, RUNNING_COOLANT_CELSIUS = 40.0, 85.0
"""A preheated engine that stands, and one that runs: defaults of ours."""
STARTER_VOLTS = 27.2


def generator_registers(plant: Plant, place: int) -> Registers:
    """The image of one string as it stands."""

    def image() -> tuple[int, bytes]:
        strings, sources = plant.sources.generators, plant.sources
        turning = strings.state[place] in (StringState.RUNNING, StringState.STOPPING)
        watts = float(strings.watts[place])
        return 0, struct.pack(
            ">HiHHHHHHhHIIIIHH",
            int(strings.state[place]),
            round(watts),
            round(1000.0 * watts / float(strings.rated_watts[place])),
            RATED_RPM if turning else 0,
            round(100.0 * sources.frequency_hertz) if turning else 0,
            round(10.0 * VOLTS) if turning else 0,
            round(1000.0 * float(strings.fuel_ratio[place])),
            round(float(strings.fuel_pressure_pascals[place]) / 1000.0),
            round(10.0 * (RUNNING_COOLANT_CELSIUS if turning else IDLE_COOLANT_CELSIUS)),
            round(10.0 * STARTER_VOLTS),
            int(strings.starts[place]),
            int(strings.start_failures[place]),
            round(float(strings.running_seconds[place])) & 0xFFFFFFFF,
            round(float(strings.joules[place]) / 3.6e6) & 0xFFFFFFFF,
            round(1e7 * float(sources.emissions.shown_ratio()[place])),
            int(strings.analyser_valid[place]),
        )

    return image
