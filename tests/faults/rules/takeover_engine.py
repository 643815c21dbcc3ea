"""An engine as an operator starts it, and an installation for it: what `takeover.py` kills."""

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.real.kafka import KafkaBroker

SITE = """
site: mini
simulated: true
credentials: {bmc: {read: "file:bmc.yaml"}}
halls:
  - name: hall-1
    rows:
      - {name: row-01, zone: 1, racks: [{name: r01, power_limit_watts: 50000,
         nodes: [{names: "dgx-[001-002]", model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200}]}]}
"""
RULES = """
groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Hot, expr: 'temperature > 80', for: 1s, labels: {severity: critical}, annotations: {summary: "{{ $labels.series }}"}}
"""


class EngineProcess:
    """`hallkeeper run rules` as an operator starts it; its own words tell what it does."""

    def __init__(self, folder: Path, data: Path, bus: str) -> None:
        self.settings = folder / f"{data.name}.yaml"
        self.settings.write_text(
            f"site: {folder / 'site.yaml'}\ndata: {data}\nbus: {bus}\nrules: [{folder / 'rules'}]\n"
            "listen: 127.0.0.1:0\nstatus: {rules: '127.0.0.1:0'}\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hallkeeper", "run", "rules", "--settings", str(self.settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.ready, self.speaks = threading.Event(), threading.Event()
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "window rebuilt" in line:
                self.ready.set()
            if "this engine speaks now" in line:
                self.speaks.set()

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is kept."""
        self.process.kill()
        self.process.wait()
        self._reading.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def installation(*, kafka: bool) -> Iterator[tuple[Path, str]]:
    """A folder with site and rules, and the bus's address."""
    with tempfile.TemporaryDirectory(prefix="takeover-") as name:
        folder = Path(name)
        (folder / "site.yaml").write_text(SITE)
        (folder / "bmc.yaml").write_text("user: a\npassword: b\n")
        (folder / "bmc.yaml").chmod(0o600)
        (folder / "rules").mkdir()
        (folder / "rules" / "test.yaml").write_text(RULES)
        if not kafka:
            yield folder, "embedded"
            return
        broker = KafkaBroker(folder / "kafka").start()
        try:
            yield folder, broker.url
        finally:
            broker.stop()
