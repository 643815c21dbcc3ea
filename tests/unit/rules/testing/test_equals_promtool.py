"""What our runner says about a test file, promtool says too."""

import random
import re
import subprocess
from pathlib import Path

import pytest

from rules.testing.notation import series_text, value_text
from rules.testing.run import _Run, run_file

MODULE = "github.com/prometheus/prometheus"
DOCUMENTED = re.compile(r"### `(\w+\.yml)`\n\n```yaml\n(.*?)```", re.DOTALL)
SERIES = (
    'calls_total{job="a",node="n1"}', 'calls_total{job="a",node="n2"}', 'calls_total{job="b",node="n1"}',
    'temp_celsius{node="n1"}', 'temp_celsius{node="n2"}', 'info{node="n1",rack="r1"}', 'info{node="n2",rack="r2"}',
)  # fmt: skip
# extrapolation and the last bit of means have changed between releases 2 and 3: they are left out
EXPRESSIONS = (
    "calls_total", "sum by (job) (calls_total)", "temp_celsius > 20",
    "temp_celsius * on (node) group_left (rack) info", "max_over_time(temp_celsius[3m:30s])", "absent(temp_celsius)",
    "temp_celsius offset 1m", "topk(1, temp_celsius)", "temp_celsius @ 120",
    "recorded", "ALERTS", "ALERTS_FOR_STATE", "changes(temp_celsius[4m])", "sum(temp_celsius) - count(info)", "time()",
    'label_replace(info, "row", "$1", "rack", "r(.)")', "last_over_time(calls_total[4m])",
    "sum_over_time(temp_celsius[4m:])", 'temp_celsius unless on (node) calls_total{job="b"}', "quantile(0.3, calls_total)",
)  # fmt: skip
RULES = """
groups:
  - name: g
    interval: 3m
    rules:
      - {record: recorded, expr: 'sum by (node) (calls_total)', labels: {kind: sum}}
      - {alert: Hot, expr: 'temp_celsius > 20', for: 1m, labels: {severity: page},
         annotations: {text: '{{ $labels.node }} {{ $value | humanize }}'}}
      - {alert: Gone, expr: 'absent(info)', keep_firing_for: 2m}
"""


def promtool(path: Path) -> "subprocess.CompletedProcess[str]":
    """promtool's verdict on a unit-test file."""
    argv = ["promtool", "test", "rules", path.name]
    return subprocess.run(argv, cwd=path.parent, capture_output=True, text=True, check=False)


def drawn_time(dice: random.Random) -> int:
    """A time at which no sample lies at the edge of a range or a look back: there, releases 2 and 3 differ."""
    at = 59 * dice.randint(0, 25) + dice.randint(10, 50)
    return at if at % 30 else at + 1


