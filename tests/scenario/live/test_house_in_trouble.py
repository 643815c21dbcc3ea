"""One site, one Hallkeeper, real protocols: what is locked stays as it is, stop stops, a partition costs no act and one page.

The tests share one house and run in this order; each leaves it healed.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
import yaml

from devices.orders import Order, State
from devices.wire.ipmi_writer import IpmiWriter
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.model import Wire
from fleet.secrets import read_secret
from hallkeeper.commands.run import LANES, SERVICES
from tests.scenario.live.house import PATIENCE_SECONDS, House, house, names_of, sockets_below

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(4 * PATIENCE_SECONDS)]

LOCKED_RACK, LOST_FEED, OTHER_FEED = "r08", "pdu-r08-a", "pdu-r08-b"
"""The simulated site's last rack: without one of its feeds the other one is overloaded."""
HUNG = "dgx-029"
"""In the locked rack; it runs a job."""
HIDDEN = tuple(f"dgx-{number:03d}" for number in range(1, 13))
"""Twelve of the sixteen nodes of row-01."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house"), nodes=32, racks=8) as built:
        await built.until(lambda: measured(built), "every target was read", seconds=PATIENCE_SECONDS)
        yield built


async def measured(here: House) -> bool:
    """Whether the rules see every node alive: nothing fires for one."""
    alerts = await here.api("/api/v1/alert-events")
    return not any(alert["state"] == "firing" and "node" in alert["labels"] for alert in alerts)


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
    status, out, complaint = await here.hallkeeper("lockout", LOCKED_RACK, "--reason", "hands inside")
    assert (status, out, complaint) == (0, f"locked out {LOCKED_RACK} by operator\n", "")
    before = len(here.seen())

    feed = await here.break_("feed-loss", LOST_FEED)
    shed = await here.until(
        remediation_of(here, OTHER_FEED, "escalated", reason="lockout"), "the shed is refused", seconds=90
    )
    assert f"{LOCKED_RACK} is locked out by operator: hands inside" in shed["reason"]["text"]
    await here.heal(feed)

    await here.break_("hung-node", HUNG)
    held = remediation_of(here, HUNG, "denied", reason="lockout")
    cycle = await here.until(held, "the cycle is refused", seconds=90)
    assert f"{LOCKED_RACK} is locked out by operator: hands inside" in cycle["reason"]["text"]
    await asyncio.sleep(10)  # ten rounds of the gates
    assert await held() is not None
    assert acts_of(here, before) == []
    nodes = (await here.state())["nodes"]
    assert nodes[HUNG]["state"] == "hung"
    assert all(all(node["outlets_on"]) and node["boots"] == 0 for node in nodes.values())

    assert (await here.hallkeeper("unlock", LOCKED_RACK))[:2] == (0, f"unlocked {LOCKED_RACK}\n")
    await here.until(switched_off(here, before), "unlocked, it goes on: the node is switched off", seconds=90)


def switched_off(here: House, before: int) -> Callable[[], Awaitable[bool]]:
    """Looks for the hung node's `power_off` among what its BMC accepted."""

    async def look() -> bool:
        return (HUNG, "power_off") in [(act["device"], act["verb"]) for act in acts_of(here, before)]

    return look


async def test_stop_leaves_a_half_cycled_node_and_names_it_and_resume_reads_before_it_acts(here):
    """It goes on with the node that the test before it left switched off a moment ago."""
    assert await switched_off(here, 0)()
    status, out, _ = await here.hallkeeper("stop", "--reason", "wait")
    assert status == 0
    assert out.startswith("stopped: corrective")
    assert any(line.startswith("half done: ") and HUNG in line for line in out.splitlines()), out

    stopped = await here.until(remediation_of(here, HUNG, "denied", reason="stopped"), "the cycle is held", seconds=60)
    assert f"{HUNG} is left cordoned and switched off" in stopped["reason"]["text"]
    held = len(here.seen())
    await asyncio.sleep(10)
    assert here.seen(held) == []
    told_again = (await here.hallkeeper("stop"))[1].splitlines()
    assert told_again[1].startswith(f"half done: {HUNG} is left cordoned and switched off"), told_again

    await switch_on_by_hand(here, HUNG)
    assert (await here.hallkeeper("resume"))[:2] == (0, "resumed\n")
    await here.until(remediation_of(here, HUNG, "succeeded"), "the cycle is brought to its end", seconds=150)
    acts = [act["verb"] for act in acts_of(here) if act["device"] == HUNG]
    assert acts == ["power_off", "power_on"], "the only `on` is the technician's: it was read, and not sent again"
    assert (await here.state())["nodes"][HUNG]["state"] == "running"


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
        return bool(here.pager.pages(told))

    await here.until(paged, "a person is told", seconds=60)
    await asyncio.sleep(max(0.0, 40 - (time.monotonic() - begun)))
    await here.heal(fault)
    await here.until(lambda: measured(here), "every node is seen again", seconds=90)
    assert acts_of(here, before) == []
    assert len(here.pager.pages(told)) == 1, here.pager.pages(told)
    nodes = (await here.state())["nodes"]
    assert all(nodes[name]["state"] == "running" and nodes[name]["boots"] == 0 for name in HIDDEN)


