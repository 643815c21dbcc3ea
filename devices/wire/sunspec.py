"""SunSpec: the chain of models behind "SunS", and points by the published definitions. Pure but for one file read.

Rules are those of the SunSpec Device Information Model specification: model header ID and L, L without the header, end
ID 0xFFFF, value times ten to the scale factor, one raw value per type for "not implemented".
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from devices.profiles.registers import ModelPoint
from devices.wire.registers import Span, number, words_at
from fleet.errors import Malformed

BASES = (40_000, 50_000, 0)
"""Where "SunS" may stand, in the order of the specification's advice."""

MARK = (0x5375, 0x6E53)
END_MODEL = 0xFFFF
MODELS_LIMIT = 64
"""Models followed in one chain; real devices have at most about twenty (a default to tune)."""

SCALE_LIMIT = 10
"""Scale factors lie in -10 to 10 by the specification."""

NUMBERS: Mapping[str, tuple[str, int | None]] = {
    "int16": ("s16", -0x8000),
    "uint16": ("u16", 0xFFFF),
    "count": ("u16", 0xFFFF),
    "acc16": ("u16", 0),
    "enum16": ("u16", 0xFFFF),
    "bitfield16": ("u16", 0xFFFF),
    "sunssf": ("s16", -0x8000),
    "int32": ("s32", -0x80000000),
    "uint32": ("u32", 0xFFFFFFFF),
    "acc32": ("u32", 0),
    "enum32": ("u32", 0xFFFFFFFF),
    "bitfield32": ("u32", 0xFFFFFFFF),
    "int64": ("s64", -0x8000000000000000),
    "uint64": ("u64", 0xFFFFFFFFFFFFFFFF),
    "acc64": ("u64", 0),
    "float32": ("f32", None),
    "float64": ("f64", None),
}
"""Type to register type and the raw value that means "not implemented" (floats say it with NaN)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model found in a device's chain."""

    id: int
    start: int
    """Address of its ID register."""
    length: int
    """Registers it has, the two of its header included."""

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a defined point lies in its model, and how it is coded."""

    offset: int
    size: int
    type: str
    scale: "Place | int"
    """The point that holds the scale factor, or the factor itself."""


@lru_cache(maxsize=64)
def places_of(model: int) -> Mapping[str, Place]:
    """The numeric points of a model by name, from the definitions that pysunspec2 carries. Raises `KeyError` if none."""
    source = files("sunspec2").joinpath(f"models/json/model_{int(model)}.json")
    if not source.is_file():
        raise KeyError(f"SunSpec model {model} is not defined")
    points = json.loads(source.read_text(encoding="utf-8"))["group"]["points"]
    offsets, at = {}, 0
    for point in points:
        offsets[point["name"]] = at
        at += point["size"]
    factors = {
        point["name"]: Place(offset=offsets[point["name"]], size=1, type="sunssf", scale=0)
        for point in points
        if point["type"] == "sunssf"
    }
    return {
        point["name"]: Place(
            offset=offsets[point["name"]],
            size=point["size"],
            type=point["type"],
            scale=factors.get(point.get("sf"), 0) if not isinstance(point.get("sf"), int) else point["sf"],
        )
        for point in points
        if point["type"] in NUMBERS
    }


def next_model(header: Sequence[int], at: int, found: Sequence[Model]) -> Model | None:
    """The model whose header was read at `at`, or None at the chain's end.

    Raises `Malformed` for a chain that runs past the address space, has an empty model or does not end.
    """
    identity, length = int(header[0]), int(header[1])
    if identity == END_MODEL:
        return None
    if len(found) >= MODELS_LIMIT:
        raise Malformed(f"the SunSpec chain does not end within {MODELS_LIMIT} models, try the device's firmware")
    if length == 0 or at + 2 + length > 0xFFFE:
        raise Malformed(f"model {identity} at {at} claims {length} registers, try the device's firmware")
    return Model(id=identity, start=at, length=length + 2)


def spans_of(model: Model, points: Iterable[ModelPoint]) -> list[Span]:
    """The registers to read for those points the model is long enough for, its header always included."""
    spans = [Span(model.start, 2)]
    for place in _known(model, points):
        spans.append(Span(model.start + place.offset, place.size))
        if isinstance(place.scale, Place) and place.scale.offset < model.length:
            spans.append(Span(model.start + place.scale.offset, 1))
    return spans


def _known(model: Model, points: Iterable[ModelPoint]) -> list[Place]:
    places = places_of(model.id)
    wanted = (places[point.name] for point in points)
    return [place for place in wanted if place.offset + place.size <= model.length]


def value_of(point: ModelPoint, model: Model, blocks: Mapping[Span, Sequence[int]]) -> float | None:
    """The point in base units, or None when it is not implemented, too far behind L, or its scale factor is no factor."""
    place = places_of(model.id)[point.name]
    raw = _raw(place, model, blocks)
    factor = _raw(place.scale, model, blocks) if isinstance(place.scale, Place) else float(place.scale)
    if raw is None or factor is None or abs(factor) > SCALE_LIMIT:
        return None
    power = 10.0 ** abs(int(factor))  # dividing keeps 640 * 10^-1 at exactly 64.0
    return (raw * power if factor >= 0 else raw / power) * point.scale + point.offset


def _raw(place: Place, model: Model, blocks: Mapping[Span, Sequence[int]]) -> float | None:
    words = words_at(blocks, Span(model.start + place.offset, place.size))
    if words is None:
        return None
    kind, absent = NUMBERS[place.type]
    raw = number(words, kind)
    return None if raw == absent or not math.isfinite(raw) else raw
