"""Unit-test files run as promtool runs them, and a failure says what differs and how it came to that."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rules.testing.report import as_json, as_junit, as_text
from rules.testing.run import FileReport, run_file

RULES = """
groups:
  - name: second
    interval: 7m
    rules:
      - {record: 'twice', expr: 'once * 2'}
  - name: first
    rules:
      - {record: 'once', expr: 'x'}
      - alert: Down
        expr: up == 0
        for: 2m
        labels: {severity: page, site: '{{ $externalLabels.site }}'}
        annotations: {text: '{{ $labels.job }} is {{ $value }} at {{ $externalURL }}'}
"""
Run = Callable[..., FileReport]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a unit-test file given as its items of `tests`."""

    def run_text(tests: str, *, rules: str = RULES, head: str = "", **options: bool) -> FileReport:
        (tmp_path / "rules.yaml").write_text(rules)
        path = tmp_path / "my_test.yaml"
        path.write_text(f"rule_files: [rules.yaml]\n{head}\ntests:\n{tests}")
        return run_file(path, **options)

    return run_text


def outcomes(report: FileReport) -> list[bool]:
    """Whether each case holds; nothing must keep the file from being run."""
    assert not report.problems, report.problems
    assert not report.errors, report.errors
    return [verdict.passed for verdict in report.verdicts]


def exprs(*cases: tuple[str, str, str]) -> str:
    """Items of `promql_expr_test`: expression, time, samples."""
    return "".join(
        f"      - {{expr: '{expr}', eval_time: {at}, exp_samples: [{samples}]}}\n" for expr, at, samples in cases
    )


def test_samples_lookback_and_staleness(run: Run) -> None:
    series = "  - input_series: [{series: 'x{a=\"1\"}', values: '1 2 _ 4 stale _x9 9'}]\n    promql_expr_test:\n"
    there = """{labels: 'x{a="1"}', value: %s}"""
    cases = [
        ("x", "0", there % 1),
        ("x", "59s", there % 1),
        ("x", "2m", there % 2),
        ("x", "3m", there % 4),
        ("x", "4m", ""),
        ("x", "13m", ""),
        ("x", "14m", there % 9),
        ("x", "18m59s", there % 9),
        ("x", "19m", ""),
        ("count_over_time(x[10m])", "3m30s", """{labels: '{a="1"}', value: 3}"""),
    ]
    assert all(outcomes(run(series + exprs(*cases))))


def test_values_of_every_kind_are_compared_and_nan_equals_nan(run: Run) -> None:
    series = "  - input_series: [{series: x, values: '1e3 NaN Inf -Inf -0'}]\n    promql_expr_test:\n"
    expected = ("1e3", ".nan", "+Inf", "-.inf", "0")
    cases = [("x", f"{minute}m", f"{{labels: x, value: {value}}}") for minute, value in enumerate(expected)]
    assert outcomes(run(series + exprs(*cases))) == [True] * 5
    wrong = [("x", "1m", "{labels: x, value: 1}"), ("x", "2m", "{labels: x, value: -Inf}"), ("x", "1m", "")]
    assert outcomes(run(series + exprs(*wrong))) == [False] * 3


def test_labels_are_compared_however_they_are_written(run: Run) -> None:
    series = "  - input_series: [{series: 'x{b=\"2\", a=\"1\"}', values: '7'}]\n    promql_expr_test:\n"
    cases = [
        ("x", "0", """{labels: 'x{a="1",b="2"}', value: 7}"""),
        ("x", "0", """{labels: '{__name__="x", b="2", a="1"}', value: 7}"""),
        ("sum(x)", "0", "{labels: '{}', value: 7}"),
        ("sum(x)", "0", "{value: 7}"),
        ("1 + 1", "0", "{value: 2}"),
        ("x", "0", """{labels: 'x{a="1"}', value: 7}"""),
        ("x", "0", """{labels: 'x{a="1",b="2"}', value: 7}, {labels: 'x{a="1",b="2"}', value: 7}"""),
    ]
    assert outcomes(run(series + exprs(*cases))) == [True] * 5 + [False] * 2


