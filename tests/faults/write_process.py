"""The actuator as a process of its own, for tests that kill it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from fleet.errors import HallkeeperError
from remediator.actuator_client import Answer, IntentMessage, SocketActuator

ROOT = Path(__file__).resolve().parents[2]


class ActuatorProcess:
    """`python -m remediator.actuator`, ready when it says so over systemd's notify protocol."""

    def __init__(self, settings: Path, lane: str = "corrective", *, strace: list[str] | None = None) -> None:
        self.settings = settings
        self.socket = settings.parent / "data" / f"actuator-{lane}.sock"
        self._notices = settings.parent / f"notify-{time.monotonic_ns()}"
        arguments = [sys.executable, "-m", "remediator.actuator", "--settings", str(settings), "--lane", lane]
        tracer = ["strace", "-f", "-o", "/dev/null", *strace] if strace else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(os.fspath(self._notices))
            notices.settimeout(0.2)
            self.process = subprocess.Popen(
                [*tracer, *arguments],
                cwd=ROOT,
                env={**os.environ, "NOTIFY_SOCKET": str(self._notices)},
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            while not self._says_ready(notices) and self.process.poll() is None:
                pass

    @staticmethod
    def _says_ready(notices: socket.socket) -> bool:
        """A process that was killed before it was ready never says so."""
        try:
            return notices.recv(4096).startswith(b"READY=1")
        except TimeoutError:
            return False

    async def ask(self, message: IntentMessage) -> list[Answer]:
        """Every answer until the final one, or until the process is gone."""
        answers: list[Answer] = []
        with contextlib.suppress(HallkeeperError):
            async for answer in SocketActuator(self.socket).carry_out(message):
                answers.append(answer)
        return answers

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, within_seconds: float = 20.0) -> int:
        return await asyncio.to_thread(self.process.wait, within_seconds)

    def close(self) -> str:
        """Make sure that it is gone; what it said on stderr."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the tracer's child too
        _, said = self.process.communicate(timeout=20)
        self._notices.unlink(missing_ok=True)
        return said or ""
