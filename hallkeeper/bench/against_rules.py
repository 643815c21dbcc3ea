"""Debian's Prometheus on the same series with the same 200 rules: its CPU with rules, less its CPU without."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hallkeeper.bench.against import PeerAbsent, cpu_of
from hallkeeper.bench.load_rules import INTERVAL_SECONDS, NODES
from hallkeeper.bench.measure import load_process
from hallkeeper.bench.mix_rules import RULES

WARM_SECONDS: Final = 70
"""As long as our own engine warms up: every range of a minute is full."""
BASELINE_WARM_SECONDS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What Prometheus did in the measured time."""

    cpu_seconds: float
    passes: float
    """Evaluations of all rules."""
    active_alerts: float
    """Pending or firing, on average."""


def prometheus(
    rules: Path, seconds: float, seed: int, evaluations_a_pass: int, ours: Mapping[str, object]
) -> dict[str, object]:
    """Prometheus scrapes the pages and evaluates every second: without rules, with them, and with them while nothing jumps."""
    with _pages(seed) as port:
        baseline = _measured(port, None, BASELINE_WARM_SECONDS, seconds)
        usual = _measured(port, rules, WARM_SECONDS, seconds)
    with _pages(seed, "--calm") as port:
        calm = _measured(port, rules, WARM_SECONDS, seconds)
    return {
        "against": "prometheus",
        "against_version": _version(),
        "against_baseline_cpu_seconds": round(baseline.cpu_seconds, 3),
        **_compared("", usual, baseline, evaluations_a_pass, ours),
        **_compared("_without_alerts", calm, baseline, evaluations_a_pass, ours),
    }


def _compared(
    suffix: str, theirs: _Run, baseline: _Run, evaluations_a_pass: int, ours: Mapping[str, object]
) -> dict[str, object]:
    """One load: their CPU for rules, what it did, and the ratio to ours."""
    cpu = max(theirs.cpu_seconds - baseline.cpu_seconds, 1e-9)
    rate = evaluations_a_pass * theirs.passes / cpu
    own = ours[f"series_evaluations_per_cpu_second{suffix}"]
    assert isinstance(own, int)
    return {
        f"against_per_cpu_second{suffix}": round(rate),
        f"against_cpu_seconds{suffix}": round(cpu, 3),
        f"against_passes{suffix}": round(theirs.passes, 2),
        f"against_active_alerts{suffix}": round(theirs.active_alerts, 1),
        f"ratio{suffix}": round(own / rate, 3),
    }


@contextmanager
def _pages(seed: int, *words: str) -> Iterator[int]:
    with load_process("hallkeeper.bench.load_rules", "--seed", str(seed), *words) as load:
        yield int(load["port"])


def _measured(pages: int, rules: Path | None, warm_seconds: float, seconds: float) -> _Run:
    """CPU-seconds and passes within the measured time; alerts are counted before it and after it."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        config = Path(folder) / "prometheus.yaml"
        config.write_text(_config(pages, rules))
        with _running(config, Path(folder) / "data") as (pid, port):
            time.sleep(warm_seconds)
            before = _active(port)
            cpu, passes = cpu_of(pid), _passes(port)
            time.sleep(seconds)
            cpu, passes = cpu_of(pid) - cpu, _passes(port) - passes
            return _Run(cpu_seconds=cpu, passes=passes, active_alerts=(before + _active(port)) / 2)


def _active(port: int) -> int:
    """Alerts pending or firing."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as page:
        return len(json.load(page)["data"]["alerts"])


def _config(pages: int, rules: Path | None) -> str:
    """One target a node, each behind its own path."""
    targets = [
        {
            "targets": [f"127.0.0.1:{pages}"],
            "labels": {"__metrics_path__": f"/node/{node}/metrics", "instance": f"dgx-{node:03d}:9400"},
        }
        for node in range(NODES)
    ]
    jobs = {"targets": [f"127.0.0.1:{pages}"], "labels": {"__metrics_path__": "/jobs/metrics", "instance": "k8s-1"}}
    interval = f"{INTERVAL_SECONDS}s"
    return json.dumps(  # JSON is YAML
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "1s"},
            "rule_files": [] if rules is None else [str(rules)],
            "scrape_configs": [
                {"job_name": "dcgm", "static_configs": targets},
                {"job_name": "kubernetes", "static_configs": [jobs]},
            ],
        }
    )


@contextmanager
def _running(config: Path, data: Path) -> Iterator[tuple[int, int]]:
    """Prometheus on loopback. Raises `PeerAbsent` when it is not installed."""
    path = shutil.which("prometheus")
    if path is None:
        raise PeerAbsent("prometheus is not installed, try: make peers")
    port = _free_port()
    arguments = [
        path,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _passes(port: int) -> float:
    """Evaluations of the bench's rules so far, as passes over all of them.

    Not the group's iterations: Prometheus counts those that it missed among them, and where a pass takes longer than the
    interval most are missed.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    evaluations = [line for line in lines if line.startswith("prometheus_rule_evaluations_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in evaluations) / RULES


def _version() -> str:
    """What the peer calls itself."""
    path = shutil.which("prometheus")
    if path is None:
        return "absent"
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split("\n", 1)[0].split("(")[0].removeprefix("prometheus, version").strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
