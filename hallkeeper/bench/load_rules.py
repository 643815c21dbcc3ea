"""Load for the rules bench: the frames of GPU nodes as bytes on a pipe, or the same series as pages for Prometheus to scrape.

Everything follows from the seed: node, metric and time give a value, and no value of a series stays what it was. The
series are counters; of each metric one jumps over the rules' thresholds for 40 of every 80 seconds, so that alerts flap.
"""

import argparse
import asyncio
import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from aiohttp import web

from bus.frames import STALE, FrameWriter, SeriesLayout

NODES: Final = 128
GPUS: Final = 8
METRICS: Final = 40
INTERVAL_SECONDS: Final = 5
NODES_A_JOB: Final = 8
RESET_SHARE: Final = 0.001
"""Of frames in which one counter starts again."""
JUMP: Final = 1_000_000.0
"""By which a flapping series rises: over every threshold of the rules."""
FLAP_SECONDS: Final = 80
"""From one rise to the next; it stays up for half of that, longer than `for`."""
START_MS: Final = 1_700_000_000_000
JOBS_SOURCE: Final = "k8s-1/api"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What arrives."""

    seed: int
    nodes: int = NODES
    spread: bool = True
    """Whether each node has a phase of its own."""
    reset_share: float = RESET_SHARE
    """Of frames in which one counter starts again."""
    missing_share: float = 0.0
    """Of values that are missing: their series ends, and is back with the next frame."""
    calm: bool = False
    """Whether no series jumps, so that no alert is ever active."""


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


def jobs(nodes: int = NODES) -> list[tuple[str, dict[str, str]]]:
    """The info series to join on: one a node."""
    return [
        (
            "fleet_job_info",
            {"job": "kubernetes", "node": f"dgx-{node:03d}", "job_id": f"train/job-{node // NODES_A_JOB}"},
        )
        for node in range(nodes)
    ]


class Values:
    """Counters that grow by a random step; a few start again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rng = np.random.default_rng(load.seed)
        self._now: Floats = self._rng.integers(100_000, 101_000, (load.nodes, METRICS * GPUS)).astype(np.float64)
        self._answers = [0] * load.nodes
        self._flapping = [
            [number * GPUS + number % GPUS for number in range(METRICS) if number * 7 % NODES == node]
            for node in ([] if load.calm else range(load.nodes))
        ] or [[]] * load.nodes

    def next(self, node: int) -> Floats:
        """The node's next answer: every value has changed."""
        row: Floats = self._now[node]
        row += self._rng.integers(1, 400, row.size) / 4.0
        if self._rng.random() < self._load.reset_share:
            row[self._rng.integers(0, row.size)] = 0.25
        elapsed = self._answers[node] * INTERVAL_SECONDS
        self._answers[node] += 1
        high = [place for place in self._flapping[node] if (elapsed + 9 * place) % FLAP_SECONDS < FLAP_SECONDS // 2]
        answer = row.copy()
        answer[high] += JUMP
        if self._load.missing_share:
            answer.view(np.uint64)[self._rng.random(row.size) < self._load.missing_share] = STALE
        return answer


def rounds(load: Load, seconds: int) -> Iterator[list[bytes]]:
    """For each second the frames and tables that arrive in it."""
    values, writer = Values(load), FrameWriter(load.seed + 1)
    layouts = [layout_of(node) for node in range(load.nodes)]
    job_layout = layout_of_jobs(load.nodes)
    for second in range(seconds):
        arriving = []
        for node in range(load.nodes):
            phase_ms = node * INTERVAL_SECONDS * 1000 // load.nodes if load.spread else 0
            if phase_ms // 1000 == second % INTERVAL_SECONDS:
                at = START_MS + (second - second % INTERVAL_SECONDS) * 1000 + phase_ms
                arriving += writer.messages(source_of(node), 1, layouts[node], at, values.next(node))
        if second % INTERVAL_SECONDS == 0:
            at = START_MS + second * 1000
            arriving += writer.messages(JOBS_SOURCE, 1, job_layout, at, ones(load.nodes))
        yield [message.value for message in arriving]


def source_of(node: int) -> str:
    """Who sends a node's frames."""
    return f"dgx-{node:03d}/dcgm"


def layout_of(node: int) -> SeriesLayout:
    """The series of a node's frames."""
    return SeriesLayout.of([(name, list(labels.items())) for name, labels in series_of(node)])


def layout_of_jobs(nodes: int) -> SeriesLayout:
    """The info series of one frame."""
    return SeriesLayout.of([(name, list(labels.items())) for name, labels in jobs(nodes)])


def ones(nodes: int) -> Floats:
    """What info series are worth."""
    return np.ones(nodes)


def feed(load: Load, seconds: int) -> None:
    """Write rounds to the pipe: a count, then each message behind its length."""
    out = sys.stdout.buffer
    out.write(json.dumps({"ready": True}).encode() + b"\n")
    for messages in rounds(load, seconds):
        out.write(struct.pack("<I", len(messages)))
        for message in messages:
            out.write(struct.pack("<I", len(message)) + message)
    out.flush()


def head_of(name: str, labels: dict[str, str], left_out: frozenset[str]) -> str:
    """A series as a page writes it, up to its value."""
    return name + "{" + ",".join(f'{label}="{text}"' for label, text in labels.items() if label not in left_out) + "} "


async def serve(seed: int, *, calm: bool) -> None:
    """Pages for Prometheus: one path a node, one for the jobs."""
    values, scraped = Values(Load(seed=seed, calm=calm)), frozenset({"job", "instance"})
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
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--reset-share", type=float, default=RESET_SHARE)
    parser.add_argument("--missing-share", type=float, default=0.0)
    parser.add_argument("--calm", action="store_true", help="no series jumps: no alert is ever active")
    given = parser.parse_args()
    if given.seconds:
        load = Load(
            seed=given.seed,
            nodes=given.nodes,
            reset_share=given.reset_share,
            missing_share=given.missing_share,
            calm=given.calm,
        )
        feed(load, given.seconds)
        time.sleep(0.1)
    else:
        asyncio.run(serve(given.seed, calm=given.calm))


if __name__ == "__main__":
    main()