def test_fuzzy_compare_forgives_the_last_bit_and_no_more(run: Run) -> None:
    series = "  - input_series: [{series: x, values: '3.0000000000000004 3.000000000000001'}]\n    promql_expr_test:\n"
    cases = exprs(("x", "0", "{labels: x, value: 3}"), ("x", "1m", "{labels: x, value: 3}"))
    assert outcomes(run(series + cases)) == [False, False]
    assert outcomes(run(series + cases, head="fuzzy_compare: true")) == [True, False]


def test_an_alert_fires_after_its_time_with_all_its_words(run: Run) -> None:
    report = run("""
  - interval: 1m
    external_labels: {site: north}
    external_url: http://x
    input_series: [{series: 'up{job="a"}', values: '0x9'}]
    alert_rule_test:
      - {eval_time: 1m59s, alertname: Down}
      - {eval_time: 1m, alertname: Down, exp_alerts: []}
      - &fires
        eval_time: 2m
        alertname: Down
        exp_alerts:
          - exp_labels: {job: a, severity: page, site: north}
            exp_annotations: {text: a is 0 at http://x}
      - {eval_time: 2m30s, alertname: Down, exp_alerts: [{exp_labels: {job: a, severity: page, site: north},
         exp_annotations: {text: a is 0 at http://x}}]}
      - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {job: a, severity: page, site: north}}]}
      - {eval_time: 2m, alertname: Nobody}
    promql_expr_test:
      - expr: ALERTS
        eval_time: 2m
        exp_samples:
          - {labels: 'ALERTS{alertname="Down",alertstate="firing",job="a",severity="page",site="north"}', value: 1}
""")
    assert outcomes(report) == [True, True, True, True, False, True, True]


def test_groups_are_evaluated_in_the_order_that_is_asked_for_at_every_evaluation(run: Run) -> None:
    tests = "  - input_series: [{series: x, values: '1 2 3'}]\n    promql_expr_test:\n" + exprs(
        ("twice", "2m", "{labels: twice, value: 6}")
    )
    assert outcomes(run(tests, head="group_eval_order: [first, second]")) == [True]
    late = tests.replace("value: 6", "value: 4")
    assert outcomes(run(late, head="group_eval_order: [second, first]")) == [True]


def test_a_start_time_moves_everything(run: Run) -> None:
    for start in ("1609459200", "'2021-01-01T00:00:00Z'", "2021-01-01T01:00:00+01:00"):
        tests = (
            f"  - start_timestamp: {start}\n    input_series: [{{series: x, values: '1 2 3'}}]\n    promql_expr_test:\n"
        )
        cases = [
            ("time()", "1m", "{value: 1609459260}"),
            ("x", "1m", "{labels: x, value: 2}"),
            ("x @ 1609459200", "2m", "{labels: x, value: 1}"),
        ]
        assert outcomes(run(tests + exprs(*cases))) == [True] * 3, start


def test_what_looks_ahead_sees_what_was_loaded_by_the_end(run: Run) -> None:
    tests = "  - input_series: [{series: x, values: '0+1x10'}]\n    promql_expr_test:\n"
    cases = [
        ("x offset -2m", "1m", "{labels: x, value: 3}"),
        ("x @ 480", "1m", "{labels: x, value: 8}"),
        ("x", "8m", "{labels: x, value: 8}"),
        ("sum_over_time(x[3m:])", "8m", "{value: 21}"),
    ]
    assert outcomes(run(tests + exprs(*cases))) == [True] * 4


def test_a_long_look_back_reads_every_sample(run: Run) -> None:
    tests = "  - interval: 1h\n    input_series: [{series: x, values: '0+1x720'}]\n    promql_expr_test:\n"
    cases = [
        ("count_over_time(x[30d])", "719h30m", "{value: 720}"),
        ("max_over_time(x[1d:1h])", "719h30m", "{value: 719}"),
        ("quantile_over_time(0.5, x[10d])", "719h30m", "{value: 599.5}"),
    ]
    assert outcomes(run(tests + exprs(*cases), head="evaluation_interval: 1d")) == [False, False, False]
    assert outcomes(run(tests + exprs(*cases), head="evaluation_interval: 30m")) == [True, True, True]


