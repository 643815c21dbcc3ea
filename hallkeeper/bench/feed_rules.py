"""Feed an engine from a load process, second by second of the stream's own time, and note the CPU of each step."""

import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Final

import numpy as np

from bus.frames import FrameWriter
from hallkeeper.bench import load_rules as load
from rules.engine import Engine
from rules.frame_feed import FETCH_LIMIT

WARM_SECONDS: Final = 70
"""Until every range of a minute is full."""
COMPARED: Final = 6
"""Passes with a known node that one with a new node is compared with."""


@dataclass(slots=True)
class Fed:
    """What was done in the measured seconds."""

    passes: int = 0
    points: int = 0
    frames: int = 0
    transitions: int = 0
    active: int = 0
    """Alerts pending or firing, summed over the passes."""
    append_cpu_seconds: float = 0.0
    pass_cpu_seconds: list[float] = field(default_factory=list)

    @property
    def evaluate_cpu_seconds(self) -> float:
        """Of all passes."""
        return sum(self.pass_cpu_seconds)

    @property
    def active_alerts(self) -> float:
        """How many were pending or firing on average."""
        return self.active / max(self.passes, 1)

    @property
    def median_pass_seconds(self) -> float:
        """CPU of the pass in the middle."""
        return sorted(self.pass_cpu_seconds)[len(self.pass_cpu_seconds) // 2]


def fed(engine: Engine, stream: load.Load, seconds: int, burst_seconds: int = 0) -> tuple[Fed, float]:
    """Feed and evaluate a warm-up and `seconds` that count; then append a burst at once: its points per CPU-second."""
    measured = Fed()
    with messages_of(stream, WARM_SECONDS + seconds + burst_seconds) as pipe:
        for second in range(WARM_SECONDS + seconds):
            if second == WARM_SECONDS:
                measured = Fed()
            _second(engine, read_second(pipe), load.START_MS + second * 1000 + 999, measured)
        return measured, _burst(engine, [message for _ in range(burst_seconds) for message in read_second(pipe)])


@contextmanager
def messages_of(stream: load.Load, seconds: int) -> Iterator[IO[bytes]]:
    """The pipe of a load process that has so many seconds to tell."""
    arguments = {
        "seed": stream.seed,
        "nodes": stream.nodes,
        "reset-share": stream.reset_share,
        "missing-share": stream.missing_share,
        "seconds": seconds,
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    words += ["--calm"] if stream.calm else []
    with subprocess.Popen(
        [sys.executable, "-m", "hallkeeper.bench.load_rules", *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout


def _second(engine: Engine, messages: Sequence[bytes], at_ms: int, measured: Fed) -> None:
    points, began = engine.window.counts.points, time.process_time()
    engine.append_frames(messages)
    appended = time.process_time()
    measured.transitions += len(engine.evaluate(at_ms))
    evaluated = time.process_time()
    measured.passes += 1
    measured.active += len(engine.open)
    measured.frames += len(messages)
    measured.points += engine.window.counts.points - points
    measured.append_cpu_seconds += appended - began
    measured.pass_cpu_seconds.append(evaluated - appended)


def _burst(engine: Engine, messages: Sequence[bytes]) -> float:
    """Appending as after a restart: fetch after fetch with no pass in between."""
    if not messages:
        return 0.0
    points, began = engine.window.counts.points, time.process_time()
    for begin in range(0, len(messages), FETCH_LIMIT):
        engine.append_frames(messages[begin : begin + FETCH_LIMIT])
    return (engine.window.counts.points - points) / (time.process_time() - began)


def read_second(pipe: IO[bytes]) -> list[bytes]:
    """The frames and tables of the next second."""
    (count,) = struct.unpack("<I", pipe.read(4))
    return [pipe.read(struct.unpack("<I", pipe.read(4))[0]) for _ in range(count)]


def replanned(engine: Engine, stream: load.Load, seconds: int) -> float:
    """CPU-seconds of planning again: a node's first frame and the pass after it, less what a frame and a pass cost at least.

    Any of these passes may have alerts to tell as well, so what it is compared with is the cheapest of several.
    """
    second = WARM_SECONDS + seconds
    costs = []
    for number in range(
        2 + COMPARED
    ):  # one to grow the rows' reserve, one that finds room in it, the rest to compare with
        node = stream.nodes + min(number, 1)
        at_ms = load.START_MS + (second + number) * 1000
        writer = FrameWriter(stream.seed + 100 + number)
        values = load.Values(load.Load(seed=stream.seed + number, nodes=1)).next(0)
        messages = [
            m.value for m in writer.messages(load.source_of(node), 1, load.layout_of(node), at_ms, np.array(values))
        ]
        began = time.process_time()
        engine.append_frames(messages)
        engine.evaluate(at_ms + 999)
        costs.append(time.process_time() - began)
    return max(costs[:2]) - min(costs[2:])
