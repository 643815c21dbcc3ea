"""Kill -9 of the engine that leads, in the middle of `for`: real processes; `takeover.py` runs as many as one likes."""

import os

import pytest

from tests.faults.rules.takeover import campaign

TRIALS = int(os.environ.get("TAKEOVER_TRIALS", "4"))


def clean(report: dict[str, object]) -> bool:
    return not (report["lost"] or report["early"] or report["twice"] or report["other"])


@pytest.mark.timeout(600)
def test_an_alert_survives_its_engines_death_neither_lost_nor_early_nor_twice() -> None:
    """Each kill is three trials: series that rise before it, around it, and after it."""
    report = campaign(TRIALS, kafka=False, seed=TRIALS).report()
    assert report["kills"] == TRIALS
    assert clean(report), report


@pytest.mark.peer("kafka")
@pytest.mark.timeout(600)
def test_the_same_over_kafka_where_the_leader_is_known_by_its_claims() -> None:
    report = campaign(1, kafka=True, seed=3).report()
    assert report["alerts"] == 3
    assert clean(report), report
    assert report["takeover_seconds_max"] <= 10.0, (
        "lease and grace, most of which have passed, a claim, and the last words"
    )
