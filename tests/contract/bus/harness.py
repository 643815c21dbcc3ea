"""Both adapters behind one handle, with topics of the test's own and processes that can be killed."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from bus.embedded import EmbeddedBus
from bus.port import Bus, Consumer, Message, Record
from bus.spooled import SpooledBus
from bus.topics import ALERTS, EVENTS, FRAMES, TOPICS, Topic
from fleet.clock import Clock, SystemClock

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30.0


async def open_at(
    url: str, data: Path, topics: Mapping[str, Topic], partitions: int, clock: Clock | None = None, **more
) -> Bus:
    """A bus with topics other than the product's own."""
    clock = clock or SystemClock()
    if url == "embedded":
        return await EmbeddedBus.open(data / "bus.sqlite", clock=clock, partitions=partitions, topics=topics)
    return await SpooledBus.open(
        url.removeprefix("kafka://"), data=data, clock=clock, partitions=partitions, topics=topics, **more
    )


class Harness:
    """One test's bus: its folder or broker, its topics, its processes."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.data = data
        self.topics: dict[str, Topic] = {}
        self._mark = uuid.uuid4().hex[:8]
        self._buses: list[Bus] = []
        self._workers: list[Worker] = []
        self.frames = self.add(TOPICS[FRAMES])
        self.events = self.add(TOPICS[EVENTS])
        self.alerts = self.add(TOPICS[ALERTS])

    @property
    def embedded(self) -> bool:
        return self.url == "embedded"

    def group(self, name: str) -> str:
        """A group of this test's own: the broker remembers the dead of others."""
        return f"{name}-{self._mark}"

    def add(self, topic: Topic, **changes) -> str:
        """A topic like this one, under a name of this test's own."""
        made = replace(topic, name=f"{topic.name}-{self._mark}-{len(self.topics)}", **changes)
        self.topics[made.name] = made
        return made.name

    async def open(self, partitions: int = 3, **more) -> Bus:
        bus = await open_at(self.url, self.data, self.topics, partitions, **more)
        self._buses.append(bus)
        return bus

    async def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for bus in self._buses:
            await bus.close()

    def worker(self, task: str, **arguments) -> "Worker":
        """A process of its own that does the task until it is killed."""
        topics = [msgspec.to_builtins(topic) for topic in self.topics.values()]
        order = {"url": self.url, "data": str(self.data), "made": topics, "task": task, **arguments}
        worker = Worker(order)
        self._workers.append(worker)
        return worker


class Worker:
    """A process that says what it has done, one line each."""

    def __init__(self, order: Mapping[str, object]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.bus.worker", json.dumps(order)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def said(self, lines: int) -> list[str]:
        """The next lines, as soon as there are so many."""
        assert self._process.stdout is not None
        return [await asyncio.wait_for(asyncio.to_thread(self._line), PATIENCE) for _ in range(lines)]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith("\n"), f"the process ended early: {self._process.poll()}"
        return line.strip()

    def kill(self) -> list[str]:
        """kill -9; whole lines it had said and nobody had read."""
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return []
        self._process.send_signal(signal.SIGKILL)
        rest = self._process.stdout.read()
        self._process.wait(PATIENCE)
        self._process.stdout.close()
        return rest[: rest.rfind("\n") + 1].split()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def numbered(topic: str, count: int, *, start: int = 0, key: str = "k", **more) -> list[Message]:
    return [Message(topic, key, str(number).encode(), **more) for number in range(start, start + count)]


async def drained(consumer: Consumer, count: int, *, commit: bool = False, patience: float = PATIENCE) -> list[Record]:
    """So many records, or an error saying how many came."""
    records: list[Record] = []
    deadline = time.monotonic() + patience
    while len(records) < count and time.monotonic() < deadline:
        records += await consumer.fetch(timeout_seconds=0.5)
        if commit:
            await consumer.commit()
    assert len(records) >= count, f"{len(records)} of {count} records came within {patience:g} s"
    return records


async def until(true: Callable[[], Awaitable[object]], what: str, patience: float = PATIENCE) -> None:
    """Wait for something, and say what did not come."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if await true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {patience:g} s: {what}")


def numbers(records: list[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]
