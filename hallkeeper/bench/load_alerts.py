"""The load of the alerts' bench: pages of exporters with a fault now and then, and a webhook that is told of it.

One process, so that a fault's beginning and its webhook's arrival are read off the same clock. A fault is one value of one
page, raised at a random moment between two polls, and lowered again when the webhook has come.
"""

import argparse
import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

PATIENCE_SECONDS: Final = 10.0
"""A fault that nobody has told of after so long counts as lost."""
FILLER: Final = 320
"""Series of a page beside the one that tells of the fault."""


@dataclass(slots=True)
class Fault:
    """One fault and what was heard of it, Unix seconds."""

    node: str
    began: float
    told: float | None = None
    heard: asyncio.Event = field(default_factory=asyncio.Event)


class Load:
    """The pages' state and what came back."""

    def __init__(self, nodes: int, seed: int) -> None:
        self._random = random.Random(seed)
        self.nodes = [f"dgx-{number:03d}" for number in range(1, nodes + 1)]
        self.faults: list[Fault] = []
        self._open: dict[str, Fault] = {}
        self._filler = "".join(
            f'bench_reading{{gpu="{number % 8}",field="{number // 8}"}} {number}.5\n' for number in range(FILLER)
        )

    async def page(self, request: web.Request) -> web.Response:
        """One node's page as it is at this moment."""
        fault = int(request.match_info["node"] in self._open)
        return web.Response(text=f'# TYPE bench_fault gauge\nbench_fault{{gpu="0"}} {fault}\n{self._filler}')

    async def hook(self, request: web.Request) -> web.Response:
        """A webhook has come."""
        now, body = time.time(), await request.json()
        for alert in body["alerts"]:
            fault = self._open.get(alert["labels"].get("node", ""))
            if fault is not None and body["status"] == "firing" and fault.told is None:
                fault.told = now
                fault.heard.set()
        return web.Response()

    async def run(self, seconds: float) -> None:
        """Faults, one at a time, each on the node whose turn it is."""
        ends, turn = time.time() + seconds, 0
        while time.time() < ends:
            await asyncio.sleep(self._random.uniform(0.3, 1.3))
            fault = Fault(self.nodes[turn % len(self.nodes)], time.time())
            turn += 1
            self.faults.append(fault)
            self._open[fault.node] = fault
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await fault.heard.wait()
            del self._open[fault.node]

    def said(self) -> dict[str, Any]:
        """What the bench reads."""
        return {"faults": [[fault.node, fault.began, fault.told] for fault in self.faults]}


async def serve(nodes: int, seed: int) -> None:
    """Say the port, wait for the word to begin, then say what was heard."""
    load = Load(nodes, seed)
    app = web.Application()
    app.add_routes([web.get("/page/{node}", load.page), web.post("/hook", load.hook)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    word = await asyncio.to_thread(input)
    await load.run(float(word))
    print(json.dumps(load.said()), flush=True)
    await runner.cleanup()


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.nodes, arguments.seed))


if __name__ == "__main__":
    main()
