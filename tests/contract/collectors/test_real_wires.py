"""The collectors over real sockets onto the real embedded bus: SNMP agents and exporters, one of each kind dead."""

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from bus.frames import Frame, decode
from bus.port import open_bus
from bus.topics import FRAMES
from collectors.service import CollectorService
from fleet.clock import SystemClock
from fleet.model import CredentialRefs, Site
from fleet.settings import Settings
from tests.peers.snmp_agent import encoded, oid, serving
from tests.peers.targets import exporter_endpoint, node, pdu_endpoint, site_of

PAGE = b"# TYPE DCGM_FI_DEV_GPU_TEMP gauge\n" + b"".join(
    b'DCGM_FI_DEV_GPU_TEMP{gpu="%d"} 61\n' % gpu for gpu in range(8)
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
INLETS = {
    oid(f"1.3.6.1.4.1.534.6.6.7.3.{column}.0.1.1"): encoded("2", str(raw))
    for column, raw in (
        ("2.1.2", 1),
        ("2.1.3", 230_000),
        ("3.1.2", 1),
        ("3.1.4", 9_000),
        ("4.1.2", 1),
        ("4.1.4", 2_070),
    )
}
SECONDS = 6.0


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def hall(stack: AsyncExitStack, folder: Path) -> Site:
    """Sixteen PDUs of which one is a black hole, and four exporters of which one refuses connections."""
    secret = folder / "read.yaml"
    secret.touch(mode=0o600)
    secret.write_text('version: "2c"\ncommunity: public\n')
    hole = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    hole.bind(("127.0.0.1", 0))
    endpoints = [pdu_endpoint(f"127.0.0.1:{hole.getsockname()[1]}", asset="pdu-dead")]
    for number in range(15):
        agent = await stack.enter_async_context(serving(dict(INLETS)))
        endpoints.append(pdu_endpoint(agent.address, asset=f"pdu-{number:02d}"))
    closed = stack.enter_context(socket.socket())
    closed.bind(("127.0.0.1", 0))
    endpoints.append(exporter_endpoint(f"http://127.0.0.1:{closed.getsockname()[1]}/metrics", asset="dgx-dead"))
    for number in range(3):
        server = await stack.enter_async_context(await asyncio.start_server(serve_page, "127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
        endpoints.append(exporter_endpoint(url, asset=f"dgx-{number:02d}"))
    assets = [node(replace(one, credentials="pdu" if one.job == "snmp" else None)) for one in endpoints]
    site = site_of(*assets)
    return replace(site, credentials={"pdu": CredentialRefs(read=f"file:{secret}")})


async def test_every_living_device_is_on_the_bus_every_second_beside_dead_ones(tmp_path: Path) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        site = await hall(stack, tmp_path)
        bus = await open_bus("embedded", data=tmp_path, clock=clock, partitions=2)
        registry = CollectorRegistry()
        service = CollectorService(site, bus, clock, Settings(), registry)
        running = asyncio.create_task(service.run())
        await asyncio.wait([running], timeout=SECONDS)
        assert service.not_ready() is None
        exposed = generate_latest(registry).decode()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        reader = await bus.reader(topics=[FRAMES])
        frames: dict[str, int] = {}
        while records := await reader.fetch(timeout_seconds=0.2):
            for record in records:
                found = decode(record.value or b"")
                if isinstance(found, Frame) and len(found) > 1:
                    frames[found.source] = frames.get(found.source, 0) + 1
        await reader.close()
        await bus.close()
    living = {endpoint.source for endpoint in site.endpoints() if "dead" not in endpoint.source}
    assert {source: count for source, count in frames.items() if source in living and count < SECONDS - 2} == {}
    assert living <= set(frames)
    assert not [source for source in frames if "dead" in source]
    for job in ("snmp", "dcgm"):
        assert registry.get_sample_value("hallkeeper_polls_total", {"job": job, "outcome": "unreachable"})
    assert 'hallkeeper_targets{job="dcgm",state="here"}' in exposed
