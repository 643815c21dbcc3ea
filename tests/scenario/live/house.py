"""A whole house for the live tests: the simulated site, Hallkeeper over it, a pager, and an end that leaves no process alive."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from fleet.clock import SystemClock
from hallkeeper.demo import stage
from hallkeeper.demo.installation import install
from hallkeeper.demo.stage import Product, Site

MARK = "HALLKEEPER_LIVE_TEST"
"""In the environment of everything that a live test starts, with a word of its own: so it is found again in /proc."""
PATIENCE_SECONDS = 90.0
"""For a start on a machine that others work on too."""
POWER_VERBS = frozenset({"power_on", "power_off", "power_cycle", "power_reset", "outlet_on", "outlet_off", "reset"})


@contextlib.contextmanager
def marked() -> Iterator[str]:
    """A word that every process started inside carries; whatever carries it still at the end is killed by its pid."""
    word, before = secrets.token_hex(8), os.environ.get(MARK)
    os.environ[MARK] = word
    try:
        yield word
    finally:
        if before is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = before
        for pid in carriers(word):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def carriers(word: str) -> dict[int, str]:
    """Pid → command line of every living process that was started with the word, whoever its parent is now."""
    wanted, found = f"{MARK}={word}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.name != str(os.getpid()) and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return {pid: command for pid, command in found.items() if command}


async def all_gone(word: str, *, seconds: float = 10.0) -> dict[int, str]:
    """What carries the word still, after a moment in which what is ending may end."""
    deadline = time.monotonic() + seconds
    while (left := carriers(word)) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return left


def names_of(word: str) -> dict[str, int]:
    """Name → pid of the processes that carry the word and go by a name of ours (hk-rules, …)."""
    found = {}
    for pid in carriers(word):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name.startswith("hk-"):
                found[name] = pid
    return found


def parent_of(pid: int) -> int:
    """The parent's pid."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def sockets_below(folder: Path) -> list[str]:
    """Unix sockets that lie in a folder."""
    return [str(path) for path in folder.rglob("*") if path.is_socket()]


@dataclass
class Pager:
    """A webhook receiver that keeps what it is told."""

    address: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)

    def pages(self, after: int = 0) -> list[tuple[str, str]]:
        """Incident and title of every page after the first so many notices: it fires, and an alert says page."""
        return [
            (body["groupLabels"]["incident"], body["commonAnnotations"]["summary"])
            for body in self.told[after:]
            if body["status"] == "firing" and any(alert["labels"].get("page") == "true" for alert in body["alerts"])
        ]


@contextlib.asynccontextmanager
async def pager() -> AsyncIterator[Pager]:
    """A pager on a loopback port of its own."""
    kept = Pager()

    async def take(request: web.Request) -> web.Response:
        kept.told.append(await request.json())
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/page", take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    kept.address = f"http://127.0.0.1:{runner.addresses[0][1]}/page"
    try:
        yield kept
    finally:
        await runner.cleanup()


class House:
    """What a live test has in its hands."""

    def __init__(self, folder: Path, site: Site, product: Product, settings: Path, pager: Pager, word: str) -> None:
        self.folder, self.site, self.product, self.settings, self.pager, self.word = (
            folder, site, product, settings, pager, word,
        )  # fmt: skip
        self.data = folder / "data"
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

    def supervisor(self) -> int:
        """The pid of `hallkeeper run`."""
        return next(
            pid for pid, command in carriers(self.word).items()
            if command.endswith(f"run --settings {self.settings}") and parent_of(pid) == os.getpid()
        )  # fmt: skip

    def log(self) -> list[dict[str, Any]]:
        """The lines that Hallkeeper logged so far."""
        return lines_of(self.folder / "hallkeeper.log")

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Log lines of an event with these fields."""
        return [line for line in self.log() if line.get("event") == event and fields.items() <= line.items()]

    async def page_of(self, service: str) -> str:
        """A daemon's own page of metrics, at the address that it logged last."""
        address = self.logged("listening", service=service)[-1]["address"]
        async with self.http.get(f"http://{address}/metrics") as answer:
            return await answer.text()

    async def api(self, path: str) -> Any:
        """One read of the console."""
        async with self.http.get(f"http://{self.product.address}{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def state(self) -> Any:
        """What is so in truth."""
        return await self.site.ask("GET", "/state")

    async def break_(self, fault: str, *targets: str, **arguments: Any) -> str:
        """Inject a fault; its number, for `heal`."""
        return (await self.site.ask("POST", "/faults", {"fault": fault, "targets": list(targets), **arguments}))["id"]

    async def heal(self, number: str) -> None:
        """End a fault."""
        await self.site.ask("DELETE", f"/faults/{number}")

    def seen(self, after: int = 0) -> list[dict[str, Any]]:
        """State-changing requests that the devices saw after the first so many."""
        return self.site.ground_truth()[after:]

    async def hallkeeper(self, *arguments: str) -> tuple[int, str, str]:
        """The command line with this installation's settings: status, stdout, stderr."""
        return await hallkeeper(*arguments, "--settings", str(self.settings))

    async def until(self, found: Callable[[], Awaitable[Any]], what: str, *, seconds: float) -> Any:
        """Look again and again until something is found; fails with what Hallkeeper logged last."""
        deadline = time.monotonic() + seconds
        while True:
            answer = await found()
            if answer:
                return answer
            assert self.product.failed() is None, self.product.failed()
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{await self.story()}"
            await asyncio.sleep(0.3)

    async def tried(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """The look's answer; false while nobody answers it."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            return await look()
        return False

    def ours(self) -> dict[int, str]:
        """Every process of the product: all that carries the word, without the simulator."""
        return {pid: command for pid, command in carriers(self.word).items() if "-m simulator" not in command}

    async def story(self) -> str:
        """What happened, for whoever reads a failure."""
        acts = [
            f"  {each['playbook']} {each['target']} {each['phase']} {each['step']} {each['reason']}"
            for each in await self.api("/api/v1/remediations")
        ]
        incidents = [
            f"  {each['title']} {each['state']} pages={each['pages']} " + "; ".join(m["text"] for m in each["timeline"])
            for each in await self.api("/api/v1/incidents")
        ]
        log = (self.folder / "hallkeeper.log").read_text(errors="replace").splitlines()[-25:]
        return "\n".join(["remediations", *acts, "incidents", *incidents, "log", *log])


async def hallkeeper(*arguments: str, seconds: float = PATIENCE_SECONDS) -> tuple[int, str, str]:
    """One run of the command line to its end: status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hallkeeper",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            out, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), complaint.decode()


@contextlib.asynccontextmanager
async def house(folder: Path, *, nodes: int, racks: int, idle: Sequence[str] = ()) -> AsyncIterator[House]:
    """Site, pager and Hallkeeper, all up; all gone afterwards, by pid if need be."""
    stage.READY_SECONDS = stage.SIMULATOR_SECONDS = PATIENCE_SECONDS
    with marked() as word:
        async with contextlib.AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(pager())
            site = Site(folder, nodes=nodes, seed=1, racks=racks)
            stack.push_async_callback(site.stop)
            await site.start()
            settings = install(
                folder,
                site.folder / "site.yaml",
                bus="embedded",
                webhook=receiver.address,
                idle=tuple(idle),
                clock=SystemClock(),
            )
            product = Product(folder, settings)
            stack.push_async_callback(product.stop)
            await product.start()
            here = House(folder, site, product, settings, receiver, word)
            stack.push_async_callback(here.http.close)
            yield here


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The JSON lines of a log."""
    lines = log.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
