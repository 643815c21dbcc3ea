"""Writes a site file of any size: rows of four racks, four nodes a rack, two PDUs a rack, two outlets a node."""

from pathlib import Path

from fleet.loader import load_site
from fleet.model import Site

RACKS_A_ROW = 4
NODES_A_RACK = 4


def make_site(folder: Path, *, racks: int = 16, simulated: bool = True, latency: int = 5) -> Site:
    """The site of that many racks."""
    for name in ("bmc", "pdu", "agent", "k8s"):
        secret = folder / f"{name}.yaml"
        secret.write_text("user: u\npassword: p\n")
        secret.chmod(0o600)
    path = folder / "site.yaml"
    path.write_text(_text(racks, simulated=simulated, latency=latency))
    return load_site(path)


def _text(racks: int, *, simulated: bool, latency: int) -> str:
    rows, pdus, ports, node = [], [], [], 0
    for row in range((racks + RACKS_A_ROW - 1) // RACKS_A_ROW):
        lines = [f"      - name: row-{row + 1:02}", f"        zone: {row + 1}", "        racks:"]
        for rack in range(row * RACKS_A_ROW, min(racks, (row + 1) * RACKS_A_ROW)):
            name = f"r{rack + 1:02}"
            lines += [f"          - name: {name}", "            power_limit_watts: 60000", "            nodes:"]
            outlets: dict[str, list[str]] = {"a": [], "b": []}
            for place in range(NODES_A_RACK):
                node += 1
                dgx = f"dgx-{node:03}"
                lines.append(
                    f"              - {{name: {dgx}, model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200,"
                    f' bmc: {{address: "127.0.0.1:{20000 + node}", profile: openbmc, credentials: bmc}},'
                    f' exporters: [{{kind: dcgm, address: "http://127.0.0.1:{22000 + node}/metrics", refresh_seconds: 1}}],'
                    f' agent: {{address: "https://127.0.0.1:{24000 + node}", credentials: agent}}}}'
                )
                for feed in "ab":
                    outlets[feed].append(
                        f"{{outlet: {place + 1}, node: {dgx}, supply: psu-{feed}, phase: {place % 3 + 1}}}"
                    )
                ports.append(f"{{port: {node}, node: {dgx}}}")
            for feed in "ab":
                pdus.append(
                    f"    - {{name: pdu-{name}-{feed}, rack: {name}, feed: {feed}, fed_by: [busbar-{feed}],"
                    f' profile: eaton-epdu-g3, address: "127.0.0.1:{26000 + 2 * rack + (feed == "b")}", credentials: pdu,'
                    f" phases: 3, rated_amperes: 72, volts: 230, outlets: [{', '.join(outlets[feed])}]}}"
                )
        rows.append("\n".join(lines))
    return f"""site: test
simulated: {str(simulated).lower()}
credentials:
  bmc: {{read: "file:bmc.yaml", write: "file:bmc.yaml"}}
  pdu: {{read: "file:pdu.yaml", write: "file:pdu.yaml"}}
  agent: {{read: "file:agent.yaml", write: "file:agent.yaml"}}
  kubernetes: {{read: "file:k8s.yaml", write: "file:k8s.yaml"}}
defaults: {{effect_latency_seconds: {latency}}}
halls:
  - name: hall-1
    rows:
{chr(10).join(rows)}
power:
  grid_supplies: [{{name: grid-1, rated_watts: 50000000}}]
  substations:
    - {{name: sub-a, rated_watts: 30000000, fed_by: [grid-1]}}
    - {{name: sub-b, rated_watts: 30000000, fed_by: [grid-1]}}
  busbars:
    - {{name: busbar-a, rated_watts: 1500000, fed_by: [sub-a]}}
    - {{name: busbar-b, rated_watts: 1500000, fed_by: [sub-b]}}
  pdus:
{chr(10).join(pdus)}
cooling:
  cdus: [{{name: cdu-1, address: "127.0.0.1:27000", profile: cdu-modbus, unit: 1}}]
  loops: [{{name: loop-1, cdu: cdu-1, racks: [{", ".join(f"r{n + 1:02}" for n in range(racks))}]}}]
fabric:
  switches: [{{name: leaf-1, exporter: "http://127.0.0.1:27001/metrics", ports: [{", ".join(ports)}]}}]
schedulers: [{{name: k8s-1, kind: kubernetes, address: "https://127.0.0.1:27002", credentials: kubernetes}}]
protected: [cdu-1, k8s-1, leaf-1]
"""
