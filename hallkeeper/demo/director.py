"""Runs the demo: sets the stage, injects three faults one after the other, tells what happens, judges by the devices' own log."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from bus.errors import UnknownMajor
from bus.events import RemediationEvent, decode_event
from bus.port import Bus, open_bus
from bus.topics import ALERTS, INCIDENTS, REMEDIATIONS
from fleet.clock import SystemClock
from fleet.errors import Malformed
from hallkeeper.demo.installation import install
from hallkeeper.demo.stage import Product, Site, StageFailed
from hallkeeper.demo.story import Chapter, Line, Story, Wire, on_the_wire

PROVEN_SECONDS = 120.0
"""Every fault must be proven healed so long after its injection."""
RESTORE_SECONDS = 300.0
"""The staged restore after a shed is shown for so long at most; it is not timed."""
SETTLE_SECONDS = 8.0
"""Between two faults: what the first one left must be over."""

LOGINS = frozenset({"login", "authenticate"})
"""What the devices' log also holds and what changes nothing: refused logins."""

Tell = Callable[[Line], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the demo does."""

    nodes: int = 64
    seed: int = 1
    bus: str = "embedded"
    faults: tuple[str, ...] = ("hung-node", "feed-loss", "gpu-off-bus")
    restore: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is printed at the end."""

    ready_seconds: float
    chapters: tuple[Chapter, ...]
    wires: tuple[Wire, ...]
    pages: int
    restored: bool | None

    @property
    def passed(self) -> bool:
        """All healed and proven in time, nothing sent twice."""
        in_time = all(
            chapter.healed and (chapter.seconds(chapter.proven_ms) or PROVEN_SECONDS + 1) <= PROVEN_SECONDS
            for chapter in self.chapters
        )
        return in_time and not any(wire.duplicate for wire in self.wires)

    def as_json(self) -> dict[str, Any]:
        """One JSON object."""
        faults = []
        for number, chapter in enumerate(self.chapters):
            wires = [wire for wire in self.wires if wire.chapter == number]
            faults.append(
                {
                    "fault": chapter.fault,
                    "target": chapter.target,
                    "detected_seconds": chapter.seconds(chapter.detected_ms),
                    "acted_seconds": chapter.seconds(chapter.acted_ms),
                    "proven_seconds": chapter.seconds(chapter.proven_ms),
                    "healed": chapter.healed,
                    "incidents": len(chapter.incidents),
                    "commands_on_the_wire": [_wire(wire) for wire in wires],
                    "duplicates": sum(wire.duplicate for wire in wires),
                }
            )
        return {
            "faults": faults,
            "incidents": len({incident for chapter in self.chapters for incident in chapter.incidents}),
            "commands_on_the_wire": [_wire(wire) for wire in self.wires],
            "duplicates": sum(wire.duplicate for wire in self.wires),
            "ready_seconds": self.ready_seconds,
            "webhooks": self.pages,
            "restored": self.restored,
            "passed": self.passed,
        }


def _wire(wire: Wire) -> dict[str, Any]:
    return {"device": wire.device, "verb": wire.verb, "intent": wire.intent, "at": wire.at_seconds}


class Director:
    """One run of the demo."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self._plan = plan
        self._tell = tell
        self._clock = SystemClock()
        self._story = Story()
        self._pages = 0
        self._news = asyncio.Event()
        self._console = ""

    async def run(self) -> Report:
        """Everything, from the first process to the last; nothing is left behind however it ends."""
        folder = Path(tempfile.mkdtemp(prefix="hallkeeper-demo-"))
        try:
            async with contextlib.AsyncExitStack() as stack:
                return await self._run(folder, stack)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _run(self, folder: Path, stack: contextlib.AsyncExitStack) -> Report:
        begun_ns = self._clock.boottime_ns()
        webhook = await stack.enter_async_context(self._pager())
        site = Site(folder, nodes=self._plan.nodes, seed=self._plan.seed)
        stack.push_async_callback(site.stop)
        await site.start()
        state = await site.ask("GET", "/state")
        cast = choose(state)
        settings = install(
            folder, site.folder / "site.yaml", bus=self._plan.bus, webhook=webhook, idle=cast.idle, clock=self._clock
        )
        product = Product(folder, settings)
        stack.push_async_callback(product.stop)
        await product.start()
        ready = round((self._clock.boottime_ns() - begun_ns) / 1e9, 2)
        self._say(
            "bold",
            f"site ready in {ready:.1f} s: {len(state['nodes'])} nodes, {len(state['pdus'])} PDUs, {len(state['cdus'])} CDUs, {len(state['jobs'])} jobs; console http://{product.address}",
        )
        bus = await open_bus(
            self._plan.bus, data=folder / "data", clock=self._clock, partitions=max(2, len(state["cdus"]) + 1)
        )
        stack.push_async_callback(bus.close)
        stack.push_async_callback(_ended, asyncio.create_task(self._follow(bus)))
        restored = await self._faults(site, product, cast)
        return self._report(site, ready, restored)

    async def _faults(self, site: Site, product: Product, cast: "Cast") -> bool | None:
        restored: bool | None = None
        await self._watch(product, lambda: False, SETTLE_SECONDS)
        for name in self._plan.faults:
            chapter = cast.chapter(name)
            self._say("bold reverse", f" fault: {name} on {chapter.target} ")
            chapter.injected_ms = self._clock.now_ms()
            self._story.begin(chapter)
            fault = await site.ask("POST", "/faults", {"fault": name, "target": chapter.target})
            await self._watch(product, lambda chapter=chapter: chapter.healed, PROVEN_SECONDS)  # type: ignore[misc]
            self._verdict(chapter)
            if name == "feed-loss":
                self._say("bold", f"the feed of {chapter.target} is back; what was shed returns in steps")
                await site.ask("DELETE", f"/faults/{fault['id']}")
            await self._watch(product, lambda: False, SETTLE_SECONDS)
        if self._plan.restore and "feed-loss" in self._plan.faults:
            restored = await self._watch_restore(site, product, cast)
        return restored

    async def _watch_restore(self, site: Site, product: Product, cast: "Cast") -> bool:
        """Show the staged restore until every cap is lifted and every job is back."""
        deadline = self._clock.boottime_ns() + int(RESTORE_SECONDS * 1e9)
        while self._clock.boottime_ns() < deadline:
            if cast.restored(await site.ask("GET", "/state")):
                self._say("bold green", "everything that was shed is back")
                return True
            await self._watch(product, lambda: False, 5.0)
        self._say("yellow", f"the restore is still under way after {RESTORE_SECONDS:.0f} s")
        return False

    def _verdict(self, chapter: Chapter) -> None:
        if chapter.healed:
            self._say("bold green", f"healed and proven in {chapter.seconds(chapter.proven_ms):.0f} s")
        else:
            self._say("bold red", f"not proven within {PROVEN_SECONDS:.0f} s")

    async def _watch(self, product: Product, done: Callable[[], bool], seconds: float) -> None:
        """Let events come in until `done`, or for so long. Raises `StageFailed` when Hallkeeper fell over."""
        deadline = self._clock.boottime_ns() + int(seconds * 1e9)
        while not done() and self._clock.boottime_ns() < deadline:
            why = product.failed()
            if why:
                raise StageFailed(why)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._news.wait()
            self._news.clear()

    async def _follow(self, bus: Bus) -> None:
        reader = await bus.reader(topics=[ALERTS, INCIDENTS, REMEDIATIONS], since_ms=self._clock.now_ms() - 5_000)
        while True:
            for record in await reader.fetch(timeout_seconds=1.0):
                if record.value is None:
                    continue
                with contextlib.suppress(Malformed, UnknownMajor):
                    for line in self._story.take(decode_event(record.value)):
                        self._tell(line)
                self._news.set()

    def _report(self, site: Site, ready: float, restored: bool | None) -> Report:
        changing = [entry for entry in site.ground_truth() if entry["verb"] not in LOGINS]
        wires = on_the_wire(self._story, changing, same=same_request)
        for number, chapter in enumerate(self._story.chapters):
            chapter.acted_ms = min(
                (wire.at_ms for wire in wires if wire.chapter == number and not wire.duplicate), default=None
            )
        return Report(
            ready_seconds=ready,
            chapters=tuple(self._story.chapters),
            wires=tuple(wires),
            pages=self._pages,
            restored=restored,
        )

    @contextlib.asynccontextmanager
    async def _pager(self) -> AsyncIterator[str]:
        """The webhook receiver that stands for on-call."""

        async def take(request: web.Request) -> web.Response:
            body = await request.json()
            self._pages += 1
            title = body["commonAnnotations"].get("summary", "")
            self._say(
                "dim",
                f"on-call    {body['status']:<9} {title} ({len(body['alerts'])} alerts, signed {request.headers.get('webhook-signature', '')[:10]}…)",
            )
            return web.Response()

        app = web.Application()
        app.add_routes([web.post("/page", take)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/page"
        finally:
            await runner.cleanup()

    def _say(self, style: str, text: str) -> None:
        self._tell(Line(at_ms=self._clock.now_ms(), style=style, text=text))


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over: only then may what it uses be closed."""
    task.cancel()
    await asyncio.wait([task])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays which part."""

    hung: str
    lost_gpu: str
    feed: str
    sibling: str
    rack_nodes: tuple[str, ...]
    idle: tuple[str, ...]
    limits: Mapping[str, float]
    """GPU power limits of the tight rack's nodes before anything happened, W."""

    def chapter(self, fault: str) -> Chapter:
        """The chapter of one fault."""
        match fault:
            case "hung-node":
                return Chapter(fault=fault, target=self.hung, assets=frozenset({self.hung}), playbook="node-hung")
            case "gpu-off-bus":
                return Chapter(
                    fault=fault, target=self.lost_gpu, assets=frozenset({self.lost_gpu}), playbook="gpu-fell-off-bus"
                )
            case "feed-loss":
                return Chapter(
                    fault=fault,
                    target=self.feed,
                    assets=frozenset({self.feed, self.sibling}),
                    playbook="phase-overload",
                )
            case _:
                raise StageFailed(f"no fault {fault!r} in the demo; try: hung-node, feed-loss, gpu-off-bus")

    def restored(self, state: Mapping[str, Any]) -> bool:
        """Whether the tight rack is as it was."""
        return all(
            state["nodes"][name]["gpu_limit_watts"] >= watts and all(state["nodes"][name]["outlets_on"])
            for name, watts in self.limits.items()
        )


def choose(state: Mapping[str, Any]) -> Cast:
    """Pick the parts: the tight rack is the last one; the two nodes run a job and stand in other racks."""
    nodes = state["nodes"]
    pdus = sorted(state["pdus"])
    feed, sibling = pdus[-2], pdus[-1]
    names = sorted(nodes)
    tight = tuple(names[-4:])
    busy = [name for name in names if nodes[name]["jobs"] and name not in tight]
    if len(busy) < 2:
        raise StageFailed("the site is too small for the demo; try: --nodes 16 or more")
    return Cast(
        hung=busy[len(busy) // 8],
        lost_gpu=busy[len(busy) // 2],
        feed=feed,
        sibling=sibling,
        rack_nodes=tight,
        idle=tuple(name for name in tight if not nodes[name]["jobs"]),
        limits={name: float(nodes[name]["gpu_limit_watts"]) for name in tight},
    )


def same_request(entry: Mapping[str, Any], intent: RemediationEvent) -> bool:
    """Whether a device's log entry is the request of an intent: the verb, the device, and every argument that both name."""
    given = {key: str(value) for key, value in entry["arguments"].items()}
    if given.get("intent"):
        return given["intent"] == intent.intent_id
    asked = {key: str(value) for key, value in intent.arguments.items()}
    if entry["verb"] != intent.verb or abs(entry["at_ms"] - intent.at_ms) > PROVEN_SECONDS * 1000:
        return False
    device = str(entry["device"]).split("/")[0]
    on_object = entry["server"] == "kubernetes"
    return (on_object or device in {intent.target, asked.get("asset"), asked.get("device")}) and all(
        given[key] == asked[key] for key in given.keys() & asked.keys()
    )
