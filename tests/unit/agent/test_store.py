"""The agent's memory: nothing twice, nothing silently lost, bounded."""

import sqlite3
from pathlib import Path

import pytest

from agent.protocol import Checkpoint
from agent.store import EVENTS_AGE_MS, EVENTS_LIMIT, INTENTS_LIMIT, JOBS_LIMIT, Happening, Store, Unusable

NOW = 1_700_000_000_000


def happening(code: str = "79", at: int = NOW) -> Happening:
    return Happening(at=at, kind="xid", code=code, gpu=0, text="NVRM")


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def test_events_and_the_place_in_the_log_are_kept_together(store: Store) -> None:
    store.add_events([happening("79"), happening("48")], mark=("kmsg", "b 7"), now_ms=NOW)
    events, oldest, newest = store.events_after(0)
    assert ([event.code for event in events], oldest, newest) == (["79", "48"], 1, 2)
    assert store.mark("kmsg") == "b 7"
    assert store.events_after(1)[0][0].code == "48"


def test_a_storm_overwrites_the_oldest_and_the_gap_is_visible(store: Store) -> None:
    for start in range(0, EVENTS_LIMIT + 2_000, 1_000):
        store.add_events([happening(str(start + n)) for n in range(1_000)], mark=("kmsg", "b 1"), now_ms=NOW)
    events, oldest, newest = store.events_after(0)
    assert newest == EVENTS_LIMIT + 2_000
    assert oldest == 2_001
    assert events[0].id == oldest


def test_what_is_older_than_the_bus_keeps_is_forgotten_and_numbers_never_start_again(store: Store) -> None:
    store.add_events([happening(at=NOW - EVENTS_AGE_MS - 1)], mark=("kmsg", "b 1"), now_ms=NOW)
    assert store.events_after(0) == ([], 2, 1)
    store.add_events([happening()], mark=("kmsg", "b 2"), now_ms=NOW)
    assert store.events_after(0)[0][0].id == 2


def test_an_intent_is_new_once(store: Store) -> None:
    assert store.take_intent("i", "[400]", at=NOW) is None
    assert store.take_intent("i", "[300]", at=NOW) == "[400]"


def test_intents_and_jobs_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store._database.execute("PRAGMA synchronous=OFF")
    monkeypatch.setattr("agent.store.INTENTS_LIMIT", 5)
    monkeypatch.setattr("agent.store.JOBS_LIMIT", 5)
    assert INTENTS_LIMIT >= 1_000
    assert JOBS_LIMIT >= 100
    for n in range(20):
        store.take_intent(f"i{n}", "", at=NOW)
        store.put_checkpoint(f"ns/j{n}", Checkpoint(state="done", intent=f"i{n}", at=NOW + n))
    assert store._database.execute("SELECT count(*) FROM intents").fetchone() == (5,)
    assert {age.job for age in store.job_ages(now_ms=NOW + 20)} == {f"ns/j{n}" for n in range(15, 20)}


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Store(tmp_path / "data").close()
    assert (tmp_path / "data" / "agent.sqlite").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_database_says_what_to_try_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.sqlite").write_text("hello " * 1000)
    with pytest.raises(Unusable, match="try moving the file away"):
        Store(tmp_path)
    assert (tmp_path / "agent.sqlite").read_text().startswith("hello")


def test_a_folder_that_cannot_be_made_says_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unusable, match="try a folder"):
        Store(tmp_path / "file" / "data")


def test_events_survive_a_process_that_never_closed(tmp_path: Path) -> None:
    left_open = Store(tmp_path)
    left_open.add_events([happening()], mark=("kmsg", "b 1"), now_ms=NOW)
    rows = sqlite3.connect(tmp_path / "agent.sqlite")
    assert rows.execute("SELECT code FROM events").fetchall() == [("79",)]
    rows.close()
    left_open.close()
