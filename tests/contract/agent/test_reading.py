"""Our reader against our daemon, over real HTTPS: what one says the other understands, in every turn of events."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from collectors.agent import AgentPoller, open_poller
from devices.reading import STALE
from fleet.clock import SystemClock
from fleet.errors import Refused, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.certificates import Authority
from tests.contract.agent.nodes import READ_TOKEN, Node, running

DUE = frozenset({"agent"})
XID = "NVRM: Xid (PCI:0000:0f:00): {}, pid=1, name=x"


def endpoint(url: str) -> Endpoint:
    return Endpoint(
        asset=AssetId("dgx-001"),
        name="agent",
        wire=Wire.AGENT,
        address=url,
        profile="agent",
        credentials="agent",
        job="agent",
    )


def secret(authority: Authority, token: str = READ_TOKEN) -> Secrets:
    return Secrets({"token": token, "ca": str(authority.path)})


@pytest.fixture
async def poller(node: Node) -> AsyncIterator[AgentPoller]:
    made = open_poller(endpoint(node.url), secret(node.authority), None, SystemClock())
    yield made
    await made.close()


async def news(node: Node, *codes: int) -> None:
    waiting = node.agent._kernel.news
    node.kernel.write(*(XID.format(code) for code in codes))
    await waiting.wait()


async def test_a_node_is_read_into_the_metrics_of_the_register(poller: AgentPoller) -> None:
    (reading,) = (await poller.poll(DUE)).readings
    found = dict(zip(reading.series, reading.values.tolist(), strict=True))
    assert found[("agent_gpu_count", ())] == 2.0
    assert found[("agent_gpu_power_watts", (("gpu", "1"),))] == 300.5
    assert found[("agent_gpu_power_limit_watts", (("gpu", "0"),))] == 700.0
    assert found[("agent_gpu_min_power_limit_watts", (("gpu", "0"),))] == 200.0
    assert found[("agent_up_seconds", ())] > 0
    assert abs(found[("agent_clock_offset_seconds", ())]) < 1
    assert found[("agent_heartbeat_timestamp_seconds", ())] > 1_700_000_000


async def test_each_xid_is_told_once_in_order_with_its_gpu_and_gravity(poller: AgentPoller, node: Node) -> None:
    await news(node, 79, 43)
    await news(node, 13)
    events = (await poller.poll(DUE)).events
    assert [(event.kind, event.code, event.severity) for event in events] == [
        ("xid", "79", "critical"),
        ("xid", "43", "info"),
        ("xid", "13", "warning"),
    ]
    assert events[0].labels["gpu"] == "0"
    assert (events[0].asset, events[0].source) == ("dgx-001", "dgx-001/agent")
    assert (await poller.poll(DUE)).events == ()


async def test_a_collector_that_started_again_tells_the_same_events_with_the_same_ids(poller, node: Node) -> None:
    await news(node, 79)
    first = (await poller.poll(DUE)).events
    other = open_poller(endpoint(node.url), secret(node.authority), None, SystemClock())
    again = (await other.poll(DUE)).events
    await other.close()
    assert [event.event_id() for event in again] == [event.event_id() for event in first]


async def test_a_restart_of_the_agent_loses_no_event_and_a_new_boot_is_told(tmp_path: Path, authority) -> None:
    folder = tmp_path / "n"
    async with running(folder, authority) as node:
        poller = open_poller(endpoint(node.url), secret(authority), None, SystemClock())
        await news(node, 79)
        await poller.poll(DUE)
        await news(node, 48)
        port = node.agent.port
    with pytest.raises(Unreachable, match="systemctl status"):
        await poller.poll(DUE)
    async with running(folder, authority, boot_id="boot-2", listen=f"127.0.0.1:{port}"):
        events = (await poller.poll(DUE)).events
        assert [(event.kind, event.code) for event in events] == [("boot", "boot"), ("xid", "48")]
        assert (await poller.poll(DUE)).events == ()
    await poller.close()


async def test_a_memory_that_was_lost_is_read_from_its_start(tmp_path: Path, authority) -> None:
    async with running(tmp_path / "a", authority) as node:
        poller = open_poller(endpoint(node.url), secret(authority), None, SystemClock())
        for code in range(1, 6):
            await news(node, code)
        assert len((await poller.poll(DUE)).events) == 5
        port = node.agent.port
    async with running(tmp_path / "b", authority, listen=f"127.0.0.1:{port}") as node:
        await news(node, 48)
        assert [event.code for event in (await poller.poll(DUE)).events] == ["48"]
    await poller.close()


async def test_overwritten_events_are_told_as_a_gap(poller, node: Node, monkeypatch) -> None:
    await news(node, 79)
    await poller.poll(DUE)
    monkeypatch.setattr("agent.store.EVENTS_LIMIT", 2)
    await news(node, 1, 2, 3, 4)
    events = (await poller.poll(DUE)).events
    assert [(event.kind, event.code) for event in events] == [("agent", "events_lost"), ("xid", "3"), ("xid", "4")]
    assert "2 to 3" in events[0].text


async def test_gpus_that_fell_silent_are_stale_and_not_counted_as_none(poller, node: Node) -> None:
    (before,) = (await poller.poll(DUE)).readings
    node.gpus.fault = Unreachable("silent")
    with pytest.raises(Unreachable):
        await node.agent._gpus.ask()
    (after,) = (await poller.poll(DUE)).readings
    assert after.series is before.series
    for series, value in zip(after.series, after.values, strict=True):
        stale = value.view(np.uint64) == STALE.view(np.uint64)
        assert stale == series[0].startswith("agent_gpu")


async def test_a_node_whose_readings_hang_still_proves_that_it_lives(poller, node: Node, monkeypatch) -> None:
    async def hang(_request):
        raise Unreachable("disk")

    monkeypatch.setattr(node.agent._checkpoints, "ages", lambda: hang(None))
    first, second = await poller.poll(DUE), await poller.poll(DUE)
    assert ("agent_up_seconds", ()) in first.readings[0].series
    assert [event.code for event in first.events] == ["readings_lost"]
    assert second.events == ()


@pytest.mark.parametrize("token", ["x" * 32, READ_TOKEN[:-1]])
async def test_a_wrong_token_is_refused_with_what_to_try_and_never_shown(node: Node, token: str) -> None:
    made = open_poller(endpoint(node.url), secret(node.authority, token), None, SystemClock())
    with pytest.raises(Refused, match="try the token") as caught:
        await made.poll(DUE)
    assert token not in str(caught.value)
    await made.close()


async def test_another_authority_is_refused_with_what_to_try(node: Node, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    made = open_poller(endpoint(node.url), secret(other), None, SystemClock())
    with pytest.raises(Refused, match="try the `ca`"):
        await made.poll(DUE)
    await made.close()


@pytest.mark.parametrize(
    ("address", "values", "what"),
    [
        ("http://127.0.0.1:1", {"token": "t" * 32}, "https://host:port"),
        ("https://", {"token": "t" * 32}, "https://host:port"),
        ("https://u:p@127.0.0.1:1", {"token": "t" * 32}, "https://host:port"),
        ("https://127.0.0.1:99999", {"token": "t" * 32}, "https://host:port"),
        ("https://127.0.0.1:1", {}, "token"),
        ("https://127.0.0.1:1", {"token": "a\r\nX: y"}, "token"),
        ("https://127.0.0.1:1", {"token": "t" * 32, "ca": "/nonexistent/ca.pem"}, "`ca` with a PEM file"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    address: str, values: dict[str, str], what: str
) -> None:
    with pytest.raises(Refused, match=what):
        open_poller(endpoint(address), Secrets(values), None, SystemClock())


def test_an_agent_without_credentials_is_refused() -> None:
    with pytest.raises(Refused, match="credentials"):
        open_poller(endpoint("https://127.0.0.1:1"), None, None, SystemClock())
