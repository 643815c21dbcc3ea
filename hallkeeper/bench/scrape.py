"""From an exporter's page to a durable frame: points per CPU-second, 256 pages of 8 GPUs every second."""

import argparse
import json

import uvloop

from devices.wire import layout
from fleet.model import Kind
from hallkeeper.bench.against import compared, vmagent
from hallkeeper.bench.measure import Measured, collect, endpoint, fresh_bus, load_process, quick, site_of

TARGETS = 256
SERIES = 320


def run(
    *,
    seconds: float = 20.0,
    targets: int = TARGETS,
    bus: str = "embedded",
    against: str | None = None,
    seed: int = 1,
    pure: bool = False,
) -> dict[str, object]:
    """Measure the collectors on pages of a load process, and a peer on the same load where one is named.

    With `pure` pages are read in Python although the compiled reader is there.
    """
    if pure:
        layout.in_one_pass = None
    with load_process("hallkeeper.bench.load_scrape", "--targets", str(targets), "--seed", str(seed)) as load:
        urls = [f"http://127.0.0.1:{port}/metrics" for port in load["ports"]]
        measured = uvloop.run(_measure(urls, bus, seconds))
        result = result_of(measured, targets=targets, bus=bus, page_bytes=load["page_bytes"])
        if against == "vmagent":
            result |= compared(measured, vmagent(urls, seconds))
    return result


async def _measure(urls: list[str], url: str, seconds: float) -> Measured:
    endpoints = [
        endpoint(number, name="dcgm", wire="prometheus", address=address, profile="dcgm", job="dcgm", credentials=None)
        for number, address in enumerate(urls)
    ]
    async with fresh_bus(url) as bus:
        return await collect(site_of(endpoints, Kind.NODE), bus, quick({"gpu": 1.0}), seconds)


def result_of(measured: Measured, *, targets: int, bus: str, page_bytes: object) -> dict[str, object]:
    """The object that is printed."""
    return {
        "bench": "scrape",
        "points_per_cpu_second": round(measured.values_per_cpu_second),
        "points": measured.values,
        "pages": measured.frames,
        "pages_expected": round(targets * measured.seconds),
        "series_per_page": SERIES,
        "page_bytes": page_bytes,
        "targets": targets,
        "seconds": round(measured.seconds, 2),
        "cpu_seconds": round(measured.cpu_seconds, 3),
        "cpu_user_seconds": round(measured.user_seconds, 3),
        "cpu_system_seconds": round(measured.system_seconds, 3),
        "durable": measured.durable,
        "bus": bus,
        "parse": "Python" if layout.in_one_pass is None else "compiled",
    }


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--targets", type=int, default=TARGETS)
    parser.add_argument("--bus", default="embedded")
    parser.add_argument("--against", choices=["vmagent"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pure", action="store_true", help="read pages in Python, not compiled")
    arguments = parser.parse_args()
    print(json.dumps(run(**vars(arguments))))


if __name__ == "__main__":
    main()
