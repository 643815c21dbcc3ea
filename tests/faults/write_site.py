"""A small installation on disk for the actuator's tests: two nodes, two PDUs, secrets, settings."""

import struct
from pathlib import Path

import msgspec

from devices.orders import State
from fleet.clock import SystemClock
from fleet.model import AssetId
from remediator.actuator_client import Answer, IntentMessage
from tests.faults.write_peers import PASSWORD, USER
from tests.faults.write_snmpd import COMMUNITY

SITE = """
site: small
simulated: true
credentials:
  pdu: {{read: "file:secrets/pdu.yaml", write: "file:secrets/pdu.yaml"}}
  bmc: {{read: "file:secrets/bmc.yaml", write: "file:secrets/bmc.yaml"}}
  k8s: {{read: "file:secrets/k8s.yaml", write: "file:secrets/k8s.yaml"}}
defaults: {{effect_latency_seconds: {latency}}}
halls:
  - name: hall-1
    rows:
      - name: row-01
        zone: 1
        racks:
          - name: r01
            power_limit_watts: 50000
            nodes:
              - {{name: dgx-001, model: m, gpus: 8, idle_watts: 2000, max_watts: 10200, bmc: {{address: "{bmc}", profile: openbmc, credentials: bmc}}}}
              - {{name: dgx-002, model: m, gpus: 8, idle_watts: 2000, max_watts: 10200, bmc: {{address: "127.0.0.1:10", profile: openbmc, credentials: bmc}}}}
              - {{name: vault, model: m, gpus: 0, idle_watts: 100, max_watts: 500, protected: true, bmc: {{address: "127.0.0.1:11", profile: openbmc, credentials: bmc}}}}
power:
  grid_supplies: [{{name: grid-1, rated_watts: 50000000}}]
  substations: [{{name: sub-a, rated_watts: 30000000, fed_by: [grid-1]}}]
  busbars: [{{name: busbar-a, rated_watts: 1000000, fed_by: [sub-a]}}]
  pdus:
    - {{name: pdu-a, rack: r01, feed: a, fed_by: [busbar-a], profile: eaton-epdu-g3, address: "{pdu}", credentials: pdu, phases: 3, rated_amperes: 48, volts: 230,
       outlets: [{{outlet: 1, node: dgx-001, supply: psu-1, phase: 1}}, {{outlet: 2, node: dgx-002, supply: psu-1, phase: 2}}, {{outlet: 3, node: vault, supply: psu-1, phase: 3}}]}}
schedulers: [{{name: k8s-1, kind: kubernetes, address: "https://127.0.0.1:1", credentials: k8s}}]
protected: [k8s-1]
"""

NOWHERE = "127.0.0.1:9"
NOWHERE_ELSE = "127.0.0.1:12"


def make_installation(folder: Path, *, bmc: str = NOWHERE, pdu: str = NOWHERE_ELSE, latency: float = 0.5) -> Path:
    """Write site, secrets and settings; the settings' path."""
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    secrets = {
        "pdu": f"version: 2c\ncommunity: {COMMUNITY}\n",
        "bmc": f"user: {USER}\npassword: {PASSWORD}\nsuite: 3\n",
        "k8s": "token: t0ken-of-the-cluster\nca: ca.pem\n",
    }
    for name, content in secrets.items():
        path = folder / "secrets" / f"{name}.yaml"
        path.write_text(content)
        path.chmod(0o600)
    (folder / "site.yaml").write_text(SITE.format(bmc=bmc, pdu=pdu, latency=latency))
    settings = folder / "hallkeeper.yaml"
    settings.write_text("site: site.yaml\ndata: data\n")
    (folder / "data").mkdir(exist_ok=True, mode=0o700)
    return settings


def intent(name: str, verb: str = "power_off", asset: str = "dgx-001", **changes: object) -> IntentMessage:
    """An intent that may be sent for the next ten seconds."""
    whole = {
        "intent": name,
        "epoch": 1,
        "asset": AssetId(asset),
        "verb": verb,
        "arguments": {},
        "not_after_boottime_ns": SystemClock().boottime_ns() + 10 * 10**9,
    }
    return IntentMessage(**(whole | changes))


def frame(message: object) -> bytes:
    body = msgspec.json.encode(message)
    return struct.pack(">I", len(body)) + body


def states_of(answers: list[Answer]) -> list[State]:
    return [answer.state for answer in answers]


def lock_out(data: Path, asset: str) -> None:
    """As a technician does."""
    path = data / "lockouts.json"
    path.write_text(f'[{{"asset": "{asset}", "actor": "ann", "reason": "hands in the rack", "at_ms": 1}}]')
    path.chmod(0o600)
