"""What the actuator refuses, right up to the send."""

import asyncio
from pathlib import Path

import pytest

from devices.orders import State
from fleet.model import AssetId
from remediator.verbs import Lane
from remediator.wiring import QUARANTINE, Quarantine
from tests.faults.write_lab import Lab, all_of, ask
from tests.faults.write_site import intent, lock_out


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize(
    "locked", ["dgx-001", "r01", "row-01", "hall-1", "small", "pdu-a", "pdu-a#1", "busbar-a", "sub-a"]
)
async def test_a_lockout_on_the_asset_or_anything_it_hangs_on_blocks_off_and_on(lab: Lab, locked: str) -> None:
    lock_out(lab.data, locked)
    async with lab.actuator() as actuator:
        for number, verb in enumerate(("power_off", "power_on")):
            answers = await ask(actuator, intent(f"i{number}", verb))
            assert answers[-1].state is State.NOT_SENT
            assert "locked out by ann: hands in the rack" in answers[-1].text
    assert lab.writer.orders == []


@pytest.mark.parametrize("locked", ["dgx-002", "pdu-a", "pdu-a#2", "r01"])
async def test_a_lockout_on_what_an_outlet_feeds_blocks_the_outlet(lab: Lab, locked: str) -> None:
    lock_out(lab.data, locked)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1", "outlet_on", "pdu-a", arguments={"outlet": "2"}))
    assert answers[-1].state is State.NOT_SENT
    assert lab.writer.orders == []


async def test_a_lockout_on_the_node_blocks_its_cordon(lab: Lab) -> None:
    lock_out(lab.data, "dgx-002")
    async with lab.actuator() as actuator:
        blocked = await ask(actuator, intent("i1", "cordon", "k8s-1", arguments={"node": "dgx-002"}))
        free = await ask(actuator, intent("i2", "cordon", "k8s-1", arguments={"node": "dgx-001"}))
    assert blocked[-1].state is State.NOT_SENT
    assert free[-1].state is State.ACKNOWLEDGED


async def test_a_lockout_elsewhere_blocks_nothing(lab: Lab) -> None:
    lock_out(lab.data, "dgx-002")
    async with lab.actuator() as actuator:
        assert (await ask(actuator, intent("i1")))[-1].state is State.ACKNOWLEDGED


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": 1}', ""])
async def test_lockouts_that_cannot_be_read_block_everything(lab: Lab, content: str) -> None:
    (lab.data / "lockouts.json").write_text(content)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert lab.writer.orders == []


async def test_a_lockout_thrown_while_the_session_is_opened_still_stops_the_send(lab: Lab) -> None:
    lab.writer.before_the_send = lambda: lock_out(lab.data, "r01")
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert "locked out" in answers[-1].text
    assert lab.writer.sends == 0


@pytest.mark.parametrize(
    ("content", "lane", "stopped"),
    [
        ("corrective", Lane.CORRECTIVE, True),
        ("corrective", Lane.PROTECTIVE, False),
        ("all", Lane.CORRECTIVE, True),
        ("all", Lane.PROTECTIVE, True),
        ("nonsense", Lane.PROTECTIVE, True),
    ],
)
async def test_the_stop_file_stops_its_lanes(lab: Lab, content: str, lane: Lane, stopped: bool) -> None:
    (lab.data / "stop").write_text(content)
    async with lab.actuator(lane) as actuator:
        answers = await ask(actuator, intent("i1"))
    assert (answers[-1].state is State.NOT_SENT) == stopped


async def test_a_stop_thrown_while_the_session_is_opened_still_stops_the_send(lab: Lab) -> None:
    lab.writer.before_the_send = lambda: (lab.data / "stop").write_text("all")
    async with lab.actuator() as actuator:
        assert (await ask(actuator, intent("i1")))[-1].state is State.NOT_SENT
    assert lab.writer.sends == 0


async def test_an_older_leader_is_not_obeyed_not_even_after_a_restart(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        await ask(actuator, intent("i1", epoch=7))
        assert "epoch 6 is over" in (await ask(actuator, intent("i2", epoch=6)))[-1].text
    async with lab.actuator() as restarted:
        assert "epoch 6 is over" in (await ask(restarted, intent("i3", epoch=6)))[-1].text
        assert (await ask(restarted, intent("i4", epoch=7)))[-1].state is State.ACKNOWLEDGED
    assert (lab.data / "epoch-corrective").read_text() == "7\n"


async def test_a_new_leader_that_comes_during_the_login_stops_the_old_ones_send(lab: Lab) -> None:
    lab.writer.hold_before = asyncio.Event()
    async with lab.actuator() as actuator:
        old = asyncio.create_task(all_of(actuator.take(intent("i1", epoch=7))))
        await asyncio.sleep(0.01)
        actuator.take(intent("i2", asset="dgx-002", epoch=8))
        await asyncio.sleep(0.01)
        lab.writer.hold_before.set()
        answers = await old
    assert answers[-1].state is State.NOT_SENT
    assert "epoch 7 is over" in answers[-1].text


@pytest.mark.parametrize(
    ("verb", "asset", "arguments", "text"),
    [
        ("open_breaker", "dgx-001", {}, "is no verb"),
        ("power_off", "dgx-00x", {}, "try 'dgx-00"),
        ("power_off", "pdu-a", {}, "has no ipmi endpoint"),
        ("outlet_off", "pdu-a", {}, "is no outlet"),
        ("outlet_off", "pdu-a", {"outlet": "77"}, "no asset"),
        ("power_off", "vault", {}, "vault is protected"),
        ("outlet_off", "pdu-a", {"outlet": "3"}, "vault is protected"),
    ],
)
async def test_what_makes_no_sense_or_is_protected_is_refused_with_what_to_try(
    lab: Lab, verb: str, asset: str, arguments: dict[str, object], text: str
) -> None:
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1", verb, asset, arguments=arguments))
    assert answers[-1].state is State.NOT_SENT
    assert text in answers[-1].text
    assert lab.writer.orders == []


async def test_a_secret_that_others_can_read_is_not_used(lab: Lab) -> None:
    (lab.settings.parent / "secrets" / "bmc.yaml").chmod(0o644)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert "0644" in answers[-1].text


async def test_an_outlet_whose_wiring_was_shown_wrong_is_switched_on_again_and_off_no_more(lab: Lab) -> None:
    Quarantine(lab.data).add([AssetId("pdu-a#1")], "watts still flow", 5)
    async with lab.actuator() as actuator:
        off = (await ask(actuator, intent("i1", asset="pdu-a", verb="outlet_off", arguments={"outlet": "1"})))[-1]
        other = (await ask(actuator, intent("i2", asset="pdu-a", verb="outlet_off", arguments={"outlet": "2"})))[-1]
        back = (await ask(actuator, intent("i3", asset="pdu-a", verb="outlet_on", arguments={"outlet": "1"})))[-1]
        (lab.data / QUARANTINE).write_text("{")
        blind = (await ask(actuator, intent("i4", asset="pdu-a", verb="outlet_off", arguments={"outlet": "2"})))[-1]
    assert (off.state, blind.state) == (State.NOT_SENT, State.NOT_SENT)
    assert "proven anew" in off.text
    assert other.state is not State.NOT_SENT
    assert back.state is not State.NOT_SENT
