"""What a Modbus device measures: points of a declared register map, or of the SunSpec models it turns out to have."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from devices.profiles.profile import Point, Profile
from devices.profiles.registers import ModelPoint, RegisterPoint
from devices.wire import registers, sunspec
from devices.wire.modbus import FUNCTIONS, Function, Registers
from devices.wire.registers import Span, merge
from devices.wire.sunspec import BASES, MARK, Model
from fleet.errors import Malformed, Refused

Blocks = Mapping[Span, Sequence[int]]


class Points(Protocol):
    """Either kind of device, as the poller sees it."""

    async def read(self, due: frozenset[str]) -> dict[Point, float]:
        """The points of the due signal groups that the device has a value for, in base units."""
        ...


def points_of(profile: Profile, wire: Registers) -> Points:
    """The reader that the profile's points call for. Raises `ValueError` for a profile that mixes them or has none."""
    if profile.points and all(isinstance(point, ModelPoint) for point in profile.points):
        return SunSpecPoints(profile, wire)
    if profile.points and all(isinstance(point, RegisterPoint) for point in profile.points):
        return RegisterPoints(profile, wire)
    raise ValueError(f"profile {profile.name} is neither a register map nor a list of SunSpec points")


async def _blocks(wire: Registers, function: Function, spans: Iterable[Span]) -> Blocks:
    return {span: await wire.read(function, span) for span in merge(tuple(spans))}


class RegisterPoints:
    """A declared map: each table's `entry` is holding, input, coil or discrete; neighbours share a request."""

    def __init__(self, profile: Profile, wire: Registers) -> None:
        self._tables = [
            (FUNCTIONS[table.entry], [point for point in table.points if isinstance(point, RegisterPoint)])
            for table in profile.tables
        ]
        self._wire = wire

    async def read(self, due: frozenset[str]) -> dict[Point, float]:
        found: dict[Point, float] = {}
        for function, points in self._tables:
            asked = [point for point in points if point.signal in due]
            spans = [registers.span_of(point) for point in asked]
            fitted = [Span(point.fitted_column, 1) for point in asked if point.fitted_column is not None]
            blocks = await _blocks(self._wire, function, spans + fitted)
            for point in asked:
                value = registers.value_of(point, blocks)
                if value is not None:
                    found[point] = value
        return found


class SunSpecPoints:
    """A SunSpec device: its chain is walked once, then only needed registers are read and the headers checked."""

    def __init__(self, profile: Profile, wire: Registers) -> None:
        self._tables = {
            int(table.entry): [point for point in table.points if isinstance(point, ModelPoint)]
            for table in profile.tables
        }
        self._wire = wire
        self._chain: tuple[Model, ...] = ()

    async def read(self, due: frozenset[str]) -> dict[Point, float]:
        """Raises `Malformed` when the device is no SunSpec device, its chain is broken, or its models have moved."""
        models = await self._models()
        asked = {model: [p for p in self._tables[model.id] if p.signal in due] for model in models}
        spans = [span for model, points in asked.items() for span in sunspec.spans_of(model, points)]
        blocks = await _blocks(self._wire, Function.HOLDING, spans)
        self._check_headers(models, blocks)
        found: dict[Point, float] = {}
        said: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        for entry, points in ((m, asked[m]) for wanted in self._tables for m in models if m.id == wanted):
            for point in points:
                value = sunspec.value_of(point, entry, blocks)
                if value is not None and (point.metric, point.labels) not in said:
                    said.add((point.metric, point.labels))
                    found[point] = value
        return found

    async def _models(self) -> tuple[Model, ...]:
        if not self._chain:
            chain = await self._walk()
            first = {model.id: model for model in reversed(chain)}
            self._chain = tuple(model for model in chain if first[model.id] is model and model.id in self._tables)
            if not self._chain:
                have = ", ".join(str(model.id) for model in chain) or "none"
                raise Malformed(
                    f"none of the models {sorted(self._tables)} is in its chain ({have}), try another profile"
                )
        return self._chain

    async def _walk(self) -> list[Model]:
        at = await self._base() + len(MARK)
        chain: list[Model] = []
        while (
            model := sunspec.next_model(await self._wire.read(Function.HOLDING, Span(at, 2)), at, chain)
        ) is not None:
            chain.append(model)
            at = model.end
        return chain

    async def _base(self) -> int:
        for base in BASES:
            try:
                if await self._wire.read(Function.HOLDING, Span(base, 2)) == MARK:
                    return base
            except Refused:
                continue  # a device refuses addresses it does not have: the next base may be its own
        raise Malformed(f"no 'SunS' at {', '.join(map(str, BASES))}, try the unit number, or another profile")

    def _check_headers(self, models: Sequence[Model], blocks: Blocks) -> None:
        for model in models:
            header = registers.words_at(blocks, Span(model.start, 2))
            if header is None or tuple(header) != (model.id, model.length - 2):
                self._chain = ()
                raise Malformed(f"model {model.id} is no longer at {model.start}: the device changed, walking it again")