def drawn_values(dice: random.Random) -> str:
    """A series in the expanding notation."""
    words = ["_"]  # at time 0 a sample would meet the edge of subqueries' look back
    for _ in range(dice.randint(1, 5)):
        start, step, times = (
            dice.choice([0, 5, 19.5, 22, 1e3]),
            dice.choice(["", "+1.5", "-0.7", "+0.1"]),
            dice.randint(0, 9),
        )
        words.append(
            dice.choice([f"{start}{step}x{times}", f"{start}", "_", f"_x{times}", "stale", f"{start}x{times}"])
        )
    return " ".join(words)


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("seed", range(6))
def test_promtool_confirms_every_answer(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    (tmp_path / "r.yaml").write_text(RULES)
    head = f"rule_files: [r.yaml]\nevaluation_interval: {dice.choice(['1m', '30s', '2m'])}\ntests:\n"
    series = "".join(f"      - {{series: '{each}', values: '{drawn_values(dice)}'}}\n" for each in SERIES)
    setup = f"  - interval: 59s\n    input_series:\n{series}"
    asked = [(expr, f"{drawn_time(dice)}s") for expr in EXPRESSIONS for _ in range(3)]
    alerts = [(name, f"{drawn_time(dice)}s") for name in ("Hot", "Gone") for _ in range(6)]
    path = tmp_path / "ours_test.yaml"
    path.write_text(
        head + setup
        + "    alert_rule_test:\n" + "".join(f"      - {{alertname: {name}, eval_time: {at}}}\n" for name, at in alerts)
        + "    promql_expr_test:\n" + "".join(f"      - {{expr: '{expr}', eval_time: {at}}}\n" for expr, at in asked)
    )  # fmt: skip
    told = answers(path, monkeypatch)
    assert len(told["alert_rule_test"]) == len(alerts)
    assert len(told["promql_expr_test"]) == len(asked)
    cases = "".join(f"    {kind}:\n{''.join(found)}" for kind, found in told.items())
    path.write_text(head + setup + cases)
    done = promtool(path)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"


def answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What our engine says to each case of a file, as cases that expect it."""
    told: dict[str, list[str]] = {"alert_rule_test": [], "promql_expr_test": []}
    real_expr, real_alert = _Run._expr, _Run._alert

    def expr(self, stage, case):  # type: ignore[no-untyped-def]
        found = stage.value(case.expr, case.eval_ms)
        samples = [f"{{labels: '{series_text(each.labels)}', value: {value_text(each.value)}}}" for each in found]
        told["promql_expr_test"].append(
            f"      - {{expr: '{case.expr}', eval_time: {case.eval_ms}ms, exp_samples: [{', '.join(samples)}]}}\n"
        )
        return real_expr(self, stage, case)

    def alert(self, stage, case):  # type: ignore[no-untyped-def]
        firing = [
            f"{{exp_labels: {dict(labels)}, exp_annotations: {dict(words)}}}"
            for labels, words, state in stage.alerts(case.alertname)
            if state == "firing"
        ]
        told["alert_rule_test"].append(
            f"      - {{alertname: {case.alertname}, eval_time: {case.eval_ms}ms, exp_alerts: [{', '.join(firing)}]}}\n"
        )
        return real_alert(self, stage, case)

    monkeypatch.setattr(_Run, "_expr", expr)
    monkeypatch.setattr(_Run, "_alert", alert)
    monkeypatch.setattr("rules.testing.run.timeline", lambda *_: ())
    report = run_file(path)
    assert not report.problems + report.errors, report
    assert not [verdict.error for verdict in report.verdicts if verdict.error]
    return told


def documentation() -> Path | None:
    """Prometheus's page on unit tests, in the Go module cache beside its engine."""
    argv = ["go", "list", "-m", "-f", "{{.Dir}}", MODULE]
    oracle = Path(__file__).parents[3] / "oracle"
    try:
        found = subprocess.run(argv, cwd=oracle, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return None
    page = Path(found) / "docs" / "configuration" / "unit_testing_rules.md"
    return page if found and page.is_file() else None


def test_prometheuss_documented_example_passes(tmp_path: Path) -> None:
    page = documentation()
    if page is None:
        pytest.skip("Prometheus's documentation absent; run: make peers")
    for name, text in DOCUMENTED.findall(page.read_text()):
        (tmp_path / name).write_text(text)
    report = run_file(tmp_path / "test.yml")
    assert (report.passed, report.failed) == (2, 0)


EXPECTED = {
    "at-modifier-test.yml": True, "bad-input-series.yml": False, "bad-promql.yml": False, "bad-rules-error-test.yml": False,
    "bad-rules-syntax-test.yml": False, "failing.yml": False, "long-period.yml": True, "negative-offset-test.yml": True,
    "no-test-group-interval.yml": True, "rules_run.yml": False, "rules_run_fuzzy.yml": False, "rules_run_no_fuzzy.yml": False,
    "start-time-test.yml": True, "experimental-functions-test.yml": True,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_promtools_own_test_files_come_out_as_there(name: str) -> None:
    page = documentation()
    if page is None:
        pytest.skip("Prometheus's sources absent; run: make peers")
    report = run_file(page.parents[2] / "cmd" / "promtool" / "testdata" / name)
    assert (report.failed == 0) is EXPECTED[name], report
