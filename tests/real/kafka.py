"""A real Apache Kafka broker on loopback, in KRaft mode, from the jars in .peers/kafka: started, stopped, killed, frozen."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
JARS = ROOT / ".peers" / "kafka"
START_SECONDS = 60.0
STOP_SECONDS = 30.0

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=200
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=100
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
{extra}
"""


class KafkaBroker:
    """One broker: its port and its data stay the same over `kill`, `stop` and `start`."""

    def __init__(self, folder: Path, *, extra: str = "") -> None:
        self.folder = folder
        self.port, controller = _free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None
        self._properties = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            PROPERTIES.format(port=self.port, controller=controller, logs=folder / "logs", extra=extra)
        )
        self._java(
            "kafka.tools.StorageTool", "format", "-t", "aGFsbGtlZXBlci10ZXN0cw", "-c", str(self._properties)
        ).wait(START_SECONDS)

    @property
    def address(self) -> str:
        """host:port of the broker."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The bus's url of the broker."""
        return f"kafka://{self.address}"

    def start(self) -> "KafkaBroker":
        """Start it, and return when it takes connections."""
        self.process = self._java("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"Kafka ended with {self.process.returncode}: {self._said()}")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"Kafka took more than {START_SECONDS:g} s: {self._said()}")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def stop(self) -> None:
        """End it properly; kill it when it does not."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.kill()

    def freeze(self) -> None:
        """It stays connected and says nothing; returns when its last thread has stopped."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        while any(_state(thread) not in "Tt" for thread in Path(f"/proc/{self.process.pid}/task").iterdir()):
            time.sleep(0.005)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Kill it and delete what it stored."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _java(self, *arguments: str) -> "subprocess.Popen[bytes]":
        java = shutil.which("java")
        assert java is not None, "java is absent, try: make peers"
        with (self.folder / "said.log").open("ab") as said:
            return subprocess.Popen(
                [
                    java, "-Xmx400m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                    f"-Dlog4j2.configurationFile={JARS / 'log4j2.xml'}", "-cp", f"{JARS}/*", *arguments,
                ],
                stdout=said, stderr=said, stdin=subprocess.DEVNULL, cwd=self.folder,
                env={**os.environ, "LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip

    def _said(self) -> str:
        return (self.folder / "said.log").read_text(errors="replace")[-2000:]


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:  # it has ended
        return "T"


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, held together so that no two are the same."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()
