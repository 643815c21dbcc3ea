"""A real Slurm on loopback: munged, slurmctld, a few slurmd and slurmrestd, in a folder of its own and on ports of its own."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 30.0
TOKEN_SECONDS = 3600


def free_ports(count: int) -> list[int]:
    """TCP ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in taken:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in taken]


def token(key: bytes, user: str, *, now: float | None = None, seconds: float = TOKEN_SECONDS) -> str:
    """A JWT as slurmctld signs them (HS256 over `jwt_hs256.key`): `sun` is the user."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    issued = round(time.time() if now is None else now)
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"exp": issued + round(seconds), "iat": issued, "sun": user}).encode())
    return f"{head}.{body}.{part(hmac.new(key, f'{head}.{body}'.encode(), hashlib.sha256).digest())}"


@dataclass
class Slurm:
    """One cluster; `nodes` slurmd on this host."""

    folder: Path
    nodes: int = 3
    user: str = "root"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)
    rest_port: int = 0
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def token(self) -> str:
        return token(self.key, self.user)

    def start(self) -> "Slurm":
        """Everything up and every node idle. Raises `RuntimeError` with the logs when it does not come up."""
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        controller, self.rest_port, *daemons = free_ports(2 + self.nodes)
        self._write(controller, daemons)
        self._run("munged", "--foreground", "--force", "--key-file", self.folder / "munge.key", "--socket",
                  self.folder / "munge.sock", "--pid-file", self.folder / "munge.pid", "--log-file",
                  self.folder / "log/munged", "--seed-file", self.folder / "munge.seed")  # fmt: skip
        self._wait((self.folder / "munge.sock").exists, "munged")
        self._run("slurmctld", "-D", "-f", self.conf)
        for number in range(1, self.nodes + 1):
            self._run("slurmd", "-D", "-N", f"n{number}", "-f", self.conf)
        environment = {
            "SLURM_JWT": "daemon",
            "SLURMRESTD_SECURITY": "disable_user_check,disable_unshare_files,disable_unshare_sysv",
        }
        self._run(
            "slurmrestd",
            "-f",
            self.conf,
            "-a",
            "rest_auth/jwt",
            "-s",
            "openapi/v0.0.38",
            f"127.0.0.1:{self.rest_port}",
            **environment,
        )
        self._wait(lambda: self.states().count("idle") == self.nodes, "the nodes")
        self._wait(lambda: _open("127.0.0.1", self.rest_port), "slurmrestd")
        return self

    def _write(self, controller: int, daemons: list[int]) -> None:
        for name, content in (("munge.key", secrets.token_bytes(64)), ("jwt.key", self.key)):
            path = self.folder / name
            path.write_bytes(content)
            path.chmod(0o600)
        lines = [
            f"NodeName=n{i} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN" for i, port in enumerate(daemons, 1)
        ]
        self.conf.write_text(f"""ClusterName=hk
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={self.user}
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge.sock
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={self.folder}/jwt.key
CredType=cred/munge
CryptoType=crypto/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/%n.pid
SlurmctldLogFile={self.folder}/log/slurmctld
SlurmdLogFile={self.folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
JobRequeue=1
KillWait=2
MinJobAge=300
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
{chr(10).join(lines)}
PartitionName=main Nodes=n[1-{self.nodes}] Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
""")

    def _run(self, program: str, *arguments: object, **environment: str) -> None:
        log = (self.folder / "log" / f"{program}.out").open("ab")
        self.processes.append(
            subprocess.Popen([program, *map(str, arguments)], env=self.environment | environment, stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log, cwd=self.folder)
        )  # fmt: skip
        log.close()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {"PATH": path, "SLURM_CONF": str(self.conf), "HOME": str(self.folder)}

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > end:
                logs = "\n".join(
                    f"--- {p.name}\n{p.read_text(errors='replace')[-400:]}" for p in (self.folder / "log").iterdir()
                )
                raise RuntimeError(f"{what} did not come up within {START_SECONDS:g} s\n{logs}")
            time.sleep(0.05)

    def states(self) -> list[str]:
        """Each node's state as sinfo says it, lower case."""
        return self.command("sinfo", "-h", "-N", "-o", "%T", check=False).split()

    def command(self, *arguments: str, check: bool = True) -> str:
        """The output of a Slurm command, as the administrator."""
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=False, timeout=20)
        if check and done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}")
        return done.stdout

    def submit(self, *options: str, script: str = "sleep 600") -> int:
        """A batch job's number."""
        said = self.command("sbatch", "--parsable", "-o", f"{self.folder}/log/job-%j", *options, "--wrap", script)
        return int(said.split(";")[0])

    def job(self, number: int) -> dict[str, str]:
        """A job's fields as scontrol shows them."""
        words = self.command("scontrol", "-o", "show", "job", str(number)).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def until(self, condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
        """Wait for something that the daemons will bring about."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("did not happen in time")
            time.sleep(0.05)

    def stop(self) -> None:
        """End every job's processes and every daemon that was started here."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        for number in self._left_behind():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.processes.clear()

    def _left_behind(self) -> list[int]:
        """Steps and their jobs, which outlive their daemons: those whose environment names this cluster's file."""
        mark = f"SLURM_CONF={self.conf}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0") and int(environ.parent.name) != os.getpid():
                    found.append(int(environ.parent.name))
        return found


def _open(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def slurm(nodes: int = 3) -> Iterator[Slurm]:
    """A cluster while the context lasts. Its folder is short: a Unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Slurm(Path(folder), nodes)
        try:
            yield cluster.start()
        finally:
            cluster.stop()


if __name__ == "__main__":
    with slurm() as running:
        print(running.url, running.states(), file=sys.stderr)
        print(running.token)
