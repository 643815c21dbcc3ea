"""The collectors' part: instruments asked on their intervals, frames and device events put onto the bus."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from bus.events import DeviceEvent, encode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Bus, Message
from bus.topics import EVENTS
from collectors.inventory import Sheet, messages_of, sheets_of
from collectors.target import GONE_AFTER
from devices.reading import STALE
from fleet.clock import Clock
from fleet.errors import HallkeeperError
from fleet.model import Site
from hallkeeper.world.instruments import Block, Floats
from hallkeeper.world.modbus_devices import ModbusLine
from hallkeeper.world.network import Network
from simulator.plant import Plant
from simulator.reach import Reach

INVENTORY_SECONDS = 30
SEL_SECONDS = 2.0
"""New records of a BMC's event log: as for assets of open incidents."""
KEPT_UNSENT = 20_000
"""Messages that wait for the bus."""


@dataclass(slots=True)
class _Line:
    """One device of a block."""

    asset: str
    source: str
    zone: int
    layout: SeriesLayout
    ends: Floats
    phase: int
    failures: int = 0
    up: SeriesLayout = field(kw_only=True)


class Collecting:
    """One collector process for the whole hall."""

    def __init__(
        self,
        site: Site,
        plant: Plant,
        reach: Reach,
        network: Network,
        blocks: Sequence[Block],
        boot: int,
        epoch_ms: int,
        *,
        together: bool = False,
    ) -> None:
        """`together`: all that is due in an interval is asked in its first second, which costs everybody less."""
        self._together = together
        self._site, self._plant, self._reach, self._network = site, plant, reach, network
        self._writer = FrameWriter(boot)
        self._blocks = [(block, self._lines(block)) for block in blocks]
        zones = frozenset(asset.zone for asset in site.assets.values())
        self._sheets: tuple[Sheet, ...] = sheets_of(site, zones, {})
        self._events_seen = [0] * plant.layout.node_count
        self._records_seen = [0] * plant.layout.node_count
        self._epoch_ms = epoch_ms
        """Unix time of the plant's zero."""
        self._unsent: list[Message] = []
        self.lines: Sequence[ModbusLine] = ()
        """Register devices, each with its own intervals."""
        self.liars: dict[str, float] = {}
        """Sources whose every value is off by this factor."""
        self.frozen: dict[str, Floats] = {}
        """Sources that repeat an old answer as if it were new."""

    def _lines(self, block: Block) -> list[_Line]:
        lines = []
        for endpoint, layout in zip(block.endpoints, block.layouts, strict=True):
            ends = np.full(len(layout.series), STALE)
            ends[-1] = 0.0
            interval = max(1, round(block.interval_seconds))
            lines.append(
                _Line(
                    str(endpoint.asset),
                    endpoint.source,
                    self._site.asset(endpoint.asset).zone,
                    layout,
                    ends,
                    0 if self._together else crc32(endpoint.source.encode()) % interval,
                    up=SeriesLayout.of([layout.series[-1]]),
                )
            )
        return lines

    async def run(self, bus: Bus, clock: Clock) -> None:
        """Ask and publish, once a second, until killed."""
        publisher = await bus.publisher()
        second = 0
        while True:
            self._unsent += self.second(second, clock.now_ms())
            del self._unsent[:-KEPT_UNSENT]
            if self._unsent:
                with suppress(HallkeeperError):
                    await publisher.publish(self._unsent)
                    self._unsent = []
            second += 1
            await clock.sleep(1.0)

    def second(self, second: int, now_ms: int) -> list[Message]:
        """What is asked in this second, and what it answers."""
        found: list[Message] = []
        if second % INVENTORY_SECONDS == 0:
            found += messages_of(self._sheets, self._writer, now_ms)
        for block, lines in self._blocks:
            interval = max(1, round(block.interval_seconds))
            due = [row for row, line in enumerate(lines) if second % interval == line.phase]
            if due:
                values = block.read(now_ms / 1000)
                for row in due:
                    found += self._asked(block, lines[row], values[row], now_ms)
        for line in self.lines:
            found += line.messages(second, now_ms, self._writer)
        return found + self._told(second)

    def wedge(self, asset: str | None) -> Callable[[], None]:
        """Repeat the last answers of an asset, or of all, under new times; what ends that is returned."""
        sources = [line.source for _, lines in self._blocks for line in lines if asset is None or line.asset == asset]
        self.frozen.update({source: np.zeros(0) for source in sources})

        def go_on() -> None:
            for source in sources:
                self.frozen.pop(source, None)

        return go_on

    def _asked(self, block: Block, line: _Line, row: Floats, now_ms: int) -> list[Message]:
        if not block.answers(line.asset) or not self._network.read(line.asset):
            return self._failed(line, now_ms)
        line.failures = 0
        values = np.append(row, 1.0)
        if line.source in self.liars:
            values[:-1] *= self.liars[line.source]
        if line.source in self.frozen:
            values = self.frozen[line.source] if len(self.frozen[line.source]) else values
            self.frozen[line.source] = values
        return self._writer.messages(line.source, line.zone, line.layout, now_ms, values)

    def _failed(self, line: _Line, now_ms: int) -> list[Message]:
        """`up` is 0; with the second failure in a row every other series ends."""
        line.failures += 1
        if line.failures == GONE_AFTER:
            return self._writer.messages(line.source, line.zone, line.layout, now_ms, line.ends)
        return self._writer.messages(line.source, line.zone, line.up, now_ms, np.zeros(1))

    def _told(self, second: int) -> list[Message]:
        """What kernels and BMCs logged since they were last asked."""
        found: list[Message] = []
        for node, name in enumerate(self._plant.layout.nodes):
            logged, known = self._plant.events[node], self._events_seen[node]
            if len(logged) > known and self._reach.agent(name):
                self._events_seen[node] = len(logged)
                for one in logged[known:]:
                    found.append(
                        self._event(name, "agent", one.kind, one.code, one.text, one.at_seconds, {"gpu": str(one.gpu)})
                    )
            records, read = self._plant.sel[node], self._records_seen[node]
            if len(records) > read and second % round(SEL_SECONDS) == 0 and self._reach.bmc(name):
                self._records_seen[node] = len(records)
                for record in records[read:]:
                    code = f"0x{record.sensor_type:02x}:0x{record.offset:02x}"
                    found.append(self._event(name, "bmc", "sel", code, "timer expired", record.at_seconds, {}))
        return found

    def _event(
        self, asset: str, endpoint: str, kind: str, code: str, text: str, at_seconds: float, labels: dict[str, str]
    ) -> Message:
        event = DeviceEvent(
            asset=asset,
            source=f"{asset}/{endpoint}",
            kind=kind,
            code=code,
            severity="critical",
            text=text,
            at_ms=self._epoch_ms + round(1000 * at_seconds),
            labels=labels,
        )
        return Message(EVENTS, event.key(), encode_event(event))
