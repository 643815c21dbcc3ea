"""A driver for a peer that answers over HTTP: asks every URL once a second and counts the samples in the answers.

Part of the load, its CPU is not counted. What it counted so far lies in a file.
"""

import argparse
import asyncio
import json
import signal
import tempfile
from pathlib import Path

import aiohttp
import uvloop

PATIENCE = aiohttp.ClientTimeout(total=30)


async def drive(urls: list[str], counted: Path) -> None:
    """Spread the URLs over the second and ask each of them every second until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    total = 0

    async def ask(session: aiohttp.ClientSession, url: str, offset: float) -> None:
        nonlocal total
        await asyncio.sleep(offset)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not ended.is_set():
            async with session.get(url) as answer:
                page = await answer.read()
            if answer.status == 200:
                total += page.count(b"\noutlet_")
            due += 1.0
            await asyncio.sleep(max(due - loop.time(), 0.0))

    async def tell() -> None:
        while not ended.is_set():
            counted.with_suffix(".new").write_text(str(total))
            counted.with_suffix(".new").replace(counted)
            await asyncio.sleep(0.2)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session, asyncio.TaskGroup() as group:
        for number, url in enumerate(urls):
            group.create_task(ask(session, url, number / len(urls)))
        group.create_task(tell())


def main() -> None:
    """Say where the count lies, then drive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--urls", required=True, help="JSON list")
    urls = json.loads(parser.parse_args().urls)
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        counted = Path(folder) / "counted"
        counted.write_text("0")
        print(json.dumps({"counted": str(counted)}), flush=True)
        uvloop.run(drive(urls, counted))


if __name__ == "__main__":
    main()
