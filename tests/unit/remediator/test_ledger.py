"""The ledger: on disk before it returns, one hand on one object, one outcome an intent, and honest when it cannot be used."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from fleet.model import AssetId, Domain, Kind
from remediator.facts import Budget
from remediator.ledger import DAY_MS, KEPT_DAYS, Ledger, LedgerUnusableError, Outgoing
from remediator.records import IllegalMoveError, Intent, Remediation, intent_id_of, lock_of, remediation_of
from remediator.transitions import Move
from remediator.verbs import Cause, Lane, Mode, Verb

NOW = 1_700_000_000_000
RACK = Domain(kind=Kind.RACK, id=AssetId("r01"))


@pytest.fixture
def ledger(tmp_path: Path):
    opened = Ledger.open(tmp_path / "data" / "ledger.sqlite")
    yield opened
    opened.close()


def state(name: str = "r", target: str = "n1") -> Remediation:
    return Remediation(
        remediation_id=name, incident_id="i", playbook="b", mode=Mode.ENFORCE, cause=Cause.SILENCE, target=AssetId(target),
        created_at_ms=NOW, updated_at_ms=NOW,
    )  # fmt: skip


def intent(owner: Remediation, number: int = 0, **changes: object) -> Intent:
    fields = {
        "intent_id": intent_id_of(owner.remediation_id, 0, "s", "", number), "remediation_id": owner.remediation_id, "step": "s",
        "verb": Verb.POWER_OFF, "device": owner.target, "target": owner.target, "lock": str(owner.target), "arguments": {},
        "class_": 3, "lane": Lane.CORRECTIVE, "epoch": 4, "created_at_ms": NOW, "not_after_boottime_ns": 9, "effect_until_ms": NOW,
    }  # fmt: skip
    return Intent(**{**fields, **changes})


def admit(ledger: Ledger, owner: Remediation, meant: Intent, *, allowed: int = 1):
    moved = owner.moved(Move.ADMIT, NOW, intents=(*owner.intents, meant), intent_id=meant.intent_id, epoch=meant.epoch)
    refusal = ledger.admit(moved, [meant], [Budget(domain=RACK, allowed=allowed, in_use=0)])
    return moved if refusal is None else refusal


def test_it_is_synced_in_full_and_readable_by_its_owner_alone(ledger: Ledger) -> None:
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    assert ledger.is_new()


def test_admission_is_one_transaction(ledger: Ledger) -> None:
    first, second = state("a", "n1"), state("b", "n2")
    assert isinstance(admit(ledger, first, intent(first)), Remediation)
    refused = admit(ledger, second, intent(second))
    assert refused.code == "blast_radius"
    assert ledger.remediation("b") is None
    assert [i.remediation_id for i in ledger.open_intents()] == ["a"]
    assert ledger.reservations() == {"rack r01": frozenset({"a"})}


def test_a_target_has_one_remediation(ledger: Ledger) -> None:
    first, second = state("a"), state("b")
    admit(ledger, first, intent(first))
    assert admit(ledger, second, intent(second, lock="another"), allowed=9).code == "lease"


def test_an_object_has_one_open_intent_and_an_intent_is_written_once(ledger: Ledger) -> None:
    owner = admit(ledger, state(), intent(state()))
    again = msgspec.structs.replace(owner, phase=state().phase)
    assert admit(ledger, again, intent(owner, 1)).code == "device_busy"
    done = msgspec.structs.replace(intent(owner), outcome="TransientFailure", closed_at_ms=NOW)
    ledger.conclude(owner.moved(Move.STEP_FAILED, NOW), [done])
    assert admit(ledger, again, intent(owner)).code == "repeated"
    assert isinstance(admit(ledger, again, intent(owner, 1)), Remediation)


def test_what_ended_gives_back_lease_and_places(ledger: Ledger) -> None:
    owner = admit(ledger, state(), intent(state()))
    owner = owner.moved(Move.STEP_FAILED, NOW)
    ledger.conclude(owner, [msgspec.structs.replace(intent(owner), outcome="TransientFailure")])
    assert ledger.reservations()
    ledger.record(owner.moved(Move.ESCALATE, NOW))
    assert ledger.reservations() == {}
    other = state("b")
    assert isinstance(admit(ledger, other, intent(other)), Remediation)


def test_events_wait_in_order_until_the_bus_took_them(ledger: Ledger) -> None:
    for number in range(5):
        ledger.emit(Outgoing(0, "incidents", "k", b"%d" % number))
    waiting = ledger.outbox()
    assert [item.value for item in waiting] == [b"0", b"1", b"2", b"3", b"4"]
    ledger.published(waiting[2].sequence)
    assert [item.value for item in ledger.outbox()] == [b"3", b"4"]


def test_what_is_remembered_outlives_the_process(ledger: Ledger) -> None:
    ledger.remember("freeze/x", {"since_ms": 1})
    ledger.remember("freezer", 1)
    assert Ledger.open(ledger.path).memory("freeze/") == {"freeze/x": {"since_ms": 1}}
    ledger.forget("freeze/x")
    assert ledger.memory("freeze/") == {}


def test_what_ended_long_ago_is_dropped(ledger: Ledger) -> None:
    ended = state("old").moved(Move.FINISH, NOW - (KEPT_DAYS + 1) * DAY_MS)
    ledger.record(ended)
    ledger.record(state("live"))
    ledger.remember("command/old", NOW - (KEPT_DAYS + 1) * DAY_MS)
    ledger.remember("command/new", NOW)
    ledger.prune(NOW)
    assert list(ledger.memory("command/")) == ["command/new"]
    assert [known.remediation_id for known in ledger.remediations()] == ["live"]


def test_a_newer_or_damaged_ledger_is_not_used(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as other:
        other.execute("PRAGMA user_version=7")
    other.close()
    with pytest.raises(LedgerUnusableError, match="newer version"):
        Ledger.open(newer)
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database" * 100)
    with pytest.raises(LedgerUnusableError, match="try its backup"):
        Ledger.open(broken)


def test_a_disk_that_is_full_admits_nothing(tmp_path: Path) -> None:
    class Full(sqlite3.Connection):
        full = False

        def execute(self, sql: str, *args: object):
            if sql == "COMMIT" and self.full:
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *args)

    opened = Ledger.open(
        tmp_path / "l.sqlite", connect=lambda path: sqlite3.connect(path, isolation_level=None, factory=Full)
    )
    Full.full = True
    with pytest.raises(LedgerUnusableError, match="full"):
        admit(opened, state(), intent(state()))
    assert opened.open_intents() == []
    assert opened.reservations() == {}
    Full.full = False
    assert isinstance(admit(opened, state(), intent(state())), Remediation)
    opened.close()


def test_an_event_carries_the_whole_state_and_gives_it_back() -> None:
    whole = msgspec.structs.replace(state(), intents=(intent(state()),), memory={"jobs": {"a": 1}})
    assert remediation_of(whole.event()) == whole
    bare = msgspec.structs.replace(whole.event(), unknown={})
    assert remediation_of(bare) is None


def test_a_move_that_the_table_has_not_is_a_bug() -> None:
    with pytest.raises(IllegalMoveError, match="send in phase pending"):
        state().moved(Move.SEND, NOW)


def test_the_object_of_a_verb_is_what_it_commands() -> None:
    k8s = AssetId("k8s-1")
    assert lock_of(AssetId("n1"), Verb.POWER_OFF, {}) == "n1"
    assert lock_of(AssetId("pdu"), Verb.OUTLET_OFF, {"outlet": "3"}) == "pdu#3"
    assert lock_of(k8s, Verb.CORDON, {"node": "n1"}) == "k8s-1/n1"
    assert lock_of(k8s, Verb.EVICT, {"namespace": "a", "pod": "p", "uid": "u"}) == "k8s-1/a/p"
    assert lock_of(k8s, Verb.SUSPEND_JOB, {"namespace": "a", "job": "j"}) == "k8s-1/a/j"
    assert lock_of(AssetId("n1"), Verb.GPU_POWER_LIMIT, {"watts": 400}) == "n1/agent"
