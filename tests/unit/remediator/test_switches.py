"""Stop and lockouts as files: they hold through anything, and what cannot be read counts as the strictest."""

from pathlib import Path

import pytest

from remediator.facts import Lockout, Stop
from remediator.switches import EVERYTHING, SwitchError, Switches, locks


@pytest.fixture
def switches(tmp_path: Path) -> Switches:
    return Switches(tmp_path)


def test_nothing_is_stopped_or_locked_at_first(switches: Switches) -> None:
    assert switches.stop() is Stop.NONE
    assert switches.lockouts() == ()


def test_stop_is_a_file_that_only_its_owner_reads(switches: Switches) -> None:
    switches.throw(Stop.CORRECTIVE)
    assert (switches.data / "stop").read_text() == "corrective\n"
    assert (switches.data / "stop").stat().st_mode & 0o777 == 0o600
    switches.throw(Stop.ALL)
    assert Switches(switches.data).stop() is Stop.ALL
    switches.throw(Stop.NONE)
    assert not (switches.data / "stop").exists()


@pytest.mark.parametrize("content", [b"", b"corr", b"\xff\xfe", b"everything"])
def test_a_stop_file_of_any_other_content_stops_all(switches: Switches, content: bytes) -> None:
    (switches.data / "stop").write_bytes(content)
    assert switches.stop() is Stop.ALL


def test_a_lockout_file_that_cannot_be_read_locks_everything(switches: Switches) -> None:
    (switches.data / "lockouts.json").write_text("{")
    (lock,) = switches.lockouts()
    assert lock.asset == EVERYTHING
    assert locks([lock], frozenset({"dgx-001"})) == (lock,)
    with pytest.raises(SwitchError, match="everything stays locked"):
        switches.lock("r01", actor="a", reason="r", at_ms=0)


def test_a_lock_is_a_persons_and_only_that_person_or_two_administrators_remove_it(switches: Switches) -> None:
    switches.lock("r01", actor="alice", reason="fans", at_ms=1)
    switches.lock("r01", actor="bob", reason="cables", at_ms=2)
    switches.lock("r01", actor="alice", reason="fans again", at_ms=3)
    assert switches.lockouts() == (
        Lockout(asset="r01", actor="bob", reason="cables"),
        Lockout(asset="r01", actor="alice", reason="fans again"),
    )
    switches.unlock("r01", actors=["alice"])
    assert [lock.actor for lock in switches.lockouts()] == ["bob"]
    with pytest.raises(SwitchError, match="bob"):
        switches.unlock("r01", actors=["alice"], admins=["carol"])
    with pytest.raises(SwitchError, match="bob"):
        switches.unlock("r01", actors=["carol"], admins=["carol", "carol"])
    switches.unlock("r01", actors=["carol"], admins=["carol", "dave"])
    assert switches.lockouts() == ()
    with pytest.raises(SwitchError, match="not locked out"):
        switches.unlock("r01", actors=["bob"])


def test_the_file_is_whole_or_as_it_was(switches: Switches, monkeypatch: pytest.MonkeyPatch) -> None:
    switches.lock("r01", actor="alice", reason="fans", at_ms=1)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        switches.lock("r02", actor="alice", reason="fans", at_ms=1)
    assert [lock.asset for lock in switches.lockouts()] == ["r01"]
