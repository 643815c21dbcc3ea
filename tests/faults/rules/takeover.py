"""Kill -9 in the middle of `for`: real engines on a real bus, one leads, one stands by, and the leader is killed.

    python -m tests.faults.rules.takeover --trials 200            # on the embedded bus
    python -m tests.faults.rules.takeover --trials 12 --kafka     # over a real Apache Kafka

Each trial raises three series over their threshold at different times around the kill, and lowers them again; what lies on
the alerts' topic afterwards is compared with what must be there: each alert began, fired and ended exactly once, none earlier
than `for` after the first value over the threshold.
"""

import argparse
import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bus.events import AlertEvent, decode_event
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Bus, Consumer, open_bus
from bus.topics import ALERTS
from fleet.clock import SystemClock
from tests.faults.rules.takeover_engine import EngineProcess, installation

FOR_SECONDS = 1.0
FEED_SECONDS = 0.1
COURSES = (["pending", "firing", "resolved"], ["firing", "resolved"])
"""While nobody speaks an alert may begin and fire: then its beginning is not told any more."""
SPARE_SECONDS = 2.0
"""How much longer than `for` each value stays up at least …"""
PATIENCE_SECONDS = 30.0
"""… and at most, until it was told as firing; so long may its end take, too. On a busy machine a feeder, an engine or the
disk stands still for seconds: a value that nobody saw for as long as `for` must not fire, so it is held until it did. How
late that was is told apart."""
ENGINES = 3
"""One that leads and two that stand by: while one starts, the next trial can go on."""
OFFSETS = (-1.3, -0.6, 0.1)
"""When the three series of a trial rise, seconds from the kill; each is moved by up to a third of a second."""


@dataclass
class Trial:
    """One alert: when its value rose and fell, and what was said of it."""

    series: str
    rises_at: float
    """Seconds of the run."""
    rose_ms: int | None = None
    events: list[AlertEvent] = field(default_factory=list)

    def held_for(self, seconds: float) -> bool:
        """Whether the value has been over its threshold for so long."""
        return self.rose_ms is not None and time.time() >= self.rose_ms / 1000 + seconds

    @property
    def fired(self) -> bool:
        """That it fires was told."""
        return any(str(event.state) == "firing" for event in self.events)

    @property
    def ended(self) -> bool:
        """Its end was told."""
        return any(str(event.state) == "resolved" for event in self.events)

    def evidence(self) -> list[object]:
        """When it rose, and each word that was said of it, in Unix ms."""
        words = [(str(event.state), event.evaluated_at_ms, event.active_since_ms) for event in self.events]
        return [("rose", self.rose_ms), *words]

    def faults(self) -> list[str]:
        """What is wrong with what was said."""
        ids = [event.event_id() for event in self.events]
        states = [str(event.state) for event in self.events]
        told = list(dict.fromkeys(zip(ids, states, strict=True)))
        found = []
        fired = [event for event in self.events if str(event.state) == "firing"]
        if not fired:
            found.append("lost")
        if len({event.event_id() for event in fired}) > 1:
            found.append("twice")
        if fired and self.rose_ms is not None and fired[0].evaluated_at_ms < self.rose_ms + FOR_SECONDS * 1000:
            found.append("early")
        if [state for _, state in told] not in COURSES:
            found.append(f"told {states}")
        return found


