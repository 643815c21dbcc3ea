"""From a fault on an exporter's page to a webhook that was received: collectors, rules, remediator and oncall, each as its own
process on the embedded bus, polls once a second; and where the time goes on the way.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from bus.embedded import EmbeddedBus
from bus.events import AlertEvent, AlertState, IncidentEvent, decode_event
from bus.port import Bus, Record
from bus.topics import ALERTS, FRAMES, INCIDENTS
from fleet.clock import SystemClock

SERVICES: Final = ("collectors", "rules", "remediator", "oncall")
PARTITIONS: Final = 2
READY_SECONDS: Final = 120.0
LEGS: Final = ("page_to_bus", "bus_to_alert", "alert_to_incident", "incident_to_webhook")
SETTLE_SECONDS: Final = 8.0
"""After all are ready: layouts are learned, and nothing is told of the start any more."""
SITE: Final = """
site: bench
simulated: true
credentials: {{bmc: {{read: "file:bmc.yaml"}}}}
halls:
  - name: hall-1
    rows:
      - name: row-01
        zone: 1
        racks:
          - name: r01
            power_limit_watts: 5000000
            nodes:
              - {{names: "dgx-[001-{nodes:03d}]", model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200,
                 exporters: [{{kind: dcgm, address: "http://127.0.0.1:{port}/page/{{name}}"}}]}}
"""
RULES: Final = """
groups:
  - name: bench
    interval: 1s
    rules:
      - {alert: BenchFault, expr: 'bench_fault > 0', labels: {severity: critical}, annotations: {summary: "{{ $labels.node }}"}}
"""


def run(*, seconds: float = 60.0, nodes: int = 64, seed: int = 1) -> dict[str, object]:
    """Measure, and give all figures in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="bench-alerts-") as name, ExitStack() as stack:
        folder = Path(name)
        load = stack.enter_context(_load(nodes, seed))
        installation(folder, nodes, load.port)
        for service in SERVICES:
            stack.enter_context(daemon(folder, service))
        faults, seen = asyncio.run(_measure(folder, load, seconds))
    return result_of(faults, seen) | {
        "seconds": seconds,
        "nodes": nodes,
        "seed": seed,
        "load_average": os.getloadavg()[0],
    }


def installation(folder: Path, nodes: int, port: int, rules: str = RULES) -> None:
    """A site of exporters at a port, these rules, and one webhook."""
    (folder / "site.yaml").write_text(SITE.format(nodes=nodes, port=port))
    (folder / "bmc.yaml").write_text("user: a\npassword: b\n")
    (folder / "bmc.yaml").chmod(0o600)
    (folder / "rules").mkdir()
    (folder / "rules" / "bench.yaml").write_text(rules)
    (folder / "data").mkdir()
    addresses = ", ".join(f"{service}: '127.0.0.1:0'" for service in SERVICES)
    (folder / "hallkeeper.yaml").write_text(
        f"site: site.yaml\ndata: data\nrules: [rules]\nlisten: 127.0.0.1:0\nstatus: {{{addresses}}}\n"
        f"oncall: {{webhooks: [{{url: 'http://127.0.0.1:{port}/hook', allow_private: true}}]}}\n"
    )


class _Load:
    """The load process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._said()["port"])

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def faults(self, seconds: float) -> list[tuple[str, float, float | None]]:
        """Let faults happen for so long: node, beginning and webhook."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return [(node, began, told) for node, began, told in self._said()["faults"]]


@contextmanager
def _load(nodes: int, seed: int) -> Iterator[_Load]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hallkeeper.bench.load_alerts", "--nodes", str(nodes), "--seed", str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Load(process)
    finally:
        _ended(process)


@contextmanager
def daemon(folder: Path, service: str) -> Iterator[None]:
    """`hallkeeper run <service>` until it says that it is ready."""
    address = folder / f"{service}.notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, (folder / f"{service}.log").open("w") as log:
        heard.bind(str(address))
        heard.settimeout(READY_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "hallkeeper", "run", service, "--settings", str(folder / "hallkeeper.yaml")],
            env=os.environ | {"NOTIFY_SOCKET": str(address)},
            stdout=log,
            stderr=log,
        )
        try:
            while b"READY=1" not in heard.recv(4096):
                continue
            yield
        finally:
            _ended(process)


def _ended(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


class Seen:
    """When what lay on the bus, Unix ms by the bus's clock, by node."""

    def __init__(self) -> None:
        self.frames: dict[str, list[int]] = {}
        self.alerts: list[tuple[str, int, int]] = []
        """Node, evaluation's time, time on the bus."""
        self.incidents: list[tuple[str, int]] = []

    def take(self, record: Record) -> None:
        """One record of the three topics."""
        if record.topic == FRAMES:
            self.frames.setdefault(record.key.split("/")[0], []).append(record.at_ms)
            return
        event = decode_event(record.value or b"")
        if isinstance(event, AlertEvent) and event.state is AlertState.FIRING:
            self.alerts.append((event.labels.get("node", ""), event.evaluated_at_ms, record.at_ms))
        elif isinstance(event, IncidentEvent):
            self.incidents.append((event.root, record.at_ms))


async def _measure(folder: Path, load: _Load, seconds: float) -> tuple[list[tuple[str, float, float | None]], Seen]:
    bus = await EmbeddedBus.open(folder / "data" / "bus.sqlite", clock=SystemClock(), partitions=PARTITIONS)
    seen = Seen()
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        done: list[list[tuple[str, float, float | None]]] = []
        working = threading.Thread(target=lambda: done.append(load.faults(seconds)))
        working.start()
        await asyncio.to_thread(working.join)
        await _read(bus, seen)
        return done[0], seen
    finally:
        await bus.close()


async def _read(bus: Bus, seen: Seen) -> None:
    """Afterwards, so that nothing is measured of the measuring."""
    reader = await bus.reader(topics=[FRAMES, ALERTS, INCIDENTS])
    while records := await reader.fetch(limit=1000, timeout_seconds=0.1):
        for record in records:
            seen.take(record)
    await reader.close()


def result_of(faults: Sequence[tuple[str, float, float | None]], seen: Seen) -> dict[str, object]:
    """Percentiles of each leg, in milliseconds; a fault that nobody told of is counted, not left out of sight."""
    legs: dict[str, list[float]] = {name: [] for name in LEGS}
    whole: list[float] = []
    from_bus: list[float] = []
    for node, began, told in faults:
        alert = next((at for at in seen.alerts if at[0] == node and at[2] >= began * 1000), None)
        if told is None or alert is None:
            continue
        frame = max(at for at in seen.frames[node] if at <= alert[1] + 1)
        legs["page_to_bus"].append(frame - began * 1000)
        legs["bus_to_alert"].append(alert[2] - frame)
        incident = min((at for root, at in seen.incidents if root == node and at >= alert[2]), default=alert[2])
        legs["alert_to_incident"].append(incident - alert[2])
        legs["incident_to_webhook"].append(told * 1000 - incident)
        whole.append((told - began) * 1000)
        from_bus.append(told * 1000 - frame)
    found: dict[str, object] = {"bench": "alerts", "faults": len(faults), "untold": len(faults) - len(whole)}
    for name, values in {"page_to_webhook": whole, "bus_to_webhook": from_bus, **legs}.items():
        found |= {
            f"{name}_ms_{mark}": round(float(np.percentile(values, share)), 1) if values else None
            for mark, share in (("p50", 50), ("p95", 95), ("p99", 99))
        }
    return found
