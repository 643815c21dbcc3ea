"""What every real peer that is commanded has: a process on a UDP port of its own, and its own log of what it executed."""

import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A UDP port that was free a moment ago, for servers that cannot choose one themselves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Execution:
    """One state change that a device carried out."""

    at: float
    what: str


@dataclass
class Device:
    """One server of a device, in a folder of its own."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.folder / "executions"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def executions(self) -> list[Execution]:
        lines = [line.split(" ", 1) for line in self.log.read_text().splitlines()]
        return [Execution(float(at), what) for at, what in lines]

    def wait_until_heard(self, ask: bytes) -> None:
        """Ask until it answers: it listens then."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.05)
            sock.connect(("127.0.0.1", self.port))
            for _ in range(200):
                try:
                    sock.send(ask)
                    sock.recv(2048)
                except OSError:
                    time.sleep(0.01)
                else:
                    return
        said = [path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.log")]
        raise RuntimeError(f"{type(self).__name__} does not answer on port {self.port}: {said}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