def test_a_failure_shows_the_difference_and_the_timeline(run: Run) -> None:
    report = run("""
  - name: the pump stops
    input_series: [{series: 'up{job="a"}', values: '1 0 0 0 0'}]
    alert_rule_test:
      - {eval_time: 4m, alertname: Down}
    promql_expr_test:
      - {expr: up, eval_time: 4m, exp_samples: [{labels: 'up{job="a"}', value: 1}]}
""")
    told = "\n".join(as_text(report))
    assert "my_test.yaml: FAILED, 0 passed, 2 failed" in told
    assert "my_test.yaml:8:9: Down at 4m (the pump stops)" in told
    assert '+ {alertname="Down", job="a", severity="page"}' in told
    assert '{alertname="Down", job="a", severity="page"}: 0s nothing, 1m-2m pending, 3m-4m firing' in told
    assert '- up{job="a"} 1\n      + up{job="a"} 0' in told
    assert 'up{job="a"}: 0s 1, 1m-4m 0' in told


def test_the_json_has_three_keys_and_one_entry_a_failure(run: Run) -> None:
    report = run(
        "  - input_series: [{series: x, values: '1'}]\n    promql_expr_test:\n"
        + exprs(("x", "0", "{labels: x, value: 1}"), ("x", "30s", "{labels: x, value: 2}"))
    )
    told = json.loads(json.dumps(as_json([report])))
    assert told == {
        "passed": 1,
        "failed": 1,
        "failures": [
            {"file": str(report.file), "expr": "x", "eval_time_seconds": 30.0, "expected": "x 2", "got": "x 1"}
        ],
    }


def test_the_junit_report_has_a_case_a_case(run: Run) -> None:
    report = run(
        "  - name: n\n    input_series: [{series: x, values: '1'}]\n    promql_expr_test:\n"
        + exprs(("x", "0", "{labels: x, value: 1}"), ("x < bool 2", "30s", "{labels: x, value: 2}"))
    )
    (suite,) = ET.fromstring(as_junit([report]))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert [case.get("name") for case in suite] == ["x at 0s", "x < bool 2 at 30s"]
    assert [len(case) for case in suite] == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: [{inteval: 1m}]", "1:10: tests[0]: unknown field 'inteval', try 'interval'"),
        ("evaluation_interval: 5x\ntests: []", "1:22: evaluation_interval: not a valid duration: '5x'"),
        ("tests: [{promql_expr_test: [{expr: x, eval_time: soon}]}]", "not a valid duration: 'soon'"),
        ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "`alertname` is missing"),
        ("tests: [{input_series: [{values: '1'}]}]", "`series` is missing"),
        ("tests: 5", "must be a list"),
        ("tests: [", "not valid YAML"),
        ("group_eval_order: [a, a]\ntests: []", "repeats 'a'"),
        ("fuzzy_compare: perhaps\ntests: []", "must be true or false"),
    ],
)
def test_mistakes_of_a_file_have_their_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    report = run_file(path)
    assert report.failed == 1
    assert any(str(problem).startswith(f"{path}:") and said in str(problem) for problem in report.problems)


def test_wrong_series_spoil_their_own_test_alone(run: Run) -> None:
    report = run("""
  - input_series: [{series: 'x{a="1"', values: '1 nope'}]
    promql_expr_test: [{expr: vector(1), eval_time: 0, exp_samples: [{value: 1}]}]
  - promql_expr_test:
      - {expr: vector(1), eval_time: 0, exp_samples: [{value: 1}]}
      - {expr: vector(1), eval_time: 0, exp_samples: [{value: one}]}
      - {expr: vector(, eval_time: 0, exp_samples: [{value: 1}]}
""")
    assert [verdict.passed for verdict in report.verdicts] == [False, True, False, False]
    assert "5:29: tests[0].input_series[0].series: expected" in report.verdicts[0].error
    assert "'nope' is no sample" in report.verdicts[0].error
    assert "'one' is no number" in report.verdicts[2].error


def test_a_rule_without_a_value_fails_what_was_not_asked_yet(run: Run) -> None:
    rules = "groups: [{name: g, rules: [{record: r, expr: a * on(x) b}]}]"
    report = run(
        """
  - input_series: [{series: 'a{x="1"}', values: '1x9'}, {series: 'b{x="1",y="1"}', values: '1x9'},
      {series: 'b{x="1",y="2"}', values: '_x3 1x5'}]
    promql_expr_test:
      - {expr: a, eval_time: 1m, exp_samples: [{labels: 'a{x="1"}', value: 1}]}
      - {expr: a, eval_time: 8m, exp_samples: [{labels: 'a{x="1"}', value: 1}]}
""",
        rules=rules,
    )
    assert [verdict.passed for verdict in report.verdicts] == [True, False]
    assert "rule rules.yaml/g/r at 180s: found duplicate series" in report.verdicts[1].error


