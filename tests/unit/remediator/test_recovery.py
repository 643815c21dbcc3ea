"""What resuming took, how often machines fail, and the advice on checkpoints: against the reference's own table."""

import msgspec
import pytest

from fleet.model import AssetId
from hallkeeper.commands.recovery import report
from remediator.records import Intent, Remediation
from remediator.recovery import (
    FAILURES_PER_GPU_HOUR,
    advised_interval_seconds,
    failures,
    failures_per_gpu_hour,
    late,
    phases,
    quantile,
    waste,
)
from remediator.transitions import Phase
from remediator.verbs import Cause, Lane, Mode, Verb

NOW = 1_700_000_000_000
MTBF = 3600 / (5120 * FAILURES_PER_GPU_HOUR)


def intent(verb: Verb, *, created: float, sent: float, closed: float, outcome: str = "Succeeded") -> Intent:
    return Intent(
        intent_id=verb.value, remediation_id="r", step="s", verb=verb, device=AssetId("n1"), target=AssetId("n1"), lock="n1",
        arguments={}, class_=1, lane=Lane.CORRECTIVE, epoch=1, not_after_boottime_ns=0, effect_until_ms=0, outcome=outcome,
        created_at_ms=NOW + round(1000 * created), sent_at_ms=NOW + round(1000 * sent), closed_at_ms=NOW + round(1000 * closed),
    )  # fmt: skip


STATE = Remediation(
    remediation_id="r", incident_id="i", playbook="node-hung", mode=Mode.ENFORCE, cause=Cause.SILENCE, target=AssetId("n1"),
    created_at_ms=NOW + 5000, updated_at_ms=NOW + 60_000, phase=Phase.SUCCEEDED, memory={"alert_since_ms": NOW},
    intents=(
        intent(Verb.CORDON, created=6, sent=6.1, closed=7),
        intent(Verb.POWER_OFF, created=7, sent=7.1, closed=9, outcome="TransientFailure"),
        intent(Verb.POWER_OFF, created=9, sent=9.1, closed=14),
        intent(Verb.TAINT_OUT_OF_SERVICE, created=14, sent=14.5, closed=15),
    ),
)  # fmt: skip


def test_phases_count_from_the_moment_at_which_the_condition_first_held() -> None:
    took = phases(STATE)
    assert (took.decided, took.cordoned, took.fenced, took.respawn_ordered, took.ended) == (6.0, 7.0, 14.0, 14.5, 60.0)


def test_a_respawn_is_late_after_fifteen_seconds_and_after_eight_when_the_node_reported_it() -> None:
    assert not late([phases(STATE)])
    reported = msgspec.structs.replace(STATE, cause=Cause.REPORTED_FAULT)
    assert [each.target for each in late([phases(reported)])] == ["n1"]
    slow = msgspec.structs.replace(STATE, memory={"alert_since_ms": NOW - 600})
    assert [each.target for each in late([phases(slow)])] == ["n1"]


@pytest.mark.parametrize(
    ("blocking", "minutes", "share", "with_90_seconds"),
    [
        (60, 34.5, 0.0580, 0.0606),
        (10, 14.1, 0.0237, 0.0262),
        (1, 4.45, 0.0075, 0.0100),
        (0.0178, 35.6 / 60, 0.0010, 0.0035),
    ],
)
def test_the_advice_is_the_references_table(
    blocking: float, minutes: float, share: float, with_90_seconds: float
) -> None:
    every = advised_interval_seconds(blocking_seconds=blocking, mtbf_seconds=MTBF)
    assert every / 60 == pytest.approx(minutes, rel=0.005)
    found = waste(every_seconds=every, blocking_seconds=blocking, mtbf_seconds=MTBF, resume_seconds=90)
    assert found.rolled_back_and_blocking == pytest.approx(share, abs=6e-5)
    assert found.rolled_back_and_blocking + found.downtime == pytest.approx(with_90_seconds, abs=6e-5)
    assert found.goodput == pytest.approx(1 - with_90_seconds, abs=6e-5)


def test_no_other_interval_wastes_less() -> None:
    best = advised_interval_seconds(blocking_seconds=2.0, mtbf_seconds=MTBF)
    shares = [
        waste(
            every_seconds=best * off, blocking_seconds=2.0, mtbf_seconds=MTBF, resume_seconds=0
        ).rolled_back_and_blocking
        for off in (0.5, 0.9, 1.0, 1.1, 2.0)
    ]
    assert min(shares) == shares[2]


def test_the_rate_begins_at_the_published_one_and_ends_at_what_was_measured() -> None:
    assert failures_per_gpu_hour(0, 0) == pytest.approx(FAILURES_PER_GPU_HOUR)
    assert failures_per_gpu_hour(1000, 1e6) == pytest.approx(1e-3, rel=0.06)


def test_one_incident_is_one_failure_however_many_remedies_it_took() -> None:
    again = msgspec.structs.replace(STATE, remediation_id="r2")
    other = msgspec.structs.replace(STATE, remediation_id="r3", incident_id="j")
    shed = msgspec.structs.replace(STATE, remediation_id="r4", incident_id="k", cause=Cause.OVERLOAD)
    assert failures([STATE, again, other, shed]) == 2


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.99, 4.0), (0.01, 1.0)])
def test_a_quantile_is_a_value_that_was_seen(share: float, value: float) -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], share) == value
    assert quantile([], share) is None


def test_the_report_uses_the_measured_respawn_for_the_downtime() -> None:
    found = report([STATE], site_gpus=5120, job_gpus=5120, span_seconds=28 * 86_400)
    assert found["resume_seconds"] == pytest.approx(14.5 + 55)
    assert found["failures"] == 1
    for row in found["advice"]:
        assert row["rolled_back_and_blocking"] + row["downtime"] + row["goodput"] == pytest.approx(1)
