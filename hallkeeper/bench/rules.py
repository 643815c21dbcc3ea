"""200 rules over 40,960 and 524,160 series that all change: series evaluations per CPU-second, results as Prometheus's.

Rules are evaluated every second while frames of 320 values arrive from every node every five. Time is the stream's own,
so the bench runs as fast as it can; CPU is that of this process, user and system. `series_evaluations_per_cpu_second` is
the CPU of rules net of ingest, as it is for Prometheus: its CPU with the rules, less its CPU without.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.compare_rules import compared
from hallkeeper.bench.feed_rules import Fed, fed, replanned
from hallkeeper.bench.mix_rules import RULES, evaluations_a_pass, every_expression, rule_file
from rules.engine import Engine

LARGE_NODES: Final = 1_638
"""Nodes of the large site: 524,160 series."""
BURST_SECONDS: Final = 60
"""Stream seconds appended at once after the measured ones."""
MISSING_SHARE: Final = 0.01


def run(*, seconds: float = 20.0, against: str | None = None, seed: int = 1) -> dict[str, object]:
    """Measure, compare with promtool, and run Prometheus on the same series where it is named."""
    usual = load.Load(seed=seed)
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(rule_file())
        result = _usual(path, usual, round(seconds))
        result |= _rate_of("with_a_reset_in_every_frame", path, replace(usual, reset_share=1.0), round(seconds))
        result |= _rate_of("with_1_percent_missing", path, replace(usual, missing_share=MISSING_SHARE), round(seconds))
        result |= _small(path, replace(usual, nodes=1), round(seconds))
        result |= _large(path, replace(usual, nodes=LARGE_NODES), round(seconds))
        result |= compared(every_expression(), seed)
        if against == "prometheus":
            from hallkeeper.bench.against_rules import prometheus

            result |= _calm(path, replace(usual, calm=True), round(seconds))
            result |= prometheus(path, seconds, seed, evaluations_a_pass(load.NODES), result)
    return result


def _usual(path: Path, stream: load.Load, seconds: int) -> dict[str, object]:
    engine = Engine([path])
    measured, burst = fed(engine, stream, seconds, BURST_SECONDS)
    evaluations = evaluations_a_pass(stream.nodes) * measured.passes
    whole = measured.evaluate_cpu_seconds + measured.append_cpu_seconds
    return {
        "bench": "rules",
        "series_evaluations_per_cpu_second": round(evaluations / measured.evaluate_cpu_seconds),
        "series_evaluations_per_cpu_second_with_append": round(evaluations / whole),
        "append_points_per_cpu_second": round(burst),
        "append_points_per_cpu_second_between_passes": round(measured.points / measured.append_cpu_seconds),
        "series_evaluations": evaluations,
        "points": measured.points,
        "frames": measured.frames,
        "rules": RULES,
        "series": engine.window.series,
        "passes": measured.passes,
        "median_pass_cpu_ms": _milliseconds(measured.median_pass_seconds),
        "transitions": measured.transitions,
        "active_alerts": round(measured.active_alerts, 1),
        "rules_failing": len(engine.failures),
        "seconds_of_stream": seconds,
        "cpu_seconds": round(whole, 3),
        "cpu_append_seconds": round(measured.append_cpu_seconds, 3),
        "cpu_evaluate_seconds": round(measured.evaluate_cpu_seconds, 3),
        "window_bytes": engine.window.nbytes,
    }


def _rate_of(suffix: str, path: Path, stream: load.Load, seconds: int) -> dict[str, object]:
    """Evaluations of a stream that is harder than usual."""
    measured, _ = fed(Engine([path]), stream, seconds)
    return {f"series_evaluations_per_cpu_second_{suffix}": _evaluations_per_second(measured, stream)}


def _calm(path: Path, stream: load.Load, seconds: int) -> dict[str, object]:
    """The same mix while nothing jumps: Prometheus expands the templates of every active alert at every evaluation."""
    measured, _ = fed(Engine([path]), stream, seconds)
    return {
        "series_evaluations_per_cpu_second_without_alerts": _evaluations_per_second(measured, stream),
        "active_alerts_without_alerts": round(measured.active_alerts, 1),
    }


def _small(path: Path, stream: load.Load, seconds: int) -> dict[str, object]:
    """The fixed cost of a rule: the same mix over one node."""
    measured, _ = fed(Engine([path]), stream, seconds)
    each = sum(measured.pass_cpu_seconds) / measured.passes / RULES
    return {"rule_over_8_series_microseconds_a_pass": round(each * 1e6, 2)}


def _large(path: Path, stream: load.Load, seconds: int) -> dict[str, object]:
    engine = Engine([path])
    measured, _ = fed(engine, stream, seconds)
    result: dict[str, object] = {
        "series_at_524160": engine.window.series,
        "series_evaluations_per_cpu_second_at_524160": _evaluations_per_second(measured, stream),
        "median_pass_cpu_ms_at_524160": _milliseconds(measured.median_pass_seconds),
        "append_points_per_cpu_second_between_passes_at_524160": round(measured.points / measured.append_cpu_seconds),
        "transitions_at_524160": measured.transitions,
        "window_bytes_at_524160": engine.window.nbytes,
    }
    return result | {"replan_for_a_new_node_at_524160_ms": _milliseconds(replanned(engine, stream, seconds))}


def _evaluations_per_second(measured: Fed, stream: load.Load) -> int:
    return round(evaluations_a_pass(stream.nodes) * measured.passes / measured.evaluate_cpu_seconds)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


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
