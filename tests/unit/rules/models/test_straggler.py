"""A slow rank stands out against the median of its own job, however large the others' noise or the fleet is."""

import numpy as np
import pytest

from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.straggler import FEWEST_RANKS, Straggler, slowness

JOB = np.zeros(8, dtype=np.int32)
EVERY = np.ones(8, dtype=np.bool_)


def test_a_rank_six_percent_slower_than_steady_peers_is_six_percent_and_many_deviations_slow() -> None:
    seconds = np.array([1.0, 1.001, 0.999, 1.0, 1.002, 0.998, 1.0, 1.06])
    ratio, score, judged = slowness(JOB, seconds, EVERY)
    assert judged.all()
    assert ratio[7] == pytest.approx(0.06)
    assert score[7] > 10
    assert np.abs(score[:7]).max() < 1


def test_the_same_share_within_the_noise_is_no_deviation() -> None:
    seconds = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.1, 0.9, 1.06])
    ratio, score, _ = slowness(JOB, seconds, EVERY)
    assert ratio[7] > 0.03
    assert score[7] < 1


def test_two_stragglers_do_not_hide_each_other() -> None:
    seconds = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5])
    _, score, _ = slowness(JOB, seconds, EVERY)
    assert (score[6:] > 50).all()


def test_each_job_is_judged_against_itself_and_the_order_of_rows_does_not_matter() -> None:
    jobs = np.array([1, 2] * 4, dtype=np.int32)
    seconds = np.array([1.0, 9.0, 1.0, 9.0, 1.2, 9.0, 1.0, 9.9])
    ratio, _, judged = slowness(jobs, seconds, EVERY)
    assert judged.all()
    assert ratio == pytest.approx([0, 0, 0, 0, 0.2, 0, 0, 0.1])


@pytest.mark.parametrize("ranks", range(1, FEWEST_RANKS))
def test_a_job_with_too_few_ranks_has_no_stragglers(ranks: int) -> None:
    _, _, judged = slowness(JOB[:ranks], np.linspace(1, 9, ranks), EVERY[:ranks])
    assert not judged.any()


@pytest.mark.parametrize("broken", [0.0, -1.0, np.nan, np.inf])
def test_a_time_that_cannot_be_is_neither_judged_nor_a_peer(broken: float) -> None:
    seconds = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.06, broken])
    ratio, _, judged = slowness(JOB, seconds, EVERY)
    assert judged.tolist() == [True] * 7 + [False]
    assert ratio[6] == pytest.approx(0.06)


def test_ranks_that_are_not_there_are_no_peers_and_nobody_is_fine() -> None:
    present = EVERY.copy()
    present[4:] = False
    _, _, judged = slowness(JOB, np.ones(8), present)
    assert judged.tolist() == present.tolist()
    assert not slowness(JOB, np.ones(8), ~EVERY)[2].any()


def test_the_engine_publishes_a_jobs_ranks(bench, tmp_path) -> None:
    rule = "groups: [{name: g, interval: 1s, rules: [{alert: S, expr: job_rank_slowdown_ratio > 0.05, labels: {severity: info}, annotations: {summary: s}}]}]"
    b = bench(rule)
    b.engine = Engine(load_rules([tmp_path]), models=[Straggler()])
    for at in range(0, 40_000, 5_000):
        b.at(
            at, {f'job_step_duration_seconds{{job_id="j",rank="{rank}"}}': 1.0 + 0.1 * (rank == 3) for rank in range(6)}
        )
    assert [alert.labels["rank"] for _, alert in b.engine.alerts()] == ["3"]
    assert b.engine.failures == {}
