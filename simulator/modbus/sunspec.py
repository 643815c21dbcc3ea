"""Holding registers of a SunSpec battery: models 1, 701, 704, 713, 802 and the end, from 40000 on."""

import math
import struct

from simulator.battery import Battery
from simulator.modbus.server import Registers

BASE = 40_000
COMMON, MEASUREMENT, CONTROLS, STORAGE, BANK = 70 - 68, 70, 225, 292, 301
"""Where each model's ID register lies, from the base."""
LENGTHS = {COMMON: (1, 66), MEASUREMENT: (701, 153), CONTROLS: (704, 65), STORAGE: (713, 7), BANK: (802, 62)}
END = 365
TOTAL = 367
WATT_SCALE = 3
"""10^3 W: 25 MW fits 16 bits."""
ENERGY_SCALE = 4
RUNNING, STANDBY = 3, 7
CONNECTED, BANK_STANDBY = 3, 4
HOLDING, DISCHARGING, CHARGING = 6, 3, 4
NOMINAL_DC_VOLTS = 1_300.0
CENTIHERTZ = 5_000


class Image:
    """A register image under construction: everything says "not implemented" until it is set."""

    def __init__(self) -> None:
        self.words = [0xFFFF] * TOTAL

    def u16(self, at: int, value: int) -> None:
        self.words[at] = value & 0xFFFF

    def wide(self, at: int, value: int, words: int) -> None:
        """An unsigned integer over several registers, high word first."""
        for place in range(words):
            self.words[at + place] = value >> 16 * (words - 1 - place) & 0xFFFF

    def text(self, at: int, value: str, words: int) -> None:
        content = value.encode().ljust(words * 2, b"\0")
        self.words[at : at + words] = struct.unpack(f">{words}H", content)

    def encoded(self) -> bytes:
        return struct.pack(f">{len(self.words)}H", *self.words)


SIGNED_16 = {
    MEASUREMENT: (10, 11, 12, 13, 14, *range(35, 39), *range(113, 123)),
    CONTROLS: (28, 29, *range(53, 57)),
    STORAGE: (7, 8),
    BANK: (44, 47, 49, *range(52, 64)),
}
"""int16 and sunssf points: not implemented is 0x8000."""
SIGNED_32 = {CONTROLS: (24, 26)}


def _fixed(battery: Battery) -> Image:
    image = Image()
    image.words[0:2] = (0x5375, 0x6E53)
    for at, (model, length) in LENGTHS.items():
        image.words[at : at + 2] = (model, length)
    for at, offsets in SIGNED_16.items():
        for offset in offsets:
            image.u16(at + offset, 0x8000)
    for at, offsets in SIGNED_32.items():
        for offset in offsets:
            image.wide(at + offset, 0x8000_0000, 2)
    image.words[END : END + 2] = (0xFFFF, 0)
    image.text(COMMON + 2, "Simulated", 16)
    image.text(COMMON + 18, "Battery 25 MW 100 MWh", 16)
    image.text(COMMON + 34, "", 8)
    image.text(COMMON + 42, "1.0", 8)
    image.text(COMMON + 50, "SIM-BESS-1", 16)
    image.u16(COMMON + 66, 1)
    image.text(MEASUREMENT + 123, "", 32)
    scales = {
        MEASUREMENT + 115: -2, MEASUREMENT + 116: WATT_SCALE, MEASUREMENT + 120: 0, CONTROLS + 55: 0, STORAGE + 7: ENERGY_SCALE,
        STORAGE + 8: -1, BANK + 53: ENERGY_SCALE, BANK + 54: WATT_SCALE, BANK + 56: -1, BANK + 58: -1, BANK + 59: -1, BANK + 60: -3,
        BANK + 61: 0, BANK + 63: WATT_SCALE,
    }  # fmt: skip
    for at, scale in scales.items():
        image.u16(at, scale)
    rated = int(battery.rated_watts / 10**WATT_SCALE)
    for at, value in {STORAGE + 2: int(battery.capacity_watt_hours / 10**ENERGY_SCALE), BANK + 3: int(battery.capacity_watt_hours / 10**ENERGY_SCALE),
                      BANK + 4: rated, BANK + 5: rated, BANK + 21: 4, MEASUREMENT + 2: 2, MEASUREMENT + 3: 1, MEASUREMENT + 5: 1}.items():  # fmt: skip
        image.u16(at, value)
    image.wide(MEASUREMENT + 6, 0, 2)
    image.wide(BANK + 26, 0, 2)
    return image


def battery_registers(battery: Battery) -> Registers:
    """The image as the battery stands."""
    fixed = _fixed(battery).words

    def image() -> tuple[int, bytes]:
        now = Image()
        now.words = fixed.copy()
        _measure(now, battery)
        _set_point(now, battery)
        return BASE, now.encoded()

    return image


def _set_point(image: Image, battery: Battery) -> None:
    """Model 704: what was written, once anything was."""
    if not battery.commanded:
        return
    image.u16(CONTROLS + 22, int(battery.set_point_enabled))
    image.u16(CONTROLS + 23, 1)
    image.wide(CONTROLS + 24, round(battery.set_point_watts) & 0xFFFFFFFF, 2)
    image.wide(CONTROLS + 31, round(battery.reversion_seconds), 2)
    image.wide(CONTROLS + 33, math.ceil(battery.reversion_left_seconds), 2)


def _measure(image: Image, battery: Battery) -> None:
    working = abs(battery.watts) > 0.5
    watts = round(battery.watts / 10**WATT_SCALE)
    highest, lowest = battery.cell_volts
    volts = NOMINAL_DC_VOLTS * (highest + lowest) / 2 / 3.3
    image.u16(MEASUREMENT + 4, RUNNING if working else STANDBY)
    image.u16(MEASUREMENT + 10, watts)
    image.wide(MEASUREMENT + 17, CENTIHERTZ, 2)
    image.wide(MEASUREMENT + 19, int(battery.discharged_watt_hours), 4)
    image.wide(MEASUREMENT + 23, int(battery.charged_watt_hours), 4)
    image.u16(
        STORAGE + 3, round(battery.charge_ratio * battery.health_ratio * battery.capacity_watt_hours / 10**ENERGY_SCALE)
    )
    image.u16(STORAGE + 4, round(battery.charge_ratio * 1000))
    image.u16(STORAGE + 5, round(battery.health_ratio * 1000))
    image.u16(STORAGE + 6, 0)
    image.u16(BANK + 11, round(battery.charge_ratio * 1000))
    image.u16(BANK + 13, round(battery.health_ratio * 1000))
    image.u16(BANK + 16, (DISCHARGING if battery.watts > 0 else CHARGING) if working else HOLDING)
    image.u16(BANK + 17, 0)
    image.u16(BANK + 18, int(battery.seconds) & 0x7FFF)
    image.u16(BANK + 22, CONNECTED if working else BANK_STANDBY)
    image.u16(BANK + 34, round(volts * 10))
    image.u16(BANK + 37, round(highest * 1000))
    image.u16(BANK + 40, round(lowest * 1000))
    image.u16(BANK + 44, round(battery.watts / volts))
    image.u16(BANK + 47, watts)
