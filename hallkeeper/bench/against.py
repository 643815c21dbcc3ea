"""Peers on the same load in the same run: Debian's vmagent for pages, its prometheus-snmp-exporter for SNMP."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import HallkeeperError
from hallkeeper.bench.measure import Measured, load_process

WARM_UP_SECONDS = 8.0


class PeerAbsent(HallkeeperError):
    """The peer is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMeasured:
    """What a peer delivered, and the CPU of its process."""

    name: str
    values: float
    cpu_seconds: float

    @property
    def values_per_cpu_second(self) -> float:
        return self.values / self.cpu_seconds if self.cpu_seconds else 0.0


def compared(ours: Measured, peer: PeerMeasured) -> dict[str, object]:
    """The peer's figures and the ratio, for the result."""
    return {
        "against": peer.name,
        "against_per_cpu_second": round(peer.values_per_cpu_second),
        "against_values": round(peer.values),
        "against_cpu_seconds": round(peer.cpu_seconds, 3),
        "ratio": round(ours.values_per_cpu_second / peer.values_per_cpu_second, 3),
    }


def vmagent(urls: Sequence[str], seconds: float) -> PeerMeasured:
    """The pages through vmagent into a sink that takes everything."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder, _sink() as sink:
        config = Path(folder) / "scrape.yaml"
        targets = ", ".join(f'"{url.removeprefix("http://").removesuffix("/metrics")}"' for url in urls)
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"scrape_configs: [{{job_name: dcgm, static_configs: [{{targets: [{targets}]}}]}}]\n"
        )
        port = free_port()
        arguments = [
            f"-promscrape.config={config}",
            f"-remoteWrite.url={sink}",
            f"-remoteWrite.tmpDataPath={folder}/queue",
            f"-httpListenAddr=127.0.0.1:{port}",
        ]
        with running("vmagent", arguments) as process:
            return _measured("vmagent", process.pid, seconds, lambda: _vmagent_samples(port))


def _vmagent_samples(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in page.read().decode().splitlines()
            if line.startswith("vm_promscrape_scraped_samples_sum")
        )


def snmp_exporter(ports: Sequence[int], columns: Sequence[tuple[str, str]], seconds: float) -> PeerMeasured:
    """The agents through prometheus-snmp-exporter with a module of these columns, asked over HTTP every second."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        config = Path(folder) / "snmp.yml"
        config.write_text(_module(columns))
        port = free_port()
        arguments = [f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        with running("prometheus-snmp-exporter", arguments) as process:
            targets = json.dumps(
                [f"http://127.0.0.1:{port}/snmp?module=outlets&target=127.0.0.1:{agent}" for agent in ports]
            )
            with load_process("hallkeeper.bench.load_driver", "--urls", targets) as driver:
                counted = Path(str(driver["counted"]))
                return _measured("prometheus-snmp-exporter", process.pid, seconds, lambda: float(counted.read_text()))


def _module(columns: Sequence[tuple[str, str]]) -> str:
    """A snmp.yml of our own: one walk a column, its rows labelled by the outlet."""
    walks = "\n".join(f"  - {oid}" for oid, _ in columns)
    metrics = "\n".join(
        f"  - name: {name}\n    oid: {oid}\n    type: gauge\n    help: {name}\n    indexes:\n"
        "    - {labelname: strap, type: gauge}\n    - {labelname: outlet, type: gauge}"
        for oid, name in columns
    )
    return (
        f"outlets:\n  walk:\n{walks}\n  metrics:\n{metrics}\n  version: 2\n  max_repetitions: 25\n"
        "  auth:\n    community: public\n"
    )


def _measured(name: str, pid: int, seconds: float, count: Callable[[], float]) -> PeerMeasured:
    time.sleep(WARM_UP_SECONDS)
    cpu, values = cpu_of(pid), count()
    time.sleep(seconds)
    return PeerMeasured(name=name, values=count() - values, cpu_seconds=cpu_of(pid) - cpu)


def cpu_of(pid: int) -> float:
    """User and system seconds of another process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(program: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The peer as a process. Raises `PeerAbsent` when it is not installed."""
    path = shutil.which(program)
    if path is None:
        raise PeerAbsent(f"{program} is not installed, try: make peers")
    process = subprocess.Popen([path, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def _sink() -> Iterator[str]:
    with load_process("hallkeeper.bench.load_sink") as sink:
        yield f"http://127.0.0.1:{sink['port']}/api/v1/write"


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
