"""`rules check` knows which metrics there are, how far back samples reach, what is experimental, and what a rule costs."""

from pathlib import Path

import pytest

from rules.check import RAW_MS, cost_of, estimate, experimental_functions, long_look_backs, unknown_metrics
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.promql.parse import parse


def loaded(folder: Path, *exprs: str, sidecar: str = "") -> RuleSet:
    """A rule set with an alert for each expression."""
    rules = "".join(f"      - {{alert: A{number}, expr: '{expr}'}}\n" for number, expr in enumerate(exprs))
    (folder / "r.yaml").write_text(f"groups:\n  - name: g\n    rules:\n{rules}")
    if sidecar:
        (folder / "r.hallkeeper.yaml").write_text(sidecar)
    return load_rules([folder])


def test_a_metric_that_nobody_publishes_is_named_with_its_place_and_the_nearest_one(tmp_path: Path) -> None:
    (problem,) = unknown_metrics(loaded(tmp_path, "up == 0", "rate(bmc_powr_watts[5m]) > 1"))
    assert (problem.line, problem.column, problem.path) == (5, 9, "A1")
    assert str(problem).endswith(
        "A1: reads 'bmc_powr_watts', which is no metric of the register, try 'bmc_power_watts'"
    )


def test_what_rules_record_and_alerts_as_series_are_known(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "groups: [{name: g, rules: [{record: a:b, expr: up}, {alert: A, expr: a:b + on () ALERTS + on () ALERTS_FOR_STATE}]}]"
    )
    assert unknown_metrics(load_rules([tmp_path])) == []


def test_a_sidecars_clear_expression_is_looked_at_too(tmp_path: Path) -> None:
    rules = loaded(tmp_path, "bmc_power_watts > 9", sidecar="groups: {g: {A0: {clear: bmc_power_wats < 8}}}")
    assert [problem.suggestion for problem in unknown_metrics(rules)] == ["'bmc_power_watts'"]


@pytest.mark.parametrize(
    "expr",
    [
        "quantile_over_time(0.9, up[1h]) > 1", "deriv(up[20m]) > 1", "changes(up[5m] offset 11m) > 1", "up offset 16m > 1",
        "max_over_time(rate(up[5m])[15m:]) > 1", "max_over_time(up[1h:1m]) > 1", "sum(stddev_over_time(up[901s])) > 1",
        "max_over_time((increase(up[1h]))[10m:]) > 1", "increase(up[1h] offset 5m) > 1",
        'increase({__name__=~"u."}[1h]) > 1',
    ],
)  # fmt: skip
def test_a_look_back_that_nothing_serves_says_record_it_first(tmp_path: Path, expr: str) -> None:
    problems = long_look_backs(loaded(tmp_path, expr))
    assert problems
    assert all("recording it first" in problem.suggestion for problem in problems)
    assert "raw samples are kept for 15m" in problems[0].message


@pytest.mark.parametrize(
    "expr",
    [
        "rate(up[1h]) > 1", "increase(up[1d]) > 1", "avg_over_time(up[30m]) > 1", "last_over_time(up[2h]) > 1",
        "quantile_over_time(0.9, up[15m]) > 1", "up offset 15m > 1", "max_over_time(rate(up[5m])[10m:]) > 1", "up > 1",
    ],
)  # fmt: skip
def test_what_raw_samples_or_rollups_serve_is_not_complained_of(tmp_path: Path, expr: str) -> None:
    assert long_look_backs(loaded(tmp_path, expr)) == []
    assert RAW_MS == 15 * 60_000


def test_experimental_functions_are_warned_of(tmp_path: Path) -> None:
    problems = experimental_functions(
        loaded(tmp_path, "mad_over_time(up[5m]) > 1", "limitk(2, up) > 1", "rate(up[5m]) > 1")
    )
    assert [problem.message.split()[1] for problem in problems] == ["mad_over_time(),", "limitk,"]


@pytest.mark.parametrize(
    ("cheap", "dear"),
    [
        ("up", "up > 1"), ("up > 1", "sum by (rack) (up)"), ("sum(up)", "rate(up[1m])"), ("rate(up[1m])", "max_over_time(up[5m])"),
        ("max_over_time(up[1m])", "max_over_time(up[5m])"), ("max_over_time(up[5m])", "max_over_time(rate(up[1m])[5m:15s])"),
    ],
)  # fmt: skip
def test_an_estimate_orders_expressions_as_they_cost(cheap: str, dear: str) -> None:
    for series in (10, 1_000, 40_000):
        assert cost_of(parse(cheap), series).microseconds < cost_of(parse(dear), series).microseconds


def test_the_estimate_grows_with_series_and_with_depth(tmp_path: Path) -> None:
    rules = loaded(tmp_path, "up == 0", "rate(bmc_energy_joules_total[5m]) > 1")
    few, many = estimate(rules, 1_000), estimate(rules, 100_000)
    assert many.core_share > 10 * few.core_share
    assert many.window_bytes == 100 * few.window_bytes
    assert few.metrics == 2
    assert 300 <= few.depth_seconds < 310
