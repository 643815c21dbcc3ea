"""A load of exporters for the bench: pages of 8 GPUs over HTTP/1.1, one process, many ports, no page twice.

Each page has 320 series and about 98 kB: HELP and TYPE lines, long label sets as DCGM with Kubernetes writes them. With
every request 60 % of the values are drawn anew from the seed, of other lengths too. Lines live as bytes between the
numbers, so that a page costs one join and the generator stays below what it loads.
"""

import argparse
import asyncio
import json
import random
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

FIELDS = 40
GPUS = 8
SERIES = FIELDS * GPUS
CHANGED = int(SERIES * 0.6)
NUMBERS = 8192
"""Numbers drawn once from the seed; a page takes its new values from a place of its own in this ring."""


def fields() -> Iterator[tuple[str, str]]:
    """Fields and what kind of number each holds: what dcgm-exporter exports by default, and more in its style, up to 40."""
    yield from ((f"DCGM_FI_DEV_{name}", "clock") for name in ("SM_CLOCK", "MEM_CLOCK"))
    yield from ((f"DCGM_FI_DEV_{name}", "small") for name in ("MEMORY_TEMP", "GPU_TEMP", "XID_ERRORS"))
    yield "DCGM_FI_DEV_POWER_USAGE", "watts"
    yield from ((f"DCGM_FI_DEV_{name}", "count") for name in ("TOTAL_ENERGY_CONSUMPTION", "PCIE_REPLAY_COUNTER"))
    yield from ((f"DCGM_FI_PROF_PIPELINE_{number:02d}_ACTIVE", "ratio") for number in range(16))
    yield from ((f"DCGM_FI_DEV_LINK_{number:02d}_BYTES_TOTAL", "count") for number in range(16))


def draw_numbers(seed: int) -> dict[str, list[bytes]]:
    """Numbers of each kind as an exporter prints them, of many lengths; counters grow until the ring begins again."""
    draw = random.Random(seed)

    def ring(text: Callable[[], str]) -> list[bytes]:
        return [text().encode() for _ in range(NUMBERS)]

    return {
        "clock": ring(lambda: str(draw.randrange(90, 1980))),
        "small": ring(lambda: str(draw.randrange(0, 95))),
        "watts": ring(lambda: f"{draw.uniform(60, 700):.3f}"),
        "ratio": ring(lambda: f"{draw.random():.6f}"),
        "count": sorted(ring(lambda: str(draw.randrange(10 ** draw.randrange(1, 13)))), key=int),
    }


def gpu_labels(target: int, gpu: int) -> str:
    """The labels of one GPU, Kubernetes' included."""
    uuid = f"GPU-{target:08x}-d595-d1c7-d1d2-179bcfa6{gpu:04x}"
    return (
        f'gpu="{gpu}",UUID="{uuid}",pci_bus_id="00000000:{gpu:02x}:00.0",device="nvidia{gpu}",'
        f'modelName="NVIDIA H100 80GB HBM3",Hostname="dgx-{target:04d}.example",'
        f'DCGM_FI_DRIVER_VERSION="580.105.08",container="train",namespace="ml",pod="llm-{target:04d}-{gpu}"'
    )


class Page:
    """One exporter's page: what stays, and the numbers in between."""

    def __init__(self, target: int, numbers: dict[str, list[bytes]]) -> None:
        self._parts: list[bytes] = []
        self._slots: list[tuple[int, list[bytes]]] = []
        self._shift = target * 37
        for field, kind in fields():
            head = f"# HELP {field} What the driver says of it.\n# TYPE {field} gauge\n"
            for gpu in range(GPUS):
                self._parts += [f"{head}{field}{{{gpu_labels(target, gpu)}}} ".encode(), b"0"]
                self._slots.append((len(self._parts) - 1, numbers[kind]))
                head = "\n"
            self._parts.append(b"\n")
        self._change(self._slots)
        self.served = 0

    def next(self) -> bytes:
        """A page that was not there before: 60 % of the values are others."""
        start = self.served * 131 % SERIES
        self._change((self._slots + self._slots)[start : start + CHANGED])
        self.served += 1
        return b"".join(self._parts)

    def _change(self, slots: list[tuple[int, list[bytes]]]) -> None:
        at = self._shift = (self._shift + 193) % (NUMBERS - SERIES)
        for slot, ring in slots:
            at += 1
            self._parts[slot] = ring[at]


class Exporter(asyncio.Protocol):
    """Answers every request of a kept connection with the next page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._transport: asyncio.Transport | None = None
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._request += data
        while b"\r\n\r\n" in self._request and self._transport is not None:
            _, _, self._request = self._request.partition(b"\r\n\r\n")
            body = self._page.next()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n"
            self._transport.writelines([head % len(body), body])


async def serve(targets: int, seed: int) -> None:
    """Print the ports as one JSON line, serve until SIGTERM, print what was served as the last line."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, ended.set_result, None)
    numbers = draw_numbers(seed)
    pages = [Page(target, numbers) for target in range(targets)]
    servers = [await loop.create_server(partial(Exporter, page), "127.0.0.1", 0) for page in pages]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps({"ports": ports, "page_bytes": len(pages[0].next()), "series": SERIES}), flush=True)
    await ended
    for server in servers:
        server.close()
    print(json.dumps({"pages": sum(page.served for page in pages)}), flush=True)


def main() -> None:
    """The process of the load generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    import uvloop

    uvloop.run(serve(arguments.targets, arguments.seed))


if __name__ == "__main__":
    main()
