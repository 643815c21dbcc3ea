"""OpenIPMI's ipmi_sim as a BMC, with a log of its own: one line an execution with its time."""

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.faults.write_device import Device, free_port

USER, PASSWORD = "operator", "Correct.Horse.9"

# A sensor record of kind "full" with an 8-bit name, as sdrcomp makes it: TEMP_INLET, degrees, M 1.
_TEMPERATURE = (
    "0x01 0x00 0x51 0x01 0x35 0x20 0x00 0x01 0x07 0x01 0x67 0x00 0x01 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x01 "
    "0x00 0x00 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 "
    "0x00 0x00 0x00 0xca 0x54 0x45 0x4d 0x50 0x5f 0x49 0x4e 0x4c 0x45 0x54"
)
# A fan: rpm, M 40, 6-bit packed name "FAN1" (three bytes), on which pyghmi 1.6.19 loops for ever.
_FAN = (
    "0x02 0x00 0x51 0x01 0x2e 0x20 0x00 0x02 0x07 0x01 0x67 0x00 0x04 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x12 "
    "0x00 0x00 0x28 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 "
    "0x00 0x00 0x00 0x83 0x66 0xe8 0x46"
)

_SCRIPT = """#!/bin/bash
# chassis control of ipmi_sim: `get power`, or `set power 0|1`; every execution is one line of the log
state={state}
if [ "$1" = get ]; then
  read -r power < "$state"
  echo "power:$power"
else
  echo "$EPOCHREALTIME $2 ${{3//\\"/}}" >> {log}
  if [ "$2" = shutdown ]; then echo 0 > "$state"; else echo "${{3//\\"/}}" > "$state"; fi
fi
"""


def fru() -> bytes:
    """A FRU with a product area: manufacturer, product, part number, version, serial number."""
    fields = [b"HK", b"Node", b"P1", b"A", b"S1"]
    area = b"\x01\x00\x19" + b"".join(bytes((0xC0 | len(field),)) + field for field in fields) + b"\xc0\xc1"
    area += bytes(-(len(area) + 1) % 8)
    area = area[:1] + bytes(((len(area) + 1) // 8,)) + area[2:]
    area += bytes((-sum(area) & 0xFF,))
    header = bytes((1, 0, 0, 0, 1, 0, 0))
    return header + bytes((-sum(header) & 0xFF,)) + area


@dataclass
class IpmiSim(Device):
    """One ipmi_sim with one BMC, cipher suite 3, on a port of its own."""

    sixbit_fan: bool = False

    def start(self) -> "IpmiSim":
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "state").mkdir(exist_ok=True)
        self.port = free_port()
        self.set_power("on")
        self.log.touch()
        script = self.folder / "chassis"
        script.write_text(_SCRIPT.format(state=self.folder / "power", log=self.log))
        script.chmod(0o700)
        (self.folder / "lan.conf").write_text(self._lan_conf(script))
        (self.folder / "bmc.emu").write_text(self._emulation())
        arguments = ["-c", "lan.conf", "-f", "bmc.emu", "-s", "state", "-n"]
        self.process = subprocess.Popen(
            [shutil.which("ipmi_sim") or "ipmi_sim", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.wait_until_heard(bytes.fromhex("0600ff06000011be80000000"))  # an RMCP presence ping
        return self

    def _lan_conf(self, script: Path) -> str:
        levels = "\n".join(f"    allowed_auths_{level} none md5" for level in ("callback", "user", "operator", "admin"))
        return f"""name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {self.port}
    priv_limit admin
{levels}
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{script}"
  user 1 true "" "anonymous-no" user 10 none md5
  user 2 true "{USER}" "{PASSWORD}" admin 63 none md5
  user 3 true "reader" "{PASSWORD}" user 10 none md5
"""

    def _emulation(self) -> str:
        fan = f"main_sdr_add 0x20 {_FAN}\nsensor_add 0x20 0 2 4 1\nsensor_set_value 0x20 0 2 0x96 0\n"
        content = fru()
        return f"""mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_add_fru_data 0x20 0 {len(content)} data {" ".join(f"0x{byte:02x}" for byte in content)}
sel_enable 0x20 1000 0x0a
main_sdr_add 0x20 {_TEMPERATURE}
sensor_add 0x20 0 1 1 1
sensor_set_value 0x20 0 1 0x2a 0
{fan if self.sixbit_fan else ""}sel_add 0x20 2 0 0 0 0 0x20 0 4 0x0c 1 0x6f 0xa0 0xff 0x12
sel_add 0x20 2 0 0 0 0 0x20 0 4 0x08 2 0x6f 0x03 0xff 0xff
mc_enable 0x20
"""

    def power(self) -> str:
        return "on" if (self.folder / "power").read_text().strip() == "1" else "off"

    def set_power(self, state: str) -> None:
        """Change the state from outside, without an execution."""
        temporary = self.folder / "power.new"
        temporary.write_text("1\n" if state == "on" else "0\n")
        temporary.replace(self.folder / "power")


async def eventually(condition, *, within_seconds: float = 10.0) -> None:
    """Wait for something that another process will bring about."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_seconds
    while not condition():
        if loop.time() > end:
            raise AssertionError("did not happen in time")
        await asyncio.sleep(0.01)
