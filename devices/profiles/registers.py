"""Words for register devices: where a point lies in a Modbus block, or in a SunSpec model."""

from dataclasses import dataclass

from devices.profiles.profile import Point

NOT_AVAILABLE_S16 = (float(-0x8000),)
NOT_AVAILABLE_U16 = (float(0xFFFF),)
NOT_AVAILABLE_U32 = (float(0xFFFFFFFF),)
"""Raw values by which register devices say "not available", after SunSpec's convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPoint(Point):
    """A point of a declared register map; `column` is its zero-based wire address, `type` one of u16 s16 u32 s32 f32."""

    low_word_first: bool = False
    """Order of the two registers of a 32-bit value; bytes inside a register are always big-endian."""

    bit: int | None = None
    """The value is this bit of the register (0 is the least significant)."""

    fitted_column: int | None = None
    """Address of a register of the same block whose same bit says that the thing exists; without it there is no series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPoint(Point):
    """A point of a SunSpec model; type, place and scale factor come from the model's published definition."""

    name: str
    """The point's name in the definition, such as `SoC`."""
