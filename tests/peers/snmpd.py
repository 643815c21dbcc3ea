"""A real net-snmp snmpd on loopback: v2c and v3 users, serving a recorded walk beside its own tables."""

import asyncio
import shutil
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

COMMUNITY = "hallkeeper-test"
AUTH_KEY, PRIV_KEY = "authentic-words", "private-words"
USERS = (
    ("sha256aes", "SHA-256", "AES"),
    ("sha1aes", "SHA", "AES"),
    ("sha512aes", "SHA-512", "AES"),
)
PASSED = "1.3.6.1.4.1.534.6.6.7"
"""The branch that the pass_persist script serves: that of Eaton's ePDU G3."""

SCRIPT = """
import sys
from bisect import bisect_right
KINDS = {"2": "integer", "65": "counter", "66": "gauge", "67": "timeticks", "70": "counter64", "6": "objectid"}
rows = {}
for line in open(sys.argv[1], encoding="utf-8", errors="replace"):
    oid, kind, value = (line.rstrip("\\n").split("|", 2) + ["", ""])[:3]
    if kind and not kind.endswith("x") and oid.startswith(sys.argv[2] + "."):
        rows[tuple(map(int, oid.split(".")))] = (KINDS.get(kind, "string"), value)
order = sorted(rows)
while (word := sys.stdin.readline().strip()):
    if word == "PING":
        print("PONG", flush=True)
        continue
    if word == "set":
        sys.stdin.readline(), sys.stdin.readline()
        print("not-writable", flush=True)
        continue
    oid = tuple(map(int, sys.stdin.readline().strip().strip(".").split(".")))
    at = bisect_right(order, oid) - (word == "get")
    found = order[at] if 0 <= at < len(order) else None
    if found is None or (word == "get" and found != oid):
        print("NONE", flush=True)
    else:
        print("." + ".".join(map(str, found)), rows[found][0], rows[found][1], sep="\\n", flush=True)
"""


@asynccontextmanager
async def running(folder: Path, recording: Path, port: int | None = None):
    """snmpd as a process of its own; yields its address."""
    port = port or free_port()
    script = folder / "walk.py"
    script.write_text(SCRIPT)
    (folder / "var").mkdir(exist_ok=True)
    users = "\n".join(
        f"createUser {name} {auth} {AUTH_KEY} {priv} {PRIV_KEY}\nrouser {name} priv" for name, auth, priv in USERS
    )
    (folder / "snmpd.conf").write_text(
        f"agentAddress udp:127.0.0.1:{port}\nrocommunity {COMMUNITY} 127.0.0.1\n{users}\n"
        f"[snmp] persistentDir {folder}/var\n"
        f"pass_persist .{PASSED} {sys.executable} {script} {recording} {PASSED}\n"
    )
    program = shutil.which("snmpd") or "/usr/sbin/snmpd"
    process = await asyncio.create_subprocess_exec(
        program,
        "-f",
        "-Lf",
        f"{folder}/snmpd.log",
        "-C",
        "-c",
        f"{folder}/snmpd.conf",
        "-p",
        f"{folder}/pid",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _listening(port: int) -> None:
    """Until the port is taken: a bind of our own fails."""
    async with asyncio.timeout(20):
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
