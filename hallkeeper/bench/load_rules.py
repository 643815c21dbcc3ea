"""Load for the rules bench: the frames of GPU nodes as bytes on a pipe, or the same series as pages for Prometheus to scrape.

Everything follows from the seed: node, metric and time give a value, and no value of a series stays what it was.
"""

import argparse
import asyncio
import json
import struct
import sys
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from aiohttp import web

from bus.frames import FrameWriter, SeriesLayout

NODES = 128
GPUS = 8
METRICS = 40
INTERVAL_SECONDS = 5
NODES_A_JOB = 8
RESET_SHARE = 0.001
"""Of frames in which one counter starts again."""
START_MS = 1_700_000_000_000
JOBS_SOURCE = "k8s-1/api"

Floats = npt.NDArray[np.float64]


def metric(number: int) -> str:
    """Names of our own: the register's would say what the values must be."""
    return f"bench_gpu_field_{number:02d}"


def labels_of(node: int, gpu: int) -> dict[str, str]:
    """What a GPU's series carry, as the collectors would label them."""
    name = f"dgx-{node:03d}"
    return {
        "job": "dcgm",
        "instance": f"{name}:9400",
        "asset": name,
        "node": name,
        "rack": f"r{node // 4:02d}",
        "zone": "1",
        "gpu": str(gpu),
        "UUID": f"GPU-{node:03d}-{gpu}",
    }


def series_of(node: int) -> list[tuple[str, dict[str, str]]]:
    """One node's page, in order."""
    return [(metric(number), labels_of(node, gpu)) for number in range(METRICS) for gpu in range(GPUS)]


def jobs() -> list[tuple[str, dict[str, str]]]:
    """The info series to join on: one a node."""
    return [
        (
            "fleet_job_info",
            {"job": "kubernetes", "node": f"dgx-{node:03d}", "job_id": f"train/job-{node // NODES_A_JOB}"},
        )
        for node in range(NODES)
    ]


class Values:
    """Counters that grow by a random step; a few start again."""

    def __init__(self, seed: int, nodes: int = NODES, reset_share: float = RESET_SHARE) -> None:
        self._reset_share = reset_share
        self._rng = np.random.default_rng(seed)
        self._now: Floats = self._rng.integers(100_000, 101_000, (nodes, METRICS * GPUS)).astype(np.float64)

    def next(self, node: int) -> Floats:
        """The node's next answer: every value has changed."""
        row: Floats = self._now[node]
        row += self._rng.integers(1, 400, row.size) / 4.0
        if self._rng.random() < self._reset_share:
            row[self._rng.integers(0, row.size)] = 100_000.25
        return row


def rounds(
    seed: int, nodes: int, seconds: int, *, spread: bool, reset_share: float = RESET_SHARE
) -> Iterator[list[bytes]]:
    """For each second the frames and tables that arrive in it; `spread` gives each node a phase of its own."""
    values, writer = Values(seed, nodes, reset_share), FrameWriter(seed + 1)
    layouts = [
        SeriesLayout.of([(name, list(labels.items())) for name, labels in series_of(node)]) for node in range(nodes)
    ]
    job_layout = SeriesLayout.of([(name, list(labels.items())) for name, labels in jobs()[:nodes]])
    for second in range(seconds):
        arriving = []
        for node in range(nodes):
            phase_ms = node * INTERVAL_SECONDS * 1000 // nodes if spread else 0
            if phase_ms // 1000 == second % INTERVAL_SECONDS:
                at = START_MS + (second - second % INTERVAL_SECONDS) * 1000 + phase_ms
                arriving += writer.messages(f"dgx-{node:03d}/dcgm", 1, layouts[node], at, values.next(node))
        if second % INTERVAL_SECONDS == 0:
            at = START_MS + second * 1000
            arriving += writer.messages(JOBS_SOURCE, 1, job_layout, at, np.ones(nodes))
        yield [message.value for message in arriving]


def feed(seed: int, seconds: int) -> None:
    """Write rounds to the pipe: a count, then each message behind its length."""
    out = sys.stdout.buffer
    out.write(json.dumps({"ready": True}).encode() + b"\n")
    for messages in rounds(seed, NODES, seconds, spread=True):
        out.write(struct.pack("<I", len(messages)))
        for message in messages:
            out.write(struct.pack("<I", len(message)) + message)
    out.flush()


def head_of(name: str, labels: dict[str, str], left_out: frozenset[str]) -> str:
    """A series as a page writes it, up to its value."""
    return name + "{" + ",".join(f'{label}="{text}"' for label, text in labels.items() if label not in left_out) + "} "


async def serve(seed: int) -> None:
    """Pages for Prometheus: one path a node, one for the jobs."""
    values, scraped = Values(seed), frozenset({"job", "instance"})
    heads = [[head_of(name, labels, scraped) for name, labels in series_of(node)] for node in range(NODES)]
    job_page = "".join(head_of(name, labels, scraped) + "1\n" for name, labels in jobs())

    async def page(request: web.Request) -> web.Response:
        node = int(request.match_info["node"])
        lines = [f"{head}{value}\n" for head, value in zip(heads[node], values.next(node).tolist(), strict=True)]
        return web.Response(text="".join(lines))

    async def job_info(_: web.Request) -> web.Response:
        return web.Response(text=job_page)

    app = web.Application()
    app.add_routes([web.get("/node/{node}/metrics", page), web.get("/jobs/metrics", job_info)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"ready": True, "port": runner.addresses[0][1]}))
    await asyncio.Event().wait()


def main() -> None:
    """Feed a pipe, or serve pages until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=0, help="seconds of stream to write; 0 serves pages instead")
    arguments = parser.parse_args()
    if arguments.seconds:
        feed(arguments.seed, arguments.seconds)
        time.sleep(0.1)
    else:
        asyncio.run(serve(arguments.seed))


if __name__ == "__main__":
    main()
