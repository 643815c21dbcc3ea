"""A lemon is a node that misfortune finds again and again, measured against its fleet."""

import numpy as np
import pytest

from fleet.faults import Action, load_faults
from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.lemon import HARD_XIDS, LARGEST_DEVIATION, SIGNALS, Lemon, scores
from tests.unit.rules.test_fault_codes import RULES


def test_a_fleet_whose_nodes_are_alike_has_no_lemon() -> None:
    assert scores({"fatal_xids": np.full(100, 3.0)}, 100).tolist() == [0.0] * 100


def test_nodes_that_said_nothing_had_nothing() -> None:
    assert scores({"fatal_xids": np.full(5, np.nan)}, 5).tolist() == [0.0] * 5


def test_the_node_with_the_misfortunes_scores_and_a_node_luckier_than_the_mean_does_not_go_below_zero() -> None:
    xids = np.zeros(100)
    xids[7] = 5.0
    score = scores({"fatal_xids": xids}, 100)
    assert score.argmax() == 7
    assert score[7] == pytest.approx(SIGNALS["fatal_xids"].weight * np.sqrt(99))
    assert score.min() == 0.0


def test_several_kinds_of_misfortune_add_up_and_one_alone_is_bounded() -> None:
    one = np.zeros(1000)
    one[3] = 1e6
    alone = scores({"starts": one}, 1000)[3]
    assert alone == pytest.approx(SIGNALS["starts"].weight * LARGEST_DEVIATION)
    assert scores({"starts": one, "link_downs": one}, 1000)[3] == pytest.approx(2 * alone)


def test_a_site_without_nodes_has_no_scores() -> None:
    assert scores({"starts": np.zeros(0)}, 0).tolist() == []


def test_the_xids_that_count_are_those_of_the_rules_on_storms() -> None:
    assert f'code=~"{HARD_XIDS}"' in RULES["XidStorm"]
    assert str(min(load_faults().codes("xid", Action.FOLLOW_MEMORY))) in HARD_XIDS


def test_the_engine_publishes_a_score_for_each_node_of_the_inventory(bench, tmp_path) -> None:
    rule = "groups: [{name: g, interval: 1s, rules: [{alert: S, expr: node_lemon_score > 0, labels: {severity: info}, annotations: {summary: s}}]}]"
    b = bench(rule)
    b.engine = Engine(load_rules([tmp_path]), models=[Lemon()])
    for at in (0, 300_000, 600_000):
        series = {f'fleet_node_info{{asset="n{n}",node="n{n}",rack="r1",zone="1"}}': 1.0 for n in range(4)}
        series['device_event_bursts_total{node="n2",asset="n2",kind="xid",code="79"}'] = at / 300_000
        b.at(at, series)
    assert [(alert.labels["node"], alert.labels["rack"]) for _, alert in b.engine.alerts()] == [("n2", "r1")]
    assert b.engine.failures == {}
