"""`hallkeeper rules` says every mistake with its place, and runs unit tests; `hallkeeper query` says why it has no answer."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.mix_rules import rule_file
from hallkeeper.cli import main
from hallkeeper.commands.rules import app
from rules.engine import Engine

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"


def test_the_catalogue_is_accepted_with_an_estimate() -> None:
    done = CliRunner().invoke(app, ["check", str(CATALOGUE)])
    assert done.exit_code == 0
    assert re.search(r"^\d+ file\(s\), \d+ group\(s\), \d+ rule\(s\), 0 warning\(s\)$", done.output, re.MULTILINE), (
        done.output
    )
    assert "of a core" in done.output


def test_mistakes_end_with_one_and_stand_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("groups:\n  - name: g\n    rules:\n      - {alert: A, expr: 'sum(x'}\n")
    done = CliRunner().invoke(app, ["check", str(tmp_path / "r.yaml")])
    assert done.exit_code == 1
    assert "r.yaml:4:26: groups[0].rules[0].expr: unclosed left parenthesis" in done.stderr


def test_json_is_for_programs(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: nope_watts > 1}]}]")
    done = CliRunner().invoke(app, ["check", str(tmp_path), "--json", "--series", "10"])
    report = json.loads(done.stdout)
    assert report["usable"]
    assert report["rules"] == ["r.yaml/g/A"]
    assert "nope_watts" in report["warnings"][0]
    assert report["estimate"]["series_per_metric"] == 10


def test_the_bench_has_200_rules_that_evaluate_over_its_series(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(rule_file())
    engine = Engine([path])
    assert sum(len(group.rules) for group in engine.groups.values()) == 200
    for second, messages in enumerate(load.rounds(load.Load(seed=1, nodes=4), 20)):
        engine.append_frames(messages)
        engine.evaluate(load.START_MS + second * 1_000 + 999)
    assert not engine.failures
    assert engine.window.series == 4 * 320 + 4


@pytest.fixture
def unit_tests(tmp_path: Path) -> Path:
    """A folder with a unit test that passes and one that fails."""
    for name, value in (("good", 1), ("bad", 2)):
        (tmp_path / f"{name}_test.yaml").write_text(
            "tests:\n  - {name: n-" + name + ", input_series: [{series: x, values: '1'}],\n"
            "     promql_expr_test: [{expr: x, eval_time: 0, exp_samples: [{labels: x, value: " + str(value) + "}]}]}\n"
        )
    return tmp_path


def test_unit_tests_of_a_folder_are_run_and_a_failure_is_exit_status_one(unit_tests: Path) -> None:
    done = CliRunner().invoke(app, ["test", str(unit_tests)])
    assert done.exit_code == 1
    assert "bad_test.yaml: FAILED, 0 passed, 1 failed" in done.output
    assert done.output.endswith("1 passed, 1 failed in 2 file(s)\n")
    assert CliRunner().invoke(app, ["test", str(unit_tests / "good_test.yaml")]).exit_code == 0
    assert CliRunner().invoke(app, ["test", str(unit_tests), "--run", "n-good"]).exit_code == 0


def test_the_json_of_unit_tests_has_exactly_three_keys(unit_tests: Path) -> None:
    done = CliRunner().invoke(app, ["test", str(unit_tests), "--json"])
    told = json.loads(done.stdout)
    assert (list(told), told["passed"], told["failed"]) == (["passed", "failed", "failures"], 1, 1)
    assert list(told["failures"][0]) == ["file", "expr", "eval_time_seconds", "expected", "got"]


def test_the_junit_report_is_written_beside(unit_tests: Path) -> None:
    report = unit_tests / "junit.xml"
    CliRunner().invoke(app, ["test", str(unit_tests), "--junit", str(report)])
    assert report.read_text().count("<testcase ") == 2


def test_a_file_that_cannot_be_used_is_a_failure_with_its_place_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "x_test.yaml"
    path.write_text("tests: [{nmae: x}]")
    done = CliRunner().invoke(app, ["test", str(path), "--json"])
    assert done.exit_code == 1
    assert f"{path}:1:10: tests[0]: unknown field 'nmae', try 'name'" in done.stderr
    assert json.loads(done.stdout)["failed"] == 1


def test_a_folder_without_unit_tests_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["test", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no unit tests" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["query", "up", "--url", "http://127.0.0.1:9"], 3, "try: --url, or hallkeeper run console"),
        (["query", "up", "--url", "ftp://x"], 1, "try: --url http://127.0.0.1:8080"),
        (["query", "up", "--settings", "absent.yaml"], 1, "try: --url http://127.0.0.1:8080"),
        (["query", "up", "--at", "-5parsecs", "--url", "http://127.0.0.1:9"], 2, "-5m, now"),
        (["rules", "explain", "X", "--url", "http://127.0.0.1:9"], 3, "no console answers"),
        (["rules", "explain", "X", "--file", "absent.yaml"], 1, "absent.yaml:0:0: is absent"),
    ],
)
def test_without_an_answer_it_says_why_and_what_to_try(
    arguments: list[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hallkeeper", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert said in capsys.readouterr().err
