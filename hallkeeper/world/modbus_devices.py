"""Battery, generators and cooling units: the simulator's own register images, read with the product's own profiles."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from collectors.naming import labelled, target_labels
from collectors.target import UP
from devices.profiles import PROFILES
from devices.reading import Reading
from devices.wire.modbus import Function
from devices.wire.modbus_points import Points, points_of
from devices.wire.registers import Span
from devices.wire.series import PointReadings
from fleet.errors import HallkeeperError, Unreachable
from fleet.model import Endpoint, Site, Wire
from simulator.generators import STRINGS
from simulator.modbus.cdu import cdu_registers
from simulator.modbus.generator import generator_registers
from simulator.modbus.server import READ_HOLDING, READ_INPUT, Device, Registers
from simulator.modbus.setpoints import cdu_set_points
from simulator.modbus.sunspec import battery_registers
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.truth import GroundTruth

T = TypeVar("T")


@dataclass(slots=True)
class _Wire:
    """`devices.wire.modbus.Registers` over a device in the process."""

    device: Device

    async def read(self, function: Function, span: Span) -> tuple[int, ...]:
        """The words of the span."""
        pdu = bytes((int(function), *span.start.to_bytes(2, "big"), *span.count.to_bytes(2, "big")))
        answer = self.device.respond(1, self.device.unit, pdu)
        if answer[0] & 0x80:
            raise Unreachable(f"{self.device.name}: exception {answer[1]}")
        return tuple(np.frombuffer(answer[2:], dtype=">u2").tolist())


@dataclass(slots=True)
class ModbusLine:
    """One device on its intervals."""

    endpoint: Endpoint
    zone: int
    points: Points
    readings: PointReadings
    signals: Mapping[str, float]
    labels: Mapping[str, str]
    answers: Any
    _layouts: dict[str, tuple[object, SeriesLayout]] = field(default_factory=dict)
    _up: SeriesLayout | None = None

    def messages(self, second: int, now_ms: int, writer: FrameWriter) -> list[Message]:
        """What it answers in this second."""
        due = frozenset(name for name, every in self.signals.items() if second % max(1, round(every)) == 0)
        if not due:
            return []
        up = self._up = self._up or SeriesLayout.of(labelled((UP,), self.labels))
        if not self.answers():
            return writer.messages(self.endpoint.source, self.zone, up, now_ms, np.zeros(1))
        try:
            found = finished(self.points.read(due))
        except HallkeeperError:
            return writer.messages(self.endpoint.source, self.zone, up, now_ms, np.zeros(1))
        messages = writer.messages(self.endpoint.source, self.zone, up, now_ms, np.ones(1))
        for reading in self.readings.of(found, due, at_ms=now_ms):
            messages += self._frame(reading, writer, now_ms)
        return messages

    def _frame(self, reading: Reading, writer: FrameWriter, now_ms: int) -> list[Message]:
        known = self._layouts.get(reading.signal)
        if known is None or known[0] is not reading.series:
            layout = SeriesLayout.of(labelled(reading.series, self.labels))
            known = self._layouts[reading.signal] = (reading.series, layout)
        return writer.messages(self.endpoint.source, self.zone, known[1], now_ms, reading.values, reading.quality)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waited")


def modbus_lines(site: Site, plant: Plant, reach: Reach, truth: GroundTruth) -> Sequence[ModbusLine]:
    """Every Modbus device of the site that the plant has registers for."""
    images = _images(plant)
    lines = []
    for endpoint in site.endpoints():
        name = str(endpoint.asset)
        if endpoint.wire is not Wire.MODBUS or name not in images or endpoint.profile not in PROFILES:
            continue
        profile, asset = PROFILES[endpoint.profile], site.asset(endpoint.asset)
        unit = endpoint.options.get("unit", 1)
        device = Device(name=name, unit=unit if isinstance(unit, int) else 1, registers=images[name], truth=truth)
        lines.append(
            ModbusLine(
                endpoint,
                asset.zone,
                points_of(profile, _Wire(device)),
                PointReadings(profile.points),
                profile.intervals(),
                target_labels(endpoint, asset),
                lambda name=name: reach.device(name),
            )
        )
    return lines


def _images(plant: Plant) -> dict[str, Mapping[int, Registers]]:
    found: dict[str, Mapping[int, Registers]] = {"bess-1": {READ_HOLDING: battery_registers(plant.battery)}}
    for row, name in enumerate(plant.layout.cdus):
        found[name] = {READ_INPUT: cdu_registers(plant, row), READ_HOLDING: cdu_set_points(plant, row)}
    for place in range(STRINGS):
        found[f"gen-{place + 1}"] = {READ_INPUT: generator_registers(plant, place)}
    return found
