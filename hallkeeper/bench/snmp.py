"""From an agent's tables to a durable frame: varbinds per CPU-second, 288 OIDs an agent every second."""

import argparse
import json
import tempfile
from pathlib import Path

import uvloop

from fleet.model import Kind
from hallkeeper.bench.against import compared, snmp_exporter
from hallkeeper.bench.load_snmp import COLUMNS, ENTRY
from hallkeeper.bench.measure import Measured, collect, endpoint, fresh_bus, load_process, quick, site_of

OIDS = 288
SIZES = (64, 512)


def run(
    *,
    seconds: float = 20.0,
    agents: tuple[int, ...] = SIZES,
    bus: str = "embedded",
    against: str | None = None,
    seed: int = 1,
) -> dict[str, object]:
    """Measure the collectors on agents of a load process, each number of agents by itself; the lowest figure counts."""
    results = [_run_one(size, seconds, bus, against, seed) for size in agents]
    lowest = min(results, key=lambda result: float(str(result["varbinds_per_cpu_second"])))
    return {"bench": "snmp"} | lowest | {"runs": results}


def _run_one(agents: int, seconds: float, bus: str, against: str | None, seed: int) -> dict[str, object]:
    with load_process("hallkeeper.bench.load_snmp", "--agents", str(agents), "--seed", str(seed)) as load:
        ports = [int(port) for port in load["ports"]]
        measured = uvloop.run(_measure(ports, bus, seconds))
        result = _result(measured, agents, bus)
        if against == "snmp_exporter":
            result |= compared(measured, snmp_exporter(ports, _columns(), seconds))
    return result


async def _measure(ports: list[int], url: str, seconds: float) -> Measured:
    endpoints = [
        endpoint(
            number,
            name="snmp",
            wire="snmp",
            address=f"127.0.0.1:{port}",
            profile="eaton-epdu-g3",
            job="snmp",
            credentials="bench",
        )
        for number, port in enumerate(ports)
    ]
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        secret = Path(folder) / "read.yaml"
        secret.touch(mode=0o600)
        secret.write_text('version: "2c"\ncommunity: public\n')
        site = site_of(endpoints, Kind.PDU, f"file:{secret}")
        async with fresh_bus(url) as bus:
            return await collect(site, bus, quick({"outlet": 1.0, "energy": 1.0, "inlet": 3600.0}), seconds)


def _columns() -> list[tuple[str, str]]:
    return [(".".join(map(str, ENTRY + path)), f"outlet_{'_'.join(map(str, path))}") for path, _, _, _ in COLUMNS]


def _result(measured: Measured, agents: int, bus: str) -> dict[str, object]:
    return {
        "varbinds_per_cpu_second": round(measured.values_per_cpu_second),
        "varbinds": measured.values,
        "varbinds_expected": round(agents * OIDS * measured.seconds),
        "agents": agents,
        "oids_per_agent": OIDS,
        "seconds": round(measured.seconds, 2),
        "cpu_seconds": round(measured.cpu_seconds, 3),
        "cpu_user_seconds": round(measured.user_seconds, 3),
        "cpu_system_seconds": round(measured.system_seconds, 3),
        "durable": measured.durable,
        "bus": bus,
    }


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--agents", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--bus", default="embedded")
    parser.add_argument("--against", choices=["snmp_exporter"])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(**vars(arguments) | {"agents": tuple(arguments.agents)})))


if __name__ == "__main__":
    main()
