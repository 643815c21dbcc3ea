"""Incidents for people: owned, with every sample that decided, as Markdown and JSON; backups that are believed only when whole."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.model import AssetId
from hallkeeper.cli import build
from hallkeeper.incidents import incident_named, markdown, plain
from remediator.ledger import Ledger
from remediator.safekeeping import SafekeepingError, backup, restore
from remediator.switches import Switches
from remediator.wiring import Quarantine
from tests.unit.remediator.fakes.service_world import HUNG, Serving

NODE = "dgx-001"
RUN = CliRunner()


async def healed(folder: Path) -> Serving:
    site = Serving(folder)
    site.plant.add_job("train/llm", [NODE, "dgx-002"])
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(20)
        (incident,) = site.incidents()
        site.command("ack", incident, reason="I look at it")
        await site.clock.advance(100)
        site.alert(HUNG, "resolved", asset=NODE)
        await site.clock.advance(5)
    return site


async def test_an_incident_has_an_owner_a_timeline_and_the_samples_that_decided(tmp_path: Path) -> None:
    site = await healed(tmp_path)
    (event,) = site.incidents().values()
    assert event.unknown["owner"] == "alice"
    assert ("ack", "alice has it: I look at it") in [(moment.kind, moment.text) for moment in event.timeline]
    told = incident_named(site.data / "ledger.sqlite", event.incident_id[:10])
    text = markdown(told)
    for wanted in (
        "owner: alice",
        "NodeHung",
        "rung power-cycle",
        "| power-off | outlet_meter |",
        "| proof_of_death | yes |",
    ):
        assert wanted in text, text
    record = json.loads(json.dumps(plain(told)))
    (remediation,) = record["remediations"]
    assert {sample["instrument"] for sample in remediation["memory"]["evidence"]["power-off"]} >= {
        "outlet_meter",
        "bmc",
    }
    assert record["owner"] == "alice"


async def test_the_commands_list_show_and_export(tmp_path: Path) -> None:
    site = await healed(tmp_path)
    (tmp_path / "hallkeeper.yaml").write_text(json.dumps({"site": "site.yaml", "data": "data"}))
    where = ["--settings", str(tmp_path / "hallkeeper.yaml")]
    app = build("incident")
    assert RUN.invoke(app, ["incident", "list", *where]).output == "no incident\n"
    every = RUN.invoke(app, ["incident", "list", "--all", *where]).output
    assert "NodeHung on dgx-001" in every
    (name,) = site.incidents()
    export = RUN.invoke(app, ["incident", "export", name, "--format", "json", *where])
    assert json.loads(export.output)["incident_id"] == name
    assert "# NodeHung on dgx-001" in RUN.invoke(app, ["incident", "show", name, *where]).output


async def test_a_restored_ledger_that_is_older_than_its_topic_observes_and_says_why(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        backup(site.data, tmp_path / "old.tar.gz", site.clock.now_ms())
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(120)
        assert site.phases(NODE)[-1] == "succeeded"
        await site.stop(*site.tasks)
        restore(tmp_path / "old.tar.gz", site.data, replaces=True)
        sent = len(site.actuator.executed)
        site.start()
        await site.clock.advance(20)
        site.plant.hang("dgx-003")
        await site.clock.advance(10)
        site.alert(HUNG, asset="dgx-003")
        await site.clock.advance(60)
        assert len(site.actuator.executed) == sent
        assert site.phases("dgx-003")[-1] == "would_have"
        said = [alert.annotations.get("summary", "") for event in site.incidents().values() for alert in event.alerts]
        assert any("are known to the bus alone" in text for text in said), said


def kept(folder: Path) -> Path:
    data = folder / "data"
    Ledger.open(data / "ledger.sqlite").close()
    (data / "stop").write_text("all\n")
    backup(data, folder / "b.tar.gz", 1)
    return data


def test_a_backup_comes_back_as_it_was_and_writes_over_nothing_unasked(tmp_path: Path) -> None:
    data = kept(tmp_path)
    with pytest.raises(SafekeepingError, match="--replace"):
        restore(tmp_path / "b.tar.gz", data)
    restore(tmp_path / "b.tar.gz", tmp_path / "new")
    assert (tmp_path / "new" / "stop").read_text() == "all\n"
    (version,) = sqlite3.connect(tmp_path / "new" / "ledger.sqlite").execute("PRAGMA user_version").fetchone()
    assert version >= 1


def test_a_restore_takes_no_lock_stop_or_doubt_away_that_came_after_the_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Ledger.open(data / "ledger.sqlite").close()
    Switches(data).lock("r01", actor="alice", reason="hands inside", at_ms=1)
    Quarantine(data).add([AssetId("pdu-a#1")], "watts still flow", 1)
    backup(data, tmp_path / "b.tar.gz", 1)
    Switches(data).lock("r02", actor="bob", reason="hands inside", at_ms=2)
    Quarantine(data).add([AssetId("pdu-a#2")], "watts still flow", 2)
    restore(tmp_path / "b.tar.gz", data, replaces=True)
    assert {lock.asset for lock in Switches(data).lockouts()} == {"r01", "r02"}
    assert set(Quarantine(data).outlets()) == {"pdu-a#1", "pdu-a#2"}
    restore(tmp_path / "b.tar.gz", tmp_path / "elsewhere")
    assert {lock.asset for lock in Switches(tmp_path / "elsewhere").lockouts()} == {"r01"}
    assert set(Quarantine(tmp_path / "elsewhere").outlets()) == {"pdu-a#1"}


def test_a_damaged_backup_restores_nothing(tmp_path: Path) -> None:
    kept(tmp_path)
    whole = (tmp_path / "b.tar.gz").read_bytes()
    for at in range(40, len(whole), max(1, len(whole) // 25)):
        (tmp_path / "bad.tar.gz").write_bytes(whole[:at])
        with pytest.raises(SafekeepingError):
            restore(tmp_path / "bad.tar.gz", tmp_path / "never")
        assert not (tmp_path / "never").exists()
