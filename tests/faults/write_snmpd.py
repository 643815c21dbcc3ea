"""net-snmp's snmpd as a PDU: answers like an Eaton ePDU and logs each SET that it executed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.faults.write_device import Device, free_port

COMMUNITY, V3_USER, AUTH_KEY, PRIV_KEY = "wr1te-Community", "writer", "auth-Key-12345", "priv-Key-12345"

# Answers below the Eaton outlet control table for snmpd: state in a file, one log line a SET that was executed.
_OUTLETS = """
import os, sys, time
BASE, STATE, LOG = {base!r}, {state!r}, {log!r}
COLUMNS = ("2", "3", "4")

def power(): return dict(line.split() for line in open(STATE))

def value(oid):
    column, strap, outlet = oid[len(BASE) + 1:].split(".")
    states = power()
    if strap != "0" or outlet not in states or column not in COLUMNS: raise ValueError(oid)
    return states[outlet] if column == "2" else "-1"

def everything():
    return [BASE + "." + c + ".0." + o for c in COLUMNS for o in sorted(power(), key=int)]

def switch(oid, number):
    column, strap, outlet = oid[len(BASE) + 1:].split(".")
    if column not in ("3", "4"): return "not-writable"
    if strap != "0" or outlet not in power(): return "not-writable"
    if number != "0": return "wrong-value"
    states = power()
    states[outlet] = "0" if column == "3" else "1"
    with open(LOG, "a") as log: log.write(f"{{time.time()}} {{oid[len(BASE) + 1:]}}={{number}}\\n")
    with open(STATE + ".new", "w") as new: new.write("".join(f"{{o}} {{s}}\\n" for o, s in states.items()))
    os.replace(STATE + ".new", STATE)
    return "DONE"

def say(*lines):
    sys.stdout.write("\\n".join(lines) + "\\n"); sys.stdout.flush()

for line in iter(sys.stdin.readline, ""):
    verb = line.strip()
    if verb == "PING": say("PONG")
    elif verb == "get":
        oid = sys.stdin.readline().strip()
        try: say(oid, "integer", value(oid))
        except ValueError: say("NONE")
    elif verb == "getnext":
        oid = sys.stdin.readline().strip()
        key = lambda o: [int(p) for p in o.strip(".").split(".")]
        after = [o for o in everything() if key(o) > key(oid)]
        if after: say(min(after, key=key), "integer", value(min(after, key=key)))
        else: say("NONE")
    elif verb == "set":
        oid, what = sys.stdin.readline().strip(), sys.stdin.readline().strip()
        say(switch(oid, what.split()[1].strip('"')))
"""


def _uptime() -> bytes:
    """A v2c GET of sysUpTime.0."""
    community = COMMUNITY.encode()
    pdu = bytes.fromhex("a01902017b020100020100300e300c06082b060102010103000500")
    body = b"\x02\x01\x01\x04" + bytes((len(community),)) + community + pdu
    return b"\x30" + bytes((len(body),)) + body


@dataclass
class Snmpd(Device):
    """One net-snmp agent that answers like an Eaton ePDU: off, on and state of its outlets, v2c and v3."""

    outlets: int = 4
    auth: str = "SHA-256"

    BASE = ".1.3.6.1.4.1.534.6.6.7.6.6.1"

    def start(self) -> "Snmpd":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        self.log.touch()
        self._state.write_text("".join(f"{outlet} 1\n" for outlet in range(1, self.outlets + 1)))
        script = self.folder / "outlets.py"
        script.write_text(_OUTLETS.format(base=self.BASE, state=str(self._state), log=str(self.log)))
        (self.folder / "snmpd.conf").write_text(f"""agentaddress udp:127.0.0.1:{self.port}
rwcommunity {COMMUNITY}
createUser {V3_USER} {self.auth} "{AUTH_KEY}" AES "{PRIV_KEY}"
rwuser {V3_USER} priv
pass_persist {self.BASE} {sys.executable} -S -E {script}
""")
        self.process = subprocess.Popen(
            [
                shutil.which("snmpd") or "/usr/sbin/snmpd",
                "-f",
                "-Lf",
                "snmpd.log",
                "-C",
                "-c",
                "snmpd.conf",
                "-I",
                "-smux",
            ],
            cwd=self.folder,
            env={**os.environ, "SNMP_PERSISTENT_DIR": str(self.folder / "state"), "MIBS": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_until_heard(_uptime())
        return self

    @property
    def _state(self) -> Path:
        return self.folder / "outlets"

    def states(self) -> dict[str, str]:
        pairs = (line.split() for line in self._state.read_text().splitlines())
        return {outlet: "on" if state == "1" else "off" for outlet, state in pairs}

    def set_state(self, outlet: str, state: str) -> None:
        """Change an outlet from outside, without an execution."""
        states = self.states() | {outlet: state}
        temporary = self.folder / "outlets.outside"
        temporary.write_text("".join(f"{o} {1 if s == 'on' else 0}\n" for o, s in states.items()))
        temporary.replace(self._state)
