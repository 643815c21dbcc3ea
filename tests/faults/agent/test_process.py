"""The daemon as a process: started by its command line, ended by a signal, killed and started again."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.contract.agent.certificates import Authority
from tests.contract.agent.nodes import READ_TOKEN, WRITE_TOKEN, settings_file

SMI = """#!/bin/sh
case "$1" in
-i) echo "$2 $4" >> "$0.sets"; echo "$4" > "$0.watts";;
*) w=$(cat "$0.watts" 2>/dev/null || echo 700.00)
   echo "0, GPU-a, 00000000:0F:00.0, 71.06, $w, 700.00, 200.00, 700.00, 33";;
esac
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca")
        self.smi = folder / "nvidia-smi"
        self.smi.write_text(SMI)
        self.smi.chmod(0o755)
        self.port = free_port()
        self.folder = folder
        self.settings = settings_file(
            folder, self.authority, listen=f"127.0.0.1:{self.port}", gpus="nvidia-smi", nvidia_smi=str(self.smi)
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = Path(__file__).resolve().parents[3]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "--config", str(self.settings)],
                cwd=root,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.ask("GET", "/v1/heartbeat", READ_TOKEN)
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def ask(self, method: str, path: str, token: str, wish: object = None):
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            headers={"Authorization": f"Bearer {token}"},
            data=None if wish is None else json.dumps(wish).encode(),
        )
        context = ssl.create_default_context(cafile=str(self.authority.path))
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=15)


@pytest.fixture
def daemon(tmp_path: Path):
    made = Daemon(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_it_serves_caps_a_gpu_through_nvidia_smi_and_ends_cleanly_on_sigterm(daemon: Daemon) -> None:
    daemon.start()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert daemon.ask("GET", "/v1/heartbeat", READ_TOKEN)["boot_id"] == boot_id
    said = daemon.ask("PUT", "/v1/gpus/power-limit", WRITE_TOKEN, {"watts": 412.5, "intent": "i-1"})
    assert said == {"gpus": [{"gpu": 0, "power_limit_watts": 412.5}]}
    assert Path(f"{daemon.smi}.sets").read_text() == "0 412.5\n"
    assert daemon.end(signal.SIGTERM) == 0


def test_after_kill_9_an_intent_is_still_known_and_not_repeated(daemon: Daemon) -> None:
    daemon.start()
    wish = {"watts": 400, "intent": "i-1"}
    daemon.ask("PUT", "/v1/gpus/power-limit", WRITE_TOKEN, wish)
    daemon.end(signal.SIGKILL)
    daemon.start()
    assert daemon.ask("PUT", "/v1/gpus/power-limit", WRITE_TOKEN, wish)["gpus"][0]["power_limit_watts"] == 400.0
    assert Path(f"{daemon.smi}.sets").read_text() == "0 400\n"


def test_a_sighup_takes_new_tokens_and_a_wrong_file_keeps_the_old(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.process is not None
    read = daemon.folder / "read.yaml"
    read.write_text("token: short\n")
    daemon.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    daemon.ask("GET", "/v1/heartbeat", READ_TOKEN)
    read.write_text(f"token: {'n' * 32}\n")
    daemon.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            daemon.ask("GET", "/v1/heartbeat", "n" * 32)
            break
        except urllib.error.HTTPError:
            time.sleep(0.05)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        daemon.ask("GET", "/v1/heartbeat", READ_TOKEN)
    assert "short" not in (daemon.folder / "log").read_text().replace("shorter", "")


def test_a_busy_port_is_told_with_what_to_try(daemon: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", daemon.port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "agent", "--config", str(daemon.settings)],
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 2
    assert b"try another `listen`" in done.stderr
    assert b"Traceback" not in done.stderr
