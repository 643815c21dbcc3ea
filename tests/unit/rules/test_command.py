"""`hallkeeper rules check` says every mistake with its place, and what the rules will cost."""

import json
from pathlib import Path

from typer.testing import CliRunner

from hallkeeper.bench import load_rules as load
from hallkeeper.bench.mix_rules import rule_file
from hallkeeper.commands.rules import app
from rules.engine import Engine

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"


def test_the_catalogue_is_accepted_with_an_estimate() -> None:
    done = CliRunner().invoke(app, ["check", str(CATALOGUE)])
    assert done.exit_code == 0
    assert "4 file(s), 6 group(s), 17 rule(s), 0 warning(s)" in done.output
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
