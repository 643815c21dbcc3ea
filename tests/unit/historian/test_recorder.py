"""The recorder over a real embedded bus: what was published is in the recording, also after a restart and over a full disk."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from bus.embedded import EmbeddedBus
from bus.events import DeviceEvent, encode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Bus, Message
from bus.topics import EVENTS
from fleet.clock import Clock, SystemClock
from historian.recorder import Recorder
from historian.recording.reader import Recording
from historian.recording.writer import RecordingWriter


class Wall(SystemClock):
    """The real clock, from a chosen time on."""

    def __init__(self, start_ms: int) -> None:
        self._ahead_ms = start_ms - super().now_ms()

    def now_ms(self) -> int:
        return super().now_ms() + self._ahead_ms

    def jump(self, seconds: float) -> None:
        self._ahead_ms += round(seconds * 1000)


START = 1_800_000_000_000
LAYOUT = SeriesLayout.of([("watts", [("asset", "a")])])


@pytest.fixture
async def clock() -> Wall:
    return Wall(START)


@pytest.fixture
async def bus(tmp_path: Path, clock: Wall):
    opened = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=clock, partitions=2)
    yield opened
    await opened.close()


def recorder(bus: Bus, clock: Clock, folder: Path, **more) -> Recorder:
    return Recorder(bus, clock, CollectorRegistry(), folder, site=None, name="s", version="1", **more)


def frames(writer: FrameWriter, at_ms: int, count: int) -> list[Message]:
    return [m for n in range(count) for m in writer.messages("a/x", 1, LAYOUT, at_ms + n, np.array([float(n)]))]


def event(at_ms: int) -> Message:
    found = DeviceEvent(asset="a", source="a/x", kind="xid", code="79", severity="critical", text="t", at_ms=at_ms)
    return Message(EVENTS, found.key(), encode_event(found))


def held(folder: Path) -> tuple[list[float], int]:
    recording = Recording(folder)
    values, events = [], 0
    for segment in recording.segments():
        batch = recording.frames(segment)
        values += [] if batch is None else batch.values.tolist()
        events += len(recording.records(segment))
    return values, events


async def record(recorder: Recorder, seconds: float = 0.5) -> None:
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_was_published_is_recorded_until_the_end_that_was_asked_for(
    bus: Bus, clock: Wall, tmp_path: Path
) -> None:
    publisher, writer = await bus.publisher(), FrameWriter(1)
    await publisher.publish([*frames(writer, START, 5), event(START)])
    clock.jump(120)
    await publisher.publish(frames(writer, START + 120_000, 3))
    end_ms = clock.now_ms() + 1
    clock.jump(10)
    await publisher.publish(frames(writer, START + 130_000, 1))
    async with asyncio.timeout(20):
        await recorder(bus, clock, tmp_path / "r", since_ms=START, until_ms=end_ms + 1_000).run()
    assert held(tmp_path / "r") == ([0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 2.0], 1)


async def test_a_recording_that_goes_on_has_everything_once(bus: Bus, clock: Wall, tmp_path: Path) -> None:
    publisher, writer = await bus.publisher(), FrameWriter(1)
    await publisher.publish([*frames(writer, START, 4), event(START)])
    await record(recorder(bus, clock, tmp_path / "r", since_ms=START))
    clock.jump(60)
    await publisher.publish(frames(writer, START + 60_000, 2))
    await record(recorder(bus, clock, tmp_path / "r", since_ms=START))
    assert held(tmp_path / "r") == ([0.0, 1.0, 2.0, 3.0, 0.0, 1.0], 1)
    recording = Recording(tmp_path / "r")
    told = [table.source for segment in recording.segments() for table in recording.tables(segment)]
    assert set(told) == {"a/x"}


async def test_a_full_disk_is_said_and_what_was_gathered_is_written_when_there_is_room(
    bus: Bus, clock: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, writer = await bus.publisher(), FrameWriter(1)
    await publisher.publish(frames(writer, START, 4))
    clock.jump(120)
    await publisher.publish(frames(writer, START + 120_000, 1))
    found = recorder(bus, clock, tmp_path / "r", since_ms=START)
    write, full = RecordingWriter._part, [True]

    def part(self: RecordingWriter, *arguments: object) -> object:
        if full[0]:
            raise OSError(28, "No space left on device")
        return write(self, *arguments)

    monkeypatch.setattr(RecordingWriter, "_part", part)
    running = asyncio.create_task(found.run())
    async with asyncio.timeout(20):
        while found.not_ready() is None:
            await asyncio.sleep(0.05)
        full[0] = False
        while found.not_ready() is not None:
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert held(tmp_path / "r")[0] == [0.0, 1.0, 2.0, 3.0, 0.0]


async def test_what_is_older_than_asked_for_goes(bus: Bus, clock: Wall, tmp_path: Path) -> None:
    publisher, writer = await bus.publisher(), FrameWriter(1)
    await publisher.publish(frames(writer, START, 4))
    clock.jump(7_200)
    await publisher.publish(frames(writer, START + 7_200_000, 2))
    clock.jump(120)
    await publisher.publish(frames(writer, START + 7_320_000, 1))
    await record(recorder(bus, clock, tmp_path / "r", since_ms=START, keep_hours=1.0), 1.5)
    assert held(tmp_path / "r")[0] == [0.0, 1.0, 0.0]
