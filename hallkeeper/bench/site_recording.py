"""Makes a recording of the simulated site in virtual time: the plant is stepped, read, framed and written, minute by minute.

Memory does not grow with the length: what is held is a minute. Faults are part of it, so that rules have something to find.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from bus.events import DeviceEvent, encode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message, Record
from bus.topics import EVENTS, FRAMES
from collectors.inventory import messages_of, sheets_of
from collectors.naming import labelled, target_labels
from collectors.target import GONE_AFTER, UP
from devices.reading import STALE
from fleet.loader import load_site
from fleet.model import Endpoint, Site
from hallkeeper import __version__
from hallkeeper.bench.site_readings import Floats, Readings, Signal
from historian.recording.writer import RecordingWriter
from simulator.layout import Layout
from simulator.plant import Plant
from simulator.sitefile import invented_ports, write_site
from simulator.workload import Process, Workload

START_MS = 1_767_225_600_000
"""2026-01-01 00:00 UTC: recordings of one seed are the same, whenever they are made."""
TAKEN_AFTER_MS = 3
"""From a device's answer to the bus (as measured on the embedded bus)."""
INVENTORY_SECONDS = 30

Fault = tuple[float, Callable[[Plant], None]]
"""Seconds from the start, and what happens then."""


def story(layout: Layout, minutes: float) -> list[Fault]:
    """A node hangs, a GPU falls off the bus, and the feed of the tightest rack is lost, at a sixth, a third and a half."""
    length, rack = 60.0 * minutes, layout.rack_count - 1

    def feed(*, live: bool) -> Callable[[Plant], None]:
        def act(plant: Plant) -> None:
            plant.power.feed_live[rack, 0] = live

        return act

    return [
        (length / 6, lambda plant: plant.hang(min(17, layout.node_count - 1))),
        (length / 3, lambda plant: plant.drop_gpu(min(42, layout.node_count - 2), 3)),
        (length / 2, feed(live=False)),
        (length * 3 / 4, feed(live=True)),
    ]


class _Device:
    """One endpoint: its frames, and when which signal is read. What `collectors.target` does, without marks: all is good."""

    def __init__(self, endpoint: Endpoint, signals: Sequence[Signal], site: Site) -> None:
        asset = site.asset(endpoint.asset)
        labels = target_labels(endpoint, asset)
        self._source, self._zone, self._signals = endpoint.source, asset.zone, signals
        self.phase_ms = crc32(endpoint.source.encode()) % 900
        fastest = min(signals, key=lambda signal: signal.interval_seconds).name
        self._layouts = {
            signal.name: SeriesLayout.of(
                labelled((*signal.series, UP) if signal.name == fastest else signal.series, labels)
            )
            for signal in signals
        }
        self._fastest = fastest
        self._up = SeriesLayout.of(labelled((UP,), labels))
        self._failures = 0

    def messages(self, second: int, now_ms: int, writer: FrameWriter) -> list[Message]:
        due = [signal for signal in self._signals if second % signal.interval_seconds == 0]
        found = [(signal.name, signal.values(now_ms)) for signal in due]
        answers = [(name, values) for name, values in found if values is not None]
        if len(answers) < len(due):
            return self._failed(writer, now_ms)
        self._failures = 0
        return [message for name, values in answers for message in self._frame(name, values, 1.0, writer, now_ms)]

    def _frame(self, name: str, values: Floats, up: float, writer: FrameWriter, now_ms: int) -> list[Message]:
        whole = np.append(values, up) if name == self._fastest else values
        return writer.messages(self._source, self._zone, self._layouts[name], now_ms, whole)

    def _failed(self, writer: FrameWriter, now_ms: int) -> list[Message]:
        """`up` is 0; with the second failure in a row every other series ends."""
        self._failures += 1
        if self._failures != GONE_AFTER:
            return writer.messages(self._source, self._zone, self._up, now_ms, np.zeros(1))
        ends = [(signal.name, np.full(len(signal.series), STALE)) for signal in self._signals]
        return [message for name, values in ends for message in self._frame(name, values, 0.0, writer, now_ms)]


