"""What can be written: the battery's set point (SunSpec model 704) and a CDU's supply set point and standby pump.

A CDU's holding registers, generic map version 1: 100 supply set point, s16 in 0.1 °C, 20 to 50 °C; 101 standby pump, 1 asks
for it and 0 gives it back. Both read back what is in force.
"""

import struct
from collections.abc import Sequence

from simulator.battery import Battery
from simulator.modbus.server import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Registers, Write
from simulator.modbus.sunspec import BASE, CONTROLS
from simulator.plant import Plant

WSET_ENABLED, WSET_MODE, WSET, WSET_REVERSION = 22, 23, 24, 31
"""Offsets in model 704: WSetEna, WSetMod (1: watts), WSet (int32), WSetRvrtTms (uint32)."""
IN_WATTS = 1
CDU_FIRST = 100
LOWEST_CELSIUS, HIGHEST_CELSIUS = 20.0, 50.0
LONGEST_REVERSION_SECONDS = 86_400


def battery_write(battery: Battery) -> Write:
    """Takes WSetEna, WSetMod, WSet and WSetRvrtTms, alone or together; each write begins the reversion time anew."""
    wanted = {WSET_ENABLED: 0, WSET_MODE: IN_WATTS, WSET: 0, WSET_REVERSION: 0}

    def write(address: int, words: Sequence[int]) -> int:
        place, new = address - BASE - CONTROLS, dict(wanted)
        new[WSET_ENABLED] = int(battery.set_point_enabled)
        rest = list(words)
        while rest:
            if place not in new and not WSET_REVERSION > place > WSET + 1:
                return ILLEGAL_ADDRESS
            width = 2 if place in (WSET, WSET_REVERSION) else 1
            if len(rest) < width:
                return ILLEGAL_ADDRESS
            if place in new:
                new[place] = int.from_bytes(struct.pack(f">{width}H", *rest[:width]), "big", signed=place == WSET)
            place, rest = place + width, rest[width:]
        if new[WSET_ENABLED] not in (0, 1) or new[WSET_MODE] != IN_WATTS or abs(new[WSET]) > battery.rated_watts:
            return ILLEGAL_VALUE
        if new[WSET_REVERSION] > LONGEST_REVERSION_SECONDS:
            return ILLEGAL_VALUE
        wanted.update(new)
        battery.command(
            watts=float(new[WSET]), enabled=bool(new[WSET_ENABLED]), reversion_seconds=float(new[WSET_REVERSION])
        )
        return 0

    return write


def cdu_set_points(plant: Plant, row: int) -> Registers:
    """What is in force."""

    def image() -> tuple[int, bytes]:
        cooling = plant.cooling
        celsius = round(10.0 * float(cooling.set_point_celsius[row]))
        return CDU_FIRST, struct.pack(">hH", celsius, int(cooling.standby_wanted[row]))

    return image


def cdu_write(plant: Plant, row: int) -> Write:
    """Takes registers 100 and 101, alone or together."""

    def write(address: int, words: Sequence[int]) -> int:
        place = address - CDU_FIRST
        if place < 0 or place + len(words) > 2:
            return ILLEGAL_ADDRESS
        new = dict(enumerate(words, start=place))
        celsius = new.get(0, round(10.0 * float(plant.cooling.set_point_celsius[row]))) / 10.0
        pump = new.get(1, int(plant.cooling.standby_wanted[row]))
        if not LOWEST_CELSIUS <= celsius <= HIGHEST_CELSIUS or pump not in (0, 1):
            return ILLEGAL_VALUE
        plant.cooling.set_point_celsius[row] = celsius
        plant.cooling.standby_wanted[row] = bool(pump)
        return 0

    return write
