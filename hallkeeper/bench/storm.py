"""A storm: tens of thousands of alerts within ten seconds, and critical ones in the middle of it. How late are those?

The engine is `hallkeeper run rules` as a process of its own on the embedded bus; frames come from this process.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bus.embedded import EmbeddedBus
from bus.events import AlertEvent, AlertState, decode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Bus, Message
from bus.topics import ALERTS, FRAMES
from fleet.clock import SystemClock
from hallkeeper.bench.alerts import PARTITIONS, daemon, installation

STORM_SECONDS: Final = 10.0
A_FRAME: Final = 1_000
"""Series of one frame of the storm."""
CRITICALS: Final = 20
PATIENCE_SECONDS: Final = 120.0
RULES: Final = """
groups:
  - name: storm
    interval: 1s
    rules:
      - alert: Storm
        expr: storm_reading > 80
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.asset }} reads {{ $value | humanize }}"}
  - name: grave
    interval: 1s
    rules:
      - {alert: Grave, expr: grave_reading > 80, labels: {severity: critical}, annotations: {summary: "{{ $labels.asset }}"}}
"""


class Told(NamedTuple):
    """An alert that fired: its rule, when that was judged, and when its event was on the bus."""

    rule: str
    judged_ms: int
    at_ms: int


class Sources:
    """The storm's frames and the grave one's."""

    def __init__(self, alerts: int) -> None:
        self._writer = FrameWriter(int(time.time()))
        self._storm = [
            SeriesLayout.of(
                [
                    ("storm_reading", (("asset", f"a-{frame}-{number}"), ("rack", f"r{frame}")))
                    for number in range(A_FRAME)
                ]
            )
            for frame in range(alerts // A_FRAME)
        ]
        self._grave = [SeriesLayout.of([("grave_reading", (("asset", f"g-{number}"),))]) for number in range(CRITICALS)]

    def storm(self, frame: int, value: float) -> list[Message]:
        """A thousand readings at once."""
        values = np.full(A_FRAME, value)
        return self._writer.messages(f"storm/{frame}", 1, self._storm[frame], _now_ms(), values)

    def grave(self, number: int, value: float) -> list[Message]:
        """One reading of a critical rule."""
        return self._writer.messages(f"grave/{number}", 1, self._grave[number], _now_ms(), np.array([value]))

    @property
    def frames(self) -> int:
        """Frames of the storm."""
        return len(self._storm)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def run(*, alerts: int = 50_000) -> dict[str, object]:
    """Measure; delays in milliseconds from the frame on the bus to the alert on the bus."""
    with tempfile.TemporaryDirectory(prefix="bench-storm-") as name:
        folder = Path(name)
        installation(folder, 1, 9, RULES)
        with daemon(folder, "rules"):
            found = asyncio.run(_measure(folder, alerts))
    return (
        {"bench": "storm", "alerts": alerts, "storm_seconds": STORM_SECONDS}
        | found
        | {"load_average": os.getloadavg()[0]}
    )


async def _measure(folder: Path, alerts: int) -> dict[str, object]:
    bus = await EmbeddedBus.open(folder / "data" / "bus.sqlite", clock=SystemClock(), partitions=PARTITIONS)
    try:
        sources = Sources(alerts)
        for frame in range(sources.frames):
            await bus.publish(sources.storm(frame, 20.0))
        for number in range(CRITICALS):
            await bus.publish(sources.grave(number, 20.0))
        await asyncio.sleep(5.0)
        began = time.monotonic()
        accepted = await _blow(bus, sources)
        told = await _told(bus, alerts + CRITICALS)
        return (
            _figures(told, await _raised(bus))
            | _percentiles("frame_accepted", accepted)
            | {"all_told_after_seconds": round(time.monotonic() - began, 2)}
        )
    finally:
        await bus.close()


async def _blow(bus: Bus, sources: Sources) -> list[float]:
    """Raise frame after frame, and now and then a critical reading; milliseconds until the bus had accepted each."""
    publisher = await bus.publisher()
    began, every = time.monotonic(), sources.frames / CRITICALS
    grave, accepted = 0, []

    async def publish(messages: list[Message]) -> None:
        asked = time.monotonic()
        await publisher.publish(messages)
        accepted.append((time.monotonic() - asked) * 1000)

    for frame in range(sources.frames):
        await asyncio.sleep(max(began + frame * STORM_SECONDS / sources.frames - time.monotonic(), 0))
        await publish(sources.storm(frame, 90.0))
        if frame >= grave * every and grave < CRITICALS:
            await publish(sources.grave(grave, 90.0))
            grave += 1
    return accepted


async def _told(bus: Bus, wanted: int) -> dict[str, Told]:
    """Each alert that fired, by its asset."""
    reader = await bus.reader(topics=[ALERTS])
    found: dict[str, Told] = {}
    until = time.monotonic() + PATIENCE_SECONDS
    while len(found) < wanted and time.monotonic() < until:
        for record in await reader.fetch(limit=1000, timeout_seconds=0.5):
            event = decode_event(record.value or b"")
            if isinstance(event, AlertEvent) and event.state is AlertState.FIRING:
                found.setdefault(event.labels["asset"], Told(event.alertname, event.evaluated_at_ms, record.at_ms))
    await reader.close()
    return found


async def _raised(bus: Bus) -> dict[str, int]:
    """When each source's last frame, the raised one, was on the bus."""
    reader = await bus.reader(topics=[FRAMES])
    found: dict[str, int] = {}
    while records := await reader.fetch(limit=1000, timeout_seconds=0.2):
        found.update({record.key: record.at_ms for record in records})
    await reader.close()
    return found


def _figures(told: dict[str, Told], raised: dict[str, int]) -> dict[str, object]:
    """How long after the frame's publication an alert was judged, and told."""
    judged: dict[str, list[float]] = {"Grave": [], "Storm": []}
    delays: dict[str, list[float]] = {"Grave": [], "Storm": []}
    for asset, one in told.items():
        source = f"grave/{asset[2:]}" if one.rule == "Grave" else f"storm/{asset.split('-')[1]}"
        judged[one.rule].append(one.judged_ms - raised[source])
        delays[one.rule].append(one.at_ms - raised[source])
    return (
        {"critical_told": len(delays["Grave"]), "others_told": len(delays["Storm"])}
        | _percentiles("critical", delays["Grave"])
        | _percentiles("critical_judged", judged["Grave"])
        | _percentiles("others", delays["Storm"])
        | _percentiles("others_judged", judged["Storm"])
    )


def _percentiles(name: str, values: list[float]) -> dict[str, object]:
    return {
        f"{name}_ms_{mark}": round(float(np.percentile(values, share)), 1) if values else None
        for mark, share in (("p50", 50), ("p95", 95), ("max", 100))
    }
