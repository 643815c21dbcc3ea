"""The campaign itself: the same seed gives the same bytes in any process, and the seeds of CI break no promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hallkeeper.world.campaign import report, verdicts
from hallkeeper.world.faultplan import LEAST_FAULTS, SECONDS, plan_of
from simulator.layout import Layout

pytestmark = pytest.mark.timeout(1_800)
"""Half an hour of a hall takes some twenty CPU-seconds, on a machine that others use minutes."""
ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(1, 1 + int(os.environ.get("HALLKEEPER_CAMPAIGN_SEEDS", "2")))
"""A seed takes some twenty CPU-seconds: CI runs a few, `hallkeeper campaign --seeds N` as many as one likes."""


@pytest.fixture(scope="module")
def found() -> list:
    return list(verdicts(SEEDS, jobs=2 if len(SEEDS) > 1 else 1))


def test_no_seed_breaks_a_promise_and_every_seed_heals_something(found: list) -> None:
    summary = report(found)
    assert summary["failures"] == []
    assert summary["seeds"] == len(SEEDS)
    assert summary["acts"] >= len(SEEDS)


def test_the_report_has_the_shape_that_it_promises(found: list) -> None:
    summary = json.loads(json.dumps(report(found)))
    assert {
        "seeds", "violations", "times_real_time", "failures", "acts", "refusals_by_gate", "faults_injected",
    } == set(summary)  # fmt: skip
    assert summary["violations"] == 0


def test_the_same_seed_gives_the_same_bytes_in_another_process_with_other_hashes(found: list) -> None:
    script = f"from hallkeeper.world.campaign import run_seed; print(run_seed({found[0].seed}).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(ROOT)}
    again = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True, timeout=600
    )
    assert again.stdout.split()[-1] == found[0].digest


def test_every_story_has_its_faults_and_ends_in_quiet() -> None:
    layout = Layout()
    for seed in range(200):
        plan = plan_of(seed, layout)
        assert plan == plan_of(seed, layout)
        assert sum(one.number == "ill" for one in plan) >= 2
        assert len({one.kind + one.target for one in plan if one.number not in {"ill", "people"}}) >= LEAST_FAULTS - 2
        assert all(one.at < SECONDS - 300 for one in plan)