class SiteRecording:
    """One site, from its first second on."""

    def __init__(self, folder: Path, layout: Layout, *, seed: int = 1, start_ms: int = START_MS) -> None:
        """Make the site and its file in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.plant = Plant(layout, seed=seed)
        self._workload = Workload(self.plant)
        _start_jobs(self._workload, layout)
        self.plant.settle()
        self._start_ms = start_ms
        self._begun = self.plant.now
        path = write_site(folder, layout, invented_ports(layout))
        self.site = load_site(path, check_secrets=False)
        self._writer = FrameWriter(boot=seed)
        self._devices = sorted(_devices(self.site, self.plant, self._workload), key=lambda device: device.phase_ms)
        self._sheets = sheets_of(self.site, frozenset(asset.zone for asset in self.site.assets.values()), {})
        self._offset = 0
        self._events = [0] * layout.node_count
        self.recording = RecordingWriter(folder, site=path, name=self.site.name, version=__version__)

    def run(self, minutes: float, faults: Sequence[Fault] = (), told: Callable[[int], None] = lambda _: None) -> None:
        """Record so many minutes; `told` hears each second that is done."""
        waiting = [(seconds, order, act) for order, (seconds, act) in enumerate(faults)]
        heapq.heapify(waiting)
        for second in range(round(60 * minutes)):
            while waiting and waiting[0][0] <= second:
                heapq.heappop(waiting)[2](self.plant)
            self.recording.add(self._second(second))
            self.plant.step(1.0)
            self._workload.sweep()
            told(second)
        self.recording.close()

    def frames(self, seconds: int) -> Iterator[tuple[int, list[Record]]]:
        """Second after second its end (Unix ms) and the frames and tables of it, written nowhere."""
        for second in range(seconds):
            yield self._start_ms + 1000 * (second + 1), [each for each in self._second(second) if each.topic == FRAMES]
            self.plant.step(1.0)
            self._workload.sweep()

    def _second(self, second: int) -> Iterator[Record]:
        base = self._start_ms + 1000 * second
        if second % INVENTORY_SECONDS == 0:
            yield from self._records(messages_of(self._sheets, self._writer, base), base)
        yield from self._told(base)
        for device in self._devices:
            now_ms = base + device.phase_ms
            yield from self._records(device.messages(second, now_ms, self._writer), now_ms)

    def _records(self, messages: Sequence[Message], at_ms: int) -> Iterator[Record]:
        for message in messages:
            self._offset += 1
            yield Record(
                FRAMES, message.partition or 0, self._offset, message.key, message.value, (), at_ms + TAKEN_AFTER_MS
            )

    def _told(self, base: int) -> Iterator[Record]:
        """What kernels logged since the last second, as the agents' collector would have told it."""
        for node, known in enumerate(self._events):
            logged = self.plant.events[node]
            self._events[node] = len(logged)
            for one in logged[known:]:
                asset = self.plant.layout.nodes[node]
                at_ms = self._start_ms + round(1000 * (one.at_seconds - self._begun))
                labels = {"gpu": str(one.gpu)}
                event = DeviceEvent(
                    asset=asset, source=f"{asset}/agent", kind=one.kind, code=one.code, severity="critical", text=one.text,
                    at_ms=at_ms, labels=labels,
                )  # fmt: skip
                self._offset += 1
                yield Record(EVENTS, 0, self._offset, event.key(), encode_event(event), (), base + TAKEN_AFTER_MS)


def _start_jobs(workload: Workload, layout: Layout) -> None:
    """Training and research from the first node on, batch from the last but one back: the tightest rack has an idle host."""
    first, last = 0, layout.node_count - 2
    for job in layout.jobs:
        for rank in range(job.ranks):
            node = first if job.tier != "T4" else last
            first, last = (first + 1, last) if job.tier != "T4" else (first, last - 1)
            workload.start(node, f"{job.key}/{rank}", Process(job, rank))


def _devices(site: Site, plant: Plant, workload: Workload) -> list[_Device]:
    by_source: dict[str, list[Signal]] = {}
    for signal in Readings(plant, workload, site).signals():
        by_source.setdefault(signal.source, []).append(signal)
    endpoints = {endpoint.source: endpoint for endpoint in site.endpoints()}
    return [_Device(endpoints[source], signals, site) for source, signals in by_source.items()]