def test_a_pattern_without_files_is_a_warning(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lone_test.yaml"
    path.write_text(
        "rule_files: ['no/*.yaml']\ntests: [{promql_expr_test: [{expr: '1', eval_time: 0, exp_samples: [{value: 1}]}]}]"
    )
    report = run_file(path)
    assert report.passed == 1
    assert "no file matches 'no/*.yaml'" in report.warnings[0]


def test_two_rule_files_of_one_name_are_two_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "r.yaml").write_text(f"groups: [{{name: g, rules: [{{record: {folder}, expr: x}}]}}]")
    path = tmp_path / "t_test.yaml"
    path.write_text(
        "rule_files: ['*/r.yaml']\ntests:\n  - input_series: [{series: x, values: '1'}]\n    promql_expr_test:\n"
        + exprs(("a + on () b", "0", "{value: 2}"))
    )
    assert run_file(path).passed == 1


def test_hallkeepers_own_settings_count_where_they_are_asked_for(run: Run, tmp_path: Path) -> None:
    rules = "groups: [{name: g, rules: [{alert: Hot, expr: t > 10}]}]"
    (tmp_path / "rules.hallkeeper.yaml").write_text("groups: {g: {Hot: {clear: 't < 8'}}}")
    tests = "  - input_series: [{series: t, values: '11 9 9'}]\n    alert_rule_test: [{eval_time: 2m, alertname: Hot}]"
    assert outcomes(run(tests, rules=rules)) == [True]
    assert outcomes(run(tests, rules=rules, as_hallkeeper=True)) == [False]


def test_words_carry_the_value_of_the_last_evaluation_at_which_the_alert_was_active(run: Run) -> None:
    rules = "groups: [{name: g, rules: [{alert: V, expr: x > 0, for: 2m, keep_firing_for: 9m, annotations: {v: '{{ $value }}'}}]}]"
    tests = "  - input_series: [{series: x, values: '1+1x9 0x9'}]\n    alert_rule_test:\n" + "".join(
        f"      - {{eval_time: {at}, alertname: V, exp_alerts: [{{exp_annotations: {{v: '{value}'}}}}]}}\n"
        for at, value in (("2m", 3), ("7m30s", 8), ("9m", 10), ("14m", 10))
    )
    assert outcomes(run(tests, rules=rules)) == [True] * 4


def test_yaml_as_people_write_it_is_read(run: Run) -> None:
    report = run(
        """
  - &base
    interval: 1m
    input_series:
      - series: up{job="a"}  # a comment
        values: >-
          1 0
          0 0x9
    alert_rule_test: &asked
      - eval_time: 5m
        alertname: Down
        exp_alerts:
          - exp_labels: &labels {job: a, severity: page}
            exp_annotations:
              text: >-
                a is 0
                at http://x
    external_url: http://x
  - <<: *base
    name: again
    alert_rule_test:
      - {eval_time: 5m0s, alertname: Down, exp_alerts: [{exp_labels: {<<: *labels}, exp_annotations: {text: "a is 0 at http://x"}}]}
      - {eval_time: 300s, alertname: Down, exp_alerts: }
  - promql_expr_test:
      - expr: |
          1
          + 1
        exp_samples: [{labels: "{}", value: "2"}]
""",
        rules=RULES.replace("page, site: '{{ $externalLabels.site }}'", "page"),
    )
    assert outcomes(report) == [True, True, False, True]
    numbers = "groups: [{name: g, rules: [{alert: N, expr: x, labels: {level: 1, on: true, none: ~}}]}]"
    tests = """
  - input_series: [{series: x, values: 1}]
    alert_rule_test: [{eval_time: 0, alertname: N, exp_alerts: [{exp_labels: {level: 1, on: true}}]}]
"""
    assert outcomes(run(tests, rules=numbers)) == [True]
