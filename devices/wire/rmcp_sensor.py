"""From a sensor's raw byte to a value in its unit: the factors, the linearisations, the units. Pure.

Sources: IPMI v2.0 rev 1.1, sections 36.3 (conversion) and 43.17 (units).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Format(IntEnum):
    """How the raw byte is a number."""

    UNSIGNED = 0
    ONES_COMPLEMENT = 1
    TWOS_COMPLEMENT = 2
    NOT_ANALOG = 3


_LINEARISATIONS: Mapping[int, Callable[[float], float]] = MappingProxyType(
    {
        0x00: lambda x: x,
        0x01: math.log,
        0x02: math.log10,
        0x03: math.log2,
        0x04: math.exp,
        0x05: lambda x: math.pow(10.0, x),
        0x06: lambda x: math.pow(2.0, x),
        0x07: lambda x: 1.0 / x,
        0x08: lambda x: x * x,
        0x09: lambda x: x * x * x,
        0x0A: math.sqrt,
        0x0B: lambda x: math.copysign(abs(x) ** (1.0 / 3.0), x),
    }
)
"""Table 43-1, byte 24; 0x70 to 0x7f are tables inside the BMC and have no value here."""


@dataclass(frozen=True, slots=True)
class Factors:
    """value = L((M raw + B 10^b_exponent) 10^result_exponent)."""

    m: int
    b: int
    b_exponent: int
    result_exponent: int
    linearisation: int
    format: Format

    def value(self, raw: int) -> float | None:
        """The value in the sensor's unit; None where the formula gives none."""
        number = signed(raw, self.format)
        curve = _LINEARISATIONS.get(self.linearisation)
        if number is None or curve is None:
            return None
        try:
            value = curve((self.m * number + self.b * 10.0**self.b_exponent) * 10.0**self.result_exponent)
        except (ValueError, OverflowError, ZeroDivisionError):
            return None
        return value if math.isfinite(value) else None


def signed(raw: int, kind: Format) -> int | None:
    """The number that a raw byte stands for."""
    if kind is Format.NOT_ANALOG:
        return None
    if kind is Format.UNSIGNED or raw < 0x80:
        return raw
    return raw - 0x100 + (kind is Format.ONES_COMPLEMENT)


def decode_factors(packed: bytes, linearisation: int, kind: int) -> Factors:
    """The six bytes 25 to 30 of a full sensor record; `kind` is the two-bit analog data format."""
    m_low, m_high, b_low, b_high, _accuracy, exponents = packed
    return Factors(
        m=_extended(m_low | (m_high & 0xC0) << 2, 10),
        b=_extended(b_low | (b_high & 0xC0) << 2, 10),
        b_exponent=_extended(exponents & 0x0F, 4),
        result_exponent=_extended(exponents >> 4, 4),
        linearisation=linearisation & 0x7F,
        format=Format(kind & 0x03),
    )


def _extended(number: int, bits: int) -> int:
    """Two's complement of that many bits."""
    return number - (1 << bits) if number >> (bits - 1) & 1 else number


_UNITS: Mapping[int, str] = MappingProxyType(
    {
        0: "",
        1: "celsius",
        2: "fahrenheit",
        3: "kelvin",
        4: "volts",
        5: "amperes",
        6: "watts",
        7: "joules",
        8: "coulombs",
        9: "volt_amperes",
        17: "cubic_feet_per_minute",
        18: "rpm",
        19: "hertz",
        20: "microseconds",
        21: "milliseconds",
        22: "seconds",
        23: "minutes",
        24: "hours",
        38: "milliliters",
        41: "liters",
        43: "pounds",
        44: "kilograms",
    }
)
"""Table 43-15, those that a power, cooling or compute sensor uses; others are named by their number."""

_RATES = ("", "_per_microsecond", "_per_millisecond", "_per_second", "_per_minute", "_per_hour", "_per_day")


def unit_of(units: int, base: int) -> str:
    """The unit's name from the record's units byte and base unit."""
    if units & 0x01:
        return "percent"
    rate = units >> 3 & 0x07
    name = _UNITS.get(base, f"unit_{base}")
    return name + (_RATES[rate] if rate < len(_RATES) else "")