@dataclass
class Outcome:
    """All trials of a run."""

    trials: list[Trial] = field(default_factory=list)
    kills: int = 0
    takeovers: list[float] = field(default_factory=list)
    """Seconds from the kill to the next engine's first word."""

    def report(self) -> dict[str, object]:
        """Figures for people and programs."""
        faults = [fault for trial in self.trials for fault in trial.faults()]
        late = sorted(
            (next(event for event in trial.events if str(event.state) == "firing").evaluated_at_ms - trial.rose_ms)
            / 1000
            - FOR_SECONDS
            for trial in self.trials
            if trial.rose_ms is not None and any(str(event.state) == "firing" for event in trial.events)
        )
        repeated = sum(len(trial.events) - len({event.event_id() for event in trial.events}) for trial in self.trials)
        return {
            "kills": self.kills,
            "alerts": len(self.trials),
            "lost": faults.count("lost"),
            "early": faults.count("early"),
            "twice": faults.count("twice"),
            "other": [fault for fault in faults if fault not in {"lost", "early", "twice"}],
            "evidence": {trial.series: trial.evidence() for trial in self.trials if trial.faults()},
            "records_repeated_with_the_same_id": repeated,
            "firing_late_seconds_p50": round(late[len(late) // 2], 3) if late else None,
            "firing_late_seconds_max": round(late[-1], 3) if late else None,
            "takeover_seconds_p50": round(sorted(self.takeovers)[len(self.takeovers) // 2], 3)
            if self.takeovers
            else None,
            "takeover_seconds_max": round(max(self.takeovers), 3) if self.takeovers else None,
        }


class Feeder:
    """Publishes every series' value ten times a second, as a device that is polled."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._writer, self._began = bus, FrameWriter(random.getrandbits(60)), time.monotonic()
        self.trials: list[Trial] = []
        self.falls_at: dict[str, float] = {}

    @property
    def now(self) -> float:
        """Seconds of the run."""
        return time.monotonic() - self._began

    async def run(self) -> None:
        """Feed until cancelled."""
        publisher = await self._bus.publisher()
        while True:
            messages = []
            for trial in self.trials:
                at, fallen = int(time.time() * 1000), self.now >= self.falls_at.get(trial.series, 1e9)
                high = self.now >= trial.rises_at and not fallen
                if high and trial.rose_ms is None:
                    trial.rose_ms = at
                layout = SeriesLayout.of([("temperature", (("asset", "dgx-001"), ("series", trial.series)))])
                value = np.array([90.0 if high else 20.0])
                messages += self._writer.messages(f"dgx-001/{trial.series}", 1, layout, at, value)
            if messages:
                await publisher.publish(messages)
            await asyncio.sleep(FEED_SECONDS)


class Campaign:
    """Engines, feeder and listener of one run."""

    def __init__(self, folder: Path, bus_url: str, seed: int) -> None:
        self._folder, self._url, self._random = folder, bus_url, random.Random(seed)
        self._shared = bus_url == "embedded"
        self._engines: list[EngineProcess] = []
        self._number = 0
        self._alerts: Consumer
        self.outcome = Outcome()

    def _start(self) -> EngineProcess:
        self._number += 1
        data = self._folder / ("data" if self._shared else f"engine-{self._number}")
        data.mkdir(exist_ok=True)
        engine = EngineProcess(self._folder, data, self._url)
        self._engines.append(engine)
        return engine

    async def run(self, trials: int) -> None:
        """So many kills, one after the other."""
        async with self._open() as (bus, self._alerts):
            feeder = Feeder(bus)
            feeding = asyncio.create_task(feeder.run())
            for _ in range(ENGINES):
                self._start()
            await _until(lambda: self._leader() is not None)
            for _ in range(trials):
                await _until(
                    lambda: any(engine.ready.is_set() for engine in self._engines if engine is not self._leader())
                )
                await self._one(feeder)
            await self._hear_of(self.outcome.trials, lambda trial: trial.ended)
            await asyncio.sleep(1.0)  # for what should not come
            await self._hear()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    def _leader(self) -> EngineProcess | None:
        return next((engine for engine in self._engines if engine.speaks.is_set()), None)

    async def _one(self, feeder: Feeder) -> None:
        number = self.outcome.kills
        kill_at = feeder.now - min(OFFSETS) + 0.6
        trials = [
            Trial(series=f"{number}-{place}", rises_at=kill_at + offset + self._random.uniform(-0.33, 0.33))
            for place, offset in enumerate(OFFSETS)
        ]
        self.outcome.trials += trials
        feeder.trials = trials
        await asyncio.sleep(max(kill_at - feeder.now, 0))
        leader = self._leader()
        assert leader is not None
        self._engines.remove(leader)
        leader.kill()
        killed = time.monotonic()
        self.outcome.kills += 1
        await _until(lambda: self._leader() is not None)
        self._start()
        self.outcome.takeovers.append(time.monotonic() - killed)
        await _until(lambda: all(trial.held_for(FOR_SECONDS + SPARE_SECONDS) for trial in trials))
        await self._hear_of(trials, lambda trial: trial.fired)
        feeder.falls_at = {trial.series: feeder.now for trial in trials}
        await asyncio.sleep(0.6)

    async def _hear_of(self, trials: list[Trial], said: Callable[[Trial], bool]) -> None:
        """Until it was said of every alert; after `PATIENCE_SECONDS` it is lost."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(said(trial) for trial in trials) and time.monotonic() < deadline:
            await self._hear()

    async def _hear(self) -> None:
        by_series = {trial.series: trial for trial in self.outcome.trials}
        while records := await self._alerts.fetch(limit=1000, timeout_seconds=0.2):
            for record in records:
                event = decode_event(record.value or b"")
                if isinstance(event, AlertEvent):
                    by_series[event.labels["series"]].events.append(event)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[Bus, Consumer]]:
        data = self._folder / ("data" if self._shared else "feeder")
        data.mkdir(exist_ok=True)
        bus = await open_bus(self._url, data=data, clock=SystemClock(), partitions=2, spool="spool-feeder")
        try:
            yield bus, await bus.reader(topics=[ALERTS])
        finally:
            for engine in self._engines:
                engine.kill()
            await bus.close()


async def _until(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def campaign(trials: int, *, kafka: bool, seed: int) -> Outcome:
    """A run from beginning to end."""
    with installation(kafka=kafka) as (folder, url):
        run = Campaign(folder, url, seed)
        asyncio.run(run.run(trials))
        return run.outcome


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        json.dumps({"seed": options.seed} | campaign(options.trials, kafka=options.kafka, seed=options.seed).report())
    )


if __name__ == "__main__":
    main()