async def test_a_service_that_is_killed_comes_back_and_the_others_never_notice(here):
    before, told = names_of(here.word), len(here.pager.told)
    assert len(before) == len(SERVICES) + len(LANES), before
    os.kill(before["hk-rules"], signal.SIGKILL)

    async def back() -> bool:
        return names_of(here.word).get("hk-rules", before["hk-rules"]) != before["hk-rules"]

    await here.until(back, "another rules process", seconds=60)

    async def at_work() -> bool:
        return "hallkeeper_rules_evaluations_total" in await here.page_of("rules")

    await here.until(lambda: here.tried(at_work), "it answers for itself", seconds=60)
    after = names_of(here.word)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"hk-rules"}
    assert [line["child"] for line in here.logged("restarting")] == ["rules"]
    assert here.pager.pages(told) == []


async def test_a_broken_site_file_is_refused_on_reload_and_the_old_one_stays(here):
    site = here.site.folder / "site.yaml"
    good = site.read_text()
    site.write_text(good.replace("zone: 1", "zone: one", 1))
    try:
        os.kill(here.supervisor(), signal.SIGHUP)
        await here.until(reload_was(here, 0), "every daemon refuses it", seconds=60)
    finally:
        site.write_text(good)
    refusals = here.logged("reload refused, the old files stay in force")
    assert {line["service"] for line in refusals} == set(SERVICES)
    assert all(re.search(rf"{site}:\d+:\d+: .*zone.*, try ", line["why"]) for line in refusals)
    kept = here.logged("site not read again, the old one stays")
    assert {line["service"] for line in kept} == {f"actuator-{lane}" for lane in LANES}
    polls = polls_of(await here.page_of("collectors"))

    async def polled() -> bool:
        return polls_of(await here.page_of("collectors")) > polls

    await here.until(polled, "the old site is polled on", seconds=30)


async def test_a_changed_site_file_is_taken_on_reload_by_the_same_processes(here):
    site, told, before = here.site.folder / "site.yaml", len(here.pager.told), names_of(here.word)
    document = yaml.safe_load(site.read_text())
    document["protected"].remove(document["fabric"]["switches"].pop()["name"])
    with site.open("w") as out:
        yaml.safe_dump(document, out)
    assert 'hallkeeper_targets{job="fabric",state="here"} 2.0' in await here.page_of("collectors")
    os.kill(here.supervisor(), signal.SIGHUP)

    async def taken() -> bool:
        return 'hallkeeper_targets{job="fabric",state="here"} 1.0' in await here.page_of("collectors")

    await here.until(lambda: here.tried(taken), "the switch is no target any more", seconds=60)
    await here.until(reload_was(here, 1), "every daemon has taken it", seconds=60)
    await here.until(lambda: here.tried(ready(here)), "every daemon is ready again", seconds=60)
    assert names_of(here.word) == before
    assert here.pager.pages(told) == []


def ready(here: House) -> Callable[[], Awaitable[bool]]:
    """Looks whether every daemon says that it is ready."""

    async def look() -> bool:
        for service in SERVICES:
            address = here.logged("listening", service=service)[-1]["address"]
            async with here.http.get(f"http://{address}/readyz") as answer:
                if answer.status != 200:
                    return False
        return True

    return look


def reload_was(here: House, value: int) -> Callable[[], Awaitable[bool]]:
    """Looks whether every daemon says so of its last reload."""

    async def look() -> bool:
        pages = [await here.page_of(service) for service in SERVICES]
        return all(f"hallkeeper_config_last_reload_successful {value:.1f}" in page for page in pages)

    return lambda: here.tried(look)


def polls_of(page: str) -> float:
    """How many polls a collector has made."""
    lines = page.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("hallkeeper_polls_total"))


async def test_sigterm_leaves_no_process_and_no_socket_behind(here):
    """The last test: the house is empty after it."""
    ours = here.ours()
    assert len(ours) > len(SERVICES) + len(LANES)
    assert sockets_below(here.data) != []
    await here.product.stop()
    deadline = time.monotonic() + 10
    while (left := ours.keys() & here.ours().keys()) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)  # the fork server ends a moment after the supervisor
    assert left == set()
    assert sockets_below(here.data) == []
    assert here.logged("killed: did not drain in time") == []
    assert here.logged("did not drain in time") == []
    assert [line for line in here.log() if "exception" in line] == []
