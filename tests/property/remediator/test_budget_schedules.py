"""No schedule of leaders, standbys and failovers ever exceeds a domain's budget."""

import os
from pathlib import Path

import pytest

from remediator import ledger_schema
from tests.property.remediator.budget_schedules import campaign

SCHEDULES = int(os.environ.get("HALLKEEPER_BUDGET_SCHEDULES", "300"))


def test_no_schedule_exceeds_a_budget(tmp_path: Path) -> None:
    found = campaign(SCHEDULES, 0, tmp_path)
    assert found["violations"] == []
    assert int(str(found["admitted"])) > SCHEDULES
    assert int(str(found["refused"])) > SCHEDULES
    assert int(str(found["failovers"])) > SCHEDULES


def test_without_the_constraint_in_the_ledger_they_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = tuple(sql for sql in ledger_schema.SCHEMA if "TRIGGER" not in sql)
    monkeypatch.setattr("remediator.ledger.SCHEMA", without)
    assert campaign(50, 0, tmp_path)["violations"]
