"""One site, one Hallkeeper, real protocols: what is locked stays as it is, stop stops, a partition costs no act and one page.

The tests share one house and run in this order; each leaves it healed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from devices.orders import Order, State
from devices.wire.ipmi_writer import IpmiWriter
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.model import Wire
from fleet.secrets import read_secret
from tests.scenario.live.house import PATIENCE_SECONDS, House, house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(4 * PATIENCE_SECONDS)]

TIGHT_RACK, TIGHT_FEED = "r08", "pdu-r08-a"
"""The simulated site's last rack: without one of its feeds the other one is overloaded."""
HIDDEN = tuple(f"dgx-{number:03d}" for number in range(1, 13))
"""Twelve of the sixteen nodes of row-01."""
CYCLED = "dgx-018"
"""In row-02, away from the locked rack."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house"), nodes=32, racks=8) as built:
        await built.until(lambda: measured(built), "every target was read", seconds=PATIENCE_SECONDS)
        yield built


async def measured(here: House) -> bool:
    """Whether the rules see every node alive: nothing fires."""
    alerts = await here.api("/api/v1/alerts")
    return not any(alert["state"] == "firing" for alert in alerts)


def acts_of(here: House, after: int = 0) -> list[dict[str, Any]]:
    """State-changing requests that a device accepted."""
    return [entry for entry in here.seen(after) if entry["accepted"]]


def remediation_of(here: House, target: str, *phases: str, reason: str | None = None) -> Callable[[], Awaitable[Any]]:
    """Looks for a remediation of a target in one of the phases, for that reason."""

    async def look() -> Any:
        for found in await here.api("/api/v1/remediations"):
            because = (found["reason"] or {}).get("code")
            if found["target"] == target and found["phase"] in phases and reason in (None, because):
                return found
        return None

    return look


async def test_nothing_in_a_locked_rack_is_touched_until_it_is_unlocked(here):
    state = await here.state()
    rack = {name for name in state["nodes"] if name in {f"dgx-{number:03d}" for number in range(29, 33)}}
    hung = min(name for name in rack if state["nodes"][name]["jobs"])
    status, out, complaint = await here.hallkeeper("lockout", TIGHT_RACK, "--reason", "hands inside")
    assert (status, out, complaint) == (0, f"locked out {TIGHT_RACK} by operator\n", "")
    before = len(here.seen())

    feed = await here.break_("feed-loss", TIGHT_FEED)
    shed = await here.until(
        remediation_of(here, "pdu-r08-b", "escalated", reason="lockout"), "the shed is refused", seconds=90
    )
    assert TIGHT_RACK in shed["reason"]["text"]
    assert "hands inside" in shed["reason"]["text"]
    await here.heal(feed)

    await here.break_("hung-node", hung)
    cycle = await here.until(remediation_of(here, hung, "denied", reason="lockout"), "the cycle is refused", seconds=90)
    assert "hands inside" in cycle["reason"]["text"]
    await asyncio.sleep(10)  # ten rounds of the gates
    assert acts_of(here, before) == []
    touched = (await here.state())["nodes"]
    assert all(all(touched[name]["outlets_on"]) and touched[name]["boots"] == 0 for name in rack)
    assert (await remediation_of(here, hung, "denied", reason="lockout")()) is not None

    assert (await here.hallkeeper("unlock", TIGHT_RACK))[:2] == (0, f"unlocked {TIGHT_RACK}\n")
    await here.until(remediation_of(here, hung, "succeeded"), "unlocked, the node is cycled", seconds=150)
    assert [act["verb"] for act in acts_of(here, before) if act["device"] == hung] == ["power_off", "power_on"]
    assert (await here.state())["nodes"][hung]["state"] == "running"


async def test_stop_leaves_a_half_cycled_node_and_names_it_and_resume_reads_before_it_acts(here):
    before = len(here.seen())
    await here.break_("hung-node", CYCLED)

    async def is_off() -> bool:
        return any((act["device"], act["verb"]) == (CYCLED, "power_off") for act in acts_of(here, before))

    await here.until(is_off, "the node is switched off", seconds=90)
    status, out, _ = await here.hallkeeper("stop", "--reason", "wait")
    assert status == 0
    assert out.startswith("stopped: corrective")
    assert any(line.startswith("half done: ") and CYCLED in line for line in out.splitlines()), out

    stopped = await here.until(
        remediation_of(here, CYCLED, "denied", reason="stopped"), "the cycle is held", seconds=60
    )
    assert f"{CYCLED} is left" in stopped["reason"]["text"]
    assert "switched off" in stopped["reason"]["text"]
    held = len(here.seen())
    await asyncio.sleep(10)
    assert here.seen(held) == []
    assert "power_on" not in [act["verb"] for act in acts_of(here, before)]
    assert (await here.hallkeeper("stop"))[1].splitlines()[1:], "who asks again is told again"

    await switch_on_by_hand(here, CYCLED)
    assert (await here.hallkeeper("resume"))[:2] == (0, "resumed\n")
    await here.until(remediation_of(here, CYCLED, "succeeded"), "the cycle is brought to its end", seconds=150)
    ours = [act["verb"] for act in acts_of(here, before) if act["device"] == CYCLED]
    assert ours == ["power_off", "power_on"], "the only `on` is the technician's: it was read, and not sent again"


async def switch_on_by_hand(here: House, node: str) -> None:
    """A technician with the BMC's own credentials."""
    site = load_site(here.site.folder / "site.yaml")
    bmc = next(endpoint for endpoint in site.asset(node).endpoints if endpoint.wire is Wire.IPMI)
    clock = SystemClock()
    secret = read_secret(site.credentials_for(bmc, write=True), base=site.base)
    order = Order(
        intent="by-hand", asset=node, verb="power_on", arguments={}, endpoint=bmc, secret=secret,
        not_after_boottime_ns=clock.boottime_ns() + 30_000_000_000, effect_latency_seconds=5.0,
    )  # fmt: skip
    verdict = await IpmiWriter(clock).act(order, lambda _state: None)
    assert verdict.state in {State.ACKNOWLEDGED, State.FENCED}, verdict


async def test_a_partition_that_hides_twelve_nodes_costs_no_act_and_one_page(here):
    before, told = len(here.seen()), len(here.pager.told)
    fault = await here.break_("partition", *HIDDEN)
    begun = time.monotonic()

    async def paged() -> bool:
        return any(body["notification_reason"] == "page" for body in here.pager.told[told:])

    await here.until(paged, "a person is told", seconds=60)
    await asyncio.sleep(max(0.0, 40 - (time.monotonic() - begun)))
    await here.heal(fault)

    async def over() -> bool:
        alerts = await here.api("/api/v1/alerts")
        return not any(alert["state"] == "firing" for alert in alerts)

    await here.until(over, "every node is seen again", seconds=90)
    assert acts_of(here, before) == []
    pages = [body for body in here.pager.told[told:] if body["notification_reason"] == "page"]
    assert len({body["groupLabels"]["incident"] for body in pages}) == 1, [
        body["commonAnnotations"]["summary"] for body in pages
    ]
    assert len(pages) == 1
    nodes = (await here.state())["nodes"]
    assert all(nodes[name]["state"] == "running" for name in HIDDEN)
