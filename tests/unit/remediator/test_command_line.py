"""approve, deny, stop, resume, lockout, unlock: signed on the bus, and in the files when the bus is down."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.events import CommandEvent, decode_event
from bus.port import Record, open_bus
from bus.signing import SigningKey, verify
from bus.topics import COMMANDS
from fleet.clock import SystemClock
from fleet.errors import HallkeeperError
from hallkeeper.cli import build
from remediator.facts import Stop
from remediator.switches import Switches
from tests.unit.remediator.fakes.sitefile import make_site

RUN = CliRunner()
APP = build("approve")


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    make_site(tmp_path, racks=1)
    key = SigningKey.generate()
    key.save(tmp_path / "operator.json")
    trusted = {key.key_id: {"public": key.public, "role": "operator", "name": "alice"}}
    settings = {"site": "site.yaml", "data": "data", "keys": {"operator": "file:operator.json", "trusted": trusted}}
    (tmp_path / "hallkeeper.yaml").write_text(json.dumps(settings))
    (tmp_path / "data").mkdir()
    return tmp_path


def say(folder: Path, *words: str) -> str:
    result = RUN.invoke(APP, [*words, "--settings", str(folder / "hallkeeper.yaml")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def on_the_bus(folder: Path) -> list[tuple[Record, CommandEvent]]:
    async def read() -> list[tuple[Record, CommandEvent]]:
        bus = await open_bus("embedded", data=folder / "data", clock=SystemClock(), partitions=2)
        reader = await bus.reader(topics=[COMMANDS])
        records = await reader.fetch(timeout_seconds=0.5)
        await bus.close()
        return [(record, decode_event(record.value)) for record in records]

    return asyncio.run(read())


def test_a_yes_is_signed_by_the_operators_key_and_expires(installation: Path) -> None:
    assert "approved r1 as alice" in say(installation, "approve", "r1")
    ((record, event),) = on_the_bus(installation)
    trusted = json.loads((installation / "hallkeeper.yaml").read_text())["keys"]["trusted"]
    keys = {name: SigningKey.load(installation / "operator.json").trusted("operator", "alice") for name in trusted}
    assert verify(record, keys, event.at_ms, roles=("operator",)) in trusted
    assert (event.kind, event.subject, event.actor, event.role) == ("approve", "r1", "alice", "operator")
    assert event.expires_at_ms == event.at_ms + 900_000


def test_a_no_needs_a_reason(installation: Path) -> None:
    assert RUN.invoke(APP, ["deny", "r1", "--settings", str(installation / "hallkeeper.yaml")]).exit_code == 2
    say(installation, "deny", "r1", "--reason", "it is being replaced")
    assert on_the_bus(installation)[-1][1].reason == "it is being replaced"


def test_stop_and_resume_are_files_and_events(installation: Path) -> None:
    switches = Switches(installation / "data")
    say(installation, "stop")
    assert switches.stop() is Stop.CORRECTIVE
    say(installation, "stop", "--all")
    assert switches.stop() is Stop.ALL
    say(installation, "stop")
    assert switches.stop() is Stop.ALL  # never further open than it was
    say(installation, "resume")
    assert switches.stop() is Stop.NONE
    assert [event.kind for _, event in on_the_bus(installation)] == ["stop", "stop_all", "stop", "resume"]


def test_a_lock_is_the_operators_own_and_of_an_asset_that_exists(installation: Path) -> None:
    say(installation, "lockout", "r01", "--reason", "fans are open")
    (lock,) = Switches(installation / "data").lockouts()
    assert (lock.asset, lock.actor, lock.reason) == ("r01", "alice", "fans are open")
    with pytest.raises(HallkeeperError, match="no asset 'r77'"):
        say(installation, "lockout", "r77", "--reason", "x")
    say(installation, "unlock", "r01")
    assert Switches(installation / "data").lockouts() == ()


def test_anothers_lock_is_only_asked_for(installation: Path) -> None:
    Switches(installation / "data").lock("r01", actor="bob", reason="cables", at_ms=1)
    assert "two administrators" in say(installation, "unlock", "r01")
    assert len(Switches(installation / "data").lockouts()) == 1
    assert on_the_bus(installation)[-1][1].kind == "unlock"


def test_stop_and_lockout_work_with_the_bus_down(installation: Path) -> None:
    settings = installation / "hallkeeper.yaml"
    content = json.loads(settings.read_text()) | {"bus": "kafka://127.0.0.1:9"}
    settings.write_text(json.dumps(content))
    switches = Switches(installation / "data")
    (installation / "data" / "bus.sqlite").unlink(missing_ok=True)
    say(installation, "stop")
    assert switches.stop() is Stop.CORRECTIVE
    say(installation, "lockout", "r01", "--reason", "fans are open")
    assert len(switches.lockouts()) == 1


def test_without_a_key_stop_still_stops_and_says_what_is_missing(installation: Path) -> None:
    settings = installation / "hallkeeper.yaml"
    content = json.loads(settings.read_text())
    content["keys"] = {}
    settings.write_text(json.dumps(content))
    result = RUN.invoke(APP, ["stop", "--settings", str(settings)])
    assert result.exit_code == 0
    assert "no operator key" in result.stderr
    assert Switches(installation / "data").stop() is Stop.CORRECTIVE
    with pytest.raises(HallkeeperError, match="no operator key"):
        RUN.invoke(APP, ["approve", "r1", "--settings", str(settings)], catch_exceptions=False)
