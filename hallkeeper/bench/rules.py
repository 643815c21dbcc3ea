"""200 rules over 40,960 series that all change: series evaluations per CPU-second, results compared with Prometheus's.

A fifth each: threshold, rate over a minute, sum by node, join on an info series, absent; all with `for: 30s`, evaluated
every second while frames of 320 values arrive from every node every five. Time is the stream's own, so the bench runs as
fast as it can; CPU is that of this process, user and system, for reading, appending and evaluating.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.promtool import Answer, Labels, ask
from rules.engine import Engine
from rules.query import LiveWindow, Query

WARM_SECONDS: Final = 70
"""Until every range of a minute is full."""
BURST_SECONDS: Final = 60
"""Stream seconds appended at once after the measured ones."""
KINDS: Final = ("threshold", "rate", "sum", "join", "absent")
_SERIES: Final = load.NODES * load.GPUS
INPUTS: Final = {
    "threshold": _SERIES,
    "rate": _SERIES,
    "sum": _SERIES,
    "join": _SERIES + load.NODES,
    "absent": load.GPUS,
}
"""Series that one evaluation of a rule reads."""
COMPARED_NODES: Final = 8
COMPARED_RESET_SHARE: Final = 0.2
"""Many more counters start again than in the measured stream: equality is shown where it is hard."""
COMPARED_AT: Final = ("62s500ms", "81s300ms")
"""Off the boundaries of ranges, where Prometheus 2.42 and 3.x agree."""


def expressions(kind: str) -> list[str]:
    """One expression a metric."""
    names = [load.metric(number) for number in range(load.METRICS)]
    shapes = {
        "threshold": "{name}",
        "rate": "rate({name}[1m])",
        "sum": "sum by (node) ({name})",
        "join": "{name} * on (node) group_left (job_id) fleet_job_info",
        "absent": 'absent({name}{{node="dgx-001"}})',
    }
    return [shapes[kind].format(name=name) for name in names]


THRESHOLDS: Final = {"threshold": 102_150.0, "rate": 15.5, "sum": 813_200.0, "join": 102_150.0}
"""Over which a few elements rise now and then, so that alerts come and go."""


def rule_file(expressions_by_kind: Mapping[str, Sequence[str]]) -> str:
    """The 200 rules as a Prometheus rule file."""
    rules = [
        {
            "alert": f"Bench{kind.title()}{number:02d}",
            "expr": expr if kind == "absent" else f"{expr} > {THRESHOLDS[kind]}",
            "for": "30s",
            "labels": {"severity": "warning"},
            "annotations": {"summary": "A bench.", "description": "{{ $labels.node }} is at {{ $value | humanize }}."},
        }
        for kind, found in expressions_by_kind.items()
        for number, expr in enumerate(found)
    ]
    return json.dumps({"groups": [{"name": "bench", "interval": "1s", "rules": rules}]})  # JSON is YAML


@dataclass(slots=True)
class Measured:
    """What was done in the measured seconds."""

    passes: int = 0
    points: int = 0
    frames: int = 0
    transitions: int = 0
    append_cpu_seconds: float = 0.0
    burst_points: int = 0
    burst_cpu_seconds: float = 0.0
    """Appending as after a restart: frame after frame, with no pass in between."""
    evaluate_cpu_seconds: float = 0.0
    pass_cpu_seconds: list[float] = field(default_factory=list)

    @property
    def cpu_seconds(self) -> float:
        """All of it."""
        return self.append_cpu_seconds + self.evaluate_cpu_seconds


def run(*, seconds: float = 20.0, against: str | None = None, seed: int = 1) -> dict[str, object]:
    """Measure, compare with promtool, and run Prometheus on the same series where it is named."""
    by_kind = {kind: expressions(kind) for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(rule_file(by_kind))
        engine = Engine([path])
        measured = _measure(engine, round(seconds), seed)
        result = result_of(measured, engine, round(seconds))
        result |= compare([expr for found in by_kind.values() for expr in found], seed)
        if against == "prometheus":
            from hallkeeper.bench.against_rules import prometheus

            result |= prometheus(path, seconds, seed, evaluations_a_pass(), result)
    return result


def evaluations_a_pass() -> int:
    """Input series of all rules together."""
    return sum(INPUTS[kind] for kind in KINDS) * load.METRICS


def _measure(engine: Engine, seconds: int, seed: int) -> Measured:
    """Feed and evaluate second by second; the last `seconds` count."""
    measured = Measured()
    total = WARM_SECONDS + seconds + BURST_SECONDS
    arguments = ["--seed", str(seed), "--seconds", str(total)]
    with subprocess.Popen(
        [sys.executable, "-m", "hallkeeper.bench.load_rules", *arguments], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for second in range(WARM_SECONDS + seconds):
            if second == WARM_SECONDS:
                measured = Measured()
            _second(engine, process.stdout, load.START_MS + second * 1000 + 999, measured)
        _burst(engine, [message for _ in range(BURST_SECONDS) for message in _read(process.stdout)], measured)
    return measured


def _burst(engine: Engine, messages: Sequence[bytes], measured: Measured) -> None:
    points, began = engine.window.counts.points, time.process_time()
    for message in messages:
        engine.append_frame(message)
    measured.burst_cpu_seconds = time.process_time() - began
    measured.burst_points = engine.window.counts.points - points


def _second(engine: Engine, pipe: IO[bytes], at_ms: int, measured: Measured) -> None:
    began, points = time.process_time(), engine.window.counts.points
    for message in _read(pipe):
        engine.append_frame(message)
        measured.frames += 1
    appended = time.process_time()
    measured.transitions += len(engine.evaluate(at_ms))
    evaluated = time.process_time()
    measured.passes += 1
    measured.points += engine.window.counts.points - points
    measured.append_cpu_seconds += appended - began
    measured.evaluate_cpu_seconds += evaluated - appended
    measured.pass_cpu_seconds.append(evaluated - appended)


def _read(pipe: IO[bytes]) -> list[bytes]:
    (count,) = struct.unpack("<I", pipe.read(4))
    return [pipe.read(struct.unpack("<I", pipe.read(4))[0]) for _ in range(count)]


def result_of(measured: Measured, engine: Engine, seconds: int) -> dict[str, object]:
    """The object that is printed."""
    evaluations = evaluations_a_pass() * measured.passes
    best = sorted(measured.pass_cpu_seconds)[len(measured.pass_cpu_seconds) // 2]
    return {
        "bench": "rules",
        "series_evaluations_per_cpu_second": round(evaluations / measured.cpu_seconds),
        "series_evaluations_per_cpu_second_of_passes": round(evaluations / measured.evaluate_cpu_seconds),
        "append_points_per_cpu_second": round(measured.burst_points / measured.burst_cpu_seconds),
        "append_points_per_cpu_second_between_passes": round(measured.points / measured.append_cpu_seconds),
        "series_evaluations": evaluations,
        "points": measured.points,
        "frames": measured.frames,
        "rules": len(KINDS) * load.METRICS,
        "series": engine.window.series,
        "passes": measured.passes,
        "median_pass_cpu_ms": round(best * 1000, 3),
        "transitions": measured.transitions,
        "alerts_open": len(engine.alerts()),
        "rules_failing": len(engine.failures),
        "seconds_of_stream": seconds,
        "cpu_seconds": round(measured.cpu_seconds, 3),
        "cpu_append_seconds": round(measured.append_cpu_seconds, 3),
        "cpu_evaluate_seconds": round(measured.evaluate_cpu_seconds, 3),
        "window_bytes": engine.window.nbytes,
    }


def compare(exprs: Sequence[str], seed: int) -> dict[str, object]:
    """The 200 expressions without their thresholds, on our engine and through promtool: values that are bit for bit equal."""
    rounds = list(load.rounds(seed, COMPARED_NODES, 90, spread=False, reset_share=COMPARED_RESET_SHARE))
    window = LiveWindow(depth_seconds=75)
    series = _history(rounds, window)
    compared = equal = 0
    for at in COMPARED_AT:
        theirs = ask(series, f"{load.INTERVAL_SECONDS}s", exprs, at)
        at_ms = load.START_MS + _milliseconds(at)
        for expr in exprs:
            mine = {
                tuple(sorted(each.labels.items())): each.value for each in Query.compile(expr).evaluate(window, at_ms)
            }
            checked, same = _agreement(mine, theirs[expr])
            compared, equal = compared + checked, equal + same
    return {"compared": compared, "equal": equal, "compared_with": "promtool", "compared_series": len(series)}


def _history(rounds: Sequence[Sequence[bytes]], window: LiveWindow) -> dict[str, str]:
    """Feed the window; the same series in promtool's notation."""
    values: dict[str, list[str]] = {}
    reader = LiveWindow(depth_seconds=5)
    for second, messages in enumerate(rounds):
        for message in messages:
            window.append(message)
            reader.append(message)
        if second % load.INTERVAL_SECONDS == 0:
            for name in reader.window.blocks:
                for sample in reader.latest(name, {}):
                    labels = ",".join(
                        f'{label}="{text}"' for label, text in sample.labels.items() if label != "__name__"
                    )
                    values.setdefault(f"{name}{{{labels}}}", []).append(repr(sample.value))
    return {name: " ".join(found) for name, found in values.items()}


def _agreement(mine: dict[Labels, float], theirs: Answer) -> tuple[int, int]:
    """Values looked at, and those that are equal; an element that only one side has counts as one that differs."""
    if isinstance(theirs, str):
        return len(mine), 0
    keys = mine.keys() | theirs.keys()
    return max(len(keys), 1), sum(mine.get(key) == theirs.get(key) for key in keys) if keys else 1


def _milliseconds(text: str) -> int:
    from rules.files.durations import milliseconds

    return milliseconds(text)


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--against", choices=["prometheus"])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(**vars(arguments))))


if __name__ == "__main__":
    main()
