"""People decide, leaders change, ledgers get lost: the corrective service in virtual time."""

import asyncio
from pathlib import Path

import pytest

from bus.port import Message
from bus.signing import sign
from bus.topics import COMMANDS, REMEDIATIONS
from remediator.switches import Switches
from tests.unit.remediator.fakes.service_world import HUNG, Serving

NODE = "dgx-001"


async def hang(site: Serving, node: str = NODE) -> None:
    site.plant.hang(node)
    await site.clock.advance(12)
    site.alert(HUNG, asset=node)


def the_id(site: Serving) -> str:
    (key,) = site.remediations()
    return key


async def test_in_mode_approve_a_signed_yes_starts_it_and_every_gate_is_asked_again(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(30)
        assert site.actuator.executed == []
        assert site.phases(NODE)[-1] == "awaiting_approval"
        assert len(site.pages()) == 1
        site.command("approve", the_id(site))
        await site.clock.advance(100)
        assert site.phases(NODE)[-1] == "succeeded"


async def test_a_question_that_nobody_answers_ends_without_an_act(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(960)
        assert site.phases(NODE)[-1] == "expired"
        site.command("approve", the_id(site))
        await site.clock.advance(60)
        assert site.actuator.executed == []


async def test_an_approval_past_its_own_time_is_none(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(20)
        site.command("approve", the_id(site), expires_at_ms=site.clock.now_ms() - 1)
        await site.clock.advance(60)
        assert site.actuator.executed == []


async def test_what_began_with_a_yes_is_not_left_half_done_when_the_yes_runs_out(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(20)
        site.command("approve", the_id(site), expires_at_ms=site.clock.now_ms() + 5_000)
        await site.clock.advance(120)
        assert site.phases(NODE)[-1] == "succeeded"


async def test_a_denied_remediation_ends(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(10)
        site.command("deny", the_id(site), reason="it is being replaced")
        await site.clock.advance(10)
        assert site.phases(NODE)[-1] == "cancelled"
        assert "replaced" in site.remediations()[the_id(site)].reason.text


@pytest.mark.parametrize("who", ["nobody", "a stranger", "a service"])
async def test_an_approval_that_is_not_an_operators_is_dropped_and_paged(tmp_path: Path, who: str) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(10)
        before = len(site.pages())
        if who == "nobody":
            site.command("approve", the_id(site))
            record = site.bus.log[COMMANDS].pop()
            site.bus.put(Message(COMMANDS, record.key, record.value))
        else:
            site.command("approve", the_id(site), key=site.stranger if who == "a stranger" else site.service_key)
        await site.clock.advance(60)
        assert site.actuator.executed == []
        assert len(site.pages()) == before + 1


async def test_a_forged_approval_is_dropped(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="approve")
    async with site.running():
        await hang(site)
        await site.clock.advance(10)
        site.command("approve", "another")
        record = site.bus.log[COMMANDS].pop()
        value = record.value.replace(b"another", the_id(site).encode())
        site.bus.put(Message(COMMANDS, the_id(site), value, record.headers))
        await site.clock.advance(60)
        assert site.actuator.executed == []


async def test_a_command_that_is_delivered_twice_counts_once(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        site.command("lockout", "r01")
        await site.clock.advance(3)
        Switches(site.data).unlock("r01", actors=["alice"])
        record = site.bus.log[COMMANDS][-1]
        site.bus.put(Message(COMMANDS, record.key, record.value, record.headers))
        await site.clock.advance(3)
        assert Switches(site.data).lockouts() == ()


async def test_a_lock_is_removed_by_its_owner_or_by_two_administrators(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        site.command("lockout", "r01")  # alice
        await site.clock.advance(3)
        site.command("unlock", "r01", key=site.admin)  # bob alone
        await site.clock.advance(3)
        assert len(Switches(site.data).lockouts()) == 1
        site.command("unlock", "r01")
        await site.clock.advance(3)
        assert Switches(site.data).lockouts() == ()


async def test_a_maintenance_window_keeps_automation_out_until_it_is_over(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        site.command("maintenance", "row-01", expires_at_ms=site.clock.now_ms() + 100_000)
        await site.clock.advance(3)
        await hang(site)
        await site.clock.advance(60)
        assert site.actuator.executed == []
        await site.clock.advance(150)
        assert site.phases(NODE)[-1] == "succeeded"


async def test_of_two_services_on_one_machine_one_acts_and_the_other_takes_over(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        standby = site.start()
        await site.clock.advance(5)
        await hang(site)
        while "power_off" not in site.actuator.verbs:
            await site.clock.advance(1)
        first = next(task for task in site.tasks if task is not standby)
        await site.stop(first)
        await site.clock.advance(120)
        assert site.phases(NODE)[-1] == "succeeded"
        assert max(site.actuator.executions().values()) == 1
        assert site.actuator.verbs.count("power_off") == 1
        epochs = [message.epoch for message in site.actuator.asked]
        assert epochs == sorted(epochs)
        assert len(set(epochs)) == 2


async def test_a_ledger_that_is_gone_is_observed_only_and_said(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        await hang(site)
        await site.clock.advance(100)
        assert site.phases(NODE)[-1] == "succeeded"
        await site.stop(*site.tasks)
        for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
            (site.data / name).unlink(missing_ok=True)
        acts = len(site.actuator.executed)
        site.start()
        await site.clock.advance(10)
        await hang(site, "dgx-020")
        await site.clock.advance(60)
        assert len(site.actuator.executed) == acts
        assert site.phases("dgx-020")[-1] == "would_have"
        assert any("only observes" in incident.title for incident in site.incidents().values())


async def test_a_ledger_of_a_newer_version_is_observed_only(tmp_path: Path) -> None:
    import sqlite3

    site = Serving(tmp_path)
    with sqlite3.connect(site.data / "ledger.sqlite") as newer:
        newer.execute("PRAGMA user_version=99")
    newer.close()
    async with site.running():
        await hang(site)
        await site.clock.advance(60)
        assert site.actuator.executed == []
        assert site.phases(NODE)[-1] == "would_have"


async def test_the_ledger_on_the_bus_is_signed_and_holds_every_state(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        await hang(site)
        await site.clock.advance(100)
        records = site.bus.log[REMEDIATIONS]
        assert all(dict(record.headers) == dict(sign(record.value, site.service_key)) for record in records)
        assert {"pending", "admitted", "executing", "verifying", "succeeded"} <= set(site.phases(NODE))


async def test_a_bus_that_is_away_sends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        await hang(site)
        await site.clock.advance(2)
        site.bus.down = True
        acts = len(site.actuator.executed)
        await site.clock.advance(60)
        assert len(site.actuator.executed) <= acts + 1
        site.bus.down = False
        await site.clock.advance(150)
        assert site.phases(NODE)[-1] == "succeeded"


async def test_one_service_stops_when_it_is_told_and_starts_where_it_was(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        await hang(site)
        while "power_off" not in site.actuator.verbs:
            await site.clock.advance(0.5)
        await site.stop(*site.tasks)
        assert site.phases(NODE)[-1] != "executing"
        await asyncio.sleep(0)
        site.start()
        await site.clock.advance(120)
        assert site.phases(NODE)[-1] == "succeeded"
        assert max(site.actuator.executions().values()) == 1
